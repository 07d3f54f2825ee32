/* Vector loops cut where a condition on their index turns: of `if g < 256 then … else …` one loop is
 * left for each branch, and neither computes the other. */
#include "lower/internal.h"

#include <stdlib.h>

enum { MOST_CUTS = 7 };

typedef struct Split {
    Lowering *l;
    const Index *index;
    int lanes;
    int64_t cuts[MOST_CUTS + 2]; /* with 0 and the extent, in order */
    int count;
    int64_t from, to; /* the piece being made */
} Split;

/* ---- where to cut ------------------------------------------------------------------------------------- */

/* Is it factor * index + constant, and nothing more? */
static int64_t factor_alone(const Split *s, const Affine *a)
{
    return a->count == 1 && a->terms[0].kind == TERM_INDEX && a->terms[0].index == s->index
               ? a->terms[0].factor
               : 0;
}

/* The first value of the index at which the test has another truth than below. */
static int64_t turning_point(int64_t factor, int64_t constant)
{
    return factor > 0 ? -floor_div(constant, factor) : floor_div(constant, -factor) + 1;
}

static void note_cut(void *context, const Expr *e)
{
    Split *s = context;
    if (e->kind != EXPR_TEST || e->test != TEST_NOT_NEGATIVE || s->count > MOST_CUTS)
        return;
    const int64_t factor = factor_alone(s, e->affine);
    if (!factor)
        return;
    const int64_t at = turning_point(factor, e->affine->constant);
    for (int i = 0; i < s->count; i++)
        if (s->cuts[i] == at)
            return;
    if (at > 0 && at < s->index->extent)
        s->cuts[s->count++] = at;
}

static void note_cuts(Split *s, const LoopList *list)
{
    for (int i = 0; i < list->count; i++) {
        const Loop *l = list->data[i];
        if (l->value)
            expr_visit(s->l->pool, l->value, note_cut, s);
        for (int j = 0; j < l->data_count; j++)
            expr_visit(s->l->pool, l->data[j].value, note_cut, s);
        note_cuts(s, &l->body);
    }
}

static int in_order(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* Pieces of less than a vector are not worth a loop. */
static void drop_narrow(Split *s)
{
    int kept = 1;
    for (int i = 1; i < s->count; i++)
        if (s->cuts[i] - s->cuts[kept - 1] >= s->lanes &&
            (i == s->count - 1 || s->index->extent - s->cuts[i] >= s->lanes))
            s->cuts[kept++] = s->cuts[i];
    s->count = kept;
    if (s->cuts[kept - 1] != s->index->extent)
        s->cuts[s->count++] = s->index->extent;
}

/* ---- the pieces ----------------------------------------------------------------------------------------- */

static bool holds(const Expr *test, int64_t factor, int64_t at)
{
    return factor * at + test->affine->constant >= 0;
}

static const Expr *fold_test(void *context, const Expr *e)
{
    const Split *s = context;
    if (e->kind != EXPR_TEST || e->test != TEST_NOT_NEGATIVE)
        return e;
    const int64_t factor = factor_alone(s, e->affine);
    if (!factor || holds(e, factor, s->from) != holds(e, factor, s->to - 1))
        return e;
    return expr_const_typed(s->l->pool, holds(e, factor, s->from), TYPE_BOOL);
}

static void copy_list(Split *s, const LoopList *from, LoopList *to)
{
    *to = (LoopList){0};
    for (int i = 0; i < from->count; i++) {
        Loop *copy = arena_new(s->l->arena, Loop, 1);
        *copy = *from->data[i];
        if (copy->value)
            copy->value = expr_map(s->l->pool, copy->value, fold_test, s);
        DataTerm *data = arena_new(s->l->arena, DataTerm, copy->data_count + 1);
        for (int j = 0; j < copy->data_count; j++) {
            data[j] = copy->data[j];
            data[j].value = expr_map(s->l->pool, data[j].value, fold_test, s);
        }
        copy->data = data;
        copy_list(s, &from->data[i]->body, &copy->body);
        vec_push(s->l->arena, to, copy);
    }
}

static void append_pieces(Split *s, const Loop *loop, LoopList *to)
{
    for (int i = 0; i + 1 < s->count; i++) {
        Loop *piece = arena_new(s->l->arena, Loop, 1);
        *piece = *loop;
        s->from = s->cuts[i];
        s->to = s->cuts[i + 1];
        piece->begin = affine_constant(s->l->pool, s->from);
        piece->length = s->to - s->from;
        copy_list(s, &loop->body, &piece->body);
        vec_push(s->l->arena, to, piece);
    }
}

static bool find_pieces(Split *s, const Loop *loop)
{
    const Index *ix = loop->index;
    if (loop->kind != LOOP_FOR || loop->how != FOR_VECTOR || loop->begin || loop->length ||
        loop->end || loop->step > 1 || ix->per_example)
        return false;
    s->index = ix;
    s->count = 1;
    s->cuts[0] = 0;
    note_cuts(s, &loop->body);
    if (s->count == 1 || s->count > MOST_CUTS)
        return false;
    s->cuts[s->count++] = ix->extent;
    qsort(s->cuts, (size_t)s->count, sizeof *s->cuts, in_order);
    drop_narrow(s);
    return s->count > 2;
}

void split_loops(Lowering *l, LoopList *list)
{
    LoopList whole = *list;
    *list = (LoopList){0};
    for (int i = 0; i < whole.count; i++) {
        Split s = {.l = l, .lanes = lane_count(l, l->real)};
        if (find_pieces(&s, whole.data[i])) {
            append_pieces(&s, whole.data[i], list);
            continue;
        }
        split_loops(l, &whole.data[i]->body);
        vec_push(l->arena, list, whole.data[i]);
    }
}
