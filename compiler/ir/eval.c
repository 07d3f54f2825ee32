/* The graph run by the compiler itself, point by point in double precision: what tests compare
 * generated code with.  Nothing is clever here but that a branch not taken is never read. */
#include "functions/functions.h"
#include "ir/pool.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One run.  Within one point of a node's domain, a shared subexpression is computed once. */
typedef struct Run {
    Evaluation *ev;
    int64_t *at;     /* per index id: its value           */
    double *cache;   /* per expression id, valid where    */
    uint64_t *stamp; /* this equals `now`                 */
    uint64_t now;
} Run;

static int64_t extent_of(const Evaluation *ev, const Index *ix)
{
    return ix->per_example ? ix->per_example * ev->examples : ix->extent;
}

static int64_t elements_of(const Evaluation *ev, const Node *n)
{
    int64_t count = 1;
    for (int i = 0; i < n->rank; i++)
        count *= extent_of(ev, n->domain[i]);
    return count;
}

/* ---- expressions --------------------------------------------------------------------------------------- */

static int64_t affine_value(const Run *r, const Affine *a)
{
    int64_t sum = a->constant;
    for (const Term *t = a->terms; t < a->terms + a->count; t++) {
        int64_t v = t->kind == TERM_INDEX ? r->at[t->index->id] : affine_value(r, t->inner);
        if (t->kind == TERM_QUOTIENT)
            v = floor_div(v, t->divisor);
        else if (t->kind == TERM_REMAINDER)
            v = floor_mod(v, t->divisor);
        sum += t->factor * v;
    }
    return sum;
}

static double value_of(Run *r, const Expr *e);

static double access_value(Run *r, const Expr *e)
{
    int64_t offset = 0;
    for (int i = 0; i < e->count; i++) {
        const Subscript *s = &e->subscripts[i];
        int64_t v = s->affine ? affine_value(r, s->affine) : (int64_t)value_of(r, s->data);
        int64_t extent = extent_of(r->ev, e->node->domain[i]);
        if (v < 0 || v >= extent)
            bug("evaluation: subscript %d of %s is %lld of %lld", i + 1, e->node->name,
                (long long)v, (long long)extent);
        offset = offset * extent + v;
    }
    return r->ev->values[e->node->id][offset];
}

static double call_value(Run *r, const Expr *e)
{
    const ScalarFunction *f = e->function;
    double args[3] = {value_of(r, e->args[0])};
    if (f == &scalar_select)
        return value_of(r, e->args[args[0] != 0 ? 1 : 2]);
    if ((f == &scalar_and && args[0] == 0) || (f == &scalar_or && args[0] != 0))
        return args[0] != 0;
    for (int i = 1; i < f->arity; i++)
        args[i] = value_of(r, e->args[i]);
    double value = f->value(args);
    return dtype_is_integer(e->type) ? floor(value) : value;
}

static double scalar_value(const Evaluation *ev, const Expr *e)
{
    switch (e->scalar) {
    case SCALAR_BATCH_SIZE:
        return (double)ev->examples;
    case SCALAR_STEP:
        return floor((double)ev->step / (e->site ? e->site : 1));
    case SCALAR_DUE:
        return fmod((double)ev->step, e->site) == 0;
    case SCALAR_SCALE:
        return ev->scale;
    case SCALAR_FIRST:
        return ev->first;
    case SCALAR_EXAMPLES:
        return ev->examples_summed;
    }
    return 0;
}

static double value_anew(Run *r, const Expr *e)
{
    switch (e->kind) {
    case EXPR_CONST:
        return e->value;
    case EXPR_AFFINE:
        return (double)affine_value(r, e->affine);
    case EXPR_TEST: {
        int64_t v = affine_value(r, e->affine);
        return e->test == TEST_ZERO ? v == 0 : v >= 0;
    }
    case EXPR_ACCESS:
        return access_value(r, e);
    case EXPR_CALL:
        return call_value(r, e);
    case EXPR_RANDOM:
        return random_value(e->random, r->ev->seed, r->ev->step, (uint32_t)e->site,
                            (uint32_t)affine_value(r, e->affine));
    case EXPR_SCALAR:
        return scalar_value(r->ev, e);
    default:
        bug("evaluation: a load stands above the schedule");
    }
}

static double value_of(Run *r, const Expr *e)
{
    if (r->stamp[e->id] != r->now) {
        double value = value_anew(r, e);
        r->cache[e->id] = value;
        r->stamp[e->id] = r->now;
    }
    return r->cache[e->id];
}

/* ---- nodes ------------------------------------------------------------------------------------------------ */

/* The next point in row-major order; false after the last, all indices being 0 again. */
static bool advance(Run *r, Index *const *indices, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        int64_t *v = &r->at[indices[i]->id];
        if (++*v < extent_of(r->ev, indices[i]))
            return true;
        *v = 0;
    }
    return false;
}

static double point_value(Run *r, const Node *n)
{
    r->now++;
    return value_of(r, n->body);
}

static bool is_empty(const Run *r, const Node *n)
{
    for (int i = 0; i < n->bound_count; i++)
        if (extent_of(r->ev, n->bound[i]) == 0)
            return true;
    return false;
}

static double reduced_value(Run *r, const Node *n)
{
    double best = n->reduction->start;
    if (is_empty(r, n))
        return best;
    do
        best = n->reduction->combine->value((double[]){best, point_value(r, n)});
    while (advance(r, n->bound, n->bound_count));
    return best;
}

/* The first place of the largest or smallest. */
static double position_value(Run *r, const Node *n)
{
    double best = n->reduction->start;
    int64_t place = 0, found = 0;
    if (is_empty(r, n))
        return 0;
    do {
        double v = point_value(r, n);
        if (n->reduction == &reduce_argmax ? v > best : v < best) {
            best = v;
            found = place;
        }
        place++;
    } while (advance(r, n->bound, n->bound_count));
    return (double)found;
}

/* Where the indices of n stand among its elements. */
static int64_t place_of(const Run *r, const Node *n)
{
    int64_t place = 0;
    for (int i = 0; i < n->rank; i++)
        place = place * extent_of(r->ev, n->domain[i]) + r->at[n->domain[i]->id];
    return place;
}

/* All elements, or those of one step of a recurrence. */
static void compute_elements(Run *r, const Node *n, Index *const *domain, int rank)
{
    double *out = r->ev->values[n->id];
    if (elements_of(r->ev, n) == 0)
        return;
    for (int i = 0; i < rank; i++)
        r->at[domain[i]->id] = 0;
    for (int i = 0; i < n->bound_count; i++)
        r->at[n->bound[i]->id] = 0;
    do
        out[place_of(r, n)] = !n->reduction            ? point_value(r, n)
                              : n->reduction->position ? position_value(r, n)
                                                       : reduced_value(r, n);
    while (advance(r, domain, rank));
}

/* What is no computation. */
static void run_leaf(Run *r, const Node *n)
{
    size_t bytes = (size_t)elements_of(r->ev, n) * sizeof(double);
    double *out = r->ev->values[n->id];
    if (n->kind == NODE_VIEW)
        memcpy(out, r->ev->values[n->viewed->id], bytes);
    else if (n->kind == NODE_LITERAL)
        memcpy(out, n->literal, bytes);
    else if (n->kind == NODE_SUM)
        memcpy(out, r->ev->sums + n->slot, bytes); /* ports and tensors are filled by the caller */
}

/* At the steps `now` of the recurrences around n. */
static void run_node(Run *r, const Node *n, const int64_t *now)
{
    if (n->kind != NODE_COMPUTE) {
        run_leaf(r, n);
        return;
    }
    Index *others[n->rank + 1];
    int count = 0;
    for (int i = 0; i < n->rank; i++)
        if (!node_counts_steps(n, i))
            others[count++] = n->domain[i];
    for (int depth = 0; depth < node_depth(n); depth++)
        r->at[node_step(n, recurrence_at(n->recurrence, depth))->id] = now[depth];
    compute_elements(r, n, others, count);
}

static int last_of_recurrence(const Graph *g, int i, int last, int depth)
{
    const Recurrence *loop = recurrence_at(g->nodes.data[i]->recurrence, depth);
    while (i < last && recurrence_at(g->nodes.data[i + 1]->recurrence, depth) == loop)
        i++;
    return i;
}

/* The nodes from `first` to `last`, within `depth` recurrences. */
static void run_nodes(Run *r, int first, int last, int depth, int64_t *now)
{
    const Graph *g = r->ev->graph;
    for (int i = first; i <= last; i++) {
        const Recurrence *loop = recurrence_at(g->nodes.data[i]->recurrence, depth);
        if (!loop) {
            run_node(r, g->nodes.data[i], now);
            continue;
        }
        const int end = last_of_recurrence(g, i, last, depth);
        for (int64_t t = 0; t < loop->steps; t++) {
            now[depth] = loop->reversed ? loop->steps - 1 - t : t;
            run_nodes(r, i, end, depth + 1, now);
        }
        i = end;
    }
}

/* ---- the whole ---------------------------------------------------------------------------------------------- */

Evaluation *evaluation_create(Graph *g, int64_t examples)
{
    Evaluation *ev = arena_new(g->arena, Evaluation, 1);
    *ev = (Evaluation){.graph = g, .examples = examples, .step = 1, .scale = 1, .first = true};
    ev->values = arena_new(g->arena, double *, g->nodes.count + 1);
    for (int i = 0; i < g->nodes.count; i++)
        ev->values[i] = arena_new(g->arena, double, elements_of(ev, g->nodes.data[i]) + 1);
    return ev;
}

static void *zeroed(int count, size_t size)
{
    void *memory = calloc((size_t)count + 1, size);
    if (!memory)
        die("out of memory");
    return memory;
}

void evaluation_run(Evaluation *ev)
{
    const ExprPool *p = ev->graph->pool;
    Run r = {.ev = ev};
    r.at = zeroed(p->index_count, sizeof *r.at);
    r.cache = zeroed(p->exprs.count, sizeof *r.cache);
    r.stamp = zeroed(p->exprs.count, sizeof *r.stamp);
    int64_t now[MOST_STEPS];
    run_nodes(&r, 0, ev->graph->nodes.count - 1, 0, now);
    free(r.at);
    free(r.cache);
    free(r.stamp);
}
