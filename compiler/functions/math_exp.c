/* exp, expm1, sinh, cosh, tanh.
 * The argument is n ln2 + r; ln2 is split so that n times its high part is exact. */
#include "functions/lowering.h"

static const double ln2_high = 0.693147182, ln2_low = -1.90465421e-09;
static const double log2e = 1.44269504088896340736;

/* e^r = 1 + r q(r) on |r| <= ln 2, degree 6, relative error 2^-26.0. */
static const double exp_wide[] = {
    1, 0.500000358, 0.16666618, 0.0416612327, 0.00833593681, 0.00141046767, 0.000196292181,
};
/* e^r = 1 + r + r^2 q(r) on |r| <= ln2 / 2, degree 4, error of e^r - 1 relative 2^-26.1. */
static const double expm1_narrow[] = {
    0.49999997, 0.166665465, 0.0416674353, 0.00836627278, 0.00138707133,
};
/* e^r = 1 + r q(r) on |r| <= ln2 / 2, degree 5, relative error 2^-28.2. */
static const double exp_narrow[] = {
    1, 0.49999994, 0.166665211, 0.0416682772, 0.0083686877, 0.00138198107,
};
/* tanh x = x + x^3 t(x^2) on |x| <= 0.6, degree 4, relative error 2^-28.4. */
static const double tanh_small[] = {
    -0.333332986, 0.133319363, -0.0537847169, 0.0207986254, -0.00589796668,
};
/* sinh r = r + r^3 s(r^2) on |r| <= ln2 / 2, degree 2, relative error 2^-34. */
static const double sinh_narrow[] = {0.166666672, 0.00833317544, 0.00019974068};
/* cosh r = 1 + r^2 c(r^2) on the same, degree 2, relative error 2^-33. */
static const double cosh_narrow[] = {0.5, 0.0416664593, 0.00139354379};

/* x - n ln2; the high part is exact. */
static Pair reduce(MathBuilder *b, Pair x, MathValue n)
{
    MathValue minus_low = b->constant(b, -ln2_low);
    return (Pair){
        b->fma(b, n, b->constant(b, -ln2_high), x.high),
        x.low ? b->fma(b, n, minus_low, x.low) : b->mul(b, n, minus_low),
    };
}

Exponent math_exponent(MathBuilder *b, Pair x)
{
    Rounded n = math_round(b, x.high, log2e);
    Pair r = reduce(b, x, n.real);
    MathValue sum = b->add(b, r.high, r.low);
    MathValue square = b->mul(b, sum, sum);
    return (Exponent){n, {r.high, b->fma(b, square, MATH_POLYNOMIAL(b, sum, expm1_narrow), r.low)}};
}

/* x = 2k ln2 + r: an even power of two costs two terms of the polynomial more and is multiplied
 * in twice, which reaches infinity and the subnormal numbers with one rounding and no test. */
MathValue math_exp_core(MathBuilder *b, MathValue x)
{
    Rounded k = math_round(b, x, log2e / 2);
    MathValue r = b->fma(b, k.real, b->constant(b, -2 * ln2_high), x);
    r = b->fma(b, k.real, b->constant(b, -2 * ln2_low), r);
    MathValue e = b->fma(b, r, MATH_POLYNOMIAL(b, r, exp_wide), b->constant(b, 1));
    MathValue scale = math_power_of_two(b, k, 0);
    return b->mul(b, b->mul(b, e, scale), scale);
}

MathValue math_exp(MathBuilder *b, MathValue const *args, bool integer)
{
    if (b->real64)
        return b->library(b, "exp", args, 1);
    return math_exp_core(b, math_clamp(b, args[0], -105, 89)); /* beyond: 0 and infinity */
}

/* (e^x - 1) / 2, as (s - 1/2 + s r) + s (e^r - 1 - r) with s = 2^(n-1). */
static MathValue half_expm1(MathBuilder *b, MathValue x)
{
    Exponent e = math_exponent(b, (Pair){x, NULL});
    MathValue scale = math_power_of_two(b, e.n, -1);
    MathValue large = b->fma(b, scale, e.less_1.high, b->sub(b, scale, b->constant(b, 0.5)));
    return b->fma(b, scale, e.less_1.low, large);
}

MathValue math_expm1(MathBuilder *b, MathValue const *args, bool integer)
{
    if (b->real64)
        return b->library(b, "expm1", args, 1);
    MathValue half = half_expm1(b, math_clamp(b, args[0], -20, 89));
    return math_if_small(b, args[0], 0x1p-25, b->add(b, half, half));
}

/* Up to 0.6 a series; above, 1 - 2 / (e^2|x| + 1), which beyond 9.2 is 1 in f32. */
MathValue math_tanh(MathBuilder *b, MathValue const *args, bool integer)
{
    if (b->real64)
        return b->library(b, "tanh", args, 1);
    MathValue x = args[0], one = b->constant(b, 1);
    MathValue square = b->mul(b, x, x);
    MathValue near = b->fma(b, b->mul(b, square, x), MATH_POLYNOMIAL(b, square, tanh_small), x);
    MathValue a = b->minimum(b, b->abs(b, x), b->constant(b, 9.2));
    Rounded n = math_round(b, a, 2 * log2e);
    MathValue r = b->fma(b, n.real, b->constant(b, -ln2_high), b->add(b, a, a));
    MathValue e = b->fma(b, r, MATH_POLYNOMIAL(b, r, exp_narrow), one);
    MathValue divisor = b->fma(b, e, math_power_of_two(b, n, 0), one);
    MathValue far = b->sub(b, one, b->div(b, b->constant(b, 2), divisor));
    return b->select(b, b->compare(b, '<', false, a, b->constant(b, 0.6)), near,
                     b->copysign(b, far, x));
}

/* Half of sinh a or cosh a for a = n ln2 + r >= 0, as (A + B r) + (A (cosh r - 1) + B (sinh r - r)), where
 * A is 2^(n-2) ∓ 2^(-n-2) and B is with the other sign.  Half, for 2^n overflows too early. */
static MathValue half_hyperbolic(MathBuilder *b, MathValue a, bool cosine)
{
    Rounded n = math_round(b, a, log2e);
    Pair r = reduce(b, (Pair){a, NULL}, n.real);
    MathValue sum = b->add(b, r.high, r.low);
    MathValue square = b->mul(b, sum, sum);
    MathValue sine =
        b->fma(b, b->mul(b, square, sum), MATH_POLYNOMIAL(b, square, sinh_narrow), r.low);
    MathValue cosine_less_1 = b->mul(b, square, MATH_POLYNOMIAL(b, square, cosh_narrow));
    MathValue up = math_power_of_two(b, n, -2);
    MathValue down_bits = b->isub(b, b->integer(b, (int64_t)250 << 23), b->bits(b, up));
    MathValue none = b->integer(b, 0); /* n > 125: 2^(-n-2) is nothing beside 2^(n-2) */
    MathValue exists = b->icompare(b, '>', false, down_bits, none);
    MathValue down = b->from_bits(b, b->select(b, exists, down_bits, none));
    MathValue same = cosine ? down : b->neg(b, down);
    Pair A = math_two_sum(b, up, same);
    MathValue B = b->sub(b, up, same);
    MathValue large = b->fma(b, B, r.high, A.high);
    return b->add(b, large, b->fma(b, B, sine, b->fma(b, A.high, cosine_less_1, A.low)));
}

MathValue math_sinh(MathBuilder *b, MathValue const *args, bool integer)
{
    if (b->real64)
        return b->library(b, "sinh", args, 1);
    MathValue a = b->minimum(b, b->abs(b, args[0]), b->constant(b, 89.6));
    MathValue half = b->mul(b, half_hyperbolic(b, a, false), b->constant(b, 2));
    return math_if_small(b, args[0], 0x1p-12, b->copysign(b, half, args[0]));
}

MathValue math_cosh(MathBuilder *b, MathValue const *args, bool integer)
{
    if (b->real64)
        return b->library(b, "cosh", args, 1);
    MathValue a = b->minimum(b, b->abs(b, args[0]), b->constant(b, 89.6));
    return b->mul(b, half_hyperbolic(b, a, true), b->constant(b, 2));
}
