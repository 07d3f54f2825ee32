/* What the files of reverse-mode differentiation tell each other.  Private to this floor. */
#ifndef GRADC_GRAD_INTERNAL_H
#define GRADC_GRAD_INTERNAL_H

#include "grad/grad.h"

/* ---- cotangent.c: shares add up -------------------------------------------------------------------- */

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

/* e with each `from` renamed to its `to`. */
const Expr *rename_indices(Graph *g, const Expr *e, Index *const *from, Index *const *to,
                           int count);

/* A new node with fresh indices; it belongs to the layer and the line of `of`. */
Node *adjoint_node(Graph *g, const Node *of, const char *name, DType type, Index *const *domain,
                   int rank, const Reduction *reduction, Index *const *bound, int bound_count,
                   const Expr *body);
const char *d_name(Graph *g, const Node *n);

Cotangent *cotangent_of(Reverse *r, const Node *n);
void add_share(Reverse *r, const Node *n, Share share);
/* The cotangent of n over its axes: what needs no sum in one expression, each sum a node of its
 * own, called `single` when it is all there is.  NULL: nothing arrived. */
const Expr *cotangent_total(Reverse *r, const Node *n, const char *single);
/* The node whose value is that total: the one that it reads whole, or a new one. */
Node *node_of_total(Reverse *r, const Node *n, const Expr *sum);

/* ---- route.c ----------------------------------------------------------------------------------------- */

/* The cotangent of the body of y, over the free and bound indices of y, where `ct` arrived at y. */
const Expr *cotangent_of_body(Reverse *r, const Node *y, const Expr *ct);

/* ---- reverse.c --------------------------------------------------------------------------------------- */

/* Walks from the seeds to the wanted nodes; what has arrived at these can then be asked for. */
Reverse *reverse_walk(Graph *g, const Seed *seeds, int seed_count, Node *const *wanted,
                      int wanted_count);

#endif
