/* Drives the grammar: hands it tokens, and after an error skips to a place from which it can go
 * on, so that one run reports every statement that is wrong. */
#include "syntax/parser.h"

#include <string.h>

#include "nn.tab.h"

/* From flex; its header would bring its macros along. */
int nnscan_lex_init_extra(Parser *p, void **scanner);
int nnscan_lex_destroy(void *scanner);
void *nnscan__scan_bytes(const char *bytes, int length, void *scanner);
int nnscan_token(Value *value, Span *span, void *scanner);

/* ---- brackets ------------------------------------------------------------------------------------ */

static const Bracket *innermost(const Parser *p)
{
    return p->brackets.count ? &p->brackets.data[p->brackets.count - 1] : NULL;
}

bool parser_in_brackets(const Parser *p)
{
    const Bracket *b = innermost(p);
    return b && b->opener != '{';
}

static void drop_parentheses(Parser *p)
{
    while (parser_in_brackets(p))
        p->brackets.count--;
}

static int block_count(const Parser *p)
{
    int n = 0;
    for (int i = 0; i < p->brackets.count; i++)
        n += p->brackets.data[i].opener == '{';
    return n;
}

static void open_bracket(Parser *p, const Token *t)
{
    Bracket b = {(char)t->kind, t->span, -1};
    if (p->brackets.count >= MAX_BRACKETS)
        parser_too_deep(p, t->span);
    else
        vec_push(p->arena, &p->brackets, b);
    if (t->kind == '{' && p->train == TRAIN_ANNOUNCED)
        p->train = TRAIN_INSIDE;
}

static void close_block(Parser *p)
{
    drop_parentheses(p);
    if (p->brackets.count)
        p->brackets.count--;
    p->train = TRAIN_OUTSIDE;
}

/* Follows a token that the parser has taken, or that was skipped. */
static void track(Parser *p, const Token *t)
{
    if (t->kind == '(' || t->kind == '[' || t->kind == '{')
        open_bracket(p, t);
    else if (t->kind == '}')
        close_block(p);
    else if ((t->kind == ')' || t->kind == ']') && parser_in_brackets(p))
        p->brackets.count--;
    else if (p->train == TRAIN_ANNOUNCED && t->kind != TRAIN && t->kind != NAME)
        p->train = TRAIN_OUTSIDE;
}

/* ---- tokens --------------------------------------------------------------------------------------- */

/* The column of a token that is the first on its line, or -1. */
static int indent_of(const Parser *p, int offset)
{
    int begin = offset;
    while (begin > 0 && p->src->text[begin - 1] && strchr(" \t\r\f", p->src->text[begin - 1]))
        begin--;
    return begin == 0 || p->src->text[begin - 1] == '\n' ? offset - begin : -1;
}

static void note_indent(Parser *p, const Token *t)
{
    const Bracket *b = innermost(p);
    int indent = indent_of(p, t->span.begin);
    if (b && b->opener == '{' && b->indent < 0 && indent >= 0 && t->kind != '}')
        p->brackets.data[p->brackets.count - 1].indent = indent;
}

static void read_token(Parser *p)
{
    track(p, &p->last);
    p->before_previous = p->previous.kind;
    p->previous = p->last;
    Token t = {0};
    t.kind = nnscan_token(&t.value, &t.span, p->scanner);
    if (t.kind == END)
        t.span = (Span){p->file, p->end, p->end};
    t.starts_line = t.kind != NEWLINE && indent_of(p, t.span.begin) >= 0;
    note_indent(p, &t);
    p->last = t;
}

/* ---- recovery --------------------------------------------------------------------------------------- */

static bool opens_declaration(int kind)
{
    return kind == MODEL || kind == LAYER || kind == FN || kind == OPTIMIZER || kind == SCHEDULE ||
           kind == INITIALIZER || kind == TRAIN || kind == IMPORT;
}

static bool opens_statement(int kind)
{
    return kind == PARAM || kind == STATE || kind == INPUT || kind == TARGET || kind == LOSS ||
           kind == METRIC || kind == METRIC_TABLE || kind == OUTPUT || kind == GRADIENT ||
           kind == FREEZE || kind == INIT || kind == GENERATE || kind == REPEAT || kind == FOR ||
           kind == SCAN || kind == REQUIRE || kind == RETURN || kind == IF;
}

/* A name begins a statement when it is not indented further than the block's first statement:
 * otherwise it may be the next line of a long expression. */
static bool at_block_indent(const Parser *p)
{
    for (int i = p->brackets.count - 1; i >= 0; i--)
        if (p->brackets.data[i].opener == '{')
            return indent_of(p, p->last.span.begin) <= p->brackets.data[i].indent;
    return false;
}

/* Whether the parser can go on at the token just read. */
static bool can_resume(const Parser *p, int blocks)
{
    const Token *t = &p->last;
    if (block_count(p) > blocks)
        return false;
    if (t->kind == '}')
        return blocks > 0;
    if (p->train == TRAIN_INSIDE)
        return t->kind == NEWLINE || t->starts_line;
    if (blocks == 0)
        return t->starts_line && opens_declaration(t->kind);
    return t->starts_line && (opens_statement(t->kind) || (t->kind == NAME && at_block_indent(p)));
}

/* Skips what is left of a wrong statement, with its blocks. */
static void skip_statement(Parser *p)
{
    drop_parentheses(p);
    int blocks = block_count(p);
    if (p->last.span.begin == p->resumed_at && p->last.kind != END)
        read_token(p); /* going on from here failed before */
    while (p->last.kind != END && !p->stopped && !can_resume(p, blocks))
        read_token(p);
    drop_parentheses(p);
    p->resumed_at = p->last.span.begin;
    p->recovering = false;
    p->replay = true;
}

int nn_lex(Value *value, Span *span, Parser *p)
{
    if (p->alone && !p->announced) {
        p->announced = true;
        *span = (Span){p->file, p->offset, p->offset};
        return ALONE;
    }
    bool resume = p->recovering;
    if (resume)
        skip_statement(p);
    else if (p->replay)
        p->replay = false;
    else if (!p->stopped)
        read_token(p);
    *value = p->last.value;
    *span = p->last.span;
    if (p->stopped || p->last.kind == END)
        return END;
    if (!resume)
        return p->last.kind;
    span->end = span->begin;
    return RESUME;
}

/* ---- errors ----------------------------------------------------------------------------------------- */

void parser_lexical_error(Parser *p, Span at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *text = arena_vformat(p->arena, format, args);
    va_end(args);
    p->fault_at = at.begin;
    diag_error(p->cx->diag, at, "%s", text);
}

void parser_too_deep(Parser *p, Span at)
{
    if (p->stopped)
        return;
    p->stopped = true;
    diag_error(p->cx->diag, at, "this is nested too deeply");
    diag_help(p->cx->diag, "give parts of it names, or split it");
}

/* After a wrong character the rest of its line is not worth a second complaint. */
static bool follows_fault(const Parser *p)
{
    int from = p->fault_at, to = p->last.span.begin;
    if (from < 0 || to < from)
        return false;
    return !memchr(p->src->text + from, '\n', (size_t)(to - from)) ||
           p->previous.span.begin <= from;
}

void parser_syntax_error(Parser *p, const char *const *expected, int count)
{
    bool again = p->resumed_at >= 0 && p->last.span.begin == p->resumed_at;
    if (!p->stopped && !again && !follows_fault(p))
        complain(p, expected, count);
    p->recovering = true;
    if (block_count(p) > 0 && opens_declaration(p->last.kind) && p->last.starts_line)
        p->stopped = true; /* a `}` is missing somewhere above; the rest would only echo that */
}

/* ---- entry -------------------------------------------------------------------------------------------- */

/* Reads the source from p->offset to p->end. */
static bool parse(Parser *p)
{
    const int errors = diag_error_count(p->cx->diag);
    if (nnscan_lex_init_extra(p, &p->scanner) ||
        !nnscan__scan_bytes(p->src->text + p->offset, p->end - p->offset, p->scanner))
        die("out of memory");
    const bool read = nn_parse(p) == 0;
    nnscan_lex_destroy(p->scanner);
    return read && diag_error_count(p->cx->diag) == errors;
}

Ast *syntax_parse(SyntaxContext *cx, int file)
{
    const Source *src = source_get(cx->sources, file);
    Parser p = {.cx = cx,
                .arena = cx->arena,
                .src = src,
                .file = file,
                .end = src->length,
                .resumed_at = -1,
                .fault_at = -1};
    const char *zero = memchr(src->text, 0, (size_t)src->length);
    if (zero) {
        const int at = (int)(zero - src->text);
        diag_error(cx->diag, (Span){file, at, at}, "a zero byte: this is no text file");
        return NULL;
    }
    return parse(&p) ? p.tree : NULL;
}

/* ---- expressions in a text: "the rate lies between 0 and 1, found {rate}" ------------------------------ */

static Ast *parse_alone(const Parser *outer, int from, int to)
{
    Parser p = {.cx = outer->cx,
                .arena = outer->arena,
                .src = outer->src,
                .file = outer->file,
                .offset = from,
                .end = to,
                .alone = true,
                .resumed_at = -1,
                .fault_at = -1};
    return parse(&p) ? p.tree : NULL;
}

AstList parser_embedded(Parser *p, Span string)
{
    AstList found = {0};
    const char *s = p->src->text;
    for (int i = string.begin + 1; i < string.end - 1; i++) {
        if (s[i] == '\\')
            i++;
        if (s[i] == '}')
            diag_error(p->cx->diag, (Span){p->file, i, i + 1}, "this `}` closes nothing");
        if (s[i] != '{')
            continue;
        const int from = i + 1;
        while (i < string.end - 1 && s[i] != '}')
            i++;
        if (i == string.end - 1)
            diag_error(p->cx->diag, (Span){p->file, from - 1, from}, "this `{` is not closed");
        else
            found = list_add(p, found, parse_alone(p, from, i));
    }
    return found;
}
