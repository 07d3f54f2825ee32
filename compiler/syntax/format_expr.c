/* Expressions as text, with as few parentheses as the grammar needs.  A line broken in the source
 * before or after an operator or a comma stays broken there. */
#include "syntax/format.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { CONTINUATION = 4 };

/* ---- leaves ------------------------------------------------------------------------------------ */

void write_quoted(Writer *w, const char *s)
{
    text_append(w->out, "\"");
    for (; *s; s++) {
        if (*s == '\n')
            text_append(w->out, "\\n");
        else if (*s == '\t')
            text_append(w->out, "\\t");
        else
            text_printf(w->out, *s == '"' || *s == '\\' ? "\\%c" : "%c", *s);
    }
    text_append(w->out, "\"");
}

/* The shortest digits that read back as the same number, as a number with a point or exponent
 * unless it is an integer. */
static void write_value(Writer *w, double value, bool is_integer)
{
    char digits[64];
    if (is_integer) {
        text_printf(w->out, "%.0f", value);
        return;
    }
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    text_printf(w->out, "%s%s", digits, strpbrk(digits, ".e") ? "" : ".0");
}

/* Keeps the author's digits (`1e-3`), with a digit on both sides of the point. */
static void write_number(Writer *w, const Ast *e)
{
    const char *s = w->src && e->span.end <= w->src->length ? w->src->text + e->span.begin : "";
    int length = e->span.end - e->span.begin;
    if (!isdigit((unsigned char)*s) && *s != '.') {
        write_value(w, e->number, e->is_integer);
        return;
    }
    text_append(w->out, *s == '.' ? "0" : "");
    for (int i = 0; i < length; i++) {
        text_printf(w->out, "%c", s[i]);
        if (s[i] == '.' && (i + 1 == length || !isdigit((unsigned char)s[i + 1])))
            text_append(w->out, "0");
    }
}

/* ---- how tightly a node binds ---------------------------------------------------------------------- */

static bool is_op(const Ast *e, const char *op)
{
    return strcmp(e->name, op) == 0;
}

/* The grammar's nonterminal `reduction`: a reduction, possibly negated. */
static bool is_reduction(const Ast *e)
{
    while (e->kind == AST_UNARY && is_op(e, "-"))
        e = e->left;
    return e->kind == AST_REDUCE;
}

static Binding binary_binding(const Ast *e)
{
    if (is_op(e, "or"))
        return BIND_OR;
    if (is_op(e, "and"))
        return BIND_AND;
    if (is_op(e, "+") || is_op(e, "-"))
        return BIND_SUM;
    if (is_op(e, "*") || is_op(e, "/") || is_op(e, "%"))
        return is_reduction(e->right) ? BIND_TERM : BIND_PRODUCT;
    return is_op(e, "^") ? BIND_POWER : BIND_COMPARE;
}

static Binding binding(const Ast *e)
{
    switch (e->kind) {
    case AST_PIPE:
        return BIND_PIPE;
    case AST_IF_EXPR:
        return BIND_IF;
    case AST_BINARY:
        return binary_binding(e);
    case AST_UNARY:
        return is_op(e, "not") ? BIND_NOT : is_reduction(e) ? BIND_TERM : BIND_UNARY;
    case AST_REDUCE:
        return BIND_TERM;
    case AST_CALL:
    case AST_SUBSCRIPT:
    case AST_MEMBER:
    case AST_OVER:
    case AST_AT:
        return BIND_POSTFIX;
    case AST_NUMBER:
        return e->number < 0 ? BIND_UNARY : BIND_PRIMARY;
    default:
        return BIND_PRIMARY;
    }
}

/* ---- broken lines ------------------------------------------------------------------------------------ */

static bool was_broken(const Writer *w, const Ast *before, const Ast *after)
{
    if (!w->src || before->span.file < 0 || after->span.begin > w->src->length)
        return false;
    for (int i = before->span.end; i < after->span.begin; i++)
        if (w->src->text[i] == '\n')
            return true;
    return false;
}

/* A blank, or the start of a further line of the statement. */
static void write_gap(Writer *w, bool broken)
{
    if (broken)
        text_printf(w->out, "\n%*s", w->indent + CONTINUATION, "");
    else
        text_append(w->out, " ");
}

static const Ast *leftmost(const Ast *e)
{
    while (e->left && (e->kind == AST_BINARY || e->kind == AST_PIPE || e->kind == AST_CALL ||
                       e->kind == AST_SUBSCRIPT || e->kind == AST_MEMBER || e->kind == AST_AT ||
                       e->kind == AST_OVER))
        e = e->left;
    return e;
}

/* At the start of a line `loss - x` would be a statement. */
static bool may_start_line(const Ast *item)
{
    static const char soft[] =
        " model layer fn optimizer schedule initializer train import param state "
        "input target loss metric output gradient freeze init generate repeat for scan ";
    const Ast *first = leftmost(item);
    if (first->kind != AST_NAME && first->kind != AST_ARGUMENT && first->kind != AST_INDEX)
        return true;
    size_t length = strlen(first->name);
    for (const char *at = strstr(soft, first->name); at; at = strstr(at + 1, first->name))
        if (at[-1] == ' ' && at[length] == ' ')
            return false;
    return true;
}

void write_items(Writer *w, const AstList *items)
{
    for (int i = 0; i < items->count; i++) {
        const Ast *item = items->data[i];
        if (i > 0) {
            text_append(w->out, ",");
            write_gap(w, was_broken(w, items->data[i - 1], item) && may_start_line(item));
        }
        write_expr(w, item, BIND_PIPE);
    }
}

/* ---- the constructs ------------------------------------------------------------------------------------ */

static void write_binary(Writer *w, const Ast *e)
{
    Binding b = binding(e);
    bool product = is_op(e, "*") || is_op(e, "/") || is_op(e, "%");
    Binding left = b == BIND_COMPARE ? BIND_SUM : product ? BIND_PRODUCT : b;
    write_expr(w, e->left, left);
    write_gap(w, was_broken(w, e->left, e->right));
    text_printf(w->out, "%s ", e->name);
    if (product && is_reduction(e->right))
        write_expr(w, e->right, BIND_TERM);
    else
        write_expr(w, e->right, product ? BIND_UNARY : (Binding)(b + 1));
}

static void write_exponent(Writer *w, const Ast *e)
{
    if (e->kind != AST_UNARY || !is_op(e, "-")) {
        write_expr(w, e, BIND_POWER);
        return;
    }
    text_append(w->out, "-");
    write_exponent(w, e->left);
}

static void write_power(Writer *w, const Ast *e)
{
    write_expr(w, e->left, BIND_POSTFIX);
    text_append(w->out, "^");
    write_exponent(w, e->right);
}

static void write_unary(Writer *w, const Ast *e)
{
    bool negates = !is_op(e, "-");
    text_append(w->out, negates ? "not " : "-");
    write_expr(w, e->left, negates ? BIND_NOT : is_reduction(e->left) ? BIND_TERM : BIND_UNARY);
}

static void write_if(Writer *w, const Ast *e)
{
    text_append(w->out, "if ");
    write_expr(w, e->cond, BIND_PIPE);
    write_gap(w, was_broken(w, e->cond, e->left));
    text_append(w->out, "then ");
    write_expr(w, e->left, BIND_PIPE);
    write_gap(w, was_broken(w, e->left, e->right));
    text_append(w->out, "else ");
    write_expr(w, e->right, BIND_IF);
}

static void write_pipe(Writer *w, const Ast *e)
{
    write_expr(w, e->left, BIND_PIPE);
    write_gap(w, was_broken(w, e->left, e->right));
    text_append(w->out, "|> ");
    write_expr(w, e->right, BIND_POSTFIX);
}

/* Writes `e` aside, to see how its text begins. */
static const char *aside(Writer *w, const Ast *e, Binding least)
{
    Text text;
    text_init(&text, w->out->arena);
    Writer beside = {&text, w->src, w->indent};
    write_expr(&beside, e, least);
    return text.data;
}

static void append_or_parenthesise(Writer *w, const char *text, bool bare)
{
    text_printf(w->out, bare ? "%s" : "(%s)", text);
}

/* The lexer takes `sum[i]` for a reduction only before something that clearly begins an operand. */
static bool begins_operand(const char *text)
{
    bool as = strncmp(text, "as", 2) == 0 && !isalnum((unsigned char)text[2]) && text[2] != '_';
    return (isalnum((unsigned char)*text) || *text == '_' || *text == '(') && !as;
}

static void write_reduce(Writer *w, const Ast *e)
{
    text_printf(w->out, "%s[", e->name);
    write_items(w, &e->items);
    text_append(w->out, "] ");
    const char *operand = aside(w, e->left, BIND_TERM);
    append_or_parenthesise(w, operand, begins_operand(operand));
}

void write_opening_expr(Writer *w, const Ast *e)
{
    const char *text = aside(w, e, BIND_PIPE);
    append_or_parenthesise(w, text, *text != '[');
}

/* What `.`, `[`, `(` and `@` follow.  `1.x` would read as a number, `sum[i](x)` as a reduction. */
static void write_base(Writer *w, const Ast *parent)
{
    const Ast *base = parent->left;
    bool number = parent->kind == AST_MEMBER && base->kind == AST_NUMBER;
    bool reduces = (parent->kind == AST_CALL && base->kind == AST_SUBSCRIPT &&
                    base->left->kind == AST_NAME && syntax_reduces(base->left->name)) ||
                   base->kind == AST_OVER;
    write_expr(w, base, number || reduces ? (Binding)(BIND_PRIMARY + 1) : BIND_POSTFIX);
}

static void write_bracketed(Writer *w, const Ast *e, const char *open, const char *close)
{
    text_append(w->out, open);
    write_items(w, &e->items);
    text_append(w->out, close);
}

static void write_construct(Writer *w, const Ast *e)
{
    switch (e->kind) {
    case AST_NUMBER:
        write_number(w, e);
        break;
    case AST_STRING:
        write_quoted(w, e->name);
        break;
    case AST_TRUTH:
        text_append(w->out, e->number ? "true" : "false");
        break;
    case AST_ELLIPSIS:
        text_append(w->out, "...");
        break;
    case AST_LIST:
        write_bracketed(w, e, "[", "]");
        break;
    case AST_UNARY:
        write_unary(w, e);
        break;
    case AST_BINARY:
        if (is_op(e, "^"))
            write_power(w, e);
        else
            write_binary(w, e);
        break;
    case AST_PIPE:
        write_pipe(w, e);
        break;
    case AST_IF_EXPR:
        write_if(w, e);
        break;
    case AST_ELSE:
        text_append(w->out, "(");
        write_expr(w, e->left, BIND_PIPE);
        write_gap(w, was_broken(w, e->left, e->right));
        text_append(w->out, "else ");
        write_expr(w, e->right, BIND_PIPE);
        text_append(w->out, ")");
        break;
    case AST_CALL:
        write_base(w, e);
        write_bracketed(w, e, "(", ")");
        break;
    case AST_SUBSCRIPT:
        write_base(w, e);
        write_bracketed(w, e, "[", "]");
        break;
    case AST_MEMBER:
        write_base(w, e);
        text_printf(w->out, ".%s", e->name);
        break;
    case AST_OVER:
        write_base(w, e);
        text_printf(w->out, " over %s", e->name);
        break;
    case AST_AT:
        write_base(w, e);
        text_printf(w->out, e->name ? "@%s" : "@(", e->name);
        if (e->right) {
            write_expr(w, e->right, BIND_PIPE);
            text_append(w->out, ")");
        }
        break;
    case AST_REDUCE:
        write_reduce(w, e);
        break;
    case AST_ARGUMENT:
        text_printf(w->out, "%s = ", e->name);
        write_expr(w, e->left, BIND_PIPE);
        break;
    case AST_INDEX:
        text_append(w->out, e->name);
        if (e->left) {
            text_append(w->out, ": ");
            write_expr(w, e->left, BIND_PIPE);
        }
        break;
    default:
        text_append(w->out, e->name ? e->name : ast_kind_name(e->kind));
    }
}

void write_expr(Writer *w, const Ast *e, Binding least)
{
    bool bare = binding(e) >= least;
    text_append(w->out, bare ? "" : "(");
    write_construct(w, e);
    text_append(w->out, bare ? "" : ")");
}

void ast_format_expr(Text *out, const Ast *expr)
{
    Writer w = {out, NULL, 0};
    write_expr(&w, expr, BIND_PIPE);
}
