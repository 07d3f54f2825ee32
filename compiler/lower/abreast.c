/* Rows abreast: where a chain's rows are short, each lane takes a row of its own.  As many rows as there are lanes
 * are turned into scratch, where neighbouring rows are neighbours, and what leaves the kernel is turned back. */
#include "lower/nest.h"

#include <math.h>

enum {
    FEW_BLOCKS = 16, /* of rows, to be left for threads                              */
    L1_SHARE = 50,   /* per cent of it that a block's scratch takes                  */
    FOLD_WAIT = 20   /* of a row by itself for each sum over lanes, beyond its work  */
};

/* A stretch of each row of an operand, base + low … base + high, and its turned copy. */
typedef struct Square {
    Buffer *rows, *turned;
    const Affine *base;
    int64_t low, high;
    bool read, written;
} Square;

/* The scratch of one row, and that of a block of rows. */
typedef struct Widened {
    const Buffer *row;
    Buffer *block;
} Widened;

struct Abreast {
    Nest *nest;
    Index *row, *block; /* the last shared loop, and that over its blocks */
    int lanes;
    const Affine *lane; /* row - block */
    bool possible;
    VEC(Square) squares;
    VEC(Widened) widened;
    const Stage *stage; /* that is being looked at */
    int64_t bytes;      /* of scratch              */
    LoopList *around;   /* what stands in the loop over blocks */
};

/* ---- how rows are read and written ---------------------------------------------------------------------- */

/* Takes an offset apart into what is fixed in a row, or moves from row to row, and what moves within it. */
static bool split_offset(const Abreast *a, const Affine *offset, const Affine **base,
                         const Affine **within)
{
    ExprPool *p = a->nest->l->pool;
    *within = affine_constant(p, offset->constant);
    for (int i = 0; i < offset->count; i++) {
        const Term *t = &offset->terms[i];
        if (t->kind != TERM_INDEX)
            return false;
        if (index_in(&a->stage->free, t->index) || index_in(&a->stage->bound, t->index))
            *within = affine_add(p, *within, affine_scale(p, affine_index(p, t->index), t->factor));
    }
    *base = affine_sub(p, offset, *within);
    return true;
}

static Square *find_square(Abreast *a, const Buffer *rows, const Affine *base)
{
    for (int i = 0; i < a->squares.count; i++)
        if (a->squares.data[i].rows == rows && a->squares.data[i].base == base)
            return &a->squares.data[i];
    return NULL;
}

/* Do neighbouring rows lie apart, each in one piece? */
static bool lies_by_rows(const Abreast *a, const Affine *offset)
{
    bool nested;
    const int64_t factor = affine_factor(offset, a->row, &nested);
    return !nested && factor > 1;
}

/* The stretch that holds all that the offset reads, as it has been noted; NULL: it is read where it lies. */
static const Square *square_of(Abreast *a, const Buffer *rows, const Affine *offset,
                               const Affine **within)
{
    const Affine *base;
    if (!lies_by_rows(a, offset) || !split_offset(a, offset, &base, within))
        return NULL;
    const Square *s = find_square(a, rows, base);
    const Interval range = affine_interval(*within);
    return s && range.low >= s->low && range.high <= s->high ? s : NULL;
}

/* The stretch that an offset is in; NULL: it is not to be turned. */
static Square *note_square(Abreast *a, Buffer *rows, const Affine *offset)
{
    const Affine *base, *within;
    if (!dtype_is_real(rows->type) || !offset_is_inside(rows, offset) ||
        !split_offset(a, offset, &base, &within))
        return NULL;
    const Interval range = affine_interval(within);
    Square *s = find_square(a, rows, base);
    if (!s) {
        const Square fresh = {.rows = rows, .base = base, .low = range.low, .high = range.high};
        vec_push(a->nest->l->arena, &a->squares, fresh);
        s = &a->squares.data[a->squares.count - 1];
    }
    s->low = range.low < s->low ? range.low : s->low;
    s->high = range.high > s->high ? range.high : s->high;
    return s;
}

static void note_widened(Abreast *a, const Buffer *row)
{
    for (int i = 0; i < a->widened.count; i++)
        if (a->widened.data[i].row == row)
            return;
    const Widened w = {row, NULL};
    vec_push(a->nest->l->arena, &a->widened, w);
}

/* What the kernel wrote is read where it is written: in the turned copy. */
static void note_load_of_written(Abreast *a, const Expr *e)
{
    const Affine *within;
    bool nested;
    if (affine_factor(e->affine, a->row, &nested) == 1 && !nested && !e->count)
        return;
    const Square *s = e->count ? NULL : square_of(a, e->buffer, e->affine, &within);
    a->possible = a->possible && s && s->written;
}

static void note_load(void *context, const Expr *e)
{
    Abreast *a = context;
    if (e->kind != EXPR_LOAD)
        return;
    if (e->buffer->space == SPACE_SCRATCH) {
        a->possible = a->possible && !affine_uses(e->affine, a->row);
        note_widened(a, e->buffer);
    } else if (nest_writes(a->nest, e->buffer)) {
        note_load_of_written(a, e);
    } else if (!e->count && e->buffer->type == e->type && lies_by_rows(a, e->affine)) {
        Square *s = note_square(a, e->buffer, e->affine);
        if (s)
            s->read = true;
    }
}

/* All elements of a stretch are written, each once. */
static bool fills(const Abreast *a, const Item *item, const Square *s)
{
    const double count = extents_without(&a->stage->free, NULL) *
                         (item->kind == ITEM_INNER ? extents_without(&a->stage->bound, NULL) : 1);
    return (double)(s->high - s->low + 1) == count;
}

static void note_store(Abreast *a, const Item *item)
{
    bool nested;
    if (item->buffer->space == SPACE_SCRATCH) {
        a->possible = a->possible && !affine_uses(item->offset, a->row);
        note_widened(a, item->buffer);
        return;
    }
    if (affine_factor(item->offset, a->row, &nested) == 1 && !nested)
        return;
    Square *s = lies_by_rows(a, item->offset) ? note_square(a, item->buffer, item->offset) : NULL;
    if (s)
        s->written = true;
    a->possible = a->possible && s && !s->read && fills(a, item, s);
}

static void note_items(Abreast *a)
{
    for (int s = 0; s < a->nest->stages.count; s++) {
        a->stage = a->nest->stages.data[s];
        for (int i = 0; i < a->stage->items.count; i++) {
            const Item *item = &a->stage->items.data[i];
            expr_visit(a->nest->l->pool, item->value, note_load, a);
            if (item->stored)
                note_store(a, item);
            a->possible = a->possible && !item->within;
        }
    }
}

/* ---- the copies in place of the rows -------------------------------------------------------------------- */

static Buffer *new_block(Abreast *a, DType type, int64_t elements)
{
    a->bytes += elements * a->lanes * dtype_size(type);
    return scratch_new(a->nest->l, type, elements * a->lanes);
}

static void make_blocks(Abreast *a)
{
    for (int i = 0; i < a->squares.count; i++) {
        Square *s = &a->squares.data[i];
        s->turned = new_block(a, s->rows->type, s->high - s->low + 1);
    }
    for (int i = 0; i < a->widened.count; i++) {
        Widened *w = &a->widened.data[i];
        w->block = new_block(a, w->row->type, (int64_t)w->row->bytes / dtype_size(w->row->type));
    }
}

/* Where in a block the element of the lane's row is. */
static const Affine *in_block(const Abreast *a, const Affine *element, const Affine *lane)
{
    ExprPool *p = a->nest->l->pool;
    return affine_add(p, affine_scale(p, element, a->lanes), lane);
}

static Buffer *widened_of(const Abreast *a, const Buffer *row)
{
    for (int i = 0; i < a->widened.count; i++)
        if (a->widened.data[i].row == row)
            return a->widened.data[i].block;
    return NULL;
}

/* The place of an element of this lane's row. */
static void replace(Abreast *a, Buffer **buffer, const Affine **offset)
{
    const Affine *within = NULL;
    Buffer *block = widened_of(a, *buffer);
    const Square *s = block ? NULL : square_of(a, *buffer, *offset, &within);
    if (block)
        *offset = in_block(a, *offset, a->lane);
    if (s)
        *offset = in_block(a, affine_offset(a->nest->l->pool, within, -s->low), a->lane);
    if (block || s)
        *buffer = s ? s->turned : block;
}

static const Expr *replace_load(void *context, const Expr *e)
{
    Abreast *a = context;
    if (e->kind != EXPR_LOAD || (e->count && !widened_of(a, e->buffer)))
        return e;
    Buffer *buffer = e->buffer;
    const Affine *offset = e->affine;
    DataTerm data[e->count + 1];
    for (int i = 0; i < e->count; i++)
        data[i] = (DataTerm){e->data[i].value, e->data[i].stride * a->lanes};
    replace(a, &buffer, &offset);
    return buffer == e->buffer
               ? e
               : expr_load(a->nest->l->pool, e->type, buffer, offset, data, e->count);
}

static void replace_items(Abreast *a)
{
    for (int s = 0; s < a->nest->stages.count; s++) {
        Stage *st = a->nest->stages.data[s];
        a->stage = st;
        for (int i = 0; i < st->items.count; i++) {
            Item *item = &st->items.data[i];
            item->value = expr_map(a->nest->l->pool, item->value, replace_load, a);
            if (item->stored)
                replace(a, &item->buffer, &item->offset);
        }
    }
}

/* ---- is it worth it? ------------------------------------------------------------------------------------ */

/* Loads, exchanges and stores of as many squares of lanes as cover the copies. */
static double turning_cost(const Abreast *a)
{
    double squares = 0;
    for (int i = 0; i < a->squares.count; i++) {
        const Square *s = &a->squares.data[i];
        squares += (s->read + s->written) * ceil((double)(s->high - s->low + 1) / a->lanes);
    }
    return squares * a->lanes * (2 + log2(a->lanes));
}

static bool leaves_enough_to_share(const Abreast *a)
{
    const IndexList *shared = &a->nest->shared;
    return a->nest->l->out->serial ||
           extents_without(shared, NULL) / a->lanes >= (double)FEW_BLOCKS;
}

typedef VEC(Item) ItemList;

/* The items of all stages. */
static ItemList items_of(Nest *x)
{
    ItemList list = {0};
    for (int s = 0; s < x->stages.count; s++)
        for (int i = 0; i < x->stages.data[s]->items.count; i++)
            vec_push(x->l->arena, &list, x->stages.data[s]->items.data[i]);
    return list;
}

static void restore_items(Nest *x, const ItemList *list)
{
    int n = 0;
    for (int s = 0; s < x->stages.count; s++)
        for (int i = 0; i < x->stages.data[s]->items.count; i++)
            x->stages.data[s]->items.data[i] = list->data[n++];
}

/* What all rows cost without. */
static double cost_as_they_lie(Nest *x, bool across, int lanes, double rows)
{
    return across ? vector_cost_across(x, lanes) * ceil(rows / lanes)
                  : vector_cost_within(x, lanes) * rows;
}

static bool is_worth_it(const Abreast *a, double otherwise)
{
    const double blocks = ceil((double)a->row->extent / a->lanes);
    const double block = vector_cost_across(a->nest, a->lanes) + turning_cost(a);
    return a->bytes <= a->nest->l->lanes->l1_bytes * L1_SHARE / 100 && block * blocks < otherwise;
}

Abreast *abreast_choose(Nest *x, bool across, int lanes)
{
    Lowering *l = x->l;
    if (lanes == 1 || l->kernel->own_examples || l->kernel->band)
        return NULL;
    Abreast *a = arena_new(l->arena, Abreast, 1);
    *a = (Abreast){.nest = x, .lanes = lanes, .possible = true};
    a->row = x->shared.data[x->shared.count - 1];
    a->block = index_copy(l->pool, a->row);
    a->lane = affine_sub(l->pool, affine_index(l->pool, a->row), affine_index(l->pool, a->block));
    note_items(a);
    if (!a->possible || !a->squares.count || !leaves_enough_to_share(a))
        return NULL;
    const double otherwise = cost_as_they_lie(x, across, lanes, (double)a->row->extent);
    const uint64_t scratch = l->out->scratch_bytes;
    const ItemList items = items_of(x);
    make_blocks(a);
    replace_items(a);
    if (is_worth_it(a, otherwise))
        return a;
    restore_items(x, &items);
    l->out->scratch_bytes = scratch;
    return NULL;
}

/* ---- the loops ------------------------------------------------------------------------------------------ */

/* Between the rows of the block and their copy. */
static void turn_square(const Abreast *a, LoopList *into, const Square *s, bool back)
{
    Lowering *l = a->nest->l;
    Index *row = index_copy(l->pool, a->row);
    Index *column = index_new(l->pool, "c", s->high - s->low + 1, 0, l->out->span);
    const Affine *block = affine_index(l->pool, a->block), *to = affine_index(l->pool, row);
    const Substitution here = {1, &a->row, &to};
    const Affine *at = affine_add(
        l->pool, affine_offset(l->pool, affine_substitute(l->pool, s->base, &here), s->low),
        affine_index(l->pool, column));
    const Affine *turned =
        in_block(a, affine_index(l->pool, column), affine_sub(l->pool, to, block));
    into = &loop_range(l, into, FOR_SERIAL, row, block, a->lanes, 1)->body;
    into = &loop_for(l, into, FOR_VECTOR, column)->body;
    if (back)
        loop_store(l, into, s->rows, at,
                   expr_load(l->pool, s->rows->type, s->turned, turned, NULL, 0));
    else
        loop_store(l, into, s->turned, turned,
                   expr_load(l->pool, s->rows->type, s->rows, at, NULL, 0));
}

LoopList *abreast_open(Abreast *a, LoopList *into)
{
    Lowering *l = a->nest->l;
    a->around = a->nest->shared.count == 1
                    ? &loop_parallel(l, into, a->block, a->lanes)->body
                    : &loop_range(l, into, FOR_SERIAL, a->block, NULL, 0, a->lanes)->body;
    for (int i = 0; i < a->squares.count; i++)
        if (a->squares.data[i].read)
            turn_square(a, a->around, &a->squares.data[i], false);
    const Affine *begin = affine_index(l->pool, a->block);
    return &loop_range(l, a->around, FOR_VECTOR, a->row, begin, a->lanes, 1)->body;
}

void abreast_close(const Abreast *a)
{
    for (int i = 0; i < a->squares.count; i++)
        if (a->squares.data[i].written)
            turn_square(a, a->around, &a->squares.data[i], true);
}
