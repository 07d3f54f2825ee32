/* The generator against its published vectors (Random123, kat_vectors), and orders made from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "internal.h"

#include <stdlib.h>
#include <string.h>

static void philox_gives_the_published_words(void **state)
{
    static const uint32_t known[3][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d,
         0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09,
         0x94fdcceb, 0x5001e420, 0x24126ea1},
    };
    for (int i = 0; i < 3; i++) {
        uint32_t out[4];
        random_philox(known[i], known[i] + 4, out);
        assert_memory_equal(out, known[i] + 6, sizeof out);
    }
}

static void fill(uint32_t *items, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        items[i] = i;
}

static void an_order_depends_on_seed_and_epoch_alone(void **state)
{
    enum { N = 1000 };
    uint32_t a[N], b[N], seen[N] = {0};
    fill(a, N);
    fill(b, N);
    random_permute(a, N, 7, STREAM_SHUFFLE, 3);
    random_permute(b, N, 7, STREAM_SHUFFLE, 3);
    assert_memory_equal(a, b, sizeof a);
    for (int i = 0; i < N; i++)
        seen[a[i]]++;
    for (int i = 0; i < N; i++)
        assert_int_equal(seen[i], 1);
    fill(b, N);
    random_permute(b, N, 7, STREAM_SHUFFLE, 4);
    assert_memory_not_equal(a, b, sizeof a);
    fill(b, N);
    random_permute(b, N, 7, STREAM_SPLIT, 3);
    assert_memory_not_equal(a, b, sizeof a);
}

/* Every item is as likely in every place: chi-squared of the first place of 10 items. */
static void an_order_is_fair(void **state)
{
    int counts[10] = {0};
    double chi = 0;
    for (uint64_t epoch = 0; epoch < 10000; epoch++) {
        uint32_t items[10];
        fill(items, 10);
        random_permute(items, 10, 1, STREAM_SHUFFLE, epoch);
        counts[items[0]]++;
    }
    for (int i = 0; i < 10; i++)
        chi += (counts[i] - 1000.0) * (counts[i] - 1000.0) / 1000;
    assert_true(chi < 27.9); /* 9 degrees of freedom, p = 0.001; the seed is fixed */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_gives_the_published_words),
        cmocka_unit_test(an_order_depends_on_seed_and_epoch_alone),
        cmocka_unit_test(an_order_is_fair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
