/* adapters/websocket/http.c - alone responsible for libwebsockets: its contexts, its callback, and
 * the tunnel between it and a link.
 *
 * Happy path: the link asks for a page; a socketpair is made, one end adopted by the loop's
 * context, the request written to the other. The callback makes the page and writes it in pieces;
 * what comes out of the tunnel goes to the link as it is; the end of the tunnel closes the link.
 * /metrics asks the engine about its groups first, and the page is asked for when the answer has come;
 * the lane keeps the newest one, which all pages tell of.
 * Every answer says "Connection: close": a second request on the connection, an upgrade for
 * instance, never reaches libwebsockets.
 *
 * Failures: no descriptor or memory: the request is refused with 503. A page that cannot be made:
 * 500. A client that does not read: the tunnel is not read either, and the link's deadline ends
 * both.
 *
 * A fault of libwebsockets 4.1.6 that threads make dangerous: on libuv it closes its event
 * descriptor in lws_context_destroy, and once more when libuv has closed the handle. In between
 * another thread may have been given that number, for a journal file, say. The kernel gives the
 * lowest number that is free; so each lane holds a shield of descriptors that were opened before
 * libwebsockets' own, and are lower, and frees them just before. Whoever opens something in that
 * moment is given one of those.
 *
 * [H1] link->tunnel and tunnel->link point at each other or are NULL. [H2] libwebsockets closes the
 * descriptor it was given, also when the adoption fails. [H3] From before the context's creation to
 * its destruction the shield is whole. [H4] asking->tunnel and tunnel->asking point at each other or
 * are NULL, and asking is freed by its completion alone. */
#include "adapters/websocket/http.h"

#include "adapters/shared/descriptors.h"
#include "adapters/websocket/pages.h"
#include "core/base/log.h"

#include <fcntl.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PATH_BYTES_MAX = 128, /* of a page */
    REQUEST_BYTES_MAX = 512,
    ANSWER_HEAD_BYTES_MAX = 1024,
    PIECE_BYTES = 16384, /* of a body, written at once */
    CONTEXT_DESCRIPTORS_MAX = WEIR_WEB_REQUESTS_MAX + 16,
    TUNNEL_INPUT_BYTES_MAX = 65536,
    GROUPS_MS_MAX = 1000,    /* before a page goes without what it asked of groups */
    SHIELD_DESCRIPTORS = 16, /* more than there are threads that open files while we stop */
};

struct weir_web_http {
    struct lws_context *context;
    struct lws_vhost *vhost;
    unsigned request_count; /* tunnels that exist */
    unsigned shield_count;
    int shield[SHIELD_DESCRIPTORS];
};

/* A question to the engine whose answer a page waits for. It outlives the tunnel. */
typedef struct asking {
    weir_sink sink;
    weir_web_tunnel *tunnel; /* NULL: it is gone, and so may be its lane */
} asking;

struct weir_web_tunnel {
    weir_conn conn;
    weir_web_lane *lane;
    weir_web_link *link; /* NULL: it is gone */
    asking *asking;      /* NULL: no page waits */
    weir_deadline patience;
    char request[REQUEST_BYTES_MAX]; /* that waits for the answer */
};

/* One request, as libwebsockets keeps it for us. Zeroed at first. */
typedef struct request {
    weir_web_page page;
    size_t written;
} request;

/* ---- The answer ---------------------------------------------------------------------------- */

static const struct {
    const char *name;
    const char *value;
} answer_fields[] = {
    {"connection:", "close"},
    {"cache-control:", "no-store"},
    {"x-content-type-options:", "nosniff"},
    {"referrer-policy:", "no-referrer"},
    {"content-security-policy:",
     "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; "
     "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"},
};

static int answer_head(struct lws *wsi, const weir_web_page *page)
{
    unsigned char room[LWS_PRE + ANSWER_HEAD_BYTES_MAX];
    unsigned char *start = room + LWS_PRE, *at = start, *end = room + sizeof(room) - 1;
    if (lws_add_http_common_headers(wsi, page->status, page->type, page->body.len, &at, end) != 0) {
        return -1;
    }
    for (size_t i = 0; i < sizeof(answer_fields) / sizeof(answer_fields[0]); i++) {
        if (lws_add_http_header_by_name(wsi, (const unsigned char *)answer_fields[i].name,
                                        (const unsigned char *)answer_fields[i].value,
                                        (int)strlen(answer_fields[i].value), &at, end) != 0) {
            return -1;
        }
    }
    return lws_finalize_write_http_header(wsi, start, &at, end) != 0 ? -1 : 0;
}

static int answer_begin(struct lws *wsi, request *asked, const char *path)
{
    weir_web_lane *lane = lws_context_user(lws_get_context(wsi));
    asked->page.groups = lane->groups.groups != NULL ? &lane->groups : NULL;
    if (weir_web_page_make(lane->adapter, weir_bytes_of(path), &asked->page) != WEIR_OK) {
        weir_buffer_fini(&asked->page.made);
        asked->page = (weir_web_page){.status = 500,
                                      .type = "text/plain",
                                      .body = WEIR_TEXT("The page could not be made.\n")};
    }
    WEIR_WEB_COUNT(lane->adapter, requests);
    if (answer_head(wsi, &asked->page) != 0) {
        return -1;
    }
    if (lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0 || asked->page.body.len == 0) {
        return -1; /* the head is all there is; what was written leaves first */
    }
    lws_callback_on_writable(wsi);
    return 0;
}

static int answer_go_on(struct lws *wsi, request *asked)
{
    unsigned char room[LWS_PRE + PIECE_BYTES];
    size_t left = asked->page.body.len - asked->written;
    size_t len = left < PIECE_BYTES ? left : PIECE_BYTES;
    bool last = len == left;
    memcpy(room + LWS_PRE, asked->page.body.ptr + asked->written, len);
    int wrote = lws_write(wsi, room + LWS_PRE, len, last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP);
    if (wrote != (int)len || last) {
        return -1; /* closes, after what was written has left */
    }
    asked->written += len;
    lws_callback_on_writable(wsi);
    return 0;
}

static int on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                  size_t len)
{
    request *asked = user;
    switch (reason) {
    case LWS_CALLBACK_HTTP:
        return answer_begin(wsi, asked, in);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return answer_go_on(wsi, asked);
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return -1; /* nobody asks: the door judged the request */
    case LWS_CALLBACK_CLOSED_HTTP:
        if (asked != NULL) {
            weir_buffer_fini(&asked->page.made);
        }
        return 0;
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, len);
    }
}

/* ---- The contexts -------------------------------------------------------------------------- */

static void lws_log_line(int level, const char *line)
{
    int len = (int)strcspn(line, "\n");
    weir_log((level & LLL_ERR) != 0 ? WEIR_LOG_ERROR : WEIR_LOG_WARN, "websocket",
             "libwebsockets: %.*s", len, line);
}

static weir_err shield_open(weir_web_http *http)
{
    while (http->shield_count < SHIELD_DESCRIPTORS) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            return WEIR_IO;
        }
        http->shield[http->shield_count++] = fd;
    }
    return WEIR_OK;
}

static void shield_close(weir_web_http *http)
{
    while (http->shield_count > 0) {
        (void)close(http->shield[--http->shield_count]);
    }
}

static weir_err context_create(weir_web_lane *lane, weir_web_http *http)
{
    static const struct lws_protocols protocols[] = {
        {.name = "http", .callback = on_lws, .per_session_data_size = sizeof(request)},
        {.name = NULL},
    };
    void *loops[] = {weir_loop_uv(lane->loop)};
    struct lws_context_creation_info info;
    memset(&info, 0, sizeof(info));
    info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info.protocols = protocols;
    info.options = LWS_SERVER_OPTION_LIBUV;
    info.foreign_loops = loops;
    info.vhost_name = "weir";
    info.user = lane;
    info.gid = (gid_t)-1;
    info.uid = (uid_t)-1;
    info.timeout_secs = WEIR_WEB_ANSWER_MS_MAX / 1000;
    info.fd_limit_per_thread = CONTEXT_DESCRIPTORS_MAX;
    lws_set_log_level(LLL_ERR | LLL_WARN, lws_log_line);
    http->context = lws_create_context(&info);
    http->vhost = http->context == NULL ? NULL : lws_get_vhost_by_name(http->context, "weir");
    return http->vhost == NULL ? WEIR_NOT_FOUND : WEIR_OK;
}

weir_err weir_web_http_open(weir_web_lane *lane)
{
    weir_web_http *http = calloc(1, sizeof(*http));
    if (http == NULL) {
        return WEIR_NO_MEMORY;
    }
    weir_err err = shield_open(http); /* [H3] */
    if (err == WEIR_OK) {
        err = context_create(lane, http);
    }
    if (err != WEIR_OK) {
        shield_close(http);
        free(http);
        return err;
    }
    lane->http = http;
    return WEIR_OK;
}

void weir_web_http_close_begin(weir_web_lane *lane)
{
    if (lane->http != NULL) {
        shield_close(lane->http);
        lws_context_destroy(lane->http->context);
    }
}

static void groups_drop(weir_groups *groups)
{
    weir_completion held = {.type = WEIR_COMPLETION_GROUPS, .groups = *groups};
    weir_completion_drop(&held);
    *groups = (weir_groups){.count = 0};
}

void weir_web_http_close_end(weir_web_lane *lane)
{
    if (lane->http != NULL) {
        lws_context_destroy(lane->http->context); /* on a loop that is not its own, it takes two */
        groups_drop(&lane->groups);
        free(lane->http);
        lane->http = NULL;
    }
}

/* ---- The tunnel ---------------------------------------------------------------------------- */

static weir_web_tunnel *tunnel_of(weir_conn *conn)
{
    return (weir_web_tunnel *)((char *)conn - offsetof(weir_web_tunnel, conn));
}

static size_t tunnel_input(weir_conn *conn, weir_bytes in)
{
    weir_web_tunnel *tunnel = tunnel_of(conn);
    if (tunnel->link != NULL) {
        (void)weir_conn_write(&tunnel->link->conn, in);
    }
    return in.len;
}

static void tunnel_ended(weir_conn *conn)
{
    weir_conn_close(conn);
    weir_web_tunnel *tunnel = tunnel_of(conn);
    if (tunnel->link != NULL) {
        weir_web_link_close(tunnel->link, WEIR_WS_CODE_NONE, NULL);
    }
}

static void tunnel_quiet(weir_conn *conn, bool full)
{
    (void)conn; /* one small request was all there is to send */
    (void)full;
}

static void tunnel_deadline(weir_conn *conn)
{
    (void)conn; /* never set: the link has one */
}

static void tunnel_closed(weir_conn *conn, weir_err why)
{
    weir_web_tunnel *tunnel = tunnel_of(conn);
    (void)why;
    if (tunnel->asking != NULL) {
        tunnel->asking->tunnel = NULL; /* [H4] */
        weir_loop_deadline_cancel(tunnel->lane->loop, &tunnel->patience);
    }
    if (tunnel->link != NULL) {
        tunnel->link->tunnel = NULL; /* [H1] */
        weir_web_link_close(tunnel->link, WEIR_WS_CODE_NONE, NULL);
    }
    tunnel->lane->http->request_count--;
    weir_descriptors_give(2);
    free(tunnel);
}

static const weir_conn_ops tunnel_ops = {
    .input = tunnel_input,
    .ended = tunnel_ended,
    .pressure = tunnel_quiet,
    .deadline = tunnel_deadline,
    .closed = tunnel_closed,
};

/* Takes both descriptors and the tunnel, on failure too. */
static weir_err tunnel_connect(weir_web_tunnel *tunnel, int ours, int theirs)
{
    const weir_conn_config config = {
        .ops = &tunnel_ops, .input_max = TUNNEL_INPUT_BYTES_MAX, .output_high = REQUEST_BYTES_MAX};
    weir_err err = weir_conn_open(&tunnel->conn, tunnel->lane->loop, ours, &config);
    if (err != WEIR_OK) {
        (void)close(ours);
        (void)close(theirs);
        weir_descriptors_give(2);
        free(tunnel);
        return err;
    }
    tunnel->lane->http->request_count++; /* from here on its `closed` frees it */
    if (lws_adopt_socket_vhost(tunnel->lane->http->vhost, theirs) == NULL) { /* [H2] */
        weir_conn_reset(&tunnel->conn, WEIR_NO_MEMORY);
        return WEIR_NO_MEMORY;
    }
    return WEIR_OK;
}

static weir_err tunnel_make(weir_web_lane *lane, weir_web_tunnel **made)
{
    int pair[2];
    if (lane->http->request_count >= WEIR_WEB_REQUESTS_MAX) {
        return WEIR_AGAIN;
    }
    weir_web_tunnel *tunnel = calloc(1, sizeof(*tunnel));
    if (tunnel == NULL) {
        return WEIR_NO_MEMORY;
    }
    tunnel->lane = lane;
    bool room = weir_descriptors_take(2);
    if (!room || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) {
        weir_descriptors_give(2);
        free(tunnel);
        return WEIR_NO_MEMORY;
    }
    weir_err err = tunnel_connect(tunnel, pair[0], pair[1]);
    if (err == WEIR_OK) {
        *made = tunnel;
    }
    return err;
}

/* ---- Pages that tell of groups --------------------------------------------------------------- */

/* The request goes on: its page is made with what is known of groups by then. */
static void request_go(weir_web_tunnel *tunnel)
{
    if (tunnel->asking != NULL) {
        tunnel->asking->tunnel = NULL;
        tunnel->asking = NULL;
        weir_loop_deadline_cancel(tunnel->lane->loop, &tunnel->patience);
    }
    (void)weir_conn_write(&tunnel->conn, weir_bytes_of(tunnel->request));
}

static void groups_told(weir_sink *sink, weir_completion *completion)
{
    asking *asked = (asking *)((char *)sink - offsetof(asking, sink));
    weir_web_tunnel *tunnel = asked->tunnel;
    if (tunnel != NULL) {
        weir_web_lane *lane = tunnel->lane;
        if (completion->err == WEIR_OK) {
            groups_drop(&lane->groups);
            lane->groups = completion->groups;
            completion->groups = (weir_groups){.count = 0}; /* taken */
        }
        request_go(tunnel);
    }
    free(asked);
}

/* An engine that cannot take questions is one that is watched all the more. */
static void groups_late(weir_deadline *deadline)
{
    request_go((weir_web_tunnel *)((char *)deadline - offsetof(weir_web_tunnel, patience)));
}

/* False: nobody could be asked. */
static bool groups_ask(weir_web_tunnel *tunnel)
{
    weir_web_lane *lane = tunnel->lane;
    uint64_t max = lane->adapter->host->limits->metrics_groups_max;
    asking *asked = calloc(1, sizeof(*asked));
    if (asked == NULL) {
        return false;
    }
    asked->sink.complete = groups_told;
    asked->tunnel = tunnel;
    if (weir_port_group_sums(weir_loop_port(lane->loop), (uint32_t)max, &asked->sink, 0) !=
        WEIR_OK) {
        free(asked);
        return false;
    }
    tunnel->asking = asked;
    tunnel->patience.run = groups_late;
    weir_loop_deadline_set(lane->loop, &tunnel->patience,
                           weir_loop_now_ms(lane->loop) + GROUPS_MS_MAX);
    return true;
}

weir_err weir_web_tunnel_open(weir_web_link *link, bool get, weir_bytes path)
{
    weir_web_tunnel *tunnel = NULL;
    if (path.len > PATH_BYTES_MAX || !weir_web_page_exists(path)) {
        weir_web_door_refuse(link, 404, "There is no such page.");
        return WEIR_OK;
    }
    weir_err err = tunnel_make(link->lane, &tunnel);
    if (err != WEIR_OK) {
        return err;
    }
    tunnel->link = link;
    link->tunnel = tunnel;
    link->state = WEIR_WEB_HTTP;
    link->opened_ms = weir_loop_now_ms(link->lane->loop);
    (void)snprintf(tunnel->request, sizeof(tunnel->request),
                   "%s %.*s HTTP/1.1\r\nHost: weir\r\n\r\n", get ? "GET" : "HEAD", (int)path.len,
                   (const char *)path.ptr);
    if (!weir_web_page_of_groups(path) || !groups_ask(tunnel)) {
        request_go(tunnel);
    }
    weir_web_link_deadline(link);
    return WEIR_OK;
}

void weir_web_tunnel_pressure(weir_web_link *link, bool full)
{
    if (link->tunnel == NULL) {
        return;
    }
    if (full) {
        weir_conn_pause(&link->tunnel->conn);
    } else {
        weir_conn_resume(&link->tunnel->conn);
    }
}

void weir_web_tunnel_drop(weir_web_link *link)
{
    if (link->tunnel != NULL) {
        link->tunnel->link = NULL; /* [H1] */
        weir_conn_reset(&link->tunnel->conn, WEIR_CLOSED);
        link->tunnel = NULL;
    }
}
