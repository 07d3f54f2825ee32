/* States in scans: what a body does to a state goes on to the next step, as a carry does, and what the
 * last step leaves is the state's new value. */
#include "sema/internal.h"

/* As it is before this step's update: the last step's, or what the scan found. */
static Node *value_before(Sema *s, const Scan *scan, const StateCarry *c, Index **dims)
{
    ExprPool *p = s->program->pool;
    const int rank = c->tensor->rank, leading = node_understood(c->node);
    Index *understood[MOST_UNDERSTOOD];
    understood_subscripts(s, c->node, s->batch, understood);
    Subscript *subs = arena_new(s->arena, Subscript, leading + rank);
    const Affine *inside, *before = scan_step_before(s, scan, &inside);
    for (int i = 0; i < leading + rank; i++)
        subs[i].affine = i + 1 == leading
                             ? before
                             : affine_index(p, i < leading ? understood[i] : dims[i - leading]);
    const Expr *e =
        expr_select(p, expr_test(p, TEST_NOT_NEGATIVE, inside), expr_access(p, c->node, subs),
                    access_node(s, c->outer, dims, rank));
    return make_node(s, arena_format(s->arena, "%s_before", c->tensor->name), e, dims, rank, NULL,
                     NULL, 0, c->tensor->span);
}

static StateCarry *find_state(const Scan *scan, const Tensor *t)
{
    for (int i = 0; i < scan->states.count; i++)
        if (scan->states.data[i].tensor == t)
            return &scan->states.data[i];
    return NULL;
}

Node *scan_state(Sema *s, Tensor *t)
{
    Scan *scan = s->scan;
    const StateCarry *known = find_state(scan, t);
    if (known)
        return known->value ? known->value : known->before;
    StateCarry c = {.tensor = t};
    s->scan = scan->outer;
    c.outer = tensor_current(s, t);
    s->scan = scan;
    Index **dims = tensor_indices(s, t);
    c.node = node_promise(s, scan, false, arena_format(s->arena, "%s_carried", t->name), t->type,
                          dims, t->rank, t->span);
    c.before = value_before(s, scan, &c, dims);
    vec_push(s->arena, &scan->states, c);
    return c.before;
}

void scan_state_set(Sema *s, Tensor *t, Node *value)
{
    scan_state(s, t);
    find_state(s->scan, t)->value = value;
}

/* The state's newest value around the scan. */
static const Node *outside(Sema *s, const Scan *scan, Tensor *t)
{
    const StateCarry *c = scan->outer ? find_state(scan->outer, t) : NULL;
    return !c ? tensor_outside(s, t) : c->value ? c->value : c->before;
}

/* States that the frame knows by name. */
void scan_states_open(Sema *s)
{
    for (int i = 0; i < s->frame->bindings.count; i++) {
        Binding *b = &s->frame->bindings.data[i];
        for (int k = 0; b->value && b->value->node && k < s->program->tensors.count; k++) {
            Tensor *t = s->program->tensors.data[k];
            if (t->role == ROLE_STATE && outside(s, s->scan, t) == b->value->node)
                b->value = value_node(s, scan_state(s, t), b->span);
        }
    }
}

/* The value that the last step leaves. */
static Node *last_state(Sema *s, const Scan *scan, const StateCarry *c)
{
    ExprPool *p = s->program->pool;
    Index **dims = tensor_indices(s, c->tensor), *understood[MOST_UNDERSTOOD];
    const int rank = c->tensor->rank,
              leading = understood_subscripts(s, c->node, s->batch, understood);
    Subscript *subs = arena_new(s->arena, Subscript, leading + rank);
    for (int i = 0; i < leading + rank; i++)
        subs[i].affine = i + 1 == leading
                             ? scan_last_step(s, scan)
                             : affine_index(p, i < leading ? understood[i] : dims[i - leading]);
    s->scan = scan->outer;
    return make_node(s, arena_format(s->arena, "%s_next", c->tensor->name),
                     expr_access(p, c->node, subs), dims, rank, NULL, NULL, 0, c->tensor->span);
}

void scan_states_close(Sema *s, Scan *scan)
{
    for (int i = 0; i < scan->states.count; i++) {
        const StateCarry *c = &scan->states.data[i];
        node_keep(s, c->value ? c->node : c->before, c->value ? c->value : c->outer);
        for (int k = 0; !c->value && k < s->frame->bindings.count; k++) {
            Binding *b = &s->frame->bindings.data[k];
            if (b->value && b->value->node == c->before)
                b->value = value_node(s, c->outer, b->span);
        }
    }
    for (int i = 0; i < scan->states.count; i++) {
        const StateCarry *c = &scan->states.data[i];
        s->scan = scan;
        Node *last = c->value ? last_state(s, scan, c) : NULL;
        s->scan = scan->outer;
        if (last)
            state_set(s, c->tensor, last);
    }
    s->scan = scan;
}
