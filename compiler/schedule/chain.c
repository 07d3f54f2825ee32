/* Kernels that go through the same groups, such as the heads of all examples: group by group, each
 * finds in the cache what those before it made.
 *   needs: the kernels in order, and what they move
 *   gives: which of them may run in one go with the kernel before, and by how many groups */
#include "schedule/internal.h"

enum { ENOUGH_GROUPS = 16, MOST_GROUP_BYTES = 1 << 20 };

/* The outermost loops: a batch of products goes through its groups, a nest through what its nodes share. */
static int outer_loops(const Kernel *k, Index *const **loops)
{
    *loops = k->kind == KERNEL_CONTRACTION ? k->contraction.groups.data : k->shared.data;
    return k->kind == KERNEL_CONTRACTION ? k->contraction.groups.count
           : k->kind == KERNEL_NEST      ? k->shared.count
                                         : 0;
}

static int64_t groups_of(const Kernel *k)
{
    Index *const *loops;
    int64_t groups = 1;
    if (k->kind != KERNEL_CONTRACTION || k->recurrence)
        return 0;
    for (int i = outer_loops(k, &loops) - 1; i >= 0; i--)
        groups *= loops[i]->extent;
    return groups >= ENOUGH_GROUPS ? groups : 0;
}

/* Does k go through the groups of `first`, with what it needs of one in the second cache? */
static bool goes_through(const Kernel *k, const Kernel *first, int64_t groups)
{
    Index *const *own, *const *theirs;
    int count = outer_loops(first, &theirs);
    if (k->recurrence || k->every != first->every || outer_loops(k, &own) < count ||
        k->bytes_moved > (double)groups * MOST_GROUP_BYTES)
        return false;
    for (int i = 0; i < count; i++)
        if (!extents_equal(own[i], theirs[i]))
            return false;
    return true;
}

/* Does a node of the kernel read it, or is it one? */
static bool has_at_hand(Planner *p, const Kernel *k, const Node *what)
{
    for (int i = 0; i < k->nodes.count; i++) {
        const NodePlan *plan = PLAN(p, k->nodes.data[i]);
        if (k->nodes.data[i] == what)
            return true;
        for (int j = 0; j < plan->reads.count; j++)
            if (plan->reads.data[j] == what)
                return true;
    }
    return false;
}

/* Does k read what a kernel of the chain made or read? */
static bool continues(Planner *p, const Kernel *k, int first)
{
    for (int i = 0; i < k->nodes.count; i++) {
        const NodePlan *plan = PLAN(p, k->nodes.data[i]);
        for (int j = 0; j < plan->reads.count; j++)
            for (int before = first; before < k->id; before++)
                if (has_at_hand(p, p->schedule->kernels.data[before], plan->reads.data[j]))
                    return true;
    }
    return false;
}

void chain_run(Planner *p)
{
    const Schedule *s = p->schedule;
    for (int first = 0, next; first < s->kernels.count; first = next) {
        const Kernel *k = s->kernels.data[first];
        const int64_t groups = groups_of(k);
        next = first + 1;
        if (!groups || !goes_through(k, k, groups))
            continue;
        for (; next < s->kernels.count; next++) {
            Kernel *n = s->kernels.data[next];
            if (!goes_through(n, k, groups) || !continues(p, n, first))
                break;
            n->chained = groups;
        }
    }
}
