/* The table of rewrites of expressions, and those of guards.
 * What expr_call and expr_test simplify by themselves is not repeated here. */
#include "opt/opt.h"

static const Expr *zero_like(Rewriter *w, const Expr *e)
{
    return expr_const_typed(w->p, 0, e->type);
}

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
    return opt_is_call(e, &scalar_select) &&
           (opt_is_const(e->args[1], 0) || opt_is_const(e->args[2], 0));
}

/* f(…, select(c, a, 0), …) is select(c, f(…, a, …), 0) where f(…, 0, …) is 0. */
static const Expr *hoist_guard(Rewriter *w, const Expr *e, int operand)
{
    const Expr *guarded = e->args[operand];
    const Expr *branch[2];
    for (int i = 0; i < 2; i++) {
        const Expr *args[3] = {e->args[0], e->args[1], e->args[2]};
        args[operand] = guarded->args[i + 1];
        branch[i] =
            opt_is_const(args[operand], 0) ? zero_like(w, e) : expr_call(w->p, e->function, args);
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
    if (!opt_is_call(a, &scalar_select) || !opt_is_call(b, &scalar_select) ||
        a->args[0] != b->args[0])
        return NULL;
    return expr_select(w->p, a->args[0], opt_call2(w->p, e->function, a->args[1], b->args[1]),
                       opt_call2(w->p, e->function, a->args[2], b->args[2]));
}

/* ---- the table ------------------------------------------------------------------------------------------------ */

const Rule opt_expr_rules[] = {
    {"decided-condition", "a condition that the guards around it imply or contradict",
     .expr = decided_condition},
    {"sign-of-rectified", "z > 0 where max(0, z) is at hand", .expr = opt_sign_of_rectified},
    {"guarded-already", "if c then y else 0 where y is 0 outside of c",
     .expr = opt_guarded_already},
    {"nested-guards", "if c then (if d then a)", .expr = nested_guards},
    {"product-under-guard", "(if c then a else 0) * b", .expr = product_under_guard},
    {"sum-under-one-guard", "(if c then a else b) + (if c then d else e)",
     .expr = sum_under_one_guard},
    {"cancel-scalars", "a * batch_size / batch_size", .expr = opt_cancel_scalars},
    {"constants-together", "2 * (3 * a)", .expr = opt_constants_together},
    {"times-reciprocal", "a * (1 / b)", .expr = opt_times_reciprocal},
    {"constant-first", "a * 2", .expr = opt_constant_first},
    {"uniform-outside", "(2 * a) * b", .expr = opt_uniform_outside},
    {"divide-by-scalar", "a / batch_size", .expr = opt_divide_by_scalar},
    {"sign-of-constant", "-(2 / a)", .expr = opt_sign_of_constant},
    {"like-terms", "0.5 * a + b + 0.5 * a", .expr = opt_like_terms},
    {"power-of-two", "a / 4", .expr = opt_divide_by_power_of_two},
    {"common-divisor", "a / s + b / s", .expr = opt_common_divisor},
    {"quotient-at-hand", "a * x / s where x / s is at hand", .expr = opt_quotient_of_product},
    {"logistic-slope", "the derivative of a sigmoid, from its result", .expr = opt_logistic_slope},
    {"flat-tail", "the slope of a sigmoid held where it is 0", .expr = opt_flat_tail},
    {0},
};
