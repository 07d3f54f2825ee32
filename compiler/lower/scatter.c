/* Sums that add each value where data says: zero the destination, then one addition a value, in
 * order, so that every run gives the same bits. */
#include "lower/internal.h"

enum { BLOCK = 64, MUCH_WORK = 1 << 16 };

typedef struct Adder {
    Lowering *l;
    Node *node;
    const Scatter *scatter;
    Buffer *buffer;
    Index *vector; /* the innermost free index that data does not choose, or NULL */
} Adder;

static Index *pick_vector(const Adder *x)
{
    for (int i = x->node->rank - 1; i >= 0; i--)
        if (x->node->domain[i] != x->scatter->index)
            return x->node->domain[i];
    return NULL;
}

/* Loops over the free indices, the vector's within [begin, begin + BLOCK) where it is split. */
static LoopList *open_vector(Adder *x, LoopList *into, const Affine *begin)
{
    if (!x->vector)
        return into;
    return &loop_range(x->l, into, FOR_VECTOR, x->vector, begin, begin ? BLOCK : 0, 1)->body;
}

static LoopList *open_free(Adder *x, LoopList *into, bool chosen)
{
    for (int i = 0; i < x->node->rank; i++) {
        Index *ix = x->node->domain[i];
        if (ix != x->vector && (chosen || ix != x->scatter->index))
            into = &loop_for(x->l, into, FOR_SERIAL, ix)->body;
    }
    return into;
}

static void emit_zero(Adder *x, LoopList *into, const Affine *begin)
{
    ExprPool *p = x->l->pool;
    const Affine **at = arena_new(x->l->arena, const Affine *, x->node->rank + 1);
    for (int i = 0; i < x->node->rank; i++)
        at[i] = affine_index(p, x->node->domain[i]);
    const Affine *offset = identity_offset(x->l, x->node, at);
    loop_store(x->l, open_vector(x, open_free(x, into, true), begin), x->buffer, offset,
               expr_const_typed(p, 0, x->node->type));
}

/* Data that may be out of range adds nothing. */
static void check_data(Adder *x, const Expr **data, const Expr **value)
{
    ExprPool *p = x->l->pool;
    const Expr *zero = expr_const_typed(p, 0, (*data)->type);
    const Expr *end = expr_const_typed(p, (double)x->scatter->index->extent, (*data)->type);
    const Expr *low = expr_call(p, &scalar_ge, (const Expr *[]){*data, zero});
    const Expr *inside = expr_and(p, low, expr_call(p, &scalar_lt, (const Expr *[]){*data, end}));
    *value = expr_select(p, inside, *value, expr_const_typed(p, 0, (*value)->type));
    *data = expr_select(p, inside, *data, zero);
}

static void emit_add(Adder *x, LoopList *into, const Affine *begin)
{
    Lowering *l = x->l;
    ExprPool *p = l->pool;
    for (int i = 0; i < x->node->bound_count; i++)
        into = &loop_for(l, into, FOR_SERIAL, x->node->bound[i])->body;
    into = open_vector(x, open_free(x, into, false), begin);
    const Expr *data = lower_expr(l, x->scatter->data, NULL),
               *value = lower_expr(l, x->scatter->value, NULL);
    if (!x->scatter->checked)
        check_data(x, &data, &value);
    const Affine **at = arena_new(l->arena, const Affine *, x->node->rank + 1);
    int64_t stride = 1;
    for (int i = x->node->rank - 1; i >= 0; i--) {
        bool chosen = x->node->domain[i] == x->scatter->index;
        at[i] = chosen ? affine_constant(p, 0) : affine_index(p, x->node->domain[i]);
        if (chosen)
            for (int j = i + 1; j < x->node->rank; j++)
                stride *= x->node->domain[j]->extent;
    }
    Loop *add = loop_append(l, into, LOOP_ADD);
    DataTerm *term = arena_new(l->arena, DataTerm, 1);
    *term = (DataTerm){data, stride};
    add->buffer = x->buffer;
    add->offset = identity_offset(l, x->node, at);
    add->value = value;
    add->data = term;
    add->data_count = 1;
}

void lower_scatter(Lowering *l)
{
    Adder x = {.l = l, .node = l->kernel->nodes.data[0], .scatter = &l->kernel->scatter};
    x.buffer = buffer_to_write(l, x.node);
    x.vector = pick_vector(&x);
    LoopList *into = &l->out->body;
    const Affine *begin = NULL;
    if (x.vector && x.vector->extent >= 2 * BLOCK &&
        l->kernel->flops + l->kernel->bytes_moved >= MUCH_WORK) {
        Index *block = index_copy(l->pool, x.vector);
        begin = affine_index(l->pool, block);
        into = &loop_parallel(l, into, block, BLOCK)->body;
    }
    emit_zero(&x, into, begin);
    emit_add(&x, into, begin);
}
