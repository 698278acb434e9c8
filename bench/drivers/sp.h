/* bench/drivers/sp.h - the Scalability Protocols over a plain TCP socket: what nng clients can reach.
 *
 *   00 'S' 'P' 00 | protocol u16 | 0 u16      each way, then
 *   length u64 | body                         a message; integers are big-endian
 *
 * Blocking sockets; one thread each. */
#ifndef WEIR_BENCH_SP_H
#define WEIR_BENCH_SP_H

#include "bench/drivers/counterpart.h"

typedef enum weir_sp_protocol {
    WEIR_SP_PUB = 0x20,
    WEIR_SP_SUB = 0x21,
    WEIR_SP_REP = 0x31,
    WEIR_SP_PUSH = 0x50,
    WEIR_SP_PULL = 0x51,
} weir_sp_protocol;

/* A connection that has greeted; -1: failed. */
int weir_sp_connect(uint16_t port, weir_sp_protocol protocol);
/* Listens, tells the port in `shared`, and greets the first that comes; -1: failed. */
int weir_sp_serve_one(weir_counterpart *shared, weir_sp_protocol protocol);

/* Sends until `stopping`, with at most work->in_flight between `sent` and `had`, many messages in
 * one write. `name`: NULL, a message is a payload; else it is Weir's batch form under that name. */
void weir_sp_feed(weir_drive *own, weir_counterpart *shared, int fd, const char *name);
/* Counts what comes into own->account and `shared`, until the peer goes. The payload of a message
 * begins `skip` bytes in. */
void weir_sp_sink(weir_drive *own, weir_counterpart *shared, int fd, size_t skip);
/* Gives every message back as it came: REP, whose requests begin with their own number. */
void weir_sp_echo(int fd);

#endif
