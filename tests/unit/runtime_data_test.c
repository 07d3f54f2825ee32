/* Readers: what they make of good files, and the sentence they give for each kind of bad one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/data.h"
#include "fake_model.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static char folder[] = "/tmp/gradrt-data-XXXXXX";

static void put_file(const char *name, const void *data, size_t size)
{
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
}

static Error error;

static bool open_set(Dataset *d, const char *kind, const gradc_option *options, int count,
                     bool predicting)
{
    const gradc_source s = {kind, options, count, NULL};
    const Request r = {&s, fake32_inputs, 2, NULL, NULL, predicting, false};
    error_clear(&error);
    return dataset_open(d, &r, &error);
}

static bool open_csv(Dataset *d, const char *text, bool predicting)
{
    static const gradc_option options[] = {{"", "t.csv", 0}, {"target", "last", 0}};
    put_file("t.csv", text, strlen(text));
    return open_set(d, "csv", options, 2, predicting);
}

static void expect_csv_error(const char *text, const char *message)
{
    Dataset d;
    assert_false(open_csv(&d, text, false));
    if (!strstr(error.text, message))
        fail_msg("\"%s\" lacks \"%s\"", error.text, message);
    error_clear(&error);
}

static float x_at(const Dataset *d, size_t row, int i)
{
    float v;
    memcpy(&v, d->fields[0].data + row * d->fields[0].stride + 4 * (size_t)i, 4);
    return v;
}

static void csv_reads_quotes_line_ends_and_names(void **state)
{
    Dataset d;
    assert_true(open_csv(&d,
                         "a,b,c,d,kind\r\n1, 2 ,3,-4e1,\"x, \"\"y\"\"\"\r\n\r\n5,6,7,8,b\r"
                         "\"9\",0,0,0,b",
                         false));
    assert_int_equal(d.count, 3);
    assert_true(x_at(&d, 0, 3) == -40 && x_at(&d, 1, 0) == 5 && x_at(&d, 2, 0) == 9);
    assert_int_equal(d.encoding.names[1].count, 2);
    assert_string_equal(d.encoding.names[1].items[0], "b"); /* sorted */
    assert_string_equal(d.encoding.names[1].items[1], "x, \"y\"");
    assert_int_equal(d.fields[1].data[0], 1);
    dataset_close(&d);
}

static void csv_names_the_place_of_every_mistake(void **state)
{
    expect_csv_error("a,b,c,d,e\n1,2,3,4,0\n1,2,,4,0\n", "t.csv:3: column c: missing value");
    expect_csv_error("1,2,3,4,0\n1,2,3,4,3\n", "t.csv:2: column 4 (from 0): 3 is outside 0 … 2");
    expect_csv_error("1,2,3,4,0\n1,2,3,0\n", "t.csv:2: this row has 4 fields, the first has 5");
    expect_csv_error("1,2,3,4,0\n1,2,3,\"4,0\n", "t.csv:2: a quote opens here and never closes");
    expect_csv_error("1,2,3,4,0\n1,2,3,\"4\"x,0\n", "t.csv:2: text follows a closing quote");
    expect_csv_error("1,2,3,4,0\n1,2,three,4,0\n", "\"three\" is not a number");
    expect_csv_error("1,2,3,4,0\n1,2,inf,4,0\n", "\"inf\" is not a number");
    expect_csv_error("1,2,3,4,0\n1,2,1e60,4,0\n", "too large for the f32");
    expect_csv_error("1,2,3,4,0.5\n", "0.5 is not a whole number, as label needs");
    expect_csv_error("1,2,3,4,a\n1,2,3,4,b\n1,2,3,4,c\n1,2,3,4,d\n", "4 different names");
    expect_csv_error("1,2,3,4,5,0\n", "x takes 4 values of an example, but 5 columns are left");
    expect_csv_error("1,2,3,4,\xe9t\xe9\n", "not UTF-8");
    expect_csv_error("", "holds no rows");
    expect_csv_error("a,b,c,d,e\n", "holds no examples");
}

static void csv_for_prediction_needs_no_target(void **state)
{
    Dataset d;
    assert_true(open_csv(&d, "1,2,3,4\n", true));
    assert_null(d.fields[1].data);
    dataset_close(&d);
    assert_true(open_csv(&d, "1,2,3,4,0\n", true));
    dataset_close(&d);
}

static void csv_options_choose_columns_and_fill(void **state)
{
    Dataset d;
    static const gradc_option options[] = {{"", "t.csv", 0},
                                           {"target", "y", 0},
                                           {"skip", "n,m", 0},
                                           {"fill", "mean", 0},
                                           {"separator", ";", 0}};
    static const char text[] = "y;n;a;b;m;c;d\n0;u;1;;0;3;4\n2;v;1;5;;3;4\n1;w;1;7;;3;4\n";
    put_file("t.csv", text, sizeof text - 1);
    assert_true(open_set(&d, "csv", options, 5, false));
    assert_true(x_at(&d, 0, 1) == 6);
    assert_int_equal(d.encoding.fill_count, 4);
    assert_int_equal(d.fields[1].data[1], 2);
    dataset_close(&d);
}

static void npy_converts_only_what_it_can_hold(void **state)
{
    static const gradc_option options[] = {{"x", "x.npy", 0}, {"label", "y.npy", 0}};
    char x[128 + 64] = "\x93NUMPY\1\0v\0{'descr': '>f8', 'fortran_order': True, 'shape': (2, 4), }";
    char y[128 + 16] = "\x93NUMPY\1\0v\0{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }";
    Dataset d;
    for (int i = 0; i < 8; i++) { /* big-endian 2.0 + i/8 */
        x[128 + 8 * i] = 0x40;
        x[128 + 8 * i + 2] = (char)(i << 4) >> 4;
    }
    y[128] = 2;
    put_file("x.npy", x, sizeof x);
    put_file("y.npy", y, sizeof y);
    assert_true(open_set(&d, "npy", options, 2, false));
    assert_int_equal(d.count, 2);
    assert_int_equal(d.fields[1].data[0], 2);
    dataset_close(&d);
    y[128 + 8] = 3;
    put_file("y.npy", y, sizeof y);
    assert_false(open_set(&d, "npy", options, 2, false));
    assert_non_null(strstr(error.text, "y.npy: example 1 (from 0): 3 is outside 0 … 2"));
    put_file("y.npy", y, sizeof y - 1);
    assert_false(open_set(&d, "npy", options, 2, false));
    assert_non_null(strstr(error.text, "is the file complete?"));
    error_clear(&error);
}

static void idx_checks_shape_and_count(void **state)
{
    static const gradc_option options[] = {{"x", "x.idx", 0}, {"label", "y.idx", 0}};
    static const uint8_t x[] = {0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 4, 1, 2, 3, 4, 5, 6, 7, 8};
    static const uint8_t y[] = {0, 0, 8, 1, 0, 0, 0, 2, 0, 2};
    static const uint8_t three[] = {0, 0, 8, 1, 0, 0, 0, 3, 0, 2, 1};
    static const uint8_t wide[] = {0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 5, 1, 2, 3, 4, 5};
    Dataset d;
    put_file("x.idx", x, sizeof x);
    put_file("y.idx", y, sizeof y);
    assert_true(open_set(&d, "idx", options, 2, false));
    assert_true(x_at(&d, 1, 3) == 8);
    dataset_close(&d);
    put_file("y.idx", three, sizeof three);
    assert_false(open_set(&d, "idx", options, 2, false));
    assert_string_equal(error.text, "y.idx holds 3 examples, but x.idx holds 2");
    put_file("x.idx", wide, sizeof wide);
    assert_false(open_set(&d, "idx", options, 2, false));
    assert_non_null(strstr(error.text, "has shape (5), but x has shape (4)"));
    error_clear(&error);
}

static void records_follow_their_layout(void **state)
{
    static const gradc_option options[] = {{"", "r.bin", 0}, {"layout", "label 2 x:u8", 0}};
    static const uint8_t r[] = {1, 9, 9, 1, 2, 3, 4, 2, 9, 9, 5, 6, 7, 8};
    Dataset d;
    put_file("r.bin", r, sizeof r);
    assert_true(open_set(&d, "records", options, 2, false));
    assert_int_equal(d.count, 2);
    assert_int_equal(d.fields[1].data[d.fields[1].stride], 2);
    assert_true(x_at(&d, 1, 0) == 5);
    dataset_close(&d);
    put_file("r.bin", r, sizeof r - 1);
    assert_false(open_set(&d, "records", options, 2, false));
    assert_non_null(strstr(error.text, "no whole number of records of 7 bytes"));
    error_clear(&error);
}

static void tensors_are_found_by_name(void **state)
{
    static const gradc_option options[] = {{"", "d.safetensors", 0}, {"x", "pictures", 0}};
    static const gradc_option other[] = {{"", "d.safetensors", 0}, {"x", "photos", 0}};
    static const char header[] =
        "{\"pictures\":{\"dtype\":\"U8\",\"shape\":[2,2,2],\"data_offsets\":[0,8]},"
        "\"label\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[8,24]}}";
    char file[8 + sizeof header - 1 + 24] = {(char)(sizeof header - 1)};
    char *data = file + 8 + sizeof header - 1;
    Dataset d;
    memcpy(file + 8, header, sizeof header - 1);
    data[7] = 9;
    data[16] = 2;
    put_file("d.safetensors", file, sizeof file);
    assert_false(open_set(&d, "safetensors", options, 2, false));
    assert_non_null(strstr(error.text, "d.safetensors:pictures: each of the 2 examples has shape "
                                       "(2, 2), but x has shape (4)"));
    memcpy(strstr(file + 8, "[2,2,2]"), "[2,4,1]", 7);
    put_file("d.safetensors", file, sizeof file);
    assert_true(open_set(&d, "safetensors", options, 2, false));
    assert_int_equal(d.count, 2);
    assert_true(x_at(&d, 1, 3) == 9);
    assert_int_equal(d.fields[1].data[1], 2);
    dataset_close(&d);
    assert_false(open_set(&d, "safetensors", other, 2, false));
    assert_string_equal(error.text, "d.safetensors: has no tensor named photos\n"
                                    "help: it has pictures, label");
    data[16] = 3;
    put_file("d.safetensors", file, sizeof file);
    assert_false(open_set(&d, "safetensors", options, 2, false));
    assert_non_null(strstr(error.text, "label: example 1 (from 0): 3 is outside 0 … 2"));
    memcpy(strstr(file + 8, "I64"), "F16", 3);
    put_file("d.safetensors", file, sizeof file);
    assert_false(open_set(&d, "safetensors", options, 2, false));
    assert_non_null(strstr(error.text, "the place of label does not agree with its shape"));
    error_clear(&error);
}

static void halves_are_numbers(void **state)
{
    static const gradc_option options[] = {{"", "d.safetensors", 0}, {"x", "half", 0}};
    static const gradc_option brain[] = {{"", "d.safetensors", 0}, {"x", "brain", 0}};
    static const char header[] =
        "{\"half\":{\"dtype\":\"F16\",\"shape\":[1,4],\"data_offsets\":[0,8]},"
        "\"brain\":{\"dtype\":\"BF16\",\"shape\":[1,4],\"data_offsets\":[8,16]},"
        "\"label\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[16,17]}}";
    static const uint16_t numbers[] = {0x3c00, 0xc500, 0x0001, 0x7bff,  /* 1, -5, 2^-24, 65504 */
                                       0x3f80, 0xc0a0, 0x0000, 0x4780}; /* 1, -5, 0, 65536 */
    char file[8 + sizeof header - 1 + 17] = {(char)(sizeof header - 1)};
    Dataset d;
    memcpy(file + 8, header, sizeof header - 1);
    memcpy(file + 8 + sizeof header - 1, numbers, sizeof numbers);
    put_file("d.safetensors", file, sizeof file);
    assert_true(open_set(&d, "safetensors", options, 2, false));
    assert_true(x_at(&d, 0, 0) == 1 && x_at(&d, 0, 1) == -5 && x_at(&d, 0, 2) == 0x1p-24f);
    assert_true(x_at(&d, 0, 3) == 65504);
    dataset_close(&d);
    assert_true(open_set(&d, "safetensors", brain, 2, false));
    assert_true(x_at(&d, 0, 0) == 1 && x_at(&d, 0, 1) == -5 && x_at(&d, 0, 3) == 65536);
    dataset_close(&d);
    file[8 + sizeof header - 1 + 7] = 0x7c; /* 0x7cff: not a number */
    put_file("d.safetensors", file, sizeof file);
    assert_false(open_set(&d, "safetensors", options, 2, false));
    assert_non_null(strstr(error.text, "half: example 0"));
    assert_non_null(strstr(error.text, "is not a finite number"));
    error_clear(&error);
}

static void what_does_not_fit_into_memory_is_said(void **state)
{
    static uint8_t zeros[1 << 16];
    uint8_t packed[1 << 10];
    z_stream z = {0};
    Bytes b;
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = zeros;
    z.avail_in = sizeof zeros;
    z.next_out = packed;
    z.avail_out = sizeof packed;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    error_clear(&error);
    assert_false(inflate_all(packed, z.total_out, 31, sizeof zeros / 2, &b, "z.gz", &error));
    assert_non_null(strstr(error.text,
                           "z.gz: does not fit into memory when inflated\nhelp: inflate "
                           "it first"));
    error_clear(&error);
    assert_true(inflate_all(packed, z.total_out, 31, 4 * sizeof zeros, &b, "z.gz", &error));
    assert_int_equal(b.size, sizeof zeros);
    file_close(&b);
}

static void a_lossy_value_is_no_value(void **state)
{
    static const gradc_port u8 = {"image", GRADC_U8, GRADC_NUMBER, 0, 0, NULL, 1, 0, 1};
    char reason[REASON_TEXT];
    uint8_t out;
    assert_null(port_put(&u8, 255, &out, reason));
    assert_string_equal(port_put(&u8, 3.7, &out, reason),
                        "3.7 is not a whole number, as image needs");
    assert_non_null(port_put(&u8, 256, &out, reason));
    assert_non_null(port_put(&u8, -1, &out, reason));
    assert_non_null(port_put(&u8, NAN, &out, reason));
}

static int enter(void **state)
{
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave(void **state)
{
    static const char *const files[] = {"t.csv", "x.npy", "y.npy",        "x.idx",
                                        "y.idx", "r.bin", "d.safetensors"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlink(files[i]);
    return chdir("/") || rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csv_reads_quotes_line_ends_and_names),
        cmocka_unit_test(csv_names_the_place_of_every_mistake),
        cmocka_unit_test(csv_for_prediction_needs_no_target),
        cmocka_unit_test(csv_options_choose_columns_and_fill),
        cmocka_unit_test(npy_converts_only_what_it_can_hold),
        cmocka_unit_test(idx_checks_shape_and_count),
        cmocka_unit_test(records_follow_their_layout),
        cmocka_unit_test(tensors_are_found_by_name),
        cmocka_unit_test(halves_are_numbers),
        cmocka_unit_test(what_does_not_fit_into_memory_is_said),
        cmocka_unit_test(a_lossy_value_is_no_value),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
