/* Several sources side by side: who fills what, that rows agree, what the command line replaces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data_case.h"

#include <unistd.h>

static char folder[] = "/tmp/gradrt-beside-XXXXXX";

static const int64_t two[] = {2}, four[] = {4};
static const gradc_port ports[] = {{"age", GRADC_F32, GRADC_NUMBER, 0, 1, two, 2, 0, 1},
                                   {"name", GRADC_I32, GRADC_TOKEN, 4, 1, four, 4, 0, 1},
                                   {"kind", GRADC_U8, GRADC_CLASS, 2, 0, NULL, 1, 1, 0}};

static const gradc_option table[] = {{"", "t.csv", 0}, {"target", "last", 0}};
static const gradc_option filling[] = {{"", "l.txt", 0}, {"fills", "name", 0}};
static const gradc_option unsaid[] = {{"", "l.txt", 0}};

static void put_text(const char *name, const char *text)
{
    put_file(name, text, strlen(text));
}

static bool open_both(Dataset *d, const gradc_source *first, const Encoding *known, bool predicting)
{
    const Request r = {first, ports, 3, NULL, known, predicting, false};
    error_clear(&error);
    return dataset_open(d, &r, &error);
}

static void expect_failure(const gradc_source *first, const char *message)
{
    Dataset d;
    assert_false(open_both(&d, first, NULL, false));
    if (!strstr(error.text, message))
        fail_msg("\"%s\" lacks \"%s\"", error.text, message);
}

static void each_fills_its_own(void **state)
{
    const gradc_source lines = {"lines", filling, 2, NULL};
    const gradc_source csv = {"csv", table, 2, &lines};
    Dataset d, later;
    put_text("t.csv", "1,2,yes\n3,,no\n");
    put_text("l.txt", "abc\nca\n");
    expect_failure(&csv, "t.csv:2: column 1 (from 0): missing value");
    put_text("t.csv", "1,2,yes\n3,4,no\n");
    assert_true(open_both(&d, &csv, NULL, false));
    assert_int_equal(d.count, 2);
    expect_row(&d, 0, 1, "34");
    expect_row(&d, 1, 1, "3100");
    expect_row(&d, 2, 0, "1");
    assert_int_equal(d.encoding.names[1].count, 3);
    assert_string_equal(d.encoding.names[2].items[0], "no");
    put_text("l.txt", "c\n\n");
    put_text("t.csv", "1,2\n3,4\n");
    assert_true(open_both(&later, &csv, &d.encoding, true)); /* the vocabulary holds */
    expect_row(&later, 1, 0, "3000");
    assert_null(later.fields[2].data);
    dataset_close(&later);
    dataset_close(&d);
}

/* Options with the names of ports say enough, as a layout does. */
static void options_say_who_fills_what(void **state)
{
    static const gradc_option laid[] = {{"", "r.bin", 0}, {"layout", "2 kind:u16", 0}};
    static const gradc_option arrays[] = {{"age", "x.npy", 0}};
    static const char npy[128 + 16] =
        "\x93NUMPY\1\0v\0{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }";
    const gradc_source array = {"npy", arrays, 1, NULL}, lines = {"lines", unsaid, 1, &array},
                       records = {"records", laid, 2, &lines};
    Dataset d;
    put_file("r.bin", "\0\0\1\0\0\0\0\0", 8);
    put_file("x.npy", npy, sizeof npy);
    put_text("l.txt", "abc\nca\n");
    assert_true(open_both(&d, &records, NULL, false));
    assert_int_equal(d.count, 2);
    expect_row(&d, 0, 1, "00");
    expect_row(&d, 1, 1, "3100");
    expect_row(&d, 2, 0, "1");
    dataset_close(&d);
}

static void rows_agree(void **state)
{
    const gradc_source lines = {"lines", filling, 2, NULL};
    const gradc_source csv = {"csv", table, 2, &lines};
    put_text("t.csv", "1,2,yes\n3,4,no\n");
    put_text("l.txt", "abc\nca\nb\n");
    expect_failure(&csv, "l.txt holds 3 examples, but t.csv holds 2");
}

static void what_is_unclear_is_said(void **state)
{
    static const gradc_option wrong[] = {{"", "l.txt", 0}, {"fills", "nome", 0}};
    static const gradc_option twice[] = {{"", "l.txt", 0}, {"fills", "name kind", 0}};
    static const gradc_option again[] = {{"", "t.csv", 0}, {"fills", "age, kind", 0}};
    const gradc_source lines = {"lines", unsaid, 1, NULL}, typo = {"lines", wrong, 2, NULL},
                       both = {"lines", twice, 2, NULL};
    const gradc_source csv = {"csv", table, 2, &lines}, misnamed = {"csv", table, 2, &typo},
                       doubled = {"csv", again, 2, &both};
    expect_failure(&csv, "nothing says which inputs and targets csv fills, and which lines\n"
                         "help: name those of one, as in csv(…, fills = \"x y\")");
    expect_failure(&misnamed, "lines: fills names nome, which is no input or target");
    expect_failure(&doubled, "csv and lines both fill kind");
}

static const char *path_of(const gradc_source *s)
{
    return option_positional(s, 0)->text;
}

static void paths_go_to_the_next_of_their_kind(void **state)
{
    const gradc_source lines = {"lines", filling, 2, NULL};
    const gradc_source csv = {"csv", table, 2, &lines};
    const char *files[] = {"new.txt", "new.csv.gz", "target=first"};
    const char *unknown[] = {"one", "two"};
    const char *folders[] = {"faces.d", "new.csv"};
    static const gradc_option faces[] = {{"", "faces", 0}, {"fills", "name", 0}};
    const gradc_source images = {"images", faces, 2, NULL}, beside = {"csv", table, 2, &images};
    const TextList list = {files, 3}, plain = {unknown, 2}, folder_first = {folders, 2};
    gradc_source s;
    assert_true(source_override(&s, &beside, &folder_first, &error));
    assert_string_equal(path_of(&s), "new.csv");
    assert_string_equal(path_of(s.beside), "faces.d");
    source_free(&s);
    assert_true(source_override(&s, &csv, &list, &error));
    assert_string_equal(path_of(&s), "new.csv.gz");
    assert_string_equal(path_of(s.beside), "new.txt");
    assert_string_equal(option_text(&s, "target", ""), "first");
    source_free(&s);
    assert_true(source_guess(&s, &csv, &plain, ports, 3, &error));
    assert_string_equal(path_of(&s), "one");
    assert_string_equal(path_of(s.beside), "two");
    source_free(&s);
}

static void an_ending_tells_the_kind(void **state)
{
    static const struct {
        const char *trained_on, *file, *kind;
    } cases[] = {{"series", "new.csv.gz", "series"}, {"csv", "new.csv", "csv"},
                 {"text", "new.csv", "csv"},         {"lines", "new.txt", "lines"},
                 {"text", "new.txt", "text"},        {"tokens", "new.bin", "tokens"},
                 {"images", "new", "images"},        {"csv", "new.png", "images"},
                 {"images", "new.npz", "npz"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const gradc_source like = {cases[i].trained_on, unsaid, 1, NULL};
        const TextList files = {(const char *[]){cases[i].file}, 1};
        gradc_source s;
        assert_true(source_guess(&s, &like, &files, ports, 3, &error));
        assert_string_equal(s.kind, cases[i].kind);
        assert_string_equal(path_of(&s), cases[i].file);
        source_free(&s);
    }
    const TextList nothing = {(const char *[]){"new"}, 1};
    gradc_source s;
    error_clear(&error);
    assert_false(source_guess(&s, NULL, &nothing, ports, 3, &error));
    assert_non_null(strstr(error.text, "new: its name does not tell its format"));
}

static int enter(void **state)
{
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave(void **state)
{
    error_clear(&error);
    unlink("t.csv");
    unlink("l.txt");
    unlink("r.bin");
    unlink("x.npy");
    return chdir("/") || rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fills_its_own),
        cmocka_unit_test(options_say_who_fills_what),
        cmocka_unit_test(rows_agree),
        cmocka_unit_test(what_is_unclear_is_said),
        cmocka_unit_test(paths_go_to_the_next_of_their_kind),
        cmocka_unit_test(an_ending_tells_the_kind),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
