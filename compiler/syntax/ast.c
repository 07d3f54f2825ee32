/* Nodes of the tree, and the tree as an outline. */
#include "syntax/syntax.h"

Ast *ast_new(Arena *a, AstKind kind, Span span)
{
    Ast *n = arena_new(a, Ast, 1);
    n->kind = kind;
    n->span = span;
    n->name_span = span;
    return n;
}

static const char *const kind_names[AST_KIND_COUNT] = {
    [AST_NUMBER] = "number",
    [AST_STRING] = "string",
    [AST_NAME] = "name",
    [AST_TRUTH] = "truth",
    [AST_LIST] = "list",
    [AST_UNARY] = "unary",
    [AST_BINARY] = "binary",
    [AST_PIPE] = "pipe",
    [AST_IF_EXPR] = "if-then",
    [AST_ELSE] = "else",
    [AST_CALL] = "call",
    [AST_ARGUMENT] = "argument",
    [AST_SUBSCRIPT] = "subscript",
    [AST_ELLIPSIS] = "ellipsis",
    [AST_MEMBER] = "member",
    [AST_AT] = "at",
    [AST_REDUCE] = "reduce",
    [AST_INDEX] = "index",
    [AST_INPUT] = "input",
    [AST_PARAM] = "param",
    [AST_STATE] = "state",
    [AST_ASSIGN] = "assign",
    [AST_UPDATE] = "update",
    [AST_LOSS] = "loss",
    [AST_METRIC] = "metric",
    [AST_OUTPUT] = "output",
    [AST_RETURN] = "return",
    [AST_REQUIRE] = "require",
    [AST_IF] = "if",
    [AST_REPEAT] = "repeat",
    [AST_FOR] = "for",
    [AST_SCAN] = "scan",
    [AST_CARRY] = "carry",
    [AST_OVER] = "over",
    [AST_GRADIENT] = "gradient",
    [AST_FREEZE] = "freeze",
    [AST_INIT_FROM] = "init",
    [AST_GENERATE] = "generate",
    [AST_PARAMETER] = "parameter",
    [AST_MODEL] = "model",
    [AST_LAYER] = "layer",
    [AST_FN] = "fn",
    [AST_OPTIMIZER] = "optimizer",
    [AST_SCHEDULE] = "schedule",
    [AST_INITIALIZER] = "initializer",
    [AST_TRAIN] = "train",
    [AST_ENTRY] = "entry",
    [AST_IMPORT] = "import",
    [AST_FILE] = "file",
};

const char *ast_kind_name(AstKind kind)
{
    return kind >= 0 && kind < AST_KIND_COUNT ? kind_names[kind] : "?";
}

/* ---- dump -------------------------------------------------------------------------------------- */

typedef struct Dump {
    Text *out;
    const Sources *sources;
} Dump;

static void dump_node(const Dump *d, const Ast *n, int indent, const char *role);

static void dump_list(const Dump *d, const AstList *list, int indent, const char *role)
{
    for (int i = 0; i < list->count; i++)
        dump_node(d, list->data[i], indent, role);
}

/* What `flag` means, by kind. */
static const char *flag_word(const Ast *n)
{
    if (!n->flag)
        return "";
    switch (n->kind) {
    case AST_INPUT:
        return " target";
    case AST_PARAM:
        return " random";
    case AST_FREEZE:
    case AST_INIT_FROM:
        return "";
    default:
        return " []";
    }
}

/* The brackets a node's items stand in. */
static const char *items_role(const Ast *n)
{
    bool bare = n->kind == AST_LIST || n->kind == AST_ENTRY;
    bool round = n->kind == AST_CALL || (n->kind >= AST_LAYER && n->kind <= AST_INITIALIZER);
    return bare ? "" : round ? "(): " : "[]: ";
}

static void dump_place(const Dump *d, Span at)
{
    const Source *src = source_get(d->sources, at.file);
    int line, column;
    if (!src)
        return;
    source_position(src, at.begin, &line, &column);
    text_printf(d->out, "  %d:%d", line, column);
}

static void dump_name(const Dump *d, const Ast *n)
{
    const bool quoted = n->flag && (n->kind == AST_FREEZE || n->kind == AST_INIT_FROM);
    if (n->kind != AST_STRING && n->kind != AST_IMPORT && !quoted) {
        text_printf(d->out, " %s", n->name);
        return;
    }
    text_append(d->out, " \"");
    for (const char *c = n->name; *c; c++)
        text_printf(d->out, *c == '\n' ? "\\n" : *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
    text_append(d->out, "\"");
}

static void dump_node(const Dump *d, const Ast *n, int indent, const char *role)
{
    if (!n)
        return;
    text_printf(d->out, "%*s%s%s", indent, "", role, ast_kind_name(n->kind));
    if (n->name)
        dump_name(d, n);
    if (n->kind == AST_FILE && n->number)
        text_printf(d->out, " %g", n->number);
    if (n->kind == AST_NUMBER) {
        text_append(d->out, " ");
        ast_format_expr(d->out, n);
    }
    if (n->kind == AST_TRUTH)
        text_append(d->out, n->number ? " true" : " false");
    text_append(d->out, flag_word(n));
    dump_place(d, n->span);
    text_append(d->out, "\n");
    bool applied =
        n->kind == AST_CALL || n->kind == AST_SUBSCRIPT; /* what is applied comes first */
    dump_node(d, n->cond, indent + 2, "if: ");
    if (applied)
        dump_node(d, n->left, indent + 2, "");
    dump_list(d, &n->items, indent + 2, items_role(n));
    if (!applied)
        dump_node(d, n->left, indent + 2, "");
    dump_node(d, n->right, indent + 2, "");
    dump_list(d, &n->body, indent + 2, "");
    dump_list(d, &n->orelse, indent + 2, "else: ");
}

void ast_dump(Text *out, const Ast *tree, const Sources *sources)
{
    Dump d = {out, sources};
    dump_node(&d, tree, 0, "");
}
