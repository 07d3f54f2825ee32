/* Operands that need no packing: the register tile reads them where they lie.  A copy pays for itself
 * over many panels, or where lines of the cache would fall on one another. */
#include "lower/tile.h"

enum {
    FEW_PANELS = 2,
    MOST_SPAN = 65536,
    WIDEST_PANEL = 4,
    STREAMED = 256, /* columns of a block, for judging where their lines fall */
    WAYS_L2 = 16
};

/* ---- how an operand lies ------------------------------------------------------------------------------- */

/* The operand where it is a plain load of the model's numbers; NULL otherwise. */
static const Expr *plain_load(Engine *e, const Expr *operand)
{
    const Expr *load = lower_expr(e->l, operand, NULL);
    const bool plain = load->kind == EXPR_LOAD && !load->count && load->type == e->l->real &&
                       load->buffer->type == e->l->real;
    return plain ? load : NULL;
}

/* The list in the order of the load's memory: the widest step first. */
static IndexList sort_by_step(Engine *e, const IndexList *list, const Expr *load)
{
    IndexList sorted = {0};
    for (int i = 0; i < list->count; i++) {
        Index *ix = list->data[i];
        int at = sorted.count;
        vec_push(e->l->arena, &sorted, ix);
        for (; at > 0 && affine_factor(load->affine, sorted.data[at - 1], NULL) <
                             affine_factor(load->affine, ix, NULL);
             at--)
            sorted.data[at] = sorted.data[at - 1];
        sorted.data[at] = ix;
    }
    return sorted;
}

/* So many neighbours, from a multiple of that on, step evenly by *stride. */
static int64_t even_run(const Affine *offset, const IndexList *list, int64_t *stride)
{
    int64_t run = 1;
    for (int i = list->count - 1; i >= 0; i--) {
        const Index *ix = list->data[i];
        bool nested;
        const int64_t factor = affine_factor(offset, ix, &nested);
        if (i == list->count - 1)
            *stride = factor;
        if (nested || factor != *stride * run)
            return i == list->count - 1 ? 0 : run;
        run *= ix->per_example ? ix->per_example : ix->extent;
    }
    return run;
}

/* How far apart the values of each depth index lie; false: not evenly. */
static bool find_steps(Engine *e, const Affine *offset, int64_t *steps)
{
    bool nested = false;
    for (int i = e->depth.count - 1; i >= 0 && !nested; i--)
        steps[i] = affine_factor(offset, e->depth.data[i], &nested);
    return !nested;
}

void place_order_rows(Engine *e)
{
    const Expr *load = plain_load(e, e->left);
    if (load && !e->rows.data[0]->per_example) /* examples stay outermost */
        e->rows = sort_by_step(e, &e->rows, load);
}

int64_t place_left_run(Engine *e)
{
    const Expr *load = plain_load(e, e->left);
    if (!load || !find_steps(e, load->affine, e->left_steps))
        return 0;
    const int64_t run = even_run(load->affine, &e->rows, &e->row_stride);
    const bool neighbours = e->row_stride == 1 || e->left_steps[e->depth.count - 1] == 1;
    return e->row_stride > 0 && neighbours ? run : 0;
}

void place_note_left(Engine *e)
{
    const int64_t *steps = e->left_steps, run = place_left_run(e);
    const Index *first = e->rows.data[0];
    int64_t rows = first->per_example ? first->per_example : first->extent;
    for (int i = 1; i < e->rows.count; i++)
        rows *= e->rows.data[i]->extent;
    e->depth_stride = steps[e->depth.count - 1];
    e->left_even = run && run == rows && e->depth_stride > 0;
    int64_t step = e->depth_stride;
    for (int i = e->depth.count - 1; i >= e->split; step *= e->depth.data[i--]->extent)
        e->left_even = e->left_even && steps[i] == step;
}

int64_t place_right_run(Engine *e)
{
    int64_t stride = 0;
    const Expr *load = plain_load(e, e->right);
    if (!load || !find_steps(e, load->affine, e->right_steps))
        return 0;
    const int64_t run = even_run(load->affine, &e->columns, &stride);
    return stride == 1 ? run : 0;
}

/* Is it a plain load whose lines, one for each index of the list, lie along the depth, evenly apart? */
static bool lies_along_depth(Engine *e, const Expr *operand, const IndexList *list, int64_t *steps,
                             int64_t *stride)
{
    const Expr *load = plain_load(e, operand);
    int64_t lines = 1;
    for (int i = 0; i < list->count; i++)
        lines *= list->data[i]->per_example ? list->data[i]->per_example : list->data[i]->extent;
    if (!load || !find_steps(e, load->affine, steps) || steps[e->depth.count - 1] != 1 ||
        !place_is_even(e, steps))
        return false;
    return even_run(load->affine, list, stride) == lines && *stride > 0;
}

bool place_along_depth(Engine *e)
{
    return lies_along_depth(e, e->left, &e->rows, e->left_steps, &e->row_stride) &&
           lies_along_depth(e, e->right, &e->columns, e->right_steps, &e->column_stride);
}

bool place_is_even(const Engine *e, const int64_t *steps)
{
    int64_t step = steps[e->depth.count - 1];
    for (int i = e->depth.count - 1; i >= 0; step *= e->depth.data[i--]->extent)
        if (steps[i] != step)
            return false;
    return true;
}

/* ---- is that better? ------------------------------------------------------------------------------------- */

/* Values of the chunk's innermost depth that step evenly. */
static int64_t inner_depth(const Engine *e, const int64_t *steps)
{
    int64_t count = 1;
    for (int i = e->depth.count - 1; i >= e->split; i--) {
        if (steps[i] != steps[e->depth.count - 1] * count)
            break;
        count *= i == e->split ? e->chunk : e->depth.data[i]->extent;
    }
    return count;
}

/* Do so many runs share half the ways of a cache at most? */
static bool fits_ways(const Engine *e, int64_t runs, int64_t run, int64_t stride, int64_t ways,
                      int64_t way_bytes)
{
    const int64_t size = dtype_size(e->l->real), sets = way_bytes / LINE_BYTES;
    int *lines = arena_new(e->l->arena, int, sets);
    if (stride <= run)
        return true; /* they overlap */
    for (int64_t i = 0; i < runs; i++)
        for (int64_t at = i * stride * size / LINE_BYTES;
             at * LINE_BYTES < (i * stride + run) * size; at++)
            if (++lines[at % sets] > ways / 2)
                return false;
    return true;
}

bool place_stays_in_cache(const Engine *e, int64_t runs, int64_t run, int64_t stride)
{
    return fits_ways(e, runs, run, stride, e->l->lanes->l1_bytes / WAY_BYTES, WAY_BYTES);
}

bool place_left_pays(const Engine *e)
{
    const int64_t depth = inner_depth(e, e->left_steps), step = e->left_steps[e->depth.count - 1];
    if (e->column->extent <= (int64_t)FEW_PANELS * e->nr)
        return true;
    return step == 1 ? place_stays_in_cache(e, e->mr, depth, e->row_stride)
                     : place_stays_in_cache(e, depth, e->mr, step);
}

/* The next chunk of a matrix is asked for while tiles run; the only one is to be in the second cache, beside what
 * is made of it.  Lines that steps of the depth put into few places of the first cache are slower than a copy. */
static bool streaming_pays(const Engine *e, int64_t depth, int64_t step)
{
    const int64_t size = dtype_size(e->l->real), l2 = cache_bytes(e->l->lanes->l2_bytes),
                  columns = e->column->extent, made = e->row->extent * columns * size;
    return step * size % (WAY_BYTES / 2) && (!e->single || made + depth * columns * size <= l2) &&
           fits_ways(e, depth, at_most(columns, STREAMED), step, WAYS_L2, l2 / WAYS_L2);
}

bool place_right_pays(const Engine *e)
{
    const int64_t depth = inner_depth(e, e->right_steps), step = e->right_steps[e->depth.count - 1];
    if (e->streams)
        return streaming_pays(e, depth, step);
    return depth * step * dtype_size(e->l->real) <= MOST_SPAN &&
           place_stays_in_cache(e, depth, e->nr, step);
}

/* ---- the right operand, in panels ------------------------------------------------------------------------ */

/* What is left of the offset without the depth, which steps evenly by *step; NULL where it does not. */
static const Affine *without_depth(Engine *e, const Affine *offset, const IndexList *depth,
                                   int64_t *step)
{
    ExprPool *p = e->l->pool;
    bool nested = false;
    *step = affine_factor(offset, depth->data[depth->count - 1], NULL);
    int64_t expected = *step;
    for (int i = depth->count - 1; i >= 0 && expected > 0; i--) {
        Index *ix = depth->data[i];
        if (affine_factor(offset, ix, &nested) != expected || nested)
            return NULL;
        offset = affine_sub(p, offset, affine_scale(p, affine_index(p, ix), expected));
        expected *= ix->extent;
    }
    return expected > 0 ? offset : NULL;
}

/* Is the offset panel * (column / width) + column % width, and something that is the same for all columns? */
static bool is_in_panels(Engine *e, const Affine *offset, int64_t width)
{
    ExprPool *p = e->l->pool;
    const Affine *column = affine_index(p, e->column), *panel = affine_quotient(p, column, width);
    offset = affine_sub(p, offset, affine_remainder(p, column, width));
    for (int i = 0; panel->count && i < offset->count; i++) {
        const Term *t = &offset->terms[i];
        if (t->kind == TERM_QUOTIENT && t->divisor == width && t->inner == column) {
            offset = affine_sub(p, offset, affine_scale(p, panel, t->factor));
            break;
        }
    }
    return !affine_uses(offset, e->column);
}

/* The tile reads whole panels: is there memory as far as the last of them reaches? */
static bool has_last_panel(Engine *e, const Expr *load)
{
    ExprPool *p = e->l->pool;
    const Affine *first = affine_constant(p, (e->column->extent - 1) / e->nr * e->nr);
    const Affine *last = affine_substitute(p, load->affine, &(Substitution){1, &e->column, &first});
    const int64_t there = (int64_t)load->buffer->bytes / dtype_size(load->type);
    return affine_interval(last).high + e->nr <= there;
}

bool place_in_panels(Engine *e)
{
    Binding b = {0};
    bind_flat(e, &b, &e->columns, affine_index(e->l->pool, e->column));
    const Expr *load = bind_expr(e, e->right, &b);
    if (load->kind != EXPR_LOAD || load->count || load->type != e->l->real ||
        load->buffer->type != e->l->real)
        return false;
    const IndexList depth = sort_by_step(e, &e->depth, load);
    int64_t width;
    const Affine *offset = without_depth(e, load->affine, &depth, &width);
    if (!offset || width % e->nr || width > (int64_t)WIDEST_PANEL * e->nr ||
        !is_in_panels(e, offset, width) || !has_last_panel(e, load))
        return false;
    e->depth = depth;
    e->right_stride = width;
    return true;
}

/* ---- the loads ----------------------------------------------------------------------------------------------- */

/* The operand's element at a row or column and the chunk's beginning. */
static const Expr *first_of_chunk(Engine *e, const Expr *operand, const IndexList *list,
                                  const Affine *at)
{
    Binding b = e->outer;
    bind_flat(e, &b, list, at);
    for (int i = e->split; i < e->depth.count; i++)
        bind(e, &b, e->depth.data[i],
             i == e->split ? e->depth_begin : affine_constant(e->l->pool, 0));
    return bind_expr(e, operand, &b);
}

const Expr *place_left(Engine *e, const Affine *row)
{
    return first_of_chunk(e, e->left, &e->rows, row);
}

const Expr *place_right(Engine *e, const Affine *column)
{
    return first_of_chunk(e, e->right, &e->columns, column);
}
