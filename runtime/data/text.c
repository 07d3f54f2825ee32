/* A text as windows of characters or bytes: text("input.txt", stride = 32, unit = byte).  The
 * target is the window one character later, or the one character that follows it. */
#include "data.h"

#include <stdlib.h>
#include <string.h>

typedef struct Reading {
    Dataset *set;
    const Request *request;
    Text text;
    Windows windows;
    size_t total; /* elements */
    Error *error;
} Reading;

/* The whole text in the port's type. */
static bool encode(Reading *g, const Vocabulary *v, int port)
{
    const gradc_port *p = &g->request->ports[port];
    size_t size = raw_size(p->type);
    Text t = g->text;
    uint8_t *out = memory_get((size_t)(t.end - t.at), size);
    g->set->fields[port].owned = out;
    for (uint32_t id; t.at < t.end; out += size) {
        if (!vocabulary_next(v, &t, &id, g->error))
            return false;
        number_put(p->type, out, id);
    }
    g->total = (size_t)(out - (uint8_t *)g->set->fields[port].owned) / size;
    return true;
}

/* A target of the input's type is the same memory, seen later. */
static bool fill(Reading *g, const Vocabulary *v, int port, size_t offset)
{
    Field *fields = g->set->fields;
    const gradc_port *ports = g->request->ports;
    int input = g->windows.input;
    bool shared = port != input && ports[port].type == ports[input].type;
    if (!shared && !encode(g, v, port))
        return false;
    const uint8_t *ids = fields[shared ? input : port].owned;
    size_t size = raw_size(ports[port].type);
    fields[port].data = ids + offset * size;
    fields[port].stride = g->windows.stride * size;
    return true;
}

static bool fill_all(Reading *g, const Vocabulary *v)
{
    const Windows *w = &g->windows;
    return fill(g, v, w->input, 0) && (w->target < 0 || fill(g, v, w->target, w->target_at)) &&
           windows_cut(w, g->set, g->total, g->text.path, g->text.bytes ? "bytes" : "characters",
                       g->error);
}

static bool read_text(Reading *g)
{
    const Request *r = g->request;
    const Windows *w = &g->windows;
    Names *names = g->text.bytes ? NULL : &g->set->encoding.names[w->input];
    Vocabulary v;
    if (names && !characters_learn(names, r, w->input, &g->text, false, g->error))
        return false;
    if (!characters_fit(names, 0, &r->ports[w->input], g->text.path, g->error) ||
        (w->target >= 0 && !characters_fit(names, 0, &r->ports[w->target], g->text.path, g->error)))
        return false;
    if (names && w->target >= 0)
        categories_copy(&g->set->encoding.names[w->target], names);
    if (!vocabulary_create(&v, names, 0))
        return error_set(g->error, "%s: the checkpoint's names are no characters", g->text.path);
    bool ok = fill_all(g, &v);
    vocabulary_destroy(&v);
    return ok;
}

bool text_bind(Dataset *d, const Request *r, const Bytes *b, const char *path, Error *e)
{
    Reading g = {.set = d, .request = r, .error = e};
    bool bytes;
    if (!windows_plan(&g.windows, r, e) || !windows_of_tokens(&g.windows, r, "character", e) ||
        !text_unit(r->source, &bytes, e))
        return false;
    text_open(&g.text, b, path, bytes);
    return read_text(&g);
}

bool source_text(Dataset *d, const Request *r, Error *e);
bool source_text(Dataset *d, const Request *r, Error *e)
{
    return dataset_bind(d, r, text_bind, e);
}
