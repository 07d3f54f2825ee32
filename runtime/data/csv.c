/* CSV as RFC 4180 says: separators, quoted fields with "" for a quote, rows that end by LF, CRLF
 * or CR.  Blank lines are skipped; blanks around an unquoted field are not part of it. */
#include "data.h"

#include <stdlib.h>
#include <string.h>

typedef struct Reader {
    Csv *csv;
    const char *at, *end, *path;
    char separator;
    size_t line, row_line;
    size_t capacity, used, line_capacity;
    size_t fields; /* of this row */
    char *unquoted;
    Error *error;
} Reader;

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static Cell *new_cell(Reader *r)
{
    if (r->used == r->capacity) {
        r->capacity = r->capacity ? r->capacity * 2 : 256;
        r->csv->cells = realloc(r->csv->cells, r->capacity * sizeof(Cell));
        if (!r->csv->cells)
            abort();
    }
    r->fields++;
    return &r->csv->cells[r->used++];
}

static bool at_end_of_field(const Reader *r)
{
    return r->at == r->end || *r->at == r->separator || *r->at == '\n' || *r->at == '\r';
}

static bool read_quoted(Reader *r)
{
    size_t opened = r->line;
    char *start = r->unquoted;
    for (r->at++;; r->at++) {
        if (r->at == r->end)
            return error_set(r->error, "%s:%zu: a quote opens here and never closes", r->path,
                             opened);
        if (*r->at == '"' && (++r->at == r->end || *r->at != '"'))
            break;
        r->line += *r->at == '\n';
        *r->unquoted++ = *r->at;
    }
    *new_cell(r) = (Cell){start, (uint32_t)(r->unquoted - start), true};
    while (r->at < r->end && is_blank(*r->at) && *r->at != r->separator)
        r->at++;
    if (!at_end_of_field(r))
        return error_set(r->error, "%s:%zu: text follows a closing quote", r->path, r->line);
    return true;
}

static bool read_plain(Reader *r, const char *start)
{
    while (!at_end_of_field(r)) {
        if (*r->at == 0)
            return error_set(r->error, "%s:%zu: a zero byte: is this a text file?", r->path,
                             r->line);
        r->at++;
    }
    const char *stop = r->at;
    while (stop > start && is_blank(stop[-1]))
        stop--;
    *new_cell(r) = (Cell){start, (uint32_t)(stop - start), false};
    return true;
}

static bool read_field(Reader *r)
{
    while (r->at < r->end && is_blank(*r->at) && *r->at != r->separator)
        r->at++;
    if (r->at < r->end && *r->at == '"')
        return read_quoted(r);
    return read_plain(r, r->at);
}

static void end_line(Reader *r)
{
    if (r->at < r->end && *r->at == '\r')
        r->at++;
    if (r->at < r->end && *r->at == '\n')
        r->at++;
    r->line++;
}

static bool end_row(Reader *r)
{
    Csv *c = r->csv;
    if (r->fields == 1 && r->csv->cells[r->used - 1].length == 0 &&
        !r->csv->cells[r->used - 1].quoted) { /* a blank line */
        r->used--;
        return true;
    }
    if (c->rows == 0)
        c->columns = r->fields;
    if (c->columns != r->fields)
        return error_set(r->error, "%s:%zu: this row has %zu fields, the first has %zu", r->path,
                         r->row_line, r->fields, c->columns);
    if (c->rows == r->line_capacity) {
        r->line_capacity = r->line_capacity ? r->line_capacity * 2 : 256;
        c->lines = realloc(c->lines, r->line_capacity * sizeof *c->lines);
        if (!c->lines)
            abort();
    }
    c->lines[c->rows++] = r->row_line;
    return true;
}

static bool read_row(Reader *r)
{
    r->fields = 0;
    r->row_line = r->line;
    for (;;) {
        if (!read_field(r))
            return false;
        if (r->at == r->end || *r->at != r->separator)
            break;
        r->at++;
    }
    bool ok = end_row(r);
    end_line(r);
    return ok;
}

bool csv_parse(Csv *c, const char *text, size_t size, char separator, const char *path, Error *e)
{
    *c = (Csv){0};
    if (size >= UINT32_MAX)
        return error_set(e, "%s: is larger than 4 GiB; store it as NPY or records", path);
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark */
        text += 3;
        size -= 3;
    }
    c->unquoted = memory_get(size + 1, 1);
    Reader r = {.csv = c,
                .at = text,
                .end = text + size,
                .path = path,
                .separator = separator,
                .line = 1,
                .unquoted = c->unquoted,
                .error = e};
    while (r.at < r.end)
        if (!read_row(&r)) {
            csv_free(c);
            return false;
        }
    return true;
}

void csv_free(Csv *c)
{
    free(c->cells);
    free(c->lines);
    free(c->unquoted);
    *c = (Csv){0};
}

bool cell_is(const Cell *c, const char *text)
{
    return c->length == strlen(text) && memcmp(c->text, text, c->length) == 0;
}

/* Decimal numbers only: no hexadecimal, no inf, no nan. */
bool cell_number(const Cell *c, double *value)
{
    char copy[64], *end;
    if (c->length == 0 || c->length >= sizeof copy)
        return false;
    memcpy(copy, c->text, c->length);
    copy[c->length] = 0;
    if (copy[strspn(copy, "0123456789+-.eE")])
        return false;
    *value = strtod(copy, &end);
    return end == copy + c->length;
}
