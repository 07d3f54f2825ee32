/* Statements of a body, in order. */
#include "sema/internal.h"

#include <limits.h>
#include <string.h>

/* ---- y[..., o] = … ------------------------------------------------------------------------------ */

static bool push_left_index(Sema *s, const Ast *item, int64_t extent)
{
    if (item->kind != AST_INDEX && item->kind != AST_NAME) {
        diag_error(s->diag, item->span, "the left side names indices: y[i, j] = …");
        diag_help(
            s->diag,
            "a tensor is defined once, for all its elements: y[i: 3] = if i == 0 then 1 else x[i]");
        return false;
    }
    if (index_lookup(s, item->name)) {
        diag_error(s->diag, item->span, "index `%s` stands twice on the left side", item->name);
        return false;
    }
    Index *ix = index_new(s->program->pool, item->name, extent, 0, item->span);
    const bool given = item->kind == AST_INDEX && item->left;
    if (given) {
        if (!eval_range(s, item, ix))
            return false;
        if (extent && ix->extent != extent) {
            diag_error(s->diag, item->span, "index `%s` runs over %lld, the tensor has %lld here",
                       item->name, (long long)ix->extent, (long long)extent);
            return false;
        }
    }
    index_push(s, item->name, ix, item->span)->given = given;
    return true;
}

static bool push_left_side(Sema *s, const Ast *a, const int64_t *shape, int shape_rank)
{
    bool ellipsis = false;
    for (int i = 0; i < a->items.count; i++)
        ellipsis = ellipsis || a->items.data[i]->kind == AST_ELLIPSIS;
    if (shape && !ellipsis && a->items.count != shape_rank) {
        diag_error(s->diag, a->span, "%d indices for a tensor of %d dimensions", a->items.count,
                   shape_rank);
        return false;
    }
    for (int i = 0; i < a->items.count; i++)
        if (a->items.data[i]->kind != AST_ELLIPSIS &&
            !push_left_index(s, a->items.data[i], shape ? shape[i] : 0))
            return false;
    return true;
}

/* The left side's indices in order, once all extents are settled. */
static bool left_indices(Sema *s, const Ast *a)
{
    Statement *st = s->statement;
    for (int i = 0; i < a->items.count; i++) {
        const Ast *item = a->items.data[i];
        if (item->kind == AST_ELLIPSIS) {
            if (!st->ellipsis->known) {
                diag_error(s->diag, item->span,
                           "nothing on the right side says what `...` stands for");
                return false;
            }
            for (int k = 0; k < st->ellipsis->count; k++)
                vec_push(s->arena, &st->order, st->ellipsis->indices[k]);
            continue;
        }
        Index *ix = index_lookup(s, item->name)->index;
        if (ix->extent <= 0) {
            diag_error(s->diag, item->span, "nothing says how far index `%s` runs", ix->name);
            diag_help(s->diag,
                      "an index that stands alone in a subscript takes that dimension's extent; "
                      "otherwise "
                      "give a range: %s: n",
                      ix->name);
            return false;
        }
        vec_push(s->arena, &st->order, ix);
    }
    return true;
}

static Node *define_body(Sema *s, const Ast *a, const char *name)
{
    Statement *st = s->statement;
    Node *whole = NULL;
    Value *v = a->left->kind == AST_REDUCE
                   ? eval_reduce(s, a->left, name, st->order.data, st->order.count, &whole)
                   : eval(s, a->left);
    if (whole || !v)
        return whole;
    const Expr *body = value_to_scalar(s, v, "the right side");
    if (!body)
        return NULL;
    if (body->kind == EXPR_AFFINE)
        body = expr_cast(s->program->pool, body, s->program->real);
    Index **left_over;
    int count;
    free_indices(s, body, st->order.data, st->order.count, &left_over, &count);
    if (count) {
        diag_error(s->diag, a->span, "a tensor cannot be defined for each `%s` of the caller",
                   left_over[0]->name);
        diag_help(s->diag, "call the function on whole tensors");
        return NULL;
    }
    return make_node(s, name, body, st->order.data, st->order.count, NULL, NULL, 0, a->span);
}

/* The node that `a` defines; where `shape` is given, the left side ranges over it. */
Node *define_tensor(Sema *s, const Ast *a, const char *name, const int64_t *shape, int shape_rank)
{
    statement_enter(s, name);
    Node *n = NULL;
    if (push_left_side(s, a, shape, shape_rank) && infer_extents(s, a->left) && left_indices(s, a))
        n = define_body(s, a, name);
    statement_leave(s);
    return n;
}

/* The model's own names stay free for the model. */
static const char *node_name(Sema *s, const char *name)
{
    const char *path = s->frame->path;
    if (!*path && s->frame->kind == FRAME_FN)
        path = s->frame->decl->name;
    return *path ? arena_format(s->arena, "%s_%s", path, name) : name;
}

/* x = …: a tensor gets its node and its name here; compile-time values are kept as they are. */
static void run_assign(Sema *s, const Ast *a)
{
    Value *v = NULL;
    if (a->flag) {
        Node *n = forward_open(s, a) ? define_tensor(s, a, node_name(s, a->name), NULL, 0) : NULL;
        forward_close(s, a, n);
        v = n ? value_node(s, n, a->name_span) : NULL;
    } else {
        const int first = s->graph->nodes.count;
        v = eval_statement(s, a->left, node_name(s, a->name));
        if (v && v->kind == VALUE_TENSOR && !v->node && s->frame->kind != FRAME_INITIALIZER &&
            value_is_closed(s, v)) {
            v->hint = NULL;
            v->node = value_to_node(s, v, node_name(s, a->name));
            if (v->node && v->node->id >= first)
                node_rename(s, v->node, node_name(s, a->name));
        } else if (v && v->kind == VALUE_TENSOR && v->node && v->node->id >= first &&
                   s->frame->kind == FRAME_MODEL) {
            node_rename(s, v->node, a->name);
        } else if (v && v->kind == VALUE_INSTANCE && !v->instance->path) {
            v->instance->path =
                *s->frame->path
                    ? intern(s->names, arena_format(s->arena, "%s.%s", s->frame->path, a->name))
                    : a->name;
        }
        if (v && v->kind == VALUE_TENSOR)
            v->span = a->name_span;
    }
    if (v && v->node && s->frame->kind == FRAME_MODEL)
        v->node->named = true;
    frame_bind(s, s->frame, a->name, v, a->name_span); /* NULL: its uses stay silent */
}

/* Layers, functions and repeats are written out: a program may grow beyond any use. */
static bool within_budget(Sema *s, const Ast *a)
{
    enum { MOST_STATEMENTS = 200000, MOST_NODES = 100000 };
    if (++s->statements_run <= MOST_STATEMENTS && s->graph->nodes.count <= MOST_NODES)
        return true;
    if (s->statements_run != INT_MAX / 2)
        diag_error(s->diag, a->span,
                   "this model is written out into more than %d statements or %d tensors",
                   MOST_STATEMENTS, MOST_NODES);
    s->statements_run = INT_MAX / 2 - 1; /* say so once */
    s->frame->returned = true;
    return false;
}

/* ---- structure -------------------------------------------------------------------------------------- */

static void run_if(Sema *s, const Ast *a)
{
    bool yes;
    const bool known = eval_truth(s, a->cond, "a statement's condition", &yes);
    if (known)
        run_body(s, yes ? &a->body : &a->orelse);
}

/* The body once more, its name bound to `v`; false where that was the last time.  The frame's recurrent
 * names from number `first` on are those of the round before. */
static bool run_round(Sema *s, const Ast *a, Value *v, int first)
{
    const int errors = diag_error_count(s->diag);
    if (s->frame->returned || !within_budget(s, a))
        return false;
    if (a->name)
        frame_bind(s, s->frame, a->name, v, a->name_span);
    forward_forget(s, first);
    run_body(s, &a->body);
    return diag_error_count(s->diag) == errors;
}

static void run_repeat(Sema *s, const Ast *a)
{
    int64_t times;
    const int recurrent = s->frame->recurrent.count;
    bool more = eval_integer(s, a->left, "a repeat's count", &times);
    for (int64_t i = 0; more && i < times; i++)
        more = run_round(s, a, value_number(s, (double)i, a->name_span), recurrent);
}

/* for n in [64, 128, 256] { … } */
static void run_for(Sema *s, const Ast *a)
{
    const bool outer = s->symbols;
    s->symbols = true;
    Value *list = eval_constant(s, a->left);
    s->symbols = outer;
    if (!list)
        return;
    if (list->kind != VALUE_LIST) {
        value_unexpected(s, list, "a list to go through");
        if (list->kind == VALUE_NUMBER)
            diag_help(s->diag, "count from 0: for %s in range(%g)", a->name, list->number);
        else
            diag_help(s->diag, "a list is written in brackets: for %s in [64, 128]", a->name);
        return;
    }
    const int recurrent = s->frame->recurrent.count;
    bool more = true;
    for (int i = 0; more && i < list->items.count; i++)
        more = run_round(s, a, list->items.data[i], recurrent);
}

static void run_return(Sema *s, const Ast *a)
{
    s->frame->result = eval_statement(s, a->left, node_name(s, "result"));
    s->frame->returned = s->frame->result != NULL;
}

static void run_freeze(Sema *s, const Ast *a)
{
    vec_push(s->arena, &s->frozen, a->name);
    vec_push(s->arena, &s->frozen_spans, a->name_span.file >= 0 ? a->name_span : a->span);
}

static void run_init_from(Sema *s, const Ast *a)
{
    const InitFrom from = {a->name, a->left->name, a->right ? a->right->name : NULL, a->name_span};
    vec_push(s->arena, &s->program->inits, from);
}

typedef struct StatementRow {
    AstKind kind;
    void (*run)(Sema *s, const Ast *a);
    unsigned frames; /* bits of FrameKind in which it may stand */
    const char *where;
    bool in_scan; /* may it be said of one step? */
} StatementRow;

enum {
    IN_MODEL = 1 << FRAME_MODEL,
    IN_LAYER = 1 << FRAME_LAYER,
    IN_FN = 1 << FRAME_FN,
    IN_OPTIMIZER = 1 << FRAME_OPTIMIZER,
    IN_SCHEDULE = 1 << FRAME_SCHEDULE,
    ANYWHERE = ~0,
};

static const StatementRow rows[] = {
    {AST_ASSIGN, run_assign, ANYWHERE, "", true},
    {AST_IF, run_if, ANYWHERE, "", true},
    {AST_REPEAT, run_repeat, ANYWHERE, "", true},
    {AST_FOR, run_for, ANYWHERE, "", true},
    {AST_SCAN, run_scan, IN_MODEL | IN_LAYER | IN_FN, "a model, layer or function", true},
    {AST_REQUIRE, run_require, ANYWHERE, "", true},
    {AST_RETURN, run_return, ANYWHERE & ~IN_MODEL, "a layer or function", false},
    {AST_PARAM, run_param, IN_MODEL | IN_LAYER, "a model or layer", true},
    {AST_STATE, run_state, IN_MODEL | IN_LAYER | IN_OPTIMIZER | IN_SCHEDULE,
     "a model, layer, optimizer or schedule", true},
    {AST_UPDATE, run_update, IN_FN | IN_MODEL | IN_LAYER | IN_OPTIMIZER | IN_SCHEDULE,
     "a model, layer, optimizer or schedule", true},
    {AST_INPUT, run_input, IN_MODEL, "a model", false},
    {AST_LOSS, run_loss, IN_MODEL, "a model", false},
    {AST_METRIC, run_metric, IN_MODEL, "a model", false},
    {AST_OUTPUT, run_output, IN_MODEL, "a model", false},
    {AST_GRADIENT, run_gradient, IN_MODEL, "a model", false},
    {AST_FREEZE, run_freeze, IN_MODEL, "a model", false},
    {AST_INIT_FROM, run_init_from, IN_MODEL, "a model", false},
    {AST_GENERATE, run_generate, IN_MODEL, "a model", false},
};

static void run_statement(Sema *s, const Ast *a)
{
    if (!within_budget(s, a))
        return;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].kind != a->kind)
            continue;
        if (s->scan && s->scan->frame == s->frame && !rows[i].in_scan)
            diag_error(s->diag, a->span, "this statement cannot stand in a scan");
        else if (rows[i].frames & (1u << s->frame->kind))
            rows[i].run(s, a);
        else
            diag_error(s->diag, a->span, "this statement belongs in %s", rows[i].where);
        return;
    }
    diag_error(s->diag, a->span, "this statement cannot stand here");
}

/* Inside a call the first error ends the body; in the model later statements are looked at too. */
void run_body(Sema *s, const AstList *body)
{
    Frame *f = s->frame;
    const AstList *outer = f->body;
    const int errors = diag_error_count(s->diag), outer_at = f->at;
    f->body = body;
    for (f->at = 0; f->at < body->count && !f->returned; f->at++) {
        run_statement(s, body->data[f->at]);
        if (f->kind != FRAME_MODEL && diag_error_count(s->diag) > errors)
            break;
    }
    f->body = outer;
    f->at = outer_at;
}
