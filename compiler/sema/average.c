/* Averages: a mean of each trained parameter over the updates, which inference reads in its place. */
#include "sema/internal.h"

#include <string.h>

bool read_average(Sema *s, const Ast *e)
{
    const Ast *a = e->items.count == 1 ? e->items.data[0] : NULL;
    if (a && (a->kind == AST_CALL || a->kind == AST_NAME)) {
        s->average = a;
        return true;
    }
    diag_error(s->diag, e->span, "write it so: average ema(decay = 0.999)");
    return false;
}

/* ---- the tensor ---------------------------------------------------------------------------------------- */

/* It starts as the parameter does. */
static void start_average(Sema *s, Tensor *average)
{
    Graph *init = s->init;
    for (int i = 0; i < init->results.count; i++)
        if (init->results.data[i].tensor == average->of) {
            graph_result(init, RESULT_UPDATE, average->name, init->results.data[i].value, average,
                         0);
            return;
        }
    bug("a parameter without a start");
}

/* NULL where there is none: no average is asked for, or nothing updates the parameter. */
static Tensor *average_of(Sema *s, Tensor *w)
{
    if (!s->average || w->role != ROLE_PARAM || w->frozen || !group_optimizer(s, group_of(s, w)))
        return NULL;
    const char *name = intern(s->names, arena_format(s->arena, "%s.average", w->name));
    Tensor *t = tensor_find(s, name);
    if (!t) {
        t = tensor_add(s, name, ROLE_AVERAGE, w->type, w->shape, w->rank, w->span);
        t->of = w;
        start_average(s, t);
    }
    return t;
}

void read_averages(Sema *s)
{
    for (int i = 0; i < s->graph->nodes.count; i++) {
        Node *n = s->graph->nodes.data[i];
        Tensor *average = n->kind == NODE_TENSOR ? average_of(s, n->tensor) : NULL;
        if (average)
            n->tensor = average;
    }
}

/* ---- the update ---------------------------------------------------------------------------------------- */

static bool is_updated(const Sema *s, const Tensor *t)
{
    for (int i = 0; i < s->updates.count; i++)
        if (s->updates.data[i].tensor == t)
            return true;
    return false;
}

bool update_average(Sema *s, Tensor *w)
{
    Tensor *t = average_of(s, w);
    if (!t)
        return true;
    s->updated = w;
    s->averaged = t;
    s->hyper_prefix = "average";
    const bool done = run_optimizer(s, s->average);
    s->hyper_prefix = NULL;
    s->averaged = NULL;
    if (!done || is_updated(s, t))
        return done;
    diag_error(s->diag, s->average->span, "this leaves `average` as it is");
    diag_help(s->diag, "what keeps an average says how: average <- …");
    return false;
}
