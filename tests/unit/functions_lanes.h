/* A MathBuilder that computes instead of emitting: every value is an array of lanes, every
 * operation a loop over them with the rounding of the target.  Shared by the tests of functions. */
#ifndef GRADC_TESTS_FUNCTIONS_LANES_H
#define GRADC_TESTS_FUNCTIONS_LANES_H

#include "functions/functions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 512, LANE_VALUES = 2000 };

struct MathValue {
    union {
        float f[LANES];
        int32_t i[LANES]; /* integers and, as 0 or 1, truths */
        double d[LANES];
        int64_t l[LANES];
    };
};

/* Values are handed out from one block, taken back all at once by lanes_reset. */
typedef struct Lanes {
    MathBuilder builder;
    int used;
    struct MathValue *values;
} Lanes;

static inline MathValue lanes_new(MathBuilder *b)
{
    Lanes *lanes = b->context;
    if (lanes->used == LANE_VALUES)
        abort();
    return &lanes->values[lanes->used++];
}

static inline void lanes_reset(Lanes *lanes)
{
    lanes->used = 0;
}

/* r[k] = NARROW for 32-bit lanes, WIDE for 64-bit ones. */
#define LANES_EACH(NARROW_FIELD, NARROW, WIDE_FIELD, WIDE)                                         \
    MathValue r = lanes_new(b);                                                                    \
    if (b->real64)                                                                                 \
        for (int k = 0; k < LANES; k++)                                                            \
            r->WIDE_FIELD[k] = (WIDE);                                                             \
    else                                                                                           \
        for (int k = 0; k < LANES; k++)                                                            \
            r->NARROW_FIELD[k] = (NARROW);                                                         \
    return r

#define LANES_REAL(NARROW, WIDE) LANES_EACH(f, NARROW, d, WIDE)
#define LANES_INTEGER(NARROW, WIDE) LANES_EACH(i, NARROW, l, WIDE)

static MathValue lanes_constant(MathBuilder *b, double value)
{
    LANES_REAL((float)value, value);
}
static MathValue lanes_integer(MathBuilder *b, int64_t value)
{
    LANES_INTEGER((int32_t)value, value);
}
static MathValue lanes_add(MathBuilder *b, MathValue x, MathValue y)
{
    LANES_REAL(x->f[k] + y->f[k], x->d[k] + y->d[k]);
}
static MathValue lanes_sub(MathBuilder *b, MathValue x, MathValue y)
{
    LANES_REAL(x->f[k] - y->f[k], x->d[k] - y->d[k]);
}
static MathValue lanes_mul(MathBuilder *b, MathValue x, MathValue y)
{
    LANES_REAL(x->f[k] * y->f[k], x->d[k] * y->d[k]);
}
static MathValue lanes_div(MathBuilder *b, MathValue x, MathValue y)
{
    LANES_REAL(x->f[k] / y->f[k], x->d[k] / y->d[k]);
}
static MathValue lanes_neg(MathBuilder *b, MathValue x)
{
    LANES_REAL(-x->f[k], -x->d[k]);
}
static MathValue lanes_fma(MathBuilder *b, MathValue x, MathValue y, MathValue z)
{
    LANES_REAL(fmaf(x->f[k], y->f[k], z->f[k]), fma(x->d[k], y->d[k], z->d[k]));
}
static MathValue lanes_sqrt(MathBuilder *b, MathValue x)
{
    LANES_REAL(sqrtf(x->f[k]), sqrt(x->d[k]));
}
static MathValue lanes_abs(MathBuilder *b, MathValue x)
{
    LANES_REAL(fabsf(x->f[k]), fabs(x->d[k]));
}
static MathValue lanes_copysign(MathBuilder *b, MathValue x, MathValue y)
{
    LANES_REAL(copysignf(x->f[k], y->f[k]), copysign(x->d[k], y->d[k]));
}
static MathValue lanes_round_even(MathBuilder *b, MathValue x)
{
    LANES_REAL(rintf(x->f[k]), rint(x->d[k]));
}
static MathValue lanes_floor(MathBuilder *b, MathValue x)
{
    LANES_REAL(floorf(x->f[k]), floor(x->d[k]));
}
static MathValue lanes_ceil(MathBuilder *b, MathValue x)
{
    LANES_REAL(ceilf(x->f[k]), ceil(x->d[k]));
}

/* NaN if either is: x + y is NaN exactly then (or for infinities of unlike sign, told apart). */
#define LANES_PICK(x, y, op) ((x) != (x) ? (x) : (y) != (y) ? (y) : (x)op(y) ? (x) : (y))
static MathValue lanes_minimum(MathBuilder *b, MathValue x, MathValue y)
{
    LANES_REAL(LANES_PICK(x->f[k], y->f[k], <), LANES_PICK(x->d[k], y->d[k], <));
}
static MathValue lanes_maximum(MathBuilder *b, MathValue x, MathValue y)
{
    LANES_REAL(LANES_PICK(x->f[k], y->f[k], >), LANES_PICK(x->d[k], y->d[k], >));
}

static MathValue lanes_compare(MathBuilder *b, char op, bool or_equal, MathValue x, MathValue y)
{
    switch (op) {
    case '<':
        if (or_equal) {
            LANES_EACH(i, x->f[k] <= y->f[k], l, x->d[k] <= y->d[k]);
        } else {
            LANES_EACH(i, x->f[k] < y->f[k], l, x->d[k] < y->d[k]);
        }
    case '>':
        if (or_equal) {
            LANES_EACH(i, x->f[k] >= y->f[k], l, x->d[k] >= y->d[k]);
        } else {
            LANES_EACH(i, x->f[k] > y->f[k], l, x->d[k] > y->d[k]);
        }
    case '=': {
        LANES_EACH(i, x->f[k] == y->f[k], l, x->d[k] == y->d[k]);
    }
    case '!': {
        LANES_EACH(i, x->f[k] != y->f[k], l, x->d[k] != y->d[k]);
    }
    default:
        abort();
    }
}
static MathValue lanes_icompare(MathBuilder *b, char op, bool or_equal, MathValue x, MathValue y)
{
    switch (op) {
    case '<':
        if (or_equal) {
            LANES_EACH(i, x->i[k] <= y->i[k], l, x->l[k] <= y->l[k]);
        } else {
            LANES_EACH(i, x->i[k] < y->i[k], l, x->l[k] < y->l[k]);
        }
    case '>':
        if (or_equal) {
            LANES_EACH(i, x->i[k] >= y->i[k], l, x->l[k] >= y->l[k]);
        } else {
            LANES_EACH(i, x->i[k] > y->i[k], l, x->l[k] > y->l[k]);
        }
    case '=': {
        LANES_EACH(i, x->i[k] == y->i[k], l, x->l[k] == y->l[k]);
    }
    case '!': {
        LANES_EACH(i, x->i[k] != y->i[k], l, x->l[k] != y->l[k]);
    }
    default:
        abort();
    }
}
static MathValue lanes_select(MathBuilder *b, MathValue t, MathValue x, MathValue y)
{
    LANES_EACH(i, t->i[k] ? x->i[k] : y->i[k], l, t->l[k] ? x->l[k] : y->l[k]);
}
static MathValue lanes_both(MathBuilder *b, MathValue x, MathValue y)
{
    LANES_INTEGER(x->i[k] & y->i[k], x->l[k] & y->l[k]);
}
static MathValue lanes_either(MathBuilder *b, MathValue x, MathValue y)
{
    LANES_INTEGER(x->i[k] | y->i[k], x->l[k] | y->l[k]);
}
static MathValue lanes_invert(MathBuilder *b, MathValue x)
{
    LANES_INTEGER(!x->i[k], !x->l[k]);
}

static inline int32_t lanes_saturate(float x)
{
    return x != x ? 0 : x >= 0x1p31f ? INT32_MAX : x <= -0x1p31f ? INT32_MIN : (int32_t)x;
}
static inline int64_t lanes_saturate_wide(double x)
{
    return x != x ? 0 : x >= 0x1p63 ? INT64_MAX : x <= -0x1p63 ? INT64_MIN : (int64_t)x;
}
static MathValue lanes_to_integer(MathBuilder *b, MathValue x)
{
    LANES_INTEGER(lanes_saturate(x->f[k]), lanes_saturate_wide(x->d[k]));
}
static MathValue lanes_to_real(MathBuilder *b, MathValue x)
{
    LANES_REAL((float)x->i[k], (double)x->l[k]);
}
static MathValue lanes_bits(MathBuilder *b, MathValue x)
{
    LANES_INTEGER(x->i[k], x->l[k]);
}

/* Unsigned inside, so that overflow wraps. */
#define LANES_WRAP(op)                                                                             \
    LANES_INTEGER((int32_t)((uint32_t)x->i[k] op(uint32_t) y->i[k]),                               \
                  (int64_t)((uint64_t)x->l[k] op(uint64_t) y->l[k]))
static MathValue lanes_iadd(MathBuilder *b, MathValue x, MathValue y)
{
    LANES_WRAP(+);
}
static MathValue lanes_isub(MathBuilder *b, MathValue x, MathValue y)
{
    LANES_WRAP(-);
}
static MathValue lanes_imul(MathBuilder *b, MathValue x, MathValue y)
{
    LANES_WRAP(*);
}
static MathValue lanes_iand(MathBuilder *b, MathValue x, MathValue y)
{
    LANES_WRAP(&);
}
static MathValue lanes_ior(MathBuilder *b, MathValue x, MathValue y)
{
    LANES_WRAP(|);
}
static MathValue lanes_ixor(MathBuilder *b, MathValue x, MathValue y)
{
    LANES_WRAP(^);
}
static inline int64_t lanes_floor_div(int64_t x, int64_t y)
{
    return x / y - (x % y != 0 && (x < 0) != (y < 0));
}
static MathValue lanes_idiv(MathBuilder *b, MathValue x, MathValue y)
{
    LANES_INTEGER((int32_t)lanes_floor_div(x->i[k], y->i[k]), lanes_floor_div(x->l[k], y->l[k]));
}
static MathValue lanes_imod(MathBuilder *b, MathValue x, MathValue y)
{
    LANES_INTEGER((int32_t)(x->i[k] - lanes_floor_div(x->i[k], y->i[k]) * y->i[k]),
                  x->l[k] - lanes_floor_div(x->l[k], y->l[k]) * y->l[k]);
}
static MathValue lanes_shift_left(MathBuilder *b, MathValue x, int n)
{
    LANES_INTEGER((int32_t)((uint32_t)x->i[k] << n), (int64_t)((uint64_t)x->l[k] << n));
}
static MathValue lanes_shift_right(MathBuilder *b, MathValue x, int n)
{
    LANES_INTEGER((int32_t)((uint32_t)x->i[k] >> n), (int64_t)((uint64_t)x->l[k] >> n));
}
static MathValue lanes_shift_right_signed(MathBuilder *b, MathValue x, int n)
{
    LANES_INTEGER(x->i[k] >> n, x->l[k] >> n);
}
static MathValue lanes_multiply_high(MathBuilder *b, MathValue x, MathValue y)
{
    if (b->real64)
        abort();
    LANES_INTEGER((int32_t)((uint64_t)(uint32_t)x->i[k] * (uint32_t)y->i[k] >> 32), 0);
}

static double lanes_call(const char *name, const double *args)
{
    const ScalarFunction *f = scalar_find(name);
    if (!f)
        abort();
    return f->value(args);
}
static MathValue lanes_library(MathBuilder *b, const char *name, MathValue const *args, int count)
{
    if (!b->real64)
        abort(); /* f32 code may not call the C library */
    MathValue r = lanes_new(b);
    for (int k = 0; k < LANES; k++)
        r->d[k] = lanes_call(name, (double[]){args[0]->d[k], args[count - 1]->d[k]});
    return r;
}

static inline Lanes *lanes_create(bool real64)
{
    Lanes *lanes = malloc(sizeof *lanes);
    lanes->values = malloc(sizeof(struct MathValue) * LANE_VALUES);
    lanes->used = 0;
    lanes->builder = (MathBuilder){
        .context = lanes,
        .real64 = real64,
        .constant = lanes_constant,
        .integer = lanes_integer,
        .add = lanes_add,
        .sub = lanes_sub,
        .mul = lanes_mul,
        .div = lanes_div,
        .neg = lanes_neg,
        .fma = lanes_fma,
        .sqrt = lanes_sqrt,
        .abs = lanes_abs,
        .copysign = lanes_copysign,
        .round_even = lanes_round_even,
        .floor = lanes_floor,
        .ceil = lanes_ceil,
        .minimum = lanes_minimum,
        .maximum = lanes_maximum,
        .compare = lanes_compare,
        .icompare = lanes_icompare,
        .select = lanes_select,
        .both = lanes_both,
        .either = lanes_either,
        .invert = lanes_invert,
        .to_integer = lanes_to_integer,
        .to_real = lanes_to_real,
        .bits = lanes_bits,
        .from_bits = lanes_bits,
        .iadd = lanes_iadd,
        .isub = lanes_isub,
        .imul = lanes_imul,
        .idiv = lanes_idiv,
        .imod = lanes_imod,
        .iand = lanes_iand,
        .ior = lanes_ior,
        .ixor = lanes_ixor,
        .shift_left = lanes_shift_left,
        .shift_right = lanes_shift_right,
        .shift_right_signed = lanes_shift_right_signed,
        .multiply_high = lanes_multiply_high,
        .library = lanes_library,
    };
    return lanes;
}

static inline void lanes_destroy(Lanes *lanes)
{
    free(lanes->values);
    free(lanes);
}

#endif
