/* What libgradrt's files share, grouped by the file that defines it, from the ground up.
 *
 * A trainer links these names beside those of its model (digits_init, digits_step, …), so no
 * function here ends in _bytes, _init, _step, _predict, _gradient, _update, _loss, _evaluate,
 * _finish, _fit, _fitted, _threads, _diagnose, _generate or _model: a model may have any name. */
#ifndef GRADRT_INTERNAL_H
#define GRADRT_INTERNAL_H

#include "gradrt.h"

#include <errno.h> /* program_invocation_short_name */
#include <stdbool.h>
#include <stdio.h>

/* ---- error.c: text that travels up to whoever shows it --------------------------------------- */

typedef struct Error {
    char *text; /* lines without a last newline; NULL: none */
} Error;

/* Both return false, so that a reader can fail in one line. */
bool error_set(Error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool error_add(Error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
void error_clear(Error *e);

/* Zeroed; ends the program when there is no memory left. */
void *memory_get(size_t count, size_t size);
char *text_copy(const char *text, size_t length);
char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- pages.c: memory that a step passes all of ------------------------------------------------- */

/* Aligned as vectors want it, in large pages where it is that large; NULL where there is none left. */
void *memory_pages(size_t size);

/* ---- file.c: whole files, mapped or inflated -------------------------------------------------- */

typedef enum BytesKind { BYTES_NONE, BYTES_MAPPED, BYTES_OWNED } BytesKind;

typedef struct Bytes {
    const uint8_t *data;
    size_t size;
    BytesKind kind;
} Bytes;

bool file_open(Bytes *b, const char *path, Error *e);
void file_close(Bytes *b);
/* The path itself, or inside `folder` where only that exists; to be freed. */
char *file_find(const char *name, const char *folder);
/* window_bits as zlib's inflateInit2: 31 for gzip, -15 for a raw stream. */
bool inflate_all(const uint8_t *data, size_t size, int window_bits, size_t limit, Bytes *out,
                 const char *path, Error *e);

/* ---- random.c: the counter-based generator ---------------------------------------------------- */

typedef enum RandomStream {
    STREAM_SPLIT = 0x53504c54,
    STREAM_SHUFFLE = 0x53485546,
    STREAM_SAMPLE = 0x53414d50
} RandomStream;

void random_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);
/* Puts items into an order that is a function of (seed, stream, group). */
void random_permute(uint32_t *items, uint32_t count, uint64_t seed, RandomStream stream,
                    uint64_t group);

/* ---- pool.c: threads that share a loop --------------------------------------------------------- */

typedef struct Pool Pool;

Pool *pool_create(size_t threads);
void pool_destroy(Pool *p);
/* A gradc_parallel_for. */
void pool_run(void *pool, gradc_kernel *kernel, void *arguments, size_t count, void *scratch,
              size_t scratch_bytes);
size_t pool_cores(void); /* how many this process may use */

/* ---- instance.c: a model in memory of its own --------------------------------------------------- */

typedef struct Instance {
    const gradc_model *model;
    void *memory; /* also what init() was given */
    void *self;   /* what init() returned        */
    Pool *pool;
} Instance;

void instance_create(Instance *in, const gradc_model *model, uint64_t seed, size_t threads);
void instance_destroy(Instance *in);
void *tensor_data(const Instance *in, const gradc_tensor *t);
/* The average of a parameter; NULL: it has none. */
const gradc_tensor *average_of(const gradc_model *model, const gradc_tensor *t);
void copy_tensor(Instance *in, const gradc_tensor *to, const gradc_tensor *from);
size_t raw_size(gradc_dtype type);
const char *raw_name(gradc_dtype type); /* as safetensors writes it: F32 */
double number_get(gradc_dtype type, const void *at);
void number_put(gradc_dtype type, void *at, double value);
/* (2, 3) or (); into a buffer of SHAPE_TEXT. */
#define SHAPE_TEXT 160
const char *shape_write(char *buffer, int rank, const int64_t *shape);

/* ---- hyper.c: numbers the caller may set -------------------------------------------------------- */

const gradc_tensor *hyper_find(const gradc_model *model, const char *name);
bool hyper_set(Instance *in, const char *name, double value, Error *e);
/* "name=value" */
bool hyper_assign(Instance *in, const char *text, Error *e);

/* ---- safetensors.c: the file format --------------------------------------------------------------- */

typedef struct TensorEntry {
    char *name;
    char type[8]; /* F32, I64, … */
    int rank;
    int64_t *shape;
    uint64_t begin, end; /* bytes, from the start of the data */
} TensorEntry;

typedef struct Pair {
    char *key, *value;
} Pair;

typedef struct Safetensors {
    Bytes file;
    const uint8_t *data;
    TensorEntry *entries; /* in the order of their data */
    int entry_count;
    Pair *metadata;
    int pair_count;
} Safetensors;

/* Reads and checks a header: names, types, shapes, ranges without hole or overlap. */
bool safetensors_parse(Safetensors *s, const uint8_t *bytes, size_t size, const char *path,
                       Error *e);
bool safetensors_open(Safetensors *s, const char *path, Error *e);
void safetensors_close(Safetensors *s);
const TensorEntry *safetensors_find(const Safetensors *s, const char *name); /* NULL: absent */
/* Can numbers of this type in a file become `to`?  Reals of any width can become reals. */
bool safetensors_converts(const char *type, gradc_dtype to);
void safetensors_copy(const Safetensors *s, const TensorEntry *t, gradc_dtype to, void *out);
const char *safetensors_note(const Safetensors *s, const char *key); /* NULL: absent */
/* The header, with its length in front, padded to 8 bytes; to be freed. */
char *safetensors_header(const TensorEntry *entries, int entry_count, const Pair *metadata,
                         int pair_count, size_t *size);

/* ---- metadata.c: where training stands, and what its categories are called ------------------------ */

typedef struct Names {
    char **items; /* sorted by their bytes; the place is the class */
    int count;
} Names;

typedef struct Fill {
    char *column;
    double value;
} Fill;

/* How text became numbers when the training data were read; the same again for any later data. */
typedef struct Encoding {
    Names *names; /* for each port */
    int port_count;
    Fill *fills;
    int fill_count;
} Encoding;

/* Names that are not cannot be kept in a checkpoint. */
bool text_is_utf8(const char *text);
void names_free(Names *names);
void encoding_create(Encoding *c, int port_count);
void encoding_destroy(Encoding *c);

/* Where training stands: with the tensors, all that a resume needs to give the same bits. */
typedef struct Position {
    uint64_t seed;
    uint64_t examples; /* trained on; a resume on other data would be no resume */
    uint64_t epoch;    /* epochs completed                                      */
    uint64_t cursor;   /* examples of this epoch done                           */
    uint64_t step;     /* updates done                                          */
    double loss_sum;   /* over loss_count examples since the last report        */
    uint64_t loss_count;
    uint64_t evaluated; /* the step of the last evaluation                       */
    bool has_best;
    double best;
    uint64_t best_step;
    uint64_t stale; /* evaluations since the best one */
} Position;

/* The names of the `classes` classes of a target, else of an input; NULL where they have none. */
const Names *encoding_classes(const gradc_model *model, const Encoding *c, int64_t classes);
/* The two as metadata strings; *pairs to be freed with pairs_free. */
void metadata_write(const gradc_model *model, const Position *p, const Encoding *c, Pair **pairs,
                    int *count);
bool metadata_read(const Safetensors *s, const gradc_model *model, Position *p, Encoding *c,
                   Error *e);
void pairs_free(Pair *pairs, int count);

/* ---- checkpoint.c: the model's tensors in a file --------------------------------------------------- */

typedef enum CheckpointPart { CHECKPOINT_WEIGHTS, CHECKPOINT_ALL } CheckpointPart;

typedef struct Checkpoint {
    const gradc_model *model;
    TensorEntry *entries; /* layout of the data */
    const gradc_tensor **tensors;
    int count;
    size_t data_size;
} Checkpoint;

void checkpoint_create(Checkpoint *c, const gradc_model *model);
void checkpoint_destroy(Checkpoint *c);
/* Copies the instance's tensors into `data` (data_size bytes): what a file will hold. */
void checkpoint_pack(const Checkpoint *c, const Instance *in, uint8_t *data);
/* Written aside, synced and renamed: the file is the old one or the new one, never a part. */
bool checkpoint_save(const Checkpoint *c, const uint8_t *data, const Position *p,
                     const Encoding *encoding, const char *path, Error *e);
/* Adds a line where the tensor cannot be filled from what the file has under the name `theirs`;
 * `exact`: not even by converting numbers. */
void tensor_compare(const gradc_tensor *mine, const TensorEntry *entry, const char *theirs,
                    bool exact, Error *differences);
/* Fills the instance, or names every difference and leaves it as it was. */
bool checkpoint_load(const Checkpoint *c, Instance *in, CheckpointPart part, const char *path,
                     Position *p, Encoding *encoding, Error *e);

/* ---- start.c: parameters that start from files ------------------------------------------------------ */

struct Options;

/* What the model says, then what --init says. */
bool start_from_files(Instance *in, const struct Options *o, bool quiet, Error *e);

/* ---- view.c: which examples, in which order --------------------------------------------------------- */

struct Dataset;

typedef struct View {
    const struct Dataset *data;
    uint32_t *order; /* row numbers */
    uint32_t count;
} View;

/* Splits off round(fraction * n) rows by seed; the rest stays in the file's order.  Of windows of a
 * sequence it takes the last, such that no window of one view overlaps one of the other. */
bool view_split(const struct Dataset *data, double fraction, uint64_t seed, View *train,
                View *holdout, Error *e);
void view_whole(const struct Dataset *data, View *view);
/* Of windows only those that do not overlap: enough to measure on. */
void view_apart(const struct Dataset *data, View *view);
void view_shuffle(View *v, const View *base, uint64_t seed, uint64_t epoch);
void view_free(View *v);

/* ---- batch.c: examples brought together for a call --------------------------------------------------- */

typedef struct Batch {
    const gradc_port *ports;
    int port_count;
    size_t capacity;
    uint8_t **rows;      /* for each port, capacity examples */
    const void **inputs; /* the same, as the model takes them */
} Batch;

void batch_create(Batch *b, const gradc_port *ports, int port_count, size_t capacity);
void batch_destroy(Batch *b);
/* Gathers view's rows [begin, begin + n); absent targets stay zero.  False: an example that is
 * decoded or checked only now is damaged. */
bool batch_gather(Batch *b, const View *v, uint64_t begin, size_t n, Error *e);
size_t port_size(const gradc_port *p); /* bytes of one example */

/* ---- feed.c: batch after batch ------------------------------------------------------------------------- */

typedef struct Feed Feed;

typedef struct FeedPlan {
    const View *base;
    bool shuffles;                /* each epoch by its seed and number; else in base's order */
    uint64_t seed, epoch, cursor; /* where to begin */
    size_t capacity;              /* examples of a batch; of an epoch's last what is left */
    bool ahead;                   /* a thread gathers the next while one is in use */
} FeedPlan;

/* Whether a thread saves more time than it takes: a matter of where the data are, never of clocks. */
bool feed_pays(const View *base, size_t capacity);
Feed *feed_create(const FeedPlan *plan);
/* From the first example on, as the view lies. */
Feed *feed_in_order(const View *v, size_t capacity);
/* The next batch, until the next call; NULL: an example cannot be read, and none follows. */
const Batch *feed_next(Feed *f, size_t *count, Error *e);
void feed_destroy(Feed *f);

/* ---- options.c: the command line ------------------------------------------------------------------------ */

typedef enum EvaluateUnit { UNIT_GIVEN, UNIT_EPOCHS, UNIT_STEPS } EvaluateUnit;

typedef enum Format { FORMAT_BY_NAME, FORMAT_CSV, FORMAT_NPY, FORMAT_JSONL } Format;

typedef struct TextList {
    const char **items;
    int count;
} TextList;

/* What the user asked for; a number that was not given has its has_ flag clear or is zero. */
typedef struct Options {
    const char *command;
    uint64_t epochs, steps, batch, threads, patience;
    bool has_patience, has_seed, has_lr, has_evaluate_every;
    uint64_t seed;
    double lr;
    TextList sets, data, inputs, inits;
    bool resume;
    const char *resume_path, *save, *checkpoint, *data_dir, *log, *output, *only, *map;
    bool quiet, all, json, profile;
    Format format;     /* of predictions */
    const char *trace; /* --profile=FILE */
    double save_seconds;
    uint64_t save_steps;
    uint64_t evaluate_every;
    EvaluateUnit evaluate_unit;
    double tolerance;
    uint64_t samples;
    const char *prompt; /* "" where none is given */
    uint64_t length, top_k;
    double temperature, top_p;
} Options;

/* Returns -1 to go on, or the exit status. */
int options_read(Options *o, int argc, char **argv, const gradc_model *model);
void options_free(Options *o);

/* ---- progress.c: what the user sees ---------------------------------------------------------------------- */

typedef struct Progress {
    FILE *out;
    bool live, quiet;    /* live: one line rewritten in place */
    bool shown;          /* the live line is on the screen */
    double began, drawn; /* seconds                        */
    uint64_t first_step, last_step;
    uint64_t epochs, examples, every; /* every: epochs from one line to the next */
    uint64_t done;                    /* examples seen by this process */
    double rate_time;
    uint64_t rate_done;
} Progress;

/* One value of a report, in the order of its columns. */
typedef struct Value {
    const char *group; /* "holdout" or "" */
    const char *name;
    double number;
    const gradc_metric *table; /* in place of the number, with `elements` row by row; or NULL */
    const double *elements;
} Value;

double clock_seconds(void);
double clock_coarse(void); /* the same to some milliseconds, for next to nothing */
void progress_tick(Progress *p, const Position *at, double loss);
void progress_line(Progress *p, const Position *at, const Value *values, int count, bool best);
void progress_clear(Progress *p);
/* 12.3 k */
const char *rate_text(char *buffer, size_t size, double rate);

/* ---- log.c, tables.c: the same for programs; metrics that are tables ------------------------------------------------------------------------- */

typedef struct Log {
    FILE *file;
    bool csv;
} Log;

bool log_open(Log *l, const char *path, bool append, Error *e);
void json_value(FILE *f, const Value *v); /* "name": 0.5, or lists */
void log_row(Log *l, const Position *at, double seconds, const Value *values, int count);
bool log_close(Log *l, Error *e);

/* Its name, and an element list or grid with the names of classes, on standard output. */
void table_print(const gradc_model *m, const Encoding *c, const Value *v);

/* ---- profile.c: where the time goes -------------------------------------------------------------------------- */

typedef struct Profile Profile;

/* Measures the machine, then times every kernel of the instance; NULL: an error. */
Profile *profile_open(Instance *in, const Options *o, Error *e);
/* Prints the table and writes the trace; of NULL, nothing. */
bool profile_close(Profile *p, Error *e);

/* ---- loop.c, save.c: training ------------------------------------------------------------------------------- */

typedef struct Saver {
    Checkpoint layout;
    const Encoding *encoding;
    char *last_path, *best_path;
    uint8_t *last, *best;
    Position best_at;
    bool best_pending, failed, saved;
    uint64_t saved_step; /* of the last file written */
    double saved_time, seconds;
    uint64_t steps;
} Saver;

void saver_create(Saver *s, const Instance *in, const Encoding *encoding, const Options *o);
void saver_destroy(Saver *s);
/* A place that cannot be written is better known before training than after. */
bool saver_check(const Saver *s, Error *e);
void saver_keep_best(Saver *s, const Instance *in, const Position *p);
/* Writes what is pending; a failure is told and remembered, and the old files stay. */
bool saver_write(Saver *s, const Instance *in, const Position *p);
bool saver_due(const Saver *s, const Position *p, double now);
/* The files' names as the options or the model give them; to be freed. */
char *save_path_last(const gradc_model *model, const Options *o);
char *save_path_best(const gradc_model *model, const Options *o);

typedef struct Loop {
    Instance *instance;
    const Options *options;
    View base, holdout;
    bool holdout_is_train; /* nothing held out: evaluation is on the training data */
    Feed *feed, *held;     /* batches of base, shuffled, and of holdout */
    size_t capacity;       /* examples of a batch */
    const Batch *batch;    /* the last one */
    Position at;
    Saver saver;
    Progress progress;
    Log log;
    uint64_t accumulate, updates_an_epoch, last_step, patience;
    uint64_t every;
    bool every_epochs, evaluates, shuffles;
    double last_loss;
    size_t gathered;       /* examples in the batch */
    double *sums, *values; /* evaluation: accumulators and results */
    Value *report;
    int best_index; /* of a metric in values; -1: the sum of the losses */
    Error error;    /* an example that cannot be read */
} Loop;

/* Trains until done; the exit status. */
int loop_run(Loop *l);
void loop_catch_signals(void);
Value metric_value(const gradc_model *m, int metric, const double *values);
/* The mean losses and metrics of a view, in inference mode, from the feed of its batches: what
 * finish() says. */
bool view_measure(const Instance *in, Feed *f, const View *v, double *sums, double *values,
                  Error *e);

/* ---- the commands: train.c, evaluate.c, predict.c, gradcheck.c, info.c -------------------------------------- */

int train_command(const gradc_model *model, const Options *o);
/* The name of one loss of several; the one without a name of its own is no namesake of their sum. */
const char *loss_part_name(const gradc_model *m, int loss);
int evaluate_command(const gradc_model *model, const Options *o);
int predict_command(const gradc_model *model, const Options *o);
int gradcheck_command(const gradc_model *model, const gradc_model *checked, const Options *o);
int info_command(const gradc_model *model, const Options *o);

/* Tells an error on stderr as `program: text`, frees it, and returns status 1. */
int cli_fail(Error *e);
/* Loads the checkpoint that --model names, or the best, or the last; its name to be freed. */
char *cli_load(Instance *in, const Options *o, Position *p, Encoding *c, Error *e);
size_t cli_thread_count(const Options *o);
/* Opens `source` (or, without one, the file of --data) with --data and --data-dir applied. */
bool cli_data(struct Dataset *d, const gradc_model *model, const gradc_source *source,
              const Options *o, const Encoding *known, Error *e);

/* ---- sample.c, generate.c: a language model writes --------------------------------------------------------------- */

typedef struct Odds {
    double weight;
    uint32_t token;
} Odds;

typedef struct Sampler {
    double temperature, top_p;
    uint64_t seed, drawn;
    uint32_t choices, most; /* tokens there are, and how many of the likeliest count */
    Odds *odds;
} Sampler;

void sampler_create(Sampler *s, const Options *o, uint64_t seed, uint32_t choices);
void sampler_destroy(Sampler *s);
/* The next token by the log-odds of all `choices`; false: they are no numbers. */
bool sampler_next(Sampler *s, gradc_dtype real, const void *logits, uint32_t *token, Error *e);
int generate_command(const gradc_model *model, const Options *o);

/* ---- output.c: predictions as CSV, NPY or JSON ---------------------------------------------------------------------- */

typedef struct Writer Writer;

/* By --output, --format and --only. */
Writer *writer_open(const gradc_model *model, const Encoding *c, const Options *o,
                    uint64_t examples, Error *e);
bool writer_put(Writer *w, void *const *outputs, size_t n, Error *e);
bool writer_close(Writer *w, Error *e);

#endif
