/* Simplification of the tensor IR: named rules applied to a fixed point, equal nodes merged. */
#ifndef GRADC_OPT_H
#define GRADC_OPT_H

#include "functions/functions.h"
#include "ir/ir.h"

typedef struct Rewriter Rewriter;

/* A rewrite of expressions, of nodes, or of the whole graph (one of the three is not NULL).
 * The table says which; the engine says when. */
typedef struct Rule {
    const char *name, *doc;
    /* e is a call or a test whose operands are in simplest form; NULL: does not apply */
    const Expr *(*expr)(Rewriter *w, const Expr *e);
    /* a compute node whose body is in simplest form, changed in place */
    bool (*node)(Rewriter *w, Node *n);
    /* how many places changed is logged by the rule */
    bool (*graph)(Rewriter *w);
} Rule;

/* What fired, in order: for --explain. */
typedef struct Firing {
    const Rule *rule;
    const char *node;
} Firing;

typedef struct OptLog {
    Arena *arena;
    VEC(Firing) firings;
} OptLog;

/* ---- rewrite.c: the engine ---------------------------------------------------------------------------- */

struct Rewriter {
    Graph *g;
    ExprPool *p;
    OptLog *log;   /* or NULL */
    const Rule *rule;
    Node *node;         /* whose body is being rewritten      */
    const Facts *facts; /* what holds around the expression   */
    int *uses;          /* per node id: accesses, views and results that need it */
    int counted;        /* nodes that `uses` knows            */
    struct Memo *memo;
};

/* Simplifies in place.
 *   needs: a verified graph
 *   gives: one with the same results, verified, pruned; what fired is appended to the log, if any */
void opt_run(Graph *g, OptLog *log);
/* One line a rule that fired: its name, how often, where, and what it does. */
void opt_explain(Text *out, const OptLog *log);
void opt_fired(Rewriter *w, const char *node);
/* The body of a node without reduction, at the subscripts of an access to it; NULL where one is data. */
const Expr *opt_body_at(Rewriter *w, const Expr *access);

/* ---- rules.c: rewrites of expressions ------------------------------------------------------------------ */

extern const Rule opt_expr_rules[]; /* the last has no name */

/* ---- reductions.c: rewrites of a node's reduction ----------------------------------------------------- */

extern const Rule opt_node_rules[];

/* ---- means.c: of nodes around means ----------------------------------------------------------------- */

bool opt_deviations_cancel(Rewriter *w, Node *n);
bool opt_scaled_copy(Rewriter *w, Node *n);

/* ---- cse.c: rewrites of the graph ----------------------------------------------------------------------- */

extern const Rule opt_graph_rules[];
/* Restores the topological order after a rule has put a new operand at the end. */
void opt_sort_graph(Graph *g);

/* ---- guards.c: conditions ---------------------------------------------------------------------------------- */

typedef VEC(const Expr *) Conjuncts;

bool opt_is_call(const Expr *e, const ScalarFunction *f);
bool opt_is_const(const Expr *e, double value);
/* if c then a else 0 */
bool opt_is_guarded(const Expr *e);
/* Made of tests on indices alone? */
bool opt_is_pure_test(const Expr *c);
/* Appends the conjuncts of c. */
void opt_conjuncts(ExprPool *p, const Expr *c, Conjuncts *out);
/* Does c hold (1), not hold (0), or is that unknown (-1)? */
int opt_decide(ExprPool *p, const Facts *facts, const Expr *c);
/* if 0 <= a < extent then e else 0, without what is provable */
const Expr *opt_guard_inside(ExprPool *p, const Affine *a, int64_t extent, const Expr *e);
/* Does e use one of these indices? */
bool opt_uses_any(ExprPool *p, const Expr *e, Index *const *indices, int count);

#endif
