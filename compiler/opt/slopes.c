/* Rewrites that use a result at hand, as the slopes of a sigmoid, a softmax and a rectifier do. */
#include "opt/opt.h"

static bool is_plain_node(const Node *n)
{
    return n->kind == NODE_COMPUTE && !n->reduction;
}

/* With y = c / s and s = c + e at hand: y * e / s is y * (1 - y).  (The slope of a sigmoid.) */
const Expr *opt_logistic_slope(Rewriter *w, const Expr *e)
{
    if (!opt_is_product(e))
        return NULL;
    Product f = product_of(w, e);
    for (int i = 0; f.under.count && i < f.over.count; i++) {
        const Expr *y = f.over.data[i];
        if (y->kind != EXPR_ACCESS || !is_plain_node(y->node) ||
            !opt_is_call(y->node->body, &scalar_div))
            continue;
        const Expr *body = opt_body_at(w, y);
        if (!body || !opt_is_call(body, &scalar_div) || !opt_is_call(body->args[1], &scalar_add))
            continue;
        const Expr *c = body->args[0], *s = body->args[1];
        if (c->kind != EXPR_CONST || (s->args[0] != c && s->args[1] != c))
            continue;
        int under = factors_find(&f.under, s),
            over = factors_find(&f.over, s->args[0] == c ? s->args[1] : s->args[0]);
        if (under < 0 || over < 0)
            continue;
        factors_drop(&f.under, under);
        f.over.data[over] = expr_sub(w->p, expr_const(w->p, 1), y);
        return product_rebuild(w, &f);
    }
    return NULL;
}

/* The c of y = 1 / (1 + exp(-max(x, c))) where it is so low that y is 0 below it but for rounding. */
static const Expr *flat_below(const Expr *y, const Expr **x)
{
    static const double low = -80; /* exp(-80) is 2e-35 */
    const Expr *s = opt_is_call(y, &scalar_div) && opt_is_const(y->args[0], 1) ? y->args[1] : NULL;
    const Expr *power =
        s && opt_is_call(s, &scalar_add) ? s->args[opt_is_const(s->args[0], 1)] : NULL;
    const Expr *minus = power && opt_is_call(power, &scalar_exp) ? power->args[0] : NULL;
    const Expr *held = minus && opt_is_call(minus, &scalar_neg) ? minus->args[0] : NULL;
    double c;
    if (!held || !opt_is_call(held, &scalar_max) || !expr_is_const(held->args[1], &c) || c > low)
        return NULL;
    *x = held->args[0];
    return held->args[1];
}

/* if x >= c then a * y * (1 - y) else 0: where y, a sigmoid held at c, is next to nothing, so is its slope. */
const Expr *opt_flat_tail(Rewriter *w, const Expr *e)
{
    if (!opt_is_guarded(e) || !opt_is_call(e->args[0], &scalar_ge) || !opt_is_product(e->args[1]) ||
        !expr_reads_inside(w->p, NULL, e->args[1]))
        return NULL;
    Product f = product_of(w, e->args[1]);
    for (int i = 0; i < f.over.count; i++) {
        const Expr *y = f.over.data[i], *x;
        const Expr *body =
            y->kind == EXPR_ACCESS && is_plain_node(y->node) ? opt_body_at(w, y) : NULL;
        const Expr *c = body ? flat_below(body, &x) : NULL;
        const Expr *rest = c ? expr_sub(w->p, expr_const(w->p, 1), y) : NULL;
        if (c && e->args[0]->args[0] == x && e->args[0]->args[1] == c &&
            factors_find(&f.over, rest) >= 0)
            return e->args[1];
    }
    return NULL;
}

/* e, or the body of the node that nothing but e reads, where that is a quotient or the negative of one. */
static const Expr *own_quotient(Rewriter *w, const Expr *e)
{
    const Node *n = e->kind == EXPR_ACCESS ? e->node : NULL;
    if (!n || !is_plain_node(n) || n->named || n->id >= w->counted || w->uses[n->id] != 1)
        return e;
    const Expr *body = opt_is_call(n->body, &scalar_neg) ? n->body->args[0] : n->body;
    const Expr *at = opt_is_call(body, &scalar_div) ? opt_body_at(w, e) : NULL;
    return at ? at : e;
}

/* a / s + b / s is (a + b) / s, where b / s may be a node of its own. */
const Expr *opt_common_divisor(Rewriter *w, const Expr *e)
{
    bool sum = opt_is_call(e, &scalar_add);
    if ((!sum && !opt_is_call(e, &scalar_sub)) || !dtype_is_real(e->type))
        return NULL;
    const Expr *a = own_quotient(w, e->args[0]), *b = own_quotient(w, e->args[1]);
    bool negative = opt_is_call(b, &scalar_neg);
    b = negative ? b->args[0] : b;
    if (!opt_is_call(a, &scalar_div) || !opt_is_call(b, &scalar_div) || a->args[1] != b->args[1] ||
        expr_is_uniform(a->args[1]))
        return NULL;
    const ScalarFunction *f = sum != negative ? &scalar_add : &scalar_sub;
    return expr_div(w->p, opt_call2(w->p, f, a->args[0], b->args[0]), a->args[1]);
}

/* A node y that is x / s, element by element, as x and s are accessed; and the access to it. */
static const Expr *quotient_at_hand(Rewriter *w, const Expr *x, const Expr *s)
{
    const Node *first = x->node->id > s->node->id ? x->node : s->node;
    for (int i = first->id + 1; i < w->node->id && i < w->counted; i++) {
        Node *y = w->g->nodes.data[i];
        if (!is_plain_node(y) || !opt_is_call(y->body, &scalar_div) || y->rank != x->count ||
            y->body->args[0] != expr_access_identity(w->p, x->node, y->domain))
            continue;
        const Expr *access = expr_access(w->p, y, x->subscripts), *body = opt_body_at(w, access);
        if (body && body->args[0] == x && body->args[1] == s)
            return access;
    }
    return NULL;
}

/* With y = x / s at hand, a * x / s is a * y: the step need not keep x.  (The slope of a softmax.) */
const Expr *opt_quotient_of_product(Rewriter *w, const Expr *e)
{
    if (!opt_is_call(e, &scalar_mul) || !dtype_is_real(e->type))
        return NULL;
    for (int i = 0; i < 2; i++) {
        const Expr *q = own_quotient(w, e->args[1 - i]), *x = e->args[i];
        if (x->kind != EXPR_ACCESS || !opt_is_call(q, &scalar_div) ||
            q->args[1]->kind != EXPR_ACCESS)
            continue;
        const Expr *y = quotient_at_hand(w, x, q->args[1]);
        if (y)
            return expr_mul(w->p, q->args[0], y);
    }
    return NULL;
}

/* if c then y else 0 where y is itself 0 outside of c. */
const Expr *opt_guarded_already(Rewriter *w, const Expr *e)
{
    const Expr *y = opt_is_guarded(e) ? e->args[1] : NULL;
    if (!y || y->kind != EXPR_ACCESS || !is_plain_node(y->node) || !opt_is_guarded(y->node->body))
        return NULL;
    const Expr *body = opt_body_at(w, y);
    return body && opt_is_guarded(body) && body->args[0] == e->args[0] ? y : NULL;
}

/* A node y with the body max(c, z[its own indices]), or NULL. */
static Node *rectified(Rewriter *w, const Node *z, const Expr *c)
{
    for (int i = z->id + 1; i < w->node->id && i < w->counted; i++) {
        Node *y = w->g->nodes.data[i];
        if (!is_plain_node(y) || !opt_is_call(y->body, &scalar_max) || y->rank != z->rank ||
            y->body->args[0] != c)
            continue;
        if (y->body->args[1] == expr_access_identity(w->p, (Node *)z, y->domain))
            return y;
    }
    return NULL;
}

/* With y = max(c, z) at hand, not (c >= z) is y > c: the step need not keep z. */
const Expr *opt_sign_of_rectified(Rewriter *w, const Expr *e)
{
    if (!opt_is_call(e, &scalar_select) || !opt_is_call(e->args[0], &scalar_ge))
        return NULL;
    const Expr *c = e->args[0]->args[0], *z = e->args[0]->args[1];
    if (c->kind != EXPR_CONST || z->kind != EXPR_ACCESS)
        return NULL;
    Node *y = rectified(w, z->node, c);
    if (!y)
        return NULL;
    const Expr *above = opt_call2(w->p, &scalar_gt, expr_access(w->p, y, z->subscripts), c);
    return expr_select(w->p, above, e->args[2], e->args[1]);
}
