/* The pool of expressions, and the hash sets it rests on. */
#include "ir/pool.h"

enum { FIRST_CAPACITY = 256 };

ExprPool *expr_pool_create(Arena *a, DType real)
{
    ExprPool *p = arena_new(a, ExprPool, 1);
    p->arena = a;
    p->real = real;
    return p;
}

Arena *expr_pool_arena(const ExprPool *p)
{
    return p->arena;
}

DType expr_pool_real(const ExprPool *p)
{
    return p->real;
}

/* The finalizer of splitmix64. */
uint64_t hash_mix(uint64_t hash, uint64_t value)
{
    uint64_t z = hash * 31 + value + 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

const void *hash_find(const HashSet *set, uint64_t hash, HashEqual *equal, const void *key)
{
    if (!set->capacity)
        return NULL;
    uint64_t mask = (uint64_t)set->capacity - 1;
    for (uint64_t i = hash & mask; set->slots[i].item; i = (i + 1) & mask)
        if (set->slots[i].hash == hash && equal(set->slots[i].item, key))
            return set->slots[i].item;
    return NULL;
}

static void place(HashSet *set, uint64_t hash, const void *item)
{
    uint64_t mask = (uint64_t)set->capacity - 1, i = hash & mask;
    while (set->slots[i].item)
        i = (i + 1) & mask;
    set->slots[i] = (struct HashSlot){hash, item};
}

static void grow(Arena *a, HashSet *set)
{
    HashSet old = *set;
    set->capacity = old.capacity ? 2 * old.capacity : FIRST_CAPACITY;
    set->slots = arena_new(a, struct HashSlot, set->capacity);
    for (int i = 0; i < old.capacity; i++)
        if (old.slots[i].item)
            place(set, old.slots[i].hash, old.slots[i].item);
}

void hash_insert(Arena *a, HashSet *set, uint64_t hash, const void *item)
{
    if (2 * (set->count + 1) > set->capacity)
        grow(a, set);
    place(set, hash, item);
    set->count++;
}
