/* Nodes out of expressions: each node owns its indices, the batch index first where it is used. */
#include "sema/internal.h"

#include <string.h>

/* Unique, legal as a variable of the printed text: a layer's path with underscores. */
static const char *plain_name(Sema *s, const char *name)
{
    char *copy = arena_format(s->arena, "%s", name ? name : "t");
    for (char *c = copy; *c; c++)
        if (*c == '.')
            *c = '_';
    return intern(s->names, copy);
}

void node_rename(Sema *s, Node *n, const char *name)
{
    graph_rename(s->graph, n, plain_name(s, name));
}

typedef struct Coordinate {
    Sema *sema;
    const Affine *element;
} Coordinate;

/* A random draw belongs to the element it is made for. */
static const Expr *place_random(void *context, const Expr *e)
{
    const Coordinate *c = context;
    const Sema *s = c->sema;
    if (e->kind != EXPR_RANDOM ||
        !(affine_uses(e->affine, s->element) || affine_uses(e->affine, s->element_batched)))
        return e;
    return expr_random(s->program->pool, e->random, e->site, c->element);
}

static const Affine *linear_coordinate(ExprPool *p, Index *const *a, int a_count, Index *const *b, int b_count)
{
    const Affine *sum = affine_constant(p, 0);
    for (int i = 0; i < a_count + b_count; i++) {
        Index *ix = i < a_count ? a[i] : b[i - a_count];
        sum = affine_add(p, affine_scale(p, sum, ix->extent), affine_index(p, ix));
    }
    return sum;
}

static void copy_indices(ExprPool *p, Index *const *from, int count, Index **to, Index **keys, const Affine **values)
{
    for (int i = 0; i < count; i++) {
        to[i] = index_copy(p, from[i]);
        keys[i] = from[i];
        values[i] = affine_index(p, to[i]);
    }
}

Node *make_node(Sema *s, const char *name, const Expr *body, Index *const *dims, int rank,
                const Reduction *r, Index *const *bound, int bound_count, Span span)
{
    ExprPool *p = s->program->pool;
    const int total = rank + bound_count + 1;
    Index **domain = arena_new(s->arena, Index *, total), **bound_copy = arena_new(s->arena, Index *, total);
    Index **keys = arena_new(s->arena, Index *, total);
    const Affine **values = arena_new(s->arena, const Affine *, total);

    bool bound_batch = false;
    for (int i = 0; i < bound_count; i++)
        bound_batch = bound_batch || bound[i] == s->batch;
    const bool batched = !bound_batch && (expr_uses_index(p, body, s->batch) ||
                                          expr_uses_index(p, body, s->element_batched));
    if (batched)
        copy_indices(p, &s->batch, 1, domain, keys, values);
    copy_indices(p, dims, rank, domain + batched, keys + batched, values + batched);
    copy_indices(p, bound, bound_count, bound_copy, keys + batched + rank, values + batched + rank);
    const Substitution sub = {batched + rank + bound_count, keys, values};
    Coordinate c = {s, linear_coordinate(p, domain, batched + rank, bound_copy, bound_count)};
    body = expr_map(p, expr_substitute(p, body, &sub), place_random, &c);
    const DType type = r && r->position ? TYPE_I32 : body->type;
    Node *n = graph_compute(s->graph, plain_name(s, name), type, domain, batched + rank, r, bound_copy,
                            bound_count, body, span);
    n->layer = s->frame ? s->frame->path : "";
    return n;
}

const Expr *access_node(Sema *s, Node *n, Index *const *dims, int rank)
{
    ExprPool *p = s->program->pool;
    Index **all = arena_new(s->arena, Index *, rank + 1);
    const bool batched = node_is_batched(n);
    all[0] = s->batch;
    memcpy(all + batched, dims ? dims : all, sizeof(Index *) * (size_t)rank);
    return expr_access_identity(p, n, all);
}

typedef struct ScalarSearch {
    ScalarKind kind;
    bool found;
} ScalarSearch;

static void look_for_scalar(void *context, const Expr *e)
{
    ScalarSearch *search = context;
    search->found = search->found || (e->kind == EXPR_SCALAR && e->scalar == search->kind);
}

bool expr_has_scalar(Sema *s, const Expr *e, ScalarKind kind)
{
    ScalarSearch search = {kind, false};
    expr_visit(s->program->pool, e, look_for_scalar, &search);
    return search.found;
}
