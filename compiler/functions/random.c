/* Counter-based random numbers: Philox4x32-10 and what is drawn from its words. */
#include "functions/lowering.h"

#include <math.h>

enum { ROUNDS = 10 };
static const uint32_t multipliers[2] = {0xD2511F53, 0xCD9E8D57};
static const uint32_t weyl[2] = {0x9E3779B9, 0xBB67AE85};
static const double tau = 6.283185307179586476925;

/* A word as a real in [0, 1), by its upper 24 bits: f32 and f64 models see the same number. */
enum { UNIT_DROPPED = 8 };
static const double unit = 0x1p-24;
/* A word as a real in (0, 1), for a logarithm: a bit less, so that the half added is exact in f32. */
enum { OPEN_DROPPED = 9 };
static const double open_unit = 0x1p-23;

void random_words(uint64_t seed, uint64_t step, uint32_t site, uint32_t element, uint32_t words[4])
{
    uint32_t c[4] = {element, site, (uint32_t)step, (uint32_t)(step >> 32)};
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t even = (uint64_t)multipliers[0] * c[0], odd = (uint64_t)multipliers[1] * c[2];
        c[0] = (uint32_t)(odd >> 32) ^ c[1] ^ key[0];
        c[1] = (uint32_t)odd;
        c[2] = (uint32_t)(even >> 32) ^ c[3] ^ key[1];
        c[3] = (uint32_t)even;
        key[0] += weyl[0];
        key[1] += weyl[1];
    }
    for (int i = 0; i < 4; i++)
        words[i] = c[i];
}

/* Uniform: word 0.  Normal: Box-Muller, the radius from word 0 and the angle from word 1. */
double random_value(RandomKind kind, uint64_t seed, uint64_t step, uint32_t site, uint32_t element)
{
    uint32_t words[4];
    random_words(seed, step, site, element, words);
    if (kind == RANDOM_UNIFORM)
        return (words[0] >> UNIT_DROPPED) * unit;
    double u = ((words[0] >> OPEN_DROPPED) + 0.5) * open_unit;
    double turn = (words[1] >> UNIT_DROPPED) * unit;
    return sqrt(-2 * log(u)) * cos(tau * turn);
}

/* ---- the same as code ---------------------------------------------------------------------------------- */

/* In 64-bit lanes a word is the low half, the upper half is kept zero. */
static MathValue word(MathBuilder *b, MathValue x)
{
    return b->real64 ? b->iand(b, x, b->integer(b, 0xFFFFFFFF)) : x;
}

typedef struct Product {
    MathValue high, low; /* words */
} Product;

static Product multiply(MathBuilder *b, MathValue x, uint32_t factor)
{
    MathValue f = b->integer(b, factor), low = b->imul(b, x, f);
    if (b->real64)
        return (Product){b->shift_right(b, low, 32), word(b, low)};
    return (Product){b->multiply_high(b, x, f), low};
}

/* The key changes by round, not by lane; constants are added to it once each. */
static void philox(MathBuilder *b, MathValue const key[2], MathValue c[4])
{
    uint32_t bump[2] = {0, 0};
    for (int round = 0; round < ROUNDS; round++) {
        MathValue k[2];
        for (int i = 0; i < 2; i++) {
            k[i] = word(b, b->iadd(b, key[i], b->integer(b, bump[i])));
            bump[i] += weyl[i];
        }
        Product even = multiply(b, c[0], multipliers[0]), odd = multiply(b, c[2], multipliers[1]);
        c[0] = b->ixor(b, b->ixor(b, odd.high, c[1]), k[0]);
        c[1] = odd.low;
        c[2] = b->ixor(b, b->ixor(b, even.high, c[3]), k[1]);
        c[3] = even.low;
    }
}

static MathValue unit_real(MathBuilder *b, MathValue w)
{
    return b->mul(b, b->to_real(b, b->shift_right(b, w, UNIT_DROPPED)), b->constant(b, unit));
}

static MathValue open_unit_real(MathBuilder *b, MathValue w)
{
    MathValue whole = b->to_real(b, b->shift_right(b, w, OPEN_DROPPED));
    return b->mul(b, b->add(b, whole, b->constant(b, 0.5)), b->constant(b, open_unit));
}

/* sin r = r + r^3 s(r^2) on |r| <= pi/2, degree 3, relative error 2^-27.3. */
static const double sin_terms[] = {-0.166666597, 0.00833306927, -0.000198097769, 2.6060959e-06};

/* cos(2 pi turn) for a turn in [0, 1), as the sine of the distance from 1/2 less a quarter. */
static MathValue cos_of_turn(MathBuilder *b, MathValue turn)
{
    MathValue distance = b->abs(b, b->sub(b, turn, b->constant(b, 0.5)));
    MathValue r = b->mul(b, b->sub(b, distance, b->constant(b, 0.25)), b->constant(b, tau));
    if (b->real64)
        return b->library(b, "sin", &r, 1);
    MathValue square = b->mul(b, r, r);
    return b->fma(b, b->mul(b, square, r), MATH_POLYNOMIAL(b, square, sin_terms), r);
}

static MathValue log_of_unit(MathBuilder *b, MathValue u)
{
    return b->real64 ? b->library(b, "log", &u, 1) : math_log_core(b, math_split(b, u));
}

MathValue random_lower(MathBuilder *b, RandomKind kind, MathValue const key[2],
                       MathValue const counter[4])
{
    MathValue c[4];
    for (int i = 0; i < 4; i++)
        c[i] = word(b, counter[i]);
    philox(b, key, c);
    if (kind == RANDOM_UNIFORM)
        return unit_real(b, c[0]);
    MathValue square = b->mul(b, log_of_unit(b, open_unit_real(b, c[0])), b->constant(b, -2));
    return b->mul(b, b->sqrt(b, square), cos_of_turn(b, unit_real(b, c[1])));
}
