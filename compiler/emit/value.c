/* Scalar expressions: each a number, or one number a lane. */
#include "emit/internal.h"

#include <math.h>

void value_begin_statement(KernelBuilder *kb)
{
    map_clear(&kb->memo);
    kb->guards.count = 0;
}

/* ---- conversion ----------------------------------------------------------------------------------------- */

static bool is_real(EmitUnit *u, LLVMTypeRef lane)
{
    return lane == u->f32 || lane == u->f64;
}

static LLVMValueRef to_truth(KernelBuilder *kb, LLVMValueRef v)
{
    EmitUnit *u = kb->u;
    LLVMValueRef zero = LLVMConstNull(LLVMTypeOf(v));
    if (is_real(u, value_lane(v)))
        return LLVMBuildFCmp(u->builder, LLVMRealUNE, v, zero, "");
    return LLVMBuildICmp(u->builder, LLVMIntNE, v, zero, "");
}

LLVMValueRef value_convert(KernelBuilder *kb, LLVMValueRef v, DType to)
{
    EmitUnit *u = kb->u;
    LLVMBuilderRef b = u->builder;
    LLVMTypeRef from = value_lane(v), lane = unit_lane_type(u, to),
                type = unit_widen(lane, value_width(v));
    if (from == lane)
        return v;
    if (to == TYPE_BOOL)
        return to_truth(kb, v);
    if (is_real(u, from) && is_real(u, lane))
        return to == TYPE_F64 ? LLVMBuildFPExt(b, v, type, "") : LLVMBuildFPTrunc(b, v, type, "");
    if (is_real(u, lane))
        return from == u->i1 ? LLVMBuildUIToFP(b, v, type, "") : LLVMBuildSIToFP(b, v, type, "");
    if (is_real(u, from)) {
        LLVMTypeRef types[] = {type, LLVMTypeOf(v)};
        return unit_intrinsic(u, "llvm.fptosi.sat", types, 2, &v, 1);
    }
    return from == u->i1 ? LLVMBuildZExt(b, v, type, "") : LLVMBuildTrunc(b, v, type, "");
}

/* ---- guards --------------------------------------------------------------------------------------------------- */

static bool reads_memory(KernelBuilder *kb, const Expr *e)
{
    static char yes, no;
    void *known = map_get(&kb->loads, e);
    if (known)
        return known == &yes;
    bool reads = e->kind == EXPR_LOAD;
    for (int i = 0; e->kind == EXPR_CALL && i < e->function->arity; i++)
        reads |= reads_memory(kb, e->args[i]);
    map_set(&kb->loads, e, reads ? &yes : &no);
    return reads;
}

static LLVMValueRef both(KernelBuilder *kb, LLVMValueRef x, LLVMValueRef y)
{
    return x ? LLVMBuildAnd(kb->u->builder, x, y, "") : y;
}

/* `outer` and that `truth` is as `holds` says.  Asked twice, the same guard comes back. */
static const Guard *guard_under(KernelBuilder *kb, const Guard *outer, LLVMValueRef truth,
                                bool holds)
{
    for (int i = 0; i < kb->guards.count; i++) {
        const Guard *g = kb->guards.data[i];
        if (g->outer == outer && g->truth == truth && g->holds == holds)
            return g;
    }
    Guard *g = arena_new(kb->u->arena, Guard, 1);
    *g = (Guard){.outer = outer, .truth = truth, .holds = holds};
    map_init(&g->memo, kb->u->arena);
    LLVMValueRef condition = holds ? truth : LLVMBuildNot(kb->u->builder, truth, "");
    g->uniform = outer ? outer->uniform : NULL;
    g->lanes = outer ? outer->lanes : NULL;
    if (value_is_vector(condition))
        g->lanes = both(kb, g->lanes ? g->lanes : kb->mask, condition);
    else
        g->uniform = both(kb, g->uniform, condition);
    vec_push(kb->u->arena, &kb->guards, g);
    return g;
}

/* Only what reads memory needs to know whether it may. */
static LLVMValueRef value_under(KernelBuilder *kb, const Expr *e, const Guard *g,
                                LLVMValueRef truth, bool holds)
{
    return value_of(kb, e, reads_memory(kb, e) ? guard_under(kb, g, truth, holds) : g);
}

/* Is its value known where its guard rules it out?  What lanes do not load is zero. */
static bool is_known_masked(KernelBuilder *kb, const Expr *e, double *value)
{
    double args[3];
    *value = e->kind == EXPR_CONST ? e->value : 0;
    if (e->kind == EXPR_CONST)
        return true;
    if (e->kind == EXPR_LOAD)
        return e->count == 0 && affine_varies(kb, e->affine);
    if (e->kind != EXPR_CALL || !dtype_is_real(e->type) || e->function == &scalar_select)
        return false;
    for (int i = 0; i < e->function->arity; i++)
        if (!dtype_is_real(e->args[i]->type) || !is_known_masked(kb, e->args[i], &args[i]))
            return false;
    *value = e->function->value(args);
    return true;
}

/* A choice between loads and zero that is made by the loads' masks alone. */
static bool is_chosen_by_mask(KernelBuilder *kb, const Expr *e)
{
    double value;
    return e->kind == EXPR_CALL && e->function == &scalar_select && expr_is_zero(e->args[2]) &&
           is_known_masked(kb, e->args[1], &value) && value == 0;
}

static LLVMValueRef select_value(KernelBuilder *kb, const Expr *e, const Guard *g)
{
    EmitUnit *u = kb->u;
    LLVMValueRef truth = value_of(kb, e->args[0], g);
    if (!value_is_vector(truth) && LLVMIsConstant(truth) && LLVMIsAConstantInt(truth))
        return value_of(kb, LLVMConstIntGetZExtValue(truth) ? e->args[1] : e->args[2], g);
    LLVMValueRef yes = value_convert(kb, value_under(kb, e->args[1], g, truth, true), e->type);
    if (is_chosen_by_mask(kb, e))
        return yes;
    LLVMValueRef no = value_convert(kb, value_under(kb, e->args[2], g, truth, false), e->type);
    if (value_is_vector(truth) || value_is_vector(yes) || value_is_vector(no)) {
        yes = value_splat(u, yes, kb->width);
        no = value_splat(u, no, kb->width);
    }
    return LLVMBuildSelect(u->builder, truth, yes, no, "");
}

/* ---- calls ---------------------------------------------------------------------------------------------------- */

static bool is_product(const Expr *e)
{
    return e->kind == EXPR_CALL && e->function == &scalar_mul && dtype_is_real(e->type);
}

/* Splats what does not vary where others do; returns the number of lanes. */
static int unify(KernelBuilder *kb, LLVMValueRef *values, int count)
{
    int width = 1;
    for (int i = 0; i < count; i++)
        if (value_is_vector(values[i]))
            width = value_width(values[i]);
    for (int i = 0; i < count; i++)
        values[i] = value_splat(kb->u, values[i], width);
    return width;
}

static LLVMValueRef multiply_add(KernelBuilder *kb, const Expr *product, bool negative,
                                 LLVMValueRef addend, DType type, const Guard *g)
{
    LLVMValueRef values[] = {value_convert(kb, value_of(kb, product->args[0], g), type),
                             value_convert(kb, value_of(kb, product->args[1], g), type), addend};
    unify(kb, values, 3);
    if (negative)
        values[0] = LLVMBuildFNeg(kb->u->builder, values[0], "");
    return value_multiply_add(kb->u, values[0], values[1], values[2]);
}

/* x*y + z, z + x*y, x*y - z and z - x*y in one instruction; NULL: it is none of these. */
static LLVMValueRef fused_sum(KernelBuilder *kb, const Expr *e, const Guard *g)
{
    bool minus = e->function == &scalar_sub;
    if (!dtype_is_real(e->type) || (e->function != &scalar_add && !minus))
        return NULL;
    if (is_product(e->args[0])) {
        LLVMValueRef z = value_convert(kb, value_of(kb, e->args[1], g), e->type);
        return multiply_add(kb, e->args[0], false, minus ? LLVMBuildFNeg(kb->u->builder, z, "") : z,
                            e->type, g);
    }
    if (!is_product(e->args[1]))
        return NULL;
    LLVMValueRef z = value_convert(kb, value_of(kb, e->args[0], g), e->type);
    return multiply_add(kb, e->args[1], minus, z, e->type, g);
}

/* Are the numbers of this call f64? */
static bool is_double(const Expr *e)
{
    bool wide = e->type == TYPE_F64;
    for (int i = 0; i < e->function->arity; i++)
        wide |= e->args[i]->type == TYPE_F64;
    return wide;
}

static LLVMValueRef lower_call(KernelBuilder *kb, const ScalarFunction *f, LLVMValueRef *args,
                               bool integer, bool real64)
{
    MathContext context = {kb->u, unify(kb, args, f->arity)};
    MathBuilder builder;
    math_builder_init(&builder, &context, real64);
    return (LLVMValueRef)f->lower(&builder, (MathValue const *)args, integer);
}

static LLVMValueRef call_value(KernelBuilder *kb, const Expr *e, const Guard *g)
{
    const ScalarFunction *f = e->function;
    if (f == &scalar_select)
        return select_value(kb, e, g);
    LLVMValueRef fused = fused_sum(kb, e, g), args[3];
    if (fused)
        return fused;
    bool real64 = is_double(e), integer = !dtype_is_real(e->args[0]->type);
    for (int i = 0; i < f->arity; i++) {
        bool guarded =
            f == &scalar_and && i == 1; /* what the first conjunct rules out is not read */
        args[i] =
            guarded ? value_under(kb, e->args[1], g, args[0], true) : value_of(kb, e->args[i], g);
        if (dtype_is_real(e->args[i]->type))
            args[i] = value_convert(kb, args[i], real64 ? TYPE_F64 : TYPE_F32);
    }
    if (f == &scalar_to_real && !integer)
        return value_convert(kb, args[0], e->type);
    bool on_integers = integer && f->signature != SIGNATURE_TO_REAL;
    return value_convert(kb, lower_call(kb, f, args, integer, real64 && !on_integers), e->type);
}

/* ---- leaves --------------------------------------------------------------------------------------------------- */

static LLVMValueRef constant_value(KernelBuilder *kb, DType type, double value)
{
    LLVMTypeRef lane = unit_lane_type(kb->u, type);
    if (dtype_is_real(type))
        return LLVMConstReal(lane, value);
    if (type == TYPE_BOOL)
        return LLVMConstInt(lane, value != 0, false);
    return LLVMConstInt(lane, (unsigned long long)(int64_t)value, true);
}

static LLVMValueRef word(KernelBuilder *kb, LLVMValueRef v, bool high)
{
    LLVMBuilderRef b = kb->u->builder;
    return LLVMBuildTrunc(b, high ? LLVMBuildLShr(b, v, unit_i64(kb->u, 32), "") : v, kb->u->i32,
                          "");
}

/* Always with 32-bit lanes: the words are, and 24 of their bits make the number. */
static LLVMValueRef random_draw(KernelBuilder *kb, const Expr *e)
{
    LLVMValueRef seed = kb->fields[ARGUMENT_SEED], step = kb->fields[ARGUMENT_DRAWS];
    LLVMValueRef site = LLVMBuildAdd(kb->u->builder, word(kb, kb->fields[ARGUMENT_SITE], false),
                                     unit_i32(kb->u, e->site - kb->kernel->first_site), "");
    LLVMValueRef words[6] = {word(kb, seed, false),       word(kb, seed, true),
                             offset_value(kb, e->affine), site,
                             word(kb, step, false),       word(kb, step, true)};
    MathContext context = {kb->u, unify(kb, words, 6)};
    MathBuilder builder;
    math_builder_init(&builder, &context, false);
    MathValue *w = (MathValue *)words;
    return value_convert(kb, (LLVMValueRef)random_lower(&builder, e->random, w, w + 2), e->type);
}

static LLVMValueRef unsigned_to_double(KernelBuilder *kb, LLVMValueRef v)
{
    return LLVMBuildUIToFP(kb->u->builder, v, kb->u->f64, "");
}

static LLVMValueRef scalar_value(KernelBuilder *kb, const Expr *e)
{
    EmitUnit *u = kb->u;
    LLVMValueRef v = NULL;
    switch (e->scalar) {
    case SCALAR_BATCH_SIZE:
        v = unsigned_to_double(kb, kb->fields[ARGUMENT_EXAMPLES]);
        break;
    case SCALAR_STEP:
        v = LLVMBuildAdd(u->builder, kb->fields[ARGUMENT_STEP], unit_i64(u, 1), "");
        if (e->site)
            v = LLVMBuildUDiv(u->builder, v, unit_i64(u, e->site), "");
        v = unsigned_to_double(kb, v);
        break;
    case SCALAR_DUE:
        return value_convert(kb, unit_is_due(u, kb->fields[ARGUMENT_STEP], e->site), e->type);
    case SCALAR_SCALE:
        v = kb->fields[ARGUMENT_SCALE];
        break;
    case SCALAR_FIRST:
        return value_convert(kb, to_truth(kb, kb->fields[ARGUMENT_FIRST]), e->type);
    case SCALAR_EXAMPLES:
        v = unsigned_to_double(kb, kb->fields[ARGUMENT_SUMMED]);
        break;
    }
    return value_convert(kb, v, e->type);
}

static LLVMValueRef compute(KernelBuilder *kb, const Expr *e, const Guard *g)
{
    switch (e->kind) {
    case EXPR_CONST:
        return constant_value(kb, e->type, e->value);
    case EXPR_AFFINE:
        return value_convert(kb, offset_value(kb, e->affine), e->type);
    case EXPR_TEST:
        return offset_test(kb, e->test, e->affine);
    case EXPR_CALL:
        return call_value(kb, e, g);
    case EXPR_RANDOM:
        return random_draw(kb, e);
    case EXPR_SCALAR:
        return scalar_value(kb, e);
    case EXPR_LOAD:
        return memory_load(kb, e, g);
    case EXPR_LOCAL:
        return local_read(kb, e->local);
    case EXPR_ACCESS:
        break;
    }
    bug("an access to node %s is left in the loops", e->node ? e->node->name : "?");
}

LLVMValueRef value_of(KernelBuilder *kb, const Expr *e, const Guard *g)
{
    if (g && !reads_memory(kb, e))
        g = NULL;
    PointerMap *memo = g ? (PointerMap *)&g->memo : &kb->memo;
    LLVMValueRef v = map_get(memo, e);
    if (!v) {
        v = compute(kb, e, g);
        map_set(memo, e, v);
    }
    return v;
}

/* ---- reductions ----------------------------------------------------------------------------------------------- */

LLVMValueRef value_identity(KernelBuilder *kb, const Reduction *r, DType type)
{
    double start = r->start;
    if (!dtype_is_real(type) && isinf(start))
        start = start < 0 ? INT32_MIN : INT32_MAX;
    return constant_value(kb, type, start);
}

LLVMValueRef value_merge(KernelBuilder *kb, const Reduction *r, DType type, LLVMValueRef x,
                         LLVMValueRef y)
{
    if (!r->combine)
        bug("%s is no COMBINE", r->name);
    LLVMValueRef args[] = {x, value_convert(kb, y, type)};
    return lower_call(kb, r->combine, args, !dtype_is_real(type), type == TYPE_F64);
}

LLVMValueRef value_combine(KernelBuilder *kb, const Reduction *r, DType type, LLVMValueRef old,
                           const Expr *value)
{
    const bool sum = r->combine == &scalar_add && dtype_is_real(type) && value->type == type;
    if (sum && is_product(value))
        return multiply_add(kb, value, false, old, type, NULL);
    if (sum && is_chosen_by_mask(kb, value) && is_product(value->args[1])) {
        const Guard *g = guard_under(kb, NULL, value_of(kb, value->args[0], NULL), true);
        return multiply_add(kb, value->args[1], false, old, type, g);
    }
    return value_merge(kb, r, type, old, value_of(kb, value, NULL));
}

/* Upper half with lower half, until one is left: always the same tree. */
LLVMValueRef value_fold(KernelBuilder *kb, const Reduction *r, DType type, LLVMValueRef lanes)
{
    EmitUnit *u = kb->u;
    for (int half = value_width(lanes) / 2; half >= 1; half /= 2) {
        LLVMValueRef low[64], high[64];
        for (int i = 0; i < half; i++) {
            low[i] = unit_i32(u, i);
            high[i] = unit_i32(u, half + i);
        }
        LLVMValueRef none = LLVMGetPoison(LLVMTypeOf(lanes));
        LLVMValueRef x, y;
        if (half == 1) {
            x = LLVMBuildExtractElement(u->builder, lanes, low[0], "");
            y = LLVMBuildExtractElement(u->builder, lanes, high[0], "");
        } else {
            x = LLVMBuildShuffleVector(u->builder, lanes, none,
                                       LLVMConstVector(low, (unsigned)half), "");
            y = LLVMBuildShuffleVector(u->builder, lanes, none,
                                       LLVMConstVector(high, (unsigned)half), "");
        }
        lanes = value_merge(kb, r, type, x, y);
    }
    return lanes;
}
