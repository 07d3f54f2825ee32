/* Merging loops: two neighbours that every address of their items treats as one become one, which
 * leaves longer vectors and fewer counters. */
#include "lower/nest.h"

/* Two neighbouring loops that every address treats as one. */
typedef struct Merge {
    Lowering *l;
    Index *outer, *inner;
    bool possible;
    Substitution by;
} Merge;

static void check_merge(Merge *m, const Affine *a)
{
    bool nested_outer = false, nested_inner = false;
    int64_t outer = affine_factor(a, m->outer, &nested_outer),
            inner = affine_factor(a, m->inner, &nested_inner);
    if (nested_outer || nested_inner || outer != inner * m->inner->extent)
        m->possible = false;
}

static void visit_merge(void *context, const Expr *e)
{
    if (e->affine)
        check_merge(context, e->affine);
}

static void merge_in_list(Lowering *l, IndexList *list, int at, Index *merged)
{
    IndexList shorter = {0};
    for (int i = 0; i < list->count; i++)
        if (i != at + 1)
            vec_push(l->arena, &shorter, i == at ? merged : list->data[i]);
    *list = shorter;
}

static void for_items(Nest *x, Stage *only, void (*visit)(void *context, Item *item), void *context)
{
    for (int s = 0; s < x->stages.count; s++)
        for (int i = 0; (!only || x->stages.data[s] == only) && i < x->stages.data[s]->items.count;
             i++)
            visit(context, &x->stages.data[s]->items.data[i]);
}

static void check_item(void *context, Item *item)
{
    Merge *m = context;
    expr_visit(m->l->pool, item->value, visit_merge, m);
    check_merge(m, item->offset);
    if (item->within)
        expr_visit(m->l->pool, item->within, visit_merge, m);
    if (item->position)
        check_merge(m, item->position);
}

static void substitute_item(void *context, Item *item)
{
    Merge *m = context;
    item->value = expr_substitute(m->l->pool, item->value, &m->by);
    item->offset = affine_substitute(m->l->pool, item->offset, &m->by);
    if (item->within)
        item->within = expr_substitute(m->l->pool, item->within, &m->by);
    if (item->position)
        item->position = affine_substitute(m->l->pool, item->position, &m->by);
}

void merge_pair(Nest *x, Stage *only, IndexList *list, int at)
{
    Merge m = {.l = x->l};
    Index *merged = flatten_indices(x->l, list->data[at]->name, &list->data[at], 2);
    const Affine *to[2];
    flatten_into(x->l, affine_index(x->l->pool, merged), &list->data[at], 2, to);
    m.by = (Substitution){2, &list->data[at], to};
    for_items(x, only, substitute_item, &m);
    merge_in_list(x->l, list, at, merged);
}

void merge_loops(Nest *x, Stage *only, IndexList *list, int first)
{
    for (int at = list->count - 2; at >= first; at--) {
        Merge m = {
            .l = x->l, .outer = list->data[at], .inner = list->data[at + 1], .possible = true};
        if (m.inner->per_example)
            continue;
        for_items(x, only, check_item, &m);
        if (m.possible)
            merge_pair(x, only, list, at);
    }
}
