/* The rules that solve equations for indices of the consumer, the simplest first.
 * What a solution needs (divisibility, range) becomes a guard; an equation that no rule solves becomes
 * a guard itself, so the result is always right. */
#include "grad/solver.h"

#include <stdlib.h>

/* factor * (an unknown) = total: the unknown, and the guard that it is whole. */
static const Affine *divide(Solver *s, const Affine *total, int64_t factor)
{
    if (factor == 1)
        return total;
    solver_require_zero(s, affine_remainder(s->pool, total, factor));
    return affine_quotient(s->pool, total, factor);
}

static void solve_for_index(Solver *s, Index *ix, int64_t factor, const Affine *total)
{
    if (factor < 0) {
        factor = -factor;
        total = affine_scale(s->pool, total, -1);
    }
    const Affine *digit = divide(s, total, factor);
    solver_apply(s, &(Solution){1, &ix, &factor, &digit, total});
}

/* A solved equation is a condition on j: X[0], or one index in two subscripts. */
static bool settle(Solver *s)
{
    for (int i = 0; i < s->equations.count; i++) {
        const Affine *e = s->equations.data[i];
        if (solver_open_terms(s, e, arena_new(s->arena, const Term *, e->count + 1)) > 0)
            continue;
        solver_drop(s, i);
        solver_require_zero(s, e);
        return true;
    }
    return false;
}

/* One open index, `only` where that is one, with factor 1 or -1. */
static bool solve_single(Solver *s, const Index *only)
{
    for (int i = 0; i < s->equations.count; i++) {
        const Affine *e = s->equations.data[i];
        const Term **terms = arena_new(s->arena, const Term *, e->count + 1);
        if (solver_open_terms(s, e, terms) != 1 || terms[0]->kind != TERM_INDEX ||
            llabs(terms[0]->factor) != 1 || (only && terms[0]->index != only))
            continue;
        const Affine *total = affine_scale(s->pool, solver_settled_part(s, e), -1);
        solver_drop(s, i);
        solve_for_index(s, terms[0]->index, terms[0]->factor, total);
        return true;
    }
    return false;
}

/* X[…, i, …] */
static bool solve_alone(Solver *s)
{
    return solve_single(s, NULL);
}

/* X[t - 1, …]: a recurrence's cotangents are read at the step that this says, and at no other. */
static bool solve_step(Solver *s)
{
    for (int i = 0; i < s->user->step_count; i++)
        if (solve_single(s, s->user->steps[i].index))
            return true;
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
            if (!plain || !solver_is_open(s, t) || solver_is_open(s, j) ||
                t->index->extent != j->index->extent)
                continue;
            solver_drop(s, i);
            solve_for_index(s, t->index, 1, affine_index(s->pool, j->index));
            return true;
        }
    }
    return false;
}

static int by_factor(const void *a, const void *b)
{
    int64_t x = llabs((*(const Term *const *)a)->factor),
            y = llabs((*(const Term *const *)b)->factor);
    return (x < y) - (x > y);
}

/* Do these terms never overlap, so that they are the digits of their sum? */
static bool terms_are_digits(const Solver *s, const Affine *e, const Term **terms, int count)
{
    int64_t below = 0; /* the most that smaller terms add up to */
    for (int i = count - 1; i >= 0; i--) {
        const Term *t = terms[i];
        Interval range = affine_interval(term_affine(s->pool, t));
        if (range.low != 0 || (t->factor > 0) != (terms[0]->factor > 0) ||
            solver_shares_index(s, e, t))
            return false;
        if (llabs(t->factor) <= below)
            return false;
        below += llabs(t->factor) * range.high;
    }
    return true;
}

/* The open terms of equation k, largest factor first, where they are digits of what is settled. */
static bool find_digits(Solver *s, int k, const Term **terms, int *count)
{
    const Affine *e = s->equations.data[k];
    *count = solver_open_terms(s, e, terms);
    qsort(terms, (size_t)*count, sizeof *terms, by_factor);
    bool nothing_gained =
        *count == 1 && terms[0]->kind != TERM_INDEX && llabs(terms[0]->factor) == 1;
    return !nothing_gained && terms_are_digits(s, e, terms, *count);
}

/* One term has the value `digit`: an index is solved, another term makes a smaller equation. */
static void take_digit(Solver *s, Solution *x, const Term *t, const Affine *digit)
{
    int64_t factor = llabs(t->factor);
    if (t->kind != TERM_INDEX) {
        vec_push(s->arena, &s->equations, affine_sub(s->pool, term_affine(s->pool, t), digit));
        x->total = affine_sub(s->pool, x->total, affine_scale(s->pool, digit, factor));
        return;
    }
    x->index[x->count] = t->index;
    x->factor[x->count] = factor;
    x->digit[x->count++] = digit;
}

/* The terms, from the largest factor, are the digits of `total`. */
static void take_apart(Solver *s, const Affine *total, const Term **terms, int count)
{
    Solution x = {.index = arena_new(s->arena, Index *, count),
                  .factor = arena_new(s->arena, int64_t, count),
                  .digit = arena_new(s->arena, const Affine *, count),
                  .total = total};
    const Affine *rest = total;
    for (int i = 0; i < count - 1; i++) {
        int64_t factor = llabs(terms[i]->factor);
        take_digit(s, &x, terms[i], affine_quotient(s->pool, rest, factor));
        rest = affine_remainder(s->pool, rest, factor);
    }
    take_digit(s, &x, terms[count - 1], divide(s, rest, llabs(terms[count - 1]->factor)));
    if (x.count)
        solver_apply(s, &x);
}

/* s*i + u = h with 0 <= u < s: i is h / s and u is h % s.  (A window that does not overlap, a flattening.) */
static bool solve_mixed_radix(Solver *s)
{
    for (int k = 0; k < s->equations.count; k++) {
        const Affine *e = s->equations.data[k];
        const Term **terms = arena_new(s->arena, const Term *, e->count + 1);
        int count;
        if (!find_digits(s, k, terms, &count))
            continue;
        const Affine *total =
            affine_scale(s->pool, solver_settled_part(s, e), terms[0]->factor > 0 ? -1 : 1);
        solver_drop(s, k);
        take_apart(s, total, terms, count);
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
    Interval range = affine_interval(term_affine(s->pool, t));
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
            if (solver_is_open(s, &e->terms[i]) && !solver_shares_index(s, e, &e->terms[i]))
                consider(s, k, &e->terms[i], &best);
    }
    if (!best.term)
        return false;
    const Term *t = best.term;
    const Affine *e = s->equations.data[best.equation];
    const Affine *total =
        affine_sub(s->pool, affine_scale(s->pool, term_affine(s->pool, t), t->factor), e);
    if (t->kind == TERM_INDEX) {
        solver_drop(s, best.equation);
        solve_for_index(s, t->index, t->factor, total);
        return true;
    }
    if (llabs(t->factor) != 1)
        return false;
    return solver_solve_digit(s, best.equation, t, affine_scale(s->pool, total, t->factor));
}

/* The last resort: all of its indices stay open. */
static bool mask(Solver *s)
{
    if (s->equations.count == 0)
        return false;
    solver_require_zero(s, s->equations.data[--s->equations.count]);
    return true;
}

typedef bool Solve(Solver *s);

/* Simplest first; after each success from the top again. */
static Solve *const clever_rules[] = {
    settle, solve_alone, solver_solve_digits, solve_mixed_radix, solve_one_of_many, mask, NULL,
};
static Solve *const plain_rules[] = {settle, solve_step, rename_only, mask, NULL};

static void solve(Solver *s, Solve *const *rules)
{
    for (int i = 0; rules[i];)
        i = rules[i](s) ? 0 : i + 1;
}

void solver_run(Solver *s)
{
    solve(s, clever_rules);
}

void solver_run_plainly(Solver *s)
{
    solve(s, plain_rules);
}
