/* The command line: one table of options gives the parser, the help and the check that an option
 * belongs to the command. */
#include "internal.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    IN_TRAIN = 1,
    IN_EVALUATE = 2,
    IN_PREDICT = 4,
    IN_GRADCHECK = 8,
    IN_INFO = 16,
    IN_GENERATE = 32
};
#define IN_DATA (IN_TRAIN | IN_EVALUATE | IN_PREDICT | IN_GRADCHECK)

static const struct {
    const char *name, *summary;
    unsigned bit;
} commands[] = {
    {"train", "train on the data that the model names", IN_TRAIN},
    {"evaluate", "losses and metrics of a trained model on the holdout", IN_EVALUATE},
    {"predict", "outputs of a trained model for new inputs", IN_PREDICT},
    {"generate", "text or other tokens that a language model writes", IN_GENERATE},
    {"gradcheck", "compare every gradient with finite differences, in f64", IN_GRADCHECK},
    {"info", "layers, parameters, memory and data of the model", IN_INFO},
};

#define COMMAND_COUNT (sizeof commands / sizeof *commands)

typedef enum OptionId {
    OPT_EPOCHS = 256,
    OPT_STEPS,
    OPT_BATCH,
    OPT_LR,
    OPT_SET,
    OPT_SEED,
    OPT_RESUME,
    OPT_INIT,
    OPT_MAP,
    OPT_SAVE,
    OPT_SAVE_EVERY,
    OPT_EVALUATE_EVERY,
    OPT_PATIENCE,
    OPT_DATA,
    OPT_INPUT,
    OPT_OUTPUT,
    OPT_FORMAT,
    OPT_ONLY,
    OPT_MODEL,
    OPT_DATA_DIR,
    OPT_PROMPT,
    OPT_LENGTH,
    OPT_TEMPERATURE,
    OPT_TOP_K,
    OPT_TOP_P,
    OPT_THREADS,
    OPT_LOG,
    OPT_QUIET,
    OPT_PROFILE,
    OPT_ALL,
    OPT_JSON,
    OPT_SAMPLES,
    OPT_TOLERANCE,
    OPT_HELP,
    OPT_VERSION
} OptionId;

typedef struct OptionRow {
    OptionId id;
    const char *name, *value;
    unsigned commands;
    const char *help;
} OptionRow;

static const OptionRow rows[] = {
    {OPT_EPOCHS, "epochs", "N", IN_TRAIN, "passes over the training data"},
    {OPT_STEPS, "steps", "N", IN_TRAIN, "updates in all, instead of epochs"},
    {OPT_BATCH, "batch", "N", IN_TRAIN | IN_GRADCHECK,
     "examples a step, at most what was compiled"},
    {OPT_LR, "lr", "RATE", IN_TRAIN, "the hyper-parameter lr"},
    {OPT_SET, "set", "NAME=NUMBER", IN_TRAIN | IN_GRADCHECK,
     "any hyper-parameter; may be repeated"},
    {OPT_SEED, "seed", "N", IN_TRAIN | IN_GRADCHECK, "of starting values, order, holdout, dropout"},
    {OPT_PROMPT, "prompt", "TEXT", IN_GENERATE, "what is to be continued; of numbers: \"1 2 3\""},
    {OPT_LENGTH, "length", "N", IN_GENERATE, "tokens to write (500)"},
    {OPT_TEMPERATURE, "temperature", "X", IN_GENERATE,
     "1 draws as the model says, less more surely,\n0 always the likeliest"},
    {OPT_TOP_K, "top-k", "N", IN_GENERATE, "draw among the N likeliest (all)"},
    {OPT_TOP_P, "top-p", "X", IN_GENERATE, "draw among the likeliest that have the share X (1)"},
    {OPT_SEED, "seed", "N", IN_GENERATE, "of the draws: the same seed writes the same"},
    {OPT_RESUME, "resume", "[=FILE]", IN_TRAIN, "go on from the last checkpoint, to the same bits"},
    {OPT_INIT, "init", "[PATTERN=]FILE", IN_TRAIN,
     "start parameters from a safetensors file: those that fit\n"
     "the pattern, or all; may be repeated"},
    {OPT_MAP, "map", "FILE", IN_TRAIN, "lines `name in --init's file = name in the model`"},
    {OPT_SAVE, "save", "FILE", IN_TRAIN,
     "the last checkpoint (MODEL.safetensors); the best\n"
     "goes to FILE with .best before its ending"},
    {OPT_SAVE_EVERY, "save-every", "N[steps]", IN_TRAIN,
     "save this often, in seconds (30) or steps,\n"
     "besides after evaluations"},
    {OPT_EVALUATE_EVERY, "evaluate-every", "N[epochs|steps]", IN_TRAIN, "evaluate this often"},
    {OPT_PATIENCE, "patience", "N", IN_TRAIN, "stop after N evaluations without improvement"},
    {OPT_MODEL, "model", "FILE", IN_EVALUATE | IN_PREDICT | IN_GENERATE,
     "the checkpoint (the best, else the last)"},
    {OPT_INPUT, "input", "[NAME=]FILE", IN_PREDICT,
     "inputs: .csv, .npy, .npz, .idx, each also .gz"},
    {OPT_OUTPUT, "output", "FILE", IN_PREDICT, ".csv, .npy or .jsonl; without it standard output"},
    {OPT_FORMAT, "format", "csv|npy|jsonl", IN_PREDICT, "whatever the output's name (csv)"},
    {OPT_ONLY, "only", "NAME", IN_PREDICT, "write this output only"},
    {OPT_DATA, "data", "[NAME=]FILE", IN_TRAIN | IN_EVALUATE | IN_GRADCHECK,
     "other data in the same format; may be repeated"},
    {OPT_DATA_DIR, "data-dir", "FOLDER", IN_DATA, "where data files are looked for, after here"},
    {OPT_THREADS, "threads", "N", IN_TRAIN | IN_EVALUATE | IN_PREDICT | IN_INFO | IN_GENERATE,
     "threads (all cores); changes no bit"},
    {OPT_LOG, "log", "FILE", IN_TRAIN | IN_EVALUATE,
     "a row per report, as .jsonl or .csv (without\nmetrics that are tables)"},
    {OPT_JSON, "json", NULL, IN_EVALUATE, "print one JSON object"},
    {OPT_PROFILE, "profile", "[=FILE]", IN_TRAIN,
     "time each kernel, beside its floor; FILE: also a\n"
     "trace for Perfetto (compile with gradc --profile)"},
    {OPT_QUIET, "quiet", NULL, IN_TRAIN, "print errors only"},
    {OPT_ALL, "all", NULL, IN_GRADCHECK, "check every element of every parameter"},
    {OPT_SAMPLES, "samples", "N", IN_GRADCHECK, "elements checked of each parameter (100)"},
    {OPT_TOLERANCE, "tolerance", "X", IN_GRADCHECK, "largest relative error (1e-5)"},
    {OPT_HELP, "help", NULL, IN_DATA | IN_INFO | IN_GENERATE, "this help"},
    {OPT_VERSION, "version", NULL, IN_DATA | IN_INFO | IN_GENERATE, "the version"},
};

#define ROW_COUNT (sizeof rows / sizeof *rows)

/* ---- help -------------------------------------------------------------------------------------------- */

static void print_usage(const char *program)
{
    printf("Usage: %s COMMAND [OPTION]…\n\nCommands:\n", program);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].summary);
    printf("\n%s COMMAND --help lists a command's options.\n", program);
}

static void print_row(const OptionRow *r)
{
    char left[64];
    bool optional = r->value && r->value[0] == '[' && r->value[1] == '=';
    snprintf(left, sizeof left, "--%s%s%s", r->name, r->value && !optional ? " " : "",
             r->value ? r->value : "");
    const char *p = r->help;
    for (const char *start = left; *p; start = "") {
        size_t n = strcspn(p, "\n");
        printf("  %-32s %.*s\n", start, (int)n, p);
        p += n + (p[n] == '\n');
    }
}

static void print_help(const char *program, size_t command)
{
    printf("Usage: %s %s [OPTION]…\n%c%s.\n\nOptions:\n", program, commands[command].name,
           commands[command].summary[0] - 'a' + 'A', commands[command].summary + 1);
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (rows[i].commands & commands[command].bit)
            print_row(&rows[i]);
}

/* ---- values ------------------------------------------------------------------------------------------- */

static int usage_error(const char *program, const char *command, const char *text)
{
    fprintf(stderr, "%s: %s\nTry '%s%s%s --help'.\n", program, text, program, command ? " " : "",
            command ? command : "");
    return 2;
}

static bool read_count(const char *text, uint64_t least, uint64_t *out, const char **rest)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    *rest = end;
    return *text >= '0' && *text <= '9' && !errno && *out >= least;
}

static bool whole_count(const char *text, uint64_t least, uint64_t *out)
{
    const char *rest;
    return read_count(text, least, out, &rest) && !*rest;
}

static bool read_number(const char *text, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return end != text && !*end && isfinite(*out);
}

static bool read_save_every(Options *o, const char *text)
{
    const char *rest;
    uint64_t n;
    if (read_count(text, 1, &n, &rest) && strcmp(rest, "steps") == 0) {
        o->save_steps = n;
        return true;
    }
    return read_number(text, &o->save_seconds) && o->save_seconds >= 0;
}

static bool read_evaluate_every(Options *o, const char *text)
{
    const char *rest;
    o->has_evaluate_every = true;
    if (!read_count(text, 1, &o->evaluate_every, &rest))
        return false;
    o->evaluate_unit = strcmp(rest, "epochs") == 0  ? UNIT_EPOCHS
                       : strcmp(rest, "steps") == 0 ? UNIT_STEPS
                                                    : UNIT_GIVEN;
    return !*rest || o->evaluate_unit != UNIT_GIVEN;
}

static bool add_item(TextList *list, const char *item)
{
    list->items = realloc(list->items, sizeof *list->items * (size_t)(list->count + 1));
    if (!list->items)
        abort();
    list->items[list->count++] = item;
    return true;
}

static bool keep_text(const char **slot, const char *text)
{
    *slot = text;
    return *text != 0;
}

static bool take_value(Options *o, OptionId id, const char *text)
{
    switch (id) {
    case OPT_EPOCHS:
        return whole_count(text, 1, &o->epochs);
    case OPT_STEPS:
        return whole_count(text, 1, &o->steps);
    case OPT_BATCH:
        return whole_count(text, 1, &o->batch);
    case OPT_LR:
        o->has_lr = true;
        return read_number(text, &o->lr);
    case OPT_SET:
        return strchr(text, '=') && add_item(&o->sets, text);
    case OPT_SEED:
        o->has_seed = true;
        return whole_count(text, 0, &o->seed);
    case OPT_RESUME:
        o->resume = true;
        o->resume_path = text;
        return !text || *text;
    case OPT_INIT:
        return *text && add_item(&o->inits, text);
    case OPT_MAP:
        return keep_text(&o->map, text);
    case OPT_SAVE:
        return keep_text(&o->save, text);
    case OPT_SAVE_EVERY:
        return read_save_every(o, text);
    case OPT_EVALUATE_EVERY:
        return read_evaluate_every(o, text);
    case OPT_PATIENCE:
        o->has_patience = true;
        return whole_count(text, 0, &o->patience);
    case OPT_DATA:
        return *text && add_item(&o->data, text);
    case OPT_INPUT:
        return *text && add_item(&o->inputs, text);
    case OPT_OUTPUT:
        return keep_text(&o->output, text);
    case OPT_FORMAT:
        o->format = strcmp(text, "csv") == 0     ? FORMAT_CSV
                    : strcmp(text, "npy") == 0   ? FORMAT_NPY
                    : strcmp(text, "jsonl") == 0 ? FORMAT_JSONL
                                                 : FORMAT_BY_NAME;
        return o->format != FORMAT_BY_NAME;
    case OPT_ONLY:
        return keep_text(&o->only, text);
    case OPT_MODEL:
        return keep_text(&o->checkpoint, text);
    case OPT_DATA_DIR:
        return keep_text(&o->data_dir, text);
    case OPT_THREADS:
        return whole_count(text, 1, &o->threads) && o->threads <= 1024;
    case OPT_LOG:
        return keep_text(&o->log, text);
    case OPT_PROFILE:
        o->profile = true;
        o->trace = text;
        return !text || *text;
    case OPT_QUIET:
        o->quiet = true;
        return true;
    case OPT_JSON:
        o->json = true;
        return true;
    case OPT_ALL:
        o->all = true;
        return true;
    case OPT_SAMPLES:
        return whole_count(text, 1, &o->samples);
    case OPT_TOLERANCE:
        return read_number(text, &o->tolerance) && o->tolerance > 0;
    case OPT_PROMPT:
        o->prompt = text;
        return true;
    case OPT_LENGTH:
        return whole_count(text, 0, &o->length);
    case OPT_TEMPERATURE:
        return read_number(text, &o->temperature) && o->temperature >= 0;
    case OPT_TOP_K:
        return whole_count(text, 1, &o->top_k);
    case OPT_TOP_P:
        return read_number(text, &o->top_p) && o->top_p > 0 && o->top_p <= 1;
    case OPT_HELP:
    case OPT_VERSION:
        break;
    }
    return false;
}

/* ---- reading --------------------------------------------------------------------------------------------- */

static void make_getopt(struct option out[ROW_COUNT + 1], unsigned bit)
{
    size_t n = 0;
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (rows[i].commands & bit) {
            int has = !rows[i].value                                       ? no_argument
                      : rows[i].value[0] == '[' && rows[i].value[1] == '=' ? optional_argument
                                                                           : required_argument;
            out[n++] = (struct option){rows[i].name, has, NULL, (int)rows[i].id};
        }
    out[n] = (struct option){0};
}

static const OptionRow *row_of(int id)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if ((int)rows[i].id == id)
            return &rows[i];
    return NULL;
}

static int find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].name, name) == 0)
            return (int)i;
    return -1;
}

static int print_version(const char *program, const gradc_model *model)
{
    printf("%s (model %s of %s, compiled by gradc, ABI %u)\n", program, model->name, model->source,
           model->abi);
    return 0;
}

static int check(const Options *o, const gradc_model *model, const char *program)
{
    char text[160] = "";
    if (o->epochs && o->steps)
        snprintf(text, sizeof text, "--epochs and --steps exclude each other");
    if (o->batch > model->train->batch)
        snprintf(text, sizeof text,
                 "--batch is at most the compiled batch of %llu; "
                 "change it in %.60s and compile again",
                 (unsigned long long)model->train->batch, model->source);
    if (o->map && !o->inits.count)
        snprintf(text, sizeof text, "--map belongs to --init FILE");
    if (o->resume && o->inits.count)
        snprintf(text, sizeof text, "--init starts a training, and --resume goes on with one");
    if (strcmp(o->command, "predict") == 0 && o->inputs.count == 0)
        snprintf(text, sizeof text, "predict needs --input FILE");
    return *text ? usage_error(program, o->command, text) : -1;
}

static int read_options(Options *o, int argc, char **argv, const gradc_model *model, size_t command)
{
    const char *program = program_invocation_short_name;
    struct option table[ROW_COUNT + 1];
    char text[200];
    int id;
    make_getopt(table, commands[command].bit);
    optind = 0; /* tests read several command lines */
    while ((id = getopt_long(argc, argv, "h", table, NULL)) != -1) {
        if (id == 'h' || id == OPT_HELP) {
            print_help(program, command);
            return 0;
        }
        if (id == OPT_VERSION)
            return print_version(program, model);
        const OptionRow *row = row_of(id);
        if (!row) {
            fprintf(stderr, "Try '%s %s --help'.\n", program, o->command);
            return 2;
        }
        if (!take_value(o, row->id, optarg)) {
            snprintf(text, sizeof text, "--%s takes %s, not '%.80s'", row->name, row->value,
                     optarg ? optarg : "");
            return usage_error(program, o->command, text);
        }
    }
    if (optind < argc) {
        snprintf(text, sizeof text, "unexpected argument '%.80s'", argv[optind]);
        return usage_error(program, o->command, text);
    }
    return check(o, model, program);
}

int options_read(Options *o, int argc, char **argv, const gradc_model *model)
{
    const char *program = program_invocation_short_name, *name = argc > 1 ? argv[1] : "";
    *o = (Options){.save_seconds = 30, .tolerance = 1e-5, .samples = 100};
    o->prompt = "", o->length = 500, o->temperature = o->top_p = 1;
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_usage(program);
        return 0;
    }
    if (strcmp(name, "--version") == 0)
        return print_version(program, model);
    int command = find_command(name);
    if (command < 0) {
        char text[160];
        snprintf(text, sizeof text,
                 *name ? "there is no command '%.80s'"
                       : "say what to do: train, evaluate, predict, generate, gradcheck or info%s",
                 name);
        return usage_error(program, NULL, text);
    }
    o->command = commands[command].name;
    char **own = memory_get((size_t)argc, sizeof *own); /* getopt's messages begin with own[0] */
    memcpy(own, argv + 1, (size_t)(argc - 1) * sizeof *own);
    own[0] = program_invocation_short_name;
    int status = read_options(o, argc - 1, own, model, (size_t)command);
    free(own);
    return status;
}

void options_free(Options *o)
{
    free(o->sets.items);
    free(o->data.items);
    free(o->inputs.items);
    free(o->inits.items);
    *o = (Options){0};
}
