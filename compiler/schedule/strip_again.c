/* What the backward pass reads of the forward pass's matrices: stored from one to the other, it moves to far memory
 * and back, and takes memory that grows with the square of a length.  Where computing it again from what is
 * small takes less, the backward pass has nodes of its own for it:
 *
 *     weight[b, i, j]        = exp(score[b, i, j] - top[b, i]) / total[b, i]
 *     weight_again[b, i, j]  = exp(score_again[b, i, j] - top[b, i]) / total[b, i]
 *
 *   needs: the members of strips
 *   gives: the same numbers; the new nodes are members, too */
#include "schedule/strip.h"

/* In flops of a loop's lane; those of a register tile take a fraction of that. */
enum {
    COST_MOVED = 96, /* of storing a number to far memory and reading it there */
    TILE_FLOPS = 2
};

typedef struct Again {
    Strips *strips;
    int count;     /* of nodes, without the new ones              */
    bool *forward; /* per node id: the loss needs it              */
    Node **again;  /* the same: the node that computes it anew    */
    NodeList made; /* in the order of their originals             */
} Again;

/* ---- which pass ---------------------------------------------------------------------------------------- */

static void mark_reads(const Graph *g, const Node *n, bool *marks)
{
    if (n->kind == NODE_VIEW)
        marks[n->viewed->id] = true;
    const AccessList accesses = body_accesses(g->pool, n->kind == NODE_COMPUTE ? n->body : NULL);
    for (int i = 0; i < accesses.count; i++)
        marks[accesses.data[i]->node->id] = true;
}

static bool *find_forward(const Graph *g)
{
    bool *forward = arena_new(g->arena, bool, g->nodes.count);
    for (int i = 0; i < g->results.count; i++)
        if (g->results.data[i].role == RESULT_LOSS)
            forward[g->results.data[i].value->id] = true;
    for (int i = g->nodes.count - 1; i >= 0; i--)
        if (forward[i])
            mark_reads(g, g->nodes.data[i], forward);
    return forward;
}

/* ---- what it costs ------------------------------------------------------------------------------------- */

/* A matrix of the forward pass, of which strips are made. */
static bool is_kept(const Again *a, const Node *n)
{
    const StripMember *m = strip_member(a->strips, n);
    return m && !m->is_sum && a->forward[n->id] && strip_is_matrix(a->strips, n);
}

static double own_cost(ExprPool *p, const Node *n)
{
    double products = 1;
    for (int i = 0; i < n->bound_count; i++)
        products *= (double)n->bound[i]->extent;
    return n->reduction ? 2 * products / TILE_FLOPS : body_cost(p, n->body);
}

/* Of one element, with those of the matrices that it is made of and that are not computed again anyway. */
static double cost_of(const Again *a, const Node *n)
{
    ExprPool *p = a->strips->graph->pool;
    double cost = own_cost(p, n);
    const AccessList accesses = body_accesses(p, n->body);
    for (int i = 0; i < accesses.count; i++)
        if (is_kept(a, accesses.data[i]->node) && !a->again[accesses.data[i]->node->id])
            cost += cost_of(a, accesses.data[i]->node);
    return cost;
}

/* ---- the nodes ----------------------------------------------------------------------------------------- */

static Node *compute_again(Again *a, Node *n);

static const Expr *again_leaf(void *context, const Expr *e)
{
    Again *a = context;
    if (e->kind != EXPR_ACCESS || !is_kept(a, e->node))
        return e;
    return expr_access(a->strips->graph->pool, compute_again(a, e->node), e->subscripts);
}

static const Expr *with_indices(const Graph *g, const Expr *e, Index *const *from, Index *const *to,
                                int count)
{
    const Affine **as = arena_new(g->arena, const Affine *, count + 1);
    for (int i = 0; i < count; i++)
        as[i] = affine_index(g->pool, to[i]);
    return expr_substitute(g->pool, e, &(Substitution){count, from, as});
}

static Node *compute_again(Again *a, Node *n)
{
    Graph *g = a->strips->graph;
    if (a->again[n->id])
        return a->again[n->id];
    const Expr *body = expr_map(g->pool, n->body, again_leaf, a);
    Index **domain = index_copies(g->pool, n->domain, n->rank),
          **bound = index_copies(g->pool, n->bound, n->bound_count);
    body = with_indices(g, body, n->domain, domain, n->rank);
    body = with_indices(g, body, n->bound, bound, n->bound_count);
    Node *again = graph_compute(g, arena_format(g->arena, "%s_again", n->name), n->type, domain,
                                n->rank, n->reduction, bound, n->bound_count, body, n->span);
    again->layer = n->layer;
    a->again[n->id] = again;
    vec_push(g->arena, &a->made, again);
    return again;
}

/* ---- those that read it -------------------------------------------------------------------------------- */

static bool reads(const Graph *g, const Node *n, const Node *what)
{
    const AccessList accesses = body_accesses(g->pool, n->kind == NODE_COMPUTE ? n->body : NULL);
    bool found = n->kind == NODE_VIEW && n->viewed == what;
    for (int i = 0; i < accesses.count; i++)
        found = found || accesses.data[i]->node == what;
    return found;
}

/* Do only strips read it in the backward pass, and do some? */
static bool is_read_backward(const Again *a, const Node *n)
{
    const Graph *g = a->strips->graph;
    bool any = false;
    for (int i = 0; i < a->count; i++) {
        const Node *user = g->nodes.data[i];
        if (a->forward[i] || !reads(g, user, n))
            continue;
        if (!strip_member(a->strips, user))
            return false;
        any = true;
    }
    return any;
}

static const Expr *backward_leaf(void *context, const Expr *e)
{
    const Again *a = context;
    Node *again = e->kind == EXPR_ACCESS && e->node->id < a->count ? a->again[e->node->id] : NULL;
    return again ? expr_access(a->strips->graph->pool, again, e->subscripts) : e;
}

/* The new nodes stand in front of the first that reads them. */
static void put_in_order(Again *a)
{
    Graph *g = a->strips->graph;
    NodeList order = {0};
    bool placed = false;
    for (int i = 0; i < a->count; i++) {
        Node *n = g->nodes.data[i];
        for (int k = 0; !placed && k < a->made.count; k++)
            placed = reads(g, n, a->made.data[k]);
        for (int k = 0; placed && k < a->made.count; k++)
            vec_push(g->arena, &order, a->made.data[k]);
        if (placed)
            a->made.count = 0;
        vec_push(g->arena, &order, n);
    }
    graph_set_order(g, order.data, order.count);
}

void strip_compute_again(Strips *x)
{
    Graph *g = x->graph;
    const int count = g->nodes.count;
    Again a = {.strips = x, .count = count, .forward = find_forward(g)};
    a.again = arena_new(g->arena, Node *, count);
    for (int i = 0; i < count; i++) {
        Node *n = g->nodes.data[i];
        if (is_kept(&a, n) && is_read_backward(&a, n) && cost_of(&a, n) <= COST_MOVED)
            compute_again(&a, n);
    }
    for (int i = 0; i < count && a.made.count; i++)
        if (!a.forward[i] && strip_member(x, g->nodes.data[i]))
            g->nodes.data[i]->body = expr_map(g->pool, g->nodes.data[i]->body, backward_leaf, &a);
    for (int i = 0; i < a.made.count; i++)
        strip_add_member(x, a.made.data[i], a.made.data[i]->domain[x->outer]);
    put_in_order(&a);
}
