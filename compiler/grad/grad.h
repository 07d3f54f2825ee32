/* Reverse-mode differentiation: from the tensor IR to the tensor IR.
 *
 * For Y[o] = R_r f(X[a(o, r)], …) the adjoint of X is a node of the same form: the derivative of f
 * times the cotangent of Y, summed over every index of (o, r) that a(o, r) = j leaves open. */
#ifndef GRADC_GRAD_H
#define GRADC_GRAD_H

#include "ir/ir.h"
#include "ir/program.h"

/* ---- reverse.c: the walk over the graph ------------------------------------------------------------ */

/* Where differentiation starts: the cotangent of each element of `node`, free of indices. */
typedef struct Seed {
    Node *node;
    const Expr *value;
} Seed;

/* The gradient of  sum over seeds of sum over elements of value * node  by each wanted node.
 *   needs: operands before users; real seeds and wanted nodes
 *   gives: out[i], of wanted[i]'s shape, or NULL where no seed depends on wanted[i] */
void grad_cotangents(Graph *g, const Seed *seeds, int seed_count, Node *const *wanted,
                     int wanted_count, Node **out);

/* ---- losses.c --------------------------------------------------------------------------------------- */

/* The gradient of every trainable parameter.
 *   needs: a verified graph whose RESULT_LOSS values are losses of one example (or of none)
 *   gives: a RESULT_GRADIENT of each unfrozen ROLE_PARAM of the program that has none yet, by
 *          the sum of the losses' means over the batch; a warning where no loss depends on it */
void grad_run(Graph *g, Program *program, Diag *d);

/* ---- blocked.c ------------------------------------------------------------------------------------- */

/* What keeps one node from having a derivative by another. */
typedef struct Wall {
    Span span;
    const char *what; /* a function or reduction as it is written */
} Wall;

/* Do all ways from `by` to the nodes `of` pass through something without a derivative?  Then *wall is
 * the first of that; false where there is a derivative, or no way at all. */
bool grad_blocked(Graph *g, Node *const *of, int of_count, const Node *by, Wall *wall);
void grad_note_wall(Diag *d, const Wall *wall);

/* ---- adjoint.c: reverse accumulation inside one scalar expression ------------------------------------ */

/* What an access within a body gets: its cotangent, over the indices of that body. */
typedef struct LeafAdjoint {
    const Expr *access;
    const Expr *value;
} LeafAdjoint;

typedef VEC(LeafAdjoint) LeafAdjoints;

/* Appends the adjoints of the accesses to nodes with needed[id], in a fixed order; `seed` is the
 * cotangent of the body. */
void adjoint_of_body(ExprPool *p, const Expr *body, const Expr *seed, const bool *needed,
                     LeafAdjoints *out);
/* a + b, where NULL is nothing; terms under the same guard share it. */
const Expr *adjoint_add(ExprPool *p, const Expr *a, const Expr *b);
/* `e` with every occurrence of `from` replaced. */
const Expr *adjoint_replace(ExprPool *p, const Expr *e, const Expr *from, const Expr *to);
/* The call F of `if c then F else 0`, where c depends on the place alone; NULL: it is no such body. */
const Expr *adjoint_guarded_value(ExprPool *p, const Expr *body);

/* ---- access.c: inverting an access ------------------------------------------------------------------- */

/* sum over `bound` of `body`, both over indices of its own. */
typedef struct Pullback {
    Index **bound;
    int bound_count;
    const Expr *body;
} Pullback;

/* The sum of `value` over all indices of `user` at which `access` reads element [domain]. */
Pullback access_pull_back(Graph *g, const Expr *access, const Expr *value, const Node *user,
                          Index *const *domain);

#endif
