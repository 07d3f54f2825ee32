/* The gradients of the losses: which parameters each trains, as means over the batch. */
#include "grad/internal.h"

typedef VEC(Seed) Seeds;
typedef VEC(Node *) Nodes;

static const Expr *batch_size(Graph *g)
{
    return expr_scalar(g->pool, SCALAR_BATCH_SIZE, 0);
}

/* Everything is differentiated as the sum over the examples; a loss of no example counts for each. */
static Seeds seeds_of_losses(Graph *g, const char *loss)
{
    Seeds seeds = {0};
    for (int i = 0; i < g->results.count; i++) {
        const Result *result = &g->results.data[i];
        Node *n = result->value;
        if (result->role == RESULT_LOSS && (!loss || result->name == loss))
            vec_push(g->arena, &seeds,
                     ((Seed){n, node_is_batched(n) ? expr_const(g->pool, 1) : batch_size(g)}));
    }
    return seeds;
}

static bool has_gradient(const Graph *g, const Tensor *t)
{
    for (int i = 0; i < g->results.count; i++)
        if (g->results.data[i].role == RESULT_GRADIENT && g->results.data[i].tensor == t)
            return true;
    return false;
}

static Nodes parameters_to_train(Graph *g, const Program *program, const char *loss)
{
    Nodes wanted = {0};
    for (int i = 0; i < program->tensors.count; i++) {
        Tensor *t = program->tensors.data[i];
        if (t->role == ROLE_PARAM && !t->frozen && t->loss == loss && !has_gradient(g, t))
            vec_push(g->arena, &wanted, graph_tensor(g, t));
    }
    return wanted;
}

/* The sum over the batch, divided by its size: the mean. */
static Node *mean_gradient(Reverse *r, const Node *w)
{
    Graph *g = r->g;
    const Expr *sum = cotangent_total(r, w, arena_format(g->arena, "d_%s_total", w->name));
    const Expr *mean = sum ? expr_mul(r->p, sum, expr_div(r->p, expr_const(r->p, 1), batch_size(g)))
                           : expr_const(r->p, 0);
    return adjoint_node(g, w, d_name(g, w), w->type, cotangent_of(r, w)->axes, w->rank, NULL, NULL,
                        0, mean);
}

static void warn_of_no_gradient(Graph *g, const Seeds *seeds, const Node *w, Diag *d)
{
    Node **of = arena_new(g->arena, Node *, seeds->count + 1);
    Wall wall;
    for (int i = 0; i < seeds->count; i++)
        of[i] = seeds->data[i].node;
    const bool blocked = grad_blocked(g, of, seeds->count, w, &wall);
    diag_warning(d, w->tensor->span,
                 blocked ? "parameter `%s` gets no gradient, though the loss depends on it"
                         : "parameter `%s` does not influence the loss",
                 w->tensor->name);
    if (blocked)
        grad_note_wall(d, &wall);
}

/* The parameters that `loss` trains; NULL: those that all losses do. */
static void add_gradients(Graph *g, Program *program, const char *loss, Diag *d)
{
    Nodes wanted = parameters_to_train(g, program, loss);
    if (wanted.count == 0)
        return;
    Seeds seeds = seeds_of_losses(g, loss);
    Reverse *r = reverse_walk(g, seeds.data, seeds.count, wanted.data, wanted.count);
    for (int i = 0; i < wanted.count; i++) {
        Node *w = wanted.data[i];
        if (cotangent_of(r, w)->shares.count == 0)
            warn_of_no_gradient(g, &seeds, w, d);
        graph_result(g, RESULT_GRADIENT, w->tensor->name, mean_gradient(r, w), w->tensor, 0);
    }
}

void grad_run(Graph *g, Program *program, Diag *d)
{
    add_gradients(g, program, NULL, d);
    for (int i = 0, losses = g->results.count; i < losses; i++)
        if (g->results.data[i].role == RESULT_LOSS)
            add_gradients(g, program, g->results.data[i].name, d);
    graph_sort(g);
}
