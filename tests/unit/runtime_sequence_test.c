/* Sources whose examples are parts of a text or of a sequence: what the windows are, how they are
 * split, and the sentence for each kind of bad file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data_case.h"

#include <unistd.h>

static char folder[] = "/tmp/gradrt-sequence-XXXXXX";

static const int64_t four[] = {4}, five[] = {5};
static const gradc_port shifted[] = {{"x", GRADC_U8, GRADC_TOKEN, 5, 1, four, 4, 0, 1},
                                     {"y", GRADC_U8, GRADC_TOKEN, 5, 1, four, 4, 1, 0}};
static const gradc_port next[] = {{"x", GRADC_U8, GRADC_TOKEN, 5, 1, four, 4, 0, 1},
                                  {"y", GRADC_U16, GRADC_CLASS, 6, 0, NULL, 1, 1, 0}};
static const gradc_port wrong[] = {{"x", GRADC_U8, GRADC_TOKEN, 5, 1, four, 4, 0, 1},
                                   {"y", GRADC_U8, GRADC_TOKEN, 5, 1, five, 5, 1, 0}};
static const gradc_port bytes[] = {{"x", GRADC_U8, GRADC_TOKEN, 256, 1, four, 4, 0, 1}};

/* ---- text ----------------------------------------------------------------------------------------------- */

static const gradc_option t_txt[] = {{"", "t.txt", 0}, {"stride", NULL, 2}};

static void expect_text_error(const char *text, const Case *like, const char *message)
{
    put_file("t.txt", text, strlen(text));
    expect_error(like, message);
}

static void text_is_windows_and_their_successors(void **state)
{
    Dataset d;
    const Case plain = {"text", shifted, 2, t_txt, 1, NULL, false};
    put_file("t.txt",
             "\xef\xbb\xbf"
             "b\xc3\xa4"
             "a\nbaab\xe2\x82\xac",
             15); /* bäa\nbaab€ */
    assert_true(open_case(&d, &plain));
    assert_int_equal(d.count, 2);
    expect_row(&d, 0, 0, "2310");
    expect_row(&d, 1, 0, "3102");
    expect_row(&d, 0, 1, "2112");
    expect_row(&d, 1, 1, "1124");
    assert_int_equal(d.encoding.names[0].count, 5);
    assert_string_equal(d.encoding.names[0].items[0], "\n");
    assert_string_equal(d.encoding.names[1].items[4], "\xe2\x82\xac");
    dataset_close(&d);
    const Case scalar = {"text", next, 2, t_txt, 2, NULL, false};
    assert_true(open_case(&d, &scalar));
    assert_int_equal(d.count, 3);
    expect_row(&d, 0, 2, "2112");
    expect_row(&d, 1, 2, "4");
    dataset_close(&d);
    const Case predicting = {"text", shifted, 2, t_txt, 2, NULL, true};
    put_file("t.txt", "abcd", 4);
    assert_true(open_case(&d, &predicting));
    assert_int_equal(d.count, 1);
    assert_null(d.fields[1].data);
    dataset_close(&d);
}

static void bytes_are_their_own_numbers(void **state)
{
    static const gradc_option options[] = {{"", "t.txt", 0}, {"unit", "byte", 0}};
    const Case c = {"text", bytes, 1, options, 2, NULL, false};
    Dataset d;
    put_file("t.txt", "\0\1\2\3\xff", 5);
    assert_true(open_case(&d, &c));
    expect_row(&d, 0, 0, "0123");
    assert_int_equal(d.encoding.names[0].count, 0);
    dataset_close(&d);
    const Case few = {"text", shifted, 2, options, 2, NULL, false};
    expect_error(&few, "t.txt: there are 256 different bytes, but x is token(5)\n"
                       "help: write x : token(256)");
}

static void text_names_the_place_of_every_mistake(void **state)
{
    static const gradc_option backwards[] = {{"", "t.txt", 0}, {"stride", NULL, 0}};
    static const gradc_option word[] = {{"", "t.txt", 0}, {"unit", "word", 0}};
    const Case c = {"text", shifted, 2, t_txt, 1, NULL, false};
    const Case shape = {"text", wrong, 2, t_txt, 1, NULL, false};
    const Case stride = {"text", shifted, 2, backwards, 2, NULL, false};
    const Case unit = {"text", shifted, 2, word, 2, NULL, false};
    expect_text_error("abc\nab\xffxy", &c, "t.txt:2:3: the byte 0xff here is not UTF-8");
    expect_text_error("abc\na\xc3", &c, "t.txt:2:2: the byte 0xc3 here is not UTF-8");
    expect_text_error("\xed\xa0\x80", &c, "t.txt:1:1: the byte 0xed here is not UTF-8");
    expect_text_error("abcdef", &c,
                      "t.txt: there are 6 different characters, but x is token(5)\n"
                      "help: write x : token(6)");
    expect_text_error("abcd", &c, "t.txt: holds 4 characters, but a window takes 5");
    expect_text_error("", &c, "t.txt: holds 0 characters");
    expect_text_error("abcde", &shape, "text: the target y is neither the next character nor");
    expect_text_error("abcde", &stride, "text: stride is a whole number from 1, not 0");
    expect_text_error("abcde", &unit, "text: unit is character or byte, not word");
    put_file("t.txt", "ab\0cd", 5);
    expect_error(&c, "t.txt:1:3: a zero byte: is this a text file?");
}

static void a_vocabulary_holds_for_later_texts(void **state)
{
    Dataset d, later;
    const Case c = {"text", shifted, 2, t_txt, 1, NULL, false};
    put_file("t.txt", "bdbdb", 5);
    assert_true(open_case(&d, &c));
    const Case again = {"text", shifted, 2, t_txt, 1, &d.encoding, false};
    put_file("t.txt", "ddddd", 5);
    assert_true(open_case(&later, &again));
    expect_row(&later, 0, 0, "1111");
    dataset_close(&later);
    expect_text_error("bd\nbdc", &again, "t.txt:1:3: the character \"\" (U+000A) is none of the 2");
    dataset_close(&d);
    encoding_create(&d.encoding, 2);
    const Case none = {"text", shifted, 2, t_txt, 1, &d.encoding, false};
    expect_error(&none, "t.txt: the checkpoint keeps no characters");
    encoding_destroy(&d.encoding);
}

/* ---- tokens --------------------------------------------------------------------------------------------------- */

static void tokens_are_windows_checked_when_read(void **state)
{
    static const gradc_option plain[] = {{"", "t.bin", 0}, {"stride", NULL, 3}};
    static const gradc_option wide[] = {{"", "t.bin", 0}, {"type", "u32", 0}, {"header", NULL, 4}};
    static const uint16_t stream[] = {7, 7, 4, 0, 1, 0, 2, 0, 3, 0, 4, 0};
    const Case narrow = {"tokens", shifted, 2, plain, 2, NULL, false};
    const Case four_bytes = {"tokens", next, 2, wide, 3, NULL, false};
    Dataset d;
    uint32_t rows[] = {1, 0};
    Batch b;
    put_file("t.bin", stream, sizeof stream);
    assert_true(open_case(&d, &four_bytes));
    assert_int_equal(d.count, 1);
    expect_row(&d, 0, 0, "4123");
    expect_row(&d, 1, 0, "4");
    dataset_close(&d);
    assert_true(open_case(&d, &narrow)); /* windows at 0, 3 and 6 */
    assert_int_equal(d.count, 3);
    assert_int_equal(d.gap, 1);
    expect_row(&d, 0, 1, "0102");
    expect_row(&d, 1, 1, "1020");
    const View view = {&d, rows, 2};
    batch_create(&b, d.ports, 2, 2);
    assert_false(batch_gather(&b, &view, 0, 2, &error));
    assert_string_equal(error.text,
                        "t.bin: token 0 (at byte 0): 7 is outside 0 … 4, the tokens of "
                        "x\nhelp: see that the type (2 bytes a token) and the header "
                        "(0 bytes) are the file's, and that the model has its vocabulary");
    batch_destroy(&b);
    dataset_close(&d);
}

static void tokens_name_every_mistake(void **state)
{
    static const gradc_option odd[] = {{"", "t.bin", 0}, {"type", "f32", 0}};
    static const gradc_option plain[] = {{"", "t.bin", 0}};
    static const gradc_option header[] = {{"", "t.bin", 0}, {"header", NULL, 9}};
    const Case type = {"tokens", shifted, 2, odd, 2, NULL, false};
    const Case c = {"tokens", shifted, 2, plain, 1, NULL, false};
    const Case behind = {"tokens", shifted, 2, header, 2, NULL, false};
    const Case shape = {"tokens", wrong, 2, plain, 1, NULL, false};
    put_file("t.bin", "\0\0\1\0\2\0\3", 7);
    expect_error(&type, "tokens: type is u8, u16 or u32, not f32");
    expect_error(&c, "t.bin: its 7 bytes are no whole number of tokens of 2 bytes");
    expect_error(&behind, "t.bin: its 7 bytes are no whole number of tokens of 2 bytes after the");
    expect_error(&shape, "tokens: the target y is neither the next token nor");
    put_file("t.bin", "\0\0\1\0\2\0\3\0", 8);
    expect_error(&c, "t.bin: holds 4 tokens, but a window takes 5");
    put_file("t.bin", "", 0);
    expect_error(&c, "t.bin: holds 0 tokens");
    unlink("t.bin");
    expect_error(&c, "cannot open t.bin");
}

/* ---- series ---------------------------------------------------------------------------------------------------- */

static const int64_t two[] = {2}, two_by_two[] = {2, 2};
static const gradc_port one_column[] = {{"x", GRADC_F32, GRADC_NUMBER, 0, 1, two, 2, 0, 1},
                                        {"y", GRADC_F32, GRADC_NUMBER, 0, 0, NULL, 1, 1, 0}};
static const gradc_port ahead[] = {{"x", GRADC_F32, GRADC_NUMBER, 0, 2, two_by_two, 4, 0, 1},
                                   {"y", GRADC_U8, GRADC_NUMBER, 0, 1, two, 2, 1, 0}};
static const gradc_port both[] = {{"x", GRADC_F32, GRADC_NUMBER, 0, 2, two_by_two, 4, 0, 1},
                                  {"y", GRADC_F32, GRADC_NUMBER, 0, 2, two_by_two, 4, 1, 0}};
static const gradc_option s_csv[] = {{"", "s.csv", 0}};
static const char table[] = "day,a,b\nmo,1,6\ntu,2,7\nwe,3,8\nth,4,9\nfr,5,0\n";

static void put_table(const char *text)
{
    put_file("s.csv", text, strlen(text));
}

static void a_series_is_windows_of_columns(void **state)
{
    static const gradc_option b_alone[] = {{"", "s.csv", 0}, {"columns", "b", 0}};
    static const gradc_option options[] = {{"", "s.csv", 0},
                                           {"columns", "b,a", 0},
                                           {"target", "a", 0},
                                           {"horizon", NULL, 2},
                                           {"stride", NULL, 2}};
    const Case c = {"series", one_column, 2, b_alone, 2, NULL, false};
    const Case later = {"series", ahead, 2, options, 4, NULL, false};
    const Case apart = {"series", ahead, 2, options, 5, NULL, true};
    const Case all = {"series", both, 2, s_csv, 1, NULL, false};
    Dataset d;
    put_table(table);
    assert_true(open_case(&d, &c));
    assert_int_equal(d.count, 3);
    assert_int_equal(d.gap, 2); /* window 0 reads rows 0 … 2 */
    assert_int_equal(d.apart, 1);
    expect_row(&d, 0, 2, "89");
    expect_row(&d, 1, 2, "0");
    dataset_close(&d);
    assert_true(open_case(&d, &later));
    assert_int_equal(d.count, 1);
    expect_row(&d, 0, 0, "6172");
    expect_row(&d, 1, 0, "45");
    dataset_close(&d);
    assert_true(open_case(&d, &apart)); /* without targets, every other row */
    assert_int_equal(d.count, 2);
    expect_row(&d, 0, 1, "8394");
    dataset_close(&d);
    assert_true(open_case(&d, &all)); /* the columns of numbers */
    assert_int_equal(d.count, 2);
    expect_row(&d, 0, 1, "2738");
    expect_row(&d, 1, 1, "4950");
    dataset_close(&d);
}

static void series_name_every_mistake(void **state)
{
    static const gradc_option none[] = {{"", "s.csv", 0}, {"columns", "c", 0}};
    static const gradc_option words[] = {{"", "s.csv", 0}, {"columns", "day", 0}};
    static const gradc_option zero[] = {
        {"", "s.csv", 0}, {"columns", "a", 0}, {"horizon", NULL, 0}};
    static const gradc_option far[] = {{"", "s.csv", 0}, {"columns", "a", 0}, {"horizon", NULL, 9}};
    static const gradc_option a[] = {{"", "s.csv", 0}, {"columns", "a", 0}};
    const Case column = {"series", one_column, 2, none, 2, NULL, false};
    const Case word = {"series", one_column, 2, words, 2, NULL, false};
    const Case horizon = {"series", one_column, 2, zero, 3, NULL, false};
    const Case beyond = {"series", one_column, 2, far, 3, NULL, false};
    const Case width = {"series", one_column, 2, s_csv, 1, NULL, false};
    static const gradc_port pair[] = {{"x", GRADC_F32, GRADC_NUMBER, 0, 2, two_by_two, 4, 0, 1},
                                      {"y", GRADC_F32, GRADC_NUMBER, 0, 0, NULL, 1, 1, 0}};
    const Case shape = {"series", pair, 2, s_csv, 1, NULL, false};
    const Case tokens = {"series", shifted, 2, a, 2, NULL, false};
    const Case missing = {"series", one_column, 2, a, 2, NULL, false};
    put_table(table);
    expect_error(&column, "s.csv: columns names the column c, which is not there\n"
                          "help: the columns are day, a, b");
    expect_error(&word, "s.csv:2: column day: \"mo\" is not a number");
    expect_error(&horizon, "series: horizon is a whole number from 1, not 0");
    expect_error(&beyond, "s.csv: holds 5 rows, but a window takes 11\n"
                          "help: 2 of the input x, and 9 more for the target");
    expect_error(&width, "s.csv: x takes 1 column, but there are 2");
    expect_error(&shape, "series: the target y does not fit 2 columns\nhelp: declare it as "
                         "y[columns] : f32, or, for the next 12 rows, y[12, columns] : f32");
    expect_error(&tokens, "series: the input x is no window of numbers");
    put_table("day,a,b\nmo,1,6\ntu,,7\nwe,3,8\n");
    expect_error(&missing, "s.csv:3: column a: missing value (fill = … says what it becomes)");
    put_table("day,a,b\nmo,1,6\ntu,2\n");
    expect_error(&missing, "s.csv:3: this row has 2 fields, the first has 3");
    put_table("");
    expect_error(&missing, "s.csv: holds no rows");
    put_table("day,a,b\n");
    expect_error(&missing, "s.csv: holds 0 rows, but a window takes 3");
    unlink("s.csv");
    expect_error(&missing, "cannot open s.csv");
}

/* ---- splitting ---------------------------------------------------------------------------------------------- */

static void a_sequence_is_split_once_and_without_overlap(void **state)
{
    Dataset d;
    View train, held;
    const Case c = {"text", shifted, 2, t_txt, 2, NULL, false};
    put_file("t.txt", "abcdabcdabcdabcdabcdabcda", 25); /* 11 windows, 2 apart, of 4 + 1 */
    assert_true(open_case(&d, &c));
    assert_int_equal(d.count, 11);
    assert_true(view_split(&d, 0.4, 7, &train, &held, &error));
    assert_int_equal(train.count, 5); /* windows 0 … 4 end before 2 * 7 = 14 */
    assert_int_equal(train.order[4], 4);
    assert_int_equal(held.count, 2); /* 7 and 9: 8 and 10 overlap them */
    assert_int_equal(held.order[0], 7);
    assert_int_equal(held.order[1], 9);
    view_free(&train);
    view_free(&held);
    assert_false(view_split(&d, 0.9, 7, &train, &held, &error));
    assert_non_null(strstr(error.text, "leaves none of the 11 examples"));
    view_apart(&d, &held);
    assert_int_equal(held.count, 6);
    view_free(&held);
    dataset_close(&d);
}

static int enter(void **state)
{
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave(void **state)
{
    static const char *const files[] = {"t.txt", "t.bin", "s.csv"};
    error_clear(&error);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlink(files[i]);
    return chdir("/") || rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_windows_and_their_successors),
        cmocka_unit_test(bytes_are_their_own_numbers),
        cmocka_unit_test(text_names_the_place_of_every_mistake),
        cmocka_unit_test(a_vocabulary_holds_for_later_texts),
        cmocka_unit_test(tokens_are_windows_checked_when_read),
        cmocka_unit_test(tokens_name_every_mistake),
        cmocka_unit_test(a_series_is_windows_of_columns),
        cmocka_unit_test(series_name_every_mistake),
        cmocka_unit_test(a_sequence_is_split_once_and_without_overlap),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
