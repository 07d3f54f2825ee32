/* sin, cos, tan.
 * Up to 2^17 the argument is reduced by multiples of pi/2 in three parts (Cody and Waite), beyond by
 * its product with enough bits of 1/(2 pi), in integers (Payne and Hanek). */
#include "functions/lowering.h"

#include <math.h>

static const double half_pi_high = 1.57079637, half_pi_middle = -4.37113883e-08,
                    half_pi_low = -1.71512451e-15;
static const double two_over_pi = 0.636619772367581343076;
static const double huge = 0x1p17;

/* sin r = r + r^3 s(r^2) on |r| <= pi/4, degree 2, relative error 2^-27.9. */
static const double sin_terms[] = {-0.166666552, 0.00833218731, -0.000195179018};
/* cos r = 1 - r^2 / 2 + r^4 c(r^2) on the same, degree 2, error 2^-33. */
static const double cos_terms[] = {0.0416666456, -0.00138873013, 2.44306684e-05};
/* tan r = r + r^3 t(r^2) on |r| <= pi/4, degree 6, relative error 2^-29.5. */
static const double tan_terms[] = {
    0.333333492,  0.133326739,    0.0540591739,  0.0212845579,
    0.0108322818, 9.15690325e-05, 0.00437620701,
};

/* x - n pi/2.  The first difference is exact, each of the others rounded once. */
static MathValue reduce(MathBuilder *b, MathValue x, MathValue n)
{
    MathValue minus = b->neg(b, n);
    MathValue r = b->fma(b, minus, b->constant(b, half_pi_high), x);
    r = b->fma(b, minus, b->constant(b, half_pi_middle), r);
    return b->fma(b, minus, b->constant(b, half_pi_low), r);
}

/* The same as a pair, for the tangent, which is steeper.  Near a multiple of pi either term of
 * the second difference may be the larger. */
static Pair reduce_to_pair(MathBuilder *b, MathValue x, MathValue n)
{
    MathValue minus = b->neg(b, n);
    MathValue first = b->fma(b, minus, b->constant(b, half_pi_high), x);
    Pair middle = math_two_product(b, minus, b->constant(b, half_pi_middle));
    MathValue high = b->add(b, first, middle.high);
    MathValue taken = b->sub(b, high, first);
    MathValue low =
        b->add(b, b->sub(b, first, b->sub(b, high, taken)), b->sub(b, middle.high, taken));
    low = b->fma(b, minus, b->constant(b, half_pi_low), b->add(b, low, middle.low));
    return math_two_sum(b, high, low);
}

static MathValue is_odd(MathBuilder *b, MathValue n)
{
    return b->icompare(b, '!', false, b->iand(b, n, b->integer(b, 1)), b->integer(b, 0));
}

/* sin(r + n pi/2), n in the low bits of `quarter`: sine or cosine by its last bit, the sign by the
 * one before. */
static MathValue sin_core(MathBuilder *b, MathValue r, MathValue quarter)
{
    MathValue square = b->mul(b, r, r);
    MathValue sine = b->fma(b, b->mul(b, square, r), MATH_POLYNOMIAL(b, square, sin_terms), r);
    MathValue cosine =
        b->fma(b, MATH_POLYNOMIAL(b, square, cos_terms), square, b->constant(b, -0.5));
    cosine = b->fma(b, cosine, square, b->constant(b, 1));
    MathValue y = b->bits(b, b->select(b, is_odd(b, quarter), cosine, sine));
    MathValue sign = b->shift_left(b, b->iand(b, quarter, b->integer(b, 2)), 30);
    return b->from_bits(b, b->ixor(b, y, sign));
}

/* -y where x is negative. */
static MathValue with_sign_of(MathBuilder *b, MathValue y, MathValue x)
{
    MathValue sign = b->iand(b, b->bits(b, x), b->integer(b, INT32_MIN));
    return b->from_bits(b, b->ixor(b, b->bits(b, y), sign));
}

/* tan r, or -1 / tan r where `inverse`.  The quotient's own error is made good by the low part. */
static MathValue tan_core(MathBuilder *b, Pair r, MathValue inverse)
{
    MathValue square = b->mul(b, r.high, r.high);
    MathValue cube = b->mul(b, square, r.high);
    MathValue low = b->fma(b, r.low, square, r.low); /* its slope is 1 + tan^2 */
    Pair t = math_two_sum(b, r.high, b->fma(b, cube, MATH_POLYNOMIAL(b, square, tan_terms), low));
    MathValue one = b->constant(b, 1);
    MathValue quotient = b->div(b, b->constant(b, -1), t.high);
    MathValue residual = b->fma(b, quotient, t.low, b->fma(b, quotient, t.high, one));
    return b->select(b, inverse, b->fma(b, quotient, residual, quotient), t.high);
}

/* ---- arguments beyond 2^17 --------------------------------------------------------------------------- */

/* 1/(2 pi) in binary, after a word of nothing so that every shift is to the left. */
static const uint32_t turn_bits[] = {
    0, 0x28BE60DB, 0x9391054A, 0x7F09D5F4, 0x7D4D3770, 0x36D8A566, 0x4F10E410, 0x7F9458EA,
};
enum { WINDOW = 4, WINDOW_STARTS = 5 };

/* An angle as a fraction of a full turn: high * 2^-32 + low * 2^-64, both unsigned. */
typedef struct Turn {
    MathValue high, low;
} Turn;

/* 1 where x < y for unsigned x and y: they are compared as signed after a flip of the top bits. */
static MathValue unsigned_below(MathBuilder *b, MathValue x, MathValue y)
{
    MathValue top = b->integer(b, INT32_MIN);
    MathValue below = b->icompare(b, '<', false, b->ixor(b, x, top), b->ixor(b, y, top));
    return b->select(b, below, b->integer(b, 1), b->integer(b, 0));
}

/* 2^k for k = 0 … 31.  By way of its negative, which a signed integer holds for 31 too. */
static MathValue power_of_two(MathBuilder *b, MathValue k)
{
    MathValue bits = b->shift_left(b, b->iadd(b, k, b->integer(b, 127)), 23);
    MathValue minus = b->to_integer(b, b->neg(b, b->from_bits(b, bits)));
    return b->isub(b, b->integer(b, 0), minus);
}

/* window[i] = turn_bits[start + i], start = 0 … 4. */
static void select_window(MathBuilder *b, MathValue start, MathValue window[WINDOW])
{
    for (int i = 0; i < WINDOW; i++)
        window[i] = b->integer(b, turn_bits[i]);
    for (int s = 1; s < WINDOW_STARTS; s++) {
        MathValue reached = b->icompare(b, '>', true, start, b->integer(b, s));
        for (int i = 0; i < WINDOW; i++)
            window[i] = b->select(b, reached, b->integer(b, turn_bits[s + i]), window[i]);
    }
}

/* |x| / (2 pi) without its whole turns.  |x| is a 24-bit integer times 2^(e - 150); the bits of
 * 1/(2 pi) from there on make whole turns with all bits above, so three words from there will do. */
static Turn turn_of(MathBuilder *b, MathValue x)
{
    MathValue bits = b->bits(b, b->abs(b, x));
    MathValue mantissa =
        b->ior(b, b->iand(b, bits, b->integer(b, 0x7FFFFF)), b->integer(b, 0x800000));
    MathValue position = b->isub(b, b->shift_right(b, bits, 23), b->integer(b, 150 - 32));
    MathValue power = power_of_two(b, b->iand(b, position, b->integer(b, 31)));
    MathValue window[WINDOW], word[WINDOW - 1];
    select_window(b, b->shift_right_signed(b, position, 5), window);
    for (int i = 0; i < WINDOW - 1; i++)
        word[i] =
            b->ior(b, b->imul(b, window[i], power), b->multiply_high(b, window[i + 1], power));
    MathValue middle = b->imul(b, mantissa, word[1]);
    MathValue low = b->iadd(b, middle, b->multiply_high(b, mantissa, word[2]));
    MathValue high =
        b->iadd(b, b->imul(b, mantissa, word[0]), b->multiply_high(b, mantissa, word[1]));
    return (Turn){b->iadd(b, high, unsigned_below(b, low, middle)), low};
}

/* pi/2 * t, for t read as a signed fraction: exact in three numbers of 24, 24 and 16 bits. */
static Pair radians(MathBuilder *b, Turn t)
{
    MathValue middle = b->ior(b, b->shift_left(b, b->iand(b, t.high, b->integer(b, 0xFF)), 16),
                              b->shift_right(b, t.low, 16));
    MathValue first = b->to_real(b, b->iand(b, t.high, b->integer(b, -256)));
    MathValue second = b->mul(b, b->to_real(b, middle), b->constant(b, 0x1p-16));
    MathValue third = b->to_real(b, b->iand(b, t.low, b->integer(b, 0xFFFF)));
    third = b->mul(b, third, b->constant(b, 0x1p-32));
    Pair sum = math_two_sum(b, first, second);
    sum = math_two_sum(b, sum.high, b->add(b, sum.low, third));
    MathValue factor = b->constant(b, 0x1p-32 * half_pi_high);
    Pair angle = math_two_product(b, sum.high, factor);
    angle.low = b->fma(b, sum.low, factor, angle.low);
    angle.low = b->fma(b, sum.high, b->constant(b, 0x1p-32 * half_pi_middle), angle.low);
    return math_two_sum(b, angle.high, angle.low);
}

static MathValue top_bit(MathBuilder *b, MathValue x)
{
    return b->shift_right(b, x, 31);
}

/* A turn as the nearest number of quarters and an angle in radians. */
typedef struct Quarters {
    MathValue count;
    Pair rest;
} Quarters;

/* What is left of the turn below the quarters, read as signed, is the nearest; where that is below
 * zero, the count is one more. */
static Quarters quarters_of(MathBuilder *b, Turn t)
{
    Turn rest = {
        b->ior(b, b->shift_left(b, t.high, 2), b->shift_right(b, t.low, 30)),
        b->shift_left(b, t.low, 2),
    };
    MathValue count = b->iadd(b, b->shift_right(b, t.high, 30), top_bit(b, rest.high));
    return (Quarters){count, radians(b, rest)};
}

/* NaN for an infinite x. */
static MathValue if_finite(MathBuilder *b, MathValue x, MathValue y)
{
    MathValue finite = b->compare(b, '<', false, b->abs(b, x), b->constant(b, INFINITY));
    return b->select(b, finite, y, b->constant(b, NAN));
}

static MathValue sin_of_huge(MathBuilder *b, MathValue const *args)
{
    Quarters q = quarters_of(b, turn_of(b, args[0]));
    MathValue y = sin_core(b, q.rest.high, q.count);
    return if_finite(b, args[0], with_sign_of(b, y, args[0]));
}

static MathValue cos_of_huge(MathBuilder *b, MathValue const *args)
{
    Quarters q = quarters_of(b, turn_of(b, args[0]));
    MathValue next = b->iadd(b, q.count, b->integer(b, 1));
    return if_finite(b, args[0], sin_core(b, q.rest.high, next));
}

static MathValue tan_of_huge(MathBuilder *b, MathValue const *args)
{
    Quarters q = quarters_of(b, turn_of(b, args[0]));
    MathValue y = tan_core(b, q.rest, is_odd(b, q.count));
    return if_finite(b, args[0], with_sign_of(b, y, args[0]));
}

static MathValue unless_huge(MathBuilder *b, MathValue x, MathValue y, MathRare *rare)
{
    MathValue is_huge = b->compare(b, '>', false, b->abs(b, x), b->constant(b, huge));
    return math_rarely(b, is_huge, y, rare, x);
}

/* ---- the functions ------------------------------------------------------------------------------------ */

MathValue math_sin(MathBuilder *b, MathValue const *args, bool integer)
{
    if (b->real64)
        return b->library(b, "sin", args, 1);
    MathValue x = args[0];
    Rounded n = math_round(b, x, two_over_pi);
    MathValue y = sin_core(b, reduce(b, x, n.real), n.bits);
    return unless_huge(b, x, math_if_small(b, x, 0x1p-12, y), sin_of_huge);
}

/* cos x = sin(x + pi/2) */
MathValue math_cos(MathBuilder *b, MathValue const *args, bool integer)
{
    if (b->real64)
        return b->library(b, "cos", args, 1);
    MathValue x = args[0];
    Rounded n = math_round(b, x, two_over_pi);
    MathValue next = b->iadd(b, n.bits, b->integer(b, 1));
    return unless_huge(b, x, sin_core(b, reduce(b, x, n.real), next), cos_of_huge);
}

MathValue math_tan(MathBuilder *b, MathValue const *args, bool integer)
{
    if (b->real64)
        return b->library(b, "tan", args, 1);
    MathValue x = args[0];
    Rounded n = math_round(b, x, two_over_pi);
    MathValue y = tan_core(b, reduce_to_pair(b, x, n.real), is_odd(b, n.bits));
    return unless_huge(b, x, math_if_small(b, x, 0x1p-12, y), tan_of_huge);
}
