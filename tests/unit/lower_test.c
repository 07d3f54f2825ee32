/* Scheduled and lowered graphs compute what the tensor IR says, at every vector width, for whole
 * and partial batches. */
#include "lower_machine.h"

/* ---- making graphs ------------------------------------------------------------------------------------- */

typedef struct Bench {
    Arena *arena;
    ExprPool *p;
    Graph *g;
    int64_t batch;
} Bench;

static Bench bench_create(DType real, int64_t batch)
{
    Bench b = {.arena = arena_create(), .batch = batch};
    b.p = expr_pool_create(b.arena, real);
    b.g = graph_create(b.p, interner_create(b.arena), "step", batch);
    return b;
}

static Index *ix(Bench *b, const char *name, int64_t extent)
{
    return index_new(b->p, name, extent, 0, SPAN_NONE);
}

static Index *examples(Bench *b)
{
    return index_new(b->p, "batch", b->batch, 1, SPAN_NONE);
}

static const int64_t *shape_of(Bench *b, int rank, va_list args)
{
    int64_t *shape = arena_new(b->arena, int64_t, rank + 1);
    for (int i = 0; i < rank; i++)
        shape[i] = va_arg(args, int);
    return shape;
}

static Node *input(Bench *b, const char *name, DType type, int rank, ...)
{
    va_list args;
    va_start(args, rank);
    Port *port = arena_new(b->arena, Port, 1);
    *port = (Port){.name = name,
                   .type = type,
                   .rank = rank,
                   .shape = shape_of(b, rank, args),
                   .span = SPAN_NONE};
    va_end(args);
    return graph_port(b->g, port);
}

static Tensor *tensor(Bench *b, const char *name, int rank, ...)
{
    va_list args;
    va_start(args, rank);
    Tensor *t = arena_new(b->arena, Tensor, 1);
    *t = (Tensor){.name = name,
                  .type = expr_pool_real(b->p),
                  .rank = rank,
                  .shape = shape_of(b, rank, args),
                  .span = SPAN_NONE};
    va_end(args);
    return t;
}

static const Affine *A(Bench *b, Index *i)
{
    return affine_index(b->p, i);
}

/* n at affine subscripts. */
static const Expr *at(Bench *b, Node *n, ...)
{
    va_list args;
    va_start(args, n);
    Subscript *s = arena_new(b->arena, Subscript, n->rank + 1);
    for (int i = 0; i < n->rank; i++)
        s[i].affine = va_arg(args, const Affine *);
    va_end(args);
    return expr_access(b->p, n, s);
}

#define LIST(...) ((Index *[]){__VA_ARGS__})
#define COUNT(...) ((int)(sizeof LIST(__VA_ARGS__) / sizeof(Index *)))
#define MAP(b, name, domain, body)                                                                 \
    graph_compute((b)->g, name, (body)->type, LIST domain, COUNT domain, NULL, NULL, 0, body,      \
                  SPAN_NONE)
#define FOLD(b, name, domain, r, bound, body)                                                      \
    graph_compute((b)->g, name, (r)->position ? TYPE_I32 : (body)->type, LIST domain,              \
                  COUNT domain, r, LIST bound, COUNT bound, body, SPAN_NONE)
#define FOLD_ALL(b, name, r, bound, body)                                                          \
    graph_compute((b)->g, name, (body)->type, NULL, 0, r, LIST bound, COUNT bound, body, SPAN_NONE)

static void update(Bench *b, Node *value, Tensor *t)
{
    graph_result(b->g, RESULT_UPDATE, t->name, value, t, 0);
}

static int outputs;

static void output(Bench *b, Node *value)
{
    graph_result(b->g, RESULT_OUTPUT, value->name, value, NULL, outputs++);
}

static const Expr *constant(Bench *b, double v)
{
    return expr_const(b->p, v);
}

static const Expr *call(Bench *b, const ScalarFunction *f, const Expr *x, const Expr *y)
{
    return expr_call(b->p, f, (const Expr *[]){x, y});
}

/* ---- running them --------------------------------------------------------------------------------------- */

static uint64_t state = 1;

static double noise(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(int64_t)(state >> 20 & 0xfffff) / 0x80000 - 1;
}

static void fill_leaves(Bench *b, Evaluation *ev)
{
    for (int i = 0; i < b->g->nodes.count; i++) {
        Node *n = b->g->nodes.data[i];
        if (n->kind != NODE_PORT && n->kind != NODE_TENSOR)
            continue;
        int64_t count = node_elements(n);
        if (node_is_batched(n))
            count = count / n->domain[0]->extent * ev->examples;
        for (int64_t e = 0; e < count; e++) {
            double v = noise();
            if (!dtype_is_real(n->type))
                v = floor(
                    (v + 1) / 2 *
                    (n->kind == NODE_PORT && n->port->classes ? (double)n->port->classes : 3));
            ev->values[i][e] = n->type == TYPE_F32 ? (double)(float)v : v;
        }
    }
}

static bool verbose;

/* With vectors of so many bytes at least. */
static Schedule *check_widths(Bench *b, int least)
{
    graph_prune(b->g);
    const char *wrong = graph_verify(b->g);
    if (wrong)
        fail_msg("%s", wrong);
    const LaneModel lanes = {64, 32, 32768, 1 << 20, true};
    Schedule *s = schedule_run(b->g, NULL, &lanes);
    if (verbose) {
        Text t;
        text_init(&t, b->arena);
        schedule_print(&t, s, &(Rates){0}, NULL, NULL);
        memory_print(&t, s);
        for (int i = 0; i < s->kernels.count; i++)
            loop_print(&t, lower_kernel(s, s->kernels.data[i], &lanes));
        puts(t.data);
    }
    static const int widths[] = {64, 32, 16, 4};
    for (int64_t n = b->batch; n > 0; n = n / 3) {
        Evaluation *ev = evaluation_create(b->g, n);
        fill_leaves(b, ev);
        evaluation_run(ev);
        for (int w = 0; w < 4 && widths[w] >= least; w++)
            machine_check(s, ev, widths[w], expr_pool_real(b->p) == TYPE_F32 ? 1e-4 : 1e-10);
    }
    return s;
}

static Schedule *check(Bench *b)
{
    return check_widths(b, 0);
}

/* With the vectors alone beside which there are matrix tiles. */
static Schedule *check_tiles(Bench *b)
{
    return check_widths(b, 64);
}

static int count_kernels(const Schedule *s, KernelKind kind)
{
    int count = 0;
    for (int i = 0; i < s->kernels.count; i++)
        count += s->kernels.data[i]->kind == kind;
    return count;
}

/* ---- elementwise ----------------------------------------------------------------------------------------- */

static void elementwise(void **unused)
{
    (void)unused;
    static const int sizes[] = {1, 3, 17, 100};
    for (int k = 0; k < 4; k++) {
        Bench b = bench_create(TYPE_F32, 33);
        Node *x = input(&b, "x", TYPE_F32, 2, sizes[k], 5);
        Index *e = examples(&b), *i = ix(&b, "i", sizes[k]), *j = ix(&b, "j", 5);
        const Expr *v = at(&b, x, A(&b, e), A(&b, i), A(&b, j));
        Node *y = MAP(&b, "y", (e, i, j), expr_add(b.p, expr_mul(b.p, v, v), constant(&b, 1)));
        output(&b, y);
        check(&b);
        arena_destroy(b.arena);
    }
}

static void broadcast(void **unused)
{
    (void)unused;
    Bench b = bench_create(TYPE_F32, 7);
    Node *x = input(&b, "x", TYPE_U8, 2, 4, 17);
    Tensor *t = tensor(&b, "bias", 1, 17);
    Node *bias = graph_tensor(b.g, t);
    Index *e = examples(&b), *i = ix(&b, "i", 4), *j = ix(&b, "j", 17);
    const Expr *v = expr_cast(b.p, at(&b, x, A(&b, e), A(&b, i), A(&b, j)), TYPE_F32);
    Node *y = MAP(&b, "y", (e, i, j), expr_add(b.p, v, at(&b, bias, A(&b, j))));
    Index *e2 = examples(&b), *i2 = ix(&b, "i", 4), *j2 = ix(&b, "j", 17);
    Node *transposed = MAP(&b, "z", (e2, j2, i2), at(&b, y, A(&b, e2), A(&b, i2), A(&b, j2)));
    output(&b, y);
    output(&b, transposed);
    check(&b);
    arena_destroy(b.arena);
}

/* ---- rows -------------------------------------------------------------------------------------------------- */

static Node *make_softmax(Bench *b, Node *x, int64_t n, int64_t rows)
{
    Index *e1 = examples(b), *r1 = ix(b, "r", rows), *i1 = ix(b, "i", n);
    Node *m = FOLD(b, "m", (e1, r1), &reduce_max, (i1), at(b, x, A(b, e1), A(b, r1), A(b, i1)));
    Index *e2 = examples(b), *r2 = ix(b, "r", rows), *i2 = ix(b, "i", n);
    const Expr *shifted =
        expr_sub(b->p, at(b, x, A(b, e2), A(b, r2), A(b, i2)), at(b, m, A(b, e2), A(b, r2)));
    Node *ex = MAP(b, "e", (e2, r2, i2), expr_call(b->p, &scalar_exp, &shifted));
    Index *e3 = examples(b), *r3 = ix(b, "r", rows), *i3 = ix(b, "i", n);
    Node *s = FOLD(b, "s", (e3, r3), &reduce_sum, (i3), at(b, ex, A(b, e3), A(b, r3), A(b, i3)));
    Index *e4 = examples(b), *r4 = ix(b, "r", rows), *i4 = ix(b, "i", n);
    return MAP(
        b, "y", (e4, r4, i4),
        expr_div(b->p, at(b, ex, A(b, e4), A(b, r4), A(b, i4)), at(b, s, A(b, e4), A(b, r4))));
}

static void softmax(void **unused)
{
    (void)unused;
    static const int sizes[] = {1, 3, 33, 100};
    for (int k = 0; k < 4; k++) {
        Bench b = bench_create(TYPE_F32, 9);
        Node *x = input(&b, "x", TYPE_F32, 2, 3, sizes[k]);
        output(&b, make_softmax(&b, x, sizes[k], 3));
        Schedule *s = check(&b);
        assert_int_equal(s->kernels.count, 1);
        assert_int_equal(s->workspace_bytes, 0);
        arena_destroy(b.arena);
    }
}

static void layer_norm(void **unused)
{
    (void)unused;
    Bench b = bench_create(TYPE_F64, 5);
    enum { N = 33 };
    Node *x = input(&b, "x", TYPE_F64, 1, N);
    Node *gain = graph_tensor(b.g, tensor(&b, "gain", 1, N));
    Index *e1 = examples(&b), *i1 = ix(&b, "i", N);
    Node *mean = FOLD(&b, "mean", (e1), &reduce_sum, (i1),
                      expr_mul(b.p, constant(&b, 1.0 / N), at(&b, x, A(&b, e1), A(&b, i1))));
    Index *e2 = examples(&b), *i2 = ix(&b, "i", N);
    const Expr *d = expr_sub(b.p, at(&b, x, A(&b, e2), A(&b, i2)), at(&b, mean, A(&b, e2)));
    Node *var = FOLD(&b, "var", (e2), &reduce_sum, (i2), expr_mul(b.p, d, d));
    Index *e3 = examples(&b), *i3 = ix(&b, "i", N);
    d = expr_sub(b.p, at(&b, x, A(&b, e3), A(&b, i3)), at(&b, mean, A(&b, e3)));
    const Expr *v = expr_add(b.p, at(&b, var, A(&b, e3)), constant(&b, 1e-5));
    Node *y = MAP(&b, "y", (e3, i3),
                  expr_mul(b.p, expr_mul(b.p, d, expr_call(b.p, &scalar_rsqrt, &v)),
                           at(&b, gain, A(&b, i3))));
    output(&b, y);
    output(&b, mean);
    assert_int_equal(check(&b)->kernels.count, 1);
    arena_destroy(b.arena);
}

/* ---- reductions ---------------------------------------------------------------------------------------------- */

static void batch_sums(void **unused)
{
    (void)unused;
    static const int sizes[] = {1, 3, 17, 100};
    for (int k = 0; k < 4; k++) {
        Bench b = bench_create(TYPE_F64, 33);
        Node *x = input(&b, "x", TYPE_F64, 2, 3, sizes[k]);
        Index *e = examples(&b), *i = ix(&b, "i", 3), *j = ix(&b, "j", sizes[k]);
        Tensor *t = tensor(&b, "t", 1, sizes[k]), *m = tensor(&b, "m", 1, sizes[k]);
        const Expr *v = at(&b, x, A(&b, e), A(&b, i), A(&b, j));
        Node *sum = FOLD(&b, "sum", (j), &reduce_sum, (e, i), v);
        Index *e2 = examples(&b), *i2 = ix(&b, "i", 3), *j2 = ix(&b, "j", sizes[k]);
        v = at(&b, x, A(&b, e2), A(&b, i2), A(&b, j2));
        Node *squares = FOLD(&b, "squares", (j2), &reduce_max, (e2, i2), expr_mul(b.p, v, v));
        Index *e3 = examples(&b), *i3 = ix(&b, "i", 3), *j3 = ix(&b, "j", sizes[k]);
        Node *loss = FOLD_ALL(&b, "loss", &reduce_sum, (e3, i3, j3),
                              at(&b, x, A(&b, e3), A(&b, i3), A(&b, j3)));
        graph_result(b.g, RESULT_LOSS, "loss", loss, NULL, 0);
        update(&b, sum, t);
        update(&b, squares, m);
        Schedule *s = check(&b);
        for (int n = s->loss_kernel + 1; n < s->kernels.count; n++)
            assert_true(s->kernels.data[n]->nodes.data[0] != loss);
        assert_true(s->loss_kernel >= 0 && s->loss_kernel < s->kernels.count - 1);
        arena_destroy(b.arena);
    }
}

static void positions(void **unused)
{
    (void)unused;
    Bench b = bench_create(TYPE_F32, 20);
    Node *x = input(&b, "x", TYPE_F32, 2, 3, 7);
    Index *e = examples(&b), *i = ix(&b, "i", 3), *j = ix(&b, "j", 7);
    Node *largest =
        FOLD(&b, "largest", (e), &reduce_argmax, (i, j), at(&b, x, A(&b, e), A(&b, i), A(&b, j)));
    Index *e2 = examples(&b), *i2 = ix(&b, "i", 3), *j2 = ix(&b, "j", 7);
    /* many ties: the first counts */
    const Expr *v = at(&b, x, A(&b, e2), A(&b, i2), A(&b, j2));
    Node *smallest =
        FOLD(&b, "smallest", (e2, j2), &reduce_argmin, (i2), expr_call(b.p, &scalar_sign, &v));
    output(&b, largest);
    output(&b, smallest);
    check(&b);
    arena_destroy(b.arena);
}

/* ---- contractions ---------------------------------------------------------------------------------------------- */

static const Expr *relu(Bench *b, const Expr *x)
{
    return call(b, &scalar_max, x, constant(b, 0));
}

/* A dense layer, a squared loss, its gradients, and their updates in place. */
static void dense(DType real, int batch, int in, int out, bool transposed)
{
    Bench b = bench_create(real, batch);
    Node *x = input(&b, "x", real, 1, in), *target = input(&b, "target", real, 1, out);
    Tensor *tw = transposed ? tensor(&b, "w", 2, in, out) : tensor(&b, "w", 2, out, in),
           *tb = tensor(&b, "bias", 1, out);
    Node *w = graph_tensor(b.g, tw), *bias = graph_tensor(b.g, tb);
    Index *e = examples(&b), *o = ix(&b, "o", out), *i = ix(&b, "i", in);
    const Expr *weight = transposed ? at(&b, w, A(&b, i), A(&b, o)) : at(&b, w, A(&b, o), A(&b, i));
    Node *z = FOLD(&b, "z", (e, o), &reduce_sum, (i),
                   expr_mul(b.p, weight, at(&b, x, A(&b, e), A(&b, i))));
    Index *e2 = examples(&b), *o2 = ix(&b, "o", out);
    Node *y =
        MAP(&b, "y", (e2, o2),
            relu(&b, expr_add(b.p, at(&b, z, A(&b, e2), A(&b, o2)), at(&b, bias, A(&b, o2)))));
    Index *e3 = examples(&b), *o3 = ix(&b, "o", out);
    Node *d =
        MAP(&b, "d", (e3, o3),
            expr_sub(b.p, at(&b, y, A(&b, e3), A(&b, o3)), at(&b, target, A(&b, e3), A(&b, o3))));
    Index *e4 = examples(&b), *o4 = ix(&b, "o", out);
    const Expr *v = at(&b, d, A(&b, e4), A(&b, o4));
    Node *loss = FOLD_ALL(&b, "loss", &reduce_sum, (e4, o4), expr_mul(b.p, v, v));
    Index *e5 = examples(&b), *o5 = ix(&b, "o", out);
    const Expr *on = call(&b, &scalar_gt, at(&b, y, A(&b, e5), A(&b, o5)), constant(&b, 0));
    Node *dz = MAP(&b, "dz", (e5, o5),
                   expr_select(b.p, on, at(&b, d, A(&b, e5), A(&b, o5)), constant(&b, 0)));
    Index *e6 = examples(&b), *o6 = ix(&b, "o", out), *i6 = ix(&b, "i", in);
    const Expr *g =
        expr_mul(b.p, at(&b, dz, A(&b, e6), A(&b, o6)), at(&b, x, A(&b, e6), A(&b, i6)));
    Node *dw = transposed ? FOLD(&b, "dw", (i6, o6), &reduce_sum, (e6), g)
                          : FOLD(&b, "dw", (o6, i6), &reduce_sum, (e6), g);
    Index *e7 = examples(&b), *o7 = ix(&b, "o", out);
    Node *db = FOLD(&b, "db", (o7), &reduce_sum, (e7), at(&b, dz, A(&b, e7), A(&b, o7)));
    Index *e8 = examples(&b), *o8 = ix(&b, "o", out), *i8 = ix(&b, "i", in);
    weight = transposed ? at(&b, w, A(&b, i8), A(&b, o8)) : at(&b, w, A(&b, o8), A(&b, i8));
    Node *dx = FOLD(&b, "dx", (e8, i8), &reduce_sum, (o8),
                    expr_mul(b.p, weight, at(&b, dz, A(&b, e8), A(&b, o8))));
    Index *p = ix(&b, "p", transposed ? in : out), *q = ix(&b, "q", transposed ? out : in);
    const Expr *rate = constant(&b, 0.1);
    Node *w2 = MAP(&b, "w2", (p, q),
                   expr_sub(b.p, at(&b, w, A(&b, p), A(&b, q)),
                            expr_mul(b.p, rate, at(&b, dw, A(&b, p), A(&b, q)))));
    Index *r = ix(&b, "r", out);
    Node *b2 =
        MAP(&b, "b2", (r),
            expr_sub(b.p, at(&b, bias, A(&b, r)), expr_mul(b.p, rate, at(&b, db, A(&b, r)))));
    graph_result(b.g, RESULT_LOSS, "loss", loss, NULL, 0);
    update(&b, w2, tw);
    update(&b, b2, tb);
    output(&b, dx);
    Schedule *s = check(&b);
    if ((double)batch * in * out >= 16384 && batch >= 4 && in >= 4 && out >= 4) {
        assert_int_equal(count_kernels(s, KERNEL_CONTRACTION), 3);
        assert_int_equal(s->places[dw->id].kind, PLACE_SCRATCH);
        assert_int_equal(s->places[w2->id].kind, PLACE_TENSOR);
    }
    arena_destroy(b.arena);
}

static void dense_sizes(void **unused)
{
    (void)unused;
    dense(TYPE_F32, 1, 3, 5, false);
    dense(TYPE_F32, 16, 4, 16, false);
    dense(TYPE_F32, 33, 64, 10, false);
    dense(TYPE_F64, 17, 100, 33, true);
    dense(TYPE_F64, 40, 33, 300, false);
    dense(TYPE_F32, 9, 500, 40, false);
}

/* Tiles of slices, or (lines) of those that windows share. */
static int count_sliced(const LoopList *list, bool lines)
{
    int count = 0;
    for (int i = 0; i < list->count; i++) {
        const Loop *l = list->data[i];
        count += l->kind == LOOP_TILE && l->sliced && (!lines || l->inner_count);
        count += count_sliced(&l->body, lines);
    }
    return count;
}

static int count_sliced_kernels(const Schedule *s, bool lines)
{
    const LaneModel lanes = {64, 32, 32768, 1 << 20, true};
    int count = 0;
    for (int i = 0; i < s->kernels.count; i++)
        count += count_sliced(&lower_kernel(s, s->kernels.data[i], &lanes)->body, lines) > 0;
    return count;
}

static bool is_sliced(const Schedule *s)
{
    return count_sliced_kernels(s, false) > 0;
}

/* Is a kernel's tile summed up so? */
static bool says(const Schedule *s, const char *how)
{
    const LaneModel lanes = {64, 32, 32768, 1 << 20, true};
    Text t;
    text_init(&t, s->graph->arena);
    for (int i = 0; i < s->kernels.count; i++)
        loop_summary(&t, lower_kernel(s, s->kernels.data[i], &lanes));
    return strstr(t.data, how);
}

/* Operands that lie along the depth and across it, or are computed; rows, columns and depth that fill no tile. */
static void slices(void **unused)
{
    (void)unused;
    static const int sizes[][3] = {
        {128, 96, 160}, {130, 125, 401}, {257, 129, 64}, {100, 333, 200}};
    for (int k = 0; k < 8; k++) {
        const int *n = sizes[k / 2];
        Bench b = bench_create(TYPE_F32, n[0]);
        Node *x = input(&b, "x", TYPE_F32, 1, n[2]);
        const bool transposed = k % 2;
        Node *w = graph_tensor(b.g, transposed ? tensor(&b, "w", 2, n[2], n[1])
                                               : tensor(&b, "w", 2, n[1], n[2]));
        Index *e = examples(&b), *o = ix(&b, "o", n[1]), *i = ix(&b, "i", n[2]);
        const Affine *first = A(&b, transposed ? i : o), *second = A(&b, transposed ? o : i);
        const bool computed = k > 4 && transposed;
        const Expr *weight = at(&b, w, first, second);
        Node *y = FOLD(
            &b, "y", (e, o), &reduce_sum, (i),
            expr_mul(b.p, computed ? relu(&b, weight) : weight, at(&b, x, A(&b, e), A(&b, i))));
        Index *e2 = examples(&b), *o2 = ix(&b, "o", n[1]), *i2 = ix(&b, "i", n[2]);
        const Expr *positive = relu(&b, at(&b, y, A(&b, e2), A(&b, o2)));
        output(&b, y);
        output(&b, FOLD(&b, "dw", (o2, i2), &reduce_sum, (e2),
                        expr_mul(b.p, positive, at(&b, x, A(&b, e2), A(&b, i2)))));
        Schedule *s = check_tiles(&b);
        assert_true(is_sliced(s));
        assert_int_equal(says(s, "right as it is computed"), computed);
        arena_destroy(b.arena);
    }
}

/* An operand that is computed as it is sliced, and sums over the rows, which fill no panels. */
static void slices_of_computed(void **unused)
{
    (void)unused;
    static const int sizes[][4] = {{20, 33, 100, 100}, {9, 56, 130, 161}, {12, 27, 200, 130}};
    for (int k = 0; k < 6; k++) {
        const int *n = sizes[k / 2], rows = n[1];
        Bench b = bench_create(TYPE_F32, n[0]);
        Node *x = input(&b, "x", TYPE_F32, 2, rows, n[3]),
             *scale = graph_tensor(b.g, tensor(&b, "scale", 1, n[3])),
             *w = graph_tensor(b.g, tensor(&b, "w", 2, n[2], n[3]));
        Index *e = examples(&b), *r = ix(&b, "r", rows), *o = ix(&b, "o", n[2]),
              *i = ix(&b, "i", n[3]);
        const Expr *scaled =
            expr_mul(b.p, at(&b, x, A(&b, e), A(&b, r), A(&b, i)), at(&b, scale, A(&b, i)));
        Node *y = FOLD(&b, "y", (e, r, o), &reduce_sum, (i),
                       expr_mul(b.p, at(&b, w, A(&b, o), A(&b, i)), relu(&b, scaled)));
        output(&b, y);
        Index *e2 = examples(&b), *r2 = ix(&b, "r", rows), *o2 = ix(&b, "o", n[2]);
        if (k % 2)
            output(&b, FOLD(&b, "sum", (e2, o2), &reduce_sum, (r2),
                            at(&b, y, A(&b, e2), A(&b, r2), A(&b, o2))));
        const Schedule *s = check_tiles(&b);
        assert_int_equal(kernel_sum_rows(s->kernels.data[s->kernels.count - 1]), k % 2 ? rows : 0);
        assert_true(says(s, "left as it is computed"));
        arena_destroy(b.arena);
    }
}

/* Sums over examples and positions, which are one index, in chunks: of the columns those of the next are sliced while this
 * one's tiles run. */
static void slices_of_chunks(void **unused)
{
    (void)unused;
    static const int sizes[][4] = {{50, 9, 130, 256}, {8, 56, 128, 192}};
    const LaneModel lanes = {64, 32, 32768, 1 << 20, true};
    for (int k = 0; k < 2; k++) {
        const int *n = sizes[k];
        Bench b = bench_create(TYPE_F32, n[0]);
        Node *x = input(&b, "x", TYPE_F32, 2, n[1], n[3]),
             *dy = input(&b, "dy", TYPE_F32, 2, n[1], n[2]);
        Index *e = examples(&b), *r = ix(&b, "r", n[1]), *o = ix(&b, "o", n[2]),
              *i = ix(&b, "i", n[3]);
        output(&b, FOLD(&b, "dw", (o, i), &reduce_sum, (e, r),
                        expr_mul(b.p, at(&b, dy, A(&b, e), A(&b, r), A(&b, o)),
                                 relu(&b, at(&b, x, A(&b, e), A(&b, r), A(&b, i))))));
        const Schedule *s = check_tiles(&b);
        Text t;
        text_init(&t, b.arena);
        loop_print(&t, lower_kernel(s, s->kernels.data[0], &lanes));
        const char *aside = strstr(t.data, "besides part");
        assert_non_null(aside);
        assert_non_null(strstr(aside, "slices 32 by step"));
        arena_destroy(b.arena);
    }
}

/* A matrix that has zeros in a corner: blocks of the depth in there are left out. */
static void slices_of_corners(void **unused)
{
    (void)unused;
    for (int k = 0; k < 2; k++) {
        Bench b = bench_create(TYPE_F32, 150);
        Node *x = input(&b, "x", TYPE_F32, 1, 300);
        Node *w = graph_tensor(b.g, tensor(&b, "w", 2, 300, 300));
        Index *e = examples(&b), *o = ix(&b, "o", 300), *i = ix(&b, "i", 300);
        const Affine *above =
            k ? affine_sub(b.p, A(&b, o), A(&b, i)) : affine_sub(b.p, A(&b, i), A(&b, o));
        const Expr *below = expr_test(b.p, TEST_NOT_NEGATIVE, affine_offset(b.p, above, 150)),
                   *weight =
                       expr_select(b.p, below, at(&b, w, A(&b, o), A(&b, i)), constant(&b, 0));
        output(&b, FOLD(&b, "y", (e, o), &reduce_sum, (i),
                        expr_mul(b.p, weight, at(&b, x, A(&b, e), A(&b, i)))));
        Schedule *s = check_tiles(&b);
        assert_int_equal(s->kernels.data[0]->contraction.limits.count, 1);
        assert_true(is_sliced(s));
        arena_destroy(b.arena);
    }
}

/* Several blocks of depth, rows and columns. */
static void large_product(void **unused)
{
    (void)unused;
    Bench b = bench_create(TYPE_F64, 3);
    Node *u = input(&b, "u", TYPE_F64, 2, 50, 450), *v = input(&b, "v", TYPE_F64, 2, 450, 40);
    Index *e = examples(&b), *i = ix(&b, "i", 50), *j = ix(&b, "j", 40), *k = ix(&b, "k", 450);
    Node *y = FOLD(&b, "y", (e, i, j), &reduce_sum, (k),
                   expr_mul(b.p, at(&b, u, A(&b, e), A(&b, i), A(&b, k)),
                            at(&b, v, A(&b, e), A(&b, k), A(&b, j))));
    output(&b, y);
    Schedule *s = check(&b);
    assert_int_equal(count_kernels(s, KERNEL_CONTRACTION), 1);
    assert_int_equal(s->kernels.data[0]->contraction.groups.count, 1);
    arena_destroy(b.arena);
}

static Node *product(Bench *b, const char *name, Node *x, Node *w, int g, int out, int in)
{
    Index *e = examples(b), *h = ix(b, "h", g), *o = ix(b, "o", out), *k = ix(b, "k", in);
    const Affine *row = affine_add(b->p, affine_scale(b->p, A(b, h), out), A(b, o));
    return FOLD(b, name, (e, h, o), &reduce_sum, (k),
                expr_mul(b->p, at(b, w, row, A(b, k)), at(b, x, A(b, e), A(b, k))));
}

/* Two products with the same weights, which are put in panels once; and once more, for the product along
 * their other dimension. */
static void panels(void **unused)
{
    (void)unused;
    static const int sizes[][3] = {{1, 258, 257}, {4, 64, 260}, {2, 135, 256}};
    for (int i = 0; i < 3; i++) {
        const int g = sizes[i][0], out = sizes[i][1], in = sizes[i][2];
        Bench b = bench_create(TYPE_F32, 5);
        Node *x = input(&b, "x", TYPE_F32, 1, in), *y = input(&b, "y", TYPE_F32, 1, in);
        Node *w = graph_tensor(b.g, tensor(&b, "w", 2, g * out, in));
        Node *u = product(&b, "u", x, w, g, out, in), *v = product(&b, "v", y, w, g, out, in);
        output(&b, u);
        output(&b, v);
        for (int back = 0; back < 2; back++) {
            Index *e = examples(&b), *h = ix(&b, "h", g), *o = ix(&b, "o", out),
                  *k = ix(&b, "k", in);
            const Affine *row = affine_add(b.p, affine_scale(b.p, A(&b, h), out), A(&b, o));
            Node *d = FOLD(&b, "d", (e, k), &reduce_sum, (h, o),
                           expr_mul(b.p, at(&b, w, row, A(&b, k)),
                                    at(&b, back ? u : v, A(&b, e), A(&b, h), A(&b, o))));
            output(&b, d);
        }
        Schedule *s = check(&b);
        assert_int_equal(count_kernels(s, KERNEL_CONTRACTION), 4);
        assert_int_equal(count_kernels(s, KERNEL_NEST), 2);
        arena_destroy(b.arena);
    }
}

/* Attention with heads flattened into channels: y[b, i, o] = sum[j] p[b, o/8, i, j] * v[b, j, o]. */
static void heads(void **unused)
{
    (void)unused;
    Bench b = bench_create(TYPE_F32, 5);
    Node *p = input(&b, "p", TYPE_F32, 3, 3, 17, 17), *v = input(&b, "v", TYPE_F32, 2, 17, 24);
    Index *e = examples(&b), *i = ix(&b, "i", 17), *o = ix(&b, "o", 24), *j = ix(&b, "j", 17);
    const Expr *weight = at(&b, p, A(&b, e), affine_quotient(b.p, A(&b, o), 8), A(&b, i), A(&b, j));
    Node *y = FOLD(&b, "y", (e, i, o), &reduce_sum, (j),
                   expr_mul(b.p, weight, at(&b, v, A(&b, e), A(&b, j), A(&b, o))));
    Index *e2 = examples(&b), *i2 = ix(&b, "i", 17), *o2 = ix(&b, "o", 24);
    const Expr *sum = at(&b, y, A(&b, e2), A(&b, i2), A(&b, o2));
    output(&b, MAP(&b, "z", (e2, i2, o2), expr_mul(b.p, sum, sum)));
    Schedule *s = check(&b);
    assert_int_equal(s->kernels.count, 1);
    assert_int_equal(s->kernels.data[0]->kind, KERNEL_CONTRACTION);
    assert_int_equal(s->kernels.data[0]->contraction.groups.count, 2);
    arena_destroy(b.arena);
}

/* y[b, oh, ow, f] = sum[u, v, c] w[f, c, u, v] * (x[b, s*oh+u-1, s*ow+v-1, c] else 0), and its gradients; what x's is made of
 * is y, an output, or (stored) made of it and kept with zeros around it. */
static Schedule *convolve(int batch, int size, int channels, int filters, int stride, bool stored)
{
    Bench b = bench_create(TYPE_F32, batch);
    int out = (size - 1) / stride + 1;
    Node *x = input(&b, "x", TYPE_F32, 3, size, size, channels);
    Tensor *tw = tensor(&b, "w", 4, filters, channels, 3, 3);
    Node *w = graph_tensor(b.g, tw);
    Index *e = examples(&b), *h = ix(&b, "oh", out), *l = ix(&b, "ow", out),
          *f = ix(&b, "f", filters);
    Index *u = ix(&b, "u", 3), *v = ix(&b, "v", 3), *c = ix(&b, "c", channels);
    const Affine *row =
        affine_offset(b.p, affine_add(b.p, affine_scale(b.p, A(&b, h), stride), A(&b, u)), -1);
    const Affine *col =
        affine_offset(b.p, affine_add(b.p, affine_scale(b.p, A(&b, l), stride), A(&b, v)), -1);
    const Expr *inside = expr_test(b.p, TEST_NOT_NEGATIVE, row);
    inside = expr_and(b.p, inside,
                      expr_test(b.p, TEST_NOT_NEGATIVE,
                                affine_offset(b.p, affine_scale(b.p, row, -1), size - 1)));
    inside = expr_and(b.p, inside, expr_test(b.p, TEST_NOT_NEGATIVE, col));
    inside = expr_and(b.p, inside,
                      expr_test(b.p, TEST_NOT_NEGATIVE,
                                affine_offset(b.p, affine_scale(b.p, col, -1), size - 1)));
    const Expr *pixel =
        expr_select(b.p, inside, at(&b, x, A(&b, e), row, col, A(&b, c)), constant(&b, 0));
    Node *y = FOLD(&b, "y", (e, h, l, f), &reduce_sum, (u, v, c),
                   expr_mul(b.p, at(&b, w, A(&b, f), A(&b, c), A(&b, u), A(&b, v)), pixel));
    /* weight gradient, as if dy were y */
    Index *from[] = {e, h, l, f, u, v, c};
    Index *e2 = examples(&b), *h2 = ix(&b, "oh", out), *l2 = ix(&b, "ow", out),
          *f2 = ix(&b, "f", filters);
    Index *u2 = ix(&b, "u", 3), *v2 = ix(&b, "v", 3), *c2 = ix(&b, "c", channels);
    const Affine *to[] = {A(&b, e2), A(&b, h2), A(&b, l2), A(&b, f2),
                          A(&b, u2), A(&b, v2), A(&b, c2)};
    Substitution s = {7, from, to};
    const Expr *g = expr_mul(b.p, at(&b, y, A(&b, e2), A(&b, h2), A(&b, l2), A(&b, f2)),
                             expr_substitute(b.p, pixel, &s));
    Node *dw = FOLD(&b, "dw", (f2, c2, u2, v2), &reduce_sum, (e2, h2, l2), g);
    output(&b, y);
    update(&b, dw, tw);
    if (stride == 1) { /* the input gradient is a correlation again */
        Index *e3 = examples(&b), *h3 = ix(&b, "h", size), *l3 = ix(&b, "l", size),
              *c3 = ix(&b, "c", channels);
        Index *u3 = ix(&b, "u", 3), *v3 = ix(&b, "v", 3), *f3 = ix(&b, "f", filters);
        row = affine_offset(b.p, affine_sub(b.p, A(&b, h3), A(&b, u3)), 1);
        col = affine_offset(b.p, affine_sub(b.p, A(&b, l3), A(&b, v3)), 1);
        inside = expr_test(b.p, TEST_NOT_NEGATIVE, row);
        inside = expr_and(b.p, inside,
                          expr_test(b.p, TEST_NOT_NEGATIVE,
                                    affine_offset(b.p, affine_scale(b.p, row, -1), out - 1)));
        inside = expr_and(b.p, inside, expr_test(b.p, TEST_NOT_NEGATIVE, col));
        inside = expr_and(b.p, inside,
                          expr_test(b.p, TEST_NOT_NEGATIVE,
                                    affine_offset(b.p, affine_scale(b.p, col, -1), out - 1)));
        Node *dy = y;
        if (stored) {
            Index *e4 = examples(&b), *h4 = ix(&b, "h", out), *l4 = ix(&b, "l", out),
                  *f4 = ix(&b, "f", filters);
            dy = MAP(&b, "dy", (e4, h4, l4, f4),
                     relu(&b, at(&b, y, A(&b, e4), A(&b, h4), A(&b, l4), A(&b, f4))));
        }
        const Expr *product = expr_mul(b.p, at(&b, w, A(&b, f3), A(&b, c3), A(&b, u3), A(&b, v3)),
                                       at(&b, dy, A(&b, e3), row, col, A(&b, f3)));
        output(&b, FOLD(&b, "dx", (e3, h3, l3, c3), &reduce_sum, (u3, v3, f3),
                        expr_select(b.p, inside, product, constant(&b, 0))));
    }
    return check(&b);
}

static void convolutions(void **unused)
{
    (void)unused;
    static const int sizes[][5] = {
        {3, 7, 1, 5, 1}, {2, 9, 3, 20, 2}, {4, 6, 16, 8, 1}, {2, 5, 32, 33, 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int *n = sizes[i];
        arena_destroy(convolve(n[0], n[1], n[2], n[3], n[4], false)->graph->arena);
    }
}

/* Windows whose lines are sliced once, in regions that fill no tile; what the input's gradient reads goes backwards. */
static void windows_of_slices(void **unused)
{
    (void)unused;
    Schedule *s = convolve(2, 12, 32, 64, 1, true);
    assert_int_equal(count_sliced_kernels(s, true), 2);
    arena_destroy(s->graph->arena);
}

/* ---- scatter ------------------------------------------------------------------------------------------------------ */

static void embedding(void **unused)
{
    (void)unused;
    for (int domain = 0; domain < 2; domain++) {
        Bench b = bench_create(TYPE_F32, 6);
        Node *token = input(&b, "token", TYPE_I32, 1, 11),
             *d = input(&b, "d", TYPE_F32, 2, 11, 200);
        token->port->domain = domain ? DOMAIN_TOKEN : DOMAIN_NUMBER;
        token->port->classes = domain ? 13 : 20; /* unchecked numbers may lie outside the table */
        Tensor *tt = tensor(&b, "table", 2, 13, 200);
        Node *table = graph_tensor(b.g, tt);
        Index *v = ix(&b, "v", 13), *k = ix(&b, "k", 200), *e = examples(&b), *t = ix(&b, "t", 11);
        const Expr *chosen =
            call(&b, &scalar_eq, at(&b, token, A(&b, e), A(&b, t)), expr_affine(b.p, A(&b, v)));
        Node *g = FOLD(
            &b, "g", (v, k), &reduce_sum, (e, t),
            expr_select(b.p, chosen, at(&b, d, A(&b, e), A(&b, t), A(&b, k)), constant(&b, 0)));
        Index *v2 = ix(&b, "v", 13), *k2 = ix(&b, "k", 200);
        update(&b,
               MAP(&b, "new", (v2, k2),
                   expr_sub(b.p, at(&b, table, A(&b, v2), A(&b, k2)),
                            at(&b, g, A(&b, v2), A(&b, k2)))),
               tt);
        if (domain) {
            Index *e3 = examples(&b), *t3 = ix(&b, "t", 11), *k3 = ix(&b, "k", 200);
            Subscript s[] = {{.data = at(&b, token, A(&b, e3), A(&b, t3))}, {.affine = A(&b, k3)}};
            output(&b, MAP(&b, "looked_up", (e3, t3, k3), expr_access(b.p, table, s)));
        }
        assert_int_equal(count_kernels(check(&b), KERNEL_SCATTER), 1);
        arena_destroy(b.arena);
    }
}

/* ---- updates -------------------------------------------------------------------------------------------------------- */

static void swap(void **unused)
{
    (void)unused;
    Bench b = bench_create(TYPE_F64, 4);
    Tensor *tx = tensor(&b, "x", 1, 33), *ty = tensor(&b, "y", 1, 33), *tz = tensor(&b, "z", 1, 33);
    Node *x = graph_tensor(b.g, tx), *y = graph_tensor(b.g, ty), *z = graph_tensor(b.g, tz);
    Index *i = ix(&b, "i", 33), *j = ix(&b, "j", 33);
    update(&b, MAP(&b, "x2", (i), expr_add(b.p, at(&b, y, A(&b, i)), constant(&b, 1))), tx);
    update(&b, MAP(&b, "y2", (j), expr_mul(b.p, at(&b, x, A(&b, j)), constant(&b, 3))), ty);
    update(&b, x, tz); /* a copy of what x was */
    Index *k = ix(&b, "k", 33);
    const Affine *back = affine_offset(b.p, affine_scale(b.p, A(&b, k), -1), 32);
    Node *reversed = MAP(&b, "reversed", (k), at(&b, z, back));
    update(&b, reversed, tensor(&b, "w", 1, 33));
    check(&b);
    arena_destroy(b.arena);
}

static void reversed_in_place(void **unused)
{
    (void)unused;
    Bench b = bench_create(TYPE_F64, 4);
    Tensor *tx = tensor(&b, "x", 1, 100);
    Node *x = graph_tensor(b.g, tx);
    Index *k = ix(&b, "k", 100);
    const Affine *back = affine_offset(b.p, affine_scale(b.p, A(&b, k), -1), 99);
    update(&b, MAP(&b, "reversed", (k), at(&b, x, back)), tx);
    check(&b);
    arena_destroy(b.arena);
}

static void adam(void **unused)
{
    (void)unused;
    Bench b = bench_create(TYPE_F32, 8);
    enum { I = 40, O = 60 };
    Node *x = input(&b, "x", TYPE_F32, 1, I), *d = input(&b, "d", TYPE_F32, 1, O);
    Tensor *tw = tensor(&b, "w", 2, O, I), *tm = tensor(&b, "m", 2, O, I),
           *tv = tensor(&b, "v", 2, O, I);
    Node *w = graph_tensor(b.g, tw), *m = graph_tensor(b.g, tm), *v = graph_tensor(b.g, tv);
    Index *e = examples(&b), *o = ix(&b, "o", O), *i = ix(&b, "i", I);
    Node *g = FOLD(&b, "g", (o, i), &reduce_sum, (e),
                   expr_mul(b.p, at(&b, d, A(&b, e), A(&b, o)), at(&b, x, A(&b, e), A(&b, i))));
    Index *o1 = ix(&b, "o", O), *i1 = ix(&b, "i", I);
    Node *m2 = MAP(&b, "m2", (o1, i1),
                   expr_add(b.p, expr_mul(b.p, constant(&b, 0.9), at(&b, m, A(&b, o1), A(&b, i1))),
                            expr_mul(b.p, constant(&b, 0.1), at(&b, g, A(&b, o1), A(&b, i1)))));
    Index *o2 = ix(&b, "o", O), *i2 = ix(&b, "i", I);
    const Expr *square =
        expr_mul(b.p, at(&b, g, A(&b, o2), A(&b, i2)), at(&b, g, A(&b, o2), A(&b, i2)));
    Node *v2 = MAP(&b, "v2", (o2, i2),
                   expr_add(b.p, expr_mul(b.p, constant(&b, 0.99), at(&b, v, A(&b, o2), A(&b, i2))),
                            expr_mul(b.p, constant(&b, 0.01), square)));
    Index *o3 = ix(&b, "o", O), *i3 = ix(&b, "i", I);
    const Expr *magnitude = at(&b, v2, A(&b, o3), A(&b, i3));
    magnitude = call(&b, &scalar_max, magnitude, constant(&b, 0.001));
    const Expr *step =
        expr_mul(b.p, at(&b, m2, A(&b, o3), A(&b, i3)), expr_call(b.p, &scalar_rsqrt, &magnitude));
    Node *w2 = MAP(&b, "w2", (o3, i3),
                   expr_sub(b.p, at(&b, w, A(&b, o3), A(&b, i3)),
                            expr_mul(b.p, expr_scalar(b.p, SCALAR_STEP, 0), step)));
    update(&b, w2, tw);
    update(&b, m2, tm);
    update(&b, v2, tv);
    Schedule *s = check(&b);
    assert_int_equal(s->kernels.count, 1);
    assert_int_equal(s->workspace_bytes, 0);
    arena_destroy(b.arena);
}

/* ---- views, randomness ------------------------------------------------------------------------------------------------ */

static void views(void **unused)
{
    (void)unused;
    Bench b = bench_create(TYPE_F32, 10);
    Node *x = input(&b, "x", TYPE_F32, 2, 6, 5);
    Index *e = examples(&b), *i = ix(&b, "i", 6), *j = ix(&b, "j", 5);
    const Expr *v = at(&b, x, A(&b, e), A(&b, i), A(&b, j));
    Node *y = MAP(&b, "y", (e, i, j), expr_call(b.p, &scalar_exp, &v));
    Index *e2 = examples(&b), *k = ix(&b, "k", 30);
    Node *flat = graph_view(b.g, "flat", y, LIST(e2, k), 2, SPAN_NONE);
    Index *e3 = examples(&b), *k3 = ix(&b, "k", 30);
    Node *sum = FOLD(&b, "sum", (e3), &reduce_sum, (k3), at(&b, flat, A(&b, e3), A(&b, k3)));
    Index *e4 = examples(&b), *k4 = ix(&b, "k", 30);
    output(&b, MAP(&b, "z", (e4, k4),
                   expr_div(b.p, at(&b, flat, A(&b, e4), A(&b, k4)), at(&b, sum, A(&b, e4)))));
    output(&b, flat);
    check(&b);
    arena_destroy(b.arena);
}

static void randomness(void **unused)
{
    (void)unused;
    Bench b = bench_create(TYPE_F64, 6);
    Tensor *t = tensor(&b, "t", 2, 7, 9);
    Index *i = ix(&b, "i", 7), *j = ix(&b, "j", 9);
    const Affine *element = affine_add(b.p, affine_scale(b.p, A(&b, i), 9), A(&b, j));
    update(&b, MAP(&b, "start", (i, j), expr_random(b.p, RANDOM_NORMAL, 3, element)), t);
    check(&b);
    arena_destroy(b.arena);
}

/* Each example against every other: two axes over the batch. */
static void pairs(void **unused)
{
    (void)unused;
    Bench b = bench_create(TYPE_F32, 20);
    Node *x = input(&b, "x", TYPE_F32, 1, 60);
    Index *e = examples(&b), *m = examples(&b), *k = ix(&b, "k", 60);
    Node *s = FOLD(&b, "s", (e, m), &reduce_sum, (k),
                   expr_mul(b.p, at(&b, x, A(&b, e), A(&b, k)), at(&b, x, A(&b, m), A(&b, k))));
    Index *e2 = examples(&b), *m2 = examples(&b);
    const Expr *v = at(&b, s, A(&b, e2), A(&b, m2));
    output(&b, FOLD(&b, "total", (e2), &reduce_sum, (m2), expr_mul(b.p, v, v)));
    check(&b);
    arena_destroy(b.arena);
}

int main(int argc, char **argv)
{
    verbose = argc > 1;
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elementwise),
        cmocka_unit_test(broadcast),
        cmocka_unit_test(softmax),
        cmocka_unit_test(layer_norm),
        cmocka_unit_test(batch_sums),
        cmocka_unit_test(positions),
        cmocka_unit_test(dense_sizes),
        cmocka_unit_test(slices),
        cmocka_unit_test(slices_of_corners),
        cmocka_unit_test(slices_of_computed),
        cmocka_unit_test(slices_of_chunks),
        cmocka_unit_test(large_product),
        cmocka_unit_test(panels),
        cmocka_unit_test(convolutions),
        cmocka_unit_test(windows_of_slices),
        cmocka_unit_test(heads),
        cmocka_unit_test(embedding),
        cmocka_unit_test(swap),
        cmocka_unit_test(reversed_in_place),
        cmocka_unit_test(adam),
        cmocka_unit_test(views),
        cmocka_unit_test(randomness),
        cmocka_unit_test(pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
