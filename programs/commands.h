/* programs/commands.h - the one table of subcommands, and the words they share.
 *
 * Everything that tells a person about the program (help, man pages, completion) and everything
 * that reads a command line is made from this table, so the two cannot disagree. Main thread only.
 */
#ifndef WEIR_PROGRAMS_COMMANDS_H
#define WEIR_PROGRAMS_COMMANDS_H

#include "programs/arguments.h"

#include <stddef.h>

/* X(NAME, number, what it means) */
#define WEIR_EXIT_LIST(X)                                                                          \
    X(DONE, 0, "done")                                                                             \
    X(ERROR, 1, "something failed; the message says what to do")                                   \
    X(USAGE, 2, "the command line or the configuration is wrong; nothing was changed")             \
    X(NOT_FOUND, 3, "what was named does not exist")                                               \
    X(REFUSED, 4, "the gateway, or the owner of the data directory, refused")                      \
    X(TIMEOUT, 27, "the time given with -W, or with --timeout for an answer, ran out first")

typedef enum weir_exit {
#define WEIR_EXIT_ENUM(name, number, meaning) WEIR_EXIT_##name = (number),
    WEIR_EXIT_LIST(WEIR_EXIT_ENUM)
#undef WEIR_EXIT_ENUM
} weir_exit;

enum { WEIR_COMMAND_OPTION_LISTS = 4 };

typedef struct weir_command {
    const char *name;        /* "topic create": one word or two */
    const char *operands;    /* "NAME", as the synopsis shows them; "" when there are none */
    const char *summary;     /* one line, no full stop */
    const char *description; /* paragraphs, a newline between two */
    const char *example;     /* one or more command lines, a newline after each */
    unsigned operands_least;
    unsigned operands_most;
    const weir_option *options[WEIR_COMMAND_OPTION_LISTS]; /* lists that end with a NULL name */
    weir_exit (*run)(const weir_arguments *arguments);
} weir_command;

/* The table, in the order in which help shows it; *count entries. */
const weir_command *weir_commands(size_t *count);

/* The command that words[0..count) begin with, the longest name first; *used words belong to its
 * name. NULL when none does. */
const weir_command *weir_command_find(char *const *words, int count, int *used);
/* The command called `name` ("topic create"), or NULL. */
const weir_command *weir_command_named(const char *name);

/* The second words of the commands whose first is `word`, with commas between; how many there are.
 */
size_t weir_command_verbs(const char *word, char *verbs, size_t size);

/* Option `index` of the command, over all of its lists; NULL past the last. */
const weir_option *weir_command_option(const weir_command *command, size_t index);

/* One entry point per subcommand, each in the file of its name. */
weir_exit weir_run_serve(const weir_arguments *arguments);
weir_exit weir_run_check(const weir_arguments *arguments);
weir_exit weir_run_config(const weir_arguments *arguments);
weir_exit weir_run_limits(const weir_arguments *arguments);
weir_exit weir_run_topic_create(const weir_arguments *arguments);
weir_exit weir_run_topic_ls(const weir_arguments *arguments);
weir_exit weir_run_topic_info(const weir_arguments *arguments);
weir_exit weir_run_topic_set(const weir_arguments *arguments);
weir_exit weir_run_topic_describe(const weir_arguments *arguments);
weir_exit weir_run_topic_trim(const weir_arguments *arguments);
weir_exit weir_run_topic_rm(const weir_arguments *arguments);
weir_exit weir_run_pub(const weir_arguments *arguments);
weir_exit weir_run_sub(const weir_arguments *arguments);
weir_exit weir_run_group_create(const weir_arguments *arguments);
weir_exit weir_run_group_alter(const weir_arguments *arguments);
weir_exit weir_run_group_delete(const weir_arguments *arguments);
weir_exit weir_run_group_ls(const weir_arguments *arguments);
weir_exit weir_run_group_info(const weir_arguments *arguments);
weir_exit weir_run_group_lag(const weir_arguments *arguments);
weir_exit weir_run_group_reset(const weir_arguments *arguments);
weir_exit weir_run_group_join(const weir_arguments *arguments);
weir_exit weir_run_queue_create(const weir_arguments *arguments);
weir_exit weir_run_queue_ls(const weir_arguments *arguments);
weir_exit weir_run_queue_info(const weir_arguments *arguments);
weir_exit weir_run_queue_peek(const weir_arguments *arguments);
weir_exit weir_run_queue_dead(const weir_arguments *arguments);
weir_exit weir_run_group_dead(const weir_arguments *arguments);
weir_exit weir_run_why(const weir_arguments *arguments);
weir_exit weir_run_replay(const weir_arguments *arguments);
weir_exit weir_run_demo(const weir_arguments *arguments);
weir_exit weir_run_stats(const weir_arguments *arguments);
weir_exit weir_run_bench(const weir_arguments *arguments);
weir_exit weir_run_log_verify(const weir_arguments *arguments);
weir_exit weir_run_log_dump(const weir_arguments *arguments);
weir_exit weir_run_log_repair(const weir_arguments *arguments);
weir_exit weir_run_log_failpoints(const weir_arguments *arguments);
weir_exit weir_run_version(const weir_arguments *arguments);
weir_exit weir_run_help(const weir_arguments *arguments);
weir_exit weir_run_man(const weir_arguments *arguments);
weir_exit weir_run_completion(const weir_arguments *arguments);

#endif
