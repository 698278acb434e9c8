/* Frames and message boundaries of weir.v1: every cut, every wrong length. */
#include "adapters/proto/weir1/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static const weir_v1_frame samples[] = {
    {.type = WEIR_V1_FRAME_PRODUCE,
     .topic = {(const uint8_t *)"orders", 6},
     .partition = 3,
     .request = 0x0102030405060708,
     .batches = {(const uint8_t *)"batch bytes", 11}},
    {.type = WEIR_V1_FRAME_FETCH,
     .topic = {(const uint8_t *)"orders", 6},
     .partition = 3,
     .request = 9,
     .offset = INT64_MAX,
     .bytes_max = 65536,
     .wait_ms = 250},
    {.type = WEIR_V1_FRAME_PRODUCED,
     .request = 9,
     .level = WEIR_LEVEL_DISK,
     .partition = 7,
     .offset = 41,
     .time_ms = 1700000000000},
    {.type = WEIR_V1_FRAME_FETCHED,
     .request = 9,
     .start_offset = 1,
     .end_offset = 5,
     .batches = {(const uint8_t *)"stored", 6}},
    {.type = WEIR_V1_FRAME_LEASE,
     .request = 9,
     .member = 3,
     .records_max = 100,
     .bytes_max = 65536,
     .wait_ms = 250},
    {.type = WEIR_V1_FRAME_SETTLE,
     .request = 9,
     .member = 3,
     .verb = WEIR_VERB_RELEASE,
     .flags = WEIR_V1_FRAME_FAILED,
     .delay_ms = 50,
     .epoch = 5,
     .generation = 7,
     .reason = {(const uint8_t *)"busy", 4}},
    {.type = WEIR_V1_FRAME_LEASED, .request = 9, .epoch = 5, .generation = 7, .lease_ms = -1},
    {.type = WEIR_V1_FRAME_SETTLED,
     .request = 9,
     .level = WEIR_LEVEL_OS,
     .settled = 12,
     .refused = 1,
     .lease_ms = 30000},
    {.type = WEIR_V1_FRAME_ERROR,
     .request = 9,
     .code = {(const uint8_t *)"not-found", 9},
     .text = {(const uint8_t *)"Declare it.", 11}},
};

enum { SAMPLES = sizeof(samples) / sizeof(samples[0]) };

static void assert_same(const weir_v1_frame *a, const weir_v1_frame *b)
{
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->request, b->request);
    assert_int_equal(a->partition, b->partition);
    assert_int_equal(a->offset, b->offset);
    assert_int_equal(a->bytes_max, b->bytes_max);
    assert_int_equal(a->wait_ms, b->wait_ms);
    assert_int_equal(a->level, b->level);
    assert_int_equal(a->time_ms, b->time_ms);
    assert_int_equal(a->start_offset, b->start_offset);
    assert_int_equal(a->end_offset, b->end_offset);
    assert_int_equal(a->member, b->member);
    assert_int_equal(a->records_max, b->records_max);
    assert_int_equal(a->verb, b->verb);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->delay_ms, b->delay_ms);
    assert_int_equal(a->epoch, b->epoch);
    assert_int_equal(a->generation, b->generation);
    assert_int_equal(a->lease_ms, b->lease_ms);
    assert_int_equal(a->settled, b->settled);
    assert_int_equal(a->refused, b->refused);
    assert_true(weir_bytes_equal(a->reason, b->reason));
    assert_true(weir_bytes_equal(a->topic, b->topic));
    assert_true(weir_bytes_equal(a->batches, b->batches));
    assert_true(weir_bytes_equal(a->code, b->code));
    assert_true(weir_bytes_equal(a->text, b->text));
}

static void every_frame_comes_back_as_it_was_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        weir_buffer wire = {0};
        weir_v1_frame back;
        assert_int_equal(weir_v1_frame_encode(&samples[i], &wire), WEIR_OK);
        assert_int_equal(weir_v1_frame_decode(weir_buffer_bytes(&wire), &back), WEIR_OK);
        assert_same(&samples[i], &back);
        weir_buffer_fini(&wire);
    }
}

static void a_frame_has_the_bytes_of_the_specification(void **state)
{
    static const uint8_t wire[] = {0x02, 0, 0, 0, 36, 0, 2, 'a', 'b', 0, 0, 0, 1, 0, 0, 0, 0, 0,  0,
                                   0,    5, 0, 0, 0,  0, 0, 0,   0,   9, 0, 1, 0, 0, 0, 0, 0, 100};
    weir_v1_frame frame;
    (void)state;
    assert_int_equal(weir_v1_frame_decode((weir_bytes){wire, sizeof(wire)}, &frame), WEIR_MORE);
    uint8_t right[sizeof(wire)];
    memcpy(right, wire, sizeof(wire));
    right[4] = sizeof(wire) - 5;
    assert_int_equal(weir_v1_frame_decode(WEIR_BYTES(right), &frame), WEIR_OK);
    assert_int_equal(frame.partition, 1);
    assert_int_equal(frame.request, 5);
    assert_int_equal(frame.offset, 9);
    assert_int_equal(frame.bytes_max, 65536);
    assert_int_equal(frame.wait_ms, 100);
}

static void ranges_and_runs_come_back_as_they_were_written(void **state)
{
    const weir_settle_range range = {
        .topic = WEIR_TEXT("jobs"), .partition = 2, .first = 7, .last = 9, .lease = 11};
    const weir_v1_frame_leased run = {.topic = WEIR_TEXT("jobs"),
                                      .partition = 2,
                                      .first = 7,
                                      .last = 9,
                                      .lease = 11,
                                      .leased = 2,
                                      .failed = 1,
                                      .batch = WEIR_TEXT("stored")};
    weir_buffer ranges = {0};
    weir_buffer runs = {0};
    weir_settle_range range_back = {0};
    weir_v1_frame_leased run_back = {0};
    (void)state;
    assert_int_equal(weir_v1_frame_range_put(&ranges, &range), WEIR_OK);
    assert_int_equal(weir_v1_frame_range_put(&ranges, &range), WEIR_OK);
    assert_int_equal(weir_v1_frame_run_put(&runs, &run), WEIR_OK);
    weir_bytes rest = weir_buffer_bytes(&ranges);
    assert_int_equal(weir_v1_frame_range_take(&rest, &range_back), WEIR_OK);
    assert_true(weir_bytes_equal(range_back.topic, range.topic));
    assert_int_equal(range_back.partition, 2);
    assert_int_equal(range_back.last, 9);
    assert_int_equal(range_back.lease, 11);
    for (size_t cut = 1; cut < rest.len; cut++) {
        weir_bytes head = {rest.ptr, cut};
        assert_int_equal(weir_v1_frame_range_take(&head, &range_back), WEIR_MALFORMED);
    }
    assert_int_equal(weir_v1_frame_range_take(&rest, &range_back), WEIR_OK);
    assert_int_equal(weir_v1_frame_range_take(&rest, &range_back), WEIR_EMPTY);
    rest = weir_buffer_bytes(&runs);
    assert_int_equal(weir_v1_frame_run_take(&rest, &run_back), WEIR_OK);
    assert_int_equal(run_back.leased, 2);
    assert_int_equal(run_back.failed, 1);
    assert_true(weir_bytes_equal(run_back.batch, run.batch));
    assert_int_equal(weir_v1_frame_run_take(&rest, &run_back), WEIR_EMPTY);
    weir_buffer_fini(&ranges);
    weir_buffer_fini(&runs);
}

static void a_frame_cut_anywhere_asks_for_more(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        weir_buffer wire = {0};
        assert_int_equal(weir_v1_frame_encode(&samples[i], &wire), WEIR_OK);
        for (size_t cut = 0; cut < wire.len; cut++) {
            uint8_t *copy = malloc(cut + 1);
            memcpy(copy, wire.ptr, cut);
            weir_v1_frame back;
            assert_int_equal(weir_v1_frame_decode((weir_bytes){copy, cut}, &back), WEIR_MORE);
            free(copy);
        }
        weir_buffer_fini(&wire);
    }
}

/* The length says the frame ends earlier than its parts: it must be told, not read past. */
static void a_length_that_cuts_a_part_is_malformed(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        weir_buffer wire = {0};
        assert_int_equal(weir_v1_frame_encode(&samples[i], &wire), WEIR_OK);
        size_t open_end = samples[i].batches.len; /* batches take whatever is left */
        for (size_t rest = 0; rest + 5 + open_end < wire.len; rest++) {
            uint8_t *copy = malloc(rest + 5);
            memcpy(copy, wire.ptr, rest + 5);
            copy[4] = (uint8_t)rest;
            weir_v1_frame back;
            weir_err err = weir_v1_frame_decode((weir_bytes){copy, rest + 5}, &back);
            assert_int_equal(err, WEIR_MALFORMED);
            free(copy);
        }
        weir_buffer_fini(&wire);
    }
}

static void bytes_left_over_in_a_frame_are_malformed(void **state)
{
    weir_buffer wire = {0};
    weir_v1_frame back;
    (void)state;
    assert_int_equal(weir_v1_frame_encode(&samples[1], &wire), WEIR_OK);
    weir_buffer_append(&wire, "x", 1);
    wire.ptr[4]++;
    assert_int_equal(weir_v1_frame_decode(weir_buffer_bytes(&wire), &back), WEIR_MALFORMED);
    weir_buffer_fini(&wire);
}

static void another_type_is_unsupported(void **state)
{
    const uint8_t wire[] = {0x05, 0, 0, 0, 0};
    weir_v1_frame back;
    (void)state;
    assert_int_equal(weir_v1_frame_decode(WEIR_BYTES(wire), &back), WEIR_UNSUPPORTED);
}

static void a_text_longer_than_its_length_field_is_refused(void **state)
{
    static uint8_t long_text[65536];
    weir_v1_frame frame = {.type = WEIR_V1_FRAME_FETCH, .topic = {long_text, 65535}};
    weir_buffer wire = {0};
    (void)state;
    memset(long_text, 'a', sizeof(long_text));
    assert_int_equal(weir_v1_frame_encode(&frame, &wire), WEIR_OK);
    wire.len = 0;
    frame.topic.len = 65536;
    assert_int_equal(weir_v1_frame_encode(&frame, &wire), WEIR_INVALID);
    assert_int_equal(wire.len, 0);
    weir_buffer_fini(&wire);
}

/* ---- Message boundaries ------------------------------------------------------------------------
 */

static void lines_and_frames_follow_one_another(void **state)
{
    static const uint8_t wire[] = "{\"a\":1}\n\r\n{}\n\x01\0\0\0\x02hi{}\n";
    weir_bytes in = {wire, sizeof(wire) - 1};
    static const char *const want[] = {"{\"a\":1}", "{}", "\x01", "{}"};
    weir_v1_splitter splitter = {0};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        weir_bytes message;
        size_t used = 0;
        assert_int_equal(weir_v1_split(&splitter, in, 100, &message, &used), WEIR_OK);
        assert_memory_equal(message.ptr, want[i], strlen(want[i]));
        assert_int_equal(message.len, i == 2 ? 7 : strlen(want[i]));
        in.ptr += used;
        in.len -= used;
    }
    assert_int_equal(in.len, 0);
}

static void a_line_in_pieces_is_looked_through_once(void **state)
{
    static const uint8_t wire[] = "{\"a\":12345}\n";
    weir_v1_splitter splitter = {0};
    weir_bytes message;
    size_t used = 9;
    (void)state;
    for (size_t cut = 1; cut < sizeof(wire) - 1; cut++) {
        weir_bytes in = {wire, cut};
        assert_int_equal(weir_v1_split(&splitter, in, 100, &message, &used), WEIR_MORE);
        assert_int_equal(used, 0);
        assert_int_equal(splitter.looked, cut);
    }
    assert_int_equal(
        weir_v1_split(&splitter, (weir_bytes){wire, sizeof(wire) - 1}, 100, &message, &used),
        WEIR_OK);
    assert_int_equal(splitter.looked, 0);
}

static void a_message_of_the_limit_passes_and_one_byte_more_does_not(void **state)
{
    static const uint8_t line[] = "{123456}\n{1234567}\n";
    static const uint8_t frame[] = {1, 0, 0, 0, 3, 'a', 'b', 'c', 1, 0, 0, 0, 4};
    weir_v1_splitter splitter = {0};
    weir_bytes message;
    size_t used = 0;
    (void)state;
    weir_bytes in = {line, sizeof(line) - 1};
    assert_int_equal(weir_v1_split(&splitter, in, 8, &message, &used), WEIR_OK);
    in = (weir_bytes){line + used, sizeof(line) - 1 - used};
    assert_int_equal(weir_v1_split(&splitter, in, 8, &message, &used), WEIR_TOO_LARGE);
    splitter = (weir_v1_splitter){0};
    in.len = 9; /* nothing of its newline has come, and it is too long already */
    assert_int_equal(weir_v1_split(&splitter, in, 8, &message, &used), WEIR_TOO_LARGE);
    splitter = (weir_v1_splitter){0};
    in = WEIR_BYTES(frame);
    assert_int_equal(weir_v1_split(&splitter, in, 8, &message, &used), WEIR_OK);
    in = (weir_bytes){frame + used, sizeof(frame) - used};
    assert_int_equal(weir_v1_split(&splitter, in, 8, &message, &used), WEIR_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_frame_comes_back_as_it_was_written),
        cmocka_unit_test(a_frame_has_the_bytes_of_the_specification),
        cmocka_unit_test(ranges_and_runs_come_back_as_they_were_written),
        cmocka_unit_test(a_frame_cut_anywhere_asks_for_more),
        cmocka_unit_test(a_length_that_cuts_a_part_is_malformed),
        cmocka_unit_test(bytes_left_over_in_a_frame_are_malformed),
        cmocka_unit_test(another_type_is_unsupported),
        cmocka_unit_test(a_text_longer_than_its_length_field_is_refused),
        cmocka_unit_test(lines_and_frames_follow_one_another),
        cmocka_unit_test(a_line_in_pieces_is_looked_through_once),
        cmocka_unit_test(a_message_of_the_limit_passes_and_one_byte_more_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
