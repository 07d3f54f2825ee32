/* Simplification of the tensor IR: named rules applied to a fixed point, equal nodes merged. */
#ifndef GRADC_OPT_H
#define GRADC_OPT_H

#include "functions/functions.h"
#include "ir/ir.h"

typedef struct Rewriter Rewriter;

/* e is a call or a test whose operands are in simplest form; NULL: does not apply */
typedef const Expr *ExprRule(Rewriter *w, const Expr *e);

/* A rewrite of expressions, of nodes, or of the whole graph (one of the three is not NULL).
 * The table says which; the engine says when. */
typedef struct Rule {
    const char *name, *doc;
    ExprRule *expr;
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
    OptLog *log; /* or NULL */
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
/* What pays before differentiation, of an entry that is given many examples at a time: the same contract. */
void opt_forward(Graph *g, OptLog *log);
/* One line a rule that fired: its name, how often, where, and what it does. */
void opt_explain(Text *out, const OptLog *log);
void opt_fired(Rewriter *w, const char *node);
/* The body of a node without reduction, at the subscripts of an access to it; NULL where one is data. */
const Expr *opt_body_at(Rewriter *w, const Expr *access);

/* ---- rules.c: rewrites of expressions ------------------------------------------------------------------ */

extern const Rule opt_expr_rules[]; /* the last has no name */

/* ---- products.c: rewrites of products and sums -------------------------------------------------------- */

typedef VEC(const Expr *) Factors;

/* constant * over… / under… */
typedef struct Product {
    Arena *arena;
    double constant;
    int constants, signs; /* how many constants (1 aside) and negations went into it */
    Factors over, under;
} Product;

/* A product, quotient or negation of reals? */
bool opt_is_product(const Expr *e);
Product product_of(Rewriter *w, const Expr *e);
/* What is the same for every element is multiplied together first. */
const Expr *product_rebuild(Rewriter *w, const Product *f);
int factors_find(const Factors *factors, const Expr *e); /* or -1 */
void factors_drop(Factors *factors, int i);

ExprRule opt_cancel_scalars, opt_constants_together, opt_times_reciprocal, opt_constant_first,
    opt_uniform_outside, opt_divide_by_scalar, opt_sign_of_constant, opt_like_terms,
    opt_divide_by_power_of_two;

/* ---- slopes.c: rewrites that use a result at hand ------------------------------------------------------- */

ExprRule opt_common_divisor, opt_quotient_of_product, opt_logistic_slope, opt_flat_tail,
    opt_sign_of_rectified, opt_guarded_already;

/* ---- reductions.c: rewrites of a node's reduction ----------------------------------------------------- */

extern const Rule opt_node_rules[];
/* Takes the bound index at i away; without any, the node has no reduction. */
void opt_drop_bound(Node *n, int i);

/* ---- data.c: of sums over an index that data fixes ------------------------------------------------------ */

bool opt_fixed_by_data(Rewriter *w, Node *n);
bool opt_one_hot_in_sum(Rewriter *w, Node *n);

/* ---- phase.c: of sums in which every s-th term counts ------------------------------------------------- */

bool opt_one_phase(Rewriter *w, Node *n);

/* ---- lookup.c: rewrites of the graph before differentiation ------------------------------------------------ */

extern const Rule opt_forward_rules[];

/* ---- means.c: of nodes around means ----------------------------------------------------------------- */

bool opt_deviations_cancel(Rewriter *w, Node *n);
bool opt_scaled_copy(Rewriter *w, Node *n);

/* ---- cse.c: rewrites of the graph ----------------------------------------------------------------------- */

extern const Rule opt_graph_rules[];

/* ---- guards.c: conditions ---------------------------------------------------------------------------------- */

typedef VEC(const Expr *) Conjuncts;

bool opt_is_call(const Expr *e, const ScalarFunction *f);
bool opt_is_const(const Expr *e, double value);
const Expr *opt_call2(ExprPool *p, const ScalarFunction *f, const Expr *a, const Expr *b);
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

/* ---- positions.c: a position a call ---------------------------------------------------------------------- */

/* Makes one recurrence, over the positions of `tokens`, of all that depends on them.
 *   needs: a verified, simplified graph whose one result is log-odds [batch, position, token], or
 *          [batch, token]: then the graph stays, and the tokens are a window
 *   gives: false, and an error, where a position needs later ones; `span` is what asks for it */
bool opt_positions(Graph *g, const Port *tokens, Span span, Diag *d);

/* `value` wherever the index at `place` is beyond the position. */
typedef struct Beyond {
    int place;
    const Expr *value;
} Beyond;

/* What is known of a node. */
typedef struct Row {
    bool depends;        /* on the tokens                                    */
    uint32_t candidates; /* places of the domain that may count the positions */
    int place;           /* the one that does; -1: none                      */
    VEC(Beyond) beyond;
} Row;

typedef struct Positions {
    Graph *g;
    ExprPool *p;
    Diag *diag;
    Span span; /* of the statement */
    const Port *tokens;
    int64_t length; /* of the sequence */
    Row *rows;      /* per node id */
} Positions;

#define ROW(x, n) (&(x)->rows[(n)->id])
enum { MOST_PLACES = 32 };

Index *row_position(const Positions *x, const Node *n); /* NULL: it has none */
/* Which position an access reads; NULL: data says. */
const Affine *row_subscript(const Positions *x, const Expr *access);

/* ---- causal.c: no position reads a later one ---------------------------------------------------------------- */

/* Is more of it wanted than its users' bodies read? */
bool row_is_kept_whole(const Positions *x, const Node *n);
/* False, and an error, where the proof fails; bodies are changed to compute no more than is read. */
bool positions_prove(Positions *x);

#endif
