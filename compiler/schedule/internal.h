/* What the passes of the schedule tell each other.  Private to this floor. */
#ifndef GRADC_SCHEDULE_INTERNAL_H
#define GRADC_SCHEDULE_INTERNAL_H

#include "functions/functions.h"
#include "schedule/schedule.h"

typedef VEC(Node *) NodeList;
typedef VEC(const Expr *) Tests; /* all of them hold */

/* What is known of a node while kernels are being made. */
typedef struct NodePlan {
    bool inlined;       /* lives in its users' bodies                                          */
    bool forced;        /* must have memory: a result, viewed, or read at a data subscript     */
    bool carried;       /* read at a later step                                                */
    bool late;          /* only updates want it: runs next to them                             */
    bool alone;         /* in a kernel of its own                                              */
    int band;           /* > 0: in one kernel with the others of this band                     */
    int users;          /* nodes that access it, before inlining                               */
    Node *user;         /* one of them                                                         */
    bool ends_sum;      /* elementwise, and all that becomes of a reduction                    */
    double evaluations; /* how often its body would run were it inlined                        */
    bool windowed;      /* a sum of products reads overlapping windows of it                   */
    double readers;     /* nodes that would then read what its body reads                      */
    NodeList reads;     /* the nodes whose memory its body reads (views resolved), each once   */
    NodeList before;    /* further nodes that must be done: readers of what it overwrites, and,
                           for what an update stores, the loss                                 */
    Tensor *target;     /* stored straight into this tensor                                    */
    int kernel;         /* -1: none yet                                                        */
    int64_t every;      /* needed once in this many steps                                      */
    int mark;
    Index *strip; /* counts strips: of its domain, or of what it sums over; NULL: none            */
    Tests nothing; /* of a reduction of strips: where one does not hold its body changes nothing */
} NodePlan;

/* What is to be one kernel, or a chain of them; the first `held` of it are kept in scratch for the others to
 * read. */
typedef struct BandNodes {
    NodeList nodes;
    int held;
    int loops;      /* that all share: over examples, and over the bands of one */
    bool products;  /* of matrices read what is kept: kernels of their own      */
    NodeList added; /* of the nodes: the bands of an example add to them one by one */
} BandNodes;

typedef VEC(BandNodes) BandList;

/* A node whose rows are taken apart, and the index that counts their strips: of its domain, or of its sum. */
typedef struct StripNode {
    Node *node;
    Index *strip;
} StripNode;

typedef VEC(StripNode) StripList;

typedef struct Planner {
    Graph *graph;
    ExprPool *pool;
    Arena *arena;
    Schedule *schedule;
    NodePlan *plans; /* per node id */
    NodeList order;  /* stored nodes in the order they run */
    BandList bands;
    int mark;
} Planner;

#define PLAN(p, n) (&(p)->plans[(n)->id])

/* ---- access.c: questions about accesses ---------------------------------------------------------- */

bool node_is_large(const Node *n); /* for the caches */
/* An expression over the indices of the accessed node (its body), where the access reads it. */
const Expr *expr_at_access(ExprPool *p, const Expr *e, const Expr *access);
bool access_has_data(const Expr *access);
/* The first `count` subscripts are the first `count` indices, each alone. */
bool access_is_aligned(const Expr *access, Index *const *indices, int count);
/* The first `count` loops of the user are, each alone, the subscripts (but for a common step). */
bool access_is_in_step(const Expr *access, const Node *user, int count);
/* Every subscript is the index of the same position. */
bool access_is_identity(const Expr *access, const Node *user);
int index_find(Index *const *list, int count, const Index *ix); /* -1: it is not there */
bool domains_equal(const Node *a, const Node *b, int count);
/* The distinct accesses of a body, in a stable order. */
typedef VEC(const Expr *) AccessList;
AccessList body_accesses(ExprPool *p, const Expr *body);
bool body_has_data(ExprPool *p, const Expr *body); /* some subscript is computed */
/* Is it a factor of a product of matrices, of windows so overlapping that each number is read several times? */
bool access_overlaps(ExprPool *p, const Expr *access, const Node *user);
double node_iterations(const Node *n); /* domain and bound, at the largest batch; of one step */
double node_steps(const Node *n);      /* how often they run */
double body_cost(ExprPool *p, const Expr *body);

/* ---- factor.c ---------------------------------------------------------------------------------------- */

/* Gives what depends on few inner indices nodes of its own. */
void factor_run(Graph *g);

/* ---- partial.c --------------------------------------------------------------------------------------- */

/* Takes large sums over examples apart: into parts, and the sum of the parts. */
void partial_run(Graph *g);

/* ---- sign.c ------------------------------------------------------------------------------------------ */

/* Takes signs of rectified numbers from what these are made of. */
void sign_run(Graph *g);

/* ---- outside.c ----------------------------------------------------------------------------------------- */

/* e = factor * rest, the factor one number for each example; NULL is 1. */
typedef struct Outside {
    const Expr *factor, *rest;
} Outside;

/* Is there such a factor of what n, a sum over examples first, adds up? */
bool outside_find(ExprPool *p, const Node *n, Outside *o);

/* ---- band.c ------------------------------------------------------------------------------------------- */

/* Computes what is read through windows some rows at a time; gives the nodes of each band. */
BandList band_run(Graph *g, const LaneModel *lanes);

/* ---- strip.c ------------------------------------------------------------------------------------------ */

/* Takes large matrices, and what is made of them row by row, apart by their rows. */
StripList strip_run(Graph *g, const LaneModel *lanes);
/* Does n sum over the rows that were taken apart? */
bool strip_is_summed(Planner *p, const Node *n);

/* ---- panels.c ---------------------------------------------------------------------------------------- */

/* Holds right operands of contractions in panels, where that saves packing them again; gives the nodes
 * that do. */
NodeList panels_run(Graph *g, const LaneModel *lanes, const StripList *strips);

/* ---- input.c ---------------------------------------------------------------------------------------- */

/* Gives inputs that are read through windows copies in the workspace. */
void input_run(Graph *g);

/* ---- store.c --------------------------------------------------------------------------------------- */

/* Gives every result a node of its own that can be stored where the result belongs. */
void store_prepare(Graph *g);
/* Decides what is inlined, builds the bodies, and says which updates are made in place. */
void store_run(Planner *p);

/* ---- order.c ---------------------------------------------------------------------------------------- */

void order_run(Planner *p);

/* ---- summand.c --------------------------------------------------------------------------------------- */

/* A factor of the product, or a truth without which the product is zero. */
typedef struct Factor {
    const Expr *value;
    bool guard;
    uint64_t uses; /* indices, by position in the list */
} Factor;

typedef struct Summand {
    Index *const *bound; /* the sum's indices */
    int bound_count;
    ExprPool *pool;
    Arena *arena;
    double constant;
    VEC(Factor) factors;
} Summand;

/* `body`, summed over the bound indices, taken apart. */
Summand summand_of(ExprPool *pool, Index *const *bound, int bound_count, const Expr *body);

/* ---- contract.c ------------------------------------------------------------------------------------- */

/* Is the node a contraction worth the engine?  Fills *c if so. */
bool contract_recognise(ExprPool *p, Node *n, const Expr *body, Contraction *c);
/* An expression over the node's indices, over those of the contraction. */
const Expr *contract_in_parts(ExprPool *p, const Contraction *c, const Expr *e);

/* ---- scatter.c --------------------------------------------------------------------------------------- */

/* Is it a sum that a data value scatters over one of its free indices? */
bool scatter_recognise(ExprPool *p, Node *n, const Expr *body, Scatter *s);

/* ---- group.c ---------------------------------------------------------------------------------------- */

void group_run(Planner *p);

/* ---- places.c ---------------------------------------------------------------------------------------- */

void places_run(Planner *p);

/* ---- row_sum.c --------------------------------------------------------------------------------------- */

/* Of n's bound indices `outer` count the parts that it is to be taken into: where a contraction makes what it
 * reads, perhaps one more, so that each is of a block; gives how many. */
int row_sum_split(Graph *g, Node *n, int outer);
/* May n, a reduction, join the epilogue of the contraction's kernel? */
bool row_sum_fits(Planner *p, const Kernel *k, const Node *n);

/* ---- margin.c --------------------------------------------------------------------------------------- */

/* Gives what is read through windows margins of zeros. */
void margin_run(Planner *p);
/* `if inside then access else 0`: gives the access; NULL: it is none. */
const Expr *match_window(ExprPool *p, const Expr *e);
/* Does the condition keep the access's subscripts inside their dimensions, and no more? */
bool all_keep_inside(ExprPool *p, const Expr *condition, const Expr *access);

/* ---- support.c -------------------------------------------------------------------------------------- */

/* Finds what limits each contraction. */
void support_run(Planner *p);

/* ---- chain.c ---------------------------------------------------------------------------------------- */

/* Finds kernels that can go through groups together. */
void chain_run(Planner *p);

/* ---- strip_end.c -------------------------------------------------------------------------------------- */

/* Finds where strips of triangular matrices end. */
void strip_end_run(Planner *p);

/* ---- apart.c ---------------------------------------------------------------------------------------- */

/* Finds recurrences that can go through examples, some at a time. */
void apart_run(Schedule *s, const LaneModel *lanes);

/* ---- period.c --------------------------------------------------------------------------------------- */

/* How often each node is needed. */
void period_run(Planner *p);

/* ---- cost.c, layout.c, memory.c ------------------------------------------------------------------------------- */

void cost_run(Schedule *s);
void layout_run(Schedule *s);
void memory_run(Schedule *s);

#endif
