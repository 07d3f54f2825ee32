/* The tensor IR: a graph of nodes in SSA form, each one scalar expression over an index domain.
 *
 *     y[b, o] = sum[i] weight[o, i] * x[b, i]
 *
 * A convolution, a softmax, an optimizer step and all their derivatives are this one form.
 * Nothing here knows what machine it will run on. */
#ifndef GRADC_IR_H
#define GRADC_IR_H

#include "support/support.h"

typedef struct Affine Affine;
typedef struct Expr Expr;
typedef struct ExprPool ExprPool;
typedef struct Graph Graph;
typedef struct Node Node;
typedef struct ScalarFunction ScalarFunction; /* functions/functions.h */
typedef struct Reduction Reduction;           /* functions/functions.h */
typedef struct Buffer Buffer;                 /* lower/lower.h         */

/* ---- type.c ------------------------------------------------------------------------------------ */

/* In the order of gradc_dtype.  Integer expressions are computed in i32, truths in bool. */
typedef enum { TYPE_BOOL, TYPE_U8, TYPE_U16, TYPE_I32, TYPE_F32, TYPE_F64 } DType;

const char *dtype_name(DType t);
int dtype_size(DType t); /* bytes in memory */
bool dtype_is_real(DType t);
bool dtype_is_integer(DType t); /* u8, u16, i32 */

/* ---- index.c: indices, affine expressions, intervals -------------------------------------------- */

/* One index of a node: free (in its domain) or bound (by its reduction).  Each node owns its own. */
typedef struct Index {
    const char *name;
    int id;              /* unique in the pool; the order of creation                           */
    int64_t extent;      /* values 0 … extent-1; for an index over the batch, the most; 0 while
                            it is not known: then nothing is concluded from it                  */
    int64_t per_example; /* 0: a fixed extent; k: the extent at run time is k * examples given  */
    Span span;
} Index;

/* What an affine expression is a sum of: factor * (index | inner / divisor | inner % divisor).
 * Division rounds towards minus infinity; the remainder is never negative. */
typedef enum { TERM_INDEX, TERM_QUOTIENT, TERM_REMAINDER } TermKind;

typedef struct Term {
    TermKind kind;
    int64_t factor;
    Index *index;        /* TERM_INDEX              */
    const Affine *inner; /* TERM_QUOTIENT, _REMAINDER */
    int64_t divisor;     /* the same, > 0           */
} Term;

/* Hash-consed in the pool: equal expressions are the same pointer. */
struct Affine {
    int64_t constant;
    int count;
    int id;
    const Term *terms; /* in canonical order, factors not 0, like terms merged */
};

typedef struct Interval {
    int64_t low, high; /* inclusive; saturating at ±INT64_MAX/4 */
} Interval;

/* A condition on indices alone. */
typedef enum { TEST_NOT_NEGATIVE, /* affine >= 0 */ TEST_ZERO, /* affine == 0 */ } TestKind;

int64_t floor_div(int64_t a, int64_t b); /* b > 0 */
int64_t floor_mod(int64_t a, int64_t b);
int64_t gcd(int64_t a, int64_t b); /* not negative */

Index *index_new(ExprPool *p, const char *name, int64_t extent, int64_t per_example, Span span);
Index *index_copy(ExprPool *p, const Index *ix);
Index **index_copies(ExprPool *p, Index *const *list, int count);
bool extents_equal(const Index *a, const Index *b);

const Affine *affine_constant(ExprPool *p, int64_t value);
const Affine *affine_index(ExprPool *p, Index *ix);
const Affine *affine_add(ExprPool *p, const Affine *a, const Affine *b);
const Affine *affine_sub(ExprPool *p, const Affine *a, const Affine *b);
const Affine *affine_scale(ExprPool *p, const Affine *a, int64_t factor);
const Affine *affine_offset(ExprPool *p, const Affine *a, int64_t constant);
/* The greatest common divisor of the factors; 0 when there are none. */
int64_t affine_common_factor(const Affine *a);
/* Simplified where intervals and divisibility allow: (4*i + j)/4 is i when 0 <= j < 4. */
const Affine *affine_quotient(ExprPool *p, const Affine *a, int64_t divisor);
const Affine *affine_remainder(ExprPool *p, const Affine *a, int64_t divisor);

bool affine_is_constant(const Affine *a, int64_t *value);
/* The index that `a` is, alone with factor 1 and no constant; NULL otherwise. */
Index *affine_is_index(const Affine *a);
/* The factor of a plain index term (0 when absent); *nested when it occurs inside a quotient or
 * remainder. */
int64_t affine_factor(const Affine *a, const Index *ix, bool *nested);
bool affine_uses(const Affine *a, const Index *ix);
Interval affine_interval(const Affine *a); /* over the extents of its indices */

/* A substitution of indices by affine expressions, applied at once. */
typedef struct Substitution {
    int count;
    Index *const *from;
    const Affine *const *to;
} Substitution;

const Affine *affine_substitute(ExprPool *p, const Affine *a, const Substitution *s);

/* ---- expr.c: scalar expression trees -------------------------------------------------------------- */

typedef enum {
    EXPR_CONST,  /* value, of any type                                             */
    EXPR_AFFINE, /* an index expression as a number (i32)                          */
    EXPR_TEST,   /* a condition on indices (bool)                                  */
    EXPR_ACCESS, /* node[subscripts]                                               */
    EXPR_CALL,   /* a row of the scalar function table                             */
    EXPR_RANDOM, /* counter-based: a function of seed, step, site and element      */
    EXPR_SCALAR, /* a number known when the step runs, the same for every element  */
    /* only below the schedule: */
    EXPR_LOAD,  /* buffer[offset + sum of data terms]                              */
    EXPR_LOCAL, /* a register of the kernel                                        */
} ExprKind;

typedef enum { RANDOM_UNIFORM, /* [0, 1) */ RANDOM_NORMAL, /* mean 0, variance 1 */ } RandomKind;

typedef enum {
    SCALAR_BATCH_SIZE, /* examples given to this call (real)                          */
    SCALAR_STEP,       /* the number of this update, from 1 (real); with a site, of those that
                          come once in `site` steps                                  */
    SCALAR_DUE,        /* does what comes once in `site` steps come now? (bool)      */
    SCALAR_SCALE,      /* gradient(): the scale argument (real)                       */
    SCALAR_FIRST,      /* gradient(): 1 on the first micro-batch (bool)               */
    SCALAR_EXAMPLES,   /* finish(), fitted(): examples summed (real)                  */
} ScalarKind;

/* One subscript: affine, or a value of integer type (never both). */
typedef struct Subscript {
    const Affine *affine;
    const Expr *data;
} Subscript;

typedef struct DataTerm {
    const Expr *value; /* integer */
    int64_t stride;    /* elements */
} DataTerm;

/* Immutable and hash-consed in the pool: equal expressions are the same pointer. */
struct Expr {
    ExprKind kind;
    DType type;
    int id;
    double value;                   /* CONST                                         */
    const Affine *affine;           /* AFFINE, TEST, RANDOM: element, LOAD: offset   */
    TestKind test;                  /* TEST                                          */
    Node *node;                     /* ACCESS                                        */
    const Subscript *subscripts;    /* ACCESS: node->rank of them             */
    int count;                      /* of subscripts (ACCESS) or data terms (LOAD)   */
    const ScalarFunction *function; /* CALL                                */
    const Expr *args[3];            /* CALL: function->arity of them                 */
    RandomKind random;              /* RANDOM                                        */
    int site;                       /* RANDOM: which random statement; SCALAR: slot  */
    ScalarKind scalar;              /* SCALAR                                        */
    Buffer *buffer;                 /* LOAD                                          */
    const DataTerm *data;           /* LOAD                                          */
    int local;                      /* LOCAL                                         */
};

/* `real` is the type of the model's numbers: TYPE_F32, or TYPE_F64 for gradient checks. */
ExprPool *expr_pool_create(Arena *a, DType real);
Arena *expr_pool_arena(const ExprPool *p);
DType expr_pool_real(const ExprPool *p);

const Expr *expr_const(ExprPool *p, double value); /* real */
const Expr *expr_const_typed(ExprPool *p, double value, DType type);
const Expr *expr_affine(ExprPool *p, const Affine *a);
const Expr *expr_test(ExprPool *p, TestKind kind, const Affine *a);
/* The subscript that an integer expression makes: affine where it is one, else data. */
Subscript subscript_of(ExprPool *p, const Expr *value);
const Expr *expr_access(ExprPool *p, Node *n, const Subscript *subscripts); /* n->rank of them */
/* n at its own domain: n[i, j] for domain (i, j). */
const Expr *expr_access_identity(ExprPool *p, Node *n, Index *const *indices);
/* A call with arguments already of the right types; folds constants and the identities that are
 * exact in floating point or that every model accepts (x*1, x+0, x*0, --x, select on a constant). */
const Expr *expr_call(ExprPool *p, const ScalarFunction *f, const Expr *const *args);
const Expr *expr_random(ExprPool *p, RandomKind kind, int site, const Affine *element);
const Expr *expr_scalar(ExprPool *p, ScalarKind kind, int slot);
const Expr *expr_load(ExprPool *p, DType type, Buffer *b, const Affine *offset,
                      const DataTerm *data, int count);
const Expr *expr_local(ExprPool *p, DType type, int local);

/* Shorthands over expr_call. */
const Expr *expr_add(ExprPool *p, const Expr *a, const Expr *b);
const Expr *expr_sub(ExprPool *p, const Expr *a, const Expr *b);
const Expr *expr_mul(ExprPool *p, const Expr *a, const Expr *b);
const Expr *expr_div(ExprPool *p, const Expr *a, const Expr *b);
const Expr *expr_neg(ExprPool *p, const Expr *a);
const Expr *expr_and(ExprPool *p, const Expr *a, const Expr *b);
const Expr *expr_not(ExprPool *p, const Expr *a);
const Expr *expr_select(ExprPool *p, const Expr *condition, const Expr *yes, const Expr *no);
const Expr *expr_cast(ExprPool *p, const Expr *a,
                      DType type); /* to real, i32 or bool; same type: a */

bool expr_is_const(const Expr *e, double *value);
bool expr_is_zero(const Expr *e);
const Expr *expr_substitute(ExprPool *p, const Expr *e, const Substitution *s);
/* Rebuilds e bottom-up: every leaf (anything but CALL) goes through `leaf`, which returns it or
 * another; data subscripts are rebuilt before their access reaches `leaf`.  Shared subtrees once. */
typedef const Expr *ExprMap(void *context, const Expr *e);
const Expr *expr_map(ExprPool *p, const Expr *e, ExprMap *leaf, void *context);
/* The same, where `call` may give what is to be mapped in place of a call; either may be NULL. */
const Expr *expr_map_calls(ExprPool *p, const Expr *e, ExprMap *leaf, ExprMap *call, void *context);
/* Calls `visit` once for every distinct subexpression, operands first (data subscripts included). */
typedef void ExprVisit(void *context, const Expr *e);
void expr_visit(ExprPool *p, const Expr *e, ExprVisit *visit, void *context);
bool expr_uses_index(ExprPool *p, const Expr *e, const Index *ix);
/* Constants and scalars only: the same for every element? */
bool expr_is_uniform(const Expr *e);

/* What is known to hold where an expression is evaluated: a conjunction of tests. */
typedef struct Facts {
    const struct Facts *outer;
    const Expr *test; /* EXPR_TEST, or any bool expression (its conjuncts count) */
    bool holds;       /* false: the negation holds                               */
} Facts;

/* Is a >= 0, for all values of its indices that satisfy the facts? */
bool facts_prove_not_negative(ExprPool *p, const Facts *facts, const Affine *a);
/* 0 <= a < extent? */
bool facts_prove_inside(ExprPool *p, const Facts *facts, const Affine *a, int64_t extent);

/* ---- bounds.c: subscripts inside their dimensions ----------------------------------------------------- */

/* Do the facts, and the conditions within e, keep all affine subscripts of e inside? */
bool expr_reads_inside(ExprPool *p, const Facts *facts, const Expr *e);
/* The first access of which that is not proven, and which subscript; NULL where all are. */
const Expr *expr_outside(ExprPool *p, const Facts *facts, const Expr *e, int *subscript);

/* ---- graph.c: nodes --------------------------------------------------------------------------------- */

/* A tensor that lives in the instance from step to step (see gradc_role). */
typedef enum {
    ROLE_PARAM,
    ROLE_STATE,
    ROLE_MOMENT,
    ROLE_GRADIENT,
    ROLE_HYPER,
    ROLE_AVERAGE,
} Role;

typedef struct Tensor {
    const char *name;
    Role role;
    DType type;
    int rank;
    const int64_t *shape;
    bool frozen;
    const char *loss;     /* PARAM: the one loss that trains it; NULL: their sum */
    double initial;       /* HYPER                                       */
    struct Tensor *of;    /* MOMENT, GRADIENT, AVERAGE: the parameter it belongs to */
    bool fitted;          /* STATE: to the training data, by the text   */
    int passes;           /* STATE: over the training data until its fit is right; 0: it has none */
    const char **indices; /* PARAM, STATE: names of dimensions that its start uses (NULL: none) */
    const char
        *start; /* PARAM: its start as .nn text, "~ glorot_uniform(fan_in = 64, fan_out = 10)" */
    uint64_t offset; /* bytes into the instance, set by the memory plan */
    Span span;
} Tensor;

/* An input, target or output; shapes are of one example. */
typedef enum { DOMAIN_NUMBER, DOMAIN_CLASS, DOMAIN_TOKEN } ValueDomain;

typedef struct Port {
    const char *name;
    DType type;
    ValueDomain domain;
    int64_t classes;
    int rank;
    const int64_t *shape;
    bool is_target;
    bool for_predict; /* an input, or a target that an output depends on */
    int slot;         /* position among inputs and targets, or among outputs */
    Span span;
} Port;

typedef enum {
    NODE_PORT,    /* an input or target; domain (batch, shape…)             */
    NODE_TENSOR,  /* a persistent tensor, as it is before this call         */
    NODE_LITERAL, /* numbers written in the source                          */
    NODE_SUM,     /* what evaluate() or fit() has added up over the set: sums[slot …]; a leaf of
                     finish() or fitted() */
    NODE_COMPUTE, /* domain, optional reduction, body                       */
    NODE_VIEW,    /* another node's elements in the same order, other shape */
} NodeKind;

/* A derivative of one's own: by `access`, whatever the body says. */
typedef struct StatedDerivative {
    const Expr *access; /* over the node's domain, as `value` */
    const Expr *value;
} StatedDerivative;

/* A set of nodes that need each other's earlier steps: they are computed together, step by step.
 * Its nodes are neighbours in graph->nodes; each reads the others at the current step where they
 * stand before it, and otherwise at steps that are done.  Some of them may be a recurrence within
 * each step of it. */
typedef struct Recurrence {
    const struct Recurrence *outer; /* in each step of which this one runs, or NULL */
    int64_t steps;
    bool reversed; /* from the last step to the first */
    bool open;     /* sema: the scan is being written, its nodes' steps are understood */
} Recurrence;

/* An index of a node's domain that counts steps. */
typedef struct StepCounter {
    Index *index;
    const Recurrence *of; /* NULL: of a scan in the text, which need not be a recurrence */
} StepCounter;

enum { MOST_STEPS = 4 }; /* so deep may scans nest */

struct Node {
    NodeKind kind;
    int id;            /* position in graph->nodes, a topological order but for recurrences */
    const char *name;  /* unique in the graph, a legal (dotted) .nn name */
    bool named;        /* the name is the user's: it outlives others */
    const char *layer; /* path of the layer instance it was made in, or "" */
    DType type;
    int rank;
    Index **domain; /* row-major storage order; the batch index, if any, comes first */
    Span span;
    StepCounter steps[MOST_STEPS]; /* of the scans around it, the outermost first */
    int step_count;
    const Recurrence *recurrence; /* the innermost that the node is part of, or NULL   */
    const Expr *within; /* a condition on the domain: elsewhere nobody reads it; NULL: everywhere */
    /* NODE_COMPUTE */
    const Reduction *reduction; /* NULL: none */
    int bound_count;
    Index **bound;
    const Expr *body;
    VEC(StatedDerivative) stated; /* when not empty, in place of the body's derivatives */
    /* others */
    Tensor *tensor;
    Port *port;
    const double *literal;
    int slot;     /* SUM: of its first element */
    Node *viewed; /* the batch index of both, if any, is the same axis */
};

typedef enum {
    RESULT_LOSS,     /* a number: returned                                          */
    RESULT_UPDATE,   /* stored to `tensor` at the end of the call                   */
    RESULT_OUTPUT,   /* stored to the caller's outputs[slot]                        */
    RESULT_SUM,      /* sums[slot …] += its elements                                */
    RESULT_VALUE,    /* values[slot …] = its elements                               */
    RESULT_NAME,     /* nothing is stored; a graph to be printed keeps it under this name */
    RESULT_GRADIENT, /* of `tensor`; only between differentiation and its use      */
} ResultRole;

typedef struct Result {
    ResultRole role;
    const char *name;
    Node *value;
    Tensor *tensor; /* UPDATE, GRADIENT */
    int slot;       /* OUTPUT, SUM, VALUE */
    int64_t every;  /* UPDATE: it changes nothing but once in this many steps; 0: in each */
} Result;

/* One entry point's computation. */
struct Graph {
    Arena *arena;
    ExprPool *pool;
    Interner *names;
    const char *name; /* step, gradient, update, loss, evaluate, finish, predict, init */
    VEC(Node *) nodes;
    VEC(Result) results;
    int64_t batch;          /* the most examples of a call */
    struct NameTable *used; /* graph.c */
    /* Of generate: the recurrence of which a call makes one step; what its nodes hold of the steps
     * before, and all other nodes, is left from the calls before.  Otherwise NULL. */
    const Recurrence *positions;
    /* The same: how many positions before its own are all that a call rests on; -1: it rests on all
     * of them, or on the position's number. */
    int64_t reach;
    /* Of generate, where the log-odds are those after a whole window of tokens: a call moves the window
     * on and computes everything. */
    bool window;
};

Graph *graph_create(ExprPool *p, Interner *names, const char *name, int64_t batch);
/* `name` is made unique by a suffix _2, _3 …  domain and bound are copied (pointers kept). */
Node *graph_compute(Graph *g, const char *name, DType type, Index *const *domain, int rank,
                    const Reduction *r, Index *const *bound, int bound_count, const Expr *body,
                    Span span);
Node *graph_port(Graph *g, Port *port);       /* one node a port: later calls return the first */
Node *graph_tensor(Graph *g, Tensor *tensor); /* the same */
Node *graph_literal(Graph *g, const char *name, const int64_t *shape, int rank, const double *data,
                    Span span);
/* `rank` fresh indices over the shape; the pool's real type. */
Node *graph_sum(Graph *g, const char *name, const int64_t *shape, int rank, int slot, Span span);
Node *graph_view(Graph *g, const char *name, Node *viewed, Index *const *domain, int rank,
                 Span span);
void graph_result(Graph *g, ResultRole role, const char *name, Node *value, Tensor *tensor,
                  int slot);
/* Another name, made unique likewise. */
void graph_rename(Graph *g, Node *n, const char *name);
/* Is the node's first index over the batch? */
bool node_is_batched(const Node *n);
int64_t node_elements(const Node *n);                   /* at the largest batch */
int64_t node_elements_behind(const Node *n, int place); /* between neighbours of that dimension */
uint64_t tensor_bytes(const Tensor *t);
/* Is it what the entry gives, under any of its results? */
bool graph_is_result(const Graph *g, const Node *n);
/* Drops what no result needs, renumbers ids. */
void graph_prune(Graph *g);
/* Gives the graph its nodes, in this order. */
void graph_set_order(Graph *g, Node *const *nodes, int count);
/* The index of n that counts the steps of r, and its place in the domain; NULL and -1: none. */
Index *node_step(const Node *n, const Recurrence *r);
int node_step_place(const Node *n, const Recurrence *r);
/* Does the domain's index at `place` count steps of a recurrence that n is part of? */
bool node_counts_steps(const Node *n, int place);
/* How many recurrences n is part of; how many of them `other` is part of, too. */
int node_depth(const Node *n);
int node_shared_depth(const Node *n, const Node *other);
/* The recurrence in which r runs at last, r itself perhaps; that and its likes are neighbours. */
const Recurrence *recurrence_outermost(const Recurrence *r);
/* The recurrence at `depth`, 0 for the outermost, of those that r runs in and itself; NULL: r is less deep. */
const Recurrence *recurrence_at(const Recurrence *r, int depth);

/* When was what n reads computed? */
typedef enum {
    READ_APART,   /* by no recurrence that n is part of                       */
    READ_NOW,     /* at the very step that n is at                            */
    READ_PAST,    /* at steps before that only                                */
    READ_UNKNOWN, /* nobody knows                                             */
} ReadTime;

ReadTime access_time(ExprPool *p, const Node *n, const Expr *access);
/* Restores the order and finds the recurrences: the cycles, which all lead through earlier steps.
 * Returns a node that is computed from itself, and then leaves all as it is; NULL: there is none. */
const Node *graph_sort(Graph *g);
/* Replaces accesses by `map`, in every live node (bodies are rebuilt); nodes are updated in place. */
void graph_map(Graph *g, ExprMap *leaf, void *context);

/* ---- mean.c -------------------------------------------------------------------------------------------- */

typedef enum {
    MEAN_NONE,
    MEAN_OF_ALL,      /* mean over all that the sum runs over                */
    MEAN_OF_EXAMPLES, /* mean over the batch of the sum over all but its first */
} MeanKind;

/* Is n a sum divided by the number of its terms, element by element?  And of which node. */
MeanKind node_mean(const Node *n, const Node **sum);

/* ---- print.c: nodes as .nn text -------------------------------------------------------------------- */

/* `input image[8, 8] : u8`, `param dense_1.weight[10, 64] ~ …` */
void port_print(Text *out, const Port *port);
void tensor_print(Text *out, const Tensor *t);
void affine_print(Text *out, const Affine *a);
void expr_print(Text *out, const Expr *e);
/* `name[i, j] = sum[k] …`, without a newline; the batch index is left out as the language does. */
void node_print(Text *out, const Node *n);

/* ---- listing.c: a whole graph as .nn text ------------------------------------------------------------ */

/* A list of statements, each followed by `  # file.nn:12` for the source line it comes from.  Results
 * stand last; a gradient or update that nothing else reads has its node's body for a right side. */
void graph_print(Text *out, const Graph *g, const Sources *sources);

/* ---- verify.c: what a legal graph is ------------------------------------------------------------------ */

/* Returns NULL, or what is wrong (node and reason): operands before users, types right, every index
 * used is free or bound here, every affine subscript proven inside its dimension. */
const char *graph_verify(Graph *g);

/* ---- eval.c: the graph run by the compiler itself, in double precision ------------------------------ */

/* The reference that tests compare generated code with; slow and plain.  `values[id]` holds each
 * node's elements (row-major); leaves (ports, tensors) must be filled by the caller. */
typedef struct Evaluation {
    Graph *graph;
    int64_t examples;
    uint64_t seed, step;
    double scale;
    bool first;
    const double *sums; /* what NODE_SUM reads */
    double examples_summed;
    double **values; /* per node id */
} Evaluation;

Evaluation *evaluation_create(Graph *g, int64_t examples);
void evaluation_run(Evaluation *ev);

#endif
