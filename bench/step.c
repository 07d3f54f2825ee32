/* Times training steps of a compiled model on random data, or writes down what it computes.
 *
 *     step time    THREADS BLOCKS SECONDS    warm-up, then BLOCKS blocks of about SECONDS each
 *     step predict THREADS BLOCKS SECONDS    the same for inference instead of training
 *     step trace   FOLDER STEPS              parameters, inputs and the loss of each step, as .npy
 *
 * It links with an object made by `gradc -c --prefix=workload` and with libgradrt, for its pool. */
#define _GNU_SOURCE
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

extern const gradc_model workload_model;

enum { MAX_PORTS = 16 };

typedef struct Data {
    void *rows[MAX_PORTS];
    const void *inputs[MAX_PORTS];
    void *outputs[MAX_PORTS];
    uint64_t state; /* of the generator */
} Data;

/* Marsaglia 2003, "Xorshift RNGs". */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* A value that the port allows: a class, a small whole number, or a real from -1 to 1. */
static double random_value(const gradc_port *p, uint64_t *state)
{
    uint64_t r = next_random(state) >> 16;
    if (p->classes > 0)
        return (double)(r % (uint64_t)p->classes);
    if (p->type == GRADC_F32 || p->type == GRADC_F64)
        return (double)(r % (1 << 20)) / (1 << 19) - 1;
    return (double)(r % (p->type == GRADC_BOOL ? 2 : 200));
}

static void data_fill(Data *d, const gradc_model *m)
{
    for (int i = 0; i < m->input_count; i++) {
        const gradc_port *p = &m->inputs[i];
        size_t size = raw_size(p->type), count = p->count * m->train->batch;
        for (size_t k = 0; k < count; k++)
            number_put(p->type, (char *)d->rows[i] + k * size, random_value(p, &d->state));
    }
}

static void *batch_of(const gradc_port *p, const gradc_model *m)
{
    return memory_pages(p->count * m->train->batch * raw_size(p->type));
}

static void data_create(Data *d, const gradc_model *m)
{
    if (m->input_count > MAX_PORTS || m->output_count > MAX_PORTS) {
        fprintf(stderr, "step: more than %d inputs or outputs\n", MAX_PORTS);
        exit(1);
    }
    *d = (Data){.state = 88172645463325252u};
    for (int i = 0; i < m->input_count; i++)
        d->inputs[i] = d->rows[i] = batch_of(&m->inputs[i], m);
    for (int i = 0; i < m->output_count; i++)
        d->outputs[i] = batch_of(&m->outputs[i], m);
    data_fill(d, m);
}

static double seconds_on(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- time ---------------------------------------------------------------------------------- */

typedef struct Span {
    double wall, cpu; /* seconds a step; cpu: of all threads */
} Span;

typedef void Work(const gradc_model *m, void *instance, const Data *d);

static void train(const gradc_model *m, void *instance, const Data *d)
{
    m->step(instance, d->inputs, m->train->batch);
}

static void infer(const gradc_model *m, void *instance, const Data *d)
{
    m->predict(instance, d->inputs, m->train->batch, d->outputs);
}

static Span time_steps(Work *work, Instance *in, const Data *d, long steps)
{
    double wall = seconds_on(CLOCK_MONOTONIC), cpu = seconds_on(CLOCK_PROCESS_CPUTIME_ID);
    for (long i = 0; i < steps; i++)
        work(in->model, in->self, d);
    return (Span){(seconds_on(CLOCK_MONOTONIC) - wall) / (double)steps,
                  (seconds_on(CLOCK_PROCESS_CPUTIME_ID) - cpu) / (double)steps};
}

/* Steps that take about `seconds` of the processor; finding out is the warm-up. */
static long count_steps(Work *work, Instance *in, const Data *d, double seconds)
{
    long steps = 1;
    for (;;) {
        double took = time_steps(work, in, d, steps).cpu * (double)steps;
        if (took >= seconds / 2)
            return (long)((double)steps * seconds / took) + 1;
        steps *= 2;
    }
}

/* Bytes; getrusage's peak would include that of whoever started this program. */
static unsigned long peak_memory(void)
{
    char line[200];
    unsigned long kilobytes = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %lu", &kilobytes) == 1)
            break;
    if (f)
        fclose(f);
    return kilobytes << 10;
}

static int time_command(Work *work, char **words)
{
    const gradc_model *m = &workload_model;
    size_t threads = strtoul(words[0], NULL, 10);
    int blocks = atoi(words[1]);
    Instance in;
    Data d;
    data_create(&d, m);
    instance_create(&in, m, 1, threads);
    time_steps(work, &in, &d, 2);
    long steps = count_steps(work, &in, &d, atof(words[2]));
    for (int b = 0; b < blocks; b++) {
        Span s = time_steps(work, &in, &d, steps);
        printf("block %.9g %.9g\n", s.wall, s.cpu);
    }
    printf("peak %lu\nplanned %zu\nworkspace %llu\n", peak_memory(), m->bytes(threads),
           (unsigned long long)m->workspace_bytes);
    instance_destroy(&in);
    return 0;
}

/* ---- trace --------------------------------------------------------------------------------- */

/* `folder/name.npy`; the format is that of numpy.lib.format, version 1.0. */
static void write_npy(const char *folder, const char *name, gradc_dtype type, int rank,
                      const int64_t *shape, const void *data, size_t count)
{
    static const char *const types[] = {"|b1", "|u1", "<u2", "<i4", "<f4", "<f8"};
    char path[4096], header[1024];
    snprintf(path, sizeof path, "%s/%s.npy", folder, name);
    int at = snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (",
                      types[type]);
    for (int i = 0; i < rank; i++)
        at += snprintf(header + at, sizeof header - (size_t)at, "%lld,", (long long)shape[i]);
    at += snprintf(header + at, sizeof header - (size_t)at, "), }");
    while ((at + 10 + 1) % 64)
        header[at++] = ' ';
    header[at++] = '\n';
    FILE *f = fopen(path, "wb");
    if (!f) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(1);
    }
    const uint8_t head[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (uint8_t)at, (uint8_t)(at >> 8)};
    fwrite(head, 1, sizeof head, f);
    fwrite(header, 1, (size_t)at, f);
    fwrite(data, raw_size(type), count, f);
    if (fclose(f) != 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(1);
    }
}

static void write_parameters(const Instance *in, const char *folder)
{
    for (int i = 0; i < in->model->tensor_count; i++) {
        const gradc_tensor *t = &in->model->tensors[i];
        if (t->role == GRADC_PARAM)
            write_npy(folder, t->name, t->type, t->rank, t->shape, tensor_data(in, t), t->count);
    }
}

/* A batch in `folder/STEP`. */
static void write_inputs(const gradc_model *m, const Data *d, const char *folder, int step)
{
    char inner[4000];
    snprintf(inner, sizeof inner, "%s/%d", folder, step);
    mkdir(inner, 0777);
    for (int i = 0; i < m->input_count; i++) {
        const gradc_port *p = &m->inputs[i];
        int64_t shape[16] = {(int64_t)m->train->batch};
        memcpy(shape + 1, p->shape, (size_t)p->rank * sizeof *shape);
        write_npy(inner, p->name, p->type, p->rank + 1, shape, d->rows[i],
                  p->count * m->train->batch);
    }
}

static int trace_command(char **words)
{
    const gradc_model *m = &workload_model;
    Instance in;
    Data d;
    data_create(&d, m);
    instance_create(&in, m, 1, 1);
    mkdir(words[0], 0777);
    write_parameters(&in, words[0]);
    for (int step = 0; step < atoi(words[1]); step++) {
        data_fill(&d, m);
        write_inputs(m, &d, words[0], step);
        printf("loss %.9g\n", m->step(in.self, d.inputs, m->train->batch));
    }
    instance_destroy(&in);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "time") == 0)
        return time_command(train, argv + 2);
    if (argc == 5 && strcmp(argv[1], "predict") == 0)
        return time_command(infer, argv + 2);
    if (argc == 4 && strcmp(argv[1], "trace") == 0)
        return trace_command(argv + 2);
    fprintf(stderr, "usage: step time|predict THREADS BLOCKS SECONDS | step trace FOLDER STEPS\n");
    return 1;
}
