/* The order of a graph's nodes, and its recurrences: cycles of nodes that need each other's earlier
 * steps.  (Tarjan's strongly connected components; what he finds first needs nothing found later.)
 * Within a step of a recurrence, what is left of the cycles are recurrences over further indices. */
#include "ir/pool.h"

#include <string.h>

/* ---- what a node knows of its steps ---------------------------------------------------------------------- */

Index *node_step(const Node *n, const Recurrence *r)
{
    for (int i = 0; i < n->step_count; i++)
        if (n->steps[i].of == r)
            return n->steps[i].index;
    return NULL;
}

static int index_place(const Node *n, const Index *ix)
{
    for (int i = 0; ix && i < n->rank; i++)
        if (n->domain[i] == ix)
            return i;
    return -1;
}

int node_step_place(const Node *n, const Recurrence *r)
{
    return index_place(n, node_step(n, r));
}

static bool is_closed(const StepCounter *s)
{
    return s->of && !s->of->open;
}

bool node_counts_steps(const Node *n, int place)
{
    for (int i = 0; i < n->step_count; i++)
        if (is_closed(&n->steps[i]) && n->steps[i].index == n->domain[place])
            return true;
    return false;
}

int node_depth(const Node *n)
{
    return node_shared_depth(n, n);
}

int node_shared_depth(const Node *n, const Node *other)
{
    int depth = 0;
    for (int i = 0; i < n->step_count; i++)
        depth += is_closed(&n->steps[i]) && node_step(other, n->steps[i].of);
    return depth;
}

const Recurrence *recurrence_outermost(const Recurrence *r)
{
    while (r && r->outer)
        r = r->outer;
    return r;
}

const Recurrence *recurrence_at(const Recurrence *r, int depth)
{
    int own = 0;
    for (const Recurrence *o = r; o && o->outer; o = o->outer)
        own++;
    for (; r && own > depth; own--)
        r = r->outer;
    return own == depth ? r : NULL;
}

/* Steps from the one that n is at to the one that it reads. */
static Interval step_gap(ExprPool *p, const Affine *at, Index *step)
{
    return affine_interval(affine_sub(p, at, affine_index(p, step)));
}

ReadTime access_time(ExprPool *p, const Node *n, const Expr *access)
{
    ReadTime time = READ_APART;
    for (int i = 0; i < n->step_count; i++) {
        const StepCounter *s = &n->steps[i];
        const int place = is_closed(s) ? node_step_place(access->node, s->of) : -1;
        if (place < 0)
            continue;
        const Affine *at = access->subscripts[place].affine;
        if (!at)
            return READ_UNKNOWN;
        time = READ_NOW;
        if (affine_is_index(at) == s->index)
            continue;
        const Interval gap = step_gap(p, at, s->index);
        return (s->of->reversed ? gap.low > 0 : gap.high < 0) ? READ_PAST : READ_UNKNOWN;
    }
    return time;
}

/* ---- components --------------------------------------------------------------------------------------- */

typedef VEC(Node *) Nodes;

typedef struct Search {
    Graph *g;
    int *number, *low; /* per old id; number 0: not met yet */
    bool *open;        /* on the stack */
    int *scope;        /* per old id: the recurrence whose nodes are being ordered, by number */
    int count, scopes;
    int within;                   /* the scope of this search */
    const Recurrence *recurrence; /* the same: within a step of it; NULL: all nodes */
    Nodes stack, sorted;
    Index **step; /* per old id: of the recurrence that is being made */
    const Node *fault;
} Search;

static void visit(Search *s, Node *n);

static void meet(Search *s, const Node *user, Node *n)
{
    if (s->scope[n->id] != s->within)
        return;
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

/* Of what is read within a recurrence, only what its own step makes must come first. */
static bool is_of_this_step(const Search *s, const Node *user, const Expr *e)
{
    for (const Recurrence *r = s->recurrence; r; r = r->outer) {
        const Affine *at = e->subscripts[node_step_place(e->node, r)].affine;
        if (affine_is_index(at) != node_step(user, r))
            return false;
    }
    return true;
}

static void meet_operand(void *context, const Expr *e)
{
    Reader *r = context;
    Search *s = r->search;
    if (e->kind != EXPR_ACCESS || s->scope[e->node->id] != s->within ||
        !is_of_this_step(s, r->user, e))
        return;
    r->self = r->self || e->node == r->user;
    meet(s, r->user, e->node);
}

/* ---- which index counts the steps ------------------------------------------------------------------------ */

/* The nodes of a recurrence, while an index of one of them is tried as its step. */
typedef struct Trial {
    Search *search;
    Node *const *nodes;
    int count;
    const Node *user;
    bool changed, wrong;
    int shift; /* the sign of the steps between user and used */
} Trial;

static bool takes_part(const Trial *t, const Node *n)
{
    return t->search->scope[n->id] == t->search->within;
}

static bool is_read_here(const Trial *t, const Expr *e)
{
    return e->kind == EXPR_ACCESS && takes_part(t, e->node) &&
           is_of_this_step(t->search, t->user, e);
}

static void settle(Trial *t, const Node *n, Index *step)
{
    t->search->step[n->id] = step;
    t->changed = true;
}

/* The step of one end of an access tells that of the other. */
static void spread_step(void *context, const Expr *e)
{
    Trial *t = context;
    if (!is_read_here(t, e))
        return;
    Index *own = t->search->step[t->user->id], *read = t->search->step[e->node->id];
    for (int i = 0; !own != !read && i < e->count; i++) {
        const Affine *a = e->subscripts[i].affine;
        if (!a || a->count != 1 || a->terms[0].kind != TERM_INDEX || a->terms[0].factor != 1)
            continue;
        if (own && a->terms[0].index == own && e->node->domain[i]->extent == own->extent) {
            settle(t, e->node, e->node->domain[i]);
            return;
        }
        if (read == e->node->domain[i] && index_place(t->user, a->terms[0].index) >= 0) {
            settle(t, t->user, a->terms[0].index);
            return;
        }
    }
}

static void spread_view(Trial *t, const Node *n)
{
    const Node *of = n->viewed;
    if (!takes_part(t, of) || !t->search->step[n->id] == !t->search->step[of->id])
        return;
    const Node *known = t->search->step[n->id] ? n : of, *other = known == n ? of : n;
    const int place = index_place(known, t->search->step[known->id]);
    for (int i = 0; i < other->rank; i++)
        if (other->domain[i]->extent == known->domain[place]->extent &&
            node_elements_behind(other, i) == node_elements_behind(known, place)) {
            settle(t, other, other->domain[i]);
            return;
        }
}

/* Every node reads the others at its own step or at earlier ones; earlier in one direction. */
static void check_read(void *context, const Expr *e)
{
    Trial *t = context;
    if (t->wrong || !is_read_here(t, e))
        return;
    Index *own = t->search->step[t->user->id];
    const int place = index_place(e->node, t->search->step[e->node->id]);
    const Affine *at = place >= 0 ? e->subscripts[place].affine : NULL;
    t->wrong = !own || !at;
    if (t->wrong || affine_is_index(at) == own)
        return;
    const Interval gap = step_gap(t->search->g->pool, at, own);
    const int shift = gap.low > 0 ? 1 : gap.high < 0 ? -1 : 0;
    t->wrong = !shift || t->shift == -shift;
    t->shift = shift;
}

static bool try_step(Search *s, Node *const *nodes, int count, const Node *first, Index *step,
                     Recurrence *r)
{
    Trial t = {.search = s, .nodes = nodes, .count = count, .changed = true};
    for (int i = 0; i < count; i++)
        s->step[nodes[i]->id] = NULL;
    s->step[first->id] = step;
    while (t.changed) {
        t.changed = false;
        for (int i = 0; i < count; i++) {
            t.user = nodes[i];
            if (nodes[i]->kind == NODE_VIEW)
                spread_view(&t, nodes[i]);
            else
                expr_visit(s->g->pool, nodes[i]->body, spread_step, &t);
        }
    }
    for (int i = 0; i < count && !t.wrong; i++) {
        t.user = nodes[i];
        t.wrong = !s->step[nodes[i]->id] || s->step[nodes[i]->id]->extent != step->extent;
        if (nodes[i]->kind == NODE_COMPUTE)
            expr_visit(s->g->pool, nodes[i]->body, check_read, &t);
    }
    r->reversed = t.shift > 0;
    r->steps = step->extent;
    return !t.wrong && t.shift;
}

static bool is_taken(const Node *n, const Index *ix)
{
    bool taken = ix->per_example != 0;
    for (int i = 0; i < n->step_count; i++)
        taken = taken || (n->steps[i].of && n->steps[i].index == ix);
    return taken;
}

/* A scan's own index goes before others that would do. */
static bool find_step(Search *s, Node *const *nodes, int count, Recurrence *r)
{
    for (int i = 0; i < count; i++)
        for (int k = 0; k < nodes[i]->step_count; k++)
            if (!nodes[i]->steps[k].of &&
                try_step(s, nodes, count, nodes[i], nodes[i]->steps[k].index, r))
                return true;
    for (int i = 0; i < nodes[0]->rank; i++)
        if (!is_taken(nodes[0], nodes[0]->domain[i]) &&
            try_step(s, nodes, count, nodes[0], nodes[0]->domain[i], r))
            return true;
    return false;
}

/* ---- a recurrence -------------------------------------------------------------------------------------------- */

static int depth_written(const Node *n)
{
    int depth = 0;
    while (depth < n->step_count && n->steps[depth].of)
        depth++;
    return depth;
}

static void add_step(Node *n, Index *step, const Recurrence *r)
{
    int kept = 0;
    for (int i = 0; i < n->step_count; i++)
        if (n->steps[i].of || n->steps[i].index != step)
            n->steps[kept++] = n->steps[i];
    n->step_count = kept - (kept == MOST_STEPS);
    const int at =
        depth_written(n); /* behind the recurrences around, before what counts scans within */
    memmove(&n->steps[at + 1], &n->steps[at], sizeof *n->steps * (size_t)(n->step_count - at));
    n->steps[at] = (StepCounter){step, r};
    n->step_count++;
    n->recurrence = r;
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

/* What a step needs of itself goes first; otherwise the old order stays. */
static void place_recurrence(Search *s, Node **nodes, int count)
{
    const int within = s->within;
    const Recurrence *outer = s->recurrence;
    Recurrence *r = arena_new(s->g->arena, Recurrence, 1);
    r->outer = outer;
    sort_by_id(nodes, count);
    s->within = ++s->scopes;
    for (int i = 0; i < count; i++)
        s->scope[nodes[i]->id] = s->within;
    if (depth_written(nodes[0]) == MOST_STEPS || !find_step(s, nodes, count, r)) {
        s->fault = s->fault ? s->fault : nodes[0];
        s->within = within;
        return;
    }
    for (int i = 0; i < count; i++) {
        add_step(nodes[i], s->step[nodes[i]->id], r);
        s->number[nodes[i]->id] = 0;
    }
    s->recurrence = r;
    for (int i = 0; i < count; i++)
        if (!s->number[nodes[i]->id])
            visit(s, nodes[i]);
    s->recurrence = outer;
    s->within = within;
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
    if (count > 1 || r.self)
        place_recurrence(s, members, count);
    else
        vec_push(s->g->arena, &s->sorted, n);
}

/* Recurrences are found anew; what counted their steps, and those of scans, is remembered. */
static void forget_recurrences(Graph *g)
{
    for (int i = 0; i < g->nodes.count; i++) {
        Node *n = g->nodes.data[i];
        n->recurrence = NULL;
        for (int k = 0; k < n->step_count; k++)
            if (is_closed(&n->steps[k]))
                n->steps[k].of = NULL;
            else if (n->steps[k].of)
                n->recurrence = n->steps[k].of;
    }
}

const Node *graph_sort(Graph *g)
{
    Arena *a = g->arena;
    const int count = g->nodes.count + 1;
    Search s = {.g = g,
                .number = arena_new(a, int, count),
                .low = arena_new(a, int, count),
                .open = arena_new(a, bool, count),
                .scope = arena_new(a, int, count),
                .step = arena_new(a, Index *, count)};
    forget_recurrences(g);
    for (int i = 0; i < g->nodes.count; i++)
        if (!s.number[i])
            visit(&s, g->nodes.data[i]);
    for (int i = 0; i < s.sorted.count && !s.fault; i++) {
        g->nodes.data[i] = s.sorted.data[i];
        g->nodes.data[i]->id = i;
    }
    return s.fault;
}
