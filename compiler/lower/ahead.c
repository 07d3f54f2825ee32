/* What the tiles after this one will read, asked for while it runs: memory is far away, and the
 * processor's own guesses end at each row of a panel. */
#include "lower/tile.h"

enum {
    MOST_ROWS = 4,
    LINE_CYCLES = 20 /* for each line, of products; far memory gives one in eight */
};

static void ask(Engine *e, Loop *t, Buffer *buffer, const Affine *offset, int64_t stride, int shift)
{
    Ahead a = {buffer, offset, stride, shift, NULL};
    vec_push(e->l->arena, &t->aheads, a);
}

/* The lines of a panel's row of columns. */
static void ask_columns(Engine *e, Loop *t, Buffer *buffer, const Affine *offset, int64_t stride,
                        int shift)
{
    int64_t line = LINE_BYTES / dtype_size(e->l->real);
    for (int64_t at = 0; at < e->nr; at += line)
        ask(e, t, buffer, affine_offset(e->l->pool, offset, at), stride, shift);
}

/* Rows from a panel to that which is asked for: the next, or the one after it, where the next is sliced while this
 * one's tiles run. */
static int64_t next_panel(const Engine *e)
{
    return (e->sliced && slices_left_aside(e) ? 2 : 1) * e->mr;
}

/* That panel of rows, each of this one's tiles its part of it: some rows, or some of the depth.
 * Several panels at once are packed in the order of memory, which the processor foresees. */
static void ask_rows(Engine *e, Loop *t, const Affine *row, const Affine *column)
{
    ExprPool *p = e->l->pool;
    int64_t tiles = e->nc / e->nr, rows = divide_up(e->mr, tiles);
    bool by_row = e->depth_stride == 1;
    if (!e->left_even || e->packed_rows > e->mr || (by_row && rows > MOST_ROWS))
        return;
    const Expr *next = place_left(e, affine_offset(p, row, next_panel(e)));
    int shift = by_row ? 0 : log2_of(tiles);
    int64_t part =
        by_row ? rows * e->row_stride : ((e->chunk * e->suffix) >> shift) * e->depth_stride;
    const Affine *begin =
        affine_add(p, next->affine, affine_scale(p, tile_number(e, column), part));
    if (!by_row) {
        ask(e, t, next->buffer, affine_offset(p, begin, e->mr - 1), e->depth_stride, shift);
        return;
    }
    for (int64_t i = 0; i < rows; i++)
        ask(e, t, next->buffer, affine_offset(p, begin, i * e->row_stride), 1, 0);
}

void ahead_ask_region(Engine *e, Loop *t, Buffer *b, const Affine *begin, int64_t elements,
                      int64_t parts, const Affine *part)
{
    ExprPool *p = e->l->pool;
    const int64_t each = divide_up(elements, parts), stride = divide_up(each, e->chunk * e->suffix);
    if (is_large(e, b) && stride * dtype_size(b->type) <= LINE_BYTES)
        ask(e, t, b, affine_add(p, begin, affine_scale(p, part, each)), stride, 0);
}

typedef struct Rows {
    Engine *e;
    Loop *tile;
    const Affine *begin;  /* the panel's first row                */
    const Affine *number; /* of the tile among those of the panel */
    BufferList asked;
} Rows;

bool ahead_is_asked(Engine *e, BufferList *asked, Buffer *b)
{
    for (int i = 0; i < asked->count; i++)
        if (asked->data[i] == b)
            return true;
    vec_push(e->l->arena, asked, b);
    return false;
}

/* Rows of all the depth, one after the other, of what the operand is made of. */
static void visit_rows(void *context, const Expr *x)
{
    Rows *r = context;
    Engine *e = r->e;
    bool nested;
    if (x->kind == EXPR_LOAD && !x->count &&
        affine_factor(x->affine, affine_is_index(r->begin), &nested) == e->chunk * e->suffix &&
        !nested && !ahead_is_asked(e, &r->asked, x->buffer))
        ahead_ask_region(e, r->tile, x->buffer, x->affine, e->mr * e->chunk * e->suffix,
                         e->nc / e->nr, r->number);
}

/* The next panel of rows, where it is computed. */
static void ask_computed(Engine *e, Loop *t, const Affine *row, const Affine *column)
{
    Rows r = {.e = e, .tile = t, .begin = row, .number = tile_number(e, column)};
    const Affine *next = affine_offset(e->l->pool, row, next_panel(e));
    if (!e->left_even && e->left_by_row && e->single && e->packed_rows == e->mr)
        expr_visit(e->l->pool, place_left(e, next), visit_rows, &r);
}

/* The row's number among those of all groups. */
static const Affine *row_of_all(Engine *e, const Affine *row)
{
    ExprPool *p = e->l->pool;
    return affine_add(p, affine_scale(p, group_number(e), e->row->extent), row);
}

/* Is the result's element at row * columns + column, where rows are those of all groups? */
static bool is_in_rows(Engine *e)
{
    ExprPool *p = e->l->pool;
    const Affine *row = affine_scale(p, row_of_all(e, affine_index(p, e->row)), e->column->extent);
    Substitution groups = {e->outer.count, e->outer.from, e->outer.to};
    return e->column->extent <= e->nc && affine_substitute(p, result_offset(e), &groups) ==
                                             affine_add(p, row, affine_index(p, e->column));
}

static void ask_node(Rows *r, Node *n)
{
    Engine *e = r->e;
    const Node *result = e->l->kernel->nodes.data[0];
    if (n->kind != NODE_COMPUTE || e->l->schedule->places[n->id].kind != PLACE_WORKSPACE ||
        n->rank != result->rank || e->l->schedule->places[n->id].before ||
        node_elements(n) != node_elements(result) ||
        ahead_is_asked(e, &r->asked, buffer_of(e->l, n)))
        return;
    const int64_t columns = e->column->extent;
    ahead_ask_region(e, r->tile, buffer_of(e->l, n),
                     affine_scale(e->l->pool, row_of_all(e, r->begin), columns), e->mr * columns,
                     e->nc / e->nr, r->number);
}

static void visit_operand(void *context, const Expr *x)
{
    if (x->kind == EXPR_ACCESS)
        ask_node(context, x->node);
}

/* What the epilogue reads and writes, of the panel's rows. */
static void ask_results(Engine *e, Loop *t, const Affine *row, const Affine *column)
{
    const Kernel *k = e->l->kernel;
    Rows r = {.e = e, .tile = t, .begin = row, .number = tile_number(e, column)};
    if (!e->single || !is_in_rows(e) || k->steps.count)
        return;
    for (int i = 0; i < k->nodes.count; i++) {
        ask_node(&r, k->nodes.data[i]);
        if (i > 0)
            expr_visit(e->l->pool, e->l->schedule->bodies[k->nodes.data[i]->id], visit_operand, &r);
    }
}

/* The next chunk of the right operand, each panel of rows its part of the depth; the one after it, of what is far, where
 * the next is sliced while this one's tiles run. */
static void ask_chunk(Engine *e, Loop *t, const Affine *row, const Affine *column)
{
    ExprPool *p = e->l->pool;
    int64_t stride, tiles = e->mc / e->mr, part = divide_up(e->chunk, tiles);
    const bool aside = e->sliced && slices_right_aside(e);
    if (e->suffix > 1 || e->chunk == e->depth.data[e->split]->extent)
        return;
    const Affine *depth = affine_offset(p, e->depth_begin, e->chunk * (aside ? 2 : 1));
    const Expr *next = pack_source_row(e, column, depth, &stride);
    if (!next || (aside && !is_large(e, next->buffer)))
        return;
    const Affine *panel = affine_quotient(p, affine_sub(p, row, e->row_begin), e->mr);
    const Affine *begin = affine_add(p, next->affine, affine_scale(p, panel, part * stride));
    ask_columns(e, t, next->buffer, begin, stride, log2_of(e->chunk / part));
}

/* An operand's loads at the chunk after this one, at the block's first row and column. */
static const Expr *at_next_chunk(Engine *e, const Expr *operand)
{
    Binding b = e->outer;
    bind_flat(e, &b, &e->rows, e->row_begin);
    bind_flat(e, &b, &e->columns, e->column_begin);
    for (int i = e->split; i < e->depth.count; i++)
        bind(e, &b, e->depth.data[i],
             i == e->split ? affine_offset(e->l->pool, e->depth_begin, e->chunk)
                           : affine_constant(e->l->pool, 0));
    return bind_expr(e, operand, &b);
}

typedef struct Chunk {
    Rows tiles;
    int64_t
        width; /* of the operand's lines, which lie one after the other, for each step of depth */
} Chunk;

static void visit_chunk(void *context, const Expr *x)
{
    Chunk *c = context;
    Engine *e = c->tiles.e;
    bool nested;
    const int64_t step = e->suffix * c->width;
    if (x->kind == EXPR_LOAD && !x->count &&
        affine_factor(x->affine, affine_is_index(e->depth_begin), &nested) == step && !nested &&
        !ahead_is_asked(e, &c->tiles.asked, x->buffer))
        ahead_ask_region(e, c->tiles.tile, x->buffer, x->affine, e->chunk * step,
                         divide_up(e->mc, e->mr) * (e->nc / e->nr), c->tiles.number);
}

/* The next chunk of operands that are computed, and lie in lines of all rows or columns. */
static void ask_computed_chunk(Engine *e, Loop *t, const Affine *row, const Affine *column)
{
    ExprPool *p = e->l->pool;
    if (e->chunk == e->depth.data[e->split]->extent)
        return;
    const Affine *panel = affine_quotient(p, affine_sub(p, row, e->row_begin), e->mr);
    Chunk c = {.tiles = {.e = e, .tile = t}};
    c.tiles.number = affine_add(p, affine_scale(p, panel, e->nc / e->nr), tile_number(e, column));
    c.width = e->row->extent;
    if (!e->left_ready && e->mc >= e->row->extent)
        expr_visit(p, at_next_chunk(e, e->left), visit_chunk, &c);
    c.width = e->column->extent;
    if (e->nc >= e->column->extent && e->right->kind != EXPR_ACCESS)
        expr_visit(p, at_next_chunk(e, e->right), visit_chunk, &c);
}

void ahead_ask(Engine *e, Loop *t, const Affine *row, const Affine *column)
{
    if (e->lanes == 1)
        return;
    ahead_ask_group(e, t, row, column);
    if (e->by_lines) {
        lines_ask(e, t, row, column);
        return;
    }
    if (t->inner_count) {
        ahead_ask_windows(e, t, row, column);
        if (!e->right_ready)
            ask_computed_chunk(e, t, row, column);
        return;
    }
    ask_rows(e, t, row, column);
    ask_computed(e, t, row, column);
    ask_results(e, t, row, column);
    ask_chunk(e, t, row, column);
    ask_computed_chunk(e, t, row, column);
}

/* ---- what the epilogue reads and writes ------------------------------------------------------------------ */

typedef struct Wanted {
    Engine *e;
    Index *row, *column; /* of the epilogue */
} Wanted;

static bool has_ahead(const Loop *t, const Buffer *buffer)
{
    for (int i = 0; i < t->aheads.count; i++)
        if (t->aheads.data[i].buffer == buffer)
            return true;
    return false;
}

/* From one value of the index to the next, within a panel; 0: that is not known. */
static int64_t step_of(const Wanted *w, const Affine *offset, Index *ix)
{
    ExprPool *p = w->e->l->pool;
    const Affine *zero = affine_constant(p, 0), *one = affine_constant(p, 1);
    const Affine *step = affine_sub(p, affine_substitute(p, offset, &(Substitution){1, &ix, &one}),
                                    affine_substitute(p, offset, &(Substitution){1, &ix, &zero}));
    return step->count ? 0 : step->constant;
}

/* From one row to the next, of what is far away and lies along the columns; 0: it is or does not. */
static int64_t far_row(const Wanted *w, const Buffer *buffer, const Affine *offset)
{
    const int64_t stride = step_of(w, offset, w->row);
    return buffer->space == SPACE_OPERAND && is_large(w->e, buffer) && stride > 0 &&
                   step_of(w, offset, w->column) == 1
               ? stride
               : 0;
}

/* Lines that a tile asks for in a chunk of the depth. */
static int64_t asked_lines(const Loop *t, int64_t depth)
{
    int64_t lines = 0;
    for (int i = 0; i < t->aheads.count; i++) {
        const Ahead *a = &t->aheads.data[i];
        const int64_t bytes = a->stride * dtype_size(a->buffer->type);
        lines += (depth >> a->shift) * at_most(bytes, LINE_BYTES) / LINE_BYTES;
    }
    return lines;
}

/* Products of slices wait for their own operands where lines come as fast as far memory gives them: the tile leaves
 * some to the epilogue. */
static bool has_room(const Engine *e, int64_t lines)
{
    const int64_t depth = e->chunk * e->suffix;
    const double cycles = slices_cost(e, e->mr, e->nr) * (double)depth / depth_of(e);
    return !e->sliced || e->sum_rows ||
           (double)(asked_lines(e->tile, depth) + lines) * LINE_CYCLES <= cycles;
}

/* The lines of the tile's own part. */
static void ask_own(const Wanted *w, Buffer *buffer, const Affine *offset)
{
    Engine *e = w->e;
    ExprPool *p = e->l->pool;
    const int64_t stride = far_row(w, buffer, offset), line = LINE_BYTES / dtype_size(buffer->type);
    if (!stride || has_ahead(e->tile, buffer) || !has_room(e, e->mr * e->nr / line))
        return;
    for (int64_t at = 0; at < e->nr; at += line) {
        const Affine *own[] = {e->tile_row, affine_offset(p, e->tile_column, at)};
        const Affine *begin =
            affine_substitute(p, offset, &(Substitution){2, (Index *[]){w->row, w->column}, own});
        Ahead a = {buffer, begin, stride, log2_of(e->chunk * e->suffix / e->mr), NULL};
        if (!e->single)
            a.when = affine_offset(p, e->depth_begin, -tile_last_chunk(e));
        vec_push(e->l->arena, &e->tile->aheads, a);
    }
}

static void visit_own(void *context, const Expr *x)
{
    if (x->kind == EXPR_LOAD && !x->count)
        ask_own(context, x->buffer, x->affine);
}

static bool can_ask_own(const Engine *e)
{
    return e->lanes > 1 && !e->dots && (e->single || tile_ends_by_panels(e)) &&
           e->chunk * e->suffix >= e->mr;
}

void ahead_ask_epilogue(Engine *e, const Expr *value, Index *row, Index *column)
{
    Wanted w = {e, row, column};
    if (can_ask_own(e))
        expr_visit(e->l->pool, value, visit_own, &w);
}

void ahead_ask_result(Engine *e, Buffer *buffer, const Affine *offset, Index *row, Index *column)
{
    Wanted w = {e, row, column};
    if (can_ask_own(e))
        ask_own(&w, buffer, offset);
}

/* ---- what the tile leaves to it -------------------------------------------------------------------------- */

static bool asks_for(const LoopList *list, const Buffer *buffer)
{
    for (int i = 0; i < list->count; i++)
        if (list->data[i]->kind == LOOP_ASK && list->data[i]->buffer == buffer)
            return true;
    return false;
}

typedef struct NextRow {
    Wanted wanted;
    LoopList *into;
} NextRow;

static void ask_next(const NextRow *n, Buffer *buffer, const Affine *offset)
{
    Engine *e = n->wanted.e;
    const int64_t stride = far_row(&n->wanted, buffer, offset);
    if (stride && !has_ahead(e->tile, buffer) && !asks_for(n->into, buffer))
        loop_ask(e->l, n->into, buffer, affine_offset(e->l->pool, offset, stride));
}

static void visit_next(void *context, const Expr *x)
{
    if (x->kind == EXPR_LOAD && !x->count)
        ask_next(context, x->buffer, x->affine);
}

void ahead_ask_next_row(Engine *e, LoopList *into, Index *row, Index *column)
{
    NextRow n = {{e, row, column}, into};
    const int made = into->count;
    if (!e->sliced || !can_ask_own(e))
        return;
    for (int i = 0; i < made; i++) {
        const Loop *l = into->data[i];
        if (l->kind == LOOP_SET)
            expr_visit(e->l->pool, l->value, visit_next, &n);
        else if (l->kind == LOOP_STORE)
            ask_next(&n, l->buffer, l->offset);
    }
}
