/* Rewrites of a node's reduction: one row each, the table is at the end. */
#include "opt/opt.h"

#include <stdlib.h>
#include <string.h>

void opt_drop_bound(Node *n, int i)
{
    Index **kept = n->bound;
    n->bound_count--;
    for (; i < n->bound_count; i++)
        kept[i] = kept[i + 1];
    if (n->bound_count == 0)
        n->reduction = NULL;
}

static const Expr *with_index_at(Rewriter *w, const Expr *e, Index *ix, const Affine *a)
{
    return expr_substitute(w->p, e, &(Substitution){1, &ix, &a});
}

static bool is_sum(const Node *n)
{
    return n->reduction == &reduce_sum;
}

/* ---- an index of extent 1 ---------------------------------------------------------------------------------- */

static bool single_value(Rewriter *w, Node *n)
{
    if (!n->reduction || n->reduction->position)
        return false;
    for (int i = 0; i < n->bound_count; i++) {
        if (n->bound[i]->extent != 1 || n->bound[i]->per_example)
            continue;
        n->body = with_index_at(w, n->body, n->bound[i], affine_constant(w->p, 0));
        opt_drop_bound(n, i);
        return true;
    }
    return false;
}

/* ---- sum over an index that the body does not use ------------------------------------------------------------- */

static const Expr *count_of(Rewriter *w, const Index *ix)
{
    if (!ix->per_example)
        return expr_const(w->p, (double)ix->extent);
    const Expr *examples = expr_scalar(w->p, SCALAR_BATCH_SIZE, 0);
    return expr_mul(w->p, examples, expr_const(w->p, (double)ix->per_example));
}

static bool unused_index(Rewriter *w, Node *n)
{
    for (int i = 0; is_sum(n) && dtype_is_real(n->type) && i < n->bound_count; i++) {
        if (expr_uses_index(w->p, n->body, n->bound[i]))
            continue;
        n->body = expr_mul(w->p, n->body, count_of(w, n->bound[i]));
        opt_drop_bound(n, i);
        return true;
    }
    return false;
}

/* ---- sum over an index that a guard fixes ------------------------------------------------------------------------ */

/* The conditions of if c then (if d then … else 0) else 0. */
static void guards_of(ExprPool *p, const Expr *body, Conjuncts *out)
{
    for (; opt_is_guarded(body); body = body->args[1])
        opt_conjuncts(p, body->args[0], out);
}

/* f*r + rest = 0: the value of r, guarded by its being whole and inside. */
static bool substitute_solution(Rewriter *w, Node *n, int bound, const Affine *equation)
{
    Index *r = n->bound[bound];
    bool nested;
    int64_t f = affine_factor(equation, r, &nested);
    if (f == 0 || nested)
        return false;
    const Affine *rest = affine_sub(w->p, equation, affine_scale(w->p, affine_index(w->p, r), f));
    const Affine *value = f > 0 ? affine_scale(w->p, rest, -1) : rest;
    const Expr *zero = expr_const_typed(w->p, 0, n->body->type), *body;
    const Expr *whole = expr_test(w->p, TEST_ZERO, affine_remainder(w->p, value, llabs(f)));
    value = affine_quotient(w->p, value, llabs(f));
    body = opt_guard_inside(w->p, value, r->extent, with_index_at(w, n->body, r, value));
    n->body = expr_select(w->p, whole, body, zero);
    opt_drop_bound(n, bound);
    return true;
}

static bool fixed_by_guard(Rewriter *w, Node *n)
{
    Conjuncts guards = {0};
    if (!is_sum(n))
        return false;
    guards_of(w->p, n->body, &guards);
    for (int pass = 0; pass < 2; pass++) /* factors of 1 first: they cost no division */
        for (int k = 0; k < guards.count; k++) {
            const Expr *t = guards.data[k];
            if (t->kind != EXPR_TEST || t->test != TEST_ZERO)
                continue;
            for (int i = 0; i < n->bound_count; i++) {
                int64_t f = affine_factor(t->affine, n->bound[i], NULL);
                if ((pass == 1 || llabs(f) == 1) && substitute_solution(w, n, i, t->affine))
                    return true;
            }
        }
    return false;
}

/* ---- factors leave a sum --------------------------------------------------------------------------------------------- */

/* e = fixed * varying, where `fixed` does not use the bound indices; NULL is 1. */
typedef struct Split {
    const Expr *fixed, *varying;
} Split;

static const Expr *product(ExprPool *p, const Expr *a, const Expr *b)
{
    return !a ? b : !b ? a : expr_mul(p, a, b);
}

static const Expr *quotient(ExprPool *p, const Expr *a, const Expr *b)
{
    return expr_div(p, a ? a : expr_const(p, 1), b);
}

static const Expr *negative(ExprPool *p, const Expr *a)
{
    return expr_neg(p, a ? a : expr_const(p, 1));
}

static Split split(ExprPool *p, const Node *n, const Expr *e)
{
    if (!opt_uses_any(p, e, n->bound, n->bound_count))
        return (Split){.fixed = e};
    if (opt_is_call(e, &scalar_mul)) {
        Split a = split(p, n, e->args[0]), b = split(p, n, e->args[1]);
        return (Split){product(p, a.fixed, b.fixed), product(p, a.varying, b.varying)};
    }
    if (opt_is_call(e, &scalar_neg)) {
        Split a = split(p, n, e->args[0]);
        return (Split){negative(p, a.fixed), a.varying};
    }
    if (opt_is_call(e, &scalar_div)) {
        Split a = split(p, n, e->args[0]);
        if (opt_uses_any(p, e->args[1], n->bound, n->bound_count))
            return (Split){a.fixed, quotient(p, a.varying, e->args[1])};
        return (Split){quotient(p, a.fixed, e->args[1]), a.varying};
    }
    if (opt_is_guarded(e)) {
        Split a = split(p, n, e->args[1]);
        const Expr *varying = a.varying ? a.varying : expr_const(p, 1);
        if (a.fixed && expr_reads_inside(p, NULL, a.fixed))
            return (Split){a.fixed, expr_select(p, e->args[0], varying, e->args[2])};
    }
    return (Split){.varying = e};
}

/* The accesses of a product's factors. */
typedef struct Operands {
    ExprPool *p;
    const Expr *access[8];
    int count;
} Operands;

static void add_operands(void *context, const Expr *e)
{
    Operands *o = context;
    if (e->kind == EXPR_ACCESS && dtype_is_real(e->type) && o->count < 8)
        o->access[o->count++] = e;
}

/* Does `a` move along a free index that `b` does not know? */
static bool has_own_free_index(ExprPool *p, const Node *n, const Expr *a, const Expr *b)
{
    for (int i = 0; i < n->rank; i++)
        if (expr_uses_index(p, a, n->domain[i]) && !expr_uses_index(p, b, n->domain[i]))
            return true;
    return false;
}

/* A sum of a product of two operands, each with free indices of its own: its engine has an epilogue. */
static bool is_contraction(ExprPool *p, const Node *n, const Expr *body)
{
    Operands o = {.p = p};
    expr_visit(p, body, add_operands, &o);
    for (int a = 0; a < o.count; a++)
        for (int b = 0; b < a; b++)
            if (has_own_free_index(p, n, o.access[a], o.access[b]) &&
                has_own_free_index(p, n, o.access[b], o.access[a]))
                return true;
    return false;
}

static Index **fresh(Rewriter *w, Index *const *from, int count, const Affine ***affine)
{
    Index **to = arena_new(w->g->arena, Index *, count + 1);
    *affine = arena_new(w->g->arena, const Affine *, count + 1);
    for (int i = 0; i < count; i++) {
        to[i] = index_copy(w->p, from[i]);
        (*affine)[i] = affine_index(w->p, to[i]);
    }
    return to;
}

/* A new node for the sum alone, over indices of its own. */
static Node *sum_alone(Rewriter *w, const Node *n, const Expr *body)
{
    const Affine **domain_at, **bound_at;
    Index **domain = fresh(w, n->domain, n->rank, &domain_at);
    Index **bound = fresh(w, n->bound, n->bound_count, &bound_at);
    body = expr_substitute(w->p, body, &(Substitution){n->rank, n->domain, domain_at});
    body = expr_substitute(w->p, body, &(Substitution){n->bound_count, n->bound, bound_at});
    Node *sum = graph_compute(w->g, arena_format(w->g->arena, "%s_sum", n->name), n->type, domain,
                              n->rank, n->reduction, bound, n->bound_count, body, n->span);
    sum->layer = n->layer;
    for (int i = 0; i < n->step_count; i++)
        for (int k = 0; k < n->rank; k++)
            if (n->domain[k] == n->steps[i].index)
                sum->steps[sum->step_count++] = (StepCounter){sum->domain[k], NULL};
    return sum;
}

static bool factor_leaves_sum(Rewriter *w, Node *n)
{
    if (!is_sum(n) || !dtype_is_real(n->type))
        return false;
    Split s = split(w->p, n, n->body);
    if (!s.fixed || !s.varying || is_contraction(w->p, n, s.varying))
        return false;
    Node *sum = sum_alone(w, n, s.varying);
    n->body = expr_mul(w->p, s.fixed, expr_access_identity(w->p, sum, n->domain));
    n->reduction = NULL;
    n->bound_count = 0;
    return true;
}

/* ---- a sum of sums ----------------------------------------------------------------------------------------------------- */

/* Is the body of n all of a node, each element once? */
static bool reads_each_once(const Node *n, const Expr *access)
{
    if (access->count != n->rank + n->bound_count)
        return false;
    for (int i = 0; i < access->count; i++) {
        const Affine *a = access->subscripts[i].affine;
        const Index *ix = a ? affine_is_index(a) : NULL;
        if (!ix || ix->extent != access->node->domain[i]->extent)
            return false;
        for (int k = 0; k < i; k++)
            if (affine_is_index(access->subscripts[k].affine) == ix)
                return false;
    }
    return true;
}

static bool name_is_used(const Node *n, const Index *ix)
{
    for (int i = 0; i < n->rank; i++)
        if (strcmp(n->domain[i]->name, ix->name) == 0)
            return true;
    for (int i = 0; i < n->bound_count; i++)
        if (strcmp(n->bound[i]->name, ix->name) == 0)
            return true;
    return false;
}

static bool names_clash(const Node *n, const Node *inner)
{
    for (int i = 0; i < inner->bound_count; i++)
        if (name_is_used(n, inner->bound[i]))
            return true;
    return false;
}

static bool sum_of_sums(Rewriter *w, Node *n)
{
    if (!is_sum(n) || n->body->kind != EXPR_ACCESS || !reads_each_once(n, n->body))
        return false;
    const Node *inner = n->body->node;
    if (inner->kind != NODE_COMPUTE || !is_sum(inner) || inner->id >= w->counted ||
        w->uses[inner->id] != 1 || names_clash(n, inner))
        return false;
    const Affine **at = arena_new(w->g->arena, const Affine *, inner->rank + 1), **bound_at;
    for (int i = 0; i < inner->rank; i++)
        at[i] = n->body->subscripts[i].affine;
    Index **bound = fresh(w, inner->bound, inner->bound_count, &bound_at);
    const Expr *body =
        expr_substitute(w->p, inner->body, &(Substitution){inner->rank, inner->domain, at});
    body = expr_substitute(w->p, body, &(Substitution){inner->bound_count, inner->bound, bound_at});
    if (is_contraction(w->p, inner, inner->body) && !is_contraction(w->p, n, body))
        return false; /* the product of matrices is cheaper than the sum of all its terms */
    n->body = body;
    Index **all = arena_new(w->g->arena, Index *, n->bound_count + inner->bound_count);
    memcpy(all, n->bound, sizeof *all * (size_t)n->bound_count);
    memcpy(all + n->bound_count, bound, sizeof *all * (size_t)inner->bound_count);
    n->bound = all;
    n->bound_count += inner->bound_count;
    return true;
}

const Rule opt_node_rules[] = {
    {"single-value", "a reduction over one value", .node = single_value},
    {"unused-index", "a sum of equal terms", .node = unused_index},
    {"deviations-cancel", "sum[i] (a[i] - mean[i] a[i])", .node = opt_deviations_cancel},
    {"scaled-copy", "c * y, where y is a product that nothing else needs", .node = opt_scaled_copy},
    {"fixed-by-guard", "sum[i] if i == a then e else 0", .node = fixed_by_guard},
    {"one-phase", "sum[u] if (i - u) % s == 0 then e else 0", .node = opt_one_phase},
    {"fixed-by-data", "sum[v] if d == v then e[v] else 0", .node = opt_fixed_by_data},
    {"one-hot-in-sum", "sum[v] of a node that is 0 unless d == v", .node = opt_one_hot_in_sum},
    {"factor-leaves-sum", "sum[i] a * b[i]", .node = factor_leaves_sum},
    {"sum-of-sums", "sum[i] of a sum that nothing else needs", .node = sum_of_sums},
    {0},
};
