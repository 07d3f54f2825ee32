/* Affine index expressions: a part that all lanes share, in 64 bits, and small differences by lane. */
#include "emit/internal.h"

static bool fits(Interval i, int64_t low, int64_t high)
{
    return low <= i.low && i.high <= high;
}

static LLVMValueRef index_value(KernelBuilder *kb, const Index *ix)
{
    for (int i = kb->binding_count; i-- > 0;)
        if (kb->bindings[i].index == ix)
            return kb->bindings[i].value;
    bug("index %s is used outside its loop", ix->name);
}

LLVMValueRef extent_value(KernelBuilder *kb, const Index *ix)
{
    if (!ix->per_example)
        return unit_i64(kb->u, ix->extent);
    return LLVMBuildMul(kb->u->builder, kb->examples, unit_i64(kb->u, ix->per_example), "extent");
}

/* ---- what differs by lane ------------------------------------------------------------------------------ */

static int64_t divisor_of_index(const KernelBuilder *kb, const Index *ix)
{
    if (ix == kb->lane_index)
        return kb->lane_step;
    for (int i = kb->binding_count; i-- > 0;)
        if (kb->bindings[i].index == ix)
            return kb->bindings[i].step ? kb->bindings[i].step : 1;
    return 1;
}

static int64_t divisor_of_term(const KernelBuilder *kb, const Term *t)
{
    if (t->kind == TERM_INDEX)
        return divisor_of_index(kb, t->index);
    int64_t inner = offset_divisor(kb, t->inner);
    if (t->kind == TERM_REMAINDER)
        return gcd(inner, t->divisor);
    return inner % t->divisor == 0 ? inner / t->divisor : 1;
}

int64_t offset_divisor(const KernelBuilder *kb, const Affine *a)
{
    int64_t common = a->constant;
    for (int i = 0; i < a->count; i++)
        common = gcd(common, a->terms[i].factor * divisor_of_term(kb, &a->terms[i]));
    return common;
}

/* Each lane's difference from lane 0: stride*lane, unless irregular. */
typedef struct Lanes {
    int64_t stride;
    bool irregular;
} Lanes;

static Lanes lanes_of(const KernelBuilder *kb, const Affine *a);

/* Lanes that all lie between two multiples of the divisor have one quotient, and remainders that step as they do. */
static Lanes lanes_of_term(const KernelBuilder *kb, const Term *t)
{
    if (t->kind == TERM_INDEX)
        return (Lanes){t->index == kb->lane_index ? 1 : 0, false};
    Lanes inner = lanes_of(kb, t->inner);
    if (inner.irregular || !inner.stride)
        return inner;
    const int64_t span = inner.stride * kb->width;
    if (span < 0 || t->divisor % span || offset_divisor(kb, t->inner) % span)
        return (Lanes){0, true};
    return t->kind == TERM_REMAINDER ? inner : (Lanes){0, false};
}

static Lanes lanes_of(const KernelBuilder *kb, const Affine *a)
{
    Lanes all = {0, false};
    if (!kb->lane_index || kb->width == 1)
        return all;
    for (int i = 0; i < a->count; i++) {
        Lanes term = lanes_of_term(kb, &a->terms[i]);
        all.stride += term.stride * a->terms[i].factor;
        all.irregular |= term.irregular;
    }
    return all;
}

bool affine_varies(const KernelBuilder *kb, const Affine *a)
{
    Lanes lanes = lanes_of(kb, a);
    return lanes.stride || lanes.irregular;
}

/* ---- numbers and lanes of them -------------------------------------------------------------------------- */

/* A vector of `start + stride*lane`, in integers of type `lane`. */
static LLVMValueRef ramp(LLVMTypeRef lane, int64_t start, int64_t stride, int width)
{
    LLVMValueRef values[64];
    for (int i = 0; i < width; i++)
        values[i] = LLVMConstInt(lane, (unsigned long long)(start + stride * i), true);
    return LLVMConstVector(values, (unsigned)width);
}

static LLVMValueRef splat_integer(LLVMTypeRef type, int64_t value)
{
    if (LLVMGetTypeKind(type) != LLVMVectorTypeKind)
        return LLVMConstInt(type, (unsigned long long)value, true);
    return ramp(LLVMGetElementType(type), value, 0, (int)LLVMGetVectorSize(type));
}

/* Rounded down, and never negative; `x` is a scalar or lanes. */
static LLVMValueRef divide(KernelBuilder *kb, TermKind kind, LLVMValueRef x, int64_t by,
                           bool not_negative)
{
    LLVMBuilderRef b = kb->u->builder;
    LLVMTypeRef type = LLVMTypeOf(x);
    LLVMValueRef d = splat_integer(type, by), zero = splat_integer(type, 0);
    bool quotient = kind == TERM_QUOTIENT;
    if (not_negative)
        return quotient ? LLVMBuildUDiv(b, x, d, "") : LLVMBuildURem(b, x, d, "");
    LLVMValueRef rest = LLVMBuildSRem(b, x, d, "");
    LLVMValueRef below = LLVMBuildICmp(b, LLVMIntSLT, rest, zero, "");
    if (!quotient)
        return LLVMBuildSelect(b, below, LLVMBuildAdd(b, rest, d, ""), rest, "");
    LLVMValueRef towards_zero = LLVMBuildSDiv(b, x, d, "");
    return LLVMBuildSelect(b, below, LLVMBuildSub(b, towards_zero, splat_integer(type, 1), ""),
                           towards_zero, "");
}

/* A quotient or remainder of lane 0; in 32 bits where they suffice, which divides faster. */
static LLVMValueRef scalar_division(KernelBuilder *kb, const Term *t)
{
    EmitUnit *u = kb->u;
    Interval range = affine_interval(t->inner);
    LLVMValueRef x = offset_affine(kb, t->inner).base;
    if (!fits(range, INT32_MIN, INT32_MAX) || t->divisor > INT32_MAX)
        return divide(kb, t->kind, x, t->divisor, range.low >= 0);
    LLVMValueRef narrow = LLVMBuildTrunc(u->builder, x, u->i32, "");
    return LLVMBuildSExt(u->builder, divide(kb, t->kind, narrow, t->divisor, range.low >= 0),
                         u->i64, "");
}

/* All of an offset by lane, base included. */
static LLVMValueRef whole_lanes(KernelBuilder *kb, const Offset *o, bool wide)
{
    EmitUnit *u = kb->u;
    LLVMValueRef base = wide ? o->base : LLVMBuildTrunc(u->builder, o->base, u->i32, "");
    return LLVMBuildAdd(u->builder, value_splat(u, base, kb->width), offset_lanes(kb, o, wide), "");
}

static LLVMValueRef lane_division(KernelBuilder *kb, const Term *t)
{
    EmitUnit *u = kb->u;
    Interval range = affine_interval(t->inner);
    bool wide = !fits(range, INT32_MIN, INT32_MAX) || t->divisor > INT32_MAX;
    Offset inner = offset_affine(kb, t->inner);
    LLVMValueRef result =
        divide(kb, t->kind, whole_lanes(kb, &inner, wide), t->divisor, range.low >= 0);
    return wide
               ? LLVMBuildTrunc(u->builder, result, LLVMVectorType(u->i32, (unsigned)kb->width), "")
               : result;
}

static LLVMValueRef add_scaled(KernelBuilder *kb, LLVMValueRef sum, LLVMValueRef x, int64_t factor)
{
    LLVMBuilderRef b = kb->u->builder;
    LLVMValueRef term =
        factor == 1 ? x : LLVMBuildMul(b, x, splat_integer(LLVMTypeOf(x), factor), "");
    return sum ? LLVMBuildAdd(b, sum, term, "") : term;
}

Offset offset_affine(KernelBuilder *kb, const Affine *a)
{
    Offset o = {0};
    for (int i = 0; i < a->count; i++) {
        const Term *t = &a->terms[i];
        const Lanes lanes = kb->width > 1 ? lanes_of_term(kb, t) : (Lanes){0, false};
        if (lanes.irregular) {
            o.lanes = add_scaled(kb, o.lanes, lane_division(kb, t), t->factor);
            continue;
        }
        LLVMValueRef first =
            t->kind == TERM_INDEX ? index_value(kb, t->index) : scalar_division(kb, t);
        o.base = add_scaled(kb, o.base, first, t->factor);
        o.stride += lanes.stride * t->factor;
    }
    if (!o.base)
        o.base = unit_i64(kb->u, a->constant);
    else if (a->constant)
        o.base = LLVMBuildAdd(kb->u->builder, o.base, unit_i64(kb->u, a->constant), "");
    return o;
}

bool offset_varies(const Offset *o)
{
    return o->stride || o->lanes;
}

LLVMValueRef offset_scalar(KernelBuilder *kb, const Affine *a)
{
    Offset o = offset_affine(kb, a);
    if (offset_varies(&o))
        bug("an index expression varies by lane where one number is needed");
    return o.base;
}

LLVMValueRef offset_lanes(KernelBuilder *kb, const Offset *o, bool wide)
{
    EmitUnit *u = kb->u;
    LLVMTypeRef lane = wide ? u->i64 : u->i32;
    LLVMValueRef lanes = ramp(lane, 0, o->stride, kb->width);
    if (!o->lanes)
        return lanes;
    LLVMValueRef extra = o->lanes;
    if (wide)
        extra = LLVMBuildSExt(u->builder, extra, LLVMVectorType(lane, (unsigned)kb->width), "");
    return o->stride ? LLVMBuildAdd(u->builder, lanes, extra, "") : extra;
}

LLVMValueRef offset_value(KernelBuilder *kb, const Affine *a)
{
    Offset o = offset_affine(kb, a);
    if (offset_varies(&o))
        return whole_lanes(kb, &o, false);
    return LLVMBuildTrunc(kb->u->builder, o.base, kb->u->i32, "");
}

/* What intervals settle costs nothing at run time. */
LLVMValueRef offset_test(KernelBuilder *kb, TestKind test, const Affine *a)
{
    EmitUnit *u = kb->u;
    Interval range = affine_interval(a);
    if (test == TEST_NOT_NEGATIVE && range.low >= 0)
        return LLVMConstInt(u->i1, 1, false);
    if (range.high < 0 || (test == TEST_ZERO && range.low > 0))
        return LLVMConstInt(u->i1, 0, false);
    Offset o = offset_affine(kb, a);
    LLVMValueRef x = o.base;
    if (offset_varies(&o))
        x = whole_lanes(kb, &o, !fits(range, INT32_MIN, INT32_MAX));
    LLVMIntPredicate p = test == TEST_ZERO ? LLVMIntEQ : LLVMIntSGE;
    return LLVMBuildICmp(u->builder, p, x, splat_integer(LLVMTypeOf(x), 0), "");
}
