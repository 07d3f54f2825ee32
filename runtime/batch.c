/* Examples brought together, port by port, as the model's calls take them. */
#include "data/data.h"

#include <stdlib.h>
#include <string.h>

size_t port_size(const gradc_port *p)
{
    return (size_t)p->count * raw_size(p->type);
}

void batch_create(Batch *b, const gradc_port *ports, int port_count, size_t capacity)
{
    *b = (Batch){ports, port_count, capacity, memory_get((size_t)port_count, sizeof *b->rows),
                 memory_get((size_t)port_count, sizeof *b->inputs)};
    for (int i = 0; i < port_count; i++) {
        size_t size = (capacity * port_size(&ports[i]) + 127) / 64 * 64;
        b->rows[i] = memory_pages(size);
        if (!b->rows[i])
            abort();
        memset(b->rows[i], 0, size);
        b->inputs[i] = b->rows[i];
    }
}

void batch_destroy(Batch *b)
{
    for (int i = 0; i < b->port_count; i++)
        free(b->rows[i]);
    free(b->rows);
    free(b->inputs);
    *b = (Batch){0};
}

static bool read_rows(const Field *f, const gradc_port *p, const uint32_t *order, size_t n,
                      uint8_t *out, Error *e)
{
    for (size_t k = 0; k < n; k++)
        if (!f->read(f, p, order[k], out + k * port_size(p), e))
            return false;
    return true;
}

static void copy_rows(const Field *f, const gradc_port *p, const uint32_t *order, size_t n,
                      uint8_t *out)
{
    const size_t size = port_size(p);
    for (size_t k = 0; k < n; k++) {
        const size_t place = f->places ? f->places[order[k]] : order[k];
        memcpy(out + k * size, f->data + place * f->stride, size);
    }
}

bool batch_gather(Batch *b, const View *v, uint64_t begin, size_t n, Error *e)
{
    const uint32_t *order = v->order + begin;
    for (int i = 0; i < b->port_count; i++) {
        const Field *f = &v->data->fields[i];
        if (f->read && !read_rows(f, &b->ports[i], order, n, b->rows[i], e))
            return false;
        if (f->data)
            copy_rows(f, &b->ports[i], order, n, b->rows[i]);
    }
    return true;
}
