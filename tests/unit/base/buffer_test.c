/* tests/unit/base/buffer_test.c - growing, consuming and giving memory back. */
#include "core/base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void a_zeroed_buffer_is_empty_and_harmless(void **state)
{
    (void)state;
    weir_buffer buffer = {0};
    weir_buffer_consume(&buffer, 0);
    weir_buffer_relax(&buffer, 0);
    assert_int_equal(weir_buffer_append(&buffer, NULL, 0), WEIR_OK);
    assert_null(weir_buffer_bytes(&buffer).ptr);
    weir_buffer_fini(&buffer);
    weir_buffer_fini(&buffer);
}

static void what_is_appended_is_there_in_order(void **state)
{
    (void)state;
    weir_buffer buffer = {0};
    for (int i = 0; i < 1000; i++) {
        uint8_t byte = (uint8_t)i;
        assert_int_equal(weir_buffer_append(&buffer, &byte, 1), WEIR_OK);
    }
    assert_int_equal(buffer.len, 1000);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(buffer.ptr[i], (uint8_t)i);
    }
    weir_buffer_consume(&buffer, 990);
    assert_int_equal(buffer.len, 10);
    assert_int_equal(buffer.ptr[0], (uint8_t)990);
    weir_buffer_fini(&buffer);
}

static void text_and_format_leave_no_nul_behind(void **state)
{
    (void)state;
    weir_buffer buffer = {0};
    assert_int_equal(weir_buffer_text(&buffer, "a="), WEIR_OK);
    assert_int_equal(weir_buffer_format(&buffer, "%d,%s", 42, "b"), WEIR_OK);
    assert_int_equal(weir_buffer_format(&buffer, "%100d", 7), WEIR_OK);
    assert_int_equal(buffer.len, 106);
    assert_memory_equal(buffer.ptr, "a=42,b  ", 8);
    assert_int_equal(buffer.ptr[105], '7');
    weir_buffer_fini(&buffer);
}

static void a_size_that_cannot_be_had_changes_nothing(void **state)
{
    (void)state;
    weir_buffer buffer = {0};
    assert_int_equal(weir_buffer_text(&buffer, "kept"), WEIR_OK);
    weir_buffer before = buffer;
    assert_int_equal(weir_buffer_reserve(&buffer, SIZE_MAX), WEIR_NO_MEMORY);
    assert_int_equal(weir_buffer_reserve(&buffer, SIZE_MAX - 2), WEIR_NO_MEMORY);
    assert_memory_equal(&buffer, &before, sizeof(buffer));
    assert_memory_equal(buffer.ptr, "kept", 4);
    weir_buffer_fini(&buffer);
}

static void relaxing_keeps_bytes_and_small_buffers(void **state)
{
    (void)state;
    weir_buffer buffer = {0};
    assert_int_equal(weir_buffer_reserve(&buffer, 5000), WEIR_OK);
    assert_int_equal(weir_buffer_text(&buffer, "x"), WEIR_OK);
    weir_buffer_relax(&buffer, 100);
    assert_true(buffer.capacity >= 5000);
    weir_buffer_consume(&buffer, 1);
    weir_buffer_relax(&buffer, 100000);
    assert_true(buffer.capacity >= 5000);
    weir_buffer_relax(&buffer, 100);
    assert_int_equal(buffer.capacity, 0);
    assert_null(buffer.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_zeroed_buffer_is_empty_and_harmless),
        cmocka_unit_test(what_is_appended_is_there_in_order),
        cmocka_unit_test(text_and_format_leave_no_nul_behind),
        cmocka_unit_test(a_size_that_cannot_be_had_changes_nothing),
        cmocka_unit_test(relaxing_keeps_bytes_and_small_buffers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
