/* clients/c/transport.h - how a client's messages travel: one table per transport, one file each.
 */
#ifndef WEIR_CLIENTS_C_TRANSPORT_H
#define WEIR_CLIENTS_C_TRANSPORT_H

#include "weir/base.h"

typedef struct weir_client_link weir_client_link; /* the transport's own */

/* All are called by the client's thread. Deadlines are milliseconds of weir_client_now_ms();
 * INT64_MAX: none. */
typedef struct weir_client_transport {
    const char *scheme; /* "unix:" */
    /* Connects. `address` is what follows the scheme. Blocks until the deadline. */
    weir_err (*open)(const char *address, int64_t deadline_ms, weir_client_link **link,
                     weir_fault *fault);
    /* One whole message (a text ends with a newline). Blocks until it is taken; goes on reading
     * meanwhile, so that two full pipes never wait for each other. TIMEOUT, CLOSED, NO_MEMORY. */
    weir_err (*send)(weir_client_link *link, weir_bytes message, int64_t deadline_ms);
    /* The next whole message; valid until the next receive. TIMEOUT, CLOSED, MALFORMED, NO_MEMORY.
     */
    weir_err (*receive)(weir_client_link *link, int64_t deadline_ms, weir_bytes *message);
    bool (*pending)(const weir_client_link *link); /* receive would not need to wait, perhaps */
    int (*fd)(const weir_client_link *link);
    void (*close)(weir_client_link *link); /* NULL is harmless */
} weir_client_transport;

extern const weir_client_transport weir_client_unix; /* stream.c */
extern const weir_client_transport weir_client_inherited;
extern const weir_client_transport weir_client_nng;           /* transport_nng.c */
extern const weir_client_transport weir_client_websocket;     /* transport_websocket.c */
extern const weir_client_transport weir_client_websocket_tls; /* opens nothing: says why */

int64_t weir_client_now_ms(void); /* monotonic */

#endif
