/* The passes that make kernels and a memory plan of a graph, in their order: those that change the graph first, then
 * those that plan what is to be done with each node. */
#include "schedule/internal.h"

static void plan_bands(Planner *p)
{
    for (int i = 0; i < p->bands.count; i++)
        for (int k = 0; k < p->bands.data[i].nodes.count; k++) {
            NodePlan *plan = PLAN(p, p->bands.data[i].nodes.data[k]);
            plan->band = i + 1;
            plan->forced = k < p->bands.data[i].held;
        }
}

static void plan_strips(Planner *p, const StripList *strips)
{
    for (int i = 0; i < strips->count; i++)
        PLAN(p, strips->data[i].node)->strip = strips->data[i].strip;
}

Schedule *schedule_run(Graph *g, const Program *program, const LaneModel *lanes)
{
    Schedule *s = arena_new(g->arena, Schedule, 1);
    s->graph = g;
    s->program = program;
    factor_run(g);
    partial_run(g);
    sign_run(g);
    const StripList strips = strip_run(g, lanes);
    const BandList bands = band_run(g, lanes);
    const NodeList panels = panels_run(g, lanes, &strips);
    input_run(g);
    store_prepare(g);
    Planner p = {.graph = g, .pool = g->pool, .arena = g->arena, .schedule = s, .bands = bands};
    p.plans = arena_new(g->arena, NodePlan, g->nodes.count);
    s->bodies = arena_new(g->arena, const Expr *, g->nodes.count);
    for (int i = 0; i < g->nodes.count; i++)
        p.plans[i].kernel = -1;
    for (int i = 0; i < panels.count; i++)
        PLAN(&p, panels.data[i])->alone = PLAN(&p, panels.data[i])->forced = true;
    plan_bands(&p);
    plan_strips(&p, &strips);
    store_run(&p);
    order_run(&p);
    period_run(&p);
    group_run(&p);
    places_run(&p);
    if (!g->positions && !g->window)
        margin_run(&p);
    support_run(&p);
    cost_run(s);
    if (!g->positions && !g->window) {
        chain_run(&p);
        strip_end_run(&p);
        cost_run(s); /* what stays in its chain is not moved */
        apart_run(s, lanes);
        layout_run(s);
    }
    memory_run(s);
    return s;
}
