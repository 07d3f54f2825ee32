/* Vector loops: what varies by lane in them, and whether iterations may be taken together.
 * Whatever cannot is left to a scalar loop, which is always right. */
#include "emit/internal.h"

#include <string.h>

/* ---- expressions -------------------------------------------------------------------------------------- */

typedef struct Walk {
    KernelBuilder *kb;
    PointerMap seen;
    bool varies;  /* some subexpression does */
    bool doubles; /* one is f64 */
    double cost;  /* of the dearest call */
    bool *read;   /* registers read, or NULL */
} Walk;

static void walk_expr(Walk *w, const Expr *e)
{
    if (!e || map_get(&w->seen, e))
        return;
    map_set(&w->seen, e, (void *)e);
    w->doubles |= e->type == TYPE_F64;
    switch (e->kind) {
    case EXPR_AFFINE:
    case EXPR_TEST:
    case EXPR_RANDOM:
        w->varies |= affine_varies(w->kb, e->affine);
        break;
    case EXPR_LOAD:
        w->varies |= affine_varies(w->kb, e->affine);
        for (int i = 0; i < e->count; i++)
            walk_expr(w, e->data[i].value);
        break;
    case EXPR_LOCAL:
        w->varies |= w->kb->locals && w->kb->locals[e->local] == LOCAL_VARYING;
        if (w->read)
            w->read[e->local] = true;
        break;
    case EXPR_CALL:
        w->cost = e->function->cost > w->cost ? e->function->cost : w->cost;
        for (int i = 0; i < e->function->arity; i++)
            walk_expr(w, e->args[i]);
        break;
    default:
        break;
    }
}

static void walk_statement(Walk *w, const Loop *s)
{
    walk_expr(w, s->value);
    for (int i = 0; i < s->data_count; i++)
        walk_expr(w, s->data[i].value);
    if (s->kind == LOOP_STORE || s->kind == LOOP_ADD)
        w->doubles |= s->buffer->type == TYPE_F64;
    if (s->kind == LOOP_SET || s->kind == LOOP_COMBINE)
        w->doubles |= w->kb->kernel->locals.data[s->local] == TYPE_F64;
}

static void walk_list(Walk *w, const LoopList *list)
{
    for (int i = 0; i < list->count; i++) {
        walk_statement(w, list->data[i]);
        walk_list(w, &list->data[i]->body);
    }
}

/* What decides how many vectors a loop may keep side by side. */
typedef struct Folding {
    int sums;    /* registers COMBINEd                          */
    bool costly; /* something wants many registers for itself   */
} Folding;

enum { COSTLY = 8 };

static void visit_folding(Folding *f, const Loop *s)
{
    f->sums += s->kind == LOOP_COMBINE;
    f->costly |= s->kind == LOOP_TILE || s->kind == LOOP_SLICE || s->kind == LOOP_ADD;
    for (int i = 0; i < s->body.count; i++)
        visit_folding(f, s->body.data[i]);
}

/* Sums wait for the one before: several vectors of them at once hide that, share what no lane varies,
 * and read longer stretches. */
static int vectors_at_once(const KernelBuilder *kb, const Walk *w, const Loop *loop)
{
    Folding f = {0};
    for (int i = 0; i < loop->body.count; i++)
        visit_folding(&f, loop->body.data[i]);
    if (!f.sums || f.costly || w->cost > COSTLY)
        return 1;
    int vectors = 4;
    while (vectors > 1 && vectors * f.sums > kb->u->lanes.vector_registers * 3 / 4)
        vectors /= 2;
    return vectors;
}

int vector_width(const KernelBuilder *kb, const Loop *loop)
{
    Walk w = {.kb = (KernelBuilder *)kb};
    map_init(&w.seen, kb->u->arena);
    walk_list(&w, &loop->body);
    int width = kb->u->lanes.vector_bytes / (w.doubles ? 8 : 4);
    if (width > 1)
        width *= vectors_at_once(kb, &w, loop);
    return width < 1 ? 1 : width > 64 ? 64 : width;
}

/* ---- registers ------------------------------------------------------------------------------------------ */

/* What happens to each register in the loop's body, in the order of the text. */
typedef struct Usage {
    bool set;      /* SET somewhere                       */
    bool combined; /* COMBINEd somewhere                  */
    bool read;     /* read somewhere                      */
    bool carried;  /* read or COMBINEd before any SET     */
} Usage;

static void note_read(KernelBuilder *kb, Usage *usage, const Loop *s)
{
    bool *read = arena_new(kb->u->arena, bool, kb->kernel->locals.count + 1);
    Walk w = {.kb = kb, .read = read};
    map_init(&w.seen, kb->u->arena);
    walk_statement(&w, s);
    for (int i = 0; i < kb->kernel->locals.count; i++) {
        usage[i].read |= read[i];
        usage[i].carried |= read[i] && !usage[i].set;
    }
}

/* False where lanes could not run side by side. */
static bool note_usage(KernelBuilder *kb, Usage *usage, const LoopList *list)
{
    for (int i = 0; i < list->count; i++) {
        const Loop *s = list->data[i];
        if (s->kind == LOOP_TILE || s->kind == LOOP_SLICE)
            return false;
        if (s->kind == LOOP_FOR && (s->how == FOR_VECTOR || s->how == FOR_PARALLEL))
            return false;
        if (s->kind == LOOP_FOR && s->begin && affine_varies(kb, s->begin))
            return false;
        note_read(kb, usage, s);
        if (s->kind == LOOP_COMBINE) {
            usage[s->local].combined = true;
            usage[s->local].carried |= !usage[s->local].set;
        }
        if (s->kind == LOOP_SET)
            usage[s->local].set = true;
        if (!note_usage(kb, usage, &s->body))
            return false;
    }
    return true;
}

/* A register is varying once anything varying is put into it; until nothing changes. */
static bool spread(KernelBuilder *kb, const LoopList *list)
{
    bool changed = false;
    for (int i = 0; i < list->count; i++) {
        const Loop *s = list->data[i];
        if ((s->kind == LOOP_SET || s->kind == LOOP_COMBINE) &&
            kb->locals[s->local] == LOCAL_UNIFORM) {
            Walk w = {.kb = kb};
            map_init(&w.seen, kb->u->arena);
            walk_expr(&w, s->value);
            if (w.varies) {
                kb->locals[s->local] = LOCAL_VARYING;
                changed = true;
            }
        }
        changed |= spread(kb, &s->body);
    }
    return changed;
}

bool vector_analyze(KernelBuilder *kb, const Loop *loop)
{
    int count = kb->kernel->locals.count;
    Usage *usage = arena_new(kb->u->arena, Usage, count + 1);
    kb->locals = arena_new(kb->u->arena, LocalState, count + 1);
    if (!note_usage(kb, usage, &loop->body))
        return false;
    for (int i = 0; i < count; i++) {
        const Usage *use = &usage[i];
        if (use->set && use->carried)
            return false; /* one iteration hands it to the next */
        if (!use->set && use->combined && use->read)
            return false; /* a running total, looked at on the way */
        if (!use->set && use->combined)
            kb->locals[i] = LOCAL_FOLDED;
    }
    while (spread(kb, &loop->body)) {
    }
    return true;
}
