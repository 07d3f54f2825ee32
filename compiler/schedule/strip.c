/* Large matrices by strips, some of their rows at a time.  What two activations multiply to, and what is made of
 * that row by row, such as attention's scores and weights, grows with the square of a length; nobody needs it
 * whole.  Its rows are taken apart,
 *
 *     score[b, p, r, j]  = sum[c] q[b, 16*p + r, c] * k[b, j, c]
 *     d_k[b, j, c]       = sum[p, r] d_score[b, p, r, j] * q[b, 16*p + r, c]
 *
 * so that the kernels that make and read it can go through one strip after another (chain.c).
 *   needs: a verified, pruned graph
 *   gives: the same numbers; per node taken apart, which index counts strips */
#include "schedule/strip.h"

enum {
    LEAST_ROWS = 8, /* of a strip: those of a register tile                                    */
    LEAST_STRIPS =
        8, /* where that leaves as many rows: threads share them, and of a triangle each has
                          but its own part                                                         */
    LEAST_WIDER = 2,   /* so many times wider than the depth of its sum is a matrix               */
    SHARE_OF_CACHE = 4 /* of the second one that a strip of a matrix may fill                     */
};

/* ---- which matrices ------------------------------------------------------------------------------------ */

static double row_bytes(const Node *n)
{
    return (double)n->domain[n->rank - 1]->extent * dtype_size(n->type);
}

static double matrix_bytes(const Node *n)
{
    return row_bytes(n) * (double)n->domain[n->rank - 2]->extent;
}

/* Could it be taken apart, as far as itself is concerned? */
static bool is_apt(const Strips *x, const Node *n)
{
    return n->kind == NODE_COMPUTE && !x->taken[n->id] && !x->results[n->id] && !n->recurrence &&
           !n->within && node_is_batched(n) && dtype_is_real(n->type) &&
           !body_has_data(x->graph->pool, n->body);
}

/* A product of two activations, for each of the indices before its rows and columns, and larger than they are? */
static bool is_seed(const Strips *x, Node *n)
{
    Contraction c;
    if (!is_apt(x, n) || n->rank < 3 || matrix_bytes(n) <= x->most_bytes ||
        !contract_recognise(x->graph->pool, n, n->body, &c) || c.groups.count != n->rank - 2 ||
        c.rows.count != 1 || c.columns.count != 1 || c.splits.count)
        return false;
    double depth = 1;
    for (int i = 0; i < c.depth.count; i++)
        depth *= (double)c.depth.data[i]->extent;
    for (int i = 0; i < c.groups.count; i++)
        if (c.groups.data[i] != n->domain[i])
            return false;
    return c.rows.data[0] == n->domain[n->rank - 2] &&
           LEAST_WIDER * depth <= (double)n->domain[n->rank - 1]->extent;
}

bool strip_is_matrix(const Strips *x, const Node *n)
{
    return n->rank == x->outer + 2 && matrix_bytes(n) > x->most_bytes;
}

/* ---- members ------------------------------------------------------------------------------------------- */

StripMember *strip_member(const Strips *x, const Node *n)
{
    for (int i = 0; i < x->members.count; i++)
        if (x->members.data[i].node == n)
            return &x->members.data[i];
    return NULL;
}

void strip_add_member(Strips *x, Node *n, Index *row)
{
    const StripMember m = {
        .node = n, .row = row, .is_sum = n->rank <= x->outer || row != n->domain[x->outer]};
    vec_push(x->graph->arena, &x->members, m);
}

static bool has_groups(const Strips *x, const Node *n)
{
    const Node *seed = x->members.data[0].node;
    return n->rank >= x->outer && domains_equal(n, seed, x->outer);
}

/* The index at which n reads the member's rows, in its own group: a free one at their place, or one that it sums
 * over.  NULL: it reads otherwise. */
static Index *row_of(const Strips *x, const Node *n, const Expr *access)
{
    if (!access_is_aligned(access, n->domain, x->outer))
        return NULL;
    Index *row = affine_is_index(access->subscripts[x->outer].affine);
    if (n->rank > x->outer && row == n->domain[x->outer])
        return row;
    for (int i = 0; row && n->reduction == &reduce_sum && i < n->bound_count; i++)
        if (n->bound[i] == row)
            return row;
    return NULL;
}

static void join(Strips *x, Node *n)
{
    ExprPool *p = x->graph->pool;
    Index *row = NULL;
    bool follows = false;
    if (!is_apt(x, n) || !has_groups(x, n))
        return;
    const AccessList accesses = body_accesses(p, n->body);
    for (int i = 0; i < accesses.count; i++) {
        const StripMember *m = strip_member(x, accesses.data[i]->node);
        if (!m)
            continue;
        Index *at = m->is_sum ? NULL : row_of(x, n, accesses.data[i]);
        if (!at || (row && at != row))
            return;
        row = at;
        follows = follows || strip_is_matrix(x, m->node) || m->node->rank == x->outer + 1;
    }
    if (follows)
        strip_add_member(x, n, row);
}

/* Is it a matrix like the members, made of no others, such as what dropout draws, and do they read it? */
static bool is_source(const Strips *x, const Node *n)
{
    const Graph *g = x->graph;
    if (!is_apt(x, n) || !has_groups(x, n) || !strip_is_matrix(x, n) || strip_member(x, n) ||
        !extents_equal(n->domain[x->outer], x->members.data[0].row))
        return false;
    for (int i = 0; i < x->members.count; i++) {
        const Node *user = x->members.data[i].node;
        const AccessList accesses = body_accesses(g->pool, user->body);
        for (int a = 0; a < accesses.count; a++)
            if (accesses.data[a]->node == n &&
                row_of(x, user, accesses.data[a]) == x->members.data[i].row)
                return true;
    }
    return false;
}

static bool reads_members(const Strips *x, const Node *n)
{
    const AccessList accesses = body_accesses(x->graph->pool, n->body);
    for (int i = 0; i < accesses.count; i++)
        if (strip_member(x, accesses.data[i]->node))
            return true;
    return false;
}

/* All that is made, row by row, of the matrix at `first`. */
static void find_members(Strips *x, int first)
{
    Graph *g = x->graph;
    Node *seed = g->nodes.data[first];
    x->members.count = 0;
    x->outer = seed->rank - 2;
    strip_add_member(x, seed, seed->domain[x->outer]);
    for (int i = 0; i < g->nodes.count; i++) {
        Node *n = g->nodes.data[i];
        if (n == seed)
            continue;
        if (is_seed(x, n) && has_groups(x, n) &&
            extents_equal(n->domain[x->outer], x->members.data[0].row))
            strip_add_member(x, n, n->domain[x->outer]);
        else
            join(x, n);
    }
    for (int i = 0; i < g->nodes.count; i++) {
        Node *n = g->nodes.data[i];
        if (is_source(x, n) && !reads_members(x, n))
            strip_add_member(x, n, n->domain[x->outer]);
    }
}

/* The most rows that divide all of them and stay in the cache; 0: there are none. */
static int64_t choose_rows(const Strips *x)
{
    const int64_t rows = x->members.data[0].row->extent;
    double widest = 0;
    for (int i = 0; i < x->members.count; i++) {
        const Node *n = x->members.data[i].node;
        if (strip_is_matrix(x, n) && row_bytes(n) > widest)
            widest = row_bytes(n);
    }
    int64_t best = 0;
    for (int64_t length = LEAST_ROWS; length < rows; length++)
        if (rows % length == 0 &&
            (!best || ((double)length * widest <= x->most_bytes && length * LEAST_STRIPS <= rows)))
            best = length;
    return best;
}

/* ---- the graph ----------------------------------------------------------------------------------------- */

static void look_anew(Strips *x)
{
    const Graph *g = x->graph;
    x->results = arena_new(g->arena, bool, g->nodes.count);
    x->taken = arena_new(g->arena, bool, g->nodes.count);
    for (int i = 0; i < g->results.count; i++)
        x->results[g->results.data[i].value->id] = true;
    for (int i = 0; i < x->all.count; i++)
        x->taken[x->all.data[i].node->id] = true;
}

static void note_members(Strips *x)
{
    for (int i = 0; i < x->members.count; i++) {
        const StripMember *m = &x->members.data[i];
        const StripNode made = {m->node, m->strip};
        vec_push(x->graph->arena, &x->all, made);
    }
}

bool strip_is_summed(Planner *p, const Node *n)
{
    const Index *strip = PLAN(p, n)->strip;
    for (int i = 0; i < n->bound_count; i++)
        if (n->bound[i] == strip)
            return true;
    return false;
}

StripList strip_run(Graph *g, const LaneModel *lanes)
{
    Strips x = {.graph = g, .most_bytes = (double)lanes->l2_bytes / SHARE_OF_CACHE};
    look_anew(&x);
    for (int i = 0; i < g->nodes.count && !g->positions && !g->window; i++) {
        if (!is_seed(&x, g->nodes.data[i]))
            continue;
        find_members(&x, i);
        x.length = choose_rows(&x);
        if (!x.length)
            continue;
        strip_compute_again(&x);
        strip_split(&x);
        note_members(&x);
        look_anew(&x);
    }
    return x.all;
}
