/* core/log/heads.h - the bytes of a ".heads" file, and the table of batches in memory that is made
 * from it. Pure but for the table's memory. Only for the files of core/log. */
#ifndef WEIR_CORE_LOG_HEADS_H
#define WEIR_CORE_LOG_HEADS_H

#include "weir/base.h"

enum {
    WEIR_HEADS_FILE_HEAD_BYTES = 64,
    WEIR_HEADS_ENTRY_BYTES = 40,
    WEIR_HEADS_VERSION = 1,
    WEIR_HEADS_READER_MIN = 1, /* the least version that can read what this one writes */
};

typedef struct weir_heads_entry {
    uint64_t position; /* of the batch in the .log */
    uint32_t batch_bytes;
    uint32_t head_crc; /* of its 61 bytes */
    int64_t base_offset;
    int64_t max_timestamp_ms;
    uint32_t offsets; /* from its first to its last: as many as its records, until compacted */
} weir_heads_entry;

void weir_heads_file_head_encode(int64_t base_offset, uint8_t out[WEIR_HEADS_FILE_HEAD_BYTES]);
/* DAMAGED: magic or CRC; VERSION: made for a newer reader. `in` has WEIR_HEADS_FILE_HEAD_BYTES. */
weir_err weir_heads_file_head_decode(const uint8_t *in, int64_t *base_offset);
void weir_heads_entry_encode(const weir_heads_entry *entry, uint8_t out[WEIR_HEADS_ENTRY_BYTES]);
weir_err weir_heads_entry_decode(const uint8_t *in, weir_heads_entry *entry); /* DAMAGED */

/* Where a batch, or a stretch that cannot be served, begins. It ends where the next one begins. */
typedef struct weir_heads_place {
    uint64_t position;
    int64_t base_offset;
    int64_t time_max; /* the latest of this and all before: it never falls, so it can be searched */
    uint32_t head_crc;
    bool bad;
} weir_heads_place;

typedef struct weir_heads {
    weir_heads_place *places;
    size_t count;
    size_t capacity;
} weir_heads;

void weir_heads_fini(weir_heads *heads);
weir_err weir_heads_reserve(weir_heads *heads, size_t more); /* NO_MEMORY: unchanged */
/* Room must be reserved. `max_timestamp_ms` is the batch's own; a bad stretch has INT64_MIN. */
void weir_heads_push(weir_heads *heads, const weir_heads_place *place, int64_t max_timestamp_ms);
/* The place that holds `offset`, or the first; 0 when there is none at all. */
size_t weir_heads_find_offset(const weir_heads *heads, int64_t offset);
/* The first place with a time >= time_ms; count when none. */
size_t weir_heads_find_time(const weir_heads *heads, int64_t time_ms);

#endif
