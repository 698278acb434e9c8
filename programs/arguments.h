/* programs/arguments.h - a command line, read against a command's table of options.
 *
 * The strings belong to argv and live as long as it does. Main thread only. */
#ifndef WEIR_PROGRAMS_ARGUMENTS_H
#define WEIR_PROGRAMS_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct weir_option {
    char letter;          /* 0: has no short form */
    const char *name;     /* "data", without its dashes */
    const char *argument; /* "DIR"; NULL: a switch */
    const char *help;
} weir_option;

struct weir_command;

typedef struct weir_argument {
    const weir_option *option;
    const char *value; /* NULL for a switch */
} weir_argument;

enum { WEIR_ARGUMENTS_MAX = 256 };

typedef struct weir_arguments {
    const struct weir_command *command;
    weir_argument given[WEIR_ARGUMENTS_MAX]; /* in the order of the command line */
    size_t given_count;
    char *const *operands;
    size_t operand_count;
} weir_arguments;

/* Reads argv[1..argc) (argv[0] is skipped) for `command`. On a mistake prints one sentence and
 * where to find help to standard error and returns false. */
bool weir_arguments_read(weir_arguments *arguments, const struct weir_command *command, int argc,
                         char **argv);

bool weir_arguments_has(const weir_arguments *arguments, const char *name);
/* The last value given for the option `name`, or NULL. */
const char *weir_arguments_text(const weir_arguments *arguments, const char *name);
/* The next value of a repeatable option from *position on (begin with 0), or NULL. */
const char *weir_arguments_next(const weir_arguments *arguments, const char *name,
                                size_t *position);
/* The last value as a decimal number within [least, most], or `missing` when the option is absent.
 * False, with the sentence printed, when it is not such a number. */
bool weir_arguments_number(const weir_arguments *arguments, const char *name, long long least,
                           long long most, long long missing, long long *number);

/* The last value as seconds, fractions allowed, within [0.001, most]; 0 when the option is absent.
 * False, with the sentence printed, when it is not such a number. */
bool weir_arguments_seconds(const weir_arguments *arguments, const char *name, long long most,
                            long long *milliseconds);

#endif
