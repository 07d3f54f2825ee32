/* Arguments: which parameter of a definition each belongs to, and what the parameters' patterns ask of
 * their shapes. */
#include "sema/internal.h"

/* ---- by position and by name ------------------------------------------------------------------------------ */

static int parameter_position(const Ast *decl, const char *name)
{
    for (int i = 0; i < decl->items.count; i++)
        if (decl->items.data[i]->name == name)
            return i;
    return -1;
}

static void unknown_argument(Sema *s, const Ast *decl, const Value *v, const char *name)
{
    const char **names = arena_new(s->arena, const char *, decl->items.count + 1);
    for (int i = 0; i < decl->items.count; i++)
        names[i] = decl->items.data[i]->name;
    const char *near = nearest_name(name, names, decl->items.count);
    diag_error(s->diag, v->label, "`%s` has no argument named `%s`", decl->name, name);
    if (near) {
        diag_help(s->diag, "did you mean `%s`?", near);
        return;
    }
    Text t;
    text_init(&t, s->arena);
    for (int i = 0; i < decl->items.count; i++)
        text_printf(&t, "%s%s", i ? ", " : "", names[i]);
    diag_help(s->diag, "its arguments are: %s", t.data ? t.data : "none");
}

Value **match_arguments(Sema *s, const Ast *decl, Value **args, const char *const *names, int count,
                        Span span)
{
    Value **bound = arena_new(s->arena, Value *, decl->items.count + 1);
    for (int i = 0, next = 0; i < count; i++) {
        const int at = names[i] ? parameter_position(decl, names[i]) : next++;
        if (at < 0) {
            unknown_argument(s, decl, args[i], names[i]);
            return NULL;
        }
        if (at >= decl->items.count) {
            diag_error(s->diag, args[i]->span, "`%s` takes %d argument%s, this is one too many",
                       decl->name, decl->items.count, decl->items.count == 1 ? "" : "s");
            return NULL;
        }
        if (bound[at]) {
            diag_error(s->diag, args[i]->span, "argument `%s` of `%s` is given twice",
                       decl->items.data[at]->name, decl->name);
            diag_note(s->diag, bound[at]->span, "first here");
            return NULL;
        }
        bound[at] = args[i];
    }
    for (int i = 0; i < decl->items.count; i++)
        if (!bound[i] && !decl->items.data[i]->left) {
            diag_error(s->diag, span, "`%s` needs its argument `%s`", decl->name,
                       decl->items.data[i]->name);
            diag_note(s->diag, decl->items.data[i]->span, "declared here");
            return NULL;
        }
    return bound;
}

/* ---- patterns: x[..., i] ------------------------------------------------------------------------------ */

const char *pattern_text(Sema *s, const Ast *param)
{
    Text t;
    text_init(&t, s->arena);
    text_printf(&t, "%s[", param->name);
    for (int i = 0; i < param->items.count; i++) {
        const Ast *item = param->items.data[i];
        text_append(&t, i ? ", " : "");
        if (item->kind == AST_ELLIPSIS)
            text_append(&t, "...");
        else if (item->kind == AST_NUMBER)
            text_printf(&t, "%g", item->number);
        else
            text_append(&t, item->name);
    }
    text_append(&t, "]");
    return t.data;
}

static bool pattern_mismatch(Sema *s, const Ast *param, const Value *v)
{
    const char *pattern = pattern_text(s, param);
    if (v->kind != VALUE_TENSOR) {
        value_unexpected(
            s, v, arena_format(s->arena, "the tensor %s of `%s`", pattern, s->frame->decl->name));
    } else {
        diag_error(s->diag, v->span, "`%s` expects %s, found %s", s->frame->decl->name, pattern,
                   value_describe(s, v));
        if (v->name)
            value_note(s, v);
    }
    diag_note(s->diag, param->span, "declared here");
    return false;
}

static bool match_dimension(Sema *s, const Ast *param, const Ast *item, const Value *v,
                            int64_t extent, bool over_batch)
{
    if (item->kind == AST_NUMBER)
        return (int64_t)item->number == extent || pattern_mismatch(s, param, v);
    Value *before = frame_lookup(s->frame, item->name);
    if (over_batch && !before) { /* known at run time alone */
        const Expr *size = expr_scalar(s->program->pool, SCALAR_BATCH_SIZE, 0);
        frame_bind(s, s->frame, item->name, value_expr(s, size, NULL, 0, v->span), item->span);
        return true;
    }
    if (before && over_batch != (before->kind == VALUE_TENSOR))
        return pattern_mismatch(s, param, v);
    if (before && over_batch)
        return true;
    if (!before) {
        frame_bind(s, s->frame, item->name, value_number(s, (double)extent, v->span), item->span);
        return true;
    }
    if ((int64_t)before->number == extent)
        return true;
    diag_error(s->diag, v->span, "dimension `%s` of `%s` is %lld here", item->name,
               s->frame->decl->name, (long long)extent);
    diag_note(s->diag, before->span, "and %lld here", (long long)before->number);
    return false;
}

static bool match_pattern(Sema *s, const Ast *param, const Value *v)
{
    bool ellipsis = false;
    for (int i = 0; i < param->items.count; i++)
        ellipsis = ellipsis || param->items.data[i]->kind == AST_ELLIPSIS;
    const int named = param->items.count - ellipsis;
    if (ellipsis ? v->rank < named : v->rank != named)
        return pattern_mismatch(s, param, v);
    for (int i = 0, dimension = 0; i < param->items.count; i++) {
        const Ast *item = param->items.data[i];
        int64_t extent = 0;
        if (item->kind == AST_ELLIPSIS) {
            dimension += v->rank - named;
            continue;
        }
        const bool over_batch = value_dimension(v, dimension)->per_example != 0;
        value_extent(v, dimension++, &extent);
        if (!match_dimension(s, param, item, v, extent, over_batch))
            return false;
    }
    return true;
}

/* ---- into the frame ---------------------------------------------------------------------------------- */

/* The numbers of optimizers and schedules stay open to change at run time. */
static Value *name_hyper(Sema *s, const char *name, const Value *v)
{
    Value *hyper = arena_new(s->arena, Value, 1);
    *hyper = *v;
    hyper->hyper = s->hyper_prefix
                       ? intern(s->names, arena_format(s->arena, "%s.%s", s->hyper_prefix, name))
                       : name;
    return hyper;
}

bool store_argument(Sema *s, const Ast *param, Value *v)
{
    return v->kind != VALUE_TENSOR || !value_is_closed(s, v) || value_to_node(s, v, param->name);
}

bool bind_parameter(Sema *s, const Ast *param, Value *v)
{
    if (!v) {
        const bool outer = s->symbols;
        s->symbols = true;
        v = eval_statement(s, param->left, param->name);
        s->symbols = outer;
        if (!v)
            return false;
    }
    /* A word close to a variable's name, where no default says that words are meant. */
    if (v->kind == VALUE_SYMBOL && v->unknown && v->near && !param->left) {
        diag_error(s->diag, v->span, "there is no value named `%s` here", v->text);
        diag_help(s->diag, "did you mean `%s`?", v->near);
        return false;
    }
    const FrameKind kind = s->frame->kind;
    if (v->kind == VALUE_NUMBER && (kind == FRAME_OPTIMIZER || kind == FRAME_SCHEDULE))
        v = name_hyper(s, param->name, v);
    if (param->flag) {
        if (v->kind != VALUE_TENSOR)
            return pattern_mismatch(s, param, v);
        if (!match_pattern(s, param, v))
            return false;
        if (!v->node && value_is_closed(s, v))
            value_to_node(s, v, param->name);
    }
    /* What is differentiated by a stated derivative stands before the node that states it. */
    const bool states = s->frame->decl->kind == AST_FN && s->frame->decl->orelse.count;
    if (states && v->kind == VALUE_TENSOR && !v->node && value_is_closed(s, v))
        value_to_node(s, v, param->name);
    frame_bind(s, s->frame, param->name, v, param->span);
    return true;
}
