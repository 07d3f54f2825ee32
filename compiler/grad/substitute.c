/* Putting a solution into equations, guards and the value, so that ranges stay as narrow as they were. */
#include "grad/solver.h"

typedef struct Substituting {
    ExprPool *pool;
    const Solution *solution;
} Substituting;

/* How often sum(factor * index) is contained in a, exactly; 0 when it is not. */
static int64_t multiple_of_total(const Solution *x, const Affine *a)
{
    bool nested;
    int64_t times = affine_factor(a, x->index[0], &nested) / x->factor[0];
    for (int i = 0; i < x->count; i++)
        if (affine_factor(a, x->index[i], &nested) != times * x->factor[i])
            return 0;
    return times;
}

static const Affine *substitute(const Substituting *c, const Affine *a);

/* t with its factor.  An index solved by f*v = total divides exactly, so that c*v is (c*total)/f. */
static const Affine *substitute_term(const Substituting *c, const Term *t)
{
    ExprPool *p = c->pool;
    const Solution *x = c->solution;
    if (t->kind == TERM_INDEX && x->count == 1 && t->index == x->index[0]) {
        int64_t shared = gcd(t->factor, x->factor[0]);
        return affine_quotient(p, affine_scale(p, x->total, t->factor / shared),
                               x->factor[0] / shared);
    }
    const Affine *a;
    if (t->kind == TERM_INDEX)
        a = affine_substitute(p, affine_index(p, t->index),
                              &(Substitution){x->count, x->index, x->digit});
    else if (t->kind == TERM_QUOTIENT)
        a = affine_quotient(p, substitute(c, t->inner), t->divisor);
    else
        a = affine_remainder(p, substitute(c, t->inner), t->divisor);
    return affine_scale(p, a, t->factor);
}

static int64_t width(const Affine *a)
{
    Interval v = affine_interval(a);
    return v.high - v.low;
}

/* x - d*(x/d) is x%d, whose range shows. */
static const Affine *tidy(ExprPool *p, const Affine *a)
{
    for (int i = 0; i < a->count; i++) {
        const Term *t = &a->terms[i];
        if (t->kind != TERM_QUOTIENT || t->factor % t->divisor != 0)
            continue;
        const Affine *part = affine_sub(p, t->inner, affine_remainder(p, t->inner, t->divisor));
        const Affine *other = affine_sub(p, a, affine_scale(p, term_affine(p, t), t->factor));
        other = affine_add(p, other, affine_scale(p, part, t->factor / t->divisor));
        if (width(other) < width(a))
            return tidy(p, other);
    }
    return a;
}

/* Where a contains the whole sum, its total takes the place: exact, and s*(h/s) + h%s stays h. */
static const Affine *substitute(const Substituting *c, const Affine *a)
{
    ExprPool *p = c->pool;
    const Solution *x = c->solution;
    int64_t times = multiple_of_total(x, a);
    for (int i = 0; i < x->count; i++)
        a = affine_sub(p, a, affine_scale(p, affine_index(p, x->index[i]), times * x->factor[i]));
    const Affine *sum = affine_offset(p, affine_scale(p, x->total, times), a->constant);
    for (int i = 0; i < a->count; i++)
        sum = affine_add(p, sum, substitute_term(c, &a->terms[i]));
    return tidy(p, sum);
}

static const Expr *substitute_access(const Substituting *c, const Expr *e)
{
    Subscript *subs = arena_new(expr_pool_arena(c->pool), Subscript, e->count + 1);
    for (int i = 0; i < e->count; i++) {
        subs[i] = e->subscripts[i];
        if (subs[i].affine)
            subs[i].affine = substitute(c, subs[i].affine);
    }
    return expr_access(c->pool, e->node, subs);
}

static const Expr *substitute_leaf(void *context, const Expr *e)
{
    const Substituting *c = context;
    switch (e->kind) {
    case EXPR_AFFINE:
        return expr_affine(c->pool, substitute(c, e->affine));
    case EXPR_TEST:
        return expr_test(c->pool, e->test, substitute(c, e->affine));
    case EXPR_RANDOM:
        return expr_random(c->pool, e->random, e->site, substitute(c, e->affine));
    case EXPR_ACCESS:
        return substitute_access(c, e);
    default:
        return e;
    }
}

static void close_index(Solver *s, const Index *ix)
{
    int kept = 0;
    for (int i = 0; i < s->open.count; i++)
        if (s->open.data[i] != ix)
            s->open.data[kept++] = s->open.data[i];
    s->open.count = kept;
}

void solver_apply(Solver *s, const Solution *x)
{
    Substituting c = {s->pool, x};
    for (int i = 0; i < s->equations.count; i++)
        s->equations.data[i] = substitute(&c, s->equations.data[i]);
    for (int i = 0; i < s->matches.count; i++)
        s->matches.data[i] = expr_map(s->pool, s->matches.data[i], substitute_leaf, &c);
    s->value = expr_map(s->pool, s->value, substitute_leaf, &c);
    int count = s->guards.count;
    s->guards.count = 0;
    for (int i = 0; i < count; i++)
        solver_require(s, expr_map(s->pool, s->guards.data[i], substitute_leaf, &c));
    for (int i = 0; i < x->count; i++) {
        close_index(s, x->index[i]);
        solver_require_inside(s, x->digit[i], x->index[i]->extent);
    }
}
