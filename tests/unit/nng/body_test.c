/* The bodies of PULL, PUB and PUSH messages: docs/nng.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "adapters/nng/body.h"

#include <stdlib.h>
#include <string.h>

static void a_body_is_name_nul_payload(void **state)
{
    weir_nng_body body;
    weir_bytes name;
    weir_bytes payload;
    (void)state;
    assert_int_equal(weir_nng_body_open(WEIR_TEXT("a/b\0x\0y"), &body), WEIR_OK);
    assert_true(weir_nng_body_next(&body, &name, &payload));
    assert_true(weir_bytes_equal(name, WEIR_TEXT("a/b")));
    assert_true(weir_bytes_equal(payload, WEIR_TEXT("x\0y"))); /* what follows the first NUL */
    assert_false(weir_nng_body_next(&body, &name, &payload));
}

static void an_empty_payload_is_empty_and_not_null(void **state)
{
    weir_nng_body body;
    weir_bytes name;
    weir_bytes payload;
    (void)state;
    assert_int_equal(weir_nng_body_open(WEIR_TEXT("a\0"), &body), WEIR_OK);
    assert_true(weir_nng_body_next(&body, &name, &payload));
    assert_non_null(payload.ptr);
    assert_int_equal(payload.len, 0);
}

static void a_body_without_nul_or_name_is_malformed(void **state)
{
    static const weir_bytes wrong[] = {
        {(const uint8_t *)"", 0},
        {(const uint8_t *)"abc", 3},
        {(const uint8_t *)"\0", 1},
        {(const uint8_t *)"\0abc", 4},
        {(const uint8_t *)"\0\0\0\0\0", 5},              /* no record */
        {(const uint8_t *)"\0\0\0\0\1", 5},              /* one, which is not there */
        {(const uint8_t *)"\0\0\0\0\1\0\0\0\2a", 10},    /* cut short */
        {(const uint8_t *)"\0\0\0\0\1\0\0\0\1a", 10},    /* without NUL */
        {(const uint8_t *)"\0\0\0\0\1\0\0\0\1\0", 10},   /* without a name */
        {(const uint8_t *)"\0\0\0\0\1\0\0\0\2a\0z", 12}, /* bytes behind it */
        {(const uint8_t *)"\0\xff\xff\xff\xff\0\0\0\2a\0", 11},
        {(const uint8_t *)"\0\0\0\0\1\xff\xff\xff\xff"
                          "a\0",
         11},
    };
    weir_nng_body body = {.left = 77};
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(weir_nng_body_open(wrong[i], &body), WEIR_MALFORMED);
        assert_int_equal(body.left, 77); /* outputs untouched unless WEIR_OK */
    }
}

static void a_batch_gives_its_records_in_order(void **state)
{
    weir_buffer out = {0};
    weir_nng_body body;
    weir_bytes name;
    weir_bytes payload;
    (void)state;
    assert_int_equal(
        weir_nng_batch_append(&out, WEIR_TEXT("t"), WEIR_TEXT("k/1"), WEIR_TEXT("one")), WEIR_OK);
    assert_int_equal(weir_nng_batch_append(&out, WEIR_TEXT("t"), WEIR_BYTES_NULL, WEIR_BYTES_NULL),
                     WEIR_OK);
    assert_memory_equal(out.ptr, "\0\0\0\0\2\0\0\0\11t/k/1\0one\0\0\0\2t\0", out.len);
    assert_int_equal(weir_nng_body_open(weir_buffer_bytes(&out), &body), WEIR_OK);
    assert_true(weir_nng_body_next(&body, &name, &payload));
    assert_true(weir_bytes_equal(name, WEIR_TEXT("t/k/1")));
    assert_true(weir_bytes_equal(payload, WEIR_TEXT("one")));
    assert_true(weir_nng_body_next(&body, &name, &payload));
    assert_true(weir_bytes_equal(name, WEIR_TEXT("t")));
    assert_int_equal(payload.len, 0);
    assert_false(weir_nng_body_next(&body, &name, &payload));
    for (size_t cut = 0; cut < out.len; cut++) {
        assert_int_equal(weir_nng_body_open((weir_bytes){out.ptr, cut}, &body), WEIR_MALFORMED);
    }
    weir_buffer_fini(&out);
}

static void a_single_record_never_looks_like_a_batch(void **state)
{
    static const weir_bytes keys[] = {
        {NULL, 0}, {(const uint8_t *)"", 0}, {(const uint8_t *)"\0", 1}};
    weir_buffer out = {0};
    (void)state;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        out.len = 0;
        assert_int_equal(weir_nng_body_append(&out, WEIR_TEXT("t"), keys[i], WEIR_TEXT("v")),
                         WEIR_OK);
        assert_int_not_equal(out.ptr[0], 0);
        out.len = 0; /* a live record: its key is its name */
        assert_int_equal(weir_nng_body_append(&out, WEIR_TEXT(""), keys[i], WEIR_TEXT("v")),
                         WEIR_OK);
        assert_int_not_equal(out.ptr[0], 0);
    }
    weir_buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_is_name_nul_payload),
        cmocka_unit_test(an_empty_payload_is_empty_and_not_null),
        cmocka_unit_test(a_body_without_nul_or_name_is_malformed),
        cmocka_unit_test(a_batch_gives_its_records_in_order),
        cmocka_unit_test(a_single_record_never_looks_like_a_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
