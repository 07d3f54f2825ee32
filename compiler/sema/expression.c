/* Expressions: one function a kind of tree node. */
#include "sema/internal.h"

#include <string.h>

static Value *eval_list(Sema *s, const Ast *a)
{
    Value *list = value_list(s, a->span);
    for (int i = 0; i < a->items.count; i++) {
        Value *item = eval(s, a->items.data[i]);
        if (!item)
            return NULL;
        vec_push(s->arena, &list->items, item);
    }
    return list;
}

static bool in_update(const Sema *s)
{
    return s->frame->kind == FRAME_OPTIMIZER || s->frame->kind == FRAME_SCHEDULE;
}

/* What an update may know of the evaluations so far: how many, and what the last one measured. */
static bool of_evaluation(Sema *s, const char *name)
{
    return in_update(s) &&
           (name == intern(s->names, "evaluations") || name == intern(s->names, "measure") ||
            name == intern(s->names, "measure_rises"));
}

bool is_ambient(Sema *s, const char *name)
{
    static const char *const names[] = {"training",   "pi",   "batch",
                                        "batch_size", "step", "total_steps"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (name == intern(s->names, names[i]))
            return true;
    return of_evaluation(s, name);
}

/* A group that is updated once in several steps counts its own updates alone. */
static Value *total_steps(Sema *s, Span span)
{
    ExprPool *p = s->program->pool;
    Node *steps = hyper_node(s, intern(s->names, "steps"), (double)s->program->train.steps);
    if (!s->every)
        return value_node(s, steps, span);
    const Expr *own = expr_div(p, access_node(s, steps, NULL, 0), expr_const(p, (double)s->every));
    return value_expr(s, expr_call(p, scalar_find("floor"), &own), NULL, 0, span);
}

/* Numbers that every body knows. */
static Value *eval_ambient(Sema *s, const Ast *a)
{
    ExprPool *p = s->program->pool;
    if (a->name == intern(s->names, "training")) {
        s->asked_training = true;
        return value_truth(s, s->training, a->span);
    }
    if (a->name == intern(s->names, "pi"))
        return value_number(s, 3.14159265358979323846, a->span);
    if (a->name == intern(s->names, "batch")) /* the number of the current example */
        return value_expr(s, expr_affine(p, affine_index(p, s->batch)), NULL, 0, a->span);
    if (a->name == intern(s->names, "batch_size"))
        return value_expr(s, expr_scalar(p, SCALAR_BATCH_SIZE, 0), NULL, 0, a->span);
    if (!in_update(s))
        return NULL;
    if (a->name == intern(s->names, "measure_rises"))
        return value_truth(s, s->program->train.best_is_larger, a->span);
    if (of_evaluation(s, a->name)) /* the trainer's to set */
        return value_node(s, hyper_node(s, a->name, 0), a->span);
    if (a->name == intern(s->names, "step"))
        return value_expr(s, expr_scalar(p, SCALAR_STEP, (int)s->every), NULL, 0, a->span);
    return a->name == intern(s->names, "total_steps") ? total_steps(s, a->span) : NULL;
}

/* The user's name for a tensor is kept while the library calls it by names of its own. */
static void name_value(Sema *s, Value *v, const char *name)
{
    if (s->frame->library && v->name)
        return;
    v->name = name;
    v->defined = frame_span(s->frame, name);
}

static Value *word(Sema *s, const Ast *a)
{
    Value *v = value_text(s, VALUE_SYMBOL, a->name, a->span);
    const int count = s->frame->bindings.count;
    const char **names = arena_new(s->arena, const char *, count + 1);
    for (int i = 0; i < count; i++)
        names[i] = s->frame->bindings.data[i].name;
    v->near = diag_nearest(a->name, names, count);
    v->unknown = true;
    return v;
}

/* Used above its definition. */
static void note_later_definition(Sema *s, const char *name)
{
    const AstList *body = &s->frame->decl->body;
    for (int i = 0; i < body->count; i++)
        if (body->data[i]->kind == AST_ASSIGN && body->data[i]->name == name) {
            diag_note(s->diag, body->data[i]->name_span, "`%s` is defined here, after its use",
                      name);
            return;
        }
}

/* A word, and in the library whatever the caller wrote, stays where it was written. */
static bool keeps_place(Sema *s, const Value *v)
{
    return v->kind == VALUE_SYMBOL || v->kind == VALUE_STRING ||
           (v->kind != VALUE_TENSOR && s->frame->library && !sources_is_library(s, v->span));
}

static Value *eval_name(Sema *s, const Ast *a)
{
    IndexScope *scope = index_lookup(s, a->name);
    if (scope)
        return value_expr(
            s, expr_affine(s->program->pool, affine_index(s->program->pool, scope->index)), NULL, 0,
            a->span);
    Value *v = frame_lookup(s->frame, a->name);
    if (v) {
        Value *here = arena_new(s->arena, Value, 1);
        *here = *v;
        here->unknown = false;
        if (v->kind == VALUE_TENSOR && !v->node)
            return value_here(s, v); /* once stored, stored for every user */
        if (!keeps_place(s, v))
            here->span = a->span;
        name_value(s, here, a->name);
        return here;
    }
    if (frame_is_broken(s->frame, a->name))
        return NULL;
    v = eval_ambient(s, a);
    if (v)
        return v;
    if (s->symbols)
        return word(s, a);
    if (sema_declaration(s, a->name, AST_KIND_COUNT) || scalar_find(a->name) ||
        builtin_find(a->name)) {
        diag_error(s->diag, a->span, "`%s` is a function, and is used as a value here", a->name);
        if (sema_declaration(s, a->name, AST_INITIALIZER) && !sema_callable(s, a->name))
            diag_help(s->diag, "a parameter's random start stands after `~`: ~ %s", a->name);
        else
            diag_help(s->diag, "call it: %s(x), or x |> %s", a->name, a->name);
        return NULL;
    }
    sema_unknown_name(s, a->span, a->name, AST_KIND_COUNT, "value");
    note_later_definition(s, a->name);
    return NULL;
}

/* x.sum(), np.exp(x): members as other languages have them. */
static bool foreign_member(Sema *s, const Ast *a)
{
    Value *of = a->left->kind == AST_NAME ? frame_lookup(s->frame, a->left->name) : NULL;
    const bool callable =
        sema_callable(s, a->name) || scalar_find(a->name) || builtin_find(a->name);
    if (of && of->kind != VALUE_INSTANCE)
        diag_error(s->diag, a->name_span, "`%s` is %s, and has no members", a->left->name,
                   value_describe(s, of));
    else if (callable && !of)
        diag_error(s->diag, a->span, "a function's name has no dots");
    else
        return false;
    if (reduction_find(a->name) && of)
        diag_help(s->diag, "over every element: %s[...] %s[...]", a->name, a->left->name);
    else if (callable)
        diag_help(s->diag, of ? "apply it: %s(%s)" : "it stands alone: %s(…)", a->name,
                  of ? a->left->name : "");
    else if (of)
        diag_help(s->diag, "ask with shape(%s), rank(%s) or size(%s)", a->left->name, a->left->name,
                  a->left->name);
    return true;
}

/* encoder.weight: a parameter by its path. */
static Value *eval_member(Sema *s, const Ast *a)
{
    const char *name = dotted_name(s, a);
    Value *v = name ? frame_lookup(s->frame, name) : NULL;
    if (v)
        return value_here(s, v);
    if (name) {
        const char *path = s->frame->path;
        const char *full =
            *path ? intern(s->names, arena_format(s->arena, "%s.%s", path, name)) : name;
        Tensor *t = tensor_find(s, full);
        if (t && s->current.count && tensor_current(s, t))
            return value_node(s, tensor_current(s, t), a->span);
    }
    if (!foreign_member(s, a)) {
        unknown_parameter(s, a->span, name ? name : a->name, "above this line");
        diag_help(s->diag, "a layer's parameters are made where it is first applied");
    }
    return NULL;
}

/* [a, b] + [c]: one list. */
static Value *join_lists(Sema *s, const Value *left, const Value *right, Span span)
{
    Value *list = value_list(s, span);
    for (int i = 0; i < left->items.count; i++)
        vec_push(s->arena, &list->items, left->items.data[i]);
    for (int i = 0; i < right->items.count; i++)
        vec_push(s->arena, &list->items, right->items.data[i]);
    return list;
}

/* Is this made of indices and whole numbers only, so that `/` divides as subscripts do? */
static bool is_index_arithmetic(Sema *s, const Ast *a)
{
    switch (a->kind) {
    case AST_NUMBER:
        return a->is_integer;
    case AST_NAME: {
        if (index_lookup(s, a->name))
            return true;
        Value *v = frame_lookup(s->frame, a->name);
        return v && v->kind == VALUE_NUMBER && v->is_integer;
    }
    case AST_UNARY:
        return is_index_arithmetic(s, a->left);
    case AST_BINARY:
        return is_index_arithmetic(s, a->left) && is_index_arithmetic(s, a->right);
    default:
        return false;
    }
}

static bool is_comparison(const char *op)
{
    return op[0] == '<' || op[0] == '>' || !strcmp(op, "==") || !strcmp(op, "!=");
}

static bool is_text(const Value *v)
{
    return v->kind == VALUE_SYMBOL || v->kind == VALUE_STRING;
}

/* A model gives words to layers and functions; where it compares one, the other side says that words
 * are meant.  Otherwise it is a name that nothing has. */
static bool words_meant(Sema *s, const Ast *a, const Value *v, const Ast *beside,
                        const Value *other)
{
    const bool other_says = is_text(other) && !(beside->kind == AST_NAME && other->unknown);
    if (s->frame->kind != FRAME_MODEL || a->kind != AST_NAME || !v->unknown || other_says)
        return true;
    sema_unknown_name(s, a->span, a->name, AST_KIND_COUNT, "value");
    return false;
}

/* Words compare with words: pad == same. */
static Value *compare_words(Sema *s, const Ast *a, Value *left, Value *right)
{
    if (!words_meant(s, a->left, left, a->right, right) ||
        !words_meant(s, a->right, right, a->left, left))
        return NULL;
    const bool equal = left->kind == right->kind && left->text == right->text;
    return value_truth(s, equal == (a->name[0] == '='), a->span);
}

static bool is_whole_data(const Value *v)
{
    return v && v->kind == VALUE_TENSOR &&
           dtype_is_integer(v->node ? v->node->type : v->expr->type);
}

/* Indices are divided as whole numbers where they are compared with indices or with whole-number data:
 * then it is the data that are evaluated first. */
static void eval_sides(Sema *s, const Ast *a, bool comparison, Value **args)
{
    const bool left = is_index_arithmetic(s, a->left), right = is_index_arithmetic(s, a->right);
    const int first = comparison && left && !right;
    const Ast *sides[2] = {a->left, a->right};
    if (comparison)
        s->integer_division = left && right;
    args[first] = eval(s, sides[first]);
    if (comparison && left != right)
        s->integer_division = is_whole_data(args[first]);
    args[1 - first] = eval(s, sides[1 - first]);
}

static Value *eval_binary(Sema *s, const Ast *a)
{
    const bool comparison = is_comparison(a->name);
    const bool equality = comparison && a->name[1] == '=' && a->name[0] != '<' && a->name[0] != '>';
    const bool outer_division = s->integer_division, outer_symbols = s->symbols;
    s->symbols = equality;
    Value *args[2];
    eval_sides(s, a, comparison, args);
    s->symbols = outer_symbols;
    Value *v = NULL;
    if (args[0] && args[1]) {
        const ScalarFunction *f = scalar_find_infix(a->name, 2);
        const bool words = is_text(args[0]) || is_text(args[1]);
        const bool lists = args[0]->kind == VALUE_LIST && args[1]->kind == VALUE_LIST;
        v = words && equality                ? compare_words(s, a, args[0], args[1])
            : lists && !strcmp(a->name, "+") ? join_lists(s, args[0], args[1], a->span)
                                             : apply_function(s, f, args, a->span);
    }
    s->integer_division = outer_division;
    return v;
}

static Value *eval_unary(Sema *s, const Ast *a)
{
    Value *args[1] = {eval(s, a->left)};
    return apply_function(s, a->name[0] == '-' ? &scalar_neg : &scalar_not, args, a->span);
}

/* The branch not taken at compile time is not looked at. */
static Value *eval_if(Sema *s, const Ast *a)
{
    Value *cond = eval(s, a->cond);
    if (!cond)
        return NULL;
    if (cond->kind == VALUE_TRUTH)
        return eval(s, cond->number != 0 ? a->left : a->right);
    const Expr *test = NULL;
    if (cond->kind == VALUE_TENSOR && cond->rank == 0)
        test = value_to_scalar(s, cond, "a condition");
    double known; /* of indices that run over one value, say */
    if (test && expr_is_const(test, &known))
        return eval(s, known != 0 ? a->left : a->right);
    const Facts yes_facts = {s->facts, test, true}, no_facts = {s->facts, test, false};
    const Facts *outer = s->facts;
    s->facts = test ? &yes_facts : outer;
    Value *yes = eval(s, a->left);
    s->facts = test ? &no_facts : outer;
    Value *no = eval(s, a->right);
    s->facts = outer;
    return apply_select(s, cond, yes, no, a->span);
}

/* (x[i - 1] else 0) */
static Value *eval_else(Sema *s, const Ast *a)
{
    typedef VEC(const Expr *) Tests;
    Tests tests = {0};
    void *outer = s->unproven;
    s->unproven = (void *)&tests;
    Value *inside = eval(s, a->left);
    s->unproven = outer;
    const Expr *all = tests.count ? tests.data[0] : NULL;
    for (int i = 1; i < tests.count; i++)
        all = expr_and(s->program->pool, all, tests.data[i]);
    const Facts outside_facts = {s->facts, all, false}, *outer_facts = s->facts;
    s->facts = all ? &outside_facts : outer_facts;
    Value *outside = eval(s, a->right);
    s->facts = outer_facts;
    if (!inside || !outside || !all)
        return inside && outside ? inside : NULL;
    return apply_select(s, value_expr(s, all, NULL, 0, a->span), inside, outside, a->span);
}

/* ---- the switch ------------------------------------------------------------------------------------ */

Value *eval(Sema *s, const Ast *a)
{
    Memo *m = a->kind != AST_REDUCE ? memo_find(s, a) : NULL;
    if (m && m->value)
        return value_here(s, m->value);
    switch (a->kind) {
    case AST_NUMBER:
        return value_number(s, a->number, a->span);
    case AST_STRING:
        return value_text(s, VALUE_STRING, a->name, a->span);
    case AST_TRUTH:
        return value_truth(s, a->number != 0, a->span);
    case AST_NAME:
        return eval_name(s, a);
    case AST_LIST:
        return eval_list(s, a);
    case AST_UNARY:
        return eval_unary(s, a);
    case AST_BINARY:
        return eval_binary(s, a);
    case AST_PIPE: {
        Value *left = eval(s, a->left);
        return left ? eval_call(s, a->right, left) : NULL;
    }
    case AST_IF_EXPR:
        return eval_if(s, a);
    case AST_ELSE:
        return eval_else(s, a);
    case AST_CALL:
        return eval_call(s, a, NULL);
    case AST_SUBSCRIPT:
        return eval_subscript(s, a);
    case AST_MEMBER:
        return eval_member(s, a);
    case AST_REDUCE:
        return eval_reduce(s, a, s->statement->name, NULL, 0, NULL);
    case AST_OVER:
        return eval_over(s, a);
    case AST_AT:
        return eval_at(s, a);
    default:
        diag_error(s->diag, a->span, "this cannot be a value");
        return NULL;
    }
}

Value *eval_statement(Sema *s, const Ast *a, const char *name)
{
    statement_enter(s, name);
    Value *v = infer_extents(s, a) ? eval(s, a) : NULL;
    statement_leave(s);
    return v;
}

/* A dimension, a count, a condition: part of a statement, or one by itself. */
Value *eval_constant(Sema *s, const Ast *a)
{
    const bool outer = s->compile_time;
    Statement *outer_statement = s->statement;
    s->compile_time = true;
    if (!outer_statement)
        statement_enter(s, "constant");
    Value *v = infer_extents(s, a) ? eval(s, a) : NULL;
    s->statement = outer_statement;
    s->compile_time = outer;
    return v;
}

Value *eval_number(Sema *s, const Ast *a, const char *what)
{
    Value *v = eval_constant(s, a);
    if (!v || v->kind == VALUE_NUMBER)
        return v;
    if (v->kind == VALUE_TENSOR)
        diag_error(s->diag, a->span, "%s must be known at compile time, and this depends on data",
                   what);
    else
        value_unexpected(s, v, arena_format(s->arena, "a number for %s", what));
    return NULL;
}

bool eval_integer(Sema *s, const Ast *a, const char *what, int64_t *out)
{
    Value *v = eval_number(s, a, what);
    if (!v)
        return false;
    if (!v->is_integer || v->number < 0 || v->number > 1e12) {
        diag_error(s->diag, a->span, "%s must be a whole number from 0, found %g", what, v->number);
        return false;
    }
    *out = (int64_t)v->number;
    return true;
}

bool eval_truth(Sema *s, const Ast *a, const char *what, bool *out)
{
    Value *v = eval_constant(s, a);
    if (!v)
        return false;
    if (v->kind == VALUE_TENSOR) {
        diag_error(s->diag, a->span, "%s must be known at compile time, and this depends on data",
                   what);
        diag_help(s->diag, "choose between values instead: if … then … else …");
        return false;
    }
    if (v->kind != VALUE_TRUTH) {
        value_unexpected(s, v, arena_format(s->arena, "true or false for %s", what));
        return false;
    }
    *out = v->number != 0;
    return true;
}
