/* Loads and stores: one element, a row of lanes, or lanes gathered from anywhere. */
#include "emit/internal.h"

LLVMValueRef buffer_pointer(KernelBuilder *kb, const Buffer *b)
{
    if (b->space == SPACE_SCRATCH)
        return unit_offset(kb->u, kb->scratch, b->offset);
    if (b->slot < 0 || b->slot >= kb->kernel->operands.count)
        bug("operand %d of %d", b->slot, kb->kernel->operands.count);
    return kb->operands[b->slot];
}

static LLVMValueRef element(KernelBuilder *kb, const Buffer *b, LLVMValueRef base,
                            LLVMValueRef offset)
{
    return unit_element(kb->u, unit_memory_type(kb->u, b->type), base, offset);
}

LLVMValueRef buffer_element(KernelBuilder *kb, const Buffer *b, const Affine *offset)
{
    return element(kb, b, buffer_pointer(kb, b), offset_scalar(kb, offset));
}

/* Are there more elements than 32 bits can tell apart? */
static bool is_wide(const Buffer *b)
{
    return b->bytes / (uint64_t)dtype_size(b->type) > INT32_MAX;
}

/* offset + the sum of the data terms */
static Offset place_of(KernelBuilder *kb, const Affine *offset, const DataTerm *data, int count,
                       const Guard *g)
{
    LLVMBuilderRef b = kb->u->builder;
    Offset o = offset_affine(kb, offset);
    for (int i = 0; i < count; i++) {
        LLVMValueRef v = value_convert(kb, value_of(kb, data[i].value, g), TYPE_I32);
        if (value_is_vector(v)) {
            LLVMValueRef stride =
                value_splat(kb->u, unit_i32(kb->u, (int)data[i].stride), kb->width);
            LLVMValueRef term = data[i].stride == 1 ? v : LLVMBuildMul(b, v, stride, "");
            o.lanes = o.lanes ? LLVMBuildAdd(b, o.lanes, term, "") : term;
        } else {
            LLVMValueRef wide = LLVMBuildSExt(b, v, kb->u->i64, "");
            o.base = LLVMBuildAdd(b, o.base,
                                  LLVMBuildMul(b, wide, unit_i64(kb->u, data[i].stride), ""), "");
        }
    }
    return o;
}

/* ---- between memory and lanes ------------------------------------------------------------------------- */

static LLVMValueRef from_memory(KernelBuilder *kb, LLVMValueRef v, DType t)
{
    EmitUnit *u = kb->u;
    int width = value_is_vector(v) ? kb->width : 1;
    switch (t) {
    case TYPE_BOOL:
        return LLVMBuildICmp(u->builder, LLVMIntNE, v, LLVMConstNull(LLVMTypeOf(v)), "");
    case TYPE_U8:
    case TYPE_U16:
        return LLVMBuildZExt(u->builder, v, unit_widen(u->i32, width), "");
    default:
        return v;
    }
}

static LLVMValueRef to_memory(KernelBuilder *kb, LLVMValueRef v, DType t)
{
    EmitUnit *u = kb->u;
    LLVMValueRef lane = value_convert(kb, v, t);
    LLVMTypeRef type = unit_widen(unit_memory_type(u, t), value_is_vector(v) ? kb->width : 1);
    if (t == TYPE_BOOL)
        return LLVMBuildZExt(u->builder, lane, type, "");
    if (t == TYPE_U8 || t == TYPE_U16)
        return LLVMBuildTrunc(u->builder, lane, type, "");
    return lane;
}

/* ---- masks ------------------------------------------------------------------------------------------------ */

/* The lanes that run here, or NULL: all of them. */
static LLVMValueRef active_lanes(KernelBuilder *kb, const Guard *g)
{
    LLVMValueRef mask = g && g->lanes ? g->lanes : kb->mask;
    if (!g || !g->uniform)
        return mask;
    LLVMValueRef all = value_splat(kb->u, g->uniform, kb->width);
    return mask ? LLVMBuildAnd(kb->u->builder, mask, all, "") : all;
}

static LLVMValueRef every_lane(KernelBuilder *kb)
{
    return value_splat(kb->u, LLVMConstInt(kb->u->i1, 1, false), kb->width);
}

/* Does anything run here at all?  NULL: certainly.  A remainder has one lane at least. */
static LLVMValueRef any_lane(KernelBuilder *kb, const Guard *g)
{
    LLVMValueRef any = g ? g->uniform : NULL;
    if (!g || !g->lanes)
        return any;
    LLVMTypeRef type = LLVMTypeOf(g->lanes);
    LLVMValueRef mask = g->lanes,
                 some = unit_intrinsic(kb->u, "llvm.vector.reduce.or", &type, 1, &mask, 1);
    return any ? LLVMBuildAnd(kb->u->builder, any, some, "") : some;
}

/* A masked intrinsic.  LLVM before 22 takes the alignment as an argument, later ones as an
 * attribute of the pointer. */
static LLVMValueRef masked(KernelBuilder *kb, const char *name, LLVMTypeRef *types,
                           LLVMValueRef *args, int count, int pointer_at, int align)
{
    EmitUnit *u = kb->u;
    unsigned id = LLVMLookupIntrinsicID(name, __builtin_strlen(name));
    LLVMValueRef f = LLVMGetIntrinsicDeclaration(u->module, id, types, 2), all[5];
    int n = 0;
    bool argument = (int)LLVMCountParams(f) == count + 1;
    for (int i = 0; i < count; i++) {
        all[n++] = args[i];
        if (i == pointer_at && argument)
            all[n++] = unit_i32(u, align);
    }
    LLVMValueRef call = unit_call(u, f, all, n);
    if (!argument)
        LLVMSetInstrParamAlignment(call, (unsigned)pointer_at + 1, (unsigned)align);
    return call;
}

/* ---- loads ---------------------------------------------------------------------------------------------------- */

/* Where nothing runs, the buffer's first element stands in for an address that may lie outside. */
static LLVMValueRef load_one(KernelBuilder *kb, const Buffer *b, LLVMValueRef offset,
                             const Guard *g)
{
    EmitUnit *u = kb->u;
    LLVMValueRef any = any_lane(kb, g);
    if (any)
        offset = LLVMBuildSelect(u->builder, any, offset, unit_i64(u, 0), "");
    LLVMValueRef v = LLVMBuildLoad2(u->builder, unit_memory_type(u, b->type),
                                    element(kb, b, buffer_pointer(kb, b), offset), "");
    LLVMSetAlignment(v, (unsigned)dtype_size(b->type));
    return v;
}

LLVMValueRef memory_load_row(KernelBuilder *kb, LLVMTypeRef row, LLVMValueRef at, LLVMValueRef mask,
                             int align)
{
    EmitUnit *u = kb->u;
    LLVMTypeRef types[] = {row, u->pointer};
    if (mask) {
        LLVMValueRef args[] = {at, mask, LLVMConstNull(types[0])};
        return masked(kb, "llvm.masked.load", types, args, 3, 0, align);
    }
    LLVMValueRef v = LLVMBuildLoad2(u->builder, types[0], at, "");
    LLVMSetAlignment(v, (unsigned)align);
    return v;
}

static LLVMValueRef load_row(KernelBuilder *kb, const Buffer *b, LLVMValueRef at, LLVMValueRef mask)
{
    LLVMTypeRef row = unit_widen(unit_memory_type(kb->u, b->type), kb->width);
    return memory_load_row(kb, row, at, mask, dtype_size(b->type));
}

/* Does each lane of a loop's full vectors read an element of the buffer, whatever its guard says? */
static bool is_inside(const KernelBuilder *kb, const Expr *load)
{
    return !kb->mask && !load->count && offset_is_inside(load->buffer, load->affine);
}

/* A row, of which the lanes that are not active come as zeros. Where the machine would load lane after lane
 * under the mask, what may be read is, and the mask applied. */
static LLVMValueRef load_active(KernelBuilder *kb, const Expr *load, LLVMValueRef at,
                                LLVMValueRef mask)
{
    const Buffer *b = load->buffer;
    if (!mask || dtype_size(b->type) >= kb->u->facts->masked_bytes || !is_inside(kb, load))
        return load_row(kb, b, at, mask);
    LLVMValueRef row = load_row(kb, b, at, NULL);
    return LLVMBuildSelect(kb->u->builder, mask, row, LLVMConstNull(LLVMTypeOf(row)), "");
}

static LLVMValueRef gather(KernelBuilder *kb, const Buffer *b, LLVMValueRef base,
                           LLVMValueRef lanes, LLVMValueRef mask)
{
    EmitUnit *u = kb->u;
    LLVMTypeRef row = unit_widen(unit_memory_type(u, b->type), kb->width);
    LLVMTypeRef types[] = {row, unit_widen(u->pointer, kb->width)};
    LLVMValueRef args[] = {element(kb, b, base, lanes), mask ? mask : every_lane(kb),
                           LLVMConstNull(row)};
    return masked(kb, "llvm.masked.gather", types, args, 3, 0, dtype_size(b->type));
}

LLVMValueRef memory_load(KernelBuilder *kb, const Expr *load, const Guard *g)
{
    const Buffer *b = load->buffer;
    Offset o = place_of(kb, load->affine, load->data, load->count, g);
    LLVMValueRef v;
    if (!offset_varies(&o)) {
        v = load_one(kb, b, o.base, g);
    } else {
        LLVMValueRef at = element(kb, b, buffer_pointer(kb, b), o.base), mask = active_lanes(kb, g);
        bool row = o.stride == 1 && !o.lanes;
        v = row ? load_active(kb, load, at, mask)
                : gather(kb, b, at, offset_lanes(kb, &o, is_wide(b)), mask);
    }
    return from_memory(kb, v, b->type);
}

/* ---- stores --------------------------------------------------------------------------------------------------- */

/* Written around the caches. */
static void set_past(EmitUnit *u, LLVMValueRef store)
{
    static const char name[] = "nontemporal";
    LLVMMetadataRef one = LLVMValueAsMetadata(unit_i32(u, 1));
    LLVMMetadataRef node = LLVMMDNodeInContext2(u->context, &one, 1);
    LLVMSetMetadata(store, LLVMGetMDKindIDInContext(u->context, name, sizeof name - 1),
                    LLVMMetadataAsValue(u->context, node));
}

LLVMValueRef memory_store_row(KernelBuilder *kb, LLVMValueRef v, LLVMValueRef at, LLVMValueRef mask,
                              int align)
{
    EmitUnit *u = kb->u;
    LLVMTypeRef types[] = {LLVMTypeOf(v), u->pointer};
    if (mask) {
        LLVMValueRef args[] = {v, at, mask};
        return masked(kb, "llvm.masked.store", types, args, 3, 1, align);
    }
    LLVMValueRef store = LLVMBuildStore(u->builder, v, at);
    LLVMSetAlignment(store, (unsigned)align);
    return store;
}

static void store_row(KernelBuilder *kb, const Buffer *b, LLVMValueRef at, LLVMValueRef v,
                      bool past)
{
    const bool around = past && !kb->mask; /* the caches */
    LLVMValueRef store =
        memory_store_row(kb, v, at, kb->mask, dtype_size(b->type) * (around ? kb->width : 1));
    if (around)
        set_past(kb->u, store);
}

static void scatter(KernelBuilder *kb, const Buffer *b, LLVMValueRef base, LLVMValueRef lanes,
                    LLVMValueRef v)
{
    EmitUnit *u = kb->u;
    LLVMTypeRef types[] = {LLVMTypeOf(v), unit_widen(u->pointer, kb->width)};
    LLVMValueRef args[] = {v, element(kb, b, base, lanes), kb->mask ? kb->mask : every_lane(kb)};
    masked(kb, "llvm.masked.scatter", types, args, 3, 1, dtype_size(b->type));
}

void memory_store(KernelBuilder *kb, const Loop *s)
{
    EmitUnit *u = kb->u;
    const Buffer *b = s->buffer;
    LLVMValueRef v = value_of(kb, s->value, NULL);
    Offset o = place_of(kb, s->offset, s->data, s->data_count, NULL);
    LLVMValueRef at = element(kb, b, buffer_pointer(kb, b), o.base);
    if (!offset_varies(&o) && !value_is_vector(v)) {
        LLVMSetAlignment(LLVMBuildStore(u->builder, to_memory(kb, v, b->type), at),
                         (unsigned)dtype_size(b->type));
        return;
    }
    LLVMValueRef lanes = to_memory(kb, value_splat(u, v, kb->width), b->type);
    if (o.stride == 1 && !o.lanes)
        store_row(kb, b, at, lanes, s->past);
    else
        scatter(kb, b, at, offset_lanes(kb, &o, is_wide(b)), lanes);
}

/* ---- buffer[place] += value ------------------------------------------------------------------------------------ */

static LLVMValueRef sum(KernelBuilder *kb, const Buffer *b, LLVMValueRef old, LLVMValueRef v)
{
    LLVMBuilderRef lb = kb->u->builder;
    return dtype_is_real(b->type) ? LLVMBuildFAdd(lb, old, v, "") : LLVMBuildAdd(lb, old, v, "");
}

static void add_one(KernelBuilder *kb, const Buffer *b, LLVMValueRef at, LLVMValueRef v)
{
    EmitUnit *u = kb->u;
    unsigned align = (unsigned)dtype_size(b->type);
    LLVMValueRef old = LLVMBuildLoad2(u->builder, unit_memory_type(u, b->type), at, "");
    LLVMSetAlignment(old, align);
    LLVMSetAlignment(LLVMBuildStore(u->builder, sum(kb, b, old, v), at), align);
}

/* Lanes may meet in one element, so they go one after another. */
static void add_each(KernelBuilder *kb, const Buffer *b, LLVMValueRef base, LLVMValueRef offsets,
                     LLVMValueRef v)
{
    EmitUnit *u = kb->u;
    for (int lane = 0; lane < kb->width; lane++) {
        LLVMValueRef n = unit_i32(u, lane);
        LLVMBasicBlockRef next = NULL;
        if (kb->mask) {
            LLVMBasicBlockRef here = unit_block(u, kb->function, "lane");
            next = unit_block(u, kb->function, "next");
            LLVMBuildCondBr(u->builder, LLVMBuildExtractElement(u->builder, kb->mask, n, ""), here,
                            next);
            LLVMPositionBuilderAtEnd(u->builder, here);
        }
        LLVMValueRef offset = LLVMBuildExtractElement(u->builder, offsets, n, "");
        add_one(kb, b, element(kb, b, base, offset), LLVMBuildExtractElement(u->builder, v, n, ""));
        if (next) {
            LLVMBuildBr(u->builder, next);
            LLVMPositionBuilderAtEnd(u->builder, next);
        }
    }
}

void memory_add(KernelBuilder *kb, const Loop *s)
{
    EmitUnit *u = kb->u;
    const Buffer *b = s->buffer;
    LLVMValueRef v = value_of(kb, s->value, NULL);
    Offset o = place_of(kb, s->offset, s->data, s->data_count, NULL);
    LLVMValueRef at = element(kb, b, buffer_pointer(kb, b), o.base);
    if (kb->width == 1) {
        add_one(kb, b, at, to_memory(kb, v, b->type));
        return;
    }
    LLVMValueRef lanes = to_memory(kb, value_splat(u, v, kb->width), b->type);
    if (o.stride == 1 && !o.lanes)
        store_row(kb, b, at, sum(kb, b, load_row(kb, b, at, kb->mask), lanes), false);
    else
        add_each(kb, b, at, offset_lanes(kb, &o, is_wide(b)), lanes);
}

/* ---- asking ahead ----------------------------------------------------------------------------------------------- */

enum { LINE_BYTES = 64 };

/* The lines of all lanes; what is asked for may lie outside of the buffer, which harms nothing. */
void memory_prefetch(EmitUnit *u, LLVMValueRef at, bool first)
{
    LLVMValueRef args[] = {at, unit_i32(u, 0), unit_i32(u, first ? 3 : 2),
                           unit_i32(u, 1)}; /* to read, how near, data */
    unit_intrinsic(u, "llvm.prefetch", &u->pointer, 1, args, 4);
}

void memory_ask(KernelBuilder *kb, const Loop *s)
{
    const Buffer *b = s->buffer;
    const Offset o = offset_affine(kb, s->offset);
    const int bytes = (o.stride == 1 ? kb->width : 1) * dtype_size(b->type);
    LLVMValueRef at = element(kb, b, buffer_pointer(kb, b), o.base);
    for (int line = 0; line < bytes; line += LINE_BYTES)
        memory_prefetch(kb->u, unit_offset(kb->u, at, (uint64_t)line), false);
}
