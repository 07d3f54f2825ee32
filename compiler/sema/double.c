/* Nodes in double precision, for what is made of the sums over a set.
 *   needs: a graph as elaborated, and which of its nodes are wanted; they rest on sums, tensors and numbers
 *   gives: a graph of their copies, in a pool of that type; tensors are read as they are */
#include "sema/internal.h"

struct Copier {
    Arena *arena;
    ExprPool *from, *pool;
    const Graph *graph;
    Graph *to;
    bool *needed;            /* per node id of the graph copied from */
    Node **copies;           /* the same                             */
    VEC(Index *) indices;    /* per index id                         */
    VEC(const Expr *) exprs; /* per expression id                    */
};

static void need_access(void *context, const Expr *e)
{
    if (e->kind == EXPR_ACCESS)
        copier_need(context, e->node);
}

/* Of a recurrence, all of it. */
void copier_need(Copier *c, const Node *n)
{
    if (c->needed[n->id])
        return;
    c->needed[n->id] = true;
    if (n->kind == NODE_VIEW)
        copier_need(c, n->viewed);
    else if (n->kind == NODE_COMPUTE)
        expr_visit(c->from, n->body, need_access, c);
    for (int i = 0; n->recurrence && i < c->graph->nodes.count; i++)
        if (c->graph->nodes.data[i]->recurrence == n->recurrence)
            copier_need(c, c->graph->nodes.data[i]);
}

static Index *copy_index(Copier *c, const Index *ix)
{
    while (c->indices.count <= ix->id)
        vec_push(c->arena, &c->indices, NULL);
    Index **copy = &c->indices.data[ix->id];
    if (!*copy)
        *copy = index_new(c->pool, ix->name, ix->extent, 0, ix->span);
    return *copy;
}

static Index **copy_indices(Copier *c, Index *const *from, int count)
{
    Index **to = arena_new(c->arena, Index *, count + 1);
    for (int i = 0; i < count; i++)
        to[i] = copy_index(c, from[i]);
    return to;
}

static const Affine *copy_affine(Copier *c, const Affine *a)
{
    ExprPool *p = c->pool;
    const Affine *sum = affine_constant(p, a->constant);
    for (const Term *t = a->terms; t < a->terms + a->count; t++) {
        const Affine *part = t->kind == TERM_INDEX ? affine_index(p, copy_index(c, t->index))
                             : t->kind == TERM_QUOTIENT
                                 ? affine_quotient(p, copy_affine(c, t->inner), t->divisor)
                                 : affine_remainder(p, copy_affine(c, t->inner), t->divisor);
        sum = affine_add(p, sum, affine_scale(p, part, t->factor));
    }
    return sum;
}

static const Expr **copied(Copier *c, const Expr *e)
{
    while (c->exprs.count <= e->id)
        vec_push(c->arena, &c->exprs, NULL);
    return &c->exprs.data[e->id];
}

static const Expr *copy_access(Copier *c, const Expr *e)
{
    Subscript *subscripts = arena_new(c->arena, Subscript, e->count + 1);
    for (int i = 0; i < e->count; i++)
        if (e->subscripts[i].affine)
            subscripts[i].affine = copy_affine(c, e->subscripts[i].affine);
        else
            subscripts[i].data = *copied(c, e->subscripts[i].data);
    const Expr *made = expr_access(c->pool, c->copies[e->node->id], subscripts);
    return dtype_is_real(e->type) ? expr_cast(c->pool, made, TYPE_F64) : made;
}

static const Expr *copy_call(Copier *c, const Expr *e)
{
    const Expr *args[3] = {0};
    for (int i = 0; i < e->function->arity; i++)
        args[i] = *copied(c, e->args[i]);
    if (e->function == &scalar_to_real)
        return expr_cast(c->pool, args[0], TYPE_F64);
    return expr_call(c->pool, e->function, args);
}

/* Operands come before what uses them. */
static void copy_expr(void *context, const Expr *e)
{
    Copier *c = context;
    const Expr **copy = copied(c, e);
    if (*copy)
        return;
    const Expr *made = NULL;
    switch (e->kind) {
    case EXPR_CONST:
        made = dtype_is_real(e->type) ? expr_const(c->pool, e->value)
                                      : expr_const_typed(c->pool, e->value, e->type);
        break;
    case EXPR_AFFINE:
        made = expr_affine(c->pool, copy_affine(c, e->affine));
        break;
    case EXPR_TEST:
        made = expr_test(c->pool, e->test, copy_affine(c, e->affine));
        break;
    case EXPR_ACCESS:
        made = copy_access(c, e);
        break;
    case EXPR_CALL:
        made = copy_call(c, e);
        break;
    case EXPR_RANDOM:
        made = expr_random(c->pool, e->random, e->site, copy_affine(c, e->affine));
        break;
    case EXPR_SCALAR:
        made = expr_scalar(c->pool, e->scalar, e->site);
        break;
    case EXPR_LOAD:
    case EXPR_LOCAL:
        bug("a load stands above the schedule");
    }
    *copied(c, e) = made;
}

/* Bodies follow once all nodes are there: in a recurrence they read each other. */
static Node *copy_node(Copier *c, const Node *n)
{
    const DType type = dtype_is_real(n->type) ? TYPE_F64 : n->type;
    int64_t *shape = arena_new(c->arena, int64_t, n->rank + 1);
    for (int i = 0; i < n->rank; i++)
        shape[i] = n->domain[i]->extent;
    switch (n->kind) {
    case NODE_LITERAL:
        return graph_literal(c->to, n->name, shape, n->rank, n->literal, n->span);
    case NODE_SUM:
        return graph_sum(c->to, n->name, shape, n->rank, n->slot, n->span);
    case NODE_VIEW:
        return graph_view(c->to, n->name, c->copies[n->viewed->id],
                          copy_indices(c, n->domain, n->rank), n->rank, n->span);
    case NODE_TENSOR:
        return graph_tensor(c->to, n->tensor);
    case NODE_COMPUTE:
        break;
    case NODE_PORT:
        bug("what is made of sums over a set rests on %s", n->name);
    }
    Node *copy = graph_compute(c->to, n->name, type, copy_indices(c, n->domain, n->rank), n->rank,
                               n->reduction, copy_indices(c, n->bound, n->bound_count),
                               n->bound_count, NULL, n->span);
    for (int i = 0; i < n->step_count; i++)
        copy->steps[i] = (StepCounter){copy_index(c, n->steps[i].index), n->steps[i].of};
    copy->step_count = n->step_count;
    copy->recurrence = n->recurrence;
    return copy;
}

Graph *copier_run(Copier *c)
{
    const Graph *g = c->graph;
    for (int i = 0; i < g->nodes.count; i++)
        if (c->needed[i])
            c->copies[i] = copy_node(c, g->nodes.data[i]);
    for (int i = 0; i < g->nodes.count; i++) {
        const Node *n = g->nodes.data[i];
        if (!c->needed[i] || n->kind != NODE_COMPUTE)
            continue;
        expr_visit(c->from, n->body, copy_expr, c);
        c->copies[i]->body = *copied(c, n->body);
    }
    return c->to;
}

Copier *copier_open(Sema *s, EntryKind to)
{
    Copier *c = arena_new(s->arena, Copier, 1);
    const int nodes = s->graph->nodes.count + 1;
    *c = (Copier){.arena = s->arena,
                  .from = s->program->pool,
                  .pool = expr_pool_create(s->arena, TYPE_F64),
                  .graph = s->graph,
                  .needed = arena_new(s->arena, bool, nodes),
                  .copies = arena_new(s->arena, Node *, nodes)};
    c->to = graph_create(c->pool, s->names, entry_name(to), 1);
    return c;
}

Node *copier_copy(const Copier *c, const Node *n)
{
    return c->copies[n->id];
}
