/* The train command: what the train block and the command line say, made into a loop. */
#include "data/data.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Training {
    Loop loop;
    Instance instance;
    Dataset data, held;
    bool has_held;
    Encoding resumed; /* of the checkpoint resumed from */
    bool has_resumed;
    Error error;
} Training;

static bool set_hypers(Training *t, const Options *o)
{
    const gradc_tensor *steps = hyper_find(t->instance.model, "steps");
    if (steps) /* schedules count towards the end of training */
        number_put(steps->type, tensor_data(&t->instance, steps), (double)t->loop.last_step);
    if (o->has_lr && !hyper_set(&t->instance, "lr", o->lr, &t->error))
        return false;
    for (int i = 0; i < o->sets.count; i++)
        if (!hyper_assign(&t->instance, o->sets.items[i], &t->error))
            return false;
    return true;
}

static bool resume(Training *t, const Options *o)
{
    const gradc_model *model = t->instance.model;
    Checkpoint layout;
    char *path = o->resume_path ? text_format("%s", o->resume_path) : save_path_last(model, o);
    bool ok;
    if (access(path, F_OK) != 0) {
        ok = error_set(&t->error,
                       "there is no checkpoint %s to resume from\nhelp: start without "
                       "--resume, or name one with --resume=FILE",
                       path);
    } else {
        checkpoint_create(&layout, model);
        ok = checkpoint_load(&layout, &t->instance, CHECKPOINT_ALL, path, &t->loop.at, &t->resumed,
                             &t->error);
        checkpoint_destroy(&layout);
        t->has_resumed = ok;
    }
    if (ok && o->has_seed && o->seed != t->loop.at.seed)
        ok = error_set(&t->error, "%s was trained with seed %" PRIu64 "; a resume cannot change it",
                       path, t->loop.at.seed);
    free(path);
    return ok;
}

static bool open_data(Training *t, const Options *o)
{
    const gradc_model *model = t->instance.model;
    const gradc_train *train = model->train;
    Loop *l = &t->loop;
    const Encoding *known = t->has_resumed ? &t->resumed : NULL;
    if (!cli_data(&t->data, model, train->data, o, known, &t->error))
        return false;
    if (!train->holdout)
        return view_split(&t->data, train->holdout_fraction, l->at.seed, &l->base, &l->holdout,
                          &t->error);
    const Options plain = {.data_dir = o->data_dir};
    t->has_held = cli_data(&t->held, model, train->holdout, &plain, &t->data.encoding, &t->error);
    if (!t->has_held)
        return false;
    view_whole(&t->data, &l->base);
    view_apart(&t->held, &l->holdout);
    return true;
}

/* Without a holdout, what is measured is the training data. */
static bool complete_views(Training *t)
{
    Loop *l = &t->loop;
    if (l->holdout.count == 0) {
        view_free(&l->holdout);
        l->holdout_is_train = true;
        view_apart(&t->data, &l->holdout);
    }
    if (l->at.step && l->at.examples != l->base.count)
        return error_set(&t->error,
                         "the checkpoint was trained on %" PRIu64 " examples, but there are %u"
                         "\nhelp: a resume needs the same data and holdout; else train anew",
                         l->at.examples, l->base.count);
    if (l->at.cursor && l->at.cursor >= l->base.count)
        return error_set(&t->error,
                         "the checkpoint is damaged: it stands at example %" PRIu64 " of %u",
                         l->at.cursor, l->base.count);
    l->at.examples = l->base.count;
    return true;
}

static void plan_length(Training *t, const Options *o)
{
    const gradc_train *train = t->instance.model->train;
    Loop *l = &t->loop;
    uint64_t batch = o->batch ? o->batch : train->batch;
    uint64_t steps = o->steps ? o->steps : o->epochs ? 0 : train->steps;
    uint64_t epochs = o->epochs ? o->epochs : train->epochs ? train->epochs : 1;
    l->accumulate = train->accumulate ? train->accumulate : 1;
    l->capacity = (size_t)batch;
    l->updates_an_epoch = (l->base.count + batch * l->accumulate - 1) / (batch * l->accumulate);
    l->last_step = steps ? steps : epochs * l->updates_an_epoch;
    l->shuffles = train->shuffle;
    l->patience = o->has_patience ? o->patience : train->patience;
}

static void plan_evaluation(Training *t, const Options *o)
{
    const gradc_train *train = t->instance.model->train;
    Loop *l = &t->loop;
    uint64_t given = o->has_evaluate_every ? o->evaluate_every : train->evaluate_every;
    bool steps = given && !train->evaluate_in_epochs && train->evaluate_every;
    l->every = given ? given : 1;
    l->every_epochs = o->evaluate_unit == UNIT_GIVEN ? !steps : o->evaluate_unit == UNIT_EPOCHS;
    l->evaluates = !l->holdout_is_train || given || train->best_by || l->patience ||
                   hyper_find(t->instance.model, "evaluations");
}

/* Which value chooses the best: a metric, one of several losses, or their sum. */
static bool plan_best(Training *t)
{
    const gradc_model *m = t->instance.model;
    const char *name = m->train->best_by;
    t->loop.best_index = -1;
    if (!name || strcmp(name, "loss") == 0)
        return true;
    for (int i = 0; i < m->loss_count; i++)
        if (strcmp(m->losses[i], name) == 0)
            t->loop.best_index = i;
    for (int i = 0; i < m->metric_count; i++)
        if (strcmp(m->metrics[i].name, name) == 0 && m->metrics[i].rank == 0)
            t->loop.best_index = (int)m->metrics[i].slot;
    return t->loop.best_index >= 0 ||
           error_set(&t->error, "checkpoint best by %s: the model has no such loss or metric",
                     name);
}

/* 1, 2, 5, 10, … epochs from line to line, so that there are about a hundred at most. */
static uint64_t lines_every(uint64_t epochs)
{
    static const int steps[] = {1, 2, 5};
    for (uint64_t power = 1;; power *= 10)
        for (int i = 0; i < 3; i++)
            if (epochs <= 100 * power * (uint64_t)steps[i] || power > epochs)
                return power * (uint64_t)steps[i];
}

static void plan_progress(Training *t, const Options *o)
{
    Loop *l = &t->loop;
    uint64_t epochs = (l->last_step + l->updates_an_epoch - 1) / l->updates_an_epoch;
    l->progress = (Progress){.out = stdout,
                             .quiet = o->quiet,
                             .live = !o->quiet && isatty(STDOUT_FILENO),
                             .epochs = l->every_epochs ? epochs : 0,
                             .every = lines_every(epochs),
                             .examples = l->base.count,
                             .last_step = l->last_step};
}

static void announce(const Training *t, const Options *o)
{
    const Loop *l = &t->loop;
    uint64_t parameters = 0;
    if (o->quiet)
        return;
    for (int i = 0; i < t->instance.model->tensor_count; i++)
        if (t->instance.model->tensors[i].role == GRADC_PARAM)
            parameters += t->instance.model->tensors[i].count;
    printf("%s: %" PRIu64 " parameter%s, %u example%s", t->instance.model->name, parameters,
           parameters == 1 ? "" : "s", l->base.count, l->base.count == 1 ? "" : "s");
    if (!l->holdout_is_train)
        printf(", %u held out", l->holdout.count);
    printf(", %zu thread%s%s\n", cli_thread_count(o), cli_thread_count(o) == 1 ? "" : "s",
           l->at.step ? ", resumed" : "");
    fflush(stdout);
}

/* Adds up what fitted states rest on, over all of the training data. */
static bool sum_for_fit(Training *t, Feed *feed, double *sums)
{
    const gradc_model *m = t->instance.model;
    size_t n;
    memset(sums, 0, (size_t)m->fit_count * sizeof *sums);
    for (uint64_t at = 0; at < t->loop.base.count; at += n) {
        const Batch *b = feed_next(feed, &n, &t->error);
        if (!b)
            return false;
        m->fit(t->instance.self, b->inputs, n, sums);
    }
    return true;
}

/* In as many passes as the fitted states rest on each other; what a file has started stays. */
static bool fit_states(Training *t, const Options *o)
{
    const gradc_model *m = t->instance.model;
    if (!m->fit_passes)
        return true;
    double *sums = memory_get((size_t)m->fit_count, sizeof *sums);
    Feed *feed = feed_in_order(&t->loop.base, t->loop.capacity);
    bool ok = true;
    for (int pass = 0; ok && pass < m->fit_passes; pass++) {
        ok = sum_for_fit(t, feed, sums);
        if (ok)
            m->fitted(t->instance.self, sums, t->loop.base.count);
    }
    feed_destroy(feed);
    free(sums);
    return ok && start_from_files(&t->instance, o, true, &t->error);
}

static void open_feeds(Loop *l)
{
    const FeedPlan train = {&l->base,
                            l->shuffles,
                            l->at.seed,
                            l->at.epoch,
                            l->at.cursor,
                            l->capacity,
                            feed_pays(&l->base, l->capacity)};
    l->feed = feed_create(&train);
    l->held = feed_in_order(&l->holdout, l->capacity);
}

static bool prepare(Training *t, const Options *o)
{
    Loop *l = &t->loop;
    if (o->resume && !resume(t, o))
        return false;
    if (!o->resume && !start_from_files(&t->instance, o, o->quiet, &t->error))
        return false;
    if (!open_data(t, o) || !complete_views(t))
        return false;
    plan_length(t, o);
    if (!o->resume && !fit_states(t, o))
        return false;
    plan_evaluation(t, o);
    if (!plan_best(t) || !set_hypers(t, o))
        return false;
    plan_progress(t, o);
    const gradc_model *m = t->instance.model;
    l->sums = memory_get((size_t)m->accumulator_count, sizeof *l->sums);
    l->values = memory_get((size_t)m->value_count, sizeof *l->values);
    l->report = memory_get((size_t)(m->loss_count + m->metric_count) + 2, sizeof *l->report);
    saver_create(&l->saver, &t->instance, &t->data.encoding, o);
    if (!saver_check(&l->saver, &t->error))
        return false;
    return !o->log || log_open(&l->log, o->log, o->resume, &t->error);
}

static int run(Training *t, const Options *o)
{
    Loop *l = &t->loop;
    if (l->at.step >= l->last_step) {
        printf("nothing is left to do: %" PRIu64 " of %" PRIu64
               " steps are done; give more --epochs or "
               "--steps\n",
               l->at.step, l->last_step);
        return 0;
    }
    announce(t, o);
    Profile *profile = o->profile ? profile_open(&t->instance, o, &t->error) : NULL;
    if (o->profile && !profile)
        return cli_fail(&t->error);
    loop_catch_signals();
    open_feeds(l);
    int status = loop_run(l);
    if (!profile_close(profile, &t->error))
        return cli_fail(&t->error);
    if (!log_close(&l->log, &t->error))
        return cli_fail(&t->error);
    return status;
}

static void clean_up(Training *t)
{
    Loop *l = &t->loop;
    log_close(&l->log, &t->error);
    saver_destroy(&l->saver);
    feed_destroy(l->feed);
    feed_destroy(l->held);
    view_free(&l->base);
    view_free(&l->holdout);
    free(l->sums);
    free(l->values);
    free(l->report);
    dataset_close(&t->data);
    dataset_close(&t->held);
    encoding_destroy(&t->resumed);
    instance_destroy(&t->instance);
    error_clear(&t->error);
}

int train_command(const gradc_model *model, const Options *o)
{
    Training t = {.loop.options = o, .loop.instance = &t.instance};
    t.loop.at.seed = o->has_seed ? o->seed : model->train->seed;
    instance_create(&t.instance, model, t.loop.at.seed, cli_thread_count(o));
    int status = prepare(&t, o) ? run(&t, o) : cli_fail(&t.error);
    clean_up(&t);
    return status;
}
