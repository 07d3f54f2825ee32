/* What an expression means: a compile-time value, or a tensor as an expression over indices. */
#include "sema/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static Value *value_new(Sema *s, ValueKind kind, Span span)
{
    Value *v = arena_new(s->arena, Value, 1);
    v->kind = kind;
    v->span = span;
    return v;
}

Value *value_number(Sema *s, double number, Span span)
{
    Value *v = value_new(s, VALUE_NUMBER, span);
    v->number = number;
    v->is_integer = floor(number) == number && fabs(number) < 9e15;
    return v;
}

Value *value_truth(Sema *s, bool truth, Span span)
{
    Value *v = value_new(s, VALUE_TRUTH, span);
    v->number = truth;
    return v;
}

Value *value_text(Sema *s, ValueKind kind, const char *text, Span span)
{
    Value *v = value_new(s, kind, span);
    v->text = text;
    return v;
}

Value *value_list(Sema *s, Span span)
{
    return value_new(s, VALUE_LIST, span);
}

Value *value_node(Sema *s, Node *n, Span span)
{
    Value *v = value_new(s, VALUE_TENSOR, span);
    v->node = n;
    v->rank = n->rank - node_understood(n);
    return v;
}

Value *value_expr(Sema *s, const Expr *e, Index **dims, int rank, Span span)
{
    Value *v = value_new(s, VALUE_TENSOR, span);
    v->expr = e;
    v->batch = s->batch;
    v->dims = dims;
    v->rank = rank;
    return v;
}

/* Within mean[batch] …, what was the current example's is that of the reduction. */
Value *value_here(Sema *s, Value *v)
{
    if (v->kind != VALUE_TENSOR || v->node || v->batch == s->batch)
        return v;
    Value *here = arena_new(s->arena, Value, 1);
    *here = *v;
    const Affine *to = affine_index(s->program->pool, s->batch);
    here->expr = expr_substitute(s->program->pool, v->expr, &(Substitution){1, &v->batch, &to});
    here->batch = s->batch;
    return here;
}

const Index *value_dimension(const Value *v, int dimension)
{
    if (v->kind != VALUE_TENSOR || dimension < 0 || dimension >= v->rank)
        return NULL;
    return v->node ? v->node->domain[dimension + node_understood(v->node)] : v->dims[dimension];
}

bool value_extent(const Value *v, int dimension, int64_t *extent)
{
    const Index *ix = value_dimension(v, dimension);
    if (ix)
        *extent = ix->extent;
    return ix != NULL;
}

const char *dimensions_text(Sema *s, const int64_t *shape, int rank)
{
    Text t;
    text_init(&t, s->arena);
    text_append(&t, "[");
    for (int i = 0; i < rank; i++)
        if (shape[i])
            text_printf(&t, "%s%lld", i ? ", " : "", (long long)shape[i]);
        else
            text_printf(&t, "%sbatch", i ? ", " : "");
    text_append(&t, "]");
    return t.data;
}

const char *part_text(Sema *s, const Value *v, int first, int count)
{
    int64_t *shape = arena_new(s->arena, int64_t, count + 1);
    for (int i = 0; i < count; i++)
        if (!value_dimension(v, first + i)->per_example)
            value_extent(v, first + i, &shape[i]);
    return dimensions_text(s, shape, count);
}

const char *shape_text(Sema *s, const Value *v)
{
    return part_text(s, v, 0, v->rank);
}

const char *value_describe(Sema *s, const Value *v)
{
    switch (v->kind) {
    case VALUE_NUMBER:
        return arena_format(s->arena, "the number %g", v->number);
    case VALUE_TRUTH:
        return v->number != 0 ? "the truth value true" : "the truth value false";
    case VALUE_STRING:
        return arena_format(s->arena, "the string \"%s\"", v->text);
    case VALUE_SYMBOL:
        return arena_format(s->arena, "the word `%s`", v->text);
    case VALUE_LIST:
        return arena_format(s->arena, "a list of %d", v->items.count);
    case VALUE_INSTANCE:
        return arena_format(s->arena, "the layer `%s`, not applied to a tensor",
                            v->instance->decl->name);
    case VALUE_TENSOR:
        return v->rank ? arena_format(s->arena, "a tensor %s", shape_text(s, v))
                       : "a single number";
    }
    return "a value";
}

/* The shortest digits that read back as the same number. */
static void print_number(Text *out, double number)
{
    char digits[40];
    const bool whole = floor(number) == number && fabs(number) < 1e15;
    if (whole)
        snprintf(digits, sizeof digits, "%.0f", number);
    for (int precision = 1; precision <= 17 && !whole; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, number);
        if (strtod(digits, NULL) == number)
            break;
    }
    text_append(out, digits);
}

void value_print(Text *out, Sema *s, const Value *v)
{
    if (v->kind == VALUE_NUMBER) {
        print_number(out, v->number);
    } else if (v->kind == VALUE_TRUTH) {
        text_append(out, v->number != 0 ? "true" : "false");
    } else if (v->kind == VALUE_LIST) {
        for (int i = 0; i < v->items.count; i++) {
            text_append(out, i ? ", " : "[");
            value_print(out, s, v->items.data[i]);
        }
        text_append(out, "]");
    } else if (v->kind == VALUE_TENSOR && v->rank) {
        text_append(out, shape_text(s, v));
    } else {
        text_append(out, v->text ? v->text : value_describe(s, v));
    }
}

void value_note(Sema *s, const Value *v)
{
    const char *what =
        v->rank ? arena_format(s->arena, "with shape %s", shape_text(s, v)) : "as a single number";
    if (v->kind != VALUE_TENSOR)
        diag_note(s->diag, v->span, "this is %s", value_describe(s, v));
    else if (v->name)
        diag_note(s->diag, v->defined, "`%s` is defined here %s", v->name, what);
    else
        diag_note(s->diag, v->span, "this is %s", value_describe(s, v));
}

typedef struct Words {
    const char *names[64];
    int count;
} Words;

/* The words that a definition compares with: pad == same. */
static void collect_words(const Ast *a, Words *w)
{
    const int room = (int)(sizeof w->names / sizeof *w->names);
    if (!a)
        return;
    if (a->kind == AST_BINARY && !strcmp(a->name, "==") && a->right->kind == AST_NAME &&
        w->count < room)
        w->names[w->count++] = a->right->name;
    const Ast *parts[] = {a->cond, a->left, a->right};
    for (int i = 0; i < 3; i++)
        collect_words(parts[i], w);
    const AstList *lists[] = {&a->items, &a->body, &a->orelse};
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < lists[i]->count; k++)
            collect_words(lists[i]->data[k], w);
}

/* A word where a value is wanted: a misspelt variable, or a misspelt option of the library. */
static void unexpected_word(Sema *s, const Value *v)
{
    Words w = {.count = 0};
    for (const Frame *f = s->frame; f && f->kind != FRAME_MODEL; f = f->caller)
        collect_words(f->decl, &w);
    if (w.count + 2 <= (int)(sizeof w.names / sizeof *w.names)) {
        w.names[w.count++] = "true";
        w.names[w.count++] = "false";
    }
    const char *near = v->near ? v->near : diag_nearest(v->text, w.names, w.count);
    diag_error(s->diag, v->span, "there is no value named `%s` here", v->text);
    const Declaration *d = sema_declaration(s, v->text, AST_KIND_COUNT);
    if (d)
        diag_help(s->diag, "`%s` is a %s, and is given its arguments: %s(…)", d->name,
                  ast_kind_name(d->ast->kind), d->name);
    else if (near)
        diag_help(s->diag, "did you mean `%s`?", near);
    else
        diag_help(s->diag, "define it above, or declare it as an input or a target");
}

static bool is_number_text(const char *text)
{
    char *end;
    strtod(text, &end);
    return end != text && !*end;
}

void value_unexpected(Sema *s, const Value *v, const char *expected)
{
    if (v->kind == VALUE_SYMBOL) {
        unexpected_word(s, v);
        return;
    }
    diag_error(s->diag, v->span, "expected %s, found %s", expected, value_describe(s, v));
    if (v->kind == VALUE_INSTANCE)
        diag_help(s->diag, "apply it to a tensor: x |> %s",
                  v->name ? v->name : v->instance->decl->name);
    else if (v->kind == VALUE_LIST)
        diag_help(s->diag, "take one of its entries: [0]");
    else if (v->kind == VALUE_STRING && is_number_text(v->text))
        diag_help(s->diag, "a number stands without quotes: %s", v->text);
}

static Index **fresh_dims(Sema *s, const Node *n, int skip)
{
    Index **dims = arena_new(s->arena, Index *, n->rank - skip + 1);
    for (int i = skip; i < n->rank; i++)
        dims[i - skip] = index_copy(s->program->pool, n->domain[i]);
    return dims;
}

bool value_to_expr(Sema *s, Value *v, const Expr **expr, Index ***dims, int *rank)
{
    ExprPool *p = s->program->pool;
    *dims = NULL;
    *rank = 0;
    switch (v->kind) {
    case VALUE_NUMBER:
        *expr = v->hyper ? access_node(s, hyper_node(s, v->hyper, v->number), NULL, 0)
                         : expr_const(p, v->number);
        return true;
    case VALUE_TRUTH:
        *expr = expr_const_typed(p, v->number, TYPE_BOOL);
        return true;
    case VALUE_TENSOR:
        *rank = v->rank;
        *dims = v->node ? fresh_dims(s, v->node, node_understood(v->node)) : v->dims;
        *expr = v->node ? access_node(s, v->node, *dims, *rank) : v->expr;
        return true;
    default:
        value_unexpected(s, v, "a number or a tensor");
        return false;
    }
}

const Expr *value_to_scalar(Sema *s, Value *v, const char *what)
{
    const Expr *e;
    Index **dims;
    int rank;
    if (!value_to_expr(s, v, &e, &dims, &rank))
        return NULL;
    if (rank == 0)
        return e;
    diag_error(s->diag, v->span, "%s must be one number, found %s", what, value_describe(s, v));
    diag_help(s->diag, "name its indices, or reduce them with sum[…] or mean[…]");
    return NULL;
}

/* The node that an expression merely reads, element by element. */
static Node *same_as_node(Sema *s, const Expr *e, Index *const *dims, int rank)
{
    const Node *n = e->kind == EXPR_ACCESS ? e->node : NULL;
    if (!n || n->rank != rank + node_understood(n))
        return NULL;
    bool same = true;
    for (int i = 0; same && i < rank; i++)
        same = dims[i]->extent == n->domain[i + node_understood(n)]->extent;
    return same && e == access_node(s, e->node, dims, rank) ? e->node : NULL;
}

Node *value_to_node(Sema *s, Value *v, const char *name)
{
    if (v->kind == VALUE_TENSOR && v->node)
        return v->node;
    const Expr *e;
    Index **dims;
    int rank;
    if (!value_to_expr(s, v, &e, &dims, &rank))
        return NULL;
    Node *n = same_as_node(s, e, dims, rank);
    if (!n)
        n = make_node(s, v->hint ? v->hint : name, e, dims, rank, NULL, NULL, 0, v->span);
    if (v->kind == VALUE_TENSOR)
        v->node = n;
    return n;
}

bool value_is_closed(Sema *s, const Value *v)
{
    if (v->kind != VALUE_TENSOR || v->node)
        return true;
    Index **dims;
    int rank;
    free_indices(s, v->expr, v->dims, v->rank, &dims, &rank);
    return rank == 0;
}
