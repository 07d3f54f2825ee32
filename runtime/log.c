/* Reports for programs: one JSON object or one CSV row each. */
#include "internal.h"

#include <errno.h>
#include <math.h>
#include <string.h>

bool log_open(Log *l, const char *path, bool append, Error *e)
{
    size_t n = strlen(path);
    l->csv = n >= 4 && strcmp(path + n - 4, ".csv") == 0;
    if (!l->csv && !(n >= 6 && strcmp(path + n - 6, ".jsonl") == 0))
        return error_set(e, "--log %s: the name must end in .jsonl or .csv", path);
    l->file = fopen(path, append ? "ae" : "we");
    return l->file || error_set(e, "cannot write %s: %s", path, strerror(errno));
}

/* "holdout", "loss" → holdout_loss */
static void print_key(FILE *f, const Value *v)
{
    fprintf(f, "%s%s%s", v->group, *v->group ? "_" : "", v->name);
}

static void csv_header(Log *l, const Value *values, int count)
{
    fputs("epoch,step,seconds", l->file);
    for (int i = 0; i < count; i++) {
        if (values[i].table)
            continue;
        fputc(',', l->file);
        print_key(l->file, &values[i]);
    }
    fputc('\n', l->file);
}

static void csv_row(Log *l, const Position *at, double seconds, const Value *values, int count)
{
    if (ftell(l->file) == 0)
        csv_header(l, values, count);
    fprintf(l->file, "%llu,%llu,%.3f", (unsigned long long)at->epoch, (unsigned long long)at->step,
            seconds);
    for (int i = 0; i < count; i++)
        if (values[i].table)
            continue; /* a row has no place for it */
        else if (isfinite(values[i].number))
            fprintf(l->file, ",%.9g", values[i].number);
        else
            fputc(',', l->file);
    fputc('\n', l->file);
}

/* null, too: JSON has no NaN. */
static void json_number(FILE *f, double v)
{
    if (isfinite(v))
        fprintf(f, "%.9g", v);
    else
        fputs("null", f);
}

/* Lists in lists, `dimension` of the table's to come. */
static const double *json_table(FILE *f, const gradc_metric *t, int dimension, const double *at)
{
    if (dimension == t->rank) {
        json_number(f, *at);
        return at + 1;
    }
    fputc('[', f);
    for (int64_t i = 0; i < t->shape[dimension]; i++) {
        fputs(i ? ", " : "", f);
        at = json_table(f, t, dimension + 1, at);
    }
    fputc(']', f);
    return at;
}

void json_value(FILE *f, const Value *v)
{
    fputc('"', f);
    print_key(f, v);
    fputs("\": ", f);
    if (v->table)
        json_table(f, v->table, 0, v->elements);
    else
        json_number(f, v->number);
}

static void json_row(Log *l, const Position *at, double seconds, const Value *values, int count)
{
    fprintf(l->file, "{\"epoch\": %llu, \"step\": %llu, \"seconds\": %.3f",
            (unsigned long long)at->epoch, (unsigned long long)at->step, seconds);
    for (int i = 0; i < count; i++) {
        fputs(", ", l->file);
        json_value(l->file, &values[i]);
    }
    fputs("}\n", l->file);
}

void log_row(Log *l, const Position *at, double seconds, const Value *values, int count)
{
    if (!l->file)
        return;
    (l->csv ? csv_row : json_row)(l, at, seconds, values, count);
    fflush(l->file);
}

bool log_close(Log *l, Error *e)
{
    if (!l->file)
        return true;
    bool ok = !ferror(l->file);
    ok = fclose(l->file) == 0 && ok;
    l->file = NULL;
    return ok || error_set(e, "the log could not be written whole: %s", strerror(errno));
}
