/* Clears a node's margin: of each example the slabs before and behind each dimension, so that none is
 * written twice. */
#include "lower/internal.h"

/* The slab of `length` at `begin` of dimension d, in margin and all; the dimensions outside it run over
 * the elements, what lies inside it is cleared without a break. */
static void clear_slab(Lowering *l, LoopList *into, Index *example, int d, int64_t begin,
                       int64_t length)
{
    ExprPool *p = l->pool;
    Node *n = l->kernel->nodes.data[0];
    const Affine **at = arena_new(l->arena, const Affine *, n->rank);
    int64_t inner = 1;
    if (!length)
        return;
    at[0] = affine_index(p, example);
    for (int i = 1; i < d; i++) {
        Index *ix = index_copy(p, n->domain[i]);
        into = &loop_for(l, into, FOR_SERIAL, ix)->body;
        at[i] = affine_index(p, ix);
    }
    at[d] = affine_constant(p, begin);
    for (int i = d + 1; i < n->rank; i++) {
        at[i] = affine_constant(p, -l->schedule->places[n->id].before[i]);
        inner *= schedule_extent(l->schedule, n, i);
    }
    Index *run = index_new(p, "run", length * inner, 0, n->span);
    const Affine *offset = affine_add(p, identity_offset(l, n, at), affine_index(p, run));
    into = &loop_for(l, into, FOR_VECTOR, run)->body;
    loop_store(l, into, buffer_to_write(l, n), offset, expr_const_typed(p, 0, n->type));
}

void lower_margin(Lowering *l)
{
    Node *n = l->kernel->nodes.data[0];
    const Place *place = &l->schedule->places[n->id];
    Index *example = index_copy(l->pool, n->domain[0]);
    LoopList *into = &loop_parallel(l, &l->out->body, example, 1)->body;
    for (int d = 1; d < n->rank; d++) {
        clear_slab(l, into, example, d, -place->before[d], place->before[d]);
        clear_slab(l, into, example, d, n->domain[d]->extent, place->after[d]);
    }
}
