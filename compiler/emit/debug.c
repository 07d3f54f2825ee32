/* DWARF that points into the .nn files: a subprogram for each kernel, a line for each statement. */
#include "emit/internal.h"

#include <string.h>
#include <unistd.h>

static LLVMMetadataRef make_file(EmitUnit *u, const char *path)
{
    char folder[4096];
    if (!getcwd(folder, sizeof folder))
        strcpy(folder, ".");
    return LLVMDIBuilderCreateFile(u->debug, path, strlen(path), folder, strlen(folder));
}

static void add_flag(EmitUnit *u, const char *key, int value)
{
    LLVMMetadataRef v = LLVMValueAsMetadata(unit_i32(u, value));
    LLVMAddModuleFlag(u->module, LLVMModuleFlagBehaviorWarning, key, strlen(key), v);
}

void debug_open(EmitUnit *u, const char *source_file)
{
    static const char producer[] = "gradc";
    if (!u->options.debug)
        return;
    u->debug = LLVMCreateDIBuilder(u->module);
    u->debug_file = make_file(u, source_file);
    u->debug_unit = LLVMDIBuilderCreateCompileUnit(
        u->debug, LLVMDWARFSourceLanguageC99, u->debug_file, producer, strlen(producer),
        u->options.optimize > 0, "", 0, 0, "", 0, LLVMDWARFEmissionFull, 0, true, false, "", 0, "",
        0);
    u->debug_signature =
        LLVMDIBuilderCreateSubroutineType(u->debug, u->debug_file, NULL, 0, LLVMDIFlagZero);
    add_flag(u, "Debug Info Version", (int)LLVMDebugMetadataVersion());
    add_flag(u, "Dwarf Version", 4);
}

void debug_close(EmitUnit *u)
{
    if (u->debug)
        LLVMDIBuilderFinalize(u->debug);
}

/* Files are few: the list is as long as the highest number met. */
static LLVMMetadataRef file_of(EmitUnit *u, Span span)
{
    enum { FILES = 1024 };
    if (span.file < 0 || span.file >= FILES || !u->sources)
        return u->debug_file;
    if (!u->debug_files)
        u->debug_files = arena_new(u->arena, LLVMMetadataRef, FILES);
    if (!u->debug_files[span.file])
        u->debug_files[span.file] = make_file(u, source_get(u->sources, span.file)->path);
    return u->debug_files[span.file];
}

static void position_of(EmitUnit *u, Span span, int *line, int *column)
{
    *line = *column = 0;
    if (span.file >= 0 && u->sources)
        source_position(source_get(u->sources, span.file), span.begin, line, column);
}

static LLVMMetadataRef subprogram(EmitUnit *u, LLVMValueRef f, const char *name, Span span)
{
    int line, column;
    position_of(u, span, &line, &column);
    LLVMMetadataRef file = file_of(u, span);
    LLVMMetadataRef s = LLVMDIBuilderCreateFunction(
        u->debug, file, name, strlen(name), name, strlen(name), file, (unsigned)line,
        u->debug_signature, LLVMGetLinkage(f) == LLVMInternalLinkage, true, (unsigned)line,
        LLVMDIFlagZero, u->options.optimize > 0);
    LLVMSetSubprogram(f, s);
    return s;
}

void debug_function(KernelBuilder *kb, const char *name, Span span)
{
    if (kb->u->debug)
        kb->debug_scope = subprogram(kb->u, kb->function, name, span);
}

void debug_entry(EmitUnit *u, LLVMValueRef function, const char *name)
{
    if (!u->debug)
        return;
    LLVMMetadataRef scope = subprogram(u, function, name, SPAN_NONE);
    LLVMSetCurrentDebugLocation2(u->builder,
                                 LLVMDIBuilderCreateDebugLocation(u->context, 0, 0, scope, NULL));
}

/* A line in another file than the function's: a block of that file in between. */
static LLVMMetadataRef scope_for(KernelBuilder *kb, Span span)
{
    LLVMMetadataRef file = file_of(kb->u, span);
    if (file == LLVMDIScopeGetFile(kb->debug_scope))
        return kb->debug_scope;
    return LLVMDIBuilderCreateLexicalBlockFile(kb->u->debug, kb->debug_scope, file, 0);
}

void debug_place(KernelBuilder *kb, Span span)
{
    EmitUnit *u = kb->u;
    int line, column;
    if (!u->debug)
        return;
    position_of(u, span, &line, &column);
    LLVMMetadataRef scope = span.file >= 0 ? scope_for(kb, span) : kb->debug_scope;
    LLVMSetCurrentDebugLocation2(u->builder,
                                 LLVMDIBuilderCreateDebugLocation(u->context, (unsigned)line,
                                                                  (unsigned)column, scope, NULL));
}
