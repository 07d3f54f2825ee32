/* The grammar of a .nn file.  Rules call constructors and no more; names, extents and defaults
 * mean nothing here.
 *
 * A file does not care about line ends, except inside `train { }`.  Expressions stand from the
 * loosest operator to the tightest, one nonterminal a level, so precedence needs no declarations:
 *
 *   |>   if   or   and   not   == < …   + -   sum[i] …   * / %   unary -   ^   f(x) x[i] x.y x@m
 */
%code requires {
#include "syntax/parser.h"
}
%code provides {
int nn_lex(NN_STYPE *value, NN_LTYPE *span, Parser *p);
}
%code {
static void nn_error(const NN_LTYPE *at, Parser *p, const char *message);
#define YYLLOC_DEFAULT(current, rhs, n)                                                  \
    ((current) = (n) ? span_join(YYRHSLOC(rhs, 1), YYRHSLOC(rhs, n))                     \
                     : (Span){YYRHSLOC(rhs, 0).file, YYRHSLOC(rhs, 0).end, YYRHSLOC(rhs, 0).end})
#define YYMAXDEPTH 20000
#define NO_LIST ((AstList){0})
#define NO_WORD ((Word){0})
}

%define api.prefix {nn_}
%define api.pure full
%define api.value.type {Value}
%define api.location.type {Span}
%define parse.error custom
%define parse.lac full
%locations
%param {Parser *p}
%initial-action { @$ = (Span){p->file, 0, 0}; }
%expect 0

%token END 0 "the end of the file"
%token NEWLINE "the end of the line"
%token RESUME "a place to go on"        /* made by parse.c after an error */
%token ALONE "an expression by itself"  /* made by parse.c before one that stands in a text */
%token <word> NAME "a name" NUMBER "a number" STRING "a string" REDUCTION "a reduction"
%token MODEL "`model`" LAYER "`layer`" FN "`fn`" OPTIMIZER "`optimizer`" SCHEDULE "`schedule`"
%token INITIALIZER "`initializer`" TRAIN "`train`" IMPORT "`import`" EDITION "`gradc`"
%token PARAM "`param`" STATE "`state`" INPUT "`input`" TARGET "`target`" LOSS "`loss`" METRIC "`metric`"
%token METRIC_TABLE "`metric …[…]`"
%token OUTPUT "`output`" GRADIENT "`gradient`" FREEZE "`freeze`" INIT "`init`" REPEAT "`repeat`"
%token DERIVATIVE "`derivative`" REQUIRE "`require`" GENERATE "`generate`"
%token RETURN "`return`" IF "`if`" THEN "`then`" ELSE "`else`" AND "`and`" OR "`or`" NOT "`not`"
%token TRUTH "`true`" FALSITY "`false`" AS "`as`" FROM "`from`"
%token PIPE "`|>`" ARROW "`<-`" LESS_EQUAL "`<=`" GREATER_EQUAL "`>=`" EQUAL "`==`" NOT_EQUAL "`!=`"
%token FOR "`for`" IN "`in`" FIT "`fit`" ELLIPSIS "`...`" SCAN "`scan`" WITH "`with`" REVERSED "`reversed`" OVER "`over`"

%precedence JUXTAPOSED
%precedence '(' '['

%type <word> path
%type <node> declaration parameter entry entry_line statement if_statement
%type <node> expr pipe_target condition disjunction conjunction negation comparison total term reduction
%type <node> extent order carry renamed
%type <list> carries
%type <node> product unary power exponent postfix primary argument item entry_item qualified
%type <list> declarations declaration_list parameters parameter_list block statements statement_list else_part
%type <node> derivative
%type <list> derivatives
%type <list> entries entry_lines
%type <list> entry_items arguments argument_list items item_list list_items list_item_list dimensions

%%

file
    : declarations                  { p->tree = ast_file(p, @$, 0, $1); }
    | EDITION NUMBER declarations   { check_edition(p, @2, $2); p->tree = ast_file(p, @$, $2.number, $3); }
    | ALONE expr                    { p->tree = $2; }
    ;

/* ---- declarations ----------------------------------------------------------------------------
 * What is wrong is nobody's node: parse.c skips to RESUME, and lists leave NULL out. */

declarations
    : %empty                        { $$ = NO_LIST; }
    | declaration_list
    ;

declaration_list
    : declaration                   { $$ = list_of(p, $1); }
    | declaration_list declaration  { $$ = list_add(p, $1, $2); }
    ;

declaration
    : IMPORT STRING                 { $$ = ast_import(p, @$, @2, $2); }
    | MODEL NAME block              { $$ = ast_declaration(p, AST_MODEL, @$, @2, $2, NO_LIST, $3); }
    | LAYER NAME parameters block   { $$ = ast_declaration(p, AST_LAYER, @$, @2, $2, $3, $4); }
    | FN NAME parameters block      { $$ = ast_declaration(p, AST_FN, @$, @2, $2, $3, $4); }
    | FN NAME parameters block DERIVATIVE '{' derivatives '}'
                                    { $$ = ast_function(p, @$, @2, $2, $3, $4, $7); }
    | OPTIMIZER NAME parameters block { $$ = ast_declaration(p, AST_OPTIMIZER, @$, @2, $2, $3, $4); }
    | SCHEDULE NAME parameters block { $$ = ast_declaration(p, AST_SCHEDULE, @$, @2, $2, $3, $4); }
    | INITIALIZER NAME parameters block { $$ = ast_declaration(p, AST_INITIALIZER, @$, @2, $2, $3, $4); }
    | TRAIN '{' entries '}'         { $$ = ast_declaration(p, AST_TRAIN, @$, @1, NO_WORD, NO_LIST, $3); }
    | TRAIN NAME '{' entries '}'    { $$ = ast_declaration(p, AST_TRAIN, @$, @2, $2, NO_LIST, $4); }
    | error RESUME                  { $$ = NULL; yyerrok; }
    ;

derivatives
    : derivative                    { $$ = list_of(p, $1); }
    | derivatives derivative        { $$ = list_add(p, $1, $2); }
    ;

derivative
    : NAME ':' expr                 { $$ = ast_argument(p, @$, @1, $1, $3); }
    ;

parameters
    : '(' ')'                       { $$ = NO_LIST; }
    | '(' parameter_list ')'        { $$ = $2; }
    | '(' parameter_list ',' ')'    { $$ = $2; }
    ;

parameter_list
    : parameter                     { $$ = list_of(p, $1); }
    | parameter_list ',' parameter  { $$ = list_add(p, $1, $3); }
    ;

parameter
    : NAME                          { $$ = ast_parameter(p, @$, @1, $1, NO_LIST, false, NULL); }
    | NAME '[' items ']'            { $$ = ast_parameter(p, @$, @1, $1, $3, true, NULL); }
    | NAME '=' expr                 { $$ = ast_parameter(p, @$, @1, $1, NO_LIST, false, $3); }
    ;

/* ---- a train block: one entry a line ------------------------------------------------------------ */

entries
    : %empty                        { $$ = NO_LIST; }
    | entry                         { $$ = list_of(p, $1); }
    | entry_lines
    | entry_lines entry             { $$ = list_add(p, $1, $2); }
    ;

entry_lines
    : entry_line                    { $$ = list_of(p, $1); }
    | entry_lines entry_line        { $$ = list_add(p, $1, $2); }
    ;

entry_line
    : NEWLINE                       { $$ = NULL; }
    | entry NEWLINE
    | error RESUME                  { $$ = NULL; yyerrok; }
    ;

entry
    : NAME entry_items              { $$ = ast_entry(p, @$, @1, $1, $2); }
    ;

entry_items
    : %empty                        { $$ = NO_LIST; }
    | entry_items entry_item        { $$ = list_add(p, $1, $2); }
    ;

/* `accumulate (4)` is a call: what can continue an item does. */
entry_item
    : postfix %prec JUXTAPOSED
    | '-' postfix %prec JUXTAPOSED  { $$ = ast_unary(p, @$, @1, $2); }
    ;

/* ---- statements --------------------------------------------------------------------------------- */

block
    : '{' statements '}'            { $$ = $2; }
    ;

statements
    : %empty                        { $$ = NO_LIST; }
    | statement_list
    ;

statement_list
    : statement                     { $$ = list_of(p, $1); }
    | statement_list statement      { $$ = list_add(p, $1, $2); }
    ;

statement
    : INPUT NAME dimensions ':' expr    { $$ = ast_input(p, @$, @2, $2, $3, $5, false); }
    | TARGET NAME dimensions ':' expr   { $$ = ast_input(p, @$, @2, $2, $3, $5, true); }
    | PARAM path dimensions '~' expr    { $$ = ast_param(p, @$, @2, $2, $3, $5, true); }
    | PARAM path dimensions '=' expr    { $$ = ast_param(p, @$, @2, $2, $3, $5, false); }
    | STATE path dimensions '=' expr    { $$ = ast_state(p, @$, @2, $2, $3, $5, NULL); }
    | STATE path dimensions '=' expr FIT expr { $$ = ast_state(p, @$, @2, $2, $3, $5, $7); }
    | PARAM NAME AS STRING dimensions '~' expr
                                        { $$ = ast_param_as(p, @$, @2, $2, @4, $4, $5, $7, true); }
    | PARAM NAME AS STRING dimensions '=' expr
                                        { $$ = ast_param_as(p, @$, @2, $2, @4, $4, $5, $7, false); }
    | path '=' expr                     { $$ = ast_assign(p, @$, @1, $1, NO_LIST, false, $3); }
    | path '[' items ']' '=' expr       { $$ = ast_assign(p, @$, @1, $1, $3, true, $6); }
    | path ARROW expr                   { $$ = ast_update(p, @$, @1, $1, NO_LIST, false, $3); }
    | path '[' items ']' ARROW expr     { $$ = ast_update(p, @$, @1, $1, $3, true, $6); }
    | GRADIENT path '=' expr            { $$ = ast_gradient(p, @$, @2, $2, NO_LIST, $4); }
    | GRADIENT path '[' items ']' '=' expr { $$ = ast_gradient(p, @$, @2, $2, $4, $7); }
    | LOSS expr                         { $$ = ast_named(p, AST_LOSS, @$, @1, NO_WORD, $2); }
    | LOSS NAME '=' expr                { $$ = ast_named(p, AST_LOSS, @$, @2, $2, $4); }
    | METRIC expr                       { $$ = ast_named(p, AST_METRIC, @$, @1, NO_WORD, $2); }
    | METRIC NAME '=' expr              { $$ = ast_named(p, AST_METRIC, @$, @2, $2, $4); }
    | METRIC_TABLE NAME '[' items ']' '=' expr { $$ = ast_by_index(p, AST_METRIC, @$, @2, $2, $4, $7); }
    | OUTPUT NAME                       { $$ = ast_named(p, AST_OUTPUT, @$, @2, $2, ast_name(p, @2, $2)); }
    | OUTPUT NAME '=' expr              { $$ = ast_named(p, AST_OUTPUT, @$, @2, $2, $4); }
    | OUTPUT NAME '[' items ']' '=' expr { $$ = ast_by_index(p, AST_OUTPUT, @$, @2, $2, $4, $7); }
    | RETURN expr                       { $$ = ast_return(p, @$, $2); }
    | REQUIRE expr ',' STRING           { $$ = ast_require(p, @$, $2, @4, $4); }
    | if_statement
    | REPEAT expr block                 { $$ = ast_repeat(p, @$, $2, @1, NO_WORD, $3); }
    | REPEAT expr AS NAME block         { $$ = ast_repeat(p, @$, $2, @4, $4, $5); }
    | FOR NAME IN expr block            { $$ = ast_for(p, @$, @2, $2, $4, $5); }
    | SCAN NAME extent order WITH carries block { $$ = ast_scan(p, @$, @2, $2, $3, $4, $6, $7); }
    | FREEZE path                       { $$ = ast_freeze(p, @$, @2, $2, false); }
    | FREEZE STRING                     { $$ = ast_freeze(p, @$, @2, $2, true); }
    | INIT path FROM STRING renamed     { $$ = ast_init_from(p, @$, @2, $2, false, ast_string(p, @4, $4), $5); }
    | INIT STRING FROM STRING renamed   { $$ = ast_init_from(p, @$, @2, $2, true, ast_string(p, @4, $4), $5); }
    | GENERATE NAME FROM expr           { $$ = ast_named(p, AST_GENERATE, @$, @2, $2, $4); }
    | error RESUME                      { $$ = NULL; yyerrok; }
    ;

/* The file that says which names stand for which. */
renamed
    : %empty                        { $$ = NULL; }
    | WITH STRING                   { $$ = ast_string(p, @2, $2); }
    ;

if_statement
    : IF expr block                 { $$ = ast_if(p, @$, $2, $3, NO_LIST); }
    | IF expr block ELSE else_part  { $$ = ast_if(p, @$, $2, $3, $5); }
    ;

extent
    : %empty                        { $$ = NULL; }
    | ':' expr                      { $$ = $2; }
    ;

/* Which way a scan runs: `reversed`, or `reversed if` a truth known at compile time. */
order
    : %empty                        { $$ = NULL; }
    | REVERSED                      { $$ = ast_truth(p, @$, true); }
    | REVERSED IF expr              { $$ = $3; }
    ;

carries
    : carry                         { $$ = list_of(p, $1); }
    | carries ',' carry             { $$ = list_add(p, $1, $3); }
    ;

carry
    : NAME dimensions '=' expr      { $$ = ast_carry(p, @$, @1, $1, $2, $4); }
    ;

else_part
    : block
    | if_statement                  { $$ = list_of(p, $1); }
    ;

path
    : NAME
    | path '.' NAME                 { $$ = path_join(p, $1, $3); }
    ;

dimensions
    : %empty                        { $$ = NO_LIST; }
    | '[' items ']'                 { $$ = $2; }
    ;

/* What stands in brackets, left of a definition and right of it.  The constructors say which
 * kinds of item belong where. */
items
    : item_list
    | item_list ','
    ;

item_list
    : item                          { $$ = list_of(p, $1); }
    | item_list ',' item            { $$ = list_add(p, $1, $3); }
    ;

item
    : expr
    | NAME ':' expr                 { $$ = ast_index(p, @$, @1, $1, $3); }
    | ELLIPSIS                      { $$ = ast_ellipsis(p, @$); }
    ;

/* ---- expressions -------------------------------------------------------------------------------- */

expr
    : condition
    | expr PIPE pipe_target         { $$ = ast_pipe(p, @$, @2, $1, $3); }
    ;

pipe_target
    : qualified
    | qualified '(' arguments ')'   { $$ = ast_call(p, @$, $1, $3); }
    ;

qualified
    : NAME                          { $$ = ast_name(p, @$, $1); }
    | qualified '.' NAME            { $$ = ast_member(p, @$, @3, $1, $3); }
    | qualified '[' items ']'       { $$ = ast_subscript(p, @$, $1, $3); }
    ;

condition
    : disjunction
    | IF expr THEN expr ELSE condition  { $$ = ast_if_expr(p, @$, $2, $4, $6); }
    ;

disjunction
    : conjunction
    | disjunction OR conjunction    { $$ = ast_binary(p, @$, @2, $1, $3); }
    ;

conjunction
    : negation
    | conjunction AND negation      { $$ = ast_binary(p, @$, @2, $1, $3); }
    ;

negation
    : comparison
    | NOT negation                  { $$ = ast_unary(p, @$, @1, $2); }
    ;

comparison
    : total
    | total compare total           { $$ = ast_binary(p, @$, @2, $1, $3); }
    | total compare total compare total { $$ = ast_chained_comparison(p, @$, @4, $1, $5); }
    ;

compare : EQUAL | NOT_EQUAL | '<' | LESS_EQUAL | '>' | GREATER_EQUAL ;

total
    : term
    | total '+' term                { $$ = ast_binary(p, @$, @2, $1, $3); }
    | total '-' term                { $$ = ast_binary(p, @$, @2, $1, $3); }
    ;

/* A reduction takes the rest of its product, so it can only be a product's last factor. */
term
    : product
    | reduction
    | product '*' reduction         { $$ = ast_binary(p, @$, @2, $1, $3); }
    | product '/' reduction         { $$ = ast_binary(p, @$, @2, $1, $3); }
    | product '%' reduction         { $$ = ast_binary(p, @$, @2, $1, $3); }
    ;

reduction
    : REDUCTION '[' items ']' term  { $$ = ast_reduce(p, @$, @1, $1, $3, $5); }
    | '-' reduction                 { $$ = ast_unary(p, @$, @1, $2); }
    ;

product
    : unary
    | product '*' unary             { $$ = ast_binary(p, @$, @2, $1, $3); }
    | product '/' unary             { $$ = ast_binary(p, @$, @2, $1, $3); }
    | product '%' unary             { $$ = ast_binary(p, @$, @2, $1, $3); }
    ;

unary
    : power
    | '-' unary                     { $$ = ast_unary(p, @$, @1, $2); }
    ;

power
    : postfix
    | postfix '^' exponent          { $$ = ast_binary(p, @$, @2, $1, $3); }
    ;

exponent
    : power
    | '-' exponent                  { $$ = ast_unary(p, @$, @1, $2); }
    ;

postfix
    : primary
    | postfix '(' arguments ')'     { $$ = ast_call(p, @$, $1, $3); }
    | postfix '[' items ']'         { $$ = ast_subscript(p, @$, $1, $3); }
    | postfix '.' NAME              { $$ = ast_member(p, @$, @3, $1, $3); }
    | postfix OVER NAME             { $$ = ast_over(p, @$, @3, $1, $3); }
    | postfix '@' NAME              { $$ = ast_at(p, @$, @3, $1, $3); }
    | postfix '@' '(' expr ')'      { $$ = ast_at_number(p, @$, $1, $4); }
    ;

primary
    : NUMBER                        { $$ = ast_number(p, @$, $1); }
    | STRING                        { $$ = ast_string(p, @$, $1); }
    | NAME                          { $$ = ast_name(p, @$, $1); }
    | TRUTH                         { $$ = ast_truth(p, @$, true); }
    | FALSITY                       { $$ = ast_truth(p, @$, false); }
    | '(' expr ')'                  { $$ = $2; }
    | '(' expr ELSE expr ')'        { $$ = ast_else(p, @$, $2, $4); }
    | '[' list_items ']'            { $$ = ast_list(p, @$, $2); }
    ;

list_items
    : %empty                        { $$ = NO_LIST; }
    | list_item_list
    | list_item_list ','
    ;

list_item_list
    : expr                          { $$ = list_of(p, $1); }
    | list_item_list ',' expr       { $$ = list_add(p, $1, $3); }
    ;

arguments
    : %empty                        { $$ = NO_LIST; }
    | argument_list
    | argument_list ','
    ;

argument_list
    : argument                      { $$ = list_of(p, $1); }
    | argument_list ',' argument    { $$ = list_add(p, $1, $3); }
    ;

argument
    : expr
    | NAME '=' expr                 { $$ = ast_argument(p, @$, @1, $1, $3); }
    ;

%%

/* Only the parser's own stack can overflow here; everything else goes the way below. */
static void nn_error(const NN_LTYPE *at, Parser *p, const char *message)
{
    (void)message;
    parser_too_deep(p, *at);
}

static int yyreport_syntax_error(const yypcontext_t *context, Parser *p)
{
    yysymbol_kind_t kinds[YYNTOKENS];
    const char *names[YYNTOKENS];
    int count = yypcontext_expected_tokens(context, kinds, YYNTOKENS);
    for (int i = 0; i < count; i++)
        names[i] = yysymbol_name(kinds[i]);
    parser_syntax_error(p, names, count < 0 ? 0 : count);
    return 0;
}
