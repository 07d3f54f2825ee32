/* Scalar expression trees: their construction, each distinct expression once. */
#include "functions/functions.h"
#include "ir/pool.h"

#include <string.h>

/* ---- one pointer per expression ------------------------------------------------------------------- */

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static uint64_t expr_hash(const Expr *e)
{
    uint64_t h = hash_mix((uint64_t)e->kind << 8 | e->type, bits_of(e->value));
    h = hash_mix(h, (uint64_t)(e->affine ? e->affine->id + 1 : 0) << 8 | e->test);
    h = hash_mix(h, (uintptr_t)e->node ^ (uintptr_t)e->function ^ (uintptr_t)e->buffer);
    h = hash_mix(h, (uint64_t)e->random << 32 | (uint32_t)e->site);
    h = hash_mix(h, (uint64_t)e->scalar << 32 | (uint32_t)e->local);
    for (int i = 0; i < 3 && e->args[i]; i++)
        h = hash_mix(h, (uint64_t)e->args[i]->id);
    for (int i = 0; i < e->count && e->subscripts; i++)
        h = hash_mix(h, (uintptr_t)e->subscripts[i].affine ^ (uintptr_t)e->subscripts[i].data);
    for (int i = 0; i < e->count && e->data; i++)
        h = hash_mix(h, (uintptr_t)e->data[i].value ^ (uint64_t)e->data[i].stride);
    return h;
}

static bool same_data(const DataTerm *a, const DataTerm *b, int count)
{
    for (int i = 0; i < count; i++)
        if (a[i].value != b[i].value || a[i].stride != b[i].stride)
            return false;
    return true;
}

static bool same_subscripts(const Subscript *a, const Subscript *b, int count)
{
    for (int i = 0; i < count; i++)
        if (a[i].affine != b[i].affine || a[i].data != b[i].data)
            return false;
    return true;
}

static bool expr_equal(const void *item, const void *key)
{
    const Expr *a = item, *b = key;
    return a->kind == b->kind && a->type == b->type && bits_of(a->value) == bits_of(b->value) &&
           a->affine == b->affine && a->test == b->test && a->node == b->node &&
           a->count == b->count && a->function == b->function && a->args[0] == b->args[0] &&
           a->args[1] == b->args[1] && a->args[2] == b->args[2] && a->random == b->random &&
           a->site == b->site && a->scalar == b->scalar && a->buffer == b->buffer &&
           a->local == b->local &&
           same_subscripts(a->subscripts, b->subscripts, a->subscripts ? a->count : 0) &&
           same_data(a->data, b->data, a->data ? a->count : 0);
}

static void *copy(Arena *a, const void *from, size_t bytes)
{
    return from && bytes ? memcpy(arena_alloc(a, bytes), from, bytes) : NULL;
}

static const Expr *expr_unique(ExprPool *p, Expr key)
{
    uint64_t hash = expr_hash(&key);
    const Expr *known = hash_find(&p->exprs, hash, expr_equal, &key);
    if (known)
        return known;
    key.id = p->exprs.count;
    key.subscripts = copy(p->arena, key.subscripts, (size_t)key.count * sizeof *key.subscripts);
    key.data = copy(p->arena, key.data, (size_t)key.count * sizeof *key.data);
    const Expr *e = copy(p->arena, &key, sizeof key);
    hash_insert(p->arena, &p->exprs, hash, e);
    return e;
}

/* ---- leaves ----------------------------------------------------------------------------------------- */

const Expr *expr_const_typed(ExprPool *p, double value, DType type)
{
    if (type == TYPE_F32)
        value = (float)value;
    return expr_unique(p, (Expr){.kind = EXPR_CONST, .type = type, .value = value});
}

const Expr *expr_const(ExprPool *p, double value)
{
    return expr_const_typed(p, value, p->real);
}

const Expr *expr_affine(ExprPool *p, const Affine *a)
{
    int64_t value;
    if (affine_is_constant(a, &value))
        return expr_const_typed(p, (double)value, TYPE_I32);
    return expr_unique(p, (Expr){.kind = EXPR_AFFINE, .type = TYPE_I32, .affine = a});
}

const Expr *expr_test(ExprPool *p, TestKind kind, const Affine *a)
{
    const Expr *known = algebra_test(p, kind, &a);
    return known ? known
                 : expr_unique(
                       p, (Expr){.kind = EXPR_TEST, .type = TYPE_BOOL, .test = kind, .affine = a});
}

Subscript subscript_of(ExprPool *p, const Expr *value)
{
    if (value->kind == EXPR_AFFINE)
        return (Subscript){.affine = value->affine};
    if (value->kind == EXPR_CONST)
        return (Subscript){.affine = affine_constant(p, (int64_t)value->value)};
    return (Subscript){.data = value};
}

const Expr *expr_access(ExprPool *p, Node *n, const Subscript *subscripts)
{
    Expr e = {.kind = EXPR_ACCESS, .type = n->type, .node = n, .count = n->rank};
    e.subscripts = n->rank ? subscripts : NULL;
    return expr_unique(p, e);
}

const Expr *expr_access_identity(ExprPool *p, Node *n, Index *const *indices)
{
    Subscript *subscripts = arena_new(p->arena, Subscript, n->rank + 1);
    for (int i = 0; i < n->rank; i++)
        subscripts[i].affine = affine_index(p, indices[i]);
    return expr_access(p, n, subscripts);
}

const Expr *expr_random(ExprPool *p, RandomKind kind, int site, const Affine *element)
{
    return expr_unique(
        p,
        (Expr){
            .kind = EXPR_RANDOM, .type = p->real, .random = kind, .site = site, .affine = element});
}

static DType scalar_type(const ExprPool *p, ScalarKind kind)
{
    switch (kind) {
    case SCALAR_FIRST:
    case SCALAR_DUE:
        return TYPE_BOOL;
    default:
        return p->real;
    }
}

const Expr *expr_scalar(ExprPool *p, ScalarKind kind, int slot)
{
    return expr_unique(
        p, (Expr){.kind = EXPR_SCALAR, .type = scalar_type(p, kind), .scalar = kind, .site = slot});
}

const Expr *expr_load(ExprPool *p, DType type, Buffer *b, const Affine *offset,
                      const DataTerm *data, int count)
{
    Expr e = {.kind = EXPR_LOAD, .type = type, .buffer = b, .affine = offset, .count = count};
    e.data = count ? data : NULL;
    return expr_unique(p, e);
}

const Expr *expr_local(ExprPool *p, DType type, int local)
{
    return expr_unique(p, (Expr){.kind = EXPR_LOCAL, .type = type, .local = local});
}

/* ---- calls ------------------------------------------------------------------------------------------- */

static DType call_type(const ExprPool *p, const ScalarFunction *f, const Expr *const *args)
{
    DType types[3];
    for (int i = 0; i < f->arity; i++)
        types[i] = args[i]->type;
    int type = scalar_result_type(f, types);
    if (type < 0)
        bug("expr_call: %s does not take %s", f->name, dtype_name(types[0]));
    return f->signature == SIGNATURE_TO_REAL ? p->real : (DType)type;
}

const Expr *expr_call(ExprPool *p, const ScalarFunction *f, const Expr *const *args)
{
    DType type = call_type(p, f, args);
    const Expr *simple = algebra_simplify(p, f, args, type);
    if (simple)
        return simple;
    Expr e = {.kind = EXPR_CALL, .type = type, .function = f};
    for (int i = 0; i < f->arity; i++)
        e.args[i] = args[i];
    return expr_unique(p, e);
}

static const Expr *call2(ExprPool *p, const ScalarFunction *f, const Expr *a, const Expr *b)
{
    return expr_call(p, f, (const Expr *const[]){a, b});
}

const Expr *expr_add(ExprPool *p, const Expr *a, const Expr *b)
{
    return call2(p, &scalar_add, a, b);
}

const Expr *expr_sub(ExprPool *p, const Expr *a, const Expr *b)
{
    return call2(p, &scalar_sub, a, b);
}

const Expr *expr_mul(ExprPool *p, const Expr *a, const Expr *b)
{
    return call2(p, &scalar_mul, a, b);
}

const Expr *expr_div(ExprPool *p, const Expr *a, const Expr *b)
{
    return call2(p, &scalar_div, a, b);
}

const Expr *expr_neg(ExprPool *p, const Expr *a)
{
    return expr_call(p, &scalar_neg, &a);
}

const Expr *expr_and(ExprPool *p, const Expr *a, const Expr *b)
{
    return call2(p, &scalar_and, a, b);
}

const Expr *expr_not(ExprPool *p, const Expr *a)
{
    return expr_call(p, &scalar_not, &a);
}

const Expr *expr_select(ExprPool *p, const Expr *condition, const Expr *yes, const Expr *no)
{
    return expr_call(p, &scalar_select, (const Expr *const[]){condition, yes, no});
}

/* Small integers are computed as i32, so u8 to i32 is no cast. */
const Expr *expr_cast(ExprPool *p, const Expr *a, DType type)
{
    if (a->type == type || (dtype_is_integer(a->type) && dtype_is_integer(type)))
        return a;
    if (type == TYPE_BOOL)
        return call2(p, &scalar_ne, a, expr_const_typed(p, 0, a->type));
    if (dtype_is_integer(type))
        return expr_call(p, &scalar_to_integer, &a);
    if (dtype_is_real(a->type) && type != p->real)
        bug("expr_cast: %s to %s", dtype_name(a->type), dtype_name(type));
    return expr_call(p, &scalar_to_real, &a);
}

bool expr_is_const(const Expr *e, double *value)
{
    if (e->kind == EXPR_CONST && value)
        *value = e->value;
    return e->kind == EXPR_CONST;
}

bool expr_is_zero(const Expr *e)
{
    return e->kind == EXPR_CONST && e->value == 0;
}
