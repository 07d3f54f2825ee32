/* A stream of tokens as windows: tokens("train.bin", type = u16, header = 1024, stride = 512).
 * The file is mapped and may be larger than memory, so a window is checked when it is read. */
#include "data.h"

#include <stdlib.h>
#include <string.h>

typedef struct Stream {
    const uint8_t *data;
    size_t size;           /* bytes of a token */
    size_t header;         /* bytes before the first */
    size_t stride, offset; /* tokens from window to window; from a window's start to the field's */
    char path[];
} Stream;

static uint32_t token_at(const uint8_t *p, size_t size)
{
    uint32_t token = 0;
    memcpy(&token, p, size); /* streams and machines are little-endian */
    return token;
}

static bool out_of_range(const Stream *s, const gradc_port *p, size_t at, uint32_t token, Error *e)
{
    error_set(e, "%s: token %zu (at byte %zu): %u is outside 0 … %lld, the tokens of %s", s->path,
              at, s->header + at * s->size, token, (long long)p->classes - 1, p->name);
    return error_add(e,
                     "help: see that the type (%zu bytes a token) and the header (%zu bytes) are "
                     "the file's, and that the model has its vocabulary",
                     s->size, s->header);
}

static bool read_window(const Field *f, const gradc_port *p, size_t row, uint8_t *out, Error *e)
{
    const Stream *s = f->owned;
    const size_t first = row * s->stride + s->offset, step = raw_size(p->type);
    for (size_t i = 0; i < (size_t)p->count; i++) {
        const uint32_t token = token_at(s->data + (first + i) * s->size, s->size);
        if (token >= (uint64_t)p->classes)
            return out_of_range(s, p, first + i, token, e);
        number_put(p->type, out + i * step, token);
    }
    return true;
}

static void fill(Dataset *d, int port, const Stream *like, size_t offset, const char *path)
{
    Stream *s = memory_get(1, sizeof *s + strlen(path) + 1);
    *s = *like;
    s->offset = offset;
    strcpy(s->path, path);
    d->fields[port].read = read_window;
    d->fields[port].owned = s;
}

static bool read_type(const gradc_source *source, size_t *size, Error *e)
{
    const char *name = option_text(source, "type", "u16");
    Element t;
    if (!element_parse(&t, name) || t.kind != 'u' || t.size > 4)
        return error_set(e, "tokens: type is u8, u16 or u32, not %s", name);
    *size = t.size;
    return true;
}

bool tokens_bind(Dataset *d, const Request *r, const Bytes *b, const char *path, Error *e)
{
    Windows w;
    Stream s = {0};
    if (!windows_plan(&w, r, e) || !windows_of_tokens(&w, r, "token", e) ||
        !read_type(r->source, &s.size, e) || !whole_option(r->source, "header", 0, &s.header, e))
        return false;
    if (s.header > b->size || (b->size - s.header) % s.size)
        return error_set(e, "%s: its %zu bytes are no whole number of tokens of %zu bytes%s", path,
                         b->size, s.size, s.header ? " after the header" : "");
    s.data = b->data + s.header;
    s.stride = w.stride;
    fill(d, w.input, &s, 0, path);
    if (w.target >= 0)
        fill(d, w.target, &s, w.target_at, path);
    return windows_cut(&w, d, (b->size - s.header) / s.size, path, "tokens", e);
}

bool source_tokens(Dataset *d, const Request *r, Error *e);
bool source_tokens(Dataset *d, const Request *r, Error *e)
{
    return dataset_bind(d, r, tokens_bind, e);
}
