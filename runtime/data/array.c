/* Arrays of any number type onto a port.  What already lies as the model wants it is used in
 * place (mapped); anything else is converted, exactly or not at all. */
#include "data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool element_parse(Element *out, const char *name)
{
    static const struct {
        const char *name;
        Element element;
    } known[] = {
        {"bool", {'b', 1, false}}, {"u8", {'u', 1, false}},   {"i8", {'i', 1, false}},
        {"u16", {'u', 2, false}},  {"i16", {'i', 2, false}},  {"u32", {'u', 4, false}},
        {"i32", {'i', 4, false}},  {"u64", {'u', 8, false}},  {"i64", {'i', 8, false}},
        {"f16", {'f', 2, false}},  {"bf16", {'B', 2, false}}, {"f32", {'f', 4, false}},
        {"f64", {'f', 8, false}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, name) == 0) {
            *out = known[i].element;
            return true;
        }
    return false;
}

static bool is_native(Element t, gradc_dtype type)
{
    static const Element native[] = {
        [GRADC_BOOL] = {'b', 1, false}, [GRADC_U8] = {'u', 1, false},
        [GRADC_U16] = {'u', 2, false},  [GRADC_I32] = {'i', 4, false},
        [GRADC_F32] = {'f', 4, false},  [GRADC_F64] = {'f', 8, false},
    };
    return t.kind == native[type].kind && t.size == native[type].size && (!t.big || t.size == 1);
}

static uint64_t load(const uint8_t *p, Element t)
{
    uint64_t bits = 0;
    for (int i = 0; i < t.size; i++)
        bits |= (uint64_t)p[t.big ? t.size - 1 - i : i] << (8 * i);
    return bits;
}

/* IEEE 754 binary16: 5 bits of exponent, 10 of fraction. */
static double load_half(uint32_t bits)
{
    const int exponent = bits >> 10 & 31;
    const double fraction = bits & 1023, sign = bits >> 15 ? -1 : 1;
    if (exponent == 31)
        return fraction != 0 ? NAN : sign * INFINITY;
    return sign * (exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24));
}

static double load_float(uint64_t bits, Element t)
{
    if (t.size == 8) {
        double d;
        memcpy(&d, &bits, 8);
        return d;
    }
    if (t.size == 2 && t.kind == 'f')
        return load_half((uint32_t)bits);
    uint32_t word = (uint32_t)bits << (t.size == 2 ? 16 : 0); /* bfloat16 is a float's upper half */
    float f;
    memcpy(&f, &word, 4);
    return (double)f;
}

static bool is_real(Element t)
{
    return t.kind == 'f' || t.kind == 'B';
}

/* False when no double holds the value exactly. */
static bool element_value(const uint8_t *p, Element t, double *value)
{
    uint64_t bits = load(p, t);
    if (is_real(t)) {
        *value = load_float(bits, t);
        return true;
    }
    if (t.kind != 'i') {
        *value = (double)bits;
        return bits <= 1ull << 53;
    }
    int shift = 64 - 8 * t.size;
    int64_t v = (int64_t)(bits << shift) >> shift;
    *value = (double)v;
    return v <= (int64_t)1 << 53 && v >= -((int64_t)1 << 53);
}

bool array_size(const Array *a, uint64_t *bytes)
{
    *bytes = a->element.size;
    for (int i = 0; i < a->rank; i++)
        if (__builtin_mul_overflow(*bytes, a->dims[i], bytes) || *bytes > SIZE_MAX / 16)
            return false;
    return true;
}

static void dims_text(const Array *a, char *out, size_t size)
{
    size_t used = (size_t)snprintf(out, size, "(");
    for (int i = 1; i < a->rank && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%llu", i > 1 ? ", " : "",
                                 (unsigned long long)a->dims[i]);
    if (used < size)
        snprintf(out + used, size - used, ")");
}

/* Extents of one say nothing about the order of elements, so (28, 28, 1) fits (28, 28). */
static bool shapes_fit(const Array *a, const gradc_port *p)
{
    int i = 1, j = 0;
    for (;;) {
        while (i < a->rank && a->dims[i] == 1)
            i++;
        while (j < p->rank && p->shape[j] == 1)
            j++;
        if (i == a->rank || j == p->rank)
            return i == a->rank && j == p->rank;
        if (a->dims[i++] != (uint64_t)p->shape[j++])
            return false;
    }
}

static bool check_shape(const Array *a, const gradc_port *p, const char *path, Error *e)
{
    char mine[SHAPE_TEXT], theirs[SHAPE_TEXT];
    if (a->rank > 0 && shapes_fit(a, p))
        return true;
    dims_text(a, theirs, sizeof theirs);
    if (a->rank == 0)
        return error_set(e, "%s: holds a single number, not one example after another", path);
    error_set(e, "%s: each of the %llu examples has shape %s, but %s has shape %s", path,
              (unsigned long long)a->dims[0], theirs, p->name,
              shape_write(mine, p->rank, p->shape));
    return error_add(e, "give %s the file's shape in the model, and reshape it there", p->name);
}

static bool value_error(Error *e, const char *path, size_t row, uint64_t element,
                        const gradc_port *p, const char *why)
{
    if (p->count > 1)
        return error_set(e, "%s: example %zu, element %llu (both from 0): %s", path, row,
                         (unsigned long long)element, why);
    return error_set(e, "%s: example %zu (from 0): %s", path, row, why);
}

static bool check_rows(const Field *f, size_t count, const gradc_port *p, const char *path,
                       Error *e)
{
    if (p->domain == GRADC_NUMBER &&
        (p->type == GRADC_U8 || p->type == GRADC_U16 || p->type == GRADC_I32))
        return true; /* every bit pattern is a value */
    char reason[REASON_TEXT];
    size_t size = raw_size(p->type);
    for (size_t row = 0; row < count; row++)
        for (uint64_t i = 0; i < p->count; i++) {
            const uint8_t *at = f->data + row * f->stride + i * size;
            const char *why = p->type == GRADC_BOOL && *at > 1 ? "a bool is neither 0 nor 1"
                                                               : port_check(p, at, reason);
            if (why)
                return value_error(e, path, row, i, p, why);
        }
    return true;
}

/* Where element i of an example lies, counted in elements of the file. */
static uint64_t place(const Array *a, size_t row, uint64_t i)
{
    if (!a->fortran)
        return i;
    uint64_t at = 0, inner[ARRAY_RANK];
    for (int d = a->rank - 1; d > 0; d--) {
        inner[d] = i % a->dims[d];
        i /= a->dims[d];
    }
    for (int d = a->rank - 1; d > 0; d--)
        at = at * a->dims[d] + inner[d];
    return at * a->dims[0] + row;
}

static bool convert_rows(Field *f, const Array *a, const gradc_port *p, const char *path, Error *e)
{
    char reason[REASON_TEXT];
    size_t count = (size_t)a->dims[0], size = raw_size(p->type);
    uint8_t *out = field_own(f, count, p);
    for (size_t row = 0; row < count; row++) {
        const uint8_t *from = a->fortran ? a->data : a->data + row * a->stride;
        for (uint64_t i = 0; i < p->count; i++, out += size) {
            double v;
            const uint8_t *at = from + place(a, row, i) * a->element.size;
            const char *why = element_value(at, a->element, &v)
                                  ? port_put(p, v, out, reason)
                                  : "the whole number is too large to be held exactly";
            if (!why && !is_real(a->element) && number_get(p->type, out) != v)
                why = "the whole number is too large for an exact f32";
            if (why)
                return value_error(e, path, row, i, p, why);
        }
    }
    return true;
}

bool array_bind(Dataset *d, const Request *r, int port, const Array *given, const char *path,
                Error *e)
{
    const gradc_port *p = &r->ports[port];
    Field *f = &d->fields[port];
    Array a = *given;
    if (!check_shape(&a, p, path, e) || !dataset_agree(d, (size_t)a.dims[0], path, e))
        return false;
    if (a.rank == 1)
        a.fortran = false;
    if (!a.stride)
        a.stride = (size_t)p->count * a.element.size;
    if (a.fortran || !is_native(a.element, p->type))
        return convert_rows(f, &a, p, path, e);
    f->data = a.data;
    f->stride = a.stride;
    return check_rows(f, (size_t)a.dims[0], p, path, e);
}
