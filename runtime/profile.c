/* Where a training step's time goes: the instance's kernels run through a hook that looks at the clock; at the
 * end a table, beside the floor that the machine sets, and on request a trace for Perfetto. */
#include "internal.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SIZES = 7, MOST_THREADS = 64, MOST_EVENTS = 1 << 18, MOST_ROWS = 40 };
static const size_t sizes[SIZES] = {16 << 10, 64 << 10, 256 << 10, 1 << 20,
                                    4 << 20,  16 << 20, 64 << 20};

typedef struct KernelTime {
    double seconds;
    uint64_t runs;
    bool shared; /* between threads */
} KernelTime;

typedef struct Event {
    int kernel;
    double begin, end; /* seconds */
} Event;

/* What one thread, or all together, can do. */
typedef struct Machine {
    double flops;        /* a second */
    double bytes[SIZES]; /* the same, read again and again from so much memory */
} Machine;

struct Profile {
    gradc_profile hook; /* first: what the instance is given */
    Instance *in;
    KernelTime *times;
    Machine one, all;
    size_t threads;
    double began, clock; /* of the run; what looking at the clock twice takes */
    const char *trace;
    FILE *file;
    Event *events[MOST_THREADS];
    atomic_int counts[MOST_THREADS];
    atomic_bool full;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- events ------------------------------------------------------------------------------------------- */

/* Threads in the order in which they first run a kernel; the caller's comes first. */
static int thread_number(void)
{
    static atomic_int next;
    static _Thread_local int mine = -1;
    if (mine < 0)
        mine = atomic_fetch_add(&next, 1);
    return mine;
}

static void add_event(Profile *p, int kernel, double begin, double end)
{
    const int thread = thread_number();
    if (thread >= MOST_THREADS)
        return;
    const int i = atomic_load_explicit(&p->counts[thread], memory_order_relaxed);
    if (i == MOST_EVENTS) {
        atomic_store(&p->full, true);
        return;
    }
    p->events[thread][i] = (Event){kernel, begin, end};
    atomic_store_explicit(&p->counts[thread], i + 1, memory_order_relaxed);
}

/* ---- the hook --------------------------------------------------------------------------------------------- */

typedef struct Watched {
    Profile *profile;
    int number;
    gradc_kernel *kernel;
    void *arguments;
} Watched;

/* One thread's share, with its event. */
static void run_watched(void *arguments, size_t begin, size_t end, void *scratch)
{
    const Watched *w = arguments;
    const double start = now();
    w->kernel(w->arguments, begin, end, scratch);
    add_event(w->profile, w->number, start, now());
}

static void run_kernel(gradc_profile *self, int number, gradc_kernel *kernel, void *arguments,
                       size_t count, int serial, void *scratch, size_t scratch_bytes)
{
    Profile *p = (Profile *)(void *)self;
    Watched w = {p, number, kernel, arguments};
    KernelTime *t = &p->times[number];
    const double start = now();
    if (p->file) {
        kernel = run_watched;
        arguments = &w;
    }
    t->shared = !serial && p->in->pool;
    if (t->shared)
        pool_run(p->in->pool, kernel, arguments, count, scratch, scratch_bytes);
    else
        kernel(arguments, 0, count, scratch);
    t->seconds += now() - start - p->clock;
    t->runs++;
}

/* ---- the machine ---------------------------------------------------------------------------------------------- */

typedef struct Probe {
    const gradc_model *model;
    char *memory;
    size_t each; /* bytes of a thread's own; 0: multiply-adds */
    uint64_t times;
    double done[MOST_THREADS];
} Probe;

static void run_probe(void *arguments, size_t begin, size_t end, void *scratch)
{
    Probe *p = arguments;
    for (size_t i = begin; i < end; i++) {
        p->done[i] = 0;
        if (!p->each)
            p->done[i] = p->model->peak(p->times);
        for (uint64_t t = 0; p->each && t < p->times; t++) {
            p->model->read(p->memory + i * p->each, p->each);
            p->done[i] += (double)p->each;
        }
    }
}

/* The best rate of some runs of about a millisecond each. */
static double rate_of(Probe *p, Pool *pool, size_t threads)
{
    double best = 0, spent = 0;
    for (p->times = 1; spent < 1e-3; p->times *= 2) {
        const double start = now();
        run_probe(p, 0, 1, NULL);
        spent = now() - start;
    }
    for (int repeat = 0; repeat < 7; repeat++) {
        double done = 0;
        const double start = now();
        if (pool)
            pool_run(pool, run_probe, p, threads, NULL, 0);
        else
            run_probe(p, 0, threads, NULL);
        const double seconds = now() - start;
        for (size_t i = 0; i < threads; i++)
            done += p->done[i];
        best = done / seconds > best ? done / seconds : best;
    }
    return best;
}

static void measure_machine(Machine *m, const gradc_model *model, Pool *pool, size_t threads)
{
    Probe p = {.model = model, .memory = aligned_alloc(64, sizes[SIZES - 1])};
    if (!p.memory)
        abort();
    memset(p.memory, 0, sizes[SIZES - 1]);
    m->flops = rate_of(&p, pool, threads);
    for (int i = 0; i < SIZES; i++) {
        p.each = sizes[i] / threads / 64 * 64;
        m->bytes[i] = rate_of(&p, pool, threads);
    }
    free(p.memory);
}

/* The least time that so much work takes: its flops at the highest rate, or its bytes at the rate at which so
 * many are read again and again, whichever is longer. */
static double floor_of(const Profile *p, int number)
{
    const gradc_kernel_info *k = &p->in->model->kernels[number];
    const Machine *m = p->times[number].shared ? &p->all : &p->one;
    int size = 0;
    while (size < SIZES - 1 && (double)sizes[size] < k->bytes)
        size++;
    const double compute = k->flops / m->flops, move = k->bytes / m->bytes[size];
    return compute > move ? compute : move;
}

/* ---- begin and end ---------------------------------------------------------------------------------------------- */

static double clock_cost(void)
{
    double least = 1;
    for (int i = 0; i < 1000; i++) {
        const double start = now(), end = now();
        least = end - start < least ? end - start : least;
    }
    return least;
}

Profile *profile_open(Instance *in, const Options *o, Error *e)
{
    const gradc_model *m = in->model;
    if (!m->profile) {
        error_set(e,
                  "this trainer was compiled without --profile\nhelp: compile it anew: gradc "
                  "--profile %s",
                  m->source);
        return NULL;
    }
    Profile *p = memory_get(1, sizeof *p);
    p->hook.run = run_kernel;
    p->in = in;
    p->trace = o->trace;
    p->file = o->trace ? fopen(o->trace, "we") : NULL;
    if (o->trace && !p->file) {
        error_set(e, "cannot write %s: %s", o->trace, strerror(errno));
        free(p);
        return NULL;
    }
    p->threads = cli_thread_count(o);
    p->times = memory_get((size_t)m->kernel_count, sizeof *p->times);
    for (size_t i = 0; p->file && i < p->threads && i < MOST_THREADS; i++)
        p->events[i] = memory_get(MOST_EVENTS, sizeof *p->events[i]);
    thread_number();
    measure_machine(&p->one, m, NULL, 1);
    p->all = p->one;
    if (in->pool)
        measure_machine(&p->all, m, in->pool,
                        p->threads < MOST_THREADS ? p->threads : MOST_THREADS);
    p->clock = clock_cost();
    p->began = now();
    m->profile(in->self, &p->hook);
    return p;
}

static void profile_free(Profile *p)
{
    for (int i = 0; i < MOST_THREADS; i++)
        free(p->events[i]);
    free(p->times);
    free(p);
}

/* ---- the table ----------------------------------------------------------------------------------------------------- */

static const KernelTime *sorted_times; /* of the profile that is printed */

static int by_time(const void *a, const void *b)
{
    const double x = sorted_times[*(const int *)a].seconds,
                 y = sorted_times[*(const int *)b].seconds;
    return (x < y) - (x > y);
}

static const char *duration(char *buffer, size_t size, double seconds)
{
    const double s = seconds > 0 ? seconds : 0;
    if (s < 1e-3)
        snprintf(buffer, size, "%.*f µs", s < 1e-5 ? 2 : 1, s * 1e6);
    else if (s < 1)
        snprintf(buffer, size, "%.*f ms", s < 1e-2 ? 2 : 1, s * 1e3);
    else
        snprintf(buffer, size, "%.2f s", s);
    return buffer;
}

static void put_row(const Profile *p, int number, double total)
{
    char each[32], least[32];
    const KernelTime *t = &p->times[number];
    const gradc_kernel_info *k = &p->in->model->kernels[number];
    const double seconds = t->seconds / (double)t->runs, floor_seconds = floor_of(p, number);
    /* µ is two bytes wide: the fields are a byte wider where it stands */
    duration(each, sizeof each, seconds);
    duration(least, sizeof least, floor_seconds);
    printf("%5.1f%% %9llu  %*s  %*s %6.1f  %s %s\n        %s\n        %s\n",
           100 * t->seconds / total, (unsigned long long)t->runs, strstr(each, "µ") ? 10 : 9, each,
           strstr(least, "µ") ? 10 : 9, least, floor_seconds > 0 ? seconds / floor_seconds : 0,
           k->entry, k->name, k->how, k->lines);
}

static void print_machine(const Profile *p, const char *who, const Machine *m)
{
    printf("%s: %.1f GFLOP/s; reads", who, 1e-9 * m->flops);
    for (int i = 0; i < SIZES; i++)
        printf("%s %.0f", i ? "," : "", 1e-9 * m->bytes[i]);
    printf(" GB/s from 16 K, 64 K, 256 K, 1 M, 4 M, 16 M, 64 M\n");
}

static void print_table(const Profile *p)
{
    const int count = p->in->model->kernel_count;
    int *order = memory_get((size_t)count, sizeof *order), used = 0;
    double total = 0, least = 0, left = 0;
    char text[4][32];
    for (int i = 0; i < count; i++)
        if (p->times[i].runs) {
            order[used++] = i;
            total += p->times[i].seconds;
            least += floor_of(p, i) * (double)p->times[i].runs;
        }
    sorted_times = p->times;
    qsort(order, (size_t)used, sizeof *order, by_time);
    printf("\nprofile: %s in %d kernels of %s, and their floor is %s\n",
           duration(text[0], sizeof text[0], total), used,
           duration(text[1], sizeof text[1], now() - p->began),
           duration(text[2], sizeof text[2], least));
    print_machine(p, "one thread", &p->one);
    if (p->in->pool)
        print_machine(p, "all threads", &p->all);
    printf(" share      runs       each      floor  ratio  kernel\n");
    for (int i = 0; i < used && i < MOST_ROWS; i++)
        put_row(p, order[i], total);
    for (int i = MOST_ROWS; i < used; i++)
        left += p->times[order[i]].seconds;
    if (used > MOST_ROWS)
        printf("%5.1f%%  in %d more kernels\n", 100 * left / total, used - MOST_ROWS);
    free(order);
}

/* ---- the trace: Chrome's trace events, which Perfetto reads ------------------------------------------------------------ */

static void write_trace(const Profile *p)
{
    fprintf(p->file,
            "{\"displayTimeUnit\": \"ns\", \"traceEvents\": [\n"
            "{\"ph\": \"M\", \"pid\": 1, \"name\": \"process_name\", \"args\": "
            "{\"name\": \"%s\"}}",
            p->in->model->name);
    for (int thread = 0; thread < MOST_THREADS; thread++) {
        const int count = atomic_load(&p->counts[thread]);
        if (count)
            fprintf(p->file,
                    ",\n{\"ph\": \"M\", \"pid\": 1, \"tid\": %d, \"name\": \"thread_name\", "
                    "\"args\": {\"name\": \"thread %d\"}}",
                    thread, thread);
        for (int i = 0; i < count; i++) {
            const Event *ev = &p->events[thread][i];
            const gradc_kernel_info *k = &p->in->model->kernels[ev->kernel];
            fprintf(p->file,
                    ",\n{\"ph\": \"X\", \"pid\": 1, \"tid\": %d, \"ts\": %.3f, \"dur\": %.3f, "
                    "\"name\": \"%s\", \"cat\": \"%s\", \"args\": {\"lines\": \"%s\"}}",
                    thread, 1e6 * (ev->begin - p->began), 1e6 * (ev->end - ev->begin), k->name,
                    k->entry, k->lines);
        }
    }
    fputs("\n]}\n", p->file);
}

bool profile_close(Profile *p, Error *e)
{
    bool ok = true;
    if (!p)
        return true;
    p->in->model->profile(p->in->self, NULL);
    print_table(p);
    if (p->file) {
        write_trace(p);
        ok = !ferror(p->file);
        ok = fclose(p->file) == 0 && ok;
        if (!ok)
            error_set(e, "cannot write %s: %s", p->trace, strerror(errno));
        else
            printf("wrote %s%s; open it in https://ui.perfetto.dev or chrome://tracing\n", p->trace,
                   atomic_load(&p->full) ? ", its beginning: there were more events" : "");
    }
    profile_free(p);
    return ok;
}
