/* Counter-based random numbers: Philox4x32-10 and what is drawn from its words. */
#include "functions/functions.h"

#include <math.h>

enum {
    ROUNDS = 10,
    BITS_DROPPED = 8, /* 24 of 32 bits make a real number: all that f32 holds */
};
static const uint32_t multipliers[2] = {0xD2511F53, 0xCD9E8D57};
static const uint32_t weyl[2] = {0x9E3779B9, 0xBB67AE85};
static const double unit = 1.0 / (1 << 24);
static const double tau = 6.283185307179586476925;

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

/* Uniform: word 0.  Normal: Box-Muller, the radius from word 0 (never 0), the angle from word 1. */
double random_value(RandomKind kind, uint64_t seed, uint64_t step, uint32_t site, uint32_t element)
{
    uint32_t words[4];
    random_words(seed, step, site, element, words);
    double u = (words[0] >> BITS_DROPPED) * unit;
    if (kind == RANDOM_UNIFORM)
        return u;
    double turn = (words[1] >> BITS_DROPPED) * unit;
    return sqrt(-2 * log(u + 0.5 * unit)) * cos(tau * turn);
}

MathValue random_lower(MathBuilder *b, RandomKind kind, MathValue const key[2], MathValue const counter[4])
{
    bug("random_lower: not yet");
}
