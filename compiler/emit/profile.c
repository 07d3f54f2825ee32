/* What `gradc --profile` adds: kernels run through a hook of the instance, a table says what each of them is,
 * and two loops find out what the machine allows.  Without it nothing of this is in the object. */
#include "emit/internal.h"
#include "gradrt.h"

#include <string.h>

/* ---- the hook ------------------------------------------------------------------------------------------- */

/* The first number of an entry's kernels in the table. */
static int first_number(const Entries *es, EntryKind kind)
{
    int number = 0;
    for (int e = 0; e < (int)kind; e++)
        if (es->u->compiled->schedules[e])
            number += es->u->compiled->schedules[e]->kernels.count;
    return number;
}

/* The hook's first field is its function: see gradc_profile. */
void profile_run(Entries *es)
{
    EmitUnit *u = es->u;
    if (!u->options.profile)
        return;
    LLVMTypeRef params[] = {u->pointer, u->i32, u->pointer, u->pointer, u->size, u->i32};
    Entry e = entry_function(es, "profiled", u->void_type, params, 6);
    es->profiled = e.function;
    e.instance = LLVMGetParam(e.function, 0);
    LLVMValueRef number = LLVMGetParam(e.function, 1), kernel = LLVMGetParam(e.function, 2),
                 arguments = LLVMGetParam(e.function, 3), count = LLVMGetParam(e.function, 4),
                 serial = LLVMGetParam(e.function, 5);
    LLVMValueRef scratch = unit_offset(u, e.instance, u->compiled->instance_bytes);
    LLVMValueRef hook =
        LLVMBuildLoad2(u->builder, u->pointer, entry_header(&e, HEADER_PROFILE), "");
    LLVMBasicBlockRef plain = unit_block(u, e.function, "plain"),
                      alone = unit_block(u, e.function, "alone"),
                      shared = unit_block(u, e.function, "shared"),
                      watched = unit_block(u, e.function, "watched");
    LLVMBuildCondBr(u->builder, LLVMBuildIsNull(u->builder, hook, ""), plain, watched);

    LLVMPositionBuilderAtEnd(u->builder, plain);
    LLVMValueRef is_serial = LLVMBuildICmp(u->builder, LLVMIntNE, serial, unit_i32(u, 0), "");
    LLVMBuildCondBr(u->builder, is_serial, alone, shared);
    LLVMPositionBuilderAtEnd(u->builder, alone);
    LLVMValueRef whole[] = {arguments, unit_size(u, 0), count, scratch};
    LLVMBuildCall2(u->builder, u->kernel_type, kernel, whole, 4, "");
    LLVMBuildRetVoid(u->builder);
    LLVMPositionBuilderAtEnd(u->builder, shared);
    LLVMValueRef split[] = {e.instance, kernel, arguments, count};
    unit_call(u, es->run, split, 4);
    LLVMBuildRetVoid(u->builder);

    LLVMPositionBuilderAtEnd(u->builder, watched);
    LLVMTypeRef hook_params[] = {u->pointer, u->i32, u->pointer, u->pointer,
                                 u->size,    u->i32, u->pointer, u->size};
    LLVMValueRef told[] = {
        hook, number, kernel, arguments, count, serial, scratch, unit_size(u, es->scratch_bytes),
    };
    LLVMValueRef function = LLVMBuildLoad2(u->builder, u->pointer, hook, "");
    LLVMBuildCall2(u->builder, LLVMFunctionType(u->void_type, hook_params, 8, false), function,
                   told, 8, "");
    LLVMBuildRetVoid(u->builder);
    entry_finish(&e);
}

void profile_call(Entry *e, int kernel, LLVMValueRef function, LLVMValueRef arguments,
                  LLVMValueRef count, bool serial)
{
    EmitUnit *u = e->u;
    LLVMValueRef args[] = {e->instance, unit_i32(u, first_number(e->es, e->kind) + kernel),
                           function,    arguments,
                           count,       unit_i32(u, serial)};
    unit_call(u, e->es->profiled, args, 6);
}

static LLVMValueRef make_hook(Entries *es)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer, u->pointer};
    Entry e = entry_function(es, "profile", u->void_type, params, 2);
    e.instance = LLVMGetParam(e.function, 0);
    LLVMBuildStore(u->builder, LLVMGetParam(e.function, 1), entry_header(&e, HEADER_PROFILE));
    LLVMBuildRetVoid(u->builder);
    return entry_finish(&e);
}

/* ---- what the machine allows, in the vectors that the kernels use -------------------------------------------- */

enum { CHAINS = 12, READS = 8 };

static LLVMTypeRef vector_type(EmitUnit *u, int *lanes)
{
    LLVMTypeRef real = unit_lane_type(u, u->real);
    *lanes = u->lanes.vector_bytes / dtype_size(u->real);
    *lanes = *lanes > 1 ? *lanes : 1;
    return unit_widen(real, *lanes);
}

/* The sum of the chains, as the number that makes the loop matter. */
static LLVMValueRef add_up(EmitUnit *u, LLVMTypeRef type, LLVMValueRef *chains, int count,
                           int lanes)
{
    LLVMValueRef sum = LLVMBuildLoad2(u->builder, type, chains[0], "");
    for (int i = 1; i < count; i++)
        sum = LLVMBuildFAdd(u->builder, sum, LLVMBuildLoad2(u->builder, type, chains[i], ""), "");
    if (lanes > 1)
        sum = LLVMBuildExtractElement(u->builder, sum, unit_i32(u, 0), "");
    return u->real == TYPE_F64 ? sum : LLVMBuildFPExt(u->builder, sum, u->f64, "");
}

/* double peak(uint64_t rounds): independent chains of multiply-adds; returns how many flops that was. */
static LLVMValueRef make_peak(Entries *es)
{
    EmitUnit *u = es->u;
    int lanes;
    LLVMTypeRef type = vector_type(u, &lanes), real = unit_lane_type(u, u->real);
    Entry e = entry_function(es, "peak", u->f64, &u->i64, 1);
    LLVMValueRef rounds = LLVMGetParam(e.function, 0), chains[CHAINS];
    LLVMValueRef start =
        value_splat(u, LLVMBuildUIToFP(u->builder, rounds, real, ""), lanes); /* not known before */
    LLVMValueRef factor = value_splat(u, LLVMConstReal(real, 0.999), lanes);
    for (int i = 0; i < CHAINS; i++) {
        chains[i] = LLVMBuildAlloca(u->builder, type, "");
        LLVMValueRef own = value_splat(u, LLVMConstReal(real, i), lanes);
        LLVMBuildStore(u->builder, LLVMBuildFAdd(u->builder, start, own, ""), chains[i]);
    }
    KernelBuilder shell = {.u = u, .function = e.function};
    CountedLoop c = loop_open(&shell, unit_i64(u, 0), rounds, 1, "round");
    for (int i = 0; i < CHAINS; i++) {
        LLVMValueRef old = LLVMBuildLoad2(u->builder, type, chains[i], "");
        LLVMBuildStore(u->builder, value_multiply_add(u, old, factor, factor), chains[i]);
    }
    loop_close(&shell, &c, false);
    LLVMValueRef zero = LLVMBuildFMul(u->builder, add_up(u, type, chains, CHAINS, lanes),
                                      LLVMConstReal(u->f64, 0), "");
    LLVMValueRef flops = LLVMBuildFMul(u->builder, LLVMBuildUIToFP(u->builder, rounds, u->f64, ""),
                                       LLVMConstReal(u->f64, 2.0 * CHAINS * lanes), "");
    LLVMBuildRet(u->builder, LLVMBuildFAdd(u->builder, flops, zero, ""));
    return entry_finish(&e);
}

/* double read(const void *memory, uint64_t bytes): reads all of it, but for a rest; returns its sum. */
static LLVMValueRef make_read(Entries *es)
{
    EmitUnit *u = es->u;
    int lanes;
    LLVMTypeRef type = vector_type(u, &lanes), params[] = {u->pointer, u->i64};
    const int64_t vector = lanes * dtype_size(u->real), step = READS * vector;
    Entry e = entry_function(es, "read", u->f64, params, 2);
    LLVMValueRef memory = LLVMGetParam(e.function, 0), sums[READS];
    LLVMValueRef end =
        LLVMBuildSub(u->builder, LLVMGetParam(e.function, 1), unit_i64(u, step - 1), "");
    for (int i = 0; i < READS; i++) {
        sums[i] = LLVMBuildAlloca(u->builder, type, "");
        LLVMBuildStore(u->builder, LLVMConstNull(type), sums[i]);
    }
    KernelBuilder shell = {.u = u, .function = e.function};
    CountedLoop c = loop_open(&shell, unit_i64(u, 0), end, step, "at");
    LLVMValueRef at = LLVMBuildGEP2(u->builder, u->i8, memory, &c.counter, 1, "");
    for (int i = 0; i < READS; i++) {
        LLVMValueRef v =
            LLVMBuildLoad2(u->builder, type, unit_offset(u, at, (uint64_t)(i * vector)), "");
        LLVMSetAlignment(v, (unsigned)dtype_size(u->real));
        LLVMValueRef old = LLVMBuildLoad2(u->builder, type, sums[i], "");
        LLVMBuildStore(u->builder, LLVMBuildFAdd(u->builder, old, v, ""), sums[i]);
    }
    loop_close(&shell, &c, false);
    LLVMBuildRet(u->builder, add_up(u, type, sums, READS, lanes));
    return entry_finish(&e);
}

/* ---- the table ---------------------------------------------------------------------------------------------- */

/* "digits.nn:14 digits.nn:20": every line that the kernel's nodes come from, once. */
static const char *kernel_lines(EmitUnit *u, const Kernel *k)
{
    Text t;
    text_init(&t, u->arena);
    for (int i = 0; i < k->nodes.count; i++) {
        const Span span = k->nodes.data[i]->span;
        if (span.file < 0)
            continue;
        const Source *src = source_get(u->sources, span.file);
        const char *slash = strrchr(src->path, '/');
        int line, column;
        source_position(src, span.begin, &line, &column);
        const char *place = arena_format(u->arena, "%s:%d", slash ? slash + 1 : src->path, line);
        const size_t length = strlen(place);
        bool known = false;
        for (const char *at = t.data; t.length && (at = strstr(at, place)); at += length)
            known = known || !at[length] || at[length] == ' ';
        if (!known)
            text_printf(&t, "%s%s", t.length ? " " : "", place);
    }
    return t.length ? t.data : "";
}

/* Of the kernel, or of the chain that begins with it. */
static LLVMValueRef kernel_row(EmitUnit *u, const char *entry, const Schedule *s, int first,
                               const LoopKernel *loops)
{
    Text how;
    text_init(&how, u->arena);
    loop_summary(&how, loops);
    const int end = schedule_chain_end(s, first);
    const Kernel *k = s->kernels.data[first];
    double flops = 0, bytes = 0;
    for (int i = first; i < end; i++) {
        flops += s->kernels.data[i]->flops;
        bytes += s->kernels.data[i]->bytes_moved;
    }
    if (end > first + 1)
        text_printf(&how, ", and %d kernels by groups with it", end - first - 1);
    const bool once = !k->recurrence || k->own_examples; /* in a step of training */
    const double steps = once ? 1 : (double)k->recurrence->steps;
    LLVMValueRef fields[] = {
        unit_string(u, entry),
        unit_string(u, k->nodes.count ? k->nodes.data[k->nodes.count - 1]->name : "kernel"),
        unit_string(u, how.data),
        unit_string(u, kernel_lines(u, k)),
        LLVMConstReal(u->f64, flops / steps),
        LLVMConstReal(u->f64, bytes / steps),
    };
    return LLVMConstStructInContext(u->context, fields, sizeof fields / sizeof *fields, false);
}

static LLVMValueRef make_rows(Entries *es, int *count)
{
    EmitUnit *u = es->u;
    *count = first_number(es, ENTRY_COUNT);
    LLVMValueRef *rows = arena_new(u->arena, LLVMValueRef, *count + 1);
    int row = 0;
    for (int e = 0; e < ENTRY_COUNT; e++) {
        const Schedule *s = u->compiled->schedules[e];
        for (int i = 0; s && i < s->kernels.count; i++)
            rows[row++] = kernel_row(u, entry_name(e), s, i, es->codes[e][i].loops);
    }
    if (!row)
        return LLVMConstNull(u->pointer);
    return unit_constant_global(u, "kernels",
                                LLVMConstArray2(LLVMTypeOf(rows[0]), rows, (uint64_t)row));
}

void profile_points(Entries *es, EntryPoints *p)
{
    if (!es->u->options.profile)
        return;
    p->profile = make_hook(es);
    p->peak = make_peak(es);
    p->read = make_read(es);
    p->kernels = make_rows(es, &p->kernel_count);
}
