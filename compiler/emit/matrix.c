/* The processor's matrix tiles: the right to use them, which Linux gives to a process that asks for it
 * (their state is eight kilobytes for each thread), and their shapes while a kernel runs. */
#include "emit/internal.h"

#include <sys/syscall.h>
#include <unistd.h>

/* arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA), of x86-64. */
enum { ARCH_PRCTL = 158, REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };

bool matrix_is_permitted(void)
{
#if defined __x86_64__ && defined __linux__
    return !syscall(ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA);
#else
    return false;
#endif
}

/* ---- asked for by the object ------------------------------------------------------------------------------- */

/* The result of the system call: 0, or what is wrong. */
static LLVMValueRef call_system(EmitUnit *u)
{
    static const char code[] = "syscall",
                      places[] = "={rax},{rax},{rdi},{rsi},~{rcx},~{r11},~{memory},~{flags}";
    LLVMTypeRef params[] = {u->i64, u->i64, u->i64};
    LLVMTypeRef type = LLVMFunctionType(u->i64, params, 3, false);
    LLVMValueRef call = LLVMGetInlineAsm(type, code, sizeof code - 1, places, sizeof places - 1,
                                         true, false, LLVMInlineAsmDialectATT, false);
    LLVMValueRef args[] = {unit_i64(u, ARCH_PRCTL), unit_i64(u, REQUEST_PERMISSION),
                           unit_i64(u, TILE_DATA)};
    return LLVMBuildCall2(u->builder, type, call, args, 3, "");
}

static bool has_tiles(const Entries *es, EntryKind kind)
{
    const Schedule *s = es->u->compiled->schedules[kind];
    for (int i = 0; s && i < s->kernels.count; i++)
        if (es->codes[kind][i].loops->matrix_tiles)
            return true;
    return false;
}

/* void permission(): where it is refused nothing can go on, and nothing has been changed yet.  It stays a
 * function of its own, since its branch would part an entry point from what it keeps on the stack. */
void matrix_emit(Entries *es)
{
    EmitUnit *u = es->u;
    bool needed = false;
    for (int kind = 0; kind < ENTRY_COUNT; kind++)
        needed = needed || has_tiles(es, (EntryKind)kind);
    if (!needed)
        return;
    Entry e = entry_function(es, "permission", u->void_type, NULL, 0);
    es->permission = e.function;
    unit_keep_apart(u, e.function);
    LLVMValueRef given =
        LLVMBuildICmp(u->builder, LLVMIntEQ, call_system(u), unit_i64(u, 0), "given");
    LLVMBasicBlockRef go_on = unit_block(u, e.function, "go_on"),
                      refused = unit_block(u, e.function, "refused");
    LLVMBuildCondBr(u->builder, given, go_on, refused);
    LLVMPositionBuilderAtEnd(u->builder, refused);
    unit_intrinsic(u, "llvm.trap", NULL, 0, NULL, 0);
    LLVMBuildUnreachable(u->builder);
    LLVMPositionBuilderAtEnd(u->builder, go_on);
    LLVMBuildRetVoid(u->builder);
    entry_finish(&e);
}

void matrix_ask(Entry *e)
{
    if (has_tiles(e->es, e->kind))
        unit_call(e->u, e->es->permission, NULL, 0);
}

/* ---- configured by a kernel ---------------------------------------------------------------------------------- */

enum { CONFIGURATION_BYTES = 64 };

/* What ldtilecfg reads: palette 1; from byte 16 on the bytes of a row, two for each tile, and from 48 on its
 * rows, one each. */
static LLVMValueRef shapes(EmitUnit *u)
{
    unsigned char bytes[CONFIGURATION_BYTES] = {1};
    for (int i = 0; i < TILES; i++) {
        bytes[16 + 2 * i] = TILE_ROW_BYTES;
        bytes[48 + i] = TILE_LINES;
    }
    LLVMValueRef values[CONFIGURATION_BYTES];
    for (int i = 0; i < CONFIGURATION_BYTES; i++)
        values[i] = LLVMConstInt(u->i8, bytes[i], false);
    LLVMValueRef g =
        unit_constant_global(u, "tiles", LLVMConstArray2(u->i8, values, CONFIGURATION_BYTES));
    LLVMSetAlignment(g, CONFIGURATION_BYTES);
    return g;
}

void matrix_configure(EmitUnit *u)
{
    if (!u->tile_shapes)
        u->tile_shapes = shapes(u);
    unit_intrinsic(u, "llvm.x86.ldtilecfg", NULL, 0, &u->tile_shapes, 1);
}

void matrix_release(EmitUnit *u)
{
    unit_intrinsic(u, "llvm.x86.tilerelease", NULL, 0, NULL, 0);
}
