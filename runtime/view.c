/* Which examples, in which order. */
#include "data/data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void view_create(View *v, const Dataset *d, uint32_t count)
{
    *v = (View){d, memory_get(count, sizeof *v->order), count};
}

/* Rows [begin, end), every `step`-th. */
static void view_range(View *v, const Dataset *d, uint32_t begin, uint32_t end, uint32_t step)
{
    view_create(v, d, (end - begin + step - 1) / step);
    for (uint32_t i = 0; i < v->count; i++)
        v->order[i] = begin + i * step;
}

static uint32_t apart(const Dataset *d)
{
    return d->apart > 1 ? d->apart < d->count ? (uint32_t)d->apart : (uint32_t)d->count : 1;
}

void view_whole(const Dataset *d, View *v)
{
    view_range(v, d, 0, (uint32_t)d->count, 1);
}

void view_apart(const Dataset *d, View *v)
{
    view_range(v, d, 0, (uint32_t)d->count, apart(d));
}

/* The last part of a sequence; the windows that reach into it from before belong to neither. */
static void split_sequence(const Dataset *d, uint32_t held, View *train, View *holdout)
{
    uint32_t first = (uint32_t)d->count - held;
    view_range(train, d, 0, first - (held ? (uint32_t)d->gap : 0), 1);
    view_range(holdout, d, first, (uint32_t)d->count, apart(d));
}

/* What a split takes or leaves whole: groups of examples, or single ones. */
static uint32_t unit_count(const Dataset *d)
{
    return (uint32_t)(d->groups ? d->group_count : d->count);
}

static uint32_t unit_begin(const Dataset *d, uint32_t unit)
{
    return unit == unit_count(d) ? (uint32_t)d->count : d->groups ? d->groups[unit] : unit;
}

static void append_unit(View *v, const Dataset *d, uint32_t unit)
{
    for (uint32_t row = unit_begin(d, unit); row < unit_begin(d, unit + 1); row++)
        v->order[v->count++] = row;
}

static void split_by_seed(const Dataset *d, uint32_t held, uint64_t seed, View *train,
                          View *holdout)
{
    const uint32_t units = unit_count(d);
    uint32_t *order = memory_get(units, sizeof *order), rows = 0;
    bool *is_held = memory_get(units, sizeof *is_held);
    for (uint32_t i = 0; i < units; i++)
        order[i] = i;
    random_permute(order, units, seed, STREAM_SPLIT, 0);
    for (uint32_t i = 0; i < held; i++) {
        is_held[order[i]] = true;
        rows += unit_begin(d, order[i] + 1) - unit_begin(d, order[i]);
    }
    view_create(train, d, (uint32_t)d->count - rows);
    view_create(holdout, d, rows);
    train->count = holdout->count = 0;
    for (uint32_t i = 0; i < units; i++)
        append_unit(is_held[i] ? holdout : train, d, i);
    free(order);
    free(is_held);
}

bool view_split(const Dataset *d, double fraction, uint64_t seed, View *train, View *holdout,
                Error *e)
{
    uint32_t units = unit_count(d), held = (uint32_t)llround(fraction * (double)units);
    if (held == 0 && fraction > 0)
        held = 1;
    if (held + (held ? d->gap : 0) >= units)
        return error_set(e, "a holdout of %g leaves none of the %zu examples to train on", fraction,
                         d->count);
    if (d->apart)
        split_sequence(d, held, train, holdout);
    else
        split_by_seed(d, held, seed, train, holdout);
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
