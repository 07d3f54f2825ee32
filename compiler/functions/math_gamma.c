/* lgamma, digamma and the zeta function of Hurwitz, which their further derivatives are made of.
 * Each region of the argument has its own form, chosen so that nothing cancels for x > 0. */
#include "functions/lowering.h"

#include <math.h>

static const double pi = 3.14159274;
static const double log_pi = 1.14472985;

/* ---- lgamma ------------------------------------------------------------------------------------------ */

/* log Gamma(x) = (x-1) (x-2) p(x-1) on 1/2 … 3/2, degree 14, relative error 2^-26.4. */
static const double gamma_one[] = {
    0.577215672,   -0.245251372,  0.155431747,   -0.115145452, 0.0923959836,
    -0.0773750618, 0.0630649775,  -0.0576655269, 0.0932768509, -0.0575891733,
    -0.188076839,  0.00380244013, 0.685570002,   -0.116226323, -0.667019129,
};
/* The same by p(x - center) on 3/2 … 3, degree 10, relative error 2^-29.8: about 9/4, where p is all but
 * a number of f32. */
static const double gamma_center = 2.2500112056732178;
static const double gamma_two[] = {
    0.399588525,    -0.085880287,    0.0252680723,   -0.00846370123,  0.00304099801, -0.00114265655,
    0.000441190234, -0.000167494567, 6.73542672e-05, -3.77646538e-05, 1.514629e-05,
};
/* log Gamma(x) = (x - 1/2) (log x - 1) + log(2 pi)/2 - 1/2 + p(1/x^2)/x from 8 on, degree 1, 2^-31. */
static const double stirling[] = {0.083333306, -0.00276470417};
static const double stirling_constant = 0.418938547;
static const double stirling_from = 8;

/* log Gamma(x) for 1/2 <= x < 3. */
static MathValue lgamma_near(MathBuilder *b, MathValue x)
{
    MathValue less_1 = b->sub(b, x, b->constant(b, 1));
    MathValue low = MATH_POLYNOMIAL(b, less_1, gamma_one);
    MathValue high = MATH_POLYNOMIAL(b, b->sub(b, x, b->constant(b, gamma_center)), gamma_two);
    MathValue p = b->select(b, b->compare(b, '<', false, x, b->constant(b, 1.5)), low, high);
    return b->mul(b, less_1, b->fma(b, less_1, p, b->neg(b, p)));
}

/* (x-1) (x-2) … down to what lies between 2 and 3, for 3 <= x < 8; that is left in *x. */
static MathValue lowered_product(MathBuilder *b, MathValue *x)
{
    MathValue product = b->constant(b, 1), rest = *x;
    for (int i = 0; i < 5; i++) {
        MathValue more = b->compare(b, '>', true, rest, b->constant(b, 3));
        MathValue next = b->sub(b, rest, b->constant(b, 1));
        product = b->select(b, more, b->mul(b, product, next), product);
        rest = b->select(b, more, next, rest);
    }
    *x = rest;
    return product;
}

/* log Gamma(x) for x >= 0; `negative` says where that of -x, x < 1/2, is wanted.  Below 1/2 it is
 * log Gamma(1 + x) - log x, and from 3 to 8 log Gamma(x - k) + log (x-1)…(x-k). */
static MathValue lgamma_positive(MathBuilder *b, MathValue x, MathValue negative)
{
    MathValue one = b->constant(b, 1), half = b->constant(b, 0.5);
    MathValue is_small = b->compare(b, '<', false, x, half);
    MathValue is_large = b->compare(b, '>', true, x, b->constant(b, stirling_from));
    MathValue beside =
        b->select(b, is_small, b->add(b, one, b->select(b, negative, b->neg(b, x), x)),
                  b->select(b, is_large, b->constant(b, 2), x));
    MathValue product = lowered_product(b, &beside);
    MathValue near = lgamma_near(b, beside);
    Split s = math_split(b, b->select(b, b->either(b, is_small, is_large), x, product));
    MathValue log = math_log_core(b, s);
    MathValue y = b->add(b, near, b->select(b, is_small, b->neg(b, log), log));
    MathValue direct = b->compare(b, '<', false, x, b->constant(b, 3));
    y = b->select(b, b->both(b, direct, b->invert(b, is_small)), near, y);
    MathValue inverse = b->div(b, one, x);
    MathValue tail = b->mul(b, inverse, MATH_POLYNOMIAL(b, b->mul(b, inverse, inverse), stirling));
    Pair less_1 = math_log_less_1(b, s);
    MathValue factor = b->sub(b, x, half),
              rest = b->add(b, tail, b->constant(b, stirling_constant));
    MathValue far = b->fma(b, factor, less_1.high, b->fma(b, factor, less_1.low, rest));
    y = b->select(b, is_large, far, y);
    y = b->select(b, b->compare(b, '=', false, x, b->constant(b, 0)), b->constant(b, INFINITY), y);
    return b->select(b, b->compare(b, '<', false, x, b->constant(b, INFINITY)), y, x);
}

/* sin(pi x) for x >= 0, of either sign: the distance from the nearest integer is exact. */
static MathValue sin_pi(MathBuilder *b, MathValue x)
{
    MathValue r = b->mul(b, b->sub(b, x, b->round_even(b, x)), b->constant(b, pi));
    return math_sin(b, &r, false);
}

/* |Gamma(-x)| = pi / (x |sin(pi x)| Gamma(x)) from 1/2 on. */
static MathValue lgamma_reflected(MathBuilder *b, MathValue const *args)
{
    MathValue x = b->abs(b, args[0]), no = b->compare(b, '<', false, x, b->constant(b, 0));
    MathValue area = b->mul(b, x, b->abs(b, sin_pi(b, x)));
    MathValue log = math_log(b, &area, false);
    MathValue y = b->sub(b, b->constant(b, log_pi), b->add(b, log, lgamma_positive(b, x, no)));
    MathValue pole = b->compare(b, '=', false, area, b->constant(b, 0));
    MathValue infinite = b->compare(b, '=', false, x, b->constant(b, INFINITY));
    return b->select(b, b->either(b, pole, infinite), b->constant(b, INFINITY), y);
}

MathValue math_lgamma(MathBuilder *b, MathValue const *args, bool integer)
{
    if (b->real64)
        return b->library(b, "lgamma", args, 1);
    MathValue x = args[0], negative = b->compare(b, '<', false, x, b->constant(b, 0));
    MathValue y = lgamma_positive(b, b->abs(b, x), negative);
    MathValue far = b->compare(b, '<', true, x, b->constant(b, -0.5));
    return math_rarely(b, far, y, lgamma_reflected, x);
}

/* ---- digamma ------------------------------------------------------------------------------------------- */

/* psi(x) = (x - root) p(x - 11/8) on 3/4 … 2, degree 13, relative error 2^-25.9. */
static const double psi_root_high = 1.4616321325302124, psi_root_low = 1.24381501e-08;
static const double psi_one[] = {
    1.00808287,   -0.491545469,  0.306480438,   -0.207433209,  0.145370498,
    -0.103713989, 0.0753758997,  -0.0542076789, 0.0362643749,  -0.027695585,
    0.0241972785, -0.0145350704, 0.0140560549,  -0.0127819236,
};
/* psi(x) = p(x - 3) on 2 … 4, degree 11, relative error 2^-27.0. */
static const double psi_three[] = {
    0.922784328,     0.394934058,   -0.0770565942,   0.0198234804,
    -0.00568003813,  0.00171632878, -0.000531049212, 0.000175821202,
    -6.05638852e-05, 1.2435069e-05, -5.07517598e-06, 4.54605242e-06,
};
/* psi(x) = log x - 1/(2x) + p(1/x^2)/x^2 from 4 on, degree 3, error 2^-36. */
static const double psi_far[] = {-0.0833333284, 0.00833250396, -0.00392545573, 0.00326796947};

/* psi(x) for 3/4 <= x. */
static MathValue digamma_positive(MathBuilder *b, MathValue x)
{
    MathValue from_root =
        b->sub(b, b->sub(b, x, b->constant(b, psi_root_high)), b->constant(b, psi_root_low));
    MathValue y =
        b->mul(b, from_root, MATH_POLYNOMIAL(b, b->sub(b, x, b->constant(b, 1.375)), psi_one));
    MathValue middle = MATH_POLYNOMIAL(b, b->sub(b, x, b->constant(b, 3)), psi_three);
    y = b->select(b, b->compare(b, '<', false, x, b->constant(b, 2)), y, middle);
    MathValue inverse = b->div(b, b->constant(b, 1), x);
    MathValue square = b->mul(b, inverse, inverse);
    MathValue small = b->mul(b, square, MATH_POLYNOMIAL(b, square, psi_far));
    small = b->fma(b, inverse, b->constant(b, -0.5), small);
    MathValue far = b->add(b, math_log(b, &x, false), small);
    return b->select(b, b->compare(b, '<', false, x, b->constant(b, 4)), y, far);
}

/* pi / tan(pi x), from the nearer of a pole and the middle between two; at a pole NaN. */
static MathValue cotangent(MathBuilder *b, MathValue x)
{
    MathValue one = b->constant(b, 1), r = b->sub(b, x, b->round_even(b, x));
    MathValue distance = b->abs(b, r), opposite = b->sub(b, b->constant(b, 0.5), distance);
    MathValue near = b->compare(b, '<', true, distance, b->constant(b, 0.25));
    MathValue half_turn = b->constant(b, b->real64 ? M_PI : pi);
    MathValue angle = b->mul(b, b->select(b, near, distance, opposite), half_turn);
    MathValue t = math_tan(b, &angle, false);
    t = b->copysign(b, b->select(b, near, b->div(b, one, t), t), r);
    MathValue pole = b->compare(b, '=', false, r, b->constant(b, 0));
    return b->select(b, pole, b->constant(b, NAN), b->mul(b, t, half_turn));
}

/* psi(1 - x) - pi / tan(pi x). */
static MathValue digamma_reflected(MathBuilder *b, MathValue const *args)
{
    MathValue mirrored = b->sub(b, b->constant(b, 1), args[0]);
    return b->sub(b, digamma_positive(b, mirrored), cotangent(b, args[0]));
}

/* Between -1/4 and 3/4: psi(1 + x) - 1/x. */
static MathValue digamma_single(MathBuilder *b, MathValue x)
{
    MathValue one = b->constant(b, 1);
    MathValue near = b->compare(b, '<', false, b->abs(b, b->sub(b, x, b->constant(b, 0.25))),
                                b->constant(b, 0.5));
    MathValue y = digamma_positive(b, b->select(b, near, b->add(b, one, x), x));
    y = b->select(b, near, b->sub(b, y, b->div(b, one, x)), y);
    MathValue far = b->compare(b, '<', true, x, b->constant(b, -0.25));
    return math_rarely(b, far, y, digamma_reflected, x);
}

/* Ten steps up where x is below ten, then Stirling's series. */
static MathValue digamma_double(MathBuilder *b, MathValue x)
{
    static const double series[] = {-1 / 12.0,  1 / 120.0,     -1 / 252.0, 1 / 240.0,
                                    -1 / 132.0, 691 / 32760.0, -1 / 12.0};
    MathValue one = b->constant(b, 1), sum = b->constant(b, 0), negative, reflected = x;
    negative = b->compare(b, '<', false, x, sum);
    x = b->select(b, negative, b->sub(b, one, x), x);
    for (int i = 0; i < 10; i++) {
        MathValue below = b->compare(b, '<', false, x, b->constant(b, 10));
        sum = b->select(b, below, b->add(b, sum, b->div(b, one, x)), sum);
        x = b->select(b, below, b->add(b, x, one), x);
    }
    MathValue inverse = b->div(b, one, x), square = b->mul(b, inverse, inverse);
    MathValue tail = b->fma(b, square, MATH_POLYNOMIAL(b, square, series),
                            b->mul(b, inverse, b->constant(b, -0.5)));
    MathValue y = b->sub(b, b->add(b, b->library(b, "log", &x, 1), tail), sum);
    return b->select(b, negative, b->sub(b, y, cotangent(b, reflected)), y);
}

MathValue math_digamma(MathBuilder *b, MathValue const *args, bool integer)
{
    return b->real64 ? digamma_double(b, args[0]) : digamma_single(b, args[0]);
}

/* ---- zeta ---------------------------------------------------------------------------------------------- */

/* B(2k) / (2k)! */
static const double euler_maclaurin[] = {
    1 / 12.0,          -1 / 720.0,     1 / 30240.0,
    -1 / 1209600.0,    1 / 47900160.0, -691 / 1307674368000.0,
    1 / 74724249600.0,
};

/* sum[k] (x + k)^-s by Euler's and Maclaurin's formula from x + count on. */
MathValue math_zeta(MathBuilder *b, MathValue const *args, bool integer)
{
    const int count = b->real64 ? 12 : 6, terms = b->real64 ? 7 : 3;
    MathValue s = args[0], x = args[1], one = b->constant(b, 1), sum = b->constant(b, 0);
    MathValue minus_s = b->neg(b, s);
    for (int k = count - 1; k >= 0; k--)
        sum = b->add(b, sum,
                     math_pow(b, (MathValue[]){b->add(b, x, b->constant(b, k)), minus_s}, false));
    MathValue end = b->add(b, x, b->constant(b, count)), inverse = b->div(b, one, end);
    MathValue square = b->mul(b, inverse, inverse);
    MathValue rising = b->mul(b, s, square); /* s (s+1) … (s+2k) / end^(2k+2) */
    MathValue rest = b->fma(b, inverse, b->constant(b, 0.5), b->div(b, one, b->sub(b, s, one)));
    for (int k = 0; k < terms; k++) {
        rest = b->fma(b, rising, b->constant(b, euler_maclaurin[k]), rest);
        MathValue next = b->add(b, s, b->constant(b, 2 * k + 1));
        rising = b->mul(b, rising, b->mul(b, square, b->mul(b, next, b->add(b, next, one))));
    }
    MathValue power = math_pow(b, (MathValue[]){end, b->sub(b, one, s)}, false);
    MathValue y = b->fma(b, power, rest, sum), zero = b->constant(b, 0);
    y = b->select(b, b->compare(b, '=', false, power, zero), sum,
                  y); /* where `rest` may overflow */
    y = b->select(b, b->compare(b, '=', false, x, b->constant(b, INFINITY)), zero, y);
    MathValue finite = b->compare(b, '<', false, s, b->constant(b, INFINITY));
    MathValue defined = b->both(b, b->compare(b, '>', true, x, zero),
                                b->both(b, finite, b->compare(b, '>', false, s, one)));
    return b->select(b, defined, y, b->constant(b, NAN));
}
