/* What finish() computes: losses and metrics out of the sums over the evaluated set, in double precision.
 *   needs: the evaluate graph as elaborated; for each loss and metric a node over sums alone
 *   gives: the finish graph; the evaluate graph keeps the sums alone */
#include "sema/internal.h"

static void add_value(Copier *c, Graph *g, Program *p, const char *name, const Node *n)
{
    graph_result(g, RESULT_VALUE, name, copier_copy(c, n), NULL, p->value_count);
    p->value_count += (int)node_elements(n);
}

void build_finish(Sema *s)
{
    Program *p = s->program;
    Copier *c = copier_open(s, ENTRY_FINISH);
    for (int i = 0; i < s->losses.count; i++)
        copier_need(c, s->losses.data[i]);
    for (int i = 0; i < s->metrics.count; i++)
        copier_need(c, s->metrics.data[i]);
    Graph *g = p->entries[ENTRY_FINISH] = copier_run(c);
    for (int i = 0; i < s->losses.count; i++)
        add_value(c, g, p, p->losses.data[i], s->losses.data[i]);
    for (int i = 0; i < s->metrics.count; i++) {
        p->metrics.data[i].slot = p->value_count;
        add_value(c, g, p, p->metrics.data[i].name, s->metrics.data[i]);
    }
    graph_prune(s->graph);
}
