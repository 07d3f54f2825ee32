/* What the first kernels of a chain will read of the next group, from far memory, asked for while the last of its
 * products runs. */
#include "lower/tile.h"

typedef struct Asker {
    Engine *e;
    Loop *tile;
    int begin;           /* of the chain                         */
    const Affine *group; /* the one before that which is wanted  */
    const Affine *part;  /* the tile's number among all of a group's … */
    int64_t parts;       /* … of which there are so many         */
    BufferList asked;
} Asker;

/* Is it memory that was written before the chain, each group's part after that of the one before? */
static bool lies_by_groups(const Asker *a, const Node *n, int64_t groups)
{
    const Schedule *s = a->e->l->schedule;
    const Place *place = &s->places[n->id];
    return n->kind == NODE_COMPUTE && place->kind == PLACE_WORKSPACE && place->last >= a->begin &&
           place->first < a->begin && node_is_batched(n) && schedule_elements(s, n) % groups == 0;
}

static void visit_source(void *context, const Expr *x)
{
    Asker *a = context;
    Engine *e = a->e;
    ExprPool *p = e->l->pool;
    const int64_t groups = e->l->kernel->chained;
    if (x->kind != EXPR_ACCESS)
        return;
    Node *viewed = e->l->schedule->places[x->node->id].same_as, *n = viewed ? viewed : x->node;
    if (!lies_by_groups(a, n, groups))
        return;
    Buffer *b = buffer_of(e->l, n);
    const int64_t elements = schedule_elements(e->l->schedule, n) / groups,
                  each = divide_up(elements, a->parts),
                  stride = divide_up(each, e->chunk * e->suffix);
    if (ahead_is_asked(e, &a->asked, b) || !is_large(e, b) ||
        stride * dtype_size(b->type) > LINE_BYTES)
        return;
    const Affine *begin = affine_add(p, affine_scale(p, affine_offset(p, a->group, 1), elements),
                                     affine_scale(p, a->part, each));
    Ahead ahead = {b, begin, stride, 0, NULL};
    vec_push(e->l->arena, &a->tile->aheads, ahead);
}

/* The tile's number among those of all chunks of the depth, and how many they are. */
static const Affine *number_tiles(Engine *e, const Affine *row, const Affine *column,
                                  int64_t *count)
{
    ExprPool *p = e->l->pool;
    const int64_t rows = divide_up(e->row->extent, e->mr),
                  columns = divide_up(e->column->extent, e->nr);
    const Affine *number = affine_constant(p, 0);
    *count = rows * columns;
    for (int i = 0; i <= e->split; i++) {
        const Affine *at = i == e->split ? affine_quotient(p, e->depth_begin, e->chunk)
                                         : binding_of(e, e->depth.data[i]);
        const int64_t values = divide_up(e->depth.data[i]->extent, i == e->split ? e->chunk : 1);
        number = affine_add(p, affine_scale(p, number, values), at);
        *count *= values;
    }
    number = affine_add(p, affine_scale(p, number, rows), affine_quotient(p, row, e->mr));
    return affine_add(p, affine_scale(p, number, columns), affine_quotient(p, column, e->nr));
}

void ahead_ask_group(Engine *e, Loop *t, const Affine *row, const Affine *column)
{
    const Schedule *s = e->l->schedule;
    const Kernel *k = e->l->kernel;
    Asker a = {.e = e, .tile = t, .begin = k->id};
    if (!k->chain || !k->chained || schedule_chain_end(s, k->id) > k->id + 1)
        return;
    while (s->kernels.data[a.begin]->chained)
        a.begin--;
    a.group = group_number(e);
    a.part = number_tiles(e, row, column, &a.parts);
    for (int i = a.begin; s->kernels.data[i]->kind == KERNEL_NEST; i++)
        for (int j = 0; j < s->kernels.data[i]->nodes.count; j++)
            expr_visit(e->l->pool, s->bodies[s->kernels.data[i]->nodes.data[j]->id], visit_source,
                       &a);
}
