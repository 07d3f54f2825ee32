/* The register tile of slices (slices.c), on the processor's tiles: 16 rows of 16 sums in f32, which a product of two others
 * adds to, 16 rows of 32 values of the depth and 16 pairs of those for 16 columns, all bf16. */
#include "emit/internal.h"

enum { LINE_BYTES = 64 };

/* Which slices of both operands are multiplied: all whose product may be above 2^-24 of x*y.  Neighbours share one, so that
 * each step loads one operand's tiles. */
static const struct {
    int a, b;
} terms[] = {{0, 2}, {0, 1}, {1, 1}, {1, 0}, {0, 0}, {2, 0}};

/* A line that later tiles read: of the ahead, at so many steps from the block's first. */
typedef struct Wish {
    int ahead;
    int64_t step;
} Wish;

/* An Aside. */
typedef struct Chore {
    Slicer slicer;
    LLVMValueRef first; /* unit of this part */
    int units, done;    /* in a block        */
} Chore;

typedef struct Matrix {
    KernelBuilder *kb;
    const Loop *loop;
    int rows, columns; /* in tiles */
    LLVMValueRef a, b, c;
    LLVMValueRef *aheads; /* where each begins */
    VEC(Wish) wishes;     /* of a block of the depth */
    VEC(Chore) chores;
    int granted;
} Matrix;

static LLVMValueRef tile_number(Matrix *m, int n)
{
    if (n >= TILES)
        bug("matrix tile %d of %d", n, TILES);
    return LLVMConstInt(m->kb->u->i8, (unsigned)n, false);
}

static int sum_of(const Matrix *m, int i, int j)
{
    return i * m->columns + j;
}

static int left_of(const Matrix *m, int i)
{
    return m->rows * m->columns + i;
}

static int right_of(const Matrix *m, int j)
{
    return m->rows * m->columns + m->rows + j;
}

static void load_tile(Matrix *m, int tile, LLVMValueRef at, int64_t row_bytes)
{
    LLVMValueRef args[] = {tile_number(m, tile), at, unit_i64(m->kb->u, row_bytes)};
    unit_intrinsic(m->kb->u, "llvm.x86.tileloadd64", NULL, 0, args, 3);
}

/* The tiles of an operand's slice, which has so many lines, side by side from `first` on. */
static void load_slice(Matrix *m, LLVMValueRef block, int slice, int64_t lines, int count,
                       int first)
{
    for (int i = 0; i < count; i++) {
        const int64_t at = slice * lines * TILE_ROW_BYTES + (int64_t)i * TILE_BYTES;
        load_tile(m, first + i, unit_offset(m->kb->u, block, (uint64_t)at), TILE_ROW_BYTES);
    }
}

/* ---- what is asked for ------------------------------------------------------------------------------------------ */

/* What need not be asked for yet is exchanged for the sums, which are near. */
static LLVMValueRef ahead_start(Matrix *m, const Ahead *a)
{
    EmitUnit *u = m->kb->u;
    LLVMValueRef at = buffer_element(m->kb, a->buffer, a->offset);
    if (!a->when)
        return at;
    LLVMValueRef now =
        LLVMBuildICmp(u->builder, LLVMIntSGE, offset_scalar(m->kb, a->when), unit_i64(u, 0), "");
    return LLVMBuildSelect(u->builder, now, at, m->c, "");
}

/* Each line once, of those that the steps of a block lead through. */
static void list_wishes(Matrix *m)
{
    for (int i = 0; i < m->loop->aheads.count; i++) {
        const Ahead *a = &m->loop->aheads.data[i];
        int64_t last = -LINE_BYTES;
        for (int64_t step = 0; step < SLICED_DEPTH; step++) {
            const int64_t at = (step >> a->shift) * a->stride * dtype_size(a->buffer->type);
            if (at - last < LINE_BYTES)
                continue;
            const Wish w = {i, step};
            vec_push(m->kb->u->arena, &m->wishes, w);
            last = at;
        }
    }
}

static void grant(Matrix *m, const Wish *w, LLVMValueRef block)
{
    EmitUnit *u = m->kb->u;
    const Ahead *a = &m->loop->aheads.data[w->ahead];
    LLVMValueRef step = LLVMBuildAdd(u->builder, block, unit_i64(u, w->step), "");
    step = LLVMBuildLShr(u->builder, step, unit_i64(u, a->shift), "");
    step = LLVMBuildMul(u->builder, step, unit_i64(u, a->stride * dtype_size(a->buffer->type)), "");
    memory_prefetch(u, unit_element(u, u->i8, m->aheads[w->ahead], step), false);
}

static int all_products(const Matrix *m)
{
    return (int)(sizeof terms / sizeof *terms) * m->rows * m->columns;
}

/* Spread evenly over the block's products, of which so many are behind. */
static void ask_ahead(Matrix *m, LLVMValueRef block, int products)
{
    for (; m->granted * all_products(m) < m->wishes.count * products; m->granted++)
        grant(m, &m->wishes.data[m->granted], block);
}

/* ---- what is done besides ----------------------------------------------------------------------------------------- */

static void open_chores(Matrix *m)
{
    EmitUnit *u = m->kb->u;
    for (int i = 0; i < m->loop->asides.count; i++) {
        const Aside *a = &m->loop->asides.data[i];
        Chore c = {.slicer = slicer_open(m->kb, a->slice)};
        c.units = (int)((slicer_units(&c.slicer) + a->parts - 1) / a->parts);
        c.first = LLVMBuildMul(u->builder, offset_scalar(m->kb, a->part), unit_i64(u, c.units), "");
        vec_push(u->arena, &m->chores, c);
    }
}

/* Where the parts do not come out even, some units are made twice. */
static LLVMValueRef unit_of(Matrix *m, const Chore *c)
{
    EmitUnit *u = m->kb->u;
    LLVMValueRef unit = LLVMBuildAdd(u->builder, c->first, unit_i64(u, c->done), "");
    return value_sooner(u, unit, unit_i64(u, slicer_units(&c->slicer) - 1));
}

static void begin_chores(Matrix *m, LLVMValueRef block)
{
    for (int i = 0; i < m->chores.count; i++) {
        m->chores.data[i].done = 0;
        slicer_go_to(&m->chores.data[i].slicer, block);
    }
}

static void do_chores(Matrix *m, int products)
{
    for (int i = 0; i < m->chores.count; i++) {
        Chore *c = &m->chores.data[i];
        for (; c->done * all_products(m) < c->units * products; c->done++)
            slicer_unit(&c->slicer, unit_of(m, c));
    }
}

/* All units from the one on, of all blocks of the depth. */
static void finish_chore(Matrix *m, Chore *c, LLVMValueRef unit)
{
    EmitUnit *u = m->kb->u;
    LLVMValueRef all = unit_i64(u, slicer_units(&c->slicer));
    CountedLoop blocks =
        loop_open(m->kb, unit_i64(u, 0), c->slicer.depth, SLICED_DEPTH, "late_block");
    slicer_go_to(&c->slicer, blocks.counter);
    CountedLoop units = loop_open(m->kb, unit, all, 1, "late_unit");
    slicer_unit(&c->slicer, units.counter);
    loop_close(m->kb, &units, false);
    loop_close(m->kb, &blocks, false);
}

/* What other tiles would have done, had there been any. */
static void finish_chores(Matrix *m)
{
    EmitUnit *u = m->kb->u;
    for (int i = 0; i < m->chores.count; i++) {
        const Aside *a = &m->loop->asides.data[i];
        if (!a->index)
            continue;
        LLVMBasicBlockRef late = unit_block(u, m->kb->function, "late"),
                          after = unit_block(u, m->kb->function, "done");
        LLVMValueRef left = LLVMBuildSub(u->builder, extent_value(m->kb, a->index),
                                         offset_scalar(m->kb, a->column), "");
        LLVMBuildCondBr(
            u->builder,
            LLVMBuildICmp(u->builder, LLVMIntSLE, left, unit_i64(u, m->loop->columns), ""), late,
            after);
        LLVMPositionBuilderAtEnd(u->builder, late);
        Chore *c = &m->chores.data[i];
        finish_chore(m, c, LLVMBuildAdd(u->builder, c->first, unit_i64(u, c->units), ""));
        LLVMBuildBr(u->builder, after);
        LLVMPositionBuilderAtEnd(u->builder, after);
    }
}

/* ---- a block of the depth ----------------------------------------------------------------------------------------- */

static void multiply(Matrix *m, LLVMValueRef block, int products)
{
    for (int i = 0; i < m->rows; i++)
        for (int j = 0; j < m->columns; j++) {
            ask_ahead(m, block, ++products);
            do_chores(m, products);
            LLVMValueRef args[] = {tile_number(m, sum_of(m, i, j)), tile_number(m, left_of(m, i)),
                                   tile_number(m, right_of(m, j))};
            unit_intrinsic(m->kb->u, "llvm.x86.tdpbf16ps", NULL, 0, args, 3);
        }
}

static void step(Matrix *m, LLVMValueRef block, LLVMValueRef a, LLVMValueRef b)
{
    m->granted = 0;
    begin_chores(m, block);
    int left = -1, right = -1; /* the slices that are there */
    for (size_t t = 0; t < sizeof terms / sizeof *terms; t++) {
        if (terms[t].a != left)
            load_slice(m, a, terms[t].a, m->loop->lines, m->rows, left_of(m, 0));
        if (terms[t].b != right)
            load_slice(m, b, terms[t].b, m->loop->columns, m->columns, right_of(m, 0));
        left = terms[t].a;
        right = terms[t].b;
        multiply(m, block, (int)t * m->rows * m->columns);
    }
}

/* ---- the tile ------------------------------------------------------------------------------------------------------ */

static LLVMValueRef times(Matrix *m, LLVMValueRef x, int64_t factor)
{
    return LLVMBuildMul(m->kb->u->builder, x, unit_i64(m->kb->u, factor), "");
}

/* The blocks of the depth from a's and b's slices on, of which the first is at `from`. */
static void run_blocks(Matrix *m, LLVMValueRef a, LLVMValueRef b, LLVMValueRef from,
                       LLVMValueRef begin, LLVMValueRef end)
{
    EmitUnit *u = m->kb->u;
    const int64_t line = SLICES * TILE_ROW_BYTES / SLICED_DEPTH; /* a step of the depth */
    CountedLoop c = loop_open(m->kb, begin, end, SLICED_DEPTH, "block");
    step(m, from ? LLVMBuildAdd(u->builder, from, c.counter, "") : c.counter,
         unit_element(u, u->i8, a, times(m, c.counter, line * m->loop->lines)),
         unit_element(u, u->i8, b, times(m, c.counter, line * m->loop->columns)));
    loop_close(m->kb, &c, false);
}

/* All parts of the depth, from the one that `begin` is in to the one that `end` is in. */
static void run_parts(Matrix *m, LLVMValueRef begin, LLVMValueRef end)
{
    EmitUnit *u = m->kb->u;
    const DepthLoop *parts = &m->loop->inner[0];
    const int64_t part = m->loop->depth_length / parts->count,
                  b_bytes = part * SLICES * TILE_ROW_BYTES / SLICED_DEPTH * m->loop->columns;
    LLVMValueRef size = unit_i64(u, part);
    CountedLoop c =
        loop_open(m->kb, LLVMBuildUDiv(u->builder, begin, size, ""),
                  LLVMBuildUDiv(u->builder,
                                LLVMBuildAdd(u->builder, end, unit_i64(u, part - 1), ""), size, ""),
                  1, "part");
    LLVMValueRef a = times(m, c.counter, parts->a_stride * (int64_t)sizeof(float));
    run_blocks(m, unit_element(u, u->i8, m->a, a),
               unit_element(u, u->i8, m->b, times(m, c.counter, b_bytes)),
               times(m, c.counter, part), unit_i64(u, 0), size);
    loop_close(m->kb, &c, false);
}

/* Limits leave whole blocks, or parts, out: what lies outside in others adds nothing. */
static void run_depth(Matrix *m)
{
    EmitUnit *u = m->kb->u;
    LLVMValueRef begin, end;
    tile_limits(m->kb, m->loop, &begin, &end);
    if (m->loop->inner_count) {
        run_parts(m, begin, end);
        return;
    }
    begin = LLVMBuildAnd(u->builder, begin, unit_i64(u, -SLICED_DEPTH), "");
    run_blocks(m, m->a, m->b, NULL, begin, end);
}

static LLVMValueRef sums_at(Matrix *m, int i, int j)
{
    const int64_t at = (int64_t)i * TILE_LINES * m->loop->c_stride + j * TILE_LINES;
    return unit_offset(m->kb->u, m->c, (uint64_t)at * sizeof(float));
}

static int64_t row_bytes(const Matrix *m)
{
    return m->loop->c_stride * (int64_t)sizeof(float);
}

static void begin_with(Matrix *m, bool sums)
{
    for (int i = 0; i < m->rows; i++)
        for (int j = 0; j < m->columns; j++) {
            LLVMValueRef tile = tile_number(m, sum_of(m, i, j));
            if (sums)
                load_tile(m, sum_of(m, i, j), sums_at(m, i, j), row_bytes(m));
            else
                unit_intrinsic(m->kb->u, "llvm.x86.tilezero", NULL, 0, &tile, 1);
        }
}

/* The first chunk of the depth begins with nothing. */
static void begin(Matrix *m)
{
    EmitUnit *u = m->kb->u;
    if (!m->loop->accumulate) {
        begin_with(m, false);
        return;
    }
    LLVMBasicBlockRef first = unit_block(u, m->kb->function, "first"),
                      later = unit_block(u, m->kb->function, "later"),
                      after = unit_block(u, m->kb->function, "begun");
    LLVMValueRef chunks = offset_scalar(m->kb, m->loop->chunk);
    LLVMBuildCondBr(u->builder, LLVMBuildICmp(u->builder, LLVMIntEQ, chunks, unit_i64(u, 0), ""),
                    first, later);
    LLVMPositionBuilderAtEnd(u->builder, first);
    begin_with(m, false);
    LLVMBuildBr(u->builder, after);
    LLVMPositionBuilderAtEnd(u->builder, later);
    begin_with(m, true);
    LLVMBuildBr(u->builder, after);
    LLVMPositionBuilderAtEnd(u->builder, after);
}

void matrix_tile_emit(KernelBuilder *kb, const Loop *l)
{
    Matrix m = {
        .kb = kb, .loop = l, .rows = l->rows / TILE_LINES, .columns = l->columns / TILE_LINES};
    m.a = buffer_element(kb, l->a, l->a_offset);
    m.b = buffer_element(kb, l->b, l->b_offset);
    m.c = buffer_element(kb, l->c, l->c_offset);
    m.aheads = arena_new(kb->u->arena, LLVMValueRef, l->aheads.count + 1);
    for (int i = 0; i < l->aheads.count; i++)
        m.aheads[i] = ahead_start(&m, &l->aheads.data[i]);
    list_wishes(&m);
    open_chores(&m);
    begin(&m);
    run_depth(&m);
    for (int i = 0; i < m.rows; i++)
        for (int j = 0; j < m.columns; j++) {
            LLVMValueRef args[] = {tile_number(&m, sum_of(&m, i, j)), sums_at(&m, i, j),
                                   unit_i64(kb->u, row_bytes(&m))};
            unit_intrinsic(kb->u, "llvm.x86.tilestored64", NULL, 0, args, 3);
        }
    finish_chores(&m);
}
