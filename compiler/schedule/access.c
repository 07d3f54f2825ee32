/* Questions about accesses and domains that every pass of the schedule asks. */
#include "schedule/internal.h"

Node *node_storage(Node *n)
{
    while (n->kind == NODE_VIEW)
        n = n->viewed;
    return n;
}

enum { LARGE_BYTES = 1 << 20 };

bool node_is_large(const Node *n)
{
    return (double)node_elements(n) * dtype_size(n->type) > LARGE_BYTES;
}

const Expr *expr_at_access(ExprPool *p, const Expr *e, const Expr *access)
{
    const Node *n = access->node;
    const Affine **to = arena_new(expr_pool_arena(p), const Affine *, n->rank + 1);
    for (int i = 0; i < n->rank; i++)
        to[i] = access->subscripts[i].affine;
    return expr_substitute(p, e, &(Substitution){n->rank, n->domain, to});
}

bool access_has_data(const Expr *access)
{
    for (int i = 0; i < access->node->rank; i++)
        if (access->subscripts[i].data)
            return true;
    return false;
}

int node_loop_count(const Node *n)
{
    return n->rank - node_depth(n);
}

Index *node_loop(const Node *n, int i)
{
    int place = 0;
    while (node_counts_steps(n, place) || i-- > 0)
        place++;
    return n->domain[place];
}

bool access_is_aligned(const Expr *access, Index *const *indices, int count)
{
    for (int i = 0; i < count; i++) {
        const Affine *a = access->subscripts[i].affine;
        if (!a || affine_is_index(a) != indices[i])
            return false;
    }
    return true;
}

/* Does the index at `place` count steps of a recurrence that both are part of? */
static bool counts_same_steps(const Node *n, int place, const Node *user)
{
    for (const Recurrence *r = user->recurrence; r; r = r->outer)
        if (node_step_place(n, r) == place)
            return true;
    return false;
}

bool access_is_in_step(const Expr *access, const Node *user, int count)
{
    for (int i = 0, at = 0; i < count; i++, at++) {
        while (at < access->count && counts_same_steps(access->node, at, user))
            at++;
        const Affine *a = at < access->count ? access->subscripts[at].affine : NULL;
        if (!a || affine_is_index(a) != node_loop(user, i))
            return false;
    }
    return true;
}

bool access_is_identity(const Expr *access, const Node *user)
{
    return access->node->rank == user->rank && access_is_aligned(access, user->domain, user->rank);
}

int index_find(Index *const *list, int count, const Index *ix)
{
    for (int i = 0; i < count; i++)
        if (list[i] == ix)
            return i;
    return -1;
}

bool domains_equal(const Node *a, const Node *b, int count)
{
    if (a->rank < count || b->rank < count)
        return false;
    for (int i = 0; i < count; i++)
        if (!extents_equal(a->domain[i], b->domain[i]))
            return false;
    return true;
}

typedef struct AccessVisit {
    Arena *arena;
    AccessList list;
} AccessVisit;

static void visit_access(void *context, const Expr *e)
{
    AccessVisit *v = context;
    if (e->kind == EXPR_ACCESS)
        vec_push(v->arena, &v->list, e);
}

AccessList body_accesses(ExprPool *p, const Expr *body)
{
    AccessVisit v = {.arena = expr_pool_arena(p)};
    if (body)
        expr_visit(p, body, visit_access, &v);
    return v.list;
}

bool body_has_data(ExprPool *p, const Expr *body)
{
    const AccessList accesses = body_accesses(p, body);
    for (int i = 0; i < accesses.count; i++)
        if (access_has_data(accesses.data[i]))
            return true;
    return false;
}

enum { OVERLAP = 4, NARROW = 4 };

bool access_overlaps(ExprPool *p, const Expr *access, const Node *user)
{
    double evaluations = 1, columns = 1;
    for (int i = 0; i < node_loop_count(user) + user->bound_count; i++) {
        const bool is_free = i < node_loop_count(user);
        const Index *ix = is_free ? node_loop(user, i) : user->bound[i - node_loop_count(user)];
        if (expr_uses_index(p, access, ix))
            evaluations *= (double)ix->extent;
        else if (is_free)
            columns *= (double)ix->extent;
    }
    return columns >= NARROW && evaluations >= OVERLAP * (double)node_elements(access->node);
}

double node_iterations(const Node *n)
{
    double total = 1;
    for (int i = 0; i < n->rank; i++)
        total *= (double)n->domain[i]->extent;
    for (int i = 0; i < n->bound_count; i++)
        total *= (double)n->bound[i]->extent;
    return total / node_steps(n);
}

double node_steps(const Node *n)
{
    double steps = 1;
    for (const Recurrence *r = n->recurrence; r; r = r->outer)
        steps *= (double)r->steps;
    return steps;
}

enum { COST_RANDOM = 40 };

static void visit_cost(void *context, const Expr *e)
{
    double *cost = context;
    if (e->kind == EXPR_CALL)
        *cost += e->function->cost;
    if (e->kind == EXPR_RANDOM)
        *cost += COST_RANDOM;
}

double body_cost(ExprPool *p, const Expr *body)
{
    double cost = 0;
    expr_visit(p, body, visit_cost, &cost);
    return cost;
}
