/* Rows of the scalar function table: functions of real numbers.
 * A derivative is an expression over the call itself (x = y->args[0], y the primal result), uses y
 * where that is cheaper, and can be differentiated again. */
#include "functions/rows.h"

#include <math.h>

static const double ln2 = 0.693147180559945309417;
static const double two_over_sqrt_pi = 1.128379167095512573896;

static const Expr *number(ExprPool *p, double value)
{
    return expr_const(p, value);
}

static const Expr *call(ExprPool *p, const ScalarFunction *f, const Expr *x)
{
    return expr_call(p, f, &x);
}

static const Expr *square(ExprPool *p, const Expr *x)
{
    return expr_mul(p, x, x);
}

static const Expr *reciprocal(ExprPool *p, const Expr *x)
{
    return expr_div(p, number(p, 1), x);
}

/* (1 - x)(1 + x): 1 - x^2 without its cancellation near 1. */
static const Expr *one_minus_square(ExprPool *p, const Expr *x)
{
    return expr_mul(p, expr_sub(p, number(p, 1), x), expr_add(p, number(p, 1), x));
}

/* Defines f_value as the C library's function. */
#define LIBRARY_VALUE(FUNCTION)                                                                    \
    static double FUNCTION##_value(const double *args)                                             \
    {                                                                                              \
        return FUNCTION(args[0]);                                                                  \
    }

/* ---- rounding ------------------------------------------------------------------------------------ */

LIBRARY_VALUE(floor)

static MathValue floor_lower(MathBuilder *b, MathValue const *args, bool integer)
{
    return b->floor(b, args[0]);
}

static const ScalarFunction scalar_floor = {
    .name = "floor",
    .arity = 1,
    .signature = SIGNATURE_REAL,
    .doc = "the largest integer not above",
    .value = floor_value,
    .lower = floor_lower,
    .cost = 1,
};

LIBRARY_VALUE(ceil)

static MathValue ceil_lower(MathBuilder *b, MathValue const *args, bool integer)
{
    return b->ceil(b, args[0]);
}

static const ScalarFunction scalar_ceil = {
    .name = "ceil",
    .arity = 1,
    .signature = SIGNATURE_REAL,
    .doc = "the smallest integer not below",
    .value = ceil_value,
    .lower = ceil_lower,
    .cost = 1,
};

static double round_value(const double *args)
{
    return nearbyint(args[0]); /* in the default rounding mode, to even */
}

static MathValue round_lower(MathBuilder *b, MathValue const *args, bool integer)
{
    return b->round_even(b, args[0]);
}

static const ScalarFunction scalar_round = {
    .name = "round",
    .arity = 1,
    .signature = SIGNATURE_REAL,
    .doc = "the nearest integer, of two equally near the even one",
    .value = round_value,
    .lower = round_lower,
    .cost = 1,
};

/* ---- roots ------------------------------------------------------------------------------------------ */

/* d sqrt = 0.5 / y, infinite at 0 as the slope is. */
static const Expr *sqrt_derivative(ExprPool *p, const Expr *y, int operand)
{
    return expr_div(p, number(p, 0.5), y);
}

LIBRARY_VALUE(sqrt)

static MathValue sqrt_lower(MathBuilder *b, MathValue const *args, bool integer)
{
    return b->sqrt(b, args[0]);
}

const ScalarFunction scalar_sqrt = {
    .name = "sqrt",
    .arity = 1,
    .signature = SIGNATURE_REAL,
    .doc = "square root",
    .derivative = sqrt_derivative,
    .value = sqrt_value,
    .lower = sqrt_lower,
    .cost = 6,
};

/* d x^(-1/2) = -1/2 x^(-3/2) = -1/2 y^3. */
static const Expr *rsqrt_derivative(ExprPool *p, const Expr *y, int operand)
{
    return expr_mul(p, number(p, -0.5), expr_mul(p, square(p, y), y));
}

static double rsqrt_value(const double *args)
{
    return 1 / sqrt(args[0]);
}

static MathValue rsqrt_lower(MathBuilder *b, MathValue const *args, bool integer)
{
    return b->div(b, b->constant(b, 1), b->sqrt(b, args[0]));
}

const ScalarFunction scalar_rsqrt = {
    .name = "rsqrt",
    .arity = 1,
    .signature = SIGNATURE_REAL,
    .doc = "reciprocal of the square root",
    .derivative = rsqrt_derivative,
    .value = rsqrt_value,
    .lower = rsqrt_lower,
    .cost = 10,
};

/* ---- exponentials and logarithms ------------------------------------------------------------------ */

static const Expr *exp_derivative(ExprPool *p, const Expr *y, int operand)
{
    return y;
}

LIBRARY_VALUE(exp)

const ScalarFunction scalar_exp = {
    .name = "exp",
    .arity = 1,
    .signature = SIGNATURE_REAL,
    .doc = "exponential function",
    .derivative = exp_derivative,
    .value = exp_value,
    .lower = math_exp,
    .cost = 17,
};

static const Expr *expm1_derivative(ExprPool *p, const Expr *y, int operand)
{
    return expr_add(p, y, number(p, 1));
}

LIBRARY_VALUE(expm1)

static const ScalarFunction scalar_expm1 = {
    .name = "expm1",
    .arity = 1,
    .signature = SIGNATURE_REAL,
    .doc = "exp(x) - 1, accurate near 0",
    .derivative = expm1_derivative,
    .value = expm1_value,
    .lower = math_expm1,
    .cost = 22,
};

static const Expr *log_derivative(ExprPool *p, const Expr *y, int operand)
{
    return reciprocal(p, y->args[0]);
}

LIBRARY_VALUE(log)

const ScalarFunction scalar_log = {
    .name = "log",
    .arity = 1,
    .signature = SIGNATURE_REAL,
    .doc = "natural logarithm",
    .derivative = log_derivative,
    .value = log_value,
    .lower = math_log,
    .cost = 28,
};

static const Expr *log1p_derivative(ExprPool *p, const Expr *y, int operand)
{
    return reciprocal(p, expr_add(p, number(p, 1), y->args[0]));
}

LIBRARY_VALUE(log1p)

static const ScalarFunction scalar_log1p = {
    .name = "log1p",
    .arity = 1,
    .signature = SIGNATURE_REAL,
    .doc = "log(1 + x), accurate near 0",
    .derivative = log1p_derivative,
    .value = log1p_value,
    .lower = math_log1p,
    .cost = 34,
};

static const Expr *log2_derivative(ExprPool *p, const Expr *y, int operand)
{
    return expr_div(p, number(p, 1 / ln2), y->args[0]);
}

LIBRARY_VALUE(log2)

static const ScalarFunction scalar_log2 = {
    .name = "log2",
    .arity = 1,
    .signature = SIGNATURE_REAL,
    .doc = "logarithm to base 2",
    .derivative = log2_derivative,
    .value = log2_value,
    .lower = math_log2,
    .cost = 30,
};

/* ---- circular functions ---------------------------------------------------------------------------- */

static const ScalarFunction scalar_sin, scalar_cos;

static const Expr *sin_derivative(ExprPool *p, const Expr *y, int operand)
{
    return call(p, &scalar_cos, y->args[0]);
}

LIBRARY_VALUE(sin)

static const ScalarFunction scalar_sin = {
    .name = "sin",
    .arity = 1,
    .signature = SIGNATURE_REAL,
    .doc = "sine, of radians",
    .derivative = sin_derivative,
    .value = sin_value,
    .lower = math_sin,
    .cost = 26,
};

static const Expr *cos_derivative(ExprPool *p, const Expr *y, int operand)
{
    return expr_neg(p, call(p, &scalar_sin, y->args[0]));
}

LIBRARY_VALUE(cos)

static const ScalarFunction scalar_cos = {
    .name = "cos",
    .arity = 1,
    .signature = SIGNATURE_REAL,
    .doc = "cosine, of radians",
    .derivative = cos_derivative,
    .value = cos_value,
    .lower = math_cos,
    .cost = 24,
};

static const Expr *tan_derivative(ExprPool *p, const Expr *y, int operand)
{
    return expr_add(p, number(p, 1), square(p, y));
}

LIBRARY_VALUE(tan)

static const ScalarFunction scalar_tan = {
    .name = "tan",
    .arity = 1,
    .signature = SIGNATURE_REAL,
    .doc = "tangent, of radians",
    .derivative = tan_derivative,
    .value = tan_value,
    .lower = math_tan,
    .cost = 48,
};

static const Expr *asin_derivative(ExprPool *p, const Expr *y, int operand)
{
    return call(p, &scalar_rsqrt, one_minus_square(p, y->args[0]));
}

LIBRARY_VALUE(asin)

static const ScalarFunction scalar_asin = {
    .name = "asin",
    .arity = 1,
    .signature = SIGNATURE_REAL,
    .doc = "arc sine, -pi/2 … pi/2",
    .derivative = asin_derivative,
    .value = asin_value,
    .lower = math_asin,
    .cost = 28,
};

static const Expr *acos_derivative(ExprPool *p, const Expr *y, int operand)
{
    return expr_neg(p, asin_derivative(p, y, operand));
}

LIBRARY_VALUE(acos)

static const ScalarFunction scalar_acos = {
    .name = "acos",
    .arity = 1,
    .signature = SIGNATURE_REAL,
    .doc = "arc cosine, 0 … pi",
    .derivative = acos_derivative,
    .value = acos_value,
    .lower = math_acos,
    .cost = 29,
};

static const Expr *atan_derivative(ExprPool *p, const Expr *y, int operand)
{
    return reciprocal(p, expr_add(p, number(p, 1), square(p, y->args[0])));
}

LIBRARY_VALUE(atan)

static const ScalarFunction scalar_atan = {
    .name = "atan",
    .arity = 1,
    .signature = SIGNATURE_REAL,
    .doc = "arc tangent, -pi/2 … pi/2",
    .derivative = atan_derivative,
    .value = atan_value,
    .lower = math_atan,
    .cost = 24,
};

/* The angle of the point (x, y) turns by (x dy - y dx) / (x^2 + y^2). */
static const Expr *atan2_derivative(ExprPool *p, const Expr *result, int operand)
{
    const Expr *y = result->args[0], *x = result->args[1];
    const Expr *distance = expr_add(p, square(p, x), square(p, y));
    return expr_div(p, operand == 0 ? x : expr_neg(p, y), distance);
}

static double atan2_value(const double *args)
{
    return atan2(args[0], args[1]);
}

static const ScalarFunction scalar_atan2 = {
    .name = "atan2",
    .arity = 2,
    .signature = SIGNATURE_REAL,
    .doc = "atan2(y, x): the angle of the point (x, y), -pi … pi",
    .derivative = atan2_derivative,
    .value = atan2_value,
    .lower = math_atan2,
    .cost = 34,
};

/* ---- hyperbolic functions -------------------------------------------------------------------------- */

static const ScalarFunction scalar_sinh, scalar_cosh;

static const Expr *sinh_derivative(ExprPool *p, const Expr *y, int operand)
{
    return call(p, &scalar_cosh, y->args[0]);
}

LIBRARY_VALUE(sinh)

static const ScalarFunction scalar_sinh = {
    .name = "sinh",
    .arity = 1,
    .signature = SIGNATURE_REAL,
    .doc = "hyperbolic sine",
    .derivative = sinh_derivative,
    .value = sinh_value,
    .lower = math_sinh,
    .cost = 34,
};

static const Expr *cosh_derivative(ExprPool *p, const Expr *y, int operand)
{
    return call(p, &scalar_sinh, y->args[0]);
}

LIBRARY_VALUE(cosh)

static const ScalarFunction scalar_cosh = {
    .name = "cosh",
    .arity = 1,
    .signature = SIGNATURE_REAL,
    .doc = "hyperbolic cosine",
    .derivative = cosh_derivative,
    .value = cosh_value,
    .lower = math_cosh,
    .cost = 29,
};

static const Expr *tanh_derivative(ExprPool *p, const Expr *y, int operand)
{
    return expr_sub(p, number(p, 1), square(p, y));
}

LIBRARY_VALUE(tanh)

static const ScalarFunction scalar_tanh = {
    .name = "tanh",
    .arity = 1,
    .signature = SIGNATURE_REAL,
    .doc = "hyperbolic tangent",
    .derivative = tanh_derivative,
    .value = tanh_value,
    .lower = math_tanh,
    .cost = 32,
};

static const Expr *asinh_derivative(ExprPool *p, const Expr *y, int operand)
{
    return call(p, &scalar_rsqrt, expr_add(p, square(p, y->args[0]), number(p, 1)));
}

LIBRARY_VALUE(asinh)

static const ScalarFunction scalar_asinh = {
    .name = "asinh",
    .arity = 1,
    .signature = SIGNATURE_REAL,
    .doc = "inverse hyperbolic sine",
    .derivative = asinh_derivative,
    .value = asinh_value,
    .lower = math_asinh,
    .cost = 58,
};

/* 1 / sqrt(x^2 - 1), without cancellation near 1. */
static const Expr *acosh_derivative(ExprPool *p, const Expr *y, int operand)
{
    const Expr *x = y->args[0], *one = number(p, 1);
    return call(p, &scalar_rsqrt, expr_mul(p, expr_sub(p, x, one), expr_add(p, x, one)));
}

LIBRARY_VALUE(acosh)

static const ScalarFunction scalar_acosh = {
    .name = "acosh",
    .arity = 1,
    .signature = SIGNATURE_REAL,
    .doc = "inverse hyperbolic cosine",
    .derivative = acosh_derivative,
    .value = acosh_value,
    .lower = math_acosh,
    .cost = 60,
};

static const Expr *atanh_derivative(ExprPool *p, const Expr *y, int operand)
{
    return reciprocal(p, one_minus_square(p, y->args[0]));
}

LIBRARY_VALUE(atanh)

static const ScalarFunction scalar_atanh = {
    .name = "atanh",
    .arity = 1,
    .signature = SIGNATURE_REAL,
    .doc = "inverse hyperbolic tangent",
    .derivative = atanh_derivative,
    .value = atanh_value,
    .lower = math_atanh,
    .cost = 49,
};

/* ---- error function ---------------------------------------------------------------------------------- */

/* d erf = 2/sqrt(pi) * exp(-x^2). */
static const Expr *erf_derivative(ExprPool *p, const Expr *y, int operand)
{
    const Expr *bell = call(p, &scalar_exp, expr_neg(p, square(p, y->args[0])));
    return expr_mul(p, number(p, two_over_sqrt_pi), bell);
}

LIBRARY_VALUE(erf)

static const ScalarFunction scalar_erf = {
    .name = "erf",
    .arity = 1,
    .signature = SIGNATURE_REAL,
    .doc = "error function",
    .derivative = erf_derivative,
    .value = erf_value,
    .lower = math_erf,
    .cost = 36,
};

static const Expr *erfc_derivative(ExprPool *p, const Expr *y, int operand)
{
    return expr_neg(p, erf_derivative(p, y, operand));
}

LIBRARY_VALUE(erfc)

static const ScalarFunction scalar_erfc = {
    .name = "erfc",
    .arity = 1,
    .signature = SIGNATURE_REAL,
    .doc = "1 - erf(x), accurate for large x",
    .derivative = erfc_derivative,
    .value = erfc_value,
    .lower = math_erfc,
    .cost = 86,
};

/* ---- the gamma function ----------------------------------------------------------------------------- */

/* sum[k] (x + k)^-s, by its terms below 14 and Euler's and Maclaurin's formula from there. */
static double zeta_value(const double *args)
{
    static const double series[] = {1 / 12.0, -1 / 720.0, 1 / 30240.0, -1 / 1209600.0,
                                    1 / 47900160.0};
    const double s = args[0], x = args[1];
    if (!(s > 1 && s < INFINITY && x >= 0))
        return NAN;
    if (isinf(x))
        return 0;
    enum { COUNT = 14 };
    double sum = 0, end = x + COUNT, rising = s / end / end, rest = 1 / (s - 1) + 0.5 / end;
    for (int k = COUNT - 1; k >= 0; k--)
        sum += pow(x + k, -s);
    for (int k = 0; k < 5; k++) {
        rest += rising * series[k];
        rising *= (s + 2 * k + 1) * (s + 2 * k + 2) / end / end;
    }
    const double power = pow(end, 1 - s);
    return power ? sum + power * rest : sum;
}

/* By x it is -s zeta(s + 1, x); by s there is none. */
static const Expr *zeta_derivative(ExprPool *p, const Expr *y, int operand);

const ScalarFunction scalar_zeta = {
    .name = "zeta",
    .arity = 2,
    .signature = SIGNATURE_REAL,
    .doc = "zeta(s, x): the sum of (x + k)^-s over k = 0, 1, …, for s > 1 and x > 0",
    .derivative = zeta_derivative,
    .value = zeta_value,
    .lower = math_zeta,
    .cost = 500,
};

static const Expr *zeta_derivative(ExprPool *p, const Expr *y, int operand)
{
    const Expr *s = y->args[0];
    if (operand == 0)
        return NULL;
    const Expr *next[] = {expr_add(p, s, number(p, 1)), y->args[1]};
    return expr_neg(p, expr_mul(p, s, expr_call(p, &scalar_zeta, next)));
}

static double digamma_value(const double *args)
{
    static const double series[] = {-1 / 12.0, 1 / 120.0,  -1 / 252.0,
                                    1 / 240.0, -1 / 132.0, 691 / 32760.0};
    double x = args[0], y = 0;
    if (x < 0 && floor(x) == x)
        return NAN;
    if (x < 0)
        return digamma_value((double[]){1 - x}) - M_PI / tan(M_PI * (x - floor(x + 0.5)));
    for (; x < 12; x++)
        y -= 1 / x;
    double term = 1 / (x * x), sum = 0;
    for (int k = 5; k >= 0; k--)
        sum = sum * term + series[k];
    return y + log(x) - 0.5 / x + sum * term;
}

/* zeta(2, x); below 0 by psi'(x) + psi'(1 - x) = (pi / sin(pi x))^2. */
static const Expr *digamma_derivative(ExprPool *p, const Expr *y, int operand)
{
    const Expr *x = y->args[0], *compared[] = {x, number(p, 0)};
    const Expr *positive = expr_call(p, &scalar_gt, compared);
    const Expr *of = expr_select(p, positive, x, expr_sub(p, number(p, 1), x));
    const Expr *args[] = {number(p, 2), of};
    const Expr *value = expr_call(p, &scalar_zeta, args);
    const Expr *angle = expr_mul(p, number(p, M_PI), expr_select(p, positive, number(p, 0.5), x));
    const Expr *reflected = square(p, expr_div(p, number(p, M_PI), call(p, &scalar_sin, angle)));
    return expr_select(p, positive, value, expr_sub(p, reflected, value));
}

static const ScalarFunction scalar_digamma = {
    .name = "digamma",
    .arity = 1,
    .signature = SIGNATURE_REAL,
    .doc = "the derivative of lgamma",
    .derivative = digamma_derivative,
    .value = digamma_value,
    .lower = math_digamma,
    .cost = 90,
};

static const Expr *lgamma_derivative(ExprPool *p, const Expr *y, int operand)
{
    return call(p, &scalar_digamma, y->args[0]);
}

LIBRARY_VALUE(lgamma)

static const ScalarFunction scalar_lgamma = {
    .name = "lgamma",
    .arity = 1,
    .signature = SIGNATURE_REAL,
    .doc = "the logarithm of the absolute value of the gamma function",
    .derivative = lgamma_derivative,
    .value = lgamma_value,
    .lower = math_lgamma,
    .cost = 120,
};

/* ---- no derivative on purpose ------------------------------------------------------------------------ */

static double stop_gradient_value(const double *args)
{
    return args[0];
}

static MathValue stop_gradient_lower(MathBuilder *b, MathValue const *args, bool integer)
{
    return args[0];
}

const ScalarFunction scalar_stop_gradient = {
    .name = "stop_gradient",
    .arity = 1,
    .signature = SIGNATURE_REAL,
    .doc = "its argument, held constant by differentiation",
    .value = stop_gradient_value,
    .lower = stop_gradient_lower,
    .cost = 0,
};

const ScalarFunction *const scalar_math_rows[] = {
    &scalar_floor,  &scalar_ceil,    &scalar_round, &scalar_sqrt,          &scalar_rsqrt,
    &scalar_exp,    &scalar_expm1,   &scalar_log,   &scalar_log1p,         &scalar_log2,
    &scalar_sin,    &scalar_cos,     &scalar_tan,   &scalar_asin,          &scalar_acos,
    &scalar_atan,   &scalar_atan2,   &scalar_sinh,  &scalar_cosh,          &scalar_tanh,
    &scalar_asinh,  &scalar_acosh,   &scalar_atanh, &scalar_erf,           &scalar_erfc,
    &scalar_lgamma, &scalar_digamma, &scalar_zeta,  &scalar_stop_gradient, NULL,
};
