/* What loops read in the order in which it lies, of buffers that no cache holds, is asked for a page before it is wanted: the
 * processor foresees neighbours within a page, and begins anew with the next. */
#include "lower/nest.h"

enum { AHEAD_BYTES = 4096 };

typedef struct Far {
    const Lowering *l;
    const Index *lane;
    VEC(const Expr *) loads; /* one of each buffer */
} Far;

static void visit_load(void *context, const Expr *e)
{
    Far *f = context;
    bool nested;
    if (e->kind != EXPR_LOAD || e->count || e->buffer->space != SPACE_OPERAND ||
        e->buffer->type != f->l->real || e->buffer->bytes <= (uint64_t)f->l->lanes->l2_bytes ||
        affine_factor(e->affine, f->lane, &nested) != 1)
        return;
    for (int i = 0; i < f->loads.count; i++)
        if (f->loads.data[i]->buffer == e->buffer)
            return;
    vec_push(f->l->arena, &f->loads, e);
}

void far_ask(Nest *x, LoopList *into, const Stage *st, const Index *lane)
{
    Lowering *l = x->l;
    Far f = {.l = l, .lane = lane};
    if (!lane || l->kernel->band || st->bound.count)
        return;
    for (int i = 0; i < st->items.count; i++)
        expr_visit(l->pool, st->items.data[i].value, visit_load, &f);
    for (int i = 0; i < f.loads.count; i++)
        loop_ask(
            l, into, f.loads.data[i]->buffer,
            affine_offset(l->pool, f.loads.data[i]->affine, AHEAD_BYTES / dtype_size(l->real)));
}
