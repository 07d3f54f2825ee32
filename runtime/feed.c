/* Batch after batch, epoch after epoch: which comes next is a function of the position alone.
 *
 * Where reading takes long, a thread gathers a few batches ahead while the model works on another;
 * the batches and their order are the same. */
#include "data/data.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define RING 3 /* one in use, one ready, one being gathered */

/* Below these, a copy from memory costs no more than waking a thread. */
#define PAYING_BATCH ((size_t)1 << 20)
#define PAYING_FILES ((size_t)64 << 20) /* mapped files that may have to come from a disk */

typedef struct Slot {
    Batch batch;
    size_t count;
    Error error; /* why there are no examples */
} Slot;

struct Feed {
    FeedPlan plan; /* its epoch and cursor are those of the next batch to gather */
    View view;     /* base in the epoch's order */
    uint64_t ordered;
    Slot slots[RING];
    int slot_count;
    uint64_t made, taken; /* slots so far; the last one taken is in use */
    bool quit;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more, room;
};

/* ---- gathering ----------------------------------------------------------------------------------- */

static void fill_slot(Feed *f, Slot *s)
{
    FeedPlan *p = &f->plan;
    if (p->shuffles && f->ordered != p->epoch)
        view_shuffle(&f->view, p->base, p->seed, f->ordered = p->epoch);
    const uint64_t left = f->view.count - p->cursor;
    s->count = left < p->capacity ? (size_t)left : p->capacity;
    if (!batch_gather(&s->batch, &f->view, p->cursor, s->count, &s->error))
        return;
    p->cursor += s->count;
    if (p->cursor == f->view.count) {
        p->cursor = 0;
        p->epoch++;
    }
}

/* Returns when a slot is free; false: nothing is wanted any more. */
static bool await_room(Feed *f)
{
    pthread_mutex_lock(&f->lock);
    while (!f->quit && f->made - f->taken + (f->taken > 0) == RING)
        pthread_cond_wait(&f->room, &f->lock);
    const bool wanted = !f->quit;
    pthread_mutex_unlock(&f->lock);
    return wanted;
}

/* `made` is the thread's own to change, so it may read it without the lock. */
static void *gather_ahead(void *argument)
{
    Feed *f = argument;
    bool readable = true;
    while (readable && await_room(f)) {
        Slot *s = &f->slots[f->made % RING];
        fill_slot(f, s);
        readable = !s->error.text;
        pthread_mutex_lock(&f->lock);
        f->made++;
        pthread_cond_signal(&f->more);
        pthread_mutex_unlock(&f->lock);
    }
    return NULL;
}

/* ---- taking ----------------------------------------------------------------------------------------- */

/* Gives back the slot in use. */
static Slot *await_slot(Feed *f)
{
    pthread_mutex_lock(&f->lock);
    while (f->made == f->taken)
        pthread_cond_wait(&f->more, &f->lock);
    Slot *s = &f->slots[f->taken++ % RING];
    pthread_cond_signal(&f->room);
    pthread_mutex_unlock(&f->lock);
    return s;
}

const Batch *feed_next(Feed *f, size_t *count, Error *e)
{
    Slot *s = f->slots;
    if (f->plan.ahead)
        s = await_slot(f);
    else
        fill_slot(f, s);
    *count = s->count;
    if (!s->error.text)
        return &s->batch;
    error_set(e, "%s", s->error.text);
    return NULL;
}

/* ---- beginning and end --------------------------------------------------------------------------------- */

static size_t mapped_bytes(const Dataset *d)
{
    size_t sum = 0;
    for (int i = 0; i < d->file_count; i++)
        sum += d->files[i]->kind == BYTES_MAPPED ? d->files[i]->size : 0;
    return sum;
}

bool feed_pays(const View *v, size_t capacity)
{
    size_t batch = 0;
    for (int i = 0; i < v->data->port_count; i++)
        batch += port_size(&v->data->ports[i]) * capacity;
    return v->data->decodes || batch >= PAYING_BATCH || mapped_bytes(v->data) >= PAYING_FILES;
}

/* Signals are the main thread's. */
static bool start_thread(Feed *f)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->more, NULL);
    pthread_cond_init(&f->room, NULL);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const bool started = pthread_create(&f->thread, NULL, gather_ahead, f) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

Feed *feed_create(const FeedPlan *plan)
{
    const Dataset *d = plan->base->data;
    Feed *f = memory_get(1, sizeof *f);
    f->plan = *plan;
    f->ordered = UINT64_MAX;
    f->view = (View){d, memory_get(plan->base->count, sizeof *f->view.order), plan->base->count};
    memcpy(f->view.order, plan->base->order, plan->base->count * sizeof *f->view.order);
    f->slot_count = plan->ahead ? RING : 1;
    for (int i = 0; i < f->slot_count; i++)
        batch_create(&f->slots[i].batch, d->ports, d->port_count, plan->capacity);
    if (plan->ahead)
        f->plan.ahead = start_thread(f); /* without one the batches are the same */
    return f;
}

Feed *feed_in_order(const View *v, size_t capacity)
{
    const FeedPlan plan = {.base = v, .capacity = capacity, .ahead = feed_pays(v, capacity)};
    return feed_create(&plan);
}

void feed_destroy(Feed *f)
{
    if (!f)
        return;
    if (f->plan.ahead) {
        pthread_mutex_lock(&f->lock);
        f->quit = true;
        pthread_cond_signal(&f->room);
        pthread_mutex_unlock(&f->lock);
        pthread_join(f->thread, NULL);
        pthread_mutex_destroy(&f->lock);
        pthread_cond_destroy(&f->more);
        pthread_cond_destroy(&f->room);
    }
    for (int i = 0; i < f->slot_count; i++) {
        batch_destroy(&f->slots[i].batch);
        error_clear(&f->slots[i].error);
    }
    view_free(&f->view);
    free(f);
}
