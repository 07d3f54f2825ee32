/* A kernel's nodes as the stages of a nest: a node joins the last one where their loops agree and
 * nothing that one writes is read back through memory.  Here its indices get the stage's names. */
#include "lower/nest.h"

static bool lists_equal(Index *const *a, int count, const IndexList *x, const IndexList *y)
{
    int total = x->count + (y ? y->count : 0);
    if (count != total)
        return false;
    for (int i = 0; i < count; i++) {
        const Index *b = i < x->count ? x->data[i] : y->data[i - x->count];
        if (a[i]->extent != b->extent || a[i]->per_example != b->per_example)
            return false;
    }
    return true;
}

/* How a node's own indices are called in a stage. */
typedef struct Naming {
    int count;
    Index **from;
    const Affine **to;
} Naming;

static void name_index(Nest *x, Naming *m, Index *from, Index *to)
{
    m->from[m->count] = from;
    m->to[m->count++] = affine_index(x->l->pool, to);
}

static Naming name_indices(Nest *x, const Node *n, const Stage *st)
{
    Naming m = {0};
    const Kernel *k = x->l->kernel;
    m.from = arena_new(x->l->arena, Index *, n->rank + n->bound_count + 1);
    m.to = arena_new(x->l->arena, const Affine *, n->rank + n->bound_count + 1);
    int shared = x->shared.count, own = node_loop_count(n) - shared;
    const Recurrence *r = n->recurrence;
    for (int i = 0; i < k->steps.count; i++, r = r->outer)
        name_index(x, &m, node_step(n, r), k->steps.data[i]);
    for (int i = 0; i < shared; i++)
        name_index(x, &m, node_loop(n, i), x->shared.data[i]);
    for (int i = 0; i < own + n->bound_count; i++) {
        Index *from = i < own ? node_loop(n, shared + i) : n->bound[i - own];
        name_index(x, &m, from,
                   i < st->free.count ? st->free.data[i] : st->bound.data[i - st->free.count]);
    }
    return m;
}

static const Affine *row_major(Lowering *l, const IndexList *list)
{
    const Affine *a = affine_constant(l->pool, 0);
    for (int i = 0; i < list->count; i++)
        a = affine_add(l->pool, affine_scale(l->pool, a, list->data[i]->extent),
                       affine_index(l->pool, list->data[i]));
    return a;
}

typedef struct Conflict {
    const Stage *stage;
    const Item *item;
    bool found;
} Conflict;

/* The new item reads what an item of the stage writes, other than through its register. */
static void visit_reads(void *context, const Expr *e)
{
    Conflict *c = context;
    for (int i = 0; e->kind == EXPR_LOAD && i < c->stage->items.count; i++)
        c->found = c->found || c->stage->items.data[i].buffer == e->buffer;
}

/* An item of the stage reads, at another element, what the new one overwrites. */
static void visit_overwritten(void *context, const Expr *e)
{
    Conflict *c = context;
    if (e->kind == EXPR_LOAD && e->buffer == c->item->buffer)
        c->found = c->found || e->count || e->affine != c->item->offset;
}

static bool conflicts(Nest *x, const Stage *st, const Item *item)
{
    Conflict c = {st, item, false};
    expr_visit(x->l->pool, item->value, visit_reads, &c);
    for (int i = 0; i < st->items.count; i++)
        expr_visit(x->l->pool, st->items.data[i].value, visit_overwritten, &c);
    /* its own reads of what it overwrites, too */
    expr_visit(x->l->pool, item->value, visit_overwritten, &c);
    return c.found;
}

static void publish(Lowering *l, const Item *item, bool visible)
{
    l->values[item->node->id] = visible ? expr_local(l->pool, item->node->type, item->local) : NULL;
    l->places[item->node->id] = visible ? item->offset : NULL;
}

static void publish_kind(Nest *x, const Stage *st, ItemKind kind, bool visible)
{
    for (int i = 0; i < st->items.count; i++)
        if (st->items.data[i].kind == kind)
            publish(x->l, &st->items.data[i], visible);
}

/* Registers of scalars last for the whole iteration of the shared loops; others for the stage. */
static void close_stage(Nest *x)
{
    if (!x->stages.count)
        return;
    Stage *st = x->stages.data[x->stages.count - 1];
    for (int i = 0; i < st->items.count; i++) {
        const Item *item = &st->items.data[i];
        publish(x->l, item, node_loop_count(item->node) == x->shared.count);
    }
}

static Item make_item(Nest *x, Node *n, const Stage *st, ItemKind kind)
{
    Lowering *l = x->l;
    Naming m = name_indices(x, n, st);
    Substitution s = {m.count, m.from, m.to};
    Item item = {.node = n, .kind = kind};
    item.value = lower_expr(l, l->schedule->bodies[n->id], &s);
    const Expr *ends = l->schedule->ends ? l->schedule->ends[n->id] : NULL;
    const Expr *within = ends ? ends : n->within;
    item.within = within ? lower_expr(l, within, &s) : NULL;
    item.buffer = buffer_of(l, n);
    const Affine **at = arena_new(l->arena, const Affine *, n->rank + 1);
    for (int i = 0; i < n->rank; i++)
        at[i] = affine_substitute(l->pool, affine_index(l->pool, n->domain[i]), &s);
    item.offset = identity_offset(l, n, at);
    if (kind == ITEM_REDUCE && n->reduction->position)
        item.position = row_major(l, &st->bound);
    return item;
}

static void add_item(Nest *x, Stage *st, Item item)
{
    Lowering *l = x->l;
    item.local = local_new(l, item.node->type);
    item.best = item.position ? local_new(l, item.value->type) : -1;
    vec_push(l->arena, &st->items, item);
    if (item.kind != ITEM_REDUCE)
        publish(l, &item, true);
}

static bool has_kind(const Stage *st, ItemKind kind)
{
    for (int i = 0; i < st->items.count; i++)
        if (st->items.data[i].kind == kind)
            return true;
    return false;
}

static bool try_item(Nest *x, Stage *st, Node *n, ItemKind kind)
{
    /* Sums are known behind the loops over bound indices, and what is made of them there too: inside
     * those loops both would be read through memory, which conflicts. */
    publish_kind(x, st, ITEM_REDUCE, kind == ITEM_POST);
    publish_kind(x, st, ITEM_POST, kind == ITEM_POST);
    Item item = make_item(x, n, st, kind);
    publish_kind(x, st, ITEM_REDUCE, false);
    publish_kind(x, st, ITEM_POST, true);
    if (conflicts(x, st, &item))
        return false;
    add_item(x, st, item);
    return true;
}

/* The loops that n has beyond the shared ones. */
static Index **own_loops(Nest *x, const Node *n, int *count)
{
    *count = node_loop_count(n) - x->shared.count;
    Index **list = arena_new(x->l->arena, Index *, *count + 1);
    for (int i = 0; i < *count; i++)
        list[i] = node_loop(n, x->shared.count + i);
    return list;
}

/* A stage of elementwise items may take a reduction over its last loops. */
static bool join_reduction(Nest *x, Stage *st, Node *n, Index *const *loops, int own)
{
    if (st->bound.count || has_kind(st, ITEM_REDUCE)) {
        if (!lists_equal(loops, own, &st->free, NULL) ||
            !lists_equal(n->bound, n->bound_count, &st->bound, NULL))
            return false;
        return try_item(x, st, n, ITEM_REDUCE);
    }
    if (st->free.count != own + n->bound_count || n->bound_count == 0)
        return false;
    Stage split = {0};
    for (int i = 0; i < st->free.count; i++)
        if (i < own)
            vec_push(x->l->arena, &split.free, st->free.data[i]);
        else
            vec_push(x->l->arena, &split.bound, st->free.data[i]);
    if (!lists_equal(loops, own, &split.free, NULL) ||
        !lists_equal(n->bound, n->bound_count, &split.bound, NULL))
        return false;
    Stage was = *st;
    st->free = split.free, st->bound = split.bound;
    if (try_item(x, st, n, ITEM_REDUCE))
        return true;
    *st = was;
    return false;
}

static bool join_stage(Nest *x, Stage *st, Node *n)
{
    int own;
    Index **loops = own_loops(x, n, &own);
    if (n->reduction)
        return join_reduction(x, st, n, loops, own);
    if (!has_kind(st, ITEM_POST) && lists_equal(loops, own, &st->free, &st->bound) &&
        try_item(x, st, n, ITEM_INNER))
        return true;
    return has_kind(st, ITEM_REDUCE) && lists_equal(loops, own, &st->free, NULL) &&
           try_item(x, st, n, ITEM_POST);
}

static void start_stage(Nest *x, Node *n)
{
    Lowering *l = x->l;
    close_stage(x);
    Stage *st = arena_new(l->arena, Stage, 1);
    vec_push(l->arena, &x->stages, st);
    for (int i = x->shared.count; i < node_loop_count(n); i++)
        vec_push(l->arena, &st->free, node_loop(n, i));
    for (int i = 0; i < n->bound_count; i++)
        vec_push(l->arena, &st->bound, n->bound[i]);
    add_item(x, st, make_item(x, n, st, n->reduction ? ITEM_REDUCE : ITEM_INNER));
}

void stage_build_all(Nest *x)
{
    const Kernel *k = x->l->kernel;
    for (int i = 0; i < k->nodes.count; i++) {
        Stage *last = x->stages.count ? x->stages.data[x->stages.count - 1] : NULL;
        if (!last || !join_stage(x, last, k->nodes.data[i]))
            start_stage(x, k->nodes.data[i]);
    }
    close_stage(x);
}
