/* What the code generator is found to offer, by processor and features. */
#include "emit/emit.h"
#include "refuse_tiles.h"

#include <setjmp.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static LaneModel lanes_of(const char *target, const char *cpu, const char *features)
{
    Arena *a = arena_create();
    const EmitOptions o = {.target = target, .cpu = cpu, .features = features, .optimize = 2};
    LaneModel lanes;
    const char *error;
    assert_true(emit_lane_model(&o, &lanes, &error, a));
    arena_destroy(a);
    return lanes;
}

static void test_matrix_tiles(void **state)
{
    (void)state;
    static const struct {
        const char *target, *cpu, *features;
        bool tiles;
    } rows[] = {
        {"x86_64-linux-gnu", "sapphirerapids", NULL, true},
        {"x86_64-linux-gnu", "sapphirerapids", "+avx2", true},
        {"x86_64-linux-gnu", "sapphirerapids", "-amx-tile", false},
        {"x86_64-linux-gnu", "sapphirerapids", "-amx-bf16", false},
        {"x86_64-linux-gnu", "sapphirerapids", "-avx512f", false},
        {"x86_64-linux-gnu", "skylake-avx512", NULL, false},
        {"x86_64-linux-gnu", "skylake-avx512", "+amx-bf16,+avx512bf16", true},
        {"x86_64-linux-gnu", "znver5", NULL, false},
        {"x86_64-linux-gnux32", "sapphirerapids", NULL, false}, /* other system calls */
        {"x86_64-apple-macosx", "sapphirerapids", NULL, false}, /* another way to ask */
        {"i686-linux-gnu", "sapphirerapids", NULL, false},
        {"aarch64-linux-gnu", NULL, NULL, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (lanes_of(rows[i].target, rows[i].cpu, rows[i].features).matrix_tiles != rows[i].tiles)
            fail_msg("%s, %s, %s", rows[i].target, rows[i].cpu, rows[i].features);
    assert_false(lanes_of(NULL, NULL, "-amx-tile").matrix_tiles);
}

/* Of this machine, when its system refuses them. */
static void test_refused(void **state)
{
    (void)state;
    int status;
    const pid_t child = fork();
    if (!child)
        _exit(!refuse_tiles() ? 77 : lanes_of(NULL, NULL, NULL).matrix_tiles);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_matrix_tiles),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
