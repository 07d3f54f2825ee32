/* What need not run in every step: nodes that serve nothing but updates that come once in so many
 * steps are left out of the others. */
#include "schedule/internal.h"

/* 0 stands for what nothing needs. */
static int64_t common_divisor(int64_t a, int64_t b)
{
    while (b) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

typedef struct User {
    Planner *planner;
    int64_t every;
} User;

static void needed(Planner *p, const Node *n, int64_t every)
{
    PLAN(p, n)->every = common_divisor(PLAN(p, n)->every, every);
}

static void visit(void *context, const Expr *e)
{
    const User *u = context;
    if (e->kind == EXPR_ACCESS)
        needed(u->planner, e->node, u->every);
}

/* The nodes of a recurrence run together: what one needs, all do. */
static void join_recurrence(Planner *p, int last)
{
    Node *const *nodes = p->graph->nodes.data;
    int64_t every = 0;
    int first = last;
    const Recurrence *r = recurrence_outermost(nodes[last]->recurrence);
    for (; first >= 0 && recurrence_outermost(nodes[first]->recurrence) == r; first--)
        every = common_divisor(every, PLAN(p, nodes[first])->every);
    for (int i = first + 1; i <= last; i++)
        PLAN(p, nodes[i])->every = every;
}

static void pass_on(Planner *p, int i)
{
    const Graph *g = p->graph;
    const Node *n = g->nodes.data[i];
    const Recurrence *r = recurrence_outermost(n->recurrence);
    if (r &&
        (i + 1 == g->nodes.count || recurrence_outermost(g->nodes.data[i + 1]->recurrence) != r))
        join_recurrence(p, i);
    User user = {p, PLAN(p, n)->every};
    if (n->kind == NODE_VIEW)
        needed(p, n->viewed, user.every);
    else if (n->kind == NODE_COMPUTE)
        expr_visit(g->pool, n->body, visit, &user);
}

void period_run(Planner *p)
{
    const Graph *g = p->graph;
    for (int i = 0; i < g->results.count; i++)
        needed(p, g->results.data[i].value,
               g->results.data[i].every ? g->results.data[i].every : 1);
    for (int i = g->nodes.count - 1; i >= 0; i--)
        pass_on(p, i);
    for (int i = 0; i < g->nodes.count; i++)
        if (!p->plans[i].every)
            p->plans[i].every = 1;
}
