/* programs/arguments.c - reads a command line with getopt_long, whose tables are made from the
 * command's own, and answers questions about what was given.
 *
 * Happy path: the options become an array of (option, value) in the order given, what remains are
 * operands, counted against the command's bounds. Failures: an unknown option, a missing value, too
 * few or too many operands: one sentence on standard error that names the command's help. */
#include "programs/arguments.h"

#include "programs/commands.h"
#include "programs/say.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 48, LONG_ONLY_BASE = 0x100 };

typedef struct getopt_tables {
    char letters[2 * OPTIONS_MAX + 3];
    struct option names[OPTIONS_MAX + 1];
} getopt_tables;

/* val is LONG_ONLY_BASE + the option's index, so that every answer of getopt_long finds its row. */
static void tables_fill(getopt_tables *tables, const weir_command *command)
{
    size_t end = 0;
    size_t index = 0;
    const weir_option *option;
    memset(tables, 0, sizeof(*tables));
    tables->letters[end++] = ':'; /* a missing value is told apart from an unknown option */
    while ((option = weir_command_option(command, index)) != NULL && index < OPTIONS_MAX) {
        if (option->letter != 0) {
            tables->letters[end++] = option->letter;
            if (option->argument != NULL) {
                tables->letters[end++] = ':';
            }
        }
        tables->names[index].name = option->name;
        tables->names[index].has_arg = option->argument != NULL ? required_argument : no_argument;
        tables->names[index].val = LONG_ONLY_BASE + (int)index;
        index++;
    }
}

static const weir_option *option_of(const weir_command *command, int answer)
{
    const weir_option *option;
    size_t index = 0;
    if (answer >= LONG_ONLY_BASE) {
        return weir_command_option(command, (size_t)(answer - LONG_ONLY_BASE));
    }
    while ((option = weir_command_option(command, index)) != NULL) {
        if (option->letter == answer) {
            return option;
        }
        index++;
    }
    return NULL;
}

static bool misuse(const weir_command *command, const char *sentence, const char *what)
{
    weir_say("%s%s. See: weir help %s", sentence, what, command->name);
    return false;
}

static bool operands_fit(const weir_arguments *arguments)
{
    const weir_command *command = arguments->command;
    if (arguments->operand_count < command->operands_least) {
        weir_say("something is missing; it is used as: weir %s %s. See: weir help %s",
                 command->name, command->operands, command->name);
        return false;
    }
    if (arguments->operand_count > command->operands_most) {
        return misuse(command, "not understood: ", arguments->operands[command->operands_most]);
    }
    return true;
}

bool weir_arguments_read(weir_arguments *arguments, const weir_command *command, int argc,
                         char **argv)
{
    getopt_tables tables;
    int answer;
    tables_fill(&tables, command);
    memset(arguments, 0, sizeof(*arguments));
    arguments->command = command;
    optind = 1;
    opterr = 0;
    while ((answer = getopt_long(argc, argv, tables.letters, tables.names, NULL)) != -1) {
        const weir_option *option = option_of(command, answer);
        if (answer == '?') {
            return misuse(command, "there is no option ", argv[optind - 1]);
        }
        if (answer == ':') {
            return misuse(command, "a value is missing after ", argv[optind - 1]);
        }
        if (option == NULL || arguments->given_count == WEIR_ARGUMENTS_MAX) {
            return misuse(command, "too many options", "");
        }
        arguments->given[arguments->given_count].option = option;
        arguments->given[arguments->given_count].value = option->argument != NULL ? optarg : NULL;
        arguments->given_count++;
    }
    arguments->operands = argv + optind;
    arguments->operand_count = (size_t)(argc - optind);
    return operands_fit(arguments);
}

static const weir_argument *last_of(const weir_arguments *arguments, const char *name)
{
    for (size_t i = arguments->given_count; i > 0; i--) {
        if (strcmp(arguments->given[i - 1].option->name, name) == 0) {
            return &arguments->given[i - 1];
        }
    }
    return NULL;
}

bool weir_arguments_has(const weir_arguments *arguments, const char *name)
{
    return last_of(arguments, name) != NULL;
}

const char *weir_arguments_text(const weir_arguments *arguments, const char *name)
{
    const weir_argument *argument = last_of(arguments, name);
    return argument == NULL ? NULL : argument->value;
}

const char *weir_arguments_next(const weir_arguments *arguments, const char *name, size_t *position)
{
    while (*position < arguments->given_count) {
        const weir_argument *argument = &arguments->given[(*position)++];
        if (strcmp(argument->option->name, name) == 0) {
            return argument->value;
        }
    }
    return NULL;
}

bool weir_arguments_seconds(const weir_arguments *arguments, const char *name, long long most,
                            long long *milliseconds)
{
    const char *text = weir_arguments_text(arguments, name);
    char *end = NULL;
    double value;
    *milliseconds = 0;
    if (text == NULL) {
        return true;
    }
    errno = 0;
    value = strtod(text, &end);
    if (errno != 0 || end == text || *end != '\0' || !(value >= 0.001 && value <= (double)most)) {
        weir_say("--%s takes seconds from 0.001 to %lld, not \"%s\"", name, most, text);
        return false;
    }
    *milliseconds = (long long)(value * 1000);
    return true;
}

bool weir_arguments_number(const weir_arguments *arguments, const char *name, long long least,
                           long long most, long long missing, long long *number)
{
    const char *text = weir_arguments_text(arguments, name);
    char *end = NULL;
    long long value;
    if (text == NULL) {
        *number = missing;
        return true;
    }
    errno = 0;
    value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < least || value > most) {
        weir_say("--%s takes a number from %lld to %lld, not \"%s\"", name, least, most, text);
        return false;
    }
    *number = value;
    return true;
}
