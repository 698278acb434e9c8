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
    weir_say("there is no command \"%s\". See: weir help", word);
    return WEIR_EXIT_USAGE;
}

int main(int argc, char **argv)
{
    weir_arguments arguments;
    const weir_command *command;
    int used = 0;
    char *help[] = {"help", argc > 1 ? argv[1] : NULL, argc > 2 ? argv[2] : NULL, NULL};
    bool for_help =
        argc > 1 && (strcmp(argv[argc - 1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
    umask(077);
    if (argc < 2) {
        command = weir_command_named("help");
        (void)weir_arguments_read(&arguments, command, 1, help);
        return finish(command->run(&arguments)) == WEIR_EXIT_DONE ? WEIR_EXIT_USAGE
                                                                  : WEIR_EXIT_ERROR;
    }
    if (strcmp(argv[1], "--version") == 0) {
        argv[1] = "version";
    }
    command = weir_command_find(argv + 1, argc - 1, &used);
    if (for_help) {
        bool family = command == NULL && argv[1][0] != '-';
        command = weir_command_named("help");
        (void)weir_arguments_read(&arguments, command, used > 0 ? used + 1 : family ? 2 : 1, help);
    } else if (command == NULL) {
        return unknown(argv[1]);
    } else if (!weir_arguments_read(&arguments, command, argc - used, argv + used)) {
        return WEIR_EXIT_USAGE;
    }
    return finish(command->run(&arguments));
}
