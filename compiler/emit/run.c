/* `gradc run`: the trainer's main(), with the model compiled into this process. */
#include "emit/internal.h"
#include "gradrt.h"

static const gradc_model *model_of(Jit *j, const EmitUnit *u)
{
    if (!u)
        return NULL;
    const char *name = arena_format(u->arena, "%s_model", u->prefix);
    const gradc_model *model = jit_symbol(j, name);
    if (!model)
        bug("no %s in the compiled module", name);
    return model;
}

int emit_run(EmitUnit *u, EmitUnit *checked, int argc, char **argv)
{
    EmitUnit *units[] = {u, checked};
    const char *error = NULL;
    Jit *j = jit_create(units, checked ? 2 : 1, &error);
    if (!j)
        die("cannot compile in memory: %s", error);
    int status = gradrt_main(argc, argv, model_of(j, u), model_of(j, checked));
    jit_dispose(j);
    return status;
}
