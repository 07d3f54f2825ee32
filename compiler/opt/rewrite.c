/* The engine of simplification: applies the tables of rules until nothing changes. */
#include "opt/opt.h"

#include <string.h>

enum { MAX_ROUNDS = 12 }; /* far above what any graph needs; an end in any case */

/* ---- what is already simplified ------------------------------------------------------------------------ */

/* From an expression under given facts to its simplest form. */
typedef struct MemoSlot {
    const Expr *e;
    const Facts *facts;
    const Expr *simple;
} MemoSlot;

typedef struct Memo {
    Arena *arena;
    MemoSlot *slots;
    int count, capacity;
} Memo;

static MemoSlot *memo_slot(const Memo *m, const Expr *e, const Facts *facts)
{
    uint64_t h = ((uint64_t)e->id * 0x9E3779B97F4A7C15u) ^ ((uintptr_t)facts * 0xBF58476D1CE4E5B9u);
    int i = (int)((h >> 20) & (uint64_t)(m->capacity - 1));
    while (m->slots[i].e && (m->slots[i].e != e || m->slots[i].facts != facts))
        i = (i + 1) & (m->capacity - 1);
    return &m->slots[i];
}

static void memo_grow(Memo *m)
{
    Memo old = *m;
    m->capacity = old.capacity ? 2 * old.capacity : 64;
    m->slots = arena_new(m->arena, MemoSlot, m->capacity);
    for (int i = 0; i < old.capacity; i++)
        if (old.slots[i].e)
            *memo_slot(m, old.slots[i].e, old.slots[i].facts) = old.slots[i];
}

static const Expr *memo_find(Memo *m, const Expr *e, const Facts *facts)
{
    return m->capacity ? memo_slot(m, e, facts)->simple : NULL;
}

static void memo_add(Memo *m, const Expr *e, const Facts *facts, const Expr *simple)
{
    if (2 * (m->count + 1) > m->capacity)
        memo_grow(m);
    *memo_slot(m, e, facts) = (MemoSlot){e, facts, simple};
    m->count++;
}

/* ---- expressions ----------------------------------------------------------------------------------------- */

void opt_fired(Rewriter *w, const char *node)
{
    if (w->log)
        vec_push(w->log->arena, &w->log->firings, ((Firing){w->rule, node}));
}

static const Expr *simplify(Rewriter *w, const Expr *e);

/* `e`, where `test` is known to hold (or not to). */
static const Expr *simplify_under(Rewriter *w, const Expr *e, const Expr *test, bool holds)
{
    const Facts *outer = w->facts;
    if (e->kind == EXPR_CONST || test->kind == EXPR_CONST)
        return simplify(w, e);
    Facts *facts = arena_new(w->g->arena, Facts, 1);
    *facts = (Facts){outer, test, holds};
    w->facts = facts;
    e = simplify(w, e);
    w->facts = outer;
    return e;
}

static const Expr *simplify_access(Rewriter *w, const Expr *e)
{
    bool changed = false;
    Subscript *subs = arena_new(w->g->arena, Subscript, e->count + 1);
    for (int i = 0; i < e->count; i++) {
        subs[i] = e->subscripts[i];
        if (subs[i].data)
            subs[i].data = simplify(w, subs[i].data);
        changed |= subs[i].data != e->subscripts[i].data;
    }
    return changed ? expr_access(w->p, e->node, subs) : e;
}

/* The operands, each under what holds where it is evaluated. */
static const Expr *simplify_operands(Rewriter *w, const Expr *e)
{
    const Expr *args[3] = {0};
    args[0] = simplify(w, e->args[0]);
    bool ordered = e->function == &scalar_and || e->function == &scalar_or;
    for (int i = 1; i < e->function->arity; i++)
        if (e->function == &scalar_select)
            args[i] = simplify_under(w, e->args[i], args[0], i == 1);
        else if (ordered)
            args[i] = simplify_under(w, e->args[i], args[0], e->function == &scalar_and);
        else
            args[i] = simplify(w, e->args[i]);
    return memcmp(args, e->args, sizeof *args * (size_t)e->function->arity) == 0
               ? e
               : expr_call(w->p, e->function, args);
}

static const Expr *apply_rules(Rewriter *w, const Expr *e)
{
    for (const Rule *r = opt_expr_rules; r->name; r++) {
        const Expr *better = r->expr(w, e);
        if (!better || better == e)
            continue;
        w->rule = r;
        opt_fired(w, w->node->name);
        return better;
    }
    return NULL;
}

static const Expr *simplify(Rewriter *w, const Expr *e)
{
    if (e->kind == EXPR_ACCESS)
        return simplify_access(w, e);
    if (e->kind != EXPR_CALL && e->kind != EXPR_TEST)
        return e;
    const Expr *known = memo_find(w->memo, e, w->facts);
    if (known)
        return known;
    const Expr *simple = e->kind == EXPR_CALL ? simplify_operands(w, e) : e;
    if (simple->kind == EXPR_CALL || simple->kind == EXPR_TEST) {
        const Expr *better = apply_rules(w, simple);
        if (better)
            simple = simplify(w, better);
    }
    memo_add(w->memo, e, w->facts, simple);
    return simple;
}

const Expr *opt_body_at(Rewriter *w, const Expr *access)
{
    const Node *n = access->node;
    const Affine **to = arena_new(w->g->arena, const Affine *, n->rank + 1);
    for (int i = 0; i < n->rank; i++) {
        to[i] = access->subscripts[i].affine;
        if (!to[i])
            return NULL;
    }
    return expr_substitute(w->p, n->body, &(Substitution){n->rank, n->domain, to});
}

/* ---- nodes and graphs ---------------------------------------------------------------------------------------- */

/* A guard that others imply may still be what makes the proof of a subscript short enough to find:
 * then it stays. */
static bool keep_if_proven(Rewriter *w, Node *n, const Node *before)
{
    if (n->body == before->body || expr_reads_inside(w->p, NULL, n->body))
        return true;
    *n = *before;
    return false;
}

static bool simplify_body(Rewriter *w, Node *n)
{
    Node before = *n;
    w->node = n;
    w->facts = NULL;
    w->memo = &(Memo){.arena = w->g->arena};
    n->body = simplify(w, n->body);
    w->memo = NULL;
    return keep_if_proven(w, n, &before) && n->body != before.body;
}

static Node copy_of(Rewriter *w, const Node *n)
{
    Node copy = *n;
    copy.bound = arena_new(w->g->arena, Index *, n->bound_count + 1);
    for (int i = 0; i < n->bound_count; i++)
        copy.bound[i] = n->bound[i];
    return copy;
}

static bool apply_node_rule(Rewriter *w, Node *n)
{
    for (const Rule *r = opt_node_rules; r->name; r++) {
        Node before = copy_of(w, n);
        w->rule = r;
        if (!r->node(w, n) || !keep_if_proven(w, n, &before))
            continue;
        opt_fired(w, n->name);
        return true;
    }
    return false;
}

static bool simplify_node(Rewriter *w, Node *n)
{
    bool changed = simplify_body(w, n);
    while (apply_node_rule(w, n)) {
        simplify_body(w, n);
        changed = true;
    }
    return changed;
}

static void count_use(void *context, const Expr *e)
{
    int *uses = context;
    if (e->kind == EXPR_ACCESS)
        uses[e->node->id]++;
}

static void count_uses(Rewriter *w)
{
    Graph *g = w->g;
    w->uses = arena_new(g->arena, int, g->nodes.count + 1);
    w->counted = g->nodes.count;
    for (int i = 0; i < g->nodes.count; i++) {
        Node *n = g->nodes.data[i];
        if (n->kind == NODE_COMPUTE)
            expr_visit(w->p, n->body, count_use, w->uses);
        if (n->kind == NODE_VIEW)
            w->uses[n->viewed->id]++;
    }
    for (int i = 0; i < g->results.count; i++)
        w->uses[g->results.data[i].value->id]++;
}

static bool run_round(Rewriter *w)
{
    Graph *g = w->g;
    bool changed = false;
    count_uses(w);
    int count = g->nodes.count; /* what rules add waits for the next round */
    for (int i = 0; i < count; i++)
        if (g->nodes.data[i]->kind == NODE_COMPUTE)
            changed |= simplify_node(w, g->nodes.data[i]);
    graph_sort(g); /* a rule may have put a new operand at the end */
    for (const Rule *r = opt_graph_rules; r->name; r++) {
        w->rule = r;
        changed |= r->graph(w);
    }
    graph_sort(g); /* a recurrence may have come apart */
    graph_prune(g);
    return changed;
}

void opt_run(Graph *g, OptLog *log)
{
    Rewriter w = {.g = g, .p = g->pool, .log = log};
    graph_prune(g);
    for (int i = 0; i < MAX_ROUNDS && run_round(&w); i++)
        continue;
}

void opt_forward(Graph *g, OptLog *log)
{
    Rewriter w = {.g = g, .p = g->pool, .log = log};
    for (const Rule *r = opt_forward_rules; r->name; r++) {
        w.rule = r;
        r->graph(&w);
    }
}

/* ---- what fired ------------------------------------------------------------------------------------------------ */

static void explain_rule(Text *out, const OptLog *log, const Rule *r)
{
    int count = 0;
    for (int i = 0; i < log->firings.count; i++)
        count += log->firings.data[i].rule == r;
    if (!count)
        return;
    text_printf(out, "# %-24s %4d  %s:", r->name, count, r->doc);
    const char *last = NULL;
    for (int i = 0; i < log->firings.count; i++) {
        const Firing *f = &log->firings.data[i];
        if (f->rule != r || (last && strcmp(last, f->node) == 0))
            continue;
        text_printf(out, "%s %s", last ? "," : "", f->node);
        last = f->node;
    }
    text_append(out, "\n");
}

void opt_explain(Text *out, const OptLog *log)
{
    const Rule *const tables[] = {opt_forward_rules, opt_expr_rules, opt_node_rules,
                                  opt_graph_rules};
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const Rule *r = tables[t]; r->name; r++)
            explain_rule(out, log, r);
}
