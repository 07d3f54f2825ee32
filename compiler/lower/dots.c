/* Tiles of operands that both lie along the depth: read where they lie, by vectors of it, so that nothing is
 * packed.  What that costs is adding up the accumulators' lanes, once for each chunk of the depth. */
#include "lower/tile.h"

#include <math.h>

enum { MOST_ROWS = 8, MOST_COLUMNS = 8 };

#define ADD_LANES 3.0   /* cycles for each element of the result              */
#define TILE_CYCLES 20  /* to begin and to end                                */
#define LINE_CYCLES 2.5 /* until a vector is there from the second cache     */

/* Of a vector of the depth: multiplying and adding, loading, and waiting for the columns. */
static double step_cycles(const Engine *e)
{
    const double adds = e->mr * e->nr / 2.0, loads = (e->mr + e->nr) / 2.0;
    return fmax(fmax(adds, loads), e->nr * LINE_CYCLES);
}

double dots_cost(const Engine *e, int64_t rows, int64_t columns)
{
    const double tiles = (double)divide_up(rows, e->mr) * (double)divide_up(columns, e->nr);
    const double depth = depth_of(e);
    const double vectors =
        depth / (double)(e->chunk * e->suffix) * (double)divide_up(e->chunk * e->suffix, e->lanes);
    const double chunks = ceil(depth / (double)(e->chunk * e->suffix));
    return tiles * (vectors * step_cycles(e) + chunks * (e->mr * e->nr * ADD_LANES + TILE_CYCLES));
}

/* Three quarters of the registers accumulate. */
static int columns_beside(const Engine *e, int rows)
{
    const int64_t most = at_most(MOST_COLUMNS, e->l->lanes->vector_registers * 3 / 4 / rows);
    return (int)at_most(most, e->column->extent);
}

bool dots_choose(Engine *e)
{
    double best = INFINITY;
    Engine chosen = *e;
    if (e->lanes == 1 || e->sum_rows || e->l->kernel->contraction.limits.count ||
        !place_along_depth(e))
        return false;
    for (int rows = 1; rows <= at_most(MOST_ROWS, e->row->extent); rows++) {
        e->mr = rows;
        e->nr = columns_beside(e, rows);
        if (!e->nr)
            break;
        depth_choose(e);
        if (!place_stays_in_cache(e, rows, e->chunk * e->suffix, e->row_stride))
            continue;
        const double cost = dots_cost(e, e->row->extent, e->column->extent);
        if (cost < best) {
            best = cost;
            chosen = *e;
        }
    }
    *e = chosen;
    if (best == INFINITY)
        return false;
    e->tile_row_stride = e->row_stride;
    return true;
}

void dots_set(const Engine *e, Loop *t, const Affine *row, const Affine *column)
{
    t->along_depth = true;
    t->b_stride = e->column_stride;
    t->row = e->row;
    t->column = e->column;
    t->row_begin = row;
    t->column_begin = column;
}
