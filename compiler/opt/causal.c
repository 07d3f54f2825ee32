/* No position reads a later one: masks are carried forward, to what they make nothing of, and back, to what they
 * hide; then every read along the sequence is proven, from its subscripts and the conditions around it. */
#include "opt/opt.h"

/* ---- conditions --------------------------------------------------------------------------------------------------- */

/* The expression where `facts` hold. */
typedef struct Narrow {
    Positions *x;
    const Facts *facts;
} Narrow;

static const Affine *distance(const Positions *x, const Expr *access, int place)
{
    const Affine *at = row_subscript(x, access), *other = access->subscripts[place].affine;
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
                     affine_sub(p, affine_index(p, row_position(x, n)), affine_index(p, other)));
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
    return ix->extent == x->length && !ix->per_example && ix != row_position(x, n);
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
    const Affine *at = row_subscript(x, e);
    return at ? affine_sub(x->p, affine_index(x->p, row_position(x, d->user)), at) : NULL;
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

bool row_is_kept_whole(const Positions *x, const Node *n)
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
        if (!is_along(x, n, n->domain[i]) || row_is_kept_whole(x, n) || !is_read_within(x, n, i))
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

bool positions_prove(Positions *x)
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
