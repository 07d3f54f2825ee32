/* What format.c (statements, comments) and format_expr.c share.  Private to this floor. */
#ifndef GRADC_SYNTAX_FORMAT_H
#define GRADC_SYNTAX_FORMAT_H

#include "syntax/syntax.h"

/* `src` is NULL where the tree was not read from a text that is at hand. */
typedef struct Writer {
    Text *out;
    const Source *src;
    int indent; /* of the statement; its further lines stand deeper */
} Writer;

/* How tightly the constructs of the grammar bind, loosest first. */
typedef enum {
    BIND_PIPE = 1,
    BIND_IF,
    BIND_OR,
    BIND_AND,
    BIND_NOT,
    BIND_COMPARE,
    BIND_SUM,
    BIND_TERM, /* a product that ends in a reduction, or a reduction */
    BIND_PRODUCT,
    BIND_UNARY,
    BIND_POWER,
    BIND_POSTFIX,
    BIND_PRIMARY,
} Binding;

/* Writes an expression, in parentheses when it binds less tightly than `least`. */
void write_expr(Writer *w, const Ast *e, Binding least);
/* After `loss`, `metric` and `repeat`, where a `[` would make the keyword a name. */
void write_opening_expr(Writer *w, const Ast *e);
/* A comma-separated list without its brackets; lines stay broken where they were. */
void write_items(Writer *w, const AstList *items);
void write_quoted(Writer *w, const char *s);

#endif
