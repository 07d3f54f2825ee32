/* Where each node's elements are while the entry runs.
 *   needs: the kernels
 *   gives: s->places, without offsets; PLACE_SCRATCH for what never leaves its kernel */
#include "schedule/internal.h"

static bool leaves_kernel(Planner *p, const Node *n, const bool *viewed)
{
    if (graph_is_result(p->graph, n) || viewed[n->id] || p->plans[n->id].carried)
        return true;
    for (int i = 0; i < p->order.count; i++) {
        const NodePlan *user = PLAN(p, p->order.data[i]);
        for (int j = 0; j < user->reads.count; j++)
            if (user->reads.data[j] == n && user->kernel != PLAN(p, n)->kernel)
                return true;
    }
    return false;
}

static void place_results(Planner *p)
{
    Graph *g = p->graph;
    for (int i = 0; i < g->results.count; i++) {
        const Result *r = &g->results.data[i];
        Place *place = &p->schedule->places[r->value->id];
        if (r->role == RESULT_UPDATE) {
            place->kind = PLACE_TENSOR;
            place->tensor = r->tensor;
        } else if (r->role == RESULT_OUTPUT) {
            place->kind = PLACE_OUTPUT;
            place->slot = r->slot;
        }
    }
}

/* Is the recurrence, at the step that n is at, a part of what n computes? */
static bool is_step_of(const Node *n, const Recurrence *r)
{
    for (const Recurrence *own = n->recurrence; own; own = own->outer)
        if (own == r)
            return true;
    return false;
}

/* What nothing reads but in the step that made it: the next step may overwrite it, while it is in cache. */
static void place_steps(Planner *p, const bool *viewed)
{
    const Graph *g = p->graph;
    for (int i = 0; i < g->nodes.count; i++) {
        Node *n = g->nodes.data[i];
        Place *place = &p->schedule->places[i];
        if (place->kind == PLACE_WORKSPACE && n->kind == NODE_COMPUTE && n->recurrence &&
            !p->plans[i].carried && !viewed[i] && !graph_is_result(g, n))
            place->one_step = true;
    }
    for (int i = 0; i < p->order.count; i++) {
        const Node *user = p->order.data[i];
        const NodeList *reads = &PLAN(p, user)->reads;
        for (int j = 0; j < reads->count; j++)
            if (!is_step_of(user, reads->data[j]->recurrence))
                p->schedule->places[reads->data[j]->id].one_step = false;
    }
}

/* generate: what later calls read stays; of the rest, one row is enough. */
static void place_positions(Planner *p)
{
    const Graph *g = p->graph;
    for (int i = 0; (g->positions || g->window) && i < g->nodes.count; i++) {
        Place *place = &p->schedule->places[i];
        const Node *n = g->nodes.data[i];
        if (n->kind == NODE_PORT)
            place->kind = PLACE_WORKSPACE;
        const bool here = place->kind == PLACE_WORKSPACE || place->kind == PLACE_OUTPUT;
        const bool row = g->positions && n->recurrence == g->positions;
        if (g->positions)
            place->one_step = here && row && !p->plans[i].carried;
        place->lasting = place->kind == PLACE_WORKSPACE && !place->one_step &&
                         (g->positions || n->kind == NODE_PORT);
    }
}

static void place_node(Planner *p, const Node *n, const bool *viewed)
{
    Place *place = &p->schedule->places[n->id];
    if (n->kind == NODE_PORT) {
        place->kind = PLACE_PORT;
        place->slot = n->port->slot;
    } else if (n->kind == NODE_TENSOR) {
        place->kind = PLACE_TENSOR;
        place->tensor = n->tensor;
    } else if (n->kind == NODE_LITERAL) {
        place->kind = PLACE_LITERAL;
    } else if (n->kind == NODE_SUM) {
        place->kind = PLACE_SUMS;
        place->slot = n->slot;
    } else if (n->kind == NODE_VIEW) {
        place->same_as = node_storage((Node *)n);
    } else if (!p->plans[n->id].inlined) {
        place->kind = leaves_kernel(p, n, viewed) ? PLACE_WORKSPACE : PLACE_SCRATCH;
    }
}

/* Views are where what they view is. */
static void place_views(Schedule *s)
{
    for (int i = 0; i < s->graph->nodes.count; i++)
        if (s->places[i].same_as) {
            Node *root = s->places[i].same_as;
            s->places[i] = s->places[root->id];
            s->places[i].same_as = root;
        }
}

void places_run(Planner *p)
{
    Graph *g = p->graph;
    p->schedule->places = arena_new(p->arena, Place, g->nodes.count);
    bool *viewed = arena_new(p->arena, bool, g->nodes.count);
    for (int i = 0; i < g->nodes.count; i++)
        if (g->nodes.data[i]->kind == NODE_VIEW)
            viewed[node_storage(g->nodes.data[i])->id] = true;
    for (int i = 0; i < g->nodes.count; i++)
        place_node(p, g->nodes.data[i], viewed);
    place_results(p);
    if (!g->positions)
        place_steps(p, viewed);
    place_positions(p);
    place_views(p->schedule);
}
