/* Messages are collected, put in source order, and rendered: for people by snippet.c,
 * for programs as one JSON object a line. */
#include "support/diag.h"

#include <stdlib.h>
#include <string.h>

typedef struct Call {
    Span span;
    const char *callee;
} Call;

struct Diag {
    Arena *arena;
    const Sources *sources;
    VEC(Message *) messages;
    VEC(Call) calls;
    int errors;
};

Diag *diag_create(Arena *a, const Sources *sources)
{
    Diag *d = arena_new(a, Diag, 1);
    d->arena = a;
    d->sources = sources;
    return d;
}

static bool in_library(const Diag *d, Span at)
{
    const Source *src = source_get(d->sources, at.file);
    return src && src->library;
}

static void add_note(Diag *d, Span at, const char *text)
{
    if (d->messages.count == 0)
        return;
    Message *m = d->messages.data[d->messages.count - 1];
    Note note = {at, text};
    vec_push(d->arena, &m->notes, note);
}

/* The innermost call written outside the library: the place a user can change. */
static const Call *users_call(const Diag *d)
{
    for (int i = d->calls.count - 1; i >= 0; i--)
        if (d->calls.data[i].span.file >= 0 && !in_library(d, d->calls.data[i].span))
            return &d->calls.data[i];
    return NULL;
}

static void add_message(Diag *d, Severity severity, Span at, const char *text)
{
    Message *m = arena_new(d->arena, Message, 1);
    m->severity = severity;
    m->at = at;
    m->text = text;
    m->order = d->messages.count;
    vec_push(d->arena, &d->messages, m);

    const Call *call = in_library(d, at) ? users_call(d) : NULL;
    if (!call)
        return;
    m->at = call->span;
    const char *callee = d->calls.data[d->calls.count - 1].callee;
    add_note(d, at, arena_format(d->arena, "in `%s`, from the library", callee));
}

#define FORMAT_ARGS(text)                                                                          \
    va_list args;                                                                                  \
    va_start(args, format);                                                                        \
    const char *text = arena_vformat(d->arena, format, args);                                      \
    va_end(args)

void diag_error(Diag *d, Span at, const char *format, ...)
{
    FORMAT_ARGS(text);
    add_message(d, SEVERITY_ERROR, at, text);
    d->errors++;
}

void diag_warning(Diag *d, Span at, const char *format, ...)
{
    FORMAT_ARGS(text);
    add_message(d, SEVERITY_WARNING, at, text);
}

void diag_note(Diag *d, Span at, const char *format, ...)
{
    FORMAT_ARGS(text);
    add_note(d, at, text);
}

void diag_help(Diag *d, const char *format, ...)
{
    FORMAT_ARGS(text);
    if (d->messages.count == 0)
        return;
    Message *m = d->messages.data[d->messages.count - 1];
    vec_push(d->arena, &m->helps, text);
}

void diag_enter_call(Diag *d, Span call, const char *callee)
{
    Call c = {call, callee};
    vec_push(d->arena, &d->calls, c);
}

void diag_leave_call(Diag *d)
{
    if (d->calls.count == 0)
        bug("diag_leave_call without diag_enter_call");
    d->calls.count--;
}

int diag_error_count(const Diag *d)
{
    return d->errors;
}

/* ---- order ------------------------------------------------------------------------------------ */

static int compare_places(const Message *a, const Message *b)
{
    if (a->at.file != b->at.file)
        return a->at.file < b->at.file ? -1 : 1;
    if (a->at.begin != b->at.begin)
        return a->at.begin < b->at.begin ? -1 : 1;
    return 0;
}

static int compare_messages(const void *left, const void *right)
{
    const Message *a = *(Message *const *)left, *b = *(Message *const *)right;
    int order = compare_places(a, b);
    return order ? order : (a->order > b->order) - (a->order < b->order);
}

static bool same_message(const Message *a, const Message *b)
{
    return a->severity == b->severity && compare_places(a, b) == 0 && a->at.end == b->at.end &&
           strcmp(a->text, b->text) == 0;
}

/* One mistake can be met many times, say once for each use of a layer. */
static bool seen_before(const Diag *d, int i)
{
    const Message *m = d->messages.data[i];
    for (int j = i - 1; j >= 0 && compare_places(d->messages.data[j], m) == 0; j--)
        if (same_message(d->messages.data[j], m))
            return true;
    return false;
}

void diag_render(Diag *d, FILE *out, DiagFormat format, bool colour)
{
    if (d->messages.count)
        qsort(d->messages.data, (size_t)d->messages.count, sizeof *d->messages.data,
              compare_messages);
    Text t;
    text_init(&t, d->arena);
    for (int i = 0; i < d->messages.count; i++) {
        if (seen_before(d, i))
            continue;
        if (format == DIAG_JSON)
            message_as_json(&t, d->sources, d->messages.data[i]);
        else
            message_for_people(&t, d->sources, d->messages.data[i], colour);
    }
    fwrite(t.data, 1, t.length, out);
    d->messages.count = 0;
}
