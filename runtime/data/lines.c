/* One example a line: lines("names.txt", start = yes, end = yes, unit = byte).  Token 0 is the mark
 * before a line and after it, and the padding; the characters are 1, 2, ….
 *
 * With a target of one token every position of a line is an example, the context padded with marks
 * on its left.  Otherwise a line is one example, padded on its right, and its length may be an input. */
#include "data.h"

#include <stdlib.h>
#include <string.h>

typedef struct Lines {
    Dataset *set;
    const Request *request;
    Text text;
    int input, length, target; /* ports; -1: none */
    bool next;                 /* the target is one token */
    bool shifted;              /* the target is the window one token later */
    bool start, end, cuts;
    size_t window;
    size_t count, tokens; /* lines, and characters in them */
    Error *error;
} Lines;

/* ---- ports and options ----------------------------------------------------------------------------------- */

static bool unexpected(const Lines *l, int port)
{
    const gradc_port *p = &l->request->ports[port];
    error_set(l->error, "lines: nothing of a line becomes the %s %s",
              p->is_target ? "target" : "input", p->name);
    return error_add(l->error,
                     "help: it fills an input x[16] : token(28), an input n : i32 with the "
                     "length, and a target y : token(28) or y[16] : token(28) with what "
                     "follows");
}

static bool place_port(Lines *l, int port)
{
    const gradc_port *p = &l->request->ports[port];
    int *place = p->is_target                         ? &l->target
                 : p->rank == 1 && port_is_tokens(p)  ? &l->input
                 : p->rank == 0 && !port_is_tokens(p) ? &l->length
                                                      : NULL;
    if (!place || *place >= 0)
        return unexpected(l, port);
    *place = port;
    return true;
}

static bool place_ports(Lines *l)
{
    const Request *r = l->request;
    l->input = l->length = l->target = -1;
    for (int i = 0; i < r->port_count; i++)
        if (!place_port(l, i))
            return false;
    if (l->input < 0)
        return error_set(l->error, "lines: the model has no input of tokens\nhelp: declare one, as "
                                   "x[16] : token(28), for 16 of at most 27 different characters");
    l->window = (size_t)r->ports[l->input].shape[0];
    if (l->target < 0)
        return true;
    const gradc_port *y = &r->ports[l->target];
    l->next = y->rank == 0 && port_is_tokens(y);
    l->shifted = y->rank == 1 && port_is_tokens(y) && (size_t)y->shape[0] == l->window;
    if (!l->next && !l->shifted)
        return unexpected(l, l->target);
    if (l->next && l->length >= 0)
        return unexpected(l, l->length);
    return true;
}

static bool read_truth(const Lines *l, const char *key, bool *value)
{
    const char *text = option_text(l->request->source, key, *value ? "yes" : "no");
    *value = strcmp(text, "yes") == 0;
    return *value || strcmp(text, "no") == 0 ||
           error_set(l->error, "lines: %s is yes or no, not %s", key, text);
}

static bool read_options(Lines *l)
{
    const char *too_long = option_text(l->request->source, "long", "error");
    l->start = l->end = l->target >= 0; /* a language model has to learn both */
    l->cuts = strcmp(too_long, "cut") == 0;
    if (!l->cuts && strcmp(too_long, "error") != 0)
        return error_set(l->error, "lines: long is error or cut, not %s", too_long);
    return read_truth(l, "start", &l->start) && read_truth(l, "end", &l->end) &&
           text_unit(l->request->source, &l->text.bytes, l->error);
}

/* ---- lines and their lengths --------------------------------------------------------------------------------- */

/* The next line without its end; `rest` goes on behind it. */
static Text next_line(Text *rest)
{
    Text line = *rest;
    const uint8_t *end = memchr(rest->at, '\n', (size_t)(rest->end - rest->at));
    rest->at = end ? end + 1 : rest->end;
    line.end = end ? end : rest->end;
    if (line.end > line.at && line.end[-1] == '\r')
        line.end--;
    return line;
}

static size_t character_count(const Text *line)
{
    size_t n = 0;
    for (const uint8_t *p = line->at; p < line->end; p++)
        n += line->bytes || (*p & 0xc0) != 0x80;
    return n;
}

/* Tokens of a line with its marks that the input and a target one later have room for. */
static size_t room(const Lines *l)
{
    return l->window + l->shifted;
}

static bool too_long(const Lines *l, size_t characters)
{
    const gradc_port *x = &l->request->ports[l->input];
    const size_t whole = l->start + characters + l->end - l->shifted;
    error_set(l->error, "%s:%zu: %s takes %zu tokens, but this line of %zu characters makes %zu",
              l->text.path, l->count, x->name, l->window, characters, whole);
    return error_add(l->error, "help: make %s longer, or cut such lines: long = cut", x->name);
}

static bool count_lines(Lines *l)
{
    for (Text rest = l->text; rest.at < rest.end;) {
        const Text line = next_line(&rest);
        const size_t n = character_count(&line);
        l->count++;
        l->tokens += n;
        if (!l->next && !l->cuts && l->start + n + l->end > room(l))
            return too_long(l, n);
    }
    return l->count || error_set(l->error, "%s: holds no lines", l->text.path);
}

/* ---- one example a line ---------------------------------------------------------------------------------------- */

static bool put_line(const Lines *l, const Vocabulary *v, Text *line, gradc_dtype type,
                     uint8_t *out, size_t most)
{
    const size_t size = raw_size(type);
    for (uint32_t id; line->at < line->end && most--; out += size) {
        if (!vocabulary_next(v, line, &id, l->error))
            return false;
        number_put(type, out, id);
    }
    return true;
}

/* Lines of room() tokens each: what input and target are cut from. */
static bool encode_rows(const Lines *l, const Vocabulary *v, gradc_dtype type, uint8_t *out)
{
    const size_t size = raw_size(type);
    for (Text rest = l->text; rest.at < rest.end; out += room(l) * size) {
        Text line = next_line(&rest);
        if (!put_line(l, v, &line, type, out + l->start * size, room(l) - l->start))
            return false;
    }
    return true;
}

/* Inputs and targets in the input's own steps: a line's tokens that have a successor, or all. */
static bool fill_lengths(const Lines *l)
{
    const gradc_port *p = &l->request->ports[l->length];
    uint8_t *out = field_own(&l->set->fields[l->length], l->count, p);
    char reason[REASON_TEXT];
    for (Text rest = l->text; rest.at < rest.end; out += raw_size(p->type)) {
        const Text line = next_line(&rest);
        size_t n = l->start + character_count(&line) + l->end;
        n = n < room(l) ? n : room(l);
        const char *why = port_put(p, (double)(n - (l->shifted && n)), out, reason);
        if (why)
            return error_set(l->error, "%s: a line's length: %s", l->text.path, why);
    }
    return true;
}

/* ---- one example a position -------------------------------------------------------------------------------------- */

/* Each line as `window` marks, its characters, a mark. */
static bool encode_contexts(const Lines *l, const Vocabulary *v, gradc_dtype type, uint8_t *out)
{
    const size_t size = raw_size(type);
    for (Text rest = l->text; rest.at < rest.end;) {
        Text line = next_line(&rest);
        const size_t n = character_count(&line);
        if (!put_line(l, v, &line, type, out + l->window * size, n))
            return false;
        out += (l->window + n + 1) * size;
    }
    return true;
}

static size_t positions(const Lines *l, size_t characters)
{
    const size_t all = l->start + characters + l->end;
    return all ? all - 1 : 0;
}

/* Where the contexts begin, and which belong to one line. */
static bool place_contexts(Lines *l)
{
    const size_t most = l->tokens + l->count;
    if (most + l->count * l->window > UINT32_MAX)
        return error_set(l->error, "%s: is too long for examples of one token each", l->text.path);
    uint32_t *places = memory_get(most, sizeof *places), rows = 0, at = 0;
    l->set->groups = memory_get(l->count, sizeof *l->set->groups);
    for (Text rest = l->text; rest.at < rest.end;) {
        const Text line = next_line(&rest);
        const size_t n = character_count(&line);
        if (positions(l, n))
            l->set->groups[l->set->group_count++] = rows;
        for (size_t i = 0; i < positions(l, n); i++)
            places[rows++] = at + !l->start + (uint32_t)i;
        at += (uint32_t)(l->window + n + 1);
    }
    dataset_keep(l->set, (Bytes){(const uint8_t *)places, rows, BYTES_OWNED});
    l->set->fields[l->input].places = places;
    if (l->target >= 0)
        l->set->fields[l->target].places = places;
    return dataset_agree(l->set, rows, l->text.path, l->error);
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

/* A target of the input's type is the same memory, seen later. */
static bool fill(const Lines *l, const Vocabulary *v, int port, size_t offset)
{
    Field *fields = l->set->fields;
    const gradc_port *ports = l->request->ports;
    const size_t size = raw_size(ports[port].type);
    const size_t total = l->next ? l->tokens + l->count * (l->window + 1) : l->count * room(l);
    if (port == l->input || ports[port].type != ports[l->input].type) {
        fields[port].owned = memory_get(total, size);
        if (!(l->next ? encode_contexts : encode_rows)(l, v, ports[port].type, fields[port].owned))
            return false;
    }
    const uint8_t *ids = fields[port].owned ? fields[port].owned : fields[l->input].owned;
    fields[port].data = ids + offset * size;
    fields[port].stride = l->next ? size : room(l) * size;
    return true;
}

static bool fill_all(Lines *l, const Vocabulary *v)
{
    if (!fill(l, v, l->input, 0) ||
        (l->target >= 0 && !fill(l, v, l->target, l->next ? l->window : 1)))
        return false;
    if (l->next)
        return place_contexts(l);
    return (l->length < 0 || fill_lengths(l)) &&
           dataset_agree(l->set, l->count, l->text.path, l->error);
}

static bool read_lines(Lines *l)
{
    const Request *r = l->request;
    Names *names = l->text.bytes ? NULL : &l->set->encoding.names[l->input];
    Vocabulary v;
    if (names && !characters_learn(names, r, l->input, &l->text, true, l->error))
        return false;
    if (!characters_fit(names, 1, &r->ports[l->input], l->text.path, l->error) ||
        (l->target >= 0 && !characters_fit(names, 1, &r->ports[l->target], l->text.path, l->error)))
        return false;
    if (names && l->target >= 0)
        categories_copy(&l->set->encoding.names[l->target], names);
    if (!vocabulary_create(&v, names, 1))
        return error_set(l->error, "%s: the checkpoint's names are no characters", l->text.path);
    bool ok = fill_all(l, &v);
    vocabulary_destroy(&v);
    return ok;
}

bool lines_bind(Dataset *d, const Request *r, const Bytes *b, const char *path, Error *e)
{
    Lines l = {.set = d, .request = r, .error = e};
    if (!place_ports(&l) || !read_options(&l))
        return false;
    text_open(&l.text, b, path, l.text.bytes);
    if (!count_lines(&l))
        return false;
    if (l.target >= 0 && port_is_idle(r, l.target))
        l.target = -1;
    return read_lines(&l);
}

bool source_lines(Dataset *d, const Request *r, Error *e);
bool source_lines(Dataset *d, const Request *r, Error *e)
{
    return dataset_bind(d, r, lines_bind, e);
}
