/* programs/bench.c - `weir bench`: the command line in front of the yardstick of bench/. */
#include "bench/bench.h"

#include "programs/commands.h"
#include "programs/say.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECONDS_MAX = 1000000, PROGRAM_BYTES_MAX = 4096 };

/* The values of --set. False, with the sentence printed, when there are too many. */
static bool sets_read(const weir_arguments *arguments, char **sets, size_t *count)
{
    size_t position = 0;
    const char *value;
    while ((value = weir_arguments_next(arguments, "set", &position)) != NULL) {
        if (*count == WEIR_BENCH_SETS_MAX) {
            weir_say("--set: at most %d of them", WEIR_BENCH_SETS_MAX);
            return false;
        }
        sets[(*count)++] = (char *)(uintptr_t)value; /* argv's own, which exec wants writable */
    }
    return true;
}

static weir_exit exit_of(weir_bench_verdict verdict)
{
    switch (verdict) {
    case WEIR_BENCH_DONE:
        return WEIR_EXIT_DONE;
    case WEIR_BENCH_USAGE:
        return WEIR_EXIT_USAGE;
    case WEIR_BENCH_FAILED:
    case WEIR_BENCH_VOID:
    case WEIR_BENCH_STOPPED:
        break;
    }
    return WEIR_EXIT_ERROR;
}

/* 0 when it is not given. False, with the sentence printed, when it is no time. */
static bool seconds_read(const weir_arguments *arguments, const char *name, unsigned *ms)
{
    long long value = 0;
    bool good = weir_arguments_seconds(arguments, name, SECONDS_MAX, &value);
    *ms = (unsigned)value;
    return good;
}

/* The weir to measure: --weir, from the root on, for it is started in another folder; or this one. */
static bool program_read(const weir_arguments *arguments, char program[PROGRAM_BYTES_MAX])
{
    const char *given = weir_arguments_text(arguments, "weir");
    char *path = realpath(given == NULL ? "/proc/self/exe" : given, NULL);
    bool good = path != NULL && strlen(path) < PROGRAM_BYTES_MAX && access(path, X_OK) == 0;
    if (good) {
        memcpy(program, path, strlen(path) + 1);
    } else {
        weir_say("--weir: %s cannot be run: %s", given == NULL ? "this program" : given,
                 strerror(path == NULL || errno != 0 ? errno : ENAMETOOLONG));
    }
    free(path);
    return good;
}

weir_exit weir_run_bench(const weir_arguments *arguments)
{
    char program[PROGRAM_BYTES_MAX];
    long long repeats = 0;
    long long mqtt_version = 0;
    char *sets[WEIR_BENCH_SETS_MAX];
    weir_bench_options options = {
        .rows = arguments->operands,
        .row_count = arguments->operand_count,
        .all = weir_arguments_has(arguments, "all"),
        .list = weir_arguments_has(arguments, "list"),
        .json = weir_arguments_has(arguments, "json"),
        .only = weir_arguments_text(arguments, "only"),
        .save = weir_arguments_has(arguments, "save") ? "bench/results" : NULL,
        .out = stdout,
        .sets = sets,
    };
    if (!weir_arguments_number(arguments, "repeats", 1, 100, 5, &repeats) ||
        !weir_arguments_number(arguments, "mqtt", 4, 5, 0, &mqtt_version) ||
        !sets_read(arguments, sets, &options.set_count) ||
        !seconds_read(arguments, "seconds", &options.measure_ms) ||
        !seconds_read(arguments, "warm-up", &options.warm_up_ms)) {
        return WEIR_EXIT_USAGE;
    }
    if (!program_read(arguments, program)) {
        return WEIR_EXIT_USAGE;
    }
    if (options.row_count == 0 && !options.all && !options.list) {
        weir_say("say which rows, or --all; `weir bench --list` shows them");
        return WEIR_EXIT_USAGE;
    }
    options.mqtt_version = (unsigned)mqtt_version;
    options.repeats = (unsigned)repeats;
    options.weir_program = program;
    return exit_of(weir_bench(&options));
}
