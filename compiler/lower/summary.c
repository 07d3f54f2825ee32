/* How a kernel is done, in a few words: its tile and what it packs, or its vectors. */
#include "lower/internal.h"

typedef struct Summary {
    const Loop *tile;
    const Loop *vector;    /* the first vector loop */
    const Loop *sliced[2]; /* what slices the left operand, by line, and the right one, by step */
    bool adds;             /* where data says                                                   */
} Summary;

static void look(Summary *s, const LoopList *list)
{
    for (int i = 0; i < list->count; i++) {
        const Loop *l = list->data[i];
        if (l->kind == LOOP_TILE && !s->tile)
            s->tile = l;
        if (l->kind == LOOP_FOR && l->how == FOR_VECTOR && !s->vector)
            s->vector = l;
        if (l->kind == LOOP_SLICE)
            s->sliced[l->by_step] = l;
        s->adds = s->adds || l->kind == LOOP_ADD;
        look(s, &l->body);
    }
}

/* Panels lie in scratch; what is read where it lies is an operand. */
static const char *how(const Buffer *from, const char *packed)
{
    return !from ? "as it is computed" : from->space == SPACE_OPERAND ? "in place" : packed;
}

static void summarize_tile(Text *out, const Summary *s)
{
    const Loop *t = s->tile;
    const Buffer *left = t->sliced ? s->sliced[false]->a : t->a,
                 *right = t->sliced ? s->sliced[true]->a : t->b;
    const bool by_depth = t->a_row_stride == 1 && !t->sliced;
    text_append(out, t->along_depth                ? "dots, "
                     : t->sliced && t->inner_count ? "slices of lines, "
                     : t->sliced                   ? "slices, "
                                                   : "");
    text_printf(out, "tile %dx%d, depth %lld, left %s, right %s", t->rows, t->columns,
                (long long)t->depth_length,
                how(left, by_depth ? "packed by depth" : "packed by row"),
                how(right, "packed by depth"));
}

void loop_summary(Text *out, const LoopKernel *k)
{
    Summary s = {0};
    look(&s, &k->body);
    if (s.tile) {
        summarize_tile(out, &s);
        if (k->parallel)
            text_printf(out, ", %lld block%s", (long long)k->parallel->extent,
                        k->parallel->extent == 1 ? "" : "s");
    } else {
        text_append(out, s.adds ? "adds where data says" : "loops");
        if (s.vector)
            text_printf(out, ", vectors over %s", s.vector->index->name);
    }
    text_append(out, !k->parallel ? ", one thread" : k->serial ? ", one thread: too small" : "");
}
