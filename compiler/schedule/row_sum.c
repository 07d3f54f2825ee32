/* Sums over rows of what a contraction's kernel makes, taken while its block is in cache: the parts of a
 * batch's statistics, or of a bias's gradient. */
#include "schedule/internal.h"

enum {
    LEAST_ROWS = 24,              /* of a sum: they are whole panels of the register tile        */
    MOST_BLOCK_BYTES = 64 * 1024, /* of the rows of a sum, which stay in cache until it is taken */
    BLOCK_BYTES = 16 * 1024,      /* the same, where there is a choice                           */
    BLOCK_ROWS = 64,              /* so many rows a sum has then, at least                       */
    MOST_CHAIN = 4                /* nodes between a contraction and the sum                     */
};

static bool is_in(const Kernel *k, const Node *n)
{
    for (int i = 0; i < k->nodes.count; i++)
        if (k->nodes.data[i] == n)
            return true;
    return false;
}

bool kernel_is_row_sum(const Kernel *k, const Node *n)
{
    return k->kind == KERNEL_CONTRACTION && n->reduction && n != k->nodes.data[0];
}

static int dimension_of(const Node *n, const Index *ix)
{
    for (int i = 0; i < n->rank; i++)
        if (n->domain[i] == ix)
            return i;
    return -1;
}

/* A row, or what counts groups of them? */
static bool is_row(const Kernel *k, const Index *ix)
{
    const Contraction *c = &k->contraction;
    for (int i = 0; i < c->rows.count; i++)
        if (c->rows.data[i] == ix)
            return true;
    for (int i = 0; i < c->groups.count; i++)
        if (c->groups.data[i] == ix)
            return true;
    return false;
}

/* Are the contraction's rows indices of its result, none of them in parts? */
static bool has_whole_rows(const Kernel *k)
{
    for (int i = 0; i < k->contraction.rows.count; i++)
        if (dimension_of(k->nodes.data[0], k->contraction.rows.data[i]) < 0)
            return false;
    return true;
}

/* The number that the access to k's result, or one like it, has among the rows of all groups. */
static const Affine *row_number(ExprPool *p, const Kernel *k, const Expr *access)
{
    const Contraction *c = &k->contraction;
    const Affine *row = affine_constant(p, 0);
    for (int i = 0; i < c->groups.count + c->rows.count; i++) {
        const Index *ix =
            i < c->groups.count ? c->groups.data[i] : c->rows.data[i - c->groups.count];
        const int at = dimension_of(k->nodes.data[0], ix);
        row = affine_add(p, affine_scale(p, row, ix->extent), access->subscripts[at].affine);
    }
    return row;
}

static const Affine *loops_number(ExprPool *p, Index *const *loops, int count)
{
    const Affine *number = affine_constant(p, 0);
    for (int i = 0; i < count; i++)
        number =
            affine_add(p, affine_scale(p, number, loops[i]->extent), affine_index(p, loops[i]));
    return number;
}

static int64_t count_rows(const Node *n)
{
    int64_t rows = 1;
    for (int i = 0; i < n->bound_count; i++)
        rows *= n->bound[i]->extent;
    return rows;
}

int64_t kernel_sum_rows(const Kernel *k)
{
    for (int i = 1; i < k->nodes.count; i++)
        if (k->nodes.data[i]->reduction)
            return count_rows(k->nodes.data[i]);
    return 0;
}

/* The columns that n's sum keeps, by the access to the contraction's result or one like it. */
static bool find_columns(const Kernel *k, const Node *n, const Expr *access, RowSum *s)
{
    const Node *result = k->nodes.data[0];
    if (access->node->rank != result->rank)
        return false;
    for (int i = 0; i < n->rank; i++)
        s->columns[i] = NULL;
    for (int i = 0; i < result->rank; i++) {
        if (is_row(k, result->domain[i]))
            continue;
        const int loop = dimension_of(n, affine_is_index(access->subscripts[i].affine));
        if (loop < 0 || s->columns[loop])
            return false;
        s->columns[loop] = result->domain[i];
    }
    return true;
}

/* Does it go through all rows, `count_rows` of them after each other? */
static bool covers_rows(ExprPool *p, const Kernel *k, const Node *n, const Expr *access, RowSum *s)
{
    s->outer_count = 0;
    for (int i = 0; i < n->rank; i++)
        if (!s->columns[i])
            s->outer[s->outer_count++] = n->domain[i];
    const Affine *outer = loops_number(p, s->outer, s->outer_count),
                 *inner = loops_number(p, n->bound, n->bound_count);
    return s->outer_count &&
           row_number(p, k, access) == affine_add(p, affine_scale(p, outer, count_rows(n)), inner);
}

bool kernel_row_sum(const Schedule *s, const Kernel *k, const Node *n, RowSum *sum)
{
    ExprPool *p = s->graph->pool;
    const AccessList accesses = body_accesses(p, s->bodies[n->id]);
    bool found = false;
    *sum = (RowSum){.columns = arena_new(s->graph->arena, Index *, n->rank + 1),
                    .outer = arena_new(s->graph->arena, Index *, n->rank + 1)};
    for (int i = 0; i < accesses.count; i++) {
        const Expr *a = accesses.data[i];
        if (!is_in(k, node_storage(a->node)))
            continue;
        if (!is_in(k, a->node) || access_has_data(a))
            return false;
        if (kernel_is_row_sum(k, a->node)) {
            if (!access_is_identity(a, n))
                return false;
            continue;
        }
        if (!find_columns(k, n, a, sum) || !covers_rows(p, k, n, a, sum))
            return false;
        found = true;
    }
    return found;
}

bool row_sum_fits(Planner *p, const Kernel *k, const Node *n)
{
    const Contraction *c = &k->contraction;
    const int64_t rows = count_rows(n), others = kernel_sum_rows(k);
    RowSum sum;
    if (n->reduction != &reduce_sum || n->type != k->nodes.data[0]->type || n->recurrence ||
        !n->bound_count || c->groups.count || !has_whole_rows(k))
        return false;
    double bytes = (double)rows * dtype_size(n->type);
    for (int i = 0; i < c->columns.count; i++)
        bytes *= (double)c->columns.data[i]->extent;
    return rows >= LEAST_ROWS && bytes <= MOST_BLOCK_BYTES && (!others || others == rows) &&
           kernel_row_sum(p->schedule, k, n, &sum);
}

/* ---- parts of sums, for blocks ------------------------------------------------------------------------- */

/* Is it a contraction's result, or made of its elements alone? */
static bool comes_from_contraction(ExprPool *p, Node *n, int chain)
{
    Contraction c;
    if (n->kind != NODE_COMPUTE || n->recurrence)
        return false;
    if (n->reduction)
        return contract_recognise(p, n, n->body, &c);
    const AccessList accesses = body_accesses(p, n->body);
    for (int i = 0; chain < MOST_CHAIN && i < accesses.count; i++)
        if (access_is_identity(accesses.data[i], n) &&
            comes_from_contraction(p, accesses.data[i]->node, chain + 1))
            return true;
    return false;
}

static bool reads_contraction(ExprPool *p, const Node *n)
{
    const AccessList accesses = body_accesses(p, n->body);
    for (int i = 0; i < accesses.count; i++)
        if (accesses.data[i]->node->rank == n->rank + n->bound_count &&
            comes_from_contraction(p, accesses.data[i]->node, 0))
            return true;
    return false;
}

/* A contraction takes sums of its block while that is in the first cache: where the rows of a part would be
 * too many, so many values of its first index are enough. */
static int64_t values_in_block(const Node *n, int outer)
{
    int64_t rows = 1, values = n->bound[outer]->extent;
    for (int i = outer; i < n->bound_count; i++)
        rows *= n->bound[i]->extent;
    const double row_bytes = (double)node_elements(n) * dtype_size(n->type);
    while (values % 2 == 0 && (double)rows * row_bytes > BLOCK_BYTES && rows >= 2 * BLOCK_ROWS)
        values /= 2, rows /= 2;
    return values;
}

/* The bound index at `at` as two, the second of `values` values. */
static void split_bound(Graph *g, Node *n, int at, int64_t values)
{
    ExprPool *p = g->pool;
    Index *ix = n->bound[at];
    Index **bound = arena_new(g->arena, Index *, n->bound_count + 1);
    for (int i = 0; i < n->bound_count; i++)
        bound[i + (i > at)] = n->bound[i];
    bound[at] = index_new(p, ix->name, ix->extent / values, 0, ix->span);
    bound[at + 1] = index_new(p, ix->name, values, 0, ix->span);
    const Affine *both = affine_add(p, affine_scale(p, affine_index(p, bound[at]), values),
                                    affine_index(p, bound[at + 1]));
    const Substitution s = {1, &ix, &both};
    n->body = expr_substitute(p, n->body, &s);
    n->within = n->within ? expr_substitute(p, n->within, &s) : NULL;
    n->bound = bound;
    n->bound_count++;
}

/* One part for each block of a contraction that makes what n reads; gives how many indices count them. */
int row_sum_split(Graph *g, Node *n, int outer)
{
    const Index *ix = n->bound[outer];
    if (ix->per_example || !reads_contraction(g->pool, n))
        return outer;
    const int64_t values = values_in_block(n, outer);
    if (values == ix->extent)
        return outer;
    split_bound(g, n, outer, values);
    return outer + 1;
}
