/* What each kernel costs, and the schedule as a table. */
#include "schedule/internal.h"

#include <string.h>

int64_t kernel_row_elements(const Kernel *k, const Node *n)
{
    int64_t total = 1;
    for (int i = k->kind == KERNEL_NEST ? k->shared.count : 0; i < node_loop_count(n); i++)
        total *= node_loop(n, i)->extent;
    return total;
}

/* In scratch: it moves no further than the second cache. */
static bool is_near(const Schedule *s, const Node *n)
{
    const PlaceKind kind = s->places[n->id].kind;
    return kind == PLACE_SCRATCH || kind == PLACE_CHAIN;
}

static double reads_bytes(const Schedule *s, const Kernel *k, bool *seen)
{
    double bytes = 0;
    for (int i = 0; i < k->nodes.count; i++) {
        AccessList accesses = body_accesses(s->graph->pool, s->bodies[k->nodes.data[i]->id]);
        for (int j = 0; j < accesses.count; j++) {
            Node *from = node_storage(accesses.data[j]->node);
            if (seen[from->id] || is_near(s, from))
                continue;
            seen[from->id] = true;
            double touched = node_iterations(k->nodes.data[i]) * node_steps(k->nodes.data[i]),
                   all = (double)node_elements(from);
            bytes += (touched < all ? touched : all) * dtype_size(from->type);
        }
    }
    return bytes;
}

double contraction_share(const Contraction *c)
{
    double share = 1;
    for (int i = 0; i < c->limits.count; i++) {
        Interval range = affine_interval(c->limits.data[i]->affine);
        double values = (double)(range.high - range.low + 1);
        if (range.high >= 0 && range.low < 0)
            share *= (double)(range.high + 1) / values;
    }
    return share;
}

static double kernel_flops(const Schedule *s, const Kernel *k)
{
    double flops = 0;
    if (k->kind == KERNEL_MARGIN)
        return 0;
    for (int i = 0; i < k->nodes.count; i++) {
        const Node *n = k->nodes.data[i];
        double iterations = node_iterations(n);
        if (k->kind == KERNEL_SCATTER)
            iterations /= (double)k->scatter.index->extent;
        flops +=
            iterations * (body_cost(s->graph->pool, s->bodies[n->id]) + (n->reduction != NULL));
    }
    flops *= node_steps(k->nodes.data[0]);
    if (k->kind != KERNEL_CONTRACTION)
        return flops;
    /* operands are evaluated while packing: not once a product */
    const Node *sum = k->nodes.data[0];
    double products = node_iterations(sum) * node_steps(sum);
    flops -= products * (body_cost(s->graph->pool, s->bodies[sum->id]) + 1);
    return flops + 2 * products * contraction_share(&k->contraction);
}

static double margin_bytes(const Schedule *s, const Node *n)
{
    return (double)(schedule_elements(s, n) - node_elements(n)) * dtype_size(n->type);
}

void cost_run(Schedule *s)
{
    for (int i = 0; i < s->kernels.count; i++) {
        Kernel *k = s->kernels.data[i];
        bool *seen = arena_new(s->graph->arena, bool, s->graph->nodes.count);
        k->flops = kernel_flops(s, k);
        if (k->kind == KERNEL_MARGIN) {
            k->bytes_moved = margin_bytes(s, k->nodes.data[0]);
            continue;
        }
        k->bytes_moved = reads_bytes(s, k, seen);
        for (int j = 0; j < k->nodes.count; j++)
            if (!is_near(s, k->nodes.data[j]))
                k->bytes_moved +=
                    (double)node_elements(k->nodes.data[j]) * dtype_size(k->nodes.data[j]->type);
    }
}

/* ---- print ---------------------------------------------------------------------------------------- */

static const char *const kind_names[] = {"nest", "contraction", "scatter", "margin"};

static void print_indices(Text *out, Index *const *indices, int count)
{
    for (int i = 0; i < count; i++)
        text_printf(out, "%s%s:%lld", i ? " " : "", indices[i]->name,
                    (long long)indices[i]->extent);
}

/* `around batch:64 i:1+14+1 j:1+14+1 f:64` */
static void print_margin(Text *out, const Schedule *s, const Node *n)
{
    const Place *p = &s->places[n->id];
    text_append(out, "around");
    for (int i = 0; i < n->rank; i++) {
        const Index *ix = n->domain[i];
        text_printf(out, " %s:", ix->name);
        if (p->before[i] || p->after[i])
            text_printf(out, "%lld+%lld+%lld", (long long)p->before[i], (long long)ix->extent,
                        (long long)p->after[i]);
        else
            text_printf(out, "%lld", (long long)ix->extent);
    }
}

static void print_loops(Text *out, const Schedule *s, const Kernel *k)
{
    const Node *n = k->nodes.data[0];
    if (k->kind == KERNEL_CONTRACTION) {
        const Contraction *c = &k->contraction;
        text_append(out, "rows ");
        print_indices(out, c->rows.data, c->rows.count);
        text_append(out, ", columns ");
        print_indices(out, c->columns.data, c->columns.count);
        text_append(out, ", depth ");
        print_indices(out, c->depth.data, c->depth.count);
        if (c->groups.count) {
            text_append(out, ", groups ");
            print_indices(out, c->groups.data, c->groups.count);
        }
    } else if (k->kind == KERNEL_SCATTER) {
        text_append(out, "over ");
        print_indices(out, n->bound, n->bound_count);
        text_printf(out, ", to %s:%lld", k->scatter.index->name,
                    (long long)k->scatter.index->extent);
    } else if (k->kind == KERNEL_MARGIN) {
        print_margin(out, s, n);
    } else if (k->shared.count) {
        text_append(out, "shared ");
        print_indices(out, k->shared.data, k->shared.count);
    } else {
        text_append(out, "serial");
    }
}

static const char *const place_names[] = {
    "inlined", "scratch", "scratch of the chain", "workspace", "tensor", "input", "output",
    "literal", "sums",
};

static void print_node(Text *out, const Schedule *s, const Kernel *k, const Node *n)
{
    const Place *p = &s->places[n->id];
    text_printf(out, "     %s[", n->name);
    print_indices(out, n->domain, n->rank);
    text_append(out, "]");
    if (n->reduction) {
        text_printf(out, " %s[", n->reduction->name);
        print_indices(out, n->bound, n->bound_count);
        text_append(out, "]");
    }
    text_printf(out, " -> %s", place_names[p->kind]);
    if (p->kind == PLACE_TENSOR)
        text_printf(out, " %s", p->tensor->name);
    if (s->program && s->program->sources && n->span.file >= 0) {
        const Source *src = source_get(s->program->sources, n->span.file);
        int line, column;
        source_position(src, n->span.begin, &line, &column);
        const char *slash = strrchr(src->path, '/');
        text_printf(out, "  # %s:%d", slash ? slash + 1 : src->path, line);
    }
    text_append(out, "\n");
}

/* The loops that begin here: those that the kernel before is not in. */
static void print_steps(Text *out, const Kernel *k, const Recurrence *before)
{
    const Recurrence *r = k->recurrence;
    const Recurrence *here;
    bool again = true; /* so far, the kernel before is in the same */
    for (int depth = 0; (here = recurrence_at(r, depth)); depth++) {
        again = again && recurrence_at(before, depth) == here;
        if (!again)
            text_printf(out, "%*sfor each of %lld steps%s%s:\n", 2 * depth, "",
                        (long long)here->steps, here->reversed ? ", from the last" : "",
                        k->own_examples ? ", some examples after others" : "");
    }
}

static double moving_floor(const Kernel *k, const Rates *rates)
{
    return k->bytes_moved / (k->bytes_moved <= rates->near_bytes ? rates->near : rates->far);
}

double kernel_floor(const Kernel *k, const Rates *rates)
{
    const double compute = k->flops / rates->flops, move = moving_floor(k, rates);
    return compute > move ? compute : move;
}

static void print_seconds(Text *out, double seconds)
{
    if (seconds < 1e-6)
        text_printf(out, "%.3g ns", seconds * 1e9);
    else if (seconds < 1e-3)
        text_printf(out, "%.3g us", seconds * 1e6);
    else if (seconds < 1)
        text_printf(out, "%.3g ms", seconds * 1e3);
    else
        text_printf(out, "%.3g s", seconds);
}

/* Gives the floor in seconds. */
static double print_floor(Text *out, const Kernel *k, const Rates *rates)
{
    const double seconds = kernel_floor(k, rates);
    text_append(out, ", floor ");
    print_seconds(out, seconds);
    text_append(out, seconds > moving_floor(k, rates) ? " of flops" : " of bytes");
    return seconds;
}

void schedule_print(Text *out, const Schedule *s, const Rates *rates, KernelNote *note,
                    void *context)
{
    double flops = 0, bytes = 0, seconds = 0;
    text_printf(out, "schedule %s: %d kernels\n", s->graph->name, s->kernels.count);
    for (int i = 0; i < s->kernels.count; i++) {
        const Kernel *k = s->kernels.data[i];
        print_steps(out, k, i ? s->kernels.data[i - 1]->recurrence : NULL);
        text_printf(out, "%*s%3d  %-11s  ", 2 * k->steps.count, "", k->id, kind_names[k->kind]);
        print_loops(out, s, k);
        text_printf(out, "; %.6g flops, %.6g bytes, %.2f flops/byte", k->flops, k->bytes_moved,
                    k->bytes_moved > 0 ? k->flops / k->bytes_moved : 0);
        if (rates->flops > 0)
            seconds += print_floor(out, k, rates);
        if (k->chained && !k->own_examples)
            text_append(out, "; by groups, with the one before");
        if (i == s->loss_kernel)
            text_append(out, "; then the loss is known");
        if (note) {
            text_append(out, "; ");
            note(out, s, k, context);
        }
        text_append(out, "\n");
        if (k->every > 1)
            text_printf(out, "     once in %lld steps\n", (long long)k->every);
        for (int j = 0; j < k->nodes.count; j++)
            print_node(out, s, k, k->nodes.data[j]);
        flops += k->flops;
        bytes += k->bytes_moved;
    }
    text_printf(out, "total: %.6g flops, %.6g bytes", flops, bytes);
    if (rates->flops > 0) {
        text_append(out, ", floor ");
        print_seconds(out, seconds);
    }
    text_append(out, "\n");
}
