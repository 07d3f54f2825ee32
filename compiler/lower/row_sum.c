/* Sums over the rows of a contraction's block, in its epilogue: each column's in a lane.  One that needs
 * another, as that of the squares of deviations from a mean, takes a further pass over the rows. */
#include "lower/epilogue.h"

enum { ENOUGH_SUMS = 4 }; /* vectors of sums side by side: each addition waits for the one before */

static bool is_row_sum(const Epilogue *x, const EpilogueItem *item)
{
    return kernel_is_row_sum(x->e->l->kernel, item->node);
}

/* ---- one sum -------------------------------------------------------------------------------------------- */

/* Of a row's number, that of the sum and that within it. */
static Binding bind_loops(const Epilogue *x, const Node *n, const RowSum *s)
{
    ExprPool *p = x->e->l->pool;
    const Affine *row = affine_add(p, affine_scale(p, group_number(x->e), x->e->row->extent),
                                   affine_index(p, x->row));
    const IndexList outer = {s->outer, s->outer_count, s->outer_count},
                    inner = {n->bound, n->bound_count, n->bound_count};
    Binding b = {0};
    bind_flat(x->e, &b, &outer, affine_quotient(p, row, x->e->sum_rows));
    bind_flat(x->e, &b, &inner, affine_remainder(p, row, x->e->sum_rows));
    for (int i = 0; i < n->rank; i++)
        for (int j = 0; s->columns[i] && j < x->block.count; j++)
            if (x->block.from[j] == s->columns[i])
                bind(x->e, &b, n->domain[i], x->block.to[j]);
    return b;
}

/* What it reads of this kernel is the row's own element, or another such sum. */
static const Expr *use_registers(void *context, const Expr *e)
{
    const Epilogue *x = context;
    for (int i = 0; e->kind == EXPR_ACCESS && i < x->made; i++)
        if (x->items[i].node == e->node)
            return expr_local(x->e->l->pool, e->type, x->items[i].local);
    return e;
}

typedef struct Needs {
    const Epilogue *x;
    int pass;
} Needs;

static void visit_needs(void *context, const Expr *e)
{
    Needs *needs = context;
    const Epilogue *x = needs->x;
    for (int i = 0; e->kind == EXPR_LOCAL && i < x->made; i++)
        if (x->items[i].local == e->local && is_row_sum(x, &x->items[i]) &&
            needs->pass <= x->items[i].pass)
            needs->pass = x->items[i].pass + 1;
}

EpilogueItem row_sum_item(Epilogue *x, Node *n)
{
    Lowering *l = x->e->l;
    RowSum s;
    if (!kernel_row_sum(l->schedule, l->kernel, n, &s))
        bug("%s is no sum over rows", n->name);
    Binding b = bind_loops(x, n, &s);
    EpilogueItem item = {.node = n, .local = local_new(l, n->type)};
    item.stored = l->schedule->places[n->id].kind != PLACE_SCRATCH;
    item.value =
        bind_expr(x->e, expr_map(l->pool, l->schedule->bodies[n->id], use_registers, x), &b);
    const Affine **at = arena_new(l->arena, const Affine *, n->rank + 1);
    for (int i = 0; i < n->rank; i++)
        at[i] = affine_substitute(l->pool, affine_index(l->pool, n->domain[i]),
                                  &(Substitution){b.count, b.from, b.to});
    item.offset = affine_substitute(l->pool, identity_offset(l, n, at),
                                    &(Substitution){1, &x->row, &x->begin});
    Needs needs = {x, 0};
    expr_visit(l->pool, item.value, visit_needs, &needs);
    item.pass = needs.pass;
    return item;
}

/* ---- a pass --------------------------------------------------------------------------------------------- */

typedef struct Pass {
    Epilogue *x;
    int number;
    int64_t copies;      /* rows side by side, each with sums of its own */
    const Expr **values; /* of the items, with what no row changes in registers */
    int **locals;        /* per copy and item; the last is that of the tile's element */
    int64_t copy;        /* the one that is being written */
} Pass;

static bool is_summed(const Pass *p, int item)
{
    return is_row_sum(p->x, &p->x->items[item]) && p->x->items[item].pass == p->number;
}

static int64_t count_copies(const Epilogue *x)
{
    int64_t copies = ENOUGH_SUMS * x->e->lanes / x->e->nc;
    while (copies > 1 && x->length % copies)
        copies--;
    return copies < 1 ? 1 : copies;
}

static void name_copies(Pass *p)
{
    Epilogue *x = p->x;
    Lowering *l = x->e->l;
    p->locals = arena_new(l->arena, int *, p->copies);
    for (int64_t c = 0; c < p->copies; c++) {
        p->locals[c] = arena_new(l->arena, int, x->count + 1);
        p->locals[c][x->count] = c ? local_new(l, l->real) : x->sum;
        for (int i = 0; i < x->count; i++) {
            const bool done = is_row_sum(x, &x->items[i]) && !is_summed(p, i);
            p->locals[c][i] = c && !done ? local_new(l, x->items[i].node->type) : x->items[i].local;
        }
    }
}

static const Expr *rename_register(void *context, const Expr *e)
{
    const Pass *p = context;
    for (int i = 0; e->kind == EXPR_LOCAL && i <= p->x->count; i++)
        if (e->local == p->locals[0][i])
            return expr_local(p->x->e->l->pool, e->type, p->locals[p->copy][i]);
    return e;
}

static Substitution next_row(const Pass *p, const Affine **at)
{
    ExprPool *pool = p->x->e->l->pool;
    *at = affine_offset(pool, affine_index(pool, p->x->row), p->copy);
    return (Substitution){1, &p->x->row, at};
}

static const Expr *copy_expr(Pass *p, const Expr *e)
{
    ExprPool *pool = p->x->e->l->pool;
    const Affine *at;
    const Substitution s = next_row(p, &at);
    return expr_substitute(pool, expr_map(pool, e, rename_register, p), &s);
}

/* A row's elements, which the first pass stores, and what they add to the sums. */
static void emit_row(Pass *p, LoopList *into)
{
    Epilogue *x = p->x;
    Lowering *l = x->e->l;
    const int *locals = p->locals[p->copy];
    const Affine *at;
    const Substitution s = next_row(p, &at);
    loop_set(l, into, locals[x->count], copy_expr(p, p->values[x->count]));
    for (int i = 0; i < x->count; i++) {
        const EpilogueItem *item = &x->items[i];
        if (is_summed(p, i))
            loop_combine(l, into, locals[i], copy_expr(p, p->values[i]), item->node->reduction);
        else if (!is_row_sum(x, item))
            loop_set(l, into, locals[i], copy_expr(p, p->values[i]));
    }
    for (int i = 0; i < x->count && p->number == 0; i++) {
        const EpilogueItem *item = &x->items[i];
        if (item->stored && !is_row_sum(x, item))
            loop_store(l, into, buffer_to_write(l, item->node),
                       affine_substitute(l->pool, item->offset, &s),
                       expr_local(l->pool, item->node->type, locals[i]));
    }
}

static void hoist_values(Pass *p, LoopList *into)
{
    Epilogue *x = p->x;
    Lowering *l = x->e->l;
    Hoist h = {.l = l, .first_local = x->sum, .into = into};
    vec_push(l->arena, &h.indices, x->row);
    for (int i = 0; i < x->count; i++)
        if (x->items[i].stored)
            vec_push(l->arena, &h.written, buffer_to_write(l, x->items[i].node));
    p->values = arena_new(l->arena, const Expr *, x->count + 1);
    for (int i = 0; i < x->count; i++)
        if (is_summed(p, i) || !is_row_sum(x, &x->items[i]))
            p->values[i] = hoist(&h, x->items[i].value);
    p->values[x->count] = epilogue_load(x, into);
}

static void emit_starts(Pass *p, LoopList *into)
{
    Lowering *l = p->x->e->l;
    for (int64_t c = 0; c < p->copies; c++)
        for (int i = 0; i < p->x->count; i++) {
            const Node *n = p->x->items[i].node;
            if (is_summed(p, i))
                loop_set(l, into, p->locals[c][i],
                         expr_const_typed(l->pool, n->reduction->start, n->type));
        }
}

static void emit_results(Pass *p, LoopList *into)
{
    Lowering *l = p->x->e->l;
    for (int i = 0; i < p->x->count; i++) {
        const EpilogueItem *item = &p->x->items[i];
        if (!is_summed(p, i))
            continue;
        for (int64_t c = 1; c < p->copies; c++)
            loop_combine(l, into, item->local,
                         expr_local(l->pool, item->node->type, p->locals[c][i]),
                         item->node->reduction);
        if (item->stored)
            loop_store(l, into, buffer_to_write(l, item->node), item->offset,
                       expr_local(l->pool, item->node->type, item->local));
    }
}

static void emit_pass(Epilogue *x, LoopList *into, int number)
{
    Pass p = {.x = x, .number = number, .copies = count_copies(x)};
    name_copies(&p);
    hoist_values(&p, into);
    emit_starts(&p, into);
    Loop *rows = loop_range(x->e->l, into, FOR_SERIAL, x->row, x->begin, x->length, p.copies);
    for (; p.copy < p.copies; p.copy++)
        emit_row(&p, &rows->body);
    emit_results(&p, into);
}

void row_sum_emit(Epilogue *x, LoopList *into)
{
    int passes = 1;
    for (int i = 0; i < x->count; i++)
        if (x->items[i].pass >= passes)
            passes = x->items[i].pass + 1;
    into = &loop_range(x->e->l, into, FOR_VECTOR, x->column, x->e->column_begin, x->e->nc, 1)->body;
    for (int pass = 0; pass < passes; pass++)
        emit_pass(x, into, pass);
}
