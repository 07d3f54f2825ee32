/* The order of a graph's nodes, and its recurrences: cycles of nodes that need each other's earlier
 * steps.  (Tarjan's strongly connected components; what he finds first needs nothing found later.) */
#include "ir/pool.h"

int node_step_place(const Node *n)
{
    for (int i = 0; i < n->rank; i++)
        if (n->step && n->domain[i] == n->step)
            return i;
    return -1;
}

const Affine *access_step(const Node *n, const Expr *access)
{
    if (!n->recurrence || n->recurrence->open || access->node->recurrence != n->recurrence)
        return NULL;
    const int place = node_step_place(access->node);
    return place < 0 ? NULL : access->subscripts[place].affine;
}

bool access_is_same_step(const Node *n, const Expr *access)
{
    const Affine *at = access_step(n, access);
    return at && affine_is_index(at) == n->step;
}

bool access_is_past(ExprPool *p, const Node *n, const Expr *access)
{
    const Affine *at = access_step(n, access);
    if (!at)
        return false;
    const Interval gap = affine_interval(affine_sub(p, at, affine_index(p, n->step)));
    return n->recurrence->reversed ? gap.low > 0 : gap.high < 0;
}

/* ---- components --------------------------------------------------------------------------------------- */

typedef VEC(Node *) Nodes;

typedef struct Search {
    Graph *g;
    int *number, *low; /* per old id; number 0: not met yet */
    bool *open;        /* on the stack */
    int *component;    /* per old id, from 1; 0: none yet */
    int count, components;
    Nodes stack, sorted;
    const Node *user;
    bool *placed; /* per old id */
} Search;

static void visit(Search *s, Node *n);

static void meet(Search *s, const Node *user, Node *n)
{
    if (!s->number[n->id])
        visit(s, n);
    else if (!s->open[n->id])
        return;
    if (s->low[n->id] < s->low[user->id])
        s->low[user->id] = s->low[n->id];
}

typedef struct Reader {
    Search *search;
    const Node *user;
    bool self;
} Reader;

static void meet_operand(void *context, const Expr *e)
{
    Reader *r = context;
    if (e->kind == EXPR_ACCESS) {
        r->self = r->self || e->node == r->user;
        meet(r->search, r->user, e->node);
    }
}

/* ---- inside a recurrence --------------------------------------------------------------------------------- */

typedef struct Spread {
    Node *user;
    const Recurrence *recurrence;
    bool changed;
    int shift; /* the sign of the steps between user and used */
} Spread;

/* The step of one end of an access tells that of the other. */
static void spread_step(void *context, const Expr *e)
{
    Spread *s = context;
    if (e->kind != EXPR_ACCESS || e->node->recurrence != s->recurrence)
        return;
    const int place = node_step_place(e->node);
    for (int i = 0; i < e->count; i++) {
        const Affine *a = e->subscripts[i].affine;
        if (!a || a->count != 1 || a->terms[0].kind != TERM_INDEX || a->terms[0].factor != 1)
            continue;
        Index *ix = a->terms[0].index;
        if (s->user->step == ix && place < 0) {
            e->node->step = e->node->domain[i];
            s->changed = true;
            return;
        }
        if (!s->user->step && place == i) {
            s->user->step = ix;
            s->changed = true;
            return;
        }
        if (s->user->step == ix && place == i && a->constant)
            s->shift = a->constant < 0 ? -1 : 1;
    }
}

static void spread_view(Spread *s, Node *n)
{
    Node *of = n->viewed;
    if (of->recurrence != s->recurrence || !n->step == !of->step)
        return;
    Node *known = n->step ? n : of, *other = n->step ? of : n;
    const int place = node_step_place(known);
    if (place < 0 || place >= other->rank || other->domain[place]->extent != known->step->extent)
        bug("%s hides the step of a recurrence", n->name);
    other->step = other->domain[place];
    s->changed = true;
}

static void find_steps(Search *s, Node *const *nodes, int count, Recurrence *r)
{
    Spread x = {.recurrence = r, .changed = true};
    while (x.changed) {
        x.changed = false;
        for (int i = 0; i < count; i++) {
            x.user = nodes[i];
            if (nodes[i]->kind == NODE_VIEW)
                spread_view(&x, nodes[i]);
            else if (nodes[i]->kind == NODE_COMPUTE)
                expr_visit(s->g->pool, nodes[i]->body, spread_step, &x);
        }
    }
    r->reversed = x.shift > 0;
    for (int i = 0; i < count; i++)
        if (!nodes[i]->step)
            bug("%s is computed from itself", nodes[i]->name);
    r->steps = nodes[0]->step->extent;
}

static void place_member(Search *s, Node *n);

static void place_same_step(void *context, const Expr *e)
{
    Search *s = context;
    const Node *user = s->user;
    if (e->kind == EXPR_ACCESS && access_is_same_step(user, e) && e->node != user)
        place_member(s, e->node);
    s->user = user;
}

/* What a step needs of itself goes first; otherwise the old order stays. */
static void place_member(Search *s, Node *n)
{
    if (s->placed[n->id])
        return;
    s->placed[n->id] = true;
    s->user = n;
    if (n->kind == NODE_VIEW && n->viewed->recurrence == n->recurrence)
        place_member(s, n->viewed);
    if (n->kind == NODE_COMPUTE)
        expr_visit(s->g->pool, n->body, place_same_step, s);
    vec_push(s->g->arena, &s->sorted, n);
}

static void sort_by_id(Node **nodes, int count)
{
    for (int i = 1; i < count; i++)
        for (int k = i; k > 0 && nodes[k - 1]->id > nodes[k]->id; k--) {
            Node *swap = nodes[k];
            nodes[k] = nodes[k - 1];
            nodes[k - 1] = swap;
        }
}

static void place_recurrence(Search *s, Node **nodes, int count)
{
    Recurrence *r = arena_new(s->g->arena, Recurrence, 1);
    for (int i = 0; i < count; i++)
        nodes[i]->recurrence = r;
    sort_by_id(nodes, count);
    find_steps(s, nodes, count, r);
    for (int i = 0; i < count; i++)
        place_member(s, nodes[i]);
}

/* ---- the walk ------------------------------------------------------------------------------------------------ */

static void visit(Search *s, Node *n)
{
    s->number[n->id] = s->low[n->id] = ++s->count;
    s->open[n->id] = true;
    vec_push(s->g->arena, &s->stack, n);
    Reader r = {s, n, false};
    if (n->kind == NODE_VIEW)
        meet(s, n, n->viewed);
    if (n->kind == NODE_COMPUTE)
        expr_visit(s->g->pool, n->body, meet_operand, &r);
    if (s->low[n->id] != s->number[n->id])
        return;
    int first = s->stack.count;
    do
        s->open[s->stack.data[--first]->id] = false;
    while (s->stack.data[first] != n);
    const int count = s->stack.count - first;
    Node **members = arena_new(s->g->arena, Node *, count);
    for (int i = 0; i < count; i++)
        members[i] = s->stack.data[first + i];
    s->stack.count = first;
    if (count > 1 || r.self) {
        place_recurrence(s, members, count);
        return;
    }
    if (n->recurrence && !n->recurrence->open)
        n->recurrence = NULL;
    vec_push(s->g->arena, &s->sorted, n);
}

void graph_sort(Graph *g)
{
    Arena *a = g->arena;
    const int count = g->nodes.count + 1;
    Search s = {.g = g,
                .number = arena_new(a, int, count),
                .low = arena_new(a, int, count),
                .open = arena_new(a, bool, count),
                .placed = arena_new(a, bool, count)};
    for (int i = 0; i < g->nodes.count; i++)
        if (!s.number[i])
            visit(&s, g->nodes.data[i]);
    for (int i = 0; i < s.sorted.count; i++) {
        g->nodes.data[i] = s.sorted.data[i];
        g->nodes.data[i]->id = i;
    }
}
