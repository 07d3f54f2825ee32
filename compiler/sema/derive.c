/* Derivatives as expressions: grad(y, x) and jvp(y, x, v), to any order. */
#include "grad/grad.h"
#include "sema/internal.h"

/* y per example by x per example: other examples' y do not depend on this one's x, so that the
 * derivative of the sum over the batch is each example's own. */
static bool fit_to_derive(Sema *s, const Node *y, const Node *x, Span at, const Value *of)
{
    if (of->rank != 0 || !dtype_is_real(y->type)) {
        diag_error(s->diag, of->span, "`grad` differentiates one real number, found %s", value_describe(s, of));
        diag_help(s->diag, "take one element, y[0], or a sum: sum[i] y[i]");
        return false;
    }
    if (!dtype_is_real(x->type)) {
        diag_error(s->diag, at, "there is no derivative by whole numbers (%s)", dtype_name(x->type));
        diag_help(s->diag, "convert first, x = f32(raw), and differentiate by x");
        return false;
    }
    if (node_is_batched(y) && !node_is_batched(x)) {
        diag_error(s->diag, at, "the derivative by a tensor shared by all examples is one for each example");
        diag_help(s->diag, "average what you differentiate: grad(mean[batch] y, x)");
        return false;
    }
    return true;
}

static Value *zeros_like(Sema *s, const Value *x, Span span)
{
    Index **dims = arena_new(s->arena, Index *, x->rank + 1);
    for (int i = 0; i < x->rank; i++)
        dims[i] = index_copy(s->program->pool, value_dimension(x, i));
    return value_expr(s, expr_const(s->program->pool, 0), dims, x->rank, span);
}

/* grad(y, x): the derivative of the number y by every element of x. */
Value *apply_grad(Sema *s, Value **args, const char *const *names, int count, Span span)
{
    if (args[1]->kind != VALUE_TENSOR || !args[1]->node) {
        diag_error(s->diag, args[1]->span, "`grad` needs a variable that y was computed from, found %s",
                   value_describe(s, args[1]));
        return NULL;
    }
    Node *y = value_to_node(s, args[0], "y"), *x = args[1]->node, *out = NULL;
    if (!y || !fit_to_derive(s, y, x, args[1]->span, args[0]))
        return NULL;
    const Seed seed = {y, expr_const(s->program->pool, 1)};
    grad_cotangents(s->graph, &seed, 1, &x, 1, &out);
    Value *v = out ? value_node(s, out, span) : zeros_like(s, args[1], span);
    v->hint = arena_format(s->arena, "d_%s_by_%s", y->name, x->name);
    return v;
}

/* jvp(y, x, v): the derivative of y when x moves along v, which has x's shape. */
Value *apply_jvp(Sema *s, Value **args, const char *const *names, int count, Span span)
{
    Value *slope = apply_grad(s, args, names, 2, span);
    Value *product = slope ? apply_function(s, &scalar_mul, (Value *[]){slope, args[2]}, span) : NULL;
    if (!product || product->rank == 0)
        return product;
    Node *sum = make_node(s, "jvp", product->expr, NULL, 0, &reduce_sum, product->dims, product->rank, span);
    return value_node(s, sum, span);
}
