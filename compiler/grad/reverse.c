/* Reverse-mode differentiation: the walk from the losses to the parameters.
 * No scalar function by name here; of the reductions, each kind has its own way to route a cotangent. */
#include "functions/functions.h"
#include "grad/grad.h"

#include <string.h>

/* One user's share in the cotangent of a node: sum over bound of body. */
typedef struct Share {
    const Node *user;
    Index **bound;
    int bound_count;
    const Expr *body;
} Share;

/* Of a node of the primal. */
typedef struct Cotangent {
    Index **axes; /* what the shares are written over; the shape of the node */
    VEC(Share) shares;
} Cotangent;

typedef struct Reverse {
    Graph *g;
    ExprPool *p;
    int count;    /* nodes of the primal */
    bool *needed; /* per node id: depends on a wanted one */
    bool *wanted; /* per node id */
    Cotangent *of;
} Reverse;

/* ---- which nodes take part ------------------------------------------------------------------------------ */

typedef struct Dependence {
    const bool *needed;
    bool found;
} Dependence;

static void look_for_needed(void *context, const Expr *e)
{
    Dependence *c = context;
    if (e->kind == EXPR_ACCESS && dtype_is_real(e->type) && c->needed[e->node->id])
        c->found = true;
}

static bool depends_on_needed(Reverse *r, const Node *n)
{
    Dependence c = {.needed = r->needed};
    if (n->kind == NODE_VIEW)
        return r->needed[n->viewed->id];
    if (n->kind == NODE_COMPUTE)
        expr_visit(r->p, n->body, look_for_needed, &c);
    for (int i = 0; i < n->stated.count; i++)
        look_for_needed(&c, n->stated.data[i].access);
    return c.found;
}

static void mark_needed(Reverse *r, Node *const *wanted, int wanted_count)
{
    for (int i = 0; i < wanted_count; i++)
        r->wanted[wanted[i]->id] = true;
    bool again = true; /* around recurrences, until nothing is new */
    while (again) {
        again = false;
        for (int i = 0; i < r->count; i++) {
            const Node *n = r->g->nodes.data[i];
            const bool before = r->needed[i];
            r->needed[i] = dtype_is_real(n->type) && (r->wanted[i] || depends_on_needed(r, n));
            again = again || (n->recurrence && r->needed[i] != before);
        }
    }
}

/* ---- copies of indices -------------------------------------------------------------------------------------- */

static Index **copy_indices(Graph *g, Index *const *indices, int count)
{
    Index **copies = arena_new(g->arena, Index *, count + 1);
    for (int i = 0; i < count; i++)
        copies[i] = index_copy(g->pool, indices[i]);
    return copies;
}

static const Affine **as_affine(Graph *g, Index *const *indices, int count)
{
    const Affine **a = arena_new(g->arena, const Affine *, count + 1);
    for (int i = 0; i < count; i++)
        a[i] = affine_index(g->pool, indices[i]);
    return a;
}

/* e with each `from` renamed to its `to`. */
static const Expr *rename_indices(Graph *g, const Expr *e, Index *const *from, Index *const *to,
                                  int count)
{
    return expr_substitute(g->pool, e, &(Substitution){count, from, as_affine(g, to, count)});
}

/* ---- making nodes ---------------------------------------------------------------------------------------------- */

/* The steps of scans that are still being written are understood; of others, graph_sort finds the
 * recurrences. */
static void copy_steps(const Node *of, Index *const *domain, int rank, Node *n)
{
    for (int k = 0; k < of->step_count; k++)
        for (int i = 0; i < rank; i++) {
            const StepCounter *s = &of->steps[k];
            if (domain[i] != s->index && (rank != of->rank || of->domain[i] != s->index))
                continue;
            const bool open = s->of && s->of->open;
            n->steps[n->step_count++] = (StepCounter){n->domain[i], open ? s->of : NULL};
            n->recurrence = open ? s->of : n->recurrence;
            break;
        }
}

/* A new node with fresh indices; it belongs to the layer and the line of `of`. */
static Node *adjoint_node(Graph *g, const Node *of, const char *name, DType type,
                          Index *const *domain, int rank, const Reduction *reduction,
                          Index *const *bound, int bound_count, const Expr *body)
{
    Index **free = copy_indices(g, domain, rank), **summed = copy_indices(g, bound, bound_count);
    body = rename_indices(g, body, domain, free, rank);
    body = rename_indices(g, body, bound, summed, bound_count);
    Node *n = graph_compute(g, name, type, free, rank, bound_count ? reduction : NULL, summed,
                            bound_count, body, of->span);
    n->layer = of->layer;
    copy_steps(of, domain, rank, n);
    return n;
}

static const char *d_name(Graph *g, const Node *n)
{
    return arena_format(g->arena, "d_%s", n->name);
}

/* ---- shares add up to a cotangent -------------------------------------------------------------------------------- */

static Cotangent *cotangent_of(Reverse *r, const Node *n)
{
    Cotangent *c = &r->of[n->id];
    if (!c->axes)
        c->axes = copy_indices(r->g, n->domain, n->rank);
    return c;
}

static void add_share(Reverse *r, const Node *n, Share share)
{
    double value;
    if (!expr_is_const(share.body, &value) || value != 0)
        vec_push(r->g->arena, &cotangent_of(r, n)->shares, share);
}

static const char *share_name(Reverse *r, const Node *n, const Share *share, const char *single)
{
    return single ? single : arena_format(r->g->arena, "d_%s_from_%s", n->name, share->user->name);
}

/* The cotangent of n over its axes: what needs no sum in one expression, each sum a node of its
 * own, called `single` when it is all there is.  NULL: nothing arrived. */
static const Expr *total(Reverse *r, const Node *n, const char *single)
{
    Cotangent *c = cotangent_of(r, n);
    const Expr *sum = NULL;
    for (int i = 0; i < c->shares.count; i++) {
        Share *s = &c->shares.data[i];
        const Expr *e = s->body;
        if (s->bound_count > 0) {
            Node *part =
                adjoint_node(r->g, n, share_name(r, n, s, c->shares.count == 1 ? single : NULL),
                             n->type, c->axes, n->rank, &reduce_sum, s->bound, s->bound_count, e);
            e = expr_access_identity(r->p, part, c->axes);
        }
        sum = adjoint_add(r->p, sum, e);
    }
    return sum;
}

/* Is e all of another node, index by index? */
static Node *whole_node(const Expr *e, Index *const *axes, int rank)
{
    if (e->kind != EXPR_ACCESS || e->count != rank)
        return NULL;
    for (int i = 0; i < rank; i++)
        if (!e->subscripts[i].affine || affine_is_index(e->subscripts[i].affine) != axes[i] ||
            e->node->domain[i]->extent != axes[i]->extent)
            return NULL;
    return e->node;
}

static Node *node_of_total(Reverse *r, const Node *n, const Expr *sum)
{
    Cotangent *c = cotangent_of(r, n);
    Node *same = whole_node(sum, c->axes, n->rank);
    if (same && n->named && !same->named) {
        graph_rename(r->g, same, d_name(r->g, n)); /* d_logits, not d_z */
        same->named = true;
    }
    if (same)
        return same;
    return adjoint_node(r->g, n, d_name(r->g, n), n->type, c->axes, n->rank, NULL, NULL, 0, sum);
}

/* The cotangent of n at its own indices, for use in what n hands on.  A node unless it is uniform. */
static const Expr *arrived(Reverse *r, const Node *n)
{
    const Expr *sum = total(r, n, d_name(r->g, n));
    if (!sum || expr_is_uniform(sum))
        return sum;
    return expr_access_identity(r->p, node_of_total(r, n, sum), n->domain);
}

/* ---- each reduction's way to route a cotangent ------------------------------------------------------------------ */

/* The position among the bound indices as a number, as argmax counts it. */
static const Affine *position(ExprPool *p, Index *const *bound, int count)
{
    const Affine *a = affine_constant(p, 0);
    for (int i = 0; i < count; i++)
        a = affine_add(p, affine_scale(p, a, bound[i]->extent), affine_index(p, bound[i]));
    return a;
}

/* An index over the batch comes first, or the position would depend on how many examples there are. */
static Index **batch_first(Graph *g, Index *const *indices, int count)
{
    Index **out = arena_new(g->arena, Index *, count + 1);
    int n = 0;
    for (int i = 0; i < count; i++)
        if (indices[i]->per_example)
            out[n++] = indices[i];
    for (int i = 0; i < count; i++)
        if (!indices[i]->per_example)
            out[n++] = indices[i];
    return out;
}

/* max, min: to the first that reaches it. */
static const Expr *route_to_winner(Reverse *r, const Node *y, const Expr *ct,
                                   const Reduction *finder)
{
    Graph *g = r->g;
    Index **bound = batch_first(g, y->bound, y->bound_count);
    Node *winner =
        adjoint_node(g, y, arena_format(g->arena, "%s_of_%s", finder->name, y->name), TYPE_I32,
                     y->domain, y->rank, finder, bound, y->bound_count, y->body);
    const Expr *sides[2] = {expr_access_identity(r->p, winner, y->domain),
                            expr_affine(r->p, position(r->p, bound, y->bound_count))};
    return expr_select(r->p, expr_call(r->p, &scalar_eq, sides), ct, expr_const(r->p, 0));
}

/* prod: times the product of all others, which is right where some are zero. */
static const Expr *times_others(Reverse *r, const Node *y, const Expr *ct)
{
    Graph *g = r->g;
    int rank = y->rank + y->bound_count;
    Index **all = arena_new(g->arena, Index *, rank + 1);
    memcpy(all, y->domain, sizeof *all * (size_t)y->rank);
    memcpy(all + y->rank, y->bound, sizeof *all * (size_t)y->bound_count);
    all = batch_first(g, all, rank);
    Index **other = copy_indices(g, y->bound, y->bound_count);
    const Expr *same = NULL;
    for (int i = 0; i < y->bound_count; i++) {
        other[i]->name = intern(g->names, arena_format(g->arena, "%s_other", other[i]->name));
        const Affine *gap =
            affine_sub(r->p, affine_index(r->p, other[i]), affine_index(r->p, y->bound[i]));
        const Expr *test = expr_test(r->p, TEST_ZERO, gap);
        same = same ? expr_and(r->p, same, test) : test;
    }
    const Expr *factor = rename_indices(g, y->body, y->bound, other, y->bound_count);
    const Expr *body = expr_select(r->p, same, expr_const(r->p, 1), factor);
    Node *others = adjoint_node(g, y, arena_format(g->arena, "others_of_%s", y->name), y->type, all,
                                rank, &reduce_prod, other, y->bound_count, body);
    return expr_mul(r->p, ct, expr_access_identity(r->p, others, all));
}

/* The cotangent of the body, over the free and bound indices of y. */
static const Expr *cotangent_of_body(Reverse *r, const Node *y, const Expr *ct)
{
    if (!y->reduction || y->reduction == &reduce_sum)
        return ct;
    if (y->reduction == &reduce_max)
        return route_to_winner(r, y, ct, &reduce_argmax);
    if (y->reduction == &reduce_min)
        return route_to_winner(r, y, ct, &reduce_argmin);
    if (y->reduction == &reduce_prod)
        return times_others(r, y, ct);
    bug("no derivative of the reduction %s in %s", y->reduction->name, y->name);
}

/* ---- a node hands its cotangent on --------------------------------------------------------------------------------- */

/* The adjoint reuses the primal result: one tanh, no second one; nor a second one of `if c then
 * tanh(x) else 0`, of which c guards the cotangent too. */
static const Expr *reuse_result(Reverse *r, const Node *y, const Expr *e)
{
    if (y->reduction || y->body->kind != EXPR_CALL)
        return e;
    const Expr *result = expr_access_identity(r->p, (Node *)y, y->domain);
    const Expr *guarded = adjoint_guarded_value(r->p, y->body);
    e = adjoint_replace(r->p, e, y->body, result);
    return guarded ? adjoint_replace(r->p, e, guarded, result) : e;
}

static int leaves_with(const LeafAdjoints *leaves, const Expr *value)
{
    int count = 0;
    for (int i = 0; i < leaves->count; i++)
        count += leaves->data[i].value == value;
    return count;
}

/* What several operands get alike becomes a node, so that a bias sums what the product before it reads. */
static void share_value(Reverse *r, const Node *y, LeafAdjoints *leaves)
{
    for (int i = 0; !y->reduction && i < leaves->count; i++) {
        const Expr *value = leaves->data[i].value;
        if (value->kind != EXPR_CALL || expr_is_uniform(value) || leaves_with(leaves, value) < 2)
            continue;
        const char *name =
            arena_format(r->g->arena, "d_%s_from_%s", leaves->data[i].access->node->name, y->name);
        Node *n = adjoint_node(r->g, y, name, y->type, y->domain, y->rank, NULL, NULL, 0, value);
        for (int k = i; k < leaves->count; k++)
            if (leaves->data[k].value == value)
                leaves->data[k].value = expr_access_identity(r->p, n, y->domain);
    }
}

/* What the author says, in place of the body. */
static void stated_adjoints(Reverse *r, const Node *y, const Expr *ct, LeafAdjoints *leaves)
{
    for (int i = 0; i < y->stated.count; i++) {
        const StatedDerivative *s = &y->stated.data[i];
        const LeafAdjoint leaf = {s->access, expr_mul(r->p, ct, s->value)};
        if (r->needed[s->access->node->id])
            vec_push(r->g->arena, leaves, leaf);
    }
}

static void pull_back_compute(Reverse *r, const Node *y, const Expr *ct)
{
    LeafAdjoints leaves = {0};
    if (y->stated.count)
        stated_adjoints(r, y, ct, &leaves);
    else
        adjoint_of_body(r->p, y->body, cotangent_of_body(r, y, ct), r->needed, &leaves);
    for (int i = 0; i < leaves.count; i++)
        leaves.data[i].value = reuse_result(r, y, leaves.data[i].value);
    share_value(r, y, &leaves);
    for (int i = 0; i < leaves.count; i++) {
        const LeafAdjoint *leaf = &leaves.data[i];
        const Node *x = leaf->access->node;
        Pullback b = access_pull_back(r->g, leaf->access, leaf->value, y, cotangent_of(r, x)->axes);
        add_share(r, x, (Share){y, b.bound, b.bound_count, b.body});
    }
}

/* The adjoint of a view is a view of the adjoint. */
static void pull_back_view(Reverse *r, const Node *y, const Expr *ct)
{
    const Node *x = y->viewed;
    if (!expr_is_uniform(ct)) {
        const char *name = arena_format(r->g->arena, "d_%s_from_%s", x->name, y->name);
        Node *v = graph_view(r->g, name, ct->node, copy_indices(r->g, x->domain, x->rank), x->rank,
                             x->span);
        v->layer = x->layer;
        ct = expr_access_identity(r->p, v, cotangent_of(r, x)->axes);
    }
    add_share(r, x, (Share){.user = y, .body = ct});
}

static void pull_back(Reverse *r, const Node *y)
{
    bool inner = y->kind == NODE_VIEW || y->kind == NODE_COMPUTE;
    if (!inner || !r->needed[y->id] || !depends_on_needed(r, y) ||
        cotangent_of(r, y)->shares.count == 0)
        return;
    const Expr *ct = arrived(r, y);
    if (r->wanted[y->id]) { /* keep it for the answer, in one piece */
        Cotangent *c = cotangent_of(r, y);
        c->shares.count = 0;
        const Expr *at_axes = rename_indices(r->g, ct, y->domain, c->axes, y->rank);
        add_share(r, y, (Share){.user = y, .body = at_axes});
    }
    if (y->kind == NODE_VIEW)
        pull_back_view(r, y, ct);
    else
        pull_back_compute(r, y, ct);
}

/* ---- a recurrence hands its cotangents on -------------------------------------------------------------------------- */

static bool takes_part(Reverse *r, const Node *n)
{
    return r->needed[n->id] && depends_on_needed(r, n);
}

/* A node that stands for the cotangent of n until all shares in it are known. */
static Node *promised(Reverse *r, const Node *n)
{
    return adjoint_node(r->g, n, d_name(r->g, n), n->type, cotangent_of(r, n)->axes, n->rank, NULL,
                        NULL, 0, expr_const(r->p, 0));
}

/* The shares of n, those from its own recurrence included, become the promised node's value. */
static void keep_promise(Reverse *r, const Node *n, Node *d)
{
    Cotangent *c = cotangent_of(r, n);
    const Expr *sum = total(r, n, NULL);
    if (sum)
        d->body = rename_indices(r->g, sum, c->axes, d->domain, n->rank);
    c->shares.count = 0;
    add_share(r, n, (Share){.user = n, .body = expr_access_identity(r->p, d, c->axes)});
}

/* The cotangents of a recurrence need each other, as its nodes do: they are a recurrence that runs
 * the other way. */
static void pull_back_recurrence(Reverse *r, int first, int last)
{
    Node **d = arena_new(r->g->arena, Node *, last - first + 1);
    bool any = false;
    for (int i = first; i <= last; i++)
        any = any || cotangent_of(r, r->g->nodes.data[i])->shares.count > 0;
    for (int i = first; any && i <= last; i++)
        if (takes_part(r, r->g->nodes.data[i]))
            d[i - first] = promised(r, r->g->nodes.data[i]);
    for (int i = last; any && i >= first; i--) {
        const Node *y = r->g->nodes.data[i];
        if (!d[i - first])
            continue;
        const Expr *ct = expr_access_identity(r->p, d[i - first], y->domain);
        if (y->kind == NODE_VIEW)
            pull_back_view(r, y, ct);
        else
            pull_back_compute(r, y, ct);
    }
    for (int i = last; any && i >= first; i--)
        if (d[i - first])
            keep_promise(r, r->g->nodes.data[i], d[i - first]);
}

static int first_of_recurrence(const Graph *g, int last)
{
    int i = last;
    const Recurrence *r = recurrence_outermost(g->nodes.data[last]->recurrence);
    while (i > 0 && recurrence_outermost(g->nodes.data[i - 1]->recurrence) == r)
        i--;
    return i;
}

/* Users come before their operands here, so a cotangent is complete when it is read. */
static Reverse *run(Graph *g, const Seed *seeds, int seed_count, Node *const *wanted,
                    int wanted_count)
{
    Reverse *r = arena_new(g->arena, Reverse, 1);
    int count = g->nodes.count;
    *r = (Reverse){g,
                   g->pool,
                   count,
                   arena_new(g->arena, bool, count + 1),
                   arena_new(g->arena, bool, count + 1),
                   arena_new(g->arena, Cotangent, count + 1)};
    mark_needed(r, wanted, wanted_count);
    for (int i = 0; i < seed_count; i++)
        add_share(r, seeds[i].node, (Share){.user = seeds[i].node, .body = seeds[i].value});
    for (int i = count - 1; i >= 0; i--)
        if (g->nodes.data[i]->recurrence && !g->nodes.data[i]->recurrence->open) {
            const int first = first_of_recurrence(g, i);
            pull_back_recurrence(r, first, i);
            i = first;
        } else {
            pull_back(r, g->nodes.data[i]);
        }
    return r;
}

void grad_cotangents(Graph *g, const Seed *seeds, int seed_count, Node *const *wanted,
                     int wanted_count, Node **out)
{
    Reverse *r = run(g, seeds, seed_count, wanted, wanted_count);
    for (int i = 0; i < wanted_count; i++) {
        const Expr *sum = total(r, wanted[i], d_name(g, wanted[i]));
        out[i] = sum ? node_of_total(r, wanted[i], sum) : NULL;
    }
    graph_sort(g);
}

/* ---- the gradient of the losses ---------------------------------------------------------------------------------------- */

typedef VEC(Seed) Seeds;
typedef VEC(Node *) Nodes;

static const Expr *batch_size(Graph *g)
{
    return expr_scalar(g->pool, SCALAR_BATCH_SIZE, 0);
}

/* Everything is differentiated as the sum over the examples; a loss of no example counts for each. */
static Seeds seeds_of_losses(Graph *g, const char *loss)
{
    Seeds seeds = {0};
    for (int i = 0; i < g->results.count; i++) {
        const Result *result = &g->results.data[i];
        Node *n = result->value;
        if (result->role == RESULT_LOSS && (!loss || result->name == loss))
            vec_push(g->arena, &seeds,
                     ((Seed){n, node_is_batched(n) ? expr_const(g->pool, 1) : batch_size(g)}));
    }
    return seeds;
}

static bool has_gradient(const Graph *g, const Tensor *t)
{
    for (int i = 0; i < g->results.count; i++)
        if (g->results.data[i].role == RESULT_GRADIENT && g->results.data[i].tensor == t)
            return true;
    return false;
}

static Nodes parameters_to_train(Graph *g, const Program *program, const char *loss)
{
    Nodes wanted = {0};
    for (int i = 0; i < program->tensors.count; i++) {
        Tensor *t = program->tensors.data[i];
        if (t->role == ROLE_PARAM && !t->frozen && t->loss == loss && !has_gradient(g, t))
            vec_push(g->arena, &wanted, graph_tensor(g, t));
    }
    return wanted;
}

/* The sum over the batch, divided by its size: the mean. */
static Node *mean_gradient(Reverse *r, const Node *w)
{
    Graph *g = r->g;
    const Expr *sum = total(r, w, arena_format(g->arena, "d_%s_total", w->name));
    const Expr *mean = sum ? expr_mul(r->p, sum, expr_div(r->p, expr_const(r->p, 1), batch_size(g)))
                           : expr_const(r->p, 0);
    return adjoint_node(g, w, d_name(g, w), w->type, cotangent_of(r, w)->axes, w->rank, NULL, NULL,
                        0, mean);
}

static void warn_of_no_gradient(Graph *g, const Seeds *seeds, const Node *w, Diag *d)
{
    Node **of = arena_new(g->arena, Node *, seeds->count + 1);
    Wall wall;
    for (int i = 0; i < seeds->count; i++)
        of[i] = seeds->data[i].node;
    const bool blocked = grad_blocked(g, of, seeds->count, w, &wall);
    diag_warning(d, w->tensor->span,
                 blocked ? "parameter `%s` gets no gradient, though the loss depends on it"
                         : "parameter `%s` does not influence the loss",
                 w->tensor->name);
    if (blocked)
        grad_note_wall(d, &wall);
}

/* The parameters that `loss` trains; NULL: those that all losses do. */
static void add_gradients(Graph *g, Program *program, const char *loss, Diag *d)
{
    Nodes wanted = parameters_to_train(g, program, loss);
    if (wanted.count == 0)
        return;
    Seeds seeds = seeds_of_losses(g, loss);
    Reverse *r = run(g, seeds.data, seeds.count, wanted.data, wanted.count);
    for (int i = 0; i < wanted.count; i++) {
        Node *w = wanted.data[i];
        if (cotangent_of(r, w)->shares.count == 0)
            warn_of_no_gradient(g, &seeds, w, d);
        graph_result(g, RESULT_GRADIENT, w->tensor->name, mean_gradient(r, w), w->tensor, 0);
    }
}

void grad_run(Graph *g, Program *program, Diag *d)
{
    add_gradients(g, program, NULL, d);
    for (int i = 0, losses = g->results.count; i < losses; i++)
        if (g->results.data[i].role == RESULT_LOSS)
            add_gradients(g, program, g->results.data[i].name, d);
    graph_sort(g);
}
