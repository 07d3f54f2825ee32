/* A trainer's main: one command each, and what the commands share. */
#include "data/data.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int cli_fail(Error *e)
{
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, e->text);
    error_clear(e);
    return 1;
}

size_t cli_thread_count(const Options *o)
{
    return o->threads ? (size_t)o->threads : pool_cores();
}

bool cli_data(Dataset *d, const gradc_model *model, const gradc_source *source, const Options *o,
              const Encoding *known, Error *e)
{
    gradc_source used;
    bool ok;
    if (source)
        ok = source_override(&used, source, &o->data, e);
    else if (o->data.count)
        ok = source_guess(&used, NULL, &o->data, model->inputs, model->input_count, e);
    else
        return error_set(e,
                         "%s names no data\nhelp: add a line such as data csv(\"file.csv\", target "
                         "= last) to its train block, or give --data FILE",
                         model->source);
    if (!ok)
        return false;
    const Request r = {&used, model->inputs, model->input_count, o->data_dir,
                       known, false,         !o->quiet};
    ok = dataset_open(d, &r, e);
    source_free(&used);
    return ok;
}

static char *existing_checkpoint(const gradc_model *model, const Options *o)
{
    if (o->checkpoint)
        return text_format("%s", o->checkpoint);
    char *best = save_path_best(model, o), *last = save_path_last(model, o);
    bool use_best = access(best, F_OK) == 0;
    free(use_best ? last : best);
    return use_best ? best : last;
}

char *cli_load(Instance *in, const Options *o, Position *p, Encoding *c, Error *e)
{
    Checkpoint layout;
    char *path = existing_checkpoint(in->model, o);
    if (access(path, F_OK) != 0) {
        error_set(e,
                  "there is no trained model %s\nhelp: train first (%s train), or name one with "
                  "--model FILE",
                  path, program_invocation_short_name);
        free(path);
        return NULL;
    }
    checkpoint_create(&layout, in->model);
    bool ok = checkpoint_load(&layout, in, CHECKPOINT_WEIGHTS, path, p, c, e);
    checkpoint_destroy(&layout);
    if (ok)
        return path;
    free(path);
    return NULL;
}

static bool check_abi(const gradc_model *model)
{
    if (model->abi == GRADC_ABI && model->train)
        return true;
    fprintf(stderr,
            "%s: the model was compiled for another runtime (ABI %u, this one has %u); "
            "compile and link it anew\n",
            program_invocation_short_name, model->abi, GRADC_ABI);
    return false;
}

/* Linux gives the matrix tiles of x86-64 to a process that asks: arch_prctl(ARCH_REQ_XCOMP_PERM,
 * XFEATURE_XTILEDATA). */
static bool tiles_permitted(void)
{
#if defined __x86_64__ && defined __linux__
    return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
#else
    return false;
#endif
}

/* Here for a sentence to read: the model itself would ask, and end the process. */
static bool check_tiles(const gradc_model *model)
{
    if (!model->matrix_tiles || tiles_permitted())
        return true;
    fprintf(stderr,
            "%s: the model was compiled for a processor with AMX, which this system does not "
            "permit; compile it with --mattr=-amx-tile\n",
            program_invocation_short_name);
    return false;
}

static int dispatch(const gradc_model *model, const gradc_model *checked, const Options *o)
{
    if (strcmp(o->command, "info") == 0)
        return info_command(model, o);
    if (!check_tiles(model))
        return 1;
    if (strcmp(o->command, "generate") == 0)
        return generate_command(model, o);
    switch (o->command[0]) {
    case 't':
        return train_command(model, o);
    case 'e':
        return evaluate_command(model, o);
    case 'p':
        return predict_command(model, o);
    default:
        return gradcheck_command(model, checked, o);
    }
}

int gradrt_main(int argc, char **argv, const gradc_model *model, const gradc_model *checked)
{
    Options o;
    if (!check_abi(model))
        return 1;
    signal(SIGXFSZ, SIG_IGN); /* a full disk or quota is an error to report, not the end */
    int status = options_read(&o, argc, argv, model);
    if (status < 0)
        status = dispatch(model, checked, &o);
    options_free(&o);
    if (fflush(stdout) != 0 && status == 0) {
        fprintf(stderr, "%s: cannot write to standard output\n", program_invocation_short_name);
        return 1;
    }
    return status;
}
