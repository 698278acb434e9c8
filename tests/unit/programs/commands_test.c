/* Tests programs/commands.c, arguments.c and format.c: that the table is sound, and how a command
 * line and a format are read. */
#include "programs/arguments.h"
#include "programs/commands.h"
#include "programs/format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void every_command_is_explained(void **state)
{
    size_t count = 0;
    const weir_command *commands = weir_commands(&count);
    (void)state;
    for (size_t i = 0; i < count; i++) {
        const weir_command *command = &commands[i];
        size_t len = strlen(command->summary);
        assert_true(len > 5 && command->summary[len - 1] != '.');
        assert_true(strncmp(command->example, "weir ", 5) == 0 ||
                    strstr(command->example, "weir ") != NULL);
        assert_int_equal(command->example[strlen(command->example) - 1], '\n');
        assert_true(command->operands_least <= command->operands_most);
        assert_true((command->operands[0] == '\0') == (command->operands_most == 0));
        assert_non_null(command->run);
        assert_ptr_equal(weir_command_named(command->name), command);
    }
}

static void no_command_has_two_options_of_one_name_or_letter(void **state)
{
    size_t count = 0;
    const weir_command *commands = weir_commands(&count);
    (void)state;
    for (size_t i = 0; i < count; i++) {
        const weir_option *a;
        for (size_t x = 0; (a = weir_command_option(&commands[i], x)) != NULL; x++) {
            assert_true(strlen(a->help) > 5);
            for (size_t y = 0; y < x; y++) {
                const weir_option *b = weir_command_option(&commands[i], y);
                assert_string_not_equal(a->name, b->name);
                assert_true(a->letter == 0 || a->letter != b->letter);
            }
        }
    }
}

static bool read_words(weir_arguments *arguments, const char *command, int argc,
                       const char *const *words)
{
    static char *copy[16];
    for (int i = 0; i < argc; i++) {
        free(copy[i]);
        copy[i] = strdup(words[i]);
    }
    return weir_arguments_read(arguments, weir_command_named(command), argc, copy);
}

static void options_may_stand_before_and_after_operands(void **state)
{
    const char *const words[] = {"pub", "-H", "a=1", "topic", "--header=b=2", "-r", "-m", "text"};
    static weir_arguments arguments;
    size_t position = 0;
    (void)state;
    assert_true(read_words(&arguments, "pub", 8, words));
    assert_int_equal(arguments.operand_count, 1);
    assert_string_equal(arguments.operands[0], "topic");
    assert_string_equal(weir_arguments_next(&arguments, "header", &position), "a=1");
    assert_string_equal(weir_arguments_next(&arguments, "header", &position), "b=2");
    assert_null(weir_arguments_next(&arguments, "header", &position));
    assert_true(weir_arguments_has(&arguments, "retain"));
    assert_false(weir_arguments_has(&arguments, "lines"));
    assert_string_equal(weir_arguments_text(&arguments, "message"), "text");
}

static void the_last_of_two_values_counts(void **state)
{
    const char *const words[] = {"sub", "a", "-C", "3", "-C", "5"};
    static weir_arguments arguments;
    long long number = 0;
    (void)state;
    assert_true(read_words(&arguments, "sub", 6, words));
    assert_true(weir_arguments_number(&arguments, "count", 1, 10, 0, &number));
    assert_int_equal(number, 5);
    assert_false(weir_arguments_number(&arguments, "count", 1, 4, 0, &number));
    assert_int_equal(number, 5); /* untouched */
    assert_true(weir_arguments_number(&arguments, "wait", 1, 4, 7, &number));
    assert_int_equal(number, 7); /* absent */
}

static void more_options_than_fit_are_refused(void **state)
{
    enum { MANY = WEIR_ARGUMENTS_MAX + 1 };
    static weir_arguments arguments;
    static char switch_text[] = "-r";
    static char operand[] = "topic";
    char *words[MANY + 2];
    (void)state;
    words[0] = operand;
    for (int over = 0; over < 2; over++) {
        int count = WEIR_ARGUMENTS_MAX + over;
        for (int i = 1; i <= count; i++) {
            words[i] = switch_text;
        }
        words[count + 1] = operand;
        assert_int_equal(
            weir_arguments_read(&arguments, weir_command_named("pub"), count + 2, words),
            over == 0);
    }
}

static void a_format_is_refused_where_it_means_nothing(void **state)
{
    const char *const wrong[] = {"%", "%z", "a%", "\\", "\\q", "\\x", "\\x4", "\\x4g", "%t %"};
    const char *const right[] = {"", "%%", "%t%p%o%k%K%s%S%h%T%n%r", "\\n\\t\\r\\0\\e\\\\\\x4a",
                                 "plain"};
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_non_null(weir_format_check(wrong[i]));
    }
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        assert_null(weir_format_check(right[i]));
    }
}

static void printed(const weir_client_record *record, const char *format, const char *expected)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);
    assert_non_null(file);
    if (format != NULL) {
        weir_format_print(format, record, file);
    } else {
        weir_format_json(record, file);
    }
    assert_int_equal(fclose(file), 0);
    assert_string_equal(text, expected);
    free(text);
}

static void a_live_record_has_its_name_and_no_offset(void **state)
{
    const weir_client_record record = {
        .name = WEIR_TEXT("a/b"), .value = WEIR_TEXT("v"), .time_ms = 5, .live = true};
    (void)state;
    printed(&record, "%t %p %o [%k] %K %S", "a/b -1 -1 [] -1 1");
    printed(&record, NULL,
            "{\"name\":\"a/b\",\"value\":\"v\",\"time_ms\":5,\"live\":true,\"retained\":false}");
}

static void bytes_that_are_no_text_are_base64_in_json(void **state)
{
    const uint8_t bytes[] = {0xff, 0x00, 0x41, 0x42};
    const weir_header header = {WEIR_TEXT("h"), {bytes, 1}};
    const weir_client_record record = {.name = WEIR_TEXT("t"),
                                       .topic = WEIR_TEXT("t"),
                                       .value = {bytes, 4},
                                       .offset = 7,
                                       .headers = &header,
                                       .header_count = 1};
    (void)state;
    printed(
        &record, NULL,
        "{\"name\":\"t\",\"topic\":\"t\",\"partition\":0,\"offset\":7,\"key\":null,\"value64\":\"/wBBQg==\",\"time_ms\":0,"
        "\"live\":false,\"retained\":false,\"headers\":[{\"name\":\"h\",\"value64\":\"/w==\"}]}");
}

static void json_text_is_escaped(void **state)
{
    const weir_client_record record = {
        .name = WEIR_TEXT("t"), .live = true, .value = WEIR_TEXT("\"\\\n\t\x7f\xc3\xa4")};
    (void)state;
    printed(
        &record, NULL,
        "{\"name\":\"t\",\"value\":\"\\\"\\\\\\n\\u0009\\u007f\xc3\xa4\",\"time_ms\":0,\"live\":true,\"retained\":false}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_is_explained),
        cmocka_unit_test(no_command_has_two_options_of_one_name_or_letter),
        cmocka_unit_test(options_may_stand_before_and_after_operands),
        cmocka_unit_test(the_last_of_two_values_counts),
        cmocka_unit_test(more_options_than_fit_are_refused),
        cmocka_unit_test(a_format_is_refused_where_it_means_nothing),
        cmocka_unit_test(a_live_record_has_its_name_and_no_offset),
        cmocka_unit_test(bytes_that_are_no_text_are_base64_in_json),
        cmocka_unit_test(json_text_is_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
