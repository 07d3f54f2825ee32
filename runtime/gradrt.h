/* What an emitted object says of itself and what it may be given: the C ABI shared by the
 * compiler (which emits these tables) and the runtime (which reads them).
 *
 * An object needs no runtime: it calls nothing but memcpy, memmove and memset (and the system for
 * its processor's matrix tiles: see matrix_tiles).  All state of one model instance lies in one block
 * that the caller brings; the tables below are constant. */
#ifndef GRADRT_H
#define GRADRT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GRADC_ABI 1

typedef enum gradc_dtype {
    GRADC_BOOL = 0, /* one byte, 0 or 1 */
    GRADC_U8,
    GRADC_U16,
    GRADC_I32,
    GRADC_F32,
    GRADC_F64
} gradc_dtype;

/* What a raw input or target means; checked when data is loaded. */
typedef enum gradc_domain {
    GRADC_NUMBER = 0, /* any value of the type               */
    GRADC_CLASS,      /* 0 … classes-1, one of a set of names */
    GRADC_TOKEN       /* 0 … classes-1, an entry of a table   */
} gradc_domain;

typedef enum gradc_role {
    GRADC_PARAM = 0, /* trained                                                              */
    GRADC_STATE,     /* kept and updated, not trained (running statistics)                   */
    GRADC_MOMENT,    /* optimizer state                                                      */
    GRADC_GRADIENT,  /* what gradient() leaves behind; same order and shapes as the parameters */
    GRADC_HYPER,     /* one number the caller may change between steps (learning rate, …)    */
    GRADC_AVERAGE    /* what evaluate(), predict() and generate() read instead of a parameter */
} gradc_role;

/* One tensor that lives in the instance from step to step. */
typedef struct gradc_tensor {
    const char *name; /* dense_1.weight; a moment is named dense_1.weight.m */
    gradc_dtype type;
    gradc_role role;
    int rank;
    const int64_t *shape;
    uint64_t offset; /* bytes from the start of the instance */
    uint64_t count;  /* elements                             */
    int frozen;      /* a parameter that no update touches   */
    double initial;  /* a hyper-parameter's declared value   */
    int of; /* the place in the table of the parameter that this moment, … belongs to, or -1 */
    int loss; /* the one loss that trains a parameter; -1: their sum                                 */
} gradc_tensor;

/* One input, target or output of the model; shapes are of one example. */
typedef struct gradc_port {
    const char *name;
    gradc_dtype type;
    gradc_domain domain;
    int64_t classes; /* for class and token, otherwise 0 */
    int rank;
    const int64_t *shape;
    uint64_t count; /* elements of one example */
    int is_target;
    int for_predict; /* predict() reads it: any input, and a target that an output depends on */
} gradc_port;

/* What evaluation tells beside the losses: a number, or a table over the whole evaluated set. */
typedef struct gradc_metric {
    const char *name;
    int rank; /* 0: a number */
    const int64_t *shape;
    uint64_t count; /* elements */
    uint64_t slot;  /* of its first element, among the values of finish() */
} gradc_metric;

/* A value written in the train block: name = number, "string", or a bare word. */
typedef struct gradc_option {
    const char *key;  /* "" for a positional value        */
    const char *text; /* string or word; NULL for a number */
    double number;
} gradc_option;

/* A data source as written: csv("digits.csv", target = last). */
typedef struct gradc_source {
    const char *kind;
    const gradc_option *options;
    int option_count;
    const struct gradc_source *beside; /* one whose examples go with these, row by row, or NULL */
} gradc_source;

/* How the train block says to train; zero means not given. */
typedef struct gradc_train {
    const gradc_source *data;    /* training data, NULL: none named                       */
    const gradc_source *holdout; /* separate evaluation data, or NULL                     */
    double holdout_fraction;     /* part of the training data held out, else 0            */
    uint64_t batch;              /* examples a step; inputs of every call are at most this */
    uint64_t accumulate;         /* micro-batches whose gradients make one update, ≥ 1    */
    uint64_t epochs, steps;      /* one of them given                                     */
    uint64_t evaluate_every;     /* in units below; 0: every epoch                        */
    int evaluate_in_epochs;      /* 1: evaluate_every counts epochs, 0: steps             */
    const char *best_by;         /* metric or loss that chooses the best checkpoint; NULL: loss */
    int best_is_larger;          /* 1: a larger value of best_by is better                */
    uint64_t patience;           /* evaluations without improvement before stopping       */
    uint64_t seed;
    int shuffle;
} gradc_train;

/* Parameters and states that start from a file when training begins; the object itself reads none. */
typedef struct gradc_init_from {
    const char *pattern; /* a path and all below it; `*` is any text                      */
    const char *file;    /* safetensors                                                    */
    const char *names;   /* a file of lines `name in the file = name here`, or NULL: equal */
} gradc_init_from;

/* One row of `info`: a layer instance or a named statement. */
typedef struct gradc_layer {
    const char *name; /* conv2d_1                   */
    const char *kind; /* conv2d, or "" for a statement */
    int rank;         /* of its result, per example */
    const int64_t *shape;
    uint64_t parameters;
    uint64_t flops; /* forward, one example        */
} gradc_layer;

/* A kernel: does iterations [begin, end) of its outermost loop, with scratch of its own. */
typedef void gradc_kernel(void *arguments, size_t begin, size_t end, void *scratch);
/* Runs kernel over [0, count) in any partition, on any threads, each with its own `scratch`
 * (worker * scratch_bytes from the instance's scratch area); returns when all is done. */
typedef void gradc_parallel_for(void *pool, gradc_kernel *kernel, void *arguments, size_t count,
                                void *scratch, size_t scratch_bytes);

/* One kernel of an entry point, as compiled with `gradc --profile`. */
typedef struct gradc_kernel_info {
    const char *entry;   /* step, evaluate, …                                  */
    const char *name;    /* of the last tensor that it makes                   */
    const char *how;     /* its tile and packing, or its loops                 */
    const char *lines;   /* of the .nn file: "digits.nn:14 digits.nn:20"       */
    double flops, bytes; /* of one run, with a whole batch                   */
} gradc_kernel_info;

/* Runs each kernel in place of the instance: a whole partition of [0, count), as gradc_parallel_for
 * does, or in one piece on the caller's thread where `serial`; and looks at the clock. */
typedef struct gradc_profile gradc_profile;
struct gradc_profile {
    void (*run)(gradc_profile *self, int number, gradc_kernel *kernel, void *arguments,
                size_t count, int serial, void *scratch, size_t scratch_bytes);
};

/* Every entry point takes `inputs`: one pointer for each input and target, in the order of
 * `ports`, each to n examples row by row; n is 1 … train->batch.  Models are instances made by
 * init() in caller's memory of bytes(threads) bytes, 64-byte aligned. */
typedef struct gradc_model {
    uint32_t abi; /* GRADC_ABI */
    const char *name;
    const char *source; /* the .nn file's name, without folders */
    gradc_dtype real;   /* F32, or F64 for a gradient check     */

    const gradc_tensor *tensors;
    int tensor_count;
    const gradc_port *inputs; /* inputs, then targets */
    int input_count;
    const gradc_port *outputs;
    int output_count;
    const char *const *losses; /* names of the losses; the step returns their sum */
    int loss_count;
    const gradc_metric *metrics;
    int metric_count;
    const gradc_layer *layers;
    int layer_count;
    const gradc_train *train;
    const gradc_init_from *inits;
    int init_count;
    uint64_t instance_bytes; /* header, tensors and workspace                        */
    uint64_t scratch_bytes;  /* per thread, on top                                   */
    uint64_t persistent_bytes, workspace_bytes; /* what instance_bytes is made of     */
    int accumulator_count; /* doubles that evaluate() adds to                       */
    int value_count;       /* doubles that finish() writes                          */
    uint64_t fit_count;    /* doubles that fit() adds to                            */
    int fit_passes;        /* how often the training data are gone through to fit   */
    int generated;         /* the input that generate() lengthens; -1: none         */
    int endless; /* 1: generate() takes any position, since what it does rests on the last few alone */
    /* 1: the functions below that compute use the processor's matrix tiles, which a Linux process has to
     * ask for: they do, and end it (an illegal instruction) where that is refused. */
    int matrix_tiles;

    /* NULL where the model has no use for it: no loss, no optimizer, nothing to evaluate, no output. */
    size_t (*bytes)(size_t threads);
    void *(*init)(void *memory, uint64_t seed);
    /* Hands the instance a pool of `threads` workers; NULL: run on the caller's thread. */
    void (*threads)(void *instance, gradc_parallel_for *run, void *pool, size_t threads);
    /* Forward, backward and update.  Returns the mean loss of the n examples; when that is not
     * finite nothing has been changed. */
    double (*step)(void *instance, const void *const *inputs, size_t n);
    /* Forward and backward: stores (first = 1) or adds (first = 0) scale times the gradient of
     * the mean loss to the gradient tensors.  Returns the mean loss; not finite: nothing changed. */
    double (*gradient)(void *instance, const void *const *inputs, size_t n, double scale,
                       int first);
    /* One update of the parameters from the gradient tensors; counts as a step. */
    void (*update)(void *instance);
    /* Mean loss of n examples, as in training (dropout and batch statistics included, nothing
     * updated): what gradient() differentiates; and, unless `each` is NULL, that of each loss.
     * For the gradient check. */
    double (*loss)(void *instance, const void *const *inputs, size_t n, double *each);
    /* Inference mode: adds the n examples' sums to accumulator_count doubles. */
    void (*evaluate)(void *instance, const void *const *inputs, size_t n, double *sums);
    /* From the sums over `examples` examples, value_count values: each loss, then the elements of
     * each metric, row by row. */
    void (*finish)(void *instance, const double *sums, uint64_t examples, double *values);
    /* States that are fitted to data: fit() adds the n examples' sums to fit_count doubles; from
     * those over all `examples`, fitted() makes the states.  Both, fit_passes times. */
    void (*fit)(void *instance, const void *const *inputs, size_t n, double *sums);
    void (*fitted)(void *instance, const double *sums, uint64_t examples);
    /* Inference mode: writes n examples of every output to outputs[i]. */
    void (*predict)(void *instance, const void *const *inputs, size_t n, void *const *outputs);
    /* Inference mode, one example whose input inputs[generated] is a sequence of tokens, one a call:
     * writes the log-odds of the token that follows `token` at `position`, in the model's real type.
     * Positions come in order from 0 and stay below that input's length (but see `endless`);
     * between them no other function may be called.  For a position or token out of range
     * nothing is done. */
    void (*generate)(void *instance, size_t position, uint32_t token, void *logits);
    /* Runs forward and backward, checking every tensor as it is made; the name of the first
     * that holds a NaN or infinity, or NULL.  Changes nothing. */
    const char *(*diagnose)(void *instance, const void *const *inputs, size_t n);
    /* The update counter: number of updates done so far (it drives schedules and randomness). */
    uint64_t (*get_step)(const void *instance);
    void (*set_step)(void *instance, uint64_t step);

    /* Of objects compiled with `gradc --profile`; otherwise 0 and NULL. */
    const gradc_kernel_info *kernels;
    int kernel_count;
    void (*profile)(void *instance, gradc_profile *hook); /* NULL: no more */
    /* What the machine allows in the object's own vectors: multiply-adds (returns flops), reading. */
    double (*peak)(uint64_t rounds);
    double (*read)(const void *memory, uint64_t bytes);
} gradc_model;

/* ---- what libgradrt adds for trainers ------------------------------------------------------------ */

/* A trainer's main(): `checked` is the same model in f64 for gradcheck, or NULL. */
int gradrt_main(int argc, char **argv, const gradc_model *model, const gradc_model *checked);

#ifdef __cplusplus
}
#endif
#endif
