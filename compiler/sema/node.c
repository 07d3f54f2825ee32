/* Nodes out of expressions: each node owns its indices, the batch index first where it is used. */
#include "sema/internal.h"

#include <string.h>

Span user_span(const Sema *s, Span span)
{
    const bool library = span.file >= 0 && source_get(s->syntax->sources, span.file)->library;
    return library && s->call.file >= 0 ? s->call : span;
}

/* Inputs, parameters and states keep their own names. */
void node_rename(Sema *s, Node *n, const char *name)
{
    if (n->kind == NODE_COMPUTE || n->kind == NODE_VIEW)
        graph_rename(s->graph, n, name);
}

typedef struct Draws {
    Sema *sema;
    Index *const *domain; /* of the node that draws, bound indices included */
    int rank;
    Span span;
} Draws;

static const Affine *linear_coordinate(ExprPool *p, Index *const *domain, int rank)
{
    const Affine *sum = affine_constant(p, 0);
    for (int i = 0; i < rank; i++)
        sum = affine_add(p, affine_scale(p, sum, domain[i]->extent), affine_index(p, domain[i]));
    return sum;
}

static bool is_draw(const Sema *s, const Expr *e)
{
    return e->kind == EXPR_RANDOM &&
           (affine_uses(e->affine, s->element) || affine_uses(e->affine, s->element_batched));
}

/* A random draw is a node of its own, one number for each element it is made for: the backward
 * pass and a printed gradient name it instead of drawing again. */
static const Expr *place_draw(void *context, const Expr *e)
{
    const Draws *d = context;
    Sema *s = d->sema;
    if (!is_draw(s, e))
        return e;
    ExprPool *p = s->program->pool;
    Index **domain = arena_new(s->arena, Index *, d->rank + 1);
    for (int i = 0; i < d->rank; i++)
        domain[i] = index_copy(p, d->domain[i]);
    const Expr *body = expr_random(p, e->random, e->site, linear_coordinate(p, domain, d->rank));
    Node *n =
        graph_compute(s->graph, e->random == RANDOM_UNIFORM ? "uniform" : "normal", body->type,
                      domain, d->rank, NULL, NULL, 0, body, user_span(s, d->span));
    n->layer = s->frame ? s->frame->path : "";
    return expr_access_identity(p, n, d->domain);
}

static void copy_indices(ExprPool *p, Index *const *from, int count, Index **to, Index **keys,
                         const Affine **values)
{
    for (int i = 0; i < count; i++) {
        to[i] = index_copy(p, from[i]);
        keys[i] = from[i];
        values[i] = affine_index(p, to[i]);
    }
}

bool within_limit(Sema *s, const char *name, const int64_t *shape, int rank, Span span)
{
    int64_t elements = 1;
    for (int i = 0; i < rank; i++)
        if (shape[i] > LARGEST_EXTENT || (elements *= shape[i]) > LARGEST_EXTENT) {
            diag_error(s->diag, span, "`%s` has more than 2147483648 elements", name);
            return false;
        }
    return true;
}

/* Reports a tensor that no machine holds; its indices are cut short so that all goes on. */
static void limit_size(Sema *s, const char *name, Index **domain, int rank, Span span)
{
    int64_t elements = 1;
    for (int i = 0; i < rank; i++) {
        if (domain[i]->per_example)
            continue;
        if (domain[i]->extent <= LARGEST_EXTENT &&
            (elements *= domain[i]->extent) <= LARGEST_EXTENT)
            continue;
        diag_error(s->diag, span, "`%s` has more than 2147483648 elements", name);
        for (int k = 0; k < rank; k++)
            domain[k]->extent = 1;
        return;
    }
}

/* The scans around whose steps the body uses, the outermost first.  A random draw is made anew at every step. */
static int scans_of(Sema *s, const Expr *body, const Scan **out)
{
    ExprPool *p = s->program->pool;
    const bool draws =
        expr_uses_index(p, body, s->element) || expr_uses_index(p, body, s->element_batched);
    int count = 0;
    for (const Scan *scan = s->scan; scan; scan = scan->outer)
        if (draws || expr_uses_index(p, body, scan->index)) {
            memmove(out + 1, out, sizeof *out * (size_t)count++);
            out[0] = scan;
        }
    return count;
}

Node *make_node(Sema *s, const char *name, const Expr *body, Index *const *dims, int rank,
                const Reduction *r, Index *const *bound, int bound_count, Span span)
{
    ExprPool *p = s->program->pool;
    const int total = rank + bound_count + MOST_UNDERSTOOD;
    Index **domain = arena_new(s->arena, Index *, total),
          **bound_copy = arena_new(s->arena, Index *, total);
    Index **keys = arena_new(s->arena, Index *, total);
    const Affine **values = arena_new(s->arena, const Affine *, total);

    bool bound_batch = false;
    for (int i = 0; i < bound_count; i++)
        bound_batch = bound_batch || bound[i] == s->batch;
    const bool own = !bound_batch && (expr_uses_index(p, body, s->batch) ||
                                      expr_uses_index(p, body, s->element_batched));
    /* A first index over the batch would pass for the example itself: that one stands before it. */
    const bool batched = own || (rank && dims[0]->per_example);
    Index *unused = index_copy(p, s->batch);
    const Scan *scans[MOST_STEPS];
    const int stepped = scans_of(s, body, scans), leading = batched + stepped;
    if (batched)
        copy_indices(p, own ? &s->batch : &unused, 1, domain, keys, values);
    for (int i = batched; i < leading; i++)
        copy_indices(p, (Index *const *)&scans[i - batched]->index, 1, domain + i, keys + i,
                     values + i);
    copy_indices(p, dims, rank, domain + leading, keys + leading, values + leading);
    copy_indices(p, bound, bound_count, bound_copy, keys + leading + rank, values + leading + rank);
    limit_size(s, name ? name : "a tensor", domain, leading + rank, span);
    limit_size(s, name ? name : "a reduction", bound_copy, bound_count, span);
    const Substitution sub = {leading + rank + bound_count, keys, values};
    Index **all = arena_new(s->arena, Index *, total);
    memcpy(all, domain, sizeof *all * (size_t)(leading + rank));
    memcpy(all + leading + rank, bound_copy, sizeof *all * (size_t)bound_count);
    Draws draws = {s, all, leading + rank + bound_count, span};
    body = expr_map(p, expr_substitute(p, body, &sub), place_draw, &draws);
    const DType type = r && r->position ? TYPE_I32 : body->type;
    Node *n = graph_compute(s->graph, name ? name : "t", type, domain, leading + rank, r,
                            bound_copy, bound_count, body, user_span(s, span));
    n->layer = s->frame ? s->frame->path : "";
    for (int i = 0; i < stepped; i++)
        node_in_scan(n, scans[i], domain[batched + i]);
    return n;
}

void node_in_scan(Node *n, const Scan *scan, Index *step)
{
    n->steps[n->step_count++] = (StepCounter){step, &scan->open};
    n->recurrence = &scan->open;
}

void understand_steps(const Node *n, Node *like, int first)
{
    for (int i = 0; i < n->step_count; i++)
        if (n->steps[i].of && n->steps[i].of->open) {
            like->steps[like->step_count++] = (StepCounter){like->domain[first++], n->steps[i].of};
            like->recurrence = n->steps[i].of;
        }
}

int node_understood(const Node *n)
{
    int count = node_is_batched(n);
    for (int i = 0; i < n->step_count; i++)
        count += n->steps[i].of && n->steps[i].of->open;
    return count;
}

int understood_subscripts(Sema *s, const Node *n, Index *example, Index **out)
{
    int count = 0;
    if (node_is_batched(n))
        out[count++] = example;
    for (int i = 0; i < n->step_count; i++) {
        const Scan *scan = s->scan;
        while (scan && &scan->open != n->steps[i].of)
            scan = scan->outer;
        if (scan)
            out[count++] = scan->index;
    }
    return count;
}

const Expr *access_node(Sema *s, Node *n, Index *const *dims, int rank)
{
    ExprPool *p = s->program->pool;
    Index **all = arena_new(s->arena, Index *, rank + MOST_UNDERSTOOD);
    const int leading = understood_subscripts(s, n, s->batch, all);
    if (rank)
        memcpy(all + leading, dims, sizeof(Index *) * (size_t)rank);
    return expr_access_identity(p, n, all);
}

/* ---- nodes whose value comes later ----------------------------------------------------------------------- */

int scans_around(const Scan *scan, const Scan **out)
{
    if (!scan)
        return 0;
    const int count = scans_around(scan->outer, out);
    out[count] = scan;
    return count + 1;
}

Node *node_promise(Sema *s, const Scan *scan, bool batched, const char *name, DType type,
                   Index *const *dims, int rank, Span span)
{
    ExprPool *p = s->program->pool;
    const Scan *scans[MOST_STEPS];
    const int depth = scans_around(scan, scans), leading = batched + depth, total = leading + rank;
    Index **domain = arena_new(s->arena, Index *, total + 1);
    domain[0] = batched ? index_copy(p, s->batch) : NULL;
    for (int i = batched; i < total; i++)
        domain[i] = index_copy(p, i < leading ? scans[i - batched]->index : dims[i - leading]);
    Node *n = graph_compute(s->graph, name, type, domain, total, NULL, NULL, 0,
                            expr_const_typed(p, 0, type), user_span(s, span));
    n->layer = s->frame->path;
    for (int i = 0; i < depth; i++)
        node_in_scan(n, scans[i], domain[batched + i]);
    return n;
}

void node_keep(Sema *s, Node *promised, Node *value)
{
    ExprPool *p = s->program->pool;
    Index *understood[MOST_UNDERSTOOD] = {s->batch};
    const int leading = understood_subscripts(s, promised, s->batch, understood);
    const Affine *to[MOST_UNDERSTOOD];
    for (int i = 0; i < leading; i++)
        to[i] = affine_index(p, promised->domain[i]);
    const Expr *e = access_node(s, value, promised->domain + leading, promised->rank - leading);
    promised->body = expr_substitute(p, e, &(Substitution){leading, understood, to});
}
