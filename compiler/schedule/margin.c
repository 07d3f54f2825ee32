/* Margins: what is read through windows that may leave it, and is 0 there, is stored with zeros around
 * it.  Reads then need no conditions, and the register tile takes windows straight from memory.
 *   needs: kernels, and where each node's elements are
 *   gives: places with margins; bodies and operands without the conditions that these make idle; kernels
 *          that clear the margins before the nodes are computed */
#include "schedule/internal.h"

enum { MOST_GROWTH = 2 }; /* times the memory of the node itself */

typedef struct Margins {
    Planner *p;
    bool *barred;     /* per node id: its memory has to be dense   */
    bool *windowed;   /* a contraction reads windows of it         */
    int64_t **before; /* per node id and dimension, or NULL        */
    int64_t **after;
} Margins;

/* ---- windows ------------------------------------------------------------------------------------------- */

/* Does the test keep one of the access's subscripts inside its dimension, and no more? */
static bool keeps_inside(ExprPool *p, const Expr *test, const Expr *access)
{
    if (test->kind != EXPR_TEST || test->test != TEST_NOT_NEGATIVE)
        return false;
    for (int i = 0; i < access->count; i++) {
        const Affine *at = access->subscripts[i].affine;
        const Affine *beyond =
            affine_offset(p, affine_scale(p, at, -1), access->node->domain[i]->extent - 1);
        if (test->affine == at || test->affine == beyond)
            return true;
    }
    return false;
}

bool all_keep_inside(ExprPool *p, const Expr *condition, const Expr *access)
{
    if (condition->kind == EXPR_CALL && condition->function == &scalar_and)
        return all_keep_inside(p, condition->args[0], access) &&
               all_keep_inside(p, condition->args[1], access);
    return keeps_inside(p, condition, access);
}

const Expr *match_window(ExprPool *p, const Expr *e)
{
    double otherwise;
    if (e->kind != EXPR_CALL || e->function != &scalar_select || e->args[1]->kind != EXPR_ACCESS ||
        !expr_is_const(e->args[2], &otherwise) || otherwise != 0)
        return NULL;
    const Expr *access = e->args[1];
    if (access_has_data(access) || !all_keep_inside(p, e->args[0], access))
        return NULL;
    return access;
}

/* ---- which nodes get margins --------------------------------------------------------------------------- */

static void bar_nodes(Margins *m)
{
    const Graph *g = m->p->graph;
    for (int i = 0; i < g->nodes.count; i++) {
        const Node *n = g->nodes.data[i];
        if (n->kind != NODE_COMPUTE || m->p->schedule->places[i].kind != PLACE_WORKSPACE ||
            n->recurrence || !node_is_batched(n))
            m->barred[i] = true;
        if (n->kind == NODE_VIEW)
            m->barred[node_storage(n->viewed)->id] = true;
    }
    for (int i = 0; i < g->results.count; i++)
        m->barred[g->results.data[i].value->id] = true;
}

static void grow(int64_t *margin, int64_t wanted)
{
    if (*margin < wanted)
        *margin = wanted;
}

/* Is the node's memory, with margins for this window as well, still small enough? */
static bool widen(Margins *m, const Expr *access)
{
    const Node *n = access->node;
    int64_t *before = arena_new(m->p->arena, int64_t, n->rank),
            *after = arena_new(m->p->arena, int64_t, n->rank);
    double growth = 1;
    for (int i = 0; i < n->rank; i++) {
        const int64_t extent = n->domain[i]->extent;
        const Interval at = affine_interval(access->subscripts[i].affine);
        if (m->before[n->id]) {
            before[i] = m->before[n->id][i];
            after[i] = m->after[n->id][i];
        }
        grow(&before[i], -at.low);
        grow(&after[i], at.high - (extent - 1));
        growth *= (double)(extent + before[i] + after[i]) / (double)extent;
    }
    if (before[0] || after[0] || growth > MOST_GROWTH)
        return false;
    m->before[n->id] = before;
    m->after[n->id] = after;
    return true;
}

static void note_window(void *context, const Expr *e)
{
    Margins *m = context;
    const Expr *access = match_window(m->p->pool, e);
    if (!access || m->barred[access->node->id])
        return;
    m->windowed[access->node->id] = true;
    if (!widen(m, access))
        m->barred[access->node->id] = true;
}

static void find_windows(Margins *m)
{
    const Schedule *s = m->p->schedule;
    for (int i = 0; i < s->kernels.count; i++) {
        const Kernel *k = s->kernels.data[i];
        if (k->kind != KERNEL_CONTRACTION || k->recurrence)
            continue;
        expr_visit(m->p->pool, k->contraction.left, note_window, m);
        expr_visit(m->p->pool, k->contraction.right, note_window, m);
    }
}

/* ---- what follows -------------------------------------------------------------------------------------- */

static bool has_margin(const Margins *m, const Node *n)
{
    return m->windowed[n->id] && !m->barred[n->id];
}

/* Does the margin hold all that the access may reach? */
static bool is_reached(const Margins *m, const Expr *access)
{
    const Node *n = access->node;
    for (int i = 0; i < n->rank; i++) {
        const Interval at = affine_interval(access->subscripts[i].affine);
        if (at.low < -m->before[n->id][i] || at.high >= n->domain[i]->extent + m->after[n->id][i])
            return false;
    }
    return true;
}

/* A window in the margins is read without the condition around it. */
static const Expr *without_condition(void *context, const Expr *e)
{
    const Margins *m = context;
    const Expr *access = match_window(m->p->pool, e);
    return access && has_margin(m, access->node) && is_reached(m, access) ? access : e;
}

static const Expr *without_conditions(Margins *m, const Expr *e)
{
    return expr_map_calls(m->p->pool, e, NULL, without_condition, m);
}

static void rewrite_reads(Margins *m)
{
    Schedule *s = m->p->schedule;
    for (int i = 0; i < s->kernels.count; i++) {
        Kernel *k = s->kernels.data[i];
        for (int j = 0; j < k->nodes.count; j++) {
            const int id = k->nodes.data[j]->id;
            s->bodies[id] = without_conditions(m, s->bodies[id]);
        }
        if (k->kind != KERNEL_CONTRACTION)
            continue;
        k->contraction.left = without_conditions(m, k->contraction.left);
        k->contraction.right = without_conditions(m, k->contraction.right);
    }
}

static Kernel *clearing(Margins *m, const Kernel *maker, Node *n)
{
    Kernel *k = arena_new(m->p->arena, Kernel, 1);
    k->kind = KERNEL_MARGIN;
    k->every = maker->every;
    vec_push(m->p->arena, &k->nodes, n);
    return k;
}

/* In front of each kernel, those that clear the margins of what it stores. */
static void insert_kernels(Margins *m)
{
    Schedule *s = m->p->schedule;
    const Schedule was = *s;
    s->kernels.data = NULL;
    s->kernels.count = s->kernels.capacity = 0;
    for (int i = 0; i < was.kernels.count; i++) {
        Kernel *k = was.kernels.data[i];
        for (int j = 0; j < k->nodes.count; j++)
            if (has_margin(m, k->nodes.data[j]))
                vec_push(m->p->arena, &s->kernels, clearing(m, k, k->nodes.data[j]));
        if (i == was.loss_kernel)
            s->loss_kernel = s->kernels.count;
        vec_push(m->p->arena, &s->kernels, k);
    }
    for (int i = 0; i < s->kernels.count; i++)
        s->kernels.data[i]->id = i;
}

void margin_run(Planner *p)
{
    const int count = p->graph->nodes.count;
    Margins m = {.p = p};
    m.barred = arena_new(p->arena, bool, count);
    m.windowed = arena_new(p->arena, bool, count);
    m.before = arena_new(p->arena, int64_t *, count);
    m.after = arena_new(p->arena, int64_t *, count);
    bar_nodes(&m);
    find_windows(&m);
    bool any = false;
    for (int i = 0; i < count; i++)
        if (has_margin(&m, p->graph->nodes.data[i])) {
            p->schedule->places[i].before = m.before[i];
            p->schedule->places[i].after = m.after[i];
            any = true;
        }
    if (!any)
        return;
    rewrite_reads(&m);
    insert_kernels(&m);
}

int64_t schedule_extent(const Schedule *s, const Node *n, int d)
{
    const Place *p = &s->places[n->id];
    const int64_t extent = d < p->group_loops ? 1 : n->domain[d]->extent;
    return p->before ? extent + p->before[d] + p->after[d] : extent;
}

int64_t schedule_elements(const Schedule *s, const Node *n)
{
    int64_t total = 1;
    for (int i = 0; i < n->rank; i++)
        total *= schedule_extent(s, n, i);
    return total;
}
