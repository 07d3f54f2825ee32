/* A model in memory of its own, and the few facts about number types that everyone needs. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

void instance_create(Instance *in, const gradc_model *model, uint64_t seed, size_t threads)
{
    size_t size = model->bytes(threads);
    *in = (Instance){.model = model, .memory = memory_pages(size)};
    if (!in->memory) {
        fprintf(stderr, "%s: cannot get the %zu bytes the model needs: try fewer --threads\n",
                model->name, size);
        exit(1);
    }
    in->self = model->init(in->memory, seed);
    in->pool = threads > 1 ? pool_create(threads) : NULL;
    model->threads(in->self, in->pool ? pool_run : NULL, in->pool, threads);
}

void instance_destroy(Instance *in)
{
    pool_destroy(in->pool);
    free(in->memory);
    *in = (Instance){0};
}

void *tensor_data(const Instance *in, const gradc_tensor *t)
{
    return (char *)in->self + t->offset;
}

const gradc_tensor *average_of(const gradc_model *model, const gradc_tensor *t)
{
    for (int i = 0; i < model->tensor_count; i++)
        if (model->tensors[i].role == GRADC_AVERAGE && &model->tensors[model->tensors[i].of] == t)
            return &model->tensors[i];
    return NULL;
}

void copy_tensor(Instance *in, const gradc_tensor *to, const gradc_tensor *from)
{
    memcpy(tensor_data(in, to), tensor_data(in, from), (size_t)from->count * raw_size(from->type));
}

size_t raw_size(gradc_dtype type)
{
    static const size_t sizes[] = {1, 1, 2, 4, 4, 8};
    return sizes[type];
}

const char *raw_name(gradc_dtype type)
{
    static const char *const names[] = {"BOOL", "U8", "U16", "I32", "F32", "F64"};
    return names[type];
}

/* A number as it lies in memory. */
typedef union Number {
    uint8_t u8;
    uint16_t u16;
    int32_t i32;
    float f32;
    double f64;
} Number;

double number_get(gradc_dtype type, const void *at)
{
    Number v;
    memcpy(&v, at, raw_size(type));
    switch (type) {
    case GRADC_BOOL:
    case GRADC_U8:
        return v.u8;
    case GRADC_U16:
        return v.u16;
    case GRADC_I32:
        return v.i32;
    case GRADC_F32:
        return (double)v.f32;
    case GRADC_F64:
        return v.f64;
    }
    return 0;
}

void number_put(gradc_dtype type, void *at, double value)
{
    Number v;
    switch (type) {
    case GRADC_BOOL:
    case GRADC_U8:
        v.u8 = (uint8_t)value;
        break;
    case GRADC_U16:
        v.u16 = (uint16_t)value;
        break;
    case GRADC_I32:
        v.i32 = (int32_t)value;
        break;
    case GRADC_F32:
        v.f32 = (float)value;
        break;
    case GRADC_F64:
        v.f64 = value;
        break;
    }
    memcpy(at, &v, raw_size(type));
}

const char *shape_write(char *buffer, int rank, const int64_t *shape)
{
    size_t used = (size_t)snprintf(buffer, SHAPE_TEXT, "(");
    for (int i = 0; i < rank && used < SHAPE_TEXT; i++)
        used += (size_t)snprintf(buffer + used, SHAPE_TEXT - used, "%s%lld", i ? ", " : "",
                                 (long long)shape[i]);
    if (used < SHAPE_TEXT)
        snprintf(buffer + used, SHAPE_TEXT - used, ")");
    return buffer;
}
