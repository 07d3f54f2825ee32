/* Starts of parameters, states and moments: literals, numbers, tensors and what initializers give, in
 * the graph of the init entry. */
#include "sema/internal.h"

static bool flatten_literal(Sema *s, const Value *v, const int64_t *shape, int rank, double **out)
{
    if (rank == 0) {
        if (v->kind != VALUE_NUMBER) {
            diag_error(s->diag, v->span, "expected a number in this literal, found %s",
                       value_describe(s, v));
            return false;
        }
        *(*out)++ = v->number;
        return true;
    }
    if (v->kind != VALUE_LIST || v->items.count != shape[0]) {
        diag_error(s->diag, v->span, "expected a list of %lld here, found %s", (long long)shape[0],
                   value_describe(s, v));
        return false;
    }
    for (int i = 0; i < v->items.count; i++)
        if (!flatten_literal(s, v->items.data[i], shape + 1, rank - 1, out))
            return false;
    return true;
}

Index **shape_indices(Sema *s, const int64_t *shape, int rank)
{
    Index **dims = arena_new(s->arena, Index *, rank + 1);
    for (int i = 0; i < rank; i++)
        dims[i] = index_new(s->program->pool, intern(s->names, arena_format(s->arena, "i%d", i)),
                            shape[i], 0, SPAN_NONE);
    return dims;
}

typedef struct Starting {
    Sema *sema;
    const Node *foreign; /* read, but not there at the start */
} Starting;

/* What another tensor starts as, in place of what it is when the start's text reads it. */
static const Expr *as_started(void *context, const Expr *e)
{
    Starting *st = context;
    const Graph *init = st->sema->graph;
    if (e->kind != EXPR_ACCESS || node_is_batched(e->node))
        return e;
    if (e->node->id < init->nodes.count && init->nodes.data[e->node->id] == e->node)
        return e;
    for (int i = 0; e->node->kind == NODE_TENSOR && i < init->results.count; i++)
        if (init->results.data[i].tensor == e->node->tensor)
            return expr_access(init->pool, init->results.data[i].value, e->subscripts);
    st->foreign = e->node;
    return e;
}

static const Expr *read_starts(Sema *s, const Tensor *t, const Expr *e, Span span)
{
    Starting st = {s, NULL};
    e = expr_map(s->program->pool, e, as_started, &st);
    if (!st.foreign)
        return e;
    diag_error(s->diag, span, "the start of `%s` is made of numbers and of other tensors' starts",
               t->name);
    diag_note(s->diag, st.foreign->span, "`%s` is computed in each step", st.foreign->name);
    return NULL;
}

Node *start_node(Sema *s, Tensor *t, Value *v)
{
    if (v->kind == VALUE_LIST) {
        int64_t count = 1;
        for (int i = 0; i < t->rank; i++)
            count *= t->shape[i];
        double *data = arena_new(s->arena, double, count), *at = data;
        if (!flatten_literal(s, v, t->shape, t->rank, &at))
            return NULL;
        return graph_literal(s->graph, t->name, t->shape, t->rank, data, t->span);
    }
    const Expr *e;
    Index **dims;
    int rank;
    bool ok = true;
    if (!value_to_expr(s, v, &e, &dims, &rank))
        return NULL;
    e = coerce(s, e, t->type, v->span, &ok);
    if (ok && s->graph == s->init && !(e = read_starts(s, t, e, v->span)))
        return NULL;
    bool same = rank == t->rank;
    for (int i = 0; same && i < rank; i++)
        same = dims[i]->extent == t->shape[i];
    if (rank && !same) {
        diag_error(s->diag, v->span, "`%s` has shape %s and cannot take %s", t->name,
                   dimensions_text(s, t->shape, t->rank), value_describe(s, v));
        diag_note(s->diag, t->span, "it is declared here");
        return NULL;
    }
    if (!ok)
        return NULL;
    return make_node(s, t->name, e, rank ? dims : shape_indices(s, t->shape, t->rank), t->rank,
                     NULL, NULL, 0, t->span);
}

static Value *call_initializer(Sema *s, Tensor *t, const Ast *a)
{
    const Ast *callee = a->kind == AST_CALL ? a->left : a;
    const Declaration *d =
        callee->kind == AST_NAME ? sema_declaration(s, callee->name, AST_INITIALIZER) : NULL;
    if (!d) {
        sema_unknown_name(s, callee->span, callee->name ? callee->name : "?", AST_INITIALIZER,
                          "initializer");
        return NULL;
    }
    VEC(Value *) args = {0};
    VEC(const char *) names = {0};
    if (d->ast->items.count && d->ast->items.data[0]->flag) {
        Value *like = value_expr(s, expr_const(s->program->pool, 0),
                                 shape_indices(s, t->shape, t->rank), t->rank, a->span);
        vec_push(s->arena, &args, like);
        vec_push(s->arena, &names, NULL);
    }
    Text text;
    text_init(&text, s->arena);
    text_printf(&text, "~ %s(", callee->name);
    for (int i = 0; a->kind == AST_CALL && i < a->items.count; i++) {
        const Ast *item = a->items.data[i];
        Value *v = eval_statement(s, item->kind == AST_ARGUMENT ? item->left : item, t->name);
        if (!v)
            return NULL;
        v->label = item->name_span;
        vec_push(s->arena, &args, v);
        vec_push(s->arena, &names, item->kind == AST_ARGUMENT ? item->name : NULL);
        text_printf(&text, "%s%s%s", i ? ", " : "", item->kind == AST_ARGUMENT ? item->name : "",
                    item->kind == AST_ARGUMENT ? " = " : "");
        value_print(&text, s, v);
    }
    text_append(&text, ")");
    t->start = text.data;
    return apply_declaration(s, d, "", args.data, names.data, args.count, a->span);
}

/* param w[o: 3, i: 4] = o * 0.1 + i: named dimensions are indices of the start. */
static bool names_indices(const Ast *declaration)
{
    for (int i = 0; i < declaration->items.count; i++)
        if (declaration->items.data[i]->kind == AST_INDEX && declaration->items.data[i]->left)
            return true;
    return false;
}

static Value *indexed_start(Sema *s, Tensor *t, const Ast *declaration)
{
    Index **dims = shape_indices(s, t->shape, t->rank);
    Value *v = NULL;
    const Expr *e;
    statement_enter(s, t->name);
    t->indices = arena_new(s->arena, const char *, t->rank + 1);
    for (int i = 0; i < t->rank; i++) {
        const Ast *item = declaration->items.data[i];
        if (item->kind != AST_INDEX || !item->left)
            continue;
        t->indices[i] = item->name;
        dims[i] = index_new(s->program->pool, item->name, t->shape[i], 0, item->span);
        index_push(s, item->name, dims[i], item->span)->given = true;
    }
    if (infer_extents(s, declaration->left) && (v = eval(s, declaration->left)) &&
        v->kind != VALUE_LIST && v->rank == 0)
        v = (e = value_to_scalar(s, v, "a start")) ? value_expr(s, e, dims, t->rank, v->span)
                                                   : NULL;
    statement_leave(s);
    return v;
}

static Value *constant_start(Sema *s, Tensor *t, const Ast *declaration)
{
    const Ast *a = declaration->left;
    Value *v = names_indices(declaration) ? indexed_start(s, t, declaration)
                                          : eval_statement(s, a, t->name);
    if (!v)
        return NULL;
    Text text;
    text_init(&text, s->arena);
    text_append(&text, "= ");
    if (v->kind == VALUE_TENSOR && v->expr && t->indices)
        expr_print(&text, v->expr);
    else if (v->kind == VALUE_TENSOR)
        ast_format_expr(&text, a);
    else
        value_print(&text, s, v);
    t->start = text.data;
    return v;
}

/* The start is computed by the init entry, whose graph grows as declarations are met. */
void add_start(Sema *s, Tensor *t, const Ast *declaration)
{
    const Ast *start = declaration->left;
    Graph *graph = s->graph;
    const bool training = s->training;
    Scan *scan = s->scan;
    VEC(Node *) outer = {s->current.data, s->current.count, s->current.capacity};
    s->graph = s->init;
    s->scan = NULL;
    s->current.data = NULL;
    s->current.count = s->current.capacity = 0;
    Value *v =
        declaration->flag ? call_initializer(s, t, start) : constant_start(s, t, declaration);
    Node *n = v ? start_node(s, t, v) : NULL;
    if (n && node_is_batched(n))
        diag_error(s->diag, start->span, "the start of `%s` depends on an input", t->name);
    else if (n)
        graph_result(s->graph, RESULT_UPDATE, t->name, n, t, 0);
    s->graph = graph;
    s->training = training;
    s->scan = scan;
    s->current.data = outer.data;
    s->current.count = outer.count;
    s->current.capacity = outer.capacity;
}
