/* The next token, drawn by its log-odds: a function of (seed, how many were drawn before). */
#include "internal.h"

#include <math.h>
#include <stdlib.h>

void sampler_create(Sampler *s, const Options *o, uint64_t seed, uint32_t choices)
{
    *s = (Sampler){.temperature = o->temperature, .top_p = o->top_p, .seed = seed};
    s->choices = choices;
    s->most = o->top_k && o->top_k < choices ? (uint32_t)o->top_k : choices;
    s->odds = memory_get(choices, sizeof *s->odds);
}

void sampler_destroy(Sampler *s)
{
    free(s->odds);
    *s = (Sampler){0};
}

/* The likeliest first, of equal ones the lower token. */
static int likelier(const void *a, const void *b)
{
    const Odds *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight > y->weight ? -1 : 1;
    return x->token < y->token ? -1 : x->token > y->token;
}

/* In [0, 1). */
static double draw(Sampler *s)
{
    const uint32_t key[2] = {(uint32_t)s->seed, (uint32_t)(s->seed >> 32)};
    const uint32_t counter[4] = {(uint32_t)s->drawn, STREAM_SAMPLE, (uint32_t)(s->drawn >> 32), 0};
    uint32_t out[4];
    random_philox(counter, key, out);
    s->drawn++;
    return (double)(((uint64_t)out[1] << 32 | out[0]) >> 11) * 0x1p-53;
}

static double total_of(const Odds *odds, uint32_t count)
{
    double total = 0;
    for (uint32_t i = 0; i < count; i++)
        total += odds[i].weight;
    return total;
}

/* How many of the likeliest together have the share top_p. */
static uint32_t nucleus(const Sampler *s, uint32_t count)
{
    const double wanted = s->top_p * total_of(s->odds, count);
    double sum = 0;
    uint32_t i = 0;
    while (i < count && sum < wanted)
        sum += s->odds[i++].weight;
    return i ? i : 1;
}

static uint32_t draw_weighted(Sampler *s, uint32_t count)
{
    double at = draw(s) * total_of(s->odds, count);
    uint32_t i = 0;
    while (i + 1 < count && at >= s->odds[i].weight)
        at -= s->odds[i++].weight;
    return s->odds[i].token;
}

bool sampler_next(Sampler *s, gradc_dtype real, const void *logits, uint32_t *token, Error *e)
{
    double best = -INFINITY;
    *token = 0;
    for (uint32_t i = 0; i < s->choices; i++) {
        const double v = number_get(real, (const char *)logits + i * raw_size(real));
        if (isnan(v))
            return error_set(e, "the model gives no number for the log-odds of token %u", i);
        s->odds[i] = (Odds){v, i};
        if (v > best)
            best = v, *token = i;
    }
    if (isinf(best))
        return error_set(e, "the model's log-odds are not finite");
    if (s->temperature == 0)
        return true;
    for (uint32_t i = 0; i < s->choices; i++)
        s->odds[i].weight = exp((s->odds[i].weight - best) / s->temperature);
    uint32_t count = s->choices;
    if (s->most < count || s->top_p < 1) {
        qsort(s->odds, count, sizeof *s->odds, likelier);
        count = s->most;
    }
    if (s->top_p < 1)
        count = nucleus(s, count);
    *token = draw_weighted(s, count);
    return true;
}
