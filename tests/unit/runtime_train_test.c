/* Checkpoints and the whole trainer, driven through gradrt_main with a model written by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_model.h"
#include "internal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static char folder[] = "/tmp/gradrt-train-XXXXXX";

static const gradc_option csv_options[] = {{"", "t.csv", 0}, {"target", "last", 0}};
static const gradc_source csv = {"csv", csv_options, 2, NULL};

static gradc_train plain_train(void)
{
    return (gradc_train){.data = &csv,
                         .holdout_fraction = 0.25,
                         .batch = FAKE_BATCH,
                         .accumulate = 1,
                         .epochs = 6,
                         .evaluate_in_epochs = 1,
                         .seed = 3,
                         .shuffle = 1};
}

/* Runs "train …" and the like, words separated by spaces, its output in the file `out`. */
static int run_with(const gradc_train *train, const char *line)
{
    const gradc_model model = fake32_model(train), checked = fake64_model(train);
    char copy[400], *words[40] = {copy}, *rest = copy;
    int count = 1;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word; (word = strsep(&rest, " "));)
        words[count++] = word;
    fflush(stdout);
    int kept = dup(STDOUT_FILENO), kept_errors = dup(STDERR_FILENO);
    assert_non_null(freopen("out", "w", stdout));
    dup2(STDOUT_FILENO, STDERR_FILENO);
    int status = gradrt_main(count, words, &model, &checked);
    fflush(stdout);
    dup2(kept, STDOUT_FILENO);
    dup2(kept_errors, STDERR_FILENO);
    close(kept);
    close(kept_errors);
    return status;
}

static int run(const char *line)
{
    const gradc_train train = plain_train();
    return run_with(&train, line);
}

static char *read_whole(const char *path, size_t *size)
{
    FILE *f = fopen(path, "r");
    char *text = calloc(1, 1 << 20);
    assert_non_null(f);
    *size = fread(text, 1, (1 << 20) - 1, f);
    fclose(f);
    return text;
}

static void expect_output(const char *needle)
{
    size_t size;
    char *text = read_whole("out", &size);
    if (!strstr(text, needle))
        fail_msg("\"%s\" lacks \"%s\"", text, needle);
    free(text);
}

static void expect_equal(const char *a, const char *b)
{
    size_t n, m;
    char *x = read_whole(a, &n), *y = read_whole(b, &m);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    free(x);
    free(y);
}

static void training_improves_and_saves(void **state)
{
    assert_int_equal(run("train --threads 3 --epochs 30"), 0);
    expect_output("epoch 30/30  loss 0.");
    expect_output("saved fake.safetensors");
    assert_int_equal(run("evaluate"), 0);
    expect_output("on the holdout, 25 examples");
}

static void a_resume_ends_in_the_same_bits(void **state)
{
    static const uint64_t accumulations[] = {1, 3};
    for (int i = 0; i < 2; i++) {
        gradc_train train = plain_train();
        train.accumulate = accumulations[i];
        assert_int_equal(run_with(&train, "train --quiet --save a.safetensors"), 0);
        /* stopped inside an epoch, its order half used up */
        fake_break_at = 7;
        assert_int_equal(run_with(&train, "train --quiet --save-every 1steps --save c.safetensors"),
                         1);
        fake_break_at = -1;
        assert_int_equal(
            run_with(&train, "train --quiet --resume --threads 2 --save c.safetensors"), 0);
        expect_equal("a.safetensors", "c.safetensors");
        expect_equal("a.best.safetensors", "c.best.safetensors");
    }
}

static void a_nan_stops_and_names_the_tensor(void **state)
{
    fake_break_at = 7;
    assert_int_equal(run("train --save-every 1steps --save n.safetensors"), 1);
    fake_break_at = -1;
    expect_output("the loss is nan at step 8");
    expect_output("dense_1.weight");
    expect_output("n.safetensors, of step 7");
}

static void patience_ends_training(void **state)
{
    assert_int_equal(run("train --epochs 500 --lr 0 --patience 3 --save p.safetensors"), 0);
    expect_output("stopped after 3 evaluations without improvement");
    assert_int_equal(run("train --epochs 4 --resume=fake.safetensors --save p.safetensors"), 0);
    expect_output("nothing is left to do");
}

static void predictions_use_the_names(void **state)
{
    assert_int_equal(run("predict --input t.csv --only class"), 0);
    expect_output("class\n");
    expect_output("blue\n");
    assert_int_equal(run("predict --input t.csv --only probs --output p.npy"), 0);
    assert_int_equal(run("predict --input t.csv --output p.npy"), 1);
    expect_output("an .npy file holds one output, the model has 2");
}

static void gradients_are_checked(void **state)
{
    assert_int_equal(run("gradcheck"), 0);
    expect_output("every gradient agrees");
    fake_wrong_gradient = 1;
    assert_int_equal(run("gradcheck --all"), 1);
    fake_wrong_gradient = 0;
    expect_output("WRONG (3, worst at element");
}

static void a_wrong_command_line_is_an_error(void **state)
{
    assert_int_equal(run("train --epochs 0"), 2);
    assert_int_equal(run("train --epochs 3 --steps 3"), 2);
    assert_int_equal(run("train --batch 17"), 2);
    assert_int_equal(run("train --input x.csv"), 2); /* of another command */
    assert_int_equal(run("train more"), 2);
    assert_int_equal(run("practise"), 2);
    assert_int_equal(run("predict"), 2);
    assert_int_equal(run("train --set momentum=1"), 1);
    expect_output("help: it has lr, steps");
    assert_int_equal(run("train --data none.csv"), 1);
    expect_output("cannot open none.csv");
    assert_int_equal(run("train --resume=none.safetensors"), 1);
    assert_int_equal(run("evaluate --model none.safetensors"), 1);
    assert_int_equal(run("train --save none/x.safetensors"), 1);
    assert_int_equal(run("train --help"), 0);
    assert_int_equal(run("info"), 0);
}

/* ---- checkpoints alone -------------------------------------------------------------------------------- */

static void a_full_disk_leaves_the_old_file(void **state)
{
    struct rlimit kept, tight = {256, RLIM_INFINITY};
    const gradc_train train = plain_train();
    const gradc_model model = fake32_model(&train);
    Instance in;
    Checkpoint c;
    Position p = {.step = 1};
    Encoding encoding;
    Error e = {0};
    instance_create(&in, &model, 1, 1);
    checkpoint_create(&c, &model);
    encoding_create(&encoding, 2);
    uint8_t *data = calloc(1, c.data_size);
    checkpoint_pack(&c, &in, data);
    assert_true(checkpoint_save(&c, data, &p, &encoding, "f.safetensors", &e));
    size_t before, after;
    char *old = read_whole("f.safetensors", &before);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &kept);
    tight.rlim_max = kept.rlim_max;
    setrlimit(RLIMIT_FSIZE, &tight);
    p.step = 2;
    bool saved = checkpoint_save(&c, data, &p, &encoding, "f.safetensors", &e);
    setrlimit(RLIMIT_FSIZE, &kept);
    assert_false(saved);
    assert_non_null(strstr(e.text, "cannot write f.safetensors: File too large"));
    char *new = read_whole("f.safetensors", &after);
    assert_int_equal(before, after);
    assert_memory_equal(old, new, before);
    assert_int_not_equal(access("f.safetensors.tmp", F_OK), 0);
    free(old);
    free(new);
    free(data);
    error_clear(&e);
    encoding_destroy(&encoding);
    checkpoint_destroy(&c);
    instance_destroy(&in);
}

static bool parse(const char *header, size_t data_size, Error *e)
{
    Safetensors s;
    size_t n = strlen(header);
    uint8_t *bytes = calloc(1, 8 + n + data_size);
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(n >> (8 * i));
    memcpy(bytes + 8, header, n);
    error_clear(e);
    bool ok = safetensors_parse(&s, bytes, 8 + n + data_size, "h", e);
    if (ok)
        safetensors_close(&s);
    free(bytes);
    return ok;
}

static void unsafe_headers_are_refused(void **state)
{
    static const struct {
        const char *header, *message;
    } bad[] = {
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]}}", "outside the file"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]}}",
         "overlaps"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", "gap"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "4 bytes follow"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807,9],\"data_offsets\":[0,8]}}",
         "shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", "shape"},
        {"{\"a\":{\"dtype\":\"X9\",\"shape\":[2],\"data_offsets\":[0,8]}}", "no known type"},
        {"{\"a\":1,\"a\":2}", "header is damaged"},
        {"[1]", "no object"},
        {"{\"a\":", "header is damaged"},
    };
    Error e = {0};
    assert_true(parse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, &e));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(parse(bad[i].header, 8, &e));
        if (!strstr(e.text, bad[i].message))
            fail_msg("\"%s\" lacks \"%s\"", e.text, bad[i].message);
    }
    error_clear(&e);
}

static void every_difference_is_named(void **state)
{
    static const char header[] =
        "{\"dense_1.weight\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
        "\"other\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[8,12]}}   ";
    FILE *f = fopen("d.safetensors", "w");
    uint8_t length[8] = {sizeof header - 1}, data[12] = {0};
    fwrite(length, 1, 8, f);
    fwrite(header, 1, sizeof header - 1, f);
    fwrite(data, 1, sizeof data, f);
    fclose(f);
    assert_int_equal(run("evaluate --model d.safetensors"), 1);
    expect_output("dense_1.weight: F32 (2) in the file, F32 (3, 4) in the model");
    expect_output("dense_1.bias: not in the file; F32 (3) in the model");
    expect_output("other: in the file, not in the model");
}

/* One tensor in a file: its header with the data behind it. */
static void write_file(const char *path, const char *header, const char *data, size_t data_size)
{
    FILE *f = fopen(path, "w");
    uint8_t length[8] = {(uint8_t)strlen(header), (uint8_t)(strlen(header) >> 8)};
    assert_non_null(f);
    fwrite(length, 1, 8, f);
    fwrite(header, 1, strlen(header), f);
    fwrite(data, 1, data_size, f);
    fclose(f);
}

static void numbers_of_any_width_convert(void **state)
{
    static const char header[] =
        "{\"h\":{\"dtype\":\"F16\",\"shape\":[6],\"data_offsets\":[0,12]},"
        "\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[12,16]},"
        "\"d\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[16,24]}}";
    /* 1, -2, the least subnormal, the largest, infinity, a NaN; -3 and 0.5; 1/3 */
    static const uint16_t halves[] = {0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00, 0x7e00},
                          brains[] = {0xc040, 0x3f00};
    static const float expected[] = {1, -2, 0x1p-24f, 65504, INFINITY};
    const double third = 1.0 / 3;
    uint8_t data[24];
    float out[6];
    Safetensors s;
    Error e = {0};
    memcpy(data, halves, 12);
    memcpy(data + 12, brains, 4);
    memcpy(data + 16, &third, 8);
    write_file("n.safetensors", header, (const char *)data, sizeof data);
    assert_true(safetensors_open(&s, "n.safetensors", &e));
    safetensors_copy(&s, safetensors_find(&s, "h"), GRADC_F32, out);
    assert_memory_equal(out, expected, sizeof expected);
    assert_true(isnan(out[5]));
    safetensors_copy(&s, safetensors_find(&s, "b"), GRADC_F32, out);
    assert_true(out[0] == -3 && out[1] == 0.5f);
    safetensors_copy(&s, safetensors_find(&s, "d"), GRADC_F32, out);
    assert_true(out[0] == (float)third);
    assert_false(safetensors_converts("I64", GRADC_F32));
    assert_false(safetensors_converts("F16", GRADC_I32));
    assert_null(safetensors_find(&s, "x"));
    safetensors_close(&s);
}

/* Every shorter file is refused, and the instance stays as it was. */
static void a_part_of_a_file_changes_nothing(void **state)
{
    const gradc_train train = plain_train();
    const gradc_model model = fake32_model(&train);
    size_t size;
    char *whole = read_whole("fake.safetensors", &size);
    Instance in;
    Checkpoint c;
    instance_create(&in, &model, 1, 1);
    checkpoint_create(&c, &model);
    uint8_t *before = malloc(c.data_size), *after = malloc(c.data_size);
    checkpoint_pack(&c, &in, before);
    for (size_t n = 0; n < size; n += n < 64 || n + 64 > size ? 1 : 7) {
        Position p;
        Encoding encoding = {0};
        Error e = {0};
        FILE *f = fopen("part.safetensors", "w");
        fwrite(whole, 1, n, f);
        fclose(f);
        assert_false(
            checkpoint_load(&c, &in, CHECKPOINT_ALL, "part.safetensors", &p, &encoding, &e));
        assert_non_null(e.text);
        error_clear(&e);
    }
    checkpoint_pack(&c, &in, after);
    assert_memory_equal(before, after, c.data_size);
    free(before);
    free(after);
    free(whole);
    checkpoint_destroy(&c);
    instance_destroy(&in);
}

/* The file with one text in place of another of the same length. */
static void write_changed(const char *path, const char *from, const char *to)
{
    size_t size;
    char *whole = read_whole(path, &size);
    char *at = strstr(whole + 8, from); /* the header is text */
    assert_non_null(at);
    assert_int_equal(strlen(from), strlen(to));
    memcpy(at, to, strlen(to));
    FILE *f = fopen("changed.safetensors", "w");
    fwrite(whole, 1, size, f);
    fclose(f);
    free(whole);
}

static void a_damaged_position_is_refused(void **state)
{
    const char *line = "train --resume=changed.safetensors --epochs 99 --save x.safetensors";
    assert_int_equal(run("train --steps 7 --quiet --save mid.safetensors"), 0);
    write_changed("mid.safetensors", "cursor\":\"32\"", "cursor\":\"-2\"");
    assert_int_equal(run(line), 1);
    expect_output("the checkpoint's gradc.cursor is damaged: \"-2\"");
    write_changed("mid.safetensors", "cursor\":\"32\"", "cursor\":\"99\"");
    assert_int_equal(run(line), 1);
    expect_output("the checkpoint is damaged: it stands at example 99 of 75");
    write_changed("mid.safetensors", "examples\":\"75\"", "examples\":\"76\"");
    assert_int_equal(run(line), 1);
    expect_output("was trained on 76 examples, but there are 75");
    assert_int_not_equal(access("x.safetensors", F_OK), 0);
}

static void parameters_start_from_files(void **state)
{
    static const char header[] =
        "{\"bias\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]}}";
    static const float bias[] = {1, 2, 3};
    write_file("b.safetensors", header, (const char *)bias, sizeof bias);
    FILE *f = fopen("names", "w");
    fputs("# theirs = ours\n  bias =dense_1.bias  ", f);
    fclose(f);
    assert_int_equal(run("train --epochs 1 --lr 0 --init dense_1.bias=b.safetensors --map names "
                         "--save s.safetensors"),
                     0);
    expect_output("b.safetensors starts 1 tensor\n");
    assert_int_equal(run("train --init b.safetensors --map names"), 1);
    expect_output("dense_1.weight: not in the file; F32 (3, 4) in the model");
    Safetensors s;
    Error e = {0};
    float got[3];
    assert_true(safetensors_open(&s, "s.safetensors", &e));
    safetensors_copy(&s, safetensors_find(&s, "dense_1.bias"), GRADC_F32, got);
    assert_memory_equal(got, bias, sizeof bias);
    safetensors_close(&s);
    assert_int_equal(run("train --resume --init b.safetensors"), 2);
}

static void write_table(void)
{
    static const char *const names[] = {"red", "green", "blue"};
    FILE *f = fopen("t.csv", "w");
    fprintf(f, "a,b,c,d,kind\n");
    for (int i = 0; i < 100; i++)
        fprintf(f, "%d,%g,%g,%d,%s\n", i % 3 * 2, sin(i) + i % 3, cos(i), i % 7, names[i % 3]);
    fclose(f);
}

static int enter(void **state)
{
    if (!mkdtemp(folder) || chdir(folder) != 0)
        return -1;
    write_table();
    return 0;
}

static int leave(void **state)
{
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return chdir("/") || system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training_improves_and_saves),
        cmocka_unit_test(predictions_use_the_names),
        cmocka_unit_test(a_resume_ends_in_the_same_bits),
        cmocka_unit_test(a_nan_stops_and_names_the_tensor),
        cmocka_unit_test(patience_ends_training),
        cmocka_unit_test(gradients_are_checked),
        cmocka_unit_test(a_wrong_command_line_is_an_error),
        cmocka_unit_test(a_full_disk_leaves_the_old_file),
        cmocka_unit_test(unsafe_headers_are_refused),
        cmocka_unit_test(every_difference_is_named),
        cmocka_unit_test(numbers_of_any_width_convert),
        cmocka_unit_test(a_part_of_a_file_changes_nothing),
        cmocka_unit_test(a_damaged_position_is_refused),
        cmocka_unit_test(parameters_start_from_files),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
