/* Derivatives as expressions: grad(y, x) and jvp(y, x, v), to any order. */
#include "grad/grad.h"
#include "sema/internal.h"

static bool is_stepped(const Node *n)
{
    return node_understood(n) > node_is_batched(n);
}

/* y per example by x per example: other examples' y do not depend on this one's x, so that the
 * derivative of the sum over the batch is each example's own. */
static bool fit_to_derive(Sema *s, const Node *y, const Node *x, Span at, const Value *of)
{
    if (of->rank != 0 || !dtype_is_real(y->type)) {
        diag_error(s->diag, of->span, "`grad` differentiates one real number, found %s",
                   value_describe(s, of));
        diag_help(s->diag, "take one element, y[0], or a sum: sum[i] y[i]");
        return false;
    }
    if (!dtype_is_real(x->type)) {
        diag_error(s->diag, at, "there is no derivative by whole numbers (%s)",
                   dtype_name(x->type));
        diag_help(s->diag, "convert first, x = f32(raw), and differentiate by x");
        return false;
    }
    if (is_stepped(y) && !is_stepped(x)) {
        diag_error(s->diag, at,
                   "the derivative by a tensor shared by all steps of a scan is one for each step");
        diag_help(s->diag, "differentiate by what this step reads of it: now[i] = x[t, i], "
                           "grad(y, now); or after the scan");
        return false;
    }
    if (node_is_batched(y) && !node_is_batched(x)) {
        diag_error(s->diag, at,
                   "the derivative by a tensor shared by all examples is one for each example");
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

/* Of what a scan made, the part that belongs to its last step, as `of` is read. */
static Value *at_last_step(Sema *s, const Value *of, Node *all)
{
    Value *v = value_expr(s, expr_access(s->program->pool, all, of->expr->subscripts), of->dims,
                          of->rank, of->span);
    v->batch = of->batch;
    return value_here(s, v);
}

/* grad(y, x): the derivative of the number y by every element of x. */
Value *apply_grad(Sema *s, Value **args, const char *const *names, int count, Span span)
{
    Value *by = args[1];
    if (by->kind != VALUE_TENSOR || (!by->node && !by->steps)) {
        diag_error(s->diag, args[1]->span,
                   "`grad` needs a variable that y was computed from, found %s",
                   value_describe(s, args[1]));
        return NULL;
    }
    Node *y = value_to_node(s, args[0], "y"), *x = by->steps ? by->steps : by->node, *out = NULL;
    if (!y || !fit_to_derive(s, y, x, args[1]->span, args[0]))
        return NULL;
    const Seed seed = {y, expr_const(s->program->pool, 1)};
    grad_cotangents(s->graph, &seed, 1, &x, 1, &out);
    Wall wall;
    if (!out && grad_blocked(s->graph, &y, 1, x, &wall)) {
        diag_warning(s->diag, span, "this derivative is 0 everywhere");
        grad_note_wall(s->diag, &wall);
    }
    Value *v = !out        ? zeros_like(s, by, span)
               : by->steps ? at_last_step(s, by, out)
                           : value_node(s, out, span);
    v->hint = arena_format(s->arena, "d_%s_by_%s", y->name, x->name);
    return v;
}

/* jvp(y, x, v): the derivative of y when x moves along v, which has x's shape. */
Value *apply_jvp(Sema *s, Value **args, const char *const *names, int count, Span span)
{
    Value *slope = apply_grad(s, args, names, 2, span);
    Value *product =
        slope ? apply_function(s, &scalar_mul, (Value *[]){slope, args[2]}, span) : NULL;
    if (!product || product->rank == 0)
        return product;
    Node *sum = make_node(s, "jvp", product->expr, NULL, 0, &reduce_sum, product->dims,
                          product->rank, span);
    return value_node(s, sum, span);
}

/* ---- a derivative of one's own ------------------------------------------------------------------------- */

/* The expression's example and step are those of y. */
static const Expr *at_own_indices(Sema *s, const Node *y, const Expr *e)
{
    ExprPool *p = s->program->pool;
    Index *from[MOST_UNDERSTOOD];
    const Affine *to[MOST_UNDERSTOOD];
    const int count = understood_subscripts(s, y, s->batch, from);
    for (int i = 0; i < count; i++)
        to[i] = affine_index(p, y->domain[i]);
    return expr_substitute(p, e, &(Substitution){count, from, to});
}

/* A tensor parameter of the result's shape, or a number, as it is at one element of the result. */
static const Expr *at_element(Sema *s, const Ast *param, Value *v, const Node *y)
{
    const int understood = node_understood(y);
    Node *n = value_to_node(s, v, param->name);
    bool same = n && v->rank == y->rank - understood;
    for (int i = 0; same && i < v->rank; i++)
        same = value_dimension(v, i)->extent == y->domain[understood + i]->extent;
    if (!same && n && v->rank) {
        diag_error(s->diag, v->span, "a stated derivative works element by element, and `%s` is %s",
                   param->name, value_describe(s, v));
        return NULL;
    }
    const Expr *e = n ? access_node(s, n, y->domain + understood, v->rank) : NULL;
    return e ? at_own_indices(s, y, e) : NULL;
}

/* The author's expression, in which each parameter stands for its element. */
static bool state_derivative(Sema *s, const Ast *a, Frame *elements, const Frame *call, Node *y)
{
    Value *by = frame_lookup(elements, a->name);
    if (!by) {
        diag_error(s->diag, a->name_span, "`%s` has no parameter `%s`", call->decl->name, a->name);
        return false;
    }
    Value *v = eval_statement(s, a->left, "derivative");
    const Expr *e = v ? value_to_scalar(s, v, "a derivative") : NULL;
    bool ok = true;
    if (!e || !(e = coerce(s, e, s->program->real, a->span, &ok)) || !ok)
        return false;
    const StatedDerivative stated = {by->expr, e};
    if (by->kind == VALUE_TENSOR && by->expr->kind == EXPR_ACCESS)
        vec_push(s->arena, &y->stated, stated);
    return true;
}

/* A node of its own, though it be a copy: the derivatives are its. */
static Node *result_node(Sema *s, const Ast *decl, Value *result)
{
    const Expr *e;
    Index **dims;
    int rank;
    if (!value_is_closed(s, result)) {
        diag_error(s->diag, decl->name_span,
                   "`%s` states its derivative, and is called on single elements here", decl->name);
        diag_help(s->diag, "call it on whole tensors");
        return NULL;
    }
    return value_to_expr(s, result, &e, &dims, &rank)
               ? make_node(s, decl->name, e, dims, rank, NULL, NULL, 0, decl->span)
               : NULL;
}

Value *state_derivatives(Sema *s, const Ast *decl, Value *result)
{
    if (decl->kind != AST_FN || decl->orelse.count == 0)
        return result;
    Node *y = result_node(s, decl, result);
    if (!y)
        return NULL;
    const Frame *call = s->frame;
    Frame *elements = frame_enter(s, FRAME_FN, decl, call->library, call->path);
    bool ok = true;
    for (int i = 0; ok && i < decl->items.count; i++) {
        const Ast *param = decl->items.data[i];
        Value *v = frame_lookup(s->frame->caller, param->name);
        const Expr *e = v->kind == VALUE_TENSOR ? at_element(s, param, v, y) : NULL;
        ok = v->kind != VALUE_TENSOR || e;
        if (ok)
            frame_bind(s, elements, param->name, e ? value_expr(s, e, NULL, 0, v->span) : v,
                       param->span);
    }
    for (int i = 0; ok && i < decl->orelse.count; i++)
        ok = state_derivative(s, decl->orelse.data[i], elements, call, y);
    frame_leave(s);
    return ok ? value_node(s, y, result->span) : NULL;
}
