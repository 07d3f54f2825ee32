/* Loop kernels written by hand, compiled in memory, run, and compared with plain C. */
#include "emit/emit.h"
#include "functions/functions.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

/* To the bit, but for the sign of zero. */
static void expect_same(double got, double want)
{
    if (got != want)
        fail_msg("%.9g, not %.9g", got, want);
}

/* One kernel under construction, at one width and level of optimisation. */
typedef struct Bench {
    Arena *arena;
    ExprPool *pool;
    EmitOptions options;
    LaneModel lanes;
    LoopKernel *kernel;
    Jit *jit;
    EmitUnit *unit;
} Bench;

static Bench *bench_new(DType real, int vector_bytes, int optimize)
{
    Arena *a = arena_create();
    Bench *b = arena_new(a, Bench, 1);
    const char *error;
    b->arena = a;
    b->pool = expr_pool_create(a, real);
    b->options = (EmitOptions){.optimize = optimize, .library_math = real == TYPE_F64};
    assert_true(emit_lane_model(&b->options, &b->lanes, &error, a));
    if (vector_bytes)
        b->lanes.vector_bytes = vector_bytes;
    b->kernel = arena_new(a, LoopKernel, 1);
    b->kernel->kernel = arena_new(a, Kernel, 1);
    b->kernel->span = SPAN_NONE;
    return b;
}

static void bench_free(Bench *b)
{
    if (b->jit)
        jit_dispose(b->jit);
    if (b->unit)
        emit_dispose(b->unit);
    arena_destroy(b->arena);
}

static Buffer *operand(Bench *b, DType type, int64_t count, bool written)
{
    Buffer *buffer = arena_new(b->arena, Buffer, 1);
    *buffer = (Buffer){.space = SPACE_OPERAND,
                       .type = type,
                       .slot = b->kernel->operands.count,
                       .bytes = (uint64_t)(count * dtype_size(type)),
                       .written = written};
    vec_push(b->arena, &b->kernel->operands, buffer);
    return buffer;
}

static int local(Bench *b, DType type)
{
    vec_push(b->arena, &b->kernel->locals, type);
    return b->kernel->locals.count - 1;
}

static Loop *statement(Bench *b, LoopList *list, LoopKind kind)
{
    Loop *l = arena_new(b->arena, Loop, 1);
    l->kind = kind;
    l->span = SPAN_NONE;
    vec_push(b->arena, list, l);
    return l;
}

static Loop *loop_over(Bench *b, LoopList *list, ForKind how, Index *ix)
{
    Loop *l = statement(b, list, LOOP_FOR);
    l->how = how;
    l->index = ix;
    l->step = 1;
    return l;
}

static void set(Bench *b, LoopList *list, int register_, const Expr *value)
{
    Loop *l = statement(b, list, LOOP_SET);
    l->local = register_;
    l->value = value;
}

static void combine(Bench *b, LoopList *list, int register_, const Reduction *r, const Expr *value)
{
    Loop *l = statement(b, list, LOOP_COMBINE);
    l->local = register_;
    l->reduction = r;
    l->value = value;
}

static Loop *store(Bench *b, LoopList *list, Buffer *to, const Affine *offset, const Expr *value)
{
    Loop *l = statement(b, list, LOOP_STORE);
    l->buffer = to;
    l->offset = offset;
    l->value = value;
    return l;
}

static const Affine *at(Bench *b, Index *ix)
{
    return affine_index(b->pool, ix);
}

static const Affine *number(Bench *b, int64_t n)
{
    return affine_constant(b->pool, n);
}

static const Expr *load(Bench *b, Buffer *from, const Affine *offset)
{
    return expr_load(b->pool, from->type, from, offset, NULL, 0);
}

static Index *range(Bench *b, const char *name, int64_t extent)
{
    return index_new(b->pool, name, extent, 0, SPAN_NONE);
}

/* Index over the examples of a call. */
static Index *batch(Bench *b, int64_t most)
{
    return index_new(b->pool, "b", most, 1, SPAN_NONE);
}

typedef void KernelFunction(void *arguments, size_t begin, size_t end, void *scratch);

static KernelFunction *compiled(Bench *b)
{
    const char *name = "test_kernel", *error = "";
    b->unit = emit_kernels(&b->kernel, &name, 1, expr_pool_real(b->pool), NULL, &b->options,
                           &b->lanes, b->arena);
    if (getenv("EMIT_TEST_PRINT"))
        emit_write_llvm(b->unit, "-", &error);
    b->jit = jit_create(&b->unit, 1, &error);
    if (!b->jit)
        fail_msg("%s", error);
    return (KernelFunction *)jit_symbol(b->jit, name);
}

static void call(Bench *b, uint64_t examples, void *const *operands)
{
    static KernelFunction *f;
    static Bench *of;
    if (of != b || !b->jit)
        f = compiled(b);
    of = b;
    EmitArguments *block =
        calloc(1, sizeof *block + sizeof(void *) * (size_t)b->kernel->operands.count);
    block->examples = examples;
    block->seed = 0x123456789abcdef;
    block->step = 41;
    block->draws = 0x500000003;
    block->site = (uint64_t)b->kernel->first_site;
    block->scale = 0.25;
    block->first = 1;
    memcpy(block->operands, operands, sizeof(void *) * (size_t)b->kernel->operands.count);
    void *scratch = aligned_alloc(64, 4096);
    f(block, 0, 1, scratch);
    free(scratch);
    free(block);
}

/* Numbers whose sums and products are exact, so that the order of a sum is nobody's business. */
static float small(int i)
{
    return (float)((i * 37 + 11) % 64 - 31) * 0.25f;
}

/* ---- sums ------------------------------------------------------------------------------------------------- */

/* r = 1; r += x[i] for i < n, in lanes; y = r: every tail, every width. */
static void test_sum_with_tails(void **state)
{
    static const int widths[] = {64, 32, 16, 4};
    for (int w = 0; w < 4; w++) {
        Bench *b = bench_new(TYPE_F32, widths[w], w % 2 ? 2 : 0);
        Buffer *x = operand(b, TYPE_F32, 70, false), *y = operand(b, TYPE_F32, 1, true);
        Index *i = batch(b, 70);
        int r = local(b, TYPE_F32);
        set(b, &b->kernel->body, r, expr_const(b->pool, 1));
        Loop *l = loop_over(b, &b->kernel->body, FOR_VECTOR, i);
        combine(b, &l->body, r, &reduce_sum, load(b, x, at(b, i)));
        store(b, &b->kernel->body, y, number(b, 0), expr_local(b->pool, TYPE_F32, r));
        float in[70], out;
        for (int n = 0; n <= 70; n++) {
            float want = 1;
            for (int k = 0; k < 70; k++)
                in[k] = k < n ? small(k) : NAN; /* nothing behind the end may count */
            for (int k = 0; k < n; k++)
                want += in[k];
            call(b, (uint64_t)n, (void *[]){in, &out});
            expect_same(out, want);
        }
        bench_free(b);
    }
}

/* The tree of a fold is fixed: lane sums, then halves. */
static void test_fold_is_a_fixed_tree(void **state)
{
    Bench *b = bench_new(TYPE_F32, 16, 2);
    Buffer *x = operand(b, TYPE_F32, 11, false), *y = operand(b, TYPE_F32, 1, true);
    Index *i = range(b, "i", 11);
    int r = local(b, TYPE_F32);
    LoopList *body = &b->kernel->body;
    set(b, body, r, expr_const(b->pool, 0));
    combine(b, &loop_over(b, body, FOR_VECTOR, i)->body, r, &reduce_sum, load(b, x, at(b, i)));
    store(b, body, y, number(b, 0), expr_local(b->pool, TYPE_F32, r));
    float in[11], out, lanes[4] = {0};
    for (int k = 0; k < 11; k++)
        in[k] = 1.0f / (float)(k + 3);
    for (int k = 0; k < 11; k++)
        lanes[k % 4] += in[k];
    call(b, 1, (void *[]){in, &out});
    expect_same(out, (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]));
    bench_free(b);
}

/* Largest, smallest, product, any, all; integers and truths too. */
static void test_other_reductions(void **state)
{
    const Reduction *const all[] = {&reduce_max, &reduce_min, &reduce_prod, &reduce_any,
                                    &reduce_all};
    for (int k = 0; k < 5; k++) {
        DType type = all[k]->truths ? TYPE_BOOL : TYPE_F32;
        Bench *b = bench_new(TYPE_F32, 0, 1);
        Buffer *x = operand(b, type, 21, false), *y = operand(b, type, 1, true);
        Index *i = range(b, "i", 21);
        int r = local(b, type);
        LoopList *body = &b->kernel->body;
        set(b, body, r, expr_const_typed(b->pool, all[k]->start, type));
        combine(b, &loop_over(b, body, FOR_VECTOR, i)->body, r, all[k], load(b, x, at(b, i)));
        store(b, body, y, number(b, 0), expr_local(b->pool, type, r));
        float in[21], out, want = (float)all[k]->start;
        uint8_t truths[21] = {0}, truth = 9;
        for (int j = 0; j < 21; j++) {
            in[j] = k == 2 ? (j % 3 ? 1 : -2) : small(j);
            want = (float)all[k]->combine->value((double[]){want, in[j]});
        }
        if (type == TYPE_BOOL) {
            call(b, 1, (void *[]){truths, &truth});
            assert_int_equal(truth, 0);
            memset(truths, 1, 21);
            call(b, 1, (void *[]){truths, &truth});
            assert_int_equal(truth, 1);
            truths[20] = 0;
            call(b, 1, (void *[]){truths, &truth});
            assert_int_equal(truth, all[k] == &reduce_any);
        } else {
            call(b, 1, (void *[]){in, &out});
            expect_same(out, want);
        }
        bench_free(b);
    }
}

/* best = -inf, place = 0; where x[i, j] > best: both.  Lanes over j; the row index is serial. */
static void test_argmax_by_selects(void **state)
{
    enum { ROWS = 9, COLUMNS = 21 };
    Bench *b = bench_new(TYPE_F32, 0, 2);
    Buffer *x = operand(b, TYPE_F32, ROWS * COLUMNS, false),
           *y = operand(b, TYPE_I32, COLUMNS, true);
    Index *i = range(b, "i", ROWS), *j = range(b, "j", COLUMNS);
    int best = local(b, TYPE_F32), place = local(b, TYPE_I32), greater = local(b, TYPE_BOOL);
    Loop *columns = loop_over(b, &b->kernel->body, FOR_VECTOR, j);
    set(b, &columns->body, best, expr_const(b->pool, -INFINITY));
    set(b, &columns->body, place, expr_const_typed(b->pool, 0, TYPE_I32));
    Loop *rows = loop_over(b, &columns->body, FOR_SERIAL, i);
    const Affine *cell = affine_add(b->pool, affine_scale(b->pool, at(b, i), COLUMNS), at(b, j));
    const Expr *old = expr_local(b->pool, TYPE_F32, best), *v = load(b, x, cell);
    const Expr *truth = expr_local(b->pool, TYPE_BOOL, greater);
    set(b, &rows->body, greater, expr_call(b->pool, &scalar_gt, (const Expr *[]){v, old}));
    set(b, &rows->body, best, expr_select(b->pool, truth, v, old));
    set(b, &rows->body, place,
        expr_select(b->pool, truth, expr_affine(b->pool, at(b, i)),
                    expr_local(b->pool, TYPE_I32, place)));
    store(b, &columns->body, y, at(b, j), expr_local(b->pool, TYPE_I32, place));
    float in[ROWS][COLUMNS];
    int32_t out[COLUMNS];
    for (int k = 0; k < ROWS * COLUMNS; k++)
        in[k / COLUMNS][k % COLUMNS] = small(k);
    call(b, 1, (void *[]){in, out});
    for (int c = 0; c < COLUMNS; c++) {
        int want = 0;
        for (int r = 1; r < ROWS; r++)
            if (in[r][c] > in[want][c])
                want = r;
        assert_int_equal(out[c], want);
    }
    bench_free(b);
}

/* The same along the lanes: the iterations hand `best` on, so a scalar loop it is. */
static void test_carried_registers_stay_scalar(void **state)
{
    Bench *b = bench_new(TYPE_F32, 0, 2);
    Buffer *x = operand(b, TYPE_F32, 37, false), *y = operand(b, TYPE_F32, 37, true);
    Index *i = range(b, "i", 37);
    int r = local(b, TYPE_F32);
    LoopList *body = &b->kernel->body;
    set(b, body, r, expr_const(b->pool, 0));
    Loop *l = loop_over(b, body, FOR_VECTOR, i);
    set(b, &l->body, r, expr_add(b->pool, expr_local(b->pool, TYPE_F32, r), load(b, x, at(b, i))));
    store(b, &l->body, y, at(b, i), expr_local(b->pool, TYPE_F32, r));
    float in[37], out[37], want = 0;
    for (int k = 0; k < 37; k++)
        in[k] = small(k);
    call(b, 1, (void *[]){in, out});
    for (int k = 0; k < 37; k++)
        expect_same(out[k], want += in[k]);
    bench_free(b);
}

/* ---- memory ------------------------------------------------------------------------------------------------- */

/* y[i] = x[i] + 1 for i < n, of every type: neighbours stay as they are. */
static void test_masked_store(void **state)
{
    for (DType type = TYPE_U8; type <= TYPE_F64; type++) {
        Bench *b = bench_new(type == TYPE_F64 ? TYPE_F64 : TYPE_F32, 0, 2);
        Buffer *x = operand(b, type, 40, false), *y = operand(b, type, 40, true);
        Index *i = batch(b, 40);
        Loop *l = loop_over(b, &b->kernel->body, FOR_VECTOR, i);
        DType lane = dtype_is_real(type) ? type : TYPE_I32;
        const Expr *one = expr_const_typed(b->pool, 1, lane);
        store(b, &l->body, y, at(b, i),
              expr_call(b->pool, &scalar_add, (const Expr *[]){load(b, x, at(b, i)), one}));
        size_t size = (size_t)dtype_size(type);
        for (size_t n = 0; n <= 40; n++) {
            unsigned char in[40 * 8], out[40 * 8], want[40 * 8];
            memset(out, 0xA5, sizeof out);
            memset(want, 0xA5, sizeof want);
            for (size_t k = 0; k < 40; k++) {
                double d = (double)k + 1;
                float f = (float)k + 1;
                int32_t w = (int32_t)k + 1;
                const void *after = type == TYPE_F64   ? (void *)&d
                                    : type == TYPE_F32 ? (void *)&f
                                                       : (void *)&w;
                if (k < n)
                    memcpy(want + k * size, after, size);
                d--, f--, w--;
                memcpy(in + k * size, after, size);
            }
            call(b, n, (void *[]){in, out});
            assert_memory_equal(out, want, sizeof out);
        }
        bench_free(b);
    }
}

/* Memory behind which, and before whose page, nothing may be read. */
static void *before_the_abyss(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED && bytes <= page);
    assert_int_equal(mprotect(pages + page, page, PROT_READ | PROT_WRITE), 0);
    return pages + 2 * page - bytes;
}

/* y[i] = x[i*stride - 3] where that is inside, else -1: the first and last elements of a page's end. */
static void test_guarded_loads(void **state)
{
    static const int strides[] = {1, 2, -1, 5};
    for (int s = 0; s < 4; s++)
        for (int width = 16; width <= 64; width *= 2) {
            enum { INSIDE = 19, COUNT = 50 };
            Bench *b = bench_new(TYPE_F32, width, 2);
            Buffer *x = operand(b, TYPE_F32, INSIDE, false), *y = operand(b, TYPE_F32, COUNT, true);
            Index *i = range(b, "i", COUNT);
            Loop *l = loop_over(b, &b->kernel->body, FOR_VECTOR, i);
            const Affine *place = affine_offset(
                b->pool, affine_scale(b->pool, at(b, i), strides[s]), strides[s] < 0 ? 22 : -3);
            const Affine *left = affine_sub(b->pool, number(b, INSIDE - 1), place);
            const Expr *inside = expr_and(b->pool, expr_test(b->pool, TEST_NOT_NEGATIVE, place),
                                          expr_test(b->pool, TEST_NOT_NEGATIVE, left));
            store(b, &l->body, y, at(b, i),
                  expr_select(b->pool, inside, load(b, x, place), expr_const(b->pool, -1)));
            float out[COUNT], *in = before_the_abyss(INSIDE * sizeof *in);
            for (int k = 0; k < INSIDE; k++)
                in[k] = small(k);
            call(b, 1, (void *[]){in, out});
            for (int k = 0; k < COUNT; k++) {
                int p = k * strides[s] + (strides[s] < 0 ? 22 : -3);
                expect_same(out[k], p >= 0 && p < INSIDE ? in[p] : -1);
            }
            bench_free(b);
        }
}

/* A guard that no lane varies: rows outside are not read, not even by a whole vector. */
static void test_uniform_guard(void **state)
{
    enum { ROWS = 4, COLUMNS = 18, SHIFT = 1000000000 };
    Bench *b = bench_new(TYPE_F32, 0, 2);
    Buffer *x = operand(b, TYPE_F32, 2 * COLUMNS, false), *s = operand(b, TYPE_F32, 2, false);
    Buffer *y = operand(b, TYPE_F32, ROWS * COLUMNS, true);
    Index *i = range(b, "i", ROWS), *j = range(b, "j", COLUMNS);
    Loop *rows = loop_over(b, &b->kernel->body, FOR_SERIAL, i);
    Loop *columns = loop_over(b, &rows->body, FOR_VECTOR, j);
    /* row (i - 1) * SHIFT: inside for i = 1 alone */
    const Affine *row = affine_scale(b->pool, affine_offset(b->pool, at(b, i), -1), SHIFT);
    const Expr *inside = expr_test(b->pool, TEST_ZERO, row);
    const Expr *v = expr_mul(
        b->pool, load(b, x, affine_add(b->pool, affine_scale(b->pool, row, COLUMNS), at(b, j))),
        load(b, s, row));
    const Affine *cell = affine_add(b->pool, affine_scale(b->pool, at(b, i), COLUMNS), at(b, j));
    store(b, &columns->body, y, cell, expr_select(b->pool, inside, v, expr_const(b->pool, 7)));
    float in[2 * COLUMNS], scale[2] = {2, 3}, out[ROWS][COLUMNS];
    for (int k = 0; k < 2 * COLUMNS; k++)
        in[k] = small(k);
    call(b, 1, (void *[]){in, scale, out});
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < COLUMNS; c++)
            expect_same(out[r][c], r == 1 ? in[c] * 2 : 7);
    bench_free(b);
}

/* y[i] = x[token[i] * 3 + i / 4 - i % 5 + 4]: data and divisions in the subscript. */
static void test_gather_by_data(void **state)
{
    Bench *b = bench_new(TYPE_F32, 0, 2);
    Buffer *x = operand(b, TYPE_F32, 100, false), *token = operand(b, TYPE_U16, 33, false);
    Buffer *y = operand(b, TYPE_F32, 33, true);
    Index *i = range(b, "i", 33);
    Loop *l = loop_over(b, &b->kernel->body, FOR_VECTOR, i);
    const Affine *offset = affine_offset(b->pool,
                                         affine_sub(b->pool, affine_quotient(b->pool, at(b, i), 4),
                                                    affine_remainder(b->pool, at(b, i), 5)),
                                         4);
    DataTerm data = {load(b, token, at(b, i)), 3};
    store(b, &l->body, y, at(b, i), expr_load(b->pool, TYPE_F32, x, offset, &data, 1));
    float in[100], out[33];
    uint16_t tokens[33];
    for (int k = 0; k < 100; k++)
        in[k] = small(k);
    for (int k = 0; k < 33; k++)
        tokens[k] = (uint16_t)(k * 7 % 29);
    call(b, 1, (void *[]){in, tokens, out});
    for (int k = 0; k < 33; k++)
        expect_same(out[k], in[tokens[k] * 3 + k / 4 - k % 5 + 4]);
    bench_free(b);
}

/* Divisions of what may be negative round down, by lane and not. */
static void test_floor_division(void **state)
{
    for (int vector = 0; vector < 2; vector++) {
        Bench *b = bench_new(TYPE_F32, 0, 2);
        Buffer *y = operand(b, TYPE_I32, 80, true);
        Index *i = range(b, "i", 40);
        Loop *l = loop_over(b, &b->kernel->body, vector ? FOR_VECTOR : FOR_SERIAL, i);
        const Affine *a = affine_offset(b->pool, at(b, i), -20);
        store(b, &l->body, y, at(b, i), expr_affine(b->pool, affine_quotient(b->pool, a, 7)));
        store(b, &l->body, y, affine_offset(b->pool, at(b, i), 40),
              expr_affine(b->pool, affine_remainder(b->pool, a, 7)));
        int32_t out[80];
        call(b, 1, (void *[]){out});
        for (int k = 0; k < 40; k++) {
            assert_int_equal(out[k], (int)floor((k - 20) / 7.0));
            assert_int_equal(out[40 + k], (k - 20) - 7 * (int)floor((k - 20) / 7.0));
        }
        bench_free(b);
    }
}

/* y[3*i] = x[i], n at run time: a scatter, masked at the end. */
static void test_strided_store(void **state)
{
    Bench *b = bench_new(TYPE_F32, 0, 2);
    Buffer *x = operand(b, TYPE_F32, 40, false), *y = operand(b, TYPE_F32, 120, true);
    Index *i = batch(b, 40);
    Loop *l = loop_over(b, &b->kernel->body, FOR_VECTOR, i);
    store(b, &l->body, y, affine_scale(b->pool, at(b, i), 3), load(b, x, at(b, i)));
    for (int n = 0; n <= 40; n++) {
        float in[40], out[120];
        for (int k = 0; k < 120; k++)
            out[k] = -99;
        for (int k = 0; k < 40; k++)
            in[k] = small(k);
        call(b, (uint64_t)n, (void *[]){in, out});
        for (int k = 0; k < 120; k++)
            expect_same(out[k], k % 3 == 0 && k / 3 < n ? in[k / 3] : -99);
    }
    bench_free(b);
}

/* y[bin[i]] += x[i]: lanes that meet in one element all count. */
static void test_scatter_add(void **state)
{
    Bench *b = bench_new(TYPE_F32, 0, 2);
    Buffer *x = operand(b, TYPE_F32, 45, false), *bin = operand(b, TYPE_I32, 45, false),
           *y = operand(b, TYPE_F32, 4, true);
    Index *i = batch(b, 45);
    Loop *l = loop_over(b, &b->kernel->body, FOR_VECTOR, i);
    Loop *add = store(b, &l->body, y, number(b, 0), load(b, x, at(b, i)));
    DataTerm data = {load(b, bin, at(b, i)), 1};
    add->kind = LOOP_ADD;
    add->data = &data;
    add->data_count = 1;
    for (int n = 0; n <= 45; n += 5) {
        float in[45], out[4] = {1, 2, 3, 4}, want[4] = {1, 2, 3, 4};
        int32_t bins[45];
        for (int k = 0; k < 45; k++) {
            in[k] = small(k);
            bins[k] = k * k % 3;
            if (k < n)
                want[bins[k]] += in[k];
        }
        call(b, (uint64_t)n, (void *[]){in, bins, out});
        assert_memory_equal(out, want, sizeof out);
    }
    bench_free(b);
}

/* y[k*C + j] = x[j*R + k] in blocks: squares turned in registers, and all four edges. */
static void test_transposed_copy(void **state)
{
    static const int sizes[][2] = {{1, 1},   {16, 16}, {5, 40}, {40, 5},
                                   {35, 37}, {64, 32}, {17, 15}};
    for (int s = 0; s < 7; s++)
        for (int width = 16; width <= 64; width *= 2) {
            int rows = sizes[s][0], columns = sizes[s][1];
            Bench *b = bench_new(TYPE_F32, width, 2);
            Buffer *x = operand(b, TYPE_F32, rows * columns, false),
                   *y = operand(b, TYPE_F32, rows * columns, true);
            Index *k = range(b, "k", rows), *j = range(b, "j", columns);
            Loop *outer = loop_over(b, &b->kernel->body, FOR_SERIAL, k);
            Loop *inner = loop_over(b, &outer->body, FOR_VECTOR, j);
            const Affine *from =
                affine_add(b->pool, affine_scale(b->pool, at(b, j), rows), at(b, k));
            const Affine *to =
                affine_add(b->pool, affine_scale(b->pool, at(b, k), columns), at(b, j));
            store(b, &inner->body, y, to, load(b, x, from));
            float in[64 * 40], out[64 * 40];
            for (int n = 0; n < rows * columns; n++)
                in[n] = (float)n;
            call(b, 1, (void *[]){in, out});
            for (int r = 0; r < rows; r++)
                for (int c = 0; c < columns; c++)
                    expect_same(out[r * columns + c], in[c * rows + r]);
            bench_free(b);
        }
}

/* ---- the tile ------------------------------------------------------------------------------------------------- */

static void check_tile(DType real, int rows, int columns, int depth, bool accumulate,
                       int vector_bytes)
{
    bool by_rows = depth % 2; /* a is [rows][40], otherwise [40][rows] */
    Bench *b = bench_new(real, vector_bytes, 2);
    int stride = columns + 3;
    Buffer *a = operand(b, real, 40 * rows, false), *p = operand(b, real, 40 * columns, false);
    Buffer *c = operand(b, real, rows * stride, true);
    Loop *t = statement(b, &b->kernel->body, LOOP_TILE);
    t->a = a, t->b = p, t->c = c;
    t->a_offset = t->b_offset = t->c_offset = number(b, 0);
    t->rows = rows, t->columns = columns, t->c_stride = stride;
    t->b_stride = columns;
    t->a_row_stride = by_rows ? 40 : 1;
    t->a_depth_stride = by_rows ? 1 : rows;
    t->b_stride = columns;
    t->depth_index = batch(b, 40);
    t->depth_length = 30;
    t->accumulate = accumulate;
    double *da = calloc(4000, 8), *db = calloc(4000, 8), *dc = calloc(4000, 8);
    float *fa = (float *)da, *fb = (float *)db, *fc = (float *)dc;
    bool wide = real == TYPE_F64;
    for (int k = 0; k < 40 * rows; k++)
        wide ? (da[k] = small(k)) : (fa[k] = small(k));
    for (int k = 0; k < 40 * columns; k++)
        wide ? (db[k] = small(k + 5)) : (fb[k] = small(k + 5));
    for (int k = 0; k < rows * stride; k++)
        wide ? (dc[k] = 100) : (fc[k] = 100);
    call(b, (uint64_t)depth, (void *[]){da, db, dc});
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < stride; j++) {
            double want = accumulate || j >= columns ? 100 : 0;
            for (int k = 0; k < (depth < 30 ? depth : 30) && j < columns; k++)
                want +=
                    (double)small(by_rows ? i * 40 + k : k * rows + i) * small(k * columns + j + 5);
            expect_same(wide ? dc[i * stride + j] : fc[i * stride + j], want);
        }
    free(da), free(db), free(dc);
    bench_free(b);
}

enum { WINDOWS_A = 600, WINDOWS_B = 3000, WINDOWS_COLUMNS = 16 };

/* A tile over operands read where they lie, of five steps of the depth. */
static Loop *windows_tile(Bench *b, int rows, float *fa, float *fb)
{
    Loop *t = statement(b, &b->kernel->body, LOOP_TILE);
    t->a = operand(b, TYPE_F32, WINDOWS_A, false);
    t->b = operand(b, TYPE_F32, WINDOWS_B, false);
    t->c = operand(b, TYPE_F32, rows * WINDOWS_COLUMNS, true);
    t->a_offset = t->b_offset = t->c_offset = number(b, 0);
    t->rows = rows, t->columns = t->c_stride = WINDOWS_COLUMNS;
    t->depth_index = batch(b, 8);
    t->depth_length = 8;
    for (int k = 0; k < WINDOWS_A; k++)
        fa[k] = small(k);
    for (int k = 0; k < WINDOWS_B; k++)
        fb[k] = small(k + 5);
    return t;
}

/* Windows read where they lie: a and b step by loops within each step of the depth. */
static void test_tile_loops(void **state)
{
    enum { ROWS = 4, COLUMNS = WINDOWS_COLUMNS, WIDE = 7, TALL = 3 };
    Bench *b = bench_new(TYPE_F32, 0, 2);
    float fa[WINDOWS_A], fb[WINDOWS_B], fc[ROWS * COLUMNS];
    Loop *t = windows_tile(b, ROWS, fa, fb);
    t->a_row_stride = 2, t->a_depth_stride = 60, t->b_stride = 500;
    t->inner[0] = (DepthLoop){TALL, 20, 130};
    t->inner[1] = (DepthLoop){WIDE, 1, COLUMNS};
    t->inner_count = 2;
    call(b, 5, (void *[]){fa, fb, fc});
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        double want = 0;
        for (int k = 0; k < 5 * TALL * WIDE; k++) {
            int d = k / (TALL * WIDE), u = k / WIDE % TALL, v = k % WIDE;
            want += (double)small(i / COLUMNS * 2 + 60 * d + 20 * u + v) *
                    small(500 * d + 130 * u + COLUMNS * v + i % COLUMNS + 5);
        }
        expect_same(fc[i], want);
    }
    bench_free(b);
}

/* Rows whose windows overlap share what they read, in either direction. */
static void check_slide(int sign)
{
    enum { ROWS = 6, COLUMNS = WINDOWS_COLUMNS, STEPS = 3, FIRST = 20 };
    Bench *b = bench_new(TYPE_F32, 0, 2);
    float fa[WINDOWS_A], fb[WINDOWS_B], fc[ROWS * COLUMNS];
    Loop *t = windows_tile(b, ROWS, fa, fb);
    t->a_offset = number(b, FIRST);
    t->a_row_stride = 5, t->a_depth_stride = 60, t->b_stride = 300;
    t->inner[0] = (DepthLoop){4, 1, COLUMNS};
    t->inner_count = 1;
    t->slide = (DepthLoop){STEPS, 5 * sign, 80};
    call(b, 5, (void *[]){fa, fb, fc});
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        double want = 0;
        for (int k = 0; k < 5 * 4 * STEPS; k++) {
            int d = k / (4 * STEPS), u = k / STEPS % 4, v = k % STEPS;
            want += (double)small(FIRST + i / COLUMNS * 5 + 60 * d + u + 5 * sign * v) *
                    small(300 * d + COLUMNS * u + 80 * v + i % COLUMNS + 5);
        }
        expect_same(fc[i], want);
    }
    bench_free(b);
}

static void test_tile_slides(void **state)
{
    check_slide(1);
    check_slide(-1);
}

static void test_tile(void **state)
{
    for (int depth = 0; depth < 12; depth += 3)
        check_tile(TYPE_F32, 6, 32, depth, depth % 2, 0);
    check_tile(TYPE_F32, 14, 32, 35, true, 64);
    check_tile(TYPE_F32, 3, 21, 9, false, 32);
    check_tile(TYPE_F32, 1, 1, 40, false, 0);
    check_tile(TYPE_F32, 4, 8, 13, true, 16);
    check_tile(TYPE_F64, 6, 16, 13, true, 0);
    check_tile(TYPE_F64, 2, 7, 5, false, 4);
}

/* ---- expressions -------------------------------------------------------------------------------------------------- */

static void test_random(void **state)
{
    for (RandomKind kind = RANDOM_UNIFORM; kind <= RANDOM_NORMAL; kind++)
        for (int vector = 0; vector < 2; vector++)
            for (DType real = TYPE_F32; real <= TYPE_F64; real++) {
                Bench *b = bench_new(real, 0, 2);
                Buffer *y = operand(b, real, 50, true);
                Index *i = range(b, "i", 50);
                Loop *l = loop_over(b, &b->kernel->body, vector ? FOR_VECTOR : FOR_SERIAL, i);
                store(b, &l->body, y, at(b, i),
                      expr_random(b->pool, kind, 3, affine_offset(b->pool, at(b, i), 17)));
                double out[50];
                call(b, 1, (void *[]){out});
                for (int k = 0; k < 50; k++) {
                    double want =
                        random_value(kind, 0x123456789abcdef, 0x500000003, 3, (uint32_t)k + 17);
                    double got = real == TYPE_F64 ? out[k] : ((float *)out)[k];
                    assert_true(fabs(got - want) <= (kind == RANDOM_UNIFORM ? 0 : 2e-6));
                }
                bench_free(b);
            }
}

static void test_scalars(void **state)
{
    Bench *b = bench_new(TYPE_F32, 0, 1);
    Buffer *y = operand(b, TYPE_F32, 4, true);
    LoopList *body = &b->kernel->body;
    static const ScalarKind kinds[] = {SCALAR_BATCH_SIZE, SCALAR_STEP, SCALAR_SCALE, SCALAR_FIRST};
    for (int i = 0; i < 4; i++)
        store(b, body, y, number(b, i),
              expr_cast(b->pool, expr_scalar(b->pool, kinds[i], 0), TYPE_F32));
    float out[4];
    call(b, 9, (void *[]){out});
    expect_same(out[0], 9);
    expect_same(out[1], 42);
    expect_same(out[2], 0.25);
    expect_same(out[3], 1);
    bench_free(b);
}

static const double samples[] = {0,     -0.0, 1,    -1,     0.5,   -0.5,  2,      3,
                                 -3,    0.1,  7.25, 100,    -100,  1e-5f, -1e-5f, 20.5,
                                 -20.5, 88,   -88,  1e-38f, 1e10f, 0.99f, 1.5,    12345};
enum { SAMPLES = sizeof samples / sizeof *samples };

/* Two ulps of f32, or of the library's f64. */
static bool close_enough(double got, double want, DType real)
{
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got);
    if (got == want)
        return true;
    double ulp = real == TYPE_F64 ? 0x1p-51 : 0x1p-22;
    double least = real == TYPE_F64 ? 0x1p-1000 : 0x1p-148;
    return fabs(got - want) <= fabs(want) * ulp + least;
}

/* One row of the table, for all pairs of samples. */
static void check_function(const ScalarFunction *f, DType real, bool vector, int optimize)
{
    DType argument = f->signature == SIGNATURE_TRUTH     ? TYPE_BOOL
                     : f->signature == SIGNATURE_TO_REAL ? TYPE_I32
                                                         : real;
    Bench *b = bench_new(real, 0, optimize);
    Buffer *x[3];
    const Expr *args[3];
    DType types[3];
    Index *i = range(b, "i", SAMPLES * SAMPLES);
    for (int k = 0; k < f->arity; k++) {
        types[k] = f->signature == SIGNATURE_SELECT && k == 0 ? TYPE_BOOL : argument;
        x[k] = operand(b, types[k], SAMPLES * SAMPLES, false);
        args[k] = load(b, x[k], at(b, i));
    }
    const Expr *e = expr_call(b->pool, f, args);
    Buffer *y = operand(b, e->type, SAMPLES * SAMPLES, true);
    Loop *l = loop_over(b, &b->kernel->body, vector ? FOR_VECTOR : FOR_SERIAL, i);
    store(b, &l->body, y, at(b, i), e);

    static double memory[4][SAMPLES * SAMPLES];
    double values[SAMPLES * SAMPLES][3];
    void *operands[4];
    for (int n = 0; n < SAMPLES * SAMPLES; n++)
        for (int k = 0; k < f->arity; k++) {
            double v = samples[k == 0 ? n % SAMPLES : k == 1 ? n / SAMPLES : (n * 5 + 1) % SAMPLES];
            values[n][k] = v = types[k] == TYPE_BOOL  ? v > 0
                               : types[k] == TYPE_I32 ? (int)fmin(v, 1e6)
                                                      : v;
            if (types[k] == TYPE_BOOL)
                ((uint8_t *)memory[k])[n] = v != 0;
            else if (types[k] == TYPE_I32)
                ((int32_t *)memory[k])[n] = (int32_t)v;
            else if (types[k] == TYPE_F32)
                ((float *)memory[k])[n] = (float)v;
            else
                memory[k][n] = v;
            if (types[k] == TYPE_F32)
                values[n][k] = (float)v;
        }
    for (int k = 0; k <= f->arity; k++)
        operands[k] = memory[k];
    call(b, 1, operands);
    for (int n = 0; n < SAMPLES * SAMPLES; n++) {
        const void *out = memory[f->arity];
        double want = f->value(values[n]), got;
        got = e->type == TYPE_BOOL  ? ((uint8_t *)out)[n]
              : e->type == TYPE_I32 ? ((int32_t *)out)[n]
              : e->type == TYPE_F32 ? ((float *)out)[n]
                                    : ((double *)out)[n];
        if (e->type == TYPE_F32)
            want = (float)want;
        bool hard =
            f == &scalar_mod && fabs(values[n][0] / values[n][1]) > 0x1p23; /* as its row says */
        /* sums of larger terms, right to their last places: functions_math_test.c looks closer */
        hard = hard || (strstr(f->name, "gamma") &&
                        fabs(got - want) < (e->type == TYPE_F32 ? 2e-6 : 1e-14));
        if (!hard && !close_enough(got, want, e->type))
            fail_msg("%s(%.9g, %.9g) in %s%s: %.9g, not %.9g", f->name, values[n][0],
                     f->arity > 1 ? values[n][1] : 0, dtype_name(real), vector ? " lanes" : "", got,
                     want);
    }
    bench_free(b);
}

static void test_every_function(void **state)
{
    for (int i = 0; i < scalar_count(); i++)
        for (int vector = 0; vector < 2; vector++) {
            check_function(scalar_at(i), TYPE_F32, vector, 2);
            check_function(scalar_at(i), TYPE_F64, vector, 1);
        }
}

/* Integer division in lanes that have no divisor, and everything else on integers. */
static void test_integer_functions(void **state)
{
    static const ScalarFunction *const rows[] = {&scalar_add, &scalar_sub, &scalar_mul, &scalar_div,
                                                 &scalar_mod, &scalar_max, &scalar_min};
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        Bench *b = bench_new(TYPE_F32, 0, 2);
        Buffer *x = operand(b, TYPE_I32, 441, false), *d = operand(b, TYPE_I32, 441, false),
               *y = operand(b, TYPE_I32, 441, true);
        Index *i = range(b, "i", 441);
        Loop *l = loop_over(b, &b->kernel->body, FOR_VECTOR, i);
        store(b, &l->body, y, at(b, i),
              expr_call(b->pool, rows[r],
                        (const Expr *[]){load(b, x, at(b, i)), load(b, d, at(b, i))}));
        int32_t xs[441], ds[441], out[441];
        for (int k = 0; k < 441; k++) {
            xs[k] = (k % 21 - 10) * 3;
            ds[k] = k / 21 - 10;
        }
        call(b, 1, (void *[]){xs, ds, out});
        for (int k = 0; k < 441; k++) {
            bool divides = rows[r] == &scalar_div || rows[r] == &scalar_mod;
            if (divides && !ds[k])
                continue;
            double want = rows[r]->value((double[]){xs[k], ds[k]});
            assert_int_equal(out[k], (int)(rows[r] == &scalar_div ? floor(want) : want));
        }
        bench_free(b);
    }
}

/* A product that feeds a sum is fused at every level: the bits do not depend on -O. */
static void test_levels_agree(void **state)
{
    float first[40];
    for (int level = 0; level <= 3; level++) {
        Bench *b = bench_new(TYPE_F32, 0, level);
        Buffer *x = operand(b, TYPE_F32, 40, false), *y = operand(b, TYPE_F32, 40, true);
        Index *i = range(b, "i", 40);
        Loop *l = loop_over(b, &b->kernel->body, FOR_VECTOR, i);
        const Expr *v = load(b, x, at(b, i)), *e = expr_call(b->pool, &scalar_exp, &v);
        const Expr *sum = expr_sub(b->pool, expr_mul(b->pool, v, e),
                                   expr_mul(b->pool, e, expr_const(b->pool, 0.3)));
        store(b, &l->body, y, at(b, i), expr_div(b->pool, sum, expr_add(b->pool, e, v)));
        float in[40], out[40];
        for (int k = 0; k < 40; k++)
            in[k] = 1.0f / (float)(k + 1) + (float)k * 0.1f;
        call(b, 1, (void *[]){in, out});
        if (level)
            assert_memory_equal(out, first, sizeof out);
        memcpy(first, out, sizeof out);
        bench_free(b);
    }
}

/* ---- loops -------------------------------------------------------------------------------------------------------- */

/* Blocks of 16 of a serial loop, an unrolled one inside, a range of a parallel one. */
static void test_loops(void **state)
{
    Bench *b = bench_new(TYPE_F32, 0, 2);
    Buffer *y = operand(b, TYPE_I32, 3 * 50 * 4, true);
    Index *p = range(b, "p", 6), *block = range(b, "block", 50), *i = range(b, "i", 50),
          *u = range(b, "u", 4);
    b->kernel->parallel = p;
    b->kernel->parallel_step = 2;
    Loop *lp = loop_over(b, &b->kernel->body, FOR_PARALLEL, p);
    lp->step = 2;
    Loop *lb = loop_over(b, &lp->body, FOR_SERIAL, block);
    lb->step = 16;
    Loop *li = loop_over(b, &lb->body, FOR_VECTOR, i);
    li->begin = at(b, block);
    li->length = 16;
    Loop *lu = loop_over(b, &li->body, FOR_UNROLLED, u);
    const Affine *cell = affine_add(
        b->pool,
        affine_scale(b->pool, affine_add(b->pool, affine_scale(b->pool, at(b, p), 25), at(b, i)),
                     4),
        at(b, u));
    store(b, &lu->body, y, cell, expr_affine(b->pool, affine_offset(b->pool, cell, 1)));
    int32_t out[600] = {0};
    KernelFunction *f = compiled(b);
    EmitArguments *block_of = calloc(1, sizeof *block_of + sizeof(void *));
    block_of->operands[0] = out;
    f(block_of, 1, 3, NULL);
    for (int k = 0; k < 600; k++)
        assert_int_equal(out[k], k < 200 ? 0 : k + 1);
    f(block_of, 0, 1, NULL);
    for (int k = 0; k < 600; k++)
        assert_int_equal(out[k], k + 1);
    free(block_of);
    bench_free(b);
}

/* ---- matrix tiles ----------------------------------------------------------------------------------------- */

/* Is a configuration of tiles loaded on this thread?  Its first byte is the palette, 0: none. */
static bool tiles_are_configured(void)
{
    unsigned char configuration[64] = {0};
#ifdef __x86_64__
    __asm__ volatile("sttilecfg %0" : "=m"(configuration));
#endif
    return configuration[0];
}

/* A kernel that uses them leaves none behind, and its other work as it was. */
static void test_tiles_are_released(void **state)
{
    for (int optimize = 0; optimize <= 2; optimize += 2) {
        Bench *b = bench_new(TYPE_F32, 0, optimize);
        if (!b->lanes.matrix_tiles) {
            bench_free(b);
            skip();
        }
        b->kernel->matrix_tiles = true;
        Buffer *x = operand(b, TYPE_F32, 70, false), *y = operand(b, TYPE_F32, 70, true);
        Index *i = range(b, "i", 70);
        Loop *l = loop_over(b, &b->kernel->body, FOR_VECTOR, i);
        store(b, &l->body, y, at(b, i), load(b, x, at(b, i)));
        float in[70], out[70];
        for (int k = 0; k < 70; k++)
            in[k] = small(k);
        call(b, 1, (void *[]){in, out});
        assert_memory_equal(in, out, sizeof in);
        assert_false(tiles_are_configured());
        bench_free(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sum_with_tails),
        cmocka_unit_test(test_fold_is_a_fixed_tree),
        cmocka_unit_test(test_other_reductions),
        cmocka_unit_test(test_argmax_by_selects),
        cmocka_unit_test(test_carried_registers_stay_scalar),
        cmocka_unit_test(test_masked_store),
        cmocka_unit_test(test_guarded_loads),
        cmocka_unit_test(test_uniform_guard),
        cmocka_unit_test(test_gather_by_data),
        cmocka_unit_test(test_floor_division),
        cmocka_unit_test(test_strided_store),
        cmocka_unit_test(test_scatter_add),
        cmocka_unit_test(test_transposed_copy),
        cmocka_unit_test(test_tile),
        cmocka_unit_test(test_tile_loops),
        cmocka_unit_test(test_tile_slides),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_integer_functions),
        cmocka_unit_test(test_every_function),
        cmocka_unit_test(test_levels_agree),
        cmocka_unit_test(test_loops),
        cmocka_unit_test(test_tiles_are_released),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
