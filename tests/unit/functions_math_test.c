/* The lowerings of scalar functions for f32, run lane by lane and compared with the C library in
 * double precision: at most 2 ulp, for a stride of all 2^32 values.
 *   GRADC_EXHAUSTIVE=1   every value
 *   GRADC_FUNCTION=name  only that function */
#include "functions_lanes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const double limit = 2; /* ulp */

typedef struct Worst {
    double ulps;
    float args[2], got;
    double want;
} Worst;

static float float_from_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* An infinity stands for 2^128, the next value after the largest. */
static double clamp_infinite(double x)
{
    return fmax(fmin(x, 0x1p128), -0x1p128);
}

/* Distance in units of the last place that f32 has at `want`; infinite where the kinds differ. */
static double ulp_distance(float got, double want)
{
    if (isnan(got) || isnan(want))
        return isnan(got) && isnan(want) ? 0 : INFINITY;
    if (want == 0 && got == 0)
        return !signbit(want) == !signbit(got) ? 0 : INFINITY;
    if (want == got)
        return 0;
    double target = clamp_infinite(want);
    int exponent;
    frexp(target, &exponent);
    exponent = exponent < -125 ? -125 : exponent > 128 ? 128 : exponent;
    return fabs(clamp_infinite(got) - target) * ldexp(1, 24 - exponent);
}

/* Between their poles below 0 lgamma and digamma cross zero anew: there they are the difference of
 * two terms, and right to 6 ulp of the larger, which is about their value at -x. */
static double error_of(const ScalarFunction *f, float x, float got, double want)
{
    if (!strcmp(f->name, "zeta")) /* a base's last bit counts s times */
        return ulp_distance(got, want) * limit / (limit + fmax(x, 0));
    const bool reflects = !strcmp(f->name, "lgamma") || !strcmp(f->name, "digamma");
    if (!reflects || !(x < 0) || !isfinite(got) || !isfinite(want))
        return ulp_distance(got, want);
    double x_positive = fabs(x), terms = fmax(fmax(fabs(f->value(&x_positive)), 1), fabs(want));
    int exponent;
    frexp(terms, &exponent);
    return fabs(got - want) * ldexp(1, 24 - exponent) * limit / 6;
}

static void run_batch(const ScalarFunction *f, Lanes *lanes, const float *x, const float *y,
                      Worst *worst)
{
    MathBuilder *b = &lanes->builder;
    lanes_reset(lanes);
    MathValue args[2] = {lanes_new(b), lanes_new(b)};
    memcpy(args[0]->f, x, sizeof args[0]->f);
    memcpy(args[1]->f, y, sizeof args[1]->f);
    MathValue result = f->lower(b, args, false);
    for (int k = 0; k < LANES; k++) {
        double want = f->value((double[]){x[k], y[k]});
        double ulps = error_of(f, x[k], result->f[k], want);
        if (!(ulps <= worst->ulps))
            *worst = (Worst){ulps, {x[k], y[k]}, result->f[k], want};
    }
}

static void report(const ScalarFunction *f, const Worst *w)
{
    printf("%-10s %7.3f ulp at (%.9g [%a], %.9g [%a]): %.9g, exactly %.17g\n", f->name, w->ulps,
           w->args[0], w->args[0], w->args[1], w->args[1], w->got, w->want);
    fflush(stdout);
}

static bool is_chosen(const ScalarFunction *f)
{
    const char *only = getenv("GRADC_FUNCTION");
    return f->signature == SIGNATURE_REAL && (!only || strcmp(only, f->name) == 0);
}

static Worst measure_one(const ScalarFunction *f, Lanes *lanes, uint64_t stride)
{
    Worst worst = {.ulps = -1};
    float x[LANES], y[LANES] = {0};
    for (uint64_t start = 0; start < 1ull << 32; start += stride * LANES) {
        for (int k = 0; k < LANES; k++)
            x[k] = float_from_bits((uint32_t)(start + stride * (uint64_t)k));
        run_batch(f, lanes, x, y, &worst);
    }
    return worst;
}

static void one_argument(void **state)
{
    Lanes *lanes = lanes_create(false);
    uint64_t stride = getenv("GRADC_EXHAUSTIVE") ? 1 : 4093;
    double all = 0;
    for (int i = 0; i < scalar_count(); i++) {
        const ScalarFunction *f = scalar_at(i);
        if (!is_chosen(f) || f->arity != 1)
            continue;
        Worst worst = measure_one(f, lanes, stride);
        report(f, &worst);
        all = fmax(all, worst.ulps);
    }
    lanes_destroy(lanes);
    assert_true(all <= limit);
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 16;
}

/* Where one-argument strides say nothing: signs, zeros, infinities, NaN, integers, ties. */
static const float awkward[] = {
    0.0f,
    -0.0f,
    1,
    -1,
    2,
    -2,
    3,
    -3,
    0.5f,
    -0.5f,
    1.5f,
    -1.5f,
    INFINITY,
    -INFINITY,
    NAN,
    0x1p-149f,
    -0x1p-149f,
    0x1p-126f,
    0x1.fffffep-127f,
    0x1.fffffep127f,
    -0x1.fffffep127f,
    0x1p24f,
    0x1p24f - 1,
    -0x1p24f + 1,
    0x1p23f + 1,
    0x1p25f,
    -0x1p31f,
    0x1p31f,
    0x1p127f,
    0x1.000002p0f,
    0x1.fffffep-1f,
    -0x1.000002p0f,
    -0x1.fffffep-1f,
    0x1.555556p-1f,
    0x1.555554p-1f,
    10,
    100,
    128,
    -127,
    -149,
    -150,
};
enum { AWKWARD = sizeof awkward / sizeof awkward[0] };

/* Random pairs of four kinds: any bits; ordinary sizes; base near 1 with a large exponent; awkward. */
static void random_pair(uint64_t *state, float *x, float *y)
{
    uint64_t r = next_random(state), s = next_random(state);
    float unit = (float)(next_random(state) % 16777216) * 0x1p-24f;
    switch (r % 4) {
    case 0:
        *x = float_from_bits((uint32_t)(r >> 8)), *y = float_from_bits((uint32_t)(s >> 8));
        break;
    case 1:
        *x = ldexpf(0.5f + unit, (int)(r >> 8) % 40 - 20),
        *y = ((float)(s % 16777216) * 0x1p-23f - 1) * 30;
        break;
    case 2:
        *x = 1 + (unit - 0.5f) * ldexpf(1, -(int)((r >> 8) % 24));
        *y = ((float)(s % 16777216) * 0x1p-23f - 1) * ldexpf(1, (int)((r >> 16) % 31));
        break;
    default:
        *x = awkward[(r >> 8) % AWKWARD],
        *y = (s & 1) ? awkward[(s >> 8) % AWKWARD] : (unit - 0.5f) * 40;
    }
    if (r & 1 << 20)
        *x = -*x;
    if (r & 1 << 21) {
        float t = *x;
        *x = *y, *y = t;
    }
}

static void two_arguments(void **state)
{
    Lanes *lanes = lanes_create(false);
    int batches = getenv("GRADC_EXHAUSTIVE") ? 4000000 : 8000;
    double all = 0;
    for (int i = 0; i < scalar_count(); i++) {
        const ScalarFunction *f = scalar_at(i);
        if (!is_chosen(f) || f->arity != 2)
            continue;
        Worst worst = {.ulps = -1};
        uint64_t random = 1;
        float x[LANES], y[LANES];
        for (int n = 0; n < batches; n++) {
            for (int k = 0; k < LANES; k++)
                random_pair(&random, &x[k], &y[k]);
            run_batch(f, lanes, x, y, &worst);
        }
        report(f, &worst);
        all = fmax(all, worst.ulps);
    }
    lanes_destroy(lanes);
    assert_true(all <= limit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_argument),
        cmocka_unit_test(two_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
