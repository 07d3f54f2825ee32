/* What this machine can do: its f32 multiply-add rate, how fast it reads each level of memory, and the
 * rate of its matrix tiles' bf16 products where it has some and the system permits them.
 *
 *     limits [THREADS] [wall|cpu] [COUNT]
 *
 * COUNT: only the first so many of multiply-adds, L1, L2, L3, DRAM, tiles; L3 and DRAM take seconds.
 * Prints one line for each limit: name, median, best, all threads together, in GFLOP/s or GB/s.
 * Vectors have the width this file is compiled for (-march=native). */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#if defined(__AMX_BF16__) && defined(__linux__)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#define TILES
#endif

#if defined(__AVX512F__)
#define WIDTH 64
#elif defined(__AVX__)
#define WIDTH 32
#else
#define WIDTH 16
#endif

typedef float Vector __attribute__((vector_size(WIDTH)));

enum {
    LANES = WIDTH / 4,
    CHAINS = 12,
    REPEATS = 9,
    MAX_THREADS = 256,
    LINE = 64,
    LARGE_PAGE = 2 << 20,
    AHEAD = 2048
};

/* One measurement: `work` runs on each thread, and what it counts is divided by its time. */
typedef struct Probe {
    double (*work)(struct Probe *p, char *memory); /* returns flops or bytes */
    size_t bytes;                                  /* each thread's memory   */
    size_t ahead;                                  /* lines are asked for so many bytes before */
} Probe;

typedef struct Worker {
    Probe *probe;
    pthread_barrier_t *gate;
    bool cpu;
    double amount[REPEATS], seconds[REPEATS];
} Worker;

static volatile float sink;

/* Independent chains of multiply-adds, more than latency times units. */
static double multiply_add(Probe *p, char *memory)
{
    (void)p;
    const long rounds = 8 * 1000 * 1000;
    Vector sum[CHAINS], factor = *(Vector *)memory * 0 + 0.999f, term = factor - 0.5f;
    for (int c = 0; c < CHAINS; c++)
        sum[c] = factor + (float)c;
    for (long i = 0; i < rounds; i++) {
#pragma GCC unroll 12
        for (int c = 0; c < CHAINS; c++)
            sum[c] = sum[c] * factor + term;
    }
    for (int c = 1; c < CHAINS; c++)
        sum[0] += sum[c];
    sink = sum[0][0];
    return 2.0 * LANES * CHAINS * (double)rounds;
}

/* Reads all of `memory` as often as makes some milliseconds.  What is far it asks for, since a processor's own guesses
 * may end at each page. */
static double read_memory(Probe *p, char *memory)
{
    const size_t step = 8 * sizeof(Vector), count = p->bytes / step;
    const size_t total = p->bytes < ((size_t)8 << 20) ? (size_t)1 << 30 : (size_t)1 << 29;
    const size_t passes = total / p->bytes + 1;
    Vector sum[8] = {0};
    for (size_t pass = 0; pass < passes; pass++) {
        const Vector *at = (const Vector *)memory;
#pragma GCC unroll 1 /* each load strides 512 bytes: by 2048, Zen 5 no longer prefetches into L1 */
        for (size_t i = 0; i < count; i++, at += 8) {
#pragma GCC unroll 8
            for (int k = 0; k < 8; k++) {
                if (p->ahead && k * sizeof(Vector) % LINE == 0)
                    __builtin_prefetch((const char *)(at + k) + p->ahead);
                sum[k] += at[k];
            }
        }
        __asm__ volatile("" ::: "memory"); /* the next pass reads again */
    }
    for (int k = 1; k < 8; k++)
        sum[0] += sum[k];
    sink = sum[0][0];
    return (double)(count * step) * (double)passes;
}

#ifdef TILES
/* Palette 1, then the bytes of a row and the rows of eight tiles. */
static const struct {
    unsigned char palette, start, unused[14];
    unsigned short row_bytes[16];
    unsigned char rows[16];
} tile_shapes = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};

/* Four sums from two tiles of either operand, as a register tile would have them. */
static double multiply_tiles(Probe *p, char *memory)
{
    (void)p;
    const long rounds = 500 * 1000;
    _tile_loadconfig(&tile_shapes);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_loadd(4, memory, 64);
    _tile_loadd(5, memory + 1024, 64);
    _tile_loadd(6, memory + 2048, 64);
    _tile_loadd(7, memory + 3072, 64);
    for (long i = 0; i < rounds; i++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, memory, 64);
    _tile_release();
    return 4 * 2.0 * 16 * 16 * 32 * (double)rounds;
}

static bool has_tiles(void)
{
    return !syscall(SYS_arch_prctl, 0x1023, 18); /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA */
}
#else
static double multiply_tiles(Probe *p, char *memory)
{
    (void)p;
    (void)memory;
    return 0;
}

static bool has_tiles(void)
{
    return false;
}
#endif

static double now(bool cpu)
{
    struct timespec t;
    clock_gettime(cpu ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *run_worker(void *argument)
{
    Worker *w = argument;
    const size_t page = w->probe->bytes < LARGE_PAGE ? 4096 : LARGE_PAGE;
    size_t size = (w->probe->bytes + page - 1) / page * page;
    char *memory = aligned_alloc(page, size);
    if (!memory) {
        fprintf(stderr, "limits: cannot get %zu bytes\n", size);
        exit(1);
    }
#ifdef MADV_HUGEPAGE
    if (page == LARGE_PAGE) /* as an instance lies in */
        madvise(memory, size, MADV_HUGEPAGE);
#endif
    memset(memory, 0, size);
    w->probe->work(w->probe, memory);
    for (int r = 0; r < REPEATS; r++) {
        pthread_barrier_wait(w->gate);
        double start = now(w->cpu);
        w->amount[r] = w->probe->work(w->probe, memory);
        w->seconds[r] = now(w->cpu) - start;
    }
    free(memory);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const char *name, Probe *p, int threads, bool cpu)
{
    static Worker workers[MAX_THREADS];
    pthread_t ids[MAX_THREADS];
    pthread_barrier_t gate;
    double rates[REPEATS] = {0};
    pthread_barrier_init(&gate, NULL, (unsigned)threads);
    for (int t = 0; t < threads; t++) {
        workers[t] = (Worker){.probe = p, .gate = &gate, .cpu = cpu};
        pthread_create(&ids[t], NULL, run_worker, &workers[t]);
    }
    for (int t = 0; t < threads; t++)
        pthread_join(ids[t], NULL);
    pthread_barrier_destroy(&gate);
    for (int r = 0; r < REPEATS; r++)
        for (int t = 0; t < threads; t++)
            rates[r] += workers[t].amount[r] / workers[t].seconds[r];
    qsort(rates, REPEATS, sizeof *rates, by_value);
    printf("%-5s %10.2f %10.2f\n", name, rates[REPEATS / 2] * 1e-9, rates[REPEATS - 1] * 1e-9);
    fflush(stdout);
}

/* The cache's size as Linux tells it, or what is usual.  (sysconf counts every core's L3 on some
 * virtual machines.) */
static size_t cache_size(int index, size_t usual)
{
    char path[100];
    unsigned long kilobytes = 0;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", index);
    FILE *f = fopen(path, "r");
    if (f && fscanf(f, "%luK", &kilobytes) != 1)
        kilobytes = 0;
    if (f)
        fclose(f);
    return kilobytes ? (size_t)kilobytes << 10 : usual;
}

int main(int argc, char **argv)
{
    int threads = argc > 1 ? atoi(argv[1]) : 1;
    bool cpu = argc > 2 && strcmp(argv[2], "cpu") == 0;
    int count = argc > 3 ? atoi(argv[3]) : 6;
    if (threads < 1 || threads > MAX_THREADS || count < 1 || count > 6) {
        fprintf(stderr, "usage: limits [THREADS] [wall|cpu] [COUNT]\n");
        return 1;
    }
    size_t l1 = cache_size(0, 32 << 10);
    size_t l2 = cache_size(2, 512 << 10);
    size_t l3 = cache_size(3, 8 << 20);
    /* L3 is shared, and of a large one a virtual machine may have a small part: well beyond L2, and half of L3 at most
     * for all threads. */
    const size_t third = l2 * 8 < l3 / 2 / (size_t)threads ? l2 * 8 : l3 / 2 / (size_t)threads;
    Probe probes[] = {{multiply_add, 4096, 0},
                      {read_memory, l1 / 2, 0},
                      {read_memory, l2 / 2, 0},
                      {read_memory, third, AHEAD},
                      {read_memory, l3 * 8 / (size_t)threads, AHEAD},
                      {multiply_tiles, 4096, 0}};
    const char *const names[] = {"fma", "L1", "L2", "L3", "DRAM", "tiles"};
    printf("vector %d bits, caches %zu %zu %zu\n", WIDTH * 8, l1, l2, l3);
    if (count == 6 && !has_tiles())
        count--;
    for (int i = 0; i < count; i++)
        measure(names[i], &probes[i], threads, cpu);
    return 0;
}
