/* adapters/websocket/http.h - plain HTTP by libwebsockets, one context on each loop's libuv.
 *
 *   client <-> link's conn <-> tunnel's conn <= socketpair => libwebsockets
 *
 * libwebsockets never sees a client's bytes: the door has read the request strictly, and what goes
 * through the socketpair is a request of our own making for a page that exists. So none of its
 * parser's weaknesses is reachable, and TLS is the link's affair. On the loop's thread. */
#ifndef WEIR_ADAPTERS_WEBSOCKET_HTTP_H
#define WEIR_ADAPTERS_WEBSOCKET_HTTP_H

#include "adapters/websocket/link.h"

typedef struct weir_web_tunnel weir_web_tunnel;

/* Makes lane->http. NO_MEMORY, NOT_FOUND (libwebsockets' libuv part could not be loaded). */
weir_err weir_web_http_open(weir_web_lane *lane);
/* Ends it in two steps with turns of the loop between them: begin closes its handles, end frees it.
 */
void weir_web_http_close_begin(weir_web_lane *lane);
void weir_web_http_close_end(weir_web_lane *lane);

/* Asks for the page and sends the answer to the link, which is then HTTP and closes when it has
 * left. AGAIN: too many at once. NO_MEMORY, IO. On failure the link is as before. */
weir_err weir_web_tunnel_open(weir_web_link *link, bool get, weir_bytes path);
/* The link's connection takes no more, or takes more again. */
void weir_web_tunnel_pressure(weir_web_link *link, bool full);
/* The link is gone. Harmless without a tunnel. */
void weir_web_tunnel_drop(weir_web_link *link);

#endif
