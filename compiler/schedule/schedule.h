/* From a graph to kernels and a memory plan: which nodes share a loop nest, what is stored where.
 * Of the machine it knows the lane model, and that only to lay weights out for the register tile. */
#ifndef GRADC_SCHEDULE_H
#define GRADC_SCHEDULE_H

#include "ir/ir.h"
#include "ir/program.h"

/* What the target offers; tile shapes are chosen from it. */
typedef struct LaneModel {
    int vector_bytes;     /* width of a vector register: 64, 32, 16; 4: no vectors */
    int vector_registers; /* 32, 16 */
    int l1_bytes, l2_bytes;
    bool matrix_tiles; /* eight tiles of 16 rows by 64 bytes, that multiply bf16 and add in f32 */
} LaneModel;

/* Where a node's elements are while the entry runs. */
typedef enum {
    PLACE_NOWHERE,   /* inlined into its users                                         */
    PLACE_SCRATCH,   /* used inside one kernel only: per-thread scratch, one row of it  */
    PLACE_CHAIN,     /* used inside one chain only: per-thread scratch, one group of it */
    PLACE_WORKSPACE, /* instance memory, shared by live range                          */
    PLACE_TENSOR,    /* the persistent tensor's own memory                             */
    PLACE_PORT,      /* the caller's input                                             */
    PLACE_OUTPUT,    /* the caller's output                                            */
    PLACE_LITERAL,   /* constant data in the object                                    */
    PLACE_SUMS,      /* what the caller hands to finish()                              */
} PlaceKind;

typedef struct Place {
    PlaceKind kind;
    Node *same_as; /* a view's storage is that of the node it views */
    uint64_t
        offset; /* WORKSPACE: bytes into the workspace; SCRATCH, CHAIN: into the kernel's or chain's */
    uint64_t bytes;
    int slot;                      /* PORT, OUTPUT, SUMS */
    Tensor *tensor;                /* TENSOR */
    int first, last;               /* WORKSPACE, CHAIN: the kernels between which it lives */
    int group_loops;               /* CHAIN: so many leading dimensions count groups */
    const int64_t *before, *after; /* WORKSPACE: zeros around it, per dimension; NULL: none */
    bool one_step;                 /* there is room for one step of its recurrences */
    bool lasting;                  /* WORKSPACE: later calls read it                */
} Place;

/* An index taken apart because the sum uses its quotient and its remainder: heads and channels. */
typedef struct IndexSplit {
    Index *from;
    const Affine *to; /* divisor * quotient + remainder, of new indices */
} IndexSplit;

/* A sum of a product whose indices split into rows, columns and depth. */
typedef struct Contraction {
    VEC(Index *) groups;  /* in both operands and the result: a batch of products    */
    VEC(Index *) rows;    /* in the left operand and the result                      */
    VEC(Index *) columns; /* in the right operand and the result                     */
    VEC(Index *) depth;   /* in both operands, summed                                */
    VEC(IndexSplit)
    splits; /* indices of the node that the lists, operands and rest have in parts */
    VEC(const Expr *)
    limits; /* tests: where one does not hold the product is zero, or the sum is of no use and may
               be zero instead */
    const Expr *left, *right; /* the operands, guards and inlined producers included */
    const Expr *rest;         /* factor of the product that goes to the epilogue, or NULL */
} Contraction;

/* A sum that adds each value at a place that data says. */
typedef struct Scatter {
    Index *index;      /* the free index that the data chooses            */
    const Expr *data;  /* its value, an integer                            */
    const Expr *value; /* what is added there; it does not use the index   */
    bool checked;      /* the data is known to be within the index's range */
} Scatter;

typedef enum {
    KERNEL_NEST,
    KERNEL_CONTRACTION,
    KERNEL_SCATTER,
    KERNEL_MARGIN, /* clears the margin of its node, which a later kernel computes */
} KernelKind;

typedef struct Kernel {
    KernelKind kind;
    int id;
    const Recurrence
        *recurrence; /* run once a step, in one loop with its neighbours; or NULL     */
    VEC(Index *)
    steps; /* the same: of it and those around it, the innermost first, as the first
                           node names them; given from outside */
    VEC(Node *)
    nodes; /* computed here, in order; of a contraction: the sum, then its epilogue,
                          elementwise or sums over rows */
    VEC(Index *)
    shared; /* KERNEL_NEST: outer loops all nodes share (as the first node names them) */
    Contraction contraction;
    Scatter scatter;
    uint64_t scratch_bytes; /* per thread, for PLACE_SCRATCH */
    int64_t chained;        /* > 0: runs in one go with the kernel before, by so many groups */
    int group_loops;        /* of one in a chain: its outermost loops, which count the groups */
    uint64_t chain_bytes;   /* the same: per thread, for PLACE_CHAIN of all the chain */
    int64_t in_order;       /* the same: a thread takes so many groups after one another, or 0 */
    int64_t own_examples; /* > 0: of one that is a recurrence: a group is so many, for all steps */
    int band;             /* > 0: its nodes are those of this band, row by row in scratch */
    int chain;            /* > 0: its nodes are of this band of products, which is to be a chain */
    Index *added;         /* a group, whose values add to the result one after another, or NULL */
    int64_t every; /* runs once in this many steps: 1 but for what only serves rarer updates */
    double flops, bytes_moved;
} Kernel;

typedef struct Schedule {
    Graph *graph;
    const Program *program;
    VEC(Kernel *) kernels;
    Place *places;       /* per node id */
    const Expr **bodies; /* per node id: its body with inlined producers put in */
    int loss_kernel;     /* the kernel after which the loss is known, or -1: updates run later */
    bool examples_last;  /* they lie innermost in the workspace and in scratch       */
    uint64_t workspace_bytes;
    uint64_t lower_bound; /* the most bytes live at once */
    int peak_kernel;
    const Expr **ends; /* per node id: a test, beyond which nothing is to be done; or NULL */
} Schedule;

/* ---- schedule.c, contract.c, panels.c, store.c, cost.c, memory.c -------------------------------------------------- */

Schedule *schedule_run(Graph *g, const Program *program, const LaneModel *lanes);
/* The columns of a register tile, and of a panel of the right operand: two vectors where there are registers
 * for LEAST_TILE_ROWS rows of them, with the vectors themselves and one element of the left operand. */
enum { LEAST_TILE_ROWS = 4 };
int panel_width(const LaneModel *lanes, DType type, int64_t columns);
/* The node whose memory it is: itself, or what a view views. */
Node *node_storage(Node *n);
/* The indices that a kernel loops over for n: its domain, but for the steps of recurrences. */
int node_loop_count(const Node *n);
Index *node_loop(const Node *n, int i);
/* Elements of the node inside the shared loops of its kernel: all of them unless PLACE_SCRATCH. */
int64_t kernel_row_elements(const Kernel *k, const Node *n);
/* A sum over rows of what a contraction's kernel makes: so many after one another for each of its loops. */
typedef struct RowSum {
    Index **
        columns; /* for each dimension of the sum: that of the result which it is, a column, or NULL */
    Index **outer; /* the other dimensions: flattened, the number of the sum among the rows'      */
    int outer_count;
} RowSum;

/* The kernels from this one on that run in one go, group by group, end before the one given; `first` + 1: it is
 * in no chain, or not the first of one. */
int schedule_chain_end(const Schedule *s, int first);
bool kernel_is_row_sum(const Kernel *k, const Node *n);
/* Is n, of a contraction's kernel or about to join it, such a sum? */
bool kernel_row_sum(const Schedule *s, const Kernel *k, const Node *n, RowSum *sum);
/* The rows of each such sum; 0: the kernel has none. */
int64_t kernel_sum_rows(const Kernel *k);
/* The share of the products within the limits, as if each test's values were spread evenly. */
double contraction_share(const Contraction *c);
/* What a machine does in a second at best; flops 0: not known. */
typedef struct Rates {
    double flops;
    double near, far;  /* bytes from its second cache, and from beyond it */
    double near_bytes; /* which holds so many                             */
} Rates;

/* The least time in which it can run the kernel, in seconds: the flops', or the bytes' if that is longer. */
double kernel_floor(const Kernel *k, const Rates *rates);
/* --emit=schedule; `note` adds to a kernel's line what later floors know of it, or is NULL. */
typedef void KernelNote(Text *out, const Schedule *s, const Kernel *k, void *context);
void schedule_print(Text *out, const Schedule *s, const Rates *rates, KernelNote *note,
                    void *context);
/* Do n's examples lie innermost, its row's numbers as far apart as there are examples? */
bool schedule_is_examples_last(const Schedule *s, const Node *n);
/* How far n's dimension d reaches in memory, and how many elements that makes, margins included; of a chain's own
 * nodes, of one group. */
int64_t schedule_extent(const Schedule *s, const Node *n, int d);
int64_t schedule_elements(const Schedule *s, const Node *n);
void memory_print(Text *out, const Schedule *s); /* --emit=memory: one entry's workspace */
/* Gives every persistent tensor its offset from `base`; returns the bytes up to the end. */
uint64_t memory_place_tensors(Program *program, uint64_t base);

#endif
