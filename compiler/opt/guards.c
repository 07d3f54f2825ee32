/* Conditions: taking them apart, deciding them from facts, adding them where a range needs one. */
#include "opt/opt.h"

bool opt_is_call(const Expr *e, const ScalarFunction *f)
{
    return e->kind == EXPR_CALL && e->function == f;
}

const Expr *opt_call2(ExprPool *p, const ScalarFunction *f, const Expr *a, const Expr *b)
{
    return expr_call(p, f, (const Expr *const[]){a, b});
}

bool opt_is_const(const Expr *e, double value)
{
    double v;
    return expr_is_const(e, &v) && v == value;
}

bool opt_is_guarded(const Expr *e)
{
    return opt_is_call(e, &scalar_select) && opt_is_const(e->args[2], 0);
}

bool opt_is_pure_test(const Expr *c)
{
    if (c->kind != EXPR_CALL)
        return c->kind == EXPR_TEST || c->kind == EXPR_CONST;
    if (c->function != &scalar_and && c->function != &scalar_or && c->function != &scalar_not)
        return false;
    for (int i = 0; i < c->function->arity; i++)
        if (!opt_is_pure_test(c->args[i]))
            return false;
    return true;
}

void opt_conjuncts(ExprPool *p, const Expr *c, Conjuncts *out)
{
    if (opt_is_call(c, &scalar_and)) {
        opt_conjuncts(p, c->args[0], out);
        opt_conjuncts(p, c->args[1], out);
        return;
    }
    vec_push(expr_pool_arena(p), out, c);
}

/* Is one comparison the negation of the other (NaN aside)? */
static bool are_opposite(const Expr *a, const Expr *b)
{
    static const ScalarFunction *const pairs[][2] = {
        {&scalar_gt, &scalar_le},
        {&scalar_ge, &scalar_lt},
        {&scalar_eq, &scalar_ne},
    };
    if (a->kind != EXPR_CALL || b->kind != EXPR_CALL || a->args[0] != b->args[0] ||
        a->args[1] != b->args[1])
        return false;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if ((a->function == pairs[i][0] && b->function == pairs[i][1]) ||
            (a->function == pairs[i][1] && b->function == pairs[i][0]))
            return true;
    return false;
}

/* Does `c` stand among the conditions themselves? */
static int stated(const Expr *condition, bool holds, const Expr *c)
{
    if (condition == c)
        return holds;
    if (are_opposite(condition, c))
        return !holds;
    if (opt_is_call(condition, &scalar_not))
        return stated(condition->args[0], !holds, c);
    if (opt_is_call(condition, holds ? &scalar_and : &scalar_or)) {
        int first = stated(condition->args[0], holds, c);
        return first >= 0 ? first : stated(condition->args[1], holds, c);
    }
    return -1;
}

static int decide_test(ExprPool *p, const Facts *facts, const Expr *t)
{
    const Affine *a = t->affine, *minus = affine_scale(p, a, -1);
    bool positive = facts_prove_not_negative(p, facts, affine_offset(p, a, -1));
    bool negative = facts_prove_not_negative(p, facts, affine_offset(p, minus, -1));
    if (t->test == TEST_NOT_NEGATIVE)
        return negative ? 0 : positive || facts_prove_not_negative(p, facts, a) ? 1 : -1;
    if (positive || negative)
        return 0;
    bool zero = facts_prove_not_negative(p, facts, a) && facts_prove_not_negative(p, facts, minus);
    return zero ? 1 : -1;
}

int opt_decide(ExprPool *p, const Facts *facts, const Expr *c)
{
    double value;
    if (expr_is_const(c, &value))
        return value != 0;
    for (const Facts *f = facts; f; f = f->outer) {
        int known = stated(f->test, f->holds, c);
        if (known >= 0)
            return known;
    }
    return c->kind == EXPR_TEST ? decide_test(p, facts, c) : -1;
}

static const Expr *guard_not_negative(ExprPool *p, const Affine *a, const Expr *e)
{
    if (facts_prove_not_negative(p, NULL, a))
        return e;
    return expr_select(p, expr_test(p, TEST_NOT_NEGATIVE, a), e, expr_const_typed(p, 0, e->type));
}

const Expr *opt_guard_inside(ExprPool *p, const Affine *a, int64_t extent, const Expr *e)
{
    e = guard_not_negative(p, affine_offset(p, affine_scale(p, a, -1), extent - 1), e);
    return guard_not_negative(p, a, e);
}

bool opt_uses_any(ExprPool *p, const Expr *e, Index *const *indices, int count)
{
    for (int i = 0; i < count; i++)
        if (expr_uses_index(p, e, indices[i]))
            return true;
    return false;
}
