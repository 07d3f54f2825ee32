/* States that are fitted to the training data before the first step:
 *
 *     state center[k: c] = 0 fit mean[batch, ...] x[..., k]
 *
 * The entry fit() adds up what the reductions over the batch run over, fitted() makes the states of the
 * sums.  A state whose fit reads another one is right after one more pass over the data; one that reads
 * itself, as the pass before left it, takes a second one. */
#include "sema/internal.h"

/* ---- sums ---------------------------------------------------------------------------------------------------- */

/* It is not right before these passes are done. */
static void fit_after(Tensor *t, int passes)
{
    if (t->passes < passes)
        t->passes = passes;
}

bool fit_sums(Sema *s, const Ast *a, const Rests *of)
{
    if (of->call) {
        diag_error(s->diag, a->span,
                   "this fit depends on the examples that happen to be in one batch");
        diag_note(s->diag, of->call->span, "`%s` reduces over the batch here", of->call->name);
        return false;
    }
    fit_after(s->fitting, of->passes);
    return true;
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
    const bool known = e->kind == EXPR_ACCESS &&
                       (e->node->kind == NODE_SUM ||
                        (e->node->kind == NODE_TENSOR && e->node->tensor->role == ROLE_STATE));
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

static void add_fit(Sema *s, Tensor *t, const Expr *value, Index *const *dims)
{
    Program *p = s->program;
    const char *name = arena_format(s->arena, "%s_fitted", t->name);
    const Fit fit = {t, make_node(s, name, value, dims, t->rank, NULL, NULL, 0, t->span)};
    vec_push(s->arena, &s->fits, fit);
    fit_after(t, find_rests(s, value).passes);
    t->passes++;
    if (p->fit_passes < t->passes)
        p->fit_passes = t->passes;
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
        add_fit(s, t, e, dims);
    s->fitting = NULL;
    statement_leave(s);
}

/* ---- the second entry ------------------------------------------------------------------------------------------ */

void build_fitted(Sema *s)
{
    Copier *c = copier_open(s, ENTRY_FITTED);
    for (int i = 0; i < s->fits.count; i++)
        copier_need(c, s->fits.data[i].value);
    Graph *g = s->program->entries[ENTRY_FITTED] = copier_run(c);
    for (int i = 0; i < s->fits.count; i++) {
        const Fit *f = &s->fits.data[i];
        Node *n = copier_copy(c, f->value);
        n->type = f->state->type; /* narrowed where it is stored */
        graph_result(g, RESULT_UPDATE, f->state->name, n, f->state, 0);
    }
    graph_prune(s->graph);
}
