/* programs/help.c - what a person reads about the program, made from the command table: help, man
 * pages (roff, man(7)), and bash completion. */
#include "programs/commands.h"
#include "programs/say.h"

#include <stdio.h>
#include <string.h>

/* ---- Help -------------------------------------------------------------------------------------
 */

enum { HELP_COLUMN = 28, HELP_WIDTH = 92 };

/* Prints text wrapped at HELP_WIDTH, indented by `column`; the cursor stands at `column` already.
 */
static void wrapped(const char *text, int column)
{
    int at = column;
    while (*text != '\0') {
        int word = (int)strcspn(text, " \n");
        if (at + word > HELP_WIDTH && at > column) {
            printf("\n%*s", column, "");
            at = column;
        }
        printf("%.*s", word, text);
        at += word;
        text += word;
        if (*text == '\n') {
            printf("\n%*s", column, "");
            at = column;
            text++;
        } else if (*text == ' ') {
            text++;
            if (at + 1 + (int)strcspn(text, " \n") <= HELP_WIDTH) {
                putchar(' ');
                at++;
            } else {
                printf("\n%*s", column, "");
                at = column;
            }
        }
    }
    putchar('\n');
}

static void option_help(const weir_option *option)
{
    char head[64];
    int len =
        snprintf(head, sizeof(head), option->letter != 0 ? "  -%c, --%s%s%s" : "  %4.0d--%s%s%s",
                 option->letter, option->name, option->argument != NULL ? " " : "",
                 option->argument != NULL ? option->argument : "");
    printf("%-*s", HELP_COLUMN, head);
    if (len >= HELP_COLUMN) {
        printf("\n%*s", HELP_COLUMN, "");
    }
    wrapped(option->help, HELP_COLUMN);
}

static void exits_help(void)
{
    printf("\nExit codes\n");
#define EXIT_HELP(name, number, meaning) printf("  %2d  %s\n", number, meaning);
    WEIR_EXIT_LIST(EXIT_HELP)
#undef EXIT_HELP
}

static void command_help(const weir_command *command)
{
    const weir_option *option;
    size_t index = 0;
    bool has_options = weir_command_option(command, 0) != NULL;
    printf("weir %s: %s\n\nUsage: weir %s%s%s%s\n", command->name, command->summary, command->name,
           has_options ? " [OPTION]..." : "", command->operands[0] != '\0' ? " " : "",
           command->operands);
    if (command->description[0] != '\0') {
        printf("\n");
        wrapped(command->description, 0);
    }
    if (has_options) {
        printf("\nOptions\n");
    }
    while ((option = weir_command_option(command, index++)) != NULL) {
        option_help(option);
    }
    printf("\nFor example\n");
    for (const char *line = command->example; *line != '\0'; line += strcspn(line, "\n") + 1) {
        printf("  %.*s\n", (int)strcspn(line, "\n"), line);
    }
    exits_help();
}

static void overview(void)
{
    size_t count = 0;
    const weir_command *commands = weir_commands(&count);
    printf("weir: a messaging gateway: MQTT, browsers and services in front of one durable log\n\n"
           "Usage: weir COMMAND [OPTION]... [OPERAND]...\n\nCommands\n");
    for (size_t i = 0; i < count; i++) {
        printf("  %-14s %s\n", commands[i].name, commands[i].summary);
    }
    printf("\nFor example\n  weir serve --data ./var/data\n  weir topic create site\n"
           "  weir pub site/dev1/temp -m 21.5\n  weir sub 'site/#' --from beginning -e\n");
    exits_help();
    printf("\nMore about one command: weir help COMMAND\n");
}

/* The command that the operands name; *ok is false, with the sentence printed, when none is. NULL
 * with *ok: there are no operands. */
static const weir_command *named_by(const weir_arguments *arguments, bool *ok)
{
    const weir_command *command = NULL;
    int used = 0;
    *ok = true;
    if (arguments->operand_count > 0) {
        command = weir_command_find(arguments->operands, (int)arguments->operand_count, &used);
        *ok = command != NULL;
    }
    if (!*ok) {
        weir_say("there is no command \"%s\"; weir help lists them", arguments->operands[0]);
    }
    return command;
}

/* "topic" alone names no row but several. */
static bool family_help(const char *word)
{
    size_t count = 0;
    size_t len = strlen(word);
    bool any = false;
    const weir_command *commands = weir_commands(&count);
    for (size_t i = 0; i < count; i++) {
        if (strncmp(commands[i].name, word, len) == 0 && commands[i].name[len] == ' ') {
            printf("  weir %-14s %-6s %s\n", commands[i].name, commands[i].operands,
                   commands[i].summary);
            any = true;
        }
    }
    return any;
}

weir_exit weir_run_help(const weir_arguments *arguments)
{
    const weir_command *command;
    bool ok;
    if (arguments->operand_count == 1 && family_help(arguments->operands[0])) {
        return WEIR_EXIT_DONE;
    }
    command = named_by(arguments, &ok);
    if (!ok) {
        return WEIR_EXIT_NOT_FOUND;
    }
    if (command == NULL) {
        overview();
    } else {
        command_help(command);
    }
    return WEIR_EXIT_DONE;
}

/* ---- Man pages --------------------------------------------------------------------------------
 */

/* Prints text for roff: backslashes and hyphens escaped, no line that begins with a control
 * character. */
static void roff(const char *text)
{
    bool line_start = true;
    for (; *text != '\0'; text++) {
        if (line_start && (*text == '.' || *text == '\'')) {
            fputs("\\&", stdout);
        }
        if (*text == '\\') {
            fputs("\\e", stdout);
        } else if (*text == '-') {
            fputs("\\-", stdout);
        } else if (*text == '\n') {
            fputs("\n.PP\n", stdout);
        } else {
            putchar(*text);
        }
        line_start = *text == '\n';
    }
}

/* "weir-topic-create", upper case where asked. */
static void page_name(const char *command, bool upper)
{
    fputs(upper ? "WEIR" : "weir", stdout);
    if (command[0] != '\0') {
        putchar('-');
    }
    for (; *command != '\0'; command++) {
        char c = *command == ' ' ? '-' : *command;
        putchar(upper && c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
}

static void page_head(const char *command, const char *summary)
{
    fputs(".TH ", stdout);
    page_name(command, true);
    printf(" 1 \"\" \"weir %s\" \"Weir\"\n.SH NAME\n", weir_version());
    page_name(command, false);
    fputs(" \\- ", stdout);
    roff(summary);
    putchar('\n');
}

static void option_page(const weir_option *option)
{
    fputs(".TP\n", stdout);
    if (option->letter != 0) {
        printf("\\fB\\-%c\\fR, ", option->letter);
    }
    fputs("\\fB\\-\\-", stdout);
    roff(option->name);
    fputs("\\fR", stdout);
    if (option->argument != NULL) {
        fputs(" \\fI", stdout);
        roff(option->argument);
        fputs("\\fR", stdout);
    }
    putchar('\n');
    roff(option->help);
    putchar('\n');
}

static void exits_page(void)
{
    fputs(".SH EXIT STATUS\n", stdout);
#define EXIT_PAGE(name, number, meaning)                                                           \
    printf(".TP\n%d\n", number);                                                                   \
    roff(meaning);                                                                                 \
    putchar('\n');
    WEIR_EXIT_LIST(EXIT_PAGE)
#undef EXIT_PAGE
}

static void command_page(const weir_command *command)
{
    const weir_option *option;
    size_t index = 0;
    page_head(command->name, command->summary);
    printf(".SH SYNOPSIS\n\\fBweir %s\\fR%s \\fI%s\\fR\n", command->name,
           weir_command_option(command, 0) != NULL ? " [OPTION]..." : "", command->operands);
    if (command->description[0] != '\0') {
        fputs(".SH DESCRIPTION\n", stdout);
        roff(command->description);
        putchar('\n');
    }
    if (weir_command_option(command, 0) != NULL) {
        fputs(".SH OPTIONS\n", stdout);
    }
    while ((option = weir_command_option(command, index++)) != NULL) {
        option_page(option);
    }
    fputs(".SH EXAMPLE\n.nf\n", stdout);
    for (const char *line = command->example; *line != '\0'; line += strcspn(line, "\n") + 1) {
        char copy[256];
        snprintf(copy, sizeof(copy), "%.*s", (int)strcspn(line, "\n"), line);
        roff(copy);
        putchar('\n');
    }
    fputs(".fi\n", stdout);
    exits_page();
    fputs(".SH SEE ALSO\nweir(1)\n", stdout);
}

static void main_page(void)
{
    size_t count = 0;
    const weir_command *commands = weir_commands(&count);
    page_head("", "a messaging gateway in front of one durable log");
    fputs(".SH SYNOPSIS\n\\fBweir\\fR COMMAND [OPTION]... [OPERAND]...\n.SH COMMANDS\n", stdout);
    for (size_t i = 0; i < count; i++) {
        fputs(".TP\n\\fB", stdout);
        page_name(commands[i].name, false);
        fputs("\\fR(1)\n", stdout);
        roff(commands[i].summary);
        putchar('\n');
    }
    exits_page();
}

weir_exit weir_run_man(const weir_arguments *arguments)
{
    bool ok;
    const weir_command *command = named_by(arguments, &ok);
    if (!ok) {
        return WEIR_EXIT_NOT_FOUND;
    }
    if (command == NULL) {
        main_page();
    } else {
        command_page(command);
    }
    return WEIR_EXIT_DONE;
}

/* ---- Completion -------------------------------------------------------------------------------
 */

static void command_words(const weir_command *command)
{
    const weir_option *option;
    size_t index = 0;
    printf("        \"%s\") words=\"", command->name);
    while ((option = weir_command_option(command, index++)) != NULL) {
        printf("%s--%s", index == 1 ? "" : " ", option->name);
    }
    fputs("\" ;;\n", stdout);
}

/* The first words of all commands, each once (rows of one family stand together). */
static void first_words(const weir_command *commands, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int len = (int)strcspn(commands[i].name, " ");
        if (i == 0 || strncmp(commands[i].name, commands[i - 1].name, (size_t)len + 1) != 0 ||
            commands[i].name[len] != ' ') {
            printf("%s%.*s", i == 0 ? "" : " ", len, commands[i].name);
        }
    }
}

/* Families of commands with two words of which the first is none itself. */
static const char *const FAMILIES[] = {"topic", "group", "queue"};
enum { FAMILY_COUNT = sizeof(FAMILIES) / sizeof(FAMILIES[0]) };

static void second_words(const char *family)
{
    char verbs[256];
    weir_command_verbs(family, verbs, sizeof(verbs));
    for (char *at = verbs; *at != '\0'; at++) {
        *at = *at == ',' ? ' ' : *at;
    }
    printf("        %s) words=\"%s\" ;;\n", family, verbs);
}

/* "topic | group | queue" */
static void family_words(void)
{
    for (int i = 0; i < FAMILY_COUNT; i++) {
        printf("%s%s", i > 0 ? " | " : "", FAMILIES[i]);
    }
}

weir_exit weir_run_completion(const weir_arguments *arguments)
{
    size_t count = 0;
    const weir_command *commands = weir_commands(&count);
    if (strcmp(arguments->operands[0], "bash") != 0) {
        weir_say("completion is there for bash, not for \"%s\"", arguments->operands[0]);
        return WEIR_EXIT_USAGE;
    }
    fputs("# bash completion for weir(1); made by: weir completion bash\n"
          "_weir()\n{\n"
          "    local words=\"\" current=\"${COMP_WORDS[COMP_CWORD]}\"\n"
          "    local command=\"${COMP_WORDS[1]}\" family=0\n"
          "    case \"$command\" in\n        ",
          stdout);
    family_words();
    fputs(
        ") family=1\n"
        "            [ \"$COMP_CWORD\" -gt 2 ] && command=\"$command ${COMP_WORDS[2]}\" ;;\n"
        "    esac\n"
        "    local first=1\n"
        "    case \"${COMP_WORDS[1]}\" in\n"
        "        help | man) first=2\n"
        "            case \"$COMP_CWORD ${COMP_WORDS[2]}\" in\n"
        "                \"3 topic\" | \"3 group\" | \"3 queue\") command=\"${COMP_WORDS[2]}\" family=1 ;;\n"
        "            esac ;;\n"
        "    esac\n"
        "    if [ \"$COMP_CWORD\" -le \"$first\" ]; then\n"
        "        COMPREPLY=($(compgen -W \"",
        stdout);
    first_words(commands, count);
    fputs("\" -- \"$current\"))\n        return\n    fi\n    case \"$command\" in\n", stdout);
    for (int i = 0; i < FAMILY_COUNT; i++) {
        second_words(FAMILIES[i]);
    }
    for (size_t i = 0; i < count; i++) {
        command_words(&commands[i]);
    }
    fputs("    esac\n"
          "    case \"$current\" in\n"
          "        -*) COMPREPLY=($(compgen -W \"$words\" -- \"$current\")) ;;\n"
          "        *) if [ \"$family\" = 1 ] && [ \"${command#* }\" = \"$command\" ]; then\n"
          "               COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
          "           else\n"
          "               COMPREPLY=($(compgen -f -- \"$current\"))\n"
          "           fi ;;\n"
          "    esac\n}\ncomplete -F _weir weir\n",
          stdout);
    return WEIR_EXIT_DONE;
}
