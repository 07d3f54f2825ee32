/* From a graph that computes all positions of a sequence to one that computes a position a call.
 *
 * Every tensor that runs along the sequence becomes part of one recurrence whose step is the
 * position: what a call computes is one row of each, and rows that are done stay as they are.  That
 * is sound where no row reads a later one, which is proven here, from subscripts and from the
 * conditions around them.  What is masked out in one tensor need not be computed in those before it
 * and counts as nothing in those behind it: the conditions are carried both ways. */
#include "opt/opt.h"

/* `value` wherever the index at `place` is beyond the position. */
typedef struct Beyond {
    int place;
    const Expr *value;
} Beyond;

/* What is known of a node. */
typedef struct Row {
    bool depends;        /* on the tokens                                    */
    uint32_t candidates; /* places of the domain that may count the positions */
    int place;           /* the one that does; -1: none                      */
    VEC(Beyond) beyond;
} Row;

typedef struct Positions {
    Graph *g;
    ExprPool *p;
    Diag *diag;
    Span span; /* of the statement */
    const Port *tokens;
    int64_t length; /* of the sequence */
    Row *rows;      /* per node id */
} Positions;

#define ROW(x, n) (&(x)->rows[(n)->id])
enum { MOST_PLACES = 32 };

static Index *position_of(const Positions *x, const Node *n)
{
    const int place = ROW(x, n)->place;
    return place < 0 ? NULL : n->domain[place];
}

static const Affine *step_subscript(const Positions *x, const Expr *access)
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

static int64_t elements_behind(const Node *n, int place)
{
    int64_t total = 1;
    for (int i = place + 1; i < n->rank; i++)
        total *= n->domain[i]->extent;
    return total;
}

/* The place of one node's index in another of the same elements, or -1. */
static int same_place(const Node *n, int place, const Node *other)
{
    for (int i = 0; i < other->rank; i++)
        if (other->domain[i]->extent == n->domain[place]->extent &&
            elements_behind(other, i) == elements_behind(n, place))
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
    Index *position = position_of(f->x, f->user);
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
    return n->recurrence && ROW(x, n)->depends && node_step_place(n) != ROW(x, n)->place;
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
                   n->step->name, x->tokens->name);
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

/* ---- conditions --------------------------------------------------------------------------------------------------- */

/* The expression where `facts` hold. */
typedef struct Narrow {
    Positions *x;
    const Facts *facts;
} Narrow;

static const Affine *distance(const Positions *x, const Expr *access, int place)
{
    const Affine *at = step_subscript(x, access), *other = access->subscripts[place].affine;
    return at && other ? affine_sub(x->p, at, other) : NULL;
}

static const Expr *narrow_leaf(void *context, const Expr *e)
{
    Narrow *w = context;
    ExprPool *p = w->x->p;
    if (e->kind == EXPR_TEST) {
        const int known = opt_decide(p, w->facts, e);
        return known < 0 ? e : expr_const_typed(p, known, TYPE_BOOL);
    }
    const Row *r = e->kind == EXPR_ACCESS ? ROW(w->x, e->node) : NULL;
    for (int i = 0; r && i < r->beyond.count; i++) {
        const Affine *gap = distance(w->x, e, r->beyond.data[i].place);
        if (gap &&
            facts_prove_not_negative(p, w->facts, affine_offset(p, affine_scale(p, gap, -1), -1)))
            return r->beyond.data[i].value;
    }
    return e;
}

static const Expr *narrow(Positions *x, const Expr *e, const Expr *test, bool holds)
{
    const Facts facts = {NULL, test, holds};
    return expr_map(x->p, e, narrow_leaf, &(Narrow){x, &facts});
}

/* 0 / x counts as 0: were x 0, what is within would be no number either. */
static bool is_nothing(const Expr *e)
{
    if (e->kind != EXPR_CALL)
        return opt_is_const(e, 0);
    if (e->function == &scalar_mul)
        return is_nothing(e->args[0]) || is_nothing(e->args[1]);
    if (e->function == &scalar_select)
        return is_nothing(e->args[1]) && is_nothing(e->args[2]);
    return (e->function == &scalar_div || e->function == &scalar_neg) && is_nothing(e->args[0]);
}

/* At or before the position of n? */
static const Expr *reached(Positions *x, const Node *n, Index *other)
{
    ExprPool *p = x->p;
    return expr_test(p, TEST_NOT_NEGATIVE,
                     affine_sub(p, affine_index(p, position_of(x, n)), affine_index(p, other)));
}

/* Is the body a constant where `other` is beyond the position?  Then say so, in it and of n. */
static void mask_beyond(Positions *x, Node *n, Index *other, int place)
{
    const Expr *within = reached(x, n, other), *beyond = narrow(x, n->body, within, false);
    if (is_nothing(beyond))
        beyond = expr_const_typed(x->p, 0, beyond->type);
    if (beyond->kind != EXPR_CONST || n->body->kind == EXPR_CONST)
        return;
    n->body = expr_select(x->p, within, narrow(x, n->body, within, true), beyond);
    if (place >= 0)
        vec_push(x->g->arena, &ROW(x, n)->beyond, ((Beyond){place, beyond}));
}

static bool is_along(const Positions *x, const Node *n, const Index *ix)
{
    return ix->extent == x->length && !ix->per_example && ix != position_of(x, n);
}

static void mask_node(Positions *x, Node *n)
{
    for (int i = 0; i < n->rank; i++)
        if (is_along(x, n, n->domain[i]))
            mask_beyond(x, n, n->domain[i], i);
    for (int i = 0; i < n->bound_count; i++)
        if (is_along(x, n, n->bound[i]))
            mask_beyond(x, n, n->bound[i], -1);
}

/* ---- proofs about accesses --------------------------------------------------------------------------------------- */

/* An expression over an access's subscripts that must not be negative; NULL: nothing is asked of it. */
typedef struct Demand {
    Positions *x;
    const Node *user, *of; /* `of`: accesses to this node alone, of its index at `place` */
    int place;
} Demand;

static const Affine *demanded(const Demand *d, const Expr *e, bool *asked)
{
    Positions *x = d->x;
    *asked = e->kind == EXPR_ACCESS && (d->of ? e->node == d->of : ROW(x, e->node)->depends);
    if (!*asked)
        return NULL;
    if (d->of)
        return distance(x, e, d->place);
    const Affine *at = step_subscript(x, e);
    return at ? affine_sub(x->p, affine_index(x->p, position_of(x, d->user)), at) : NULL;
}

static const Expr *find_open(const Demand *d, const Facts *facts, const Expr *e);

static const Expr *find_open_in_access(const Demand *d, const Facts *facts, const Expr *e)
{
    bool asked;
    const Affine *a = demanded(d, e, &asked);
    if (asked && (!a || !facts_prove_not_negative(d->x->p, facts, a)))
        return e;
    const Expr *found = NULL;
    for (int i = 0; i < e->count && !found; i++)
        if (e->subscripts[i].data)
            found = find_open(d, facts, e->subscripts[i].data);
    return found;
}

/* The first access for which the demand is not proven, from the conditions around it. */
static const Expr *find_open(const Demand *d, const Facts *facts, const Expr *e)
{
    if (e->kind == EXPR_ACCESS)
        return find_open_in_access(d, facts, e);
    const Expr *found = NULL;
    for (int i = 0; e->kind == EXPR_CALL && i < e->function->arity && !found; i++) {
        const Facts branch = {facts, e->args[0], i == 1};
        const bool chosen = i > 0 && e->function == &scalar_select;
        found = find_open(d, chosen ? &branch : facts, e->args[i]);
    }
    return found;
}

/* ---- what nobody reads -------------------------------------------------------------------------------------------- */

static bool is_kept_whole(const Positions *x, const Node *n)
{
    for (int i = 0; i < x->g->results.count; i++)
        if (x->g->results.data[i].value == n)
            return true;
    for (int i = 0; i < x->g->nodes.count; i++)
        if (x->g->nodes.data[i]->kind == NODE_VIEW && x->g->nodes.data[i]->viewed == n)
            return true;
    return false;
}

static bool is_read_within(Positions *x, const Node *n, int place)
{
    for (int i = 0; i < x->g->nodes.count; i++) {
        const Node *user = x->g->nodes.data[i];
        const Demand d = {x, user, n, place};
        if (user->kind == NODE_COMPUTE && find_open(&d, NULL, user->body))
            return false;
    }
    return true;
}

/* Elements beyond the position that all users mask are not computed either. */
static void narrow_node(Positions *x, Node *n)
{
    for (int i = 0; i < n->rank; i++) {
        if (!is_along(x, n, n->domain[i]) || is_kept_whole(x, n) || !is_read_within(x, n, i))
            continue;
        const Expr *within = reached(x, n, n->domain[i]);
        n->body = expr_select(x->p, within, narrow(x, n->body, within, true),
                              expr_const_typed(x->p, 0, n->body->type));
        n->within = n->within ? expr_and(x->p, n->within, within) : within;
    }
}

/* ---- no row reads a later one ------------------------------------------------------------------------------------------ */

static bool check_node(Positions *x, const Node *n)
{
    const Demand d = {.x = x, .user = n};
    const Expr *open = find_open(&d, NULL, n->body);
    if (!open)
        return true;
    diag_error(x->diag, n->span, "`%s` reads `%s` ahead of its own position in `%s`", n->name,
               open->node->name, x->tokens->name);
    if (open->node->span.begin != n->span.begin)
        diag_note(x->diag, open->node->span, "`%s` is made here", open->node->name);
    diag_note(x->diag, x->span, "tokens are to be made one after another here");
    diag_help(x->diag, "rule out what comes later: if s <= t then … else 0");
    return false;
}

static bool is_row(const Positions *x, const Node *n)
{
    return n->kind == NODE_COMPUTE && ROW(x, n)->depends;
}

static bool prove(Positions *x)
{
    Graph *g = x->g;
    for (int i = 0; i < g->nodes.count; i++)
        if (is_row(x, g->nodes.data[i]))
            mask_node(x, g->nodes.data[i]);
    for (int i = g->nodes.count - 1; i >= 0; i--) /* users first: what they mask, too */
        if (is_row(x, g->nodes.data[i]))
            narrow_node(x, g->nodes.data[i]);
    for (int i = 0; i < g->nodes.count; i++)
        if (is_row(x, g->nodes.data[i]) && !check_node(x, g->nodes.data[i]))
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
    const Index *position = position_of(r->x, r->user);
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
    if (n->kind != NODE_COMPUTE || ROW(x, n)->depends || n->recurrence || is_kept_whole(x, n))
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
            if (row)
                n->recurrence = r, n->step = position_of(x, n);
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
    Index *position = position_of(r->x, r->user);
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
    const Index *position = position_of(r->x, r->user);
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
    const Index *position = position_of(r->x, r->user);
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
    if (!settle_all(&x) || !prove(&x))
        return false;
    for (int i = g->nodes.count - 1; i >= 0; i--)
        row_of_table(&x, g->nodes.data[i]);
    g->reach = find_reach(&x);
    make_recurrence(&x);
    return true;
}
