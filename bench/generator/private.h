/* bench/generator/private.h - what the generator's files share. */
#ifndef WEIR_BENCH_GENERATOR_PRIVATE_H
#define WEIR_BENCH_GENERATOR_PRIVATE_H

#include "bench/account.h"
#include "bench/flow.h"
#include "bench/generator/generator.h"
#include "bench/result.h"
#include "bench/stream.h"
#include "bench/usage.h"

#include "adapters/proto/websocket/frame.h"

enum {
    GENERATOR_BATCH_BYTES_MAX = 60000, /* one write, one WebSocket frame with a 16-bit length */
    GENERATOR_CONNECTING_MAX = 64,     /* connects under way at once */
    GENERATOR_NAME_MAX = 16,           /* "bench/0000" */
};

/*   CONNECTING -> [UPGRADING] -> GREETING -> [SUBSCRIBING] -> READY      any -> GONE           */
typedef enum peer_stage {
    PEER_IDLE = 0,
    PEER_CONNECTING,
    PEER_UPGRADING,   /* waits for 101 */
    PEER_GREETING,    /* waits for CONNACK */
    PEER_SUBSCRIBING, /* waits for SUBACK */
    PEER_READY,
    PEER_GONE,
} peer_stage;

typedef struct generator_peer {
    weir_stream stream; /* first: epoll's pointer is the peer's */
    uint8_t stage;
    bool subscriber;
    uint32_t index;     /* among the publishers, or the subscribers */
    weir_ws_reader *ws; /* NULL: TCP */
    /* A publisher's own. */
    uint64_t sequence; /* of the next message */
    uint32_t unacked;
    uint16_t last_id;
    uint64_t *ids;     /* bit: this packet identifier is under way; NULL at QoS 0 */
    uint8_t *template; /* one whole PUBLISH */
} generator_peer;

typedef struct generator {
    weir_flow flow; /* first: its functions are given the flow */
    const weir_bench_workload *work;
    const weir_bench_target *target;
    uint32_t run; /* tells this run's messages from others' */
    weir_stream_buffer *buffer;
    weir_stream_buffer *answers; /* acknowledgements of one read */
    generator_peer *peers;       /* subscribers, then publishers, or connections */
    uint32_t peer_count;
    uint32_t ready_count;
    bool ending; /* peers may go without it being an error */
    /* The shape of a PUBLISH. */
    size_t packet_bytes;
    size_t id_at; /* 0 at QoS 0 */
    size_t payload_at;
    weir_account *accounts; /* [subscriber][publisher] */
} generator;

/* setup.c */
weir_err generator_open(generator *own);
void generator_close(generator *own);
weir_err generator_connect(generator *own);
static inline generator_peer *generator_publisher(generator *own, uint32_t index)
{
    return &own->peers[own->work->subscribers + index];
}

/* greet.c: a connection's way to READY, a step for each packet that comes. */
weir_err peer_connected(generator *own, generator_peer *peer);
weir_err peer_upgrade_read(generator *own, generator_peer *peer, uint8_t *bytes, size_t len,
                           size_t *used);
weir_err peer_greet(generator *own, generator_peer *peer, const uint8_t *packet, size_t len);

/* frame.c: WebSocket around MQTT's bytes, or nothing. */
/* Takes the frames off bytes[0..*len), in place; *len becomes MQTT's bytes. CLOSED: a close frame.
 */
weir_err peer_unframe(generator_peer *peer, uint8_t *bytes, size_t *len);
/* Room for up to `len` of MQTT's bytes, at most GENERATOR_BATCH_BYTES_MAX; NULL: no memory. Then
 * peer_out_end with how many there are, and a flush. */
uint8_t *peer_out_begin(generator_peer *peer, size_t len);
void peer_out_end(generator_peer *peer, size_t len);
weir_err peer_send(generator *own, generator_peer *peer, weir_bytes bytes);

/* receive.c */
weir_err peer_readable(generator *own, generator_peer *peer);

/* publish.c */
weir_err publisher_prepare(generator *own, generator_peer *peer);
/* Of the flow. */
weir_err generator_pump(weir_flow *flow, uint64_t now_ns);
uint64_t generator_under_way(const weir_flow *flow);

#endif
