/* The model's tensors in a safetensors file.  What inference reads stands under the names of parameters
 * and states, so that other tools find it; what only training needs under optimizer.*. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPTIMIZER "optimizer."

/* ---- the layout ---------------------------------------------------------------------------------- */

static bool is_saved(const gradc_tensor *t)
{
    return t->role != GRADC_GRADIENT;
}

/* A parameter's average stands under its name, and the parameter aside. */
static bool is_optimizer(const gradc_model *model, const gradc_tensor *t)
{
    return t->role == GRADC_MOMENT || t->role == GRADC_HYPER || average_of(model, t);
}

static char *saved_name(const gradc_model *model, const gradc_tensor *t)
{
    if (t->role == GRADC_AVERAGE)
        return text_format("%s", model->tensors[t->of].name);
    return text_format("%s%s", is_optimizer(model, t) ? OPTIMIZER : "", t->name);
}

static void add_entry(Checkpoint *c, const gradc_tensor *t)
{
    TensorEntry *entry = &c->entries[c->count];
    uint64_t size = t->count * raw_size(t->type);
    entry->name = saved_name(c->model, t);
    strcpy(entry->type, raw_name(t->type));
    entry->rank = t->rank;
    entry->shape = memory_get((size_t)t->rank, sizeof *entry->shape);
    if (t->rank) /* a number has no shape to copy from */
        memcpy(entry->shape, t->shape, (size_t)t->rank * sizeof *entry->shape);
    entry->begin = c->data_size;
    entry->end = c->data_size + size;
    c->tensors[c->count++] = t;
    c->data_size += size;
}

void checkpoint_create(Checkpoint *c, const gradc_model *model)
{
    size_t n = (size_t)model->tensor_count;
    *c = (Checkpoint){.model = model,
                      .entries = memory_get(n, sizeof *c->entries),
                      .tensors = memory_get(n, sizeof *c->tensors)};
    for (size_t size = 8; size; size /= 2) /* wide types first: everything stays aligned */
        for (size_t i = 0; i < n; i++)
            if (is_saved(&model->tensors[i]) && raw_size(model->tensors[i].type) == size)
                add_entry(c, &model->tensors[i]);
}

void checkpoint_destroy(Checkpoint *c)
{
    for (int i = 0; i < c->count; i++) {
        free(c->entries[i].name);
        free(c->entries[i].shape);
    }
    free(c->entries);
    free(c->tensors);
    *c = (Checkpoint){0};
}

void checkpoint_pack(const Checkpoint *c, const Instance *in, uint8_t *data)
{
    for (int i = 0; i < c->count; i++)
        memcpy(data + c->entries[i].begin, tensor_data(in, c->tensors[i]),
               (size_t)(c->entries[i].end - c->entries[i].begin));
}

/* ---- writing ------------------------------------------------------------------------------------------ */

static bool write_all(int fd, const void *data, size_t size)
{
    const char *p = data;
    while (size) {
        ssize_t n = write(fd, p, size < 1u << 30 ? size : 1u << 30);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (n == 0)
                errno = ENOSPC;
            return false;
        }
        p += n;
        size -= (size_t)n;
    }
    return true;
}

/* The rename itself must survive a power cut. */
static bool sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? text_copy(path, (size_t)(slash - path) + 1) : text_copy(".", 1);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    if (fd < 0)
        return false;
    bool ok = fsync(fd) == 0 || errno == EINVAL; /* some file systems cannot, and need not */
    close(fd);
    return ok;
}

static bool write_aside(const char *aside, const void *header, size_t header_size, const void *data,
                        size_t data_size)
{
    int fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return false;
    bool ok =
        write_all(fd, header, header_size) && write_all(fd, data, data_size) && fsync(fd) == 0;
    int kept = errno;
    if (close(fd) != 0 && ok) {
        ok = false;
        kept = errno;
    }
    errno = kept;
    return ok;
}

bool checkpoint_save(const Checkpoint *c, const uint8_t *data, const Position *p,
                     const Encoding *encoding, const char *path, Error *e)
{
    Pair *pairs;
    int pair_count;
    size_t size;
    metadata_write(c->model, p, encoding, &pairs, &pair_count);
    char *header = safetensors_header(c->entries, c->count, pairs, pair_count, &size);
    char *aside = text_format("%s.tmp", path);
    bool ok = write_aside(aside, header, size, data, c->data_size) && rename(aside, path) == 0 &&
              sync_folder(path);
    if (!ok) {
        error_set(e, "cannot write %s: %s", path, strerror(errno));
        unlink(aside);
    }
    pairs_free(pairs, pair_count);
    free(header);
    free(aside);
    return ok;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static bool same_shape(const TensorEntry *entry, const gradc_tensor *t)
{
    return entry->rank == t->rank &&
           (t->rank == 0 ||
            memcmp(entry->shape, t->shape, (size_t)t->rank * sizeof *t->shape) == 0);
}

static bool takes(gradc_dtype mine, const char *theirs, bool exact)
{
    return exact ? strcmp(theirs, raw_name(mine)) == 0 : safetensors_converts(theirs, mine);
}

void tensor_compare(const gradc_tensor *mine, const TensorEntry *entry, const char *theirs,
                    bool exact, Error *differences)
{
    char a[SHAPE_TEXT], b[SHAPE_TEXT];
    const char *type = raw_name(mine->type), *shape = shape_write(a, mine->rank, mine->shape);
    const bool renamed = strcmp(theirs, mine->name) != 0;
    if (!entry)
        error_add(differences, "  %s: not in the file%s%s; %s %s in the model", mine->name,
                  renamed ? " as " : "", renamed ? theirs : "", type, shape);
    else if (!same_shape(entry, mine) || !takes(mine->type, entry->type, exact))
        error_add(differences, "  %s: %s %s in the file%s%s, %s %s in the model", mine->name,
                  entry->type, shape_write(b, entry->rank, entry->shape), renamed ? " as " : "",
                  renamed ? theirs : "", type, shape);
}

static bool is_wanted(const char *name, CheckpointPart part)
{
    return part == CHECKPOINT_ALL || strncmp(name, OPTIMIZER, sizeof OPTIMIZER - 1) != 0;
}

/* A whole number that no model of ours has, such as PyTorch's num_batches_tracked: no harm in it. */
static bool is_counter(const TensorEntry *t)
{
    return t->rank == 0 && strchr("IU", t->type[0]);
}

static void tell_counters(const Checkpoint *c, const Safetensors *s, const char *path)
{
    int count = 0;
    const char *first = "";
    for (int i = s->entry_count - 1; i >= 0; i--)
        if (is_counter(&s->entries[i])) {
            first = s->entries[i].name;
            count++;
        }
    if (count)
        fprintf(stderr, "%s: %s%s of %s%s not used: a count, and no number of the model %s\n",
                program_invocation_short_name, first, count > 1 ? " and others" : "", path,
                count > 1 ? " are" : " is", c->model->name);
}

static bool compare(const Checkpoint *c, const Safetensors *s, CheckpointPart part,
                    const char *path, Error *e)
{
    Error differences = {0};
    for (int i = 0; i < c->count; i++)
        if (is_wanted(c->entries[i].name, part))
            tensor_compare(c->tensors[i], safetensors_find(s, c->entries[i].name),
                           c->entries[i].name, part == CHECKPOINT_ALL, &differences);
    for (int i = 0; i < s->entry_count; i++) {
        bool known = !is_wanted(s->entries[i].name, part);
        for (int j = 0; j < c->count && !known; j++)
            known = strcmp(c->entries[j].name, s->entries[i].name) == 0;
        if (!known && !is_counter(&s->entries[i]))
            error_add(&differences, "  %s: in the file, not in the model", s->entries[i].name);
    }
    if (!differences.text)
        return true;
    error_set(e, "%s does not fit the model %s:\n%s", path, c->model->name, differences.text);
    error_add(e, "help: use the trainer that wrote it, or train anew without --resume");
    error_clear(&differences);
    return false;
}

bool checkpoint_load(const Checkpoint *c, Instance *in, CheckpointPart part, const char *path,
                     Position *p, Encoding *encoding, Error *e)
{
    Safetensors s;
    if (!safetensors_open(&s, path, e))
        return false;
    bool ok = compare(c, &s, part, path, e) && metadata_read(&s, c->model, p, encoding, e);
    for (int i = 0; ok && i < c->count; i++) {
        if (!is_wanted(c->entries[i].name, part))
            continue;
        safetensors_copy(&s, safetensors_find(&s, c->entries[i].name), c->tensors[i]->type,
                         tensor_data(in, c->tensors[i]));
        if (part == CHECKPOINT_WEIGHTS && c->tensors[i]->role == GRADC_AVERAGE)
            copy_tensor(in, &c->model->tensors[c->tensors[i]->of], c->tensors[i]);
    }
    if (ok) {
        tell_counters(c, &s, path);
        c->model->set_step(in->self, p->step);
    }
    safetensors_close(&s);
    return ok;
}
