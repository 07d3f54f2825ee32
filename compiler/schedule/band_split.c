/* A band's nodes, once it is known which and of how many rows: their loops over rows taken apart, and the
 * nodes that hold the windows they read.
 *   needs: the band; its members stand behind all that they read
 *   gives: the same numbers */
#include "schedule/band.h"

typedef struct Splitter {
    Graph *graph;
    Band *band;
    const Member *at; /* the member that is being rewritten; NULL: a node outside */
} Splitter;

/* ---- the nodes that hold windows ------------------------------------------------------------------------ */

/* Is the subscript inside all along?  Else the test that it is. */
static const Expr *inside(ExprPool *p, const Affine *at, int64_t extent, const Expr *so_far)
{
    const Interval in = affine_interval(at);
    const Expr *test = so_far;
    const Affine *beyond = affine_offset(p, affine_scale(p, at, -1), extent - 1);
    if (in.low < 0)
        test = test ? expr_and(p, test, expr_test(p, TEST_NOT_NEGATIVE, at))
                    : expr_test(p, TEST_NOT_NEGATIVE, at);
    if (in.high >= extent)
        test = test ? expr_and(p, test, expr_test(p, TEST_NOT_NEGATIVE, beyond))
                    : expr_test(p, TEST_NOT_NEGATIVE, beyond);
    return test;
}

/* w_band[b, p, q, …] = w[b, scale * length * p + low + q, …], and zero outside. */
static void make_window(Graph *g, const Band *b, Window *w)
{
    ExprPool *p = g->pool;
    const Node *n = w->node;
    const int outer = b->whole ? 0 : 1;
    Index **domain = arena_new(g->arena, Index *, n->rank + 1);
    Subscript *at = arena_new(g->arena, Subscript, n->rank);
    const Expr *test = NULL;
    domain[0] = index_copy(p, n->domain[0]);
    if (outer)
        domain[1] = index_new(p, "band", b->extent / b->length, 0, n->span);
    at[0].affine = affine_index(p, domain[0]);
    for (int i = 1; i < n->rank; i++) {
        const bool is_row = i == 1 && outer;
        const int64_t rows = is_row ? w->scale * (b->length - 1) : 0;
        Index *ix = index_new(p, n->domain[i]->name, rows + w->high[i] - w->low[i] + 1, 0, n->span);
        domain[i + outer] = ix;
        at[i].affine = affine_offset(p, affine_index(p, ix), w->low[i]);
        if (is_row)
            at[i].affine = affine_add(
                p, at[i].affine, affine_scale(p, affine_index(p, domain[1]), w->scale * b->length));
        test = inside(p, at[i].affine, n->domain[i]->extent, test);
    }
    const Expr *value = expr_access(p, w->node, at);
    if (test)
        value = expr_select(p, test, value, expr_const_typed(p, 0, value->type));
    w->band = graph_compute(g, arena_format(g->arena, "%s_band", n->name), n->type, domain,
                            n->rank + outer, NULL, NULL, 0, value, n->span);
    w->band->layer = n->layer;
}

/* The member's access as one to the window's band. */
static const Expr *read_window(Graph *g, const Member *m, const Window *w, const Expr *access)
{
    ExprPool *p = g->pool;
    const int outer = m->band ? 1 : 0;
    Subscript *at = arena_new(g->arena, Subscript, access->count + 1);
    at[0] = access->subscripts[0];
    for (int i = 1; i < access->count; i++)
        at[i + outer].affine = affine_offset(p, access->subscripts[i].affine, -w->low[i]);
    if (!outer)
        return expr_access(p, w->band, at);
    at[1].affine = affine_index(p, m->band);
    const Affine *within = affine_index(p, m->within);
    at[2].affine =
        affine_substitute(p, at[2].affine, &(Substitution){1, (Index *const[]){m->row}, &within});
    return expr_access(p, w->band, at);
}

/* ---- bodies ---------------------------------------------------------------------------------------------- */

static const Affine *whole_row(const Splitter *s, const Member *m)
{
    ExprPool *p = s->graph->pool;
    return affine_add(p, affine_scale(p, affine_index(p, m->band), s->band->length / m->step),
                      affine_index(p, m->within));
}

/* Of a window's node, read as a window: the access. */
static const Window *matches(const Splitter *s, const Expr *access)
{
    int64_t scale;
    const Window *w = access && s->at->step == 1 ? band_window(s->band, access->node) : NULL;
    return w && band_reads(s->at->node, access, s->at->row, &scale) && scale == w->scale ? w : NULL;
}

/* An access to what is a member now, from one that it had been. */
static const Expr *read_member(Splitter *s, const Member *m, const Expr *access)
{
    ExprPool *p = s->graph->pool;
    const Affine *row = access->subscripts[1].affine;
    Subscript *at = arena_new(s->graph->arena, Subscript, access->count + 1);
    at[0] = access->subscripts[0];
    at[1].affine = affine_quotient(p, row, s->band->length / m->step);
    at[2].affine = affine_remainder(p, row, s->band->length / m->step);
    for (int i = 2; i < access->count; i++)
        at[i + 1] = access->subscripts[i];
    return expr_access(p, m->node, at);
}

/* A factor of the product that is read in a window, and zero where the condition does not hold; what is
 * beside it can be read there as well. */
static bool is_zero_outside(const Splitter *s, const Expr *condition, const Expr *product)
{
    ExprPool *p = s->graph->pool;
    for (int i = 0; i < 2; i++)
        if (product->args[i]->kind == EXPR_ACCESS && matches(s, product->args[i]) &&
            all_keep_inside(p, condition, product->args[i]) &&
            expr_reads_inside(p, NULL, product->args[1 - i]))
            return true;
    return false;
}

/* `if inside then weight * access else 0`: the window itself is zero outside. */
static bool is_idle(const Splitter *s, const Expr *e)
{
    double otherwise;
    return e->kind == EXPR_CALL && e->function == &scalar_select && e->args[1]->kind == EXPR_CALL &&
           e->args[1]->function == &scalar_mul && expr_is_const(e->args[2], &otherwise) &&
           otherwise == 0 && is_zero_outside(s, e->args[0], e->args[1]);
}

static const Expr *window_leaf(void *context, const Expr *e)
{
    Splitter *s = context;
    const Window *w = e->kind == EXPR_ACCESS ? matches(s, e) : NULL;
    return w ? read_window(s->graph, s->at, w, e) : e;
}

/* Without the condition around what is read in a window. */
static const Expr *without_condition(void *context, const Expr *e)
{
    const Splitter *s = context;
    const Expr *access = match_window(s->graph->pool, e);
    return (access && matches(s, access)) || is_idle(s, e) ? e->args[1] : e;
}

static const Expr *read_windows(Splitter *s, const Member *m, const Expr *body)
{
    s->at = m;
    return expr_map_calls(s->graph->pool, body, window_leaf, without_condition, s);
}

static const Expr *member_leaf(void *context, const Expr *e)
{
    Splitter *s = context;
    const Member *m = e->kind == EXPR_ACCESS ? band_member(s->band, e->node) : NULL;
    return m && e->count < m->node->rank ? read_member(s, m, e) : e;
}

/* ---- members --------------------------------------------------------------------------------------------- */

static void split_index(Splitter *s, Member *m)
{
    ExprPool *p = s->graph->pool;
    const Node *n = m->node;
    m->band = index_new(p, "band", s->band->extent / s->band->length, 0, n->span);
    m->within = index_new(p, m->row->name, s->band->length / m->step, 0, n->span);
}

/* The shape that it has for others, before it loses it. */
static void make_view(Splitter *s, Member *m)
{
    Graph *g = s->graph;
    const Node *n = m->node;
    Index **domain = arena_new(g->arena, Index *, n->rank);
    for (int i = 0; i < n->rank; i++)
        domain[i] = index_copy(g->pool, n->domain[i]);
    m->view = graph_view(g, arena_format(g->arena, "%s_rows", n->name), m->node, domain, n->rank,
                         n->span);
    m->view->layer = n->layer;
}

/* Of a sum to which the bands add: they are summed over as well. */
static void split_kept(Splitter *s, Member *m)
{
    Node *n = m->node;
    Index **bound = arena_new(s->graph->arena, Index *, n->bound_count + 1);
    bound[0] = m->band;
    for (int i = 0; i < n->bound_count; i++)
        bound[i + 1] = n->bound[i] == m->row ? m->within : n->bound[i];
    n->bound = bound;
    n->bound_count++;
}

/* Its own loops; of a sum over rows, the rest of which others add up. */
static void split_domain(Splitter *s, Member *m)
{
    Node *n = m->node;
    if (m->is_kept) {
        split_kept(s, m);
        return;
    }
    Index **domain = arena_new(s->graph->arena, Index *, n->rank + 1),
          **bound = arena_new(s->graph->arena, Index *, n->bound_count + 1);
    domain[0] = n->domain[0];
    domain[1] = m->band;
    if (!m->is_sum)
        domain[2] = m->within;
    for (int i = m->is_sum ? 1 : 2; i < n->rank; i++)
        domain[i + 1] = n->domain[i];
    for (int i = 0; i < n->bound_count; i++)
        bound[i] = n->bound[i] == m->row ? m->within : n->bound[i];
    n->domain = domain;
    n->rank++;
    n->bound = bound;
}

/* Its body, over the new indices. */
static void split_body(Splitter *s, Member *m)
{
    const Affine *row = whole_row(s, m);
    m->node->body =
        expr_substitute(s->graph->pool, m->node->body, &(Substitution){1, &m->row, &row});
}

/* ---- those outside --------------------------------------------------------------------------------------- */

/* A sum over examples of a sum over rows becomes one over bands as well. */
static void sum_bands(Splitter *s, Node *n, const Member *m)
{
    Graph *g = s->graph;
    ExprPool *p = g->pool;
    const Expr *part = n->body;
    Index **bound = arena_new(g->arena, Index *, n->bound_count + 1);
    Subscript *at = arena_new(g->arena, Subscript, part->count + 1);
    for (int i = 0; i < n->bound_count; i++)
        bound[i] = n->bound[i];
    bound[n->bound_count] = index_copy(p, m->band);
    at[0] = part->subscripts[0];
    at[1].affine = affine_index(p, bound[n->bound_count]);
    for (int i = 1; i < part->count; i++)
        at[i + 1] = part->subscripts[i];
    n->bound = bound;
    n->bound_count++;
    n->body = expr_access(p, m->node, at);
}

static const Expr *outside_leaf(void *context, const Expr *e)
{
    Splitter *s = context;
    Member *m = e->kind == EXPR_ACCESS ? band_member(s->band, e->node) : NULL;
    if (!m || m->is_kept)
        return e;
    if (!m->view)
        make_view(s, m);
    return expr_access(s->graph->pool, m->view, e->subscripts);
}

/* Of a node outside: the member that it sums up, or NULL. */
static const Member *summed(const Splitter *s, const Node *n)
{
    const bool reads = n->kind == NODE_COMPUTE && n->body->kind == EXPR_ACCESS;
    const Member *m = reads ? band_member(s->band, n->body->node) : NULL;
    return m && m->is_sum && !m->is_kept ? m : NULL;
}

static void read_from_outside(Splitter *s, Node *n)
{
    if (n->kind == NODE_COMPUTE && !summed(s, n))
        n->body = expr_map(s->graph->pool, n->body, outside_leaf, s);
    Member *viewed = n->kind == NODE_VIEW ? band_member(s->band, n->viewed) : NULL;
    viewed = viewed && viewed->is_kept ? NULL : viewed;
    if (viewed && !viewed->view)
        make_view(s, viewed);
    if (viewed)
        n->viewed = viewed->view;
}

/* The members' loops, and whoever reads them. */
static void split_members(Splitter *s)
{
    Graph *g = s->graph;
    Band *b = s->band;
    const int count = g->nodes.count - b->windows.count;
    for (int i = 0; i < count; i++)
        if (!band_member(b, g->nodes.data[i]))
            read_from_outside(s, g->nodes.data[i]);
    for (int i = 0; i < b->members.count; i++) /* accesses have the ranks of before, still */
        split_body(s, &b->members.data[i]);
    for (int i = 0; i < b->members.count; i++)
        split_domain(s, &b->members.data[i]);
    for (int i = 0; i < b->members.count; i++) {
        Node *n = b->members.data[i].node;
        n->body = expr_map(g->pool, n->body, member_leaf, s);
    }
    for (int i = 0; i < count; i++)
        if (!band_member(b, g->nodes.data[i]) && summed(s, g->nodes.data[i]))
            sum_bands(s, g->nodes.data[i], summed(s, g->nodes.data[i]));
}

void band_split(Graph *g, Band *b, NodeList *order)
{
    Splitter s = {.graph = g, .band = b};
    for (int i = 0; i < b->members.count && !b->whole; i++)
        split_index(&s, &b->members.data[i]);
    for (int i = 0; i < b->windows.count; i++) {
        make_window(g, b, &b->windows.data[i]);
        vec_push(g->arena, order, b->windows.data[i].band);
    }
    for (int i = 0; i < b->members.count; i++) {
        Node *n = b->members.data[i].node;
        n->body = read_windows(&s, &b->members.data[i], n->body);
        vec_push(g->arena, order, n);
    }
    if (!b->whole)
        split_members(&s);
    for (int i = 0; i < b->members.count; i++)
        if (b->members.data[i].view)
            vec_push(g->arena, order, b->members.data[i].view);
}
