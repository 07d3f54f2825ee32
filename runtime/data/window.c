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

bool port_is_tokens(const gradc_port *p)
{
    return p->domain != GRADC_NUMBER;
}

bool port_is_idle(const Request *r, int port)
{
    return r->targets_optional && !r->ports[port].for_predict;
}

bool windows_of_tokens(Windows *w, const Request *r, const char *element, Error *e)
{
    const gradc_port *x = &r->ports[w->input];
    if (x->rank != 1 || !port_is_tokens(x))
        return error_set(e,
                         "%s: the input %s is not a window of tokens\nhelp: declare it as "
                         "%s[64] : token(96), for 64 of at most 96 different ones",
                         r->source->kind, x->name, x->name);
    if (w->target < 0 || port_is_idle(r, w->target)) {
        w->target = -1;
        return true;
    }
    const gradc_port *y = &r->ports[w->target];
    bool next = y->rank == 0, shifted = y->rank == 1 && y->shape[0] == x->shape[0];
    if (!port_is_tokens(y) || (!next && !shifted))
        return error_set(e,
                         "%s: the target %s is neither the next %s nor the window one %s later\n"
                         "help: declare it as %s : token(%lld) or %s[%lld] : token(%lld)",
                         r->source->kind, y->name, element, element, y->name, (long long)x->classes,
                         y->name, (long long)x->shape[0], (long long)x->classes);
    w->target_at = next ? w->length : 1;
    w->reach = w->length + 1;
    return true;
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
