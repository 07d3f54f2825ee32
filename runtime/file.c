/* A whole file as bytes: mapped as it lies, or inflated when it is gzip (told by its first bytes,
 * not by its name). */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

bool inflate_all(const uint8_t *data, size_t size, int window_bits, size_t limit, Bytes *out,
                 const char *path, Error *e)
{
    z_stream z = {0};
    if (inflateInit2(&z, window_bits) != Z_OK)
        return error_set(e, "%s: zlib cannot start", path);
    size_t capacity = size * 4 + 4096, used = 0, at = 0;
    uint8_t *buffer = memory_get(capacity, 1);
    int rc = Z_OK;
    while (rc == Z_OK || (rc == Z_STREAM_END && at < size && window_bits > 15)) {
        if (rc == Z_STREAM_END && inflateReset(&z) != Z_OK) /* a further gzip member */
            break;
        if (used == capacity) {
            uint8_t *larger = capacity < limit ? realloc(buffer, capacity *= 2) : NULL;
            if (!larger) {
                rc = Z_MEM_ERROR;
                break;
            }
            buffer = larger;
        }
        uInt in = size - at > 1u << 30 ? 1u << 30 : (uInt)(size - at);
        uInt room = capacity - used > 1u << 30 ? 1u << 30 : (uInt)(capacity - used);
        z.next_in = (Bytef *)(uintptr_t)(data + at);
        z.avail_in = in;
        z.next_out = buffer + used;
        z.avail_out = room;
        rc = inflate(&z, Z_NO_FLUSH);
        at += in - z.avail_in;
        used += room - z.avail_out;
    }
    inflateEnd(&z);
    if (rc == Z_STREAM_END) {
        *out = (Bytes){buffer, used, BYTES_OWNED};
        return true;
    }
    free(buffer);
    if (rc == Z_MEM_ERROR) {
        error_set(e, "%s: does not fit into memory when inflated", path);
        return error_add(e,
                         "help: inflate it first, as with gunzip: a plain file is mapped, and may "
                         "be larger than memory");
    }
    if (rc == Z_BUF_ERROR)
        return error_set(e, "%s: the compressed data end early: is the file complete?", path);
    return error_set(e, "%s: the compressed data are damaged", path);
}

static bool map(Bytes *b, int fd, const char *path, Error *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return error_set(e, "cannot read %s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return error_set(e, "cannot read %s: it is a folder", path);
    if (!S_ISREG(st.st_mode))
        return error_set(e, "cannot read %s: it is not a regular file", path);
    *b = (Bytes){(const uint8_t *)"", 0, BYTES_NONE};
    if (st.st_size == 0)
        return true;
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return error_set(e, "cannot map %s: %s", path, strerror(errno));
    *b = (Bytes){p, (size_t)st.st_size, BYTES_MAPPED};
    return true;
}

static size_t physical_memory(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (size_t)pages * (size_t)size : SIZE_MAX / 4;
}

bool file_open(Bytes *b, const char *path, Error *e)
{
    *b = (Bytes){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(e, "cannot open %s: %s", path, strerror(errno));
    bool ok = map(b, fd, path, e);
    close(fd);
    if (!ok || b->size < 2 || b->data[0] != 0x1f || b->data[1] != 0x8b)
        return ok;
    Bytes packed = *b;
    *b = (Bytes){0};
    ok = inflate_all(packed.data, packed.size, 15 + 16, physical_memory(), b, path, e);
    file_close(&packed);
    return ok;
}

void file_close(Bytes *b)
{
    if (b->kind == BYTES_MAPPED)
        munmap((void *)(uintptr_t)b->data, b->size);
    if (b->kind == BYTES_OWNED)
        free((void *)(uintptr_t)b->data);
    *b = (Bytes){0};
}

char *file_find(const char *name, const char *folder)
{
    if (name[0] == '/' || !folder || access(name, F_OK) == 0)
        return text_format("%s", name);
    char *inside = text_format("%s/%s", folder, name);
    if (access(inside, F_OK) == 0)
        return inside;
    free(inside);
    return text_format("%s", name); /* the message then names what the user wrote */
}
