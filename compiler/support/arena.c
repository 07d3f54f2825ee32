/* Bump allocation: one chain of zeroed blocks, freed together when the compilation ends.
 * Also the two ways out of the program that need no place in a source: die and bug. */
#include "support/support.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 1 << 16, ALIGNMENT = 16 };

typedef struct Block {
    struct Block *next;
    size_t used, capacity;
    _Alignas(ALIGNMENT) char bytes[];
} Block;

struct Arena {
    Block *blocks; /* the first one is the one being filled */
};

static Block *block_create(size_t capacity)
{
    Block *b = calloc(1, sizeof(Block) + capacity);
    if (!b)
        die("out of memory: %zu more bytes were needed", capacity);
    b->capacity = capacity;
    return b;
}

Arena *arena_create(void)
{
    Arena *a = calloc(1, sizeof *a);
    if (!a)
        die("out of memory");
    a->blocks = block_create(BLOCK_BYTES);
    return a;
}

void arena_destroy(Arena *a)
{
    if (!a)
        return;
    for (Block *b = a->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(a);
}

/* A large request gets a block of its own behind the current one, whose rest stays usable. */
static void *alloc_alone(Arena *a, size_t bytes)
{
    Block *b = block_create(bytes);
    b->used = bytes;
    b->next = a->blocks->next;
    a->blocks->next = b;
    return b->bytes;
}

void *arena_alloc(Arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        die("out of memory: %zu bytes were asked for", bytes);
    bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (bytes > BLOCK_BYTES / 4)
        return alloc_alone(a, bytes);
    if (a->blocks->capacity - a->blocks->used < bytes) {
        Block *b = block_create(BLOCK_BYTES);
        b->next = a->blocks;
        a->blocks = b;
    }
    void *p = a->blocks->bytes + a->blocks->used;
    a->blocks->used += bytes;
    return p;
}

char *arena_vformat(Arena *a, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    if (length < 0)
        bug("cannot format `%s`", format);
    char *s = arena_alloc(a, (size_t)length + 1);
    vsnprintf(s, (size_t)length + 1, format, again);
    va_end(again);
    return s;
}

char *arena_format(Arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *s = arena_vformat(a, format, args);
    va_end(args);
    return s;
}

void *vec_grow(Arena *a, void *data, int *capacity, size_t item_size)
{
    if (*capacity > INT32_MAX / 2)
        die("out of memory: a list grew past %d items", *capacity);
    int bigger = *capacity ? *capacity * 2 : 4;
    void *grown = arena_alloc(a, (size_t)bigger * item_size);
    if (data)
        memcpy(grown, data, (size_t)*capacity * item_size);
    *capacity = bigger;
    return grown;
}

void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("gradc: error: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

void bug_at(const char *file, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "gradc: a mistake in the compiler, at %s:%d: ", file, line);
    vfprintf(stderr, format, args);
    fputs("\nplease report it together with the .nn file\n", stderr);
    va_end(args);
    abort();
}
