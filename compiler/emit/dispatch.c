/* The kernels of the entry points: lowered once, then run in order, on the caller's thread or through
 * the instance's parallel hook. */
#include "emit/internal.h"

/* ---- kernels, lowered once ---------------------------------------------------------------------------------- */

static const char *kernel_name(Entries *es, const Kernel *k)
{
    const char *node = k->nodes.count ? k->nodes.data[0]->name : "kernel";
    return arena_format(es->u->arena, "%s.%s%s", es->u->prefix, node,
                        k->kind == KERNEL_MARGIN ? ".margin" : "");
}

/* Of a thread, with that of its chain. */
static uint64_t kernel_scratch(const LoopKernel *k)
{
    return emit_align(k->kernel->chain_bytes) + emit_align(k->scratch_bytes);
}

void dispatch_lower(Entries *es)
{
    for (int e = 0; e < ENTRY_COUNT; e++) {
        const Schedule *s = es->u->compiled->schedules[e];
        if (!s)
            continue;
        es->codes[e] = arena_new(es->u->arena, Code, s->kernels.count + 1);
        for (int i = 0; i < s->kernels.count; i++) {
            LoopKernel *loops = lower_kernel(s, s->kernels.data[i], &es->u->lanes);
            es->codes[e][i] = (Code){
                .loops = loops,
                .function = kernel_emit_once(es->u, loops, kernel_name(es, s->kernels.data[i]))};
            if (es->most_operands < loops->operands.count)
                es->most_operands = loops->operands.count;
            if (es->scratch_bytes < kernel_scratch(loops))
                es->scratch_bytes = kernel_scratch(loops);
        }
    }
}

Needs entry_needs(const Compiled *c, const LaneModel *lanes)
{
    Needs needs = {0};
    for (int e = 0; e < ENTRY_COUNT; e++) {
        const Schedule *s = c->schedules[e];
        for (int i = 0; s && i < s->kernels.count; i++) {
            const LoopKernel *k = lower_kernel(s, s->kernels.data[i], lanes);
            const uint64_t bytes = kernel_scratch(k);
            needs.scratch_bytes = bytes > needs.scratch_bytes ? bytes : needs.scratch_bytes;
            needs.matrix_tiles = needs.matrix_tiles || k->matrix_tiles;
        }
    }
    return needs;
}

/* ---- running kernels ------------------------------------------------------------------------------------------------ */

/* void run(instance, kernel, arguments, count): through the hook where there is one. */
void dispatch_run(Entries *es)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer, u->pointer, u->pointer, u->size};
    Entry e = entry_function(es, "run", u->void_type, params, 4);
    es->run = e.function;
    e.instance = LLVMGetParam(e.function, 0);
    LLVMValueRef kernel = LLVMGetParam(e.function, 1), arguments = LLVMGetParam(e.function, 2);
    LLVMValueRef count = LLVMGetParam(e.function, 3);
    LLVMValueRef scratch = unit_offset(u, e.instance, u->compiled->instance_bytes);
    LLVMValueRef hook =
        LLVMBuildLoad2(u->builder, u->pointer, entry_header(&e, HEADER_PARALLEL), "");
    LLVMBasicBlockRef alone = unit_block(u, e.function, "alone"),
                      shared = unit_block(u, e.function, "shared");
    LLVMBuildCondBr(u->builder, LLVMBuildIsNull(u->builder, hook, ""), alone, shared);

    LLVMPositionBuilderAtEnd(u->builder, alone);
    LLVMValueRef whole[] = {arguments, unit_size(u, 0), count, scratch};
    LLVMBuildCall2(u->builder, u->kernel_type, kernel, whole, 4, "");
    LLVMBuildRetVoid(u->builder);

    LLVMPositionBuilderAtEnd(u->builder, shared);
    LLVMTypeRef hook_params[] = {u->pointer, u->pointer, u->pointer, u->size, u->pointer, u->size};
    LLVMValueRef pool = LLVMBuildLoad2(u->builder, u->pointer, entry_header(&e, HEADER_POOL), "");
    LLVMValueRef split[] = {pool,  kernel,  arguments,
                            count, scratch, unit_size(u, es->scratch_bytes)};
    LLVMBuildCall2(u->builder, LLVMFunctionType(u->void_type, hook_params, 6, false), hook, split,
                   6, "");
    LLVMBuildRetVoid(u->builder);
    entry_finish(&e);
}

/* Iterations of the kernel's outermost loop: ceil(extent / step). */
LLVMValueRef dispatch_iterations(Entry *e, const LoopKernel *k)
{
    EmitUnit *u = e->u;
    int64_t step = k->parallel_step > 0 ? k->parallel_step : 1;
    if (!k->parallel)
        return unit_size(u, 1);
    if (!k->parallel->per_example)
        return unit_size(u, (uint64_t)((k->parallel->extent + step - 1) / step));
    LLVMValueRef extent = LLVMBuildMul(u->builder, e->n, unit_i64(u, k->parallel->per_example), "");
    LLVMValueRef rounded = LLVMBuildAdd(u->builder, extent, unit_i64(u, step - 1), "");
    return LLVMBuildIntCast2(u->builder, LLVMBuildUDiv(u->builder, rounded, unit_i64(u, step), ""),
                             u->size, false, "");
}

void dispatch_arguments(Entry *e, const LoopKernel *k)
{
    EmitUnit *u = e->u;
    for (int i = 0; i < k->operands.count; i++) {
        if (chain_holds(e->s, k->operands.data[i]))
            continue;
        LLVMValueRef at[] = {unit_i32(u, 0), unit_i32(u, ARGUMENT_OPERANDS), unit_i32(u, i)};
        LLVMValueRef slot = LLVMBuildInBoundsGEP2(u->builder, e->block_type, e->block, at, 3, "");
        LLVMBuildStore(u->builder, entry_buffer(e, k->operands.data[i]), slot);
    }
    if (k->draws)
        entry_argument(e, ARGUMENT_SITE, unit_i64(u, k->first_site));
}

void dispatch_call(Entry *e, int number, LLVMValueRef function, LLVMValueRef arguments,
                   LLVMValueRef count, bool serial)
{
    EmitUnit *u = e->u;
    if (e->es->profiled) {
        profile_call(e, number, function, arguments, count, serial);
        return;
    }
    if (!serial) {
        LLVMValueRef args[] = {e->instance, function, arguments, count};
        unit_call(u, e->es->run, args, 4);
        return;
    }
    LLVMValueRef scratch = unit_offset(u, e->instance, u->compiled->instance_bytes);
    LLVMValueRef args[] = {arguments, unit_size(u, 0), count, scratch};
    unit_call(u, function, args, 4);
}

void entry_run_kernel(Entry *e, int number)
{
    const Code *code = &e->es->codes[e->kind][number];
    const LoopKernel *k = code->loops;
    dispatch_arguments(e, k);
    dispatch_call(e, number, code->function, e->block, dispatch_iterations(e, k),
                  !k->parallel || k->serial);
}

/* The kernels of the recurrence at `depth` end before this one. */
static int past_recurrence(const Entry *e, int from, int to, int depth)
{
    const Recurrence *r = recurrence_at(e->s->kernels.data[from]->recurrence, depth);
    int end = from + 1;
    while (r && end < to && recurrence_at(e->s->kernels.data[end]->recurrence, depth) == r)
        end++;
    return end;
}

int entry_past_run(const Entry *e, int from, int to)
{
    const int end = past_recurrence(e, from, to, 0), chain_end = schedule_chain_end(e->s, from);
    return end > chain_end ? end : chain_end;
}

static void run_in_order(Entry *e, int from, int to, int depth, LLVMValueRef time);

/* for each step: all kernels of the recurrence.  Its steps, and those of the ones around it, are one
 * number, `time`. */
static void run_recurrence(Entry *e, int from, int to, int depth, LLVMValueRef time)
{
    EmitUnit *u = e->u;
    const Recurrence *r = recurrence_at(e->s->kernels.data[from]->recurrence, depth);
    KernelBuilder shell = {.u = u, .function = e->function}; /* for the loop alone */
    LLVMValueRef steps = unit_i64(u, r->steps), last = unit_i64(u, r->steps - 1);
    CountedLoop c = loop_open(&shell, unit_i64(u, 0), steps, 1, "step");
    LLVMValueRef now = r->reversed ? LLVMBuildSub(u->builder, last, c.counter, "") : c.counter;
    if (time)
        now = LLVMBuildAdd(u->builder, LLVMBuildMul(u->builder, time, steps, ""), now, "");
    run_in_order(e, from, to, depth + 1, now);
    loop_close(&shell, &c, false);
}

/* Kernels that stand in `depth` recurrences, at their steps `time`. */
static void run_in_order(Entry *e, int from, int to, int depth, LLVMValueRef time)
{
    for (int i = from, end; i < to; i = end) {
        const bool chained = e->es->codes[e->kind][i].chain;
        end = past_recurrence(e, i, to, depth);
        if (!chained && recurrence_at(e->s->kernels.data[i]->recurrence, depth)) {
            run_recurrence(e, i, end, depth, time);
            continue;
        }
        if (time)
            entry_argument(e, ARGUMENT_TIME, time);
        if (chained)
            chain_run_kernels(e, i, end = schedule_chain_end(e->s, i));
        else
            entry_run_kernel(e, i);
    }
}

/* Kernels that this step does not need are passed by. */
static void run_when_due(Entry *e, int from, int to, int64_t every)
{
    EmitUnit *u = e->u;
    LLVMBasicBlockRef due = unit_block(u, e->function, "due"),
                      after = unit_block(u, e->function, "after");
    LLVMBuildCondBr(u->builder, unit_is_due(u, entry_header_load(e, HEADER_STEP), every), due,
                    after);
    LLVMPositionBuilderAtEnd(u->builder, due);
    run_in_order(e, from, to, 0, NULL);
    LLVMBuildBr(u->builder, after);
    LLVMPositionBuilderAtEnd(u->builder, after);
}

void entry_run_kernels(Entry *e, int from, int to)
{
    LLVMValueRef mode = subnormals_flush(e->u);
    for (int i = from, end; i < to; i = end) {
        const int64_t every = e->s->kernels.data[i]->every;
        for (end = i + 1; end < to && e->s->kernels.data[end]->every == every;)
            end++;
        if (every > 1)
            run_when_due(e, i, end, every);
        else
            run_in_order(e, i, end, 0, NULL);
    }
    subnormals_restore(e->u, mode);
}
