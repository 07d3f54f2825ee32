/* The pool: every iteration once, scratch of one's own, the same bits for any number of threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "internal.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

enum { N = 1003 };

static void waves(void *arguments, size_t begin, size_t end, void *scratch)
{
    double *out = arguments, *mine = scratch;
    for (size_t i = begin; i < end; i++) {
        *mine = (double)i;
        out[i] += sin(*mine) * 1e3;
    }
}

static void bits_do_not_depend_on_threads(void **state)
{
    static double expected[N], out[N];
    char scratch[8 * 64] __attribute__((aligned(64)));
    static const size_t threads[] = {1, 2, 3, 8};
    waves(memset(expected, 0, sizeof expected), 0, N, scratch);
    for (int t = 0; t < 4; t++) {
        Pool *p = pool_create(threads[t]);
        for (int round = 0; round < 200; round++) {
            memset(out, 0, sizeof out);
            pool_run(p, waves, out, N, scratch, 64);
            assert_memory_equal(out, expected, sizeof out);
        }
        pool_destroy(p);
    }
}

static void sleeping_workers_wake(void **state)
{
    static double out[N];
    char scratch[4 * 64] __attribute__((aligned(64)));
    Pool *p = pool_create(4);
    for (int round = 0; round < 20; round++) {
        pool_run(p, waves, out, N, scratch, 64);
        usleep(1000);
    }
    for (size_t count = 0; count < 6; count++) /* fewer iterations than threads */
        pool_run(p, waves, out, count, scratch, 64);
    pool_destroy(p);
}

/* Workers may see the last job when it is done already and the pool is about to end. */
static void ends_right_after_a_job(void **state)
{
    static double out[N];
    char scratch[3 * 64] __attribute__((aligned(64)));
    for (int round = 0; round < 2000; round++) {
        Pool *p = pool_create(3);
        pool_run(p, waves, out, 3, scratch, 64);
        pool_destroy(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_do_not_depend_on_threads),
        cmocka_unit_test(sleeping_workers_wake),
        cmocka_unit_test(ends_right_after_a_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
