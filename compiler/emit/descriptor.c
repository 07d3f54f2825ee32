/* The tables of gradrt.h as constants: what the object says of itself. */
#include "emit/internal.h"
#include "gradrt.h"

#include <string.h>

typedef struct Fields {
    LLVMValueRef values[64];
    int count;
} Fields;

static void add(Fields *f, LLVMValueRef v)
{
    if (f->count == (int)(sizeof f->values / sizeof *f->values))
        bug("a descriptor's table is wider than thought");
    f->values[f->count++] = v;
}

static void add_int(EmitUnit *u, Fields *f, int64_t v)
{
    add(f, LLVMConstInt(u->i32, (unsigned long long)v, true));
}

static void add_u64(EmitUnit *u, Fields *f, uint64_t v)
{
    add(f, LLVMConstInt(u->i64, v, false));
}

static void add_double(EmitUnit *u, Fields *f, double v)
{
    add(f, LLVMConstReal(u->f64, v));
}

static void add_text(EmitUnit *u, Fields *f, const char *text)
{
    add(f, unit_string(u, text));
}

static LLVMValueRef close_struct(EmitUnit *u, Fields *f)
{
    return LLVMConstStructInContext(u->context, f->values, (unsigned)f->count, false);
}

/* A private table; NULL for an empty one. */
static LLVMValueRef table(EmitUnit *u, const char *name, LLVMValueRef *rows, int count)
{
    if (!count)
        return LLVMConstNull(u->pointer);
    LLVMTypeRef type = LLVMTypeOf(rows[0]);
    return unit_constant_global(u, name, LLVMConstArray2(type, rows, (uint64_t)count));
}

static LLVMValueRef shape(EmitUnit *u, int rank, const int64_t *extents)
{
    LLVMValueRef *values = arena_new(u->arena, LLVMValueRef, rank + 1);
    for (int i = 0; i < rank; i++)
        values[i] = unit_i64(u, extents[i]);
    return table(u, "shape", values, rank);
}

static uint64_t elements(int rank, const int64_t *extents)
{
    uint64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= (uint64_t)extents[i];
    return count;
}

/* ---- rows, in the order of gradrt.h's fields -------------------------------------------------------- */

/* The place of a tensor, or of a loss's name, among the program's; -1: of none. */
static int place_of_tensor(const Program *p, const Tensor *t)
{
    for (int i = 0; i < p->tensors.count; i++)
        if (p->tensors.data[i] == t)
            return i;
    return -1;
}

static int place_of_loss(const Program *p, const char *loss)
{
    for (int i = 0; loss && i < p->losses.count; i++)
        if (!strcmp(p->losses.data[i], loss))
            return i;
    return -1;
}

static LLVMValueRef tensor_row(EmitUnit *u, const Program *p, const Tensor *t)
{
    Fields f = {0};
    add_text(u, &f, t->name);
    add_int(u, &f, (int)t->type);
    add_int(u, &f, (int)t->role);
    add_int(u, &f, t->rank);
    add(&f, shape(u, t->rank, t->shape));
    add_u64(u, &f, t->offset);
    add_u64(u, &f, elements(t->rank, t->shape));
    add_int(u, &f, t->frozen);
    add_double(u, &f, t->initial);
    add_int(u, &f, place_of_tensor(p, t->of));
    add_int(u, &f, place_of_loss(p, t->loss));
    return close_struct(u, &f);
}

static LLVMValueRef port_row(EmitUnit *u, const Port *p)
{
    Fields f = {0};
    add_text(u, &f, p->name);
    add_int(u, &f, (int)p->type);
    add_int(u, &f, (int)p->domain);
    add_u64(u, &f, (uint64_t)p->classes);
    add_int(u, &f, p->rank);
    add(&f, shape(u, p->rank, p->shape));
    add_u64(u, &f, elements(p->rank, p->shape));
    add_int(u, &f, p->is_target);
    add_int(u, &f, p->for_predict);
    return close_struct(u, &f);
}

static LLVMValueRef metric_row(EmitUnit *u, const Metric *m)
{
    Fields f = {0};
    add_text(u, &f, m->name);
    add_int(u, &f, m->rank);
    add(&f, shape(u, m->rank, m->shape));
    add_u64(u, &f, elements(m->rank, m->shape));
    add_u64(u, &f, (uint64_t)m->slot);
    return close_struct(u, &f);
}

static LLVMValueRef layer_row(EmitUnit *u, const LayerRow *l)
{
    Fields f = {0};
    add_text(u, &f, l->name);
    add_text(u, &f, l->kind);
    add_int(u, &f, l->rank);
    add(&f, shape(u, l->rank, l->shape));
    add_u64(u, &f, (uint64_t)l->parameters);
    add_u64(u, &f, (uint64_t)l->flops);
    return close_struct(u, &f);
}

static LLVMValueRef source_row(EmitUnit *u, const TrainSource *s)
{
    if (!s)
        return LLVMConstNull(u->pointer);
    LLVMValueRef *rows = arena_new(u->arena, LLVMValueRef, s->options.count + 1);
    for (int i = 0; i < s->options.count; i++) {
        Fields f = {0};
        add_text(u, &f, s->options.data[i].key ? s->options.data[i].key : "");
        add_text(u, &f, s->options.data[i].text);
        add_double(u, &f, s->options.data[i].number);
        rows[i] = close_struct(u, &f);
    }
    Fields f = {0};
    add_text(u, &f, s->kind);
    add(&f, table(u, "options", rows, s->options.count));
    add_int(u, &f, s->options.count);
    add(&f, source_row(u, s->beside));
    return unit_constant_global(u, "source", close_struct(u, &f));
}

static LLVMValueRef train_row(EmitUnit *u, const Train *t)
{
    Fields f = {0};
    add(&f, source_row(u, t->data));
    add(&f, source_row(u, t->holdout));
    add_double(u, &f, t->holdout_fraction);
    add_u64(u, &f, (uint64_t)t->batch);
    add_u64(u, &f, (uint64_t)(t->accumulate > 1 ? t->accumulate : 1));
    add_u64(u, &f, (uint64_t)t->epochs);
    add_u64(u, &f, (uint64_t)t->steps);
    add_u64(u, &f, (uint64_t)t->evaluate_every);
    add_int(u, &f, t->evaluate_in_epochs);
    add_text(u, &f, t->best_by);
    add_int(u, &f, t->best_is_larger);
    add_u64(u, &f, (uint64_t)t->patience);
    add_u64(u, &f, t->seed);
    add_int(u, &f, t->shuffle);
    return unit_constant_global(u, "train", close_struct(u, &f));
}

/* ---- tables ---------------------------------------------------------------------------------------------- */

static LLVMValueRef tensor_table(EmitUnit *u, const Program *p)
{
    LLVMValueRef *rows = arena_new(u->arena, LLVMValueRef, p->tensors.count + 1);
    for (int i = 0; i < p->tensors.count; i++)
        rows[i] = tensor_row(u, p, p->tensors.data[i]);
    return table(u, "tensors", rows, p->tensors.count);
}

static LLVMValueRef port_table(EmitUnit *u, const char *name, Port *const *ports, int count)
{
    LLVMValueRef *rows = arena_new(u->arena, LLVMValueRef, count + 1);
    for (int i = 0; i < count; i++)
        rows[i] = port_row(u, ports[i]);
    return table(u, name, rows, count);
}

static LLVMValueRef name_table(EmitUnit *u, const char *name, const char *const *names, int count)
{
    LLVMValueRef *rows = arena_new(u->arena, LLVMValueRef, count + 1);
    for (int i = 0; i < count; i++)
        rows[i] = unit_string(u, names[i]);
    return table(u, name, rows, count);
}

static LLVMValueRef metric_table(EmitUnit *u, const Program *p)
{
    LLVMValueRef *rows = arena_new(u->arena, LLVMValueRef, p->metrics.count + 1);
    for (int i = 0; i < p->metrics.count; i++)
        rows[i] = metric_row(u, &p->metrics.data[i]);
    return table(u, "metrics", rows, p->metrics.count);
}

static LLVMValueRef layer_table(EmitUnit *u, const Program *p)
{
    LLVMValueRef *rows = arena_new(u->arena, LLVMValueRef, p->layers.count + 1);
    for (int i = 0; i < p->layers.count; i++)
        rows[i] = layer_row(u, &p->layers.data[i]);
    return table(u, "layers", rows, p->layers.count);
}

static LLVMValueRef init_table(EmitUnit *u, const Program *p)
{
    LLVMValueRef *rows = arena_new(u->arena, LLVMValueRef, p->inits.count + 1);
    for (int i = 0; i < p->inits.count; i++) {
        Fields f = {0};
        add_text(u, &f, p->inits.data[i].pattern);
        add_text(u, &f, p->inits.data[i].file);
        add_text(u, &f, p->inits.data[i].names);
        rows[i] = close_struct(u, &f);
    }
    return table(u, "inits", rows, p->inits.count);
}

static void add_functions(EmitUnit *u, Fields *f, const EntryPoints *e)
{
    const LLVMValueRef functions[] = {e->bytes,    e->init,     e->threads,  e->step,
                                      e->gradient, e->update,   e->loss,     e->evaluate,
                                      e->finish,   e->fit,      e->fitted,   e->predict,
                                      e->generate, e->diagnose, e->get_step, e->set_step};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        add(f, functions[i] ? functions[i] : LLVMConstNull(u->pointer));
    add(f, e->kernels ? e->kernels : LLVMConstNull(u->pointer));
    add_int(u, f, e->kernel_count);
    add(f, e->profile ? e->profile : LLVMConstNull(u->pointer));
    add(f, e->peak ? e->peak : LLVMConstNull(u->pointer));
    add(f, e->read ? e->read : LLVMConstNull(u->pointer));
}

void descriptor_emit(EmitUnit *u, const EntryPoints *e)
{
    const Compiled *c = u->compiled;
    const Program *p = c->program;
    Fields f = {0};
    add_int(u, &f, GRADC_ABI);
    add_text(u, &f, p->name);
    add_text(u, &f, p->source_file);
    add_int(u, &f, (int)p->real);
    add(&f, tensor_table(u, p));
    add_int(u, &f, p->tensors.count);
    add(&f, port_table(u, "inputs", p->inputs.data, p->inputs.count));
    add_int(u, &f, p->inputs.count);
    add(&f, port_table(u, "outputs", p->outputs.data, p->outputs.count));
    add_int(u, &f, p->outputs.count);
    add(&f, name_table(u, "losses", p->losses.data, p->losses.count));
    add_int(u, &f, p->losses.count);
    add(&f, metric_table(u, p));
    add_int(u, &f, p->metrics.count);
    add(&f, layer_table(u, p));
    add_int(u, &f, p->layers.count);
    add(&f, train_row(u, &p->train));
    add(&f, init_table(u, p));
    add_int(u, &f, p->inits.count);
    add_u64(u, &f, c->instance_bytes);
    add_u64(u, &f, e->scratch_bytes);
    add_u64(u, &f, c->persistent_bytes);
    add_u64(u, &f, c->workspace_bytes);
    add_int(u, &f, p->accumulator_count);
    add_int(u, &f, p->value_count);
    add_u64(u, &f, (uint64_t)p->fit_count);
    add_int(u, &f, p->fit_passes);
    add_int(u, &f, p->generated ? p->generated->slot : -1);
    const Schedule *generate = c->schedules[ENTRY_GENERATE];
    add_int(u, &f, generate && (generate->graph->window || generate->graph->reach >= 0));
    add_int(u, &f, e->matrix_tiles);
    add_functions(u, &f, e);
    LLVMValueRef initial = close_struct(u, &f);
    u->descriptor = LLVMAddGlobal(u->module, LLVMTypeOf(initial),
                                  arena_format(u->arena, "%s_model", u->prefix));
    LLVMSetInitializer(u->descriptor, initial);
    LLVMSetGlobalConstant(u->descriptor, true);
}

void emit_add_main(EmitUnit *u, const EmitUnit *checked)
{
    LLVMTypeRef params[] = {u->i32, u->pointer, u->pointer, u->pointer};
    LLVMValueRef trainer =
        LLVMAddFunction(u->module, "gradrt_main", LLVMFunctionType(u->i32, params, 4, false));
    LLVMValueRef twin = LLVMConstNull(u->pointer);
    if (checked) {
        twin = LLVMAddGlobal(u->module, u->i8, arena_format(u->arena, "%s_model", checked->prefix));
        LLVMSetGlobalConstant(twin, true);
    }
    LLVMValueRef f = unit_function(u, "main", LLVMFunctionType(u->i32, params, 2, false), true);
    LLVMPositionBuilderAtEnd(u->builder, unit_block(u, f, "entry"));
    LLVMSetCurrentDebugLocation2(u->builder, NULL);
    LLVMValueRef args[] = {LLVMGetParam(f, 0), LLVMGetParam(f, 1), u->descriptor, twin};
    LLVMBuildRet(u->builder, unit_call(u, trainer, args, 4));
    unit_verify(u);
}
