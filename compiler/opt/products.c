/* Rewrites of products and sums, taken apart into lists of factors or terms. */
#include "opt/opt.h"

#include <math.h>
#include <stdlib.h>

/* ---- products as lists of factors ---------------------------------------------------------------------------- */

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

bool opt_is_product(const Expr *e)
{
    if (e->kind != EXPR_CALL || !dtype_is_real(e->type))
        return false;
    return e->function == &scalar_mul || e->function == &scalar_div || e->function == &scalar_neg;
}

Product product_of(Rewriter *w, const Expr *e)
{
    Product f = {.arena = w->g->arena, .constant = 1};
    collect(&f, e, false);
    return f;
}

int factors_find(const Factors *factors, const Expr *e)
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
        if (expr_is_uniform(x) != uniform || factors_find(factors, x) < i)
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

const Expr *product_rebuild(Rewriter *w, const Product *f)
{
    bool sign_alone = f->constant == -1;
    const Expr *uniform = expr_const(w->p, sign_alone ? 1 : f->constant);
    uniform = over_all(w, times_all(w, uniform, &f->over, true), &f->under, true);
    const Expr *rest = over_all(w, times_all(w, NULL, &f->over, false), &f->under, false);
    const Expr *e = rest ? expr_mul(w->p, uniform, rest) : uniform;
    return sign_alone ? expr_neg(w->p, e) : e;
}

void factors_drop(Factors *factors, int i)
{
    factors->count--;
    for (; i < factors->count; i++)
        factors->data[i] = factors->data[i + 1];
}

/* x * batch_size / batch_size */
const Expr *opt_cancel_scalars(Rewriter *w, const Expr *e)
{
    if (!opt_is_product(e))
        return NULL;
    Product f = product_of(w, e);
    bool found = false;
    for (int i = f.over.count - 1; i >= 0; i--) {
        int k = f.over.data[i]->kind == EXPR_SCALAR ? factors_find(&f.under, f.over.data[i]) : -1;
        if (k < 0)
            continue;
        factors_drop(&f.over, i);
        factors_drop(&f.under, k);
        found = true;
    }
    return found ? product_rebuild(w, &f) : NULL;
}

const Expr *opt_constants_together(Rewriter *w, const Expr *e)
{
    if (!opt_is_product(e))
        return NULL;
    Product f = product_of(w, e);
    bool usable = isfinite(f.constant) && f.constant != 0;
    return usable && f.constants >= 2 ? product_rebuild(w, &f) : NULL;
}

/* a * (1/b) is a/b; the reciprocal of a scalar stays, it is computed once. */
const Expr *opt_times_reciprocal(Rewriter *w, const Expr *e)
{
    if (!opt_is_call(e, &scalar_mul) || !dtype_is_real(e->type))
        return NULL;
    for (int i = 0; i < 2; i++) {
        const Expr *r = e->args[i];
        if (opt_is_call(r, &scalar_div) && opt_is_const(r->args[0], 1) &&
            !expr_is_uniform(r->args[1]))
            return expr_div(w->p, e->args[1 - i], r->args[1]);
    }
    return NULL;
}

const Expr *opt_constant_first(Rewriter *w, const Expr *e)
{
    bool last = opt_is_call(e, &scalar_mul) && e->args[1]->kind == EXPR_CONST &&
                e->args[0]->kind != EXPR_CONST;
    return last ? expr_mul(w->p, e->args[1], e->args[0]) : NULL;
}

/* u of u * x, where u is the same for all elements and x is not */
static const Expr *leading_uniform(const Expr *e)
{
    bool leads =
        opt_is_call(e, &scalar_mul) && expr_is_uniform(e->args[0]) && !expr_is_uniform(e->args[1]);
    return leads ? e->args[0] : NULL;
}

/* (2 * a) * b and a * (2 * b) are 2 * (a * b); (2 * a) / b is 2 * (a / b). */
const Expr *opt_uniform_outside(Rewriter *w, const Expr *e)
{
    bool product = opt_is_call(e, &scalar_mul);
    if ((!product && !opt_is_call(e, &scalar_div)) || !dtype_is_real(e->type) ||
        expr_is_uniform(e->args[1]))
        return NULL;
    const Expr *a = e->args[0], *b = e->args[1], *u = leading_uniform(a);
    if (u)
        return expr_mul(w->p, u, opt_call2(w->p, e->function, a->args[1], b));
    u = product ? leading_uniform(b) : NULL;
    if (!u)
        return NULL;
    return expr_is_uniform(a) ? expr_mul(w->p, expr_mul(w->p, a, u), b->args[1])
                              : expr_mul(w->p, u, expr_mul(w->p, a, b->args[1]));
}

/* a / batch_size is a * (1 / batch_size): one division for all elements. */
const Expr *opt_divide_by_scalar(Rewriter *w, const Expr *e)
{
    if (!opt_is_call(e, &scalar_div) || !dtype_is_real(e->type) ||
        e->args[1]->kind != EXPR_SCALAR || expr_is_uniform(e->args[0]))
        return NULL;
    return expr_mul(w->p, e->args[0], expr_div(w->p, expr_const(w->p, 1), e->args[1]));
}

/* -(2 / a) */
const Expr *opt_sign_of_constant(Rewriter *w, const Expr *e)
{
    double value;
    if (!opt_is_call(e, &scalar_neg) || !opt_is_call(e->args[0], &scalar_div) ||
        !dtype_is_real(e->type))
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
    Rewriter *w;
    VEC(SumTerm) terms;
    bool merged; /* did terms meet? */
} Sum;

static const Expr *times(Rewriter *w, double factor, const Expr *e)
{
    return expr_mul(w->p, expr_const_typed(w->p, factor, e->type), e);
}

/* f * (if c then a else b) + g * (if c then d else e), in place of the first. */
static bool merge_choices(Sum *s, SumTerm *t, double factor, const Expr *e)
{
    const Expr *branch[2];
    if (!opt_is_call(e, &scalar_select) || !opt_is_call(t->e, &scalar_select) ||
        t->e->args[0] != e->args[0])
        return false;
    for (int i = 0; i < 2; i++)
        branch[i] = expr_add(s->w->p, times(s->w, t->factor, t->e->args[i + 1]),
                             times(s->w, factor, e->args[i + 1]));
    *t = (SumTerm){1, expr_select(s->w->p, e->args[0], branch[0], branch[1])};
    return true;
}

static void add_term(Sum *s, double factor, const Expr *e)
{
    for (int i = 0; i < s->terms.count; i++) {
        SumTerm *t = &s->terms.data[i];
        bool same = t->e == e;
        if (same)
            t->factor += factor;
        if (same || merge_choices(s, t, factor, e)) {
            s->merged = true;
            return;
        }
    }
    vec_push(s->w->g->arena, &s->terms, ((SumTerm){factor, e}));
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

/* 0.5*a + b + 0.5*a is a + b; choices by one condition are one choice. */
const Expr *opt_like_terms(Rewriter *w, const Expr *e)
{
    if ((!opt_is_call(e, &scalar_add) && !opt_is_call(e, &scalar_sub)) || !dtype_is_real(e->type))
        return NULL;
    Sum s = {.w = w};
    collect_terms(&s, 1, e);
    const Expr *sum = expr_const_typed(w->p, 0, e->type);
    for (int i = 0; s.merged && i < s.terms.count; i++) {
        const SumTerm *t = &s.terms.data[i];
        if (t->factor != 0)
            sum = expr_add(w->p, sum, times(w, t->factor, t->e));
    }
    return s.merged ? sum : NULL;
}

/* Exact, and a multiplication is cheaper. */
const Expr *opt_divide_by_power_of_two(Rewriter *w, const Expr *e)
{
    double value;
    int exponent;
    if (!opt_is_call(e, &scalar_div) || !dtype_is_real(e->type) ||
        !expr_is_const(e->args[1], &value))
        return NULL;
    if (!isfinite(value) || fabs(frexp(value, &exponent)) != 0.5 || abs(exponent) > 100)
        return NULL;
    return expr_mul(w->p, e->args[0], expr_const(w->p, 1 / value));
}
