/* Tokens drawn by their log-odds: how often each comes, and which never do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "internal.h"

#include <math.h>

enum { CHOICES = 4, DRAWS = 20000 };
static const double shares[CHOICES] = {0.2, 0.5, 0.2, 0.1};

static void count_draws(const Options *o, uint64_t seed, int counts[CHOICES])
{
    float logits[CHOICES];
    Sampler s;
    Error e = {0};
    for (int i = 0; i < CHOICES; i++) {
        logits[i] = (float)log(shares[i]) + 7;
        counts[i] = 0;
    }
    sampler_create(&s, o, seed, CHOICES);
    for (int i = 0; i < DRAWS; i++) {
        uint32_t token;
        assert_true(sampler_next(&s, GRADC_F32, logits, &token, &e));
        counts[token]++;
    }
    sampler_destroy(&s);
}

/* Within five standard deviations. */
static void assert_share(int count, double share)
{
    assert_true(fabs(count - share * DRAWS) <= 5 * sqrt(share * (1 - share) * DRAWS) + 1e-9);
}

static void every_token_comes_by_its_share(void **state)
{
    const Options o = {.temperature = 1, .top_p = 1};
    int counts[CHOICES];
    count_draws(&o, 3, counts);
    for (int i = 0; i < CHOICES; i++)
        assert_share(counts[i], shares[i]);
}

static void temperature_sharpens(void **state)
{
    const Options o = {.temperature = 0.5, .top_p = 1}, none = {.temperature = 0, .top_p = 1};
    int counts[CHOICES];
    count_draws(&o, 3, counts);
    for (int i = 0; i < CHOICES; i++)
        assert_share(counts[i], shares[i] * shares[i] / 0.34);
    count_draws(&none, 3, counts);
    assert_int_equal(counts[1], DRAWS);
}

/* Of equal ones the lower token stays. */
static void only_the_likeliest(void **state)
{
    const Options two = {.temperature = 1, .top_p = 1, .top_k = 2},
                  most = {.temperature = 1, .top_p = 0.65};
    int counts[CHOICES];
    for (int i = 0; i < 2; i++) {
        count_draws(i ? &most : &two, 3, counts);
        assert_share(counts[1], 0.5 / 0.7);
        assert_share(counts[0], 0.2 / 0.7);
        assert_int_equal(counts[0] + counts[1], DRAWS);
    }
}

static void the_seed_decides(void **state)
{
    const Options o = {.temperature = 1, .top_p = 1};
    int a[CHOICES], b[CHOICES], c[CHOICES];
    count_draws(&o, 3, a);
    count_draws(&o, 3, b);
    count_draws(&o, 4, c);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_not_equal(a, c, sizeof a);
}

static void no_number_is_an_error(void **state)
{
    const Options o = {.temperature = 1, .top_p = 1};
    const double logits[2][CHOICES] = {{0, NAN, 0, 0}, {0, INFINITY, 0, 0}};
    Sampler s;
    sampler_create(&s, &o, 1, CHOICES);
    for (int i = 0; i < 2; i++) {
        Error e = {0};
        uint32_t token;
        assert_false(sampler_next(&s, GRADC_F64, logits[i], &token, &e));
        assert_non_null(e.text);
        error_clear(&e);
    }
    sampler_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_token_comes_by_its_share),
        cmocka_unit_test(temperature_sharpens),
        cmocka_unit_test(only_the_likeliest),
        cmocka_unit_test(the_seed_decides),
        cmocka_unit_test(no_number_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
