/* The register tile of operands that both lie along the depth: c[i, j] (+)= sum[k] a[i, k] * b[j, k].  The
 * lanes run over the depth; the accumulators' lanes are added up at its end, many of them at once. */
#include "emit/internal.h"

typedef struct Dots {
    KernelBuilder *kb;
    const Loop *loop;
    LLVMTypeRef real;
    int bytes, width, count; /* of an element; lanes; sums */
    LLVMValueRef *a, *b;     /* where each line begins */
    LLVMValueRef *sums;      /* rows x columns         */
} Dots;

static LLVMValueRef element_at(Dots *d, LLVMValueRef base, LLVMValueRef index)
{
    return unit_element(d->kb->u, d->real, base, index);
}

/* ---- the operands' lines -------------------------------------------------------------------------------- */

/* How far it is to the index's last line; NULL: `count` of them are there in any case. */
static LLVMValueRef lines_left(Dots *d, Index *index, const Affine *begin, int count)
{
    EmitUnit *u = d->kb->u;
    if (!index->per_example && index->extent % count == 0)
        return NULL;
    LLVMValueRef last = LLVMBuildSub(u->builder, extent_value(d->kb, index), unit_i64(u, 1), "");
    return LLVMBuildSub(u->builder, last, offset_scalar(d->kb, begin), "");
}

/* Of a line beyond the last one nobody wants the sum: the last is read in its place. */
static void find_lines(Dots *d, LLVMValueRef *lines, int count, LLVMValueRef first, int64_t stride,
                       LLVMValueRef left)
{
    EmitUnit *u = d->kb->u;
    for (int i = 0; i < count; i++) {
        LLVMValueRef at = unit_i64(u, i);
        if (left) {
            LLVMValueRef beyond = LLVMBuildICmp(u->builder, LLVMIntSGT, at, left, "");
            at = LLVMBuildSelect(u->builder, beyond, left, at, "");
        }
        lines[i] = element_at(d, first, LLVMBuildMul(u->builder, at, unit_i64(u, stride), ""));
    }
}

/* ---- the depth ------------------------------------------------------------------------------------------ */

static LLVMValueRef load_lanes(Dots *d, LLVMValueRef line, LLVMValueRef k, LLVMValueRef mask)
{
    LLVMTypeRef row = unit_widen(d->real, d->width);
    return memory_load_row(d->kb, row, element_at(d, line, k), mask, d->bytes);
}

/* So many values of the depth as there are lanes, or those of the mask. */
static void step(Dots *d, LLVMValueRef k, LLVMValueRef mask)
{
    const Loop *l = d->loop;
    LLVMValueRef *b = arena_new(d->kb->u->arena, LLVMValueRef, l->columns);
    for (int j = 0; j < l->columns; j++)
        b[j] = load_lanes(d, d->b[j], k, mask);
    for (int i = 0; i < l->rows; i++) {
        LLVMValueRef a = load_lanes(d, d->a[i], k, mask);
        for (int j = 0; j < l->columns; j++) {
            LLVMValueRef *sum = &d->sums[i * l->columns + j];
            *sum = value_multiply_add(d->kb->u, a, b[j], *sum);
        }
    }
}

static void whole_steps(Dots *d, LLVMValueRef end)
{
    EmitUnit *u = d->kb->u;
    LLVMValueRef *phis = arena_new(u->arena, LLVMValueRef, d->count);
    LLVMBasicBlockRef before = LLVMGetInsertBlock(u->builder);
    CountedLoop c = loop_open(d->kb, unit_i64(u, 0), end, d->width, "depth");
    LLVMPositionBuilderBefore(u->builder, LLVMGetNextInstruction(c.counter));
    for (int i = 0; i < d->count; i++) {
        phis[i] = LLVMBuildPhi(u->builder, LLVMTypeOf(d->sums[i]), "sum");
        LLVMAddIncoming(phis[i], &d->sums[i], &before, 1);
        d->sums[i] = phis[i];
    }
    LLVMPositionBuilderAtEnd(u->builder, c.body);
    step(d, c.counter, NULL);
    LLVMBasicBlockRef latch = LLVMGetInsertBlock(u->builder);
    for (int i = 0; i < d->count; i++)
        LLVMAddIncoming(phis[i], &d->sums[i], &latch, 1);
    loop_close(d->kb, &c, false);
    for (int i = 0; i < d->count; i++)
        d->sums[i] = phis[i];
}

static void run_depth(Dots *d)
{
    EmitUnit *u = d->kb->u;
    LLVMValueRef end = tile_depth(d->kb, d->loop);
    LLVMValueRef rest = LLVMBuildURem(u->builder, end, unit_i64(u, d->width), "");
    LLVMValueRef whole = LLVMBuildSub(u->builder, end, rest, "");
    whole_steps(d, whole);
    if (!LLVMIsAConstantInt(rest) || LLVMConstIntGetZExtValue(rest))
        step(d, whole, value_lanes_below(u, rest, d->width));
}

/* ---- the lanes, added up ---------------------------------------------------------------------------------- */

/* The halves of x's and y's blocks of lanes, the first or the second, one block after the other. */
static LLVMValueRef pick_halves(Dots *d, LLVMValueRef x, LLVMValueRef y, int blocks, int block,
                                bool second)
{
    LLVMValueRef lane[128];
    int n = 0;
    for (int i = 0; i < blocks; i++)
        for (int e = 0; e < block / 2; e++)
            lane[n++] = unit_i32(d->kb->u, i * block + e + (second ? block / 2 : 0));
    return LLVMBuildShuffleVector(d->kb->u->builder, x, y, LLVMConstVector(lane, (unsigned)n), "");
}

static LLVMValueRef add_halves(Dots *d, LLVMValueRef x, LLVMValueRef y, int blocks, int block)
{
    return LLVMBuildFAdd(d->kb->u->builder, pick_halves(d, x, y, blocks, block, false),
                         pick_halves(d, x, y, blocks, block, true), "");
}

/* The sums of n vectors' lanes, n a power of two, as a vector of n. */
static LLVMValueRef add_lanes(Dots *d, LLVMValueRef *v, int n)
{
    int block = d->width;
    for (int left = n; left > 1; left /= 2, block /= 2)
        for (int i = 0; i < left / 2; i++)
            v[i] = add_halves(d, v[2 * i], v[2 * i + 1], 2 * d->width / block, block);
    for (; block > 1; block /= 2)
        v[0] = add_halves(d, v[0], LLVMGetPoison(LLVMTypeOf(v[0])), n, block);
    return v[0];
}

/* The lanes `from` to `to` of the sums from `first` on: neighbours in a row of the result. */
static void store_piece(Dots *d, LLVMValueRef sums, int first, int from, int to)
{
    EmitUnit *u = d->kb->u;
    const Loop *l = d->loop;
    const int at = first + from, count = to - from;
    const int64_t offset = (int64_t)(at / l->columns) * l->c_stride + at % l->columns;
    LLVMValueRef lane[64];
    for (int i = 0; i < count; i++)
        lane[i] = unit_i32(u, from + i);
    LLVMValueRef v = count == 1
                         ? LLVMBuildExtractElement(u->builder, sums, lane[0], "")
                         : LLVMBuildShuffleVector(u->builder, sums, LLVMGetPoison(LLVMTypeOf(sums)),
                                                  LLVMConstVector(lane, (unsigned)count), "");
    LLVMValueRef place =
        element_at(d, buffer_element(d->kb, l->c, l->c_offset), unit_i64(u, offset));
    if (l->accumulate) {
        LLVMValueRef old = LLVMBuildLoad2(u->builder, LLVMTypeOf(v), place, "");
        LLVMSetAlignment(old, (unsigned)d->bytes);
        v = LLVMBuildFAdd(u->builder, old, v, "");
    }
    LLVMSetAlignment(LLVMBuildStore(u->builder, v, place), (unsigned)d->bytes);
}

/* As many sums at once as there are lanes; the last ones padded to a power of two. */
static void store_sums(Dots *d)
{
    for (int first = 0; first < d->count; first += d->width) {
        const int count = d->count - first < d->width ? d->count - first : d->width;
        LLVMValueRef v[64];
        int n = 1;
        while (n < count)
            n *= 2;
        for (int i = 0; i < n; i++)
            v[i] = d->sums[i < count ? first + i : first];
        LLVMValueRef sums = add_lanes(d, v, n);
        for (int from = 0, to; from < count; from = to) {
            to = from + d->loop->columns - (first + from) % d->loop->columns;
            to = to < count ? to : count;
            store_piece(d, sums, first, from, to);
        }
    }
}

void dots_emit(KernelBuilder *kb, const Loop *l)
{
    EmitUnit *u = kb->u;
    const DType type = l->c->type;
    Dots d = {.kb = kb, .loop = l, .real = unit_memory_type(u, type), .bytes = dtype_size(type)};
    d.width = u->lanes.vector_bytes / d.bytes;
    d.count = l->rows * l->columns;
    d.a = arena_new(u->arena, LLVMValueRef, l->rows);
    d.b = arena_new(u->arena, LLVMValueRef, l->columns);
    d.sums = arena_new(u->arena, LLVMValueRef, d.count);
    find_lines(&d, d.a, l->rows, buffer_element(kb, l->a, l->a_offset), l->a_row_stride,
               lines_left(&d, l->row, l->row_begin, l->rows));
    find_lines(&d, d.b, l->columns, buffer_element(kb, l->b, l->b_offset), l->b_stride,
               lines_left(&d, l->column, l->column_begin, l->columns));
    for (int i = 0; i < d.count; i++)
        d.sums[i] = LLVMConstNull(unit_widen(d.real, d.width));
    run_depth(&d);
    store_sums(&d);
}
