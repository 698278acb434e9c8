/* programs/bench.c - `weir bench`: the command line in front of the yardstick of bench/. */
#include "bench/bench.h"

#include "programs/commands.h"
#include "programs/say.h"

#include <unistd.h>

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

/* Seconds with a point, as milliseconds. False, with the sentence printed, when it is not that. */
static bool seconds_read(const weir_arguments *arguments, const char *name, unsigned *ms)
{
    const char *text = weir_arguments_text(arguments, name);
    unsigned long whole = 0;
    unsigned long scale = 1000;
    bool point = false;
    *ms = 0;
    for (const char *at = text; at != NULL && *at != '\0'; at++) {
        if (*at == '.' && !point) {
            point = true;
        } else if (*at < '0' || *at > '9' || whole > 1000000 || (point && scale == 1)) {
            weir_say("--%s: \"%s\" is not a number of seconds like 2 or 0.5", name, text);
            return false;
        } else {
            whole = whole * 10 + (unsigned long)(*at - '0');
            scale = point ? scale / 10 : scale;
        }
    }
    *ms = (unsigned)(whole * scale);
    return true;
}

weir_exit weir_run_bench(const weir_arguments *arguments)
{
    char program[4096];
    ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 1);
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
    if (options.row_count == 0 && !options.all && !options.list) {
        weir_say("say which rows, or --all; `weir bench --list` shows them");
        return WEIR_EXIT_USAGE;
    }
    options.mqtt_version = (unsigned)mqtt_version;
    options.repeats = (unsigned)repeats;
    program[len > 0 ? len : 0] = '\0';
    options.weir_program = weir_arguments_text(arguments, "weir");
    if (options.weir_program == NULL) {
        options.weir_program = program;
    }
    return exit_of(weir_bench(&options));
}
