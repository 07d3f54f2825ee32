/* Every stage can be seen: one row for each --emit kind. */
#include "driver/driver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- files -------------------------------------------------------------------------------------------- */

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "gradc: %s: %s\n", what, why);
    return 1;
}

/* Whole or not at all: written beside, then renamed. */
static int write_file(Compilation *c, const char *path, const Text *t)
{
    const char *aside = arena_format(c->arena, "%s.%ld.tmp", path, (long)getpid());
    FILE *f = fopen(aside, "wb");
    if (!f)
        return fail(path, strerror(errno));
    const bool written = fwrite(t->data, 1, t->length, f) == t->length;
    if (fclose(f) || !written || rename(aside, path)) {
        const int status = fail(path, strerror(errno));
        remove(aside);
        return status;
    }
    return 0;
}

int write_text(Compilation *c, const Text *t)
{
    if (c->options->output && strcmp(c->options->output, "-"))
        return write_file(c, c->options->output, t);
    if (t->length)
        fwrite(t->data, 1, t->length, stdout);
    return fflush(stdout) ? fail("standard output", strerror(errno)) : 0;
}

/* models/digits.nn becomes digits.o in the current folder. */
static const char *output_path(Compilation *c, const char *suffix)
{
    if (c->options->output)
        return c->options->output;
    const char *slash = strrchr(c->options->input, '/');
    const char *name = slash ? slash + 1 : c->options->input;
    const char *dot = strrchr(name, '.');
    const int length = dot ? (int)(dot - name) : (int)strlen(name);
    return arena_format(c->arena, "%.*s%s", length, name, suffix);
}

static Text new_text(Compilation *c)
{
    Text t;
    text_init(&t, c->arena);
    return t;
}

/* ---- front and middle ------------------------------------------------------------------------------------ */

static int show_ast(Compilation *c)
{
    Text t = new_text(c);
    ast_dump(&t, c->file, c->syntax.sources);
    return write_text(c, &t);
}

/* With `indent` before every line. */
static void print_graph(Compilation *c, Text *out, const Graph *g, const char *indent)
{
    Text t = new_text(c);
    graph_print(&t, g, c->syntax.sources);
    for (const char *line = t.data; line && *line; line = strchr(line, '\n') + 1)
        text_printf(out, "%s%.*s", indent, (int)(strchr(line, '\n') - line + 1), line);
}

/* Where training and inference differ, both are printed, each in its branch. */
static void print_modes(Compilation *c, Text *out, const Graph *g)
{
    const Graph *inference = compile_inference(c);
    if (!inference) {
        print_graph(c, out, g, "");
        return;
    }
    text_append(out, "  if training {\n");
    print_graph(c, out, g, "  ");
    text_append(out, "  } else {\n");
    print_graph(c, out, inference, "  ");
    text_append(out, "  }\n");
}

static int show_graph(Compilation *c, bool differentiate)
{
    Graph *g = compile_gradient(c, differentiate);
    if (!g)
        return 1;
    Text t = new_text(c);
    sema_print_head(&t, c->sema);
    print_modes(c, &t, g);
    sema_print_tail(&t, c->sema);
    if (c->options->explain)
        opt_explain(&t, &c->log);
    return write_text(c, &t);
}

static int show_ir(Compilation *c)
{
    return show_graph(c, false);
}

static int show_grad(Compilation *c)
{
    return show_graph(c, true);
}

static int show_dot(Compilation *c)
{
    Graph *g = compile_gradient(c, false);
    if (!g)
        return 1;
    Text t = new_text(c);
    graph_dot(&t, g);
    const char *path = c->options->output, *dot = path ? strrchr(path, '.') : NULL;
    if (!dot || strcmp(dot, ".svg"))
        return write_text(c, &t);
    FILE *f = popen(arena_format(c->arena, "dot -Tsvg -o '%s'", path), "w");
    if (!f)
        return fail("dot", strerror(errno));
    fwrite(t.data, 1, t.length, f);
    return pclose(f)
               ? fail("dot",
                      "Graphviz could not draw it; is it installed? write a .dot file instead")
               : 0;
}

static bool find_lanes(Compilation *c)
{
    const char *error = NULL;
    if (emit_lane_model(&c->options->code, &c->lanes, &error, c->arena))
        return true;
    fail(c->options->code.target ? c->options->code.target : "target", error);
    return false;
}

static int show_memory(Compilation *c)
{
    const Compiled *compiled = find_lanes(c) ? compile_trainer(c) : NULL;
    if (!compiled)
        return 1;
    Text t = new_text(c);
    text_printf(&t, "instance of %s: %llu bytes\n", compiled->program->name,
                (unsigned long long)compiled->instance_bytes);
    text_printf(&t, "  %10llu  header and tensors\n",
                (unsigned long long)compiled->persistent_bytes);
    text_printf(&t, "  %10llu  workspace\n\n", (unsigned long long)compiled->workspace_bytes);
    for (int i = 0; i < compiled->program->tensors.count; i++) {
        const Tensor *tensor = compiled->program->tensors.data[i];
        text_printf(&t, "  %10llu  %s\n", (unsigned long long)tensor->offset, tensor->name);
    }
    text_append(&t, "\n");
    for (int i = 0; i < ENTRY_COUNT; i++)
        if (compiled->schedules[i])
            memory_print(&t, compiled->schedules[i]);
    return write_text(c, &t);
}

static void note_loops(Text *out, const Schedule *s, const Kernel *k, void *context)
{
    const Compilation *c = context;
    loop_summary(out, lower_kernel(s, k, &c->lanes));
}

static int show_schedule(Compilation *c)
{
    const Compiled *compiled = find_lanes(c) ? compile_program(c) : NULL;
    if (!compiled)
        return 1;
    Text t = new_text(c);
    Rates rates = c->options->rates;
    rates.near_bytes = c->lanes.l2_bytes;
    for (int i = 0; i < ENTRY_COUNT; i++)
        if (compiled->schedules[i])
            schedule_print(&t, compiled->schedules[i], &rates, note_loops, c);
    return write_text(c, &t);
}

static int show_loops(Compilation *c)
{
    const Compiled *compiled = find_lanes(c) ? compile_program(c) : NULL;
    if (!compiled)
        return 1;
    Text t = new_text(c);
    for (int i = 0; i < ENTRY_COUNT; i++) {
        const Schedule *s = compiled->schedules[i];
        for (int k = 0; s && k < s->kernels.count; k++) {
            text_printf(&t, "%s, kernel %d:\n", entry_name(i), k);
            loop_print(&t, lower_kernel(s, s->kernels.data[k], &c->lanes));
        }
    }
    return write_text(c, &t);
}

/* ---- code ------------------------------------------------------------------------------------------------ */

static EmitUnit *build(Compilation *c, const Compiled *compiled, const EmitOptions *o)
{
    EmitUnit *u = emit_build(compiled, o, &c->lanes);
    emit_optimize(u);
    return u;
}

typedef bool Writer(EmitUnit *u, const char *path, const char **error);

static int write_code(Compilation *c, Writer *writer, const char *path)
{
    const Compiled *compiled = find_lanes(c) ? compile_program(c) : NULL;
    if (!compiled)
        return 1;
    const char *error = NULL;
    EmitUnit *u = build(c, compiled, &c->options->code);
    const bool written = writer(u, path, &error);
    emit_dispose(u);
    return written ? 0 : fail(path, error);
}

static int write_llvm(Compilation *c)
{
    return write_code(c, emit_write_llvm, c->options->output ? c->options->output : "-");
}

static int write_assembly(Compilation *c)
{
    return write_code(c, emit_write_assembly, c->options->output ? c->options->output : "-");
}

static const char *header_path(Compilation *c, const char *object)
{
    const size_t length = strlen(object);
    const bool suffix = length > 2 && !strcmp(object + length - 2, ".o");
    return arena_format(c->arena, "%.*s.h", (int)(suffix ? length - 2 : length), object);
}

static int write_object(Compilation *c)
{
    const Compiled *compiled = find_lanes(c) ? compile_program(c) : NULL;
    if (!compiled)
        return 1;
    const char *path = output_path(c, ".o"), *error = NULL;
    EmitUnit *u = build(c, compiled, &c->options->code);
    const bool written = emit_write_object(u, path, &error);
    emit_dispose(u);
    if (!written)
        return fail(path, error);
    Text t = new_text(c);
    emit_header(&t, compiled, &c->options->code);
    return write_file(c, header_path(c, path), &t);
}

static int write_header(Compilation *c)
{
    const Compiled *compiled = find_lanes(c) ? compile_program(c) : NULL;
    if (!compiled)
        return 1;
    Text t = new_text(c);
    emit_header(&t, compiled, &c->options->code);
    return write_text(c, &t);
}

/* The twin in double precision that `gradcheck` runs, under names of its own. */
static EmitUnit *build_checked(Compilation *c)
{
    const Compiled *checked = compile_checked(c);
    if (!checked)
        return NULL;
    EmitOptions o = c->options->code;
    o.prefix = arena_format(c->arena, "%s_f64", o.prefix ? o.prefix : checked->program->name);
    o.library_math = true;
    o.profile = false;
    o.optimize = o.optimize > 1 ? 1 : o.optimize; /* run once in a while: quick to compile */
    return build(c, checked, &o);
}

static bool has_loss(Compilation *c)
{
    return sema_has_entry(c->sema, ENTRY_GRADIENT);
}

static int write_program(Compilation *c)
{
    const Compiled *compiled = find_lanes(c) ? compile_trainer(c) : NULL;
    if (!compiled)
        return 1;
    const char *path = output_path(c, ""), *error = NULL;
    if (!strcmp(path, c->options->input))
        return fail(path, "the program would overwrite its source; name another with -o");
    EmitUnit *u = emit_build(compiled, &c->options->code, &c->lanes);
    EmitUnit *checked = has_loss(c) ? build_checked(c) : NULL;
    emit_add_main(u, checked);
    emit_optimize(u);
    const char *objects[2] = {arena_format(c->arena, "%s.%ld.o", path, (long)getpid()),
                              arena_format(c->arena, "%s.%ld.f64.o", path, (long)getpid())};
    bool done =
        emit_write_object(u, objects[0], &error) &&
        (!checked || emit_write_object(checked, objects[1], &error)) &&
        emit_link(objects, checked ? 2 : 1, &compiled->program->train, path, &error, c->arena);
    emit_dispose(u);
    if (checked)
        emit_dispose(checked);
    remove(objects[0]);
    remove(objects[1]);
    return done ? 0 : fail(path, error);
}

int run_program(Compilation *c)
{
    const Compiled *compiled = find_lanes(c) ? compile_trainer(c) : NULL;
    if (!compiled)
        return 1;
    EmitUnit *u = emit_build(compiled, &c->options->code, &c->lanes);
    EmitUnit *checked = has_loss(c) ? build_checked(c) : NULL;
    char **args = arena_new(c->arena, char *, c->options->trainer_count + 3);
    args[0] = (char *)compiled->program->name;
    const bool named = c->options->trainer_count > 0 && c->options->trainer[0][0] != '-';
    int count = 1;
    if (!named)
        args[count++] = "train";
    for (int i = 0; i < c->options->trainer_count; i++)
        args[count++] = c->options->trainer[i];
    const int status = emit_run(u, checked, count, args);
    emit_dispose(u);
    if (checked)
        emit_dispose(checked);
    return status;
}

static const EmitKind kinds[] = {
    {"ast", "the syntax tree", NULL, show_ast},
    {"ir", "the forward pass as tensor IR, in .nn text", NULL, show_ir},
    {"grad", "forward and backward pass, a .nn file that compiles", NULL, show_grad},
    {"graph", "the forward pass for Graphviz; drawn with -o FILE.svg", NULL, show_dot},
    {"schedule", "kernels with loops, flops and bytes", NULL, show_schedule},
    {"memory", "the memory plan of the trainer", NULL, show_memory},
    {"loops", "the loop IR of every kernel", NULL, show_loops},
    {"llvm", "LLVM IR", NULL, write_llvm},
    {"asm", "assembly (-S)", NULL, write_assembly},
    {"obj", "object file and C header (-c)", ".o", write_object},
    {"header", "the C header alone", NULL, write_header},
    {"exe", "the trainer (default)", "", write_program},
};

int emit_kind_count(void)
{
    return (int)(sizeof kinds / sizeof *kinds);
}

const EmitKind *emit_kind_at(int i)
{
    return &kinds[i];
}

const EmitKind *emit_kind_find(const char *name)
{
    for (int i = 0; i < emit_kind_count(); i++)
        if (!strcmp(kinds[i].name, name))
            return &kinds[i];
    return NULL;
}
