/* Where a contraction has nothing to do: its product is zero, or nobody wants the sum.  Of causal
 * attention that is one half. */
#include "schedule/internal.h"

#include <float.h>

enum { MOST_VISITS = 4096 }; /* of one body, whose shared parts are visited once for each use */

typedef struct Support {
    Planner *p;
    Tests *nonzero; /* per node id, over its domain: it is zero where one of them does not hold */
    bool *known;
    Tests *wanted; /* the same: nobody needs it where one of them does not hold */
    bool *read;    /* somebody does at all                                      */
    int visits;
} Support;

static void add_test(Support *s, Tests *tests, const Expr *t)
{
    if (t->kind != EXPR_TEST || t->test != TEST_NOT_NEGATIVE)
        return;
    for (int i = 0; i < tests->count; i++)
        if (tests->data[i] == t)
            return;
    vec_push(s->p->arena, tests, t);
}

static void add_tests(Support *s, Tests *tests, const Tests *more)
{
    for (int i = 0; i < more->count; i++)
        add_test(s, tests, more->data[i]);
}

static void add_condition(Support *s, Tests *tests, const Expr *c)
{
    if (c->kind == EXPR_CALL && c->function == &scalar_and) {
        add_condition(s, tests, c->args[0]);
        add_condition(s, tests, c->args[1]);
    }
    add_test(s, tests, c);
}

static bool is_call(const Expr *e, const ScalarFunction *f)
{
    return e->kind == EXPR_CALL && e->function == f;
}

/* ---- where a value is not zero ---------------------------------------------------------------------------- */

static void support_of_node(Support *s, const Node *n);

static void support_of_access(Support *s, const Expr *access, Tests *out)
{
    const Node *n = access->node;
    if (n->kind != NODE_COMPUTE || n->recurrence || access_has_data(access))
        return;
    support_of_node(s, n);
    const Tests *tests = &s->nonzero[n->id];
    for (int i = 0; i < tests->count; i++)
        add_test(s, out, expr_at_access(s->p->pool, tests->data[i], access));
}

static void support_of(Support *s, const Expr *e, Tests *out)
{
    if (e->kind == EXPR_ACCESS)
        support_of_access(s, e, out);
    if (is_call(e, &scalar_select) && expr_is_zero(e->args[2])) {
        add_condition(s, out, e->args[0]);
        support_of(s, e->args[1], out);
    }
    if (is_call(e, &scalar_mul) || is_call(e, &scalar_div) || is_call(e, &scalar_neg))
        support_of(s, e->args[0], out);
    if (is_call(e, &scalar_mul))
        support_of(s, e->args[1], out);
}

static bool uses_bound(const Node *n, const Expr *test)
{
    for (int i = 0; i < n->bound_count; i++)
        if (affine_uses(test->affine, n->bound[i]))
            return true;
    return false;
}

static void support_of_node(Support *s, const Node *n)
{
    if (s->known[n->id])
        return;
    s->known[n->id] = true;
    if (n->reduction && n->reduction != &reduce_sum)
        return;
    Tests all = {0};
    support_of(s, s->p->schedule->bodies[n->id], &all);
    for (int i = 0; i < all.count; i++)
        if (!uses_bound(n, all.data[i]))
            add_test(s, &s->nonzero[n->id], all.data[i]);
}

/* ---- where a value is wanted -------------------------------------------------------------------------------- */

/* The tests on the indices that stand alone in the subscripts, over the node's own domain. */
static Tests tests_there(Support *s, const Expr *access, const Tests *held)
{
    const Node *n = access->node;
    Tests there = {0};
    Index **from = arena_new(s->p->arena, Index *, n->rank + 1);
    const Affine **to = arena_new(s->p->arena, const Affine *, n->rank + 1);
    int count = 0;
    for (int i = 0; i < n->rank; i++) {
        Index *ix =
            access->subscripts[i].affine ? affine_is_index(access->subscripts[i].affine) : NULL;
        if (!ix)
            continue;
        from[count] = ix;
        to[count++] = affine_index(s->p->pool, n->domain[i]);
    }
    for (int i = 0; i < held->count; i++) {
        const Expr *t = held->data[i];
        for (int k = 0; k < t->affine->count; k++) {
            bool plain = t->affine->terms[k].kind == TERM_INDEX, found = false;
            for (int j = 0; plain && j < count; j++)
                found |= from[j] == t->affine->terms[k].index;
            if (!found)
                t = NULL;
            if (!t)
                break;
        }
        if (t)
            add_test(s, &there, expr_substitute(s->p->pool, t, &(Substitution){count, from, to}));
    }
    return there;
}

static void note_read(Support *s, const Expr *access, const Tests *held)
{
    int id = node_storage(access->node)->id;
    Tests there = {0};
    if (access->node->kind == NODE_COMPUTE)
        there = tests_there(s, access, held);
    Tests *wanted = &s->wanted[id];
    if (!s->read[id])
        add_tests(s, wanted, &there);
    s->read[id] = true;
    int kept = 0;
    for (int i = 0; i < wanted->count; i++)
        for (int j = 0; j < there.count; j++)
            if (wanted->data[i] == there.data[j]) {
                wanted->data[kept++] = wanted->data[i];
                break;
            }
    wanted->count = kept;
}

static void visit(Support *s, const Expr *e, const Tests *held)
{
    if (++s->visits > MOST_VISITS)
        return;
    Tests first = {0}, second = {0};
    add_tests(s, &first, held);
    add_tests(s, &second, held);
    switch (e->kind) {
    case EXPR_ACCESS:
        for (int i = 0; i < e->count; i++)
            if (e->subscripts[i].data)
                visit(s, e->subscripts[i].data, held);
        note_read(s, e, held);
        return;
    case EXPR_CALL:
        if (is_call(e, &scalar_select))
            add_condition(s, &second, e->args[0]);
        if (is_call(e, &scalar_mul)) {
            support_of(s, e->args[1], &first);
            support_of(s, e->args[0], &second);
        }
        for (int i = 0; i < e->function->arity; i++)
            visit(s, e->args[i], i == 0 ? &first : i == 1 ? &second : held);
        return;
    default:
        return;
    }
}

/* What n reads is wanted where n is. */
static void visit_body(Support *s, const Node *n)
{
    const Expr *body = s->p->schedule->bodies[n->id];
    const Tests nothing = {0};
    s->visits = 0;
    visit(s, body, n->recurrence ? &nothing : &s->wanted[n->id]);
    if (s->visits <= MOST_VISITS)
        return;
    AccessList all = body_accesses(s->p->pool, body);
    for (int i = 0; i < all.count; i++)
        note_read(s, all.data[i], &nothing);
}

static void visit_all(Support *s)
{
    const Graph *g = s->p->graph;
    for (int i = 0; i < g->results.count; i++)
        s->read[node_storage(g->results.data[i].value)->id] = true;
    for (int i = s->p->order.count - 1; i >= 0; i--) /* users first */
        if (s->p->order.data[i]->kind == NODE_COMPUTE)
            visit_body(s, s->p->order.data[i]);
}

/* ---- of a contraction ---------------------------------------------------------------------------------------- */

static void limit(Support *s, Kernel *k)
{
    Node *n = k->nodes.data[0];
    Contraction *c = &k->contraction;
    Tests tests = {0};
    support_of(s, s->p->schedule->bodies[n->id], &tests);
    add_tests(s, &tests, &s->wanted[n->id]);
    for (int i = 0; i < tests.count; i++) {
        const Expr *t = contract_in_parts(s->p->pool, c, tests.data[i]);
        if (t->kind == EXPR_TEST)
            vec_push(s->p->arena, &c->limits, t);
    }
}

/* ---- of a reduction ------------------------------------------------------------------------------------------ */

/* max over `if c then x else lowest`: no number is less. */
static void support_of_max(Support *s, const Expr *body, Tests *out)
{
    double otherwise;
    if (is_call(body, &scalar_select) && expr_is_const(body->args[2], &otherwise) &&
        otherwise <= -FLT_MAX)
        add_condition(s, out, body->args[0]);
}

static void note_nothing(Support *s, const Node *n)
{
    const Expr *body = s->p->schedule->bodies[n->id];
    Tests tests = {0};
    if (n->reduction == &reduce_sum)
        support_of(s, body, &tests);
    if (n->reduction == &reduce_max)
        support_of_max(s, body, &tests);
    PLAN(s->p, n)->nothing = tests;
}

void support_run(Planner *p)
{
    int count = p->graph->nodes.count;
    Support s = {.p = p};
    s.nonzero = arena_new(p->arena, Tests, count);
    s.wanted = arena_new(p->arena, Tests, count);
    s.known = arena_new(p->arena, bool, count);
    s.read = arena_new(p->arena, bool, count);
    visit_all(&s);
    for (int i = 0; i < p->order.count; i++)
        if (PLAN(p, p->order.data[i])->strip && p->order.data[i]->reduction)
            note_nothing(&s, p->order.data[i]);
    for (int i = 0; i < p->schedule->kernels.count; i++) {
        Kernel *k = p->schedule->kernels.data[i];
        if (k->kind == KERNEL_CONTRACTION && !k->recurrence)
            limit(&s, k);
    }
}
