/* What depends on one datum alone, such as a layer behind an embedding, is computed once for each value that the
 * datum can have and looked up, where there are fewer values than elements that look.
 *   needs: a verified graph that is not differentiated yet: the gradients then are sums over the values, too
 *   gives: the same results */
#include "opt/opt.h"

enum { FEWER = 2 }; /* so many elements look for each value */

/* A node as a function of a datum. */
typedef struct Lookup {
    Rewriter *w;
    const Expr *datum; /* NULL: none is known yet */
    Index *value;      /* stands for it           */
    bool computed;     /* of rows that are computed, not only stored? */
    bool possible;
} Lookup;

static bool is_datum(const Expr *e)
{
    return e->kind == EXPR_ACCESS && e->node->kind == NODE_PORT &&
           e->node->port->domain != DOMAIN_NUMBER;
}

static bool has_data(const Expr *access)
{
    for (int i = 0; i < access->count; i++)
        if (access->subscripts[i].data)
            return true;
    return false;
}

/* What an access to looked-up rows looks up itself. */
static const Expr *look_through(void *context, const Expr *e)
{
    const Lookup *x = context;
    const Node *n = e->kind == EXPR_ACCESS ? e->node : NULL;
    if (!n || n->kind != NODE_COMPUTE || n->reduction || n->body->kind != EXPR_ACCESS ||
        !has_data(n->body))
        return e;
    const Expr *through = opt_body_at(x->w, e);
    return through ? through : e;
}

/* The row that stands for the datum, in place of the one that it chooses. */
static const Expr *put_value(void *context, const Expr *e)
{
    Lookup *x = context;
    ExprPool *p = x->w->p;
    if (e->kind != EXPR_ACCESS || !has_data(e))
        return e;
    Subscript *subs = arena_new(x->w->g->arena, Subscript, e->count + 1);
    for (int i = 0; i < e->count; i++) {
        const Index *rows = e->node->domain[i];
        subs[i] = e->subscripts[i];
        if (!subs[i].data)
            continue;
        if (!x->datum && is_datum(subs[i].data) && !rows->per_example) {
            x->datum = subs[i].data;
            x->value = index_copy(p, rows);
        }
        x->possible = x->possible && subs[i].data == x->datum && rows->extent == x->value->extent;
        subs[i] = (Subscript){.affine = x->possible ? affine_index(p, x->value) : NULL,
                              .data = x->possible ? NULL : subs[i].data};
    }
    x->computed |= e->node->kind == NODE_COMPUTE;
    return x->possible ? expr_access(p, e->node, subs) : e;
}

/* Enough elements for each value?  Their indices are those of the datum; the body must not know them.  What only
 * changes a stored row costs its users less than another table. */
static bool is_of_use(const Lookup *x, const Node *n, const Expr *body)
{
    int64_t elements = 1;
    for (int i = 0; i < n->rank; i++) {
        if (!expr_uses_index(x->w->p, x->datum, n->domain[i]))
            continue;
        if (expr_uses_index(x->w->p, body, n->domain[i]))
            return false;
        elements *= n->domain[i]->extent;
    }
    return (n->reduction || x->computed) && elements >= FEWER * x->value->extent &&
           !opt_uses_any(x->w->p, x->datum, n->bound, n->bound_count);
}

/* A node for all values, and n as a look at it. */
static void tabulate(const Lookup *x, Node *n, const Expr *body)
{
    ExprPool *p = x->w->p;
    Arena *a = x->w->g->arena;
    Index **domain = arena_new(a, Index *, n->rank + 1), **from = arena_new(a, Index *, n->rank);
    const Affine **to = arena_new(a, const Affine *, n->rank);
    Subscript *look = arena_new(a, Subscript, n->rank + 1);
    int rank = 0;
    for (int i = 0; i < n->rank; i++) {
        if (expr_uses_index(p, x->datum, n->domain[i]))
            continue;
        from[rank] = n->domain[i];
        domain[rank + 1] = index_copy(p, n->domain[i]);
        to[rank] = affine_index(p, domain[rank + 1]);
        look[rank + 1].affine = affine_index(p, n->domain[i]);
        rank++;
    }
    domain[0] = x->value;
    look[0].data = x->datum;
    body = expr_substitute(p, body, &(Substitution){rank, from, to});
    Node *rows = graph_compute(x->w->g, arena_format(a, "%s_rows", n->name), n->type, domain,
                               rank + 1, n->reduction, n->bound, n->bound_count, body, n->span);
    rows->layer = n->layer;
    n->body = expr_access(p, rows, look);
    n->reduction = NULL;
    n->bound_count = 0;
}

static bool look_up(Rewriter *w, Node *n)
{
    Lookup x = {w, NULL, NULL, false, true};
    if (n->kind != NODE_COMPUTE || n->stated.count || n->within ||
        (!n->reduction && n->body->kind == EXPR_ACCESS))
        return false;
    const Expr *body = expr_map(w->p, n->body, look_through, &x);
    body = expr_map(w->p, body, put_value, &x);
    if (!x.datum || !x.possible || !is_of_use(&x, n, body))
        return false;
    tabulate(&x, n, body);
    opt_fired(w, n->name);
    return true;
}

static bool look_up_all(Rewriter *w)
{
    bool changed = false;
    const int count = w->g->nodes.count; /* without the nodes that are added */
    for (int i = 0; i < count; i++)
        changed |= look_up(w, w->g->nodes.data[i]);
    if (changed)
        graph_sort(w->g);
    return changed;
}

const Rule opt_forward_rules[] = {
    {"each-value-once", "what depends on a datum alone, of which there are few values",
     .graph = look_up_all},
    {0},
};
