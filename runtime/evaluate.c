/* The evaluate command: the losses and metrics of a trained model, on the very examples that
 * training held out, or on all of other data. */
#include "data/data.h"

#include <jansson.h>
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

/* The losses, their sum first, then the metrics. */
static int list_values(const gradc_model *m, const double *values, Value *list)
{
    int count = 1;
    list[0] = (Value){.group = "", .name = "loss"};
    for (int i = 0; i < m->loss_count; i++) {
        list[0].number += values[i];
        if (m->loss_count > 1)
            list[count++] = (Value){.group = "", .name = loss_part_name(m, i), .number = values[i]};
    }
    for (int i = 0; i < m->metric_count; i++)
        list[count++] = metric_value(m, i, values);
    return count;
}

static void print_values(const Evaluation *v, const Value *list, int count)
{
    int width = 4;
    for (int i = 0; i < count; i++)
        if (!list[i].table && (int)strlen(list[i].name) > width)
            width = (int)strlen(list[i].name);
    for (int i = 0; i < count; i++)
        if (!list[i].table)
            printf("%-*s  %.6g\n", width, list[i].name, list[i].number);
    for (int i = 0; i < count; i++)
        if (list[i].table)
            table_print(v->instance.model, &v->encoding, &list[i]);
}

/* "classes": {"species": ["setosa", …]} */
static void add_class_names(json_t *head, const char *port, const Names *names)
{
    json_t *list = json_array();
    for (int i = 0; i < names->count; i++)
        json_array_append_new(list, json_string(names->items[i]));
    if (names->count && !json_object_get(head, "classes"))
        json_object_set_new(head, "classes", json_object());
    if (names->count)
        json_object_set(json_object_get(head, "classes"), port, list);
    json_decref(list);
}

/* One object, on one line. */
static void print_json(const Evaluation *v, const char *path, const Value *list, int count)
{
    json_t *head = json_object();
    json_object_set_new(head, "checkpoint", json_string(path));
    json_object_set_new(head, "on", json_string(v->what));
    for (int i = 0; i < v->encoding.port_count; i++)
        if (v->instance.model->inputs[i].domain == GRADC_CLASS)
            add_class_names(head, v->instance.model->inputs[i].name, &v->encoding.names[i]);
    char *text = json_dumps(head, 0);
    printf("%.*s, \"step\": %llu, \"examples\": %u", (int)strlen(text) - 1, text,
           (unsigned long long)v->at.step, v->view.count);
    free(text);
    json_decref(head);
    for (int i = 0; i < count; i++) {
        fputs(", ", stdout);
        json_value(stdout, &list[i]);
    }
    puts("}");
}

static bool log_values(Evaluation *v, const Options *o, double seconds, const Value *list,
                       int count)
{
    Log l = {0};
    if (!o->log)
        return true;
    if (!log_open(&l, o->log, true, &v->error))
        return false;
    log_row(&l, &v->at, seconds, list, count);
    return log_close(&l, &v->error);
}

static bool tell(Evaluation *v, const Options *o, const char *path, const double *values,
                 double began)
{
    const gradc_model *m = v->instance.model;
    Value *list = memory_get((size_t)(m->loss_count + m->metric_count) + 1, sizeof *list);
    const int count = list_values(m, values, list);
    if (o->json) {
        print_json(v, path, list, count);
    } else {
        printf("%s (step %llu) on %s, %u example%s\n", path, (unsigned long long)v->at.step,
               v->what, v->view.count, v->view.count == 1 ? "" : "s");
        print_values(v, list, count);
    }
    const bool ok = log_values(v, o, clock_seconds() - began, list, count);
    free(list);
    return ok;
}

static bool measure(Evaluation *v, const Options *o, const char *path)
{
    const gradc_model *m = v->instance.model;
    const double began = clock_seconds();
    Feed *feed = feed_in_order(&v->view, (size_t)m->train->batch);
    double *sums = memory_get((size_t)m->accumulator_count, sizeof *sums);
    double *values = memory_get((size_t)m->value_count, sizeof *values);
    const bool ok = view_measure(&v->instance, feed, &v->view, sums, values, &v->error) &&
                    tell(v, o, path, values, began);
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
    bool ok = path && open_view(&v, o) && measure(&v, o, path);
    free(path);
    view_free(&v.view);
    view_free(&v.rest);
    dataset_close(&v.data);
    encoding_destroy(&v.encoding);
    instance_destroy(&v.instance);
    return ok ? 0 : cli_fail(&v.error);
}
