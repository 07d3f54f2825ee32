/* Reductions: the node of a sum, over the batch, the set or indices of its own; what it may read, and
 * which indices of the statement around stay free in it. */
#include "sema/internal.h"

typedef struct Bound {
    Index **indices;
    int count;
} Bound;

/* In the order written, `...` spread out. */
static Bound bound_indices(Sema *s, const Ast *a, const Memo *m)
{
    const int room = a->items.count + (m->ellipsis ? m->ellipsis->count : 0) + 1;
    Bound b = {arena_new(s->arena, Index *, room), 0};
    for (int i = 0; i < a->items.count; i++) {
        const Ast *item = a->items.data[i];
        if (item->kind == AST_ELLIPSIS) {
            for (int k = 0; k < m->ellipsis->count; k++)
                b.indices[b.count++] = m->ellipsis->indices[k];
        } else if (m->batch && !item->left && item->name == m->batch_index->name) {
            b.indices[b.count++] = m->batch_index;
        } else {
            IndexScope *scope = m->scope;
            while (scope->name != item->name)
                scope = scope->outer;
            b.indices[b.count++] = scope->index;
        }
    }
    return b;
}

typedef struct FreeIndices {
    Sema *sema;
    Index *const *bound;
    int bound_count;
    VEC(Index *) found;
} FreeIndices;

static void note_free(FreeIndices *f, const Affine *a)
{
    for (int t = 0; t < a->count; t++) {
        if (a->terms[t].kind != TERM_INDEX) {
            note_free(f, a->terms[t].inner);
            continue;
        }
        Index *ix = a->terms[t].index;
        const Sema *s = f->sema;
        bool skip =
            ix == s->batch || scan_counts(s, ix) || ix == s->element || ix == s->element_batched;
        for (int i = 0; i < f->bound_count; i++)
            skip = skip || f->bound[i] == ix;
        for (int i = 0; i < f->found.count; i++)
            skip = skip || f->found.data[i] == ix;
        if (!skip)
            vec_push(s->arena, &f->found, ix);
    }
}

static void visit_free(void *context, const Expr *e)
{
    FreeIndices *f = context;
    if (e->affine)
        note_free(f, e->affine);
    for (int i = 0; e->kind == EXPR_ACCESS && i < e->count; i++)
        if (e->subscripts[i].affine)
            note_free(f, e->subscripts[i].affine);
}

static int order_of(const Statement *st, const Index *ix)
{
    for (int i = 0; st && i < st->order.count; i++)
        if (st->order.data[i] == ix)
            return i;
    return 1000000 + ix->id;
}

void free_indices(Sema *s, const Expr *body, Index *const *bound, int bound_count, Index ***dims,
                  int *rank)
{
    FreeIndices f = {s, bound, bound_count, {0}};
    expr_visit(s->program->pool, body, visit_free, &f);
    for (int i = 1; i < f.found.count; i++)
        for (int k = i; k > 0 && order_of(s->statement, f.found.data[k - 1]) >
                                     order_of(s->statement, f.found.data[k]);
             k--) {
            Index *swap = f.found.data[k];
            f.found.data[k] = f.found.data[k - 1];
            f.found.data[k - 1] = swap;
        }
    *dims = f.found.data;
    *rank = f.found.count;
}

static const Expr *times(ExprPool *p, const Expr *a, const Expr *b)
{
    return a ? expr_mul(p, a, b) : b;
}

/* How many terms a mean is over: fixed, times the examples where the batch is among them. */
static const Expr *mean_count(Sema *s, const Bound *b, bool whole_set)
{
    ExprPool *p = s->program->pool;
    double fixed = 1;
    const Expr *count = NULL;
    for (int i = 0; i < b->count; i++)
        if (b->indices[i]->per_example)
            count =
                times(p, count, expr_scalar(p, whole_set ? SCALAR_EXAMPLES : SCALAR_BATCH_SIZE, 0));
        else
            fixed *= (double)b->indices[i]->extent;
    if (!count)
        return expr_const(p, fixed);
    return fixed == 1 ? count : expr_mul(p, count, expr_const(p, fixed));
}

/* Can a sum over the whole set be one of this?  The set is read once, each example for itself. */
static bool can_be_summed(Sema *s, const Ast *a, const Expr *body)
{
    const Rests rests = find_rests(s, body);
    if (rests.set) {
        diag_error(s->diag, a->span, "this reduction over the batch depends on another one");
        diag_help(s->diag,
                  s->fitting ? "give what it depends on a state of its own, fitted before"
                             : "the set is read once: write it with sums of squares and products");
    }
    return !rests.set && (!s->fitting || fit_sums(s, a, &rests));
}

/* Would there be one for each step of a scan?  A fit is made once, wherever it stands. */
static bool is_of_steps(const Sema *s, const Expr *body)
{
    bool reads = s->scan && !s->fitting;
    for (const Scan *scan = s->scan; scan && !reads; scan = scan->outer)
        reads = expr_uses_index(s->program->pool, body, scan->index);
    return reads;
}

/* In a metric, a sum over the batch runs over the whole evaluated set, in a fit over the training set: a
 * sum for each element of the domain; for a sum, *whole gets its node. */
static Value *set_reduction(Sema *s, const Ast *a, const Reduction *r, const Bound *b,
                            const Expr *body, Index **dims, int rank, Node **whole)
{
    if (r != &reduce_sum && r != &reduce_mean) {
        diag_error(s->diag, a->span, "over the %s, only sum and mean are available",
                   whole_set_name(s));
        return NULL;
    }
    for (int i = 0; i < rank; i++)
        if (dims[i]->per_example) {
            diag_error(s->diag, a->span,
                       "a table over the %s has a fixed size, and `%s` runs over the batch",
                       whole_set_name(s), dims[i]->name);
            return NULL;
        }
    if (is_of_steps(s, body)) {
        diag_error(s->diag, a->span, "a scan has no sums over the %s", whole_set_name(s));
        diag_help(s->diag, "write the reduction over the batch outside of the scan");
        return NULL;
    }
    if (!can_be_summed(s, a, body))
        return NULL;
    Node *n = make_node(s, s->statement->name, body, dims, rank, &reduce_sum, b->indices, b->count,
                        a->span);
    Node *total = set_sum(s, n);
    if (!total)
        return NULL;
    const Expr *sum = access_node(s, total, dims, rank);
    if (r == &reduce_mean)
        sum = expr_div(s->program->pool, sum, mean_count(s, b, true));
    else if (whole)
        *whole = total;
    return value_expr(s, sum, NULL, 0, a->span);
}

static const Expr *reduction_body(Sema *s, const Ast *a, const Reduction *r)
{
    Value *v = eval(s, a->left);
    const Expr *body = v ? value_to_scalar(s, v, "what a reduction runs over") : NULL;
    if (!body)
        return NULL;
    bool ok = true;
    if (r->truths)
        body = coerce(s, body, TYPE_BOOL, a->left->span, &ok);
    else if (body->type == TYPE_BOOL || body->kind == EXPR_AFFINE || r->mean)
        body = coerce(s, body, s->program->real, a->left->span, &ok);
    return ok ? body : NULL;
}

static void look_for_draws(void *context, const Expr *e)
{
    *(bool *)context = *(bool *)context || e->kind == EXPR_RANDOM;
}

/* Would the condition bring an index that the expression does not have? */
static bool brings_index(Sema *s, const Expr *condition, const Expr *e)
{
    Index **dims;
    int rank;
    free_indices(s, condition, NULL, 0, &dims, &rank);
    for (int i = 0; i < rank; i++)
        if (!expr_uses_index(s->program->pool, e, dims[i]))
            return true;
    return false;
}

/* `body` where all of the conditions hold that were known of its place, 0 elsewhere. */
static const Expr *where_known(Sema *s, const Expr *body, bool with_other_indices)
{
    ExprPool *p = s->program->pool;
    const Expr *all = NULL;
    for (const Facts *f = s->facts; f; f = f->outer) {
        bool skip = false;
        expr_visit(p, f->test, look_for_draws, &skip);
        if (skip || (!with_other_indices && brings_index(s, f->test, body)))
            continue;
        const Expr *test = f->holds ? f->test : expr_call(p, &scalar_not, &f->test);
        all = all ? expr_and(p, all, test) : test;
    }
    return all ? expr_select(p, all, body, expr_const_typed(p, 0, body->type)) : body;
}

/* A reduction is a tensor of its own, also where no branch reads it: there, too, its body has to stay
 * inside the tensors it reads. */
static const Expr *stay_inside(Sema *s, const Expr *body)
{
    ExprPool *p = s->program->pool;
    if (!s->facts || expr_reads_inside(p, NULL, body))
        return body;
    const Expr *few = where_known(s, body, false);
    return expr_reads_inside(p, NULL, few) ? few : where_known(s, body, true);
}

/* The node of a reduction.  Where it is a statement's whole right side, `lhs` is the domain and
 * *whole gets the node itself. */
Value *eval_reduce(Sema *s, const Ast *a, const char *name, Index *const *lhs, int lhs_rank,
                   Node **whole)
{
    const Reduction *r = reduction_find(a->name);
    Memo *m = memo_find(s, a);
    if (!m)
        bug("a reduction without its indices");
    IndexScope *outer_scope = s->statement->indices;
    Ellipsis *outer_ellipsis = s->statement->ellipsis;
    Index *outer_batch = s->batch;
    if (m->scope)
        s->statement->indices = m->scope;
    if (m->ellipsis)
        s->statement->ellipsis = m->ellipsis;
    if (m->batch)
        s->batch = m->batch_index;
    const Bound bound = bound_indices(s, a, m);
    const Expr *body = reduction_body(s, a, r);
    Value *v = NULL;
    if (body) {
        body = stay_inside(s, body);
        Index **dims = (Index **)lhs;
        int rank = lhs_rank;
        if (!whole)
            free_indices(s, body, bound.indices, bound.count, &dims, &rank);
        if (bound.count == 0 && !r->position) { /* `...` that stands for nothing */
            v = value_expr(s, body, NULL, 0, a->span);
        } else if (m->batch && (s->in_metric || s->fitting)) {
            v = set_reduction(s, a, r, &bound, body, dims, rank, whole);
        } else {
            const Reduction *kept = r->mean ? &reduce_sum : r;
            const char *node_name =
                whole && !r->mean ? name : arena_format(s->arena, "%s_%s", name, a->name);
            Node *n = make_node(s, node_name, body, dims, rank, kept, bound.indices, bound.count,
                                a->span);
            s->batch = outer_batch;
            const Expr *e = access_node(s, n, dims, rank);
            if (r->mean)
                e = expr_div(s->program->pool, e, mean_count(s, &bound, false));
            if (whole && !r->mean)
                *whole = n;
            v = value_expr(s, e, NULL, 0, a->span);
        }
    }
    s->statement->indices = outer_scope;
    s->statement->ellipsis = outer_ellipsis;
    s->batch = outer_batch;
    return v;
}
