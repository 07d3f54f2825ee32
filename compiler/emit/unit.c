/* A module and the shorthands that building in it takes. */
#include "emit/internal.h"

#include <llvm-c/Analysis.h>
#include <string.h>

static void make_types(EmitUnit *u)
{
    LLVMContextRef c = u->context;
    u->void_type = LLVMVoidTypeInContext(c);
    u->i1 = LLVMInt1TypeInContext(c);
    u->i8 = LLVMInt8TypeInContext(c);
    u->i16 = LLVMInt16TypeInContext(c);
    u->i32 = LLVMInt32TypeInContext(c);
    u->i64 = LLVMInt64TypeInContext(c);
    u->size = LLVMIntPtrTypeInContext(c, u->layout);
    u->f32 = LLVMFloatTypeInContext(c);
    u->f64 = LLVMDoubleTypeInContext(c);
    u->pointer = LLVMPointerTypeInContext(c, 0);
    u->kernel_type = LLVMFunctionType(
        u->void_type, (LLVMTypeRef[]){u->pointer, u->size, u->size, u->pointer}, 4, false);
    LLVMTypeRef fields[] = {
        u->i64, u->i64, u->i64, u->i64, u->f64,
        u->i64, u->i64, u->i64, u->i64, LLVMArrayType2(u->pointer, 0)}; /* EmitArguments */
    u->arguments_type = LLVMStructTypeInContext(c, fields, sizeof fields / sizeof *fields, false);
}

EmitUnit *unit_create(const EmitOptions *o, const LaneModel *lanes, DType real,
                      const Sources *sources, const char *name, Arena *a)
{
    EmitUnit *u = arena_new(a, EmitUnit, 1);
    *u = (EmitUnit){.arena = a,
                    .options = *o,
                    .lanes = *lanes,
                    .real = real,
                    .sources = sources,
                    .prefix = name};
    const char *error = NULL;
    u->machine = target_machine(o, &error, a);
    if (!u->machine)
        die("%s", error);
    u->facts = target_facts(u->machine, a);
    u->context = LLVMContextCreate();
    u->module = LLVMModuleCreateWithNameInContext(name, u->context);
    u->builder = LLVMCreateBuilderInContext(u->context);
    u->layout = LLVMCreateTargetDataLayout(u->machine);
    LLVMSetModuleDataLayout(u->module, u->layout);
    char *triple = LLVMGetTargetMachineTriple(u->machine);
    LLVMSetTarget(u->module, triple);
    u->is_x86 = !strncmp(triple, "x86_64", 6);
    LLVMDisposeMessage(triple);
    make_types(u);
    return u;
}

void emit_dispose(EmitUnit *u)
{
    if (u->debug)
        LLVMDisposeDIBuilder(u->debug);
    LLVMDisposeBuilder(u->builder);
    LLVMDisposeModule(u->module);
    LLVMDisposeTargetData(u->layout);
    LLVMDisposeTargetMachine(u->machine);
    LLVMContextDispose(u->context);
}

void unit_verify(EmitUnit *u)
{
    char *message = NULL;
    if (LLVMVerifyModule(u->module, LLVMReturnStatusAction, &message)) {
        char *text = LLVMPrintModuleToString(u->module);
        fprintf(stderr, "%s\n", text);
        bug("LLVM rejects the module: %s", message);
    }
    LLVMDisposeMessage(message);
}

/* ---- functions ------------------------------------------------------------------------------------- */

static void add_text_attribute(EmitUnit *u, LLVMValueRef f, const char *key, const char *value)
{
    if (*value)
        LLVMAddAttributeAtIndex(f, LLVMAttributeFunctionIndex,
                                LLVMCreateStringAttribute(u->context, key, (unsigned)strlen(key),
                                                          value, (unsigned)strlen(value)));
}

static void add_attribute(EmitUnit *u, LLVMValueRef f, const char *name, uint64_t value)
{
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    LLVMAddAttributeAtIndex(f, LLVMAttributeFunctionIndex,
                            LLVMCreateEnumAttribute(u->context, kind, value));
}

LLVMValueRef unit_function(EmitUnit *u, const char *name, LLVMTypeRef type, bool exported)
{
    LLVMValueRef f = LLVMAddFunction(u->module, name, type);
    LLVMSetLinkage(f, exported ? LLVMExternalLinkage : LLVMInternalLinkage);
    char *cpu = LLVMGetTargetMachineCPU(u->machine),
         *features = LLVMGetTargetMachineFeatureString(u->machine);
    add_text_attribute(u, f, "target-cpu", cpu);
    add_text_attribute(u, f, "target-features", features);
    LLVMDisposeMessage(cpu);
    LLVMDisposeMessage(features);
    const char *bits = arena_format(u->arena, "%d", u->lanes.vector_bytes * 8);
    if (u->lanes.vector_bytes >= 16) {
        add_text_attribute(u, f, "prefer-vector-width", bits);
        add_text_attribute(u, f, "min-legal-vector-width", bits);
    }
    if (u->is_x86)
        add_text_attribute(u, f, "denormal-fp-math", "preserve-sign,ieee");
    add_attribute(u, f, "nounwind", 0);
    add_attribute(u, f, "uwtable", 2); /* profilers walk the stack */
    if (u->options.debug)
        add_text_attribute(u, f, "frame-pointer", "all");
    return f;
}

void unit_keep_apart(EmitUnit *u, LLVMValueRef f)
{
    add_attribute(u, f, "noinline", 0);
}

LLVMBasicBlockRef unit_block(EmitUnit *u, LLVMValueRef function, const char *name)
{
    return LLVMAppendBasicBlockInContext(u->context, function, name);
}

LLVMValueRef unit_alloca(EmitUnit *u, LLVMTypeRef type)
{
    LLVMBuilderRef b = u->builder;
    LLVMBasicBlockRef here = LLVMGetInsertBlock(b);
    LLVMBasicBlockRef entry = LLVMGetEntryBasicBlock(LLVMGetBasicBlockParent(here));
    LLVMMetadataRef place = LLVMGetCurrentDebugLocation2(b);
    LLVMValueRef first = LLVMGetFirstInstruction(entry);
    if (first)
        LLVMPositionBuilderBefore(b, first);
    else
        LLVMPositionBuilderAtEnd(b, entry);
    LLVMSetCurrentDebugLocation2(b, NULL);
    LLVMValueRef a = LLVMBuildAlloca(b, type, "");
    LLVMPositionBuilderAtEnd(b, here);
    LLVMSetCurrentDebugLocation2(b, place);
    return a;
}

LLVMValueRef unit_call(EmitUnit *u, LLVMValueRef function, LLVMValueRef *args, int count)
{
    return LLVMBuildCall2(u->builder, LLVMGlobalGetValueType(function), function, args,
                          (unsigned)count, "");
}

LLVMValueRef unit_intrinsic(EmitUnit *u, const char *name, LLVMTypeRef *types, int type_count,
                            LLVMValueRef *args, int arg_count)
{
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    if (!id)
        bug("LLVM has no %s", name);
    LLVMValueRef callee = LLVMGetIntrinsicDeclaration(u->module, id, types, (size_t)type_count);
    return unit_call(u, callee, args, arg_count);
}

/* ---- values ---------------------------------------------------------------------------------------------- */

LLVMValueRef unit_i64(EmitUnit *u, int64_t value)
{
    return LLVMConstInt(u->i64, (unsigned long long)value, true);
}

LLVMValueRef unit_is_due(EmitUnit *u, LLVMValueRef done, int64_t every)
{
    LLVMValueRef number = LLVMBuildAdd(u->builder, done, unit_i64(u, 1), "");
    LLVMValueRef rest = LLVMBuildURem(u->builder, number, unit_i64(u, every), "");
    return LLVMBuildICmp(u->builder, LLVMIntEQ, rest, unit_i64(u, 0), "");
}

LLVMValueRef unit_i32(EmitUnit *u, int value)
{
    return LLVMConstInt(u->i32, (unsigned long long)value, true);
}

LLVMValueRef unit_size(EmitUnit *u, uint64_t bytes)
{
    return LLVMConstInt(u->size, bytes, false);
}

LLVMValueRef unit_element(EmitUnit *u, LLVMTypeRef type, LLVMValueRef base, LLVMValueRef index)
{
    return LLVMBuildGEP2(u->builder, type, base, &index, 1, "");
}

LLVMValueRef unit_offset(EmitUnit *u, LLVMValueRef base, uint64_t bytes)
{
    if (!bytes)
        return base;
    return unit_element(u, u->i8, base, unit_i64(u, (int64_t)bytes));
}

LLVMValueRef unit_constant_global(EmitUnit *u, const char *name, LLVMValueRef initial)
{
    LLVMValueRef g = LLVMAddGlobal(u->module, LLVMTypeOf(initial), name);
    LLVMSetInitializer(g, initial);
    LLVMSetGlobalConstant(g, true);
    LLVMSetLinkage(g, LLVMPrivateLinkage);
    LLVMSetUnnamedAddress(g, LLVMGlobalUnnamedAddr);
    return g;
}

LLVMValueRef unit_string(EmitUnit *u, const char *text)
{
    if (!text)
        return LLVMConstNull(u->pointer);
    LLVMValueRef bytes = LLVMConstStringInContext2(u->context, text, strlen(text), false);
    LLVMValueRef g = unit_constant_global(u, "text", bytes);
    LLVMSetAlignment(g, 1);
    return g;
}

LLVMTypeRef unit_memory_type(EmitUnit *u, DType t)
{
    LLVMTypeRef types[] = {u->i8, u->i8, u->i16, u->i32, u->f32, u->f64};
    return types[t];
}

LLVMTypeRef unit_lane_type(EmitUnit *u, DType t)
{
    LLVMTypeRef types[] = {u->i1, u->i32, u->i32, u->i32, u->f32, u->f64};
    return types[t];
}

LLVMTypeRef unit_widen(LLVMTypeRef lane, int width)
{
    return width > 1 ? LLVMVectorType(lane, (unsigned)width) : lane;
}
