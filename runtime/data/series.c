/* A table's columns as a series: series("file.csv", columns = "load,wind", target = load, horizon = 24).
 * An example is a window of rows; its target, what one or several columns hold `horizon` rows after
 * the window's last and in the rows that follow. */
#include "table.h"

#include <stdlib.h>

typedef struct Series {
    Windows windows;
    size_t inputs, targets; /* columns */
    size_t horizon, ahead;  /* rows from the window's last to the first target; target rows */
} Series;

/* x[T] is one column, x[T, C] are C. */
static bool check_input(Table *t, const Series *s)
{
    const gradc_port *x = &t->request->ports[s->windows.input];
    if (x->domain != GRADC_NUMBER || x->rank > 2)
        return error_set(t->error,
                         "series: the input %s is no window of numbers\nhelp: declare it as "
                         "%s[24] : f32, or, of 3 columns, %s[24, 3] : f32",
                         x->name, x->name, x->name);
    const size_t takes = x->rank == 2 ? (size_t)x->shape[1] : 1;
    if (takes == s->inputs)
        return true;
    error_set(t->error, "%s: %s takes %zu column%s, but there are %zu", t->path, x->name, takes,
              takes == 1 ? "" : "s", s->inputs);
    return error_add(t->error, "help: choose them with columns = \"…\"");
}

/* y is the next value, y[H] the next H, y[H, C] those of C columns, y[C] their next. */
static bool check_target(Table *t, Series *s)
{
    Windows *w = &s->windows;
    if (w->target < 0)
        return true;
    const gradc_port *y = &t->request->ports[w->target];
    const int wide = s->targets > 1;
    const bool fits = y->domain == GRADC_NUMBER && y->rank >= wide && y->rank <= 1 + wide &&
                      (!wide || (size_t)y->shape[y->rank - 1] == s->targets);
    if (!fits)
        return error_set(t->error,
                         "series: the target %s does not fit %zu column%s\nhelp: declare it as "
                         "%s%s : f32, or, for the next 12 rows, %s[12%s] : f32",
                         y->name, s->targets, wide ? "s" : "", y->name, wide ? "[columns]" : "",
                         y->name, wide ? ", columns" : "");
    s->ahead = y->rank > wide ? (size_t)y->shape[0] : 1;
    w->reach = w->length - 1 + s->horizon + s->ahead;
    w->target_at = w->length - 1 + s->horizon;
    return true;
}

/* Without `columns`, those that begin with a number. */
static void take_numbers(Table *t, int port)
{
    double v;
    for (int i = 0; i < (int)t->csv->columns; i++)
        if (t->csv->rows > t->header && cell_number(cell_at(t, t->header, i), &v))
            column_take(t, port, i);
}

static bool take_columns(Table *t, Series *s)
{
    const Windows *w = &s->windows;
    t->port = w->input;
    if (!columns_take(t, "columns"))
        return false;
    if (!option_find(t->request->source, "columns"))
        take_numbers(t, w->input);
    s->inputs = s->targets = (size_t)t->counts[w->input];
    if (w->target < 0)
        return true;
    t->port = w->target;
    if (!columns_take(t, "target"))
        return false;
    for (size_t i = 0; !option_find(t->request->source, "target") && i < s->inputs; i++)
        column_take(t, w->target, t->taken[w->input][i]);
    s->targets = (size_t)t->counts[w->target];
    return true;
}

/* The port's columns side by side, from row `first` on. */
static bool fill(Table *t, const Series *s, int port, size_t first)
{
    const size_t size = raw_size(t->request->ports[port].type);
    const size_t row = (size_t)t->counts[port] * size;
    Field *f = &t->set->fields[port];
    uint8_t *out = memory_get(t->csv->rows, row);
    f->owned = out;
    f->data = out + first * row;
    f->stride = s->windows.stride * row;
    for (int i = 0; i < t->counts[port]; i++)
        if (!table_fill(t, port, i, out + (size_t)i * size, row))
            return false;
    return true;
}

static bool use_windows(Table *t)
{
    Series s = {.horizon = 1, .ahead = 1};
    Windows *w = &s.windows;
    const Request *r = t->request;
    if (!windows_plan(w, r, t->error) ||
        !whole_option(r->source, "horizon", 1, &s.horizon, t->error))
        return false;
    if (!option_find(r->source, "stride"))
        w->stride = 1; /* a series is short, and each of its rows a target */
    if (w->target >= 0 && port_is_idle(r, w->target))
        w->target = -1;
    if (!take_columns(t, &s) || !check_input(t, &s) || !check_target(t, &s) ||
        !fill(t, &s, w->input, 0) || (w->target >= 0 && !fill(t, &s, w->target, w->target_at)) ||
        !windows_cut(w, t->set, t->csv->rows - t->header, t->path, "rows", t->error))
        return false;
    t->set->apart = (s.ahead - 1) / w->stride + 1; /* what is measured are the targets */
    return true;
}

bool series_bind(Dataset *d, const Request *r, const Bytes *b, const char *path, Error *e)
{
    return table_open(d, r, b, path, use_windows, e);
}

bool source_series(Dataset *d, const Request *r, Error *e);
bool source_series(Dataset *d, const Request *r, Error *e)
{
    return dataset_bind(d, r, series_bind, e);
}
