/* The training loop.  What it does next depends on `at` alone, never on the clock, so a run that
 * starts again from any saved position ends in the same bits. */
#include "data/data.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_SECONDS_BETWEEN_SAVES 1.0 /* short epochs must not wait for the disk */

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    caught = number;
}

void loop_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL); /* a second one ends the program at once */
    sigaction(SIGTERM, &action, NULL);
}

/* ---- one update ------------------------------------------------------------------------------------ */

static bool take_batch(Loop *l)
{
    l->batch = feed_next(l->feed, &l->gathered, &l->error);
    return l->batch != NULL;
}

/* False: an example cannot be read, or the loss is not finite; the batch holds the examples, and
 * nothing has changed. */
static bool plain_update(Loop *l, size_t n)
{
    const gradc_model *m = l->instance->model;
    if (!take_batch(l))
        return false;
    l->last_loss = m->step(l->instance->self, l->batch->inputs, n);
    if (!isfinite(l->last_loss))
        return false;
    l->at.loss_sum += l->last_loss * (double)n;
    return true;
}

/* Micro-batches weighted by their share, so that a short last one counts for what it is. */
static bool accumulated_update(Loop *l, size_t n)
{
    const gradc_model *m = l->instance->model;
    double sum = 0;
    for (size_t done = 0; done < n;) {
        if (!take_batch(l))
            return false;
        const size_t part = l->gathered;
        l->last_loss = m->gradient(l->instance->self, l->batch->inputs, part,
                                   (double)part / (double)n, done == 0);
        if (!isfinite(l->last_loss))
            return false;
        sum += l->last_loss * (double)part;
        done += part;
    }
    m->update(l->instance->self);
    l->at.loss_sum += sum;
    return true;
}

static size_t update_size(const Loop *l)
{
    uint64_t left = l->base.count - l->at.cursor, full = l->capacity * l->accumulate;
    return (size_t)(left < full ? left : full);
}

static bool one_update(Loop *l)
{
    size_t n = update_size(l);
    if (!(l->accumulate > 1 ? accumulated_update(l, n) : plain_update(l, n)))
        return false;
    l->at.loss_count += n;
    l->at.cursor += n;
    l->at.step++;
    l->progress.done += n;
    if (l->at.cursor == l->base.count) {
        l->at.cursor = 0;
        l->at.epoch++;
    }
    return true;
}

/* ---- evaluation -------------------------------------------------------------------------------------- */

bool view_measure(const Instance *in, Feed *f, const View *v, double *sums, double *values,
                  Error *e)
{
    const gradc_model *m = in->model;
    memset(sums, 0, (size_t)m->accumulator_count * sizeof *sums);
    size_t n;
    for (uint64_t at = 0; at < v->count; at += n) {
        const Batch *b = feed_next(f, &n, e);
        if (!b)
            return false;
        m->evaluate(in->self, b->inputs, n, sums);
    }
    m->finish(in->self, sums, v->count, values);
    return true;
}

Value metric_value(const gradc_model *m, int metric, const double *values)
{
    const gradc_metric *of = &m->metrics[metric];
    const double *at = values + of->slot;
    return (Value){"", of->name, *at, of->rank ? of : NULL, at};
}

static double total_loss(const Loop *l)
{
    double sum = 0;
    for (int i = 0; i < l->instance->model->loss_count; i++)
        sum += l->values[i];
    return sum;
}

/* Schedules may rest on evaluations: how many there were, and what the last one measured. */
static void tell_schedules(Loop *l, double measure)
{
    const gradc_tensor *count = hyper_find(l->instance->model, "evaluations");
    const gradc_tensor *last = hyper_find(l->instance->model, "measure");
    if (count) {
        void *at = tensor_data(l->instance, count);
        number_put(count->type, at, number_get(count->type, at) + 1);
    }
    if (last)
        number_put(last->type, tensor_data(l->instance, last), measure);
}

/* True when this evaluation is the best so far. */
static bool judge(Loop *l)
{
    double v = l->best_index < 0 ? total_loss(l) : l->values[l->best_index];
    bool larger = l->best_index >= 0 && l->instance->model->train->best_is_larger;
    bool better = isfinite(v) && (!l->at.has_best || (larger ? v > l->at.best : v < l->at.best));
    l->at.stale = better ? 0 : l->at.stale + 1;
    tell_schedules(l, v);
    if (better) {
        l->at.has_best = true;
        l->at.best = v;
        l->at.best_step = l->at.step;
    }
    return better;
}

static int add_evaluation(Loop *l, int count)
{
    const gradc_model *m = l->instance->model;
    const char *group = l->holdout_is_train ? "" : "holdout";
    Value *r = l->report;
    if (l->holdout_is_train)
        count = 0; /* the same loss, but measured after the update */
    r[count++] = (Value){.group = group, .name = "loss", .number = total_loss(l)};
    for (int i = 0; m->loss_count > 1 && i < m->loss_count; i++)
        r[count++] = (Value){group, loss_part_name(m, i), l->values[i], NULL, NULL};
    for (int i = 0; i < m->metric_count; i++)
        r[count++] = metric_value(m, i, l->values);
    return count;
}

static bool report(Loop *l, bool evaluate)
{
    Position *at = &l->at;
    bool best = false;
    int count = 0;
    double trained = at->loss_count ? at->loss_sum / (double)at->loss_count : NAN;
    l->report[count++] = (Value){.group = "", .name = "loss", .number = trained};
    at->loss_sum = 0;
    at->loss_count = 0;
    if (evaluate) {
        if (!view_measure(l->instance, l->held, &l->holdout, l->sums, l->values, &l->error))
            return false;
        at->evaluated = at->step;
        best = judge(l);
        count = add_evaluation(l, count);
        if (best)
            saver_keep_best(&l->saver, l->instance, at);
    }
    progress_line(&l->progress, at, l->report, count, best);
    log_row(&l->log, at, clock_seconds() - l->progress.began, l->report, count);
    return true;
}

static bool is_report_due(const Loop *l)
{
    if (l->every_epochs)
        return l->at.cursor == 0 && l->at.epoch % l->every == 0;
    return l->at.step % l->every == 0;
}

/* ---- endings ------------------------------------------------------------------------------------------- */

static void tell_saved(const Loop *l)
{
    if (l->saver.saved)
        fprintf(stderr, "  the last good checkpoint is %s, of step %llu\n", l->saver.last_path,
                (unsigned long long)l->saver.saved_step);
    else
        fprintf(stderr, "  nothing had been saved by this run\n");
}

/* What was learned before a damaged example is worth keeping. */
static int stop_unreadable(Loop *l)
{
    saver_write(&l->saver, l->instance, &l->at);
    progress_clear(&l->progress);
    const int status = cli_fail(&l->error);
    tell_saved(l);
    return status;
}

static int stop_not_finite(Loop *l)
{
    const gradc_model *m = l->instance->model;
    const char *first = m->diagnose(l->instance->self, l->batch->inputs, l->gathered);
    progress_clear(&l->progress);
    fprintf(stderr, "%s: the loss is %g at step %llu (epoch %llu)\n", program_invocation_short_name,
            l->last_loss, (unsigned long long)l->at.step + 1, (unsigned long long)l->at.epoch + 1);
    if (first)
        fprintf(stderr, "  the first tensor that is not finite: %s\n", first);
    tell_saved(l);
    fprintf(stderr, "help: lower the learning rate (--lr), clip the gradient, or look for extreme "
                    "values in the data\n");
    return 1;
}

static int stop_by_signal(Loop *l)
{
    bool saved = saver_write(&l->saver, l->instance, &l->at);
    progress_clear(&l->progress);
    if (saved)
        fprintf(stderr, "%s: stopped by %s after step %llu, saved in %s; go on with --resume\n",
                program_invocation_short_name, caught == SIGINT ? "SIGINT" : "SIGTERM",
                (unsigned long long)l->at.step, l->saver.last_path);
    return 128 + (int)caught;
}

static bool is_exhausted(const Loop *l)
{
    return l->patience && l->at.stale >= l->patience;
}

static int finish(Loop *l)
{
    if (l->at.evaluated != l->at.step && !report(l, true))
        return stop_unreadable(l);
    bool ok = saver_write(&l->saver, l->instance, &l->at);
    progress_clear(&l->progress);
    if (is_exhausted(l) && !l->options->quiet)
        printf("stopped after %llu evaluations without improvement\n",
               (unsigned long long)l->at.stale);
    if (ok && !l->options->quiet)
        printf("saved %s and the best (step %llu) %s\n", l->saver.last_path,
               (unsigned long long)l->at.best_step, l->saver.best_path);
    return ok ? 0 : 1;
}

/* ---- the loop --------------------------------------------------------------------------------------------- */

static void save_if_due(Loop *l, bool reported)
{
    double now = clock_coarse();
    if (saver_due(&l->saver, &l->at, now) ||
        (reported && !l->saver.steps && now - l->saver.saved_time >= LEAST_SECONDS_BETWEEN_SAVES))
        saver_write(&l->saver, l->instance, &l->at);
}

int loop_run(Loop *l)
{
    l->progress.began = l->progress.rate_time = clock_seconds();
    l->progress.first_step = l->at.step;
    while (l->at.step < l->last_step && !is_exhausted(l)) {
        if (!one_update(l))
            return l->error.text ? stop_unreadable(l) : stop_not_finite(l);
        bool due = is_report_due(l);
        if (due && !report(l, l->evaluates || l->at.step == l->last_step))
            return stop_unreadable(l);
        if (!due)
            progress_tick(&l->progress, &l->at, l->last_loss);
        if (caught)
            return stop_by_signal(l);
        save_if_due(l, due);
    }
    return finish(l);
}
