/* images(…): folders as classes, sizes and channels, pictures kept or read anew, and the sentence for
 * each kind of bad file.  What a build has no library for is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data_case.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static char folder[] = "/tmp/gradrt-images-XXXXXX";

static const int64_t grey_shape[] = {2, 2}, colour_shape[] = {2, 4, 3}, flat_shape[] = {4};
static const gradc_port grey[] = {{"x", GRADC_U8, GRADC_NUMBER, 0, 2, grey_shape, 4, 0, 1},
                                  {"y", GRADC_U8, GRADC_CLASS, 2, 0, NULL, 1, 1, 0}};
static const gradc_port colour[] = {{"x", GRADC_U8, GRADC_NUMBER, 0, 3, colour_shape, 24, 0, 1}};
static const gradc_port flat[] = {{"x", GRADC_U8, GRADC_NUMBER, 0, 1, flat_shape, 4, 0, 1},
                                  {"y", GRADC_U8, GRADC_CLASS, 2, 0, NULL, 1, 1, 0}};

static const gradc_option pictures[] = {{"", "p", 0}, {"keep", "auto", 0}};

/* ---- files ---------------------------------------------------------------------------------------------- */

static size_t put_word(uint8_t *at, uint32_t word)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(word >> (24 - 8 * i));
    return 4;
}

static size_t put_chunk(uint8_t *at, const char *type, const uint8_t *data, size_t size)
{
    put_word(at, (uint32_t)size);
    memcpy(at + 4, type, 4);
    memcpy(at + 8, data, size);
    put_word(at + 8 + size, (uint32_t)crc32(0, at + 4, (uInt)size + 4));
    return size + 12;
}

/* 8 bits a channel; `cut` bytes are missing at the end. */
static void put_png(const char *name, uint32_t width, uint32_t height, int channels,
                    const uint8_t *pixels, size_t cut)
{
    uint8_t file[512] = "\x89PNG\r\n\x1a\n", head[13], lines[256], packed[256];
    const size_t row = width * (size_t)channels;
    for (uint32_t i = 0; i < height; i++) {
        lines[i * (row + 1)] = 0; /* no filter */
        memcpy(lines + i * (row + 1) + 1, pixels + i * row, row);
    }
    uLongf size = sizeof packed;
    assert_int_equal(compress(packed, &size, lines, (uLong)(height * (row + 1))), Z_OK);
    put_word(head, width);
    put_word(head + 4, height);
    memcpy(head + 8, (uint8_t[]){8, channels == 3 ? 2 : channels == 4 ? 6 : 0, 0, 0, 0}, 5);
    uint8_t *at = file + 8;
    at += put_chunk(at, "IHDR", head, sizeof head);
    at += put_chunk(at, "IDAT", packed, size);
    at += put_chunk(at, "IEND", head, 0);
    put_file(name, file, (size_t)(at - file) - cut);
}

/* A grey slope of 8 by 8 from left to right. */
static const uint8_t jpeg[] = {
    255, 216, 255, 224, 0,  16,  74,  70, 73, 70, 0,  1,  1,  0,  0,   1,   0,  1,  0,   0,   255,
    219, 0,   67,  0,   13, 9,   10,  11, 10, 8,  13, 11, 10, 11, 14,  14,  13, 15, 19,  32,  21,
    19,  18,  18,  19,  39, 28,  30,  23, 32, 46, 41, 49, 48, 46, 41,  45,  44, 51, 58,  74,  62,
    51,  54,  70,  55,  44, 45,  64,  87, 65, 70, 76, 78, 82, 83, 82,  50,  62, 90, 97,  90,  80,
    96,  74,  81,  82,  79, 255, 192, 0,  11, 8,  0,  8,  0,  8,  1,   1,   17, 0,  255, 196, 0,
    20,  0,   1,   0,   0,  0,   0,   0,  0,  0,  0,  0,  0,  0,  0,   0,   0,  0,  4,   255, 196,
    0,   23,  16,  0,   3,  1,   0,   0,  0,  0,  0,  0,  0,  0,  0,   0,   0,  0,  0,   0,   6,
    67,  129, 255, 218, 0,  8,   1,   1,  0,  0,  63, 0,  10, 20, 240, 255, 217};

/* p/a/1.png and p/b/2.png, grey of 2 by 2. */
static void put_pair(void)
{
    mkdir("p", 0700);
    mkdir("p/a", 0700);
    mkdir("p/b", 0700);
    put_png("p/a/1.png", 2, 2, 1, (const uint8_t[]){0, 50, 100, 250}, 0);
    put_png("p/b/2.png", 2, 2, 1, (const uint8_t[]){9, 8, 7, 6}, 0);
}

static void remove_pair(void)
{
    static const char *const files[] = {"p/a/1.png", "p/b/2.png", "p/b/3.png", "p/4.png",
                                        "p/c/5.png"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlink(files[i]);
    rmdir("p/a");
    rmdir("p/b");
    rmdir("p/c");
    rmdir("p");
}

static void expect_pixels(const Dataset *d, uint32_t row, const uint8_t *pixels)
{
    const View view = {d, &row, 1};
    Batch b;
    batch_create(&b, d->ports, d->port_count, 1);
    assert_true(batch_gather(&b, &view, 0, 1, &error));
    assert_memory_equal(b.rows[0], pixels, d->ports[0].count);
    batch_destroy(&b);
}

/* Whether the build reads the file at all. */
static bool is_lacking(const Case *c)
{
    Dataset d;
    if (open_case(&d, c))
        dataset_close(&d);
    return error.text && strstr(error.text, "was built without") != NULL;
}

/* ---- tests ------------------------------------------------------------------------------------------------ */

static void folders_are_classes(void **state)
{
    static const gradc_option anew[] = {{"", "p", 0}, {"keep", "no", 0}};
    const Case cases[] = {{"images", grey, 2, pictures, 2, NULL, false},
                          {"images", grey, 2, anew, 2, NULL, false}};
    Dataset d;
    put_pair();
    if (is_lacking(&cases[0]))
        skip();
    for (int i = 0; i < 2; i++) {
        assert_true(open_case(&d, &cases[i]));
        assert_true(!d.fields[0].read == !i);
        assert_int_equal(d.count, 2);
        assert_string_equal(d.encoding.names[1].items[1], "b");
        expect_pixels(&d, 0, (const uint8_t[]){0, 50, 100, 250});
        expect_pixels(&d, 1, (const uint8_t[]){9, 8, 7, 6});
        expect_row(&d, 1, 1, "1");
        dataset_close(&d);
    }
    assert_true(open_case(&d, &cases[0]));
    const Case later = {"images", grey, 2, pictures, 2, &d.encoding, false};
    mkdir("p/c", 0700);
    put_png("p/c/5.png", 2, 2, 1, (const uint8_t[]){9, 8, 7, 6}, 0);
    expect_error(&later, "p: the folder c is none of the 2 classes of y");
    expect_error(&cases[0], "p: holds the folders of 3 classes (a, b, …), but y is class(2)");
    unlink("p/c/5.png");
    expect_error(&cases[0], "p/c: the folder of a class holds no pictures");
    dataset_close(&d);
    remove_pair();
}

static void pictures_take_the_size_and_the_channels_wanted(void **state)
{
    static const gradc_option one[] = {{"", "p/4.png", 0}};
    const Case c = {"images", colour, 1, one, 1, NULL, true};
    const Case shrunk = {"images", grey, 2, one, 1, NULL, true};
    Dataset d;
    mkdir("p", 0700);
    put_png("p/4.png", 2, 2, 1, (const uint8_t[]){0, 100, 200, 40}, 0);
    if (is_lacking(&c))
        skip();
    assert_true(open_case(&d, &c)); /* wider: between the two, a quarter and three quarters */
    assert_int_equal(d.count, 1);
    expect_pixels(&d, 0, (const uint8_t[]){0,   0,   0,   25,  25,  25,  75, 75, 75, 100, 100, 100,
                                           200, 200, 200, 160, 160, 160, 80, 80, 80, 40,  40,  40});
    dataset_close(&d);
    put_png("p/4.png", 4, 2, 3, (const uint8_t[]){255, 0, 0, 255, 0, 0, 0, 0, 255, 0,   0,   255,
                                                  9,   9, 9, 9,   9, 9, 9, 9, 9,   200, 200, 200},
            0);
    assert_true(open_case(&d, &shrunk)); /* 3, 3, 1 of 7 parts of the pixels nearest */
    expect_pixels(&d, 0, (const uint8_t[]){70, 36, 9, 91});
    dataset_close(&d);
    const gradc_option cut[] = {{"", "p/4.png", 0}, {"fit", "crop", 0}};
    const Case middle = {"images", grey, 2, cut, 2, NULL, true};
    put_png("p/4.png", 5, 2, 1, (const uint8_t[]){1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 0);
    assert_true(open_case(&d, &middle));
    expect_pixels(&d, 0, (const uint8_t[]){2, 3, 7, 8});
    dataset_close(&d);
    put_png("p/4.png", 2, 4, 1, (const uint8_t[]){1, 2, 3, 4, 5, 6, 7, 8}, 0);
    assert_true(open_case(&d, &middle));
    expect_pixels(&d, 0, (const uint8_t[]){3, 4, 5, 6});
    dataset_close(&d);
    put_png("p/4.png", 1, 1, 4, (const uint8_t[]){0, 0, 0, 0}, 0); /* transparent lies on white */
    assert_true(open_case(&d, &shrunk));
    expect_pixels(&d, 0, (const uint8_t[]){255, 255, 255, 255});
    dataset_close(&d);
    put_file("p/4.png", jpeg, sizeof jpeg);
    if (!is_lacking(&shrunk)) {
        assert_true(open_case(&d, &shrunk));
        const uint8_t *x = d.fields[0].data;
        assert_true(x[0] < x[1] && x[0] == x[2] && x[0] > 30 && x[1] < 180);
        dataset_close(&d);
    }
    remove_pair();
}

static void images_name_every_mistake(void **state)
{
    static const gradc_option wish[] = {{"", "p", 0}, {"keep", "maybe", 0}};
    static const gradc_option anew[] = {{"", "p", 0}, {"keep", "no", 0}};
    const Case c = {"images", grey, 2, pictures, 2, NULL, false};
    const Case later = {"images", grey, 2, anew, 2, NULL, false};
    static const gradc_option squeeze[] = {{"", "p", 0}, {"fit", "squeeze", 0}};
    const Case fit = {"images", grey, 2, squeeze, 2, NULL, false};
    const Case keep = {"images", grey, 2, wish, 2, NULL, false};
    const Case shape = {"images", flat, 2, pictures, 2, NULL, false};
    Dataset d;
    remove_pair();
    expect_error(&c, "cannot open the folder p: No such file or directory");
    mkdir("p", 0700);
    expect_error(&c, "p: the folder holds no pictures");
    put_png("p/4.png", 2, 2, 1, (const uint8_t[]){9, 8, 7, 6}, 0);
    expect_error(&c, "p: holds no folders, whose names would be the classes of y");
    put_pair();
    expect_error(&c, "p/4.png: lies beside the folders of classes, and belongs to none");
    unlink("p/4.png");
    expect_error(&fit, "images: fit is stretch or crop, not squeeze");
    expect_error(&keep, "images: keep is yes, no or auto, not maybe");
    expect_error(&shape,
                 "images: the input x is no picture\nhelp: declare it as x[32, 32, 3] : u8");
    put_file("p/b/3.png", "GIF89a", 6);
    expect_error(&c, "p/b/3.png: is neither a PNG nor a JPEG file");
    put_file("p/b/3.png", "", 0);
    expect_error(&c, "p/b/3.png: is empty");
    put_png("p/b/3.png", 2, 2, 1, (const uint8_t[]){9, 8, 7, 6}, 30);
    if (!is_lacking(&c)) {
        expect_error(&c, "p/b/3.png: the PNG cannot be read: ");
        assert_true(open_case(&d, &later)); /* it is met when it is read */
        uint32_t row = 2;
        const View view = {&d, &row, 1};
        Batch b;
        batch_create(&b, d.ports, 2, 1);
        assert_false(batch_gather(&b, &view, 0, 1, &error));
        assert_non_null(strstr(error.text, "p/b/3.png: the PNG cannot be read: "));
        batch_destroy(&b);
        dataset_close(&d);
    }
    put_file("p/b/3.png", jpeg, sizeof jpeg - 8);
    if (!is_lacking(&c))
        expect_error(&c, "p/b/3.png: the JPEG cannot be read: ");
    remove_pair();
}

static int enter(void **state)
{
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave(void **state)
{
    error_clear(&error);
    remove_pair();
    return chdir("/") || rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_are_classes),
        cmocka_unit_test(pictures_take_the_size_and_the_channels_wanted),
        cmocka_unit_test(images_name_every_mistake),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
