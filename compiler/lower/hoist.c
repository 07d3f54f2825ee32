/* What the loops over some indices do not change is computed in front of them, once, and kept in a register. */
#include "lower/internal.h"

typedef struct Variance {
    const Hoist *h;
    bool varies;
} Variance;

static void visit_variance(void *context, const Expr *e)
{
    Variance *v = context;
    const Hoist *h = v->h;
    if (e->kind == EXPR_LOCAL && e->local >= h->first_local)
        v->varies = true;
    for (int i = 0; e->affine && i < h->indices.count; i++)
        v->varies = v->varies || affine_uses(e->affine, h->indices.data[i]);
    for (int i = 0; e->kind == EXPR_LOAD && i < h->written.count; i++)
        v->varies = v->varies || e->buffer == h->written.data[i];
}

static bool is_invariant(const Hoist *h, const Expr *e)
{
    Variance v = {h, false};
    expr_visit(h->l->pool, e, visit_variance, &v);
    return !v.varies;
}

/* May the operand stay unevaluated? */
static bool is_conditional(const Expr *e, int operand)
{
    return operand > 0 && (e->function == &scalar_select || e->function == &scalar_and ||
                           e->function == &scalar_or);
}

static const Expr *set_before(const Hoist *h, const Expr *e)
{
    int local = local_new(h->l, e->type);
    loop_set(h->l, h->into, local, e);
    return expr_local(h->l->pool, e->type, local);
}

/* Divided by what does not move: one division for all, each of which takes a vector unit as long as a dozen
 * products. */
static const Expr *times_reciprocal(const Hoist *h, const Expr *value, const Expr *divisor)
{
    ExprPool *p = h->l->pool;
    const Expr *one = expr_const_typed(p, 1, divisor->type);
    return expr_mul(p, value, set_before(h, expr_div(p, one, divisor)));
}

/* Only what is evaluated whatever the data moves: nothing inside the arms of a select. */
static const Expr *hoist_walk(const Hoist *h, const Expr *e)
{
    if (e->kind != EXPR_CALL && e->kind != EXPR_LOAD)
        return e;
    if (is_invariant(h, e))
        return set_before(h, e);
    if (e->kind == EXPR_LOAD)
        return e;
    const Expr *args[3];
    bool changed = false;
    for (int i = 0; i < e->function->arity; i++) {
        args[i] = is_conditional(e, i) ? e->args[i] : hoist_walk(h, e->args[i]);
        changed = changed || args[i] != e->args[i];
    }
    if (e->function == &scalar_div && dtype_is_real(e->type) && args[1]->kind == EXPR_LOCAL &&
        is_invariant(h, e->args[1]))
        return times_reciprocal(h, args[0], args[1]);
    return changed ? expr_call(h->l->pool, e->function, args) : e;
}

const Expr *hoist(const Hoist *h, const Expr *e)
{
    return h->indices.count ? hoist_walk(h, e) : e;
}

typedef struct Moved {
    const Hoist *h;
    double cost;
} Moved;

static void visit_moved(void *context, const Expr *e)
{
    Moved *m = context;
    if (e->kind == EXPR_CALL && is_invariant(m->h, e))
        m->cost += e->function->cost;
}

double hoist_cost(const Hoist *h, const Expr *e)
{
    Moved m = {h, 0};
    expr_visit(h->l->pool, e, visit_moved, &m);
    return m.cost;
}
