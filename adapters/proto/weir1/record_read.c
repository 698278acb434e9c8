/* adapters/proto/weir1/record_read.c - one record from JSON: the fields of a publish, or of what a
 * gateway delivered.
 *
 *     value  one of "value" (a string, or null: a tombstone), "json" (anything), "base64"
 *     key    one of "key" (a string or null), "key_base64"
 *     headers  {"name": value, ...} or [["name", value], ...]; a value is a string, null or
 *              {"base64": ".."}
 *
 * [D1] Spans in the result point into the document or the arena, never into memory that moves. */
#include "adapters/proto/weir1/record_json.h"

#include <stdlib.h>
#include <string.h>

/* ---- Arena ------------------------------------------------------------------------------------
 */

enum { BLOCK_BYTES = 4096 };

typedef struct weir_v1_block {
    struct weir_v1_block *older;
    size_t size;
    uint8_t bytes[];
} weir_v1_block;

static void arena_drop_older(weir_v1_block *block)
{
    while (block != NULL) {
        weir_v1_block *older = block->older;
        free(block);
        block = older;
    }
}

/* Keeps the newest block when it is of the usual size, so that most records allocate nothing. */
static void arena_reset(weir_v1_arena *arena)
{
    weir_v1_block *newest = arena->blocks;
    if (newest != NULL && newest->size == BLOCK_BYTES) {
        arena_drop_older(newest->older);
        newest->older = NULL;
    } else {
        arena_drop_older(newest);
        arena->blocks = NULL;
    }
    arena->used = 0;
}

static uint8_t *arena_take(weir_v1_arena *arena, size_t len)
{
    weir_v1_block *newest = arena->blocks;
    if (newest == NULL || newest->size - arena->used < len) {
        size_t size = len > BLOCK_BYTES ? len : BLOCK_BYTES;
        weir_v1_block *block = malloc(sizeof(*block) + size);
        if (block == NULL) {
            return NULL;
        }
        *block = (weir_v1_block){.older = newest, .size = size};
        arena->blocks = block;
        arena->used = 0;
        newest = block;
    }
    uint8_t *at = newest->bytes + arena->used;
    arena->used += len;
    return at;
}

void weir_v1_fields_fini(weir_v1_fields *fields)
{
    arena_drop_older(fields->arena.blocks);
    free(fields->headers);
    *fields = (weir_v1_fields){0};
}

/* ---- Values -----------------------------------------------------------------------------------
 */

static weir_err no_memory(weir_v1_reason *reason)
{
    return weir_v1_refuse(reason, WEIR_NO_MEMORY, NULL,
                          "The gateway is out of memory; try again later.");
}

static weir_err base64_member(const weir_v1_node *node, const char *field, weir_v1_arena *arena,
                              weir_bytes *out, weir_v1_reason *reason)
{
    weir_bytes text;
    if (!weir_v1_node_text(node, &text)) {
        return weir_v1_refuse(reason, WEIR_INVALID, field, "Give %s as a string of base64.", field);
    }
    uint8_t *bytes = arena_take(arena, text.len / 4 * 3 + 1);
    if (bytes == NULL) {
        return no_memory(reason);
    }
    size_t len = 0;
    if (weir_v1_base64_decode(text, bytes, &len) != WEIR_OK) {
        return weir_v1_refuse(reason, WEIR_INVALID, field,
                              "Encode %s as RFC 4648 base64 with padding.", field);
    }
    *out = (weir_bytes){bytes, len};
    return WEIR_OK;
}

static weir_err json_member(const weir_v1_node *node, weir_v1_arena *arena, weir_bytes *out,
                            weir_v1_reason *reason)
{
    weir_buffer text = {0};
    weir_v1_writer writer = {&text, false};
    weir_v1_write_node(&writer, node);
    uint8_t *bytes = writer.failed ? NULL : arena_take(arena, text.len);
    if (bytes != NULL) {
        memcpy(bytes, text.ptr, text.len);
        *out = (weir_bytes){bytes, text.len};
    }
    weir_buffer_fini(&text);
    return bytes == NULL ? no_memory(reason) : WEIR_OK;
}

static weir_err value_decode(const weir_v1_node *record, weir_v1_fields *fields,
                             weir_v1_reason *reason)
{
    const weir_v1_node *value = weir_v1_node_member(record, "value");
    const weir_v1_node *json = weir_v1_node_member(record, "json");
    const weir_v1_node *base64 = weir_v1_node_member(record, "base64");
    if ((value != NULL) + (json != NULL) + (base64 != NULL) != 1) {
        return weir_v1_refuse(
            reason, WEIR_INVALID, "value",
            "Give exactly one of value (text, or null for a tombstone), json and base64.");
    }
    if (json != NULL) {
        return json_member(json, &fields->arena, &fields->value, reason);
    }
    if (base64 != NULL) {
        return base64_member(base64, "base64", &fields->arena, &fields->value, reason);
    }
    if (!weir_v1_node_text(value, &fields->value) && weir_v1_node_kind_of(value) != WEIR_V1_NULL) {
        return weir_v1_refuse(reason, WEIR_INVALID, "value",
                              "Give value as a string or null; anything else goes in json.");
    }
    return WEIR_OK;
}

static weir_err key_decode(const weir_v1_node *record, weir_v1_fields *fields,
                           weir_v1_reason *reason)
{
    const weir_v1_node *key = weir_v1_node_member(record, "key");
    const weir_v1_node *base64 = weir_v1_node_member(record, "key_base64");
    if (key != NULL && base64 != NULL) {
        return weir_v1_refuse(reason, WEIR_INVALID, "key_base64",
                              "Give key or key_base64, not both.");
    }
    if (base64 != NULL) {
        return base64_member(base64, "key_base64", &fields->arena, &fields->key, reason);
    }
    weir_v1_node_kind kind = weir_v1_node_kind_of(key);
    if (kind != WEIR_V1_ABSENT && kind != WEIR_V1_NULL && !weir_v1_node_text(key, &fields->key)) {
        return weir_v1_refuse(reason, WEIR_INVALID, "key",
                              "Give key as a string or null; other bytes go in key_base64.");
    }
    return WEIR_OK;
}

/* ---- Headers ----------------------------------------------------------------------------------
 */

static weir_err header_add(weir_v1_fields *fields, uint64_t headers_max, weir_bytes name,
                           weir_bytes value, weir_v1_reason *reason)
{
    if (fields->header_count >= headers_max) {
        return weir_v1_refuse(reason, WEIR_LIMIT, "headers",
                              "Send at most %llu headers with a record (limit headers_max).",
                              (unsigned long long)headers_max);
    }
    if (fields->header_count == fields->header_capacity) {
        uint32_t capacity = fields->header_capacity == 0 ? 8 : fields->header_capacity * 2;
        weir_header *headers = realloc(fields->headers, capacity * sizeof(*headers));
        if (headers == NULL) {
            return no_memory(reason);
        }
        fields->headers = headers;
        fields->header_capacity = capacity;
    }
    fields->headers[fields->header_count++] = (weir_header){name, value};
    return WEIR_OK;
}

static weir_err envelope_text(const weir_v1_node *record, const char *field, const char *header,
                              uint64_t headers_max, weir_v1_fields *fields, weir_v1_reason *reason)
{
    const weir_v1_node *node = weir_v1_node_member(record, field);
    weir_bytes text;
    if (node == NULL) {
        return WEIR_OK;
    }
    if (!weir_v1_node_text(node, &text)) {
        return weir_v1_refuse(reason, WEIR_INVALID, field, "Give %s as a string.", field);
    }
    return header_add(fields, headers_max, weir_bytes_of(header), text, reason);
}

static weir_err envelope_expiry(const weir_v1_node *record, uint64_t headers_max,
                                weir_v1_fields *fields, weir_v1_reason *reason)
{
    const weir_v1_node *node = weir_v1_node_member(record, "expiry");
    int64_t seconds = 0;
    if (node == NULL) {
        return WEIR_OK;
    }
    if (!weir_v1_node_integer(node, &seconds) || seconds < 0 || seconds > UINT32_MAX) {
        return weir_v1_refuse(reason, WEIR_INVALID, "expiry",
                              "Give expiry as whole seconds, 0 to 4294967295.");
    }
    weir_buffer digits = {0};
    weir_v1_writer writer = {&digits, false};
    weir_v1_write_integer(&writer, seconds);
    uint8_t *bytes = writer.failed ? NULL : arena_take(&fields->arena, digits.len);
    weir_bytes text = {bytes, digits.len};
    if (bytes != NULL) {
        memcpy(bytes, digits.ptr, digits.len);
    }
    weir_buffer_fini(&digits);
    return bytes == NULL ? no_memory(reason)
                         : header_add(fields, headers_max, weir_bytes_of("expiry"), text, reason);
}

static weir_err envelope_decode(const weir_v1_node *record, uint64_t headers_max,
                                weir_v1_fields *fields, weir_v1_reason *reason)
{
    static const char *const texts[][2] = {{"content_type", "content-type"},
                                           {"reply", "reply"},
                                           {"correlation", "correlation"},
                                           {"traceparent", "traceparent"}};
    weir_err err = envelope_expiry(record, headers_max, fields, reason);
    for (size_t i = 0; err == WEIR_OK && i < sizeof(texts) / sizeof(texts[0]); i++) {
        err = envelope_text(record, texts[i][0], texts[i][1], headers_max, fields, reason);
    }
    return err;
}

static weir_err header_decode(weir_bytes name, const weir_v1_node *node, uint64_t headers_max,
                              bool strict, weir_v1_fields *fields, weir_v1_reason *reason)
{
    weir_bytes value = WEIR_BYTES_NULL;
    const weir_v1_node *base64 = weir_v1_node_member(node, "base64");
    if (strict && name.len >= 5 && memcmp(name.ptr, "weir-", 5) == 0) {
        return weir_v1_refuse(reason, WEIR_INVALID, "headers",
                              "Choose another header name: those that begin with weir- are the "
                              "gateway's.");
    }
    if (base64 != NULL) {
        weir_err err = base64_member(base64, "base64", &fields->arena, &value, reason);
        if (err != WEIR_OK) {
            reason->field = "headers";
            return err;
        }
    } else if (!weir_v1_node_text(node, &value) && weir_v1_node_kind_of(node) != WEIR_V1_NULL) {
        return weir_v1_refuse(reason, WEIR_INVALID, "headers",
                              "Give a header's value as a string, null or {\"base64\":\"..\"}.");
    }
    return header_add(fields, headers_max, name, value, reason);
}

static weir_err header_object(const weir_v1_node *headers, uint64_t headers_max, bool strict,
                              weir_v1_fields *fields, weir_v1_reason *reason)
{
    void *position = NULL;
    weir_bytes name;
    weir_v1_node *value = NULL;
    while (weir_v1_node_next(headers, &position, &name, &value)) {
        weir_err err = header_decode(name, value, headers_max, strict, fields, reason);
        if (err != WEIR_OK) {
            return err;
        }
    }
    return WEIR_OK;
}

static weir_err header_list(const weir_v1_node *headers, uint64_t headers_max, bool strict,
                            weir_v1_fields *fields, weir_v1_reason *reason)
{
    for (size_t i = 0; i < weir_v1_node_count(headers); i++) {
        const weir_v1_node *pair = weir_v1_node_at(headers, i);
        weir_bytes name;
        if (weir_v1_node_kind_of(pair) != WEIR_V1_ARRAY || weir_v1_node_count(pair) != 2 ||
            !weir_v1_node_text(weir_v1_node_at(pair, 0), &name)) {
            return weir_v1_refuse(reason, WEIR_INVALID, "headers",
                                  "Give headers as pairs: [[\"name\",\"value\"], ...].");
        }
        weir_err err =
            header_decode(name, weir_v1_node_at(pair, 1), headers_max, strict, fields, reason);
        if (err != WEIR_OK) {
            return err;
        }
    }
    return WEIR_OK;
}

static weir_err headers_decode(const weir_v1_node *record, uint64_t headers_max, bool strict,
                               weir_v1_fields *fields, weir_v1_reason *reason)
{
    const weir_v1_node *headers = weir_v1_node_member(record, "headers");
    switch (weir_v1_node_kind_of(headers)) {
    case WEIR_V1_ABSENT:
    case WEIR_V1_NULL:
        return WEIR_OK;
    case WEIR_V1_OBJECT:
        return header_object(headers, headers_max, strict, fields, reason);
    case WEIR_V1_ARRAY:
        return header_list(headers, headers_max, strict, fields, reason);
    default:
        return weir_v1_refuse(reason, WEIR_INVALID, "headers",
                              "Give headers as {\"name\":\"value\"} or as a list of pairs.");
    }
}

static weir_err text_member(const weir_v1_node *record, const char *field, weir_bytes *out,
                            weir_v1_reason *reason)
{
    const weir_v1_node *node = weir_v1_node_member(record, field);
    if (node != NULL && !weir_v1_node_text(node, out)) {
        return weir_v1_refuse(reason, WEIR_INVALID, field, "Give %s as a string.", field);
    }
    return WEIR_OK;
}

/* producer and publishing_id: both, or neither. */
static weir_err once_decode(const weir_v1_node *record, weir_v1_fields *fields,
                            weir_v1_reason *reason)
{
    const weir_v1_node *node = weir_v1_node_member(record, "publishing_id");
    int64_t id = 0;
    weir_err err = text_member(record, "producer", &fields->producer, reason);
    if (err != WEIR_OK || node == NULL) {
        return err;
    }
    if (!weir_v1_node_integer(node, &id) || id < 0) {
        return weir_v1_refuse(reason, WEIR_INVALID, "publishing_id",
                              "Give publishing_id as a whole number from 0 on.");
    }
    fields->has_publishing_id = true;
    fields->publishing_id = (uint64_t)id;
    return WEIR_OK;
}

weir_err weir_v1_fields_decode(const weir_v1_node *record, uint64_t headers_max, bool strict,
                               weir_v1_fields *fields, weir_v1_reason *reason)
{
    arena_reset(&fields->arena);
    fields->name = fields->topic = fields->key = fields->value = WEIR_BYTES_NULL;
    fields->header_count = 0;
    fields->retain = false;
    fields->producer = WEIR_BYTES_NULL;
    fields->has_publishing_id = false;
    if (weir_v1_node_kind_of(record) != WEIR_V1_OBJECT) {
        return weir_v1_refuse(reason, WEIR_INVALID, "records", "Give each record as an object.");
    }
    const weir_v1_node *retain = weir_v1_node_member(record, "retain");
    if (retain != NULL && !weir_v1_node_boolean(retain, &fields->retain)) {
        return weir_v1_refuse(reason, WEIR_INVALID, "retain", "Give retain as true or false.");
    }
    weir_err err = text_member(record, "name", &fields->name, reason);
    err = err != WEIR_OK ? err : text_member(record, "topic", &fields->topic, reason);
    err = err != WEIR_OK ? err : key_decode(record, fields, reason);
    err = err != WEIR_OK ? err : value_decode(record, fields, reason);
    err = err != WEIR_OK ? err : once_decode(record, fields, reason);
    err = err != WEIR_OK ? err : envelope_decode(record, headers_max, fields, reason);
    return err != WEIR_OK ? err : headers_decode(record, headers_max, strict, fields, reason);
}
