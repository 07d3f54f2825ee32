/* Names: declarations, variables of a frame, indices; and what to say of an unknown one. */
#include "sema/internal.h"

#include <ctype.h>
#include <string.h>

/* The library sees its own definitions first; a file may define its own under the same name. */
const Declaration *sema_declaration(Sema *s, const char *name, AstKind kind)
{
    const bool library_first = s->frame && s->frame->library;
    const Declaration *second = NULL;
    for (int i = 0; i < s->declarations.count; i++) {
        const Declaration *d = &s->declarations.data[i];
        if (d->name != name || (kind != AST_KIND_COUNT && d->ast->kind != kind))
            continue;
        if (d->library == library_first)
            return d;
        second = d;
    }
    return second;
}

const Declaration *sema_callable(Sema *s, const char *name)
{
    const FrameKind kind = s->frame->kind;
    const AstKind own = kind == FRAME_SCHEDULE      ? AST_SCHEDULE
                        : kind == FRAME_INITIALIZER ? AST_INITIALIZER
                                                    : AST_FN;
    const Declaration *d = sema_declaration(s, name, own);
    if (!d)
        d = sema_declaration(s, name, AST_FN);
    return d ? d : sema_declaration(s, name, AST_LAYER);
}

Value *frame_lookup(Frame *f, const char *name)
{
    for (int i = f->bindings.count - 1; i >= 0; i--)
        if (f->bindings.data[i].name == name)
            return f->bindings.data[i].value;
    return NULL;
}

/* Bound to nothing: its definition had an error, which was reported there. */
bool frame_is_broken(Frame *f, const char *name)
{
    for (int i = 0; i < f->bindings.count; i++)
        if (f->bindings.data[i].name == name)
            return f->bindings.data[i].value == NULL;
    return false;
}

Span frame_span(const Frame *f, const char *name)
{
    for (int i = 0; i < f->bindings.count; i++)
        if (f->bindings.data[i].name == name)
            return f->bindings.data[i].span;
    return SPAN_NONE;
}

/* Does the text differentiate by this name: grad(y, name), jvp(y, name, v)? */
static bool differentiates_by(const Ast *a, const char *name)
{
    if (!a)
        return false;
    if (a->kind == AST_CALL && a->left->kind == AST_NAME && a->items.count >= 2 &&
        (strcmp(a->left->name, "grad") == 0 || strcmp(a->left->name, "jvp") == 0) &&
        a->items.data[1]->kind == AST_NAME && a->items.data[1]->name == name)
        return true;
    const Ast *parts[] = {a->cond, a->left, a->right};
    for (int i = 0; i < 3; i++)
        if (differentiates_by(parts[i], name))
            return true;
    const AstList *lists[] = {&a->items, &a->body, &a->orelse};
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < lists[i]->count; k++)
            if (differentiates_by(lists[i]->data[k], name))
                return true;
    return false;
}

/* What a body differentiates by is a tensor from where it gets its name, so that all later uses read it. */
static void store_variable(Sema *s, const Frame *f, const char *name, Value *v)
{
    if (v && v->kind == VALUE_TENSOR && !v->node && !v->steps && value_is_closed(s, v) &&
        differentiates_by(f->decl, name))
        value_to_node(s, v, name);
}

void frame_bind(Sema *s, Frame *f, const char *name, Value *v, Span span)
{
    store_variable(s, f, name, v);
    for (int i = 0; i < f->bindings.count; i++)
        if (f->bindings.data[i].name == name) {
            f->bindings.data[i].value = v;
            f->bindings.data[i].span = span;
            return;
        }
    const Binding b = {name, v, span};
    vec_push(s->arena, &f->bindings, b);
}

IndexScope *index_lookup(Sema *s, const char *name)
{
    if (!s->statement)
        return NULL;
    for (IndexScope *scope = s->statement->indices; scope; scope = scope->outer)
        if (scope->name == name)
            return scope;
    return scan_index(s, name);
}

const char *nearest_name(const char *name, const char *const *names, int count)
{
    enum { SHORTEST = 3 };
    const char *near = diag_nearest(name, names, count);
    for (int i = 0; !near && i < count && strlen(name) >= SHORTEST; i++)
        if (strlen(names[i]) >= SHORTEST && (strstr(names[i], name) || strstr(name, names[i])))
            near = names[i];
    return near && strcmp(near, name) ? near : NULL;
}

/* Are two names one but for the case of letters and for underscores? */
static bool same_word(const char *a, size_t length, const char *b)
{
    const char *end = a + length;
    for (;;) {
        while (a < end && *a == '_')
            a++;
        while (*b == '_')
            b++;
        if (a == end || !*b)
            return a == end && !*b;
        if (tolower((unsigned char)*a++) != tolower((unsigned char)*b++))
            return false;
    }
}

/* Does the documentation say that this is the name elsewhere: torch.nn.Linear, PyTorch calls it xavier_normal? */
static bool is_known_as(const char *doc, const char *name)
{
    static const char *const signs[] = {"torch", "PyTorch calls it "};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        for (const char *at = strstr(doc, signs[i]); at; at = strstr(at + 1, signs[i])) {
            const char *word = i ? at + strlen(signs[i]) : at;
            size_t length =
                strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789.");
            while (length && word[length - 1] == '.')
                length--;
            for (size_t k = 0; k < length; k++)
                if (word[k] == '.') {
                    word += k + 1;
                    length -= k + 1;
                    k = (size_t)-1;
                }
            if (same_word(word, length, name))
                return true;
        }
    return false;
}

/* What PyTorch, or another spelling, calls `name`; NULL where nothing does. */
static const char *name_elsewhere(Sema *s, const char *name, AstKind kind)
{
    for (int i = 0; i < s->declarations.count; i++) {
        const Declaration *d = &s->declarations.data[i];
        if (kind != AST_KIND_COUNT && d->ast->kind != kind)
            continue;
        if (same_word(name, strlen(name), d->name) ||
            (d->ast->doc && is_known_as(d->ast->doc, name)))
            return d->name;
    }
    return NULL;
}

/* The definitions of one kind alone. */
static int declared_names(Sema *s, AstKind kind, const char **names, int room)
{
    int n = 0;
    for (int i = 0; i < s->declarations.count && n < room; i++)
        if (s->declarations.data[i].ast->kind == kind)
            names[n++] = s->declarations.data[i].name;
    return n;
}

/* Everything that could have been meant at this place. */
static int known_names(Sema *s, const char **names, int room)
{
    int n = 0;
    names[n++] = "true";
    names[n++] = "false";
    for (IndexScope *i = s->statement ? s->statement->indices : NULL; i && n < room; i = i->outer)
        names[n++] = i->name;
    for (int i = 0; s->frame && i < s->frame->bindings.count && n < room; i++)
        names[n++] = s->frame->bindings.data[i].name;
    for (int i = 0; i < s->declarations.count && n < room; i++)
        names[n++] = s->declarations.data[i].name;
    for (int i = 0; i < scalar_count() && n < room; i++)
        if (!scalar_at(i)->internal && !scalar_at(i)->infix)
            names[n++] = scalar_at(i)->name;
    for (int i = 0; i < builtin_count() && n < room; i++)
        names[n++] = builtin_at(i)->name;
    return n;
}

void sema_unknown_name(Sema *s, Span at, const char *name, AstKind kind, const char *what)
{
    enum { ROOM = 1024 };
    const char **names = arena_new(s->arena, const char *, ROOM);
    const int count =
        kind == AST_KIND_COUNT ? known_names(s, names, ROOM) : declared_names(s, kind, names, ROOM);
    const char *near = kind == AST_KIND_COUNT ? diag_nearest(name, names, count)
                                              : nearest_name(name, names, count);
    const char *elsewhere = name_elsewhere(s, name, kind);
    near = elsewhere ? elsewhere : near;
    diag_error(s->diag, at, "there is no %s named `%s` here", what, name);
    if (near && strcmp(near, name))
        diag_help(s->diag, "did you mean `%s`?", near);
}

const char *dotted_name(Sema *s, const Ast *a)
{
    if (a->kind == AST_NAME)
        return a->name;
    if (a->kind != AST_MEMBER)
        return NULL;
    const char *left = dotted_name(s, a->left);
    return left ? intern(s->names, arena_format(s->arena, "%s.%s", left, a->name)) : NULL;
}

bool sources_is_library(Sema *s, Span span)
{
    return span.file >= 0 && source_get(s->syntax->sources, span.file)->library;
}
