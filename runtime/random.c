/* Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3; SC 2011).
 * Every draw is a function of a key and a counter, so any of them can be had without the others:
 * an epoch's order depends on (seed, epoch) alone, which is what a resume needs. */
#include "internal.h"

#define PHILOX_M0 0xD2511F53u
#define PHILOX_M1 0xCD9E8D57u
#define PHILOX_W0 0x9E3779B9u
#define PHILOX_W1 0xBB67AE85u

void random_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)PHILOX_M0 * c0, p1 = (uint64_t)PHILOX_M1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += PHILOX_W0;
        k1 += PHILOX_W1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* A number in [0, bound): the high word of a 64 × 64 product, whose bias is below 2^-32 here. */
static uint32_t below(uint32_t bound, uint64_t seed, uint32_t stream, uint64_t group, uint32_t i)
{
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const uint32_t counter[4] = {i, stream, (uint32_t)group, (uint32_t)(group >> 32)};
    uint32_t out[4];
    random_philox(counter, key, out);
    uint64_t word = (uint64_t)out[1] << 32 | out[0];
    return (uint32_t)(((unsigned __int128)word * bound) >> 64);
}

void random_permute(uint32_t *items, uint32_t count, uint64_t seed, RandomStream stream,
                    uint64_t group)
{
    for (uint32_t i = count; i > 1; i--) { /* Fisher and Yates */
        uint32_t j = below(i, seed, stream, group, i - 1);
        uint32_t kept = items[i - 1];
        items[i - 1] = items[j];
        items[j] = kept;
    }
}
