/* What a checkpoint says beside its tensors: where training stands, and what its categories are
 * called.  Nothing here depends on the clock, so that equal training gives equal files. */
#include "internal.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

void encoding_create(Encoding *c, int port_count)
{
    *c = (Encoding){memory_get((size_t)port_count, sizeof *c->names), port_count, NULL, 0};
}

void names_free(Names *names)
{
    for (int i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    *names = (Names){0};
}

void encoding_destroy(Encoding *c)
{
    for (int i = 0; c->names && i < c->port_count; i++)
        names_free(&c->names[i]);
    for (int i = 0; i < c->fill_count; i++)
        free(c->fills[i].column);
    free(c->names);
    free(c->fills);
    *c = (Encoding){0};
}

const Names *encoding_classes(const gradc_model *model, const Encoding *c, int64_t classes)
{
    for (int targets = 1; targets >= 0; targets--)
        for (int i = 0; i < model->input_count && i < c->port_count; i++)
            if (model->inputs[i].is_target == targets && model->inputs[i].domain == GRADC_CLASS &&
                model->inputs[i].classes == classes && c->names[i].count == classes)
                return &c->names[i];
    return NULL;
}

void pairs_free(Pair *pairs, int count)
{
    for (int i = 0; i < count; i++) {
        free(pairs[i].key);
        free(pairs[i].value);
    }
    free(pairs);
}

/* ---- numbers: one row each ------------------------------------------------------------------------ */

#define COUNT(field) {"gradc." #field, offsetof(Position, field), 'u'}
#define REAL(field) {"gradc." #field, offsetof(Position, field), 'f'}
#define FLAG(field) {"gradc." #field, offsetof(Position, field), 'b'}

static const struct {
    const char *key;
    size_t offset;
    char kind;
} fields[] = {
    COUNT(seed),    COUNT(examples), COUNT(epoch),      COUNT(cursor),
    COUNT(step),    REAL(loss_sum),  COUNT(loss_count), COUNT(evaluated),
    FLAG(has_best), REAL(best),      COUNT(best_step),  COUNT(stale),
};

#define FIELD_COUNT ((int)(sizeof fields / sizeof *fields))

static char *field_text(const Position *p, int i)
{
    const char *at = (const char *)p + fields[i].offset;
    if (fields[i].kind == 'u')
        return text_format("%" PRIu64, *(const uint64_t *)(const void *)at);
    if (fields[i].kind == 'b')
        return text_format("%d", *(const bool *)(const void *)at);
    return text_format("%.17g", *(const double *)(const void *)at);
}

static bool field_read(Position *p, int i, const char *text)
{
    char *at = (char *)p + fields[i].offset, *end;
    if (fields[i].kind != 'f' && (*text < '0' || *text > '9')) /* strtoull takes a minus */
        return false;
    errno = 0;
    if (fields[i].kind == 'u')
        *(uint64_t *)(void *)at = strtoull(text, &end, 10);
    else if (fields[i].kind == 'b')
        *(bool *)(void *)at = strtoull(text, &end, 10) != 0;
    else
        *(double *)(void *)at = strtod(text, &end);
    return *text && !*end && (!errno || fields[i].kind == 'f');
}

bool text_is_utf8(const char *text)
{
    json_t *string = json_string(text);
    json_decref(string);
    return string != NULL;
}

/* ---- names and fills, as JSON within a string -------------------------------------------------------- */

static char *dump(json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    return text;
}

static char *names_text(const gradc_model *model, const Encoding *c)
{
    json_t *all = json_object();
    for (int i = 0; i < c->port_count; i++) {
        if (!c->names[i].count)
            continue;
        json_t *list = json_array();
        for (int j = 0; j < c->names[i].count; j++)
            json_array_append_new(list, json_string(c->names[i].items[j]));
        json_object_set_new(all, model->inputs[i].name, list);
    }
    return dump(all);
}

static char *fills_text(const Encoding *c)
{
    json_t *all = json_object();
    for (int i = 0; i < c->fill_count; i++)
        json_object_set_new(all, c->fills[i].column, json_real(c->fills[i].value));
    return dump(all);
}

static bool read_names(const gradc_model *model, Encoding *c, const char *text)
{
    json_t *all = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    bool ok = json_is_object(all);
    for (int i = 0; ok && i < c->port_count; i++) {
        json_t *list = json_object_get(all, model->inputs[i].name), *item;
        size_t j;
        c->names[i].items = memory_get(json_array_size(list), sizeof(char *));
        json_array_foreach(list, j, item)
        {
            ok &= json_is_string(item);
            if (ok)
                c->names[i].items[c->names[i].count++] =
                    text_copy(json_string_value(item), json_string_length(item));
        }
    }
    json_decref(all);
    return ok;
}

static bool read_fills(Encoding *c, const char *text)
{
    json_t *all = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *value;
    const char *key;
    bool ok = json_is_object(all);
    c->fills = memory_get(json_object_size(all), sizeof *c->fills);
    json_object_foreach(all, key, value)
    {
        ok &= json_is_number(value);
        c->fills[c->fill_count++] = (Fill){text_copy(key, strlen(key)), json_number_value(value)};
    }
    json_decref(all);
    return ok;
}

/* ---- both ------------------------------------------------------------------------------------------------ */

static void put(Pair **p, const char *key, char *value)
{
    *(*p)++ = (Pair){text_copy(key, strlen(key)), value};
}

void metadata_write(const gradc_model *model, const Position *p, const Encoding *c, Pair **pairs,
                    int *count)
{
    *count = FIELD_COUNT + 4;
    *pairs = memory_get((size_t)*count, sizeof **pairs);
    Pair *at = *pairs;
    put(&at, "format", text_format("pt")); /* names and axes are PyTorch's */
    put(&at, "gradc.model", text_format("%s", model->name));
    for (int i = 0; i < FIELD_COUNT; i++)
        put(&at, fields[i].key, field_text(p, i));
    put(&at, "gradc.categories", names_text(model, c));
    put(&at, "gradc.fills", fills_text(c));
}

bool metadata_read(const Safetensors *s, const gradc_model *model, Position *p, Encoding *c,
                   Error *e)
{
    *p = (Position){.seed = model->train->seed};
    for (int i = 0; i < FIELD_COUNT; i++) {
        const char *text = safetensors_note(s, fields[i].key);
        if (text && !field_read(p, i, text))
            return error_set(e, "the checkpoint's %s is damaged: \"%s\"", fields[i].key, text);
    }
    const char *names = safetensors_note(s, "gradc.categories");
    const char *fills = safetensors_note(s, "gradc.fills");
    encoding_create(c, model->input_count);
    if ((!names || read_names(model, c, names)) && (!fills || read_fills(c, fills)))
        return true;
    encoding_destroy(c);
    return error_set(e, "the checkpoint's category names are damaged");
}
