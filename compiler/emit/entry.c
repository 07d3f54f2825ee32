/* An entry point under construction: the block of arguments that it hands to its kernels, where its
 * tensors lie, and how it ends. */
#include "emit/internal.h"

#include <math.h>

/* ---- a function under construction --------------------------------------------------------------------------- */

LLVMValueRef entry_number64(Entry *e, LLVMValueRef size)
{
    return e->u->size == e->u->i64 ? size : LLVMBuildZExt(e->u->builder, size, e->u->i64, "");
}

Entry entry_function(Entries *es, const char *name, LLVMTypeRef result, LLVMTypeRef *params,
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

LLVMValueRef entry_header(Entry *e, HeaderField field)
{
    return unit_offset(e->u, e->instance, field);
}

LLVMValueRef entry_header_load(Entry *e, HeaderField field)
{
    return LLVMBuildLoad2(e->u->builder, e->u->i64, entry_header(e, field), "");
}

void entry_header_store(Entry *e, HeaderField field, LLVMValueRef v)
{
    LLVMBuildStore(e->u->builder, v, entry_header(e, field));
}

/* ---- the argument block --------------------------------------------------------------------------------------- */

void entry_argument(Entry *e, int field, LLVMValueRef v)
{
    LLVMBuildStore(
        e->u->builder, v,
        LLVMBuildStructGEP2(e->u->builder, e->block_type, e->block, (unsigned)field, ""));
}

LLVMTypeRef entry_block_type(Entries *es)
{
    EmitUnit *u = es->u;
    LLVMTypeRef fields[ARGUMENT_FIELDS + 1];
    for (int i = 0; i < ARGUMENT_FIELDS; i++)
        fields[i] = LLVMStructGetTypeAtIndex(u->arguments_type, (unsigned)i);
    fields[ARGUMENT_FIELDS] = LLVMArrayType2(u->pointer, (uint64_t)es->most_operands);
    return LLVMStructTypeInContext(u->context, fields, ARGUMENT_FIELDS + 1, false);
}

/* Fields that an entry point does not set are zero. */
void entry_block(Entry *e)
{
    EmitUnit *u = e->u;
    e->block_type = entry_block_type(e->es);
    e->block = LLVMBuildAlloca(u->builder, e->block_type, "arguments");
    for (unsigned i = 0; i < ARGUMENT_FIELDS; i++)
        entry_argument(e, (int)i, LLVMConstNull(LLVMStructGetTypeAtIndex(e->block_type, i)));
    entry_argument(e, ARGUMENT_EXAMPLES, e->n);
    entry_argument(e, ARGUMENT_SEED, entry_header_load(e, HEADER_SEED));
    entry_argument(e, ARGUMENT_STEP, entry_header_load(e, HEADER_STEP));
    entry_argument(e, ARGUMENT_DRAWS, entry_header_load(e, HEADER_DRAWS));
    entry_argument(e, ARGUMENT_SCALE, LLVMConstReal(u->f64, 1));
    entry_argument(e, ARGUMENT_FIRST, unit_i64(u, 1));
}

/* ---- addresses ---------------------------------------------------------------------------------------------------- */

int64_t port_elements(const Port *p)
{
    int64_t count = 1;
    for (int i = 0; i < p->rank; i++)
        count *= p->shape[i];
    return count;
}

bool entry_reads_port(const Schedule *s, const Port *p)
{
    for (int i = 0; i < s->graph->nodes.count; i++)
        if (s->graph->nodes.data[i]->kind == NODE_PORT && s->graph->nodes.data[i]->port == p)
            return true;
    return false;
}

LLVMValueRef entry_pointers(Entry *e, int count)
{
    return LLVMBuildAlloca(e->u->builder, LLVMArrayType2(e->u->pointer, (uint64_t)count + 1), "");
}

LLVMValueRef entry_pointer_at(Entry *e, LLVMValueRef array, int slot)
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
    LLVMSetAlignment(g, EMIT_ALIGNMENT);
    return g;
}

const Place *entry_place(const Schedule *s, const Node **n)
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
    const Place *p = entry_place(e->s, &n);
    switch (p->kind) {
    case PLACE_WORKSPACE:
        return unit_offset(e->u, e->instance, e->u->compiled->persistent_bytes + p->offset);
    case PLACE_TENSOR:
        return unit_offset(e->u, e->instance, (p->tensor ? p->tensor : n->tensor)->offset);
    case PLACE_PORT:
        return entry_pointer_at(e, e->inputs, p->slot);
    case PLACE_OUTPUT:
        return entry_pointer_at(e, e->outputs, p->slot);
    case PLACE_LITERAL:
        return literal_global(e->u, n);
    case PLACE_SUMS:
        return unit_offset(e->u, e->sums, sizeof(double) * (uint64_t)p->slot);
    case PLACE_NOWHERE:
    case PLACE_SCRATCH:
    case PLACE_CHAIN:
        break;
    }
    bug("%s: node %s has no address", e->s->graph->name, n->name);
}

LLVMValueRef entry_buffer(Entry *e, const Buffer *b)
{
    return b->tensor ? unit_offset(e->u, e->instance, b->tensor->offset)
                     : entry_address(e, b->node);
}

/* ---- results -------------------------------------------------------------------------------------------------------- */

/* The number of type `t` that lies there, as a double. */
static LLVMValueRef load_double(EmitUnit *u, DType t, LLVMValueRef at)
{
    LLVMValueRef v = LLVMBuildLoad2(u->builder, unit_memory_type(u, t), at, "");
    if (t == TYPE_F64)
        return v;
    if (t == TYPE_F32)
        return LLVMBuildFPExt(u->builder, v, u->f64, "");
    return t == TYPE_I32 ? LLVMBuildSIToFP(u->builder, v, u->f64, "")
                         : LLVMBuildUIToFP(u->builder, v, u->f64, "");
}

LLVMValueRef entry_result(Entry *e, const Node *n)
{
    return load_double(e->u, n->type, entry_address(e, n));
}

/* Element `i` of the result, added to or stored at `to`. */
static void store_element(Entry *e, const Result *r, LLVMValueRef from, LLVMValueRef to,
                          LLVMValueRef i)
{
    EmitUnit *u = e->u;
    const DType type = r->value->type;
    LLVMValueRef at = LLVMBuildGEP2(u->builder, u->f64, to, &i, 1, "");
    LLVMValueRef v =
        load_double(u, type, LLVMBuildGEP2(u->builder, unit_memory_type(u, type), from, &i, 1, ""));
    if (r->role == RESULT_SUM)
        v = LLVMBuildFAdd(u->builder, LLVMBuildLoad2(u->builder, u->f64, at, ""), v, "");
    LLVMBuildStore(u->builder, v, at);
}

void entry_store_results(Entry *e, ResultRole role, LLVMValueRef array)
{
    for (int i = 0; i < e->s->graph->results.count; i++) {
        const Result *r = &e->s->graph->results.data[i];
        if (r->role != role)
            continue;
        LLVMValueRef from = entry_address(e, r->value);
        LLVMValueRef to = unit_offset(e->u, array, sizeof(double) * (uint64_t)r->slot);
        if (r->value->rank == 0) {
            store_element(e, r, from, to, unit_i64(e->u, 0));
            continue;
        }
        KernelBuilder shell = {.u = e->u, .function = e->function}; /* for the loop alone */
        CountedLoop c = loop_open(&shell, unit_i64(e->u, 0),
                                  unit_i64(e->u, node_elements(r->value)), 1, "element");
        store_element(e, r, from, to, c.counter);
        loop_close(&shell, &c, true);
    }
}

/* ---- examples, and leaving without them ------------------------------------------------------------------------------ */

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

LLVMValueRef entry_is_finite(EmitUnit *u, LLVMValueRef v)
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
void entry_take_examples(Entry *e, LLVMValueRef refused)
{
    e->inputs = LLVMGetParam(e->function, 1);
    e->n = entry_number64(e, LLVMGetParam(e->function, 2));
    check_examples(e, refused);
    entry_block(e);
}

Entry entry_open(Entries *es, EntryKind kind, const char *name, LLVMTypeRef result,
                 LLVMTypeRef *params, int count)
{
    Entry e = entry_function(es, name, result, params, count);
    e.kind = kind;
    e.s = es->u->compiled->schedules[kind];
    e.instance = LLVMGetParam(e.function, 0);
    matrix_ask(&e);
    return e;
}
