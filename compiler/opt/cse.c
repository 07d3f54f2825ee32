/* Rewrites of the graph: nodes that only repeat another one give way to it. */
#include "opt/opt.h"

#include <string.h>

/* ---- replacing nodes -------------------------------------------------------------------------------------------- */

/* Per node id: another node of the same shape and elements, or a value that all elements have. */
typedef struct Instead {
    Node **node;
    const Expr **value;
    ExprPool *pool;
} Instead;

static Instead instead_create(Graph *g)
{
    int count = g->nodes.count + 1;
    return (Instead){arena_new(g->arena, Node *, count), arena_new(g->arena, const Expr *, count),
                     g->pool};
}

static const Expr *replace_access(void *context, const Expr *e)
{
    const Instead *in = context;
    if (e->kind != EXPR_ACCESS)
        return e;
    if (in->value[e->node->id])
        return in->value[e->node->id];
    Node *other = in->node[e->node->id];
    return other ? expr_access(in->pool, other, e->subscripts) : e;
}

/* What n reads, from where it now stands.  Did that change? */
static bool redirect_operands(Instead *in, Node *n)
{
    if (n->kind == NODE_VIEW) {
        Node *other = in->node[n->viewed->id];
        if (other)
            n->viewed = other;
        return other != NULL;
    }
    if (n->kind != NODE_COMPUTE)
        return false;
    const Expr *before = n->body;
    n->body = expr_map(in->pool, n->body, replace_access, in);
    return n->body != before;
}

/* ---- nodes that say nothing new ------------------------------------------------------------------------------------ */

/* The node that n is a copy of, index by index. */
static Node *copied(const Node *n)
{
    if (n->kind != NODE_COMPUTE || n->reduction || n->body->kind != EXPR_ACCESS)
        return NULL;
    const Expr *e = n->body;
    if (e->count != n->rank || e->type != n->type)
        return NULL;
    for (int i = 0; i < n->rank; i++)
        if (!e->subscripts[i].affine || affine_is_index(e->subscripts[i].affine) != n->domain[i] ||
            e->node->domain[i]->extent != n->domain[i]->extent)
            return NULL;
    return e->node;
}

static bool same_shape(const Node *a, const Node *b)
{
    if (a->rank != b->rank || a->type != b->type)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->domain[i]->extent != b->domain[i]->extent ||
            a->domain[i]->per_example != b->domain[i]->per_example)
            return false;
    return true;
}

static Node *same_node(const Node *n)
{
    if (n->kind == NODE_VIEW && same_shape(n, n->viewed))
        return n->viewed;
    return copied(n);
}

static const Expr *same_value(const Instead *in, const Node *n)
{
    if (n->kind == NODE_VIEW)
        return in->value[n->viewed->id];
    return n->kind == NODE_COMPUTE && !n->reduction && expr_is_uniform(n->body) ? n->body : NULL;
}

typedef struct Reads {
    const Node *node;
    bool found;
} Reads;

static void look_for_read(void *context, const Expr *e)
{
    Reads *r = context;
    r->found = r->found || (e->kind == EXPR_ACCESS && e->node == r->node);
}

static bool is_read(const Graph *g, const Node *n)
{
    Reads r = {n, false};
    for (int i = n->recurrence ? 0 : n->id + 1; i < g->nodes.count && !r.found; i++)
        if (g->nodes.data[i]->kind == NODE_COMPUTE)
            expr_visit(g->pool, g->nodes.data[i]->body, look_for_read, &r);
    return r.found;
}

/* The user's name outlives those of the library. */
static void hand_down_name(const Graph *g, Node *copy)
{
    Node *n = copied(copy);
    if (!copy->named || !n || n->named || n->kind != NODE_COMPUTE || graph_is_result(g, n) ||
        graph_is_result(g, copy) || !is_read(g, copy))
        return;
    const char *name = n->name;
    n->name = copy->name;
    copy->name = name;
    n->named = true;
    copy->named = false;
}

/* A result that copies a computed node is that node, under the result's name unless the user gave it one. */
static bool forward_results(Rewriter *w)
{
    bool changed = false;
    for (int i = 0; i < w->g->results.count; i++) {
        Result *r = &w->g->results.data[i];
        Node *n = copied(r->value);
        if (!n || n->kind != NODE_COMPUTE || graph_is_result(w->g, n))
            continue;
        if (!n->named) { /* an exchange, since both may stay in the graph */
            const char *name = n->name;
            n->name = r->value->name;
            n->named = r->value->named;
            r->value->name = name;
        }
        r->value = n;
        opt_fired(w, n->name);
        changed = true;
    }
    return changed;
}

/* In a recurrence, nodes read others that stand behind them. */
static void redirect_recurrences(Graph *g, Instead *in)
{
    for (int i = 0; i < g->nodes.count; i++)
        if (g->nodes.data[i]->recurrence)
            redirect_operands(in, g->nodes.data[i]);
}

/* Nodes look past a copy to what it copies. */
static bool forward(Rewriter *w)
{
    Graph *g = w->g;
    Instead in = instead_create(g);
    bool changed = false;
    for (int i = 0; i < g->nodes.count; i++) {
        Node *n = g->nodes.data[i];
        if (redirect_operands(&in, n)) {
            opt_fired(w, n->name);
            changed = true;
        }
        if (n->kind == NODE_VIEW && n->viewed->kind == NODE_VIEW)
            n->viewed = n->viewed->viewed;
        in.value[i] = same_value(&in, n);
        in.node[i] = same_node(n);
        hand_down_name(g, n);
    }
    redirect_recurrences(g, &in);
    return forward_results(w) || changed;
}

/* ---- equal nodes ------------------------------------------------------------------------------------------------------ */

/* An index that stands for those at one place of any node. */
typedef struct Canonical {
    Arena *arena;
    ExprPool *pool;
    VEC(Index *) indices;
    VEC(int) places;
} Canonical;

static const Affine *canonical_index(Canonical *c, int at, const Index *like)
{
    for (int i = 0; i < c->indices.count; i++) {
        const Index *ix = c->indices.data[i];
        if (c->places.data[i] == at && ix->extent == like->extent &&
            ix->per_example == like->per_example)
            return affine_index(c->pool, c->indices.data[i]);
    }
    vec_push(c->arena, &c->indices, index_copy(c->pool, like));
    vec_push(c->arena, &c->places, at);
    return affine_index(c->pool, c->indices.data[c->indices.count - 1]);
}

/* The body over indices that depend on their place alone: equal for equal nodes. */
static const Expr *canonical_body(Canonical *c, const Node *n)
{
    int count = n->rank + n->bound_count;
    Index **from = arena_new(c->arena, Index *, count + 1);
    const Affine **to = arena_new(c->arena, const Affine *, count + 1);
    for (int i = 0; i < count; i++) {
        bool free = i < n->rank;
        from[i] = free ? n->domain[i] : n->bound[i - n->rank];
        to[i] = canonical_index(c, free ? i : -1 - (i - n->rank), from[i]);
    }
    return expr_substitute(c->pool, n->body, &(Substitution){count, from, to});
}

static bool same_bound(const Node *a, const Node *b)
{
    if (a->reduction != b->reduction || a->bound_count != b->bound_count)
        return false;
    for (int i = 0; i < a->bound_count; i++)
        if (a->bound[i]->extent != b->bound[i]->extent ||
            a->bound[i]->per_example != b->bound[i]->per_example)
            return false;
    return true;
}

typedef struct Class {
    Node *node;
    const Expr *body; /* canonical */
    int next;         /* in the same bucket, or -1 */
} Class;

enum { BUCKETS = 1024 };

typedef struct Classes {
    Arena *arena;
    VEC(Class) all;
    int first[BUCKETS];
} Classes;

static bool equal_nodes(const Class *known, const Node *n, const Expr *body)
{
    const Node *m = known->node;
    if (m->kind != n->kind || known->body != body || !same_shape(m, n))
        return false;
    return n->kind == NODE_VIEW ? m->viewed == n->viewed : same_bound(m, n);
}

/* The first node equal to n; n itself when it is the first. */
static Node *representative(Classes *c, Canonical *canonical, Node *n)
{
    bool compute = n->kind == NODE_COMPUTE;
    const Expr *body = compute ? canonical_body(canonical, n) : NULL;
    int *bucket = &c->first[(unsigned)(compute ? body->id : n->viewed->id) % BUCKETS];
    for (int i = *bucket; i >= 0; i = c->all.data[i].next)
        if (equal_nodes(&c->all.data[i], n, body))
            return c->all.data[i].node;
    vec_push(c->arena, &c->all, ((Class){n, body, *bucket}));
    *bucket = c->all.count - 1;
    return n;
}

static bool merge_equal(Rewriter *w)
{
    Graph *g = w->g;
    Instead in = instead_create(g);
    Canonical canonical = {.arena = g->arena, .pool = g->pool};
    Classes *classes = arena_new(g->arena, Classes, 1);
    classes->arena = g->arena;
    memset(classes->first, -1, sizeof classes->first);
    bool changed = false;
    for (int i = 0; i < g->nodes.count; i++) {
        Node *n = g->nodes.data[i];
        if (n->kind != NODE_COMPUTE && n->kind != NODE_VIEW)
            continue;
        redirect_operands(&in, n);
        Node *first = representative(classes, &canonical, n);
        if (first == n)
            continue;
        in.node[i] = first;
        opt_fired(w, n->name);
        changed = true;
    }
    redirect_recurrences(g, &in);
    for (int i = 0; i < g->results.count; i++) {
        Result *r = &g->results.data[i];
        if (in.node[r->value->id])
            r->value = in.node[r->value->id];
    }
    return changed;
}

const Rule opt_graph_rules[] = {
    {"forward", "a copy of another node, or one value everywhere", .graph = forward},
    {"merge-equal", "equal nodes", .graph = merge_equal},
    {0},
};
