/* Graphs as .nn text: names of indices, left sides, statements. */
#include "functions/functions.h"
#include "ir/print.h"

#include <string.h>

/* ---- which index is written how ---------------------------------------------------------------------- */

/* The axis of the batch that the language leaves out: the node's first index or, where there is
 * none, the first that its reduction runs over. */
static const Index *implicit_index(const Node *n)
{
    if (node_is_batched(n))
        return n->domain[0];
    for (int i = 0; i < n->bound_count; i++)
        if (n->bound[i]->per_example)
            return n->bound[i];
    return NULL;
}

typedef struct Naming {
    Printer *printer;
    const char *name;
    bool taken;
} Naming;

static void look_for_node(void *context, const Expr *e)
{
    Naming *naming = context;
    if (e->kind == EXPR_ACCESS && strcmp(e->node->name, naming->name) == 0)
        naming->taken = true;
}

static bool name_is_taken(Printer *pr, const Node *n, const char *name)
{
    Naming naming = {pr, name, strcmp(name, "batch") == 0};
    for (int i = 0; i < pr->names.count; i++)
        naming.taken = naming.taken || strcmp(pr->names.data[i].name, name) == 0;
    if (n->body)
        expr_visit(NULL, n->body, look_for_node, &naming);
    return naming.taken;
}

/* Indices of equal names, or named as a tensor that is read, are told apart: i, i_2. */
static void name_index(Printer *pr, const Node *n, const Index *ix)
{
    Arena *a = pr->out->arena;
    const char *base = strcmp(ix->name, "batch") == 0 ? "m" : ix->name, *name = base;
    for (int suffix = 2; ix != pr->implicit && name_is_taken(pr, n, name); suffix++)
        name = arena_format(a, "%s_%d", base, suffix);
    vec_push(a, &pr->names, ((IndexName){ix, ix == pr->implicit ? "batch" : name}));
}

static void printer_open(Printer *pr, Text *out, const Node *n)
{
    *pr = (Printer){.out = out, .implicit = implicit_index(n)};
    for (int i = 0; i < n->rank; i++)
        name_index(pr, n, n->domain[i]);
    for (int i = 0; i < n->bound_count; i++)
        name_index(pr, n, n->bound[i]);
}

typedef struct Ranging {
    const Index *index;
    bool alone, differs;
} Ranging;

static void look_for_range(void *context, const Expr *e)
{
    Ranging *r = context;
    for (int i = 0; i < e->count && e->kind == EXPR_ACCESS; i++) {
        const Affine *a = e->subscripts[i].affine;
        if (!a || affine_is_index(a) != r->index)
            continue;
        r->alone = true;
        r->differs = r->differs || e->node->domain[i]->extent != r->index->extent;
    }
}

/* Does its standing alone in a subscript say how far the index runs? */
static bool range_is_told(const Node *n, const Index *ix)
{
    Ranging r = {.index = ix};
    if (n->body)
        expr_visit(NULL, n->body, look_for_range, &r);
    return r.alone && !r.differs;
}

static void print_index(Printer *pr, const Node *n, const Index *ix)
{
    text_append(pr->out, printer_name(pr, ix));
    if (ix == pr->implicit)
        return;
    if (ix->per_example > 1)
        text_printf(pr->out, ": %lld * batch", (long long)ix->per_example);
    else if (ix->per_example)
        text_append(pr->out, ": batch");
    else if (!range_is_told(n, ix))
        text_printf(pr->out, ": %lld", (long long)ix->extent);
}

/* ---- statements ----------------------------------------------------------------------------------------- */

/* name[i, j: 5] */
static void print_left(Printer *pr, const Node *n, const char *name)
{
    int first = n->rank > 0 && n->domain[0] == pr->implicit;
    text_append(pr->out, name);
    for (int i = first; i < n->rank; i++) {
        text_append(pr->out, i == first ? "[" : ", ");
        print_index(pr, n, n->domain[i]);
    }
    text_append(pr->out, n->rank > first ? "]" : "");
}

/* What a reduction runs over is a product that does not begin with a sign. */
static void print_reduced(Printer *pr, const Expr *body)
{
    Text operand, *out = pr->out;
    text_init(&operand, out->arena);
    pr->out = &operand;
    print_expr(pr, body, LEVEL_PRODUCT);
    pr->out = out;
    text_printf(out, operand.data[0] == '-' ? "(%s)" : "%s", operand.data);
}

static void print_right(Printer *pr, const Node *n)
{
    if (!n->reduction) {
        print_expr(pr, n->body, LEVEL_CONDITION);
        return;
    }
    text_append(pr->out, n->reduction->name);
    for (int i = 0; i < n->bound_count; i++) {
        text_append(pr->out, i ? ", " : "[");
        print_index(pr, n, n->bound[i]);
    }
    text_append(pr->out, n->bound_count ? "] " : "[] ");
    print_reduced(pr, n->body);
}

static void print_compute(Text *out, const Node *n, const char *name, const char *assign)
{
    Printer pr;
    printer_open(&pr, out, n);
    print_left(&pr, n, name);
    text_append(out, assign);
    print_right(&pr, n);
}

static void print_extent(Text *out, const Index *ix)
{
    if (ix->per_example)
        text_printf(out, "%lld * batch", (long long)ix->per_example);
    else
        text_printf(out, "%lld", (long long)ix->extent);
}

static void print_view(Text *out, const Node *n)
{
    int first = node_is_batched(n) && n->domain[0]->per_example == 1;
    text_printf(out, "%s = reshape(%s, [", n->name, n->viewed->name);
    for (int i = first; i < n->rank; i++) {
        text_append(out, i > first ? ", " : "");
        print_extent(out, n->domain[i]);
    }
    text_append(out, "])");
}

static void print_numbers(Text *out, const Node *n, int axis, const double **next)
{
    if (axis == n->rank) {
        print_number(out, *(*next)++, n->type);
        return;
    }
    for (int64_t i = 0; i < n->domain[axis]->extent; i++) {
        text_append(out, i ? ", " : "[");
        print_numbers(out, n, axis + 1, next);
    }
    text_append(out, n->domain[axis]->extent ? "]" : "[]");
}

static void print_literal(Text *out, const Node *n)
{
    const double *next = n->literal;
    text_printf(out, "%s = ", n->name);
    print_numbers(out, n, 0, &next);
}

static void print_shape(Text *out, const int64_t *shape, int rank)
{
    for (int i = 0; i < rank; i++)
        text_printf(out, i ? ", %lld" : "[%lld", (long long)shape[i]);
    text_append(out, rank ? "]" : "");
}

void port_print(Text *out, const Port *port)
{
    text_printf(out, "%s %s", port->is_target ? "target" : "input", port->name);
    print_shape(out, port->shape, port->rank);
    if (port->domain == DOMAIN_NUMBER)
        text_printf(out, " : %s", dtype_name(port->type));
    else
        text_printf(out, " : %s(%lld)", port->domain == DOMAIN_CLASS ? "class" : "token", (long long)port->classes);
}

void tensor_print(Text *out, const Tensor *t)
{
    text_printf(out, "%s %s", t->role == ROLE_PARAM ? "param" : "state", t->name);
    print_shape(out, t->shape, t->rank);
    text_printf(out, " %s", t->start ? t->start : "= 0");
}

void node_print(Text *out, const Node *n)
{
    switch (n->kind) {
    case NODE_PORT:
        port_print(out, n->port);
        break;
    case NODE_TENSOR:
        tensor_print(out, n->tensor);
        break;
    case NODE_LITERAL:
        print_literal(out, n);
        break;
    case NODE_COMPUTE:
        print_compute(out, n, n->name, " = ");
        break;
    case NODE_VIEW:
        print_view(out, n);
        break;
    }
}

/* ---- results ------------------------------------------------------------------------------------------------ */

typedef struct Uses {
    const Node *node;
    int count;
} Uses;

static void count_use(void *context, const Expr *e)
{
    Uses *u = context;
    u->count += e->kind == EXPR_ACCESS && e->node == u->node;
}

static bool is_stored(const Result *r)
{
    return r->role == RESULT_GRADIENT || r->role == RESULT_UPDATE;
}

/* Accesses, views and results that read `n`. */
static int count_uses(const Graph *g, const Node *n)
{
    Uses uses = {n, 0};
    for (int i = 0; i < g->results.count; i++)
        uses.count += g->results.data[i].value == n;
    for (int i = n->id + 1; i < g->nodes.count; i++) {
        const Node *user = g->nodes.data[i];
        uses.count += user->kind == NODE_VIEW && user->viewed == n;
        if (user->kind == NODE_COMPUTE)
            expr_visit(g->pool, user->body, count_use, &uses);
    }
    return uses.count;
}

/* A stored value that nothing else reads is written in the statement that stores it. */
static bool is_folded(const Graph *g, const Result *r)
{
    return is_stored(r) && r->value->kind == NODE_COMPUTE && count_uses(g, r->value) == 1;
}

static bool is_batch_size(const Expr *e)
{
    return e->kind == EXPR_SCALAR && e->scalar == SCALAR_BATCH_SIZE;
}

static bool is_one_over_batch_size(const Expr *e)
{
    return e->kind == EXPR_CALL && e->function == &scalar_div && is_batch_size(e->args[1]) &&
           e->args[0]->kind == EXPR_CONST && e->args[0]->value == 1;
}

static bool is_identity(const Expr *e, const Node *user)
{
    if (e->kind != EXPR_ACCESS || e->count != user->rank)
        return false;
    for (int i = 0; i < e->count; i++)
        if (!e->subscripts[i].affine || affine_is_index(e->subscripts[i].affine) != user->domain[i])
            return false;
    return true;
}

/* The sum over the batch that n divides by the examples, where nothing else reads it. */
static const Node *mean_of(const Graph *g, const Node *n)
{
    const Expr *e = n->body;
    if (n->kind != NODE_COMPUTE || n->reduction || e->kind != EXPR_CALL || !is_identity(e->args[0], n))
        return NULL;
    const bool scaled = (e->function == &scalar_div && is_batch_size(e->args[1])) ||
                        (e->function == &scalar_mul && is_one_over_batch_size(e->args[1]));
    const Node *sum = e->args[0]->node;
    if (!scaled || sum->kind != NODE_COMPUTE || sum->reduction != &reduce_sum || sum->bound_count == 0)
        return NULL;
    return implicit_index(sum) == sum->bound[0] && sum->bound[0]->per_example == 1 && count_uses(g, sum) == 1 ? sum : NULL;
}

/* mean[batch] sum[h, w] … */
static void print_mean(Text *out, const Node *sum, const char *name, const char *assign)
{
    Printer pr;
    printer_open(&pr, out, sum);
    print_left(&pr, sum, name);
    text_printf(out, "%smean[batch] ", assign);
    for (int i = 1; i < sum->bound_count; i++) {
        text_append(out, i > 1 ? ", " : "sum[");
        print_index(&pr, sum, sum->bound[i]);
    }
    text_append(out, sum->bound_count > 1 ? "] " : "");
    print_reduced(&pr, sum->body);
}

static void print_stored(Text *out, const Graph *g, const Result *r)
{
    const char *assign = r->role == RESULT_UPDATE ? " <- " : " = ";
    text_append(out, r->role == RESULT_GRADIENT ? "gradient " : "");
    const bool folded = is_folded(g, r);
    const Node *sum = folded ? mean_of(g, r->value) : NULL;
    if (sum)
        print_mean(out, sum, r->tensor->name, assign);
    else if (folded)
        print_compute(out, r->value, r->tensor->name, assign);
    else
        text_printf(out, "%s%s%s", r->tensor->name, assign, r->value->name);
}

/* Nothing where the value bears its name already. */
static void print_alias(Text *out, const Result *r)
{
    if (strcmp(r->name, r->value->name))
        text_printf(out, "%s = %s", r->name, r->value->name);
}

void result_print(Text *out, const Graph *g, const Result *r)
{
    static const char *const words[] = {
        [RESULT_LOSS] = "loss", [RESULT_OUTPUT] = "output", [RESULT_SUM] = "metric", [RESULT_VALUE] = "metric",
    };
    if (is_stored(r))
        print_stored(out, g, r);
    else if (r->role == RESULT_NAME)
        print_alias(out, r);
    else if (r->name)
        text_printf(out, "%s %s = %s", words[r->role], r->name, r->value->name);
    else
        text_printf(out, "%s %s", words[r->role], r->value->name);
}

/* ---- the listing ---------------------------------------------------------------------------------------------- */

/* `  # digits.nn:12`, from a common column on where the line leaves room. */
static void print_place(Text *out, size_t width, Span span, const Sources *sources)
{
    enum { COLUMN = 68 };
    if (!sources || span.file < 0)
        return;
    const Source *src = source_get(sources, span.file);
    const char *slash = strrchr(src->path, '/');
    int line, column;
    source_position(src, span.begin, &line, &column);
    text_printf(out, "%*s  # %s:%d", width < COLUMN ? (int)(COLUMN - width) : 0, "",
                slash ? slash + 1 : src->path, line);
}

static void end_line(Text *out, size_t begin, Span span, const Sources *sources)
{
    print_place(out, out->length - begin, span, sources);
    text_append(out, "\n");
}

static bool is_listed(const Graph *g, const Node *n)
{
    if (n->kind == NODE_PORT || n->kind == NODE_TENSOR)
        return false;
    for (int i = 0; i < g->results.count; i++) {
        const Result *r = &g->results.data[i];
        if (is_folded(g, r) && (r->value == n || mean_of(g, r->value) == n))
            return false;
    }
    return true;
}

void graph_print(Text *out, const Graph *g, const Sources *sources)
{
    for (int i = 0; i < g->nodes.count; i++) {
        const Node *n = g->nodes.data[i];
        size_t begin = out->length;
        if (!is_listed(g, n))
            continue;
        text_append(out, "  ");
        node_print(out, n);
        end_line(out, begin, n->span, sources);
    }
    for (int i = 0; i < g->results.count; i++) {
        size_t begin = out->length;
        text_append(out, "  ");
        result_print(out, g, &g->results.data[i]);
        if (out->length == begin + 2)
            out->data[out->length = begin] = 0;
        else
            end_line(out, begin, g->results.data[i].value->span, sources);
    }
}
