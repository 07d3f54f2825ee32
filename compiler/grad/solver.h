/* What the files that invert an access share: equations between affine expressions, and what is known
 * of their solution. */
#ifndef GRADC_GRAD_SOLVER_H
#define GRADC_GRAD_SOLVER_H

#include "grad/grad.h"

typedef VEC(Index *) Indices;

typedef struct Solver {
    Arena *arena;
    ExprPool *pool;
    const Node *user;
    Indices open;                  /* of the consumer, not solved yet; and digits nothing fixes */
    VEC(const Affine *) equations; /* each is 0 */
    VEC(const Expr *) guards;      /* tests */
    VEC(const Expr *) matches;     /* equalities with data */
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

/* ---- solver.c: terms, and what a solution needs --------------------------------------------------------- */

/* t without its factor, as an expression. */
const Affine *term_affine(ExprPool *p, const Term *t);
bool solver_is_open(const Solver *s, const Term *t);
/* Does an index of t occur in another term of a? */
bool solver_shares_index(const Solver *s, const Affine *a, const Term *t);
/* The terms of a with open indices; `out` has room for all.  Returns how many. */
int solver_open_terms(const Solver *s, const Affine *a, const Term **out);
/* a without its open terms */
const Affine *solver_settled_part(const Solver *s, const Affine *a);
void solver_drop(Solver *s, int equation);
/* A guard, unless it holds in any case. */
void solver_require(Solver *s, const Expr *test);
void solver_require_zero(Solver *s, const Affine *a);
/* 0 <= a < extent */
void solver_require_inside(Solver *s, const Affine *a, int64_t extent);

/* ---- substitute.c --------------------------------------------------------------------------------------- */

/* Puts a solution into all that is left: its indices are no longer open, and have to stay inside. */
void solver_apply(Solver *s, const Solution *x);

/* ---- digits.c ------------------------------------------------------------------------------------------- */

/* X[k / w, k % w]: k is h*w + w'.  False: there is no such equation. */
bool solver_solve_digits(Solver *s);
/* Replaces an equation by that of the number of which t is a digit, with this value. */
bool solver_solve_digit(Solver *s, int equation, const Term *t, const Affine *value);

/* ---- equations.c: the rules ----------------------------------------------------------------------------- */

/* Solves all equations, the simplest first. */
void solver_run(Solver *s);
/* The same without any clever step: what is no plain renaming becomes a guard. */
void solver_run_plainly(Solver *s);

#endif
