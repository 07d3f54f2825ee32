/* lines(…): one example a line or a position, its marks and padding, which of them a split keeps
 * together, and the sentence for each kind of bad file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data_case.h"

#include <unistd.h>

static char folder[] = "/tmp/gradrt-lines-XXXXXX";

static const int64_t three[] = {3}, four[] = {4};
static const gradc_port shifted[] = {{"x", GRADC_I32, GRADC_TOKEN, 5, 1, four, 4, 0, 1},
                                     {"n", GRADC_I32, GRADC_NUMBER, 0, 0, NULL, 1, 0, 1},
                                     {"y", GRADC_U8, GRADC_CLASS, 5, 1, four, 4, 1, 0}};
static const gradc_port next[] = {{"x", GRADC_I32, GRADC_TOKEN, 5, 1, three, 3, 0, 1},
                                  {"y", GRADC_I32, GRADC_TOKEN, 5, 0, NULL, 1, 1, 0}};
static const gradc_port plain[] = {{"n", GRADC_U8, GRADC_NUMBER, 0, 0, NULL, 1, 0, 1},
                                   {"x", GRADC_I32, GRADC_TOKEN, 260, 1, four, 4, 0, 1}};
static const gradc_port number[] = {{"x", GRADC_I32, GRADC_TOKEN, 5, 1, four, 4, 0, 1},
                                    {"y", GRADC_F32, GRADC_NUMBER, 0, 0, NULL, 1, 1, 0}};

static const gradc_option l_txt[] = {{"", "l.txt", 0}};

static void put_text(const char *text)
{
    put_file("l.txt", text, strlen(text));
}

static void a_line_is_an_example_with_marks_and_padding(void **state)
{
    const Case c = {"lines", shifted, 3, l_txt, 1, NULL, false};
    Dataset d;
    put_text("ab\r\n\nc\xc3\xa4z"); /* a b ä c z: 1 2 5 3 4 — five are too many */
    expect_error(&c, "l.txt: there are 5 different characters and the end mark, but x is token(5)\n"
                     "help: write x : token(6)");
    put_text("ab\r\n\nc\xc3\xa4");
    assert_true(open_case(&d, &c));
    assert_int_equal(d.count, 3);
    assert_int_equal(d.encoding.names[0].count, 4);
    assert_string_equal(d.encoding.names[0].items[3], "\xc3\xa4");
    expect_row(&d, 0, 0, "0120");
    expect_row(&d, 1, 0, "3");
    expect_row(&d, 2, 0, "1200");
    expect_row(&d, 0, 1, "0000");
    expect_row(&d, 1, 1, "1");
    expect_row(&d, 0, 2, "0340");
    expect_row(&d, 2, 2, "3400");
    const Case later = {"lines", shifted, 3, l_txt, 1, &d.encoding, true};
    Dataset other;
    put_text("cab");
    assert_true(open_case(&other, &later));
    expect_row(&other, 0, 0, "0312");
    assert_null(other.fields[2].data);
    dataset_close(&other);
    put_text("a\nbx");
    expect_error(&later, "l.txt:2:2: the character \"x\" (U+0078) is none of the 4");
    dataset_close(&d);
}

static void marks_are_a_choice(void **state)
{
    static const gradc_option bare[] = {{"", "l.txt", 0}, {"start", "no", 0}, {"end", "no", 0}};
    static const gradc_option bytes[] = {{"", "l.txt", 0}, {"unit", "byte", 0}, {"end", "yes", 0}};
    const Case c = {"lines", shifted, 3, bare, 3, NULL, false};
    const Case by_bytes = {"lines", plain, 2, bytes, 3, NULL, false};
    Dataset d;
    put_text("abcda\n\n");
    assert_true(open_case(&d, &c));
    assert_int_equal(d.count, 2);
    expect_row(&d, 0, 0, "1234");
    expect_row(&d, 2, 0, "2341");
    expect_row(&d, 1, 0, "4");
    expect_row(&d, 1, 1, "0");
    dataset_close(&d);
    put_file("l.txt", "\0\1\n", 3);
    assert_true(open_case(&d, &by_bytes));
    expect_row(&d, 1, 0, "1200");
    expect_row(&d, 0, 0, "3");
    dataset_close(&d);
}

static void a_position_is_an_example_where_one_token_follows(void **state)
{
    const Case c = {"lines", next, 2, l_txt, 1, NULL, false};
    Dataset d;
    View train, held;
    put_text("abca\nb\n");
    assert_true(open_case(&d, &c));
    assert_int_equal(d.count, 7);
    expect_row(&d, 0, 0, "000");
    expect_row(&d, 1, 0, "1");
    expect_row(&d, 0, 3, "123");
    expect_row(&d, 1, 3, "1");
    expect_row(&d, 0, 4, "231");
    expect_row(&d, 1, 4, "0");
    expect_row(&d, 0, 5, "000");
    expect_row(&d, 1, 5, "2");
    assert_true(view_split(&d, 0.5, 3, &train, &held, &error));
    const View *first = train.count == 5 ? &train : &held; /* whole lines: 5 and 2 */
    assert_int_equal(train.count + held.count, 7);
    assert_int_equal(first->count, 5);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(first->order[i], i);
    view_free(&train);
    view_free(&held);
    dataset_close(&d);
}

static void lines_name_every_mistake(void **state)
{
    static const gradc_option maybe[] = {{"", "l.txt", 0}, {"end", "maybe", 0}};
    static const gradc_option drop[] = {{"", "l.txt", 0}, {"long", "drop", 0}};
    static const gradc_option cut[] = {{"", "l.txt", 0}, {"long", "cut", 0}};
    const Case c = {"lines", shifted, 3, l_txt, 1, NULL, false};
    const Case mark = {"lines", shifted, 3, maybe, 2, NULL, false};
    const Case choice = {"lines", shifted, 3, drop, 2, NULL, false};
    const Case cuts = {"lines", shifted, 3, cut, 2, NULL, false};
    const Case target = {"lines", number, 2, l_txt, 1, NULL, false};
    Dataset d;
    put_text("abc\n\xc3\xa4"
             "abc\n");
    expect_error(&c, "l.txt:2: x takes 4 tokens, but this line of 4 characters makes 5\n"
                     "help: make x longer, or cut such lines: long = cut");
    assert_true(open_case(&d, &cuts));
    expect_row(&d, 0, 1, "0412");
    expect_row(&d, 2, 1, "4123");
    expect_row(&d, 1, 1, "4");
    dataset_close(&d);
    expect_error(&mark, "lines: end is yes or no, not maybe");
    expect_error(&choice, "lines: long is error or cut, not drop");
    expect_error(&target, "lines: nothing of a line becomes the target y");
    put_text("ab\na\xff");
    expect_error(&c, "l.txt:2:2: the byte 0xff here is not UTF-8");
    put_text("");
    expect_error(&c, "l.txt: holds no lines");
    unlink("l.txt");
    expect_error(&c, "cannot open l.txt");
}

static int enter(void **state)
{
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave(void **state)
{
    error_clear(&error);
    unlink("l.txt");
    return chdir("/") || rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_an_example_with_marks_and_padding),
        cmocka_unit_test(marks_are_a_choice),
        cmocka_unit_test(a_position_is_an_example_where_one_token_follows),
        cmocka_unit_test(lines_name_every_mistake),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
