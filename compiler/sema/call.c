/* Calls: which definition is meant, its arguments evaluated, its body elaborated in a frame. */
#include "sema/internal.h"

#include <string.h>

enum { DEEPEST_CALL = 200 };

Frame *frame_enter(Sema *s, FrameKind kind, const Ast *decl, bool library, const char *path)
{
    Frame *f = arena_new(s->arena, Frame, 1);
    f->caller = s->frame;
    f->kind = kind;
    f->decl = decl;
    f->library = library;
    f->path = path;
    f->depth = s->frame ? s->frame->depth + 1 : 0;
    s->frame = f;
    return f;
}

void frame_leave(Sema *s)
{
    s->frame = s->frame->caller;
}

/* ---- arguments ------------------------------------------------------------------------------------ */

typedef struct Arguments {
    VEC(Value *) values;
    VEC(const char *) names; /* NULL: positional */
} Arguments;

static bool eval_arguments(Sema *s, const Ast *call, Value *piped, Arguments *args)
{
    if (piped) {
        vec_push(s->arena, &args->values, piped);
        vec_push(s->arena, &args->names, NULL);
    }
    for (int i = 0; call->kind == AST_CALL && i < call->items.count; i++) {
        const Ast *item = call->items.data[i];
        const bool named = item->kind == AST_ARGUMENT;
        const bool outer = s->symbols, outer_division = s->integer_division;
        s->symbols = true;
        s->integer_division = false;
        Value *v = eval(s, named ? item->left : item);
        s->symbols = outer;
        s->integer_division = outer_division;
        if (!v)
            return false;
        v->label = item->name_span;
        vec_push(s->arena, &args->values, v);
        vec_push(s->arena, &args->names, named ? item->name : NULL);
    }
    return true;
}

/* ---- bodies --------------------------------------------------------------------------------------------- */

static FrameKind frame_kind(const Ast *decl)
{
    switch (decl->kind) {
    case AST_LAYER:
        return FRAME_LAYER;
    case AST_SCHEDULE:
        return FRAME_SCHEDULE;
    case AST_INITIALIZER:
        return FRAME_INITIALIZER;
    case AST_OPTIMIZER:
        return FRAME_OPTIMIZER;
    default:
        return FRAME_FN;
    }
}

/* What every optimizer is given: w, the parameter, and g, its gradient, or what becomes its average. */
static void bind_optimized(Sema *s, Span span)
{
    s->frame->weight = s->updated;
    frame_bind(s, s->frame, intern(s->names, "w"),
               value_node(s, tensor_current(s, s->updated), span), span);
    if (s->averaged)
        frame_bind(s, s->frame, intern(s->names, "average"),
                   value_node(s, tensor_current(s, s->averaged), span), span);
    else
        frame_bind(s, s->frame, intern(s->names, "g"), value_node(s, s->gradient, span), span);
}

static Value *run_definition(Sema *s, const Declaration *d, Value **bound, Span span)
{
    const bool states = d->ast->kind == AST_FN && d->ast->orelse.count;
    for (int i = 0; i < d->ast->items.count; i++) {
        const Ast *param = d->ast->items.data[i];
        if ((states && bound[i] && !store_argument(s, param, bound[i])) ||
            !bind_parameter(s, param, bound[i]))
            return NULL;
    }
    if (s->frame->kind == FRAME_OPTIMIZER) {
        bind_optimized(s, span);
        run_body(s, &d->ast->body);
        return value_truth(s, true, span);
    }
    const int errors = diag_error_count(s->diag);
    run_body(s, &d->ast->body);
    if (s->frame->returned)
        return state_derivatives(s, d->ast, s->frame->result);
    if (diag_error_count(s->diag) == errors)
        diag_error(s->diag, span, "`%s` ends without a return", d->name);
    return NULL;
}

static const Maker *maker_add(Sema *s, const Ast *decl, const Maker *before)
{
    Maker *m = arena_new(s->arena, Maker, 1);
    *m = (Maker){decl, before};
    return m;
}

/* The definition that goes on calling itself is the one that most of the bodies around belong to. */
static void report_recursion(Sema *s)
{
    const Frame *of = s->frame;
    int most = 0;
    for (const Frame *f = s->frame; f; f = f->caller) {
        int count = 0;
        for (const Frame *g = f; g; g = g->caller)
            count += g->decl == f->decl;
        if (count > most) {
            most = count;
            of = f;
        }
    }
    diag_error(s->diag, of->call, "`%s` is called within itself more than %d deep", of->decl->name,
               most - 1);
    diag_help(s->diag, "end it with an if on a number known at compile time");
}

Value *apply_declaration(Sema *s, const Declaration *d, const char *path, Value **args,
                         const char *const *names, int count, Span span)
{
    Value **bound = match_arguments(s, d->ast, args, names, count, span);
    if (!bound)
        return NULL;
    if (s->frame->depth > DEEPEST_CALL) {
        report_recursion(s);
        return NULL;
    }
    Statement *outer_statement = s->statement;
    const bool outer_symbols = s->symbols, outer_division = s->integer_division;
    const bool outer_time = s->compile_time;
    const Span outer_call = s->call;
    if (!sources_is_library(s, span))
        s->call = span;
    s->statement = NULL;
    s->symbols = s->integer_division = s->compile_time = false;
    diag_enter_call(s->diag, span, d->name);
    frame_enter(s, frame_kind(d->ast), d->ast, d->library, path)->call = span;
    Value *result = run_definition(s, d, bound, span);
    frame_leave(s);
    diag_leave_call(s->diag);
    s->statement = outer_statement;
    s->symbols = outer_symbols;
    s->integer_division = outer_division;
    s->compile_time = outer_time;
    s->call = outer_call;
    if (!result)
        return NULL;
    Value *here = result;
    if (!(result->kind == VALUE_TENSOR && !result->node)) {
        here = arena_new(s->arena, Value, 1);
        *here = *result;
        here->name = NULL; /* the callee's, of no use to the caller */
    }
    here->span = span;
    if (here->kind == VALUE_TENSOR)
        here->makers = maker_add(s, d->ast, here->makers);
    return here;
}

/* ---- layers --------------------------------------------------------------------------------------------- */

int frame_count(Sema *s, Frame *f, const char *name)
{
    for (int i = 0; i < f->counters.count; i++)
        if (f->counters.data[i].name == name)
            return ++f->counters.data[i].count;
    vec_push(s->arena, &f->counters, ((Counter){name, 1}));
    return 1;
}

/* dense_1, dense_2, … within the enclosing layer; a function counts with its caller.  What is applied
 * in training alone must not shift the names of the rest, so an application is known by its place: the
 * calls that lead to it, and how often they did before. */
static const char *automatic_path(Sema *s, const char *name, Span span)
{
    Frame *f = s->frame;
    const char *at = arena_format(s->arena, "%d:%d", span.file, span.begin);
    for (; f->kind == FRAME_FN && f->caller; f = f->caller)
        at = arena_format(s->arena, "%s<%d:%d", at, f->call.file, f->call.begin);
    at = intern(s->names, at);
    at = intern(s->names,
                arena_format(s->arena, "%s of %s, %d", at, f->path, frame_count(s, f, at)));
    const char *base =
        intern(s->names, arena_format(s->arena, "%s%s%s", f->path, *f->path ? "." : "", name));
    int count = 1;
    for (int i = 0; i < s->automatic_paths.count; i++) {
        const AutomaticPath *known = &s->automatic_paths.data[i];
        if (known->at == at && known->base == base)
            return known->path;
        count += known->base == base;
    }
    const char *path = intern(s->names, arena_format(s->arena, "%s_%d", base, count));
    vec_push(s->arena, &s->automatic_paths, ((AutomaticPath){at, base, path}));
    return path;
}

static bool lacks_tensor(const Ast *decl, const Arguments *args)
{
    if (decl->items.count == 0 || !decl->items.data[0]->flag)
        return false;
    for (int i = 0; i < args->values.count; i++)
        if (args->names.data[i] ? args->names.data[i] == decl->items.data[0]->name
                                : args->values.data[i]->kind == VALUE_TENSOR)
            return false;
    return true;
}

static Value *make_instance(Sema *s, const Ast *decl, const Arguments *args, Span span)
{
    Value *v = arena_new(s->arena, Value, 1);
    v->kind = VALUE_INSTANCE;
    v->span = span;
    v->instance = arena_new(s->arena, Instance, 1);
    v->instance->decl = decl;
    v->instance->span = span;
    for (int i = 0; i < args->values.count; i++) {
        vec_push(s->arena, &v->instance->args, args->values.data[i]);
        vec_push(s->arena, &v->instance->names, args->names.data[i]);
    }
    return v;
}

/* What `info` tells of a layer of the model. */
static void record_layer(Sema *s, const Ast *decl, const char *path, const Value *result,
                         int first_node)
{
    if (s->layers_recorded || s->training || s->frame->kind != FRAME_MODEL)
        return;
    LayerRow row = {.name = path, .kind = decl->name, .rank = result->rank};
    int64_t *shape = arena_new(s->arena, int64_t, result->rank + 1);
    for (int i = 0; i < result->rank; i++)
        value_extent(result, i, &shape[i]);
    row.shape = shape;
    const size_t length = strlen(path);
    for (int i = 0; i < s->program->tensors.count; i++) {
        const Tensor *t = s->program->tensors.data[i];
        if (t->role != ROLE_PARAM || strncmp(t->name, path, length) || t->name[length] != '.')
            continue;
        int64_t elements = 1;
        for (int k = 0; k < t->rank; k++)
            elements *= t->shape[k];
        row.parameters += elements;
    }
    for (int i = first_node; i < s->graph->nodes.count; i++) {
        const Node *n = s->graph->nodes.data[i];
        double points = n->kind == NODE_COMPUTE ? 1 : 0;
        for (int k = node_is_batched(n); k < n->rank; k++)
            points *= (double)n->domain[k]->extent;
        for (int k = 0; k < n->bound_count; k++)
            points *= (double)n->bound[k]->extent;
        row.flops += points * (n->reduction ? 2 : 1);
    }
    vec_push(s->arena, &s->program->layers, row);
}

static Value *apply_layer(Sema *s, const Declaration *d, const char *path, Value **args,
                          const char *const *names, int count, Span span)
{
    const int first_node = s->graph->nodes.count;
    Value *v = apply_declaration(s, d, path, args, names, count, span);
    if (!v)
        return NULL;
    if (v->kind == VALUE_TENSOR && v->node && v->node->id >= first_node)
        node_rename(s, v->node, path);
    else if (v->kind == VALUE_TENSOR && !v->node)
        v->hint = path;
    record_layer(s, d->ast, path, v, first_node);
    return v;
}

static Value *apply_instance(Sema *s, Instance *in, const Arguments *args, Span span)
{
    Arguments all = {0};
    for (int i = 0; i < args->values.count; i++) {
        vec_push(s->arena, &all.values, args->values.data[i]);
        vec_push(s->arena, &all.names, args->names.data[i]);
    }
    for (int i = 0; i < in->args.count; i++) {
        vec_push(s->arena, &all.values, in->args.data[i]);
        vec_push(s->arena, &all.names, in->names.data[i]);
    }
    if (!in->path)
        in->path = automatic_path(s, in->decl->name, in->span);
    const Declaration d = {in->decl, in->decl->name, sources_is_library(s, in->decl->span)};
    return apply_layer(s, &d, in->path, all.values.data, all.names.data, all.values.count, span);
}

/* ---- calls ------------------------------------------------------------------------------------------------ */

static Value *call_random(Sema *s, RandomKind kind, Span span)
{
    ExprPool *p = s->program->pool;
    const bool init = s->graph == s->init;
    const bool batched =
        !init && s->frame->kind != FRAME_OPTIMIZER && s->frame->kind != FRAME_SCHEDULE;
    /* Starting values draw from sites of their own, so that no layer repeats them. */
    const int site = init ? (1 << 20) + s->init_site++ : s->site++;
    return value_expr(
        s, expr_random(p, kind, site, affine_index(p, batched ? s->element_batched : s->element)),
        NULL, 0, span);
}

static Value *call_scalar(Sema *s, const ScalarFunction *f, const Arguments *args, Span span)
{
    for (int i = 0; i < args->names.count; i++)
        if (args->names.data[i]) {
            diag_error(s->diag, args->values.data[i]->span,
                       "`%s` takes its arguments without names", f->name);
            return NULL;
        }
    if (args->values.count != f->arity) {
        diag_error(s->diag, span, "`%s` takes %d argument%s, found %d", f->name, f->arity,
                   f->arity == 1 ? "" : "s", args->values.count);
        if (args->values.count == 1 && reduction_find(f->name))
            diag_help(s->diag, "over a tensor's elements: %s[...] x[...]", f->name);
        return NULL;
    }
    Value *v = apply_function(s, f, args->values.data, span);
    if (v && v->kind == VALUE_TENSOR)
        v->hint = f->name;
    return v;
}

static Value *call_declared(Sema *s, const Declaration *d, const Arguments *args, Span span)
{
    switch (d->ast->kind) {
    case AST_LAYER:
        if (lacks_tensor(d->ast, args))
            return make_instance(s, d->ast, args, span);
        return apply_layer(s, d, automatic_path(s, d->name, span), args->values.data,
                           args->names.data, args->values.count, span);
    case AST_FN:
    case AST_SCHEDULE:
    case AST_INITIALIZER: {
        const int first_node = s->graph->nodes.count;
        Value *v = apply_declaration(s, d, s->frame->path, args->values.data, args->names.data,
                                     args->values.count, span);
        if (v && v->kind == VALUE_TENSOR && !v->node)
            v->hint = d->name;
        else if (v && v->kind == VALUE_TENSOR && v->node->id >= first_node)
            node_rename(s, v->node, d->name);
        return v;
    }
    default:
        diag_error(s->diag, span, "`%s` cannot be called here", d->name);
        return NULL;
    }
}

static const ScalarFunction *find_function(const char *name)
{
    if (!strcmp(name, "f32") || !strcmp(name, "f64"))
        return &scalar_to_real;
    if (!strcmp(name, "i32"))
        return &scalar_to_integer;
    const ScalarFunction *f = scalar_find(name);
    return f && !f->infix ? f : NULL;
}

static void unknown_callee(Sema *s, const Ast *callee)
{
    const Value *variable = frame_lookup(s->frame, callee->name);
    if (variable) {
        diag_error(s->diag, callee->span, "`%s` is %s and cannot be called", callee->name,
                   value_describe(s, variable));
        if (variable->kind == VALUE_TENSOR)
            diag_help(s->diag, "subscripts stand in brackets: %s[…]", callee->name);
    } else if (reduction_find(callee->name)) {
        diag_error(s->diag, callee->span, "`%s` is a reduction: it names its indices in brackets",
                   callee->name);
        diag_help(s->diag, "over every element: %s[...] x[...]; over one index: %s[i] x[i]",
                  callee->name, callee->name);
    } else if (s->frame->kind == FRAME_SCHEDULE) {
        sema_unknown_name(s, callee->span, callee->name, AST_SCHEDULE, "schedule");
    } else {
        sema_unknown_name(s, callee->span, callee->name, AST_KIND_COUNT, "layer or function");
    }
}

static Value *call_named(Sema *s, const Ast *callee, const Arguments *args, Span span)
{
    const char *name = callee->name;
    const Declaration *d = sema_callable(s, name);
    if (d && (!d->library || s->frame->library))
        return call_declared(s, d, args, span);
    if (!strcmp(name, "random_uniform") || !strcmp(name, "random_normal"))
        return call_random(s, name[7] == 'u' ? RANDOM_UNIFORM : RANDOM_NORMAL, span);
    const ScalarFunction *f = find_function(name);
    if (f)
        return call_scalar(s, f, args, span);
    const Builtin *b = builtin_find(name);
    if (b && (args->values.count < b->least || args->values.count > b->most)) {
        diag_error(s->diag, span, "write it so: %s", b->usage);
        return NULL;
    }
    if (b)
        return b->apply(s, args->values.data, args->names.data, args->values.count, span);
    if (d)
        return call_declared(s, d, args, span);
    unknown_callee(s, callee);
    return NULL;
}

/* `piped` is the left side of |>, or NULL. */
Value *eval_call(Sema *s, const Ast *call, Value *piped)
{
    const Ast *callee = call->kind == AST_CALL ? call->left : call;
    Arguments args = {0};
    Value *target = NULL;
    if (callee->kind == AST_NAME)
        target = frame_lookup(s->frame, callee->name);
    else if (!(target = eval(s, callee)))
        return NULL;
    /* Variables and functions do not hide each other: only instances are called by a variable's name. */
    if (target && target->kind != VALUE_INSTANCE && callee->kind != AST_NAME) {
        diag_error(s->diag, callee->span, "this is %s and cannot be called",
                   value_describe(s, target));
        return NULL;
    }
    if (!eval_arguments(s, call, piped, &args))
        return NULL;
    if (target && target->kind == VALUE_INSTANCE)
        return apply_instance(s, target->instance, &args, call->span);
    /* A parameter that was given the name of a function stands for it. */
    Ast named = *callee;
    if (target && target->kind == VALUE_SYMBOL && !sema_callable(s, callee->name))
        named.name = target->text;
    return call_named(s, &named, &args, call->span);
}
