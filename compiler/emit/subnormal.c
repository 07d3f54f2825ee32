/* Results below 1.2e-38, f32's subnormal numbers, become 0 while kernels run on x86, where arithmetic
 * on them takes a hundred times as long; vanishing gradients are full of them.  (Other processors
 * mind them little.)  The caller's mode is put back, and every thread has the same one, so that bits do
 * not depend on their number. */
#include "emit/internal.h"

/* Of MXCSR: flush-to-zero. */
enum { FLUSH_TO_ZERO = 0x8000 };

static void write_mode(EmitUnit *u, LLVMValueRef mode)
{
    LLVMValueRef at = unit_alloca(u, u->i32);
    LLVMBuildStore(u->builder, mode, at);
    unit_intrinsic(u, "llvm.x86.sse.ldmxcsr", NULL, 0, &at, 1);
}

LLVMValueRef subnormals_flush(EmitUnit *u)
{
    if (!u->is_x86)
        return NULL;
    LLVMValueRef at = unit_alloca(u, u->i32);
    unit_intrinsic(u, "llvm.x86.sse.stmxcsr", NULL, 0, &at, 1);
    LLVMValueRef before = LLVMBuildLoad2(u->builder, u->i32, at, "mode");
    write_mode(u, LLVMBuildOr(u->builder, before, unit_i32(u, FLUSH_TO_ZERO), ""));
    return before;
}

void subnormals_restore(EmitUnit *u, LLVMValueRef before)
{
    if (before)
        write_mode(u, before);
}
