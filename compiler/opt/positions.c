/* From a graph that computes all positions of a sequence to one that computes a position a call.
 *
 * Every tensor that runs along the sequence becomes part of one recurrence whose step is the
 * position: what a call computes is one row of each, and rows that are done stay as they are.  That
 * is sound where no row reads a later one, which causal.c proves. */
#include "opt/opt.h"

Index *row_position(const Positions *x, const Node *n)
{
    const int place = ROW(x, n)->place;
    return place < 0 ? NULL : n->domain[place];
}

const Affine *row_subscript(const Positions *x, const Expr *access)
{
    return access->subscripts[ROW(x, access->node)->place].affine;
}

/* ---- which tensors run along the sequence ------------------------------------------------------------------ */

typedef struct Follow {
    Positions *x;
    Node *user;
} Follow;

/* The user's free indices that lead along the sequence in what it reads. */
static void follow_access(void *context, const Expr *e)
{
    Follow *f = context;
    Node *n = f->user;
    if (e->kind != EXPR_ACCESS || !ROW(f->x, e->node)->depends)
        return;
    ROW(f->x, n)->depends = true;
    for (int p = 0; p < e->count && p < MOST_PLACES; p++) {
        const Affine *a = e->subscripts[p].affine;
        bool nested;
        if (!a || !(ROW(f->x, e->node)->candidates >> p & 1))
            continue;
        for (int i = 0; i < n->rank && i < MOST_PLACES; i++)
            if (n->domain[i]->extent == f->x->length &&
                affine_factor(a, n->domain[i], &nested) == 1 && !nested)
                ROW(f->x, n)->candidates |= UINT32_C(1) << i;
    }
}

/* A sum of what has been so far has its position in its condition alone: sum[s] if s <= t then … */
static void follow_test(void *context, const Expr *e)
{
    Follow *f = context;
    for (int i = 0; e->kind == EXPR_TEST && i < f->user->rank && i < MOST_PLACES; i++)
        if (f->user->domain[i]->extent == f->x->length &&
            affine_uses(e->affine, f->user->domain[i]))
            ROW(f->x, f->user)->candidates |= UINT32_C(1) << i;
}

/* The place of one node's index in another of the same elements, or -1. */
static int same_place(const Node *n, int place, const Node *other)
{
    for (int i = 0; i < other->rank; i++)
        if (other->domain[i]->extent == n->domain[place]->extent &&
            node_elements_behind(other, i) == node_elements_behind(n, place))
            return i;
    return -1;
}

static void follow_view(Positions *x, Node *n)
{
    const Row *of = ROW(x, n->viewed);
    ROW(x, n)->depends = of->depends;
    for (int p = 0; p < n->viewed->rank && p < MOST_PLACES; p++) {
        const int at = of->candidates >> p & 1 ? same_place(n->viewed, p, n) : -1;
        if (at >= 0 && at < MOST_PLACES)
            ROW(x, n)->candidates |= UINT32_C(1) << at;
    }
}

static void follow_node(Positions *x, Node *n)
{
    if (n->kind == NODE_PORT && n->port == x->tokens)
        *ROW(x, n) = (Row){.depends = true, .candidates = 2, .place = -1};
    if (n->kind == NODE_VIEW)
        follow_view(x, n);
    if (n->kind == NODE_COMPUTE)
        expr_visit(x->p, n->body, follow_access, &(Follow){x, n});
    if (n->kind == NODE_COMPUTE && ROW(x, n)->depends && !ROW(x, n)->candidates)
        expr_visit(x->p, n->body, follow_test, &(Follow){x, n});
}

/* Until nothing is new: in a recurrence nodes read others behind them. */
static void follow_all(Positions *x)
{
    for (bool changed = true; changed;) {
        changed = false;
        for (int i = 0; i < x->g->nodes.count; i++) {
            const Row was = x->rows[i];
            follow_node(x, x->g->nodes.data[i]);
            changed = changed || was.depends != x->rows[i].depends ||
                      was.candidates != x->rows[i].candidates;
        }
    }
}

/* ---- along which of their indices ---------------------------------------------------------------------------- */

static bool is_single(uint32_t set)
{
    return set && !(set & (set - 1));
}

static int first_of(uint32_t set)
{
    int i = 0;
    while (set && !(set >> i & 1))
        i++;
    return set ? i : -1;
}

/* What a user reads at its own position tells the place, where there are several. */
static void settle_access(void *context, const Expr *e)
{
    Follow *f = context;
    Row *r = e->kind == EXPR_ACCESS ? ROW(f->x, e->node) : NULL;
    Index *position = row_position(f->x, f->user);
    if (!r || !r->depends || r->place >= 0)
        return;
    if (is_single(r->candidates))
        r->place = first_of(r->candidates);
    for (int p = 0; position && r->place < 0 && p < e->count && p < MOST_PLACES; p++) {
        const Affine *a = e->subscripts[p].affine;
        if (a && r->candidates >> p & 1 && affine_factor(a, position, NULL) == 1)
            r->place = p;
    }
}

static bool is_mixed(const Positions *x, const Node *n)
{
    return ROW(x, n)->depends && !ROW(x, n)->candidates;
}

typedef struct Blame {
    const Positions *x;
    const Node *mixed; /* an operand that is mixed already, or NULL */
} Blame;

static void blame_access(void *context, const Expr *e)
{
    Blame *b = context;
    if (e->kind == EXPR_ACCESS && is_mixed(b->x, e->node))
        b->mixed = e->node;
}

/* Where the positions meet first. */
static const Node *first_mixture(const Positions *x, const Node *n)
{
    for (const Node *next = n; next;) {
        Blame b = {x, NULL};
        n = next;
        if (n->kind == NODE_COMPUTE)
            expr_visit(x->p, n->body, blame_access, &b);
        else if (n->kind == NODE_VIEW && is_mixed(x, n->viewed))
            b.mixed = n->viewed;
        next = b.mixed && b.mixed->id < n->id ? b.mixed : NULL;
    }
    return n;
}

static void report_mixture(Positions *x, const Node *n)
{
    n = first_mixture(x, n);
    diag_error(x->diag, n->span,
               "`%s` mixes all positions of `%s`, so no token can be made before "
               "the last is known",
               n->name, x->tokens->name);
    diag_note(x->diag, x->span, "tokens are to be made one after another here");
    diag_help(x->diag, "what leads to the log-odds of position t may use positions up to t");
}

static bool is_other_scan(const Positions *x, const Node *n)
{
    return n->recurrence && ROW(x, n)->depends &&
           (n->recurrence->outer || node_step_place(n, n->recurrence) != ROW(x, n)->place);
}

static bool settle(Positions *x, Node *n)
{
    Row *r = ROW(x, n);
    if (!r->depends)
        return true;
    if (r->place < 0)
        r->place = first_of(r->candidates);
    if (r->place < 0) {
        report_mixture(x, n);
        return false;
    }
    if (is_other_scan(x, n)) {
        diag_error(x->diag, n->span,
                   "`%s` is part of a scan over `%s`, not over the positions of `%s`", n->name,
                   node_step(n, n->recurrence)->name, x->tokens->name);
        diag_note(x->diag, x->span, "tokens are to be made one after another here");
        return false;
    }
    if (n->kind == NODE_COMPUTE)
        expr_visit(x->p, n->body, settle_access, &(Follow){x, n});
    if (n->kind == NODE_VIEW && ROW(x, n->viewed)->place < 0)
        ROW(x, n->viewed)->place = same_place(n, r->place, n->viewed);
    return true;
}

/* Users first: they know. */
static bool settle_all(Positions *x)
{
    for (int i = x->g->nodes.count - 1; i >= 0; i--)
        if (!settle(x, x->g->nodes.data[i]))
            return false;
    return true;
}

/* ---- what does not depend on the tokens ---------------------------------------------------------------------------------- */

/* Places at which all users read a node at their own position. */
typedef struct Reading {
    Positions *x;
    const Node *of, *user;
    uint32_t places;
} Reading;

static void see_reading(void *context, const Expr *e)
{
    Reading *r = context;
    const Index *position = row_position(r->x, r->user);
    uint32_t here = 0;
    if (e->kind != EXPR_ACCESS || e->node != r->of)
        return;
    for (int p = 0; p < e->count && p < MOST_PLACES; p++) {
        const Affine *a = e->subscripts[p].affine;
        if (position && a && affine_is_index(a) == position &&
            r->of->domain[p]->extent == r->x->length)
            here |= UINT32_C(1) << p;
    }
    r->places &= here;
}

/* A table over the positions of which every user wants its own row is made row by row, too. */
static void row_of_table(Positions *x, Node *n)
{
    if (n->kind != NODE_COMPUTE || ROW(x, n)->depends || n->recurrence || row_is_kept_whole(x, n))
        return;
    Reading r = {x, n, NULL, UINT32_MAX};
    for (int i = 0; i < x->g->nodes.count && r.places; i++) {
        r.user = x->g->nodes.data[i];
        if (r.user->kind == NODE_COMPUTE)
            expr_visit(x->p, r.user->body, see_reading, &r);
    }
    if (r.places != UINT32_MAX)
        ROW(x, n)->place = first_of(r.places);
}

/* ---- the recurrence --------------------------------------------------------------------------------------------------------- */

/* The rest first, once: it depends on no row. */
static void make_recurrence(Positions *x)
{
    Graph *g = x->g;
    Recurrence *r = arena_new(g->arena, Recurrence, 1);
    *r = (Recurrence){.steps = x->length};
    Node **nodes = arena_new(g->arena, Node *, g->nodes.count + 1);
    int count = 0;
    for (int rows = 0; rows < 2; rows++)
        for (int i = 0; i < g->nodes.count; i++) {
            Node *n = g->nodes.data[i];
            const bool row =
                ROW(x, n)->place >= 0 && (n->kind == NODE_COMPUTE || n->kind == NODE_VIEW);
            if (row != (rows == 1))
                continue;
            nodes[count++] = n;
            if (!row)
                continue;
            n->recurrence = r;
            n->step_count = 1;
            n->steps[0] = (StepCounter){row_position(x, n), r};
        }
    for (int i = 0; i < count; i++) {
        g->nodes.data[i] = nodes[i];
        nodes[i]->id = i;
    }
    g->positions = r;
}

/* ---- how far back -------------------------------------------------------------------------------------------------- */

/* Whether any position is computed as the last one is, from a few positions before it. */
typedef struct Reach {
    Positions *x;
    const Node *user;
    int64_t most; /* -1: not so */
} Reach;

/* `a` at the last position. */
static Interval at_the_end(const Reach *r, const Affine *a)
{
    Index *position = row_position(r->x, r->user);
    const Affine *last = affine_constant(r->x->p, r->x->length - 1);
    return affine_interval(affine_substitute(r->x->p, a, &(Substitution){1, &position, &last}));
}

static bool is_settled_at_the_end(const Reach *r, const Expr *test)
{
    const Interval v = at_the_end(r, test->affine);
    if (test->test == TEST_ZERO)
        return v.low > 0 || v.high < 0;
    return v.low >= 0 || v.high < 0;
}

static void see_access(Reach *r, const Expr *e)
{
    const Index *position = row_position(r->x, r->user);
    const int place = ROW(r->x, e->node)->place;
    for (int i = 0; i < e->count && r->most >= 0; i++) {
        const Affine *a = e->subscripts[i].affine;
        if (!a || !affine_uses(a, position))
            continue;
        const int64_t back = r->x->length - 1 - at_the_end(r, a).low;
        if (i != place || affine_factor(a, position, NULL) != 1 || back >= r->x->length)
            r->most = -1;
        else if (r->most < back)
            r->most = back;
    }
    if (place >= 0 && r->most >= 0 && !affine_uses(e->subscripts[place].affine, position))
        r->most = -1;
}

static void see_reach(void *context, const Expr *e)
{
    Reach *r = context;
    const Index *position = row_position(r->x, r->user);
    if (e->kind == EXPR_ACCESS)
        see_access(r, e);
    else if (e->kind == EXPR_TEST && affine_uses(e->affine, position) &&
             !is_settled_at_the_end(r, e))
        r->most = -1;
    else if ((e->kind == EXPR_AFFINE || e->kind == EXPR_RANDOM) && affine_uses(e->affine, position))
        r->most = -1;
}

static int64_t find_reach(Positions *x)
{
    Reach r = {.x = x};
    for (int i = 0; i < x->g->nodes.count && r.most >= 0; i++) {
        r.user = x->g->nodes.data[i];
        if (r.user->kind == NODE_COMPUTE && ROW(x, r.user)->place >= 0)
            expr_visit(x->p, r.user->body, see_reach, &r);
    }
    return r.most;
}

/* The logits are nothing else's operand: one row of them is all that is ever kept. */
static void copy_logits(Graph *g)
{
    Result *r = &g->results.data[0];
    Node *n = r->value;
    Index **domain = arena_new(g->arena, Index *, n->rank + 1);
    for (int i = 0; i < n->rank; i++)
        domain[i] = index_copy(g->pool, n->domain[i]);
    r->value = graph_compute(g, "next_logits", n->type, domain, n->rank, NULL, NULL, 0,
                             expr_access_identity(g->pool, n, domain), n->span);
}

/* Tokens are all that a call is given. */
static bool needs_more(const Positions *x)
{
    for (int i = 0; i < x->g->nodes.count; i++) {
        const Node *n = x->g->nodes.data[i];
        if (n->kind != NODE_PORT || n->port == x->tokens)
            continue;
        diag_error(x->diag, x->span,
                   "these log-odds depend on `%s`, and generating is given `%s` alone",
                   n->port->name, x->tokens->name);
        diag_note(x->diag, n->port->span, "it is declared here");
        return true;
    }
    return false;
}

bool opt_positions(Graph *g, const Port *tokens, Span span, Diag *d)
{
    Positions x = {g, g->pool, d, span, tokens, tokens->shape[0], NULL};
    if (needs_more(&x))
        return false;
    g->window = g->results.data[0].value->rank == 2;
    if (g->window)
        return true;
    copy_logits(g);
    x.rows = arena_new(g->arena, Row, g->nodes.count + 1);
    for (int i = 0; i < g->nodes.count; i++)
        x.rows[i].place = -1;
    follow_all(&x);
    ROW(&x, g->results.data[0].value)->place = 1;
    if (!settle_all(&x) || !positions_prove(&x))
        return false;
    for (int i = g->nodes.count - 1; i >= 0; i--)
        row_of_table(&x, g->nodes.data[i]);
    g->reach = find_reach(&x);
    make_recurrence(&x);
    return true;
}
