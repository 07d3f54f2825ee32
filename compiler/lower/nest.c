/* Everything that is no contraction: loop nests.
 * A kernel is its shared loops around stages; a stage is the nodes that also share what loops they
 * have beyond: free ones, and inside them bound ones.  One loop of a stage, or the last of the
 * shared ones, runs over the lanes. */
#include "lower/nest.h"

#include <math.h>

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

/* ---- emission --------------------------------------------------------------------------------------------- */

static const Expr *start_value(Lowering *l, const Node *n, DType type)
{
    double start = n->reduction->start;
    if (isinf(start) && dtype_is_integer(type))
        start = start < 0 ? INT32_MIN : INT32_MAX;
    return expr_const_typed(l->pool, start, type);
}

void item_start(Lowering *l, LoopList *into, const Item *item)
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

void item_evaluate(Lowering *l, LoopList *into, const Item *item)
{
    if (item->kind != ITEM_REDUCE)
        loop_set(l, into, item->local, item->value);
    else if (item->position)
        emit_position(l, into, item);
    else
        loop_combine(l, into, item->local, item->value, item->node->reduction);
}

void stage_store(Lowering *l, LoopList *into, const Stage *st, bool inner)
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
    const Affine *end = item->within ? clip_end(l, item->within, ix, fixed) : NULL;
    if (end || !bound || item->kind != ITEM_REDUCE)
        return end;
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

/* Opens those loops of a list that do not run over lanes. */
static LoopList *open_others(Nest *x, LoopList *into, const IndexList *list, const Index *v)
{
    for (int i = 0; i < list->count; i++)
        if (list->data[i] != v)
            into = &loop_for(x->l, into, FOR_SERIAL, list->data[i])->body;
    return into;
}

static bool any_end(const Affine *const *ends, int count)
{
    for (int i = 0; i < count; i++)
        if (ends[i])
            return true;
    return false;
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

static bool any_uses(const Affine *const *ends, int count, const Index *ix)
{
    for (int i = 0; i < count; i++)
        if (ends[i] && affine_uses(ends[i], ix))
            return true;
    return false;
}

/* Does each iteration of the last shared loop end its own loops elsewhere? */
static bool ends_by_row(Nest *x)
{
    const Index *row = x->shared.data[x->shared.count - 1];
    const IndexList fixed = fixed_indices(x, x->shared.count);
    for (int s = 0; s < x->stages.count; s++) {
        const Stage *st = x->stages.data[s];
        if (any_uses(find_ends(x, st, &st->free, &fixed), st->free.count, row) ||
            any_uses(find_ends(x, st, &st->bound, &fixed), st->bound.count, row))
            return true;
    }
    return false;
}

static BufferList written_buffers(Nest *x, const Stage *st)
{
    BufferList list = {0};
    for (int i = 0; i < st->items.count; i++)
        vec_push(x->l->arena, &list, st->items.data[i].buffer);
    return list;
}

void stage_hoist(Nest *x, LoopList *into, Stage *st, const IndexList *indices, bool post,
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

static void note_moved(Nest *x)
{
    for (int s = 0; s < x->stages.count; s++) {
        Stage *st = x->stages.data[s];
        const Hoist h = {x->l, NULL, st->bound.count ? st->bound : st->free, written_buffers(x, st),
                         first_local(st)};
        for (int i = 0; i < st->items.count; i++)
            if (st->items.data[i].kind != ITEM_POST)
                st->items.data[i].moved = hoist_cost(&h, st->items.data[i].value);
    }
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
    Index *v = lanes_outside || lanes == 1 ? NULL : vector_choose(x, st, lanes, &cost);
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
    stage_hoist(x, into, st, &all, true, first_local(st));
    if (stream_is_worth(st, v, lanes) && !any_end(free_ends, st->free.count) &&
        !any_end(bound_ends, st->bound.count)) {
        stream_emit(x, open_others(x, into, &st->free, v), st, v, first_local(st));
        return;
    }
    into = open_loops(x, into, &st->free, v, false, free_ends);
    for (int i = 0; i < st->items.count; i++)
        if (st->items.data[i].kind == ITEM_REDUCE)
            item_start(l, into, &st->items.data[i]);
    if (st->free.count && st->bound.count)
        stage_hoist(x, into, st, &st->bound, false, first_local(st));
    bool is_short = v && v->extent <= (int64_t)SHORT_VECTORS * lanes;
    band_ask(x, into, st, true);
    LoopList *inner = open_loops(x, into, &st->bound, v, is_short, bound_ends);
    band_ask(x, inner, st, false);
    far_ask(x, inner, st, lanes_outside ? x->shared.data[x->shared.count - 1] : v);
    for (int i = 0; i < st->items.count; i++)
        if (st->items.data[i].kind != ITEM_POST)
            item_evaluate(l, inner, &st->items.data[i]);
    stage_store(l, inner, st, true);
    for (int i = 0; i < st->items.count; i++)
        if (st->items.data[i].kind == ITEM_POST)
            item_evaluate(l, into, &st->items.data[i]);
    stage_store(l, into, st, false);
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
        merge_pair(x, NULL, &x->shared, 0);
        count--;
    }
}

static LoopList *open_shared(Nest *x, LoopList *into, bool across, Abreast *rows, int lanes)
{
    if (across && !rows && x->shared.count == 1)
        return open_blocks(x, into, x->shared.data[0], lanes);
    flatten_outer(x, x->shared.count - across);
    for (int i = 0; i < x->shared.count; i++) {
        if (rows && i == x->shared.count - 1)
            return abreast_open(rows, into);
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

/* The loops over the groups of a chain are one, and stay apart. */
static void merge_shared(Nest *x)
{
    const int groups = x->l->kernel->group_loops;
    for (int i = 1; i < groups; i++)
        merge_pair(x, NULL, &x->shared, 0);
    merge_loops(x, NULL, &x->shared, groups > 0);
}

void lower_nest(Lowering *l)
{
    Nest x = {.l = l};
    for (int i = 0; i < l->kernel->shared.count; i++)
        vec_push(l->arena, &x.shared, l->kernel->shared.data[i]);
    stage_build_all(&x);
    if (l->schedule->examples_last)
        examples_to_end(&x.shared);
    decide_stores(&x);
    merge_shared(&x);
    for (int s = 0; s < x.stages.count; s++) {
        merge_loops(&x, x.stages.data[s], &x.stages.data[s]->free, 0);
        merge_loops(&x, x.stages.data[s], &x.stages.data[s]->bound, 0);
    }
    int lanes = lane_count(l, l->real);
    note_moved(&x);
    jam_demote(&x);
    stream_demote(&x, lanes);
    const bool by_rows = x.shared.count > (l->kernel->group_loops > 0);
    bool across = by_rows && vector_is_shared(&x, lanes);
    if (by_rows)
        flatten_outer(&x, x.shared.count - 1);
    Abreast *rows = by_rows && !ends_by_row(&x) ? abreast_choose(&x, across, lanes) : NULL;
    across = across || rows;
    LoopList *body = open_shared(&x, &l->out->body, across, rows, lanes);
    for (int s = 0; s < x.stages.count; s++)
        emit_stage(&x, body, x.stages.data[s], across, lanes);
    if (rows)
        abreast_close(rows);
    put_before(&x);
}
