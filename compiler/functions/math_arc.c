/* asin, acos, atan, atan2. */
#include "functions/lowering.h"

#include <math.h>

static const double pi_high = 3.14159274, pi_low = -8.74227766e-08;

/* atan z = z + z^3 p(z^2) on |z| <= 1, degree 8, relative error 2^-28.5. */
static const double atan_terms[] = {
    -0.333332986, 0.199985296,   -0.142640159, 0.109508812,    -0.0839931294,
    0.0578816198, -0.0310973693, 0.0108689955, -0.00178291881,
};
/* asin z = z + z^3 p(z^2) on |z| <= 1/2, degree 5, relative error 2^-31.7. */
static const double asin_terms[] = {
    0.166666597, 0.0750052184, 0.0445133746, 0.0318391062, 0.0143146403, 0.0376974531,
};

/* turns * pi - y, the low part of pi included. */
static MathValue from_multiple_of_pi(MathBuilder *b, double turns, MathValue y)
{
    MathValue rest = b->sub(b, b->constant(b, turns * pi_low), y);
    return b->add(b, b->constant(b, turns * pi_high), rest);
}

static MathValue odd_series(MathBuilder *b, MathValue z, MathValue square, MathValue series)
{
    return b->fma(b, b->mul(b, square, z), series, z);
}

static MathValue atan_core(MathBuilder *b, MathValue z)
{
    MathValue square = b->mul(b, z, z);
    return odd_series(b, z, square, MATH_POLYNOMIAL(b, square, atan_terms));
}

MathValue math_atan(MathBuilder *b, MathValue const *args, bool integer)
{
    if (b->real64)
        return b->library(b, "atan", args, 1);
    MathValue a = b->abs(b, args[0]), one = b->constant(b, 1);
    MathValue steep = b->compare(b, '>', false, a, one);
    MathValue y = atan_core(b, b->select(b, steep, b->div(b, one, a), a));
    y = b->select(b, steep, from_multiple_of_pi(b, 0.5, y), y);
    return b->copysign(b, y, args[0]);
}

/* The smaller over the larger magnitude; 0/0 counts as 0 and infinity/infinity as 1. */
static MathValue slope(MathBuilder *b, MathValue smaller, MathValue larger)
{
    MathValue equal = b->compare(b, '=', false, smaller, larger);
    MathValue none = b->compare(b, '=', false, larger, b->constant(b, 0));
    MathValue z = b->select(b, equal, b->constant(b, 1), b->div(b, smaller, larger));
    return b->select(b, none, b->constant(b, 0), z);
}

MathValue math_atan2(MathBuilder *b, MathValue const *args, bool integer)
{
    if (b->real64)
        return b->library(b, "atan2", args, 2);
    MathValue y = args[0], x = args[1];
    MathValue height = b->abs(b, y), width = b->abs(b, x);
    MathValue z = slope(b, b->minimum(b, height, width), b->maximum(b, height, width));
    MathValue steep = b->compare(b, '>', false, height, width);
    MathValue angle = atan_core(b, z);
    angle = b->select(b, steep, from_multiple_of_pi(b, 0.5, angle), angle);
    angle = b->select(b, math_is_negative(b, x), from_multiple_of_pi(b, 1, angle), angle);
    return b->copysign(b, angle, y);
}

/* For a <= 1/2 asin a; above, half of acos a, as asin sqrt((1 - a) / 2).  As a pair. */
static Pair asin_core(MathBuilder *b, MathValue a, MathValue outer)
{
    MathValue half = b->constant(b, 0.5);
    MathValue rest = b->fma(b, a, b->constant(b, -0.5), half); /* exact above 1/2 */
    MathValue square = b->select(b, outer, rest, b->mul(b, a, a));
    MathValue z = b->select(b, outer, b->sqrt(b, rest), a);
    return (Pair){z, b->mul(b, b->mul(b, square, z), MATH_POLYNOMIAL(b, square, asin_terms))};
}

MathValue math_asin(MathBuilder *b, MathValue const *args, bool integer)
{
    if (b->real64)
        return b->library(b, "asin", args, 1);
    MathValue a = b->abs(b, args[0]), minus_two = b->constant(b, -2);
    MathValue outer = b->compare(b, '>', false, a, b->constant(b, 0.5));
    Pair y = asin_core(b, a, outer);
    Pair large = math_two_sum(b, b->constant(b, pi_high / 2), b->mul(b, y.high, minus_two));
    MathValue small = b->add(b, large.low, b->constant(b, pi_low / 2));
    MathValue far = b->add(b, large.high, b->fma(b, y.low, minus_two, small));
    return b->copysign(b, b->select(b, outer, far, b->add(b, y.high, y.low)), args[0]);
}

MathValue math_acos(MathBuilder *b, MathValue const *args, bool integer)
{
    if (b->real64)
        return b->library(b, "acos", args, 1);
    MathValue x = args[0], a = b->abs(b, x);
    MathValue outer = b->compare(b, '>', false, a, b->constant(b, 0.5));
    Pair core = asin_core(b, a, outer);
    MathValue y = b->add(b, core.high, core.low), twice = b->add(b, y, y);
    MathValue near = from_multiple_of_pi(b, 0.5, b->copysign(b, y, x));
    MathValue far = b->select(b, math_is_negative(b, x), from_multiple_of_pi(b, 1, twice), twice);
    return b->select(b, outer, far, near);
}
