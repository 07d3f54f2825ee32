/* What depends on few inner indices (a normalisation's scale, one number a channel) gets a node of its
 * own: loops over the outer indices would evaluate it anew for each of their iterations.  Likewise products of
 * what is one number a channel: (x[i, c] - mean[c]) * scale[c] * weight[c] reads two numbers beside x, not three.
 *   needs: a verified, pruned graph
 *   gives: the same numbers */
#include "schedule/internal.h"

enum {
    LEAST_COST = 8,    /* flops, below which it is as well evaluated again */
    LEAST_REUSE = 256, /* times that each of its values would be           */
    MOST_VALUES = 65536
};

typedef struct Rewritten {
    const Expr *from, *to;
} Rewritten;

typedef struct Factoring {
    Graph *graph;
    NodeList order, made;
    Node *node; /* whose body is being rewritten */
    VEC(Rewritten) done;
} Factoring;

static Index *node_index(const Node *n, int i)
{
    return i < n->rank ? n->domain[i] : n->bound[i - n->rank];
}

static void visit_unfit(void *context, const Expr *e)
{
    bool *unfit = context;
    *unfit = *unfit || e->kind == EXPR_RANDOM ||
             (e->kind == EXPR_ACCESS && (access_has_data(e) || e->node->recurrence));
}

/* Is e worth a node?  Lists those of the node's indices that it uses. */
static bool find_indices(const Factoring *f, const Expr *e, Index **list, int *count)
{
    const Node *n = f->node;
    ExprPool *p = f->graph->pool;
    bool unfit = false;
    double values = 1;
    *count = 0;
    if (!dtype_is_real(e->type) || body_cost(p, e) < LEAST_COST)
        return false;
    for (int i = 0; i < n->rank + n->bound_count; i++) {
        Index *ix = node_index(n, i);
        if (!expr_uses_index(p, e, ix))
            continue;
        unfit = unfit || ix->per_example;
        values *= (double)ix->extent;
        list[(*count)++] = ix;
    }
    if (unfit || !*count || values > MOST_VALUES || node_iterations(n) < LEAST_REUSE * values)
        return false;
    expr_visit(p, e, visit_unfit, &unfit);
    return !unfit && expr_reads_inside(p, NULL, e);
}

/* e with other indices in place of its own. */
static const Expr *rename_indices(ExprPool *p, const Expr *e, Index *const *from, Index *const *to,
                                  int count)
{
    const Affine **at = arena_new(expr_pool_arena(p), const Affine *, count + 1);
    for (int i = 0; i < count; i++)
        at[i] = affine_index(p, to[i]);
    return expr_substitute(p, e, &(Substitution){count, from, at});
}

/* The node that computes e over these indices: one made before, or a new one. */
static Node *factor_node(Factoring *f, const Expr *e, Index *const *list, int count)
{
    Graph *g = f->graph;
    for (int i = 0; i < f->made.count; i++) {
        Node *m = f->made.data[i];
        bool equal = m->rank == count;
        for (int k = 0; equal && k < count; k++)
            equal = extents_equal(m->domain[k], list[k]);
        if (equal && rename_indices(g->pool, e, list, m->domain, count) == m->body)
            return m;
    }
    Index **domain = arena_new(g->arena, Index *, count + 1);
    for (int i = 0; i < count; i++)
        domain[i] = index_copy(g->pool, list[i]);
    Node *m = graph_compute(g, arena_format(g->arena, "%s_factor", f->node->name), e->type, domain,
                            count, NULL, NULL, 0, rename_indices(g->pool, e, list, domain, count),
                            f->node->span);
    m->layer = f->node->layer;
    vec_push(g->arena, &f->made, m);
    vec_push(g->arena, &f->order, m);
    return m;
}

static const Expr *rewrite(Factoring *f, const Expr *e);

/* ---- products --------------------------------------------------------------------------------------------- */

enum { MOST_FACTORS = 8 };

/* The factors of a product; those that are one number for each value of a single index, and constants, are a
 * product of their own. */
typedef struct Product {
    const Expr *rest[MOST_FACTORS], *fixed[MOST_FACTORS];
    int rest_count, fixed_count;
    Index *index;
} Product;

/* The one index of the node that e uses, if its values can be kept; NULL: there is none. */
static Index *only_index(const Factoring *f, const Expr *e)
{
    const Node *n = f->node;
    Index *only = NULL;
    bool unfit = false;
    for (int i = 0; i < n->rank; i++)
        if (expr_uses_index(f->graph->pool, e, n->domain[i])) {
            unfit = unfit || only;
            only = n->domain[i];
        }
    expr_visit(f->graph->pool, e, visit_unfit, &unfit);
    unfit = unfit || !only || only->per_example || only->extent > MOST_VALUES ||
            node_iterations(n) < LEAST_REUSE * (double)only->extent ||
            !expr_reads_inside(f->graph->pool, NULL, e);
    return unfit ? NULL : only;
}

/* Where it stands among the fixed ones, so that equal products are one node: by node, calls last. */
static int rank_of(const Expr *e)
{
    return e->kind == EXPR_CONST ? -1 : e->kind == EXPR_ACCESS ? e->node->id : INT32_MAX;
}

static void add_fixed(Product *product, const Expr *e)
{
    int at = product->fixed_count++;
    for (; at > 0 && rank_of(product->fixed[at - 1]) > rank_of(e); at--)
        product->fixed[at] = product->fixed[at - 1];
    product->fixed[at] = e;
}

/* False: it has too many factors. */
static bool collect_factors(const Factoring *f, const Expr *e, Product *product)
{
    if (e->kind == EXPR_CALL && e->function == &scalar_mul)
        return collect_factors(f, e->args[0], product) && collect_factors(f, e->args[1], product);
    if (product->rest_count + product->fixed_count == MOST_FACTORS)
        return false;
    Index *ix = e->kind == EXPR_CONST ? NULL : only_index(f, e);
    if (e->kind != EXPR_CONST && (!ix || (product->index && ix != product->index))) {
        product->rest[product->rest_count++] = e;
        return true;
    }
    product->index = ix ? ix : product->index;
    add_fixed(product, e);
    return true;
}

static const Expr *multiply(ExprPool *p, const Expr *const *factors, int count)
{
    const Expr *e = factors[0];
    for (int i = 1; i < count; i++)
        e = expr_mul(p, e, factors[i]);
    return e;
}

/* The product with its fixed factors in a node; NULL: that saves nothing. */
static const Expr *rewrite_product(Factoring *f, const Expr *e)
{
    ExprPool *p = f->graph->pool;
    Product product = {0};
    if (e->function != &scalar_mul || !dtype_is_real(e->type) || f->node->reduction ||
        !collect_factors(f, e, &product) || !product.index || product.fixed_count < 2 ||
        !product.rest_count)
        return NULL;
    const Expr *fixed = multiply(p, product.fixed, product.fixed_count);
    Node *n = factor_node(f, fixed, &product.index, 1);
    for (int i = 0; i < product.rest_count; i++)
        product.rest[i] = rewrite(f, product.rest[i]);
    return expr_mul(p, multiply(p, product.rest, product.rest_count),
                    expr_access_identity(p, n, &product.index));
}

/* ---- bodies ----------------------------------------------------------------------------------------------- */

static const Expr *rewrite_call(Factoring *f, const Expr *e)
{
    Graph *g = f->graph;
    Index **list = arena_new(g->arena, Index *, f->node->rank + f->node->bound_count + 1);
    int count;
    if (find_indices(f, e, list, &count))
        return expr_access_identity(g->pool, factor_node(f, e, list, count), list);
    const Expr *product = rewrite_product(f, e);
    if (product)
        return product;
    const Expr *args[3];
    bool changed = false;
    for (int i = 0; i < e->function->arity; i++) {
        args[i] = rewrite(f, e->args[i]);
        changed = changed || args[i] != e->args[i];
    }
    return changed ? expr_call(g->pool, e->function, args) : e;
}

static const Expr *rewrite(Factoring *f, const Expr *e)
{
    if (e->kind != EXPR_CALL)
        return e;
    for (int i = 0; i < f->done.count; i++)
        if (f->done.data[i].from == e)
            return f->done.data[i].to;
    const Expr *to = rewrite_call(f, e);
    vec_push(f->graph->arena, &f->done, ((Rewritten){e, to}));
    return to;
}

void factor_run(Graph *g)
{
    Factoring f = {.graph = g};
    const int count = g->nodes.count;
    for (int i = 0; i < count; i++) {
        f.node = g->nodes.data[i];
        f.done.count = 0;
        if (f.node->kind == NODE_COMPUTE && !f.node->recurrence && !g->positions)
            f.node->body = rewrite(&f, f.node->body);
        vec_push(g->arena, &f.order, f.node);
    }
    graph_set_order(g, f.order.data, f.order.count);
}
