/* Graphs: their text, which must be read by the grammar; what verification refuses; evaluation. */
#include "functions/functions.h"
#include "syntax/syntax.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

enum { BATCH = 4 };

typedef struct Fixture {
    Arena *arena;
    Interner *names;
    ExprPool *p;
    Graph *g;
    Node *x, *image, *label, *w,
        *s; /* x[i: 6], image[i: 5, j: 5], label (a class), w[3, 6], s a state */
    Tensor *tensor;
} Fixture;

/* ---- shorthands ------------------------------------------------------------------------------------- */

static Node *input(Fixture *f, const char *name, DType type, int rank, const int64_t *shape)
{
    Port *port = arena_new(f->arena, Port, 1);
    *port = (Port){.name = name, .type = type, .rank = rank, .shape = shape, .span = SPAN_NONE};
    return graph_port(f->g, port);
}

static Tensor *tensor(Fixture *f, const char *name, int rank, const int64_t *shape)
{
    Tensor *t = arena_new(f->arena, Tensor, 1);
    *t = (Tensor){.name = name, .type = TYPE_F32, .rank = rank, .shape = shape, .span = SPAN_NONE};
    return t;
}

static const int64_t row[] = {6}, square[] = {5, 5}, weights[] = {3, 6}, three[] = {3};

static int open(void **state)
{
    Arena *a = arena_create();
    Fixture *f = arena_new(a, Fixture, 1);
    *f = (Fixture){.arena = a, .names = interner_create(a), .p = expr_pool_create(a, TYPE_F32)};
    f->g = graph_create(f->p, f->names, "step", BATCH);
    f->x = input(f, "x", TYPE_F32, 1, row);
    f->image = input(f, "image", TYPE_U8, 2, square);
    f->label = input(f, "label", TYPE_U8, 0, NULL);
    f->tensor = tensor(f, "dense.weight", 2, weights);
    f->w = graph_tensor(f->g, f->tensor);
    f->s = graph_tensor(f->g, tensor(f, "s", 1, three));
    *state = f;
    return 0;
}

static int shut(void **state)
{
    arena_destroy(((Fixture *)*state)->arena);
    return 0;
}

static Index *index_of(Fixture *f, const char *name, int64_t extent)
{
    return index_new(f->p, name, extent, 0, SPAN_NONE);
}

static Index *batch(Fixture *f)
{
    return index_new(f->p, "batch", BATCH, 1, SPAN_NONE);
}

static const Affine *at(Fixture *f, Index *ix)
{
    return affine_index(f->p, ix);
}

#define read(f, node, ...) read_at(f, node, (const Affine *const[]){NULL, ##__VA_ARGS__} + 1)

static const Expr *read_at(Fixture *f, Node *n, const Affine *const *subscripts)
{
    Subscript s[4] = {{0}};
    for (int i = 0; i < n->rank; i++)
        s[i].affine = subscripts[i];
    return expr_access(f->p, n, s);
}

#define INDICES(...)                                                                               \
    ((Index *const[]){__VA_ARGS__}), (int)(sizeof((Index *const[]){__VA_ARGS__}) / sizeof(Index *))

static Node *compute(Fixture *f, const char *name, Index *const *domain, int rank, const Expr *body)
{
    return graph_compute(f->g, name, body->type, domain, rank, NULL, NULL, 0, body, SPAN_NONE);
}

static Node *reduce(Fixture *f, const char *name, Index *const *domain, int rank,
                    const Reduction *r, Index *const *bound, int count, const Expr *body)
{
    DType type = r->position ? TYPE_I32 : body->type;
    return graph_compute(f->g, name, type, domain, rank, r, bound, count, body, SPAN_NONE);
}

static const Expr *not_negative(Fixture *f, const Affine *a)
{
    return expr_test(f->p, TEST_NOT_NEGATIVE, a);
}

static const Expr *inside(Fixture *f, const Affine *a, int64_t extent)
{
    const Affine *left = affine_offset(f->p, affine_scale(f->p, a, -1), extent - 1);
    return expr_and(f->p, not_negative(f, a), not_negative(f, left));
}

static const Expr *call1(Fixture *f, const char *name, const Expr *a)
{
    return expr_call(f->p, scalar_find(name), &a);
}

/* dense: y[o] = sum[i] w[o, i] * x[i] */
static Node *dense(Fixture *f)
{
    Index *b = batch(f), *o = index_of(f, "o", 3), *i = index_of(f, "i", 6);
    const Expr *body =
        expr_mul(f->p, read(f, f->w, at(f, o), at(f, i)), read(f, f->x, at(f, b), at(f, i)));
    return reduce(f, "y", INDICES(b, o), &reduce_sum, INDICES(i), body);
}

/* ---- text --------------------------------------------------------------------------------------------- */

/* What is printed must be a statement of the language. */
static void check_grammar(Fixture *f, const char *statements)
{
    Sources *sources = sources_create(f->arena);
    Diag *diag = diag_create(f->arena, sources);
    const char *file = arena_format(f->arena, "model m {\n%s\n}\n", statements);
    SyntaxContext cx = {f->arena, f->names, sources, diag};
    syntax_parse(&cx, source_add(sources, "test.nn", file, (int)strlen(file), false));
    if (diag_error_count(diag))
        diag_render(diag, stderr, DIAG_HUMAN, false);
    assert_int_equal(diag_error_count(diag), 0);
}

static void expect(Fixture *f, const Node *n, const char *wanted)
{
    Text t;
    text_init(&t, f->arena);
    node_print(&t, n);
    assert_string_equal(t.data, wanted);
    check_grammar(f, t.data);
}

static void a_reduction_prints_over_a_product(void **state)
{
    Fixture *f = *state;
    expect(f, dense(f), "y[o] = sum[i] dense.weight[o, i] * x[i]");
    Index *b = batch(f), *i = index_of(f, "i", 6);
    const Expr *x = read(f, f->x, at(f, b), at(f, i));
    expect(
        f,
        reduce(f, "t", INDICES(b), &reduce_sum, INDICES(i), expr_add(f->p, x, expr_const(f->p, 1))),
        "t = sum[i] (x[i] + 1)");
    expect(f, reduce(f, "u", INDICES(b), &reduce_max, INDICES(i), expr_neg(f->p, x)),
           "u = max[i] (-x[i])");
    expect(f, reduce(f, "v", INDICES(b), &reduce_argmax, INDICES(i), x), "v = argmax[i] x[i]");
}

static void the_batch_is_left_out_or_named(void **state)
{
    Fixture *f = *state;
    Node *y = dense(f);
    Index *b = batch(f), *o = index_of(f, "o", 3), *i = index_of(f, "i", 6);
    const Expr *body =
        expr_mul(f->p, read(f, y, at(f, b), at(f, o)), read(f, f->x, at(f, b), at(f, i)));
    expect(f, reduce(f, "d_w", INDICES(o, i), &reduce_sum, INDICES(b), body),
           "d_w[o, i] = sum[batch] y[o] * x[i]");
    Index *c = batch(f), *m = index_new(f->p, "m", BATCH, 1, SPAN_NONE), *d = index_of(f, "d", 6);
    body = expr_mul(f->p, read(f, f->x, at(f, c), at(f, d)), read(f, f->x, at(f, m), at(f, d)));
    expect(f, reduce(f, "pairs", INDICES(c, m), &reduce_sum, INDICES(d), body),
           "pairs[m: batch] = sum[d] x[d] * x@m[d]");
    Index *e = batch(f);
    expect(f,
           compute(f, "l", INDICES(e),
                   call1(f, "exp", expr_cast(f->p, read(f, f->label, at(f, e)), TYPE_F32))),
           "l = exp(f32(label))");
}

static void ranges_print_where_nothing_tells_them(void **state)
{
    Fixture *f = *state;
    Index *b = batch(f), *i = index_of(f, "i", 4), *u = index_of(f, "u", 3);
    const Affine *window = affine_add(f->p, at(f, i), at(f, u));
    expect(
        f,
        reduce(f, "pool", INDICES(b, i), &reduce_max, INDICES(u), read(f, f->x, at(f, b), window)),
        "pool[i: 4] = max[u: 3] x[i + u]");
    Index *c = batch(f), *k = index_of(f, "k", 4);
    expect(f, compute(f, "part", INDICES(c, k), read(f, f->x, at(f, c), at(f, k))),
           "part[k: 4] = x[k]");
}

static void equal_names_are_told_apart(void **state)
{
    Fixture *f = *state;
    Index *i = index_of(f, "i", 3), *j = index_of(f, "i", 3), *x = index_of(f, "s", 3);
    const Expr *body = expr_mul(f->p, read(f, f->s, at(f, i)), read(f, f->s, at(f, j)));
    expect(f, compute(f, "outer", INDICES(i, j), body), "outer[i, i_2] = s[i] * s[i_2]");
    expect(f, compute(f, "copy", INDICES(x), read(f, f->s, at(f, x))), "copy[s_2] = s[s_2]");
}

static void guards_print_as_else_where_they_are_that(void **state)
{
    Fixture *f = *state;
    Index *b = batch(f), *i = index_of(f, "i", 6), *u = index_of(f, "u", 3);
    const Affine *a = affine_offset(f->p, affine_add(f->p, at(f, i), at(f, u)), -1);
    const Expr *read_x = read(f, f->x, at(f, b), a), *zero = expr_const(f->p, 0);
    Node *padded = reduce(f, "c", INDICES(b, i), &reduce_sum, INDICES(u),
                          expr_select(f->p, inside(f, a, 6), read_x, zero));
    expect(f, padded, "c[i: 6] = sum[u: 3] (x[i + u - 1] else 0)");
    Index *d = batch(f), *j = index_of(f, "j", 6);
    const Expr *narrow = expr_test(f->p, TEST_NOT_NEGATIVE, affine_offset(f->p, at(f, j), -2));
    expect(f,
           compute(f, "late", INDICES(d, j),
                   expr_select(f->p, narrow,
                               read(f, f->x, at(f, d), affine_offset(f->p, at(f, j), -1)), zero)),
           "late[j: 6] = if j >= 2 then x[j - 1] else 0");
}

static void strided_gathers_print(void **state)
{
    Fixture *f = *state;
    Index *b = batch(f), *h = index_of(f, "h", 11), *u = index_of(f, "u", 3);
    const Affine *top = affine_sub(f->p, at(f, h), at(f, u)), *half = affine_quotient(f->p, top, 2);
    const Expr *even = expr_test(f->p, TEST_ZERO, affine_remainder(f->p, top, 2));
    const Expr *guard = expr_and(f->p, even, inside(f, half, 6));
    Node *n = reduce(f, "d_x", INDICES(b, h), &reduce_sum, INDICES(u),
                     expr_select(f->p, guard, read(f, f->x, at(f, b), half), expr_const(f->p, 0)));
    expect(f, n,
           "d_x[h: 11] = sum[u: 3] (if (h - u) % 2 == 0 and h >= u then x[(h - u) / 2] else 0)");
    assert_null(graph_verify(f->g));
}

static void precedence_needs_few_parentheses(void **state)
{
    Fixture *f = *state;
    Index *i = index_of(f, "i", 3);
    ExprPool *p = f->p;
    const Expr *s = read(f, f->s, at(f, i)), *two = expr_const(p, 2);
    const Expr *sum = expr_add(p, s, two),
               *power = expr_call(p, &scalar_pow, (const Expr *const[]){sum, s});
    expect(f, compute(f, "a", INDICES(i), expr_mul(p, sum, s)), "a[i] = (s[i] + 2) * s[i]");
    expect(f, compute(f, "b", INDICES(i), expr_sub(p, s, sum)), "b[i] = s[i] - (s[i] + 2)");
    expect(f, compute(f, "c", INDICES(i), expr_div(p, s, expr_mul(p, s, s))),
           "c[i] = s[i] / s[i]^2");
    expect(f, compute(f, "d", INDICES(i), expr_neg(p, expr_mul(p, s, s))), "d[i] = -s[i]^2");
    expect(f, compute(f, "e", INDICES(i), expr_neg(p, expr_mul(p, sum, s))),
           "e[i] = -((s[i] + 2) * s[i])");
    expect(f, compute(f, "g", INDICES(i), expr_neg(p, power)), "g[i] = -(s[i] + 2)^s[i]");
    const Expr *less = expr_call(p, &scalar_lt, (const Expr *const[]){s, two});
    expect(f, compute(f, "h", INDICES(i), expr_add(p, expr_select(p, less, s, two), s)),
           "h[i] = (if s[i] < 2 then s[i] else 2) + s[i]");
    expect(f, compute(f, "k", INDICES(i), expr_and(p, expr_not(p, less), less)),
           "k[i] = not s[i] < 2 and s[i] < 2");
}

static void casts_print_where_nothing_implies_them(void **state)
{
    Fixture *f = *state;
    Index *i = index_of(f, "i", 3);
    ExprPool *p = f->p;
    const Expr *s = read(f, f->s, at(f, i)),
               *real = expr_cast(p, expr_affine(p, at(f, i)), TYPE_F32);
    expect(f, compute(f, "a", INDICES(i), expr_mul(p, s, real)), "a[i] = s[i] * i");
    expect(f, compute(f, "b", INDICES(i), expr_div(p, real, expr_const(p, 2))),
           "b[i: 3] = f32(i) / 2");
    expect(f, compute(f, "c", INDICES(i), expr_cast(p, s, TYPE_I32)), "c[i] = i32(s[i])");
    const Expr *less = expr_call(p, &scalar_lt, (const Expr *const[]){s, real});
    expect(f, compute(f, "d", INDICES(i), expr_mul(p, s, expr_cast(p, less, TYPE_F32))),
           "d[i] = s[i] * (s[i] < i)");
}

static void numbers_print_shortest(void **state)
{
    Fixture *f = *state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0.1, "0.1"},
                 {1e-8, "1e-08"},
                 {16777216, "16777216"},
                 {1.0 / 3, "0.33333334"},
                 {-2.5, "-2.5"}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        Text t;
        text_init(&t, f->arena);
        expr_print(&t, expr_const(f->p, cases[k].value));
        assert_string_equal(t.data, cases[k].text);
    }
}

static void data_subscripts_views_and_literals_print(void **state)
{
    Fixture *f = *state;
    Index *b = batch(f), *k = index_of(f, "k", 6);
    const Expr *label = read(f, f->label, at(f, b));
    const Subscript picked[] = {{NULL, label}, {at(f, k), NULL}};
    expect(f, compute(f, "e", INDICES(b, k), expr_access(f->p, f->w, picked)),
           "e[k] = dense.weight[label, k]");
    Node *v =
        graph_view(f->g, "flat", f->image, INDICES(batch(f), index_of(f, "i", 25)), SPAN_NONE);
    expect(f, v, "flat = reshape(image, [25])");
    Node *l = graph_literal(f->g, "c", (const int64_t[]){2, 2}, 2, (const double[]){1, .5, 0, -3},
                            SPAN_NONE);
    expect(f, l, "c = [[1, 0.5], [0, -3]]");
}

static void names_are_unique(void **state)
{
    Fixture *f = *state;
    assert_string_equal(dense(f)->name, "y");
    assert_string_equal(dense(f)->name, "y_2");
    assert_string_equal(dense(f)->name, "y_3");
}

/* A gradient that nothing else reads is its node's body. */
static void a_graph_prints_with_its_places(void **state)
{
    Fixture *f = *state;
    const char *file = "model m {\n  y = dense(x)\n}\n";
    Sources *sources = sources_create(f->arena);
    source_add(sources, "some/where/digits.nn", file, (int)strlen(file), false);
    Node *y = dense(f);
    y->span = (Span){0, 12, 15};
    Index *b = batch(f), *o = index_of(f, "o", 3), *i = index_of(f, "i", 6);
    const Expr *body =
        expr_mul(f->p, read(f, y, at(f, b), at(f, o)), read(f, f->x, at(f, b), at(f, i)));
    Node *d = reduce(f, "d_w", INDICES(o, i), &reduce_sum, INDICES(b), body);
    Index *c = batch(f), *q = index_of(f, "q", 3);
    Node *loss =
        reduce(f, "total", NULL, 0, &reduce_sum, INDICES(c, q), read(f, y, at(f, c), at(f, q)));
    graph_result(f->g, RESULT_LOSS, "main", loss, NULL, 0);
    graph_result(f->g, RESULT_GRADIENT, NULL, d, f->tensor, 0);
    graph_result(f->g, RESULT_OUTPUT, "scores", y, NULL, 0);
    Text t;
    text_init(&t, f->arena);
    graph_print(&t, f->g, sources);
    assert_string_equal(t.data,
                        "  y[o] = sum[i] dense.weight[o, i] * x[i]"
                        "                             # digits.nn:2\n"
                        "  total = sum[batch, q] y[q]\n"
                        "  loss main = total\n"
                        "  gradient dense.weight[o, i] = sum[batch] y[o] * x[i]\n"
                        "  output scores = y"
                        "                                                   # digits.nn:2\n");
    check_grammar(f, t.data);
}

/* ---- the graph ------------------------------------------------------------------------------------------ */

static void pruning_keeps_order(void **state)
{
    Fixture *f = *state;
    dense(f);
    Node *kept = dense(f);
    dense(f);
    graph_result(f->g, RESULT_OUTPUT, "y", kept, NULL, 0);
    graph_prune(f->g);
    assert_int_equal(f->g->nodes.count, 3);
    assert_ptr_equal(f->g->nodes.data[0], f->x);
    assert_ptr_equal(f->g->nodes.data[1], f->w);
    assert_ptr_equal(f->g->nodes.data[2], kept);
    assert_int_equal(kept->id, 2);
    assert_null(graph_verify(f->g));
}

static void refused(Fixture *f, const char *reason)
{
    const char *fault = graph_verify(f->g);
    assert_non_null(fault);
    if (!strstr(fault, reason))
        fail_msg("said `%s`, not `%s`", fault, reason);
}

static void a_sound_graph_is_accepted(void **state)
{
    Fixture *f = *state;
    dense(f);
    graph_view(f->g, "flat", f->image, INDICES(batch(f), index_of(f, "i", 25)), SPAN_NONE);
    /* all examples in one row */
    Node *all = graph_view(f->g, "all", f->x,
                           INDICES(index_new(f->p, "n", 6 * BATCH, 6, SPAN_NONE)), SPAN_NONE);
    Index *b = batch(f), *i = index_of(f, "i", 6);
    const Affine *place = affine_add(f->p, affine_scale(f->p, at(f, b), 6), at(f, i));
    compute(f, "back", INDICES(b, i), read(f, all, place));
    assert_null(graph_verify(f->g));
}

static void a_subscript_outside_is_refused(void **state)
{
    Fixture *f = *state;
    Index *b = batch(f), *i = index_of(f, "i", 6);
    compute(f, "z", INDICES(b, i), read(f, f->x, at(f, b), affine_offset(f->p, at(f, i), 1)));
    refused(f, "node z: subscript 2 of x, i + 1, may leave 0 … 5");
}

static void the_wrong_branch_is_refused(void **state)
{
    Fixture *f = *state;
    Index *b = batch(f), *i = index_of(f, "i", 7);
    const Expr *low =
        not_negative(f, affine_offset(f->p, affine_scale(f->p, at(f, i), -1), 5)); /* i < 6 */
    const Expr *x = read(f, f->x, at(f, b), at(f, i)), *zero = expr_const(f->p, 0);
    compute(f, "right", INDICES(b, i), expr_select(f->p, low, x, zero));
    assert_null(graph_verify(f->g));
    Index *c = batch(f), *j = index_of(f, "j", 7);
    const Expr *high = not_negative(f, affine_offset(f->p, at(f, j), -2));
    compute(f, "wrong", INDICES(c, j),
            expr_select(f->p, high, read(f, f->x, at(f, c), at(f, j)), zero));
    refused(f, "node wrong: subscript 2 of x, j, may leave");
}

/* Fewer examples than the most may be given. */
static void another_example_at_an_offset_is_refused(void **state)
{
    Fixture *f = *state;
    compute(f, "z", NULL, 0, read(f, f->label, affine_constant(f->p, BATCH - 1)));
    refused(f, "node z: subscript 1 of label, 3, may leave");
}

static void a_stray_index_is_refused(void **state)
{
    Fixture *f = *state;
    Index *b = batch(f), *i = index_of(f, "i", 6);
    compute(f, "z", INDICES(b), read(f, f->x, at(f, b), at(f, i)));
    refused(f, "index i is neither free nor bound");
}

static void a_shared_index_is_refused(void **state)
{
    Fixture *f = *state;
    Index *i = index_of(f, "i", 3);
    compute(f, "z", INDICES(i), read(f, f->s, at(f, i)));
    compute(f, "v", INDICES(i), read(f, f->s, at(f, i)));
    refused(f, "node v: index i belongs to z too");
}

static void a_wrong_order_is_refused(void **state)
{
    Fixture *f = *state;
    Node *y = dense(f);
    y->id = 0;
    refused(f, "its id 0 is not its position");
    y->id = f->g->nodes.count - 1;
    Index *b = batch(f), *o = index_of(f, "o", 3);
    Node *z = compute(f, "z", INDICES(b, o), read(f, y, at(f, b), at(f, o)));
    f->g->nodes.data[y->id] = z;
    f->g->nodes.data[z->id] = y;
    y->id++;
    z->id--;
    refused(f, "y is read before it is computed");
}

static void a_wrong_type_is_refused(void **state)
{
    Fixture *f = *state;
    dense(f)->type = TYPE_I32;
    refused(f, "its body is f32 and it is i32");
}

static void a_wrong_reduction_is_refused(void **state)
{
    Fixture *f = *state;
    Node *y = dense(f);
    y->reduction = &reduce_mean;
    refused(f, "a mean stands in the graph");
    y->reduction = &reduce_any;
    refused(f, "any of f32");
    y->reduction = NULL;
    refused(f, "an index is bound without a reduction");
}

static void a_wrong_view_is_refused(void **state)
{
    Fixture *f = *state;
    graph_view(f->g, "flat", f->image, INDICES(batch(f), index_of(f, "i", 24)), SPAN_NONE);
    refused(f, "node flat: it has 96 elements and image has 100");
}

static void wrong_results_are_refused(void **state)
{
    Fixture *f = *state;
    Node *y = dense(f);
    graph_result(f->g, RESULT_LOSS, "l", y, NULL, 0);
    refused(f, "a loss has rank 2");
    f->g->results.count = 0;
    graph_result(f->g, RESULT_UPDATE, NULL, y, f->tensor, 0);
    refused(f, "its shape is not the one declared");
}

static void a_name_twice_is_refused(void **state)
{
    Fixture *f = *state;
    dense(f);
    Node *z = dense(f);
    z->name = intern(f->names, "y");
    refused(f, "another node has its name");
}

/* ---- evaluation --------------------------------------------------------------------------------------------- */

static Evaluation *run(Fixture *f, int64_t examples)
{
    assert_null(graph_verify(f->g));
    Evaluation *ev = evaluation_create(f->g, examples);
    for (int k = 0; k < 6 * examples; k++)
        ev->values[f->x->id][k] = k % 7 - 2;
    for (int k = 0; k < 18; k++)
        ev->values[f->w->id][k] = k - 5;
    evaluation_run(ev);
    return ev;
}

static void a_product_of_matrices(void **state)
{
    Fixture *f = *state;
    Node *y = dense(f);
    Evaluation *ev = run(f, 3); /* fewer examples than the most */
    for (int b = 0; b < 3; b++)
        for (int o = 0; o < 3; o++) {
            double want = 0;
            for (int i = 0; i < 6; i++)
                want += (o * 6 + i - 5) * ((b * 6 + i) % 7 - 2);
            assert_true(ev->values[y->id][b * 3 + o] == want);
        }
}

/* Padding is never read. */
static void a_guarded_window(void **state)
{
    Fixture *f = *state;
    Index *b = batch(f), *i = index_of(f, "i", 6), *u = index_of(f, "u", 3);
    const Affine *a = affine_offset(f->p, affine_add(f->p, at(f, i), at(f, u)), -1);
    const Expr *padded =
        expr_select(f->p, inside(f, a, 6), read(f, f->x, at(f, b), a), expr_const(f->p, 10));
    Node *c = reduce(f, "c", INDICES(b, i), &reduce_sum, INDICES(u), padded);
    const double *got = run(f, 1)->values[c->id];
    /* x = -2 -1 0 1 2 3 */
    const double want[] = {10 - 2 - 1, -3, 0, 3, 6, 2 + 3 + 10};
    assert_memory_equal(got, want, sizeof want);
}

static void the_first_largest(void **state)
{
    Fixture *f = *state;
    Index *b = batch(f), *i = index_of(f, "i", 6);
    Node *n = reduce(f, "best", INDICES(b), &reduce_argmax, INDICES(i),
                     read(f, f->x, at(f, b), at(f, i)));
    Index *c = batch(f), *k = index_of(f, "k", 6);
    const Expr *product =
        expr_mul(f->p, read(f, f->x, at(f, c), at(f, k)), read(f, f->x, at(f, c), at(f, k)));
    Node *m = reduce(f, "square", INDICES(c), &reduce_argmin, INDICES(k), product);
    Evaluation *ev = run(f, 2);
    /* -2 -1 0 1 2 3;  4 -2 -1 0 1 2 */
    assert_true(ev->values[n->id][0] == 5 && ev->values[n->id][1] == 0);
    assert_true(ev->values[m->id][0] == 2 && ev->values[m->id][1] == 3);
}

static void random_numbers_and_scalars(void **state)
{
    Fixture *f = *state;
    Index *i = index_of(f, "i", 5);
    const Expr *random = expr_random(f->p, RANDOM_UNIFORM, 2, at(f, i));
    Node *n = compute(f, "r", INDICES(i),
                      expr_add(f->p, random, expr_scalar(f->p, SCALAR_BATCH_SIZE, 0)));
    Evaluation *ev = run(f, 3);
    for (uint32_t k = 0; k < 5; k++)
        assert_true(ev->values[n->id][k] == 3 + random_value(RANDOM_UNIFORM, 0, 1, 2, k));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open, shut)
    const struct CMUnitTest tests[] = {
        TEST(a_reduction_prints_over_a_product),
        TEST(the_batch_is_left_out_or_named),
        TEST(ranges_print_where_nothing_tells_them),
        TEST(equal_names_are_told_apart),
        TEST(guards_print_as_else_where_they_are_that),
        TEST(strided_gathers_print),
        TEST(precedence_needs_few_parentheses),
        TEST(casts_print_where_nothing_implies_them),
        TEST(numbers_print_shortest),
        TEST(data_subscripts_views_and_literals_print),
        TEST(names_are_unique),
        TEST(a_graph_prints_with_its_places),
        TEST(pruning_keeps_order),
        TEST(a_sound_graph_is_accepted),
        TEST(a_subscript_outside_is_refused),
        TEST(the_wrong_branch_is_refused),
        TEST(another_example_at_an_offset_is_refused),
        TEST(a_stray_index_is_refused),
        TEST(a_shared_index_is_refused),
        TEST(a_wrong_order_is_refused),
        TEST(a_wrong_type_is_refused),
        TEST(a_wrong_reduction_is_refused),
        TEST(a_wrong_view_is_refused),
        TEST(wrong_results_are_refused),
        TEST(a_name_twice_is_refused),
        TEST(a_product_of_matrices),
        TEST(a_guarded_window),
        TEST(the_first_largest),
        TEST(random_numbers_and_scalars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
