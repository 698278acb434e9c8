/* tests/unit/engine/fate_lines_test.c - lines of stories as bytes: what was written is read, and bytes
 * that make no sense are refused. */
#include "core/engine/fate_lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdlib.h>

static const weir_fate_part PARTS[] = {
    {.group_id = 1,
     .topic_id = 7,
     .partition = 0,
     .group = WEIR_TEXT("g"),
     .topic = WEIR_TEXT("orders")},
    {.group_id = 2,
     .topic_id = 7,
     .partition = 4000000000u,
     .group = WEIR_TEXT("other"),
     .topic = WEIR_TEXT("orders")},
};

static void written(weir_buffer *out, weir_fate_told *lines, size_t count)
{
    weir_fate_writer writer = {0};
    int64_t next[2] = {0, 0};
    assert_int_equal(weir_buffer_reserve(out, 65536), WEIR_OK);
    assert_int_equal(weir_fate_part_write(&writer, &PARTS[0], out), 0);
    assert_int_equal(weir_fate_part_write(&writer, &PARTS[1], out), 1);
    assert_int_equal(weir_fate_member_write(&writer, WEIR_TEXT("m"), WEIR_TEXT("websocket"), out),
                     0);
    for (size_t i = 0; i < count; i++) {
        weir_fate_line_write(&writer, &lines[i], &next[lines[i].part], out);
    }
}

static weir_fate_told LINES[] = {
    {.part = 0,
     .member = 0,
     .event = WEIR_TOLD_LEASED,
     .last = 63,
     .time_ms = 1764380000000,
     .leased = 1},
    {.part = 0,
     .member = 0,
     .event = WEIR_TOLD_ACCEPTED,
     .fate = WEIR_FATE_ACCEPTED,
     .last = 63,
     .time_ms = 1764380000007,
     .leased = 1},
    {.part = 1,
     .member = UINT32_MAX,
     .event = WEIR_TOLD_EXPIRED,
     .fate = WEIR_FATE_EXPIRED,
     .first = INT64_MAX - 10,
     .last = INT64_MAX - 2,
     .time_ms = 1764380000007,
     .reason = WEIR_TEXT("retention")},
    {.part = 0,
     .member = 0,
     .event = WEIR_TOLD_REJECTED,
     .fate = WEIR_FATE_REJECTED,
     .first = 5,
     .last = 5,
     .time_ms = 1764379999999,
     .leased = UINT32_MAX,
     .failed = 65535,
     .reason = WEIR_TEXT("")},
    {.part = 0,
     .member = UINT32_MAX,
     .event = WEIR_TOLD_DEAD_LETTERED,
     .fate = WEIR_FATE_DEAD_LETTERED,
     .first = 6,
     .last = 6,
     .time_ms = 1764380000009,
     .reason = WEIR_TEXT("delivery-limit"),
     .letter = {.topic = WEIR_TEXT("dead"), .partition = UINT32_MAX, .offset = INT64_MAX - 1}},
    {.part = 0,
     .member = UINT32_MAX,
     .event = WEIR_TOLD_RESET,
     .first = 0,
     .last = 6,
     .time_ms = 1764380000010},
};
enum { LINE_COUNT = sizeof(LINES) / sizeof(LINES[0]) };

static void what_was_written_is_read(void **state)
{
    weir_buffer out = {0};
    weir_fate_reader reader = {.begun = false};
    weir_fate_told line;
    (void)state;
    written(&out, LINES, LINE_COUNT);
    for (int round = 0; round < 2; round++) {
        weir_fate_reader_begin(&reader, weir_buffer_bytes(&out));
        for (size_t i = 0; i < LINE_COUNT; i++) {
            assert_int_equal(weir_fate_reader_next(&reader, &line), WEIR_OK);
            assert_int_equal(line.part, LINES[i].part);
            assert_int_equal(line.member, LINES[i].member);
            assert_int_equal(line.event, LINES[i].event);
            assert_int_equal(line.fate, LINES[i].fate);
            assert_int_equal(line.first, LINES[i].first);
            assert_int_equal(line.last, LINES[i].last);
            assert_int_equal(line.time_ms, LINES[i].time_ms);
            assert_int_equal(line.leased, LINES[i].leased);
            assert_int_equal(line.failed, LINES[i].failed);
            assert_int_equal(line.reason.ptr != NULL, LINES[i].reason.ptr != NULL);
            assert_true(weir_bytes_equal(line.reason, LINES[i].reason));
            assert_true(weir_bytes_equal(line.letter.topic, LINES[i].letter.topic));
            assert_int_equal(line.letter.partition, LINES[i].letter.partition);
            assert_int_equal(line.letter.offset, LINES[i].letter.offset);
            assert_true(weir_bytes_equal(reader.named[line.part].group, PARTS[line.part].group));
            assert_int_equal(reader.named[line.part].partition, PARTS[line.part].partition);
        }
        assert_int_equal(weir_fate_reader_next(&reader, &line), WEIR_EMPTY);
        assert_true(weir_bytes_equal(reader.members[0].origin, WEIR_TEXT("websocket")));
    }
    weir_fate_reader_fini(&reader);
    weir_buffer_fini(&out);
}

static void the_usual_line_takes_eight_bytes(void **state)
{
    weir_buffer out = {0};
    (void)state;
    written(&out, LINES, 1);
    size_t before = out.len;
    weir_fate_told lines[3] = {LINES[0], LINES[0], LINES[0]};
    for (int i = 1; i < 3; i++) {
        lines[i].first = 64 * i;
        lines[i].last = 64 * i + 63;
        lines[i].time_ms += i;
    }
    out.len = 0;
    written(&out, lines, 3);
    assert_int_equal((out.len - before) / 2, 8);
    weir_buffer_fini(&out);
}

static void no_cut_or_flipped_byte_is_read_beyond_the_end(void **state)
{
    weir_buffer out = {0};
    weir_fate_told line;
    (void)state;
    written(&out, LINES, LINE_COUNT);
    for (size_t at = 0; at < out.len; at++) {
        for (int flip = 0; flip <= 8; flip++) {
            size_t len = flip == 8 ? at : out.len;
            uint8_t *copy = malloc(len + 1); /* its very end is watched by a sanitizer */
            memcpy(copy, out.ptr, len);
            copy[at] ^= flip < 8 ? (uint8_t)(1 << flip) : 0;
            weir_fate_reader reader = {.begun = false};
            weir_fate_reader_begin(&reader, (weir_bytes){copy, len});
            weir_err err = WEIR_OK;
            for (int lines = 0; err == WEIR_OK && lines < 100; lines++) {
                err = weir_fate_reader_next(&reader, &line);
                if (err == WEIR_OK) {
                    assert_true(line.first >= 0 && line.last >= line.first);
                    assert_true(line.part < reader.so_far.parts);
                    assert_true(line.member == UINT32_MAX || line.member < reader.so_far.members);
                }
            }
            assert_true(err == WEIR_EMPTY || err == WEIR_DAMAGED || err == WEIR_VERSION);
            weir_fate_reader_fini(&reader);
            free(copy);
        }
    }
    weir_buffer_fini(&out);
}

static void every_event_has_a_word_of_its_own(void **state)
{
    (void)state;
    for (int a = 1; a < WEIR_FATE_EVENTS; a++) {
        for (int b = 1; b < a; b++) {
            assert_string_not_equal(weir_fate_event_name((weir_fate_event)a),
                                    weir_fate_event_name((weir_fate_event)b));
        }
    }
    assert_string_equal(weir_fate_event_name(WEIR_FATE_EVENTS), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(the_usual_line_takes_eight_bytes),
        cmocka_unit_test(no_cut_or_flipped_byte_is_read_beyond_the_end),
        cmocka_unit_test(every_event_has_a_word_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
