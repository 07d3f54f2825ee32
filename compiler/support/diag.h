/* What diag.c collects and snippet.c and json.c render.  Private to this floor. */
#ifndef GRADC_SUPPORT_DIAG_H
#define GRADC_SUPPORT_DIAG_H

#include "support/support.h"

typedef enum { SEVERITY_ERROR, SEVERITY_WARNING } Severity;

typedef struct Note {
    Span at;
    const char *text;
} Note;

typedef struct Message {
    Severity severity;
    Span at;
    const char *text;
    int order; /* of being reported, among those at one place */
    VEC(Note) notes;
    VEC(const char *) helps;
} Message;

/* One character of a source line: its bytes (1 to 4; one when they are no UTF-8), and how many
 * cells of a terminal it takes. */
typedef struct Glyph {
    int bytes, cells;
    bool printable; /* otherwise shown as U+FFFD */
} Glyph;

Glyph glyph_at(const char *s, int left);

void message_for_people(Text *out, const Sources *sources, const Message *m, bool colour);
void message_as_json(Text *out, const Sources *sources, const Message *m);

#endif
