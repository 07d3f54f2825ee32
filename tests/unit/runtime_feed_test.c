/* Batches one after another: the same with and without a thread that gathers them ahead, from any
 * position; what cannot be read; an end at any time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/data.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROWS = 23, CAPACITY = 4 };

static const gradc_port port = {"x", GRADC_I32, GRADC_NUMBER, 0, 0, NULL, 1, 0, 1};
static size_t broken_row;

/* The row's number, now and then after a while. */
static bool read_row(const Field *f, const gradc_port *p, size_t row, uint8_t *out, Error *e)
{
    (void)f;
    if (row == broken_row)
        return error_set(e, "row %zu is broken", row);
    if (row % 5 == 0)
        usleep(200);
    number_put(p->type, out, (double)row);
    return true;
}

static void make_view(Dataset *d, View *v)
{
    static Field field = {.read = read_row};
    *d = (Dataset){.ports = &port, .port_count = 1, .count = ROWS, .fields = &field};
    broken_row = SIZE_MAX;
    view_whole(d, v);
}

static void append(uint32_t *seen, size_t *count, const Batch *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        seen[(*count)++] = (uint32_t)number_get(GRADC_I32, b->rows[0] + 4 * i);
}

/* The rows of so many batches; the sizes too, above 1000. */
static size_t take(const FeedPlan *plan, size_t batches, uint32_t *seen)
{
    Feed *f = feed_create(plan);
    Error e = {0};
    size_t count = 0, n;
    for (size_t i = 0; i < batches; i++) {
        const Batch *b = feed_next(f, &n, &e);
        assert_non_null(b);
        append(seen, &count, b, n);
        seen[count++] = 1000 + (uint32_t)n;
    }
    feed_destroy(f);
    return count;
}

static void a_thread_changes_nothing(void **state)
{
    static const uint64_t cursors[] = {0, 4, 20, 22};
    Dataset d;
    View v;
    make_view(&d, &v);
    for (int i = 0; i < 8; i++) {
        FeedPlan plan = {&v, i % 2, 7, 3, cursors[i / 2], CAPACITY, false};
        uint32_t plain[200], ahead[200];
        const size_t count = take(&plan, 15, plain);
        plan.ahead = true;
        assert_int_equal(take(&plan, 15, ahead), count);
        assert_memory_equal(plain, ahead, count * sizeof *plain);
    }
    view_free(&v);
}

static void an_epoch_ends_with_what_is_left(void **state)
{
    Dataset d;
    View v;
    uint32_t seen[100];
    make_view(&d, &v);
    const FeedPlan plan = {&v, false, 0, 0, 20, CAPACITY, true};
    take(&plan, 2, seen);
    assert_int_equal(seen[0], 20);
    assert_int_equal(seen[3], 1003);
    assert_int_equal(seen[4], 0);
    assert_int_equal(seen[8], 1004);
    view_free(&v);
}

static void an_error_comes_in_its_turn(void **state)
{
    Dataset d;
    View v;
    make_view(&d, &v);
    broken_row = 9;
    for (int ahead = 0; ahead < 2; ahead++) {
        const FeedPlan plan = {&v, false, 0, 0, 0, CAPACITY, ahead};
        Feed *f = feed_create(&plan);
        Error e = {0};
        size_t n;
        assert_non_null(feed_next(f, &n, &e));
        assert_non_null(feed_next(f, &n, &e));
        assert_null(feed_next(f, &n, &e));
        assert_string_equal(e.text, "row 9 is broken");
        error_clear(&e);
        feed_destroy(f);
    }
    view_free(&v);
}

static void it_may_end_at_any_time(void **state)
{
    Dataset d;
    View v;
    uint32_t seen[200];
    make_view(&d, &v);
    const FeedPlan plan = {&v, true, 1, 0, 0, CAPACITY, true};
    for (size_t batches = 0; batches < 12; batches++)
        take(&plan, batches, seen);
    view_free(&v);
}

static void only_what_takes_long_is_worth_a_thread(void **state)
{
    Dataset d;
    View v;
    make_view(&d, &v);
    assert_false(feed_pays(&v, 16));
    assert_true(feed_pays(&v, 1 << 18)); /* 1 MiB a batch */
    d.decodes = true;
    assert_true(feed_pays(&v, 16));
    view_free(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_changes_nothing),
        cmocka_unit_test(an_epoch_ends_with_what_is_left),
        cmocka_unit_test(an_error_comes_in_its_turn),
        cmocka_unit_test(it_may_end_at_any_time),
        cmocka_unit_test(only_what_takes_long_is_worth_a_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
