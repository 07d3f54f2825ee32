/* Fixed-size binary records, as of CIFAR-10: records("data.bin", layout = "label image").
 * The layout names the ports in their order within a record; `name:type` gives a type other than
 * the port's own, and a bare number skips so many bytes.  All numbers are little-endian. */
#include "data.h"

#include <stdlib.h>
#include <string.h>

typedef struct Part {
    int port; /* -1: bytes to skip */
    Element element;
    size_t offset;
} Part;

typedef struct Layout {
    Part parts[64];
    int count;
    size_t size;
} Layout;

static const char *const element_names[] = {
    [GRADC_BOOL] = "bool", [GRADC_U8] = "u8",   [GRADC_U16] = "u16",
    [GRADC_I32] = "i32",   [GRADC_F32] = "f32", [GRADC_F64] = "f64",
};

static int port_named(const Request *r, const char *name)
{
    for (int i = 0; i < r->port_count; i++)
        if (strcmp(r->ports[i].name, name) == 0)
            return i;
    return -1;
}

static bool add_part(Layout *l, const Request *r, char *word, Error *e)
{
    char *end;
    unsigned long skip = strtoul(word, &end, 10);
    if (*word >= '0' && *word <= '9' && !*end && skip < 1ul << 32) {
        l->size += skip;
        return true;
    }
    char *type = strchr(word, ':');
    if (type)
        *type++ = 0;
    Part *p = &l->parts[l->count];
    p->port = port_named(r, word);
    if (p->port < 0)
        return error_set(e, "layout: the model has no input or target named %s", word);
    if (!element_parse(&p->element, type ? type : element_names[r->ports[p->port].type]))
        return error_set(e, "layout: there is no type %s; use u8, i16, u16, i32, … f32, f64", type);
    for (int i = 0; i < l->count; i++)
        if (l->parts[i].port == p->port)
            return error_set(e, "layout: %s is named twice", word);
    if (++l->count == 64)
        return error_set(e, "layout: names too many parts");
    p->offset = l->size;
    l->size += (size_t)r->ports[p->port].count * p->element.size;
    return true;
}

static bool read_layout(Layout *l, const Request *r, Error *e)
{
    const char *text = option_text(r->source, "layout", NULL);
    *l = (Layout){0};
    if (!text)
        return error_set(e,
                         "records needs a layout: the model's inputs and targets in their order, "
                         "as in layout = \"label image\"");
    char *copy = text_copy(text, strlen(text)), *rest = copy;
    bool ok = true;
    for (char *word; ok && (word = strsep(&rest, " ,\t"));)
        if (*word)
            ok = add_part(l, r, word, e);
    free(copy);
    if (ok && l->size == 0)
        return error_set(e, "layout: names nothing");
    return ok;
}

static bool bind_part(Dataset *d, const Request *r, const Layout *l, const Part *p,
                      const uint8_t *data, size_t count, const char *path, Error *e)
{
    const gradc_port *port = &r->ports[p->port];
    Array a = {.data = data + p->offset, .element = p->element, .stride = l->size};
    a.rank = 1 + port->rank;
    a.dims[0] = count;
    if (a.rank > ARRAY_RANK)
        return error_set(e, "%s: has too many axes for records", port->name);
    for (int i = 0; i < port->rank; i++)
        a.dims[i + 1] = (uint64_t)port->shape[i];
    return array_bind(d, r, p->port, &a, path, e);
}

static bool read_records(Dataset *d, const Request *r, const Layout *l, const Bytes *b,
                         const char *path, Error *e)
{
    const gradc_option *o = option_find(r->source, "header");
    double header = o && !o->text ? o->number : 0;
    if (o && (o->text || header < 0 || header > 1e15 || header != (double)(size_t)header))
        return error_set(e, "records: header is a number of bytes to skip at the start");
    if ((size_t)header > b->size || (b->size - (size_t)header) % l->size)
        return error_set(e, "%s: its %zu bytes are no whole number of records of %zu bytes", path,
                         b->size, l->size);
    const uint8_t *data = b->data + (size_t)header;
    size_t count = (b->size - (size_t)header) / l->size;
    for (int i = 0; i < l->count; i++)
        if (!bind_part(d, r, l, &l->parts[i], data, count, path, e))
            return false;
    return true;
}

static bool bind(Dataset *d, const Request *r, const Bytes *b, const char *path, Error *e)
{
    Layout l;
    return read_layout(&l, r, e) && read_records(d, r, &l, b, path, e);
}

bool source_records(Dataset *d, const Request *r, Error *e);
bool source_records(Dataset *d, const Request *r, Error *e)
{
    return dataset_bind(d, r, bind, e);
}
