/* Scalar expression trees: mapping, visiting and substitution, each shared subtree once. */
#include "functions/functions.h"
#include "ir/pool.h"

#include <stdlib.h>
#include <string.h>

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
    ExprMap *leaf, *call; /* NULL: as it is */
    void *context;
    Memo memo;
} Mapping;

static const Expr *map_expr(Mapping *m, const Expr *e);

static const Expr *map_call(Mapping *m, const Expr *e)
{
    const Expr *instead = m->call ? m->call(m->context, e) : e;
    if (instead != e)
        return map_expr(m, instead);
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

static const Expr *map_leaf(Mapping *m, const Expr *e)
{
    return m->leaf ? m->leaf(m->context, e) : e;
}

static const Expr *map_anew(Mapping *m, const Expr *e)
{
    switch (e->kind) {
    case EXPR_CALL:
        return map_call(m, e);
    case EXPR_ACCESS:
        return map_leaf(m, map_access(m, e));
    case EXPR_LOAD:
        return map_leaf(m, map_load(m, e));
    default:
        return map_leaf(m, e);
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
    return expr_map_calls(p, e, leaf, NULL, context);
}

const Expr *expr_map_calls(ExprPool *p, const Expr *e, ExprMap *leaf, ExprMap *call, void *context)
{
    Mapping m = {.pool = p, .leaf = leaf, .call = call, .context = context};
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

bool expr_is_uniform(const Expr *e)
{
    if (e->kind != EXPR_CALL)
        return e->kind == EXPR_CONST || e->kind == EXPR_SCALAR;
    for (int i = 0; i < e->function->arity; i++)
        if (!expr_is_uniform(e->args[i]))
            return false;
    return true;
}
