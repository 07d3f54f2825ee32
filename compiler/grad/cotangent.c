/* Cotangents in the making: the shares of a node's users, and the nodes and sums they become. */
#include "functions/functions.h"
#include "grad/internal.h"

/* ---- copies of indices -------------------------------------------------------------------------------------- */

static const Affine **as_affine(Graph *g, Index *const *indices, int count)
{
    const Affine **a = arena_new(g->arena, const Affine *, count + 1);
    for (int i = 0; i < count; i++)
        a[i] = affine_index(g->pool, indices[i]);
    return a;
}

const Expr *rename_indices(Graph *g, const Expr *e, Index *const *from, Index *const *to, int count)
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

Node *adjoint_node(Graph *g, const Node *of, const char *name, DType type, Index *const *domain,
                   int rank, const Reduction *reduction, Index *const *bound, int bound_count,
                   const Expr *body)
{
    Index **free = index_copies(g->pool, domain, rank),
          **summed = index_copies(g->pool, bound, bound_count);
    body = rename_indices(g, body, domain, free, rank);
    body = rename_indices(g, body, bound, summed, bound_count);
    Node *n = graph_compute(g, name, type, free, rank, bound_count ? reduction : NULL, summed,
                            bound_count, body, of->span);
    n->layer = of->layer;
    copy_steps(of, domain, rank, n);
    return n;
}

const char *d_name(Graph *g, const Node *n)
{
    return arena_format(g->arena, "d_%s", n->name);
}

/* ---- shares add up to a cotangent -------------------------------------------------------------------------------- */

Cotangent *cotangent_of(Reverse *r, const Node *n)
{
    Cotangent *c = &r->of[n->id];
    if (!c->axes)
        c->axes = index_copies(r->g->pool, n->domain, n->rank);
    return c;
}

void add_share(Reverse *r, const Node *n, Share share)
{
    double value;
    if (!expr_is_const(share.body, &value) || value != 0)
        vec_push(r->g->arena, &cotangent_of(r, n)->shares, share);
}

static const char *share_name(Reverse *r, const Node *n, const Share *share, const char *single)
{
    return single ? single : arena_format(r->g->arena, "d_%s_from_%s", n->name, share->user->name);
}

const Expr *cotangent_total(Reverse *r, const Node *n, const char *single)
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

Node *node_of_total(Reverse *r, const Node *n, const Expr *sum)
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
