/* The entry points: each hands its kernels their operands, in order, on the caller's thread or
 * through the instance's parallel hook. */
#include "emit/internal.h"

#include <math.h>
#include <string.h>

enum { ALIGNMENT = 64 };
static const uint64_t magic = 0x6c65646f6d6e6e2e; /* ".nnmodel" */

static uint64_t align_up(uint64_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static uint64_t tensor_bytes(const Tensor *t)
{
    uint64_t bytes = (uint64_t)dtype_size(t->type);
    for (int i = 0; i < t->rank; i++)
        bytes *= (uint64_t)t->shape[i];
    return bytes;
}

static int64_t port_elements(const Port *p)
{
    int64_t count = 1;
    for (int i = 0; i < p->rank; i++)
        count *= p->shape[i];
    return count;
}

void emit_layout(Compiled *c)
{
    c->persistent_bytes = EMIT_HEADER_BYTES;
    for (int i = 0; i < c->program->tensors.count; i++) {
        const Tensor *t = c->program->tensors.data[i];
        if (c->persistent_bytes < t->offset + tensor_bytes(t))
            c->persistent_bytes = t->offset + tensor_bytes(t);
    }
    c->persistent_bytes = align_up(c->persistent_bytes);
    c->workspace_bytes = 0;
    for (int i = 0; i < ENTRY_COUNT; i++)
        if (c->schedules[i] && c->workspace_bytes < c->schedules[i]->workspace_bytes)
            c->workspace_bytes = c->schedules[i]->workspace_bytes;
    c->workspace_bytes = align_up(c->workspace_bytes);
    c->instance_bytes = c->persistent_bytes + c->workspace_bytes;
}

/* ---- kernels, lowered once ---------------------------------------------------------------------------------- */

static const char *kernel_name(Entries *es, const Kernel *k)
{
    const char *node = k->nodes.count ? k->nodes.data[0]->name : "kernel";
    return arena_format(es->u->arena, "%s.%s", es->u->prefix, node);
}

static void lower_all(Entries *es)
{
    for (int e = 0; e < ENTRY_COUNT; e++) {
        const Schedule *s = es->u->compiled->schedules[e];
        if (!s)
            continue;
        es->codes[e] = arena_new(es->u->arena, Code, s->kernels.count + 1);
        for (int i = 0; i < s->kernels.count; i++) {
            LoopKernel *loops = lower_kernel(s, s->kernels.data[i], &es->u->lanes);
            es->codes[e][i] =
                (Code){loops, kernel_emit_once(es->u, loops, kernel_name(es, s->kernels.data[i]))};
            if (es->most_operands < loops->operands.count)
                es->most_operands = loops->operands.count;
            if (es->scratch_bytes < align_up(loops->scratch_bytes))
                es->scratch_bytes = align_up(loops->scratch_bytes);
        }
    }
}

uint64_t entry_scratch_bytes(const Compiled *c, const LaneModel *lanes)
{
    uint64_t most = 0;
    for (int e = 0; e < ENTRY_COUNT; e++) {
        const Schedule *s = c->schedules[e];
        for (int i = 0; s && i < s->kernels.count; i++) {
            uint64_t bytes = align_up(lower_kernel(s, s->kernels.data[i], lanes)->scratch_bytes);
            most = bytes > most ? bytes : most;
        }
    }
    return most;
}

/* ---- a function under construction --------------------------------------------------------------------------- */

LLVMValueRef entry_number64(Entry *e, LLVMValueRef size)
{
    return e->u->size == e->u->i64 ? size : LLVMBuildZExt(e->u->builder, size, e->u->i64, "");
}

static LLVMValueRef size_of(EmitUnit *u, uint64_t bytes)
{
    return LLVMConstInt(u->size, bytes, false);
}

static Entry open_function(Entries *es, const char *name, LLVMTypeRef result, LLVMTypeRef *params,
                           int count)
{
    EmitUnit *u = es->u;
    Entry e = {.es = es, .u = u};
    const char *full = arena_format(u->arena, "%s.%s", u->prefix, name);
    e.function =
        unit_function(u, full, LLVMFunctionType(result, params, (unsigned)count, false), false);
    LLVMPositionBuilderAtEnd(u->builder, unit_block(u, e.function, "entry"));
    debug_entry(u, e.function, full);
    return e;
}

LLVMValueRef entry_finish(Entry *e)
{
    LLVMSetCurrentDebugLocation2(e->u->builder, NULL);
    return e->function;
}

static LLVMValueRef header_at(Entry *e, HeaderField field)
{
    return unit_offset(e->u, e->instance, field);
}

static LLVMValueRef header_load(Entry *e, HeaderField field)
{
    return LLVMBuildLoad2(e->u->builder, e->u->i64, header_at(e, field), "");
}

static void header_store(Entry *e, HeaderField field, LLVMValueRef v)
{
    LLVMBuildStore(e->u->builder, v, header_at(e, field));
}

/* ---- the argument block --------------------------------------------------------------------------------------- */

void entry_argument(Entry *e, int field, LLVMValueRef v)
{
    LLVMBuildStore(
        e->u->builder, v,
        LLVMBuildStructGEP2(e->u->builder, e->block_type, e->block, (unsigned)field, ""));
}

/* Fields that an entry point does not set are zero. */
void entry_block(Entry *e)
{
    EmitUnit *u = e->u;
    LLVMTypeRef fields[ARGUMENT_FIELDS + 1];
    for (int i = 0; i < ARGUMENT_FIELDS; i++)
        fields[i] = LLVMStructGetTypeAtIndex(u->arguments_type, (unsigned)i);
    fields[ARGUMENT_FIELDS] = LLVMArrayType2(u->pointer, (uint64_t)e->es->most_operands);
    e->block_type = LLVMStructTypeInContext(u->context, fields, ARGUMENT_FIELDS + 1, false);
    e->block = LLVMBuildAlloca(u->builder, e->block_type, "arguments");
    for (int i = 0; i < ARGUMENT_FIELDS; i++)
        entry_argument(e, i, LLVMConstNull(fields[i]));
    entry_argument(e, ARGUMENT_EXAMPLES, e->n);
    entry_argument(e, ARGUMENT_SEED, header_load(e, HEADER_SEED));
    entry_argument(e, ARGUMENT_STEP, header_load(e, HEADER_STEP));
    entry_argument(e, ARGUMENT_DRAWS, header_load(e, HEADER_DRAWS));
    entry_argument(e, ARGUMENT_SCALE, LLVMConstReal(u->f64, 1));
    entry_argument(e, ARGUMENT_FIRST, unit_i64(u, 1));
}

/* ---- addresses ---------------------------------------------------------------------------------------------------- */

static LLVMValueRef pointer_at(Entry *e, LLVMValueRef array, int slot)
{
    LLVMValueRef at = unit_i64(e->u, slot);
    return LLVMBuildLoad2(e->u->builder, e->u->pointer,
                          LLVMBuildGEP2(e->u->builder, e->u->pointer, array, &at, 1, ""), "");
}

static LLVMValueRef literal_global(EmitUnit *u, const Node *n)
{
    const char *name = arena_format(u->arena, "%s.literal.%s", u->prefix, n->name);
    LLVMValueRef known = LLVMGetNamedGlobal(u->module, name);
    if (known)
        return known;
    int64_t count = node_elements(n);
    LLVMTypeRef type = unit_memory_type(u, n->type);
    LLVMValueRef *values = arena_new(u->arena, LLVMValueRef, count);
    for (int64_t i = 0; i < count; i++)
        values[i] = dtype_is_real(n->type)
                        ? LLVMConstReal(type, n->literal[i])
                        : LLVMConstInt(type, (unsigned long long)(int64_t)n->literal[i], true);
    LLVMValueRef g = unit_constant_global(u, name, LLVMConstArray2(type, values, (uint64_t)count));
    LLVMSetAlignment(g, ALIGNMENT);
    return g;
}

static const Place *place_of(const Schedule *s, const Node **n)
{
    const Place *p = &s->places[(*n)->id];
    while (p->same_as) {
        *n = p->same_as;
        p = &s->places[p->same_as->id];
    }
    return p;
}

LLVMValueRef entry_address(Entry *e, const Node *n)
{
    const Place *p = place_of(e->s, &n);
    switch (p->kind) {
    case PLACE_WORKSPACE:
        return unit_offset(e->u, e->instance, e->u->compiled->persistent_bytes + p->offset);
    case PLACE_TENSOR:
        return unit_offset(e->u, e->instance, (p->tensor ? p->tensor : n->tensor)->offset);
    case PLACE_PORT:
        return pointer_at(e, e->inputs, p->slot);
    case PLACE_OUTPUT:
        return pointer_at(e, e->outputs, p->slot);
    case PLACE_LITERAL:
        return literal_global(e->u, n);
    case PLACE_NOWHERE:
    case PLACE_SCRATCH:
        break;
    }
    bug("%s: node %s has no address", e->s->graph->name, n->name);
}

static LLVMValueRef buffer_address(Entry *e, const Buffer *b)
{
    return b->tensor ? unit_offset(e->u, e->instance, b->tensor->offset)
                     : entry_address(e, b->node);
}

/* ---- running kernels ------------------------------------------------------------------------------------------------ */

/* void run(instance, kernel, arguments, count): through the hook where there is one. */
static void make_run(Entries *es)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer, u->pointer, u->pointer, u->size};
    Entry e = open_function(es, "run", u->void_type, params, 4);
    es->run = e.function;
    e.instance = LLVMGetParam(e.function, 0);
    LLVMValueRef kernel = LLVMGetParam(e.function, 1), arguments = LLVMGetParam(e.function, 2);
    LLVMValueRef count = LLVMGetParam(e.function, 3);
    LLVMValueRef scratch = unit_offset(u, e.instance, u->compiled->instance_bytes);
    LLVMValueRef hook = LLVMBuildLoad2(u->builder, u->pointer, header_at(&e, HEADER_PARALLEL), "");
    LLVMBasicBlockRef alone = unit_block(u, e.function, "alone"),
                      shared = unit_block(u, e.function, "shared");
    LLVMBuildCondBr(u->builder, LLVMBuildIsNull(u->builder, hook, ""), alone, shared);

    LLVMPositionBuilderAtEnd(u->builder, alone);
    LLVMValueRef whole[] = {arguments, size_of(u, 0), count, scratch};
    LLVMBuildCall2(u->builder, u->kernel_type, kernel, whole, 4, "");
    LLVMBuildRetVoid(u->builder);

    LLVMPositionBuilderAtEnd(u->builder, shared);
    LLVMTypeRef hook_params[] = {u->pointer, u->pointer, u->pointer, u->size, u->pointer, u->size};
    LLVMValueRef pool = LLVMBuildLoad2(u->builder, u->pointer, header_at(&e, HEADER_POOL), "");
    LLVMValueRef split[] = {pool, kernel, arguments, count, scratch, size_of(u, es->scratch_bytes)};
    LLVMBuildCall2(u->builder, LLVMFunctionType(u->void_type, hook_params, 6, false), hook, split,
                   6, "");
    LLVMBuildRetVoid(u->builder);
    entry_finish(&e);
}

/* Iterations of the kernel's outermost loop: ceil(extent / step). */
static LLVMValueRef iterations(Entry *e, const LoopKernel *k)
{
    EmitUnit *u = e->u;
    int64_t step = k->parallel_step > 0 ? k->parallel_step : 1;
    if (!k->parallel)
        return size_of(u, 1);
    if (!k->parallel->per_example)
        return size_of(u, (uint64_t)((k->parallel->extent + step - 1) / step));
    LLVMValueRef extent = LLVMBuildMul(u->builder, e->n, unit_i64(u, k->parallel->per_example), "");
    LLVMValueRef rounded = LLVMBuildAdd(u->builder, extent, unit_i64(u, step - 1), "");
    return LLVMBuildIntCast2(u->builder, LLVMBuildUDiv(u->builder, rounded, unit_i64(u, step), ""),
                             u->size, false, "");
}

void entry_run_kernel(Entry *e, int number)
{
    EmitUnit *u = e->u;
    const Code *code = &e->es->codes[e->kind][number];
    const LoopKernel *k = code->loops;
    for (int i = 0; i < k->operands.count; i++) {
        LLVMValueRef at[] = {unit_i32(u, 0), unit_i32(u, ARGUMENT_OPERANDS), unit_i32(u, i)};
        LLVMValueRef slot = LLVMBuildInBoundsGEP2(u->builder, e->block_type, e->block, at, 3, "");
        LLVMBuildStore(u->builder, buffer_address(e, k->operands.data[i]), slot);
    }
    LLVMValueRef count = iterations(e, k);
    if (k->parallel && !k->serial) {
        LLVMValueRef args[] = {e->instance, code->function, e->block, count};
        unit_call(u, e->es->run, args, 4);
        return;
    }
    LLVMValueRef scratch = unit_offset(u, e->instance, u->compiled->instance_bytes);
    LLVMValueRef args[] = {e->block, size_of(u, 0), count, scratch};
    unit_call(u, code->function, args, 4);
}

/* The kernels of a recurrence end before this one. */
int entry_past_recurrence(const Entry *e, int from, int to)
{
    const Recurrence *r = e->s->kernels.data[from]->recurrence;
    int end = from + 1;
    while (r && end < to && e->s->kernels.data[end]->recurrence == r)
        end++;
    return end;
}

/* for each step: all kernels of the recurrence. */
static void run_recurrence(Entry *e, int from, int to)
{
    EmitUnit *u = e->u;
    const Recurrence *r = e->s->kernels.data[from]->recurrence;
    KernelBuilder shell = {.u = u, .function = e->function}; /* for the loop alone */
    CountedLoop c = loop_open(&shell, unit_i64(u, 0), unit_i64(u, r->steps), 1, "step");
    LLVMValueRef last = unit_i64(u, r->steps - 1);
    entry_argument(e, ARGUMENT_TIME,
                   r->reversed ? LLVMBuildSub(u->builder, last, c.counter, "") : c.counter);
    for (int i = from; i < to; i++)
        entry_run_kernel(e, i);
    loop_close(&shell, &c, false);
}

static void run_in_order(Entry *e, int from, int to)
{
    for (int i = from, end; i < to; i = end) {
        end = entry_past_recurrence(e, i, to);
        if (e->s->kernels.data[i]->recurrence)
            run_recurrence(e, i, end);
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
    LLVMBuildCondBr(u->builder, unit_is_due(u, header_load(e, HEADER_STEP), every), due, after);
    LLVMPositionBuilderAtEnd(u->builder, due);
    run_in_order(e, from, to);
    LLVMBuildBr(u->builder, after);
    LLVMPositionBuilderAtEnd(u->builder, after);
}

void entry_run_kernels(Entry *e, int from, int to)
{
    for (int i = from, end; i < to; i = end) {
        const int64_t every = e->s->kernels.data[i]->every;
        for (end = i + 1; end < to && e->s->kernels.data[end]->every == every;)
            end++;
        if (every > 1)
            run_when_due(e, i, end, every);
        else
            run_in_order(e, i, end);
    }
}

/* ---- results -------------------------------------------------------------------------------------------------------- */

static LLVMValueRef number_value(Entry *e, const Node *n)
{
    EmitUnit *u = e->u;
    LLVMValueRef v =
        LLVMBuildLoad2(u->builder, unit_memory_type(u, n->type), entry_address(e, n), "");
    if (n->type == TYPE_F64)
        return v;
    if (n->type == TYPE_F32)
        return LLVMBuildFPExt(u->builder, v, u->f64, "");
    return n->type == TYPE_I32 ? LLVMBuildSIToFP(u->builder, v, u->f64, "")
                               : LLVMBuildUIToFP(u->builder, v, u->f64, "");
}

static LLVMValueRef loss_value(Entry *e)
{
    LLVMValueRef sum = NULL;
    for (int i = 0; i < e->s->graph->results.count; i++) {
        const Result *r = &e->s->graph->results.data[i];
        if (r->role != RESULT_LOSS)
            continue;
        LLVMValueRef v = number_value(e, r->value);
        sum = sum ? LLVMBuildFAdd(e->u->builder, sum, v, "") : v;
    }
    return sum ? sum : LLVMConstReal(e->u->f64, 0);
}

static LLVMValueRef double_at(Entry *e, LLVMValueRef array, int slot)
{
    LLVMValueRef at = unit_i64(e->u, slot);
    return LLVMBuildGEP2(e->u->builder, e->u->f64, array, &at, 1, "");
}

/* sums[slot] += value, or values[slot] = value. */
static void store_numbers(Entry *e, ResultRole role, LLVMValueRef array)
{
    for (int i = 0; i < e->s->graph->results.count; i++) {
        const Result *r = &e->s->graph->results.data[i];
        if (r->role != role)
            continue;
        LLVMValueRef v = number_value(e, r->value), at = double_at(e, array, r->slot);
        if (role == RESULT_SUM)
            v = LLVMBuildFAdd(e->u->builder, LLVMBuildLoad2(e->u->builder, e->u->f64, at, ""), v,
                              "");
        LLVMBuildStore(e->u->builder, v, at);
    }
}

/* ---- entry points ------------------------------------------------------------------------------------------------------ */

static LLVMValueRef no_number(EmitUnit *u)
{
    return LLVMConstReal(u->f64, NAN);
}

/* Leaves with `result` (NULL: nothing) unless `truth` holds. */
void entry_leave_unless(Entry *e, LLVMValueRef truth, LLVMValueRef result)
{
    EmitUnit *u = e->u;
    LLVMBasicBlockRef leave = unit_block(u, e->function, "leave"),
                      stay = unit_block(u, e->function, "stay");
    LLVMBuildCondBr(u->builder, truth, stay, leave);
    LLVMPositionBuilderAtEnd(u->builder, leave);
    if (result)
        LLVMBuildRet(u->builder, result);
    else
        LLVMBuildRetVoid(u->builder);
    LLVMPositionBuilderAtEnd(u->builder, stay);
}

static LLVMValueRef is_finite(EmitUnit *u, LLVMValueRef v)
{
    LLVMTypeRef type = LLVMTypeOf(v);
    LLVMValueRef size = unit_intrinsic(u, "llvm.fabs", &type, 1, &v, 1);
    return LLVMBuildFCmp(u->builder, LLVMRealOLT, size, LLVMConstReal(type, INFINITY), "");
}

/* 1 … batch examples, or nothing is done. */
static void check_examples(Entry *e, LLVMValueRef result)
{
    EmitUnit *u = e->u;
    LLVMValueRef before = LLVMBuildSub(u->builder, e->n, unit_i64(u, 1), "");
    int64_t most = e->s->graph->batch > 0 ? e->s->graph->batch : 1;
    entry_leave_unless(e, LLVMBuildICmp(u->builder, LLVMIntULT, before, unit_i64(u, most), ""),
                       result);
}

/* The arguments that every call with examples begins with; with none or too many, `refused` is
 * returned and nothing done. */
static void take_examples(Entry *e, LLVMValueRef refused)
{
    e->inputs = LLVMGetParam(e->function, 1);
    e->n = entry_number64(e, LLVMGetParam(e->function, 2));
    check_examples(e, refused);
    entry_block(e);
}

Entry entry_open(Entries *es, EntryKind kind, const char *name, LLVMTypeRef result,
                 LLVMTypeRef *params, int count)
{
    Entry e = open_function(es, name, result, params, count);
    e.kind = kind;
    e.s = es->u->compiled->schedules[kind];
    e.instance = LLVMGetParam(e.function, 0);
    return e;
}

static int64_t accumulate_of(const Program *p)
{
    return p->train.accumulate > 1 ? p->train.accumulate : 1;
}

/* The first random step of an update: a function of the update's number alone, so that a
 * resumed run draws what the undisturbed one would have. */
static LLVMValueRef first_draw(Entry *e, LLVMValueRef step)
{
    return LLVMBuildMul(e->u->builder, step, unit_i64(e->u, accumulate_of(e->es->program)), "");
}

static void count_update(Entry *e)
{
    LLVMValueRef step =
        LLVMBuildAdd(e->u->builder, header_load(e, HEADER_STEP), unit_i64(e->u, 1), "");
    header_store(e, HEADER_STEP, step);
    header_store(e, HEADER_DRAWS, first_draw(e, step));
}

/* Runs all that the loss needs; leaves with it when it is not finite; then the rest. */
static LLVMValueRef run_with_loss(Entry *e)
{
    int known = e->s->loss_kernel + 1, count = e->s->kernels.count;
    if (known <= 0)
        known = count;
    entry_run_kernels(e, 0, known);
    LLVMValueRef loss = loss_value(e);
    entry_leave_unless(e, is_finite(e->u, loss), loss);
    entry_run_kernels(e, known, count);
    return loss;
}

static LLVMValueRef make_step(Entries *es)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer, u->pointer, u->size};
    Entry e = entry_open(es, ENTRY_STEP, "step", u->f64, params, 3);
    take_examples(&e, no_number(u));
    entry_argument(&e, ARGUMENT_DRAWS, first_draw(&e, header_load(&e, HEADER_STEP)));
    LLVMValueRef loss = run_with_loss(&e);
    count_update(&e);
    LLVMBuildRet(u->builder, loss);
    return entry_finish(&e);
}

/* The first micro-batch of an update draws as its step would, each further one as a step of its own. */
static LLVMValueRef make_gradient(Entries *es)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer, u->pointer, u->size, u->f64, u->i32};
    Entry e = entry_open(es, ENTRY_GRADIENT, "gradient", u->f64, params, 5);
    take_examples(&e, no_number(u));
    LLVMValueRef first =
        LLVMBuildICmp(u->builder, LLVMIntNE, LLVMGetParam(e.function, 4), unit_i32(u, 0), "");
    LLVMValueRef next = LLVMBuildAdd(u->builder, header_load(&e, HEADER_DRAWS), unit_i64(u, 1), "");
    LLVMValueRef draw =
        LLVMBuildSelect(u->builder, first, first_draw(&e, header_load(&e, HEADER_STEP)), next, "");
    entry_argument(&e, ARGUMENT_SCALE, LLVMGetParam(e.function, 3));
    entry_argument(&e, ARGUMENT_FIRST, LLVMBuildZExt(u->builder, first, u->i64, ""));
    entry_argument(&e, ARGUMENT_DRAWS, draw);
    LLVMValueRef loss = run_with_loss(&e);
    header_store(&e, HEADER_DRAWS, draw);
    LLVMBuildRet(u->builder, loss);
    return entry_finish(&e);
}

static LLVMValueRef make_update(Entries *es)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer};
    Entry e = entry_open(es, ENTRY_UPDATE, "update", u->void_type, params, 1);
    e.n = unit_i64(u, e.s->graph->batch);
    entry_block(&e);
    entry_run_kernels(&e, 0, e.s->kernels.count);
    count_update(&e);
    LLVMBuildRetVoid(u->builder);
    return entry_finish(&e);
}

static LLVMValueRef make_loss(Entries *es)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer, u->pointer, u->size};
    Entry e = entry_open(es, ENTRY_LOSS, "loss", u->f64, params, 3);
    take_examples(&e, no_number(u));
    entry_run_kernels(&e, 0, e.s->kernels.count);
    LLVMBuildRet(u->builder, loss_value(&e));
    return entry_finish(&e);
}

static LLVMValueRef make_evaluate(Entries *es)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer, u->pointer, u->size, u->pointer};
    Entry e = entry_open(es, ENTRY_EVALUATE, "evaluate", u->void_type, params, 4);
    take_examples(&e, NULL);
    entry_run_kernels(&e, 0, e.s->kernels.count);
    store_numbers(&e, RESULT_SUM, LLVMGetParam(e.function, 3));
    LLVMBuildRetVoid(u->builder);
    return entry_finish(&e);
}

static LLVMValueRef make_finish(Entries *es)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer, u->pointer, u->i64, u->pointer};
    Entry e = entry_open(es, ENTRY_FINISH, "finish", u->void_type, params, 4);
    e.n = unit_i64(u, 1);
    entry_block(&e);
    entry_argument(&e, ARGUMENT_SUMS, LLVMGetParam(e.function, 1));
    entry_argument(&e, ARGUMENT_SUMMED, LLVMGetParam(e.function, 2));
    entry_run_kernels(&e, 0, e.s->kernels.count);
    store_numbers(&e, RESULT_VALUE, LLVMGetParam(e.function, 3));
    LLVMBuildRetVoid(u->builder);
    return entry_finish(&e);
}

/* ---- predict -------------------------------------------------------------------------------------------------------------- */

static bool reads_port(const Schedule *s, const Port *p)
{
    for (int i = 0; i < s->graph->nodes.count; i++)
        if (s->graph->nodes.data[i]->kind == NODE_PORT && s->graph->nodes.data[i]->port == p)
            return true;
    return false;
}

/* to[slot] = from[slot], `done` examples on. */
static void advance(Entry *e, LLVMValueRef to, LLVMValueRef from, const Port *p, LLVMValueRef done)
{
    EmitUnit *u = e->u;
    int64_t bytes = port_elements(p) * dtype_size(p->type);
    LLVMValueRef offset = LLVMBuildMul(u->builder, done, unit_i64(u, bytes), "");
    LLVMValueRef moved =
        LLVMBuildGEP2(u->builder, u->i8, pointer_at(e, from, p->slot), &offset, 1, "");
    LLVMValueRef at = unit_i64(u, p->slot);
    LLVMBuildStore(u->builder, moved, LLVMBuildGEP2(u->builder, u->pointer, to, &at, 1, ""));
}

LLVMValueRef entry_pointers(Entry *e, int count)
{
    return LLVMBuildAlloca(e->u->builder, LLVMArrayType2(e->u->pointer, (uint64_t)count + 1), "");
}

/* Any number of examples, a batch at a time. */
static LLVMValueRef make_predict(Entries *es)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer, u->pointer, u->size, u->pointer};
    Entry e = entry_open(es, ENTRY_PREDICT, "predict", u->void_type, params, 4);
    LLVMValueRef inputs = LLVMGetParam(e.function, 1), outputs = LLVMGetParam(e.function, 3);
    LLVMValueRef total = entry_number64(&e, LLVMGetParam(e.function, 2)),
                 batch = unit_i64(u, e.s->graph->batch);
    e.n = batch;
    entry_block(&e);
    e.inputs = entry_pointers(&e, es->program->inputs.count);
    e.outputs = entry_pointers(&e, es->program->outputs.count);
    KernelBuilder shell = {.u = u, .function = e.function}; /* for the loop alone */
    CountedLoop c = loop_open(&shell, unit_i64(u, 0), total, e.s->graph->batch, "done");
    LLVMValueRef left = LLVMBuildSub(u->builder, total, c.counter, "");
    LLVMValueRef fewer = LLVMBuildICmp(u->builder, LLVMIntULT, left, batch, "");
    e.n = LLVMBuildSelect(u->builder, fewer, left, batch, "");
    entry_argument(&e, ARGUMENT_EXAMPLES, e.n);
    for (int i = 0; i < es->program->inputs.count; i++)
        if (reads_port(e.s, es->program->inputs.data[i]))
            advance(&e, e.inputs, inputs, es->program->inputs.data[i], c.counter);
    for (int i = 0; i < es->program->outputs.count; i++)
        advance(&e, e.outputs, outputs, es->program->outputs.data[i], c.counter);
    entry_run_kernels(&e, 0, e.s->kernels.count);
    loop_close(&shell, &c, true);
    LLVMBuildRetVoid(u->builder);
    return entry_finish(&e);
}

/* ---- diagnose --------------------------------------------------------------------------------------------------------------- */

/* i1 finite(pointer, count): are all of them? */
static LLVMValueRef finite_function(Entries *es, DType type)
{
    EmitUnit *u = es->u;
    LLVMValueRef *known = type == TYPE_F64 ? &es->finite64 : &es->finite32;
    if (*known)
        return *known;
    LLVMBasicBlockRef here = LLVMGetInsertBlock(u->builder);
    LLVMMetadataRef place = LLVMGetCurrentDebugLocation2(u->builder);
    LLVMTypeRef params[] = {u->pointer, u->i64};
    Entry e = open_function(es, type == TYPE_F64 ? "finite64" : "finite32", u->i1, params, 2);
    KernelBuilder shell = {.u = u, .function = e.function};
    CountedLoop c = loop_open(&shell, unit_i64(u, 0), LLVMGetParam(e.function, 1), 1, "i");
    LLVMTypeRef real = unit_memory_type(u, type);
    LLVMValueRef at =
        LLVMBuildGEP2(u->builder, real, LLVMGetParam(e.function, 0), &c.counter, 1, "");
    entry_leave_unless(&e, is_finite(u, LLVMBuildLoad2(u->builder, real, at, "")),
                       LLVMConstInt(u->i1, 0, false));
    loop_close(&shell, &c, true);
    LLVMBuildRet(u->builder, LLVMConstInt(u->i1, 1, false));
    *known = entry_finish(&e);
    LLVMPositionBuilderAtEnd(u->builder, here);
    LLVMSetCurrentDebugLocation2(u->builder, place);
    return *known;
}

/* Returns the name unless all numbers are finite. */
static void check_numbers(Entry *e, DType type, LLVMValueRef at, LLVMValueRef count,
                          const char *name)
{
    if (!dtype_is_real(type))
        return;
    LLVMValueRef args[] = {at, count};
    LLVMValueRef truth = unit_call(e->u, finite_function(e->es, type), args, 2);
    entry_leave_unless(e, truth, unit_string(e->u, name));
}

static LLVMValueRef count_of(Entry *e, const Node *n)
{
    LLVMValueRef count = unit_i64(e->u, 1);
    for (int i = 0; i < n->rank; i++) {
        int64_t per = n->domain[i]->per_example;
        LLVMValueRef extent = per ? LLVMBuildMul(e->u->builder, e->n, unit_i64(e->u, per), "")
                                  : unit_i64(e->u, n->domain[i]->extent);
        count = LLVMBuildMul(e->u->builder, count, extent, "");
    }
    return count;
}

static void check_what_is_given(Entry *e)
{
    const Program *p = e->es->program;
    for (int i = 0; i < p->inputs.count; i++) {
        const Port *port = p->inputs.data[i];
        if (!reads_port(e->s, port))
            continue;
        LLVMValueRef count =
            LLVMBuildMul(e->u->builder, e->n, unit_i64(e->u, port_elements(port)), "");
        check_numbers(e, port->type, pointer_at(e, e->inputs, port->slot), count, port->name);
    }
    for (int i = 0; i < p->tensors.count; i++) {
        const Tensor *t = p->tensors.data[i];
        if (t->role == ROLE_PARAM || t->role == ROLE_STATE)
            check_numbers(e, t->type, unit_offset(e->u, e->instance, t->offset),
                          unit_i64(e->u, (int64_t)tensor_bytes(t) / dtype_size(t->type)), t->name);
    }
}

/* Would the kernel change a tensor, or read what such a kernel, left out, has not made? */
static bool must_leave_out(const Schedule *s, const LoopKernel *k, const bool *missing)
{
    for (int i = 0; i < k->operands.count; i++) {
        const Buffer *b = k->operands.data[i];
        const Node *n = b->node;
        if (b->tensor && b->written)
            return true;
        if (!n)
            continue;
        const Place *p = place_of(s, &n);
        if ((b->written && p->kind == PLACE_TENSOR) || missing[n->id])
            return true;
    }
    return false;
}

static LLVMValueRef make_diagnose(Entries *es, EntryKind kind)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer, u->pointer, u->size};
    Entry e = entry_open(es, kind, "diagnose", u->pointer, params, 3);
    take_examples(&e, LLVMConstNull(u->pointer));
    check_what_is_given(&e);
    bool *missing = arena_new(u->arena, bool, e.s->graph->nodes.count + 1);
    for (int i = 0; i < e.s->kernels.count; i++) {
        const Kernel *k = e.s->kernels.data[i];
        bool out = must_leave_out(e.s, es->codes[kind][i].loops, missing);
        const bool again =
            i > 0 && k->recurrence && e.s->kernels.data[i - 1]->recurrence == k->recurrence;
        if (!out && !again) /* of a recurrence, all kernels at once: none of them stores a tensor */
            entry_run_kernels(&e, i, entry_past_recurrence(&e, i, e.s->kernels.count));
        for (int j = 0; j < k->nodes.count; j++) {
            const Node *n = k->nodes.data[j];
            missing[n->id] = out;
            if (!out && e.s->places[n->id].kind == PLACE_WORKSPACE)
                check_numbers(&e, n->type, entry_address(&e, n), count_of(&e, n), n->name);
        }
    }
    LLVMBuildRet(u->builder, LLVMConstNull(u->pointer));
    return entry_finish(&e);
}

/* ---- the instance ------------------------------------------------------------------------------------------------------------- */

/* instance_bytes + threads (at least one) * scratch_bytes */
static LLVMValueRef make_bytes(Entries *es)
{
    EmitUnit *u = es->u;
    Entry e = open_function(es, "bytes", u->size, &u->size, 1);
    LLVMValueRef threads = LLVMGetParam(e.function, 0);
    LLVMValueRef none = LLVMBuildICmp(u->builder, LLVMIntEQ, threads, size_of(u, 0), "");
    threads = LLVMBuildSelect(u->builder, none, size_of(u, 1), threads, "");
    LLVMValueRef scratch = LLVMBuildMul(u->builder, threads, size_of(u, es->scratch_bytes), "");
    LLVMBuildRet(u->builder,
                 LLVMBuildAdd(u->builder, scratch, size_of(u, u->compiled->instance_bytes), ""));
    return entry_finish(&e);
}

static void store_hyper(Entry *e, const Tensor *t)
{
    LLVMTypeRef type = unit_memory_type(e->u, t->type);
    LLVMValueRef v = dtype_is_real(t->type)
                         ? LLVMConstReal(type, t->initial)
                         : LLVMConstInt(type, (unsigned long long)(int64_t)t->initial, true);
    LLVMBuildStore(e->u->builder, v, unit_offset(e->u, e->instance, t->offset));
}

static LLVMValueRef make_init(Entries *es)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer, u->i64};
    Entry e = entry_open(es, ENTRY_INIT, "init", u->pointer, params, 2);
    LLVMBuildMemSet(u->builder, e.instance, LLVMConstInt(u->i8, 0, false),
                    unit_i64(u, (int64_t)u->compiled->persistent_bytes), 8);
    header_store(&e, HEADER_MAGIC, unit_i64(u, (int64_t)magic));
    header_store(&e, HEADER_SEED, LLVMGetParam(e.function, 1));
    for (int i = 0; i < es->program->tensors.count; i++)
        if (es->program->tensors.data[i]->role == ROLE_HYPER)
            store_hyper(&e, es->program->tensors.data[i]);
    if (e.s) {
        e.n = unit_i64(u, e.s->graph->batch > 0 ? e.s->graph->batch : 1);
        entry_block(&e);
        entry_run_kernels(&e, 0, e.s->kernels.count);
    }
    LLVMBuildRet(u->builder, e.instance);
    return entry_finish(&e);
}

static LLVMValueRef make_threads(Entries *es)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer, u->pointer, u->pointer, u->size};
    Entry e = open_function(es, "threads", u->void_type, params, 4);
    e.instance = LLVMGetParam(e.function, 0);
    header_store(&e, HEADER_PARALLEL, LLVMGetParam(e.function, 1));
    header_store(&e, HEADER_POOL, LLVMGetParam(e.function, 2));
    header_store(&e, HEADER_THREADS, entry_number64(&e, LLVMGetParam(e.function, 3)));
    LLVMBuildRetVoid(u->builder);
    return entry_finish(&e);
}

static LLVMValueRef make_get_step(Entries *es)
{
    EmitUnit *u = es->u;
    Entry e = open_function(es, "get_step", u->i64, &u->pointer, 1);
    e.instance = LLVMGetParam(e.function, 0);
    LLVMBuildRet(u->builder, header_load(&e, HEADER_STEP));
    return entry_finish(&e);
}

static LLVMValueRef make_set_step(Entries *es)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer, u->i64};
    Entry e = open_function(es, "set_step", u->void_type, params, 2);
    e.instance = LLVMGetParam(e.function, 0);
    header_store(&e, HEADER_STEP, LLVMGetParam(e.function, 1));
    header_store(&e, HEADER_DRAWS, first_draw(&e, LLVMGetParam(e.function, 1)));
    LLVMBuildRetVoid(u->builder);
    return entry_finish(&e);
}

/* ---- all of them ------------------------------------------------------------------------------------------------------------------ */

EntryPoints entry_points(EmitUnit *u)
{
    Entries *es = arena_new(u->arena, Entries, 1);
    Schedule *const *s = u->compiled->schedules;
    *es = (Entries){.u = u, .program = u->compiled->program};
    lower_all(es);
    make_run(es);
    EntryPoints p = {.bytes = make_bytes(es),
                     .init = make_init(es),
                     .threads = make_threads(es),
                     .get_step = make_get_step(es),
                     .set_step = make_set_step(es),
                     .scratch_bytes = es->scratch_bytes};
    p.step = s[ENTRY_STEP] ? make_step(es) : NULL;
    p.gradient = s[ENTRY_GRADIENT] ? make_gradient(es) : NULL;
    p.update = s[ENTRY_UPDATE] ? make_update(es) : NULL;
    p.loss = s[ENTRY_LOSS] ? make_loss(es) : NULL;
    p.evaluate = s[ENTRY_EVALUATE] ? make_evaluate(es) : NULL;
    p.finish = s[ENTRY_FINISH] ? make_finish(es) : NULL;
    p.predict = s[ENTRY_PREDICT] ? make_predict(es) : NULL;
    p.generate = s[ENTRY_GENERATE] ? generate_emit(es) : NULL;
    if (s[ENTRY_GRADIENT] || s[ENTRY_STEP])
        p.diagnose = make_diagnose(es, s[ENTRY_GRADIENT] ? ENTRY_GRADIENT : ENTRY_STEP);
    return p;
}

EmitUnit *emit_build(const Compiled *c, const EmitOptions *o, const LaneModel *lanes)
{
    const Program *p = c->program;
    EmitUnit *u =
        unit_create(o, lanes, p->real, p->sources, o->prefix ? o->prefix : p->name, p->arena);
    u->compiled = c;
    debug_open(u, p->source_file);
    EntryPoints e = entry_points(u);
    descriptor_emit(u, &e);
    if (!o->freestanding)
        wrappers_emit(u, &e);
    debug_close(u);
    unit_verify(u);
    return u;
}
