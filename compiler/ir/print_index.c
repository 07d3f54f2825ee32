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

/* The affine expression of -a's terms, or of a's but one; `terms` has room for all of them. */
static Affine part(const Affine *a, Term *terms, int without, int64_t sign)
{
    Affine some = {.terms = terms};
    for (int i = 0; i < a->count; i++)
        if (i != without) {
            terms[some.count] = a->terms[i];
            terms[some.count++].factor *= sign;
        }
    return some;
}

static int count_positive(const Affine *a)
{
    int positive = 0;
    for (int i = 0; i < a->count; i++)
        positive += a->terms[i].factor > 0;
    return positive;
}

/* left op right + constant */
static void print_comparison(Printer *pr, const Affine *left, const char *op, Affine right, int64_t constant)
{
    right.constant = constant;
    print_affine(pr, left, LEVEL_SUM);
    put(pr, op);
    print_affine(pr, &right, LEVEL_SUM);
}

/* a >= 0 as i >= 1, i < 5, i > j, 2*i + u < 9 or, failing those, as it is. */
static void print_not_negative(Printer *pr, const Affine *a)
{
    Term left_terms[a->count + 1], right_terms[a->count + 1];
    int positive = count_positive(a);
    if (positive == 0) {
        Affine left = part(a, left_terms, -1, -1);
        print_comparison(pr, &left, " < ", (Affine){0}, a->constant + 1);
    } else if (a->count == 1) {
        Affine left = part(a, left_terms, -1, 1);
        print_comparison(pr, &left, " >= ", (Affine){0}, -a->constant);
    } else if (a->count == 2 && positive == 1) {
        int minus = a->terms[0].factor < 0 ? 0 : 1;
        Affine left = part(a, left_terms, minus, 1), right = part(a, right_terms, 1 - minus, -1);
        bool strict = a->constant == -1;
        print_comparison(pr, &left, strict ? " > " : " >= ", right, strict ? 0 : -a->constant);
    } else {
        print_affine(pr, a, LEVEL_SUM);
        put(pr, " >= 0");
    }
}

void print_zero(Printer *pr, const Affine *a, const char *op)
{
    Term left_terms[a->count + 1], right_terms[a->count + 1];
    bool two = a->count == 2 && count_positive(a) == 1;
    if (a->count == 1 || two) {
        int minus = !two ? -1 : a->terms[0].factor < 0 ? 0 : 1;
        Affine left = part(a, left_terms, minus, 1), right = {0};
        if (two)
            right = part(a, right_terms, 1 - minus, -1);
        print_comparison(pr, &left, op, right, -a->constant);
        return;
    }
    print_affine(pr, a, LEVEL_SUM);
    put(pr, op);
    put(pr, "0");
}

void print_test(Printer *pr, const Expr *e)
{
    if (e->test == TEST_ZERO)
        print_zero(pr, e->affine, " == ");
    else
        print_not_negative(pr, e->affine);
}
