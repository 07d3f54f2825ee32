/* Operands that need no packing: the register tile reads them where they lie.  Of the left one, a copy
 * pays for itself over many panels of columns, or where lines of the cache would fall on one another. */
#include "lower/tile.h"

enum { FEW_PANELS = 2, WIDEST_PANEL = 4 };

/* Is it a plain load whose rows and chunk of depth step evenly, one of them element by element? */
static bool has_strides(Engine *e)
{
    Binding b = {0};
    bind_flat(e, &b, &e->rows, affine_index(e->l->pool, e->row));
    const Expr *load = bind_expr(e, e->left, &b);
    if (load->kind != EXPR_LOAD || load->count || load->type != e->l->real ||
        load->buffer->type != e->l->real)
        return false;
    bool nested = false, even = true;
    int at = e->depth.count - 1;
    e->row_stride = affine_factor(load->affine, e->row, &nested);
    e->depth_stride = affine_factor(load->affine, e->depth.data[at], &nested);
    for (int64_t step = e->depth_stride; at >= e->split; step *= e->depth.data[at--]->extent)
        even = even && affine_factor(load->affine, e->depth.data[at], &nested) == step;
    return even && !nested && e->row_stride > 0 && e->depth_stride > 0 &&
           (e->row_stride == 1 || e->depth_stride == 1);
}

/* The tile reads whole panels, so that all of their rows have to be there. */
static bool has_whole_panels(const Engine *e)
{
    if (e->sum_rows)
        return e->sum_rows % e->mr == 0;
    return (e->row->per_example ? e->row->per_example : e->row->extent) % e->mr == 0;
}

/* Does the panel stay in its part of the first cache, or do too many of its lines share a set? */
static bool stays_in_cache(const Engine *e)
{
    bool by_row = e->depth_stride == 1;
    int64_t size = dtype_size(e->l->real), depth = e->chunk * e->suffix;
    int64_t runs = by_row ? e->mr : depth, run = (by_row ? depth : e->mr) * size;
    int64_t stride = (by_row ? e->row_stride : e->depth_stride) * size;
    int64_t ways = e->l->lanes->l1_bytes / WAY_BYTES / 2;
    int lines[WAY_BYTES / LINE_BYTES] = {0};
    for (int64_t i = 0; i < runs; i++)
        for (int64_t at = i * stride / LINE_BYTES; at * LINE_BYTES < i * stride + run; at++)
            if (++lines[at % (WAY_BYTES / LINE_BYTES)] > ways)
                return false;
    return true;
}

bool place_is_left_ready(Engine *e)
{
    e->left_even = has_strides(e);
    return e->left_even && has_whole_panels(e) &&
           (e->column->extent <= (int64_t)FEW_PANELS * e->nr || stays_in_cache(e));
}

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

/* ---- the right operand, in panels ------------------------------------------------------------------------ */

/* The depth in the order of the load's memory: the widest step first. */
static IndexList sort_depth(Engine *e, const Expr *load)
{
    IndexList sorted = {0};
    for (int i = 0; i < e->depth.count; i++) {
        Index *ix = e->depth.data[i];
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

bool place_is_right_ready(Engine *e)
{
    Binding b = {0};
    bind_flat(e, &b, &e->columns, affine_index(e->l->pool, e->column));
    const Expr *load = bind_expr(e, e->right, &b);
    if (load->kind != EXPR_LOAD || load->count || load->type != e->l->real ||
        load->buffer->type != e->l->real)
        return false;
    const IndexList depth = sort_depth(e, load);
    int64_t width;
    const Affine *offset = without_depth(e, load->affine, &depth, &width);
    if (!offset || width % e->nr || width > (int64_t)WIDEST_PANEL * e->nr ||
        !is_in_panels(e, offset, width) || !has_last_panel(e, load))
        return false;
    e->depth = depth;
    e->right_stride = width;
    return true;
}

const Expr *place_right(Engine *e, const Affine *column)
{
    return first_of_chunk(e, e->right, &e->columns, column);
}
