/* adapters/proto/mqtt/share.h - shared subscriptions: what share.c, share_lease.c and share_flight.c know of
 * them.
 *
 *   SUBSCRIBE $share/g/f                              UNSUBSCRIBE: slot goes, what is in flight stays
 *        |                                                      |
 *   CHECKING --groups: is it declared?--> JOINING --> OPEN --(draining)--> LEAVING --> gone
 *        ^                                             | out: silent too long, group deleted
 *        '---------------------------------------------'---------> LEAVING (again)
 *
 *   OPEN     take --TAKEN--> [taken: run, record] --id--> flight --PUBACK--> answers --settle-->
 *                                 '-- QoS 0: accepted first, written when that is as safe as the
 *                                     topic promises
 *
 * Invariants:
 * [H1] A share takes only when everything it was handed has been written or answered, and `answers`
 *      is empty: what one take gave always has room there.
 * [H2] `flights` of a share is how many entries of the table are its own. What loses its lease, or
 *      its share, stays in the table until PUBACK, as nobody's.
 * [H3] What is in flight is never given twice by this session: its lease is renewed until PUBACK, or
 *      the member leaves.
 * [H4] A share that is CHECKING, JOINING or LEAVING, or takes, or settles, has an operation counted
 *      in session.pending. */
#ifndef WEIR_ADAPTERS_PROTO_MQTT_SHARE_H
#define WEIR_ADAPTERS_PROTO_MQTT_SHARE_H

#include "adapters/proto/mqtt/state.h"

enum {
    SHARE_TAKE_RECORDS_MAX = 64, /* so that members of one group get a backlog by turns */
    SHARE_ANSWERS_MAX = 128,
    SHARE_PUBACKS_MAX = SHARE_ANSWERS_MAX - SHARE_TAKE_RECORDS_MAX, /* [H1] */
    SHARE_CARE_PARTS = 3,  /* leases are renewed, and members heard, so often in their time */
    SHARE_RETRY_MS = 1000, /* after a take that failed; and for what expired while it waited */
    SHARE_TEXT_BYTES = 512,
    SHARE_TEXT_NAME_MAX = 120, /* longer names are not repeated in a text */
};
#define SHARE_SLOT_NONE UINT32_MAX

/* "$share/g/f" or "$queue/t", apart. */
typedef struct mqtt_share_name {
    weir_bytes group;
    weir_bytes filter; /* of a queue: its topic, or that and "/#" */
    bool queue;        /* $queue */
} mqtt_share_name;

typedef enum mqtt_share_state {
    SHARE_CHECKING = 1, /* also: waits for room to ask */
    SHARE_JOINING,
    SHARE_OPEN,
    SHARE_LEAVING, /* also: waits for room to leave */
} mqtt_share_state;

/* Where records are from; counted. */
typedef struct mqtt_origin {
    uint32_t refs;
    uint32_t partition;
    size_t len;
    uint8_t topic[];
} mqtt_origin;

typedef enum mqtt_answer_kind {
    ANSWER_ACCEPT = 1,
    ANSWER_TOO_LARGE, /* reject, "packet-too-large" */
    ANSWER_EXPIRED,   /* release: the engine finds it expired and says so */
} mqtt_answer_kind;

/* Records [first, last] that are answered and not told yet; keeps its origin. */
typedef struct mqtt_answer {
    mqtt_origin *origin;
    int64_t first;
    int64_t last;
    uint64_t lease;
    uint8_t kind;
} mqtt_answer;

typedef struct mqtt_share {
    struct mqtt_share *next;
    uint64_t number; /* in tokens */
    uint64_t asked;  /* the SUBSCRIBE that waits: request << TOKEN_INDEX_BITS | filter; 0: none */
    weir_member *member;
    mqtt_origin *origin; /* the newest; keeps it */
    weir_taken taken;    /* run_count 0: nothing is at hand */
    uint64_t epoch;
    uint64_t care_at_ms; /* when leases are to be renewed and the member to be heard */
    uint64_t take_at_ms; /* not before */
    int64_t lease_ms;
    int64_t session_ms;
    uint32_t slot;
    uint32_t run;    /* of taken: the next to be written ... */
    uint32_t record; /* ... and its next record */
    uint32_t flights;
    uint32_t answer_count;
    uint8_t state;
    uint8_t taken_qos;   /* what was granted when it was taken */
    bool submitted : 1;  /* the operation that its state says */
    bool taking : 1;     /* a take is in the port */
    bool cancelled : 1;  /* and was told to end */
    bool accepting : 1;  /* what goes out with QoS 0 is being accepted */
    bool accept_due : 1; /* that could not be submitted yet */
    bool zero_lost : 1;  /* it was refused: those are not written */
    bool zero_sent : 1;  /* those are written: they wait for no id */
    bool draining : 1;   /* unsubscribed: leaves when nothing is in flight */
    bool again : 1;      /* joins again when it has left */
    bool orderly : 1;
    bool take_told : 1; /* the log knows that takes are refused */
    uint32_t group_len;
    uint32_t filter_len;
    bool queue;
    mqtt_answer answers[SHARE_ANSWERS_MAX];
    uint8_t words[]; /* group, filter */
} mqtt_share;

/* A record that is with the client. */
typedef struct mqtt_flight {
    mqtt_share *share;   /* NULL: its share has lost it, or is gone */
    mqtt_origin *origin; /* keeps it */
    int64_t offset;
    uint64_t lease; /* 0: it was accepted at hand-over */
    uint16_t id;    /* 0: the place is free */
} mqtt_flight;

struct mqtt_shares {
    mqtt_share *list;
    uint32_t attached; /* that have a slot: the window is divided by it */
    uint32_t capacity; /* of flights; a power of two, or 0 */
    uint32_t count;
    uint64_t number;
    bool retry;           /* the port had no room for something */
    bool blamed;          /* the end of the connection has failed its record */
    mqtt_flight *flights; /* open addressing by packet id */
};

/* ---- share.c --------------------------------------------------------------------------------- */

/* Joins are over, or the share's member is: begins the way out. */
void weir_mqtt_share_leave(weir_mqtt_session *session, mqtt_share *share, bool orderly);
/* It is out: what is in flight has no lease any more; leaves, and joins again. */
void weir_mqtt_share_out(weir_mqtt_session *session, mqtt_share *share);

static inline weir_bytes weir_mqtt_share_group(const mqtt_share *share)
{
    return (weir_bytes){share->words, share->group_len};
}

static inline weir_bytes weir_mqtt_share_filter(const mqtt_share *share)
{
    return (weir_bytes){share->words + share->group_len, share->filter_len};
}

/* ---- share_lease.c --------------------------------------------------------------------------- */

/* Tells answers, takes, writes, renews, whatever is due and can be. `out` may be NULL: nothing is
 * written then. AGAIN: the port was full. Other errors: the session cannot go on. */
weir_err weir_mqtt_share_work(weir_mqtt_session *session, mqtt_share *share, bool drained,
                              weir_buffer *out);
weir_err weir_mqtt_share_taken(weir_mqtt_session *session, mqtt_share *share,
                               weir_completion *completion);
void weir_mqtt_share_settled(weir_mqtt_session *session, mqtt_share *share,
                             const weir_completion *completion);
/* What was answered is told. AGAIN. */
weir_err weir_mqtt_share_tell(weir_mqtt_session *session, mqtt_share *share);
/* What is at hand and was not written goes back, as no failure. AGAIN. */
weir_err weir_mqtt_share_return(weir_mqtt_session *session, mqtt_share *share);
/* The connection broke: the oldest record that the client has not answered, if it is of this share,
 * fails. Once for a session, before its members leave. AGAIN. */
weir_err weir_mqtt_share_blame(weir_mqtt_session *session, mqtt_share *share);
void weir_mqtt_share_taken_drop(mqtt_share *share);
void weir_mqtt_share_answers_drop(mqtt_share *share);

/* ---- share_flight.c -------------------------------------------------------------------------- */

/* What is in flight is nobody's any more: a PUBACK gives its id back, and settles nothing. */
void weir_mqtt_share_unlease(weir_mqtt_session *session, mqtt_share *share);
mqtt_origin *weir_mqtt_origin_keep(mqtt_origin *origin); /* returns it */
void weir_mqtt_origin_drop(mqtt_origin *origin);         /* NULL is harmless */
weir_bytes weir_mqtt_origin_topic(const mqtt_origin *origin);
weir_err weir_mqtt_flights_room(struct mqtt_shares *shares); /* for one more; NO_MEMORY */
/* There is room. Takes the count of its origin. */
void weir_mqtt_flight_add(struct mqtt_shares *shares, const mqtt_flight *flight);
/* NULL: none has this id. Borrowed until the table changes. */
mqtt_flight *weir_mqtt_flight_find(const struct mqtt_shares *shares, uint16_t id);
/* The oldest that is under a lease, of whatever share; alike. */
const mqtt_flight *weir_mqtt_flight_oldest(const weir_mqtt_session *session);
void weir_mqtt_flight_remove(struct mqtt_shares *shares, mqtt_flight *flight);
void weir_mqtt_flights_fini(struct mqtt_shares *shares);

#endif
