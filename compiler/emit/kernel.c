/* One LLVM function for one LoopKernel: its loops and statements. */
#include "emit/internal.h"

#include <string.h>

/* ---- registers -------------------------------------------------------------------------------------------- */

static DType local_type(const KernelBuilder *kb, int local)
{
    return kb->kernel->locals.data[local];
}

static LLVMTypeRef local_lane(const KernelBuilder *kb, int local)
{
    return unit_lane_type(kb->u, local_type(kb, local));
}

static LLVMValueRef local_scalar(KernelBuilder *kb, int local)
{
    Register *r = &kb->registers[local];
    if (!r->scalar)
        r->scalar = unit_alloca(kb->u, local_lane(kb, local));
    return r->scalar;
}

LLVMValueRef local_lanes(KernelBuilder *kb, int local)
{
    Register *r = &kb->registers[local];
    if (!r->vector || r->vector_width != kb->width) {
        r->vector = unit_alloca(kb->u, unit_widen(local_lane(kb, local), kb->width));
        r->vector_width = kb->width;
    }
    return r->vector;
}

static bool local_varies(const KernelBuilder *kb, int local)
{
    return kb->width > 1 && kb->locals[local] != LOCAL_UNIFORM;
}

LLVMValueRef local_read(KernelBuilder *kb, int local)
{
    LLVMTypeRef lane = local_lane(kb, local);
    if (local_varies(kb, local))
        return LLVMBuildLoad2(kb->u->builder, unit_widen(lane, kb->width), local_lanes(kb, local),
                              "");
    return LLVMBuildLoad2(kb->u->builder, lane, local_scalar(kb, local), "");
}

void local_write(KernelBuilder *kb, int local, LLVMValueRef v)
{
    v = value_convert(kb, v, local_type(kb, local));
    if (local_varies(kb, local))
        LLVMBuildStore(kb->u->builder, value_splat(kb->u, v, kb->width), local_lanes(kb, local));
    else
        LLVMBuildStore(kb->u->builder, v, local_scalar(kb, local));
}

/* ---- loops ---------------------------------------------------------------------------------------------------- */

CountedLoop loop_open(KernelBuilder *kb, LLVMValueRef begin, LLVMValueRef end, int64_t step,
                      const char *name)
{
    EmitUnit *u = kb->u;
    CountedLoop l = {.step = unit_i64(u, step)};
    LLVMBasicBlockRef before = LLVMGetInsertBlock(u->builder);
    l.header = unit_block(u, kb->function, name);
    l.body = unit_block(u, kb->function, "body");
    l.exit = unit_block(u, kb->function, "exit");
    LLVMBuildBr(u->builder, l.header);
    LLVMPositionBuilderAtEnd(u->builder, l.header);
    l.counter = LLVMBuildPhi(u->builder, u->i64, name);
    LLVMAddIncoming(l.counter, &begin, &before, 1);
    LLVMBuildCondBr(u->builder, LLVMBuildICmp(u->builder, LLVMIntSLT, l.counter, end, ""), l.body,
                    l.exit);
    LLVMPositionBuilderAtEnd(u->builder, l.body);
    return l;
}

/* Vector loops are as wide as they should be: unrolling them costs compile time and gains nothing. */
static void forbid_unrolling(EmitUnit *u, LLVMValueRef branch)
{
    LLVMMetadataRef key = LLVMMDStringInContext2(u->context, "llvm.loop.unroll.disable", 24);
    LLVMMetadataRef hint = LLVMMDNodeInContext2(u->context, &key, 1);
    LLVMMetadataRef self = LLVMTemporaryMDNode(u->context, NULL, 0);
    LLVMMetadataRef parts[] = {self, hint};
    LLVMMetadataRef node = LLVMMDNodeInContext2(u->context, parts, 2);
    LLVMMetadataReplaceAllUsesWith(self, node); /* a loop's identity names itself */
    unsigned kind = LLVMGetMDKindIDInContext(u->context, "llvm.loop", 9);
    LLVMSetMetadata(branch, kind, LLVMMetadataAsValue(u->context, node));
}

void loop_close(KernelBuilder *kb, CountedLoop *l, bool unrollable)
{
    LLVMBuilderRef b = kb->u->builder;
    LLVMValueRef next = LLVMBuildAdd(b, l->counter, l->step, "");
    LLVMBasicBlockRef latch = LLVMGetInsertBlock(b);
    LLVMValueRef branch = LLVMBuildBr(b, l->header);
    LLVMAddIncoming(l->counter, &next, &latch, 1);
    if (!unrollable)
        forbid_unrolling(kb->u, branch);
    LLVMPositionBuilderAtEnd(b, l->exit);
}

void kernel_bind(KernelBuilder *kb, const Index *ix, LLVMValueRef value, int64_t step)
{
    if (kb->binding_count == BINDINGS)
        bug("more than %d loops in one another", BINDINGS);
    kb->bindings[kb->binding_count++] = (IndexBinding){ix, value, step};
}

/* Blocks of a loop that counts by them begin at multiples: not as late as any value of its index. */
int64_t kernel_latest(const KernelBuilder *kb, const Affine *begin)
{
    if (!begin)
        return 0;
    const Index *ix = affine_is_index(begin);
    for (int i = kb->binding_count; ix && i-- > 0;)
        if (kb->bindings[i].index == ix && kb->bindings[i].step)
            return (ix->extent - 1) / kb->bindings[i].step * kb->bindings[i].step;
    return affine_interval(begin).high;
}

/* Is begin + length always within the extent? */
static bool ends_inside(const KernelBuilder *kb, const Loop *l)
{
    return l->length && !l->end && !l->index->per_example &&
           kernel_latest(kb, l->begin) + l->length <= l->index->extent;
}

static LLVMValueRef least(EmitUnit *u, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildSelect(u->builder, LLVMBuildICmp(u->builder, LLVMIntSLT, a, b, ""), a, b, "");
}

/* min(extent at run time, begin + length, end), settled now where it can be. */
LLVMValueRef kernel_loop_end(KernelBuilder *kb, const Loop *l, LLVMValueRef begin)
{
    EmitUnit *u = kb->u;
    LLVMValueRef extent = extent_value(kb, l->index);
    if (l->end)
        extent = least(u, offset_scalar(kb, l->end), extent);
    if (!l->length)
        return extent;
    LLVMValueRef end = LLVMBuildAdd(u->builder, begin, unit_i64(u, l->length), "");
    if (ends_inside(kb, l))
        return end;
    return least(u, end, extent);
}

/* Are all values of begin multiples of the step? */
static bool begins_at_multiple(const KernelBuilder *kb, const Affine *begin, int64_t step)
{
    return !begin || (step && offset_divisor(kb, begin) % step == 0);
}

static void emit_serial(KernelBuilder *kb, const Loop *l, LLVMValueRef begin, LLVMValueRef end)
{
    if (transpose_emit(kb, l, begin, end))
        return;
    CountedLoop c = loop_open(kb, begin, end, l->step ? l->step : 1, l->index->name);
    kernel_bind(kb, l->index, c.counter, begins_at_multiple(kb, l->begin, l->step) ? l->step : 0);
    kernel_statements(kb, &l->body);
    kb->binding_count--;
    loop_close(kb, &c, true);
}

/* The number of iterations when it is known now; -1 otherwise. */
static int64_t constant_trips(LLVMValueRef begin, LLVMValueRef end)
{
    if (!LLVMIsAConstantInt(begin) || !LLVMIsAConstantInt(end))
        return -1;
    int64_t trips = LLVMConstIntGetSExtValue(end) - LLVMConstIntGetSExtValue(begin);
    return trips < 0 ? 0 : trips;
}

enum { UNROLL_MOST = 64 };

static void emit_unrolled(KernelBuilder *kb, const Loop *l, LLVMValueRef begin, LLVMValueRef end)
{
    int64_t trips = constant_trips(begin, end), step = l->step ? l->step : 1;
    if (trips < 0 && ends_inside(kb, l))
        trips = l->length; /* wherever it begins */
    if (trips < 0 || trips / step > UNROLL_MOST) {
        emit_serial(kb, l, begin, end);
        return;
    }
    for (int64_t i = 0; i < trips; i += step) {
        kernel_bind(kb, l->index, LLVMBuildAdd(kb->u->builder, begin, unit_i64(kb->u, i), ""), 0);
        kernel_statements(kb, &l->body);
        kb->binding_count--;
    }
}

/* The kernel's own begin and end count the outermost loop's iterations. */
static void emit_parallel(KernelBuilder *kb, const Loop *l)
{
    LLVMBuilderRef b = kb->u->builder;
    CountedLoop c = loop_open(kb, kb->begin, kb->end, 1, l->index->name);
    kernel_bind(kb, l->index,
                LLVMBuildMul(b, c.counter, unit_i64(kb->u, l->step ? l->step : 1), ""), l->step);
    kernel_statements(kb, &l->body);
    kb->binding_count--;
    loop_close(kb, &c, true);
}

/* ---- vector loops --------------------------------------------------------------------------------------------- */

/* The reduction that a register is COMBINEd by in the loop. */
static const Reduction *reduction_of(const LoopList *list, int local)
{
    for (int i = 0; i < list->count; i++) {
        const Loop *s = list->data[i];
        if (s->kind == LOOP_COMBINE && s->local == local)
            return s->reduction;
        const Reduction *inside = reduction_of(&s->body, local);
        if (inside)
            return inside;
    }
    return NULL;
}

static void start_folds(KernelBuilder *kb, const Loop *l)
{
    for (int i = 0; i < kb->kernel->locals.count; i++)
        if (kb->locals[i] == LOCAL_FOLDED) {
            LLVMValueRef start = value_identity(kb, reduction_of(&l->body, i), local_type(kb, i));
            LLVMBuildStore(kb->u->builder, value_splat(kb->u, start, kb->width),
                           local_lanes(kb, i));
        }
}

static void finish_folds(KernelBuilder *kb, const Loop *l)
{
    LLVMBuilderRef b = kb->u->builder;
    for (int i = 0; i < kb->kernel->locals.count; i++) {
        if (kb->locals[i] != LOCAL_FOLDED)
            continue;
        const Reduction *r = reduction_of(&l->body, i);
        DType type = local_type(kb, i);
        LLVMTypeRef lanes = unit_widen(local_lane(kb, i), kb->width);
        LLVMValueRef folded =
            value_fold(kb, r, type, LLVMBuildLoad2(b, lanes, local_lanes(kb, i), ""));
        LLVMValueRef outer = LLVMBuildLoad2(b, local_lane(kb, i), local_scalar(kb, i), "");
        LLVMBuildStore(b, value_merge(kb, r, type, outer, folded), local_scalar(kb, i));
    }
}

static void emit_lanes(KernelBuilder *kb, const Loop *l, LLVMValueRef at, LLVMValueRef mask)
{
    kb->mask = mask;
    kernel_bind(kb, l->index, at, 0);
    kernel_statements(kb, &l->body);
    kb->binding_count--;
    kb->mask = NULL;
}

static void emit_known_count(KernelBuilder *kb, const Loop *l, LLVMValueRef begin, int64_t trips)
{
    EmitUnit *u = kb->u;
    int64_t full = trips - trips % kb->width;
    LLVMValueRef middle = LLVMBuildAdd(u->builder, begin, unit_i64(u, full), "");
    if (full == kb->width) {
        emit_lanes(kb, l, begin, NULL);
    } else if (full) {
        CountedLoop c = loop_open(kb, begin, middle, kb->width, l->index->name);
        emit_lanes(kb, l, c.counter, NULL);
        loop_close(kb, &c, false);
    }
    if (full < trips)
        emit_lanes(kb, l, middle, value_lanes_below(u, unit_i64(u, trips - full), kb->width));
}

static void emit_counted(KernelBuilder *kb, const Loop *l, LLVMValueRef begin, LLVMValueRef end)
{
    EmitUnit *u = kb->u;
    LLVMBuilderRef b = u->builder;
    /* A block beyond the examples of this call begins after the end: it has no iteration, not -n. */
    LLVMValueRef none = LLVMBuildICmp(b, LLVMIntSLT, end, begin, "");
    end = LLVMBuildSelect(b, none, begin, end, "");
    LLVMValueRef count = LLVMBuildSub(b, end, begin, "");
    LLVMValueRef rest = LLVMBuildAnd(b, count, unit_i64(u, kb->width - 1), "");
    LLVMValueRef middle = LLVMBuildSub(b, end, rest, "");
    CountedLoop c = loop_open(kb, begin, middle, kb->width, l->index->name);
    emit_lanes(kb, l, c.counter, NULL);
    loop_close(kb, &c, false);

    LLVMBasicBlockRef tail = unit_block(u, kb->function, "tail"),
                      done = unit_block(u, kb->function, "done");
    LLVMBuildCondBr(b, LLVMBuildICmp(b, LLVMIntSLT, middle, end, ""), tail, done);
    LLVMPositionBuilderAtEnd(b, tail);
    emit_lanes(kb, l, middle, value_lanes_below(u, rest, kb->width));
    LLVMBuildBr(b, done);
    LLVMPositionBuilderAtEnd(b, done);
}

/* The most iterations there can be: no more lanes than that, up to a power of two. */
static int64_t most_trips(const Loop *l, LLVMValueRef begin, LLVMValueRef end)
{
    int64_t trips = constant_trips(begin, end);
    if (trips >= 0)
        return trips;
    return l->length && l->length < l->index->extent ? l->length : l->index->extent;
}

void kernel_vector(KernelBuilder *kb, const Loop *l, LLVMValueRef begin, LLVMValueRef end)
{
    kb->width = vector_width(kb, l);
    kb->lane_index = l->index;
    while (kb->width > 1 && kb->width / 2 >= most_trips(l, begin, end))
        kb->width /= 2;
    kb->lane_step = begins_at_multiple(kb, l->begin, kb->width) ? kb->width : 1;
    bool together = kb->width > 1 && l->step <= 1 && vector_analyze(kb, l);
    if (!together) {
        kb->width = 1;
        kb->lane_index = NULL;
        kb->locals = NULL;
        emit_serial(kb, l, begin, end);
        return;
    }
    start_folds(kb, l);
    int64_t trips = constant_trips(begin, end);
    if (trips < 0 && ends_inside(kb, l))
        trips = l->length;
    if (trips >= 0)
        emit_known_count(kb, l, begin, trips);
    else
        emit_counted(kb, l, begin, end);
    finish_folds(kb, l);
    kb->width = 1;
    kb->lane_index = NULL;
    kb->locals = NULL;
}

static void emit_for(KernelBuilder *kb, const Loop *l)
{
    if (l->how == FOR_PARALLEL) {
        emit_parallel(kb, l);
        return;
    }
    LLVMValueRef begin = l->begin ? offset_scalar(kb, l->begin) : unit_i64(kb->u, 0);
    LLVMValueRef end = kernel_loop_end(kb, l, begin);
    if (l->how == FOR_VECTOR && kb->width == 1)
        kernel_vector(kb, l, begin, end);
    else if (l->how == FOR_UNROLLED)
        emit_unrolled(kb, l, begin, end);
    else
        emit_serial(kb, l, begin, end);
}

/* ---- statements ------------------------------------------------------------------------------------------------- */

static void emit_combine(KernelBuilder *kb, const Loop *s)
{
    LLVMValueRef old = local_read(kb, s->local);
    LLVMValueRef v = value_combine(kb, s->reduction, local_type(kb, s->local), old, s->value);
    if (kb->mask && local_varies(kb, s->local))
        v = LLVMBuildSelect(kb->u->builder, kb->mask, value_splat(kb->u, v, kb->width), old, "");
    local_write(kb, s->local, v);
}

static void emit_statement(KernelBuilder *kb, const Loop *s)
{
    value_begin_statement(kb);
    debug_place(kb, s->span);
    switch (s->kind) {
    case LOOP_FOR:
        emit_for(kb, s);
        break;
    case LOOP_SET:
        local_write(kb, s->local, value_of(kb, s->value, NULL));
        break;
    case LOOP_COMBINE:
        emit_combine(kb, s);
        break;
    case LOOP_STORE:
        memory_store(kb, s);
        break;
    case LOOP_ADD:
        memory_add(kb, s);
        break;
    case LOOP_ASK:
        memory_ask(kb, s);
        break;
    case LOOP_TILE:
        if (s->sliced)
            matrix_tile_emit(kb, s);
        else if (s->along_depth)
            dots_emit(kb, s);
        else
            tile_emit(kb, s);
        break;
    case LOOP_SLICE:
        slices_emit(kb, s);
        break;
    }
}

void kernel_statements(KernelBuilder *kb, const LoopList *list)
{
    for (int i = 0; i < list->count; i++)
        emit_statement(kb, list->data[i]);
}

/* ---- the function --------------------------------------------------------------------------------------------- */

static LLVMValueRef widened(EmitUnit *u, LLVMValueRef size)
{
    return u->size == u->i64 ? size : LLVMBuildZExt(u->builder, size, u->i64, "");
}

static LLVMValueRef load_field(KernelBuilder *kb, int field)
{
    EmitUnit *u = kb->u;
    LLVMTypeRef type = LLVMStructGetTypeAtIndex(u->arguments_type, (unsigned)field);
    return LLVMBuildLoad2(
        u->builder, type,
        LLVMBuildStructGEP2(u->builder, u->arguments_type, kb->arguments, (unsigned)field, ""), "");
}

static void load_arguments(KernelBuilder *kb)
{
    EmitUnit *u = kb->u;
    for (int i = 0; i < ARGUMENT_FIELDS; i++)
        kb->fields[i] = load_field(kb, i);
    kb->examples = kb->fields[ARGUMENT_EXAMPLES];
    for (int i = 0; i < kb->kernel->operands.count; i++) {
        LLVMValueRef at[] = {unit_i32(u, 0), unit_i32(u, ARGUMENT_OPERANDS), unit_i64(u, i)};
        LLVMValueRef slot =
            LLVMBuildInBoundsGEP2(u->builder, u->arguments_type, kb->arguments, at, 3, "");
        kb->operands[i] =
            LLVMBuildLoad2(u->builder, u->pointer, slot, arena_format(u->arena, "operand%d", i));
    }
}

/* The steps of the recurrences around it, the innermost first, are given as one number. */
static void bind_steps(KernelBuilder *kb, const Kernel *k)
{
    LLVMValueRef time = kb->fields[ARGUMENT_TIME];
    for (int i = 0; i < k->steps.count; i++) {
        LLVMValueRef extent = unit_i64(kb->u, k->steps.data[i]->extent), step = time;
        if (i + 1 < k->steps.count) {
            step = LLVMBuildURem(kb->u->builder, time, extent, "");
            time = LLVMBuildUDiv(kb->u->builder, time, extent, "");
        }
        kernel_bind(kb, k->steps.data[i], step, 0);
    }
}

LLVMValueRef kernel_emit(EmitUnit *u, const LoopKernel *k, const char *name, bool exported)
{
    KernelBuilder *kb = arena_new(u->arena, KernelBuilder, 1);
    *kb = (KernelBuilder){.u = u, .kernel = k, .width = 1};
    kb->function = unit_function(u, name, u->kernel_type, exported);
    /* a call costs nothing against a kernel's work; inlined, the entry points would take long to compile */
    unit_keep_apart(u, kb->function);
    kb->operands = arena_new(u->arena, LLVMValueRef, k->operands.count + 1);
    kb->registers = arena_new(u->arena, Register, k->locals.count + 1);
    map_init(&kb->memo, u->arena);
    map_init(&kb->loads, u->arena);
    debug_function(kb, name, k->span);
    kb->entry = unit_block(u, kb->function, "entry");
    LLVMPositionBuilderAtEnd(u->builder, kb->entry);
    debug_place(kb, k->span);
    kb->arguments = LLVMGetParam(kb->function, 0);
    kb->begin = widened(u, LLVMGetParam(kb->function, 1));
    kb->end = widened(u, LLVMGetParam(kb->function, 2));
    kb->scratch = LLVMGetParam(kb->function, 3);
    load_arguments(kb);
    bind_steps(kb, k->kernel);
    /* on whichever thread it runs; kernels on the caller's find its mode set */
    LLVMValueRef mode = k->parallel && !k->serial ? subnormals_flush(u) : NULL;
    if (k->matrix_tiles)
        matrix_configure(u);
    kernel_statements(kb, &k->body);
    if (k->matrix_tiles)
        matrix_release(u);
    subnormals_restore(u, mode);
    if (k->stores_past && u->is_x86) /* other threads' reads come after them */
        unit_intrinsic(u, "llvm.x86.sse.sfence", NULL, 0, NULL, 0);
    LLVMBuildRetVoid(u->builder);
    LLVMSetCurrentDebugLocation2(u->builder, NULL);
    return kb->function;
}

LLVMValueRef kernel_emit_once(EmitUnit *u, const LoopKernel *k, const char *name)
{
    Text text;
    text_init(&text, u->arena);
    loop_print(&text, k);
    for (int i = 0; i < u->kernels.count; i++)
        if (!strcmp(u->kernels.data[i].text, text.data))
            return u->kernels.data[i].function;
    KernelCode code = {text.data, kernel_emit(u, k, name, false)};
    vec_push(u->arena, &u->kernels, code);
    return code.function;
}

EmitUnit *emit_kernels(LoopKernel *const *kernels, const char *const *names, int count, DType real,
                       const Sources *sources, const EmitOptions *o, const LaneModel *lanes,
                       Arena *a)
{
    EmitUnit *u = unit_create(o, lanes, real, sources, "kernels", a);
    debug_open(u, "kernels.nn");
    for (int i = 0; i < count; i++)
        kernel_emit(u, kernels[i], names[i], true);
    debug_close(u);
    unit_verify(u);
    return u;
}
