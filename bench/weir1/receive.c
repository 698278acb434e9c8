/* bench/weir1/receive.c - what comes: answers, records, batches; counted and timed.
 *
 *   socket -> in[in_len..]  [ws heads off, in place]  -> whole messages from in_start -> taken
 *
 * A message is a line or a frame. A fetched frame is looked at while it comes: once the head of its
 * last batch is there, it is known where the next fetch begins, and that is asked for at once, so
 * that the subject reads while this side still receives. What a fetch gave from before its offset is
 * skipped, as docs/weir.v1.md asks.
 *
 * [R1] A record of another run or of no known publisher is counted as alien and nothing else.
 * [R2] The clock is read once per read. */
#include "bench/weir1/private.h"

#include "adapters/proto/weir1/frame.h"
#include "core/base/varint.h"
#include "core/batch/batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { FETCHED_HEAD_BYTES = 5 + 8 + 1 + 8 + 8 };

/* ---- Records -----------------------------------------------------------------------------------
 */

static void record_take(load *own, load_peer *peer, weir_bytes value, bool json, uint64_t now_ns)
{
    weir_load_head head;
    weir_account *account;
    if (!weir_load_head_read(value, json, &head) || head.run != own->run ||
        head.publisher >= own->work->publishers) {
        own->flow.result->alien++; /* [R1] */
        return;
    }
    account = &own->accounts[(size_t)peer->index * own->work->publishers + head.publisher];
    own->flow.result->delivered++;
    own->flow.had += weir_account_take(account, head.sequence) ? 1 : 0;
    if (own->flow.measuring && own->work->task != WEIR_WEIR1_PUBLISH) {
        own->flow.result->measured++;
        if (own->work->task == WEIR_WEIR1_FLOW) {
            weir_histogram_add(own->flow.latency,
                               now_ns > head.intended_ns ? now_ns - head.intended_ns : 0);
        }
    }
}

/* One stored batch; its records below `from` were had before. */
static weir_err batch_take(load *own, load_peer *peer, weir_bytes batch,
                           const weir_batch_head *head, int64_t from, uint64_t now_ns)
{
    size_t at = WEIR_BATCH_HEAD_BYTES;
    int64_t offset = head->base_offset;
    weir_bytes value;
    bool broken;
    while (weir_load_batch_next(batch, &at, &value, &broken)) {
        if (offset++ >= from) {
            record_take(own, peer, value, own->work->json, now_ns);
        }
    }
    return broken || offset != head->base_offset + head->last_offset_delta + 1
               ? weir_result_fail(own->flow.result, WEIR_MALFORMED,
                                  "a fetched batch has records that do not fit")
               : WEIR_OK;
}

/* ---- Fetching ----------------------------------------------------------------------------------
 */

/* The end of its accounts for this pass: what has not come is lost. */
static void pass_end(load *own, const load_peer *peer)
{
    for (uint32_t p = 0; p < own->work->publishers; p++) {
        weir_account *account = &own->accounts[(size_t)peer->index * own->work->publishers + p];
        weir_result_account(own->flow.result, account, own->peers[p].sequence);
        weir_account_fini(account);
    }
}

/* Fetches on: where the answer ended, or from the beginning when a reader has all. */
static weir_err fetch_on(load *own, load_peer *peer, int64_t next, int64_t end)
{
    peer->fetching = false;
    if (peer->role == LOAD_READER && next >= end) {
        pass_end(own, peer);
        peer->passes++;
        next = 0;
    }
    if (peer->asked) {
        peer->asked = false;
        peer->fetching = true;
        peer->offset = peer->asked_offset;
        return WEIR_OK;
    }
    if (own->ending ||
        (peer->role == LOAD_READER && (!own->reading || (own->one_pass && peer->passes > 0)))) {
        return WEIR_OK;
    }
    peer->fetching = true;
    peer->offset = next;
    return load_fetch(own, peer, next);
}

weir_err load_begin_reading(load *own)
{
    own->reading = true;
    for (uint32_t i = own->work->publishers; i < own->peer_count; i++) {
        load_peer *peer = &own->peers[i];
        weir_err err;
        peer->passes = 0;
        peer->fetching = true;
        peer->offset = 0;
        err = load_fetch(own, peer, 0);
        if (err != WEIR_OK) {
            return err;
        }
    }
    return WEIR_OK;
}

/* Walks the batch heads of a frame that is not whole yet; asks for what is behind its last batch as
 * soon as that one's head is there. `bytes` begins with the frame. */
static weir_err fetched_ahead(load *own, load_peer *peer, weir_bytes bytes, size_t whole)
{
    size_t at = peer->looked < FETCHED_HEAD_BYTES ? (size_t)FETCHED_HEAD_BYTES : peer->looked;
    int64_t end = bytes.len >= FETCHED_HEAD_BYTES ? (int64_t)weir_get_u64(bytes.ptr + 22) : 0;
    while (!peer->asked && at + WEIR_BATCH_HEAD_BYTES <= bytes.len) {
        weir_batch_head head;
        weir_err err = weir_batch_head_decode((weir_bytes){bytes.ptr + at, bytes.len - at}, &head);
        int64_t next;
        if (err != WEIR_OK && err != WEIR_MORE) {
            return weir_result_fail(own->flow.result, WEIR_MALFORMED,
                                    "a fetched frame has what is no batch");
        }
        head.batch_bytes = 12 + weir_get_u32(bytes.ptr + at + 8);
        next =
            (int64_t)weir_get_u64(bytes.ptr + at) + (int32_t)weir_get_u32(bytes.ptr + at + 23) + 1;
        at += head.batch_bytes;
        if (at >= whole && peer->role == LOAD_READER && own->reading && !own->ending &&
            next < end) {
            peer->asked = true;
            peer->asked_offset = next;
            return load_fetch(own, peer, next);
        }
    }
    peer->looked = at;
    return WEIR_OK;
}

static weir_err fetched_take(load *own, load_peer *peer, const weir_v1_frame *frame,
                             uint64_t now_ns)
{
    weir_bytes rest = frame->batches;
    int64_t next = peer->offset;
    while (rest.len > 0) {
        weir_batch_head head;
        weir_bytes batch;
        weir_err err = weir_batch_head_decode(rest, &head);
        if (err != WEIR_OK || head.batch_bytes > rest.len) {
            return weir_result_fail(own->flow.result, WEIR_MALFORMED,
                                    "a fetched frame has what is no batch");
        }
        batch = (weir_bytes){rest.ptr, head.batch_bytes};
        err = batch_take(own, peer, batch, &head, next, now_ns);
        if (err != WEIR_OK) {
            return err;
        }
        next = head.base_offset + head.last_offset_delta + 1;
        rest.ptr += head.batch_bytes;
        rest.len -= head.batch_bytes;
    }
    return fetch_on(own, peer, next, frame->end_offset);
}

/* ---- Answers -----------------------------------------------------------------------------------
 */

static void acked(load *own, load_peer *peer, uint64_t request, bool failed, uint64_t now_ns)
{
    uint32_t count = peer->template.count;
    uint64_t intended_ns = peer->times[request & LOAD_TIMES_MASK];
    if (request >= peer->request || intended_ns == 0 || failed) {
        own->flow.result->refused += count;
    }
    if (request >= peer->request || intended_ns == 0) {
        return; /* of nothing that is under way */
    }
    peer->times[request & LOAD_TIMES_MASK] = 0;
    peer->unacked -= count;
    own->flow.unacked -= count;
    own->acked += failed ? 0 : count;
    if (own->flow.measuring && !failed && own->work->task == WEIR_WEIR1_PUBLISH) {
        own->flow.result->measured += count;
        weir_histogram_add(own->flow.latency, now_ns > intended_ns ? now_ns - intended_ns : 0);
    }
}

static weir_err frame_take(load *own, load_peer *peer, weir_bytes message, uint64_t now_ns)
{
    weir_v1_frame frame;
    if (weir_v1_frame_decode(message, &frame) != WEIR_OK) {
        return weir_result_fail(own->flow.result, WEIR_MALFORMED,
                                "the subject sent what is no frame");
    }
    switch (frame.type) {
    case WEIR_V1_FRAME_PRODUCED:
        acked(own, peer, frame.request, false, now_ns);
        return WEIR_OK;
    case WEIR_V1_FRAME_FETCHED:
        return fetched_take(own, peer, &frame, now_ns);
    case WEIR_V1_FRAME_LEASED:
        return load_leased(own, peer, &frame, now_ns);
    case WEIR_V1_FRAME_SETTLED:
        load_settled(own, &frame);
        return WEIR_OK;
    default:
        if (peer->role == LOAD_PUBLISHER && frame.type == WEIR_V1_FRAME_ERROR) {
            acked(own, peer, frame.request, true, now_ns);
            return WEIR_OK;
        }
        return weir_result_fail(own->flow.result, WEIR_PROTOCOL, "the subject answered \"%.*s\"",
                                (int)frame.text.len, (const char *)frame.text.ptr);
    }
}

static bool begins(weir_bytes message, const char *text)
{
    size_t len = strlen(text);
    return message.len >= len && memcmp(message.ptr, text, len) == 0;
}

static weir_err text_take(load *own, load_peer *peer, weir_bytes message, uint64_t now_ns)
{
    static const char success[] = "\"ok\":true";
    weir_bytes value;
    size_t at = 0;
    uint64_t id;
    if (begins(message, "{\"type\":\"records\"")) {
        while (weir_load_json_next(message, &at, &value)) {
            record_take(own, peer, value, true, now_ns);
        }
        return WEIR_OK;
    }
    if (begins(message, "{\"id\":") && weir_load_json_number(message, "id", &id) &&
        id >= WEIR_LOAD_ID_FIRST) {
        size_t front = message.len < 48 ? message.len : 48;
        bool ok = memmem(message.ptr, front, success, sizeof(success) - 1) != NULL;
        acked(own, peer, id - WEIR_LOAD_ID_FIRST, !ok, now_ns);
        return WEIR_OK;
    }
    return weir_result_fail(own->flow.result, WEIR_PROTOCOL, "the subject said %.*s",
                            (int)(message.len < 120 ? message.len : 120),
                            (const char *)message.ptr);
}

/* ---- Bytes -------------------------------------------------------------------------------------
 */

/* The length of the message at the front, its newline included; 0: not whole. */
static weir_err message_find(load *own, load_peer *peer, weir_bytes bytes, size_t *len)
{
    const uint8_t *newline;
    *len = 0;
    if (bytes.len < WEIR_V1_FRAME_HEAD_BYTES) {
        return WEIR_OK;
    }
    if (bytes.ptr[0] == '{') {
        newline = memchr(bytes.ptr + peer->looked, '\n', bytes.len - peer->looked);
        peer->looked = bytes.len;
        *len = newline == NULL ? 0 : (size_t)(newline - bytes.ptr) + 1;
        return WEIR_OK;
    }
    *len = WEIR_V1_FRAME_HEAD_BYTES + (size_t)weir_get_u32(bytes.ptr + 1);
    if (*len > LOAD_MESSAGE_BYTES_MAX) {
        return weir_result_fail(own->flow.result, WEIR_MALFORMED,
                                "the subject sent what is neither text nor a frame");
    }
    if (bytes.ptr[0] == WEIR_V1_FRAME_FETCHED && peer->fetching) {
        size_t whole = *len;
        *len = whole <= bytes.len ? whole : 0;
        bytes.len = bytes.len < whole ? bytes.len : whole;
        return fetched_ahead(own, peer, bytes, whole);
    }
    *len = *len <= bytes.len ? *len : 0;
    return WEIR_OK;
}

static weir_err message_take(load *own, load_peer *peer, weir_bytes message, uint64_t now_ns)
{
    if (message.ptr[0] != '{') {
        return frame_take(own, peer, message, now_ns);
    }
    message.len--; /* its newline */
    return peer->stage == LOAD_READY ? text_take(own, peer, message, now_ns)
                                     : load_greet(own, peer, message);
}

static weir_err messages_take(load *own, load_peer *peer)
{
    uint64_t now_ns = weir_now_ns(); /* [R2] */
    own->flow.progress_ns = now_ns;
    while (peer->in_start < peer->in_len) {
        weir_bytes bytes = {peer->in + peer->in_start, peer->in_len - peer->in_start};
        size_t len;
        weir_err err = message_find(own, peer, bytes, &len);
        if (err != WEIR_OK || len == 0) {
            return err;
        }
        peer->looked = 0;
        peer->in_start += len;
        err = message_take(own, peer, (weir_bytes){bytes.ptr, len}, now_ns);
        if (err != WEIR_OK) {
            return err;
        }
    }
    peer->in_start = 0;
    peer->in_len = 0;
    return WEIR_OK;
}

/* Room for a whole read and the byte before it; what is unread moves to the front when it has to. */
static weir_err room_make(load_peer *peer)
{
    size_t unread = peer->in_len - peer->in_start;
    if (peer->in_len + 1 + LOAD_READ_BYTES <= peer->in_capacity) {
        return WEIR_OK;
    }
    if (unread + 2 * (size_t)LOAD_READ_BYTES > peer->in_capacity) {
        size_t capacity = 2 * (unread + 2 * (size_t)LOAD_READ_BYTES);
        uint8_t *in = realloc(peer->in, capacity);
        if (in == NULL) {
            return WEIR_NO_MEMORY;
        }
        peer->in = in;
        peer->in_capacity = capacity;
    }
    memmove(peer->in, peer->in + peer->in_start, unread);
    peer->in_start = 0;
    peer->in_len = unread;
    return WEIR_OK;
}

static weir_err gone(load *own, load_peer *peer, weir_err err)
{
    peer->stage = LOAD_GONE;
    weir_stream_close(&peer->stream);
    return own->ending
               ? WEIR_OK
               : weir_result_fail(own->flow.result, err, "the subject closed connection %u (%s)",
                                  (unsigned)(peer - own->peers), weir_err_text(err));
}

/* OK when the upgrade is through; then what follows its head is at the front, behind one byte. */
static weir_err upgrade_take(load *own, load_peer *peer, size_t *fresh)
{
    weir_bytes bytes = {peer->in + peer->in_start, peer->in_len - peer->in_start + *fresh};
    size_t used = 0;
    weir_err err = load_upgraded(own, peer, bytes, &used);
    if (err == WEIR_OK) {
        *fresh = bytes.len - used;
        memmove(peer->in + 1, bytes.ptr + used, *fresh);
        peer->in_start = 0;
        peer->in_len = 0;
    }
    return err;
}

weir_err load_readable(load *own, load_peer *peer)
{
    ssize_t got;
    size_t fresh;
    size_t gap = peer->ws != NULL && peer->stage != LOAD_UPGRADING ? 1 : 0; /* weir_load_unframe */
    weir_err err = room_make(peer);
    if (err != WEIR_OK) {
        return weir_result_fail(own->flow.result, err, "no memory to receive");
    }
    got = recv(peer->stream.fd, peer->in + peer->in_len + gap, LOAD_READ_BYTES, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return WEIR_OK;
    }
    if (got <= 0) {
        return gone(own, peer, WEIR_CLOSED);
    }
    own->flow.result->reads += own->flow.measuring ? 1 : 0;
    fresh = (size_t)got;
    if (peer->stage == LOAD_UPGRADING) {
        err = upgrade_take(own, peer, &fresh);
        if (err == WEIR_MORE) {
            peer->in_len += fresh;
            return WEIR_OK;
        }
    }
    if (err == WEIR_OK && peer->ws != NULL) {
        err = weir_load_unframe(peer->ws, peer->in + peer->in_len + 1, fresh,
                                peer->in + peer->in_len, &fresh);
        if (err != WEIR_OK) {
            return gone(own, peer, err);
        }
    }
    peer->in_len += fresh;
    return err == WEIR_OK ? messages_take(own, peer) : err;
}
