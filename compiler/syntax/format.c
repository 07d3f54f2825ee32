/* Declarations and statements as canonical text: two blanks a level, at most one empty line,
 * comments where they were.  Comments are no part of the tree; they are found in the source again
 * and written before the construct they precede. */
#include "syntax/format.h"

#include <string.h>

enum { STEP = 2 };

typedef struct Formatter {
    Writer w;
    VEC(Span) comments;
    int next;     /* the first comment not yet written */
    bool opening; /* nothing stands in this block yet, so no empty line either */
} Formatter;

/* ---- the source, for what the tree does not hold ------------------------------------------------- */

/* The end of a string or comment that begins at `at`; `at` itself when neither does. */
static int past_quiet(const Source *src, int at)
{
    int end = at;
    if (src->text[at] == '#')
        while (end < src->length && src->text[end] != '\n')
            end++;
    if (src->text[at] != '"')
        return end;
    for (end = at + 1; end < src->length && src->text[end] != '"'; end++)
        if (src->text[end] == '\\')
            end++;
    return end < src->length ? end + 1 : src->length;
}

static void find_comments(Formatter *f)
{
    const Source *src = f->w.src;
    for (int i = 0; src && i < src->length;) {
        int end = past_quiet(src, i);
        Span s = {0, i, end};
        if (src->text[i] == '#')
            vec_push(f->w.out->arena, &f->comments, s);
        i = end > i ? end : i + 1;
    }
}

/* The place of the next such character that is no part of a string or comment, or -1. */
static int find_outside(const Source *src, int from, char wanted)
{
    for (int i = from; src && i < src->length;) {
        int end = past_quiet(src, i);
        if (end == i && src->text[i] == wanted)
            return i;
        i = end > i ? end : i + 1;
    }
    return -1;
}

/* How many line ends lie between `at` and the text before it. */
static int lines_above(const Source *src, int at)
{
    int lines = 0;
    while (at > 0 && src->text[at - 1] && strchr(" \t\r\f\n", src->text[at - 1]))
        lines += src->text[--at] == '\n';
    return lines;
}

static bool on_one_line(const Source *src, int from, int to)
{
    return !memchr(src->text + from, '\n', (size_t)(to - from));
}

/* ---- lines and comments ---------------------------------------------------------------------------- */

/* Begins a line for what stood at `at`, keeping one empty line above it. */
static void begin_line(Formatter *f, int at, bool apart)
{
    bool empty_line = apart || (f->w.src && at >= 0 && lines_above(f->w.src, at) > 1);
    if (!f->opening && empty_line)
        text_append(f->w.out, "\n");
    f->opening = false;
    text_printf(f->w.out, "%*s", f->w.indent, "");
}

static void write_comment(Formatter *f)
{
    Span c = f->comments.data[f->next++];
    const char *s = f->w.src->text;
    while (c.end > c.begin && strchr(" \t\r\f", s[c.end - 1]) && s[c.end - 1])
        c.end--;
    text_append_n(f->w.out, s + c.begin, (size_t)(c.end - c.begin));
}

/* Comments that stand before `at`, each on a line of its own.  The first is set apart if asked. */
static bool write_comments_before(Formatter *f, int at, bool apart)
{
    bool any = false;
    while (f->next < f->comments.count && f->comments.data[f->next].begin < at) {
        begin_line(f, f->comments.data[f->next].begin, apart && !any);
        write_comment(f);
        text_append(f->w.out, "\n");
        any = true;
    }
    return any;
}

/* The comment on the rest of the line where something ended. */
static void end_line(Formatter *f, int at)
{
    if (at >= 0 && f->next < f->comments.count && f->comments.data[f->next].begin >= at &&
        on_one_line(f->w.src, at, f->comments.data[f->next].begin)) {
        text_append(f->w.out, "  ");
        write_comment(f);
    }
    text_append(f->w.out, "\n");
}

static bool comment_before(const Formatter *f, int at)
{
    return f->next < f->comments.count && f->comments.data[f->next].begin < at;
}

/* ---- blocks -------------------------------------------------------------------------------------------- */

static void write_statement(Formatter *f, const Ast *n);
static void write_simple(Formatter *f, const Ast *n);

typedef struct Block {
    int open, close; /* where the braces stand in the source, or -1 */
} Block;

static Block find_block(const Formatter *f, int from, const AstList *body)
{
    Block b;
    b.open = find_outside(f->w.src, from, '{');
    int inside = body->count ? body->data[body->count - 1]->span.end : b.open + 1;
    b.close = b.open < 0 ? -1 : find_outside(f->w.src, inside, '}');
    return b;
}

static bool is_simple(const Ast *n)
{
    return n->kind != AST_IF && n->kind != AST_REPEAT && n->kind != AST_FOR && n->kind != AST_SCAN;
}

/* `{ return sign(x) }` stays on one line when it was written so. */
static bool fits_line(const Formatter *f, Block b, const AstList *body)
{
    if (body->count == 0)
        return !comment_before(f, b.close);
    return b.close >= 0 && body->count == 1 && is_simple(body->data[0]) &&
           on_one_line(f->w.src, b.open, b.close);
}

static void write_body_lines(Formatter *f, Block b, const AstList *body)
{
    f->w.indent += STEP;
    f->opening = true;
    for (int i = 0; i < body->count; i++)
        write_statement(f, body->data[i]);
    write_comments_before(f, b.close, false);
    f->opening = false;
    f->w.indent -= STEP;
    text_printf(f->w.out, "%*s}", f->w.indent, "");
}

static void write_block(Formatter *f, Block b, const AstList *body)
{
    text_append(f->w.out, "{");
    if (fits_line(f, b, body)) {
        text_append(f->w.out, " ");
        if (body->count) {
            write_simple(f, body->data[0]);
            text_append(f->w.out, " ");
        }
        text_append(f->w.out, "}");
        return;
    }
    end_line(f, b.open < 0 ? -1 : b.open + 1);
    write_body_lines(f, b, body);
}

/* ---- statements ------------------------------------------------------------------------------------------ */

static void write_dimensions(Formatter *f, const AstList *items)
{
    if (!items->count)
        return;
    text_append(f->w.out, "[");
    write_items(&f->w, items);
    text_append(f->w.out, "]");
}

/* keyword name[items] operator value; the parts that are NULL stay out. */
static void write_definition(Formatter *f, const char *keyword, const Ast *n, const char *operator)
{
    text_printf(f->w.out, "%s%s", keyword, n->name);
    if (n->kind == AST_PARAM && n->cond) {
        text_append(f->w.out, " as ");
        write_quoted(&f->w, n->cond->name);
    }
    write_dimensions(f, &n->items);
    text_printf(f->w.out, " %s ", operator);
    write_expr(&f->w, n->left, BIND_PIPE);
}

/* A path, or a pattern in quotes. */
static void write_path(Formatter *f, const Ast *n)
{
    if (n->flag)
        write_quoted(&f->w, n->name);
    else
        text_append(f->w.out, n->name);
}

static void write_named(Formatter *f, const char *keyword, const Ast *n)
{
    if (n->name) {
        write_definition(f, keyword, n, "=");
        return;
    }
    text_append(f->w.out, keyword);
    write_opening_expr(&f->w, n->left);
}

static void write_output(Formatter *f, const Ast *n)
{
    bool lone = n->left->kind == AST_NAME && strcmp(n->left->name, n->name) == 0;
    if (lone)
        text_printf(f->w.out, "output %s", n->name);
    else
        write_definition(f, "output ", n, "=");
}

/* Statements without blocks. */
static void write_simple(Formatter *f, const Ast *n)
{
    switch (n->kind) {
    case AST_INPUT:
        write_definition(f, n->flag ? "target " : "input ", n, ":");
        break;
    case AST_PARAM:
        write_definition(f, "param ", n, n->flag ? "~" : "=");
        break;
    case AST_STATE:
        write_definition(f, "state ", n, "=");
        if (n->right) {
            text_append(f->w.out, " fit ");
            write_expr(&f->w, n->right, BIND_PIPE);
        }
        break;
    case AST_ASSIGN:
        write_definition(f, "", n, "=");
        break;
    case AST_UPDATE:
        write_definition(f, "", n, "<-");
        break;
    case AST_GRADIENT:
        write_definition(f, "gradient ", n, "=");
        break;
    case AST_LOSS:
        write_named(f, "loss ", n);
        break;
    case AST_METRIC:
        write_named(f, "metric ", n);
        break;
    case AST_OUTPUT:
        write_output(f, n);
        break;
    case AST_RETURN:
        text_append(f->w.out, "return ");
        write_expr(&f->w, n->left, BIND_PIPE);
        break;
    case AST_REQUIRE:
        text_append(f->w.out, "require ");
        write_opening_expr(&f->w, n->cond);
        text_append(f->w.out, ", ");
        write_quoted(&f->w, n->name);
        break;
    case AST_FREEZE:
        text_append(f->w.out, "freeze ");
        write_path(f, n);
        break;
    case AST_INIT_FROM:
        text_append(f->w.out, "init ");
        write_path(f, n);
        text_append(f->w.out, " from ");
        write_expr(&f->w, n->left, BIND_PRIMARY);
        if (n->right) {
            text_append(f->w.out, " with ");
            write_expr(&f->w, n->right, BIND_PRIMARY);
        }
        break;
    case AST_GENERATE:
        text_printf(f->w.out, "generate %s from ", n->name);
        write_expr(&f->w, n->left, BIND_PIPE);
        break;
    default:
        write_expr(&f->w, n, BIND_PIPE);
    }
}

static void write_else(Formatter *f, const Ast *n, int from);

static void write_if(Formatter *f, const Ast *n)
{
    text_append(f->w.out, "if ");
    write_expr(&f->w, n->cond, BIND_PIPE);
    text_append(f->w.out, " ");
    Block b = find_block(f, n->span.begin, &n->body);
    write_block(f, b, &n->body);
    if (n->orelse.count)
        write_else(f, n, b.close);
}

/* `else { if … }` and `else if …` are one tree, written the second way. */
static void write_else(Formatter *f, const Ast *n, int from)
{
    text_append(f->w.out, " else ");
    const Ast *only = n->orelse.data[0];
    if (n->orelse.count == 1 && only->kind == AST_IF)
        write_if(f, only);
    else
        write_block(f, find_block(f, from, &n->orelse), &n->orelse);
}

static void write_repeat(Formatter *f, const Ast *n)
{
    text_append(f->w.out, "repeat ");
    write_opening_expr(&f->w, n->left);
    if (n->name)
        text_printf(f->w.out, " as %s", n->name);
    text_append(f->w.out, " ");
    write_block(f, find_block(f, n->span.begin, &n->body), &n->body);
}

static void write_for(Formatter *f, const Ast *n)
{
    text_printf(f->w.out, "for %s in ", n->name);
    write_expr(&f->w, n->left, BIND_PIPE);
    text_append(f->w.out, " ");
    write_block(f, find_block(f, n->left->span.end, &n->body), &n->body);
}

static void write_scan(Formatter *f, const Ast *n)
{
    text_printf(f->w.out, "scan %s", n->name);
    if (n->left) {
        text_append(f->w.out, ": ");
        write_expr(&f->w, n->left, BIND_PIPE);
    }
    if (n->cond)
        text_append(f->w.out, " reversed");
    if (n->cond && (n->cond->kind != AST_TRUTH || !n->cond->number)) {
        text_append(f->w.out, " if ");
        write_expr(&f->w, n->cond, BIND_PIPE);
    }
    for (int i = 0; i < n->items.count; i++) {
        text_append(f->w.out, i ? ", " : " with ");
        write_definition(f, "", n->items.data[i], "=");
    }
    text_append(f->w.out, " ");
    write_block(f, find_block(f, n->span.begin, &n->body), &n->body);
}

/* Where the comments that belong above a statement end: at its block, or else with it. */
static int head_end(const Formatter *f, const Ast *n)
{
    return is_simple(n) ? n->span.end : find_outside(f->w.src, n->span.begin, '{');
}

static void write_statement(Formatter *f, const Ast *n)
{
    write_comments_before(f, f->w.src ? head_end(f, n) : -1, false);
    begin_line(f, f->w.src ? n->span.begin : -1, false);
    if (n->kind == AST_IF)
        write_if(f, n);
    else if (n->kind == AST_REPEAT)
        write_repeat(f, n);
    else if (n->kind == AST_FOR)
        write_for(f, n);
    else if (n->kind == AST_SCAN)
        write_scan(f, n);
    else
        write_simple(f, n);
    end_line(f, f->w.src ? n->span.end : -1);
}

/* ---- train blocks ------------------------------------------------------------------------------------------ */

static int widest_name(const AstList *entries)
{
    int widest = 0;
    for (int i = 0; i < entries->count; i++)
        if ((int)strlen(entries->data[i]->name) > widest)
            widest = (int)strlen(entries->data[i]->name);
    return widest;
}

/* What is no plain item stands in parentheses; only the sign before one is bare. */
static void write_entry_item(Formatter *f, const Ast *item)
{
    bool negative = item->kind == AST_UNARY && strcmp(item->name, "-") == 0;
    text_append(f->w.out, negative ? " -" : " ");
    write_expr(&f->w, negative ? item->left : item, BIND_POSTFIX);
}

static void write_entry(Formatter *f, const Ast *n, int width)
{
    write_comments_before(f, f->w.src ? n->span.end : -1, false);
    begin_line(f, f->w.src ? n->span.begin : -1, false);
    text_printf(f->w.out, n->items.count ? "%-*s" : "%.*s", width, n->name);
    for (int i = 0; i < n->items.count; i++)
        write_entry_item(f, n->items.data[i]);
    end_line(f, f->w.src ? n->span.end : -1);
}

static void write_train(Formatter *f, const Ast *n)
{
    Block b = find_block(f, n->span.begin, &n->body);
    text_printf(f->w.out, "train %s%s{", n->name ? n->name : "", n->name ? " " : "");
    if (n->body.count == 0 && !comment_before(f, b.close)) {
        text_append(f->w.out, " }");
        return;
    }
    end_line(f, b.open < 0 ? -1 : b.open + 1);
    f->w.indent += STEP;
    f->opening = true;
    for (int i = 0; i < n->body.count; i++)
        write_entry(f, n->body.data[i], widest_name(&n->body));
    write_comments_before(f, b.close, false);
    f->w.indent -= STEP;
    text_append(f->w.out, "}");
}

/* ---- declarations ------------------------------------------------------------------------------------------- */

static void write_parameter(Formatter *f, const Ast *n)
{
    text_append(f->w.out, n->name);
    write_dimensions(f, &n->items);
    if (n->left) {
        text_append(f->w.out, " = ");
        write_expr(&f->w, n->left, BIND_PIPE);
    }
}

static bool parameters_broken(const Formatter *f, const Ast *before, const Ast *after)
{
    return f->w.src && !on_one_line(f->w.src, before->span.end, after->span.begin);
}

static void write_parameters(Formatter *f, const Ast *n)
{
    text_append(f->w.out, "(");
    for (int i = 0; i < n->items.count; i++) {
        if (i > 0 && parameters_broken(f, n->items.data[i - 1], n->items.data[i]))
            text_printf(f->w.out, ",\n%*s", 2 * STEP, "");
        else if (i > 0)
            text_append(f->w.out, ", ");
        write_parameter(f, n->items.data[i]);
    }
    text_append(f->w.out, ")");
}

/* derivative { x: 1 } */
static void write_derivatives(Formatter *f, const Ast *n)
{
    for (int i = 0; i < n->orelse.count; i++) {
        text_printf(f->w.out, "%s%s: ", i ? "  " : " derivative { ", n->orelse.data[i]->name);
        write_expr(&f->w, n->orelse.data[i]->left, BIND_PIPE);
    }
    text_append(f->w.out, n->orelse.count ? " }" : "");
}

static void write_declaration_text(Formatter *f, const Ast *n)
{
    if (n->kind == AST_IMPORT) {
        text_append(f->w.out, "import ");
        write_quoted(&f->w, n->name);
    } else if (n->kind == AST_TRAIN) {
        write_train(f, n);
    } else {
        text_printf(f->w.out, "%s %s", ast_kind_name(n->kind), n->name);
        if (n->kind != AST_MODEL)
            write_parameters(f, n);
        text_append(f->w.out, " ");
        write_block(f, find_block(f, n->span.begin, &n->body), &n->body);
        write_derivatives(f, n);
    }
}

/* Declarations stand apart, save imports in a row. */
static void write_declaration(Formatter *f, const Ast *n, bool apart)
{
    int head = !f->w.src               ? -1
               : n->kind == AST_IMPORT ? n->span.end
                                       : find_outside(f->w.src, n->span.begin, '{');
    if (write_comments_before(f, head, apart))
        apart = false;
    begin_line(f, f->w.src ? n->span.begin : -1, apart);
    write_declaration_text(f, n);
    end_line(f, f->w.src ? n->span.end : -1);
}

static void write_edition(Formatter *f, const Ast *file)
{
    int at = f->w.src ? find_outside(f->w.src, 0, 'g') : -1; /* only comments come before it */
    write_comments_before(f, at, false);
    begin_line(f, at, false);
    text_printf(f->w.out, "gradc %g", file->number);
    end_line(f, at < 0 ? -1 : find_outside(f->w.src, at, '1') + 1);
}

void ast_format(Text *out, const Ast *tree, const Source *src)
{
    Formatter f = {.w = {out, src, 0}, .opening = true};
    find_comments(&f);
    if (tree->kind != AST_FILE) {
        write_statement(&f, tree);
        return;
    }
    if (tree->number)
        write_edition(&f, tree);
    for (int i = 0; i < tree->body.count; i++) {
        const Ast *n = tree->body.data[i];
        bool imports = n->kind == AST_IMPORT && i > 0 && tree->body.data[i - 1]->kind == AST_IMPORT;
        write_declaration(&f, n, !imports);
    }
    write_comments_before(&f, src ? src->length : -1, false);
}
