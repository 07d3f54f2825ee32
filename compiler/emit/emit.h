/* The last floor, and the only one that knows LLVM: loop IR to objects, headers and programs. */
#ifndef GRADC_EMIT_H
#define GRADC_EMIT_H

#include "lower/lower.h"

typedef struct EmitOptions {
    const char *target; /* triple, NULL: this machine                       */
    const char *cpu;    /* -mcpu=, NULL: generic for a target, "native" here */
    const char *features;
    int optimize;       /* 0 … 3 */
    bool debug;         /* -g */
    const char *prefix; /* of every symbol; NULL: the model's name          */
    bool freestanding;  /* everything but the descriptor's address is local */
    bool library_math;  /* f64 code may call the C library                  */
} EmitOptions;

/* One scheduled program, ready to emit. */
typedef struct Compiled {
    Program *program;
    Schedule *schedules[ENTRY_COUNT]; /* NULL where the program has no such entry */
    uint64_t instance_bytes, persistent_bytes, workspace_bytes;
} Compiled;

typedef struct EmitUnit EmitUnit; /* an LLVM module with all that it needs */

/* ---- target.c ------------------------------------------------------------------------------------------ */
/* What vectors the target has; false and a message in *error when there is no such target. */
bool emit_lane_model(const EmitOptions *o, LaneModel *lanes, const char **error, Arena *a);

/* ---- llvm.c, entry.c, descriptor.c ----------------------------------------------------------------------- */
/* Builds the module of one program: kernels (equal ones once), entry points, descriptor. */
EmitUnit *emit_build(const Compiled *c, const EmitOptions *o, const LaneModel *lanes);
void emit_dispose(EmitUnit *u);
/* Adds the second model of a trainer (its f64 twin for gradcheck) and a main() that calls
 * gradrt_main with both; NULL: none. */
void emit_add_main(EmitUnit *u, const EmitUnit *checked);

/* ---- object.c --------------------------------------------------------------------------------------------- */
void emit_optimize(EmitUnit *u);
/* Each writes whole files or nothing; false and a message in *error otherwise. */
bool emit_write_llvm(EmitUnit *u, const char *path, const char **error);     /* "-" : stdout */
bool emit_write_assembly(EmitUnit *u, const char *path, const char **error);
bool emit_write_object(EmitUnit *u, const char *path, const char **error);

/* ---- header.c --------------------------------------------------------------------------------------------- */
void emit_header(Text *out, const Compiled *c, const EmitOptions *o);

/* ---- link.c ----------------------------------------------------------------------------------------------- */
bool emit_link(const char *const *objects, int count, const char *output, const char **error, Arena *a);

/* ---- jit.c ------------------------------------------------------------------------------------------------ */
/* `gradc run`: compiles in memory and calls gradrt_main; returns its exit status. */
int emit_run(EmitUnit *u, EmitUnit *checked, int argc, char **argv);

#endif
