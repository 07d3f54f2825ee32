/* Parameters and states; updates; stated gradients; hyper-parameters. */
#include "sema/internal.h"

#include <ctype.h>
#include <string.h>

Tensor *tensor_find(Sema *s, const char *name)
{
    for (int i = 0; i < s->program->tensors.count; i++)
        if (s->program->tensors.data[i]->name == name)
            return s->program->tensors.data[i];
    return NULL;
}

Tensor *tensor_add(Sema *s, const char *name, Role role, DType type, const int64_t *shape, int rank,
                   Span span)
{
    Tensor *t = arena_new(s->arena, Tensor, 1);
    int64_t *copy = arena_new(s->arena, int64_t, rank + 1);
    if (rank)
        memcpy(copy, shape, sizeof *shape * (size_t)rank);
    *t = (Tensor){.name = intern(s->names, name),
                  .role = role,
                  .type = type,
                  .rank = rank,
                  .shape = copy,
                  .span = user_span(s, span)};
    vec_push(s->arena, &s->program->tensors, t);
    return t;
}

static int tensor_position(Sema *s, const Tensor *t)
{
    for (int i = 0; i < s->program->tensors.count; i++)
        if (s->program->tensors.data[i] == t)
            return i;
    bug("a tensor that the program does not know");
}

Node *tensor_outside(Sema *s, Tensor *t)
{
    const int at = tensor_position(s, t);
    while (s->current.count <= at)
        vec_push(s->arena, &s->current, NULL);
    if (!s->current.data[at])
        s->current.data[at] = graph_tensor(s->graph, t);
    return s->current.data[at];
}

/* Its newest value in this graph: an update is seen by what follows it. */
Node *tensor_current(Sema *s, Tensor *t)
{
    return s->scan && t->role == ROLE_STATE ? scan_state(s, t) : tensor_outside(s, t);
}

static void tensor_set(Sema *s, Tensor *t, Node *value)
{
    tensor_outside(s, t);
    s->current.data[tensor_position(s, t)] = value;
}

/* A number that the trainer may change between steps; made when first used at run time. */
Node *hyper_node(Sema *s, const char *name, double initial)
{
    name = intern(s->names, name);
    Tensor *t = tensor_find(s, name);
    if (!t) {
        t = tensor_add(s, name, ROLE_HYPER, s->program->real, NULL, 0, SPAN_NONE);
        t->initial = initial;
    }
    return tensor_current(s, t);
}

static const char *full_path(Sema *s, const char *name)
{
    const char *path = s->frame->path;
    return *path ? intern(s->names, arena_format(s->arena, "%s.%s", path, name)) : name;
}

/* ---- declarations ------------------------------------------------------------------------------------ */

static bool declared_shape(Sema *s, const Ast *a, int64_t **shape)
{
    *shape = arena_new(s->arena, int64_t, a->items.count + 1);
    statement_enter(s, a->name);
    bool ok = true;
    for (int i = 0; i < a->items.count && ok; i++) {
        const Ast *item = a->items.data[i];
        if (item->kind == AST_ELLIPSIS) {
            diag_error(s->diag, item->span, "a declared tensor needs every dimension");
            ok = false;
            break;
        }
        ok = eval_integer(s, item->kind == AST_INDEX ? item->left : item, "a dimension",
                          &(*shape)[i]);
        if (ok && (*shape)[i] == 0) {
            diag_error(s->diag, item->span, "a dimension must be at least 1");
            ok = false;
        }
    }
    statement_leave(s);
    return ok && within_limit(s, a->name, *shape, a->items.count, a->span);
}

static bool same_shape(Sema *s, const Tensor *t, const int64_t *shape, int rank, const Ast *a)
{
    bool same = t->rank == rank;
    for (int i = 0; same && i < rank; i++)
        same = t->shape[i] == shape[i];
    if (!same) {
        diag_error(s->diag, a->span, "`%s` would have shape %s here", t->name,
                   dimensions_text(s, shape, rank));
        diag_note(s->diag, t->span, "it was made here with shape %s",
                  dimensions_text(s, t->shape, t->rank));
        diag_help(s->diag, "what shares an instance must have equal widths");
    }
    return same;
}

/* In a loop a parameter is another one each time round: w, w_2, w_3. */
static const char *name_of_round(Sema *s, const Ast *a)
{
    const Span before = frame_span(s->frame, a->name);
    const bool again = before.file == a->name_span.file && before.begin == a->name_span.begin;
    if (!again)
        return a->name;
    const char *key = intern(s->names, arena_format(s->arena, "param %s", a->name));
    return intern(s->names,
                  arena_format(s->arena, "%s_%d", a->name, frame_count(s, s->frame, key) + 1));
}

static bool is_plain_name(const char *name)
{
    bool plain = *name && !(*name >= '0' && *name <= '9');
    for (const char *c = name; *c; c++)
        plain = plain && (isalnum((unsigned char)*c) || *c == '_');
    return plain;
}

/* What it is called in checkpoints: `as` may put numbers into that; NULL after an error. */
static const char *stored_name(Sema *s, const Ast *a, Role role)
{
    if (!a->cond)
        return role == ROLE_PARAM ? name_of_round(s, a) : a->name;
    const char *name = filled_text(s, a->cond);
    if (!name || is_plain_name(name))
        return name ? intern(s->names, name) : NULL;
    diag_error(s->diag, a->cond->span, "`%s` is no name: letters, digits and _ make one", name);
    return NULL;
}

/* Does the name stand for this tensor already?  What is stored under a name of its own may be another one. */
static bool is_declared_here(Sema *s, const Ast *a, const char *stored, Tensor *t)
{
    const Value *v = frame_lookup(s->frame, a->cond ? a->name : stored);
    return v && (!a->cond || (v->kind == VALUE_TENSOR && v->node == tensor_current(s, t)));
}

static void declare(Sema *s, const Ast *a, Role role)
{
    int64_t *shape;
    const char *stored = declared_shape(s, a, &shape) ? stored_name(s, a, role) : NULL;
    if (!stored) {
        frame_bind(s, s->frame, a->name, NULL, a->name_span); /* its uses stay silent */
        return;
    }
    const char *name = full_path(s, stored);
    Tensor *t = tensor_find(s, name);
    if (t && is_declared_here(s, a, stored, t)) {
        diag_error(s->diag, a->span, "`%s` is declared twice", a->name);
        diag_note(s->diag, t->span, "first here");
        return;
    }
    const Port *port = s->frame->kind == FRAME_MODEL ? find_port(s, a->name) : NULL;
    if (port) {
        diag_error(s->diag, a->span, "`%s` is declared twice", a->name);
        diag_note(s->diag, port->span, "first here");
        return;
    }
    if (t && !same_shape(s, t, shape, a->items.count, a))
        return;
    if (!t) {
        t = tensor_add(s, name, role, s->program->real, shape, a->items.count,
                       user_span(s, a->span));
        add_start(s, t, a);
    }
    Value *v = value_node(s, tensor_current(s, t), a->name_span);
    if (!a->cond)
        frame_bind(s, s->frame, stored, v, a->name_span);
    frame_bind(s, s->frame, a->name, v, a->name_span);
    if (a->kind == AST_STATE && a->right)
        run_fit(s, t, a);
}

void run_param(Sema *s, const Ast *a)
{
    declare(s, a, ROLE_PARAM);
}

/* What an update calls a state: one of each parameter, or of the schedule's number. */
static const char *moment_name(Sema *s, const char *name)
{
    const char *path = s->frame->kind == FRAME_SCHEDULE ? s->hyper_prefix : s->frame->weight->name;
    return intern(s->names, arena_format(s->arena, "%s.%s", path, name));
}

/* In an optimizer, a state has the shape of the parameter that is being updated; in a schedule it is a
 * number. */
static void declare_moment(Sema *s, const Ast *a)
{
    Tensor *w = s->frame->kind == FRAME_SCHEDULE ? NULL : s->frame->weight;
    if (a->right) {
        diag_error(s->diag, a->right->span, "only a state of a model or layer is fitted to data");
        return;
    }
    if (a->items.count) {
        diag_error(s->diag, a->span,
                   w ? "an optimizer's state has the shape of the parameter, without brackets"
                     : "a schedule's state is a number, without brackets");
        return;
    }
    const char *name = moment_name(s, a->name);
    Tensor *t = tensor_find(s, name);
    if (t && t->role == ROLE_AVERAGE) {
        diag_error(s->diag, a->name_span, "`average` is what the train block's average keeps");
        diag_help(s->diag, "give this state another name");
        return;
    }
    if (frame_lookup(s->frame, a->name)) {
        diag_error(s->diag, a->name_span, "`%s` is declared twice", a->name);
        diag_note(s->diag, frame_span(s->frame, a->name), "first here");
        return;
    }
    if (!t) {
        t = tensor_add(s, name, ROLE_MOMENT, w ? w->type : s->program->real, w ? w->shape : NULL,
                       w ? w->rank : 0, a->span);
        t->of = w;
        add_start(s, t, a);
    }
    frame_bind(s, s->frame, a->name, value_node(s, tensor_current(s, t), a->name_span),
               a->name_span);
}

void run_state(Sema *s, const Ast *a)
{
    if (s->frame->kind == FRAME_OPTIMIZER || s->frame->kind == FRAME_SCHEDULE)
        declare_moment(s, a);
    else
        declare(s, a, ROLE_STATE);
}

/* ---- updates ------------------------------------------------------------------------------------------- */

static Tensor *updated_tensor(Sema *s, const Ast *a)
{
    const Frame *f = s->frame;
    if (f->kind == FRAME_OPTIMIZER && a->name == intern(s->names, "w")) {
        if (!s->averaged)
            return f->weight;
        diag_error(s->diag, a->name_span, "an average leaves the parameter as it is");
        diag_help(s->diag, "update the average: average <- …");
        return NULL;
    }
    const bool moment = f->kind == FRAME_OPTIMIZER || f->kind == FRAME_SCHEDULE;
    const char *name = moment ? moment_name(s, a->name) : full_path(s, a->name);
    Tensor *t = tensor_find(s, name);
    if (t && (moment ? t->role == ROLE_MOMENT : t->role == ROLE_STATE))
        return t;
    if (t && t == s->averaged)
        return t;
    if (t && t->role == ROLE_PARAM) {
        diag_error(s->diag, a->name_span, "`%s` is a parameter; only the optimizer updates it",
                   a->name);
        return NULL;
    }
    diag_error(s->diag, a->name_span, "there is no state named `%s` here", a->name);
    diag_help(s->diag, "declare it: state %s[…] = 0", a->name);
    return NULL;
}

/* v as a node of t's shape; a number stands for every element. */
static Node *shaped_node(Sema *s, Tensor *t, Value *v)
{
    bool same = v->kind == VALUE_TENSOR && v->node && v->rank == t->rank;
    for (int i = 0; same && i < t->rank; i++)
        same = value_dimension(v, i)->extent == t->shape[i];
    return same ? v->node : start_node(s, t, v);
}

/* The new value as a node of the tensor's shape. */
static Node *update_value(Sema *s, const Ast *a, Tensor *t)
{
    const char *name = arena_format(s->arena, "%s_next", t->name);
    if (a->flag)
        return define_tensor(s, a, name, t->shape, t->rank);
    Value *v = eval_statement(s, a->left, name);
    if (!v)
        return NULL;
    Node *n = shaped_node(s, t, v);
    if (n && n != v->node)
        node_rename(s, n, name);
    return n;
}

/* In the other steps the tensor stays as it is. */
static Node *when_due(Sema *s, Tensor *t, Node *value)
{
    ExprPool *p = s->program->pool;
    Index **dims = shape_indices(s, t->shape, t->rank);
    const char *name = value->name;
    node_rename(s, value, arena_format(s->arena, "%s_due", name));
    const Expr *kept = access_node(s, graph_tensor(s->graph, t), dims, t->rank);
    const Expr *e = expr_select(p, expr_scalar(p, SCALAR_DUE, (int)s->every),
                                access_node(s, value, dims, t->rank), kept);
    return make_node(s, name, e, dims, t->rank, NULL, NULL, 0, value->span);
}

void state_set(Sema *s, Tensor *t, Node *n)
{
    if (s->scan) {
        scan_state_set(s, t, n);
        return;
    }
    tensor_set(s, t, n);
    const Result r = {RESULT_UPDATE, t->name, n, t, 0, s->every};
    for (int i = 0; i < s->updates.count; i++)
        if (s->updates.data[i].tensor == t) {
            s->updates.data[i] = r;
            return;
        }
    vec_push(s->arena, &s->updates, r);
}

void run_update(Sema *s, const Ast *a)
{
    if (run_carry_update(s, a))
        return;
    if (s->frame->kind == FRAME_FN) {
        diag_error(s->diag, a->span,
                   "this statement belongs in a model, layer, optimizer or schedule");
        return;
    }
    Tensor *t = updated_tensor(s, a);
    Node *n = t ? update_value(s, a, t) : NULL;
    if (!n)
        return;
    if (node_is_batched(n)) {
        diag_error(s->diag, a->span, "the new value of `%s` is one for each example", a->name);
        diag_help(s->diag, "reduce it over the batch: mean[batch] …");
        return;
    }
    if (s->every)
        n = when_due(s, t, n);
    state_set(s, t, n);
    frame_bind(s, s->frame, a->name, value_node(s, n, a->span), a->span);
}

/* Every parameter, and every path that leads to one. */
static int parameter_paths(Sema *s, const char **names, int room)
{
    int n = 0;
    for (int i = 0; i < s->program->tensors.count; i++) {
        const Tensor *t = s->program->tensors.data[i];
        if (t->role != ROLE_PARAM)
            continue;
        if (n < room)
            names[n++] = t->name;
        for (const char *dot = strchr(t->name, '.'); dot && n < room; dot = strchr(dot + 1, '.'))
            names[n++] = intern_n(s->names, t->name, (size_t)(dot - t->name));
    }
    return n;
}

void unknown_parameter(Sema *s, Span at, const char *name, const char *purpose)
{
    enum { ROOM = 4096 };
    const char **names = arena_new(s->arena, const char *, ROOM);
    const char *near = nearest_name(name, names, parameter_paths(s, names, ROOM));
    diag_error(s->diag, at, "there is no parameter `%s` %s", name, purpose);
    if (near)
        diag_help(s->diag, "did you mean `%s`?", near);
}

/* gradient dense_1.weight[o, i] = …: replaces the derived one. */
void run_gradient(Sema *s, const Ast *a)
{
    Tensor *t = tensor_find(s, a->name);
    if (!t || t->role != ROLE_PARAM) {
        unknown_parameter(s, a->name_span, a->name, "above this line");
        return;
    }
    if (s->entry != ENTRY_STEP && s->entry != ENTRY_GRADIENT)
        return;
    const char *name = arena_format(s->arena, "d_%s", t->name);
    Node *n = NULL;
    if (a->items.count || t->rank == 0) {
        n = define_tensor(s, a, name, t->shape, t->rank);
    } else {
        Value *v = eval_statement(s, a->left, name);
        n = v ? shaped_node(s, t, v) : NULL;
    }
    if (!n)
        return;
    if (node_is_batched(n)) {
        diag_error(s->diag, a->span, "this gradient is one for each example");
        diag_help(s->diag, "average it: mean[batch] …");
        return;
    }
    graph_result(s->graph, RESULT_GRADIENT, t->name, n, t, 0);
}
