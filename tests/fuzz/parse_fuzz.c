/* Any bytes: the parser must not crash; what it accepts must survive formatting unchanged, and
 * formatting the result again must change nothing.
 *   clang -fsanitize=fuzzer,address,undefined … tests/fuzz/parse_fuzz.c */
#include "syntax/syntax.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Run {
    Arena *arena;
    SyntaxContext cx;
} Run;

static bool same_name(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_tree(const Ast *a, const Ast *b);

static bool same_list(const AstList *a, const AstList *b)
{
    if (a->count != b->count)
        return false;
    for (int i = 0; i < a->count; i++)
        if (!same_tree(a->data[i], b->data[i]))
            return false;
    return true;
}

/* Equal but for places and comments. */
static bool same_tree(const Ast *a, const Ast *b)
{
    if (!a || !b)
        return a == b;
    return a->kind == b->kind && same_name(a->name, b->name) && a->number == b->number &&
           a->is_integer == b->is_integer && a->flag == b->flag && same_tree(a->cond, b->cond) &&
           same_tree(a->left, b->left) && same_tree(a->right, b->right) &&
           same_list(&a->items, &b->items) && same_list(&a->body, &b->body) &&
           same_list(&a->orelse, &b->orelse);
}

static void fail(const char *why, const char *before, const char *after)
{
    fprintf(stderr, "%s\n--- before\n%s\n--- after\n%s\n", why, before, after);
    abort();
}

static Ast *parse(Run *r, const char *text, int length, int *file)
{
    *file = source_add(r->cx.sources, "fuzz.nn", text, length, false);
    return syntax_parse(&r->cx, *file);
}

/* Formats, reads back, compares; returns the text. */
static Text round_trip(Run *r, const Ast *tree, const Source *src)
{
    Text out;
    int file;
    text_init(&out, r->arena);
    ast_format(&out, tree, src);
    Ast *again = parse(r, out.data, (int)out.length, &file);
    if (!again)
        fail("the formatted text does not parse", src ? src->text : "", out.data);
    if (!same_tree(tree, again))
        fail("the formatted text is another tree", src ? src->text : "", out.data);
    if (!src)
        return out;
    Text twice;
    text_init(&twice, r->arena);
    ast_format(&twice, again, source_get(r->cx.sources, file));
    if (strcmp(out.data, twice.data) != 0)
        fail("formatting is not idempotent", out.data, twice.data);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Run r = {.arena = arena_create()};
    Sources *sources = sources_create(r.arena);
    r.cx =
        (SyntaxContext){r.arena, interner_create(r.arena), sources, diag_create(r.arena, sources)};
    char *text = arena_new(r.arena, char, size + 1);
    if (size)
        memcpy(text, data, size);
    int file;
    Ast *tree = parse(&r, text, (int)size, &file);
    if (tree) {
        round_trip(&r, tree, source_get(sources, file));
        round_trip(&r, tree, NULL);
    }
    FILE *nowhere = fopen("/dev/null", "w");
    if (nowhere) {
        diag_render(r.cx.diag, nowhere, size % 2 ? DIAG_JSON : DIAG_HUMAN, true);
        fclose(nowhere);
    }
    arena_destroy(r.arena);
    return 0;
}
