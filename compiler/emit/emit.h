/* The last floor, and the only one that knows LLVM: loop IR to objects, headers and programs. */
#ifndef GRADC_EMIT_H
#define GRADC_EMIT_H

#include "lower/lower.h"

/* Bytes at the start of an instance that are no tensor's: memory_place_tensors starts after them. */
enum { EMIT_HEADER_BYTES = 128 };

typedef struct EmitOptions {
    const char *target; /* triple, NULL: this machine                       */
    const char *cpu;    /* -mcpu=, NULL: generic for a target, "native" here */
    const char *features;
    int optimize;       /* 0 … 3 */
    bool debug;         /* -g */
    const char *prefix; /* of every symbol; NULL: the model's name          */
    bool profile;       /* kernels run through the instance's profile hook */
    bool freestanding;  /* everything but the descriptor's address is local */
    bool library_math;  /* an f32 model may call the C library in f64, as an f64 model always may */
} EmitOptions;

/* One scheduled program, ready to emit. */
typedef struct Compiled {
    Program *program;
    Schedule *schedules[ENTRY_COUNT]; /* NULL where the program has no such entry */
    uint64_t persistent_bytes;        /* header and tensors: what memory_place_tensors returned */
    uint64_t workspace_bytes;         /* the most of any entry                                  */
    uint64_t instance_bytes;          /* emit_layout's: both, each rounded up to 64             */
} Compiled;

/* Fills in the totals from program and schedules. */
void emit_layout(Compiled *c);

typedef struct EmitUnit EmitUnit; /* an LLVM module with all that it needs */

/* The block that a kernel's `arguments` point to. */
typedef struct EmitArguments {
    uint64_t examples; /* given to this call */
    uint64_t seed;
    uint64_t step;            /* updates done before this one                       */
    uint64_t draws;           /* the step that random numbers see                   */
    double scale;             /* gradient()                                         */
    uint64_t first;           /* gradient()                                         */
    uint64_t summed_examples; /* finish()                                 */
    uint64_t time;            /* the step of a recurrence                 */
    uint64_t site;            /* the first of the kernel's random numbers */
    void *operands[];
} EmitArguments;

/* ---- target.c ------------------------------------------------------------------------------------------ */
/* What vectors the target has; false and a message in *error when there is no such target. */
bool emit_lane_model(const EmitOptions *o, LaneModel *lanes, const char **error, Arena *a);

/* ---- points.c, unit.c, descriptor.c ----------------------------------------------------------------------- */
/* Builds the module of one program: kernels (equal ones once), entry points, descriptor. */
EmitUnit *emit_build(const Compiled *c, const EmitOptions *o, const LaneModel *lanes);
/* A module of bare kernels by name, each a gradc_kernel that takes EmitArguments: for tests. */
EmitUnit *emit_kernels(LoopKernel *const *kernels, const char *const *names, int count, DType real,
                       const Sources *sources, const EmitOptions *o, const LaneModel *lanes,
                       Arena *a);
void emit_dispose(EmitUnit *u);
/* Adds the second model of a trainer (its f64 twin for gradcheck) and a main() that calls
 * gradrt_main with both; NULL: none. */
void emit_add_main(EmitUnit *u, const EmitUnit *checked);

/* ---- object.c --------------------------------------------------------------------------------------------- */
void emit_optimize(EmitUnit *u);
/* Each writes whole files or nothing; false and a message in *error otherwise. */
bool emit_write_llvm(EmitUnit *u, const char *path, const char **error); /* "-" : stdout */
bool emit_write_assembly(EmitUnit *u, const char *path, const char **error);
bool emit_write_object(EmitUnit *u, const char *path, const char **error);

/* ---- header.c --------------------------------------------------------------------------------------------- */
void emit_header(Text *out, const Compiled *c, const EmitOptions *o);

/* ---- link.c ----------------------------------------------------------------------------------------------- */
/* `train` says which data sources the program may open. */
bool emit_link(const char *const *objects, int count, const Train *train, const char *output,
               const char **error, Arena *a);

/* ---- jit.c ------------------------------------------------------------------------------------------------ */
typedef struct Jit Jit;
/* Optimised code in this process; NULL and a message in *error when that fails. */
Jit *jit_create(EmitUnit *const *units, int count, const char **error);
void *jit_symbol(Jit *j, const char *name); /* NULL: none of that name */
void jit_dispose(Jit *j);

/* ---- run.c ------------------------------------------------------------------------------------------------ */
/* `gradc run`: compiles in memory and calls gradrt_main; returns its exit status. */
int emit_run(EmitUnit *u, EmitUnit *checked, int argc, char **argv);

#endif
