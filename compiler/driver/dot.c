/* The graph in Graphviz's language. */
#include "driver/driver.h"

static const char *node_shape(const Node *n)
{
    switch (n->kind) {
    case NODE_PORT:
        return "invhouse";
    case NODE_TENSOR:
        return "cylinder";
    case NODE_LITERAL:
    case NODE_SUM:
        return "note";
    default:
        return "box";
    }
}

static void print_shape(Text *out, const Node *n)
{
    text_append(out, "[");
    for (int i = node_is_batched(n); i < n->rank; i++)
        text_printf(out, "%s%lld", i > node_is_batched(n) ? ", " : "",
                    (long long)n->domain[i]->extent);
    text_append(out, "]");
}

typedef struct Edges {
    Text *out;
    const Node *user;
    bool *drawn; /* per node id */
} Edges;

static void draw_edge(void *context, const Expr *e)
{
    Edges *edges = context;
    if (e->kind != EXPR_ACCESS || edges->drawn[e->node->id])
        return;
    edges->drawn[e->node->id] = true;
    text_printf(edges->out, "  n%d -> n%d\n", e->node->id, edges->user->id);
}

void graph_dot(Text *out, const Graph *g)
{
    text_printf(out, "digraph %s {\n  node [fontname=\"sans-serif\", fontsize=11]\n", g->name);
    for (int i = 0; i < g->nodes.count; i++) {
        const Node *n = g->nodes.data[i];
        text_printf(out, "  n%d [shape=%s, label=\"%s ", n->id, node_shape(n), n->name);
        print_shape(out, n);
        if (n->reduction)
            text_printf(out, "\\n%s", n->reduction->name);
        text_append(out, "\"]\n");
        Edges edges = {out, n, arena_new(g->arena, bool, g->nodes.count)};
        if (n->kind == NODE_COMPUTE)
            expr_visit(g->pool, n->body, draw_edge, &edges);
        if (n->kind == NODE_VIEW)
            text_printf(out, "  n%d -> n%d [style=dashed]\n", n->viewed->id, n->id);
    }
    text_append(out, "}\n");
}
