/* The floor's entrance: a file's declarations, and the graphs of its entry points. */
#include "sema/internal.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- declarations --------------------------------------------------------------------------------------- */

static bool is_definition(AstKind k)
{
    return k == AST_MODEL || k == AST_LAYER || k == AST_FN || k == AST_OPTIMIZER ||
           k == AST_SCHEDULE || k == AST_INITIALIZER;
}

/* Schedules, initializers and optimizers are looked up apart from what expressions call. */
static bool same_space(AstKind a, AstKind b)
{
    const bool a_called = a == AST_FN || a == AST_LAYER || a == AST_MODEL;
    const bool b_called = b == AST_FN || b == AST_LAYER || b == AST_MODEL;
    return a == b || (a_called && b_called);
}

static void declare(Sema *s, const Ast *a, bool library)
{
    for (int i = 0; i < s->declarations.count; i++) {
        const Declaration *d = &s->declarations.data[i];
        if (d->name != a->name || d->library != library || !same_space(d->ast->kind, a->kind))
            continue;
        diag_error(s->diag, a->name_span, "`%s` is defined twice", a->name);
        diag_note(s->diag, d->ast->name_span, "first here");
        return;
    }
    const Declaration d = {a, a->name, library};
    vec_push(s->arena, &s->declarations, d);
}

static void read_file(Sema *s, const Ast *file, bool library, bool main);

/* Files are told apart by where they lie, however the way there is written. */
static bool first_reading(Sema *s, const char *path)
{
    char real[PATH_MAX];
    const char *name = intern(s->names, realpath(path, real) ? real : path);
    for (int i = 0; i < s->files.count; i++)
        if (s->files.data[i] == name)
            return false;
    vec_push(s->arena, &s->files, name);
    return true;
}

/* Relative to the importing file's folder. */
static void read_import(Sema *s, const Ast *a)
{
    const char *from = source_get(s->syntax->sources, a->span.file)->path;
    const char *slash = strrchr(from, '/');
    const char *path = slash && a->name[0] != '/'
                           ? arena_format(s->arena, "%.*s/%s", (int)(slash - from), from, a->name)
                           : a->name;
    if (!first_reading(s, path))
        return;
    const int file = source_read(s->syntax->sources, path);
    if (file < 0) {
        diag_error(s->diag, a->span, "cannot read `%s`: %s", path, strerror(errno));
        return;
    }
    const Ast *tree = syntax_parse(s->syntax, file);
    if (tree)
        read_file(s, tree, false, false);
}

static void read_file(Sema *s, const Ast *file, bool library, bool main)
{
    for (int i = 0; i < file->body.count; i++) {
        const Ast *a = file->body.data[i];
        if (a->kind == AST_IMPORT)
            read_import(s, a);
        else if (is_definition(a->kind) && (main || a->kind != AST_MODEL))
            declare(s, a, library);
    }
}

static void read_library(Sema *s)
{
    for (const LibraryFile *f = library_files; f->path; f++) {
        const int file =
            source_add(s->syntax->sources, f->path, f->text, (int)strlen(f->text), true);
        const Ast *tree = syntax_parse(s->syntax, file);
        if (tree)
            read_file(s, tree, true, false);
    }
}

/* ---- which model ------------------------------------------------------------------------------------------ */

static const Ast *find_train(const Ast *file, const char *model)
{
    const Ast *unnamed = NULL;
    for (int i = 0; i < file->body.count; i++) {
        const Ast *a = file->body.data[i];
        if (a->kind != AST_TRAIN)
            continue;
        if (a->name && model && a->name == model)
            return a;
        if (!a->name)
            unnamed = a;
    }
    return unnamed;
}

static int model_names(Sema *s, const char **names)
{
    int n = 0;
    for (int i = 0; i < s->declarations.count; i++)
        if (s->declarations.data[i].ast->kind == AST_MODEL)
            names[n++] = s->declarations.data[i].name;
    return n;
}

/* train NAME belongs to a model of this file. */
static void check_train_names(Sema *s, const Ast *file)
{
    const char **names = arena_new(s->arena, const char *, s->declarations.count + 1);
    const int count = model_names(s, names);
    for (int i = 0; i < file->body.count; i++) {
        const Ast *a = file->body.data[i];
        bool known = a->kind != AST_TRAIN || !a->name;
        for (int k = 0; !known && k < count; k++)
            known = names[k] == a->name;
        for (int k = 0; k < i && a->kind == AST_TRAIN; k++)
            if (file->body.data[k]->kind == AST_TRAIN && file->body.data[k]->name == a->name) {
                diag_error(s->diag, a->span, "there are two train blocks for one model");
                diag_note(s->diag, file->body.data[k]->span, "the first is here");
            }
        if (known)
            continue;
        const char *near = nearest_name(a->name, names, count);
        diag_error(s->diag, a->name_span, "there is no model named `%s` to train", a->name);
        if (near || count)
            diag_help(s->diag, "did you mean `%s`?", near ? near : names[0]);
    }
}

static bool choose_model(Sema *s, const Ast *file)
{
    const char *wanted = s->options.model ? intern(s->names, s->options.model) : NULL;
    const Ast *found = NULL;
    int count = 0;
    for (int i = 0; i < file->body.count; i++) {
        const Ast *a = file->body.data[i];
        if (a->kind != AST_MODEL || (wanted && a->name != wanted))
            continue;
        if (!found)
            found = a;
        count++;
    }
    if (count == 1) {
        s->model = found;
        s->train = find_train(file, found->name);
        check_train_names(s, file);
        return true;
    }
    const Span top = {file->span.file, 0, 0};
    if (count == 0 && wanted) {
        const char **names = arena_new(s->arena, const char *, s->declarations.count + 1);
        const char *near = nearest_name(wanted, names, model_names(s, names));
        diag_error(s->diag, top, "there is no model named `%s` in this file", wanted);
        if (near)
            diag_help(s->diag, "did you mean `%s`?", near);
    } else if (count == 0) {
        diag_error(s->diag, top, "there is no model in this file");
        diag_help(s->diag, "a model is: model name { … }");
    } else if (wanted) {
        bug("two models of one name");
    } else {
        diag_error(s->diag, found->name_span, "there are %d models in this file", count);
        diag_help(s->diag, "choose one with --model=%s", found->name);
    }
    return false;
}

static bool body_has(const AstList *body, AstKind kind)
{
    for (int i = 0; i < body->count; i++) {
        const Ast *a = body->data[i];
        if (a->kind == kind)
            return true;
        if ((a->kind == AST_IF || a->kind == AST_REPEAT || a->kind == AST_FOR ||
             a->kind == AST_SCAN) &&
            (body_has(&a->body, kind) || body_has(&a->orelse, kind)))
            return true;
    }
    return false;
}

bool sema_has_entry(const Sema *s, EntryKind kind)
{
    const bool loss = body_has(&s->model->body, AST_LOSS),
               metric = body_has(&s->model->body, AST_METRIC);
    switch (kind) {
    case ENTRY_INIT:
        return true;
    case ENTRY_GRADIENT:
    case ENTRY_LOSS:
        return loss;
    case ENTRY_STEP:
    case ENTRY_UPDATE:
        return loss && has_optimizer(s);
    case ENTRY_EVALUATE:
    case ENTRY_FINISH:
        return loss || metric;
    case ENTRY_PREDICT:
        return body_has(&s->model->body, AST_OUTPUT);
    case ENTRY_GENERATE:
        return body_has(&s->model->body, AST_GENERATE);
    case ENTRY_FIT:
    case ENTRY_FITTED:
        return s->has_fits;
    default:
        return false;
    }
}

/* Inputs first, then targets: the order of every call's pointers. */
static void declare_ports(Sema *s)
{
    for (int targets = 0; targets < 2; targets++)
        for (int i = 0; i < s->model->body.count; i++) {
            const Ast *a = s->model->body.data[i];
            if (a->kind == AST_INPUT && a->flag == (targets == 1))
                run_input(s, a);
        }
}

/* loss = mse(y, t), as other languages have it. */
static const Ast *assigned_loss(Sema *s, const AstList *body)
{
    for (int i = 0; i < body->count; i++)
        if (body->data[i]->kind == AST_ASSIGN && body->data[i]->name == intern(s->names, "loss"))
            return body->data[i];
    return NULL;
}

/* A model is made of something, for something. */
static void check_purpose(Sema *s)
{
    const AstList *body = &s->model->body;
    if (!body_has(body, AST_INPUT)) {
        diag_error(s->diag, s->model->name_span, "model `%s` has no input", s->model->name);
        diag_help(s->diag, "declare what one example is: input x[4] : f32");
    }
    const bool loss = body_has(body, AST_LOSS);
    if (!loss && !body_has(body, AST_METRIC) && !body_has(body, AST_OUTPUT) &&
        !body_has(body, AST_GENERATE)) {
        diag_error(s->diag, s->model->name_span,
                   "model `%s` states no loss, no metric and no output", s->model->name);
        const Ast *assigned = assigned_loss(s, body);
        if (assigned)
            diag_help(s->diag, "`loss = …` names a value; what is minimised is stated without `=`: "
                               "loss mse(y, t), or loss name = mse(y, t)");
        else
            diag_help(s->diag, "say what it is for: loss mse(y, t), or output y");
    } else if (!loss && s->groups.count && s->train->name) {
        diag_error(s->diag, s->groups.data[0].span,
                   "an optimizer needs a loss, and model `%s` states none", s->model->name);
        diag_note(s->diag, s->model->name_span, "the model is here");
    }
}

static void begin_graph(Sema *s, EntryKind kind)
{
    Program *p = s->program;
    s->entry = kind;
    s->graph = graph_create(p->pool, s->names, entry_name(kind), s->batch->extent);
    s->current.data = NULL;
    s->current.count = s->current.capacity = 0;
    s->updates.count = 0;
    s->site = 0;
    s->statements_run = 0;
    s->facts = NULL;
    s->statement = NULL;
    s->frame = NULL;
    frame_enter(s, FRAME_MODEL, s->model, false, "");
    p->entries[kind] = s->graph;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* One input declared f64 makes all of the model's numbers double. */
static bool wants_double(const Ast *model)
{
    for (int i = 0; i < model->body.count; i++) {
        const Ast *a = model->body.data[i];
        if (a->kind == AST_INPUT && a->left->kind == AST_NAME && !strcmp(a->left->name, "f64"))
            return true;
    }
    return false;
}

Sema *sema_create(SyntaxContext *syntax, Ast *file, const SemaOptions *options)
{
    Sema *s = arena_new(syntax->arena, Sema, 1);
    s->syntax = syntax;
    s->arena = syntax->arena;
    s->names = syntax->names;
    s->diag = syntax->diag;
    s->options = *options;
    s->call = SPAN_NONE;
    Program *p = arena_new(s->arena, Program, 1);
    s->program = p;
    p->arena = s->arena;
    p->names = s->names;
    p->sources = syntax->sources;
    p->source_file = base_name(source_get(syntax->sources, file->span.file)->path);
    read_library(s);
    first_reading(s, source_get(syntax->sources, file->span.file)->path);
    read_file(s, file, false, true);
    if (!choose_model(s, file))
        return NULL;
    p->name = s->model->name;
    p->real = wants_double(s->model) ? TYPE_F64 : options->real;
    p->pool = expr_pool_create(s->arena, p->real);
    frame_enter(s, FRAME_MODEL, s->model, false, "");
    read_train(s); /* its errors are counted below: the model's own come in the same run */
    check_purpose(s);
    s->batch = index_new(p->pool, intern(s->names, "batch"), p->train.batch, 1, SPAN_NONE);
    s->element = index_new(p->pool, intern(s->names, "element"), 1, 0, SPAN_NONE);
    s->element_batched = index_new(p->pool, intern(s->names, "element"), 1, 0, SPAN_NONE);
    begin_graph(s, ENTRY_INIT);
    s->init = s->graph;
    s->graph = graph_create(p->pool, s->names, "ports", p->train.batch);
    declare_ports(s);
    return s;
}

Program *sema_program(Sema *s)
{
    return s->program;
}

const Ast *sema_train_block(const Sema *s)
{
    return s->train;
}

/* ---- entries ------------------------------------------------------------------------------------------------ */

static void freeze_parameters(Sema *s)
{
    for (int i = 0; i < s->frozen.count; i++) {
        const char *name = s->frozen.data[i];
        bool any = false;
        for (int k = 0; k < s->program->tensors.count; k++) {
            Tensor *t = s->program->tensors.data[k];
            if (t->role == ROLE_PARAM && path_fits(name, t->name))
                t->frozen = any = true;
        }
        if (!any)
            unknown_parameter(s, s->frozen_spans.data[i], name, "to freeze");
    }
}

/* What starts from a file must be there. */
static void check_inits(Sema *s)
{
    for (int i = 0; i < s->program->inits.count; i++) {
        const InitFrom *from = &s->program->inits.data[i];
        bool any = false;
        for (int k = 0; k < s->program->tensors.count; k++) {
            const Tensor *t = s->program->tensors.data[k];
            any |= (t->role == ROLE_PARAM || t->role == ROLE_STATE) &&
                   path_fits(from->pattern, t->name);
        }
        if (!any)
            unknown_parameter(s, from->span, from->pattern, "to start from a file");
    }
}

/* States change in training alone; what a body says of them elsewhere has no effect. */
static void add_state_updates(Sema *s)
{
    for (int i = 0; i < s->updates.count && (s->entry == ENTRY_STEP || s->entry == ENTRY_GRADIENT);
         i++) {
        const Result *r = &s->updates.data[i];
        graph_result(s->graph, r->role, r->name, r->value, r->tensor, 0);
    }
    s->updates.count = 0;
}

static bool elaborate(Sema *s, EntryKind kind, bool training)
{
    const int errors = diag_error_count(s->diag);
    begin_graph(s, kind);
    s->training = training;
    s->frozen.count = s->frozen_spans.count = 0;
    s->program->inits.count = 0;
    const int layers = s->program->layers.count;
    run_body(s, &s->model->body);
    s->layers_recorded = s->layers_recorded || s->program->layers.count > layers;
    if (diag_error_count(s->diag) == errors)
        freeze_parameters(s);
    if (diag_error_count(s->diag) == errors)
        check_inits(s);
    if (kind == ENTRY_EVALUATE || kind == ENTRY_PREDICT || kind == ENTRY_GENERATE)
        read_averages(s);
    if (diag_error_count(s->diag) == errors && (kind == ENTRY_STEP || kind == ENTRY_GRADIENT))
        assign_groups(s);
    add_state_updates(s);
    if (kind == ENTRY_EVALUATE && diag_error_count(s->diag) == errors)
        build_finish(s);
    if (kind == ENTRY_FIT && diag_error_count(s->diag) == errors)
        build_fitted(s);
    return diag_error_count(s->diag) == errors;
}

/* One sequence is generated at a time. */
static bool elaborate_generate(Sema *s)
{
    Index *batch = s->batch;
    s->batch = index_new(s->program->pool, batch->name, 1, 1, SPAN_NONE);
    const bool done = elaborate(s, ENTRY_GENERATE, false);
    s->batch = batch;
    return done;
}

bool sema_forward(Sema *s, EntryKind kind)
{
    if (!sema_has_entry(s, kind))
        return false;
    /* Their graphs are there: the elaboration of evaluate and of fit made them. */
    if (kind == ENTRY_FINISH)
        return check_best(s);
    if (kind == ENTRY_FITTED)
        return true;
    if (kind == ENTRY_UPDATE) {
        begin_graph(s, kind);
        return true;
    }
    if (kind == ENTRY_GENERATE)
        return elaborate_generate(s);
    return elaborate(s, kind, kind != ENTRY_EVALUATE && kind != ENTRY_PREDICT && kind != ENTRY_FIT);
}

bool sema_forward_inference(Sema *s)
{
    return s->asked_training && elaborate(s, ENTRY_LOSS, false);
}

bool sema_complete(Sema *s, EntryKind kind)
{
    /* Passes in between may have replaced nodes: start from what the graph holds now. */
    s->current.count = 0;
    if (kind == ENTRY_FINISH || kind == ENTRY_INIT || kind == ENTRY_EVALUATE ||
        kind == ENTRY_PREDICT || kind == ENTRY_GENERATE || kind == ENTRY_FIT ||
        kind == ENTRY_FITTED)
        return true;
    return add_updates(s);
}
