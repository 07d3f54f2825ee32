/* A table's columns onto the model's ports.
 *
 * `columns` chooses columns (all by default), `skip` leaves some out, `target` names the target's.
 * A port takes the column named as it is, or those named name[0], name[1], …; the one input that is
 * left takes every column that is left, in order. */
#include "table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { OWNER_NONE = -1, OWNER_SKIPPED = -2 };

char *column_label(const Table *t, int column)
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
        ok = column >= 0
                 ? visit(t, column)
                 : t->request->targets_optional || no_column(t, option, word, (int)(stop - word));
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

void column_take(Table *t, int port, int column)
{
    t->owner[column] = port;
    t->taken[port][t->counts[port]++] = column;
}

static bool take_listed(Table *t, int column)
{
    if (t->counts[t->port] == (int)t->csv->columns)
        return error_set(t->error, "%s: a column is named twice", t->path);
    column_take(t, t->port, column);
    return true;
}

bool columns_take(Table *t, const char *option)
{
    return each_column(t, option, take_listed);
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
        column_take(t, target, column);
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
            column_take(t, port, i);
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
            column_take(t, open, i);
}

static bool check_count(const Table *t, int port)
{
    const gradc_port *p = &t->request->ports[port];
    int count = t->counts[port];
    if ((uint64_t)count == p->count || (t->request->targets_optional && !p->for_predict && !count))
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
    return error_add(
        t->error, "help: change the shape of %s, or choose with columns = … or skip = …", p->name);
}

static bool check_unused(const Table *t)
{
    for (int i = 0; i < (int)t->csv->columns; i++)
        if (t->owner[i] == OWNER_NONE) {
            char *label = column_label(t, i);
            error_set(t->error, "%s: %s belongs to no input or target of the model", t->path,
                      label);
            free(label);
            return error_add(t->error, "help: leave it out with skip = …");
        }
    return true;
}

bool columns_place(Table *t)
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
