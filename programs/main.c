/* programs/main.c - finds the command, reads its arguments, runs it. */
#include "programs/commands.h"
#include "programs/say.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* What was printed is done only when it has left: a full disk or a closed pipe is an error. */
static weir_exit finish(weir_exit code)
{
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        weir_say("the answer could not be written to standard output");
        return code == WEIR_EXIT_DONE ? WEIR_EXIT_ERROR : code;
    }
    return code;
}

static weir_exit unknown(const char *word)
{
    char verbs[256];
    if (weir_command_verbs(word, verbs, sizeof(verbs)) > 0) {
        weir_say("weir %s takes one of: %s%s. See: weir help %s", word, verbs,
                 strcmp(word, "queue") != 0 ? ""
                                            : "; `weir group alter NAME` changes a queue, `weir "
                                              "topic rm NAME` removes it",
                 word);
    } else {
        weir_say("there is no command \"%s\". See: weir help", word);
    }
    return WEIR_EXIT_USAGE;
}

/* `weir help WORDS...`, whatever the words stood behind. */
static weir_exit help(char *const *words, int count)
{
    char name[] = "help";
    char *list[] = {name, count > 0 ? words[0] : NULL, count > 1 ? words[1] : NULL, NULL};
    const weir_command *command = weir_command_named(name);
    weir_arguments arguments;
    int operands = count > 2 ? 2 : count;
    if (!weir_arguments_read(&arguments, command, operands + 1, list)) {
        return WEIR_EXIT_USAGE;
    }
    return finish(command->run(&arguments));
}

static bool is_word(const char *text, const char *short_form, const char *long_form)
{
    return strcmp(text, short_form) == 0 || strcmp(text, long_form) == 0;
}

int main(int argc, char **argv)
{
    static char version[] = "version";
    weir_arguments arguments;
    const weir_command *command;
    int used = 0;
    umask(077);
    if (argc < 2) {
        (void)help(NULL, 0);
        return WEIR_EXIT_USAGE;
    }
    if (is_word(argv[1], "-V", "--version")) {
        argv[1] = version;
    }
    command = weir_command_find(argv + 1, argc - 1, &used);
    if (is_word(argv[argc - 1], "-h", "--help")) {
        return help(argv + 1, command != NULL ? used : argc - 2);
    }
    if (command == NULL) {
        return unknown(argv[1]);
    }
    if (!weir_arguments_read(&arguments, command, argc - used, argv + used)) {
        return WEIR_EXIT_USAGE;
    }
    return finish(command->run(&arguments));
}
