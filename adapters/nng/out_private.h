/* adapters/nng/out_private.h - what the files of PUB and PUSH share.
 *
 *   out.c         messages to peers: everybody (PUB), or whoever has room (PUSH)
 *   push.c        the topic that PUSH hands out, fetched at its own pace
 *   out_stream.c  peers on tcp and ipc: SP spoken here on adapters/shared connections
 *   out_ws.c      peers on ws: WebSocket streams of nng's
 *   out_inproc.c  peers on inproc: nng's own sockets
 *
 * Everything is the loop's unless it says otherwise. */
#ifndef WEIR_ADAPTERS_NNG_OUT_PRIVATE_H
#define WEIR_ADAPTERS_NNG_OUT_PRIVATE_H

#include "adapters/nng/body.h"
#include "adapters/nng/nng_private.h"

enum {
    OUT_BATCH_BYTES = 65536,       /* a batch is sent when it is this long */
    OUT_PUSH_WINDOW_BYTES = 65536, /* what waits here for one PULL peer before it gets no more */
};

typedef struct out_peer out_peer;

/* Somebody connected. Its kind embeds it first. */
typedef struct out_peer_ops {
    /* Takes a copy of one message of `records` records. False: no room, nothing was taken. */
    bool (*give)(out_peer *peer, weir_bytes body, uint32_t records);
    bool (*ready)(const out_peer *peer);     /* PUSH: it may be given one now */
    void (*close)(out_peer *peer);           /* ends it soon: weir_nng_out_leave comes, once */
    size_t (*waiting)(const out_peer *peer); /* bytes given and not yet the system's */
} out_peer_ops;

struct out_peer {
    const out_peer_ops *ops;
    weir_nng_out *out;
    bool joined;
    bool listed;        /* among those ready */
    bool endless;       /* not a connection: it is there as long as its socket */
    out_peer *previous; /* of all */
    out_peer *next;
    out_peer *ready_next;
};

/* A way for peers to come: one of these by the URL's transport. */
typedef struct out_carrier_ops {
    weir_err (*listen)(weir_nng_out *out, void **carrier, weir_fault *fault); /* main thread */
    void (*run)(void *carrier);      /* loop: peers may join from now on */
    void (*unlisten)(void *carrier); /* main thread; nobody joins after it */
    bool (*shut)(void *carrier);     /* as of the parts; every peer has left. May be NULL's */
    void (*destroy)(void *carrier);  /* main thread; after shut gave true. May be NULL's */
} out_carrier_ops;

extern const out_carrier_ops weir_nng_stream_carrier; /* tcp, ipc */
extern const out_carrier_ops weir_nng_ws_carrier;
extern const out_carrier_ops weir_nng_inproc_carrier;

typedef struct push_source push_source;

struct weir_nng_out {
    weir_sink sink; /* first: PUB's completions come here */
    weir_turn_end turn_end;
    weir_adapter *adapter;
    weir_nng_part part;
    bool batch;
    const out_carrier_ops *carrier_ops;
    void *carrier;

    out_peer *peers;
    uint32_t peer_count;
    uint32_t leaving_count; /* connections that have not joined, or have left but are not gone */
    out_peer *ready;        /* PUSH: those with room, in the order they get the next messages */
    out_peer **ready_tail;
    weir_buffer body; /* the message being made */
    uint32_t body_records;

    weir_subscriber *subscriber; /* PUB */
    bool subscribed;
    bool unsubscribed;
    uint32_t operations; /* PUB: in flight */
    push_source *push;   /* PUSH */
    bool stopped;        /* gives out nothing new */
    bool hangs;          /* the carrier; it is kept */
    bool closed;
};

/* ---- out.c ------------------------------------------------------------------------------------
 */

/* A peer can be given messages; and not any more. */
void weir_nng_out_join(weir_nng_out *out, out_peer *peer);
void weir_nng_out_leave(out_peer *peer);
/* It has room again. */
void weir_nng_out_room(out_peer *peer);
/* Adds a record to the message being made, and sends it when it is whole (always, without batches).
 */
void weir_nng_out_record(weir_nng_out *out, weir_bytes topic, const weir_record *record);
/* Sends what was being made. */
void weir_nng_out_flush(weir_nng_out *out);
/* PUSH: somebody has room. */
bool weir_nng_out_wanted(const weir_nng_out *out);

/* ---- push.c -----------------------------------------------------------------------------------
 */

weir_err weir_nng_push_create(weir_nng_out *out, push_source **source);
void weir_nng_push_run(push_source *source);
/* Hands out what there is and somebody has room for, and fetches more. */
void weir_nng_push_work(push_source *source);
void weir_nng_push_close(push_source *source);
bool weir_nng_push_idle(const push_source *source); /* nothing in flight */
void weir_nng_push_destroy(push_source *source);

#endif
