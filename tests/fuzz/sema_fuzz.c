/* Any text: elaboration, differentiation and simplification must not crash, and every graph that
 * comes out of them must be legal.  Mutations swap whole tokens, so that most texts still parse.
 *   clang -fsanitize=fuzzer,address,undefined … tests/fuzz/sema_fuzz.c; corpus: examples/ and compiler/std/ */
#include "grad/grad.h"
#include "opt/opt.h"
#include "sema/sema.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed);

/* ---- the passes ----------------------------------------------------------------------------------- */

static void verify(Graph *g, const char *pass)
{
    const char *wrong = graph_verify(g);
    if (wrong)
        bug("after %s, entry %s: %s", pass, g->name, wrong);
}

static bool build(Sema *s, EntryKind kind, SyntaxContext *cx, OptLog *log)
{
    Program *p = sema_program(s);
    if (kind != ENTRY_INIT) {
        if (!sema_forward(s, kind))
            return false;
        verify(p->entries[kind], "elaboration");
        if (kind == ENTRY_STEP || kind == ENTRY_GRADIENT) {
            grad_run(p->entries[kind], p, cx->diag);
            verify(p->entries[kind], "differentiation");
        }
        if (!sema_complete(s, kind))
            return false;
    }
    opt_run(p->entries[kind], log);
    verify(p->entries[kind], "simplification");
    return diag_error_count(cx->diag) == 0;
}

static void compile(SyntaxContext *cx, Ast *file)
{
    static const EntryKind order[] = {ENTRY_EVALUATE, ENTRY_FINISH, ENTRY_PREDICT,  ENTRY_FIT,
                                      ENTRY_FITTED,   ENTRY_LOSS,   ENTRY_GRADIENT, ENTRY_STEP,
                                      ENTRY_UPDATE,   ENTRY_INIT};
    const SemaOptions options = {.real = TYPE_F32};
    OptLog log = {.arena = cx->arena};
    Sema *s = sema_create(cx, file, &options);
    bool ok = s != NULL;
    for (size_t i = 0; ok && i < sizeof order / sizeof *order; i++)
        if (sema_has_entry(s, order[i]))
            ok = build(s, order[i], cx, &log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Arena *arena = arena_create();
    Sources *sources = sources_create(arena);
    SyntaxContext cx = {arena, interner_create(arena), sources, diag_create(arena, sources)};
    char *text = arena_new(arena, char, size + 1);
    if (size)
        memcpy(text, data, size);
    const int file = source_add(sources, "fuzz.nn", text, (int)size, false);
    Ast *tree = strstr(text, "import") ? NULL : syntax_parse(&cx, file);
    if (tree)
        compile(&cx, tree);
    FILE *nowhere = fopen("/dev/null", "w");
    if (nowhere) {
        diag_render(cx.diag, nowhere, DIAG_HUMAN, false);
        fclose(nowhere);
    }
    arena_destroy(arena);
    return 0;
}

/* ---- mutation of tokens ------------------------------------------------------------------------------ */

enum { MOST_TOKENS = 4096 };

typedef struct Token {
    size_t begin, end;
} Token;

static bool is_word(int c)
{
    return isalnum(c) || c == '_' || c == '.';
}

static int split(const uint8_t *data, size_t size, Token *tokens)
{
    int count = 0;
    for (size_t i = 0; i < size && count < MOST_TOKENS;) {
        const size_t begin = i++;
        while (is_word(data[begin]) && i < size && is_word(data[i]))
            i++;
        if (data[begin] != ' ')
            tokens[count++] = (Token){begin, i};
    }
    return count;
}

static const char *const words[] = {
    "0",
    "1",
    "2",
    "3",
    "7",
    "-1",
    "0.5",
    "1e9",
    "i",
    "j",
    "k",
    "x",
    "y",
    "w",
    "batch",
    "...",
    "sum[i]",
    "max[i, j]",
    "mean[batch]",
    "mean[...]",
    "argmax[k]",
    "any[i]",
    "(x[i - 1] else 0)",
    "if i < 2 then x[i] else 0",
    "x@m[i]",
    "[m: batch]",
    "[i: 3]",
    "[...]",
    "[..., i]",
    "training",
    "batch_size",
    "step",
    "true",
    "same",
    "\"s\"",
    "[1, 2]",
    "[0]",
    "f32(x)",
    "i32(x)",
    "relu",
    "dense(3)",
    "flatten",
    "softmax(x)",
    "concat(x, x)",
    "split(x, 2)",
    "stack(x, x)",
    "transpose(x)",
    "reshape(x, [2, 2])",
    "random_uniform()",
    "stop_gradient(x)",
    "/ 2",
    "% 2",
    "^2",
    "|> dense(2)",
    "\n  param w[3] = 0\n",
    "\n  state s = 0\n",
    "\n  s <- s + 1\n",
    "\n  freeze w\n",
    "\n  freeze \"*\"\n",
    "\n  init \"*\" from \"f\"\n",
    "\n  state fitted[q: 2] = 0 fit mean[batch, ...] x[...]\n",
    "\n  state fitted = 0 fit fitted + mean[batch] w\n",
    "\n  loss x[0]\n",
    "\n  metric mean[batch] x[0]\n",
    "\n  output x\n",
    "\n  y[i] = x[i]\n",
    "\n  repeat 2 as r {\n",
    "\n  for r in [1, 2] {\n",
    "\n  for r in range(3) {\n",
    "x@(batch + 1)",
    "(w[i32(x[0])] else 1)",
    "if k < 2 then w[k] else 0",
    "[x] + [w]",
    "|> l[0]",
    "l = [dense(2), relu]\n",
    "f(x)",
    "grad(floor(x[0]), x)",
    "made_by(x, softmax)",
    "\n  if training {\n",
    "\n}\n",
    "u8",
    "class(3)",
    "not",
    "and",
    "==",
    "<",
    ":",
    "~ normal(0, 1)",
    "gradient w[i] = 0\n",
};

/* Replaces `cut` bytes at `at` by `n` others; the size as it was where they do not fit. */
static size_t splice(uint8_t *data, size_t size, size_t room, size_t at, size_t cut,
                     const uint8_t *with, size_t n)
{
    if (size - cut + n > room)
        return size;
    memmove(data + at + n, data + at + cut, size - at - cut);
    if (n)
        memcpy(data + at, with, n);
    return size - cut + n;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed)
{
    static Token tokens[MOST_TOKENS];
    static uint8_t copy[1 << 16];
    srand(seed);
    for (int rounds = 1 + rand() % 3; rounds > 0; rounds--) {
        const int count = split(data, size, tokens);
        if (count == 0)
            return splice(data, size, room, 0, 0, (const uint8_t *)"model m {\n}\n", 12);
        const Token to = tokens[rand() % count], from = tokens[rand() % count];
        const char *word = words[(size_t)rand() % (sizeof words / sizeof *words)];
        const size_t n = from.end - from.begin < sizeof copy ? from.end - from.begin : sizeof copy;
        memcpy(copy, data + from.begin, n);
        switch (rand() % 5) {
        case 0: /* a token of the text in place of another */
            size = splice(data, size, room, to.begin, to.end - to.begin, copy, n);
            break;
        case 1: /* or between others */
            size = splice(data, size, room, to.begin, 0, copy, n);
            break;
        case 2:
            size = splice(data, size, room, to.begin, to.end - to.begin, NULL, 0);
            break;
        default:
            size = splice(data, size, room, to.begin, rand() % 2 ? to.end - to.begin : 0,
                          (const uint8_t *)word, strlen(word));
        }
    }
    return size;
}
