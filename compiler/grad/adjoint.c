/* Reverse accumulation inside one scalar expression: from the cotangent of a body to the cotangents
 * of the accesses it reads.  The derivatives come from the rows of the function table. */
#include "functions/functions.h"
#include "grad/grad.h"

#include <stdlib.h>

static bool is_one(const Expr *e)
{
    double value;
    return expr_is_const(e, &value) && value == 1;
}

static bool is_call(const Expr *e, const ScalarFunction *f)
{
    return e->kind == EXPR_CALL && e->function == f;
}

/* if c then a else 0, or the other way round */
static bool is_guarded(const Expr *e)
{
    return is_call(e, &scalar_select) && (expr_is_zero(e->args[1]) || expr_is_zero(e->args[2]));
}

/* ---- products and sums that keep their guards outermost --------------------------------------------- */

static const Expr *guarded_mul(ExprPool *p, const Expr *ct, const Expr *d);

/* The product with both branches of a guarded expression; a zero branch stays zero. */
static const Expr *under_guard(ExprPool *p, const Expr *guarded, const Expr *factor,
                               bool factor_first)
{
    const Expr *branch[2];
    for (int i = 0; i < 2; i++) {
        const Expr *e = guarded->args[i + 1];
        branch[i] = expr_is_zero(e) ? e
                    : factor_first  ? guarded_mul(p, factor, e)
                                    : guarded_mul(p, e, factor);
    }
    return expr_select(p, guarded->args[0], branch[0], branch[1]);
}

/* ct * d.  What guards ct also guards the subscripts in d, so the product goes inside the guard. */
static const Expr *guarded_mul(ExprPool *p, const Expr *ct, const Expr *d)
{
    double value;
    if (is_guarded(ct))
        return under_guard(p, ct, d, false);
    if (is_call(ct, &scalar_add) && is_guarded(ct->args[0]) && is_guarded(ct->args[1]))
        return adjoint_add(p, guarded_mul(p, ct->args[0], d), guarded_mul(p, ct->args[1], d));
    if (is_guarded(d))
        return under_guard(p, d, ct, true);
    if (expr_is_const(d, &value) && value == -1)
        return expr_neg(p, ct);
    if (is_call(d, &scalar_neg))
        return expr_neg(p, guarded_mul(p, ct, d->args[0]));
    if (is_call(d, &scalar_div) && is_one(d->args[0]))
        return expr_div(p, ct, d->args[1]);
    return expr_mul(p, ct, d);
}

const Expr *adjoint_add(ExprPool *p, const Expr *a, const Expr *b)
{
    if (!a || !b)
        return a ? a : b;
    if (is_guarded(a) && is_guarded(b) && a->args[0] == b->args[0])
        return expr_select(p, a->args[0], adjoint_add(p, a->args[1], b->args[1]),
                           adjoint_add(p, a->args[2], b->args[2]));
    if (is_call(b, &scalar_neg))
        return expr_sub(p, a, b->args[0]);
    return expr_add(p, a, b);
}

/* ---- the walk -------------------------------------------------------------------------------------------- */

/* One subexpression of the body. */
typedef struct Step {
    const Expr *e;
    const Expr *ct;
    bool active; /* leads to an access that is wanted */
} Step;

typedef struct Steps {
    Arena *arena;
    VEC(Step) list;
} Steps;

static void collect(void *context, const Expr *e)
{
    Steps *s = context;
    vec_push(s->arena, &s->list, ((Step){.e = e}));
}

static int by_id(const void *a, const void *b)
{
    int x = ((const Step *)a)->e->id, y = ((const Step *)b)->e->id;
    return (x > y) - (x < y);
}

static Step *step_of(const Steps *s, const Expr *e)
{
    Step key = {.e = e};
    return bsearch(&key, s->list.data, (size_t)s->list.count, sizeof(Step), by_id);
}

static bool is_active(const Steps *s, const Expr *e, const bool *needed)
{
    if (!dtype_is_real(e->type))
        return false;
    if (e->kind == EXPR_ACCESS)
        return needed[e->node->id];
    if (e->kind != EXPR_CALL || !e->function->derivative)
        return false;
    for (int i = 0; i < e->function->arity; i++)
        if (step_of(s, e->args[i])->active)
            return true;
    return false;
}

static void push_to_operands(ExprPool *p, const Steps *s, const Step *step)
{
    for (int i = 0; i < step->e->function->arity; i++) {
        Step *operand = step_of(s, step->e->args[i]);
        if (!operand->active)
            continue;
        const Expr *d = step->e->function->derivative(p, step->e, i);
        if (!d)
            continue;
        operand->ct = adjoint_add(p, operand->ct, guarded_mul(p, step->ct, d));
    }
}

/* An expression is made after its operands, so the order of ids is a topological one. */
void adjoint_of_body(ExprPool *p, const Expr *body, const Expr *seed, const bool *needed,
                     LeafAdjoints *out)
{
    Steps s = {.arena = expr_pool_arena(p)};
    expr_visit(p, body, collect, &s);
    qsort(s.list.data, (size_t)s.list.count, sizeof(Step), by_id);
    for (int i = 0; i < s.list.count; i++)
        s.list.data[i].active = is_active(&s, s.list.data[i].e, needed);
    step_of(&s, body)->ct = seed;
    for (int i = s.list.count - 1; i >= 0; i--) {
        const Step *step = &s.list.data[i];
        if (!step->active || !step->ct || expr_is_zero(step->ct))
            continue;
        if (step->e->kind == EXPR_ACCESS)
            vec_push(s.arena, out, ((LeafAdjoint){step->e, step->ct}));
        else
            push_to_operands(p, &s, step);
    }
}

/* ---- what a guarded body holds ------------------------------------------------------------------------------ */

static void note_access(void *context, const Expr *e)
{
    bool *found = context;
    *found |= e->kind == EXPR_ACCESS;
}

const Expr *adjoint_guarded_value(ExprPool *p, const Expr *body)
{
    bool by_data = false;
    if (!is_call(body, &scalar_select) || !expr_is_zero(body->args[2]))
        return NULL;
    expr_visit(p, body->args[0], note_access, &by_data);
    return by_data || body->args[1]->kind != EXPR_CALL ? NULL : body->args[1];
}

/* ---- replacing a subexpression ---------------------------------------------------------------------------- */

typedef struct Replacement {
    const Expr *from, *to;
    Steps steps; /* ct: the rebuilt expression */
    ExprPool *pool;
} Replacement;

static const Expr *rebuilt_call(const Replacement *r, const Expr *e)
{
    const Expr *args[3];
    bool changed = false;
    for (int i = 0; i < e->function->arity; i++) {
        args[i] = step_of(&r->steps, e->args[i])->ct;
        changed |= args[i] != e->args[i];
    }
    return changed ? expr_call(r->pool, e->function, args) : e;
}

const Expr *adjoint_replace(ExprPool *p, const Expr *e, const Expr *from, const Expr *to)
{
    Replacement r = {.from = from, .to = to, .steps.arena = expr_pool_arena(p), .pool = p};
    expr_visit(p, e, collect, &r.steps);
    qsort(r.steps.list.data, (size_t)r.steps.list.count, sizeof(Step), by_id);
    for (int i = 0; i < r.steps.list.count; i++) {
        Step *s = &r.steps.list.data[i];
        s->ct = s->e == from ? to : s->e->kind == EXPR_CALL ? rebuilt_call(&r, s->e) : s->e;
    }
    return step_of(&r.steps, e)->ct;
}
