/* Small operands that lanes would gather: a filter's weights lie apart where the lanes run over
 * its channels.  Each call of the kernel copies such an operand once, turned, into its scratch. */
#include "lower/nest.h"

enum {
    MOST_ELEMENTS = 8192, /* of a copy: it is to stay in the nearest cache  */
    LEAST_REUSE = 64,     /* times that each of its elements is then read …   */
    LEAST_ALONE = 4       /* … or where there is one call, not one for each thread's share */
};

/* The number of places that the offset takes; -1: more than there is to be known. */
static int64_t count_places(const Affine *a)
{
    int64_t places = 1;
    for (int i = 0; i < a->count; i++) {
        if (a->terms[i].kind != TERM_INDEX || places > MOST_ELEMENTS)
            return -1;
        places *= a->terms[i].index->extent;
    }
    return places;
}

bool turn_is_possible(const Nest *x, const Expr *e, const Index *v, double uses)
{
    if (!v || e->kind != EXPR_LOAD || e->count || e->buffer->space != SPACE_OPERAND ||
        x->l->kernel->recurrence || nest_writes(x, e->buffer))
        return false;
    bool nested;
    const int64_t factor = affine_factor(e->affine, v, &nested), places = count_places(e->affine);
    if (nested || factor == 0 || factor == 1 || places < 0 || places > MOST_ELEMENTS ||
        (double)places * (x->l->out->serial ? LEAST_ALONE : LEAST_REUSE) > uses)
        return false;
    return offset_is_inside(e->buffer, e->affine);
}

/* ---- the copy ------------------------------------------------------------------------------------------ */

/* The indices of an offset, the farthest apart first and v last. */
static IndexList sort_indices(const Nest *x, const Affine *a, Index *v)
{
    IndexList list = {0};
    for (int i = 0; i < a->count; i++) {
        if (a->terms[i].index == v)
            continue;
        vec_push(x->l->arena, &list, a->terms[i].index);
        for (int k = list.count - 1; k > 0; k--) {
            bool nested;
            Index *low = list.data[k - 1], *high = list.data[k];
            if (affine_factor(a, low, &nested) >= affine_factor(a, high, &nested))
                break;
            list.data[k - 1] = high, list.data[k] = low;
        }
    }
    vec_push(x->l->arena, &list, v);
    return list;
}

static const Expr *turn_load(Nest *x, const Expr *e, const Index *v)
{
    Lowering *l = x->l;
    for (int i = 0; i < x->turned.count; i++)
        if (x->turned.data[i].load == e && x->turned.data[i].vector == v)
            return x->turned.data[i].copy;
    const IndexList list = sort_indices(x, e->affine, (Index *)v);
    Buffer *b = scratch_new(l, e->buffer->type, count_places(e->affine));
    const Affine *offset = affine_constant(l->pool, 0);
    LoopList *into = &x->before;
    for (int i = 0; i < list.count; i++) {
        const ForKind how = i == list.count - 1 ? FOR_VECTOR : FOR_SERIAL;
        into = &loop_for(l, into, how, list.data[i])->body;
        offset = affine_add(l->pool, affine_scale(l->pool, offset, list.data[i]->extent),
                            affine_index(l->pool, list.data[i]));
    }
    loop_store(l, into, b, offset, e);
    const Turned t = {e, expr_load(l->pool, e->type, b, offset, NULL, 0), v};
    vec_push(l->arena, &x->turned, t);
    return t.copy;
}

typedef struct Turning {
    Nest *nest;
    const Index *vector;
    double uses;
} Turning;

static const Expr *turn_leaf(void *context, const Expr *e)
{
    const Turning *t = context;
    return turn_is_possible(t->nest, e, t->vector, t->uses) ? turn_load(t->nest, e, t->vector) : e;
}

const Expr *turn_loads(Nest *x, const Expr *e, const Index *v, double uses)
{
    Turning t = {x, v, uses};
    return expr_map(x->l->pool, e, turn_leaf, &t);
}
