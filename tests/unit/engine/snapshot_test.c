/* A checkpoint's payload: what is written is read back, what older versions wrote as well. */
#include "tests/unit/engine/support.h"

#include "core/engine/snapshot.h"

static weir_engine *made(void)
{
    weir_engine_config config = {.data_dir = "/nonexistent"};
    weir_engine *engine = NULL;
    config.limits = (weir_limits)WEIR_LIMITS_DEFAULT;
    assert_int_equal(weir_engine_make(&config, &engine), WEIR_OK);
    return engine;
}

static weir_err decode(weir_engine *engine, const weir_buffer *payload)
{
    weir_fault fault = {0};
    return weir_snapshot_decode(engine, weir_buffer_bytes(payload), &fault);
}

static void put_text(weir_writer *to, const char *text)
{
    weir_writer_bytes(to, text, strlen(text));
}

/* A batch of one record with a key, retained. */
static void put_batch(weir_writer *to, const char *key, const char *value)
{
    uint8_t bytes[512], rest[64] = {0};
    weir_batch_builder builder;
    uint32_t position;
    weir_batch_begin(&builder, bytes, sizeof(bytes));
    rest[0] = (uint8_t)(strlen(value) * 2); /* the length as a varint, then no header */
    memcpy(rest + 1, value, strlen(value));
    assert_int_equal(weir_batch_add(&builder, WEIR_RECORD_RETAIN, weir_bytes_of(key),
                                    (weir_bytes){rest, strlen(value) + 2}, &position),
                     WEIR_OK);
    weir_bytes batch = weir_batch_finish(&builder, 0, 0, 1000);
    weir_writer_u32(to, (uint32_t)batch.len);
    weir_writer_bytes(to, batch.ptr, batch.len);
}

static void put_old(weir_writer *to, uint16_t version)
{
    weir_writer_u16(to, version);
    weir_writer_u32(to, 9); /* the next topic id */
    weir_writer_u32(to, 1);
    weir_writer_u32(to, 7);
    weir_writer_u32(to, 2); /* partitions */
    weir_writer_u32(to, 1);
    weir_writer_u8(to, WEIR_LEVEL_OS);
    weir_writer_u8(to, 1);
    weir_writer_u16(to, 4);
    put_text(to, "news");
    for (uint64_t partition = 0; partition < 2; partition++) {
        weir_writer_u64(to, 1);
        weir_writer_u64(to, 5 + partition);
        weir_writer_u64(to, 6 + partition);
        weir_writer_u32(to, 1);
        const uint64_t segment[] = {0, 5 + partition, 700, 3, 1234, 1200};
        for (size_t i = 0; i < sizeof(segment) / sizeof(segment[0]); i++) {
            weir_writer_u64(to, segment[i]);
        }
        if (version > 1) {
            weir_writer_u64(to, 77);
        }
    }
    weir_writer_u32(to, 1);
    weir_writer_u32(to, 7);
    weir_writer_u16(to, 4);
    put_text(to, "news");
    weir_writer_u32(to, 0);
    put_batch(to, "today", "sun");
}

static void assert_news(weir_engine *engine, uint64_t term)
{
    weir_topic *topic = weir_topics_find(engine, WEIR_TEXT("news"));
    assert_non_null(topic);
    assert_int_equal(engine->topic_id_next, 9);
    assert_int_equal(topic->id, 7);
    assert_int_equal(topic->options.level, WEIR_LEVEL_OS);
    assert_int_equal(topic->options.partition_levels, 1);
    assert_true(topic->options.nested);
    assert_int_equal(topic->partition_count, 2);
    for (int i = 0; i < 2; i++) {
        const weir_partition *partition = topic->partitions[i];
        weir_segment_state state;
        assert_int_equal(partition->start_offset, 1);
        assert_int_equal(partition->flushed_offset, 5 + i);
        assert_int_equal(partition->next_offset, 6 + i);
        assert_int_equal(partition->segment_count, 1);
        weir_segment_state_of(partition->segments[0], &state);
        assert_int_equal(state.end_offset, 5 + i);
        assert_int_equal(state.head_count, 3);
        assert_int_equal(state.created_ms, 1200);
        assert_int_equal(state.term, term);
    }
    assert_int_equal(engine->retained.count, 1);
    assert_non_null(weir_map_get(&engine->retained, WEIR_TEXT("news/today")));
}

static void versions_1_and_2_are_read(void **state)
{
    (void)state;
    for (uint16_t version = 1; version <= 2; version++) {
        weir_buffer payload = {0};
        weir_writer to = {.out = &payload};
        weir_engine *engine = made();
        put_old(&to, version);
        assert_int_equal(to.err, WEIR_OK);
        assert_int_equal(decode(engine, &payload), WEIR_OK);
        assert_news(engine, version == 1 ? 0 : 77);
        weir_engine_free(engine);
        weir_buffer_fini(&payload);
    }
}

/* An engine with the state above, as version 3 has it. */
static void encode_news(weir_buffer *payload)
{
    weir_buffer old = {0};
    weir_writer to = {.out = &old};
    weir_engine *engine = made();
    put_old(&to, 2);
    assert_int_equal(decode(engine, &old), WEIR_OK);
    assert_int_equal(weir_snapshot_encode(engine, payload), WEIR_OK);
    weir_engine_free(engine);
    weir_buffer_fini(&old);
}

static void what_is_written_is_read_back(void **state)
{
    weir_buffer payload = {0};
    weir_engine *engine = made();
    (void)state;
    encode_news(&payload);
    assert_int_equal(weir_get_u16(payload.ptr), 3);
    assert_int_equal(decode(engine, &payload), WEIR_OK);
    assert_news(engine, 77);
    weir_engine_free(engine);
    weir_buffer_fini(&payload);
}

static void an_object_that_comes_again_replaces_the_first(void **state)
{
    weir_buffer payload = {0};
    weir_engine *engine = made();
    (void)state;
    encode_news(&payload);
    size_t len = payload.len;
    assert_int_equal(weir_buffer_reserve(&payload, len), WEIR_OK);
    assert_int_equal(weir_buffer_append(&payload, payload.ptr + 2, len - 2), WEIR_OK);
    assert_int_equal(decode(engine, &payload), WEIR_OK);
    assert_news(engine, 77);
    weir_engine_free(engine);
    weir_buffer_fini(&payload);
}

static void a_payload_cut_anywhere_but_between_objects_is_damaged(void **state)
{
    weir_buffer payload = {0};
    (void)state;
    encode_news(&payload);
    size_t between = 2;
    for (size_t cut = 0; cut < payload.len; cut++) {
        weir_fault fault = {0};
        weir_engine *engine = made();
        weir_err err = weir_snapshot_decode(engine, (weir_bytes){payload.ptr, cut}, &fault);
        assert_int_equal(err, cut == between ? WEIR_OK : WEIR_DAMAGED);
        if (cut == between) {
            between += 13 + weir_get_u32(payload.ptr + between + 9);
        }
        weir_engine_free(engine);
    }
    weir_buffer_fini(&payload);
}

static void put_object(weir_writer *to, uint8_t kind, weir_bytes body)
{
    weir_writer_u16(to, 3);
    weir_writer_u8(to, kind);
    weir_writer_u64(to, 1);
    weir_writer_u32(to, (uint32_t)body.len);
    weir_writer_bytes(to, body.ptr, body.len);
}

static void assert_object(uint8_t kind, weir_bytes body, weir_err expected)
{
    weir_buffer payload = {0};
    weir_writer to = {.out = &payload};
    weir_engine *engine = made();
    put_object(&to, kind, body);
    assert_int_equal(decode(engine, &payload), expected);
    weir_engine_free(engine);
    weir_buffer_fini(&payload);
}

static void what_a_newer_version_wrote_stops_the_start_as_such(void **state)
{
    const uint8_t unknown_tag[] = {0x7f, 0, 0, 0, 0, 0};
    weir_buffer payload = {0};
    weir_writer to = {.out = &payload};
    weir_engine *engine = made();
    (void)state;
    assert_object(200, (weir_bytes){NULL, 0}, WEIR_VERSION);
    assert_object(WEIR_SNAPSHOT_ENGINE, WEIR_BYTES(unknown_tag), WEIR_VERSION);
    weir_writer_u16(&to, 4);
    assert_int_equal(decode(engine, &payload), WEIR_VERSION);
    weir_engine_free(engine);
    weir_buffer_fini(&payload);
}

static void tags_that_fall_and_required_ones_that_lack_are_damage(void **state)
{
    const uint8_t twice[] = {0, 1, 0, 0, 0, 4, 0, 0, 0, 5, 0, 1, 0, 0, 0, 4, 0, 0, 0, 5};
    const uint8_t longer[] = {0, 1, 0, 0, 0, 5, 0, 0, 0, 5, 0};
    (void)state;
    assert_object(WEIR_SNAPSHOT_ENGINE, (weir_bytes){twice, 10}, WEIR_OK);
    assert_object(WEIR_SNAPSHOT_ENGINE, WEIR_BYTES(twice), WEIR_DAMAGED);
    assert_object(WEIR_SNAPSHOT_ENGINE, WEIR_BYTES(longer), WEIR_DAMAGED);
    assert_object(WEIR_SNAPSHOT_ENGINE, (weir_bytes){NULL, 0}, WEIR_DAMAGED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_1_and_2_are_read),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(an_object_that_comes_again_replaces_the_first),
        cmocka_unit_test(a_payload_cut_anywhere_but_between_objects_is_damaged),
        cmocka_unit_test(what_a_newer_version_wrote_stops_the_start_as_such),
        cmocka_unit_test(tags_that_fall_and_required_ones_that_lack_are_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
