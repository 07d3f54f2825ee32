/* Rewrites of expressions: one row each, the table is at the end.
 * What expr_call and expr_test simplify by themselves is not repeated here. */
#include "opt/opt.h"

#include <math.h>
#include <stdlib.h>

static const Expr *call2(Rewriter *w, const ScalarFunction *f, const Expr *a, const Expr *b)
{
    return expr_call(w->p, f, (const Expr *const[]){a, b});
}

static const Expr *zero_like(Rewriter *w, const Expr *e)
{
    return expr_const_typed(w->p, 0, e->type);
}

/* ---- guards ------------------------------------------------------------------------------------------------ */

static const Expr *decided_condition(Rewriter *w, const Expr *e)
{
    if (e->type != TYPE_BOOL)
        return NULL;
    int known = opt_decide(w->p, w->facts, e);
    return known < 0 ? NULL : expr_const_typed(w->p, known, TYPE_BOOL);
}

/* A condition on data stays apart from tests on indices, and outside: that is what a scatter looks like. */
static const Expr *nested_guards(Rewriter *w, const Expr *e)
{
    if (!opt_is_guarded(e) || !opt_is_guarded(e->args[1]))
        return NULL;
    const Expr *outer = e->args[0], *inner = e->args[1]->args[0];
    if (opt_is_pure_test(outer) != opt_is_pure_test(inner))
        return NULL;
    return expr_select(w->p, expr_and(w->p, outer, inner), e->args[1]->args[1], e->args[2]);
}

static bool has_zero_branch(const Expr *e)
{
    return opt_is_call(e, &scalar_select) && (opt_is_const(e->args[1], 0) || opt_is_const(e->args[2], 0));
}

/* f(…, select(c, a, 0), …) is select(c, f(…, a, …), 0) where f(…, 0, …) is 0. */
static const Expr *hoist_guard(Rewriter *w, const Expr *e, int operand)
{
    const Expr *guarded = e->args[operand];
    const Expr *branch[2];
    for (int i = 0; i < 2; i++) {
        const Expr *args[3] = {e->args[0], e->args[1], e->args[2]};
        args[operand] = guarded->args[i + 1];
        branch[i] = opt_is_const(args[operand], 0) ? zero_like(w, e) : expr_call(w->p, e->function, args);
    }
    return expr_select(w->p, guarded->args[0], branch[0], branch[1]);
}

static const Expr *product_under_guard(Rewriter *w, const Expr *e)
{
    bool product = opt_is_call(e, &scalar_mul);
    bool first = product || opt_is_call(e, &scalar_div) || opt_is_call(e, &scalar_neg);
    if (!first || !dtype_is_real(e->type))
        return NULL;
    if (has_zero_branch(e->args[0]))
        return hoist_guard(w, e, 0);
    return product && has_zero_branch(e->args[1]) ? hoist_guard(w, e, 1) : NULL;
}

static const Expr *sum_under_one_guard(Rewriter *w, const Expr *e)
{
    if (!opt_is_call(e, &scalar_add) && !opt_is_call(e, &scalar_sub))
        return NULL;
    const Expr *a = e->args[0], *b = e->args[1];
    if (!opt_is_call(a, &scalar_select) || !opt_is_call(b, &scalar_select) || a->args[0] != b->args[0])
        return NULL;
    return expr_select(w->p, a->args[0], call2(w, e->function, a->args[1], b->args[1]),
                       call2(w, e->function, a->args[2], b->args[2]));
}

/* ---- products as lists of factors ---------------------------------------------------------------------------- */

typedef VEC(const Expr *) Factors;

/* constant * over… / under… */
typedef struct Product {
    Arena *arena;
    double constant;
    int constants, signs; /* how many constants (1 aside) and negations went into it */
    Factors over, under;
} Product;

static void collect(Product *f, const Expr *e, bool inverse)
{
    double value;
    if (opt_is_call(e, &scalar_mul) || opt_is_call(e, &scalar_div)) {
        collect(f, e->args[0], inverse);
        collect(f, e->args[1], inverse != (e->function == &scalar_div));
    } else if (opt_is_call(e, &scalar_neg)) {
        f->constant = -f->constant;
        f->signs++;
        collect(f, e->args[0], inverse);
    } else if (expr_is_const(e, &value)) {
        f->constant = inverse ? f->constant / value : f->constant * value;
        f->constants += value != 1;
    } else if (inverse) {
        vec_push(f->arena, &f->under, e);
    } else {
        vec_push(f->arena, &f->over, e);
    }
}

static bool is_product(const Expr *e)
{
    if (e->kind != EXPR_CALL || !dtype_is_real(e->type))
        return false;
    return e->function == &scalar_mul || e->function == &scalar_div || e->function == &scalar_neg;
}

static Product product_of(Rewriter *w, const Expr *e)
{
    Product f = {.arena = w->g->arena, .constant = 1};
    collect(&f, e, false);
    return f;
}

static int find(const Factors *factors, const Expr *e)
{
    for (int i = 0; i < factors->count; i++)
        if (factors->data[i] == e)
            return i;
    return -1;
}

/* x, x * x, … by how often x occurs among the factors */
static const Expr *power(Rewriter *w, const Factors *factors, const Expr *x)
{
    const Expr *product = NULL;
    for (int i = 0; i < factors->count; i++)
        if (factors->data[i] == x)
            product = product ? expr_mul(w->p, product, x) : x;
    return product;
}

/* Equal factors meet as powers. */
static const Expr *times_all(Rewriter *w, const Expr *e, const Factors *factors, bool uniform)
{
    for (int i = 0; i < factors->count; i++) {
        const Expr *x = factors->data[i];
        if (expr_is_uniform(x) != uniform || find(factors, x) < i)
            continue;
        x = power(w, factors, x);
        e = e ? expr_mul(w->p, e, x) : x;
    }
    return e;
}

static const Expr *over_all(Rewriter *w, const Expr *e, const Factors *factors, bool uniform)
{
    const Expr *under = times_all(w, NULL, factors, uniform);
    if (!under)
        return e;
    return expr_div(w->p, e ? e : expr_const(w->p, 1), under);
}

/* What is the same for every element is multiplied together first. */
static const Expr *rebuild(Rewriter *w, const Product *f)
{
    bool sign_alone = f->constant == -1;
    const Expr *uniform = expr_const(w->p, sign_alone ? 1 : f->constant);
    uniform = over_all(w, times_all(w, uniform, &f->over, true), &f->under, true);
    const Expr *rest = over_all(w, times_all(w, NULL, &f->over, false), &f->under, false);
    const Expr *e = rest ? expr_mul(w->p, uniform, rest) : uniform;
    return sign_alone ? expr_neg(w->p, e) : e;
}

static void drop(Factors *factors, int i)
{
    factors->count--;
    for (; i < factors->count; i++)
        factors->data[i] = factors->data[i + 1];
}

/* x * batch_size / batch_size */
static const Expr *cancel_scalars(Rewriter *w, const Expr *e)
{
    if (!is_product(e))
        return NULL;
    Product f = product_of(w, e);
    bool found = false;
    for (int i = f.over.count - 1; i >= 0; i--) {
        int k = f.over.data[i]->kind == EXPR_SCALAR ? find(&f.under, f.over.data[i]) : -1;
        if (k < 0)
            continue;
        drop(&f.over, i);
        drop(&f.under, k);
        found = true;
    }
    return found ? rebuild(w, &f) : NULL;
}

static const Expr *constants_together(Rewriter *w, const Expr *e)
{
    if (!is_product(e))
        return NULL;
    Product f = product_of(w, e);
    bool usable = isfinite(f.constant) && f.constant != 0;
    return usable && f.constants >= 2 ? rebuild(w, &f) : NULL;
}

/* a * (1/b) is a/b; the reciprocal of a scalar stays, it is computed once. */
static const Expr *times_reciprocal(Rewriter *w, const Expr *e)
{
    if (!opt_is_call(e, &scalar_mul) || !dtype_is_real(e->type))
        return NULL;
    for (int i = 0; i < 2; i++) {
        const Expr *r = e->args[i];
        if (opt_is_call(r, &scalar_div) && opt_is_const(r->args[0], 1) && !expr_is_uniform(r->args[1]))
            return expr_div(w->p, e->args[1 - i], r->args[1]);
    }
    return NULL;
}

static const Expr *constant_first(Rewriter *w, const Expr *e)
{
    bool last = opt_is_call(e, &scalar_mul) && e->args[1]->kind == EXPR_CONST && e->args[0]->kind != EXPR_CONST;
    return last ? expr_mul(w->p, e->args[1], e->args[0]) : NULL;
}

/* u of u * x, where u is the same for all elements and x is not */
static const Expr *leading_uniform(const Expr *e)
{
    bool leads = opt_is_call(e, &scalar_mul) && expr_is_uniform(e->args[0]) && !expr_is_uniform(e->args[1]);
    return leads ? e->args[0] : NULL;
}

/* (2 * a) * b and a * (2 * b) are 2 * (a * b); (2 * a) / b is 2 * (a / b). */
static const Expr *uniform_outside(Rewriter *w, const Expr *e)
{
    bool product = opt_is_call(e, &scalar_mul);
    if ((!product && !opt_is_call(e, &scalar_div)) || !dtype_is_real(e->type) || expr_is_uniform(e->args[1]))
        return NULL;
    const Expr *a = e->args[0], *b = e->args[1], *u = leading_uniform(a);
    if (u)
        return expr_mul(w->p, u, call2(w, e->function, a->args[1], b));
    u = product ? leading_uniform(b) : NULL;
    if (!u)
        return NULL;
    return expr_is_uniform(a) ? expr_mul(w->p, expr_mul(w->p, a, u), b->args[1])
                             : expr_mul(w->p, u, expr_mul(w->p, a, b->args[1]));
}

/* a / batch_size is a * (1 / batch_size): one division for all elements. */
static const Expr *divide_by_scalar(Rewriter *w, const Expr *e)
{
    if (!opt_is_call(e, &scalar_div) || !dtype_is_real(e->type) || e->args[1]->kind != EXPR_SCALAR ||
        expr_is_uniform(e->args[0]))
        return NULL;
    return expr_mul(w->p, e->args[0], expr_div(w->p, expr_const(w->p, 1), e->args[1]));
}

/* -(2 / a) */
static const Expr *sign_of_constant(Rewriter *w, const Expr *e)
{
    double value;
    if (!opt_is_call(e, &scalar_neg) || !opt_is_call(e->args[0], &scalar_div) || !dtype_is_real(e->type))
        return NULL;
    if (!expr_is_const(e->args[0]->args[0], &value))
        return NULL;
    return expr_div(w->p, expr_const_typed(w->p, -value, e->type), e->args[0]->args[1]);
}

/* ---- sums as lists of terms -------------------------------------------------------------------------------------- */

typedef struct SumTerm {
    double factor;
    const Expr *e;
} SumTerm;

typedef struct Sum {
    Arena *arena;
    VEC(SumTerm) terms;
    bool merged; /* did terms meet? */
} Sum;

static void add_term(Sum *s, double factor, const Expr *e)
{
    for (int i = 0; i < s->terms.count; i++)
        if (s->terms.data[i].e == e) {
            s->terms.data[i].factor += factor;
            s->merged = true;
            return;
        }
    vec_push(s->arena, &s->terms, ((SumTerm){factor, e}));
}

static void collect_terms(Sum *s, double factor, const Expr *e)
{
    double value;
    if (opt_is_call(e, &scalar_add) || opt_is_call(e, &scalar_sub)) {
        collect_terms(s, factor, e->args[0]);
        collect_terms(s, opt_is_call(e, &scalar_sub) ? -factor : factor, e->args[1]);
    } else if (opt_is_call(e, &scalar_neg)) {
        collect_terms(s, -factor, e->args[0]);
    } else if (opt_is_call(e, &scalar_mul) && expr_is_const(e->args[0], &value)) {
        add_term(s, factor * value, e->args[1]);
    } else {
        add_term(s, factor, e);
    }
}

/* 0.5*a + b + 0.5*a is a + b. */
static const Expr *like_terms(Rewriter *w, const Expr *e)
{
    if ((!opt_is_call(e, &scalar_add) && !opt_is_call(e, &scalar_sub)) || !dtype_is_real(e->type))
        return NULL;
    Sum s = {.arena = w->g->arena};
    collect_terms(&s, 1, e);
    const Expr *sum = expr_const_typed(w->p, 0, e->type);
    for (int i = 0; s.merged && i < s.terms.count; i++) {
        const SumTerm *t = &s.terms.data[i];
        if (t->factor != 0)
            sum = expr_add(w->p, sum, expr_mul(w->p, expr_const_typed(w->p, t->factor, e->type), t->e));
    }
    return s.merged ? sum : NULL;
}

/* Exact, and a multiplication is cheaper. */
static const Expr *divide_by_power_of_two(Rewriter *w, const Expr *e)
{
    double value;
    int exponent;
    if (!opt_is_call(e, &scalar_div) || !dtype_is_real(e->type) || !expr_is_const(e->args[1], &value))
        return NULL;
    if (!isfinite(value) || fabs(frexp(value, &exponent)) != 0.5 || abs(exponent) > 100)
        return NULL;
    return expr_mul(w->p, e->args[0], expr_const(w->p, 1 / value));
}

/* ---- results at hand ----------------------------------------------------------------------------------------- */

static bool is_plain_node(const Node *n)
{
    return n->kind == NODE_COMPUTE && !n->reduction;
}

/* With y = c / s and s = c + e at hand: y * e / s is y * (1 - y).  (The slope of a sigmoid.) */
static const Expr *logistic_slope(Rewriter *w, const Expr *e)
{
    if (!is_product(e))
        return NULL;
    Product f = product_of(w, e);
    for (int i = 0; f.under.count && i < f.over.count; i++) {
        const Expr *y = f.over.data[i];
        if (y->kind != EXPR_ACCESS || !is_plain_node(y->node) || !opt_is_call(y->node->body, &scalar_div))
            continue;
        const Expr *body = opt_body_at(w, y);
        if (!body || !opt_is_call(body, &scalar_div) || !opt_is_call(body->args[1], &scalar_add))
            continue;
        const Expr *c = body->args[0], *s = body->args[1];
        if (c->kind != EXPR_CONST || (s->args[0] != c && s->args[1] != c))
            continue;
        int under = find(&f.under, s), over = find(&f.over, s->args[0] == c ? s->args[1] : s->args[0]);
        if (under < 0 || over < 0)
            continue;
        drop(&f.under, under);
        f.over.data[over] = expr_sub(w->p, expr_const(w->p, 1), y);
        return rebuild(w, &f);
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
static const Expr *common_divisor(Rewriter *w, const Expr *e)
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
    return expr_div(w->p, call2(w, f, a->args[0], b->args[0]), a->args[1]);
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
static const Expr *quotient_of_product(Rewriter *w, const Expr *e)
{
    if (!opt_is_call(e, &scalar_mul) || !dtype_is_real(e->type))
        return NULL;
    for (int i = 0; i < 2; i++) {
        const Expr *q = own_quotient(w, e->args[1 - i]), *x = e->args[i];
        if (x->kind != EXPR_ACCESS || !opt_is_call(q, &scalar_div) || q->args[1]->kind != EXPR_ACCESS)
            continue;
        const Expr *y = quotient_at_hand(w, x, q->args[1]);
        if (y)
            return expr_mul(w->p, q->args[0], y);
    }
    return NULL;
}

/* A node y with the body max(c, z[its own indices]), or NULL. */
static Node *rectified(Rewriter *w, const Node *z, const Expr *c)
{
    for (int i = z->id + 1; i < w->node->id && i < w->counted; i++) {
        Node *y = w->g->nodes.data[i];
        if (!is_plain_node(y) || !opt_is_call(y->body, &scalar_max) || y->rank != z->rank || y->body->args[0] != c)
            continue;
        if (y->body->args[1] == expr_access_identity(w->p, (Node *)z, y->domain))
            return y;
    }
    return NULL;
}

/* With y = max(c, z) at hand, not (c >= z) is y > c: the step need not keep z. */
static const Expr *sign_of_rectified(Rewriter *w, const Expr *e)
{
    if (!opt_is_call(e, &scalar_select) || !opt_is_call(e->args[0], &scalar_ge))
        return NULL;
    const Expr *c = e->args[0]->args[0], *z = e->args[0]->args[1];
    if (c->kind != EXPR_CONST || z->kind != EXPR_ACCESS)
        return NULL;
    Node *y = rectified(w, z->node, c);
    if (!y)
        return NULL;
    const Expr *above = call2(w, &scalar_gt, expr_access(w->p, y, z->subscripts), c);
    return expr_select(w->p, above, e->args[2], e->args[1]);
}

const Rule opt_expr_rules[] = {
    {"decided-condition", "a condition that the guards around it imply or contradict", .expr = decided_condition},
    {"sign-of-rectified", "z > 0 where max(0, z) is at hand", .expr = sign_of_rectified},
    {"nested-guards", "if c then (if d then a)", .expr = nested_guards},
    {"product-under-guard", "(if c then a else 0) * b", .expr = product_under_guard},
    {"sum-under-one-guard", "(if c then a else b) + (if c then d else e)", .expr = sum_under_one_guard},
    {"cancel-scalars", "a * batch_size / batch_size", .expr = cancel_scalars},
    {"constants-together", "2 * (3 * a)", .expr = constants_together},
    {"times-reciprocal", "a * (1 / b)", .expr = times_reciprocal},
    {"constant-first", "a * 2", .expr = constant_first},
    {"uniform-outside", "(2 * a) * b", .expr = uniform_outside},
    {"divide-by-scalar", "a / batch_size", .expr = divide_by_scalar},
    {"sign-of-constant", "-(2 / a)", .expr = sign_of_constant},
    {"like-terms", "0.5 * a + b + 0.5 * a", .expr = like_terms},
    {"power-of-two", "a / 4", .expr = divide_by_power_of_two},
    {"common-divisor", "a / s + b / s", .expr = common_divisor},
    {"quotient-at-hand", "a * x / s where x / s is at hand", .expr = quotient_of_product},
    {"logistic-slope", "the derivative of a sigmoid, from its result", .expr = logistic_slope},
    {0},
};
