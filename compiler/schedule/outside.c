/* Factors that are one number for each example: of a sum over examples and more they stay with the sum of the
 * parts, which then need not know them.  Behind a pooling over all of an image, whose cotangent is such a number,
 * the sums of a normalisation are taken while the pooling reads its rows:
 *
 *     sum[b, i] (if y[b, i] > 0 then c[b] else 0) * x[b, i]  =  sum[b] c[b] * sum[i] (if y[b, i] > 0 then x[b, i] else 0)
 *
 *   needs: a sum whose first bound index counts the examples
 *   gives: the same numbers, up to rounding */
#include "schedule/internal.h"

enum { MOST_NODES = 4 }; /* looked through, one behind the other */

typedef struct Search {
    ExprPool *p;
    const Node *sum;
} Search;

static bool uses_inner(const Search *s, const Expr *e)
{
    for (int i = 1; i < s->sum->bound_count; i++)
        if (expr_uses_index(s->p, e, s->sum->bound[i]))
            return true;
    return false;
}

/* What the access reads, computed there; NULL: it is no such node. */
static const Expr *body_at(const Search *s, const Expr *access)
{
    const Node *n = access->node;
    if (n->kind != NODE_COMPUTE || n->reduction || n->recurrence || n->within ||
        access_has_data(access))
        return NULL;
    return expr_at_access(s->p, n->body, access);
}

static const Expr *product(ExprPool *p, const Expr *a, const Expr *b)
{
    return !a ? b : !b ? a : expr_mul(p, a, b);
}

static Outside split(const Search *s, const Expr *e, int looked_through)
{
    const Outside whole = {NULL, e};
    if (!uses_inner(s, e))
        return (Outside){e, NULL};
    if (e->kind == EXPR_ACCESS) {
        const Expr *body = looked_through < MOST_NODES ? body_at(s, e) : NULL;
        const Outside o = body ? split(s, body, looked_through + 1) : whole;
        return o.factor ? o : whole;
    }
    if (e->kind != EXPR_CALL)
        return whole;
    if (e->function == &scalar_mul) {
        const Outside a = split(s, e->args[0], looked_through),
                      b = split(s, e->args[1], looked_through);
        return (Outside){product(s->p, a.factor, b.factor), product(s->p, a.rest, b.rest)};
    }
    if (e->function == &scalar_select && expr_is_zero(e->args[2])) {
        const Outside a = split(s, e->args[1], looked_through);
        const Expr *rest = a.rest ? a.rest : expr_const_typed(s->p, 1, e->type);
        if (a.factor && expr_reads_inside(s->p, NULL, a.factor))
            return (Outside){a.factor, expr_select(s->p, e->args[0], rest, e->args[2])};
    }
    return whole;
}

bool outside_find(ExprPool *p, const Node *n, Outside *o)
{
    const Search s = {p, n};
    *o = split(&s, n->body, 0);
    if (!o->factor || !o->rest || !expr_uses_index(p, o->factor, n->bound[0]))
        *o = (Outside){0};
    return o->factor;
}
