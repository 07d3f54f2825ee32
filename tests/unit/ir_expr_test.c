/* Expressions: equal ones are one pointer, what is folded keeps its value, traversals visit each
 * subexpression once. */
#include "functions/functions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <math.h>
#include <cmocka.h>

typedef struct Fixture {
    Arena *arena;
    ExprPool *p;
    Graph *g;
    const Expr *x, *y; /* two real numbers  */
    const Expr *c, *d; /* two truths        */
    const Expr *i;     /* an index, 0 … 9   */
    Index *index;
} Fixture;

static const Expr *call2(Fixture *f, const ScalarFunction *fn, const Expr *a, const Expr *b)
{
    return expr_call(f->p, fn, (const Expr *const[]){a, b});
}

static const Expr *number(Fixture *f, double v)
{
    return expr_const(f->p, v);
}

static const Expr *integer(Fixture *f, double v)
{
    return expr_const_typed(f->p, v, TYPE_I32);
}

static Tensor *tensor(Arena *a, const char *name, DType type)
{
    Tensor *t = arena_new(a, Tensor, 1);
    *t = (Tensor){.name = name, .type = type, .span = SPAN_NONE};
    return t;
}

static const Expr *scalar_tensor(Fixture *f, const char *name, DType type)
{
    return expr_access(f->p, graph_tensor(f->g, tensor(f->arena, name, type)), NULL);
}

static int open(void **state)
{
    Arena *a = arena_create();
    Fixture *f = arena_new(a, Fixture, 1);
    f->arena = a;
    f->p = expr_pool_create(a, TYPE_F32);
    f->g = graph_create(f->p, interner_create(a), "test", 4);
    f->x = scalar_tensor(f, "x", TYPE_F32);
    f->y = scalar_tensor(f, "y", TYPE_F32);
    f->c = scalar_tensor(f, "c", TYPE_BOOL);
    f->d = scalar_tensor(f, "d", TYPE_BOOL);
    f->index = index_new(f->p, "i", 10, 0, SPAN_NONE);
    f->i = expr_affine(f->p, affine_index(f->p, f->index));
    *state = f;
    return 0;
}

static int shut(void **state)
{
    arena_destroy(((Fixture *)*state)->arena);
    return 0;
}

static const char *text(Fixture *f, const Expr *e)
{
    Text t;
    text_init(&t, f->arena);
    expr_print(&t, e);
    return t.data;
}

static void equal_expressions_are_one(void **state)
{
    Fixture *f = *state;
    const Expr *a = expr_mul(f->p, f->x, expr_add(f->p, f->y, number(f, 2)));
    const Expr *b = expr_mul(f->p, f->x, expr_add(f->p, f->y, number(f, 2)));
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, expr_mul(f->p, f->x, expr_add(f->p, f->y, number(f, 3))));
    assert_ptr_not_equal(number(f, 2), integer(f, 2));
    assert_ptr_equal(number(f, 0.1), number(f, (float)0.1)); /* f32 models count in f32 */
    for (int k = 0; k < 5000; k++)                           /* past every growth of the table */
        assert_ptr_equal(expr_add(f->p, f->x, number(f, k + 1)),
                         expr_add(f->p, f->x, number(f, k + 1)));
}

static void constants_fold(void **state)
{
    Fixture *f = *state;
    assert_ptr_equal(expr_add(f->p, number(f, 2), number(f, 3)), number(f, 5));
    assert_ptr_equal(expr_div(f->p, number(f, 1), number(f, 3)), number(f, 1.0 / 3));
    assert_true(expr_div(f->p, number(f, 1), number(f, 3))->value == (double)(float)(1.0 / 3));
    assert_ptr_equal(expr_div(f->p, integer(f, -7), integer(f, 2)), integer(f, -4));
    assert_ptr_equal(call2(f, &scalar_mod, integer(f, -7), integer(f, 4)), integer(f, 1));
    assert_ptr_equal(call2(f, &scalar_lt, number(f, 1), number(f, 2)),
                     expr_const_typed(f->p, 1, TYPE_BOOL));
    assert_ptr_equal(expr_cast(f->p, integer(f, 3), TYPE_F32), number(f, 3));
    assert_ptr_equal(expr_cast(f->p, number(f, -3.7), TYPE_I32), integer(f, -3));
    /* what is undefined or overflows stays as written */
    assert_int_equal(expr_div(f->p, integer(f, 1), integer(f, 0))->kind, EXPR_CALL);
    assert_int_equal(expr_div(f->p, number(f, 1), number(f, 0))->kind, EXPR_CALL);
    assert_int_equal(expr_mul(f->p, integer(f, 1 << 30), integer(f, 2))->kind, EXPR_CALL);
    assert_int_equal(expr_mul(f->p, number(f, 1e38), number(f, 10))->kind, EXPR_CALL);
}

static void identities_of_arithmetic(void **state)
{
    Fixture *f = *state;
    const Expr *x = f->x, *y = f->y, *one = number(f, 1), *zero = number(f, 0),
               *minus = expr_neg(f->p, x);
    assert_ptr_equal(expr_add(f->p, x, zero), x);
    assert_ptr_equal(expr_add(f->p, zero, x), x);
    assert_ptr_equal(expr_sub(f->p, x, zero), x);
    assert_ptr_equal(expr_sub(f->p, zero, x), minus);
    assert_ptr_equal(expr_mul(f->p, x, one), x);
    assert_ptr_equal(expr_mul(f->p, one, x), x);
    assert_ptr_equal(expr_mul(f->p, x, zero), zero);
    assert_ptr_equal(expr_mul(f->p, x, number(f, -1)), minus);
    assert_ptr_equal(expr_div(f->p, x, one), x);
    assert_ptr_equal(expr_neg(f->p, minus), x);
    assert_ptr_equal(expr_add(f->p, x, expr_neg(f->p, y)), expr_sub(f->p, x, y));
    assert_ptr_equal(expr_add(f->p, minus, y), expr_sub(f->p, y, x));
    assert_ptr_equal(expr_sub(f->p, x, expr_neg(f->p, y)), expr_add(f->p, x, y));
    assert_ptr_equal(expr_mul(f->p, minus, y), expr_neg(f->p, expr_mul(f->p, x, y)));
    assert_ptr_equal(expr_mul(f->p, minus, expr_neg(f->p, y)), expr_mul(f->p, x, y));
    assert_string_equal(text(f, expr_mul(f->p, number(f, 2), expr_mul(f->p, x, number(f, 3)))),
                        "6 * x");
    assert_string_equal(text(f, expr_add(f->p, x, expr_mul(f->p, number(f, -2), y))), "x - 2 * y");
    assert_string_equal(text(f, expr_neg(f->p, expr_mul(f->p, number(f, 2), y))), "-2 * y");
    assert_string_equal(text(f, expr_div(f->p, zero, x)), "0 / x");
    /* infinities differ from themselves */
    assert_string_equal(text(f, expr_sub(f->p, x, x)), "x - x");
}

static void identities_of_powers(void **state)
{
    Fixture *f = *state;
    assert_ptr_equal(call2(f, &scalar_pow, f->x, number(f, 1)), f->x);
    assert_ptr_equal(call2(f, &scalar_pow, f->x, number(f, 0)), number(f, 1));
    assert_ptr_equal(call2(f, &scalar_pow, f->x, number(f, 2)), expr_mul(f->p, f->x, f->x));
    assert_ptr_equal(call2(f, &scalar_pow, f->x, number(f, 0.5)),
                     expr_call(f->p, &scalar_sqrt, &f->x));
    assert_string_equal(text(f, call2(f, &scalar_pow, f->x, number(f, -1))), "1 / x");
}

static void identities_of_truths(void **state)
{
    Fixture *f = *state;
    const Expr *yes = expr_const_typed(f->p, 1, TYPE_BOOL),
               *no = expr_const_typed(f->p, 0, TYPE_BOOL);
    assert_ptr_equal(expr_and(f->p, f->c, yes), f->c);
    assert_ptr_equal(expr_and(f->p, f->c, no), no);
    assert_ptr_equal(call2(f, &scalar_or, f->c, no), f->c);
    assert_ptr_equal(call2(f, &scalar_or, yes, f->c), yes);
    assert_ptr_equal(expr_not(f->p, expr_not(f->p, f->c)), f->c);
    assert_ptr_equal(expr_select(f->p, yes, f->x, f->y), f->x);
    assert_ptr_equal(expr_select(f->p, no, f->x, f->y), f->y);
    assert_ptr_equal(expr_select(f->p, f->c, f->x, f->x), f->x);
    assert_ptr_equal(expr_select(f->p, expr_not(f->p, f->c), f->x, f->y),
                     expr_select(f->p, f->c, f->y, f->x));
    assert_ptr_equal(expr_select(f->p, f->c, yes, no), f->c);
    assert_ptr_equal(expr_select(f->p, f->c, no, yes), expr_not(f->p, f->c));
    const Expr *nested = expr_select(f->p, f->c, expr_select(f->p, f->c, f->x, f->y), f->y);
    assert_ptr_equal(nested, expr_select(f->p, f->c, f->x, f->y));
}

/* Arithmetic on indices is one affine expression, comparison one test. */
static void indices_fold(void **state)
{
    Fixture *f = *state;
    const Expr *i = f->i, *two = integer(f, 2);
    assert_ptr_equal(expr_sub(f->p, i, i), integer(f, 0));
    const Expr *sum = expr_add(f->p, expr_mul(f->p, i, two), integer(f, 3));
    assert_int_equal(sum->kind, EXPR_AFFINE);
    assert_string_equal(text(f, sum), "2 * i + 3");
    assert_string_equal(text(f, expr_div(f->p, sum, two)), "i + 1");
    assert_ptr_equal(call2(f, &scalar_mod, sum, two), integer(f, 1));
    assert_string_equal(text(f, call2(f, &scalar_lt, i, integer(f, 5))), "i < 5");
    assert_string_equal(text(f, call2(f, &scalar_ge, i, integer(f, 1))), "i >= 1");
    assert_string_equal(text(f, call2(f, &scalar_gt, i, integer(f, 1))), "i >= 2");
    assert_string_equal(text(f, call2(f, &scalar_eq, i, integer(f, 4))), "i == 4");
    assert_string_equal(text(f, call2(f, &scalar_ne, i, integer(f, 4))), "i != 4");
    assert_string_equal(text(f, expr_not(f->p, call2(f, &scalar_lt, i, integer(f, 5)))), "i >= 5");
    assert_string_equal(text(f, call2(f, &scalar_le, expr_mul(f->p, i, two), integer(f, 7))),
                        "i < 4");
    /* known from the extent */
    assert_ptr_equal(call2(f, &scalar_lt, i, integer(f, 10)), expr_const_typed(f->p, 1, TYPE_BOOL));
    assert_ptr_equal(call2(f, &scalar_ge, i, integer(f, 10)), expr_const_typed(f->p, 0, TYPE_BOOL));
    assert_ptr_equal(call2(f, &scalar_eq, expr_mul(f->p, i, two), integer(f, 3)),
                     expr_const_typed(f->p, 0, TYPE_BOOL));
}

static void an_unknown_extent_tells_nothing(void **state)
{
    Fixture *f = *state;
    const Expr *n = expr_affine(f->p, affine_index(f->p, index_new(f->p, "n", 0, 0, SPAN_NONE)));
    assert_int_equal(call2(f, &scalar_lt, n, integer(f, 5))->kind, EXPR_TEST);
    assert_string_equal(text(f, expr_div(f->p, n, integer(f, 5))), "n / 5");
    assert_ptr_equal(call2(f, &scalar_ge, n, integer(f, 0)), expr_const_typed(f->p, 1, TYPE_BOOL));
}

/* ---- random trees keep their value ------------------------------------------------------------------- */

typedef struct Tree {
    const Expr *folded;
    double value;
} Tree;

static unsigned next_random(unsigned *seed, unsigned n)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % n;
}

static Tree random_tree(Fixture *f, unsigned *seed, int depth)
{
    static const ScalarFunction *const functions[] = {
        &scalar_add, &scalar_sub, &scalar_mul, &scalar_div,
        &scalar_neg, &scalar_pow, &scalar_max, &scalar_min,
    };
    static const double constants[] = {0, 1, -1, 2, 0.5, -3};
    if (depth == 0 || next_random(seed, 6) == 0) {
        unsigned pick = next_random(seed, 8);
        if (pick < 6)
            return (Tree){number(f, constants[pick]), constants[pick]};
        return pick == 6 ? (Tree){f->x, 1.75} : (Tree){f->y, -0.625};
    }
    const ScalarFunction *fn = functions[next_random(seed, 8)];
    Tree a = random_tree(f, seed, depth - 1), b = random_tree(f, seed, depth - 1);
    double value = fn->value((double[]){a.value, b.value});
    return (Tree){expr_call(f->p, fn, (const Expr *const[]){a.folded, b.folded}), value};
}

static double evaluate(Fixture *f, const Expr *e)
{
    Node *n = graph_compute(f->g, "z", e->type, NULL, 0, NULL, NULL, 0, e, SPAN_NONE);
    Evaluation *ev = evaluation_create(f->g, 1);
    ev->values[f->x->node->id][0] = 1.75;
    ev->values[f->y->node->id][0] = -0.625;
    evaluation_run(ev);
    f->g->nodes.count--; /* so that the graph does not grow with every trial */
    return ev->values[n->id][0];
}

static void folding_keeps_the_value(void **state)
{
    Fixture *f = *state;
    unsigned seed = 7;
    int compared = 0;
    f->p = expr_pool_create(f->arena, TYPE_F64);
    f->g = graph_create(f->p, interner_create(f->arena), "test", 4);
    f->x = scalar_tensor(f, "x", TYPE_F64);
    f->y = scalar_tensor(f, "y", TYPE_F64);
    for (int trial = 0; trial < 3000; trial++) {
        Tree t = random_tree(f, &seed, 4);
        /* 0 * infinity is what models accept to lose */
        if (!isfinite(t.value) || fabs(t.value) > 1e6)
            continue;
        double folded = evaluate(f, t.folded);
        if (!isfinite(folded))
            continue;
        assert_true(fabs(folded - t.value) <= 1e-9 * (1 + fabs(t.value)));
        compared++;
    }
    assert_true(compared > 1000);
}

/* ---- traversal ---------------------------------------------------------------------------------------- */

static const Expr *exchange(void *context, const Expr *e)
{
    Fixture *f = context;
    return e == f->x ? f->y : e;
}

static void count_one(void *context, const Expr *e)
{
    (void)e;
    ++*(int *)context;
}

static void traversals_take_shared_parts_once(void **state)
{
    Fixture *f = *state;
    const Expr *e = f->x;
    for (int k = 0; k < 60; k++) /* 2^60 paths */
        e = expr_add(f->p, e, expr_mul(f->p, e, f->y));
    int count = 0;
    expr_visit(f->p, e, count_one, &count);
    assert_int_equal(count, 122);
    const Expr *mapped = expr_map(f->p, e, exchange, f);
    count = 0;
    expr_visit(f->p, mapped, count_one, &count);
    assert_int_equal(count, 121);
}

static void substitution_reaches_every_leaf(void **state)
{
    Fixture *f = *state;
    static const int64_t shape[] = {12};
    Port *port = arena_new(f->arena, Port, 1);
    *port = (Port){.name = "t", .type = TYPE_I32, .rank = 1, .shape = shape, .span = SPAN_NONE};
    Node *t = graph_port(f->g, port);
    Index *b = index_new(f->p, "b", 4, 1, SPAN_NONE), *j = index_new(f->p, "j", 10, 0, SPAN_NONE);
    const Expr *inner = expr_access_identity(f->p, t, (Index *const[]){b, f->index});
    const Subscript nested[] = {{affine_index(f->p, b), NULL}, subscript_of(f->p, inner)};
    const Expr *e = expr_access(f->p, t, nested);
    const Expr *test =
        expr_test(f->p, TEST_NOT_NEGATIVE, affine_offset(f->p, affine_index(f->p, f->index), -3));
    e = expr_select(f->p, test, e, f->i);
    const Affine *const to[] = {affine_offset(f->p, affine_index(f->p, j), 2)};
    e = expr_substitute(f->p, e, &(Substitution){1, &f->index, to});
    assert_string_equal(text(f, e), "if j >= 1 then t[t[j + 2]] else j + 2");
    assert_false(expr_uses_index(f->p, e, f->index));
    assert_true(expr_uses_index(f->p, e, j));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(equal_expressions_are_one, open, shut),
        cmocka_unit_test_setup_teardown(constants_fold, open, shut),
        cmocka_unit_test_setup_teardown(identities_of_arithmetic, open, shut),
        cmocka_unit_test_setup_teardown(identities_of_powers, open, shut),
        cmocka_unit_test_setup_teardown(identities_of_truths, open, shut),
        cmocka_unit_test_setup_teardown(indices_fold, open, shut),
        cmocka_unit_test_setup_teardown(an_unknown_extent_tells_nothing, open, shut),
        cmocka_unit_test_setup_teardown(folding_keeps_the_value, open, shut),
        cmocka_unit_test_setup_teardown(traversals_take_shared_parts_once, open, shut),
        cmocka_unit_test_setup_teardown(substitution_reaches_every_leaf, open, shut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
