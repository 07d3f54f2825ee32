/* What cannot be said in index notation because it makes or takes shapes: views, lists of tensors,
 * questions about a tensor.  One row each. */
#include "sema/internal.h"

#include <math.h>
#include <string.h>

static bool need_tensor(Sema *s, const Value *v, const char *name)
{
    for (int i = 0; v->kind == VALUE_TENSOR && i < v->rank; i++)
        if (value_dimension(v, i)->per_example) {
            diag_error(s->diag, v->span, "`%s` needs a fixed shape, and this is %s", name,
                       value_describe(s, v));
            return false;
        }
    if (v->kind == VALUE_TENSOR)
        return true;
    value_unexpected(s, v, arena_format(s->arena, "a tensor for `%s`", name));
    return false;
}

static int64_t value_size(const Value *v)
{
    int64_t size = 1, extent;
    for (int i = 0; i < v->rank && value_extent(v, i, &extent); i++)
        size *= extent;
    return size;
}

static bool list_integers(Sema *s, const Value *v, const char *what, int64_t *out, int room)
{
    if (v->kind != VALUE_LIST || v->items.count > room) {
        diag_error(s->diag, v->span, "%s must be a list of whole numbers, found %s", what,
                   value_describe(s, v));
        return false;
    }
    for (int i = 0; i < v->items.count; i++) {
        const Value *item = v->items.data[i];
        if (item->kind != VALUE_NUMBER || !item->is_integer || item->number < 0) {
            diag_error(s->diag, item->span, "%s must hold whole numbers, found %s", what,
                       value_describe(s, item));
            return false;
        }
        out[i] = (int64_t)item->number;
    }
    return true;
}

/* The value of argument `axis`, by name or as the last position; `otherwise` when it is absent. */
static bool take_axis(Sema *s, Value **args, const char *const *names, int *count, int rank,
                      int otherwise, int *axis)
{
    *axis = otherwise;
    for (int i = 0; i < *count; i++) {
        if (!names[i])
            continue;
        if (strcmp(names[i], "axis")) {
            diag_error(s->diag, args[i]->span, "there is no argument named `%s` here, only `axis`",
                       names[i]);
            return false;
        }
        const Value *v = args[i];
        const int at = v->kind == VALUE_NUMBER && v->is_integer ? (int)v->number : rank;
        if (at < -rank || at >= rank) {
            diag_error(s->diag, v->span,
                       rank == 1 ? "the only axis is %d, found %s"
                                 : "the axes are 0 to %d, found %s",
                       rank - 1, value_describe(s, v));
            return false;
        }
        *axis = at < 0 ? at + rank : at;
        if (i != *count - 1) {
            diag_error(s->diag, v->span, "`axis` comes last");
            return false;
        }
        (*count)--;
    }
    return true;
}

/* ---- views ------------------------------------------------------------------------------------------- */

static Value *make_view(Sema *s, Value *x, const int64_t *shape, int rank, const char *name,
                        Span span)
{
    Node *n = value_to_node(s, x, name);
    if (!n)
        return NULL;
    ExprPool *p = s->program->pool;
    const int leading = node_understood(n);
    Index **domain = arena_new(s->arena, Index *, rank + MOST_UNDERSTOOD);
    for (int i = 0; i < leading; i++)
        domain[i] = index_copy(p, n->domain[i]);
    for (int i = 0; i < rank; i++)
        domain[leading + i] =
            index_new(p, intern(s->names, arena_format(s->arena, "i%d", i)), shape[i], 0, span);
    Node *v = graph_view(s->graph, name, n, domain, rank + leading, user_span(s, span));
    understand_steps(n, v, node_is_batched(v));
    Value *view = value_node(s, v, span);
    view->makers = x->makers;
    return view;
}

static Value *apply_reshape(Sema *s, Value **args, const char *const *names, int count, Span span)
{
    int64_t shape[16];
    if (!need_tensor(s, args[0], "reshape") || !list_integers(s, args[1], "the shape", shape, 16))
        return NULL;
    int64_t size = 1;
    if (!within_limit(s, "the new shape", shape, args[1]->items.count, span))
        return NULL;
    for (int i = 0; i < args[1]->items.count; i++)
        size *= shape[i];
    if (size != value_size(args[0])) {
        diag_error(s->diag, span, "the new shape has %lld elements, the tensor %s has %lld",
                   (long long)size, shape_text(s, args[0]), (long long)value_size(args[0]));
        return NULL;
    }
    return make_view(s, args[0], shape, args[1]->items.count, "reshape", span);
}

/* ---- moves ------------------------------------------------------------------------------------------- */

static Index **new_dims(Sema *s, const int64_t *shape, int rank)
{
    Index **dims = arena_new(s->arena, Index *, rank + 1);
    for (int i = 0; i < rank; i++)
        dims[i] = index_new(s->program->pool, intern(s->names, arena_format(s->arena, "i%d", i)),
                            shape[i], 0, SPAN_NONE);
    return dims;
}

/* x at affine subscripts, as an expression. */
static const Expr *read_at(Sema *s, Value *x, const Affine *const *at)
{
    ExprPool *p = s->program->pool;
    Node *n = value_to_node(s, x, "t");
    if (!n)
        return NULL;
    Index *first[MOST_UNDERSTOOD];
    const int leading = understood_subscripts(s, n, s->batch, first);
    Subscript *subs = arena_new(s->arena, Subscript, n->rank + 1);
    for (int i = 0; i < n->rank; i++)
        subs[i].affine = i < leading ? affine_index(p, first[i]) : at[i - leading];
    return expr_access(p, n, subs);
}

static Value *moved(Sema *s, const Expr *e, Index **dims, int rank, const char *name, Span span)
{
    if (!e)
        return NULL;
    Value *v = value_expr(s, e, dims, rank, span);
    v->hint = name;
    return v;
}

static Value *apply_transpose(Sema *s, Value **args, const char *const *names, int count, Span span)
{
    int64_t order[16], shape[16];
    Value *x = args[0];
    if (!need_tensor(s, x, "transpose"))
        return NULL;
    for (int i = 0; i < x->rank && i < 16; i++)
        order[i] = x->rank - 1 - i;
    if (count == 2 && !list_integers(s, args[1], "the order of axes", order, 16))
        return NULL;
    bool seen[16] = {false},
         fits = x->rank <= 16 && (count == 1 || args[1]->items.count == x->rank);
    for (int i = 0; fits && i < x->rank; i++) {
        fits = order[i] < x->rank && !seen[order[i]];
        if (fits)
            seen[order[i]] = true;
    }
    if (!fits) {
        diag_error(s->diag, span, "the order must name each of the %d axes of %s once", x->rank,
                   shape_text(s, x));
        return NULL;
    }
    const Affine *at[16];
    for (int i = 0; i < x->rank; i++)
        value_extent(x, (int)order[i], &shape[i]);
    Index **dims = new_dims(s, shape, x->rank);
    for (int i = 0; i < x->rank; i++)
        at[order[i]] = affine_index(s->program->pool, dims[i]);
    Value *v = moved(s, read_at(s, x, at), dims, x->rank, "transpose", span);
    if (v)
        v->makers = x->makers;
    return v;
}

static bool same_but_axis(Sema *s, const Value *a, const Value *b, int axis, const char *name)
{
    bool same = a->rank == b->rank;
    for (int i = 0; same && i < a->rank; i++) {
        int64_t x = 0, y = 0;
        value_extent(a, i, &x);
        value_extent(b, i, &y);
        same = i == axis || x == y;
    }
    if (!same) {
        diag_error(s->diag, b->span, "`%s` needs equal shapes but for axis %d, found %s and %s",
                   name, axis, shape_text(s, a), shape_text(s, b));
        value_note(s, a);
        value_note(s, b);
    }
    return same;
}

/* The arguments' tensors: given one by one, or as one list. */
static bool gather_tensors(Sema *s, Value **args, int count, const char *name, Value ***tensors,
                           int *total)
{
    *tensors = args;
    *total = count;
    if (count == 1 && args[0]->kind == VALUE_LIST) {
        *tensors = args[0]->items.data;
        *total = args[0]->items.count;
    }
    for (int i = 0; i < *total; i++)
        if (!need_tensor(s, (*tensors)[i], name))
            return false;
    return *total > 0;
}

static Value *apply_concat(Sema *s, Value **args, const char *const *names, int count, Span span)
{
    ExprPool *p = s->program->pool;
    Value **parts;
    int total, axis;
    const int rank = args[0]->kind == VALUE_LIST && args[0]->items.count
                         ? args[0]->items.data[0]->rank
                         : args[0]->rank;
    if (!take_axis(s, args, names, &count, rank, 0, &axis) ||
        !gather_tensors(s, args, count, "concat", &parts, &total))
        return NULL;
    int64_t *shape = arena_new(s->arena, int64_t, rank + 1), sum = 0;
    for (int k = 0; k < total; k++) {
        int64_t extent = 0;
        if (!same_but_axis(s, parts[0], parts[k], axis, "concat"))
            return NULL;
        value_extent(parts[k], axis, &extent);
        sum += extent;
    }
    for (int i = 0; i < rank; i++)
        value_extent(parts[0], i, &shape[i]);
    shape[axis] = sum;
    Index **dims = new_dims(s, shape, rank);
    const Affine **at = arena_new(s->arena, const Affine *, rank + 1);
    for (int i = 0; i < rank; i++)
        at[i] = affine_index(p, dims[i]);
    const Expr *e = NULL;
    for (int k = total - 1; k >= 0; k--) { /* from the last part: if i < n0 then a[i] else … */
        int64_t extent = 0;
        value_extent(parts[k], axis, &extent);
        sum -= extent;
        at[axis] = affine_offset(p, affine_index(p, dims[axis]), -sum);
        const Expr *part = read_at(s, parts[k], at);
        if (!part)
            return NULL;
        const Affine *below =
            affine_offset(p, affine_scale(p, affine_index(p, dims[axis]), -1), sum + extent - 1);
        e = e ? expr_select(p, expr_test(p, TEST_NOT_NEGATIVE, below), part, e) : part;
    }
    return moved(s, e, dims, rank, "concat", span);
}

static Value *apply_stack(Sema *s, Value **args, const char *const *names, int count, Span span)
{
    ExprPool *p = s->program->pool;
    Value **parts;
    int total, axis;
    const int rank =
        1 + (args[0]->kind == VALUE_LIST && args[0]->items.count ? args[0]->items.data[0]->rank
                                                                 : args[0]->rank);
    if (!take_axis(s, args, names, &count, rank, 0, &axis) ||
        !gather_tensors(s, args, count, "stack", &parts, &total))
        return NULL;
    int64_t *shape = arena_new(s->arena, int64_t, rank + 1);
    for (int i = 0, from = 0; i < rank; i++)
        if (i == axis)
            shape[i] = total;
        else
            value_extent(parts[0], from++, &shape[i]);
    Index **dims = new_dims(s, shape, rank);
    const Affine **at = arena_new(s->arena, const Affine *, rank + 1);
    for (int i = 0, to = 0; i < rank; i++)
        if (i != axis)
            at[to++] = affine_index(p, dims[i]);
    const Expr *e = NULL;
    for (int k = total - 1; k >= 0; k--) {
        const Expr *part =
            same_but_axis(s, parts[0], parts[k], -1, "stack") ? read_at(s, parts[k], at) : NULL;
        if (!part)
            return NULL;
        const Affine *here = affine_offset(p, affine_index(p, dims[axis]), -k);
        e = e ? expr_select(p, expr_test(p, TEST_ZERO, here), part, e) : part;
    }
    return moved(s, e, dims, rank, "stack", span);
}

static bool split_sizes(Sema *s, const Value *how, int64_t extent, int64_t *sizes, int room,
                        int *parts)
{
    int64_t sum = 0;
    if (how->kind == VALUE_NUMBER && how->is_integer && how->number >= 1 && how->number <= room) {
        *parts = (int)how->number;
        for (int i = 0; i < *parts; i++)
            sum += sizes[i] = extent / *parts;
    } else if (list_integers(s, how, "the sizes", sizes, room)) {
        *parts = how->items.count;
        for (int i = 0; i < *parts; i++)
            sum += sizes[i];
    } else {
        return false;
    }
    if (sum == extent)
        return true;
    if (how->kind == VALUE_NUMBER) {
        diag_error(s->diag, how->span,
                   "the axis has %lld entries, which do not split into %d equal parts",
                   (long long)extent, *parts);
        return false;
    }
    diag_error(s->diag, how->span, "the parts add up to %lld, the axis has %lld", (long long)sum,
               (long long)extent);
    return false;
}

static Value *apply_split(Sema *s, Value **args, const char *const *names, int count, Span span)
{
    enum { ROOM = 256 };
    ExprPool *p = s->program->pool;
    int64_t sizes[ROOM], extent = 0, start = 0;
    int parts, axis;
    Value *x = args[0];
    if (!need_tensor(s, x, "split") ||
        !take_axis(s, args, names, &count, x->rank, x->rank - 1, &axis))
        return NULL;
    value_extent(x, axis, &extent);
    if (!split_sizes(s, args[1], extent, sizes, ROOM, &parts))
        return NULL;
    Value *list = value_list(s, span);
    for (int k = 0; k < parts; start += sizes[k++]) {
        int64_t *shape = arena_new(s->arena, int64_t, x->rank + 1);
        const Affine **at = arena_new(s->arena, const Affine *, x->rank + 1);
        for (int i = 0; i < x->rank; i++)
            value_extent(x, i, &shape[i]);
        shape[axis] = sizes[k];
        Index **dims = new_dims(s, shape, x->rank);
        for (int i = 0; i < x->rank; i++)
            at[i] = affine_index(p, dims[i]);
        at[axis] = affine_offset(p, at[axis], start);
        Value *part = moved(s, read_at(s, x, at), dims, x->rank, "split", span);
        if (!part)
            return NULL;
        vec_push(s->arena, &list->items, part);
    }
    return list;
}

/* ---- questions ------------------------------------------------------------------------------------------ */

static Value *apply_shape(Sema *s, Value **args, const char *const *names, int count, Span span)
{
    if (!need_tensor(s, args[0], "shape"))
        return NULL;
    Value *list = value_list(s, span);
    for (int i = 0; i < args[0]->rank; i++) {
        int64_t extent = 0;
        value_extent(args[0], i, &extent);
        vec_push(s->arena, &list->items, value_number(s, (double)extent, span));
    }
    return list;
}

static Value *apply_rank(Sema *s, Value **args, const char *const *names, int count, Span span)
{
    return value_number(s, args[0]->kind == VALUE_TENSOR ? args[0]->rank : 0, span);
}

static Value *apply_size(Sema *s, Value **args, const char *const *names, int count, Span span)
{
    if (args[0]->kind == VALUE_TENSOR && !need_tensor(s, args[0], "size"))
        return NULL;
    if (args[0]->kind == VALUE_LIST)
        return value_number(s, args[0]->items.count, span);
    return value_number(s, args[0]->kind == VALUE_TENSOR ? (double)value_size(args[0]) : 1, span);
}

static Value *apply_is_integer(Sema *s, Value **args, const char *const *names, int count,
                               Span span)
{
    const Value *v = args[0];
    if (v->kind != VALUE_TENSOR)
        return value_truth(s, v->kind == VALUE_NUMBER && v->is_integer, span);
    return value_truth(s, dtype_is_integer(v->node ? v->node->type : v->expr->type), span);
}

/* made_by(x, softmax): whether x is, element by element, what the function of that name gave. */
static Value *apply_made_by(Sema *s, Value **args, const char *const *names, int count, Span span)
{
    const Declaration *d = args[1]->kind == VALUE_SYMBOL ? sema_callable(s, args[1]->text) : NULL;
    if (!d) {
        value_unexpected(s, args[1], "the name of a function");
        return NULL;
    }
    bool made = false;
    for (const Maker *m = args[0]->makers; m && !made; m = m->before)
        made = m->decl == d->ast;
    return value_truth(s, made, span);
}

/* range(n): 0 … n-1; range(a, b): a … b-1; range(a, b, step): every step-th of them. */
static Value *apply_range(Sema *s, Value **args, const char *const *names, int count, Span span)
{
    enum { LONGEST = 100000 };
    double given[3] = {0, 0, 1};
    for (int i = 0; i < count; i++) {
        if (args[i]->kind != VALUE_NUMBER || !args[i]->is_integer) {
            value_unexpected(s, args[i], "a whole number for `range`");
            return NULL;
        }
        given[count == 1 ? 1 : i] = args[i]->number;
    }
    const double step = given[2], length = step ? ceil((given[1] - given[0]) / step) : 0;
    if (step == 0 || length > LONGEST) {
        diag_error(s->diag, span,
                   step ? "a list of %g numbers is too long" : "a step of %g goes nowhere",
                   step ? length : 0);
        return NULL;
    }
    Value *list = value_list(s, span);
    for (int i = 0; i < length; i++)
        vec_push(s->arena, &list->items, value_number(s, given[0] + step * i, span));
    return list;
}

static const Builtin rows[] = {
    {"reshape", 2, 2, "reshape(x, [rows, columns])", apply_reshape},
    {"transpose", 1, 2, "transpose(x, [1, 0])", apply_transpose},
    {"concat", 1, 64, "concat(a, b, axis = 0)", apply_concat},
    {"stack", 1, 64, "stack(a, b, axis = 0)", apply_stack},
    {"split", 2, 3, "split(x, 2, axis = 0) or split(x, [3, 5], axis = 0)", apply_split},
    {"shape", 1, 1, "shape(x)", apply_shape},
    {"rank", 1, 1, "rank(x)", apply_rank},
    {"size", 1, 1, "size(x)", apply_size},
    {"range", 1, 3, "range(8), range(1, 8) or range(8, 0, -1)", apply_range},
    {"grad", 2, 2, "grad(y, x)", apply_grad},
    {"jvp", 3, 3, "jvp(y, x, v)", apply_jvp},
    {"made_by", 2, 2, "made_by(x, softmax)", apply_made_by},
    {"is_integer", 1, 1, "is_integer(x)", apply_is_integer},
};

int builtin_count(void)
{
    return (int)(sizeof rows / sizeof *rows);
}

const Builtin *builtin_at(int i)
{
    return &rows[i];
}

const Builtin *builtin_find(const char *name)
{
    for (int i = 0; i < builtin_count(); i++)
        if (!strcmp(rows[i].name, name))
            return &rows[i];
    return NULL;
}
