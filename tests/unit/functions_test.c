/* The tables of functions, row by row: complete, of the right types, with derivatives that agree
 * with differences of their values, and the same as code as they are as values. */
#include "functions_lanes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* ---- an interpreter of expressions over locals --------------------------------------------------------- */

static double eval(const Expr *e, const double *locals)
{
    double args[3] = {0};
    if (e->kind == EXPR_CONST)
        return e->value;
    if (e->kind == EXPR_LOCAL)
        return locals[e->local];
    assert_int_equal(e->kind, EXPR_CALL);
    for (int i = 0; i < e->function->arity; i++)
        args[i] = eval(e->args[i], locals);
    return e->function->value(args);
}

/* d e / d local, forwards, by the rows' derivatives. */
static const Expr *differentiate(ExprPool *p, const Expr *e, int local)
{
    if (e->kind == EXPR_LOCAL)
        return expr_const(p, e->local == local);
    const Expr *sum = expr_const(p, 0);
    if (e->kind != EXPR_CALL || !e->function->derivative)
        return sum;
    for (int i = 0; i < e->function->arity; i++) {
        const Expr *inner = differentiate(p, e->args[i], local);
        const Expr *slope = e->function->derivative(p, e, i);
        double c;
        if (slope && !(expr_is_const(inner, &c) && c == 0))
            sum = expr_add(p, sum, expr_mul(p, inner, slope));
    }
    return sum;
}

/* f of its own locals: reals, but for select's truth, which is local 0 != 0. */
static const Expr *call_of_locals(ExprPool *p, const ScalarFunction *f)
{
    const Expr *args[3];
    for (int i = 0; i < f->arity; i++)
        args[i] = expr_local(p, TYPE_F64, i);
    if (f->signature == SIGNATURE_SELECT)
        args[0] = expr_cast(p, args[0], TYPE_BOOL);
    return expr_call(p, f, args);
}

/* ---- every row ----------------------------------------------------------------------------------------- */

/* Locally constant, or held constant on purpose, or not of real numbers. */
static const char *const without_derivative[] = {
    "sign", "floor",   "ceil",       "round", "stop_gradient", "lt",  "le",
    "gt",   "ge",      "eq",         "ne",    "is_finite",     "and", "or",
    "not",  "to_real", "to_integer",
};

static bool lacks_derivative(const char *name)
{
    for (size_t i = 0; i < sizeof without_derivative / sizeof *without_derivative; i++)
        if (strcmp(without_derivative[i], name) == 0)
            return true;
    return false;
}

static void rows_are_complete(void **state)
{
    assert_true(scalar_count() >= 50);
    for (int i = 0; i < scalar_count(); i++) {
        const ScalarFunction *f = scalar_at(i);
        assert_non_null(f->name);
        assert_true(f->doc && f->doc[0]);
        assert_true(f->arity >= 1 && f->arity <= 3);
        assert_non_null(f->value);
        assert_non_null(f->lower);
        assert_true(f->cost >= 0);
        assert_true(!f->derivative == lacks_derivative(f->name));
        assert_ptr_equal(scalar_find(f->name), f->internal ? NULL : f);
        if (f->infix)
            assert_ptr_equal(scalar_find_infix(f->infix, f->arity), f);
    }
    assert_null(scalar_at(scalar_count()));
    assert_null(scalar_find("no such function"));
    assert_null(scalar_find_infix("+", 1));
}

static void types_follow_signatures(void **state)
{
    const ScalarFunction *add = &scalar_add, *exp_ = &scalar_exp;
    assert_int_equal(scalar_result_type(add, (DType[]){TYPE_F32, TYPE_F32}), TYPE_F32);
    assert_int_equal(scalar_result_type(add, (DType[]){TYPE_U8, TYPE_I32}), TYPE_I32);
    assert_int_equal(scalar_result_type(add, (DType[]){TYPE_F32, TYPE_I32}), -1);
    assert_int_equal(scalar_result_type(add, (DType[]){TYPE_F32, TYPE_F64}), -1);
    assert_int_equal(scalar_result_type(add, (DType[]){TYPE_BOOL, TYPE_BOOL}), -1);
    assert_int_equal(scalar_result_type(exp_, (DType[]){TYPE_F64}), TYPE_F64);
    assert_int_equal(scalar_result_type(exp_, (DType[]){TYPE_I32}), -1);
    assert_int_equal(scalar_result_type(&scalar_lt, (DType[]){TYPE_U8, TYPE_U16}), TYPE_BOOL);
    assert_int_equal(scalar_result_type(&scalar_lt, (DType[]){TYPE_BOOL, TYPE_BOOL}), -1);
    assert_int_equal(scalar_result_type(&scalar_eq, (DType[]){TYPE_BOOL, TYPE_BOOL}), TYPE_BOOL);
    assert_int_equal(scalar_result_type(scalar_find("is_finite"), (DType[]){TYPE_F32}), TYPE_BOOL);
    assert_int_equal(scalar_result_type(scalar_find("is_finite"), (DType[]){TYPE_I32}), -1);
    assert_int_equal(scalar_result_type(&scalar_not, (DType[]){TYPE_BOOL}), TYPE_BOOL);
    assert_int_equal(scalar_result_type(&scalar_not, (DType[]){TYPE_F32}), -1);
    assert_int_equal(scalar_result_type(&scalar_select, (DType[]){TYPE_BOOL, TYPE_F32, TYPE_F32}),
                     TYPE_F32);
    assert_int_equal(scalar_result_type(&scalar_select, (DType[]){TYPE_F32, TYPE_F32, TYPE_F32}),
                     -1);
    assert_int_equal(scalar_result_type(&scalar_select, (DType[]){TYPE_BOOL, TYPE_F32, TYPE_I32}),
                     -1);
    assert_int_equal(scalar_result_type(&scalar_to_real, (DType[]){TYPE_BOOL}), TYPE_F32);
    assert_int_equal(scalar_result_type(&scalar_to_integer, (DType[]){TYPE_F64}), TYPE_I32);
    assert_int_equal(scalar_result_type(&scalar_to_integer, (DType[]){TYPE_I32}), -1);
}

/* ---- derivatives ----------------------------------------------------------------------------------------- */

/* By differences of e over h and h/2, extrapolated; *error: how far the two are apart. */
static double difference(const Expr *e, const double *at, int operand, double h, double *error)
{
    double d[2];
    for (int k = 0; k < 2; k++, h /= 2) {
        double up[3] = {at[0], at[1], at[2]}, down[3] = {at[0], at[1], at[2]};
        up[operand] += h;
        down[operand] -= h;
        d[k] = (eval(e, up) - eval(e, down)) / (2 * h);
    }
    *error = fabs(d[1] - d[0]);
    return d[1] + (d[1] - d[0]) / 3;
}

/* Compares wherever differences mean something: all finite, and no kink within reach.  True when
 * the place counted. */
static bool check_at(const char *name, const Expr *e, const Expr *derivative, const double *at,
                     int operand)
{
    double h = 1e-4 * fmax(1e-1, fabs(at[operand])), error;
    double want = difference(e, at, operand, h, &error), got = eval(derivative, at);
    double scale = fmax(1, fabs(want));
    if (!isfinite(want) || error > 1e-4 * scale)
        return false;
    double noise = 1e-15 * fabs(eval(e, at)) / h;
    if (fabs(got - want) > 1e-6 * scale + 10 * noise)
        fail_msg("%s at (%g, %g, %g), operand %d: %.12g, by differences %.12g", name, at[0], at[1],
                 at[2], operand, got, want);
    return true;
}

static const double points[] = {
    -20, -3, -2, -1.5, -0.75, -0.3, -1e-3, 1e-3, 0.2, 0.5, 0.95, 1.0625, 1.5, 3, 7.25, 30,
};
enum { POINTS = sizeof points / sizeof *points };

/* First and second derivatives of one row. */
static int check_row(ExprPool *p, const ScalarFunction *f, int operand)
{
    const Expr *y = call_of_locals(p, f);
    const Expr *first = differentiate(p, y, operand);
    const Expr *second[3] = {NULL};
    if (!f->derivative(p, y, operand))
        return POINTS; /* by this operand there is none */
    for (int i = 0; i < f->arity; i++)
        second[i] = differentiate(p, first, i);
    int counted = 0;
    for (int i = 0; i < POINTS; i++)
        for (int j = 0; j < (f->arity > 1 ? POINTS : 1); j++) {
            double at[3] = {points[i], points[j], 0.7};
            if (f == &scalar_pow && at[0] < 0) /* smooth on whole exponents only, not around them */
                continue;
            if ((f == &scalar_max || f == &scalar_min) && i == j) /* a tie: see the corners */
                continue;
            if (f == &scalar_mod && fabs(at[1]) < 0.1) /* teeth finer than the differences */
                continue;
            counted += check_at(f->name, y, first, at, operand);
            for (int k = 0; k < f->arity; k++)
                if (f->derivative(p, y, k))
                    check_at(f->name, first, second[k], at, k);
        }
    return counted;
}

static void derivatives_agree_with_differences(void **state)
{
    Arena *a = arena_create();
    ExprPool *p = expr_pool_create(a, TYPE_F64);
    for (int i = 0; i < scalar_count(); i++) {
        const ScalarFunction *f = scalar_at(i);
        for (int operand = f->signature == SIGNATURE_SELECT; f->derivative && operand < f->arity;
             operand++)
            if (check_row(p, f, operand) < 4)
                fail_msg("%s: hardly a point where its derivative could be checked", f->name);
    }
    arena_destroy(a);
}

typedef struct Corner {
    const char *name;
    double args[3];
    int operand;
    double derivative;
} Corner;

/* Where differences say nothing. */
static const Corner corners[] = {
    {"pow", {0, 2}, 0, 0},       {"pow", {0, 1}, 0, 1},
    {"pow", {0, 0}, 0, 0},       {"pow", {0, 0.5}, 0, INFINITY},
    {"pow", {-2, 3}, 0, 12},     {"pow", {-2, 2}, 0, -4},
    {"pow", {-2, -1}, 0, -0.25}, {"pow", {0, 2}, 1, 0},
    {"pow", {-2, 3}, 1, 0},      {"pow", {0, 0}, 1, 0},
    {"max", {1, 1}, 0, 1},       {"max", {1, 1}, 1, 0},
    {"min", {1, 1}, 0, 1},       {"min", {1, 1}, 1, 0},
    {"abs", {0}, 0, 0},          {"sqrt", {0}, 0, INFINITY},
    {"asin", {1}, 0, INFINITY},  {"acosh", {1}, 0, INFINITY},
    {"tanh", {1000}, 0, 0},      {"exp", {-1000}, 0, 0},
    {"atan", {1e300}, 0, 0},     {"erf", {40}, 0, 0},
    {"atan2", {0, -2}, 0, -0.5}, {"atan2", {3, 0}, 1, -1.0 / 3},
    {"mod", {7, 2}, 1, -3},      {"log1p", {-1}, 0, INFINITY},
    {"expm1", {0}, 0, 1},
};

static const ScalarFunction *row_named(const char *name)
{
    for (int i = 0; i < scalar_count(); i++)
        if (strcmp(scalar_at(i)->name, name) == 0)
            return scalar_at(i);
    return NULL;
}

static void derivatives_at_corners(void **state)
{
    Arena *a = arena_create();
    ExprPool *p = expr_pool_create(a, TYPE_F64);
    for (size_t i = 0; i < sizeof corners / sizeof *corners; i++) {
        const Corner *c = &corners[i];
        const Expr *y = call_of_locals(p, row_named(c->name));
        double got = eval(y->function->derivative(p, y, c->operand), c->args);
        if (!(got == c->derivative || fabs(got - c->derivative) < 1e-15))
            fail_msg("%s(%g, %g), operand %d: %g", c->name, c->args[0], c->args[1], c->operand,
                     got);
    }
    arena_destroy(a);
}

/* x^2 with a constant exponent leaves no pow behind, and its second derivative is 2 everywhere. */
static void squares_stay_cheap(void **state)
{
    Arena *a = arena_create();
    ExprPool *p = expr_pool_create(a, TYPE_F64);
    const Expr *args[2] = {expr_local(p, TYPE_F64, 0), expr_const(p, 2)};
    const Expr *y = expr_call(p, &scalar_pow, args), *first = differentiate(p, y, 0);
    assert_true(first->kind == EXPR_CALL && first->function != &scalar_pow);
    double x = 0, c = 0;
    assert_true(eval(differentiate(p, first, 0), &x) == 2);
    /* a whole exponent on a negative base, twice */
    args[1] = expr_const(p, 3);
    const Expr *second = differentiate(p, differentiate(p, expr_call(p, &scalar_pow, args), 0), 0);
    x = -2;
    assert_true(eval(second, &x) == -12);
    assert_true(!expr_is_const(second, &c));
    arena_destroy(a);
}

/* ---- code against values --------------------------------------------------------------------------------- */

static const double numbers[] = {
    -INFINITY, -1e30, -7.5, -3, -2,  -1.5, -1, -0.5, -0.25, -0.0,     0.0, 0.25,
    0.5,       1,     1.5,  2,  2.5, 3,    7,  9.75, 1e30,  INFINITY, NAN,
};
enum { NUMBERS = sizeof numbers / sizeof *numbers };
static const int integers[] = {-2147483647, -17, -8, -7, -2, -1, 0, 1, 2, 3, 7, 8, 1000003};
enum { INTEGERS = sizeof integers / sizeof *integers };

static bool same(double got, double want, double tolerance)
{
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got);
    return got == want || fabs(got - want) <= tolerance * fabs(want);
}

static MathValue spread(MathBuilder *b, double value)
{
    return b->constant(b, value);
}

static double first_lane(const MathBuilder *b, MathValue v, bool real)
{
    if (real)
        return b->real64 ? v->d[0] : v->f[0];
    return b->real64 ? (double)v->l[0] : v->i[0];
}

/* All rows on all pairs of reals. */
static void check_real_code(bool real64)
{
    Lanes *lanes = lanes_create(real64);
    MathBuilder *b = &lanes->builder;
    for (int i = 0; i < scalar_count(); i++) {
        const ScalarFunction *f = scalar_at(i);
        bool real = f->signature == SIGNATURE_REAL || f->signature == SIGNATURE_ARITHMETIC;
        if (!real && f->signature != SIGNATURE_COMPARE && f->signature != SIGNATURE_TO_INTEGER)
            continue;
        for (int j = 0; j < NUMBERS * NUMBERS; j++) {
            double x = numbers[j / NUMBERS], y = numbers[j % NUMBERS];
            bool moderate = fabs(x) < 1e9 && fabs(y) < 1e9;
            if (!moderate && (f == &scalar_mod || (real64 && f == &scalar_to_integer)))
                continue;
            lanes_reset(lanes);
            MathValue args[2] = {spread(b, x), spread(b, y)};
            double got = first_lane(b, f->lower(b, args, false), real);
            double want =
                f->value((double[]){first_lane(b, args[0], true), first_lane(b, args[1], true)});
            /* what is a difference of larger terms: see functions_math_test.c */
            const bool rough = (x < 0 || real64) && strstr(f->name, "gamma");
            double tolerance = (real64 ? 1e-15 : 3e-7) * (rough ? 30 : 1);
            if (!real64 && fabs(got - want) <= 0x1p-149)
                continue;
            if (!same(got, real64 || !real ? want : (float)want, tolerance))
                fail_msg("%s(%g, %g): %g, as a value %g", f->name, x, y, got, want);
        }
    }
    lanes_destroy(lanes);
}

static void real_code(void **state)
{
    check_real_code(false);
    check_real_code(true);
}

static void integer_code(void **state)
{
    Lanes *lanes = lanes_create(false);
    MathBuilder *b = &lanes->builder;
    for (int i = 0; i < scalar_count(); i++) {
        const ScalarFunction *f = scalar_at(i);
        bool compares = f->signature == SIGNATURE_COMPARE && f->arity == 2;
        if (f->signature != SIGNATURE_ARITHMETIC && !compares)
            continue;
        for (int j = 0; j < INTEGERS * INTEGERS; j++) {
            int x = integers[j / INTEGERS], y = integers[j % INTEGERS];
            double want = floor(f->value((double[]){x, y}));
            bool divides = f == &scalar_div || f == &scalar_mod;
            if ((divides && y == 0) || fabs(want) > INT32_MAX)
                continue;
            lanes_reset(lanes);
            MathValue args[2] = {b->integer(b, x), b->integer(b, y)};
            if (f->lower(b, args, true)->i[0] != want)
                fail_msg("%s(%d, %d)", f->name, x, y);
        }
    }
    lanes_destroy(lanes);
}

static void truth_code(void **state)
{
    Lanes *lanes = lanes_create(false);
    MathBuilder *b = &lanes->builder;
    MathValue truth[2] = {b->icompare(b, '=', false, b->integer(b, 1), b->integer(b, 0)),
                          b->icompare(b, '=', false, b->integer(b, 1), b->integer(b, 1))};
    for (int x = 0; x < 2; x++)
        for (int y = 0; y < 2; y++) {
            MathValue args[2] = {truth[x], truth[y]};
            assert_int_equal(scalar_and.lower(b, args, true)->i[0], x && y);
            assert_int_equal(scalar_or.lower(b, args, true)->i[0], x || y);
            assert_int_equal(scalar_not.lower(b, args, true)->i[0], !x);
            MathValue choice[3] = {truth[x], b->constant(b, 3), b->constant(b, 5)};
            assert_true(scalar_select.lower(b, choice, false)->f[0] == (x ? 3 : 5));
            assert_int_equal(scalar_to_integer.lower(b, args, true)->i[0], x);
            assert_true(scalar_to_real.lower(b, args, true)->f[0] == x);
        }
    lanes_destroy(lanes);
}

/* ---- reductions ------------------------------------------------------------------------------------------ */

static void reductions(void **state)
{
    for (int i = 0; i < reduction_count(); i++) {
        const Reduction *r = reduction_at(i);
        assert_true(r->doc && r->doc[0]);
        assert_ptr_equal(reduction_find(r->name), r);
        assert_true(!r->combine == r->position);
        if (r->combine) /* `start` changes nothing */
            for (int x = r->truths ? 0 : -3; x < 2; x++)
                assert_true(r->combine->value((double[]){r->start, x}) == x);
    }
    assert_null(reduction_find("median"));
}

/* ---- random numbers -------------------------------------------------------------------------------------- */

typedef struct Vector {
    uint32_t counter[4], key[2], words[4];
} Vector;

/* As published with the Random123 library. */
static const Vector vectors[] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

static uint64_t join(uint32_t low, uint32_t high)
{
    return (uint64_t)high << 32 | low;
}

static void philox_vectors(void **state)
{
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        const Vector *v = &vectors[i];
        uint32_t words[4];
        uint64_t seed = join(v->key[0], v->key[1]), step = join(v->counter[2], v->counter[3]);
        random_words(seed, step, v->counter[1], v->counter[0], words);
        assert_memory_equal(words, v->words, sizeof words);
    }
}

/* Lane k draws element k of each site. */
static void check_random_code(RandomKind kind, bool real64, double tolerance)
{
    Lanes *lanes = lanes_create(real64);
    MathBuilder *b = &lanes->builder;
    uint64_t seed = 0x9e3779b97f4a7c15, step = 0xfffffffe00000007;
    for (uint32_t site = 0xfffffff0; site < 0xfffffff8; site++) {
        lanes_reset(lanes);
        MathValue key[2] = {b->integer(b, (int32_t)seed), b->integer(b, (int32_t)(seed >> 32))};
        MathValue counter[4] = {lanes_new(b), b->integer(b, (int32_t)site),
                                b->integer(b, (int32_t)step), b->integer(b, (int32_t)(step >> 32))};
        for (int k = 0; k < LANES; k++)
            if (real64)
                counter[0]->l[k] = k;
            else
                counter[0]->i[k] = k;
        MathValue got = random_lower(b, kind, key, counter);
        for (int k = 0; k < LANES; k++) {
            double want = random_value(kind, seed, step, site, (uint32_t)k);
            double is = real64 ? got->d[k] : got->f[k];
            if (fabs(is - want) > tolerance)
                fail_msg("element %d: %.9g, as a value %.9g", k, is, want);
        }
    }
    lanes_destroy(lanes);
}

static void random_code(void **state)
{
    check_random_code(RANDOM_UNIFORM, false, 0);
    check_random_code(RANDOM_UNIFORM, true, 0);
    check_random_code(RANDOM_NORMAL, false, 2e-6);
    check_random_code(RANDOM_NORMAL, true, 1e-14);
}

static void random_moments(void **state)
{
    enum { COUNT = 200000 };
    for (int kind = RANDOM_UNIFORM; kind <= RANDOM_NORMAL; kind++) {
        double sum = 0, squares = 0, fourth = 0;
        for (uint32_t i = 0; i < COUNT; i++) {
            double x =
                random_value((RandomKind)kind, 1, 1, 0, i) - (kind == RANDOM_UNIFORM ? 0.5 : 0);
            sum += x, squares += x * x, fourth += x * x * x * x;
        }
        bool normal = kind == RANDOM_NORMAL;
        assert_true(fabs(sum / COUNT) < 0.01);
        assert_true(fabs(squares / COUNT - (normal ? 1 : 1.0 / 12)) < 0.02);
        assert_true(fabs(fourth / COUNT - (normal ? 3 : 1.0 / 80)) < 0.1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_complete),
        cmocka_unit_test(types_follow_signatures),
        cmocka_unit_test(derivatives_agree_with_differences),
        cmocka_unit_test(derivatives_at_corners),
        cmocka_unit_test(squares_stay_cheap),
        cmocka_unit_test(real_code),
        cmocka_unit_test(integer_code),
        cmocka_unit_test(truth_code),
        cmocka_unit_test(reductions),
        cmocka_unit_test(philox_vectors),
        cmocka_unit_test(random_code),
        cmocka_unit_test(random_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
