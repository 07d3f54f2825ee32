/* Rows of the scalar function table: operators, comparisons, truths, casts and selection.
 * A derivative is built from the call itself: y->args are the operands, y is the primal result. */
#include "functions/rows.h"

#include <math.h>

static const Expr *zero(ExprPool *p)
{
    return expr_const(p, 0);
}

static const Expr *one(ExprPool *p)
{
    return expr_const(p, 1);
}

static const Expr *call2(ExprPool *p, const ScalarFunction *f, const Expr *a, const Expr *b)
{
    return expr_call(p, f, (const Expr *const[]){a, b});
}

/* 1 where the truth holds, else 0. */
static const Expr *indicator(ExprPool *p, const Expr *truth)
{
    return expr_select(p, truth, one(p), zero(p));
}

/* ---- arithmetic ---------------------------------------------------------------------------------- */

static const Expr *add_derivative(ExprPool *p, const Expr *y, int operand)
{
    return one(p);
}

static double add_value(const double *args)
{
    return args[0] + args[1];
}

static MathValue add_lower(MathBuilder *b, MathValue const *args, bool integer)
{
    return integer ? b->iadd(b, args[0], args[1]) : b->add(b, args[0], args[1]);
}

const ScalarFunction scalar_add = {
    .name = "add",
    .infix = "+",
    .arity = 2,
    .signature = SIGNATURE_ARITHMETIC,
    .doc = "sum",
    .derivative = add_derivative,
    .value = add_value,
    .lower = add_lower,
    .cost = 1,
};

static const Expr *sub_derivative(ExprPool *p, const Expr *y, int operand)
{
    return expr_const(p, operand == 0 ? 1 : -1);
}

static double sub_value(const double *args)
{
    return args[0] - args[1];
}

static MathValue sub_lower(MathBuilder *b, MathValue const *args, bool integer)
{
    return integer ? b->isub(b, args[0], args[1]) : b->sub(b, args[0], args[1]);
}

const ScalarFunction scalar_sub = {
    .name = "sub",
    .infix = "-",
    .arity = 2,
    .signature = SIGNATURE_ARITHMETIC,
    .doc = "difference",
    .derivative = sub_derivative,
    .value = sub_value,
    .lower = sub_lower,
    .cost = 1,
};

static const Expr *mul_derivative(ExprPool *p, const Expr *y, int operand)
{
    return y->args[1 - operand];
}

static double mul_value(const double *args)
{
    return args[0] * args[1];
}

static MathValue mul_lower(MathBuilder *b, MathValue const *args, bool integer)
{
    return integer ? b->imul(b, args[0], args[1]) : b->mul(b, args[0], args[1]);
}

const ScalarFunction scalar_mul = {
    .name = "mul",
    .infix = "*",
    .arity = 2,
    .signature = SIGNATURE_ARITHMETIC,
    .doc = "product",
    .derivative = mul_derivative,
    .value = mul_value,
    .lower = mul_lower,
    .cost = 1,
};

/* d(a/b)/da = 1/b;  d(a/b)/db = -(a/b)/b, which reuses the quotient. */
static const Expr *div_derivative(ExprPool *p, const Expr *y, int operand)
{
    if (operand == 0)
        return expr_div(p, one(p), y->args[1]);
    return expr_neg(p, expr_div(p, y, y->args[1]));
}

static double div_value(const double *args)
{
    return args[0] / args[1];
}

static MathValue div_lower(MathBuilder *b, MathValue const *args, bool integer)
{
    return integer ? b->idiv(b, args[0], args[1]) : b->div(b, args[0], args[1]);
}

const ScalarFunction scalar_div = {
    .name = "div",
    .infix = "/",
    .arity = 2,
    .signature = SIGNATURE_ARITHMETIC,
    .doc = "quotient; of integers, rounded down",
    .derivative = div_derivative,
    .value = div_value,
    .lower = div_lower,
    .cost = 4,
};

/* mod(a, b) = a - floor(a/b)*b, whose floor is locally constant. */
static const Expr *mod_derivative(ExprPool *p, const Expr *y, int operand)
{
    if (operand == 0)
        return one(p);
    const Expr *quotient = expr_div(p, y->args[0], y->args[1]);
    return expr_neg(p, expr_call(p, scalar_find("floor"), &quotient));
}

static double mod_value(const double *args)
{
    double r = fmod(args[0], args[1]);
    return r != 0 && (r < 0) != (args[1] < 0) ? r + args[1] : r;
}

/* The quotient may round up to the next integer; the remainder then has the wrong sign and is
 * exact all the same (fma), so adding the divisor once repairs it.  Exact while |a/b| < 2^24. */
static MathValue mod_lower(MathBuilder *b, MathValue const *args, bool integer)
{
    if (integer)
        return b->imod(b, args[0], args[1]);
    MathValue quotient = b->floor(b, b->div(b, args[0], args[1]));
    MathValue r = b->fma(b, b->neg(b, quotient), args[1], args[0]);
    MathValue wrong = b->compare(
        b, '<', false, b->mul(b, r, b->copysign(b, b->constant(b, 1), args[1])), b->constant(b, 0));
    return b->select(b, wrong, b->add(b, r, args[1]), r);
}

const ScalarFunction scalar_mod = {
    .name = "mod",
    .infix = "%",
    .arity = 2,
    .signature = SIGNATURE_ARITHMETIC,
    .doc = "remainder of the quotient rounded down; has the divisor's sign",
    .derivative = mod_derivative,
    .value = mod_value,
    .lower = mod_lower,
    .cost = 9,
};

static const Expr *neg_derivative(ExprPool *p, const Expr *y, int operand)
{
    return expr_const(p, -1);
}

static double neg_value(const double *args)
{
    return -args[0];
}

static MathValue neg_lower(MathBuilder *b, MathValue const *args, bool integer)
{
    return integer ? b->isub(b, b->integer(b, 0), args[0]) : b->neg(b, args[0]);
}

const ScalarFunction scalar_neg = {
    .name = "neg",
    .infix = "-",
    .arity = 1,
    .signature = SIGNATURE_ARITHMETIC,
    .doc = "negation",
    .derivative = neg_derivative,
    .value = neg_value,
    .lower = neg_lower,
    .cost = 1,
};

/* d x^p / dx = p * x^(p-1), and 0 for p = 0 even where x^(p-1) is infinite. */
static const Expr *pow_base_derivative(ExprPool *p, const Expr *x, const Expr *exponent)
{
    const Expr *less = expr_sub(p, exponent, one(p));
    const Expr *slope = expr_mul(p, exponent, call2(p, &scalar_pow, x, less));
    return expr_select(p, call2(p, &scalar_eq, exponent, zero(p)), zero(p), slope);
}

/* d x^p / dp = x^p * log(x), taken as 0 where x <= 0.  The logarithm's argument is made safe too,
 * or differentiating again would meet 0 * infinity in the branch not taken. */
static const Expr *pow_derivative(ExprPool *p, const Expr *y, int operand)
{
    const Expr *x = y->args[0];
    if (operand == 0)
        return pow_base_derivative(p, x, y->args[1]);
    const Expr *positive = call2(p, &scalar_gt, x, zero(p));
    const Expr *safe = expr_select(p, positive, x, one(p));
    const Expr *slope = expr_mul(p, y, expr_call(p, &scalar_log, &safe));
    return expr_select(p, positive, slope, zero(p));
}

static double pow_value(const double *args)
{
    return pow(args[0], args[1]);
}

const ScalarFunction scalar_pow = {
    .name = "pow",
    .infix = "^",
    .arity = 2,
    .signature = SIGNATURE_REAL,
    .doc = "power; a negative base takes an integer exponent",
    .derivative = pow_derivative,
    .value = pow_value,
    .lower = math_pow,
    .cost = 127,
};

/* ---- largest, smallest, magnitude ---------------------------------------------------------------- */

/* A tie goes to the first operand whole, so that the weights always add up to 1. */
static const Expr *pick_derivative(ExprPool *p, const Expr *y, int operand)
{
    const ScalarFunction *first_wins = y->function == &scalar_max ? &scalar_ge : &scalar_le;
    const Expr *first = call2(p, first_wins, y->args[0], y->args[1]);
    return indicator(p, operand == 0 ? first : expr_not(p, first));
}

static double max_value(const double *args)
{
    return isnan(args[0]) || args[0] >= args[1] ? args[0] : args[1];
}

static MathValue max_lower(MathBuilder *b, MathValue const *args, bool integer)
{
    if (!integer)
        return b->maximum(b, args[0], args[1]);
    return b->select(b, b->icompare(b, '>', true, args[0], args[1]), args[0], args[1]);
}

const ScalarFunction scalar_max = {
    .name = "max",
    .arity = 2,
    .signature = SIGNATURE_ARITHMETIC,
    .doc = "the larger; at a tie the gradient goes to the first",
    .derivative = pick_derivative,
    .value = max_value,
    .lower = max_lower,
    .cost = 1,
};

static double min_value(const double *args)
{
    return isnan(args[0]) || args[0] <= args[1] ? args[0] : args[1];
}

static MathValue min_lower(MathBuilder *b, MathValue const *args, bool integer)
{
    if (!integer)
        return b->minimum(b, args[0], args[1]);
    return b->select(b, b->icompare(b, '<', true, args[0], args[1]), args[0], args[1]);
}

const ScalarFunction scalar_min = {
    .name = "min",
    .arity = 2,
    .signature = SIGNATURE_ARITHMETIC,
    .doc = "the smaller; at a tie the gradient goes to the first",
    .derivative = pick_derivative,
    .value = min_value,
    .lower = min_lower,
    .cost = 1,
};

static const Expr *abs_derivative(ExprPool *p, const Expr *y, int operand)
{
    return expr_call(p, &scalar_sign, &y->args[0]);
}

static double abs_value(const double *args)
{
    return fabs(args[0]);
}

static MathValue abs_lower(MathBuilder *b, MathValue const *args, bool integer)
{
    if (!integer)
        return b->abs(b, args[0]);
    MathValue nought = b->integer(b, 0);
    return b->select(b, b->icompare(b, '<', false, args[0], nought), b->isub(b, nought, args[0]),
                     args[0]);
}

const ScalarFunction scalar_abs = {
    .name = "abs",
    .arity = 1,
    .signature = SIGNATURE_ARITHMETIC,
    .doc = "magnitude; derivative 0 at 0",
    .derivative = abs_derivative,
    .value = abs_value,
    .lower = abs_lower,
    .cost = 1,
};

static double sign_value(const double *args)
{
    return args[0] > 0 ? 1 : args[0] < 0 ? -1 : args[0];
}

static MathValue sign_lower(MathBuilder *b, MathValue const *args, bool integer)
{
    MathValue x = args[0];
    if (integer) {
        MathValue nought = b->integer(b, 0);
        MathValue below =
            b->select(b, b->icompare(b, '<', false, x, nought), b->integer(b, -1), nought);
        return b->select(b, b->icompare(b, '>', false, x, nought), b->integer(b, 1), below);
    }
    MathValue nonzero = b->compare(b, '>', false, b->abs(b, x), b->constant(b, 0));
    return b->select(b, nonzero, b->copysign(b, b->constant(b, 1), x), x); /* keeps 0 and NaN */
}

const ScalarFunction scalar_sign = {
    .name = "sign",
    .arity = 1,
    .signature = SIGNATURE_ARITHMETIC,
    .doc = "-1, 0 or 1",
    .value = sign_value,
    .lower = sign_lower,
    .cost = 3,
};

/* ---- comparisons ------------------------------------------------------------------------------------ */

static MathValue compare(MathBuilder *b, char op, bool or_equal, MathValue const *args,
                         bool integer)
{
    return (integer ? b->icompare : b->compare)(b, op, or_equal, args[0], args[1]);
}

/* Defines <name>'s value and lowering and its row. */
#define COMPARISON(NAME, INFIX, CODE, OR_EQUAL, DOC)                                               \
    static double NAME##_value(const double *args)                                                 \
    {                                                                                              \
        return args[0] INFIX args[1];                                                              \
    }                                                                                              \
    static MathValue NAME##_lower(MathBuilder *b, MathValue const *args, bool integer)             \
    {                                                                                              \
        return compare(b, CODE, OR_EQUAL, args, integer);                                          \
    }                                                                                              \
    const ScalarFunction scalar_##NAME = {                                                         \
        .name = #NAME,                                                                             \
        .infix = #INFIX,                                                                           \
        .arity = 2,                                                                                \
        .signature = SIGNATURE_COMPARE,                                                            \
        .doc = DOC,                                                                                \
        .value = NAME##_value,                                                                     \
        .lower = NAME##_lower,                                                                     \
        .cost = 1,                                                                                 \
    }

COMPARISON(lt, <, '<', false, "less than");
COMPARISON(le, <=, '<', true, "at most");
COMPARISON(gt, >, '>', false, "greater than");
COMPARISON(ge, >=, '>', true, "at least");
COMPARISON(eq, ==, '=', false, "equal");
COMPARISON(ne, !=, '!', false, "not equal");

static double is_finite_value(const double *args)
{
    return isfinite(args[0]) != 0;
}

static MathValue is_finite_lower(MathBuilder *b, MathValue const *args, bool integer)
{
    return b->compare(b, '<', false, b->abs(b, args[0]), b->constant(b, INFINITY));
}

static const ScalarFunction scalar_is_finite = {
    .name = "is_finite",
    .arity = 1,
    .signature = SIGNATURE_COMPARE,
    .doc = "neither infinite nor NaN",
    .value = is_finite_value,
    .lower = is_finite_lower,
    .cost = 2,
};

/* ---- truths ------------------------------------------------------------------------------------------ */

static double and_value(const double *args)
{
    return args[0] != 0 && args[1] != 0;
}

static MathValue and_lower(MathBuilder *b, MathValue const *args, bool integer)
{
    return b->both(b, args[0], args[1]);
}

const ScalarFunction scalar_and = {
    .name = "and",
    .infix = "and",
    .arity = 2,
    .signature = SIGNATURE_TRUTH,
    .doc = "both hold",
    .value = and_value,
    .lower = and_lower,
    .cost = 1,
};

static double or_value(const double *args)
{
    return args[0] != 0 || args[1] != 0;
}

static MathValue or_lower(MathBuilder *b, MathValue const *args, bool integer)
{
    return b->either(b, args[0], args[1]);
}

const ScalarFunction scalar_or = {
    .name = "or",
    .infix = "or",
    .arity = 2,
    .signature = SIGNATURE_TRUTH,
    .doc = "one holds or both",
    .value = or_value,
    .lower = or_lower,
    .cost = 1,
};

static double not_value(const double *args)
{
    return args[0] == 0;
}

static MathValue not_lower(MathBuilder *b, MathValue const *args, bool integer)
{
    return b->invert(b, args[0]);
}

const ScalarFunction scalar_not = {
    .name = "not",
    .infix = "not",
    .arity = 1,
    .signature = SIGNATURE_TRUTH,
    .doc = "does not hold",
    .value = not_value,
    .lower = not_lower,
    .cost = 1,
};

/* ---- selection and casts ----------------------------------------------------------------------------- */

static const Expr *select_derivative(ExprPool *p, const Expr *y, int operand)
{
    const Expr *truth = y->args[0];
    switch (operand) {
    case 1:
        return indicator(p, truth);
    case 2:
        return expr_select(p, truth, zero(p), one(p));
    default:
        return zero(p);
    }
}

static double select_value(const double *args)
{
    return args[0] != 0 ? args[1] : args[2];
}

static MathValue select_lower(MathBuilder *b, MathValue const *args, bool integer)
{
    return b->select(b, args[0], args[1], args[2]);
}

const ScalarFunction scalar_select = {
    .name = "select",
    .arity = 3,
    .signature = SIGNATURE_SELECT,
    .internal = true,
    .doc = "if a then b else c",
    .derivative = select_derivative,
    .value = select_value,
    .lower = select_lower,
    .cost = 1,
};

static double to_real_value(const double *args)
{
    return args[0];
}

static MathValue to_real_lower(MathBuilder *b, MathValue const *args, bool integer)
{
    return b->to_real(b, args[0]);
}

const ScalarFunction scalar_to_real = {
    .name = "to_real",
    .arity = 1,
    .signature = SIGNATURE_TO_REAL,
    .internal = true,
    .doc = "an integer, truth or narrower real number as a real number",
    .value = to_real_value,
    .lower = to_real_lower,
    .cost = 1,
};

static double to_integer_value(const double *args)
{
    if (isnan(args[0]))
        return 0;
    return trunc(fmin(fmax(args[0], INT32_MIN), INT32_MAX));
}

static MathValue to_integer_lower(MathBuilder *b, MathValue const *args, bool integer)
{
    if (integer) /* a truth */
        return b->select(b, args[0], b->integer(b, 1), b->integer(b, 0));
    return b->to_integer(b, args[0]);
}

const ScalarFunction scalar_to_integer = {
    .name = "to_integer",
    .arity = 1,
    .signature = SIGNATURE_TO_INTEGER,
    .internal = true,
    .doc = "a real number towards zero, or a truth, as an integer",
    .value = to_integer_value,
    .lower = to_integer_lower,
    .cost = 2,
};

const ScalarFunction *const scalar_operator_rows[] = {
    &scalar_add,  &scalar_sub,    &scalar_mul,       &scalar_div,        &scalar_mod,
    &scalar_neg,  &scalar_pow,    &scalar_max,       &scalar_min,        &scalar_abs,
    &scalar_sign, &scalar_lt,     &scalar_le,        &scalar_gt,         &scalar_ge,
    &scalar_eq,   &scalar_ne,     &scalar_is_finite, &scalar_and,        &scalar_or,
    &scalar_not,  &scalar_select, &scalar_to_real,   &scalar_to_integer, NULL,
};
