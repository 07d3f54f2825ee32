/* diagnose(): forward and backward once more, looking at every tensor as it is made. */
#include "emit/internal.h"

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
    Entry e = entry_function(es, type == TYPE_F64 ? "finite64" : "finite32", u->i1, params, 2);
    KernelBuilder shell = {.u = u, .function = e.function};
    CountedLoop c = loop_open(&shell, unit_i64(u, 0), LLVMGetParam(e.function, 1), 1, "i");
    LLVMTypeRef real = unit_memory_type(u, type);
    LLVMValueRef at =
        LLVMBuildGEP2(u->builder, real, LLVMGetParam(e.function, 0), &c.counter, 1, "");
    entry_leave_unless(&e, entry_is_finite(u, LLVMBuildLoad2(u->builder, real, at, "")),
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

/* Margins count: they are finite. */
static LLVMValueRef count_of(Entry *e, const Node *n)
{
    LLVMValueRef count = unit_i64(e->u, 1);
    for (int i = 0; i < n->rank; i++) {
        if (e->s->places[n->id].one_step && node_counts_steps(n, i))
            continue;
        int64_t per = n->domain[i]->per_example;
        LLVMValueRef extent = per ? LLVMBuildMul(e->u->builder, e->n, unit_i64(e->u, per), "")
                                  : unit_i64(e->u, schedule_extent(e->s, n, i));
        count = LLVMBuildMul(e->u->builder, count, extent, "");
    }
    return count;
}

static void check_what_is_given(Entry *e)
{
    const Program *p = e->es->program;
    for (int i = 0; i < p->inputs.count; i++) {
        const Port *port = p->inputs.data[i];
        if (!entry_reads_port(e->s, port))
            continue;
        LLVMValueRef count =
            LLVMBuildMul(e->u->builder, e->n, unit_i64(e->u, port_elements(port)), "");
        check_numbers(e, port->type, entry_pointer_at(e, e->inputs, port->slot), count, port->name);
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
        const Place *p = entry_place(s, &n);
        if ((b->written && p->kind == PLACE_TENSOR) || missing[n->id])
            return true;
    }
    return false;
}

/* What the kernel has made, or was left out of making. */
static void check_kernel(Entry *e, const Kernel *k, bool out, bool *missing)
{
    for (int i = 0; k->kind != KERNEL_MARGIN && i < k->nodes.count; i++) {
        const Node *n = k->nodes.data[i];
        missing[n->id] = out;
        if (!out && e->s->places[n->id].kind == PLACE_WORKSPACE)
            check_numbers(e, n->type, entry_address(e, n), count_of(e, n), n->name);
    }
}

LLVMValueRef diagnose_emit(Entries *es, EntryKind kind)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer, u->pointer, u->size};
    Entry e = entry_open(es, kind, "diagnose", u->pointer, params, 3);
    entry_take_examples(&e, LLVMConstNull(u->pointer));
    check_what_is_given(&e);
    bool *missing = arena_new(u->arena, bool, e.s->graph->nodes.count + 1);
    for (int first = 0, end; first < e.s->kernels.count; first = end) {
        end = entry_past_run(&e, first, e.s->kernels.count);
        bool out = false;
        for (int i = first; i < end; i++)
            out = out || must_leave_out(e.s, es->codes[kind][i].loops, missing);
        if (!out)
            entry_run_kernels(&e, first, end);
        for (int i = first; i < end; i++)
            check_kernel(&e, e.s->kernels.data[i], out, missing);
    }
    LLVMBuildRet(u->builder, LLVMConstNull(u->pointer));
    return entry_finish(&e);
}
