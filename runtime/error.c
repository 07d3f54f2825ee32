/* Errors as text that travels up to whoever can show it.  A reader fails with a sentence that says
 * where and why; its caller may add a line on what to do. */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *memory_get(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size ? size : 1);
    if (!p) {
        fprintf(stderr, "out of memory: %zu × %zu bytes asked for\n", count, size);
        exit(1);
    }
    return p;
}

char *text_copy(const char *text, size_t length)
{
    char *copy = memory_get(length + 1, 1);
    memcpy(copy, text, length);
    return copy;
}

char *text_format(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = NULL;
    if (vasprintf(&text, format, args) < 0)
        text = text_copy("out of memory", 13);
    va_end(args);
    return text;
}

static void append(Error *e, const char *separator, const char *format, va_list args)
{
    char *more = NULL;
    if (vasprintf(&more, format, args) < 0)
        return;
    char *old = e->text;
    e->text = text_format("%s%s%s", old ? old : "", old ? separator : "", more);
    free(old);
    free(more);
}

bool error_set(Error *e, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_clear(e);
    append(e, "", format, args);
    va_end(args);
    return false;
}

bool error_add(Error *e, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    append(e, "\n", format, args);
    va_end(args);
    return false;
}

void error_clear(Error *e)
{
    free(e->text);
    e->text = NULL;
}
