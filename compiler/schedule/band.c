/* Rows of images by bands.  What is cheap to compute and is read through windows (the normalised input of
 * a depthwise convolution, the cotangent behind it) is computed for a few rows at a time, next to all that
 * reads it there, and never stored whole:
 *
 *     x_band[b, p, q, j, c]  = normalised x[b, 14*p + q - 1, j - 1, c], zero outside
 *     y[b, p, r, j, c]       = sum[u, v] weight[c, u, v] * x_band[b, p, r + u, j + v, c]
 *
 * Likewise what two products of matrices read, as the gradients of a convolution's input and weight do its cotangent.
 *
 *   needs: a verified, pruned graph, with large sums over examples in parts
 *   gives: the same numbers; bands, the nodes of each of which are to be one kernel, or of products a chain of them */
#include "schedule/band.h"

enum {
    MOST_COST = 24,    /* flops of a number: more take longer than moving it through far memory */
    MOST_USERS = 3,    /* of what is computed for one of them: what has more is stored          */
    OFTEN = 4,         /* times that each number is read, for it to be worth keeping            */
    LEAST_ROWS = 4,    /* of a band, of which one or two more are computed once more            */
    LEAST_BANDS = 16,  /* for several threads …                                                 */
    LEAST_EXAMPLES = 8 /* … and of those that are not taken apart                               */
};

/* The arrays are per node id. */
typedef struct Banding {
    Graph *graph;
    const LaneModel *lanes;
    BandList bands;
    bool *taken; /* member of a band, or made for one                      */
    bool *results;
    bool *apart; /* needs members of the band that is looked at, and is none */
    int *users;  /* nodes that access it                                     */
} Banding;

/* ---- windows ------------------------------------------------------------------------------------------- */

static bool is_far(const Banding *x, const Node *n)
{
    return node_is_batched(n) && node_elements(n) * dtype_size(n->type) > x->lanes->l2_bytes;
}

/* Flops of an element, with those of what is computed only for it. */
static double cost_of(const Banding *x, const Node *n)
{
    double cost = body_cost(x->graph->pool, n->body);
    const AccessList accesses = body_accesses(x->graph->pool, n->body);
    for (int i = 0; i < accesses.count && cost <= MOST_COST; i++) {
        const Node *from = accesses.data[i]->node;
        if (from->kind == NODE_COMPUTE && !from->reduction && !from->recurrence &&
            is_far(x, from) && x->users[from->id] <= MOST_USERS)
            cost += cost_of(x, from);
    }
    return cost;
}

/* Could it be computed again and again, instead of being read from far memory? */
static bool is_light(const Banding *x, const Node *n)
{
    return n->kind == NODE_COMPUTE && !n->reduction && !n->recurrence && !n->within &&
           !x->results[n->id] && n->rank > 2 && dtype_is_real(n->type) && is_far(x, n) &&
           cost_of(x, n) <= MOST_COST;
}

static bool is_plain(const Affine *a)
{
    for (int i = 0; a && i < a->count; i++)
        if (a->terms[i].kind != TERM_INDEX)
            return false;
    return a != NULL;
}

bool band_reads(const Node *n, const Expr *access, const Index *row, int64_t *scale)
{
    if (access->count < 3 || access_has_data(access) ||
        affine_is_index(access->subscripts[0].affine) != n->domain[0])
        return false;
    for (int i = 1; i < access->count; i++)
        if (!is_plain(access->subscripts[i].affine) ||
            affine_uses(access->subscripts[i].affine, n->domain[0]) ||
            (i > 1 && affine_uses(access->subscripts[i].affine, row)))
            return false;
    *scale = affine_factor(access->subscripts[1].affine, row, NULL);
    return *scale > 0;
}

/* ---- what is taken apart ------------------------------------------------------------------------------- */

/* A node that could be a member, as far as itself is concerned. */
static bool is_apt(const Banding *x, Node *n, bool product)
{
    Contraction contraction;
    return n->kind == NODE_COMPUTE && !x->taken[n->id] && !x->results[n->id] && !n->recurrence &&
           !n->within && node_is_batched(n) && n->rank > 1 && dtype_is_real(n->type) &&
           !body_has_data(x->graph->pool, n->body) &&
           contract_recognise(x->graph->pool, n, n->body, &contraction) == product;
}

bool band_is_part(Graph *g, const Node *n)
{
    for (int i = 0; i < g->nodes.count; i++) {
        const Node *user = g->nodes.data[i];
        if (user->kind == NODE_VIEW && user->viewed == n)
            return false;
        if (user->kind != NODE_COMPUTE)
            continue;
        const AccessList accesses = body_accesses(g->pool, user->body);
        for (int a = 0; a < accesses.count; a++)
            if (accesses.data[a]->node == n &&
                (user->body != accesses.data[a] || user->reduction != &reduce_sum))
                return false;
    }
    return true;
}

/* Its sum reads light nodes often, in windows or not: along which row?  NULL: it does not. */
static Index *row_of_reader(const Banding *x, Node *n, bool product)
{
    if (n->kind != NODE_COMPUTE || n->reduction != &reduce_sum || !is_apt(x, n, product))
        return NULL;
    const AccessList accesses = body_accesses(x->graph->pool, n->body);
    for (int i = 0; i <= n->bound_count; i++) {
        Index *row = i ? n->bound[i - 1] : n->domain[1];
        for (int a = 0; a < accesses.count; a++) {
            const Node *from = accesses.data[a]->node;
            int64_t scale;
            if (is_light(x, from) && node_iterations(n) >= OFTEN * (double)node_elements(from) &&
                band_reads(n, accesses.data[a], row, &scale) &&
                2 * scale * row->extent >= from->domain[1]->extent &&
                (i == 0 || band_is_part(x->graph, n)))
                return row;
        }
    }
    return NULL;
}

/* ---- members ------------------------------------------------------------------------------------------- */

Member *band_member(const Band *b, const Node *n)
{
    for (int i = 0; i < b->members.count; i++)
        if (b->members.data[i].node == n)
            return &b->members.data[i];
    return NULL;
}

Window *band_window(const Band *b, const Node *n)
{
    for (int i = 0; i < b->windows.count; i++)
        if (b->windows.data[i].node == n)
            return &b->windows.data[i];
    return NULL;
}

/* Does n read the member at the rows, of the member's index, that its own stands for? */
static bool is_in_step(ExprPool *p, const Member *m, const Node *n, int64_t step,
                       const Expr *access)
{
    if (m->is_sum || step % m->step || !access_is_aligned(access, n->domain, 1) ||
        access->count < 2)
        return false;
    const Affine *own = affine_scale(p, affine_index(p, n->domain[1]), step / m->step);
    const Interval within = affine_interval(affine_sub(p, access->subscripts[1].affine, own));
    return within.low >= 0 && within.high < step / m->step;
}

/* Does n go on, some rows after others, from what members make? */
static bool follows(const Banding *x, const Band *b, Node *n)
{
    ExprPool *p = x->graph->pool;
    const AccessList accesses = body_accesses(p, n->body);
    bool from_far = false;
    if (!is_apt(x, n, false) || b->extent % n->domain[1]->extent)
        return false;
    for (int i = 0; i < accesses.count; i++) {
        const Member *m = band_member(b, accesses.data[i]->node);
        const int64_t step = b->extent / n->domain[1]->extent;
        if (m && !(b->whole ? access_is_aligned(accesses.data[i], n->domain, 1)
                            : is_in_step(p, m, n, step, accesses.data[i])))
            return false;
        from_far = from_far || (m && is_far(x, m->node));
    }
    return from_far;
}

/* Does it read something large that a member reads as well? */
static bool shares_reads(const Banding *x, const Band *b, const Node *n)
{
    ExprPool *p = x->graph->pool;
    const AccessList own = body_accesses(p, n->body);
    for (int i = 0; i < b->members.count; i++) {
        const AccessList theirs = body_accesses(p, b->members.data[i].node->body);
        for (int a = 0; a < own.count; a++)
            for (int k = 0; k < theirs.count; k++)
                if (own.data[a]->node == theirs.data[k]->node && is_light(x, own.data[a]->node))
                    return true;
    }
    return false;
}

static void add_member(const Banding *x, Band *b, Node *n, Index *row)
{
    const Member m = {.node = n,
                      .row = row,
                      .is_sum = row != n->domain[1],
                      .is_kept = b->products && row != n->domain[1],
                      .step = b->whole ? 1 : b->extent / row->extent};
    vec_push(x->graph->arena, &b->members, m);
}

/* Of a node behind the first member: does it join? */
static bool join(const Banding *x, Band *b, Node *n)
{
    bool *apart = x->apart;
    const Node *viewed = n->kind == NODE_VIEW ? n->viewed : NULL;
    const AccessList accesses =
        body_accesses(x->graph->pool, n->kind == NODE_COMPUTE ? n->body : NULL);
    bool reads_member = viewed && band_member(b, viewed);
    apart[n->id] = viewed && apart[viewed->id];
    for (int i = 0; i < accesses.count; i++) {
        reads_member = reads_member || band_member(b, accesses.data[i]->node);
        apart[n->id] = apart[n->id] || apart[accesses.data[i]->node->id];
    }
    if (apart[n->id])
        return false;
    if (reads_member) {
        apart[n->id] = viewed || !follows(x, b, n);
        if (!apart[n->id])
            add_member(x, b, n, n->domain[1]);
        return !apart[n->id];
    }
    Index *row = row_of_reader(x, n, b->products);
    if (!row || row->extent != b->extent || !shares_reads(x, b, n))
        return false;
    add_member(x, b, n, row);
    return true;
}

/* ---- what windows hold --------------------------------------------------------------------------------- */

static Window *new_window(const Banding *x, Band *b, Node *n, int64_t scale)
{
    Window w = {.node = n, .scale = scale};
    w.low = arena_new(x->graph->arena, int64_t, n->rank);
    w.high = arena_new(x->graph->arena, int64_t, n->rank);
    vec_push(x->graph->arena, &b->windows, w);
    return &b->windows.data[b->windows.count - 1];
}

/* A member's access becomes one to the window's band. */
static void note_access(const Banding *x, Band *b, const Member *m, const Expr *access)
{
    ExprPool *p = x->graph->pool;
    int64_t scale;
    if (!is_light(x, access->node) || m->step > 1 || !band_reads(m->node, access, m->row, &scale))
        return;
    Window *w = band_window(b, access->node);
    const bool first = !w;
    if (first)
        w = new_window(x, b, access->node, scale);
    if (w->scale != scale)
        return;
    for (int i = 1; i < access->count; i++) {
        const Affine *at = access->subscripts[i].affine;
        const bool is_row = i == 1 && !b->whole;
        const Interval in = affine_interval(
            is_row ? affine_sub(p, at, affine_scale(p, affine_index(p, m->row), scale)) : at);
        w->low[i] = first || in.low < w->low[i] ? in.low : w->low[i];
        w->high[i] = first || in.high > w->high[i] ? in.high : w->high[i];
    }
}

/* Do two members, and nobody else, read it? */
static bool is_shared(const Banding *x, const Band *b, const Node *from)
{
    const Graph *g = x->graph;
    int readers = 0;
    for (int i = 0; i < g->nodes.count; i++) {
        const Node *n = g->nodes.data[i];
        const AccessList reads = body_accesses(g->pool, n->kind == NODE_COMPUTE ? n->body : NULL);
        bool is_reader = n->kind == NODE_VIEW && n->viewed == from;
        for (int r = 0; r < reads.count; r++)
            is_reader = is_reader || reads.data[r]->node == from;
        if (is_reader && !band_member(b, n))
            return false;
        readers += is_reader;
    }
    return readers > 1;
}

/* Members that read light nodes often first: only what they read is kept. */
static void find_windows(const Banding *x, Band *b)
{
    for (int often = 1; often >= 0; often--)
        for (int i = 0; i < b->members.count; i++) {
            const Member *m = &b->members.data[i];
            const AccessList accesses = body_accesses(x->graph->pool, m->node->body);
            for (int a = 0; a < accesses.count; a++) {
                const Node *from = accesses.data[a]->node;
                const bool is_often =
                    node_iterations(m->node) >= OFTEN * (double)node_elements(from);
                if (is_often == often && !band_member(b, from) && (often || band_window(b, from)) &&
                    (!b->products || is_shared(x, b, from)))
                    note_access(x, b, m, accesses.data[a]);
            }
        }
}

/* ---- how many rows ------------------------------------------------------------------------------------- */

typedef struct Bytes {
    const Banding *x;
    const Band *band;
    VEC(const Node *) seen;
    double row; /* of all that a row of the band touches */
} Bytes;

static void count_node(Bytes *c, const Node *n)
{
    for (int i = 0; i < c->seen.count; i++)
        if (c->seen.data[i] == n)
            return;
    vec_push(c->x->graph->arena, &c->seen, n);
    const double rows = (double)n->domain[0]->extent * (double)c->band->extent;
    if (band_window(c->band, n) || band_member(c->band, n) || !is_light(c->x, n))
        c->row += (double)node_elements(n) * dtype_size(n->type) / rows;
    if (band_member(c->band, n) || !is_light(c->x, n))
        return;
    const AccessList accesses = body_accesses(c->x->graph->pool, n->body);
    for (int i = 0; i < accesses.count; i++)
        if (node_is_batched(accesses.data[i]->node))
            count_node(c, accesses.data[i]->node);
}

static double row_bytes(const Banding *x, const Band *b)
{
    Bytes c = {.x = x, .band = b};
    for (int i = 0; i < b->members.count; i++) {
        const Node *n = b->members.data[i].node;
        if (!b->members.data[i].is_sum)
            count_node(&c, n);
        const AccessList accesses = body_accesses(x->graph->pool, n->body);
        for (int a = 0; a < accesses.count; a++)
            if (node_is_batched(accesses.data[a]->node))
                count_node(&c, accesses.data[a]->node);
    }
    return c.row;
}

/* Is the band's end that of what each member's index stands for? */
static bool are_in_step(const Band *b, int64_t length)
{
    for (int i = 0; i < b->members.count; i++)
        if (length % b->members.data[i].step)
            return false;
    return true;
}

/* The most rows of which all that is touched stays in the second cache; 0: they are too few. */
static int64_t choose_length(const Banding *x, const Band *b)
{
    const double row = row_bytes(x, b), room = 0.75 * (double)x->lanes->l2_bytes;
    const int64_t examples = b->members.data[0].node->domain[0]->extent;
    int64_t beyond = 0, best = 0;
    for (int i = 0; i < b->windows.count; i++) {
        const int64_t more = b->windows.data[i].high[1] - b->windows.data[i].low[1];
        beyond = more > beyond ? more : beyond;
    }
    if (b->whole)
        return examples >= LEAST_EXAMPLES && (double)b->extent * row <= room ? b->extent : 0;
    for (int64_t length = LEAST_ROWS; length < b->extent; length++)
        if (b->extent % length == 0 && are_in_step(b, length) && length >= 2 * beyond &&
            (double)(length + beyond) * row <= room &&
            (best == 0 || examples * (b->extent / length) >= LEAST_BANDS))
            best = length;
    return best;
}

/* ---- the graph ----------------------------------------------------------------------------------------- */

/* What is known of each node, anew for a graph that has changed. */
static void look_anew(Banding *x)
{
    const Graph *g = x->graph;
    const int count = g->nodes.count;
    x->results = arena_new(g->arena, bool, count);
    x->taken = arena_new(g->arena, bool, count);
    x->apart = arena_new(g->arena, bool, count);
    x->users = arena_new(g->arena, int, count);
    for (int i = 0; i < g->results.count; i++)
        x->results[g->results.data[i].value->id] = true;
    for (int i = 0; i < count; i++) {
        const Node *n = g->nodes.data[i];
        const AccessList reads = body_accesses(g->pool, n->kind == NODE_COMPUTE ? n->body : NULL);
        for (int r = 0; r < reads.count; r++)
            x->users[reads.data[r]->node->id]++;
    }
    for (int i = 0; i < x->bands.count; i++)
        for (int k = 0; k < x->bands.data[i].nodes.count; k++)
            x->taken[x->bands.data[i].nodes.data[k]->id] = true;
}

/* A band that begins with the node at `first`; gives the place behind its last member, or 0. */
static int find_band_of(const Banding *x, Band *b, int first, bool products, bool whole)
{
    Graph *g = x->graph;
    int end = first + 1;
    Index *row = row_of_reader(x, g->nodes.data[first], products);
    if (!row)
        return 0;
    *b = (Band){.extent = row->extent, .whole = whole, .products = products};
    add_member(x, b, g->nodes.data[first], row);
    for (int i = 0; i < g->nodes.count; i++)
        x->apart[i] = false;
    for (int i = first + 1; i < g->nodes.count; i++)
        if (join(x, b, g->nodes.data[i]))
            end = i + 1;
    find_windows(x, b);
    b->length = b->windows.count ? choose_length(x, b) : 0;
    return b->length ? end : 0;
}

/* Of whole examples if they fit the cache. */
static int find_band(const Banding *x, Band *b, int first)
{
    int end = 0;
    for (int products = 0; products < 2 && !end; products++)
        for (int whole = 1; whole >= 0 && !end; whole--)
            end = find_band_of(x, b, first, products, whole);
    return end;
}

/* The members stand together, behind what they need and in front of what needs them. */
static void put_together(const Banding *x, Band *b, int first, int end)
{
    Graph *g = x->graph;
    NodeList order = {0}, behind = {0};
    for (int i = 0; i < g->nodes.count; i++) {
        Node *n = g->nodes.data[i];
        const bool is_behind = i >= end || x->apart[i];
        if (i >= first && band_member(b, n))
            continue;
        if (is_behind)
            vec_push(g->arena, &behind, n);
        else
            vec_push(g->arena, &order, n);
    }
    band_split(g, b, &order);
    for (int i = 0; i < behind.count; i++)
        vec_push(g->arena, &order, behind.data[i]);
    graph_set_order(g, order.data, order.count);
}

static BandNodes nodes_of(const Graph *g, const Band *b)
{
    BandNodes all = {.held = b->windows.count, .loops = b->whole ? 1 : 2, .products = b->products};
    for (int i = 0; i < b->windows.count; i++)
        vec_push(g->arena, &all.nodes, b->windows.data[i].band);
    for (int i = 0; i < b->members.count; i++) {
        vec_push(g->arena, &all.nodes, b->members.data[i].node);
        if (b->members.data[i].is_kept && !b->whole)
            vec_push(g->arena, &all.added, b->members.data[i].node);
    }
    return all;
}

BandList band_run(Graph *g, const LaneModel *lanes)
{
    Banding x = {.graph = g, .lanes = lanes};
    look_anew(&x);
    for (int i = 0; i < g->nodes.count && !g->positions && !g->window;) {
        Band b;
        const int end = find_band(&x, &b, i);
        if (!end) {
            i++;
            continue;
        }
        put_together(&x, &b, i, end);
        vec_push(g->arena, &x.bands, nodes_of(g, &b));
        look_anew(&x);
    }
    return x.bands;
}
