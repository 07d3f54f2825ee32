/* Rewrites of sums over an index that data fixes: a row is read instead of looked for. */
#include "opt/opt.h"

typedef struct ByData {
    Rewriter *w;
    Index *index;
    const Expr *value;
    bool possible;
} ByData;

/* The index may occur as a subscript of its own, of the very extent. */
static const Expr *put_data(void *context, const Expr *e)
{
    ByData *c = context;
    if (!expr_uses_index(c->w->p, e, c->index))
        return e;
    if (e->kind != EXPR_ACCESS) {
        c->possible = false;
        return e;
    }
    Subscript *subs = arena_new(c->w->g->arena, Subscript, e->count + 1);
    for (int i = 0; i < e->count; i++) {
        subs[i] = e->subscripts[i];
        bool data = subs[i].data && expr_uses_index(c->w->p, subs[i].data, c->index);
        if (!data && (!subs[i].affine || !affine_uses(subs[i].affine, c->index)))
            continue;
        if (data || affine_is_index(subs[i].affine) != c->index ||
            e->node->domain[i]->extent != c->index->extent)
            c->possible = false;
        subs[i] = (Subscript){.data = c->value};
    }
    return c->possible ? expr_access(c->w->p, e->node, subs) : e;
}

/* Does `condition` say that a datum, known to lie inside, is the bound index i of n? */
static const Expr *datum_for(ExprPool *p, const Node *n, const Expr *condition, int i)
{
    for (int side = 0; opt_is_call(condition, &scalar_eq) && side < 2; side++) {
        const Expr *v = condition->args[side], *data = condition->args[1 - side];
        if (v->kind != EXPR_AFFINE || affine_is_index(v->affine) != n->bound[i] ||
            data->kind != EXPR_ACCESS)
            continue;
        const Port *port = data->node->kind == NODE_PORT ? data->node->port : NULL;
        if (port && port->domain != DOMAIN_NUMBER && port->classes == n->bound[i]->extent &&
            !expr_uses_index(p, data, n->bound[i]))
            return data;
    }
    return NULL;
}

/* sum[v] if d == v then e[v] else 0, as it comes from differentiating a gather twice, and from the
 * slope of a cross-entropy.  Classes and tokens are checked when they are loaded. */
bool opt_fixed_by_data(Rewriter *w, Node *n)
{
    for (int i = 0; n->reduction == &reduce_sum && opt_is_guarded(n->body) && i < n->bound_count;
         i++) {
        const Expr *data = datum_for(w->p, n, n->body->args[0], i);
        ByData c = {w, n->bound[i], data, true};
        const Expr *body = data ? expr_map(w->p, n->body->args[1], put_data, &c) : NULL;
        if (!body || !c.possible)
            continue;
        n->body = body;
        opt_drop_bound(n, i);
        return true;
    }
    return false;
}

typedef struct OneHot {
    Rewriter *w;
    const Node *sum;
} OneHot;

/* An access to a node that is zero but where data says, at the subscripts of the access. */
static const Expr *one_hot_body(void *context, const Expr *e)
{
    const OneHot *c = context;
    if (e->kind != EXPR_ACCESS || e->node->kind != NODE_COMPUTE || e->node->reduction ||
        !opt_is_guarded(e->node->body))
        return e;
    const Affine **to = arena_new(c->w->g->arena, const Affine *, e->count + 1);
    for (int i = 0; i < e->count; i++) {
        to[i] = e->subscripts[i].affine;
        if (!to[i])
            return e;
    }
    const Expr *body =
        expr_substitute(c->w->p, e->node->body, &(Substitution){e->count, e->node->domain, to});
    for (int i = 0; opt_is_guarded(body) && i < c->sum->bound_count; i++)
        if (datum_for(c->w->p, c->sum, body->args[0], i))
            return body;
    return e;
}

bool opt_one_hot_in_sum(Rewriter *w, Node *n)
{
    if (n->reduction != &reduce_sum)
        return false;
    OneHot c = {w, n};
    const Expr *before = n->body;
    n->body = expr_map(w->p, n->body, one_hot_body, &c);
    return n->body != before;
}
