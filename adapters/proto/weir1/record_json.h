/* adapters/proto/weir1/record_json.h - records as JSON, out of the log and into it.
 *
 *   {"topic":"t","name":"t/k","key":"k","partition":0,"offset":7,"time":1700000000000,
 *    "value":"text","content_type":"text/plain","headers":[["a","b"],["c",{"base64":"/w=="}]]}
 *
 * A value or key that is no text (UTF-8 without NUL) goes as "base64" or "key_base64". Five headers
 * have fields of their own: content_type, expiry, reply, correlation, traceparent; the first header
 * of such a name becomes the field when it is text, whatever does not fit stays in "headers". */
#ifndef WEIR_ADAPTERS_PROTO_WEIR1_RECORD_JSON_H
#define WEIR_ADAPTERS_PROTO_WEIR1_RECORD_JSON_H

#include "weir/record.h"

#include "adapters/proto/weir1/json.h"

/* Why a command was refused: what the peer is told. */
typedef struct weir_v1_reason {
    weir_err err;
    const char *code;  /* NULL: weir_err_name(err) */
    const char *field; /* the member at fault; NULL: none */
    char text[WEIR_V1_WHY_MAX];
} weir_v1_reason;

/* Fills the reason and returns err. `text` says what to do next. */
weir_err weir_v1_refuse(weir_v1_reason *reason, weir_err err, const char *field, const char *format,
                        ...) __attribute__((format(printf, 4, 5)));
/* Writes {"code":..,"field":..,"text":..}; the error's own sentence when the reason has no text. */
void weir_v1_write_reason(weir_v1_writer *writer, const weir_v1_reason *reason);

/* ---- Out --------------------------------------------------------------------------------------
 */

typedef struct weir_v1_place {
    weir_bytes topic; /* empty: a live record, whose key is its name */
    uint32_t partition;
    bool retained;  /* it comes from the retained values */
    uint64_t epoch; /* of a queue group: with `lease` its token */
    uint64_t lease; /* 0: it has none */
    uint32_t leased;
    uint32_t failed;
} weir_v1_place;

void weir_v1_write_record(weir_v1_writer *writer, const weir_v1_place *place,
                          const weir_record *record);
/* ,"key":".." or ,"key_base64":".."; nothing when it is null. */
void weir_v1_write_key(weir_v1_writer *writer, weir_bytes key);
/* ["name","text"], ["name",null] or ["name",{"base64":".."}]: one of a list of headers. */
void weir_v1_write_header(weir_v1_writer *writer, const weir_header *header);

/* ---- In ---------------------------------------------------------------------------------------
 */

/* Memory for what decoding makes (base64, compact JSON), reused from record to record; its blocks
 * do not move, so spans into it hold until reset. Zeroed is empty. */
typedef struct weir_v1_arena {
    struct weir_v1_block *blocks;
    size_t used; /* of the newest block */
} weir_v1_arena;

/* The decoded fields of one record. Spans point into the document or the arena. Zeroed before its
 * first use; fini gives its memory back. */
typedef struct weir_v1_fields {
    weir_bytes name;
    weir_bytes topic;
    weir_bytes key;   /* null: none */
    weir_bytes value; /* null: a tombstone */
    bool retain;
    weir_bytes producer; /* null: none */
    bool has_publishing_id;
    uint64_t publishing_id;
    weir_header *headers;
    uint32_t header_count;
    uint32_t header_capacity;
    weir_v1_arena arena;
} weir_v1_fields;

void weir_v1_fields_fini(weir_v1_fields *fields);
/* Replaces what was there. headers_max bounds headers and envelope fields together (LIMIT).
 * `strict` refuses headers whose names begin with "weir-", which are the gateway's. MALFORMED
 * never: what is wrong is INVALID with the field's name, or NO_MEMORY. */
weir_err weir_v1_fields_decode(const weir_v1_node *record, uint64_t headers_max, bool strict,
                               weir_v1_fields *fields, weir_v1_reason *reason);

#endif
