/* The syntax tree of a .nn file, and the tree as .nn text again.
 * The tree records what was written and where; it knows no meaning. */
#ifndef GRADC_SYNTAX_H
#define GRADC_SYNTAX_H

#include "support/support.h"

typedef struct Ast Ast;
typedef VEC(Ast *) AstList;

typedef enum {
    /* expressions */
    AST_NUMBER,    /* number; is_integer when written without point or exponent   */
    AST_STRING,    /* name: the text, escapes resolved                             */
    AST_NAME,      /* name                                                         */
    AST_TRUTH,     /* number: 0 or 1                                               */
    AST_LIST,      /* items: [a, b, c]                                             */
    AST_UNARY,     /* name: "-" or "not"; left                                     */
    AST_BINARY,    /* name: + - * / % ^ == != < <= > >= and or; left, right        */
    AST_PIPE,      /* left |> right; right is a call or a bare name                */
    AST_IF_EXPR,   /* if cond then left else right                                 */
    AST_ELSE,      /* (left else right): what a subscript outside its dimension reads */
    AST_CALL,      /* left(items): items are expressions or AST_ARGUMENT           */
    AST_ARGUMENT,  /* name = left                                                  */
    AST_SUBSCRIPT, /* left[items]: items are expressions or AST_ELLIPSIS           */
    AST_ELLIPSIS,  /* ...                                                          */
    AST_MEMBER,    /* left.name                                                    */
    AST_AT,        /* left@name or left@(right): another example of the batch      */
    AST_OVER,      /* left over name: all steps of a scan                          */
    AST_REDUCE,    /* name[items] left: items are AST_INDEX or AST_ELLIPSIS; name: sum … */
    AST_INDEX,     /* name, left: extent or NULL — `i` or `i: n`                   */
    /* statements */
    AST_INPUT,     /* name[items] : type in left; flag: a target                   */
    AST_PARAM,     /* path[items] ~ left  or  = left; flag: random start (~); cond: as a text */
    AST_STATE,     /* path[items] = left [fit right]                               */
    AST_ASSIGN,    /* name[items] = left; flag: has brackets                       */
    AST_UPDATE,    /* path[items] <- left; flag: has brackets                      */
    AST_LOSS,      /* name or NULL, left                                           */
    AST_METRIC,    /* name or NULL, left                                           */
    AST_OUTPUT,    /* name, left (a lone `output probs` has left = the name); or
                      name[items] = left, flag: has brackets                       */
    AST_RETURN,    /* left                                                         */
    AST_REQUIRE,   /* require cond, name: a text; items: the expressions in its braces */
    AST_IF,        /* if cond { body } else { orelse }                             */
    AST_REPEAT,    /* repeat left [as name] { body }                               */
    AST_FOR,       /* for name in left { body }                                    */
    AST_SCAN,      /* scan name[: left] [reversed if cond] with items { body }; items: AST_CARRY */
    AST_CARRY,     /* name[items] = left                                           */
    AST_GRADIENT,  /* gradient path[items] = left                                  */
    AST_FREEZE,    /* freeze path; flag: a pattern in quotes                       */
    AST_INIT_FROM, /* init path from left [with right] (strings); flag: the same   */
    AST_GENERATE,  /* generate name (an input) from left                           */
    /* declarations */
    AST_PARAMETER,   /* of a layer or fn: name[items] or name = left; flag: has brackets */
    AST_MODEL,       /* name { body }                                                */
    AST_LAYER,       /* name(items) { body }                                         */
    AST_FN,          /* the same; orelse: AST_ARGUMENT for each stated derivative     */
    AST_OPTIMIZER,   /* the same                                                     */
    AST_SCHEDULE,    /* the same                                                     */
    AST_INITIALIZER, /* the same                                                   */
    AST_TRAIN,       /* [name] { body of AST_ENTRY }                                 */
    AST_ENTRY,       /* name, items: `batch 12 accumulate 4` has items 12, accumulate, 4 */
    AST_IMPORT,      /* name: the path as written                                    */
    AST_FILE,        /* body: declarations in order; number: language edition or 0   */
    AST_KIND_COUNT
} AstKind;

/* One shape for every kind; the table above says which fields a kind uses.  A dotted path
 * (`dense_1.weight`) is one interned name.  Dimension and subscript lists may hold
 * AST_ELLIPSIS; in a definition's left side an item is AST_INDEX, AST_ELLIPSIS or a number. */
struct Ast {
    AstKind kind;
    Span span;      /* the whole construct                 */
    Span name_span; /* its name or operator alone          */
    const char *name;
    const char *doc; /* the comment block straight above a declaration, or NULL */
    double number;
    bool is_integer;
    bool flag;
    int depth; /* of the tree below; bounded, so that walking it recursively is safe */
    Ast *cond, *left, *right;
    AstList items, body, orelse;
};

/* ---- ast.c ------------------------------------------------------------------------------------- */

Ast *ast_new(Arena *a, AstKind kind, Span span);
const char *ast_kind_name(AstKind kind);
/* The tree as an indented outline, one node a line, with line:column (--emit=ast). */
void ast_dump(Text *out, const Ast *tree, const Sources *sources);

/* ---- nn.l -------------------------------------------------------------------------------------- */

/* Is this the word of a reduction: sum, prod, …? */
bool syntax_reduces(const char *name);

/* ---- format.c ---------------------------------------------------------------------------------- */

/* The tree as canonical .nn text.  Reading it back gives the same tree; formatting that again
 * gives the same text.  Comments are kept: `src` is where the tree was read from. */
void ast_format(Text *out, const Ast *tree, const Source *src);
/* One expression on one line, with as few parentheses as the grammar needs. */
void ast_format_expr(Text *out, const Ast *expr);

/* ---- parse.c: drives the grammar ----------------------------------------------------------------- */

typedef struct SyntaxContext {
    Arena *arena;
    Interner *names;
    Sources *sources;
    Diag *diag;
} SyntaxContext;

/* Parses one registered source.  Reports every syntax error it can recover from; NULL when any
 * occurred. */
Ast *syntax_parse(SyntaxContext *cx, int file);

#endif
