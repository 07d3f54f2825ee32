/* The sign of what was rectified, from what it was made of, where that is read anyway: behind a normalisation the
 * cotangent's sums read its input, so that the rectified tensor need not be read beside it.
 *
 *     if max(0, e[i]) > 0 then d[i] else 0  =  if e[i] > 0 then d[i] else 0
 *
 *   needs: a verified, pruned graph
 *   gives: the same numbers */
#include "schedule/internal.h"

enum {
    MOST_COST = 8, /* flops, for the sign alone                            */
    MOST_NODES = 4 /* between the rectified number and what is read anyway */
};

typedef struct Signs {
    Graph *graph;
    Node *node;        /* whose body is being rewritten                */
    const Node *found; /* the one large node that an expression reads  */
    bool unfit;        /* it reads others, or what cannot be moved     */
} Signs;

static bool is_plain(const Node *n)
{
    return n->kind == NODE_COMPUTE && !n->reduction && !n->recurrence && !n->within;
}

/* Large operands that are not sums are computed in place, those behind them likewise. */
static const Expr *look_through(void *context, const Expr *e)
{
    Signs *s = context;
    if (e->kind != EXPR_ACCESS || !node_is_large(e->node))
        return e;
    if (is_plain(e->node) && !access_has_data(e))
        return expr_at_access(s->graph->pool, e->node->body, e);
    s->unfit = s->unfit || !access_is_identity(e, s->node) || (s->found && s->found != e->node);
    s->found = e->node;
    return e;
}

/* Does a sum read both? */
static bool are_summed(const Signs *s, const Node *a, const Node *b)
{
    for (int i = 0; i < s->graph->nodes.count; i++) {
        const Node *n = s->graph->nodes.data[i];
        if (n->kind != NODE_COMPUTE || n->reduction != &reduce_sum)
            continue;
        const AccessList reads = body_accesses(s->graph->pool, n->body);
        bool reads_a = false, reads_b = false;
        for (int r = 0; r < reads.count; r++) {
            reads_a = reads_a || reads.data[r]->node == a;
            reads_b = reads_b || reads.data[r]->node == b;
        }
        if (reads_a && reads_b)
            return true;
    }
    return false;
}

/* max(0, e): gives e; NULL: it is none. */
static const Expr *rectified(const Expr *max)
{
    for (int i = 0; i < 2 && max->kind == EXPR_CALL && max->function == &scalar_max; i++)
        if (expr_is_zero(max->args[i]))
            return max->args[1 - i];
    return NULL;
}

static const Expr *rewrite_sign(void *context, const Expr *e)
{
    Signs *s = context;
    ExprPool *p = s->graph->pool;
    double value;
    if (e->kind != EXPR_CALL || e->function != &scalar_gt || e->args[0]->kind != EXPR_ACCESS ||
        !expr_is_const(e->args[1], &value) || value != 0 || !is_plain(e->args[0]->node) ||
        !node_is_large(e->args[0]->node) || !access_is_identity(e->args[0], s->node))
        return e;
    const Expr *inner =
        rectified(expr_at_access(s->graph->pool, e->args[0]->node->body, e->args[0]));
    s->found = NULL;
    s->unfit = false;
    for (int i = 0; inner && i < MOST_NODES; i++) {
        s->found = NULL;
        inner = expr_map(p, inner, look_through, s);
    }
    if (!inner || s->unfit || !s->found || is_plain(s->found) || body_cost(p, inner) > MOST_COST ||
        !are_summed(s, s->node, s->found))
        return e;
    return expr_call(p, &scalar_gt, (const Expr *[]){inner, e->args[1]});
}

void sign_run(Graph *g)
{
    Signs s = {.graph = g};
    for (int i = 0; i < g->nodes.count && !g->positions; i++) {
        s.node = g->nodes.data[i];
        if (is_plain(s.node) && node_is_large(s.node))
            s.node->body = expr_map_calls(g->pool, s.node->body, NULL, rewrite_sign, &s);
    }
}
