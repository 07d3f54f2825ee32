/* NumPy's .npy: magic, version, a Python literal that describes the array, data.
 * npy(x = "x.npy", y = "y.npy") */
#include "data.h"

#include <stdlib.h>
#include <string.h>

typedef struct Header {
    const char *at, *end;
} Header;

/* The text after 'key': in the dictionary; NULL: not there. */
static const char *value_of(const Header *h, const char *key)
{
    size_t length = strlen(key);
    for (const char *p = h->at; p + length + 2 < h->end; p++)
        if ((*p == '\'' || *p == '"') && memcmp(p + 1, key, length) == 0 && p[length + 1] == *p) {
            p += length + 2;
            while (p < h->end && (*p == ' ' || *p == ':'))
                p++;
            return p < h->end ? p : NULL;
        }
    return NULL;
}

static bool read_descr(Element *out, const Header *h)
{
    const char *p = value_of(h, "descr");
    if (!p || h->end - p < 5 || (*p != '\'' && *p != '"') || p[4] != *p)
        return false;
    out->big = p[1] == '>';
    out->kind = p[2];
    out->size = (uint8_t)(p[3] - '0');
    if (!strchr("<>|=", p[1]))
        return false;
    switch (out->kind) {
    case 'b':
        return out->size == 1;
    case 'f':
        return out->size == 2 || out->size == 4 || out->size == 8;
    case 'u':
    case 'i':
        return out->size == 1 || out->size == 2 || out->size == 4 || out->size == 8;
    default:
        return false;
    }
}

static bool read_shape(Array *a, const Header *h)
{
    const char *p = value_of(h, "shape");
    if (!p || *p++ != '(')
        return false;
    for (;;) {
        while (p < h->end && (*p == ' ' || *p == ','))
            p++;
        if (p < h->end && *p == ')')
            return true;
        if (p == h->end || *p < '0' || *p > '9' || a->rank == ARRAY_RANK)
            return false;
        uint64_t v = 0;
        for (; p < h->end && *p >= '0' && *p <= '9'; p++)
            if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *p - '0', &v))
                return false;
        a->dims[a->rank++] = v;
    }
}

bool npy_parse(Array *a, const uint8_t *bytes, size_t size, const char *path, Error *e)
{
    *a = (Array){0};
    if (size < 10 || memcmp(bytes, "\x93NUMPY", 6) != 0)
        return error_set(e, "%s: is no NPY file", path);
    size_t prefix = bytes[6] == 1 ? 10 : 12, length = bytes[8] | (size_t)bytes[9] << 8;
    if (prefix == 12 && size >= 12)
        length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    if (bytes[6] < 1 || bytes[6] > 3 || size < prefix || length > size - prefix)
        return error_set(e, "%s: ends inside its header, or is of an unknown NPY version", path);
    Header h = {(const char *)bytes + prefix, (const char *)bytes + prefix + length};
    if (!read_descr(&a->element, &h))
        return error_set(e,
                         "%s: holds no plain numbers; save one of bool, int8 … uint64, float32, "
                         "float64",
                         path);
    const char *order = value_of(&h, "fortran_order");
    if (!order || !read_shape(a, &h))
        return error_set(e, "%s: the NPY header is damaged", path);
    a->fortran = *order == 'T';
    uint64_t wanted;
    if (!array_size(a, &wanted) || wanted != size - prefix - length)
        return error_set(e,
                         "%s: the header promises another amount of data than the %zu bytes "
                         "that follow it: is the file complete?",
                         path, size - prefix - length);
    a->data = bytes + prefix + length;
    return true;
}

bool source_npy(Dataset *d, const Request *r, Error *e);
bool source_npy(Dataset *d, const Request *r, Error *e)
{
    for (int i = 0; i < r->port_count; i++) {
        const char *name = option_text(r->source, r->ports[i].name, NULL);
        if (!name)
            continue;
        Array a;
        char *path;
        const Bytes *b = dataset_file(d, r, name, &path, e);
        bool ok = b && npy_parse(&a, b->data, b->size, path, e) && array_bind(d, r, i, &a, path, e);
        free(path);
        if (!ok)
            return false;
    }
    return true;
}
