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

bool source_has_path(const char *kind)
{
    for (size_t i = 0; i < SOURCE_COUNT; i++)
        if (strcmp(sources[i].name, kind) == 0)
            return *sources[i].positional != 0;
    return false;
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

static bool open_alone(Dataset *d, const Request *r, Error *e)
{
    SourceOpen *source_open = source_named(r->source->kind, e);
    return source_open && source_open(d, r, e);
}

bool dataset_open(Dataset *d, const Request *r, Error *e)
{
    *d = (Dataset){.ports = r->ports, .port_count = r->port_count};
    d->fields = memory_get((size_t)r->port_count, sizeof *d->fields);
    encoding_create(&d->encoding, r->port_count);
    if ((r->source->beside ? open_beside : open_alone)(d, r, e) && check_complete(d, r, e))
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
