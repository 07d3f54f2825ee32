/* Affine expressions against brute force: what is simplified keeps its value for every value of its
 * indices, intervals hold, and what is proven is true. */
#include "functions/functions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { INDICES = 3, TRIALS = 4000, TESTS = 3 };

/* ---- random expressions, as trees beside the affine forms they make -------------------------------- */

typedef struct Tree Tree;
struct Tree {
    char op; /* c i + - * / % */
    int64_t number;
    const Tree *left, *right;
};

typedef struct World {
    Arena *arena;
    ExprPool *pool;
    Index *index[INDICES];
    int64_t at[INDICES];
    uint64_t random;
} World;

static int64_t below(World *w, int64_t n)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((w->random >> 33) % (uint64_t)n);
}

static void world_open(World *w, uint64_t seed)
{
    static const char *const names[] = {"i", "j", "k"};
    *w = (World){.arena = arena_create(), .random = seed};
    w->pool = expr_pool_create(w->arena, TYPE_F32);
    for (int i = 0; i < INDICES; i++)
        w->index[i] = index_new(w->pool, names[i], 1 + below(w, 7), 0, SPAN_NONE);
}

static void world_close(World *w)
{
    arena_destroy(w->arena);
}

static Tree *tree(World *w, char op, int64_t number, const Tree *left, const Tree *right)
{
    Tree *t = arena_new(w->arena, Tree, 1);
    *t = (Tree){op, number, left, right};
    return t;
}

static const Tree *random_tree(World *w, int depth)
{
    if (depth == 0 || below(w, 8) == 0)
        return below(w, 4) ? tree(w, 'i', below(w, INDICES), NULL, NULL)
                           : tree(w, 'c', below(w, 13) - 6, NULL, NULL);
    char op = "++-**//%%"[below(w, 9)];
    if (op == '+' || op == '-')
        return tree(w, op, 0, random_tree(w, depth - 1), random_tree(w, depth - 1));
    int64_t number = op == '*' ? below(w, 13) - 6 : 1 + below(w, 8);
    return tree(w, op, number, random_tree(w, depth - 1), NULL);
}

static const Affine *build(World *w, const Tree *t)
{
    ExprPool *p = w->pool;
    switch (t->op) {
    case 'c':
        return affine_constant(p, t->number);
    case 'i':
        return affine_index(p, w->index[t->number]);
    case '+':
        return affine_add(p, build(w, t->left), build(w, t->right));
    case '-':
        return affine_sub(p, build(w, t->left), build(w, t->right));
    case '*':
        return affine_scale(p, build(w, t->left), t->number);
    case '/':
        return affine_quotient(p, build(w, t->left), t->number);
    default:
        return affine_remainder(p, build(w, t->left), t->number);
    }
}

static int64_t quotient(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return q * b > a ? q - 1 : q;
}

static int64_t tree_value(const World *w, const Tree *t)
{
    int64_t a = t->left ? tree_value(w, t->left) : 0, b = t->right ? tree_value(w, t->right) : 0;
    switch (t->op) {
    case 'c':
        return t->number;
    case 'i':
        return w->at[t->number];
    case '+':
        return a + b;
    case '-':
        return a - b;
    case '*':
        return a * t->number;
    case '/':
        return quotient(a, t->number);
    default:
        return a - t->number * quotient(a, t->number);
    }
}

static int64_t value(const World *w, const Affine *a)
{
    int64_t sum = a->constant;
    for (int i = 0; i < a->count; i++) {
        const Term *t = &a->terms[i];
        int64_t v = t->kind == TERM_INDEX ? 0 : value(w, t->inner);
        for (int k = 0; k < INDICES; k++)
            if (t->index == w->index[k])
                v = w->at[k];
        if (t->kind != TERM_INDEX)
            v = t->kind == TERM_QUOTIENT ? quotient(v, t->divisor)
                                         : v - t->divisor * quotient(v, t->divisor);
        sum += t->factor * v;
    }
    return sum;
}

static bool next_point(World *w)
{
    for (int k = 0; k < INDICES; k++) {
        if (++w->at[k] < w->index[k]->extent)
            return true;
        w->at[k] = 0;
    }
    return false;
}

/* ---- simplification ------------------------------------------------------------------------------------ */

static void check_canonical(const Affine *a)
{
    for (int i = 0; i < a->count; i++) {
        assert_true(a->terms[i].factor != 0);
        assert_true(i == 0 || a->terms[i - 1].kind <= a->terms[i].kind);
        if (a->terms[i].kind != TERM_INDEX)
            check_canonical(a->terms[i].inner);
    }
}

static void values_and_intervals_hold(void **state)
{
    (void)state;
    for (int trial = 0; trial < TRIALS; trial++) {
        World w;
        world_open(&w, (uint64_t)trial);
        const Tree *t = random_tree(&w, 4);
        const Affine *a = build(&w, t);
        Interval v = affine_interval(a);
        check_canonical(a);
        assert_ptr_equal(a, build(&w, t));
        do {
            assert_int_equal(value(&w, a), tree_value(&w, t));
            assert_in_range(value(&w, a) + 100000, v.low + 100000, v.high + 100000);
        } while (next_point(&w));
        world_close(&w);
    }
}

static void substitution_is_applied_at_once(void **state)
{
    (void)state;
    for (int trial = 0; trial < TRIALS; trial++) {
        World w;
        world_open(&w, (uint64_t)trial);
        const Affine *to[INDICES];
        for (int k = 0; k < INDICES; k++) { /* a cyclic exchange, of equal ranges */
            w.index[k]->extent = w.index[0]->extent;
            to[k] = affine_index(w.pool, w.index[(k + 1) % INDICES]);
        }
        const Affine *a = build(&w, random_tree(&w, 3));
        const Affine *b = affine_substitute(w.pool, a, &(Substitution){INDICES, w.index, to});
        do {
            World moved = w;
            for (int k = 0; k < INDICES; k++)
                moved.at[k] = w.at[(k + 1) % INDICES];
            assert_int_equal(value(&w, b), value(&moved, a));
        } while (next_point(&w));
        world_close(&w);
    }
}

static void known_forms(void **state)
{
    (void)state;
    Arena *arena = arena_create();
    ExprPool *p = expr_pool_create(arena, TYPE_F32);
    const Affine *h = affine_index(p, index_new(p, "h", 100, 0, SPAN_NONE));
    const Affine *j = affine_index(p, index_new(p, "j", 4, 0, SPAN_NONE));
    const Affine *k = affine_index(p, index_new(p, "k", 3, 0, SPAN_NONE));
    const Affine *hj = affine_add(p, affine_scale(p, h, 4), j);
    const Affine *hjk = affine_add(p, affine_scale(p, hj, 3), k);
    assert_ptr_equal(affine_quotient(p, hj, 4), h);
    assert_ptr_equal(affine_remainder(p, hj, 4), j);
    /* unflattening a flattened triple */
    assert_ptr_equal(affine_quotient(p, hjk, 12), h);
    assert_ptr_equal(affine_remainder(p, affine_quotient(p, hjk, 3), 4), j);
    assert_ptr_equal(affine_remainder(p, hjk, 3), k);
    /* nested division, remainder of remainder, remainder out of range */
    assert_ptr_equal(affine_quotient(p, affine_quotient(p, h, 3), 5), affine_quotient(p, h, 15));
    assert_ptr_equal(affine_remainder(p, affine_remainder(p, h, 12), 4), affine_remainder(p, h, 4));
    assert_ptr_equal(affine_remainder(p, j, 4), j);
    /* flattening what was unflattened: 20*(h/20) + 5*((h/5)%4) + h%5 */
    const Affine *sum = affine_scale(p, affine_quotient(p, h, 20), 20);
    const Affine *middle = affine_remainder(p, affine_quotient(p, h, 5), 4);
    sum = affine_add(p, sum, affine_scale(p, middle, 5));
    sum = affine_add(p, sum, affine_remainder(p, h, 5));
    assert_ptr_equal(sum, h);
    arena_destroy(arena);
}

/* ---- facts ------------------------------------------------------------------------------------------------ */

static bool test_holds(const World *w, const Expr *e)
{
    if (e->kind == EXPR_CONST)
        return e->value != 0;
    if (e->kind == EXPR_CALL) {
        bool first = test_holds(w, e->args[0]);
        if (e->function == &scalar_not)
            return !first;
        return e->function == &scalar_and ? first && test_holds(w, e->args[1])
                                          : first || test_holds(w, e->args[1]);
    }
    int64_t v = value(w, e->affine);
    return e->test == TEST_ZERO ? v == 0 : v >= 0;
}

static const Expr *random_test(World *w)
{
    const Expr *e = expr_test(w->pool, below(w, 3) ? TEST_NOT_NEGATIVE : TEST_ZERO,
                              build(w, random_tree(w, 2)));
    if (below(w, 4) == 0)
        e = expr_not(w->pool, e);
    if (below(w, 3) == 0) {
        const Expr *const both[] = {e, random_test(w)};
        e = expr_call(w->pool, below(w, 2) ? &scalar_and : &scalar_or, both);
    }
    return e;
}

/* A test folded and simplified says the same as its expression. */
static void tests_keep_their_truth(void **state)
{
    (void)state;
    for (int trial = 0; trial < TRIALS; trial++) {
        World w;
        world_open(&w, (uint64_t)trial);
        const Affine *a = build(&w, random_tree(&w, 3));
        const Expr *low = expr_test(w.pool, TEST_NOT_NEGATIVE, a),
                   *zero = expr_test(w.pool, TEST_ZERO, a);
        const Expr *high = expr_not(w.pool, low);
        do {
            int64_t v = value(&w, a);
            assert_int_equal(test_holds(&w, low), v >= 0);
            assert_int_equal(test_holds(&w, high), v < 0);
            assert_int_equal(test_holds(&w, zero), v == 0);
        } while (next_point(&w));
        world_close(&w);
    }
}

static bool facts_hold(const World *w, const Facts *f)
{
    for (; f; f = f->outer)
        if (test_holds(w, f->test) != f->holds)
            return false;
    return true;
}

static void proofs_are_sound(void **state)
{
    (void)state;
    int proven = 0;
    for (int trial = 0; trial < 4 * TRIALS; trial++) {
        World w;
        world_open(&w, (uint64_t)trial);
        Facts facts[TESTS];
        for (int i = 0; i < TESTS; i++)
            facts[i] = (Facts){i ? &facts[i - 1] : NULL, random_test(&w), below(&w, 3) != 0};
        const Affine *goal = build(&w, random_tree(&w, 3));
        if (affine_interval(goal).low < 0 &&
            facts_prove_not_negative(w.pool, &facts[TESTS - 1], goal)) {
            proven++;
            do
                assert_true(!facts_hold(&w, &facts[TESTS - 1]) || value(&w, goal) >= 0);
            while (next_point(&w));
        }
        world_close(&w);
    }
    assert_true(proven > 100);
}

/* A goal that is given, in itself or by a weaker form of it, is proven whatever stands in it. */
static void what_is_given_is_proven(void **state)
{
    (void)state;
    int given = 0;
    for (int trial = 0; trial < 4 * TRIALS; trial++) {
        World w;
        world_open(&w, (uint64_t)trial);
        const Affine *a = build(&w, random_tree(&w, 4));
        Facts facts = {NULL, expr_test(w.pool, TEST_NOT_NEGATIVE, a), true};
        if (facts.test->kind == EXPR_TEST) {
            given++;
            assert_true(facts_prove_not_negative(w.pool, &facts, a));
            assert_true(facts_prove_not_negative(w.pool, &facts, affine_offset(w.pool, a, 3)));
            assert_true(facts_prove_not_negative(w.pool, &facts, affine_scale(w.pool, a, 2)));
        }
        world_close(&w);
    }
    assert_true(given > 100);
}

/* f*x + g*y <= c tells the largest x and the largest y, rounded down. */
static void bounds_are_rounded(void **state)
{
    (void)state;
    enum { MOST = 6 };
    Arena *arena = arena_create();
    ExprPool *p = expr_pool_create(arena, TYPE_F32);
    Index *x = index_new(p, "x", MOST, 0, SPAN_NONE), *y = index_new(p, "y", MOST, 0, SPAN_NONE);
    for (int f = 1; f < 5; f++)
        for (int g = 1; g < 5; g++)
            for (int c = 0; c < 12; c++) {
                const Affine *sum = affine_add(p, affine_scale(p, affine_index(p, x), -f),
                                               affine_scale(p, affine_index(p, y), -g));
                const Expr *test = expr_test(p, TEST_NOT_NEGATIVE, affine_offset(p, sum, c));
                const Affine *minus_x = affine_scale(p, affine_index(p, x), -1);
                for (int top = 0; top < MOST; top++) {
                    bool proven = facts_prove_not_negative(p, &(Facts){NULL, test, true},
                                                           affine_offset(p, minus_x, top));
                    assert_int_equal(proven, top >= c / f || top == MOST - 1);
                }
            }
    arena_destroy(arena);
}

/* The guards of a strided, padded convolution's input gradient. */
static void convolution_gradient_is_inside(void **state)
{
    (void)state;
    Arena *arena = arena_create();
    ExprPool *p = expr_pool_create(arena, TYPE_F32);
    const Affine *h = affine_index(p, index_new(p, "h", 11, 0, SPAN_NONE));
    const Affine *u = affine_index(p, index_new(p, "u", 3, 0, SPAN_NONE));
    const Affine *top = affine_offset(p, affine_sub(p, h, u), 1); /* h - u + 1 */
    const Affine *row = affine_quotient(p, top, 2);
    const Affine *last = affine_offset(p, affine_scale(p, row, -1), 3);
    Facts divisible = {NULL, expr_test(p, TEST_ZERO, affine_remainder(p, top, 2)), true};
    Facts above = {&divisible, expr_test(p, TEST_NOT_NEGATIVE, top), true};
    Facts below_end = {&above, expr_test(p, TEST_NOT_NEGATIVE, last), true};
    assert_false(facts_prove_inside(p, NULL, row, 4));
    assert_false(facts_prove_inside(p, &above, row, 4));
    assert_true(facts_prove_inside(p, &below_end, row, 4));
    assert_false(facts_prove_inside(p, &below_end, row, 3));
    arena_destroy(arena);
}

/* if j < n then a[j] else b[j - n] */
static void both_branches_know_the_condition(void **state)
{
    (void)state;
    Arena *arena = arena_create();
    ExprPool *p = expr_pool_create(arena, TYPE_F32);
    const Affine *j = affine_index(p, index_new(p, "j", 10, 0, SPAN_NONE));
    const Expr *less =
        expr_test(p, TEST_NOT_NEGATIVE, affine_offset(p, affine_scale(p, j, -1), 5)); /* j < 6 */
    assert_true(facts_prove_inside(p, &(Facts){NULL, less, true}, j, 6));
    assert_true(facts_prove_inside(p, &(Facts){NULL, less, false}, affine_offset(p, j, -6), 4));
    assert_false(facts_prove_inside(p, &(Facts){NULL, less, false}, affine_offset(p, j, -6), 3));
    /* 2*j < 12 tells the same of j, and of 3*j */
    const Affine *twice = affine_offset(p, affine_scale(p, j, -2), 11);
    const Expr *scaled = expr_test(p, TEST_NOT_NEGATIVE, twice);
    assert_true(facts_prove_inside(p, &(Facts){NULL, scaled, true}, affine_scale(p, j, 3), 16));
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_and_intervals_hold),
        cmocka_unit_test(substitution_is_applied_at_once),
        cmocka_unit_test(known_forms),
        cmocka_unit_test(tests_keep_their_truth),
        cmocka_unit_test(proofs_are_sound),
        cmocka_unit_test(what_is_given_is_proven),
        cmocka_unit_test(bounds_are_rounded),
        cmocka_unit_test(convolution_gradient_is_inside),
        cmocka_unit_test(both_branches_know_the_condition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
