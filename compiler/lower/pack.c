/* Packing: an operand's panel in the order that the register tile reads it.  This is where im2col,
 * transposes, padding and elementwise prologues live: they are just the operand's expression. */
#include "lower/tile.h"

#include <math.h>

/* ---- which way memory runs ---------------------------------------------------------------------------- */

static double cost_along(Engine *e, const Expr *value, const Index *v, int64_t reach)
{
    int64_t used = reach < e->lanes ? reach : e->lanes;
    return (access_cost(e->l, value, v, e->lanes) + 1) / (double)used;
}

/* The index of the list that is cheapest to run over lanes; an index over the batch must stay first. */
static int cheapest(Engine *e, const Expr *value, const IndexList *list, double *cost)
{
    int best = list->count - 1;
    *cost = INFINITY;
    for (int i = list->count - 1; i >= 0; i--) {
        double c = cost_along(e, value, list->data[i], list->data[i]->extent);
        if (c < *cost && (list->count == 1 || !list->data[i]->per_example)) {
            *cost = c;
            best = i;
        }
    }
    return best;
}

static void move_last(IndexList *list, int at)
{
    Index *moved = list->data[at];
    for (int i = at; i + 1 < list->count; i++)
        list->data[i] = list->data[i + 1];
    list->data[list->count - 1] = moved;
}

static double cost_flat(Engine *e, const Expr *operand, const IndexList *list, Index *flat,
                        int64_t reach)
{
    Binding b = {0};
    bind_flat(e, &b, list, affine_index(e->l->pool, flat));
    return cost_along(e, bind_expr(e, operand, &b), flat, reach);
}

void pack_order(Engine *e)
{
    double cost;
    move_last(&e->depth, cheapest(e, lower_expr(e->l, e->left, NULL), &e->depth, &cost));
    move_last(&e->columns, cheapest(e, lower_expr(e->l, e->right, NULL), &e->columns, &cost));
}

void pack_plan(Engine *e)
{
    double by_depth, by_column;
    const Expr *left = lower_expr(e->l, e->left, NULL), *right = lower_expr(e->l, e->right, NULL);
    cheapest(e, left, &e->depth, &by_depth);
    cheapest(e, right, &e->columns, &by_column);
    e->left_by_row = by_depth < cost_flat(e, e->left, &e->rows, e->row, e->mr);
    const Index *last = e->depth.data[e->depth.count - 1];
    e->right_by_depth = e->lanes > 1 && last->extent >= e->lanes &&
                        cost_along(e, right, last, last->extent) < by_column / 2;
}

/* Do the operand's lines lie one after the other along its rows or columns?  Then a line of the
 * whole block is read as it lies, though it is written to one panel after the other: memory is asked
 * for in order. */
static bool lies_along(Engine *e, const Expr *operand, const IndexList *list, Index *flat)
{
    Binding b = {0};
    bind_flat(e, &b, list, affine_index(e->l->pool, flat));
    const Expr *load = bind_expr(e, operand, &b);
    bool nested = false;
    return load->kind == EXPR_LOAD && affine_factor(load->affine, flat, &nested) == 1 && !nested;
}

static int64_t panel_size(const Engine *e)
{
    return e->chunk * e->suffix * e->mr;
}

static bool is_far(const Engine *e)
{
    int64_t bytes = e->row->extent * dtype_size(e->l->real);
    for (int i = 0; i < e->depth.count; i++)
        bytes *= e->depth.data[i]->extent;
    return bytes > e->l->lanes->l2_bytes;
}

/* Where the rows' elements lie side by side, and not in the second cache, as many as fill a quarter
 * of that. */
int64_t pack_left_rows(Engine *e)
{
    if (e->left_ready || e->left_by_row || e->sum_rows || !is_far(e) ||
        !lies_along(e, e->left, &e->rows, e->row))
        return e->mr;
    int64_t panels = e->mc / e->mr, at_once = panels,
            bytes = panel_size(e) * dtype_size(e->l->real);
    while (at_once > 1 && (panels % at_once || at_once * bytes > e->l->lanes->l2_bytes / 4))
        at_once--;
    return at_once * e->mr;
}

double pack_cost_left(Engine *e)
{
    double by_row = cost_flat(e, e->left, &e->rows, e->row, e->mr), by_depth;
    cheapest(e, lower_expr(e->l, e->left, NULL), &e->depth, &by_depth);
    return by_row < by_depth ? by_row : by_depth;
}

enum { TRANSPOSE_COST = 1 };

double pack_cost_right(Engine *e)
{
    double by_column;
    cheapest(e, lower_expr(e->l, e->right, NULL), &e->columns, &by_column);
    return e->right_by_depth ? TRANSPOSE_COST : by_column;
}

/* ---- the loops -------------------------------------------------------------------------------------------- */

/* Loops over the chunk's depth indices but the last `without` with fresh indices; *at: the place in
 * the chunk; *last: the innermost loop. */
static LoopList *open_depth(Engine *e, LoopList *into, Binding *b, const Affine **at, Loop **last,
                            int without)
{
    ExprPool *p = e->l->pool;
    *at = affine_constant(p, 0);
    for (int i = e->split; i < e->depth.count - without; i++) {
        Index *ix = index_copy(p, e->depth.data[i]);
        const Affine *begin = i == e->split ? e->depth_begin : NULL;
        *last = loop_range(e->l, into, FOR_SERIAL, ix, begin, begin ? e->chunk : 0, 1);
        into = &(*last)->body;
        bind(e, b, e->depth.data[i], affine_index(p, ix));
        const Affine *place =
            begin ? affine_sub(p, affine_index(p, ix), begin) : affine_index(p, ix);
        *at = affine_add(p, affine_scale(p, *at, ix->extent), place);
    }
    return into;
}

static void make_vector(Engine *e, Loop *loop)
{
    if (e->l->lanes->vector_bytes > 4)
        loop->how = FOR_VECTOR;
}

/* From one panel to the next: a line more than it has where whole ways of the first cache would put
 * all panels at one place in it. */
static int64_t panel_stride(const Engine *e)
{
    int64_t size = dtype_size(e->l->real);
    return panel_size(e) + (panel_size(e) * size % WAY_BYTES ? 0 : LINE_BYTES / size);
}

int64_t pack_left_size(const Engine *e)
{
    return (e->packed_rows / e->mr - 1) * panel_stride(e) + panel_size(e);
}

const Affine *pack_left_place(const Engine *e, const Affine *row)
{
    ExprPool *p = e->l->pool;
    if (e->packed_rows == e->mr)
        return affine_constant(p, 0);
    const Affine *panel = affine_quotient(p, affine_sub(p, row, e->packed_begin), e->mr);
    return affine_scale(p, panel, panel_stride(e));
}

/* A line of the panel, `length` rows below `end`. */
static void pack_line(Engine *e, LoopList *into, Binding b, const Affine *at, const Affine *panel,
                      int64_t length, int64_t end)
{
    ExprPool *p = e->l->pool;
    Index *row = index_new(p, e->row->name, end, e->row->per_example, e->row->span);
    into = &loop_range(e->l, into, FOR_VECTOR, row, panel, length, 1)->body;
    const Affine *offset = affine_add(p, affine_scale(p, at, e->mr), pack_left_place(e, panel));
    offset = affine_add(p, offset, affine_sub(p, affine_index(p, row), panel));
    bind_flat(e, &b, &e->rows, affine_index(p, row));
    loop_store(e->l, into, e->a, offset, bind_expr(e, e->left, &b));
}

/* A line of all panels that are packed at once.  The last of all is one of its own where it is cut short: the
 * others are copied without a look at where the rows end. */
static void pack_lines(Engine *e, LoopList *into, const Binding *b, const Affine *at)
{
    ExprPool *p = e->l->pool;
    const int64_t rows = e->row->extent,
                  rest = e->row->per_example || rows < e->mr ? 0 : rows % e->mr,
                  whole = rows - rest;
    Index *first = index_new(p, e->row->name, whole, e->row->per_example, e->row->span);
    if (e->packed_rows == e->mr && !rest) {
        pack_line(e, into, *b, at, e->packed_begin, e->mr, rows);
        return;
    }
    LoopList *panels =
        &loop_range(e->l, into, FOR_SERIAL, first, e->packed_begin, e->packed_rows, e->mr)->body;
    pack_line(e, panels, *b, at, affine_index(p, first), e->mr, whole);
    if (!rest)
        return;
    const Affine *number = affine_quotient(p, e->packed_begin, e->packed_rows);
    into = tile_open_last(e, into, number, whole / e->packed_rows);
    pack_line(e, into, *b, at, affine_constant(p, whole), rest, rows);
}

void pack_left(Engine *e, LoopList *into)
{
    ExprPool *p = e->l->pool;
    Binding b = e->outer;
    Index *row = index_copy(p, e->row);
    const Affine *begin = e->packed_begin, *at, *offset;
    Loop *last = NULL;
    if (e->left_by_row) {
        into = &loop_range(e->l, into, FOR_SERIAL, row, begin, e->mr, 1)->body;
        into = open_depth(e, into, &b, &at, &last, 0);
        make_vector(e, last);
        offset = affine_scale(p, affine_sub(p, affine_index(p, row), begin), e->chunk * e->suffix);
        offset = affine_add(p, offset, at);
        bind_flat(e, &b, &e->rows, affine_index(p, row));
        loop_store(e->l, into, e->a, offset, bind_expr(e, e->left, &b));
        return;
    }
    into = open_depth(e, into, &b, &at, &last, 0);
    pack_lines(e, into, &b, at);
}

/* The widest piece of a panel in which the innermost column index runs on without a break, where
 * the columns come in whole pieces; 0: take them as they come. */
static int64_t piece_width(const Engine *e)
{
    int64_t inner = e->columns.data[e->columns.count - 1]->extent;
    if (e->columns.count == 1 || e->column->per_example)
        return 0;
    if (inner % e->nr == 0)
        return e->nr;
    return e->nr % inner == 0 && e->nc % inner == 0 ? inner : 0;
}

/* Pieces of whole columns: index q counts pieces, t runs over the lanes of one. */
static void pack_pieces(Engine *e, LoopList *into, int64_t width)
{
    ExprPool *p = e->l->pool;
    Binding b = e->outer;
    Index *q = index_new(p, "piece", e->column->extent / width, 0, e->column->span);
    Index *t = index_new(p, "lane", width, 0, e->column->span);
    const Affine *first = affine_quotient(p, e->column_begin, width), *at;
    Loop *last;
    into = &loop_range(e->l, into, FOR_SERIAL, q, first, e->nc / width, 1)->body;
    into = open_depth(e, into, &b, &at, &last, 0);
    into = &loop_for(e->l, into, FOR_VECTOR, t)->body;
    const Affine *lane = affine_index(p, t), *piece = affine_index(p, q);
    bind_flat(e, &b, &e->columns, affine_add(p, affine_scale(p, piece, width), lane));
    int64_t per_panel = e->nr / width;
    const Affine *local_piece = affine_sub(p, piece, first);
    const Affine *panel = affine_quotient(p, local_piece, per_panel);
    const Affine *within =
        affine_add(p, affine_scale(p, affine_remainder(p, local_piece, per_panel), width), lane);
    const Affine *offset = affine_scale(p, panel, e->chunk * e->suffix * e->nr);
    offset = affine_add(p, offset, affine_add(p, affine_scale(p, at, e->nr), within));
    loop_store(e->l, into, e->b, offset, bind_expr(e, e->right, &b));
}

/* A square of lanes by lanes at a time: vectors along the depth, stored across. */
static void pack_transposed(Engine *e, LoopList *into)
{
    ExprPool *p = e->l->pool;
    Binding b = e->outer;
    int at_last = e->depth.count - 1;
    Index *panel = index_copy(p, e->column), *column = index_copy(p, e->column);
    Index *piece = index_copy(p, e->depth.data[at_last]),
          *depth = index_copy(p, e->depth.data[at_last]);
    const Affine *start = affine_index(p, panel), *at;
    Loop *last;
    Loop *panels = loop_range(e->l, into, FOR_SERIAL, panel, e->column_begin, e->nc, e->lanes);
    panels->end = e->column_end;
    into = &panels->body;
    into = open_depth(e, into, &b, &at, &last, 1);
    bool split = e->split == at_last;
    into = &loop_range(e->l, into, FOR_SERIAL, piece, split ? e->depth_begin : NULL,
                       split ? e->chunk : 0, e->lanes)
                ->body;
    into = &loop_range(e->l, into, FOR_SERIAL, column, start, e->lanes, 1)->body;
    into = &loop_range(e->l, into, FOR_VECTOR, depth, affine_index(p, piece), e->lanes, 1)->body;
    bind(e, &b, e->depth.data[at_last], affine_index(p, depth));
    bind_flat(e, &b, &e->columns, affine_index(p, column));
    const Affine *place = affine_index(p, depth);
    if (split)
        place = affine_sub(p, place, e->depth_begin);
    at = affine_add(p, affine_scale(p, at, depth->extent), place);
    /* the piece of lanes columns lies in panel local / nr, at local % nr of its rows */
    const Affine *local = affine_sub(p, start, e->column_begin);
    const Affine *offset =
        affine_scale(p, affine_quotient(p, local, e->nr), e->chunk * e->suffix * e->nr);
    offset = affine_add(p, offset, affine_remainder(p, local, e->nr));
    offset = affine_add(p, offset, affine_sub(p, affine_index(p, column), start));
    offset = affine_add(p, offset, affine_scale(p, at, e->nr));
    loop_store(e->l, into, e->b, offset, bind_expr(e, e->right, &b));
}

const Expr *pack_source_row(Engine *e, const Affine *column, const Affine *depth, int64_t *stride)
{
    if (!lies_along(e, e->right, &e->columns, e->column))
        return NULL;
    Binding b = e->outer;
    Index *step = e->depth.data[e->split];
    bind_flat(e, &b, &e->columns, column);
    bool nested = false;
    *stride = affine_factor(bind_expr(e, e->right, &b)->affine, step, &nested);
    bind(e, &b, step, depth);
    return nested ? NULL : bind_expr(e, e->right, &b);
}

void pack_right(Engine *e, LoopList *into)
{
    if (e->right_by_depth) {
        pack_transposed(e, into);
        return;
    }
    int64_t width = piece_width(e);
    if (width > 1) {
        pack_pieces(e, into, width);
        return;
    }
    ExprPool *p = e->l->pool;
    Binding b = e->outer;
    Index *panel = index_copy(p, e->column), *column = index_copy(p, e->column);
    const Affine *begin = affine_index(p, panel), *at;
    Loop *last;
    const bool depth_first = lies_along(e, e->right, &e->columns, e->column);
    if (depth_first)
        into = open_depth(e, into, &b, &at, &last, 0);
    Loop *panels = loop_range(e->l, into, FOR_SERIAL, panel, e->column_begin, e->nc, e->nr);
    panels->end = e->column_end;
    into = &panels->body;
    if (!depth_first)
        into = open_depth(e, into, &b, &at, &last, 0);
    into = &loop_range(e->l, into, FOR_VECTOR, column, begin, e->nr, 1)->body;
    bind_flat(e, &b, &e->columns, affine_index(p, column));
    /* panels lie one after the other: panel number * depth * nr, and begin - column_begin is number * nr */
    const Affine *offset =
        affine_scale(p, affine_sub(p, begin, e->column_begin), e->chunk * e->suffix);
    const Affine *lane = affine_sub(p, affine_index(p, column), begin);
    offset = affine_add(p, offset, affine_add(p, affine_scale(p, at, e->nr), lane));
    loop_store(e->l, into, e->b, offset, bind_expr(e, e->right, &b));
}
