/* What the files of this floor share: the pool in which equal expressions are one pointer. */
#ifndef GRADC_IR_POOL_H
#define GRADC_IR_POOL_H

#include "ir/ir.h"

/* A set of pointers by hash (open addressing). */
typedef struct HashSet {
    struct HashSlot {
        uint64_t hash;
        const void *item; /* NULL: free */
    } *slots;
    int count, capacity;
} HashSet;

typedef bool HashEqual(const void *item, const void *key);

struct ExprPool {
    Arena *arena;
    DType real;
    int index_count;
    HashSet affines, exprs;
};

/* ---- pool.c ------------------------------------------------------------------------------------ */

uint64_t hash_mix(uint64_t hash, uint64_t value);
const void *hash_find(const HashSet *set, uint64_t hash, HashEqual *equal, const void *key);
void hash_insert(Arena *a, HashSet *set, uint64_t hash, const void *item);

/* ---- index.c ----------------------------------------------------------------------------------- */

/* a + factor * b */
const Affine *affine_add_scaled(ExprPool *p, const Affine *a, const Affine *b, int64_t factor);
/* The parts of a / divisor and a % divisor without the divisor's multiples: a = whole * divisor + rest,
 * the constant of `rest` within 0 … divisor-1. */
void affine_split(ExprPool *p, const Affine *a, int64_t divisor, const Affine **whole,
                  const Affine **rest);

/* ---- algebra.c --------------------------------------------------------------------------------- */

/* A simpler expression equal to f(args), or NULL. */
const Expr *algebra_simplify(ExprPool *p, const ScalarFunction *f, const Expr *const *args,
                             DType type);
/* A condition on indices in its simplest form: a truth, or a test without common factors. */
const Expr *algebra_test(ExprPool *p, TestKind kind, const Affine **a);

#endif
