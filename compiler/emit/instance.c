/* What one instance is made of: its memory, its start, its hook for threads, its count of updates. */
#include "emit/internal.h"

static const uint64_t magic = 0x6c65646f6d6e6e2e; /* ".nnmodel" */

/* ---- memory ---------------------------------------------------------------------------------------------------------- */

uint64_t emit_align(uint64_t bytes)
{
    return (bytes + EMIT_ALIGNMENT - 1) / EMIT_ALIGNMENT * EMIT_ALIGNMENT;
}

void emit_layout(Compiled *c)
{
    c->persistent_bytes = EMIT_HEADER_BYTES;
    for (int i = 0; i < c->program->tensors.count; i++) {
        const Tensor *t = c->program->tensors.data[i];
        if (c->persistent_bytes < t->offset + tensor_bytes(t))
            c->persistent_bytes = t->offset + tensor_bytes(t);
    }
    c->persistent_bytes = emit_align(c->persistent_bytes);
    c->workspace_bytes = 0;
    for (int i = 0; i < ENTRY_COUNT; i++)
        if (c->schedules[i] && c->workspace_bytes < c->schedules[i]->workspace_bytes)
            c->workspace_bytes = c->schedules[i]->workspace_bytes;
    c->workspace_bytes = emit_align(c->workspace_bytes);
    c->instance_bytes = c->persistent_bytes + c->workspace_bytes;
}

/* ---- the count of updates -------------------------------------------------------------------------------------------- */

static int64_t accumulate_of(const Program *p)
{
    return p->train.accumulate > 1 ? p->train.accumulate : 1;
}

/* The first random step of an update: a function of the update's number alone, so that a
 * resumed run draws what the undisturbed one would have. */
LLVMValueRef entry_first_draw(Entry *e, LLVMValueRef step)
{
    return LLVMBuildMul(e->u->builder, step, unit_i64(e->u, accumulate_of(e->es->program)), "");
}

void entry_count_update(Entry *e)
{
    LLVMValueRef step =
        LLVMBuildAdd(e->u->builder, entry_header_load(e, HEADER_STEP), unit_i64(e->u, 1), "");
    entry_header_store(e, HEADER_STEP, step);
    entry_header_store(e, HEADER_DRAWS, entry_first_draw(e, step));
}

/* ---- entry points ------------------------------------------------------------------------------------------------------ */

/* instance_bytes + threads (at least one) * scratch_bytes */
LLVMValueRef instance_bytes(Entries *es)
{
    EmitUnit *u = es->u;
    Entry e = entry_function(es, "bytes", u->size, &u->size, 1);
    LLVMValueRef threads = LLVMGetParam(e.function, 0);
    LLVMValueRef none = LLVMBuildICmp(u->builder, LLVMIntEQ, threads, unit_size(u, 0), "");
    threads = LLVMBuildSelect(u->builder, none, unit_size(u, 1), threads, "");
    LLVMValueRef scratch = LLVMBuildMul(u->builder, threads, unit_size(u, es->scratch_bytes), "");
    LLVMBuildRet(u->builder,
                 LLVMBuildAdd(u->builder, scratch, unit_size(u, u->compiled->instance_bytes), ""));
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

LLVMValueRef instance_init(Entries *es)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer, u->i64};
    Entry e = entry_open(es, ENTRY_INIT, "init", u->pointer, params, 2);
    LLVMBuildMemSet(u->builder, e.instance, LLVMConstInt(u->i8, 0, false),
                    unit_i64(u, (int64_t)u->compiled->persistent_bytes), 8);
    entry_header_store(&e, HEADER_MAGIC, unit_i64(u, (int64_t)magic));
    entry_header_store(&e, HEADER_SEED, LLVMGetParam(e.function, 1));
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

LLVMValueRef instance_threads(Entries *es)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer, u->pointer, u->pointer, u->size};
    Entry e = entry_function(es, "threads", u->void_type, params, 4);
    e.instance = LLVMGetParam(e.function, 0);
    entry_header_store(&e, HEADER_PARALLEL, LLVMGetParam(e.function, 1));
    entry_header_store(&e, HEADER_POOL, LLVMGetParam(e.function, 2));
    entry_header_store(&e, HEADER_THREADS, entry_number64(&e, LLVMGetParam(e.function, 3)));
    LLVMBuildRetVoid(u->builder);
    return entry_finish(&e);
}

LLVMValueRef instance_get_step(Entries *es)
{
    EmitUnit *u = es->u;
    Entry e = entry_function(es, "get_step", u->i64, &u->pointer, 1);
    e.instance = LLVMGetParam(e.function, 0);
    LLVMBuildRet(u->builder, entry_header_load(&e, HEADER_STEP));
    return entry_finish(&e);
}

LLVMValueRef instance_set_step(Entries *es)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer, u->i64};
    Entry e = entry_function(es, "set_step", u->void_type, params, 2);
    e.instance = LLVMGetParam(e.function, 0);
    entry_header_store(&e, HEADER_STEP, LLVMGetParam(e.function, 1));
    entry_header_store(&e, HEADER_DRAWS, entry_first_draw(&e, LLVMGetParam(e.function, 1)));
    LLVMBuildRetVoid(u->builder);
    return entry_finish(&e);
}
