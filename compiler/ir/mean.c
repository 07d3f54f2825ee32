/* Means: a sum that another node divides by the number of its terms. */
#include "functions/functions.h"
#include "ir/pool.h"

#include <math.h>

/* constant * batch_size^power */
typedef struct Scale {
    double constant;
    int power;
} Scale;

/* e as a scale; false where it is none. */
static bool scale_of(const Expr *e, Scale *s)
{
    Scale other;
    *s = (Scale){1, 0};
    if (e->kind == EXPR_CONST)
        s->constant = e->value;
    else if (e->kind == EXPR_SCALAR && e->scalar == SCALAR_BATCH_SIZE)
        s->power = 1;
    else if (e->kind != EXPR_CALL || (e->function != &scalar_mul && e->function != &scalar_div) ||
             !scale_of(e->args[0], s) || !scale_of(e->args[1], &other) || other.constant == 0)
        return false;
    else if (e->function == &scalar_mul)
        *s = (Scale){s->constant * other.constant, s->power + other.power};
    else
        *s = (Scale){s->constant / other.constant, s->power - other.power};
    return true;
}

static bool is_identity(const Expr *e, const Node *user)
{
    if (e->kind != EXPR_ACCESS || e->count != user->rank)
        return false;
    for (int i = 0; i < e->count; i++)
        if (!e->subscripts[i].affine || affine_is_index(e->subscripts[i].affine) != user->domain[i])
            return false;
    return true;
}

/* The node that n only scales, element by element, and by what; NULL where it does not. */
static const Node *scaled_node(const Node *n, Scale *s)
{
    const Expr *e = n->body;
    if (n->kind != NODE_COMPUTE || n->reduction || e->kind != EXPR_CALL)
        return NULL;
    if (e->function == &scalar_mul)
        for (int i = 0; i < 2; i++)
            if (is_identity(e->args[i], n) && scale_of(e->args[1 - i], s))
                return e->args[i]->node;
    if (e->function != &scalar_div || !is_identity(e->args[0], n) || !scale_of(e->args[1], s) ||
        s->constant == 0)
        return NULL;
    *s = (Scale){1 / s->constant, -s->power};
    return e->args[0]->node;
}

static Scale count_of_terms(const Node *sum)
{
    Scale count = {1, 0};
    for (int i = 0; i < sum->bound_count; i++) {
        const Index *ix = sum->bound[i];
        count.constant *= (double)(ix->per_example ? ix->per_example : ix->extent);
        count.power += ix->per_example != 0;
    }
    return count;
}

/* The examples come first, so that mean[batch] can stand before an inner sum. */
static bool begins_with_examples(const Node *sum)
{
    return !node_is_batched(sum) && sum->bound[0]->per_example == 1;
}

MeanKind node_mean(const Node *n, const Node **sum)
{
    Scale s;
    *sum = scaled_node(n, &s);
    if (!*sum || (*sum)->kind != NODE_COMPUTE || (*sum)->reduction != &reduce_sum ||
        (*sum)->bound_count == 0)
        return MEAN_NONE;
    Scale count = count_of_terms(*sum);
    if (s.power == -count.power && fabs(s.constant * count.constant - 1) < 1e-7)
        return MEAN_OF_ALL;
    return s.power == -1 && s.constant == 1 && begins_with_examples(*sum) ? MEAN_OF_EXAMPLES
                                                                          : MEAN_NONE;
}
