/* Functions of the C library, for f64: lane by lane where the object may call them, and otherwise in f32, by the
 * lowering of that name. */
#include "emit/internal.h"

#define V(x) ((LLVMValueRef)(x))
#define M(x) ((MathValue)(x))

static LLVMValueRef library_function(EmitUnit *u, const char *name, int arity)
{
    LLVMValueRef f = LLVMGetNamedFunction(u->module, name);
    LLVMTypeRef params[] = {u->f64, u->f64, u->f64};
    return f ? f
             : LLVMAddFunction(u->module, name,
                               LLVMFunctionType(u->f64, params, (unsigned)arity, false));
}

static LLVMValueRef call_per_lane(MathBuilder *b, const char *name, MathValue const *args,
                                  int count)
{
    EmitUnit *u = ((MathContext *)b->context)->unit;
    int width = value_width(V(args[0]));
    LLVMValueRef f = library_function(u, name, count), scalars[3];
    if (width == 1)
        return unit_call(u, f, (LLVMValueRef *)args, count);
    LLVMValueRef result = LLVMGetPoison(LLVMTypeOf(V(args[0])));
    for (int lane = 0; lane < width; lane++) {
        for (int i = 0; i < count; i++)
            scalars[i] = LLVMBuildExtractElement(u->builder, V(args[i]), unit_i32(u, lane), "");
        result = LLVMBuildInsertElement(u->builder, result, unit_call(u, f, scalars, count),
                                        unit_i32(u, lane), "");
    }
    return result;
}

/* f64 in the object of an f32 model, which may not call the C library (the few numbers of finish()):
 * f32's precision. */
static LLVMValueRef lower_in_single(MathBuilder *b, const char *name, MathValue const *args,
                                    int count)
{
    EmitUnit *u = ((MathContext *)b->context)->unit;
    const ScalarFunction *f = scalar_find(name);
    if (!f)
        bug("no function '%s' to stand for the C library's", name);
    MathBuilder single;
    math_builder_init(&single, b->context, false);
    MathValue narrow[3];
    for (int i = 0; i < count; i++)
        narrow[i] = M(LLVMBuildFPTrunc(u->builder, V(args[i]), value_like(V(args[i]), u->f32), ""));
    LLVMValueRef result = V(f->lower(&single, narrow, false));
    return LLVMBuildFPExt(u->builder, result, value_like(result, u->f64), "");
}

MathValue math_library(MathBuilder *b, const char *name, MathValue const *args, int count)
{
    if (!b->real64)
        bug("a call of '%s' in f32 code", name);
    EmitUnit *u = ((MathContext *)b->context)->unit;
    bool allowed = u->options.library_math || u->real == TYPE_F64;
    return M(allowed ? call_per_lane(b, name, args, count) : lower_in_single(b, name, args, count));
}
