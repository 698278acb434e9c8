/* adapters/shared/client_ids.h - who holds which MQTT client id, across all loops and front ends.
 *
 * MQTT lets one connection hold a client id; a second CONNECT with it throws the first one out
 * [MQTT-3.1.4-3]. Holder and newcomer may live on different loops, and one may have come by TCP and
 * the other by WebSocket; this table is the one thing they share: sharded maps under mutexes, held
 * for a few instructions. Any thread. */
#ifndef WEIR_ADAPTERS_SHARED_CLIENT_IDS_H
#define WEIR_ADAPTERS_SHARED_CLIENT_IDS_H

#include "adapters/shared/loop.h"

typedef struct weir_client_ids weir_client_ids;

/* A connection as the table knows it; embedded in it. told() runs on its loop whenever something
 * was posted; `claimed`: the id it waited for is its own; `taken`: somebody else wants the id. Both
 * may be true. It must not be freed while weir_client_id_member_is_busy. */
typedef struct weir_client_id_member {
    weir_loop *loop;
    void (*told)(struct weir_client_id_member *member, bool claimed, bool taken);
    weir_client_ids *ids;
    weir_call call; /* from here on: under the lock of `shard` */
    uint16_t shard;
    uint8_t news;
    bool posted;
} weir_client_id_member;

/* The table of these loops, made by whoever asks first; NULL: no memory. Counted: each keep has its
 * drop, and at the last one nobody holds an id any more. NULL is harmless to drop. */
weir_client_ids *weir_client_ids_keep(const weir_loops *loops);
void weir_client_ids_drop(weir_client_ids *ids);

/* OK: the id is the member's. AGAIN: it will be; its holder, and whoever waited before, have been
 * told that it is taken. NO_MEMORY. Once per member until it releases. The id is copied. */
weir_err weir_client_ids_claim(weir_client_ids *ids, weir_client_id_member *member,
                               weir_bytes client_id);
/* The member no longer holds or waits for the id; who waits for it gets it. */
void weir_client_ids_release(weir_client_ids *ids, weir_client_id_member *member,
                             weir_bytes client_id);
/* Something posted has not been told yet. On the member's loop. */
bool weir_client_id_member_is_busy(weir_client_id_member *member);

#endif
