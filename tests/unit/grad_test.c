/* Gradients against central differences in f64, before and after simplification, for every form of
 * node and of subscript; at second order where the function is smooth. */
#include "functions/functions.h"
#include "grad/grad.h"
#include "opt/opt.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { BATCH = 4, EXAMPLES = 3, LEAVES = 8, SEEDS = 6 };

/* ---- a model under construction ---------------------------------------------------------------------- */

typedef struct Leaf {
    Tensor *tensor;
    Port *port;
    double *data;
    int64_t count;
} Leaf;

typedef struct World {
    Arena *arena;
    ExprPool *p;
    Graph *g;
    Program *program;
    Diag *d;
    Index *b; /* over the batch */
    Leaf leaf[LEAVES];
    int leaves;
    uint64_t random;
} World;

static int64_t below(World *w, int64_t n)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((w->random >> 33) % (uint64_t)n);
}

static int64_t between(World *w, int64_t low, int64_t high)
{
    return low + below(w, high - low + 1);
}

/* -1 … 1, away from 0 */
static double number(World *w)
{
    double v = 0.1 + 0.9 * (double)below(w, 1000003) / 1000003;
    return below(w, 2) ? v : -v;
}

static World *world_open(uint64_t seed)
{
    Arena *a = arena_create();
    World *w = arena_new(a, World, 1);
    w->arena = a;
    w->p = expr_pool_create(a, TYPE_F64);
    Interner *names = interner_create(a);
    w->g = graph_create(w->p, names, "step", BATCH);
    w->program = arena_new(a, Program, 1);
    w->d = diag_create(a, sources_create(a));
    w->random = seed * 977 + 1;
    w->b = index_new(w->p, "batch", BATCH, 1, SPAN_NONE);
    return w;
}

static void world_close(World *w)
{
    arena_destroy(w->arena);
}

static Index *ix(World *w, const char *name, int64_t extent)
{
    return index_new(w->p, name, extent, 0, SPAN_NONE);
}

static Index *bx(World *w)
{
    return index_copy(w->p, w->b);
}

static const int64_t *shape_of(World *w, int rank, va_list args)
{
    int64_t *shape = arena_new(w->arena, int64_t, rank + 1);
    for (int i = 0; i < rank; i++)
        shape[i] = va_arg(args, int64_t);
    return shape;
}

static Leaf *add_leaf(World *w, int64_t count)
{
    Leaf *l = &w->leaf[w->leaves++];
    l->count = count;
    l->data = arena_new(w->arena, double, count + 1);
    for (int64_t i = 0; i < count; i++)
        l->data[i] = number(w);
    return l;
}

static Node *param(World *w, const char *name, int rank, ...)
{
    va_list args;
    va_start(args, rank);
    Tensor *t = arena_new(w->arena, Tensor, 1);
    *t = (Tensor){
        .name = name, .role = ROLE_PARAM, .type = TYPE_F64, .rank = rank, .span = SPAN_NONE};
    t->shape = shape_of(w, rank, args);
    va_end(args);
    vec_push(w->arena, &w->program->tensors, t);
    Node *n = graph_tensor(w->g, t);
    add_leaf(w, node_elements(n))->tensor = t;
    return n;
}

static Node *port(World *w, const char *name, DType type, int64_t classes, int rank, ...)
{
    va_list args;
    va_start(args, rank);
    Port *port = arena_new(w->arena, Port, 1);
    *port = (Port){.name = name, .type = type, .rank = rank, .span = SPAN_NONE, .classes = classes};
    port->domain = classes ? DOMAIN_TOKEN : DOMAIN_NUMBER;
    port->shape = shape_of(w, rank, args);
    va_end(args);
    Node *n = graph_port(w->g, port);
    Leaf *l = add_leaf(w, node_elements(n));
    l->port = port;
    for (int64_t i = 0; classes && i < l->count; i++)
        l->data[i] = (double)below(w, classes);
    return n;
}

#define INDICES(...)                                                                               \
    (Index *const[]){__VA_ARGS__}, (int)(sizeof((Index *[]){__VA_ARGS__}) / sizeof(Index *))
#define NONE NULL, 0

static Node *node(World *w, const char *name, Index *const *domain, int rank, const Reduction *r,
                  Index *const *bound, int bound_count, const Expr *body)
{
    return graph_compute(w->g, name, TYPE_F64, domain, rank, r, bound, bound_count, body,
                         SPAN_NONE);
}

static const Affine *aff(World *w, Index *i)
{
    return affine_index(w->p, i);
}

/* f*i + g*j + c; j may be NULL */
static const Affine *lin(World *w, int64_t f, Index *i, int64_t g, Index *j, int64_t c)
{
    const Affine *a = affine_scale(w->p, aff(w, i), f);
    if (j)
        a = affine_add(w->p, a, affine_scale(w->p, aff(w, j), g));
    return affine_offset(w->p, a, c);
}

/* n at plain indices, as many as it has */
static const Expr *at(World *w, Node *n, ...)
{
    va_list args;
    va_start(args, n);
    Index *indices[8];
    for (int i = 0; i < n->rank; i++)
        indices[i] = va_arg(args, Index *);
    va_end(args);
    return expr_access_identity(w->p, n, indices);
}

/* n at affine subscripts, or 0 outside */
static const Expr *at_or_zero(World *w, Node *n, ...)
{
    va_list args;
    va_start(args, n);
    Subscript subs[8] = {0};
    const Expr *inside = expr_const_typed(w->p, 1, TYPE_BOOL);
    for (int i = 0; i < n->rank; i++) {
        const Affine *a = subs[i].affine = va_arg(args, const Affine *);
        const Affine *left =
            affine_offset(w->p, affine_scale(w->p, a, -1), n->domain[i]->extent - 1);
        inside = expr_and(w->p, inside, expr_test(w->p, TEST_NOT_NEGATIVE, a));
        inside = expr_and(w->p, inside, expr_test(w->p, TEST_NOT_NEGATIVE, left));
    }
    va_end(args);
    return expr_select(w->p, inside, expr_access(w->p, n, subs), expr_const(w->p, 0));
}

static const Expr *fn(World *w, const char *name, const Expr *x)
{
    return expr_call(w->p, scalar_find(name), &x);
}

static const Expr *fn2(World *w, const ScalarFunction *f, const Expr *x, const Expr *y)
{
    return expr_call(w->p, f, (const Expr *const[]){x, y});
}

static const Expr *num(World *w, double v)
{
    return expr_const(w->p, v);
}

#define mul(a, b) expr_mul(w->p, a, b)
#define add(a, b) expr_add(w->p, a, b)
#define sub(a, b) expr_sub(w->p, a, b)
#define quo(a, b) expr_div(w->p, a, b)

/* A loss of an example that weighs every element of n differently: sum of v * (v/2 + sin(1.3 place)). */
static Node *loss_of(World *w, Node *n)
{
    Index *indices[8];
    const Affine *place = affine_constant(w->p, 1);
    int batched = node_is_batched(n);
    for (int i = 0; i < n->rank; i++) {
        indices[i] = index_copy(w->p, n->domain[i]);
        if (i >= batched)
            place =
                affine_add(w->p, affine_scale(w->p, place, indices[i]->extent), aff(w, indices[i]));
    }
    const Expr *weight =
        fn(w, "sin", mul(num(w, 1.3), expr_cast(w->p, expr_affine(w->p, place), TYPE_F64)));
    const Expr *v = expr_access_identity(w->p, n, indices);
    int bound = n->rank - batched;
    return node(w, "loss", indices, batched, bound ? &reduce_sum : NULL, indices + batched, bound,
                mul(v, add(mul(num(w, 0.5), v), weight)));
}

/* ---- evaluation and differences --------------------------------------------------------------------------- */

static Evaluation *evaluate(World *w)
{
    Evaluation *ev = evaluation_create(w->g, EXAMPLES);
    ev->seed = 7;
    ev->step = 3;
    for (int i = 0; i < w->g->nodes.count; i++) {
        Node *n = w->g->nodes.data[i];
        for (int k = 0; k < w->leaves; k++) {
            Leaf *l = &w->leaf[k];
            if ((n->kind == NODE_TENSOR && n->tensor == l->tensor) ||
                (n->kind == NODE_PORT && n->port == l->port))
                for (int64_t e = 0; e < node_elements(n) / (n->kind == NODE_PORT ? BATCH : 1) *
                                            (n->kind == NODE_PORT ? EXAMPLES : 1);
                     e++)
                    ev->values[i][e] = l->data[e];
        }
    }
    evaluation_run(ev);
    return ev;
}

static double loss_value(World *w)
{
    Evaluation *ev = evaluate(w);
    double total = 0;
    for (int i = 0; i < w->g->results.count; i++) {
        Result *r = &w->g->results.data[i];
        if (r->role != RESULT_LOSS)
            continue;
        int count = node_is_batched(r->value) ? EXAMPLES : 1;
        for (int k = 0; k < count; k++)
            total += ev->values[r->value->id][k] / count;
    }
    return total;
}

static char *graph_text(World *w)
{
    Text t;
    text_init(&t, w->arena);
    graph_print(&t, w->g, NULL);
    return t.data;
}

static void must_verify(World *w, const char *test, const char *stage)
{
    const char *wrong = graph_verify(w->g);
    if (wrong)
        fail_msg("%s after %s: %s\n%s", test, stage, wrong, graph_text(w));
}

static void compare_with_differences(World *w, const char *test, const char *stage)
{
    for (int i = 0; i < w->g->results.count; i++) {
        Result *r = &w->g->results.data[i];
        if (r->role != RESULT_GRADIENT)
            continue;
        Evaluation *ev = evaluate(w);
        const double *gradient = ev->values[r->value->id];
        for (int k = 0; k < w->leaves; k++) {
            Leaf *l = &w->leaf[k];
            for (int64_t e = 0; l->tensor == r->tensor && e < l->count; e++) {
                double x = l->data[e], h = 1e-5;
                l->data[e] = x + h;
                double above = loss_value(w);
                l->data[e] = x - h;
                double slope = (above - loss_value(w)) / (2 * h);
                l->data[e] = x;
                if (fabs(slope - gradient[e]) > 1e-6 * (1 + fabs(slope)))
                    fail_msg("%s after %s: d_%s at %d is %.9g, not %.9g\n%s", test, stage,
                             r->tensor->name, (int)e, gradient[e], slope, graph_text(w));
            }
        }
    }
}

static void drop_results(World *w, ResultRole role)
{
    int kept = 0;
    for (int i = 0; i < w->g->results.count; i++)
        if (w->g->results.data[i].role != role)
            w->g->results.data[kept++] = w->g->results.data[i];
    w->g->results.count = kept;
}

/* The sum of squares of all gradients becomes the loss. */
static void differentiate_again(World *w)
{
    Node *terms[LEAVES];
    int count = 0;
    for (int i = 0; i < w->g->results.count; i++) {
        Node *n = w->g->results.data[i].value;
        if (w->g->results.data[i].role != RESULT_GRADIENT)
            continue;
        Index *indices[8];
        for (int k = 0; k < n->rank; k++)
            indices[k] = index_copy(w->p, n->domain[k]);
        const Expr *v = expr_access_identity(w->p, n, indices);
        terms[count++] =
            node(w, "norm", NULL, 0, n->rank ? &reduce_sum : NULL, indices, n->rank, mul(v, v));
    }
    drop_results(w, RESULT_GRADIENT);
    drop_results(w, RESULT_LOSS);
    for (int i = 0; i < count; i++)
        graph_result(w->g, RESULT_LOSS, "norm", terms[i], NULL, 0);
    grad_run(w->g, w->program, w->d);
}

/* ---- models -------------------------------------------------------------------------------------------------- */

static Node *dense(World *w)
{
    int64_t n = between(w, 1, 4), m = between(w, 1, 3);
    Node *x = port(w, "x", TYPE_F64, 0, 1, n), *weight = param(w, "weight", 2, m, n),
         *bias = param(w, "bias", 1, m);
    Index *b = bx(w), *o = ix(w, "o", m), *i = ix(w, "i", n);
    Node *z = node(w, "z", INDICES(b, o), &reduce_sum, INDICES(i),
                   mul(at(w, weight, o, i), at(w, x, b, i)));
    b = bx(w), o = ix(w, "o", m);
    Node *y =
        node(w, "y", INDICES(b, o), NULL, NONE, fn(w, "tanh", add(at(w, z, b, o), at(w, bias, o))));
    return loss_of(w, y);
}

/* h[b, i, j] = sin(w[i, j] * x[b, i, j]) */
static Node *hidden2(World *w, int64_t n, int64_t m)
{
    Node *x = port(w, "x", TYPE_F64, 0, 2, n, m), *v = param(w, "w", 2, n, m);
    Index *b = bx(w), *i = ix(w, "i", n), *j = ix(w, "j", m);
    return node(w, "h", INDICES(b, i, j), NULL, NONE,
                fn(w, "sin", mul(at(w, v, i, j), at(w, x, b, i, j))));
}

static Node *hidden1(World *w, int64_t n)
{
    Node *x = port(w, "x", TYPE_F64, 0, 1, n), *v = param(w, "w", 1, n);
    Index *b = bx(w), *i = ix(w, "i", n);
    return node(w, "h", INDICES(b, i), NULL, NONE, fn(w, "sin", mul(at(w, v, i), at(w, x, b, i))));
}

static Node *reduced(World *w, const Reduction *r)
{
    int64_t n = between(w, 1, 4), m = between(w, 1, 3);
    Node *h = hidden2(w, n, m);
    Index *b = bx(w), *i = ix(w, "i", n), *j = ix(w, "j", m);
    if (below(w, 2))
        return loss_of(w, node(w, "y", INDICES(b, j), r, INDICES(i), at(w, h, b, i, j)));
    return loss_of(
        w, node(w, "y", INDICES(b), r, INDICES(j, i), mul(at(w, h, b, i, j), num(w, -1.5))));
}

static Node *sum_(World *w)
{
    return reduced(w, &reduce_sum);
}

static Node *prod_(World *w)
{
    return reduced(w, &reduce_prod);
}

static Node *max_(World *w)
{
    return reduced(w, &reduce_max);
}

static Node *min_(World *w)
{
    return reduced(w, &reduce_min);
}

/* One factor or two are 0. */
static Node *prod_with_zeros(World *w)
{
    Node *x = port(w, "x", TYPE_F64, 0, 1, (int64_t)4), *v = param(w, "w", 1, (int64_t)4);
    double *data = w->leaf[1].data;
    data[1] = 0;
    if (below(w, 2))
        data[3] = 0;
    Index *b = bx(w), *i = ix(w, "i", 4);
    return loss_of(
        w, node(w, "y", INDICES(b), &reduce_prod, INDICES(i), mul(at(w, v, i), at(w, x, b, i))));
}

/* Over the batch too: the largest of all examples. */
static Node *max_over_batch(World *w)
{
    Node *h = hidden1(w, 3);
    Index *b = bx(w), *i = ix(w, "i", 3);
    Node *top = node(w, "top", NULL, 0, &reduce_max, INDICES(i, b), at(w, h, b, i));
    b = bx(w);
    Subscript first[] = {{.affine = aff(w, b)}, {.affine = affine_constant(w->p, 0)}};
    return loss_of(
        w, node(w, "y", INDICES(b), NULL, NONE, mul(at(w, top), expr_access(w->p, h, first))));
}

static Node *convolution1(World *w)
{
    int64_t n = between(w, 3, 8), k = between(w, 1, 4), s = between(w, 1, 3), d = between(w, 1, 2);
    int64_t p = between(w, 0, 3), c = between(w, 1, 2), f = between(w, 1, 2);
    int64_t out = (n + 2 * p - d * (k - 1) - 1) / s + 1;
    if (n + 2 * p - d * (k - 1) - 1 < 0)
        out = 1;
    Node *x = hidden2(w, n, c), *kernel = param(w, "kernel", 3, f, c, k);
    Index *b = bx(w), *o = ix(w, "o", out), *q = ix(w, "f", f), *u = ix(w, "u", k),
          *ch = ix(w, "c", c);
    const Expr *window = at_or_zero(w, x, aff(w, b), lin(w, s, o, d, u, -p), aff(w, ch));
    return loss_of(w, node(w, "y", INDICES(b, o, q), &reduce_sum, INDICES(u, ch),
                           mul(at(w, kernel, q, ch, u), window)));
}

static Node *convolution2(World *w)
{
    int64_t n = between(w, 3, 5), m = between(w, 3, 5), s = between(w, 1, 2), p = between(w, 0, 1);
    int64_t oh = (n + 2 * p - 3) / s + 1, ow = (m + 2 * p - 2) / s + 1;
    Node *x = hidden2(w, n, m), *kernel = param(w, "kernel", 2, (int64_t)3, (int64_t)2);
    Index *b = bx(w), *i = ix(w, "i", oh), *j = ix(w, "j", ow), *u = ix(w, "u", 3),
          *v = ix(w, "v", 2);
    const Expr *window =
        at_or_zero(w, x, aff(w, b), lin(w, s, i, 1, u, -p), lin(w, s, j, 1, v, -p));
    return loss_of(w, node(w, "y", INDICES(b, i, j), &reduce_sum, INDICES(u, v),
                           mul(at(w, kernel, u, v), window)));
}

static Node *pooling(World *w, int64_t stride, int64_t window)
{
    int64_t n = between(w, 4, 7), m = between(w, 4, 6);
    Node *x = hidden2(w, n, m);
    Index *b = bx(w), *i = ix(w, "i", (n - window) / stride + 1),
          *j = ix(w, "j", (m - window) / stride + 1);
    Index *u = ix(w, "u", window), *v = ix(w, "v", window);
    Subscript subs[] = {{.affine = aff(w, b)},
                        {.affine = lin(w, stride, i, 1, u, 0)},
                        {.affine = lin(w, stride, j, 1, v, 0)}};
    return loss_of(
        w, node(w, "y", INDICES(b, i, j), &reduce_max, INDICES(u, v), expr_access(w->p, x, subs)));
}

static Node *pool_disjoint(World *w)
{
    return pooling(w, 2, 2);
}

static Node *pool_gaps(World *w)
{
    return pooling(w, 3, 2);
}

static Node *pool_overlapping(World *w)
{
    return pooling(w, between(w, 1, 2), 3);
}

static Node *embedding(World *w)
{
    int64_t words = between(w, 2, 5), t = between(w, 1, 4), k = between(w, 1, 3);
    Node *token = port(w, "token", TYPE_I32, words, 1, t), *table = param(w, "table", 2, words, k);
    Index *b = bx(w), *i = ix(w, "t", t), *j = ix(w, "k", k);
    Subscript subs[] = {{.data = at(w, token, b, i)}, {.affine = aff(w, j)}};
    const Expr *e = fn(w, "sin", expr_access(w->p, table, subs));
    return loss_of(w, node(w, "y", INDICES(b, i, j), NULL, NONE, e));
}

/* The token before, where there is one: the data may be read only under the guard. */
static Node *embedding_of_previous(World *w)
{
    int64_t words = between(w, 2, 5), t = between(w, 1, 4);
    Node *token = port(w, "token", TYPE_I32, words, 1, t), *table = param(w, "table", 1, words);
    Index *b = bx(w), *i = ix(w, "t", t);
    Subscript before[] = {{.affine = aff(w, b)}, {.affine = lin(w, 1, i, 0, NULL, -1)}};
    Subscript row = {.data = expr_access(w->p, token, before)};
    const Expr *e = expr_select(w->p, expr_test(w->p, TEST_NOT_NEGATIVE, before[1].affine),
                                expr_access(w->p, table, &row), num(w, 0));
    return loss_of(w, node(w, "y", INDICES(b, i), NULL, NONE, fn(w, "sin", e)));
}

static Node *log_softmax(World *w, Node *z, int64_t n)
{
    Index *b = bx(w), *i = ix(w, "i", n);
    Node *top = node(w, "top", INDICES(b), &reduce_max, INDICES(i), at(w, z, b, i));
    b = bx(w), i = ix(w, "i", n);
    const Expr *shifted = sub(at(w, z, b, i), fn(w, "stop_gradient", at(w, top, b)));
    Node *total = node(w, "total", INDICES(b), &reduce_sum, INDICES(i), fn(w, "exp", shifted));
    b = bx(w), i = ix(w, "i", n);
    shifted = sub(at(w, z, b, i), fn(w, "stop_gradient", at(w, top, b)));
    return node(w, "log_p", INDICES(b, i), NULL, NONE, sub(shifted, fn(w, "log", at(w, total, b))));
}

static Node *cross_entropy(World *w)
{
    int64_t n = between(w, 2, 4);
    Node *label = port(w, "label", TYPE_U8, n, 0), *log_p = log_softmax(w, hidden1(w, n), n);
    Index *b = bx(w);
    Subscript subs[] = {{.affine = aff(w, b)}, {.data = at(w, label, b)}};
    return node(w, "loss", INDICES(b), NULL, NONE, expr_neg(w->p, expr_access(w->p, log_p, subs)));
}

static Node *softmax_chain(World *w)
{
    int64_t n = between(w, 1, 4);
    Node *z = hidden1(w, n);
    Index *b = bx(w), *i = ix(w, "i", n);
    Node *top = node(w, "top", INDICES(b), &reduce_max, INDICES(i), at(w, z, b, i));
    b = bx(w), i = ix(w, "i", n);
    Node *e = node(w, "e", INDICES(b, i), NULL, NONE,
                   fn(w, "exp", sub(at(w, z, b, i), fn(w, "stop_gradient", at(w, top, b)))));
    b = bx(w), i = ix(w, "i", n);
    Node *s = node(w, "s", INDICES(b), &reduce_sum, INDICES(i), at(w, e, b, i));
    b = bx(w), i = ix(w, "i", n);
    return loss_of(w, node(w, "p", INDICES(b, i), NULL, NONE, quo(at(w, e, b, i), at(w, s, b))));
}

static Node *layer_norm(World *w)
{
    int64_t n = between(w, 2, 4);
    Node *h = hidden1(w, n), *gain = param(w, "gain", 1, n), *bias = param(w, "bias", 1, n);
    Index *b = bx(w), *i = ix(w, "i", n);
    const Expr *share = num(w, 1.0 / (double)n);
    Node *mu = node(w, "mu", INDICES(b), &reduce_sum, INDICES(i), mul(at(w, h, b, i), share));
    b = bx(w), i = ix(w, "i", n);
    const Expr *c = sub(at(w, h, b, i), at(w, mu, b));
    Node *var = node(w, "var", INDICES(b), &reduce_sum, INDICES(i), mul(mul(c, c), share));
    b = bx(w), i = ix(w, "i", n);
    c = sub(at(w, h, b, i), at(w, mu, b));
    const Expr *norm = mul(c, fn(w, "rsqrt", add(at(w, var, b), num(w, 0.1))));
    return loss_of(
        w, node(w, "y", INDICES(b, i), NULL, NONE, add(mul(norm, at(w, gain, i)), at(w, bias, i))));
}

static const Expr *batch_share(World *w)
{
    return quo(num(w, 1), expr_scalar(w->p, SCALAR_BATCH_SIZE, 0));
}

static Node *batch_norm(World *w)
{
    int64_t n = between(w, 1, 3);
    Node *h = hidden1(w, n), *gain = param(w, "gain", 1, n);
    Index *b = bx(w), *i = ix(w, "i", n);
    Node *mu =
        node(w, "mu", INDICES(i), &reduce_sum, INDICES(b), mul(at(w, h, b, i), batch_share(w)));
    b = bx(w), i = ix(w, "i", n);
    const Expr *c = sub(at(w, h, b, i), at(w, mu, i));
    Node *var = node(w, "var", INDICES(i), &reduce_sum, INDICES(b), mul(mul(c, c), batch_share(w)));
    b = bx(w), i = ix(w, "i", n);
    const Expr *deviation = fn(w, "sqrt", add(at(w, var, i), num(w, 0.1)));
    c = sub(at(w, h, b, i), at(w, mu, i));
    return loss_of(w,
                   node(w, "y", INDICES(b, i), NULL, NONE, mul(quo(c, deviation), at(w, gain, i))));
}

/* s[b, m] = sum[i] h[b, i] * h[m, i], a contrastive loss */
static Node *other_examples(World *w)
{
    int64_t n = between(w, 1, 3);
    Node *h = hidden1(w, n);
    Index *b = bx(w), *m = bx(w), *i = ix(w, "i", n);
    m->name = "m";
    Node *s =
        node(w, "s", INDICES(b, m), &reduce_sum, INDICES(i), mul(at(w, h, b, i), at(w, h, m, i)));
    b = bx(w), m = bx(w);
    m->name = "m";
    Node *z = node(w, "z", INDICES(b), &reduce_sum, INDICES(m), fn(w, "exp", at(w, s, b, m)));
    b = bx(w);
    return node(w, "loss", INDICES(b), NULL, NONE, sub(fn(w, "log", at(w, z, b)), at(w, s, b, b)));
}

static Node *views(World *w)
{
    Node *h = hidden2(w, 2, 3), *v = param(w, "v", 2, (int64_t)3, (int64_t)2);
    Node *flat = graph_view(w->g, "flat", h, INDICES(bx(w), ix(w, "k", 6)), SPAN_NONE);
    Node *folded = graph_view(w->g, "folded", v, INDICES(ix(w, "k", 6)), SPAN_NONE);
    Index *b = bx(w), *k = ix(w, "k", 6);
    Node *y = node(w, "y", INDICES(b, k), NULL, NONE,
                   fn(w, "tanh", mul(at(w, flat, b, k), at(w, folded, k))));
    Node *back =
        graph_view(w->g, "back", y, INDICES(bx(w), ix(w, "i", 3), ix(w, "j", 2)), SPAN_NONE);
    b = bx(w);
    Index *i = ix(w, "i", 3), *j = ix(w, "j", 2);
    return loss_of(
        w, node(w, "z", INDICES(b, i, j), NULL, NONE, add(at(w, back, b, i, j), at(w, v, i, j))));
}

/* if i < n then a[i] else c[i - n] */
static Node *concatenation(World *w)
{
    int64_t n = between(w, 1, 3), m = between(w, 1, 3);
    Node *a = hidden1(w, n), *c = param(w, "c", 1, m);
    Index *b = bx(w), *i = ix(w, "i", n + m);
    const Affine *past = lin(w, 1, i, 0, NULL, -n);
    Subscript first[] = {{.affine = aff(w, b)}, {.affine = aff(w, i)}}, second = {.affine = past};
    const Expr *before =
        expr_test(w->p, TEST_NOT_NEGATIVE, affine_offset(w->p, affine_scale(w->p, past, -1), -1));
    const Expr *e = expr_select(w->p, before, mul(expr_access(w->p, a, first), num(w, 2)),
                                expr_access(w->p, c, &second));
    return loss_of(w, node(w, "y", INDICES(b, i), NULL, NONE, fn(w, "tanh", e)));
}

static Node *many_uses(World *w)
{
    Node *h = hidden1(w, 4);
    Index *b = bx(w), *i = ix(w, "i", 4);
    Node *s =
        node(w, "s", INDICES(b), &reduce_sum, INDICES(i), mul(at(w, h, b, i), at(w, h, b, i)));
    b = bx(w), i = ix(w, "i", 4);
    Node *t = node(w, "t", INDICES(b), &reduce_prod, INDICES(i), at(w, h, b, i));
    b = bx(w), i = ix(w, "i", 4);
    const Expr *left = at_or_zero(w, h, aff(w, b), lin(w, 1, i, 0, NULL, -1));
    const Expr *right = at_or_zero(w, h, aff(w, b), lin(w, -1, i, 0, NULL, 3));
    const Expr *all = add(mul(left, right), mul(at(w, s, b), add(at(w, t, b), at(w, h, b, i))));
    return loss_of(w, node(w, "y", INDICES(b, i), NULL, NONE, all));
}

static Node *dropout(World *w)
{
    Node *h = hidden2(w, 3, 2);
    Index *b = bx(w), *i = ix(w, "i", 3), *j = ix(w, "j", 2);
    const Affine *element =
        affine_add(w->p, affine_scale(w->p, aff(w, b), 6), lin(w, 2, i, 1, j, 0));
    const Expr *r = expr_random(w->p, RANDOM_UNIFORM, 0, element);
    const Expr *keep = fn2(w, &scalar_ge, r, num(w, 0.4));
    const Expr *e = expr_select(w->p, keep, quo(at(w, h, b, i, j), num(w, 0.6)), num(w, 0));
    Node *y = node(w, "y", INDICES(b, i, j), NULL, NONE, e);
    b = bx(w), j = ix(w, "j", 2), i = ix(w, "i", 3);
    return loss_of(
        w, node(w, "z", INDICES(b, j), &reduce_sum, INDICES(i), fn(w, "sin", at(w, y, b, i, j))));
}

/* Elementwise functions whose derivative reads the result. */
static Node *activations(World *w)
{
    int64_t n = between(w, 1, 3);
    Node *h = hidden1(w, n);
    const Expr *one = num(w, 1);
    Index *b = bx(w), *i = ix(w, "i", n);
    Node *s = node(w, "s", INDICES(b, i), NULL, NONE,
                   quo(one, add(one, fn(w, "exp", expr_neg(w->p, at(w, h, b, i))))));
    b = bx(w), i = ix(w, "i", n);
    Node *r =
        node(w, "r", INDICES(b, i), NULL, NONE, fn2(w, &scalar_max, num(w, 0), at(w, h, b, i)));
    b = bx(w), i = ix(w, "i", n);
    const Expr *e =
        add(fn(w, "exp", at(w, s, b, i)), fn(w, "abs", sub(at(w, r, b, i), at(w, h, b, i))));
    return loss_of(w, node(w, "y", INDICES(b, i), NULL, NONE, fn2(w, &scalar_pow, e, num(w, 1.7))));
}

/* A loss of no example beside one of each. */
static Node *penalty(World *w)
{
    Node *loss = dense(w), *weight = graph_tensor(w->g, w->program->tensors.data[0]);
    Index *i = ix(w, "i", weight->domain[0]->extent), *j = ix(w, "j", weight->domain[1]->extent);
    const Expr *v = at(w, weight, i, j);
    Node *p = node(w, "penalty", NULL, 0, &reduce_sum, INDICES(i, j), mul(num(w, 0.3), mul(v, v)));
    graph_result(w->g, RESULT_LOSS, "penalty", p, NULL, 0);
    return loss;
}

/* y[b, o] = sum[r] h[b, a(o, r), c(o, r)] else 0, for affine a and c of every kind */
static const Affine *random_subscript(World *w, Index *i, Index *j, int depth)
{
    Index *pick = below(w, 2) ? i : j;
    switch (below(w, depth ? 8 : 4)) {
    case 0:
        return aff(w, pick);
    case 1:
        return lin(w, between(w, -2, 3), i, between(w, -2, 3), j, between(w, -2, 4));
    case 2:
        return lin(w, between(w, 1, 3), i, 1, j, between(w, -1, 1));
    case 3:
        return lin(w, between(w, -1, 2), pick, 0, NULL, between(w, -1, 3));
    case 4:
        return affine_quotient(w->p, random_subscript(w, i, j, depth - 1), between(w, 2, 4));
    case 5:
        return affine_remainder(w->p, random_subscript(w, i, j, depth - 1), between(w, 2, 4));
    case 6:
        return affine_quotient(w->p, aff(w, pick), between(w, 2, 3));
    default:
        return affine_add(w->p, random_subscript(w, i, j, depth - 1),
                          random_subscript(w, j, i, depth - 1));
    }
}

static Node *random_access(World *w)
{
    int64_t n = between(w, 1, 6), m = between(w, 1, 6);
    Node *h = hidden2(w, n, m), *v = param(w, "v", 2, (int64_t)5, (int64_t)4);
    Index *b = bx(w), *o = ix(w, "o", between(w, 1, 5)), *r = ix(w, "r", between(w, 1, 4));
    const Affine *first = random_subscript(w, o, r, 2), *second = random_subscript(w, o, r, 2);
    const Expr *e =
        mul(at_or_zero(w, h, aff(w, b), first, second), at_or_zero(w, v, aff(w, o), aff(w, r)));
    if (below(w, 3) == 0)
        return loss_of(w, node(w, "y", INDICES(b, o, r), NULL, NONE, e));
    return loss_of(w, node(w, "y", INDICES(b, o), below(w, 3) ? &reduce_sum : &reduce_max,
                           INDICES(r), fn(w, "sin", e)));
}

/* Reshaping, upsampling, tiling: the digits of an index. */
static Node *digits(World *w)
{
    Node *h = hidden2(w, 2, 3);
    Index *b = bx(w), *k = ix(w, "k", between(w, 6, 13));
    const Affine *row, *column;
    switch (below(w, 5)) {
    case 0: /* a reshape, perhaps too long */
        row = affine_quotient(w->p, aff(w, k), 3), column = affine_remainder(w->p, aff(w, k), 3);
        break;
    case 1: /* transposed */
        row = affine_remainder(w->p, aff(w, k), 2), column = affine_quotient(w->p, aff(w, k), 2);
        break;
    case 2: /* each value three times */
        row = affine_constant(w->p, 1), column = affine_quotient(w->p, aff(w, k), 3);
        break;
    case 3: /* again and again */
        row = affine_remainder(w->p, lin(w, 1, k, 0, NULL, 1), 2),
        column = affine_constant(w->p, 2);
        break;
    default: /* the diagonal */
        row = column = affine_quotient(w->p, lin(w, 1, k, 0, NULL, -2), 4);
    }
    const Expr *e = at_or_zero(w, h, aff(w, b), row, column);
    return loss_of(w, node(w, "y", INDICES(b, k), NULL, NONE, mul(e, fn(w, "sin", e))));
}

/* Groups: channel (f/2)*3 + c of six, for four filters in two groups. */
static Node *grouped(World *w)
{
    Node *h = hidden1(w, 6), *v = param(w, "v", 2, (int64_t)4, (int64_t)3);
    Index *b = bx(w), *f = ix(w, "f", 4), *c = ix(w, "c", 3);
    const Affine *channel =
        affine_add(w->p, affine_scale(w->p, affine_quotient(w->p, aff(w, f), 2), 3), aff(w, c));
    Subscript subs[] = {{.affine = aff(w, b)}, {.affine = channel}};
    return loss_of(w, node(w, "y", INDICES(b, f), &reduce_sum, INDICES(c),
                           mul(at(w, v, f, c), expr_access(w->p, h, subs))));
}

typedef struct Model {
    const char *name;
    Node *(*build)(World *w);
    bool smooth;
    int seeds;
} Model;

static const Model models[] = {
    {"dense", dense, true, SEEDS},
    {"sum", sum_, true, SEEDS},
    {"prod", prod_, true, SEEDS},
    {"prod with zeros", prod_with_zeros, true, SEEDS},
    {"max", max_, true, SEEDS},
    {"min", min_, true, SEEDS},
    {"max over the batch", max_over_batch, true, SEEDS},
    {"convolution in 1d", convolution1, true, 20},
    {"convolution in 2d", convolution2, true, SEEDS},
    {"pool of disjoint windows", pool_disjoint, true, SEEDS},
    {"pool with gaps", pool_gaps, true, SEEDS},
    {"pool of overlapping windows", pool_overlapping, true, SEEDS},
    {"embedding", embedding, true, SEEDS},
    {"embedding of the previous token", embedding_of_previous, true, SEEDS},
    {"cross entropy", cross_entropy, true, SEEDS},
    {"softmax", softmax_chain, true, SEEDS},
    {"layer norm", layer_norm, true, SEEDS},
    {"batch norm", batch_norm, true, SEEDS},
    {"other examples", other_examples, true, SEEDS},
    {"views", views, true, SEEDS},
    {"concatenation", concatenation, true, SEEDS},
    {"many uses", many_uses, true, SEEDS},
    {"dropout", dropout, true, SEEDS},
    {"activations", activations, false, SEEDS},
    {"penalty", penalty, true, SEEDS},
    {"random subscripts", random_access, true, 60},
    {"more random subscripts", random_access, false, 400},
    {"digits of an index", digits, true, 20},
    {"groups", grouped, true, 1},
};

static void check_model(const Model *m, uint64_t seed)
{
    World *w = world_open(seed);
    graph_result(w->g, RESULT_LOSS, "loss", m->build(w), NULL, 0);
    must_verify(w, m->name, "building");
    grad_run(w->g, w->program, w->d);
    must_verify(w, m->name, "grad");
    compare_with_differences(w, m->name, "grad");
    opt_run(w->g, NULL);
    must_verify(w, m->name, "opt");
    compare_with_differences(w, m->name, "opt");
    if (m->smooth) {
        differentiate_again(w);
        must_verify(w, m->name, "grad of grad");
        compare_with_differences(w, m->name, "grad of grad");
        opt_run(w->g, NULL);
        must_verify(w, m->name, "opt of grad of grad");
        compare_with_differences(w, m->name, "opt of grad of grad");
    }
    world_close(w);
}

static void test_models(void **state)
{
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        for (int seed = 0; seed < models[i].seeds; seed++)
            check_model(&models[i], (uint64_t)seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
