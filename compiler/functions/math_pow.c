/* pow: 2^(y log2 |x|), with the logarithm and the product as pairs, so that an exponent of 128
 * keeps its last bits; then the signs and special cases of C's powf. */
#include "functions/lowering.h"

#include <math.h>

/* log2((1+s)/(1-s)) = 2/ln2 (s + s^3 k(s^2)) on |s| <= 0.2; k(t) = 1/3 + t p(t), degree 2, relative
 * error of the whole 2^-34.5. */
static const double third_high = 0.333333343, third_low = -9.93410776e-09;
static const double atanh_terms[] = {0.200001955, 0.142628208, 0.119361363};
static const double two_log2e_high = 2.88539004, two_log2e_low = 3.85192607e-08;
/* 2^r = 1 + r p(r) on |r| <= 1, degree 7, relative error 2^-30.0. */
static const double exp2_terms[] = {
    0.693147182,   0.240226507,    0.0555041134,   0.00961811189,
    0.00133326766, 0.000154075795, 1.54353711e-05, 1.30448359e-06,
};

/* The product of two pairs, to about 46 bits. */
static Pair multiply(MathBuilder *b, Pair x, Pair y)
{
    Pair p = math_two_product(b, x.high, y.high);
    p.low = b->fma(b, x.high, y.low, b->fma(b, x.low, y.high, p.low));
    return math_two_sum(b, p.high, p.low);
}

/* f / (2 + f); the residual makes good what the rounded reciprocal spoils. */
static Pair half_ratio(MathBuilder *b, MathValue f)
{
    Pair divisor = math_two_sum(b, b->constant(b, 2), f);
    MathValue reciprocal = b->div(b, b->constant(b, 1), divisor.high);
    MathValue s = b->mul(b, f, reciprocal), minus = b->neg(b, s);
    MathValue residual = b->fma(b, minus, divisor.low, b->fma(b, minus, divisor.high, f));
    return (Pair){s, b->mul(b, residual, reciprocal)};
}

/* log2 x for finite x > 0, as a pair. */
static Pair log2_pair(MathBuilder *b, MathValue x)
{
    Split split = math_split(b, x);
    Pair s = half_ratio(b, split.fraction);
    Pair square = multiply(b, s, s);
    MathValue rest = b->mul(b, square.high, MATH_POLYNOMIAL(b, square.high, atanh_terms));
    Pair k = math_two_sum(b, b->constant(b, third_high), rest);
    k.low = b->add(b, k.low, b->constant(b, third_low));
    Pair cube = multiply(b, multiply(b, s, square), k);
    Pair sum = math_two_sum(b, s.high, cube.high);
    sum.low = b->add(b, sum.low, b->add(b, s.low, cube.low));
    Pair factor = {b->constant(b, two_log2e_high), b->constant(b, two_log2e_low)};
    Pair log = multiply(b, sum, factor);
    Pair total = math_two_sum(b, split.exponent, log.high);
    /* exponent 0: the order of the operands is wrong, but the sum is exact without a low part */
    total.low = b->add(b, total.low, log.low);
    return math_two_sum(b, total.high, total.low);
}

/* 2^(p.high + p.low); beyond ±200 it is infinity or 0 whatever the low part, which may be NaN. */
static MathValue exp2_pair(MathBuilder *b, Pair p)
{
    MathValue inside = b->compare(b, '<', false, b->abs(b, p.high), b->constant(b, 200));
    MathValue low = b->select(b, inside, p.low, b->constant(b, 0));
    MathValue high = math_clamp(b, p.high, -200, 200);
    Rounded k = math_round(b, high, 0.5);
    MathValue twice = b->add(b, k.real, k.real);
    MathValue r = b->add(b, b->sub(b, high, twice), low);
    MathValue e = b->fma(b, r, MATH_POLYNOMIAL(b, r, exp2_terms), b->constant(b, 1));
    MathValue scale = math_power_of_two(b, k, 0);
    return b->mul(b, b->mul(b, e, scale), scale);
}

/* |x|^y for any x and y but 1^y and x^0. */
static MathValue magnitude_power(MathBuilder *b, MathValue a, MathValue y)
{
    Pair log = log2_pair(b, a);
    MathValue zero = b->constant(b, 0), infinity = b->constant(b, INFINITY);
    MathValue finite = b->compare(b, '<', false, a, infinity); /* not NaN either */
    MathValue pole = b->compare(b, '=', false, a, zero);
    log.high = b->select(b, finite, log.high, a);
    log.high = b->select(b, pole, b->constant(b, -INFINITY), log.high);
    Pair p = math_two_product(b, log.high, y);
    p.low = b->fma(b, log.low, y, p.low);
    return exp2_pair(b, p);
}

MathValue math_pow(MathBuilder *b, MathValue const *args, bool integer)
{
    if (b->real64)
        return b->library(b, "pow", args, 2);
    MathValue x = args[0], y = args[1];
    MathValue zero = b->constant(b, 0), one = b->constant(b, 1);
    MathValue a = b->abs(b, x), half = b->mul(b, y, b->constant(b, 0.5));
    MathValue result = magnitude_power(b, a, y);

    MathValue negative = math_is_negative(b, x);
    MathValue whole = b->compare(b, '=', false, b->floor(b, y), y);
    MathValue odd = b->both(b, whole, b->compare(b, '!', false, b->floor(b, half), half));
    result = b->select(b, b->compare(b, '=', false, a, one), one, result); /* also 1^NaN */
    result = b->select(b, b->both(b, negative, odd), b->neg(b, result), result);

    MathValue below = b->compare(b, '<', false, x, zero);
    MathValue finite = b->compare(b, '<', false, a, b->constant(b, INFINITY));
    MathValue undefined = b->both(b, b->both(b, below, finite), b->invert(b, whole));
    result = b->select(b, undefined, b->constant(b, NAN), result); /* NaN is not whole: (-1)^NaN */
    return b->select(b, b->compare(b, '=', false, y, zero), one, result);
}
