/* The path of one model through the compiler. */
#include "driver/driver.h"
#include "grad/grad.h"

#include <errno.h>
#include <string.h>

typedef struct EntryPass {
    EntryKind kind;
    bool differentiate;
    bool checked; /* the gradient check needs it too */
} EntryPass;

/* In the order the entries are built. */
static const EntryPass entries[] = {
    {ENTRY_EVALUATE, false, false}, /* first: it finds losses and metrics, and every parameter */
    {ENTRY_FINISH, false, false},   /* after evaluate, whose sums it takes                     */
    {ENTRY_PREDICT, false, false},
    {ENTRY_LOSS, false, true},
    {ENTRY_GRADIENT, true, true},
    {ENTRY_STEP, true, false},
    {ENTRY_UPDATE, false, false},
    {ENTRY_INIT, false, true}, /* last: every declaration adds to it                      */
};

bool compile_parse(Compilation *c)
{
    const char *path = c->options->input;
    const int file = source_read(c->syntax.sources, path);
    if (file < 0) {
        fprintf(stderr, "gradc: cannot read `%s`: %s\n", path, strerror(errno));
        return false;
    }
    c->file = syntax_parse(&c->syntax, file);
    return c->file != NULL;
}

/* Every pass leaves a legal graph behind: it is cheap to look, and a wrong one must not train. */
static void verify(Graph *g, const char *pass)
{
    const char *wrong = graph_verify(g);
    if (wrong)
        bug("after %s, entry %s: %s", pass, g->name, wrong);
}

static bool build_entry(Compilation *c, const EntryPass *e)
{
    Program *p = sema_program(c->sema);
    if (e->kind != ENTRY_INIT) {
        if (!sema_forward(c->sema, e->kind))
            return false;
        verify(p->entries[e->kind], "elaboration");
        if (e->differentiate) {
            grad_run(p->entries[e->kind], p, c->syntax.diag);
            verify(p->entries[e->kind], "differentiation");
        }
        if (!sema_complete(c->sema, e->kind))
            return false;
    }
    opt_run(p->entries[e->kind], &c->log);
    verify(p->entries[e->kind], "simplification");
    return diag_error_count(c->syntax.diag) == 0;
}

static bool begin(Compilation *c, DType real, bool checked)
{
    const SemaOptions options = {c->options->model, real, checked};
    c->sema = sema_create(&c->syntax, c->file, &options);
    return c->sema != NULL;
}

Graph *compile_gradient(Compilation *c, bool differentiate)
{
    if (!begin(c, TYPE_F32, false))
        return NULL;
    sema_print_outputs(c->sema);
    const EntryKind kind = sema_has_entry(c->sema, ENTRY_GRADIENT) ? ENTRY_GRADIENT : ENTRY_PREDICT;
    if (!sema_forward(c->sema, kind))
        return NULL;
    Graph *g = sema_program(c->sema)->entries[kind];
    verify(g, "elaboration");
    if (differentiate && kind == ENTRY_GRADIENT)
        grad_run(g, sema_program(c->sema), c->syntax.diag);
    verify(g, "differentiation");
    opt_run(g, &c->log);
    verify(g, "simplification");
    return diag_error_count(c->syntax.diag) ? NULL : g;
}

Graph *compile_inference(Compilation *c)
{
    if (!sema_forward_inference(c->sema))
        return NULL;
    Graph *g = sema_program(c->sema)->entries[ENTRY_LOSS];
    opt_run(g, NULL);
    verify(g, "simplification");
    return g;
}

/* An instance larger than --max-memory allows: names what is there at the peak. */
static bool within_memory(Compilation *c, const Compiled *compiled)
{
    const uint64_t limit = c->options->max_memory;
    if (!limit || compiled->instance_bytes <= limit)
        return true;
    const Program *p = compiled->program;
    diag_error(c->syntax.diag, c->file->span, "an instance of `%s` needs %llu bytes, and --max-memory allows %llu",
               p->name, (unsigned long long)compiled->instance_bytes, (unsigned long long)limit);
    const Schedule *worst = NULL;
    for (int i = 0; i < ENTRY_COUNT; i++)
        if (compiled->schedules[i] && (!worst || compiled->schedules[i]->workspace_bytes > worst->workspace_bytes))
            worst = compiled->schedules[i];
    diag_help(c->syntax.diag, "%llu bytes are parameters and other tensors that stay, %llu are workspace",
              (unsigned long long)compiled->persistent_bytes, (unsigned long long)compiled->workspace_bytes);
    for (int i = 0; worst && i < worst->graph->nodes.count; i++) {
        const Place *at = &worst->places[i];
        if (at->kind == PLACE_WORKSPACE && !at->same_as && at->first <= worst->peak_kernel && at->last >= worst->peak_kernel)
            diag_note(c->syntax.diag, worst->graph->nodes.data[i]->span, "`%s` takes %llu bytes at the peak of %s",
                      worst->graph->nodes.data[i]->name, (unsigned long long)at->bytes, worst->graph->name);
    }
    return false;
}

/* predict() is given every input, and a target only where an output depends on it. */
static void mark_predicted(const Program *p)
{
    for (int i = 0; i < p->inputs.count; i++)
        p->inputs.data[i]->for_predict = !p->inputs.data[i]->is_target;
    const Graph *g = p->entries[ENTRY_PREDICT];
    for (int i = 0; g && i < g->nodes.count; i++)
        if (g->nodes.data[i]->kind == NODE_PORT)
            g->nodes.data[i]->port->for_predict = true;
}

static Compiled *finish_program(Compilation *c, const bool *built)
{
    Program *p = sema_program(c->sema);
    Compiled *compiled = arena_new(c->arena, Compiled, 1);
    compiled->program = p;
    mark_predicted(p);
    for (int i = 0; i < ENTRY_COUNT; i++)
        if (built[i])
            compiled->schedules[i] = schedule_run(p->entries[i], p);
    memory_place_tensors(p, EMIT_HEADER_BYTES);
    emit_layout(compiled);
    return within_memory(c, compiled) ? compiled : NULL;
}

static Compiled *compile_entries(Compilation *c, DType real, bool checked)
{
    bool built[ENTRY_COUNT] = {false};
    if (!begin(c, real, checked))
        return NULL;
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        if (!sema_has_entry(c->sema, entries[i].kind) || (checked && !entries[i].checked))
            continue;
        if (!build_entry(c, &entries[i]))
            return NULL;
        built[entries[i].kind] = true;
    }
    return finish_program(c, built);
}

Compiled *compile_program(Compilation *c, DType real)
{
    return compile_entries(c, real, false);
}

Compiled *compile_checked(Compilation *c)
{
    return compile_entries(c, TYPE_F64, true);
}
