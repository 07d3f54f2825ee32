/* The algebra every pass relies on: what expr_call and expr_test simplify on the way.
 * A rule is exact in floating point, or accepted by every model (x*0 is 0, -0 is 0, constants of a
 * product meet); it sees arguments that are already simple.  One function an operator, one table. */
#include "functions/functions.h"
#include "ir/pool.h"

#include <math.h>

typedef const Expr *const *Args;
typedef const Expr *Rule(ExprPool *p, Args a);

static bool is(const Expr *e, double value)
{
    return e->kind == EXPR_CONST && e->value == value;
}

static bool is_call(const Expr *e, const ScalarFunction *f)
{
    return e->kind == EXPR_CALL && e->function == f;
}

/* A constant of e's type. */
static const Expr *like(ExprPool *p, const Expr *e, double value)
{
    return expr_const_typed(p, value, e->type);
}

static const Expr *truth(ExprPool *p, bool holds)
{
    return expr_const_typed(p, holds, TYPE_BOOL);
}

/* ---- constants ------------------------------------------------------------------------------------- */

static bool all_constant(const ScalarFunction *f, Args a)
{
    for (int i = 0; i < f->arity; i++)
        if (a[i]->kind != EXPR_CONST)
            return false;
    return true;
}

/* Folds nothing that would overflow or be undefined: that is left to happen where it is written. */
static const Expr *fold_constants(ExprPool *p, const ScalarFunction *f, Args a, DType type)
{
    double args[3] = {0};
    if (!all_constant(f, a))
        return NULL;
    for (int i = 0; i < f->arity; i++)
        args[i] = a[i]->value;
    bool integer = dtype_is_integer(type);
    if (integer && (f == &scalar_div || f == &scalar_mod) && args[1] == 0)
        return NULL;
    double value = f->value(args);
    if (integer)
        value = floor(value);
    else if (type == TYPE_F32)
        value = (float)value;
    bool representable = integer ? value >= INT32_MIN && value <= INT32_MAX : isfinite(value) != 0;
    return representable ? expr_const_typed(p, value, type) : NULL;
}

/* ---- arithmetic on indices ---------------------------------------------------------------------------- */

static const Affine *as_affine(ExprPool *p, const Expr *e)
{
    if (e->kind == EXPR_CONST && dtype_is_integer(e->type))
        return affine_constant(p, (int64_t)e->value);
    return e->kind == EXPR_AFFINE ? e->affine : NULL;
}

/* f as a test on the difference of its operands, which is d. */
static const Expr *compare_affine(ExprPool *p, const ScalarFunction *f, const Affine *d)
{
    const Affine *opposite = affine_scale(p, d, -1);
    if (f == &scalar_ge)
        return expr_test(p, TEST_NOT_NEGATIVE, d);
    if (f == &scalar_gt)
        return expr_test(p, TEST_NOT_NEGATIVE, affine_offset(p, d, -1));
    if (f == &scalar_le)
        return expr_test(p, TEST_NOT_NEGATIVE, opposite);
    if (f == &scalar_lt)
        return expr_test(p, TEST_NOT_NEGATIVE, affine_offset(p, opposite, -1));
    if (f == &scalar_eq)
        return expr_test(p, TEST_ZERO, d);
    if (f == &scalar_ne)
        return expr_not(p, expr_test(p, TEST_ZERO, d));
    return NULL;
}

static const Expr *scale_affine(ExprPool *p, const Affine *x, const Affine *y)
{
    int64_t factor;
    if (affine_is_constant(y, &factor))
        return expr_affine(p, affine_scale(p, x, factor));
    return affine_is_constant(x, &factor) ? expr_affine(p, affine_scale(p, y, factor)) : NULL;
}

static const Expr *fold_indices(ExprPool *p, const ScalarFunction *f, Args a)
{
    const Affine *x = as_affine(p, a[0]), *y = f->arity == 2 ? as_affine(p, a[1]) : NULL;
    int64_t divisor;
    if (x && f == &scalar_neg)
        return expr_affine(p, affine_scale(p, x, -1));
    if (!x || !y || (a[0]->kind == EXPR_CONST && a[1]->kind == EXPR_CONST))
        return NULL;
    if (f == &scalar_add)
        return expr_affine(p, affine_add(p, x, y));
    if (f == &scalar_sub)
        return expr_affine(p, affine_sub(p, x, y));
    if (f == &scalar_mul)
        return scale_affine(p, x, y);
    if (f == &scalar_div && affine_is_constant(y, &divisor) && divisor > 0)
        return expr_affine(p, affine_quotient(p, x, divisor));
    if (f == &scalar_mod && affine_is_constant(y, &divisor) && divisor > 0)
        return expr_affine(p, affine_remainder(p, x, divisor));
    return f->signature == SIGNATURE_COMPARE ? compare_affine(p, f, affine_sub(p, x, y)) : NULL;
}

/* x/d + c >= 0 iff x + c*d >= 0, and c - x/d >= 0 iff c*d + d-1 - x >= 0: no division at run time. */
static const Affine *without_quotient(ExprPool *p, const Affine *a)
{
    const Term *t = a->terms;
    while (a->count == 1 && t->kind == TERM_QUOTIENT && (t->factor == 1 || t->factor == -1)) {
        int64_t constant = a->constant * t->divisor + (t->factor < 0 ? t->divisor - 1 : 0);
        a = affine_offset(p, affine_scale(p, t->inner, t->factor), constant);
        t = a->terms;
    }
    return a;
}

const Expr *algebra_test(ExprPool *p, TestKind kind, const Affine **a)
{
    int64_t common = affine_common_factor(*a);
    Interval v = affine_interval(*a);
    bool zero = kind == TEST_ZERO;
    const Affine *rest, *before = *a;
    if (zero ? v.low == 0 && v.high == 0 : v.low >= 0)
        return truth(p, true);
    if (v.high < 0 || (zero && (v.low > 0 || (*a)->constant % common != 0)))
        return truth(p, false);
    if (common > 1)
        affine_split(p, *a, common, a, &rest);
    if (zero && (*a)->terms[0].factor < 0)
        *a = affine_scale(p, *a, -1);
    if (!zero)
        *a = without_quotient(p, *a);
    return *a == before ? NULL : algebra_test(p, kind, a);
}

/* ---- sums and products -------------------------------------------------------------------------------- */

/* The factor of c*x or x*c, and x in *other; NULL when neither operand is constant. */
static const Expr *constant_factor(const Expr *e, const Expr **other)
{
    if (!is_call(e, &scalar_mul))
        return NULL;
    for (int i = 0; i < 2; i++)
        if (e->args[i]->kind == EXPR_CONST) {
            *other = e->args[1 - i];
            return e->args[i];
        }
    return NULL;
}

/* -e where that takes a sign away: of -x, of a negative constant, of a negative multiple. */
static const Expr *without_sign(ExprPool *p, const Expr *e)
{
    const Expr *other, *factor = constant_factor(e, &other);
    if (is_call(e, &scalar_neg))
        return e->args[0];
    if (e->kind == EXPR_CONST && e->value < 0)
        return like(p, e, -e->value);
    return factor && factor->value < 0 ? expr_mul(p, like(p, factor, -factor->value), other) : NULL;
}

static const Expr *simplify_add(ExprPool *p, Args a)
{
    const Expr *positive;
    if (is(a[0], 0))
        return a[1];
    if (is(a[1], 0))
        return a[0];
    if ((positive = without_sign(p, a[1])))
        return expr_sub(p, a[0], positive);
    if ((positive = without_sign(p, a[0])))
        return expr_sub(p, a[1], positive);
    if (a[0] == a[1] && dtype_is_real(a[0]->type)) /* exact: twice a float is a float */
        return expr_mul(p, expr_const_typed(p, 2, a[0]->type), a[0]);
    return NULL;
}

static const Expr *simplify_sub(ExprPool *p, Args a)
{
    const Expr *positive;
    if (is(a[0], 0))
        return expr_neg(p, a[1]);
    if (is(a[1], 0))
        return a[0];
    if ((positive = without_sign(p, a[1])))
        return expr_add(p, a[0], positive);
    return NULL;
}

static const Expr *simplify_neg(ExprPool *p, Args a)
{
    const Expr *other, *factor = constant_factor(a[0], &other);
    if (is_call(a[0], &scalar_neg))
        return a[0]->args[0];
    if (is_call(a[0], &scalar_sub))
        return expr_sub(p, a[0]->args[1], a[0]->args[0]);
    return factor ? expr_mul(p, like(p, factor, -factor->value), other) : NULL;
}

static const Expr *multiply_by_constant(ExprPool *p, const Expr *c, const Expr *x)
{
    const Expr *other, *factor = constant_factor(x, &other);
    if (is(c, 0))
        return like(p, c, 0);
    if (is(c, 1))
        return x;
    if (is(c, -1))
        return expr_neg(p, x);
    if (is_call(x, &scalar_neg))
        return expr_mul(p, like(p, c, -c->value), x->args[0]);
    return factor ? expr_mul(p, expr_mul(p, c, factor), other) : NULL;
}

static const Expr *simplify_mul(ExprPool *p, Args a)
{
    for (int i = 0; i < 2; i++)
        if (a[i]->kind == EXPR_CONST)
            return multiply_by_constant(p, a[i], a[1 - i]);
    if (is_call(a[0], &scalar_neg))
        return expr_neg(p, expr_mul(p, a[0]->args[0], a[1]));
    if (is_call(a[1], &scalar_neg))
        return expr_neg(p, expr_mul(p, a[0], a[1]->args[0]));
    return NULL;
}

static const Expr *simplify_div(ExprPool *p, Args a)
{
    if (is(a[1], 1))
        return a[0];
    if (is(a[1], -1))
        return expr_neg(p, a[0]);
    if (!dtype_is_real(a[0]->type)) /* integers round down, so a sign matters */
        return NULL;
    if (is_call(a[0], &scalar_neg))
        return expr_neg(p, expr_div(p, a[0]->args[0], a[1]));
    if (is_call(a[1], &scalar_neg))
        return expr_neg(p, expr_div(p, a[0], a[1]->args[0]));
    return NULL;
}

static const Expr *simplify_pow(ExprPool *p, Args a)
{
    if (is(a[1], 0))
        return like(p, a[0], 1);
    if (is(a[1], 1))
        return a[0];
    if (is(a[1], 2))
        return expr_mul(p, a[0], a[0]);
    if (is(a[1], 3))
        return expr_mul(p, expr_mul(p, a[0], a[0]), a[0]);
    if (is(a[1], 0.5))
        return expr_call(p, &scalar_sqrt, a);
    if (is(a[1], -1))
        return expr_div(p, like(p, a[0], 1), a[0]);
    return NULL;
}

static const Expr *simplify_extreme(ExprPool *p, Args a)
{
    return a[0] == a[1] ? a[0] : NULL;
}

/* ---- truths -------------------------------------------------------------------------------------------- */

static const Expr *simplify_and(ExprPool *p, Args a)
{
    if (is(a[0], 0) || is(a[1], 1))
        return a[0];
    return is(a[1], 0) || is(a[0], 1) || a[0] == a[1] ? a[1] : NULL;
}

static const Expr *simplify_or(ExprPool *p, Args a)
{
    if (is(a[0], 1) || is(a[1], 0))
        return a[0];
    return is(a[1], 1) || is(a[0], 0) || a[0] == a[1] ? a[1] : NULL;
}

static const Expr *simplify_not(ExprPool *p, Args a)
{
    if (is_call(a[0], &scalar_not))
        return a[0]->args[0];
    if (a[0]->kind == EXPR_TEST && a[0]->test == TEST_NOT_NEGATIVE)
        return expr_test(p, TEST_NOT_NEGATIVE,
                         affine_offset(p, affine_scale(p, a[0]->affine, -1), -1));
    return NULL;
}

static const Expr *simplify_select(ExprPool *p, Args a)
{
    const Expr *condition = a[0], *yes = a[1], *no = a[2];
    if (condition->kind == EXPR_CONST)
        return condition->value ? yes : no;
    if (yes == no)
        return yes;
    if (is_call(condition, &scalar_not))
        return expr_select(p, condition->args[0], no, yes);
    if (yes->type == TYPE_BOOL && is(yes, 1) && is(no, 0))
        return condition;
    if (yes->type == TYPE_BOOL && is(yes, 0) && is(no, 1))
        return expr_not(p, condition);
    if (is_call(yes, &scalar_select) && yes->args[0] == condition)
        return expr_select(p, condition, yes->args[1], no);
    if (is_call(no, &scalar_select) && no->args[0] == condition)
        return expr_select(p, condition, yes, no->args[2]);
    return NULL;
}

/* ---- the table ------------------------------------------------------------------------------------------- */

static const struct {
    const ScalarFunction *function;
    Rule *rule;
} rules[] = {
    {&scalar_add, simplify_add},     {&scalar_sub, simplify_sub},
    {&scalar_neg, simplify_neg},     {&scalar_mul, simplify_mul},
    {&scalar_div, simplify_div},     {&scalar_pow, simplify_pow},
    {&scalar_max, simplify_extreme}, {&scalar_min, simplify_extreme},
    {&scalar_and, simplify_and},     {&scalar_or, simplify_or},
    {&scalar_not, simplify_not},     {&scalar_select, simplify_select},
};

const Expr *algebra_simplify(ExprPool *p, const ScalarFunction *f, Args a, DType type)
{
    const Expr *simple = fold_constants(p, f, a, type);
    if (!simple)
        simple = fold_indices(p, f, a);
    for (size_t i = 0; i < sizeof rules / sizeof *rules && !simple; i++)
        if (rules[i].function == f)
            simple = rules[i].rule(p, a);
    return simple;
}
