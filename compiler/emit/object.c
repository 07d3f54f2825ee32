/* Optimises a module and writes it: as LLVM IR, assembly or an object, whole or not at all. */
#include "emit/internal.h"

#include <errno.h>
#include <llvm-c/Error.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Vectors are already what they should be: LLVM's own vectorisers would only cost time.  So would the
 * further passes of its O2: a third of all, for kernels that take as long. */
void emit_optimize(EmitUnit *u)
{
    if (u->optimized)
        return;
    u->optimized = true;
    static const char *const pipelines[] = {"default<O0>", "default<O1>", "default<O1>",
                                            "default<O3>"};
    int level = u->options.optimize < 0 ? 0 : u->options.optimize > 3 ? 3 : u->options.optimize;
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMPassBuilderOptionsSetLoopVectorization(options, false);
    LLVMPassBuilderOptionsSetSLPVectorization(options, false);
    LLVMPassBuilderOptionsSetLoopInterleaving(options, false);
    LLVMErrorRef error = LLVMRunPasses(u->module, pipelines[level], u->machine, options);
    LLVMDisposePassBuilderOptions(options);
    if (error)
        bug("LLVM's pipeline: %s", LLVMGetErrorMessage(error));
}

static LLVMMemoryBufferRef code_buffer(EmitUnit *u, LLVMCodeGenFileType type, const char **error)
{
    emit_optimize(u);
    LLVMMemoryBufferRef buffer = NULL;
    char *message = NULL;
    if (!LLVMTargetMachineEmitToMemoryBuffer(u->machine, u->module, type, &message, &buffer))
        return buffer;
    *error = arena_format(u->arena, "%s", message ? message : "LLVM could not make code");
    LLVMDisposeMessage(message);
    return NULL;
}

LLVMMemoryBufferRef object_buffer(EmitUnit *u, const char **error)
{
    return code_buffer(u, LLVMObjectFile, error);
}

/* ---- files ---------------------------------------------------------------------------------------------- */

static bool write_all(int fd, const char *data, size_t length)
{
    while (length) {
        ssize_t n = write(fd, data, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        data += n;
        length -= (size_t)n;
    }
    return true;
}

static bool write_stream(FILE *f, const char *data, size_t length)
{
    bool written = fwrite(data, 1, length, f) == length && !fflush(f);
    return (f == stdout || !fclose(f)) && written;
}

/* A file aside, with the rights of a new file, renamed when whole. */
static bool write_aside(Arena *a, const char *path, const char *data, size_t length)
{
    char *temporary = arena_format(a, "%s.XXXXXX", path);
    int fd = mkstemp(temporary);
    if (fd < 0)
        return false;
    mode_t mask = umask(0);
    umask(mask);
    bool good = write_all(fd, data, length) && !fchmod(fd, 0666 & ~mask);
    good &= !close(fd);
    good = good && !rename(temporary, path);
    if (!good) {
        int reason = errno;
        unlink(temporary);
        errno = reason;
    }
    return good;
}

/* What is there and no plain file (/dev/null, a pipe) is written as it stands. */
static bool write_file(Arena *a, const char *path, const char *data, size_t length,
                       const char **error)
{
    struct stat there;
    bool good;
    if (!strcmp(path, "-")) {
        good = write_stream(stdout, data, length);
    } else if (!stat(path, &there) && !S_ISREG(there.st_mode)) {
        FILE *f = fopen(path, "wb");
        good = f && write_stream(f, data, length);
    } else {
        good = write_aside(a, path, data, length);
    }
    if (!good)
        *error = arena_format(a, "cannot write: %s", strerror(errno));
    return good;
}

bool emit_write_llvm(EmitUnit *u, const char *path, const char **error)
{
    char *text = LLVMPrintModuleToString(u->module);
    bool written = write_file(u->arena, path, text, strlen(text), error);
    LLVMDisposeMessage(text);
    return written;
}

static bool write_code(EmitUnit *u, LLVMCodeGenFileType type, const char *path, const char **error)
{
    LLVMMemoryBufferRef buffer = code_buffer(u, type, error);
    if (!buffer)
        return false;
    bool written =
        write_file(u->arena, path, LLVMGetBufferStart(buffer), LLVMGetBufferSize(buffer), error);
    LLVMDisposeMemoryBuffer(buffer);
    return written;
}

bool emit_write_assembly(EmitUnit *u, const char *path, const char **error)
{
    return write_code(u, LLVMAssemblyFile, path, error);
}

bool emit_write_object(EmitUnit *u, const char *path, const char **error)
{
    return write_code(u, LLVMObjectFile, path, error);
}
