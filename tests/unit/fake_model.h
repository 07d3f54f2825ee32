/* A model as the compiler would emit it, written by hand: softmax regression of three classes on
 * four numbers, trained by momentum; in f32 and f64.  It drives the runtime's tests. */
#ifndef FAKE_MODEL_H
#define FAKE_MODEL_H

#include "gradrt.h"

#include <math.h>
#include <string.h>

enum {
    FAKE_INPUTS = 4,
    FAKE_CLASSES = 3,
    FAKE_WEIGHTS = FAKE_INPUTS * FAKE_CLASSES,
    FAKE_BATCH = 16
};

static double fake_break_at = -1; /* the step whose loss is to be NaN */
static int fake_wrong_gradient;   /* gradcheck must notice            */

static const gradc_init_from *fake_inits;
static int fake_init_count;

#define FAKE_DEFINE(P, Real, REAL)                                                                 \
    typedef struct P##_instance {                                                                  \
        Real weight[FAKE_CLASSES][FAKE_INPUTS], bias[FAKE_CLASSES];                                \
        Real weight_m[FAKE_CLASSES][FAKE_INPUTS], bias_m[FAKE_CLASSES];                            \
        Real weight_g[FAKE_CLASSES][FAKE_INPUTS], bias_g[FAKE_CLASSES];                            \
        Real seen; /* a state: examples trained on */                                              \
        Real lr, steps;                                                                            \
        uint64_t step;                                                                             \
        gradc_parallel_for *run;                                                                   \
        void *pool;                                                                                \
    } P##_instance;                                                                                \
    static size_t P##_bytes(size_t threads)                                                        \
    {                                                                                              \
        return (sizeof(P##_instance) + 63) / 64 * 64 + 64 * threads;                               \
    }                                                                                              \
    static void *P##_init(void *memory, uint64_t seed)                                             \
    {                                                                                              \
        P##_instance *m = memset(memory, 0, sizeof *m);                                            \
        for (int i = 0; i < FAKE_WEIGHTS; i++)                                                     \
            (&m->weight[0][0])[i] = (Real)(((seed + 1) * 7919 * (uint64_t)(i + 1)) % 101) / 500;   \
        m->lr = (Real)0.05;                                                                        \
        return m;                                                                                  \
    }                                                                                              \
    static void P##_threads(void *self, gradc_parallel_for *run, void *pool, size_t threads)       \
    {                                                                                              \
        ((P##_instance *)self)->run = run;                                                         \
        ((P##_instance *)self)->pool = pool;                                                       \
        (void)threads;                                                                             \
    }                                                                                              \
    static void P##_probs(const P##_instance *m, const Real *x, Real *p)                           \
    {                                                                                              \
        Real sum = 0, top = 0;                                                                     \
        for (int c = 0; c < FAKE_CLASSES; c++) {                                                   \
            p[c] = m->bias[c];                                                                     \
            for (int i = 0; i < FAKE_INPUTS; i++)                                                  \
                p[c] += m->weight[c][i] * x[i];                                                    \
            top = p[c] > top ? p[c] : top;                                                         \
        }                                                                                          \
        for (int c = 0; c < FAKE_CLASSES; c++)                                                     \
            sum += p[c] = (Real)exp((double)(p[c] - top));                                         \
        for (int c = 0; c < FAKE_CLASSES; c++)                                                     \
            p[c] /= sum;                                                                           \
    }                                                                                              \
    static double P##_loss(void *self, const void *const *in, size_t n, double *each)              \
    {                                                                                              \
        double sum = 0;                                                                            \
        Real p[FAKE_CLASSES];                                                                      \
        for (size_t k = 0; k < n; k++) {                                                           \
            P##_probs(self, (const Real *)in[0] + k * FAKE_INPUTS, p);                             \
            sum -= log((double)p[((const uint8_t *)in[1])[k]]);                                    \
        }                                                                                          \
        if (each)                                                                                  \
            each[0] = sum / (double)n;                                                             \
        return sum / (double)n;                                                                    \
    }                                                                                              \
    static double P##_gradient(void *self, const void *const *in, size_t n, double scale,          \
                               int first)                                                          \
    {                                                                                              \
        P##_instance *m = self;                                                                    \
        Real p[FAKE_CLASSES];                                                                      \
        double loss = P##_loss(self, in, n, NULL);                                                 \
        if ((double)m->step == fake_break_at)                                                      \
            return NAN;                                                                            \
        if (first) {                                                                               \
            memset(m->weight_g, 0, sizeof m->weight_g);                                            \
            memset(m->bias_g, 0, sizeof m->bias_g);                                                \
        }                                                                                          \
        for (size_t k = 0; k < n; k++) {                                                           \
            const Real *x = (const Real *)in[0] + k * FAKE_INPUTS;                                 \
            P##_probs(m, x, p);                                                                    \
            for (int c = 0; c < FAKE_CLASSES; c++) {                                               \
                Real d = (p[c] - (c == ((const uint8_t *)in[1])[k])) * (Real)(scale / (double)n);  \
                m->bias_g[c] += d;                                                                 \
                for (int i = 0; i < FAKE_INPUTS; i++)                                              \
                    m->weight_g[c][i] += d * x[i] * (fake_wrong_gradient && i == 2 ? 2 : 1);       \
            }                                                                                      \
        }                                                                                          \
        return loss;                                                                               \
    }                                                                                              \
    static void P##_update(void *self)                                                             \
    {                                                                                              \
        P##_instance *m = self;                                                                    \
        Real rate = m->lr;                                                                         \
        for (int i = 0; i < FAKE_WEIGHTS; i++) {                                                   \
            (&m->weight_m[0][0])[i] =                                                              \
                (Real)0.9 * (&m->weight_m[0][0])[i] + (&m->weight_g[0][0])[i];                     \
            (&m->weight[0][0])[i] -= rate * (&m->weight_m[0][0])[i];                               \
        }                                                                                          \
        for (int c = 0; c < FAKE_CLASSES; c++) {                                                   \
            m->bias_m[c] = (Real)0.9 * m->bias_m[c] + m->bias_g[c];                                \
            m->bias[c] -= rate * m->bias_m[c];                                                     \
        }                                                                                          \
        m->step++;                                                                                 \
    }                                                                                              \
    static double P##_step(void *self, const void *const *in, size_t n)                            \
    {                                                                                              \
        double loss = P##_gradient(self, in, n, 1, 1);                                             \
        if (isfinite(loss)) {                                                                      \
            P##_update(self);                                                                      \
            ((P##_instance *)self)->seen += (Real)n;                                               \
        }                                                                                          \
        return loss;                                                                               \
    }                                                                                              \
    static void P##_evaluate(void *self, const void *const *in, size_t n, double *sums)            \
    {                                                                                              \
        Real p[FAKE_CLASSES];                                                                      \
        for (size_t k = 0; k < n; k++) {                                                           \
            int best = 0, label = ((const uint8_t *)in[1])[k];                                     \
            P##_probs(self, (const Real *)in[0] + k * FAKE_INPUTS, p);                             \
            for (int c = 1; c < FAKE_CLASSES; c++)                                                 \
                best = p[c] > p[best] ? c : best;                                                  \
            sums[0] -= log((double)p[label]);                                                      \
            sums[1] += best == label;                                                              \
        }                                                                                          \
    }                                                                                              \
    static void P##_finish(void *self, const double *sums, uint64_t examples, double *values)      \
    {                                                                                              \
        (void)self;                                                                                \
        values[0] = sums[0] / (double)examples;                                                    \
        values[1] = sums[1] / (double)examples;                                                    \
    }                                                                                              \
    static void P##_predict(void *self, const void *const *in, size_t n, void *const *out)         \
    {                                                                                              \
        for (size_t k = 0; k < n; k++) {                                                           \
            Real *p = (Real *)out[0] + k * FAKE_CLASSES;                                           \
            int best = 0;                                                                          \
            P##_probs(self, (const Real *)in[0] + k * FAKE_INPUTS, p);                             \
            for (int c = 1; c < FAKE_CLASSES; c++)                                                 \
                best = p[c] > p[best] ? c : best;                                                  \
            ((uint8_t *)out[1])[k] = (uint8_t)best;                                                \
        }                                                                                          \
    }                                                                                              \
    static const char *P##_diagnose(void *self, const void *const *in, size_t n)                   \
    {                                                                                              \
        (void)self, (void)in, (void)n;                                                             \
        return "dense_1.weight";                                                                   \
    }                                                                                              \
    static uint64_t P##_get_step(const void *self)                                                 \
    {                                                                                              \
        return ((const P##_instance *)self)->step;                                                 \
    }                                                                                              \
    static void P##_set_step(void *self, uint64_t step)                                            \
    {                                                                                              \
        ((P##_instance *)self)->step = step;                                                       \
    }                                                                                              \
    static const gradc_tensor P##_tensors[] = {                                                    \
        {"dense_1.weight", REAL, GRADC_PARAM, 2, fake_weight_shape,                                \
         offsetof(P##_instance, weight), 12, 0, 0, -1, -1},                                        \
        {"dense_1.bias", REAL, GRADC_PARAM, 1, fake_bias_shape, offsetof(P##_instance, bias), 3,   \
         0, 0, -1, -1},                                                                            \
        {"dense_1.weight.m", REAL, GRADC_MOMENT, 2, fake_weight_shape,                             \
         offsetof(P##_instance, weight_m), 12, 0, 0, 0, -1},                                       \
        {"dense_1.bias.m", REAL, GRADC_MOMENT, 1, fake_bias_shape, offsetof(P##_instance, bias_m), \
         3, 0, 0, 1, -1},                                                                          \
        {"dense_1.weight", REAL, GRADC_GRADIENT, 2, fake_weight_shape,                             \
         offsetof(P##_instance, weight_g), 12, 0, 0, 0, -1},                                       \
        {"dense_1.bias", REAL, GRADC_GRADIENT, 1, fake_bias_shape, offsetof(P##_instance, bias_g), \
         3, 0, 0, 1, -1},                                                                          \
        {"seen", REAL, GRADC_STATE, 0, fake_weight_shape, offsetof(P##_instance, seen), 1, 0, 0,   \
         -1, -1},                                                                                  \
        {"lr", REAL, GRADC_HYPER, 0, fake_weight_shape, offsetof(P##_instance, lr), 1, 0, 0.05,    \
         -1, -1},                                                                                  \
        {"steps", REAL, GRADC_HYPER, 0, fake_weight_shape, offsetof(P##_instance, steps), 1, 0, 0, \
         -1, -1},                                                                                  \
    };                                                                                             \
    static const gradc_port P##_inputs[] = {                                                       \
        {"x", REAL, GRADC_NUMBER, 0, 1, fake_x_shape, FAKE_INPUTS, 0, 1},                          \
        {"label", GRADC_U8, GRADC_CLASS, FAKE_CLASSES, 0, fake_x_shape, 1, 1, 0},                  \
    };                                                                                             \
    static const gradc_port P##_outputs[] = {                                                      \
        {"probs", REAL, GRADC_NUMBER, 0, 1, fake_bias_shape, FAKE_CLASSES, 0, 0},                  \
        {"class", GRADC_U8, GRADC_CLASS, FAKE_CLASSES, 0, fake_x_shape, 1, 0, 0},                  \
    };                                                                                             \
    static inline gradc_model P##_model(const gradc_train *train)                                  \
    {                                                                                              \
        return (gradc_model){GRADC_ABI,                                                            \
                             "fake",                                                               \
                             "fake.nn",                                                            \
                             REAL,                                                                 \
                             P##_tensors,                                                          \
                             9,                                                                    \
                             P##_inputs,                                                           \
                             2,                                                                    \
                             P##_outputs,                                                          \
                             2,                                                                    \
                             fake_losses,                                                          \
                             1,                                                                    \
                             fake_metrics,                                                         \
                             1,                                                                    \
                             fake_layers,                                                          \
                             1,                                                                    \
                             train,                                                                \
                             fake_inits,                                                           \
                             fake_init_count,                                                      \
                             sizeof(P##_instance),                                                 \
                             64,                                                                   \
                             sizeof(P##_instance),                                                 \
                             0,                                                                    \
                             2,                                                                    \
                             2,                                                                    \
                             0,                                                                    \
                             0,                                                                    \
                             -1,                                                                   \
                             0,                                                                    \
                             0,                                                                    \
                             P##_bytes,                                                            \
                             P##_init,                                                             \
                             P##_threads,                                                          \
                             P##_step,                                                             \
                             P##_gradient,                                                         \
                             P##_update,                                                           \
                             P##_loss,                                                             \
                             P##_evaluate,                                                         \
                             P##_finish,                                                           \
                             NULL,                                                                 \
                             NULL,                                                                 \
                             P##_predict,                                                          \
                             NULL,                                                                 \
                             P##_diagnose,                                                         \
                             P##_get_step,                                                         \
                             P##_set_step,                                                         \
                             NULL,                                                                 \
                             0,                                                                    \
                             NULL,                                                                 \
                             NULL,                                                                 \
                             NULL};                                                                \
    }

static const int64_t fake_weight_shape[] = {FAKE_CLASSES, FAKE_INPUTS};
static const int64_t fake_bias_shape[] = {FAKE_CLASSES};
static const int64_t fake_x_shape[] = {FAKE_INPUTS};
static const char *const fake_losses[] = {"cross_entropy"};
static const gradc_metric fake_metrics[] = {{"accuracy", 0, NULL, 1, 1}};
static const gradc_layer fake_layers[] = {{"dense_1", "dense", 1, fake_bias_shape, 15, 24}};

FAKE_DEFINE(fake32, float, GRADC_F32)
FAKE_DEFINE(fake64, double, GRADC_F64)

#endif
