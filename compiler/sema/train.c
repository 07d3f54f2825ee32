/* The train block: one row an entry; what each takes and where it goes. */
#include "sema/internal.h"

#include <string.h>

typedef struct EntryRow {
    const char *name;
    const char *usage;
    bool (*read)(Sema *s, const Ast *entry);
} EntryRow;

static bool is_entry(const char *name);

static bool is_word(const Ast *a, const char *word)
{
    return a->kind == AST_NAME && !strcmp(a->name, word);
}

bool read_count(Sema *s, const Ast *item, const char *what, int64_t *out)
{
    int64_t count;
    if (!eval_integer(s, item, what, &count))
        return false;
    if (count > 0) {
        *out = count; /* what is wrong leaves the value that goes without saying */
        return true;
    }
    diag_error(s->diag, item->span, "%s must be at least 1", what);
    return false;
}

static bool expect_items(Sema *s, const Ast *e, int least, int most, const char *usage)
{
    if (e->items.count >= least && e->items.count <= most)
        return true;
    diag_error(s->diag, e->span, "write it so: %s", usage);
    for (int i = 0; i < e->items.count; i++)
        if (e->items.data[i]->kind == AST_NAME && is_entry(e->items.data[i]->name))
            diag_help(s->diag, "begin a new line with `%s`", e->items.data[i]->name);
    return false;
}

/* ---- data sources ------------------------------------------------------------------------------------- */

typedef struct SourceRow {
    const char *name, *positional, *named;
} SourceRow;

#define SOURCE(name, linked, positional, named) {#name, positional, named},
static const SourceRow sources[] = {
#include "sources.def"
};
#undef SOURCE

enum { SOURCE_COUNT = sizeof sources / sizeof *sources, MOST_SOURCES = 16 };

static bool lists(const char *words, const char *word)
{
    const size_t length = strlen(word);
    for (const char *at = words; (at = strstr(at, word)); at += length)
        if ((at == words || at[-1] == ' ') && (at[length] == ' ' || at[length] == 0))
            return true;
    return false;
}

static void unknown_option(Sema *s, const SourceRow *row, const Ast *item)
{
    char *words = arena_format(s->arena, "%s %s", row->positional, row->named);
    const char *names[32];
    int count = 0;
    diag_error(s->diag, item->name_span, "`%s` has no option `%s`", row->name, item->name);
    for (char *word = strtok(words, " "); word && count < 32; word = strtok(NULL, " "))
        names[count++] = word;
    const char *near = nearest_name(item->name, names, count);
    if (near)
        diag_help(s->diag, "did you mean `%s`?", near);
    else
        diag_help(s->diag, "its options are: %s%s%s", row->positional, *row->positional ? " " : "",
                  row->named);
}

static bool source_option(Sema *s, const SourceRow *row, const Ast *item, TrainSource *out)
{
    const bool named = item->kind == AST_ARGUMENT;
    const Ast *value = named ? item->left : item;
    const char *key = named ? item->name : row->positional;
    if (named && strcmp(row->named, "*") && !lists(row->named, key) &&
        strcmp(row->positional, key) && strcmp(key, "fills")) {
        unknown_option(s, row, item);
        return false;
    }
    if (!named && !*row->positional) {
        diag_error(s->diag, item->span, "`%s` names its files: %s(image = \"…\", label = \"…\")",
                   row->name, row->name);
        return false;
    }
    if (value->kind == AST_MEMBER) {
        diag_error(s->diag, value->span, "a file's name stands in quotes");
        return false;
    }
    s->symbols = true;
    Value *v = eval_statement(s, value, "option");
    s->symbols = false;
    if (!v)
        return false;
    TrainOption option = {named ? key : "", v->text, v->number};
    if (v->kind == VALUE_TRUTH)
        option.text = v->number != 0 ? "yes" : "no";
    else if (v->kind != VALUE_NUMBER && v->kind != VALUE_STRING && v->kind != VALUE_SYMBOL) {
        diag_error(s->diag, value->span, "expected a string, a word or a number, found %s",
                   value_describe(s, v));
        return false;
    }
    vec_push(s->arena, &out->options, option);
    return true;
}

static TrainSource *read_source(Sema *s, const Ast *call)
{
    const char *names[SOURCE_COUNT];
    const char *name =
        call->kind == AST_CALL && call->left->kind == AST_NAME ? call->left->name : "";
    for (int i = 0; i < SOURCE_COUNT; i++) {
        names[i] = sources[i].name;
        if (strcmp(name, names[i]))
            continue;
        TrainSource *out = arena_new(s->arena, TrainSource, 1);
        out->kind = names[i];
        for (int k = 0; k < call->items.count; k++)
            if (!source_option(s, &sources[i], call->items.data[k], out))
                return NULL;
        return out;
    }
    Text known;
    text_init(&known, s->arena);
    for (int i = 0; i < SOURCE_COUNT; i++)
        text_printf(&known, "%s%s", i ? ", " : "", sources[i].name);
    const char *near = diag_nearest(name, names, SOURCE_COUNT);
    diag_error(s->diag, call->span, "unknown data source; there are %s", known.data);
    if (call->kind == AST_STRING)
        diag_help(s->diag, "say how to read it: csv(\"%s\")", call->name);
    else if (near)
        diag_help(s->diag, "did you mean `%s`?", near);
    return NULL;
}

/* Sources side by side, a chain. */
static bool read_sources(Sema *s, const Ast *e, TrainSource **out)
{
    for (int i = 0; i < e->items.count; i++, out = &(*out)->beside)
        if (!(*out = read_source(s, e->items.data[i])))
            return false;
    return true;
}

static bool read_data(Sema *s, const Ast *e)
{
    return expect_items(s, e, 1, MOST_SOURCES, "data csv(\"file.csv\", target = last)") &&
           read_sources(s, e, &s->program->train.data);
}

static bool read_holdout(Sema *s, const Ast *e)
{
    Train *t = &s->program->train;
    const bool sources_held = e->items.count && e->items.data[0]->kind == AST_CALL;
    if (!expect_items(s, e, 1, sources_held ? MOST_SOURCES : 1,
                      "holdout 0.2, or holdout csv(\"test.csv\", target = last)"))
        return false;
    if (sources_held)
        return read_sources(s, e, &t->holdout);
    Value *v = eval_number(s, e->items.data[0], "the part held out");
    if (v && (v->number <= 0 || v->number >= 1)) {
        diag_error(s->diag, e->items.data[0]->span,
                   "the part held out lies between 0 and 1, found %g", v->number);
        if (v->number > 1 && v->number < 100)
            diag_help(s->diag, "for %g percent, write holdout %g", v->number, v->number / 100);
    }
    t->holdout_fraction = v ? v->number : 0;
    return v != NULL;
}

/* ---- how long, how often ------------------------------------------------------------------------------- */

static bool read_batch(Sema *s, const Ast *e)
{
    Train *t = &s->program->train;
    const char *usage = "batch 32, or batch 12 accumulate 4";
    if (e->items.count != 1 && !(e->items.count == 3 && is_word(e->items.data[1], "accumulate")))
        return expect_items(s, e, 1, 0, usage);
    return read_count(s, e->items.data[0], "the batch", &t->batch) &&
           (e->items.count == 1 ||
            read_count(s, e->items.data[2], "the accumulated batches", &t->accumulate));
}

static bool read_epochs(Sema *s, const Ast *e)
{
    return expect_items(s, e, 1, 1, "epochs 30") &&
           read_count(s, e->items.data[0], "epochs", &s->program->train.epochs);
}

static bool read_steps(Sema *s, const Ast *e)
{
    return expect_items(s, e, 1, 1, "steps 5000") &&
           read_count(s, e->items.data[0], "steps", &s->program->train.steps);
}

static bool read_evaluate(Sema *s, const Ast *e)
{
    Train *t = &s->program->train;
    const char *usage = "evaluate every 250 steps, or evaluate every 2 epochs";
    if (e->items.count != 3 || !is_word(e->items.data[0], "every") ||
        (!is_word(e->items.data[2], "steps") && !is_word(e->items.data[2], "epochs")))
        return expect_items(s, e, 1, 0, usage);
    t->evaluate_in_epochs = is_word(e->items.data[2], "epochs");
    return read_count(s, e->items.data[1], "the interval", &t->evaluate_every);
}

static bool read_checkpoint(Sema *s, const Ast *e)
{
    Train *t = &s->program->train;
    const AstList *i = &e->items;
    const bool direction =
        i->count == 4 && (is_word(i->data[3], "lowest") || is_word(i->data[3], "highest"));
    if ((i->count != 3 && !direction) || !is_word(i->data[0], "best") ||
        !is_word(i->data[1], "by") || i->data[2]->kind != AST_NAME)
        return expect_items(s, e, 1, 0,
                            "checkpoint best by loss, or checkpoint best by rmse lowest");
    t->best_by = i->data[2]->name;
    s->best_span = i->data[2]->span;
    /* Losses are better when lower; of metrics we know only what they say. */
    t->best_is_larger =
        direction ? is_word(i->data[3], "highest") : strcmp(t->best_by, "loss") != 0;
    return true;
}

static bool read_stop(Sema *s, const Ast *e)
{
    const AstList *i = &e->items;
    if (i->count != 5 || !is_word(i->data[0], "after") || !is_word(i->data[2], "evaluations") ||
        !is_word(i->data[3], "without") || !is_word(i->data[4], "improvement"))
        return expect_items(s, e, 1, 0, "stop after 10 evaluations without improvement");
    return read_count(s, i->data[1], "the evaluations", &s->program->train.patience);
}

static bool read_seed(Sema *s, const Ast *e)
{
    int64_t seed;
    if (!expect_items(s, e, 1, 1, "seed 1") ||
        !eval_integer(s, e->items.data[0], "the seed", &seed))
        return false;
    s->program->train.seed = (uint64_t)seed;
    return true;
}

static bool read_shuffle(Sema *s, const Ast *e)
{
    return expect_items(s, e, 1, 1, "shuffle false") &&
           eval_truth(s, e->items.data[0], "shuffle", &s->program->train.shuffle);
}

/* "loss", a loss or a metric; known once the evaluation has been built. */
bool check_best(Sema *s)
{
    const Program *p = s->program;
    const char *best = p->train.best_by;
    const int count = p->losses.count + p->metrics.count + 1;
    const char **names = arena_new(s->arena, const char *, count);
    names[0] = "loss";
    for (int i = 1; i < count; i++)
        names[i] = i <= p->losses.count ? p->losses.data[i - 1]
                                        : p->metrics.data[i - 1 - p->losses.count].name;
    for (int i = 0; i < p->metrics.count && best; i++)
        if (p->metrics.data[i].rank && !strcmp(best, p->metrics.data[i].name)) {
            diag_error(s->diag, s->best_span,
                       "the best is chosen by one number, and `%s` is a table", best);
            return false;
        }
    for (int i = 0; i < count; i++)
        if (!best || !strcmp(best, names[i]))
            return true;
    const char *near = nearest_name(best, names, count);
    diag_error(s->diag, s->best_span, "there is no loss or metric named `%s`", best);
    if (near) {
        diag_help(s->diag, "did you mean `%s`?", near);
        return false;
    }
    Text known;
    text_init(&known, s->arena);
    for (int i = 0; i < count; i++)
        if (i == 0 || strcmp(names[i], names[i - 1])) /* the only loss goes by two names */
            text_printf(&known, "%s%s", i ? ", " : "", names[i]);
    diag_help(s->diag, "there are %s", known.data);
    return false;
}

bool read_limit(Sema *s, const Ast *item, const char *what, double *out)
{
    Value *v = eval_number(s, item, what);
    if (v && v->number <= 0)
        diag_error(s->diag, item->span, "%s must be above 0, found %g", what, v->number);
    *out = v ? v->number : 0;
    return *out > 0;
}

static bool read_clip_norm(Sema *s, const Ast *e)
{
    return expect_items(s, e, 1, 1, "clip_norm 1.0") &&
           read_limit(s, e->items.data[0], "the norm", &s->clip.norm);
}

static bool read_clip_value(Sema *s, const Ast *e)
{
    return expect_items(s, e, 1, 1, "clip_value 0.5") &&
           read_limit(s, e->items.data[0], "the largest value", &s->clip.value);
}

static const EntryRow rows[] = {
    {"data", "data csv(\"file.csv\", target = last)", read_data},
    {"holdout", "holdout 0.2", read_holdout},
    {"batch", "batch 32", read_batch},
    {"epochs", "epochs 30", read_epochs},
    {"steps", "steps 5000", read_steps},
    {"optimizer", "optimizer adam(lr = 1e-3)", read_optimizer},
    {"minimize", "minimize d_loss over disc with adam(lr = 2e-4)", read_minimize},
    {"clip_norm", "clip_norm 1.0", read_clip_norm},
    {"clip_value", "clip_value 0.5", read_clip_value},
    {"average", "average ema(decay = 0.999)", read_average},
    {"evaluate", "evaluate every 250 steps", read_evaluate},
    {"checkpoint", "checkpoint best by loss", read_checkpoint},
    {"stop", "stop after 10 evaluations without improvement", read_stop},
    {"seed", "seed 1", read_seed},
    {"shuffle", "shuffle false", read_shuffle},
};

enum { ROW_COUNT = sizeof rows / sizeof *rows };

static bool is_entry(const char *name)
{
    for (int i = 0; i < ROW_COUNT; i++)
        if (!strcmp(name, rows[i].name))
            return true;
    return false;
}

static bool read_entry(Sema *s, const Ast *entry)
{
    const char *names[ROW_COUNT];
    for (int i = 0; i < ROW_COUNT; i++) {
        names[i] = rows[i].name;
        if (!strcmp(entry->name, names[i]))
            return rows[i].read(s, entry);
    }
    const char *near = nearest_name(entry->name, names, ROW_COUNT);
    diag_error(s->diag, entry->name_span, "the train block has no entry `%s`", entry->name);
    if (near)
        diag_help(s->diag, "did you mean `%s`?", near);
    else if (!strcmp(entry->name, "lr") || !strcmp(entry->name, "learning_rate"))
        diag_help(s->diag, "the rate is the optimizer's: optimizer adam(lr = 1e-3)");
    else if (!strcmp(entry->name, "loss") || !strcmp(entry->name, "metric"))
        diag_help(s->diag, "the model states its losses and metrics: loss mse(y, t)");
    return false;
}

static bool may_repeat(const Ast *entry)
{
    return !strcmp(entry->name, "optimizer") || !strcmp(entry->name, "minimize");
}

bool read_train(Sema *s)
{
    Train *t = &s->program->train;
    *t = (Train){
        .batch = 32, .accumulate = 1, .seed = 1, .shuffle = true, .evaluate_in_epochs = true};
    const AstList none = {0};
    const AstList *body = s->train ? &s->train->body : &none;
    bool ok = true;
    for (int i = 0; i < body->count; i++) {
        for (int k = 0; k < i; k++)
            if (body->data[k]->name == body->data[i]->name && !may_repeat(body->data[i])) {
                diag_error(s->diag, body->data[i]->span, "`%s` is given twice",
                           body->data[i]->name);
                diag_note(s->diag, body->data[k]->span, "first here");
                ok = false;
            }
        ok = read_entry(s, body->data[i]) && ok;
    }
    if (t->epochs && t->steps) {
        diag_error(s->diag, s->train->span,
                   "a training ends after epochs or after steps, not both");
        ok = false;
    }
    if (!t->epochs && !t->steps)
        t->epochs = 10;
    return ok;
}
