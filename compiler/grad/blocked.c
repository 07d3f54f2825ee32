/* Why there is no derivative of one node by another: it does not rest on it, or all that does passes
 * through something that has none.  Then that is named, where it stands. */
#include "functions/functions.h"
#include "grad/grad.h"

#include <string.h>

typedef struct Paths {
    ExprPool *p;
    bool *smooth; /* per node id: has a derivative by `by`                     */
    bool *used;   /* what is differentiated needs it                           */
    bool *known;  /* per expression id of the body at hand: may it be differentiated? */
} Paths;

typedef struct Search {
    const Paths *paths;
    const bool *among;
    bool found;
} Search;

static void look_among(void *context, const Expr *e)
{
    Search *s = context;
    s->found = s->found || (e->kind == EXPR_ACCESS && s->among[e->node->id]);
}

static bool reads(const Paths *paths, const Node *n, const bool *among)
{
    Search s = {.among = among};
    if (n->kind == NODE_VIEW)
        return among[n->viewed->id];
    if (n->kind == NODE_COMPUTE)
        expr_visit(paths->p, n->body, look_among, &s);
    return s.found;
}

/* Has e a derivative by anything smooth?  Its operands are visited before. */
static void look_for_smooth(void *context, const Expr *e)
{
    const Paths *paths = context;
    bool smooth = e->kind == EXPR_ACCESS && paths->smooth[e->node->id];
    for (int i = 0; e->kind == EXPR_CALL && e->function->derivative && i < e->function->arity; i++)
        smooth =
            smooth || (paths->known[e->args[i]->id] && e->function->derivative(paths->p, e, i));
    paths->known[e->id] = smooth && dtype_is_real(e->type);
}

static bool is_smooth(Paths *paths, const Expr *e)
{
    expr_visit(paths->p, e, look_for_smooth, paths);
    return paths->known[e->id];
}

static bool node_is_smooth(Paths *paths, const Node *n)
{
    if (n->kind == NODE_VIEW)
        return paths->smooth[n->viewed->id];
    for (int i = 0; i < n->stated.count; i++)
        if (paths->smooth[n->stated.data[i].access->node->id])
            return true;
    const bool position = n->reduction && n->reduction->position;
    return n->kind == NODE_COMPUTE && !n->stated.count && !position && is_smooth(paths, n->body);
}

/* Scans go round: marks are set until none is new. */
static void mark_smooth(Graph *g, Paths *paths, const Node *by)
{
    for (bool again = true; again;) {
        again = false;
        for (int i = 0; i < g->nodes.count; i++) {
            const Node *n = g->nodes.data[i];
            const bool smooth = n == by || node_is_smooth(paths, n);
            again = again || smooth != paths->smooth[i];
            paths->smooth[i] = smooth;
        }
    }
}

typedef struct Uses {
    bool *used;
    bool again;
} Uses;

static void use(Uses *u, const Node *n)
{
    u->again = u->again || !u->used[n->id];
    u->used[n->id] = true;
}

static void use_accessed(void *context, const Expr *e)
{
    if (e->kind == EXPR_ACCESS)
        use(context, e->node);
}

static void mark_used(Graph *g, Paths *paths, Node *const *of, int count)
{
    Uses u = {paths->used, true};
    for (int i = 0; i < count; i++)
        use(&u, of[i]);
    for (u.again = true; u.again;) {
        u.again = false;
        for (int i = g->nodes.count - 1; i >= 0; i--) {
            const Node *n = g->nodes.data[i];
            if (paths->used[i] && n->kind == NODE_VIEW)
                use(&u, n->viewed);
            if (paths->used[i] && n->kind == NODE_COMPUTE)
                expr_visit(paths->p, n->body, use_accessed, &u);
        }
    }
}

typedef struct Culprit {
    const Paths *paths;
    const Expr *call;
} Culprit;

/* The innermost call with a smooth operand by which it has no derivative. */
static void look_for_culprit(void *context, const Expr *e)
{
    Culprit *c = context;
    if (c->call || e->kind != EXPR_CALL || c->paths->known[e->id])
        return;
    for (int i = 0; i < e->function->arity; i++)
        if (c->paths->known[e->args[i]->id])
            c->call = e;
}

static const char *what_stops(Paths *paths, const Node *n)
{
    Culprit c = {.paths = paths};
    is_smooth(paths, n->body);
    expr_visit(paths->p, n->body, look_for_culprit, &c);
    if (!c.call)
        return n->reduction ? n->reduction->name : NULL;
    const ScalarFunction *f = c.call->function;
    return f == &scalar_to_integer ? "i32" : f->infix ? f->infix : f->name;
}

/* The ids that bodies use.  A body is made after what it is made of. */
static int largest_id(const Graph *g)
{
    int most = 0;
    for (int i = 0; i < g->nodes.count; i++)
        if (g->nodes.data[i]->body && g->nodes.data[i]->body->id > most)
            most = g->nodes.data[i]->body->id;
    return most;
}

bool grad_blocked(Graph *g, Node *const *of, int of_count, const Node *by, Wall *wall)
{
    const int count = g->nodes.count;
    Paths paths = {g->pool, arena_new(g->arena, bool, count), arena_new(g->arena, bool, count),
                   arena_new(g->arena, bool, largest_id(g) + 1)};
    mark_smooth(g, &paths, by);
    mark_used(g, &paths, of, of_count);
    for (int i = 0; i < count; i++) {
        const Node *n = g->nodes.data[i];
        if (!paths.used[i] || paths.smooth[i] || n->kind != NODE_COMPUTE || n->stated.count ||
            !reads(&paths, n, paths.smooth))
            continue;
        *wall = (Wall){n->span, what_stops(&paths, n)};
        return wall->what != NULL;
    }
    return false;
}

void grad_note_wall(Diag *d, const Wall *wall)
{
    const bool on_purpose = !strcmp(wall->what, scalar_stop_gradient.name);
    diag_note(d, wall->span, "it passes through `%s` here, which %s", wall->what,
              on_purpose ? "holds it constant" : "has no derivative");
    if (!on_purpose)
        diag_help(
            d, "a function may state a derivative of its own: fn f(x) { … } derivative { x: 1 }");
}
