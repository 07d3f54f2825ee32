/* A message for people: the sentence, the source line with its number, the place underlined.
 *
 *   digits.nn:7:12: error: index i runs over 10 here
 *       7 |   logits = x |> dense(10)
 *         |                 ^~~~~~~~~
 */
#include "support/diag.h"

#include <string.h>

enum { TAB_STOP = 4, MAX_CELLS = 160 };

typedef struct Paint {
    const char *reset, *bold, *error, *warning, *note, *help, *caret, *gutter;
} Paint;

static const Paint plain = {"", "", "", "", "", "", "", ""};
static const Paint coloured = {"\033[0m",    "\033[1m",    "\033[1;31m", "\033[1;35m",
                               "\033[1;36m", "\033[1;34m", "\033[1;32m", "\033[2m"};

/* The first line of a span: bytes [begin, end) of the line, of which [from, to) is meant. */
typedef struct Excerpt {
    const Source *src;
    int number, begin, end, from, to;
} Excerpt;

static Excerpt excerpt_of(const Source *src, Span at)
{
    int column;
    Excerpt x = {.src = src};
    x.from = at.begin < 0 ? 0 : at.begin > src->length ? src->length : at.begin;
    source_position(src, x.from, &x.number, &column);
    x.begin = src->line_starts[x.number - 1];
    x.end = x.number < src->line_count ? src->line_starts[x.number] - 1 : src->length;
    if (x.end > x.begin && src->text[x.end - 1] == '\r')
        x.end--;
    x.to = at.end < x.end ? at.end : x.end;
    return x;
}

/* How far character g moves the cursor when it stands at `cell`. */
static int advance(const char *s, Glyph g, int cell)
{
    return *s == '\t' ? TAB_STOP - cell % TAB_STOP : g.cells;
}

static int cell_of(const Excerpt *x, int offset)
{
    int cell = 0;
    for (int i = x->begin; i < offset && i < x->end;) {
        const char *s = x->src->text + i;
        Glyph g = glyph_at(s, x->end - i);
        cell += advance(s, g, cell);
        i += g.bytes;
    }
    return cell;
}

static void append_repeated(Text *t, const char *s, int count)
{
    while (count-- > 0)
        text_append(t, s);
}

/* The cells [first, first + MAX_CELLS) of the line, tabs as spaces, nothing a terminal obeys. */
static void append_line(Text *t, const Excerpt *x, int first)
{
    int cell = 0;
    for (int i = x->begin; i < x->end && cell < first + MAX_CELLS;) {
        const char *s = x->src->text + i;
        Glyph g = glyph_at(s, x->end - i);
        int step = advance(s, g, cell);
        if (cell >= first && *s == '\t')
            append_repeated(t, " ", step);
        else if (cell >= first && g.printable)
            text_append_n(t, s, (size_t)g.bytes);
        else if (cell >= first)
            text_append(t, "\xEF\xBF\xBD");
        cell += step;
        i += g.bytes;
    }
}

static void append_gutter(Text *t, const Paint *p, int number)
{
    if (number)
        text_printf(t, "%s%5d |%s ", p->gutter, number, p->reset);
    else
        text_printf(t, "%s      |%s ", p->gutter, p->reset);
}

/* Lines end where their text ends: no blanks trail. */
static void end_line(Text *t)
{
    while (t->length && t->data[t->length - 1] == ' ')
        t->length--;
    text_append(t, "\n");
}

static void append_snippet(Text *t, const Paint *p, const Source *src, Span at)
{
    Excerpt x = excerpt_of(src, at);
    int from = cell_of(&x, x.from), to = cell_of(&x, x.to);
    int first = from > MAX_CELLS - 20 ? from - MAX_CELLS / 2 : 0;
    if (to > first + MAX_CELLS)
        to = first + MAX_CELLS;
    append_gutter(t, p, x.number);
    append_line(t, &x, first);
    end_line(t);
    append_gutter(t, p, 0);
    append_repeated(t, " ", from - first);
    text_append(t, p->caret);
    text_append(t, "^");
    append_repeated(t, "~", to - from - 1);
    text_append(t, p->reset);
    end_line(t);
}

static void append_heading(Text *t, const Paint *p, const Source *src, Span at, const char *colour,
                           const char *severity, const char *sentence)
{
    int line, column;
    text_append(t, p->bold);
    if (src) {
        source_position(src, at.begin, &line, &column);
        text_printf(t, "%s:%d:%d: ", src->path, line, column);
    } else {
        text_append(t, "gradc: ");
    }
    text_printf(t, "%s%s%s: %s", p->reset, colour, severity, p->reset);
    text_printf(t, "%s%s%s\n", p->bold, sentence, p->reset);
}

static void append_note(Text *t, const Paint *p, const Sources *sources, const Note *n)
{
    const Source *src = source_get(sources, n->at.file);
    if (!src) {
        text_printf(t, "%snote:%s %s\n", p->note, p->reset, n->text);
        return;
    }
    append_heading(t, p, src, n->at, p->note, "note", n->text);
    append_snippet(t, p, src, n->at);
}

void message_for_people(Text *out, const Sources *sources, const Message *m, bool colour)
{
    const Paint *p = colour ? &coloured : &plain;
    const Source *src = source_get(sources, m->at.file);
    bool error = m->severity == SEVERITY_ERROR;
    append_heading(out, p, src, m->at, error ? p->error : p->warning, error ? "error" : "warning",
                   m->text);
    if (src)
        append_snippet(out, p, src, m->at);
    for (int i = 0; i < m->notes.count; i++)
        append_note(out, p, sources, &m->notes.data[i]);
    for (int i = 0; i < m->helps.count; i++)
        text_printf(out, "%shelp:%s %s\n", p->help, p->reset, m->helps.data[i]);
}
