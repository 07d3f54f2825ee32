/* Kernels that go through the same groups, such as the heads of all examples: a thread does all of them for one
 * group before it goes on to the next, and finds in the cache what those before made of it.
 *   needs: the kernels in order, what they move, and where their nodes are
 *   gives: which of them run in one go with the kernel before, and by how many groups; PLACE_CHAIN for what
 *          never leaves its chain */
#include "schedule/internal.h"

enum { ENOUGH_GROUPS = 16, MOST_GROUP_BYTES = 1 << 20 };

typedef struct Chains {
    Planner *p;
    const Schedule *s;
    int *made; /* per node id: the kernel that computes it, or -1 */
} Chains;

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
    if (k->recurrence || k->chain || k->every != first->every || outer_loops(k, &own) < count ||
        k->bytes_moved > (double)groups * MOST_GROUP_BYTES)
        return false;
    for (int i = 0; i < count; i++)
        if (!extents_equal(own[i], theirs[i]) || (i > 0 && own[i]->per_example))
            return false;
    return true;
}

/* ---- does a kernel keep to its group? ---------------------------------------------------------------- */

/* Is it memory in which each group has a part of its own, the loops being its first dimensions? */
static bool lies_by_groups(const Schedule *s, const Node *n, Index *const *loops, int count)
{
    const PlaceKind kind = s->places[n->id].kind;
    if ((kind != PLACE_WORKSPACE && kind != PLACE_SCRATCH && kind != PLACE_OUTPUT) ||
        n->rank < count)
        return false;
    for (int i = 0; i < count; i++)
        if (!extents_equal(n->domain[i], loops[i]))
            return false;
    return true;
}

/* Of what kernels from `first` on make, does n read the part alone of the group that these indices of it count? */
static bool reads_own(const Chains *c, const Node *n, Index *const *groups, int first, int count)
{
    const AccessList reads = body_accesses(c->p->pool, c->s->bodies[n->id]);
    for (int i = 0; i < reads.count; i++) {
        const Expr *access = reads.data[i];
        const Node *from = node_storage(access->node);
        if (c->made[from->id] >= first &&
            (!domains_equal(access->node, from, count) || access_has_data(access) ||
             !access_is_aligned(access, groups, count)))
            return false;
    }
    return true;
}

static bool keeps_apart(const Chains *c, const Kernel *k, int first, int count)
{
    Index *const *loops;
    outer_loops(k, &loops);
    if (k->kind == KERNEL_CONTRACTION && kernel_sum_rows(k))
        return false;
    for (int i = 0; k->kind == KERNEL_CONTRACTION && i < count; i++)
        if (k->nodes.data[0]->domain[i] != loops[i])
            return false;
    for (int i = 0; i < k->nodes.count; i++)
        if (!lies_by_groups(c->s, k->nodes.data[i], loops, count) ||
            !reads_own(c, k->nodes.data[i], k->nodes.data[i]->domain, first, count))
            return false;
    return true;
}

/* ---- is it of use? ------------------------------------------------------------------------------------- */

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

/* ---- what never leaves its chain ----------------------------------------------------------------------- */

/* The kernel with which the chain begins that k is in; k itself: it is in none. */
static int chain_begin(const Schedule *s, int k)
{
    while (s->kernels.data[k]->chained)
        k--;
    return k;
}

/* Marks what a kernel outside of the chain that made it reads, and what is read through views. */
static bool *find_leaving(const Chains *c)
{
    const Graph *g = c->p->graph;
    bool *leaves = arena_new(c->p->arena, bool, g->nodes.count);
    for (int i = 0; i < g->results.count; i++)
        leaves[node_storage(g->results.data[i].value)->id] = true;
    for (int i = 0; i < g->nodes.count; i++) {
        Node *n = g->nodes.data[i];
        if (n->kind == NODE_VIEW)
            leaves[node_storage(n)->id] = true;
        const NodeList *reads = &PLAN(c->p, n)->reads;
        for (int r = 0; c->made[i] >= 0 && r < reads->count; r++) {
            const int from = reads->data[r]->id;
            leaves[from] |= c->made[from] < 0 ||
                            chain_begin(c->s, c->made[from]) != chain_begin(c->s, c->made[i]);
        }
    }
    return leaves;
}

enum { WAY_BYTES = 4096, LINE_BYTES = 64 };

/* Rows of whole ways would all lie at the same place of the first cache: they get a line more. */
static void pad_rows(const Chains *c, const Node *n, Place *place)
{
    const int64_t size = dtype_size(n->type), last = n->domain[n->rank - 1]->extent;
    if (!PLAN(c->p, n)->strip || n->rank < place->group_loops + 2 || last * size % WAY_BYTES)
        return;
    int64_t *after = arena_new(c->p->arena, int64_t, n->rank);
    place->before = arena_new(c->p->arena, int64_t, n->rank);
    after[n->rank - 1] = LINE_BYTES / size;
    place->after = after;
}

static void keep_inside(const Chains *c)
{
    const bool *leaves = find_leaving(c);
    for (int i = 0; i < c->s->kernels.count; i++) {
        const Kernel *k = c->s->kernels.data[i];
        for (int j = 0; k->group_loops && j < k->nodes.count; j++) {
            Place *place = &c->s->places[k->nodes.data[j]->id];
            if (place->kind != PLACE_WORKSPACE || place->before || leaves[k->nodes.data[j]->id])
                continue;
            place->kind = PLACE_CHAIN;
            place->group_loops = k->group_loops;
            pad_rows(c, k->nodes.data[j], place);
        }
    }
}

/* ---- the pass ------------------------------------------------------------------------------------------ */

int schedule_chain_end(const Schedule *s, int first)
{
    int end = first + 1;
    while (end < s->kernels.count && s->kernels.data[end]->chained)
        end++;
    return end;
}

/* The chain that begins with kernel `first`; gives where it ends.  Entry points stop where the loss is known. */
static int chain_from(const Chains *c, int first, int64_t groups)
{
    const Schedule *s = c->s;
    Kernel *begin = s->kernels.data[first];
    Index *const *loops;
    const int count = outer_loops(begin, &loops);
    int next = first + 1;
    for (; next < s->kernels.count && next - 1 != s->loss_kernel; next++) {
        Kernel *k = s->kernels.data[next];
        if (!goes_through(k, begin, groups) || !continues(c->p, k, first) ||
            !keeps_apart(c, k, first, count))
            break;
        k->chained = groups;
        k->group_loops = begin->group_loops = count;
    }
    return next;
}

/* ---- strips and a band's products ----------------------------------------------------------------------------------- */

/* Do the groups add to n, one after another? */
static bool is_added(const Chains *c, const Kernel *k, const Node *n)
{
    if (!k->chain)
        return strip_is_summed(c->p, n);
    const NodeList *added = &c->p->bands.data[k->chain - 1].added;
    for (int i = 0; i < added->count; i++)
        if (added->data[i] == n)
            return true;
    return false;
}

/* Those of n's indices that count the groups: its first, or one that it sums over. */
static Index **groups_in(const Chains *c, const Kernel *k, const Node *n, int count)
{
    Index **groups = arena_new(c->p->arena, Index *, count + 1);
    const int own = count - is_added(c, k, n);
    for (int i = 0; i < own; i++)
        groups[i] = n->domain[i];
    if (own < count)
        groups[own] = k->chain ? n->bound[0] : PLAN(c->p, n)->strip;
    return groups;
}

/* Are these of the contraction's indices, with whole sums over rows left for each group?  Columns are of one value, which
 * may be anywhere. */
static bool has_groups(const Kernel *k, Index *const *groups, int count)
{
    const Contraction *c = &k->contraction;
    const int64_t sum_rows = kernel_sum_rows(k);
    int64_t rows = 1;
    for (int i = 0; i < c->rows.count; i++)
        rows *= index_find(groups, count, c->rows.data[i]) < 0 ? c->rows.data[i]->extent : 1;
    for (int i = 0; i < count; i++)
        if (index_find(c->rows.data, c->rows.count, groups[i]) < 0 &&
            index_find(c->groups.data, c->groups.count, groups[i]) < 0 &&
            (groups[i]->extent > 1 ||
             index_find(c->columns.data, c->columns.count, groups[i]) < 0) &&
            index_find(c->depth.data, c->depth.count, groups[i]) < 0)
            return false;
    return (!sum_rows || rows % sum_rows == 0) && rows > 1;
}

/* Can it go through the groups that the first node of kernel `first` counts? */
static bool keeps_to_groups(const Chains *c, const Kernel *k, int first, int count)
{
    const Kernel *begin = c->s->kernels.data[first];
    Index *const *loops = begin->nodes.data[0]->domain;
    const bool added = is_added(c, k, k->nodes.data[0]);
    if (k->nodes.data[0]->rank < count - added)
        return false;
    Index **groups = groups_in(c, k, k->nodes.data[0], count);
    if (k->every != begin->every || (added && k->nodes.count > 1) ||
        (k->kind == KERNEL_CONTRACTION ? !has_groups(k, groups, count)
                                       : k->kind != KERNEL_NEST || k->shared.count < count))
        return false;
    for (int i = 0; i < count; i++)
        if (!extents_equal(groups[i], loops[i]))
            return false;
    for (int i = 0; i < k->nodes.count; i++) {
        const Node *n = k->nodes.data[i];
        if (!lies_by_groups(c->s, n, loops, count - added) ||
            !reads_own(c, n, groups_in(c, k, n, count), first, count))
            return false;
    }
    return true;
}

typedef VEC(Index *) IndexList;

static IndexList without(const Chains *c, Index *const *list, int length, Index *const *groups,
                         int count)
{
    IndexList left = {0};
    for (int i = 0; i < length; i++)
        if (index_find(groups, count, list[i]) < 0)
            vec_push(c->p->arena, &left, list[i]);
    return left;
}

/* The groups of its band become those of the contraction. */
static void set_groups(const Chains *c, Kernel *k, int count)
{
    Contraction *own = &k->contraction;
    Index **groups = groups_in(c, k, k->nodes.data[0], count);
    const IndexList rows = without(c, own->rows.data, own->rows.count, groups, count),
                    depth = without(c, own->depth.data, own->depth.count, groups, count),
                    columns = without(c, own->columns.data, own->columns.count, groups, count),
                    others = without(c, own->groups.data, own->groups.count, groups, count);
    own->rows.count = own->columns.count = own->depth.count = own->groups.count = 0;
    for (int i = 0; i < rows.count; i++)
        vec_push(c->p->arena, &own->rows, rows.data[i]);
    for (int i = 0; i < columns.count; i++)
        vec_push(c->p->arena, &own->columns, columns.data[i]);
    for (int i = 0; i < depth.count; i++)
        vec_push(c->p->arena, &own->depth, depth.data[i]);
    for (int i = 0; i < count; i++)
        vec_push(c->p->arena, &own->groups, groups[i]);
    for (int i = 0; i < others.count; i++)
        vec_push(c->p->arena, &own->groups, others.data[i]);
    k->added = is_added(c, k, k->nodes.data[0]) ? groups[count - 1] : NULL;
}

/* Kernels from `first` up to `end` become a chain. */
static void join_by_groups(const Chains *c, int first, int end, int count)
{
    Kernel *const *k = c->s->kernels.data;
    Index *const *loops = k[first]->nodes.data[0]->domain;
    int64_t groups = 1;
    bool added = false;
    for (int i = 0; i < count; i++)
        groups *= loops[i]->extent;
    for (int i = first; i < end; i++)
        added = added || is_added(c, k[i], k[i]->nodes.data[0]);
    for (int i = first; i < end && end - first > 1; i++) {
        if (k[i]->kind == KERNEL_CONTRACTION)
            set_groups(c, k[i], count);
        k[i]->chained = i > first ? groups : 0;
        k[i]->group_loops = count;
        k[i]->in_order = added ? loops[count - 1]->extent : 0;
    }
}

/* The chain of the band that kernel `first` is of; gives where it ends. */
static int chain_of_products(const Chains *c, int first)
{
    const Schedule *s = c->s;
    Kernel *const *k = s->kernels.data;
    const BandNodes *band = &c->p->bands.data[k[first]->chain - 1];
    int end = first;
    while (end < s->kernels.count && k[end]->chain == k[first]->chain)
        if (end == s->loss_kernel || !keeps_to_groups(c, k[end++], first, band->loops))
            return first + 1;
    join_by_groups(c, first, end, band->loops);
    return end;
}

/* The dimensions up to the one that counts the strips of what k makes; 0: it makes none. */
static int strip_loops(const Chains *c, const Kernel *k)
{
    const Node *n = k->nodes.data[0];
    const Index *strip = PLAN(c->p, n)->strip;
    return k->kind == KERNEL_CONTRACTION && strip ? index_find(n->domain, n->rank, strip) + 1 : 0;
}

/* The chain of kernels that go through the strips of the one at `first`; gives where it ends. */
static int chain_of_strips(const Chains *c, int first)
{
    const Schedule *s = c->s;
    const int count = strip_loops(c, s->kernels.data[first]);
    int end = first;
    for (; end < s->kernels.count && (end == first || end - 1 != s->loss_kernel); end++) {
        const Kernel *k = s->kernels.data[end];
        if (k->recurrence || k->chain || k->kind == KERNEL_MARGIN ||
            !PLAN(c->p, k->nodes.data[0])->strip || !keeps_to_groups(c, k, first, count))
            break;
    }
    join_by_groups(c, first, end, count);
    return end > first ? end : first + 1;
}

void chain_run(Planner *p)
{
    const Schedule *s = p->schedule;
    Chains c = {p, s, arena_new(p->arena, int, p->graph->nodes.count)};
    for (int i = 0; i < p->graph->nodes.count; i++)
        c.made[i] = -1;
    for (int i = 0; i < s->kernels.count; i++)
        for (int j = 0;
             s->kernels.data[i]->kind != KERNEL_MARGIN && j < s->kernels.data[i]->nodes.count; j++)
            c.made[s->kernels.data[i]->nodes.data[j]->id] = i;
    for (int first = 0, next; first < s->kernels.count; first = next) {
        const Kernel *k = s->kernels.data[first];
        const int64_t groups = groups_of(k);
        Index *const *loops;
        const bool by_groups = k->chain || strip_loops(&c, k);
        next = k->chain             ? chain_of_products(&c, first)
               : strip_loops(&c, k) ? chain_of_strips(&c, first)
                                    : first + 1;
        if (groups && !by_groups && goes_through(k, k, groups) &&
            keeps_apart(&c, k, first, outer_loops(k, &loops)))
            next = chain_from(&c, first, groups);
    }
    keep_inside(&c);
}
