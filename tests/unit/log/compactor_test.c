/* Compaction of closed segments: what stays, with which offsets and bytes, and that nothing is lost
 * between two batches. */
#include "core/log/compactor.h"

#include "core/base/hash.h"
#include "core/base/varint.h"
#include "core/batch/wire.h"

#include <lz4frame.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include <cmocka.h>

enum { SEGMENTS_MAX = 8, RECORDS_MAX = 4096, BATCH_BYTES_MAX = 8192 };
enum { CODEC_NONE = 0, CODEC_LZ4 = 3, CODEC_ZSTD = 4 };

/* How batches are compressed while the tests run; every test runs with each. */
static unsigned codec;

typedef struct bench {
    char dir[64];
    char out[80];
    weir_env *env;
    weir_topic_ref *topic;
    weir_chunk_pool *pool;
    weir_segment *segments[SEGMENTS_MAX];
    uint32_t segment_count;
    int64_t next;
    uint64_t term;
} bench;

static void bench_begin(bench *b)
{
    memset(b, 0, sizeof(*b));
    snprintf(b->dir, sizeof(b->dir), "/tmp/weir-compact-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    assert_int_equal(weir_env_posix_create(&b->env), WEIR_OK);
    assert_int_equal(weir_chunk_pool_create(&b->pool), WEIR_OK);
    b->topic = weir_topic_ref_create(7, WEIR_TEXT("t"));
    assert_non_null(b->topic);
}

static void segments_drop(bench *b)
{
    for (uint32_t i = 0; i < b->segment_count; i++) {
        weir_segment_drop(b->segments[i]);
    }
    b->segment_count = 0;
}

static void bench_end(bench *b)
{
    char command[96];
    segments_drop(b);
    weir_topic_ref_drop(b->topic);
    weir_chunk_pool_destroy(b->pool);
    weir_env_posix_destroy(b->env);
    snprintf(command, sizeof(command), "rm -rf '%s'", b->dir);
    assert_int_equal(system(command), 0);
}

static void segment_begin(bench *b)
{
    weir_segment *made = NULL;
    assert_int_equal(weir_segment_create(b->env, b->dir, 0, b->next, 1000, &made), WEIR_OK);
    b->segments[b->segment_count++] = made;
}

/* The same batch with its records compressed, as a client sends it. */
static weir_chunk *chunk_compress(bench *b, weir_chunk *plain)
{
    uint8_t bytes[BATCH_BYTES_MAX];
    weir_chunk *made = NULL;
    const uint8_t *records = plain->batch + WEIR_BATCH_HEAD_BYTES;
    size_t len = plain->batch_bytes - WEIR_BATCH_HEAD_BYTES;
    size_t room = sizeof(bytes) - WEIR_BATCH_HEAD_BYTES;
    uint8_t *to = bytes + WEIR_BATCH_HEAD_BYTES;
    size_t packed = codec == CODEC_LZ4 ? LZ4F_compressFrame(to, room, records, len, NULL)
                                       : ZSTD_compress(to, room, records, len, 3);
    assert_true(packed > 0 && packed < room);
    memcpy(bytes, plain->batch, WEIR_BATCH_HEAD_BYTES);
    bytes[HEAD_ATTRIBUTES + 1] |= (uint8_t)codec;
    weir_put_u32(bytes + HEAD_LENGTH, (uint32_t)(WEIR_BATCH_HEAD_BYTES + packed - HEAD_LENGTH_END));
    weir_batch_seal(bytes, WEIR_BATCH_HEAD_BYTES + packed);
    assert_int_equal(weir_chunk_from_batch(
                         b->topic, 0, (weir_bytes){bytes, WEIR_BATCH_HEAD_BYTES + packed}, &made),
                     WEIR_OK);
    weir_chunk_drop(plain);
    return made;
}

/* One batch, as "key=value key=value"; no '=' : a tombstone; an empty key: null. */
static void batch_add(bench *b, const char *records, int64_t time_ms)
{
    weir_chunk *chunk = NULL;
    weir_batch_builder builder;
    char copy[1024];
    uint8_t rest[256];
    char *mark = NULL;
    assert_int_equal(weir_chunk_create(b->pool, b->topic, 0, 4096, 64, &chunk), WEIR_OK);
    weir_batch_begin(&builder, chunk->batch, chunk->capacity);
    snprintf(copy, sizeof(copy), "%s", records);
    for (char *at = strtok_r(copy, " ", &mark); at != NULL; at = strtok_r(NULL, " ", &mark)) {
        char *value = strchr(at, '=');
        size_t key_len = value != NULL ? (size_t)(value - at) : strlen(at);
        weir_bytes key = key_len > 0 ? (weir_bytes){(uint8_t *)at, key_len} : WEIR_BYTES_NULL;
        weir_bytes body = value != NULL ? weir_bytes_of(value + 1) : WEIR_BYTES_NULL;
        weir_header header = {WEIR_TEXT("h"), WEIR_TEXT("v")};
        size_t len = weir_record_rest_encode(body, &header, 1, rest);
        assert_int_equal(weir_batch_add(&builder, 0, key, (weir_bytes){rest, len},
                                        &chunk->positions[builder.count]),
                         WEIR_OK);
    }
    chunk->count = (uint32_t)builder.count;
    chunk->base_offset = b->next;
    chunk->timestamp_ms = time_ms;
    chunk->batch_bytes = (uint32_t)weir_batch_finish(&builder, b->next, 3, time_ms).len;
    chunk = codec != CODEC_NONE ? chunk_compress(b, chunk) : chunk;
    assert_int_equal(weir_segment_append(b->segments[b->segment_count - 1], &chunk, 1), WEIR_OK);
    b->next += chunk->count;
    weir_chunk_drop(chunk);
}

static weir_compactor_plan plan_of(bench *b)
{
    b->term++;
    snprintf(b->out, sizeof(b->out), "%s/c%u", b->dir, (unsigned)b->term);
    return (weir_compactor_plan){
        .env = b->env,
        .topic = b->topic,
        .sources = b->segments,
        .source_count = b->segment_count,
        .now_ms = 100000,
        .delete_retention_ms = 5000,
        .segment_bytes_max = 1 << 20,
        .memory_bytes_max = 1 << 20,
        .dir = b->out,
        .parent = b->dir,
        .term = b->term,
    };
}

/* Compacts, in steps of `bytes`, and puts what was made in the sources' place. */
static weir_compactor_result compact(bench *b, weir_compactor_plan plan, uint64_t bytes)
{
    weir_compactor *compactor = NULL;
    weir_compactor_result result;
    bool done = false;
    assert_int_equal(weir_compactor_create(&plan, &compactor), WEIR_OK);
    for (int i = 0; !done; i++) {
        assert_true(i < 10000);
        assert_int_equal(weir_compactor_step(compactor, bytes, &done), WEIR_OK);
    }
    weir_compactor_result_of(compactor, &result);
    weir_segment *list[SEGMENTS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < result.segment_count; i++) {
        list[count++] = weir_segment_keep(result.segments[i]);
    }
    for (uint32_t i = result.source_count; i < b->segment_count; i++) {
        list[count++] = weir_segment_keep(b->segments[i]);
    }
    segments_drop(b);
    memcpy(b->segments, list, count * sizeof(list[0]));
    b->segment_count = count;
    weir_compactor_destroy(compactor);
    return result;
}

/* Everything that can be read, as "offset:key=value@time ". Every batch must begin where the one
 * before it ended. */
static void read_all(const bench *b, char *text, size_t size)
{
    int64_t at = 0;
    text[0] = '\0';
    for (uint32_t s = 0; s < b->segment_count; s++) {
        weir_segment_state state;
        weir_segment_state_of(b->segments[s], &state);
        assert_int_equal(state.base_offset, at);
        while (at < state.end_offset) {
            weir_chunk *chunks[16];
            uint32_t count = 0;
            int64_t from, to;
            assert_int_equal(weir_segment_read(b->segments[s], b->topic, 0, at, 1 << 20, chunks, 16,
                                               &count, &from, &to),
                             WEIR_OK);
            for (uint32_t c = 0; c < count; c++) {
                assert_int_equal(chunks[c]->base_offset, at);
                for (uint32_t i = 0; i < chunks[c]->count; i++) {
                    weir_record r;
                    weir_chunk_record(chunks[c], i, &r);
                    assert_int_equal(weir_chunk_offset_at(chunks[c], i), r.offset);
                    assert_int_equal(weir_chunk_index_at(chunks[c], r.offset), i);
                    assert_int_equal(r.header_count, 1);
                    size_t len = strlen(text);
                    snprintf(text + len, size - len, "%d:%.*s%s%.*s@%d ", (int)r.offset,
                             (int)r.key.len, r.key.ptr != NULL ? (const char *)r.key.ptr : "",
                             r.value.ptr != NULL ? "=" : "", (int)r.value.len,
                             r.value.ptr != NULL ? (const char *)r.value.ptr : "",
                             (int)r.timestamp_ms);
                }
                at = weir_chunk_end(chunks[c]);
                weir_chunk_drop(chunks[c]);
            }
        }
    }
    assert_int_equal(at, b->next);
}

static void assert_has_only(const bench *b, const char *expected)
{
    char text[4096];
    read_all(b, text, sizeof(text));
    assert_string_equal(text, expected);
}

static void the_newest_record_of_each_key_stays_with_its_offset_and_time(void **state)
{
    bench b;
    (void)state;
    bench_begin(&b);
    segment_begin(&b);
    batch_add(&b, "a=1 b=1 a=2", 11);
    batch_add(&b, "c=1", 12);
    segment_begin(&b);
    batch_add(&b, "a=3 d=1", 13);
    batch_add(&b, "c=2", 14);
    weir_compactor_result result = compact(&b, plan_of(&b), 1);
    assert_int_equal(result.records_removed, 3);
    assert_int_equal(result.clean_to, 7);
    assert_has_only(&b, "1:b=1@11 4:a=3@13 5:d=1@13 6:c=2@14 ");
    compact(&b, plan_of(&b), 1 << 20); /* and once more changes nothing */
    assert_has_only(&b, "1:b=1@11 4:a=3@13 5:d=1@13 6:c=2@14 ");
    bench_end(&b);
}

static void records_without_a_key_stay(void **state)
{
    bench b;
    (void)state;
    bench_begin(&b);
    segment_begin(&b);
    batch_add(&b, "=1 a=1 =2 a=2 =3", 11);
    compact(&b, plan_of(&b), 1 << 20);
    assert_has_only(&b, "0:=1@11 2:=2@11 3:a=2@11 4:=3@11 ");
    bench_end(&b);
}

static void a_tombstone_goes_a_while_after_what_it_deletes(void **state)
{
    bench b;
    (void)state;
    bench_begin(&b);
    segment_begin(&b);
    batch_add(&b, "a=1 b=1", 11);
    batch_add(&b, "a", 12);
    segment_begin(&b);
    batch_add(&b, "c=1", 13);
    weir_compactor_result result = compact(&b, plan_of(&b), 1 << 20);
    assert_has_only(&b, "1:b=1@11 2:a@12 3:c=1@13 ");
    assert_int_equal(result.tombstones_due_ms, 105000);
    weir_compactor_plan soon = plan_of(&b);
    soon.now_ms = 104999;
    soon.dirty_from = 4;
    soon.dirty_from = result.clean_to - 1;
    result = compact(&b, soon, 1 << 20);
    assert_has_only(&b, "1:b=1@11 2:a@12 3:c=1@13 ");
    assert_int_equal(result.tombstones_due_ms, 105000); /* told once, kept */
    weir_compactor_plan late = plan_of(&b);
    late.now_ms = 105000;
    result = compact(&b, late, 1 << 20);
    assert_has_only(&b, "1:b=1@11 3:c=1@13 ");
    assert_int_equal(result.tombstones_due_ms, INT64_MAX);
    bench_end(&b);
}

static void tombstones_that_are_due_go_though_nothing_is_dirty(void **state)
{
    bench b;
    (void)state;
    bench_begin(&b);
    segment_begin(&b);
    batch_add(&b, "a=1 b=1", 11);
    batch_add(&b, "a", 12);
    segment_begin(&b);
    batch_add(&b, "c=1", 13);
    weir_compactor_result result = compact(&b, plan_of(&b), 1 << 20);
    weir_compactor_plan late = plan_of(&b);
    late.now_ms = result.tombstones_due_ms;
    late.dirty_from = result.clean_to;
    assert_int_equal(late.dirty_from, b.next);
    result = compact(&b, late, 1 << 20);
    assert_has_only(&b, "1:b=1@11 3:c=1@13 ");
    assert_int_equal(result.clean_to, b.next);
    assert_int_equal(result.tombstones_due_ms, INT64_MAX);
    bench_end(&b);
}

static void the_last_record_stays_though_it_is_a_tombstone_that_is_due(void **state)
{
    bench b;
    (void)state;
    bench_begin(&b);
    segment_begin(&b);
    batch_add(&b, "a=1 b=1", 11);
    batch_add(&b, "a", 12);
    weir_compactor_result result = compact(&b, plan_of(&b), 1 << 20);
    weir_compactor_plan late = plan_of(&b);
    late.now_ms = result.tombstones_due_ms;
    late.dirty_from = result.clean_to;
    result = compact(&b, late, 1 << 20);
    assert_has_only(&b, "1:b=1@11 2:a@12 ");
    assert_int_equal(result.tombstones_due_ms, INT64_MAX); /* not tried at every look */
    segment_begin(&b);
    batch_add(&b, "c=1", 13);
    weir_compactor_plan later = plan_of(&b);
    later.now_ms = late.now_ms;
    later.dirty_from = result.clean_to;
    compact(&b, later, 1 << 20);
    assert_has_only(&b, "1:b=1@11 3:c=1@13 ");
    bench_end(&b);
}

static void when_nothing_would_be_left_the_last_record_stays(void **state)
{
    bench b;
    (void)state;
    bench_begin(&b);
    segment_begin(&b);
    batch_add(&b, "a=1 a=2", 11);
    batch_add(&b, "a", 12);
    compact(&b, plan_of(&b), 1 << 20);
    weir_compactor_plan late = plan_of(&b);
    late.now_ms = 1000000;
    compact(&b, late, 1 << 20);
    assert_has_only(&b, "2:a@12 ");
    bench_end(&b);
}

static void memory_that_does_not_hold_all_keys_leaves_the_rest_for_the_next(void **state)
{
    bench b;
    char text[64];
    (void)state;
    bench_begin(&b);
    for (int s = 0; s < 2; s++) {
        segment_begin(&b);
        for (int i = 0; i < 1500; i++) {
            snprintf(text, sizeof(text), "key%05d=%d", i, s);
            batch_add(&b, text, 11 + s);
        }
    }
    weir_compactor_plan small = plan_of(&b);
    small.memory_bytes_max = 48 << 10; /* about 700 keys */
    weir_compactor_result result = compact(&b, small, 1 << 20);
    assert_true(result.clean_to > 0 && result.clean_to < 1500);
    assert_int_equal(result.records_removed, 0);
    int64_t clean = 0;
    for (int round = 0; clean < 3000; round++) {
        assert_true(round < 20);
        weir_compactor_plan next = plan_of(&b);
        next.memory_bytes_max = 48 << 10;
        next.dirty_from = clean;
        result = compact(&b, next, 1 << 20);
        assert_true(result.clean_to > clean);
        clean = result.clean_to;
    }
    weir_segment_state at;
    weir_segment_state_of(b.segments[0], &at);
    assert_int_equal(at.base_offset, 0);
    assert_int_equal(at.head_count, 1500); /* the newer half alone is left */
    bench_end(&b);
}

static void records_below_the_start_go(void **state)
{
    bench b;
    (void)state;
    bench_begin(&b);
    segment_begin(&b);
    batch_add(&b, "a=1 b=1 c=1", 11);
    batch_add(&b, "d=1", 12);
    weir_compactor_plan plan = plan_of(&b);
    plan.start_offset = 2;
    compact(&b, plan, 1 << 20);
    assert_has_only(&b, "2:c=1@11 3:d=1@12 ");
    bench_end(&b);
}

static void what_is_made_is_split_at_segment_bytes_and_the_files_say_the_same(void **state)
{
    bench b;
    char text[64];
    (void)state;
    bench_begin(&b);
    segment_begin(&b);
    for (int i = 0; i < 200; i++) {
        snprintf(text, sizeof(text), "key%05d=%d", i, i);
        batch_add(&b, text, 11);
    }
    weir_compactor_plan plan = plan_of(&b);
    plan.segment_bytes_max = 4096;
    compact(&b, plan, 1000);
    assert_true(b.segment_count >= 4);
    char before[RECORDS_MAX * 4], after[RECORDS_MAX * 4];
    read_all(&b, before, sizeof(before));
    for (uint32_t i = 0; i < b.segment_count; i++) { /* and opened again, from the files */
        weir_segment_state at;
        weir_segment *opened = NULL;
        weir_segment_state_of(b.segments[i], &at);
        assert_int_equal(weir_segment_open(b.env, b.out, &at, false, &opened), WEIR_OK);
        weir_segment_drop(b.segments[i]);
        b.segments[i] = opened;
    }
    read_all(&b, after, sizeof(after));
    assert_string_equal(before, after);
    bench_end(&b);
}

static void discarding_removes_every_file_it_made(void **state)
{
    bench b;
    char command[160];
    (void)state;
    bench_begin(&b);
    segment_begin(&b);
    batch_add(&b, "a=1 a=2", 11);
    weir_compactor_plan plan = plan_of(&b);
    weir_compactor *compactor = NULL;
    bool done = false;
    assert_int_equal(weir_compactor_create(&plan, &compactor), WEIR_OK);
    while (!done) {
        assert_int_equal(weir_compactor_step(compactor, 1 << 20, &done), WEIR_OK);
    }
    weir_compactor_discard(compactor);
    weir_compactor_destroy(compactor);
    snprintf(command, sizeof(command), "test ! -e '%s'", b.out);
    assert_int_equal(system(command), 0);
    assert_has_only(&b, "0:a=1@11 1:a=2@11 ");
    bench_end(&b);
}

static void the_key_map_keeps_whole_keys_within_its_memory(void **state)
{
    weir_key_map map = {.bytes_max = 256 << 10};
    int64_t offset = -1;
    char key[32];
    int held = 0;
    (void)state;
    for (weir_err err = WEIR_OK; err == WEIR_OK; held++) {
        snprintf(key, sizeof(key), "some/key/%d", held);
        err = weir_key_map_put(&map, weir_bytes_of(key), held);
        assert_true(err == WEIR_OK || err == WEIR_LIMIT);
        held -= err == WEIR_OK ? 0 : 1;
    }
    assert_true(held > 1000);
    assert_true(map.capacity * sizeof(weir_key_slot) + map.keys_capacity <= map.bytes_max);
    for (int i = 0; i < held; i++) {
        snprintf(key, sizeof(key), "some/key/%d", i);
        assert_true(weir_key_map_get(&map, weir_bytes_of(key), &offset));
        assert_int_equal(offset, i);
    }
    assert_int_equal(weir_key_map_put(&map, WEIR_TEXT("some/key/0"), 99), WEIR_OK);
    assert_true(weir_key_map_get(&map, WEIR_TEXT("some/key/0"), &offset));
    assert_int_equal(offset, 99);
    assert_false(weir_key_map_get(&map, WEIR_TEXT("other"), &offset));
    weir_key_map_fini(&map);
}

/* The codecs of all batches, a digit each. */
static void codecs_read(const bench *b, char *text)
{
    int64_t at = 0;
    for (uint32_t s = 0; s < b->segment_count; s++) {
        weir_segment_state state;
        weir_segment_state_of(b->segments[s], &state);
        while (at < state.end_offset) {
            weir_chunk *chunks[16];
            uint32_t count = 0;
            int64_t from, to;
            assert_int_equal(weir_segment_read(b->segments[s], b->topic, 0, at, 1 << 20, chunks, 16,
                                               &count, &from, &to),
                             WEIR_OK);
            for (uint32_t c = 0; c < count; c++) {
                *text++ = (char)('0' + (chunks[c]->batch[HEAD_ATTRIBUTES + 1] &
                                        WEIR_BATCH_COMPRESSION_MASK));
                at = weir_chunk_end(chunks[c]);
                weir_chunk_drop(chunks[c]);
            }
        }
    }
    *text = '\0';
}

static void a_batch_that_stays_whole_stays_compressed_and_one_with_gaps_does_not(void **state)
{
    bench b;
    char codecs[16];
    char expected[16];
    (void)state;
    bench_begin(&b);
    segment_begin(&b);
    batch_add(&b, "a=1 b=1", 11);
    batch_add(&b, "c=1 d=1 a=2", 12);
    batch_add(&b, "c=2", 13);
    compact(&b, plan_of(&b), 1 << 20);
    assert_has_only(&b, "1:b=1@11 3:d=1@12 4:a=2@12 5:c=2@13 ");
    codecs_read(&b, codecs);
    snprintf(expected, sizeof(expected), "00%u", codec);
    assert_string_equal(codecs, expected);
    bench_end(&b);
}

static void a_whole_batch_covers_the_offsets_of_those_behind_it_that_went(void **state)
{
    bench b;
    char codecs[16];
    char expected[16];
    (void)state;
    bench_begin(&b);
    segment_begin(&b);
    batch_add(&b, "a=1 b=1", 11);
    batch_add(&b, "c=1", 12); /* goes whole: the one before it covers offset 2 */
    batch_add(&b, "c=2", 13);
    batch_add(&b, "c=3", 14);
    for (int round = 0; round < 3; round++) { /* what was made is compacted like what was written */
        compact(&b, plan_of(&b), 1 << 20);
        assert_has_only(&b, "0:a=1@11 1:b=1@11 4:c=3@14 ");
        codecs_read(&b, codecs);
        snprintf(expected, sizeof(expected), "%u%u", codec, codec);
        assert_string_equal(codecs, expected);
    }
    segment_begin(&b);
    batch_add(&b, "b=2", 15); /* now the batch that covers more than its records loses one */
    compact(&b, plan_of(&b), 1 << 20);
    assert_has_only(&b, "0:a=1@11 4:c=3@14 5:b=2@15 ");
    bench_end(&b);
}

static void a_first_batch_that_goes_leaves_its_offsets_to_the_next(void **state)
{
    bench b;
    (void)state;
    bench_begin(&b);
    segment_begin(&b);
    batch_add(&b, "a=1", 11);
    batch_add(&b, "b=1 c=1", 12); /* whole, but it has to begin at offset 0 now */
    batch_add(&b, "a=2", 13);
    for (int round = 0; round < 2; round++) {
        compact(&b, plan_of(&b), 1 << 20);
        assert_has_only(&b, "1:b=1@12 2:c=1@12 3:a=2@13 ");
    }
    bench_end(&b);
}

static void what_was_compacted_reads_the_same_when_it_is_opened_again(void **state)
{
    bench b;
    (void)state;
    bench_begin(&b);
    segment_begin(&b);
    batch_add(&b, "a=1 b=1", 11);
    batch_add(&b, "c=1", 12);
    batch_add(&b, "c d=1", 13); /* with a tombstone: its batch gets a time to go */
    compact(&b, plan_of(&b), 1 << 20);
    for (uint32_t i = 0; i < b.segment_count; i++) {
        weir_segment_state at;
        weir_segment *opened = NULL;
        weir_segment_state_of(b.segments[i], &at);
        assert_int_equal(weir_segment_open(b.env, b.out, &at, false, &opened), WEIR_OK);
        weir_segment_drop(b.segments[i]);
        b.segments[i] = opened;
    }
    assert_has_only(&b, "0:a=1@11 1:b=1@11 3:c@13 4:d=1@13 ");
    bench_end(&b);
}

int main(void)
{
    static const struct {
        unsigned codec;
        const char *name;
    } codecs[] = {{CODEC_NONE, "none"}, {CODEC_LZ4, "lz4"}, {CODEC_ZSTD, "zstd"}};
    int failed = 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_record_of_each_key_stays_with_its_offset_and_time),
        cmocka_unit_test(records_without_a_key_stay),
        cmocka_unit_test(a_tombstone_goes_a_while_after_what_it_deletes),
        cmocka_unit_test(tombstones_that_are_due_go_though_nothing_is_dirty),
        cmocka_unit_test(the_last_record_stays_though_it_is_a_tombstone_that_is_due),
        cmocka_unit_test(when_nothing_would_be_left_the_last_record_stays),
        cmocka_unit_test(memory_that_does_not_hold_all_keys_leaves_the_rest_for_the_next),
        cmocka_unit_test(records_below_the_start_go),
        cmocka_unit_test(what_is_made_is_split_at_segment_bytes_and_the_files_say_the_same),
        cmocka_unit_test(discarding_removes_every_file_it_made),
        cmocka_unit_test(the_key_map_keeps_whole_keys_within_its_memory),
        cmocka_unit_test(a_batch_that_stays_whole_stays_compressed_and_one_with_gaps_does_not),
        cmocka_unit_test(a_whole_batch_covers_the_offsets_of_those_behind_it_that_went),
        cmocka_unit_test(a_first_batch_that_goes_leaves_its_offsets_to_the_next),
        cmocka_unit_test(what_was_compacted_reads_the_same_when_it_is_opened_again),
    };
    for (size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++) {
        codec = codecs[i].codec;
        failed += cmocka_run_group_tests_name(codecs[i].name, tests, NULL, NULL);
    }
    return failed;
}
