/* Kernels that run in one go, group by group: a thread does all of them for one group, in order,
 * before it goes on to the next.  The schedule says which may; here is settled which can, for what one
 * makes of a group the others must need for that group alone. */
#include "emit/internal.h"

/* ---- does a kernel keep to its group? ---------------------------------------------------------------- */

typedef struct Check {
    const Code *codes; /* of the chain */
    int count;
    const LoopKernel *k; /* the one looked at */
    int64_t groups;
    bool apart; /* it keeps to its group so far */
} Check;

/* Iterations of the outermost loop for a group; 0: they do not come in groups. */
static int64_t iterations_of_group(const LoopKernel *k, int64_t groups)
{
    const int64_t step = k->parallel_step > 0 ? k->parallel_step : 1;
    if (!k->parallel || k->serial || k->body.count != 1 || k->parallel->extent % (groups * step))
        return 0;
    const int64_t of_group = k->parallel->extent / groups;
    return k->parallel->per_example % of_group ? 0 : of_group / step;
}

static bool is_written(const Check *c, const Buffer *b)
{
    for (int i = 0; i < c->count; i++)
        for (int j = 0; j < c->codes[i].loops->operands.count; j++) {
            const Buffer *o = c->codes[i].loops->operands.data[j];
            if (o->written && o->node == b->node)
                return true;
        }
    return false;
}

/* Of what the chain writes, is it the group's own part that the offset is in? */
static void check_place(Check *c, const Buffer *b, const Affine *offset, bool by_data)
{
    if (b->space != SPACE_OPERAND || !is_written(c, b))
        return;
    bool nested = false;
    const Index *group = c->k->parallel;
    const int64_t elements = (int64_t)b->bytes / dtype_size(b->type);
    const int64_t factor = affine_factor(offset, group, &nested);
    const Affine *rest =
        affine_sub(c->k->pool, offset,
                   affine_scale(c->k->pool, affine_index(c->k->pool, (Index *)group), factor));
    const Interval within = affine_interval(rest);
    c->apart = c->apart && !b->past && !by_data && !nested &&
               factor * (group->extent / c->groups) * c->groups == elements && within.low >= 0 &&
               within.high < factor;
}

static void check_expr(void *context, const Expr *e)
{
    if (e->kind == EXPR_LOAD)
        check_place(context, e->buffer, e->affine, e->count > 0);
}

static void check_loops(Check *c, const LoopList *list)
{
    for (int i = 0; i < list->count; i++) {
        const Loop *l = list->data[i];
        if (l->value)
            expr_visit(c->k->pool, l->value, check_expr, c);
        if (l->kind == LOOP_STORE || l->kind == LOOP_ADD)
            check_place(c, l->buffer, l->offset, l->data_count > 0);
        if (l->kind == LOOP_TILE) {
            check_place(c, l->a, l->a_offset, false);
            check_place(c, l->b, l->b_offset, false);
        }
        check_loops(c, &l->body);
    }
}

static bool updates_tensor(const LoopKernel *k)
{
    for (int i = 0; i < k->operands.count; i++)
        if (k->operands.data[i]->written && k->operands.data[i]->tensor)
            return true;
    return false;
}

static bool keep_apart(const Code *codes, int count, int64_t groups)
{
    Check c = {codes, count, NULL, groups, true};
    for (int i = 0; i < count && c.apart; i++) {
        c.k = codes[i].loops;
        c.apart = !updates_tensor(c.k);
        check_loops(&c, &c.k->body);
    }
    return c.apart;
}

/* ---- the function of a chain --------------------------------------------------------------------------- */

/* One that runs the same kernels, as deeper blocks of a network do. */
static LLVMValueRef chain_known(const Entries *es, const Code *codes, int count)
{
    for (int e = 0; e < ENTRY_COUNT; e++) {
        const Schedule *s = es->u->compiled->schedules[e];
        for (int i = 0; s && i < s->kernels.count; i++) {
            const Code *known = &es->codes[e][i];
            int same = 0;
            while (known->chain && known->chain_end - i == count && same < count &&
                   known[same].function == codes[same].function &&
                   known[same].calls == codes[same].calls)
                same++;
            if (same == count)
                return known->chain;
        }
    }
    return NULL;
}

/* void chain(blocks, begin, end, scratch): of a block of arguments for each kernel. */
static LLVMValueRef chain_function(Entries *es, const Code *codes, int count)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer, u->size, u->size, u->pointer}, block = entry_block_type(es);
    const char *name =
        arena_format(u->arena, "chain.%s", codes[0].loops->kernel->nodes.data[0]->name);
    Entry e = entry_function(es, name, u->void_type, params, 4);
    KernelBuilder shell = {.u = u, .function = e.function}; /* for the loop alone */
    CountedLoop c = loop_open(&shell, entry_number64(&e, LLVMGetParam(e.function, 1)),
                              entry_number64(&e, LLVMGetParam(e.function, 2)), 1, "group");
    for (int i = 0; i < count; i++) {
        LLVMValueRef calls = unit_i64(u, codes[i].calls), at = unit_i32(u, i);
        LLVMValueRef begin = LLVMBuildMul(u->builder, c.counter, calls, "");
        LLVMValueRef end = LLVMBuildAdd(u->builder, begin, calls, "");
        LLVMValueRef args[] = {
            LLVMBuildInBoundsGEP2(u->builder, block, LLVMGetParam(e.function, 0), &at, 1, ""),
            LLVMBuildIntCast2(u->builder, begin, u->size, false, ""),
            LLVMBuildIntCast2(u->builder, end, u->size, false, ""), LLVMGetParam(e.function, 3)};
        unit_call(u, codes[i].function, args, 4);
    }
    loop_close(&shell, &c, false);
    LLVMBuildRetVoid(u->builder);
    return entry_finish(&e);
}

static void chain_at(Entries *es, const Schedule *s, Code *codes, int first, int end)
{
    const int64_t groups = s->kernels.data[first + 1]->chained;
    Code *code = &codes[first];
    for (int i = first; i < end; i++)
        if (!(codes[i].calls = iterations_of_group(codes[i].loops, groups)))
            return;
    if (!keep_apart(code, end - first, groups))
        return;
    LLVMValueRef known = chain_known(es, code, end - first);
    code->chain = known ? known : chain_function(es, code, end - first);
    code->chain_end = end;
}

void chain_emit(Entries *es)
{
    for (int e = 0; e < ENTRY_COUNT && !es->u->options.profile; e++) {
        const Schedule *s = es->u->compiled->schedules[e];
        for (int first = 0, end; s && first < s->kernels.count; first = end) {
            end = first + 1;
            while (end < s->kernels.count && s->kernels.data[end]->chained)
                end++;
            if (end > first + 1)
                chain_at(es, s, es->codes[e], first, end);
        }
    }
}

/* ---- running it -------------------------------------------------------------------------------------------- */

/* Room for the longest chain of the entry. */
static LLVMValueRef chain_blocks(Entry *e)
{
    const Code *codes = e->es->codes[e->kind];
    int most = 0;
    for (int i = 0; i < e->s->kernels.count; i++)
        most = codes[i].chain_end - i > most ? codes[i].chain_end - i : most;
    return unit_alloca(e->u, LLVMArrayType2(e->block_type, (uint64_t)most));
}

static void copy_fields(Entry *e, LLVMValueRef from)
{
    LLVMBuilderRef b = e->u->builder;
    for (unsigned i = 0; i < ARGUMENT_FIELDS; i++) {
        LLVMTypeRef type = LLVMStructGetTypeAtIndex(e->block_type, i);
        LLVMValueRef field = LLVMBuildStructGEP2(b, e->block_type, from, i, "");
        entry_argument(e, (int)i, LLVMBuildLoad2(b, type, field, ""));
    }
}

void chain_run_kernels(Entry *e, int from, int to)
{
    EmitUnit *u = e->u;
    const Code *codes = e->es->codes[e->kind];
    LLVMValueRef block = e->block;
    if (!e->blocks)
        e->blocks = chain_blocks(e);
    for (int i = from; i < to; i++) {
        LLVMValueRef at = unit_i32(u, i - from);
        e->block = LLVMBuildInBoundsGEP2(u->builder, e->block_type, e->blocks, &at, 1, "");
        copy_fields(e, block);
        dispatch_arguments(e, codes[i].loops);
    }
    e->block = block;
    LLVMValueRef calls = entry_number64(e, dispatch_iterations(e, codes[from].loops));
    LLVMValueRef groups = LLVMBuildUDiv(u->builder, calls, unit_i64(u, codes[from].calls), "");
    LLVMValueRef args[] = {e->instance, codes[from].chain, e->blocks,
                           LLVMBuildIntCast2(u->builder, groups, u->size, false, "")};
    unit_call(u, e->es->run, args, 4);
}
