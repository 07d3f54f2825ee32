/* What a legal graph is: a table of checks on each node, and one on each result. */
#include "functions/functions.h"
#include "ir/pool.h"

#include <stdlib.h>

typedef struct Verifier {
    Graph *graph;
    const Node *node;
    const char *fault;  /* the first one found, or NULL */
    const Node **owner; /* per index id */
    const char **names; /* sorted */
} Verifier;

static void __attribute__((format(printf, 2, 3))) fail(Verifier *v, const char *format, ...)
{
    va_list args;
    if (v->fault)
        return;
    va_start(args, format);
    v->fault = arena_vformat(v->graph->arena, format, args);
    va_end(args);
}

static const char *affine_text(Verifier *v, const Affine *a)
{
    Text t;
    text_init(&t, v->graph->arena);
    affine_print(&t, a);
    return t.data;
}

/* But for how wide they are, as what is computed may be stored in less. */
static bool same_type(DType a, DType b)
{
    return a == b || (dtype_is_integer(a) && dtype_is_integer(b)) ||
           (dtype_is_real(a) && dtype_is_real(b));
}

/* ---- indices ----------------------------------------------------------------------------------------- */

static void check_index(Verifier *v, const Index *ix)
{
    if (v->owner[ix->id])
        fail(v, "index %s belongs to %s too", ix->name, v->owner[ix->id]->name);
    v->owner[ix->id] = v->node;
    if (ix->extent <= 0)
        fail(v, "index %s has extent %lld", ix->name, (long long)ix->extent);
    if (ix->per_example && ix->extent != ix->per_example * v->graph->batch)
        fail(v, "index %s over the batch has extent %lld", ix->name, (long long)ix->extent);
}

static void check_indices(Verifier *v)
{
    const Node *n = v->node;
    for (int i = 0; i < n->rank; i++)
        check_index(v, n->domain[i]);
    for (int i = 0; i < n->bound_count; i++)
        check_index(v, n->bound[i]);
}

static void check_affine(Verifier *v, const Affine *a)
{
    for (const Term *t = a->terms; t < a->terms + a->count; t++)
        if (t->kind != TERM_INDEX)
            check_affine(v, t->inner);
        else if (v->owner[t->index->id] != v->node)
            fail(v, "index %s is neither free nor bound", t->index->name);
}

/* ---- expressions --------------------------------------------------------------------------------------- */

static bool is_earlier(const Verifier *v, const Node *n)
{
    return n->id >= 0 && n->id < v->node->id && v->graph->nodes.data[n->id] == n;
}

/* Within a recurrence: this step of what stands before, or a step that is done. */
static bool is_done(const Verifier *v, const Expr *e)
{
    const ReadTime time = access_time(v->graph->pool, v->node, e);
    /* Of positions it is known that none reads a later one: opt_positions has proven it. */
    const bool known = time != READ_UNKNOWN || v->node->recurrence == v->graph->positions;
    return time == READ_PAST || (known && is_earlier(v, e->node));
}

static void check_access(Verifier *v, const Expr *e)
{
    if (!is_done(v, e))
        fail(v, "%s is read before it is computed", e->node->name);
    if (e->count != e->node->rank)
        fail(v, "%s has rank %d and %d subscripts", e->node->name, e->node->rank, e->count);
    if (e->type != e->node->type)
        fail(v, "%s is read as %s", e->node->name, dtype_name(e->type));
    for (int i = 0; i < e->count; i++) {
        const Subscript *s = &e->subscripts[i];
        if (!s->affine == !s->data)
            fail(v, "subscript %d of %s is not one of affine and data", i + 1, e->node->name);
        else if (s->data && !dtype_is_integer(s->data->type))
            fail(v, "subscript %d of %s is %s", i + 1, e->node->name, dtype_name(s->data->type));
        else if (s->affine)
            check_affine(v, s->affine);
    }
}

static void check_call(Verifier *v, const Expr *e)
{
    DType types[3];
    for (int i = 0; i < e->function->arity; i++)
        types[i] = e->args[i]->type;
    int type = scalar_result_type(e->function, types);
    bool fits = e->function->signature == SIGNATURE_TO_REAL ? type >= 0 && dtype_is_real(e->type)
                                                            : type == (int)e->type;
    if (!fits)
        fail(v, "%s of %s gives %s", e->function->name, dtype_name(types[0]), dtype_name(e->type));
}

static void check_expr(void *context, const Expr *e)
{
    Verifier *v = context;
    if (e->kind == EXPR_ACCESS)
        check_access(v, e);
    else if (e->kind == EXPR_CALL)
        check_call(v, e);
    else if (e->kind == EXPR_LOAD || e->kind == EXPR_LOCAL)
        fail(v, "a load stands above the schedule");
    else if (e->affine)
        check_affine(v, e->affine);
}

static void check_body(Verifier *v)
{
    const Node *n = v->node;
    if (n->kind == NODE_COMPUTE && !n->body)
        fail(v, "it has no body");
    if (n->kind == NODE_COMPUTE && n->body)
        expr_visit(v->graph->pool, n->body, check_expr, v);
}

static void check_reduction(Verifier *v)
{
    const Node *n = v->node;
    const Reduction *r = n->reduction;
    if (n->kind != NODE_COMPUTE)
        return;
    if (!r != (n->bound_count == 0))
        fail(v, r ? "%s runs over nothing" : "an index is bound without a reduction",
             r ? r->name : "");
    if (r && r->mean)
        fail(v, "a mean stands in the graph");
    if (r && r->truths != (n->body->type == TYPE_BOOL))
        fail(v, "%s of %s", r->name, dtype_name(n->body->type));
    DType type = r && r->position ? TYPE_I32 : n->body->type;
    if (!same_type(type, n->type))
        fail(v, "its body is %s and it is %s", dtype_name(type), dtype_name(n->type));
}

/* ---- every affine subscript inside its dimension ----------------------------------------------------------- */

static void check_bounds(Verifier *v)
{
    int i;
    if (v->node->kind != NODE_COMPUTE || v->fault)
        return;
    const Expr *e = expr_outside(v->graph->pool, NULL, v->node->body, &i);
    if (e)
        fail(v, "subscript %d of %s, %s, may leave 0 … %lld", i + 1, e->node->name,
             affine_text(v, e->subscripts[i].affine), (long long)e->node->domain[i]->extent - 1);
}

/* ---- nodes without a body ------------------------------------------------------------------------------------ */

/* Elements as fixed * examples^power. */
static void count_elements(const Node *n, int64_t *fixed, int *power)
{
    *fixed = 1;
    *power = 0;
    for (int i = 0; i < n->rank; i++) {
        int64_t per_example = n->domain[i]->per_example;
        *fixed *= per_example ? per_example : n->domain[i]->extent;
        *power += per_example != 0;
    }
}

static void check_view(Verifier *v)
{
    const Node *n = v->node, *of = n->viewed;
    int64_t fixed, viewed_fixed;
    int power, viewed_power;
    if (n->kind != NODE_VIEW)
        return;
    if (!of || !is_earlier(v, of)) {
        fail(v, "what it views does not stand before it");
        return;
    }
    count_elements(n, &fixed, &power);
    count_elements(of, &viewed_fixed, &viewed_power);
    if (fixed != viewed_fixed || power != viewed_power)
        fail(v, "it has %lld elements and %s has %lld", (long long)node_elements(n), of->name,
             (long long)node_elements(of));
    if (n->type != of->type)
        fail(v, "it views %s as %s", dtype_name(of->type), dtype_name(n->type));
}

static void check_shape(Verifier *v, const Node *n, const int64_t *shape, int rank)
{
    int skipped = n->rank - rank;
    for (int i = 0; i < rank && skipped >= 0; i++)
        if (n->domain[skipped + i]->extent != shape[i])
            skipped = -1;
    if (skipped != node_is_batched(n))
        fail(v, "its shape is not the one declared");
}

static void check_leaf(Verifier *v)
{
    const Node *n = v->node;
    bool missing = (n->kind == NODE_PORT && !n->port) || (n->kind == NODE_TENSOR && !n->tensor) ||
                   (n->kind == NODE_LITERAL && !n->literal);
    if (missing)
        fail(v, "it stands for nothing");
    else if (n->kind == NODE_PORT)
        check_shape(v, n, n->port->shape, n->port->rank);
    else if (n->kind == NODE_TENSOR)
        check_shape(v, n, n->tensor->shape, n->tensor->rank);
}

/* ---- place, name, results -------------------------------------------------------------------------------------- */

static int by_address(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)*(const char *const *)a, y = (uintptr_t)*(const char *const *)b;
    return (x > y) - (x < y);
}

static void collect_names(Verifier *v)
{
    int count = v->graph->nodes.count;
    v->names = arena_new(v->graph->arena, const char *, count + 1);
    for (int i = 0; i < count; i++)
        v->names[i] = v->graph->nodes.data[i]->name;
    qsort(v->names, (size_t)count, sizeof *v->names, by_address);
}

static void check_name(Verifier *v)
{
    const char **found = bsearch(&v->node->name, v->names, (size_t)v->graph->nodes.count,
                                 sizeof *v->names, by_address);
    bool twice = (found > v->names && found[-1] == *found) ||
                 (found + 1 < v->names + v->graph->nodes.count && found[1] == *found);
    if (twice)
        fail(v, "another node has its name");
}

static void check_place(Verifier *v)
{
    if (v->node->id < 0 || v->node->id >= v->graph->nodes.count ||
        v->graph->nodes.data[v->node->id] != v->node)
        fail(v, "its id %d is not its position", v->node->id);
}

static void check_result(Verifier *v, const Result *r)
{
    v->node = r->value;
    bool fixed = r->role == RESULT_LOSS || r->role == RESULT_SUM || r->role == RESULT_VALUE;
    bool stored = r->role == RESULT_UPDATE || r->role == RESULT_GRADIENT;
    check_place(v);
    /* Until differentiation is done, a loss is one number for each example. */
    const int batched = r->role == RESULT_LOSS && node_is_batched(r->value);
    if (r->role == RESULT_LOSS && r->value->rank > batched)
        fail(v, "a loss has rank %d", r->value->rank);
    for (int i = batched; fixed && i < r->value->rank; i++)
        if (r->value->domain[i]->per_example)
            fail(v, "a loss or metric runs over the batch");
    if (stored && !r->tensor)
        fail(v, "it is stored to no tensor");
    if (stored && r->tensor)
        check_shape(v, r->value, r->tensor->shape, r->tensor->rank);
    if (stored && node_is_batched(r->value))
        fail(v, "%s is stored to one value an example", r->tensor ? r->tensor->name : "");
    if (stored && r->tensor && !same_type(r->tensor->type, r->value->type))
        fail(v, "%s is %s", r->tensor->name, dtype_name(r->tensor->type));
}

/* ---- the table ------------------------------------------------------------------------------------------------- */

/* The steps of the recurrences are indices of it. */
static void check_recurrence(Verifier *v)
{
    const Node *n = v->node;
    for (const Recurrence *r = n->recurrence; r; r = r->outer)
        if (node_step_place(n, r) < 0 || node_step(n, r)->extent != r->steps)
            fail(v, "it does not know its step");
}

typedef void Check(Verifier *v);

static Check *const checks[] = {
    check_place, check_name,      check_indices,    /* before the body: says who owns an index */
    check_leaf,  check_view,      check_recurrence, /* before the body, whose reads it explains */
    check_body,  check_reduction, check_bounds,     /* last: takes a sound body for granted */
};

static void check_node(Verifier *v)
{
    for (size_t i = 0; i < sizeof checks / sizeof *checks && !v->fault; i++)
        checks[i](v);
}

const char *graph_verify(Graph *g)
{
    Verifier v = {.graph = g, .owner = arena_new(g->arena, const Node *, g->pool->index_count + 1)};
    collect_names(&v);
    for (int i = 0; i < g->nodes.count && !v.fault; i++) {
        v.node = g->nodes.data[i];
        check_node(&v);
    }
    for (int i = 0; i < g->results.count && !v.fault; i++)
        check_result(&v, &g->results.data[i]);
    return v.fault ? arena_format(g->arena, "node %s: %s", v.node->name, v.fault) : NULL;
}
