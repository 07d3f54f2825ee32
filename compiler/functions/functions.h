/* The scalar functions and the reductions: one row each, everything about it in that row. */
#ifndef GRADC_FUNCTIONS_H
#define GRADC_FUNCTIONS_H

#include "ir/ir.h"

/* ---- math.c: lowering to primitive vector operations ------------------------------------------------ */

/* A value in the code being emitted (an LLVM value, seen only by emit/). */
typedef struct MathValue *MathValue;

/* What a lowering may use; emit/ implements it.  All values of one call have the same shape: a
 * scalar or a vector of lanes; real values are f32 (or f64 where `real64`), integers as wide. */
typedef struct MathBuilder MathBuilder;
struct MathBuilder {
    void *context;
    bool real64;
    MathValue (*constant)(MathBuilder *b, double value); /* real */
    MathValue (*integer)(MathBuilder *b, int64_t value); /* integer of the real's width */
    MathValue (*add)(MathBuilder *b, MathValue x, MathValue y);
    MathValue (*sub)(MathBuilder *b, MathValue x, MathValue y);
    MathValue (*mul)(MathBuilder *b, MathValue x, MathValue y);
    MathValue (*div)(MathBuilder *b, MathValue x, MathValue y);
    MathValue (*neg)(MathBuilder *b, MathValue x);
    MathValue (*fma)(MathBuilder *b, MathValue x, MathValue y,
                     MathValue z); /* x*y + z, one rounding */
    MathValue (*sqrt)(MathBuilder *b, MathValue x);
    MathValue (*abs)(MathBuilder *b, MathValue x);
    MathValue (*copysign)(MathBuilder *b, MathValue magnitude, MathValue sign);
    MathValue (*round_even)(MathBuilder *b, MathValue x);
    MathValue (*floor)(MathBuilder *b, MathValue x);
    MathValue (*ceil)(MathBuilder *b, MathValue x);
    MathValue (*minimum)(MathBuilder *b, MathValue x, MathValue y); /* NaN if either is */
    MathValue (*maximum)(MathBuilder *b, MathValue x, MathValue y);
    /* compare gives a truth per lane: op is one of < <= > >= = ! (ordered but for !) */
    MathValue (*compare)(MathBuilder *b, char op, bool or_equal, MathValue x, MathValue y);
    MathValue (*icompare)(MathBuilder *b, char op, bool or_equal, MathValue x,
                          MathValue y); /* signed */
    MathValue (*select)(MathBuilder *b, MathValue truth, MathValue yes, MathValue no);
    MathValue (*both)(MathBuilder *b, MathValue x, MathValue y);   /* truths: and */
    MathValue (*either)(MathBuilder *b, MathValue x, MathValue y); /* truths: or  */
    MathValue (*invert)(MathBuilder *b, MathValue x);              /* truths: not */
    MathValue (*to_integer)(MathBuilder *b, MathValue x);          /* towards zero, saturating */
    MathValue (*to_real)(MathBuilder *b, MathValue x); /* from integer; a truth gives 0 or 1 */
    MathValue (*bits)(MathBuilder *b, MathValue real); /* real to its bits */
    MathValue (*from_bits)(MathBuilder *b, MathValue integer);
    MathValue (*iadd)(MathBuilder *b, MathValue x, MathValue y);
    MathValue (*isub)(MathBuilder *b, MathValue x, MathValue y);
    MathValue (*imul)(MathBuilder *b, MathValue x, MathValue y);
    MathValue (*idiv)(MathBuilder *b, MathValue x, MathValue y); /* floor */
    MathValue (*imod)(MathBuilder *b, MathValue x, MathValue y); /* never negative */
    MathValue (*iand)(MathBuilder *b, MathValue x, MathValue y);
    MathValue (*ior)(MathBuilder *b, MathValue x, MathValue y);
    MathValue (*ixor)(MathBuilder *b, MathValue x, MathValue y);
    MathValue (*shift_left)(MathBuilder *b, MathValue x, int count);
    MathValue (*shift_right)(MathBuilder *b, MathValue x, int count);        /* logical    */
    MathValue (*shift_right_signed)(MathBuilder *b, MathValue x, int count); /* arithmetic */
    MathValue (*multiply_high)(MathBuilder *b, MathValue x,
                               MathValue y); /* unsigned, u32 lanes only */
    /* A call of the C library's function, for real64 only. */
    MathValue (*library)(MathBuilder *b, const char *name, MathValue const *args, int count);
    /* Lanes where `truth` holds get rare(b, args), the others `common`.  For code so long and so
     * seldom needed that emit/ should branch around it when no lane needs it.  May be NULL: then
     * both are computed. */
    MathValue (*rarely)(MathBuilder *b, MathValue truth, MathValue common,
                        MathValue (*rare)(MathBuilder *b, MathValue const *args),
                        MathValue const *args, int count);
};

/* ---- scalar.c ------------------------------------------------------------------------------------------ */

/* How argument and result types relate. */
typedef enum {
    SIGNATURE_REAL,       /* reals to a real                                       */
    SIGNATURE_ARITHMETIC, /* all real, or all integer; the result alike            */
    SIGNATURE_COMPARE,    /* two reals, two integers (or, for == !=, two truths) to a truth */
    SIGNATURE_TRUTH,      /* truths to a truth                                     */
    SIGNATURE_SELECT,     /* truth, then two alike                                 */
    SIGNATURE_TO_REAL,    /* integer, truth or narrower real to real               */
    SIGNATURE_TO_INTEGER, /* real (towards zero) or truth to i32                   */
} Signature;

struct ScalarFunction {
    const char *
        name; /* as called in .nn; operators: add sub mul div mod neg pow lt le gt ge eq ne and or not select */
    const char *infix; /* "+" for add, …; NULL for f(x) */
    int arity;
    Signature signature;
    const char *doc;
    bool internal; /* casts, select: written otherwise in .nn */
    /* d y / d args[operand] for a call y = f(args); NULL: not differentiable, its cotangent is 0.
     * The result multiplies y's cotangent; it is NULL for an operand by which there is none. */
    const Expr *(*derivative)(ExprPool *p, const Expr *y, int operand);
    /* For integers: the result of a division is to be rounded down by the caller. */
    double (*value)(const double *args);
    /* integer: the arguments are integers or truths */
    MathValue (*lower)(MathBuilder *b, MathValue const *args, bool integer);
    int cost; /* rough flops a lane, for the schedule: add 1, exp 10, … */
};

/* The functions that passes name directly. */
extern const ScalarFunction scalar_add, scalar_sub, scalar_mul, scalar_div, scalar_neg, scalar_pow,
    scalar_mod, scalar_lt, scalar_le, scalar_gt, scalar_ge, scalar_eq, scalar_ne, scalar_and,
    scalar_or, scalar_not, scalar_select, scalar_to_real, scalar_to_integer, scalar_max, scalar_min,
    scalar_exp, scalar_log, scalar_sqrt, scalar_rsqrt, scalar_abs, scalar_sign,
    scalar_stop_gradient;

/* By the name used in .nn; internal ones are not found.  NULL when there is none. */
const ScalarFunction *scalar_find(const char *name);
const ScalarFunction *scalar_find_infix(const char *infix, int arity); /* "-" with 1 or 2 */
int scalar_count(void);
const ScalarFunction *scalar_at(int i);
/* Result type of f on these types, or -1 when they do not fit.  to_real gives TYPE_F32, for which a
 * model in double precision reads TYPE_F64. */
int scalar_result_type(const ScalarFunction *f, const DType *args);

/* ---- reduce.c ------------------------------------------------------------------------------------------ */

struct Reduction {
    const char *name;
    const char *doc;
    const ScalarFunction *combine; /* NULL for argmax, argmin */
    double start;                  /* the combiner's identity; ±infinity for max, min */
    bool truths;                   /* any, all */
    bool position;                 /* argmax, argmin: gives the first place (i32, row-major over the
                                      bound indices) of the largest / smallest */
    bool mean;                     /* only in the language: becomes sum times 1/count */
};

extern const Reduction reduce_sum, reduce_prod, reduce_max, reduce_min, reduce_argmax,
    reduce_argmin, reduce_any, reduce_all, reduce_mean;

const Reduction *reduction_find(const char *name);
int reduction_count(void);
const Reduction *reduction_at(int i);

/* ---- random.c ------------------------------------------------------------------------------------------ */

/* Philox4x32-10 (Salmon et al. 2011): key = seed; counter = (element, site, step low, step high).
 * The value that EXPR_RANDOM has; emitted code gives the same (normal: to rounding). */
void random_words(uint64_t seed, uint64_t step, uint32_t site, uint32_t element, uint32_t words[4]);
double random_value(RandomKind kind, uint64_t seed, uint64_t step, uint32_t site, uint32_t element);
/* The same as code; key and counter words are integers of the lanes' shape (in 64-bit lanes, the low
 * half of each counts). */
MathValue random_lower(MathBuilder *b, RandomKind kind, MathValue const key[2],
                       MathValue const counter[4]);

#endif
