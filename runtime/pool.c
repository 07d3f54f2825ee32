/* Threads that share the iterations of one loop.  Ranges are contiguous and fixed by (count,
 * threads); an iteration's result does not depend on who does it, so neither do the bits.
 * Between loops a worker spins for a moment, since the next kernel usually follows at once. */
#include "internal.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct Job {
    gradc_kernel *kernel;
    void *arguments;
    size_t count;
    char *scratch;
    size_t scratch_bytes;
} Job;

struct Pool {
    size_t threads; /* the caller is thread 0 */
    int spins;
    pthread_t *workers;
    Job job;
    atomic_uint generation; /* one more for each job: the workers' starting signal */
    atomic_size_t pending;  /* workers that have not finished this job */
    atomic_uint sleepers;
    atomic_bool waiting; /* the caller sleeps */
    atomic_bool quit;
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

static void do_share(const Job *job, size_t index, size_t threads)
{
    size_t begin = (size_t)((unsigned __int128)job->count * index / threads);
    size_t end = (size_t)((unsigned __int128)job->count * (index + 1) / threads);
    if (begin < end)
        job->kernel(job->arguments, begin, end, job->scratch + index * job->scratch_bytes);
}

/* Returns when a job newer than `seen` is there. */
static void await_job(Pool *p, unsigned seen)
{
    for (int i = 0; i < p->spins; i++) {
        if (atomic_load_explicit(&p->generation, memory_order_acquire) != seen)
            return;
        pause_briefly();
    }
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleepers, 1); /* before the check: the caller looks in the other order */
    while (atomic_load(&p->generation) == seen)
        pthread_cond_wait(&p->start, &p->lock);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->lock);
}

static void report_done(Pool *p)
{
    if (atomic_fetch_sub(&p->pending, 1) != 1 || !atomic_load(&p->waiting))
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
    for (unsigned seen = 0;; seen++) {
        await_job(p, seen);
        if (atomic_load(&p->quit))
            return NULL;
        do_share(&p->job, self.index, p->threads);
        report_done(p);
    }
}

static void await_workers(Pool *p)
{
    for (int i = 0; i < p->spins; i++) {
        if (atomic_load_explicit(&p->pending, memory_order_acquire) == 0)
            return;
        pause_briefly();
    }
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->waiting, true);
    while (atomic_load(&p->pending) != 0)
        pthread_cond_wait(&p->done, &p->lock);
    atomic_store(&p->waiting, false);
    pthread_mutex_unlock(&p->lock);
}

static void signal_start(Pool *p)
{
    atomic_fetch_add(&p->generation, 1);
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
    p->job = (Job){kernel, arguments, count, scratch, scratch_bytes};
    if (p->threads == 1 || count <= 1) {
        if (count)
            kernel(arguments, 0, count, scratch);
        return;
    }
    atomic_store(&p->pending, p->threads - 1);
    signal_start(p);
    do_share(&p->job, 0, p->threads);
    await_workers(p);
}

Pool *pool_create(size_t threads)
{
    Pool *p = memory_get(1, sizeof *p);
    p->threads = threads;
    p->spins = threads <= pool_cores() ? 4000 : 0; /* spinning on a shared core only delays */
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
    signal_start(p);
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
