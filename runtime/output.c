/* Predictions: as CSV (a column for each element), as one NPY array, or as JSON objects, one a line.
 * Classes have their names, but in NPY. */
#include "internal.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct Writer {
    const gradc_model *model;
    FILE *file;
    const char *path;
    Format format;
    int first, last;     /* outputs [first, last) */
    const Names **names; /* for each output, or NULL */
};

static void put_cell(FILE *f, const char *text)
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
    if (w->format == FORMAT_NPY && w->last - w->first != 1)
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

/* As asked for, else by the name's ending, else CSV. */
static bool choose_format(Writer *w, Format asked, Error *e)
{
    static const struct {
        const char *ending;
        Format format;
    } endings[] = {{".csv", FORMAT_CSV}, {".npy", FORMAT_NPY}, {".jsonl", FORMAT_JSONL}};
    w->format = asked ? asked : w->path ? FORMAT_BY_NAME : FORMAT_CSV;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (w->format == FORMAT_BY_NAME && has_ending(w->path, endings[i].ending))
            w->format = endings[i].format;
    return w->format != FORMAT_BY_NAME ||
           error_set(e,
                     "--output %s: the name must end in .csv, .npy or .jsonl\nhelp: or say which "
                     "it is: --format=csv",
                     w->path);
}

static bool open_file(Writer *w, Format asked, const char *only, Error *e)
{
    if (!choose_format(w, asked, e) || !choose_outputs(w, only, e))
        return false;
    w->file = w->path ? fopen(w->path, "we") : stdout;
    return w->file || error_set(e, "cannot write %s: %s", w->path, strerror(errno));
}

Writer *writer_open(const gradc_model *m, const Encoding *c, const Options *o, uint64_t examples,
                    Error *e)
{
    Writer *w = memory_get(1, sizeof *w);
    *w = (Writer){.model = m, .path = o->output};
    if (!open_file(w, o->format, o->only, e)) {
        free(w);
        return NULL;
    }
    w->names = memory_get((size_t)m->output_count, sizeof *w->names);
    for (int i = 0; i < m->output_count; i++)
        if (m->outputs[i].domain == GRADC_CLASS)
            w->names[i] = encoding_classes(m, c, m->outputs[i].classes);
    if (w->format == FORMAT_NPY)
        put_npy_header(w, examples);
    else if (w->format == FORMAT_CSV)
        put_header(w);
    return w;
}

static void put_number(FILE *f, gradc_dtype type, double v)
{
    fprintf(f, "%.*g", type == GRADC_F64 ? 17 : type == GRADC_F32 ? 9 : 10, v);
}

/* The name of the class that lies there, or NULL. */
static const char *name_at(const Writer *w, int output, const char *at)
{
    const Names *names = w->names[output];
    double v = names ? number_get(w->model->outputs[output].type, at) : -1;
    return names && v >= 0 && v < names->count ? names->items[(int)v] : NULL;
}

static void put_value(Writer *w, int output, const char *at)
{
    const gradc_dtype type = w->model->outputs[output].type;
    const char *name = name_at(w, output, at);
    if (name)
        put_cell(w->file, name);
    else
        put_number(w->file, type, number_get(type, at));
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

/* null where it is no finite number, "name" where it is a class. */
static void put_json_value(Writer *w, int output, const char *at)
{
    const gradc_dtype type = w->model->outputs[output].type;
    const char *name = name_at(w, output, at);
    const double v = number_get(type, at);
    json_t *string = name ? json_string(name) : NULL;
    if (string)
        json_dumpf(string, w->file, JSON_ENCODE_ANY);
    else if (isfinite(v))
        put_number(w->file, type, v);
    else
        fputs("null", w->file);
    json_decref(string);
}

/* Lists in lists, of `dimension` and what follows it. */
static const char *put_json(Writer *w, int output, int dimension, const char *at)
{
    const gradc_port *p = &w->model->outputs[output];
    if (dimension == p->rank) {
        put_json_value(w, output, at);
        return at + raw_size(p->type);
    }
    fputc('[', w->file);
    for (int64_t i = 0; i < p->shape[dimension]; i++) {
        fputs(i ? ", " : "", w->file);
        at = put_json(w, output, dimension + 1, at);
    }
    fputc(']', w->file);
    return at;
}

static void put_object(Writer *w, void *const *outputs, size_t row)
{
    for (int i = w->first; i < w->last; i++) {
        const gradc_port *p = &w->model->outputs[i];
        fprintf(w->file, "%s\"%s\": ", i > w->first ? ", " : "{", p->name);
        put_json(w, i, 0, (const char *)outputs[i] + row * port_size(p));
    }
    fputs("}\n", w->file);
}

static bool write_failed(const Writer *w, Error *e)
{
    return error_set(e, "cannot write %s: %s", w->path ? w->path : "to standard output",
                     strerror(errno));
}

bool writer_put(Writer *w, void *const *outputs, size_t n, Error *e)
{
    if (w->format == FORMAT_NPY)
        fwrite(outputs[w->first], port_size(&w->model->outputs[w->first]), n, w->file);
    for (size_t row = 0; w->format != FORMAT_NPY && row < n; row++)
        (w->format == FORMAT_CSV ? put_row : put_object)(w, outputs, row);
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
