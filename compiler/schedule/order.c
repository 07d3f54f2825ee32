/* The order in which stored nodes run: as the graph has them, but each parameter's update, and the
 * sums that only it wants, together and as soon as nobody reads the old value any more: a gradient
 * that is used up at once never needs memory. */
#include "schedule/internal.h"

typedef struct Cluster {
    NodeList nodes; /* in graph order */
    bool done;
} Cluster;

typedef struct Orderer {
    Planner *planner;
    bool *emitted;      /* per node id */
    bool *band_emitted; /* per band    */
    int *cluster;       /* per node id: a union-find forest, -1: in none */
    VEC(Cluster *) clusters;
} Orderer;

static int find_root(const int *cluster, int id)
{
    while (cluster[id] != id)
        id = cluster[id];
    return id;
}

static void join(int *cluster, int a, int b)
{
    a = find_root(cluster, a), b = find_root(cluster, b);
    cluster[a > b ? a : b] = a < b ? a : b;
}

static bool is_scheduled(Planner *p, const Node *n)
{
    return n->kind == NODE_COMPUTE && !PLAN(p, n)->inlined;
}

static void emit_node(Orderer *o, Node *n);

/* What the recurrence needs from outside, then its nodes in one row. */
static void emit_recurrence(Orderer *o, int first)
{
    Planner *p = o->planner;
    Graph *g = p->graph;
    const Recurrence *r = recurrence_outermost(g->nodes.data[first]->recurrence);
    int end = first;
    for (; end < g->nodes.count && recurrence_outermost(g->nodes.data[end]->recurrence) == r; end++)
        o->emitted[end] = true;
    for (int i = first; i < end; i++) {
        NodePlan *plan = PLAN(p, g->nodes.data[i]);
        for (int j = 0; is_scheduled(p, g->nodes.data[i]) && j < plan->reads.count; j++)
            emit_node(o, plan->reads.data[j]);
        for (int j = 0; j < plan->before.count; j++)
            emit_node(o, plan->before.data[j]);
    }
    for (int i = first; i < end; i++)
        if (is_scheduled(p, g->nodes.data[i]))
            vec_push(p->arena, &p->order, g->nodes.data[i]);
}

/* The chain of a band's products: what it needs, then its nodes in one row. */
static void emit_band(Orderer *o, int band)
{
    Planner *p = o->planner;
    const NodeList *nodes = &p->bands.data[band - 1].nodes;
    o->band_emitted[band - 1] = true;
    for (int i = 0; i < nodes->count; i++) {
        const NodePlan *plan = PLAN(p, nodes->data[i]);
        for (int j = 0; is_scheduled(p, nodes->data[i]) && j < plan->reads.count; j++)
            if (PLAN(p, plan->reads.data[j])->band != band)
                emit_node(o, plan->reads.data[j]);
    }
    for (int i = 0; i < nodes->count; i++)
        emit_node(o, nodes->data[i]);
}

static void emit_node(Orderer *o, Node *n)
{
    Planner *p = o->planner;
    const int band = PLAN(p, n)->band;
    if (band && p->bands.data[band - 1].products && !o->band_emitted[band - 1])
        emit_band(o, band);
    if (n->recurrence && !o->emitted[n->id]) {
        const Recurrence *r = recurrence_outermost(n->recurrence);
        int first = n->id;
        while (first > 0 && recurrence_outermost(p->graph->nodes.data[first - 1]->recurrence) == r)
            first--;
        emit_recurrence(o, first);
    }
    if (n->kind != NODE_COMPUTE || o->emitted[n->id] || PLAN(p, n)->inlined)
        return;
    o->emitted[n->id] = true;
    NodePlan *plan = PLAN(p, n);
    for (int i = 0; i < plan->reads.count; i++)
        emit_node(o, plan->reads.data[i]);
    for (int i = 0; i < plan->before.count; i++)
        emit_node(o, plan->before.data[i]);
    vec_push(p->arena, &p->order, n);
}

static bool is_settled(const Orderer *o, const NodeList *list, int cluster)
{
    for (int i = 0; i < list->count; i++) {
        const Node *n = list->data[i];
        if (n->kind == NODE_COMPUTE && !o->emitted[n->id] &&
            (o->cluster[n->id] < 0 || find_root(o->cluster, n->id) != cluster))
            return false;
    }
    return true;
}

static bool is_ready(const Orderer *o, const Cluster *c)
{
    int root = find_root(o->cluster, c->nodes.data[0]->id);
    for (int i = 0; i < c->nodes.count; i++) {
        const NodePlan *plan = PLAN(o->planner, c->nodes.data[i]);
        if (!is_settled(o, &plan->reads, root) || !is_settled(o, &plan->before, root))
            return false;
    }
    return true;
}

static void emit_ready_clusters(Orderer *o)
{
    for (int i = 0; i < o->clusters.count; i++) {
        Cluster *c = o->clusters.data[i];
        if (c->done || !is_ready(o, c))
            continue;
        c->done = true;
        for (int j = 0; j < c->nodes.count; j++)
            emit_node(o, c->nodes.data[j]);
    }
}

/* A node is late when only updates, or late elementwise nodes, read it. */
static void find_late(Planner *p, const bool *has_user)
{
    Graph *g = p->graph;
    for (int i = 0; i < g->nodes.count; i++)
        PLAN(p, g->nodes.data[i])->late =
            has_user[i] && !PLAN(p, g->nodes.data[i])->forced && !g->nodes.data[i]->recurrence;
    for (int i = g->nodes.count - 1; i >= 0; i--) {
        Node *n = g->nodes.data[i];
        if (!is_scheduled(p, n))
            continue;
        NodePlan *plan = PLAN(p, n);
        if (plan->target || (plan->late && !n->reduction))
            continue;
        for (int j = 0; j < plan->reads.count; j++)
            PLAN(p, plan->reads.data[j])->late = false;
    }
}

static void make_clusters(Orderer *o)
{
    Planner *p = o->planner;
    Graph *g = p->graph;
    bool *has_user = arena_new(p->arena, bool, g->nodes.count);
    for (int i = 0; i < g->nodes.count; i++)
        if (is_scheduled(p, g->nodes.data[i]))
            for (int j = 0; j < p->plans[i].reads.count; j++)
                has_user[p->plans[i].reads.data[j]->id] = true;
    find_late(p, has_user);
    for (int i = 0; i < g->nodes.count; i++) {
        Node *n = g->nodes.data[i];
        bool member = is_scheduled(p, n) && (p->plans[i].target || p->plans[i].late);
        o->cluster[i] = member ? i : -1;
        if (!member)
            continue;
        for (int j = 0; j < p->plans[i].reads.count; j++) {
            int from = p->plans[i].reads.data[j]->id;
            if (from < i && o->cluster[from] >= 0)
                join(o->cluster, from, i);
        }
    }
    Cluster **of = arena_new(p->arena, Cluster *, g->nodes.count);
    for (int i = 0; i < g->nodes.count; i++) {
        if (o->cluster[i] < 0)
            continue;
        int root = find_root(o->cluster, i);
        if (!of[root]) {
            of[root] = arena_new(p->arena, Cluster, 1);
            vec_push(p->arena, &o->clusters, of[root]);
        }
        vec_push(p->arena, &of[root]->nodes, g->nodes.data[i]);
    }
}

void order_run(Planner *p)
{
    Graph *g = p->graph;
    Orderer o = {.planner = p};
    o.emitted = arena_new(p->arena, bool, g->nodes.count);
    o.band_emitted = arena_new(p->arena, bool, p->bands.count + 1);
    o.cluster = arena_new(p->arena, int, g->nodes.count);
    make_clusters(&o);
    emit_ready_clusters(&o);
    for (int i = 0; i < g->nodes.count; i++) {
        Node *n = g->nodes.data[i];
        if (!is_scheduled(p, n) || o.cluster[i] >= 0 || o.emitted[i])
            continue;
        emit_node(&o, n);
        emit_ready_clusters(&o);
    }
    for (int i = 0; i < g->nodes.count; i++)
        emit_node(&o, g->nodes.data[i]);
}
