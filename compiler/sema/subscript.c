/* tensor[i, j + 1, label]: affine subscripts, data subscripts, `...`, x@m. */
#include "sema/internal.h"

#include <string.h>

static void real_subscript(Sema *s, const Ast *item)
{
    diag_error(s->diag, item->span, "a subscript must be a whole number, this is a real one");
    diag_help(s->diag, "declare the input it comes from as class(n) or token(n)");
}

/* A subscript's expression as affine, or as data. */
static bool make_subscript(Sema *s, const Ast *item, Subscript *sub)
{
    const bool outer = s->integer_division;
    s->integer_division = true;
    Value *v = eval(s, item);
    s->integer_division = outer;
    if (!v)
        return false;
    if (v->kind == VALUE_NUMBER && v->is_integer) {
        sub->affine = affine_constant(s->program->pool, (int64_t)v->number);
        return true;
    }
    if (v->kind != VALUE_TENSOR) {
        value_unexpected(s, v, "a whole number or an index as subscript");
        return false;
    }
    const Expr *e = value_to_scalar(s, v, "a subscript");
    if (!e)
        return false;
    double constant;
    if (e->kind == EXPR_AFFINE)
        sub->affine = e->affine;
    else if (dtype_is_integer(e->type) && expr_is_const(e, &constant)) /* i - i */
        sub->affine = affine_constant(s->program->pool, (int64_t)constant);
    else if (dtype_is_integer(e->type))
        sub->data = e;
    else
        real_subscript(s, item);
    return sub->affine || sub->data;
}

static int list_position(Sema *s, const Ast *a, const Value *list)
{
    int64_t at;
    if (a->items.count != 1 || !eval_integer(s, a->items.data[0], "a list's subscript", &at))
        return -1;
    if (at >= 0 && at < list->items.count)
        return (int)at;
    diag_error(s->diag, a->items.data[0]->span,
               "entry %lld does not exist: the list has %d, counted from 0", (long long)at,
               list->items.count);
    return -1;
}

/* A whole number counts examples, on from the last to the first again: so it is always one of them. */
static bool counted_example(Sema *s, const Ast *at, Value *v, Subscript *example)
{
    ExprPool *p = s->program->pool;
    const Expr *e = value_to_scalar(s, v, "an example's number");
    if (!e)
        return false;
    if (v->kind == VALUE_NUMBER && v->is_integer)
        e = expr_const_typed(p, v->number, TYPE_I32);
    if (!dtype_is_integer(e->type)) {
        diag_error(s->diag, at->name_span, "an example's number must be whole, this is a real one");
        diag_help(s->diag, "convert it with i32(…)");
        return false;
    }
    const Index *ix = e->kind == EXPR_AFFINE ? affine_is_index(e->affine) : NULL;
    if (ix && ix->per_example) {
        example->affine = e->affine;
        return true;
    }
    const Expr *args[] = {e->type == TYPE_I32 ? e : expr_cast(p, e, TYPE_I32),
                          expr_cast(p, expr_scalar(p, SCALAR_BATCH_SIZE, 0), TYPE_I32)};
    *example = (Subscript){.data = expr_call(p, &scalar_mod, args)};
    return true;
}

/* The example of x@m; the current one without @. */
static bool find_example(Sema *s, const Ast *at, Subscript *example)
{
    const Affine *own = affine_index(s->program->pool, s->batch);
    if (at->kind == AST_AT && at->right) {
        Value *number = eval(s, at->right);
        return number && counted_example(s, at, number, example);
    }
    IndexScope *scope = at->kind == AST_AT ? index_lookup(s, at->name) : NULL;
    Value *v = at->kind == AST_AT && !scope ? frame_lookup(s->frame, at->name) : NULL;
    if (v)
        return counted_example(s, at, v, example);
    if (at->kind != AST_AT || (scope && scope->index->per_example)) {
        example->affine = scope ? affine_index(s->program->pool, scope->index) : own;
        return true;
    }
    diag_error(s->diag, at->name_span, "`@%s` needs an index over the batch", at->name);
    diag_help(s->diag, "declare it so: y[%s: batch] = …", at->name);
    return false;
}

bool subscripts_fit(Sema *s, const Ast *a, const Value *base)
{
    bool ellipsis = false;
    for (int i = 0; i < a->items.count; i++)
        ellipsis = ellipsis || a->items.data[i]->kind == AST_ELLIPSIS;
    const int count = a->items.count - ellipsis;
    if (ellipsis ? count <= base->rank : count == base->rank)
        return true;
    if (base->rank == 0)
        diag_error(s->diag, a->span, "a single number takes no subscripts, here %s %d",
                   count == 1 ? "is" : "are", count);
    else
        diag_error(s->diag, a->span, "%d subscript%s for a tensor of %d dimension%s", count,
                   count == 1 ? "" : "s", base->rank, base->rank == 1 ? "" : "s");
    if (base->rank || base->name)
        value_note(s, base);
    return false;
}

static bool all_subscripts(Sema *s, const Ast *a, const Value *base, Subscript *subs)
{
    int dimension = 0;
    for (int i = 0; i < a->items.count; i++) {
        const Ast *item = a->items.data[i];
        if (item->kind == AST_ELLIPSIS) {
            const Ellipsis *e = s->statement->ellipsis;
            for (int k = 0; k < e->count; k++)
                subs[dimension++].affine = affine_index(s->program->pool, e->indices[k]);
            continue;
        }
        if (!make_subscript(s, item, &subs[dimension]) ||
            !prove_inside(s, item, &subs[dimension], value_dimension(base, dimension), dimension,
                          a))
            return false;
        dimension++;
    }
    return true;
}

/* An unstored expression is indexed by substitution, unless a subscript is data. */
static Value *index_expression(Sema *s, const Value *base, const Subscript *subs, Span span)
{
    const Affine **to = arena_new(s->arena, const Affine *, base->rank + 1);
    for (int i = 0; i < base->rank; i++)
        to[i] = subs[i].affine;
    const Substitution sub = {base->rank, base->dims, to};
    return value_expr(s, expr_substitute(s->program->pool, base->expr, &sub), NULL, 0, span);
}

static Value *index_node(Sema *s, Node *n, Subscript example, const Subscript *subs, int rank,
                         Span span)
{
    Subscript *all = arena_new(s->arena, Subscript, rank + MOST_UNDERSTOOD);
    Index *leading[MOST_UNDERSTOOD];
    const int count = understood_subscripts(s, n, s->batch, leading);
    for (int i = 0; i < count; i++)
        all[i].affine = affine_index(s->program->pool, leading[i]);
    if (node_is_batched(n))
        all[0] = example;
    if (rank)
        memcpy(all + count, subs, sizeof *subs * (size_t)rank);
    return value_expr(s, expr_access(s->program->pool, n, all), NULL, 0, span);
}

Value *eval_subscript(Sema *s, const Ast *a)
{
    const Ast *target = a->left->kind == AST_AT ? a->left->left : a->left;
    Memo *m = memo_find(s, target);
    Value *base = m ? m->value : eval(s, target);
    if (!base)
        return NULL;
    base = value_here(s, base);
    if (base->kind == VALUE_LIST) {
        const int at = list_position(s, a, base);
        return at < 0 ? NULL : value_here(s, base->items.data[at]);
    }
    if (base->kind != VALUE_TENSOR) {
        value_unexpected(s, base, "a tensor or a list before subscripts");
        return NULL;
    }
    bool data = false;
    if (!subscripts_fit(s, a, base))
        return NULL;
    Subscript example = {0}, *subs = arena_new(s->arena, Subscript, base->rank + 1);
    if (!find_example(s, a->left, &example) || !all_subscripts(s, a, base, subs))
        return NULL;
    for (int i = 0; i < base->rank; i++)
        data = data || subs[i].data;
    Value *v = NULL;
    if (!base->node && !data && a->left->kind != AST_AT) {
        v = index_expression(s, base, subs, a->span);
    } else {
        Node *n = value_to_node(s, base, target->kind == AST_NAME ? target->name : "t");
        v = n ? index_node(s, n, example, subs, base->rank, a->span) : NULL;
    }
    if (v)
        v->makers = base->makers;
    return v;
}

/* label@m: a single number of another example; a tensor's elements want their subscripts. */
Value *eval_at(Sema *s, const Ast *a)
{
    Value *base = eval(s, a->left);
    if (!base)
        return NULL;
    if (base->kind != VALUE_TENSOR || base->rank) {
        diag_error(s->diag, a->span, "`@` needs subscripts: %s@%s[…]",
                   a->left->name ? a->left->name : "x", a->name ? a->name : "(…)");
        if (a->name && !index_lookup(s, a->name))
            diag_help(s->diag, "`@` reads another example of the batch; a product of tensors names "
                               "its indices: y[i] = sum[k] w[i, k] * x[k]");
        return NULL;
    }
    Subscript example = {0};
    if (!find_example(s, a, &example))
        return NULL;
    Node *n = value_to_node(s, base, a->left->kind == AST_NAME ? a->left->name : "t");
    return n ? index_node(s, n, example, NULL, 0, a->span) : NULL;
}
