/* What a sum adds up, as a product: its factors, the truths without which it is nothing, and what is the same for
 * all terms. */
#include "schedule/internal.h"

static void add_factor(Summand *p, const Expr *value, bool guard)
{
    Factor f = {value, guard, 0};
    vec_push(p->arena, &p->factors, f);
}

static void flatten_guard(Summand *p, const Expr *e)
{
    if (e->kind == EXPR_CALL && e->function == &scalar_and) {
        flatten_guard(p, e->args[0]);
        flatten_guard(p, e->args[1]);
        return;
    }
    add_factor(p, e, true);
}

/* Is it the same for all terms of the sum? */
static bool is_outside(const Summand *p, const Expr *e)
{
    for (int i = 0; i < p->bound_count; i++)
        if (expr_uses_index(p->pool, e, p->bound[i]))
            return false;
    return true;
}

static void flatten(Summand *p, const Expr *e)
{
    double value;
    if (expr_is_const(e, &value)) {
        p->constant *= value;
        return;
    }
    if (e->kind == EXPR_CALL && e->function == &scalar_mul) {
        flatten(p, e->args[0]);
        flatten(p, e->args[1]);
        return;
    }
    if (e->kind == EXPR_CALL && e->function == &scalar_neg) {
        p->constant = -p->constant;
        flatten(p, e->args[0]);
        return;
    }
    if (e->kind == EXPR_CALL && e->function == &scalar_div && dtype_is_real(e->type) &&
        e->args[1]->kind != EXPR_CONST && is_outside(p, e->args[1])) {
        flatten(p, e->args[0]);
        add_factor(p, expr_div(p->pool, expr_const_typed(p->pool, 1, e->type), e->args[1]), false);
        return;
    }
    if (e->kind == EXPR_CALL && e->function == &scalar_select && expr_is_zero(e->args[2])) {
        flatten_guard(p, e->args[0]);
        flatten(p, e->args[1]);
        return;
    }
    if (e->kind == EXPR_CALL && e->function == &scalar_select && expr_is_zero(e->args[1])) {
        add_factor(p, expr_not(p->pool, e->args[0]), true);
        flatten(p, e->args[2]);
        return;
    }
    add_factor(p, e, false);
}

Summand summand_of(ExprPool *pool, Index *const *bound, int bound_count, const Expr *body)
{
    Summand p = {.bound = bound,
                 .bound_count = bound_count,
                 .pool = pool,
                 .arena = expr_pool_arena(pool),
                 .constant = 1};
    flatten(&p, body);
    return p;
}
