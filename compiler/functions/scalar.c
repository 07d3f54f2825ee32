/* The table of scalar functions as a whole: lookup by name and the rules of types.
 * The rows themselves are in scalar_operators.c and scalar_math.c. */
#include "functions/rows.h"

#include <string.h>

static const ScalarFunction *const *const parts[] = {scalar_operator_rows, scalar_math_rows};
enum { PART_COUNT = sizeof parts / sizeof parts[0] };

const ScalarFunction *scalar_at(int i)
{
    for (int part = 0; part < PART_COUNT; part++)
        for (const ScalarFunction *const *row = parts[part]; *row; row++)
            if (i-- == 0)
                return *row;
    return NULL;
}

int scalar_count(void)
{
    int count = 0;
    while (scalar_at(count))
        count++;
    return count;
}

const ScalarFunction *scalar_find(const char *name)
{
    for (int part = 0; part < PART_COUNT; part++)
        for (const ScalarFunction *const *row = parts[part]; *row; row++)
            if (!(*row)->internal && strcmp((*row)->name, name) == 0)
                return *row;
    return NULL;
}

const ScalarFunction *scalar_find_infix(const char *infix, int arity)
{
    for (const ScalarFunction *const *row = scalar_operator_rows; *row; row++)
        if ((*row)->infix && (*row)->arity == arity && strcmp((*row)->infix, infix) == 0)
            return *row;
    return NULL;
}

/* The type that `count` values share: the real they all have, i32 for integers, bool; or -1. */
static int common_type(const DType *types, int count)
{
    for (int i = 1; i < count; i++)
        if (types[i] != types[0] && !(dtype_is_integer(types[i]) && dtype_is_integer(types[0])))
            return -1;
    return dtype_is_integer(types[0]) ? TYPE_I32 : (int)types[0];
}

static int compare_type(const ScalarFunction *f, int operands)
{
    bool equality = f == &scalar_eq || f == &scalar_ne;
    bool fits = operands == TYPE_BOOL ? equality : operands >= 0;
    if (f->arity == 1)
        fits = operands >= 0 && dtype_is_real((DType)operands);
    return fits ? TYPE_BOOL : -1;
}

int scalar_result_type(const ScalarFunction *f, const DType *args)
{
    int common = common_type(args, f->arity);
    bool real = common >= 0 && dtype_is_real((DType)common);
    switch (f->signature) {
    case SIGNATURE_REAL:
        return real ? common : -1;
    case SIGNATURE_ARITHMETIC:
        return real || common == TYPE_I32 ? common : -1;
    case SIGNATURE_COMPARE:
        return compare_type(f, common);
    case SIGNATURE_TRUTH:
        return common == TYPE_BOOL ? TYPE_BOOL : -1;
    case SIGNATURE_SELECT:
        return args[0] == TYPE_BOOL ? common_type(args + 1, 2) : -1;
    case SIGNATURE_TO_REAL:
        return common >= 0 ? TYPE_F32 : -1;
    case SIGNATURE_TO_INTEGER:
        return real || common == TYPE_BOOL ? TYPE_I32 : -1;
    }
    return -1;
}
