/* The path of one model through the compiler. */
#include "driver/driver.h"
#include "grad/grad.h"

#include <errno.h>
#include <string.h>

/* What is compiled for whom. */
enum {
    OBJECT = 1,      /* whatever a program may call                             */
    TRAINER = 2,     /* what libgradrt calls: one update a step …               */
    ACCUMULATES = 4, /* … or one in several, from gradients that stay meanwhile */
    CHECKED = 8,     /* the gradient check's twin                               */
    ALWAYS = OBJECT | TRAINER | ACCUMULATES,
};

typedef struct EntryPass {
    EntryKind kind;
    bool differentiate;
    unsigned wanted;
} EntryPass;

/* In the order the entries are built. */
static const EntryPass entries[] = {
    {ENTRY_EVALUATE, false, ALWAYS}, /* first: it finds losses and metrics, and every parameter */
    {ENTRY_FINISH, false, ALWAYS},   /* after evaluate, whose sums it takes                     */
    {ENTRY_PREDICT, false, ALWAYS},
    {ENTRY_GENERATE, false, ALWAYS},
    {ENTRY_FIT, false, ALWAYS},    /* after what has found a state that is fitted */
    {ENTRY_FITTED, false, ALWAYS}, /* after fit, whose sums it takes              */
    {ENTRY_LOSS, false, OBJECT | CHECKED},
    {ENTRY_GRADIENT, true, OBJECT | ACCUMULATES | CHECKED},
    {ENTRY_STEP, true, OBJECT | TRAINER},
    {ENTRY_UPDATE, false, OBJECT | ACCUMULATES},
    {ENTRY_INIT, false, ALWAYS | CHECKED}, /* last: every declaration adds to it */
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

/* Or may it be a single example? */
static bool gets_whole_batches(EntryKind kind)
{
    return kind != ENTRY_PREDICT && kind != ENTRY_GENERATE;
}

static bool build_entry(Compilation *c, const EntryPass *e)
{
    Program *p = sema_program(c->sema);
    if (e->kind != ENTRY_INIT) {
        if (!sema_forward(c->sema, e->kind))
            return false;
        verify(p->entries[e->kind], "elaboration");
        if (gets_whole_batches(e->kind))
            opt_forward(p->entries[e->kind], &c->log);
        if (e->differentiate) {
            grad_run(p->entries[e->kind], p, c->syntax.diag);
            verify(p->entries[e->kind], "differentiation");
        }
        if (!sema_complete(c->sema, e->kind))
            return false;
    }
    opt_run(p->entries[e->kind], &c->log);
    verify(p->entries[e->kind], "simplification");
    if (e->kind == ENTRY_GENERATE &&
        opt_positions(p->entries[e->kind], p->generated, p->generate_span, c->syntax.diag))
        verify(p->entries[e->kind], "taking positions apart");
    return diag_error_count(c->syntax.diag) == 0;
}

static bool begin(Compilation *c, DType real)
{
    const SemaOptions options = {c->options->model, real};
    c->sema = sema_create(&c->syntax, c->file, &options);
    return c->sema != NULL;
}

Graph *compile_gradient(Compilation *c, bool differentiate)
{
    if (!begin(c, TYPE_F32))
        return NULL;
    /* As in a whole program, evaluation is the first to name the layers. */
    if (sema_has_entry(c->sema, ENTRY_EVALUATE) && !sema_forward(c->sema, ENTRY_EVALUATE))
        return NULL;
    sema_print_outputs(c->sema);
    const EntryKind kind = sema_has_entry(c->sema, ENTRY_GRADIENT)  ? ENTRY_GRADIENT
                           : sema_has_entry(c->sema, ENTRY_PREDICT) ? ENTRY_PREDICT
                                                                    : ENTRY_GENERATE;
    if (!sema_forward(c->sema, kind))
        return NULL;
    Graph *g = sema_program(c->sema)->entries[kind];
    verify(g, "elaboration");
    if (differentiate && kind == ENTRY_GRADIENT) {
        opt_forward(g, &c->log);
        grad_run(g, sema_program(c->sema), c->syntax.diag);
    }
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

/* ---- --max-memory ------------------------------------------------------------------------------------ */

/* The largest of what stays from step to step. */
static void note_tensors(Compilation *c, const Program *p)
{
    enum { NAMED = 5 };
    uint64_t below = UINT64_MAX;
    for (int named = 0; named < NAMED; named++) {
        const Tensor *largest = NULL;
        for (int i = 0; i < p->tensors.count; i++) {
            const Tensor *t = p->tensors.data[i];
            if (tensor_bytes(t) < below && (!largest || tensor_bytes(t) > tensor_bytes(largest)))
                largest = t;
        }
        if (!largest || tensor_bytes(largest) < 64)
            return;
        below = tensor_bytes(largest);
        for (int i = 0; i < p->tensors.count; i++)
            if (tensor_bytes(p->tensors.data[i]) == below)
                diag_note(c->syntax.diag, p->tensors.data[i]->span,
                          "`%s` takes %llu bytes throughout", p->tensors.data[i]->name,
                          (unsigned long long)below);
    }
}

static const Schedule *widest_entry(const Compiled *compiled)
{
    const Schedule *widest = NULL;
    for (int i = 0; i < ENTRY_COUNT; i++) {
        const Schedule *s = compiled->schedules[i];
        if (s && (!widest || s->workspace_bytes > widest->workspace_bytes))
            widest = s;
    }
    return widest;
}

static void note_peak(Compilation *c, const Schedule *s)
{
    for (int i = 0; s && i < s->graph->nodes.count; i++) {
        const Place *at = &s->places[i];
        const Node *n = s->graph->nodes.data[i];
        if (at->kind == PLACE_WORKSPACE && !at->same_as && at->first <= s->peak_kernel &&
            at->last >= s->peak_kernel)
            diag_note(c->syntax.diag, n->span, "`%s` takes %llu bytes at the peak of %s", n->name,
                      (unsigned long long)at->bytes, s->graph->name);
    }
}

/* An instance larger than --max-memory allows: names what is there at the peak. */
static bool within_memory(Compilation *c, const Compiled *compiled)
{
    const uint64_t limit = c->options->max_memory;
    if (!limit || compiled->instance_bytes <= limit)
        return true;
    const Program *p = compiled->program;
    diag_error(c->syntax.diag, c->file->span,
               "an instance of `%s` needs %llu bytes, and --max-memory allows %llu", p->name,
               (unsigned long long)compiled->instance_bytes, (unsigned long long)limit);
    note_tensors(c, p);
    note_peak(c, widest_entry(compiled));
    diag_help(c->syntax.diag,
              "%llu bytes are parameters and other tensors that stay, %llu are workspace",
              (unsigned long long)compiled->persistent_bytes,
              (unsigned long long)compiled->workspace_bytes);
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
            compiled->schedules[i] = schedule_run(p->entries[i], p, &c->lanes);
    memory_place_tensors(p, EMIT_HEADER_BYTES);
    emit_layout(compiled);
    return within_memory(c, compiled) ? compiled : NULL;
}

static Compiled *compile_entries(Compilation *c, DType real, unsigned wanted)
{
    bool built[ENTRY_COUNT] = {false};
    if (!begin(c, real))
        return NULL;
    if (wanted == TRAINER && sema_program(c->sema)->train.accumulate > 1)
        wanted = ACCUMULATES;
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        if (!(entries[i].wanted & wanted) || !sema_has_entry(c->sema, entries[i].kind))
            continue;
        if (!build_entry(c, &entries[i]))
            return NULL;
        built[entries[i].kind] = true;
    }
    return finish_program(c, built);
}

Compiled *compile_program(Compilation *c)
{
    return compile_entries(c, TYPE_F32, OBJECT);
}

Compiled *compile_trainer(Compilation *c)
{
    return compile_entries(c, TYPE_F32, TRAINER);
}

Compiled *compile_checked(Compilation *c)
{
    return compile_entries(c, TYPE_F64, CHECKED);
}
