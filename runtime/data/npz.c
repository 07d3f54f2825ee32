/* NumPy's .npz: a zip archive of .npy entries, stored or deflated, found through its central
 * directory.  npz("data.npz", x = "images") reads port x from images.npy; a port without an
 * option is looked for under its own name. */
#include "data.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static uint64_t word(const uint8_t *p, int size)
{
    uint64_t v = 0;
    for (int i = size; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

typedef struct Directory {
    const uint8_t *at, *end;
    uint64_t entries;
} Directory;

static const uint8_t *find_end(const uint8_t *bytes, size_t size)
{
    for (size_t back = 22; back <= size && back <= 22 + 65535; back++)
        if (memcmp(bytes + size - back, "PK\5\6", 4) == 0)
            return bytes + size - back;
    return NULL;
}

/* The end record, or its 64-bit form where the short one is full. */
static bool find_directory(Directory *d, const uint8_t *bytes, size_t size)
{
    const uint8_t *end = find_end(bytes, size);
    if (!end)
        return false;
    uint64_t entries = word(end + 10, 2), length = word(end + 12, 4), offset = word(end + 16, 4);
    if (end - bytes >= 20 && memcmp(end - 20, "PK\6\7", 4) == 0) {
        uint64_t at = word(end - 12, 8);
        if (size < 56 || at > size - 56 || memcmp(bytes + at, "PK\6\6", 4) != 0)
            return false;
        entries = word(bytes + at + 32, 8);
        length = word(bytes + at + 40, 8);
        offset = word(bytes + at + 48, 8);
    }
    if (offset > size || length > size - offset)
        return false;
    *d = (Directory){bytes + offset, bytes + offset + length, entries};
    return true;
}

/* Sizes of 4 GiB and more stand in an extra field, in this order, where the short ones are full. */
static void wide_sizes(ZipEntry *z, uint64_t *offset, const uint8_t *extra, size_t length)
{
    while (length >= 4) {
        size_t id = (size_t)word(extra, 2), n = (size_t)word(extra + 2, 2);
        if (n > length - 4)
            return;
        const uint8_t *p = extra + 4, *end = p + n;
        uint64_t *fields[] = {&z->size, &z->packed, offset};
        for (int i = 0; id == 1 && i < 3; i++)
            if (*fields[i] == 0xffffffff && end - p >= 8) {
                *fields[i] = word(p, 8);
                p += 8;
            }
        extra += 4 + n;
        length -= 4 + n;
    }
}

static bool locate(ZipEntry *z, uint64_t offset, const uint8_t *bytes, size_t size)
{
    if (size < 30 || offset > size - 30 || memcmp(bytes + offset, "PK\3\4", 4) != 0)
        return false;
    uint64_t start = offset + 30 + word(bytes + offset + 26, 2) + word(bytes + offset + 28, 2);
    if (start > size || z->packed > size - start)
        return false;
    z->data = bytes + start;
    return true;
}

static bool is_named(const ZipEntry *z, const char *name)
{
    size_t n = strlen(name);
    if (z->name_length == n + 4 && memcmp(z->name + n, ".npy", 4) == 0)
        return memcmp(z->name, name, n) == 0;
    return z->name_length == n && memcmp(z->name, name, n) == 0;
}

bool zip_find(ZipEntry *z, const uint8_t *bytes, size_t size, const char *name, const char *path,
              Error *e)
{
    Directory d;
    if (!find_directory(&d, bytes, size))
        return error_set(e, "%s: is no NPZ file, or is not complete", path);
    for (; d.end - d.at >= 46 && memcmp(d.at, "PK\1\2", 4) == 0;) {
        const uint8_t *p = d.at;
        size_t names = (size_t)word(p + 28, 2), extra = (size_t)word(p + 30, 2);
        size_t whole = 46 + names + extra + (size_t)word(p + 32, 2);
        if ((size_t)(d.end - p) < whole)
            break;
        *z = (ZipEntry){(const char *)p + 46,     names,           NULL,
                        word(p + 20, 4),          word(p + 24, 4), (int)word(p + 10, 2),
                        (uint32_t)word(p + 16, 4)};
        uint64_t offset = word(p + 42, 4);
        wide_sizes(z, &offset, p + 46 + names, extra);
        if (is_named(z, name))
            return locate(z, offset, bytes, size) ||
                   error_set(e, "%s: the entry of %s lies outside the file", path, name);
        d.at += whole;
    }
    return error_set(e, "%s: has no array named %s", path, name);
}

static bool unpack(Bytes *out, const ZipEntry *z, const char *path, Error *e)
{
    if (z->method == 0 && z->packed == z->size)
        *out = (Bytes){z->data, (size_t)z->size, BYTES_NONE};
    else if (z->method != 8)
        return error_set(e, "%s: is compressed in a way that cannot be read (method %d)", path,
                         z->method);
    else if (!inflate_all(z->data, (size_t)z->packed, -15, SIZE_MAX / 4, out, path, e))
        return false;
    if (out->size == z->size && crc32_z(0, out->data, out->size) == z->crc)
        return true;
    if (out->kind == BYTES_OWNED)
        file_close(out);
    return error_set(e, "%s: is damaged (its checksum does not agree)", path);
}

static bool read_entry(Dataset *d, const Request *r, int port, const Bytes *file, const char *name,
                       const char *path, Error *e)
{
    ZipEntry z;
    Bytes b;
    Array a;
    if (!zip_find(&z, file->data, file->size, name, path, e))
        return r->targets_optional && !r->ports[port].for_predict;
    char *full = text_format("%s:%s", path, name);
    bool ok = unpack(&b, &z, full, e);
    if (ok && b.kind == BYTES_OWNED)
        dataset_keep(d, b);
    ok = ok && npy_parse(&a, b.data, b.size, full, e) && array_bind(d, r, port, &a, full, e);
    free(full);
    return ok;
}

static bool bind(Dataset *d, const Request *r, const Bytes *b, const char *path, Error *e)
{
    bool ok = true;
    for (int i = 0; ok && i < r->port_count; i++) {
        const char *port = r->ports[i].name;
        ok = read_entry(d, r, i, b, option_text(r->source, port, port), path, e);
    }
    return ok;
}

bool source_npz(Dataset *d, const Request *r, Error *e);
bool source_npz(Dataset *d, const Request *r, Error *e)
{
    return dataset_bind(d, r, bind, e);
}
