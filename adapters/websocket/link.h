/* adapters/websocket/link.h - one accepted connection: a request head, then a WebSocket with a
 * speaker above it, or a tunnel to HTTP. On its loop's thread.
 *
 *   HEAD --101--> OPEN --close frame--> CLOSING --> gone --session idle--> freed
 *     \--plain--> HTTP --answered---------^  ^
 *      \--refusal--------------------------/-/
 */
#ifndef WEIR_ADAPTERS_WEBSOCKET_LINK_H
#define WEIR_ADAPTERS_WEBSOCKET_LINK_H

#include "adapters/proto/websocket/frame.h"
#include "adapters/shared/conn.h"
#include "adapters/websocket/web.h"

typedef enum weir_web_state {
    WEIR_WEB_HEAD = 0,
    WEIR_WEB_HTTP,
    WEIR_WEB_OPEN,
    WEIR_WEB_CLOSING,
} weir_web_state;

/* What is spoken inside the frames of one subprotocol. Every slot is filled; none blocks. A speaker
 * closes the connection with weir_web_link_close from any of them but open, close and destroy. */
typedef struct weir_web_speaker {
    bool text_refused;
    /* Makes link->session. NO_MEMORY. */
    weir_err (*open)(weir_web_link *link);
    /* A piece of a message. The speaker has taken it whole when this returns; what it could not
     * handle yet it keeps, and then says so with weir_web_link_block. */
    void (*piece)(weir_web_link *link, const weir_ws_event *event);
    /* A completion of the session's, before and after close. */
    void (*complete)(weir_web_link *link, weir_completion *completion);
    /* The turn ends, while open: retries what was blocked, writes what was gathered. */
    void (*turn)(weir_web_link *link);
    /* Bytes have left; `waiting` still wait. While open. */
    void (*sent)(weir_web_link *link, size_t waiting);
    /* When `deadline` wants to be called, monotonic milliseconds; UINT64_MAX: never. */
    uint64_t (*deadline_ms)(const weir_web_link *link);
    void (*deadline)(weir_web_link *link);
    /* Says goodbye in its protocol; closes with 1001 now, or from a later turn. Once. */
    void (*drain)(weir_web_link *link);
    /* A frame was refused and its close frame is about to be sent: the last word in its protocol.
     */
    void (*refused)(weir_web_link *link, weir_err err, const char *text);
    /* Nothing is written any more. True: session can be destroyed; false: call again (with first
     * false) after the next step and each completion. */
    bool (*close)(weir_web_link *link, bool first);
    void (*destroy)(weir_web_link *link); /* frees link->session */
} weir_web_speaker;

extern const weir_web_speaker weir_web_echo, weir_web_weir1, weir_web_mqtt;

struct weir_web_link {
    weir_conn conn;
    weir_sink sink; /* `user` of the session's operations */
    weir_turn_end turn_end;
    weir_deadline retry; /* of what is blocked, or waits to be destroyed */
    weir_web_lane *lane;
    weir_web_link *next;
    weir_web_link **link;            /* what points here */
    const weir_web_speaker *speaker; /* NULL until upgraded, and after destroy */
    void *session;
    struct weir_web_tunnel *tunnel; /* HTTP */
    weir_buffer message;            /* input that the speaker keeps */
    weir_buffer rest;   /* input not looked at yet: the link was blocked, full or throttled */
    size_t rest_at;     /* of its front that was */
    weir_buffer gather; /* output of the speaker that is not yet in a frame */
    uint8_t *ping;      /* newest unanswered ping: length, payload; NULL: none was ever held back */
    uint64_t heard_ms;  /* the last byte from the peer */
    uint64_t sent_ms;   /* the last byte taken by the peer, or the time when some began to wait */
    uint64_t begun_ms;  /* of the unfinished message; meaningless between messages */
    uint64_t begun_bytes; /* of input since then */
    uint64_t throttled_until_ms;
    uint64_t opened_ms;
    uint64_t deadline_at_ms; /* what conn's deadline is set to; UINT64_MAX: not set */
    size_t waiting_bytes;    /* of output, as of the last time some was sent */
    uint8_t state;           /* weir_web_state */
    bool over;               /* connections_max: only told so */
    bool blocked;            /* the speaker takes no piece */
    bool full;               /* the peer takes no output */
    bool throttled;          /* too many control frames, until throttled_until_ms */
    bool ping_asked;         /* by us, since heard_ms */
    bool ping_held;          /* `ping` waits for its answer */
    bool drain_told;
    bool closing_session; /* speaker->close was called */
    bool conn_gone;
    weir_v1_counters counted; /* what of the session's is in the adapter's counters */
    weir_ws_reader reader;
};

/* The listener's `accepted`: takes fd. arg: the adapter. */
void weir_web_link_accept(void *arg, weir_loop *loop, int fd, bool over);

/* One whole frame. Payload is copied. */
void weir_web_link_frame(weir_web_link *link, weir_ws_opcode opcode, bool fin, weir_bytes payload);
/* The buffer that becomes the payload of one binary frame at the turn's end, to append to. */
weir_buffer *weir_web_link_gather(weir_web_link *link);
void weir_web_link_gathered(weir_web_link *link); /* asks for that turn's end */
/* Bytes on their way to the peer, gathered ones too. */
size_t weir_web_link_waiting(const weir_web_link *link);

/* No piece is given until it is false again; the speaker's turn is called soon. */
void weir_web_link_block(weir_web_link *link, bool blocked);
/* Sends what was gathered and a close frame, and closes. Once; later calls are harmless. */
void weir_web_link_close(weir_web_link *link, uint16_t code, const char *reason);
/* Looks again at when something is due. */
void weir_web_link_deadline(weir_web_link *link);
/* drain of the adapter: on the link's own thread. */
void weir_web_link_drain(weir_web_link *link);

/* tls.c: what stands between the connection and its descriptor; nothing for a plain listener. */
weir_err weir_web_link_filter(weir_adapter *adapter, int fd, weir_conn_filter *filter);

/* door.c: the head of the request. Returns how many bytes it used. */
size_t weir_web_door_input(weir_web_link *link, weir_bytes in);
/* Answers with a refusal and closes. */
void weir_web_door_refuse(weir_web_link *link, unsigned status, const char *text);
/* link.c, for door.c: the 101 was written. */
void weir_web_link_upgrade(weir_web_link *link, const weir_web_speaker *speaker);

#endif
