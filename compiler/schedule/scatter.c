/* Which sums add to where data says: all their terms but those at one value of an index are nothing, and that
 * value is the data's. */
#include "schedule/internal.h"

/* eq(data, v) with v a free index alone: which, and the data. */
static bool match_choice(Node *n, const Expr *guard, Index **index, const Expr **data)
{
    if (guard->kind != EXPR_CALL || guard->function != &scalar_eq)
        return false;
    for (int side = 0; side < 2; side++) {
        const Expr *a = guard->args[side], *b = guard->args[1 - side];
        Index *v = a->kind == EXPR_AFFINE ? affine_is_index(a->affine) : NULL;
        if (!v || !dtype_is_integer(b->type))
            continue;
        for (int i = 0; i < n->rank; i++)
            if (n->domain[i] == v) {
                *index = v;
                *data = b;
                return true;
            }
    }
    return false;
}

static bool is_within(const Expr *data, const Index *v)
{
    if (data->kind == EXPR_CALL && data->function->arity == 1)
        data = data->args[0];
    return data->kind == EXPR_ACCESS && data->node->kind == NODE_PORT &&
           data->node->port->domain != DOMAIN_NUMBER && data->node->port->classes <= v->extent;
}

bool scatter_recognise(ExprPool *p, Node *n, const Expr *body, Scatter *s)
{
    if (n->reduction != &reduce_sum || !dtype_is_real(n->type) || n->recurrence)
        return false;
    Summand summand = summand_of(p, n->bound, n->bound_count, body);
    int choice = -1;
    for (int i = 0; i < summand.factors.count && choice < 0; i++)
        if (summand.factors.data[i].guard &&
            match_choice(n, summand.factors.data[i].value, &s->index, &s->data))
            choice = i;
    if (choice < 0 || expr_uses_index(p, s->data, s->index))
        return false;
    const Expr *value = expr_const_typed(p, summand.constant, n->type), *guard = NULL;
    for (int i = 0; i < summand.factors.count; i++) {
        const Factor *f = &summand.factors.data[i];
        if (i == choice)
            continue;
        if (f->guard)
            guard = guard ? expr_and(p, guard, f->value) : f->value;
        else
            value = expr_mul(p, value, f->value);
    }
    if (guard)
        value = expr_select(p, guard, value, expr_const_typed(p, 0, n->type));
    s->value = value;
    s->checked = is_within(s->data, s->index);
    return !expr_uses_index(p, value, s->index) && expr_reads_inside(p, NULL, value);
}
