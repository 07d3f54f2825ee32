/* Operands in the order in which the register tile reads them.  A contraction's right operand goes through
 * panels: [depth][columns of a tile], one after the other.  Where the same operand would be packed into
 * them again and again, in each step of a recurrence, for many blocks of rows, or for several
 * contractions, or for each strip of a matrix, a node of its own holds it so:
 *
 *     W_panels[p, k, j] = W[32*p + j, k]
 *
 *   needs: a verified, pruned graph
 *   gives: the same numbers */
#include "schedule/internal.h"

enum {
    ROWS = 256,            /* of a block, for each of which the operand would be packed     */
    LEAST_PACKINGS = 2,    /* that one node replaces                                        */
    LEAST_SAVED = 1 << 16, /* numbers that need not be packed again: some ten microseconds  */
};

/* An operand in panels, as one contraction or several want it. */
typedef struct Panels {
    const Node *source;
    int width;       /* of a panel, in numbers */
    Index **indices; /* the groups, the panel, the depth, the place in the panel */
    int rank, groups;
    const Expr *body;
    double packings; /* without it */
    Node *node;
} Panels;

/* What a contraction reads as its right operand. */
typedef struct Operand {
    const Expr *access;
    Index **groups, **columns, **depth;
    int group_count, column_count, depth_count;
    Panels *panels;
} Operand;

typedef struct Packer {
    Graph *graph;
    const LaneModel *lanes;
    Operand **operands; /* per node id, or NULL */
    Index **strips;     /* the same: counts the strips of its rows */
    VEC(Panels *) all;
    NodeList order, made;
} Packer;

/* ---- which operands ------------------------------------------------------------------------------------ */

int panel_width(const LaneModel *lanes, DType type, int64_t columns)
{
    const int vector = lanes->vector_bytes / dtype_size(type);
    const bool room = lanes->vector_registers >= 2 * LEAST_TILE_ROWS + 3;
    return columns > vector && room ? 2 * vector : vector;
}

static const Expr *find_right(ExprPool *p, const Node *n, const Contraction *c)
{
    AccessList accesses = body_accesses(p, n->body);
    for (int i = 0; i < accesses.count; i++)
        if (!access_has_data(accesses.data[i]) &&
            contract_in_parts(p, c, accesses.data[i]) == c->right)
            return accesses.data[i];
    return NULL;
}

/* Is it there before the recurrence that n is part of, and the same in all of its steps? */
static bool is_apart(ExprPool *p, const Node *n, const Expr *access)
{
    const Recurrence *r = recurrence_outermost(n->recurrence);
    if (r && recurrence_outermost(node_storage(access->node)->recurrence) == r)
        return false;
    for (int i = 0; i < n->rank; i++)
        if (node_counts_steps(n, i) && expr_uses_index(p, access, n->domain[i]))
            return false;
    return true;
}

/* The indices of the list that the access uses. */
static void list_used(Graph *g, const Expr *access, Index *const *list, int length, Index ***used,
                      int *count)
{
    *used = arena_new(g->arena, Index *, length + 1);
    *count = 0;
    for (int i = 0; i < length; i++)
        if (expr_uses_index(g->pool, access, list[i]))
            (*used)[(*count)++] = list[i];
}

/* The same; false where one of them is over the batch. */
static bool used_indices(Graph *g, const Expr *access, Index *const *list, int length,
                         Index ***used, int *count)
{
    list_used(g, access, list, length, used, count);
    for (int i = 0; i < *count; i++)
        if ((*used)[i]->per_example)
            return false;
    return true;
}

static double extents(Index *const *list, int count)
{
    double total = 1;
    for (int i = 0; i < count; i++)
        total *= (double)list[i]->extent;
    return total;
}

/* Where the left operand's memory runs along one of the depth's indices, that comes last. */
static void order_depth(Graph *g, const Node *n, Operand *o)
{
    AccessList accesses = body_accesses(g->pool, n->body);
    int last = o->depth_count - 1;
    for (int i = 0; i < accesses.count; i++) {
        const Expr *a = accesses.data[i];
        const Affine *inner =
            a != o->access && a->count ? a->subscripts[a->count - 1].affine : NULL;
        for (int k = 0; inner && k < o->depth_count; k++)
            if (affine_factor(inner, o->depth[k], NULL) == 1)
                last = k;
    }
    Index *moved = o->depth[last];
    for (int i = last; i + 1 < o->depth_count; i++)
        o->depth[i] = o->depth[i + 1];
    o->depth[o->depth_count - 1] = moved;
}

static Operand *find_operand(Packer *x, const Node *n, const Contraction *c)
{
    Graph *g = x->graph;
    const Expr *access = find_right(g->pool, n, c);
    const bool strips = x->strips[n->id];
    if (!access || access->node->type != expr_pool_real(g->pool) ||
        (node_is_batched(access->node) && !strips) || !is_apart(g->pool, n, access))
        return NULL;
    Operand *o = arena_new(g->arena, Operand, 1);
    o->access = access;
    if (strips)
        list_used(g, access, c->groups.data, c->groups.count, &o->groups, &o->group_count);
    Index *const *columns = strips ? c->columns.data : n->domain;
    if (!used_indices(g, access, columns, strips ? c->columns.count : n->rank, &o->columns,
                      &o->column_count) ||
        !used_indices(g, access, n->bound, n->bound_count, &o->depth, &o->depth_count) ||
        o->depth_count < n->bound_count)
        return NULL;
    const double numbers = extents(o->groups, o->group_count) *
                           extents(o->columns, o->column_count) * extents(o->depth, o->depth_count);
    if (numbers > (double)node_elements(access->node))
        return NULL;
    order_depth(g, n, o);
    return o;
}

/* ---- the panels ------------------------------------------------------------------------------------------ */

static const Affine *flat_columns(ExprPool *p, const Operand *o)
{
    const Affine *flat = affine_constant(p, 0);
    for (int i = 0; i < o->column_count; i++)
        flat = affine_add(p, affine_scale(p, flat, o->columns[i]->extent),
                          affine_index(p, o->columns[i]));
    return flat;
}

/* The operand at the panel's indices: zero beyond the last column. */
static const Expr *panel_body(Graph *g, const Operand *o, const Panels *s)
{
    ExprPool *p = g->pool;
    const int count = o->column_count + o->depth_count;
    Index **from = arena_new(g->arena, Index *, count + o->group_count + 1);
    const Affine **to = arena_new(g->arena, const Affine *, count + o->group_count + 1);
    const Affine *column =
        affine_add(p, affine_scale(p, affine_index(p, s->indices[s->groups]), s->width),
                   affine_index(p, s->indices[s->rank - 1]));
    const int64_t last = (int64_t)extents(o->columns, o->column_count) - 1;
    const Expr *inside =
        expr_test(p, TEST_NOT_NEGATIVE, affine_sub(p, affine_constant(p, last), column));
    for (int i = 0; i < o->depth_count; i++) {
        from[i] = o->depth[i];
        to[i] = affine_index(p, s->indices[s->groups + 1 + i]);
    }
    for (int i = 0; i < o->group_count; i++) {
        from[count + i] = o->groups[i];
        to[count + i] = affine_index(p, s->indices[i]);
    }
    for (int i = o->column_count - 1; i >= 0; i--) {
        const int at = o->depth_count + i;
        from[at] = o->columns[i];
        to[at] = i ? affine_remainder(p, column, o->columns[i]->extent) : column;
        column = i ? affine_quotient(p, column, o->columns[i]->extent) : column;
    }
    const Expr *value =
        expr_substitute(p, o->access, &(Substitution){count + o->group_count, from, to});
    return expr_select(p, inside, value, expr_const_typed(p, 0, value->type));
}

static Panels *make_panels(Packer *x, const Operand *o)
{
    Graph *g = x->graph;
    const int64_t columns = (int64_t)extents(o->columns, o->column_count);
    Panels *s = arena_new(g->arena, Panels, 1);
    s->source = o->access->node;
    s->width = panel_width(x->lanes, expr_pool_real(g->pool), columns);
    s->groups = o->group_count;
    s->rank = s->groups + o->depth_count + 2;
    s->indices = arena_new(g->arena, Index *, s->rank);
    const Span span = o->access->node->span;
    for (int i = 0; i < s->groups; i++)
        s->indices[i] = index_copy(g->pool, o->groups[i]);
    s->indices[s->groups] = index_new(g->pool, "p", (columns + s->width - 1) / s->width, 0, span);
    for (int i = 0; i < o->depth_count; i++)
        s->indices[s->groups + 1 + i] = index_copy(g->pool, o->depth[i]);
    s->indices[s->rank - 1] = index_new(g->pool, "j", s->width, 0, span);
    s->body = panel_body(g, o, s);
    return s;
}

static bool are_equal(ExprPool *p, const Panels *a, const Panels *b)
{
    if (a->source != b->source || a->rank != b->rank || a->groups != b->groups)
        return false;
    const Affine **to = arena_new(expr_pool_arena(p), const Affine *, a->rank);
    for (int i = 0; i < a->rank; i++) {
        if (!extents_equal(a->indices[i], b->indices[i]))
            return false;
        to[i] = affine_index(p, b->indices[i]);
    }
    return expr_substitute(p, a->body, &(Substitution){a->rank, a->indices, to}) == b->body;
}

/* The panels, or their equal from before. */
static Panels *share_panels(Packer *x, Panels *s)
{
    for (int i = 0; i < x->all.count; i++)
        if (are_equal(x->graph->pool, x->all.data[i], s))
            return x->all.data[i];
    vec_push(x->graph->arena, &x->all, s);
    return s;
}

static void note_operand(Packer *x, Node *n)
{
    ExprPool *p = x->graph->pool;
    Contraction c;
    const Index *strip = x->strips[n->id];
    if (n->kind != NODE_COMPUTE || !contract_recognise(p, n, n->body, &c) ||
        (strip ? index_find(c.rows.data, c.rows.count, strip) < 0 : c.groups.count > 0))
        return;
    Operand *o = find_operand(x, n, &c);
    Panels *s = o ? make_panels(x, o) : NULL;
    if (!s || !expr_reads_inside(p, NULL, s->body))
        return;
    const double blocks = strip ? (double)strip->extent : extents(c.rows.data, c.rows.count) / ROWS;
    o->panels = share_panels(x, s);
    o->panels->packings += node_steps(n) * (blocks > 1 ? blocks : 1);
    x->operands[n->id] = o;
}

static bool are_worth_it(const Panels *s)
{
    return s->packings >= LEAST_PACKINGS &&
           (s->packings - 1) * extents(s->indices, s->rank) >= LEAST_SAVED;
}

/* ---- put into the graph ------------------------------------------------------------------------------------ */

static Node *panels_node(Packer *x, Panels *s)
{
    Graph *g = x->graph;
    if (s->node)
        return s->node;
    s->node =
        graph_compute(g, arena_format(g->arena, "%s_panels", s->source->name), s->source->type,
                      s->indices, s->rank, NULL, NULL, 0, s->body, s->source->span);
    s->node->layer = s->source->layer;
    vec_push(g->arena, &x->order, s->node);
    vec_push(g->arena, &x->made, s->node);
    return s->node;
}

typedef struct Exchange {
    const Expr *from, *to;
} Exchange;

static const Expr *exchange_leaf(void *context, const Expr *e)
{
    const Exchange *x = context;
    return e == x->from ? x->to : e;
}

static void read_panels(Packer *x, Node *n, const Operand *o)
{
    Graph *g = x->graph;
    Node *panels = panels_node(x, o->panels);
    const Affine *column = flat_columns(g->pool, o);
    Subscript *at = arena_new(g->arena, Subscript, panels->rank);
    at[o->group_count].affine = affine_quotient(g->pool, column, o->panels->width);
    for (int i = 0; i < o->group_count; i++)
        at[i].affine = affine_index(g->pool, o->groups[i]);
    for (int i = 0; i < o->depth_count; i++)
        at[o->group_count + 1 + i].affine = affine_index(g->pool, o->depth[i]);
    at[panels->rank - 1].affine = affine_remainder(g->pool, column, o->panels->width);
    Exchange exchange = {o->access, expr_access(g->pool, panels, at)};
    n->body = expr_map(g->pool, n->body, exchange_leaf, &exchange);
}

/* What strips read stands in front of all of them, which are to follow one another. */
static void stand_before_strips(Packer *x, int first, int count)
{
    for (int i = first; x->strips[first] && i < count; i++) {
        const Operand *o = x->strips[i] ? x->operands[i] : NULL;
        if (o && are_worth_it(o->panels) && o->access->node->id < first)
            panels_node(x, o->panels);
    }
}

static void use_panels(Packer *x, Node *n)
{
    const Operand *o = x->operands[n->id];
    if (o && are_worth_it(o->panels))
        read_panels(x, n, o);
}

/* The end of the nodes that are computed together, in the steps of one recurrence, from `first` on. */
static int end_of_steps(const Graph *g, int first, int count)
{
    const Recurrence *r = recurrence_outermost(g->nodes.data[first]->recurrence);
    int end = first + 1;
    while (r && end < count && recurrence_outermost(g->nodes.data[end]->recurrence) == r)
        end++;
    return end;
}

NodeList panels_run(Graph *g, const LaneModel *lanes, const StripList *strips)
{
    const int count = g->nodes.count;
    Packer x = {.graph = g, .lanes = lanes};
    x.operands = arena_new(g->arena, Operand *, count + 1);
    x.strips = arena_new(g->arena, Index *, count + 1);
    for (int i = 0; i < strips->count; i++)
        x.strips[strips->data[i].node->id] = strips->data[i].strip;
    for (int i = 0; i < count && !g->positions && lanes->vector_bytes > 4; i++)
        note_operand(&x, g->nodes.data[i]);
    for (int first = 0, end; first < count; first = end) {
        end = end_of_steps(g, first, count);
        stand_before_strips(&x, first, count);
        for (int i = first; i < end; i++) /* the panels stand before all steps */
            use_panels(&x, g->nodes.data[i]);
        for (int i = first; i < end; i++)
            vec_push(g->arena, &x.order, g->nodes.data[i]);
    }
    graph_set_order(g, x.order.data, x.order.count);
    return x.made;
}
