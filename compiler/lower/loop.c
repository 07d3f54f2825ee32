/* The loop IR's constructors: loops, buffers, registers; accesses as loads. */
#include "lower/internal.h"

/* ---- buffers and registers ----------------------------------------------------------------------------- */

int lane_count(const Lowering *l, DType type)
{
    int lanes = l->lanes->vector_bytes / dtype_size(type);
    return lanes > 1 ? lanes : 1;
}

/* Do both live in the same memory?  An update in place and the old value do. */
static bool same_memory(const Lowering *l, const Node *a, const Node *b)
{
    const Place *p = &l->schedule->places[a->id], *q = &l->schedule->places[b->id];
    return a == b || (p->kind == PLACE_TENSOR && q->kind == PLACE_TENSOR && p->tensor == q->tensor);
}

static Buffer *new_buffer(Lowering *l, BufferSpace space, DType type)
{
    Buffer *b = arena_new(l->arena, Buffer, 1);
    b->space = space;
    b->type = type;
    return b;
}

Buffer *scratch_new(Lowering *l, DType type, int64_t elements)
{
    Buffer *b = new_buffer(l, SPACE_SCRATCH, type);
    b->offset = (l->out->scratch_bytes + 63) / 64 * 64;
    b->bytes = (uint64_t)elements * (uint64_t)dtype_size(type);
    l->out->scratch_bytes = (b->offset + b->bytes + 63) / 64 * 64;
    b->name = arena_format(l->arena, "s%llu", (unsigned long long)b->offset);
    return b;
}

/* The memory of steps that are done. */
static Buffer *past_buffer(Lowering *l, Node *n)
{
    if (l->past[n->id])
        return l->past[n->id];
    Buffer *b = new_buffer(l, SPACE_OPERAND, n->type);
    b->slot = l->out->operands.count;
    b->node = n;
    b->past = true;
    b->bytes = (uint64_t)node_elements(n) * (uint64_t)dtype_size(n->type);
    b->name = arena_format(l->arena, "%%%d", b->slot);
    vec_push(l->arena, &l->out->operands, b);
    return l->past[n->id] = b;
}

static Buffer *node_scratch(Lowering *l, Node *n)
{
    const Place *p = &l->schedule->places[n->id];
    Buffer *b = new_buffer(l, SPACE_SCRATCH, n->type);
    b->offset = p->offset;
    b->bytes = p->bytes;
    b->node = n;
    b->name = arena_format(l->arena, "s%llu", (unsigned long long)b->offset);
    return b;
}

Buffer *buffer_of(Lowering *l, Node *n)
{
    n = node_storage(n);
    if (l->buffers[n->id])
        return l->buffers[n->id];
    if (l->schedule->places[n->id].kind == PLACE_SCRATCH)
        return l->buffers[n->id] = node_scratch(l, n);
    for (int i = 0; i < l->out->operands.count; i++)
        if (!l->out->operands.data[i]->past && same_memory(l, l->out->operands.data[i]->node, n))
            return l->buffers[n->id] = l->out->operands.data[i];
    Buffer *b = new_buffer(l, SPACE_OPERAND, n->type);
    b->slot = l->out->operands.count;
    b->node = n;
    b->bytes = (uint64_t)schedule_elements(l->schedule, n) * (uint64_t)dtype_size(n->type);
    b->name = arena_format(l->arena, "%%%d", b->slot);
    vec_push(l->arena, &l->out->operands, b);
    return l->buffers[n->id] = b;
}

Buffer *buffer_to_write(Lowering *l, Node *n)
{
    Buffer *b = buffer_of(l, n);
    b->written = true;
    if (b->space == SPACE_OPERAND && l->schedule->places[n->id].kind == PLACE_TENSOR)
        b->tensor = l->schedule->places[n->id].tensor;
    return b;
}

int local_new(Lowering *l, DType type)
{
    vec_push(l->arena, &l->out->locals, type);
    return l->out->locals.count - 1;
}

bool offset_is_inside(const Buffer *b, const Affine *offset)
{
    const Interval at = affine_interval(offset);
    return at.low >= 0 && at.high < (int64_t)(b->bytes / (uint64_t)dtype_size(b->type));
}

/* ---- loops ----------------------------------------------------------------------------------------------- */

Loop *loop_new(Lowering *l, LoopKind kind)
{
    Loop *loop = arena_new(l->arena, Loop, 1);
    loop->kind = kind;
    loop->span = l->out->span;
    loop->step = 1;
    loop->local = -1;
    return loop;
}

Loop *loop_append(Lowering *l, LoopList *into, LoopKind kind)
{
    Loop *loop = loop_new(l, kind);
    vec_push(l->arena, into, loop);
    return loop;
}

Loop *loop_range(Lowering *l, LoopList *into, ForKind how, Index *index, const Affine *begin,
                 int64_t length, int64_t step)
{
    Loop *loop = loop_append(l, into, LOOP_FOR);
    loop->how = how == FOR_VECTOR && l->lanes->vector_bytes <= 4 ? FOR_SERIAL : how;
    loop->index = index;
    loop->begin = begin;
    loop->length = length;
    loop->step = step;
    return loop;
}

Loop *loop_for(Lowering *l, LoopList *into, ForKind how, Index *index)
{
    return loop_range(l, into, how, index, NULL, 0, 1);
}

void loop_set(Lowering *l, LoopList *into, int local, const Expr *value)
{
    Loop *loop = loop_append(l, into, LOOP_SET);
    loop->local = local;
    loop->value = value;
}

void loop_combine(Lowering *l, LoopList *into, int local, const Expr *value, const Reduction *r)
{
    Loop *loop = loop_append(l, into, LOOP_COMBINE);
    loop->local = local;
    loop->value = value;
    loop->reduction = r;
}

void loop_store(Lowering *l, LoopList *into, Buffer *b, const Affine *offset, const Expr *value)
{
    Loop *loop = loop_append(l, into, LOOP_STORE);
    loop->buffer = b;
    loop->offset = offset;
    loop->value = value;
}

void loop_ask(Lowering *l, LoopList *into, Buffer *b, const Affine *offset)
{
    Loop *loop = loop_append(l, into, LOOP_ASK);
    loop->buffer = b;
    loop->offset = offset;
}

Loop *loop_parallel(Lowering *l, LoopList *into, Index *index, int64_t step)
{
    l->out->parallel = index;
    l->out->parallel_step = step;
    return loop_range(l, into, FOR_PARALLEL, index, NULL, 0, step);
}

/* ---- accesses --------------------------------------------------------------------------------------------- */

/* Elements between neighbours of each dimension, and the dimensions that a scratch row leaves out. */
static int64_t dimension_stride(const Lowering *l, const Node *n, int d)
{
    const Node *root = node_storage((Node *)n);
    const Place *place = &l->schedule->places[root->id];
    if (d < place->group_loops) /* a chain's scratch holds one group */
        return 0;
    const bool last = schedule_is_examples_last(l->schedule, root);
    if (last && d == 0)
        return 1;
    const bool row = place->kind == PLACE_SCRATCH && l->kernel->kind == KERNEL_NEST;
    const bool one_step = row || place->one_step;
    if (one_step && node_counts_steps(n, d))
        return 0;
    if (row) {
        int64_t shared = 1, leading = 1; /* a view's leading dimensions are its storage's */
        int loop = d;
        for (int i = 0; i < d; i++)
            loop -= node_counts_steps(n, i);
        for (int i = 0; i < l->kernel->shared.count; i++)
            shared *= node_loop(root, i)->extent;
        for (int i = 0; i <= loop; i++)
            leading *= node_loop(n, i)->extent;
        if (leading <= shared && loop < l->kernel->shared.count)
            return 0;
    }
    int64_t stride = last ? root->domain[0]->extent : 1;
    for (int i = d + 1; i < n->rank; i++)
        stride *= one_step && node_counts_steps(n, i) ? 1 : schedule_extent(l->schedule, n, i);
    return stride;
}

/* Where the elements begin behind the margin, which only what is no view can have. */
static const Affine *first_offset(Lowering *l, const Node *n)
{
    const int64_t *before = l->schedule->places[n->id].before;
    int64_t first = 0;
    for (int i = 0; before && i < n->rank; i++)
        first += before[i] * dimension_stride(l, n, i);
    return affine_constant(l->pool, first);
}

const Affine *identity_offset(Lowering *l, const Node *n, const Affine *const *at)
{
    const Affine *offset = first_offset(l, n);
    for (int i = 0; i < n->rank; i++)
        offset =
            affine_add(l->pool, offset, affine_scale(l->pool, at[i], dimension_stride(l, n, i)));
    return offset;
}

const Affine *access_offset(Lowering *l, const Expr *access, DataTerm **data, int *count)
{
    const Node *n = access->node;
    const Affine *offset = first_offset(l, n);
    *data = arena_new(l->arena, DataTerm, n->rank + 1);
    *count = 0;
    for (int i = 0; i < n->rank; i++) {
        int64_t stride = dimension_stride(l, n, i);
        const Subscript *s = &access->subscripts[i];
        if (s->affine)
            offset = affine_add(l->pool, offset, affine_scale(l->pool, s->affine, stride));
        else if (stride)
            (*data)[(*count)++] = (DataTerm){s->data, stride};
    }
    return offset;
}

typedef struct ExprLowering {
    Lowering *l;
    const Substitution *substitution;
} ExprLowering;

/* Does the kernel read it at steps that are done? */
static bool is_past(const ExprLowering *x, const Expr *e)
{
    const Lowering *l = x->l;
    const Kernel *k = l->kernel;
    for (int i = k->steps.count - 1; i >= 0; i--) { /* the outermost first */
        const Recurrence *r = recurrence_at(k->recurrence, k->steps.count - 1 - i);
        const int place = node_step_place(e->node, r);
        const Affine *at = place >= 0 ? e->subscripts[place].affine : NULL;
        if (!at)
            return false;
        if (x->substitution)
            at = affine_substitute(l->pool, at, x->substitution);
        const Affine *now = affine_index(l->pool, k->steps.data[i]);
        const Interval gap = affine_interval(affine_sub(l->pool, at, now));
        if (at != now)
            return r->reversed ? gap.low > 0 : gap.high < 0;
    }
    return false;
}

static const Expr *lower_access(ExprLowering *x, const Expr *e)
{
    Lowering *l = x->l;
    const bool past = is_past(x, e);
    DataTerm *data;
    int count;
    const Affine *offset = access_offset(l, e, &data, &count);
    if (x->substitution)
        offset = affine_substitute(l->pool, offset, x->substitution);
    Node *root = node_storage(e->node);
    if (!past && l->values[root->id] && !count && l->places[root->id] == offset)
        return l->values[root->id];
    DType type = dtype_is_integer(e->type) ? TYPE_I32 : e->type;
    return expr_load(l->pool, type, past ? past_buffer(l, root) : buffer_of(l, root), offset, data,
                     count);
}

static void note_site(LoopKernel *k, int site)
{
    if (!k->draws || site < k->first_site)
        k->first_site = site;
    k->draws = true;
}

static const Expr *lower_leaf(void *context, const Expr *e)
{
    ExprLowering *x = context;
    ExprPool *p = x->l->pool;
    if (e->kind == EXPR_ACCESS)
        return lower_access(x, e);
    if (e->kind == EXPR_RANDOM)
        note_site(x->l->out, e->site);
    if (!e->affine || !x->substitution || e->kind == EXPR_LOAD)
        return e;
    const Affine *a = affine_substitute(p, e->affine, x->substitution);
    if (e->kind == EXPR_AFFINE)
        return expr_affine(p, a);
    if (e->kind == EXPR_TEST)
        return expr_test(p, e->test, a);
    return expr_random(p, e->random, e->site, a);
}

const Expr *lower_expr(Lowering *l, const Expr *e, const Substitution *s)
{
    ExprLowering x = {l, s};
    return expr_map(l->pool, e, lower_leaf, &x);
}

/* ---- flattening ---------------------------------------------------------------------------------------------- */

Index *flatten_indices(Lowering *l, const char *name, Index *const *list, int count)
{
    int64_t extent = 1, per_example = 0;
    for (int i = 0; i < count; i++) {
        extent *= list[i]->extent;
        per_example = i == 0 ? list[i]->per_example : per_example * list[i]->extent;
    }
    return index_new(l->pool, name, extent, per_example, l->out->span);
}

void flatten_into(Lowering *l, const Affine *flat, Index *const *list, int count, const Affine **to)
{
    for (int i = count - 1; i >= 0; i--) {
        to[i] = i ? affine_remainder(l->pool, flat, list[i]->extent) : flat;
        flat = i ? affine_quotient(l->pool, flat, list[i]->extent) : flat;
    }
}

/* ---- what a vector costs ----------------------------------------------------------------------------------------- */

typedef struct AccessCost {
    ExprPool *pool;
    const Index *vector;
    int lanes;
    double total;
    bool steps;
} AccessCost;

/* From one lane to the next, where vectors begin at multiples of the lanes; false: not always as far. */
static bool lane_step(const Affine *a, const Index *vector, int lanes, int64_t *step)
{
    *step = 0;
    for (int i = 0; i < a->count; i++) {
        const Term *t = &a->terms[i];
        int64_t inner = t->index == vector;
        if (t->kind != TERM_INDEX && !lane_step(t->inner, vector, lanes, &inner))
            return false;
        if (inner && t->kind != TERM_INDEX &&
            (affine_is_index(t->inner) != vector || t->divisor % lanes))
            return false;
        *step += t->kind == TERM_QUOTIENT ? 0 : inner * t->factor;
    }
    return true;
}

static double affine_cost(const Affine *a, const Index *vector, int lanes)
{
    int64_t step;
    if (!lane_step(a, vector, lanes, &step))
        return 2.0 * lanes;
    if (step == 0 || step == 1)
        return step ? 1 : 0.5;
    return lanes;
}

static void visit_steps(void *context, const Expr *e)
{
    AccessCost *c = context;
    c->steps =
        c->steps || e->kind == EXPR_LOCAL || (e->affine && affine_uses(e->affine, c->vector));
}

/* Does the place that data tells change when the index steps? */
static bool data_steps(const AccessCost *c, const Expr *load)
{
    AccessCost steps = *c;
    steps.steps = false;
    for (int i = 0; c->vector && i < load->count; i++)
        expr_visit(c->pool, load->data[i].value, visit_steps, &steps);
    return steps.steps;
}

static void visit_cost(void *context, const Expr *e)
{
    AccessCost *c = context;
    if (e->kind == EXPR_LOAD)
        c->total += data_steps(c, e) ? c->lanes : affine_cost(e->affine, c->vector, c->lanes);
    else if (e->kind == EXPR_CALL)
        c->total += e->function->cost;
}

double access_cost(Lowering *l, const Expr *value, const Index *vector, int lanes)
{
    AccessCost c = {l->pool, vector, lanes, 0, false};
    expr_visit(l->pool, value, visit_cost, &c);
    return c.total;
}

/* ---- the floor's entry ---------------------------------------------------------------------------------------------- */

/* Flops or bytes: some five to ten microseconds of work, a few times what waking a thread costs. */
enum { TOO_LITTLE = 500000 };

double kernel_steps(const Kernel *k)
{
    double steps = 1;
    for (int i = 0; i < k->steps.count; i++)
        steps *= (double)k->steps.data[i]->extent;
    return steps;
}

static void widest_scratch(Lowering *l)
{
    l->out->scratch_bytes = (l->kernel->scratch_bytes + 63) / 64 * 64;
}

LoopKernel *lower_kernel(const Schedule *s, const Kernel *k, const LaneModel *lanes)
{
    Arena *a = s->graph->arena;
    Lowering l = {.schedule = s, .kernel = k, .lanes = lanes, .pool = s->graph->pool, .arena = a};
    l.real = expr_pool_real(l.pool);
    l.out = arena_new(a, LoopKernel, 1);
    l.out->kernel = k;
    l.out->pool = l.pool;
    l.out->span = k->nodes.data[0]->span;
    l.out->serial = !k->own_examples && (k->flops + k->bytes_moved) / kernel_steps(k) < TOO_LITTLE;
    l.buffers = arena_new(a, Buffer *, s->graph->nodes.count);
    l.past = arena_new(a, Buffer *, s->graph->nodes.count);
    l.values = arena_new(a, const Expr *, s->graph->nodes.count);
    l.places = arena_new(a, const Affine *, s->graph->nodes.count);
    widest_scratch(&l);
    if (k->kind == KERNEL_CONTRACTION)
        lower_contraction(&l);
    else if (k->kind == KERNEL_SCATTER)
        lower_scatter(&l);
    else if (k->kind == KERNEL_MARGIN)
        lower_margin(&l);
    else
        lower_nest(&l);
    split_loops(&l, &l.out->body);
    store_past_caches(&l);
    return l.out;
}
