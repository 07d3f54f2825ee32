/* Contractions: blocks of rows by columns, the operands packed (pack.c), the register tile over
 * their panels, and the epilogue while the block is in cache (epilogue.c). */
#include "lower/tile.h"

/* ---- names of indices ------------------------------------------------------------------------------------ */

/* Grows into fresh arrays, so that a copy of the binding stays what it was. */
void bind(Engine *e, Binding *b, Index *from, const Affine *to)
{
    Index **grown_from = arena_new(e->l->arena, Index *, b->count + 1);
    const Affine **grown_to = arena_new(e->l->arena, const Affine *, b->count + 1);
    for (int i = 0; i < b->count; i++) {
        grown_from[i] = b->from[i];
        grown_to[i] = b->to[i];
    }
    grown_from[b->count] = from;
    grown_to[b->count] = to;
    *b = (Binding){b->count + 1, grown_from, grown_to};
}

void bind_flat(Engine *e, Binding *b, const IndexList *list, const Affine *flat)
{
    const Affine **to = arena_new(e->l->arena, const Affine *, list->count + 1);
    flatten_into(e->l, flat, list->data, list->count, to);
    for (int i = 0; i < list->count; i++)
        bind(e, b, list->data[i], to[i]);
}

void bind_splits(Engine *e, Binding *b)
{
    const Contraction *c = &e->l->kernel->contraction;
    Substitution s = {b->count, b->from, b->to};
    for (int i = 0; i < c->splits.count; i++)
        bind(e, b, c->splits.data[i].from, affine_substitute(e->l->pool, c->splits.data[i].to, &s));
}

const Affine *binding_of(const Engine *e, const Index *ix)
{
    for (int i = 0; i < e->outer.count; i++)
        if (e->outer.from[i] == ix)
            return e->outer.to[i];
    return affine_constant(e->l->pool, 0);
}

const Affine *group_number(const Engine *e)
{
    ExprPool *p = e->l->pool;
    const Affine *number = affine_constant(p, 0);
    for (int i = 0; i < e->groups.count; i++)
        number = affine_add(p, affine_scale(p, number, e->groups.data[i]->extent),
                            binding_of(e, e->groups.data[i]));
    return number;
}

const Expr *bind_expr(Engine *e, const Expr *x, const Binding *b)
{
    Substitution s = {b->count, b->from, b->to};
    return lower_expr(e->l, x, &s);
}

const Affine *tile_number(const Engine *e, const Affine *column)
{
    ExprPool *p = e->l->pool;
    return affine_quotient(p, affine_sub(p, column, e->column_begin), e->nr);
}

LoopList *tile_open_last(Engine *e, LoopList *into, const Affine *number, int64_t last)
{
    ExprPool *p = e->l->pool;
    if (!last)
        return into;
    Index *once = index_new(p, "last", 1, 0, e->row->span);
    const Affine *before = affine_sub(p, affine_constant(p, last), number);
    return &loop_range(e->l, into, FOR_SERIAL, once, before, 1, 1)->body;
}

/* ---- the block ------------------------------------------------------------------------------------------------- */

/* Do panels run on through sums over rows, into a buffer where the first follow the last ones? */
static bool runs_through(const Engine *e)
{
    return e->sliced && !e->by_lines && e->single && e->sum_rows;
}

/* Rows that the tiles' buffer holds at once. */
static int64_t buffer_rows(const Engine *e)
{
    const int64_t both = e->sum_rows ? e->sum_rows / gcd(e->sum_rows, e->mr) * e->mr : 0;
    if (runs_through(e) && e->mc % both == 0)
        return both;
    if (e->single && !runs_through(e))
        return tile_set(e) ? round_up(tile_set(e), e->mr) : e->mr;
    return round_up(e->mc, e->mr);
}

/* The row that would be the buffer's first, of what is at this one. */
static const Affine *buffer_origin(const Engine *e, const Affine *row)
{
    ExprPool *p = e->l->pool;
    const Affine *local = affine_sub(p, row, e->row_begin);
    return runs_through(e) ? affine_sub(p, row, affine_remainder(p, local, buffer_rows(e))) : row;
}

static void emit_zero(Engine *e, LoopList *into)
{
    ExprPool *p = e->l->pool;
    Index *row = index_new(p, "row", buffer_rows(e), 0, e->row->span),
          *column = index_new(p, "column", e->nc, 0, e->row->span);
    into = &loop_for(e->l, into, FOR_SERIAL, row)->body;
    into = &loop_for(e->l, into, FOR_VECTOR, column)->body;
    const Affine *offset =
        affine_add(p, affine_scale(p, affine_index(p, row), e->nc), affine_index(p, column));
    loop_store(e->l, into, e->c, offset, expr_const_typed(p, 0, e->l->real));
}

/* Is it the same for all lines of a panel, n of them?  The number of a larger block of lines is. */
static bool is_same_in_panel(const Affine *a, const Index *line, int n)
{
    for (int i = 0; i < a->count; i++) {
        const Term *t = &a->terms[i];
        const bool blocks = t->kind == TERM_QUOTIENT && affine_is_index(t->inner) == line;
        if (t->kind == TERM_INDEX
                ? t->index == line
                : !(blocks && t->divisor % n == 0) && !is_same_in_panel(t->inner, line, n))
            return false;
    }
    return true;
}

/* a at the row and the column of the panels, of n lines each, at which it is largest. */
static bool largest_in_panel(ExprPool *p, const Affine **a, const Affine *line, int n)
{
    Index *ix = (Index *)affine_is_index(line);
    const int64_t factor = affine_factor(*a, ix, NULL);
    const Affine *others = affine_sub(p, *a, affine_scale(p, affine_index(p, ix), factor));
    if (factor > 0)
        *a = affine_offset(p, *a, factor * (n - 1));
    return is_same_in_panel(others, ix, n);
}

/* Of two bounds the one that is tighter, halfway through its values. */
static void keep_bound(const Affine **bound, const Affine *other, int sign)
{
    const Interval a = *bound ? affine_interval(*bound) : (Interval){0}, b = affine_interval(other);
    if (!*bound || sign * (b.low + b.high) > sign * (a.low + a.high))
        *bound = other;
}

/* The test as bounds of the chunked depth index d: factor * d + rest >= 0. */
static void limit_tile(Engine *e, Loop *t, const Affine *test, const Affine *row,
                       const Affine *column)
{
    ExprPool *p = e->l->pool;
    Index *d = e->depth.data[e->split];
    bool nested = false;
    int64_t factor = affine_factor(test, d, &nested);
    const Affine *rest = affine_sub(p, test, affine_scale(p, affine_index(p, d), factor));
    for (int i = e->split + 1; i < e->depth.count; i++)
        nested |= affine_uses(rest, e->depth.data[i]);
    Binding b = e->outer;
    bind_flat(e, &b, &e->rows, row);
    bind_flat(e, &b, &e->columns, column);
    rest = affine_substitute(p, rest, &(Substitution){b.count, b.from, b.to});
    if (nested || !largest_in_panel(p, &rest, row, e->mr) ||
        !largest_in_panel(p, &rest, column, e->nr))
        return;
    const int64_t steps = t->depth_index->extent / d->extent; /* of each of its values */
    if (factor > 0)
        keep_bound(&t->depth_from, affine_scale(p, affine_quotient(p, rest, factor), -steps), 1);
    else if (factor < 0)
        keep_bound(&t->depth_to,
                   affine_scale(p, affine_offset(p, affine_quotient(p, rest, -factor), 1), steps),
                   -1);
    else if (!t->depth_to) /* all of the depth, or nothing */
        t->depth_to = affine_scale(p, affine_offset(p, rest, 1), d->extent * steps);
}

static void set_left(Engine *e, Loop *t, const Affine *row)
{
    const Expr *load = e->left_ready ? place_left(e, row) : NULL;
    t->a = load ? load->buffer : e->a;
    t->a_offset = load ? load->affine : pack_left_place(e, row);
    t->a_row_stride = e->tile_row_stride;
}

static void set_right(Engine *e, Loop *t, const Affine *column)
{
    const Expr *load = e->right_ready ? place_right(e, column) : NULL;
    const Affine *local = affine_sub(e->l->pool, column, e->column_begin);
    t->b = load ? load->buffer : e->b;
    t->b_offset = load ? load->affine : affine_scale(e->l->pool, local, e->chunk * e->suffix);
}

enum { MOST_SLIDES = 7 };

/* The index of the depth that moves windows by whole rows: with one vector of columns each multiply-add would
 * fetch an element of its own, where those of neighbouring rows are the same.  -1: there is none. */
static int find_slide(const Engine *e)
{
    for (int i = e->split + 1; e->windows && e->nr == e->lanes && i < e->depth.count; i++) {
        const int64_t count = e->depth.data[i]->extent, step = e->left_steps[i];
        if ((step == e->row_stride || step == -e->row_stride) && count > 1 &&
            count <= MOST_SLIDES && e->mr + count + 2 <= e->l->lanes->vector_registers)
            return i;
    }
    return -1;
}

/* The chunk as loops, neighbours that both operands treat as one merged: what is merged with the
 * outermost, the index that comes in chunks, counts with it. */
static void set_depth(Engine *e, Loop *t)
{
    Index *split = e->depth.data[e->split];
    const int slide = find_slide(e);
    int at = e->depth.count - 1;
    if (slide >= 0)
        t->slide =
            (DepthLoop){e->depth.data[slide]->extent, e->left_steps[slide], e->right_steps[slide]};
    if (slide == at)
        at--;
    DepthLoop loop = {1, e->left_steps[at], e->right_steps[at]};
    for (; at >= e->split; at--) {
        if (at == slide)
            continue;
        const int64_t a = e->left_steps[at], b = e->right_steps[at];
        if (a != loop.a_stride * loop.count || b != loop.b_stride * loop.count) {
            if (t->inner_count == MOST_DEPTH_LOOPS)
                bug("a tile of more than %d loops", MOST_DEPTH_LOOPS);
            for (int i = t->inner_count++; i > 0; i--)
                t->inner[i] = t->inner[i - 1];
            t->inner[0] = loop;
            loop = (DepthLoop){1, a, b};
        }
        if (at > e->split)
            loop.count *= e->depth.data[at]->extent;
    }
    t->a_depth_stride = loop.a_stride;
    t->b_stride = loop.b_stride;
    t->depth_index = index_new(e->l->pool, "depth", split->extent * loop.count,
                               split->per_example * loop.count, split->span);
    t->depth_begin = affine_scale(e->l->pool, e->depth_begin, loop.count);
    t->depth_length = e->chunk * loop.count;
}

/* The tile at the row and the column, into the buffer that begins with the row `origin`. */
static Loop *emit_tile(Engine *e, LoopList *into, const Affine *row, const Affine *column,
                       int columns, const Affine *origin)
{
    ExprPool *p = e->l->pool;
    Loop *t = loop_append(e->l, into, LOOP_TILE);
    t->c = e->c;
    const Affine *local = affine_sub(p, column, e->column_begin);
    if (e->sliced) {
        slices_set(e, t, row, column);
    } else {
        set_left(e, t, row);
        set_right(e, t, column);
        set_depth(e, t);
    }
    t->c_offset = affine_add(p, affine_scale(p, affine_sub(p, row, origin), e->nc), local);
    t->rows = e->mr;
    t->columns = columns;
    t->c_stride = (int)e->nc;
    t->accumulate = !e->single;
    const Contraction *contraction = &e->l->kernel->contraction;
    for (int i = 0; i < contraction->limits.count; i++)
        limit_tile(e, t, contraction->limits.data[i]->affine, row, column);
    if (e->dots)
        dots_set(e, t, row, column);
    else if (columns == e->nr)
        ahead_ask(e, t, row, column);
    return t;
}

/* Opens the loops over chunks of the depth. */
static LoopList *open_chunks(Engine *e, LoopList *into)
{
    ExprPool *p = e->l->pool;
    for (int i = 0; i < e->split; i++) {
        Index *ix = index_copy(p, e->depth.data[i]);
        into = &loop_for(e->l, into, FOR_SERIAL, ix)->body;
        bind(e, &e->outer, e->depth.data[i], affine_index(p, ix));
    }
    e->depth_begin = affine_constant(p, 0);
    if (e->chunk < e->depth.data[e->split]->extent) {
        Index *ix = index_copy(p, e->depth.data[e->split]);
        Loop *chunks = loop_range(e->l, into, FOR_SERIAL, ix, NULL, 0, e->chunk);
        chunks->end = e->depth_end;
        into = &chunks->body;
        e->depth_begin = affine_index(p, ix);
    }
    return into;
}

/* Opens the loop over the panels of `length` rows from `begin`, which are packed so many at once. */
static LoopList *open_panels(Engine *e, LoopList *into, Index *row, const Affine *begin,
                             int64_t length)
{
    ExprPool *p = e->l->pool;
    bool one_by_one = e->packed_rows == e->mr;
    e->packed_begin = begin;
    if (e->sliced && slices_left_aside(e)) /* the others while tiles run */
        slices_left(e, into);
    if (e->packed_rows < length || one_by_one) {
        Index *first = one_by_one ? row : index_copy(p, e->row);
        e->packed_begin = affine_index(p, first);
        Loop *panels = loop_range(e->l, into, FOR_SERIAL, first, begin, length, e->packed_rows);
        panels->end = e->row_end;
        into = &panels->body;
    }
    if (!e->sliced && !e->left_ready)
        pack_left(e, into);
    else if (e->sliced && !slices_left_aside(e))
        slices_left(e, into);
    if (one_by_one)
        return into;
    Loop *rows = loop_range(e->l, into, FOR_SERIAL, row, e->packed_begin, e->packed_rows, e->mr);
    rows->end = e->row_end;
    return &rows->body;
}

/* The panels, into a buffer that begins with the row `origin`, or (NULL) that holds each for a while; gives the
 * body of the loop over them, *row the panel's first row. */
static LoopList *emit_panels(Engine *e, LoopList *into, const Affine *begin, int64_t length,
                             const Affine *origin, const Affine **row)
{
    ExprPool *p = e->l->pool;
    const int64_t last = (e->column->extent - 1) / e->nc;
    Index *panel = index_copy(p, e->row);
    Index *column = index_new(p, e->column->name, e->column->extent - e->rest,
                              e->column->per_example, e->column->span);
    *row = affine_index(p, panel);
    origin = origin ? origin : buffer_origin(e, *row);
    into = open_panels(e, into, panel, begin, length);
    Loop *panels = loop_range(e->l, into, FOR_SERIAL, column, e->column_begin, e->nc, e->nr);
    panels->end = e->column_end;
    e->tile = emit_tile(e, &panels->body, *row, affine_index(p, column), e->nr, origin);
    e->tile_row = *row;
    e->tile_column = affine_index(p, column);
    if (e->rest)
        emit_tile(e, tile_open_last(e, into, e->column_block, last), *row,
                  affine_constant(p, column->extent), (int)e->rest, origin);
    return into;
}

/* The rows whose epilogue runs at once, one such set after the other. */
static LoopList *open_sets(Engine *e, LoopList *into, const Affine **begin)
{
    Index *rows = index_copy(e->l->pool, e->row);
    *begin = affine_index(e->l->pool, rows);
    return &loop_range(e->l, into, FOR_SERIAL, rows, e->row_begin, e->mc, tile_set(e))->body;
}

/* Where the rows of so many whole sums of the block end. */
static const Affine *whole_sums(Engine *e, const Affine *sums)
{
    return affine_add(e->l->pool, e->row_begin, affine_scale(e->l->pool, sums, e->sum_rows));
}

/* Those that the panel at the row completes; the last one may reach into the next block. */
static LoopList *open_whole_sums(Engine *e, LoopList *into, const Affine *row, const Affine **begin)
{
    ExprPool *p = e->l->pool;
    Index *rows = index_copy(p, e->row);
    const int64_t last = (e->mc - 1) / e->mr * e->mr,
                  beyond = (last + e->mr) / e->sum_rows - e->mc / e->sum_rows;
    const Affine *local = affine_sub(p, row, e->row_begin),
                 *before = affine_quotient(p, local, e->sum_rows),
                 *after = affine_quotient(p, affine_offset(p, local, e->mr), e->sum_rows);
    if (beyond) {
        const Affine *is_last = last ? affine_quotient(p, local, last) : affine_constant(p, 1);
        after = affine_sub(p, after, affine_scale(p, is_last, beyond));
    }
    *begin = affine_index(p, rows);
    Loop *whole = loop_range(e->l, into, FOR_SERIAL, rows, whole_sums(e, before), 0, e->sum_rows);
    whole->end = whole_sums(e, after);
    return &whole->body;
}

bool tile_ends_by_panels(const Engine *e)
{
    return e->sliced && !e->single && !e->sum_rows && e->split == 0 &&
           !e->depth.data[0]->per_example;
}

/* What the last chunk of the depth alone does. */
static LoopList *open_last_chunk(Engine *e, LoopList *into)
{
    return tile_open_last(e, into, affine_quotient(e->l->pool, e->depth_begin, e->chunk),
                          tile_last_chunk(e) / e->chunk);
}

static void emit_block(Engine *e, LoopList *into)
{
    LoopList *block = into, *panel;
    const Affine *row, *begin;
    if (!e->single && !e->sliced)
        emit_zero(e, into);
    Binding groups = e->outer;
    const bool aside = e->sliced && slices_right_aside(e);
    if (aside) { /* the first chunk, the others while tiles run */
        e->depth_begin = affine_constant(e->l->pool, 0);
        slices_right(e, into);
    }
    into = open_chunks(e, into);
    if (!e->sliced && !e->right_ready)
        pack_right(e, into);
    else if (e->sliced && !aside)
        slices_right(e, into);
    if (runs_through(e)) {
        panel = emit_panels(e, into, e->row_begin, e->mc, NULL, &row);
        e->outer = groups;
        into = open_whole_sums(e, panel, row, &begin);
        epilogue_emit(e, into, begin, e->sum_rows, buffer_origin(e, begin));
        return;
    }
    if (e->single && tile_set(e)) {
        into = open_sets(e, into, &begin);
        emit_panels(e, into, begin, tile_set(e), begin, &row);
        e->outer = groups;
        epilogue_emit(e, into, begin, tile_set(e), begin);
        return;
    }
    panel = emit_panels(e, into, e->row_begin, e->mc, e->single ? NULL : e->row_begin, &row);
    e->outer = groups;
    if (e->single) {
        epilogue_emit(e, panel, row, e->mr, row);
    } else if (tile_ends_by_panels(e)) {
        epilogue_emit(e, open_last_chunk(e, panel), row, e->mr, e->row_begin);
    } else if (e->sum_rows) {
        block = open_sets(e, block, &begin);
        epilogue_emit(e, block, begin, e->sum_rows, e->row_begin);
    } else {
        epilogue_emit(e, block, e->row_begin, e->mc, e->row_begin);
    }
}

/* The block has room for whole squares of lanes: the epilogue may turn it around by them. */
static void make_buffers(Engine *e)
{
    int64_t depth = e->chunk * e->suffix, rows = round_up(buffer_rows(e), e->lanes);
    if (e->sliced) {
        slices_buffers(e);
    } else {
        if (!e->left_ready)
            e->a = scratch_new(e->l, e->l->real, pack_left_size(e));
        if (!e->right_ready)
            e->b = scratch_new(e->l, e->l->real, depth * e->nc);
    }
    e->c = scratch_new(e->l, e->l->real, rows * e->nc);
}

/* Where what the list flattens to ends, by the test: it is to be  rest - flat >= 0. */
static const Affine *end_of(Engine *e, const Affine *test, const IndexList *list, Index *flat)
{
    ExprPool *p = e->l->pool;
    Binding b = e->outer;
    bool nested = false;
    bind_flat(e, &b, list, affine_index(p, flat));
    bind_splits(e, &b);
    test = affine_substitute(p, test, &(Substitution){b.count, b.from, b.to});
    if (affine_factor(test, flat, &nested) != -1 || nested)
        return NULL;
    return affine_offset(p, affine_add(p, test, affine_index(p, flat)), 1);
}

/* Where the rows, the columns or the depth end, of strips of triangular matrices. */
static void set_ends(Engine *e)
{
    const Schedule *s = e->l->schedule;
    const Expr *test = s->ends ? s->ends[e->l->kernel->nodes.data[0]->id] : NULL;
    if (!test)
        return;
    e->row_end = end_of(e, test->affine, &e->rows, e->row);
    e->column_end = end_of(e, test->affine, &e->columns, e->column);
    if (e->depth.count == 1) {
        Index *ix = index_copy(e->l->pool, e->depth.data[0]);
        e->depth_end = end_of(e, test->affine, &e->depth, ix);
    }
}

void lower_contraction(Lowering *l)
{
    Engine e = plan_contraction(l);
    ExprPool *p = l->pool;
    for (int i = 0; i < l->kernel->steps.count; i++)
        bind(&e, &e.outer, l->kernel->steps.data[i], affine_index(p, l->kernel->steps.data[i]));
    make_buffers(&e);
    int64_t row_blocks = divide_up(e.row->extent, e.mc),
            column_blocks = divide_up(e.column->extent, e.nc);
    int64_t blocks = row_blocks * column_blocks;
    Index *group = flatten_indices(l, "group", e.groups.data, e.groups.count);
    Index *block =
        index_new(p, "block", group->extent * blocks, group->per_example * blocks, l->out->span);
    const Affine *at = affine_index(p, block);
    bind_flat(&e, &e.outer, &e.groups, affine_quotient(p, at, blocks));
    set_ends(&e);
    const Affine *in_group = affine_remainder(p, at, blocks);
    e.row_begin = affine_scale(p, affine_quotient(p, in_group, column_blocks), e.mc);
    e.column_block = affine_remainder(p, in_group, column_blocks);
    e.column_begin = affine_scale(p, e.column_block, e.nc);
    emit_block(&e, &loop_parallel(l, &l->out->body, block, 1)->body);
}
