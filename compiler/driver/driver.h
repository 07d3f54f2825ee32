/* The command line and the order of the passes. */
#ifndef GRADC_DRIVER_H
#define GRADC_DRIVER_H

#include "emit/emit.h"
#include "functions/functions.h"
#include "opt/opt.h"
#include "sema/sema.h"

/* ---- options.c ------------------------------------------------------------------------------------ */

typedef enum {
    COMMAND_COMPILE,
    COMMAND_RUN,
    COMMAND_CHECK,
    COMMAND_FORMAT,
    COMMAND_LIBRARY
} Command;

typedef struct EmitKind EmitKind;

typedef struct Options {
    Command command;
    const char *input;
    const char *output;
    const EmitKind *emit; /* what to write; the program by default */
    const char *model;
    const char *library_name;
    uint64_t max_memory; /* 0: any */
    Rates rates;         /* of the machine, for floors; 0: not given */
    bool explain, json, in_place;
    int colour; /* 0 never, 1 always, -1 on a terminal */
    EmitOptions code;
    char **trainer; /* `run`: what follows `--` */
    int trainer_count;
} Options;

/* Exits after --help and --version (0) and after a wrong command line (2). */
Options command_line_read(Arena *a, int argc, char **argv);

/* ---- pipeline.c ----------------------------------------------------------------------------------- */

typedef struct Compilation {
    Arena *arena;
    SyntaxContext syntax;
    Options *options;
    Ast *file;
    Sema *sema;
    OptLog log;
    LaneModel lanes;
} Compilation;

/* Reads and parses the input; false after errors. */
bool compile_parse(Compilation *c);
/* The training graph with its gradients, simplified or not yet differentiated. */
Graph *compile_gradient(Compilation *c, bool differentiate);
/* The same model in inference mode, where that differs; NULL where it does not. */
Graph *compile_inference(Compilation *c);
/* All entry points scheduled and laid out; NULL after errors. */
Compiled *compile_program(Compilation *c);
/* Those alone that a trainer calls: where each step makes an update, no gradient outlives it. */
Compiled *compile_trainer(Compilation *c);
/* The f64 twin that `gradcheck` uses: init, gradient and loss only. */
Compiled *compile_checked(Compilation *c);

/* ---- show.c: one row for every --emit kind --------------------------------------------------------- */

struct EmitKind {
    const char *name, *doc;
    const char *suffix; /* of the output file; NULL: printed to standard output */
    int (*run)(Compilation *c);
};

int emit_kind_count(void);
const EmitKind *emit_kind_at(int i);
const EmitKind *emit_kind_find(const char *name);
/* Text to -o, or to standard output. */
int write_text(Compilation *c, const Text *t);
/* In memory, then trained: `gradc run`. */
int run_program(Compilation *c);

/* ---- dot.c ------------------------------------------------------------------------------------------- */

/* The graph in Graphviz's language: a box a node, an arrow an access. */
void graph_dot(Text *out, const Graph *g);

#endif
