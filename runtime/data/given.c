/* Data that the command line names: in place of the train block's files, or of a kind told by name. */
#include "data.h"

#include <stdlib.h>
#include <string.h>

static void put_option(gradc_source *s, const char *key, const char *text)
{
    gradc_option *options = (gradc_option *)(uintptr_t)s->options;
    for (int i = 0; i < s->option_count; i++)
        if (strcmp(options[i].key, key) == 0) {
            free((char *)(uintptr_t)options[i].text);
            options[i].text = text_copy(text, strlen(text));
            return;
        }
    options = realloc(options, sizeof *options * (size_t)(s->option_count + 1));
    if (!options)
        abort();
    options[s->option_count++] =
        (gradc_option){text_copy(key, strlen(key)), text_copy(text, strlen(text)), 0};
    s->options = options;
}

static gradc_source *next_of(gradc_source *s)
{
    return (gradc_source *)(uintptr_t)s->beside;
}

static void copy_source(gradc_source *out, const gradc_source *in)
{
    *out = (gradc_source){text_copy(in->kind, strlen(in->kind)), NULL, in->option_count, NULL};
    gradc_option *options = memory_get((size_t)in->option_count, sizeof *options);
    for (int i = 0; i < in->option_count; i++) {
        const gradc_option *o = &in->options[i];
        options[i] =
            (gradc_option){text_copy(o->key, strlen(o->key)),
                           o->text ? text_copy(o->text, strlen(o->text)) : NULL, o->number};
    }
    out->options = options;
    if (!in->beside)
        return;
    out->beside = memory_get(1, sizeof *out->beside);
    copy_source(next_of(out), in->beside);
}

void source_free(gradc_source *s)
{
    if (s->beside)
        source_free(next_of(s));
    free(next_of(s));
    for (int i = 0; i < s->option_count; i++) {
        free((char *)(uintptr_t)s->options[i].key);
        free((char *)(uintptr_t)s->options[i].text);
    }
    free((void *)(uintptr_t)s->options);
    free((char *)(uintptr_t)s->kind);
    *s = (gradc_source){0};
}

/* ---- the kind, from a file's name ------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *ending)
{
    size_t n = strlen(text), m = strlen(ending);
    if (n > 3 && strcmp(text + n - 3, ".gz") == 0)
        n -= 3;
    return n >= m && memcmp(text + n - m, ending, m) == 0;
}

/* Where one ending has several kinds, that of the training data, else the first. */
static const char *kind_of(const char *path, const gradc_source *like)
{
    static const struct {
        const char *ending, *kind;
    } known[] = {{".csv", "csv"},   {".csv", "series"}, {".tsv", "csv"},    {".npy", "npy"},
                 {".npz", "npz"},   {"ubyte", "idx"},   {".idx", "idx"},    {".txt", "text"},
                 {".txt", "lines"}, {".png", "images"}, {".jpg", "images"}, {".jpeg", "images"}};
    const char *kind = NULL;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (ends_with(path, known[i].ending) &&
            (!kind || (like && strcmp(like->kind, known[i].kind) == 0)))
            kind = known[i].kind;
    return kind;
}

/* ---- --data: other files for the same source ------------------------------------------------------- */

/* "key=path" where key is a word; a path may hold '=' after a '/' or '.'. */
static bool split_pair(const char *text, char **key, const char **path)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    if (n == 0 || text[n] != '=')
        return false;
    *key = text_copy(text, n);
    *path = text + n + 1;
    return true;
}

/* Which of the sources side by side an option goes to: one that has it, else the first. */
static gradc_source *source_with(gradc_source *s, const char *key)
{
    gradc_source *first = s;
    for (; s; s = next_of(s))
        if (option_find(s, key))
            return s;
    return first;
}

/* By its ending; what has none that tells, such as a folder, is for a source whose path has none either. */
static bool is_alike(const char *path, const gradc_source *s)
{
    const char *kind = kind_of(path, s);
    const gradc_option *now = option_positional(s, 0);
    return kind ? strcmp(kind, s->kind) == 0 : now && now->text && !kind_of(now->text, s);
}

/* Which of them a path is for: the next like it, else the next at all, else the first. */
static gradc_source *source_for(gradc_source *first, const char *path, uint64_t *taken)
{
    gradc_source *found = NULL;
    int place = 0, index = 0;
    for (gradc_source *s = first; s && index < 64; s = next_of(s), index++) {
        if (!source_has_path(s->kind) || *taken >> index & 1)
            continue;
        const bool alike = is_alike(path, s);
        if (alike || !found) {
            found = s;
            place = index;
        }
        if (alike)
            break;
    }
    *taken |= (uint64_t)1 << place;
    return found ? found : first;
}

static bool override_one(gradc_source *first, const char *text, uint64_t *taken, Error *e)
{
    char *key;
    const char *path;
    if (split_pair(text, &key, &path)) {
        put_option(source_with(first, key), key, path);
        free(key);
        return true;
    }
    gradc_source *s = source_for(first, text, taken);
    if (!source_has_path(s->kind))
        return error_set(e, "%s needs a file for each input and target: write --data name=%s",
                         s->kind, text);
    put_option(s, "", text);
    return true;
}

bool source_override(gradc_source *out, const gradc_source *in, const TextList *data, Error *e)
{
    uint64_t taken = 0;
    copy_source(out, in);
    for (int i = 0; i < data->count; i++)
        if (!override_one(out, data->items[i], &taken, e)) {
            source_free(out);
            return false;
        }
    return true;
}

/* ---- predict --input: the kind from the file's name --------------------------------------------------- */

static const char *only_input(const gradc_port *ports, int port_count)
{
    const char *name = NULL;
    for (int i = 0; i < port_count; i++)
        if (!ports[i].is_target) {
            if (name)
                return NULL;
            name = ports[i].name;
        }
    return name;
}

static bool guess_one(gradc_source *s, const char *text, const char *input, uint64_t *taken,
                      Error *e)
{
    if (source_has_path(s->kind) || s->beside || strchr(text, '='))
        return override_one(s, text, taken, e);
    if (!input)
        return error_set(e, "the model has several inputs: write --input name=%s for each", text);
    put_option(s, input, text);
    return true;
}

/* Files of idx and npy that the training data named must not be mixed with those to predict from. */
static void drop_ports(gradc_source *s, const gradc_port *ports, int port_count)
{
    gradc_option *options = (gradc_option *)(uintptr_t)s->options;
    for (int p = 0; p < port_count && !source_has_path(s->kind); p++)
        for (int i = s->option_count; i-- > 0;)
            if (strcmp(options[i].key, ports[p].name) == 0) {
                free((char *)(uintptr_t)options[i].key);
                free((char *)(uintptr_t)options[i].text);
                options[i] = options[--s->option_count];
            }
}

bool source_guess(gradc_source *out, const gradc_source *like, const TextList *files,
                  const gradc_port *ports, int port_count, Error *e)
{
    const char *kind = kind_of(files->items[0], like);
    if (!kind && !like)
        return error_set(e, "%s: its name does not tell its format; use .csv, .npy, .npz or .idx",
                         files->items[0]);
    uint64_t taken = 0;
    if (like && (like->beside || !kind || strcmp(kind, like->kind) == 0)) {
        copy_source(out, like);
    } else {
        const gradc_source bare = {kind, NULL, 0, NULL};
        copy_source(out, &bare);
        if (ends_with(files->items[0], ".tsv"))
            put_option(out, "separator", "\t");
    }
    for (gradc_source *s = out; s; s = next_of(s))
        drop_ports(s, ports, port_count);
    for (int i = 0; i < files->count; i++)
        if (!guess_one(out, files->items[i], only_input(ports, port_count), &taken, e)) {
            source_free(out);
            return false;
        }
    return true;
}
