/* Windows of images on tiles of slices.  Windows one below the other read the same lines of pixels: the depth's outermost
 * index moves them by whole lines.  So each line is sliced once for all of its values, with what the other indices
 * of the depth read around each pixel, and a tile reads its windows from slices that begin some lines further on. */
#include "lower/tile.h"

enum {
    SLICE_LINE = SLICED_DEPTH / 2, /* of a slice of a line, a block of the depth, as room of f32 */
    MOST_REGION = 256              /* rows, whose sums are to stay near */
};

/* Pixels of a line. */
static int64_t line_pixels(const Engine *e)
{
    return e->rows.data[e->rows.count - 1]->extent;
}

/* By how many lines all of the depth's outermost index moves the windows. */
static int64_t further_lines(const Engine *e)
{
    return e->depth.data[0]->extent - 1;
}

/* Lines of pixels that a region's windows read. */
static int64_t region_lines(const Engine *e)
{
    return e->region / line_pixels(e) + further_lines(e);
}

/* Lines of the panel, each a pixel's: the last tile may reach beyond the region's rows. */
static int64_t panel_lines(const Engine *e)
{
    return round_up(e->region, e->mr) + further_lines(e) * line_pixels(e);
}

int64_t lines_floats(const Engine *e)
{
    return e->suffix / SLICED_DEPTH * SLICES * SLICE_LINE * panel_lines(e);
}

double lines_share(const Engine *e)
{
    const double lines = (double)(e->region / line_pixels(e));
    return (lines + (double)further_lines(e)) / lines / (double)e->depth.data[0]->extent;
}

/* From one line of pixels to the next; 0: the depth's outermost index does not go along them. */
static int64_t line_pitch(const Engine *e)
{
    bool nested;
    const Index *line = e->rows.data[e->rows.count - 2];
    const int64_t up = e->left_steps[0],
                  pitch = affine_factor(lower_expr(e->l, e->left, NULL)->affine, line, &nested);
    return !nested && (up == pitch || up == -pitch) && !line->per_example ? pitch : 0;
}

/* As many lines of one image as the second cache holds slices of beside the right operand's. */
static bool choose_region(Engine *e)
{
    const int64_t pixels = line_pixels(e), image = e->rows.data[e->rows.count - 2]->extent,
                  room = cache_bytes(e->l->lanes->l2_bytes) / 4;
    if (e->sum_rows) {
        e->region = e->sum_rows;
        return e->region % pixels == 0 && image % (e->region / pixels) == 0;
    }
    int64_t lines = image;
    for (; lines > 1; lines--) {
        e->region = lines * pixels;
        if (image % lines == 0 && e->region <= MOST_REGION &&
            lines_floats(e) * dtype_size(TYPE_F32) <= room)
            break;
    }
    e->region = lines * pixels;
    return true;
}

bool lines_choose(Engine *e)
{
    if (!e->left_ready || e->rows.count < 2 || e->depth.count < 2 || !place_left_run(e))
        return false;
    const Index *last = e->depth.data[e->depth.count - 1];
    if (!line_pitch(e) || last->extent % SLICED_DEPTH || e->left_steps[e->depth.count - 1] != 1 ||
        e->rows.data[e->rows.count - 1]->per_example)
        return false;
    e->split = 0;
    e->chunk = e->depth.data[0]->extent;
    e->suffix = 1;
    for (int i = 1; i < e->depth.count; i++)
        e->suffix *= e->depth.data[i]->extent;
    e->single = true;
    return choose_region(e);
}

/* ---- slicing -------------------------------------------------------------------------------------------------- */

/* The index of the depth that moves windows by a pixel, back or forth; 0: there is none. */
static int find_copied(const Engine *e)
{
    for (int i = 1; i + 1 < e->depth.count; i++)
        if (e->left_steps[i] == e->row_stride || e->left_steps[i] == -e->row_stride)
            return i;
    return 0;
}

/* The values of the depth at which windows begin. */
static const Affine **begin_windows(const Engine *e)
{
    const Affine **at = arena_new(e->l->arena, const Affine *, e->depth.count);
    for (int i = 0; i < e->depth.count; i++)
        at[i] =
            affine_constant(e->l->pool, e->left_steps[i] < 0 ? e->depth.data[i]->extent - 1 : 0);
    return at;
}

/* What the region's first pixel, at the row, reads at these values of the depth. */
static const Expr *first_pixel(Engine *e, const Affine *row, const Affine *const *at)
{
    Binding b = e->outer;
    bind_flat(e, &b, &e->rows, row);
    for (int i = 0; i < e->depth.count; i++)
        bind(e, &b, e->depth.data[i], at[i]);
    return bind_expr(e, e->left, &b);
}

/* Opens the loops over the depth without its outermost and its innermost index and the one that the copies are of; gives
 * in *part the number of those that are left. */
static LoopList *open_depth(Engine *e, LoopList *into, const Affine **at, const Affine **part)
{
    ExprPool *p = e->l->pool;
    *part = affine_constant(p, 0);
    for (int i = 1; i + 1 < e->depth.count; i++) {
        if (i != find_copied(e)) {
            Index *ix = index_copy(p, e->depth.data[i]);
            into = &loop_for(e->l, into, FOR_SERIAL, ix)->body;
            at[i] = affine_index(p, ix);
        }
        *part = affine_add(p, affine_scale(p, *part, e->depth.data[i]->extent), at[i]);
    }
    return into;
}

/* A copy for each value of the index that moves windows by a pixel. */
static void set_copies(const Engine *e, Loop *s, int64_t floats)
{
    const int copied = find_copied(e);
    if (!copied)
        return;
    for (int i = copied + 1; i + 1 < e->depth.count; i++)
        floats *= e->depth.data[i]->extent;
    s->copies = (int)e->depth.data[copied]->extent;
    s->copy_stride = e->left_steps[copied] < 0 ? -floats : floats;
}

/* The slices of a line, at `part` of so many floats: all of the innermost index of the depth. */
static void slice_line(Engine *e, LoopList *into, const Expr *load, const Affine *line,
                       const Affine *part, int64_t floats)
{
    ExprPool *p = e->l->pool;
    Index *last = e->depth.data[e->depth.count - 1],
          *slice = index_new(p, "slice", last->extent, 0, e->row->span);
    into = &loop_range(e->l, into, FOR_SERIAL, slice, NULL, 0, SLICED_DEPTH)->body;
    Loop *s = loop_append(e->l, into, LOOP_SLICE);
    s->a = load->buffer;
    s->a_offset = affine_add(p, load->affine, affine_scale(p, line, line_pitch(e)));
    s->a_row_stride = e->row_stride;
    s->a_depth_stride = 1;
    s->c = e->left_slices;
    s->c_offset = affine_add(p, affine_scale(p, part, floats),
                             affine_scale(p, line, line_pixels(e) * SLICE_LINE));
    s->rows = (int)line_pixels(e);
    s->lines = panel_lines(e);
    s->depth_index = last;
    s->depth_begin = affine_constant(p, 0);
    s->depth_length = last->extent;
    s->depth_at = affine_index(p, slice);
    set_copies(e, s, floats);
}

void lines_slice(Engine *e, LoopList *into)
{
    const Affine **at = begin_windows(e), *part;
    const int64_t innermost = e->depth.data[e->depth.count - 1]->extent;
    Index *line = index_new(e->l->pool, "line", region_lines(e), 0, e->row->span);
    into = &loop_for(e->l, into, FOR_SERIAL, line)->body;
    into = open_depth(e, into, at, &part);
    slice_line(e, into, first_pixel(e, e->packed_begin, at), affine_index(e->l->pool, line), part,
               lines_floats(e) * innermost / e->suffix);
}

void lines_set(Engine *e, Loop *t, const Affine *row)
{
    ExprPool *p = e->l->pool;
    const int64_t step = line_pixels(e) * SLICE_LINE;
    const bool up = e->left_steps[0] < 0;
    t->lines = panel_lines(e);
    t->a_offset = affine_offset(p, affine_scale(p, affine_sub(p, row, e->packed_begin), SLICE_LINE),
                                up ? further_lines(e) * step : 0);
    t->inner[0] = (DepthLoop){e->depth.data[0]->extent, up ? -step : step, 0};
    t->inner_count = 1;
}

void lines_ask(Engine *e, Loop *t, const Affine *row, const Affine *column)
{
    ExprPool *p = e->l->pool;
    const Affine *panel = affine_quotient(p, affine_sub(p, row, e->packed_begin), e->mr);
    const int64_t across = e->nc / e->nr;
    const Expr *next =
        first_pixel(e, affine_offset(p, e->packed_begin, e->region), begin_windows(e));
    ahead_ask_region(e, t, next->buffer, next->affine, region_lines(e) * line_pitch(e),
                     divide_up(e->region, e->mr) * across,
                     affine_add(p, affine_scale(p, panel, across), tile_number(e, column)));
}
