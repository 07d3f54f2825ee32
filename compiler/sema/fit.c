/* States that are fitted to the training data before the first step:
 *
 *     state center[k: c] = 0 fit mean[batch, ...] x[..., k]
 *
 * The entry fit() adds up what the reductions over the batch run over, fitted() makes the states of the
 * sums.  A state whose fit reads another one is right after one more pass over the data; one that reads
 * itself, as the pass before left it, takes a second one. */
#include "sema/internal.h"

#include <string.h>

/* ---- what a sum rests on --------------------------------------------------------------------------------- */

typedef struct Search {
    Sema *sema;
    bool *seen;         /* per node id                                 */
    const Node *batch;  /* it reduces over the examples of one call    */
    const Node *summed; /* it is a sum over the whole set              */
    int passes;         /* after which what it reads is right          */
} Search;

static int passes_of(const Sema *s, const Tensor *t)
{
    return t == s->fitting ? 1 : t->passes;
}

static void look(void *context, const Expr *e);

static void look_at(Search *search, const Node *n)
{
    if (search->seen[n->id])
        return;
    search->seen[n->id] = true;
    for (int i = 0; i < n->bound_count; i++)
        if (n->bound[i]->per_example)
            search->batch = n;
    if (n->kind == NODE_TENSOR && n->tensor->role == ROLE_SUM)
        search->summed = n;
    if (n->kind == NODE_TENSOR && passes_of(search->sema, n->tensor) > search->passes)
        search->passes = passes_of(search->sema, n->tensor);
    if (n->kind == NODE_VIEW)
        look_at(search, n->viewed);
    if (n->kind == NODE_COMPUTE)
        expr_visit(search->sema->program->pool, n->body, look, search);
}

static void look(void *context, const Expr *e)
{
    if (e->kind == EXPR_ACCESS)
        look_at(context, e->node);
}

static Search rests_on(Sema *s, const Expr *e)
{
    Search search = {.sema = s, .seen = arena_new(s->arena, bool, s->graph->nodes.count + 1)};
    expr_visit(s->program->pool, e, look, &search);
    return search;
}

static bool can_be_summed(Sema *s, const Ast *a, const Search *found)
{
    if (found->summed) {
        diag_error(s->diag, a->span, "this reduction over the batch depends on another one");
        diag_help(s->diag, "give what it depends on a state of its own, fitted before");
    } else if (found->batch) {
        diag_error(s->diag, a->span,
                   "this fit depends on the examples that happen to be in one batch");
        diag_note(s->diag, found->batch->span, "`%s` reduces over the batch here",
                  found->batch->name);
    }
    return !found->summed && !found->batch;
}

/* ---- sums ---------------------------------------------------------------------------------------------------- */

static int64_t elements(Index *const *dims, int rank)
{
    int64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= dims[i]->extent;
    return count;
}

/* Stands for the sum in what is made of it; it lies among the caller's numbers. */
static Tensor *sum_tensor(Sema *s, const Node *n, int passes)
{
    Program *p = s->program;
    int64_t *shape = arena_new(s->arena, int64_t, n->rank + 1);
    for (int i = 0; i < n->rank; i++)
        shape[i] = n->domain[i]->extent;
    Tensor *t = arena_new(s->arena, Tensor, 1);
    *t = (Tensor){.name = intern(s->names, arena_format(s->arena, "%s_over_all", n->name)),
                  .role = ROLE_SUM,
                  .type = p->real,
                  .rank = n->rank,
                  .shape = shape,
                  .offset = (uint64_t)p->fit_count * (uint64_t)dtype_size(p->real),
                  .passes = passes,
                  .span = n->span};
    return t;
}

const Expr *fit_sum(Sema *s, const Ast *a, const Expr *body, Index *const *dims, int rank,
                    Index *const *bound, int bound_count)
{
    const Search found = rests_on(s, body);
    if (!can_be_summed(s, a, &found))
        return NULL;
    const char *name = arena_format(s->arena, "%s_sum", s->fitting->name);
    Node *n = make_node(s, name, body, dims, rank, &reduce_sum, bound, bound_count, a->span);
    Tensor *sum = sum_tensor(s, n, found.passes);
    graph_result(s->graph, RESULT_SUM, n->name, n, NULL, (int)s->program->fit_count);
    s->program->fit_count += elements(dims, rank);
    return access_node(s, graph_tensor(s->graph, sum), dims, rank);
}

/* ---- the statement ------------------------------------------------------------------------------------------- */

static Index **state_indices(Sema *s, const Tensor *t, const Ast *a)
{
    Index **dims = tensor_indices(s, t);
    for (int i = 0; i < t->rank; i++) {
        const Ast *item = a->items.data[i];
        if (item->kind != AST_INDEX || !item->left)
            continue;
        dims[i] = index_new(s->program->pool, item->name, t->shape[i], 0, item->span);
        index_push(s, item->name, dims[i], item->span)->given = true;
    }
    return dims;
}

static void see_data(void *context, const Expr *e)
{
    const bool known = e->kind == EXPR_ACCESS && e->node->kind == NODE_TENSOR &&
                       (e->node->tensor->role == ROLE_SUM || e->node->tensor->role == ROLE_STATE);
    *(bool *)context |= (e->kind == EXPR_ACCESS && !known) || e->kind == EXPR_RANDOM ||
                        (e->kind == EXPR_SCALAR && e->scalar != SCALAR_EXAMPLES);
}

static bool rests_on_sums(Sema *s, const Ast *a, const Expr *e)
{
    bool data = false;
    expr_visit(s->program->pool, e, see_data, &data);
    if (!data)
        return true;
    diag_error(s->diag, a->right->span,
               "a fit is made of sums and means over the whole set, of states and of numbers");
    diag_help(s->diag, "put what depends on an example or a tensor under mean[batch]");
    return false;
}

static bool is_fitted(const Sema *s, const Tensor *t)
{
    for (int i = 0; i < s->fits.count; i++)
        if (s->fits.data[i].state == t)
            return true;
    return false;
}

/* What the state becomes, for each element; NULL after an error. */
static const Expr *fit_value(Sema *s, const Tensor *t, const Ast *a)
{
    Value *v = infer_extents(s, a->right) ? eval(s, a->right) : NULL;
    const Expr *e = v ? value_to_scalar(s, v, "a fit") : NULL;
    bool ok = true;
    e = e ? coerce(s, e, t->type, a->right->span, &ok) : NULL;
    return e && ok && rests_on_sums(s, a, e) ? e : NULL;
}

/* Was there no fit of it when the fits were read?  The gradient check's twin, and what is printed, have
 * no such entry. */
static bool is_missed(const Sema *s, const Tensor *t)
{
    return !t->passes && !s->printing && s->options.real == TYPE_F32;
}

void run_fit(Sema *s, Tensor *t, const Ast *a)
{
    s->has_fits = t->fitted = true;
    if (s->training && is_missed(s, t)) {
        diag_error(s->diag, a->span,
                   "this state would not be fitted: it is declared in training alone");
        diag_help(s->diag, "declare it outside of what depends on `training`");
    }
    if (s->entry != ENTRY_FIT || is_fitted(s, t)) /* shared: by its first use */
        return;
    statement_enter(s, t->name);
    Index **dims = state_indices(s, t, a);
    s->fitting = t;
    const Expr *e = fit_value(s, t, a);
    if (e)
        t->passes = rests_on(s, e).passes + 1;
    s->fitting = NULL;
    statement_leave(s);
    if (!e)
        return;
    if (s->program->fit_passes < t->passes)
        s->program->fit_passes = t->passes;
    const Fit fit = {t, e, dims};
    vec_push(s->arena, &s->fits, fit);
}

/* ---- the second entry ------------------------------------------------------------------------------------------ */

static const Expr *in_graph(void *context, const Expr *e)
{
    Graph *g = context;
    if (e->kind != EXPR_ACCESS)
        return e;
    return expr_access(g->pool, graph_tensor(g, e->node->tensor), e->subscripts);
}

bool build_fitted(Sema *s)
{
    Program *p = s->program;
    Graph *g = graph_create(p->pool, s->names, entry_name(ENTRY_FITTED), 1);
    for (int i = 0; i < s->fits.count; i++) {
        const Fit *f = &s->fits.data[i];
        const Expr *body = expr_map(p->pool, f->value, in_graph, g);
        Node *n =
            graph_compute(g, arena_format(s->arena, "%s_fitted", f->state->name), f->state->type,
                          f->dims, f->state->rank, NULL, NULL, 0, body, f->state->span);
        graph_result(g, RESULT_UPDATE, f->state->name, n, f->state, 0);
    }
    p->entries[ENTRY_FITTED] = g;
    return true;
}
