/* adapters/proto/websocket/handshake.h - the head of an HTTP request, and whether it becomes a
 * WebSocket (RFC 9112 sections 2 to 6, RFC 6455 section 4.2). Pure; bytes are borrowed.
 *
 * The head is read strictly: CRLF line ends, tokens, no folded lines, no control characters. What
 * it asks for is judged by rules: the paths and the subprotocols that fit them are fixed (/v1:
 * weir.v1; /mqtt: mqtt, mqttv3.1; /echo: echo, for tests). */
#ifndef WEIR_ADAPTERS_PROTO_WEBSOCKET_HANDSHAKE_H
#define WEIR_ADAPTERS_PROTO_WEBSOCKET_HANDSHAKE_H

#include "weir/base.h"

enum {
    WEIR_HTTP_HEAD_BYTES_MAX = 16384,
    WEIR_HTTP_FIELDS_MAX = 100,
    WEIR_HTTP_ANSWER_BYTES_MAX = 1024, /* room for any head weir_ws_answer_write makes */
    WEIR_WS_ACCEPT_BYTES = 28,         /* base64 of SHA-1 */
};

typedef struct weir_http_field {
    weir_bytes name;  /* a token, as written; compare without case */
    weir_bytes value; /* without blanks at either end */
} weir_http_field;

typedef struct weir_http_head {
    weir_bytes method;
    weir_bytes target;      /* as written */
    weir_bytes path;        /* of an origin-form target, before '?'; null for other forms */
    unsigned version_minor; /* of HTTP/1 */
    unsigned status;        /* of an answer; 0: a request */
    size_t bytes;           /* of the head, with the empty line */
    size_t field_count;
    weir_http_field fields[WEIR_HTTP_FIELDS_MAX];
} weir_http_head;

/* MORE: the empty line is not there yet. MALFORMED: not HTTP/1. VERSION: HTTP, but not 1.x.
 * TOO_LARGE: more fields than WEIR_HTTP_FIELDS_MAX, or a head above WEIR_HTTP_HEAD_BYTES_MAX. */
weir_err weir_http_head_read(weir_bytes in, weir_http_head *head);
/* The head of an answer, as a client reads it: same errors; method, target and path are null. */
weir_err weir_http_answer_read(weir_bytes in, weir_http_head *head);
/* How many fields of this name there are (no case); *value is the first's, null when none. */
size_t weir_http_field_find(const weir_http_head *head, const char *name, weir_bytes *value);
/* Takes the next item off the front of a comma-separated list, without blanks; false when none is
 * left. Empty items are given, too. A list that was taken whole has a null ptr. */
bool weir_http_list_next(weir_bytes *list, weir_bytes *item);
/* True when a comma-separated field of this name has the token (no case), in any of its lines. */
bool weir_http_field_has(const weir_http_head *head, const char *name, const char *token);

typedef enum weir_ws_subprotocol {
    WEIR_WS_SUBPROTOCOL_NONE = 0,
    WEIR_WS_SUBPROTOCOL_WEIR_V1,
    WEIR_WS_SUBPROTOCOL_MQTT,
    WEIR_WS_SUBPROTOCOL_MQTT_V31,
    WEIR_WS_SUBPROTOCOL_ECHO,
} weir_ws_subprotocol;

const char *weir_ws_subprotocol_name(weir_ws_subprotocol subprotocol); /* "" for NONE */

typedef struct weir_ws_policy {
    bool echo;           /* /echo is served */
    bool loopback_only;  /* the listener is bound to loopback: a same-host Origin must be, too */
    const char *origins; /* beside the same host: a comma-separated list, "*" for any; NULL: none */
} weir_ws_policy;

/* What is wanted: decides which code answers a request. */
typedef enum weir_http_kind {
    WEIR_HTTP_PLAIN = 0, /* neither asks for WebSocket nor names a path of it */
    WEIR_HTTP_UPGRADE,   /* weir_ws_handshake_check judges it */
} weir_http_kind;
weir_http_kind weir_http_kind_of(const weir_http_head *head);

typedef struct weir_ws_handshake {
    unsigned status;  /* 101, or the refusal's: 400 403 404 405 426 505 */
    const char *text; /* one sentence why; static */
    weir_ws_subprotocol subprotocol;
    char accept[WEIR_WS_ACCEPT_BYTES + 1];
} weir_ws_handshake;

void weir_ws_handshake_check(const weir_http_head *head, const weir_ws_policy *policy,
                             weir_ws_handshake *handshake);

/* Writes the whole answer: the 101 head, or a refusal with its sentence as text/plain and
 * "Connection: close". 405 says Allow, 426 says Upgrade and Sec-WebSocket-Version: 13. Returns its
 * bytes. Any status fits that weir_http_reason knows. */
size_t weir_ws_answer_write(char out[WEIR_HTTP_ANSWER_BYTES_MAX],
                            const weir_ws_handshake *handshake);
const char *weir_http_reason(unsigned status);

/* Sec-WebSocket-Accept for a key as it stands in the request. */
void weir_ws_accept_of(weir_bytes key, char accept[WEIR_WS_ACCEPT_BYTES + 1]);
/* SHA-1 (FIPS 180-4), for that one purpose; it protects nothing. */
void weir_ws_sha1(weir_bytes in, uint8_t digest[20]);

/* True when the Origin may open a WebSocket under this policy, given the request's Host. */
bool weir_ws_origin_allowed(weir_bytes origin, weir_bytes host, const weir_ws_policy *policy);

#endif
