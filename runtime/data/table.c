/* A table's values: numbers, words as classes, missing values; each checked as it is read. */
#include "table.h"

#include <stdlib.h>
#include <string.h>

static bool is_missing(const Cell *c, const gradc_port *p)
{
    if (c->length == 0)
        return true;
    return p->domain == GRADC_NUMBER &&
           (cell_is(c, "NA") || cell_is(c, "NaN") || cell_is(c, "nan") || cell_is(c, "?"));
}

static bool value_error(const Table *t, size_t row, int column, const char *why)
{
    char *label = column_label(t, column);
    error_set(t->error, "%s:%zu: %s: %s", t->path, t->csv->lines[row], label, why);
    free(label);
    return false;
}

static bool mean_of(const Table *t, const gradc_port *p, int column, double *mean)
{
    double sum = 0, v;
    size_t n = 0;
    for (size_t row = t->header; row < t->csv->rows; row++) {
        const Cell *c = cell_at(t, row, column);
        if (!is_missing(c, p) && cell_number(c, &v)) {
            sum += v;
            n++;
        }
    }
    *mean = n ? sum / (double)n : 0;
    return n > 0;
}

static bool known_fill(const Encoding *known, const char *label, double *value)
{
    for (int i = 0; known && i < known->fill_count; i++)
        if (strcmp(known->fills[i].column, label) == 0) {
            *value = known->fills[i].value;
            return true;
        }
    return false;
}

static void keep_fill(Encoding *c, char *label, double value)
{
    c->fills = realloc(c->fills, sizeof *c->fills * (size_t)(c->fill_count + 1));
    if (!c->fills)
        abort();
    c->fills[c->fill_count++] = (Fill){label, value};
}

/* What a missing value of this column becomes: for a mean, that of the training data. */
static bool column_fill(Table *t, const gradc_port *p, int column, double *value)
{
    *value = t->fill;
    if (!t->fills_mean || p->domain != GRADC_NUMBER)
        return t->fills && !t->fills_mean;
    char *label = column_label(t, column);
    if (!text_is_utf8(label)) { /* the place will do: a checkpoint keeps UTF-8 only */
        free(label);
        label = text_format("column %d (from 0)", column);
    }
    bool ok = known_fill(t->request->known, label, value) || mean_of(t, p, column, value);
    if (ok)
        keep_fill(&t->set->encoding, label, *value);
    else
        free(label);
    return ok;
}

static const char *unknown_word(const Cell *c, const gradc_port *p, const Names *names,
                                char reason[REASON_TEXT])
{
    if (names->count)
        snprintf(reason, REASON_TEXT, "\"%.*s\" is none of the %d names of %s",
                 c->length > 40 ? 40 : (int)c->length, c->text, names->count, p->name);
    else
        snprintf(reason, REASON_TEXT, "\"%.*s\" is not a number",
                 c->length > 60 ? 60 : (int)c->length, c->text);
    return reason;
}

static const char *put_cell(const Cell *c, const gradc_port *p, const Names *names, bool filled,
                            double fill, void *out, char reason[REASON_TEXT])
{
    double v = fill;
    if (is_missing(c, p)) {
        if (!filled)
            return "missing value (fill = … says what it becomes)";
    } else if (names->count) {
        int class = categories_find(names, c->text, c->length);
        if (class < 0)
            return unknown_word(c, p, names, reason);
        v = class;
    } else if (!cell_number(c, &v)) {
        return unknown_word(c, p, names, reason);
    }
    return port_put(p, v, out, reason);
}

bool table_fill(Table *t, int port, int place, uint8_t *out, size_t stride)
{
    const gradc_port *p = &t->request->ports[port];
    int column = t->taken[port][place];
    char reason[REASON_TEXT];
    double fill;
    bool filled = column_fill(t, p, column, &fill);
    for (size_t row = t->header; row < t->csv->rows; row++, out += stride) {
        const char *why = put_cell(cell_at(t, row, column), p, &t->set->encoding.names[port],
                                   filled, fill, out, reason);
        if (why)
            return value_error(t, row, column, why);
    }
    return true;
}

static bool name_classes(Table *t, int port)
{
    const gradc_port *p = &t->request->ports[port];
    Names *names = &t->set->encoding.names[port];
    const Encoding *known = t->request->known;
    if (p->domain == GRADC_NUMBER)
        return true;
    if (known && known->port_count == t->request->port_count)
        categories_copy(names, &known->names[port]);
    else
        categories_collect(names, t->csv, t->header, t->taken[port], (size_t)t->counts[port]);
    for (int i = 0; i < names->count; i++)
        if (!text_is_utf8(names->items[i]))
            return error_set(t->error,
                             "%s: a name in the column of %s is not UTF-8\nhelp: convert "
                             "the file, as with iconv -t UTF-8",
                             t->path, p->name);
    if (names->count <= p->classes)
        return true;
    return error_set(t->error,
                     "%s: the column of %s holds %d different names (%s, %s, …), but the "
                     "model has class(%lld)",
                     t->path, p->name, names->count, names->items[0], names->items[1],
                     (long long)p->classes);
}

static bool fill_port(Table *t, int port)
{
    const gradc_port *p = &t->request->ports[port];
    if (t->counts[port] == 0) /* names are kept, so that outputs can be named */
        return !t->request->known || name_classes(t, port);
    if (!name_classes(t, port))
        return false;
    uint8_t *out = field_own(&t->set->fields[port], t->csv->rows - t->header, p);
    for (int i = 0; i < t->counts[port]; i++)
        if (!table_fill(t, port, i, out + (size_t)i * raw_size(p->type), port_size(p)))
            return false;
    return true;
}

/* ---- options -------------------------------------------------------------------------------------------------- */

static bool read_header_option(Table *t)
{
    const char *text = option_text(t->request->source, "header", "auto");
    double v;
    if (strcmp(text, "auto") == 0) {
        t->header = true;
        for (int i = 0; i < (int)t->csv->columns; i++)
            t->header &= !cell_number(cell_at(t, 0, i), &v);
        return true;
    }
    t->header = strcmp(text, "yes") == 0;
    if (t->header || strcmp(text, "no") == 0)
        return true;
    return error_set(t->error, "%s: header is yes, no or auto, not %s", t->request->source->kind,
                     text);
}

static bool read_fill_option(Table *t)
{
    const gradc_option *o = option_find(t->request->source, "fill");
    if (!o || (o->text && strcmp(o->text, "error") == 0))
        return true;
    t->fills = true;
    t->fill = o->number;
    t->fills_mean = o->text && strcmp(o->text, "mean") == 0;
    if (o->text && !t->fills_mean)
        return error_set(t->error, "%s: fill is a number, mean or error, not %s",
                         t->request->source->kind, o->text);
    return true;
}

static bool read_separator(const gradc_source *s, char *separator, Error *e)
{
    const char *text = option_text(s, "separator", ",");
    *separator = strcmp(text, "tab") == 0 || strcmp(text, "\\t") == 0 ? '\t' : text[0];
    if ((*separator == '\t' || strlen(text) == 1) && !strchr("\"\r\n", *separator))
        return true;
    return error_set(e, "%s: separator is one character, not \"%s\"", s->kind, text);
}

/* ---- the whole ------------------------------------------------------------------------------------------------- */

static bool table_create(Table *t)
{
    size_t columns = t->csv->columns;
    int ports = t->request->port_count;
    t->owner = memory_get(columns, sizeof *t->owner);
    t->taken = memory_get((size_t)ports, sizeof *t->taken);
    t->counts = memory_get((size_t)ports, sizeof *t->counts);
    for (int i = 0; i < ports; i++)
        t->taken[i] = memory_get(columns, sizeof **t->taken);
    if (t->csv->rows == 0)
        return error_set(t->error, "%s: holds no rows", t->path);
    return read_header_option(t) && read_fill_option(t);
}

static void table_destroy(Table *t)
{
    for (int i = 0; i < t->request->port_count; i++)
        free(t->taken[i]);
    free(t->owner);
    free(t->taken);
    free(t->counts);
}

bool table_open(Dataset *d, const Request *r, const Bytes *b, const char *path, TableUse *use,
                Error *e)
{
    Csv csv = {0};
    Table t = {.set = d, .request = r, .csv = &csv, .path = path, .error = e};
    char separator;
    if (!read_separator(r->source, &separator, e))
        return false;
    bool ok = csv_parse(&csv, (const char *)b->data, b->size, separator, path, e);
    if (ok) {
        ok = table_create(&t) && use(&t);
        table_destroy(&t);
    }
    csv_free(&csv);
    return ok;
}

static bool use_rows(Table *t)
{
    bool ok =
        dataset_agree(t->set, t->csv->rows - t->header, t->path, t->error) && columns_place(t);
    for (int i = 0; ok && i < t->request->port_count; i++)
        ok = fill_port(t, i);
    return ok;
}

bool table_bind(Dataset *d, const Request *r, const Bytes *b, const char *path, Error *e)
{
    return table_open(d, r, b, path, use_rows, e);
}

bool source_csv(Dataset *d, const Request *r, Error *e);
bool source_csv(Dataset *d, const Request *r, Error *e)
{
    return dataset_bind(d, r, table_bind, e);
}
