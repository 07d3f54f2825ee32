/* Arrays of a safetensors file: safetensors("data.safetensors", x = "images") reads port x from the
 * tensor images; a port without an option is looked for under its own name. */
#include "data.h"

#include <stdlib.h>
#include <string.h>

static const TensorEntry *entry_named(const Safetensors *s, const char *name)
{
    for (int i = 0; i < s->entry_count; i++)
        if (strcmp(s->entries[i].name, name) == 0)
            return &s->entries[i];
    return NULL;
}

static bool read_type(Element *out, const TensorEntry *t)
{
    char name[sizeof t->type];
    for (size_t i = 0; i < sizeof name; i++)
        name[i] = t->type[i] >= 'A' && t->type[i] <= 'Z' ? (char)(t->type[i] + 32) : t->type[i];
    return element_parse(out, name);
}

static bool bind_tensor(Dataset *d, const Request *r, int port, const Safetensors *s,
                        const TensorEntry *t, const char *path, Error *e)
{
    Array a = {.data = s->data + t->begin, .rank = t->rank};
    char *full = text_format("%s:%s", path, t->name);
    bool ok = true;
    if (!read_type(&a.element, t))
        ok = error_set(e, "%s: its type %s cannot be read as data", full, t->type);
    else if (t->rank > ARRAY_RANK)
        ok = error_set(e, "%s: has more than %d axes", full, ARRAY_RANK);
    for (int i = 0; ok && i < t->rank; i++)
        a.dims[i] = (uint64_t)t->shape[i];
    ok = ok && array_bind(d, r, port, &a, full, e);
    free(full);
    return ok;
}

static bool no_tensor(const Safetensors *s, const char *name, const char *path, Error *e)
{
    error_set(e, "%s: has no tensor named %s", path, name);
    char *all = text_format("help: it has");
    for (int i = 0; i < s->entry_count && i < 12; i++) {
        char *more = text_format("%s%s %s", all, i ? "," : "", s->entries[i].name);
        free(all);
        all = more;
    }
    error_add(e, "%s%s", all, s->entry_count > 12 ? ", …" : s->entry_count ? "" : " none");
    free(all);
    return false;
}

bool tensors_bind(Dataset *d, const Request *r, const Bytes *b, const char *path, Error *e)
{
    Safetensors s;
    bool ok = safetensors_parse(&s, b->data, b->size, path, e);
    for (int i = 0; ok && i < r->port_count; i++) {
        const char *name = option_text(r->source, r->ports[i].name, r->ports[i].name);
        const TensorEntry *t = entry_named(&s, name);
        if (t)
            ok = bind_tensor(d, r, i, &s, t, path, e);
        else if (!port_is_idle(r, i))
            ok = no_tensor(&s, name, path, e);
    }
    safetensors_close(&s);
    return ok;
}

bool source_safetensors(Dataset *d, const Request *r, Error *e);
bool source_safetensors(Dataset *d, const Request *r, Error *e)
{
    return dataset_bind(d, r, tensors_bind, e);
}
