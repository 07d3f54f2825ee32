/* Expressions as .nn text, with as few parentheses as the grammar needs. */
#include "functions/functions.h"
#include "ir/pool.h"
#include "ir/print.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void put(Printer *pr, const char *text)
{
    text_append(pr->out, text);
}

/* ---- numbers --------------------------------------------------------------------------------------- */

/* The shortest text that reads back to the same value. */
void print_number(Text *out, double value, DType type)
{
    char text[40];
    if (type == TYPE_BOOL || !isfinite(value)) {
        const char *infinite = isnan(value) ? "(0 / 0)" : value > 0 ? "(1 / 0)" : "(-1 / 0)";
        text_append(out, type != TYPE_BOOL ? infinite : value ? "true" : "false");
        return;
    }
    if (value == rint(value) && fabs(value) < 1e15) {
        text_printf(out, "%.0f", value);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        double back = strtod(text, NULL);
        if (back == value || (type == TYPE_F32 && (float)back == (float)value))
            break;
    }
    text_append(out, text);
}

/* ---- accesses -------------------------------------------------------------------------------------------- */

static void print_subscript(Printer *pr, const Subscript *s)
{
    if (s->affine)
        print_affine(pr, s->affine, LEVEL_CONDITION);
    else
        print_expr(pr, s->data, LEVEL_CONDITION);
}

/* An example's number counts on from the last to the first: that goes without saying. */
static const Expr *counted_examples(const Expr *e)
{
    const bool wraps = e->kind == EXPR_CALL && e->function == &scalar_mod &&
                       e->args[1]->kind == EXPR_CALL && e->args[1]->args[0]->kind == EXPR_SCALAR;
    return wraps ? e->args[0] : e;
}

/* `@m` where another example of the batch is read. */
static void print_example(Printer *pr, const Subscript *s)
{
    const Index *ix = s->affine ? affine_is_index(s->affine) : NULL;
    if (ix && ix == pr->implicit)
        return;
    put(pr, ix ? "@" : "@(");
    if (s->affine)
        print_affine(pr, s->affine, LEVEL_CONDITION);
    else
        print_expr(pr, counted_examples(s->data), LEVEL_CONDITION);
    put(pr, ix ? "" : ")");
}

static void print_access(Printer *pr, const Expr *e)
{
    bool batched = node_is_batched(e->node), guarded = e == pr->guarded;
    put(pr, guarded ? "(" : "");
    put(pr, e->node->name);
    if (batched)
        print_example(pr, &e->subscripts[0]);
    for (int i = batched; i < e->count; i++) {
        put(pr, i == batched ? "[" : ", ");
        print_subscript(pr, &e->subscripts[i]);
    }
    put(pr, e->count > batched ? "]" : "");
    put(pr, guarded ? " else 0)" : "");
}

/* ---- what may lie outside: (x[i - 1] else 0) ----------------------------------------------------------- */

/* Is e the test sign*a + offset >= 0, in the simplest form that expr_test gives it? */
static bool is_bound_test(const Expr *e, const Affine *a, int64_t sign, int64_t offset)
{
    int64_t common = affine_common_factor(a);
    if (e->kind != EXPR_TEST || e->test != TEST_NOT_NEGATIVE || e->affine->count != a->count ||
        e->affine->constant != floor_div(sign * a->constant + offset, common))
        return false;
    for (int i = 0; i < a->count; i++) {
        const Term *t = &e->affine->terms[i], *u = &a->terms[i];
        if (t->kind != u->kind || t->index != u->index || t->inner != u->inner ||
            t->divisor != u->divisor || t->factor * common != sign * u->factor)
            return false;
    }
    return true;
}

static bool has_conjunct(const Expr *condition, const Affine *a, int64_t sign, int64_t offset)
{
    if (condition->kind == EXPR_CALL && condition->function == &scalar_and)
        return has_conjunct(condition->args[0], a, sign, offset) ||
               has_conjunct(condition->args[1], a, sign, offset);
    return is_bound_test(condition, a, sign, offset);
}

static int count_conjuncts(const Expr *condition)
{
    if (condition->kind == EXPR_CALL && condition->function == &scalar_and)
        return count_conjuncts(condition->args[0]) + count_conjuncts(condition->args[1]);
    return 1;
}

/* Does an affine subscript leave its dimension, as far as ranges tell?  In *low and *high: where. */
static bool may_leave(const Expr *access, int i, bool *low, bool *high)
{
    const Affine *a = access->subscripts[i].affine;
    Interval v = a ? affine_interval(a) : (Interval){0, 0};
    *low = v.low < 0;
    *high = v.high > access->node->domain[i]->extent - 1;
    return *low || *high;
}

/* Is the condition just that the access stays inside?  Then `else` says the same. */
static bool guards_access(const Expr *condition, const Expr *access)
{
    int needed = 0;
    if (access->kind != EXPR_ACCESS)
        return false;
    for (int i = 0; i < access->count; i++) {
        bool low, high;
        const Affine *a = access->subscripts[i].affine;
        if (!a)
            return false;
        may_leave(access, i, &low, &high);
        int64_t last = access->node->domain[i]->extent - 1;
        if ((low && !has_conjunct(condition, a, 1, 0)) ||
            (high && !has_conjunct(condition, a, -1, last)))
            return false;
        needed += low + high;
    }
    return needed == count_conjuncts(condition);
}

static void count_leaving(void *context, const Expr *e)
{
    int *count = context;
    bool low, high, leaves = false;
    for (int i = 0; e->kind == EXPR_ACCESS && i < e->count; i++)
        leaves = may_leave(e, i, &low, &high) || leaves;
    *count += leaves;
}

/* The factor of a product that the condition keeps inside, or NULL. */
static const Expr *guarded_factor(const Expr *condition, const Expr *e)
{
    if (e->kind == EXPR_ACCESS)
        return guards_access(condition, e) ? e : NULL;
    if (e->kind != EXPR_CALL || e->function != &scalar_mul || e->args[0] == e->args[1])
        return NULL;
    const Expr *left = guarded_factor(condition, e->args[0]);
    return left ? left : guarded_factor(condition, e->args[1]);
}

/* if c then a * x[i - 1] else 0 is a * (x[i - 1] else 0): that access, where no other needs the condition. */
static const Expr *guarded_in_product(const Expr *e)
{
    int leaving = 0;
    bool product = e->args[1]->kind == EXPR_CALL && e->args[1]->function == &scalar_mul;
    if (!product || e->args[2]->kind != EXPR_CONST || e->args[2]->value != 0 ||
        !dtype_is_real(e->type))
        return NULL;
    expr_visit(NULL, e->args[1], count_leaving, &leaving);
    return leaving == 1 ? guarded_factor(e->args[0], e->args[1]) : NULL;
}

static void print_else(Printer *pr, const Expr *e)
{
    put(pr, "(");
    print_expr(pr, e->args[1], LEVEL_CONDITION);
    put(pr, " else ");
    print_expr(pr, e->args[2], LEVEL_CONDITION);
    put(pr, ")");
}

static void print_guarded_product(Printer *pr, const Expr *e, const Expr *factor)
{
    const Expr *outer = pr->guarded;
    pr->guarded = factor;
    print_expr(pr, e->args[1], LEVEL_PRODUCT);
    pr->guarded = outer;
}

static void print_if(Printer *pr, const Expr *e)
{
    put(pr, "if ");
    print_expr(pr, e->args[0], LEVEL_CONDITION);
    put(pr, " then ");
    print_expr(pr, e->args[1], LEVEL_CONDITION);
    put(pr, " else ");
    print_expr(pr, e->args[2], LEVEL_CONDITION);
}

static void print_select(Printer *pr, const Expr *e)
{
    const Expr *factor = guarded_in_product(e);
    if (guards_access(e->args[0], e->args[1]))
        print_else(pr, e);
    else if (factor)
        print_guarded_product(pr, e, factor);
    else
        print_if(pr, e);
}

/* ---- calls -------------------------------------------------------------------------------------------------- */

/* Operators: their level, and the levels their operands need. */
static const struct Operator {
    const ScalarFunction *function;
    Level level, left, right;
    const char *text;
} operators[] = {
    {&scalar_or, LEVEL_OR, LEVEL_OR, LEVEL_AND, " or "},
    {&scalar_and, LEVEL_AND, LEVEL_AND, LEVEL_NOT, " and "},
    {&scalar_lt, LEVEL_COMPARE, LEVEL_SUM, LEVEL_SUM, " < "},
    {&scalar_le, LEVEL_COMPARE, LEVEL_SUM, LEVEL_SUM, " <= "},
    {&scalar_gt, LEVEL_COMPARE, LEVEL_SUM, LEVEL_SUM, " > "},
    {&scalar_ge, LEVEL_COMPARE, LEVEL_SUM, LEVEL_SUM, " >= "},
    {&scalar_eq, LEVEL_COMPARE, LEVEL_SUM, LEVEL_SUM, " == "},
    {&scalar_ne, LEVEL_COMPARE, LEVEL_SUM, LEVEL_SUM, " != "},
    {&scalar_add, LEVEL_SUM, LEVEL_SUM, LEVEL_PRODUCT, " + "},
    {&scalar_sub, LEVEL_SUM, LEVEL_SUM, LEVEL_PRODUCT, " - "},
    {&scalar_mul, LEVEL_PRODUCT, LEVEL_PRODUCT, LEVEL_UNARY, " * "},
    {&scalar_div, LEVEL_PRODUCT, LEVEL_PRODUCT, LEVEL_UNARY, " / "},
    {&scalar_mod, LEVEL_PRODUCT, LEVEL_PRODUCT, LEVEL_UNARY, " % "},
    {&scalar_pow, LEVEL_POWER, LEVEL_PRIMARY, LEVEL_UNARY, "^"},
};

static const struct Operator *operator_of(const Expr *e)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (e->kind == EXPR_CALL && e->function == operators[i].function)
            return &operators[i];
    return NULL;
}

static bool is_call(const Expr *e, const ScalarFunction *f)
{
    return e->kind == EXPR_CALL && e->function == f;
}

/* A cast that the language makes by itself, of an index or a truth beside a real number. */
static bool is_silent_cast(const Expr *e)
{
    return is_call(e, &scalar_to_real) &&
           (e->args[0]->kind == EXPR_AFFINE || e->args[0]->type == TYPE_BOOL);
}

/* Would the text of e alone be read as a real number? */
static bool is_plainly_real(const Expr *e)
{
    return dtype_is_real(e->type) && e->kind != EXPR_CONST && !is_silent_cast(e);
}

/* An operand, next to `sibling`; without f32( ) where the sibling makes it real. */
static void print_operand(Printer *pr, const Expr *e, const Expr *sibling, Level level)
{
    print_expr(pr, is_silent_cast(e) && is_plainly_real(sibling) ? e->args[0] : e, level);
}

static bool is_not_zero(const Expr *e)
{
    return is_call(e, &scalar_not) && e->args[0]->kind == EXPR_TEST &&
           e->args[0]->test == TEST_ZERO;
}

/* -(a * b) and -(a / b) of reals need no parentheses: the sign of the first factor is the whole's. */
static bool sign_joins_factor(const Expr *e)
{
    if (!dtype_is_real(e->type))
        return false;
    if (is_call(e, &scalar_mul) || is_call(e, &scalar_div))
        return sign_joins_factor(e->args[0]);
    bool is_operator = operator_of(e) && !is_call(e, &scalar_pow);
    return e->kind == EXPR_ACCESS ||
           (e->kind == EXPR_CALL && !is_operator && !is_call(e, &scalar_select));
}

static void print_negation(Printer *pr, const Expr *e)
{
    const Expr *operand = e->args[0];
    put(pr, "-");
    print_expr(pr, operand, sign_joins_factor(operand) ? LEVEL_PRODUCT : LEVEL_UNARY);
}

static const char *call_name(const ScalarFunction *f)
{
    return f == &scalar_to_real ? "f32" : f == &scalar_to_integer ? "i32" : f->name;
}

static void print_function(Printer *pr, const Expr *e)
{
    put(pr, call_name(e->function));
    for (int i = 0; i < e->function->arity; i++) {
        put(pr, i ? ", " : "(");
        print_expr(pr, e->args[i], LEVEL_CONDITION);
    }
    put(pr, ")");
}

static bool is_one(const Expr *e)
{
    return e->kind == EXPR_CONST && e->value == 1;
}

/* The base of a * a (exponent 2) or a * a * a (3), which x^2 and x^3 are read as; NULL: neither. */
static const Expr *power_base(const Expr *e, int *exponent)
{
    if (!is_call(e, &scalar_mul) || !dtype_is_real(e->type))
        return NULL;
    const Expr *left = e->args[0], *right = e->args[1];
    *exponent = left == right ? 2 : 3;
    bool cube = is_call(left, &scalar_mul) && left->args[0] == right && left->args[1] == right;
    return left == right || cube ? right : NULL;
}

/* The b of a * (1 / b), where b is the same for all elements: read and written a / b. */
static const Expr *shared_divisor(const Expr *e)
{
    const Expr *r = e->args[1];
    bool reciprocal = is_call(e, &scalar_mul) && is_call(r, &scalar_div) && is_one(r->args[0]);
    return reciprocal && r->args[1]->kind == EXPR_SCALAR ? r->args[1] : NULL;
}

static void print_operator(Printer *pr, const Expr *e, const struct Operator *op)
{
    int exponent;
    const Expr *base = power_base(e, &exponent), *divisor = shared_divisor(e);
    /* a * (b * c) is a * b * c, but for rounding. */
    bool product = e->function == &scalar_mul && dtype_is_real(e->type);
    if (base) {
        print_expr(pr, base, LEVEL_PRIMARY);
        text_printf(pr->out, "^%d", exponent);
        return;
    }
    print_operand(pr, e->args[0], e->args[1], op->left);
    put(pr, divisor ? " / " : op->text);
    print_operand(pr, divisor ? divisor : e->args[1], e->args[0], product ? op->left : op->right);
}

static void print_call(Printer *pr, const Expr *e)
{
    const struct Operator *op = operator_of(e);
    if (op)
        print_operator(pr, e, op);
    else if (e->function == &scalar_select)
        print_select(pr, e);
    else if (e->function == &scalar_neg)
        print_negation(pr, e);
    else if (is_not_zero(e))
        print_zero(pr, e->args[0]->affine, " != ");
    else if (e->function == &scalar_not) {
        put(pr, "not ");
        print_expr(pr, e->args[0], LEVEL_NOT);
    } else
        print_function(pr, e);
}

/* ---- any expression ------------------------------------------------------------------------------------------ */

static Level call_level(const Expr *e)
{
    const struct Operator *op = operator_of(e);
    int exponent;
    if (power_base(e, &exponent))
        return LEVEL_POWER;
    if (op)
        return op->level;
    if (e->function == &scalar_select)
        return guards_access(e->args[0], e->args[1]) ? LEVEL_PRIMARY
               : guarded_in_product(e)               ? LEVEL_PRODUCT
                                                     : LEVEL_CONDITION;
    if (e->function == &scalar_neg)
        return sign_joins_factor(e->args[0]) && operator_of(e->args[0]) ? LEVEL_PRODUCT
                                                                        : LEVEL_UNARY;
    if (e->function == &scalar_not)
        return is_not_zero(e) ? LEVEL_COMPARE : LEVEL_NOT;
    return LEVEL_PRIMARY;
}

static Level expr_level(const Expr *e)
{
    switch (e->kind) {
    case EXPR_CONST:
        return e->value < 0 && isfinite(e->value) ? LEVEL_UNARY : LEVEL_PRIMARY;
    case EXPR_AFFINE:
        return print_affine_level(e->affine);
    case EXPR_TEST:
        return LEVEL_COMPARE;
    case EXPR_CALL:
        return call_level(e);
    default:
        return LEVEL_PRIMARY;
    }
}

static void print_scalar(Printer *pr, const Expr *e)
{
    static const char *const names[] = {
        [SCALAR_BATCH_SIZE] = "batch_size", [SCALAR_STEP] = "step",
        [SCALAR_SCALE] = "scale",           [SCALAR_FIRST] = "first",
        [SCALAR_EXAMPLES] = "examples",
    };
    if (e->scalar == SCALAR_DUE)
        text_printf(pr->out, "(step %% %d == 0)", e->site);
    else if (e->scalar == SCALAR_STEP && e->site)
        text_printf(pr->out, "floor(step / %d)", e->site);
    else
        put(pr, names[e->scalar]);
}

/* Only below the schedule, where the text is no .nn any more. */
static void print_load(Printer *pr, const Expr *e)
{
    put(pr, "load[");
    print_affine(pr, e->affine, LEVEL_SUM);
    for (int i = 0; i < e->count; i++) {
        text_printf(pr->out, " + %lld * ", (long long)e->data[i].stride);
        print_expr(pr, e->data[i].value, LEVEL_UNARY);
    }
    put(pr, "]");
}

static void print_plain(Printer *pr, const Expr *e)
{
    switch (e->kind) {
    case EXPR_CONST:
        print_number(pr->out, e->value, e->type);
        break;
    case EXPR_AFFINE:
        print_affine(pr, e->affine, LEVEL_CONDITION);
        break;
    case EXPR_TEST:
        print_test(pr, e);
        break;
    case EXPR_ACCESS:
        print_access(pr, e);
        break;
    case EXPR_CALL:
        print_call(pr, e);
        break;
    case EXPR_RANDOM:
        put(pr, e->random == RANDOM_UNIFORM ? "random_uniform()" : "random_normal()");
        break;
    case EXPR_SCALAR:
        print_scalar(pr, e);
        break;
    case EXPR_LOAD:
        print_load(pr, e);
        break;
    case EXPR_LOCAL:
        text_printf(pr->out, "r%d", e->local);
        break;
    }
}

void print_expr(Printer *pr, const Expr *e, Level level)
{
    bool parentheses = expr_level(e) < level;
    put(pr, parentheses ? "(" : "");
    print_plain(pr, e);
    put(pr, parentheses ? ")" : "");
}

/* Alone, an expression is about the example that it reads first. */
static void find_example(void *context, const Expr *e)
{
    Printer *pr = context;
    if (pr->implicit || e->kind != EXPR_ACCESS || !node_is_batched(e->node) ||
        !e->subscripts[0].affine)
        return;
    pr->implicit = affine_is_index(e->subscripts[0].affine);
}

void expr_print(Text *out, const Expr *e)
{
    Printer pr = {.out = out};
    expr_visit(NULL, e, find_example, &pr);
    print_expr(&pr, e, LEVEL_CONDITION);
}
