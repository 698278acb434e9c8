/* bench/weir1/private.h - what the files of the generator for weir.v1 share. */
#ifndef WEIR_BENCH_WEIR1_PRIVATE_H
#define WEIR_BENCH_WEIR1_PRIVATE_H

#include "bench/account.h"
#include "bench/flow.h"
#include "bench/result.h"
#include "bench/stream.h"
#include "bench/tally.h"
#include "bench/usage.h"
#include "bench/weir1/message.h"
#include "bench/weir1/weir1.h"

#include "adapters/proto/weir1/frame.h"
#include "adapters/proto/websocket/frame.h"

enum {
    LOAD_CONNECT_EVENTS_MAX = 256,
    LOAD_READ_BYTES = 1024 * 1024,     /* of one read */
    LOAD_WRITE_BYTES = 256 * 1024,     /* gathered for one write */
    LOAD_MESSAGE_BYTES_MAX = 64 << 20, /* a longer one is no answer of Weir's */
    LOAD_FETCH_BYTES = 1024 * 1024,
    LOAD_FETCH_WAIT_MS = 1000,
    LOAD_REQUESTS = 65536, /* under way of one publisher at most; a power of two */
    LOAD_TIMES_MASK = LOAD_REQUESTS - 1,
    LOAD_PACED_RECORDS_MAX = 4000000, /* of one PACED run */
};

/*   CONNECTING -> [UPGRADING] -> GREETING -> [SUBSCRIBING, JOINING] -> READY      any -> GONE  */
typedef enum load_stage {
    LOAD_IDLE = 0,
    LOAD_CONNECTING,
    LOAD_UPGRADING,   /* waits for 101 */
    LOAD_GREETING,    /* waits for hello's answer */
    LOAD_SUBSCRIBING, /* waits for subscribe's answer */
    LOAD_JOINING,     /* waits for join's answer */
    LOAD_READY,
    LOAD_GONE,
} load_stage;

typedef enum load_role {
    LOAD_PUBLISHER,
    LOAD_SUBSCRIBER, /* FLOW: gets what is new; accounts are kept for each */
    LOAD_READER,     /* READ, and PUBLISH's reading back: begins again at the end */
    LOAD_MEMBER,     /* DRAIN, PACED: of the queue's group */
} load_role;

typedef struct load_peer {
    weir_stream stream; /* first: epoll's pointer is the peer's. Only its output is used */
    uint8_t stage;
    uint8_t role;
    uint32_t index;     /* among its role's */
    weir_ws_reader *ws; /* NULL: the stream socket */
    /* What came and is not taken: in[in_start, in_len). */
    uint8_t *in;
    size_t in_start;
    size_t in_len;
    size_t in_capacity;
    size_t looked; /* bytes of the message at the front already searched for its end, or walked */
    /* A publisher's. */
    uint64_t sequence; /* of the next record */
    uint64_t request;  /* of the next message */
    uint32_t unacked;  /* records */
    uint64_t *times;   /* intended time of each request under way */
    weir_load_template template;
    /* A subscriber's or reader's, with fetch-batch. */
    bool fetching;  /* a fetch is under way */
    bool asked;     /* the next one was sent before this one's answer had come whole */
    int64_t offset; /* where the fetch under way reads */
    int64_t asked_offset;
    uint64_t passes; /* whole readings, READER */
    /* A member's. */
    uint64_t member; /* its number in its session */
    uint64_t next;   /* for weir_tally_take */
} load_peer;

typedef struct load {
    weir_flow flow; /* first: its functions are given the flow */
    const weir_weir1_work *work;
    const weir_weir1_target *target;
    uint32_t run;
    load_peer *peers; /* publishers, then the others */
    uint32_t peer_count;
    uint32_t ready_count;
    bool ending;
    weir_account *accounts; /* [subscriber or reader][publisher] */
    bool reading;           /* readers fetch */
    bool one_pass;          /* they stop at the end */
    bool leasing;           /* members lease */
    uint64_t sent_most;     /* of one publisher, records: what a log or a queue is filled with */
    uint64_t acked;
    weir_tally tally;    /* what all members had */
    weir_buffer ranges;  /* of the settle that is made */
    weir_buffer scratch; /* the frame that is made */
} load;

/* setup.c */
weir_err load_open(load *own);
void load_close(load *own);
weir_err load_connect(load *own);
weir_err load_connected(load *own, load_peer *peer);
/* A message for a peer that is on its way to READY. */
weir_err load_greet(load *own, load_peer *peer, weir_bytes message);
/* UPGRADING: MORE until the whole head is there; *used: its bytes. */
weir_err load_upgraded(load *own, load_peer *peer, weir_bytes bytes, size_t *used);

/* send.c */
weir_err load_publisher_prepare(load *own, load_peer *peer);
/* Puts one message, text or a frame by its first byte, behind what waits to be sent. */
weir_err load_put(load *own, load_peer *peer, weir_bytes message);
/* The same, and sends. */
weir_err load_send(load *own, load_peer *peer, weir_bytes message);
weir_err load_fetch(load *own, load_peer *peer, int64_t offset);
/* Of the flow. */
weir_err load_pump(weir_flow *flow, uint64_t now_ns);
uint64_t load_under_way(const weir_flow *flow);

/* receive.c */
weir_err load_readable(load *own, load_peer *peer);
weir_err load_begin_reading(load *own);

/* queue.c */
bool load_is_queue(const load *own);
weir_err load_begin_leasing(load *own);
weir_err load_leased(load *own, load_peer *peer, const weir_v1_frame *frame, uint64_t now_ns);
void load_settled(load *own, const weir_v1_frame *frame);

#endif
