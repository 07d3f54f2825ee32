/* Stores past the caches.  In an entry that goes through far more memory than they hold, a large result is gone
 * from them before another kernel reads it: written around them, its lines need not be fetched first. */
#include "lower/internal.h"

enum {
    FAR_MORE = 16,  /* times the second cache                          */
    STEPS_SHARE = 4 /* what one of several results of a step has of it */
};

typedef struct Past {
    Lowering *l;
    const Buffer *buffer;
    bool read; /* in this kernel */
} Past;

static void visit_read(void *context, const Expr *e)
{
    Past *x = context;
    x->read = x->read || (e->kind == EXPR_LOAD && e->buffer == x->buffer);
}

static void find_reads(Past *x, const LoopList *list)
{
    for (int i = 0; i < list->count; i++) {
        const Loop *s = list->data[i];
        if (s->value)
            expr_visit(x->l->pool, s->value, visit_read, x);
        find_reads(x, &s->body);
    }
}

/* Is it a multiple of `unit`, apart from the index? */
static bool is_multiple(const Affine *a, const Index *apart, int64_t unit)
{
    for (int i = 0; i < a->count; i++)
        if ((a->terms[i].kind != TERM_INDEX || a->terms[i].index != apart) &&
            a->terms[i].factor % unit)
            return false;
    return a->constant % unit == 0;
}

/* Does it write whole vectors, one after another, that are as far from anywhere as they are long? */
static bool writes_vectors(const Lowering *l, const Loop *around, const Loop *s)
{
    const int lanes = lane_count(l, s->buffer->type);
    bool nested;
    return lanes > 1 && !s->data_count && affine_factor(s->offset, around->index, &nested) == 1 &&
           !nested && is_multiple(s->offset, around->index, lanes) &&
           (!around->begin || is_multiple(around->begin, NULL, lanes));
}

typedef struct Reader {
    const Node *of;
    bool found;
} Reader;

static void visit_access(void *context, const Expr *e)
{
    Reader *r = context;
    r->found =
        r->found || (e->kind == EXPR_ACCESS && (e->node == r->of || e->node->viewed == r->of));
}

/* Does the recurrence read it in another kernel, or this one a step later? */
static bool is_read_soon(const Lowering *l, const Node *n)
{
    Reader r = {n, l->past[n->id] != NULL};
    const Recurrence *all = recurrence_outermost(l->kernel->recurrence);
    for (int i = 0; all && i < l->schedule->kernels.count; i++) {
        const Kernel *k = l->schedule->kernels.data[i];
        for (int j = 0;
             recurrence_outermost(k->recurrence) == all && k != l->kernel && j < k->nodes.count;
             j++)
            expr_visit(l->pool, l->schedule->bodies[k->nodes.data[j]->id], visit_access, &r);
    }
    return r.found;
}

/* Of a recurrence it is written step by step, next to all else that a step writes. */
static bool is_kept_nowhere(const Lowering *l, const Buffer *b)
{
    const uint64_t kept = (uint64_t)l->lanes->l2_bytes / (l->kernel->recurrence ? STEPS_SHARE : 1);
    return b->space == SPACE_OPERAND && b->node && !b->tensor &&
           l->schedule->places[b->node->id].kind == PLACE_WORKSPACE && b->bytes > kept &&
           !is_read_soon(l, b->node);
}

static void mark_stores(Lowering *l, const Loop *around)
{
    for (int i = 0; i < around->body.count; i++) {
        Loop *s = around->body.data[i];
        if (s->kind != LOOP_STORE || !is_kept_nowhere(l, s->buffer) ||
            !writes_vectors(l, around, s))
            continue;
        Past x = {l, s->buffer, false};
        find_reads(&x, &l->out->body);
        s->past = !x.read;
        l->out->stores_past |= s->past;
    }
}

static void visit_loops(Lowering *l, const LoopList *list)
{
    for (int i = 0; i < list->count; i++) {
        const Loop *s = list->data[i];
        if (s->kind == LOOP_FOR && s->how == FOR_VECTOR)
            mark_stores(l, s);
        visit_loops(l, &s->body);
    }
}

static bool is_chained(const Lowering *l)
{
    const int k = l->kernel->id;
    return !l->kernel->recurrence &&
           (l->kernel->chained || schedule_chain_end(l->schedule, k) > k + 1);
}

void store_past_caches(Lowering *l)
{
    if (l->kernel->kind != KERNEL_CONTRACTION && l->lanes->vector_bytes > 4 && !is_chained(l) &&
        l->schedule->workspace_bytes > (uint64_t)l->lanes->l2_bytes * FAR_MORE)
        visit_loops(l, &l->out->body);
}
