/* The update: the optimizer's text run once for every trained parameter. */
#include "sema/internal.h"

#include <string.h>

/* ---- gradients ---------------------------------------------------------------------------------------- */

/* Takes the gradient results out of the graph; what remains is theirs alone. */
static Node *take_gradient(Sema *s, const Tensor *t)
{
    Graph *g = s->graph;
    for (int i = 0; i < g->results.count; i++) {
        if (g->results.data[i].role != RESULT_GRADIENT || g->results.data[i].tensor != t)
            continue;
        Node *n = g->results.data[i].value;
        for (int k = i + 1; k < g->results.count; k++)
            g->results.data[k - 1] = g->results.data[k];
        g->results.count--;
        return n;
    }
    return NULL;
}

static Tensor *gradient_tensor(Sema *s, Tensor *t)
{
    const char *name = intern(s->names, arena_format(s->arena, "%s.gradient", t->name));
    Tensor *g = tensor_find(s, name);
    if (!g) {
        g = tensor_add(s, name, ROLE_GRADIENT, t->type, t->shape, t->rank, t->span);
        g->of = t;
    }
    return g;
}

Index **tensor_indices(Sema *s, const Tensor *t)
{
    Index **dims = arena_new(s->arena, Index *, t->rank + 1);
    for (int i = 0; i < t->rank; i++)
        dims[i] = index_new(s->program->pool, intern(s->names, arena_format(s->arena, "i%d", i)),
                            t->shape[i], 0, t->span);
    return dims;
}

/* gradient(): the first micro-batch stores, later ones add. */
static void store_gradient(Sema *s, Tensor *t)
{
    ExprPool *p = s->program->pool;
    Node *g = take_gradient(s, t);
    if (!g)
        return;
    Tensor *sum = gradient_tensor(s, t);
    Index **dims = tensor_indices(s, t);
    const Expr *before = access_node(s, graph_tensor(s->graph, sum), dims, t->rank);
    const Expr *start = expr_select(p, expr_scalar(p, SCALAR_FIRST, 0), expr_const(p, 0), before);
    const Expr *scaled =
        expr_mul(p, expr_scalar(p, SCALAR_SCALE, 0), access_node(s, g, dims, t->rank));
    Node *n =
        make_node(s, sum->name, expr_add(p, start, scaled), dims, t->rank, NULL, NULL, 0, t->span);
    graph_result(s->graph, RESULT_UPDATE, sum->name, n, sum, 0);
}

/* ---- the optimizer's call ---------------------------------------------------------------------------------- */

/* An argument that calls a schedule is one number a step, shared by all parameters of the group. */
static Value *schedule_argument(Sema *s, const char *name, const Ast *a)
{
    const char *group = s->hyper_prefix;
    const char *path =
        group ? intern(s->names, arena_format(s->arena, "%s.%s", group, name)) : name;
    for (int i = 0; i < s->schedules.count; i++)
        if (s->schedules.data[i].name == path)
            return s->schedules.data[i].value;
    s->hyper_prefix = path;
    frame_enter(s, FRAME_SCHEDULE, a, false, "");
    Value *v = eval_statement(s, a, name);
    Node *n = v ? value_to_node(s, v, name) : NULL;
    frame_leave(s);
    s->hyper_prefix = group;
    v = n ? value_node(s, n, a->span) : NULL;
    const Binding b = {path, v, a->span};
    vec_push(s->arena, &s->schedules, b);
    return v;
}

static bool calls_schedule(Sema *s, const Ast *a)
{
    const Ast *callee = a->kind == AST_CALL ? a->left : a;
    return a->kind == AST_CALL && callee->kind == AST_NAME &&
           sema_declaration(s, callee->name, AST_SCHEDULE);
}

static const Declaration *find_optimizer(Sema *s, const Ast *call)
{
    const Ast *callee = call->kind == AST_CALL ? call->left : call;
    const Declaration *d =
        callee->kind == AST_NAME ? sema_declaration(s, callee->name, AST_OPTIMIZER) : NULL;
    if (!d && callee->kind == AST_STRING) {
        diag_error(s->diag, callee->span, "an optimizer is named without quotes");
        diag_help(s->diag, "optimizer %s(lr = …)", callee->name);
    } else if (!d)
        sema_unknown_name(s, callee->span, callee->name ? callee->name : "?", AST_OPTIMIZER,
                          "optimizer");
    return d;
}

bool run_optimizer(Sema *s, const Ast *call)
{
    const Declaration *d = find_optimizer(s, call);
    VEC(Value *) args = {0};
    VEC(const char *) names = {0};
    if (!d)
        return false;
    for (int i = 0; call->kind == AST_CALL && i < call->items.count; i++) {
        const Ast *item = call->items.data[i];
        const Ast *a = item->kind == AST_ARGUMENT ? item->left : item;
        const char *name = item->kind == AST_ARGUMENT ? item->name
                           : i < d->ast->items.count  ? d->ast->items.data[i]->name
                                                      : "";
        s->symbols = true;
        Value *v =
            calls_schedule(s, a) ? schedule_argument(s, name, a) : eval_statement(s, a, name);
        s->symbols = false;
        if (!v)
            return false;
        v->label = item->name_span;
        vec_push(s->arena, &args, v);
        vec_push(s->arena, &names, item->kind == AST_ARGUMENT ? item->name : NULL);
    }
    return apply_declaration(s, d, "", args.data, names.data, args.count, call->span) != NULL;
}

static bool update_parameter(Sema *s, Tensor *w, Node *gradient)
{
    const Group *group = group_of(s, w);
    s->updated = w;
    s->gradient = gradient;
    s->hyper_prefix = group_prefix(s, group);
    s->every = group->every > 1 ? group->every : 0;
    const bool done = run_optimizer(s, group_optimizer(s, group));
    s->hyper_prefix = NULL;
    s->every = 0;
    return done;
}

static bool update_parameters(Sema *s)
{
    const int count = s->program->tensors.count;
    Tensor **weights = arena_new(s->arena, Tensor *, count + 1);
    Node **gradients = arena_new(s->arena, Node *, count + 1);
    int trained = 0;
    for (int i = 0; i < count; i++) {
        Tensor *t = s->program->tensors.data[i];
        if (t->role != ROLE_PARAM || t->frozen || !group_optimizer(s, group_of(s, t)))
            continue; /* without an optimizer it stays as it is */
        Node *g = s->entry == ENTRY_UPDATE ? graph_tensor(s->graph, gradient_tensor(s, t))
                                           : take_gradient(s, t);
        if (!g)
            continue;
        weights[trained] = t;
        gradients[trained++] = g;
    }
    clip_gradients(s, gradients, weights, trained);
    for (int i = 0; i < trained; i++)
        if (!update_parameter(s, weights[i], gradients[i]) || !update_average(s, weights[i]))
            return false;
    return true;
}

/* A loss's mean over the batch. */
static const Expr *mean_loss(Sema *s, const Result *r)
{
    ExprPool *p = s->program->pool;
    if (!node_is_batched(r->value))
        return access_node(s, r->value, NULL, 0);
    Index *outer = s->batch, *b = index_copy(p, s->batch);
    s->batch = b;
    const Expr *each = access_node(s, r->value, NULL, 0);
    Node *sum = make_node(s, arena_format(s->arena, "%s_sum", r->name), each, NULL, 0, &reduce_sum,
                          &b, 1, r->value->span);
    s->batch = outer;
    return expr_div(p, access_node(s, sum, NULL, 0), expr_scalar(p, SCALAR_BATCH_SIZE, 0));
}

/* The losses' means, one by one where the entry is theirs alone. */
static void add_losses(Sema *s, const Result *losses, const Expr *const *means, int count)
{
    const bool unnamed = s->program->losses.count == 0;
    for (int i = 0; i < count && s->entry == ENTRY_LOSS; i++) {
        Node *n = make_node(s, arena_format(s->arena, "%s_mean", losses[i].name), means[i], NULL, 0,
                            NULL, NULL, 0, losses[i].value->span);
        graph_result(s->graph, RESULT_VALUE, losses[i].name, n, NULL, i);
        if (unnamed)
            vec_push(s->arena, &s->program->losses, losses[i].name);
    }
}

/* The sum of the losses' means, as one number. */
static void total_loss(Sema *s)
{
    Graph *g = s->graph;
    const Expr *total = expr_const(s->program->pool, 0);
    Result *losses = arena_new(s->arena, Result, g->results.count + 1);
    const Expr **means = arena_new(s->arena, const Expr *, g->results.count + 1);
    int kept = 0, count = 0;
    for (int i = 0; i < g->results.count; i++) {
        const Result r = g->results.data[i];
        if (r.role != RESULT_LOSS) {
            g->results.data[kept++] = r;
            continue;
        }
        losses[count] = r;
        means[count] = mean_loss(s, &r);
        total = expr_add(s->program->pool, total, means[count++]);
    }
    g->results.count = kept;
    Node *n = make_node(s, "mean_loss", total, NULL, 0, NULL, NULL, 0, s->model->span);
    graph_result(g, RESULT_LOSS, "loss", n, NULL, 0);
    add_losses(s, losses, means, count);
}

/* Everything of an entry that comes after differentiation. */
bool add_updates(Sema *s)
{
    const int errors = diag_error_count(s->diag);
    const bool loss =
        s->entry == ENTRY_STEP || s->entry == ENTRY_GRADIENT || s->entry == ENTRY_LOSS;
    s->schedules.count = 0;
    if (loss)
        total_loss(s);
    if (s->entry == ENTRY_GRADIENT)
        for (int i = 0, n = s->program->tensors.count; i < n; i++)
            if (s->program->tensors.data[i]->role == ROLE_PARAM)
                store_gradient(s, s->program->tensors.data[i]);
    if ((s->entry == ENTRY_STEP || s->entry == ENTRY_UPDATE) && !update_parameters(s))
        return false;
    if (s->entry == ENTRY_STEP || s->entry == ENTRY_UPDATE)
        for (int i = 0; i < s->updates.count; i++) {
            const Result *r = &s->updates.data[i];
            graph_result(s->graph, r->role, r->name, r->value, r->tensor, 0);
            s->graph->results.data[s->graph->results.count - 1].every = r->every;
        }
    return diag_error_count(s->diag) == errors;
}
