/* scan t with h = start { … }: a recurrence.
 * The index is understood in the body, as the batch is: what uses it gets it in its domain.  A carry
 * read before its update is the last step's, after it this step's.  What does not need a carry is no
 * part of the cycle, so it leaves the scan by itself.  Scans nest: the steps of all around are understood. */
#include "sema/internal.h"

#include <string.h>

IndexScope *scan_index(Sema *s, const char *name)
{
    for (Scan *scan = s->scan; scan && scan->frame == s->frame; scan = scan->outer)
        if (scan->ast->name == name)
            return &scan->scope;
    return NULL;
}

bool scan_counts(const Sema *s, const Index *ix)
{
    for (const Scan *scan = s->scan; scan; scan = scan->outer)
        if (scan->index == ix)
            return true;
    return false;
}

/* ---- how many steps -------------------------------------------------------------------------------------- */

/* x[t, i]: the extent of the dimension at which the index stands alone. */
static bool extent_of_subscript(Sema *s, const Ast *a, const char *name, Index *ix)
{
    const Value *base = a->left->kind == AST_NAME ? frame_lookup(s->frame, a->left->name) : NULL;
    if (!base || base->kind != VALUE_TENSOR)
        return false;
    bool ellipsis = false;
    for (int i = 0; i < a->items.count; i++) {
        const Ast *item = a->items.data[i];
        ellipsis = ellipsis || item->kind == AST_ELLIPSIS;
        const int dimension = ellipsis ? base->rank - (a->items.count - i) : i;
        if (item->kind == AST_NAME && item->name == name && value_dimension(base, dimension) &&
            !value_dimension(base, dimension)->per_example)
            return value_extent(base, dimension, &ix->extent);
    }
    return false;
}

static bool find_extent(Sema *s, const Ast *a, const char *name, Index *ix)
{
    if (!a)
        return false;
    if (a->kind == AST_SUBSCRIPT && extent_of_subscript(s, a, name, ix))
        return true;
    const Ast *parts[] = {a->cond, a->left, a->right};
    for (int i = 0; i < 3; i++)
        if (find_extent(s, parts[i], name, ix))
            return true;
    const AstList *lists[] = {&a->items, &a->body, &a->orelse};
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < lists[i]->count; k++)
            if (find_extent(s, lists[i]->data[k], name, ix))
                return true;
    return false;
}

static bool count_steps(Sema *s, const Ast *a, Index *ix)
{
    if (a->left) {
        int64_t extent;
        statement_enter(s, "scan");
        const bool known = eval_integer(s, a->left, "the number of steps", &extent);
        statement_leave(s);
        ix->extent = known ? extent : 0;
        if (known && extent < 1)
            diag_error(s->diag, a->left->span, "a scan has at least one step");
        return known && extent >= 1;
    }
    for (int i = 0; i < a->body.count; i++)
        if (find_extent(s, a->body.data[i], a->name, ix))
            return true;
    diag_error(s->diag, a->name_span, "nothing says how far `%s` runs", a->name);
    diag_help(s->diag,
              "an index that stands alone in a subscript takes that dimension's extent; otherwise "
              "give the "
              "number of steps: scan %s: n",
              a->name);
    return false;
}

/* ---- carries ------------------------------------------------------------------------------------------------ */

typedef struct Start {
    Node *node; /* or */
    double number;
    DType type;
    int rank;
    Index **dims; /* fresh */
} Start;

static bool carry_dimensions(Sema *s, const Ast *a, Start *start)
{
    start->rank = a->items.count;
    start->dims = arena_new(s->arena, Index *, start->rank + 1);
    for (int i = 0; i < a->items.count; i++) {
        const Ast *item = a->items.data[i];
        int64_t extent;
        statement_enter(s, a->name);
        const bool known =
            item->kind != AST_ELLIPSIS &&
            eval_integer(s, item->kind == AST_INDEX ? item->left : item, "a dimension", &extent);
        statement_leave(s);
        if (known && extent < 1)
            diag_error(s->diag, item->span, "a dimension must be at least 1");
        else if (item->kind == AST_ELLIPSIS)
            diag_error(s->diag, item->span, "a carry needs every dimension");
        if (!known || extent < 1)
            return false;
        const char *name = item->kind == AST_INDEX
                               ? item->name
                               : intern(s->names, arena_format(s->arena, "i%d", i));
        start->dims[i] = index_new(s->program->pool, name, extent, 0, item->span);
    }
    return true;
}

static bool has_named_indices(const Ast *a)
{
    for (int i = 0; i < a->items.count; i++)
        if (a->items.data[i]->kind != AST_INDEX)
            return false;
    return a->items.count > 0;
}

static bool fits(Sema *s, const Ast *a, const Start *start, const Value *v)
{
    bool same = v->rank == start->rank;
    for (int i = 0; same && i < v->rank; i++)
        same = value_dimension(v, i)->extent == start->dims[i]->extent &&
               !value_dimension(v, i)->per_example;
    if (!same)
        diag_error(s->diag, a->left->span, "the start of `%s` must have its shape, found %s",
                   a->name, value_describe(s, v));
    return same;
}

/* Without brackets a carry has the shape of its start. */
static bool shape_of_start(Sema *s, const Ast *a, Value *v, Start *start)
{
    start->rank = v->kind == VALUE_TENSOR ? v->rank : 0;
    start->dims = arena_new(s->arena, Index *, start->rank + 1);
    for (int i = 0; i < start->rank; i++) {
        if (value_dimension(v, i)->per_example) {
            diag_error(s->diag, a->left->span, "a carry cannot run over the batch");
            return false;
        }
        start->dims[i] = index_copy(s->program->pool, value_dimension(v, i));
    }
    return true;
}

static bool read_start(Sema *s, const Ast *a, Start *start)
{
    Value *v;
    start->type = s->program->real;
    if (a->items.count && !carry_dimensions(s, a, start))
        return false;
    const char *name = arena_format(s->arena, "%s_start", a->name);
    if (has_named_indices(a)) {
        start->node = define_tensor(s, a, name, NULL, 0);
        v = start->node ? value_node(s, start->node, a->span) : NULL;
    } else {
        v = eval_statement(s, a->left, name);
    }
    if (!v || (!a->items.count && !shape_of_start(s, a, v, start)))
        return false;
    if (v->kind == VALUE_NUMBER) {
        start->number = v->number;
        return true;
    }
    if (v->kind != VALUE_TENSOR) {
        value_unexpected(s, v, "a number or a tensor for a carry's start");
        return false;
    }
    if (a->items.count && !fits(s, a, start, v))
        return false;
    start->node = value_to_node(s, v, name);
    start->type = start->node ? start->node->type : start->type;
    return start->node != NULL;
}

/* The carry's own dimensions, behind those that are understood. */
static Index **carry_dims(const Carry *c, int *rank)
{
    const int understood = node_understood(c->node);
    *rank = c->node->rank - understood;
    return c->node->domain + understood;
}

const Affine *scan_step_before(Sema *s, const Scan *scan, const Affine **inside)
{
    ExprPool *p = s->program->pool;
    const Affine *t = affine_index(p, scan->index),
                 *before = affine_offset(p, t, scan->open.reversed ? 1 : -1);
    *inside = scan->open.reversed
                  ? affine_offset(p, affine_scale(p, before, -1), scan->index->extent - 1)
                  : before;
    return before;
}

/* What the carry is before this step's update: the last step's value, or its start. */
static Value *carried(Sema *s, const Scan *scan, const Ast *a, Node *n, const Start *start)
{
    ExprPool *p = s->program->pool;
    const Affine *inside, *before = scan_step_before(s, scan, &inside);
    const Scan *scans[MOST_STEPS];
    const int depth = scans_around(scan, scans);
    Subscript *subs = arena_new(s->arena, Subscript, start->rank + depth + 1);
    subs[0].affine = affine_index(p, s->batch);
    for (int i = 0; i < depth; i++)
        subs[1 + i].affine = affine_index(p, scans[i]->index);
    subs[depth].affine = before;
    for (int i = 0; i < start->rank; i++)
        subs[1 + depth + i].affine = affine_index(p, start->dims[i]);
    const Expr *first = start->node ? access_node(s, start->node, start->dims, start->rank)
                                    : expr_const_typed(p, start->number, start->type);
    const Expr *e =
        expr_select(p, expr_test(p, TEST_NOT_NEGATIVE, inside), expr_access(p, n, subs), first);
    return value_expr(s, e, start->dims, start->rank, a->name_span);
}

static bool open_carries(Sema *s, Scan *scan, const Ast *a)
{
    Start *starts = arena_new(s->arena, Start, a->items.count + 1);
    for (int i = 0; i < a->items.count; i++)
        if (!read_start(s, a->items.data[i], &starts[i]))
            return false;
    s->scan = scan; /* the starts are from outside, and the names of the carries from within */
    for (int i = 0; i < a->items.count; i++) {
        const Ast *c = a->items.data[i];
        Node *n = node_promise(s, scan, true, arena_format(s->arena, "%s_carried", c->name),
                               starts[i].type, starts[i].dims, starts[i].rank, c->span);
        vec_push(s->arena, &scan->carries, ((Carry){c, n, NULL}));
        frame_bind(s, s->frame, c->name, carried(s, scan, c, n, &starts[i]), c->name_span);
    }
    return true;
}

/* Of the scan around, or of one around that. */
static Carry *find_carry(Sema *s, const char *name, const Scan **of)
{
    for (const Scan *scan = s->scan; scan && scan->frame == s->frame; scan = scan->outer)
        for (int i = 0; i < scan->carries.count; i++)
            if (scan->carries.data[i].ast->name == name) {
                *of = scan;
                return &scan->carries.data[i];
            }
    return NULL;
}

static bool same_shape(const Carry *c, const Value *v)
{
    int rank;
    Index **dims = carry_dims(c, &rank);
    bool same = v->rank == rank;
    for (int i = 0; same && i < rank; i++)
        same = value_dimension(v, i)->extent == dims[i]->extent;
    return same;
}

/* A number stands for every element. */
static Value *spread_number(Sema *s, const Carry *c, Value *v)
{
    int rank;
    Index **own = carry_dims(c, &rank), **dims = arena_new(s->arena, Index *, rank + 1);
    for (int i = 0; i < rank; i++)
        dims[i] = index_copy(s->program->pool, own[i]);
    const Expr *e = value_to_scalar(s, v, "a carry's value");
    return e ? value_expr(s, e, dims, rank, v->span) : NULL;
}

static Node *carry_value(Sema *s, const Ast *a, const Carry *c, const char *name)
{
    if (a->flag) {
        int rank;
        Index **dims = carry_dims(c, &rank);
        int64_t *shape = arena_new(s->arena, int64_t, rank + 1);
        for (int i = 0; i < rank; i++)
            shape[i] = dims[i]->extent;
        return define_tensor(s, a, name, shape, rank);
    }
    Value *v = eval_statement(s, a->left, name);
    if (v && (v->kind == VALUE_NUMBER || (v->kind == VALUE_TENSOR && v->rank == 0)))
        v = spread_number(s, c, v);
    if (!v)
        return NULL;
    if (v->kind != VALUE_TENSOR) {
        value_unexpected(s, v, "a tensor for a carry");
        return NULL;
    }
    if (!same_shape(c, v)) {
        diag_error(s->diag, a->span, "the new value of `%s` must have its shape, found %s", a->name,
                   value_describe(s, v));
        diag_note(s->diag, c->ast->span, "the carry is declared here");
        return NULL;
    }
    v->hint = NULL;
    return value_to_node(s, v, name);
}

bool run_carry_update(Sema *s, const Ast *a)
{
    const Scan *of;
    Carry *c = find_carry(s, a->name, &of);
    if (!c)
        return false;
    if (of != s->scan) {
        diag_error(s->diag, a->span, "`%s` is a carry of the scan over `%s`, not of this one",
                   a->name, of->ast->name);
        diag_note(s->diag, c->ast->span, "it is declared here");
        diag_help(s->diag,
                  "let this scan carry a name of its own that starts from `%s`, and update `%s` "
                  "from that after it",
                  a->name, a->name);
        return true;
    }
    const char *path = s->frame->path;
    Node *n =
        carry_value(s, a, c, *path ? arena_format(s->arena, "%s_%s", path, a->name) : a->name);
    if (!n)
        return true;
    if (n->type != c->node->type)
        diag_error(s->diag, a->span, "`%s` starts as %s, and this is %s", a->name,
                   dtype_name(c->node->type), dtype_name(n->type));
    c->value = n;
    frame_bind(s, s->frame, a->name, value_node(s, n, a->name_span), a->name_span);
    return true;
}

/* ---- after the last step -------------------------------------------------------------------------------------- */

static bool close_carries(Sema *s, Scan *scan)
{
    for (int i = 0; i < scan->carries.count; i++) {
        Carry *c = &scan->carries.data[i];
        if (!c->value) {
            diag_error(s->diag, c->ast->name_span, "the scan never updates its carry `%s`",
                       c->ast->name);
            diag_help(s->diag, "write %s <- …, or leave it out", c->ast->name);
            return false;
        }
        node_keep(s, c->node, c->value);
    }
    return true;
}

static bool depends_on_step(Sema *s, const Scan *scan, const Value *v)
{
    if (!v || v->kind != VALUE_TENSOR)
        return false;
    return v->node ? node_step(v->node, &scan->open) != NULL
                   : expr_uses_index(s->program->pool, v->expr, scan->index);
}

const Affine *scan_last_step(Sema *s, const Scan *scan)
{
    return affine_constant(s->program->pool, scan->open.reversed ? 0 : scan->index->extent - 1);
}

/* A name that the body gave is its last value; `over` tells the others. */
static Value *last_value(Sema *s, const Scan *scan, const Value *v)
{
    ExprPool *p = s->program->pool;
    Node *n = v->node;
    Subscript *subs = arena_new(s->arena, Subscript, n->rank);
    Index **all = arena_new(s->arena, Index *, n->rank + MOST_STEPS + 1);
    const int place = node_step_place(n, &scan->open),
              leading = understood_subscripts(s, n, s->batch, all);
    for (int i = 0; i < n->rank; i++) {
        all[i] = i < leading ? all[i] : index_copy(p, n->domain[i]);
        subs[i].affine = i == place ? scan_last_step(s, scan) : affine_index(p, all[i]);
    }
    Value *last = value_expr(s, expr_access(p, n, subs), all + leading, n->rank - leading, v->span);
    last->steps = n;
    last->step_name = scan->ast->name;
    return last;
}

/* What the body gave without a carry or the step is the same at every step. */
static Value *same_value(Sema *s, const Scan *scan, const Value *v)
{
    Value *same = arena_new(s->arena, Value, 1);
    *same = *v;
    same->steps = NULL;
    same->step_name = scan->ast->name;
    same->step_count = scan->index->extent;
    return same;
}

/* What a name stands for after the scan, where it stood for `before`. */
static Value *value_after(Sema *s, const Scan *scan, Value *v, const Value *before,
                          const char *name)
{
    if (!v || v == before)
        return v;
    if (v->kind == VALUE_LIST) {
        Value *list = value_list(s, v->span);
        for (int i = 0; i < v->items.count; i++)
            vec_push(s->arena, &list->items, value_after(s, scan, v->items.data[i], NULL, name));
        return list;
    }
    if (v->kind != VALUE_TENSOR)
        return v;
    if (!depends_on_step(s, scan, v))
        return same_value(s, scan, v);
    value_to_node(s, v, name);
    return last_value(s, scan, v);
}

static Value *value_before(const Scan *scan, int binding)
{
    return binding < scan->before_count ? scan->before[binding] : NULL;
}

static void note_values_before(Sema *s, Scan *scan)
{
    scan->before_count = s->frame->bindings.count;
    scan->before = arena_new(s->arena, Value *, scan->before_count + 1);
    for (int i = 0; i < scan->before_count; i++)
        scan->before[i] = s->frame->bindings.data[i].value;
}

static void close_scan(Sema *s, Scan *scan)
{
    for (int i = 0; i < s->frame->bindings.count; i++) {
        Binding *b = &s->frame->bindings.data[i];
        b->value = value_after(s, scan, b->value, value_before(scan, i), b->name);
    }
    scan_states_close(s, scan);
    scan->open.open = false; /* graph_sort forgets it */
    s->scan = scan->outer;
    graph_sort(s->graph);
}

/* After an error in the body its names stand for nothing, so that their uses stay silent. */
static void abandon_scan(Sema *s, Scan *scan)
{
    for (int i = 0; i < s->frame->bindings.count; i++)
        if (s->frame->bindings.data[i].value != value_before(scan, i))
            s->frame->bindings.data[i].value = NULL;
    s->scan = scan->outer;
}

/* The same value along a first dimension over the steps. */
static Value *at_every_step(Sema *s, Value *v, Span span)
{
    const Expr *e;
    Index **dims;
    int rank;
    if (!value_to_expr(s, v, &e, &dims, &rank))
        return NULL;
    Index **all = arena_new(s->arena, Index *, rank + 1);
    all[0] = index_new(s->program->pool, v->step_name, v->step_count, 0, span);
    if (rank)
        memcpy(all + 1, dims, sizeof *all * (size_t)rank);
    return value_expr(s, e, all, rank + 1, span);
}

Value *eval_over(Sema *s, const Ast *a)
{
    Value *v = eval(s, a->left);
    if (!v)
        return NULL;
    if (v->kind == VALUE_TENSOR && v->step_name == a->name)
        return v->steps ? value_node(s, v->steps, a->span) : at_every_step(s, v, a->span);
    diag_error(s->diag, a->span, "there is no scan over `%s` that this is a value of", a->name);
    diag_help(s->diag, "`h over t` stands after `scan t … { … }`, for a name that its body gives a "
                       "value at each step");
    return NULL;
}

/* ---- the statement ------------------------------------------------------------------------------------------------ */

static bool is_reversed(Sema *s, const Ast *a, bool *reversed)
{
    *reversed = false;
    if (!a->cond)
        return true;
    statement_enter(s, "scan");
    const bool known = eval_truth(s, a->cond, "whether a scan is reversed", reversed);
    statement_leave(s);
    return known;
}

static bool scans_too_deep(Sema *s, const Ast *a)
{
    int depth = 0;
    for (const Scan *scan = s->scan; scan; scan = scan->outer)
        depth++;
    if (depth < MOST_STEPS)
        return false;
    diag_error(s->diag, a->span, "scans nest no more than %d deep", MOST_STEPS);
    return true;
}

void run_scan(Sema *s, const Ast *a)
{
    if (scans_too_deep(s, a))
        return;
    Scan *scan = arena_new(s->arena, Scan, 1);
    scan->outer = s->scan;
    scan->ast = a;
    scan->frame = s->frame;
    scan->index = index_new(s->program->pool, a->name, 0, 0, a->name_span);
    if (!count_steps(s, a, scan->index) || !is_reversed(s, a, &scan->open.reversed))
        return;
    scan->open.open = true;
    scan->open.steps = scan->index->extent;
    scan->scope = (IndexScope){
        .name = a->name, .index = scan->index, .origin_span = a->name_span, .given = a->left};
    note_values_before(s, scan);
    if (!open_carries(s, scan, a)) {
        abandon_scan(s, scan);
        return;
    }
    scan_states_open(s);
    const int errors = diag_error_count(s->diag);
    run_body(s, &a->body);
    if (diag_error_count(s->diag) == errors && close_carries(s, scan))
        close_scan(s, scan);
    else
        abandon_scan(s, scan);
}
