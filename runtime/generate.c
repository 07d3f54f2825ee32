/* The generate command: a language model writes, token after token, to standard output. */
#include "data/data.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What tokens stand for. */
typedef enum Alphabet { ALPHABET_NUMBERS, ALPHABET_CHARACTERS, ALPHABET_BYTES } Alphabet;

typedef struct Generation {
    Instance instance;
    Position trained;
    Encoding encoding;
    Error error;
    const gradc_port *port;
    Alphabet alphabet;
    const Names *names; /* of the characters, from token `first` on */
    uint32_t first;     /* 1: token 0 is the end of a line          */
    Sampler sampler;
    uint32_t *prompt;
    size_t prompt_count;
    uint32_t *past; /* the tokens from position 0 on */
    size_t position;
    void *logits;
    bool line_open; /* something stands on the line */
} Generation;

/* ---- tokens ------------------------------------------------------------------------------------------ */

static void choose_alphabet(Generation *g)
{
    const gradc_model *m = g->instance.model;
    const gradc_source *s = m->train->data;
    const bool lines = s && strcmp(s->kind, "lines") == 0,
               text = lines || (s && strcmp(s->kind, "text") == 0);
    const Names *names = &g->encoding.names[m->generated];
    bool bytes = false;
    g->first = lines;
    if (names->count) {
        g->alphabet = ALPHABET_CHARACTERS;
        g->names = names;
    } else if (text && text_unit(s, &bytes, &g->error) && bytes) {
        g->alphabet = ALPHABET_BYTES;
    }
}

/* Tokens beyond those that mean something are never drawn. */
static uint32_t choices_of(const Generation *g)
{
    uint64_t known = (uint64_t)g->port->classes;
    if (g->alphabet == ALPHABET_CHARACTERS)
        known = g->first + (uint64_t)g->names->count;
    else if (g->alphabet == ALPHABET_BYTES)
        known = g->first + 256u;
    return (uint32_t)(known < (uint64_t)g->port->classes ? known : (uint64_t)g->port->classes);
}

static void put_token(Generation *g, uint32_t token)
{
    if (g->alphabet == ALPHABET_NUMBERS) {
        printf(g->line_open ? " %u" : "%u", token);
        g->line_open = true;
        return;
    }
    const char byte = (char)(token - g->first);
    const char *text = token < g->first                     ? "\n"
                       : g->alphabet == ALPHABET_CHARACTERS ? g->names->items[token - g->first]
                                                            : &byte;
    const size_t length = text == &byte ? 1 : strlen(text);
    fwrite(text, 1, length, stdout);
    g->line_open = *text != '\n';
}

/* ---- the prompt ----------------------------------------------------------------------------------------- */

static bool read_numbers(Generation *g, const char *text)
{
    while (*(text += strspn(text, " \t\r\n,"))) {
        char *end;
        errno = 0;
        const unsigned long long token = strtoull(text, &end, 10);
        if (end == text || errno || token >= (unsigned long long)g->port->classes)
            return error_set(&g->error,
                             "--prompt: \"%.20s\" is no token: they are numbers from 0 to %lld",
                             text, (long long)g->port->classes - 1);
        g->prompt[g->prompt_count++] = (uint32_t)token;
        text = end;
    }
    return true;
}

static bool read_characters(Generation *g, const char *text)
{
    const Bytes bytes = {(const uint8_t *)text, strlen(text), BYTES_NONE};
    Vocabulary v;
    Text t;
    if (!vocabulary_create(&v, g->names, g->first))
        return error_set(&g->error, "the checkpoint's names are no characters");
    text_open(&t, &bytes, "--prompt", g->alphabet == ALPHABET_BYTES);
    bool ok = true;
    while (ok && t.at < t.end)
        ok = vocabulary_next(&v, &t, &g->prompt[g->prompt_count++], &g->error);
    vocabulary_destroy(&v);
    return ok;
}

/* Where nothing is to be continued: as after the end of a line. */
static uint32_t opening(const Generation *g)
{
    if (g->alphabet == ALPHABET_BYTES)
        return g->first ? 0 : '\n';
    const int found = g->names && !g->first ? categories_find(g->names, "\n", 1) : -1;
    return found < 0 ? 0 : (uint32_t)found;
}

static bool read_prompt(Generation *g, const char *text)
{
    g->prompt = memory_get(strlen(text) + 2, sizeof *g->prompt);
    if (g->first || !*text)
        g->prompt[g->prompt_count++] = opening(g);
    return g->alphabet == ALPHABET_NUMBERS ? read_numbers(g, text) : read_characters(g, text);
}

/* ---- writing ------------------------------------------------------------------------------------------------ */

static void run_model(Generation *g, uint32_t token)
{
    g->instance.model->generate(g->instance.self, g->position, token, g->logits);
    if (!g->instance.model->endless)
        g->past[g->position] = token;
    g->position++;
}

/* Behind the last position, the last half of what there is stands at the beginning. */
static void go_back(Generation *g)
{
    const size_t kept = g->position / 2;
    memmove(g->past, g->past + g->position - kept, kept * sizeof *g->past);
    g->position = 0;
    for (size_t i = 0; i < kept; i++)
        run_model(g, g->past[i]);
}

static void take(Generation *g, uint32_t token)
{
    if (!g->instance.model->endless && g->position == (size_t)g->port->count)
        go_back(g);
    run_model(g, token);
}

static void begin(Generation *g, const char *text)
{
    g->position = 0;
    for (size_t i = 0; i < g->prompt_count; i++)
        take(g, g->prompt[i]);
    fputs(text, stdout);
    g->line_open = *text && text[strlen(text) - 1] != '\n';
    fflush(stdout);
}

static bool write_all(Generation *g, const Options *o)
{
    const gradc_model *m = g->instance.model;
    begin(g, o->prompt);
    for (uint64_t i = 0; i < o->length; i++) {
        uint32_t token;
        if (!sampler_next(&g->sampler, m->real, g->logits, &token, &g->error))
            return false;
        put_token(g, token);
        fflush(stdout);
        if (i + 1 == o->length)
            break;
        if (token < g->first)
            begin(g, o->prompt);
        else
            take(g, token);
    }
    if (g->line_open)
        putchar('\n');
    return true;
}

/* ---- the command ----------------------------------------------------------------------------------------------- */

static bool generate(Generation *g, const Options *o)
{
    const gradc_model *m = g->instance.model;
    if (!m->generate)
        return error_set(&g->error,
                         "the model does not say what it generates\nhelp: add a line such "
                         "as generate tokens from logits, and compile again");
    g->port = &m->inputs[m->generated];
    char *path = cli_load(&g->instance, o, &g->trained, &g->encoding, &g->error);
    free(path);
    if (!path)
        return false;
    choose_alphabet(g);
    if (g->error.text || !read_prompt(g, o->prompt))
        return false;
    sampler_create(&g->sampler, o, o->has_seed ? o->seed : m->train->seed, choices_of(g));
    g->past = memory_get((size_t)g->port->count, sizeof *g->past);
    g->logits = memory_get((size_t)g->port->classes, raw_size(m->real));
    return write_all(g, o);
}

int generate_command(const gradc_model *model, const Options *o)
{
    Generation g = {0};
    instance_create(&g.instance, model, model->train->seed, cli_thread_count(o));
    const bool ok = generate(&g, o);
    sampler_destroy(&g.sampler);
    free(g.prompt);
    free(g.past);
    free(g.logits);
    encoding_destroy(&g.encoding);
    instance_destroy(&g.instance);
    return ok ? 0 : cli_fail(&g.error);
}
