/* Affine expressions and conditions on indices as .nn text. */
#include "ir/pool.h"
#include "ir/print.h"

const char *printer_name(const Printer *pr, const Index *ix)
{
    for (int i = 0; i < pr->names.count; i++)
        if (pr->names.data[i].index == ix)
            return pr->names.data[i].name;
    return ix->name;
}

static void put(Printer *pr, const char *text)
{
    text_append(pr->out, text);
}

/* ---- affine expressions ------------------------------------------------------------------------------ */

Level print_affine_level(const Affine *a)
{
    if (a->count == 0)
        return a->constant < 0 ? LEVEL_UNARY : LEVEL_PRIMARY;
    if (a->count > 1 || a->constant)
        return LEVEL_SUM;
    const Term *t = &a->terms[0];
    if (t->kind != TERM_INDEX || (t->factor != 1 && t->factor != -1))
        return LEVEL_PRODUCT;
    return t->factor < 0 ? LEVEL_UNARY : LEVEL_PRIMARY;
}

/* i, inner / divisor or inner % divisor, to be multiplied where `multiplied`. */
static void print_atom(Printer *pr, const Term *t, bool multiplied)
{
    if (t->kind == TERM_INDEX) {
        put(pr, printer_name(pr, t->index));
        return;
    }
    put(pr, multiplied ? "(" : "");
    print_affine(pr, t->inner, affine_is_index(t->inner) ? LEVEL_PRODUCT : LEVEL_PRIMARY);
    text_printf(pr->out, " %c %lld", t->kind == TERM_QUOTIENT ? '/' : '%', (long long)t->divisor);
    put(pr, multiplied ? ")" : "");
}

static void print_term(Printer *pr, const Term *t, bool first)
{
    int64_t magnitude = t->factor < 0 ? -t->factor : t->factor;
    bool minus_first = first && t->factor < 0;
    if (!first)
        put(pr, t->factor < 0 ? " - " : " + ");
    else if (minus_first)
        put(pr, "-");
    if (magnitude != 1)
        text_printf(pr->out, "%lld * ", (long long)magnitude);
    print_atom(pr, t, magnitude != 1 || minus_first);
}

static void print_constant_term(Printer *pr, int64_t c, bool first)
{
    if (first)
        text_printf(pr->out, "%lld", (long long)c);
    else if (c)
        text_printf(pr->out, c < 0 ? " - %lld" : " + %lld", (long long)(c < 0 ? -c : c));
}

/* What is added stands before what is taken away: h - u, not -u + h. */
static void print_terms(Printer *pr, const Affine *a)
{
    int positive = 0;
    while (positive < a->count && a->terms[positive].factor < 0)
        positive++;
    bool none = positive == a->count, constant_first = a->count == 0 || (none && a->constant > 0);
    if (constant_first)
        print_constant_term(pr, a->constant, true);
    if (!none)
        print_term(pr, &a->terms[positive], true);
    for (int i = 0; i < a->count; i++)
        if (none || i != positive)
            print_term(pr, &a->terms[i], none && i == 0 && !constant_first);
    if (!constant_first)
        print_constant_term(pr, a->constant, false);
}

void print_affine(Printer *pr, const Affine *a, Level level)
{
    bool parentheses = print_affine_level(a) < level;
    put(pr, parentheses ? "(" : "");
    print_terms(pr, a);
    put(pr, parentheses ? ")" : "");
}

void affine_print(Text *out, const Affine *a)
{
    print_affine(&(Printer){.out = out}, a, LEVEL_CONDITION);
}

/* ---- conditions on indices ------------------------------------------------------------------------------ */

/* The terms of a with factors of this sign, made positive; `terms` has room for all of a's. */
static Affine part(const Affine *a, Term *terms, int64_t sign)
{
    Affine some = {.terms = terms};
    for (int i = 0; i < a->count; i++)
        if ((a->terms[i].factor > 0) == (sign > 0)) {
            terms[some.count] = a->terms[i];
            terms[some.count++].factor *= sign;
        }
    return some;
}

/* left op right + constant */
static void print_comparison(Printer *pr, const Affine *left, const char *op, Affine right,
                             int64_t constant)
{
    right.constant = constant;
    print_affine(pr, left, LEVEL_SUM);
    put(pr, op);
    print_affine(pr, &right, LEVEL_SUM);
}

/* a >= 0 as i >= 1, i < 5, i > j, i + u < 9, 2*i + u >= j + 1. */
static void print_not_negative(Printer *pr, const Affine *a)
{
    Term above[a->count + 1], below[a->count + 1];
    Affine left = part(a, above, 1), right = part(a, below, -1);
    if (left.count == 0) {
        print_comparison(pr, &right, " < ", left, a->constant + 1);
        return;
    }
    bool strict = right.count > 0 && a->constant == -1;
    print_comparison(pr, &left, strict ? " > " : " >= ", right, strict ? 0 : -a->constant);
}

void print_zero(Printer *pr, const Affine *a, const char *op)
{
    Term above[a->count + 1], below[a->count + 1];
    Affine left = part(a, above, 1), right = part(a, below, -1);
    if (left.count == 0)
        print_comparison(pr, &right, op, left, a->constant);
    else
        print_comparison(pr, &left, op, right, -a->constant);
}

void print_test(Printer *pr, const Expr *e)
{
    if (e->test == TEST_ZERO)
        print_zero(pr, e->affine, " == ");
    else
        print_not_negative(pr, e->affine);
}
