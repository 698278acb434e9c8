/* adapters/mqtt/transport.h - sockets, sessions and loops of the MQTT front end, brought together.
 *
 * One hub per loop holds what its sessions share; a client is one connection with its session. */
#ifndef WEIR_ADAPTERS_MQTT_TRANSPORT_H
#define WEIR_ADAPTERS_MQTT_TRANSPORT_H

#include "adapters/shared/conn.h"
#include "adapters/shared/listener.h"
#include "weir/adapter.h"

typedef struct weir_mqtt_transport weir_mqtt_transport;

/* Where a connection came in: which listener is told when it ends. Outlives its connections. */
typedef struct weir_mqtt_door {
    weir_mqtt_transport *transport;
    weir_listener *listener;
    /* NULL: plain. Fills the filter for a fresh descriptor; an error closes the connection. */
    weir_err (*filter)(void *arg, int fd, weir_conn_filter *filter);
    void *filter_arg;
} weir_mqtt_door;

/* Makes a hub on every loop of the host. Main thread. NO_MEMORY. */
weir_err weir_mqtt_transport_create(weir_host *host, weir_mqtt_transport **transport);
/* A listener's `accepted`; arg is the door. On the loop's thread. */
void weir_mqtt_transport_accepted(void *door, weir_loop *loop, int fd, bool over);
/* Stops reading, answers what is in flight, says DISCONNECT 0x8B where there is a word for it,
 * closes; then calls drained(arg) once, on a loop's thread. Main thread; does not block. */
void weir_mqtt_transport_drain(weir_mqtt_transport *transport, void (*drained)(void *arg),
                               void *arg);
/* Closes every connection at once and waits until the engine has given their subscribers back. No
 * listener hands anything over any more. Main thread. TIMEOUT: the engine did not answer; the
 * transport must then be left as it is, not destroyed. */
weir_err weir_mqtt_transport_stop(weir_mqtt_transport *transport);
void weir_mqtt_transport_destroy(weir_mqtt_transport *transport); /* stopped; NULL is harmless */
/* Any thread. */
void weir_mqtt_transport_stats(const weir_mqtt_transport *transport,
                               void (*each)(void *arg, const char *metric, uint64_t value),
                               void *arg);

#endif
