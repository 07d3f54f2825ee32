/* Files as bytes, and bytes as lines and columns.
 * A file is a number everywhere else; its text stays in memory for messages. */
#include "support/support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct Sources {
    Arena *arena;
    VEC(Source *) files;
};

Sources *sources_create(Arena *a)
{
    Sources *s = arena_new(a, Sources, 1);
    s->arena = a;
    return s;
}

static void index_lines(Arena *a, Source *src)
{
    int lines = 1;
    for (int i = 0; i < src->length; i++)
        lines += src->text[i] == '\n';
    src->line_starts = arena_new(a, int, lines);
    src->line_count = lines;
    for (int i = 0, line = 1; i < src->length; i++)
        if (src->text[i] == '\n')
            src->line_starts[line++] = i + 1;
}

int source_add(Sources *s, const char *path, const char *text, int length, bool library)
{
    Source *src = arena_new(s->arena, Source, 1);
    src->path = arena_format(s->arena, "%s", path);
    src->text = text;
    src->length = length;
    src->library = library;
    index_lines(s->arena, src);
    vec_push(s->arena, &s->files, src);
    return s->files.count - 1;
}

/* Reads to the end rather than trusting a size, so that pipes work too. */
static bool read_stream(FILE *f, Text *into)
{
    char buffer[1 << 14];
    size_t n;
    while ((n = fread(buffer, 1, sizeof buffer, f)) > 0) {
        if (into->length + n > INT32_MAX / 2) {
            errno = EFBIG;
            return false;
        }
        text_append_n(into, buffer, n);
    }
    return !ferror(f);
}

int source_read(Sources *s, const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return -1;
    Text t;
    text_init(&t, s->arena);
    bool ok = read_stream(f, &t);
    int why = errno;
    fclose(f);
    if (!ok) {
        errno = why;
        return -1;
    }
    return source_add(s, path, t.data, (int)t.length, false);
}

const Source *source_get(const Sources *s, int file)
{
    return file >= 0 && file < s->files.count ? s->files.data[file] : NULL;
}

/* The index of the last line that starts at or before the offset. */
static int line_of(const Source *src, int offset)
{
    int low = 0, high = src->line_count;
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        if (src->line_starts[middle] <= offset)
            low = middle;
        else
            high = middle;
    }
    return low;
}

void source_position(const Source *src, int offset, int *line, int *column)
{
    offset = offset < 0 ? 0 : offset > src->length ? src->length : offset;
    int l = line_of(src, offset);
    *line = l + 1;
    *column = 1;
    for (int i = src->line_starts[l]; i < offset; i++)
        *column += ((unsigned char)src->text[i] & 0xC0) != 0x80; /* not a continuation byte */
}

Span span_join(Span a, Span b)
{
    if (a.file < 0)
        return b;
    if (b.file < 0 || b.file != a.file)
        return a;
    return (Span){a.file, a.begin < b.begin ? a.begin : b.begin, a.end > b.end ? a.end : b.end};
}
