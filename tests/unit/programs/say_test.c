/* Tests programs/say.c: what names and keys from elsewhere look like on a terminal, and in JSON. */
#include "programs/say.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What a row of the table looks like; and as a JSON string. */
static const struct {
    weir_bytes bytes;
    const char *shown;
    const char *json;
} ROWS[] = {
    {WEIR_TEXT("k\303\274che \346\270\251"), "k\303\274che \346\270\251",
     "\"k\303\274che \346\270\251\""},
    {WEIR_TEXT("a\\b"), "a\\b", "\"a\\\\b\""},
    {WEIR_TEXT("\033[2Jx"), "\\x1b[2Jx", "\"\\u001b[2Jx\""},
    {WEIR_TEXT("a\r\n\tb"), "a\\x0d\\x0a\\x09b", "\"a\\u000d\\n\\u0009b\""},
    {WEIR_TEXT("\177"), "\\x7f", "\"\\u007f\""},
    {WEIR_TEXT("\302\233"
               "31m"),
     "\\xc2\\x9b"
     "31m",
     "\"\\u009b"
     "31m\""}, /* CSI in one character */
    {WEIR_TEXT("\302\240"), "\302\240", "\"\302\240\""},
    {WEIR_TEXT("\342\200\256gpj"), "\\xe2\\x80\\xaegpj",
     "\"\342\200\256gpj\""}, /* reads backwards */
    {WEIR_TEXT("\377a\303"), "\\xffa\\xc3", "\"\\ufffda\\ufffd\""},
};

static void what_a_terminal_would_obey_is_shown(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        char text[64];
        assert_int_equal(weir_shown(ROWS[i].bytes, text, sizeof(text)), strlen(ROWS[i].shown));
        assert_string_equal(text, ROWS[i].shown);
    }
}

static void no_character_is_cut_in_two_where_room_ends(void **state)
{
    char text[6];
    (void)state;
    assert_int_equal(weir_shown(WEIR_TEXT("abcd\303\274"), text, sizeof(text)), 4);
    assert_string_equal(text, "abcd");
    assert_int_equal(weir_shown(WEIR_TEXT("ab\033c"), text, sizeof(text)), 2);
    assert_string_equal(text, "ab");
}

static void a_table_shows_its_cells_so_and_keeps_its_columns(void **state)
{
    static const char *const columns[] = {"name", "n#"};
    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        char *printed = NULL;
        size_t len = 0;
        char cell[32];
        char wanted[256];
        const char *first[] = {cell, "1"};
        const char *second[] = {"0123456789abcdef", "2"};
        FILE *file = open_memstream(&printed, &len);
        assert_non_null(file);
        snprintf(cell, sizeof(cell), "%.*s", (int)ROWS[i].bytes.len,
                 (const char *)ROWS[i].bytes.ptr);
        weir_rows *rows = weir_rows_create(columns, 2);
        weir_rows_add(rows, first);
        weir_rows_add(rows, second);
        weir_rows_print(rows, WEIR_OUTPUT_TABLE, file);
        weir_rows_destroy(rows);
        assert_int_equal(fclose(file), 0);
        snprintf(wanted, sizeof(wanted), "%-16s  n\n%-16s  1\n0123456789abcdef  2\n", "name",
                 ROWS[i].shown);
        assert_string_equal(printed, wanted);
        free(printed);
    }
}

static void json_escapes_every_control_character(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        char *printed = NULL;
        size_t len = 0;
        FILE *file = open_memstream(&printed, &len);
        assert_non_null(file);
        weir_json_string(file, ROWS[i].bytes);
        assert_int_equal(fclose(file), 0);
        assert_string_equal(printed, ROWS[i].json);
        free(printed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_terminal_would_obey_is_shown),
        cmocka_unit_test(no_character_is_cut_in_two_where_room_ends),
        cmocka_unit_test(a_table_shows_its_cells_so_and_keeps_its_columns),
        cmocka_unit_test(json_escapes_every_control_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
