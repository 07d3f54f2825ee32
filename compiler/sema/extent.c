/* Index ranges: a walk over a statement before it is evaluated, in which every subscript that is
 * an index alone settles, or must agree with, that index's extent. */
#include "sema/internal.h"

#include <string.h>

Statement *statement_enter(Sema *s, const char *name)
{
    Statement *st = arena_new(s->arena, Statement, 1);
    st->outer = s->statement;
    st->name = name;
    st->ellipsis = arena_new(s->arena, Ellipsis, 1);
    s->statement = st;
    return st;
}

void statement_leave(Sema *s)
{
    s->statement = s->statement->outer;
}

IndexScope *index_push(Sema *s, const char *name, Index *ix, Span span)
{
    IndexScope *scope = arena_new(s->arena, IndexScope, 1);
    scope->outer = s->statement->indices;
    scope->name = name;
    scope->index = ix;
    scope->origin_span = span;
    s->statement->indices = scope;
    return scope;
}

Memo *memo_find(Sema *s, const Ast *ast)
{
    for (int i = 0; s->statement && i < s->statement->memos.count; i++)
        if (s->statement->memos.data[i]->ast == ast)
            return s->statement->memos.data[i];
    return NULL;
}

static Memo *memo_add(Sema *s, const Ast *ast)
{
    Memo *m = arena_new(s->arena, Memo, 1);
    m->ast = ast;
    vec_push(s->arena, &s->statement->memos, m);
    return m;
}

static const char *range_text(Sema *s, const Index *ix)
{
    return ix->per_example ? "the batch" : arena_format(s->arena, "%lld", (long long)ix->extent);
}

static bool same_shape(const Value *a, const Value *b)
{
    bool same = a->kind == VALUE_TENSOR && b->kind == VALUE_TENSOR && a->rank == b->rank;
    for (int i = 0; same && i < a->rank; i++) {
        int64_t x = 0, y = 0;
        value_extent(a, i, &x);
        value_extent(b, i, &y);
        same = x == y;
    }
    return same;
}

/* A tensor that the library made of the user's is noted as the argument of that shape. */
static void note_given(Sema *s, const Value *v)
{
    const bool own = v->name && sources_is_library(s, v->defined);
    for (int i = 0; own && i < s->frame->decl->items.count; i++) {
        const Value *given = frame_lookup(s->frame, s->frame->decl->items.data[i]->name);
        if (given && given != v && same_shape(given, v)) {
            value_note(s, given);
            return;
        }
    }
    value_note(s, v);
}

/* Two uses of one index must agree on its extent. */
static bool unify_extent(Sema *s, IndexScope *scope, const Value *base, const Index *dimension,
                         const Ast *use)
{
    Index *ix = scope->index;
    if (ix->extent == 0) {
        ix->extent = dimension->extent;
        ix->per_example = dimension->per_example;
        scope->origin_span = use->span;
        scope->origin = base;
        return true;
    }
    if (ix->per_example == dimension->per_example &&
        (ix->extent == dimension->extent || scope->given))
        return true; /* a given range need not cover the dimension: bounds.c looks whether it fits */
    diag_error(s->diag, use->span, "index `%s` runs over %s here", ix->name,
               range_text(s, dimension));
    diag_note(s->diag, scope->origin_span, "and over %s here", range_text(s, ix));
    if (scope->origin && scope->origin->defined.begin != base->defined.begin)
        note_given(s, scope->origin);
    note_given(s, base);
    return false;
}

/* A layer of the library that its tensor is too small for. */
static void nothing_left(Sema *s, const Ast *item, double extent)
{
    diag_error(s->diag, item->span, "`%s` would give %g entries along `%s` here",
               s->frame->decl->name, extent, item->name);
    for (int i = 0; i < s->frame->decl->items.count; i++) {
        const Ast *param = s->frame->decl->items.data[i];
        const Value *v = frame_lookup(s->frame, param->name);
        if (!v || v->kind != VALUE_TENSOR)
            continue;
        value_note(s, v);
        diag_help(s->diag,
                  "the tensor is too small for that, or its dimensions stand in another order: "
                  "`%s` takes %s",
                  s->frame->decl->name, pattern_text(s, param));
        return;
    }
}

bool eval_range(Sema *s, const Ast *item, Index *ix)
{
    if (item->left->kind == AST_NAME && item->left->name == intern(s->names, "batch")) {
        ix->extent = s->program->train.batch;
        ix->per_example = 1;
        return true;
    }
    Value *v = eval_number(s, item->left, "an index's extent");
    if (!v)
        return false;
    ix->extent = (int64_t)v->number;
    if (v->is_integer && v->number >= 1 && v->number <= (double)LARGEST_EXTENT)
        return true;
    if (sources_is_library(s, item->span))
        nothing_left(s, item, v->number);
    else
        diag_error(s->diag, item->span, "index `%s` cannot run over %g entries", item->name,
                   v->number);
    return false;
}

/* How many dimensions `...` covers in a list of subscripts; -1 without one. */
static int ellipsis_covers(const AstList *items, int rank)
{
    for (int i = 0; i < items->count; i++)
        if (items->data[i]->kind == AST_ELLIPSIS)
            return rank - (items->count - 1);
    return -1;
}

static int64_t elements(const Value *v)
{
    int64_t product = 1, extent;
    for (int i = 0; value_extent(v, i, &extent) && product < LARGEST_EXTENT; i++)
        product *= extent;
    return product;
}

static const char *name_of(const Value *v)
{
    return v->name ? v->name : "it";
}

/* Two tensors whose leading dimensions differ: often a number against a tensor of one entry, or an
 * image where a vector was meant. */
static void ellipsis_mismatch(Sema *s, const Ellipsis *e, const Value *base, int first, int count,
                              Span span)
{
    const Value *longer = e->count > count ? e->base : base,
                *shorter = e->count > count ? base : e->base;
    if (e->count == count)
        diag_error(s->diag, span, "`...` stands for %s of one tensor, and for %s of another",
                   part_text(s, e->base, e->first, count), part_text(s, base, first, count));
    else
        diag_error(s->diag, span,
                   "`...` stands for %d dimension%s of one tensor, and for %d of another", e->count,
                   e->count == 1 ? "" : "s", count);
    note_given(s, e->base);
    note_given(s, base);
    if (e->count != count && shorter->rank == 0 && elements(longer) == 1)
        diag_help(s->diag, "%s has one entry: take it with [0]", name_of(longer));
    else if (e->count != count && shorter->rank == 0 && longer->rank > 1)
        diag_help(s->diag, "was `flatten` forgotten before the last layer?");
}

static bool settle_ellipsis(Sema *s, const Value *base, int first, int count, Span span)
{
    Ellipsis *e = s->statement->ellipsis;
    if (!e->known) {
        e->known = true;
        e->count = count;
        e->base = base;
        e->first = first;
        e->indices = arena_new(s->arena, Index *, count + 1);
        for (int i = 0; i < count; i++) {
            const char *name = intern(s->names, arena_format(s->arena, "e%d", i));
            e->indices[i] = index_new(s->program->pool, name, 0, 0, span);
            value_extent(base, first + i, &e->indices[i]->extent);
        }
        return true;
    }
    bool same = e->count == count;
    for (int i = 0; same && i < count; i++) {
        int64_t extent = 0;
        value_extent(base, first + i, &extent);
        same = extent == e->indices[i]->extent;
    }
    if (!same)
        ellipsis_mismatch(s, e, base, first, count, span);
    return same;
}

static bool infer_list(Sema *s, const AstList *list)
{
    bool ok = true;
    for (int i = 0; i < list->count; i++)
        ok = infer_extents(s, list->data[i]) && ok;
    return ok;
}

static bool is_unknown(Sema *s, const char *name)
{
    return !frame_lookup(s->frame, name) && !frame_is_broken(s->frame, name) &&
           !is_ambient(s, name);
}

/* Once a statement for each name. */
static bool unknown_index(Sema *s, const Ast *item)
{
    for (int i = 0; i < s->statement->unknown.count; i++)
        if (s->statement->unknown.data[i] == item->name)
            return false;
    vec_push(s->arena, &s->statement->unknown, item->name);
    diag_error(s->diag, item->span,
               "index `%s` is neither on the left side nor bound by a reduction", item->name);
    diag_help(s->diag, "sum over it: sum[%s] …, or name it on the left: y[%s] = …", item->name,
              item->name);
    return false;
}

static bool infer_item(Sema *s, const Ast *item, const Value *base, int dimension)
{
    IndexScope *scope = item->kind == AST_NAME ? index_lookup(s, item->name) : NULL;
    const Index *ix = value_dimension(base, dimension);
    if (!scope && item->kind == AST_NAME && base->kind == VALUE_TENSOR && is_unknown(s, item->name))
        return unknown_index(s, item);
    if (!scope)
        return infer_extents(s, item);
    return unify_extent(s, scope, base, ix, item);
}

static bool infer_subscript(Sema *s, const Ast *a)
{
    const Ast *target = a->left->kind == AST_AT ? a->left->left : a->left;
    if (target->kind != AST_NAME && target->kind != AST_MEMBER && !infer_extents(s, target))
        return false;
    Memo *m = memo_find(s, target);
    if (!m) {
        Value *base = eval(s, target);
        if (!base)
            return false;
        m = memo_add(s, target);
        m->value = base;
    }
    if (m->value->kind != VALUE_TENSOR)
        return infer_list(s, &a->items);
    if (!subscripts_fit(s, a, m->value))
        return false;
    bool ok = true;
    const int covers = ellipsis_covers(&a->items, m->value->rank);
    for (int i = 0, dimension = 0; i < a->items.count; i++) {
        const Ast *item = a->items.data[i];
        if (item->kind == AST_ELLIPSIS) {
            if (!settle_ellipsis(s, m->value, dimension, covers, item->span))
                return false;
            dimension += covers;
        } else {
            ok = infer_item(s, item, m->value, dimension++) && ok;
        }
    }
    return ok;
}

static bool first_in_reduction(Sema *s, const Ast *item, const IndexScope *outer)
{
    for (const IndexScope *i = s->statement->indices; i != outer; i = i->outer)
        if (i->name == item->name) {
            diag_error(s->diag, item->span, "index `%s` stands twice in this reduction",
                       item->name);
            return false;
        }
    return true;
}

/* A reduction's own indices: new ones, in scope below it. */
static bool infer_reduce(Sema *s, const Ast *a)
{
    Memo *m = memo_add(s, a);
    IndexScope *outer = s->statement->indices;
    Ellipsis *outer_ellipsis = s->statement->ellipsis;
    bool ok = true;
    for (int i = 0; i < a->items.count; i++) {
        const Ast *item = a->items.data[i];
        if (item->kind == AST_ELLIPSIS) {
            m->ellipsis = s->statement->ellipsis = arena_new(s->arena, Ellipsis, 1);
            continue;
        }
        if (item->name == intern(s->names, "batch") && !item->left) {
            m->batch = true;
            m->batch_index =
                index_new(s->program->pool, item->name, s->program->train.batch, 1, item->span);
            continue;
        }
        ok = first_in_reduction(s, item, outer) && ok;
        Index *ix = index_new(s->program->pool, item->name, 0, 0, item->span);
        if (item->left)
            ok = eval_range(s, item, ix) && ok;
        index_push(s, item->name, ix, item->span)->given = item->left != NULL;
    }
    m->scope = s->statement->indices;
    ok = ok && infer_extents(s, a->left);
    for (IndexScope *i = m->scope; i != outer; i = i->outer)
        if (ok && i->index->extent <= 0) {
            diag_error(s->diag, i->origin_span, "nothing says how far index `%s` runs", i->name);
            diag_help(
                s->diag,
                "let it stand alone in a subscript: %s[%s] x[%s]; or give it a range: %s[%s: n]",
                a->name, i->name, i->name, a->name, i->name);
            ok = false;
        }
    s->statement->indices = outer;
    s->statement->ellipsis = outer_ellipsis;
    return ok;
}

bool infer_extents(Sema *s, const Ast *a)
{
    if (!a)
        return true;
    switch (a->kind) {
    case AST_SUBSCRIPT:
        return infer_subscript(s, a);
    case AST_REDUCE:
        return infer_reduce(s, a);
    case AST_MEMBER:
        return true;
    default: {
        const bool cond = infer_extents(s, a->cond), left = infer_extents(s, a->left);
        const bool right = infer_extents(s, a->right);
        return infer_list(s, &a->items) && cond && left && right;
    }
    }
}
