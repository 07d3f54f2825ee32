/* Kernels that run in one go, group by group: a thread does all of them for one group, in order, before it
 * goes on to the next.  What only they need lies in its scratch, before that of the kernels themselves. */
#include "emit/internal.h"

/* ---- the function of a chain --------------------------------------------------------------------------- */

/* Iterations of the outermost loop for a group. */
static int64_t iterations_of_group(const LoopKernel *k, int64_t groups)
{
    const int64_t step = k->parallel_step > 0 ? k->parallel_step : 1;
    if (!k->parallel || k->parallel->extent % (groups * step))
        bug("%s does not come in %lld groups", k->kernel->nodes.data[0]->name, (long long)groups);
    return k->parallel->extent / groups / step;
}

/* Where the operand lies in the chain's scratch; NULL: it does not. */
static const Place *chain_place(const Schedule *s, const Buffer *b)
{
    const Node *n = b->node;
    const Place *p = b->tensor ? NULL : entry_place(s, &n);
    return p && p->kind == PLACE_CHAIN ? p : NULL;
}

bool chain_holds(const Schedule *s, const Buffer *b)
{
    return chain_place(s, b);
}

/* Do both find the same operands at the same places of the chain's scratch? */
static bool shares_scratch(const Schedule *s, const LoopKernel *k, const Schedule *t,
                           const LoopKernel *known)
{
    for (int i = 0; i < k->operands.count; i++) {
        const Place *p = chain_place(s, k->operands.data[i]),
                    *q = chain_place(t, known->operands.data[i]);
        if (!p != !q || (p && p->offset != q->offset))
            return false;
    }
    return k->kernel->chain_bytes == known->kernel->chain_bytes &&
           k->kernel->in_order == known->kernel->in_order;
}

static bool same_steps(const Kernel *k, const Kernel *known)
{
    const Recurrence *r = k->recurrence, *s = known->recurrence;
    return r && s ? r->steps == s->steps && r->reversed == s->reversed : r == s;
}

/* One that runs the same kernels, as deeper blocks of a network do. */
static LLVMValueRef chain_known(const Entries *es, const Schedule *of, const Code *codes, int count)
{
    for (int e = 0; e < ENTRY_COUNT; e++) {
        const Schedule *s = es->u->compiled->schedules[e];
        for (int i = 0; s && i < s->kernels.count; i++) {
            const Code *known = &es->codes[e][i];
            int same = 0;
            while (known->chain && schedule_chain_end(s, i) - i == count && same < count &&
                   same_steps(codes->loops->kernel, known->loops->kernel) &&
                   known[same].function == codes[same].function &&
                   known[same].calls == codes[same].calls &&
                   shares_scratch(of, codes[same].loops, s, known[same].loops))
                same++;
            if (same == count)
                return known->chain;
        }
    }
    return NULL;
}

/* A copy of the blocks whose operands in the chain's scratch are this thread's. */
static LLVMValueRef own_blocks(Entry *e, const Code *codes, int count, LLVMValueRef scratch)
{
    EmitUnit *u = e->u;
    LLVMTypeRef type = LLVMArrayType2(e->block_type, (uint64_t)count);
    LLVMValueRef blocks = unit_alloca(u, type);
    LLVMBuildMemCpy(u->builder, blocks, 8, LLVMGetParam(e->function, 0), 8, LLVMSizeOf(type));
    for (int i = 0; i < count; i++)
        for (int slot = 0; slot < codes[i].loops->operands.count; slot++) {
            const Place *p = chain_place(e->s, codes[i].loops->operands.data[slot]);
            LLVMValueRef at[] = {unit_i32(u, 0), unit_i32(u, i), unit_i32(u, ARGUMENT_OPERANDS),
                                 unit_i32(u, slot)};
            if (p)
                LLVMBuildStore(u->builder, unit_offset(u, scratch, p->offset),
                               LLVMBuildInBoundsGEP2(u->builder, type, blocks, at, 4, ""));
        }
    return blocks;
}

/* How many groups a thread takes at least, in their order. */
static int64_t groups_in_order(const Code *codes)
{
    const int64_t in_order = codes[0].loops->kernel->in_order;
    return in_order ? in_order : 1;
}

/* Of the kernel's iterations, a number of them that is not past the last. */
static LLVMValueRef at_most_all(Entry *e, const LoopKernel *k, LLVMValueRef count)
{
    EmitUnit *u = e->u;
    if (!k->parallel->per_example)
        return count;
    LLVMValueRef all = entry_number64(e, dispatch_iterations(e, k));
    return LLVMBuildSelect(u->builder, LLVMBuildICmp(u->builder, LLVMIntULT, all, count, ""), all,
                           count, "");
}

/* The kernels, in order, for the group. */
static void run_group(Entry *e, const Code *codes, int count, LLVMValueRef group,
                      LLVMValueRef blocks, LLVMValueRef scratch)
{
    EmitUnit *u = e->u;
    for (int i = 0; i < count; i++) {
        LLVMValueRef calls = unit_i64(u, codes[i].calls), at = unit_i32(u, i);
        LLVMValueRef begin = LLVMBuildMul(u->builder, group, calls, "");
        LLVMValueRef end = LLVMBuildAdd(u->builder, begin, calls, "");
        if (codes[i].loops->kernel->own_examples) {
            begin = at_most_all(e, codes[i].loops, begin);
            end = at_most_all(e, codes[i].loops, end);
        }
        LLVMValueRef args[] = {LLVMBuildInBoundsGEP2(u->builder, e->block_type, blocks, &at, 1, ""),
                               LLVMBuildIntCast2(u->builder, begin, u->size, false, ""),
                               LLVMBuildIntCast2(u->builder, end, u->size, false, ""), scratch};
        unit_call(u, codes[i].function, args, 4);
    }
}

/* All steps of the recurrence that the chain is, for the group. */
static void run_steps(Entry *e, const Code *codes, int count, LLVMValueRef group,
                      LLVMValueRef blocks, LLVMValueRef scratch)
{
    EmitUnit *u = e->u;
    const Recurrence *r = codes[0].loops->kernel->recurrence;
    KernelBuilder shell = {.u = u, .function = e->function}; /* for the loop alone */
    CountedLoop c = loop_open(&shell, unit_i64(u, 0), unit_i64(u, r->steps), 1, "step");
    LLVMValueRef now = c.counter;
    if (r->reversed)
        now = LLVMBuildSub(u->builder, unit_i64(u, r->steps - 1), now, "");
    for (int i = 0; i < count; i++) {
        LLVMValueRef at = unit_i32(u, i);
        e->block = LLVMBuildInBoundsGEP2(u->builder, e->block_type, blocks, &at, 1, "");
        entry_argument(e, ARGUMENT_TIME, now);
    }
    run_group(e, codes, count, group, blocks, scratch);
    loop_close(&shell, &c, false);
}

static LLVMValueRef block_field(Entry *e, LLVMValueRef block, int field)
{
    LLVMBuilderRef b = e->u->builder;
    LLVMTypeRef type = LLVMStructGetTypeAtIndex(e->block_type, (unsigned)field);
    return LLVMBuildLoad2(b, type,
                          LLVMBuildStructGEP2(b, e->block_type, block, (unsigned)field, ""), "");
}

/* void chain(blocks, begin, end, scratch): of a block of arguments for each kernel. */
static LLVMValueRef chain_function(Entries *es, const Schedule *s, const Code *codes, int count)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer, u->size, u->size, u->pointer};
    const char *name =
        arena_format(u->arena, "chain.%s", codes[0].loops->kernel->nodes.data[0]->name);
    const uint64_t bytes = codes[0].loops->kernel->chain_bytes;
    Entry e = entry_function(es, name, u->void_type, params, 4);
    e.s = s;
    e.block_type = entry_block_type(es);
    LLVMValueRef blocks = LLVMGetParam(e.function, 0), scratch = LLVMGetParam(e.function, 3);
    const bool steps = codes[0].loops->kernel->recurrence;
    if (bytes || steps)
        blocks = own_blocks(&e, codes, count, scratch);
    if (steps)
        e.n = block_field(&e, blocks, ARGUMENT_EXAMPLES);
    scratch = unit_offset(u, scratch, emit_align(bytes));
    KernelBuilder shell = {.u = u, .function = e.function}; /* for the loop alone */
    LLVMValueRef in_order = unit_i64(u, groups_in_order(codes)), ends[2];
    for (unsigned i = 0; i < 2; i++)
        ends[i] = LLVMBuildMul(u->builder, entry_number64(&e, LLVMGetParam(e.function, i + 1)),
                               in_order, "");
    /* kernels that are too small for threads of their own rely on the mode that they find */
    LLVMValueRef mode = subnormals_flush(u);
    CountedLoop c = loop_open(&shell, ends[0], ends[1], 1, "group");
    if (steps)
        run_steps(&e, codes, count, c.counter, blocks, scratch);
    else
        run_group(&e, codes, count, c.counter, blocks, scratch);
    loop_close(&shell, &c, false);
    subnormals_restore(u, mode);
    LLVMBuildRetVoid(u->builder);
    return entry_finish(&e);
}

static void chain_at(Entries *es, const Schedule *s, Code *codes, int first, int end)
{
    const int64_t groups = s->kernels.data[first + 1]->chained;
    Code *code = &codes[first];
    for (int i = first; i < end; i++)
        codes[i].calls = iterations_of_group(codes[i].loops, groups);
    LLVMValueRef known = chain_known(es, s, code, end - first);
    code->chain = known ? known : chain_function(es, s, code, end - first);
}

void chain_emit(Entries *es)
{
    for (int e = 0; e < ENTRY_COUNT; e++) {
        const Schedule *s = es->u->compiled->schedules[e];
        for (int first = 0, end; s && first < s->kernels.count; first = end) {
            end = schedule_chain_end(s, first);
            if (end > first + 1)
                chain_at(es, s, es->codes[e], first, end);
        }
    }
}

/* ---- running it -------------------------------------------------------------------------------------------- */

/* Room for the longest chain of the entry. */
static LLVMValueRef chain_blocks(Entry *e)
{
    int most = 0;
    for (int i = 0, end; i < e->s->kernels.count; i = end) {
        end = schedule_chain_end(e->s, i);
        most = end - i > most ? end - i : most;
    }
    return unit_alloca(e->u, LLVMArrayType2(e->block_type, (uint64_t)most));
}

static void copy_fields(Entry *e, LLVMValueRef from)
{
    for (int i = 0; i < ARGUMENT_FIELDS; i++)
        entry_argument(e, i, block_field(e, from, i));
}

/* Those that have examples; each time that a thread takes some it takes as many as have to be in order. */
static LLVMValueRef groups_to_run(Entry *e, const Code *first)
{
    LLVMBuilderRef b = e->u->builder;
    const int64_t own = first->loops->kernel->own_examples;
    if (own)
        return LLVMBuildUDiv(b, LLVMBuildAdd(b, e->n, unit_i64(e->u, own - 1), ""),
                             unit_i64(e->u, own), "");
    LLVMValueRef calls = entry_number64(e, dispatch_iterations(e, first->loops));
    return LLVMBuildUDiv(b, calls, unit_i64(e->u, first->calls * groups_in_order(first)), "");
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
    LLVMValueRef groups = groups_to_run(e, &codes[from]);
    bool serial = true;
    for (int i = from; i < to; i++)
        serial = serial && codes[i].loops->serial;
    dispatch_call(e, from, codes[from].chain, e->blocks,
                  LLVMBuildIntCast2(u->builder, groups, u->size, false, ""), serial);
}
