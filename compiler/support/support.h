/* Ground floor: memory, strings, sources and diagnostics.
 * Everything a compilation allocates lives in one arena and dies with it. */
#ifndef GRADC_SUPPORT_H
#define GRADC_SUPPORT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* ---- arena.c: bump allocation, freed at exit ------------------------------------------------ */

typedef struct Arena Arena;

Arena *arena_create(void);
void arena_destroy(Arena *a);
/* Zeroed memory, aligned for any type.  Never NULL: dies when the system has none left. */
void *arena_alloc(Arena *a, size_t bytes);
char *arena_format(Arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *arena_vformat(Arena *a, const char *format, va_list args);

#define arena_new(arena, Type, count) ((Type *)arena_alloc((arena), sizeof(Type) * (size_t)(count)))

/* ---- intern.c: one pointer per spelling ------------------------------------------------------ */

typedef struct Interner Interner;

Interner *interner_create(Arena *a);
const char *intern(Interner *in, const char *text);
const char *intern_n(Interner *in, const char *text, size_t length);

/* ---- vec.h: growing arrays in an arena -------------------------------------------------------- */

#define VEC(Type)                                                                                  \
    struct {                                                                                       \
        Type *data;                                                                                \
        int count;                                                                                 \
        int capacity;                                                                              \
    }

/* Appends `item`; the old storage stays behind in the arena. */
#define vec_push(arena, vec, item)                                                                 \
    do {                                                                                           \
        if ((vec)->count == (vec)->capacity)                                                       \
            (vec)->data = vec_grow((arena), (vec)->data, &(vec)->capacity, sizeof *(vec)->data);   \
        (vec)->data[(vec)->count++] = (item);                                                      \
    } while (0)

void *vec_grow(Arena *a, void *data, int *capacity, size_t item_size);

/* ---- text.c: a growing string --------------------------------------------------------------- */

typedef struct Text {
    Arena *arena;
    char *data; /* always NUL-terminated once written to */
    size_t length, capacity;
} Text;

void text_init(Text *t, Arena *a);
void text_append(Text *t, const char *s);
void text_append_n(Text *t, const char *s, size_t length);
void text_printf(Text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- source.c: files, bytes to line and column ------------------------------------------------ */

/* A half-open byte range of one source file.  file < 0: no place. */
typedef struct Span {
    int file;
    int begin, end;
} Span;

#define SPAN_NONE ((Span){-1, 0, 0})

typedef struct Source {
    const char *path;
    const char *text; /* NUL-terminated */
    int length;
    bool library; /* part of the embedded standard library */
    int *line_starts;
    int line_count;
} Source;

typedef struct Sources Sources;

Sources *sources_create(Arena *a);
/* Registers a text under a path; the text must outlive the sources.  Returns the file number. */
int source_add(Sources *s, const char *path, const char *text, int length, bool library);
/* Reads a file from disk; -1 and errno when that fails. */
int source_read(Sources *s, const char *path);
const Source *source_get(const Sources *s, int file);
/* 1-based line and column (in characters, UTF-8 aware) of a byte offset. */
void source_position(const Source *src, int offset, int *line, int *column);
Span span_join(Span a, Span b);

/* ---- diag.c: collect, sort and render messages ------------------------------------------------ */

typedef enum { DIAG_HUMAN, DIAG_JSON } DiagFormat;

typedef struct Diag Diag;

Diag *diag_create(Arena *a, const Sources *sources);
/* A new error; later notes and helps belong to it.  One plain sentence, lower case, no full stop.
 * Where `at` lies in the library, the error is shown at the innermost call that does not, with
 * the library's line as a note (see diag_enter_call). */
void diag_error(Diag *d, Span at, const char *format, ...) __attribute__((format(printf, 3, 4)));
void diag_warning(Diag *d, Span at, const char *format, ...) __attribute__((format(printf, 3, 4)));
void diag_note(Diag *d, Span at, const char *format, ...) __attribute__((format(printf, 3, 4)));
void diag_help(Diag *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Brackets the elaboration of a call, so that errors inside can name it. */
void diag_enter_call(Diag *d, Span call, const char *callee);
void diag_leave_call(Diag *d);
/* All errors so far, rendered ones included. */
int diag_error_count(const Diag *d);
/* Prints all messages in source order (identical ones once) and forgets them. */
void diag_render(Diag *d, FILE *out, DiagFormat format, bool colour);
/* The candidate nearest to a misspelt name by edit distance, or NULL when none is close. */
const char *diag_nearest(const char *name, const char *const *candidates, int count);

/* The world's faults (a full disk, no memory): message to stderr, exit 1. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Our own faults: message with place in the compiler, then abort. */
_Noreturn void bug_at(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#define bug(...) bug_at(__FILE__, __LINE__, __VA_ARGS__)

#endif
