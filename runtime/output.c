/* Predictions as CSV (a column for each element, classes by their names) or as one NPY array. */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct Writer {
    const gradc_model *model;
    FILE *file;
    const char *path;
    bool npy;
    int first, last;     /* outputs [first, last) */
    const Names **names; /* for each output, or NULL */
};

static void put_text(FILE *f, const char *text)
{
    if (!strpbrk(text, ",\"\r\n") && *text != ' ') {
        fputs(text, f);
        return;
    }
    fputc('"', f);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', f);
        fputc(*text, f);
    }
    fputc('"', f);
}

/* probs[0], image[2][3] */
static void put_label(FILE *f, const gradc_port *p, uint64_t element)
{
    uint64_t inner = p->count;
    fputs(p->name, f);
    for (int i = 0; i < p->rank; i++) {
        inner /= (uint64_t)p->shape[i];
        fprintf(f, "[%llu]", (unsigned long long)(element / inner));
        element %= inner;
    }
}

static void put_header(Writer *w)
{
    for (int i = w->first; i < w->last; i++)
        for (uint64_t k = 0; k < w->model->outputs[i].count; k++) {
            if (i > w->first || k)
                fputc(',', w->file);
            put_label(w->file, &w->model->outputs[i], k);
        }
    fputc('\n', w->file);
}

static const char *npy_type(gradc_dtype type)
{
    static const char *const names[] = {"|b1", "|u1", "<u2", "<i4", "<f4", "<f8"};
    return names[type];
}

static void put_npy_header(Writer *w, uint64_t examples)
{
    const gradc_port *p = &w->model->outputs[w->first];
    char *shape = text_format("(%llu,", (unsigned long long)examples);
    for (int i = 0; i < p->rank; i++) {
        char *more = text_format("%s%s%lld%s", shape, i ? ", " : " ", (long long)p->shape[i], "");
        free(shape);
        shape = more;
    }
    char *text = text_format("{'descr': '%s', 'fortran_order': False, 'shape': %s), }",
                             npy_type(p->type), shape);
    size_t length = (strlen(text) + 1 + 10 + 63) / 64 * 64 - 10;
    fwrite("\x93NUMPY\1\0", 1, 8, w->file);
    fputc((int)(length & 255), w->file);
    fputc((int)(length >> 8), w->file);
    fprintf(w->file, "%-*s\n", (int)length - 1, text);
    free(shape);
    free(text);
}

static bool choose_outputs(Writer *w, const char *only, Error *e)
{
    const gradc_model *m = w->model;
    w->last = m->output_count;
    for (int i = 0; only && i < m->output_count; i++)
        if (strcmp(m->outputs[i].name, only) == 0) {
            w->first = i;
            w->last = i + 1;
            only = NULL;
        }
    if (only)
        return error_set(e, "the model has no output named %s", only);
    if (w->npy && w->last - w->first != 1)
        return error_set(e,
                         "an .npy file holds one output, the model has %d\nhelp: choose one with "
                         "--only NAME, or write .csv",
                         m->output_count);
    return true;
}

static bool has_ending(const char *path, const char *ending)
{
    size_t n = strlen(path), m = strlen(ending);
    return n > m && strcmp(path + n - m, ending) == 0;
}

static bool open_file(Writer *w, const char *only, Error *e)
{
    w->npy = w->path && has_ending(w->path, ".npy");
    if (w->path && !w->npy && !has_ending(w->path, ".csv"))
        return error_set(e, "--output %s: the name must end in .csv or .npy", w->path);
    if (!choose_outputs(w, only, e))
        return false;
    w->file = w->path ? fopen(w->path, "we") : stdout;
    return w->file || error_set(e, "cannot write %s: %s", w->path, strerror(errno));
}

Writer *writer_open(const gradc_model *m, const Encoding *c, const char *path, const char *only,
                    uint64_t examples, Error *e)
{
    Writer *w = memory_get(1, sizeof *w);
    *w = (Writer){.model = m, .path = path};
    if (!open_file(w, only, e)) {
        free(w);
        return NULL;
    }
    w->names = memory_get((size_t)m->output_count, sizeof *w->names);
    for (int i = 0; i < m->output_count; i++)
        if (m->outputs[i].domain == GRADC_CLASS)
            w->names[i] = encoding_classes(m, c, m->outputs[i].classes);
    if (w->npy)
        put_npy_header(w, examples);
    else
        put_header(w);
    return w;
}

static void put_value(Writer *w, int output, const char *at)
{
    const gradc_port *p = &w->model->outputs[output];
    const Names *names = w->names[output];
    double v = number_get(p->type, at);
    if (names && v >= 0 && v < names->count)
        put_text(w->file, names->items[(int)v]);
    else
        fprintf(w->file, "%.*g", p->type == GRADC_F64 ? 17 : p->type == GRADC_F32 ? 9 : 10, v);
}

static void put_row(Writer *w, void *const *outputs, size_t row)
{
    for (int i = w->first; i < w->last; i++) {
        const gradc_port *p = &w->model->outputs[i];
        const char *at = (const char *)outputs[i] + row * port_size(p);
        for (uint64_t k = 0; k < p->count; k++, at += raw_size(p->type)) {
            if (i > w->first || k)
                fputc(',', w->file);
            put_value(w, i, at);
        }
    }
    fputc('\n', w->file);
}

static bool write_failed(const Writer *w, Error *e)
{
    return error_set(e, "cannot write %s: %s", w->path ? w->path : "to standard output",
                     strerror(errno));
}

bool writer_put(Writer *w, void *const *outputs, size_t n, Error *e)
{
    if (w->npy)
        fwrite(outputs[w->first], port_size(&w->model->outputs[w->first]), n, w->file);
    for (size_t row = 0; !w->npy && row < n; row++)
        put_row(w, outputs, row);
    return !ferror(w->file) || write_failed(w, e);
}

bool writer_close(Writer *w, Error *e)
{
    bool ok = fflush(w->file) == 0 && !ferror(w->file);
    if (!ok)
        write_failed(w, e);
    if (w->path && fclose(w->file) != 0 && ok)
        ok = write_failed(w, e);
    free(w->names);
    free(w);
    return ok;
}
