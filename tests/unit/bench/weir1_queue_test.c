/* A queue's member in weir.v1's generator: what it is given is counted once, and settled once. */
#include "bench/weir1/private.h"

#include "core/batch/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { BATCH_RECORDS = 6, LEASE_RECORDS = 4, RUN = 77, SENT_BYTES_MAX = 4096 };

typedef struct fixture {
    load own;
    load_peer peer;
    weir_weir1_work work;
    weir_bench_result result;
    int subject; /* the other end of the member's socket */
    weir_load_template template;
    uint8_t *message; /* a whole produce-batch frame */
    weir_bytes batch; /* of it: offsets 0 to BATCH_RECORDS - 1 */
} fixture;

static int prepare(void **state)
{
    fixture *own = calloc(1, sizeof(*own));
    int ends[2];
    const weir_load_head head = {.publisher = 0, .run = RUN};
    assert_non_null(own);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    own->subject = ends[1];
    own->peer = (load_peer){.stream.fd = ends[0], .role = LOAD_MEMBER, .member = 9};
    own->work = (weir_weir1_work){.task = WEIR_WEIR1_PACED, .lease_records = LEASE_RECORDS};
    own->own = (load){.flow = {.result = &own->result, .epoll = -1, .measuring = true},
                      .work = &own->work,
                      .run = RUN,
                      .peers = &own->peer};
    own->own.flow.latency = calloc(1, sizeof(weir_histogram));
    assert_non_null(own->own.flow.latency);
    assert_int_equal(weir_tally_init(&own->own.tally, 100), WEIR_OK);
    assert_int_equal(
        weir_load_template_init(&own->template, false, "jobs", 128, BATCH_RECORDS, head), WEIR_OK);
    own->message = malloc(own->template.len);
    assert_non_null(own->message);
    weir_load_write(&own->template, 1, 0, 1000, 0, own->message);
    own->batch = (weir_bytes){own->message + own->template.batch_at,
                              own->template.len - own->template.batch_at};
    *state = own;
    return 0;
}

static int clear(void **state)
{
    fixture *own = *state;
    weir_stream_close(&own->peer.stream);
    close(own->subject);
    free(own->own.flow.latency);
    free(own->message);
    weir_tally_fini(&own->own.tally);
    weir_buffer_fini(&own->own.ranges);
    weir_buffer_fini(&own->own.scratch);
    weir_load_template_fini(&own->template);
    free(own);
    return 0;
}

static void run_add(weir_buffer *runs, int64_t first, int64_t last, uint64_t lease,
                    weir_bytes batch)
{
    const weir_v1_frame_leased run = {.topic = weir_bytes_of("jobs"),
                                      .first = first,
                                      .last = last,
                                      .lease = lease,
                                      .leased = 1,
                                      .batch = batch};
    assert_int_equal(weir_v1_frame_run_put(runs, &run), WEIR_OK);
}

static weir_err lease(fixture *own, const weir_buffer *runs)
{
    const weir_v1_frame frame = {
        .type = WEIR_V1_FRAME_LEASED, .epoch = 3, .runs = weir_buffer_bytes(runs)};
    return load_leased(&own->own, &own->peer, &frame, 2000);
}

/* The frames that the member sent, at most two; returns how many. */
static size_t sent(const fixture *own, uint8_t bytes[SENT_BYTES_MAX], weir_v1_frame frames[2])
{
    ssize_t len = recv(own->subject, bytes, SENT_BYTES_MAX, MSG_DONTWAIT);
    weir_bytes rest = {bytes, len > 0 ? (size_t)len : 0};
    size_t count = 0;
    while (rest.len > 0) {
        weir_v1_splitter splitter = {0};
        weir_bytes message;
        size_t used;
        assert_true(count < 2);
        assert_int_equal(weir_v1_split(&splitter, rest, SENT_BYTES_MAX, &message, &used), WEIR_OK);
        assert_int_equal(weir_v1_frame_decode(message, &frames[count++]), WEIR_OK);
        rest = (weir_bytes){rest.ptr + used, rest.len - used};
    }
    return count;
}

static void what_came_is_counted_settled_and_more_is_asked_for(void **state)
{
    fixture *own = *state;
    weir_buffer runs = {0};
    uint8_t bytes[SENT_BYTES_MAX];
    weir_v1_frame frames[2];
    weir_settle_range range;
    run_add(&runs, 0, 1, 41, own->batch);
    run_add(&runs, 3, 5, 42, WEIR_BYTES_NULL); /* of the same batch */
    assert_int_equal(lease(own, &runs), WEIR_OK);
    assert_int_equal(own->own.tally.had, 5);
    assert_int_equal(own->own.flow.latency->total, 5);
    assert_int_equal(sent(own, bytes, frames), 2);
    assert_int_equal(frames[0].type, WEIR_V1_FRAME_SETTLE);
    assert_int_equal(frames[0].member, 9);
    assert_int_equal(frames[0].epoch, 3);
    assert_int_equal(frames[0].verb, WEIR_VERB_ACCEPT);
    assert_int_equal(frames[0].range_count, 2);
    assert_int_equal(weir_v1_frame_range_take(&frames[0].ranges, &range), WEIR_OK);
    assert_int_equal(range.lease, 41);
    assert_int_equal(weir_v1_frame_range_take(&frames[0].ranges, &range), WEIR_OK);
    assert_int_equal(range.first, 3);
    assert_int_equal(range.last, 5);
    assert_int_equal(range.lease, 42);
    assert_int_equal(frames[1].type, WEIR_V1_FRAME_LEASE);
    assert_int_equal(frames[1].records_max, LEASE_RECORDS);
    weir_buffer_fini(&runs);
}

static void a_record_that_two_leases_brought_is_a_duplicate(void **state)
{
    fixture *own = *state;
    weir_buffer runs = {0};
    run_add(&runs, 0, 1, 41, own->batch);
    run_add(&runs, 1, 2, 42, WEIR_BYTES_NULL);
    assert_int_equal(lease(own, &runs), WEIR_OK);
    weir_result_tally(&own->result, &own->own.tally, 4);
    assert_int_equal(own->result.duplicated, 1);
    assert_int_equal(own->result.lost, 1);
    weir_buffer_fini(&runs);
}

static void a_run_that_its_batch_does_not_hold_ends_the_run(void **state)
{
    fixture *own = *state;
    weir_buffer runs = {0};
    run_add(&runs, 4, BATCH_RECORDS, 41, own->batch);
    assert_int_not_equal(lease(own, &runs), WEIR_OK);
    assert_int_equal(own->result.err, WEIR_MALFORMED);
    runs.len = 0;
    run_add(&runs, 0, 0, 41, WEIR_BYTES_NULL); /* no batch at all */
    assert_int_not_equal(lease(own, &runs), WEIR_OK);
    weir_buffer_fini(&runs);
}

static void an_empty_lease_is_followed_by_another_and_settles_nothing(void **state)
{
    fixture *own = *state;
    const weir_buffer runs = {0};
    uint8_t bytes[SENT_BYTES_MAX];
    weir_v1_frame frames[2];
    assert_int_equal(lease(own, &runs), WEIR_OK);
    assert_int_equal(sent(own, bytes, frames), 1);
    assert_int_equal(frames[0].type, WEIR_V1_FRAME_LEASE);
}

static void only_what_is_settled_is_not_under_way(void **state)
{
    fixture *own = *state;
    const weir_v1_frame frame = {.type = WEIR_V1_FRAME_SETTLED, .settled = 3, .refused = 1};
    own->own.flow.sent = 5;
    assert_int_equal(load_under_way(&own->own.flow), 0); /* nobody leases yet */
    own->own.leasing = true;
    load_settled(&own->own, &frame);
    assert_int_equal(load_under_way(&own->own.flow), 2);
    assert_int_equal(own->result.measured, 3);
    assert_int_equal(own->result.refused, 1);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, prepare, clear)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(what_came_is_counted_settled_and_more_is_asked_for),
        EACH(a_record_that_two_leases_brought_is_a_duplicate),
        EACH(a_run_that_its_batch_does_not_hold_ends_the_run),
        EACH(an_empty_lease_is_followed_by_another_and_settles_nothing),
        EACH(only_what_is_settled_is_not_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
