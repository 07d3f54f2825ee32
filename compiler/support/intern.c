/* One pointer per spelling: names compare by address everywhere above this floor.
 * An open-addressing table of strings that live in the arena. */
#include "support/support.h"

#include <string.h>

struct Interner {
    Arena *arena;
    const char **slots; /* capacity is a power of two */
    size_t capacity, count;
};

Interner *interner_create(Arena *a)
{
    Interner *in = arena_new(a, Interner, 1);
    in->arena = a;
    in->capacity = 256;
    in->slots = arena_new(a, const char *, in->capacity);
    return in;
}

/* FNV-1a. */
static size_t hash_bytes(const char *s, size_t length)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < length; i++)
        h = (h ^ (unsigned char)s[i]) * 1099511628211u;
    return (size_t)(h ^ h >> 32);
}

static const char **find_slot(const Interner *in, const char *text, size_t length)
{
    size_t mask = in->capacity - 1;
    for (size_t i = hash_bytes(text, length) & mask;; i = (i + 1) & mask) {
        const char *s = in->slots[i];
        if (!s || (strncmp(s, text, length) == 0 && s[length] == '\0'))
            return &in->slots[i];
    }
}

static void grow(Interner *in)
{
    const char **old = in->slots;
    size_t old_capacity = in->capacity;
    in->capacity *= 2;
    in->slots = arena_new(in->arena, const char *, in->capacity);
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i])
            *find_slot(in, old[i], strlen(old[i])) = old[i];
}

const char *intern_n(Interner *in, const char *text, size_t length)
{
    length = strnlen(text, length); /* a name ends at a NUL, wherever it came from */
    const char **slot = find_slot(in, text, length);
    if (*slot)
        return *slot;
    char *copy = arena_alloc(in->arena, length + 1);
    memcpy(copy, text, length);
    *slot = copy;
    if (++in->count * 2 > in->capacity)
        grow(in);
    return copy;
}

const char *intern(Interner *in, const char *text)
{
    return intern_n(in, text, strlen(text));
}
