/* The info command: the model as its descriptor tells it. */
#include "internal.h"

#include <inttypes.h>
#include <string.h>

static const char *type_text(char *buffer, size_t size, const gradc_port *p)
{
    static const char *const types[] = {"bool", "u8", "u16", "i32", "f32", "f64"};
    if (p->domain == GRADC_NUMBER)
        snprintf(buffer, size, "%s", types[p->type]);
    else
        snprintf(buffer, size, "%s(%lld)", p->domain == GRADC_CLASS ? "class" : "token",
                 (long long)p->classes);
    return buffer;
}

static void print_ports(const char *title, const gradc_port *ports, int count, int targets)
{
    char shape[SHAPE_TEXT], type[48];
    for (int i = 0; i < count; i++)
        if (ports[i].is_target == targets)
            printf("%-9s %-20s %-16s %s\n", title, ports[i].name,
                   shape_write(shape, ports[i].rank, ports[i].shape),
                   type_text(type, sizeof type, &ports[i]));
}

/* 1234567 → 1 234 567 */
static const char *grouped(char buffer[32], uint64_t n)
{
    char *p = buffer + 31;
    *p = 0;
    for (int i = 0; n || i == 0; i++, n /= 10) {
        if (i && i % 3 == 0)
            *--p = ' ';
        *--p = (char)('0' + n % 10);
    }
    return p;
}

static void print_layers(const gradc_model *m)
{
    char shape[SHAPE_TEXT], a[32], b[32];
    uint64_t flops = 0, parameters = 0, frozen = 0;
    int width = 5;
    for (int i = 0; i < m->layer_count; i++)
        if ((int)strlen(m->layers[i].name) > width)
            width = (int)strlen(m->layers[i].name);
    printf("\n%-*s  %-16s  %-18s  %12s  %14s\n", width, "layer", "kind", "output", "parameters",
           "flops");
    for (int i = 0; i < m->layer_count; i++) {
        const gradc_layer *l = &m->layers[i];
        printf("%-*s  %-16s  %-18s  %12s  %14s\n", width, l->name, l->kind,
               shape_write(shape, l->rank, l->shape), grouped(a, l->parameters),
               grouped(b, l->flops));
        flops += l->flops;
    }
    for (int i = 0; i < m->tensor_count; i++)
        if (m->tensors[i].role == GRADC_PARAM) {
            parameters += m->tensors[i].count;
            frozen += m->tensors[i].frozen ? m->tensors[i].count : 0;
        }
    printf("%-*s  %-16s  %-18s  %12s  %14s\n", width, "total", "", "", grouped(a, parameters),
           grouped(b, flops));
    if (frozen)
        printf("%s of the parameters are frozen\n", grouped(a, frozen));
}

static void print_memory(const gradc_model *m, size_t threads)
{
    char n[32];
    printf("\nmemory, bytes\n");
    printf("  %-24s %14s\n", "persistent", grouped(n, m->persistent_bytes));
    printf("  %-24s %14s\n", "workspace", grouped(n, m->workspace_bytes));
    printf("  %-24s %14s\n", "instance", grouped(n, m->instance_bytes));
    printf("  %-24s %14s\n", "scratch of each thread", grouped(n, m->scratch_bytes));
    printf("  %-3zu %-20s %14s\n", threads, threads == 1 ? "thread in all" : "threads in all",
           grouped(n, m->bytes(threads)));
}

static void print_source(const char *title, const gradc_source *s)
{
    for (; s; s = s->beside, title = "") {
        printf("%-9s %s(", title, s->kind);
        for (int i = 0; i < s->option_count; i++) {
            const gradc_option *o = &s->options[i];
            printf("%s%s%s", i ? ", " : "", o->key, *o->key ? " = " : "");
            if (o->text)
                printf("\"%s\"", o->text);
            else
                printf("%g", o->number);
        }
        printf(")\n");
    }
}

static void print_training(const gradc_model *m)
{
    const gradc_train *t = m->train;
    printf("\n");
    print_source("data", t->data);
    print_source("holdout", t->holdout);
    if (!t->holdout && t->holdout_fraction > 0)
        printf("%-9s %g of the data\n", "holdout", t->holdout_fraction);
    printf("%-9s %" PRIu64, "batch", t->batch);
    if (t->accumulate > 1)
        printf(", %" PRIu64 " accumulated", t->accumulate);
    printf("\n%-9s %" PRIu64 "\n", t->steps ? "steps" : "epochs", t->steps ? t->steps : t->epochs);
    printf("%-9s %" PRIu64 "\n", "seed", t->seed);
}

static void print_values(const gradc_model *m)
{
    for (int i = 0; i < m->loss_count; i++)
        printf("%-9s %s\n", "loss", m->losses[i]);
    for (int i = 0; i < m->metric_count; i++)
        printf("%-9s %s\n", "metric", m->metrics[i].name);
    for (int i = 0; i < m->tensor_count; i++)
        if (m->tensors[i].role == GRADC_HYPER)
            printf("%-9s %-20s %g\n", "hyper", m->tensors[i].name, m->tensors[i].initial);
}

int info_command(const gradc_model *m, const Options *o)
{
    printf("model %s of %s, in %s, ABI %u\n\n", m->name, m->source,
           m->real == GRADC_F64 ? "f64" : "f32", m->abi);
    print_ports("input", m->inputs, m->input_count, 0);
    print_ports("target", m->inputs, m->input_count, 1);
    print_ports("output", m->outputs, m->output_count, 0);
    print_values(m);
    print_layers(m);
    print_memory(m, cli_thread_count(o));
    print_training(m);
    return 0;
}
