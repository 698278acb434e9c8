/* clients/c/leases.c - leases in frames: batches as they are stored, and many records settled at once.
 *
 *     lease-batch -> leased: run, run, run ...     a run: records [first, last] of one stored batch
 *                                 `-> copied, so that they hold until the next lease by batches
 *     run -> its batch (inflated once if it is compressed) -> records, one by one
 *     settle-ranges -> settled
 *
 * What JSON carries record by record goes here as it lies on the disk, with a table of what of it is
 * the member's. Happy path: nothing is parsed but heads and the records that are asked for.
 * Failures: a frame or a batch that does not fit its lengths breaks the connection off.
 *
 * [B1] A run without a batch is of the batch of the run before, and so never the first one. */
#include "clients/c/client_private.h"

#include "core/batch/batch.h"

#include <stdlib.h>
#include <string.h>

enum { INFLATED_BYTES_MAX = 1 << 28, RUNS_LEAST = 16, HEADERS_LEAST = 16 };

static weir_err unreadable(weir_client *client)
{
    client->broken = true;
    return weir_client_fail(client, WEIR_MALFORMED,
                            "The gateway sent a lease that cannot be read; connect again.");
}

/* ---- lease-batch ----------------------------------------------------------------------------- */

/* Room for one more. NULL: no memory. */
static weir_client_leased_run *run_add(weir_client_lease_state *state)
{
    if (state->run_count == state->run_room) {
        uint32_t room = state->run_room == 0 ? RUNS_LEAST : state->run_room * 2;
        weir_client_leased_run *more = realloc(state->runs, room * sizeof(*more));
        if (more == NULL) {
            return NULL;
        }
        state->runs = more;
        state->run_room = room;
    }
    return &state->runs[state->run_count++];
}

static weir_err runs_take(weir_client *client, weir_bytes rest)
{
    weir_client_lease_state *state = &client->lease;
    weir_v1_frame_leased run;
    weir_bytes batch = WEIR_BYTES_NULL;
    weir_err err;
    while ((err = weir_v1_frame_run_take(&rest, &run)) == WEIR_OK) {
        batch = run.batch.len > 0 ? run.batch : batch;
        if (batch.ptr == NULL || run.first > run.last) {
            return unreadable(client); /* [B1] */
        }
        weir_client_leased_run *put = run_add(state);
        if (put == NULL) {
            return weir_client_fail(client, WEIR_NO_MEMORY, NULL);
        }
        *put = (weir_client_leased_run){.topic = run.topic,
                                        .partition = run.partition,
                                        .first = run.first,
                                        .last = run.last,
                                        .lease = run.lease,
                                        .leased = run.leased,
                                        .failed = run.failed,
                                        .batch = batch};
    }
    return err == WEIR_EMPTY ? WEIR_OK : unreadable(client);
}

static void state_forget(weir_client_lease_state *state)
{
    state->run_count = 0;
    state->bytes.len = 0;
    free(state->plain);
    state->plain = NULL;
    state->plain_of = NULL;
}

static weir_err lease_take(weir_client *client, const weir_v1_frame *frame, uint64_t member,
                           weir_client_batches *leased)
{
    weir_client_lease_state *state = &client->lease;
    if (frame->type != WEIR_V1_FRAME_LEASED) {
        return unreadable(client);
    }
    weir_err err = weir_buffer_append(&state->bytes, frame->runs.ptr, frame->runs.len);
    if (err != WEIR_OK) {
        return weir_client_fail(client, err, NULL);
    }
    state->member = member;
    state->epoch = frame->epoch;
    err = runs_take(client, weir_buffer_bytes(&state->bytes));
    if (err == WEIR_OK) {
        *leased = (weir_client_batches){.runs = state->runs,
                                        .run_count = state->run_count,
                                        .epoch = frame->epoch,
                                        .generation = frame->generation,
                                        .lease_ms = frame->lease_ms};
    }
    return err;
}

weir_err weir_client_lease_batches(weir_client *client, uint64_t member, const weir_take *take,
                                   weir_client_batches *leased)
{
    weir_v1_frame answer;
    const weir_v1_frame frame = {.type = WEIR_V1_FRAME_LEASE,
                                 .member = member,
                                 .request = ++client->id_last,
                                 .records_max = take->records_max > 0 ? take->records_max : 1,
                                 .bytes_max = take->bytes_max > 0 ? take->bytes_max
                                                                  : WEIR_CLIENT_LEASE_BYTES,
                                 .wait_ms = take->wait_ms};
    client->out.len = 0;
    weir_err err = weir_v1_frame_encode(&frame, &client->out);
    if (err != WEIR_OK) {
        return weir_client_fail(client, err, NULL);
    }
    err = weir_client_write(client, weir_buffer_bytes(&client->out));
    err = err != WEIR_OK
              ? err
              : weir_client_wait_frame(client, frame.request,
                                       weir_client_deadline(client) + take->wait_ms, &answer);
    if (err != WEIR_OK) {
        return err;
    }
    state_forget(&client->lease);
    return lease_take(client, &answer, member, leased);
}

/* ---- Records of a run ------------------------------------------------------------------------ */

/* The run's batch without compression: as it came, or inflated, which is done once for all runs of
 * it that follow one another. */
static weir_err plain_of(weir_client *client, const weir_client_leased_run *run, weir_bytes *plain)
{
    weir_client_lease_state *state = &client->lease;
    weir_batch_head head;
    if (weir_batch_head_decode(run->batch, &head) != WEIR_OK) {
        return unreadable(client);
    }
    if ((head.attributes & WEIR_BATCH_COMPRESSION_MASK) == 0) {
        *plain = run->batch;
        return WEIR_OK;
    }
    if (state->plain_of != run->batch.ptr) {
        free(state->plain);
        state->plain = NULL;
        state->plain_of = NULL;
        weir_err err =
            weir_batch_inflate(run->batch, INFLATED_BYTES_MAX, &state->plain, &state->plain_bytes);
        if (err != WEIR_OK) {
            return weir_client_fail(client, err, "A batch of the lease could not be inflated.");
        }
        state->plain_of = run->batch.ptr;
    }
    *plain = (weir_bytes){state->plain, state->plain_bytes};
    return WEIR_OK;
}

static weir_err headers_take(weir_client *client, const weir_record *record,
                             weir_client_record *into)
{
    weir_client_lease_state *state = &client->lease;
    weir_bytes rest = record->headers;
    if (record->header_count > state->header_room) {
        uint32_t room = record->header_count + HEADERS_LEAST;
        weir_header *more = realloc(state->headers, room * sizeof(*more));
        if (more == NULL) {
            return weir_client_fail(client, WEIR_NO_MEMORY, NULL);
        }
        state->headers = more;
        state->header_room = room;
    }
    while (into->header_count < record->header_count &&
           weir_headers_next(&rest, &state->headers[into->header_count])) {
        into->header_count++;
    }
    into->headers = state->headers;
    return WEIR_OK;
}

/* Its full name, in a buffer of the client's. */
static weir_err name_take(weir_client *client, weir_bytes topic, weir_bytes key, weir_bytes *name)
{
    weir_buffer *into = &client->decoded;
    bool encoded = false;
    size_t len = weir_record_name(topic, key, NULL, 0, &encoded);
    into->len = 0;
    weir_err err = weir_buffer_reserve(into, len);
    if (err != WEIR_OK) {
        return weir_client_fail(client, err, NULL);
    }
    (void)weir_record_name(topic, key, into->ptr, len, &encoded);
    *name = (weir_bytes){into->ptr, len};
    return WEIR_OK;
}

static weir_err record_fill(weir_client *client, const weir_client_leased_run *run,
                            const weir_record *record, weir_client_record *into)
{
    *into = (weir_client_record){.topic = run->topic,
                                 .key = record->key,
                                 .value = record->value,
                                 .partition = run->partition,
                                 .offset = record->offset,
                                 .time_ms = record->timestamp_ms,
                                 .member = client->lease.member,
                                 .epoch = run->lease != 0 ? client->lease.epoch : 0,
                                 .lease = run->lease,
                                 .leased = run->leased,
                                 .failed = run->failed};
    weir_err err = headers_take(client, record, into);
    return err != WEIR_OK ? err : name_take(client, run->topic, record->key, &into->name);
}

weir_err weir_client_run_next(weir_client *client, const weir_client_leased_run *run,
                              size_t *position, weir_client_record *record)
{
    weir_bytes plain;
    weir_batch_head head;
    weir_record stored;
    size_t used = 0;
    weir_err err = plain_of(client, run, &plain);
    if (err != WEIR_OK) {
        return err;
    }
    if (weir_batch_head_decode(plain, &head) != WEIR_OK) {
        return unreadable(client);
    }
    for (*position = *position == 0 ? WEIR_BATCH_HEAD_BYTES : *position; *position < plain.len;
         *position += used) {
        if (weir_batch_record_decode(plain, &head, *position, &stored, &used) != WEIR_OK) {
            return unreadable(client);
        }
        if (stored.offset > run->last) {
            break;
        }
        if (stored.offset >= run->first) {
            *position += used;
            return record_fill(client, run, &stored, record);
        }
    }
    return WEIR_EMPTY;
}

/* ---- settle-ranges --------------------------------------------------------------------------- */

static weir_err settle_encode(weir_client *client, uint64_t member, const weir_settle *settle,
                              uint64_t request)
{
    weir_buffer ranges = {0};
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < settle->range_count && err == WEIR_OK; i++) {
        err = weir_v1_frame_range_put(&ranges, &settle->ranges[i]);
    }
    const weir_v1_frame frame = {.type = WEIR_V1_FRAME_SETTLE,
                                 .member = member,
                                 .request = request,
                                 .verb = (uint8_t)settle->verb,
                                 .flags = (uint8_t)((settle->failed ? WEIR_V1_FRAME_FAILED : 0) |
                                                    (settle->no_confirm ? WEIR_V1_FRAME_QUIET : 0)),
                                 .delay_ms = settle->delay_ms,
                                 .epoch = settle->epoch,
                                 .generation = settle->generation,
                                 .reason = settle->reason,
                                 .ranges = weir_buffer_bytes(&ranges)};
    client->out.len = 0;
    err = err == WEIR_OK ? weir_v1_frame_encode(&frame, &client->out) : err;
    weir_buffer_fini(&ranges);
    return err == WEIR_OK ? WEIR_OK : weir_client_fail(client, err, NULL);
}

weir_err weir_client_settle_ranges(weir_client *client, uint64_t member, const weir_settle *settle,
                                   weir_settled *settled)
{
    weir_v1_frame answer;
    uint64_t request = ++client->id_last;
    if (settle->metadata.ptr != NULL) {
        return weir_client_fail(client, WEIR_INVALID,
                                "Frames carry no metadata: use weir_client_settle.");
    }
    weir_err err = weir_client_line_check(client, settle->reason);
    err = err != WEIR_OK ? err : settle_encode(client, member, settle, request);
    err = err != WEIR_OK ? err : weir_client_write(client, weir_buffer_bytes(&client->out));
    if (err != WEIR_OK || settle->no_confirm) {
        return err;
    }
    err = weir_client_wait_frame(client, request, weir_client_deadline(client), &answer);
    if (err == WEIR_OK && answer.type != WEIR_V1_FRAME_SETTLED) {
        err = unreadable(client);
    }
    if (err != WEIR_OK) {
        return err;
    }
    if (settled != NULL) {
        *settled = (weir_settled){.records = answer.settled,
                                  .refused = answer.refused,
                                  .level = answer.level,
                                  .lease_ms = answer.lease_ms};
    }
    return answer.refused == 0
               ? WEIR_OK
               : weir_client_fail(
                     client, WEIR_LEASE_LOST,
                     "Some leases were over, or these records are settled already: they "
                     "may be with another member now. Settle each once, sooner, or renew.");
}

void weir_client_lease_state_fini(weir_client_lease_state *state)
{
    state_forget(state);
    weir_buffer_fini(&state->bytes);
    free(state->runs);
    free(state->headers);
}
