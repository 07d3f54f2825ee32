/* What the parts of printing share: indices (print_index.c), expressions
 * (print_expr.c) and statements (print.c). */
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

#endif
