/* Segments: what was appended is read again, after a reopen, from several threads; what is damaged
 * is told with its offsets, and the rest is served. */
#include "core/log/segment.h"

#include "core/base/hash.h"
#include "core/base/varint.h"
#include "core/log/heads.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/folder.h"

enum { BASE = 1000, READ_MAX = 64 };

typedef struct fixture {
    char dir[64];
    char log_path[128];
    char heads_path[128];
    weir_env *env;
    weir_chunk_pool *pool;
    weir_topic_ref *topic;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    unit_folder_make(f->dir, sizeof(f->dir), "segment");
    (void)snprintf(f->log_path, sizeof(f->log_path), "%s/%020d.log", f->dir, BASE);
    (void)snprintf(f->heads_path, sizeof(f->heads_path), "%s/%020d.heads", f->dir, BASE);
    assert_int_equal(weir_env_posix_create(&f->env), WEIR_OK);
    assert_int_equal(weir_chunk_pool_create(&f->pool), WEIR_OK);
    f->topic = weir_topic_ref_create(1, WEIR_TEXT("t"));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    (void)unlink(f->log_path);
    (void)unlink(f->heads_path);
    assert_int_equal(rmdir(f->dir), 0); /* nothing else was left there */
    assert_int_equal(atomic_load(&f->topic->refs), 1);
    weir_topic_ref_drop(f->topic);
    weir_chunk_pool_destroy(f->pool);
    weir_env_posix_destroy(f->env);
    free(f);
    return 0;
}

/* The value of a record tells its offset, so that a wrong one is seen. */
static weir_chunk *chunk_make(fixture *f, int64_t base_offset, uint32_t records, int64_t time_ms)
{
    weir_chunk *chunk;
    weir_batch_builder builder;
    assert_int_equal(weir_chunk_create(f->pool, f->topic, 0, 100 + records * 60, records, &chunk),
                     WEIR_OK);
    weir_batch_begin(&builder, chunk->batch, chunk->capacity);
    for (uint32_t i = 0; i < records; i++) {
        char value[32];
        uint8_t rest[64];
        (void)snprintf(value, sizeof(value), "%" PRId64, base_offset + i);
        weir_bytes encoded = {rest, weir_record_rest_encode(weir_bytes_of(value), NULL, 0, rest)};
        assert_int_equal(
            weir_batch_add(&builder, 0, WEIR_TEXT("key"), encoded, &chunk->positions[i]), WEIR_OK);
    }
    chunk->count = records;
    chunk->base_offset = base_offset;
    chunk->timestamp_ms = time_ms;
    chunk->batch_bytes = (uint32_t)weir_batch_finish(&builder, base_offset, 4, time_ms).len;
    return chunk;
}

/* Appends `count` chunks of 1, 2, 3, 1 ... records from `offset` on; times are ten times the
 * offset. */
static weir_err append(fixture *f, weir_segment *segment, int64_t offset, uint32_t count)
{
    weir_chunk **chunks = calloc(count, sizeof(*chunks));
    for (uint32_t i = 0; i < count; i++) {
        chunks[i] = chunk_make(f, offset, 1 + i % 3, offset * 10);
        offset += chunks[i]->count;
    }
    weir_err err = weir_segment_append(segment, chunks, count);
    for (uint32_t i = 0; i < count; i++) {
        weir_chunk_drop(chunks[i]);
    }
    free(chunks);
    return err;
}

static void chunk_assert_right(const weir_chunk *chunk)
{
    weir_batch_head head;
    assert_int_equal(weir_batch_head_decode(weir_chunk_batch(chunk), &head), WEIR_OK);
    assert_int_equal(head.leader_epoch, 4);
    for (uint32_t i = 0; i < weir_chunk_count(chunk); i++) {
        weir_record record;
        char value[32];
        weir_chunk_record(chunk, i, &record);
        (void)snprintf(value, sizeof(value), "%" PRId64, chunk->base_offset + i);
        assert_int_equal(record.offset, chunk->base_offset + i);
        assert_int_equal(record.timestamp_ms, chunk->base_offset * 10);
        assert_true(weir_bytes_equal(record.value, weir_bytes_of(value)));
    }
}

/* What reading from the first offset to the last gave. */
typedef struct sums {
    int64_t served; /* records */
    int64_t bad;    /* offsets told as damaged */
    uint32_t gaps;
    weir_err err; /* neither OK, DAMAGED nor the EMPTY at the end */
} sums;

/* [R1] Each offset is served right, or told as bad; none is passed over in silence. */
static sums read_all(fixture *f, weir_segment *segment, uint64_t bytes_max, uint32_t max)
{
    sums sum = {0};
    weir_segment_state state;
    weir_segment_state_of(segment, &state);
    int64_t offset = state.base_offset;
    while (sum.err == WEIR_OK) {
        weir_chunk *chunks[READ_MAX];
        uint32_t count = 0;
        int64_t from = -1, to = -1;
        weir_err err = weir_segment_read(segment, f->topic, 5, offset, bytes_max, chunks, max,
                                         &count, &from, &to);
        if (err == WEIR_OK) {
            assert_in_range(count, 1, max);
            for (uint32_t i = 0; i < count; i++) {
                assert_int_equal(chunks[i]->base_offset, offset);
                chunk_assert_right(chunks[i]);
                offset += chunks[i]->count;
                sum.served += chunks[i]->count;
                weir_chunk_drop(chunks[i]);
            }
        } else if (err == WEIR_DAMAGED) {
            assert_true(from <= offset && to > offset);
            sum.gaps++;
            sum.bad += to - offset;
            offset = to;
        } else if (err == WEIR_EMPTY) {
            assert_int_equal(offset, state.end_offset);
            break;
        } else {
            sum.err = err;
        }
    }
    return sum;
}

static weir_segment *made(fixture *f, uint32_t count)
{
    weir_segment *segment;
    assert_int_equal(weir_segment_create(f->env, f->dir, 0, BASE, 77, &segment), WEIR_OK);
    assert_int_equal(append(f, segment, BASE, count), WEIR_OK);
    assert_int_equal(weir_segment_sync(segment), WEIR_OK);
    return segment;
}

static weir_segment *reopened(fixture *f, const weir_segment_state *state, bool writable)
{
    weir_segment *segment;
    assert_int_equal(weir_segment_open(f->env, f->dir, state, writable, &segment), WEIR_OK);
    return segment;
}

static void what_was_appended_is_read_also_after_a_reopen(void **test)
{
    fixture *f = *test;
    weir_segment *segment = made(f, 30);
    weir_segment_state state;
    weir_segment_state_of(segment, &state);
    assert_int_equal(state.base_offset, BASE);
    assert_int_equal(state.end_offset, BASE + 60);
    assert_int_equal(state.head_count, 30);
    assert_int_equal(state.max_timestamp_ms, (BASE + 57) * 10);
    assert_int_equal(state.created_ms, 77);
    for (int round = 0; round < 3; round++) {
        const uint64_t bytes[] = {0, 200, 1000, UINT64_MAX};
        for (size_t i = 0; i < 4; i++) {
            assert_int_equal(read_all(f, segment, bytes[i], READ_MAX).served, 60);
            assert_int_equal(read_all(f, segment, bytes[i], 1).served, 60);
        }
        weir_segment_drop(segment);
        segment = reopened(f, &state, round == 1);
    }
    weir_segment_drop(segment);
}

static void any_offset_is_found_in_the_batch_that_holds_it(void **test)
{
    fixture *f = *test;
    weir_segment *segment = made(f, 30);
    for (int64_t offset = BASE - 5; offset < BASE + 60; offset++) {
        weir_chunk *chunk;
        uint32_t count;
        int64_t from, to, wanted = offset < BASE ? BASE : offset;
        assert_int_equal(
            weir_segment_read(segment, f->topic, 0, offset, 1, &chunk, 1, &count, &from, &to),
            WEIR_OK);
        assert_int_equal(count, 1);
        assert_true(chunk->base_offset <= wanted && chunk->base_offset + chunk->count > wanted);
        weir_chunk_drop(chunk);
    }
    weir_chunk *chunk;
    uint32_t count = 9;
    int64_t from, to;
    assert_int_equal(
        weir_segment_read(segment, f->topic, 0, BASE + 60, 1, &chunk, 1, &count, &from, &to),
        WEIR_EMPTY);
    assert_int_equal(count, 9);
    weir_segment_drop(segment);
}

static void an_empty_segment_is_empty(void **test)
{
    fixture *f = *test;
    weir_segment *segment = made(f, 0);
    int64_t offset;
    assert_int_equal(read_all(f, segment, 1000, 1).served, 0);
    assert_int_equal(weir_segment_find_time(segment, 0, &offset), WEIR_EMPTY);
    weir_segment_drop(segment);
}

static void a_time_is_found_by_the_first_batch_that_reaches_it(void **test)
{
    fixture *f = *test;
    weir_segment *segment;
    int64_t offset;
    assert_int_equal(weir_segment_create(f->env, f->dir, 0, BASE, 77, &segment), WEIR_OK);
    const int64_t times[] = {100, 200, 150, 150,
                             300}; /* the third and fourth lie before the second */
    for (int i = 0; i < 5; i++) {
        weir_chunk *chunk = chunk_make(f, BASE + i, 1, times[i]);
        assert_int_equal(weir_segment_append(segment, &chunk, 1), WEIR_OK);
        weir_chunk_drop(chunk);
    }
    weir_segment_state state;
    weir_segment_state_of(segment, &state);
    for (int round = 0; round < 2; round++) {
        const struct {
            int64_t time;
            int64_t offset;
        } wanted[] = {{-1, 0}, {100, 0}, {101, 1}, {150, 1}, {200, 1}, {201, 4}, {300, 4}};
        for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
            assert_int_equal(weir_segment_find_time(segment, wanted[i].time, &offset), WEIR_OK);
            assert_int_equal(offset, BASE + wanted[i].offset);
        }
        assert_int_equal(weir_segment_find_time(segment, 301, &offset), WEIR_EMPTY);
        weir_segment_drop(segment);
        segment = reopened(f, &state, false);
    }
    weir_segment_drop(segment);
}

static void more_chunks_than_one_write_takes_are_appended_whole(void **test)
{
    fixture *f = *test;
    weir_segment *segment = made(f, 2500);
    weir_segment_state state;
    weir_segment_state_of(segment, &state);
    assert_int_equal(state.head_count, 2500);
    int64_t records = state.end_offset - BASE;
    assert_int_equal(read_all(f, segment, UINT64_MAX, READ_MAX).served, records);
    weir_segment_drop(segment);
    segment = reopened(f, &state, false);
    assert_int_equal(read_all(f, segment, UINT64_MAX, READ_MAX).served, records);
    weir_segment_drop(segment);
}

static void bytes_behind_the_state_are_not_there_and_are_cut(void **test)
{
    fixture *f = *test;
    weir_segment *segment = made(f, 5);
    weir_segment_state state, longer;
    weir_segment_state_of(segment, &state);
    assert_int_equal(append(f, segment, state.end_offset, 4), WEIR_OK);
    weir_segment_drop(segment);
    segment = reopened(f, &state, true);
    assert_int_equal(read_all(f, segment, UINT64_MAX, READ_MAX).served, state.end_offset - BASE);
    assert_int_equal(append(f, segment, state.end_offset, 1), WEIR_OK);
    weir_segment_state_of(segment, &longer);
    struct stat status;
    assert_int_equal(stat(f->log_path, &status), 0);
    assert_int_equal(status.st_size, longer.bytes);
    assert_int_equal(stat(f->heads_path, &status), 0);
    assert_int_equal(status.st_size, 64 + 40 * 6);
    assert_int_equal(read_all(f, segment, UINT64_MAX, READ_MAX).served, longer.end_offset - BASE);
    weir_segment_drop(segment);
    segment = reopened(f, &longer, false);
    assert_int_equal(append(f, segment, longer.end_offset, 1), WEIR_READ_ONLY);
    assert_int_equal(read_all(f, segment, UINT64_MAX, READ_MAX).served, longer.end_offset - BASE);
    weir_segment_drop(segment);
}

static void making_one_again_removes_what_was_there(void **test)
{
    fixture *f = *test;
    weir_segment *old = made(f, 10), *fresh = made(f, 2);
    assert_int_equal(read_all(f, fresh, UINT64_MAX, READ_MAX).served, 3);
    assert_int_equal(read_all(f, old, UINT64_MAX, READ_MAX).served, 19);
    weir_segment_drop(old);
    weir_segment_drop(fresh);
}

static void a_removed_segment_is_read_by_who_keeps_it(void **test)
{
    fixture *f = *test;
    weir_segment *segment = made(f, 10);
    weir_segment_state state;
    weir_segment_state_of(segment, &state);
    weir_segment_drop(segment);
    segment = reopened(f, &state, false);
    weir_segment *kept = weir_segment_keep(segment);
    assert_int_equal(weir_segment_remove(segment), WEIR_OK);
    weir_segment_drop(segment);
    assert_int_not_equal(access(f->log_path, F_OK), 0);
    assert_int_not_equal(access(f->heads_path, F_OK), 0);
    assert_int_equal(read_all(f, kept, UINT64_MAX, READ_MAX).served, 19);
    weir_segment_drop(kept);
}

/* A start may find in the journal what a life before removed already, folder and all. */
static void a_segment_whose_folder_is_gone_counts_as_removed(void **test)
{
    fixture *f = *test;
    weir_segment *segment = made(f, 10);
    assert_int_equal(unlink(f->log_path), 0);
    assert_int_equal(unlink(f->heads_path), 0);
    assert_int_equal(rmdir(f->dir), 0);
    assert_int_equal(weir_segment_remove(segment), WEIR_OK);
    weir_segment_drop(segment);
    assert_int_equal(mkdir(f->dir, 0700), 0); /* teardown's */
}

/* Damage. */

static uint8_t *file_load(const char *path, size_t *len)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    uint8_t *bytes = malloc(65536);
    *len = fread(bytes, 1, 65536, file);
    assert_int_equal(fclose(file), 0);
    return bytes;
}

static void file_store(const char *path, const uint8_t *bytes, size_t len)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static sums read_reopened(fixture *f, const weir_segment_state *state)
{
    weir_segment *segment = reopened(f, state, false);
    sums sum = read_all(f, segment, UINT64_MAX, READ_MAX);
    weir_segment_drop(segment);
    assert_int_equal(sum.err, WEIR_OK);
    assert_int_equal(sum.served + sum.bad, state->end_offset - state->base_offset);
    return sum;
}

static void a_damaged_byte_of_the_log_costs_its_batch_and_no_more(void **test)
{
    fixture *f = *test;
    weir_segment *segment = made(f, 7);
    weir_segment_state state;
    weir_segment_state_of(segment, &state);
    weir_segment_drop(segment);
    size_t len;
    uint8_t *bytes = file_load(f->log_path, &len);
    assert_int_equal(len, state.bytes);
    const uint8_t flips[] = {0x01, 0x80, 0xff};
    for (size_t at = 0; at < len; at++) {
        for (size_t i = 0; i < sizeof(flips); i++) {
            bytes[at] ^= flips[i];
            file_store(f->log_path, bytes, len);
            sums sum = read_reopened(f, &state);
            assert_int_equal(sum.gaps, 1);
            assert_in_range(sum.bad, 1, 3);
            bytes[at] ^= flips[i];
        }
    }
    free(bytes);
}

static void a_damaged_byte_of_the_heads_costs_nothing(void **test)
{
    fixture *f = *test;
    weir_segment *segment = made(f, 7);
    weir_segment_state state;
    weir_segment_state_of(segment, &state);
    weir_segment_drop(segment);
    size_t len;
    uint8_t *bytes = file_load(f->heads_path, &len);
    assert_int_equal(len, 64 + 7 * 40);
    for (size_t at = 0; at < len; at++) {
        bytes[at] ^= 0x41;
        file_store(f->heads_path, bytes, len);
        assert_int_equal(read_reopened(f, &state).bad, 0);
        bytes[at] ^= 0x41;
    }
    free(bytes);
}

static void files_cut_at_any_byte_lose_only_what_is_cut(void **test)
{
    fixture *f = *test;
    weir_segment *segment = made(f, 7);
    weir_segment_state state;
    weir_segment_state_of(segment, &state);
    weir_segment_drop(segment);
    size_t log_len, heads_len;
    uint8_t *log = file_load(f->log_path, &log_len);
    uint8_t *heads = file_load(f->heads_path, &heads_len);
    for (size_t cut = 0; cut <= heads_len; cut++) {
        file_store(f->heads_path, heads, cut);
        assert_int_equal(read_reopened(f, &state).bad, 0);
    }
    int64_t served = 0;
    for (size_t cut = 0; cut <= log_len; cut++) {
        file_store(f->log_path, log, cut);
        sums sum = read_reopened(f, &state);
        assert_true(sum.served >= served); /* more bytes, more records */
        served = sum.served;
        segment = reopened(f, &state, true);
        assert_int_equal(append(f, segment, state.end_offset, 1),
                         cut < log_len ? WEIR_DAMAGED : WEIR_OK); /* never over a hole */
        weir_segment_drop(segment);
    }
    assert_int_equal(served, state.end_offset - BASE);
    free(log);
    free(heads);
}

static void without_its_heads_a_segment_is_read_around_a_damaged_batch(void **test)
{
    fixture *f = *test;
    weir_segment *segment = made(f, 7);
    weir_segment_state state;
    weir_segment_state_of(segment, &state);
    weir_segment_drop(segment);
    assert_int_equal(unlink(f->heads_path), 0);
    assert_int_equal(read_reopened(f, &state).bad, 0);
    size_t len, at = 0;
    uint8_t *bytes = file_load(f->log_path, &len);
    for (int batch = 0; batch < 7; batch++) {
        size_t next = at + weir_get_u32(bytes + at + 8) + 12;
        bytes[next - 1] ^= 1; /* its last record */
        file_store(f->log_path, bytes, len);
        sums sum = read_reopened(f, &state);
        assert_int_equal(sum.bad, 1 + batch % 3);
        bytes[next - 1] ^= 1;
        bytes[at + 7] ^= 0x40; /* its base offset, which the batch's own CRC does not cover */
        file_store(f->log_path, bytes, len);
        sum = read_reopened(f, &state);
        assert_int_equal(sum.bad, 1 + batch % 3);
        bytes[at + 7] ^= 0x40;
        at = next;
    }
    free(bytes);
    assert_int_equal(unlink(f->log_path), 0);
    segment = reopened(f, &state, false);
    assert_int_equal(read_all(f, segment, 1, 1).err, WEIR_NOT_FOUND);
    weir_segment_drop(segment);
}

static void heads_that_are_missing_or_wrong_are_made_again(void **test)
{
    fixture *f = *test;
    weir_segment *segment = made(f, 7);
    weir_segment_state state;
    weir_segment_state_of(segment, &state);
    weir_segment_drop(segment);
    size_t len, again_len;
    uint8_t *bytes = file_load(f->heads_path, &len);
    for (int how = 0; how < 4; how++) {
        if (how == 0) {
            assert_int_equal(unlink(f->heads_path), 0);
        } else if (how == 1) {
            assert_int_equal(truncate(f->heads_path, (off_t)len - 50), 0);
        } else {
            bytes[WEIR_HEADS_FILE_HEAD_BYTES + how * WEIR_HEADS_ENTRY_BYTES + 3] ^= 0x10;
            file_store(f->heads_path, bytes, len);
            bytes[WEIR_HEADS_FILE_HEAD_BYTES + how * WEIR_HEADS_ENTRY_BYTES + 3] ^= 0x10;
        }
        assert_int_equal(read_reopened(f, &state).bad, 0);
        uint8_t *again = file_load(f->heads_path, &again_len);
        assert_int_equal(again_len, len);
        assert_memory_equal(again, bytes, len);
        free(again);
    }
    free(bytes);
}

static void two_damaged_entries_in_a_row_are_found_between_their_neighbours(void **test)
{
    fixture *f = *test;
    weir_segment *segment = made(f, 9);
    weir_segment_state state;
    weir_segment_state_of(segment, &state);
    weir_segment_drop(segment);
    size_t heads_len, log_len;
    uint8_t *heads = file_load(f->heads_path, &heads_len), *log = file_load(f->log_path, &log_len);
    for (size_t first = 0; first < 8; first++) {
        heads[64 + first * 40] ^= 1;
        heads[64 + first * 40 + 40] ^= 1;
        file_store(f->heads_path, heads, heads_len);
        file_store(f->log_path, log, log_len);
        assert_int_equal(read_reopened(f, &state).bad, 0);
        for (size_t begin = 0, next; begin < log_len; begin = next) {
            next = begin + weir_get_u32(log + begin + 8) + 12;
            for (size_t at = begin; at < next;
                 at += at == begin + 11 ? 5 : 1) { /* no epochs: they */
                log[at] ^= 0xff;                   /* are what only the entry knows */
                file_store(f->log_path, log, log_len);
                sums sum = read_reopened(f, &state);
                assert_in_range(sum.bad, 1, 5); /* its own, or both that have no entry */
                log[at] ^= 0xff;
            }
        }
        heads[64 + first * 40] ^= 1;
        heads[64 + first * 40 + 40] ^= 1;
    }
    free(heads);
    free(log);
}

static void another_segments_heads_serve_nothing_wrong(void **test)
{
    fixture *f = *test;
    weir_segment *segment = made(f, 7);
    weir_segment_drop(segment);
    size_t len;
    uint8_t *foreign = file_load(f->heads_path, &len);
    assert_int_equal(weir_segment_create(f->env, f->dir, 0, BASE, 77, &segment), WEIR_OK);
    weir_chunk *chunk = chunk_make(f, BASE, 9, BASE * 10);
    assert_int_equal(weir_segment_append(segment, &chunk, 1), WEIR_OK);
    weir_chunk_drop(chunk);
    assert_int_equal(append(f, segment, BASE + 9, 6), WEIR_OK);
    weir_segment_state state;
    weir_segment_state_of(segment, &state);
    weir_segment_drop(segment);
    file_store(f->heads_path, foreign, len);
    (void)read_reopened(f, &state); /* each offset right, or told as bad */
    free(foreign);
}

/* A misdirected write: good CRCs, but not in their places. */
static void an_entry_in_anothers_place_costs_nothing(void **test)
{
    fixture *f = *test;
    weir_segment *segment = made(f, 7);
    weir_segment_state state;
    weir_segment_state_of(segment, &state);
    weir_segment_drop(segment);
    size_t len;
    uint8_t *heads = file_load(f->heads_path, &len);
    for (size_t to = 0; to < 7; to++) {
        for (size_t from = 0; from < 7; from++) {
            uint8_t kept[40];
            memcpy(kept, heads + 64 + to * 40, 40);
            memcpy(heads + 64 + to * 40, heads + 64 + from * 40, to == from ? 0 : 40);
            file_store(f->heads_path, heads, len);
            assert_int_equal(read_reopened(f, &state).bad, 0);
            memcpy(heads + 64 + to * 40, kept, 40);
        }
    }
    free(heads);
}

/* Entries that agree with one another and have good CRCs, but not with the batches. */
static void entries_that_lie_about_their_batches_serve_nothing_wrong(void **test)
{
    fixture *f = *test;
    weir_segment *segment = made(f, 7);
    weir_segment_state state;
    weir_segment_state_of(segment, &state);
    weir_segment_drop(segment);
    size_t len;
    uint8_t *heads = file_load(f->heads_path, &len);
    uint8_t *at = heads + 64;
    weir_heads_entry first, second;
    assert_int_equal(weir_heads_entry_decode(at, &first), WEIR_OK);
    assert_int_equal(weir_heads_entry_decode(at + 40, &second), WEIR_OK);
    first.offsets++; /* the boundary between their offsets is moved */
    second.base_offset++;
    second.offsets--;
    weir_heads_entry_encode(&first, at);
    weir_heads_entry_encode(&second, at + 40);
    file_store(f->heads_path, heads, len);
    sums sum = read_reopened(f, &state);
    assert_int_equal(sum.bad, 3); /* both batches, and no other */
    free(heads);
}

static void heads_made_for_a_newer_reader_stop_the_use(void **test)
{
    fixture *f = *test;
    weir_segment *segment = made(f, 2);
    weir_segment_state state;
    weir_segment_state_of(segment, &state);
    weir_segment_drop(segment);
    size_t len;
    uint8_t *heads = file_load(f->heads_path, &len);
    heads[11] = 2;
    uint32_t crc = weir_crc32c(0, heads, 60);
    weir_put_u32(heads + 60, crc);
    file_store(f->heads_path, heads, len);
    segment = reopened(f, &state, false);
    assert_int_equal(read_all(f, segment, 1, 1).err, WEIR_VERSION);
    weir_segment_drop(segment);
    free(heads);
}

static void a_state_that_cannot_be_is_damage(void **test)
{
    fixture *f = *test;
    weir_segment *segment = NULL;
    weir_segment_state state = {.base_offset = 5, .end_offset = 4};
    assert_int_equal(weir_segment_open(f->env, f->dir, &state, false, &segment), WEIR_DAMAGED);
    state.base_offset = -1;
    assert_int_equal(weir_segment_open(f->env, f->dir, &state, false, &segment), WEIR_DAMAGED);
    assert_null(segment);
}

/* Failures of the operating system. */

static const uint32_t ALL_CALLS = (1u << WEIR_CALL_COUNT) - 1;

/* Makes, appends twice, syncs, reopens, appends, reads: until something fails, after which only
 * what was told as done may be seen. Returns the first error. */
static weir_err scenario(fixture *f, weir_env *env)
{
    weir_segment *segment = NULL;
    weir_segment_state before, after;
    weir_err err = weir_segment_create(env, f->dir, 0, BASE, 1, &segment);
    if (err != WEIR_OK) {
        assert_null(segment);
        return err;
    }
    for (int round = 0; round < 3 && err == WEIR_OK; round++) {
        weir_segment_state_of(segment, &before);
        err = append(f, segment, before.end_offset, 3);
        weir_segment_state_of(segment, &after);
        if (err != WEIR_OK) {
            assert_memory_equal(&before, &after, sizeof(before)); /* nothing of it counts */
            assert_int_equal(append(f, segment, before.end_offset, 1), WEIR_READ_ONLY);
            break;
        }
        assert_int_equal(after.head_count, before.head_count + 3);
        err = weir_segment_sync(segment);
        if (err != WEIR_OK) {
            assert_int_equal(weir_segment_sync(segment), WEIR_READ_ONLY); /* not tried again */
            assert_int_equal(append(f, segment, after.end_offset, 1), WEIR_READ_ONLY);
            break;
        }
        if (round == 1) {
            weir_segment_drop(segment);
            assert_int_equal(weir_segment_open(env, f->dir, &after, true, &segment), WEIR_OK);
        }
    }
    sums sum = read_all(f, segment, 300, READ_MAX);
    if (err == WEIR_OK && sum.err == WEIR_OK) {
        err = weir_segment_remove(segment);
    } else if (err == WEIR_OK) {
        err = sum.err;
        sum = read_all(f, segment, 300,
                       READ_MAX); /* the failure is over, and nothing was kept of it */
    }
    assert_int_equal(sum.err, WEIR_OK);
    assert_int_equal(sum.bad, 0);
    assert_int_equal(sum.served, after.end_offset - BASE);
    weir_segment_drop(segment);
    return err;
}

static void every_failing_call_is_reported_and_nothing_untold_counts(void **test)
{
    fixture *f = *test;
    weir_env *faulty;
    assert_int_equal(weir_env_faulty_create(f->env, &faulty), WEIR_OK);
    assert_int_equal(scenario(f, faulty), WEIR_OK);
    uint64_t calls = weir_env_faulty_calls(faulty, ALL_CALLS);
    assert_in_range(calls, 20, 200);
    for (uint64_t nth = 1; nth <= calls; nth++) {
        weir_err planned = nth % 2 == 0 ? WEIR_IO : WEIR_DISK_FULL;
        weir_env_fault_plan plan = {ALL_CALLS, nth, false, planned, EIO};
        weir_env_faulty_plan(faulty, plan);
        assert_int_equal(scenario(f, faulty), planned);
    }
    weir_env_faulty_destroy(faulty);
}

static void nothing_is_synced_when_nothing_was_written(void **test)
{
    fixture *f = *test;
    weir_env *faulty;
    weir_segment *segment;
    assert_int_equal(weir_env_faulty_create(f->env, &faulty), WEIR_OK);
    assert_int_equal(weir_segment_create(faulty, f->dir, 0, BASE, 1, &segment), WEIR_OK);
    uint64_t syncs = weir_env_faulty_calls(faulty, 1u << WEIR_CALL_SYNC);
    assert_int_equal(syncs, 2); /* both files, when it was made */
    assert_int_equal(weir_segment_sync(segment), WEIR_OK);
    assert_int_equal(weir_env_faulty_calls(faulty, 1u << WEIR_CALL_SYNC), 2);
    assert_int_equal(append(f, segment, BASE, 1), WEIR_OK);
    assert_int_equal(weir_segment_sync(segment), WEIR_OK);
    assert_int_equal(weir_segment_sync(segment), WEIR_OK);
    assert_int_equal(weir_env_faulty_calls(faulty, 1u << WEIR_CALL_SYNC), 4);
    weir_segment_drop(segment);
    weir_env_faulty_destroy(faulty);
}

/* Threads. */

enum { READERS = 3, APPENDS = 300 };

typedef struct race {
    fixture *f;
    weir_segment *segment;
    atomic_bool done;
    atomic_uint wrong;
} race;

/* Cold asserts of cmocka are not for other threads: counts what is wrong. */
static void *reader_run(void *arg)
{
    race *shared = arg;
    int64_t offset = BASE;
    for (bool last = false; !last;) {
        weir_segment_state state;
        last = atomic_load(&shared->done);
        weir_segment_state_of(shared->segment, &state);
        while (offset < state.end_offset) {
            weir_chunk *chunks[READ_MAX];
            uint32_t count;
            int64_t from, to;
            weir_err err = weir_segment_read(shared->segment, shared->f->topic, 0, offset, 4000,
                                             chunks, READ_MAX, &count, &from, &to);
            if (err != WEIR_OK) {
                (void)atomic_fetch_add(&shared->wrong, 1);
                return NULL;
            }
            for (uint32_t i = 0; i < count; i++) {
                if (chunks[i]->base_offset != offset) {
                    (void)atomic_fetch_add(&shared->wrong, 1);
                }
                offset += chunks[i]->count;
                weir_chunk_drop(chunks[i]);
            }
        }
        int64_t found;
        if (state.end_offset > BASE &&
            (weir_segment_find_time(shared->segment, state.max_timestamp_ms, &found) != WEIR_OK ||
             found < BASE || found >= state.end_offset)) {
            (void)atomic_fetch_add(&shared->wrong, 1);
        }
    }
    weir_segment_state state;
    weir_segment_state_of(shared->segment, &state);
    if (offset != state.end_offset) {
        (void)atomic_fetch_add(&shared->wrong, 1);
    }
    weir_segment_drop(shared->segment);
    return NULL;
}

static void readers_see_whole_batches_while_others_are_appended(void **test)
{
    fixture *f = *test;
    weir_segment *segment = made(f, 3);
    weir_segment_state state;
    weir_segment_state_of(segment, &state);
    weir_segment_drop(segment);
    race shared = {.f = f, .segment = reopened(f, &state, true)}; /* loaded in the race */
    pthread_t threads[READERS];
    for (int i = 0; i < READERS; i++) {
        (void)weir_segment_keep(shared.segment);
        assert_int_equal(pthread_create(&threads[i], NULL, reader_run, &shared), 0);
    }
    for (int i = 0; i < APPENDS; i++) {
        weir_segment_state_of(shared.segment, &state);
        assert_int_equal(append(f, shared.segment, state.end_offset, 1 + (uint32_t)i % 5), WEIR_OK);
    }
    atomic_store(&shared.done, true);
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&shared.wrong), 0);
    weir_segment_drop(shared.segment);
}

/* An env that does something once, in the middle of a read. */
typedef struct meddling {
    weir_env_ops ops;
    const weir_env_ops *below;
    void (*meddle)(struct meddling *own);
    weir_segment *segment;
    weir_chunk *chunk;
    atomic_bool told; /* the state was */
    bool told_in_time;
} meddling;

static meddling *meddler; /* the one of the test that runs */

static weir_err read_meddled(weir_env *env, weir_file *file, void *out, size_t len, uint64_t offset,
                             size_t *got)
{
    void (*meddle)(meddling *) = meddler->meddle;
    meddler->meddle = NULL;
    if (meddle != NULL) {
        meddle(meddler);
    }
    return meddler->below->file_read(env, file, out, len, offset, got);
}

static void meddle_begin(fixture *f, meddling *own)
{
    own->below = f->env->ops;
    own->ops = *own->below;
    own->ops.file_read = read_meddled;
    f->env->ops = &own->ops;
    meddler = own;
}

static void *state_ask(void *arg)
{
    meddling *own = arg;
    weir_segment_state state;
    weir_segment_state_of(own->segment, &state);
    atomic_store(&own->told, true);
    return NULL;
}

enum { DEADLINE_MS = 60000 };

/* Another thread asks, as the engine's owner does, while this one is at the disk. */
static void state_asked(meddling *own)
{
    pthread_t other;
    struct timespec until;
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &until), 0);
    until.tv_sec += DEADLINE_MS / 1000;
    assert_int_equal(pthread_create(&other, NULL, state_ask, own), 0);
    own->told_in_time = pthread_timedjoin_np(other, NULL, &until) == 0;
    if (!own->told_in_time) {
        assert_int_equal(pthread_detach(other), 0);
    }
}

static void the_state_is_told_while_the_table_is_read_from_disk(void **test)
{
    fixture *f = *test;
    weir_segment_state state;
    meddling own = {.meddle = state_asked};
    weir_segment *segment = made(f, 3);
    weir_segment_state_of(segment, &state);
    weir_segment_drop(segment);
    own.segment = reopened(f, &state, true);
    meddle_begin(f, &own);
    int64_t found;
    assert_int_equal(weir_segment_find_time(own.segment, 0, &found), WEIR_OK);
    f->env->ops = own.below;
    assert_null(own.meddle);
    assert_true(own.told_in_time);
    weir_segment_drop(own.segment);
}

static void chunk_counted(meddling *own)
{
    weir_segment_count(own->segment, &own->chunk, 1);
}

static void what_is_counted_while_the_table_is_read_from_disk_is_read_too(void **test)
{
    fixture *f = *test;
    weir_segment_state state;
    meddling own = {.meddle = chunk_counted};
    weir_segment *segment = made(f, 3);
    weir_segment_state_of(segment, &state);
    weir_segment_drop(segment);
    own.segment = reopened(f, &state, true);
    own.chunk = chunk_make(f, state.end_offset, 2, state.end_offset * 10);
    assert_int_equal(weir_segment_write(own.segment, &own.chunk, 1), WEIR_OK);
    meddle_begin(f, &own);
    weir_chunk *chunk;
    uint32_t count;
    int64_t from, to;
    assert_int_equal(weir_segment_read(own.segment, f->topic, 0, state.end_offset, 1, &chunk, 1,
                                       &count, &from, &to),
                     WEIR_OK);
    weir_chunk_drop(chunk);
    f->env->ops = own.below;
    assert_null(own.meddle);
    assert_int_equal(read_all(f, own.segment, UINT64_MAX, READ_MAX).served,
                     state.end_offset + 2 - BASE);
    weir_chunk_drop(own.chunk);
    weir_segment_drop(own.segment);
}

#define SEGMENT_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SEGMENT_TEST(what_was_appended_is_read_also_after_a_reopen),
        SEGMENT_TEST(any_offset_is_found_in_the_batch_that_holds_it),
        SEGMENT_TEST(an_empty_segment_is_empty),
        SEGMENT_TEST(a_time_is_found_by_the_first_batch_that_reaches_it),
        SEGMENT_TEST(more_chunks_than_one_write_takes_are_appended_whole),
        SEGMENT_TEST(bytes_behind_the_state_are_not_there_and_are_cut),
        SEGMENT_TEST(making_one_again_removes_what_was_there),
        SEGMENT_TEST(a_removed_segment_is_read_by_who_keeps_it),
        SEGMENT_TEST(a_segment_whose_folder_is_gone_counts_as_removed),
        SEGMENT_TEST(a_damaged_byte_of_the_log_costs_its_batch_and_no_more),
        SEGMENT_TEST(a_damaged_byte_of_the_heads_costs_nothing),
        SEGMENT_TEST(files_cut_at_any_byte_lose_only_what_is_cut),
        SEGMENT_TEST(without_its_heads_a_segment_is_read_around_a_damaged_batch),
        SEGMENT_TEST(heads_that_are_missing_or_wrong_are_made_again),
        SEGMENT_TEST(two_damaged_entries_in_a_row_are_found_between_their_neighbours),
        SEGMENT_TEST(another_segments_heads_serve_nothing_wrong),
        SEGMENT_TEST(an_entry_in_anothers_place_costs_nothing),
        SEGMENT_TEST(entries_that_lie_about_their_batches_serve_nothing_wrong),
        SEGMENT_TEST(heads_made_for_a_newer_reader_stop_the_use),
        SEGMENT_TEST(a_state_that_cannot_be_is_damage),
        SEGMENT_TEST(every_failing_call_is_reported_and_nothing_untold_counts),
        SEGMENT_TEST(nothing_is_synced_when_nothing_was_written),
        SEGMENT_TEST(readers_see_whole_batches_while_others_are_appended),
        SEGMENT_TEST(the_state_is_told_while_the_table_is_read_from_disk),
        SEGMENT_TEST(what_is_counted_while_the_table_is_read_from_disk_is_read_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
