/* What the files of this floor share: the lists of rows, and the lowerings they name. */
#ifndef GRADC_FUNCTIONS_ROWS_H
#define GRADC_FUNCTIONS_ROWS_H

#include "functions/functions.h"

/* A part of the table, ended by NULL. */
extern const ScalarFunction *const scalar_operator_rows[]; /* scalar_operators.c */
extern const ScalarFunction *const scalar_math_rows[];     /* scalar_math.c      */

/* As ScalarFunction.lower: inline vector code for f32, the C library for f64. */
typedef MathValue MathLowering(MathBuilder *b, MathValue const *args, bool integer);

/* math_exp.c */
MathLowering math_exp, math_expm1, math_sinh, math_cosh, math_tanh;
/* math_log.c */
MathLowering math_log, math_log1p, math_log2, math_asinh, math_acosh, math_atanh;
/* math_pow.c */
MathLowering math_pow;
/* math_trig.c */
MathLowering math_sin, math_cos, math_tan;
/* math_arc.c */
MathLowering math_asin, math_acos, math_atan, math_atan2;
/* math_erf.c */
MathLowering math_erf, math_erfc;
/* math_gamma.c */
MathLowering math_lgamma, math_digamma, math_zeta;

#endif
