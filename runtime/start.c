/* Parameters and states that start from files: which tensor of a file each takes, by which name, and
 * all that does not fit. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- names ----------------------------------------------------------------------------------------- */

enum { MOST_STARS = 8 };

typedef struct Piece {
    const char *text;
    size_t length;
} Piece;

/* Does the name fit?  What each `*` stands for goes to `pieces`, if not NULL; with `below` a path
 * stands for everything under it, too. */
static bool fits(const char *pattern, const char *name, bool below, Piece *pieces)
{
    for (; *pattern && *pattern != '*'; pattern++, name++)
        if (*pattern != *name)
            return false;
    if (!*pattern)
        return !*name || (below && *name == '.');
    for (const char *end = name;; end++) {
        if (pieces)
            pieces[0] = (Piece){name, (size_t)(end - name)};
        if (fits(pattern + 1, end, below, pieces ? pieces + 1 : NULL))
            return true;
        if (!*end)
            return false;
    }
}

static int count_stars(const char *text)
{
    int count = 0;
    for (; *text; text++)
        count += *text == '*';
    return count;
}

/* Lines `name in the file = name in the model`. */
typedef struct NameMap {
    Pair *rules;
    int count;
} NameMap;

static void map_free(NameMap *m)
{
    pairs_free(m->rules, m->count);
    *m = (NameMap){0};
}

static char *trimmed(const char *begin, const char *end)
{
    while (begin < end && strchr(" \t\r", *begin))
        begin++;
    while (end > begin && strchr(" \t\r", end[-1]))
        end--;
    return text_copy(begin, (size_t)(end - begin));
}

static bool read_rule(NameMap *m, const char *begin, const char *end, const char *path, int number,
                      Error *e)
{
    const char *equals = memchr(begin, '=', (size_t)(end - begin));
    char *all = trimmed(begin, end);
    const bool empty = !*all || *all == '#';
    free(all);
    if (empty)
        return true;
    if (!equals)
        return error_set(e, "%s:%d: expected `name in the file = name in the model`", path, number);
    Pair *rule = &m->rules[m->count++];
    *rule = (Pair){trimmed(begin, equals), trimmed(equals + 1, end)};
    const int stars = count_stars(rule->value);
    if (!*rule->key || !*rule->value)
        return error_set(e, "%s:%d: a name is missing", path, number);
    return (stars == count_stars(rule->key) && stars <= MOST_STARS) ||
           error_set(e, "%s:%d: both names need the same number of `*`, at most %d", path, number,
                     MOST_STARS);
}

static bool map_read(NameMap *m, const char *path, Error *e)
{
    Bytes b;
    if (!file_open(&b, path, e))
        return false;
    const char *at = (const char *)b.data, *end = at + b.size;
    size_t lines = 1;
    for (const char *c = at; c < end; c++)
        lines += *c == '\n';
    m->rules = memory_get(lines, sizeof *m->rules);
    bool ok = true;
    for (int number = 1; ok && at < end; number++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        ok = read_rule(m, at, stop, path, number, e);
        at = stop + 1;
    }
    file_close(&b);
    return ok;
}

/* What the file calls the tensor, by the first rule that fits; to be freed. */
static char *their_name(const NameMap *m, const char *name)
{
    Piece pieces[MOST_STARS];
    for (int i = 0; i < m->count; i++) {
        if (!fits(m->rules[i].value, name, false, pieces))
            continue;
        char *result = text_copy("", 0);
        int star = 0;
        for (const char *c = m->rules[i].key; *c; c++) {
            const Piece p = *c == '*' ? pieces[star++] : (Piece){c, 1};
            char *longer = text_format("%s%.*s", result, (int)p.length, p.text);
            free(result);
            result = longer;
        }
        return result;
    }
    return text_copy(name, strlen(name));
}

/* ---- one file -------------------------------------------------------------------------------------- */

typedef struct Start {
    Instance *in;
    const gradc_init_from *from;
    Safetensors file;
    NameMap names;
    int count;  /* tensors that it starts                          */
    bool *used; /* of the file's                                   */
} Start;

static bool takes_part(const Start *s, const gradc_tensor *t)
{
    return (t->role == GRADC_PARAM || t->role == GRADC_STATE) &&
           fits(s->from->pattern, t->name, true, NULL);
}

/* Names what does not fit. */
static void find_differences(Start *s, Error *differences)
{
    const gradc_model *m = s->in->model;
    for (int i = 0; i < m->tensor_count; i++) {
        if (!takes_part(s, &m->tensors[i]))
            continue;
        char *theirs = their_name(&s->names, m->tensors[i].name);
        const TensorEntry *entry = safetensors_find(&s->file, theirs);
        tensor_compare(&m->tensors[i], entry, theirs, false, differences);
        if (entry)
            s->used[entry - s->file.entries] = true;
        s->count++;
        free(theirs);
    }
}

static void copy_tensors(Start *s)
{
    const gradc_model *m = s->in->model;
    for (int i = 0; i < m->tensor_count; i++) {
        if (!takes_part(s, &m->tensors[i]))
            continue;
        char *theirs = their_name(&s->names, m->tensors[i].name);
        safetensors_copy(&s->file, safetensors_find(&s->file, theirs), m->tensors[i].type,
                         tensor_data(s->in, &m->tensors[i]));
        const gradc_tensor *average = average_of(m, &m->tensors[i]);
        if (average)
            copy_tensor(s->in, average, &m->tensors[i]);
        free(theirs);
    }
}

static void announce(const Start *s, const char *path)
{
    enum { NAMED = 4 };
    int left = 0, named = 0;
    for (int i = 0; i < s->file.entry_count; i++)
        left += !s->used[i];
    printf("%s starts %d tensor%s", path, s->count, s->count == 1 ? "" : "s");
    for (int i = 0; i < s->file.entry_count && named < NAMED; i++)
        if (!s->used[i])
            printf("%s%s", named++ ? ", " : "; not used: ", s->file.entries[i].name);
    if (left > named)
        printf(" and %d more", left - named);
    putchar('\n');
}

static bool load(Start *s, const char *path, bool quiet, Error *e)
{
    Error differences = {0};
    s->used = memory_get((size_t)s->file.entry_count, sizeof *s->used);
    find_differences(s, &differences);
    if (!s->count)
        return error_set(e, "no parameter or state of the model %s fits `%s`", s->in->model->name,
                         s->from->pattern);
    if (differences.text) {
        error_set(e, "%s cannot start `%s` of the model %s:\n%s", path, s->from->pattern,
                  s->in->model->name, differences.text);
        error_add(e, "help: where only the names differ, a file of lines `name in the file = name "
                     "in the model` tells which is which: init … with \"FILE\", or --map FILE");
        error_clear(&differences);
        return false;
    }
    copy_tensors(s);
    if (!quiet)
        announce(s, path);
    return true;
}

static bool start_from(Instance *in, const gradc_init_from *from, const Options *o, bool quiet,
                       Error *e)
{
    Start s = {.in = in, .from = from};
    char *path = file_find(from->file, o->data_dir);
    char *names = from->names ? file_find(from->names, o->data_dir) : NULL;
    bool ok = (!names || map_read(&s.names, names, e)) && safetensors_open(&s.file, path, e);
    ok = ok && load(&s, path, quiet, e);
    free(s.used);
    map_free(&s.names);
    safetensors_close(&s.file);
    free(path);
    free(names);
    return ok;
}

/* ---- all of them ----------------------------------------------------------------------------------- */

/* "pattern=file", or a file for everything. */
static bool start_given(Instance *in, const char *text, const Options *o, bool quiet, Error *e)
{
    const char *equals = strchr(text, '=');
    char *pattern = equals ? text_copy(text, (size_t)(equals - text)) : text_copy("*", 1);
    const gradc_init_from from = {pattern, equals ? equals + 1 : text, o->map};
    bool ok = start_from(in, &from, o, quiet, e);
    free(pattern);
    return ok;
}

bool start_from_files(Instance *in, const Options *o, bool quiet, Error *e)
{
    bool ok = true;
    for (int i = 0; ok && i < in->model->init_count; i++)
        ok = start_from(in, &in->model->inits[i], o, quiet, e);
    for (int i = 0; ok && i < o->inits.count; i++)
        ok = start_given(in, o->inits.items[i], o, quiet, e);
    return ok;
}
