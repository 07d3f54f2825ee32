/* The names of a program's entry points. */
#include "ir/program.h"

static const char *const names[] = {
    [ENTRY_INIT] = "init",     [ENTRY_STEP] = "step",       [ENTRY_GRADIENT] = "gradient",
    [ENTRY_UPDATE] = "update", [ENTRY_LOSS] = "loss",       [ENTRY_EVALUATE] = "evaluate",
    [ENTRY_FINISH] = "finish", [ENTRY_PREDICT] = "predict", [ENTRY_GENERATE] = "generate",
    [ENTRY_FIT] = "fit",       [ENTRY_FITTED] = "fitted",
};

const char *entry_name(EntryKind kind)
{
    return names[kind];
}
