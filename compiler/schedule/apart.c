/* Recurrences whose examples do not need each other: a thread does all steps of some examples before it goes on to
 * the next.  So threads wait for each other once, not in each step, and what a step makes of them is in the cache.
 *   needs: the kernels in order, what they cost, and where their nodes are
 *   gives: a chain of all kernels of each such recurrence, whose groups are so many examples */
#include "schedule/internal.h"

enum {
    GROUP = 8,              /* examples: the rows of one panel          */
    ENOUGH_WORK = 1 << 20,  /* flops or bytes, to be worth a thread     */
    PANELS_SHARE_OF_L2 = 75 /* per cent: every group passes all weights */
};

/* The recurrence ends before this kernel. */
static int past_steps(const Schedule *s, int first)
{
    int end = first + 1;
    while (end < s->kernels.count &&
           s->kernels.data[end]->recurrence == s->kernels.data[first]->recurrence)
        end++;
    return end;
}

/* Is its outermost loop over the examples? */
static bool goes_by_examples(const Kernel *k)
{
    if (k->kind == KERNEL_NEST)
        return k->shared.count && k->shared.data[0]->per_example == 1;
    return k->kind == KERNEL_CONTRACTION && !k->contraction.groups.count &&
           k->contraction.rows.count == 1 && k->contraction.rows.data[0]->per_example == 1 &&
           k->contraction.rows.data[0] == k->nodes.data[0]->domain[0] && !kernel_sum_rows(k);
}

/* Does n read, of what the recurrence makes, its own example's alone? */
static bool keeps_to_itself(const Schedule *s, const Node *n)
{
    const PlaceKind kind = s->places[n->id].kind;
    if ((kind != PLACE_WORKSPACE && kind != PLACE_SCRATCH) || !node_is_batched(n) ||
        n->domain[0]->per_example != 1)
        return false;
    const AccessList reads = body_accesses(s->graph->pool, s->bodies[n->id]);
    for (int i = 0; i < reads.count; i++) {
        const Expr *access = reads.data[i];
        if (node_storage(access->node)->recurrence != n->recurrence)
            continue;
        const Affine *example = node_is_batched(access->node) ? access->subscripts[0].affine : NULL;
        if (!example || affine_is_index(example) != n->domain[0])
            return false;
    }
    return true;
}

/* Bytes of the weights that a step multiplies with. */
static double weights_of(const Schedule *s, const Kernel *k)
{
    double elements = k->kind == KERNEL_CONTRACTION ? 1 : 0;
    for (int i = 0; elements > 0 && i < k->contraction.columns.count; i++)
        elements *= (double)k->contraction.columns.data[i]->extent;
    for (int i = 0; elements > 0 && i < k->contraction.depth.count; i++)
        elements *= (double)k->contraction.depth.data[i]->extent;
    return elements * dtype_size(expr_pool_real(s->graph->pool));
}

static bool comes_apart(const Schedule *s, int first, int end, const LaneModel *lanes)
{
    const Recurrence *r = s->kernels.data[first]->recurrence;
    double work = 0, weights = 0;
    if (!r || r->outer || end == first + 1 || s->graph->batch % (2 * GROUP))
        return false;
    for (int i = first; i < end; i++) {
        const Kernel *k = s->kernels.data[i];
        work += k->flops + k->bytes_moved;
        weights += weights_of(s, k);
        if (!goes_by_examples(k) || k->every != s->kernels.data[first]->every ||
            (i == s->loss_kernel && i + 1 < end))
            return false;
        for (int j = 0; j < k->nodes.count; j++)
            if (k->nodes.data[j]->recurrence != r || !keeps_to_itself(s, k->nodes.data[j]))
                return false;
    }
    return work > ENOUGH_WORK && weights * 100 < (double)lanes->l2_bytes * PANELS_SHARE_OF_L2;
}

void apart_run(Schedule *s, const LaneModel *lanes)
{
    for (int first = 0, end; first < s->kernels.count; first = end) {
        end = past_steps(s, first);
        if (!comes_apart(s, first, end, lanes))
            continue;
        for (int i = first; i < end; i++) {
            Kernel *k = s->kernels.data[i];
            k->own_examples = GROUP;
            k->group_loops = 1;
            k->chained = i > first ? s->graph->batch / GROUP : 0;
        }
    }
}
