/* What the files of this floor share.  Only they see an LLVM handle. */
#ifndef GRADC_EMIT_INTERNAL_H
#define GRADC_EMIT_INTERNAL_H

#include "emit/emit.h"
#include "functions/functions.h"

#include <llvm-c/Core.h>
#include <llvm-c/DebugInfo.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>

/* ---- map.c: pointers to pointers, in the arena --------------------------------------------------- */

typedef struct PointerMap {
    Arena *arena;
    const void **keys;
    void **values;
    int count, capacity; /* a power of two */
} PointerMap;

void map_init(PointerMap *m, Arena *a);
void map_clear(PointerMap *m);
void *map_get(const PointerMap *m, const void *key);
void map_set(PointerMap *m, const void *key, void *value);

/* ---- target.c -------------------------------------------------------------------------------------- */

/* What the code generator makes of an operation: found by asking it. */
typedef struct TargetFacts {
    bool fma;             /* one instruction, not a call                                 */
    bool rounding;        /* floor, ceil and round-to-even are instructions              */
    bool ordered_maximum; /* llvm.maximum is an instruction: NaN if either operand is    */
    int vector_bytes, vector_registers;
    int masked_bytes; /* a row of elements of so many bytes or more is loaded under a mask in one instruction */
    bool matrix_tiles; /* LaneModel's */
} TargetFacts;

LLVMTargetMachineRef target_machine(const EmitOptions *o, const char **error, Arena *a);
/* Asked of a machine once; kept for the life of `a`. */
const TargetFacts *target_facts(LLVMTargetMachineRef machine, Arena *a);

/* ---- matrix.c: the processor's matrix tiles ---------------------------------------------------------- */

enum { TILES = 8, TILE_ROW_BYTES = 64, TILE_BYTES = TILE_LINES * TILE_ROW_BYTES };

/* Does this system let this process use them? */
bool matrix_is_permitted(void);
/* All eight have 16 rows of 64 bytes from the one to the other, on the thread that gets there. */
void matrix_configure(EmitUnit *u);
void matrix_release(EmitUnit *u);

/* ---- subnormal.c ----------------------------------------------------------------------------------- */

/* From here on they become 0; the result is for `subnormals_restore`, which takes NULL, too. */
LLVMValueRef subnormals_flush(EmitUnit *u);
void subnormals_restore(EmitUnit *u, LLVMValueRef before);

/* ---- unit.c: a module and the shorthands that building in it takes --------------------------------- */

typedef struct KernelCode {
    const char *text; /* what loop_print says: the key */
    LLVMValueRef function;
} KernelCode;

struct EmitUnit {
    Arena *arena;
    EmitOptions options;
    LaneModel lanes;
    const TargetFacts *facts;
    const Compiled *compiled; /* NULL: bare kernels */
    const Sources *sources;
    DType real;
    const char *prefix;
    LLVMContextRef context;
    LLVMModuleRef module;
    LLVMBuilderRef builder;
    LLVMTargetMachineRef machine;
    LLVMTargetDataRef layout;
    LLVMTypeRef void_type, i1, i8, i16, i32, i64, size, f32, f64, pointer;
    LLVMTypeRef kernel_type, arguments_type; /* gradc_kernel; EmitArguments */
    VEC(KernelCode) kernels;
    LLVMValueRef descriptor;
    LLVMValueRef tile_shapes; /* what matrix_configure loads, once made */
    LLVMDIBuilderRef debug;   /* NULL without -g */
    LLVMMetadataRef debug_file, debug_unit, debug_signature;
    LLVMMetadataRef *debug_files; /* per source, made when first met */
    bool is_x86;
    bool optimized;
};

EmitUnit *unit_create(const EmitOptions *o, const LaneModel *lanes, DType real,
                      const Sources *sources, const char *name, Arena *a);
/* Dies with LLVM's message when the module is not well formed: our own fault. */
void unit_verify(EmitUnit *u);
LLVMValueRef unit_function(EmitUnit *u, const char *name, LLVMTypeRef type, bool exported);
void unit_keep_apart(EmitUnit *u, LLVMValueRef function); /* it is never inlined */
LLVMBasicBlockRef unit_block(EmitUnit *u, LLVMValueRef function, const char *name);
LLVMValueRef unit_intrinsic(EmitUnit *u, const char *name, LLVMTypeRef *types, int type_count,
                            LLVMValueRef *args, int arg_count);
LLVMValueRef unit_i64(EmitUnit *u, int64_t value);
/* After `done` updates: does what comes once in `every` come with the next? */
LLVMValueRef unit_is_due(EmitUnit *u, LLVMValueRef done, int64_t every);
LLVMValueRef unit_i32(EmitUnit *u, int value);
LLVMValueRef unit_size(EmitUnit *u, uint64_t bytes);                      /* as a size_t */
LLVMValueRef unit_offset(EmitUnit *u, LLVMValueRef base, uint64_t bytes); /* base + constant */
LLVMValueRef unit_element(EmitUnit *u, LLVMTypeRef type, LLVMValueRef base,
                          LLVMValueRef index); /* base + index elements */
LLVMValueRef unit_string(EmitUnit *u, const char *text);
LLVMValueRef unit_constant_global(EmitUnit *u, const char *name, LLVMValueRef initial);
LLVMTypeRef unit_memory_type(EmitUnit *u, DType t);  /* in memory: bool is a byte          */
LLVMTypeRef unit_lane_type(EmitUnit *u, DType t);    /* in registers: i1, i32, f32 or f64  */
LLVMTypeRef unit_widen(LLVMTypeRef lane, int width); /* a vector, or the lane itself for 1 */
/* In the entry block of the function being built, where the optimiser turns it into values. */
LLVMValueRef unit_alloca(EmitUnit *u, LLVMTypeRef type);
LLVMValueRef unit_call(EmitUnit *u, LLVMValueRef function, LLVMValueRef *args, int count);

/* ---- math_builder.c ---------------------------------------------------------------------------------- */

typedef struct MathContext {
    EmitUnit *unit;
    int width; /* lanes; 1: a scalar */
} MathContext;

void math_builder_init(MathBuilder *b, MathContext *c, bool real64);
LLVMValueRef value_splat(EmitUnit *u, LLVMValueRef v, int width); /* a vector passes unchanged */
bool value_is_vector(LLVMValueRef v);
LLVMValueRef value_later(EmitUnit *u, LLVMValueRef a, LLVMValueRef b);  /* the larger integer  */
LLVMValueRef value_sooner(EmitUnit *u, LLVMValueRef a, LLVMValueRef b); /* the smaller one     */
LLVMValueRef value_lanes_below(EmitUnit *u, LLVMValueRef count, int width); /* count: 0 … width */
int value_width(LLVMValueRef v);                          /* its lanes; 1: a scalar */
LLVMTypeRef value_lane(LLVMValueRef v);                   /* the type of one         */
LLVMTypeRef value_like(LLVMValueRef v, LLVMTypeRef lane); /* of the same number of lanes */
/* A function of the C library. */
MathValue math_library(MathBuilder *b, const char *name, MathValue const *args, int count);
/* x*y + z: fused where the target does that in one instruction. */
LLVMValueRef value_multiply_add(EmitUnit *u, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z);

/* ---- kernel.c: one LLVM function for one LoopKernel --------------------------------------------------- */

/* A condition under which an expression is evaluated, beside the loop's own mask. */
typedef struct Guard {
    const struct Guard *outer;
    LLVMValueRef truth;   /* the condition that this guard adds …   */
    bool holds;           /* … and whether it or its negation holds */
    LLVMValueRef uniform; /* all conditions that no lane varies: i1, or NULL: none */
    LLVMValueRef lanes;   /* all others, with the loop's mask: a vector, or NULL   */
    PointerMap memo;      /* what has been evaluated under it                      */
} Guard;

typedef struct Register {
    LLVMValueRef scalar, vector; /* allocas, made when first used */
    int vector_width;
} Register;

/* What a register is inside the vector loop being emitted. */
typedef enum { LOCAL_UNIFORM, LOCAL_VARYING, LOCAL_FOLDED } LocalState;

typedef struct IndexBinding {
    const Index *index;
    LLVMValueRef value; /* i64; of the vector index: its value in lane 0 */
    int64_t step;       /* it counts 0, step, 2*step …; 0: who knows      */
} IndexBinding;

enum { BINDINGS = 64 };

/* The fields of EmitArguments. */
enum {
    ARGUMENT_EXAMPLES,
    ARGUMENT_SEED,
    ARGUMENT_STEP,
    ARGUMENT_DRAWS,
    ARGUMENT_SCALE,
    ARGUMENT_FIRST,
    ARGUMENT_SUMMED,
    ARGUMENT_TIME,
    ARGUMENT_SITE,
    ARGUMENT_FIELDS,
    ARGUMENT_OPERANDS = ARGUMENT_FIELDS
};

typedef struct KernelBuilder {
    EmitUnit *u;
    const LoopKernel *kernel;
    LLVMValueRef function, arguments, begin, end, scratch;
    LLVMBasicBlockRef entry;
    LLVMValueRef examples; /* n */
    LLVMValueRef fields[ARGUMENT_FIELDS];
    LLVMValueRef *operands; /* pointers, by slot */
    Register *registers;
    IndexBinding bindings[BINDINGS];
    int binding_count;
    /* the vector loop, if inside one */
    const Index *lane_index;
    int width;         /* 1 outside */
    int64_t lane_step; /* what divides its value in lane 0 */
    LLVMValueRef mask; /* NULL: every lane */
    LocalState *locals;
    /* the statement */
    PointerMap memo;
    VEC(Guard *) guards;
    PointerMap loads; /* which expressions read memory */
    LLVMMetadataRef debug_scope;
} KernelBuilder;

LLVMValueRef kernel_emit(EmitUnit *u, const LoopKernel *k, const char *name, bool exported);
/* The same, unless an equal one is there. */
LLVMValueRef kernel_emit_once(EmitUnit *u, const LoopKernel *k, const char *name);
void kernel_statements(KernelBuilder *kb, const LoopList *list);
void kernel_bind(KernelBuilder *kb, const Index *ix, LLVMValueRef value, int64_t step);
LLVMValueRef kernel_loop_end(KernelBuilder *kb, const Loop *l, LLVMValueRef begin);
/* A vector loop from begin to end, or a scalar one where lanes cannot be taken together. */
void kernel_vector(KernelBuilder *kb, const Loop *l, LLVMValueRef begin, LLVMValueRef end);
/* The largest value of a loop's begin. */
int64_t kernel_latest(const KernelBuilder *kb, const Affine *begin);
/* A counted loop: positions the builder in its body and binds the counter. */
typedef struct CountedLoop {
    LLVMBasicBlockRef header, body, exit;
    LLVMValueRef counter, step;
} CountedLoop;
CountedLoop loop_open(KernelBuilder *kb, LLVMValueRef begin, LLVMValueRef end, int64_t step,
                      const char *name);
void loop_close(KernelBuilder *kb, CountedLoop *l, bool unrollable);

/* ---- lanes.c: vector loops: what varies in them, and whether lanes may be taken together -------------- */

/* Fills kb->locals for the body; false when iterations depend on each other or loop differently. */
bool vector_analyze(KernelBuilder *kb, const Loop *loop);
int vector_width(const KernelBuilder *kb, const Loop *loop);

/* ---- offset.c: affine expressions --------------------------------------------------------------------- */

/* base + stride*lane + lanes[lane] */
typedef struct Offset {
    LLVMValueRef base; /* i64 */
    int64_t stride;
    LLVMValueRef lanes; /* vector of i32, or NULL */
} Offset;

Offset offset_affine(KernelBuilder *kb, const Affine *a);
bool affine_varies(const KernelBuilder *kb, const Affine *a);
/* What is known to divide each value, of lane 0; 0: it is always 0. */
int64_t offset_divisor(const KernelBuilder *kb, const Affine *a);
LLVMValueRef offset_scalar(KernelBuilder *kb, const Affine *a); /* i64 of what does not vary */
bool offset_varies(const Offset *o);
LLVMValueRef offset_lanes(KernelBuilder *kb, const Offset *o,
                          bool wide); /* without base; i32 or i64 lanes */
LLVMValueRef offset_value(KernelBuilder *kb,
                          const Affine *a); /* as an i32 number, or lanes of it */
LLVMValueRef offset_test(KernelBuilder *kb, TestKind test, const Affine *a);
LLVMValueRef extent_value(KernelBuilder *kb, const Index *ix); /* i64, at run time */

/* ---- memory.c: loads and stores ----------------------------------------------------------------------- */

LLVMValueRef memory_load(KernelBuilder *kb, const Expr *load, const Guard *g);
/* A vector of what lies there, of the mask's lanes; NULL: of all. */
LLVMValueRef memory_load_row(KernelBuilder *kb, LLVMTypeRef row, LLVMValueRef at, LLVMValueRef mask,
                             int align);
LLVMValueRef memory_store_row(KernelBuilder *kb, LLVMValueRef v, LLVMValueRef at, LLVMValueRef mask,
                              int align);
void memory_store(KernelBuilder *kb, const Loop *store);
void memory_add(KernelBuilder *kb, const Loop *add);
void memory_ask(KernelBuilder *kb, const Loop *ask);
/* Brings the line near, into the first cache or only the second. */
void memory_prefetch(EmitUnit *u, LLVMValueRef at, bool first);
LLVMValueRef buffer_pointer(KernelBuilder *kb, const Buffer *b);
/* Where the element is, at an offset that does not vary. */
LLVMValueRef buffer_element(KernelBuilder *kb, const Buffer *b, const Affine *offset);

/* ---- value.c: scalar expressions ---------------------------------------------------------------------- */

void value_begin_statement(KernelBuilder *kb);
LLVMValueRef value_of(KernelBuilder *kb, const Expr *e, const Guard *g);
LLVMValueRef value_convert(KernelBuilder *kb, LLVMValueRef v,
                           DType to); /* to the lanes of a type */
/* combine(old, value), the product in `value` fused into a sum. */
LLVMValueRef value_combine(KernelBuilder *kb, const Reduction *r, DType type, LLVMValueRef old,
                           const Expr *value);
LLVMValueRef value_fold(KernelBuilder *kb, const Reduction *r, DType type, LLVMValueRef lanes);
LLVMValueRef value_merge(KernelBuilder *kb, const Reduction *r, DType type, LLVMValueRef x,
                         LLVMValueRef y);
LLVMValueRef value_identity(KernelBuilder *kb, const Reduction *r, DType type);
LLVMValueRef local_read(KernelBuilder *kb, int local);
void local_write(KernelBuilder *kb, int local, LLVMValueRef v);
LLVMValueRef local_lanes(KernelBuilder *kb, int local); /* the alloca that holds its lanes */

/* ---- tile.c -------------------------------------------------------------------------------------------- */

void tile_emit(KernelBuilder *kb, const Loop *tile);
/* So many values of the depth there are. */
LLVMValueRef tile_depth(KernelBuilder *kb, const Loop *tile);
/* Those of them, from *begin to *end, outside of which the tile's limits leave nothing. */
void tile_limits(KernelBuilder *kb, const Loop *tile, LLVMValueRef *begin, LLVMValueRef *end);

/* ---- dots.c -------------------------------------------------------------------------------------------- */

void dots_emit(KernelBuilder *kb, const Loop *tile);

/* ---- slices.c, matrix_tile.c: products of f32 on tiles that multiply bf16 ------------------------------------ */

/* The slices of a panel, a block of depth after another. */
typedef struct Slicer {
    KernelBuilder *kb;
    const Loop *loop;
    LLVMTypeRef row, bits;         /* sixteen f32; their bits                        */
    LLVMValueRef first_a, first_c; /* where both begin …                             */
    LLVMValueRef a, c;             /* … and the block does                           */
    LLVMValueRef depth, left;      /* the panel's; from the block on, NULL: all of it is there */
    LLVMValueRef lines;            /* that are there; NULL: all                      */
    LLVMValueRef step;             /* of the depth, where the block begins           */
} Slicer;

Slicer slicer_open(KernelBuilder *kb, const Loop *slice);
void slicer_go_to(Slicer *s, LLVMValueRef depth); /* the block there */
/* It is made of so many lines or steps, one by one. */
int slicer_units(const Slicer *s);
void slicer_unit(Slicer *s, LLVMValueRef unit);
void slices_emit(KernelBuilder *kb, const Loop *slice);
void matrix_tile_emit(KernelBuilder *kb, const Loop *tile);

/* ---- transpose.c --------------------------------------------------------------------------------------- */

/* Emits the serial loop if it copies rows to columns; false: it does something else. */
bool transpose_emit(KernelBuilder *kb, const Loop *outer, LLVMValueRef begin, LLVMValueRef end);

/* ---- entry.c: an entry point under construction ------------------------------------------------------------ */

/* The instance's first bytes; EMIT_HEADER_BYTES are kept for them. */
typedef enum {
    HEADER_MAGIC = 0,
    HEADER_SEED = 8,
    HEADER_STEP = 16,     /* updates done                                              */
    HEADER_DRAWS = 24,    /* the step that random numbers see: one for each gradient    */
    HEADER_PARALLEL = 32, /* gradc_parallel_for *, or NULL                             */
    HEADER_POOL = 40,
    HEADER_THREADS = 48,
    HEADER_PROFILE = 56, /* gradc_profile *, or NULL; looked at by `gradc --profile` alone */
} HeaderField;

typedef struct Code {
    LoopKernel *loops;
    LLVMValueRef function;
    LLVMValueRef chain; /* of the first of a chain: runs a group of all of it; or NULL */
    int64_t calls;      /* of the function, for a group                                */
} Code;

typedef struct Entries {
    EmitUnit *u;
    const Program *program;
    Code *codes[ENTRY_COUNT]; /* by kernel */
    int most_operands;
    uint64_t scratch_bytes;
    LLVMValueRef run, finite32, finite64;
    LLVMValueRef profiled;   /* what runs every kernel, or NULL */
    LLVMValueRef permission; /* what asks for matrix tiles, or NULL: no kernel uses them */
} Entries;

/* An entry point under construction. */
typedef struct Entry {
    Entries *es;
    EmitUnit *u;
    EntryKind kind;
    const Schedule *s;                                         /* NULL: it runs no kernels */
    LLVMValueRef function, instance, inputs, outputs, sums, n; /* n: i64 */
    LLVMTypeRef block_type;
    LLVMValueRef block;  /* EmitArguments with room for every kernel's operands */
    LLVMValueRef blocks; /* several, one after the other, for the kernels of a chain; or NULL */
} Entry;

/* A function of the object, without an instance or a schedule. */
Entry entry_function(Entries *es, const char *name, LLVMTypeRef result, LLVMTypeRef *params,
                     int count);
/* One that takes the instance first and runs the kernels of an entry. */
Entry entry_open(Entries *es, EntryKind kind, const char *name, LLVMTypeRef result,
                 LLVMTypeRef *params, int count);
LLVMValueRef entry_finish(Entry *e);
LLVMValueRef entry_number64(Entry *e, LLVMValueRef size);
LLVMValueRef entry_header(Entry *e, HeaderField field); /* its address */
LLVMValueRef entry_header_load(Entry *e, HeaderField field);
void entry_header_store(Entry *e, HeaderField field, LLVMValueRef v);
LLVMTypeRef entry_block_type(Entries *es);
/* The block that kernels are given; fields that an entry point does not set are zero. */
void entry_block(Entry *e);
void entry_argument(Entry *e, int field, LLVMValueRef v);
LLVMValueRef entry_pointers(Entry *e, int count);
LLVMValueRef entry_pointer_at(Entry *e, LLVMValueRef array, int slot);
/* Where a node lies: *n becomes the one that a view is of. */
const Place *entry_place(const Schedule *s, const Node **n);
LLVMValueRef entry_address(Entry *e, const Node *n);
LLVMValueRef entry_buffer(Entry *e, const Buffer *b);
bool entry_reads_port(const Schedule *s, const Port *p);
int64_t port_elements(const Port *p);
LLVMValueRef entry_result(Entry *e, const Node *n); /* a number, as a double */
/* sums[slot …] += the result's elements, or values[slot …] = them. */
void entry_store_results(Entry *e, ResultRole role, LLVMValueRef array);
/* Leaves with `result` (NULL: nothing) unless `truth` holds. */
void entry_leave_unless(Entry *e, LLVMValueRef truth, LLVMValueRef result);
LLVMValueRef entry_is_finite(EmitUnit *u, LLVMValueRef v);
/* The arguments that every call with examples begins with; with none or too many, `refused` is
 * returned and nothing done. */
void entry_take_examples(Entry *e, LLVMValueRef refused);

/* ---- chain.c: kernels in one go, group by group ---------------------------------------------------------------- */

void chain_emit(Entries *es); /* makes their functions */
/* Does the operand lie in the chain's scratch? */
bool chain_holds(const Schedule *s, const Buffer *b);
void chain_run_kernels(Entry *e, int from, int to);

/* ---- matrix.c: the processor's matrix tiles ------------------------------------------------------------------- */

void matrix_emit(Entries *es); /* makes the function that asks for them */
void matrix_ask(Entry *e);     /* calls it where a kernel of the entry uses them */

/* ---- dispatch.c: the kernels, lowered once and run in order -------------------------------------------------- */

void dispatch_lower(Entries *es);
LLVMValueRef dispatch_iterations(Entry *e, const LoopKernel *k); /* of the outermost loop */
void dispatch_arguments(Entry *e, const LoopKernel *k); /* fills the block for the kernel */
void dispatch_run(Entries *es); /* makes the function that parallel kernels go through */
/* Runs a function of kernel `number`, on the caller's thread or shared. */
void dispatch_call(Entry *e, int number, LLVMValueRef function, LLVMValueRef arguments,
                   LLVMValueRef count, bool serial);
void entry_run_kernel(Entry *e, int number);
void entry_run_kernels(Entry *e, int from, int to);
/* The kernels of the recurrence, or the chain, that number `from` is part of end before this one. */
int entry_past_run(const Entry *e, int from, int to);
/* What the most demanding of all kernels asks for. */
typedef struct Needs {
    uint64_t scratch_bytes; /* per thread */
    bool matrix_tiles;
} Needs;
Needs entry_needs(const Compiled *c, const LaneModel *lanes);

/* ---- instance.c ---------------------------------------------------------------------------------------------- */

enum { EMIT_ALIGNMENT = 64 };
uint64_t emit_align(uint64_t bytes);
/* The first random step of an update: a function of the update's number alone, so that a
 * resumed run draws what the undisturbed one would have. */
LLVMValueRef entry_first_draw(Entry *e, LLVMValueRef step);
void entry_count_update(Entry *e);
LLVMValueRef instance_bytes(Entries *es);
LLVMValueRef instance_init(Entries *es);
LLVMValueRef instance_threads(Entries *es);
LLVMValueRef instance_get_step(Entries *es);
LLVMValueRef instance_set_step(Entries *es);

/* ---- diagnose.c, generate.c ---------------------------------------------------------------------------------- */

LLVMValueRef diagnose_emit(Entries *es, EntryKind kind);
LLVMValueRef generate_emit(Entries *es);

/* ---- points.c, descriptor.c, wrapper.c ----------------------------------------------------------------------- */

/* The functions of the descriptor; NULL where the program has none. */
typedef struct EntryPoints {
    LLVMValueRef bytes, init, threads, step, gradient, update, loss, evaluate, finish, predict,
        generate, fit, fitted, diagnose, get_step, set_step;
    LLVMValueRef profile, peak, read, kernels; /* of `gradc --profile` alone */
    int kernel_count;
    uint64_t scratch_bytes; /* per thread */
    bool matrix_tiles;      /* some kernel uses them */
} EntryPoints;

EntryPoints entry_points(EmitUnit *u);

/* ---- profile.c: with `gradc --profile` alone ------------------------------------------------------------ */

void profile_run(Entries *es); /* makes the function that all kernels go through */
void profile_call(Entry *e, int kernel, LLVMValueRef function, LLVMValueRef arguments,
                  LLVMValueRef count, bool serial);
void profile_points(Entries *es, EntryPoints *p);

/* ---- descriptor.c, wrapper.c ---------------------------------------------------------------------------- */

void descriptor_emit(EmitUnit *u, const EntryPoints *e);
void wrappers_emit(EmitUnit *u, const EntryPoints *e);
/* A port's name as a parameter of a C function. */
const char *c_parameter(Arena *a, const char *name);

/* ---- debug.c --------------------------------------------------------------------------------------------- */

void debug_open(EmitUnit *u, const char *source_file);
void debug_close(EmitUnit *u);
void debug_function(KernelBuilder *kb, const char *name, Span span);
void debug_entry(EmitUnit *u, LLVMValueRef function, const char *name);
void debug_place(KernelBuilder *kb, Span span);

/* ---- object.c --------------------------------------------------------------------------------------------- */

/* The optimised object in memory; the caller disposes of it. */
LLVMMemoryBufferRef object_buffer(EmitUnit *u, const char **error);

#endif
