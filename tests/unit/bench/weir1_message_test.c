/* The records of weir.v1's generator: what is written is found again, and nothing else is. */
#include "bench/weir1/message.h"

#include "adapters/proto/weir1/frame.h"
#include "bench/weir1/drive.h"
#include "core/batch/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { COUNT = 300 }; /* offset deltas of one and of two bytes */

static const weir_load_head first = {.publisher = 3, .run = 0xfedcba98};

static uint8_t *written(weir_load_template *load, bool json)
{
    uint8_t *out;
    assert_int_equal(weir_load_template_init(load, json, "bench", 128, COUNT, first), WEIR_OK);
    out = malloc(load->len);
    assert_non_null(out);
    weir_load_write(load, 12345, 1000, 50, 7, out);
    return out;
}

static void head_is(const weir_load_head *head, uint32_t i)
{
    assert_int_equal(head->publisher, first.publisher);
    assert_int_equal(head->run, first.run);
    assert_int_equal(head->sequence, 1000 + i);
    assert_int_equal(head->intended_ns, 50 + 7 * i);
}

static void a_frame_is_a_batch_that_weir_accepts(void **state)
{
    weir_load_template load;
    weir_v1_frame frame;
    weir_batch_head head;
    uint8_t *out = written(&load, false);
    (void)state;
    assert_int_equal(weir_v1_frame_decode((weir_bytes){out, load.len}, &frame), WEIR_OK);
    assert_int_equal(frame.type, WEIR_V1_FRAME_PRODUCE);
    assert_int_equal(frame.request, 12345);
    assert_int_equal(weir_batch_check(frame.batches, &head, NULL, 0), WEIR_OK);
    assert_int_equal(head.record_count, COUNT);
    free(out);
    weir_load_template_fini(&load);
}

static void every_record_of_a_batch_is_found_again(void **state)
{
    weir_load_template load;
    uint8_t *out = written(&load, false);
    weir_bytes batch = {out + load.batch_at, load.len - load.batch_at};
    size_t at = WEIR_BATCH_HEAD_BYTES;
    weir_bytes value;
    bool broken;
    uint32_t count = 0;
    (void)state;
    while (weir_load_batch_next(batch, &at, &value, &broken)) {
        weir_load_head head;
        assert_int_equal(value.len, 128);
        assert_true(weir_load_head_read(value, false, &head));
        head_is(&head, count++);
    }
    assert_false(broken);
    assert_int_equal(count, COUNT);
    free(out);
    weir_load_template_fini(&load);
}

static void a_cut_batch_is_broken_and_not_shorter(void **state)
{
    weir_load_template load;
    uint8_t *out = written(&load, false);
    weir_bytes batch = {out + load.batch_at, load.len - load.batch_at - 1};
    size_t at = WEIR_BATCH_HEAD_BYTES;
    weir_bytes value;
    bool broken = false;
    uint32_t count = 0;
    (void)state;
    while (weir_load_batch_next(batch, &at, &value, &broken)) {
        count++;
    }
    assert_true(broken);
    assert_int_equal(count, COUNT - 1);
    free(out);
    weir_load_template_fini(&load);
}

static void every_record_of_a_text_is_found_again(void **state)
{
    weir_load_template load;
    uint8_t *out = written(&load, true);
    weir_bytes text = {out, load.len};
    weir_bytes value;
    size_t at = 0;
    uint64_t id;
    uint32_t count = 0;
    (void)state;
    assert_int_equal(out[load.len - 1], '\n');
    assert_true(weir_load_json_number(text, "id", &id));
    assert_int_equal(id, WEIR_LOAD_ID_FIRST + 12345);
    while (weir_load_json_next(text, &at, &value)) {
        weir_load_head head;
        assert_int_equal(value.len, 128);
        assert_true(weir_load_head_read(value, true, &head));
        head_is(&head, count++);
    }
    assert_int_equal(count, COUNT);
    free(out);
    weir_load_template_fini(&load);
}

/* However the stream is cut: a head may come with one read and its payload with the next. */
static void messages_come_out_of_frames_cut_anywhere(void **state)
{
    static const char whole[] = "{\"a\":1}\n\n{\"b\":2}\n";
    static const char *const texts[] = {"{\"a\":1}", "", "{\"b\":2}"};
    const weir_ws_rules rules = {.role = WEIR_WS_CLIENT, .message_bytes_max = 100};
    uint8_t stream[64];
    size_t len = 0;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        len += weir_ws_head_write(stream + len, WEIR_WS_TEXT, true, strlen(texts[i]), NULL);
        memcpy(stream + len, texts[i], strlen(texts[i]));
        len += strlen(texts[i]);
    }
    for (size_t cut = 0; cut <= len; cut++) {
        weir_ws_reader reader;
        uint8_t room[80];
        size_t had = 0;
        size_t more = 0;
        weir_ws_reader_init(&reader, &rules);
        memcpy(room + 1, stream, cut);
        assert_int_equal(weir_load_unframe(&reader, room + 1, cut, room, &had), WEIR_OK);
        memcpy(room + had + 1, stream + cut, len - cut);
        assert_int_equal(weir_load_unframe(&reader, room + had + 1, len - cut, room + had, &more),
                         WEIR_OK);
        assert_int_equal(had + more, sizeof(whole) - 1);
        assert_memory_equal(room, whole, sizeof(whole) - 1);
    }
}

static void what_is_no_head_is_none(void **state)
{
    static const char letters[] = "00112233445566778899aabbccddeeff00112233445566Gg and more";
    weir_load_head head;
    (void)state;
    assert_false(weir_load_head_read((weir_bytes){(const uint8_t *)letters, 23}, false, &head));
    assert_false(weir_load_head_read((weir_bytes){(const uint8_t *)letters, 47}, true, &head));
    assert_false(weir_load_head_read(weir_bytes_of(letters), true, &head));
    assert_false(weir_load_head_read(WEIR_BYTES_NULL, false, &head));
}

static void a_payload_too_small_for_its_head_is_refused(void **state)
{
    weir_load_template load;
    (void)state;
    assert_int_equal(weir_load_template_init(&load, false, "bench", 23, 1, first), WEIR_INVALID);
    assert_int_equal(weir_load_template_init(&load, true, "bench", 47, 1, first), WEIR_INVALID);
    assert_int_equal(weir_load_template_init(&load, true, "bench", 48, 0, first), WEIR_INVALID);
    assert_int_equal(weir_load_template_init(&load, false, "bench", 24, 1, first), WEIR_OK);
    weir_load_template_fini(&load);
}

static void a_row_becomes_a_task(void **state)
{
    weir_bench_workload row = {.kind = WEIR_BENCH_STREAM, .payload_bytes = 128, .window = 1000};
    weir_weir1_work work;
    (void)state;
    assert_int_equal(weir_weir1_work_of(&row, "ws-json", &work), WEIR_OK);
    assert_int_equal(work.task, WEIR_WEIR1_PUBLISH);
    assert_true(work.websocket);
    assert_true(work.json);
    assert_in_range(work.batch_records, 1, row.window / 4);
    row.kind = WEIR_BENCH_SINGLE;
    assert_int_equal(weir_weir1_work_of(&row, "", &work), WEIR_OK);
    assert_false(work.websocket);
    assert_int_equal(work.window, 1);
    assert_int_equal(weir_weir1_work_of(&row, "udp", &work), WEIR_INVALID);
    row.kind = WEIR_BENCH_MQTT;
    assert_int_equal(weir_weir1_work_of(&row, "", &work), WEIR_INVALID);
}

static void a_row_of_queues_is_stored_before_or_paced(void **state)
{
    weir_bench_workload row = {
        .kind = WEIR_BENCH_QUEUE_DRAIN, .payload_bytes = 128, .subscribers = 4, .messages = 1000};
    weir_weir1_work work;
    (void)state;
    assert_int_equal(weir_weir1_work_of(&row, "", &work), WEIR_OK);
    assert_int_equal(work.task, WEIR_WEIR1_DRAIN);
    assert_int_equal(work.fill_bytes, 128000);
    assert_int_equal(work.lease_records, work.batch_records); /* no batch is sent twice */
    row.kind = WEIR_BENCH_QUEUE_PACED;
    row.rate_per_second = 5000;
    assert_int_equal(weir_weir1_work_of(&row, "", &work), WEIR_OK);
    assert_int_equal(work.task, WEIR_WEIR1_PACED);
    assert_int_equal(work.batch_records, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_is_a_batch_that_weir_accepts),
        cmocka_unit_test(every_record_of_a_batch_is_found_again),
        cmocka_unit_test(a_cut_batch_is_broken_and_not_shorter),
        cmocka_unit_test(every_record_of_a_text_is_found_again),
        cmocka_unit_test(messages_come_out_of_frames_cut_anywhere),
        cmocka_unit_test(what_is_no_head_is_none),
        cmocka_unit_test(a_payload_too_small_for_its_head_is_refused),
        cmocka_unit_test(a_row_becomes_a_task),
        cmocka_unit_test(a_row_of_queues_is_stored_before_or_paced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
