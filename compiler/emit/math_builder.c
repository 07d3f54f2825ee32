/* The operations that a scalar function's lowering is written in, as LLVM instructions.  No
 * fast-math flag is ever set: what the optimiser may do is what every level does. */
#include "emit/internal.h"

#include <math.h>
#include <string.h>

#define UNIT(b) (((MathContext *)(b)->context)->unit)
#define BUILDER(b) (UNIT(b)->builder)
#define V(x) ((LLVMValueRef)(x))
#define M(x) ((MathValue)(x))

bool value_is_vector(LLVMValueRef v)
{
    return LLVMGetTypeKind(LLVMTypeOf(v)) == LLVMVectorTypeKind;
}

LLVMValueRef value_later(EmitUnit *u, LLVMValueRef a, LLVMValueRef b)
{
    LLVMBuilderRef builder = u->builder;
    return LLVMBuildSelect(builder, LLVMBuildICmp(builder, LLVMIntSGT, a, b, ""), a, b, "");
}

LLVMValueRef value_sooner(EmitUnit *u, LLVMValueRef a, LLVMValueRef b)
{
    LLVMBuilderRef builder = u->builder;
    return LLVMBuildSelect(builder, LLVMBuildICmp(builder, LLVMIntSLT, a, b, ""), a, b, "");
}

LLVMValueRef value_lanes_below(EmitUnit *u, LLVMValueRef count, int width)
{
    LLVMValueRef lanes[64];
    for (int i = 0; i < width; i++)
        lanes[i] = unit_i32(u, i);
    LLVMValueRef narrow = LLVMBuildTrunc(u->builder, count, u->i32, "");
    return LLVMBuildICmp(u->builder, LLVMIntULT, LLVMConstVector(lanes, (unsigned)width),
                         value_splat(u, narrow, width), "");
}

LLVMValueRef value_splat(EmitUnit *u, LLVMValueRef v, int width)
{
    if (width == 1 || value_is_vector(v))
        return v;
    if (LLVMIsConstant(v)) {
        LLVMValueRef copies[64];
        for (int i = 0; i < width; i++)
            copies[i] = v;
        return LLVMConstVector(copies, (unsigned)width);
    }
    LLVMTypeRef type = LLVMVectorType(LLVMTypeOf(v), (unsigned)width);
    LLVMValueRef one =
        LLVMBuildInsertElement(u->builder, LLVMGetPoison(type), v, unit_i32(u, 0), "");
    return LLVMBuildShuffleVector(u->builder, one, LLVMGetPoison(type),
                                  LLVMConstNull(LLVMVectorType(u->i32, (unsigned)width)), "");
}

int value_width(LLVMValueRef v)
{
    return value_is_vector(v) ? (int)LLVMGetVectorSize(LLVMTypeOf(v)) : 1;
}

static LLVMTypeRef shape(MathBuilder *b, LLVMTypeRef lane)
{
    return unit_widen(lane, ((MathContext *)b->context)->width);
}

LLVMTypeRef value_like(LLVMValueRef v, LLVMTypeRef lane)
{
    return unit_widen(lane, value_width(v));
}

static LLVMTypeRef real_lane(MathBuilder *b)
{
    return b->real64 ? UNIT(b)->f64 : UNIT(b)->f32;
}

static LLVMTypeRef integer_lane(MathBuilder *b)
{
    return b->real64 ? UNIT(b)->i64 : UNIT(b)->i32;
}

LLVMTypeRef value_lane(LLVMValueRef v)
{
    return value_is_vector(v) ? LLVMGetElementType(LLVMTypeOf(v)) : LLVMTypeOf(v);
}

static LLVMValueRef real_constant(LLVMValueRef as, double value)
{
    int width = value_width(as);
    LLVMValueRef c = LLVMConstReal(value_lane(as), value), copies[64];
    if (width == 1)
        return c;
    for (int i = 0; i < width; i++)
        copies[i] = c;
    return LLVMConstVector(copies, (unsigned)width);
}

static LLVMValueRef integer_constant(LLVMValueRef as, int64_t value)
{
    int width = value_width(as);
    LLVMValueRef c = LLVMConstInt(value_lane(as), (unsigned long long)value, true), copies[64];
    if (width == 1)
        return c;
    for (int i = 0; i < width; i++)
        copies[i] = c;
    return LLVMConstVector(copies, (unsigned)width);
}

static LLVMValueRef intrinsic(EmitUnit *u, const char *name, LLVMValueRef *args, int count)
{
    LLVMTypeRef type = LLVMTypeOf(args[0]);
    return unit_intrinsic(u, name, &type, 1, args, count);
}

/* ---- constants and arithmetic ---------------------------------------------------------------------- */

static MathValue constant(MathBuilder *b, double value)
{
    return M(value_splat(UNIT(b), LLVMConstReal(real_lane(b), value),
                         ((MathContext *)b->context)->width));
}

static MathValue integer(MathBuilder *b, int64_t value)
{
    LLVMValueRef v = LLVMConstInt(integer_lane(b), (unsigned long long)value, true);
    return M(value_splat(UNIT(b), v, ((MathContext *)b->context)->width));
}

#define BINARY(NAME, BUILD)                                                                        \
    static MathValue NAME(MathBuilder *b, MathValue x, MathValue y)                                \
    {                                                                                              \
        return M(BUILD(BUILDER(b), V(x), V(y), ""));                                               \
    }

BINARY(add, LLVMBuildFAdd)
BINARY(sub, LLVMBuildFSub)
BINARY(mul, LLVMBuildFMul)
BINARY(divide, LLVMBuildFDiv)
BINARY(both, LLVMBuildAnd)
BINARY(either, LLVMBuildOr)
BINARY(iadd, LLVMBuildAdd)
BINARY(isub, LLVMBuildSub)
BINARY(imul, LLVMBuildMul)
BINARY(iand, LLVMBuildAnd)
BINARY(ior, LLVMBuildOr)
BINARY(ixor, LLVMBuildXor)

static MathValue negate(MathBuilder *b, MathValue x)
{
    return M(LLVMBuildFNeg(BUILDER(b), V(x), ""));
}

static MathValue invert(MathBuilder *b, MathValue x)
{
    return M(LLVMBuildNot(BUILDER(b), V(x), ""));
}

/* Where the machine has none: in f64, whose 53 bits hold the product of two f32 whole. */
static LLVMValueRef fma_in_double(EmitUnit *u, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z)
{
    LLVMTypeRef wide = value_like(x, u->f64);
    LLVMValueRef product = LLVMBuildFMul(u->builder, LLVMBuildFPExt(u->builder, x, wide, ""),
                                         LLVMBuildFPExt(u->builder, y, wide, ""), "");
    LLVMValueRef sum =
        LLVMBuildFAdd(u->builder, product, LLVMBuildFPExt(u->builder, z, wide, ""), "");
    return LLVMBuildFPTrunc(u->builder, sum, LLVMTypeOf(x), "");
}

static MathValue fused(MathBuilder *b, MathValue x, MathValue y, MathValue z)
{
    EmitUnit *u = UNIT(b);
    LLVMValueRef args[] = {V(x), V(y), V(z)};
    if (u->facts->fma)
        return M(intrinsic(u, "llvm.fma", args, 3));
    if (value_lane(V(x)) == u->f32)
        return M(fma_in_double(u, V(x), V(y), V(z)));
    return add(b, mul(b, x, y), z);
}

LLVMValueRef value_multiply_add(EmitUnit *u, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z)
{
    LLVMValueRef args[] = {x, y, z};
    if (u->facts->fma)
        return intrinsic(u, "llvm.fma", args, 3);
    return LLVMBuildFAdd(u->builder, LLVMBuildFMul(u->builder, x, y, ""), z, "");
}

static MathValue square_root(MathBuilder *b, MathValue x)
{
    LLVMValueRef args[] = {V(x)};
    return M(intrinsic(UNIT(b), "llvm.sqrt", args, 1));
}

static MathValue magnitude(MathBuilder *b, MathValue x)
{
    LLVMValueRef args[] = {V(x)};
    return M(intrinsic(UNIT(b), "llvm.fabs", args, 1));
}

static MathValue copy_sign(MathBuilder *b, MathValue x, MathValue sign)
{
    LLVMValueRef args[] = {V(x), V(sign)};
    return M(intrinsic(UNIT(b), "llvm.copysign", args, 2));
}

/* ---- rounding ---------------------------------------------------------------------------------------- */

/* Adding 2^23 (2^52) leaves no room for a fraction; larger numbers have none. */
static LLVMValueRef round_by_adding(MathBuilder *b, LLVMValueRef x)
{
    LLVMBuilderRef lb = BUILDER(b);
    LLVMValueRef big = real_constant(x, value_lane(x) == UNIT(b)->f64 ? 0x1p52 : 0x1p23);
    LLVMValueRef size = V(magnitude(b, M(x)));
    LLVMValueRef rounded = LLVMBuildFSub(lb, LLVMBuildFAdd(lb, size, big, ""), big, "");
    LLVMValueRef small = LLVMBuildFCmp(lb, LLVMRealOLT, size, big, "");
    return LLVMBuildSelect(lb, small, V(copy_sign(b, M(rounded), M(x))), x, "");
}

static MathValue round_even(MathBuilder *b, MathValue x)
{
    LLVMValueRef args[] = {V(x)};
    if (!UNIT(b)->facts->rounding)
        return M(round_by_adding(b, V(x)));
    return M(intrinsic(UNIT(b), "llvm.roundeven", args, 1));
}

static LLVMValueRef round_down(MathBuilder *b, LLVMValueRef x)
{
    LLVMBuilderRef lb = BUILDER(b);
    LLVMValueRef near = round_by_adding(b, x);
    LLVMValueRef above = LLVMBuildFCmp(lb, LLVMRealOGT, near, x, "");
    return LLVMBuildSelect(lb, above, LLVMBuildFSub(lb, near, real_constant(x, 1), ""), near, "");
}

static MathValue round_floor(MathBuilder *b, MathValue x)
{
    LLVMValueRef args[] = {V(x)};
    return UNIT(b)->facts->rounding ? M(intrinsic(UNIT(b), "llvm.floor", args, 1))
                                    : M(round_down(b, V(x)));
}

static MathValue round_ceil(MathBuilder *b, MathValue x)
{
    LLVMValueRef args[] = {V(x)};
    if (UNIT(b)->facts->rounding)
        return M(intrinsic(UNIT(b), "llvm.ceil", args, 1));
    return negate(b, M(round_down(b, V(negate(b, x)))));
}

/* ---- comparison and choice ------------------------------------------------------------------------------ */

static MathValue choose(MathBuilder *b, MathValue truth, MathValue yes, MathValue no)
{
    return M(LLVMBuildSelect(BUILDER(b), V(truth), V(yes), V(no), ""));
}

/* max as hardware has it, `x > y ? x : y`, gives y when either is NaN; left to repair is NaN in x. */
static LLVMValueRef extreme(MathBuilder *b, LLVMRealPredicate better, const char *name,
                            LLVMValueRef x, LLVMValueRef y)
{
    EmitUnit *u = UNIT(b);
    LLVMValueRef args[] = {x, y};
    if (u->facts->ordered_maximum)
        return intrinsic(u, name, args, 2);
    bool constant_x = LLVMIsConstant(x) && !LLVMIsUndef(x),
         constant_y = LLVMIsConstant(y) && !LLVMIsUndef(y);
    if (constant_y && !constant_x) { /* max(x, 0): the constant, which is no NaN, goes first */
        LLVMValueRef swap = x;
        x = y;
        y = swap;
        constant_x = true;
    }
    LLVMValueRef best =
        LLVMBuildSelect(u->builder, LLVMBuildFCmp(u->builder, better, x, y, ""), x, y, "");
    if (constant_x)
        return best;
    LLVMValueRef nan = LLVMBuildFCmp(u->builder, LLVMRealUNO, x, x, "");
    return LLVMBuildSelect(u->builder, nan, x, best, "");
}

static MathValue minimum(MathBuilder *b, MathValue x, MathValue y)
{
    return M(extreme(b, LLVMRealOLT, "llvm.minimum", V(x), V(y)));
}

static MathValue maximum(MathBuilder *b, MathValue x, MathValue y)
{
    return M(extreme(b, LLVMRealOGT, "llvm.maximum", V(x), V(y)));
}

static MathValue icompare(MathBuilder *b, char op, bool or_equal, MathValue x, MathValue y)
{
    LLVMIntPredicate p;
    switch (op) {
    case '<':
        p = or_equal ? LLVMIntSLE : LLVMIntSLT;
        break;
    case '>':
        p = or_equal ? LLVMIntSGE : LLVMIntSGT;
        break;
    case '=':
        p = LLVMIntEQ;
        break;
    default:
        p = LLVMIntNE;
    }
    return M(LLVMBuildICmp(BUILDER(b), p, V(x), V(y), ""));
}

static MathValue compare(MathBuilder *b, char op, bool or_equal, MathValue x, MathValue y)
{
    LLVMRealPredicate p;
    switch (op) {
    case '<':
        p = or_equal ? LLVMRealOLE : LLVMRealOLT;
        break;
    case '>':
        p = or_equal ? LLVMRealOGE : LLVMRealOGT;
        break;
    case '=':
        p = LLVMRealOEQ;
        break;
    default:
        p = LLVMRealUNE;
    }
    return M(LLVMBuildFCmp(BUILDER(b), p, V(x), V(y), ""));
}

/* ---- conversion -------------------------------------------------------------------------------------------- */

static MathValue to_integer(MathBuilder *b, MathValue x)
{
    EmitUnit *u = UNIT(b);
    LLVMTypeRef types[] = {value_like(V(x), u->i32), LLVMTypeOf(V(x))};
    LLVMValueRef args[] = {V(x)};
    LLVMValueRef narrow = unit_intrinsic(u, "llvm.fptosi.sat", types, 2, args, 1);
    return M(b->real64 ? LLVMBuildSExt(u->builder, narrow, value_like(V(x), u->i64), "") : narrow);
}

static MathValue to_real(MathBuilder *b, MathValue x)
{
    LLVMTypeRef to = shape(b, real_lane(b)), from = value_lane(V(x));
    if (LLVMGetTypeKind(from) != LLVMIntegerTypeKind)
        return x;
    if (from == UNIT(b)->i1)
        return M(LLVMBuildUIToFP(BUILDER(b), V(x), to, ""));
    return M(LLVMBuildSIToFP(BUILDER(b), V(x), to, ""));
}

static MathValue bits(MathBuilder *b, MathValue x)
{
    return M(LLVMBuildBitCast(BUILDER(b), V(x), value_like(V(x), integer_lane(b)), ""));
}

static MathValue from_bits(MathBuilder *b, MathValue x)
{
    return M(LLVMBuildBitCast(BUILDER(b), V(x), value_like(V(x), real_lane(b)), ""));
}

/* ---- integers ------------------------------------------------------------------------------------------------ */

/* A divisor that cannot trap: 0 and the overflowing -1 become 1, as in a lane whose result is unused. */
static LLVMValueRef safe_divisor(MathBuilder *b, LLVMValueRef x, LLVMValueRef y)
{
    LLVMBuilderRef lb = BUILDER(b);
    if (LLVMIsConstant(y) && value_width(y) == 1 && LLVMConstIntGetSExtValue(y) > 0)
        return y;
    LLVMValueRef one = integer_constant(y, 1);
    LLVMValueRef zero = LLVMBuildICmp(lb, LLVMIntEQ, y, integer_constant(y, 0), "");
    LLVMValueRef lowest =
        integer_constant(x, value_lane(x) == UNIT(b)->i64 ? INT64_MIN : INT32_MIN);
    LLVMValueRef overflow =
        LLVMBuildAnd(lb, LLVMBuildICmp(lb, LLVMIntEQ, y, integer_constant(y, -1), ""),
                     LLVMBuildICmp(lb, LLVMIntEQ, x, lowest, ""), "");
    return LLVMBuildSelect(lb, LLVMBuildOr(lb, zero, overflow, ""), one, y, "");
}

/* Division rounds towards zero; a remainder of the other sign than the divisor means one too many. */
static MathValue idiv(MathBuilder *b, MathValue xv, MathValue yv)
{
    LLVMBuilderRef lb = BUILDER(b);
    LLVMValueRef x = V(xv), y = safe_divisor(b, x, V(yv)), zero = integer_constant(x, 0);
    LLVMValueRef quotient = LLVMBuildSDiv(lb, x, y, ""), rest = LLVMBuildSRem(lb, x, y, "");
    LLVMValueRef inexact = LLVMBuildICmp(lb, LLVMIntNE, rest, zero, "");
    LLVMValueRef opposite = LLVMBuildICmp(lb, LLVMIntSLT, LLVMBuildXor(lb, rest, y, ""), zero, "");
    LLVMValueRef less = LLVMBuildSub(lb, quotient, integer_constant(x, 1), "");
    return M(LLVMBuildSelect(lb, LLVMBuildAnd(lb, inexact, opposite, ""), less, quotient, ""));
}

/* As `value` has it: the sign of the divisor, so never negative for a positive one. */
static MathValue imod(MathBuilder *b, MathValue xv, MathValue yv)
{
    LLVMBuilderRef lb = BUILDER(b);
    LLVMValueRef x = V(xv), y = safe_divisor(b, x, V(yv)), zero = integer_constant(x, 0);
    LLVMValueRef rest = LLVMBuildSRem(lb, x, y, "");
    LLVMValueRef inexact = LLVMBuildICmp(lb, LLVMIntNE, rest, zero, "");
    LLVMValueRef opposite = LLVMBuildICmp(lb, LLVMIntSLT, LLVMBuildXor(lb, rest, y, ""), zero, "");
    return M(LLVMBuildSelect(lb, LLVMBuildAnd(lb, inexact, opposite, ""),
                             LLVMBuildAdd(lb, rest, y, ""), rest, ""));
}

static MathValue shift_left(MathBuilder *b, MathValue x, int count)
{
    return M(LLVMBuildShl(BUILDER(b), V(x), integer_constant(V(x), count), ""));
}

static MathValue shift_right(MathBuilder *b, MathValue x, int count)
{
    return M(LLVMBuildLShr(BUILDER(b), V(x), integer_constant(V(x), count), ""));
}

static MathValue shift_right_signed(MathBuilder *b, MathValue x, int count)
{
    return M(LLVMBuildAShr(BUILDER(b), V(x), integer_constant(V(x), count), ""));
}

static MathValue multiply_high(MathBuilder *b, MathValue x, MathValue y)
{
    LLVMBuilderRef lb = BUILDER(b);
    LLVMTypeRef wide = value_like(V(x), UNIT(b)->i64);
    LLVMValueRef product =
        LLVMBuildMul(lb, LLVMBuildZExt(lb, V(x), wide, ""), LLVMBuildZExt(lb, V(y), wide, ""), "");
    return M(LLVMBuildTrunc(lb, LLVMBuildLShr(lb, product, integer_constant(product, 32), ""),
                            LLVMTypeOf(V(x)), ""));
}

/* ---- rare cases ------------------------------------------------------------------------------------------------ */

/* A branch around code that hardly any input needs. */
static MathValue rarely(MathBuilder *b, MathValue truth, MathValue common,
                        MathValue (*rare)(MathBuilder *b, MathValue const *args),
                        MathValue const *args, int count)
{
    EmitUnit *u = UNIT(b);
    LLVMValueRef any = V(truth);
    LLVMTypeRef type = LLVMTypeOf(any);
    if (value_is_vector(any))
        any = unit_intrinsic(u, "llvm.vector.reduce.or", &type, 1, &any, 1);
    LLVMBasicBlockRef before = LLVMGetInsertBlock(u->builder);
    LLVMValueRef function = LLVMGetBasicBlockParent(before);
    LLVMBasicBlockRef inside = unit_block(u, function, "rare"),
                      after = unit_block(u, function, "common");
    LLVMBuildCondBr(u->builder, any, inside, after);
    LLVMPositionBuilderAtEnd(u->builder, inside);
    LLVMValueRef chosen = LLVMBuildSelect(u->builder, V(truth), V(rare(b, args)), V(common), "");
    LLVMBasicBlockRef end = LLVMGetInsertBlock(u->builder);
    LLVMBuildBr(u->builder, after);
    LLVMPositionBuilderAtEnd(u->builder, after);
    LLVMValueRef result = LLVMBuildPhi(u->builder, LLVMTypeOf(chosen), "");
    LLVMValueRef values[] = {V(common), chosen};
    LLVMBasicBlockRef blocks[] = {before, end};
    LLVMAddIncoming(result, values, blocks, 2);
    return M(result);
}

void math_builder_init(MathBuilder *b, MathContext *c, bool real64)
{
    *b = (MathBuilder){
        .context = c,
        .real64 = real64,
        .constant = constant,
        .integer = integer,
        .add = add,
        .sub = sub,
        .mul = mul,
        .div = divide,
        .neg = negate,
        .fma = fused,
        .sqrt = square_root,
        .abs = magnitude,
        .copysign = copy_sign,
        .round_even = round_even,
        .floor = round_floor,
        .ceil = round_ceil,
        .minimum = minimum,
        .maximum = maximum,
        .compare = compare,
        .icompare = icompare,
        .select = choose,
        .both = both,
        .either = either,
        .invert = invert,
        .to_integer = to_integer,
        .to_real = to_real,
        .bits = bits,
        .from_bits = from_bits,
        .iadd = iadd,
        .isub = isub,
        .imul = imul,
        .idiv = idiv,
        .imod = imod,
        .iand = iand,
        .ior = ior,
        .ixor = ixor,
        .shift_left = shift_left,
        .shift_right = shift_right,
        .shift_right_signed = shift_right_signed,
        .multiply_high = multiply_high,
        .library = math_library,
        .rarely = rarely,
    };
}
