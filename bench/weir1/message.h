/* bench/weir1/message.h - records as bytes: made from one template, found again in what comes. Pure.
 *
 *   payload, in a batch:  | publisher u32 | run u32 | sequence u64 | intended time u64 | filler |
 *   payload, in JSON:     the same 24 bytes as 48 hexadecimal digits, then filler
 *
 * A message is one copy of the template with sequences and times written into it. */
#ifndef WEIR_BENCH_WEIR1_MESSAGE_H
#define WEIR_BENCH_WEIR1_MESSAGE_H

#include "adapters/proto/websocket/frame.h"

typedef struct weir_load_head {
    uint32_t publisher;
    uint32_t run;
    uint64_t sequence;
    uint64_t intended_ns;
} weir_load_head;

enum { WEIR_LOAD_HEAD_BYTES = 24 };

/* One message of `count` records. */
typedef struct weir_load_template {
    bool json;
    uint8_t *bytes;
    size_t len;
    uint32_t count;
    uint32_t *payload_at; /* of each record, in bytes */
    size_t request_at;    /* JSON: WEIR_LOAD_ID_DIGITS digits; else 8 bytes */
    size_t batch_at;      /* not JSON: where the batch begins */
    weir_load_head head;  /* publisher and run; the others are written into each copy */
} weir_load_template;

enum { WEIR_LOAD_ID_DIGITS = 13 };
/* Identifiers in JSON have always so many digits: they count from here. */
#define WEIR_LOAD_ID_FIRST UINT64_C(1000000000000)

/* NO_MEMORY, INVALID: a payload too small for its head, or no such count. The caller finis it. */
weir_err weir_load_template_init(weir_load_template *load, bool json, const char *topic,
                                 uint32_t payload_bytes, uint32_t count, weir_load_head head);
void weir_load_template_fini(weir_load_template *load);
/* Writes load->len bytes: record i has sequence + i and is meant for intended_ns + i * step_ns. */
void weir_load_write(const weir_load_template *load, uint64_t request, uint64_t sequence,
                     uint64_t intended_ns, uint64_t step_ns, uint8_t *out);

/* The head of a payload as it came. False: too short, or no hexadecimal digits. */
bool weir_load_head_read(weir_bytes payload, bool json, weir_load_head *head);

/* The next record of a stored batch: *at moves behind it, from WEIR_BATCH_HEAD_BYTES on. Its value
 * may be null. False: the end, or a record that does not fit (*broken). */
bool weir_load_batch_next(weir_bytes batch, size_t *at, weir_bytes *value, bool *broken);
/* The next record's value in a message of records, as text without escapes; *at from 0 on. */
bool weir_load_json_next(weir_bytes message, size_t *at, weir_bytes *value);
/* Takes WebSocket's heads off what was read, cut anywhere; a text message gets a newline. `out` lies
 * one byte before `in` or further, as a message whose head came before needs its newline's room.
 * *out_len: bytes written. CLOSED: the peer said so. Else weir_ws_read's errors. */
weir_err weir_load_unframe(weir_ws_reader *reader, uint8_t *in, size_t len, uint8_t *out,
                           size_t *out_len);
/* The number behind the first "name": of a message. False: there is none. */
bool weir_load_json_number(weir_bytes message, const char *name, uint64_t *value);

#endif
