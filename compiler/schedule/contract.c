/* Which sums of products are contractions: every index belongs to the rows, the columns, the depth
 * or a group of a matrix product. */
#include "schedule/internal.h"

/* ---- choosing sides -------------------------------------------------------------------------------- */

enum { MOST_INDICES = 24, MOST_FACTORS = 8, SMALL_PROBLEM = 16384, NARROW = 4, FEW_EXAMPLES = 8 };

typedef struct Split {
    ExprPool *pool;
    Node *node;
    Summand summand;
    Index *indices[MOST_INDICES]; /* the domain, then the bound ones */
    int count, free_count;
    VEC(IndexSplit) splits;
    uint64_t bound; /* those that are bound */
} Split;

static double extent_of(const Split *s, uint64_t set)
{
    double total = 1;
    for (int i = 0; i < s->count; i++)
        if (set >> i & 1)
            total *= (double)s->indices[i]->extent;
    return total;
}

typedef struct Sides {
    uint64_t left, right; /* indices */
    double score;
    unsigned factors; /* those on the left */
    bool valid;
} Sides;

/* A factor without a bound index that neither side holds is left to the epilogue. */
static bool is_rest(const Split *s, const Factor *f)
{
    return !f->guard && !(f->uses & s->bound);
}

static Sides try_sides(const Split *s, unsigned on_left)
{
    Sides t = {.factors = on_left};
    for (int i = 0; i < s->summand.factors.count; i++) {
        const Factor *f = &s->summand.factors.data[i];
        if (f->guard || is_rest(s, f))
            continue;
        if (on_left >> i & 1)
            t.left |= f->uses;
        else
            t.right |= f->uses;
    }
    uint64_t free = ((uint64_t)1 << s->count) - 1;
    free &= ~s->bound;
    uint64_t uncovered = free & ~(t.left | t.right);
    if (extent_of(s, uncovered) > 1)
        return t;
    t.right |= uncovered; /* of one value only */
    double groups = extent_of(s, free & t.left & t.right);
    double rows = extent_of(s, free & t.left & ~t.right),
           columns = extent_of(s, free & t.right & ~t.left);
    t.valid = rows >= NARROW && columns >= NARROW;
    t.score = groups * (rows + columns);
    return t;
}

static bool find_sides(const Split *s, Sides *best)
{
    int movable[MOST_FACTORS], count = 0;
    for (int i = 0; i < s->summand.factors.count; i++) {
        const Factor *f = &s->summand.factors.data[i];
        if (!f->guard && !is_rest(s, f)) {
            if (count == MOST_FACTORS)
                return false;
            movable[count++] = i;
        }
    }
    best->valid = false;
    if (count < 2)
        return false;
    for (unsigned pick = 1; pick < 1u << (count - 1); pick++) { /* the last stays on the right */
        unsigned on_left = 0;
        for (int i = 0; i < count; i++)
            if (pick >> i & 1)
                on_left |= 1u << movable[i];
        Sides t = try_sides(s, on_left);
        if (t.valid && (!best->valid || t.score < best->score))
            *best = t;
    }
    return best->valid;
}

static bool is_subset(uint64_t a, uint64_t b)
{
    return (a & ~b) == 0;
}

/* Is the value another one in each step of a recurrence? */
static bool uses_steps(const Split *s, const Expr *value)
{
    for (int i = 0; i < s->node->rank; i++)
        if (node_counts_steps(s->node, i) && expr_uses_index(s->pool, value, s->node->domain[i]))
            return true;
    return false;
}

/* The sides of the product, and what is the same for all terms of the sum; each with what must hold. */
typedef struct Operands {
    const Expr *left, *right, *rest;
    const Expr *left_guard, *right_guard, *rest_guard;
} Operands;

static void multiply_factors(const Split *s, const Sides *t, Operands *o)
{
    ExprPool *p = s->pool;
    for (int i = 0; i < s->summand.factors.count; i++) {
        const Factor *f = &s->summand.factors.data[i];
        if (f->guard)
            continue;
        const Expr **side = is_rest(s, f) ? &o->rest : t->factors >> i & 1 ? &o->left : &o->right;
        *side = *side ? expr_mul(p, *side, f->value) : f->value;
    }
    if (s->summand.constant != 1) {
        const Expr *k = expr_const_typed(p, s->summand.constant, s->node->type);
        o->rest = o->rest ? expr_mul(p, o->rest, k) : k;
    }
}

static void add_guard(ExprPool *p, const Expr **guard, const Expr *more)
{
    *guard = *guard ? expr_and(p, *guard, more) : more;
}

/* A guard goes to every side that has its free indices; what no side has, to the epilogue; and what tells steps
 * apart spares a side that is the same in all of them.  False: it asks about the depth, and no side can. */
static bool place_guard(const Split *s, const Sides *t, const Factor *f, Operands *o)
{
    const bool left_steps = uses_steps(s, o->left), right_steps = uses_steps(s, o->right);
    const uint64_t needed = f->uses & ~s->bound; /* either side may use all of the depth */
    const bool of_step = !f->uses;
    bool placed = false;
    if (is_subset(needed, t->left) && !(of_step && right_steps && !left_steps)) {
        add_guard(s->pool, &o->left_guard, f->value);
        placed = true;
    }
    if (is_subset(needed, t->right) && !(of_step && !right_steps)) {
        add_guard(s->pool, &o->right_guard, f->value);
        placed = true;
    }
    if (!placed && f->uses & s->bound)
        return false;
    if (!placed)
        add_guard(s->pool, &o->rest_guard, f->value);
    return true;
}

/* The value where the guard (or NULL) holds, and nothing elsewhere. */
static const Expr *guarded(const Split *s, const Expr *guard, const Expr *value)
{
    const DType type = s->node->type;
    if (!guard)
        return value;
    return expr_select(s->pool, guard, value ? value : expr_const_typed(s->pool, 1, type),
                       expr_const_typed(s->pool, 0, type));
}

static bool build_operands(const Split *s, const Sides *t, Contraction *c)
{
    Operands o = {0};
    multiply_factors(s, t, &o);
    for (int i = 0; i < s->summand.factors.count; i++) {
        const Factor *f = &s->summand.factors.data[i];
        if (f->guard && !place_guard(s, t, f, &o))
            return false;
    }
    c->left = guarded(s, o.left_guard, o.left);
    c->right = guarded(s, o.right_guard, o.right);
    c->rest = guarded(s, o.rest_guard, o.rest);
    return expr_reads_inside(s->pool, NULL, c->left) &&
           expr_reads_inside(s->pool, NULL, c->right) &&
           (!c->rest || expr_reads_inside(s->pool, NULL, c->rest));
}

typedef VEC(Index *) IndexList;

/* At most one index over the batch, and that outermost, so that the list flattens to one index. */
static bool add_index(Arena *a, IndexList *list, Index *ix)
{
    vec_push(a, list, ix);
    if (!ix->per_example || list->count == 1)
        return true;
    if (list->data[0]->per_example)
        return false;
    for (int i = list->count - 1; i > 0; i--)
        list->data[i] = list->data[i - 1];
    list->data[0] = ix;
    return true;
}

static bool sort_indices(const Split *s, const Sides *t, Contraction *c)
{
    Arena *a = expr_pool_arena(s->pool);
    IndexList groups = {0}, rows = {0}, columns = {0}, depth = {0};
    for (int i = 0; i < s->count; i++) {
        uint64_t bit = (uint64_t)1 << i;
        IndexList *list = s->bound & bit             ? &depth
                          : t->left & t->right & bit ? &groups
                          : t->left & bit            ? &rows
                                                     : &columns;
        if (!add_index(a, list, s->indices[i]))
            return false;
    }
    c->groups.data = groups.data, c->groups.count = groups.count;
    c->rows.data = rows.data, c->rows.count = rows.count;
    c->columns.data = columns.data, c->columns.count = columns.count;
    c->depth.data = depth.data, c->depth.count = depth.count;
    return true;
}

/* The side with the innermost free index is the columns: its stores are contiguous. */
static void orient(const Split *s, Contraction *c)
{
    const Index *last = s->indices[s->free_count - 1];
    for (int i = 0; i < c->rows.count; i++)
        if (c->rows.data[i] == last) {
            Contraction was = *c;
            c->left = was.right, c->right = was.left;
            c->rows.data = was.columns.data, c->rows.count = was.columns.count;
            c->columns.data = was.rows.data, c->columns.count = was.rows.count;
        }
}

/* ---- indices taken apart --------------------------------------------------------------------------- */

/* Does the body use the index only whole, or by one divisor of its extent? */
typedef struct Divided {
    Index *index;
    int64_t divisor; /* 0: none met */
    bool possible;
} Divided;

static void check_divided(Divided *d, const Affine *a)
{
    for (int i = 0; i < a->count; i++) {
        const Term *t = &a->terms[i];
        if (t->kind == TERM_INDEX || !affine_uses(t->inner, d->index))
            continue;
        if (affine_is_index(t->inner) != d->index || (d->divisor && d->divisor != t->divisor)) {
            d->possible = false;
            return;
        }
        d->divisor = t->divisor;
    }
}

static void visit_divided(void *context, const Expr *e)
{
    if (e->affine)
        check_divided(context, e->affine);
    for (int i = 0; e->kind == EXPR_ACCESS && i < e->count; i++)
        if (e->subscripts[i].affine)
            check_divided(context, e->subscripts[i].affine);
}

static void add_whole(Split *s, Index *ix, bool bound)
{
    if (bound)
        s->bound |= (uint64_t)1 << s->count;
    s->indices[s->count++] = ix;
}

/* The index, or its quotient and remainder in its place. */
static void add_index_parts(Split *s, Index *ix, const Expr *body, bool bound)
{
    Divided d = {ix, 0, ix->per_example == 0};
    expr_visit(s->pool, body, visit_divided, &d);
    if (!d.possible || !d.divisor || ix->extent % d.divisor) {
        add_whole(s, ix, bound);
        return;
    }
    Index *high = index_new(s->pool, ix->name, ix->extent / d.divisor, 0, ix->span);
    Index *low = index_new(s->pool, ix->name, d.divisor, 0, ix->span);
    const Affine *whole = affine_scale(s->pool, affine_index(s->pool, high), d.divisor);
    IndexSplit split = {ix, affine_add(s->pool, whole, affine_index(s->pool, low))};
    vec_push(expr_pool_arena(s->pool), &s->splits, split);
    add_whole(s, high, bound);
    add_whole(s, low, bound);
}

static const Expr *take_apart(ExprPool *p, const IndexSplit *splits, int count, const Expr *body)
{
    for (int i = 0; i < count; i++) {
        Substitution by = {1, &splits[i].from, &splits[i].to};
        body = expr_substitute(p, body, &by);
    }
    return body;
}

const Expr *contract_in_parts(ExprPool *p, const Contraction *c, const Expr *e)
{
    return take_apart(p, c->splits.data, c->splits.count, e);
}

static bool list_indices(Split *s, const Expr *body)
{
    Node *n = s->node;
    if (2 * (n->rank + n->bound_count) >
        MOST_INDICES) /* the step of a recurrence is a constant here */
        return false;
    for (int i = 0; i < node_loop_count(n); i++)
        add_index_parts(s, node_loop(n, i), body, false);
    s->free_count = s->count;
    for (int i = 0; i < n->bound_count; i++)
        add_index_parts(s, n->bound[i], body, true);
    s->summand = summand_of(s->pool, s->indices + s->free_count, s->count - s->free_count,
                            take_apart(s->pool, s->splits.data, s->splits.count, body));
    for (int i = 0; i < s->summand.factors.count; i++) {
        Factor *f = &s->summand.factors.data[i];
        for (int j = 0; j < s->count; j++)
            if (expr_uses_index(s->pool, f->value, s->indices[j]))
                f->uses |= (uint64_t)1 << j;
    }
    return true;
}

/* A weight's gradient of a few examples is as quickly computed where it is stored as passed on in tiles. */
static bool is_few_examples(const Node *n, const Contraction *c, double depth)
{
    return n->bound_count == 1 && n->bound[0]->per_example && depth < FEW_EXAMPLES &&
           c->left->kind == EXPR_ACCESS && c->right->kind == EXPR_ACCESS;
}

bool contract_recognise(ExprPool *p, Node *n, const Expr *body, Contraction *c)
{
    if (n->reduction != &reduce_sum || !dtype_is_real(n->type) || node_loop_count(n) < 2)
        return false;
    double depth = 1;
    for (int i = 0; i < n->bound_count; i++)
        depth *= (double)n->bound[i]->extent;
    if (node_iterations(n) < SMALL_PROBLEM || depth < NARROW)
        return false;
    Split s = {.pool = p, .node = n};
    Sides sides = {0};
    if (!list_indices(&s, body) || !find_sides(&s, &sides))
        return false;
    *c = (Contraction){0};
    for (int i = 0; i < s.splits.count; i++)
        vec_push(expr_pool_arena(p), &c->splits, s.splits.data[i]);
    if (!build_operands(&s, &sides, c) || !sort_indices(&s, &sides, c))
        return false;
    orient(&s, c);
    return !is_few_examples(n, c, depth);
}
