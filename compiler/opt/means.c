/* Rewrites of nodes around means: deviations from a mean, and sums that are only scaled. */
#include "opt/opt.h"

/* ---- sum[k] (x[k] - mean[k] x[k]) is 0 ------------------------------------------------------------------- */

/* The body of `sum`, read through `mean`, an access in n to its mean, with n's own bound indices; NULL
 * where they do not run alike. */
static const Expr *terms_of_mean(Rewriter *w, const Node *n, const Expr *mean, const Node *sum)
{
    int rank = sum->rank, count = rank + sum->bound_count;
    Index **from = arena_new(w->g->arena, Index *, count + 1);
    const Affine **to = arena_new(w->g->arena, const Affine *, count + 1);
    if (n->bound_count != sum->bound_count)
        return NULL;
    for (int i = 0; i < count; i++) {
        from[i] = i < rank ? sum->domain[i] : sum->bound[i - rank];
        to[i] = i < rank ? mean->subscripts[i].affine : affine_index(w->p, n->bound[i - rank]);
        if (!to[i] || (i >= rank && !extents_equal(from[i], n->bound[i - rank])))
            return NULL;
    }
    return expr_substitute(w->p, sum->body, &(Substitution){count, from, to});
}

/* Is `mean` the mean of x over all that n sums over? */
static bool is_mean_of(Rewriter *w, const Node *n, const Expr *mean, const Expr *x)
{
    const Node *sum;
    return mean->kind == EXPR_ACCESS && node_mean(mean->node, &sum) == MEAN_OF_ALL &&
           !opt_uses_any(w->p, mean, n->bound, n->bound_count) &&
           terms_of_mean(w, n, mean, sum) == x;
}

bool opt_deviations_cancel(Rewriter *w, Node *n)
{
    if (n->reduction != &reduce_sum || !opt_is_call(n->body, &scalar_sub) ||
        !dtype_is_real(n->type))
        return false;
    const Expr *a = n->body->args[0], *b = n->body->args[1];
    if (!is_mean_of(w, n, b, a) && !is_mean_of(w, n, a, b))
        return false;
    n->body = expr_const_typed(w->p, 0, n->type);
    n->reduction = NULL;
    n->bound_count = 0;
    return true;
}

/* ---- c * y, where nothing else reads y ---------------------------------------------------------------------- */

/* The node without reduction that only e, at the indices of n, reads. */
static const Node *own_operand(Rewriter *w, const Node *n, const Expr *e)
{
    const Node *y = e->kind == EXPR_ACCESS ? e->node : NULL;
    bool own = y && y->kind == NODE_COMPUTE && !y->reduction && !y->named && y->id < w->counted &&
               w->uses[y->id] == 1 && y->rank == n->rank;
    for (int i = 0; own && i < n->rank; i++)
        own = e->subscripts[i].affine && affine_is_index(e->subscripts[i].affine) == n->domain[i] &&
              extents_equal(n->domain[i], y->domain[i]);
    return own ? y : NULL;
}

/* y, a product itself, is written where it is scaled. */
bool opt_scaled_copy(Rewriter *w, Node *n)
{
    bool times = opt_is_call(n->body, &scalar_mul), over = opt_is_call(n->body, &scalar_div);
    if (n->reduction || (!times && !over) || !dtype_is_real(n->type))
        return false;
    for (int i = 0; i < (times ? 2 : 1); i++) {
        const Node *y =
            expr_is_uniform(n->body->args[1 - i]) ? own_operand(w, n, n->body->args[i]) : NULL;
        if (!y || !opt_is_product(y->body))
            continue;
        const Expr *args[2] = {n->body->args[0], n->body->args[1]};
        args[i] = opt_body_at(w, n->body->args[i]);
        n->body = expr_call(w->p, n->body->function, args);
        return true;
    }
    return false;
}
