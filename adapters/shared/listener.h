/* adapters/shared/listener.h - a listening socket: accepts, counts, refuses, spreads over the
 * loops.
 *
 * The socket is watched by loop 0, which accepts a batch a turn and hands the descriptors to
 * the loops: the first few to loop 0, from then on round robin (docs/decisions/0011, 0040). Out of descriptors it frees one held in reserve, so
 * that a waiting peer is turned away instead of left hanging, and rests; everybody connected is
 * served on. */
#ifndef WEIR_ADAPTERS_SHARED_LISTENER_H
#define WEIR_ADAPTERS_SHARED_LISTENER_H

#include "adapters/shared/loop.h"

enum {
    WEIR_LISTENER_ACCEPTS_MAX = 64,  /* per turn */
    WEIR_LISTENER_REST_MS = 100,     /* after accept failed for want of descriptors or memory */
    WEIR_LISTENER_ADDRESS_MAX = 160, /* text of an address with its port, or a path */
};

typedef struct weir_listener weir_listener;

typedef struct weir_listener_config {
    weir_loops *loops;
    const char *section;  /* "mqtt": for faults ("mqtt.port") and the log; borrowed for its life */
    const char *address;  /* a numeric IPv4 or IPv6 address; NULL with `path` */
    uint16_t port;        /* 0: the system's choice */
    const char *port_key; /* the setting that chose it; NULL: "port" */
    const char *enabled_key; /* the setting that switches the front end off; NULL: none is told */
    const char *path;        /* of a stream socket in the file system (mode 0600); NULL: TCP */
    bool insecure;           /* an address beyond loopback is meant */
    uint64_t connections_max;
    weir_listener *with; /* whose connections count together with these: one front end, two ports;
                          * it is closed after this one. NULL: none */
    /* A new connection, on `loop`'s thread. Takes fd: non-blocking, close-on-exec, TCP_NODELAY set.
     * When it ends, weir_listener_release is due. over: connections_max are open already; the peer
     * is to be told so and closed (at most WEIR_LISTENER_ACCEPTS_MAX of these are open at once;
     * beyond that the listener closes them itself). */
    void (*accepted)(void *arg, weir_loop *loop, int fd, bool over);
    void *arg;
} weir_listener_config;

/* Binds and listens; accepts from now on. Main thread. INVALID (not a numeric address; beyond
 * loopback without insecure), EXISTS (address in use), IO: the fault says which setting to change.
 * A socket file left by a process that is gone is replaced; one that answers is EXISTS. */
weir_err weir_listener_open(const weir_listener_config *config, weir_listener **listener,
                            weir_fault *fault);
/* "127.0.0.1:1883", "[::1]:1883", or the path; with the port that was given. Any thread. */
const char *weir_listener_address(const weir_listener *listener);
uint16_t weir_listener_port(const weir_listener *listener); /* 0 for a path */
/* One accepted connection has ended. Any thread. */
void weir_listener_release(weir_listener *listener, bool over);
/* Stops accepting and closes the socket (and removes its path), soon: a new peer is refused by the
 * system. Until wait has returned a few more may be handed over. Main thread; never blocks; twice
 * is harmless. */
void weir_listener_stop(weir_listener *listener);
/* Stops, and returns once `accepted` will not be called again. Main thread; waits for the loops. */
void weir_listener_wait(weir_listener *listener);
/* Waits, then frees. Every accepted connection has been released. NULL is harmless. */
void weir_listener_close(weir_listener *listener);

typedef struct weir_listener_stats {
    uint64_t accepted;    /* without those over the limit */
    uint64_t open;        /* now; of all that count together */
    uint64_t over;        /* refused: connections_max */
    uint64_t descriptors; /* refused: the process had no descriptor or memory left */
} weir_listener_stats;
void weir_listener_stats_get(const weir_listener *listener,
                             weir_listener_stats *stats); /* any thread */

#endif
