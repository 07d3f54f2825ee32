/* Examples that are windows of one long sequence: example i begins at element i * stride, and its
 * target follows.  Nothing is copied: the fields of input and target are the sequence itself. */
#include "data.h"

#include <stdlib.h>

bool whole_option(const gradc_source *s, const char *key, size_t least, size_t *value, Error *e)
{
    const gradc_option *o = option_find(s, key);
    char *end = NULL;
    double number = !o ? 0 : o->text ? strtod(o->text, &end) : o->number;
    if (!o)
        return true;
    if ((o->text && (end == o->text || *end)) || number < (double)least || number > 1e15 ||
        number != (double)(size_t)number) {
        error_set(e, "%s: %s is a whole number from %zu, not ", s->kind, key, least);
        char *text = o->text ? text_format("%s", o->text) : text_format("%.15g", o->number);
        char *all = text_format("%s%s", e->text, text);
        error_set(e, "%s", all);
        free(text);
        free(all);
        return false;
    }
    *value = (size_t)number;
    return true;
}

/* The only port that is a target, or the only one that is none. */
static bool only_port(const Request *r, bool target, int *port, Error *e)
{
    *port = -1;
    for (int i = 0; i < r->port_count; i++) {
        if (!r->ports[i].is_target != !target)
            continue;
        if (*port >= 0)
            return error_set(e, "%s fills one %s, but the model has %s and %s", r->source->kind,
                             target ? "target" : "input", r->ports[*port].name, r->ports[i].name);
        *port = i;
    }
    return true;
}

bool windows_plan(Windows *w, const Request *r, Error *e)
{
    *w = (Windows){0};
    if (!only_port(r, false, &w->input, e) || !only_port(r, true, &w->target, e))
        return false;
    if (w->input < 0)
        return error_set(e, "%s: the model has no input", r->source->kind);
    const gradc_port *x = &r->ports[w->input];
    if (x->rank == 0)
        return error_set(e,
                         "%s: %s is a single value, not a window\nhelp: give it the length of a "
                         "window, as in %s[64]",
                         r->source->kind, x->name, x->name);
    w->length = w->reach = w->stride = (size_t)x->shape[0];
    return whole_option(r->source, "stride", 1, &w->stride, e);
}

bool windows_cut(const Windows *w, Dataset *d, size_t total, const char *path, const char *unit,
                 Error *e)
{
    if (total < w->reach) {
        error_set(e, "%s: holds %zu %s, but a window takes %zu", path, total, unit, w->reach);
        if (w->reach > w->length)
            error_add(e, "help: %zu of the input %s, and %zu more for the target", w->length,
                      d->ports[w->input].name, w->reach - w->length);
        return false;
    }
    d->gap = (w->reach - 1) / w->stride;
    d->apart = (w->length - 1) / w->stride + 1;
    return dataset_agree(d, (total - w->reach) / w->stride + 1, path, e);
}
