/* Pictures in folders: images("photos"), where each folder within is a class and its name the class's;
 * the model's input says the size, and whether they are grey or in colour.
 *
 * Up to KEPT_BYTES of decoded pictures are kept in memory, decoded at the start; more are decoded
 * each time they are read. */
#include "picture.h"

#include <dirent.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEPT_BYTES ((size_t)1 << 30)

typedef struct Paths {
    char **items;
    size_t count;
} Paths;

typedef struct Images {
    Dataset *set;
    const Request *request;
    const char *folder;
    int input, target; /* ports; -1: none */
    Names classes;     /* the folders found */
    Paths files;
    size_t *begins; /* the first file of each class, and the number of files */
    Error *error;
} Images;

/* ---- folders ---------------------------------------------------------------------------------------------- */

static void add_path(Paths *p, char *path)
{
    if ((p->count & (p->count + 1)) == 0 || !p->items) { /* at 2^k - 1 there is no room left */
        p->items = realloc(p->items, sizeof *p->items * 2 * (p->count + 1));
        if (!p->items)
            abort();
    }
    p->items[p->count++] = path;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The folders or the files in a folder, sorted; what begins with a dot is hidden. */
static bool list_folder(const char *folder, bool folders, Paths *out, Error *e)
{
    DIR *d = opendir(folder);
    if (!d)
        return error_set(e, "cannot open the folder %s: %s", folder, strerror(errno));
    for (struct dirent *entry; (entry = readdir(d));) {
        struct stat st;
        char *path = text_format("%s/%s", folder, entry->d_name);
        const bool known = *entry->d_name != '.' && stat(path, &st) == 0;
        if (known && (folders ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode)))
            add_path(out, path);
        else
            free(path);
    }
    closedir(d);
    if (out->count)
        qsort(out->items, out->count, sizeof *out->items, by_bytes);
    return true;
}

static void paths_free(Paths *p)
{
    for (size_t i = 0; i < p->count; i++)
        free(p->items[i]);
    free(p->items);
    *p = (Paths){0};
}

static bool take_class(Images *m, const char *folder)
{
    Paths inside = {0};
    const char *name = strrchr(folder, '/') + 1;
    if (!text_is_utf8(name))
        return error_set(m->error, "%s: the folder's name is not UTF-8, and cannot name a class",
                         folder);
    m->classes.items[m->classes.count++] = text_copy(name, strlen(name));
    if (!list_folder(folder, false, &inside, m->error)) {
        paths_free(&inside);
        return false;
    }
    for (size_t i = 0; i < inside.count; i++)
        add_path(&m->files, inside.items[i]);
    m->begins[m->classes.count] = m->files.count;
    free(inside.items);
    return inside.count ||
           error_set(m->error, "%s: the folder of a class holds no pictures", folder);
}

/* Folders within are classes; pictures beside them would belong to none. */
static bool find_files(Images *m)
{
    Paths folders = {0};
    struct stat st;
    if (stat(m->folder, &st) == 0 && S_ISREG(st.st_mode)) {
        add_path(&m->files, text_copy(m->folder, strlen(m->folder)));
        return true;
    }
    bool ok = list_folder(m->folder, true, &folders, m->error) &&
              list_folder(m->folder, false, &m->files, m->error);
    if (ok && folders.count && m->files.count)
        ok = error_set(m->error, "%s: lies beside the folders of classes, and belongs to none",
                       m->files.items[0]);
    m->classes.items = memory_get(folders.count, sizeof *m->classes.items);
    m->begins = memory_get(folders.count + 1, sizeof *m->begins);
    for (size_t i = 0; ok && i < folders.count; i++)
        ok = take_class(m, folders.items[i]);
    paths_free(&folders);
    if (ok && m->files.count == 0)
        return error_set(m->error, "%s: the folder holds no pictures", m->folder);
    return ok;
}

/* ---- classes ------------------------------------------------------------------------------------------------ */

static bool choose_names(Images *m)
{
    const Encoding *known = m->request->known;
    const gradc_port *p = &m->request->ports[m->target];
    Names *names = &m->set->encoding.names[m->target];
    const bool keeps = known && known->port_count == m->request->port_count;
    categories_copy(names, keeps ? &known->names[m->target] : &m->classes);
    if (names->count <= p->classes)
        return true;
    return error_set(
        m->error, "%s: holds the folders of %d classes (%s, %s, …), but %s is class(%lld)",
        m->folder, names->count, names->items[0], names->items[1], p->name, (long long)p->classes);
}

static bool fill_classes(Images *m)
{
    const gradc_port *p = &m->request->ports[m->target];
    const Names *names = &m->set->encoding.names[m->target];
    const size_t size = raw_size(p->type);
    if (!m->classes.count)
        return error_set(m->error, "%s: holds no folders, whose names would be the classes of %s",
                         m->folder, p->name);
    uint8_t *out = field_own(&m->set->fields[m->target], m->files.count, p);
    for (int c = 0; c < m->classes.count; c++) {
        const char *name = m->classes.items[c];
        const int class = categories_find(names, name, strlen(name));
        if (class < 0)
            return error_set(m->error, "%s: the folder %s is none of the %d classes of %s",
                             m->folder, name, names->count, p->name);
        for (size_t i = m->begins[c]; i < m->begins[c + 1]; i++)
            number_put(p->type, out + i * size, class);
    }
    return true;
}

/* ---- pictures ------------------------------------------------------------------------------------------------ */

/* What a field is read from; its paths lie behind it. */
typedef struct Gallery {
    size_t width, height, channels;
    bool crops;
    const char *const *paths;
} Gallery;

static bool read_picture(const Gallery *g, size_t row, uint8_t *out, Error *e)
{
    Bytes b;
    Picture p;
    if (!file_open(&b, g->paths[row], e))
        return false;
    const bool ok = picture_decode(&p, &b, g->width, g->height, g->paths[row], e);
    if (ok) {
        if (g->crops)
            picture_crop(&p, g->width, g->height);
        picture_fit(&p, g->width, g->height, g->channels, out);
        free(p.pixels);
    }
    file_close(&b);
    return ok;
}

static bool read_field(const Field *f, const gradc_port *p, size_t row, uint8_t *out, Error *e)
{
    (void)p;
    return read_picture(f->owned, row, out, e);
}

typedef struct Decoding {
    const Gallery *gallery;
    size_t count, size;
    uint8_t *out;
    Error *errors; /* of each picture */
    atomic_size_t done;
    bool shows;
    double shown; /* when, in seconds */
} Decoding;

/* A line on a terminal, once it takes longer than a second; by the thread that has the first picture. */
static void show_progress(Decoding *d)
{
    const double now = clock_coarse();
    if (!d->shows || now - d->shown < 1)
        return;
    d->shown = now;
    fprintf(stderr, "\r\033[Kdecoding pictures: %zu of %zu", atomic_load(&d->done), d->count);
    fflush(stderr);
}

static void decode_some(void *arguments, size_t begin, size_t end, void *scratch)
{
    Decoding *d = arguments;
    (void)scratch;
    for (size_t i = begin; i < end; i++) {
        if (!read_picture(d->gallery, i, d->out + i * d->size, &d->errors[i]))
            return;
        atomic_fetch_add(&d->done, 1);
        if (begin == 0)
            show_progress(d);
    }
}

static bool decode_all(Images *m, const Gallery *g)
{
    const gradc_port *p = &m->request->ports[m->input];
    const double now = clock_coarse();
    Decoding d = {.gallery = g,
                  .count = m->files.count,
                  .size = port_size(p),
                  .out = field_own(&m->set->fields[m->input], m->files.count, p),
                  .errors = memory_get(m->files.count, sizeof *d.errors),
                  .shows = m->request->shows && isatty(STDERR_FILENO),
                  .shown = now};
    Pool *pool = pool_create(pool_cores());
    bool ok = true;
    pool_run(pool, decode_some, &d, m->files.count, NULL, 0);
    pool_destroy(pool);
    if (d.shown != now)
        fputs("\r\033[K", stderr);
    for (size_t i = 0; i < m->files.count; i++) {
        if (ok && d.errors[i].text)
            ok = error_set(m->error, "%s", d.errors[i].text);
        error_clear(&d.errors[i]);
    }
    free(d.errors);
    return ok;
}

/* One block: the gallery, its paths, their text. */
static Gallery *copy_gallery(const Gallery *from, size_t count)
{
    size_t text = 0;
    for (size_t i = 0; i < count; i++)
        text += strlen(from->paths[i]) + 1;
    Gallery *g = memory_get(1, sizeof *g + count * sizeof *g->paths + text);
    const char **paths = (const char **)(void *)(g + 1);
    char *at = (char *)(paths + count);
    for (size_t i = 0; i < count; i++) {
        paths[i] = at;
        at = stpcpy(at, from->paths[i]) + 1;
    }
    *g = *from;
    g->paths = paths;
    return g;
}

static bool fill_pictures(Images *m)
{
    const gradc_port *x = &m->request->ports[m->input];
    Field *f = &m->set->fields[m->input];
    const char *keep = option_text(m->request->source, "keep", "auto");
    const bool kept = strcmp(keep, "yes") == 0, fresh = strcmp(keep, "no") == 0;
    const char *fit = option_text(m->request->source, "fit", "stretch");
    const Gallery g = {(size_t)x->shape[1], (size_t)x->shape[0],
                       x->rank == 3 ? (size_t)x->shape[2] : 1, strcmp(fit, "crop") == 0,
                       (const char *const *)m->files.items};
    if (!g.crops && strcmp(fit, "stretch") != 0)
        return error_set(m->error, "images: fit is stretch or crop, not %s", fit);
    if (!kept && !fresh && strcmp(keep, "auto") != 0)
        return error_set(m->error, "images: keep is yes, no or auto, not %s", keep);
    if (kept || (!fresh && m->files.count <= KEPT_BYTES / port_size(x)))
        return decode_all(m, &g);
    f->owned = copy_gallery(&g, m->files.count);
    f->read = read_field;
    m->set->decodes = true;
    return true;
}

/* ---- the whole -------------------------------------------------------------------------------------------------- */

static bool is_picture(const gradc_port *p)
{
    return p->type == GRADC_U8 && p->domain == GRADC_NUMBER &&
           (p->rank == 2 || (p->rank == 3 && (p->shape[2] == 1 || p->shape[2] == 3)));
}

static bool place_ports(Images *m)
{
    const Request *r = m->request;
    m->input = m->target = -1;
    for (int i = 0; i < r->port_count; i++) {
        const gradc_port *p = &r->ports[i];
        int *place = p->is_target ? &m->target : &m->input;
        if (*place >= 0)
            return error_set(m->error,
                             "images fills one input and one target, but the model has %s and %s",
                             r->ports[*place].name, p->name);
        if (p->is_target ? p->rank != 0 || p->domain == GRADC_NUMBER : !is_picture(p))
            return error_set(m->error, "images: the %s %s is no %s\nhelp: declare it as %s%s",
                             p->is_target ? "target" : "input", p->name,
                             p->is_target ? "class" : "picture", p->name,
                             p->is_target ? " : class(10)"
                                          : "[32, 32, 3] : u8, or, in grey, [32, 32] : u8");
        *place = i;
    }
    return m->input >= 0 || error_set(m->error, "images: the model has no input");
}

static bool read_images(Images *m)
{
    if (!place_ports(m) || !find_files(m) || (m->target >= 0 && !choose_names(m)))
        return false;
    if (m->target >= 0 && !port_is_idle(m->request, m->target) && !fill_classes(m))
        return false;
    return dataset_agree(m->set, m->files.count, m->folder, m->error) && fill_pictures(m);
}

bool source_images(Dataset *d, const Request *r, Error *e);
bool source_images(Dataset *d, const Request *r, Error *e)
{
    const gradc_option *o = option_positional(r->source, 0);
    if (!o || !o->text)
        return error_set(e, "images needs the path of its folder");
    char *folder = file_find(o->text, r->folder);
    Images m = {.set = d, .request = r, .folder = folder, .error = e};
    const bool ok = read_images(&m);
    paths_free(&m.files);
    names_free(&m.classes);
    free(m.begins);
    free(folder);
    return ok;
}
