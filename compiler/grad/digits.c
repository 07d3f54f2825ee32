/* Equations whose open terms are digits of one number, k / w and k % w: the number is put together from
 * them, and a digit that no equation fixes is summed over. */
#include "grad/solver.h"

#include <stdlib.h>

/* (inner / stride) % modulus, where modulus 0 means that the remainder is not taken. */
typedef struct Digit {
    const Affine *inner;
    int64_t stride, modulus;
    const Affine *value;
    int equation;
} Digit;

/* t as a digit of the innermost number that fits. */
static Digit digit_of_term(const Term *t)
{
    const Affine *a = t->inner;
    Digit d = {.inner = a, .stride = 1};
    if (a->count == 1 && a->constant == 0 && a->terms[0].factor == 1 &&
        a->terms[0].kind != TERM_INDEX) {
        Digit deeper = digit_of_term(&a->terms[0]);
        if (deeper.modulus % t->divisor == 0)
            d = deeper;
    }
    if (t->kind == TERM_REMAINDER) {
        d.modulus = t->divisor;
    } else {
        d.modulus /= t->divisor;
        d.stride *= t->divisor;
    }
    return d;
}

/* Is equation i of the form  ±digit = something settled? */
static bool digit_of_equation(Solver *s, int i, Digit *d)
{
    const Affine *e = s->equations.data[i];
    const Term **terms = arena_new(s->arena, const Term *, e->count + 1);
    if (solver_open_terms(s, e, terms) != 1 || terms[0]->kind == TERM_INDEX ||
        llabs(terms[0]->factor) != 1)
        return false;
    *d = digit_of_term(terms[0]);
    d->value = affine_scale(s->pool, solver_settled_part(s, e), -terms[0]->factor);
    d->equation = i;
    return true;
}

static int by_stride(const void *a, const void *b)
{
    int64_t x = ((const Digit *)a)->stride, y = ((const Digit *)b)->stride;
    return (x > y) - (x < y);
}

/* The digits of one number, lowest first, that fit together. */
static int digits_of_one_number(Solver *s, Digit *digits)
{
    int count = 0;
    for (int i = 0; i < s->equations.count; i++) {
        Digit d;
        if (digit_of_equation(s, i, &d) && (count == 0 || d.inner == digits[0].inner))
            digits[count++] = d;
    }
    qsort(digits, (size_t)count, sizeof *digits, by_stride);
    int kept = 0;
    int64_t reach = 1; /* the product of what the digits below cover; 0: everything */
    for (int i = 0; i < count; i++)
        if (reach && digits[i].stride % reach == 0) {
            reach = digits[i].stride * digits[i].modulus;
            digits[kept++] = digits[i];
        }
    return kept;
}

static Index *open_index(Solver *s, const char *name, int64_t extent, int64_t per_example)
{
    Index *ix = index_new(s->pool, name, extent, per_example, s->user->span);
    vec_push(s->arena, &s->open, ix);
    return ix;
}

/* Some open index of a, for its name. */
static const Index *index_within(const Solver *s, const Affine *a)
{
    for (int i = 0; i < s->open.count; i++)
        if (affine_uses(a, s->open.data[i]))
            return s->open.data[i];
    return NULL;
}

static bool over_the_batch(const Solver *s, const Affine *a)
{
    for (int i = 0; i < s->open.count; i++)
        if (s->open.data[i]->per_example && affine_uses(a, s->open.data[i]))
            return true;
    return false;
}

/* sum + unit * t, where t counts the values of a digit that no equation fixes. */
static const Affine *free_digit(Solver *s, const Affine *sum, const Affine *inner, int64_t unit,
                                int64_t low, int64_t count, int64_t per_example)
{
    const Affine *t = affine_constant(s->pool, low);
    if (count > 1)
        t = affine_add(
            s->pool, t,
            affine_index(s->pool, open_index(s, index_within(s, inner)->name, count, per_example)));
    return affine_add(s->pool, sum, affine_scale(s->pool, t, unit));
}

/* The digit above all others: false when its range is not known before the step runs. */
static bool add_top_digit(Solver *s, const Affine *inner, int64_t unit, const Affine **sum)
{
    Interval range = affine_interval(inner);
    int64_t low = floor_div(range.low, unit), high = floor_div(range.high, unit), per_example = 0;
    if (over_the_batch(s, inner)) {
        const Index *ix = affine_is_index(inner);
        if (!ix || ix->per_example % unit != 0)
            return false;
        per_example = ix->per_example / unit;
    }
    *sum = free_digit(s, *sum, inner, unit, low, high - low + 1, per_example);
    return true;
}

/* inner is the number with these digits.  A digit without an equation is summed over. */
static bool compose(Solver *s, const Digit *digits, int count)
{
    const Affine *inner = digits[0].inner, *sum = affine_constant(s->pool, 0);
    const Digit *top = &digits[count - 1];
    if (top->modulus && !add_top_digit(s, inner, top->stride * top->modulus, &sum))
        return false;
    int64_t reach = 1;
    for (int i = 0; i < count; i++) {
        sum = free_digit(s, sum, inner, reach, 0, digits[i].stride / reach, 0);
        sum = affine_add(s->pool, sum, affine_scale(s->pool, digits[i].value, digits[i].stride));
        reach = digits[i].stride * digits[i].modulus;
        if (digits[i].modulus)
            solver_require_inside(s, digits[i].value, digits[i].modulus);
    }
    vec_push(s->arena, &s->equations, affine_sub(s->pool, inner, sum));
    return true;
}

static int by_equation_downwards(const void *a, const void *b)
{
    return ((const Digit *)b)->equation - ((const Digit *)a)->equation;
}

bool solver_solve_digits(Solver *s)
{
    Digit *digits = arena_new(s->arena, Digit, s->equations.count + 1);
    int count = digits_of_one_number(s, digits), before = s->equations.count;
    if (count == 0 || !compose(s, digits, count))
        return false;
    const Affine *composed = s->equations.data[before];
    s->equations.count = before;
    qsort(digits, (size_t)count, sizeof *digits, by_equation_downwards);
    for (int i = 0; i < count; i++)
        solver_drop(s, digits[i].equation);
    vec_push(s->arena, &s->equations, composed);
    return true;
}

bool solver_solve_digit(Solver *s, int equation, const Term *t, const Affine *value)
{
    Digit d = digit_of_term(t);
    d.value = value;
    if (!compose(s, &d, 1))
        return false;
    solver_drop(s, equation);
    return true;
}
