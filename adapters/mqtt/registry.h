/* adapters/mqtt/registry.h - who holds which client id, across all loops.
 *
 * MQTT lets one connection hold a client id; a second CONNECT with it throws the first one out
 * [MQTT-3.1.4-3]. Holder and newcomer may live on different loops, so the registry is the one thing
 * they share: sharded maps under mutexes, held for a few instructions. Any thread. */
#ifndef WEIR_ADAPTERS_MQTT_REGISTRY_H
#define WEIR_ADAPTERS_MQTT_REGISTRY_H

#include "adapters/shared/loop.h"

typedef struct weir_mqtt_registry weir_mqtt_registry;

/* A connection as the registry knows it; embedded in it. told() runs on its loop whenever something
 * was posted; `claimed`: the id it waited for is its own; `taken`: somebody else wants the id. Both
 * may be true. It must not be freed while weir_mqtt_member_is_busy. */
typedef struct weir_mqtt_member {
    weir_loop *loop;
    void (*told)(struct weir_mqtt_member *member, bool claimed, bool taken);
    weir_mqtt_registry *registry;
    weir_call call; /* below: under the lock of `shard` */
    uint16_t shard;
    uint8_t news;
    bool posted;
} weir_mqtt_member;

weir_err weir_mqtt_registry_create(weir_mqtt_registry **registry); /* NO_MEMORY */
void weir_mqtt_registry_destroy(weir_mqtt_registry *registry);     /* nobody holds an id any more */

/* OK: the id is the member's. AGAIN: it will be; its holder, and whoever waited before, have been
 * told that it is taken. NO_MEMORY. Once per member until it releases. The id is copied. */
weir_err weir_mqtt_registry_claim(weir_mqtt_registry *registry, weir_mqtt_member *member,
                                  weir_bytes client_id);
/* The member no longer holds or waits for the id; who waits for it gets it. */
void weir_mqtt_registry_release(weir_mqtt_registry *registry, weir_mqtt_member *member,
                                weir_bytes client_id);
/* Something posted has not been told yet. On the member's loop. */
bool weir_mqtt_member_is_busy(weir_mqtt_member *member);

#endif
