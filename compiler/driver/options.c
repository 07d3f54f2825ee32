/* The compiler's command line, in the manner of cc. */
#include "driver/driver.h"

#include <ctype.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPT_EMIT = 256,
    OPT_TARGET,
    OPT_PREFIX,
    OPT_STD,
    OPT_MEMORY,
    OPT_MACHINE,
    OPT_MODEL,
    OPT_DIAGNOSTICS,
    OPT_COLOUR,
    OPT_EXPLAIN,
    OPT_VERSION,
    OPT_HELP,
    OPT_ATTR,
    OPT_PROFILE,
};

static const struct option long_options[] = {
    {"emit", required_argument, NULL, OPT_EMIT},
    {"target", required_argument, NULL, OPT_TARGET},
    {"prefix", required_argument, NULL, OPT_PREFIX},
    {"std", optional_argument, NULL, OPT_STD},
    {"max-memory", required_argument, NULL, OPT_MEMORY},
    {"machine", required_argument, NULL, OPT_MACHINE},
    {"model", required_argument, NULL, OPT_MODEL},
    {"mattr", required_argument, NULL, OPT_ATTR},
    {"diagnostics", required_argument, NULL, OPT_DIAGNOSTICS},
    {"color", required_argument, NULL, OPT_COLOUR},
    {"profile", no_argument, NULL, OPT_PROFILE},
    {"explain", no_argument, NULL, OPT_EXPLAIN},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static void print_help(void)
{
    printf("usage: gradc [options] model.nn            compile and link a trainer\n"
           "       gradc run [options] model.nn [-- trainer arguments]\n"
           "                                           compile in memory and train\n"
           "       gradc check model.nn                diagnose only\n"
           "       gradc fmt [-i] model.nn             canonical text, or -i to rewrite the file\n"
           "       gradc --std[=NAME]                  list the library, or print one definition\n"
           "\n"
           "  -o FILE              where to write\n"
           "  -c                   object file and C header        -S  assembly\n"
           "  --emit=KIND          any stage, to standard output unless -o names a file:\n");
    for (int i = 0; i < emit_kind_count(); i++)
        printf("                         %-9s %s\n", emit_kind_at(i)->name, emit_kind_at(i)->doc);
    printf("  -O0 … -O3            effort of the optimiser (default -O2)\n"
           "  -mcpu=NAME           processor to compile for (default: this one)\n"
           "  --mattr=LIST         processor features, as LLVM writes them: +avx2,-avx512f\n"
           "  --target=TRIPLE      another machine, such as aarch64-linux-gnu\n"
           "  -g                   debug information that points into the .nn file\n"
           "  --prefix=NAME        of every symbol, in place of the model's name\n"
           "  --model=NAME         which of the file's models\n"
           "  --max-memory=SIZE    an error when an instance needs more (suffixes K, M, G)\n"
           "  --machine=F,L2,M     GFLOP/s, GB/s from L2 and from memory: --emit=schedule tells "
           "floors\n"
           "  --profile            a trainer whose `train --profile` times each kernel\n"
           "  --explain            with --emit=grad or ir: which rewrites fired\n"
           "  --diagnostics=json   messages as JSON, one a line\n"
           "  --color=WHEN         always, never or auto\n"
           "  --version, --help\n");
}

static _Noreturn void usage_error(const char *what, const char *value)
{
    fprintf(stderr, "gradc: %s `%s`\nTry `gradc --help`.\n", what, value);
    exit(2);
}

static uint64_t read_size(const char *text)
{
    char *end;
    const double number = strtod(text, &end);
    double unit = 1;
    switch (toupper((unsigned char)*end)) {
    case 'K':
        unit = 1024;
        break;
    case 'M':
        unit = 1024 * 1024;
        break;
    case 'G':
        unit = 1024.0 * 1024 * 1024;
        break;
    case 0:
        end--;
        break;
    default:
        usage_error("not a size:", text);
    }
    if (end[1] || number <= 0)
        usage_error("not a size:", text);
    return (uint64_t)(number * unit);
}

/* "234,176,15": GFLOP/s, and GB/s from the second cache and from beyond it. */
static Rates read_rates(const char *text)
{
    double rates[3];
    char *end = NULL;
    for (int i = 0; i < 3; i++) {
        rates[i] = strtod(i ? end + 1 : text, &end) * 1e9;
        if (*end != (i < 2 ? ',' : 0) || !(rates[i] > 0))
            usage_error("not GFLOP/s and GB/s from L2 and from memory, such as 234,176,15:", text);
    }
    return (Rates){.flops = rates[0], .near = rates[1], .far = rates[2]};
}

static void read_option(Options *o, int option, const char *value)
{
    switch (option) {
    case 'o':
        o->output = value;
        break;
    case 'c':
        o->emit = emit_kind_find("obj");
        break;
    case 'S':
        o->emit = emit_kind_find("asm");
        break;
    case 'O':
        o->code.optimize = value ? value[0] - '0' : 2;
        if (value && (o->code.optimize < 0 || o->code.optimize > 3 || value[1]))
            usage_error("there is no optimisation level", value);
        break;
    case 'g':
        o->code.debug = true;
        break;
    case 'i':
        o->in_place = true;
        break;
    case 'm':
        if (strncmp(value, "cpu=", 4))
            usage_error("unknown option -m", value);
        o->code.cpu = value + 4;
        break;
    case OPT_ATTR:
        o->code.features = value;
        break;
    case OPT_EMIT:
        o->emit = emit_kind_find(value);
        if (!o->emit)
            usage_error("there is no stage", value);
        break;
    case OPT_TARGET:
        o->code.target = value;
        break;
    case OPT_PREFIX:
        o->code.prefix = value;
        break;
    case OPT_STD:
        o->command = COMMAND_LIBRARY;
        o->library_name = value;
        break;
    case OPT_MEMORY:
        o->max_memory = read_size(value);
        break;
    case OPT_MACHINE:
        o->rates = read_rates(value);
        break;
    case OPT_MODEL:
        o->model = value;
        break;
    case OPT_DIAGNOSTICS:
        if (strcmp(value, "json") && strcmp(value, "text"))
            usage_error("diagnostics are text or json, not", value);
        o->json = !strcmp(value, "json");
        break;
    case OPT_COLOUR:
        o->colour = !strcmp(value, "always") ? 1 : !strcmp(value, "never") ? 0 : -1;
        break;
    case OPT_PROFILE:
        o->code.profile = true;
        break;
    case OPT_EXPLAIN:
        o->explain = true;
        break;
    case OPT_VERSION:
        printf("gradc %s\n", GRADC_VERSION);
        exit(0);
    case OPT_HELP:
        print_help();
        exit(0);
    default:
        fprintf(stderr, "Try `gradc --help`.\n");
        exit(2);
    }
}

/* The first word that is no option, where it is a command's name. */
static Command read_command(int argc, char **argv)
{
    static const struct {
        const char *name;
        Command command;
    } commands[] = {{"run", COMMAND_RUN}, {"check", COMMAND_CHECK}, {"fmt", COMMAND_FORMAT}};
    for (size_t i = 0; optind < argc && i < sizeof commands / sizeof *commands; i++)
        if (!strcmp(argv[optind], commands[i].name)) {
            optind++;
            return commands[i].command;
        }
    return COMMAND_COMPILE;
}

/* What follows `--` belongs to the trainer. */
static void split_trainer(Options *o, int *argc, char **argv)
{
    for (int i = 1; i < *argc; i++)
        if (!strcmp(argv[i], "--")) {
            o->trainer = argv + i + 1;
            o->trainer_count = *argc - i - 1;
            *argc = i;
            return;
        }
}

Options command_line_read(Arena *a, int argc, char **argv)
{
    Options o = {.emit = emit_kind_find("exe"), .colour = -1, .code = {.optimize = 2}};
    split_trainer(&o, &argc, argv);
    int option;
    opterr = 1;
    while ((option = getopt_long(argc, argv, "o:cSO::gm:i", long_options, NULL)) != -1)
        read_option(&o, option, optarg);
    if (o.command == COMMAND_LIBRARY) {
        if (optind < argc && !o.library_name)
            o.library_name = argv[optind++];
        return o;
    }
    o.command = read_command(argc, argv);
    if (optind == argc) {
        fprintf(stderr, "gradc: no input file\nTry `gradc --help`.\n");
        exit(2);
    }
    o.input = argv[optind];
    if (optind + 1 < argc)
        usage_error("one input file at a time; what is", argv[optind + 1]);
    return o;
}
