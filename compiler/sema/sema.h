/* From syntax to meaning: names resolved, layers instantiated, shapes settled, every subscript
 * proven inside its dimension; out come the graphs of a program's entry points. */
#ifndef GRADC_SEMA_H
#define GRADC_SEMA_H

#include "ir/program.h"
#include "syntax/syntax.h"

typedef struct Sema Sema;

typedef struct SemaOptions {
    const char *model; /* which of the file's models; NULL: the only one, or the trained one */
    DType real;        /* TYPE_F32, or TYPE_F64 for a gradient check */
} SemaOptions;

/* ---- sema.c ------------------------------------------------------------------------------------ */

/* Reads imports and the library, finds the model and its train block.  NULL after errors. */
Sema *sema_create(SyntaxContext *syntax, Ast *file, const SemaOptions *options);
Program *sema_program(Sema *s);
/* Builds program->entries[kind] up to where differentiation is due: forward pass, per-example
 * losses and stated gradients.  False after errors, or when the program has no such entry. */
bool sema_forward(Sema *s, EntryKind kind);
/* The rest of the entry: updates, the mean loss, gradient stores. */
bool sema_complete(Sema *s, EntryKind kind);
bool sema_has_entry(const Sema *s, EntryKind kind);
/* The losses in inference mode as entries[ENTRY_LOSS], where the text asks for `training`; false
 * where it does not, or after errors. */
bool sema_forward_inference(Sema *s);
/* Every declaration in a file, without compiling a model: names and arguments of the train block. */
const Ast *sema_train_block(const Sema *s);

/* ---- print.c ------------------------------------------------------------------------------------- */
/* Before sema_forward: what outputs and metrics name stays in the graph, to be printed with it. */
void sema_print_outputs(Sema *s);
/* The text that surrounds a printed graph: inputs, parameters, states; then the train block. */
void sema_print_head(Text *out, Sema *s);
void sema_print_tail(Text *out, Sema *s);

/* ---- library.c --------------------------------------------------------------------------------- */

typedef struct LibraryFile {
    const char *path;
    const char *text;
} LibraryFile;

/* The embedded .nn files, ended by a NULL path. */
extern const LibraryFile library_files[];
/* All definitions with their first line of documentation, or one definition's source. */
bool library_print(Text *out, const char *name, SyntaxContext *syntax);

#endif
