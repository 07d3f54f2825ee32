/* The types of numbers. */
#include "ir/ir.h"

static const struct {
    const char *name;
    int size;
} types[] = {
    [TYPE_BOOL] = {"bool", 1}, [TYPE_U8] = {"u8", 1},   [TYPE_U16] = {"u16", 2},
    [TYPE_I32] = {"i32", 4},   [TYPE_F32] = {"f32", 4}, [TYPE_F64] = {"f64", 8},
};

const char *dtype_name(DType t)
{
    return types[t].name;
}

int dtype_size(DType t)
{
    return types[t].size;
}

bool dtype_is_real(DType t)
{
    return t == TYPE_F32 || t == TYPE_F64;
}

bool dtype_is_integer(DType t)
{
    return t == TYPE_U8 || t == TYPE_U16 || t == TYPE_I32;
}
