/* IDX, the format of MNIST: two zero bytes, a type, a rank, big-endian extents, data.
 * idx(image = "train-images-idx3-ubyte.gz", label = "train-labels-idx1-ubyte.gz") */
#include "data.h"

#include <stdlib.h>
#include <string.h>

static bool idx_element(Element *out, uint8_t code)
{
    switch (code) {
    case 0x08:
        *out = (Element){'u', 1, true};
        return true;
    case 0x09:
        *out = (Element){'i', 1, true};
        return true;
    case 0x0b:
        *out = (Element){'i', 2, true};
        return true;
    case 0x0c:
        *out = (Element){'i', 4, true};
        return true;
    case 0x0d:
        *out = (Element){'f', 4, true};
        return true;
    case 0x0e:
        *out = (Element){'f', 8, true};
        return true;
    default:
        return false;
    }
}

bool idx_parse(Array *a, const uint8_t *bytes, size_t size, const char *path, Error *e)
{
    *a = (Array){0};
    if (size < 4 || bytes[0] || bytes[1] || !idx_element(&a->element, bytes[2]))
        return error_set(e, "%s: is no IDX file (its first bytes are not 0, 0 and a type)", path);
    a->rank = bytes[3];
    if (a->rank == 0 || a->rank > ARRAY_RANK)
        return error_set(e, "%s: an IDX file of rank %d cannot be read", path, a->rank);
    size_t header = 4 + 4 * (size_t)a->rank;
    if (size < header)
        return error_set(e, "%s: ends inside its header", path);
    for (int i = 0; i < a->rank; i++) {
        const uint8_t *p = bytes + 4 + 4 * i;
        a->dims[i] = (uint64_t)p[0] << 24 | (uint64_t)p[1] << 16 | (uint64_t)p[2] << 8 | p[3];
    }
    uint64_t wanted;
    if (!array_size(a, &wanted) || wanted != size - header)
        return error_set(e,
                         "%s: the header promises another amount of data than the %zu bytes "
                         "that follow it: is the file complete?",
                         path, size - header);
    a->data = bytes + header;
    return true;
}

bool source_idx(Dataset *d, const Request *r, Error *e);
bool source_idx(Dataset *d, const Request *r, Error *e)
{
    for (int i = 0; i < r->port_count; i++) {
        const char *name = option_text(r->source, r->ports[i].name, NULL), *path;
        if (!name)
            continue;
        Array a;
        char *found;
        const Bytes *b = dataset_file(d, r, name, &found, e);
        path = found;
        bool ok = b && idx_parse(&a, b->data, b->size, path, e) && array_bind(d, r, i, &a, path, e);
        free(found);
        if (!ok)
            return false;
    }
    return true;
}
