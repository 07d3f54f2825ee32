/* generate tokens from logits: which input grows, and what says how. */
#include "sema/internal.h"

#include <string.h>

static Port *token_input(Sema *s, const Ast *a)
{
    Port *port = find_port(s, a->name);
    if (!port || port->is_target) {
        diag_error(s->diag, a->name_span, "there is no input named `%s`", a->name);
        if (port)
            diag_note(s->diag, port->span, "it is a target, which generating does without");
        return NULL;
    }
    if (port->domain == DOMAIN_TOKEN && port->rank == 1)
        return port;
    diag_error(s->diag, a->name_span,
               "what is generated is a sequence of tokens: an input like %s[64] : token(100)",
               a->name);
    diag_note(s->diag, port->span, "this one is declared here");
    return NULL;
}

static bool fits_tokens(Sema *s, const Ast *a, const Port *port, const Value *v)
{
    int64_t length, choices;
    const bool window = v->rank == 1; /* of what follows the last of the tokens alone */
    if ((window || (v->rank == 2 && value_extent(v, 0, &length) && length == port->shape[0])) &&
        value_extent(v, !window, &choices) && choices == port->classes)
        return true;
    diag_error(s->diag, a->left->span,
               "`%s` needs log-odds of all %lld tokens after each of its %lld, or after the last, "
               "found %s",
               a->name, (long long)port->classes, (long long)port->shape[0], value_describe(s, v));
    diag_note(s->diag, port->span, "`%s` is declared here", a->name);
    return false;
}

/* The logits of every position, of which opt_positions makes one a call, or those of a window. */
static void add_logits(Sema *s, const Ast *a, const Port *port)
{
    Value *v = eval_statement(s, a->left, "logits");
    if (!v)
        return;
    if (v->kind != VALUE_TENSOR) {
        value_unexpected(s, v, "a tensor of log-odds");
        return;
    }
    Node *n = fits_tokens(s, a, port, v) ? value_to_node(s, v, "logits") : NULL;
    if (n && !dtype_is_real(n->type))
        diag_error(s->diag, a->left->span, "log-odds are real numbers, and these are %s",
                   dtype_name(n->type));
    else if (n && !node_is_batched(n))
        diag_error(s->diag, a->left->span, "these log-odds do not depend on `%s`", a->name);
    else if (n)
        graph_result(s->graph, RESULT_OUTPUT, "logits", n, NULL, 0);
}

void run_generate(Sema *s, const Ast *a)
{
    if (s->printing)
        print_later(s, a, a->name);
    const bool wanted = s->entry == ENTRY_GENERATE && !s->printing;
    Port *port = wanted ? token_input(s, a) : NULL;
    if (!port)
        return;
    if (s->program->generated) {
        diag_error(s->diag, a->span, "a model generates one thing");
        diag_note(s->diag, s->program->generate_span, "the first is here");
        return;
    }
    s->program->generated = port;
    s->program->generate_span = a->span;
    add_logits(s, a, port);
}
