/* Nodes into kernels: those that can share their outer loops do, so that a row-wise chain (a
 * softmax, a normalisation, a loss) is one pass while the row is in cache, an elementwise chain one
 * loop, and an elementwise consumer of a contraction its epilogue.
 *   needs: the order in which stored nodes run
 *   gives: kernels in order */
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
}
