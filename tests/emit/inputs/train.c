/* Trains with an object and its header, and nothing else: no runtime, no data files. */
#include "points.h"
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t state = 12345;

static float uniform(void)
{
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / 16777216.0f;
}

static void draw(float *x, uint8_t *kind, uint8_t *label, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (int k = 0; k < 3; k++)
            x[3 * i + k] = 2 * uniform() - 1;
        kind[i] = (uint8_t)(state >> 29);
        float s = x[3 * i] + x[3 * i + 1] + (float)kind[i] / 4 - 0.9f;
        label[i] = s < -0.5f ? 0 : s < 0.5f ? 1 : 2;
    }
}

static points *make(void **memory, size_t *bytes, uint64_t seed)
{
    *bytes = (points_bytes() + 63) / 64 * 64;
    assert(points_bytes() == POINTS_BYTES);
    *memory = aligned_alloc(64, *bytes);
    memset(*memory, (int)seed, *bytes); /* what was there does not matter */
    return points_init(*memory, 7);
}

int main(void)
{
    void *first, *second;
    size_t bytes;
    points *a = make(&first, &bytes, 1), *b = make(&second, &bytes, 2);
    float x[3 * POINTS_BATCH], loss = 0, last = 0, probs[3 * 40], many[3 * 40];
    uint8_t kind[POINTS_BATCH], label[POINTS_BATCH];
    int32_t best[40];
    for (int step = 0; step < 1500; step++) {
        draw(x, kind, label, POINTS_BATCH);
        last = points_step(a, x, kind, label, POINTS_BATCH);
        /* The parts make the same step, up to rounding. */
        float again = points_gradient(b, x, kind, label, POINTS_BATCH, 1, 1);
        points_update(b);
        assert(fabsf(last - again) < 1e-4f);
        loss = step == 0 ? last : loss;
    }
    printf("loss from %.2f to %.2f\n", loss, last);
    assert(last < 0.5f * loss);

    double sums[16] = {0}, values[2];
    for (int k = 0; k < 20; k++) {
        draw(x, kind, label, POINTS_BATCH);
        points_evaluate(a, x, kind, label, POINTS_BATCH, sums);
    }
    points_finish(a, sums, 20 * POINTS_BATCH, values);
    printf("accuracy %.2f\n", values[1]);
    assert(values[1] > 0.9 && points_model.metric_count == 1 && !strcmp(points_model.metrics[0].name, "accuracy"));

    /* A prediction takes as many rows as there are, more than a batch too. */
    uint8_t kinds[40], labels[40];
    draw(many, kinds, labels, 40);
    float rows[3 * 40];
    memcpy(rows, many, sizeof rows);
    points_predict(a, rows, kinds, 40, probs, best);
    int right = 0;
    for (int i = 0; i < 40; i++) {
        float sum = probs[3 * i] + probs[3 * i + 1] + probs[3 * i + 2];
        assert(sum > 0.9999f && sum < 1.0001f && best[i] >= 0 && best[i] < 3);
        right += best[i] == labels[i];
    }
    printf("%d of 40 right\n", right);
    assert(right > 34);

    /* Two instances that do the same stay the same, parameter by parameter. */
    points_init(first, 3);
    points_init(second, 3);
    for (int k = 0; k < 2 * 5; k++)
        points_step(k % 2 ? a : b, x, kind, label, POINTS_BATCH - 1);
    for (int i = 0; i < points_model.tensor_count; i++) {
        const gradc_tensor *t = &points_model.tensors[i];
        if (t->role == GRADC_PARAM || t->role == GRADC_MOMENT)
            assert(!memcmp((char *)first + t->offset, (char *)second + t->offset, t->count * 4));
    }

    /* More than a batch is refused by a step, and changes nothing. */
    float refused = points_step(a, x, kind, label, POINTS_BATCH + 1);
    assert(refused != refused);
    assert(points_step(a, x, kind, label, 1) > 0);
    free(first);
    free(second);
    return 0;
}
