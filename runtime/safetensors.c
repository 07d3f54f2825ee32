/* The safetensors format: a header's length (8 bytes, little-endian), a JSON header, the data.
 * Nothing in a header is believed before it is checked: files come from anywhere. */
#include "internal.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_LIMIT 100000000u /* as the reference implementation has it */

static const struct {
    const char *name;
    unsigned size;
} types[] = {{"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"U16", 2}, {"I16", 2}, {"F16", 2}, {"BF16", 2},
             {"U32", 4},  {"I32", 4}, {"F32", 4}, {"U64", 8}, {"I64", 8}, {"F64", 8}};

static unsigned type_size(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name) == 0)
            return types[i].size;
    return 0;
}

static bool read_shape(TensorEntry *t, json_t *shape, uint64_t *bytes)
{
    size_t rank = json_array_size(shape);
    if (!json_is_array(shape) || rank > 64)
        return false;
    t->rank = (int)rank;
    t->shape = memory_get(rank, sizeof *t->shape);
    for (size_t i = 0; i < rank; i++) {
        json_t *extent = json_array_get(shape, i);
        if (!json_is_integer(extent) || json_integer_value(extent) < 0)
            return false;
        t->shape[i] = json_integer_value(extent);
        if (__builtin_mul_overflow(*bytes, (uint64_t)t->shape[i], bytes))
            return false;
    }
    return true;
}

static bool read_range(TensorEntry *t, json_t *range)
{
    json_t *begin = json_array_get(range, 0), *end = json_array_get(range, 1);
    if (json_array_size(range) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin))
        return false;
    t->begin = (uint64_t)json_integer_value(begin);
    t->end = (uint64_t)json_integer_value(end);
    return true;
}

static bool read_entry(TensorEntry *t, const char *name, json_t *value, const char *path, Error *e)
{
    t->name = text_copy(name, strlen(name));
    const char *type = json_string_value(json_object_get(value, "dtype"));
    uint64_t bytes = type ? type_size(type) : 0;
    if (!bytes)
        return error_set(e, "%s: %s has no known type", path, name);
    strcpy(t->type, type);
    if (!read_shape(t, json_object_get(value, "shape"), &bytes))
        return error_set(e, "%s: the shape of %s is damaged", path, name);
    if (!read_range(t, json_object_get(value, "data_offsets")) || t->end - t->begin != bytes)
        return error_set(e, "%s: the place of %s does not agree with its shape", path, name);
    return true;
}

static bool read_metadata(Safetensors *s, json_t *object, const char *path, Error *e)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object))
        return error_set(e, "%s: the metadata are no object", path);
    s->metadata = memory_get(json_object_size(object), sizeof *s->metadata);
    json_object_foreach(object, key, value)
    {
        if (!json_is_string(value))
            return error_set(e, "%s: the metadata of %s are no text", path, key);
        Pair *p = &s->metadata[s->pair_count++];
        p->key = text_copy(key, strlen(key));
        p->value = text_copy(json_string_value(value), json_string_length(value));
    }
    return true;
}

static bool read_entries(Safetensors *s, json_t *header, const char *path, Error *e)
{
    const char *key;
    json_t *value;
    s->entries = memory_get(json_object_size(header), sizeof *s->entries);
    json_object_foreach(header, key, value)
    {
        bool ok = strcmp(key, "__metadata__") == 0
                      ? read_metadata(s, value, path, e)
                      : read_entry(&s->entries[s->entry_count++], key, value, path, e);
        if (!ok)
            return false;
    }
    return true;
}

static int compare_places(const void *a, const void *b)
{
    const TensorEntry *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* The tensors cover the data without hole or overlap. */
static bool check_places(Safetensors *s, uint64_t size, const char *path, Error *e)
{
    uint64_t at = 0;
    qsort(s->entries, (size_t)s->entry_count, sizeof *s->entries, compare_places);
    for (int i = 0; i < s->entry_count; i++) {
        const TensorEntry *t = &s->entries[i];
        if (t->end > size)
            return error_set(e, "%s: %s lies outside the file: is it complete?", path, t->name);
        if (t->begin != at)
            return error_set(e, "%s: %s %s", path, t->name,
                             t->begin < at ? "overlaps another tensor" : "follows a gap");
        at = t->end;
    }
    return at == size || error_set(e, "%s: %llu bytes follow the last tensor", path,
                                   (unsigned long long)(size - at));
}

bool safetensors_parse(Safetensors *s, const uint8_t *bytes, size_t size, const char *path,
                       Error *e)
{
    *s = (Safetensors){0};
    uint64_t length = 0;
    for (int i = 7; i >= 0 && size >= 8; i--)
        length = length << 8 | bytes[i];
    if (size < 8 || length > size - 8 || length > HEADER_LIMIT)
        return error_set(e, "%s: is no safetensors file, or not a complete one", path);
    json_error_t why;
    json_t *header =
        json_loadb((const char *)bytes + 8, (size_t)length, JSON_REJECT_DUPLICATES, &why);
    if (!header)
        return error_set(e, "%s: the header is damaged: %s", path, why.text);
    s->data = bytes + 8 + length;
    bool ok = json_is_object(header) || error_set(e, "%s: the header is no object", path);
    ok = ok && read_entries(s, header, path, e) && check_places(s, size - 8 - length, path, e);
    json_decref(header);
    if (!ok)
        safetensors_close(s);
    return ok;
}

bool safetensors_open(Safetensors *s, const char *path, Error *e)
{
    Bytes file;
    *s = (Safetensors){0};
    if (!file_open(&file, path, e))
        return false;
    bool ok = safetensors_parse(s, file.data, file.size, path, e);
    if (ok)
        s->file = file;
    else
        file_close(&file);
    return ok;
}

void safetensors_close(Safetensors *s)
{
    for (int i = 0; i < s->entry_count; i++) {
        free(s->entries[i].name);
        free(s->entries[i].shape);
    }
    free(s->entries);
    pairs_free(s->metadata, s->pair_count);
    file_close(&s->file);
    *s = (Safetensors){0};
}

const char *safetensors_note(const Safetensors *s, const char *key)
{
    for (int i = 0; i < s->pair_count; i++)
        if (strcmp(s->metadata[i].key, key) == 0)
            return s->metadata[i].value;
    return NULL;
}

const TensorEntry *safetensors_find(const Safetensors *s, const char *name)
{
    for (int i = 0; i < s->entry_count; i++)
        if (strcmp(s->entries[i].name, name) == 0)
            return &s->entries[i];
    return NULL;
}

/* ---- numbers of other types ------------------------------------------------------------------------ */

static double half_value(uint16_t bits)
{
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    const double size = exponent == 31  ? (fraction ? NAN : INFINITY)
                        : exponent == 0 ? ldexp(fraction, -24)
                                        : ldexp(fraction + 1024, exponent - 25);
    return bits >> 15 ? -size : size;
}

static double brain_value(uint16_t bits)
{
    const uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return (double)value;
}

static double real_value(const char *type, const uint8_t *at)
{
    uint16_t bits;
    memcpy(&bits, at, sizeof bits);
    if (strcmp(type, "F16") == 0)
        return half_value(bits);
    if (strcmp(type, "BF16") == 0)
        return brain_value(bits);
    return number_get(strcmp(type, "F64") == 0 ? GRADC_F64 : GRADC_F32, at);
}

bool safetensors_converts(const char *type, gradc_dtype to)
{
    const bool real = type[0] == 'F' || strcmp(type, "BF16") == 0;
    return strcmp(type, raw_name(to)) == 0 || (real && (to == GRADC_F32 || to == GRADC_F64));
}

void safetensors_copy(const Safetensors *s, const TensorEntry *t, gradc_dtype to, void *out)
{
    const uint8_t *from = s->data + t->begin;
    const size_t size = (size_t)(t->end - t->begin), each = type_size(t->type);
    if (strcmp(t->type, raw_name(to)) == 0) {
        memcpy(out, from, size);
        return;
    }
    for (size_t i = 0; i < size / each; i++)
        number_put(to, (uint8_t *)out + i * raw_size(to), real_value(t->type, from + i * each));
}

/* ---- writing --------------------------------------------------------------------------------------- */

static json_t *entry_object(const TensorEntry *t)
{
    json_t *shape = json_array();
    for (int i = 0; i < t->rank; i++)
        json_array_append_new(shape, json_integer(t->shape[i]));
    json_t *range = json_array();
    json_array_append_new(range, json_integer((json_int_t)t->begin));
    json_array_append_new(range, json_integer((json_int_t)t->end));
    json_t *object = json_object();
    json_object_set_new(object, "dtype", json_string(t->type));
    json_object_set_new(object, "shape", shape);
    json_object_set_new(object, "data_offsets", range);
    return object;
}

char *safetensors_header(const TensorEntry *entries, int entry_count, const Pair *metadata,
                         int pair_count, size_t *size)
{
    json_t *root = json_object(), *notes = json_object();
    for (int i = 0; i < pair_count; i++)
        json_object_set_new(notes, metadata[i].key, json_string(metadata[i].value));
    json_object_set_new(root, "__metadata__", notes);
    for (int i = 0; i < entry_count; i++)
        json_object_set_new(root, entries[i].name, entry_object(&entries[i]));
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    size_t length = text ? strlen(text) : 0, padded = (length + 7) / 8 * 8;
    char *header = memory_get(8 + padded, 1);
    for (int i = 0; i < 8; i++)
        header[i] = (char)(padded >> (8 * i));
    memset(header + 8, ' ', padded);
    if (text)
        memcpy(header + 8, text, length);
    free(text);
    *size = 8 + padded;
    return header;
}
