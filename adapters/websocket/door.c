/* adapters/websocket/door.c - what a new connection wants: WebSocket, plain HTTP, or nothing good.
 *
 *   head whole? --no--> wait (16 KiB, upgrade_ms_max)
 *      | yes
 *   WebSocket asked, or one of its paths --> weir_ws_handshake_check --> 101, or a refusal
 *      | else
 *   GET or HEAD --> a request of our own making goes to libwebsockets (http.h)
 *      | else
 *   405
 *
 * Failures: a head that is malformed or too large is answered (400, 431, 505) and the connection
 * closed; so is every refusal, since what follows a refused request cannot be trusted to be one. */
#include "adapters/websocket/http.h"
#include "adapters/websocket/link.h"

void weir_web_door_refuse(weir_web_link *link, unsigned status, const char *text)
{
    char answer[WEIR_HTTP_ANSWER_BYTES_MAX];
    const weir_ws_handshake refusal = {.status = status, .text = text};
    size_t len = weir_ws_answer_write(answer, &refusal);
    (void)weir_conn_write(&link->conn, (weir_bytes){(const uint8_t *)answer, len});
    weir_web_link_close(link, WEIR_WS_CODE_NONE, NULL);
}

static const weir_web_speaker *speaker_of(weir_ws_subprotocol subprotocol)
{
    switch (subprotocol) {
    case WEIR_WS_SUBPROTOCOL_WEIR_V1:
        return &weir_web_weir1;
    case WEIR_WS_SUBPROTOCOL_MQTT:
    case WEIR_WS_SUBPROTOCOL_MQTT_V31:
        return &weir_web_mqtt;
    case WEIR_WS_SUBPROTOCOL_ECHO:
        return &weir_web_echo;
    default:
        return NULL;
    }
}

static void opened_count(weir_adapter *adapter, const weir_web_speaker *speaker)
{
    if (speaker == &weir_web_weir1) {
        WEIR_WEB_COUNT(adapter, opened_weir1);
    } else if (speaker == &weir_web_mqtt) {
        WEIR_WEB_COUNT(adapter, opened_mqtt);
    } else {
        WEIR_WEB_COUNT(adapter, opened_echo);
    }
}

static void upgrade(weir_web_link *link, const weir_http_head *head)
{
    weir_adapter *adapter = link->lane->adapter;
    weir_ws_handshake handshake;
    char answer[WEIR_HTTP_ANSWER_BYTES_MAX];
    weir_ws_handshake_check(head, &adapter->policy, &handshake);
    if (handshake.status != 101) {
        WEIR_WEB_COUNT(adapter, upgrades_refused);
        if (handshake.status == 403) {
            WEIR_WEB_COUNT(adapter, origins_refused);
        }
        weir_web_door_refuse(link, handshake.status, handshake.text);
        return;
    }
    const weir_web_speaker *speaker = speaker_of(handshake.subprotocol);
    size_t len = weir_ws_answer_write(answer, &handshake);
    opened_count(adapter, speaker);
    (void)weir_conn_write(&link->conn, (weir_bytes){(const uint8_t *)answer, len});
    weir_web_link_upgrade(link, speaker);
}

static void plain(weir_web_link *link, const weir_http_head *head)
{
    bool get = weir_bytes_equal(head->method, WEIR_TEXT("GET"));
    weir_err err = WEIR_OK;
    if (!get && !weir_bytes_equal(head->method, WEIR_TEXT("HEAD"))) {
        weir_web_door_refuse(link, 405, "Pages are read with GET or HEAD.");
    } else if (head->path.ptr == NULL) {
        weir_web_door_refuse(link, 400, "A request names a path that begins with a slash.");
    } else {
        err = weir_web_tunnel_open(link, get, head->path);
    }
    if (err != WEIR_OK) {
        WEIR_WEB_COUNT(link->lane->adapter, requests_refused);
        weir_web_door_refuse(link, 503, "Too many requests at once; try again.");
    }
}

static void bad_head(weir_web_link *link, weir_err err)
{
    WEIR_WEB_COUNT(link->lane->adapter, heads_refused);
    if (err == WEIR_TOO_LARGE) {
        weir_web_door_refuse(link, 431, "The request's head is too large: 16 KiB and 100 fields.");
    } else if (err == WEIR_VERSION) {
        weir_web_door_refuse(link, 505, "Only HTTP/1.1 is spoken here.");
    } else {
        weir_web_door_refuse(link, 400, "This is not a request of HTTP/1.1.");
    }
}

size_t weir_web_door_input(weir_web_link *link, weir_bytes in)
{
    weir_http_head head;
    weir_err err = weir_http_head_read(in, &head);
    if (err == WEIR_MORE) {
        return 0;
    }
    if (err != WEIR_OK) {
        bad_head(link, err);
        return in.len;
    }
    if (weir_http_kind_of(&head) == WEIR_HTTP_UPGRADE) {
        upgrade(link, &head);
    } else {
        plain(link, &head);
    }
    return head.bytes;
}
