/* The functions that the model's C header declares: typed, thin, over the descriptor's. */
#include "emit/internal.h"

#include <ctype.h>
#include <string.h>

static bool is_taken(const char *name)
{
    static const char *const words[] = {
        "auto",     "break",     "case",      "char",    "const",    "continue", "default",
        "do",       "double",    "else",      "enum",    "extern",   "float",    "for",
        "goto",     "if",        "inline",    "int",     "long",     "register", "restrict",
        "return",   "short",     "signed",    "sizeof",  "static",   "struct",   "switch",
        "typedef",  "union",     "unsigned",  "void",    "volatile", "while",    "asm",
        "bool",     "catch",     "class",     "delete",  "explicit", "export",   "false",
        "friend",   "mutable",   "namespace", "new",     "operator", "private",  "protected",
        "public",   "template",  "this",      "throw",   "true",     "try",      "typeid",
        "typename", "using",     "virtual",   "and",     "or",       "not",      "xor",
        "nullptr",  "constexpr", "requires",  "concept", "m",        "n",        "memory",
        "seed",     "scale",     "first",     "sums",    "values",   "examples", "position"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(name, words[i]))
            return true;
    return false;
}

const char *c_parameter(Arena *a, const char *name)
{
    char *copy =
        arena_format(a, is_taken(name) || isdigit((unsigned char)*name) ? "%s_" : "%s", name);
    for (char *c = copy; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_')
            *c = '_';
    return copy;
}

/* A wrapper takes: the instance, one pointer a port, n, and what else its entry point takes. */
typedef struct Wrapper {
    EmitUnit *u;
    LLVMValueRef function;
    int next; /* the parameter to be passed on next */
} Wrapper;

static LLVMValueRef exported(EmitUnit *u, const char *name, LLVMTypeRef result, LLVMTypeRef *params,
                             int count)
{
    LLVMTypeRef type = LLVMFunctionType(result, params, (unsigned)count, false);
    LLVMValueRef f = unit_function(u, arena_format(u->arena, "%s_%s", u->prefix, name), type, true);
    LLVMPositionBuilderAtEnd(u->builder, unit_block(u, f, "entry"));
    debug_entry(u, f, LLVMGetValueName2(f, &(size_t){0}));
    return f;
}

static LLVMTypeRef result_type(EmitUnit *u)
{
    return unit_memory_type(u, u->real);
}

static int count_ports(const Program *p, bool targets)
{
    int count = 0;
    for (int i = 0; i < p->inputs.count; i++)
        count += targets || p->inputs.data[i]->for_predict;
    return count;
}

/* An array on the stack of the pointers given; a target not asked for is NULL. */
static LLVMValueRef gather_inputs(Wrapper *w, bool targets)
{
    EmitUnit *u = w->u;
    const Program *p = u->compiled->program;
    LLVMValueRef array =
        LLVMBuildAlloca(u->builder, LLVMArrayType2(u->pointer, (uint64_t)p->inputs.count + 1), "");
    for (int i = 0; i < p->inputs.count; i++) {
        bool given = targets || p->inputs.data[i]->for_predict;
        LLVMValueRef v =
            given ? LLVMGetParam(w->function, (unsigned)w->next++) : LLVMConstNull(u->pointer);
        LLVMValueRef at = unit_i64(u, i);
        LLVMBuildStore(u->builder, v, LLVMBuildGEP2(u->builder, u->pointer, array, &at, 1, ""));
    }
    return array;
}

static LLVMValueRef gather_outputs(Wrapper *w)
{
    EmitUnit *u = w->u;
    int count = u->compiled->program->outputs.count;
    LLVMValueRef array =
        LLVMBuildAlloca(u->builder, LLVMArrayType2(u->pointer, (uint64_t)count + 1), "");
    for (int i = 0; i < count; i++) {
        LLVMValueRef at = unit_i64(u, i), v = LLVMGetParam(w->function, (unsigned)w->next++);
        LLVMBuildStore(u->builder, v, LLVMBuildGEP2(u->builder, u->pointer, array, &at, 1, ""));
    }
    return array;
}

enum { MOST_EXTRA = 4 };

/* real P_name(P *m, ports…, size_t n, extra…) over `entry`; a void one returns nothing. */
static void wrap_call(EmitUnit *u, const char *name, LLVMValueRef entry, LLVMTypeRef *extra,
                      int extra_count)
{
    if (!entry)
        return;
    bool number = LLVMGetReturnType(LLVMGlobalGetValueType(entry)) == u->f64;
    int ports = count_ports(u->compiled->program, true), count = 0;
    LLVMTypeRef *params = arena_new(u->arena, LLVMTypeRef, ports + 2 + extra_count);
    params[count++] = u->pointer;
    for (int i = 0; i < ports; i++)
        params[count++] = u->pointer;
    params[count++] = u->size;
    for (int i = 0; i < extra_count; i++)
        params[count++] = extra[i];
    Wrapper w = {u, exported(u, name, number ? result_type(u) : u->void_type, params, count), 1};
    LLVMValueRef args[3 + MOST_EXTRA] = {LLVMGetParam(w.function, 0), gather_inputs(&w, true)};
    for (int i = 0; i < 1 + extra_count; i++)
        args[2 + i] = LLVMGetParam(w.function, (unsigned)w.next++);
    int given = 3 + extra_count;
    for (; given < (int)LLVMCountParams(entry); given++) /* what the header does not ask for */
        args[given] = LLVMConstNull(LLVMTypeOf(LLVMGetParam(entry, (unsigned)given)));
    LLVMValueRef v = unit_call(u, entry, args, given);
    if (!number)
        LLVMBuildRetVoid(u->builder);
    else
        LLVMBuildRet(u->builder,
                     u->real == TYPE_F64 ? v : LLVMBuildFPTrunc(u->builder, v, u->f32, ""));
    LLVMSetCurrentDebugLocation2(u->builder, NULL);
}

static void wrap_predict(EmitUnit *u, LLVMValueRef entry)
{
    if (!entry)
        return;
    const Program *p = u->compiled->program;
    int count = 0, inputs = count_ports(p, false);
    LLVMTypeRef *params = arena_new(u->arena, LLVMTypeRef, inputs + p->outputs.count + 2);
    for (int i = 0; i < inputs + 1; i++)
        params[count++] = u->pointer;
    params[count++] = u->size;
    for (int i = 0; i < p->outputs.count; i++)
        params[count++] = u->pointer;
    Wrapper w = {u, exported(u, "predict", u->void_type, params, count), 1};
    LLVMValueRef args[] = {LLVMGetParam(w.function, 0), gather_inputs(&w, false), NULL, NULL};
    args[2] = LLVMGetParam(w.function, (unsigned)w.next++);
    args[3] = gather_outputs(&w);
    unit_call(u, entry, args, 4);
    LLVMBuildRetVoid(u->builder);
    LLVMSetCurrentDebugLocation2(u->builder, NULL);
}

/* The same function under its public name. */
static void wrap_plain(EmitUnit *u, const char *name, LLVMValueRef entry)
{
    if (!entry)
        return;
    LLVMTypeRef type = LLVMGlobalGetValueType(entry), result = LLVMGetReturnType(type), params[8];
    int count = (int)LLVMCountParamTypes(type);
    LLVMGetParamTypes(type, params);
    LLVMValueRef f = exported(u, name, result, params, count), args[8];
    for (int i = 0; i < count; i++)
        args[i] = LLVMGetParam(f, (unsigned)i);
    LLVMValueRef v = unit_call(u, entry, args, count);
    if (result == u->void_type)
        LLVMBuildRetVoid(u->builder);
    else
        LLVMBuildRet(u->builder, v);
    LLVMSetCurrentDebugLocation2(u->builder, NULL);
}

/* size_t P_bytes(void): for one thread, which is what most callers want. */
static void wrap_bytes(EmitUnit *u, const EntryPoints *e)
{
    LLVMValueRef f = exported(u, "bytes", u->size, NULL, 0), one = LLVMConstInt(u->size, 1, false);
    (void)f;
    LLVMBuildRet(u->builder, unit_call(u, e->bytes, &one, 1));
    LLVMSetCurrentDebugLocation2(u->builder, NULL);
}

void wrappers_emit(EmitUnit *u, const EntryPoints *e)
{
    wrap_bytes(u, e);
    wrap_plain(u, "bytes_for", e->bytes);
    wrap_plain(u, "init", e->init);
    wrap_plain(u, "threads", e->threads);
    wrap_call(u, "step", e->step, NULL, 0);
    wrap_call(u, "gradient", e->gradient, (LLVMTypeRef[]){u->f64, u->i32}, 2);
    wrap_plain(u, "update", e->update);
    wrap_call(u, "loss", e->loss, NULL, 0);
    wrap_call(u, "evaluate", e->evaluate, &u->pointer, 1);
    wrap_plain(u, "finish", e->finish);
    wrap_call(u, "fit", e->fit, &u->pointer, 1);
    wrap_plain(u, "fitted", e->fitted);
    wrap_predict(u, e->predict);
    wrap_plain(u, "generate", e->generate);
}
