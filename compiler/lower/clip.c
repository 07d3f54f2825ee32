/* Loops that end where a guard does: of  sum[s] if s <= t then … else 0  only the terms up to t. */
#include "lower/internal.h"

static bool is_call(const Expr *e, const ScalarFunction *f)
{
    return e->kind == EXPR_CALL && e->function == f;
}

static bool uses_only(const Affine *a, const IndexList *fixed)
{
    for (const Term *t = a->terms; t < a->terms + a->count; t++) {
        if (t->kind != TERM_INDEX) {
            if (!uses_only(t->inner, fixed))
                return false;
            continue;
        }
        bool found = false;
        for (int i = 0; i < fixed->count; i++)
            found = found || fixed->data[i] == t->index;
        if (!found)
            return false;
    }
    return true;
}

/* The first conjunct  rest - ix >= 0  whose rest uses `fixed` indices alone: rest + 1. */
const Affine *clip_end(Lowering *l, const Expr *condition, Index *ix, const IndexList *fixed)
{
    if (is_call(condition, &scalar_and)) {
        const Affine *end = clip_end(l, condition->args[0], ix, fixed);
        return end ? end : clip_end(l, condition->args[1], ix, fixed);
    }
    if (condition->kind != EXPR_TEST || condition->test != TEST_NOT_NEGATIVE)
        return NULL;
    bool nested = false;
    if (affine_factor(condition->affine, ix, &nested) != -1 || nested)
        return NULL;
    const Affine *rest = affine_add(l->pool, condition->affine, affine_index(l->pool, ix));
    return uses_only(rest, fixed) ? affine_offset(l->pool, rest, 1) : NULL;
}

const Affine *clip_sum(Lowering *l, const Expr *value, const Expr *nothing, Index *ix,
                       const IndexList *fixed)
{
    const bool guarded = is_call(value, &scalar_select) && value->args[2] == nothing;
    return guarded ? clip_end(l, value->args[0], ix, fixed) : NULL;
}
