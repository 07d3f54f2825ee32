/* What the tiles after this one will read, asked for while it runs: memory is far away, and the
 * processor's own guesses end at each row of a panel. */
#include "lower/tile.h"

enum { MOST_ROWS = 4 };

static void ask(Engine *e, Loop *t, Buffer *buffer, const Affine *offset, int64_t stride, int shift)
{
    Ahead a = {buffer, offset, stride, shift};
    vec_push(e->l->arena, &t->aheads, a);
}

static int log2_of(int64_t value)
{
    int shift = 0;
    while (value >> (shift + 1))
        shift++;
    return shift;
}

/* The lines of a panel's row of columns. */
static void ask_columns(Engine *e, Loop *t, Buffer *buffer, const Affine *offset, int64_t stride,
                        int shift)
{
    int64_t line = LINE_BYTES / dtype_size(e->l->real);
    for (int64_t at = 0; at < e->nr; at += line)
        ask(e, t, buffer, affine_offset(e->l->pool, offset, at), stride, shift);
}

/* The next panel of rows, each of this one's tiles its part of it: some rows, or some of the depth.
 * Several panels at once are packed in the order of memory, which the processor foresees. */
static void ask_rows(Engine *e, Loop *t, const Affine *row, const Affine *column)
{
    ExprPool *p = e->l->pool;
    int64_t tiles = e->nc / e->nr, rows = (e->mr + tiles - 1) / tiles;
    bool by_row = e->depth_stride == 1;
    if (!e->left_even || e->packed_rows > e->mr || (by_row && rows > MOST_ROWS))
        return;
    const Expr *next = place_left(e, affine_offset(p, row, e->mr));
    int shift = by_row ? 0 : log2_of(tiles);
    int64_t part =
        by_row ? rows * e->row_stride : ((e->chunk * e->suffix) >> shift) * e->depth_stride;
    const Affine *tile = affine_quotient(p, affine_sub(p, column, e->column_begin), e->nr);
    const Affine *begin = affine_add(p, next->affine, affine_scale(p, tile, part));
    if (!by_row) {
        ask(e, t, next->buffer, affine_offset(p, begin, e->mr - 1), e->depth_stride, shift);
        return;
    }
    for (int64_t i = 0; i < rows; i++)
        ask(e, t, next->buffer, affine_offset(p, begin, i * e->row_stride), 1, 0);
}

/* The next chunk of the right operand, each panel of rows its part of the depth. */
static void ask_chunk(Engine *e, Loop *t, const Affine *row, const Affine *column)
{
    ExprPool *p = e->l->pool;
    int64_t stride, tiles = e->mc / e->mr, part = (e->chunk + tiles - 1) / tiles;
    if (e->suffix > 1 || e->chunk == e->depth.data[e->split]->extent)
        return;
    const Expr *next =
        pack_source_row(e, column, affine_offset(p, e->depth_begin, e->chunk), &stride);
    if (!next)
        return;
    const Affine *panel = affine_quotient(p, affine_sub(p, row, e->row_begin), e->mr);
    const Affine *begin = affine_add(p, next->affine, affine_scale(p, panel, part * stride));
    ask_columns(e, t, next->buffer, begin, stride, log2_of(e->chunk / part));
}

void ahead_ask(Engine *e, Loop *t, const Affine *row, const Affine *column)
{
    if (e->lanes == 1)
        return;
    ask_rows(e, t, row, column);
    ask_chunk(e, t, row, column);
}
