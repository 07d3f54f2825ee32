/* gradc: options in, exit code out. */
#include "driver/driver.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void render(Compilation *c)
{
    const Options *o = c->options;
    const bool colour = o->colour < 0 ? isatty(STDERR_FILENO) : o->colour;
    diag_render(c->syntax.diag, stderr, o->json ? DIAG_JSON : DIAG_HUMAN, colour);
}

static int format_file(Compilation *c)
{
    Text t;
    text_init(&t, c->arena);
    ast_format(&t, c->file, source_get(c->syntax.sources, c->file->span.file));
    if (c->options->in_place)
        c->options->output = c->options->input;
    return write_text(c, &t);
}

static int show_library(Compilation *c)
{
    Text t;
    text_init(&t, c->arena);
    if (library_print(&t, c->options->library_name, &c->syntax))
        return write_text(c, &t);
    fprintf(stderr, "gradc: the library has no `%s`; `gradc --std` lists what it has\n",
            c->options->library_name);
    return 1;
}

static int dispatch(Compilation *c)
{
    if (c->options->command == COMMAND_LIBRARY)
        return show_library(c);
    if (!compile_parse(c))
        return 1;
    switch (c->options->command) {
    case COMMAND_FORMAT:
        return format_file(c);
    case COMMAND_CHECK:
        return compile_program(c) ? 0 : 1;
    case COMMAND_RUN:
        return run_program(c);
    default:
        return c->options->emit->run(c);
    }
}

int main(int argc, char **argv)
{
    Arena *a = arena_create();
    Options options = command_line_read(a, argc, argv);
    Compilation c = {.arena = a, .options = &options, .log = {.arena = a}};
    c.syntax.arena = a;
    c.syntax.names = interner_create(a);
    c.syntax.sources = sources_create(a);
    c.syntax.diag = diag_create(a, c.syntax.sources);
    const int status = dispatch(&c);
    render(&c);
    arena_destroy(a);
    return status;
}
