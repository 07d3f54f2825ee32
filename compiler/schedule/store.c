/* Stored or recomputed: which nodes live in their users' bodies, and which updates are made in
 * place.
 *   needs: a verified, pruned graph
 *   gives: bodies with the inlined producers put in; per stored node, what it reads and overwrites */
#include "schedule/internal.h"

/* ---- results ------------------------------------------------------------------------------------- */

/* A node that copies `source`, over the batch too where `batch` is given. */
static Node *make_copy(Graph *g, Node *source, const char *name, Index *batch, DType type)
{
    Index **domain = arena_new(g->arena, Index *, source->rank + 1);
    Index **inner = batch ? domain + 1 : domain;
    domain[0] = batch;
    for (int i = 0; i < source->rank; i++)
        inner[i] = index_copy(g->pool, source->domain[i]);
    const Expr *value = expr_access_identity(g->pool, source, inner);
    if (type != source->type)
        value = expr_cast(g->pool, value, type);
    return graph_compute(g, name, type, domain, source->rank + (batch != NULL), NULL, NULL, 0,
                         value, source->span);
}

static bool is_number(ResultRole role)
{
    return role == RESULT_LOSS || role == RESULT_SUM || role == RESULT_VALUE;
}

static bool is_taken(const Graph *g, int before, const Node *value)
{
    for (int i = 0; i < before; i++)
        if (g->results.data[i].value == value && !is_number(g->results.data[i].role))
            return true;
    return false;
}

static void prepare_result(Graph *g, int i)
{
    Result *r = &g->results.data[i];
    Node *v = r->value;
    Index *batch = NULL;
    if (r->role == RESULT_OUTPUT && !node_is_batched(v))
        batch = index_new(g->pool, "batch", g->batch, 1, v->span);
    bool wants_own = v->kind != NODE_COMPUTE || batch || is_taken(g, i, v);
    DType type = r->role == RESULT_UPDATE ? r->tensor->type : v->type;
    if (wants_own || type != v->type)
        r->value = make_copy(g, v, r->name ? r->name : v->name, batch, type);
}

/* The position of the largest of a few is stored in a byte: a pooling's winners pass through memory twice. */
static void narrow_positions(Graph *g)
{
    for (int i = 0; i < g->nodes.count; i++) {
        Node *n = g->nodes.data[i];
        if (n->kind != NODE_COMPUTE || !n->reduction || !n->reduction->position || n->recurrence ||
            graph_is_result(g, n))
            continue;
        int64_t positions = 1;
        for (int k = 0; k < n->bound_count; k++)
            positions *= n->bound[k]->extent;
        if (positions <= 256)
            n->type = TYPE_U8;
    }
}

void store_prepare(Graph *g)
{
    narrow_positions(g);
    /* numbers last, so that they give way: they may live anywhere in the workspace */
    for (int i = 0; i < g->results.count; i++)
        if (!is_number(g->results.data[i].role))
            prepare_result(g, i);
    for (int i = 0; i < g->results.count; i++)
        if (is_number(g->results.data[i].role)) {
            Result *r = &g->results.data[i];
            if (r->value->kind != NODE_COMPUTE || is_taken(g, g->results.count, r->value))
                r->value = make_copy(g, r->value, r->name ? r->name : r->value->name, NULL,
                                     r->value->type);
        }
}

/* ---- inlining ------------------------------------------------------------------------------------ */

static bool is_product_sum(const Node *n)
{
    return n->reduction == &reduce_sum;
}

/* How often `user` evaluates the access: packing reads a contraction's operand once for each
 * combination of the indices it uses. */
static double access_evaluations(Planner *p, Node *user, const Expr *access)
{
    if (PLAN(p, user)->inlined)
        return PLAN(p, user)->evaluations;
    if (!is_product_sum(user) || p->graph->positions) /* one row makes no contraction */
        return node_iterations(user) * node_steps(user);
    double total = 1;
    for (int i = 0; i < user->rank; i++)
        if (expr_uses_index(p->pool, access, user->domain[i]))
            total *= (double)user->domain[i]->extent;
    for (int i = 0; i < user->bound_count; i++)
        if (expr_uses_index(p->pool, access, user->bound[i]))
            total *= (double)user->bound[i]->extent;
    return total;
}

/* Is n an elementwise node that is all that becomes of a reduction, perhaps through others?  It
 * costs nothing behind the reduction. */
static bool ends_sum(Planner *p, Node *n)
{
    if (n->kind != NODE_COMPUTE || n->reduction || n->rank == 0)
        return false;
    AccessList accesses = body_accesses(p->pool, n->body);
    for (int i = 0; i < accesses.count; i++) {
        Node *from = accesses.data[i]->node;
        if (from->kind == NODE_COMPUTE && (from->reduction || PLAN(p, from)->ends_sum) &&
            PLAN(p, from)->users == 1 && !PLAN(p, from)->forced &&
            access_is_identity(accesses.data[i], n))
            return true;
    }
    return false;
}

/* Does the only user go on elementwise from where n is? */
static bool goes_on(Planner *p, const Node *n)
{
    const NodePlan *plan = &p->plans[n->id];
    if (plan->users != 1 || plan->user->kind != NODE_COMPUTE || plan->user->reduction ||
        plan->user->rank != n->rank)
        return false;
    AccessList accesses = body_accesses(p->pool, plan->user->body);
    for (int i = 0; i < accesses.count; i++)
        if (accesses.data[i]->node == n && !access_is_identity(accesses.data[i], plan->user))
            return false;
    return true;
}

/* Is the only user a band's, which keeps it for all others there? */
static bool is_held(Planner *p, const Node *n)
{
    const NodePlan *plan = &p->plans[n->id];
    return plan->users == 1 && PLAN(p, plan->user)->band && PLAN(p, plan->user)->forced &&
           !plan->user->reduction;
}

/* In flops of a lane.  What does not fit into a core's caches comes from far memory, where moving a
 * number takes as long as a dozen operations. */
enum {
    COST_STORE = 2,
    COST_EXTRA_LOAD = 2,
    COST_FAR_STORE = 16, /* the line is fetched, and later written */
    COST_FAR_LOAD = 8
};

/* Is there something large to read for it?  What only repeats small numbers will not be stored. */
static bool reads_far(Planner *p, const Node *n)
{
    if (!node_is_large(n) || n->kind != NODE_COMPUTE || n->reduction || PLAN(p, n)->forced)
        return node_is_large(n);
    const AccessList accesses = body_accesses(p->pool, n->body);
    for (int i = 0; i < accesses.count; i++)
        if (node_is_large(accesses.data[i]->node))
            return true;
    return !accesses.count || body_cost(p->pool, n->body) > 0;
}

/* Does n go on from a sum over its own row?  Then its row is still in cache, in one kernel. */
static bool follows_row(const Node *n, const AccessList *accesses)
{
    for (int i = 0; i < accesses->count; i++) {
        const Node *from = accesses->data[i]->node;
        if (from->kind == NODE_COMPUTE && from->rank > 0 && from->rank < n->rank &&
            access_is_aligned(accesses->data[i], n->domain, from->rank))
            return true;
    }
    return false;
}

/* Passes over far memory beside the arithmetic: those that storing n takes, less those that its users
 * take to recompute it. */
static double far_savings(Planner *p, const Node *n, const AccessList *accesses)
{
    const NodePlan *plan = PLAN(p, n);
    double loads = 0;
    if (!node_is_large(n) || follows_row(n, accesses))
        return 0;
    for (int i = 0; i < accesses->count; i++)
        loads += reads_far(p, accesses->data[i]->node);
    const double stored = COST_FAR_STORE + COST_FAR_LOAD * (loads + plan->readers),
                 inlined = COST_FAR_LOAD * loads * plan->readers;
    return (double)node_elements(n) * (stored - inlined);
}

/* Does the user multiply windows of the node?  From memory they need no packing. */
static bool reads_windows(Planner *p, const Node *user, const Expr *access)
{
    return is_product_sum(user) && !p->graph->positions && !PLAN(p, user)->inlined &&
           access_overlaps(p->pool, access, user);
}

static bool wants_inlining(Planner *p, Node *n)
{
    NodePlan *plan = PLAN(p, n);
    if (n->kind != NODE_COMPUTE || n->reduction || plan->forced || plan->windowed)
        return false;
    AccessList accesses = body_accesses(p->pool, n->body);
    int loads = 0;
    for (int i = 0; i < accesses.count; i++)
        loads += accesses.data[i]->node->rank > 0 &&
                 (!node_is_large(n) ||
                  node_is_large(accesses.data[i]->node)); /* a channel's stay near */
    double elements = (double)node_elements(n);
    if (plan->ends_sum)
        return goes_on(p, n) || is_held(p, n);
    double cost = body_cost(p->pool, n->body);
    double weight = cost + (loads > 1 ? (loads - 1) * COST_EXTRA_LOAD : 0);
    double inlined = plan->evaluations * weight;
    double stored = elements * (weight + COST_STORE) + plan->evaluations * (loads ? 1 : 2);
    return inlined <= stored + far_savings(p, n, &accesses);
}

/* Users come after their producers, so walking backwards knows each user's fate. */
static void decide_inlining(Planner *p)
{
    Graph *g = p->graph;
    for (int i = 0; i < g->results.count; i++)
        PLAN(p, g->results.data[i].value)->forced = true;
    for (int i = 0; i < g->nodes.count; i++) {
        Node *n = g->nodes.data[i];
        if (n->kind == NODE_VIEW)
            PLAN(p, node_storage(n))->forced = true;
        AccessList accesses = body_accesses(p->pool, n->kind == NODE_COMPUTE ? n->body : NULL);
        int mark = ++p->mark;
        for (int j = 0; j < accesses.count; j++) {
            NodePlan *plan = PLAN(p, accesses.data[j]->node);
            if (access_has_data(accesses.data[j]))
                plan->forced = true;
            const ReadTime time = access_time(p->pool, n, accesses.data[j]);
            if (time == READ_PAST || time == READ_UNKNOWN)
                plan->forced = plan->carried = true;
            plan->users += plan->mark != mark;
            plan->user = n;
            plan->mark = mark;
        }
    }
    for (int i = 0; i < g->nodes.count; i++)
        p->plans[i].ends_sum = ends_sum(p, g->nodes.data[i]);
    for (int i = g->nodes.count - 1; i >= 0; i--) {
        Node *n = g->nodes.data[i];
        if (n->kind != NODE_COMPUTE)
            continue;
        PLAN(p, n)->inlined = wants_inlining(p, n);
        AccessList accesses = body_accesses(p->pool, n->body);
        for (int j = 0; j < accesses.count; j++) {
            NodePlan *read = PLAN(p, accesses.data[j]->node);
            read->evaluations += access_evaluations(p, n, accesses.data[j]);
            read->readers += PLAN(p, n)->inlined ? PLAN(p, n)->readers : 1;
            read->windowed = read->windowed || reads_windows(p, n, accesses.data[j]);
        }
    }
}

static const Expr *inline_leaf(void *context, const Expr *e)
{
    Planner *p = context;
    if (e->kind != EXPR_ACCESS || !PLAN(p, e->node)->inlined)
        return e;
    Node *n = e->node;
    const Affine **to = arena_new(p->arena, const Affine *, n->rank);
    for (int i = 0; i < n->rank; i++)
        to[i] = e->subscripts[i].affine;
    Substitution s = {n->rank, n->domain, to};
    return expr_substitute(p->pool, p->schedule->bodies[n->id], &s);
}

static void build_bodies(Planner *p)
{
    for (int i = 0; i < p->graph->nodes.count; i++) {
        Node *n = p->graph->nodes.data[i];
        if (n->kind == NODE_COMPUTE)
            p->schedule->bodies[n->id] = expr_map(p->pool, n->body, inline_leaf, p);
    }
}

static void collect_reads(Planner *p, Node *n)
{
    NodePlan *plan = PLAN(p, n);
    plan->reads = (NodeList){0};
    AccessList accesses = body_accesses(p->pool, p->schedule->bodies[n->id]);
    int mark = ++p->mark;
    for (int i = 0; i < accesses.count; i++) {
        Node *from = node_storage(accesses.data[i]->node);
        const ReadTime time = access_time(p->pool, n, accesses.data[i]);
        if (time == READ_PAST || time == READ_UNKNOWN)
            PLAN(p, from)->carried = true;
        if (time == READ_PAST)
            continue;
        if (PLAN(p, from)->mark != mark)
            vec_push(p->arena, &plan->reads, from);
        PLAN(p, from)->mark = mark;
    }
}

/* ---- updates in place ------------------------------------------------------------------------------ */

static bool reaches(Planner *p, Node *from, Node *target)
{
    if (from == target)
        return true;
    NodePlan *plan = PLAN(p, from);
    if (plan->mark == p->mark)
        return false;
    plan->mark = p->mark;
    for (int i = 0; i < plan->reads.count; i++)
        if (reaches(p, plan->reads.data[i], target))
            return true;
    for (int i = 0; i < plan->before.count; i++)
        if (reaches(p, plan->before.data[i], target))
            return true;
    return false;
}

/* Does running `n` need `target` done before? */
static bool depends_on(Planner *p, Node *n, Node *target)
{
    p->mark++;
    return reaches(p, n, target);
}

static bool reads_node(Planner *p, Node *n, const Node *what)
{
    for (int i = 0; i < PLAN(p, n)->reads.count; i++)
        if (PLAN(p, n)->reads.data[i] == what)
            return true;
    return false;
}

/* Reads `old` at its own element only, and so may overwrite it. */
static bool reads_in_place(Planner *p, Node *n, const Node *old)
{
    if (!old || !reads_node(p, n, old))
        return true;
    if (n->reduction)
        return false;
    AccessList accesses = body_accesses(p->pool, p->schedule->bodies[n->id]);
    for (int i = 0; i < accesses.count; i++)
        if (node_storage(accesses.data[i]->node) == old &&
            (accesses.data[i]->node != old || !access_is_identity(accesses.data[i], n)))
            return false;
    return true;
}

static Node *old_value(const Graph *g, const Tensor *t)
{
    for (int i = 0; i < g->nodes.count; i++)
        if (g->nodes.data[i]->kind == NODE_TENSOR && g->nodes.data[i]->tensor == t)
            return g->nodes.data[i];
    return NULL;
}

static bool is_stored(Planner *p, const Node *n)
{
    return n->kind == NODE_COMPUTE && !PLAN(p, n)->inlined;
}

/* What must run before `n` may overwrite `old`; false where that cannot be. */
static bool find_before(Planner *p, Node *n, const Node *old)
{
    Graph *g = p->graph;
    for (int i = 0; i < g->nodes.count; i++) {
        Node *reader = g->nodes.data[i];
        if (!old || reader == n || !is_stored(p, reader) || !reads_node(p, reader, old))
            continue;
        if (depends_on(p, reader, n))
            return false;
        vec_push(p->arena, &PLAN(p, n)->before, reader);
    }
    for (int i = 0; i < g->results.count; i++) {
        const Result *r = &g->results.data[i];
        if (r->role != RESULT_LOSS)
            continue;
        if (depends_on(p, r->value, n))
            return false;
        vec_push(p->arena, &PLAN(p, n)->before, r->value);
    }
    return true;
}

static void place_update(Planner *p, int result)
{
    Graph *g = p->graph;
    Result *r = &g->results.data[result];
    Node *old = old_value(g, r->tensor), *n = r->value;
    PLAN(p, n)->target = r->tensor;
    if (reads_in_place(p, n, old) && find_before(p, n, old))
        return;
    PLAN(p, n)->target = NULL;
    PLAN(p, n)->before = (NodeList){0};
    Node *copy = make_copy(g, n, n->name, NULL, n->type);
    r = &g->results.data[result];
    r->value = copy;
    NodePlan *grown = arena_new(p->arena, NodePlan, g->nodes.count);
    const Expr **bodies = arena_new(p->arena, const Expr *, g->nodes.count);
    for (int i = 0; i < g->nodes.count - 1; i++) {
        grown[i] = p->plans[i];
        bodies[i] = p->schedule->bodies[i];
    }
    p->plans = grown;
    p->schedule->bodies = bodies;
    bodies[copy->id] = copy->body;
    *PLAN(p, copy) = (NodePlan){.forced = true, .target = r->tensor, .kernel = -1};
    collect_reads(p, copy);
    if (!find_before(p, copy, old))
        bug("the copy to %s cannot be ordered", r->tensor->name);
}

void store_run(Planner *p)
{
    decide_inlining(p);
    build_bodies(p);
    for (int i = 0; i < p->graph->nodes.count; i++)
        if (is_stored(p, p->graph->nodes.data[i]))
            collect_reads(p, p->graph->nodes.data[i]);
    for (int i = 0; i < p->graph->results.count; i++)
        if (p->graph->results.data[i].role == RESULT_UPDATE)
            place_update(p, i);
}
