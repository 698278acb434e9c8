/* adapters/proto/websocket/handshake.c - which request becomes a WebSocket, and why not (RFC 6455
 * 4.2.1, 4.2.2, 10.2).
 *
 *   the request must be        else
 *   GET                        405, Allow: GET
 *   HTTP/1.1                   505
 *   with one Host              400
 *   without a body             400
 *   on a path that is served   404
 *   Upgrade: websocket         426, Upgrade: websocket
 *   Connection: Upgrade        400
 *   one version, 13            426, Sec-WebSocket-Version: 13
 *   one key of 16 bytes        400
 *   from an allowed Origin     403
 *   with a subprotocol that    400
 *   the path speaks
 *
 * A missing Origin is no browser: it passes here and needs credentials like any client. An Origin
 * passes when it is listed, or when its host and port are the request's own Host. On a loopback
 * listener that is not enough: a page of evil.example whose name was made to resolve to 127.0.0.1
 * (DNS rebinding) has the same Host and Origin. There the name must itself be a loopback one.
 *
 * Of several subprotocols on offer the first that the path speaks is taken: the client's order. */
#include "adapters/proto/websocket/handshake.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { KEY_LETTERS = 24 }; /* base64 of 16 bytes: 22 letters and "==" */

static const struct {
    weir_ws_subprotocol subprotocol;
    const char *name;
    const char *path;
} served[] = {
    {WEIR_WS_SUBPROTOCOL_WEIR_V1, "weir.v1", "/v1"},
    {WEIR_WS_SUBPROTOCOL_MQTT, "mqtt", "/mqtt"},
    {WEIR_WS_SUBPROTOCOL_MQTT_V31, "mqttv3.1", "/mqtt"},
    {WEIR_WS_SUBPROTOCOL_ECHO, "echo", "/echo"},
};
enum { SERVED_COUNT = sizeof(served) / sizeof(served[0]) };

static bool equal(weir_bytes text, const char *other)
{
    return text.len == strlen(other) && memcmp(text.ptr, other, text.len) == 0;
}

const char *weir_ws_subprotocol_name(weir_ws_subprotocol subprotocol)
{
    for (size_t i = 0; i < SERVED_COUNT; i++) {
        if (served[i].subprotocol == subprotocol) {
            return served[i].name;
        }
    }
    return "";
}

static bool path_served(weir_bytes path)
{
    for (size_t i = 0; i < SERVED_COUNT; i++) {
        if (path.ptr != NULL && equal(path, served[i].path)) {
            return true;
        }
    }
    return false;
}

weir_http_kind weir_http_kind_of(const weir_http_head *head)
{
    bool upgrade = weir_http_field_has(head, "Upgrade", "websocket") || path_served(head->path);
    return upgrade ? WEIR_HTTP_UPGRADE : WEIR_HTTP_PLAIN;
}

/* ---- Origin -------------------------------------------------------------------------------- */

/* What follows "http://" or "https://"; null for any other scheme, and for the opaque "null". */
static weir_bytes origin_authority(weir_bytes origin)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t len = strlen(schemes[i]);
        if (origin.len > len && strncasecmp((const char *)origin.ptr, schemes[i], len) == 0) {
            return (weir_bytes){origin.ptr + len, origin.len - len};
        }
    }
    return WEIR_BYTES_NULL;
}

/* "host:port" without the port, "[::1]:port" too. */
static weir_bytes host_name(weir_bytes authority)
{
    size_t len = authority.len;
    while (len > 0 && authority.ptr[len - 1] >= '0' && authority.ptr[len - 1] <= '9') {
        len--;
    }
    bool has_port = len > 0 && authority.ptr[len - 1] == ':';
    return has_port ? (weir_bytes){authority.ptr, len - 1} : authority;
}

static bool equal_no_case(weir_bytes a, const char *b, size_t b_len)
{
    return a.len == b_len && strncasecmp((const char *)a.ptr, b, b_len) == 0;
}

/* Digits and dots that begin with 127: no name of the DNS ends in a number. */
static bool is_loopback_address(weir_bytes name)
{
    if (name.len < 4 || memcmp(name.ptr, "127.", 4) != 0) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] != '.' && (name.ptr[i] < '0' || name.ptr[i] > '9')) {
            return false;
        }
    }
    return true;
}

static bool is_loopback(weir_bytes name)
{
    return is_loopback_address(name) || equal_no_case(name, "localhost", 9) || equal(name, "[::1]");
}

static bool listed(weir_bytes origin, const char *list)
{
    while (*list != '\0') {
        list += strspn(list, ", \t");
        size_t len = strcspn(list, ", \t");
        if (len > 0 && ((len == 1 && *list == '*') || equal_no_case(origin, list, len))) {
            return true;
        }
        list += len;
    }
    return false;
}

bool weir_ws_origin_allowed(weir_bytes origin, weir_bytes host, const weir_ws_policy *policy)
{
    if (policy->origins != NULL && listed(origin, policy->origins)) {
        return true;
    }
    weir_bytes authority = origin_authority(origin);
    if (authority.ptr == NULL || !equal_no_case(authority, (const char *)host.ptr, host.len)) {
        return false;
    }
    return !policy->loopback_only || is_loopback(host_name(authority));
}

/* ---- The request --------------------------------------------------------------------------- */

/* 22 letters of base64 of which the last carries two bits, and "==". */
static bool key_valid(weir_bytes key)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (key.len != KEY_LETTERS || key.ptr[22] != '=' || key.ptr[23] != '=') {
        return false;
    }
    for (size_t i = 0; i < 22; i++) {
        if (key.ptr[i] == '\0' || strchr(letters, key.ptr[i]) == NULL) {
            return false;
        }
    }
    return strchr("AQgw", key.ptr[21]) != NULL;
}

static bool has_body(const weir_http_head *head)
{
    weir_bytes value;
    size_t count = weir_http_field_find(head, "Content-Length", &value);
    return count > 1 || (count == 1 && !equal(value, "0")) ||
           weir_http_field_find(head, "Transfer-Encoding", &value) > 0;
}

static bool subprotocol_fits(size_t index, weir_bytes path, weir_bytes name)
{
    return equal(path, served[index].path) && equal(name, served[index].name);
}

static weir_ws_subprotocol subprotocol_in_list(weir_bytes list, weir_bytes path)
{
    weir_bytes name;
    while (weir_http_list_next(&list, &name)) {
        for (size_t i = 0; i < SERVED_COUNT; i++) {
            if (subprotocol_fits(i, path, name)) {
                return served[i].subprotocol;
            }
        }
    }
    return WEIR_WS_SUBPROTOCOL_NONE;
}

static weir_ws_subprotocol subprotocol_choose(const weir_http_head *head)
{
    for (size_t i = 0; i < head->field_count; i++) {
        const weir_http_field *field = &head->fields[i];
        if (!equal_no_case(field->name, "Sec-WebSocket-Protocol", 22)) {
            continue;
        }
        weir_ws_subprotocol found = subprotocol_in_list(field->value, head->path);
        if (found != WEIR_WS_SUBPROTOCOL_NONE) {
            return found;
        }
    }
    return WEIR_WS_SUBPROTOCOL_NONE;
}

static void refuse(weir_ws_handshake *handshake, unsigned status, const char *text)
{
    handshake->status = status;
    handshake->text = text;
}

/* HTTP's part: true when WebSocket's can be judged. */
static bool request_check(const weir_http_head *head, const weir_ws_policy *policy,
                          weir_ws_handshake *handshake)
{
    weir_bytes host;
    if (!equal(head->method, "GET")) {
        refuse(handshake, 405, "A WebSocket begins with GET.");
    } else if (head->version_minor < 1) {
        refuse(handshake, 505, "A WebSocket needs HTTP/1.1.");
    } else if (weir_http_field_find(head, "Host", &host) != 1 || host.len == 0) {
        refuse(handshake, 400, "A request has one Host field.");
    } else if (has_body(head)) {
        refuse(handshake, 400, "A WebSocket request has no body.");
    } else if (!path_served(head->path) || (equal(head->path, "/echo") && !policy->echo)) {
        refuse(handshake, 404, "WebSocket is served at /v1 (weir.v1) and /mqtt (mqtt, mqttv3.1).");
    } else {
        return true;
    }
    return false;
}

void weir_ws_handshake_check(const weir_http_head *head, const weir_ws_policy *policy,
                             weir_ws_handshake *handshake)
{
    weir_bytes key, version, origin, host;
    memset(handshake, 0, sizeof(*handshake));
    if (!request_check(head, policy, handshake)) {
        return;
    }
    weir_http_field_find(head, "Host", &host);
    size_t origins = weir_http_field_find(head, "Origin", &origin);
    handshake->subprotocol = subprotocol_choose(head);
    if (!weir_http_field_has(head, "Upgrade", "websocket")) {
        refuse(handshake, 426, "This path speaks WebSocket only.");
    } else if (!weir_http_field_has(head, "Connection", "Upgrade")) {
        refuse(handshake, 400, "The Connection field must name Upgrade.");
    } else if (weir_http_field_find(head, "Sec-WebSocket-Version", &version) != 1 ||
               !equal(version, "13")) {
        refuse(handshake, 426, "Only version 13 of WebSocket is spoken.");
    } else if (weir_http_field_find(head, "Sec-WebSocket-Key", &key) != 1 || !key_valid(key)) {
        refuse(handshake, 400, "Sec-WebSocket-Key is 16 bytes in base64, once.");
    } else if (origins > 1 || (origins == 1 && !weir_ws_origin_allowed(origin, host, policy))) {
        refuse(handshake, 403, "This Origin may not connect; the setting http.origins lists them.");
    } else if (handshake->subprotocol == WEIR_WS_SUBPROTOCOL_NONE) {
        refuse(handshake, 400,
               "Offer a subprotocol that this path speaks: weir.v1 at /v1, mqtt at /mqtt.");
    } else {
        handshake->status = 101;
        handshake->text = "";
        weir_ws_accept_of(key, handshake->accept);
    }
}

/* ---- The answer ---------------------------------------------------------------------------- */

const char *weir_http_reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *reason;
    } reasons[] = {
        {101, "Switching Protocols"},
        {200, "OK"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {426, "Upgrade Required"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status) {
            return reasons[i].reason;
        }
    }
    return "Error";
}

static const char *extra_fields(unsigned status)
{
    switch (status) {
    case 405:
        return "Allow: GET\r\n";
    case 426:
        return "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    case 503:
        return "Retry-After: 1\r\n";
    default:
        return "";
    }
}

size_t weir_ws_answer_write(char out[WEIR_HTTP_ANSWER_BYTES_MAX],
                            const weir_ws_handshake *handshake)
{
    int len = 0;
    if (handshake->status == 101) {
        len = snprintf(out, WEIR_HTTP_ANSWER_BYTES_MAX,
                       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n"
                       "Sec-WebSocket-Protocol: %s\r\n\r\n",
                       handshake->accept, weir_ws_subprotocol_name(handshake->subprotocol));
    } else {
        len = snprintf(out, WEIR_HTTP_ANSWER_BYTES_MAX,
                       "HTTP/1.1 %u %s\r\n%sContent-Type: text/plain; charset=utf-8\r\n"
                       "Content-Length: %zu\r\nConnection: %s\r\n\r\n%s\n",
                       handshake->status, weir_http_reason(handshake->status),
                       extra_fields(handshake->status), strlen(handshake->text) + 1,
                       handshake->status == 426 ? "close, Upgrade" : "close", handshake->text);
    }
    return (size_t)len;
}
