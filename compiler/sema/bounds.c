/* Every subscript is proven inside its dimension, or guarded by the author. */
#include "sema/internal.h"

#include <math.h>

static Interval interval(int64_t low, int64_t high)
{
    return (Interval){low, high};
}

static const Interval unknown_interval = {INT32_MIN, INT32_MAX};

static Interval access_interval(const Expr *e)
{
    const Node *n = e->node;
    if (n->kind == NODE_PORT && n->port->domain != DOMAIN_NUMBER)
        return interval(0, n->port->classes - 1);
    if (n->kind == NODE_COMPUTE && n->reduction && n->reduction->position) {
        int64_t count = 1;
        for (int i = 0; i < n->bound_count; i++)
            count *= n->bound[i]->extent;
        return interval(0, count - 1);
    }
    if (n->kind == NODE_COMPUTE && !n->reduction)
        return data_interval(n->body);
    if (n->kind == NODE_VIEW) {
        const Expr viewed = {.kind = EXPR_ACCESS, .type = n->viewed->type, .node = n->viewed};
        return access_interval(&viewed);
    }
    if (e->type == TYPE_U8)
        return interval(0, 255);
    if (e->type == TYPE_U16)
        return interval(0, 65535);
    return unknown_interval;
}

/* What a comparison with a number says of the values of e. */
static void refine_by_comparison(Interval *r, const Expr *e, const Expr *test, bool holds)
{
    const bool mirrored = test->args[1] == e;
    double number;
    if ((test->args[0] != e && !mirrored) || !expr_is_const(test->args[!mirrored], &number))
        return;
    const ScalarFunction *f = test->function;
    bool below = f == &scalar_lt || f == &scalar_le, strict = f == &scalar_lt || f == &scalar_gt;
    const bool equal = f == &scalar_eq ? holds : f == &scalar_ne && !holds;
    if (!below && f != &scalar_gt && f != &scalar_ge && !equal)
        return;
    below = below != mirrored;
    if (!holds && !equal) {
        below = !below;
        strict = !strict;
    }
    const int64_t high = strict ? (int64_t)ceil(number) - 1 : (int64_t)floor(number);
    const int64_t low = strict ? (int64_t)floor(number) + 1 : (int64_t)ceil(number);
    if ((below || equal) && high < r->high)
        r->high = high;
    if ((!below || equal) && low > r->low)
        r->low = low;
}

static void refine(Interval *r, const Expr *e, const Expr *test, bool holds)
{
    if (!test || test->kind != EXPR_CALL)
        return;
    if (test->function == &scalar_not)
        refine(r, e, test->args[0], !holds);
    else if (test->function == (holds ? &scalar_and : &scalar_or))
        for (int i = 0; i < 2; i++)
            refine(r, e, test->args[i], holds);
    else if (test->function->signature == SIGNATURE_COMPARE)
        refine_by_comparison(r, e, test, holds);
}

static Interval interval_under(const Facts *facts, const Expr *e);

static Interval call_interval(const Facts *facts, const Expr *e)
{
    const ScalarFunction *f = e->function;
    if (e->type == TYPE_BOOL || (f == &scalar_to_integer && e->args[0]->type == TYPE_BOOL))
        return interval(0, 1);
    const bool choice = f == &scalar_select;
    Interval a = interval_under(facts, e->args[choice ? 1 : 0]);
    Interval b = f->arity > 1 ? interval_under(facts, e->args[choice ? 2 : 1]) : a;
    if (choice) {
        refine(&a, e->args[1], e->args[0], true);
        refine(&b, e->args[2], e->args[0], false);
    }
    if (f == &scalar_add)
        return interval(a.low + b.low, a.high + b.high);
    if (f == &scalar_sub)
        return interval(a.low - b.high, a.high - b.low);
    if (f == &scalar_min)
        return interval(a.low < b.low ? a.low : b.low, a.high < b.high ? a.high : b.high);
    if (f == &scalar_max)
        return interval(a.low > b.low ? a.low : b.low, a.high > b.high ? a.high : b.high);
    if (f == &scalar_select)
        return interval(a.low < b.low ? a.low : b.low, a.high > b.high ? a.high : b.high);
    if (f == &scalar_mod && b.low > 0)
        return interval(0, b.high - 1);
    if (f == &scalar_div && b.low == b.high && b.low > 0)
        return interval((int64_t)floor((double)a.low / (double)b.low),
                        (int64_t)floor((double)a.high / (double)b.low));
    if (f == &scalar_mul && a.low >= 0 && b.low >= 0 && a.high < INT32_MAX && b.high < INT32_MAX)
        return interval(a.low * b.low, a.high * b.high);
    return unknown_interval;
}

static Interval plain_interval(const Facts *facts, const Expr *e)
{
    switch (e->kind) {
    case EXPR_CONST:
        return interval((int64_t)e->value, (int64_t)e->value);
    case EXPR_AFFINE:
        return affine_interval(e->affine);
    case EXPR_ACCESS:
        return access_interval(e);
    case EXPR_CALL:
        return call_interval(facts, e);
    default:
        return unknown_interval;
    }
}

static Interval interval_under(const Facts *facts, const Expr *e)
{
    Interval r = plain_interval(facts, e);
    for (const Facts *f = facts; f; f = f->outer)
        refine(&r, e, f->test, f->holds);
    return r;
}

/* What values a whole-number expression can have, from what is checked when data is loaded. */
Interval data_interval(const Expr *e)
{
    return interval_under(NULL, e);
}

/* A class or token that the tensor has no entry for: a last layer or a table that is too small. */
static bool too_many_classes(Sema *s, const Ast *item, const Port *port, int64_t extent)
{
    const char *type = port->domain == DOMAIN_CLASS ? "class" : "token";
    diag_error(s->diag, item->span,
               "`%s` runs from 0 to %lld, and what it selects from has %lld entries", port->name,
               (long long)port->classes - 1, (long long)extent);
    diag_note(s->diag, port->span, "`%s` is declared here as %s(%lld)", port->name, type,
              (long long)port->classes);
    diag_help(s->diag,
              port->domain == DOMAIN_CLASS
                  ? "make the last layer %lld wide, or declare `%s` as %s(%lld)"
                  : "give the table %lld rows, or declare `%s` as %s(%lld)",
              (long long)port->classes, port->name, type, (long long)extent);
    return false;
}

static const Expr *whole(ExprPool *p, const Expr *e, int64_t number)
{
    return expr_const_typed(p, (double)number, e->type);
}

/* Held inside by conditions alone: they choose between branches that are both computed. */
static const Expr *clamped(ExprPool *p, const Expr *data, Interval range, int64_t extent)
{
    const Expr *e = data->type == TYPE_I32 ? data : expr_cast(p, data, TYPE_I32);
    if (range.low < 0)
        e = expr_call(p, &scalar_max, (const Expr *[]){e, whole(p, e, 0)});
    if (range.high >= extent)
        e = expr_call(p, &scalar_min, (const Expr *[]){e, whole(p, e, extent - 1)});
    return e;
}

/* Keeps the tests for `(… else v)`. */
static void collect_data_tests(Sema *s, const Expr *data, Interval range, int64_t extent)
{
    ExprPool *p = s->program->pool;
    const Expr *e = data->type == TYPE_I32 ? data : expr_cast(p, data, TYPE_I32);
    if (range.low < 0)
        vec_push(s->arena, s->unproven,
                 expr_call(p, &scalar_ge, (const Expr *[]){e, whole(p, e, 0)}));
    if (range.high >= extent)
        vec_push(s->arena, s->unproven,
                 expr_call(p, &scalar_lt, (const Expr *[]){e, whole(p, e, extent)}));
}

static bool prove_data(Sema *s, const Ast *item, Subscript *sub, int64_t extent, int dimension)
{
    const Expr *data = sub->data;
    const Interval range = data_interval(data);
    if (range.low >= 0 && range.high < extent)
        return true;
    const Interval known = interval_under(s->facts, data);
    const bool guarded = known.low >= 0 && known.high < extent;
    if (guarded || s->unproven) {
        if (!guarded)
            collect_data_tests(s, data, known, extent);
        sub->data = clamped(s->program->pool, data, range, extent);
        return true;
    }
    if (data->kind == EXPR_ACCESS && data->node->kind == NODE_PORT &&
        data->node->port->domain != DOMAIN_NUMBER)
        return too_many_classes(s, item, data->node->port, extent);
    diag_error(s->diag, item->span, "this subscript may leave dimension %d, which has %lld entries",
               dimension + 1, (long long)extent);
    if (range.low <= INT32_MIN && range.high >= INT32_MAX)
        diag_help(s->diag,
                  "its values are not known; declare the input as class(%lld), or clamp them with "
                  "min and max",
                  (long long)extent);
    else
        diag_help(s->diag, "its values run from %lld to %lld; clamp them with min and max",
                  (long long)range.low, (long long)range.high);
    return false;
}

/* Keeps the tests for `(… else v)`, where there is one. */
static void collect_tests(Sema *s, const Affine *a, int64_t extent)
{
    ExprPool *p = s->program->pool;
    const Affine *above = affine_sub(p, affine_constant(p, extent - 1), a);
    if (!facts_prove_not_negative(p, s->facts, a))
        vec_push(s->arena, s->unproven, expr_test(p, TEST_NOT_NEGATIVE, a));
    if (!facts_prove_not_negative(p, s->facts, above))
        vec_push(s->arena, s->unproven, expr_test(p, TEST_NOT_NEGATIVE, above));
}

/* How many examples there are is known at run time alone: a dimension over them is reached by an
 * index over them, and by nothing else. */
static bool over_batch(const Subscript *sub)
{
    const Index *ix = sub->affine ? affine_is_index(sub->affine) : NULL;
    return ix && ix->per_example;
}

static bool uses_batch(const Affine *a)
{
    for (int i = 0; a && i < a->count; i++)
        if (a->terms[i].kind == TERM_INDEX ? a->terms[i].index->per_example
                                           : uses_batch(a->terms[i].inner))
            return true;
    return false;
}

bool prove_inside(Sema *s, const Ast *item, Subscript *sub, const Index *of, int dimension,
                  const Ast *base)
{
    const int64_t extent = of->extent;
    if (of->per_example || uses_batch(sub->affine)) {
        if (of->per_example && over_batch(sub))
            return true;
        diag_error(s->diag, item->span,
                   of->per_example
                       ? "this dimension runs over the batch, and the subscript does not"
                       : "this subscript runs over the batch, and the dimension does not");
        diag_help(s->diag, "an index over the batch has the range `batch`: [m: batch]");
        return false;
    }
    if (sub->data)
        return prove_data(s, item, sub, extent, dimension);
    if (facts_prove_inside(s->program->pool, s->facts, sub->affine, extent))
        return true;
    if (s->unproven) {
        collect_tests(s, sub->affine, extent);
        return true;
    }
    const Interval range = affine_interval(sub->affine);
    if (range.low == range.high) {
        diag_error(s->diag, item->span,
                   "entry %lld does not exist: the dimension has %lld, counted from 0",
                   (long long)range.low, (long long)extent);
        if (range.low < 0 && range.low >= -extent)
            diag_help(s->diag, "entries do not count from the end: that one is %lld",
                      (long long)(extent + range.low));
        return false;
    }
    diag_error(s->diag, item->span,
               "this subscript runs from %lld to %lld, and the dimension has %lld entries",
               (long long)range.low, (long long)range.high, (long long)extent);
    Text t;
    text_init(&t, s->arena);
    ast_format_expr(&t, base);
    diag_help(s->diag, "say what to read outside: (%s else 0), or guard it with if … then … else …",
              t.data);
    return false;
}
