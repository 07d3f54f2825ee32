#include "functions/rows.h"
#define LOWER(NAME) MathValue math_##NAME(MathBuilder *b, MathValue const *args, bool integer) { return b->library(b, #NAME, args, 1); }
#define LOWER2(NAME) MathValue math_##NAME(MathBuilder *b, MathValue const *args, bool integer) { return b->library(b, #NAME, args, 2); }
LOWER(exp) LOWER(expm1) LOWER(sinh) LOWER(cosh) LOWER(tanh) LOWER(log) LOWER(log1p) LOWER(log2) LOWER(asinh) LOWER(acosh) LOWER(atanh)
LOWER2(pow) LOWER(sin) LOWER(cos) LOWER(tan) LOWER(asin) LOWER(acos) LOWER(atan) LOWER2(atan2) LOWER(erf) LOWER(erfc)
