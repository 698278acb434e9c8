/* core/engine/fate_lines.h - lines of records' stories, as `__fates` has them: written and read.
 *
 * The value of one record of `__fates` is a version and then items: parts (a group's partition of a
 * topic) and members are named once, when the first line needs them, and known by a number from
 * then on; a line tells what happened to a range of offsets. docs/formats/fates.md draws the bytes.
 *
 * Pure: no engine, clock or file. A reader trusts nothing. */
#ifndef WEIR_CORE_ENGINE_FATE_LINES_H
#define WEIR_CORE_ENGINE_FATE_LINES_H

#include "weir/group.h"

#include "core/base/buffer.h"

enum {
    WEIR_FATE_LINES_VERSION = 1,
    WEIR_FATE_LINE_BYTES_MAX = 64, /* of one line without its reason */
    WEIR_FATE_REASON_BYTES_MAX =
        WEIR_FIXED_story_reason_bytes, /* what is kept of a reason; it is cut there */
    WEIR_FATE_LETTER_BYTES_MAX = 24,   /* more of one that names a dead letter, beside its topic */
    WEIR_FATE_NAMED_BYTES_MAX = 32,    /* of a part or a member, beside its words */
    WEIR_FATE_NUMBERS_MAX = 1 << 20,   /* parts, and members, of one record */
};

/* X(NAME, code, word). What happened. Codes stand in `__fates`: never change or reuse one. */
#define WEIR_FATE_EVENT_LIST(X)                                                                    \
    X(LEASED, 1, "leased")                                                                         \
    X(DELAYED, 2, "delayed")                                                                       \
    X(ACCEPTED, 3, "accepted")                                                                     \
    X(RELEASED, 4, "released")                                                                     \
    X(FAILED, 5, "failed")                                                                         \
    X(LEASE_EXPIRED, 6, "lease-expired")                                                           \
    X(CONNECTION_LOST, 7, "connection-lost")                                                       \
    X(RETURNED, 8, "returned")                                                                     \
    X(REJECTED, 9, "rejected")                                                                     \
    X(DEAD_LETTERED, 10, "dead-lettered")                                                          \
    X(EXPIRED, 11, "expired")                                                                      \
    X(SUPERSEDED, 12, "superseded")                                                                \
    X(DAMAGED, 13, "damaged")                                                                      \
    X(DROPPED, 14, "dropped")                                                                      \
    X(SKIPPED, 15, "skipped")                                                                      \
    X(TOPIC_DELETED, 16, "topic-deleted")                                                          \
    X(RESET, 17, "reset")

typedef enum weir_fate_event {
#define WEIR_FATE_EVENT_ENUM(name, code, word) WEIR_TOLD_##name = code,
    WEIR_FATE_EVENT_LIST(WEIR_FATE_EVENT_ENUM)
#undef WEIR_FATE_EVENT_ENUM
        WEIR_FATE_EVENTS
} weir_fate_event;
const char *weir_fate_event_name(weir_fate_event event);

/* What a line is about. Spans are borrowed. */
typedef struct weir_fate_part {
    uint32_t group_id;
    uint32_t topic_id;
    uint32_t partition;
    weir_bytes group;
    weir_bytes topic;
} weir_fate_part;

/* Where a dead letter stands; topic null: there is none. */
typedef struct weir_letter {
    weir_bytes topic;
    uint32_t partition;
    int64_t offset;
} weir_letter;

typedef struct weir_fate_told {
    uint32_t part;   /* its number: the first one that was named has 0 */
    uint32_t member; /* the same; UINT32_MAX: nobody */
    weir_fate_event event;
    weir_fate fate; /* PENDING: no end */
    int64_t first, last;
    int64_t time_ms;
    uint32_t leased, failed;
    weir_bytes reason;  /* null: none */
    weir_letter letter; /* that it became */
} weir_fate_told;

/* ---- Writing ------------------------------------------------------------------------------------
 */

/* What a record that is being written has so far; zeroed: it is empty. */
typedef struct weir_fate_writer {
    uint32_t parts;
    uint32_t members;
    uint32_t part; /* of the line before */
    int64_t time_ms;
} weir_fate_writer;

/* Each needs so many bytes of room behind out->len and cannot fail then: VERSION byte of an empty record
 * included. Returns the number it got. */
uint32_t weir_fate_part_write(weir_fate_writer *writer, const weir_fate_part *part,
                              weir_buffer *out);
uint32_t weir_fate_member_write(weir_fate_writer *writer, weir_bytes name, weir_bytes origin,
                                weir_buffer *out);
/* `next`: of the part; behind the last line's last offset, 0 before the first one. */
void weir_fate_line_write(weir_fate_writer *writer, const weir_fate_told *line, int64_t *next,
                          weir_buffer *out);

/* ---- Reading ------------------------------------------------------------------------------------
 */

typedef struct weir_fate_reader {
    weir_bytes rest;
    bool begun;
    weir_fate_writer so_far;
    int64_t *next;         /* of each part; the reader's, kept for further records */
    weir_fate_part *named; /* as next */
    uint32_t part_capacity;
    struct weir_fate_who {
        weir_bytes name, origin;
    } * members;
    uint32_t member_capacity;
} weir_fate_reader;

/* `value` is borrowed until the next begin. A zeroed reader is good; fini frees what it keeps. */
void weir_fate_reader_begin(weir_fate_reader *reader, weir_bytes value);
void weir_fate_reader_fini(weir_fate_reader *reader);
/* The next line. EMPTY: no more. DAMAGED: what follows makes no sense. VERSION. NO_MEMORY. */
weir_err weir_fate_reader_next(weir_fate_reader *reader, weir_fate_told *line);

#endif
