/* generate(): a token more, and the log-odds of the next.  Of a recurrence over all positions a call makes one
 * step; of a window it moves the tokens on and makes everything. */
#include "emit/internal.h"

static const Node *token_node(const Entry *e)
{
    const Schedule *s = e->s;
    for (int i = 0; i < s->graph->nodes.count; i++)
        if (s->graph->nodes.data[i]->kind == NODE_PORT)
            return s->graph->nodes.data[i];
    bug("what is generated does not depend on any token");
}

/* Bytes of one position of a node, and how often its positions lie in memory. */
static uint64_t row_bytes(const Node *n, int64_t *times)
{
    const int place = n->kind == NODE_PORT ? 1 : node_step_place(n, n->recurrence);
    uint64_t bytes = (uint64_t)dtype_size(n->type);
    *times = 1;
    for (int i = 0; i < n->rank; i++)
        if (i > place)
            bytes *= (uint64_t)n->domain[i]->extent;
        else if (i < place)
            *times *= n->domain[i]->extent;
    return bytes;
}

/* Every position moves one down: the last `reach` are all that is still needed. */
static void shift_rows(Entry *e)
{
    EmitUnit *u = e->u;
    const Graph *g = e->s->graph;
    for (int i = 0; i < g->nodes.count; i++) {
        const Node *n = g->nodes.data[i];
        const Place *p = &e->s->places[i];
        if (!p->lasting || p->same_as || (n->kind != NODE_PORT && n->recurrence != g->positions))
            continue;
        int64_t times, rows = g->positions->steps;
        const uint64_t row = row_bytes(n, &times);
        const uint64_t first = times == 1 ? (uint64_t)(rows - 1 - g->reach) * row : 0;
        const uint64_t moved =
            (times == 1 ? (uint64_t)g->reach : (uint64_t)(times * rows) - 1) * row;
        LLVMValueRef base = entry_address(e, n);
        LLVMBuildMemMove(u->builder, unit_offset(u, base, first), 1,
                         unit_offset(u, base, first + row), 1, unit_i64(u, (int64_t)moved));
    }
}

/* The step of the recurrence at which `position` is computed: beyond the last one, the last. */
static LLVMValueRef take_position(Entry *e, LLVMValueRef position)
{
    EmitUnit *u = e->u;
    const Graph *g = e->s->graph;
    LLVMValueRef steps = unit_i64(u, g->positions->steps);
    LLVMValueRef inside = LLVMBuildICmp(u->builder, LLVMIntULT, position, steps, "");
    if (g->reach < 0) {
        entry_leave_unless(e, inside, NULL);
        return position;
    }
    LLVMBasicBlockRef beyond = unit_block(u, e->function, "beyond"),
                      go_on = unit_block(u, e->function, "go_on");
    LLVMBuildCondBr(u->builder, inside, go_on, beyond);
    LLVMPositionBuilderAtEnd(u->builder, beyond);
    shift_rows(e);
    LLVMBuildBr(u->builder, go_on);
    LLVMPositionBuilderAtEnd(u->builder, go_on);
    return LLVMBuildSelect(u->builder, inside, position, unit_i64(u, g->positions->steps - 1), "");
}

/* The window moves on by a token; before the first there are zeros.  Returns the last place. */
static LLVMValueRef take_window(Entry *e, LLVMValueRef position)
{
    EmitUnit *u = e->u;
    const Node *n = token_node(e);
    const int64_t size = dtype_size(n->type), length = n->port->shape[0];
    LLVMValueRef base = entry_address(e, n), last = unit_i64(u, length - 1);
    LLVMValueRef moved = LLVMBuildMul(u->builder, last, unit_i64(u, size), "");
    LLVMBasicBlockRef clear = unit_block(u, e->function, "clear"),
                      move = unit_block(u, e->function, "move"),
                      go_on = unit_block(u, e->function, "go_on");
    LLVMValueRef is_first = LLVMBuildICmp(u->builder, LLVMIntEQ, position, unit_i64(u, 0), "");
    LLVMBuildCondBr(u->builder, is_first, clear, move);
    LLVMPositionBuilderAtEnd(u->builder, clear);
    LLVMBuildMemSet(u->builder, base, LLVMConstInt(u->i8, 0, false), moved, 1);
    LLVMBuildBr(u->builder, go_on);
    LLVMPositionBuilderAtEnd(u->builder, move);
    LLVMBuildMemMove(u->builder, base, 1, unit_offset(u, base, (uint64_t)size), 1, moved);
    LLVMBuildBr(u->builder, go_on);
    LLVMPositionBuilderAtEnd(u->builder, go_on);
    return last;
}

static void store_token(Entry *e, LLVMValueRef time, LLVMValueRef token)
{
    EmitUnit *u = e->u;
    const Node *n = token_node(e);
    LLVMTypeRef type = unit_memory_type(u, n->type);
    LLVMValueRef at = LLVMBuildGEP2(u->builder, type, entry_address(e, n), &time, 1, "");
    LLVMBuildStore(u->builder, LLVMBuildIntCast2(u->builder, token, type, false, ""), at);
}

/* What does not depend on the tokens is made at position 0, and left for the others. */
static void prepare_generation(Entry *e, LLVMValueRef position)
{
    EmitUnit *u = e->u;
    LLVMBasicBlockRef first = unit_block(u, e->function, "first"),
                      row = unit_block(u, e->function, "row");
    LLVMValueRef is_first = LLVMBuildICmp(u->builder, LLVMIntEQ, position, unit_i64(u, 0), "");
    LLVMBuildCondBr(u->builder, is_first, first, row);
    LLVMPositionBuilderAtEnd(u->builder, first);
    for (int i = 0, end; i < e->s->kernels.count; i = end) {
        end = entry_past_run(e, i, e->s->kernels.count);
        if (e->s->kernels.data[i]->recurrence != e->s->graph->positions)
            entry_run_kernels(e, i, end);
    }
    LLVMBuildBr(u->builder, row);
    LLVMPositionBuilderAtEnd(u->builder, row);
}

/* Of all rows, the one at `time`. */
static void run_position(Entry *e, LLVMValueRef position, LLVMValueRef time)
{
    prepare_generation(e, position);
    entry_argument(e, ARGUMENT_TIME, time); /* the preparation may have stepped */
    LLVMValueRef mode = subnormals_flush(e->u);
    for (int i = 0; i < e->s->kernels.count; i++)
        if (e->s->kernels.data[i]->recurrence == e->s->graph->positions)
            entry_run_kernel(e, i);
    subnormals_restore(e->u, mode);
}

LLVMValueRef generate_emit(Entries *es)
{
    EmitUnit *u = es->u;
    LLVMTypeRef params[] = {u->pointer, u->size, u->i32, u->pointer};
    Entry e = entry_open(es, ENTRY_GENERATE, "generate", u->void_type, params, 4);
    LLVMValueRef position = entry_number64(&e, LLVMGetParam(e.function, 1)),
                 token = LLVMGetParam(e.function, 2);
    LLVMValueRef most = unit_i32(u, (int)es->program->generated->classes);
    entry_leave_unless(&e, LLVMBuildICmp(u->builder, LLVMIntULT, token, most, ""), NULL);
    const bool window = e.s->graph->window;
    LLVMValueRef time = window ? take_window(&e, position) : take_position(&e, position);
    e.n = unit_i64(u, 1);
    entry_block(&e);
    e.outputs = entry_pointers(&e, 1);
    LLVMBuildStore(u->builder, LLVMGetParam(e.function, 3), e.outputs);
    store_token(&e, time, token);
    if (window)
        entry_run_kernels(&e, 0, e.s->kernels.count);
    else
        run_position(&e, position, time);
    LLVMBuildRetVoid(u->builder);
    return entry_finish(&e);
}
