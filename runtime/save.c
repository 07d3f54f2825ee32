/* When and where training is saved: the last state, and the best one as a copy in memory until it
 * is written with it.  The best is written first, so that a last file never knows of a best that
 * is not on disk. */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SUFFIX ".safetensors"

char *save_path_last(const gradc_model *model, const Options *o)
{
    return o->save ? text_format("%s", o->save) : text_format("%s%s", model->name, SUFFIX);
}

char *save_path_best(const gradc_model *model, const Options *o)
{
    char *last = save_path_last(model, o);
    size_t n = strlen(last), m = strlen(SUFFIX);
    bool has = n > m && strcmp(last + n - m, SUFFIX) == 0;
    char *best = text_format("%.*s.best%s", (int)(has ? n - m : n), last, has ? SUFFIX : "");
    free(last);
    return best;
}

void saver_create(Saver *s, const Instance *in, const Encoding *encoding, const Options *o)
{
    *s = (Saver){.encoding = encoding,
                 .last_path = save_path_last(in->model, o),
                 .best_path = save_path_best(in->model, o),
                 .saved_time = clock_seconds(),
                 .seconds = o->save_seconds,
                 .steps = o->save_steps};
    checkpoint_create(&s->layout, in->model);
    s->last = memory_get(s->layout.data_size, 1);
    s->best = memory_get(s->layout.data_size, 1);
}

void saver_destroy(Saver *s)
{
    checkpoint_destroy(&s->layout);
    free(s->last_path);
    free(s->best_path);
    free(s->last);
    free(s->best);
    *s = (Saver){0};
}

bool saver_check(const Saver *s, Error *e)
{
    const char *slash = strrchr(s->last_path, '/');
    char *folder =
        slash ? text_copy(s->last_path, (size_t)(slash - s->last_path) + 1) : text_copy(".", 1);
    bool ok = access(folder, W_OK | X_OK) == 0 ||
              error_set(e, "cannot save in the folder %s: %s\nhelp: give --save another place",
                        folder, strerror(errno));
    free(folder);
    return ok;
}

void saver_keep_best(Saver *s, const Instance *in, const Position *p)
{
    checkpoint_pack(&s->layout, in, s->best);
    s->best_at = *p;
    s->best_pending = true;
}

static bool write_one(Saver *s, const uint8_t *data, const Position *p, const char *path)
{
    Error e = {0};
    if (checkpoint_save(&s->layout, data, p, s->encoding, path, &e))
        return true;
    fprintf(stderr,
            "%s: %s\nhelp: what was saved before is whole; free some space, or give --save "
            "another place\n",
            program_invocation_short_name, e.text);
    error_clear(&e);
    return false;
}

bool saver_write(Saver *s, const Instance *in, const Position *p)
{
    if (s->best_pending)
        s->best_pending = !write_one(s, s->best, &s->best_at, s->best_path);
    s->failed = s->best_pending;
    s->saved_time = clock_seconds();
    if (s->failed)
        return false;
    checkpoint_pack(&s->layout, in, s->last);
    s->failed = !write_one(s, s->last, p, s->last_path);
    if (!s->failed) {
        s->saved = true;
        s->saved_step = p->step;
    }
    return !s->failed;
}

bool saver_due(const Saver *s, const Position *p, double now)
{
    if (s->steps)
        return p->step % s->steps == 0;
    return now - s->saved_time >= s->seconds;
}
