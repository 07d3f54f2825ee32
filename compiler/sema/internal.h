/* What the files of this floor share. */
#ifndef GRADC_SEMA_INTERNAL_H
#define GRADC_SEMA_INTERNAL_H

#include "functions/functions.h"
#include "sema/sema.h"

typedef struct Value Value;
typedef struct Frame Frame;
typedef struct Statement Statement;

/* ---- value.c: what an expression means ------------------------------------------------------------ */

typedef enum {
    VALUE_NUMBER, /* known at compile time                                    */
    VALUE_TRUTH,  /* the same                                                 */
    VALUE_STRING,
    VALUE_SYMBOL, /* a bare word: same, last                                  */
    VALUE_LIST,
    VALUE_TENSOR,   /* a node, or an expression over `dims` not stored (yet)    */
    VALUE_INSTANCE, /* a layer with its arguments, waiting for its tensor       */
} ValueKind;

/* The functions that gave a tensor, the innermost last: its elements are what each of them returned. */
typedef struct Maker {
    const Ast *decl;
    const struct Maker *before;
} Maker;

typedef struct Instance {
    const Ast *decl;
    const char *path;
    Span span;
    VEC(Value *) args;
    VEC(const char *) names; /* NULL: positional */
} Instance;

struct Value {
    ValueKind kind;
    Span span;        /* where it came from, for notes */
    Span label;       /* of the name it was given as an argument under */
    const char *name; /* TENSOR: the variable it was last read from */
    Span defined;     /* the same: where that variable is defined   */
    const char *near; /* SYMBOL: a variable of nearly that name     */
    double number;
    bool is_integer;
    const char *hyper; /* NUMBER: the hyper-parameter it is the declared value of, or NULL */
    const char *text;
    bool unknown; /* SYMBOL: a name that nothing here has, so perhaps a misspelt one */
    VEC(Value *) items;
    /* TENSOR: without the batch index, which `expr` uses as Sema.batch */
    Node *node;
    const Expr *expr;
    Index *batch; /* Sema.batch when `expr` was made */
    int rank;
    Index **dims;
    const char *hint;      /* a name for its node, once it gets one */
    const Maker *makers;   /* see above; NULL where it was made otherwise */
    Node *steps;           /* what a scan made: its value at every step, or NULL: all are alike */
    const char *step_name; /* … the name of the scan's index, or NULL */
    int64_t step_count;    /* … and how far it runs                   */
    Instance *instance;
};

/* ---- sema.c ------------------------------------------------------------------------------------ */

typedef struct Declaration {
    const Ast *ast;
    const char *name;
    bool library;
} Declaration;

typedef enum {
    FRAME_MODEL,
    FRAME_LAYER,
    FRAME_FN,
    FRAME_OPTIMIZER,
    FRAME_SCHEDULE,
    FRAME_INITIALIZER
} FrameKind;

typedef struct Binding {
    const char *name;
    Value *value;
    Span span;
} Binding;

typedef struct Counter {
    const char *name;
    int count;
} Counter;

/* The name of a layer without an instance, the same in every entry. */
typedef struct AutomaticPath {
    const char *at;   /* which application it is, among all of the model */
    const char *base; /* encoder.dense */
    const char *path; /* encoder.dense_2 */
} AutomaticPath;

typedef struct Recurrent {
    const char *name;
    bool stale; /* another round of a repeat makes it anew */
} Recurrent;

/* One body being elaborated. */
struct Frame {
    Frame *caller;
    FrameKind kind;
    const Ast *decl;
    bool library;
    Span call;        /* where it was called */
    const char *path; /* "" or "encoder.dense_1" */
    VEC(Binding) bindings;
    VEC(Counter) counters; /* of applications at one place of the text */
    Value *result;
    bool returned;
    int depth;
    const AstList *body; /* the statements being run, and the place of this one */
    int at;
    VEC(Recurrent) recurrent; /* names that are or were read before their definitions */
    /* OPTIMIZER */
    Tensor *weight;
};

/* An index in scope, innermost first. */
typedef struct IndexScope {
    struct IndexScope *outer;
    const char *name;
    Index *index;
    bool given;          /* its range is written: i: n         */
    Span origin_span;    /* what settled its extent, for notes */
    bool stated;         /* by a range: i: 14; smaller dimensions need guards, then */
    const Value *origin; /* the same: the tensor, or NULL   */
} IndexScope;

/* The indices that `...` stands for, once an access has settled how many. */
typedef struct Ellipsis {
    bool known;
    int count;
    Index **indices;
    const Value *base; /* of that access                 */
    int first;         /* of its dimensions there        */
} Ellipsis;

typedef struct Memo {
    const Ast *ast;
    Value *value;
    IndexScope *scope; /* REDUCE: its indices, pushed */
    Ellipsis *ellipsis;
    bool batch; /* REDUCE: binds the batch */
    Index *batch_index;
} Memo;

/* One statement's expression: indices by name, what was already evaluated. */
struct Statement {
    Statement *outer;
    IndexScope *indices;
    Ellipsis *ellipsis;
    VEC(Memo *) memos;
    VEC(const char *) unknown; /* indices already complained of */
    VEC(Index *) order;        /* the left side's indices: the order inner nodes keep */
    const char *name;          /* for the nodes of inner reductions */
};

/* The most that a gradient may be; 0: any. */
typedef struct Clip {
    double norm;  /* of all gradients that it is said of, as one vector */
    double value; /* of each element, before that                       */
} Clip;

/* Which parameters an optimizer updates, by which loss. */
typedef struct Group {
    const Ast *call;            /* the optimizer; NULL: the one without patterns            */
    const char *loss;           /* NULL: all losses                                         */
    VEC(const char *) patterns; /* none: whatever no other group takes                    */
    Clip clip;                  /* of this group; where 0, the train block's                */
    int64_t every;              /* steps from one update to the next; 0: each is one      */
    Span span;
    int matched;
} Group;

/* A state that is fitted, and what it becomes: a node over sums. */
typedef struct Fit {
    Tensor *state;
    Node *value;
} Fit;

/* What a scan hands from step to step. */
typedef struct Carry {
    const Ast *ast;
    Node *node;  /* its value after each step: a copy of what the last update makes */
    Node *value; /* the same; NULL: not updated yet */
} Carry;

/* A tensor that is read before its definition: h[t: 5] = f(h[t - 1]). */
typedef struct Forward {
    const Frame *frame;
    const Ast *definition;
    Node *node; /* what reads it reads this */
} Forward;

/* A state that the body of a scan reads, and perhaps updates: a carry that is no example's own. */
typedef struct StateCarry {
    Tensor *tensor;
    Node *node;   /* its value after each step                             */
    Node *outer;  /* its value where the scan begins                       */
    Node *before; /* its value at a step, before the update                */
    Node *value;  /* what the last update makes; NULL: there was none yet  */
} StateCarry;

/* The scan whose body is being elaborated.  Its index is understood, as the batch's is. */
typedef struct Scan {
    struct Scan *outer; /* in whose body it stands, or NULL */
    const Ast *ast;
    const Frame *frame; /* in which the index has its name */
    Index *index;
    IndexScope scope;
    Recurrence open;
    Value **before; /* what the frame's names stood for, in the order of its bindings */
    int before_count;
    VEC(Carry) carries;
    VEC(StateCarry) states; /* that its body reads */
} Scan;

struct Sema {
    SyntaxContext *syntax;
    Arena *arena;
    Interner *names;
    Diag *diag;
    SemaOptions options;
    VEC(Declaration) declarations;
    VEC(AutomaticPath) automatic_paths;
    VEC(const char *) files; /* read so far */
    const Ast *model, *train;
    VEC(Group) groups; /* in the order of the train block      */
    Clip clip;         /* of the train block: for the parameters of each loss */
    Span best_span;    /* what the best checkpoint is chosen by */
    Program *program;
    /* the entry under construction */
    EntryKind entry;
    Graph *graph;
    bool training;
    bool asked_training;   /* the text asked, so that inference differs */
    Index *batch;          /* the current example             */
    Scan *scan;            /* the scan around, or NULL        */
    VEC(Forward) forwards; /* whose definitions are still to come */
    Index *element;        /* stands for a random's element, batched when it is `element_batched` */
    Index *element_batched;
    int site;
    int statements_run; /* of this entry, those of layers and repeats included */
    Frame *frame;
    Statement *statement;
    const Facts *facts;
    VEC(const Expr *) * unproven; /* inside (… else v): tests of subscripts that may leave */
    bool compile_time;            /* hyper-parameters count as the numbers they are declared as   */
    bool integer_division;        /* inside a subscript or a condition on indices                 */
    bool symbols;                 /* an unknown name is a word                                    */
    bool in_metric;               /* reductions over the batch run over the whole evaluated set   */
    VEC(Result) updates;          /* of states, in order                                          */
    bool has_fits;                /* a state is fitted                                */
    Tensor *fitting;              /* whose fit is being read, or NULL                 */
    VEC(Fit) fits;
    VEC(const char *) frozen;
    VEC(Span) frozen_spans;
    VEC(Node *) losses, metrics; /* of evaluate: each over the whole set                       */
    VEC(Node *) current;         /* per program tensor: its newest value in this graph */
    Graph *init;
    int init_site;
    bool layers_recorded;
    Span call;                /* the user's innermost call around the library's text */
    const char *hyper_prefix; /* names a schedule's numbers: lr.peak */
    Tensor *updated;          /* the parameter an optimizer runs for, and its gradient */
    Node *gradient;
    const Ast *average;     /* of the train block: what keeps a mean of each parameter */
    Tensor *averaged;       /* the mean that is being updated, of `updated`, or NULL */
    int64_t every;          /* of the group that is being updated */
    VEC(const char *) tail; /* lines behind a printed graph */
    bool printing;          /* outputs and metrics join the training graph, to be printed */
    VEC(Binding) schedules; /* optimizer arguments that are schedules: one node each */
};

/* ---- scope.c ------------------------------------------------------------------------------------- */
const Declaration *sema_declaration(Sema *s, const char *name, AstKind kind);
/* What a call in the current frame may mean. */
const Declaration *sema_callable(Sema *s, const char *name);
Value *frame_lookup(Frame *f, const char *name);
bool frame_is_broken(Frame *f, const char *name);
Span frame_span(const Frame *f, const char *name); /* where it was bound */
void frame_bind(Sema *s, Frame *f, const char *name, Value *v, Span span);
IndexScope *index_lookup(Sema *s, const char *name);
/* Among definitions of one kind, or among all that a name can mean (AST_KIND_COUNT). */
void sema_unknown_name(Sema *s, Span at, const char *name, AstKind kind, const char *what);
/* The candidate that a misspelt or shortened name means, or NULL. */
const char *nearest_name(const char *name, const char *const *names, int count);
bool sources_is_library(Sema *s, Span span);
const char *dotted_name(Sema *s, const Ast *a); /* a.b.c as one name, or NULL */

/* ---- value.c -------------------------------------------------------------------------------------- */
Value *value_number(Sema *s, double number, Span span);
Value *value_truth(Sema *s, bool truth, Span span);
Value *value_text(Sema *s, ValueKind kind, const char *text, Span span);
Value *value_list(Sema *s, Span span);
Value *value_node(Sema *s, Node *n, Span span);
Value *value_here(Sema *s, Value *v);
Value *value_expr(Sema *s, const Expr *e, Index **dims, int rank, Span span);
const char *value_describe(Sema *s, const Value *v); /* "a tensor [8, 8]", "the number 3" */
const char *shape_text(Sema *s, const Value *v);
const char *part_text(Sema *s, const Value *v, int first, int count); /* of some dimensions */
/* An extent of 0 stands for the batch. */
const char *dimensions_text(Sema *s, const int64_t *shape, int rank);
/* A note on where a tensor comes from and what shape it has. */
void value_note(Sema *s, const Value *v);
/* "expected …, found …", and what the author may have meant. */
void value_unexpected(Sema *s, const Value *v, const char *expected);
/* A compile-time value as it is written, a tensor as its shape. */
void value_print(Text *out, Sema *s, const Value *v);
/* The value as an expression over v's dims (fresh ones for a node); NULL after an error. */
bool value_to_expr(Sema *s, Value *v, const Expr **expr, Index ***dims, int *rank);
/* The value as one number per element with no dimensions left; reports otherwise. */
const Expr *value_to_scalar(Sema *s, Value *v, const char *what);
/* The value stored as a node of its own. */
Node *value_to_node(Sema *s, Value *v, const char *name);
/* No index of an enclosing statement in it: it can be a node of its own. */
bool value_is_closed(Sema *s, const Value *v);
/* The index that one of a tensor's dimensions runs over, and its extent. */
const Index *value_dimension(const Value *v, int dimension);
bool value_extent(const Value *v, int dimension, int64_t *extent);

/* ---- node.c: nodes out of expressions -------------------------------------------------------------- */
/* The user's line for what the library's text says at `span`. */
Span user_span(const Sema *s, Span span);
Node *make_node(Sema *s, const char *name, const Expr *body, Index *const *dims, int rank,
                const Reduction *r, Index *const *bound, int bound_count, Span span);
/* The identity access of a node made by make_node, at `dims` and the current example. */
const Expr *access_node(Sema *s, Node *n, Index *const *dims, int rank);
/* False, and an error, where a tensor has too many elements. */
bool within_limit(Sema *s, const char *name, const int64_t *shape, int rank, Span span);
void node_rename(Sema *s, Node *n, const char *name);

/* This scan and those around it, the outermost first; returns how many. */
int scans_around(const Scan *scan, const Scan **out);
/* A node over examples where it is `batched`, the steps of `scan` and those around it, and `dims`, whose
 * value comes later: that of a node of the same steps and dimensions. */
Node *node_promise(Sema *s, const Scan *scan, bool batched, const char *name, DType type,
                   Index *const *dims, int rank, Span span);
void node_keep(Sema *s, Node *promised, Node *value);

enum { MOST_UNDERSTOOD = MOST_STEPS + 1 };
/* How many of the node's first indices are understood: the example's, the steps' of the scans around. */
int node_understood(const Node *n);
/* `step`, of n's domain, counts the steps of a scan around; scans are named from the outermost on. */
void node_in_scan(Node *n, const Scan *scan, Index *step);
/* `like` has the steps that are understood of n, from its index `first` on. */
void understand_steps(const Node *n, Node *like, int first);
/* Their subscripts: this example (or another one), these steps.  Returns how many. */
int understood_subscripts(Sema *s, const Node *n, Index *example, Index **out);

/* ---- scan.c ---------------------------------------------------------------------------------------- */
void run_scan(Sema *s, const Ast *a);
/* h <- … for a carry of the scan around; false: it is none. */
bool run_carry_update(Sema *s, const Ast *a);
Value *eval_over(Sema *s, const Ast *a);
IndexScope *scan_index(Sema *s, const char *name);
/* The step before this one, and what is not negative where there is one. */
const Affine *scan_step_before(Sema *s, const Scan *scan, const Affine **inside);
const Affine *scan_last_step(Sema *s, const Scan *scan);
/* Does the index count the steps of a scan around? */
bool scan_counts(const Sema *s, const Index *ix);

/* ---- scan_state.c ------------------------------------------------------------------------------------ */
/* A state's newest value in the body of the scan around, and a new one. */
Node *scan_state(Sema *s, Tensor *t);
void scan_state_set(Sema *s, Tensor *t, Node *value);
void scan_states_open(Sema *s);
void scan_states_close(Sema *s, Scan *scan);

/* ---- forward.c --------------------------------------------------------------------------------------- */
/* Before a definition is run: what it reads of itself and of definitions below it gets nodes. */
bool forward_open(Sema *s, const Ast *a);
/* After it: its node is the value of what was read before. */
void forward_close(Sema *s, const Ast *a, Node *n);
/* A repeat's body runs again: those of the frame's recurrent names from number `first` on that it made
 * are to be defined anew. */
void forward_forget(Sema *s, int first);

/* ---- elementwise.c ---------------------------------------------------------------------------------- */
Value *apply_function(Sema *s, const ScalarFunction *f, Value **args, Span span);
Value *apply_select(Sema *s, Value *cond, Value *yes, Value *no, Span span);
const Expr *coerce(Sema *s, const Expr *e, DType type, Span span, bool *ok);

/* ---- extent.c --------------------------------------------------------------------------------------- */
/* No tensor has more elements, and no index runs further. */
#define LARGEST_EXTENT (INT64_C(1) << 31)
bool infer_extents(Sema *s, const Ast *expr);
/* The range of an index: `i: n`, `i: batch`. */
bool eval_range(Sema *s, const Ast *item, Index *ix);
Memo *memo_find(Sema *s, const Ast *ast);
Statement *statement_enter(Sema *s, const char *name);
void statement_leave(Sema *s);
IndexScope *index_push(Sema *s, const char *name, Index *ix, Span span);

/* ---- subscript.c and bounds.c ------------------------------------------------------------------------- */
/* As many subscripts as dimensions?  Reports otherwise. */
bool subscripts_fit(Sema *s, const Ast *a, const Value *base);
Value *eval_subscript(Sema *s, const Ast *a);
Value *eval_at(Sema *s, const Ast *a);
/* Data that conditions keep inside, and no type does, is clamped besides: all branches are computed. */
bool prove_inside(Sema *s, const Ast *item, Subscript *sub, const Index *of, int dimension,
                  const Ast *base);
Interval data_interval(const Expr *e);

/* ---- expression.c ------------------------------------------------------------------------------------- */
Value *eval(Sema *s, const Ast *a);
bool is_ambient(Sema *s, const char *name); /* a number that every body knows */
/* A whole statement's expression: extents first, then the value. */
Value *eval_statement(Sema *s, const Ast *a, const char *name);
bool eval_integer(Sema *s, const Ast *a, const char *what, int64_t *out);
Value *eval_number(Sema *s, const Ast *a, const char *what);
/* As far as it is known when compiling: hyper-parameters count as declared. */
Value *eval_constant(Sema *s, const Ast *a);
bool eval_truth(Sema *s, const Ast *a, const char *what, bool *out);

/* ---- reduction.c -------------------------------------------------------------------------------------- */
/* The enclosing statement's indices in `body`, those bound aside, in the order of its left side. */
void free_indices(Sema *s, const Expr *body, Index *const *bound, int bound_count, Index ***dims,
                  int *rank);
Value *eval_reduce(Sema *s, const Ast *a, const char *name, Index *const *lhs, int lhs_rank,
                   Node **whole);

/* ---- call.c --------------------------------------------------------------------------------------------- */
Value *eval_call(Sema *s, const Ast *call, Value *piped);
Value *apply_declaration(Sema *s, const Declaration *d, const char *path, Value **args,
                         const char *const *names, int count, Span span);
Frame *frame_enter(Sema *s, FrameKind kind, const Ast *decl, bool library, const char *path);
void frame_leave(Sema *s);
/* How often this text was met in the frame, this time included. */
int frame_count(Sema *s, Frame *f, const char *name);

/* ---- argument.c ----------------------------------------------------------------------------------------- */
/* One value a parameter; NULL where the default is to be taken. */
Value **match_arguments(Sema *s, const Ast *decl, Value **args, const char *const *names, int count,
                        Span span);
/* In the frame of the definition; v is NULL where the default is to be taken. */
bool bind_parameter(Sema *s, const Ast *param, Value *v);
/* A derivative is stated by a tensor, which the body then has to read: an expression becomes one. */
bool store_argument(Sema *s, const Ast *param, Value *v);
const char *pattern_text(Sema *s, const Ast *param); /* x[..., i] */

/* ---- builtin.c -------------------------------------------------------------------------------------------- */
typedef struct Builtin {
    const char *name;
    int least, most; /* arguments */
    const char *usage;
    Value *(*apply)(Sema *s, Value **args, const char *const *names, int count, Span span);
} Builtin;
const Builtin *builtin_find(const char *name);

/* ---- derive.c -------------------------------------------------------------------------------------------- */
Value *apply_grad(Sema *s, Value **args, const char *const *names, int count, Span span);
/* The result of a fn with the derivatives that it states of it; NULL after an error. */
Value *state_derivatives(Sema *s, const Ast *decl, Value *result);
Value *apply_jvp(Sema *s, Value **args, const char *const *names, int count, Span span);

/* ---- builtin.c, the table --------------------------------------------------------------------------------- */
int builtin_count(void);
const Builtin *builtin_at(int i);

/* ---- statement.c ------------------------------------------------------------------------------------------- */
void run_body(Sema *s, const AstList *body);
Node *define_tensor(Sema *s, const Ast *a, const char *name, const int64_t *shape, int shape_rank);

/* ---- require.c ---------------------------------------------------------------------------------------------- */
/* A text with its braces filled in; NULL after an error. */
const char *filled_text(Sema *s, const Ast *a);
void run_require(Sema *s, const Ast *a);

/* ---- parameter.c ------------------------------------------------------------------------------------------- */
void run_param(Sema *s, const Ast *a);
void run_state(Sema *s, const Ast *a);
void run_update(Sema *s, const Ast *a);
void run_gradient(Sema *s, const Ast *a);
void unknown_parameter(Sema *s, Span at, const char *name, const char *purpose);
Tensor *tensor_find(Sema *s, const char *name);
Tensor *tensor_add(Sema *s, const char *name, Role role, DType type, const int64_t *shape, int rank,
                   Span span);
Node *tensor_current(Sema *s, Tensor *t);
/* The same, but for what a scan around does to it. */
Node *tensor_outside(Sema *s, Tensor *t);
/* A state has a new value. */
void state_set(Sema *s, Tensor *t, Node *value);
Node *hyper_node(Sema *s, const char *name, double initial);

/* ---- start.c ----------------------------------------------------------------------------------------------- */
Index **shape_indices(Sema *s, const int64_t *shape, int rank); /* fresh ones: i0, i1, … */
/* A start is a literal of the tensor's shape, a number for every element, or a tensor. */
Node *start_node(Sema *s, Tensor *t, Value *v);
void add_start(Sema *s, Tensor *t, const Ast *declaration);

/* ---- port.c -------------------------------------------------------------------------------------------------- */
Port *find_port(Sema *s, const char *name);
void run_input(Sema *s, const Ast *a);
void run_output(Sema *s, const Ast *a);
void run_loss(Sema *s, const Ast *a);
void run_metric(Sema *s, const Ast *a);

/* ---- over_set.c: sums over a whole set, and what an expression rests on -------------------------------------- */

/* What the entry under construction reads once: "training set", "evaluated set". */
const char *whole_set_name(const Sema *s);
/* What it stands for when all examples are through: the sum of the node, of a batch at a time. */
Node *set_sum(Sema *s, Node *n);

/* What an expression is made of; the places are NULL where it is not. */
typedef struct Rests {
    bool set;            /* sums over the whole set                              */
    const Node *example; /* a value of a single example                          */
    const Node *tensor;  /* a parameter, a state, a hyper-parameter              */
    const Node *call;    /* a reduction over the examples of one call            */
    int passes;          /* over the training data until the states it reads are right */
} Rests;
Rests find_rests(Sema *s, const Expr *e);
Rests find_node_rests(Sema *s, const Node *n);

/* ---- double.c: copies in double precision --------------------------------------------------------------------- */
typedef struct Copier Copier;
/* From the graph under construction to one for this entry. */
Copier *copier_open(Sema *s, EntryKind to);
void copier_need(Copier *c, const Node *n);
/* Copies what is needed. */
Graph *copier_run(Copier *c);
Node *copier_copy(const Copier *c, const Node *n);

/* ---- finish.c: over the whole evaluated set ---------------------------------------------------------------- */
/* Makes the finish graph out of the evaluate graph, and prunes that. */
void build_finish(Sema *s);

/* ---- fit.c ---------------------------------------------------------------------------------------------------- */
/* state … fit …: after the state's declaration. */
void run_fit(Sema *s, Tensor *t, const Ast *a);
/* Can the state that is being fitted have sums of what rests on this?  False after an error. */
bool fit_sums(Sema *s, const Ast *a, const Rests *of);
/* Makes the fitted graph out of the fit graph, and prunes that. */
void build_fitted(Sema *s);

/* ---- generate.c ---------------------------------------------------------------------------------------------- */
void run_generate(Sema *s, const Ast *a);

/* ---- train.c -------------------------------------------------------------------------------------------------- */
bool read_train(Sema *s);
bool check_best(Sema *s); /* after the evaluate entry */

/* ---- print.c ---------------------------------------------------------------------------------------------------- */
void print_later(Sema *s, const Ast *a, const char *name);

/* ---- group.c ---------------------------------------------------------------------------------------------------- */
/* `optimizer sgd(lr = 0.1) over "*.bias"`, `minimize d_loss over disc with adam(lr = 2e-4)` */
bool read_optimizer(Sema *s, const Ast *entry);
bool read_minimize(Sema *s, const Ast *entry);
/* The group that a parameter belongs to: of those with patterns the first that fits. */
Group *group_of(Sema *s, const Tensor *t);
const Ast *group_optimizer(Sema *s, const Group *g);
/* disc.lr for `over disc`, bias.lr for `over "*.bias"`; plain lr (NULL) for all others. */
const char *group_prefix(Sema *s, const Group *g);
bool has_optimizer(const Sema *s);
bool read_limit(Sema *s, const Ast *item, const char *what, double *out); /* above 0 */
bool read_count(Sema *s, const Ast *item, const char *what, int64_t *out);
/* Does the pattern stand for the path?  `*` is any text; a path is everything below it, too. */
bool path_fits(const char *pattern, const char *name);
/* Settles every parameter's loss, and reports patterns that fit nothing. */
void assign_groups(Sema *s);

/* ---- clip.c ---------------------------------------------------------------------------------------------------- */
/* Holds the gradients at or below what the train block says. */
void clip_gradients(Sema *s, Node **gradients, Tensor **weights, int count);

/* ---- average.c ------------------------------------------------------------------------------------------------- */
bool read_average(Sema *s, const Ast *entry);
/* The graph of an inference entry reads the means in place of the parameters. */
void read_averages(Sema *s);
/* After a parameter's update. */
bool update_average(Sema *s, Tensor *w);

/* ---- optimize.c ------------------------------------------------------------------------------------------------ */
bool add_updates(Sema *s);
/* Runs the text that `call` names for s->updated. */
bool run_optimizer(Sema *s, const Ast *call);
Index **tensor_indices(Sema *s, const Tensor *t);

#endif
