/* tests/unit/base/err_test.c - names, classes, levels and spans of include/weir/base.h. */
#include "weir/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static void every_code_has_its_own_name_and_a_sentence(void **state)
{
    (void)state;
    for (int i = 0; i < WEIR_ERR_COUNT; i++) {
        assert_true(strlen(weir_err_name((weir_err)i)) > 0);
        const char *text = weir_err_text((weir_err)i);
        assert_int_equal(text[strlen(text) - 1], '.');
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(weir_err_name((weir_err)i), weir_err_name((weir_err)j));
        }
    }
}

static void classes_follow_the_list(void **state)
{
    (void)state;
    assert_int_equal(weir_err_class_of(WEIR_OK), WEIR_CLASS_NONE);
    assert_int_equal(weir_err_class_of(WEIR_MORE), WEIR_CLASS_RETRY);
    assert_int_equal(weir_err_class_of(WEIR_NAME_INVALID), WEIR_CLASS_CALLER);
    assert_int_equal(weir_err_class_of(WEIR_MALFORMED), WEIR_CLASS_PEER);
    assert_int_equal(weir_err_class_of(WEIR_FENCED), WEIR_CLASS_STORAGE);
    assert_string_equal(weir_err_name(WEIR_OFFSET_OUT_OF_RANGE), "offset-out-of-range");
}

static void a_code_outside_the_list_has_a_name_too(void **state)
{
    (void)state;
    assert_string_equal(weir_err_name(WEIR_ERR_COUNT), "unknown");
    assert_string_equal(weir_err_name((weir_err)-1), "unknown");
    assert_non_null(weir_err_text((weir_err)1000));
    assert_string_equal(weir_level_name(WEIR_LEVEL_COUNT), "unknown");
}

static void null_and_empty_are_not_equal(void **state)
{
    (void)state;
    assert_true(weir_bytes_equal(WEIR_BYTES_NULL, weir_bytes_of(NULL)));
    assert_true(weir_bytes_equal(WEIR_TEXT(""), weir_bytes_of("")));
    assert_false(weir_bytes_equal(WEIR_TEXT(""), WEIR_BYTES_NULL));
    assert_false(weir_bytes_equal(WEIR_BYTES_NULL, WEIR_TEXT("")));
    assert_true(weir_bytes_equal(WEIR_TEXT("ab"), weir_bytes_of("ab")));
    assert_false(weir_bytes_equal(WEIR_TEXT("ab"), WEIR_TEXT("abc")));
    assert_false(weir_bytes_equal(WEIR_TEXT("ab"), WEIR_TEXT("ac")));
}

static void every_level_is_parsed_from_its_name(void **state)
{
    (void)state;
    for (int i = 0; i < WEIR_LEVEL_COUNT; i++) {
        weir_level level = WEIR_LEVEL_COUNT;
        const char *name = weir_level_name((weir_level)i);
        assert_int_equal(weir_level_parse(weir_bytes_of(name), &level), WEIR_OK);
        assert_int_equal(level, i);
    }
}

static void other_words_are_no_level_and_leave_the_output(void **state)
{
    (void)state;
    static const char *const words[] = {"", "Disk", "disk ", "dis", "disks"};
    weir_level level = WEIR_LEVEL_OS;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        assert_int_equal(weir_level_parse(weir_bytes_of(words[i]), &level), WEIR_INVALID);
    }
    assert_int_equal(weir_level_parse(WEIR_BYTES_NULL, &level), WEIR_INVALID);
    assert_int_equal(level, WEIR_LEVEL_OS);
}

static void the_version_is_that_of_the_headers(void **state)
{
    (void)state;
    assert_string_equal(weir_version(), WEIR_VERSION_TEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_own_name_and_a_sentence),
        cmocka_unit_test(classes_follow_the_list),
        cmocka_unit_test(a_code_outside_the_list_has_a_name_too),
        cmocka_unit_test(null_and_empty_are_not_equal),
        cmocka_unit_test(every_level_is_parsed_from_its_name),
        cmocka_unit_test(other_words_are_no_level_and_leave_the_output),
        cmocka_unit_test(the_version_is_that_of_the_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
