/* Sums over a whole set, and what an expression rests on: a sum over one call's examples is a result of the
 * entry that reads the set, and a leaf of the one that makes something of the sums. */
#include "sema/internal.h"

const char *whole_set_name(const Sema *s)
{
    return s->entry == ENTRY_FIT ? "training set" : "evaluated set";
}

Node *set_sum(Sema *s, Node *n)
{
    enum { MOST = 1 << 26 };
    Program *p = s->program;
    int *count = s->entry == ENTRY_FIT ? &p->fit_count : &p->accumulator_count;
    const int slot = *count;
    int64_t *shape = arena_new(s->arena, int64_t, n->rank + 1);
    for (int i = 0; i < n->rank; i++)
        shape[i] = n->domain[i]->extent;
    if (node_elements(n) > MOST - slot) {
        diag_error(s->diag, n->span, "more than %d sums over the %s", MOST, whole_set_name(s));
        return NULL;
    }
    *count += (int)node_elements(n);
    graph_result(s->graph, RESULT_SUM, n->name, n, NULL, slot);
    return graph_sum(s->graph, n->name, shape, n->rank, slot, n->span);
}

/* ---- what an expression rests on --------------------------------------------------------------------- */

typedef struct Search {
    ExprPool *pool;
    const Tensor *fitting; /* Sema's */
    bool *seen;            /* per node id */
    Rests found;
} Search;

/* A state whose fit reads itself has it as the pass before left it. */
static void search_tensor(Search *x, const Node *n)
{
    const int passes = n->tensor == x->fitting ? 1 : n->tensor->passes;
    x->found.tensor = n;
    if (x->found.passes < passes)
        x->found.passes = passes;
}

static void search_expr(void *context, const Expr *e);

static void search_node(Search *x, const Node *n)
{
    if (x->seen[n->id])
        return;
    x->seen[n->id] = true;
    x->found.set = x->found.set || n->kind == NODE_SUM;
    if (n->kind == NODE_TENSOR)
        search_tensor(x, n);
    for (int i = 0; i < n->bound_count; i++)
        if (n->bound[i]->per_example && !x->found.call)
            x->found.call = n;
    if (n->kind == NODE_VIEW)
        search_node(x, n->viewed);
    else if (n->kind == NODE_COMPUTE)
        expr_visit(x->pool, n->body, search_expr, x);
    if (node_is_batched(n) && !x->found.example)
        x->found.example = n;
}

static void search_expr(void *context, const Expr *e)
{
    Search *x = context;
    if (e->kind == EXPR_ACCESS)
        search_node(x, e->node);
    else if (e->kind == EXPR_SCALAR && e->scalar == SCALAR_EXAMPLES)
        x->found.set = true;
}

static Search search_new(Sema *s)
{
    return (Search){
        s->program->pool, s->fitting, arena_new(s->arena, bool, s->graph->nodes.count + 1), {0}};
}

Rests find_rests(Sema *s, const Expr *e)
{
    Search x = search_new(s);
    expr_visit(x.pool, e, search_expr, &x);
    return x.found;
}

Rests find_node_rests(Sema *s, const Node *n)
{
    Search x = search_new(s);
    search_node(&x, n);
    return x.found;
}
