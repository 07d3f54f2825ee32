/* Inverting an access: which elements (o, r) of the consumer read X[j]?
 *
 * Each subscript gives an equation  a(o, r) - j = 0.  The rules below solve equations for indices
 * of the consumer, the simplest first; what a solution needs (divisibility, range) becomes a guard
 * unless intervals prove it.  Indices that stay open are summed over, and an equation that no rule
 * solves becomes a guard itself, so the result is always right. */
#include "functions/functions.h"
#include "grad/grad.h"

#include <stdlib.h>
#include <string.h>

typedef VEC(Index *) Indices;

typedef struct Solver {
    Arena *arena;
    ExprPool *pool;
    const Node *user;
    Indices open;                   /* of the consumer, not solved yet; and digits nothing fixes */
    VEC(const Affine *) equations;  /* each is 0 */
    VEC(const Expr *) guards;       /* tests */
    VEC(const Expr *) matches;      /* equalities with data */
    const Expr *value;
} Solver;

/* sum of factor[i] * index[i] is `total`, and so index[i] is digit[i].  The factors are positive. */
typedef struct Solution {
    int count;
    Index **index;
    int64_t *factor;
    const Affine **digit;
    const Affine *total;
} Solution;

/* ---- affine expressions, term by term ------------------------------------------------------------------- */

static const Affine *affine_of_term(ExprPool *p, const Term *t)
{
    switch (t->kind) {
    case TERM_INDEX:
        return affine_index(p, t->index);
    case TERM_QUOTIENT:
        return affine_quotient(p, t->inner, t->divisor);
    default:
        return affine_remainder(p, t->inner, t->divisor);
    }
}

static bool term_uses(const Term *t, const Index *ix)
{
    return t->kind == TERM_INDEX ? t->index == ix : affine_uses(t->inner, ix);
}

static bool term_is_open(const Solver *s, const Term *t)
{
    for (int i = 0; i < s->open.count; i++)
        if (term_uses(t, s->open.data[i]))
            return true;
    return false;
}

/* Does an index of t occur in another term of a? */
static bool term_shares_index(const Solver *s, const Affine *a, const Term *t)
{
    for (int i = 0; i < s->open.count; i++) {
        if (!term_uses(t, s->open.data[i]))
            continue;
        for (int k = 0; k < a->count; k++)
            if (&a->terms[k] != t && term_uses(&a->terms[k], s->open.data[i]))
                return true;
    }
    return false;
}

static int open_terms(const Solver *s, const Affine *a, const Term **out)
{
    int count = 0;
    for (int i = 0; i < a->count; i++)
        if (term_is_open(s, &a->terms[i]))
            out[count++] = &a->terms[i];
    return count;
}

/* a without its open terms */
static const Affine *settled_part(const Solver *s, const Affine *a)
{
    const Affine *known = affine_constant(s->pool, a->constant);
    for (int i = 0; i < a->count; i++)
        if (!term_is_open(s, &a->terms[i]))
            known = affine_add(s->pool, known,
                               affine_scale(s->pool, affine_of_term(s->pool, &a->terms[i]), a->terms[i].factor));
    return known;
}

/* The range of a term without its factor. */
static Interval term_interval(const Solver *s, const Term *t)
{
    return affine_interval(affine_of_term(s->pool, t));
}

/* ---- guards -------------------------------------------------------------------------------------------- */

static Facts *facts_of(const Solver *s)
{
    Facts *facts = NULL;
    for (int i = 0; i < s->guards.count; i++) {
        Facts *f = arena_new(s->arena, Facts, 1);
        *f = (Facts){.outer = facts, .test = s->guards.data[i], .holds = true};
        facts = f;
    }
    return facts;
}

static void require(Solver *s, const Expr *test)
{
    double value;
    if (!expr_is_const(test, &value) || value == 0)
        vec_push(s->arena, &s->guards, test);
}

static void require_zero(Solver *s, const Affine *a)
{
    require(s, expr_test(s->pool, TEST_ZERO, a));
}

static void require_not_negative(Solver *s, const Affine *a)
{
    if (!facts_prove_not_negative(s->pool, facts_of(s), a))
        require(s, expr_test(s->pool, TEST_NOT_NEGATIVE, a));
}

/* 0 <= a < extent */
static void require_inside(Solver *s, const Affine *a, int64_t extent)
{
    require_not_negative(s, a);
    require_not_negative(s, affine_sub(s->pool, affine_constant(s->pool, extent - 1), a));
}

/* ---- putting a solution in ---------------------------------------------------------------------------------- */

typedef struct Substituting {
    ExprPool *pool;
    const Solution *solution;
} Substituting;

/* How often sum(factor * index) is contained in a, exactly; 0 when it is not. */
static int64_t multiple_of_total(const Solution *x, const Affine *a)
{
    bool nested;
    int64_t times = affine_factor(a, x->index[0], &nested) / x->factor[0];
    for (int i = 0; i < x->count; i++)
        if (affine_factor(a, x->index[i], &nested) != times * x->factor[i])
            return 0;
    return times;
}

static const Affine *substitute(const Substituting *c, const Affine *a);

static int64_t gcd_of(int64_t a, int64_t b)
{
    return b ? gcd_of(b, a % b) : llabs(a);
}

/* t with its factor.  An index solved by f*v = total divides exactly, so that c*v is (c*total)/f. */
static const Affine *substitute_term(const Substituting *c, const Term *t)
{
    ExprPool *p = c->pool;
    const Solution *x = c->solution;
    if (t->kind == TERM_INDEX && x->count == 1 && t->index == x->index[0]) {
        int64_t shared = gcd_of(t->factor, x->factor[0]);
        return affine_quotient(p, affine_scale(p, x->total, t->factor / shared), x->factor[0] / shared);
    }
    const Affine *a;
    if (t->kind == TERM_INDEX)
        a = affine_substitute(p, affine_index(p, t->index), &(Substitution){x->count, x->index, x->digit});
    else if (t->kind == TERM_QUOTIENT)
        a = affine_quotient(p, substitute(c, t->inner), t->divisor);
    else
        a = affine_remainder(p, substitute(c, t->inner), t->divisor);
    return affine_scale(p, a, t->factor);
}

static int64_t width(const Affine *a)
{
    Interval v = affine_interval(a);
    return v.high - v.low;
}

/* x - d*(x/d) is x%d, whose range shows. */
static const Affine *tidy(ExprPool *p, const Affine *a)
{
    for (int i = 0; i < a->count; i++) {
        const Term *t = &a->terms[i];
        if (t->kind != TERM_QUOTIENT || t->factor % t->divisor != 0)
            continue;
        const Affine *part = affine_sub(p, t->inner, affine_remainder(p, t->inner, t->divisor));
        const Affine *other = affine_sub(p, a, affine_scale(p, affine_of_term(p, t), t->factor));
        other = affine_add(p, other, affine_scale(p, part, t->factor / t->divisor));
        if (width(other) < width(a))
            return tidy(p, other);
    }
    return a;
}

/* Where a contains the whole sum, its total takes the place: exact, and s*(h/s) + h%s stays h. */
static const Affine *substitute(const Substituting *c, const Affine *a)
{
    ExprPool *p = c->pool;
    const Solution *x = c->solution;
    int64_t times = multiple_of_total(x, a);
    for (int i = 0; i < x->count; i++)
        a = affine_sub(p, a, affine_scale(p, affine_index(p, x->index[i]), times * x->factor[i]));
    const Affine *sum = affine_offset(p, affine_scale(p, x->total, times), a->constant);
    for (int i = 0; i < a->count; i++)
        sum = affine_add(p, sum, substitute_term(c, &a->terms[i]));
    return tidy(p, sum);
}

static const Expr *substitute_access(const Substituting *c, const Expr *e)
{
    Subscript *subs = arena_new(expr_pool_arena(c->pool), Subscript, e->count + 1);
    for (int i = 0; i < e->count; i++) {
        subs[i] = e->subscripts[i];
        if (subs[i].affine)
            subs[i].affine = substitute(c, subs[i].affine);
    }
    return expr_access(c->pool, e->node, subs);
}

static const Expr *substitute_leaf(void *context, const Expr *e)
{
    const Substituting *c = context;
    switch (e->kind) {
    case EXPR_AFFINE:
        return expr_affine(c->pool, substitute(c, e->affine));
    case EXPR_TEST:
        return expr_test(c->pool, e->test, substitute(c, e->affine));
    case EXPR_RANDOM:
        return expr_random(c->pool, e->random, e->site, substitute(c, e->affine));
    case EXPR_ACCESS:
        return substitute_access(c, e);
    default:
        return e;
    }
}

static void close_index(Solver *s, const Index *ix)
{
    int kept = 0;
    for (int i = 0; i < s->open.count; i++)
        if (s->open.data[i] != ix)
            s->open.data[kept++] = s->open.data[i];
    s->open.count = kept;
}

static void apply(Solver *s, const Solution *x)
{
    Substituting c = {s->pool, x};
    for (int i = 0; i < s->equations.count; i++)
        s->equations.data[i] = substitute(&c, s->equations.data[i]);
    for (int i = 0; i < s->matches.count; i++)
        s->matches.data[i] = expr_map(s->pool, s->matches.data[i], substitute_leaf, &c);
    s->value = expr_map(s->pool, s->value, substitute_leaf, &c);
    int count = s->guards.count;
    s->guards.count = 0;
    for (int i = 0; i < count; i++)
        require(s, expr_map(s->pool, s->guards.data[i], substitute_leaf, &c));
    for (int i = 0; i < x->count; i++) {
        close_index(s, x->index[i]);
        require_inside(s, x->digit[i], x->index[i]->extent);
    }
}

/* ---- the rules ------------------------------------------------------------------------------------------- */

static void drop_equation(Solver *s, int i)
{
    s->equations.data[i] = s->equations.data[--s->equations.count];
}

/* factor * (an unknown) = total: the unknown, and the guard that it is whole. */
static const Affine *divide(Solver *s, const Affine *total, int64_t factor)
{
    if (factor == 1)
        return total;
    require_zero(s, affine_remainder(s->pool, total, factor));
    return affine_quotient(s->pool, total, factor);
}

static void solve_for_index(Solver *s, Index *ix, int64_t factor, const Affine *total)
{
    if (factor < 0) {
        factor = -factor;
        total = affine_scale(s->pool, total, -1);
    }
    const Affine *digit = divide(s, total, factor);
    apply(s, &(Solution){1, &ix, &factor, &digit, total});
}

/* A solved equation is a condition on j: X[0], or one index in two subscripts. */
static bool settle(Solver *s)
{
    for (int i = 0; i < s->equations.count; i++) {
        const Affine *e = s->equations.data[i];
        if (open_terms(s, e, arena_new(s->arena, const Term *, e->count + 1)) > 0)
            continue;
        drop_equation(s, i);
        require_zero(s, e);
        return true;
    }
    return false;
}

/* X[…, i, …]: one open index, with factor 1 or -1. */
static bool solve_alone(Solver *s)
{
    for (int i = 0; i < s->equations.count; i++) {
        const Affine *e = s->equations.data[i];
        const Term **terms = arena_new(s->arena, const Term *, e->count + 1);
        if (open_terms(s, e, terms) != 1 || terms[0]->kind != TERM_INDEX || llabs(terms[0]->factor) != 1)
            continue;
        const Affine *total = affine_scale(s->pool, settled_part(s, e), -1);
        drop_equation(s, i);
        solve_for_index(s, terms[0]->index, terms[0]->factor, total);
        return true;
    }
    return false;
}

/* X[…, i, …] with an i of X's own extent. */
static bool rename_only(Solver *s)
{
    for (int i = 0; i < s->equations.count; i++) {
        const Affine *e = s->equations.data[i];
        if (e->count != 2 || e->constant != 0)
            continue;
        for (int k = 0; k < 2; k++) {
            const Term *t = &e->terms[k], *j = &e->terms[1 - k];
            bool plain = t->kind == TERM_INDEX && j->kind == TERM_INDEX && t->factor == -j->factor;
            if (!plain || !term_is_open(s, t) || term_is_open(s, j) || t->index->extent != j->index->extent)
                continue;
            drop_equation(s, i);
            solve_for_index(s, t->index, 1, affine_index(s->pool, j->index));
            return true;
        }
    }
    return false;
}

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
    if (a->count == 1 && a->constant == 0 && a->terms[0].factor == 1 && a->terms[0].kind != TERM_INDEX) {
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
    if (open_terms(s, e, terms) != 1 || terms[0]->kind == TERM_INDEX || llabs(terms[0]->factor) != 1)
        return false;
    *d = digit_of_term(terms[0]);
    d->value = affine_scale(s->pool, settled_part(s, e), -terms[0]->factor);
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
static const Affine *free_digit(Solver *s, const Affine *sum, const Affine *inner, int64_t unit, int64_t low,
                                int64_t count, int64_t per_example)
{
    const Affine *t = affine_constant(s->pool, low);
    if (count > 1)
        t = affine_add(s->pool, t,
                       affine_index(s->pool, open_index(s, index_within(s, inner)->name, count, per_example)));
    return affine_add(s->pool, sum, affine_scale(s->pool, t, unit));
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
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
            require_inside(s, digits[i].value, digits[i].modulus);
    }
    vec_push(s->arena, &s->equations, affine_sub(s->pool, inner, sum));
    return true;
}

static int by_equation_downwards(const void *a, const void *b)
{
    return ((const Digit *)b)->equation - ((const Digit *)a)->equation;
}

/* X[k / w, k % w]: k is h*w + w'. */
static bool solve_digits(Solver *s)
{
    Digit *digits = arena_new(s->arena, Digit, s->equations.count + 1);
    int count = digits_of_one_number(s, digits), before = s->equations.count;
    if (count == 0 || !compose(s, digits, count))
        return false;
    const Affine *composed = s->equations.data[before];
    s->equations.count = before;
    qsort(digits, (size_t)count, sizeof *digits, by_equation_downwards);
    for (int i = 0; i < count; i++)
        drop_equation(s, digits[i].equation);
    vec_push(s->arena, &s->equations, composed);
    return true;
}

static int by_factor(const void *a, const void *b)
{
    int64_t x = llabs((*(const Term *const *)a)->factor), y = llabs((*(const Term *const *)b)->factor);
    return (x < y) - (x > y);
}

/* Do these terms never overlap, so that they are the digits of their sum? */
static bool terms_are_digits(const Solver *s, const Affine *e, const Term **terms, int count)
{
    int64_t below = 0; /* the most that smaller terms add up to */
    for (int i = count - 1; i >= 0; i--) {
        const Term *t = terms[i];
        Interval range = term_interval(s, t);
        if (range.low != 0 || (t->factor > 0) != (terms[0]->factor > 0) || term_shares_index(s, e, t))
            return false;
        if (llabs(t->factor) <= below)
            return false;
        below += llabs(t->factor) * range.high;
    }
    return true;
}

/* s*i + u = h with 0 <= u < s: i is h / s and u is h % s.  (A window that does not overlap, a flattening.) */
static bool solve_mixed_radix(Solver *s)
{
    for (int k = 0; k < s->equations.count; k++) {
        const Affine *e = s->equations.data[k];
        const Term **terms = arena_new(s->arena, const Term *, e->count + 1);
        int count = open_terms(s, e, terms);
        qsort(terms, (size_t)count, sizeof *terms, by_factor);
        bool nothing_gained = count == 1 && terms[0]->kind != TERM_INDEX && llabs(terms[0]->factor) == 1;
        if (nothing_gained || !terms_are_digits(s, e, terms, count))
            continue;
        int64_t sign = terms[0]->factor > 0 ? 1 : -1;
        Solution x = {.index = arena_new(s->arena, Index *, count), .factor = arena_new(s->arena, int64_t, count),
                      .digit = arena_new(s->arena, const Affine *, count)};
        const Affine *rest = affine_scale(s->pool, settled_part(s, e), -sign);
        x.total = rest;
        drop_equation(s, k);
        for (int i = 0; i < count; i++) {
            int64_t factor = llabs(terms[i]->factor);
            bool last = i == count - 1;
            const Affine *digit = last ? divide(s, rest, factor) : affine_quotient(s->pool, rest, factor);
            if (!last)
                rest = affine_remainder(s->pool, rest, factor);
            if (terms[i]->kind != TERM_INDEX) {
                vec_push(s->arena, &s->equations, affine_sub(s->pool, affine_of_term(s->pool, terms[i]), digit));
                x.total = affine_sub(s->pool, x.total, affine_scale(s->pool, digit, factor));
                continue;
            }
            x.index[x.count] = terms[i]->index;
            x.factor[x.count] = factor;
            x.digit[x.count++] = digit;
        }
        if (x.count)
            apply(s, &x);
        return true;
    }
    return false;
}

/* A term that an equation with several could be solved for. */
typedef struct Candidate {
    int equation;
    const Term *term;
    int64_t extent;
    int rank; /* among equal extents: factor 1 before others, free indices before bound ones */
} Candidate;

static bool is_free(const Solver *s, const Index *ix)
{
    for (int i = 0; i < s->user->rank; i++)
        if (s->user->domain[i] == ix)
            return true;
    return false;
}

static void consider(const Solver *s, int equation, const Term *t, Candidate *best)
{
    Interval range = term_interval(s, t);
    Candidate c = {equation, t, range.high - range.low + 1, 0};
    c.rank = 2 * (llabs(t->factor) == 1) + (t->kind == TERM_INDEX && is_free(s, t->index));
    if (!best->term || c.extent > best->extent || (c.extent == best->extent && c.rank > best->rank))
        *best = c;
}

/* s*i + d*u - p = h: solved for the largest, so that the sum left over is the smallest: the gradient
 * of a convolution gathers over the window. */
static bool solve_one_of_many(Solver *s)
{
    Candidate best = {0};
    for (int k = 0; k < s->equations.count; k++) {
        const Affine *e = s->equations.data[k];
        for (int i = 0; i < e->count; i++)
            if (term_is_open(s, &e->terms[i]) && !term_shares_index(s, e, &e->terms[i]))
                consider(s, k, &e->terms[i], &best);
    }
    if (!best.term)
        return false;
    const Term *t = best.term;
    const Affine *e = s->equations.data[best.equation];
    const Affine *total = affine_sub(s->pool, affine_scale(s->pool, affine_of_term(s->pool, t), t->factor), e);
    if (t->kind == TERM_INDEX) {
        drop_equation(s, best.equation);
        solve_for_index(s, t->index, t->factor, total);
        return true;
    }
    if (llabs(t->factor) != 1)
        return false;
    Digit d = digit_of_term(t);
    d.value = affine_scale(s->pool, total, t->factor);
    if (!compose(s, &d, 1))
        return false;
    drop_equation(s, best.equation);
    return true;
}

/* The last resort: all of its indices stay open. */
static bool mask(Solver *s)
{
    if (s->equations.count == 0)
        return false;
    require_zero(s, s->equations.data[--s->equations.count]);
    return true;
}

typedef bool Solve(Solver *s);

/* Simplest first; after each success from the top again. */
static Solve *const clever_rules[] = {
    settle, solve_alone, solve_digits, solve_mixed_radix, solve_one_of_many, mask, NULL,
};
static Solve *const plain_rules[] = {settle, rename_only, mask, NULL};

static void solve(Solver *s, Solve *const *rules)
{
    for (int i = 0; rules[i];)
        i = rules[i](s) ? 0 : i + 1;
}

/* ---- from equations to a sum ------------------------------------------------------------------------------- */

static void state_equations(Solver *s, const Expr *access, Index *const *domain)
{
    for (int k = 0; k < access->count; k++) {
        const Subscript *sub = &access->subscripts[k];
        const Affine *j = affine_index(s->pool, domain[k]);
        if (sub->affine) {
            vec_push(s->arena, &s->equations, affine_sub(s->pool, sub->affine, j));
            continue;
        }
        const Expr *sides[2] = {expr_cast(s->pool, sub->data, TYPE_I32), expr_affine(s->pool, j)};
        vec_push(s->arena, &s->matches, expr_call(s->pool, &scalar_eq, sides));
    }
}

static bool name_is_taken(const char *name, Index *const *in, int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(in[i]->name, name) == 0)
            return true;
    return false;
}

/* Copies of the open indices, named apart from the domain and from each other. */
static void copy_bound(Solver *s, Graph *g, Index *const *domain, int rank, Pullback *out)
{
    const Affine **to = arena_new(s->arena, const Affine *, s->open.count + 1);
    out->bound_count = s->open.count;
    out->bound = arena_new(s->arena, Index *, s->open.count + 1);
    for (int i = 0; i < s->open.count; i++) {
        const char *base = s->open.data[i]->name, *name = base;
        for (int n = 2; name_is_taken(name, domain, rank) || name_is_taken(name, out->bound, i); n++)
            name = intern(g->names, arena_format(s->arena, "%s_%d", base, n));
        out->bound[i] = index_copy(s->pool, s->open.data[i]);
        out->bound[i]->name = name;
        to[i] = affine_index(s->pool, out->bound[i]);
    }
    out->body = expr_substitute(s->pool, s->value, &(Substitution){s->open.count, s->open.data, to});
}

/* Only data that every element may read stays outside the guards: `token[b, t] == v` is the form
 * that the scheduler makes a scatter-add of. */
/* `value` under a condition that may itself be read only under the guards of value. */
static const Expr *match_inside(ExprPool *p, const Expr *match, const Expr *value)
{
    const Expr *zero = expr_const(p, 0);
    if (value->kind == EXPR_CALL && value->function == &scalar_select && value->args[2] == zero)
        return expr_select(p, value->args[0], match_inside(p, match, value->args[1]), zero);
    return expr_select(p, match, value, zero);
}

static const Expr *guard_value(Solver *s)
{
    ExprPool *p = s->pool;
    const Expr *e = s->value, *zero = expr_const(p, 0), *all = NULL;
    for (int i = 0; i < s->matches.count; i++)
        if (!expr_reads_inside(p, NULL, s->matches.data[i]))
            e = match_inside(p, s->matches.data[i], e);
    for (int i = 0; i < s->guards.count; i++)
        all = all ? expr_and(p, all, s->guards.data[i]) : s->guards.data[i];
    if (all)
        e = expr_select(p, all, e, zero);
    all = NULL;
    for (int i = 0; i < s->matches.count; i++)
        if (expr_reads_inside(p, NULL, s->matches.data[i]))
            all = all ? expr_and(p, all, s->matches.data[i]) : s->matches.data[i];
    return all ? expr_select(p, all, e, zero) : e;
}

static Solver solver_of(Graph *g, const Expr *access, const Expr *value, const Node *user, Index *const *domain)
{
    Solver s = {.arena = g->arena, .pool = g->pool, .user = user, .value = value};
    for (int i = 0; i < user->rank; i++)
        vec_push(s.arena, &s.open, user->domain[i]);
    for (int i = 0; i < user->bound_count; i++)
        vec_push(s.arena, &s.open, user->bound[i]);
    state_equations(&s, access, domain);
    return s;
}

/* Where a solution cannot be shown to stay inside, the masked sum over all indices takes its place. */
Pullback access_pull_back(Graph *g, const Expr *access, const Expr *value, const Node *user, Index *const *domain)
{
    Solver s = solver_of(g, access, value, user, domain);
    solve(&s, clever_rules);
    s.value = guard_value(&s);
    if (!expr_reads_inside(s.pool, NULL, s.value)) {
        s = solver_of(g, access, value, user, domain);
        solve(&s, plain_rules);
        s.value = guard_value(&s);
    }
    Pullback out;
    copy_bound(&s, g, domain, access->count, &out);
    return out;
}
