/* Each kind of reduction has its own way to route the cotangent of its result to its body. */
#include "functions/functions.h"
#include "grad/internal.h"

#include <string.h>

/* The position among the bound indices as a number, as argmax counts it. */
static const Affine *position(ExprPool *p, Index *const *bound, int count)
{
    const Affine *a = affine_constant(p, 0);
    for (int i = 0; i < count; i++)
        a = affine_add(p, affine_scale(p, a, bound[i]->extent), affine_index(p, bound[i]));
    return a;
}

/* An index over the batch comes first, or the position would depend on how many examples there are. */
static Index **batch_first(Graph *g, Index *const *indices, int count)
{
    Index **out = arena_new(g->arena, Index *, count + 1);
    int n = 0;
    for (int i = 0; i < count; i++)
        if (indices[i]->per_example)
            out[n++] = indices[i];
    for (int i = 0; i < count; i++)
        if (!indices[i]->per_example)
            out[n++] = indices[i];
    return out;
}

/* max, min: to the first that reaches it. */
static const Expr *route_to_winner(Reverse *r, const Node *y, const Expr *ct,
                                   const Reduction *finder)
{
    Graph *g = r->g;
    Index **bound = batch_first(g, y->bound, y->bound_count);
    Node *winner =
        adjoint_node(g, y, arena_format(g->arena, "%s_of_%s", finder->name, y->name), TYPE_I32,
                     y->domain, y->rank, finder, bound, y->bound_count, y->body);
    const Expr *sides[2] = {expr_access_identity(r->p, winner, y->domain),
                            expr_affine(r->p, position(r->p, bound, y->bound_count))};
    return expr_select(r->p, expr_call(r->p, &scalar_eq, sides), ct, expr_const(r->p, 0));
}

/* prod: times the product of all others, which is right where some are zero. */
static const Expr *times_others(Reverse *r, const Node *y, const Expr *ct)
{
    Graph *g = r->g;
    int rank = y->rank + y->bound_count;
    Index **all = arena_new(g->arena, Index *, rank + 1);
    memcpy(all, y->domain, sizeof *all * (size_t)y->rank);
    memcpy(all + y->rank, y->bound, sizeof *all * (size_t)y->bound_count);
    all = batch_first(g, all, rank);
    Index **other = index_copies(g->pool, y->bound, y->bound_count);
    const Expr *same = NULL;
    for (int i = 0; i < y->bound_count; i++) {
        other[i]->name = intern(g->names, arena_format(g->arena, "%s_other", other[i]->name));
        const Affine *gap =
            affine_sub(r->p, affine_index(r->p, other[i]), affine_index(r->p, y->bound[i]));
        const Expr *test = expr_test(r->p, TEST_ZERO, gap);
        same = same ? expr_and(r->p, same, test) : test;
    }
    const Expr *factor = rename_indices(g, y->body, y->bound, other, y->bound_count);
    const Expr *body = expr_select(r->p, same, expr_const(r->p, 1), factor);
    Node *others = adjoint_node(g, y, arena_format(g->arena, "others_of_%s", y->name), y->type, all,
                                rank, &reduce_prod, other, y->bound_count, body);
    return expr_mul(r->p, ct, expr_access_identity(r->p, others, all));
}

const Expr *cotangent_of_body(Reverse *r, const Node *y, const Expr *ct)
{
    if (!y->reduction || y->reduction == &reduce_sum)
        return ct;
    if (y->reduction == &reduce_max)
        return route_to_winner(r, y, ct, &reduce_argmax);
    if (y->reduction == &reduce_min)
        return route_to_winner(r, y, ct, &reduce_argmin);
    if (y->reduction == &reduce_prod)
        return times_others(r, y, ct);
    bug("no derivative of the reduction %s in %s", y->reduction->name, y->name);
}
