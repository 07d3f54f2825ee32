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
        b->rows[i] = aligned_alloc(64, size);
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

void batch_gather(Batch *b, const View *v, uint64_t begin, size_t n)
{
    const uint32_t *order = v->order + begin;
    for (int i = 0; i < b->port_count; i++) {
        const Field *f = &v->data->fields[i];
        size_t size = port_size(&b->ports[i]);
        for (size_t k = 0; f->data && k < n; k++)
            memcpy(b->rows[i] + k * size, f->data + order[k] * f->stride, size);
    }
}
