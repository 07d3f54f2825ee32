/* Sums over much data in the order in which it lies.  With a register for each lane, a pass over all terms
 * would touch one vector of each row and come back for the next; with the sums in scratch, each row is read
 * to its end before the next. */
#include "lower/nest.h"

enum {
    MUCH_TERMS = 512,   /* of a sum: with a line for each, they outgrow the first cache  */
    FEW_ITERATIONS = 8, /* of the shared loops, to be left for threads                   */
    ROW_TERMS = 64      /* of a stretch, where the terms do not lie in rows of their own */
};

/* A sum that is in scratch while the terms of other lanes are added to theirs. */
static bool is_fit(const Item *item)
{
    return item->kind == ITEM_POST || (item->kind == ITEM_REDUCE && !item->position);
}

bool stream_is_worth(const Stage *st, const Index *v, int lanes)
{
    if (!v || !index_in(&st->free, v) || v->extent <= lanes ||
        extents_without(&st->bound, NULL) < MUCH_TERMS)
        return false;
    for (int i = 0; i < st->items.count; i++)
        if (!is_fit(&st->items.data[i]))
            return false;
    return true;
}

void stream_demote(Nest *x, int lanes)
{
    if (x->stages.count != 1 || x->shared.count < 2)
        return;
    Stage *st = x->stages.data[0], with = {.bound = st->bound, .items = st->items};
    Index *last = x->shared.data[x->shared.count - 1];
    vec_push(x->l->arena, &with.free, last);
    for (int i = 0; i < st->free.count; i++)
        vec_push(x->l->arena, &with.free, st->free.data[i]);
    if (extents_without(&x->shared, last) < FEW_ITERATIONS ||
        !stream_is_worth(&with, last, lanes) || !vector_is_shared(x, lanes))
        return;
    st->free = with.free;
    x->shared.count--;
}

typedef struct Stream {
    Nest *nest;
    Stage *stage;
    Index *lane;
    int first_local;
    Buffer **sums; /* per item: NULL where it is no sum */
} Stream;

static void each_sum(Stream *s, LoopList *into, bool load)
{
    Lowering *l = s->nest->l;
    const Affine *at = affine_index(l->pool, s->lane);
    for (int i = 0; i < s->stage->items.count; i++) {
        const Item *item = &s->stage->items.data[i];
        const DType type = item->node->type;
        if (!s->sums[i])
            continue;
        if (load)
            loop_set(l, into, item->local, expr_load(l->pool, type, s->sums[i], at, NULL, 0));
        else
            loop_store(l, into, s->sums[i], at, expr_local(l->pool, type, item->local));
    }
}

static LoopList *open_lanes(Stream *s, LoopList *into)
{
    return &loop_for(s->nest->l, into, FOR_VECTOR, s->lane)->body;
}

static void emit_starts(Stream *s, LoopList *into)
{
    into = open_lanes(s, into);
    for (int i = 0; i < s->stage->items.count; i++)
        if (s->sums[i])
            item_start(s->nest->l, into, &s->stage->items.data[i]);
    each_sum(s, into, false);
}

/* The loops over all terms but those of a row; gives the row's in *row. */
static LoopList *open_rows(Stream *s, LoopList *into, IndexList *row, const Affine **begin)
{
    Lowering *l = s->nest->l;
    const IndexList *bound = &s->stage->bound;
    int outer = bound->count - 1;
    *begin = NULL;
    for (int i = 0; i < outer; i++)
        into = &loop_for(l, into, FOR_SERIAL, bound->data[i])->body;
    Index *last = bound->data[outer];
    vec_push(l->arena, row, last);
    if (last->extent > 2 * ROW_TERMS) {
        Index *block = index_copy(l->pool, last);
        into = &loop_range(l, into, FOR_SERIAL, block, NULL, 0, ROW_TERMS)->body;
        *begin = affine_index(l->pool, block);
    }
    return into;
}

/* Of each buffer the load farthest on, one row later: what this row's other loads want is here by then. */
typedef struct Asking {
    Stream *stream;
    const Index *row; /* the loop that goes from row to row */
    int64_t step;
    VEC(const Expr *) loads;
} Asking;

static void visit_load(void *context, const Expr *e)
{
    Asking *a = context;
    bool nested;
    if (e->kind != EXPR_LOAD || e->count || e->buffer->space == SPACE_SCRATCH ||
        affine_factor(e->affine, a->row, &nested) <= 0 || nested ||
        affine_factor(e->affine, a->stream->lane, &nested) != 1 || nested)
        return;
    for (int i = 0; i < a->loads.count; i++)
        if (a->loads.data[i]->buffer == e->buffer) {
            if (a->loads.data[i]->affine->constant < e->affine->constant)
                a->loads.data[i] = e;
            return;
        }
    vec_push(a->stream->nest->l->arena, &a->loads, e);
}

static void emit_asking(Stream *s, LoopList *into, const Index *row, int64_t step)
{
    Lowering *l = s->nest->l;
    Asking a = {.stream = s, .row = row};
    for (int i = 0; i < s->stage->items.count; i++)
        if (s->sums[i])
            expr_visit(l->pool, s->stage->items.data[i].value, visit_load, &a);
    for (int i = 0; i < a.loads.count; i++) {
        const Expr *load = a.loads.data[i];
        bool nested;
        loop_ask(
            l, into, load->buffer,
            affine_offset(l->pool, load->affine, step * affine_factor(load->affine, row, &nested)));
    }
}

static void emit_terms(Stream *s, LoopList *into)
{
    Lowering *l = s->nest->l;
    IndexList row = {0};
    const Affine *begin;
    into = open_lanes(s, open_rows(s, into, &row, &begin));
    each_sum(s, into, true);
    stage_hoist(s->nest, into, s->stage, &row, false, s->first_local);
    LoopList *terms =
        &loop_range(l, into, FOR_SERIAL, row.data[0], begin, begin ? ROW_TERMS : 0, 1)->body;
    if (begin)
        emit_asking(s, terms, row.data[0], ROW_TERMS);
    else
        emit_asking(s, terms, s->stage->bound.data[s->stage->bound.count - 2], 1);
    band_ask(s->nest, terms, s->stage, false);
    for (int i = 0; i < s->stage->items.count; i++)
        if (s->sums[i])
            item_evaluate(l, terms, &s->stage->items.data[i]);
    each_sum(s, into, false);
}

static void emit_results(Stream *s, LoopList *into)
{
    into = open_lanes(s, into);
    each_sum(s, into, true);
    for (int i = 0; i < s->stage->items.count; i++)
        if (!s->sums[i])
            item_evaluate(s->nest->l, into, &s->stage->items.data[i]);
    stage_store(s->nest->l, into, s->stage, false);
}

void stream_emit(Nest *x, LoopList *into, Stage *st, Index *v, int first_local)
{
    Lowering *l = x->l;
    Stream s = {x, st, v, first_local, arena_new(l->arena, Buffer *, st->items.count + 1)};
    for (int i = 0; i < st->items.count; i++)
        if (st->items.data[i].kind == ITEM_REDUCE)
            s.sums[i] = scratch_new(l, st->items.data[i].node->type, v->extent);
    emit_starts(&s, into);
    emit_terms(&s, into);
    emit_results(&s, into);
}
