/* The epilogue of a contraction: what follows the sum, computed while the block is in cache. */
#include "lower/epilogue.h"

/* The node's value over the block: its loops' names for its own domain. */
static Binding bind_node(const Epilogue *x, const Node *n)
{
    const Node *sum = x->e->l->kernel->nodes.data[0];
    Binding b = {0};
    for (int i = 0; i < n->rank; i++)
        for (int j = 0; j < x->block.count; j++)
            if (x->block.from[j] == sum->domain[i])
                bind(x->e, &b, n->domain[i], x->block.to[j]);
    return b;
}

/* What the groups before this one have added up. */
static const Expr *sum_before(const Epilogue *x, const Affine *offset)
{
    Lowering *l = x->e->l;
    ExprPool *p = l->pool;
    const Affine *number =
        affine_substitute(p, affine_index(p, l->kernel->added),
                          &(Substitution){x->block.count, x->block.from, x->block.to});
    Buffer *b = buffer_to_write(l, l->kernel->nodes.data[0]);
    return expr_select(p, expr_test(p, TEST_NOT_NEGATIVE, affine_offset(p, number, -1)),
                       expr_load(p, l->real, b, offset, NULL, 0), expr_const_typed(p, 0, l->real));
}

static EpilogueItem make_item(Epilogue *x, Node *n)
{
    Lowering *l = x->e->l;
    if (kernel_is_row_sum(l->kernel, n))
        return row_sum_item(x, n);
    Binding b = bind_node(x, n);
    EpilogueItem item = {.node = n, .local = local_new(l, n->type)};
    item.stored = l->schedule->places[n->id].kind != PLACE_SCRATCH;
    const Expr *rest = l->kernel->contraction.rest, *sum = expr_local(l->pool, l->real, x->sum);
    if (n == l->kernel->nodes.data[0])
        item.value = rest ? expr_mul(l->pool, sum, bind_expr(x->e, rest, &x->block)) : sum;
    else
        item.value = bind_expr(x->e, l->schedule->bodies[n->id], &b);
    const Affine **at = arena_new(l->arena, const Affine *, n->rank + 1);
    for (int i = 0; i < n->rank; i++)
        at[i] = b.to[i];
    item.offset = identity_offset(l, n, at);
    if (l->kernel->added)
        item.value = expr_add(l->pool, sum_before(x, item.offset), item.value);
    l->values[n->id] = expr_local(l->pool, n->type, item.local);
    l->places[n->id] = item.offset;
    return item;
}

/* ---- which way the lanes run ---------------------------------------------------------------------------- */

enum { TURN_COST = 2, SCATTER_COST = 2 };

static double cost_along(const Epilogue *x, const Index *lane)
{
    Lowering *l = x->e->l;
    double total = 0;
    for (int i = 0; i < x->count; i++) {
        const EpilogueItem *item = &x->items[i];
        total += access_cost(l, item->value, lane, x->e->lanes);
        if (item->stored) {
            const Expr *as_load = expr_load(l->pool, l->real, x->e->c, item->offset, NULL, 0);
            total += SCATTER_COST * access_cost(l, as_load, lane, x->e->lanes);
        }
    }
    return total;
}

/* Along the columns the tile lies ready; along the rows, of which a panel has fewer than lanes, it
 * has to be turned around. */
static bool choose_rows(const Epilogue *x)
{
    int lanes = x->e->lanes;
    int64_t used = x->length < lanes ? x->length : lanes;
    double by_row = cost_along(x, x->row) + TURN_COST, by_column = cost_along(x, x->column) + 1;
    return by_row / (double)used < by_column / lanes;
}

/* ---- the loops -------------------------------------------------------------------------------------------- */

static int64_t turned_rows(const Epilogue *x)
{
    int lanes = x->e->lanes;
    return (x->length + lanes - 1) / lanes * lanes;
}

/* Copies the tile so that its rows are contiguous, in whole squares: the block has room for them. */
static Buffer *turn_tile(Epilogue *x, LoopList *into)
{
    Engine *e = x->e;
    Lowering *l = e->l;
    ExprPool *p = l->pool;
    int64_t rows = turned_rows(x);
    Buffer *turned = scratch_new(l, l->real, rows * e->nc);
    Index *row = index_new(p, "row", rows, 0, e->row->span),
          *column = index_new(p, "column", e->nc, 0, e->column->span);
    const Affine *i = affine_index(p, row), *j = affine_index(p, column);
    into = &loop_for(l, into, FOR_SERIAL, row)->body;
    into = &loop_for(l, into, FOR_VECTOR, column)->body;
    const Affine *row_of_tile = affine_add(p, affine_sub(p, x->begin, x->origin), i);
    const Affine *from = affine_add(p, affine_scale(p, row_of_tile, e->nc), j),
                 *to = affine_add(p, affine_scale(p, j, rows), i);
    loop_store(l, into, turned, to, expr_load(p, l->real, e->c, from, NULL, 0));
    return turned;
}

const Expr *epilogue_load(Epilogue *x, LoopList *into)
{
    Engine *e = x->e;
    ExprPool *p = e->l->pool;
    const Affine *first = x->along_rows ? x->begin : x->origin,
                 *i = affine_sub(p, affine_index(p, x->row), first),
                 *j = affine_sub(p, affine_index(p, x->column), e->column_begin);
    if (!x->along_rows)
        return expr_load(p, e->l->real, e->c, affine_add(p, affine_scale(p, i, e->nc), j), NULL, 0);
    Buffer *turned = turn_tile(x, into);
    const Affine *at = affine_add(p, affine_scale(p, j, turned_rows(x)), i);
    return expr_load(p, e->l->real, turned, at, NULL, 0);
}

static Loop *open_row(Epilogue *x, LoopList *into, ForKind how)
{
    Loop *rows = loop_range(x->e->l, into, how, x->row, x->begin, x->length, 1);
    rows->end = x->e->row_end;
    return rows;
}

static Loop *open_column(Epilogue *x, LoopList *into, ForKind how)
{
    Loop *columns = loop_range(x->e->l, into, how, x->column, x->e->column_begin, x->e->nc, 1);
    columns->end = x->e->column_end;
    return columns;
}

static void emit_items(Epilogue *x, LoopList *into, Hoist *h, const Expr *sum)
{
    Lowering *l = x->e->l;
    loop_set(l, into, x->sum, sum);
    for (int i = 0; i < x->count; i++)
        loop_set(l, into, x->items[i].local, hoist(h, x->items[i].value));
    for (int i = 0; i < x->count; i++) {
        const EpilogueItem *item = &x->items[i];
        if (item->stored)
            loop_store(l, into, buffer_of(l, item->node), item->offset,
                       expr_local(l->pool, item->node->type, item->local));
    }
}

static void emit_loops(Epilogue *x, LoopList *into)
{
    Lowering *l = x->e->l;
    LoopList hoisted = {0};
    Hoist h = {.l = l, .first_local = x->sum, .into = &hoisted};
    vec_push(l->arena, &h.indices, x->along_rows ? x->row : x->column);
    for (int i = 0; i < x->count; i++)
        if (x->items[i].stored)
            vec_push(l->arena, &h.written, buffer_to_write(l, x->items[i].node));
    const Expr *sum = epilogue_load(x, into);
    Loop *outer = x->along_rows ? open_column(x, into, FOR_SERIAL) : open_row(x, into, FOR_SERIAL);
    LoopList inner = {0};
    Loop *lanes =
        x->along_rows ? open_row(x, &inner, FOR_VECTOR) : open_column(x, &inner, FOR_VECTOR);
    emit_items(x, &lanes->body, &h, sum);
    if (!x->along_rows)
        ahead_ask_next_row(x->e, &lanes->body, x->row, x->column);
    for (int i = 0; i < hoisted.count; i++)
        vec_push(l->arena, &outer->body, hoisted.data[i]);
    vec_push(l->arena, &outer->body, lanes);
}

/* What the lanes, along the columns, read and write in each row. */
static void ask_ahead(const Epilogue *x)
{
    Lowering *l = x->e->l;
    for (int i = 0; i < x->count; i++) {
        const EpilogueItem *item = &x->items[i];
        ahead_ask_epilogue(x->e, item->value, x->row, x->column);
        if (item->stored)
            ahead_ask_result(x->e, buffer_to_write(l, item->node), item->offset, x->row, x->column);
    }
}

void epilogue_emit(Engine *e, LoopList *into, const Affine *begin, int64_t length,
                   const Affine *origin)
{
    Lowering *l = e->l;
    const Kernel *k = l->kernel;
    Epilogue x = {.e = e, .begin = begin, .length = length, .origin = origin, .block = e->outer};
    x.row = index_copy(l->pool, e->row);
    x.column = index_copy(l->pool, e->column);
    bind_flat(e, &x.block, &e->rows, affine_index(l->pool, x.row));
    bind_flat(e, &x.block, &e->columns, affine_index(l->pool, x.column));
    bind_splits(e, &x.block);
    x.sum = local_new(l, l->real);
    x.count = k->nodes.count;
    x.items = arena_new(l->arena, EpilogueItem, x.count);
    for (; x.made < x.count; x.made++)
        x.items[x.made] = make_item(&x, k->nodes.data[x.made]);
    x.along_rows = !e->sum_rows && choose_rows(&x);
    if (!x.along_rows && (e->windows || e->sliced || !e->sum_rows))
        ask_ahead(&x);
    if (e->sum_rows)
        row_sum_emit(&x, into);
    else
        emit_loops(&x, into);
}
