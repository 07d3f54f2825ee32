/* What surrounds a printed graph: declarations before it, outputs, metrics and training behind. */
#include "sema/internal.h"

#include <string.h>

void sema_print_outputs(Sema *s)
{
    s->printing = true;
    s->tail.count = 0;
}

void sema_print_head(Text *out, Sema *s)
{
    text_printf(out, "model %s {\n", s->program->name);
    for (int i = 0; i < s->program->inputs.count; i++) {
        text_append(out, "  ");
        port_print(out, s->program->inputs.data[i]);
        text_append(out, "\n");
    }
    for (int i = 0; i < s->program->tensors.count; i++) {
        const Tensor *t = s->program->tensors.data[i];
        if (t->role != ROLE_PARAM && t->role != ROLE_STATE)
            continue;
        text_append(out, "  ");
        tensor_print(out, t);
        text_append(out, t->fitted ? "  # in the model's text fitted to the data\n" : "\n");
    }
    text_append(out, "\n");
}

/* ---- outputs and metrics --------------------------------------------------------------------------- */

/* Does the expression mean the same in the printed text?  There it finds the tensors that the model
 * names, and the library; compile-time values, lists, layers and the file's own functions are gone, as
 * are scans. */
static bool reads_back(Sema *s, const Ast *a)
{
    if (!a)
        return true;
    if (a->kind == AST_CALL || a->kind == AST_PIPE) {
        const Ast *callee = a->kind == AST_PIPE ? a->right : a->left;
        callee = callee->kind == AST_CALL ? callee->left : callee;
        const Declaration *d = callee->kind == AST_NAME ? sema_callable(s, callee->name) : NULL;
        if (callee->kind != AST_NAME || frame_lookup(s->frame, callee->name) ||
            (d && !d->library) || (d && d->ast->kind == AST_LAYER))
            return false;
    }
    const Value *v = a->kind == AST_NAME ? frame_lookup(s->frame, a->name) : NULL;
    if ((v && (v->kind != VALUE_TENSOR || !v->node)) || a->kind == AST_MEMBER ||
        a->kind == AST_OVER)
        return false;
    bool all = reads_back(s, a->cond) && reads_back(s, a->left) && reads_back(s, a->right);
    for (int i = 0; i < a->items.count; i++)
        all = all && reads_back(s, a->items.data[i]);
    return all;
}

/* The tensors that an expression names stay in the graph, under these names. */
static void keep_names(Sema *s, const Ast *a)
{
    if (!a)
        return;
    Value *v = a->kind == AST_NAME ? frame_lookup(s->frame, a->name) : NULL;
    if (v && v->kind == VALUE_TENSOR && v->node && v->node->kind != NODE_PORT)
        graph_result(s->graph, RESULT_NAME, a->name, v->node, NULL, 0);
    keep_names(s, a->cond);
    keep_names(s, a->left);
    keep_names(s, a->right);
    for (int i = 0; i < a->items.count; i++)
        keep_names(s, a->items.data[i]);
}

/* The same alias in both modes, free of what the graph may call its nodes.  NULL where it is nothing
 * that could be named: a metric over the whole set whose text stays behind. */
static const char *keep_value(Sema *s, const Ast *a, const char *name)
{
    const char *alias = intern(s->names, arena_format(s->arena, "%s_shown", name));
    if (a->kind == AST_METRIC && a->flag)
        return NULL;
    Value *v = eval_statement(s, a->left, alias);
    Node *n = v ? value_to_node(s, v, alias) : NULL;
    if (n && a->kind == AST_METRIC && find_node_rests(s, n).call)
        return NULL;
    if (n)
        graph_result(s->graph, RESULT_NAME, alias, n, NULL, 0);
    return alias;
}

/* An output, metric or generate statement, with what it says as it is written. */
static void print_statement(Sema *s, Text *out, const Ast *a, const char *name)
{
    Ast copy = *a;
    copy.name = name;
    keep_names(s, a->left);
    ast_format(out, &copy, NULL);
}

/* The same, of a value that only the graph has. */
static void print_kept(Sema *s, Text *out, const Ast *a, const char *name)
{
    static const char *const words[AST_KIND_COUNT] = {
        [AST_METRIC] = "metric", [AST_OUTPUT] = "output", [AST_GENERATE] = "generate"};
    const char *alias = keep_value(s, a, name);
    if (alias)
        text_printf(out, "%s %s %s %s\n", words[a->kind], name,
                    a->kind == AST_GENERATE ? "from" : "=", alias);
    else
        text_printf(out, "# metric %s sums over the whole set, and its text is not repeated here\n",
                    name);
}

/* An output, metric or generate statement of a graph to be printed. */
void print_later(Sema *s, const Ast *a, const char *name)
{
    Text t;
    text_init(&t, s->arena);
    text_append(&t, "  ");
    (reads_back(s, a->left) ? print_statement : print_kept)(s, &t, a, name);
    for (int i = 0; i < s->tail.count; i++)
        if (intern(s->names, t.data) == s->tail.data[i])
            return;
    vec_push(s->arena, &s->tail, intern(s->names, t.data));
}

static const char *path_text(Sema *s, const char *path)
{
    return strchr(path, '*') ? arena_format(s->arena, "\"%s\"", path) : path;
}

/* ---- training ------------------------------------------------------------------------------------------ */

static bool holds(const Ast *file, const Ast *definition)
{
    for (int i = 0; i < file->body.count; i++)
        if (file->body.data[i] == definition)
            return true;
    return false;
}

/* The user's optimizers and schedules that a text names, and the functions that these call. */
static void add_definitions(Sema *s, Ast *file, const Ast *a)
{
    static const AstKind kinds[] = {AST_OPTIMIZER, AST_SCHEDULE, AST_FN};
    if (!a)
        return;
    for (size_t i = 0; a->kind == AST_NAME && i < sizeof kinds / sizeof *kinds; i++) {
        const Declaration *d = sema_declaration(s, a->name, kinds[i]);
        if (!d || d->library || holds(file, d->ast))
            continue;
        vec_push(s->arena, &file->body, (Ast *)d->ast);
        add_definitions(s, file, d->ast);
    }
    const Ast *parts[] = {a->cond, a->left, a->right};
    for (int i = 0; i < 3; i++)
        add_definitions(s, file, parts[i]);
    const AstList *lists[] = {&a->items, &a->body, &a->orelse};
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < lists[i]->count; k++)
            add_definitions(s, file, lists[i]->data[k]);
}

void sema_print_tail(Text *out, Sema *s)
{
    for (int i = 0; i < s->frozen.count; i++)
        text_printf(out, "  freeze %s\n", path_text(s, s->frozen.data[i]));
    for (int i = 0; i < s->program->inits.count; i++) {
        const InitFrom *from = &s->program->inits.data[i];
        text_printf(out, "  init %s from \"%s\"", path_text(s, from->pattern), from->file);
        if (from->names)
            text_printf(out, " with \"%s\"", from->names);
        text_append(out, "\n");
    }
    for (int i = 0; i < s->tail.count; i++)
        text_append(out, s->tail.data[i]);
    text_append(out, "}\n");
    if (!s->train)
        return;
    text_append(out, "\n");
    Ast *file = ast_new(s->arena, AST_FILE, s->train->span);
    vec_push(s->arena, &file->body, (Ast *)s->train);
    add_definitions(s, file, s->train);
    ast_format(out, file, NULL);
}
