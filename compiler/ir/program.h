/* A whole program between the front end and the back end: what one model is compiled from. */
#ifndef GRADC_PROGRAM_H
#define GRADC_PROGRAM_H

#include "ir/ir.h"

/* The entry points, in the order they are emitted; see gradc_model for what each does. */
typedef enum {
    ENTRY_INIT,     /* results: UPDATE of every parameter, state and moment               */
    ENTRY_STEP,     /* LOSS, then UPDATE of parameters, moments and states                */
    ENTRY_GRADIENT, /* LOSS, then UPDATE of the gradient tensors (and states)             */
    ENTRY_UPDATE,   /* UPDATE of parameters and moments from the gradient tensors         */
    ENTRY_LOSS,     /* LOSS, in training mode, nothing updated                            */
    ENTRY_EVALUATE, /* SUM, in inference mode                                             */
    ENTRY_FINISH,   /* VALUE from NODE_SUM and SCALAR_EXAMPLES, all in f64                */
    ENTRY_PREDICT,  /* OUTPUT, in inference mode                                          */
    ENTRY_GENERATE, /* OUTPUT of one position of one example, in inference mode            */
    ENTRY_FIT,      /* SUM, in inference mode: what fitted states rest on                 */
    ENTRY_FITTED,   /* UPDATE of fitted states from NODE_SUM and SCALAR_EXAMPLES, in f64  */
    ENTRY_COUNT
} EntryKind;

const char *entry_name(EntryKind kind); /* "init", "step", … */

/* A value of the train block; text is NULL for a number. */
typedef struct TrainOption {
    const char *key, *text;
    double number;
} TrainOption;

typedef struct TrainSource {
    const char *kind;
    VEC(TrainOption) options;
    struct TrainSource *beside; /* whose examples go with these, row by row; or NULL */
} TrainSource;

/* The fields of gradc_train. */
typedef struct Train {
    TrainSource *data, *holdout;
    double holdout_fraction;
    int64_t batch, accumulate, epochs, steps, evaluate_every;
    bool evaluate_in_epochs, best_is_larger, shuffle;
    const char *best_by;
    int64_t patience;
    uint64_t seed;
} Train;

/* What fits `pattern` starts from `file`, under the names that the file `names` gives (NULL: its own). */
typedef struct InitFrom {
    const char *pattern, *file, *names;
    Span span;
} InitFrom;

/* One row of the table that `info` prints. */
typedef struct LayerRow {
    const char *name, *kind;
    int rank;
    const int64_t *shape;
    int64_t parameters;
    double flops;
} LayerRow;

/* What evaluation tells beside the losses; of rank 0, or a table. */
typedef struct Metric {
    const char *name;
    int rank;
    const int64_t *shape;
    int slot; /* of its first element, among the values of finish() */
} Metric;

typedef struct Program {
    Arena *arena;
    ExprPool *pool; /* of the model's real type */
    Interner *names;
    const Sources *sources;
    const char *name;        /* the model's                          */
    const char *source_file; /* without folders                      */
    DType real;
    VEC(Tensor *) tensors; /* parameters, states, moments, gradients, hyper-parameters */
    VEC(Port *) inputs;    /* inputs, then targets */
    VEC(Port *) outputs;
    VEC(const char *) losses;
    VEC(Metric) metrics;
    VEC(LayerRow) layers;
    VEC(InitFrom) inits;
    int accumulator_count, value_count; /* numbers of evaluate(), of finish() */
    int fit_count;                      /* numbers that fit() adds to                       */
    int fit_passes;                     /* over the training data until every fit is right  */
    Port *generated;                    /* the input that generate() lengthens, or NULL */
    Span generate_span;
    Train train;
    Graph *entries[ENTRY_COUNT]; /* NULL: this program has none */
} Program;

#endif
