/* Steps that several lowerings are made of.  See math.c for what all of them promise. */
#ifndef GRADC_FUNCTIONS_LOWERING_H
#define GRADC_FUNCTIONS_LOWERING_H

#include "functions/rows.h"

/* ---- math.c ------------------------------------------------------------------------------------------ */

/* c[0] + c[1]*x + … + c[n-1]*x^(n-1), by Horner's rule. */
MathValue math_polynomial(MathBuilder *b, MathValue x, const double *c, int n);
#define MATH_POLYNOMIAL(b, x, c) math_polynomial((b), (x), (c), (int)(sizeof(c) / sizeof(c)[0]))

/* A number rounded to the nearest integer, which must be below 2^22 in magnitude. */
typedef struct Rounded {
    MathValue real;
    MathValue bits; /* the integer is in the low 23 bits; those above are constant */
} Rounded;

Rounded math_round(MathBuilder *b, MathValue x, double factor); /* round(x * factor) */
/* 2^(n + bias), exponent within -126 … 127. */
MathValue math_power_of_two(MathBuilder *b, Rounded n, int bias);
/* value * 2^n, rounded once, for n = -250 … 250. */
MathValue math_scale(MathBuilder *b, MathValue value, Rounded n);

MathValue math_clamp(MathBuilder *b, MathValue x, double low, double high); /* NaN stays NaN */
MathValue math_is_negative(MathBuilder *b, MathValue x);                    /* by its sign bit */
/* x where |x| < bound, else y: keeps the sign of zero and the last bit of subnormal numbers. */
MathValue math_if_small(MathBuilder *b, MathValue x, double bound, MathValue y);

/* b->rarely, or both sides computed. */
typedef MathValue MathRare(MathBuilder *b, MathValue const *args);
MathValue math_rarely(MathBuilder *b, MathValue truth, MathValue common, MathRare *rare,
                      MathValue arg);

/* A sum of two reals that stands for one of higher precision. */
typedef struct Pair {
    MathValue high, low;
} Pair;

Pair math_two_sum(MathBuilder *b, MathValue x, MathValue y);     /* exact where |x| >= |y| */
Pair math_two_product(MathBuilder *b, MathValue x, MathValue y); /* exact */

/* ---- math_exp.c ------------------------------------------------------------------------------------- */

/* e^x for -88 < x < 88 without regard for anything else. */
MathValue math_exp_core(MathBuilder *b, MathValue x);

/* e^(x.high + x.low) = 2^n (1 + less_1), x.low NULL for none. */
typedef struct Exponent {
    Rounded n;
    Pair less_1; /* e^r - 1: high is r itself, exact; low the rest */
} Exponent;

Exponent math_exponent(MathBuilder *b, Pair x);

/* ---- math_log.c ------------------------------------------------------------------------------------- */

/* x = 2^exponent * (1 + fraction), fraction in -1/3 … 1/3, for finite x > 0. */
typedef struct Split {
    MathValue exponent; /* real */
    MathValue fraction;
    MathValue low; /* to be added to the fraction; NULL for none */
} Split;

Split math_split(MathBuilder *b, MathValue x);
/* exponent * ln 2 + log(1 + fraction) */
MathValue math_log_core(MathBuilder *b, Split s);
/* The same less 1, as a pair, for exponents from 3 on. */
Pair math_log_less_1(MathBuilder *b, Split s);

#endif
