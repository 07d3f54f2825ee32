/* The constructors the grammar calls, and the few rules that are easier said here than there:
 * which kinds of item may stand in which brackets, and where a name may have dots. */
#include "syntax/parser.h"

#include <string.h>

/* ---- nodes and lists -------------------------------------------------------------------------- */

static int deepest(const AstList *list, int depth)
{
    for (int i = 0; i < list->count; i++)
        if (list->data[i]->depth > depth)
            depth = list->data[i]->depth;
    return depth;
}

/* Every finished node passes here: the depth of trees is bounded once, for all later walks. */
static Ast *finish(Parser *p, Ast *n)
{
    const Ast *children[] = {n->cond, n->left, n->right};
    for (int i = 0; i < 3; i++)
        if (children[i] && children[i]->depth > n->depth)
            n->depth = children[i]->depth;
    n->depth = deepest(&n->items, n->depth);
    n->depth = deepest(&n->body, n->depth);
    n->depth = deepest(&n->orelse, n->depth) + 1;
    if (n->depth > MAX_DEPTH)
        parser_too_deep(p, n->span);
    return n;
}

static Ast *start(Parser *p, AstKind kind, Span span, Span name_span, const char *name)
{
    Ast *n = ast_new(p->arena, kind, span);
    n->name_span = name_span;
    n->name = name;
    return n;
}

static Ast *leaf(Parser *p, AstKind kind, Span span, const char *name)
{
    return finish(p, start(p, kind, span, span, name));
}

/* NULL stands for what was wrong, and reported. */
AstList list_add(Parser *p, AstList list, Ast *item)
{
    if (item)
        vec_push(p->arena, &list, item);
    return list;
}

AstList list_of(Parser *p, Ast *item)
{
    return list_add(p, (AstList){0}, item);
}

static const char *spelling(Parser *p, Span at)
{
    return intern_n(p->cx->names, p->src->text + at.begin, (size_t)(at.end - at.begin));
}

/* ---- expressions -------------------------------------------------------------------------------- */

Ast *ast_number(Parser *p, Span span, Word word)
{
    Ast *n = leaf(p, AST_NUMBER, span, NULL);
    n->number = word.number;
    n->is_integer = word.is_integer;
    return n;
}

Ast *ast_string(Parser *p, Span span, Word word)
{
    return leaf(p, AST_STRING, span, word.text);
}

Ast *ast_truth(Parser *p, Span span, bool truth)
{
    Ast *n = leaf(p, AST_TRUTH, span, NULL);
    n->number = truth;
    return n;
}

Ast *ast_name(Parser *p, Span span, Word word)
{
    return leaf(p, AST_NAME, span, word.text);
}

Ast *ast_ellipsis(Parser *p, Span span)
{
    return leaf(p, AST_ELLIPSIS, span, NULL);
}

Ast *ast_list(Parser *p, Span span, AstList items)
{
    Ast *n = start(p, AST_LIST, span, span, NULL);
    n->items = items;
    return finish(p, n);
}

Ast *ast_unary(Parser *p, Span span, Span op, Ast *operand)
{
    Ast *n = start(p, AST_UNARY, span, op, spelling(p, op));
    n->left = operand;
    return finish(p, n);
}

Ast *ast_binary(Parser *p, Span span, Span op, Ast *left, Ast *right)
{
    Ast *n = start(p, AST_BINARY, span, op, spelling(p, op));
    n->left = left;
    n->right = right;
    return finish(p, n);
}

Ast *ast_chained_comparison(Parser *p, Span span, Span op, Ast *left, Ast *right)
{
    diag_error(p->cx->diag, op, "comparisons do not chain");
    diag_help(p->cx->diag, "write two comparisons joined by `and`: `a < b and b < c`");
    return ast_binary(p, span, op, left, right);
}

Ast *ast_pipe(Parser *p, Span span, Span op, Ast *left, Ast *right)
{
    Ast *n = start(p, AST_PIPE, span, op, spelling(p, op));
    n->left = left;
    n->right = right;
    return finish(p, n);
}

Ast *ast_if_expr(Parser *p, Span span, Ast *cond, Ast *then, Ast *otherwise)
{
    Ast *n = start(p, AST_IF_EXPR, span, span, NULL);
    n->cond = cond;
    n->left = then;
    n->right = otherwise;
    return finish(p, n);
}

Ast *ast_else(Parser *p, Span span, Ast *left, Ast *right)
{
    Ast *n = start(p, AST_ELSE, span, span, NULL);
    n->left = left;
    n->right = right;
    return finish(p, n);
}

/* `f(x, lr = 1)`: what has a name comes last, or nobody could tell which place the rest takes. */
static void check_arguments(Parser *p, AstList arguments)
{
    const Ast *named = NULL;
    for (int i = 0; i < arguments.count; i++) {
        const Ast *a = arguments.data[i];
        if (a->kind == AST_ARGUMENT) {
            named = a;
        } else if (named) {
            diag_error(p->cx->diag, a->span,
                       "an argument without a name stands after one with a name");
            diag_note(p->cx->diag, named->span, "the argument with a name");
            diag_help(p->cx->diag, "put the arguments without names first");
            return;
        }
    }
}

Ast *ast_call(Parser *p, Span span, Ast *callee, AstList arguments)
{
    check_arguments(p, arguments);
    Ast *n = start(p, AST_CALL, span, callee->span, NULL);
    n->left = callee;
    n->items = arguments;
    return finish(p, n);
}

Ast *ast_argument(Parser *p, Span span, Span name_span, Word name, Ast *value)
{
    Ast *n = start(p, AST_ARGUMENT, span, name_span, name.text);
    n->left = value;
    return finish(p, n);
}

Ast *ast_subscript(Parser *p, Span span, Ast *base, AstList items)
{
    for (int i = 0; i < items.count; i++)
        if (items.data[i]->kind == AST_INDEX)
            diag_error(
                p->cx->diag, items.data[i]->span,
                "a subscript has no range: that stands on the left of `=` or in a reduction");
    Ast *n = start(p, AST_SUBSCRIPT, span, base->span, NULL);
    n->left = base;
    n->items = items;
    return finish(p, n);
}

Ast *ast_member(Parser *p, Span span, Span name_span, Ast *base, Word name)
{
    Ast *n = start(p, AST_MEMBER, span, name_span, name.text);
    n->left = base;
    return finish(p, n);
}

Ast *ast_at(Parser *p, Span span, Span name_span, Ast *base, Word name)
{
    Ast *n = start(p, AST_AT, span, name_span, name.text);
    n->left = base;
    return finish(p, n);
}

Ast *ast_at_number(Parser *p, Span span, Ast *base, Ast *example)
{
    Ast *n = start(p, AST_AT, span, example->span, NULL);
    n->left = base;
    n->right = example;
    return finish(p, n);
}

Ast *ast_index(Parser *p, Span span, Span name_span, Word name, Ast *extent)
{
    Ast *n = start(p, AST_INDEX, span, name_span, name.text);
    n->left = extent;
    return finish(p, n);
}

/* ---- brackets ------------------------------------------------------------------------------------ */

enum { ALLOW_NUMBER = 1, ALLOW_ELLIPSIS = 2, ALLOW_EXTENT = 4 };

static bool fits(const Ast *item, int allowed)
{
    switch (item->kind) {
    case AST_INDEX:
        return allowed & ALLOW_EXTENT || !item->left;
    case AST_NUMBER:
        return allowed & ALLOW_NUMBER;
    case AST_ELLIPSIS:
        return allowed & ALLOW_ELLIPSIS;
    default:
        return false;
    }
}

/* Where brackets introduce indices, a lone name is an AST_INDEX; what cannot be one is an error. */
static AstList indices(Parser *p, AstList items, int allowed, const char *complaint)
{
    for (int i = 0; i < items.count; i++) {
        Ast *item = items.data[i];
        if (item->kind == AST_NAME)
            item->kind = AST_INDEX;
        if (!fits(item, allowed))
            diag_error(p->cx->diag, item->span, "%s", complaint);
    }
    return items;
}

static AstList left_side(Parser *p, AstList items)
{
    return indices(p, items, ALLOW_NUMBER | ALLOW_ELLIPSIS | ALLOW_EXTENT,
                   "a left side names its indices: `i`, `i: extent`, `...` or a number");
}

Ast *ast_reduce(Parser *p, Span span, Span name_span, Word name, AstList items, Ast *operand)
{
    Ast *n = start(p, AST_REDUCE, span, name_span, name.text);
    n->items = indices(p, items, ALLOW_EXTENT | ALLOW_ELLIPSIS,
                       "a reduction names its indices: `i`, `i: extent` or `...`");
    n->left = operand;
    return finish(p, n);
}

/* ---- statements ---------------------------------------------------------------------------------- */

Word path_join(Parser *p, Word path, Word name)
{
    Word w = {.text = intern(p->cx->names, arena_format(p->arena, "%s.%s", path.text, name.text))};
    return w;
}

static Ast *statement(Parser *p, AstKind kind, Span span, Span name_span, Word name, AstList items,
                      Ast *left)
{
    Ast *n = start(p, kind, span, name_span, name.text);
    n->items = items;
    n->left = left;
    return finish(p, n);
}

Ast *ast_input(Parser *p, Span span, Span name_span, Word name, AstList dims, Ast *type,
               bool target)
{
    Ast *n = statement(p, AST_INPUT, span, name_span, name, dims, type);
    n->flag = target;
    return n;
}

Ast *ast_param(Parser *p, Span span, Span path_span, Word path, AstList dims, Ast *value,
               bool random)
{
    Ast *n = statement(p, AST_PARAM, span, path_span, path, dims, value);
    n->flag = random;
    return n;
}

Ast *ast_param_as(Parser *p, Span span, Span name_span, Word name, Span text_span, Word text,
                  AstList dims, Ast *value, bool random)
{
    Ast *n = ast_param(p, span, name_span, name, dims, value, random);
    n->cond = start(p, AST_STRING, text_span, text_span, text.text);
    n->cond->items = parser_embedded(p, text_span);
    finish(p, n->cond);
    return n;
}

Ast *ast_state(Parser *p, Span span, Span path_span, Word path, AstList dims, Ast *first, Ast *fit)
{
    Ast *n = start(p, AST_STATE, span, path_span, path.text);
    n->items = dims;
    n->left = first;
    n->right = fit;
    return finish(p, n);
}

Ast *ast_assign(Parser *p, Span span, Span path_span, Word path, AstList items, bool brackets,
                Ast *value)
{
    if (strchr(path.text, '.')) {
        diag_error(p->cx->diag, path_span, "a definition gives one plain name, without dots");
        diag_help(p->cx->diag,
                  "to change a state, write `<-`; to state a derivative, begin with `gradient`");
    }
    Ast *n = statement(p, AST_ASSIGN, span, path_span, path, left_side(p, items), value);
    n->flag = brackets;
    return n;
}

Ast *ast_by_index(Parser *p, AstKind kind, Span span, Span name_span, Word name, AstList items,
                  Ast *value)
{
    Ast *n = statement(p, kind, span, name_span, name, left_side(p, items), value);
    n->flag = true;
    return n;
}

Ast *ast_update(Parser *p, Span span, Span path_span, Word path, AstList items, bool brackets,
                Ast *value)
{
    Ast *n = statement(p, AST_UPDATE, span, path_span, path, left_side(p, items), value);
    n->flag = brackets;
    return n;
}

Ast *ast_gradient(Parser *p, Span span, Span path_span, Word path, AstList items, Ast *value)
{
    return statement(p, AST_GRADIENT, span, path_span, path, left_side(p, items), value);
}

Ast *ast_named(Parser *p, AstKind kind, Span span, Span name_span, Word name, Ast *value)
{
    return statement(p, kind, span, name_span, name, (AstList){0}, value);
}

Ast *ast_return(Parser *p, Span span, Ast *value)
{
    return statement(p, AST_RETURN, span, span, (Word){0}, (AstList){0}, value);
}

Ast *ast_require(Parser *p, Span span, Ast *cond, Span text_span, Word text)
{
    Ast *n = start(p, AST_REQUIRE, span, text_span, text.text);
    n->cond = cond;
    n->items = parser_embedded(p, text_span);
    return finish(p, n);
}

Ast *ast_if(Parser *p, Span span, Ast *cond, AstList body, AstList orelse)
{
    Ast *n = start(p, AST_IF, span, span, NULL);
    n->cond = cond;
    n->body = body;
    n->orelse = orelse;
    return finish(p, n);
}

Ast *ast_repeat(Parser *p, Span span, Ast *count, Span name_span, Word name, AstList body)
{
    Ast *n = start(p, AST_REPEAT, span, name_span, name.text);
    n->left = count;
    n->body = body;
    return finish(p, n);
}

Ast *ast_for(Parser *p, Span span, Span name_span, Word name, Ast *list, AstList body)
{
    Ast *n = start(p, AST_FOR, span, name_span, name.text);
    n->left = list;
    n->body = body;
    return finish(p, n);
}

Ast *ast_scan(Parser *p, Span span, Span name_span, Word name, Ast *extent, Ast *reversed,
              AstList carries, AstList body)
{
    Ast *n = start(p, AST_SCAN, span, name_span, name.text);
    n->left = extent;
    n->cond = reversed;
    n->items = carries;
    n->body = body;
    return finish(p, n);
}

Ast *ast_carry(Parser *p, Span span, Span name_span, Word name, AstList dims, Ast *value)
{
    return statement(p, AST_CARRY, span, name_span, name, dims, value);
}

Ast *ast_over(Parser *p, Span span, Span name_span, Ast *value, Word name)
{
    Ast *n = start(p, AST_OVER, span, name_span, name.text);
    n->left = value;
    return finish(p, n);
}

Ast *ast_freeze(Parser *p, Span span, Span path_span, Word path, bool quoted)
{
    Ast *n = leaf(p, AST_FREEZE, span_join(span, path_span), path.text);
    n->flag = quoted;
    return n;
}

Ast *ast_init_from(Parser *p, Span span, Span path_span, Word path, bool quoted, Ast *file,
                   Ast *names)
{
    Ast *n = start(p, AST_INIT_FROM, span, path_span, path.text);
    n->flag = quoted;
    n->left = file;
    n->right = names;
    return finish(p, n);
}

/* ---- declarations --------------------------------------------------------------------------------- */

Ast *ast_parameter(Parser *p, Span span, Span name_span, Word name, AstList pattern, bool brackets,
                   Ast *value)
{
    pattern = indices(p, pattern, ALLOW_NUMBER | ALLOW_ELLIPSIS,
                      "a parameter's pattern holds names, numbers and `...`");
    Ast *n = statement(p, AST_PARAMETER, span, name_span, name, pattern, value);
    n->flag = brackets;
    return n;
}

/* The bytes of the line before the one that starts at `start`; false at the top of the file. */
static bool line_above(const Source *src, int line_start, int *begin, int *end)
{
    if (line_start <= 0)
        return false;
    *end = line_start - 1;
    *begin = *end;
    while (*begin > 0 && src->text[*begin - 1] != '\n')
        --*begin;
    return true;
}

static int skip_blanks(const Source *src, int at, int end)
{
    while (at < end && strchr(" \t\r\f", src->text[at]) && src->text[at])
        at++;
    return at;
}

/* The text of a comment line without its `#` and one blank, or false when it is none. */
static bool comment_text(const Source *src, int begin, int end, int *text)
{
    int at = skip_blanks(src, begin, end);
    if (at >= end || src->text[at] != '#')
        return false;
    *text = at + 1 < end && src->text[at + 1] == ' ' ? at + 2 : at + 1;
    return true;
}

/* The comments straight above a declaration, a blank line ends them. */
static const char *doc_above(Parser *p, int offset)
{
    const Source *src = p->src;
    int line = offset, top, begin, end, text = 0;
    while (line > 0 && src->text[line - 1] != '\n')
        line--;
    for (top = line; line_above(src, top, &begin, &end) && comment_text(src, begin, end, &text);)
        top = begin;
    if (top == line)
        return NULL;
    Text doc;
    text_init(&doc, p->arena);
    while (top < line) {
        for (end = top; src->text[end] != '\n';)
            end++;
        comment_text(src, top, end, &text);
        text_append_n(&doc, src->text + text, (size_t)(end - text));
        text_append(&doc, end + 1 < line ? "\n" : "");
        top = end + 1;
    }
    return doc.data;
}

Ast *ast_declaration(Parser *p, AstKind kind, Span span, Span name_span, Word name,
                     AstList parameters, AstList body)
{
    Ast *n = start(p, kind, span, name_span, name.text);
    n->items = parameters;
    n->body = body;
    n->doc = doc_above(p, span.begin);
    return finish(p, n);
}

Ast *ast_function(Parser *p, Span span, Span name_span, Word name, AstList parameters, AstList body,
                  AstList derivatives)
{
    Ast *n = start(p, AST_FN, span, name_span, name.text);
    n->items = parameters;
    n->body = body;
    n->orelse = derivatives;
    n->doc = doc_above(p, span.begin);
    return finish(p, n);
}

Ast *ast_entry(Parser *p, Span span, Span name_span, Word name, AstList items)
{
    return statement(p, AST_ENTRY, span, name_span, name, items, NULL);
}

Ast *ast_import(Parser *p, Span span, Span path_span, Word path)
{
    Ast *n = leaf(p, AST_IMPORT, span, path.text);
    n->name_span = path_span;
    n->doc = doc_above(p, span.begin);
    return n;
}

Ast *ast_file(Parser *p, Span span, double edition, AstList body)
{
    Ast *n = start(p, AST_FILE, span, SPAN_NONE, NULL);
    n->number = edition;
    n->body = body;
    return finish(p, n);
}

void check_edition(Parser *p, Span span, Word edition)
{
    if (edition.number > 1)
        diag_error(p->cx->diag, span, "this file needs edition %g, this compiler knows 1",
                   edition.number);
    else if (!edition.is_integer || edition.number != 1)
        diag_error(p->cx->diag, span, "there is no edition %g, the first is 1", edition.number);
}
