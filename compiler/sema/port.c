/* Where a model meets the outside: inputs, targets, outputs, losses and metrics. */
#include "sema/internal.h"

#include <string.h>

/* ---- inputs and targets ---------------------------------------------------------------------------- */

typedef struct RawType {
    const char *name;
    DType type;
    ValueDomain domain;
} RawType;

static const RawType raw_types[] = {
    {"u8", TYPE_U8, DOMAIN_NUMBER},    {"u16", TYPE_U16, DOMAIN_NUMBER},
    {"i32", TYPE_I32, DOMAIN_NUMBER},  {"f32", TYPE_F32, DOMAIN_NUMBER},
    {"f64", TYPE_F64, DOMAIN_NUMBER},  {"class", TYPE_I32, DOMAIN_CLASS},
    {"token", TYPE_I32, DOMAIN_TOKEN},
};

/* The smallest whole number that holds every class. */
static DType class_type(int64_t classes)
{
    return classes <= 256 ? TYPE_U8 : classes <= 65536 ? TYPE_U16 : TYPE_I32;
}

static bool port_type(Sema *s, const Ast *a, Port *port)
{
    const Ast *name = a->kind == AST_CALL ? a->left : a;
    const int count = (int)(sizeof raw_types / sizeof *raw_types);
    const char *names[sizeof raw_types / sizeof *raw_types];
    for (int i = 0; i < count; i++) {
        names[i] = raw_types[i].name;
        if (!name->name || strcmp(name->name, raw_types[i].name))
            continue;
        port->type = raw_types[i].type;
        port->domain = raw_types[i].domain;
        const int wanted = port->domain != DOMAIN_NUMBER;
        if ((a->kind == AST_CALL ? a->items.count : 0) != wanted) {
            diag_error(s->diag, a->span, wanted ? "write it so: %s(10)" : "`%s` takes no argument",
                       names[i]);
            return false;
        }
        if (!wanted) {
            /* Reals have one type throughout a model. */
            if (dtype_is_real(port->type) && s->program->real == TYPE_F64)
                port->type = TYPE_F64;
            return true;
        }
        if (!eval_integer(s, a->items.data[0], "the number of classes", &port->classes))
            return false;
        if (port->classes < 1 || port->classes > INT32_MAX) {
            diag_error(s->diag, a->items.data[0]->span,
                       "the number of classes lies between 1 and 2147483647");
            return false;
        }
        port->type = class_type(port->classes);
        return true;
    }
    const char *near = name->name ? nearest_name(name->name, names, count) : NULL;
    if (name->name && !near && (!strcmp(name->name, "int") || !strcmp(name->name, "i64")))
        near = "i32";
    else if (name->name && !near &&
             (!strcmp(name->name, "float") || !strcmp(name->name, "float32")))
        near = "f32";
    diag_error(s->diag, a->span,
               "unknown input type; there are u8, u16, i32, f32, f64, class(n) and token(n)");
    if (near)
        diag_help(s->diag, "did you mean `%s`?", near);
    return false;
}

Port *find_port(Sema *s, const char *name)
{
    for (int i = 0; i < s->program->inputs.count; i++)
        if (s->program->inputs.data[i]->name == name)
            return s->program->inputs.data[i];
    return NULL;
}

static bool names_batch(Sema *s, const Ast *item)
{
    const Ast *of = item->kind == AST_INDEX && item->left ? item->left : item;
    return of->name &&
           (of->name == intern(s->names, "batch") || of->name == intern(s->names, "batch_size"));
}

static Port *make_input(Sema *s, const Ast *a)
{
    Port *port = arena_new(s->arena, Port, 1);
    int64_t *shape = arena_new(s->arena, int64_t, a->items.count + 1);
    *port = (Port){.name = a->name,
                   .rank = a->items.count,
                   .shape = shape,
                   .is_target = a->flag,
                   .span = a->span};
    for (int i = 0; i < a->items.count; i++) {
        const Ast *item = a->items.data[i];
        if (names_batch(s, item)) {
            diag_error(s->diag, item->span, "the batch has no dimension of its own here");
            diag_help(s->diag, "a model describes one example: leave it out");
            return NULL;
        }
        if (!eval_integer(s, item->kind == AST_INDEX ? item->left : item, "a dimension", &shape[i]))
            return NULL;
        if (shape[i] < 1) {
            diag_error(s->diag, item->span, "a dimension must be at least 1");
            return NULL;
        }
    }
    if (!within_limit(s, a->name, shape, port->rank, a->span) || !port_type(s, a->left, port))
        return NULL;
    port->slot = s->program->inputs.count;
    vec_push(s->arena, &s->program->inputs, port);
    return port;
}

/* Inputs come before targets in every call, whatever the order they are written in; sema_create
 * has declared them all. */
void run_input(Sema *s, const Ast *a)
{
    Port *port = find_port(s, a->name);
    if (!port)
        port = make_input(s, a);
    else if (frame_lookup(s->frame, a->name)) {
        diag_error(s->diag, a->span, "`%s` is declared twice", a->name);
        diag_note(s->diag, port->span, "first here");
        return;
    }
    Value *v = port ? value_node(s, graph_port(s->graph, port), a->name_span) : NULL;
    frame_bind(s, s->frame, a->name, v, a->name_span);
}

/* ---- outputs ------------------------------------------------------------------------------------------ */

/* The number of classes of which the node says one, where a target has as many; 0: none. */
static int64_t class_count(const Sema *s, const Node *n)
{
    const bool chosen = n->reduction && n->reduction->position && n->bound_count == 1;
    for (int i = 0; chosen && i < s->program->inputs.count; i++) {
        const Port *p = s->program->inputs.data[i];
        if (p->is_target && p->domain == DOMAIN_CLASS && p->classes == n->bound[0]->extent)
            return p->classes;
    }
    return 0;
}

static Port *output_port(Sema *s, const Ast *a, const Node *n)
{
    for (int i = 0; i < s->program->outputs.count; i++)
        if (s->program->outputs.data[i]->name == a->name)
            return s->program->outputs.data[i];
    Port *port = arena_new(s->arena, Port, 1);
    int64_t *shape = arena_new(s->arena, int64_t, n->rank + 1);
    for (int i = 1; i < n->rank; i++)
        shape[i - 1] = n->domain[i]->extent;
    *port = (Port){.name = a->name,
                   .type = n->type,
                   .rank = n->rank - 1,
                   .shape = shape,
                   .slot = s->program->outputs.count,
                   .span = a->span};
    port->classes = class_count(s, n);
    port->domain = port->classes ? DOMAIN_CLASS : DOMAIN_NUMBER;
    vec_push(s->arena, &s->program->outputs, port);
    return port;
}

/* output y[i] = …: y defined, then put out. */
static const Ast *define_output(Sema *s, const Ast *a)
{
    Node *n = define_tensor(s, a, a->name, NULL, 0);
    if (n)
        n->named = true;
    frame_bind(s, s->frame, a->name, n ? value_node(s, n, a->name_span) : NULL, a->name_span);
    Ast *lone = ast_new(s->arena, AST_OUTPUT, a->span);
    lone->name = a->name;
    lone->name_span = a->name_span;
    lone->left = ast_new(s->arena, AST_NAME, a->name_span);
    lone->left->name = a->name;
    return lone;
}

void run_output(Sema *s, const Ast *a)
{
    if (a->flag)
        a = define_output(s, a);
    if (s->printing)
        print_later(s, a, a->name);
    if (s->entry != ENTRY_PREDICT || s->printing)
        return;
    Value *v = eval_statement(s, a->left, a->name);
    Node *n = v ? value_to_node(s, v, a->name) : NULL;
    if (!n)
        return;
    for (int i = 0; i < v->rank; i++)
        if (value_dimension(v, i)->per_example) {
            diag_error(s->diag, a->span, "an output has a fixed shape, and this is %s",
                       value_describe(s, v));
            return;
        }
    if (!node_is_batched(n)) {
        diag_error(s->diag, a->span, "output `%s` does not depend on any input", a->name);
        return;
    }
    for (int i = 0; i < s->graph->results.count; i++)
        if (s->graph->results.data[i].role == RESULT_OUTPUT &&
            s->graph->results.data[i].name == a->name)
            diag_error(s->diag, a->span, "there is an output named `%s` already", a->name);
    graph_result(s->graph, RESULT_OUTPUT, a->name, n, NULL, output_port(s, a, n)->slot);
}

/* ---- losses and metrics --------------------------------------------------------------------------------- */

static bool has_name(const char *const *names, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(names[i], name))
            return true;
    return false;
}

/* The name as written, or the callee's: `metric accuracy(logits, label)`. */
static const char *measure_name(const Ast *a, const char *otherwise)
{
    if (a->name)
        return a->name;
    const Ast *e = a->left;
    if (e->kind == AST_PIPE)
        e = e->right;
    if (e->kind == AST_CALL)
        e = e->left;
    return otherwise ? otherwise : e->kind == AST_NAME ? e->name : "metric";
}

/* One number an example, as the mean over the set; what is no example's counts once for each of those
 * in the call. */
static Node *mean_over_set(Sema *s, const Expr *e, const char *name, Span span)
{
    ExprPool *p = s->program->pool;
    Node *each = make_node(s, name, e, NULL, 0, NULL, NULL, 0, span);
    const bool batched = node_is_batched(each);
    Index *outer = s->batch, *b = index_copy(p, outer);
    s->batch = b;
    const Expr *value = access_node(s, each, NULL, 0);
    if (!batched)
        value = expr_mul(p, value, expr_scalar(p, SCALAR_BATCH_SIZE, 0));
    Node *sum = make_node(s, arena_format(s->arena, "%s_sum", name), value, NULL, 0,
                          batched ? &reduce_sum : NULL, &b, batched, span);
    s->batch = outer;
    Node *total = set_sum(s, sum);
    return total ? make_node(s, name,
                             expr_div(p, access_node(s, total, NULL, 0),
                                      expr_scalar(p, SCALAR_EXAMPLES, 0)),
                             NULL, 0, NULL, NULL, 0, span)
                 : NULL;
}

/* metric m[i, j] = …: the table, as a value. */
static Value *define_metric(Sema *s, const Ast *a, const char *name)
{
    Node *n = define_tensor(s, a, name, NULL, 0);
    return n ? value_node(s, n, a->span) : NULL;
}

/* What the statement measures, over *dims; NULL after an error. */
static const Expr *measure(Sema *s, const Ast *a, const char *name, Value **v, Index ***dims,
                           int *rank)
{
    const Expr *e;
    bool ok = true;
    *v = a->flag ? define_metric(s, a, name) : eval_statement(s, a->left, name);
    if (!*v || !value_to_expr(s, *v, &e, dims, rank))
        return NULL;
    e = coerce(s, e, s->program->real, a->span, &ok);
    return ok ? e : NULL;
}

static bool is_loss(const Sema *s, const char *name)
{
    if (s->entry == ENTRY_EVALUATE)
        return has_name(s->program->losses.data, s->program->losses.count, name);
    for (int i = 0; i < s->graph->results.count; i++)
        if (s->graph->results.data[i].role == RESULT_LOSS &&
            strcmp(s->graph->results.data[i].name, name) == 0)
            return true;
    return false;
}

/* loss, loss_2, loss_3, … where a file gives them no names: the same in every entry. */
static const char *loss_name(Sema *s, const Ast *a)
{
    const char *base = measure_name(a, "loss"), *name = base;
    for (int k = 2; is_loss(s, name); k++)
        name = intern(s->names, arena_format(s->arena, "%s_%d", base, k));
    return name;
}

static void not_one_number(Sema *s, const Ast *a, const Value *v, const char *what)
{
    diag_error(s->diag, a->span, "%s must be one number for each example, this is %s", what,
               value_describe(s, v));
    diag_help(s->diag, "reduce it: mean[i] …[i], or sum[i] …[i]");
}

void run_loss(Sema *s, const Ast *a)
{
    if (s->entry == ENTRY_PREDICT || s->entry == ENTRY_GENERATE || s->entry == ENTRY_FIT)
        return;
    const char *name = loss_name(s, a);
    Value *v;
    Index **dims;
    int rank;
    const Expr *e = measure(s, a, name, &v, &dims, &rank);
    if (e && rank)
        not_one_number(s, a, v, "a loss");
    if (!e || rank)
        return;
    if (s->entry == ENTRY_EVALUATE) {
        Node *mean = mean_over_set(s, e, name, a->span);
        vec_push(s->arena, &s->program->losses, name);
        vec_push(s->arena, &s->losses, mean);
        return;
    }
    Node *n = make_node(s, name, e, NULL, 0, NULL, NULL, 0, a->span);
    graph_result(s->graph, RESULT_LOSS, name, n, NULL, 0);
}

/* A metric is exact over the evaluated set, so it may rest neither on what one batch adds up to nor,
 * beside sums over the set, on single examples. */
static bool is_exact(Sema *s, const Ast *a, const Rests *r)
{
    if (r->call) {
        diag_error(s->diag, a->span,
                   "this metric depends on the examples that happen to be in one batch");
        diag_note(s->diag, r->call->span, "`%s` reduces over the batch here", r->call->name);
        diag_help(s->diag, "put the reduction into the metric: there it runs over the whole "
                           "evaluated set");
    } else if (r->set && r->example) {
        diag_error(s->diag, a->span,
                   "this metric mixes single examples with sums over the whole set");
        diag_note(s->diag, r->example->span, "`%s` is of a single example", r->example->name);
        diag_help(s->diag, "put everything under mean[batch] or sum[batch]");
    } else if (r->set && r->tensor) {
        diag_error(s->diag, a->span, "this metric mixes `%s` with sums over the whole set",
                   r->tensor->name);
        diag_help(s->diag, "put it under mean[batch], too: there it counts the same for each");
    }
    return !r->call && !(r->set && (r->example || r->tensor));
}

static bool has_metric(const Program *p, const char *name)
{
    for (int i = 0; i < p->metrics.count; i++)
        if (!strcmp(p->metrics.data[i].name, name))
            return true;
    return false;
}

static void add_metric(Sema *s, const char *name, Node *n)
{
    if (!n)
        return;
    int64_t *shape = arena_new(s->arena, int64_t, n->rank + 1);
    for (int i = 0; i < n->rank; i++)
        shape[i] = n->domain[i]->extent;
    const Metric m = {.name = name, .rank = n->rank, .shape = shape};
    vec_push(s->arena, &s->program->metrics, m);
    vec_push(s->arena, &s->metrics, n);
}

void run_metric(Sema *s, const Ast *a)
{
    const char *name = measure_name(a, NULL);
    if (s->printing)
        print_later(s, a, name);
    if (s->entry != ENTRY_EVALUATE)
        return;
    if (has_metric(s->program, name)) {
        diag_error(s->diag, a->span, "there is a metric named `%s` already", name);
        diag_help(s->diag, "give it a name: metric name = …");
        return;
    }
    Value *v;
    Index **dims;
    int rank;
    s->in_metric = true;
    const Expr *e = measure(s, a, name, &v, &dims, &rank);
    s->in_metric = false;
    if (!e)
        return;
    const Rests rests = find_rests(s, e);
    if (!is_exact(s, a, &rests))
        return;
    if (rank && !rests.set) {
        not_one_number(s, a, v, "a metric");
        diag_help(s->diag, "or put it under mean[batch]: a table over the whole set");
        return;
    }
    add_metric(s, name,
               rests.set ? make_node(s, name, e, dims, rank, NULL, NULL, 0, a->span)
                         : mean_over_set(s, e, name, a->span));
}
