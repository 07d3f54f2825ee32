/* What tiles that read windows in place ask for: the windows' next rows, the next chunk of a sum over
 * positions, and what the epilogue reads and writes. */
#include "lower/tile.h"

enum { MOST_SOME_ROWS = 64 };

static int64_t steps_of(const Engine *e)
{
    return e->chunk * e->suffix;
}

/* How far the indices of the list lead whose steps are so wide at least. */
static int64_t reach_of(const IndexList *list, int from, const int64_t *steps, int64_t least)
{
    int64_t reach = 0;
    for (int i = from; i < list->count; i++)
        if (steps[i] >= least)
            reach += steps[i] * (list->data[i]->extent - 1);
    return reach;
}

/* Of the next panel's windows what this one's did not reach: their last lines. */
static void ask_next_windows(Engine *e, Loop *t, const Affine *row, const Affine *column)
{
    ExprPool *p = e->l->pool;
    const Expr *next = place_left(e, affine_offset(p, row, e->mr));
    const int64_t reach = reach_of(&e->depth, e->split, e->left_steps, e->row_stride);
    ahead_ask_region(e, t, next->buffer, affine_offset(p, next->affine, reach),
                     e->mr * e->row_stride, e->nc / e->nr, tile_number(e, column));
}

/* Of an operand the next chunk's positions, or all of the next value's of the index before it. */
static void ask_next_positions(Engine *e, Loop *t, const Expr *first, const int64_t *steps,
                               int64_t reach, const Affine *number)
{
    ExprPool *p = e->l->pool;
    const bool whole = e->chunk == e->depth.data[e->split]->extent;
    const int64_t chunk = e->chunk * steps[e->split],
                  begin = whole ? steps[e->split - 1] : chunk + reach;
    ahead_ask_region(e, t, first->buffer, affine_offset(p, first->affine, begin),
                     whole ? chunk + reach : chunk, divide_up(e->mc, e->mr) * (e->nc / e->nr),
                     number);
}

static int64_t column_reach(Engine *e)
{
    IndexList *columns = &e->columns;
    int64_t *steps = arena_new(e->l->arena, int64_t, columns->count + 1);
    const Affine *offset = lower_expr(e->l, e->right, NULL)->affine;
    for (int i = 0; i < columns->count; i++)
        steps[i] = affine_factor(offset, columns->data[i], NULL);
    return reach_of(columns, 0, steps, e->right_steps[e->split]);
}

/* Of rows that are some of those that lie side by side, each position's lines. */
static void ask_next_rows(Engine *e, Loop *t, const Affine *number)
{
    ExprPool *p = e->l->pool;
    const Expr *first = place_left(e, e->row_begin);
    const bool whole = e->chunk == e->depth.data[e->split]->extent;
    const int64_t chunk = e->chunk * e->left_steps[e->split],
                  begin = whole ? e->left_steps[e->split - 1] : chunk,
                  step = e->left_steps[e->depth.count - 1],
                  each = divide_up(chunk / step, divide_up(e->mc, e->mr) * (e->nc / e->nr)),
                  line = LINE_BYTES / dtype_size(e->l->real);
    if (!is_large(e, first->buffer) || step <= 0 || each > steps_of(e))
        return;
    const Affine *at =
        affine_add(p, affine_offset(p, first->affine, begin), affine_scale(p, number, each * step));
    for (int64_t i = 0; i < e->mc; i += line) {
        Ahead a = {first->buffer, affine_offset(p, at, i), step, log2_of(steps_of(e) / each), NULL};
        vec_push(e->l->arena, &t->aheads, a);
    }
}

static void ask_next_chunk(Engine *e, Loop *t, const Affine *row, const Affine *column)
{
    ExprPool *p = e->l->pool;
    const Affine *zero = affine_constant(p, 0),
                 *panel = affine_quotient(p, affine_sub(p, row, e->row_begin), e->mr);
    const Affine *number =
        affine_add(p, affine_scale(p, panel, e->nc / e->nr), tile_number(e, column));
    if (e->mc >= e->row->extent)
        ask_next_positions(e, t, place_left(e, zero), e->left_steps, 0, number);
    else if (e->mc <= MOST_SOME_ROWS)
        ask_next_rows(e, t, number);
    ask_next_positions(e, t, place_right(e, zero), e->right_steps, column_reach(e), number);
}

void ahead_ask_windows(Engine *e, Loop *t, const Affine *row, const Affine *column)
{
    if (!e->windows)
        return;
    if (e->row_stride > 1)
        ask_next_windows(e, t, row, column);
    else if (e->right_ready && !e->in_panels && !e->single)
        ask_next_chunk(e, t, row, column);
}
