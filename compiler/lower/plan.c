/* The plan of a contraction: which operand is the rows, what is packed and what is read where it lies, the register
 * tile and the depth at once.  Whatever costs least by estimate. */
#include "lower/tile.h"

#include <math.h>

/* ---- sizes ---------------------------------------------------------------------------------------------------- */

#define CUT_SHORT 1.015 /* what a last panel of fewer rows costs */

enum { MOST_VECTORS = 3, MOST_PACKED = 12, MOST_IN_PLACE = 16 };

/* Columns of a tile whose right operand is packed, or lies in panels. */
static int usual_columns(const Engine *e)
{
    const int64_t columns = e->column->extent;
    if (e->lanes == 1)
        return columns < 4 ? (int)columns : 4;
    return panel_width(e->l->lanes, e->l->real, columns);
}

/* Is the right operand a matrix whose rows the tiles read where they lie, one after the other, each panel for a
 * packed one of the left operand? */
static bool streams_columns(const Engine *e, int64_t column_run)
{
    return e->right_ready && !e->left_ready && !e->column->per_example &&
           column_run == e->column->extent && place_is_even(e, e->right_steps);
}

/* Registers for the columns: two, or of what is read where it lies as many as fit into its runs. */
static int choose_vectors(const Engine *e, int64_t column_run)
{
    const int least = e->streams ? 2 : 1;
    for (int v = MOST_VECTORS; e->right_ready && v >= least; v--)
        if (column_run % ((int64_t)v * e->lanes) == 0)
            return v;
    return e->nr / e->lanes;
}

/* Columns that fill no panel may have a tile of their own, no wider than the others. */
static bool leaves_rest(Engine *e, int64_t column_run)
{
    const int64_t rest = column_run % e->nr;
    int64_t vectors = rest / e->lanes;
    for (int64_t lanes = rest % e->lanes; lanes; lanes &= lanes - 1)
        vectors++;
    if (!e->streams || column_run < e->nr || vectors > e->nr / e->lanes)
        return false;
    e->rest = rest;
    return true;
}

/* Are all panels of what is read where it lies whole?  Those of rows begin anew with each sum over them. */
static bool divides_runs(Engine *e, int64_t row_run, int64_t column_run)
{
    return (!e->left_ready || (row_run % e->mr == 0 && e->sum_rows % e->mr == 0)) &&
           (!e->right_ready || column_run % e->nr == 0 || leaves_rest(e, column_run));
}

/* Rows in as many registers as the columns leave; panels divide the runs of what is read where it lies,
 * which a matrix is where its panels are the best ones anyway.  False: none do. */
static bool choose_tile(Engine *e, int64_t row_run, int64_t column_run)
{
    const int64_t own = e->l->kernel->own_examples, rows = own           ? own
                                                           : e->sum_rows ? e->sum_rows
                                                                         : e->row->extent;
    int registers = e->l->lanes->vector_registers;
    if (e->lanes == 1) {
        e->mr = rows < 4 ? (int)rows : 4;
        return divides_runs(e, row_run, column_run);
    }
    e->streams = streams_columns(e, column_run);
    const int vectors = choose_vectors(e, column_run);
    e->nr = vectors * e->lanes;
    int most = (registers - 1 - vectors) / vectors;
    e->windows = e->left_ready && (e->right_ready || !place_is_even(e, e->left_steps));
    const int wanted = e->windows ? MOST_IN_PLACE : MOST_PACKED;
    if (most > wanted)
        most = wanted;
    double best = INFINITY;
    for (int mr = most; mr >= LEAST_TILE_ROWS; mr--) {
        if ((e->windows && row_run % mr) || own % mr)
            continue;
        double cost = (double)divide_up(rows, mr) * (mr + 0.7) * (rows % mr ? CUT_SHORT : 1);
        if (cost < best) {
            best = cost;
            e->mr = mr;
        }
    }
    return best < INFINITY && divides_runs(e, row_run, column_run);
}

enum { MOST_DEPTH = 256, MOST_WINDOWS = 640, LEAST_DEPTH = 48 };

/* A panel of rows fills half of the first cache.  Where both operands are read where they lie, all that
 * the block's tiles read of them does; windows overlap, so that their panels are small. */
static int64_t most_depth(const Engine *e)
{
    const int64_t size = dtype_size(e->l->real), l1 = cache_bytes(e->l->lanes->l1_bytes);
    const int64_t last = e->columns.data[e->columns.count - 1]->extent;
    if (e->dots)
        return at_least(LEAST_DEPTH, l1 / 2 / (e->mr * size));
    if (e->left_ready && e->right_ready && !e->in_panels)
        return at_least(LEAST_DEPTH, l1 / 5 * 3 / (size * (at_most(e->row->extent, l1) + last)));
    if (e->left_ready && e->row_stride > 1 && !place_is_even(e, e->left_steps))
        return MOST_WINDOWS / (size / 4);
    return at_most(MOST_DEPTH / (size / 4), l1 / 2 / (e->mr * size));
}

void depth_choose(Engine *e)
{
    const int64_t most = most_depth(e);
    int at = e->depth.count - 1;
    int64_t suffix = 1;
    while (at > 0 && suffix * e->depth.data[at]->extent <= most)
        suffix *= e->depth.data[at--]->extent;
    int64_t extent = e->depth.data[at]->extent, chunk = most / suffix;
    if (suffix * extent <= most * 3 / 2)
        chunk = extent;
    chunk = divide_up(extent, divide_up(extent, chunk < 1 ? 1 : chunk));
    if (chunk < extent && suffix == 1) /* whole vectors, for packing along the depth */
        chunk = round_up(chunk, e->lanes);
    e->split = at;
    e->suffix = suffix;
    e->chunk = chunk;
    e->single = at == 0 && chunk == extent;
}

/* ---- the plan: which operand is the rows ---------------------------------------------------------------------- */

static void copy_list(Engine *e, IndexList *to, Index *const *from, int count)
{
    for (int i = 0; i < count; i++)
        vec_push(e->l->arena, to, from[i]);
}

enum { PIECES_COLUMNS = 512 };

/* Turned around panel by panel, a row of the result is written in pieces: are the lines that wait for
 * their other pieces too many for the second cache? */
static bool writes_far_pieces(const Engine *e)
{
    int64_t columns = at_most(e->column->extent, PIECES_COLUMNS);
    int64_t bytes = e->row->extent * columns * dtype_size(e->l->real);
    return e->single && bytes > cache_bytes(e->l->lanes->l2_bytes) / 2;
}

const Affine *result_offset(Engine *e)
{
    Lowering *l = e->l;
    const Node *n = l->kernel->nodes.data[0];
    const Affine **at = arena_new(l->arena, const Affine *, n->rank + 1);
    Binding b = {0};
    bind_flat(e, &b, &e->rows, affine_index(l->pool, e->row));
    bind_flat(e, &b, &e->columns, affine_index(l->pool, e->column));
    bind_splits(e, &b);
    for (int i = 0; i < n->rank; i++)
        at[i] = affine_index(l->pool, n->domain[i]);
    Substitution s = {b.count, b.from, b.to};
    return affine_substitute(l->pool, identity_offset(l, n, at), &s);
}

static double epilogue_cost(Engine *e)
{
    const Affine *offset = result_offset(e);
    bool nested_row, nested_column;
    int64_t by_row = affine_factor(offset, e->row, &nested_row),
            by_column = affine_factor(offset, e->column, &nested_column);
    if (by_column == 1 && !nested_column)
        return 3.0 / e->lanes;
    if (by_row == 1 && !nested_row && !writes_far_pieces(e))
        return 0.6; /* turned around in registers */
    return 2.0;
}

/* The strides of packed operands. */
static void set_packed_steps(Engine *e)
{
    int64_t suffix = 1;
    for (int i = e->depth.count - 1; i >= e->split; suffix *= e->depth.data[i--]->extent) {
        if (!e->left_ready)
            e->left_steps[i] = e->left_by_row ? suffix : suffix * e->mr;
        if (!e->right_ready || e->in_panels)
            e->right_steps[i] = suffix * (e->in_panels ? e->right_stride : e->nr);
    }
    e->tile_row_stride = e->left_ready ? e->row_stride : e->left_by_row ? e->chunk * e->suffix : 1;
}

/* How: what is read where it lies, and by what tiles. */
enum { LEFT_IN_PLACE = 1, RIGHT_IN_PLACE = 2, DOTS = 4, SLICED = 8, BY_LINES = 16 };

static const int choices[] = {LEFT_IN_PLACE,
                              RIGHT_IN_PLACE,
                              LEFT_IN_PLACE | RIGHT_IN_PLACE,
                              DOTS,
                              SLICED,
                              SLICED | LEFT_IN_PLACE,
                              SLICED | RIGHT_IN_PLACE,
                              SLICED | LEFT_IN_PLACE | RIGHT_IN_PLACE,
                              SLICED | LEFT_IN_PLACE | BY_LINES,
                              SLICED | LEFT_IN_PLACE | RIGHT_IN_PLACE | BY_LINES};

static Engine engine_new(Lowering *l, bool swapped, int how)
{
    const Contraction *c = &l->kernel->contraction;
    Engine e = {.l = l, .lanes = lane_count(l, l->real), .cost = INFINITY};
    e.dots = how == DOTS;
    e.sliced = how & SLICED;
    e.by_lines = how & BY_LINES;
    e.left_ready = e.dots || how & LEFT_IN_PLACE;
    e.right_ready = e.dots || how & RIGHT_IN_PLACE;
    copy_list(&e, &e.groups, c->groups.data, c->groups.count);
    copy_list(&e, swapped ? &e.columns : &e.rows, c->rows.data, c->rows.count);
    copy_list(&e, swapped ? &e.rows : &e.columns, c->columns.data, c->columns.count);
    copy_list(&e, &e.depth, c->depth.data, c->depth.count);
    e.left = swapped ? c->right : c->left;
    e.right = swapped ? c->left : c->right;
    e.sum_rows = swapped ? 0 : kernel_sum_rows(l->kernel);
    if (e.left_ready && !e.sum_rows)
        place_order_rows(&e);
    e.row = flatten_indices(l, "row", e.rows.data, e.rows.count);
    e.column = flatten_indices(l, "column", e.columns.data, e.columns.count);
    e.left_steps = arena_new(l->arena, int64_t, e.depth.count + 1);
    e.right_steps = arena_new(l->arena, int64_t, e.depth.count + 1);
    lower_expr(l, e.left, NULL); /* its operands are numbered first */
    if (e.sliced && !e.by_lines)
        slices_merge_depth(&e);
    return e;
}

/* Tiles by multiply-adds, of packed panels or of what is read where it lies. */
static bool choose_panels(Engine *e)
{
    const int64_t row_run = e->left_ready ? place_left_run(e) : 0,
                  column_run = e->right_ready ? place_right_run(e) : 0;
    if ((e->left_ready && !row_run) || (e->right_ready && !column_run) ||
        !choose_tile(e, row_run, column_run))
        return false;
    e->right_ready = e->right_ready || e->in_panels;
    pack_plan(e);
    depth_choose(e);
    place_note_left(e);
    set_packed_steps(e);
    if ((e->left_ready && !place_left_pays(e)) ||
        (e->right_ready && !e->in_panels && !place_right_pays(e)))
        return false;
    e->costs.left = e->left_ready ? 0 : pack_cost_left(e);
    e->costs.right = e->right_ready ? 0 : pack_cost_right(e);
    return true;
}

/* The tile, the depth at once, and what packing costs; false: it cannot be done so. */
static bool choose(Engine *e)
{
    e->nr = usual_columns(e);
    e->in_panels = !e->right_ready && place_in_panels(e);
    if (!e->in_panels)
        pack_order(e);
    return e->dots ? dots_choose(e) : e->sliced ? slices_choose(e) : choose_panels(e);
}

/* Of infinite cost where it cannot be. */
static Engine plan_engine(Lowering *l, bool swapped, int how)
{
    Engine e = engine_new(l, swapped, how);
    if (choose(&e)) {
        e.costs.epilogue = epilogue_cost(&e);
        e.cost = block_choose(&e);
        e.packed_rows = e.region ? e.region : e.dots || e.sliced ? e.mr : pack_left_rows(&e);
    }
    return e;
}

/* Which operands to read where they lie. */
static Engine best_plan(Lowering *l, bool swapped)
{
    Engine best = plan_engine(l, swapped, 0);
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        if (l->kernel->own_examples && choices[i] >= DOTS)
            break;
        Engine e = plan_engine(l, swapped, choices[i]);
        if (e.cost < INFINITY && e.score < best.score)
            best = e;
    }
    return best;
}

Engine plan_contraction(Lowering *l)
{
    const Engine e = best_plan(l, false);
    if (l->kernel->own_examples)
        return e;
    const Engine swapped = best_plan(l, true);
    return swapped.cost < e.cost && !e.sum_rows ? swapped : e; /* sums run over rows */
}
