/* Graphs as .nn text: a statement a node, then one a result.
 * Which nodes have no statement of their own is found in one pass beforehand. */
#include "ir/print.h"

#include <string.h>

typedef struct Listing {
    const Graph *graph;
    Text *out;
    const Sources *sources; /* or NULL */
    /* per node id: */
    int *uses;     /* accesses, views and results that read it               */
    bool *is_mean; /* is printed as the mean of what it scales               */
    bool *hidden;  /* is written within the statement of another             */
} Listing;

/* ---- what reads a node -------------------------------------------------------------------------------- */

static void count_use(void *context, const Expr *e)
{
    int *uses = context;
    if (e->kind == EXPR_ACCESS)
        uses[e->node->id]++;
}

static void count_uses(Listing *l)
{
    const Graph *g = l->graph;
    for (int i = 0; i < g->nodes.count; i++) {
        const Node *n = g->nodes.data[i];
        if (n->kind == NODE_VIEW)
            l->uses[n->viewed->id]++;
        if (n->kind == NODE_COMPUTE)
            expr_visit(g->pool, n->body, count_use, l->uses);
    }
    for (int i = 0; i < g->results.count; i++)
        l->uses[g->results.data[i].value->id]++;
}

/* ---- means ---------------------------------------------------------------------------------------------- */

/* The sum that n is the mean of, where nothing else reads it. */
static const Node *mean_of(const Listing *l, const Node *n)
{
    const Node *sum;
    return node_mean(n, &sum) != MEAN_NONE && l->uses[sum->id] == 1 && !sum->named ? sum : NULL;
}

/* mean[batch, h] …, or mean[batch] sum[h] … where only the examples are counted. */
static void print_mean(Text *out, const Node *n, const char *name, const char *assign)
{
    Printer pr;
    const Node *sum;
    bool all = node_mean(n, &sum) == MEAN_OF_ALL;
    printer_open(&pr, out, sum);
    print_left(&pr, sum, name);
    text_printf(out, "%smean", assign);
    for (int i = 0; i < sum->bound_count; i++) {
        text_append(out, i == 0 ? "[" : i == 1 && !all ? "] sum[" : ", ");
        print_index(&pr, sum, sum->bound[i]);
    }
    text_append(out, "] ");
    print_reduced(&pr, sum->body);
}

/* ---- what is written within another statement ------------------------------------------------------------ */

static bool is_stored(const Result *r)
{
    return r->role == RESULT_GRADIENT || r->role == RESULT_UPDATE;
}

/* A stored value that nothing else reads is written in the statement that stores it. */
static bool is_folded(const Listing *l, const Result *r)
{
    return is_stored(r) && r->value->kind == NODE_COMPUTE && l->uses[r->value->id] == 1;
}

static void find_hidden(Listing *l)
{
    const Graph *g = l->graph;
    for (int i = 0; i < g->nodes.count; i++) {
        const Node *n = g->nodes.data[i], *sum = mean_of(l, n);
        l->is_mean[i] = sum != NULL;
        if (sum)
            l->hidden[sum->id] = true;
        l->hidden[i] = l->hidden[i] || n->kind == NODE_PORT || n->kind == NODE_TENSOR;
    }
    for (int i = 0; i < g->results.count; i++)
        if (is_folded(l, &g->results.data[i]))
            l->hidden[g->results.data[i].value->id] = true;
}

static Listing listing_of(Text *out, const Graph *g, const Sources *sources)
{
    int count = g->nodes.count + 1;
    Listing l = {.graph = g,
                 .out = out,
                 .sources = sources,
                 .uses = arena_new(g->arena, int, count),
                 .is_mean = arena_new(g->arena, bool, count),
                 .hidden = arena_new(g->arena, bool, count)};
    count_uses(&l);
    find_hidden(&l);
    return l;
}

/* ---- statements ---------------------------------------------------------------------------------------------- */

static void print_value(Listing *l, const Node *n, const char *name, const char *assign)
{
    if (l->is_mean[n->id])
        print_mean(l->out, n, name, assign);
    else
        print_compute(l->out, n, name, assign);
}

static void print_node(Listing *l, const Node *n)
{
    if (l->is_mean[n->id])
        print_value(l, n, n->name, " = ");
    else
        node_print(l->out, n);
}

static void print_stored(Listing *l, const Result *r)
{
    const char *assign = r->role == RESULT_UPDATE ? " <- " : " = ";
    text_append(l->out, r->role == RESULT_GRADIENT ? "gradient " : "");
    if (is_folded(l, r))
        print_value(l, r->value, r->tensor->name, assign);
    else
        text_printf(l->out, "%s%s%s", r->tensor->name, assign, r->value->name);
}

/* Nothing where the value bears its name already. */
static void print_alias(Text *out, const Result *r)
{
    if (strcmp(r->name, r->value->name))
        text_printf(out, "%s = %s", r->name, r->value->name);
}

static void print_result(Listing *l, const Result *r)
{
    static const char *const words[] = {
        [RESULT_LOSS] = "loss",
        [RESULT_OUTPUT] = "output",
        [RESULT_SUM] = "metric",
        [RESULT_VALUE] = "metric",
    };
    if (is_stored(r))
        print_stored(l, r);
    else if (r->role == RESULT_NAME)
        print_alias(l->out, r);
    else if (r->name)
        text_printf(l->out, "%s %s = %s", words[r->role], r->name, r->value->name);
    else
        text_printf(l->out, "%s %s", words[r->role], r->value->name);
}

/* ---- lines --------------------------------------------------------------------------------------------------- */

/* `  # digits.nn:12`, from a common column on where the line leaves room. */
static void print_place(Listing *l, size_t width, Span span)
{
    enum { COLUMN = 68 };
    if (!l->sources || span.file < 0)
        return;
    const Source *src = source_get(l->sources, span.file);
    const char *slash = strrchr(src->path, '/');
    int line, column;
    source_position(src, span.begin, &line, &column);
    text_printf(l->out, "%*s  # %s:%d", width < COLUMN ? (int)(COLUMN - width) : 0, "",
                slash ? slash + 1 : src->path, line);
}

/* Ends the line that begins at `begin`; an empty one is taken back. */
static void end_line(Listing *l, size_t begin, Span span)
{
    Text *out = l->out;
    if (out->length == begin + 2) {
        out->data[out->length = begin] = 0;
        return;
    }
    print_place(l, out->length - begin, span);
    text_append(out, "\n");
}

void graph_print(Text *out, const Graph *g, const Sources *sources)
{
    Listing l = listing_of(out, g, sources);
    for (int i = 0; i < g->nodes.count; i++) {
        size_t begin = out->length;
        if (l.hidden[i])
            continue;
        text_append(out, "  ");
        print_node(&l, g->nodes.data[i]);
        end_line(&l, begin, g->nodes.data[i]->span);
    }
    for (int i = 0; i < g->results.count; i++) {
        size_t begin = out->length;
        text_append(out, "  ");
        print_result(&l, &g->results.data[i]);
        end_line(&l, begin, g->results.data[i].value->span);
    }
}
