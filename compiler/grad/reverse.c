/* Reverse-mode differentiation: the walk from the losses to the parameters.
 * No function or reduction by name here. */
#include "grad/internal.h"

/* ---- which nodes take part ------------------------------------------------------------------------------ */

typedef struct Dependence {
    const bool *needed;
    bool found;
} Dependence;

static void look_for_needed(void *context, const Expr *e)
{
    Dependence *c = context;
    if (e->kind == EXPR_ACCESS && dtype_is_real(e->type) && c->needed[e->node->id])
        c->found = true;
}

static bool depends_on_needed(Reverse *r, const Node *n)
{
    Dependence c = {.needed = r->needed};
    if (n->kind == NODE_VIEW)
        return r->needed[n->viewed->id];
    if (n->kind == NODE_COMPUTE)
        expr_visit(r->p, n->body, look_for_needed, &c);
    for (int i = 0; i < n->stated.count; i++)
        look_for_needed(&c, n->stated.data[i].access);
    return c.found;
}

static void mark_needed(Reverse *r, Node *const *wanted, int wanted_count)
{
    for (int i = 0; i < wanted_count; i++)
        r->wanted[wanted[i]->id] = true;
    bool again = true; /* around recurrences, until nothing is new */
    while (again) {
        again = false;
        for (int i = 0; i < r->count; i++) {
            const Node *n = r->g->nodes.data[i];
            const bool before = r->needed[i];
            r->needed[i] = dtype_is_real(n->type) && (r->wanted[i] || depends_on_needed(r, n));
            again = again || (n->recurrence && r->needed[i] != before);
        }
    }
}

/* ---- a node hands its cotangent on --------------------------------------------------------------------------------- */

/* The cotangent of n at its own indices, for use in what n hands on.  A node unless it is uniform. */
static const Expr *arrived(Reverse *r, const Node *n)
{
    const Expr *sum = cotangent_total(r, n, d_name(r->g, n));
    if (!sum || expr_is_uniform(sum))
        return sum;
    return expr_access_identity(r->p, node_of_total(r, n, sum), n->domain);
}

/* The adjoint reuses the primal result: one tanh, no second one; nor a second one of `if c then
 * tanh(x) else 0`, of which c guards the cotangent too. */
static const Expr *reuse_result(Reverse *r, const Node *y, const Expr *e)
{
    if (y->reduction || y->body->kind != EXPR_CALL)
        return e;
    const Expr *result = expr_access_identity(r->p, (Node *)y, y->domain);
    const Expr *guarded = adjoint_guarded_value(r->p, y->body);
    e = adjoint_replace(r->p, e, y->body, result);
    return guarded ? adjoint_replace(r->p, e, guarded, result) : e;
}

static int leaves_with(const LeafAdjoints *leaves, const Expr *value)
{
    int count = 0;
    for (int i = 0; i < leaves->count; i++)
        count += leaves->data[i].value == value;
    return count;
}

/* What several operands get alike becomes a node, so that a bias sums what the product before it reads. */
static void share_value(Reverse *r, const Node *y, LeafAdjoints *leaves)
{
    for (int i = 0; !y->reduction && i < leaves->count; i++) {
        const Expr *value = leaves->data[i].value;
        if (value->kind != EXPR_CALL || expr_is_uniform(value) || leaves_with(leaves, value) < 2)
            continue;
        const char *name =
            arena_format(r->g->arena, "d_%s_from_%s", leaves->data[i].access->node->name, y->name);
        Node *n = adjoint_node(r->g, y, name, y->type, y->domain, y->rank, NULL, NULL, 0, value);
        for (int k = i; k < leaves->count; k++)
            if (leaves->data[k].value == value)
                leaves->data[k].value = expr_access_identity(r->p, n, y->domain);
    }
}

/* What the author says, in place of the body. */
static void stated_adjoints(Reverse *r, const Node *y, const Expr *ct, LeafAdjoints *leaves)
{
    for (int i = 0; i < y->stated.count; i++) {
        const StatedDerivative *s = &y->stated.data[i];
        const LeafAdjoint leaf = {s->access, expr_mul(r->p, ct, s->value)};
        if (r->needed[s->access->node->id])
            vec_push(r->g->arena, leaves, leaf);
    }
}

static void pull_back_compute(Reverse *r, const Node *y, const Expr *ct)
{
    LeafAdjoints leaves = {0};
    if (y->stated.count)
        stated_adjoints(r, y, ct, &leaves);
    else
        adjoint_of_body(r->p, y->body, cotangent_of_body(r, y, ct), r->needed, &leaves);
    for (int i = 0; i < leaves.count; i++)
        leaves.data[i].value = reuse_result(r, y, leaves.data[i].value);
    share_value(r, y, &leaves);
    for (int i = 0; i < leaves.count; i++) {
        const LeafAdjoint *leaf = &leaves.data[i];
        const Node *x = leaf->access->node;
        Pullback b = access_pull_back(r->g, leaf->access, leaf->value, y, cotangent_of(r, x)->axes);
        add_share(r, x, (Share){y, b.bound, b.bound_count, b.body});
    }
}

/* The adjoint of a view is a view of the adjoint. */
static void pull_back_view(Reverse *r, const Node *y, const Expr *ct)
{
    const Node *x = y->viewed;
    if (!expr_is_uniform(ct)) {
        const char *name = arena_format(r->g->arena, "d_%s_from_%s", x->name, y->name);
        Node *v = graph_view(r->g, name, ct->node, index_copies(r->g->pool, x->domain, x->rank),
                             x->rank, x->span);
        v->layer = x->layer;
        ct = expr_access_identity(r->p, v, cotangent_of(r, x)->axes);
    }
    add_share(r, x, (Share){.user = y, .body = ct});
}

static void pull_back(Reverse *r, const Node *y)
{
    bool inner = y->kind == NODE_VIEW || y->kind == NODE_COMPUTE;
    if (!inner || !r->needed[y->id] || !depends_on_needed(r, y) ||
        cotangent_of(r, y)->shares.count == 0)
        return;
    const Expr *ct = arrived(r, y);
    if (r->wanted[y->id]) { /* keep it for the answer, in one piece */
        Cotangent *c = cotangent_of(r, y);
        c->shares.count = 0;
        const Expr *at_axes = rename_indices(r->g, ct, y->domain, c->axes, y->rank);
        add_share(r, y, (Share){.user = y, .body = at_axes});
    }
    if (y->kind == NODE_VIEW)
        pull_back_view(r, y, ct);
    else
        pull_back_compute(r, y, ct);
}

/* ---- a recurrence hands its cotangents on -------------------------------------------------------------------------- */

static bool takes_part(Reverse *r, const Node *n)
{
    return r->needed[n->id] && depends_on_needed(r, n);
}

/* A node that stands for the cotangent of n until all shares in it are known. */
static Node *promised(Reverse *r, const Node *n)
{
    return adjoint_node(r->g, n, d_name(r->g, n), n->type, cotangent_of(r, n)->axes, n->rank, NULL,
                        NULL, 0, expr_const(r->p, 0));
}

/* The shares of n, those from its own recurrence included, become the promised node's value. */
static void keep_promise(Reverse *r, const Node *n, Node *d)
{
    Cotangent *c = cotangent_of(r, n);
    const Expr *sum = cotangent_total(r, n, NULL);
    if (sum)
        d->body = rename_indices(r->g, sum, c->axes, d->domain, n->rank);
    c->shares.count = 0;
    add_share(r, n, (Share){.user = n, .body = expr_access_identity(r->p, d, c->axes)});
}

/* The cotangents of a recurrence need each other, as its nodes do: they are a recurrence that runs
 * the other way. */
static void pull_back_recurrence(Reverse *r, int first, int last)
{
    Node **d = arena_new(r->g->arena, Node *, last - first + 1);
    bool any = false;
    for (int i = first; i <= last; i++)
        any = any || cotangent_of(r, r->g->nodes.data[i])->shares.count > 0;
    for (int i = first; any && i <= last; i++)
        if (takes_part(r, r->g->nodes.data[i]))
            d[i - first] = promised(r, r->g->nodes.data[i]);
    for (int i = last; any && i >= first; i--) {
        const Node *y = r->g->nodes.data[i];
        if (!d[i - first])
            continue;
        const Expr *ct = expr_access_identity(r->p, d[i - first], y->domain);
        if (y->kind == NODE_VIEW)
            pull_back_view(r, y, ct);
        else
            pull_back_compute(r, y, ct);
    }
    for (int i = last; any && i >= first; i--)
        if (d[i - first])
            keep_promise(r, r->g->nodes.data[i], d[i - first]);
}

static int first_of_recurrence(const Graph *g, int last)
{
    int i = last;
    const Recurrence *r = recurrence_outermost(g->nodes.data[last]->recurrence);
    while (i > 0 && recurrence_outermost(g->nodes.data[i - 1]->recurrence) == r)
        i--;
    return i;
}

/* Users come before their operands here, so a cotangent is complete when it is read. */
Reverse *reverse_walk(Graph *g, const Seed *seeds, int seed_count, Node *const *wanted,
                      int wanted_count)
{
    Reverse *r = arena_new(g->arena, Reverse, 1);
    int count = g->nodes.count;
    *r = (Reverse){g,
                   g->pool,
                   count,
                   arena_new(g->arena, bool, count + 1),
                   arena_new(g->arena, bool, count + 1),
                   arena_new(g->arena, Cotangent, count + 1)};
    mark_needed(r, wanted, wanted_count);
    for (int i = 0; i < seed_count; i++)
        add_share(r, seeds[i].node, (Share){.user = seeds[i].node, .body = seeds[i].value});
    for (int i = count - 1; i >= 0; i--)
        if (g->nodes.data[i]->recurrence && !g->nodes.data[i]->recurrence->open) {
            const int first = first_of_recurrence(g, i);
            pull_back_recurrence(r, first, i);
            i = first;
        } else {
            pull_back(r, g->nodes.data[i]);
        }
    return r;
}

void grad_cotangents(Graph *g, const Seed *seeds, int seed_count, Node *const *wanted,
                     int wanted_count, Node **out)
{
    Reverse *r = reverse_walk(g, seeds, seed_count, wanted, wanted_count);
    for (int i = 0; i < wanted_count; i++) {
        const Expr *sum = cotangent_total(r, wanted[i], d_name(g, wanted[i]));
        out[i] = sum ? node_of_total(r, wanted[i], sum) : NULL;
    }
    graph_sort(g);
}
