/* Text as characters: UTF-8 code points, or bytes.  The vocabulary is the distinct characters in
 * the order of their numbers, which is the order of their bytes: what names of classes are sorted by. */
#include "data.h"

#include <stdlib.h>
#include <string.h>

#define POINTS 0x110000 /* code points there are */

/* The length of the character that begins with this byte; 0: none does. */
static size_t length_of(uint8_t first)
{
    return first < 0x80   ? 1
           : first < 0xc2 ? 0
           : first < 0xe0 ? 2
           : first < 0xf0 ? 3
           : first < 0xf5 ? 4
                          : 0;
}

/* Well-formed as Unicode says: no overlong form, no surrogate, nothing beyond the last point. */
static size_t utf8_read(const uint8_t *at, const uint8_t *end, uint32_t *point)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = length_of(*at);
    if (n == 0 || (size_t)(end - at) < n)
        return 0;
    uint32_t p = n == 1 ? *at : *at & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        p = p << 6 | (at[i] & 0x3f);
    }
    *point = p;
    return p < least[n] || p >= POINTS || (p >= 0xd800 && p < 0xe000) ? 0 : n;
}

void text_open(Text *t, const Bytes *b, const char *path, bool bytes)
{
    *t = (Text){b->data, b->data + b->size, b->data, path, bytes};
    if (!bytes && b->size >= 3 && memcmp(b->data, "\xef\xbb\xbf", 3) == 0)
        t->at = t->begin += 3; /* a byte order mark */
}

/* file:line:column of the character at t->at, both from 1. */
static char *place(const Text *t)
{
    size_t line = 1, column = 1;
    for (const uint8_t *p = t->begin; p < t->at; p++) {
        line += *p == '\n';
        column = *p == '\n' ? 1 : column + (t->bytes || (*p & 0xc0) != 0x80);
    }
    return text_format("%s:%zu:%zu", t->path, line, column);
}

static bool malformed(const Text *t, Error *e)
{
    char *where = place(t);
    if (*t->at == 0) {
        error_set(e, "%s: a zero byte: is this a text file?", where);
        error_add(e, "help: unit = byte reads any file, byte by byte");
    } else {
        error_set(e, "%s: the byte 0x%02x here is not UTF-8", where, *t->at);
        error_add(e, "help: convert the file, as with iconv -t UTF-8, or read bytes: unit = byte");
    }
    free(where);
    return false;
}

bool text_next(Text *t, uint32_t *point, Error *e)
{
    if (t->bytes) {
        *point = *t->at++;
        return true;
    }
    size_t n = *t->at ? utf8_read(t->at, t->end, point) : 0;
    t->at += n;
    return n || malformed(t, e);
}

static char *spelling(uint32_t p)
{
    char text[5] = {0};
    if (p < 0x80) {
        text[0] = (char)p;
    } else if (p < 0x800) {
        text[0] = (char)(0xc0 | p >> 6);
        text[1] = (char)(0x80 | (p & 0x3f));
    } else if (p < 0x10000) {
        text[0] = (char)(0xe0 | p >> 12);
        text[1] = (char)(0x80 | (p >> 6 & 0x3f));
        text[2] = (char)(0x80 | (p & 0x3f));
    } else {
        text[0] = (char)(0xf0 | p >> 18);
        text[1] = (char)(0x80 | (p >> 12 & 0x3f));
        text[2] = (char)(0x80 | (p >> 6 & 0x3f));
        text[3] = (char)(0x80 | (p & 0x3f));
    }
    return text_copy(text, strlen(text));
}

static bool collect(Names *names, const Text *text, bool lines, Error *e)
{
    uint8_t *seen = memory_get(POINTS, 1);
    Text t = *text;
    uint32_t p;
    bool ok = true;
    *names = (Names){0};
    while (ok && t.at < t.end)
        if ((ok = text_next(&t, &p, e)) && !(lines && (p == '\n' || p == '\r')) && !seen[p]) {
            seen[p] = 1;
            names->count++;
        }
    names->items = memory_get((size_t)names->count, sizeof *names->items);
    for (uint32_t i = 0, n = 0; ok && i < POINTS; i++)
        if (seen[i])
            names->items[n++] = spelling(i);
    if (!ok)
        names->count = 0;
    free(seen);
    return ok;
}

bool text_unit(const gradc_source *s, bool *bytes, Error *e)
{
    const char *unit = option_text(s, "unit", "character");
    *bytes = strcmp(unit, "byte") == 0;
    return *bytes || strcmp(unit, "character") == 0 ||
           error_set(e, "%s: unit is character or byte, not %s", s->kind, unit);
}

bool characters_learn(Names *names, const Request *r, int port, const Text *t, bool lines, Error *e)
{
    const Encoding *known = r->known;
    if (!known || known->port_count != r->port_count)
        return collect(names, t, lines, e);
    categories_copy(names, &known->names[port]);
    return names->count ||
           error_set(
               e, "%s: the checkpoint keeps no characters: it was not trained on text of this unit",
               t->path);
}

bool characters_fit(const Names *names, uint32_t first, const gradc_port *p, const char *path,
                    Error *e)
{
    long long count = (long long)(names ? names->count : 256) + first;
    const char *domain = p->domain == GRADC_CLASS ? "class" : "token";
    if (count <= p->classes)
        return true;
    error_set(e, "%s: there are %lld different %s%s, but %s is %s(%lld)", path, count - first,
              names ? "characters" : "bytes", first ? " and the end mark" : "", p->name, domain,
              (long long)p->classes);
    return error_add(e, "help: write %s : %s(%lld)", p->name, domain, count);
}

/* Names of one character each, all different: what characters_collect made. */
bool vocabulary_create(Vocabulary *v, const Names *names, uint32_t first)
{
    *v = (Vocabulary){memory_get(POINTS, sizeof *v->ids), first,
                      names ? (uint32_t)names->count : 256};
    for (uint32_t i = 0; !names && i < 256; i++)
        v->ids[i] = i + 1;
    for (int i = 0; names && i < names->count; i++) {
        const uint8_t *at = (const uint8_t *)names->items[i];
        size_t length = strlen(names->items[i]);
        uint32_t p;
        if (length == 0 || utf8_read(at, at + length, &p) != length) {
            vocabulary_destroy(v);
            return false;
        }
        v->ids[p] = (uint32_t)i + 1;
    }
    return true;
}

void vocabulary_destroy(Vocabulary *v)
{
    free(v->ids);
    *v = (Vocabulary){0};
}

bool vocabulary_next(const Vocabulary *v, Text *t, uint32_t *id, Error *e)
{
    const uint8_t *start = t->at;
    uint32_t point;
    if (!text_next(t, &point, e))
        return false;
    *id = v->ids[point] - 1 + v->first;
    if (v->ids[point])
        return true;
    Text back = *t;
    back.at = start;
    char *where = place(&back), *shown = spelling(point);
    error_set(e,
              "%s: the character \"%s\" (U+%04X) is none of the %u that the model was trained on",
              where, point < 0x20 ? "" : shown, point, v->count);
    error_add(e, "help: take it out of the text, or train on a text that has it");
    free(where);
    free(shown);
    return false;
}
