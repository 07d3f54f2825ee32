/* Where a net is so small that its rows are shorter than a vector, examples lie innermost in what is
 * stored between kernels: neighbouring lanes then compute neighbouring examples.
 *   needs: the kernels, and where each node's elements are
 *   gives: s->examples_last */
#include "schedule/internal.h"

enum {
    LITTLE_WORK = 200000, /* flops of the whole entry        */
    SHORT_ROW = 64,       /* numbers of one example          */
    FEWEST = 8,           /* examples that make a vector     */
    MOST = 64
};

static bool is_short(const Node *n)
{
    const Index *batch = n->domain[0];
    return batch->per_example == 1 && batch->extent >= FEWEST && batch->extent <= MOST &&
           node_elements(n) <= batch->extent * SHORT_ROW;
}

static bool is_ours(const Schedule *s, const Node *n)
{
    const PlaceKind kind = s->places[n->id].kind;
    return kind == PLACE_WORKSPACE || kind == PLACE_SCRATCH;
}

void layout_run(Schedule *s)
{
    double flops = 0;
    bool stored = false;
    for (int i = 0; i < s->kernels.count; i++) {
        const Kernel *k = s->kernels.data[i];
        flops += k->flops;
        if (k->kind != KERNEL_NEST || k->recurrence || flops > LITTLE_WORK)
            return;
        for (int j = 0; j < k->nodes.count; j++)
            if (node_is_batched(k->nodes.data[j])) {
                stored = stored || is_ours(s, k->nodes.data[j]);
                if (!is_short(k->nodes.data[j]))
                    return;
            }
    }
    for (int i = 0; i < s->graph->nodes.count; i++) {
        const Node *n = s->graph->nodes.data[i];
        if (n->kind == NODE_VIEW && node_is_batched(n) != node_is_batched(n->viewed))
            return;
    }
    s->examples_last = stored;
}

bool schedule_is_examples_last(const Schedule *s, const Node *n)
{
    return s->examples_last && node_is_batched(n) && is_ours(s, n);
}
