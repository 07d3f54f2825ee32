/* The loop IR as text.  Operands, indices and shared subexpressions are numbered by position, so
 * that kernels which are equal up to their operands print alike. */
#include "lower/internal.h"

typedef struct Numbered {
    const void *item;
    int number;
} Numbered;

typedef struct Printer {
    Text *out;
    const LoopKernel *kernel;
    Arena *arena;
    ExprPool *pool;
    VEC(Numbered) indices;
    VEC(Numbered) shared; /* subexpressions of the statement that occur more than once */
    int next_shared;
} Printer;

static int number_of(const Numbered *list, int count, const void *item)
{
    for (int i = count - 1; i >= 0; i--)
        if (list[i].item == item)
            return list[i].number;
    return -1;
}

static int index_number(Printer *p, const Index *ix)
{
    int n = number_of(p->indices.data, p->indices.count, ix);
    if (n >= 0)
        return n;
    Numbered fresh = {ix, p->indices.count};
    vec_push(p->arena, &p->indices, fresh);
    return fresh.number;
}

/* ---- affine expressions ------------------------------------------------------------------------------ */

static void print_affine(Printer *p, const Affine *a);

static void print_term(Printer *p, const Term *t)
{
    if (t->factor != 1)
        text_printf(p->out, "%lld*", (long long)t->factor);
    if (t->kind == TERM_INDEX) {
        text_printf(p->out, "i%d", index_number(p, t->index));
        return;
    }
    text_append(p->out, "((");
    print_affine(p, t->inner);
    text_printf(p->out, ")%s%lld)", t->kind == TERM_QUOTIENT ? "/" : "%", (long long)t->divisor);
}

static void print_affine(Printer *p, const Affine *a)
{
    for (int i = 0; i < a->count; i++) {
        if (i)
            text_append(p->out, " + ");
        print_term(p, &a->terms[i]);
    }
    if (a->constant || !a->count)
        text_printf(p->out, "%s%lld", a->count ? " + " : "", (long long)a->constant);
}

/* ---- expressions -------------------------------------------------------------------------------------- */

static void print_expr(Printer *p, const Expr *e);

static void print_place(Printer *p, const Buffer *b, const Affine *offset, const DataTerm *data,
                        int count)
{
    text_printf(p->out, "%s[", b->name);
    print_affine(p, offset);
    for (int i = 0; i < count; i++) {
        text_printf(p->out, " + %lld*", (long long)data[i].stride);
        print_expr(p, data[i].value);
    }
    text_append(p->out, "]");
}

static const char *const scalar_names[] = {
    [SCALAR_BATCH_SIZE] = "batch_size", [SCALAR_STEP] = "step",   [SCALAR_DUE] = "due",
    [SCALAR_SCALE] = "scale",           [SCALAR_FIRST] = "first", [SCALAR_EXAMPLES] = "examples",
};

static void print_anew(Printer *p, const Expr *e)
{
    switch (e->kind) {
    case EXPR_CONST:
        text_printf(p->out, "%.17g:%s", e->value, dtype_name(e->type));
        break;
    case EXPR_AFFINE:
        text_append(p->out, "(");
        print_affine(p, e->affine);
        text_append(p->out, ")");
        break;
    case EXPR_TEST:
        text_append(p->out, "(");
        print_affine(p, e->affine);
        text_append(p->out, e->test == TEST_ZERO ? " == 0)" : " >= 0)");
        break;
    case EXPR_RANDOM:
        text_printf(p->out, "random_%s(site + %d, ",
                    e->random == RANDOM_UNIFORM ? "uniform" : "normal",
                    e->site - p->kernel->first_site);
        print_affine(p, e->affine);
        text_append(p->out, ")");
        break;
    case EXPR_SCALAR:
        text_append(p->out, scalar_names[e->scalar]);
        if (e->site)
            text_printf(p->out, "(%d)", e->site);
        break;
    case EXPR_LOAD:
        print_place(p, e->buffer, e->affine, e->data, e->count);
        break;
    case EXPR_LOCAL:
        text_printf(p->out, "r%d", e->local);
        break;
    case EXPR_CALL:
        text_printf(p->out, "%s(", e->function->name);
        for (int i = 0; i < e->function->arity; i++) {
            if (i)
                text_append(p->out, ", ");
            print_expr(p, e->args[i]);
        }
        text_append(p->out, ")");
        break;
    case EXPR_ACCESS:
        bug("an access in the loop IR: %s", e->node->name);
    }
}

static void print_expr(Printer *p, const Expr *e)
{
    int n = number_of(p->shared.data, p->shared.count, e);
    if (n >= 0)
        text_printf(p->out, "t%d", n);
    else
        print_anew(p, e);
}

/* ---- shared subexpressions ------------------------------------------------------------------------------- */

typedef struct Uses {
    Printer *p;
    VEC(Numbered) counts;
} Uses;

static void count_use(Uses *u, const Expr *e)
{
    if (e->kind != EXPR_CALL && e->kind != EXPR_RANDOM)
        return;
    for (int i = 0; i < u->counts.count; i++)
        if (u->counts.data[i].item == e) {
            u->counts.data[i].number++;
            return;
        }
    Numbered first = {e, 1};
    vec_push(u->p->arena, &u->counts, first);
}

static void visit_uses(void *context, const Expr *e)
{
    for (int i = 0; e->kind == EXPR_CALL && i < e->function->arity; i++)
        count_use(context, e->args[i]);
    for (int i = 0; e->kind == EXPR_LOAD && i < e->count; i++)
        count_use(context, e->data[i].value);
}

static void indent(Printer *p, int depth)
{
    text_printf(p->out, "%*s", 2 * depth, "");
}

typedef struct SharedVisit {
    Uses *uses;
    int depth;
} SharedVisit;

static void visit_shared(void *context, const Expr *e)
{
    SharedVisit *v = context;
    Printer *p = v->uses->p;
    if (number_of((const Numbered *)v->uses->counts.data, v->uses->counts.count, e) < 2)
        return;
    indent(p, v->depth);
    text_printf(p->out, "t%d = ", p->next_shared);
    print_anew(p, e);
    text_append(p->out, "\n");
    Numbered named = {e, p->next_shared++};
    vec_push(p->arena, &p->shared, named);
}

static void name_shared(Printer *p, const Expr *e, int depth)
{
    Uses u = {.p = p};
    p->shared.count = 0;
    p->next_shared = 0;
    expr_visit(p->pool, e, visit_uses, &u);
    SharedVisit v = {&u, depth};
    expr_visit(p->pool, e, visit_shared, &v);
}

/* ---- statements ---------------------------------------------------------------------------------------------- */

static const char *const for_names[] = {"for", "parallel for", "vector for", "unrolled for"};

static void print_list(Printer *p, const LoopList *list, int depth);

static void print_for(Printer *p, const Loop *l, int depth)
{
    text_printf(p->out, "%s i%d = ", for_names[l->how], index_number(p, l->index));
    if (l->begin)
        print_affine(p, l->begin);
    else
        text_append(p->out, "0");
    text_printf(p->out, " below %lld", (long long)l->index->extent);
    if (l->index->per_example)
        text_printf(p->out, " (%lld an example)", (long long)l->index->per_example);
    if (l->length)
        text_printf(p->out, ", at most %lld", (long long)l->length);
    if (l->end) {
        text_append(p->out, ", below ");
        print_affine(p, l->end);
    }
    if (l->step != 1)
        text_printf(p->out, ", step %lld", (long long)l->step);
    text_append(p->out, "\n");
    print_list(p, &l->body, depth + 1);
}

static void print_slice(Printer *p, const Loop *l)
{
    text_printf(p->out, "slices %d ", l->rows);
    if (l->lines != l->rows)
        text_printf(p->out, "of %lld ", (long long)l->lines);
    text_printf(p->out, "%s %s[", l->by_step ? "by step" : "by line", l->c->name);
    print_affine(p, l->c_offset);
    text_append(p->out, "] = ");
    if (l->value) {
        print_expr(p, l->value);
        text_printf(p->out, " at step i%d", index_number(p, l->index));
    } else {
        text_printf(p->out, "%s[", l->a->name);
        print_affine(p, l->a_offset);
        text_printf(p->out, "; %lld, %lld]", (long long)l->a_row_stride,
                    (long long)l->a_depth_stride);
    }
    text_append(p->out, ", depth ");
    print_affine(p, l->depth_begin);
    text_printf(p->out, " below %lld", (long long)l->depth_index->extent);
    if (l->depth_index->per_example)
        text_printf(p->out, " (%lld an example)", (long long)l->depth_index->per_example);
    text_printf(p->out, ", at most %lld", (long long)l->depth_length);
    if (l->row) {
        text_printf(p->out, ", line i%d from ", index_number(p, l->row));
        print_affine(p, l->row_begin);
        text_printf(p->out, " below %lld", (long long)l->row->extent);
        if (l->row->per_example)
            text_printf(p->out, " (%lld an example)", (long long)l->row->per_example);
    }
    if (l->copies > 1)
        text_printf(p->out, ", %d copies %lld apart", l->copies, (long long)l->copy_stride);
    text_append(p->out, ", at ");
    if (l->depth_at)
        print_affine(p, l->depth_at);
}

static void print_tile(Printer *p, const Loop *l)
{
    text_printf(p->out, "tile %dx%d %s[", l->rows, l->columns, l->c->name);
    print_affine(p, l->c_offset);
    text_printf(p->out, "; %d] %s sum i%d = ", l->c_stride, l->accumulate ? "+=" : "=",
                index_number(p, l->depth_index));
    print_affine(p, l->depth_begin);
    text_printf(p->out, " below %lld", (long long)l->depth_index->extent);
    if (l->depth_index->per_example)
        text_printf(p->out, " (%lld an example)", (long long)l->depth_index->per_example);
    text_printf(p->out, ", at most %lld: %s[", (long long)l->depth_length, l->a->name);
    print_affine(p, l->a_offset);
    text_printf(p->out, "; %lld, %lld] * %s[", (long long)l->a_row_stride,
                (long long)l->a_depth_stride, l->b->name);
    print_affine(p, l->b_offset);
    text_printf(p->out, "; %lld%s]", (long long)l->b_stride, l->along_depth ? ", 1" : "");
    for (int i = 0; i < l->inner_count; i++)
        text_printf(p->out, ", each %lld steps of %lld and %lld", (long long)l->inner[i].count,
                    (long long)l->inner[i].a_stride, (long long)l->inner[i].b_stride);
    if (l->slide.count)
        text_printf(p->out, ", each slid %lld times by %lld and %lld", (long long)l->slide.count,
                    (long long)l->slide.a_stride, (long long)l->slide.b_stride);
    if (l->depth_from) {
        text_append(p->out, ", from ");
        print_affine(p, l->depth_from);
    }
    if (l->depth_to) {
        text_append(p->out, ", below ");
        print_affine(p, l->depth_to);
    }
    for (int i = 0; i < l->aheads.count; i++) {
        const Ahead *a = &l->aheads.data[i];
        text_printf(p->out, "%s%s[", i ? ", " : ", ask for ", a->buffer->name);
        print_affine(p, a->offset);
        text_printf(p->out, " + %lld*(step >> %d)]", (long long)a->stride, a->shift);
        if (a->when) {
            text_append(p->out, " where 0 <= ");
            print_affine(p, a->when);
        }
    }
    if (l->chunk) {
        text_append(p->out, ", slices ");
        if (l->lines != l->rows)
            text_printf(p->out, "of %lld lines, ", (long long)l->lines);
        text_append(p->out, "of chunk ");
        print_affine(p, l->chunk);
    }
    for (int i = 0; i < l->asides.count; i++) {
        const Aside *a = &l->asides.data[i];
        p->shared.count = 0; /* those of another statement */
        text_append(p->out, ", besides part ");
        print_affine(p, a->part);
        text_printf(p->out, " of %lld of ", (long long)a->parts);
        print_slice(p, a->slice);
        if (a->index) {
            text_append(p->out, ", all that is left where ");
            print_affine(p, a->column);
            text_printf(p->out, " is the last below %lld an example",
                        (long long)a->index->per_example);
        }
    }
    text_append(p->out, "\n");
}

static void print_loop(Printer *p, const Loop *l, int depth)
{
    if (l->value)
        name_shared(p, l->value, depth);
    indent(p, depth);
    switch (l->kind) {
    case LOOP_FOR:
        print_for(p, l, depth);
        return;
    case LOOP_TILE:
        print_tile(p, l);
        return;
    case LOOP_SLICE:
        print_slice(p, l);
        text_append(p->out, "\n");
        return;
    case LOOP_ASK:
        text_append(p->out, "ask for ");
        print_place(p, l->buffer, l->offset, NULL, 0);
        text_append(p->out, "\n");
        return;
    case LOOP_SET:
        text_printf(p->out, "r%d = ", l->local);
        break;
    case LOOP_COMBINE:
        text_printf(p->out, "r%d %s= ", l->local, l->reduction->name);
        break;
    case LOOP_STORE:
    case LOOP_ADD:
        print_place(p, l->buffer, l->offset, l->data, l->data_count);
        text_append(p->out, l->kind == LOOP_ADD ? " += " : l->past ? " past= " : " = ");
        break;
    }
    print_expr(p, l->value);
    text_append(p->out, "\n");
}

static void print_list(Printer *p, const LoopList *list, int depth)
{
    for (int i = 0; i < list->count; i++)
        print_loop(p, list->data[i], depth);
}

void loop_print(Text *out, const LoopKernel *k)
{
    Printer p = {.out = out, .kernel = k, .arena = out->arena};
    text_append(out, "kernel(");
    for (int i = 0; i < k->operands.count; i++)
        text_printf(out, "%s%s %s%s", i ? ", " : "", dtype_name(k->operands.data[i]->type),
                    k->operands.data[i]->name, k->operands.data[i]->written ? "!" : "");
    text_append(out, ")\n");
    for (int i = 0; i < k->locals.count; i++)
        text_printf(out, "%sr%d:%s%s", i ? " " : "  ", i, dtype_name(k->locals.data[i]),
                    i + 1 == k->locals.count ? "\n" : "");
    p.pool = k->pool;
    for (int i = 0; i < k->kernel->steps.count; i++)
        text_printf(out, "  step i%d below %lld\n", index_number(&p, k->kernel->steps.data[i]),
                    (long long)k->kernel->steps.data[i]->extent);
    print_list(&p, &k->body, 1);
}
