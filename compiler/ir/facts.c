/* Proofs that an affine expression is not negative where certain tests are known to hold.
 * Sound and incomplete: facts are combined to cancel terms, with quotients first as they stand, then
 * cleared, which loses something unless a quotient is alone and has the factor 1 or -1. */
#include "functions/functions.h"
#include "ir/pool.h"

#include <stdlib.h>

enum {
    MAX_FACTS = 64,
    MAX_DEPTH = 3, /* facts used together in one proof */
};
static const int64_t too_large = INT64_C(1) << 40;

typedef struct Known {
    ExprPool *pool;
    const Affine *facts[MAX_FACTS]; /* each >= 0 */
    int count;
    bool impossible; /* what is known cannot be: here nothing is ever read */
} Known;

/* A quotient by which an expression can be multiplied through; NULL when there is none. */
static const Term *any_quotient(const Affine *a)
{
    for (int i = 0; i < a->count; i++)
        if (a->terms[i].kind == TERM_QUOTIENT)
            return &a->terms[i];
    return NULL;
}

/* rest + f*(x/d) >= 0 without its quotient.  With |f| = 1 the result is equivalent:
 *   rest + x/d >= 0  iff  d*rest + x >= 0        rest - x/d >= 0  iff  d*rest + d-1 - x >= 0
 * otherwise x%d is bounded by 0 … d-1, from below for a goal (the result is sufficient) and from
 * above for a fact (the result is implied). */
static const Affine *clear_quotient(ExprPool *p, const Affine *a, const Term *t, bool goal)
{
    int64_t f = t->factor, d = t->divisor;
    Term *alone = arena_new(p->arena, Term, 1);
    *alone = *t;
    Affine term = {.count = 1, .terms = alone};
    const Affine *rest = affine_sub(p, a, &term);
    const Affine *cleared = affine_add_scaled(p, affine_scale(p, rest, d), t->inner, f);
    if (f == 1)
        return cleared;
    if (f == -1)
        return affine_offset(p, cleared, d - 1);
    int64_t slack = (f > 0) == goal ? -f * (d - 1) : 0;
    return affine_offset(p, cleared, slack);
}

/* g*x + c >= 0 iff x + floor(c/g) >= 0. */
static const Affine *tighten(ExprPool *p, const Affine *a)
{
    int64_t common = affine_common_factor(a);
    const Affine *whole, *rest;
    if (common <= 1)
        return a;
    affine_split(p, a, common, &whole, &rest);
    return whole;
}

static const Affine *clear_quotients(ExprPool *p, const Affine *a, bool goal)
{
    for (const Term *t = any_quotient(a); t; t = any_quotient(a))
        a = clear_quotient(p, a, t, goal);
    return tighten(p, a);
}

/* ---- what is known ----------------------------------------------------------------------------------- */

static void learn_as_it_stands(Known *k, const Affine *a)
{
    k->impossible = k->impossible || affine_interval(a).high < 0;
    if (k->count < MAX_FACTS && affine_interval(a).low < 0)
        k->facts[k->count++] = a;
}

static void learn(Known *k, const Affine *a)
{
    const Affine *cleared = clear_quotients(k->pool, a, false);
    learn_as_it_stands(k, a);
    if (cleared != a)
        learn_as_it_stands(k, cleared);
}

static void learn_test(Known *k, const Expr *e, bool holds)
{
    const Affine *opposite = affine_scale(k->pool, e->affine, -1);
    if (e->test == TEST_NOT_NEGATIVE)
        learn(k, holds ? e->affine : affine_offset(k->pool, opposite, -1));
    else if (holds) {
        learn(k, e->affine);
        learn(k, opposite);
    } else { /* not the last value at one end: i != 0 says i >= 1 */
        const Interval range = affine_interval(e->affine);
        if (range.low == 0)
            learn(k, affine_offset(k->pool, e->affine, -1));
        if (range.high == 0)
            learn(k, affine_offset(k->pool, opposite, -1));
    }
}

/* The conjuncts of a condition that holds, or of the negation of one that does not. */
static void learn_condition(Known *k, const Expr *e, bool holds)
{
    if (e->kind == EXPR_TEST) {
        learn_test(k, e, holds);
        return;
    }
    if (e->kind == EXPR_CONST)
        k->impossible = k->impossible || (e->value != 0) != holds;
    if (e->kind != EXPR_CALL)
        return;
    if (e->function == &scalar_not)
        learn_condition(k, e->args[0], !holds);
    if (e->function == (holds ? &scalar_and : &scalar_or)) {
        learn_condition(k, e->args[0], holds);
        learn_condition(k, e->args[1], holds);
    }
}

/* ---- proofs ------------------------------------------------------------------------------------------- */

static const Term *same_atom(const Affine *a, const Term *t)
{
    for (const Term *u = a->terms; u < a->terms + a->count; u++)
        if (u->kind == t->kind && u->index == t->index && u->inner == t->inner &&
            u->divisor == t->divisor)
            return u;
    return NULL;
}

static bool within_reach(const Affine *a)
{
    for (int i = 0; i < a->count; i++)
        if (a->terms[i].factor > too_large || a->terms[i].factor < -too_large)
            return false;
    return a->constant < too_large && a->constant > -too_large;
}

static bool prove(const Known *k, const Affine *a, int depth);

/* a >= 0 follows from m*a - n*fact >= 0 for positive m, n, which are chosen to cancel a term; and, as
 * m*a is a multiple of m, already from m*a + m-1 - n*fact >= 0. */
static bool prove_by(const Known *k, const Affine *a, const Affine *fact, int depth)
{
    for (int i = 0; i < fact->count; i++) {
        const Term *t = &fact->terms[i], *u = same_atom(a, t);
        if (!u || (u->factor < 0) != (t->factor < 0))
            continue;
        int64_t shared = gcd(t->factor, u->factor);
        int64_t m = llabs(t->factor / shared), n = llabs(u->factor / shared);
        const Affine *scaled = affine_offset(k->pool, affine_scale(k->pool, a, m), m - 1);
        const Affine *rest = affine_add_scaled(k->pool, scaled, fact, -n);
        if (within_reach(rest) && prove(k, tighten(k->pool, rest), depth - 1))
            return true;
    }
    return false;
}

static bool prove(const Known *k, const Affine *a, int depth)
{
    if (affine_interval(a).low >= 0)
        return true;
    for (int i = 0; depth > 0 && i < k->count; i++)
        if (prove_by(k, a, k->facts[i], depth))
            return true;
    return false;
}

/* a as a test states it: what is given and what is asked meet in one form. */
static const Affine *as_stated(ExprPool *p, const Affine *a)
{
    algebra_test(p, TEST_NOT_NEGATIVE, &a);
    return a;
}

/* Short proofs first. */
static bool prove_goal(const Known *k, const Affine *goal)
{
    for (int depth = 0; depth <= MAX_DEPTH && !k->impossible; depth++)
        if (prove(k, goal, depth))
            return true;
    return k->impossible;
}

bool facts_prove_not_negative(ExprPool *p, const Facts *facts, const Affine *a)
{
    if (affine_interval(a).low >= 0)
        return true;
    Known known = {.pool = p};
    for (; facts; facts = facts->outer)
        learn_condition(&known, facts->test, facts->holds);
    const Affine *goal = as_stated(p, a), *cleared = clear_quotients(p, a, true);
    return prove_goal(&known, goal) || (cleared != goal && prove_goal(&known, cleared));
}

bool facts_prove_inside(ExprPool *p, const Facts *facts, const Affine *a, int64_t extent)
{
    return facts_prove_not_negative(p, facts, a) &&
           facts_prove_not_negative(p, facts, affine_offset(p, affine_scale(p, a, -1), extent - 1));
}
