/* Sums in which only every s-th term counts, as in the gradient of a convolution that strides. */
#include "opt/opt.h"

#include <stdlib.h>

/* sum[u] if (i + offset ± u) % stride == 0 then … else 0 */
typedef struct Phase {
    int bound; /* which bound index is u */
    Index *i;
    int64_t stride, offset;
    bool minus; /* of u */
} Phase;

static int find_index(Index *const *list, int count, const Index *ix)
{
    for (int i = 0; i < count; i++)
        if (list[i] == ix && !ix->per_example)
            return i;
    return -1;
}

/* The inner value as i + offset ± u, or the negative of that. */
static bool match_terms(const Node *n, const Affine *inner, Phase *x)
{
    x->bound = -1;
    x->i = NULL;
    for (int k = 0; inner->count == 2 && k < 2; k++) {
        const Term *t = &inner->terms[k], *other = &inner->terms[1 - k];
        if (t->kind != TERM_INDEX || other->kind != TERM_INDEX || llabs(t->factor) != 1 ||
            llabs(other->factor) != 1 || find_index(n->domain, n->rank, t->index) < 0)
            continue;
        x->i = t->index;
        x->bound = find_index(n->bound, n->bound_count, other->index);
        x->offset = inner->constant * t->factor;
        x->minus = t->factor != other->factor;
    }
    return x->bound >= 0;
}

static bool match_phase(const Node *n, const Expr *test, Phase *x)
{
    if (test->kind != EXPR_TEST || test->test != TEST_ZERO || test->affine->count != 1 ||
        test->affine->constant != 0 || test->affine->terms[0].kind != TERM_REMAINDER)
        return false;
    const Term *t = &test->affine->terms[0];
    x->stride = t->divisor;
    return match_terms(n, t->inner, x) && x->i->extent % x->stride == 0;
}

/* With i = stride * q + r and i + offset ± u = stride * (q + t): the values that t can have. */
static Interval range_of(const Phase *x, int64_t extent)
{
    const int64_t s = x->stride, low = x->minus ? x->offset - extent + 1 : x->offset,
                  high = x->minus ? s - 1 + x->offset : s - 1 + x->offset + extent - 1;
    return (Interval){floor_div(low + s - 1, s), floor_div(high, s)};
}

/* Sums over t in place of u: u is r + offset - stride * t, or the negative of that. */
static void sum_over_steps(Rewriter *w, Node *n, const Phase *x, Interval range)
{
    ExprPool *p = w->p;
    Index *u = n->bound[x->bound],
          *t = index_new(p, u->name, range.high - range.low + 1, 0, u->span);
    Index *q = index_copy(p, x->i), *r = index_new(p, x->i->name, x->stride, 0, x->i->span);
    const Affine *quotient = affine_index(p, q), *remainder = affine_index(p, r),
                 *step = affine_offset(p, affine_index(p, t), range.low);
    const Affine *value =
        affine_sub(p, affine_offset(p, remainder, x->offset), affine_scale(p, step, x->stride));
    if (!x->minus)
        value = affine_scale(p, value, -1);
    const Affine *whole = affine_add(p, affine_scale(p, quotient, x->stride), remainder);
    Substitution apart = {2, (Index *[]){x->i, u}, (const Affine *[]){whole, value}};
    const Expr *body = opt_guard_inside(p, value, u->extent, expr_substitute(p, n->body, &apart));
    const Affine *i = affine_index(p, x->i);
    Substitution together = {
        2, (Index *[]){q, r},
        (const Affine *[]){affine_quotient(p, i, x->stride), affine_remainder(p, i, x->stride)}};
    n->body = expr_substitute(p, body, &together);
    n->bound[x->bound] = t;
}

bool opt_one_phase(Rewriter *w, Node *n)
{
    Conjuncts guards = {0};
    Phase x;
    if (n->reduction != &reduce_sum)
        return false;
    for (const Expr *body = n->body; opt_is_guarded(body); body = body->args[1])
        opt_conjuncts(w->p, body->args[0], &guards);
    for (int k = 0; k < guards.count; k++) {
        if (!match_phase(n, guards.data[k], &x))
            continue;
        const Index *u = n->bound[x.bound];
        const Interval range = range_of(&x, u->extent);
        if (range.low <= range.high && range.high - range.low + 1 < u->extent) {
            sum_over_steps(w, n, &x, range);
            return true;
        }
    }
    return false;
}
