/* bench/weir1/message.c - one template to many messages, and many messages back to heads.
 *
 *   frame:  01 | length | topic | partition 0 | request | RecordBatch of `count` equal records
 *   JSON:   {"cmd":"publish","id":N,"topic":"T","records":[{"value":"HEX..."}, ...]}\n
 *
 * The codecs make the template once; a message is a memcpy, two numbers a record, and (in a batch)
 * one CRC. The readers trust lengths only after they were compared with what is there.
 *
 * [W1] What write makes, next and head_read give back: the same publisher, run, sequence, time.
 * [W2] unframe writes nothing that it has not read: a whole frame's head leaves room for the newline,
 *      and the byte before `in` does for the one frame whose head came earlier. */
#include "bench/weir1/message.h"

#include "bench/weir1/weir1.h"

#include "adapters/proto/weir1/frame.h"
#include "core/base/varint.h"
#include "core/batch/batch.h"

#include <stdlib.h>
#include <string.h>

static const char digits[] = "0123456789abcdef";

static void hex_write(const weir_load_head *head, uint8_t *out)
{
    uint8_t bytes[WEIR_LOAD_HEAD_BYTES];
    memcpy(bytes, head, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        out[2 * i] = (uint8_t)digits[bytes[i] >> 4];
        out[2 * i + 1] = (uint8_t)digits[bytes[i] & 15];
    }
}

static void head_write(const weir_load_head *head, bool json, uint8_t *out)
{
    if (json) {
        hex_write(head, out);
    } else {
        memcpy(out, head, sizeof(*head));
    }
}

static void id_write(uint64_t id, uint8_t *out)
{
    for (size_t i = WEIR_LOAD_ID_DIGITS; i-- > 0; id /= 10) {
        out[i] = (uint8_t)('0' + id % 10);
    }
}

/* ---- The template ------------------------------------------------------------------------------
 */

static weir_err json_make(weir_load_template *load, const char *topic, const char *payload,
                          weir_buffer *out)
{
    weir_err err = weir_buffer_text(out, "{\"cmd\":\"publish\",\"id\":");
    load->request_at = out->len;
    err = err == WEIR_OK ? weir_buffer_format(out, "%llu,\"topic\":\"%s\",\"records\":[",
                                              (unsigned long long)WEIR_LOAD_ID_FIRST, topic)
                         : err;
    for (uint32_t i = 0; err == WEIR_OK && i < load->count; i++) {
        err = weir_buffer_text(out, i == 0 ? "{\"value\":\"" : ",{\"value\":\"");
        load->payload_at[i] = (uint32_t)out->len;
        err = err == WEIR_OK ? weir_buffer_format(out, "%s\"}", payload) : err;
    }
    return err == WEIR_OK ? weir_buffer_text(out, "]}\n") : err;
}

/* Where the value of the record that begins at `position` lies in its batch. */
static uint32_t value_position(weir_bytes batch, uint32_t position)
{
    weir_record record;
    weir_batch_record_trusted(batch.ptr, position, 0, 0, &record);
    return (uint32_t)(record.value.ptr - batch.ptr);
}

static weir_err batch_make(weir_load_template *load, weir_bytes payload, weir_buffer *batch)
{
    size_t rest_len = weir_record_rest_size(payload, NULL, 0);
    uint8_t *rest = malloc(rest_len);
    weir_batch_builder builder;
    weir_err err =
        rest == NULL
            ? WEIR_NO_MEMORY
            : weir_buffer_reserve(batch, WEIR_BATCH_HEAD_BYTES +
                                             load->count * (rest_len + WEIR_RECORD_OVERHEAD_MAX));
    if (err == WEIR_OK) {
        weir_batch_begin(&builder, batch->ptr, batch->capacity);
        rest_len = weir_record_rest_encode(payload, NULL, 0, rest);
    }
    for (uint32_t i = 0; err == WEIR_OK && i < load->count; i++) {
        err = weir_batch_add(&builder, 0, WEIR_BYTES_NULL, (weir_bytes){rest, rest_len},
                             &load->payload_at[i]);
    }
    if (err == WEIR_OK) {
        batch->len = weir_batch_finish(&builder, 0, 0, 0).len;
    }
    free(rest);
    return err;
}

static weir_err frame_make(weir_load_template *load, const char *topic, weir_bytes payload,
                           weir_buffer *out)
{
    weir_buffer batch = {0};
    weir_v1_frame frame = {.type = WEIR_V1_FRAME_PRODUCE, .topic = weir_bytes_of(topic)};
    weir_err err = batch_make(load, payload, &batch);
    if (err == WEIR_OK) {
        frame.batches = weir_buffer_bytes(&batch);
        err = weir_v1_frame_encode(&frame, out);
    }
    if (err == WEIR_OK) {
        load->batch_at = out->len - batch.len;
        load->request_at = load->batch_at - 8;
        for (uint32_t i = 0; i < load->count; i++) {
            load->payload_at[i] = (uint32_t)load->batch_at +
                                  value_position(weir_buffer_bytes(&batch), load->payload_at[i]);
        }
    }
    weir_buffer_fini(&batch);
    return err;
}

weir_err weir_load_template_init(weir_load_template *load, bool json, const char *topic,
                                 uint32_t payload_bytes, uint32_t count, weir_load_head head)
{
    weir_buffer out = {0};
    char *payload;
    weir_err err;
    *load = (weir_load_template){.json = json, .count = count, .head = head};
    if (payload_bytes <
            (json ? (uint32_t)WEIR_WEIR1_JSON_PAYLOAD_BYTES_MIN : (uint32_t)WEIR_LOAD_HEAD_BYTES) ||
        payload_bytes > WEIR_BENCH_PAYLOAD_BYTES_MAX || count == 0 ||
        count > WEIR_WEIR1_BATCH_RECORDS_MAX) {
        return WEIR_INVALID;
    }
    payload = malloc((size_t)payload_bytes + 1);
    load->payload_at = calloc(count, sizeof(load->payload_at[0]));
    if (payload == NULL || load->payload_at == NULL) {
        err = WEIR_NO_MEMORY;
        goto out;
    }
    memset(payload, 'w', payload_bytes);
    payload[payload_bytes] = '\0';
    head_write(&head, json, (uint8_t *)payload);
    err = json ? json_make(load, topic, payload, &out)
               : frame_make(load, topic, (weir_bytes){(uint8_t *)payload, payload_bytes}, &out);
out:
    free(payload);
    if (err != WEIR_OK) {
        weir_buffer_fini(&out);
        weir_load_template_fini(load);
        return err;
    }
    load->bytes = out.ptr;
    load->len = out.len;
    return WEIR_OK;
}

void weir_load_template_fini(weir_load_template *load)
{
    free(load->bytes);
    free(load->payload_at);
    *load = (weir_load_template){0};
}

/* The CRC and the head, over the records as they are in `out` now. */
static void batch_seal(const weir_load_template *load, uint8_t *out)
{
    weir_batch_builder builder = {.memory = out + load->batch_at,
                                  .capacity = load->len - load->batch_at,
                                  .len = load->len - load->batch_at,
                                  .count = (int32_t)load->count};
    (void)weir_batch_finish(&builder, 0, 0, 0);
}

void weir_load_write(const weir_load_template *load, uint64_t request, uint64_t sequence,
                     uint64_t intended_ns, uint64_t step_ns, uint8_t *out)
{
    weir_load_head head = load->head;
    memcpy(out, load->bytes, load->len);
    if (load->json) {
        id_write(WEIR_LOAD_ID_FIRST + request, out + load->request_at);
    } else {
        weir_put_u64(out + load->request_at, request);
    }
    for (uint32_t i = 0; i < load->count; i++) {
        head.sequence = sequence + i;
        head.intended_ns = intended_ns + i * step_ns;
        head_write(&head, load->json, out + load->payload_at[i]);
    }
    if (!load->json) {
        batch_seal(load, out);
    }
}

/* ---- Reading -----------------------------------------------------------------------------------
 */

static bool hex_value(uint8_t digit, uint8_t *value)
{
    if (digit >= '0' && digit <= '9') {
        *value = (uint8_t)(digit - '0');
        return true;
    }
    *value = (uint8_t)(digit - 'a' + 10);
    return digit >= 'a' && digit <= 'f';
}

static bool hex_read(const uint8_t *in, uint8_t out[WEIR_LOAD_HEAD_BYTES])
{
    for (size_t i = 0; i < WEIR_LOAD_HEAD_BYTES; i++) {
        uint8_t high;
        uint8_t low;
        if (!hex_value(in[2 * i], &high) || !hex_value(in[2 * i + 1], &low)) {
            return false;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool weir_load_head_read(weir_bytes payload, bool json, weir_load_head *head)
{
    if (payload.len < (json ? 2 * (size_t)WEIR_LOAD_HEAD_BYTES : (size_t)WEIR_LOAD_HEAD_BYTES)) {
        return false;
    }
    if (!json) {
        memcpy(head, payload.ptr, sizeof(*head));
        return true;
    }
    return hex_read(payload.ptr, (uint8_t *)head);
}

/* Takes one varint; false when it is cut. */
static inline bool take(const uint8_t **at, const uint8_t *end, int64_t *value)
{
    size_t used;
    if (weir_varint_decode((weir_bytes){*at, (size_t)(end - *at)}, value, &used) != WEIR_OK) {
        return false;
    }
    *at += used;
    return true;
}

/* Takes a length and so many bytes; -1 is null. */
static inline bool take_bytes(const uint8_t **at, const uint8_t *end, weir_bytes *out)
{
    int64_t len;
    if (!take(at, end, &len) || len < -1 || len > end - *at) {
        return false;
    }
    *out = len < 0 ? WEIR_BYTES_NULL : (weir_bytes){*at, (size_t)len};
    *at += len < 0 ? 0 : len;
    return true;
}

bool weir_load_batch_next(weir_bytes batch, size_t *at, weir_bytes *value, bool *broken)
{
    const uint8_t *from = batch.ptr + *at;
    const uint8_t *end = batch.ptr + batch.len;
    int64_t len;
    int64_t delta;
    weir_bytes key;
    *broken = false;
    if (from == end) {
        return false;
    }
    *broken = true;
    if (!take(&from, end, &len) || len < 1 || len > end - from) {
        return false;
    }
    end = from + len;
    from++; /* attributes */
    if (!take(&from, end, &delta) || !take(&from, end, &delta) || !take_bytes(&from, end, &key) ||
        !take_bytes(&from, end, value)) {
        return false;
    }
    *broken = false;
    *at = (size_t)(end - batch.ptr);
    return true;
}

bool weir_load_json_next(weir_bytes message, size_t *at, weir_bytes *value)
{
    static const char member[] = "\"value\":\"";
    const uint8_t *from = message.ptr + *at;
    const uint8_t *end = message.ptr + message.len;
    const uint8_t *quote;
    from = memmem(from, (size_t)(end - from), member, sizeof(member) - 1);
    if (from == NULL) {
        return false;
    }
    from += sizeof(member) - 1;
    quote = memchr(from, '"', (size_t)(end - from));
    if (quote == NULL) {
        return false;
    }
    *value = (weir_bytes){from, (size_t)(quote - from)};
    *at = (size_t)(quote - message.ptr);
    return true;
}

bool weir_load_json_number(weir_bytes message, const char *name, uint64_t *value)
{
    char member[32];
    const uint8_t *end = message.ptr + message.len;
    size_t len = strlen(name);
    const uint8_t *at;
    bool any = false;
    if (len + 3 >= sizeof(member)) {
        return false;
    }
    member[0] = '"';
    memcpy(member + 1, name, len);
    memcpy(member + 1 + len, "\":", 3);
    at = memmem(message.ptr, message.len, member, len + 3);
    if (at == NULL) {
        return false;
    }
    *value = 0;
    for (at += len + 3; at < end && *at >= '0' && *at <= '9'; at++) {
        *value = *value * 10 + (uint64_t)(*at - '0');
        any = true;
    }
    return any;
}

weir_err weir_load_unframe(weir_ws_reader *reader, uint8_t *in, size_t len, uint8_t *out,
                           size_t *out_len)
{
    size_t from = 0;
    size_t to = 0;
    while (from < len) {
        weir_ws_event event;
        size_t used = 0;
        weir_err err = weir_ws_read(reader, in + from, len - from, &used, &event);
        if (err == WEIR_MORE) {
            break;
        }
        if (err != WEIR_OK || event.opcode == WEIR_WS_CLOSE) {
            return err != WEIR_OK ? err : WEIR_CLOSED;
        }
        if (event.opcode == WEIR_WS_BINARY || event.opcode == WEIR_WS_TEXT) {
            memmove(out + to, event.bytes.ptr, event.bytes.len);
            to += event.bytes.len;
            if (event.last && event.opcode == WEIR_WS_TEXT) {
                out[to++] = '\n'; /* behind what was read: [W2] */
            }
        }
        from += used;
    }
    *out_len = to;
    return WEIR_OK;
}
