/* Sums over the outermost dimension of what they read (the examples, of a weight's gradient or a
 * batch's statistics) in two: parts, one for each value of the outer indices, and the sum of the parts.
 * The parts are computed by several threads, next to whatever makes the rows that they read; how the sum
 * is taken apart follows from shapes alone, so the bits do not depend on the threads.
 *   needs: a verified, pruned graph
 *   gives: the same numbers, up to the order of summation */
#include "schedule/internal.h"

enum {
    MUCH_WORK = 65536,          /* products, below which one pass is as good                     */
    ENOUGH_PARTS = 8,           /* for several threads                                            */
    LEAST_TERMS = 16,           /* of a part                                                      */
    ROW_BYTES = 64 * 1024,      /* read by a part: they are to stay in cache                      */
    SMALL_SHARE = 16,           /* of what is read, that the parts may take …                     */
    SMALL_SHARE_OF_PRODUCT = 6, /* … and those of a product                                  */
    LEAST_DEPTH = 128           /* of a part of a product                                    */
};

/* A sum that is to be taken apart. */
typedef struct Whole {
    Node *node;
    int outer;        /* so many of its bound indices count the parts */
    Index *innermost; /* the free index along which it reads neighbours, or NULL */
    /* sum (x - mean)^2, where the mean is that of `first`, another sum taken apart likewise; or NULL */
    struct Whole *first;
    const Expr *x, *mean;
    Outside outside; /* no part of the parts; or without a factor */
    Node *part;
    int *place; /* where each free index stands in the part's domain */
} Whole;

typedef struct Splitter {
    Graph *graph;
    Whole **wholes; /* per node id, or NULL */
} Splitter;

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
    Scatter scatter;
    return n->kind == NODE_COMPUTE && n->reduction == &reduce_sum && dtype_is_real(n->type) &&
           !n->recurrence && !g->positions && n->bound_count > 1 && n->bound[0]->per_example &&
           !node_is_batched(n) && node_iterations(n) >= MUCH_WORK &&
           !scatter_recognise(p, n, n->body, &scatter);
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

/* The same of a sum of products: its rows and columns are shared among threads, where there are many;
 * where there are few, the examples are. */
static int count_outer_of_product(const Node *n, const Reads *r)
{
    const double examples = (double)n->bound[0]->extent, results = (double)node_elements(n);
    const double terms = node_iterations(n) / results / examples;
    const bool worth = examples >= ENOUGH_PARTS && terms >= LEAST_DEPTH &&
                       examples * results * SMALL_SHARE_OF_PRODUCT <= r->elements;
    return worth ? 1 : 0;
}

/* ---- squares of deviations ------------------------------------------------------------------------------ */

static bool ranges_equal(Index *const *a, Index *const *b, int count)
{
    for (int i = 0; i < count; i++)
        if (!extents_equal(a[i], b[i]))
            return false;
    return true;
}

/* The body of `from`, a sum over the same domain, with the indices of `to`. */
static const Expr *body_over(Graph *g, const Node *from, const Node *to)
{
    const int count = from->rank + from->bound_count;
    Index **old = arena_new(g->arena, Index *, count + 1);
    const Affine **new = arena_new(g->arena, const Affine *, count + 1);
    for (int i = 0; i < count; i++) {
        old[i] = i < from->rank ? from->domain[i] : from->bound[i - from->rank];
        new[i] = affine_index(g->pool, i < from->rank ? to->domain[i] : to->bound[i - from->rank]);
    }
    return expr_substitute(g->pool, from->body, &(Substitution){count, old, new});
}

/* sum (x - m)^2, where m is the mean of x over the same indices: then the parts need not know m.
 * With the mean m_i of the t terms of part i,  sum_i (sum (x - m_i)^2 + t (m_i - m)^2).
 * Chan, Golub, LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances". */
static void find_deviations(Splitter *s, Whole *w)
{
    Node *n = w->node;
    const Expr *square = n->body, *d = square->kind == EXPR_CALL ? square->args[0] : NULL;
    const Node *sum;
    if (!d || square->function != &scalar_mul || square->args[1] != d || d->kind != EXPR_CALL ||
        d->function != &scalar_sub || d->args[1]->kind != EXPR_ACCESS ||
        !access_is_identity(d->args[1], n) || node_mean(d->args[1]->node, &sum) != MEAN_OF_ALL)
        return;
    Whole *first = s->wholes[sum->id];
    if (!first || first->outer != w->outer || sum->rank != n->rank ||
        sum->bound_count != n->bound_count || !ranges_equal(sum->domain, n->domain, n->rank) ||
        !ranges_equal(sum->bound, n->bound, n->bound_count) ||
        body_over(s->graph, sum, n) != d->args[0])
        return;
    w->first = first;
    w->x = d->args[0];
    w->mean = d->args[1];
}

/* ---- the parts -------------------------------------------------------------------------------------------- */

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
static void make_part(Graph *g, Whole *w, const Expr *body)
{
    const Node *n = w->node;
    const int all = n->rank + n->bound_count;
    Renaming r = {arena_new(g->arena, Index *, all + 1),
                  arena_new(g->arena, const Affine *, all + 1), 0};
    Index **domain = arena_new(g->arena, Index *, all + 1);
    Index **bound = arena_new(g->arena, Index *, n->bound_count + 1);
    w->place = arena_new(g->arena, int, n->rank + 1);
    int at = 0;
    for (int i = 0; i < w->outer; i++)
        domain[at++] = rename_index(g, &r, n->bound[i]);
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < n->rank; i++)
            if ((n->domain[i] == w->innermost) == (pass == 1)) {
                w->place[i] = at;
                domain[at++] = rename_index(g, &r, n->domain[i]);
            }
    for (int i = w->outer; i < n->bound_count; i++)
        bound[i - w->outer] = rename_index(g, &r, n->bound[i]);
    Substitution s = {r.count, r.from, r.to};
    w->part = graph_compute(g, arena_format(g->arena, "%s_part", n->name), n->type, domain, at,
                            n->reduction, bound, n->bound_count - w->outer,
                            expr_substitute(g->pool, body, &s), n->span);
    w->part->within = n->within ? expr_substitute(g->pool, n->within, &s) : NULL;
    w->part->layer = n->layer;
}

/* Of w the part that n's indices name, n being w's node or one like it. */
static const Expr *access_part(Graph *g, const Whole *w, const Node *n)
{
    Subscript *at = arena_new(g->arena, Subscript, w->part->rank);
    for (int i = 0; i < w->outer; i++)
        at[i].affine = affine_index(g->pool, n->bound[i]);
    for (int i = 0; i < n->rank; i++)
        at[w->place[i]].affine = affine_index(g->pool, n->domain[i]);
    return expr_access(g->pool, w->part, at);
}

static const Expr *square(ExprPool *p, const Expr *x)
{
    return expr_mul(p, x, x);
}

static void split_sum(Graph *g, Whole *w)
{
    ExprPool *p = g->pool;
    Node *n = w->node;
    const Expr *mean_here = NULL;
    double terms = 1;
    for (int i = w->outer; i < n->bound_count; i++)
        terms *= (double)n->bound[i]->extent;
    if (w->first)
        mean_here = expr_mul(p, access_part(g, w->first, n), expr_const(p, 1 / terms));
    make_part(g, w,
              mean_here           ? square(p, expr_sub(p, w->x, mean_here))
              : w->outside.factor ? w->outside.rest
                                  : n->body);
    n->body = access_part(g, w, n);
    if (w->outside.factor)
        n->body = expr_mul(p, w->outside.factor, n->body);
    if (mean_here)
        n->body =
            expr_add(p, n->body,
                     expr_mul(p, expr_const(p, terms), square(p, expr_sub(p, mean_here, w->mean))));
    n->bound_count = w->outer;
}

static Whole *find_whole(Splitter *s, Node *n)
{
    Graph *g = s->graph;
    Reads reads = {.node = n, .outermost = true};
    Contraction contraction;
    if (!is_candidate(g->pool, g, n))
        return NULL;
    expr_visit(g->pool, n->body, visit_read, &reads);
    const bool product = contract_recognise(g->pool, n, n->body, &contraction);
    int outer = !reads.outermost ? 0
                : product        ? count_outer_of_product(n, &reads)
                                 : count_outer(n, &reads);
    if (!outer)
        return NULL;
    Whole *w = arena_new(g->arena, Whole, 1);
    *w = (Whole){.node = n, .innermost = product ? NULL : reads.innermost};
    if (product)
        w->outer = outer;
    else if (n->bound[0]->extent >= ENOUGH_PARTS && outside_find(g->pool, n, &w->outside))
        w->outer = 1;
    else
        w->outer = row_sum_split(g, n, outer);
    find_deviations(s, w);
    return w;
}

static bool reads_node(const AccessList *reads, const Node *n)
{
    for (int i = 0; i < reads->count; i++)
        if (reads->data[i]->node == n)
            return true;
    return false;
}

/* A part that waits for no factor stands next to what else reads its rows: right behind what it reads. */
static void place_part(Graph *g, NodeList *order, const Whole *w)
{
    const AccessList reads = body_accesses(g->pool, w->part->body);
    int at = order->count;
    vec_push(g->arena, order, w->part);
    for (; w->outside.factor && at > 0 && !reads_node(&reads, order->data[at - 1]); at--)
        order->data[at] = order->data[at - 1];
    order->data[at] = w->part;
}

void partial_run(Graph *g)
{
    const int count = g->nodes.count;
    Splitter s = {g, arena_new(g->arena, Whole *, count + 1)};
    for (int i = 0; i < count; i++)
        s.wholes[i] = find_whole(&s, g->nodes.data[i]);
    NodeList order = {0};
    for (int i = 0; i < count; i++) {
        if (s.wholes[i]) {
            split_sum(g, s.wholes[i]);
            place_part(g, &order, s.wholes[i]);
        }
        vec_push(g->arena, &order, g->nodes.data[i]);
    }
    graph_set_order(g, order.data, order.count);
}
