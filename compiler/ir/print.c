/* Nodes as .nn text: names of indices, left sides, statements. */
#include "functions/functions.h"
#include "ir/print.h"

#include <string.h>

/* ---- which index is written how ---------------------------------------------------------------------- */

const Index *print_implicit_index(const Node *n)
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

void printer_open(Printer *pr, Text *out, const Node *n)
{
    *pr = (Printer){.out = out, .implicit = print_implicit_index(n)};
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

/* What may be read before it is defined tells its whole shape. */
static bool is_forward(const Node *n, const Index *ix)
{
    for (int i = 0; n->recurrence && i < n->rank; i++)
        if (n->domain[i] == ix)
            return true;
    return false;
}

void print_index(Printer *pr, const Node *n, const Index *ix)
{
    text_append(pr->out, printer_name(pr, ix));
    if (ix == pr->implicit)
        return;
    if (ix->per_example > 1)
        text_printf(pr->out, ": %lld * batch", (long long)ix->per_example);
    else if (ix->per_example)
        text_append(pr->out, ": batch");
    else if (is_forward(n, ix) || !range_is_told(n, ix))
        text_printf(pr->out, ": %lld", (long long)ix->extent);
}

/* ---- statements ----------------------------------------------------------------------------------------- */

void print_left(Printer *pr, const Node *n, const char *name)
{
    int first = n->rank > 0 && n->domain[0] == pr->implicit;
    text_append(pr->out, name);
    for (int i = first; i < n->rank; i++) {
        text_append(pr->out, i == first ? "[" : ", ");
        print_index(pr, n, n->domain[i]);
    }
    text_append(pr->out, n->rank > first ? "]" : "");
}

void print_reduced(Printer *pr, const Expr *body)
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

void print_compute(Text *out, const Node *n, const char *name, const char *assign)
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

static void print_reshape(Text *out, const Node *n)
{
    int first = node_is_batched(n) && n->domain[0]->per_example == 1;
    text_printf(out, "reshape(%s, [", n->viewed->name);
    for (int i = first; i < n->rank; i++) {
        text_append(out, i > first ? ", " : "");
        print_extent(out, n->domain[i]);
    }
    text_append(out, "])");
}

/* In a recurrence element by element, since it may be read before it is defined. */
static void print_view(Text *out, const Node *n)
{
    if (!n->recurrence) {
        text_printf(out, "%s = ", n->name);
        print_reshape(out, n);
        return;
    }
    Printer pr;
    printer_open(&pr, out, n);
    print_left(&pr, n, n->name);
    text_append(out, " = ");
    print_reshape(out, n);
    const int first = n->domain[0] == pr.implicit;
    for (int i = first; i < n->rank; i++)
        text_printf(out, "%s%s", i == first ? "[" : ", ", printer_name(&pr, n->domain[i]));
    text_append(out, "]");
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
        text_printf(out, " : %s(%lld)", port->domain == DOMAIN_CLASS ? "class" : "token",
                    (long long)port->classes);
}

void tensor_print(Text *out, const Tensor *t)
{
    text_printf(out, "%s %s", t->role == ROLE_PARAM ? "param" : "state", t->name);
    for (int i = 0; i < t->rank; i++) {
        text_append(out, i ? ", " : "[");
        if (t->indices && t->indices[i])
            text_printf(out, "%s: ", t->indices[i]);
        text_printf(out, "%lld", (long long)t->shape[i]);
    }
    text_printf(out, "%s %s", t->rank ? "]" : "", t->start ? t->start : "= 0");
}

/* No .nn: there the reduction over the batch stands in its place. */
static void print_sum(Text *out, const Node *n)
{
    text_printf(out, "sum %s", n->name);
    for (int i = 0; i < n->rank; i++)
        text_printf(out, "%s%lld", i ? ", " : "[", (long long)n->domain[i]->extent);
    text_append(out, n->rank ? "]" : "");
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
    case NODE_SUM:
        print_sum(out, n);
        break;
    case NODE_COMPUTE:
        print_compute(out, n, n->name, " = ");
        break;
    case NODE_VIEW:
        print_view(out, n);
        break;
    }
}
