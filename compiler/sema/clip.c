/* Clipping: gradients held at or below a size, element by element or as one vector. */
#include "sema/internal.h"

/* ---- which limit, and of which parameters together --------------------------------------------------- */

/* What a group says of itself goes before what the train block says. */
static const Expr *limit(Sema *s, const Group *g, double own, double common, const char *name)
{
    const char *prefix = own > 0 ? group_prefix(s, g) : NULL;
    const char *hyper = prefix ? arena_format(s->arena, "%s.%s", prefix, name) : name;
    return access_node(s, hyper_node(s, hyper, own > 0 ? own : common), NULL, 0);
}

/* One vector: the parameters of a group that has a norm of its own, or all others of one loss. */
static bool share_norm(Sema *s, const Tensor *a, const Tensor *b)
{
    const Group *of_a = group_of(s, a), *of_b = group_of(s, b);
    if (of_a->clip.norm > 0 || of_b->clip.norm > 0)
        return of_a == of_b;
    return of_a->loss == of_b->loss;
}

/* ---- by value ------------------------------------------------------------------------------------------ */

static Node *clip_value(Sema *s, Node *gradient, const Tensor *w)
{
    ExprPool *p = s->program->pool;
    const Group *g = group_of(s, w);
    if (g->clip.value <= 0 && s->clip.value <= 0)
        return gradient;
    Index **dims = tensor_indices(s, w);
    const Expr *most = limit(s, g, g->clip.value, s->clip.value, "clip_value");
    const Expr *above[2] = {access_node(s, gradient, dims, w->rank), expr_neg(p, most)};
    const Expr *below[2] = {expr_call(p, &scalar_max, above), most};
    return make_node(s, arena_format(s->arena, "%s_clipped", w->name),
                     expr_call(p, &scalar_min, below), dims, w->rank, NULL, NULL, 0, w->span);
}

/* ---- by norm ------------------------------------------------------------------------------------------- */

static const Expr *squared_norm(Sema *s, Node *g, const Tensor *t)
{
    Index **dims = tensor_indices(s, t);
    const Expr *e = access_node(s, g, dims, t->rank);
    Node *n =
        make_node(s, arena_format(s->arena, "%s_square", t->name), expr_mul(s->program->pool, e, e),
                  NULL, 0, t->rank ? &reduce_sum : NULL, dims, t->rank, t->span);
    return access_node(s, n, NULL, 0);
}

/* min(1, clip_norm / (norm + 1e-6)), as PyTorch's clip_grad_norm_ has it. */
static const Expr *clip_factor(Sema *s, const Expr *squares, const Expr *most)
{
    ExprPool *p = s->program->pool;
    const Expr *root = expr_call(p, &scalar_sqrt, &squares);
    const Expr *args[2] = {expr_const(p, 1),
                           expr_div(p, most, expr_add(p, root, expr_const(p, 1e-6)))};
    Node *n = make_node(s, "clip", expr_call(p, &scalar_min, args), NULL, 0, NULL, NULL, 0,
                        s->train->span);
    return access_node(s, n, NULL, 0);
}

static Node *scaled(Sema *s, Node *gradient, const Tensor *w, const Expr *factor)
{
    Index **dims = tensor_indices(s, w);
    const Expr *e = expr_mul(s->program->pool, access_node(s, gradient, dims, w->rank), factor);
    return make_node(s, arena_format(s->arena, "%s_clipped", w->name), e, dims, w->rank, NULL, NULL,
                     0, w->span);
}

/* The first of a vector's parameters does it for all. */
static void clip_norm(Sema *s, Node **gradients, Tensor **weights, int first, int count)
{
    const Group *g = group_of(s, weights[first]);
    if (g->clip.norm <= 0 && s->clip.norm <= 0)
        return;
    for (int i = 0; i < first; i++)
        if (share_norm(s, weights[i], weights[first]))
            return;
    const Expr *sum = expr_const(s->program->pool, 0);
    for (int i = first; i < count; i++)
        if (share_norm(s, weights[i], weights[first]))
            sum = expr_add(s->program->pool, sum, squared_norm(s, gradients[i], weights[i]));
    const Expr *factor = clip_factor(s, sum, limit(s, g, g->clip.norm, s->clip.norm, "clip_norm"));
    for (int i = first; i < count; i++)
        if (share_norm(s, weights[i], weights[first]))
            gradients[i] = scaled(s, gradients[i], weights[i], factor);
}

void clip_gradients(Sema *s, Node **gradients, Tensor **weights, int count)
{
    for (int i = 0; i < count; i++)
        gradients[i] = clip_value(s, gradients[i], weights[i]);
    for (int i = 0; i < count; i++)
        clip_norm(s, gradients, weights, i, count);
}
