/* The machine to compile for, and what it can do.  LLVM's C interface does not tell what a CPU's
 * features mean, so the code generator is asked: a few operations are compiled, and what comes
 * out is read. */
#include "emit/internal.h"

#include <limits.h>
#include <llvm-c/Error.h>
#include <llvm-c/IRReader.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <string.h>
#include <unistd.h>

static void initialize_targets(bool all)
{
    static bool native_done, all_done;
    if (!native_done) {
        LLVMInitializeNativeTarget();
        LLVMInitializeNativeAsmPrinter();
        LLVMInitializeNativeAsmParser();
        native_done = true;
    }
    if (all && !all_done) {
        LLVMInitializeAllTargetInfos();
        LLVMInitializeAllTargets();
        LLVMInitializeAllTargetMCs();
        LLVMInitializeAllAsmPrinters();
        LLVMInitializeAllAsmParsers();
        all_done = true;
    }
}

/* LLVM's own strings are freed here; ours live in the arena. */
static const char *take_message(Arena *a, char *message)
{
    const char *copy = arena_format(a, "%s", message);
    LLVMDisposeMessage(message);
    return copy;
}

static LLVMCodeGenOptLevel level(int optimize)
{
    static const LLVMCodeGenOptLevel levels[] = {LLVMCodeGenLevelNone, LLVMCodeGenLevelLess,
                                                 LLVMCodeGenLevelDefault,
                                                 LLVMCodeGenLevelAggressive};
    return levels[optimize < 0 ? 0 : optimize > 3 ? 3 : optimize];
}

/* "native" and the absence of a target mean this machine. */
static void choose_cpu(const EmitOptions *o, const char **cpu, const char **features, Arena *a)
{
    bool host = o->cpu ? !strcmp(o->cpu, "native") : !o->target;
    *cpu = host ? take_message(a, LLVMGetHostCPUName()) : o->cpu ? o->cpu : "";
    *features = host ? take_message(a, LLVMGetHostCPUFeatures()) : "";
    if (strstr(*features, "+amx-tile") && !matrix_is_permitted())
        *features = arena_format(a, "%s,-amx-tile", *features);
    if (o->features && *o->features)
        *features = **features ? arena_format(a, "%s,%s", *features, o->features) : o->features;
}

LLVMTargetMachineRef target_machine(const EmitOptions *o, const char **error, Arena *a)
{
    initialize_targets(o->target != NULL);
    char *given = o->target ? LLVMNormalizeTargetTriple(o->target) : LLVMGetDefaultTargetTriple();
    const char *triple = take_message(a, given);
    LLVMTargetRef target;
    char *message = NULL;
    if (LLVMGetTargetFromTriple(triple, &target, &message)) {
        *error = take_message(a, message);
        return NULL;
    }
    if (!LLVMTargetHasTargetMachine(target) || !LLVMTargetHasAsmBackend(target)) {
        *error = arena_format(a, "LLVM makes no code for '%s'", triple);
        return NULL;
    }
    const char *cpu, *features;
    choose_cpu(o, &cpu, &features, a);
    bool fixed =
        !strncmp(triple, "wasm", 4) || strstr(triple, "-none-"); /* nothing there moves code */
    LLVMTargetMachineRef m =
        LLVMCreateTargetMachine(target, triple, cpu, features, level(o->optimize),
                                fixed ? LLVMRelocStatic : LLVMRelocPIC, LLVMCodeModelDefault);
    if (!m)
        *error = arena_format(a, "LLVM makes no code for '%s'", triple);
    return m;
}

/* ---- asking the code generator --------------------------------------------------------------------- */

/* questions.ll: a function for each question.  Labels of the assembly hold the function's number. */
extern const char emit_questions_text[];
enum { ASKED_BYTES = 3, ASKED_REALS };

static LLVMModuleRef read_questions(LLVMTargetMachineRef machine, const char *text)
{
    LLVMMemoryBufferRef buffer =
        LLVMCreateMemoryBufferWithMemoryRange(text, strlen(text), "questions.ll", true);
    LLVMModuleRef module;
    char *message = NULL;
    if (LLVMParseIRInContext(LLVMContextCreate(), buffer, &module, &message)) /* which owns it */
        bug("LLVM does not read the questions: %s", message);
    char *triple = LLVMGetTargetMachineTriple(machine);
    LLVMSetTarget(module, triple);
    LLVMDisposeMessage(triple);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(machine);
    LLVMSetModuleDataLayout(module, layout);
    LLVMDisposeTargetData(layout);
    return module;
}

static void dispose_questions(LLVMModuleRef module)
{
    LLVMContextRef context = LLVMGetModuleContext(module);
    LLVMDisposeModule(module);
    LLVMContextDispose(context);
}

/* The questions' assembly. */
static const char *answers(LLVMTargetMachineRef machine, Arena *a)
{
    LLVMModuleRef module = read_questions(machine, emit_questions_text);
    LLVMMemoryBufferRef buffer = NULL;
    char *message = NULL;
    const char *assembly = "";
    if (LLVMTargetMachineEmitToMemoryBuffer(machine, module, LLVMAssemblyFile, &message, &buffer))
        LLVMDisposeMessage(message);
    else
        assembly =
            arena_format(a, "%.*s", (int)LLVMGetBufferSize(buffer), LLVMGetBufferStart(buffer));
    if (buffer)
        LLVMDisposeMemoryBuffer(buffer);
    dispose_questions(module);
    return assembly;
}

/* A tile's instruction that the target lacks ends LLVM, so this question is the inliner's: it puts a
 * function into another only if the other's features are all that it needs. */
static const char matrix_question[] =
    "define internal void @needs() #0 { ret void }\n"
    "define void @has() { call void @needs() ret void }\n"
    "attributes #0 = { \"target-cpu\"=\"x86-64\" \"target-features\"=\"+amx-bf16,+avx512bf16\" }\n";

static bool has_matrix_tiles(LLVMTargetMachineRef machine, const char *triple)
{
    if (strncmp(triple, "x86_64", 6) || !strstr(triple, "linux") || strstr(triple, "x32"))
        return false;
    LLVMModuleRef module = read_questions(machine, matrix_question);
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef error = LLVMRunPasses(module, "inline", machine, options);
    LLVMDisposePassBuilderOptions(options);
    if (error)
        bug("LLVM's inliner: %s", LLVMGetErrorMessage(error));
    const bool inlined = !LLVMGetNamedFunction(module, "needs");
    dispose_questions(module);
    return inlined;
}

/* Without an instruction for it a branch is made for each lane: then there are labels. */
static bool has_branches(const char *assembly, int question, Arena *a)
{
    return strstr(assembly, arena_format(a, "BB%d_", question));
}

/* Registers by the instruction that an addition of sixteen f32 becomes. */
static const struct {
    const char *arch, *instruction;
    int bytes, registers;
} vectors[] = {
    {"x86_64", "%zmm", 64, 32},
    {"x86_64", "%ymm", 32, 16},
    {"x86_64", "%xmm", 16, 16},
    {"i", "%zmm", 64, 8},
    {"i", "%ymm", 32, 8},
    {"i", "%xmm", 16, 8},
    {"aarch64", "fadd\tv", 16, 32},
    {"arm64", "fadd", 16, 32},
    {"arm", "vadd.f32\tq", 16, 16},
    {"thumb", "vadd.f32\tq", 16, 8},
    {"wasm", "f32x4.add", 16, 16},
    {"riscv", "vfadd.vv", 16, 32},
    {"powerpc", "xvaddsp", 16, 64},
    {"powerpc", "vaddfp", 16, 32},
    {"s390x", "vfasb", 16, 32},
    {"loongarch", "xvfadd.s", 32, 32},
    {"loongarch", "vfadd.s", 16, 32},
};

static void find_vectors(TargetFacts *f, const char *triple, const char *assembly)
{
    f->vector_bytes = 4;
    f->vector_registers = 16;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        if (strncmp(triple, vectors[i].arch, strlen(vectors[i].arch)) ||
            !strstr(assembly, vectors[i].instruction))
            continue;
        f->vector_bytes = vectors[i].bytes;
        f->vector_registers = vectors[i].registers;
        return;
    }
}

const TargetFacts *target_facts(LLVMTargetMachineRef machine, Arena *a)
{
    TargetFacts *f = arena_new(a, TargetFacts, 1);
    char *triple = LLVMGetTargetMachineTriple(machine);
    const char *assembly = answers(machine, a);
    f->fma = !strstr(assembly, "fmaf");
    f->rounding = !strstr(assembly, "floorf");
    f->masked_bytes = !has_branches(assembly, ASKED_BYTES, a)   ? 1
                      : !has_branches(assembly, ASKED_REALS, a) ? 4
                                                                : INT_MAX;
    f->ordered_maximum = !strncmp(triple, "aarch64", 7) || !strncmp(triple, "arm64", 5) ||
                         !strncmp(triple, "wasm", 4);
    f->matrix_tiles = has_matrix_tiles(machine, triple);
    find_vectors(f, triple, assembly);
    LLVMDisposeMessage(triple);
    return f;
}

/* ---- for the lowering --------------------------------------------------------------------------------- */

static int cache_bytes(int name, int otherwise)
{
    long size = name >= 0 ? sysconf(name) : 0;
    return size > 0 && size < (1 << 30) ? (int)size : otherwise;
}

bool emit_lane_model(const EmitOptions *o, LaneModel *lanes, const char **error, Arena *a)
{
    LLVMTargetMachineRef machine = target_machine(o, error, a);
    if (!machine)
        return false;
    const TargetFacts *f = target_facts(machine, a);
    LLVMDisposeTargetMachine(machine);
    const int products = f->fma ? 0 : 2; /* that are yet to be added: they need registers too */
    int l1 = -1, l2 = -1;
#ifdef _SC_LEVEL1_DCACHE_SIZE
    if (!o->target) {
        l1 = _SC_LEVEL1_DCACHE_SIZE;
        l2 = _SC_LEVEL2_CACHE_SIZE;
    }
#endif
    *lanes = (LaneModel){.vector_bytes = f->vector_bytes,
                         .vector_registers = f->vector_registers - products,
                         .l1_bytes = cache_bytes(l1, 32 << 10),
                         .l2_bytes = cache_bytes(l2, 512 << 10),
                         .matrix_tiles = f->matrix_tiles};
    return true;
}
