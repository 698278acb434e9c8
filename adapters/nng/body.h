/* adapters/nng/body.h - the body of PULL, PUB and PUSH messages. Pure.
 *
 *   one record   name | NUL | payload                        what plain nngcat sends and shows
 *   a batch      NUL | count u32 | count x ( length u32 | name | NUL | payload )
 *
 * Integers are big-endian. The two forms cannot be taken for each other: no name is empty, so no
 * single record begins with NUL. The payload is all that follows the first NUL; it may hold others.
 * docs/nng.md is the specification. */
#ifndef WEIR_ADAPTERS_NNG_BODY_H
#define WEIR_ADAPTERS_NNG_BODY_H

#include "core/base/buffer.h"

enum {
    WEIR_NNG_BATCH_HEAD_BYTES = 5,
    WEIR_NNG_BATCH_RECORD_BYTES = 4, /* before each record of a batch */
};

typedef struct weir_nng_body {
    weir_bytes rest; /* what was not read yet */
    uint32_t left;   /* records in it */
    bool batch;
} weir_nng_body;

/* Checks the whole body, so that a batch is taken whole or not at all. The spans that next gives
 * point into `bytes`. MALFORMED: no NUL, an empty name, lengths that do not fit, a count of 0. */
weir_err weir_nng_body_open(weir_bytes bytes, weir_nng_body *body);
/* The next record; an empty payload is empty, not null. False at the end. */
bool weir_nng_body_next(weir_nng_body *body, weir_bytes *name, weir_bytes *payload);

/* Appends one record as it stands alone. NO_MEMORY: *out is unchanged. */
weir_err weir_nng_body_append(weir_buffer *out, weir_bytes topic, weir_bytes key, weir_bytes value);
/* Begins a batch in an empty buffer, and adds a record to it. NO_MEMORY: *out is unchanged. */
weir_err weir_nng_batch_append(weir_buffer *out, weir_bytes topic, weir_bytes key,
                               weir_bytes value);

#endif
