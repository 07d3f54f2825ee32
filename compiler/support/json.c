/* A message for programs: one JSON object on one line. */
#include "support/diag.h"

static void append_string(Text *t, const char *s, int length)
{
    text_append(t, "\"");
    for (int i = 0; i < length;) {
        Glyph g = glyph_at(s + i, length - i);
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\')
            text_printf(t, "\\%c", c);
        else if (c < 0x20)
            text_printf(t, "\\u%04x", c);
        else if (g.bytes == 1 && c >= 0x80)
            text_append(t, "\\ufffd");
        else
            text_append_n(t, s + i, (size_t)g.bytes);
        i += g.bytes;
    }
    text_append(t, "\"");
}

static int length_of(const char *s)
{
    int n = 0;
    while (s[n])
        n++;
    return n;
}

static void append_field(Text *t, const char *key, const char *value)
{
    text_printf(t, "\"%s\":", key);
    if (value)
        append_string(t, value, length_of(value));
    else
        text_append(t, "null");
}

static void append_place(Text *t, const Sources *sources, Span at)
{
    const Source *src = source_get(sources, at.file);
    append_field(t, "file", src ? src->path : NULL);
    if (!src) {
        text_append(t, ",\"line\":null,\"column\":null,\"end_line\":null,\"end_column\":null");
        return;
    }
    int line, column, end_line, end_column;
    source_position(src, at.begin, &line, &column);
    source_position(src, at.end, &end_line, &end_column);
    text_printf(t, ",\"line\":%d,\"column\":%d,\"end_line\":%d,\"end_column\":%d", line, column,
                end_line, end_column);
}

static void append_notes(Text *t, const Sources *sources, const Message *m)
{
    text_append(t, "\"notes\":[");
    for (int i = 0; i < m->notes.count; i++) {
        text_append(t, i ? ",{" : "{");
        append_place(t, sources, m->notes.data[i].at);
        text_append(t, ",");
        append_field(t, "message", m->notes.data[i].text);
        text_append(t, "}");
    }
    text_append(t, "]");
}

/* Several helps become several lines of one string. */
static void append_help(Text *t, const Message *m)
{
    Text all;
    text_init(&all, t->arena);
    for (int i = 0; i < m->helps.count; i++)
        text_printf(&all, "%s%s", i ? "\n" : "", m->helps.data[i]);
    append_field(t, "help", m->helps.count ? all.data : NULL);
}

void message_as_json(Text *out, const Sources *sources, const Message *m)
{
    text_append(out, "{");
    append_field(out, "severity", m->severity == SEVERITY_ERROR ? "error" : "warning");
    text_append(out, ",");
    append_place(out, sources, m->at);
    text_append(out, ",");
    append_field(out, "message", m->text);
    text_append(out, ",");
    append_notes(out, sources, m);
    text_append(out, ",");
    append_help(out, m);
    text_append(out, "}\n");
}
