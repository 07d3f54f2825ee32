/* Which loop the lanes run over: the cheapest of a stage's own, or the last of the shared ones for
 * all stages, by what the accesses cost at the strides that each would give them. */
#include "lower/nest.h"

#include <math.h>

double extents_without(const IndexList *list, const Index *without)
{
    double total = 1;
    for (int i = 0; i < list->count; i++)
        if (list->data[i] != without)
            total *= (double)list->data[i]->extent;
    return total;
}

bool index_in(const IndexList *list, const Index *ix)
{
    for (int i = 0; i < list->count; i++)
        if (list->data[i] == ix)
            return true;
    return false;
}

bool nest_writes(const Nest *x, const Buffer *b)
{
    for (int s = 0; s < x->stages.count; s++)
        for (int i = 0; i < x->stages.data[s]->items.count; i++) {
            const Item *item = &x->stages.data[s]->items.data[i];
            if (item->stored && item->buffer == b)
                return true;
        }
    return false;
}

enum { LOOP_COST = 2, FOLD_COST = 12 };

static double store_cost(const Item *item, const Index *v, int lanes)
{
    bool nested;
    int64_t factor = v ? affine_factor(item->offset, v, &nested) : 1;
    return factor == 1 ? 1 : lanes;
}

typedef struct Savings {
    const Nest *nest;
    const Index *vector;
    double uses, each, total;
} Savings;

static void visit_savings(void *context, const Expr *e)
{
    Savings *s = context;
    if (e->kind == EXPR_LOAD && turn_is_possible(s->nest, e, s->vector, s->uses))
        s->total += s->each;
}

static double item_cost(Nest *x, const Item *item, const Index *v, int lanes, double uses)
{
    Savings s = {x, v, uses, lanes - 1, 0};
    expr_visit(x->l->pool, item->value, visit_savings, &s);
    return access_cost(x->l, item->value, v, v ? lanes : 1) - s.total;
}

/* How often the kernel computes what is within the bound loops. */
double stage_uses(const Nest *x, const Stage *st)
{
    return extents_without(&x->shared, NULL) * extents_without(&st->free, NULL) *
           extents_without(&st->bound, NULL);
}

/* The stage's cost, its loops over `v` counted in vectors. */
static double stage_cost(Nest *x, const Stage *st, const Index *v, int lanes)
{
    double vectors = v ? ceil((double)v->extent / lanes) : 1;
    bool of_stage = v && (index_in(&st->free, v) || index_in(&st->bound, v));
    double outer = extents_without(&st->free, v) * (v && index_in(&st->free, v) ? vectors : 1);
    double inner =
        outer * extents_without(&st->bound, v) * (v && index_in(&st->bound, v) ? vectors : 1);
    double cost = LOOP_COST * inner;
    for (int i = 0; i < st->items.count; i++) {
        const Item *item = &st->items.data[i];
        double each = item_cost(x, item, v, lanes, stage_uses(x, st));
        cost += each * (item->kind == ITEM_POST ? outer : inner) - item->moved * inner;
        cost += item->moved * (st->bound.count ? outer : 1);
        if (item->kind == ITEM_REDUCE)
            cost += inner + (of_stage && index_in(&st->bound, v) ? FOLD_COST * outer : 0);
        if (item->stored)
            cost += store_cost(item, v, lanes) * (item->kind == ITEM_INNER ? inner : outer);
    }
    return cost;
}

static bool can_fold_lanes(const Stage *st)
{
    for (int i = 0; i < st->items.count; i++)
        if (st->items.data[i].kind == ITEM_REDUCE && st->items.data[i].position)
            return false;
    return true;
}

Index *vector_choose(Nest *x, const Stage *st, int lanes, double *cost)
{
    Index *best = NULL;
    *cost = stage_cost(x, st, NULL, lanes);
    for (int i = st->free.count - 1; i >= 0; i--) {
        double c = stage_cost(x, st, st->free.data[i], lanes);
        if (c < *cost)
            *cost = c, best = st->free.data[i];
    }
    for (int i = st->bound.count - 1; i >= 0 && can_fold_lanes(st); i--) {
        double c = stage_cost(x, st, st->bound.data[i], lanes);
        if (c < *cost)
            *cost = c, best = st->bound.data[i];
    }
    return best;
}

/* Have the iterations of the loop over v scratch in common?  Examples that lie innermost have their own. */
static bool shares_scratch(const Nest *x, const Index *v)
{
    for (int s = 0; s < x->stages.count; s++)
        for (int i = 0; i < x->stages.data[s]->items.count; i++) {
            const Item *item = &x->stages.data[s]->items.data[i];
            const bool own =
                v->per_example == 1 && schedule_is_examples_last(x->l->schedule, item->node);
            if (item->stored && item->buffer->space == SPACE_SCRATCH && !own)
                return true;
        }
    return false;
}

double vector_cost_within(Nest *x, int lanes)
{
    double total = 0;
    for (int s = 0; s < x->stages.count; s++) {
        double cost;
        vector_choose(x, x->stages.data[s], lanes, &cost);
        total += cost;
    }
    return total;
}

double vector_cost_across(Nest *x, int lanes)
{
    const Index *v = x->shared.data[x->shared.count - 1];
    double total = 0;
    for (int s = 0; s < x->stages.count; s++)
        total += stage_cost(x, x->stages.data[s], v, lanes);
    return total;
}

/* Is it cheaper to give each lane its own iteration of the last shared loop? */
bool vector_is_shared(Nest *x, int lanes)
{
    if (x->shared.count == 0 || lanes == 1)
        return false;
    const Index *v = x->shared.data[x->shared.count - 1];
    if (shares_scratch(x, v))
        return false;
    const double rows = (double)v->extent;
    return vector_cost_across(x, lanes) * ceil(rows / lanes) <= vector_cost_within(x, lanes) * rows;
}
