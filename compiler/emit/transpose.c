/* Copies that turn rows into columns: `for k: vector for j: to[.. + j + T*k] = from[.. + S*j + k]`,
 * as packing a transposed operand does.  Lane by lane, each vector would gather from as many cache
 * lines as it has lanes; here squares of lanes by lanes are loaded by rows, turned around in
 * registers, and stored by columns. */
#include "emit/internal.h"

typedef struct Turn {
    KernelBuilder *kb;
    const Loop *outer, *inner, *store;
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

static bool is_turn(KernelBuilder *kb, const Loop *outer, Turn *t)
{
    if (kb->width > 1 || outer->how != FOR_SERIAL || outer->step > 1 || outer->body.count != 1)
        return false;
    const Loop *inner = outer->body.data[0];
    if (inner->kind != LOOP_FOR || inner->how != FOR_VECTOR || inner->step > 1 ||
        inner->body.count != 1)
        return false;
    const Loop *store = inner->body.data[0];
    if (store->kind != LOOP_STORE || store->data_count ||
        (inner->begin && affine_uses(inner->begin, outer->index)))
        return false;
    const Expr *load = store->value;
    if (load->kind != EXPR_LOAD || load->count || !dtype_is_real(load->type) ||
        store->buffer->type != load->type || load->buffer->type != load->type)
        return false;
    *t = (Turn){.kb = kb, .outer = outer, .inner = inner, .store = store};
    t->width = kb->u->lanes.vector_bytes / dtype_size(load->type);
    t->from_stride = plain_factor(load->affine, inner->index);
    t->to_stride = plain_factor(store->offset, outer->index);
    return t->width > 1 && t->from_stride > 1 && t->to_stride &&
           plain_factor(load->affine, outer->index) == 1 &&
           plain_factor(store->offset, inner->index) == 1;
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

static LLVMValueRef address(Turn *t, LLVMValueRef base, int64_t element)
{
    LLVMTypeRef type = unit_memory_type(t->kb->u, t->store->buffer->type);
    LLVMValueRef at = unit_i64(t->kb->u, element);
    return LLVMBuildGEP2(t->kb->u->builder, type, base, &at, 1, "");
}

static LLVMValueRef corner(Turn *t, const Buffer *b, const Affine *offset)
{
    LLVMValueRef at = offset_scalar(t->kb, offset);
    return LLVMBuildGEP2(t->kb->u->builder, unit_memory_type(t->kb->u, b->type),
                         buffer_pointer(t->kb, b), &at, 1, "");
}

/* The square whose corner the two indices are at. */
static void turn_square(Turn *t)
{
    EmitUnit *u = t->kb->u;
    const Expr *load = t->store->value;
    LLVMTypeRef row = unit_widen(unit_memory_type(u, load->type), t->width);
    LLVMValueRef from = corner(t, load->buffer, load->affine),
                 to = corner(t, t->store->buffer, t->store->offset);
    LLVMValueRef rows[64];
    for (int j = 0; j < t->width; j++) {
        rows[j] = LLVMBuildLoad2(u->builder, row, address(t, from, j * t->from_stride), "");
        LLVMSetAlignment(rows[j], (unsigned)dtype_size(load->type));
    }
    for (int apart = t->width / 2; apart >= 1; apart /= 2)
        exchange(u, rows, t->width, apart);
    for (int k = 0; k < t->width; k++)
        LLVMSetAlignment(LLVMBuildStore(u->builder, rows[k], address(t, to, k * t->to_stride)),
                         (unsigned)dtype_size(load->type));
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

/* What is left of the loops: k from `k` to `k_end`, lanes from `j` to `j_end`. */
static void copy_rest(Turn *t, LLVMValueRef k, LLVMValueRef k_end, LLVMValueRef j,
                      LLVMValueRef j_end)
{
    CountedLoop c = loop_open(t->kb, k, k_end, 1, t->outer->index->name);
    kernel_bind(t->kb, t->outer->index, c.counter, 0);
    kernel_vector(t->kb, t->inner, j, j_end);
    t->kb->binding_count--;
    loop_close(t->kb, &c, false);
}

bool transpose_emit(KernelBuilder *kb, const Loop *outer, LLVMValueRef begin, LLVMValueRef end)
{
    Turn t;
    if (!is_turn(kb, outer, &t))
        return false;
    LLVMValueRef j_begin = t.inner->begin ? offset_scalar(kb, t.inner->begin) : unit_i64(kb->u, 0);
    LLVMValueRef j_end = kernel_loop_end(kb, t.inner, j_begin);
    LLVMValueRef k_whole = whole(&t, begin, end), j_whole = whole(&t, j_begin, j_end);
    CountedLoop k = loop_open(kb, begin, k_whole, t.width, outer->index->name);
    kernel_bind(kb, outer->index, k.counter, 0);
    CountedLoop j = loop_open(kb, j_begin, j_whole, t.width, t.inner->index->name);
    kernel_bind(kb, t.inner->index, j.counter, 0);
    turn_square(&t);
    kb->binding_count -= 2;
    loop_close(kb, &j, false);
    loop_close(kb, &k, false);
    copy_rest(&t, begin, k_whole, j_whole, j_end);
    copy_rest(&t, k_whole, end, j_begin, j_end);
    return true;
}
