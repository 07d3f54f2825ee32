/* log, log1p, log2 and the inverse hyperbolic functions that are made of log1p.
 * The argument is 2^e (1 + f), f in -1/3 … 1/3; f is exact or rounded once. */
#include "functions/lowering.h"

#include <math.h>

static const double ln2 = 0.693147182;
static const double huge = 0x1p60; /* 1 is nothing beside it, its square does not overflow */
static const double log2e_high = 1.44269502, log2e_low = 1.92596303e-08;

/* log(1+f) = f - f^2/2 + f^3 p(f) on |f| <= 1/3, degree 7, relative error 2^-27.7. */
static const double log1p_terms[] = {
    -0.5,       0.333332151,  -0.249998033, 0.20010443,   -0.16680266,
    0.14005363, -0.121870175, 0.139866501,  -0.128806889,
};
/* log2(1+f) = f log2(e) + f^2 p(f) on the same, degree 8, relative error 2^-27.7. */
static const double log2_terms[] = {
    -0.721347511, 0.480896711,  -0.36067149, 0.288686574,  -0.240633756,
    0.20209679,   -0.175921381, 0.201604709, -0.185520008,
};
/* asinh x = x + x^3 p(x^2) on |x| <= 1/2, degree 4, relative error 2^-29.6. */
static const double asinh_small[] = {
    -0.166666433, 0.0749864057, -0.0443829559, 0.0281609949, -0.0132231507,
};
/* atanh x = x + x^3 p(x^2) on |x| <= 1/2, degree 5, relative error 2^-29.4. */
static const double atanh_small[] = {
    0.333332986, 0.200026155, 0.142207593, 0.118415274, 0.0506473891, 0.177738845,
};

enum {
    TWO_THIRDS_BITS = 0x3F2AAAAB,
    ONE_BITS = 0x3F800000,
    MANTISSA_BITS = 23,
    MANTISSA_MASK = 0x7FFFFF,
};

/* The distance of x from 2/3 in the order of bit patterns: its upper part is the exponent. */
static MathValue exponent_of(MathBuilder *b, MathValue x)
{
    MathValue distance = b->isub(b, b->bits(b, x), b->integer(b, TWO_THIRDS_BITS));
    return b->shift_right_signed(b, distance, MANTISSA_BITS);
}

static MathValue scaled_down(MathBuilder *b, MathValue x, MathValue exponent)
{
    return b->from_bits(b, b->isub(b, b->bits(b, x), b->shift_left(b, exponent, MANTISSA_BITS)));
}

/* Subnormal numbers are made normal first. */
Split math_split(MathBuilder *b, MathValue x)
{
    MathValue tiny = b->compare(b, '<', false, x, b->constant(b, 0x1p-126));
    MathValue normal = b->select(b, tiny, b->mul(b, x, b->constant(b, 0x1p23)), x);
    MathValue exponent = exponent_of(b, normal);
    MathValue fraction = b->sub(b, scaled_down(b, normal, exponent), b->constant(b, 1));
    MathValue correction = b->select(b, tiny, b->constant(b, -23), b->constant(b, 0));
    return (Split){b->add(b, b->to_real(b, exponent), correction), fraction, NULL};
}

/* log(1 + f + low): the slope of the low part is nearly 1 - f. */
static MathValue log1p_fraction(MathBuilder *b, MathValue f, MathValue low)
{
    MathValue square = b->mul(b, f, f), terms = MATH_POLYNOMIAL(b, f, log1p_terms);
    if (!low)
        return b->fma(b, square, terms, f);
    low = b->fma(b, b->neg(b, low), f, low);
    return b->add(b, f, b->fma(b, square, terms, low));
}

MathValue math_log_core(MathBuilder *b, Split s)
{
    return b->fma(b, s.exponent, b->constant(b, ln2), log1p_fraction(b, s.fraction, s.low));
}

Pair math_log_less_1(MathBuilder *b, Split s)
{
    Pair whole = math_two_product(b, s.exponent, b->constant(b, ln2));
    whole.high = b->sub(b, whole.high, b->constant(b, 1)); /* exact from 2 on */
    Pair log = math_two_sum(b, whole.high, log1p_fraction(b, s.fraction, s.low));
    log.low = b->add(b, log.low, whole.low);
    return log;
}

/* `y` for 0 < x < infinity; x's own value for infinity and NaN, -infinity at 0, NaN below. */
static MathValue with_special_cases(MathBuilder *b, MathValue x, MathValue y)
{
    MathValue zero = b->constant(b, 0);
    MathValue finite = b->compare(b, '<', false, x, b->constant(b, INFINITY));
    MathValue undefined = b->compare(b, '<', false, x, zero);
    MathValue pole = b->compare(b, '=', false, x, zero);
    y = b->select(b, finite, y, x);
    y = b->select(b, undefined, b->constant(b, NAN), y);
    return b->select(b, pole, b->constant(b, -INFINITY), y);
}

MathValue math_log(MathBuilder *b, MathValue const *args, bool integer)
{
    if (b->real64)
        return b->library(b, "log", args, 1);
    return with_special_cases(b, args[0], math_log_core(b, math_split(b, args[0])));
}

MathValue math_log2(MathBuilder *b, MathValue const *args, bool integer)
{
    if (b->real64)
        return b->library(b, "log2", args, 1);
    Split s = math_split(b, args[0]);
    MathValue f = s.fraction;
    MathValue small = b->mul(b, f, b->constant(b, log2e_low));
    small = b->fma(b, b->mul(b, f, f), MATH_POLYNOMIAL(b, f, log2_terms), small);
    MathValue y = b->fma(b, f, b->constant(b, log2e_high), small);
    return with_special_cases(b, args[0], b->add(b, s.exponent, y));
}

/* log(1 + z) for z = high + low > -1.  With 2^e near 1 + z, f = z 2^-e + (2^-e - 1) is rounded
 * once; where z is so large that 2^-e may be subnormal, 1 is nothing beside it. */
static MathValue log1p_core(MathBuilder *b, Pair z)
{
    MathValue one = b->constant(b, 1);
    MathValue sum = b->add(b, z.high, one);
    MathValue exponent = exponent_of(b, sum);
    MathValue ones = b->integer(b, ONE_BITS);
    MathValue scale = b->from_bits(b, b->isub(b, ones, b->shift_left(b, exponent, MANTISSA_BITS)));
    MathValue f = b->fma(b, z.high, scale, b->sub(b, scale, one));
    MathValue large = b->compare(b, '>', false, z.high, b->constant(b, huge));
    f = b->select(b, large, b->sub(b, scaled_down(b, sum, exponent), one), f);
    MathValue low = NULL;
    if (z.low)
        low = b->select(b, large, b->constant(b, 0), b->mul(b, z.low, scale));
    return math_log_core(b, (Split){b->to_real(b, exponent), f, low});
}

MathValue math_log1p(MathBuilder *b, MathValue const *args, bool integer)
{
    if (b->real64)
        return b->library(b, "log1p", args, 1);
    MathValue y = log1p_core(b, (Pair){args[0], NULL});
    y = with_special_cases(b, b->add(b, args[0], b->constant(b, 1)), y);
    return math_if_small(b, args[0], 0x1p-25, y);
}

/* log(1 + z); where x is huge, so that z has overflowed, log(2x). */
static MathValue log1p_or_log_twice(MathBuilder *b, Pair z, MathValue x)
{
    MathValue is_huge = b->compare(b, '>', false, x, b->constant(b, huge));
    MathValue y = log1p_core(b, (Pair){b->select(b, is_huge, x, z.high), z.low});
    return b->add(b, y, b->select(b, is_huge, b->constant(b, ln2), b->constant(b, 0)));
}

/* Above 1/2: log(1 + z), z = a + a^2 / (1 + sqrt(1 + a^2)). */
MathValue math_asinh(MathBuilder *b, MathValue const *args, bool integer)
{
    if (b->real64)
        return b->library(b, "asinh", args, 1);
    MathValue a = b->abs(b, args[0]), one = b->constant(b, 1);
    MathValue square = b->mul(b, a, a);
    MathValue series = b->fma(b, b->mul(b, square, a), MATH_POLYNOMIAL(b, square, asinh_small), a);
    MathValue root = b->sqrt(b, b->add(b, square, one));
    Pair z = math_two_sum(b, a, b->div(b, square, b->add(b, root, one)));
    MathValue y = log1p_or_log_twice(b, z, a);
    y = b->select(b, b->compare(b, '<', false, a, b->constant(b, INFINITY)), y, a);
    y = b->select(b, b->compare(b, '<', false, a, b->constant(b, 0.5)), series, y);
    return b->copysign(b, y, args[0]);
}

/* log(1 + z), z = t + sqrt(2t + t^2), t = x - 1 exact. */
MathValue math_acosh(MathBuilder *b, MathValue const *args, bool integer)
{
    if (b->real64)
        return b->library(b, "acosh", args, 1);
    MathValue x = args[0];
    MathValue t = b->sub(b, x, b->constant(b, 1));
    MathValue radicand = b->fma(b, t, t, b->add(b, t, t));
    MathValue root = b->sqrt(b, radicand);
    MathValue residual = b->fma(b, b->neg(b, root), root, radicand);
    Pair z = math_two_sum(b, root, t);
    MathValue twice = b->fma(b, root, b->constant(b, 2), b->constant(b, 0x1p-126)); /* never 0 */
    z.low = b->add(b, z.low, b->div(b, residual, twice));
    MathValue y = log1p_or_log_twice(b, z, x);
    y = b->select(b, b->compare(b, '<', false, x, b->constant(b, INFINITY)), y, x);
    MathValue undefined = b->compare(b, '<', false, x, b->constant(b, 1));
    return b->select(b, undefined, b->constant(b, NAN), y);
}

/* Above 1/2, where 1 - a is exact: log(1 + 2a / (1 - a)) / 2. */
MathValue math_atanh(MathBuilder *b, MathValue const *args, bool integer)
{
    if (b->real64)
        return b->library(b, "atanh", args, 1);
    MathValue a = b->abs(b, args[0]), one = b->constant(b, 1);
    MathValue square = b->mul(b, a, a);
    MathValue series = b->fma(b, b->mul(b, square, a), MATH_POLYNOMIAL(b, square, atanh_small), a);
    MathValue ratio = b->div(b, b->add(b, a, a), b->sub(b, one, a));
    MathValue y = b->mul(b, log1p_core(b, (Pair){ratio, NULL}), b->constant(b, 0.5));
    y = b->select(b, b->compare(b, '=', false, a, one), b->constant(b, INFINITY), y);
    MathValue defined = b->compare(b, '<', true, a, one);
    y = b->select(b, defined, y, b->constant(b, NAN));
    y = b->select(b, b->compare(b, '<', false, a, b->constant(b, 0.5)), series, y);
    return b->copysign(b, y, args[0]);
}
