/* How a kernel is done, in a few words: its tile and what it packs, or its vectors. */
#include "lower/internal.h"

typedef struct Summary {
    const Loop *tile;
    const Loop *vector; /* the first vector loop */
    bool adds;          /* where data says       */
} Summary;

static void look(Summary *s, const LoopList *list)
{
    for (int i = 0; i < list->count; i++) {
        const Loop *l = list->data[i];
        if (l->kind == LOOP_TILE && !s->tile)
            s->tile = l;
        if (l->kind == LOOP_FOR && l->how == FOR_VECTOR && !s->vector)
            s->vector = l;
        s->adds = s->adds || l->kind == LOOP_ADD;
        look(s, &l->body);
    }
}

/* Panels lie in scratch; what is read where it lies is an operand. */
static const char *how_left(const Loop *t)
{
    if (t->a->space == SPACE_OPERAND)
        return "in place";
    return t->a_row_stride == 1 ? "packed by depth" : "packed by row";
}

void loop_summary(Text *out, const LoopKernel *k)
{
    Summary s = {0};
    look(&s, &k->body);
    if (s.tile) {
        text_append(out, s.tile->along_depth ? "dots, " : s.tile->sliced ? "slices, " : "");
        text_printf(out, "tile %dx%d, depth %lld, left %s, right %s", s.tile->rows, s.tile->columns,
                    (long long)s.tile->depth_length, how_left(s.tile),
                    s.tile->b->space == SPACE_OPERAND ? "in place" : "packed by depth");
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
