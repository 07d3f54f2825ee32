/* The register tile: c[i, j] (+)= sum[k] a[i, k] * b[k, j].  Rows times columns of accumulators stay
 * in registers; each step of depth loads a row of b, broadcasts an element of a for each row of the
 * tile, and fuses a multiply and an add for each pair. */
#include "emit/internal.h"

enum { MOST_PARTS = 256, LINE_BYTES = 64 };

/* A row of the tile in vectors; the last may be narrower, in powers of two. */
typedef struct Parts {
    int count;
    int begin[MOST_PARTS], width[MOST_PARTS];
} Parts;

typedef struct Tile {
    KernelBuilder *kb;
    const Loop *loop;
    LLVMTypeRef real;
    int bytes; /* of an element */
    Parts parts;
    LLVMValueRef a, b, c; /* where each begins */
    LLVMValueRef *aheads; /* likewise          */
    LLVMValueRef *sums;   /* rows x parts */
} Tile;

static void split_columns(Tile *t)
{
    int width = t->kb->u->lanes.vector_bytes / t->bytes;
    if (width < 1)
        width = 1;
    for (int at = 0; at < t->loop->columns; at += width) {
        while (width > t->loop->columns - at)
            width /= 2;
        if (t->parts.count == MOST_PARTS)
            bug("a tile of %d columns", t->loop->columns);
        t->parts.begin[t->parts.count] = at;
        t->parts.width[t->parts.count++] = width;
    }
}

static LLVMValueRef at_element(Tile *t, LLVMValueRef base, LLVMValueRef index)
{
    return unit_element(t->kb->u, t->real, base, index);
}

static LLVMValueRef at_constant(Tile *t, LLVMValueRef base, int64_t index)
{
    return index ? at_element(t, base, unit_i64(t->kb->u, index)) : base;
}

static LLVMValueRef load_part(Tile *t, LLVMValueRef row, int part)
{
    LLVMTypeRef type = unit_widen(t->real, t->parts.width[part]);
    LLVMValueRef v =
        LLVMBuildLoad2(t->kb->u->builder, type, at_constant(t, row, t->parts.begin[part]), "");
    LLVMSetAlignment(v, (unsigned)t->bytes);
    return v;
}

/* Steps of depth that are done at once. */
static int64_t slides(const Tile *t)
{
    return t->loop->slide.count ? t->loop->slide.count : 1;
}

/* Lines that several steps share are asked for by the first of them; k: the steps so far. */
static void ask_ahead(Tile *t, LLVMValueRef k, int64_t ahead, int64_t unroll)
{
    EmitUnit *u = t->kb->u;
    for (int i = 0; i < t->loop->aheads.count; i++) {
        const Ahead *a = &t->loop->aheads.data[i];
        const bool same_line = a->stride * t->bytes * unroll <= (int64_t)LINE_BYTES << a->shift;
        if (ahead && (same_line || ahead % (1 << a->shift) >= slides(t)))
            continue;
        LLVMValueRef step = LLVMBuildAdd(u->builder, k, unit_i64(u, ahead), "");
        step = LLVMBuildLShr(u->builder, step, unit_i64(u, a->shift), "");
        step = LLVMBuildMul(u->builder, step, unit_i64(u, a->stride), "");
        memory_prefetch(u, at_element(t, t->aheads[i], step), true);
    }
}

/* Where both operands are at a step of the depth, and how many came before it. */
typedef struct At {
    LLVMValueRef a, b, steps;
} At;

/* Steps of the loops from `level` on. */
static int64_t inner_steps(const Tile *t, int level)
{
    int64_t steps = slides(t);
    for (int i = level; i < t->loop->inner_count; i++)
        steps *= t->loop->inner[i].count;
    return steps;
}

static At advance(Tile *t, At from, LLVMValueRef k, const DepthLoop *l, int level)
{
    LLVMBuilderRef builder = t->kb->u->builder;
    LLVMValueRef a = LLVMBuildMul(builder, k, unit_i64(t->kb->u, l->a_stride), ""),
                 b = LLVMBuildMul(builder, k, unit_i64(t->kb->u, l->b_stride), ""),
                 steps = LLVMBuildMul(builder, k, unit_i64(t->kb->u, inner_steps(t, level)), "");
    return (At){at_element(t, from.a, a), at_element(t, from.b, b),
                LLVMBuildAdd(builder, from.steps, steps, "")};
}

/* One step of depth. */
static void step(Tile *t, At at)
{
    EmitUnit *u = t->kb->u;
    const Loop *l = t->loop;
    LLVMValueRef row[MOST_PARTS];
    for (int p = 0; p < t->parts.count; p++)
        row[p] = load_part(t, at.b, p);
    for (int i = 0; i < l->rows; i++) {
        LLVMValueRef x =
            LLVMBuildLoad2(u->builder, t->real, at_constant(t, at.a, i * l->a_row_stride), "");
        LLVMSetAlignment(x, (unsigned)t->bytes);
        for (int p = 0; p < t->parts.count; p++) {
            LLVMValueRef *sum = &t->sums[i * t->parts.count + p];
            *sum = value_multiply_add(u, value_splat(u, x, t->parts.width[p]), row[p], *sum);
        }
    }
}

/* All steps of the slide: an element serves each row whose window it is in. */
static void slide(Tile *t, At at)
{
    EmitUnit *u = t->kb->u;
    const Loop *l = t->loop;
    const int count = (int)l->slide.count, parts = t->parts.count,
              sign = l->slide.a_stride < 0 ? -1 : 1, reach = sign * (count - 1);
    LLVMValueRef *rows = arena_new(u->arena, LLVMValueRef, count * parts);
    for (int s = 0; s < count; s++)
        for (int p = 0; p < parts; p++)
            rows[s * parts + p] = load_part(t, at_constant(t, at.b, s * l->slide.b_stride), p);
    for (int q = sign < 0 ? reach : 0; q < l->rows + (sign < 0 ? 0 : reach); q++) {
        LLVMValueRef x =
            LLVMBuildLoad2(u->builder, t->real, at_constant(t, at.a, q * l->a_row_stride), "");
        LLVMSetAlignment(x, (unsigned)t->bytes);
        for (int s = 0; s < count; s++)
            for (int p = 0, i = q - sign * s; i >= 0 && i < l->rows && p < parts; p++) {
                LLVMValueRef *sum = &t->sums[i * parts + p];
                *sum = value_multiply_add(u, value_splat(u, x, t->parts.width[p]),
                                          rows[s * parts + p], *sum);
            }
    }
}

static void run_inner(Tile *t, At at, int level);

/* Steps from begin to end of a loop of the depth, `unroll` at a time, each of them the loops from `level`
 * on; the sums travel in phis. */
static void run_loop(Tile *t, At from, const DepthLoop *l, LLVMValueRef begin, LLVMValueRef end,
                     int unroll, int level)
{
    EmitUnit *u = t->kb->u;
    int count = t->loop->rows * t->parts.count;
    LLVMValueRef *phis = arena_new(u->arena, LLVMValueRef, count);
    LLVMBasicBlockRef before = LLVMGetInsertBlock(u->builder);
    CountedLoop c = loop_open(t->kb, begin, end, unroll, "depth");
    LLVMPositionBuilderBefore(u->builder, LLVMGetNextInstruction(c.counter));
    for (int i = 0; i < count; i++) {
        phis[i] = LLVMBuildPhi(u->builder, LLVMTypeOf(t->sums[i]), "sum");
        LLVMAddIncoming(phis[i], &t->sums[i], &before, 1);
        t->sums[i] = phis[i];
    }
    LLVMPositionBuilderAtEnd(u->builder, c.body);
    At at = advance(t, from, c.counter, l, level);
    for (int ahead = 0; ahead < unroll; ahead++) {
        if (level == t->loop->inner_count)
            ask_ahead(t, at.steps, ahead * slides(t), unroll * slides(t));
        run_inner(t,
                  (At){at_constant(t, at.a, ahead * l->a_stride),
                       at_constant(t, at.b, ahead * l->b_stride), at.steps},
                  level);
    }
    LLVMBasicBlockRef latch = LLVMGetInsertBlock(u->builder);
    for (int i = 0; i < count; i++)
        LLVMAddIncoming(phis[i], &t->sums[i], &latch, 1);
    loop_close(t->kb, &c, false);
    for (int i = 0; i < count; i++)
        t->sums[i] = phis[i];
}

enum { SHORT_DEPTH = 32 };

/* Few accumulators leave the loop's own instructions in the way: more steps at a time. Where the depth is short
 * and known, a number that divides it: a loop of few rounds with more steps behind it has LLVM keep the
 * accumulators in memory. */
static int unroll_for(int accumulators, LLVMValueRef depth)
{
    int unroll = accumulators <= 16 ? 4 : accumulators <= 32 ? 2 : 1;
    if (LLVMIsAConstantInt(depth) && LLVMConstIntGetZExtValue(depth) <= SHORT_DEPTH)
        while (LLVMConstIntGetZExtValue(depth) % (unsigned)unroll)
            unroll--;
    return unroll;
}

/* All steps, the odd ones at the end one by one. */
static void run_depth(Tile *t, At from, const DepthLoop *l, LLVMValueRef begin, LLVMValueRef end,
                      int level)
{
    EmitUnit *u = t->kb->u;
    const bool innermost = level == t->loop->inner_count;
    LLVMValueRef depth = LLVMBuildSub(u->builder, end, begin, "");
    const int unroll =
        innermost ? unroll_for(t->loop->rows * t->parts.count * (int)slides(t), depth) : 1;
    LLVMValueRef rest = LLVMBuildURem(u->builder, depth, unit_i64(u, unroll), "");
    LLVMValueRef whole = LLVMBuildSub(u->builder, end, rest, "");
    run_loop(t, from, l, begin, whole, unroll, level);
    if (!LLVMIsAConstantInt(rest) || LLVMConstIntGetZExtValue(rest))
        run_loop(t, from, l, whole, end, 1, level);
}

/* The loops from `level` on, or a step. */
static void run_inner(Tile *t, At at, int level)
{
    EmitUnit *u = t->kb->u;
    if (level == t->loop->inner_count) {
        if (t->loop->slide.count)
            slide(t, at);
        else
            step(t, at);
        return;
    }
    const DepthLoop *l = &t->loop->inner[level];
    run_depth(t, at, l, unit_i64(u, 0), unit_i64(u, l->count), level + 1);
}

LLVMValueRef tile_depth(KernelBuilder *kb, const Loop *l)
{
    EmitUnit *u = kb->u;
    LLVMValueRef begin = l->depth_begin ? offset_scalar(kb, l->depth_begin) : unit_i64(u, 0);
    int64_t latest = kernel_latest(kb, l->depth_begin);
    if (l->depth_length && !l->depth_index->per_example &&
        latest + l->depth_length <= l->depth_index->extent)
        return unit_i64(u, l->depth_length);
    LLVMValueRef left = LLVMBuildSub(u->builder, extent_value(kb, l->depth_index), begin, "");
    if (!l->depth_length)
        return left;
    return value_sooner(u, left, unit_i64(u, l->depth_length));
}

/* A bound of the depth, from the chunk's beginning. */
static LLVMValueRef in_chunk(KernelBuilder *kb, const Loop *l, const Affine *bound)
{
    ExprPool *p = kb->kernel->pool;
    return offset_scalar(kb, l->depth_begin ? affine_sub(p, bound, l->depth_begin) : bound);
}

void tile_limits(KernelBuilder *kb, const Loop *l, LLVMValueRef *begin, LLVMValueRef *end)
{
    EmitUnit *u = kb->u;
    *begin = unit_i64(u, 0);
    *end = tile_depth(kb, l);
    if (l->depth_to)
        *end = value_later(u, *begin, value_sooner(u, *end, in_chunk(kb, l, l->depth_to)));
    if (l->depth_from)
        *begin = value_sooner(u, *end, value_later(u, *begin, in_chunk(kb, l, l->depth_from)));
}

static void accumulate_depth(Tile *t)
{
    const Loop *l = t->loop;
    LLVMValueRef begin, end;
    tile_limits(t->kb, l, &begin, &end);
    const DepthLoop outer = {0, l->a_depth_stride, l->b_stride};
    run_depth(t, (At){t->a, t->b, unit_i64(t->kb->u, 0)}, &outer, begin, end, 0);
}

static LLVMValueRef row_of_c(Tile *t, int row)
{
    return at_constant(t, t->c, (int64_t)row * t->loop->c_stride);
}

void tile_emit(KernelBuilder *kb, const Loop *l)
{
    EmitUnit *u = kb->u;
    DType type = l->c->type;
    Tile *t = arena_new(u->arena, Tile, 1);
    *t = (Tile){.kb = kb, .loop = l, .real = unit_memory_type(u, type), .bytes = dtype_size(type)};
    split_columns(t);
    t->a = buffer_element(kb, l->a, l->a_offset);
    t->b = buffer_element(kb, l->b, l->b_offset);
    t->c = buffer_element(kb, l->c, l->c_offset);
    t->aheads = arena_new(u->arena, LLVMValueRef, l->aheads.count + 1);
    for (int i = 0; i < l->aheads.count; i++)
        t->aheads[i] = buffer_element(kb, l->aheads.data[i].buffer, l->aheads.data[i].offset);
    t->sums = arena_new(u->arena, LLVMValueRef, l->rows * t->parts.count);
    for (int i = 0; i < l->rows; i++)
        for (int p = 0; p < t->parts.count; p++)
            t->sums[i * t->parts.count + p] =
                l->accumulate ? load_part(t, row_of_c(t, i), p)
                              : LLVMConstNull(unit_widen(t->real, t->parts.width[p]));
    accumulate_depth(t);
    for (int i = 0; i < l->rows; i++)
        for (int p = 0; p < t->parts.count; p++) {
            LLVMValueRef at = at_constant(t, row_of_c(t, i), t->parts.begin[p]);
            LLVMSetAlignment(LLVMBuildStore(u->builder, t->sums[i * t->parts.count + p], at),
                             (unsigned)t->bytes);
        }
}
