/* The parts of a loop nest that is being lowered: what the files listed here share. */
#ifndef GRADC_LOWER_NEST_H
#define GRADC_LOWER_NEST_H

#include "lower/internal.h"

typedef enum {
    ITEM_INNER,  /* elementwise, in the innermost loop             */
    ITEM_REDUCE, /* folds the bound loops                          */
    ITEM_POST,   /* elementwise over the free loops, after the fold */
} ItemKind;

typedef struct Item {
    Node *node;
    ItemKind kind;
    const Expr *value;
    Buffer *buffer;
    const Affine *offset;
    const Expr *within;     /* a condition without which nobody reads it, or NULL */
    const Affine *position; /* argmax, argmin: the row-major number over the bound loops */
    int local;
    int best;     /* argmax, argmin: the register of the best value */
    double moved; /* of its cost, what is computed in front of the innermost loops */
    bool stored;
} Item;

typedef struct Stage {
    IndexList free, bound;
    VEC(Item) items;
} Stage;

/* A load at a stride, and the copy in which neighbouring lanes are neighbours. */
typedef struct Turned {
    const Expr *load, *copy;
    const Index *vector;
} Turned;

typedef struct Nest {
    Lowering *l;
    IndexList shared;
    VEC(Stage *) stages;
    LoopList before; /* what each call of the kernel does first */
    VEC(Turned) turned;
} Nest;

/* ---- nest.c: statements of a stage ---------------------------------------------------------------------- */

void item_start(Lowering *l, LoopList *into,
                const Item *item); /* of a reduction: its first value */
void item_evaluate(Lowering *l, LoopList *into, const Item *item);
/* The items that are stored: those of the innermost loop, or those behind it. */
void stage_store(Lowering *l, LoopList *into, const Stage *st, bool inner);
/* Moves what the loops over the indices do not change in front of them. */
void stage_hoist(Nest *x, LoopList *into, Stage *st, const IndexList *indices, bool post,
                 int first_local);

/* ---- stage.c: which nodes share what loops ------------------------------------------------------------- */

void stage_build_all(Nest *x);

/* ---- merge.c: neighbouring loops as one ---------------------------------------------------------------- */

/* All pairs of `list` from the one at `first` on for which it is possible, in the items of one stage or
 * (NULL) of all. */
void merge_loops(Nest *x, Stage *only, IndexList *list, int first);
/* The pair at `at` and `at + 1`, unasked. */
void merge_pair(Nest *x, Stage *only, IndexList *list, int at);

/* ---- vector.c: which loop the lanes run over ----------------------------------------------------------- */

bool index_in(const IndexList *list, const Index *ix);
double extents_without(const IndexList *list, const Index *without);
double stage_uses(const Nest *x, const Stage *st);
bool nest_writes(const Nest *x, const Buffer *b);
/* The stage's own loop whose lanes make it cheapest, or NULL, and that cost. */
Index *vector_choose(Nest *x, const Stage *st, int lanes, double *cost);
/* What all stages cost in an iteration of the shared loops, each with lanes of its own; and in as many
 * iterations of the last of them as there are lanes, one for each. */
double vector_cost_within(Nest *x, int lanes);
double vector_cost_across(Nest *x, int lanes);
bool vector_is_shared(Nest *x, int lanes);

/* ---- abreast.c: short rows, a lane each ---------------------------------------------------------------- */

typedef struct Abreast Abreast;

/* Where a block of rows, turned, costs less than lanes within each row, or `across` them where they lie: the
 * items then compute in the turned copies.  NULL: it does not. */
Abreast *abreast_choose(Nest *x, bool across, int lanes);
/* The loops over blocks and over the rows of one, with the copying in front of the latter, and behind. */
LoopList *abreast_open(Abreast *a, LoopList *into);
void abreast_close(const Abreast *a);

/* ---- jam.c: small free indices, unrolled around the bound loops ---------------------------------------- */

/* Indices whose values are summed side by side, each in a register of its own, with v over the lanes. */
IndexList jam_choose(const Nest *x, const Stage *st, const Index *v);
/* The last shared loops become the only stage's own where that lets some of them be jammed. */
void jam_demote(Nest *x);
/* Every item once for each combination of the indices' values. */
void jam_items(Nest *x, Stage *st, const IndexList *jam);

/* ---- stream.c: sums over much data, in the order in which it lies -------------------------------------- */

/* The last shared loop, where it would run over the lanes, becomes the only stage's own. */
void stream_demote(Nest *x, int lanes);
bool stream_is_worth(const Stage *st, const Index *v, int lanes);
/* The stage, inside its free loops other than that over v. */
void stream_emit(Nest *x, LoopList *into, Stage *st, Index *v, int first_local);

/* ---- band.c: what the next band of rows will want ------------------------------------------------------ */

/* Where the stage reads windows: asks for their makings, around its sums or at each of their terms. */
void band_ask(Nest *x, LoopList *into, const Stage *st, bool around);

/* ---- far.c: what large buffers hold further on ------------------------------------------------------------ */

/* Where the lanes run over the index and the stage sums up nothing: asks for what later vectors read. */
void far_ask(Nest *x, LoopList *into, const Stage *st, const Index *lane);

/* ---- turn.c: small operands that lanes read at a stride ------------------------------------------------ */

/* May the load be read from a copy that is turned once in each call of the kernel? */
bool turn_is_possible(const Nest *x, const Expr *load, const Index *v, double uses);
/* The expression with such loads from their copies; the copying is put in front. */
const Expr *turn_loads(Nest *x, const Expr *e, const Index *v, double uses);

#endif
