/* Copies that turn rows into columns: `to[.. + j + T*k] = from[.. + S*j + k]` in a vector loop over j
 * or k within a loop over the other, as packing a transposed operand does.  Lane by lane, each
 * vector would gather from, or scatter to, as many cache lines as it has lanes; here squares of
 * lanes by lanes are loaded by rows, turned around in registers, and stored by columns. */
#include "emit/internal.h"

/* What a loop's index runs over: whole squares, and the rest. */
typedef struct Reach {
    LLVMValueRef first, whole, end;
} Reach;

typedef struct Turn {
    KernelBuilder *kb;
    const Loop *outer, *inner, *store;
    const Expr *load; /* what it stores */
    int width;
    int64_t from_stride, to_stride; /* S and T */
    Reach of_outer, of_inner;
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

static LLVMValueRef element(Turn *t, LLVMValueRef from, LLVMValueRef at)
{
    return unit_element(t->kb->u, unit_memory_type(t->kb->u, t->load->type), from, at);
}

/* How many rows (j) and columns (k) of a square there are; NULL: all. */
typedef struct Part {
    LLVMValueRef rows, columns;
} Part;

/* The lanes below `count`; NULL: all. */
static LLVMValueRef lanes_below(Turn *t, LLVMValueRef count)
{
    return count ? value_lanes_below(t->kb->u, count, t->width) : NULL;
}

/* The mask of line number `at` of so many: none of its lanes beyond them; false: it is known to be beyond. */
static bool line_mask(Turn *t, int at, LLVMValueRef count, LLVMValueRef lanes, LLVMValueRef *mask)
{
    EmitUnit *u = t->kb->u;
    *mask = lanes;
    if (!count)
        return true;
    if (LLVMIsAConstantInt(count))
        return at < LLVMConstIntGetSExtValue(count);
    LLVMTypeRef type = LLVMVectorType(u->i1, (unsigned)t->width);
    LLVMValueRef there = LLVMBuildICmp(u->builder, LLVMIntSLT, unit_i64(u, at), count, "");
    *mask = LLVMBuildSelect(u->builder, there, lanes ? lanes : LLVMConstAllOnes(type),
                            LLVMConstNull(type), "");
    return true;
}

/* The square that begins at `from`, or what there is of it, to `to`. */
static void turn_square(Turn *t, LLVMValueRef from, LLVMValueRef to, Part part)
{
    EmitUnit *u = t->kb->u;
    const int size = dtype_size(t->load->type);
    LLVMTypeRef row = unit_widen(unit_memory_type(u, t->load->type), t->width);
    LLVMValueRef rows[64], mask, columns = lanes_below(t, part.columns);
    for (int j = 0; j < t->width; j++) {
        rows[j] = LLVMGetUndef(row);
        if (!line_mask(t, j, part.rows, columns, &mask))
            continue;
        LLVMValueRef at = unit_offset(u, from, (uint64_t)(size * j * t->from_stride));
        rows[j] = memory_load_row(t->kb, row, at, mask, size);
    }
    for (int apart = t->width / 2; apart >= 1; apart /= 2)
        exchange(u, rows, t->width, apart);
    LLVMValueRef lanes = lanes_below(t, part.rows);
    for (int k = 0; k < t->width; k++)
        if (line_mask(t, k, part.columns, lanes, &mask)) {
            LLVMValueRef at = unit_offset(u, to, (uint64_t)(size * k * t->to_stride));
            memory_store_row(t->kb, rows[k], at, mask, size);
        }
}

/* ---- functions of their own ------------------------------------------------------------------------------ */

/* So that the patterns of their shuffles are not kept in registers across the tile that reads what is packed. */
typedef struct TurnFunction {
    LLVMValueRef function;
    LLVMBasicBlockRef here; /* where its caller is being built, while its own body is to be */
    LLVMMetadataRef place;
    KernelBuilder shell;
} TurnFunction;

/* False where it is known already. */
static bool open_function(Turn *t, TurnFunction *f, const char *what, LLVMTypeRef *params,
                          int count)
{
    EmitUnit *u = t->kb->u;
    const char *name =
        arena_format(u->arena, "%s.turn.%d.%d.%lld.%lld%s", u->prefix, dtype_size(t->load->type),
                     t->width, (long long)t->from_stride, (long long)t->to_stride, what);
    f->function = LLVMGetNamedFunction(u->module, name);
    if (f->function)
        return false;
    f->here = LLVMGetInsertBlock(u->builder);
    f->place = LLVMGetCurrentDebugLocation2(u->builder);
    LLVMSetCurrentDebugLocation2(u->builder, NULL);
    f->function = unit_function(
        u, name, LLVMFunctionType(u->void_type, params, (unsigned)count, false), false);
    unit_keep_apart(u, f->function);
    f->shell = (KernelBuilder){.u = u, .function = f->function};
    LLVMPositionBuilderAtEnd(u->builder, unit_block(u, f->function, "entry"));
    return true;
}

static void close_function(TurnFunction *f)
{
    EmitUnit *u = f->shell.u;
    LLVMBuildRetVoid(u->builder);
    LLVMPositionBuilderAtEnd(u->builder, f->here);
    LLVMSetCurrentDebugLocation2(u->builder, f->place);
}

/* void turn(from, to, count): so many squares, one after another along the inner loop. */
static LLVMValueRef turn_function(Turn *t)
{
    EmitUnit *u = t->kb->u;
    const int64_t from_step = plain_factor(t->load->affine, t->inner->index),
                  to_step = plain_factor(t->store->offset, t->inner->index);
    LLVMTypeRef params[] = {u->pointer, u->pointer, u->i64};
    TurnFunction f;
    if (!open_function(
            t, &f, arena_format(u->arena, ".%lld.%lld", (long long)from_step, (long long)to_step),
            params, 3))
        return f.function;
    CountedLoop c =
        loop_open(&f.shell, unit_i64(u, 0), LLVMGetParam(f.function, 2), t->width, "square");
    LLVMValueRef from = LLVMBuildMul(u->builder, c.counter, unit_i64(u, from_step), ""),
                 to = LLVMBuildMul(u->builder, c.counter, unit_i64(u, to_step), "");
    turn_square(t, element(t, LLVMGetParam(f.function, 0), from),
                element(t, LLVMGetParam(f.function, 1), to), (Part){NULL, NULL});
    loop_close(&f.shell, &c, false);
    close_function(&f);
    return f.function;
}

static const char *count_name(Turn *t, LLVMValueRef count)
{
    if (!count || !LLVMIsAConstantInt(count))
        return count ? ".n" : ".all";
    return arena_format(t->kb->u->arena, ".%lld", LLVMConstIntGetSExtValue(count));
}

/* void turn(from, to, rows, columns): a part of a square; counts that are known now are of the function. */
static LLVMValueRef part_function(Turn *t, Part part)
{
    EmitUnit *u = t->kb->u;
    LLVMTypeRef params[] = {u->pointer, u->pointer, u->i64, u->i64};
    TurnFunction f;
    const char *what =
        arena_format(u->arena, ".part%s%s", count_name(t, part.rows), count_name(t, part.columns));
    if (!open_function(t, &f, what, params, 4))
        return f.function;
    if (part.rows && !LLVMIsAConstantInt(part.rows))
        part.rows = LLVMGetParam(f.function, 2);
    if (part.columns && !LLVMIsAConstantInt(part.columns))
        part.columns = LLVMGetParam(f.function, 3);
    turn_square(t, LLVMGetParam(f.function, 0), LLVMGetParam(f.function, 1), part);
    close_function(&f);
    return f.function;
}

/* Whole squares: the largest multiple of the width that fits. */
static Reach reach(Turn *t, LLVMValueRef begin, LLVMValueRef end)
{
    EmitUnit *u = t->kb->u;
    LLVMValueRef count = LLVMBuildSub(u->builder, end, begin, "");
    LLVMValueRef none = LLVMBuildICmp(u->builder, LLVMIntSLT, count, unit_i64(u, 0), "");
    LLVMValueRef full = LLVMBuildAnd(u->builder, count, unit_i64(u, -(int64_t)t->width), "");
    LLVMValueRef whole = LLVMBuildSelect(u->builder, none, unit_i64(u, 0), full, "");
    return (Reach){begin, LLVMBuildAdd(u->builder, begin, whole, ""), end};
}

static CountedLoop open_squares(Turn *t, LLVMValueRef from, LLVMValueRef to, const Loop *loop)
{
    return loop_open(t->kb, from, to, t->width, loop->index->name);
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

/* The square at these values of the loops' indices, of which `outer` and `inner` are left (NULL: all of it). */
static void emit_part(Turn *t, LLVMValueRef at_outer, LLVMValueRef at_inner, LLVMValueRef outer,
                      LLVMValueRef inner)
{
    EmitUnit *u = t->kb->u;
    const bool inner_is_row = plain_factor(t->load->affine, t->inner->index) != 1;
    const Part part = inner_is_row ? (Part){inner, outer} : (Part){outer, inner};
    kernel_bind(t->kb, t->outer->index, at_outer, 0);
    kernel_bind(t->kb, t->inner->index, at_inner, 0);
    LLVMValueRef all = unit_i64(u, t->width);
    LLVMValueRef args[] = {buffer_element(t->kb, t->load->buffer, t->load->affine),
                           buffer_element(t->kb, t->store->buffer, t->store->offset),
                           part.rows ? part.rows : all, part.columns ? part.columns : all};
    unit_call(u, part_function(t, part), args, 4);
    t->kb->binding_count -= 2;
}

/* Is nothing between, as is known now? */
static bool is_empty(Turn *t, LLVMValueRef from, LLVMValueRef to)
{
    LLVMValueRef count = LLVMBuildSub(t->kb->u->builder, to, from, "");
    return LLVMIsAConstantInt(count) && LLVMConstIntGetSExtValue(count) == 0;
}

/* The squares that are not whole: those at the inner loop's end, and those at the outer's. */
static void emit_parts(Turn *t)
{
    KernelBuilder *kb = t->kb;
    const Reach o = t->of_outer, i = t->of_inner;
    LLVMValueRef outer = LLVMBuildSub(kb->u->builder, o.end, o.whole, ""),
                 inner = LLVMBuildSub(kb->u->builder, i.end, i.whole, "");
    if (!is_empty(t, i.whole, i.end)) {
        CountedLoop along = open_squares(t, o.first, o.whole, t->outer);
        emit_part(t, along.counter, i.whole, NULL, inner);
        loop_close(kb, &along, false);
    }
    if (is_empty(t, o.whole, o.end))
        return;
    CountedLoop once = open_squares(t, o.whole, o.end, t->outer);
    if (!is_empty(t, i.first, i.whole)) {
        CountedLoop along = open_squares(t, i.first, i.whole, t->inner);
        emit_part(t, once.counter, along.counter, outer, NULL);
        loop_close(kb, &along, false);
    }
    if (!is_empty(t, i.whole, i.end))
        emit_part(t, once.counter, i.whole, outer, inner);
    loop_close(kb, &once, false);
}

/* Where neither count of a part is known, or lanes are loaded one after another under a mask, loops copy what is left. */
static bool has_parts(const Turn *t)
{
    LLVMValueRef inner = LLVMBuildSub(t->kb->u->builder, t->of_inner.end, t->of_inner.whole, "");
    return LLVMIsAConstantInt(inner) && t->kb->u->facts->masked_bytes <= dtype_size(t->load->type);
}

static void emit_whole(Turn *t)
{
    KernelBuilder *kb = t->kb;
    if (is_empty(t, t->of_inner.first, t->of_inner.whole))
        return;
    CountedLoop o = open_squares(t, t->of_outer.first, t->of_outer.whole, t->outer);
    kernel_bind(kb, t->outer->index, o.counter, 0);
    kernel_bind(kb, t->inner->index, t->of_inner.first, 0);
    LLVMValueRef args[] = {buffer_element(t->kb, t->load->buffer, t->load->affine),
                           buffer_element(t->kb, t->store->buffer, t->store->offset),
                           LLVMBuildSub(kb->u->builder, t->of_inner.whole, t->of_inner.first, "")};
    unit_call(kb->u, turn_function(t), args, 3);
    kb->binding_count -= 2;
    loop_close(kb, &o, false);
}

bool transpose_emit(KernelBuilder *kb, const Loop *outer, LLVMValueRef begin, LLVMValueRef end)
{
    Turn t;
    if (!is_turn(kb, outer, &t))
        return false;
    LLVMValueRef first = t.inner->begin ? offset_scalar(kb, t.inner->begin) : unit_i64(kb->u, 0);
    t.of_outer = reach(&t, begin, end);
    t.of_inner = reach(&t, first, kernel_loop_end(kb, t.inner, first));
    emit_whole(&t);
    if (has_parts(&t)) {
        emit_parts(&t);
    } else {
        copy_rest(&t, t.of_outer.first, t.of_outer.whole, t.of_inner.whole, t.of_inner.end);
        copy_rest(&t, t.of_outer.whole, t.of_outer.end, t.of_inner.first, t.of_inner.end);
    }
    return true;
}
