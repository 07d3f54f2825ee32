/* An interpreter for the loop IR: runs a schedule's kernels on plain memory, lane by lane, checking
 * every access, and compares the results with the tensor IR's own evaluation. */
#ifndef LOWER_MACHINE_H
#define LOWER_MACHINE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "functions/functions.h"
#include "lower/lower.h"

enum { MOST_LANES = 64, MOST_LOCALS = 512, MOST_INDICES = 65536 };

typedef struct Machine {
    const Schedule *schedule;
    Evaluation *ev;
    LaneModel lanes;
    char *workspace;
    char **tensors; /* per node id: the memory of ports, tensors, outputs, literals */
    char *scratch;
    const LoopKernel *kernel;
    char **operands;
    /* the state: one value a lane; `count` lanes of which those in `mask` run */
    int count;
    bool mask[MOST_LANES];
    int64_t (*at)[MOST_LANES]; /* per index id */
    double local[MOST_LOCALS][MOST_LANES];
    bool is_vector[MOST_LOCALS]; /* set inside the vector loop */
    bool in_vector;
} Machine;

static int64_t machine_extent(const Machine *m, const Index *ix)
{
    return ix->per_example ? ix->per_example * m->ev->examples : ix->extent;
}

static int64_t floor_quotient(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return q * b > a ? q - 1 : q;
}

static int64_t machine_affine(const Machine *m, const Affine *a, int lane)
{
    int64_t sum = a->constant;
    for (int i = 0; i < a->count; i++) {
        const Term *t = &a->terms[i];
        int64_t v =
            t->kind == TERM_INDEX ? m->at[t->index->id][lane] : machine_affine(m, t->inner, lane);
        if (t->kind == TERM_QUOTIENT)
            v = floor_quotient(v, t->divisor);
        else if (t->kind == TERM_REMAINDER)
            v -= floor_quotient(v, t->divisor) * t->divisor;
        sum += t->factor * v;
    }
    return sum;
}

static double machine_value(Machine *m, const Expr *e, int lane);

/* Room for as many examples as there are, so that reading beyond them is caught. */
static uint64_t buffer_limit(const Machine *m, const Buffer *b)
{
    if (b->space == SPACE_OPERAND && b->node && b->node->kind == NODE_PORT)
        return b->bytes / (uint64_t)b->node->domain[0]->extent * (uint64_t)m->ev->examples;
    return b->bytes;
}

static char *machine_place(Machine *m, const Buffer *b, const Affine *offset, const DataTerm *data,
                           int count, int lane)
{
    int64_t at = machine_affine(m, offset, lane);
    for (int i = 0; i < count; i++)
        at += (int64_t)machine_value(m, data[i].value, lane) * data[i].stride;
    int64_t byte = at * dtype_size(b->type);
    if (at < 0 || (uint64_t)byte + (uint64_t)dtype_size(b->type) > buffer_limit(m, b)) {
        Text t;
        text_init(&t, m->schedule->graph->arena);
        loop_print(&t, m->kernel);
        fail_msg("element %lld of %s (%llu bytes, %s)\n%s", (long long)at, b->name,
                 (unsigned long long)buffer_limit(m, b), b->node ? b->node->name : "", t.data);
    }
    char *base = b->space == SPACE_SCRATCH ? m->scratch + b->offset : m->operands[b->slot];
    return base + byte;
}

static double load_typed(const char *p, DType type)
{
    switch (type) {
    case TYPE_BOOL:
    case TYPE_U8:
        return *(const uint8_t *)p;
    case TYPE_U16:
        return *(const uint16_t *)(const void *)p;
    case TYPE_I32:
        return *(const int32_t *)(const void *)p;
    case TYPE_F32:
        return (double)*(const float *)(const void *)p;
    case TYPE_F64:
        return *(const double *)(const void *)p;
    }
    return 0;
}

static void store_typed(char *p, DType type, double v)
{
    switch (type) {
    case TYPE_BOOL:
    case TYPE_U8:
        *(uint8_t *)p = (uint8_t)v;
        break;
    case TYPE_U16:
        *(uint16_t *)(void *)p = (uint16_t)v;
        break;
    case TYPE_I32:
        *(int32_t *)(void *)p = (int32_t)v;
        break;
    case TYPE_F32:
        *(float *)(void *)p = (float)v;
        break;
    case TYPE_F64:
        *(double *)(void *)p = v;
        break;
    }
}

static double machine_call(Machine *m, const Expr *e, int lane)
{
    double args[3] = {machine_value(m, e->args[0], lane)};
    if (e->function == &scalar_select)
        return machine_value(m, e->args[args[0] != 0 ? 1 : 2], lane);
    if ((e->function == &scalar_and && args[0] == 0) || (e->function == &scalar_or && args[0] != 0))
        return args[0] != 0;
    for (int i = 1; i < e->function->arity; i++)
        args[i] = machine_value(m, e->args[i], lane);
    double v = e->function->value(args);
    return dtype_is_integer(e->type) ? floor(v) : e->type == TYPE_F32 ? (double)(float)v : v;
}

static double machine_scalar(const Machine *m, const Expr *e)
{
    switch (e->scalar) {
    case SCALAR_BATCH_SIZE:
        return (double)m->ev->examples;
    case SCALAR_STEP:
        return (double)m->ev->step;
    case SCALAR_SCALE:
        return m->ev->scale;
    case SCALAR_FIRST:
        return m->ev->first;
    default:
        return 0;
    }
}

static double machine_value(Machine *m, const Expr *e, int lane)
{
    switch (e->kind) {
    case EXPR_CONST:
        return e->value;
    case EXPR_AFFINE:
        return (double)machine_affine(m, e->affine, lane);
    case EXPR_TEST: {
        int64_t v = machine_affine(m, e->affine, lane);
        return e->test == TEST_ZERO ? v == 0 : v >= 0;
    }
    case EXPR_CALL:
        return machine_call(m, e, lane);
    case EXPR_RANDOM:
        return random_value(e->random, m->ev->seed, m->ev->step, (uint32_t)e->site,
                            (uint32_t)machine_affine(m, e->affine, lane));
    case EXPR_SCALAR:
        return machine_scalar(m, e);
    case EXPR_LOAD:
        return load_typed(machine_place(m, e->buffer, e->affine, e->data, e->count, lane),
                          e->buffer->type);
    case EXPR_LOCAL:
        return m->local[e->local][m->in_vector && !m->is_vector[e->local] ? 0 : lane];
    case EXPR_ACCESS:
        break;
    }
    fail_msg("an access in the loop IR");
    return 0;
}

static void machine_list(Machine *m, const LoopList *list);

static void set_index(Machine *m, const Index *ix, int64_t v)
{
    for (int i = 0; i < MOST_LANES; i++)
        m->at[ix->id][i] = v;
}

static void machine_vector(Machine *m, const Loop *l, int64_t begin, int64_t end, int lanes)
{
    assert_false(m->in_vector);
    assert_int_equal(l->step, 1);
    m->in_vector = true;
    memset(m->is_vector, 0, sizeof m->is_vector);
    m->count = lanes;
    for (int64_t at = begin; at < end; at += lanes) {
        for (int i = 0; i < lanes; i++) {
            m->mask[i] = at + i < end;
            m->at[l->index->id][i] = at + i;
        }
        machine_list(m, &l->body);
    }
    m->in_vector = false;
    m->count = 1;
    m->mask[0] = true;
}

static void machine_for(Machine *m, const Loop *l)
{
    int64_t begin = l->begin ? machine_affine(m, l->begin, 0) : 0,
            end = machine_extent(m, l->index);
    for (int i = 0; l->begin && i < m->count; i++)
        assert_int_equal(begin, machine_affine(m, l->begin, i));
    if (l->length && begin + l->length < end)
        end = begin + l->length;
    if (l->end && machine_affine(m, l->end, 0) < end)
        end = machine_affine(m, l->end, 0);
    int lanes = m->lanes.vector_bytes / dtype_size(expr_pool_real(m->kernel->pool));
    if (l->how == FOR_VECTOR) {
        machine_vector(m, l, begin, end, lanes > 0 ? lanes : 1);
        return;
    }
    if (l->how ==
        FOR_PARALLEL) { /* backwards, with scratch as each call finds it: any order must do */
        const size_t bytes = m->kernel->scratch_bytes;
        char *found = memcpy(malloc(bytes + 1), m->scratch, bytes);
        for (int64_t at = begin + (end - 1 - begin) / l->step * l->step; at >= begin;
             at -= l->step) {
            memcpy(m->scratch, found, bytes);
            set_index(m, l->index, at);
            machine_list(m, &l->body);
        }
        free(found);
        return;
    }
    for (int64_t at = begin; at < end; at += l->step) {
        set_index(m, l->index, at);
        machine_list(m, &l->body);
    }
}

static double round_to(double v, DType type)
{
    return type == TYPE_F32 ? (double)(float)v : v;
}

static void machine_set(Machine *m, const Loop *l)
{
    DType type = m->kernel->locals.data[l->local];
    double v[MOST_LANES];
    for (int i = 0; i < m->count; i++)
        if (m->mask[i])
            v[i] = round_to(machine_value(m, l->value, i), type);
    for (int i = 0; i < m->count; i++)
        if (m->mask[i])
            m->local[l->local][i] = v[i];
    if (m->in_vector)
        m->is_vector[l->local] = true;
}

static void machine_combine(Machine *m, const Loop *l)
{
    for (int i = 0; i < m->count; i++) {
        if (!m->mask[i])
            continue;
        double *into = &m->local[l->local][m->in_vector && !m->is_vector[l->local] ? 0 : i];
        double args[2] = {*into, machine_value(m, l->value, i)};
        *into = round_to(l->reduction->combine->value(args), m->kernel->locals.data[l->local]);
    }
}

static void machine_store(Machine *m, const Loop *l)
{
    double v[MOST_LANES];
    for (int i = 0; i < m->count; i++)
        if (m->mask[i])
            v[i] = machine_value(m, l->value, i);
    for (int i = 0; i < m->count; i++) {
        if (!m->mask[i])
            continue;
        char *p = machine_place(m, l->buffer, l->offset, l->data, l->data_count, i);
        if (l->buffer->space == SPACE_OPERAND)
            assert_true(l->buffer->written);
        store_typed(p, l->buffer->type,
                    v[i] + (l->kind == LOOP_ADD ? load_typed(p, l->buffer->type) : 0));
    }
}

/* An element of a tile, of scratch or of an operand that is read where it lies. */
static char *tile_at(Machine *m, const Buffer *b, int64_t at)
{
    int64_t byte = at * dtype_size(b->type);
    if (at < 0 || (uint64_t)byte + (uint64_t)dtype_size(b->type) > buffer_limit(m, b))
        fail_msg("tile: element %lld of %s", (long long)at, b->name);
    return (b->space == SPACE_SCRATCH ? m->scratch + b->offset : m->operands[b->slot]) + byte;
}

/* The sum, and the products of one step of the tile's depth, from its loops at `level` on. */
static double machine_depth(Machine *m, const Loop *l, int level, int64_t a, int64_t b, double sum)
{
    if (level == l->inner_count + (l->slide.count > 0)) {
        double x = load_typed(tile_at(m, l->a, a), l->a->type),
               y = load_typed(tile_at(m, l->b, b), l->b->type);
        return round_to(sum + x * y, l->c->type);
    }
    const DepthLoop *d = level == l->inner_count ? &l->slide : &l->inner[level];
    for (int64_t k = 0; k < d->count; k++)
        sum = machine_depth(m, l, level + 1, a + k * d->a_stride, b + k * d->b_stride, sum);
    return sum;
}

/* The line of an operand that lies along the depth: beyond the index's last one that is read again. */
static int64_t line_of(Machine *m, const Index *index, const Affine *begin, int64_t i)
{
    const int64_t left = machine_extent(m, index) - 1 - machine_affine(m, begin, 0);
    return i < left ? i : left;
}

static int64_t machine_tile_depth(Machine *m, const Loop *l)
{
    const int64_t left = machine_extent(m, l->depth_index) - machine_affine(m, l->depth_begin, 0);
    return left < l->depth_length ? left : l->depth_length;
}

/* ---- slices ------------------------------------------------------------------------------------------- */

enum { TILE_BYTES = 1024 };

/* Where slice s of line i at step k of the depth lies, of a panel of so many lines, in bytes. */
static int64_t slice_at(int64_t lines, bool by_step, int s, int64_t i, int64_t k)
{
    const int64_t slice = lines * SLICED_DEPTH * 2, block = k / SLICED_DEPTH * SLICES * slice,
                  tile = block + s * slice + i / TILE_LINES * TILE_BYTES;
    i %= TILE_LINES;
    k %= SLICED_DEPTH;
    const int64_t half = SLICED_DEPTH / 2, pair = k % half * 4, second = k / half * 2;
    return tile + second + (by_step ? pair * 16 + i * 4 : i * 64 + pair);
}

static void machine_slice_number(Machine *m, const Loop *l, int copy, int64_t i, int64_t k, float x)
{
    if (!l->by_step && (i < 0 || i >= l->rows))
        return;
    char *first = tile_at(m, l->c, machine_affine(m, l->c_offset, 0) + copy * l->copy_stride);
    for (int s = 0; s < SLICES; s++) {
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        bits = s + 1 < SLICES ? (bits + 0x8000) & 0xffff0000 : bits;
        assert_true(!isfinite(x) || !(bits & 0xffff)); /* nothing is left behind the last */
        float slice;
        memcpy(&slice, &bits, sizeof slice);
        x -= slice;
        const uint16_t half = (uint16_t)(bits >> 16);
        memcpy(first + slice_at(l->lines, l->by_step, s, i, k), &half, sizeof half);
    }
}

/* What the slices are of, at the panel's line and step of the depth. */
static float machine_sliced_value(Machine *m, const Loop *l, int64_t i, int64_t k)
{
    if (l->value) {
        set_index(m, l->row, machine_affine(m, l->row_begin, 0) + i);
        set_index(m, l->index, machine_affine(m, l->depth_begin, 0) + k);
        return (float)machine_value(m, l->value, 0);
    }
    const int64_t from =
        machine_affine(m, l->a_offset, 0) + i * l->a_row_stride + k * l->a_depth_stride;
    return (float)load_typed(tile_at(m, l->a, from), l->a->type);
}

static void machine_slice_value(Machine *m, const Loop *l, int64_t i, int64_t k)
{
    const int64_t lines = l->row ? machine_extent(m, l->row) - machine_affine(m, l->row_begin, 0)
                                 : l->rows + l->copies;
    if (i >= lines)
        return;
    const float x = k < machine_tile_depth(m, l) ? machine_sliced_value(m, l, i, k) : 0;
    for (int n = 0; n == 0 || n < l->copies; n++)
        machine_slice_number(m, l, n, i - n, k, x);
}

/* Part number `part` of so many of a block's lines, or steps. */
static void machine_slice(Machine *m, const Loop *l, int64_t at, int64_t part, int64_t parts)
{
    const int half = SLICED_DEPTH / 2, units = l->by_step      ? half
                                               : l->copies > 1 ? l->rows + l->copies - 1
                                                               : l->rows;
    const int64_t each = (units + parts - 1) / parts;
    for (int64_t u = part * each; u < units && u < (part + 1) * each; u++)
        for (int64_t i = 0; i < (l->by_step ? l->rows : SLICED_DEPTH); i++) {
            if (!l->by_step)
                machine_slice_value(m, l, u, at + i);
            for (int h = 0; l->by_step && h < 2; h++)
                machine_slice_value(m, l, i, at + u + h * half);
        }
}

static void machine_aside(Machine *m, const Aside *a, int columns, int64_t at)
{
    const int64_t part = machine_affine(m, a->part, 0);
    const bool last =
        a->index && machine_extent(m, a->index) - machine_affine(m, a->column, 0) <= columns;
    for (int64_t p = part; p <= (last ? a->parts - 1 : part); p++)
        machine_slice(m, a->slice, at, p, a->parts);
}

static double machine_sliced_number(const char *first, int64_t lines, bool by_step, int64_t i,
                                    int64_t k)
{
    double sum = 0;
    for (int s = 0; s < SLICES; s++) {
        uint16_t half;
        memcpy(&half, first + slice_at(lines, by_step, s, i, k), sizeof half);
        const uint32_t bits = (uint32_t)half << 16;
        float slice;
        memcpy(&slice, &bits, sizeof slice);
        sum += (double)slice;
    }
    return sum;
}

/* Of the tile's depth: all of it, or a part that begins at `from`. */
static double machine_sliced_sum(Machine *m, const Loop *l, int64_t i, int64_t j, int64_t from,
                                 int64_t to)
{
    const int64_t parts = l->inner_count ? l->inner[0].count : 1, part = l->depth_length / parts,
                  a = machine_affine(m, l->a_offset, 0) +
                      (l->inner_count ? from / part * l->inner[0].a_stride : 0);
    const char *left = tile_at(m, l->a, a),
               *right = tile_at(m, l->b, machine_affine(m, l->b_offset, 0));
    double sum = 0;
    for (int64_t k = from; k < to; k++)
        sum += machine_sliced_number(left, l->lines, false, i, l->inner_count ? k - from : k) *
               machine_sliced_number(right, l->columns, true, j, k);
    return sum;
}

static void machine_sliced_tile(Machine *m, const Loop *l)
{
    const int64_t depth = machine_tile_depth(m, l), c = machine_affine(m, l->c_offset, 0);
    const int64_t whole = (depth + SLICED_DEPTH - 1) / SLICED_DEPTH * SLICED_DEPTH,
                  part = l->inner_count ? l->depth_length / l->inner[0].count : whole;
    const bool adds = l->accumulate && machine_affine(m, l->chunk, 0);
    for (int i = 0; i < l->asides.count; i++)
        for (int64_t at = 0; at < depth; at += SLICED_DEPTH)
            machine_aside(m, &l->asides.data[i], l->columns, at);
    for (int i = 0; i < l->rows; i++)
        for (int j = 0; j < l->columns; j++) {
            char *p = tile_at(m, l->c, c + i * l->c_stride + j);
            double sum = adds ? load_typed(p, l->c->type) : 0;
            for (int64_t k = 0; k < whole; k += part)
                sum += machine_sliced_sum(m, l, i, j, k, k + part);
            store_typed(p, l->c->type, sum);
        }
}

static void machine_tile(Machine *m, const Loop *l)
{
    assert_int_equal(m->count, 1);
    if (l->sliced) {
        machine_sliced_tile(m, l);
        return;
    }
    const int64_t depth = machine_tile_depth(m, l);
    int64_t a = machine_affine(m, l->a_offset, 0), b = machine_affine(m, l->b_offset, 0),
            c = machine_affine(m, l->c_offset, 0);
    for (int i = 0; i < l->rows; i++)
        for (int j = 0; j < l->columns; j++) {
            char *p = tile_at(m, l->c, c + i * l->c_stride + j);
            double sum = l->accumulate ? load_typed(p, l->c->type) : 0;
            int64_t row = i, column = j, b_stride = l->b_stride;
            if (l->along_depth) {
                row = line_of(m, l->row, l->row_begin, i);
                column = line_of(m, l->column, l->column_begin, j) * l->b_stride;
                b_stride = 1;
            }
            for (int64_t k = 0; k < depth; k++)
                sum = machine_depth(m, l, 0, a + row * l->a_row_stride + k * l->a_depth_stride,
                                    b + k * b_stride + column, sum);
            store_typed(p, l->c->type, sum);
        }
}

static void machine_list(Machine *m, const LoopList *list)
{
    for (int i = 0; i < list->count; i++) {
        const Loop *l = list->data[i];
        switch (l->kind) {
        case LOOP_FOR:
            machine_for(m, l);
            break;
        case LOOP_SET:
            machine_set(m, l);
            break;
        case LOOP_COMBINE:
            machine_combine(m, l);
            break;
        case LOOP_STORE:
        case LOOP_ADD:
            machine_store(m, l);
            break;
        case LOOP_TILE:
            machine_tile(m, l);
            break;
        case LOOP_SLICE:
            machine_slice(m, l, machine_affine(m, l->depth_at, 0), 0, 1);
            break;
        case LOOP_ASK:
            break;
        }
    }
}

/* ---- a whole schedule ------------------------------------------------------------------------------- */

static char *memory_of(Machine *m, Node *n)
{
    const Schedule *s = m->schedule;
    const Place *p = &s->places[n->id];
    if (p->kind == PLACE_WORKSPACE)
        return m->workspace + p->offset;
    if (p->kind == PLACE_TENSOR) /* the old value and the new one are one memory */
        for (int i = 0; i < s->graph->nodes.count; i++)
            if (s->places[i].kind == PLACE_TENSOR && s->places[i].tensor == p->tensor)
                return m->tensors[i];
    return m->tensors[n->id];
}

static void fill_memory(Machine *m)
{
    const Graph *g = m->schedule->graph;
    m->tensors = calloc((size_t)g->nodes.count + 1, sizeof *m->tensors);
    for (int i = 0; i < g->nodes.count; i++) {
        Node *n = g->nodes.data[i];
        size_t size = (size_t)dtype_size(n->type), count = (size_t)node_elements(n);
        m->tensors[i] = malloc(size * count + 64);
        memset(m->tensors[i], 0xff, size * count + 64);
    }
    for (int i = 0; i < g->nodes.count; i++) {
        Node *n = g->nodes.data[i];
        if (n->kind == NODE_COMPUTE || n->kind == NODE_VIEW)
            continue;
        int64_t count = node_elements(n);
        if (node_is_batched(n))
            count = count / n->domain[0]->extent * m->ev->examples;
        for (int64_t e = 0; e < count; e++) {
            double v = n->kind == NODE_LITERAL ? n->literal[e] : m->ev->values[i][e];
            store_typed(memory_of(m, n) + e * dtype_size(n->type), n->type, v);
        }
    }
}

static void run_kernel(Machine *m, const LoopKernel *k)
{
    m->kernel = k;
    m->count = 1;
    m->mask[0] = true;
    m->in_vector = false;
    assert_true(k->locals.count <= MOST_LOCALS);
    char *operands[k->operands.count + 1];
    for (int i = 0; i < k->operands.count; i++)
        operands[i] = memory_of(m, k->operands.data[i]->node);
    m->operands = operands;
    m->scratch = malloc(k->scratch_bytes + 64);
    memset(m->scratch, 0xff, k->scratch_bytes + 64);
    machine_list(m, &k->body);
    free(m->scratch);
}

static void check_result(Machine *m, const Result *r, double tolerance)
{
    Node *n = r->value;
    int64_t count = node_elements(n);
    if (node_is_batched(n))
        count = count / n->domain[0]->extent * m->ev->examples;
    double scale = 1;
    for (int64_t i = 0; i < count; i++)
        if (isfinite(m->ev->values[n->id][i]) && fabs(m->ev->values[n->id][i]) > scale)
            scale = fabs(m->ev->values[n->id][i]);
    for (int64_t i = 0; i < count; i++) {
        double want = m->ev->values[n->id][i],
               got = load_typed(memory_of(m, n) + i * dtype_size(n->type), n->type);
        if (!(fabs(want - got) <= tolerance * scale) && want != got)
            fail_msg("%s[%lld] is %.9g, expected %.9g (lanes of %d bytes, %lld examples)", r->name,
                     (long long)i, got, want, m->lanes.vector_bytes, (long long)m->ev->examples);
    }
}

/* Runs the schedule on the leaves in `ev` and compares every result. */
static void machine_check(const Schedule *s, Evaluation *ev, int vector_bytes, double tolerance)
{
    Machine *m = calloc(1, sizeof *m);
    m->schedule = s;
    m->ev = ev;
    m->lanes =
        (LaneModel){vector_bytes, vector_bytes == 64 ? 32 : 16, 32768, 1 << 20, vector_bytes == 64};
    m->at = calloc(MOST_INDICES, sizeof *m->at);
    m->workspace = malloc(s->workspace_bytes + 64);
    memset(m->workspace, 0xff, s->workspace_bytes + 64);
    fill_memory(m);
    for (int i = 0; i < s->kernels.count; i++)
        run_kernel(m, lower_kernel(s, s->kernels.data[i], &m->lanes));
    for (int i = 0; i < s->graph->results.count; i++)
        check_result(m, &s->graph->results.data[i], tolerance);
    for (int i = 0; i < s->graph->nodes.count; i++)
        free(m->tensors[i]);
    free(m->tensors);
    free(m->workspace);
    free(m->at);
    free(m);
}

#endif
