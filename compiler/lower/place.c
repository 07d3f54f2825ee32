/* Left operands that need no packing: the register tile reads them where they lie.  A copy pays for
 * itself over many panels of columns, or where lines of the cache would fall on one another. */
#include "lower/tile.h"

enum { FEW_PANELS = 2 };

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

const Expr *place_left(Engine *e, const Affine *row)
{
    Binding b = e->outer;
    bind_flat(e, &b, &e->rows, row);
    for (int i = e->split; i < e->depth.count; i++)
        bind(e, &b, e->depth.data[i],
             i == e->split ? e->depth_begin : affine_constant(e->l->pool, 0));
    return bind_expr(e, e->left, &b);
}
