/* Sums over the outermost dimension of what they read (the examples, of a weight's gradient or a
 * batch's statistics) in two: parts, one for each value of the outer indices, and the sum of the parts.
 * The parts are computed by several threads, next to whatever makes the rows that they read; how the sum
 * is taken apart follows from shapes alone, so the bits do not depend on the threads.
 *   needs: a verified, pruned graph
 *   gives: the same numbers, up to the order of summation */
#include "schedule/internal.h"

enum {
    MUCH_WORK = 65536,     /* products, below which one pass is as good                     */
    ENOUGH_PARTS = 8,      /* for several threads                                            */
    LEAST_TERMS = 16,      /* of a part                                                      */
    ROW_BYTES = 64 * 1024, /* read by a part: they are to stay in cache                      */
    SMALL_SHARE = 16       /* of what is read, that the parts may take                       */
};

typedef struct Reads {
    Node *node;
    double elements;  /* of the largest node that the body reads */
    bool outermost;   /* the sum's first index is used in first subscripts alone */
    Index *innermost; /* the free index that is the last subscript of that, or NULL */
} Reads;

/* Does the access use the index, if at all, in its first subscript only? */
static bool uses_outermost(const Expr *access, const Index *ix)
{
    for (int i = 1; i < access->count; i++)
        if (access->subscripts[i].affine && affine_uses(access->subscripts[i].affine, ix))
            return false;
    return true;
}

static void visit_read(void *context, const Expr *e)
{
    Reads *r = context;
    if (e->kind != EXPR_ACCESS || e->node->rank == 0)
        return;
    r->outermost = r->outermost && !access_has_data(e) && uses_outermost(e, r->node->bound[0]);
    const double elements = (double)node_elements(e->node);
    if (!r->outermost || elements <= r->elements)
        return;
    r->elements = elements;
    const Affine *last = e->subscripts[e->count - 1].affine;
    for (int i = 0; i < r->node->rank; i++)
        if (affine_is_index(last) == r->node->domain[i])
            r->innermost = r->node->domain[i];
}

static bool is_candidate(ExprPool *p, const Graph *g, Node *n)
{
    Contraction contraction;
    Scatter scatter;
    return n->kind == NODE_COMPUTE && n->reduction == &reduce_sum && dtype_is_real(n->type) &&
           !n->recurrence && !g->positions && n->bound_count > 1 && n->bound[0]->per_example &&
           !node_is_batched(n) && node_iterations(n) >= MUCH_WORK &&
           !scatter_recognise(p, n, n->body, &scatter) &&
           !contract_recognise(p, n, n->body, &contraction);
}

/* How many of the bound indices count the parts; 0: they are not worth it. */
static int count_outer(const Node *n, const Reads *r)
{
    double parts = 1, terms = node_iterations(n) / (double)node_elements(n);
    int count = 0;
    while (count < n->bound_count - 1) {
        const double extent = (double)n->bound[count]->extent;
        const double kept = parts * extent * (double)node_elements(n);
        const bool large = r->elements / parts * dtype_size(n->type) > ROW_BYTES;
        if (terms / extent < LEAST_TERMS || kept * SMALL_SHARE > r->elements * (count ? 1 : 4))
            break;
        if (parts >= ENOUGH_PARTS && !large)
            break;
        parts *= extent, terms /= extent;
        count++;
    }
    return parts >= ENOUGH_PARTS ? count : 0;
}

typedef struct Renaming {
    Index **from;
    const Affine **to;
    int count;
} Renaming;

static Index *rename_index(Graph *g, Renaming *r, Index *from)
{
    Index *copy = index_copy(g->pool, from);
    r->from[r->count] = from;
    r->to[r->count++] = affine_index(g->pool, copy);
    return copy;
}

/* part[outer…, free…] = sum[inner…] body, the free index along which it reads innermost. */
static Node *make_part(Graph *g, const Node *n, int outer, const Reads *reads, int *place)
{
    const int all = n->rank + n->bound_count;
    Renaming r = {arena_new(g->arena, Index *, all + 1),
                  arena_new(g->arena, const Affine *, all + 1), 0};
    Index **domain = arena_new(g->arena, Index *, all + 1);
    Index **bound = arena_new(g->arena, Index *, n->bound_count + 1);
    int at = 0;
    for (int i = 0; i < outer; i++)
        domain[at++] = rename_index(g, &r, n->bound[i]);
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < n->rank; i++)
            if ((n->domain[i] == reads->innermost) == (pass == 1)) {
                place[i] = at;
                domain[at++] = rename_index(g, &r, n->domain[i]);
            }
    for (int i = outer; i < n->bound_count; i++)
        bound[i - outer] = rename_index(g, &r, n->bound[i]);
    Substitution s = {r.count, r.from, r.to};
    Node *part = graph_compute(g, arena_format(g->arena, "%s_part", n->name), n->type, domain, at,
                               n->reduction, bound, n->bound_count - outer,
                               expr_substitute(g->pool, n->body, &s), n->span);
    part->within = n->within ? expr_substitute(g->pool, n->within, &s) : NULL;
    part->layer = n->layer;
    return part;
}

static Node *split_sum(Graph *g, Node *n, int outer, const Reads *reads)
{
    int *place = arena_new(g->arena, int, n->rank + 1);
    Node *part = make_part(g, n, outer, reads, place);
    Subscript *at = arena_new(g->arena, Subscript, part->rank);
    for (int i = 0; i < outer; i++)
        at[i].affine = affine_index(g->pool, n->bound[i]);
    for (int i = 0; i < n->rank; i++)
        at[place[i]].affine = affine_index(g->pool, n->domain[i]);
    n->body = expr_access(g->pool, part, at);
    n->bound_count = outer;
    return part;
}

void partial_run(Graph *g)
{
    NodeList order = {0};
    const int count = g->nodes.count;
    for (int i = 0; i < count; i++) {
        Node *n = g->nodes.data[i];
        Reads reads = {.node = n, .outermost = true};
        if (is_candidate(g->pool, g, n)) {
            expr_visit(g->pool, n->body, visit_read, &reads);
            const int outer = reads.outermost ? count_outer(n, &reads) : 0;
            if (outer)
                vec_push(g->arena, &order, split_sum(g, n, outer, &reads));
        }
        vec_push(g->arena, &order, n);
    }
    g->nodes.count = 0;
    for (int i = 0; i < order.count; i++) {
        order.data[i]->id = i;
        vec_push(g->arena, &g->nodes, order.data[i]);
    }
}
