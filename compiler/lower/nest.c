/* Everything that is no contraction: loop nests.
 * A kernel is its shared loops around stages; a stage is the nodes that also share what loops they
 * have beyond: free ones, and inside them bound ones.  One loop of a stage, or the last of the
 * shared ones, runs over the lanes. */
#include "lower/nest.h"

#include <math.h>

/* ---- stages ------------------------------------------------------------------------------------------ */

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
    item.within = n->within ? lower_expr(l, n->within, &s) : NULL;
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

static void build_stages(Nest *x)
{
    const Kernel *k = x->l->kernel;
    for (int i = 0; i < k->nodes.count; i++) {
        Stage *last = x->stages.count ? x->stages.data[x->stages.count - 1] : NULL;
        if (!last || !join_stage(x, last, k->nodes.data[i]))
            start_stage(x, k->nodes.data[i]);
    }
    close_stage(x);
}

/* ---- what must reach memory ---------------------------------------------------------------------------- */

typedef struct BufferUse {
    const Buffer *buffer;
    bool found;
} BufferUse;

static void visit_use(void *context, const Expr *e)
{
    BufferUse *u = context;
    u->found = u->found || (e->kind == EXPR_LOAD && e->buffer == u->buffer);
}

static bool is_loaded_after(Nest *x, int stage, const Buffer *b)
{
    BufferUse u = {b, false};
    for (int s = stage + 1; s < x->stages.count; s++)
        for (int i = 0; i < x->stages.data[s]->items.count; i++)
            expr_visit(x->l->pool, x->stages.data[s]->items.data[i].value, visit_use, &u);
    return u.found;
}

static void decide_stores(Nest *x)
{
    for (int s = 0; s < x->stages.count; s++)
        for (int i = 0; i < x->stages.data[s]->items.count; i++) {
            Item *item = &x->stages.data[s]->items.data[i];
            bool outside = x->l->schedule->places[item->node->id].kind != PLACE_SCRATCH;
            item->stored = outside || is_loaded_after(x, s, item->buffer);
            if (item->stored)
                buffer_to_write(x->l, item->node);
        }
}

/* ---- merging loops -------------------------------------------------------------------------------------- */

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

static void replace_pair(Nest *x, Stage *only, IndexList *list, int at)
{
    Merge m = {.l = x->l};
    Index *merged = flatten_indices(x->l, list->data[at]->name, &list->data[at], 2);
    const Affine *to[2];
    flatten_into(x->l, affine_index(x->l->pool, merged), &list->data[at], 2, to);
    m.by = (Substitution){2, &list->data[at], to};
    for_items(x, only, substitute_item, &m);
    merge_in_list(x->l, list, at, merged);
}

static void merge_loops(Nest *x, Stage *only, IndexList *list)
{
    for (int at = list->count - 2; at >= 0; at--) {
        Merge m = {
            .l = x->l, .outer = list->data[at], .inner = list->data[at + 1], .possible = true};
        if (m.inner->per_example)
            continue;
        for_items(x, only, check_item, &m);
        if (m.possible)
            replace_pair(x, only, list, at);
    }
}

/* ---- which loop the lanes run over ------------------------------------------------------------------------- */

double extents_without(const IndexList *list, const Index *without)
{
    double total = 1;
    for (int i = 0; i < list->count; i++)
        if (list->data[i] != without)
            total *= (double)list->data[i]->extent;
    return total;
}

bool index_in(const IndexList *list, const Index *ix)
{
    for (int i = 0; i < list->count; i++)
        if (list->data[i] == ix)
            return true;
    return false;
}

enum { LOOP_COST = 2, FOLD_COST = 12 };

static double store_cost(const Item *item, const Index *v, int lanes)
{
    bool nested;
    int64_t factor = v ? affine_factor(item->offset, v, &nested) : 1;
    return factor == 1 ? 1 : lanes;
}

typedef struct Savings {
    const Nest *nest;
    const Index *vector;
    double uses, each, total;
} Savings;

static void visit_savings(void *context, const Expr *e)
{
    Savings *s = context;
    if (e->kind == EXPR_LOAD && turn_is_possible(s->nest, e, s->vector, s->uses))
        s->total += s->each;
}

static double item_cost(Nest *x, const Item *item, const Index *v, int lanes, double uses)
{
    Savings s = {x, v, uses, lanes - 1, 0};
    expr_visit(x->l->pool, item->value, visit_savings, &s);
    return access_cost(x->l, item->value, v, v ? lanes : 1) - s.total;
}

/* How often the kernel computes what is within the bound loops. */
static double stage_uses(const Nest *x, const Stage *st)
{
    return extents_without(&x->shared, NULL) * extents_without(&st->free, NULL) *
           extents_without(&st->bound, NULL);
}

/* The stage's cost, its loops over `v` counted in vectors. */
static double stage_cost(Nest *x, const Stage *st, const Index *v, int lanes)
{
    double vectors = v ? ceil((double)v->extent / lanes) : 1;
    bool of_stage = v && (index_in(&st->free, v) || index_in(&st->bound, v));
    double outer = extents_without(&st->free, v) * (v && index_in(&st->free, v) ? vectors : 1);
    double inner =
        outer * extents_without(&st->bound, v) * (v && index_in(&st->bound, v) ? vectors : 1);
    double cost = LOOP_COST * inner;
    for (int i = 0; i < st->items.count; i++) {
        const Item *item = &st->items.data[i];
        double each = item_cost(x, item, v, lanes, stage_uses(x, st));
        cost += each * (item->kind == ITEM_POST ? outer : inner);
        if (item->kind == ITEM_REDUCE)
            cost += inner + (of_stage && index_in(&st->bound, v) ? FOLD_COST * outer : 0);
        if (item->stored)
            cost += store_cost(item, v, lanes) * (item->kind == ITEM_INNER ? inner : outer);
    }
    return cost;
}

static bool can_fold_lanes(const Stage *st)
{
    for (int i = 0; i < st->items.count; i++)
        if (st->items.data[i].kind == ITEM_REDUCE && st->items.data[i].position)
            return false;
    return true;
}

static Index *best_vector(Nest *x, const Stage *st, int lanes, double *cost)
{
    Index *best = NULL;
    *cost = stage_cost(x, st, NULL, lanes);
    for (int i = st->free.count - 1; i >= 0; i--) {
        double c = stage_cost(x, st, st->free.data[i], lanes);
        if (c < *cost)
            *cost = c, best = st->free.data[i];
    }
    for (int i = st->bound.count - 1; i >= 0 && can_fold_lanes(st); i--) {
        double c = stage_cost(x, st, st->bound.data[i], lanes);
        if (c < *cost)
            *cost = c, best = st->bound.data[i];
    }
    return best;
}

static bool uses_scratch(Nest *x)
{
    for (int s = 0; s < x->stages.count; s++)
        for (int i = 0; i < x->stages.data[s]->items.count; i++) {
            const Item *item = &x->stages.data[s]->items.data[i];
            if (item->stored && item->buffer->space == SPACE_SCRATCH)
                return true;
        }
    return false;
}

/* Is it cheaper to give each lane its own iteration of the last shared loop? */
static bool wants_shared_lanes(Nest *x, int lanes)
{
    if (x->shared.count == 0 || lanes == 1 || (uses_scratch(x) && !x->l->schedule->examples_last))
        return false;
    const Index *v = x->shared.data[x->shared.count - 1];
    double across = 0, within = 0;
    for (int s = 0; s < x->stages.count; s++) {
        double c;
        best_vector(x, x->stages.data[s], lanes, &c);
        within += c * (double)v->extent;
        across += stage_cost(x, x->stages.data[s], v, lanes) * ceil((double)v->extent / lanes);
    }
    return across <= within;
}

/* ---- emission --------------------------------------------------------------------------------------------- */

static const Expr *start_value(Lowering *l, const Node *n, DType type)
{
    double start = n->reduction->start;
    if (isinf(start) && dtype_is_integer(type))
        start = start < 0 ? INT32_MIN : INT32_MAX;
    return expr_const_typed(l->pool, start, type);
}

static void emit_start(Lowering *l, LoopList *into, const Item *item)
{
    if (!item->position) {
        loop_set(l, into, item->local, start_value(l, item->node, item->node->type));
        return;
    }
    loop_set(l, into, item->best, start_value(l, item->node, item->value->type));
    loop_set(l, into, item->local, expr_const_typed(l->pool, 0, item->node->type));
}

static void emit_position(Lowering *l, LoopList *into, const Item *item)
{
    ExprPool *p = l->pool;
    int value = local_new(l, item->value->type), better = local_new(l, TYPE_BOOL);
    const Expr *v = expr_local(p, item->value->type, value),
               *best = expr_local(p, item->value->type, item->best);
    const Expr *is_better = expr_local(p, TYPE_BOOL, better);
    const ScalarFunction *compare =
        item->node->reduction == &reduce_argmax ? &scalar_gt : &scalar_lt;
    loop_set(l, into, value, item->value);
    loop_set(l, into, better, expr_call(p, compare, (const Expr *[]){v, best}));
    loop_set(l, into, item->best, expr_select(p, is_better, v, best));
    loop_set(l, into, item->local,
             expr_select(p, is_better, expr_affine(p, item->position),
                         expr_local(p, TYPE_I32, item->local)));
}

static void emit_value(Lowering *l, LoopList *into, const Item *item)
{
    if (item->kind != ITEM_REDUCE)
        loop_set(l, into, item->local, item->value);
    else if (item->position)
        emit_position(l, into, item);
    else
        loop_combine(l, into, item->local, item->value, item->node->reduction);
}

static void emit_stores(Lowering *l, LoopList *into, const Stage *st, bool inner)
{
    for (int i = 0; i < st->items.count; i++) {
        const Item *item = &st->items.data[i];
        if (item->stored && (item->kind == ITEM_INNER) == inner)
            loop_store(l, into, item->buffer, item->offset,
                       expr_local(l->pool, item->node->type, item->local));
    }
}

enum {
    SHORT_VECTORS = 4
}; /* bound vectors of at most so many registers go outside the other loops */

/* The indices that all lanes and iterations inside the first `count` shared loops have in common. */
static IndexList fixed_indices(Nest *x, int count)
{
    IndexList fixed = {0};
    for (int i = 0; i < x->l->kernel->steps.count; i++)
        vec_push(x->l->arena, &fixed, x->l->kernel->steps.data[i]);
    for (int i = 0; i < count; i++)
        vec_push(x->l->arena, &fixed, x->shared.data[i]);
    return fixed;
}

/* Where an item lets the loop over ix end: what it folds is nothing there, or nobody reads it. */
static const Affine *item_end(Nest *x, const Item *item, Index *ix, bool bound,
                              const IndexList *fixed)
{
    Lowering *l = x->l;
    if (!bound || item->kind != ITEM_REDUCE)
        return item->within ? clip_end(l, item->within, ix, fixed) : NULL;
    if (item->position)
        return NULL;
    return clip_sum(l, item->value, start_value(l, item->node, item->value->type), ix, fixed);
}

/* Where all items within a loop let it end. */
static const Affine *stage_end(Nest *x, const Stage *st, Index *ix, const IndexList *fixed)
{
    const bool bound = index_in(&st->bound, ix);
    const Affine *end = NULL;
    for (int i = 0; i < st->items.count; i++) {
        const Item *item = &st->items.data[i];
        if (bound && item->kind == ITEM_POST)
            continue;
        const Affine *its = item_end(x, item, ix, bound, fixed);
        if (!its || (end && end != its))
            return NULL;
        end = its;
    }
    return end;
}

/* Where all stages let a shared loop end. */
static const Affine *shared_end(Nest *x, int at)
{
    const IndexList fixed = fixed_indices(x, at);
    const Affine *end = NULL;
    for (int i = 0; i < x->stages.count; i++) {
        const Affine *its = stage_end(x, x->stages.data[i], x->shared.data[at], &fixed);
        if (!its || (end && end != its))
            return NULL;
        end = its;
    }
    return end;
}

/* Opens the loops of a list, the one over lanes innermost (or outermost, where it is short). */
static LoopList *open_loops(Nest *x, LoopList *into, const IndexList *list, const Index *v,
                            bool vector_first, const Affine *const *ends)
{
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < list->count; i++) {
            bool is_vector = list->data[i] == v;
            if (is_vector != (vector_first ? pass == 0 : pass == 1))
                continue;
            Loop *loop = loop_for(x->l, into, is_vector ? FOR_VECTOR : FOR_SERIAL, list->data[i]);
            loop->end = ends[i];
            into = &loop->body;
        }
    return into;
}

/* Where the loops of a list end: asked before hoisting takes conditions apart. */
static const Affine **find_ends(Nest *x, const Stage *st, const IndexList *list,
                                const IndexList *fixed)
{
    const Affine **ends = arena_new(x->l->arena, const Affine *, list->count + 1);
    for (int i = 0; i < list->count; i++)
        ends[i] = stage_end(x, st, list->data[i], fixed);
    return ends;
}

static BufferList written_buffers(Nest *x, const Stage *st)
{
    BufferList list = {0};
    for (int i = 0; i < st->items.count; i++)
        vec_push(x->l->arena, &list, st->items.data[i].buffer);
    return list;
}

static void hoist_items(Nest *x, LoopList *into, Stage *st, const IndexList *indices, bool post,
                        int first_local)
{
    Hoist h = {x->l, into, *indices, written_buffers(x, st), first_local};
    for (int i = 0; i < st->items.count; i++)
        if (post || st->items.data[i].kind != ITEM_POST)
            st->items.data[i].value = hoist(&h, st->items.data[i].value);
}

static int first_local(const Stage *st)
{
    int first = INT32_MAX;
    for (int i = 0; i < st->items.count; i++)
        if (st->items.data[i].local < first)
            first = st->items.data[i].local;
    return first;
}

static void turn_items(Nest *x, Stage *st, const Index *v)
{
    const double uses = stage_uses(x, st);
    for (int i = 0; v && i < st->items.count; i++)
        st->items.data[i].value = turn_loads(x, st->items.data[i].value, v, uses);
}

static void emit_stage(Nest *x, LoopList *into, Stage *st, bool lanes_outside, int lanes)
{
    Lowering *l = x->l;
    double cost;
    Index *v = lanes_outside || lanes == 1 ? NULL : best_vector(x, st, lanes, &cost);
    turn_items(x, st, lanes_outside ? x->shared.data[x->shared.count - 1] : v);
    const IndexList jam = jam_choose(x, st, v);
    if (jam.count)
        jam_items(x, st, &jam);
    IndexList all = st->free;
    all.capacity = all.count;
    for (int i = 0; i < st->bound.count; i++)
        vec_push(l->arena, &all, st->bound.data[i]);
    const IndexList fixed = fixed_indices(x, x->shared.count - lanes_outside);
    const Affine **free_ends = find_ends(x, st, &st->free, &fixed),
                 **bound_ends = find_ends(x, st, &st->bound, &fixed);
    hoist_items(x, into, st, &all, true, first_local(st));
    into = open_loops(x, into, &st->free, v, false, free_ends);
    for (int i = 0; i < st->items.count; i++)
        if (st->items.data[i].kind == ITEM_REDUCE)
            emit_start(l, into, &st->items.data[i]);
    if (st->free.count && st->bound.count)
        hoist_items(x, into, st, &st->bound, false, first_local(st));
    bool is_short = v && v->extent <= (int64_t)SHORT_VECTORS * lanes;
    LoopList *inner = open_loops(x, into, &st->bound, v, is_short, bound_ends);
    for (int i = 0; i < st->items.count; i++)
        if (st->items.data[i].kind != ITEM_POST)
            emit_value(l, inner, &st->items.data[i]);
    emit_stores(l, inner, st, true);
    for (int i = 0; i < st->items.count; i++)
        if (st->items.data[i].kind == ITEM_POST)
            emit_value(l, into, &st->items.data[i]);
    emit_stores(l, into, st, false);
}

/* ---- the shared loops ------------------------------------------------------------------------------------------ */

enum { BLOCK_WORK = 16384, MOST_BLOCK = 4096, FEW_ITERATIONS = 64 };

static int64_t block_length(Nest *x, const Index *v, int lanes)
{
    double each = x->l->kernel->flops / kernel_steps(x->l->kernel) / (double)v->extent + 1;
    int64_t block = (int64_t)(BLOCK_WORK / each) / lanes * lanes;
    return block < lanes ? lanes : block > MOST_BLOCK ? MOST_BLOCK : block;
}

/* One loop over lanes, in blocks that threads share. */
static LoopList *open_blocks(Nest *x, LoopList *into, Index *v, int lanes)
{
    Lowering *l = x->l;
    int64_t block = block_length(x, v, lanes);
    if (v->extent <= block)
        return &loop_for(l, into, FOR_VECTOR, v)->body;
    Index *outer = index_copy(l->pool, v);
    Loop *parallel = loop_parallel(l, into, outer, block);
    return &loop_range(l, &parallel->body, FOR_VECTOR, v, affine_index(l->pool, outer), block, 1)
                ->body;
}

static void flatten_outer(Nest *x, int count)
{
    while (count > 1 && x->shared.data[0]->extent < FEW_ITERATIONS &&
           !x->shared.data[1]->per_example) {
        replace_pair(x, NULL, &x->shared, 0);
        count--;
    }
}

static LoopList *open_shared(Nest *x, LoopList *into, bool across, int lanes)
{
    if (across && x->shared.count == 1)
        return open_blocks(x, into, x->shared.data[0], lanes);
    flatten_outer(x, x->shared.count - across);
    for (int i = 0; i < x->shared.count; i++) {
        if (i == 0) {
            into = &loop_parallel(x->l, into, x->shared.data[i], 1)->body;
            continue;
        }
        const ForKind how = across && i == x->shared.count - 1 ? FOR_VECTOR : FOR_SERIAL;
        Loop *loop = loop_for(x->l, into, how, x->shared.data[i]);
        loop->end = shared_end(x, i);
        into = &loop->body;
    }
    return into;
}

/* What each call does first stands in front of the parallel loop. */
static void put_before(Nest *x)
{
    LoopList *body = &x->l->out->body, all = x->before;
    for (int i = 0; i < body->count; i++)
        vec_push(x->l->arena, &all, body->data[i]);
    *body = all;
}

/* The loop over examples goes innermost, where they lie. */
static void examples_to_end(IndexList *shared)
{
    for (int i = 0; i + 1 < shared->count; i++)
        if (shared->data[i]->per_example) {
            Index *next = shared->data[i + 1];
            shared->data[i + 1] = shared->data[i];
            shared->data[i] = next;
        }
}

void lower_nest(Lowering *l)
{
    Nest x = {.l = l};
    for (int i = 0; i < l->kernel->shared.count; i++)
        vec_push(l->arena, &x.shared, l->kernel->shared.data[i]);
    build_stages(&x);
    if (l->schedule->examples_last)
        examples_to_end(&x.shared);
    decide_stores(&x);
    merge_loops(&x, NULL, &x.shared);
    for (int s = 0; s < x.stages.count; s++) {
        merge_loops(&x, x.stages.data[s], &x.stages.data[s]->free);
        merge_loops(&x, x.stages.data[s], &x.stages.data[s]->bound);
    }
    int lanes = lane_count(l, l->real);
    jam_demote(&x);
    bool across = wants_shared_lanes(&x, lanes);
    LoopList *body = open_shared(&x, &l->out->body, across, lanes);
    for (int s = 0; s < x.stages.count; s++)
        emit_stage(&x, body, x.stages.data[s], across, lanes);
    put_before(&x);
}
