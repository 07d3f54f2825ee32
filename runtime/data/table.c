/* A table's columns onto the model's ports.
 *
 * `columns` chooses columns (all by default), `skip` leaves some out, `target` names the target's.
 * A port takes the column named as it is, or those named name[0], name[1], …; the one input that is
 * left takes every column that is left, in order. */
#include "data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Table {
    Dataset *set;
    const Request *request;
    Csv *csv;
    const char *path;
    bool header;
    int *owner;   /* of each column: port, or one of those below */
    int **taken;  /* for each port its columns, in order */
    int *counts;
    bool fills, fills_mean;
    double fill;
    Error *error;
} Table;

enum { OWNER_NONE = -1, OWNER_SKIPPED = -2 };

static const Cell *cell_at(const Table *t, size_t row, int column)
{
    return &t->csv->cells[row * t->csv->columns + (size_t)column];
}

static bool is_missing(const Cell *c, const gradc_port *p)
{
    if (c->length == 0)
        return true;
    return p->domain == GRADC_NUMBER && (cell_is(c, "NA") || cell_is(c, "NaN") ||
                                         cell_is(c, "nan") || cell_is(c, "?"));
}

static char *column_label(const Table *t, int column)
{
    if (!t->header)
        return text_format("column %d (from 0)", column);
    const Cell *c = cell_at(t, 0, column);
    return text_format("column %.*s", (int)c->length, c->text);
}

/* ---- naming columns ------------------------------------------------------------------------------- */

static int column_named(const Table *t, const char *name, size_t length)
{
    for (int i = 0; t->header && i < (int)t->csv->columns; i++) {
        const Cell *c = cell_at(t, 0, i);
        if (c->length == length && memcmp(c->text, name, length) == 0)
            return i;
    }
    return -1;
}

static int column_numbered(const Table *t, double number)
{
    return number >= 0 && number < (double)t->csv->columns && number == floor(number) ? (int)number
                                                                                      : -1;
}

/* A name of the header, a number from 0, first or last; -1: no such column. */
static int column_find(const Table *t, const char *text, size_t length)
{
    int column = column_named(t, text, length);
    double number;
    const Cell c = {text, (uint32_t)length, false};
    if (column < 0 && cell_is(&c, "first"))
        return 0;
    if (column < 0 && cell_is(&c, "last"))
        return (int)t->csv->columns - 1;
    if (column < 0 && cell_number(&c, &number))
        return column_numbered(t, number);
    return column;
}

static bool no_column(const Table *t, const char *option, const char *text, int length)
{
    error_set(t->error, "%s: %s names the column %.*s, which is not there", t->path, option, length,
              text);
    if (!t->header)
        return error_add(t->error, "help: the table has no header; columns are 0 … %zu",
                         t->csv->columns - 1);
    char *all = text_format("help: the columns are");
    for (int i = 0; i < (int)t->csv->columns; i++) {
        const Cell *c = cell_at(t, 0, i);
        char *more = text_format("%s%s %.*s", all, i ? "," : "", (int)c->length, c->text);
        free(all);
        all = more;
    }
    error_add(t->error, "%s", all);
    free(all);
    return false;
}

typedef bool ColumnVisit(Table *t, int column);

/* Calls `visit` for each column of a list: a number, or names and numbers separated by commas.
 * Columns that a prediction's table may lack are passed over. */
static bool each_column(Table *t, const char *option, ColumnVisit *visit)
{
    const gradc_option *o = option_find(t->request->source, option);
    if (!o)
        return true;
    char *number = o->text ? NULL : text_format("%.15g", o->number);
    bool ok = true;
    for (const char *p = o->text ? o->text : number; ok && *p;) {
        size_t n = strcspn(p, ",");
        const char *word = p + strspn(p, " "), *stop = p + n;
        while (stop > word && stop[-1] == ' ')
            stop--;
        int column = column_find(t, word, (size_t)(stop - word));
        ok = column >= 0 ? visit(t, column)
                         : t->request->targets_optional ||
                               no_column(t, option, word, (int)(stop - word));
        p += n + (p[n] == ',');
    }
    free(number);
    return ok;
}

static bool skip_column(Table *t, int column)
{
    t->owner[column] = OWNER_SKIPPED;
    return true;
}

static bool choose_column(Table *t, int column)
{
    t->owner[column] = OWNER_NONE;
    return true;
}

static bool select_columns(Table *t)
{
    bool chosen = option_find(t->request->source, "columns") != NULL;
    for (size_t i = 0; i < t->csv->columns; i++)
        t->owner[i] = chosen ? OWNER_SKIPPED : OWNER_NONE;
    return each_column(t, "columns", choose_column) && each_column(t, "skip", skip_column);
}

/* ---- columns onto ports ------------------------------------------------------------------------------ */

static void take(Table *t, int port, int column)
{
    t->owner[column] = port;
    t->taken[port][t->counts[port]++] = column;
}

static int free_columns(const Table *t)
{
    int n = 0;
    for (size_t i = 0; i < t->csv->columns; i++)
        n += t->owner[i] == OWNER_NONE;
    return n;
}

/* Without a header, a table that has just the inputs' columns has no target. */
static bool lacks_target(const Table *t)
{
    uint64_t inputs = 0;
    for (int i = 0; i < t->request->port_count; i++)
        if (!t->request->ports[i].is_target)
            inputs += t->request->ports[i].count;
    return t->request->targets_optional && (uint64_t)free_columns(t) == inputs;
}

static int only_target(const Request *r)
{
    int target = -1;
    for (int i = 0; i < r->port_count; i++)
        if (r->ports[i].is_target) {
            if (target >= 0)
                return -1;
            target = i;
        }
    return target;
}

static bool place_target(Table *t)
{
    const gradc_option *o = option_find(t->request->source, "target");
    int target = only_target(t->request);
    if (!o || lacks_target(t))
        return true;
    if (target < 0)
        return error_set(t->error, "target = … needs a model with exactly one target; name the "
                         "columns of several as the targets are named");
    int column = o->text ? column_find(t, o->text, strlen(o->text)) : column_numbered(t, o->number);
    if (column >= 0) {
        take(t, target, column);
        return true;
    }
    char *number = o->text ? NULL : text_format("%.15g", o->number);
    const char *text = o->text ? o->text : number;
    bool ok = t->request->targets_optional || no_column(t, "target", text, (int)strlen(text));
    free(number);
    return ok;
}

static void place_named(Table *t, int port)
{
    const char *name = t->request->ports[port].name;
    size_t n = strlen(name);
    for (int i = 0; t->header && i < (int)t->csv->columns; i++) {
        const Cell *c = cell_at(t, 0, i);
        bool exact = c->length == n && memcmp(c->text, name, n) == 0;
        bool element = c->length > n + 2 && memcmp(c->text, name, n) == 0 && c->text[n] == '[';
        if ((exact || element) && t->owner[i] == OWNER_NONE)
            take(t, port, i);
    }
}

static void place_rest(Table *t)
{
    int open = -1;
    for (int i = 0; i < t->request->port_count; i++)
        if (!t->request->ports[i].is_target && t->counts[i] == 0) {
            if (open >= 0)
                return;
            open = i;
        }
    for (int i = 0; open >= 0 && i < (int)t->csv->columns; i++)
        if (t->owner[i] == OWNER_NONE)
            take(t, open, i);
}

static bool check_count(const Table *t, int port)
{
    const gradc_port *p = &t->request->ports[port];
    int count = t->counts[port];
    if ((uint64_t)count == p->count || (p->is_target && t->request->targets_optional && !count))
        return true;
    if (count == 0) {
        error_set(t->error, "%s: no column is named %s", t->path, p->name);
        return error_add(t->error, p->is_target
                                       ? "help: say which one it is, as in csv(…, target = last)"
                                       : "help: rename a column in the header, or the input");
    }
    error_set(t->error, "%s: %s takes %llu value%s of an example, but %d column%s left for it",
              t->path, p->name, (unsigned long long)p->count, p->count == 1 ? "" : "s", count,
              count == 1 ? " is" : "s are");
    return error_add(t->error, "help: change the shape of %s, or choose with columns = … or skip = …",
                     p->name);
}

static bool check_unused(const Table *t)
{
    for (int i = 0; i < (int)t->csv->columns; i++)
        if (t->owner[i] == OWNER_NONE) {
            char *label = column_label(t, i);
            error_set(t->error, "%s: %s belongs to no input or target of the model", t->path, label);
            free(label);
            return error_add(t->error, "help: leave it out with skip = …");
        }
    return true;
}

static bool place_columns(Table *t)
{
    if (!select_columns(t) || !place_target(t))
        return false;
    for (int i = 0; i < t->request->port_count; i++)
        if (t->counts[i] == 0)
            place_named(t, i);
    place_rest(t);
    for (int i = 0; i < t->request->port_count; i++)
        if (!check_count(t, i))
            return false;
    return t->request->targets_optional || check_unused(t);
}

/* ---- values ------------------------------------------------------------------------------------------------ */

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
        snprintf(reason, REASON_TEXT, "\"%.*s\" is not a number", c->length > 60 ? 60 : (int)c->length,
                 c->text);
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

static bool fill_column(Table *t, int port, int place, uint8_t *out, size_t stride)
{
    const gradc_port *p = &t->request->ports[port];
    int column = t->taken[port][place];
    char reason[REASON_TEXT];
    double fill;
    bool filled = column_fill(t, p, column, &fill);
    for (size_t row = t->header; row < t->csv->rows; row++, out += stride) {
        const char *why = put_cell(cell_at(t, row, column), p, &t->set->encoding.names[port], filled,
                                   fill, out, reason);
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
    if (names->count <= p->classes)
        return true;
    return error_set(t->error, "%s: the column of %s holds %d different names (%s, %s, …), but the "
                     "model has class(%lld)", t->path, p->name, names->count, names->items[0],
                     names->items[1], (long long)p->classes);
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
        if (!fill_column(t, port, i, out + (size_t)i * dtype_size(p->type), port_size(p)))
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
    return error_set(t->error, "csv: header is yes, no or auto, not %s", text);
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
        return error_set(t->error, "csv: fill is a number, mean or error, not %s", o->text);
    return true;
}

static void table_create(Table *t)
{
    size_t columns = t->csv->columns;
    int ports = t->request->port_count;
    t->owner = memory_get(columns, sizeof *t->owner);
    t->taken = memory_get((size_t)ports, sizeof *t->taken);
    t->counts = memory_get((size_t)ports, sizeof *t->counts);
    for (int i = 0; i < ports; i++)
        t->taken[i] = memory_get(columns, sizeof **t->taken);
}

static void table_destroy(Table *t)
{
    for (int i = 0; i < t->request->port_count; i++)
        free(t->taken[i]);
    free(t->owner);
    free(t->taken);
    free(t->counts);
}

bool table_bind(Dataset *d, const Request *r, Csv *csv, const char *path, Error *e)
{
    Table t = {.set = d, .request = r, .csv = csv, .path = path, .error = e};
    if (csv->rows == 0)
        return error_set(e, "%s: holds no rows", path);
    if (!read_header_option(&t) || !read_fill_option(&t) ||
        !dataset_agree(d, csv->rows - t.header, path, e))
        return false;
    table_create(&t);
    bool ok = place_columns(&t);
    for (int i = 0; ok && i < r->port_count; i++)
        ok = fill_port(&t, i);
    table_destroy(&t);
    return ok;
}

static bool read_separator(const Request *r, char *separator, Error *e)
{
    const char *text = option_text(r->source, "separator", ",");
    *separator = strcmp(text, "tab") == 0 || strcmp(text, "\\t") == 0 ? '\t' : text[0];
    if ((*separator == '\t' || strlen(text) == 1) && !strchr("\"\r\n", *separator))
        return true;
    return error_set(e, "csv: separator is one character, not \"%s\"", text);
}

bool source_csv(Dataset *d, const Request *r, Error *e);
bool source_csv(Dataset *d, const Request *r, Error *e)
{
    const gradc_option *o = option_positional(r->source, 0);
    char separator, *path;
    if (!o || !o->text)
        return error_set(e, "csv needs the path of its file");
    if (!read_separator(r, &separator, e))
        return false;
    const Bytes *b = dataset_file(d, r, o->text, &path, e);
    Csv csv = {0};
    bool ok = b && csv_parse(&csv, (const char *)b->data, b->size, separator, path, e) &&
              table_bind(d, r, &csv, path, e);
    csv_free(&csv);
    free(path);
    return ok;
}
