/* Graphs: nodes in topological order, their names, and what the graph is computed for. */
#include "ir/pool.h"

#include <string.h>

/* ---- names ----------------------------------------------------------------------------------------- */

typedef struct UsedName {
    const char *name;
    int next; /* the suffix to try when the name comes again */
} UsedName;

struct NameTable {
    HashSet names;
};

static bool is_name(const void *item, const void *key)
{
    return ((const UsedName *)item)->name == key;
}

/* Its entry among the used names, made now when there is none. */
static UsedName *use_name(Graph *g, const char *name, bool *known)
{
    uint64_t hash = hash_mix(0, (uintptr_t)name);
    const UsedName *found = hash_find(&g->used->names, hash, is_name, name);
    *known = found != NULL;
    if (found)
        return (UsedName *)found;
    UsedName *made = arena_new(g->arena, UsedName, 1);
    *made = (UsedName){name, 2};
    hash_insert(g->arena, &g->used->names, hash, made);
    return made;
}

/* name, name_2, name_3 … */
static const char *unique_name(Graph *g, const char *name)
{
    bool known;
    name = intern(g->names, name);
    UsedName *first = use_name(g, name, &known);
    const char *unique = name;
    while (known) {
        unique = intern(g->names, arena_format(g->arena, "%s_%d", name, first->next++));
        use_name(g, unique, &known);
    }
    return unique;
}

/* A variable of the printed text has no dots: a layer's path is joined by underscores. */
static const char *plain_name(Graph *g, const char *name)
{
    char *copy = arena_format(g->arena, "%s", name);
    for (char *c = copy; *c; c++)
        if (*c == '.')
            *c = '_';
    return copy;
}

void graph_rename(Graph *g, Node *n, const char *name)
{
    name = plain_name(g, name);
    if (n->name != intern(g->names, name))
        n->name = unique_name(g, name);
}

/* ---- nodes ------------------------------------------------------------------------------------------ */

Graph *graph_create(ExprPool *p, Interner *names, const char *name, int64_t batch)
{
    Arena *a = expr_pool_arena(p);
    Graph *g = arena_new(a, Graph, 1);
    g->arena = a;
    g->pool = p;
    g->names = names;
    g->name = name;
    g->batch = batch;
    g->used = arena_new(a, struct NameTable, 1);
    return g;
}

static Index **copy_indices(Graph *g, Index *const *from, int count)
{
    Index **to = arena_new(g->arena, Index *, count + 1);
    for (int i = 0; i < count; i++)
        to[i] = from[i];
    return to;
}

static Node *add_node(Graph *g, NodeKind kind, const char *name, DType type, Span span)
{
    Node *n = arena_new(g->arena, Node, 1);
    n->kind = kind;
    n->id = g->nodes.count;
    n->name = unique_name(g, kind == NODE_TENSOR ? name : plain_name(g, name));
    n->layer = "";
    n->type = type;
    n->span = span;
    vec_push(g->arena, &g->nodes, n);
    return n;
}

Node *graph_compute(Graph *g, const char *name, DType type, Index *const *domain, int rank,
                    const Reduction *r, Index *const *bound, int bound_count, const Expr *body,
                    Span span)
{
    Node *n = add_node(g, NODE_COMPUTE, name, type, span);
    n->rank = rank;
    n->domain = copy_indices(g, domain, rank);
    n->reduction = r;
    n->bound_count = bound_count;
    n->bound = copy_indices(g, bound, bound_count);
    n->body = body;
    return n;
}

/* Fresh indices over a shape, named i, j, k …, after one over the batch where asked for. */
static void set_shape(Graph *g, Node *n, const int64_t *shape, int rank, bool batched)
{
    static const char *const letters[] = {"i", "j", "k", "l", "m", "n", "o", "p"};
    enum { LETTERS = sizeof letters / sizeof *letters };
    n->rank = rank + batched;
    n->domain = arena_new(g->arena, Index *, n->rank + 1);
    if (batched)
        n->domain[0] = index_new(g->pool, intern(g->names, "batch"), g->batch, 1, n->span);
    for (int i = 0; i < rank; i++) {
        const char *name = i < LETTERS ? letters[i] : arena_format(g->arena, "i%d", i);
        n->domain[i + batched] = index_new(g->pool, intern(g->names, name), shape[i], 0, n->span);
    }
}

Node *graph_port(Graph *g, Port *port)
{
    for (int i = 0; i < g->nodes.count; i++)
        if (g->nodes.data[i]->kind == NODE_PORT && g->nodes.data[i]->port == port)
            return g->nodes.data[i];
    Node *n = add_node(g, NODE_PORT, port->name, port->type, port->span);
    n->port = port;
    set_shape(g, n, port->shape, port->rank, true);
    return n;
}

Node *graph_tensor(Graph *g, Tensor *tensor)
{
    for (int i = 0; i < g->nodes.count; i++)
        if (g->nodes.data[i]->kind == NODE_TENSOR && g->nodes.data[i]->tensor == tensor)
            return g->nodes.data[i];
    Node *n = add_node(g, NODE_TENSOR, tensor->name, tensor->type, tensor->span);
    n->tensor = tensor;
    set_shape(g, n, tensor->shape, tensor->rank, false);
    return n;
}

Node *graph_literal(Graph *g, const char *name, const int64_t *shape, int rank, const double *data,
                    Span span)
{
    Node *n = add_node(g, NODE_LITERAL, name, expr_pool_real(g->pool), span);
    set_shape(g, n, shape, rank, false);
    double *kept = arena_new(g->arena, double, node_elements(n) + 1);
    memcpy(kept, data, (size_t)node_elements(n) * sizeof *data);
    n->literal = kept;
    return n;
}

Node *graph_sum(Graph *g, const char *name, const int64_t *shape, int rank, int slot, Span span)
{
    Node *n = add_node(g, NODE_SUM, name, expr_pool_real(g->pool), span);
    set_shape(g, n, shape, rank, false);
    n->slot = slot;
    return n;
}

Node *graph_view(Graph *g, const char *name, Node *viewed, Index *const *domain, int rank,
                 Span span)
{
    Node *n = add_node(g, NODE_VIEW, name, viewed->type, span);
    n->rank = rank;
    n->domain = copy_indices(g, domain, rank);
    n->viewed = viewed;
    return n;
}

void graph_result(Graph *g, ResultRole role, const char *name, Node *value, Tensor *tensor,
                  int slot)
{
    vec_push(g->arena, &g->results, ((Result){role, name, value, tensor, slot, 0}));
}

bool node_is_batched(const Node *n)
{
    return n->rank > 0 && n->domain[0]->per_example != 0;
}

int64_t node_elements_behind(const Node *n, int place)
{
    int64_t count = 1;
    for (int i = place + 1; i < n->rank; i++)
        count *= n->domain[i]->extent;
    return count;
}

int64_t node_elements(const Node *n)
{
    return node_elements_behind(n, -1);
}

uint64_t tensor_bytes(const Tensor *t)
{
    uint64_t bytes = (uint64_t)dtype_size(t->type);
    for (int i = 0; i < t->rank; i++)
        bytes *= (uint64_t)t->shape[i];
    return bytes;
}

bool graph_is_result(const Graph *g, const Node *n)
{
    for (int i = 0; i < g->results.count; i++)
        if (g->results.data[i].value == n)
            return true;
    return false;
}

/* ---- the graph as a whole ----------------------------------------------------------------------------- */

static void mark_access(void *context, const Expr *e)
{
    bool *live = context;
    if (e->kind == EXPR_ACCESS)
        live[e->node->id] = true;
}

static void mark_operands(Graph *g, const Node *n, bool *live)
{
    if (n->kind == NODE_VIEW)
        live[n->viewed->id] = true;
    if (n->kind == NODE_COMPUTE)
        expr_visit(g->pool, n->body, mark_access, live);
}

/* The first node of the recurrence that nodes[i] is part of: i itself where it is part of none. */
static int first_of_recurrence(const Graph *g, int i)
{
    const Recurrence *r = recurrence_outermost(g->nodes.data[i]->recurrence);
    while (r && i > 0 && recurrence_outermost(g->nodes.data[i - 1]->recurrence) == r)
        i--;
    return i;
}

/* In a recurrence whatever is needed needs all of it. */
static void mark_recurrence(Graph *g, int first, int last, bool *live)
{
    bool any = false;
    for (int i = first; i <= last; i++)
        any = any || live[i];
    for (int i = first; any && i <= last; i++) {
        live[i] = true;
        mark_operands(g, g->nodes.data[i], live);
    }
}

void graph_prune(Graph *g)
{
    bool *live = arena_new(g->arena, bool, g->nodes.count + 1);
    for (int i = 0; i < g->results.count; i++)
        live[g->results.data[i].value->id] = true;
    for (int i = g->nodes.count - 1; i >= 0; i--) {
        const int first = first_of_recurrence(g, i);
        mark_recurrence(g, first, i, live);
        i = first;
    }
    int kept = 0;
    for (int i = 0; i < g->nodes.count; i++)
        if (live[i]) {
            g->nodes.data[kept] = g->nodes.data[i];
            g->nodes.data[kept]->id = kept;
            kept++;
        }
    g->nodes.count = kept;
}

void graph_set_order(Graph *g, Node *const *nodes, int count)
{
    g->nodes.count = 0;
    for (int i = 0; i < count; i++) {
        nodes[i]->id = i;
        vec_push(g->arena, &g->nodes, nodes[i]);
    }
}

void graph_map(Graph *g, ExprMap *leaf, void *context)
{
    for (int i = 0; i < g->nodes.count; i++) {
        Node *n = g->nodes.data[i];
        if (n->kind == NODE_COMPUTE)
            n->body = expr_map(g->pool, n->body, leaf, context);
    }
}
