/* Opening what a train block names: the table of sources, their options, and the set they fill. */
#include "data.h"

#include <stdlib.h>
#include <string.h>

typedef bool SourceOpen(Dataset *d, const Request *r, Error *e);

/* A weak name asks the linker for nothing: what no train block names stays out of the trainer. */
#define ALWAYS
#define NAMED __attribute__((weak))
#define SOURCE(name, linked, positional, named) SourceOpen source_##name linked;
#include "../sources.def"
#undef SOURCE

static const struct {
    const char *name, *positional;
    SourceOpen *open; /* NULL: not linked */
} sources[] = {
#define SOURCE(name, linked, positional, named) {#name, positional, source_##name},
#include "../sources.def"
#undef SOURCE
};

#define SOURCE_COUNT (sizeof sources / sizeof *sources)

/* ---- options ----------------------------------------------------------------------------------- */

const gradc_option *option_find(const gradc_source *s, const char *key)
{
    for (int i = 0; i < s->option_count; i++)
        if (strcmp(s->options[i].key, key) == 0)
            return &s->options[i];
    return NULL;
}

const char *option_text(const gradc_source *s, const char *key, const char *otherwise)
{
    const gradc_option *o = option_find(s, key);
    return o && o->text ? o->text : otherwise;
}

const gradc_option *option_positional(const gradc_source *s, int n)
{
    for (int i = 0; i < s->option_count; i++)
        if (!*s->options[i].key && n-- == 0)
            return &s->options[i];
    return NULL;
}

/* ---- the set ------------------------------------------------------------------------------------- */

const Bytes *dataset_file(Dataset *d, const Request *r, const char *name, char **found, Error *e)
{
    *found = file_find(name, r->folder);
    Bytes b;
    if (!file_open(&b, *found, e)) {
        error_add(e,
                  "help: paths are relative to the current folder%s%s; --data names another file, "
                  "--data-dir another folder",
                  r->folder ? ", then to " : "", r->folder ? r->folder : "");
        return NULL;
    }
    dataset_keep(d, b);
    return d->files[d->file_count - 1];
}

void dataset_keep(Dataset *d, Bytes b)
{
    d->files = realloc(d->files, sizeof *d->files * (size_t)(d->file_count + 1));
    if (!d->files)
        abort();
    d->files[d->file_count] = memory_get(1, sizeof b);
    *d->files[d->file_count++] = b;
}

bool dataset_bind(Dataset *d, const Request *r, SourceBind *bind, Error *e)
{
    const gradc_option *o = option_positional(r->source, 0);
    if (!o || !o->text)
        return error_set(e, "%s needs the path of its file", r->source->kind);
    char *path;
    const Bytes *b = dataset_file(d, r, o->text, &path, e);
    bool ok = b && bind(d, r, b, path, e);
    free(path);
    return ok;
}

bool dataset_agree(Dataset *d, size_t count, const char *path, Error *e)
{
    if (!d->counted) {
        d->counted = true;
        d->count = count;
        d->counted_by = text_copy(path, strlen(path));
    }
    if (d->count == count)
        return true;
    return error_set(e, "%s holds %zu examples, but %s holds %zu", path, count, d->counted_by,
                     d->count);
}

void *field_own(Field *f, size_t count, const gradc_port *port)
{
    free(f->owned);
    f->stride = port_size(port);
    f->owned = memory_get(count, f->stride);
    f->data = f->owned;
    return f->owned;
}

bool field_is_there(const Field *f)
{
    return f->data || f->read;
}

static bool check_complete(const Dataset *d, const Request *r, Error *e)
{
    for (int i = 0; i < r->port_count; i++) {
        const gradc_port *p = &r->ports[i];
        if (field_is_there(&d->fields[i]) || (r->targets_optional && !p->for_predict))
            continue;
        error_set(e, "%s: nothing says where the %s %s comes from", r->source->kind,
                  p->is_target ? "target" : "input", p->name);
        return error_add(e, "help: name it in the data source, as in %s(%s = \"file\")",
                         r->source->kind, p->name);
    }
    if (d->count == 0)
        return error_set(e, "%s: holds no examples",
                         d->counted_by ? d->counted_by : r->source->kind);
    if (d->count > UINT32_MAX)
        return error_set(e, "%s: holds more than %u examples", d->counted_by, UINT32_MAX);
    return true;
}

static SourceOpen *source_named(const char *kind, Error *e)
{
    for (size_t i = 0; i < SOURCE_COUNT; i++) {
        if (strcmp(sources[i].name, kind) != 0)
            continue;
        if (!sources[i].open)
            error_set(e,
                      "this trainer was linked without the data source %s\nhelp: gradc links what "
                      "a train block names; by hand, link with -Wl,-u,source_%s",
                      kind, kind);
        return sources[i].open;
    }
    error_set(e, "this trainer has no data source named %s", kind);
    return NULL;
}

bool dataset_open(Dataset *d, const Request *r, Error *e)
{
    *d = (Dataset){.ports = r->ports, .port_count = r->port_count};
    d->fields = memory_get((size_t)r->port_count, sizeof *d->fields);
    encoding_create(&d->encoding, r->port_count);
    SourceOpen *source_open = source_named(r->source->kind, e);
    if (source_open && source_open(d, r, e) && check_complete(d, r, e))
        return true;
    dataset_close(d);
    return false;
}

void dataset_close(Dataset *d)
{
    for (int i = 0; d->fields && i < d->port_count; i++)
        free(d->fields[i].owned);
    for (int i = 0; i < d->file_count; i++) {
        file_close(d->files[i]);
        free(d->files[i]);
    }
    encoding_destroy(&d->encoding);
    free(d->groups);
    free(d->files);
    free(d->fields);
    free(d->counted_by);
    *d = (Dataset){0};
}

/* ---- --data: other files for the same source ------------------------------------------------------- */

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

static void copy_source(gradc_source *out, const gradc_source *in)
{
    *out = (gradc_source){text_copy(in->kind, strlen(in->kind)), NULL, in->option_count};
    gradc_option *options = memory_get((size_t)in->option_count, sizeof *options);
    for (int i = 0; i < in->option_count; i++) {
        const gradc_option *o = &in->options[i];
        options[i] =
            (gradc_option){text_copy(o->key, strlen(o->key)),
                           o->text ? text_copy(o->text, strlen(o->text)) : NULL, o->number};
    }
    out->options = options;
}

void source_free(gradc_source *s)
{
    for (int i = 0; i < s->option_count; i++) {
        free((char *)(uintptr_t)s->options[i].key);
        free((char *)(uintptr_t)s->options[i].text);
    }
    free((void *)(uintptr_t)s->options);
    free((char *)(uintptr_t)s->kind);
    *s = (gradc_source){0};
}

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

static bool has_path(const char *kind)
{
    for (size_t i = 0; i < SOURCE_COUNT; i++)
        if (strcmp(sources[i].name, kind) == 0)
            return *sources[i].positional != 0;
    return false;
}

static bool override_one(gradc_source *s, const char *text, Error *e)
{
    char *key;
    const char *path;
    if (split_pair(text, &key, &path)) {
        put_option(s, key, path);
        free(key);
        return true;
    }
    if (!has_path(s->kind))
        return error_set(e, "%s needs a file for each input and target: write --data name=%s",
                         s->kind, text);
    put_option(s, "", text);
    return true;
}

bool source_override(gradc_source *out, const gradc_source *in, const TextList *data, Error *e)
{
    copy_source(out, in);
    for (int i = 0; i < data->count; i++)
        if (!override_one(out, data->items[i], e)) {
            source_free(out);
            return false;
        }
    return true;
}

/* ---- predict --input: the kind from the file's name --------------------------------------------------- */

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

static bool guess_one(gradc_source *s, const char *text, const char *input, Error *e)
{
    if (has_path(s->kind) || strchr(text, '='))
        return override_one(s, text, e);
    if (!input)
        return error_set(e, "the model has several inputs: write --input name=%s for each", text);
    put_option(s, input, text);
    return true;
}

/* Files of idx and npy that the training data named must not be mixed with those to predict from. */
static void drop_ports(gradc_source *s, const gradc_port *ports, int port_count)
{
    gradc_option *options = (gradc_option *)(uintptr_t)s->options;
    for (int p = 0; p < port_count && !has_path(s->kind); p++)
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
    if (like && (!kind || strcmp(kind, like->kind) == 0)) {
        copy_source(out, like);
    } else {
        const gradc_source bare = {kind, NULL, 0};
        copy_source(out, &bare);
        if (ends_with(files->items[0], ".tsv"))
            put_option(out, "separator", "\t");
    }
    drop_ports(out, ports, port_count);
    for (int i = 0; i < files->count; i++)
        if (!guess_one(out, files->items[i], only_input(ports, port_count), e)) {
            source_free(out);
            return false;
        }
    return true;
}
