/* The blocks into which a contraction's result is cut.  Each packs its operands anew, so that large ones cost
 * the least work; several threads want many, and of one size.  The choice depends on the shape alone. */
#include "lower/tile.h"

#include <math.h>

enum {
    MOST_COLUMNS = 512,
    MOST_ROWS = 1024,
    SLICED_BYTES = SLICES * 2, /* of a number */
    MANY_BLOCKS = 64,          /* more are no better for any number of threads below */
    BLOCK_CYCLES = 500,
    WAKE_CYCLES = 2500, /* until another thread has begun */
    MOST_OPERANDS = 8
};

#define NEAR_BYTE 0.03 /* cycles for a byte that packing reads: from the second cache … */
#define FAR_BYTE 0.12  /* … and from beyond it                                         */

#define ASKED 0.3 /* what is left of that where tiles ask for what they read in place */

/* So many threads are to be served well: what their time, as work of one of them, counts. */
static const struct {
    int threads;
    double weight;
} served[] = {{1, 2}, {2, 2}, {4, 0.5}, {8, 0.15}};

double depth_of(const Engine *e)
{
    double depth = 1;
    for (int i = 0; i < e->depth.count; i++)
        depth *= (double)e->depth.data[i]->extent;
    return depth;
}

static double groups_of(const Engine *e)
{
    double groups = 1;
    for (int i = 0; i < e->groups.count; i++)
        groups *= (double)e->groups.data[i]->extent;
    return groups;
}

/* ---- what packing reads ------------------------------------------------------------------------------- */

typedef struct Sources {
    const Buffer *seen[MOST_OPERANDS];
    int count;
    double most, bytes; /* of each: at most so many elements */
} Sources;

static void visit_source(void *context, const Expr *x)
{
    Sources *s = context;
    if (x->kind != EXPR_LOAD || s->count == MOST_OPERANDS)
        return;
    for (int i = 0; i < s->count; i++)
        if (s->seen[i] == x->buffer)
            return;
    s->seen[s->count++] = x->buffer;
    const double all = (double)x->buffer->bytes, most = s->most * dtype_size(x->buffer->type);
    s->bytes += all < most ? all : most;
}

/* Cycles until what one of so many elements is made of is there, if the second cache keeps such a part of itself for
 * that. */
static double reading_cost(Engine *e, const Expr *operand, double elements, double part)
{
    Sources s = {.most = elements};
    expr_visit(e->l->pool, lower_expr(e->l, operand, NULL), visit_source, &s);
    const bool far = s.bytes > cache_bytes(e->l->lanes->l2_bytes) * part;
    return s.bytes / elements * (far ? FAR_BYTE : NEAR_BYTE);
}

/* Adds that to the costs.  Slices take more room than what they are made of, so that less is left of it for the next
 * block that wants it. */
static void add_reading(Engine *e, double groups, double depth)
{
    const double left = groups * (double)e->row->extent * depth,
                 right = groups * (double)e->column->extent * depth, part = e->sliced ? 0.25 : 0.5;
    e->costs.left_again = e->costs.left + reading_cost(e, e->left, left, part);
    e->costs.right_again = e->costs.right + reading_cost(e, e->right, right, part);
    e->costs.left += reading_cost(e, e->left, left, 0.5);
    e->costs.right += reading_cost(e, e->right, right, 0.5);
}

/* ---- what a choice costs ------------------------------------------------------------------------------ */

/* Cycles for so many rows and columns, whose right operand is packed for each of `across` blocks of rows, and
 * the left one for each of `along` blocks of columns. */
static double work_of(const Engine *e, double depth, int64_t rows, int64_t columns, int64_t across,
                      int64_t along)
{
    const double vectors = (double)e->nr / e->lanes;
    const double tiles = (double)divide_up(rows, e->mr) * (double)divide_up(columns, e->nr);
    double cost = e->dots     ? dots_cost(e, rows, columns)
                  : e->sliced ? slices_cost(e, rows, columns)
                              : tiles * depth * (e->mr * vectors + 1) / 2;
    if (e->rest && columns % e->nr) /* the last tile of each panel is a narrow one */
        cost -= (double)divide_up(rows, e->mr) * depth * e->mr *
                (vectors - (double)divide_up(e->rest, e->lanes)) / 2;
    if (!e->single && e->windows) /* chunks are short: each fetches and stores the tile */
        cost += tiles * depth / (double)(e->chunk * e->suffix) * e->mr * vectors;
    if (e->dots && e->row->extent > e->mr) /* for packing, memory is asked ahead */
        cost +=
            2 * depth *
            ((double)(rows * along) * e->costs.left + (double)(columns * across) * e->costs.right);
    if (!e->dots) {
        const double left = e->left_ready && !e->windows && !e->sliced ? ASKED : 1,
                     right = e->streams ? ASKED : 1;
        cost += (double)(rows * along) * depth * left *
                (e->nc < e->column->extent ? e->costs.left_again : e->costs.left);
        cost += (double)(columns * across) * depth * right *
                (e->mc < e->row->extent ? e->costs.right_again : e->costs.right);
    }
    return cost + (double)(rows * columns) * e->costs.epilogue +
           (double)(across * along) * BLOCK_CYCLES;
}

/* Work for one thread, of one group. */
static double work_alone(const Engine *e, double depth)
{
    const int64_t rows = e->row->extent, columns = e->column->extent;
    return work_of(e, depth, rows, columns, divide_up(rows, e->mc), divide_up(columns, e->nc));
}

static double score_of(const Engine *e, double depth, double groups)
{
    const double blocks = groups * (double)divide_up(e->row->extent, e->mc) *
                          (double)divide_up(e->column->extent, e->nc);
    const double block = work_of(e, depth, e->mc, e->nc, 1, 1);
    double score = served[0].weight * groups * work_alone(e, depth);
    for (size_t i = 1; i < sizeof served / sizeof *served && !e->l->out->serial; i++) {
        const double threads = served[i].threads, wake = blocks > 1 ? WAKE_CYCLES : 0;
        score += served[i].weight * threads * (ceil(blocks / threads) * block + wake);
    }
    return score;
}

/* So many pieces of `extent`, of whole panels. */
static int64_t piece_of(int64_t extent, int64_t pieces, int64_t panel)
{
    return round_up(divide_up(extent, pieces), panel);
}

/* The panels of columns fill half of the second cache at most, and so does the block where it is kept. */
static int64_t most_columns(const Engine *e, int64_t half)
{
    const int64_t size = e->sliced ? SLICED_BYTES : dtype_size(e->l->real),
                  fits = half / (e->chunk * e->suffix * size);
    const int64_t most = at_most(MOST_COLUMNS, fits) / e->nr * e->nr;
    return most < e->nr ? e->nr : most;
}

/* Blocks are of whole panels of rows, or of whole sets. */
static int64_t row_unit(const Engine *e)
{
    return tile_set(e) ? tile_set(e) : e->mr;
}

static int64_t most_rows(const Engine *e, int64_t half, int64_t columns)
{
    int64_t most = MOST_ROWS;
    if (!e->single)
        most = at_most(most, half / (columns * dtype_size(e->l->real)));
    const int64_t unit = row_unit(e);
    most = most / unit * unit;
    return most < unit ? unit : most;
}

double block_choose(Engine *e)
{
    const int64_t rows = e->row->extent, columns = e->column->extent,
                  half = cache_bytes(e->l->lanes->l2_bytes) / 2;
    const double depth = depth_of(e), groups = groups_of(e);
    double best = INFINITY;
    add_reading(e, groups, depth);
    Engine chosen = *e;
    for (int64_t along = divide_up(columns, most_columns(e, half)), first_along = along;
         along == first_along || along <= MANY_BLOCKS; along++) {
        e->nc = piece_of(columns, along, e->nr);
        const int64_t own = e->l->kernel->own_examples,
                      first = divide_up(rows, own ? own : most_rows(e, half, e->nc));
        for (int64_t across = first; across == first || (!own && along * across <= MANY_BLOCKS);
             across++) {
            e->mc = piece_of(rows, across, row_unit(e));
            const double score = score_of(e, depth, groups);
            if (score < best) {
                best = score;
                chosen = *e;
            }
        }
    }
    *e = chosen;
    e->score = best;
    return groups * work_alone(e, depth);
}
