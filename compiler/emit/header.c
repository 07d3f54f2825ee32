/* The C header of an object: what a program needs to train and ask the model, C99 and C++. */
#include "emit/internal.h"

#include <ctype.h>
#include <string.h>

extern const char emit_gradrt_text[]; /* runtime/gradrt.h, made part of every header */

typedef struct Header {
    Text *out;
    const Compiled *c;
    const Program *p;
    const char *prefix, *upper; /* digits, DIGITS */
    const char *real;           /* float or double */
    Needs needs;
} Header;

static const char *c_type(DType t)
{
    static const char *const names[] = {"uint8_t", "uint8_t", "uint16_t",
                                        "int32_t", "float",   "double"};
    return names[t];
}

static const char *upper_case(Arena *a, const char *name)
{
    char *copy = arena_format(a, "%s", name);
    for (char *c = copy; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    return copy;
}

/* ---- descriptions ---------------------------------------------------------------------------------------- */

/* `image: (n, 8, 8) of uint8_t`, what it means behind it. */
static void describe_port(Header *h, const Port *p)
{
    text_printf(h->out, " *   %-10s (n", c_parameter(h->p->arena, p->name));
    for (int i = 0; i < p->rank; i++)
        text_printf(h->out, ", %lld", (long long)p->shape[i]);
    text_printf(h->out, ") of %s", c_type(p->type));
    if (p->type == TYPE_BOOL)
        text_append(h->out, ", 0 or 1");
    if (p->domain == DOMAIN_CLASS && p->classes)
        text_printf(h->out, ", a class from 0 to %lld", (long long)p->classes - 1);
    if (p->domain == DOMAIN_TOKEN && p->classes)
        text_printf(h->out, ", a token from 0 to %lld", (long long)p->classes - 1);
    text_append(h->out, p->is_target ? "; a target\n" : "\n");
}

static void describe_inputs(Header *h, bool targets)
{
    for (int i = 0; i < h->p->inputs.count; i++)
        if (targets || h->p->inputs.data[i]->for_predict)
            describe_port(h, h->p->inputs.data[i]);
}

static void describe_outputs(Header *h)
{
    for (int i = 0; i < h->p->outputs.count; i++)
        describe_port(h, h->p->outputs.data[i]);
}

static int64_t count_parameters(const Program *p)
{
    int64_t total = 0;
    for (int i = 0; i < p->tensors.count; i++) {
        int64_t count = p->tensors.data[i]->role == ROLE_PARAM;
        for (int k = 0; k < p->tensors.data[i]->rank; k++)
            count *= p->tensors.data[i]->shape[k];
        total += count;
    }
    return total;
}

static void list_names(Text *out, const char *const *names, int count)
{
    for (int i = 0; i < count; i++)
        text_printf(out, "%s%s", i ? ", " : "", names[i]);
}

/* ---- declarations ------------------------------------------------------------------------------------------ */

static void put_inputs(Header *h, bool targets)
{
    for (int i = 0; i < h->p->inputs.count; i++) {
        const Port *p = h->p->inputs.data[i];
        if (targets || p->for_predict)
            text_printf(h->out, ", const %s *%s", c_type(p->type),
                        c_parameter(h->p->arena, p->name));
    }
}

static void put_call(Header *h, const char *result, const char *name, const char *extra)
{
    text_printf(h->out, "%s%s_%s(%s *m", result, h->prefix, name, h->prefix);
    put_inputs(h, true);
    text_printf(h->out, ", size_t n%s);\n\n", extra);
}

static void put_opening(Header *h)
{
    text_printf(h->out,
                "/* %s.h: the model `%s` of %s, compiled by gradc.  Do not edit: it is made anew "
                "with the object.\n",
                h->prefix, h->p->name, h->p->source_file);
    text_printf(h->out,
                " *\n * %lld parameters.  An instance is one block of memory that you bring, "
                "aligned to 64 bytes:\n",
                (long long)count_parameters(h->p));
    text_printf(
        h->out,
        " * %llu bytes of tensors, %llu of workspace, and %llu of scratch for each thread.\n",
        (unsigned long long)h->c->persistent_bytes, (unsigned long long)h->c->workspace_bytes,
        (unsigned long long)h->needs.scratch_bytes);
    text_append(h->out, " * Nothing is allocated, no input or output is done, and no global state "
                        "is kept: instances are\n"
                        " * independent, and one may be used by one thread at a time.");
    if (h->needs.matrix_tiles)
        text_append(h->out,
                    "\n *\n * Calls that compute use AMX, for which they ask Linux; where it "
                    "refuses they end the process by an\n"
                    " * illegal instruction.  Compiled with --mattr=-amx-tile they do without.");
    text_append(h->out, " */\n");
    text_printf(h->out,
                "#ifndef GRADC_MODEL_%s_H\n#define GRADC_MODEL_%s_H\n\n#include "
                "<stddef.h>\n#include <stdint.h>\n\n",
                h->upper, h->upper);
    text_append(h->out, "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n");
}

static void put_instance(Header *h)
{
    unsigned long long bytes = h->c->instance_bytes + h->needs.scratch_bytes;
    text_printf(h->out, "/* An instance; it is the block itself. */\ntypedef struct %s %s;\n\n",
                h->prefix, h->prefix);
    text_printf(h->out, "/* Examples in one call, at most. */\n#define %s_BATCH %lld\n\n", h->upper,
                (long long)h->p->train.batch);
    text_printf(h->out,
                "/* What %s_bytes() returns: memory for an instance that runs on one thread. */\n",
                h->prefix);
    text_printf(h->out, "#define %s_BYTES %llu\nsize_t %s_bytes(void);\n", h->upper, bytes,
                h->prefix);
    text_printf(h->out,
                "/* The same for `threads` threads. */\nsize_t %s_bytes_for(size_t threads);\n\n",
                h->prefix);
    text_append(h->out, "/* Makes an instance of the block: parameters at their declared starting "
                        "values, drawn by `seed`\n"
                        " * where they are random.  The same seed gives the same bits, here and in "
                        "every later call. */\n");
    text_printf(h->out, "%s *%s_init(void *memory, uint64_t seed);\n\n", h->prefix, h->prefix);
}

static void put_training(Header *h)
{
    Schedule *const *s = h->c->schedules;
    if (s[ENTRY_STEP]) {
        text_append(h->out, "/* One step of training on n examples: forward, backward, update.  "
                            "Returns their mean loss; when\n"
                            " * that is no finite number, nothing has been changed.  n is 1 to the "
                            "batch; otherwise nothing\n"
                            " * is done, and the result is NaN.\n");
        describe_inputs(h, true);
        text_append(h->out, " */\n");
        put_call(h, arena_format(h->p->arena, "%s ", h->real), "step", "");
    }
    if (s[ENTRY_GRADIENT]) {
        text_append(
            h->out,
            "/* Forward and backward: stores (first = 1) or adds (first = 0) `scale` times the "
            "gradient of the\n"
            " * mean loss in the gradient tensors.  Returns the mean loss, as a step does. */\n");
        put_call(h, arena_format(h->p->arena, "%s ", h->real), "gradient",
                 ", double scale, int first");
    }
    if (s[ENTRY_UPDATE]) {
        text_append(h->out,
                    "/* Updates the parameters from the gradient tensors; counts as a step. */\n");
        text_printf(h->out, "void %s_update(%s *m);\n\n", h->prefix, h->prefix);
    }
    if (s[ENTRY_LOSS]) {
        text_append(h->out, "/* The mean loss as in training, with nothing changed. */\n");
        put_call(h, arena_format(h->p->arena, "%s ", h->real), "loss", "");
    }
}

/* accuracy, confusion[10, 10] */
static void list_metrics(Text *out, const Program *p)
{
    for (int i = 0; i < p->metrics.count; i++) {
        const Metric *m = &p->metrics.data[i];
        text_printf(out, "%s%s", i ? ", " : "", m->name);
        for (int k = 0; k < m->rank; k++)
            text_printf(out, "%s%lld", k ? ", " : "[", (long long)m->shape[k]);
        text_append(out, m->rank ? "]" : "");
    }
}

static void put_evaluation(Header *h)
{
    if (h->c->schedules[ENTRY_EVALUATE]) {
        text_printf(h->out,
                    "/* As in use, not in training: adds the n examples' sums to sums[0 … %d], "
                    "which begin at 0. */\n",
                    h->p->accumulator_count - 1);
        put_call(h, "void ", "evaluate", ", double *sums");
    }
    if (!h->c->schedules[ENTRY_FINISH])
        return;
    text_append(h->out, "/* From the sums over all examples, values: ");
    list_names(h->out, h->p->losses.data, h->p->losses.count);
    if (h->p->metrics.count)
        text_append(h->out, h->p->losses.count ? ", " : "");
    list_metrics(h->out, h->p);
    text_printf(
        h->out,
        ". */\nvoid %s_finish(%s *m, const double *sums, uint64_t examples, double *values);\n\n",
        h->prefix, h->prefix);
}

static void put_fitting(Header *h)
{
    const Program *p = h->p;
    if (!h->c->schedules[ENTRY_FIT])
        return;
    text_printf(h->out,
                "/* States that are fitted to the training data, once, before the first step: in "
                "each of %d "
                "passes\n"
                " * all examples go through %s_fit, which adds to sums[0 … %d], 0 at first; then "
                "%s_fitted "
                "makes\n"
                " * the states of them. */\n#define %s_FIT_SUMS %d\n"
                "#define %s_FIT_PASSES %d\n",
                p->fit_passes, h->prefix, p->fit_count - 1, h->prefix, h->upper, p->fit_count,
                h->upper, p->fit_passes);
    put_call(h, "void ", "fit", ", double *sums");
    text_printf(h->out, "void %s_fitted(%s *m, const double *sums, uint64_t examples);\n\n",
                h->prefix, h->prefix);
}

static void put_prediction(Header *h)
{
    if (!h->c->schedules[ENTRY_PREDICT])
        return;
    text_append(h->out, "/* Outputs for n examples, as many as there are.\n");
    describe_inputs(h, false);
    text_append(h->out, " * gives\n");
    describe_outputs(h);
    text_printf(h->out, " */\nvoid %s_predict(%s *m", h->prefix, h->prefix);
    put_inputs(h, false);
    text_append(h->out, ", size_t n");
    for (int i = 0; i < h->p->outputs.count; i++) {
        const Port *p = h->p->outputs.data[i];
        text_printf(h->out, ", %s *%s", c_type(p->type), c_parameter(h->p->arena, p->name));
    }
    text_append(h->out, ");\n\n");
}

static void put_generation(Header *h)
{
    const Schedule *s = h->c->schedules[ENTRY_GENERATE];
    const Port *p = h->p->generated;
    if (!s)
        return;
    text_printf(
        h->out,
        "/* One token of a sequence, from 0 to %lld: writes the log-odds of all %lld tokens to "
        "follow it.\n"
        " * Positions come in order, from 0; ",
        (long long)p->classes - 1, (long long)p->classes);
    if (s->graph->window)
        text_printf(h->out,
                    "the log-odds rest on the last %lld, before the first of which are zeros.",
                    (long long)p->shape[0]);
    else if (s->graph->reach >= 0)
        text_append(h->out, "there is no last one.");
    else
        text_printf(h->out, "the last is %lld.", (long long)p->shape[0] - 1);
    text_printf(h->out,
                "  Between two of them call nothing else of the\n"
                " * instance.  For a position or token out of range nothing is done. */\n"
                "void %s_generate(%s *m, size_t position, uint32_t %s, %s *logits);\n\n",
                h->prefix, h->prefix, c_parameter(h->p->arena, p->name), h->real);
}

/* ---- the whole ----------------------------------------------------------------------------------------------- */

static void put_tables(Header *h)
{
    text_append(h->out, "#ifdef __cplusplus\n}\n#endif\n\n"
                        "/* ---- tables: what the object says of itself; the same in every model's "
                        "header ---- */\n\n");
    text_append(h->out, emit_gradrt_text);
    text_append(h->out, "\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n");
    text_append(h->out, "/* Every tensor: name, type, shape, offset into the instance, role; and "
                        "every entry point. */\n");
    text_printf(h->out, "extern const gradc_model %s_model;\n\n", h->prefix);
    text_append(h->out, "/* Hands the instance `threads` workers, for whom its memory has room; "
                        "NULL: back to the caller's\n"
                        " * thread.  The results are the same to the bit. */\n");
    text_printf(h->out,
                "void %s_threads(%s *m, gradc_parallel_for *run, void *pool, size_t threads);\n\n",
                h->prefix, h->prefix);
    text_append(h->out, "#ifdef __cplusplus\n}\n#endif\n#endif\n");
}

void emit_header(Text *out, const Compiled *c, const EmitOptions *o)
{
    LaneModel lanes;
    const char *error = NULL;
    const Program *p = c->program;
    if (!emit_lane_model(o, &lanes, &error, p->arena))
        die("%s", error);
    const char *prefix = o->prefix ? o->prefix : p->name;
    Header h = {
        out, c, p, prefix, upper_case(p->arena, prefix), c_type(p->real), entry_needs(c, &lanes)};
    put_opening(&h);
    put_instance(&h);
    put_fitting(&h);
    put_training(&h);
    put_evaluation(&h);
    put_prediction(&h);
    put_generation(&h);
    put_tables(&h);
}
