/* Threads that share the iterations of one loop, in shares that are fixed by (count, threads) and taken
 * by whoever is free: the caller from the front, workers from the back.  A worker that is not there
 * (asleep, or its core is somebody else's) finds nothing left to do.  An iteration's result does not
 * depend on who does it, so neither do the bits. */
#include "internal.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    SHARES_EACH = 4, /* a thread that comes late is waited for no longer than a share   */
    MOST_SHARES = 1 << 15,
    SPIN_NS = 50000,          /* between two loops of a step; to be woken takes as long          */
    MOST_SPIN_NS = 200000,    /* for the others' shares of one                                   */
    STALL_NS = 300000,        /* waiting for a share so long, its thread has lost its core …     */
    LEAST_ALONE_NS = 4000000, /* … and the caller works alone for a while; twice as long if it   */
    MOST_ALONE_NS = 256000000 /* happens again                                                   */
};

typedef struct Job {
    gradc_kernel *kernel;
    void *arguments;
    size_t count, shares;
    char *scratch;
    size_t scratch_bytes;
} Job;

/* What is left of the current job: its number, the first share that nobody has taken, and the one
 * behind the last.  One word, so that who takes a share takes it of the job that he has seen. */
typedef struct Left {
    uint32_t number;
    uint16_t first, end;
} Left;

struct Pool {
    size_t threads; /* the caller is thread 0 */
    long spins;
    pthread_t *workers;
    Job job;              /* read by who has taken a share of it */
    atomic_ullong left;   /* a Left */
    atomic_size_t undone; /* shares of the job that are not done */
    atomic_uint sleepers;
    atomic_bool waiting; /* the caller sleeps */
    atomic_bool quit;
    int64_t alone_until, alone_ns; /* the caller's: monotonic time, and the last such while */
    pthread_mutex_t lock;
    pthread_cond_t start, done;
};

typedef struct Worker {
    Pool *pool;
    size_t index;
} Worker;

static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

static int64_t nanoseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- shares ------------------------------------------------------------------------------------------- */

static unsigned long long pack(Left l)
{
    return (unsigned long long)l.number << 32 | (unsigned long long)l.first << 16 | l.end;
}

static Left unpack(unsigned long long word)
{
    return (Left){(uint32_t)(word >> 32), (uint16_t)(word >> 16), (uint16_t)word};
}

/* Takes a share of the current job; false: none is left. */
static bool take_share(Pool *p, bool from_front, size_t *share)
{
    unsigned long long word = atomic_load_explicit(&p->left, memory_order_acquire);
    for (;;) {
        Left l = unpack(word);
        if (l.first == l.end)
            return false;
        *share = from_front ? l.first++ : --l.end;
        if (atomic_compare_exchange_weak_explicit(&p->left, &word, pack(l), memory_order_acq_rel,
                                                  memory_order_acquire))
            return true;
    }
}

/* Where share number i begins. */
static size_t share_begin(const Job *job, size_t i)
{
    return (size_t)((unsigned __int128)job->count * i / job->shares);
}

/* Takes shares until none is left; true where it finished the job's last. */
static bool do_shares(Pool *p, size_t thread)
{
    size_t share;
    bool last = false;
    while (take_share(p, thread == 0, &share)) {
        const Job *job = &p->job;
        job->kernel(job->arguments, share_begin(job, share), share_begin(job, share + 1),
                    job->scratch + thread * job->scratch_bytes);
        last = atomic_fetch_sub(&p->undone, 1) == 1;
    }
    return last;
}

/* ---- workers ------------------------------------------------------------------------------------------ */

static uint32_t job_number(Pool *p)
{
    return unpack(atomic_load(&p->left)).number;
}

/* How often to look whether the others are done, for one who worked so long: shares are of one size, so
 * that they may take as long again. */
static long spins_after(const Pool *p, int64_t worked)
{
    const int64_t longest = worked < MOST_SPIN_NS ? worked : MOST_SPIN_NS;
    return p->spins + (long)((double)p->spins * (double)longest / SPIN_NS);
}

/* Returns when a job other than `seen`, on which it worked so long, is there. */
static void await_job(Pool *p, uint32_t seen, int64_t worked)
{
    for (long i = spins_after(p, worked); i > 0; i--) {
        if (job_number(p) != seen)
            return;
        pause_briefly();
    }
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleepers, 1); /* before the check: the caller looks in the other order */
    while (job_number(p) == seen)
        pthread_cond_wait(&p->start, &p->lock);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->lock);
}

static void wake_caller(Pool *p)
{
    if (!atomic_load(&p->waiting))
        return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_signal(&p->done);
    pthread_mutex_unlock(&p->lock);
}

static void *work(void *argument)
{
    Worker self = *(Worker *)argument;
    free(argument);
    Pool *p = self.pool;
    int64_t worked = 0;
    for (uint32_t seen = 0;;) {
        await_job(p, seen, worked);
        seen = job_number(p); /* first: of the job that ends it all, quit was set before */
        if (atomic_load(&p->quit))
            return NULL;
        const int64_t began = nanoseconds();
        if (do_shares(p, self.index))
            wake_caller(p);
        worked = nanoseconds() - began;
    }
}

/* ---- the caller --------------------------------------------------------------------------------------- */

static void sleep_until_done(Pool *p)
{
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->waiting, true);
    while (atomic_load(&p->undone) != 0)
        pthread_cond_wait(&p->done, &p->lock);
    atomic_store(&p->waiting, false);
    pthread_mutex_unlock(&p->lock);
}

static bool spin_until_done(Pool *p, int64_t worked)
{
    for (long i = spins_after(p, worked); i > 0; i--) {
        if (atomic_load_explicit(&p->undone, memory_order_acquire) == 0)
            return true;
        pause_briefly();
    }
    return atomic_load(&p->undone) == 0;
}

/* A wait that is long, and longer than all of the work before it, is for a core and not for work. */
static void note_wait(Pool *p, int64_t began, int64_t ended_work)
{
    const int64_t now = nanoseconds(), waited = now - ended_work;
    if (waited < STALL_NS || waited < ended_work - began)
        return;
    p->alone_ns = p->alone_ns ? p->alone_ns * 2 : LEAST_ALONE_NS;
    if (p->alone_ns > MOST_ALONE_NS)
        p->alone_ns = MOST_ALONE_NS;
    p->alone_until = now + p->alone_ns;
}

static void start_job(Pool *p, Job job)
{
    const uint32_t number = job_number(p) + 1;
    p->job = job;
    atomic_store(&p->undone, job.shares);
    atomic_store(&p->left, pack((Left){number, 0, (uint16_t)job.shares}));
    if (atomic_load(&p->sleepers) == 0)
        return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->start);
    pthread_mutex_unlock(&p->lock);
}

void pool_run(void *pool, gradc_kernel *kernel, void *arguments, size_t count, void *scratch,
              size_t scratch_bytes)
{
    Pool *p = pool;
    const int64_t began = p->threads > 1 ? nanoseconds() : 0;
    if (p->threads == 1 || count <= 1 || began < p->alone_until) {
        if (count)
            kernel(arguments, 0, count, scratch);
        return;
    }
    size_t shares = p->threads * SHARES_EACH;
    shares = shares > count ? count : shares;
    shares = shares > MOST_SHARES ? MOST_SHARES : shares;
    start_job(p, (Job){kernel, arguments, count, shares, scratch, scratch_bytes});
    do_shares(p, 0);
    if (atomic_load_explicit(&p->undone, memory_order_acquire) == 0)
        return;
    const int64_t ended_work = nanoseconds();
    if (spin_until_done(p, ended_work - began))
        return;
    sleep_until_done(p);
    note_wait(p, began, ended_work);
}

/* ---- making and ending it ----------------------------------------------------------------------------- */

/* How many pauses last SPIN_NS: a pause takes 5 to 150 cycles, by processor. */
static long count_spins(void)
{
    enum { TRIED = 200 };
    int64_t least = INT64_MAX;
    for (int round = 0; round < 3; round++) {
        const int64_t began = nanoseconds();
        for (int i = 0; i < TRIED; i++)
            pause_briefly();
        const int64_t took = nanoseconds() - began;
        least = took < least ? took : least;
    }
    return (long)((int64_t)SPIN_NS * TRIED / (least > 0 ? least : 1));
}

Pool *pool_create(size_t threads)
{
    Pool *p = memory_get(1, sizeof *p);
    p->threads = threads;
    p->spins = threads <= pool_cores() ? count_spins() : 0; /* on a shared core it only delays */
    p->workers = memory_get(threads, sizeof *p->workers);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->start, NULL);
    pthread_cond_init(&p->done, NULL);
    for (size_t i = 1; i < threads; i++) {
        Worker *w = memory_get(1, sizeof *w);
        *w = (Worker){p, i};
        if (pthread_create(&p->workers[i], NULL, work, w) != 0) {
            fprintf(stderr, "cannot start thread %zu of %zu: try a smaller --threads\n", i + 1,
                    threads);
            exit(1);
        }
    }
    return p;
}

void pool_destroy(Pool *p)
{
    if (!p)
        return;
    atomic_store(&p->quit, true);
    start_job(p, (Job){0});
    for (size_t i = 1; i < p->threads; i++)
        pthread_join(p->workers[i], NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->start);
    pthread_cond_destroy(&p->done);
    free(p->workers);
    free(p);
}

size_t pool_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int cores = CPU_COUNT(&set);
    return cores > 0 ? (size_t)cores : 1;
}
