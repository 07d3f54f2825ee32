/* require rate < 1, "the rate is below 1, found {rate}": what a definition asks of its arguments. */
#include "sema/internal.h"

#include <string.h>

/* The text with its braces filled in. */
const char *filled_text(Sema *s, const Ast *a)
{
    Text t;
    text_init(&t, s->arena);
    const char *at = a->name;
    for (int i = 0; i < a->items.count; i++) {
        const char *open = strchr(at, '{'), *close = strchr(open, '}');
        Value *v = eval_constant(s, a->items.data[i]);
        if (!v)
            return NULL;
        text_append_n(&t, at, (size_t)(open - at));
        value_print(&t, s, v);
        at = close + 1;
    }
    text_append(&t, at);
    return t.data;
}

static bool is_within(Span inner, Span outer)
{
    return inner.file == outer.file && inner.begin >= outer.begin && inner.end <= outer.end;
}

/* The first argument named in a condition that the caller gave, where it stands there. */
static const Value *given_argument(Sema *s, const Ast *a)
{
    if (!a)
        return NULL;
    const Frame *f = s->frame;
    for (int i = 0; a->kind == AST_NAME && i < f->decl->items.count; i++) {
        const Value *v = frame_lookup(s->frame, a->name);
        if (f->decl->items.data[i]->name == a->name && v && v->kind != VALUE_TENSOR &&
            !is_within(v->span, f->decl->span))
            return v;
    }
    const Ast *parts[] = {a->cond, a->left, a->right};
    const Value *v = NULL;
    for (int i = 0; i < 3 && !v; i++)
        v = given_argument(s, parts[i]);
    for (int i = 0; i < a->items.count && !v; i++)
        v = given_argument(s, a->items.data[i]);
    return v;
}

/* Where the tensors that a condition names come from. */
static void note_tensors(Sema *s, const Ast *a)
{
    if (!a)
        return;
    const Value *v = a->kind == AST_NAME ? frame_lookup(s->frame, a->name) : NULL;
    if (v && v->kind == VALUE_TENSOR && v->name && !is_within(v->defined, s->frame->decl->span))
        value_note(s, v);
    const Ast *parts[] = {a->cond, a->left, a->right};
    for (int i = 0; i < 3; i++)
        note_tensors(s, parts[i]);
    for (int i = 0; i < a->items.count; i++)
        note_tensors(s, a->items.data[i]);
}

static void report(Sema *s, const Ast *a, const char *text)
{
    if (s->frame->kind == FRAME_MODEL) {
        diag_error(s->diag, a->span, "%s", text);
        return;
    }
    const Value *argument = given_argument(s, a->cond);
    diag_error(s->diag, argument ? argument->span : s->frame->call, "%s", text);
    if (!s->frame->library)
        diag_note(s->diag, a->span, "`%s` requires it here", s->frame->decl->name);
    note_tensors(s, a->cond);
}

/* The first parameter named in a condition that was given data. */
static const Ast *given_data(Sema *s, const Ast *a)
{
    const AstList *params = &s->frame->decl->items;
    if (!a || s->frame->kind == FRAME_MODEL)
        return NULL;
    for (int i = 0; a->kind == AST_NAME && i < params->count; i++) {
        const Value *v = frame_lookup(s->frame, a->name);
        if (params->data[i]->name == a->name && v && v->kind == VALUE_TENSOR)
            return params->data[i];
    }
    const Ast *parts[] = {a->cond, a->left, a->right}, *found = NULL;
    for (int i = 0; i < 3 && !found; i++)
        found = given_data(s, parts[i]);
    for (int i = 0; i < a->items.count && !found; i++)
        found = given_data(s, a->items.data[i]);
    return found;
}

/* A condition on data where a number was meant. */
static bool depends_on_data(Sema *s, const Ast *a)
{
    const Value *v = eval_constant(s, a->cond);
    const Ast *param = v && v->kind == VALUE_TENSOR ? given_data(s, a->cond) : NULL;
    if (param)
        diag_error(s->diag, frame_lookup(s->frame, param->name)->span,
                   "`%s` must be known at compile time, and this depends on data", param->name);
    return !v || param;
}

void run_require(Sema *s, const Ast *a)
{
    bool holds;
    if (depends_on_data(s, a) || !eval_truth(s, a->cond, "what is required", &holds) || holds)
        return;
    const char *text = filled_text(s, a);
    if (text)
        report(s, a, text);
}
