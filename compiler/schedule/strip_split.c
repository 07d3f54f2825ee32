/* The members of strips, once it is known which and of how many rows: their loops over rows taken apart.
 *   needs: the members, none of which reads another but at its own rows
 *   gives: the same numbers */
#include "schedule/strip.h"

static const Affine *whole_row(const Strips *x, const StripMember *m)
{
    ExprPool *p = x->graph->pool;
    return affine_add(p, affine_scale(p, affine_index(p, m->strip), x->length),
                      affine_index(p, m->within));
}

static void split_index(const Strips *x, StripMember *m)
{
    ExprPool *p = x->graph->pool;
    m->strip = index_new(p, "strip", m->row->extent / x->length, 0, m->node->span);
    m->within = index_new(p, m->row->name, x->length, 0, m->node->span);
}

/* ---- those outside ------------------------------------------------------------------------------------- */

/* The shape that it has for others, before it loses it. */
static Node *view_of(const Strips *x, StripMember *m)
{
    Graph *g = x->graph;
    const Node *n = m->node;
    Index **domain = arena_new(g->arena, Index *, n->rank);
    for (int i = 0; i < n->rank; i++)
        domain[i] = index_copy(g->pool, n->domain[i]);
    if (!m->view)
        m->view = graph_view(g, arena_format(g->arena, "%s_rows", n->name), m->node, domain,
                             n->rank, n->span);
    m->view->layer = n->layer;
    return m->view;
}

static const Expr *outside_leaf(void *context, const Expr *e)
{
    const Strips *x = context;
    StripMember *m = e->kind == EXPR_ACCESS ? strip_member(x, e->node) : NULL;
    return m && !m->is_sum ? expr_access(x->graph->pool, view_of(x, m), e->subscripts) : e;
}

static void read_from_outside(Strips *x, Node *n)
{
    if (n->kind == NODE_COMPUTE)
        n->body = expr_map(x->graph->pool, n->body, outside_leaf, x);
    StripMember *viewed = n->kind == NODE_VIEW ? strip_member(x, n->viewed) : NULL;
    if (viewed && !viewed->is_sum)
        n->viewed = view_of(x, viewed);
}

/* ---- members ------------------------------------------------------------------------------------------- */

static Index **split_list(const Strips *x, const StripMember *m, Index **list, int count)
{
    Index **split = arena_new(x->graph->arena, Index *, count + 1);
    for (int i = 0, at = 0; i < count; i++) {
        split[at++] = list[i] == m->row ? m->strip : list[i];
        if (list[i] == m->row)
            split[at++] = m->within;
    }
    return split;
}

static void split_loops(const Strips *x, const StripMember *m)
{
    Node *n = m->node;
    if (m->is_sum)
        n->bound = split_list(x, m, n->bound, n->bound_count++);
    else
        n->domain = split_list(x, m, n->domain, n->rank++);
}

static void split_body(const Strips *x, const StripMember *m)
{
    const Affine *row = whole_row(x, m);
    m->node->body =
        expr_substitute(x->graph->pool, m->node->body, &(Substitution){1, &m->row, &row});
}

/* An access to what is a member now, from one that it had been. */
static const Expr *member_leaf(void *context, const Expr *e)
{
    const Strips *x = context;
    ExprPool *p = x->graph->pool;
    const StripMember *m = e->kind == EXPR_ACCESS ? strip_member(x, e->node) : NULL;
    if (!m || m->is_sum)
        return e;
    Subscript *at = arena_new(x->graph->arena, Subscript, e->count + 1);
    const Affine *row = e->subscripts[x->outer].affine;
    for (int i = 0; i < e->count; i++)
        at[i + (i > x->outer)] = e->subscripts[i];
    at[x->outer].affine = affine_quotient(p, row, x->length);
    at[x->outer + 1].affine = affine_remainder(p, row, x->length);
    return expr_access(p, m->node, at);
}

/* Each node, and behind it its view. */
static void put_in_order(Strips *x, int count)
{
    Graph *g = x->graph;
    NodeList order = {0};
    for (int i = 0; i < count; i++) {
        const StripMember *m = strip_member(x, g->nodes.data[i]);
        vec_push(g->arena, &order, g->nodes.data[i]);
        if (m && m->view)
            vec_push(g->arena, &order, m->view);
    }
    graph_set_order(g, order.data, order.count);
}

void strip_split(Strips *x)
{
    Graph *g = x->graph;
    const int count = g->nodes.count;
    for (int i = 0; i < count; i++)
        if (!strip_member(x, g->nodes.data[i]))
            read_from_outside(x, g->nodes.data[i]);
    for (int i = 0; i < x->members.count; i++) {
        split_index(x, &x->members.data[i]);
        split_body(x, &x->members.data[i]); /* accesses have the ranks of before, still */
    }
    for (int i = 0; i < x->members.count; i++)
        split_loops(x, &x->members.data[i]);
    for (int i = 0; i < x->members.count; i++) {
        Node *n = x->members.data[i].node;
        n->body = expr_map(g->pool, n->body, member_leaf, x);
    }
    put_in_order(x, count);
}
