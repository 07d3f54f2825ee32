/* A growing string: what every printer of the compiler writes into. */
#include "support/support.h"

#include <string.h>

void text_init(Text *t, Arena *a)
{
    *t = (Text){.arena = a, .data = (char *)""};
}

static void reserve(Text *t, size_t extra)
{
    size_t need = t->length + extra + 1;
    if (need <= t->capacity)
        return;
    size_t capacity = t->capacity ? t->capacity : 64;
    while (capacity < need)
        capacity *= 2;
    char *bigger = arena_alloc(t->arena, capacity);
    memcpy(bigger, t->data, t->length);
    t->data = bigger;
    t->capacity = capacity;
}

void text_append_n(Text *t, const char *s, size_t length)
{
    reserve(t, length);
    memcpy(t->data + t->length, s, length);
    t->length += length;
    t->data[t->length] = '\0';
}

void text_append(Text *t, const char *s)
{
    text_append_n(t, s, strlen(s));
}

void text_printf(Text *t, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    if (length < 0)
        bug("cannot format `%s`", format);
    reserve(t, (size_t)length);
    vsnprintf(t->data + t->length, (size_t)length + 1, format, again);
    t->length += (size_t)length;
    va_end(again);
    va_end(args);
}
