/* adapters/loopback/adapter.h - the smallest front end: peers in this process, messages instead of
 * bytes.
 *
 * An example of what every adapter does, and a front end for tests that want no sockets. A peer
 * sends one command a message and receives answers and records, in order:
 *
 *     PUB NAME VALUE    ->  OK LEVEL | ERR NAME SENTENCE
 *     SUB FILTER        ->  OK       | ERR NAME SENTENCE
 *     anything else     ->  ERR malformed SENTENCE, and the end
 *                           MSG NAME VALUE        a record of a filter subscribed to
 *                           DROPPED COUNT         the peer was too slow for that many
 *                           BYE                   the gateway drains: nothing follows
 */
#ifndef WEIR_ADAPTERS_LOOPBACK_ADAPTER_H
#define WEIR_ADAPTERS_LOOPBACK_ADAPTER_H

#include "core/base/buffer.h"
#include "weir/adapter.h"

enum {
    WEIR_LOOPBACK_MESSAGE_MAX = 65536, /* bytes of a command */
    WEIR_LOOPBACK_COMMANDS_MAX = 64,   /* that wait at one end */
    WEIR_LOOPBACK_RECORDS_MAX = 64,    /* that wait for one peer */
};

/* Needs host->loops. Setting: connections_max. Announces "loopback loopback:NUMBER". */
const weir_adapter_ops *weir_loopback_adapter(void);

typedef struct weir_loopback weir_loopback; /* a peer's end; one thread at a time */

/* NOT_FOUND: nobody serves that address. LIMIT: connections_max. CLOSED: it drains. NO_MEMORY. */
weir_err weir_loopback_connect(const char *address, weir_loopback **end);
/* Copies a command. AGAIN: WEIR_LOOPBACK_COMMANDS_MAX wait. CLOSED, TOO_LARGE, NO_MEMORY. */
weir_err weir_loopback_send(weir_loopback *end, weir_bytes command);
/* The next answer or record, in place of what *message held. TIMEOUT; CLOSED: nothing follows. */
weir_err weir_loopback_receive(weir_loopback *end, int timeout_ms, weir_buffer *message);
void weir_loopback_close(weir_loopback *end); /* NULL is harmless */

#endif
