/* The table of reductions: one row each. */
#include "functions/functions.h"

#include <math.h>
#include <string.h>

const Reduction reduce_sum = {
    .name = "sum",
    .doc = "sum",
    .combine = &scalar_add,
    .start = 0,
};

const Reduction reduce_prod = {
    .name = "prod",
    .doc = "product",
    .combine = &scalar_mul,
    .start = 1,
};

const Reduction reduce_max = {
    .name = "max",
    .doc = "the largest; its gradient goes to the first of them",
    .combine = &scalar_max,
    .start = -INFINITY,
};

const Reduction reduce_min = {
    .name = "min",
    .doc = "the smallest; its gradient goes to the first of them",
    .combine = &scalar_min,
    .start = INFINITY,
};

const Reduction reduce_argmax = {
    .name = "argmax",
    .doc = "the first place of the largest",
    .start = -INFINITY,
    .position = true,
};

const Reduction reduce_argmin = {
    .name = "argmin",
    .doc = "the first place of the smallest",
    .start = INFINITY,
    .position = true,
};

const Reduction reduce_any = {
    .name = "any",
    .doc = "one holds at least",
    .combine = &scalar_or,
    .start = 0,
    .truths = true,
};

const Reduction reduce_all = {
    .name = "all",
    .doc = "every one holds",
    .combine = &scalar_and,
    .start = 1,
    .truths = true,
};

const Reduction reduce_mean = {
    .name = "mean",
    .doc = "sum divided by the count",
    .combine = &scalar_add,
    .start = 0,
    .mean = true,
};

static const Reduction *const rows[] = {
    &reduce_sum,    &reduce_prod,   &reduce_max, &reduce_min, &reduce_mean,
    &reduce_argmax, &reduce_argmin, &reduce_any, &reduce_all,
};

int reduction_count(void)
{
    return sizeof rows / sizeof rows[0];
}

const Reduction *reduction_at(int i)
{
    return rows[i];
}

const Reduction *reduction_find(const char *name)
{
    for (int i = 0; i < reduction_count(); i++)
        if (strcmp(rows[i]->name, name) == 0)
            return rows[i];
    return NULL;
}
