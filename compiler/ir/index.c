/* Indices, affine expressions in canonical form, and their intervals.
 * Division rounds towards minus infinity throughout, so that a = d*(a/d) + a%d for every a. */
#include "ir/pool.h"

#include <string.h>

#define FAR (INT64_MAX / 4) /* where intervals saturate */

/* ---- arithmetic ---------------------------------------------------------------------------------- */

int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

int64_t floor_mod(int64_t a, int64_t b)
{
    return a - b * floor_div(a, b);
}

int64_t gcd(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a < 0 ? -a : a;
}

static int64_t clamp(int64_t v)
{
    return v > FAR ? FAR : v < -FAR ? -FAR : v;
}

static int64_t saturating_product(int64_t a, int64_t b)
{
    int64_t product;
    if (__builtin_mul_overflow(a, b, &product))
        return (a < 0) == (b < 0) ? FAR : -FAR;
    return clamp(product);
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* ---- indices ------------------------------------------------------------------------------------- */

Index *index_new(ExprPool *p, const char *name, int64_t extent, int64_t per_example, Span span)
{
    Index *ix = arena_new(p->arena, Index, 1);
    *ix = (Index){name, p->index_count++, extent, per_example, span};
    return ix;
}

Index *index_copy(ExprPool *p, const Index *ix)
{
    return index_new(p, ix->name, ix->extent, ix->per_example, ix->span);
}

Index **index_copies(ExprPool *p, Index *const *list, int count)
{
    Index **copies = arena_new(p->arena, Index *, count + 1);
    for (int i = 0; i < count; i++)
        copies[i] = index_copy(p, list[i]);
    return copies;
}

bool extents_equal(const Index *a, const Index *b)
{
    return a->extent == b->extent && a->per_example == b->per_example;
}

/* ---- one pointer per expression ------------------------------------------------------------------ */

static int order(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

/* The canonical order: plain indices, then quotients, then remainders, each by age. */
static int term_order(const Term *a, const Term *b)
{
    if (a->kind != b->kind)
        return order(a->kind, b->kind);
    if (a->kind == TERM_INDEX)
        return order(a->index->id, b->index->id);
    int by_inner = order(a->inner->id, b->inner->id);
    return by_inner ? by_inner : order(a->divisor, b->divisor);
}

static uint64_t affine_hash(const Affine *a)
{
    uint64_t h = hash_mix((uint64_t)a->count, (uint64_t)a->constant);
    for (const Term *t = a->terms; t < a->terms + a->count; t++) {
        int id = t->kind == TERM_INDEX ? t->index->id : t->inner->id;
        h = hash_mix(h, (uint64_t)t->kind << 32 | (uint32_t)id);
        h = hash_mix(h, (uint64_t)t->factor);
        h = hash_mix(h, (uint64_t)t->divisor);
    }
    return h;
}

static bool affine_equal(const void *item, const void *key)
{
    const Affine *a = item, *b = key;
    if (a->constant != b->constant || a->count != b->count)
        return false;
    for (int i = 0; i < a->count; i++)
        if (a->terms[i].factor != b->terms[i].factor || term_order(&a->terms[i], &b->terms[i]) != 0)
            return false;
    return true;
}

/* `terms` must be canonical; they are kept, not copied. */
static const Affine *affine_unique(ExprPool *p, int64_t constant, const Term *terms, int count)
{
    Affine key = {.constant = constant, .count = count, .terms = terms};
    uint64_t hash = affine_hash(&key);
    const Affine *known = hash_find(&p->affines, hash, affine_equal, &key);
    if (known)
        return known;
    Affine *a = arena_new(p->arena, Affine, 1);
    *a = key;
    a->id = p->affines.count;
    hash_insert(p->arena, &p->affines, hash, a);
    return a;
}

static const Affine *affine_single(ExprPool *p, Term term)
{
    Term *kept = arena_new(p->arena, Term, 1);
    *kept = term;
    return affine_unique(p, 0, kept, 1);
}

const Affine *affine_constant(ExprPool *p, int64_t value)
{
    return affine_unique(p, value, NULL, 0);
}

const Affine *affine_index(ExprPool *p, Index *ix)
{
    return affine_single(p, (Term){.kind = TERM_INDEX, .factor = 1, .index = ix});
}

/* ---- sums ---------------------------------------------------------------------------------------- */

/* x%d and d*(x/d) meet as x.  The quotient may have been simplified, so it is formed anew and
 * looked for among the terms.  Returns NULL when no pair is found. */
static const Affine *rejoin(ExprPool *p, int64_t constant, const Term *terms, int count)
{
    for (int i = 0; i < count; i++) {
        const Term *rest = &terms[i];
        if (rest->kind != TERM_REMAINDER)
            continue;
        const Affine *q = affine_quotient(p, rest->inner, rest->divisor);
        if (q->count != 1)
            continue;
        for (int j = 0; j < count; j++) {
            if (term_order(&terms[j], &q->terms[0]) != 0 ||
                terms[j].factor != rest->factor * rest->divisor * q->terms[0].factor)
                continue;
            Term *others = arena_new(p->arena, Term, count);
            int kept = 0;
            for (int k = 0; k < count; k++)
                if (k != i && k != j)
                    others[kept++] = terms[k];
            constant -= rest->factor * rest->divisor * q->constant;
            return affine_add_scaled(p, affine_unique(p, constant, others, kept), rest->inner,
                                     rest->factor);
        }
    }
    return NULL;
}

const Affine *affine_add_scaled(ExprPool *p, const Affine *a, const Affine *b, int64_t factor)
{
    if (factor == 0)
        return a;
    Term *terms = arena_new(p->arena, Term, a->count + b->count + 1);
    int count = 0, i = 0, j = 0;
    while (i < a->count || j < b->count) {
        int sign = i == a->count ? 1 : j == b->count ? -1 : term_order(&a->terms[i], &b->terms[j]);
        Term t = sign <= 0 ? a->terms[i] : b->terms[j];
        t.factor = (sign <= 0 ? a->terms[i++].factor : 0) +
                   (sign >= 0 ? factor * b->terms[j++].factor : 0);
        if (t.factor)
            terms[count++] = t;
    }
    int64_t constant = a->constant + factor * b->constant;
    const Affine *joined = rejoin(p, constant, terms, count);
    return joined ? joined : affine_unique(p, constant, terms, count);
}

const Affine *affine_add(ExprPool *p, const Affine *a, const Affine *b)
{
    return affine_add_scaled(p, a, b, 1);
}

const Affine *affine_sub(ExprPool *p, const Affine *a, const Affine *b)
{
    return affine_add_scaled(p, a, b, -1);
}

const Affine *affine_scale(ExprPool *p, const Affine *a, int64_t factor)
{
    return affine_add_scaled(p, affine_constant(p, 0), a, factor);
}

const Affine *affine_offset(ExprPool *p, const Affine *a, int64_t constant)
{
    return affine_unique(p, a->constant + constant, a->terms, a->count);
}

/* ---- quotients and remainders --------------------------------------------------------------------- */

int64_t affine_common_factor(const Affine *a)
{
    int64_t common = 0;
    for (int i = 0; i < a->count; i++)
        common = gcd(common, a->terms[i].factor);
    return common;
}

/* The terms whose factors `divisor` divides, divided by it. */
static const Affine *multiples(ExprPool *p, const Affine *a, int64_t divisor)
{
    Term *terms = arena_new(p->arena, Term, a->count + 1);
    int count = 0;
    for (int i = 0; i < a->count; i++)
        if (a->terms[i].factor % divisor == 0) {
            terms[count] = a->terms[i];
            terms[count++].factor /= divisor;
        }
    return affine_unique(p, floor_div(a->constant, divisor), terms, count);
}

void affine_split(ExprPool *p, const Affine *a, int64_t divisor, const Affine **whole,
                  const Affine **rest)
{
    *whole = multiples(p, a, divisor);
    *rest = affine_add_scaled(p, a, *whole, -divisor);
}

static bool within_one_block(const Affine *a, int64_t divisor, int64_t *block)
{
    Interval v = affine_interval(a);
    *block = floor_div(v.low, divisor);
    return floor_div(v.high, divisor) == *block;
}

/* The largest divisor g of `divisor` with a = g*whole + rest and 0 <= rest < g; 1 when only that.
 * Then a/divisor = whole/(divisor/g) and a%divisor = g*(whole%(divisor/g)) + rest. */
static int64_t low_digits(ExprPool *p, const Affine *a, int64_t divisor, const Affine **whole,
                          const Affine **rest)
{
    int64_t best = 1, block;
    for (int i = 0; i < a->count; i++) {
        int64_t g = gcd(divisor, a->terms[i].factor);
        const Affine *w, *r;
        if (g <= best)
            continue;
        affine_split(p, a, g, &w, &r);
        if (!within_one_block(r, g, &block) || block != 0)
            continue;
        best = g;
        *whole = w;
        *rest = r;
    }
    return best;
}

/* a = (inner / d) + c alone? */
static bool is_quotient(const Affine *a)
{
    return a->count == 1 && a->terms[0].kind == TERM_QUOTIENT && a->terms[0].factor == 1;
}

const Affine *affine_quotient(ExprPool *p, const Affine *a, int64_t divisor)
{
    if (divisor <= 0)
        bug("affine_quotient: division by %lld", (long long)divisor);
    const Affine *whole, *rest, *high, *low;
    affine_split(p, a, divisor, &whole, &rest);
    int64_t block;
    if (within_one_block(rest, divisor, &block))
        return affine_offset(p, whole, block);
    if (is_quotient(rest)) { /* (x/b + c)/d is (x + b*c)/(b*d) */
        const Term *t = &rest->terms[0];
        const Affine *inner = affine_offset(p, t->inner, rest->constant * t->divisor);
        return affine_add(p, whole, affine_quotient(p, inner, divisor * t->divisor));
    }
    int64_t g = low_digits(p, rest, divisor, &high, &low);
    if (g > 1)
        return affine_add(p, whole, affine_quotient(p, high, divisor / g));
    Term t = {.kind = TERM_QUOTIENT, .factor = 1, .inner = rest, .divisor = divisor};
    return affine_add(p, whole, affine_single(p, t));
}

/* Inside a remainder by `divisor`, x % (k*divisor) is as good as x. */
static const Affine *drop_coarser_remainders(ExprPool *p, const Affine *a, int64_t divisor)
{
    for (int i = 0; i < a->count; i++) {
        const Term *t = &a->terms[i];
        if (t->kind != TERM_REMAINDER || t->divisor * t->factor % divisor != 0)
            continue;
        Term alone = *t;
        alone.factor = 1;
        const Affine *without = affine_add_scaled(p, a, affine_single(p, alone), -t->factor);
        return drop_coarser_remainders(p, affine_add_scaled(p, without, t->inner, t->factor),
                                       divisor);
    }
    return a;
}

const Affine *affine_remainder(ExprPool *p, const Affine *a, int64_t divisor)
{
    if (divisor <= 0)
        bug("affine_remainder: division by %lld", (long long)divisor);
    const Affine *whole, *rest, *high, *low;
    affine_split(p, a, divisor, &whole, &rest);
    int64_t block;
    if (within_one_block(rest, divisor, &block))
        return affine_offset(p, rest, -block * divisor);
    const Affine *finer = drop_coarser_remainders(p, rest, divisor);
    if (finer != rest)
        return affine_remainder(p, finer, divisor);
    int64_t g = low_digits(p, rest, divisor, &high, &low);
    if (g > 1)
        return affine_add_scaled(p, low, affine_remainder(p, high, divisor / g), g);
    return affine_single(
        p, (Term){.kind = TERM_REMAINDER, .factor = 1, .inner = rest, .divisor = divisor});
}

/* ---- questions ------------------------------------------------------------------------------------- */

bool affine_is_constant(const Affine *a, int64_t *value)
{
    if (a->count == 0 && value)
        *value = a->constant;
    return a->count == 0;
}

Index *affine_is_index(const Affine *a)
{
    bool alone = a->count == 1 && a->constant == 0 && a->terms[0].kind == TERM_INDEX &&
                 a->terms[0].factor == 1;
    return alone ? a->terms[0].index : NULL;
}

int64_t affine_factor(const Affine *a, const Index *ix, bool *nested)
{
    int64_t factor = 0;
    bool inside = false;
    for (const Term *t = a->terms; t < a->terms + a->count; t++) {
        if (t->kind != TERM_INDEX)
            inside = inside || affine_uses(t->inner, ix);
        else if (t->index == ix)
            factor = t->factor;
    }
    if (nested)
        *nested = inside;
    return factor;
}

bool affine_uses(const Affine *a, const Index *ix)
{
    bool nested;
    return affine_factor(a, ix, &nested) != 0 || nested;
}

/* A remainder also keeps its inner residue by what the factors and the divisor share. */
static Interval remainder_interval(const Term *t)
{
    Interval inner = affine_interval(t->inner);
    int64_t step = gcd(affine_common_factor(t->inner), t->divisor);
    int64_t low = floor_mod(t->inner->constant, step);
    Interval v = {low, t->divisor - step + low};
    if (inner.low >= 0)
        v.high = smaller(v.high, inner.high);
    return v;
}

static Interval term_interval(const Term *t)
{
    Interval v;
    switch (t->kind) {
    case TERM_INDEX:
        v = (Interval){0, t->index->extent > 0 ? t->index->extent - 1 : FAR};
        break;
    case TERM_QUOTIENT:
        v = affine_interval(t->inner);
        v = (Interval){floor_div(v.low, t->divisor), floor_div(v.high, t->divisor)};
        break;
    default:
        v = remainder_interval(t);
    }
    int64_t a = saturating_product(t->factor, v.low), b = saturating_product(t->factor, v.high);
    return (Interval){smaller(a, b), larger(a, b)};
}

Interval affine_interval(const Affine *a)
{
    Interval sum = {clamp(a->constant), clamp(a->constant)};
    for (int i = 0; i < a->count; i++) {
        Interval v = term_interval(&a->terms[i]);
        sum = (Interval){clamp(sum.low + v.low), clamp(sum.high + v.high)};
    }
    return sum;
}

/* ---- substitution ----------------------------------------------------------------------------------- */

static const Affine *term_substitute(ExprPool *p, const Term *t, const Substitution *s)
{
    if (t->kind == TERM_INDEX) {
        for (int i = 0; i < s->count; i++)
            if (s->from[i] == t->index)
                return s->to[i];
        return affine_index(p, t->index);
    }
    const Affine *inner = affine_substitute(p, t->inner, s);
    return t->kind == TERM_QUOTIENT ? affine_quotient(p, inner, t->divisor)
                                    : affine_remainder(p, inner, t->divisor);
}

const Affine *affine_substitute(ExprPool *p, const Affine *a, const Substitution *s)
{
    const Affine *sum = affine_constant(p, a->constant);
    for (int i = 0; i < a->count; i++)
        sum = affine_add_scaled(p, sum, term_substitute(p, &a->terms[i], s), a->terms[i].factor);
    return sum;
}
