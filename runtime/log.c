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
        if (isfinite(values[i].number))
            fprintf(l->file, ",%.9g", values[i].number);
        else
            fputc(',', l->file);
    fputc('\n', l->file);
}

static void json_row(Log *l, const Position *at, double seconds, const Value *values, int count)
{
    fprintf(l->file, "{\"epoch\": %llu, \"step\": %llu, \"seconds\": %.3f",
            (unsigned long long)at->epoch, (unsigned long long)at->step, seconds);
    for (int i = 0; i < count; i++) {
        fputs(", \"", l->file);
        print_key(l->file, &values[i]);
        if (isfinite(values[i].number))
            fprintf(l->file, "\": %.9g", values[i].number);
        else
            fputs("\": null", l->file); /* JSON has no NaN */
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
