/* What the lexer, the grammar and their driver share.  Private to this floor. */
#ifndef GRADC_SYNTAX_PARSER_H
#define GRADC_SYNTAX_PARSER_H

#include "syntax/syntax.h"

/* What a token carries: a name, a string's text, or a number. */
typedef struct Word {
    const char *text;
    double number;
    bool is_integer;
} Word;

typedef union Value {
    Word word;
    Ast *node;
    AstList list;
} Value;

/* A token as the parser saw it. */
typedef struct Token {
    int kind;
    Value value;
    Span span;
    bool starts_line;
} Token;

typedef enum { TRAIN_OUTSIDE, TRAIN_ANNOUNCED, TRAIN_INSIDE } TrainState;

typedef struct Bracket {
    char opener;
    Span span;
    int indent; /* of a block: the column of the first statement on a line of its own, or -1 */
} Bracket;

enum { MAX_BRACKETS = 256, MAX_DEPTH = 2000 };

typedef struct Parser {
    SyntaxContext *cx;
    Arena *arena;
    const Source *src;
    int file;
    void *scanner;
    Ast *tree;

    /* the lexer's state */
    int offset;       /* of the next token */
    int end;          /* of what is read: the file, or one expression in a text */
    bool alone;       /* one expression, */
    bool announced;   /* … as the parser has been told by ALONE */
    TrainState train; /* inside `train { }` entries end with their line */

    /* the driver's state, see parse.c */
    VEC(Bracket) brackets;
    Token last, previous;
    int before_previous; /* kind of the token before `previous` */
    bool recovering;     /* after a syntax error, until the next place to go on from */
    bool replay;         /* `last` is to be read once more */
    bool stopped;        /* beyond repair: nothing more is read */
    int resumed_at;      /* where the parser last went on after an error, or -1 */
    int fault_at;        /* of the last error in the lexer, or -1 */
} Parser;

/* driver: parse.c */
bool parser_in_brackets(const Parser *p);
void parser_lexical_error(Parser *p, Span at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void parser_too_deep(Parser *p, Span at);
void parser_syntax_error(Parser *p, const char *const *expected, int count);
/* The expressions in the braces of a string, in order. */
AstList parser_embedded(Parser *p, Span string);

/* messages: complain.c */
void complain(Parser *p, const char *const *expected, int count);

/* constructors: build.c */
AstList list_of(Parser *p, Ast *item);
AstList list_add(Parser *p, AstList list, Ast *item);
Ast *ast_number(Parser *p, Span span, Word word);
Ast *ast_string(Parser *p, Span span, Word word);
Ast *ast_truth(Parser *p, Span span, bool truth);
Ast *ast_name(Parser *p, Span span, Word word);
Ast *ast_list(Parser *p, Span span, AstList items);
Ast *ast_unary(Parser *p, Span span, Span op, Ast *operand);
Ast *ast_binary(Parser *p, Span span, Span op, Ast *left, Ast *right);
Ast *ast_chained_comparison(Parser *p, Span span, Span op, Ast *left, Ast *right);
Ast *ast_pipe(Parser *p, Span span, Span op, Ast *left, Ast *right);
Ast *ast_if_expr(Parser *p, Span span, Ast *cond, Ast *then, Ast *otherwise);
Ast *ast_else(Parser *p, Span span, Ast *left, Ast *right);
Ast *ast_call(Parser *p, Span span, Ast *callee, AstList arguments);
Ast *ast_argument(Parser *p, Span span, Span name_span, Word name, Ast *value);
Ast *ast_subscript(Parser *p, Span span, Ast *base, AstList items);
Ast *ast_ellipsis(Parser *p, Span span);
Ast *ast_member(Parser *p, Span span, Span name_span, Ast *base, Word name);
Ast *ast_at(Parser *p, Span span, Span name_span, Ast *base, Word name);
Ast *ast_at_number(Parser *p, Span span, Ast *base, Ast *example);
Ast *ast_reduce(Parser *p, Span span, Span name_span, Word name, AstList items, Ast *operand);
Ast *ast_index(Parser *p, Span span, Span name_span, Word name, Ast *extent);
Word path_join(Parser *p, Word path, Word name);

Ast *ast_input(Parser *p, Span span, Span name_span, Word name, AstList dims, Ast *type,
               bool target);
Ast *ast_param(Parser *p, Span span, Span path_span, Word path, AstList dims, Ast *start,
               bool random);
Ast *ast_state(Parser *p, Span span, Span path_span, Word path, AstList dims, Ast *first, Ast *fit);
Ast *ast_assign(Parser *p, Span span, Span path_span, Word path, AstList items, bool brackets,
                Ast *value);
/* An output or metric that is defined where it stands: y[i, j] = … */
Ast *ast_by_index(Parser *p, AstKind kind, Span span, Span name_span, Word name, AstList items,
                  Ast *value);
Ast *ast_update(Parser *p, Span span, Span path_span, Word path, AstList items, bool brackets,
                Ast *value);
Ast *ast_gradient(Parser *p, Span span, Span path_span, Word path, AstList items, Ast *value);
/* loss, metric, output: a name that may be missing, and a value. */
Ast *ast_named(Parser *p, AstKind kind, Span span, Span name_span, Word name, Ast *value);
Ast *ast_return(Parser *p, Span span, Ast *value);
/* param name as "stored_{name}"[dims] … */
Ast *ast_param_as(Parser *p, Span span, Span name_span, Word name, Span text_span, Word text,
                  AstList dims, Ast *start, bool random);
Ast *ast_require(Parser *p, Span span, Ast *cond, Span text_span, Word text);
Ast *ast_if(Parser *p, Span span, Ast *cond, AstList body, AstList orelse);
Ast *ast_repeat(Parser *p, Span span, Ast *count, Span name_span, Word name, AstList body);
Ast *ast_for(Parser *p, Span span, Span name_span, Word name, Ast *list, AstList body);
/* `extent` and `reversed` may be missing. */
Ast *ast_scan(Parser *p, Span span, Span name_span, Word name, Ast *extent, Ast *reversed,
              AstList carries, AstList body);
Ast *ast_carry(Parser *p, Span span, Span name_span, Word name, AstList dims, Ast *start);
Ast *ast_over(Parser *p, Span span, Span name_span, Ast *value, Word name);
Ast *ast_freeze(Parser *p, Span span, Span path_span, Word path, bool quoted);
Ast *ast_init_from(Parser *p, Span span, Span path_span, Word path, bool quoted, Ast *file,
                   Ast *names);

Ast *ast_parameter(Parser *p, Span span, Span name_span, Word name, AstList pattern, bool brackets,
                   Ast *value);
Ast *ast_function(Parser *p, Span span, Span name_span, Word name, AstList parameters, AstList body,
                  AstList derivatives);
Ast *ast_declaration(Parser *p, AstKind kind, Span span, Span name_span, Word name,
                     AstList parameters, AstList body);
Ast *ast_entry(Parser *p, Span span, Span name_span, Word name, AstList items);
Ast *ast_import(Parser *p, Span span, Span path_span, Word path);
Ast *ast_file(Parser *p, Span span, double edition, AstList body);
void check_edition(Parser *p, Span span, Word edition);

#endif
