/* erf and erfc. */
#include "functions/lowering.h"

/* erf x = x + x p(x^2) on |x| <= 0.9, degree 6, relative error 2^-30. */
static const double erf_small[] = {
    0.128379166,   -0.376126289,    0.112836242,    -0.02685556,
    0.00519175315, -0.000803975272, 7.94310035e-05,
};
/* log erfc t = -t + t p(t) on 0.9 … 4, degree 5, error of erf relative 2^-28.3. */
static const double erfc_log[] = {
    -0.128519952, -0.635699391, -0.105286792, 0.0229059681, -0.00321994838, 0.000214590851,
};
/* e^(x^2) erfc x = w p(w), w = 1 / (x + 1.25), on 0.5 … 10.2, degree 9, relative error 2^-26.8. */
static const double erfc_first = 0.564206243;
static const double erfc_others[] = {
    0.704457641, 0.61500752,  -0.129816413, 0.353247434, -6.3621974,
    14.6445198,  -15.4114189, 8.06422997,   -1.67101038,
};

/* Above 0.9: 1 - e^(log erfc); from 4 on it is 1 in f32. */
MathValue math_erf(MathBuilder *b, MathValue const *args, bool integer)
{
    if (b->real64)
        return b->library(b, "erf", args, 1);
    MathValue x = args[0], square = b->mul(b, x, x);
    MathValue near = b->fma(b, x, MATH_POLYNOMIAL(b, square, erf_small), x);
    MathValue t = b->minimum(b, b->abs(b, x), b->constant(b, 4));
    MathValue log = b->fma(b, t, MATH_POLYNOMIAL(b, t, erfc_log), b->neg(b, t));
    MathValue far = b->sub(b, b->constant(b, 1), math_exp_core(b, log));
    far = b->copysign(b, far, x);
    return b->select(b, b->compare(b, '<', false, t, b->constant(b, 0.9)), near, far);
}

/* w p(w) as a pair, and what is missing of it, relatively, for w is rounded. */
static Pair erfc_factor(MathBuilder *b, MathValue x, MathValue *missing)
{
    MathValue offset = b->constant(b, 1.25), one = b->constant(b, 1);
    Pair divisor = math_two_sum(b, b->maximum(b, x, offset), b->minimum(b, x, offset));
    MathValue w = b->div(b, one, divisor.high), minus_w = b->neg(b, w);
    *missing = b->fma(b, minus_w, divisor.low, b->fma(b, minus_w, divisor.high, one));
    Pair others = math_two_product(b, w, MATH_POLYNOMIAL(b, w, erfc_others));
    Pair p = math_two_sum(b, b->constant(b, erfc_first), others.high);
    p.low = b->add(b, p.low, others.low);
    Pair product = math_two_product(b, w, p.high);
    product.low = b->fma(b, w, p.low, product.low);
    return product;
}

/* e^-x^2 w p(w) for x >= 0.5, with the low parts of both factors.  The power of two comes last, for
 * the result may be subnormal. */
static MathValue erfc_far(MathBuilder *b, MathValue x)
{
    MathValue missing;
    Pair factor = erfc_factor(b, x, &missing);
    Pair square = math_two_product(b, x, x);
    Exponent e = math_exponent(b, (Pair){b->neg(b, square.high), b->neg(b, square.low)});
    MathValue r = e.less_1.high;
    MathValue small = b->add(b, e.less_1.low, missing);
    small = b->fma(b, factor.high, small, b->fma(b, factor.low, r, factor.low));
    Pair linear = math_two_product(b, factor.high, r);
    Pair large = math_two_sum(b, factor.high, linear.high);
    small = b->add(b, small, b->add(b, large.low, linear.low));
    return math_scale(b, b->add(b, large.high, small), e.n);
}

/* Beyond 10.2 it is 0 in f32, below -10.2 it is 2. */
MathValue math_erfc(MathBuilder *b, MathValue const *args, bool integer)
{
    if (b->real64)
        return b->library(b, "erfc", args, 1);
    MathValue x = args[0], square = b->mul(b, x, x);
    MathValue a = b->minimum(b, b->abs(b, x), b->constant(b, 10.2));
    MathValue far = erfc_far(b, a);
    far = b->select(b, math_is_negative(b, x), b->sub(b, b->constant(b, 2), far), far);
    MathValue rest = b->sub(b, b->constant(b, 1), x);
    MathValue near = b->fma(b, b->neg(b, x), MATH_POLYNOMIAL(b, square, erf_small), rest);
    return b->select(b, b->compare(b, '<', false, a, b->constant(b, 0.5)), near, far);
}
