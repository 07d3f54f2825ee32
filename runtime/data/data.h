/* Data sources: each fills the model's ports from files, checks every value, and says where the
 * first wrong one stands. */
#ifndef GRADRT_DATA_H
#define GRADRT_DATA_H

#include "../internal.h"

/* ---- source.c: opening what a train block names ------------------------------------------------ */

struct Field;

/* Writes an example in the port's raw type; false: what is stored is no such example. */
typedef bool FieldRead(const struct Field *f, const gradc_port *p, size_t row, uint8_t *out,
                       Error *e);

/* One port's examples, in the port's raw type: row i lies at data + i * stride. */
typedef struct Field {
    const uint8_t *data; /* NULL and no `read`: absent (a target when predicting) */
    size_t stride;
    const uint32_t *places; /* row i lies at data + places[i] * stride; NULL: at i * stride */
    FieldRead *read;        /* what is decoded or checked when it is read, and not before */
    void *owned;            /* freed with the set */
} Field;

typedef struct Dataset {
    const gradc_port *ports;
    int port_count;
    size_t count;
    bool counted; /* count is known from a first file */
    char *counted_by;
    /* Windows of a sequence: how many before a border reach across it, and how far apart two are
     * that share nothing.  Else 0 and 0: examples are independent. */
    size_t gap, apart;
    /* Examples that a split keeps together begin at groups[0], groups[1], …; NULL: each stands alone. */
    uint32_t *groups;
    size_t group_count;
    bool decodes; /* reading an example takes long */
    Field *fields;
    Bytes **files; /* closed with the set */
    int file_count;
    Encoding encoding;
} Dataset;

typedef struct Request {
    const gradc_source *source;
    const gradc_port *ports;
    int port_count;
    const char *folder;    /* where relative paths are also looked for, or NULL */
    const Encoding *known; /* names and fills of the training data, or NULL      */
    bool targets_optional; /* those that predict() does not read */
    bool shows;            /* long work is shown on a terminal   */
} Request;

bool dataset_open(Dataset *d, const Request *r, Error *e);
void dataset_close(Dataset *d);
/* A file of the set, mapped or inflated; *found is its path, to be freed. */
const Bytes *dataset_file(Dataset *d, const Request *r, const char *name, char **found, Error *e);
typedef bool SourceBind(Dataset *d, const Request *r, const Bytes *b, const char *path, Error *e);

/* Opens the file that a source names first, and binds it. */
bool dataset_bind(Dataset *d, const Request *r, SourceBind *bind, Error *e);
/* All files must hold equally many examples. */
bool dataset_agree(Dataset *d, size_t count, const char *path, Error *e);
/* Freed with the set. */
void dataset_keep(Dataset *d, Bytes b);
void *field_own(Field *f, size_t count, const gradc_port *port);
bool field_is_there(const Field *f);

const gradc_option *option_find(const gradc_source *s, const char *key);
const char *option_text(const gradc_source *s, const char *key, const char *otherwise);
/* The n-th value without a key. */
const gradc_option *option_positional(const gradc_source *s, int n);

/* A whole number from `least`; *value stays where the option is absent. */
bool whole_option(const gradc_source *s, const char *key, size_t least, size_t *value, Error *e);

bool source_has_path(const char *kind); /* it takes one file, not one for each port */

/* ---- beside.c: several sources, row by row ------------------------------------------------------------- */

/* Opens each of a chain for the ports that it fills. */
bool open_beside(Dataset *d, const Request *r, Error *e);

/* ---- given.c: what the command line names -------------------------------------------------------------- */

/* The source with --data values in place of its paths: "path" or "key=path"; free with source_free. */
bool source_override(gradc_source *out, const gradc_source *in, const TextList *data, Error *e);
/* A source for files: `like` where their names' endings fit it or tell nothing, else of the kind
 * that the first one's tells. */
bool source_guess(gradc_source *out, const gradc_source *like, const TextList *files,
                  const gradc_port *ports, int port_count, Error *e);
void source_free(gradc_source *s);

/* ---- convert.c: one value into a port -------------------------------------------------------------- */

#define REASON_TEXT 120

/* NULL, or why the value cannot be the port's (in `reason`). */
const char *port_put(const gradc_port *p, double value, void *out, char reason[REASON_TEXT]);
/* The same for values that already lie in the port's type. */
const char *port_check(const gradc_port *p, const void *at, char reason[REASON_TEXT]);

/* ---- array.c: arrays of any number type onto a port --------------------------------------------------- */

typedef struct Element {
    char kind; /* 'u' 'i' 'f' 'b', and 'B' for bfloat16 */
    uint8_t size;
    bool big; /* big-endian */
} Element;

#define ARRAY_RANK 16

typedef struct Array {
    const uint8_t *data;
    Element element;
    int rank;
    uint64_t dims[ARRAY_RANK]; /* dims[0] counts the examples */
    size_t stride;             /* bytes from example to example; 0: packed */
    bool fortran;              /* first index fastest */
} Array;

/* Number of elements times size, or false when it does not fit. */
bool array_size(const Array *a, uint64_t *bytes);
bool array_bind(Dataset *d, const Request *r, int port, const Array *a, const char *path, Error *e);
bool element_parse(Element *out, const char *name); /* u8, i32, f64, … */

/* ---- csv.c: RFC 4180 ------------------------------------------------------------------------------------- */

typedef struct Cell {
    const char *text; /* trimmed, unquoted, not terminated */
    uint32_t length;
    bool quoted;
} Cell;

typedef struct Csv {
    Cell *cells; /* rows × columns */
    size_t rows, columns;
    size_t *lines; /* of each row */
    char *unquoted;
} Csv;

bool csv_parse(Csv *c, const char *text, size_t size, char separator, const char *path, Error *e);
void csv_free(Csv *c);
bool cell_number(const Cell *c, double *value);
bool cell_is(const Cell *c, const char *text);

/* ---- table.c, columns.c: columns onto ports; categories.c: words onto classes ------------------------------------------ */

SourceBind table_bind;

/* The port's words, sorted; none when every cell is a number. */
void categories_collect(Names *names, const Csv *csv, size_t first_row, const int *columns,
                        size_t count);
int categories_find(const Names *names, const char *text, size_t length); /* -1: none */
void categories_copy(Names *to, const Names *from);

/* ---- characters.c: text as characters or bytes, and their numbers ------------------------------------------------------- */

typedef struct Text {
    const uint8_t *at, *end, *begin;
    const char *path;
    bool bytes; /* not UTF-8 but single bytes */
} Text;

void text_open(Text *t, const Bytes *b, const char *path, bool bytes);
/* Reads `unit` of the source's options. */
bool text_unit(const gradc_source *s, bool *bytes, Error *e);
bool text_next(Text *t, uint32_t *point, Error *e); /* not at the end */

/* The characters the checkpoint knows, else the text's own; `lines`: without the ends of lines. */
bool characters_learn(Names *names, const Request *r, int port, const Text *text, bool lines,
                      Error *e);
/* Whether the port has a class for each, after `first` others.  Without names: for each byte. */
bool characters_fit(const Names *names, uint32_t first, const gradc_port *p, const char *path,
                    Error *e);

typedef struct Vocabulary {
    uint32_t *ids;  /* of each code point, from 1; 0: absent */
    uint32_t first; /* the number of the first character */
    uint32_t count;
} Vocabulary;

/* Without names: bytes, each its own number. */
bool vocabulary_create(Vocabulary *v, const Names *names, uint32_t first);
void vocabulary_destroy(Vocabulary *v);
/* The number of the next character, or an error with its place. */
bool vocabulary_next(const Vocabulary *v, Text *t, uint32_t *id, Error *e);

/* ---- window.c: examples that are windows of a sequence ----------------------------------------------------------------- */

typedef struct Windows {
    int input, target;    /* ports; -1: none */
    size_t length, reach; /* elements of a window, and with its target */
    size_t target_at;     /* where the target begins, from the window's start */
    size_t stride;
} Windows;

/* Finds the ports and reads `stride`; the caller adds the target to `reach`. */
bool windows_plan(Windows *w, const Request *r, Error *e);
/* The input is a window of tokens; the target the one that follows, or the window one later.  One
 * that is not needed (for a prediction) becomes -1. */
bool windows_of_tokens(Windows *w, const Request *r, const char *element, Error *e);
/* Whether the port holds numbers of characters or the like. */
bool port_is_tokens(const gradc_port *p);
/* Whether this request leaves the port out: predictions need no targets. */
bool port_is_idle(const Request *r, int port);
/* Counts the windows of `total` elements. */
bool windows_cut(const Windows *w, Dataset *d, size_t total, const char *path, const char *elements,
                 Error *e);

/* ---- text.c ------------------------------------------------------------------------------------------------------------ */

SourceBind text_bind;

/* ---- tokens.c, series.c, lines.c, tensors.c ----------------------------------------------------------------------------- */

SourceBind tokens_bind, series_bind, lines_bind, tensors_bind;

/* ---- the formats' parsers, apart from files so that they can be fuzzed ---------------------------------------- */

bool idx_parse(Array *a, const uint8_t *bytes, size_t size, const char *path, Error *e);
bool npy_parse(Array *a, const uint8_t *bytes, size_t size, const char *path, Error *e);

typedef struct ZipEntry {
    const char *name; /* not terminated */
    size_t name_length;
    const uint8_t *data;
    uint64_t packed, size;
    int method;
    uint32_t crc;
} ZipEntry;

/* Finds `name` (without its .npy) in an archive. */
bool zip_find(ZipEntry *entry, const uint8_t *bytes, size_t size, const char *name,
              const char *path, Error *e);

#endif
