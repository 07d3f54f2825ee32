/* Scalar expression trees: construction (each distinct expression once) and traversal. */
#include "functions/functions.h"
#include "ir/pool.h"

#include <stdlib.h>
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
           a->affine == b->affine && a->test == b->test && a->node == b->node && a->count == b->count &&
           a->function == b->function && a->args[0] == b->args[0] && a->args[1] == b->args[1] &&
           a->args[2] == b->args[2] && a->random == b->random && a->site == b->site &&
           a->scalar == b->scalar && a->buffer == b->buffer && a->local == b->local &&
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
    return known ? known : expr_unique(p, (Expr){.kind = EXPR_TEST, .type = TYPE_BOOL, .test = kind, .affine = a});
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
        p, (Expr){.kind = EXPR_RANDOM, .type = p->real, .random = kind, .site = site, .affine = element});
}

static DType scalar_type(const ExprPool *p, ScalarKind kind)
{
    switch (kind) {
    case SCALAR_FIRST:
        return TYPE_BOOL;
    case SCALAR_SUM:
    case SCALAR_EXAMPLES:
        return TYPE_F64;
    default:
        return p->real;
    }
}

const Expr *expr_scalar(ExprPool *p, ScalarKind kind, int slot)
{
    return expr_unique(p, (Expr){.kind = EXPR_SCALAR, .type = scalar_type(p, kind), .scalar = kind, .site = slot});
}

const Expr *expr_load(ExprPool *p, DType type, Buffer *b, const Affine *offset, const DataTerm *data, int count)
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
    if (dtype_is_real(a->type))
        bug("expr_cast: %s to %s", dtype_name(a->type), dtype_name(type));
    return expr_call(p, &scalar_to_real, &a);
}

bool expr_is_const(const Expr *e, double *value)
{
    if (e->kind == EXPR_CONST && value)
        *value = e->value;
    return e->kind == EXPR_CONST;
}

/* ---- traversal ------------------------------------------------------------------------------------------ */

/* What a traversal has met, by expression id. */
typedef struct Memo {
    struct MemoSlot {
        const Expr *from, *to;
    } *slots;
    int count, capacity;
    struct MemoSlot first[32]; /* most bodies need no more */
} Memo;

static void memo_init(Memo *m)
{
    memset(m, 0, sizeof *m);
    m->slots = m->first;
    m->capacity = sizeof m->first / sizeof *m->first;
}

static void memo_free(Memo *m)
{
    if (m->slots != m->first)
        free(m->slots);
}

static struct MemoSlot *memo_slot(const Memo *m, const Expr *e)
{
    unsigned mask = (unsigned)m->capacity - 1, i = (unsigned)hash_mix(0, (uint64_t)e->id) & mask;
    while (m->slots[i].from && m->slots[i].from != e)
        i = (i + 1) & mask;
    return &m->slots[i];
}

static void memo_grow(Memo *m)
{
    Memo old = *m;
    struct MemoSlot *from = old.slots == m->first ? old.first : old.slots;
    m->capacity = 2 * old.capacity;
    m->slots = calloc((size_t)m->capacity, sizeof *m->slots);
    if (!m->slots)
        die("out of memory");
    for (int i = 0; i < old.capacity; i++)
        if (from[i].from)
            *memo_slot(m, from[i].from) = from[i];
    if (from != old.first)
        free(from);
}

static void memo_put(Memo *m, const Expr *from, const Expr *to)
{
    if (2 * (m->count + 1) > m->capacity)
        memo_grow(m);
    *memo_slot(m, from) = (struct MemoSlot){from, to};
    m->count++;
}

typedef struct Mapping {
    ExprPool *pool;
    ExprMap *leaf;
    void *context;
    Memo memo;
} Mapping;

static const Expr *map_expr(Mapping *m, const Expr *e);

static const Expr *map_call(Mapping *m, const Expr *e)
{
    const Expr *args[3];
    bool changed = false;
    for (int i = 0; i < e->function->arity; i++) {
        args[i] = map_expr(m, e->args[i]);
        changed = changed || args[i] != e->args[i];
    }
    return changed ? expr_call(m->pool, e->function, args) : e;
}

static const Expr *map_access(Mapping *m, const Expr *e)
{
    Subscript subscripts[e->count + 1];
    bool changed = false;
    for (int i = 0; i < e->count; i++) {
        subscripts[i] = e->subscripts[i];
        if (!subscripts[i].data)
            continue;
        const Expr *data = map_expr(m, subscripts[i].data);
        changed = changed || data != subscripts[i].data;
        subscripts[i] = subscript_of(m->pool, data);
    }
    return changed ? expr_access(m->pool, e->node, subscripts) : e;
}

static const Expr *map_load(Mapping *m, const Expr *e)
{
    DataTerm data[e->count + 1];
    bool changed = false;
    for (int i = 0; i < e->count; i++) {
        data[i] = e->data[i];
        data[i].value = map_expr(m, data[i].value);
        changed = changed || data[i].value != e->data[i].value;
    }
    return changed ? expr_load(m->pool, e->type, e->buffer, e->affine, data, e->count) : e;
}

static const Expr *map_anew(Mapping *m, const Expr *e)
{
    switch (e->kind) {
    case EXPR_CALL:
        return map_call(m, e);
    case EXPR_ACCESS:
        return m->leaf(m->context, map_access(m, e));
    case EXPR_LOAD:
        return m->leaf(m->context, map_load(m, e));
    default:
        return m->leaf(m->context, e);
    }
}

static const Expr *map_expr(Mapping *m, const Expr *e)
{
    const Expr *known = memo_slot(&m->memo, e)->to;
    if (known)
        return known;
    const Expr *mapped = map_anew(m, e);
    memo_put(&m->memo, e, mapped);
    return mapped;
}

const Expr *expr_map(ExprPool *p, const Expr *e, ExprMap *leaf, void *context)
{
    Mapping m = {.pool = p, .leaf = leaf, .context = context};
    memo_init(&m.memo);
    const Expr *mapped = map_expr(&m, e);
    memo_free(&m.memo);
    return mapped;
}

static void visit_expr(Memo *seen, const Expr *e, ExprVisit *visit, void *context)
{
    if (memo_slot(seen, e)->from)
        return;
    memo_put(seen, e, e);
    for (int i = 0; i < 3 && e->args[i]; i++)
        visit_expr(seen, e->args[i], visit, context);
    for (int i = 0; i < e->count && e->subscripts; i++)
        if (e->subscripts[i].data)
            visit_expr(seen, e->subscripts[i].data, visit, context);
    for (int i = 0; i < e->count && e->data; i++)
        visit_expr(seen, e->data[i].value, visit, context);
    visit(context, e);
}

void expr_visit(ExprPool *p, const Expr *e, ExprVisit *visit, void *context)
{
    Memo seen;
    memo_init(&seen);
    visit_expr(&seen, e, visit, context);
    memo_free(&seen);
}

/* ---- substitution and questions ---------------------------------------------------------------------------- */

typedef struct Renaming {
    ExprPool *pool;
    const Substitution *by;
} Renaming;

static const Expr *substitute_access(const Renaming *r, const Expr *e)
{
    Subscript subscripts[e->count + 1];
    for (int i = 0; i < e->count; i++) {
        subscripts[i] = e->subscripts[i];
        if (subscripts[i].affine)
            subscripts[i].affine = affine_substitute(r->pool, subscripts[i].affine, r->by);
    }
    return expr_access(r->pool, e->node, subscripts);
}

static const Expr *substitute_leaf(void *context, const Expr *e)
{
    const Renaming *r = context;
    if (e->kind == EXPR_ACCESS)
        return substitute_access(r, e);
    if (!e->affine)
        return e;
    const Affine *a = affine_substitute(r->pool, e->affine, r->by);
    switch (e->kind) {
    case EXPR_AFFINE:
        return expr_affine(r->pool, a);
    case EXPR_TEST:
        return expr_test(r->pool, e->test, a);
    case EXPR_RANDOM:
        return expr_random(r->pool, e->random, e->site, a);
    case EXPR_LOAD:
        return expr_load(r->pool, e->type, e->buffer, a, e->data, e->count);
    default:
        return e;
    }
}

const Expr *expr_substitute(ExprPool *p, const Expr *e, const Substitution *s)
{
    Renaming r = {p, s};
    return s->count ? expr_map(p, e, substitute_leaf, &r) : e;
}

typedef struct Search {
    const Index *index;
    bool found;
} Search;

static void search_index(void *context, const Expr *e)
{
    Search *s = context;
    if (e->affine)
        s->found = s->found || affine_uses(e->affine, s->index);
    for (int i = 0; i < e->count && e->subscripts; i++)
        if (e->subscripts[i].affine)
            s->found = s->found || affine_uses(e->subscripts[i].affine, s->index);
}

bool expr_uses_index(ExprPool *p, const Expr *e, const Index *ix)
{
    Search s = {.index = ix};
    expr_visit(p, e, search_index, &s);
    return s.found;
}
