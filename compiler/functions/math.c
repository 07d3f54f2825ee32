/* Lowering scalar functions to vector code: what the files math_*.c have in common.
 *
 * For f32 every function is branch-free straight-line code in the lanes' own type, with fused
 * multiply-adds, without tables.  It must not be emitted with fast-math flags: residuals such as
 * (x + y) - x are meant.  For f64 the C library is called.
 *
 * The worst error over all 2^32 arguments, in ulp, against the C library in double precision
 * (tests/unit/functions_math_test.c with GRADC_EXHAUSTIVE=1; atan2 and pow: two thousand million pairs):
 *
 *   exp   1.65    log   0.93    sin  1.54    asin  1.11    sinh  1.28    asinh 1.31    erf  1.07
 *   expm1 1.22    log1p 1.54    cos  1.54    acos  1.09    cosh  1.18    acosh 1.78    erfc 1.90
 *   rsqrt 1.49    log2  1.43    tan  1.25    atan  1.35    tanh  1.41    atanh 1.06
 *   pow   1.29    atan2 1.53
 *
 * Of every 4093rd argument: lgamma 1.91 and digamma below 2 for x > 0, both within 6 ulp of the larger of
 * their two terms for x < 0; zeta(s, x) 2 + s.
 *
 * Infinities, NaN, signed zeros and subnormal numbers are as C has them. */
#include "functions/lowering.h"

MathValue math_polynomial(MathBuilder *b, MathValue x, const double *c, int n)
{
    MathValue sum = b->constant(b, c[n - 1]);
    for (int i = n - 2; i >= 0; i--)
        sum = b->fma(b, sum, x, b->constant(b, c[i]));
    return sum;
}

/* Added to a number below 2^22, it leaves the rounded integer in the low bits of the sum. */
static const double rounder = 0x1.8p23;
enum {
    MANTISSA_BITS = 23,
    EXPONENT_BIAS = 127,
};

Rounded math_round(MathBuilder *b, MathValue x, double factor)
{
    MathValue magic = b->constant(b, rounder);
    MathValue sum = b->fma(b, x, b->constant(b, factor), magic);
    return (Rounded){b->sub(b, sum, magic), b->bits(b, sum)};
}

/* The shift drops the rounder's own bits. */
MathValue math_power_of_two(MathBuilder *b, Rounded n, int bias)
{
    MathValue exponent = b->shift_left(b, n.bits, MANTISSA_BITS);
    int64_t one = (int64_t)(EXPONENT_BIAS + bias) << MANTISSA_BITS;
    return b->from_bits(b, b->iadd(b, exponent, b->integer(b, one)));
}

/* In two factors: one alone may be out of range.  The rounder's own bits have to go before n is
 * halved, so they are shifted out and back. */
MathValue math_scale(MathBuilder *b, MathValue value, Rounded n)
{
    MathValue one = b->integer(b, (int64_t)EXPONENT_BIAS << MANTISSA_BITS);
    MathValue whole = b->shift_left(b, n.bits, MANTISSA_BITS);
    MathValue half =
        b->shift_left(b, b->shift_right_signed(b, whole, MANTISSA_BITS + 1), MANTISSA_BITS);
    MathValue rest = b->isub(b, whole, half);
    value = b->mul(b, value, b->from_bits(b, b->iadd(b, half, one)));
    return b->mul(b, value, b->from_bits(b, b->iadd(b, rest, one)));
}

MathValue math_clamp(MathBuilder *b, MathValue x, double low, double high)
{
    return b->minimum(b, b->maximum(b, x, b->constant(b, low)), b->constant(b, high));
}

MathValue math_is_negative(MathBuilder *b, MathValue x)
{
    return b->icompare(b, '<', false, b->bits(b, x), b->integer(b, 0));
}

MathValue math_if_small(MathBuilder *b, MathValue x, double bound, MathValue y)
{
    return b->select(b, b->compare(b, '<', false, b->abs(b, x), b->constant(b, bound)), x, y);
}

MathValue math_rarely(MathBuilder *b, MathValue truth, MathValue common, MathRare *rare,
                      MathValue arg)
{
    if (b->rarely)
        return b->rarely(b, truth, common, rare, &arg, 1);
    return b->select(b, truth, rare(b, &arg), common);
}

Pair math_two_sum(MathBuilder *b, MathValue x, MathValue y)
{
    MathValue sum = b->add(b, x, y);
    return (Pair){sum, b->sub(b, y, b->sub(b, sum, x))};
}

Pair math_two_product(MathBuilder *b, MathValue x, MathValue y)
{
    MathValue product = b->mul(b, x, y);
    return (Pair){product, b->fma(b, x, y, b->neg(b, product))};
}
