/* Several sources side by side: the first example of each makes the first example, and so on.  Each
 * is opened as a set of its own for the ports that it fills, and the sets become one. */
#include "data.h"

#include <stdlib.h>
#include <string.h>

typedef struct Side {
    const gradc_source *source;
    gradc_port *ports; /* those it fills */
    int *places;       /* and where each stands in the model */
    int count;
} Side;

typedef struct Sides {
    Dataset *set;
    const Request *request;
    Side *items;
    int count;
    const Side **owners; /* of each port, or NULL */
    Error *error;
} Sides;

/* ---- who fills what ---------------------------------------------------------------------------------------- */

static bool claim(Sides *s, Side *side, int port)
{
    if (s->owners[port] && s->owners[port] != side)
        return error_set(s->error, "%s and %s both fill %s", s->owners[port]->source->kind,
                         side->source->kind, s->request->ports[port].name);
    if (s->owners[port])
        return true;
    s->owners[port] = side;
    side->ports[side->count] = s->request->ports[port];
    side->places[side->count++] = port;
    return true;
}

static int port_named(const Request *r, const char *name, size_t length)
{
    for (int i = 0; i < r->port_count; i++)
        if (strlen(r->ports[i].name) == length && memcmp(r->ports[i].name, name, length) == 0)
            return i;
    return -1;
}

/* Words apart by blanks or commas, each up to a ':'. */
static bool claim_words(Sides *s, Side *side, const char *text, bool all_ports)
{
    for (const char *p = text; *(p += strspn(p, " ,\t"));) {
        const size_t whole = strcspn(p, " ,\t"), length = strcspn(p, " ,\t:");
        const int port = port_named(s->request, p, length);
        if (port < 0 && all_ports)
            return error_set(s->error, "%s: fills names %.*s, which is no input or target",
                             side->source->kind, (int)length, p);
        if (port >= 0 && !claim(s, side, port))
            return false;
        p += whole;
    }
    return true;
}

/* What a source says it fills: by `fills`, else by what it lays out, or by options with the names
 * of ports. */
static bool claim_named(Sides *s, Side *side)
{
    const gradc_source *source = side->source;
    const char *fills = option_text(source, "fills", NULL);
    if (fills)
        return claim_words(s, side, fills, true);
    const char *layout = option_text(source, "layout", NULL);
    if (layout)
        return claim_words(s, side, layout, false);
    for (int i = 0; i < source->option_count; i++) {
        const int port =
            port_named(s->request, source->options[i].key, strlen(source->options[i].key));
        if (port >= 0 && !claim(s, side, port))
            return false;
    }
    return true;
}

/* The one that names none fills what is left. */
static bool claim_rest(Sides *s)
{
    Side *rest = NULL;
    for (int i = 0; i < s->count; i++) {
        if (s->items[i].count || !source_has_path(s->items[i].source->kind))
            continue;
        if (rest)
            return error_set(s->error,
                             "nothing says which inputs and targets %s fills, and which %s\nhelp: "
                             "name those of one, as in %s(…, fills = \"x y\")",
                             rest->source->kind, s->items[i].source->kind, rest->source->kind);
        rest = &s->items[i];
    }
    for (int i = 0; rest && i < s->request->port_count; i++)
        if (!s->owners[i] && !claim(s, rest, i))
            return false;
    return true;
}

/* ---- one set of several --------------------------------------------------------------------------------------- */

/* What the side's ports have in the checkpoint; the names are borrowed. */
static Encoding known_of(const Sides *s, const Side *side)
{
    const Encoding *known = s->request->known;
    Encoding c = {memory_get((size_t)side->count, sizeof *c.names), side->count, known->fills,
                  known->fill_count};
    for (int i = 0; i < side->count; i++)
        c.names[i] = known->names[side->places[i]];
    return c;
}

static void take_fills(Encoding *to, Encoding *from)
{
    if (!from->fill_count)
        return;
    to->fills = realloc(to->fills, sizeof *to->fills * (size_t)(to->fill_count + from->fill_count));
    if (!to->fills)
        abort();
    memcpy(to->fills + to->fill_count, from->fills, sizeof *to->fills * (size_t)from->fill_count);
    to->fill_count += from->fill_count;
    from->fill_count = 0;
}

/* Moves everything out of `part`, so that closing it frees what is left. */
static bool join(Sides *s, const Side *side, Dataset *part)
{
    Dataset *d = s->set;
    for (int i = 0; i < side->count; i++) {
        const int port = side->places[i];
        d->fields[port] = part->fields[i];
        part->fields[i].owned = NULL;
        d->encoding.names[port] = part->encoding.names[i];
        part->encoding.names[i] = (Names){0};
    }
    for (int i = 0; i < part->file_count; i++) {
        dataset_keep(d, *part->files[i]);
        *part->files[i] = (Bytes){0};
    }
    take_fills(&d->encoding, &part->encoding);
    d->decodes |= part->decodes;
    d->gap = part->gap > d->gap ? part->gap : d->gap;
    d->apart = part->apart > d->apart ? part->apart : d->apart;
    if (part->groups) {
        free(d->groups);
        d->groups = part->groups;
        d->group_count = part->group_count;
        part->groups = NULL;
    }
    return dataset_agree(d, part->count, part->counted_by, s->error);
}

static bool is_needed(const Sides *s, const Side *side)
{
    for (int i = 0; i < side->count; i++)
        if (!port_is_idle(s->request, side->places[i]))
            return true;
    return false;
}

static bool open_side(Sides *s, const Side *side)
{
    gradc_source alone = *side->source;
    Encoding known = {0};
    if (s->request->known)
        known = known_of(s, side);
    alone.beside = NULL;
    const Request r = {&alone,
                       side->ports,
                       side->count,
                       s->request->folder,
                       s->request->known ? &known : NULL,
                       s->request->targets_optional,
                       s->request->shows};
    Dataset part;
    bool ok = dataset_open(&part, &r, s->error);
    free(known.names);
    if (ok) {
        ok = join(s, side, &part);
        dataset_close(&part);
    }
    return ok;
}

bool open_beside(Dataset *d, const Request *r, Error *e)
{
    Sides s = {.set = d, .request = r, .error = e};
    const size_t ports = (size_t)r->port_count;
    for (const gradc_source *source = r->source; source; source = source->beside)
        s.count++;
    s.items = memory_get((size_t)s.count, sizeof *s.items);
    s.owners = memory_get(ports, sizeof *s.owners);
    bool ok = true;
    const gradc_source *source = r->source;
    for (int i = 0; i < s.count; i++, source = source->beside) {
        s.items[i] = (Side){source, memory_get(ports, sizeof(gradc_port)),
                            memory_get(ports, sizeof(int)), 0};
        ok = ok && claim_named(&s, &s.items[i]);
    }
    ok = ok && claim_rest(&s);
    for (int i = 0; ok && i < s.count; i++)
        ok = !is_needed(&s, &s.items[i]) || open_side(&s, &s.items[i]);
    for (int i = 0; i < s.count; i++) {
        free(s.items[i].ports);
        free(s.items[i].places);
    }
    free(s.items);
    free(s.owners);
    return ok;
}
