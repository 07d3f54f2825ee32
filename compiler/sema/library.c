/* `gradc --std`: the embedded library as its readers see it. */
#include "sema/internal.h"

#include <string.h>

static const char *kind_word(AstKind k)
{
    switch (k) {
    case AST_LAYER:
        return "layer";
    case AST_FN:
        return "fn";
    case AST_OPTIMIZER:
        return "optimizer";
    case AST_SCHEDULE:
        return "schedule";
    default:
        return "initializer";
    }
}

/* The first sentence of a comment block, without the signature that it opens with. */
static void print_summary(Text *out, const char *name, const char *doc)
{
    const size_t length = strlen(name);
    const char *colon = doc && !strncmp(doc, name, length) ? strstr(doc, "): ") : NULL;
    if (colon)
        doc = colon + 3;
    for (; doc && *doc; doc++) {
        if (*doc == '\n' && doc[1] == '\n')
            return;
        text_append_n(out, *doc == '\n' ? " " : doc, 1);
        if (*doc == '.' && (!doc[1] || doc[1] == ' ' || doc[1] == '\n'))
            return;
    }
}

/* From the name to the body's brace, on one line however it is laid out. */
static void print_signature(Text *out, const char *text)
{
    const size_t length = strcspn(text, "{");
    bool blank = false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == ' ' || text[i] == '\n') {
            blank = true;
            continue;
        }
        if (blank && text[i] != ')' && out->data[out->length - 1] != '(')
            text_append(out, " ");
        text_append_n(out, text + i, 1);
        blank = false;
    }
}

static void print_line(Text *out, const Ast *a, const Source *src)
{
    text_printf(out, "%s ", kind_word(a->kind));
    print_signature(out, src->text + a->name_span.begin);
    text_append(out, "\n    ");
    print_summary(out, a->name, a->doc);
    text_append(out, "\n");
}

/* With the comment block above it. */
static void print_source(Text *out, const Ast *a, const Source *src)
{
    int begin = a->span.begin;
    while (begin > 1) {
        int line = begin - 1;
        while (line > 0 && src->text[line - 1] != '\n')
            line--;
        if (src->text[line] != '#')
            break;
        begin = line;
    }
    text_printf(out, "%.*s\n", a->span.end - begin, src->text + begin);
}

bool library_print(Text *out, const char *name, SyntaxContext *syntax)
{
    bool found = false;
    for (const LibraryFile *f = library_files; f->path; f++) {
        const int file = source_add(syntax->sources, f->path, f->text, (int)strlen(f->text), true);
        const Ast *tree = syntax_parse(syntax, file);
        for (int i = 0; tree && i < tree->body.count; i++) {
            const Ast *a = tree->body.data[i];
            if (!name)
                print_line(out, a, source_get(syntax->sources, file));
            else if (!strcmp(a->name, name))
                print_source(out, a, source_get(syntax->sources, file));
            found = found || !name || !strcmp(a->name, name);
        }
    }
    return found;
}
