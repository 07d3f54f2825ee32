/* Unroll and jam: a small free index (the taps of a filter) whose every value is summed on its own
 * would pass the data once for each; with a register for each value one pass does. */
#include "lower/nest.h"

enum {
    MOST_REGISTERS = 12, /* sums side by side                        */
    LEAST_TERMS = 8,     /* of each, or it is not worth the code     */
    FEW_ITERATIONS = 8   /* of the outer loops, to be left for threads */
};

static bool can_jam(const Stage *st)
{
    for (int i = 0; i < st->items.count; i++)
        if (st->items.data[i].position)
            return false;
    return st->bound.count > 0 && extents_without(&st->bound, NULL) >= LEAST_TERMS;
}

static int64_t count_sums(const Stage *st)
{
    int64_t sums = 0;
    for (int i = 0; i < st->items.count; i++)
        sums += st->items.data[i].kind == ITEM_REDUCE;
    return sums;
}

/* Of `list` the small indices, as many as there are registers for. */
static IndexList choose_from(const Nest *x, const Stage *st, const IndexList *list, const Index *v)
{
    IndexList jam = {0};
    int64_t sums = count_sums(st);
    for (int i = list->count - 1; i >= 0; i--) {
        Index *ix = list->data[i];
        if (ix == v || ix->per_example || ix->extent < 2 || sums * ix->extent > MOST_REGISTERS)
            continue;
        sums *= ix->extent;
        vec_push(x->l->arena, &jam, ix);
    }
    return jam;
}

IndexList jam_choose(const Nest *x, const Stage *st, const Index *v)
{
    return v && can_jam(st) ? choose_from(x, st, &st->free, v) : (IndexList){0};
}

void jam_demote(Nest *x)
{
    if (x->stages.count != 1 || !can_jam(x->stages.data[0]))
        return;
    Stage *st = x->stages.data[0];
    int kept = 0;
    for (double kept_iterations = 1; kept < x->shared.count && kept_iterations < FEW_ITERATIONS;)
        kept_iterations *= (double)x->shared.data[kept++]->extent;
    IndexList demoted = {0};
    for (int i = kept; i < x->shared.count; i++)
        vec_push(x->l->arena, &demoted, x->shared.data[i]);
    if (!kept || demoted.count < 2 || !choose_from(x, st, &demoted, NULL).count)
        return;
    x->shared.count = kept;
    for (int i = 0; i < st->free.count; i++)
        vec_push(x->l->arena, &demoted, st->free.data[i]);
    st->free = demoted;
}

/* ---- copies ------------------------------------------------------------------------------------------- */

typedef struct Copy {
    Lowering *l;
    const Stage *of;
    const Item *items; /* of the stage, with this copy's registers */
    Substitution at;
} Copy;

static const Expr *rename_register(void *context, const Expr *e)
{
    const Copy *c = context;
    for (int i = 0; e->kind == EXPR_LOCAL && i < c->of->items.count; i++)
        if (c->of->items.data[i].local == e->local)
            return expr_local(c->l->pool, e->type, c->items[i].local);
    return e;
}

static void copy_stage(Copy *c, Item *items)
{
    ExprPool *p = c->l->pool;
    c->items = items;
    for (int i = 0; i < c->of->items.count; i++) {
        items[i] = c->of->items.data[i];
        items[i].local = local_new(c->l, items[i].node->type);
    }
    for (int i = 0; i < c->of->items.count; i++) {
        items[i].value = expr_map(p, items[i].value, rename_register, c);
        items[i].value = expr_substitute(p, items[i].value, &c->at);
        items[i].offset = affine_substitute(p, items[i].offset, &c->at);
    }
}

void jam_items(Nest *x, Stage *st, const IndexList *jam)
{
    Lowering *l = x->l;
    const Stage was = *st;
    const int64_t copies = (int64_t)extents_without(jam, NULL);
    const Affine **to = arena_new(l->arena, const Affine *, jam->count);
    Copy c = {l, &was, NULL, {jam->count, jam->data, to}};
    st->items.data = NULL, st->items.count = st->items.capacity = 0;
    for (int64_t n = 0; n < copies; n++) {
        int64_t rest = n;
        for (int i = 0; i < jam->count; i++) {
            to[i] = affine_constant(l->pool, rest % jam->data[i]->extent);
            rest /= jam->data[i]->extent;
        }
        Item *items = arena_new(l->arena, Item, was.items.count);
        copy_stage(&c, items);
        for (int i = 0; i < was.items.count; i++)
            vec_push(l->arena, &st->items, items[i]);
    }
    IndexList looped = {0};
    for (int i = 0; i < st->free.count; i++)
        if (!index_in(jam, st->free.data[i]))
            vec_push(l->arena, &looped, st->free.data[i]);
    st->free = looped;
}
