/* include/weir/record.h - records as they are read, and the counted chunk that holds them.
 *
 * A chunk is one Kafka RecordBatch v2 in memory, immutable and shared by reference count between
 * the engine's tail, every subscriber and every reader. Its records are decoded where they lie: the
 * spans of a weir_record point into the chunk and live as long as the caller keeps it.
 *
 * Any thread may read a chunk it keeps. keep and drop are atomic. */
#ifndef WEIR_RECORD_H
#define WEIR_RECORD_H

#include "weir/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weir_chunk weir_chunk;

typedef struct weir_header {
    weir_bytes name;  /* UTF-8 */
    weir_bytes value; /* may be null */
} weir_header;

/* Record attributes (DESIGN: Kafka's unused byte). Bits 0-1: 0 = not from MQTT, else QoS + 1. */
enum {
    WEIR_RECORD_QOS_MASK = 3,
    WEIR_RECORD_RETAIN = 4,
};

typedef struct weir_record {
    int64_t offset;
    int64_t timestamp_ms; /* ingress time, Unix milliseconds */
    weir_bytes key;       /* null: no key */
    weir_bytes value;     /* null: a tombstone */
    uint8_t attributes;
    uint32_t header_count;
    weir_bytes headers; /* encoded; read them with weir_headers_next */
} weir_record;

WEIR_API weir_chunk *weir_chunk_keep(weir_chunk *chunk); /* returns it */
WEIR_API void weir_chunk_drop(weir_chunk *chunk);        /* NULL is harmless */

/* The topic's name; empty (not null) for live records, whose key is their whole name. */
WEIR_API weir_bytes weir_chunk_topic(const weir_chunk *chunk);
WEIR_API uint32_t weir_chunk_partition(const weir_chunk *chunk);
WEIR_API int64_t weir_chunk_base_offset(const weir_chunk *chunk);
WEIR_API uint32_t weir_chunk_count(const weir_chunk *chunk); /* records in it, at least 1 */
WEIR_API bool weir_chunk_is_live(const weir_chunk *chunk);
/* The whole RecordBatch v2, head included, byte for byte as it is stored. */
WEIR_API weir_bytes weir_chunk_batch(const weir_chunk *chunk);
/* Decodes record `index` (below count; checked when the chunk was made, so it cannot fail). */
WEIR_API void weir_chunk_record(const weir_chunk *chunk, uint32_t index, weir_record *record);

/* Takes the next header off the front of *rest (begin with record.headers). False at the end. */
WEIR_API bool weir_headers_next(weir_bytes *rest, weir_header *header);
/* The first header of that name. False when there is none. */
WEIR_API bool weir_record_header(const weir_record *record, const char *name, weir_header *header);

/* The full (MQTT) name of a record: topic, or topic/key, or the key alone for live ones. Bytes of
 * the key that no MQTT name can hold (+ # NUL control characters, ill-formed UTF-8; an empty or
 * null result) are percent-encoded, and % with them; *encoded tells. Writes at most `size` bytes
 * and returns the length it needs (MQTT's own limit is 65,535). `out` may be NULL when size is 0.
 */
WEIR_API size_t weir_record_name(weir_bytes topic, weir_bytes key, uint8_t *out, size_t size,
                                 bool *encoded);

#ifdef __cplusplus
}
#endif

#endif
