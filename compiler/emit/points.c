/* The entry points that compute: each hands its kernels their operands, in order. */
#include "emit/internal.h"

#include <math.h>

static LLVMValueRef no_number(EmitUnit *u)
{
    return LLVMConstReal(u->f64, NAN);
}

static LLVMValueRef loss_value(Entry *e)
{
    LLVMValueRef sum = NULL;
    for (int i = 0; i < e->s->graph->results.count; i++) {
        const Result *r = &e->s->graph->results.data[i];
        if (r->role != RESULT_LOSS)
            continue;
        LLVMValueRef v = entry_result(e, r->value);
        sum = sum ? LLVMBuildFAdd(e->u->builder, sum, v, "") : v;
    }
    return sum ? sum : LLVMConstReal(e->u->f64, 0);
}

/* Runs all that the loss needs; leaves with it when it is not finite; then the rest. */
static LLVMValueRef run_with_loss(Entry *e)
{
    int known = e->s->loss_kernel + 1, count = e->s->kernels.count;
    if (known <= 0)
        known = count;
    entry_run_kernels(e, 0, known);
    LLVMValueRef loss = loss_value(e);
    entry_leave_unless(e, entry_is_finite(e->u, loss), loss);
    entry_run_kernels(e, known, count);
    return loss;
}

static LLVMValueRef make_step(Entries *es)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer, u->pointer, u->size};
    Entry e = entry_open(es, ENTRY_STEP, "step", u->f64, params, 3);
    entry_take_examples(&e, no_number(u));
    entry_argument(&e, ARGUMENT_DRAWS, entry_first_draw(&e, entry_header_load(&e, HEADER_STEP)));
    LLVMValueRef loss = run_with_loss(&e);
    entry_count_update(&e);
    LLVMBuildRet(u->builder, loss);
    return entry_finish(&e);
}

/* The first micro-batch of an update draws as its step would, each further one as a step of its own. */
static LLVMValueRef make_gradient(Entries *es)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer, u->pointer, u->size, u->f64, u->i32};
    Entry e = entry_open(es, ENTRY_GRADIENT, "gradient", u->f64, params, 5);
    entry_take_examples(&e, no_number(u));
    LLVMValueRef first =
        LLVMBuildICmp(u->builder, LLVMIntNE, LLVMGetParam(e.function, 4), unit_i32(u, 0), "");
    LLVMValueRef next =
        LLVMBuildAdd(u->builder, entry_header_load(&e, HEADER_DRAWS), unit_i64(u, 1), "");
    LLVMValueRef draw = LLVMBuildSelect(
        u->builder, first, entry_first_draw(&e, entry_header_load(&e, HEADER_STEP)), next, "");
    entry_argument(&e, ARGUMENT_SCALE, LLVMGetParam(e.function, 3));
    entry_argument(&e, ARGUMENT_FIRST, LLVMBuildZExt(u->builder, first, u->i64, ""));
    entry_argument(&e, ARGUMENT_DRAWS, draw);
    LLVMValueRef loss = run_with_loss(&e);
    entry_header_store(&e, HEADER_DRAWS, draw);
    LLVMBuildRet(u->builder, loss);
    return entry_finish(&e);
}

static LLVMValueRef make_update(Entries *es)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer};
    Entry e = entry_open(es, ENTRY_UPDATE, "update", u->void_type, params, 1);
    e.n = unit_i64(u, e.s->graph->batch);
    entry_block(&e);
    entry_run_kernels(&e, 0, e.s->kernels.count);
    entry_count_update(&e);
    LLVMBuildRetVoid(u->builder);
    return entry_finish(&e);
}

static LLVMValueRef make_loss(Entries *es)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer, u->pointer, u->size, u->pointer};
    Entry e = entry_open(es, ENTRY_LOSS, "loss", u->f64, params, 4);
    entry_take_examples(&e, no_number(u));
    entry_run_kernels(&e, 0, e.s->kernels.count);
    LLVMValueRef each = LLVMGetParam(e.function, 3), loss = loss_value(&e);
    entry_leave_unless(&e, LLVMBuildIsNotNull(u->builder, each, ""), loss);
    entry_store_results(&e, RESULT_VALUE, each);
    LLVMBuildRet(u->builder, loss);
    return entry_finish(&e);
}

/* ---- sums over a set ------------------------------------------------------------------------------------------------------ */

/* evaluate, fit: the examples' sums join those of the examples before. */
static LLVMValueRef make_summing(Entries *es, EntryKind kind)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer, u->pointer, u->size, u->pointer};
    Entry e = entry_open(es, kind, entry_name(kind), u->void_type, params, 4);
    entry_take_examples(&e, NULL);
    entry_run_kernels(&e, 0, e.s->kernels.count);
    entry_store_results(&e, RESULT_SUM, LLVMGetParam(e.function, 3));
    LLVMBuildRetVoid(u->builder);
    return entry_finish(&e);
}

/* Runs what is made of the sums over all examples: the arguments behind the instance. */
static void run_on_sums(Entry *e)
{
    e->n = unit_i64(e->u, 1);
    e->sums = LLVMGetParam(e->function, 1);
    entry_block(e);
    entry_argument(e, ARGUMENT_SUMMED, LLVMGetParam(e->function, 2));
    entry_run_kernels(e, 0, e->s->kernels.count);
}

static LLVMValueRef make_finish(Entries *es)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer, u->pointer, u->i64, u->pointer};
    Entry e = entry_open(es, ENTRY_FINISH, "finish", u->void_type, params, 4);
    run_on_sums(&e);
    entry_store_results(&e, RESULT_VALUE, LLVMGetParam(e.function, 3));
    LLVMBuildRetVoid(u->builder);
    return entry_finish(&e);
}

static LLVMValueRef make_fitted(Entries *es)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer, u->pointer, u->i64};
    Entry e = entry_open(es, ENTRY_FITTED, "fitted", u->void_type, params, 3);
    run_on_sums(&e);
    LLVMBuildRetVoid(u->builder);
    return entry_finish(&e);
}

/* ---- predict -------------------------------------------------------------------------------------------------------------- */

/* to[slot] = from[slot], `done` examples on. */
static void advance(Entry *e, LLVMValueRef to, LLVMValueRef from, const Port *p, LLVMValueRef done)
{
    EmitUnit *u = e->u;
    int64_t bytes = port_elements(p) * dtype_size(p->type);
    LLVMValueRef offset = LLVMBuildMul(u->builder, done, unit_i64(u, bytes), "");
    LLVMValueRef moved =
        LLVMBuildGEP2(u->builder, u->i8, entry_pointer_at(e, from, p->slot), &offset, 1, "");
    LLVMValueRef at = unit_i64(u, p->slot);
    LLVMBuildStore(u->builder, moved, LLVMBuildGEP2(u->builder, u->pointer, to, &at, 1, ""));
}

/* Any number of examples, a batch at a time. */
static LLVMValueRef make_predict(Entries *es)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer, u->pointer, u->size, u->pointer};
    Entry e = entry_open(es, ENTRY_PREDICT, "predict", u->void_type, params, 4);
    LLVMValueRef inputs = LLVMGetParam(e.function, 1), outputs = LLVMGetParam(e.function, 3);
    LLVMValueRef total = entry_number64(&e, LLVMGetParam(e.function, 2)),
                 batch = unit_i64(u, e.s->graph->batch);
    e.n = batch;
    entry_block(&e);
    e.inputs = entry_pointers(&e, es->program->inputs.count);
    e.outputs = entry_pointers(&e, es->program->outputs.count);
    KernelBuilder shell = {.u = u, .function = e.function}; /* for the loop alone */
    CountedLoop c = loop_open(&shell, unit_i64(u, 0), total, e.s->graph->batch, "done");
    LLVMValueRef left = LLVMBuildSub(u->builder, total, c.counter, "");
    LLVMValueRef fewer = LLVMBuildICmp(u->builder, LLVMIntULT, left, batch, "");
    e.n = LLVMBuildSelect(u->builder, fewer, left, batch, "");
    entry_argument(&e, ARGUMENT_EXAMPLES, e.n);
    for (int i = 0; i < es->program->inputs.count; i++)
        if (entry_reads_port(e.s, es->program->inputs.data[i]))
            advance(&e, e.inputs, inputs, es->program->inputs.data[i], c.counter);
    for (int i = 0; i < es->program->outputs.count; i++)
        advance(&e, e.outputs, outputs, es->program->outputs.data[i], c.counter);
    entry_run_kernels(&e, 0, e.s->kernels.count);
    loop_close(&shell, &c, true);
    LLVMBuildRetVoid(u->builder);
    return entry_finish(&e);
}

/* ---- all of them ------------------------------------------------------------------------------------------------------------------ */

EntryPoints entry_points(EmitUnit *u)
{
    Entries *es = arena_new(u->arena, Entries, 1);
    Schedule *const *s = u->compiled->schedules;
    *es = (Entries){.u = u, .program = u->compiled->program};
    dispatch_lower(es);
    dispatch_run(es);
    chain_emit(es);
    profile_run(es);
    matrix_emit(es);
    EntryPoints p = {.bytes = instance_bytes(es),
                     .init = instance_init(es),
                     .threads = instance_threads(es),
                     .get_step = instance_get_step(es),
                     .set_step = instance_set_step(es),
                     .scratch_bytes = es->scratch_bytes,
                     .matrix_tiles = es->permission != NULL};
    p.step = s[ENTRY_STEP] ? make_step(es) : NULL;
    p.gradient = s[ENTRY_GRADIENT] ? make_gradient(es) : NULL;
    p.update = s[ENTRY_UPDATE] ? make_update(es) : NULL;
    p.loss = s[ENTRY_LOSS] ? make_loss(es) : NULL;
    p.evaluate = s[ENTRY_EVALUATE] ? make_summing(es, ENTRY_EVALUATE) : NULL;
    p.finish = s[ENTRY_FINISH] ? make_finish(es) : NULL;
    p.predict = s[ENTRY_PREDICT] ? make_predict(es) : NULL;
    p.fit = s[ENTRY_FIT] ? make_summing(es, ENTRY_FIT) : NULL;
    p.fitted = s[ENTRY_FITTED] ? make_fitted(es) : NULL;
    p.generate = s[ENTRY_GENERATE] ? generate_emit(es) : NULL;
    if (s[ENTRY_GRADIENT] || s[ENTRY_STEP])
        p.diagnose = diagnose_emit(es, s[ENTRY_GRADIENT] ? ENTRY_GRADIENT : ENTRY_STEP);
    profile_points(es, &p);
    return p;
}

EmitUnit *emit_build(const Compiled *c, const EmitOptions *o, const LaneModel *lanes)
{
    const Program *p = c->program;
    EmitUnit *u =
        unit_create(o, lanes, p->real, p->sources, o->prefix ? o->prefix : p->name, p->arena);
    u->compiled = c;
    debug_open(u, p->source_file);
    EntryPoints e = entry_points(u);
    descriptor_emit(u, &e);
    if (!o->freestanding)
        wrappers_emit(u, &e);
    debug_close(u);
    unit_verify(u);
    return u;
}
