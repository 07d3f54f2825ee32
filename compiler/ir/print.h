/* What the parts of printing share: indices (print_index.c), expressions
 * (print_expr.c), statements (print.c) and graphs (listing.c). */
#ifndef GRADC_IR_PRINT_H
#define GRADC_IR_PRINT_H

#include "ir/ir.h"

/* How tightly an expression binds; the grammar's levels. */
typedef enum {
    LEVEL_CONDITION, /* if c then a else b */
    LEVEL_OR,
    LEVEL_AND,
    LEVEL_NOT,
    LEVEL_COMPARE,
    LEVEL_SUM,
    LEVEL_PRODUCT,
    LEVEL_UNARY,
    LEVEL_POWER,
    LEVEL_PRIMARY,
} Level;

typedef struct IndexName {
    const Index *index;
    const char *name;
} IndexName;

typedef struct Printer {
    Text *out;
    const Index *implicit; /* the index over the batch that is not written, or NULL */
    const Expr *guarded;   /* an access to be written (x[i - 1] else 0), or NULL */
    VEC(IndexName) names;  /* where a name of the index's own will not do */
} Printer;

/* ---- print_index.c ----------------------------------------------------------------------------- */

const char *printer_name(const Printer *pr, const Index *ix);
Level print_affine_level(const Affine *a);
/* In parentheses where the expression binds less tightly than `level`. */
void print_affine(Printer *pr, const Affine *a, Level level);
void print_test(Printer *pr, const Expr *e);
/* a == 0 or a != 0, as `op` says, with a's parts on both sides where that is simpler. */
void print_zero(Printer *pr, const Affine *a, const char *op);

/* ---- print_expr.c ------------------------------------------------------------------------------ */

void print_expr(Printer *pr, const Expr *e, Level level);
void print_number(Text *out, double value, DType type);

/* ---- print.c ----------------------------------------------------------------------------------- */

/* The axis of the batch that the language leaves out: the node's first index or, where there is
 * none, the first that its reduction runs over. */
const Index *print_implicit_index(const Node *n);
/* A printer of the statement that computes n. */
void printer_open(Printer *pr, Text *out, const Node *n);
/* `i`, or `i: 5` where nothing else tells its range. */
void print_index(Printer *pr, const Node *n, const Index *ix);
/* name[i, j: 5] */
void print_left(Printer *pr, const Node *n, const char *name);
/* What a reduction runs over is a product that does not begin with a sign. */
void print_reduced(Printer *pr, const Expr *body);
/* name[i] = … */
void print_compute(Text *out, const Node *n, const char *name, const char *assign);

#endif
