/* RFC 6455 section 5 and 7.4, number by number; cited as [5.x]. */
#include "adapters/proto/websocket/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { MESSAGE_MAX = 100000, WIRE_MAX = 300000, TOLD_MAX = 64 };

static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};

typedef struct wire {
    uint8_t bytes[WIRE_MAX];
    size_t len;
} wire;

/* What a reader told, pieces joined to messages. */
typedef struct told {
    struct {
        weir_ws_opcode opcode;
        uint16_t code;
        size_t at;
        size_t len;
        bool whole;
    } message[TOLD_MAX];
    size_t count;
    uint8_t text[WIRE_MAX];
    size_t text_len;
    weir_err err;
} told;

static wire the_wire;
static told one, other;

static void put_raw(const uint8_t *bytes, size_t len)
{
    memcpy(the_wire.bytes + the_wire.len, bytes, len);
    the_wire.len += len;
}

static void put_frame(uint8_t first, const void *payload, size_t len)
{
    uint8_t head[WEIR_WS_HEAD_BYTES_MAX];
    size_t head_len =
        weir_ws_head_write(head, (weir_ws_opcode)(first & 0x0f), (first & 0x80) != 0, len, mask);
    head[0] = first;
    put_raw(head, head_len);
    memcpy(the_wire.bytes + the_wire.len, payload, len);
    weir_ws_mask(the_wire.bytes + the_wire.len, len, mask, 0);
    the_wire.len += len;
}

static void tell(told *out, const weir_ws_event *event)
{
    bool control = event->opcode >= WEIR_WS_CLOSE;
    if (control || event->first) {
        assert_true(out->count < TOLD_MAX);
        out->message[out->count].opcode = event->opcode;
        out->message[out->count].at = out->text_len;
        out->message[out->count].len = 0;
        out->message[out->count].code = event->code;
        out->count++;
    }
    size_t index = out->count - 1;
    while (!control && out->message[index].opcode >= WEIR_WS_CLOSE) {
        index--; /* a control frame came between */
    }
    assert_int_equal(out->message[index].opcode, event->opcode);
    memcpy(out->text + out->text_len, event->bytes.ptr, event->bytes.len);
    out->text_len += event->bytes.len;
    out->message[index].len += event->bytes.len;
    out->message[index].whole = control || event->last;
}

static void read_in_cuts(weir_ws_reader *reader, size_t cut, told *out)
{
    static uint8_t piece[WIRE_MAX];
    memset(out, 0, sizeof(*out));
    for (size_t at = 0; at < the_wire.len && out->err == WEIR_OK;) {
        size_t len = the_wire.len - at < cut ? the_wire.len - at : cut;
        memcpy(piece, the_wire.bytes + at, len);
        at += len;
        for (size_t done = 0;;) {
            weir_ws_event event;
            size_t used = 77;
            weir_err err = weir_ws_read(reader, piece + done, len - done, &used, &event);
            if (err == WEIR_OK) {
                assert_true(used <= len - done);
                done += used;
                tell(out, &event);
            } else if (err == WEIR_MORE) {
                assert_int_equal(used, len - done);
                break;
            } else {
                out->err = err;
                break;
            }
        }
    }
}

static weir_ws_reader fresh(bool text_refused)
{
    weir_ws_reader reader;
    weir_ws_rules rules = {.message_bytes_max = MESSAGE_MAX, .text_refused = text_refused};
    weir_ws_reader_init(&reader, &rules);
    return reader;
}

static int begin(void **state)
{
    (void)state;
    the_wire.len = 0;
    return 0;
}

/* The wire must fail with this code, however it is cut. */
static void expect_fail(uint16_t code)
{
    static const size_t cuts[] = {1, 2, 3, 7, WIRE_MAX};
    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        weir_ws_reader reader = fresh(false);
        read_in_cuts(&reader, cuts[i], &one);
        assert_int_not_equal(one.err, WEIR_OK);
        assert_int_equal(weir_ws_fail_code(&reader), code);
        assert_true(strlen(weir_ws_fail_text(&reader)) > 10);
    }
}

static void expect_message(size_t index, weir_ws_opcode opcode, const void *bytes, size_t len)
{
    assert_true(index < one.count);
    assert_int_equal(one.message[index].opcode, opcode);
    assert_int_equal(one.message[index].len, len);
    assert_true(one.message[index].whole);
    assert_memory_equal(one.text + one.message[index].at, bytes, len);
}

static void read_whole(void)
{
    weir_ws_reader reader = fresh(false);
    read_in_cuts(&reader, WIRE_MAX, &one);
}

static void the_examples_of_the_rfc_are_read(void **state)
{
    const uint8_t hello[] = {0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58};
    (void)state;
    put_raw(hello, sizeof(hello)); /* [5.7] */
    read_whole();
    assert_int_equal(one.count, 1);
    expect_message(0, WEIR_WS_TEXT, "Hello", 5);
}

static void a_client_reads_unmasked_frames_only(void **state)
{
    uint8_t hello[] = {0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f};
    uint8_t masked[] = {0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58};
    weir_ws_rules rules = {.role = WEIR_WS_CLIENT, .message_bytes_max = 100};
    weir_ws_reader reader;
    weir_ws_event event;
    size_t used = 0;
    (void)state;
    weir_ws_reader_init(&reader, &rules);
    assert_int_equal(weir_ws_read(&reader, hello, sizeof(hello), &used, &event), WEIR_OK);
    assert_int_equal(event.bytes.len, 5);
    assert_memory_equal(event.bytes.ptr, "Hello", 5);
    assert_int_equal(weir_ws_read(&reader, masked, sizeof(masked), &used, &event), WEIR_PROTOCOL);
}

static void an_unmasked_frame_ends_the_connection(void **state)
{
    const uint8_t hello[] = {0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f};
    (void)state;
    put_raw(hello, sizeof(hello)); /* [5.1] */
    expect_fail(WEIR_WS_CODE_PROTOCOL);
}

static void every_cut_of_a_stream_tells_the_same(void **state)
{
    static uint8_t large[70000];
    (void)state;
    for (size_t i = 0; i < sizeof(large); i++) {
        large[i] = (uint8_t)(i * 7);
    }
    put_frame(0x82, large, 0);
    put_frame(0x82, large, 125);
    put_frame(0x02, large, 126);
    put_frame(0x89, "ping", 4); /* [5.4] between fragments */
    put_frame(0x00, large, 0);
    put_frame(0x80, large, 65535);
    put_frame(0x82, large, 65536);
    put_frame(0x81, "\xce\xba\xe1\xbd\xb9", 5);
    put_frame(0x8a, "", 0);
    put_frame(0x88, "\x03\xe8why", 5);
    weir_ws_reader reader = fresh(false);
    read_in_cuts(&reader, WIRE_MAX, &one);
    assert_int_equal(one.err, WEIR_OK);
    assert_int_equal(one.count, 8);
    expect_message(7, WEIR_WS_CLOSE, "why", 3);
    assert_int_equal(one.message[7].code, 1000);
    for (size_t cut = 1; cut < 40; cut += cut < 20 ? 1 : 7) {
        reader = fresh(false);
        read_in_cuts(&reader, cut, &other);
        assert_int_equal(other.err, WEIR_OK); /* [W1] */
        assert_int_equal(other.count, one.count);
        assert_int_equal(other.text_len, one.text_len);
    }
    reader = fresh(false);
    read_in_cuts(&reader, 1, &other); /* without interleaving the bytes are in order */
    assert_int_equal(other.message[2].len, 126 + 65535);
}

static void fragments_make_one_message(void **state)
{
    (void)state;
    put_frame(0x01, "a", 1);
    put_frame(0x00, "", 0);
    put_frame(0x00, "b", 1);
    put_frame(0x80, "c", 1);
    put_frame(0x82, "d", 1);
    read_whole();
    assert_int_equal(one.count, 2);
    expect_message(0, WEIR_WS_TEXT, "abc", 3);
    expect_message(1, WEIR_WS_BINARY, "d", 1);
}

static void a_continuation_of_nothing_is_refused(void **state)
{
    (void)state;
    put_frame(0x80, "x", 1); /* [5.4] */
    expect_fail(WEIR_WS_CODE_PROTOCOL);
    the_wire.len = 0;
    put_frame(0x81, "x", 1);
    put_frame(0x00, "x", 1);
    expect_fail(WEIR_WS_CODE_PROTOCOL);
}

static void a_message_within_a_message_is_refused(void **state)
{
    (void)state;
    put_frame(0x01, "x", 1);
    put_frame(0x81, "x", 1); /* [5.4] fragments of two messages are never mixed */
    expect_fail(WEIR_WS_CODE_PROTOCOL);
}

static void each_reserved_bit_is_refused(void **state)
{
    (void)state;
    for (uint8_t bit = 0x10; bit <= 0x40; bit = (uint8_t)(bit << 1)) {
        the_wire.len = 0;
        put_frame((uint8_t)(0x81 | bit), "x", 1); /* [5.2] */
        expect_fail(WEIR_WS_CODE_PROTOCOL);
        the_wire.len = 0;
        put_frame((uint8_t)(0x89 | bit), "x", 1);
        expect_fail(WEIR_WS_CODE_PROTOCOL);
    }
}

static void each_reserved_opcode_is_refused(void **state)
{
    static const uint8_t opcodes[] = {3, 4, 5, 6, 7, 11, 12, 13, 14, 15};
    (void)state;
    for (size_t i = 0; i < sizeof(opcodes); i++) {
        the_wire.len = 0;
        put_frame((uint8_t)(0x80 | opcodes[i]), "x", 1); /* [5.2] */
        expect_fail(WEIR_WS_CODE_PROTOCOL);
    }
}

static void a_long_or_fragmented_control_frame_is_refused(void **state)
{
    static const uint8_t opcodes[] = {WEIR_WS_CLOSE, WEIR_WS_PING, WEIR_WS_PONG};
    static const uint8_t zeros[126];
    (void)state;
    for (size_t i = 0; i < sizeof(opcodes); i++) {
        the_wire.len = 0;
        put_frame((uint8_t)(0x80 | opcodes[i]), zeros, sizeof(zeros)); /* [5.5] */
        expect_fail(WEIR_WS_CODE_PROTOCOL);
        the_wire.len = 0;
        put_frame(opcodes[i], zeros, 2);
        expect_fail(WEIR_WS_CODE_PROTOCOL);
    }
    the_wire.len = 0;
    put_frame(0x89, zeros, 125);
    read_whole();
    expect_message(0, WEIR_WS_PING, zeros, 125);
}

static void a_length_in_too_many_bytes_is_refused(void **state)
{
    const uint8_t of_16[] = {0x82, 0xfe, 0x00, 0x7d};
    const uint8_t of_64[] = {0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    const uint8_t signed_64[] = {0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0};
    (void)state;
    put_raw(of_16, sizeof(of_16)); /* [5.2] */
    expect_fail(WEIR_WS_CODE_PROTOCOL);
    the_wire.len = 0;
    put_raw(of_64, sizeof(of_64));
    expect_fail(WEIR_WS_CODE_PROTOCOL);
    the_wire.len = 0;
    put_raw(signed_64, sizeof(signed_64));
    expect_fail(WEIR_WS_CODE_PROTOCOL);
}

static void a_claim_of_2_to_the_62_is_refused_at_the_head(void **state)
{
    const uint8_t claim[] = {0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0};
    (void)state;
    put_raw(claim, sizeof(claim)); /* no mask, no payload: [W2] */
    expect_fail(WEIR_WS_CODE_TOO_BIG);
}

static void the_limit_counts_across_fragments(void **state)
{
    static uint8_t zeros[MESSAGE_MAX];
    (void)state;
    put_frame(0x02, zeros, MESSAGE_MAX - 1);
    put_frame(0x80, zeros, 1); /* [W3] exactly the limit */
    put_frame(0x82, zeros, MESSAGE_MAX);
    read_whole();
    assert_int_equal(one.err, WEIR_OK);
    assert_int_equal(one.count, 2);
    the_wire.len = 0;
    put_frame(0x02, zeros, MESSAGE_MAX - 1);
    put_frame(0x00, zeros, 2);
    expect_fail(WEIR_WS_CODE_TOO_BIG);
}

static void the_1025th_fragment_is_refused(void **state)
{
    (void)state;
    put_frame(0x02, "", 0);
    for (size_t i = 1; i < WEIR_WS_FRAGMENTS_MAX; i++) {
        put_frame(0x00, "", 0);
    }
    read_whole();
    assert_int_equal(one.err, WEIR_OK);
    put_frame(0x80, "", 0);
    expect_fail(WEIR_WS_CODE_TOO_BIG);
}

static void text_is_refused_at_its_head_where_only_binary_is_taken(void **state)
{
    (void)state;
    put_frame(0x81, "never looked at", 15);
    the_wire.len = 2;
    weir_ws_reader reader = fresh(true);
    read_in_cuts(&reader, 1, &one);
    assert_int_equal(one.err, WEIR_UNSUPPORTED);
    assert_int_equal(weir_ws_fail_code(&reader), WEIR_WS_CODE_UNACCEPTABLE);
}

static void text_that_is_not_utf8_fails_at_the_first_bad_byte(void **state)
{
    static const char *const bad[] = {"\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff",
                                      "ok\x80",   "\xce",         "\xe1\xbd"};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        the_wire.len = 0;
        put_frame(0x81, bad[i], strlen(bad[i])); /* [8.1] */
        expect_fail(WEIR_WS_CODE_NOT_UTF8);
    }
    the_wire.len = 0;
    put_frame(0x01, "\xf4\x90", 2); /* cannot become UTF-8: the rest is not waited for */
    expect_fail(WEIR_WS_CODE_NOT_UTF8);
    the_wire.len = 0;
    put_frame(0x01, "\xf4\x8f", 2); /* a code point may be cut by a fragment's end */
    put_frame(0x80, "\xbf\xbf", 2);
    read_whole();
    expect_message(0, WEIR_WS_TEXT, "\xf4\x8f\xbf\xbf", 4);
    the_wire.len = 0;
    put_frame(0x82, "\xff\xfe", 2); /* binary may hold anything */
    read_whole();
    assert_int_equal(one.err, WEIR_OK);
}

static void close_codes_are_those_of_the_registry(void **state)
{
    (void)state;
    for (unsigned code = 0; code <= 65535; code++) {
        bool valid = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
                     (code >= 3000 && code <= 4999);
        assert_int_equal(weir_ws_code_valid((uint16_t)code), valid); /* [7.4] */
    }
    static const uint8_t bad[][2] = {{0, 0},       {0x03, 0xec}, {0x03, 0xed}, {0x03, 0xee},
                                     {0x03, 0xf7}, {0x13, 0x88}, {0xff, 0xff}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        the_wire.len = 0;
        put_frame(0x88, bad[i], 2);
        expect_fail(WEIR_WS_CODE_PROTOCOL);
    }
}

static void a_close_frame_is_empty_or_has_a_code_and_utf8(void **state)
{
    (void)state;
    put_frame(0x88, "\x03", 1); /* [5.5.1] */
    expect_fail(WEIR_WS_CODE_PROTOCOL);
    the_wire.len = 0;
    put_frame(0x88, "\x03\xe8\xce", 3);
    expect_fail(WEIR_WS_CODE_NOT_UTF8);
    the_wire.len = 0;
    put_frame(0x88, "", 0);
    read_whole();
    expect_message(0, WEIR_WS_CLOSE, "", 0);
    assert_int_equal(one.message[0].code, WEIR_WS_CODE_NONE);
}

static void what_follows_a_close_frame_is_ignored(void **state)
{
    (void)state;
    put_frame(0x88, "\x03\xe9", 2);
    put_frame(0x81, "late", 4); /* [5.5.1] */
    put_raw((const uint8_t *)"\xff\xff\xff", 3);
    read_whole();
    assert_int_equal(one.err, WEIR_OK);
    assert_int_equal(one.count, 1);
    assert_int_equal(one.message[0].code, 1001);
}

static void an_error_is_repeated_for_ever(void **state)
{
    weir_ws_reader reader = fresh(false);
    (void)state;
    put_frame(0x83, "x", 1);
    read_in_cuts(&reader, 1, &one);
    the_wire.len = 0;
    put_frame(0x81, "fine", 4);
    read_in_cuts(&reader, WIRE_MAX, &one);
    assert_int_equal(one.err, WEIR_PROTOCOL);
    assert_int_equal(one.count, 0);
}

static void a_mask_is_its_own_inverse_at_every_position(void **state)
{
    uint8_t bytes[67], slow[67];
    (void)state;
    for (size_t len = 0; len < sizeof(bytes); len++) {
        for (uint64_t at = 0; at < 9; at++) {
            for (size_t i = 0; i < len; i++) {
                bytes[i] = (uint8_t)(i * 31);
                slow[i] = (uint8_t)(bytes[i] ^ mask[(at + i) & 3]); /* [5.3] */
            }
            weir_ws_mask(bytes, len, mask, at);
            assert_memory_equal(bytes, slow, len);
        }
    }
}

static void a_reader_knows_when_something_is_unfinished(void **state)
{
    (void)state;
    put_frame(0x01, "ab", 2);
    put_frame(0x89, "p", 1);
    put_frame(0x80, "c", 1);
    weir_ws_reader reader = fresh(false);
    assert_true(weir_ws_between_messages(&reader));
    for (size_t at = 0; at < the_wire.len; at++) {
        weir_ws_event event;
        size_t used = 0;
        weir_err err = weir_ws_read(&reader, the_wire.bytes + at, 1, &used, &event);
        assert_true(err == WEIR_OK || err == WEIR_MORE);
        assert_int_equal(weir_ws_between_messages(&reader), at == the_wire.len - 1);
    }
}

static void heads_are_written_in_the_shortest_form(void **state)
{
    static const struct {
        uint64_t payload;
        size_t plain;
    } cases[] = {{0, 2}, {125, 2}, {126, 4}, {65535, 4}, {65536, 10}, {1ull << 62, 10}};
    uint8_t head[WEIR_WS_HEAD_BYTES_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t payload = cases[i].payload;
        assert_int_equal(weir_ws_head_write(head, WEIR_WS_BINARY, true, payload, NULL),
                         cases[i].plain);
        assert_int_equal(weir_ws_head_write(head, WEIR_WS_BINARY, true, payload, mask),
                         cases[i].plain + 4);
    }
}

static void a_close_reason_is_cut_between_code_points(void **state)
{
    char reason[200];
    uint8_t out[WEIR_WS_CONTROL_BYTES_MAX];
    (void)state;
    memset(reason, 'x', 122);
    strcpy(reason + 122, "\xce\xba\xce\xba");
    assert_int_equal(weir_ws_close_payload(out, 1001, reason), 124);
    assert_int_equal(weir_ws_close_payload(out, 1001, NULL), 2);
    assert_memory_equal(out, "\x03\xe9", 2);
    assert_int_equal(weir_ws_close_payload(out, WEIR_WS_CODE_NONE, "x"), 0);
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_examples_of_the_rfc_are_read),
        TEST(a_client_reads_unmasked_frames_only),
        TEST(an_unmasked_frame_ends_the_connection),
        TEST(every_cut_of_a_stream_tells_the_same),
        TEST(fragments_make_one_message),
        TEST(a_continuation_of_nothing_is_refused),
        TEST(a_message_within_a_message_is_refused),
        TEST(each_reserved_bit_is_refused),
        TEST(each_reserved_opcode_is_refused),
        TEST(a_long_or_fragmented_control_frame_is_refused),
        TEST(a_length_in_too_many_bytes_is_refused),
        TEST(a_claim_of_2_to_the_62_is_refused_at_the_head),
        TEST(the_limit_counts_across_fragments),
        TEST(the_1025th_fragment_is_refused),
        TEST(text_is_refused_at_its_head_where_only_binary_is_taken),
        TEST(text_that_is_not_utf8_fails_at_the_first_bad_byte),
        TEST(close_codes_are_those_of_the_registry),
        TEST(a_close_frame_is_empty_or_has_a_code_and_utf8),
        TEST(what_follows_a_close_frame_is_ignored),
        TEST(an_error_is_repeated_for_ever),
        TEST(a_mask_is_its_own_inverse_at_every_position),
        TEST(a_reader_knows_when_something_is_unfinished),
        TEST(heads_are_written_in_the_shortest_form),
        TEST(a_close_reason_is_cut_between_code_points),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
