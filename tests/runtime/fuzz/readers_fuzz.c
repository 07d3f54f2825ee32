/* One fuzz target for every reader: the first byte chooses which.  Build with
 *   clang -fsanitize=fuzzer,address,undefined
 * or, where libFuzzer is missing, with -DFUZZ_MAIN: then it mutates the files named on the command
 * line by itself, for as many rounds as the first argument says. */
#include "../../unit/fake_model.h"
#include "data/data.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void bind(const Array *a, Error *e)
{
    static const gradc_source source = {"npy", NULL, 0};
    const Request r = {&source, fake32_inputs, 2, NULL, NULL, false};
    Dataset d = {.ports = r.ports, .port_count = 2};
    d.fields = memory_get(2, sizeof *d.fields);
    encoding_create(&d.encoding, 2);
    for (int port = 0; port < 2; port++)
        if (a->dims[0] < 10000)
            array_bind(&d, &r, port, a, "fuzz", e);
    dataset_close(&d);
}

/* Reads the last row of every field: all of it must be memory. */
static void touch(const Dataset *d)
{
    for (int i = 0; i < d->port_count; i++)
        for (size_t k = 0; d->fields[i].data && k < port_size(&d->ports[i]); k++)
            ((volatile const uint8_t *)d->fields[i].data)[(d->count - 1) * d->fields[i].stride + k];
}

static void read_csv(const uint8_t *bytes, size_t size, Error *e)
{
    static const gradc_option options[] = {{"target", "last", 0}, {"fill", "mean", 0}};
    static const gradc_source source = {"csv", options, 2};
    const Request r = {&source, fake32_inputs, 2, NULL, NULL, false};
    Csv csv;
    if (!csv_parse(&csv, (const char *)bytes, size, ',', "fuzz", e))
        return;
    Dataset d = {.ports = r.ports, .port_count = 2};
    d.fields = memory_get(2, sizeof *d.fields);
    encoding_create(&d.encoding, 2);
    table_bind(&d, &r, &csv, "fuzz", e);
    dataset_close(&d);
    csv_free(&csv);
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
    const gradc_source source = {"text", options, 2};
    const Request r = {&source, ports, 2, NULL, NULL, false};
    Dataset d = {.ports = ports, .port_count = 2};
    const Bytes b = {bytes, size, BYTES_NONE};
    d.fields = memory_get(2, sizeof *d.fields);
    encoding_create(&d.encoding, 2);
    if (text_bind(&d, &r, &b, "fuzz", e))
        touch(&d);
    dataset_close(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    Error e = {0};
    Array a;
    Safetensors s;
    ZipEntry z;
    if (size == 0)
        return 0;
    switch (*bytes++ % 6) {
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
        if (safetensors_parse(&s, bytes, size - 1, "fuzz", &e))
            safetensors_close(&s);
        break;
    case 4:
        if (zip_find(&z, bytes, size - 1, "x", "fuzz", &e) && z.packed < 100000)
            for (uint64_t i = 0; i < z.packed; i++)
                ((volatile const uint8_t *)z.data)[i];
        break;
    case 5:
        read_text(bytes, size - 1, &e);
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
