/* A band's kernel computes windows in its first loops, from far memory, and in those behind them all that is made
 * of the windows.  While these run, they ask for what the windows of the next band will want: otherwise
 * memory and arithmetic take turns. */
#include "lower/nest.h"

enum { FEW_TAPS = 64 }; /* of sums around which, not in which, a stage asks */

typedef VEC(const Expr *) LoadList;

typedef struct Loads {
    const Lowering *l;
    BufferSpace space;
    LoadList list; /* one of each buffer in memory; of scratch, one of each place */
} Loads;

static void visit_load(void *context, const Expr *e)
{
    Loads *x = context;
    if (e->kind != EXPR_LOAD || e->count || e->buffer->space != x->space)
        return;
    const bool far = x->space == SPACE_OPERAND;
    if (far && e->buffer->bytes <= (uint64_t)x->l->lanes->l2_bytes)
        return;
    for (int i = 0; i < x->list.count; i++)
        if (far ? x->list.data[i]->buffer == e->buffer : x->list.data[i] == e)
            return;
    vec_push(x->l->arena, &x->list, e);
}

static LoadList stage_loads(const Nest *x, const Stage *st, BufferSpace space)
{
    Loads loads = {x->l, space, {0}};
    for (int i = 0; i < st->items.count; i++)
        expr_visit(x->l->pool, st->items.data[i].value, visit_load, &loads);
    return loads.list;
}

/* The stage's item that keeps a window in this scratch, or NULL. */
static const Item *keeper(const Stage *st, const Buffer *b)
{
    for (int i = 0; i < st->items.count; i++)
        if (st->items.data[i].kind == ITEM_INNER && st->items.data[i].buffer == b)
            return &st->items.data[i];
    return NULL;
}

static bool asks_around(const Stage *st)
{
    double taps = 1;
    for (int i = 0; i < st->bound.count; i++)
        taps *= (double)st->bound.data[i]->extent;
    return taps <= FEW_TAPS;
}

static const Affine *without(ExprPool *p, const Affine *a, const IndexList *list)
{
    const Affine *zero = affine_constant(p, 0);
    for (int i = 0; i < list->count; i++)
        a = affine_substitute(p, a, &(Substitution){1, &list->data[i], &zero});
    return a;
}

typedef VEC(const Affine *) PlaceList;

/* Where the stage reads a buffer of what `keeping` keeps, taps apart; of the terms of a sum the last. */
static PlaceList places_in(const Nest *x, const Stage *st, const LoadList *all, const Buffer *b)
{
    PlaceList list = {0};
    for (int i = 0; i < all->count; i++) {
        const Affine *place = all->data[i]->affine;
        if (all->data[i]->buffer != b)
            continue;
        if (asks_around(st)) {
            vec_push(x->l->arena, &list, without(x->l->pool, place, &st->bound));
            continue;
        }
        if (!list.count)
            vec_push(x->l->arena, &list, place);
        else if (affine_interval(place).high > affine_interval(list.data[0]).high)
            list.data[0] = place;
    }
    return list;
}

/* The same of that buffer which it reads at the fewest places: there it asks. */
static PlaceList places_of(const Nest *x, const Stage *st, const Stage *keeping)
{
    const LoadList all = stage_loads(x, st, SPACE_SCRATCH);
    PlaceList best = {0};
    for (int i = 0; i < all.count && st != keeping; i++) {
        const PlaceList places = places_in(x, st, &all, all.data[i]->buffer);
        if (keeper(keeping, all.data[i]->buffer) && (!best.count || places.count < best.count))
            best = places;
    }
    return best;
}

/* The row of the keeper's scratch that the place is in. */
static const Affine *row_of(ExprPool *p, const Stage *keeping, const Affine *place)
{
    int64_t row = 1;
    for (int i = 1; i < keeping->free.count; i++)
        row *= keeping->free.data[i]->extent;
    return affine_quotient(p, place, row);
}

/* What the load reads in the next band where the stage is at `place` of the keeper's scratch, `further` rows on. */
static const Affine *next_offset(const Nest *x, const Stage *keeping, const Expr *load,
                                 const Affine *place, int64_t further)
{
    ExprPool *p = x->l->pool;
    const int count = keeping->free.count;
    Index **from = arena_new(x->l->arena, Index *, count + 1);
    const Affine **to = arena_new(x->l->arena, const Affine *, count + 1);
    from[0] = keeping->free.data[0];
    to[0] = affine_offset(p, row_of(p, keeping, place), further);
    int64_t stride = 1;
    for (int i = count - 1; i > 0; i--) {
        from[i] = keeping->free.data[i];
        to[i] = affine_remainder(p, affine_quotient(p, place, stride), from[i]->extent);
        stride *= from[i]->extent;
    }
    from[count] = x->shared.data[x->shared.count - 1];
    to[count] = affine_offset(p, affine_index(p, from[count]), 1);
    return affine_substitute(p, load->affine, &(Substitution){count + 1, from, to});
}

/* How far the last row that is read is from the last that is kept: the next band has the others already. */
static int64_t rows_further(const Nest *x, const Stage *keeping, const PlaceList *places)
{
    int64_t last = 0;
    for (int i = 0; i < places->count; i++) {
        const int64_t row = affine_interval(row_of(x->l->pool, keeping, places->data[i])).high;
        last = row > last ? row : last;
    }
    return keeping->free.data[0]->extent - 1 - last;
}

/* The number of the stage among those that read the keeper's windows, and how many these are. */
static int asking_number(const Nest *x, const Stage *st, const Stage *keeping, int *count)
{
    int number = -1;
    *count = 0;
    for (int i = 0; i < x->stages.count; i++)
        if (places_of(x, x->stages.data[i], keeping).count) {
            if (x->stages.data[i] == st)
                number = *count;
            (*count)++;
        }
    return number;
}

/* What `keeping` loads is shared among the stages that read its windows. */
static void ask_share(Nest *x, LoopList *into, const Stage *st, const Stage *keeping)
{
    int stages;
    const PlaceList places = places_of(x, st, keeping);
    const LoadList loads = stage_loads(x, keeping, SPACE_OPERAND);
    const int number = asking_number(x, st, keeping, &stages);
    const int64_t further = rows_further(x, keeping, &places);
    for (int i = 0; i < loads.count; i++)
        for (int k = 0; k < places.count && i % stages == number; k++)
            loop_ask(x->l, into, loads.data[i]->buffer,
                     next_offset(x, keeping, loads.data[i], places.data[k], further));
}

void band_ask(Nest *x, LoopList *into, const Stage *st, bool around)
{
    if (!x->l->kernel->band || around != asks_around(st) || !x->shared.count)
        return;
    for (int i = 0; i < x->stages.count; i++)
        if (places_of(x, st, x->stages.data[i]).count)
            ask_share(x, into, st, x->stages.data[i]);
}
