/* Contractions of f32 on tiles that multiply bf16 and add in f32: each number goes in as the sum of three slices of eight
 * bits, and six products of slices make one of f32's precision.  Panels are sliced 32 values of the depth at a time. */
#include "lower/tile.h"

enum {
    MOST_PANEL = 2, /* tiles side by side: four accumulators, two registers for each operand */
    SLICE_FLOATS = TILE_LINES * SLICED_DEPTH * SLICES / 2, /* of a tile's lines, as room of f32 */
    MOST_SLICED = 128, /* the left panel stays in the first cache */
    LEAST_SLICED = 64,
    MOST_COMPUTED = 32 /* cycles of a vector */
};

#define TERM_CYCLES 19.5 /* a product of tiles, in cycles of the multiply-adds' faster clock */
#define TILE_CYCLES 120  /* to begin and to end                                              */
#define SLICE_COST 0.4   /* of an element                                                    */
#define TURN_COST 0.55   /* likewise, to lie along the depth                                 */
#define PLACE_COST 2     /* of a vector, to find where its step of the depth lies            */

/* ---- the choice --------------------------------------------------------------------------------------------- */

static int panel_lines(int64_t extent)
{
    return extent <= TILE_LINES ? TILE_LINES : MOST_PANEL * TILE_LINES;
}

static int64_t depth_blocks(const Engine *e)
{
    return divide_up(e->chunk * e->suffix, SLICED_DEPTH);
}

static int64_t panel_floats(const Engine *e, int lines)
{
    return depth_blocks(e) * SLICE_FLOATS * (lines / TILE_LINES);
}

/* The left operand is sliced where it lies if it does so along the depth. */
static bool takes_left(Engine *e)
{
    if (!e->left_ready)
        return true;
    if (!place_left_run(e))
        return false;
    place_note_left(e);
    return e->left_even && e->depth_stride == 1;
}

/* The right one if it lies along the columns. */
static bool takes_right(Engine *e)
{
    if (!e->right_ready || e->in_panels)
        return true;
    const int64_t run = place_right_run(e);
    return place_is_even(e, e->right_steps) &&
           (run == e->column->extent || (run && run % e->nr == 0));
}

typedef struct Steps {
    const Index *index;
    bool nested; /* used in a quotient or a remainder */
} Steps;

static void visit_steps(void *context, const Expr *x)
{
    Steps *s = context;
    bool nested = false;
    if (x->affine)
        affine_factor(x->affine, s->index, &nested);
    s->nested = s->nested || nested;
}

/* One index for all of the depth, where both operands lie so: then a chunk is of whole blocks of it. */
void slices_merge_depth(Engine *e)
{
    ExprPool *p = e->l->pool;
    const int count = e->depth.count;
    Index *flat = flatten_indices(e->l, "depth", e->depth.data, count);
    const Affine **to = arena_new(e->l->arena, const Affine *, count + 1);
    flatten_into(e->l, affine_index(p, flat), e->depth.data, count, to);
    const Substitution s = {count, e->depth.data, to};
    Steps steps = {flat, false};
    expr_visit(p, lower_expr(e->l, e->left, &s), visit_steps, &steps);
    expr_visit(p, lower_expr(e->l, e->right, &s), visit_steps, &steps);
    if (count == 1 || steps.nested || e->l->kernel->contraction.limits.count)
        return;
    e->left = expr_substitute(p, e->left, &s);
    e->right = expr_substitute(p, e->right, &s);
    e->depth = (IndexList){0};
    vec_push(e->l->arena, &e->depth, flat);
}

/* Chunks are of whole blocks of the depth, where there is more than one. */
static bool choose_chunk(Engine *e)
{
    int at = e->depth.count - 1;
    int64_t suffix = 1;
    while (at > 0 && suffix * e->depth.data[at]->extent <= MOST_SLICED)
        suffix *= e->depth.data[at--]->extent;
    const int64_t extent = e->depth.data[at]->extent;
    int64_t chunk = extent;
    if (suffix * extent > MOST_SLICED * 5 / 4) {
        chunk = divide_up(extent, divide_up(suffix * extent, MOST_SLICED));
        if (suffix == 1)
            chunk = round_up(chunk, SLICED_DEPTH);
    }
    e->split = at;
    e->suffix = suffix;
    e->chunk = chunk;
    e->single = at == 0 && chunk == extent;
    return true;
}

/* The steps of a chunk as one index, to which those of the depth that it is made of are bound. */
static Index *flatten_depth(Engine *e, Binding *b)
{
    const Index *split = e->depth.data[e->split];
    IndexList list = {0};
    for (int i = e->split; i < e->depth.count; i++)
        vec_push(e->l->arena, &list, e->depth.data[i]);
    Index *step = index_new(e->l->pool, "depth", split->extent * e->suffix,
                            split->per_example * e->suffix, split->span);
    bind_flat(e, b, &list, affine_index(e->l->pool, step));
    return step;
}

/* Cycles for a vector of the left operand, along the depth, or of the right one, along the columns. */
static double left_vector_cost(Engine *e)
{
    Binding b = {0};
    const Index *step = flatten_depth(e, &b);
    return access_cost(e->l, bind_expr(e, e->left, &b), step, e->lanes);
}

static double right_vector_cost(Engine *e)
{
    Binding b = {0};
    bind_flat(e, &b, &e->columns, affine_index(e->l->pool, e->column));
    return access_cost(e->l, bind_expr(e, e->right, &b), e->column, e->lanes);
}

/* Are the operands cheap enough to be computed as they are sliced, sixteen numbers at a time?  The left one is so between
 * products. */
static void choose_computed(Engine *e)
{
    e->left_computed = !e->left_ready && e->left_by_row && left_vector_cost(e) <= MOST_COMPUTED;
    e->right_computed =
        !e->right_ready && !e->right_by_depth && right_vector_cost(e) <= MOST_COMPUTED;
}

/* Of an element, until it is sliced.  Limits leave out products, in which all costs are counted, and no slicing. */
static Costs slicing_costs(Engine *e)
{
    Costs c = {.left = SLICE_COST * (e->by_lines ? lines_share(e) : 1), .right = SLICE_COST};
    if (!e->left_ready)
        c.left += pack_cost_left(e) + (e->left_turned ? TURN_COST : 0);
    if (e->right_computed)
        c.right += (right_vector_cost(e) + PLACE_COST) / e->lanes;
    else if (!e->right_ready)
        c.right += pack_cost_right(e);
    const double share = contraction_share(&e->l->kernel->contraction);
    return (Costs){.left = c.left / share, .right = c.right / share};
}

bool slices_choose(Engine *e)
{
    const Kernel *k = e->l->kernel;
    const Schedule *s = e->l->schedule;
    if (!e->l->lanes->matrix_tiles || e->l->real != TYPE_F32 || k->own_examples ||
        depth_of(e) < LEAST_SLICED || (s->ends && s->ends[k->nodes.data[0]->id]))
        return false;
    e->mr = panel_lines(e->row->extent);
    e->nr = panel_lines(e->column->extent);
    if (!takes_right(e) || !(e->by_lines ? lines_choose(e) : takes_left(e) && choose_chunk(e)))
        return false;
    e->right_ready = e->right_ready || e->in_panels;
    pack_plan(e);
    e->left_turned = !e->left_ready && !e->left_by_row;
    choose_computed(e);
    e->costs = slicing_costs(e);
    return true;
}

double slices_cost(const Engine *e, int64_t rows, int64_t columns)
{
    const int64_t set = e->by_lines ? e->region : rows,
                  panels = divide_up(rows, set) * divide_up(set, e->mr);
    const double tiles = (double)panels * (double)divide_up(columns, e->nr),
                 products = 6.0 * (e->mr / TILE_LINES) * (e->nr / TILE_LINES),
                 chunks = depth_of(e) / (double)(e->chunk * e->suffix);
    return tiles * chunks * ((double)depth_blocks(e) * products * TERM_CYCLES + TILE_CYCLES);
}

/* Where one panel is sliced while tiles read the other, two. */
static int64_t left_floats(const Engine *e)
{
    if (e->by_lines)
        return lines_floats(e);
    return panel_floats(e, e->mr) * (slices_left_aside(e) ? 2 : 1);
}

/* The slices of all columns of a block. */
static int64_t columns_floats(const Engine *e)
{
    return panel_floats(e, e->nr) * (e->nc / e->nr);
}

void slices_buffers(Engine *e)
{
    const int64_t depth = e->chunk * e->suffix;
    if (!e->left_ready && !e->left_computed)
        e->a = scratch_new(e->l, e->l->real, depth * e->mr);
    if (e->left_turned)
        e->turned = scratch_new(e->l, e->l->real, depth * e->mr);
    if (!e->right_ready && !e->right_computed)
        e->b = scratch_new(e->l, e->l->real, depth * e->nr);
    e->left_slices = scratch_new(e->l, e->l->real, left_floats(e));
    e->right_slices =
        scratch_new(e->l, e->l->real, columns_floats(e) * (slices_right_aside(e) ? 2 : 1));
    e->l->out->matrix_tiles = true;
}

/* ---- slicing -------------------------------------------------------------------------------------------------- */

static void set_depth(Engine *e, Loop *l)
{
    const Index *split = e->depth.data[e->split];
    l->depth_index = index_new(e->l->pool, "depth", split->extent * e->suffix,
                               split->per_example * e->suffix, split->span);
    l->depth_begin = affine_scale(e->l->pool, e->depth_begin, e->suffix);
    l->depth_length = e->chunk * e->suffix;
}

/* Opens the loop over the chunk's blocks of depth; *at: where one begins. */
static LoopList *open_blocks(Engine *e, LoopList *into, const Affine **at)
{
    Index *depth = index_new(e->l->pool, "slice", e->chunk * e->suffix, 0, e->row->span);
    *at = affine_index(e->l->pool, depth);
    return &loop_range(e->l, into, FOR_SERIAL, depth, NULL, 0, SLICED_DEPTH)->body;
}

/* A block of the depth of a panel. */
static Loop *make_slice(Engine *e, Buffer *to, const Affine *panel, int lines)
{
    Loop *s = loop_new(e->l, LOOP_SLICE);
    s->c = to;
    s->c_offset = panel;
    s->rows = lines;
    s->lines = lines;
    set_depth(e, s);
    return s;
}

/* The packed panel, depth by rows, as rows by depth. */
static void turn_left(Engine *e, LoopList *into)
{
    ExprPool *p = e->l->pool;
    const int64_t depth = e->chunk * e->suffix;
    Index *row = index_new(p, "row", e->mr, 0, e->row->span),
          *step = index_new(p, "depth", depth, 0, e->row->span);
    const Affine *i = affine_index(p, row), *k = affine_index(p, step);
    into = &loop_for(e->l, into, FOR_SERIAL, row)->body;
    into = &loop_for(e->l, into, FOR_VECTOR, step)->body;
    const Affine *from = affine_add(p, affine_scale(p, k, e->mr), i),
                 *to = affine_add(p, affine_scale(p, i, depth), k);
    loop_store(e->l, into, e->turned, to, expr_load(p, e->l->real, e->a, from, NULL, 0));
}

/* Where the slices of the panel that begins at the row lie: of two, one is made while tiles read the other. */
static const Affine *left_panel(Engine *e, const Affine *row)
{
    ExprPool *p = e->l->pool;
    if (!slices_left_aside(e))
        return affine_constant(p, 0);
    const Affine *number = affine_quotient(p, affine_sub(p, row, e->row_begin), e->mr);
    return affine_scale(p, affine_remainder(p, number, 2), panel_floats(e, e->mr));
}

/* The operand at any of its lines, which are rows or columns, and step of the depth. */
static void compute(Engine *e, Loop *s, const Expr *operand, const IndexList *lines, Index *line)
{
    Binding b = e->outer;
    s->row = index_copy(e->l->pool, line);
    bind_flat(e, &b, lines, affine_index(e->l->pool, s->row));
    s->index = flatten_depth(e, &b);
    s->value = bind_expr(e, operand, &b);
}

static Loop *left_slice(Engine *e, const Affine *row)
{
    Loop *s = make_slice(e, e->left_slices, left_panel(e, row), e->mr);
    s->a_depth_stride = 1;
    s->row_begin = row;
    if (e->left_computed) {
        compute(e, s, e->left, &e->rows, e->row);
    } else if (e->left_ready) {
        const Expr *load = place_left(e, row);
        s->a = load->buffer;
        s->a_offset = load->affine;
        s->a_row_stride = e->row_stride;
        s->row = e->row;
    } else {
        s->a = e->left_turned ? e->turned : e->a;
        s->a_offset = affine_constant(e->l->pool, 0);
        s->a_row_stride = e->chunk * e->suffix;
    }
    return s;
}

void slices_left(Engine *e, LoopList *into)
{
    const Affine *at;
    if (e->by_lines) {
        lines_slice(e, into);
        return;
    }
    if (!e->left_ready && !e->left_computed)
        pack_left(e, into);
    if (e->left_turned)
        turn_left(e, into);
    into = open_blocks(e, into, &at);
    Loop *s = left_slice(e, e->packed_begin);
    s->depth_at = at;
    vec_push(e->l->arena, into, s);
}

/* Of two chunks of the depth as well. */
static const Affine *right_panel(Engine *e, const Affine *column)
{
    ExprPool *p = e->l->pool;
    const Affine *number = tile_number(e, column),
                 *panel = affine_scale(p, number, panel_floats(e, e->nr));
    if (!slices_right_aside(e))
        return panel;
    const Affine *chunk = affine_remainder(p, affine_quotient(p, e->depth_begin, e->chunk), 2);
    return affine_add(p, panel, affine_scale(p, chunk, columns_floats(e)));
}

static LoopList *open_columns(Engine *e, LoopList *into, const Affine **column)
{
    Index *panel = index_copy(e->l->pool, e->column);
    *column = affine_index(e->l->pool, panel);
    return &loop_range(e->l, into, FOR_SERIAL, panel, e->column_begin, e->nc, e->nr)->body;
}

static Loop *right_slice(Engine *e, const Affine *column)
{
    Loop *s = make_slice(e, e->right_slices, right_panel(e, column), e->nr);
    s->by_step = true;
    s->a_row_stride = 1;
    s->row_begin = column;
    if (e->right_computed) {
        compute(e, s, e->right, &e->columns, e->column);
    } else if (e->right_ready) {
        const Expr *load = place_right(e, column);
        s->a = load->buffer;
        s->a_offset = load->affine;
        s->a_depth_stride = e->in_panels ? e->right_stride : e->right_steps[e->depth.count - 1];
        s->row = e->column;
    } else {
        s->a = e->b;
        s->a_offset = affine_constant(e->l->pool, 0);
        s->a_depth_stride = e->nr;
    }
    return s;
}

/* What need not be packed is read in the order of memory: rows of all columns one after the other. */
void slices_right(Engine *e, LoopList *into)
{
    const Affine *at, *column;
    if (e->right_ready || e->right_computed) {
        into = open_blocks(e, into, &at);
        into = open_columns(e, into, &column);
    } else {
        into = open_columns(e, into, &column);
        Engine panel = *e; /* packs this one alone */
        panel.column_begin = column;
        panel.nc = e->nr;
        pack_right(&panel, into);
        into = open_blocks(e, into, &at);
    }
    Loop *s = right_slice(e, column);
    s->depth_at = at;
    vec_push(e->l->arena, into, s);
}

/* Tiles of a panel in the last block of columns, which may have fewer. */
static int64_t least_tiles(const Engine *e)
{
    const int64_t columns = e->column->extent, blocks = divide_up(columns, e->nc);
    return divide_up(columns - (blocks - 1) * e->nc, e->nr);
}

bool slices_left_aside(const Engine *e)
{
    return (e->left_ready || e->left_computed) && !e->by_lines &&
           !e->l->kernel->contraction.limits.count && 2 * least_tiles(e) > e->nc / e->nr;
}

/* Panels of rows in the last block of them. */
static int64_t least_panels(const Engine *e)
{
    const int64_t rows = e->row->extent;
    return divide_up(rows - (divide_up(rows, e->mc) - 1) * e->mc, e->mr);
}

bool slices_right_aside(const Engine *e)
{
    return e->right_ready && e->split == 0 && e->chunk < e->depth.data[0]->extent &&
           !e->row->per_example && !e->l->kernel->contraction.limits.count &&
           2 * least_panels(e) > divide_up(e->mc, e->mr);
}

/* The next panel of rows, each of this one's tiles its part of it. */
static void slice_aside(Engine *e, Loop *t, const Affine *row, const Affine *column)
{
    ExprPool *p = e->l->pool;
    Aside a = {.slice = left_slice(e, affine_offset(p, row, e->mr)), .parts = least_tiles(e)};
    a.part = tile_number(e, column);
    if (e->column->per_example) { /* there may be fewer tiles */
        a.index = e->column;
        a.column = column;
    }
    vec_push(e->l->arena, &t->asides, a);
}

/* The next chunk of the columns, each panel of rows its part of them. */
static void slice_chunk_aside(Engine *e, Loop *t, const Affine *row, const Affine *column)
{
    ExprPool *p = e->l->pool;
    Engine next = *e;
    next.depth_begin = affine_offset(p, e->depth_begin, e->chunk);
    Aside a = {.slice = right_slice(&next, column), .parts = least_panels(e)};
    a.part = affine_quotient(p, affine_sub(p, row, e->row_begin), e->mr);
    vec_push(e->l->arena, &t->asides, a);
}

void slices_set(Engine *e, Loop *t, const Affine *row, const Affine *column)
{
    t->sliced = true;
    t->a = e->left_slices;
    t->a_offset = left_panel(e, row);
    t->lines = e->mr;
    t->b = e->right_slices;
    t->b_offset = right_panel(e, column);
    t->chunk = e->depth_begin;
    for (int i = 0; i < e->split; i++)
        t->chunk = affine_add(e->l->pool, t->chunk, binding_of(e, e->depth.data[i]));
    set_depth(e, t);
    if (e->by_lines)
        lines_set(e, t, row);
    if (slices_left_aside(e))
        slice_aside(e, t, row, column);
    if (slices_right_aside(e))
        slice_chunk_aside(e, t, row, column);
}
