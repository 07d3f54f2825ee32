/* Equations between affine expressions: which of their terms are open, and the guards that a solution
 * needs unless intervals or other guards prove them. */
#include "grad/solver.h"

/* ---- affine expressions, term by term ------------------------------------------------------------------- */

const Affine *term_affine(ExprPool *p, const Term *t)
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

bool solver_is_open(const Solver *s, const Term *t)
{
    for (int i = 0; i < s->open.count; i++)
        if (term_uses(t, s->open.data[i]))
            return true;
    return false;
}

bool solver_shares_index(const Solver *s, const Affine *a, const Term *t)
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

int solver_open_terms(const Solver *s, const Affine *a, const Term **out)
{
    int count = 0;
    for (int i = 0; i < a->count; i++)
        if (solver_is_open(s, &a->terms[i]))
            out[count++] = &a->terms[i];
    return count;
}

const Affine *solver_settled_part(const Solver *s, const Affine *a)
{
    const Affine *known = affine_constant(s->pool, a->constant);
    for (int i = 0; i < a->count; i++)
        if (!solver_is_open(s, &a->terms[i]))
            known = affine_add(
                s->pool, known,
                affine_scale(s->pool, term_affine(s->pool, &a->terms[i]), a->terms[i].factor));
    return known;
}

/* The others keep their order: the step's stands before those of what is read at it. */
void solver_drop(Solver *s, int i)
{
    s->equations.count--;
    for (; i < s->equations.count; i++)
        s->equations.data[i] = s->equations.data[i + 1];
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

void solver_require(Solver *s, const Expr *test)
{
    double value;
    if (!expr_is_const(test, &value) || value == 0)
        vec_push(s->arena, &s->guards, test);
}

void solver_require_zero(Solver *s, const Affine *a)
{
    solver_require(s, expr_test(s->pool, TEST_ZERO, a));
}

static void require_not_negative(Solver *s, const Affine *a)
{
    if (!facts_prove_not_negative(s->pool, facts_of(s), a))
        solver_require(s, expr_test(s->pool, TEST_NOT_NEGATIVE, a));
}

void solver_require_inside(Solver *s, const Affine *a, int64_t extent)
{
    require_not_negative(s, a);
    require_not_negative(s, affine_sub(s->pool, affine_constant(s->pool, extent - 1), a));
}
