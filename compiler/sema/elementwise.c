/* Scalar functions on values: folded at compile time, or element by element on tensors. */
#include "sema/internal.h"

#include <math.h>

/* Indices and truths become reals by themselves; data does not, so that a forgotten scale shows. */
const Expr *coerce(Sema *s, const Expr *e, DType type, Span span, bool *ok)
{
    ExprPool *p = s->program->pool;
    double constant;
    if (e->type == type)
        return e;
    if (e->kind == EXPR_CONST && expr_is_const(e, &constant))
        return expr_const_typed(p, constant, type);
    const bool integer = dtype_is_integer(e->type);
    if (type == TYPE_I32 && (integer || e->type == TYPE_BOOL))
        return integer && e->type != TYPE_I32 ? e : expr_cast(p, e, type);
    if (dtype_is_real(type) &&
        (e->kind == EXPR_AFFINE || e->type == TYPE_BOOL || dtype_is_real(e->type)))
        return expr_cast(p, e, type);
    if (dtype_is_real(type) && integer) {
        diag_error(s->diag, span, "this is whole-number data (%s), and the other side is real",
                   dtype_name(e->type));
        diag_help(s->diag, "convert it with f32(…)");
    } else if (type == TYPE_BOOL) {
        diag_error(s->diag, span, "expected a condition here, found a number");
        diag_help(s->diag, "compare it with something: x > 0");
    } else {
        diag_error(s->diag, span, "expected a whole number here, found a real one");
        diag_help(s->diag, "convert it with i32(…)");
    }
    *ok = false;
    return e;
}

static bool all_constant(Sema *s, Value **args, int count)
{
    for (int i = 0; i < count; i++)
        if ((args[i]->kind != VALUE_NUMBER && args[i]->kind != VALUE_TRUTH) ||
            (args[i]->hyper && !s->compile_time))
            return false;
    return true;
}

static Value *fold(Sema *s, const ScalarFunction *f, Value **args, Span span)
{
    double numbers[3] = {0};
    bool truths = f->signature == SIGNATURE_COMPARE || f->signature == SIGNATURE_TRUTH;
    for (int i = 0; i < f->arity; i++)
        numbers[i] = args[i]->number;
    const double result = f->value(numbers);
    if (truths)
        return value_truth(s, result != 0, span);
    if (isnan(result) || isinf(result)) {
        if ((f == &scalar_div || f == &scalar_mod) && args[1]->number == 0)
            diag_error(s->diag, span, "this divides by zero");
        else
            diag_error(s->diag, span, "this compile-time value is not finite");
        return NULL;
    }
    return value_number(s, result, span);
}

/* All tensors must have one shape; numbers join any. */
static bool unify_shapes(Sema *s, const ScalarFunction *f, Value **args, const Expr **exprs,
                         int count, Index ***dims, int *rank)
{
    Value *first = NULL;
    for (int i = 0; i < count; i++) {
        Index **d;
        int r;
        if (!value_to_expr(s, args[i], &exprs[i], &d, &r))
            return false;
        if (r == 0)
            continue;
        if (!first) {
            first = args[i];
            *dims = d;
            *rank = r;
            continue;
        }
        bool same = r == *rank;
        for (int k = 0; same && k < r; k++)
            same = d[k]->extent == (*dims)[k]->extent;
        if (!same) {
            diag_error(s->diag, span_join(first->span, args[i]->span),
                       "`%s` needs equal shapes, found %s and %s", f->infix ? f->infix : f->name,
                       shape_text(s, first), shape_text(s, args[i]));
            value_note(s, first);
            value_note(s, args[i]);
            diag_help(s->diag, "index notation says which axes meet: y[i, j] = a[i, j] + b[j]");
            return false;
        }
        const Affine **to = arena_new(s->arena, const Affine *, r);
        for (int k = 0; k < r; k++)
            to[k] = affine_index(s->program->pool, (*dims)[k]);
        const Substitution sub = {r, d, to};
        exprs[i] = expr_substitute(s->program->pool, exprs[i], &sub);
    }
    return true;
}

/* The type both sides of an operation meet in.  Numbers written without a point join either side;
 * among themselves they are real, but for subscripts. */
static DType common_type(Sema *s, const ScalarFunction *f, const Expr **exprs, Value **args,
                         int from, int count)
{
    if (f->signature == SIGNATURE_REAL || f->signature == SIGNATURE_TO_REAL)
        return s->program->real;
    bool integer = true, truth = true, data = s->integer_division;
    for (int i = from; i < count; i++) {
        const bool whole = args[i]->kind == VALUE_NUMBER && args[i]->is_integer && !args[i]->hyper;
        truth = truth && exprs[i]->type == TYPE_BOOL;
        data = data || dtype_is_integer(exprs[i]->type);
        integer = integer && (dtype_is_integer(exprs[i]->type) || whole);
    }
    if (truth && (f->signature == SIGNATURE_COMPARE || f->signature == SIGNATURE_SELECT))
        return TYPE_BOOL;
    return integer && data ? TYPE_I32 : s->program->real;
}

/* `/` on indices is floor division inside subscripts, real division elsewhere. */
static bool divides_indices(const Sema *s, const ScalarFunction *f, DType type)
{
    return f == &scalar_div && type == TYPE_I32 && !s->integer_division;
}

Value *apply_function(Sema *s, const ScalarFunction *f, Value **args, Span span)
{
    for (int i = 0; i < f->arity; i++)
        if (!args[i])
            return NULL;
    if (all_constant(s, args, f->arity)) {
        if (s->integer_division && f == &scalar_div && args[1]->number != 0)
            return value_number(s, floor(args[0]->number / args[1]->number), span);
        return fold(s, f, args, span);
    }
    const Expr *exprs[3] = {0};
    Index **dims = NULL;
    int rank = 0;
    if (!unify_shapes(s, f, args, exprs, f->arity, &dims, &rank))
        return NULL;
    bool ok = true;
    if (f->signature == SIGNATURE_TO_REAL || f->signature == SIGNATURE_TO_INTEGER) {
        const DType type = f->signature == SIGNATURE_TO_REAL ? s->program->real : TYPE_I32;
        return value_expr(s, expr_cast(s->program->pool, exprs[0], type), dims, rank, span);
    }
    DType type =
        f->signature == SIGNATURE_TRUTH ? TYPE_BOOL : common_type(s, f, exprs, args, 0, f->arity);
    if (divides_indices(s, f, type))
        type = s->program->real;
    for (int i = 0; i < f->arity; i++)
        exprs[i] = coerce(s, exprs[i], type, args[i]->span, &ok);
    return ok ? value_expr(s, expr_call(s->program->pool, f, exprs), dims, rank, span) : NULL;
}

Value *apply_select(Sema *s, Value *cond, Value *yes, Value *no, Span span)
{
    if (!cond || !yes || !no)
        return NULL;
    Value *args[3] = {cond, yes, no};
    const Expr *exprs[3] = {0};
    Index **dims = NULL;
    int rank = 0;
    bool ok = true;
    if (!unify_shapes(s, &scalar_select, args, exprs, 3, &dims, &rank))
        return NULL;
    exprs[0] = coerce(s, exprs[0], TYPE_BOOL, cond->span, &ok);
    const DType type = common_type(s, &scalar_select, exprs, args, 1, 3);
    exprs[1] = coerce(s, exprs[1], type, yes->span, &ok);
    exprs[2] = coerce(s, exprs[2], type, no->span, &ok);
    if (!ok)
        return NULL;
    return value_expr(s, expr_select(s->program->pool, exprs[0], exprs[1], exprs[2]), dims, rank,
                      span);
}
