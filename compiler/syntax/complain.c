/* Syntax errors in the words of someone who reads the file: what stands there, what was expected,
 * and, where it is certain, what to do. */
#include "syntax/parser.h"

#include <string.h>

#include "nn.tab.h"

typedef struct Expected {
    const char *const *names;
    int count;
} Expected;

static bool expects(const Expected *e, const char *name)
{
    for (int i = 0; i < e->count; i++)
        if (strcmp(e->names[i], name) == 0)
            return true;
    return false;
}

/* ---- what was found --------------------------------------------------------------------------------- */

static const char *found(Parser *p, const Token *t)
{
    if (t->kind == END)
        return p->alone ? "the end of the braces" : "the end of the file";
    if (t->kind == NEWLINE)
        return "the end of the line";
    int length = t->span.end - t->span.begin;
    return arena_format(p->arena, "`%.*s%s`", length > 40 ? 40 : length,
                        p->src->text + t->span.begin, length > 40 ? "…" : "");
}

/* ---- what was expected --------------------------------------------------------------------------------
 * The parser lists tokens; people think in groups.  A group is recognised by two of its members
 * and then named instead of all of them. */

typedef struct Group {
    const char *sign, *other_sign;
    const char *called;  /* or NULL: not worth mentioning */
    const char *members; /* each between spaces */
} Group;

static const Group groups[] = {
    {"`layer`", "`model`", "a declaration",
     " `model` `layer` `fn` `optimizer` `schedule` `initializer` `train` `import` `gradc` the end "
     "of the file an expression by itself "},
    {"`param`", "`loss`", "a statement",
     " `param` `state` `input` `target` `loss` `metric` `metric …[…]` `output` `gradient` `freeze` "
     "`init` `generate` `repeat` `for` `scan` `require`"
     " `return` `if` a name "},
    {"`<-`", "`=`", "`=` or `<-`", " `<-` `=` `[` `.` "},
    {"a number", "`(`", "an expression",
     " a number a string a reduction a name `true` `false` `(` `[` `-` `not` `if` "},
};

/* After an expression almost anything may follow; only what closes it is worth naming, and the
 * end of its statement is not. */
static const char continuations[] =
    " `+` `-` `*` `/` `%` `^` `|>` `and` `or` `==` `!=` `<` `<=` `>` `>=` `@` `.` `over` `fit`"
    " `(` `[` `}` the end of the file ";

static bool lists(const char *members, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = strstr(members, name); at; at = strstr(at + 1, name))
        if (at[-1] == ' ' && at[n] == ' ')
            return true;
    return false;
}

static bool after_expression(const Expected *e)
{
    return (expects(e, "`+`") && expects(e, "`*`")) || (expects(e, "`@`") && expects(e, "`.`"));
}

/* The expectations as phrases, groups first. */
static int phrases(const Expected *e, const char **out, int most)
{
    enum { GROUPS = sizeof groups / sizeof *groups };
    bool named[GROUPS];
    bool after = after_expression(e);
    int count = 0;
    for (size_t g = 0; g < GROUPS; g++) {
        named[g] = expects(e, groups[g].sign) && expects(e, groups[g].other_sign);
        if (named[g] && !after)
            out[count++] = groups[g].called;
    }
    for (int i = 0; i < e->count && count < most; i++) {
        bool covered = after && lists(continuations, e->names[i]);
        /* `(x else 0)` is rare; a missing parenthesis is not. */
        covered = covered || (expects(e, "`)`") && strcmp(e->names[i], "`else`") == 0);
        for (size_t g = 0; g < GROUPS; g++)
            covered = covered || (named[g] && lists(groups[g].members, e->names[i]));
        if (!covered && strcmp(e->names[i], "a place to go on") != 0 &&
            strcmp(e->names[i], "an expression by itself") != 0)
            out[count++] = e->names[i];
    }
    return count;
}

static bool begins_operand(const Token *t)
{
    return t->kind == NAME || t->kind == NUMBER || t->kind == STRING || t->kind == REDUCTION ||
           t->kind == TRUTH || t->kind == FALSITY;
}

static const char *sentence(Parser *p, const Expected *e)
{
    enum { MOST = 6 };
    const char *phrase[MOST];
    int count = phrases(e, phrase, MOST);
    if (count == 0 && p->last.kind == END)
        return "the file ends inside a block";
    if (count == 0)
        return arena_format(p->arena,
                            begins_operand(&p->last)
                                ? "expected an operator or a new line before %s"
                                : "unexpected %s",
                            found(p, &p->last));
    Text t;
    text_init(&t, p->arena);
    for (int i = 0; i < count; i++)
        text_printf(&t, "%s%s", i == 0 ? "expected " : i + 1 < count ? ", " : " or ", phrase[i]);
    text_printf(&t, ", found %s", found(p, &p->last));
    return t.data;
}

/* ---- notes and helps -------------------------------------------------------------------------------- */

static const char *const statement_words[] = {
    "param", "state",    "input",  "target", "loss", "metric", "output",  "gradient", "freeze",
    "init",  "generate", "repeat", "for",    "scan", "return", "require", "if",
};
static const char *const declaration_words[] = {
    "model", "layer", "fn", "optimizer", "schedule", "initializer", "train", "import",
};
#define COUNT(table) ((int)(sizeof table / sizeof *table))

/* The bracket that is open where something else than its end was found. */
static void note_unclosed(Parser *p, const Expected *e)
{
    if (!p->brackets.count)
        return;
    const Bracket *b = &p->brackets.data[p->brackets.count - 1];
    int from = b->span.begin, to = p->last.span.begin;
    const char *closer = b->opener == '(' ? "`)`" : b->opener == '[' ? "`]`" : "`}`";
    bool surely = p->last.starts_line || p->last.kind == END || p->last.kind == '}';
    if (!expects(e, closer) || (b->opener == '{' && p->last.kind != END))
        return;
    if (surely || memchr(p->src->text + from, '\n', (size_t)(to - from)))
        diag_note(p->cx->diag, b->span,
                  surely ? "this `%c` is not closed" : "this `%c` is still open", b->opener);
}

static bool is_word(const Parser *p, const Token *t)
{
    char c = p->src->text[t->span.begin];
    return t->span.end > t->span.begin && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'));
}

/* `y(i) = …` and `input x(4) : f32`, or a call that stands alone. */
static void help_with_parenthesis(Parser *p, const Expected *e)
{
    const char *s = p->src->text + p->last.span.begin;
    const size_t closing = strcspn(s, ")\n"),
                 beyond = closing + 1 + strspn(s + closing + (s[closing] == ')'), " ");
    const bool defines =
        s[closing] == ')' && (s[beyond] == '=' || s[beyond] == '<') && s[beyond + 1] != '=';
    if (defines || !expects(e, "`<-`"))
        diag_help(p->cx->diag, "dimensions and subscripts stand in brackets: %s[…]",
                  p->previous.value.word.text);
    else
        diag_help(p->cx->diag, "a call is no statement of its own: name what it gives, y = %s(…)",
                  p->previous.value.word.text);
}

static char innermost_opener(const Parser *p)
{
    return p->brackets.count ? p->brackets.data[p->brackets.count - 1].opener : '\0';
}

static void help_with_token(Parser *p, const Expected *e)
{
    Diag *d = p->cx->diag;
    int kind = p->last.kind;
    const int before = p->previous.kind;
    if (kind == NAME && before == IMPORT)
        diag_help(d, "an import names a file: import \"blocks.nn\"; the library needs none");
    else if (kind == ':' && expects(e, "`{`"))
        diag_help(d, "a block stands in braces: { … }");
    else if (kind == ':' && innermost_opener(p) == '[')
        diag_help(d, "a part of a tensor is defined by its indices: y[i: 2] = x[i + 1], "
                     "y[i] = x[i, 0]");
    else if (kind == '(' && before == NAME && expects(e, "`[`") && !expects(e, "a number"))
        help_with_parenthesis(p, e);
    else if (kind == ELSE && expects(e, "`{`"))
        diag_help(d, "a choice begins with its condition: if c then a else b");
    else if (kind == ',' && before == NAME && expects(e, "`<-`"))
        diag_help(d, "a definition has one name: parts = split(x, 2), and then parts[0], parts[1]");
    else if (expects(e, "`~`") && kind != '[')
        diag_help(d, "say how it starts: ~ normal(0, 0.1) at random, or = 0");
    else if (kind == PIPE && p->before_previous == OUTPUT)
        diag_help(d, "give it a name: output y = …");
    else if (kind == '}' && expects(e, "`layer`"))
        diag_help(d, "this `}` closes nothing: one is too many, or a `{` is missing above");
    else if (kind == '=' && p->train == TRAIN_INSIDE && !parser_in_brackets(p))
        diag_help(d, "an entry is a name and its values, without `=`");
    else if (kind == '=' && expects(e, "`==`"))
        diag_help(d, "to compare, write `==`");
    else if (kind == ARROW && after_expression(e))
        diag_help(d, "to compare with something negative, write `< -` with a space");
    else if (kind == ELSE && after_expression(e))
        diag_help(d, "what to read outside a tensor stands in parentheses: `(x[i] else 0)`");
    else if (kind == IF && expects(e, "a number"))
        diag_help(d, "put the `if` expression in parentheses");
    else if (expects(e, "a name") && !expects(e, "a number") && kind != NAME &&
             is_word(p, &p->last))
        diag_help(d, "`%.*s` is a keyword and cannot be a name",
                  p->last.span.end - p->last.span.begin, p->src->text + p->last.span.begin);
    else if (p->train == TRAIN_INSIDE && !parser_in_brackets(p) && kind == ',')
        diag_help(d, "each entry stands on a line of its own");
    else if (p->train == TRAIN_INSIDE && kind == '%' && before == NUMBER)
        diag_help(d, "a share is a number from 0 to 1: 0.2");
    else if (p->train == TRAIN_INSIDE && kind < 256 && strchr("+*/^%", kind))
        diag_help(d, "put the calculation in parentheses");
}

/* Words that open something in other languages. */
static const struct Habit {
    const char *word, *here;
} habits[] = {
    {"let", "a definition is a name and its value: n = 4"},
    {"const", "a definition is a name and its value: n = 4"},
    {"var", "a definition is a name and its value: n = 4"},
    {"def", "a function is fn name(x) { return … }, a layer layer name(x) { … }"},
    {"function", "a function is fn name(x) { return … }"},
    {"class", "a layer is layer name(x) { … }, with its parameters inside"},
    {"while", "the loops are repeat n { … } and for n in [64, 32] { … }"},
};

static bool complain_of_habit(Parser *p, const Token *t)
{
    for (int i = 0; i < COUNT(habits); i++)
        if (t->kind == NAME && t->starts_line && !strcmp(t->value.word.text, habits[i].word)) {
            diag_error(p->cx->diag, t->span, "`%s` is no word of the language", habits[i].word);
            diag_help(p->cx->diag, "%s", habits[i].here);
            return true;
        }
    return false;
}

/* `parm w[n] = 0`: a misspelt keyword reads as a name with another name behind it. */
static bool complain_of_misspelling(Parser *p, const Expected *e)
{
    const Token *t = &p->previous;
    if (!expects(e, "`<-`") || !expects(e, "`=`") || t->kind != NAME || p->last.kind != NAME)
        return false;
    const char *meant = diag_nearest(t->value.word.text, statement_words, COUNT(statement_words));
    if (meant) {
        diag_error(p->cx->diag, t->span, "`%s` begins no statement", t->value.word.text);
        diag_help(p->cx->diag, "did you mean `%s`?", meant);
    }
    return meant;
}

static void help_with_declaration(Parser *p)
{
    const char *meant =
        diag_nearest(p->last.value.word.text, declaration_words, COUNT(declaration_words));
    if (meant)
        diag_help(p->cx->diag, "did you mean `%s`?", meant);
    else
        diag_help(p->cx->diag, "statements stand inside a `model`, `layer` or `fn`");
}

/* `x = a b`: `b` has been taken for the next statement's name; the mistake is before it. */
static bool is_missing_operator(const Parser *p, const Expected *e)
{
    return expects(e, "`<-`") && expects(e, "`=`") && p->previous.kind == NAME &&
           !p->previous.starts_line && p->before_previous != '{' && p->before_previous != '}' &&
           p->before_previous != '.';
}

/* Bison quotes one-character tokens as C does. */
static const char **in_backticks(Parser *p, const char *const *names, int count)
{
    const char **out = arena_new(p->arena, const char *, count + 1);
    for (int i = 0; i < count; i++)
        out[i] = names[i][0] == '\'' ? arena_format(p->arena, "`%c`", names[i][1]) : names[i];
    return out;
}

/* A declaration keyword inside a block: the block before it was never closed. */
static bool complain_of_open_block(Parser *p)
{
    const Bracket *b = p->brackets.count ? &p->brackets.data[0] : NULL;
    if (!b || !p->last.starts_line || !lists(groups[0].members, found(p, &p->last)))
        return false;
    diag_error(p->cx->diag, p->last.span, "%s cannot stand inside a block", found(p, &p->last));
    diag_note(p->cx->diag, b->span, "this `%c` is not closed", b->opener);
    diag_help(p->cx->diag, "put a `}` before %s", found(p, &p->last));
    return true;
}

/* The end of a file is shown behind its last token, not on an empty line. */
static Span place(const Parser *p)
{
    if (p->last.kind != END || !p->previous.kind)
        return p->last.span;
    return (Span){p->file, p->previous.span.end, p->previous.span.end};
}

void complain(Parser *p, const char *const *names, int count)
{
    Expected e = {in_backticks(p, names, count), count};
    Diag *d = p->cx->diag;
    if (p->last.kind > NAME && p->last.kind != REDUCTION && complain_of_open_block(p))
        return;
    if (complain_of_misspelling(p, &e) || complain_of_habit(p, &p->previous) ||
        (expects(&e, "`layer`") && complain_of_habit(p, &p->last)))
        return;
    if (is_missing_operator(p, &e)) {
        diag_error(d, p->previous.span, "expected an operator or a new line before %s",
                   found(p, &p->previous));
        return;
    }
    diag_error(d, place(p), "%s", sentence(p, &e));
    note_unclosed(p, &e);
    if (expects(&e, "`layer`") && p->last.kind == NAME)
        help_with_declaration(p);
    else
        help_with_token(p, &e);
}
