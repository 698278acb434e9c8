/* Leases by batches, against a gateway that says what is right, and what is not. */
#include "tests/unit/client/scripted.h"

#include "core/base/varint.h"
#include "core/batch/batch.h"
#include "core/batch/wire.h"

#include <zstd.h>

enum { MEMBER = 3, EPOCH = 5, RECORDS = 5, BASE = 40, BATCH_ROOM = 4096, CODEC_ZSTD = 4 };

static uint8_t memory[BATCH_ROOM];
static uint8_t squeezed[BATCH_ROOM];

/* Records BASE to BASE + RECORDS - 1, each with its letter as its value. */
static weir_bytes batch_make(void)
{
    weir_batch_builder builder;
    weir_batch_begin(&builder, memory, sizeof(memory));
    for (int i = 0; i < RECORDS; i++) {
        uint8_t rest[64];
        uint8_t letter = (uint8_t)('a' + i);
        uint32_t position = 0;
        const weir_header header = {WEIR_TEXT("x"), WEIR_TEXT("1")};
        size_t len = weir_record_rest_encode((weir_bytes){&letter, 1}, &header, 1, rest);
        assert_int_equal(
            weir_batch_add(&builder, 0, WEIR_TEXT("k"), (weir_bytes){rest, len}, &position),
            WEIR_OK);
    }
    return weir_batch_finish(&builder, BASE, 0, 1000);
}

static weir_bytes batch_squeeze(weir_bytes batch)
{
    const size_t head = WEIR_BATCH_HEAD_BYTES;
    size_t len = ZSTD_compress(squeezed + head, sizeof(squeezed) - head, batch.ptr + head,
                               batch.len - head, 1);
    assert_false(ZSTD_isError(len));
    memcpy(squeezed, batch.ptr, head);
    len += head;
    weir_put_u32(squeezed + HEAD_LENGTH, (uint32_t)(len - HEAD_LENGTH_END));
    squeezed[HEAD_ATTRIBUTES + 1] |= CODEC_ZSTD;
    weir_batch_seal(squeezed, len);
    return (weir_bytes){squeezed, len};
}

/* ---- The gateway's part ----------------------------------------------------------------------- */

static weir_v1_frame_leased run_of(int64_t first, int64_t last, weir_bytes batch)
{
    return (weir_v1_frame_leased){.topic = WEIR_TEXT("t"),
                                  .partition = 2,
                                  .first = first,
                                  .last = last,
                                  .lease = 9,
                                  .leased = 2,
                                  .failed = 1,
                                  .batch = batch};
}

/* Takes a lease-batch, and answers with these runs. */
static void lease_answer(gateway *g, const weir_v1_frame_leased *runs, size_t count, size_t cut)
{
    weir_v1_frame asked;
    weir_buffer bytes = {0};
    if (!read_frame(g, &asked) || asked.type != WEIR_V1_FRAME_LEASE || asked.member != MEMBER ||
        asked.records_max != 7) {
        strcpy(g->problem, "not the lease that was expected");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        (void)weir_v1_frame_run_put(&bytes, &runs[i]);
    }
    bytes.len -= cut;
    const weir_v1_frame answer = {.type = WEIR_V1_FRAME_LEASED,
                                  .request = asked.request,
                                  .epoch = EPOCH,
                                  .lease_ms = 30000,
                                  .runs = weir_buffer_bytes(&bytes)};
    say_frame(g, &answer);
    weir_buffer_fini(&bytes);
}

static void two_runs_of_one_batch(gateway *g)
{
    weir_bytes batch = batch_make();
    const weir_v1_frame_leased runs[] = {run_of(BASE + 1, BASE + 2, batch),
                                         run_of(BASE + 4, BASE + 4, WEIR_BYTES_NULL)};
    lease_answer(g, runs, 2, 0);
}

static void two_runs_of_a_squeezed_batch(gateway *g)
{
    weir_bytes batch = batch_squeeze(batch_make());
    const weir_v1_frame_leased runs[] = {run_of(BASE + 1, BASE + 2, batch),
                                         run_of(BASE + 4, BASE + 4, WEIR_BYTES_NULL)};
    lease_answer(g, runs, 2, 0);
}

static void a_run_of_no_batch(gateway *g)
{
    const weir_v1_frame_leased run = run_of(BASE, BASE, WEIR_BYTES_NULL);
    lease_answer(g, &run, 1, 0);
}

static void a_run_cut_short(gateway *g)
{
    const weir_v1_frame_leased run = run_of(BASE, BASE, batch_make());
    lease_answer(g, &run, 1, 3);
}

static void a_run_of_noise(gateway *g)
{
    const weir_v1_frame_leased run =
        run_of(BASE, BASE,
               WEIR_TEXT("this is longer than a head has to be, and is no batch at all......"));
    lease_answer(g, &run, 1, 0);
}

static void a_settle_of_which_one_is_late(gateway *g)
{
    weir_v1_frame asked;
    weir_settle_range range;
    if (!read_frame(g, &asked) || asked.type != WEIR_V1_FRAME_SETTLE || asked.member != MEMBER ||
        asked.verb != WEIR_VERB_RELEASE || asked.epoch != EPOCH || asked.delay_ms != 70 ||
        asked.flags != WEIR_V1_FRAME_FAILED || asked.range_count != 2 ||
        weir_v1_frame_range_take(&asked.ranges, &range) != WEIR_OK || range.last != BASE + 2) {
        strcpy(g->problem, "not the settle that was expected");
        return;
    }
    const weir_v1_frame answer = {.type = WEIR_V1_FRAME_SETTLED,
                                  .request = asked.request,
                                  .level = WEIR_LEVEL_DISK,
                                  .settled = 2,
                                  .refused = 1};
    say_frame(g, &answer);
}

/* ---- The client's ------------------------------------------------------------------------------- */

static weir_err lease(weir_client *client, weir_client_batches *leased)
{
    const weir_take take = {.records_max = 7, .wait_ms = 10};
    return weir_client_lease_batches(client, MEMBER, &take, leased);
}

static void runs_are_read(void (*answer)(gateway *))
{
    const step steps[] = {HELLO, THE_END};
    const char *texts[] = {"bc", "e"};
    weir_client_batches leased;
    weir_client_record record;
    gateway *g = NULL;
    weir_client *client = meet(steps, answer, &g);
    assert_int_equal(lease(client, &leased), WEIR_OK);
    assert_int_equal(leased.run_count, 2);
    assert_int_equal(leased.epoch, EPOCH);
    assert_int_equal(leased.lease_ms, 30000);
    assert_ptr_equal(leased.runs[0].batch.ptr, leased.runs[1].batch.ptr);
    for (uint32_t i = 0; i < 2; i++) {
        size_t position = 0;
        for (const char *at = texts[i]; *at != 0; at++) {
            assert_int_equal(weir_client_run_next(client, &leased.runs[i], &position, &record),
                             WEIR_OK);
            assert_int_equal(record.offset, BASE + *at - 'a');
            assert_true(weir_bytes_equal(record.value, (weir_bytes){(const uint8_t *)at, 1}));
            assert_true(weir_bytes_equal(record.name, WEIR_TEXT("t/k")));
            assert_int_equal(record.header_count, 1);
            assert_true(weir_bytes_equal(record.headers[0].name, WEIR_TEXT("x")));
            assert_int_equal(record.time_ms, 1000);
            assert_int_equal(record.partition, 2);
            assert_int_equal(record.lease, 9);
            assert_int_equal(record.epoch, EPOCH);
            assert_int_equal(record.leased, 2);
            assert_int_equal(record.failed, 1);
            assert_int_equal(record.member, MEMBER);
        }
        assert_int_equal(weir_client_run_next(client, &leased.runs[i], &position, &record),
                         WEIR_EMPTY);
    }
    part(client, g);
}

static void each_record_of_a_run_is_read_and_no_other_of_its_batch(void **state)
{
    (void)state;
    runs_are_read(two_runs_of_one_batch);
}

static void a_compressed_batch_is_read_the_same(void **state)
{
    (void)state;
    runs_are_read(two_runs_of_a_squeezed_batch);
}

static void a_lease_that_does_not_fit_its_lengths_breaks_the_connection_off(void **state)
{
    void (*const answers[])(gateway *) = {a_run_of_no_batch, a_run_cut_short};
    const step steps[] = {HELLO, THE_END};
    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        weir_client_batches leased;
        gateway *g = NULL;
        weir_client *client = meet(steps, answers[i], &g);
        assert_int_equal(lease(client, &leased), WEIR_MALFORMED);
        assert_int_equal(lease(client, &leased), WEIR_CLOSED);
        part(client, g);
    }
}

static void a_run_whose_batch_is_none_is_refused_when_it_is_read(void **state)
{
    const step steps[] = {HELLO, THE_END};
    weir_client_batches leased;
    weir_client_record record;
    size_t position = 0;
    gateway *g = NULL;
    (void)state;
    weir_client *client = meet(steps, a_run_of_noise, &g);
    assert_int_equal(lease(client, &leased), WEIR_OK);
    assert_int_equal(weir_client_run_next(client, &leased.runs[0], &position, &record),
                     WEIR_MALFORMED);
    part(client, g);
}

static void ranges_are_settled_in_one_frame_and_the_late_ones_told(void **state)
{
    const step steps[] = {HELLO, THE_END};
    const weir_settle_range ranges[] = {{WEIR_TEXT("t"), 2, BASE + 1, BASE + 2, 9},
                                        {WEIR_TEXT("t"), 2, BASE + 4, BASE + 4, 9}};
    weir_settle settle = {.verb = WEIR_VERB_RELEASE,
                          .ranges = ranges,
                          .range_count = 2,
                          .epoch = EPOCH,
                          .delay_ms = 70,
                          .failed = true};
    weir_settled settled = {0};
    gateway *g = NULL;
    (void)state;
    weir_client *client = meet(steps, a_settle_of_which_one_is_late, &g);
    assert_int_equal(weir_client_settle_ranges(client, MEMBER, &settle, &settled), WEIR_LEASE_LOST);
    assert_int_equal(settled.records, 2);
    assert_int_equal(settled.refused, 1);
    assert_int_equal(settled.level, WEIR_LEVEL_DISK);
    settle.metadata = WEIR_TEXT("none here");
    assert_int_equal(weir_client_settle_ranges(client, MEMBER, &settle, &settled), WEIR_INVALID);
    part(client, g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_record_of_a_run_is_read_and_no_other_of_its_batch),
        cmocka_unit_test(a_compressed_batch_is_read_the_same),
        cmocka_unit_test(a_lease_that_does_not_fit_its_lengths_breaks_the_connection_off),
        cmocka_unit_test(a_run_whose_batch_is_none_is_refused_when_it_is_read),
        cmocka_unit_test(ranges_are_settled_in_one_frame_and_the_late_ones_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
