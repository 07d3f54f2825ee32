/* One fuzz target for every reader: the first byte chooses which.  Build with
 *   clang -fsanitize=fuzzer,address,undefined
 * or, where libFuzzer is missing, with -DFUZZ_MAIN: then it mutates the files named on the command
 * line by itself, for as many rounds as the first argument says. */
#include "../../unit/fake_model.h"
#include "data/picture.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void bind(const Array *a, Error *e)
{
    static const gradc_source source = {"npy", NULL, 0, NULL};
    const Request r = {&source, fake32_inputs, 2, NULL, NULL, false, false};
    Dataset d = {.ports = r.ports, .port_count = 2};
    d.fields = memory_get(2, sizeof *d.fields);
    encoding_create(&d.encoding, 2);
    for (int port = 0; port < 2; port++)
        if (a->dims[0] < 10000)
            array_bind(&d, &r, port, a, "fuzz", e);
    dataset_close(&d);
}

/* Reads the first rows and the last of every field: all of it must be memory. */
static void touch(const Dataset *d)
{
    uint32_t order[] = {0, (uint32_t)d->count / 2, (uint32_t)d->count - 1};
    const View view = {d, order, 3};
    Error e = {0};
    Batch b;
    batch_create(&b, d->ports, d->port_count, 3);
    if (d->count)
        batch_gather(&b, &view, 0, 3, &e);
    batch_destroy(&b);
    error_clear(&e);
}

/* A source of one file of these bytes. */
static void read_bound(SourceBind *bind_source, const gradc_source *source, const gradc_port *ports,
                       int port_count, const uint8_t *bytes, size_t size, Error *e)
{
    const Request r = {source, ports, port_count, NULL, NULL, false, false};
    Dataset d = {.ports = ports, .port_count = port_count};
    const Bytes b = {bytes, size, BYTES_NONE};
    d.fields = memory_get((size_t)port_count, sizeof *d.fields);
    encoding_create(&d.encoding, port_count);
    if (bind_source(&d, &r, &b, "fuzz", e))
        touch(&d);
    dataset_close(&d);
}

static void read_csv(const uint8_t *bytes, size_t size, Error *e)
{
    static const gradc_option options[] = {{"target", "last", 0}, {"fill", "mean", 0}};
    static const gradc_source source = {"csv", options, 2, NULL};
    read_bound(table_bind, &source, fake32_inputs, 2, bytes, size, e);
}

/* The first byte chooses the columns and the target's shape. */
static void read_series(const uint8_t *bytes, size_t size, Error *e)
{
    static const int64_t shape[] = {3, 2};
    const int choice = size ? *bytes : 0, ahead = choice & 1, wide = choice >> 1 & 1;
    const gradc_port ports[] = {
        {"x", GRADC_F32, GRADC_NUMBER, 0, 1 + wide, shape, wide ? 6 : 3, 0, 1},
        {"y", GRADC_F32, GRADC_NUMBER, 0, ahead, shape, ahead ? 3 : 1, 1, 0}};
    const gradc_option options[] = {{"target", "first", 0},
                                    {"columns", choice & 4 ? "0,0" : "last", 0},
                                    {"fill", NULL, 3},
                                    {"horizon", NULL, 1 + choice / 8 % 4}};
    const gradc_source source = {"series", options, 4, NULL};
    read_bound(series_bind, &source, ports, 2, bytes, size, e);
}

/* The first byte chooses the unit and the target's shape. */
static void read_text(const uint8_t *bytes, size_t size, Error *e)
{
    static const int64_t four[] = {4};
    const bool by_bytes = size && (*bytes & 1), next = size && (*bytes & 2);
    const gradc_port ports[] = {
        {"x", GRADC_U8, GRADC_TOKEN, 256, 1, four, 4, 0, 1},
        {"y", GRADC_U16, GRADC_CLASS, 256, !next, four, next ? 1 : 4, 1, 0}};
    const gradc_option options[] = {{"unit", by_bytes ? "byte" : "character", 0},
                                    {"stride", NULL, 3}};
    const gradc_source source = {"text", options, 2, NULL};
    read_bound(text_bind, &source, ports, 2, bytes, size, e);
}

static void read_tokens(const uint8_t *bytes, size_t size, Error *e)
{
    static const int64_t four[] = {4};
    static const char *const types[] = {"u8", "u16", "u32"};
    const gradc_port ports[] = {{"x", GRADC_I32, GRADC_TOKEN, 200, 1, four, 4, 0, 1},
                                {"y", GRADC_I32, GRADC_TOKEN, 200, 1, four, 4, 1, 0}};
    const gradc_option options[] = {{"type", types[size ? *bytes % 3 : 0], 0},
                                    {"header", NULL, size ? bytes[0] / 3 % 8 : 0},
                                    {"stride", NULL, 2}};
    const gradc_source source = {"tokens", options, 3, NULL};
    read_bound(tokens_bind, &source, ports, 2, bytes, size, e);
}

/* The first byte chooses the unit, the marks, and what the model takes. */
static void read_lines(const uint8_t *bytes, size_t size, Error *e)
{
    static const int64_t four[] = {4};
    const int choice = size ? *bytes : 0;
    const bool next = choice & 1;
    const gradc_port ports[] = {{"x", GRADC_U16, GRADC_TOKEN, 257, 1, four, 4, 0, 1},
                                {"y", GRADC_U16, GRADC_CLASS, 257, !next, four, next ? 1 : 4, 1, 0},
                                {"n", GRADC_U8, GRADC_NUMBER, 0, 0, NULL, 1, 0, 1}};
    const gradc_option options[] = {{"unit", choice & 2 ? "byte" : "character", 0},
                                    {"start", choice & 4 ? "yes" : "no", 0},
                                    {"end", choice & 8 ? "yes" : "no", 0},
                                    {"long", choice & 16 ? "cut" : "error", 0}};
    const gradc_source source = {"lines", options, 4, NULL};
    read_bound(lines_bind, &source, ports, next ? 2 : 3, bytes, size, e);
}

static void read_tensors(const uint8_t *bytes, size_t size, Error *e)
{
    static const gradc_source source = {"safetensors", NULL, 0, NULL};
    read_bound(tensors_bind, &source, fake32_inputs, 2, bytes, size, e);
}

static void read_picture(const uint8_t *bytes, size_t size, Error *e)
{
    const Bytes b = {bytes, size, BYTES_NONE};
    uint8_t out[5 * 7 * 3];
    Picture p;
    if (!picture_decode(&p, &b, 5, 7, "fuzz", e))
        return;
    if (size & 1)
        picture_crop(&p, 5, 7);
    picture_fit(&p, 5, 7, p.channels == 1 ? 3 : 1, out);
    free(p.pixels);
}

/* A checkpoint's tensors become numbers of the model's, its notes a position. */
static void read_checkpoint(const uint8_t *bytes, size_t size, Error *e)
{
    static const gradc_train train = {.batch = 1};
    const gradc_model model = fake32_model(&train);
    Safetensors s;
    Position p;
    Encoding encoding;
    if (!safetensors_parse(&s, bytes, size, "fuzz", e))
        return;
    if (metadata_read(&s, &model, &p, &encoding, e))
        encoding_destroy(&encoding);
    for (int i = 0; i < s.entry_count; i++) {
        const TensorEntry *t = &s.entries[i];
        void *out = memory_get((size_t)(t->end - t->begin) + 1, 4);
        if (safetensors_converts(t->type, GRADC_F32))
            safetensors_copy(&s, t, GRADC_F32, out);
        free(out);
    }
    safetensors_close(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    Error e = {0};
    Array a;
    ZipEntry z;
    if (size == 0)
        return 0;
    switch (*bytes++ % 11) {
    case 0:
        read_csv(bytes, size - 1, &e);
        break;
    case 1:
        if (idx_parse(&a, bytes, size - 1, "fuzz", &e))
            bind(&a, &e);
        break;
    case 2:
        if (npy_parse(&a, bytes, size - 1, "fuzz", &e))
            bind(&a, &e);
        break;
    case 3:
        read_checkpoint(bytes, size - 1, &e);
        break;
    case 4:
        if (zip_find(&z, bytes, size - 1, "x", "fuzz", &e) && z.packed < 100000)
            for (uint64_t i = 0; i < z.packed; i++)
                ((volatile const uint8_t *)z.data)[i];
        break;
    case 5:
        read_text(bytes, size - 1, &e);
        break;
    case 6:
        read_tokens(bytes, size - 1, &e);
        break;
    case 7:
        read_lines(bytes, size - 1, &e);
        break;
    case 9:
        read_series(bytes, size - 1, &e);
        break;
    case 10:
        read_picture(bytes, size - 1, &e);
        break;
    case 8:
        read_tensors(bytes, size - 1, &e);
        break;
    }
    error_clear(&e);
    return 0;
}

#ifdef FUZZ_MAIN
static uint64_t draw(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

int main(int argc, char **argv)
{
    uint64_t state = 1;
    long rounds = argc > 1 ? atol(argv[1]) : 0;
    for (int i = 2; i < argc; i++) {
        Bytes b;
        Error e = {0};
        if (!file_open(&b, argv[i], &e))
            return 1;
        for (long round = 0; round < rounds; round++) {
            size_t size = round % 3 ? b.size : draw(&state) % (b.size + 1);
            uint8_t *copy = malloc(size + 1); /* its own block: ASan sees every overrun */
            memcpy(copy, b.data, size);
            for (uint64_t k = draw(&state) % 8; k-- && size > 1;)
                copy[1 + draw(&state) % (size - 1)] = (uint8_t)draw(&state);
            if (size)
                LLVMFuzzerTestOneInput(copy, size);
            free(copy);
        }
        file_close(&b);
    }
    return 0;
}
#endif
