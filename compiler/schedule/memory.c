/* The static memory plan: live ranges to offsets.
 *   needs: kernels in order, each node's kind of place
 *   gives: offsets into the workspace and into kernels' scratch, the peak, its lower bound */
#include "schedule/internal.h"

#include <stdlib.h>

enum { ALIGNMENT = 64 };

static uint64_t align_up(uint64_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* ---- live ranges ------------------------------------------------------------------------------------- */

static void extend(const Schedule *s, Node *n, int kernel)
{
    Place *p = &s->places[node_storage(n)->id];
    if ((p->kind == PLACE_WORKSPACE || p->kind == PLACE_CHAIN) && p->last < kernel)
        p->last = kernel;
}

static uint64_t stored_bytes(const Schedule *s, const Node *n)
{
    const uint64_t steps = s->places[n->id].one_step ? (uint64_t)node_steps(n) : 1;
    return align_up((uint64_t)schedule_elements(s, n) / steps * (uint64_t)dtype_size(n->type));
}

/* generate: what later calls read lives as long as the instance does nothing else. */
static void span_calls(Schedule *s)
{
    for (int i = 0; i < s->graph->nodes.count; i++) {
        Place *p = &s->places[i];
        if (!p->lasting || p->same_as)
            continue;
        p->first = 0;
        p->last = s->kernels.count - 1;
        p->bytes = stored_bytes(s, s->graph->nodes.data[i]);
    }
}

/* Where it lives in some of the kernels, it lives in all of them. */
static void span_together(Place *p, int first, int last)
{
    if (p->kind != PLACE_WORKSPACE || p->same_as || p->last < first || p->first > last)
        return;
    p->first = p->first > first ? first : p->first;
    p->last = p->last < last ? last : p->last;
}

/* What a step makes or reads lives as long as the loop over all steps; of generate, a call makes but one. */
static void span_recurrences(Schedule *s)
{
    for (int first = 0, last; first < s->kernels.count; first = last + 1) {
        const Recurrence *r = recurrence_outermost(s->kernels.data[first]->recurrence);
        last = first;
        r = r == s->graph->positions ? NULL : r;
        while (r && last + 1 < s->kernels.count &&
               recurrence_outermost(s->kernels.data[last + 1]->recurrence) == r)
            last++;
        for (int i = 0; r && i < s->graph->nodes.count; i++)
            span_together(&s->places[i], first, last);
    }
}

/* What kernels of a chain make or read lives as long as all of them: they are at different groups. */
static void span_chains(Schedule *s)
{
    for (int first = 0, end; first < s->kernels.count; first = end) {
        end = schedule_chain_end(s, first);
        for (int i = 0; end > first + 1 && i < s->graph->nodes.count; i++)
            span_together(&s->places[i], first, end - 1);
    }
}

static void find_ranges(Schedule *s)
{
    for (int i = 0; i < s->kernels.count; i++) {
        const Kernel *k = s->kernels.data[i];
        for (int j = 0; j < k->nodes.count; j++) {
            Node *n = k->nodes.data[j];
            Place *p = &s->places[n->id];
            if (!p->bytes) /* its margin may have been cleared before */
                p->first = i;
            p->last = i;
            p->bytes = stored_bytes(s, n);
            if (k->kind == KERNEL_MARGIN)
                continue;
            AccessList accesses = body_accesses(s->graph->pool, s->bodies[n->id]);
            for (int a = 0; a < accesses.count; a++)
                extend(s, accesses.data[a]->node, i);
        }
    }
    span_recurrences(s);
    span_chains(s);
    span_calls(s);
    for (int i = 0; i < s->graph->results.count; i++) {
        const Result *r = &s->graph->results.data[i];
        if (r->role != RESULT_UPDATE && r->role != RESULT_OUTPUT)
            extend(s, r->value, s->kernels.count - 1);
    }
}

/* ---- placement --------------------------------------------------------------------------------------- */

static bool overlap_in_time(const Place *a, const Place *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* The tightest gap among the placed that live at the same time, or the end. */
static uint64_t best_fit(Place *const *placed, int count, const Place *p)
{
    uint64_t best = UINT64_MAX, best_gap = UINT64_MAX, end = 0;
    for (int i = 0; i < count; i++) { /* sorted by offset */
        const Place *q = placed[i];
        if (!overlap_in_time(p, q))
            continue;
        if (q->offset > end && q->offset - end >= p->bytes && q->offset - end < best_gap) {
            best = end;
            best_gap = q->offset - end;
        }
        if (q->offset + q->bytes > end)
            end = q->offset + q->bytes;
    }
    return best == UINT64_MAX ? end : best;
}

static int larger_first(const void *a, const void *b)
{
    const Place *p = *(Place *const *)a, *q = *(Place *const *)b;
    if (p->bytes != q->bytes)
        return p->bytes < q->bytes ? 1 : -1;
    if (p->first != q->first)
        return p->first < q->first ? -1 : 1;
    return p < q ? -1 : p > q;
}

/* Gives all of them offsets; returns the bytes that it takes. */
static uint64_t place_all(Arena *a, Place **all, int total)
{
    Place **placed = arena_new(a, Place *, total + 1);
    uint64_t bytes = 0;
    qsort(all, (size_t)total, sizeof *all, larger_first);
    for (int i = 0; i < total; i++) {
        Place *p = all[i];
        p->offset = best_fit(placed, i, p);
        int at = i;
        for (; at > 0 && placed[at - 1]->offset > p->offset; at--)
            placed[at] = placed[at - 1];
        placed[at] = p;
        if (p->offset + p->bytes > bytes)
            bytes = p->offset + p->bytes;
    }
    return bytes;
}

static void place_workspace(Schedule *s)
{
    int total = 0;
    Place **all = arena_new(s->graph->arena, Place *, s->graph->nodes.count);
    for (int i = 0; i < s->graph->nodes.count; i++)
        if (s->places[i].kind == PLACE_WORKSPACE && !s->places[i].same_as)
            all[total++] = &s->places[i];
    s->workspace_bytes = place_all(s->graph->arena, all, total);
}

/* What a chain keeps to itself: of one group at a time, for which its kernels run in order. */
static void place_chains(Schedule *s)
{
    for (int first = 0, end; first < s->kernels.count; first = end) {
        int total = 0;
        Place **all = arena_new(s->graph->arena, Place *, s->graph->nodes.count);
        end = schedule_chain_end(s, first);
        for (int i = 0; i < s->graph->nodes.count; i++) {
            Place *p = &s->places[i];
            if (p->kind == PLACE_CHAIN && first <= p->first && p->first < end)
                all[total++] = p;
        }
        const uint64_t bytes = place_all(s->graph->arena, all, total);
        for (int i = first; i < end; i++)
            s->kernels.data[i]->chain_bytes = bytes;
    }
}

static void find_lower_bound(Schedule *s)
{
    s->lower_bound = 0;
    for (int k = 0; k < s->kernels.count; k++) {
        uint64_t live = 0;
        for (int i = 0; i < s->graph->nodes.count; i++) {
            const Place *p = &s->places[i];
            if (p->kind == PLACE_WORKSPACE && !p->same_as && p->first <= k && k <= p->last)
                live += p->bytes;
        }
        if (live > s->lower_bound) {
            s->lower_bound = live;
            s->peak_kernel = k;
        }
    }
}

static void place_scratch(Schedule *s)
{
    for (int i = 0; i < s->kernels.count; i++) {
        Kernel *k = s->kernels.data[i];
        for (int j = 0; j < k->nodes.count; j++) {
            Place *p = &s->places[k->nodes.data[j]->id];
            if (p->kind != PLACE_SCRATCH)
                continue;
            if (k->kind == KERNEL_CONTRACTION) { /* in the tile, or in registers */
                p->bytes = 0;
                continue;
            }
            const Node *n = k->nodes.data[j];
            int64_t elements = kernel_row_elements(k, n);
            if (k->shared.count && schedule_is_examples_last(s, n))
                elements *= n->domain[0]->extent;
            p->bytes = align_up((uint64_t)elements * (uint64_t)dtype_size(n->type));
            p->offset = k->scratch_bytes;
            k->scratch_bytes += p->bytes;
        }
    }
}

void memory_run(Schedule *s)
{
    find_ranges(s);
    place_workspace(s);
    find_lower_bound(s);
    place_chains(s);
    place_scratch(s);
    for (int i = 0; i < s->graph->nodes.count; i++)
        if (s->places[i].same_as) {
            Node *root = s->places[i].same_as;
            s->places[i] = s->places[root->id];
            s->places[i].same_as = root;
        }
}

uint64_t memory_place_tensors(Program *program, uint64_t base)
{
    for (int i = 0; i < program->tensors.count; i++) {
        Tensor *t = program->tensors.data[i];
        uint64_t count = 1;
        for (int d = 0; d < t->rank; d++)
            count *= (uint64_t)t->shape[d];
        base = align_up(base);
        t->offset = base;
        base += count * (uint64_t)dtype_size(t->type);
    }
    return align_up(base);
}

/* ---- print -------------------------------------------------------------------------------------------- */

void memory_print(Text *out, const Schedule *s)
{
    text_printf(out, "memory %s: workspace %llu bytes, lower bound %llu at kernel %d\n",
                s->graph->name, (unsigned long long)s->workspace_bytes,
                (unsigned long long)s->lower_bound, s->peak_kernel);
    text_append(out, "      offset        bytes  kernels   node\n");
    for (int i = 0; i < s->graph->nodes.count; i++) {
        const Place *p = &s->places[i];
        if (p->kind != PLACE_WORKSPACE || p->same_as)
            continue;
        bool peak = p->first <= s->peak_kernel && s->peak_kernel <= p->last;
        text_printf(out, "%12llu %12llu  %3d..%-3d  %s%s\n", (unsigned long long)p->offset,
                    (unsigned long long)p->bytes, p->first, p->last, s->graph->nodes.data[i]->name,
                    peak ? "  (at the peak)" : "");
    }
    for (int i = 0; i < s->kernels.count; i++) {
        const uint64_t bytes = s->kernels.data[i]->scratch_bytes + s->kernels.data[i]->chain_bytes;
        if (bytes)
            text_printf(out, "kernel %d: %llu bytes of scratch a thread\n", i,
                        (unsigned long long)bytes);
    }
}
