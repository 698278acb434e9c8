/* adapters/proto/mqtt/state.h - what the files of the session share: its state, and their doors to
 * one another. Nobody outside this folder includes it.
 *
 *   session.c    life, input loop, dispatch, keep-alive       connect.c    CONNECT to CONNACK, the
 * will publish.c    PUBLISH in, PUBACK out                       subscribe.c  SUBSCRIBE,
 * UNSUBSCRIBE deliver.c    records out, PUBACK in, credit               wire_cache.c encoded runs,
 * shared window.c     packet ids in flight                         mapping.c    properties and
 * headers share.c      shared subscriptions: join, leave       share_lease.c  their records
 *                                                              share_flight.c those with the client
 *
 *            CONNECT, claim AGAIN          claimed()
 *      NEW ----------------------> CLAIMING ------> ACTIVE
 *       \--------- CONNECT, claim OK ---------------/ |
 *       \______________ any failure, DISCONNECT, stop, tick ______________> CLOSED --end()--> gone
 *
 * Invariants:
 * [S1] Only ACTIVE submits publishes and subscriptions; after end() began nothing but the will and
 *      the subscriber's closing is submitted.
 * [S2] `pending` is the number of completions that will still come for this session's operations.
 * [S3] PUBACKs leave in the order of their PUBLISHes [MQTT-4.6.0-2].
 * [S4] A packet is either taken whole, with all its effects, or not at all (WEIR_AGAIN), but for a
 *      SUBSCRIBE or UNSUBSCRIBE, which `resume` continues where it stopped.
 * [S5] Credit handed to the engine and not yet used, plus what is written, held or in flight here,
 *      is what was granted at first. */
#ifndef WEIR_ADAPTERS_PROTO_MQTT_STATE_H
#define WEIR_ADAPTERS_PROTO_MQTT_STATE_H

#include "adapters/proto/mqtt/session.h"

typedef enum mqtt_state {
    MQTT_STATE_NEW = 0,
    MQTT_STATE_CLAIMING,
    MQTT_STATE_ACTIVE,
    MQTT_STATE_CLOSED,
} mqtt_state;

/* The kinds of token, in its highest byte. */
enum {
    TOKEN_PUBLISH = 1,     /* the acknowledgement's number */
    TOKEN_SUBSCRIBE = 2,   /* the request's number << 16 | the filter's index */
    TOKEN_UNSUBSCRIBE = 3, /* alike */
    TOKEN_CLOSE = 4,
    TOKEN_SHARE = 5, /* the share's number */
};
enum { TOKEN_KIND_SHIFT = 56, TOKEN_INDEX_BITS = 16, REQUESTS_MAX = 16 };

static inline uint64_t token_of(uint64_t kind, uint64_t value)
{
    return kind << TOKEN_KIND_SHIFT | value;
}

/* ---- Inbound QoS 1: a ring in the order of the PUBLISHes ----------------------------------------
 */

typedef struct mqtt_ack {
    const char *text; /* why it was refused, a literal; NULL */
    uint16_t id;
    bool done;
    uint8_t reason;
    uint8_t level; /* weir_level reached */
} mqtt_ack;

typedef struct mqtt_acks {
    mqtt_ack *ring;    /* NULL while empty */
    uint32_t capacity; /* a power of two */
    uint32_t count;
    uint64_t first; /* the number of the oldest; its place is first & (capacity - 1) */
} mqtt_acks;

/* ---- Outbound QoS 1: packet ids in flight ---------------------------------------------------- */

/* Ids are given out in rising order, so those in flight lie between the oldest and the newest: a
 * bit each, in a ring; the first 64 need no memory of their own. */
typedef struct mqtt_window {
    uint64_t inline_bits;
    uint64_t *more;    /* NULL: inline_bits */
    uint32_t capacity; /* bits: 64 (0 is 64 too), or more's; a power of two */
    uint32_t start;    /* the oldest id's bit */
    uint32_t span;     /* bits from the oldest to the newest */
    uint32_t count;    /* ids in flight */
    uint16_t base;     /* the oldest id - 1 */
} mqtt_window;

/* LIMIT: 65,535 ids between the oldest and the newest. NO_MEMORY. */
weir_err weir_mqtt_window_take(mqtt_window *window, uint16_t *id);
/* Gives the id taken last back, unused; nothing was released since. */
void weir_mqtt_window_untake(mqtt_window *window);
bool weir_mqtt_window_release(mqtt_window *window, uint16_t id); /* false: not in flight */
/* How far an id in flight, not 0, lies behind the oldest. */
uint32_t weir_mqtt_window_index(const mqtt_window *window, uint16_t id);
void weir_mqtt_window_fini(mqtt_window *window);

/* ---- Subscriptions --------------------------------------------------------------------------- */

typedef struct mqtt_options {
    uint32_t identifier; /* 0: none */
    uint8_t qos;         /* granted: 0 or 1 */
    bool rap;
} mqtt_options;

typedef struct mqtt_subscription {
    uint8_t *filter; /* NULL: the slot is free */
    uint32_t hash;
    uint16_t filter_len;
    uint16_t pending; /* operations on it under way */
    mqtt_options options;
    bool live;                /* the engine has it */
    struct mqtt_share *share; /* of a shared subscription */
} mqtt_subscription;

typedef struct mqtt_subscriptions {
    uint32_t count;
    uint32_t capacity;
    mqtt_subscription slots[];
} mqtt_subscriptions;

typedef struct mqtt_request_filter {
    uint32_t slot;
    uint8_t code;
    bool waiting;          /* for its completion */
    mqtt_options previous; /* of a filter that was there before */
} mqtt_request_filter;

typedef struct mqtt_request {
    struct mqtt_request *next;
    uint64_t number;
    char *text; /* why a filter was refused, the first that says so; NULL */
    uint16_t id;
    uint8_t type;       /* SUBSCRIBE or UNSUBSCRIBE */
    uint32_t submitted; /* filters handled so far */
    uint32_t waiting;   /* completions to come */
    uint32_t count;
    mqtt_request_filter filters[];
} mqtt_request;

/* ---- The rest -------------------------------------------------------------------------------- */

typedef struct mqtt_will { /* one allocation; spans point behind it */
    weir_bytes name;
    weir_bytes payload;
    weir_bytes properties;
    uint8_t qos;
    bool retain;
} mqtt_will;

typedef struct mqtt_aliases {
    uint32_t count;
    struct {
        uint8_t *name;
        uint32_t len;
        uint32_t levels;
    } names[];
} mqtt_aliases;

/* A delivery, and how many of its records, from the front, were dealt with. */
typedef struct mqtt_run {
    weir_delivery delivery;
    uint32_t done;
} mqtt_run;

/* Deliveries that wait for packet ids; a ring. */
typedef struct mqtt_held {
    uint32_t capacity;
    uint32_t count;
    uint32_t first;
    mqtt_run runs[];
} mqtt_held;

struct weir_mqtt_session {
    weir_mqtt_context *context;
    void *user;
    weir_subscriber *subscriber;
    uint8_t *client_id;
    mqtt_will *will;
    mqtt_aliases *aliases;
    mqtt_subscriptions *subscriptions;
    mqtt_request *requests;
    mqtt_request *resume; /* of the packet at the front of the input; also in `requests` */
    mqtt_held *held;
    struct mqtt_shares *shares; /* NULL before the first shared subscription */
    const char *close_text;
    uint64_t seen_ms; /* when the client was last heard; before CONNECT: when it came */
    uint64_t publisher;
    uint64_t request_number;
    uint64_t spent_bytes;   /* delivered, not yet handed back */
    uint32_t spent_records; /* the same; not waiting for a PUBACK */
    uint32_t acked_records; /* PUBACKs that came; not yet handed back */
    mqtt_acks acks;
    mqtt_window window;
    uint32_t pending;
    uint32_t packet_max; /* the client's Maximum Packet Size */
    uint16_t receive_max;
    uint16_t keep_alive_seconds;
    uint16_t client_id_len;
    uint8_t state;
    uint8_t version;
    uint8_t close_reason;
    bool claimed : 1;
    bool problem_texts : 1; /* Request Problem Information */
    bool levels : 1;        /* weir-levels: 1 */
    bool asked_expiry : 1;  /* CONNECT's Session Expiry Interval was not 0 */
    bool asked_session : 1; /* any version: a session that outlives the connection */
    bool assigned : 1;      /* the server chose the client id */
    bool accepted : 1;      /* CONNACK said success */
    bool blocked : 1;
    bool ending : 1;
    bool subscriber_closed : 1;
    bool orderly : 1; /* its end is no failure of those who hold its records */
};

/* ---- session.c ------------------------------------------------------------------------------- */

/* Ends the session's good life: CLOSED, always. Says DISCONNECT first where the version and the
 * state have it. `text` is a literal. */
weir_err weir_mqtt_fail(weir_mqtt_session *session, uint8_t reason, const char *text,
                        weir_buffer *out);
/* CLOSED, saying nothing. */
weir_err weir_mqtt_close(weir_mqtt_session *session, uint8_t reason, const char *text);
/* Writes an acknowledgement or DISCONNECT with a reason string when the client wants and can take
 * one. level: 0 for none. NO_MEMORY. */
weir_err weir_mqtt_reason_write(weir_mqtt_session *session, uint8_t type, uint16_t id,
                                uint8_t reason, const char *text, uint8_t level, weir_buffer *out);
/* Writes a packet by the codec. NO_MEMORY. TOO_LARGE: over the client's maximum; nothing written.
 */
weir_err weir_mqtt_packet_write(weir_mqtt_session *session, const weir_mqtt_packet *packet,
                                const weir_mqtt_property *properties, size_t count,
                                weir_buffer *out);
/* The body of a packet as decoded by its own function: the codec's error made an end. */
weir_err weir_mqtt_fail_decode(weir_mqtt_session *session, weir_err err, weir_buffer *out);

/* ---- connect.c ------------------------------------------------------------------------------- */

weir_err weir_mqtt_connect_take(weir_mqtt_session *session, weir_bytes packet, weir_buffer *out);
weir_err weir_mqtt_connack_accept(weir_mqtt_session *session, weir_buffer *out);
/* Publishes the will if there is one. AGAIN: the port is full. */
weir_err weir_mqtt_will_publish(weir_mqtt_session *session);
void weir_mqtt_will_forget(weir_mqtt_session *session);

/* ---- publish.c ------------------------------------------------------------------------------- */

/* `body` is the packet behind its fixed header. */
weir_err weir_mqtt_publish_take(weir_mqtt_session *session, uint8_t flags, weir_bytes body,
                                weir_buffer *out);
weir_err weir_mqtt_publish_complete(weir_mqtt_session *session, const weir_completion *completion,
                                    weir_buffer *out);
void weir_mqtt_publish_fini(weir_mqtt_session *session);

/* ---- subscribe.c ----------------------------------------------------------------------------- */

weir_err weir_mqtt_subscribe_take(weir_mqtt_session *session, const weir_mqtt_packet *packet,
                                  weir_buffer *out);
weir_err weir_mqtt_subscribe_complete(weir_mqtt_session *session, const weir_completion *completion,
                                      weir_buffer *out);
void weir_mqtt_subscribe_fini(weir_mqtt_session *session);
/* The code of a filter that is refused so, in the session's version. */
uint8_t weir_mqtt_subscribe_code(const weir_mqtt_session *session, weir_err err);
/* A shared subscription's answer to the filter that `asked`; text: why not, borrowed. */
weir_err weir_mqtt_subscribe_answer(weir_mqtt_session *session, uint64_t asked, uint8_t code,
                                    const char *text, weir_buffer *out);
const mqtt_subscription *weir_mqtt_slot(const weir_mqtt_session *session, uint32_t slot);

/* ---- deliver.c ------------------------------------------------------------------------------- */

weir_err weir_mqtt_deliver(weir_mqtt_session *session, weir_delivery *delivery, weir_buffer *out);
/* A PUBACK came. PROTOCOL: that id is not in flight. */
weir_err weir_mqtt_deliver_acked(weir_mqtt_session *session, uint16_t id, weir_buffer *out);
/* The first credit of a subscriber. `acknowledged`: a filter with QoS 1 is among the first. */
void weir_mqtt_credit_begin(weir_mqtt_session *session, bool acknowledged);
weir_err weir_mqtt_credit_flush(weir_mqtt_session *session, bool drained);
/* Sends what waits for packet ids, after one became free. */
weir_err weir_mqtt_deliver_held(weir_mqtt_session *session, weir_buffer *out);
/* The client's Receive Maximum, or in_flight_max; and how many ids can be taken for certain. */
uint32_t weir_mqtt_window_size(const weir_mqtt_session *session);
uint32_t weir_mqtt_ids_free(const weir_mqtt_session *session);
void weir_mqtt_deliver_fini(weir_mqtt_session *session);

/* ---- share.c, share_lease.c: shared subscriptions -------------------------------------------- */

bool weir_mqtt_filter_is_share(weir_bytes filter); /* "$share/..." or "$queue/..." */
/* Breaks the rules for shared subscriptions: a protocol error in 5.0. */
bool weir_mqtt_share_is_malformed(weir_bytes filter);
bool weir_mqtt_share_filter_is_valid(weir_bytes filter);
/* Begins to join; subscribe_answer comes. AGAIN, NO_MEMORY, and other codes for the filter. */
weir_err weir_mqtt_share_open(weir_mqtt_session *session, weir_bytes filter, uint32_t slot,
                              uint64_t asked, struct mqtt_share **share);
bool weir_mqtt_share_is_asked(const struct mqtt_share *share); /* its answer has not come */
/* Unsubscribed; its slot is no more. */
void weir_mqtt_share_close(weir_mqtt_session *session, struct mqtt_share *share);
weir_err weir_mqtt_share_complete(weir_mqtt_session *session, weir_completion *completion,
                                  weir_buffer *out);
/* A PUBACK came. NOT_FOUND: the id is no share's. AGAIN: nothing changed. */
weir_err weir_mqtt_share_acked(weir_mqtt_session *session, const weir_mqtt_packet *packet,
                               weir_buffer *out);
/* Whatever is due and can be. drained: more may be taken. out may be NULL. AGAIN, NO_MEMORY. */
weir_err weir_mqtt_shares_work(weir_mqtt_session *session, bool drained, weir_buffer *out);
weir_err weir_mqtt_shares_end(weir_mqtt_session *session); /* AGAIN: call again */
uint64_t weir_mqtt_shares_deadline_ms(const weir_mqtt_session *session);
size_t weir_mqtt_shares_memory_bytes(const weir_mqtt_session *session);
void weir_mqtt_shares_fini(weir_mqtt_session *session);

/* ---- wire_cache.c: runs of records as packets ------------------------------------------------ */

typedef enum mqtt_retain {
    MQTT_RETAIN_CLEAR = 0, /* a fresh record */
    MQTT_RETAIN_KEEP,      /* a fresh record for a filter with Retain As Published */
    MQTT_RETAIN_SET,       /* a retained value */
} mqtt_retain;

/* How records are to be written for one subscriber. */
typedef struct mqtt_view {
    const uint32_t *identifiers;
    uint32_t identifier_count;
    uint32_t packet_max;
    int64_t wall_ms;
    uint8_t version5; /* 0 or 1 */
    uint8_t qos;      /* granted */
    uint8_t retain;   /* mqtt_retain */
} mqtt_view;

/* What became of the records of a run. */
typedef struct mqtt_tally {
    uint32_t sent;
    uint32_t acknowledged; /* of them with QoS 1 */
    uint32_t expired;
    uint32_t too_large;
    uint32_t headers_dropped;
    uint32_t packet_bytes_max; /* the largest packet written */
} mqtt_tally;

/* min(granted, the record's own). */
static inline uint8_t weir_mqtt_record_qos(const mqtt_view *view, const weir_record *record)
{
    uint8_t own = record->attributes & WEIR_RECORD_QOS_MASK; /* 0: not from MQTT, as QoS 2 */
    return own == 1 ? 0 : view->qos;
}

/* Appends one record's PUBLISH with packet id `id` (where its QoS asks for one), or counts why not.
 * NO_MEMORY: nothing changed. */
weir_err weir_mqtt_record_write(const mqtt_view *view, weir_bytes topic, const weir_record *record,
                                uint16_t id, weir_buffer *out, mqtt_tally *tally);

/* Appends the whole run from the cache; packet ids are 0 and must be patched. False: the cache has
 * nothing to offer (first time seen, client's maximum in the way, identifiers, no memory). */
bool weir_mqtt_wire_cache_write(weir_mqtt_wire_cache *cache, const mqtt_view *view,
                                const weir_delivery *delivery, uint32_t ids_free, weir_buffer *out,
                                mqtt_tally *tally);
weir_err weir_mqtt_wire_cache_create(weir_mqtt_wire_cache **cache);
void weir_mqtt_wire_cache_destroy(weir_mqtt_wire_cache *cache);
void weir_mqtt_wire_cache_turn_end(weir_mqtt_wire_cache *cache);

/* ---- mapping.c: MQTT 5.0 properties and record headers --------------------------------------- */

enum { MAPPED_HEADERS_MAX = 1008 }; /* limits.headers_max at most, and the five of the table */

typedef struct mqtt_mapped {
    uint32_t count;
    bool has_key;
    weir_bytes key;
    bool has_id;
    uint64_t id; /* weir-id */
    char expiry[12];
    weir_header headers[MAPPED_HEADERS_MAX];
} mqtt_mapped;

/* The headers of a PUBLISH's or a will's properties (their raw bytes). NULL, or why it is refused.
 */
const char *weir_mqtt_map_in(weir_bytes raw, mqtt_mapped *mapped);

/* Whether a record has expired; *remaining its seconds left, UINT32_MAX without expiry. */
bool weir_mqtt_map_expired(const weir_record *record, int64_t wall_ms, uint32_t *remaining);

/* The property a header becomes. `taken`: bits of properties this record already has. False: the
 * header is not text and cannot be sent. SESSION_EXPIRY never comes; MESSAGE_EXPIRY carries
 * `remaining`. */
bool weir_mqtt_map_out(const weir_header *header, uint32_t remaining, uint32_t *taken,
                       weir_mqtt_property *property);

#endif
