/* Optimised code in this process.  What is loaded is the very object that would be written to a
 * file, so a program run in memory gives the same bits. */
#include "emit/internal.h"

#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>

struct Jit {
    LLVMOrcLLJITRef lljit;
    Arena *arena;
};

static bool failed(Arena *a, LLVMErrorRef e, const char **error)
{
    if (!e)
        return false;
    char *message = LLVMGetErrorMessage(e);
    *error = arena_format(a, "%s", message);
    LLVMDisposeErrorMessage(message);
    return true;
}

/* memcpy and its like, and what the trainer's runtime offers, come from this process. */
static bool offer_process(Jit *j, const char **error)
{
    LLVMOrcDefinitionGeneratorRef generator;
    char prefix = LLVMOrcLLJITGetGlobalPrefix(j->lljit);
    if (failed(j->arena,
               LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess(&generator, prefix, NULL, NULL),
               error))
        return false;
    LLVMOrcJITDylibAddGenerator(LLVMOrcLLJITGetMainJITDylib(j->lljit), generator);
    return true;
}

Jit *jit_create(EmitUnit *const *units, int count, const char **error)
{
    Arena *a = units[0]->arena;
    Jit *j = arena_new(a, Jit, 1);
    j->arena = a;
    if (failed(a, LLVMOrcCreateLLJIT(&j->lljit, NULL), error))
        return NULL;
    bool good = offer_process(j, error);
    for (int i = 0; good && i < count; i++) {
        LLVMMemoryBufferRef object = object_buffer(units[i], error);
        good = object && !failed(a,
                                 LLVMOrcLLJITAddObjectFile(
                                     j->lljit, LLVMOrcLLJITGetMainJITDylib(j->lljit), object),
                                 error);
    }
    if (!good) {
        jit_dispose(j);
        return NULL;
    }
    return j;
}

void *jit_symbol(Jit *j, const char *name)
{
    LLVMOrcExecutorAddress address = 0;
    const char *ignored;
    if (failed(j->arena, LLVMOrcLLJITLookup(j->lljit, &address, name), &ignored))
        return NULL;
    return (void *)(uintptr_t)address;
}

void jit_dispose(Jit *j)
{
    LLVMErrorRef e = LLVMOrcDisposeLLJIT(j->lljit);
    if (e)
        LLVMConsumeError(e);
}
