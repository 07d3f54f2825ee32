/* Copies that turn rows into columns: `to[.. + j + T*k] = from[.. + S*j + k]` in a vector loop over j
 * or k within a loop over the other, as packing a transposed operand does.  Lane by lane, each
 * vector would gather from, or scatter to, as many cache lines as it has lanes; here squares of
 * lanes by lanes are loaded by rows, turned around in registers, and stored by columns. */
#include "emit/internal.h"

typedef struct Turn {
    KernelBuilder *kb;
    const Loop *outer, *inner, *store;
    const Expr *load; /* what it stores */
    int width;
    int64_t from_stride, to_stride; /* S and T */
} Turn;

/* The factor of an index that occurs plainly, or 0. */
static int64_t plain_factor(const Affine *a, const Index *ix)
{
    bool nested = false;
    int64_t factor = affine_factor(a, ix, &nested);
    return nested ? 0 : factor;
}

/* Does the loop store one value, at once or by way of a register? */
static bool is_copy(const LoopList *body, Turn *t)
{
    if (!body->count || body->count > 2)
        return false;
    const Loop *first = body->data[0], *last = body->data[body->count - 1];
    if (last->kind != LOOP_STORE || last->data_count)
        return false;
    t->store = last;
    t->load = last->value;
    if (first == last)
        return true;
    t->load = first->value;
    return first->kind == LOOP_SET && last->value->kind == EXPR_LOCAL &&
           last->value->local == first->local;
}

static bool is_turn(KernelBuilder *kb, const Loop *outer, Turn *t)
{
    if (kb->width > 1 || outer->how != FOR_SERIAL || outer->end || outer->step > 1 ||
        outer->body.count != 1)
        return false;
    const Loop *inner = outer->body.data[0];
    if (inner->kind != LOOP_FOR || inner->how != FOR_VECTOR || inner->end || inner->step > 1 ||
        (inner->begin && affine_uses(inner->begin, outer->index)))
        return false;
    *t = (Turn){.kb = kb, .outer = outer, .inner = inner};
    if (!is_copy(&inner->body, t))
        return false;
    const Loop *store = t->store;
    const Expr *load = t->load;
    if (load->kind != EXPR_LOAD || load->count || !dtype_is_real(load->type) ||
        store->buffer->type != load->type || load->buffer->type != load->type)
        return false;
    t->width = kb->u->lanes.vector_bytes / dtype_size(load->type);
    const Index *j = inner->index, *k = outer->index;
    if (plain_factor(load->affine, j) == 1) {
        j = outer->index;
        k = inner->index;
    }
    t->from_stride = plain_factor(load->affine, j);
    t->to_stride = plain_factor(store->offset, k);
    return t->width > 1 && t->from_stride > 1 && t->to_stride > 1 &&
           plain_factor(load->affine, k) == 1 && plain_factor(store->offset, j) == 1;
}

/* Exchanges, for each pair of rows `apart`, the parts of a square that lie across its diagonal. */
static void exchange(EmitUnit *u, LLVMValueRef *rows, int width, int apart)
{
    for (int i = 0; i < width; i++) {
        if (i & apart)
            continue;
        LLVMValueRef low[64], high[64], x = rows[i], y = rows[i + apart];
        for (int e = 0; e < width; e++) {
            low[e] = unit_i32(u, e & apart ? width + e - apart : e);
            high[e] = unit_i32(u, e & apart ? width + e : e + apart);
        }
        rows[i] =
            LLVMBuildShuffleVector(u->builder, x, y, LLVMConstVector(low, (unsigned)width), "");
        rows[i + apart] =
            LLVMBuildShuffleVector(u->builder, x, y, LLVMConstVector(high, (unsigned)width), "");
    }
}

static LLVMValueRef corner(Turn *t, const Buffer *b, const Affine *offset)
{
    LLVMValueRef at = offset_scalar(t->kb, offset);
    return LLVMBuildGEP2(t->kb->u->builder, unit_memory_type(t->kb->u, b->type),
                         buffer_pointer(t->kb, b), &at, 1, "");
}

/* The square that begins at `from`, to `to`. */
static void turn_square(Turn *t, LLVMValueRef from, LLVMValueRef to)
{
    EmitUnit *u = t->kb->u;
    const uint64_t bytes = (uint64_t)dtype_size(t->load->type);
    LLVMTypeRef row = unit_widen(unit_memory_type(u, t->load->type), t->width);
    LLVMValueRef rows[64];
    for (int j = 0; j < t->width; j++) {
        LLVMValueRef at = unit_offset(u, from, bytes * (uint64_t)(j * t->from_stride));
        rows[j] = LLVMBuildLoad2(u->builder, row, at, "");
        LLVMSetAlignment(rows[j], (unsigned)bytes);
    }
    for (int apart = t->width / 2; apart >= 1; apart /= 2)
        exchange(u, rows, t->width, apart);
    for (int k = 0; k < t->width; k++) {
        LLVMValueRef at = unit_offset(u, to, bytes * (uint64_t)(k * t->to_stride));
        LLVMSetAlignment(LLVMBuildStore(u->builder, rows[k], at), (unsigned)bytes);
    }
}

/* void turn(from, to, count): so many squares, one after another along the inner loop.  On its own, so that
 * the patterns of its shuffles are not kept in registers across the tile that reads what is packed. */
static LLVMValueRef turn_function(Turn *t)
{
    EmitUnit *u = t->kb->u;
    const int64_t from_step = plain_factor(t->load->affine, t->inner->index),
                  to_step = plain_factor(t->store->offset, t->inner->index);
    const char *name =
        arena_format(u->arena, "%s.turn.%d.%d.%lld.%lld.%lld.%lld", u->prefix,
                     dtype_size(t->load->type), t->width, (long long)t->from_stride,
                     (long long)t->to_stride, (long long)from_step, (long long)to_step);
    LLVMValueRef known = LLVMGetNamedFunction(u->module, name);
    if (known)
        return known;
    LLVMBasicBlockRef here = LLVMGetInsertBlock(u->builder);
    LLVMMetadataRef place = LLVMGetCurrentDebugLocation2(u->builder);
    LLVMSetCurrentDebugLocation2(u->builder, NULL);
    LLVMTypeRef params[] = {u->pointer, u->pointer, u->i64};
    LLVMValueRef f =
        unit_function(u, name, LLVMFunctionType(u->void_type, params, 3, false), false);
    unit_keep_apart(u, f);
    KernelBuilder shell = {.u = u, .function = f};
    LLVMPositionBuilderAtEnd(u->builder, unit_block(u, f, "entry"));
    LLVMTypeRef type = unit_memory_type(u, t->load->type);
    CountedLoop c = loop_open(&shell, unit_i64(u, 0), LLVMGetParam(f, 2), t->width, "square");
    LLVMValueRef from = LLVMBuildMul(u->builder, c.counter, unit_i64(u, from_step), ""),
                 to = LLVMBuildMul(u->builder, c.counter, unit_i64(u, to_step), "");
    turn_square(t, LLVMBuildGEP2(u->builder, type, LLVMGetParam(f, 0), &from, 1, ""),
                LLVMBuildGEP2(u->builder, type, LLVMGetParam(f, 1), &to, 1, ""));
    loop_close(&shell, &c, false);
    LLVMBuildRetVoid(u->builder);
    LLVMPositionBuilderAtEnd(u->builder, here);
    LLVMSetCurrentDebugLocation2(u->builder, place);
    return f;
}

/* begin + the largest multiple of the width that fits before end */
static LLVMValueRef whole(Turn *t, LLVMValueRef begin, LLVMValueRef end)
{
    EmitUnit *u = t->kb->u;
    LLVMValueRef count = LLVMBuildSub(u->builder, end, begin, "");
    LLVMValueRef none = LLVMBuildICmp(u->builder, LLVMIntSLT, count, unit_i64(u, 0), "");
    LLVMValueRef full = LLVMBuildAnd(u->builder, count, unit_i64(u, -(int64_t)t->width), "");
    return LLVMBuildAdd(u->builder, begin,
                        LLVMBuildSelect(u->builder, none, unit_i64(u, 0), full, ""), "");
}

/* What is left of the loops: the outer one from `begin` to `end`, lanes from `first` to `last`. */
static void copy_rest(Turn *t, LLVMValueRef begin, LLVMValueRef end, LLVMValueRef first,
                      LLVMValueRef last)
{
    Loop part = *t->inner;
    part.length = 0; /* first and last say it: the loop's own length is that of the whole */
    CountedLoop c = loop_open(t->kb, begin, end, 1, t->outer->index->name);
    kernel_bind(t->kb, t->outer->index, c.counter, 0);
    kernel_vector(t->kb, &part, first, last);
    t->kb->binding_count--;
    loop_close(t->kb, &c, false);
}

bool transpose_emit(KernelBuilder *kb, const Loop *outer, LLVMValueRef begin, LLVMValueRef end)
{
    Turn t;
    if (!is_turn(kb, outer, &t))
        return false;
    LLVMValueRef first = t.inner->begin ? offset_scalar(kb, t.inner->begin) : unit_i64(kb->u, 0);
    LLVMValueRef last = kernel_loop_end(kb, t.inner, first);
    LLVMValueRef outer_whole = whole(&t, begin, end), inner_whole = whole(&t, first, last);
    CountedLoop o = loop_open(kb, begin, outer_whole, t.width, outer->index->name);
    kernel_bind(kb, outer->index, o.counter, 0);
    kernel_bind(kb, t.inner->index, first, 0);
    LLVMValueRef args[] = {corner(&t, t.load->buffer, t.load->affine),
                           corner(&t, t.store->buffer, t.store->offset),
                           LLVMBuildSub(kb->u->builder, inner_whole, first, "")};
    unit_call(kb->u, turn_function(&t), args, 3);
    kb->binding_count -= 2;
    loop_close(kb, &o, false);
    copy_rest(&t, begin, outer_whole, inner_whole, last);
    copy_rest(&t, outer_whole, end, first, last);
    return true;
}
