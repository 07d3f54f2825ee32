/* Nodes into kernels: those that can share their outer loops do, so that a row-wise chain (a
 * softmax, a normalisation, a loss) is one pass while the row is in cache, an elementwise chain one
 * loop, and an elementwise consumer of a contraction its epilogue.
 *   needs: the order in which stored nodes run
 *   gives: kernels in order; PLACE_SCRATCH for what never leaves its kernel */
#include "schedule/internal.h"

enum {
    ENOUGH_ITERATIONS = 16,     /* of the shared loops, to keep several threads busy         */
    LITTLE_WORK = 32768,        /* flops below which nobody needs a second thread             */
    MOST_ROW_BYTES = 128 * 1024 /* of temporaries in one iteration: they are to stay in cache */
};

/* The band that it is a node of, or NULL. */
static const BandNodes *band_of(Planner *p, const Node *n)
{
    const int band = PLAN(p, n)->band;
    return band ? &p->bands.data[band - 1] : NULL;
}

static int chain_of(Planner *p, const Node *n)
{
    return band_of(p, n) && band_of(p, n)->products ? PLAN(p, n)->band : 0;
}

static Kernel *new_kernel(Planner *p, KernelKind kind, const Node *first)
{
    Kernel *k = arena_new(p->arena, Kernel, 1);
    k->kind = kind;
    k->recurrence = first->recurrence;
    for (const Recurrence *r = first->recurrence; r; r = r->outer)
        vec_push(p->arena, &k->steps, node_step(first, r));
    k->every = PLAN(p, first)->every;
    k->chain = chain_of(p, first);
    k->band = k->chain ? 0 : PLAN(p, first)->band;
    k->id = p->schedule->kernels.count;
    vec_push(p->arena, &p->schedule->kernels, k);
    return k;
}

static void add_node(Planner *p, Kernel *k, Node *n)
{
    vec_push(p->arena, &k->nodes, n);
    PLAN(p, n)->kernel = k->id;
}

static bool is_in(Planner *p, const Kernel *k, const Node *n)
{
    return n->kind == NODE_COMPUTE && PLAN(p, n)->kernel == k->id;
}

static Node *overwritten(Planner *p, const Node *n)
{
    Tensor *t = PLAN(p, n)->target;
    if (!t)
        return NULL;
    for (int i = 0; i < p->graph->nodes.count; i++)
        if (p->graph->nodes.data[i]->kind == NODE_TENSOR && p->graph->nodes.data[i]->tensor == t)
            return p->graph->nodes.data[i];
    return NULL;
}

/* How many leading dimensions the accessed node has in common with its storage. */
static int common_dimensions(const Node *accessed)
{
    const Node *root = node_storage((Node *)accessed);
    int i = 0;
    while (i < root->rank && i < accessed->rank &&
           extents_equal(root->domain[i], accessed->domain[i]))
        i++;
    return i;
}

/* The number of n's leading indices, at most `limit`, at which n reads `what` aligned. */
static int aligned_depth(Planner *p, Node *n, const Node *what, int limit)
{
    AccessList accesses = body_accesses(p->pool, p->schedule->bodies[n->id]);
    for (int i = 0; i < accesses.count; i++) {
        const Expr *a = accesses.data[i];
        if (node_storage(a->node) != what)
            continue;
        const ReadTime time = access_time(p->pool, n, a);
        if (time == READ_PAST)
            continue;
        if (time == READ_UNKNOWN)
            return 0; /* of this step and others */
        int common = common_dimensions(a->node) - node_shared_depth(n, a->node);
        if (limit > common)
            limit = common;
        while (limit > 0 && !access_is_in_step(a, n, limit))
            limit--;
    }
    return limit;
}

/* ---- nests ---------------------------------------------------------------------------------------- */

static double shared_iterations(const Kernel *k, int depth)
{
    double total = 1;
    for (int i = 0; i < depth; i++)
        total *= (double)k->shared.data[i]->extent;
    return total;
}

static double kernel_work(Planner *p, const Kernel *k)
{
    double total = 0;
    for (int i = 0; i < k->nodes.count; i++)
        total += node_iterations(k->nodes.data[i]) *
                 (1 + body_cost(p->pool, p->schedule->bodies[k->nodes.data[i]->id]));
    return total;
}

static double row_bytes(const Kernel *k, const Node *n, int depth)
{
    double bytes = dtype_size(n->type);
    for (int i = depth; i < node_loop_count(n); i++)
        bytes *= (double)node_loop(n, i)->extent;
    return bytes;
}

/* Is the shallower sharing still worth one kernel? */
static bool is_worth_sharing(Planner *p, const Kernel *k, Node *n, int depth)
{
    if (depth == 0)
        return k->shared.count == 0 && node_loop_count(n) == 0;
    double bytes = row_bytes(k, n, depth);
    for (int i = 0; i < k->nodes.count; i++)
        bytes += row_bytes(k, k->nodes.data[i], depth);
    if (depth < k->shared.count || depth < node_loop_count(n))
        if (bytes > MOST_ROW_BYTES)
            return false;
    if (depth == k->shared.count || shared_iterations(k, depth) >= ENOUGH_ITERATIONS)
        return true;
    return kernel_work(p, k) +
               node_iterations(n) * (1 + body_cost(p->pool, p->schedule->bodies[n->id])) <
           LITTLE_WORK;
}

/* The number of loops that n could share with the kernel's nodes; -1: it cannot join. */
static int nest_depth(Planner *p, const Kernel *k, Node *n)
{
    int depth = 0;
    while (depth < k->shared.count && depth < node_loop_count(n) &&
           extents_equal(k->shared.data[depth], node_loop(n, depth)))
        depth++;
    for (int i = 0; i < PLAN(p, n)->reads.count; i++)
        if (is_in(p, k, PLAN(p, n)->reads.data[i]))
            depth = aligned_depth(p, n, PLAN(p, n)->reads.data[i], depth);
    const Node *old = overwritten(p, n);
    for (int i = 0; old && i < k->nodes.count; i++)
        depth = aligned_depth(p, k->nodes.data[i], old, depth);
    return is_worth_sharing(p, k, n, depth) ? depth : -1;
}

/* ---- epilogues -------------------------------------------------------------------------------------- */

static bool overwrites(Planner *p, const Kernel *k)
{
    for (int i = 0; i < k->nodes.count; i++)
        if (overwritten(p, k->nodes.data[i]))
            return true;
    return false;
}

static bool is_epilogue_of(Planner *p, const Kernel *k, Node *n)
{
    const Node *sum = k->nodes.data[0];
    if (strip_is_summed(p, sum)) /* each strip adds its part of the sum */
        return false;
    if (n->reduction)
        return row_sum_fits(p, k, n) && !overwrites(p, k);
    if (n->rank != sum->rank || !domains_equal(n, sum, n->rank))
        return false;
    const Node *old = overwritten(p, n);
    for (int i = 0; i < k->nodes.count; i++) {
        if (aligned_depth(p, n, k->nodes.data[i], node_loop_count(n)) < node_loop_count(n))
            return false;
        AccessList none = body_accesses(p->pool, p->schedule->bodies[k->nodes.data[i]->id]);
        for (int j = 0; old && j < none.count; j++)
            if (node_storage(none.data[j]->node) == old &&
                (i == 0 || !access_is_identity(none.data[j], k->nodes.data[i])))
                return false;
    }
    return true;
}

/* ---- joining ------------------------------------------------------------------------------------------ */

static bool is_loss(Planner *p, const Node *n)
{
    for (int i = 0; i < p->graph->results.count; i++)
        if (p->graph->results.data[i].role == RESULT_LOSS && p->graph->results.data[i].value == n)
            return true;
    return false;
}

/* The first kernel that n may run in, and whether something in it is for n to read. */
static int earliest_kernel(Planner *p, Node *n)
{
    int earliest = 0;
    NodePlan *plan = PLAN(p, n);
    for (int i = 0; i < plan->reads.count; i++)
        if (plan->reads.data[i]->kind == NODE_COMPUTE &&
            PLAN(p, plan->reads.data[i])->kernel > earliest)
            earliest = PLAN(p, plan->reads.data[i])->kernel;
    for (int i = 0; i < plan->before.count; i++) {
        Node *b = plan->before.data[i];
        int at = PLAN(p, b)->kernel + (plan->target && is_loss(p, b));
        if (at > earliest)
            earliest = at;
    }
    return earliest;
}

/* Do both read something large, so that one pass saves the second reading? */
static bool shares_reads(Planner *p, const Kernel *k, Node *n)
{
    for (int i = 0; i < PLAN(p, n)->reads.count; i++) {
        Node *from = PLAN(p, n)->reads.data[i];
        if (from->rank == 0 && n->rank > 0)
            continue;
        if (is_in(p, k, from))
            return true;
        for (int j = 0; j < k->nodes.count; j++) {
            NodePlan *other = PLAN(p, k->nodes.data[j]);
            for (int r = 0; r < other->reads.count; r++)
                if (other->reads.data[r] == from)
                    return true;
        }
    }
    return n->rank == 0;
}

static bool join_kernel(Planner *p, Kernel *k, Node *n)
{
    if (k->kind == KERNEL_SCATTER || PLAN(p, k->nodes.data[0])->alone || k->band ||
        k->chain != chain_of(p, n) || k->recurrence != n->recurrence ||
        k->every != PLAN(p, n)->every || !shares_reads(p, k, n))
        return false;
    if (k->kind == KERNEL_CONTRACTION) {
        if (!is_epilogue_of(p, k, n))
            return false;
        add_node(p, k, n);
        return true;
    }
    int depth = nest_depth(p, k, n);
    if (depth < 0)
        return false;
    k->shared.count = depth;
    add_node(p, k, n);
    return true;
}

static void start_kernel(Planner *p, Node *n, const Expr *body)
{
    Contraction contraction;
    Scatter scatter;
    if (scatter_recognise(p->pool, n, body, &scatter)) {
        Kernel *k = new_kernel(p, KERNEL_SCATTER, n);
        k->scatter = scatter;
        add_node(p, k, n);
        return;
    }
    if (contract_recognise(p->pool, n, body, &contraction)) {
        Kernel *k = new_kernel(p, KERNEL_CONTRACTION, n);
        k->contraction = contraction;
        add_node(p, k, n);
        return;
    }
    Kernel *k = new_kernel(p, KERNEL_NEST, n);
    const int of_panel = node_is_batched(n) ? node_loop_count(n) - 2 : 1; /* turned as a whole */
    const int shared = PLAN(p, n)->alone ? of_panel : node_loop_count(n);
    for (int i = 0; i < shared; i++)
        vec_push(p->arena, &k->shared, node_loop(n, i));
    add_node(p, k, n);
}

static bool wants_own_kernel(Planner *p, Node *n)
{
    Contraction contraction;
    Scatter scatter;
    const Expr *body = p->schedule->bodies[n->id];
    return PLAN(p, n)->alone || scatter_recognise(p->pool, n, body, &scatter) ||
           contract_recognise(p->pool, n, body, &contraction);
}

/* The nodes of a band stand together in the order: the last kernel is theirs, or is to be.  What products read
 * has one of its own. */
static void place_in_band(Planner *p, Node *n)
{
    const int last = p->schedule->kernels.count - 1;
    Kernel *k = last < 0 ? NULL : p->schedule->kernels.data[last];
    if (!k || k->band != PLAN(p, n)->band) {
        k = new_kernel(p, KERNEL_NEST, n);
        for (int i = 0; i < band_of(p, n)->loops; i++)
            vec_push(p->arena, &k->shared, node_loop(n, i));
    }
    add_node(p, k, n);
}

/* Is it kept for others of its band to read? */
static bool is_held(Planner *p, const Node *n)
{
    const BandNodes *band = band_of(p, n);
    for (int i = 0; i < band->held; i++)
        if (band->nodes.data[i] == n)
            return true;
    return false;
}

static void place_in_kernel(Planner *p, Node *n)
{
    if (band_of(p, n) && (!chain_of(p, n) || is_held(p, n))) {
        place_in_band(p, n);
        return;
    }
    if (!wants_own_kernel(p, n))
        for (int i = earliest_kernel(p, n); i < p->schedule->kernels.count; i++)
            if (join_kernel(p, p->schedule->kernels.data[i], n))
                return;
    start_kernel(p, n, p->schedule->bodies[n->id]);
}

/* ---- where each node's elements are --------------------------------------------------------------- */

static bool is_result(const Graph *g, const Node *n)
{
    for (int i = 0; i < g->results.count; i++)
        if (g->results.data[i].value == n)
            return true;
    return false;
}

static bool leaves_kernel(Planner *p, const Node *n, const bool *viewed)
{
    if (is_result(p->graph, n) || viewed[n->id] || p->plans[n->id].carried)
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
            !p->plans[i].carried && !viewed[i] && !is_result(g, n))
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

static void place_nodes(Planner *p)
{
    Graph *g = p->graph;
    Schedule *s = p->schedule;
    bool *viewed = arena_new(p->arena, bool, g->nodes.count);
    for (int i = 0; i < g->nodes.count; i++)
        if (g->nodes.data[i]->kind == NODE_VIEW)
            viewed[node_storage(g->nodes.data[i])->id] = true;
    for (int i = 0; i < g->nodes.count; i++) {
        Node *n = g->nodes.data[i];
        Place *place = &s->places[i];
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
            place->same_as = node_storage(n);
        } else if (!p->plans[i].inlined) {
            place->kind = leaves_kernel(p, n, viewed) ? PLACE_WORKSPACE : PLACE_SCRATCH;
        }
    }
    place_results(p);
    if (!g->positions)
        place_steps(p, viewed);
    place_positions(p);
    for (int i = 0; i < g->nodes.count; i++)
        if (s->places[i].same_as) {
            Node *root = s->places[i].same_as;
            s->places[i] = s->places[root->id];
            s->places[i].same_as = root;
        }
}

void group_run(Planner *p)
{
    for (int i = 0; i < p->order.count; i++)
        place_in_kernel(p, p->order.data[i]);
    p->schedule->loss_kernel = -1;
    for (int i = 0; i < p->graph->results.count; i++) {
        const Result *r = &p->graph->results.data[i];
        if (r->role == RESULT_LOSS && PLAN(p, r->value)->kernel > p->schedule->loss_kernel)
            p->schedule->loss_kernel = PLAN(p, r->value)->kernel;
    }
    p->schedule->places = arena_new(p->arena, Place, p->graph->nodes.count);
    place_nodes(p);
}

static void plan_bands(Planner *p)
{
    for (int i = 0; i < p->bands.count; i++)
        for (int k = 0; k < p->bands.data[i].nodes.count; k++) {
            NodePlan *plan = PLAN(p, p->bands.data[i].nodes.data[k]);
            plan->band = i + 1;
            plan->forced = k < p->bands.data[i].held;
        }
}

static void plan_strips(Planner *p, const StripList *strips)
{
    for (int i = 0; i < strips->count; i++)
        PLAN(p, strips->data[i].node)->strip = strips->data[i].strip;
}

Schedule *schedule_run(Graph *g, const Program *program, const LaneModel *lanes)
{
    Schedule *s = arena_new(g->arena, Schedule, 1);
    s->graph = g;
    s->program = program;
    factor_run(g);
    partial_run(g);
    sign_run(g);
    const StripList strips = strip_run(g, lanes);
    const BandList bands = band_run(g, lanes);
    const NodeList panels = panels_run(g, lanes, &strips);
    input_run(g);
    store_prepare(g);
    Planner p = {.graph = g, .pool = g->pool, .arena = g->arena, .schedule = s, .bands = bands};
    p.plans = arena_new(g->arena, NodePlan, g->nodes.count);
    s->bodies = arena_new(g->arena, const Expr *, g->nodes.count);
    for (int i = 0; i < g->nodes.count; i++)
        p.plans[i].kernel = -1;
    for (int i = 0; i < panels.count; i++)
        PLAN(&p, panels.data[i])->alone = PLAN(&p, panels.data[i])->forced = true;
    plan_bands(&p);
    plan_strips(&p, &strips);
    store_run(&p);
    order_run(&p);
    period_run(&p);
    group_run(&p);
    if (!g->positions && !g->window)
        margin_run(&p);
    support_run(&p);
    cost_run(s);
    if (!g->positions && !g->window) {
        chain_run(&p);
        strip_end_run(&p);
        cost_run(s); /* what stays in its chain is not moved */
        apart_run(s, lanes);
        layout_run(s);
    }
    memory_run(s);
    return s;
}
