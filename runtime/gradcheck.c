/* The gradcheck command: each parameter's gradient against central differences of the loss that trains
 * it, in f64.
 *
 *   numeric = (L(w + h) - L(w - h)) / 2h      h = eps^(1/3) max(1, |w|), about 6e-6
 *   error   = |exact - numeric| / (max(|exact|, |numeric|) + noise / tolerance)
 *
 * The noise is what rounding in L does to the numeric value, 32 eps |L| / h: an error is below the
 * tolerance when it is relatively small or no more than that.  Where relu or max has
 * a kink within h the two disagree for good reason: a smaller h steps out of the way, and at the
 * kink itself the exact value lies between the slopes on either side.  A wrong gradient is wrong
 * for every h. */
#include "data/data.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Check {
    const gradc_model *read; /* the model that is trained: its ports say what data hold */
    Instance instance;       /* of the model in f64 */
    Dataset data;
    View view;
    Batch batch;
    size_t n; /* examples */
    const Options *options;
    double tolerance;
    double *each; /* the value of each loss                                  */
    int loss;     /* the one that trains the parameter looked at; -1: their sum */
    Error error;
} Check;

/* What is known of one tensor's elements. */
typedef struct Result {
    uint64_t checked, kinks, failed;
    double worst, exact, numeric; /* of the worst element */
    uint64_t worst_at;
} Result;

static double loss_at(Check *c, double *w, double value)
{
    double kept = *w;
    *w = value;
    double loss = c->instance.model->loss(c->instance.self, c->batch.inputs, c->n, c->each);
    *w = kept;
    return c->loss < 0 ? loss : c->each[c->loss];
}

typedef struct Slopes {
    double forward, backward, central, noise;
} Slopes;

static Slopes slopes_at(Check *c, double *w, double h)
{
    double up = loss_at(c, w, *w + h), down = loss_at(c, w, *w - h), here = loss_at(c, w, *w);
    double width = (*w + h) - (*w - h); /* what h became by rounding */
    return (Slopes){(up - here) / h, (here - down) / h, (up - down) / width,
                    32 * DBL_EPSILON * fmax(fabs(here), 1e-3) / h};
}

static double relative_error(double exact, double numeric, double floor)
{
    if (!isfinite(exact) || !isfinite(numeric))
        return INFINITY;
    return fabs(exact - numeric) / (fmax(fabs(exact), fabs(numeric)) + floor);
}

static bool lies_between(double exact, const Slopes *s, double tolerance)
{
    double low = fmin(s->forward, s->backward), high = fmax(s->forward, s->backward);
    double slack = s->noise + tolerance * fmax(fabs(low), fabs(high));
    bool bends = high - low > 1e-3 * fmax(fabs(low), fabs(high)) + s->noise;
    return bends && exact >= low - slack && exact <= high + slack;
}

static void check_element(Check *c, double *w, double exact, uint64_t element, Result *r)
{
    static const double factors[] = {1, 1.0 / 16, 16, 1.0 / 256, 256};
    double base = cbrt(DBL_EPSILON) * fmax(1, fabs(*w)), best = INFINITY, numeric = 0;
    bool kink = false;
    for (int i = 0; i < 5 && best > c->tolerance && !kink; i++) {
        Slopes s = slopes_at(c, w, base * factors[i]);
        double error = relative_error(exact, s.central, s.noise / c->tolerance);
        if (error < best) {
            best = error;
            numeric = s.central;
        }
        /* A kink met at a tiny step is a kink at w: any slope between the two sides will do. */
        kink = best > c->tolerance && factors[i] < 0.01 && lies_between(exact, &s, c->tolerance);
    }
    r->checked++;
    if (kink) {
        r->kinks++;
        return;
    }
    r->failed += best > c->tolerance;
    if (best >= r->worst) {
        r->worst = best;
        r->worst_at = element;
        r->exact = exact;
        r->numeric = numeric;
    }
}

/* A frozen parameter has none. */
static const gradc_tensor *gradient_of(const gradc_model *m, int parameter)
{
    for (int i = 0; i < m->tensor_count; i++)
        if (m->tensors[i].role == GRADC_GRADIENT && m->tensors[i].of == parameter)
            return &m->tensors[i];
    return NULL;
}

/* All elements, or `samples` spread evenly. */
static void check_tensor(Check *c, const gradc_tensor *t, const gradc_tensor *gradient, Result *r)
{
    double *w = tensor_data(&c->instance, t), *g = tensor_data(&c->instance, gradient);
    uint64_t n = c->options->all || t->count < c->options->samples ? t->count : c->options->samples;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t at = (uint64_t)((unsigned __int128)i * t->count / n);
        check_element(c, &w[at], g[at], at, r);
    }
}

static void print_result(const gradc_model *m, const gradc_tensor *t, const Result *r, int width)
{
    char checked[48];
    snprintf(checked, sizeof checked, "%" PRIu64 "/%" PRIu64, r->checked, t->count);
    printf("%-*s  %13s  %9.2e  %12.5e  %12.5e  %s", width, t->name, checked, r->worst, r->exact,
           r->numeric, r->failed ? "WRONG" : "ok");
    if (r->failed)
        printf(" (%" PRIu64 ", worst at element %" PRIu64 ")", r->failed, r->worst_at);
    if (r->kinks)
        printf(" (%" PRIu64 " at a kink)", r->kinks);
    if (t->loss >= 0)
        printf("  of %s", m->losses[t->loss]);
    putchar('\n');
}

static int name_width(const gradc_model *m)
{
    int width = 9;
    for (int i = 0; i < m->tensor_count; i++)
        if (m->tensors[i].role == GRADC_PARAM && (int)strlen(m->tensors[i].name) > width)
            width = (int)strlen(m->tensors[i].name);
    return width;
}

/* What lies in the states: the gradient's forward pass moves them on, as in training. */
static void copy_states(Check *c, unsigned char *kept, bool back)
{
    const gradc_model *m = c->instance.model;
    for (int i = 0; i < m->tensor_count; i++) {
        const gradc_tensor *t = &m->tensors[i];
        if (t->role != GRADC_STATE)
            continue;
        const size_t bytes = t->count * raw_size(t->type);
        void *data = tensor_data(&c->instance, t);
        memcpy(back ? data : kept, back ? kept : data, bytes);
        kept += bytes;
    }
}

/* Leaves every gradient behind, and the states as they were: differences are taken from there. */
static double gradient_at_rest(Check *c)
{
    const gradc_model *m = c->instance.model;
    unsigned char *kept = memory_get(m->persistent_bytes, 1);
    copy_states(c, kept, false);
    const double loss = m->gradient(c->instance.self, c->batch.inputs, c->n, 1, 1);
    copy_states(c, kept, true);
    free(kept);
    return loss;
}

static int check_all(Check *c)
{
    const gradc_model *m = c->instance.model;
    int width = name_width(m);
    Result total = {0};
    const char *worst = "";
    double loss = gradient_at_rest(c);
    printf("%zu example%s, loss %.9g\n%-*s  %13s  %9s  %12s  %12s\n", c->n, c->n == 1 ? "" : "s",
           loss, width, "parameter", "checked", "error", "exact", "numeric");
    for (int i = 0; i < m->tensor_count; i++) {
        const gradc_tensor *t = &m->tensors[i], *g;
        if (t->role != GRADC_PARAM)
            continue;
        if (!(g = gradient_of(m, i))) {
            printf("%-*s  has no gradient (%s)\n", width, t->name,
                   t->frozen ? "frozen" : "skipped");
            continue;
        }
        Result r = {0};
        c->loss = t->loss;
        check_tensor(c, t, g, &r);
        print_result(m, t, &r, width);
        total.failed += r.failed;
        if (r.worst >= total.worst) {
            total.worst = r.worst;
            worst = t->name;
        }
    }
    printf("worst relative error %.2e (%s), allowed %.0e: %s\n", total.worst, worst, c->tolerance,
           total.failed ? "WRONG" : "every gradient agrees");
    return total.failed ? 1 : 0;
}

/* ---- the examples ---------------------------------------------------------------------------------------- */

static double random_value(const gradc_port *p, uint64_t seed, uint32_t port, uint32_t element)
{
    const uint32_t counter[4] = {element, port, 0x47524144, 0};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t out[4];
    random_philox(counter, key, out);
    if (p->domain != GRADC_NUMBER)
        return (double)((uint64_t)out[0] * (uint64_t)p->classes >> 32);
    if (p->type >= GRADC_F32)
        return (double)out[0] / 2147483648.0 - 1;
    return p->type == GRADC_BOOL ? out[0] & 1 : out[0] & 127;
}

static void random_batch(Check *c, uint64_t seed)
{
    const gradc_model *m = c->instance.model;
    for (int i = 0; i < m->input_count; i++) {
        const gradc_port *p = &m->inputs[i];
        for (uint64_t k = 0; k < p->count * c->n; k++)
            number_put(p->type, c->batch.rows[i] + k * raw_size(p->type),
                       random_value(p, seed, (uint32_t)i, (uint32_t)k));
    }
    printf("random inputs: there is no data to read\n");
}

/* Rows of the data as the trained model takes them, for the model in f64. */
static bool gather_batch(Check *c)
{
    Batch narrow;
    batch_create(&narrow, c->read->inputs, c->read->input_count, c->batch.capacity);
    const bool ok = batch_gather(&narrow, &c->view, 0, c->n, &c->error);
    for (int i = 0; ok && i < narrow.port_count; i++) {
        const gradc_port *from = &narrow.ports[i], *to = &c->batch.ports[i];
        for (uint64_t k = 0; k < from->count * c->n; k++)
            number_put(to->type, c->batch.rows[i] + k * raw_size(to->type),
                       number_get(from->type, narrow.rows[i] + k * raw_size(from->type)));
    }
    batch_destroy(&narrow);
    return ok;
}

/* A batch of the data, which a seed chooses; random values where no data are named or there. */
static bool choose_batch(Check *c, uint64_t seed)
{
    const gradc_model *m = c->instance.model;
    const Options *o = c->options;
    size_t batch = (size_t)(o->batch ? o->batch : m->train->batch < 8 ? m->train->batch : 8);
    batch_create(&c->batch, m->inputs, m->input_count, batch);
    c->n = batch;
    if (!m->train->data && !o->data.count) {
        random_batch(c, seed);
        return true;
    }
    if (!cli_data(&c->data, c->read, m->train->data, o, NULL, &c->error)) {
        if (o->data.count)
            return false;
        fprintf(stderr, "%s: %s\n", program_invocation_short_name, c->error.text);
        error_clear(&c->error);
        random_batch(c, seed);
        return true;
    }
    view_whole(&c->data, &c->view);
    random_permute(c->view.order, c->view.count, seed, STREAM_SHUFFLE, 0);
    c->n = c->view.count < batch ? c->view.count : batch;
    return gather_batch(c);
}

int gradcheck_command(const gradc_model *model, const gradc_model *checked, const Options *o)
{
    Check c = {.read = model, .options = o, .tolerance = o->tolerance};
    uint64_t seed = o->has_seed ? o->seed : model->train->seed;
    if (!model->loss_count) {
        error_set(&c.error, "the model has no loss, so there is no gradient to check");
        return cli_fail(&c.error);
    }
    if (!checked || checked->real != GRADC_F64) {
        error_set(&c.error, "this trainer was built without its f64 model\nhelp: compile it again "
                            "with gradc, without an option that leaves it out");
        return cli_fail(&c.error);
    }
    instance_create(&c.instance, checked, seed, 1);
    c.each = memory_get((size_t)checked->loss_count, sizeof *c.each);
    bool ok = true;
    for (int i = 0; ok && i < o->sets.count; i++)
        ok = hyper_assign(&c.instance, o->sets.items[i], &c.error);
    ok = ok && choose_batch(&c, seed);
    int status = ok ? check_all(&c) : cli_fail(&c.error);
    batch_destroy(&c.batch);
    view_free(&c.view);
    dataset_close(&c.data);
    instance_destroy(&c.instance);
    free(c.each);
    return status;
}
