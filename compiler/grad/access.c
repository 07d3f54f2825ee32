/* Inverting an access: which elements (o, r) of the consumer read X[j]?
 *
 * Each subscript gives an equation  a(o, r) - j = 0.  Solved for indices of the consumer (equations.c),
 * they leave a sum over the indices that stay open, of the value under the guards of the solution. */
#include "functions/functions.h"
#include "grad/solver.h"

#include <string.h>

static void state_equations(Solver *s, const Expr *access, Index *const *domain)
{
    for (int k = 0; k < access->count; k++) {
        const Subscript *sub = &access->subscripts[k];
        const Affine *j = affine_index(s->pool, domain[k]);
        if (sub->affine) {
            vec_push(s->arena, &s->equations, affine_sub(s->pool, sub->affine, j));
            continue;
        }
        const Expr *sides[2] = {expr_cast(s->pool, sub->data, TYPE_I32), expr_affine(s->pool, j)};
        vec_push(s->arena, &s->matches, expr_call(s->pool, &scalar_eq, sides));
    }
}

static bool name_is_taken(const char *name, Index *const *in, int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(in[i]->name, name) == 0)
            return true;
    return false;
}

/* Copies of the open indices, named apart from the domain and from each other. */
static void copy_bound(Solver *s, Graph *g, Index *const *domain, int rank, Pullback *out)
{
    const Affine **to = arena_new(s->arena, const Affine *, s->open.count + 1);
    out->bound_count = s->open.count;
    out->bound = arena_new(s->arena, Index *, s->open.count + 1);
    for (int i = 0; i < s->open.count; i++) {
        const char *base = s->open.data[i]->name, *name = base;
        for (int n = 2; name_is_taken(name, domain, rank) || name_is_taken(name, out->bound, i);
             n++)
            name = intern(g->names, arena_format(s->arena, "%s_%d", base, n));
        out->bound[i] = index_copy(s->pool, s->open.data[i]);
        out->bound[i]->name = name;
        to[i] = affine_index(s->pool, out->bound[i]);
    }
    out->body =
        expr_substitute(s->pool, s->value, &(Substitution){s->open.count, s->open.data, to});
}

/* Only data that every element may read stays outside the guards: `token[b, t] == v` is the form
 * that the scheduler makes a scatter-add of. */
/* `value` under a condition that may itself be read only under the guards of value. */
static const Expr *match_inside(ExprPool *p, const Expr *match, const Expr *value)
{
    const Expr *zero = expr_const(p, 0);
    if (value->kind == EXPR_CALL && value->function == &scalar_select && value->args[2] == zero)
        return expr_select(p, value->args[0], match_inside(p, match, value->args[1]), zero);
    return expr_select(p, match, value, zero);
}

static const Expr *guard_value(Solver *s)
{
    ExprPool *p = s->pool;
    const Expr *e = s->value, *zero = expr_const(p, 0), *all = NULL;
    for (int i = 0; i < s->matches.count; i++)
        if (!expr_reads_inside(p, NULL, s->matches.data[i]))
            e = match_inside(p, s->matches.data[i], e);
    for (int i = 0; i < s->guards.count; i++)
        all = all ? expr_and(p, all, s->guards.data[i]) : s->guards.data[i];
    if (all)
        e = expr_select(p, all, e, zero);
    all = NULL;
    for (int i = 0; i < s->matches.count; i++)
        if (expr_reads_inside(p, NULL, s->matches.data[i]))
            all = all ? expr_and(p, all, s->matches.data[i]) : s->matches.data[i];
    return all ? expr_select(p, all, e, zero) : e;
}

static Solver solver_of(Graph *g, const Expr *access, const Expr *value, const Node *user,
                        Index *const *domain)
{
    Solver s = {.arena = g->arena, .pool = g->pool, .user = user, .value = value};
    for (int i = 0; i < user->rank; i++)
        vec_push(s.arena, &s.open, user->domain[i]);
    for (int i = 0; i < user->bound_count; i++)
        vec_push(s.arena, &s.open, user->bound[i]);
    state_equations(&s, access, domain);
    return s;
}

/* Where a solution cannot be shown to stay inside, the masked sum over all indices takes its place. */
Pullback access_pull_back(Graph *g, const Expr *access, const Expr *value, const Node *user,
                          Index *const *domain)
{
    Solver s = solver_of(g, access, value, user, domain);
    solver_run(&s);
    s.value = guard_value(&s);
    if (!expr_reads_inside(s.pool, NULL, s.value)) {
        s = solver_of(g, access, value, user, domain);
        solver_run_plainly(&s);
        s.value = guard_value(&s);
    }
    Pullback out;
    copy_bound(&s, g, domain, access->count, &out);
    return out;
}
