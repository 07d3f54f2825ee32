/* The ground floor: memory, names, lists, places, messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/support.h"

#include <stdlib.h>
#include <string.h>

static void arena_is_zeroed_and_aligned(void **state)
{
    Arena *a = arena_create();
    for (size_t size = 1; size < 200000; size = size * 3 + 1) {
        char *p = arena_alloc(a, size);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xAB, size);
    }
    arena_destroy(a);
}

static void names_are_one_pointer(void **state)
{
    Arena *a = arena_create();
    Interner *in = interner_create(a);
    const char *x = intern(in, "x");
    for (int i = 0; i < 5000; i++)
        intern(in, arena_format(a, "name%d", i));
    assert_ptr_equal(x, intern_n(in, "xyz", 1));
    assert_ptr_equal(intern(in, "name4321"), intern(in, "name4321"));
    assert_ptr_not_equal(intern(in, "name1"), intern(in, "name10"));
    assert_string_equal(intern_n(in, "a\0b", 3), "a");
    arena_destroy(a);
}

static void lists_grow(void **state)
{
    Arena *a = arena_create();
    VEC(int) v = {0};
    for (int i = 0; i < 1000; i++)
        vec_push(a, &v, i);
    assert_int_equal(v.count, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(v.data[i], i);
    arena_destroy(a);
}

static void texts_grow(void **state)
{
    Arena *a = arena_create();
    Text t;
    text_init(&t, a);
    assert_string_equal(t.data, "");
    for (int i = 0; i < 500; i++)
        text_printf(&t, "%d,", i % 10);
    text_append(&t, "end");
    assert_int_equal(t.length, 1003);
    assert_string_equal(t.data + 998, "9,end");
    arena_destroy(a);
}

static void expect_position(const Source *src, int offset, int line, int column)
{
    int l, c;
    source_position(src, offset, &l, &c);
    assert_int_equal(l, line);
    assert_int_equal(c, column);
}

static void offsets_become_positions(void **state)
{
    Arena *a = arena_create();
    Sources *s = sources_create(a);
    const char *text = "ab\n\xC3\xA9x\n";
    const Source *src = source_get(s, source_add(s, "a.nn", text, 7, false));
    expect_position(src, 0, 1, 1);
    expect_position(src, 2, 1, 3);
    expect_position(src, 3, 2, 1);
    expect_position(src, 5, 2, 2); /* é is one column */
    expect_position(src, 7, 3, 1);
    expect_position(src, 99, 3, 1);
    assert_null(source_get(s, 5));
    assert_int_equal(source_read(s, "/no/such/file"), -1);
    Span joined = span_join((Span){0, 4, 5}, (Span){0, 1, 2});
    assert_int_equal(joined.begin, 1);
    assert_int_equal(joined.end, 5);
    assert_int_equal(span_join(SPAN_NONE, joined).begin, 1);
    arena_destroy(a);
}

typedef struct Fixture {
    Arena *arena;
    Sources *sources;
    Diag *diag;
    int user, library;
} Fixture;

static Fixture fixture(void)
{
    static const char user[] = "x = 1\n\ty = conv(\n  2)\n",
                      library[] = "layer conv(x) {\n  y = z\n}\n";
    Fixture f = {.arena = arena_create()};
    f.sources = sources_create(f.arena);
    f.diag = diag_create(f.arena, f.sources);
    f.user = source_add(f.sources, "u.nn", user, (int)strlen(user), false);
    f.library = source_add(f.sources, "std/conv.nn", library, (int)strlen(library), true);
    return f;
}

static void expect_rendering(Fixture *f, DiagFormat format, const char *expected)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    diag_render(f->diag, out, format, false);
    fclose(out);
    assert_string_equal(text, expected);
    free(text);
}

static void messages_are_sorted_and_told_once(void **state)
{
    Fixture f = fixture();
    for (int i = 0; i < 2; i++) {
        diag_error(f.diag, (Span){f.user, 11, 20}, "no %s", "conv");
        diag_help(f.diag, "write one");
    }
    diag_warning(f.diag, (Span){f.user, 0, 1}, "x is unused");
    diag_note(f.diag, (Span){f.user, 4, 5}, "its value");
    assert_int_equal(diag_error_count(f.diag), 2);
    expect_rendering(&f, DIAG_HUMAN,
                     "u.nn:1:1: warning: x is unused\n"
                     "    1 | x = 1\n"
                     "      | ^\n"
                     "u.nn:1:5: note: its value\n"
                     "    1 | x = 1\n"
                     "      |     ^\n"
                     "u.nn:2:6: error: no conv\n"
                     "    2 |     y = conv(\n"
                     "      |         ^~~~~\n"
                     "help: write one\n");
    expect_rendering(&f, DIAG_HUMAN, "");
    arena_destroy(f.arena);
}

static void library_errors_are_shown_at_the_call(void **state)
{
    Fixture f = fixture();
    diag_enter_call(f.diag, (Span){f.user, 11, 21}, "conv");
    diag_error(f.diag, (Span){f.library, 22, 23}, "no z");
    diag_leave_call(f.diag);
    expect_rendering(&f, DIAG_HUMAN,
                     "u.nn:2:6: error: no z\n"
                     "    2 |     y = conv(\n"
                     "      |         ^~~~~\n"
                     "std/conv.nn:2:7: note: in `conv`, from the library\n"
                     "    2 |   y = z\n"
                     "      |       ^\n");
    arena_destroy(f.arena);
}

static void programs_read_json(void **state)
{
    Fixture f = fixture();
    diag_error(f.diag, SPAN_NONE, "a \"b\"\n");
    diag_error(f.diag, (Span){f.user, 0, 1}, "m");
    diag_note(f.diag, (Span){f.user, 4, 5}, "n");
    diag_help(f.diag, "h");
    expect_rendering(
        &f, DIAG_JSON,
        "{\"severity\":\"error\",\"file\":null,\"line\":null,\"column\":null,\"end_line\":null,"
        "\"end_column\":null,\"message\":\"a \\\"b\\\"\\u000a\",\"notes\":[],\"help\":null}\n"
        "{\"severity\":\"error\",\"file\":\"u.nn\",\"line\":1,\"column\":1,\"end_line\":1,"
        "\"end_column\":2,\"message\":\"m\",\"notes\":[{\"file\":\"u.nn\",\"line\":1,\"column\":5,"
        "\"end_line\":1,\"end_column\":6,\"message\":\"n\"}],\"help\":\"h\"}\n");
    arena_destroy(f.arena);
}

static void misspellings_find_their_name(void **state)
{
    const char *const names[] = {"conv2d", "dense", "softmax", "relu"};
    assert_string_equal(diag_nearest("cnov2d", names, 4), "conv2d");
    assert_string_equal(diag_nearest("sofmax", names, 4), "softmax");
    assert_string_equal(diag_nearest("rel", names, 4), "relu");
    assert_null(diag_nearest("pool", names, 4));
    assert_null(diag_nearest("x", names, 4));
    assert_null(diag_nearest("", names, 4));
    assert_null(diag_nearest("dense", names, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_is_zeroed_and_aligned),
        cmocka_unit_test(names_are_one_pointer),
        cmocka_unit_test(lists_grow),
        cmocka_unit_test(texts_grow),
        cmocka_unit_test(offsets_become_positions),
        cmocka_unit_test(messages_are_sorted_and_told_once),
        cmocka_unit_test(library_errors_are_shown_at_the_call),
        cmocka_unit_test(programs_read_json),
        cmocka_unit_test(misspellings_find_their_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
