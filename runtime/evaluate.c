/* The evaluate command: the losses and metrics of a trained model, on the very examples that
 * training held out, or on all of other data. */
#include "data/data.h"

#include <stdlib.h>
#include <string.h>

typedef struct Evaluation {
    Instance instance;
    Dataset data;
    View view, rest;
    const char *what; /* which examples */
    Position at;
    Encoding encoding;
    Error error;
} Evaluation;

static bool open_view(Evaluation *v, const Options *o)
{
    const gradc_model *m = v->instance.model;
    const gradc_train *t = m->train;
    bool separate = t->holdout && !o->data.count;
    if (!cli_data(&v->data, m, separate ? t->holdout : t->data, o, &v->encoding, &v->error))
        return false;
    if (separate || o->data.count || t->holdout_fraction <= 0) {
        v->what = separate ? "the holdout" : o->data.count ? "the data given" : "the training data";
        view_apart(&v->data, &v->view);
        return true;
    }
    v->what = "the holdout";
    return view_split(&v->data, t->holdout_fraction, v->at.seed, &v->rest, &v->view, &v->error);
}

const char *loss_part_name(const gradc_model *m, int loss)
{
    return strcmp(m->losses[loss], "loss") == 0 ? "loss_1" : m->losses[loss];
}

static void print_values(const gradc_model *m, const double *values)
{
    double total = 0;
    int width = 4;
    for (int i = 0; i < m->metric_count; i++)
        width = (int)strlen(m->metrics[i]) > width ? (int)strlen(m->metrics[i]) : width;
    for (int i = 0; i < m->loss_count; i++) {
        int length = (int)strlen(loss_part_name(m, i));
        total += values[i];
        width = m->loss_count > 1 && length > width ? length : width;
    }
    printf("%-*s  %.6g\n", width, "loss", total);
    for (int i = 0; m->loss_count > 1 && i < m->loss_count; i++)
        printf("%-*s  %.6g\n", width, loss_part_name(m, i), values[i]);
    for (int i = 0; i < m->metric_count; i++)
        printf("%-*s  %.6g\n", width, m->metrics[i], values[m->loss_count + i]);
}

static bool measure(Evaluation *v, const char *path)
{
    const gradc_model *m = v->instance.model;
    Feed *feed = feed_in_order(&v->view, (size_t)m->train->batch);
    double *sums = memory_get((size_t)m->accumulator_count, sizeof *sums);
    double *values = memory_get((size_t)(m->loss_count + m->metric_count), sizeof *values);
    const bool ok = view_measure(&v->instance, feed, &v->view, sums, values, &v->error);
    if (ok) {
        printf("%s (step %llu) on %s, %u example%s\n", path, (unsigned long long)v->at.step,
               v->what, v->view.count, v->view.count == 1 ? "" : "s");
        print_values(m, values);
    }
    feed_destroy(feed);
    free(sums);
    free(values);
    return ok;
}

int evaluate_command(const gradc_model *model, const Options *o)
{
    Evaluation v = {.what = ""};
    instance_create(&v.instance, model, model->train->seed, cli_thread_count(o));
    char *path = cli_load(&v.instance, o, &v.at, &v.encoding, &v.error);
    bool ok = path && open_view(&v, o) && measure(&v, path);
    free(path);
    view_free(&v.view);
    view_free(&v.rest);
    dataset_close(&v.data);
    encoding_destroy(&v.encoding);
    instance_destroy(&v.instance);
    return ok ? 0 : cli_fail(&v.error);
}
