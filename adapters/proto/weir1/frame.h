/* adapters/proto/weir1/frame.h - where a message ends on a stream, and the binary frames. Pure.
 *
 *   text    { ... } \n                                       one line
 *   frame   type u8 | length of the rest u32 | the rest      type is never '{', CR or LF
 *
 *   0x01 produce-batch   topic length u16, topic | partition u32 | request u64 | RecordBatch...
 *   0x02 fetch-batch     topic length u16, topic | partition u32 | request u64 | offset i64 |
 *                        max bytes u32 | wait ms u32
 *   0x03 lease-batch     member u64 | request u64 | max records u32 | max bytes u32 | wait ms u32
 *   0x04 settle-ranges   member u64 | request u64 | verb u8 | flags u8 | delay ms u64 | epoch u64 |
 *                        generation u64 | reason length u16, reason | range...
 *                range   topic length u16, topic | partition u32 | first i64 | last i64 | lease u64
 *   0x81 produced        request u64 | level u8 (0x80: duplicate) | partition u32 | offset i64 | time ms i64
 *   0x82 fetched         request u64 | status u8 (0) | start offset i64 | end offset i64 |
 *                        batches...
 *   0x83 leased          request u64 | epoch u64 | generation u64 | lease ms i64 | run...
 *                run     topic length u16, topic | partition u32 | first i64 | last i64 | lease u64 |
 *                        leased u32 | failed u32 | batch length u32, batch
 *   0x84 settled         request u64 | level u8 | settled u64 | refused u64 | lease ms i64
 *   0xff error           request u64 | code length u16, code | text length u16, text
 *
 * All big-endian. docs/weir.v1.md says what they mean. */
#ifndef WEIR_ADAPTERS_PROTO_WEIR1_FRAME_H
#define WEIR_ADAPTERS_PROTO_WEIR1_FRAME_H

#include "weir/group.h"

#include "core/base/buffer.h"

enum {
    WEIR_V1_FRAME_HEAD_BYTES = 5,
    WEIR_V1_FRAME_PRODUCE = 0x01,
    WEIR_V1_FRAME_FETCH = 0x02,
    WEIR_V1_FRAME_LEASE = 0x03,
    WEIR_V1_FRAME_SETTLE = 0x04,
    WEIR_V1_FRAME_PRODUCED = 0x81,
    WEIR_V1_FRAME_FETCHED = 0x82,
    WEIR_V1_FRAME_LEASED = 0x83,
    WEIR_V1_FRAME_SETTLED = 0x84,
    WEIR_V1_FRAME_ERROR = 0xff,
    WEIR_V1_FRAME_DUPLICATE = 0x80, /* in the level of produced */
    WEIR_V1_FRAME_FAILED = 1,       /* in the flags of settle: a release that counts as a failure */
    WEIR_V1_FRAME_QUIET = 2,        /* the same: answered only when something was refused */
};

/* Finds the next message at the front of a stream. Zeroed is the start. */
typedef struct weir_v1_splitter {
    size_t looked; /* bytes of the line at the front in which no newline was found */
} weir_v1_splitter;

/* *message: the line without its newline, or the whole frame; *used: bytes to take off the front,
 * blank lines before it included. MORE: it is not whole yet (*used: blank lines only). TOO_LARGE:
 * it is, or will be, longer than `max` bytes. The stream cannot be followed after TOO_LARGE. */
weir_err weir_v1_split(weir_v1_splitter *splitter, weir_bytes in, size_t max, weir_bytes *message,
                       size_t *used);

/* One decoded frame; only the fields of its type are set. Spans point into the input. */
typedef struct weir_v1_frame {
    uint8_t type;
    uint64_t request;
    weir_bytes topic;
    uint32_t partition;
    int64_t offset;       /* FETCH: to read at; PRODUCED: of the first record */
    uint32_t bytes_max;   /* FETCH, LEASE */
    uint32_t wait_ms;     /* FETCH, LEASE */
    weir_level level;     /* PRODUCED, SETTLED (DEFAULT: nothing was settled) */
    bool duplicate;       /* PRODUCED: it was stored before, at `offset`, and not again */
    int64_t time_ms;      /* PRODUCED */
    int64_t start_offset; /* FETCHED */
    int64_t end_offset;   /* FETCHED */
    weir_bytes batches;   /* PRODUCE, FETCHED */
    uint64_t member;      /* LEASE, SETTLE */
    uint32_t records_max; /* LEASE */
    uint8_t verb;         /* SETTLE: of weir_verb */
    uint8_t flags;        /* SETTLE */
    int64_t delay_ms;     /* SETTLE */
    weir_bytes reason;    /* SETTLE */
    uint64_t epoch;       /* SETTLE, LEASED: half of the leases' tokens */
    uint64_t generation;  /* SETTLE, LEASED: of a stream */
    int64_t lease_ms;     /* LEASED, SETTLED */
    weir_bytes ranges;    /* SETTLE: read them with weir_v1_frame_range_take */
    uint32_t range_count; /* SETTLE, decoded: all of them are whole */
    weir_bytes runs;      /* LEASED: weir_v1_frame_run_take */
    uint64_t settled;     /* SETTLED */
    uint64_t refused;     /* SETTLED */
    weir_bytes code;      /* ERROR */
    weir_bytes text;      /* ERROR */
} weir_v1_frame;

/* Decodes one whole frame. MORE: cut short. MALFORMED: its parts do not fit its length;
 * frame->request is set when it could be read, else 0. UNSUPPORTED: another type. */
weir_err weir_v1_frame_decode(weir_bytes in, weir_v1_frame *frame);
/* Appends the frame; topics, codes and texts longer than 65,535 bytes are INVALID. NO_MEMORY. */
weir_err weir_v1_frame_encode(const weir_v1_frame *frame, weir_buffer *out);

/* Records [first, last] of one batch, as they were handed over together. */
typedef struct weir_v1_frame_leased {
    weir_bytes topic;
    uint32_t partition;
    int64_t first;
    int64_t last;
    uint64_t lease; /* 0: there is nothing to settle them with */
    uint32_t leased;
    uint32_t failed;
    weir_bytes batch; /* as it is stored; empty: the one of the run before */
} weir_v1_frame_leased;

/* Takes the one at the front off. EMPTY: there is none left. MALFORMED: it is cut short. */
weir_err weir_v1_frame_range_take(weir_bytes *ranges, weir_settle_range *range);
weir_err weir_v1_frame_run_take(weir_bytes *runs, weir_v1_frame_leased *run);
/* Appends one. INVALID: a topic longer than 65,535 bytes. NO_MEMORY. */
weir_err weir_v1_frame_range_put(weir_buffer *out, const weir_settle_range *range);
weir_err weir_v1_frame_run_put(weir_buffer *out, const weir_v1_frame_leased *run);

/* For a FETCHED or LEASED frame whose batches are appended one by one: begin writes it without any and
 * returns where it stands in `out`; end sets its length. */
weir_err weir_v1_frame_begin(const weir_v1_frame *frame, weir_buffer *out, size_t *position);
void weir_v1_frame_end(weir_buffer *out, size_t position);

#endif
