/* What the files of this floor share.  Private to it. */
#ifndef GRADC_LOWER_INTERNAL_H
#define GRADC_LOWER_INTERNAL_H

#include "functions/functions.h"
#include "lower/lower.h"

typedef VEC(Index *) IndexList;

typedef struct Lowering {
    const Schedule *schedule;
    const Kernel *kernel;
    const LaneModel *lanes;
    ExprPool *pool;
    Arena *arena;
    DType real;
    LoopKernel *out;
    Buffer **buffers;      /* per node id, of its storage                          */
    Buffer **past;         /* the same, of steps that are done: nothing here writes them */
    const Expr **values;   /* per node id: where it can be had without loading it  */
    const Affine **places; /* per node id: `values` holds at this offset only      */
} Lowering;

/* ---- loop.c: making loops, buffers, registers --------------------------------------------------------- */

int lane_count(const Lowering *l, DType type);
Buffer *buffer_of(Lowering *l, Node *n); /* the storage that n (or what it views) has  */
Buffer *buffer_to_write(Lowering *l, Node *n);
Buffer *scratch_new(Lowering *l, DType type, int64_t elements);
int local_new(Lowering *l, DType type);

Loop *loop_for(Lowering *l, LoopList *into, ForKind how, Index *index);
Loop *loop_range(Lowering *l, LoopList *into, ForKind how, Index *index, const Affine *begin,
                 int64_t length, int64_t step);
void loop_set(Lowering *l, LoopList *into, int local, const Expr *value);
void loop_combine(Lowering *l, LoopList *into, int local, const Expr *value, const Reduction *r);
void loop_store(Lowering *l, LoopList *into, Buffer *b, const Affine *offset, const Expr *value);
void loop_ask(Lowering *l, LoopList *into, Buffer *b, const Affine *offset);
Loop *loop_new(Lowering *l, LoopKind kind); /* in no list yet */
Loop *loop_append(Lowering *l, LoopList *into, LoopKind kind);

/* Makes `index` the kernel's parallel loop, `step` iterations at a time; gives the loop. */
Loop *loop_parallel(Lowering *l, LoopList *into, Index *index, int64_t step);

/* The offset of subscripts into n's row-major elements; data subscripts become terms. */
const Affine *access_offset(Lowering *l, const Expr *access, DataTerm **data, int *count);
const Affine *identity_offset(Lowering *l, const Node *n, const Affine *const *at);
/* The expression with accesses as loads (or registers), then indices replaced. */
const Expr *lower_expr(Lowering *l, const Expr *e, const Substitution *s);

/* One index in place of several, row-major; the substitution of them by it is appended. */
Index *flatten_indices(Lowering *l, const char *name, Index *const *list, int count);
void flatten_into(Lowering *l, const Affine *flat, Index *const *list, int count,
                  const Affine **to);

/* How often an access touches memory apart when the index steps: what a vector over it costs. */
double access_cost(Lowering *l, const Expr *value, const Index *vector, int lanes);

double kernel_steps(const Kernel *k); /* how often it runs: its costs are those of all steps */

/* ---- hoist.c: what loops do not change ---------------------------------------------------------------- */

/* Moves what a loop does not change in front of it. */
typedef VEC(Buffer *) BufferList;
typedef struct Hoist {
    Lowering *l;
    LoopList *into;     /* in front of the loop */
    IndexList indices;  /* that the loop steps  */
    BufferList written; /* what it stores       */
    int first_local;    /* registers from this one on are set in the loop */
} Hoist;

const Expr *hoist(const Hoist *h, const Expr *e);
/* The cost of the calls in what it would move. */
double hoist_cost(const Hoist *h, const Expr *e);

/* ---- clip.c: loops that end early -------------------------------------------------------------------- */

/* Where the loop over ix may end, as nothing is to be done where `condition` does not hold; NULL: at its
 * extent.  `fixed` are the indices that are the same for all lanes and iterations. */
const Affine *clip_end(Lowering *l, const Expr *condition, Index *ix, const IndexList *fixed);
/* The same of values that are summed up, `nothing` being what changes no sum. */
const Affine *clip_sum(Lowering *l, const Expr *value, const Expr *nothing, Index *ix,
                       const IndexList *fixed);

/* ---- split.c ------------------------------------------------------------------------------------------- */

/* Cuts vector loops into pieces in which conditions on their index hold throughout or nowhere. */
void split_loops(Lowering *l, LoopList *list);

/* ---- past.c -------------------------------------------------------------------------------------------- */

/* Marks the stores of results that no cache keeps until they are read. */
void store_past_caches(Lowering *l);

/* ---- nest.c, scatter.c, tile.c, margin.c ------------------------------------------------------------------------ */

void lower_nest(Lowering *l);
void lower_scatter(Lowering *l);
void lower_contraction(Lowering *l);
void lower_margin(Lowering *l);

#endif
