/* Hyper-parameters: numbers of the model that the caller may set between steps. */
#include "internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const gradc_tensor *hyper_find(const gradc_model *model, const char *name)
{
    for (int i = 0; i < model->tensor_count; i++) {
        const gradc_tensor *t = &model->tensors[i];
        if (t->role == GRADC_HYPER && strcmp(t->name, name) == 0)
            return t;
    }
    return NULL;
}

static bool no_hyper(const gradc_model *model, const char *name, Error *e)
{
    char *all = text_format("help: it has");
    int count = 0;
    for (int i = 0; i < model->tensor_count; i++)
        if (model->tensors[i].role == GRADC_HYPER) {
            char *more = text_format("%s%s %s", all, count++ ? "," : "", model->tensors[i].name);
            free(all);
            all = more;
        }
    error_set(e, "the model has no hyper-parameter named %s", name);
    if (count)
        error_add(e, "%s", all);
    else
        error_add(e, "help: it has none that can be set");
    free(all);
    return false;
}

bool hyper_set(Instance *in, const char *name, double value, Error *e)
{
    const gradc_tensor *t = hyper_find(in->model, name);
    if (!t)
        return no_hyper(in->model, name, e);
    number_put(t->type, tensor_data(in, t), value);
    return true;
}

bool hyper_assign(Instance *in, const char *text, Error *e)
{
    const char *equals = strchr(text, '=');
    char *end = NULL;
    double value = equals ? strtod(equals + 1, &end) : 0;
    if (!equals || equals == text || end == equals + 1 || *end || !isfinite(value))
        return error_set(e, "--set takes name=number, not %s", text);
    char *name = text_copy(text, (size_t)(equals - text));
    bool ok = hyper_set(in, name, value, e);
    free(name);
    return ok;
}
