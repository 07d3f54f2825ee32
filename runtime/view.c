/* Which examples, in which order. */
#include "data/data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void view_create(View *v, const Dataset *d, uint32_t count)
{
    *v = (View){d, memory_get(count, sizeof *v->order), count};
}

bool view_whole(const Dataset *d, View *v, Error *e)
{
    (void)e;
    view_create(v, d, (uint32_t)d->count);
    for (uint32_t i = 0; i < v->count; i++)
        v->order[i] = i;
    return true;
}

bool view_split(const Dataset *d, double fraction, uint64_t seed, View *train, View *holdout,
                Error *e)
{
    View all;
    uint32_t held = (uint32_t)llround(fraction * (double)d->count);
    if (held == 0 && fraction > 0)
        held = 1;
    if (held >= d->count)
        return error_set(e, "a holdout of %g leaves none of the %zu examples to train on", fraction,
                         d->count);
    view_whole(d, &all, e);
    random_permute(all.order, all.count, seed, STREAM_SPLIT, 0);
    view_create(train, d, all.count - held);
    view_create(holdout, d, held);
    memcpy(holdout->order, all.order, held * sizeof *all.order);
    memcpy(train->order, all.order + held, train->count * sizeof *all.order);
    qsort(train->order, train->count, sizeof *train->order, ascending);
    qsort(holdout->order, held, sizeof *holdout->order, ascending);
    view_free(&all);
    return true;
}

void view_shuffle(View *v, const View *base, uint64_t seed, uint64_t epoch)
{
    memcpy(v->order, base->order, base->count * sizeof *v->order);
    random_permute(v->order, v->count, seed, STREAM_SHUFFLE, epoch);
}

void view_free(View *v)
{
    free(v->order);
    *v = (View){0};
}
