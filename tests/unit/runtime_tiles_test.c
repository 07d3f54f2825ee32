/* A trainer whose model wants matrix tiles that the system does not give. */
#include "fake_model.h"
#include "refuse_tiles.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* The exit status of the command, and the beginning of what it says on stderr. */
static int status_of(const char *command, char *said, size_t room)
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    if (!child) {
        const gradc_train train = {.batch = FAKE_BATCH, .accumulate = 1, .epochs = 1};
        gradc_model model = fake32_model(&train);
        char *argv[] = {"fake", (char *)command, NULL};
        model.matrix_tiles = 1;
        dup2(ends[1], STDERR_FILENO);
        if (!refuse_tiles() || !freopen("/dev/null", "w", stdout))
            _exit(77);
        _exit(gradrt_main(2, argv, &model, NULL));
    }
    close(ends[1]);
    const ssize_t length = read(ends[0], said, room - 1);
    said[length > 0 ? length : 0] = 0;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_refused(void **state)
{
    (void)state;
    char said[400];
    const int status = status_of("train", said, sizeof said);
    if (status == 77)
        skip(); /* it cannot be refused here */
    assert_int_equal(status, 1);
    assert_non_null(strstr(said, "was compiled for a processor with AMX, which this system does "
                                 "not permit; compile it with --mattr=-amx-tile\n"));
    assert_int_equal(status_of("info", said, sizeof said), 0);
    assert_string_equal(said, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
