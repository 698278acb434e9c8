/* adapters/nng/url.h - the URLs that the nng front end listens on. Pure. */
#ifndef WEIR_ADAPTERS_NNG_URL_H
#define WEIR_ADAPTERS_NNG_URL_H

#include "weir/base.h"

enum {
    WEIR_NNG_URL_MAX = 192,  /* bytes of one URL, NUL included */
    WEIR_NNG_HOST_MAX = 64,  /* a numeric address without brackets, NUL included */
    WEIR_NNG_PATH_MAX = 108, /* what a Unix socket address holds, NUL included */
};

typedef enum weir_nng_transport {
    WEIR_NNG_OFF = 0, /* the empty URL */
    WEIR_NNG_TCP,     /* tcp://127.0.0.1:9348; the host may be localhost, [::1], or * for all */
    WEIR_NNG_IPC,     /* ipc:///run/weir.rep */
    WEIR_NNG_INPROC,  /* inproc://name */
    WEIR_NNG_WS,      /* ws://127.0.0.1:9348/path */
} weir_nng_transport;

typedef struct weir_nng_url {
    weir_nng_transport transport;
    uint16_t port;                /* TCP, WS */
    bool loopback;                /* only this machine reaches it */
    char host[WEIR_NNG_HOST_MAX]; /* TCP, WS: numeric */
    char path[WEIR_NNG_PATH_MAX]; /* IPC: the file; INPROC: the name; WS: with its slash */
} weir_nng_url;

/* INVALID: none of the forms above. *url is written on OK only. */
weir_err weir_nng_url_parse(const char *text, weir_nng_url *url);
/* The URL with its port as it stands now. */
void weir_nng_url_write(const weir_nng_url *url, char text[WEIR_NNG_URL_MAX]);

#endif
