/* y[t: 9] = (y[t - 1] else 0) + x[t]: definitions that read themselves, or others below them, at other
 * steps.  What is read before its definition stands for a node whose value comes when that is reached;
 * graph_sort finds the index that counts the steps, or says that there is none. */
#include "sema/internal.h"

#include <string.h>

/* y[i: 3, j: 4] = …: every extent is written. */
static bool tells_shape(const Ast *a)
{
    bool tells = a->kind == AST_ASSIGN && a->items.count > 0;
    for (int i = 0; tells && i < a->items.count; i++) {
        const Ast *item = a->items.data[i];
        tells = item->kind == AST_INDEX && item->left &&
                !(item->left->kind == AST_NAME && !strcmp(item->left->name, "batch"));
    }
    return tells;
}

static const Ast *definition_below(const Frame *f, const char *name)
{
    for (int i = f->at; f->body && i < f->body->count; i++) {
        const Ast *a = f->body->data[i];
        if (a->kind == AST_ASSIGN && a->name == name)
            return tells_shape(a) ? a : NULL;
    }
    return NULL;
}

static Recurrent *find_recurrent(Frame *f, const char *name)
{
    for (int i = 0; i < f->recurrent.count; i++)
        if (f->recurrent.data[i].name == name)
            return &f->recurrent.data[i];
    return NULL;
}

/* Does the name stand for nothing yet, or for what the last round of a repeat made? */
static bool is_free(Frame *f, const char *name)
{
    const Recurrent *r = find_recurrent(f, name);
    return (r && r->stale) || (!frame_lookup(f, name) && !frame_is_broken(f, name));
}

static bool promise(Sema *s, const Ast *a)
{
    Index **dims = arena_new(s->arena, Index *, a->items.count);
    bool known = true;
    statement_enter(s, a->name);
    for (int i = 0; known && i < a->items.count; i++) {
        const Ast *item = a->items.data[i];
        int64_t extent;
        known = eval_integer(s, item->left, "a range", &extent);
        if (known)
            dims[i] = index_new(s->program->pool, item->name, extent, 0, item->span);
    }
    statement_leave(s);
    if (!known)
        return false;
    const char *name = arena_format(s->arena, "%s_forward", a->name);
    Node *n = node_promise(s, s->scan, true, name, s->program->real, dims, a->items.count, a->span);
    vec_push(s->arena, &s->forwards, ((Forward){s->frame, a, n}));
    Recurrent *r = find_recurrent(s->frame, a->name);
    if (r)
        r->stale = false;
    else
        vec_push(s->arena, &s->frame->recurrent, ((Recurrent){a->name, false}));
    frame_bind(s, s->frame, a->name, value_node(s, n, a->name_span), a->name_span);
    return true;
}

static bool promise_all(Sema *s, const Ast *a)
{
    if (!a)
        return true;
    const Ast *base = a->kind == AST_SUBSCRIPT && a->left->kind == AST_NAME ? a->left : NULL;
    if (base && is_free(s->frame, base->name)) {
        const Ast *definition = definition_below(s->frame, base->name);
        if (definition && !promise(s, definition))
            return false;
    }
    const Ast *parts[] = {a->cond, a->left, a->right};
    bool ok = true;
    for (int i = 0; ok && i < 3; i++)
        ok = promise_all(s, parts[i]);
    for (int i = 0; ok && i < a->items.count; i++)
        ok = promise_all(s, a->items.data[i]);
    return ok;
}

bool forward_open(Sema *s, const Ast *a)
{
    return promise_all(s, a->left);
}

void forward_close(Sema *s, const Ast *a, Node *n)
{
    int at = 0;
    while (at < s->forwards.count &&
           (s->forwards.data[at].definition != a || s->forwards.data[at].frame != s->frame))
        at++;
    if (at == s->forwards.count)
        return;
    Node *promised = s->forwards.data[at].node;
    s->forwards.data[at] = s->forwards.data[--s->forwards.count];
    if (n && n->type != promised->type) {
        diag_error(s->diag, a->span, "`%s` is read before its definition as %s, and is %s", a->name,
                   dtype_name(promised->type), dtype_name(n->type));
        return;
    }
    if (!n)
        return;
    node_keep(s, promised, n);
    if (s->forwards.count == 0 && graph_sort(s->graph)) {
        diag_error(s->diag, a->span, "`%s` needs its own value at the same step", a->name);
        diag_help(s->diag, "of one index, all that these definitions read of each other must be of "
                           "earlier steps, t - 1, or all of later ones");
    }
}

void forward_forget(Sema *s, int first)
{
    for (int i = first; i < s->frame->recurrent.count; i++)
        s->frame->recurrent.data[i].stale = true;
}
