/* Inputs that sums of products read through windows are copied into the workspace, where zeros can stand
 * around them (margin.c): the register tile then takes the windows from there without packing. */
#include "schedule/internal.h"

typedef struct Inputs {
    Graph *graph;
    Node **copies; /* per node id, or NULL */
    const Node *user;
    NodeList order;
} Inputs;

static Node *copy_of(Inputs *x, Node *n)
{
    Graph *g = x->graph;
    if (x->copies[n->id])
        return x->copies[n->id];
    Index **domain = arena_new(g->arena, Index *, n->rank + 1);
    for (int i = 0; i < n->rank; i++)
        domain[i] = index_copy(g->pool, n->domain[i]);
    Node *copy =
        graph_compute(g, arena_format(g->arena, "%s_windows", n->name), n->type, domain, n->rank,
                      NULL, NULL, 0, expr_access_identity(g->pool, n, domain), n->span);
    vec_push(g->arena, &x->order, copy);
    return x->copies[n->id] = copy;
}

/* Does it reach beyond the dimensions?  There is a condition around it then. */
static bool leaves(const Expr *access)
{
    for (int i = 0; i < access->count; i++) {
        const Interval at = affine_interval(access->subscripts[i].affine);
        if (at.low < 0 || at.high >= access->node->domain[i]->extent)
            return true;
    }
    return false;
}

static const Expr *read_copy(void *context, const Expr *e)
{
    Inputs *x = context;
    ExprPool *p = x->graph->pool;
    if (e->kind != EXPR_ACCESS || e->node->kind != NODE_PORT || !node_is_batched(e->node) ||
        e->type != expr_pool_real(p) || access_has_data(e) || !leaves(e) ||
        !access_overlaps(p, e, x->user))
        return e;
    return expr_access(p, copy_of(x, e->node), e->subscripts);
}

void input_run(Graph *g)
{
    const int count = g->nodes.count;
    Inputs x = {.graph = g, .copies = arena_new(g->arena, Node *, count + 1)};
    for (int i = 0; i < count; i++) {
        Node *n = g->nodes.data[i];
        x.user = n;
        if (n->kind == NODE_COMPUTE && n->reduction == &reduce_sum && !n->recurrence &&
            !g->positions && !g->window)
            n->body = expr_map(g->pool, n->body, read_copy, &x);
        vec_push(g->arena, &x.order, n);
    }
    graph_set_order(g, x.order.data, x.order.count);
}
