/* Where the strips of triangular matrices end.  Of causal attention's weights,
 *
 *     weight[b, p, r, j]  = if 16*p + r >= j then … else 0
 *
 * nobody needs the columns beyond the strip's last row; where that holds of all that a chain makes of them, its loops
 * over columns end there, with some more columns for the last panel of a tile.
 *   needs: chains, what is zero where, and the places of nodes
 *   gives: per node, the test on what it loops over where which does not hold nothing is to be done */
#include "schedule/internal.h"

enum { PANEL = 48 }; /* the most rows or columns of a register tile */

typedef struct Ends {
    Planner *p;
    const Schedule *s;
    int first, end; /* the chain's kernels                                  */
    int outer;      /* its loops but for that over strips                   */
    bool any;       /* it has a limit: columns end so many beyond their row */
    int64_t beyond;
    bool *cut; /* per node id: a matrix that nobody reads beyond that  */
} Ends;

/* ---- the test ------------------------------------------------------------------------------------------ */

/* length * strip + row + beyond - column >= 0: of a row of a strip, which columns?  NULL: another test. */
static Index *limited_column(const Expr *test, const Index *strip, int64_t *beyond)
{
    const Affine *a = test->affine;
    const int64_t length = affine_factor(a, strip, NULL);
    Index *column = NULL;
    bool row = false;
    if (test->test != TEST_NOT_NEGATIVE || a->count != 3 || length <= 0)
        return NULL;
    for (int i = 0; i < a->count; i++) {
        const Term *t = &a->terms[i];
        if (t->kind != TERM_INDEX)
            return NULL;
        if (t->factor == -1)
            column = t->index;
        row = row || (t->factor == 1 && t->index != strip && t->index->extent == length);
    }
    *beyond = a->constant;
    return row ? column : NULL;
}

/* Is the column limited in the tests of n, as in all the chain? */
static bool is_limited(const Ends *x, const Node *n, const Expr *const *tests, int count,
                       const Index *column)
{
    for (int i = 0; i < count; i++) {
        int64_t beyond;
        if (limited_column(tests[i], PLAN(x->p, n)->strip, &beyond) == column && column &&
            beyond == x->beyond)
            return true;
    }
    return false;
}

static void find_limit(Ends *x)
{
    for (int i = x->first; i < x->end && !x->any; i++) {
        const Kernel *k = x->s->kernels.data[i];
        for (int t = 0; k->kind == KERNEL_CONTRACTION && t < k->contraction.limits.count; t++)
            x->any = x->any || limited_column(k->contraction.limits.data[t],
                                              PLAN(x->p, k->nodes.data[0])->strip, &x->beyond);
    }
}

/* The columns of a strip end behind those of its last row and a panel. */
static const Expr *end_test(const Ends *x, const Node *n, Index *column)
{
    ExprPool *p = x->p->pool;
    Index *strip = PLAN(x->p, n)->strip;
    const Kernel *first = x->s->kernels.data[x->first];
    const int64_t length = first->nodes.data[0]->domain[x->outer + 1]->extent;
    const Affine *last = affine_offset(p, affine_scale(p, affine_index(p, strip), length),
                                       length - 1 + x->beyond + PANEL);
    return expr_test(p, TEST_NOT_NEGATIVE, affine_sub(p, last, affine_index(p, column)));
}

/* ---- who needs what ------------------------------------------------------------------------------------ */

static bool is_matrix(const Ends *x, const Node *n)
{
    const PlaceKind place = x->s->places[n->id].kind;
    return n->rank == x->outer + 3 && n->domain[x->outer] == PLAN(x->p, n)->strip &&
           (place == PLACE_CHAIN || place == PLACE_SCRATCH);
}

static Index *last_column(const Expr *access)
{
    return affine_is_index(access->subscripts[access->count - 1].affine);
}

/* Does n, in kernel k, read no more of the matrix than what is to be there? */
static bool spares(const Ends *x, const Kernel *k, const Node *n, const Expr *access)
{
    const NodePlan *plan = PLAN(x->p, n);
    Index *column = last_column(access);
    if (affine_is_index(access->subscripts[x->outer].affine) != plan->strip)
        return false;
    if (k->kind == KERNEL_CONTRACTION && n == k->nodes.data[0])
        return is_limited(x, n, k->contraction.limits.data, k->contraction.limits.count, column);
    if (n->reduction)
        return n->bound_count == 1 && n->bound[0] == column &&
               is_limited(x, n, plan->nothing.data, plan->nothing.count, column);
    return x->cut[n->id] && access_is_identity(access, n);
}

/* May all of the kernel's loops over columns end early? */
static bool is_cut(const Ends *x, const Kernel *k)
{
    for (int i = 0; i < k->nodes.count; i++) {
        const Node *n = k->nodes.data[i];
        const NodePlan *plan = PLAN(x->p, n);
        const bool in_rows = n->rank == x->outer + 2 && n->domain[x->outer] == plan->strip;
        if (k->kind == KERNEL_CONTRACTION && i == 0 && !is_matrix(x, n))
            return true; /* a sum of matrices: by its limits */
        if (!x->cut[n->id] &&
            !(in_rows && (!n->reduction ||
                          (n->bound_count == 1 && is_limited(x, n, plan->nothing.data,
                                                             plan->nothing.count, n->bound[0])))))
            return false;
    }
    return true;
}

static bool spare_kernel(Ends *x, const Kernel *k)
{
    const bool cut = is_cut(x, k);
    bool changed = false;
    for (int i = 0; i < k->nodes.count; i++) {
        const Node *n = k->nodes.data[i];
        const AccessList reads = body_accesses(x->p->pool, x->s->bodies[n->id]);
        if (!cut && x->cut[n->id]) {
            x->cut[n->id] = false;
            changed = true;
        }
        for (int a = 0; a < reads.count; a++) {
            const Node *from = node_storage(reads.data[a]->node);
            if (x->cut[from->id] && (!cut || !spares(x, k, n, reads.data[a]))) {
                x->cut[from->id] = false;
                changed = true;
            }
        }
    }
    return changed;
}

/* Of all matrices, those of which the columns beyond are needed fall away, and then what these read. */
static void find_cut(Ends *x)
{
    x->cut = arena_new(x->p->arena, bool, x->p->graph->nodes.count);
    for (int i = x->first; i < x->end; i++)
        for (int j = 0; j < x->s->kernels.data[i]->nodes.count; j++) {
            const Node *n = x->s->kernels.data[i]->nodes.data[j];
            x->cut[n->id] = is_matrix(x, n);
        }
    for (bool changed = true; changed;) {
        changed = false;
        for (int i = x->first; i < x->end; i++)
            changed = spare_kernel(x, x->s->kernels.data[i]) || changed;
    }
}

/* The columns over which n loops, of matrices that are cut; NULL: none. */
static Index *column_of(const Ends *x, const Node *n)
{
    if (x->cut[n->id])
        return n->domain[n->rank - 1];
    const AccessList reads = body_accesses(x->p->pool, x->s->bodies[n->id]);
    for (int a = 0; a < reads.count; a++) {
        Index *column =
            x->cut[node_storage(reads.data[a]->node)->id] ? last_column(reads.data[a]) : NULL;
        for (int i = 0; column && i < n->bound_count; i++)
            if (n->bound[i] == column)
                return column;
    }
    return NULL;
}

static void end_chain(Ends *x)
{
    find_limit(x);
    if (!x->any)
        return;
    find_cut(x);
    for (int i = x->first; i < x->end; i++)
        for (int j = 0; j < x->s->kernels.data[i]->nodes.count; j++) {
            Node *n = x->s->kernels.data[i]->nodes.data[j];
            Index *column = column_of(x, n);
            x->s->ends[n->id] = column ? end_test(x, n, column) : NULL;
        }
}

void strip_end_run(Planner *p)
{
    Schedule *s = p->schedule;
    s->ends = arena_new(p->arena, const Expr *, p->graph->nodes.count);
    for (int first = 0, end; first < s->kernels.count; first = end) {
        const Kernel *k = s->kernels.data[first];
        end = schedule_chain_end(s, first);
        Ends x = {.p = p, .s = s, .first = first, .end = end, .outer = k->group_loops - 1};
        if (end > first + 1 && PLAN(p, k->nodes.data[0])->strip)
            end_chain(&x);
    }
}
