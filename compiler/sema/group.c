/* Groups of parameters: several losses over their own, several optimizers. */
#include "sema/internal.h"

#include <string.h>

static bool is_word(const Ast *a, const char *word)
{
    return a->kind == AST_NAME && !strcmp(a->name, word);
}

bool path_fits(const char *pattern, const char *name)
{
    for (; *pattern; pattern++, name++) {
        if (*pattern == '*') {
            for (const char *rest = name;; rest++) {
                if (path_fits(pattern + 1, rest))
                    return true;
                if (!*rest)
                    return false;
            }
        }
        if (*pattern != *name)
            return false;
    }
    return *name == 0 || *name == '.';
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static const char *pattern_of(Sema *s, const Ast *item)
{
    const char *pattern = item->kind == AST_STRING ? item->name : dotted_name(s, item);
    if (!pattern) {
        diag_error(s->diag, item->span,
                   "expected a path such as encoder, or a pattern such as \"*.bias\"");
        return NULL;
    }
    return pattern;
}

static bool ends_patterns(const Ast *item)
{
    return is_word(item, "with") || is_word(item, "every") || is_word(item, "clip_norm") ||
           is_word(item, "clip_value");
}

/* What follows `over`; returns the place of the first item that is none of it. */
static int read_patterns(Sema *s, const Ast *e, int at, Group *g)
{
    for (; at < e->items.count && !ends_patterns(e->items.data[at]); at++) {
        const char *pattern = pattern_of(s, e->items.data[at]);
        if (!pattern)
            return -1;
        vec_push(s->arena, &g->patterns, pattern);
    }
    return at;
}

static bool wrong_form(Sema *s, const Ast *e, const char *usage)
{
    diag_error(s->diag, e->span, "write it so: %s", usage);
    return false;
}

/* One of `every 5 steps`, `clip_norm 1.0`, `clip_value 0.5`; returns the items that it takes, or 0. */
static int read_option(Sema *s, const AstList *items, int at, Group *g)
{
    const Ast *word = items->data[at], *value = at + 1 < items->count ? items->data[at + 1] : NULL;
    if (value && is_word(word, "clip_norm"))
        return read_limit(s, value, "the norm", &g->clip.norm) ? 2 : -1;
    if (value && is_word(word, "clip_value"))
        return read_limit(s, value, "the largest value", &g->clip.value) ? 2 : -1;
    if (!is_word(word, "every") || at + 2 >= items->count || !is_word(items->data[at + 2], "steps"))
        return 0;
    return read_count(s, value, "the steps from one update to the next", &g->every) ? 3 : -1;
}

/* To the end of the entry. */
static bool read_options(Sema *s, const Ast *e, int at, Group *g, const char *usage)
{
    int taken = 1;
    for (; at < e->items.count && taken > 0; at += taken)
        taken = read_option(s, &e->items, at, g);
    if (taken > 0)
        return true;
    if (taken == 0) {
        wrong_form(s, e, usage);
        diag_help(s->diag, "after it may stand: every 5 steps, clip_norm 1.0, clip_value 0.5");
    }
    return false;
}

static bool add_group(Sema *s, Group g)
{
    for (int i = 0; i < s->groups.count; i++)
        if (g.patterns.count == 0 && s->groups.data[i].patterns.count == 0) {
            diag_error(s->diag, g.span, "there is an optimizer for all parameters already");
            diag_note(s->diag, s->groups.data[i].span, "here");
            diag_help(s->diag,
                      "say which parameters this one updates: over encoder, or over \"*.bias\"");
            return false;
        }
    vec_push(s->arena, &s->groups, g);
    return true;
}

bool read_optimizer(Sema *s, const Ast *e)
{
    Group g = {.span = e->span};
    const AstList *items = &e->items;
    const char *usage = "optimizer adam(lr = 1e-3), or optimizer sgd(lr = 0.1) over \"*.bias\"";
    int at = 1;
    if (items->count == 0)
        return wrong_form(s, e, usage);
    g.call = items->data[0];
    if (items->count > 1 && is_word(items->data[1], "over") &&
        ((at = read_patterns(s, e, 2, &g)) < 0 || !g.patterns.count))
        return at >= 0 && wrong_form(s, e, usage);
    return read_options(s, e, at, &g, usage) && add_group(s, g);
}

bool read_minimize(Sema *s, const Ast *e)
{
    Group g = {.span = e->span};
    const AstList *items = &e->items;
    const char *usage = "minimize d_loss over disc with adam(lr = 2e-4)";
    if (items->count < 3 || items->data[0]->kind != AST_NAME || !is_word(items->data[1], "over"))
        return wrong_form(s, e, usage);
    g.loss = items->data[0]->name;
    const int at = read_patterns(s, e, 2, &g);
    if (at < 0)
        return false;
    const bool with = at < items->count && is_word(items->data[at], "with");
    if (g.patterns.count == 0 || (with && at + 1 == items->count))
        return wrong_form(s, e, usage);
    g.call = with ? items->data[at + 1] : NULL;
    return read_options(s, e, with ? at + 2 : at, &g, usage) && add_group(s, g);
}

/* ---- use -------------------------------------------------------------------------------------------------- */

Group *group_of(Sema *s, const Tensor *t)
{
    Group *otherwise = NULL;
    for (int i = 0; i < s->groups.count; i++) {
        Group *g = &s->groups.data[i];
        if (g->patterns.count == 0)
            otherwise = g;
        for (int k = 0; k < g->patterns.count; k++)
            if (path_fits(g->patterns.data[k], t->name))
                return g;
    }
    return otherwise;
}

const Ast *group_optimizer(Sema *s, const Group *g)
{
    for (int i = 0; g && !g->call && i < s->groups.count; i++)
        if (s->groups.data[i].patterns.count == 0)
            return s->groups.data[i].call;
    return g ? g->call : NULL;
}

const char *group_prefix(Sema *s, const Group *g)
{
    if (g->patterns.count == 0)
        return NULL;
    const char *from = g->patterns.data[0];
    from += strspn(from, "*.");
    char *prefix = arena_format(s->arena, "%s", from);
    for (size_t n = strlen(prefix); n && strchr("*.", prefix[n - 1]); n--)
        prefix[n - 1] = 0;
    return *prefix ? prefix : NULL;
}

bool has_optimizer(const Sema *s)
{
    for (int i = 0; i < s->groups.count; i++)
        if (s->groups.data[i].call)
            return true;
    return false;
}

static void check_loss(Sema *s, const Group *g)
{
    const Graph *graph = s->graph;
    const char **names = arena_new(s->arena, const char *, graph->results.count + 1);
    int count = 0;
    for (int i = 0; i < graph->results.count; i++)
        if (graph->results.data[i].role == RESULT_LOSS)
            names[count++] = graph->results.data[i].name;
    for (int i = 0; i < count; i++)
        if (names[i] == g->loss)
            return;
    const char *near = diag_nearest(g->loss, names, count);
    diag_error(s->diag, g->span, "the model has no loss named `%s`", g->loss);
    if (near)
        diag_help(s->diag, "did you mean `%s`?", near);
    else
        diag_help(s->diag, "name it in the model: loss %s = …", g->loss);
}

void assign_groups(Sema *s)
{
    bool several = false;
    for (int i = 0; i < s->groups.count; i++) {
        s->groups.data[i].matched = 0;
        several = several || s->groups.data[i].loss;
    }
    for (int i = 0; i < s->program->tensors.count; i++) {
        Tensor *t = s->program->tensors.data[i];
        Group *g = t->role == ROLE_PARAM ? group_of(s, t) : NULL;
        if (t->role != ROLE_PARAM)
            continue;
        t->loss = g ? g->loss : NULL;
        /* With several losses, what nobody minimises over is not trained. */
        t->frozen = t->frozen || (several && !g);
        if (g)
            g->matched++;
    }
    for (int i = 0; i < s->groups.count; i++) {
        const Group *g = &s->groups.data[i];
        if (g->loss)
            check_loss(s, g);
        if (g->patterns.count && !g->matched)
            diag_error(s->diag, g->span, "no parameter fits `%s`", g->patterns.data[0]);
    }
}
