/* The predict command: a trained model's outputs for new inputs; targets are not needed. */
#include "data/data.h"

#include <stdlib.h>
#include <string.h>

typedef struct Prediction {
    Instance instance;
    Dataset data;
    View view;
    Position at;
    Encoding encoding;
    Error error;
    void **outputs;
} Prediction;

static bool open_inputs(Prediction *p, const Options *o)
{
    const gradc_model *m = p->instance.model;
    gradc_source source;
    if (!source_guess(&source, m->train->data, &o->inputs, m->inputs, m->input_count, &p->error))
        return false;
    const Request r = {&source,      m->inputs, m->input_count, o->data_dir,
                       &p->encoding, true,      !o->quiet};
    bool ok = dataset_open(&p->data, &r, &p->error);
    if (ok)
        view_whole(&p->data, &p->view);
    source_free(&source);
    return ok;
}

static void create_outputs(Prediction *p)
{
    const gradc_model *m = p->instance.model;
    p->outputs = memory_get((size_t)m->output_count, sizeof *p->outputs);
    for (int i = 0; i < m->output_count; i++) {
        size_t size = ((size_t)m->train->batch * port_size(&m->outputs[i]) + 127) / 64 * 64;
        p->outputs[i] = memory_pages(size);
        if (!p->outputs[i])
            abort();
    }
}

static bool predict_all(Prediction *p, Writer *w)
{
    const gradc_model *m = p->instance.model;
    Feed *feed = feed_in_order(&p->view, (size_t)m->train->batch);
    bool ok = true;
    size_t n;
    for (uint64_t at = 0; ok && at < p->view.count; at += n) {
        const Batch *b = feed_next(feed, &n, &p->error);
        ok = b != NULL;
        if (ok) {
            m->predict(p->instance.self, b->inputs, n, p->outputs);
            ok = writer_put(w, p->outputs, n, &p->error);
        }
    }
    feed_destroy(feed);
    return ok;
}

static bool predict_into(Prediction *p, const Options *o)
{
    const gradc_model *m = p->instance.model;
    if (m->output_count == 0)
        return error_set(&p->error, "the model has no output\nhelp: add one, as in output probs = "
                                    "softmax(logits), and compile again");
    char *path = cli_load(&p->instance, o, &p->at, &p->encoding, &p->error);
    free(path);
    if (!path || !open_inputs(p, o))
        return false;
    Writer *w = writer_open(m, &p->encoding, o, p->view.count, &p->error);
    if (!w)
        return false;
    create_outputs(p);
    bool ok = predict_all(p, w);
    Error later = {0};
    if (!writer_close(w, ok ? &p->error : &later))
        ok = false;
    error_clear(&later);
    return ok;
}

int predict_command(const gradc_model *model, const Options *o)
{
    Prediction p = {0};
    instance_create(&p.instance, model, model->train->seed, cli_thread_count(o));
    bool ok = predict_into(&p, o);
    for (int i = 0; p.outputs && i < model->output_count; i++)
        free(p.outputs[i]);
    free(p.outputs);
    view_free(&p.view);
    dataset_close(&p.data);
    encoding_destroy(&p.encoding);
    instance_destroy(&p.instance);
    return ok ? 0 : cli_fail(&p.error);
}
