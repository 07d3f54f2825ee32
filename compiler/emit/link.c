/* The system's linker, through its compiler driver, makes a trainer of objects and libgradrt. */
#include "emit/emit.h"

#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

typedef VEC(const char *) Words;

/* ---- libgradrt ---------------------------------------------------------------------------------------- */

static const char *library_in(Arena *a, const char *folder)
{
    const char *path = arena_format(a, "%s/libgradrt.a", folder);
    return access(path, R_OK) ? NULL : path;
}

static const char *program_folder(Arena *a)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0)
        return ".";
    path[n] = 0;
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = 0;
    return arena_format(a, "%s", path);
}

/* Where GRADC_RUNTIME says; else beside an installed gradc; else in the tree it was built in. */
static const char *find_runtime(Arena *a)
{
    const char *chosen = getenv("GRADC_RUNTIME");
    if (chosen && *chosen)
        return library_in(a, chosen);
    const char *beside =
        library_in(a, arena_format(a, "%s/../%s", program_folder(a), GRADC_LIBDIR));
    return beside ? beside : library_in(a, GRADC_RUNTIME_DIR);
}

/* ---- the command ---------------------------------------------------------------------------------------- */

/* What CMake calls a library, as the linker does. */
static const char *linker_name(Arena *a, const char *library)
{
    static const struct {
        const char *target, *flag;
    } known[] = {{"ZLIB::ZLIB", "-lz"}, {"Threads::Threads", "-pthread"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(library, known[i].target))
            return known[i].flag;
    if (*library == '-' || *library == '/')
        return library;
    return strchr(library, ':') ? NULL : arena_format(a, "-l%s", library);
}

static void add_libraries(Arena *a, Words *words)
{
    char *list = arena_format(a, "%s", GRADC_RUNTIME_LIBRARIES), *rest = NULL;
    vec_push(a, words, "-Wl,--as-needed"); /* pictures are for those who read some */
    for (char *word = strtok_r(list, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        const char *flag = linker_name(a, word);
        if (flag)
            vec_push(a, words, flag);
    }
}

static bool run_command(const Words *words, const char **error, Arena *a)
{
    pid_t child;
    int status, failure = posix_spawnp(&child, words->data[0], NULL, NULL,
                                       (char *const *)words->data, environ);
    if (failure) {
        *error = arena_format(a, "cannot run %s: %s", words->data[0], strerror(failure));
        return false;
    }
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            die("waiting for %s: %s", words->data[0], strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    *error = arena_format(a, "%s could not link the program", words->data[0]);
    return false;
}

static bool on_path(const char *program)
{
    const char *path = getenv("PATH");
    char folder[PATH_MAX];
    for (; path && *path; path += strcspn(path, ":"), path += *path == ':') {
        int length = (int)strcspn(path, ":");
        if (snprintf(folder, sizeof folder, "%.*s/%s", length, path, program) <
                (int)sizeof folder &&
            !access(folder, X_OK))
            return true;
    }
    return false;
}

static const char *compiler_driver(void)
{
    static const char *const candidates[] = {"cc", "clang", "gcc"};
    const char *chosen = getenv("CC");
    if (chosen && *chosen && !strchr(chosen, ' '))
        return chosen;
    for (size_t i = 0; i < sizeof candidates / sizeof *candidates; i++)
        if (on_path(candidates[i]))
            return candidates[i];
    return NULL;
}

/* The runtime refers to most sources weakly: only what a trainer names comes along. */
static void add_source(Arena *a, Words *words, const TrainSource *s)
{
    for (; s; s = s->beside)
        vec_push(a, words, arena_format(a, "-Wl,-u,source_%s", s->kind));
}

bool emit_link(const char *const *objects, int count, const Train *train, const char *output,
               const char **error, Arena *a)
{
    Words words = {0};
    const char *driver = compiler_driver(), *runtime = find_runtime(a);
    if (!driver) {
        *error = "no linker: neither cc, clang nor gcc is on the PATH, and CC is not set";
        return false;
    }
    if (!runtime) {
        *error = "no libgradrt.a: set GRADC_RUNTIME to the folder that holds it";
        return false;
    }
    vec_push(a, &words, driver);
    vec_push(a, &words, "-o");
    vec_push(a, &words, output);
    if (*GRADC_SANITIZE) /* a runtime built with sanitizers needs theirs */
        vec_push(a, &words, "-fsanitize=" GRADC_SANITIZE);
    for (int i = 0; i < count; i++)
        vec_push(a, &words, objects[i]);
    add_source(a, &words, train->data);
    add_source(a, &words, train->holdout);
    vec_push(a, &words, runtime);
    add_libraries(a, &words);
    vec_push(a, &words, NULL);
    return run_command(&words, error, a);
}
