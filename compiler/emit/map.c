/* A hash map from pointers to pointers: open addressing, cleared in one stroke. */
#include "emit/internal.h"

#include <string.h>

enum { START = 64 };

void map_init(PointerMap *m, Arena *a)
{
    *m = (PointerMap){.arena = a, .capacity = START};
    m->keys = arena_new(a, const void *, START);
    m->values = arena_new(a, void *, START);
}

void map_clear(PointerMap *m)
{
    if (m->count)
        memset(m->keys, 0, sizeof *m->keys * (size_t)m->capacity);
    m->count = 0;
}

static int slot_of(const PointerMap *m, const void *key)
{
    uint64_t hash = (uint64_t)(uintptr_t)key * 0x9E3779B97F4A7C15u;
    int at = (int)(hash >> 32) & (m->capacity - 1);
    while (m->keys[at] && m->keys[at] != key)
        at = (at + 1) & (m->capacity - 1);
    return at;
}

void *map_get(const PointerMap *m, const void *key)
{
    int at = slot_of(m, key);
    return m->keys[at] ? m->values[at] : NULL;
}

static void grow(PointerMap *m)
{
    PointerMap larger = {.arena = m->arena, .capacity = m->capacity * 2};
    larger.keys = arena_new(m->arena, const void *, larger.capacity);
    larger.values = arena_new(m->arena, void *, larger.capacity);
    for (int i = 0; i < m->capacity; i++)
        if (m->keys[i])
            map_set(&larger, m->keys[i], m->values[i]);
    *m = larger;
}

void map_set(PointerMap *m, const void *key, void *value)
{
    if (m->count * 2 >= m->capacity)
        grow(m);
    int at = slot_of(m, key);
    m->count += !m->keys[at];
    m->keys[at] = key;
    m->values[at] = value;
}
