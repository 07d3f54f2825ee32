/* Are all affine subscripts of an expression inside their dimensions, given the conditions around
 * them?  What the verifier demands, and what passes ask before they change an expression. */
#include "functions/functions.h"
#include "ir/pool.h"

#include <stdlib.h>

/* ---- one subscript ------------------------------------------------------------------------------------ */

typedef VEC(Index *) Indices;

static void collect_batch_indices(ExprPool *p, const Affine *a, Indices *out)
{
    for (const Term *t = a->terms; t < a->terms + a->count; t++)
        if (t->kind != TERM_INDEX)
            collect_batch_indices(p, t->inner, out);
        else if (t->index->per_example)
            vec_push(p->arena, out, t->index);
}

/* Over the batch, the bound must hold for few examples as well as for the most: for one, too. */
static bool inside_for_one_example(ExprPool *p, const Affine *a, const Index *dimension)
{
    Indices from = {0};
    collect_batch_indices(p, a, &from);
    const Affine **to = arena_new(p->arena, const Affine *, from.count + 1);
    for (int i = 0; i < from.count; i++) {
        const Index *ix = from.data[i];
        to[i] = affine_index(p, index_new(p, ix->name, ix->per_example, 0, ix->span));
    }
    const Affine *one = affine_substitute(p, a, &(Substitution){from.count, from.data, to});
    return facts_prove_inside(p, NULL, one, dimension->per_example);
}

static bool subscript_inside(ExprPool *p, const Facts *facts, const Affine *a,
                             const Index *dimension)
{
    const Index *ix = affine_is_index(a);
    if (ix && ix->per_example == dimension->per_example && ix->extent <= dimension->extent)
        return true;
    return facts_prove_inside(p, facts, a, dimension->extent) &&
           (!dimension->per_example || inside_for_one_example(p, a, dimension));
}

/* The first subscript that is not proven inside, or -1. */
static int outside(ExprPool *p, const Facts *facts, const Expr *access)
{
    for (int i = 0; i < access->count; i++) {
        const Affine *a = access->subscripts[i].affine;
        if (a && !subscript_inside(p, facts, a, access->node->domain[i]))
            return i;
    }
    return -1;
}

/* ---- without any condition ------------------------------------------------------------------------------ */

typedef struct Search {
    ExprPool *pool;
    unsigned char
        *needs; /* per expression id: holds an access that only its guards keep inside; or NULL */
    bool found;
} Search;

static void look_for_outside(void *context, const Expr *e)
{
    Search *s = context;
    s->found = s->found || (e->kind == EXPR_ACCESS && outside(s->pool, NULL, e) >= 0);
}

static bool always_inside(ExprPool *p, const Expr *e)
{
    Search s = {.pool = p};
    expr_visit(p, e, look_for_outside, &s);
    return !s.found;
}

/* ---- under the guards ----------------------------------------------------------------------------------- */

static void mark_needs(void *context, const Expr *e)
{
    Search *s = context;
    bool needs = e->kind == EXPR_ACCESS && outside(s->pool, NULL, e) >= 0;
    for (int i = 0; i < 3 && e->args[i]; i++)
        needs = needs || s->needs[e->args[i]->id];
    for (int i = 0; i < e->count && e->subscripts; i++)
        needs = needs || (e->subscripts[i].data && s->needs[e->subscripts[i].data->id]);
    s->needs[e->id] = needs;
}

static const Expr *find_outside(const Search *s, const Facts *facts, const Expr *e, int *subscript);

static const Expr *find_in_access(const Search *s, const Facts *facts, const Expr *e,
                                  int *subscript)
{
    const Expr *found = NULL;
    *subscript = outside(s->pool, facts, e);
    if (*subscript >= 0)
        return e;
    for (int i = 0; i < e->count && !found; i++)
        if (e->subscripts[i].data)
            found = find_outside(s, facts, e->subscripts[i].data, subscript);
    return found;
}

/* The branches of a condition know whether it holds. */
static const Expr *find_outside(const Search *s, const Facts *facts, const Expr *e, int *subscript)
{
    if (!s->needs[e->id])
        return NULL;
    if (e->kind == EXPR_ACCESS)
        return find_in_access(s, facts, e, subscript);
    const Expr *found = find_outside(s, facts, e->args[0], subscript);
    for (int i = 1; i < e->function->arity && !found; i++) {
        Facts branch = {facts, e->args[0], i == 1};
        found =
            find_outside(s, e->function == &scalar_select ? &branch : facts, e->args[i], subscript);
    }
    return found;
}

const Expr *expr_outside(ExprPool *p, const Facts *facts, const Expr *e, int *subscript)
{
    if (always_inside(p, e))
        return NULL;
    Search s = {.pool = p,
                .needs = calloc((size_t)p->exprs.count + 1, 1)}; /* proofs make no expressions */
    if (!s.needs)
        die("out of memory");
    expr_visit(p, e, mark_needs, &s);
    const Expr *found = find_outside(&s, facts, e, subscript);
    free(s.needs);
    return found;
}

bool expr_reads_inside(ExprPool *p, const Facts *facts, const Expr *e)
{
    int subscript;
    return !expr_outside(p, facts, e, &subscript);
}
