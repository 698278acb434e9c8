/* adapters/nng/body.c - alone responsible for the bytes of a PULL, PUB or PUSH message; the drawing
 * is in body.h.
 *
 * Happy path: open walks the body once and finds nothing wrong; next then cannot fail.
 * Failures: MALFORMED from open, whatever the peer sent.
 *
 * [B1] After open, `left` records lie whole in `rest`. */
#include "adapters/nng/body.h"

#include "core/base/assert.h"
#include "weir/record.h"

#include <string.h>

static uint32_t u32_read(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void u32_write(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)(value >> 24);
    bytes[1] = (uint8_t)(value >> 16);
    bytes[2] = (uint8_t)(value >> 8);
    bytes[3] = (uint8_t)value;
}

static bool record_split(weir_bytes record, weir_bytes *name, weir_bytes *payload)
{
    const uint8_t *nul = record.len > 0 ? memchr(record.ptr, 0, record.len) : NULL;
    if (nul == NULL || nul == record.ptr) {
        return false;
    }
    *name = (weir_bytes){record.ptr, (size_t)(nul - record.ptr)};
    *payload = (weir_bytes){nul + 1, record.len - name->len - 1};
    return true;
}

/* Takes one record of a batch off the front of *rest. */
static bool batch_take(weir_bytes *rest, weir_bytes *name, weir_bytes *payload)
{
    weir_bytes record = {NULL, 0};
    if (rest->len < WEIR_NNG_BATCH_RECORD_BYTES) {
        return false;
    }
    record.ptr = rest->ptr + WEIR_NNG_BATCH_RECORD_BYTES;
    record.len = u32_read(rest->ptr);
#ifndef WEIR_PLANT_NNG /* the bug that the fuzz harness has to find */
    if (record.len > rest->len - WEIR_NNG_BATCH_RECORD_BYTES) {
        return false;
    }
#endif
    if (!record_split(record, name, payload)) {
        return false;
    }
    rest->ptr = record.ptr + record.len;
    rest->len -= WEIR_NNG_BATCH_RECORD_BYTES + record.len;
    return true;
}

static weir_err batch_open(weir_bytes bytes, weir_nng_body *body)
{
    weir_nng_body found = {.batch = true};
    weir_bytes walk = {NULL, 0};
    weir_bytes name;
    weir_bytes payload;
    if (bytes.len < WEIR_NNG_BATCH_HEAD_BYTES) {
        return WEIR_MALFORMED;
    }
    found.left = u32_read(bytes.ptr + 1);
    found.rest.ptr = bytes.ptr + WEIR_NNG_BATCH_HEAD_BYTES;
    found.rest.len = bytes.len - WEIR_NNG_BATCH_HEAD_BYTES;
    walk = found.rest;
    for (uint32_t i = 0; i < found.left; i++) {
        if (!batch_take(&walk, &name, &payload)) {
            return WEIR_MALFORMED; /* within as many records as fit: the count needs no limit */
        }
    }
    if (found.left == 0 || walk.len != 0) {
        return WEIR_MALFORMED;
    }
    *body = found;
    return WEIR_OK;
}

weir_err weir_nng_body_open(weir_bytes bytes, weir_nng_body *body)
{
    weir_bytes name;
    weir_bytes payload;
    if (bytes.len > 0 && bytes.ptr[0] == 0) {
        return batch_open(bytes, body);
    }
    if (!record_split(bytes, &name, &payload)) {
        return WEIR_MALFORMED;
    }
    *body = (weir_nng_body){.rest = bytes, .left = 1};
    return WEIR_OK;
}

bool weir_nng_body_next(weir_nng_body *body, weir_bytes *name, weir_bytes *payload)
{
    if (body->left == 0) {
        return false;
    }
    body->left--;
    WEIR_ASSERT(body->batch ? batch_take(&body->rest, name, payload)
                            : record_split(body->rest, name, payload)); /* [B1] */
    return true;
}

weir_err weir_nng_body_append(weir_buffer *out, weir_bytes topic, weir_bytes key, weir_bytes value)
{
    bool encoded = false;
    size_t name_len = weir_record_name(topic, key, NULL, 0, &encoded);
    uint8_t *at = NULL;
    if (weir_buffer_reserve(out, name_len + 1 + value.len) != WEIR_OK) {
        return WEIR_NO_MEMORY;
    }
    at = out->ptr + out->len;
    (void)weir_record_name(topic, key, at, name_len, &encoded);
    at[name_len] = 0;
    if (value.len > 0) {
        memcpy(at + name_len + 1, value.ptr, value.len);
    }
    out->len += name_len + 1 + value.len;
    return WEIR_OK;
}

weir_err weir_nng_batch_append(weir_buffer *out, weir_bytes topic, weir_bytes key, weir_bytes value)
{
    static const uint8_t room[WEIR_NNG_BATCH_HEAD_BYTES] = {0};
    size_t before = out->len;
    size_t head = 0;
    if (before == 0 && weir_buffer_append(out, room, sizeof(room)) != WEIR_OK) {
        return WEIR_NO_MEMORY;
    }
    head = out->len;
    if (weir_buffer_append(out, room, WEIR_NNG_BATCH_RECORD_BYTES) != WEIR_OK ||
        weir_nng_body_append(out, topic, key, value) != WEIR_OK) {
        out->len = before;
        return WEIR_NO_MEMORY;
    }
    u32_write(out->ptr + head, (uint32_t)(out->len - head - WEIR_NNG_BATCH_RECORD_BYTES));
    u32_write(out->ptr + 1, u32_read(out->ptr + 1) + 1);
    return WEIR_OK;
}
