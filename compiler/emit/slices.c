/* Slices of f32 for tiles that multiply bf16: x = x0 + x1 + x2, each of eight bits, rounded to nearest, so that what the
 * tiles leave out of a product of two such sums is below 2^-24 of it.  (An infinity, and what rounds to one, becomes
 * no number.) */
#include "emit/internal.h"

enum { LANES = 16, HALF = SLICED_DEPTH / 2 };

static LLVMValueRef splat_bits(Slicer *s, unsigned bits)
{
    return value_splat(s->kb->u, LLVMConstInt(s->kb->u->i32, bits, false), LANES);
}

/* The upper half of each lane, rounded by what the lower one is. */
static LLVMValueRef round_up_half(Slicer *s, LLVMValueRef x)
{
    LLVMBuilderRef b = s->kb->u->builder;
    LLVMValueRef sum =
        LLVMBuildAdd(b, LLVMBuildBitCast(b, x, s->bits, ""), splat_bits(s, 0x8000), "");
    return LLVMBuildAnd(b, sum, splat_bits(s, 0xffff0000u), "");
}

/* The slices as the upper halves of lanes. */
static void take_apart(Slicer *s, LLVMValueRef x, LLVMValueRef slice[SLICES])
{
    LLVMBuilderRef b = s->kb->u->builder;
    for (int i = 0; i + 1 < SLICES; i++) {
        slice[i] = round_up_half(s, x);
        x = LLVMBuildFSub(b, x, LLVMBuildBitCast(b, slice[i], s->row, ""), "");
    }
    slice[SLICES - 1] = LLVMBuildBitCast(b, x, s->bits, ""); /* its lower half is 0 */
}

/* Lanes from `first` on that are below the end. */
static LLVMValueRef lanes_below(Slicer *s, LLVMValueRef end, int64_t first)
{
    EmitUnit *u = s->kb->u;
    LLVMValueRef most = unit_i64(u, LANES), none = unit_i64(u, 0),
                 count = LLVMBuildSub(u->builder, end, unit_i64(u, first), "");
    count = value_sooner(u, most, value_later(u, none, count));
    return value_lanes_below(u, count, LANES);
}

static LLVMValueRef element_at(Slicer *s, LLVMValueRef base, LLVMValueRef index)
{
    return unit_element(s->kb->u, s->kb->u->f32, base, index);
}

static LLVMValueRef byte_at(Slicer *s, LLVMValueRef base, LLVMValueRef index)
{
    return unit_element(s->kb->u, s->kb->u->i8, base, index);
}

static LLVMValueRef scaled(Slicer *s, LLVMValueRef x, int64_t factor)
{
    return LLVMBuildMul(s->kb->u->builder, x, unit_i64(s->kb->u, factor), "");
}

static LLVMValueRef load_row(Slicer *s, LLVMValueRef at, LLVMValueRef mask)
{
    return memory_load_row(s->kb, s->row, at, mask, (int)sizeof(float));
}

static void store_row(Slicer *s, LLVMValueRef v, LLVMValueRef at, int64_t offset)
{
    EmitUnit *u = s->kb->u;
    LLVMSetAlignment(LLVMBuildStore(u->builder, v, unit_offset(u, at, (uint64_t)offset)),
                     TILE_ROW_BYTES);
}

/* The value of the depth at d and the one half a block behind it, for each lane, side by side. */
static void store_pairs(Slicer *s, LLVMValueRef x[2][SLICES], LLVMValueRef at, int64_t offset,
                        int64_t slice_bytes)
{
    LLVMBuilderRef b = s->kb->u->builder;
    for (int i = 0; i < SLICES; i++) {
        LLVMValueRef low = LLVMBuildLShr(b, x[0][i], splat_bits(s, 16), "");
        store_row(s, LLVMBuildOr(b, low, x[1][i], ""), at, offset + i * slice_bytes);
    }
}

/* ---- lines and steps ------------------------------------------------------------------------------------------ */

/* Of a line beyond the last one nobody wants the slices: the last is read in its place. */
static LLVMValueRef line_to_read(Slicer *s, LLVMValueRef line)
{
    EmitUnit *u = s->kb->u;
    if (!s->lines)
        return line;
    return value_sooner(u, line, LLVMBuildSub(u->builder, s->lines, unit_i64(u, 1), ""));
}

/* Sixteen numbers from the panel's line and the block's step of the depth on: steps of the line, or lines of the step. */
static LLVMValueRef compute_row(Slicer *s, LLVMValueRef line, LLVMValueRef step, LLVMValueRef mask)
{
    KernelBuilder *kb = s->kb;
    LLVMBuilderRef b = kb->u->builder;
    const Loop *l = s->loop;
    kernel_bind(kb, l->row, LLVMBuildAdd(b, offset_scalar(kb, l->row_begin), line, ""), 0);
    kernel_bind(kb, l->index, LLVMBuildAdd(b, s->step, step, ""), 0);
    kb->width = LANES;
    kb->lane_index = l->by_step ? l->row : l->index;
    kb->lane_step = 1;
    kb->mask = mask;
    value_begin_statement(kb);
    LLVMValueRef v = value_splat(kb->u, value_of(kb, l->value, NULL), LANES);
    kb->mask = NULL;
    kb->lane_index = NULL;
    kb->width = 1;
    kb->binding_count -= 2;
    value_begin_statement(kb);
    return mask ? LLVMBuildSelect(b, mask, v, LLVMConstNull(s->row), "") : v;
}

static LLVMValueRef row_of(Slicer *s, LLVMValueRef line, LLVMValueRef step, LLVMValueRef mask)
{
    if (s->loop->value)
        return compute_row(s, line, step, mask);
    LLVMValueRef at = element_at(s, s->a, scaled(s, line, s->loop->a_row_stride));
    return load_row(s, element_at(s, at, scaled(s, step, s->loop->a_depth_stride)), mask);
}

/* Where copy n has no such line, nothing. */
static void store_copy(Slicer *s, LLVMValueRef x[2][SLICES], LLVMValueRef line, int n)
{
    EmitUnit *u = s->kb->u;
    const Loop *l = s->loop;
    LLVMBasicBlockRef there = NULL, after = NULL;
    line = LLVMBuildSub(u->builder, line, unit_i64(u, n), "");
    if (l->copies > 1) {
        there = unit_block(u, s->kb->function, "copy");
        after = unit_block(u, s->kb->function, "copied");
        LLVMBuildCondBr(u->builder,
                        LLVMBuildICmp(u->builder, LLVMIntULT, line, unit_i64(u, l->rows), ""),
                        there, after);
        LLVMPositionBuilderAtEnd(u->builder, there);
    }
    LLVMValueRef copy = element_at(s, s->c, unit_i64(u, n * l->copy_stride));
    store_pairs(s, x, byte_at(s, copy, scaled(s, line, TILE_ROW_BYTES)), 0,
                l->lines * TILE_ROW_BYTES);
    if (!there)
        return;
    LLVMBuildBr(u->builder, after);
    LLVMPositionBuilderAtEnd(u->builder, after);
}

static void slice_line(Slicer *s, LLVMValueRef line)
{
    const Loop *l = s->loop;
    LLVMValueRef x[2][SLICES], from = line_to_read(s, line);
    for (int h = 0; h < 2; h++) {
        LLVMValueRef mask = s->left ? lanes_below(s, s->left, (int64_t)h * HALF) : NULL;
        take_apart(s, row_of(s, from, unit_i64(s->kb->u, (int64_t)h * HALF), mask), x[h]);
    }
    for (int n = 0; n == 0 || n < l->copies; n++)
        store_copy(s, x, line, n);
}

static LLVMValueRef both(Slicer *s, LLVMValueRef x, LLVMValueRef y)
{
    return x && y ? LLVMBuildAnd(s->kb->u->builder, x, y, "") : x ? x : y;
}

/* A step of the depth as slices, of sixteen lines. */
static void take_step(Slicer *s, LLVMValueRef step, int group, LLVMValueRef slice[SLICES])
{
    EmitUnit *u = s->kb->u;
    LLVMValueRef there = NULL, lanes = NULL;
    if (s->left)
        there = value_splat(u, LLVMBuildICmp(u->builder, LLVMIntSLT, step, s->left, ""), LANES);
    if (s->lines)
        lanes = lanes_below(s, s->lines, (int64_t)group * LANES);
    LLVMValueRef first = unit_i64(u, (int64_t)group * LANES);
    take_apart(s, row_of(s, first, step, both(s, there, lanes)), slice);
}

static void slice_step(Slicer *s, LLVMValueRef step)
{
    EmitUnit *u = s->kb->u;
    const int groups = s->loop->rows / LANES;
    LLVMValueRef x[2][SLICES], to = byte_at(s, s->c, scaled(s, step, TILE_ROW_BYTES));
    for (int g = 0; g < groups; g++) {
        take_step(s, step, g, x[0]);
        take_step(s, LLVMBuildAdd(u->builder, step, unit_i64(u, HALF), ""), g, x[1]);
        store_pairs(s, x, to, (int64_t)g * TILE_BYTES, (int64_t)groups * TILE_BYTES);
    }
}

int slicer_units(const Slicer *s)
{
    const Loop *l = s->loop;
    return l->by_step ? HALF : l->copies > 1 ? l->rows + l->copies - 1 : l->rows;
}

void slicer_unit(Slicer *s, LLVMValueRef unit)
{
    if (s->loop->by_step)
        slice_step(s, unit);
    else
        slice_line(s, unit);
}

/* ---- a block of the depth ---------------------------------------------------------------------------------------- */

Slicer slicer_open(KernelBuilder *kb, const Loop *l)
{
    EmitUnit *u = kb->u;
    Slicer s = {.kb = kb, .loop = l};
    s.row = LLVMVectorType(u->f32, LANES);
    s.bits = LLVMVectorType(u->i32, LANES);
    if (!l->value)
        s.a = s.first_a = buffer_element(kb, l->a, l->a_offset);
    s.c = s.first_c = buffer_element(kb, l->c, l->c_offset);
    const bool whole = l->row && l->row->extent % l->rows == 0 && !l->row->per_example &&
                       affine_is_index(l->row_begin); /* and not the panel behind it */
    if (l->row && !whole)
        s.lines =
            LLVMBuildSub(u->builder, extent_value(kb, l->row), offset_scalar(kb, l->row_begin), "");
    s.depth = tile_depth(kb, l);
    return s;
}

void slicer_go_to(Slicer *s, LLVMValueRef depth)
{
    const int64_t step_bytes = SLICES * TILE_ROW_BYTES * s->loop->lines / SLICED_DEPTH;
    if (s->loop->value)
        s->step =
            LLVMBuildAdd(s->kb->u->builder, offset_scalar(s->kb, s->loop->depth_begin), depth, "");
    else
        s->a = element_at(s, s->first_a, scaled(s, depth, s->loop->a_depth_stride));
    s->c = byte_at(s, s->first_c, scaled(s, depth, step_bytes));
    const bool whole =
        LLVMIsAConstantInt(s->depth) && LLVMConstIntGetZExtValue(s->depth) % SLICED_DEPTH == 0;
    s->left = whole ? NULL : LLVMBuildSub(s->kb->u->builder, s->depth, depth, "");
}

static void slice_block(Slicer *s)
{
    EmitUnit *u = s->kb->u;
    CountedLoop c = loop_open(s->kb, unit_i64(u, 0), unit_i64(u, slicer_units(s)), 1, "unit");
    slicer_unit(s, c.counter);
    loop_close(s->kb, &c, true);
}

/* A whole block, or the one that the depth ends in. */
static void slice_either(Slicer *s)
{
    EmitUnit *u = s->kb->u;
    LLVMValueRef left = s->left,
                 whole = LLVMBuildICmp(u->builder, LLVMIntSGE, left, unit_i64(u, SLICED_DEPTH), "");
    LLVMBasicBlockRef yes = unit_block(u, s->kb->function, "whole"),
                      no = unit_block(u, s->kb->function, "part"),
                      after = unit_block(u, s->kb->function, "sliced");
    LLVMBuildCondBr(u->builder, whole, yes, no);
    LLVMPositionBuilderAtEnd(u->builder, yes);
    s->left = NULL;
    slice_block(s);
    LLVMBuildBr(u->builder, after);
    LLVMPositionBuilderAtEnd(u->builder, no);
    s->left = left;
    slice_block(s);
    LLVMBuildBr(u->builder, after);
    LLVMPositionBuilderAtEnd(u->builder, after);
}

void slices_emit(KernelBuilder *kb, const Loop *l)
{
    Slicer s = slicer_open(kb, l);
    slicer_go_to(&s, offset_scalar(kb, l->depth_at));
    if (s.left)
        slice_either(&s);
    else
        slice_block(&s);
}
