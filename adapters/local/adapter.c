/* adapters/local/adapter.c - the ops table of the local socket: listen, drain, stop.
 *
 *     configure -> start (listen, announce) -> drain (each loop tells its links) -> stop
 *
 * Happy path: the listener hands each connection to a loop, whose lane keeps its links. Drain posts
 * one call to each loop; what is held (those calls, and links with something in flight) falls to 0,
 * and the host is told. Stop closes every link on its own loop and waits until the last is freed.
 *
 * Failures: a path that is too long for a socket, or a socket another gateway answers on, ends
 * start.
 *
 * [A1] drained is said once, after drain, when held falls to 0.
 * [A2] stop returns when no link and no listener is left. */
#include "adapters/local/link.h"

#include "adapters/shared/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static weir_err configure(weir_host *host, weir_adapter **out, weir_fault *fault)
{
    weir_adapter *adapter = calloc(1, sizeof(*adapter));
    if (adapter == NULL) {
        return weir_fault_set(fault, WEIR_NO_MEMORY, 0, "The local socket needs more memory.");
    }
    adapter->host = host;
    adapter->path = weir_setting_text(host, "path", NULL);
    bool own = adapter->path != NULL && adapter->path[0] != 0;
    const char *from = own ? adapter->path : host->data_dir;
    size_t most = sizeof(((struct sockaddr_un *)NULL)->sun_path);
    int len = snprintf(adapter->socket_path, sizeof(adapter->socket_path), "%s%s", from,
                       own ? "" : "/weir.sock");
    if (len < 0 || (size_t)len >= most) {
        free(adapter);
        return weir_fault_set(
            fault, WEIR_INVALID, 0,
            "local.path: a socket's path has at most %zu bytes; set a shorter one "
            "than %s",
            most - 1, from);
    }
    pthread_mutex_init(&adapter->lock, NULL);
    pthread_cond_init(&adapter->none_open, NULL);
    *out = adapter;
    return WEIR_OK;
}

static weir_err lanes_create(weir_adapter *adapter)
{
    struct weir_loops *loops = adapter->host->loops;
    unsigned lane_count = weir_loops_count(loops);
    adapter->lanes = calloc(lane_count, sizeof(*adapter->lanes));
    if (adapter->lanes == NULL) {
        return WEIR_NO_MEMORY;
    }
    adapter->lane_count = lane_count;
    for (unsigned i = 0; i < lane_count; i++) {
        adapter->lanes[i].adapter = adapter;
        adapter->lanes[i].loop = weir_loops_at(loops, i);
    }
    return WEIR_OK;
}

static weir_err start(weir_adapter *adapter, weir_fault *fault)
{
    weir_host *host = adapter->host;
    char address[300];
    const weir_listener_config config = {
        .loops = host->loops,
        .section = "local",
        .path = adapter->socket_path,
        .connections_max = host->limits->connections_max,
        .accepted = weir_local_link_accept,
        .arg = adapter,
    };
    if (lanes_create(adapter) != WEIR_OK) {
        return weir_fault_set(fault, WEIR_NO_MEMORY, 0, "The local socket needs more memory.");
    }
    weir_err err = weir_listener_open(&config, &adapter->listener, fault);
    if (err != WEIR_OK) {
        return err;
    }
    snprintf(address, sizeof(address), "unix:%s", adapter->socket_path);
    host->ops->announce(host, "local", address);
    return WEIR_OK;
}

void weir_local_release(weir_adapter *adapter)
{
    if (--adapter->held == 0 && adapter->draining &&
        !atomic_exchange(&adapter->drained_told, true)) {
        adapter->host->ops->drained(adapter->host); /* [A1] */
    }
}

static void lane_drain(weir_loop *loop, void *arg)
{
    weir_local_lane *lane = arg;
    (void)loop;
    for (weir_local_link *link = lane->links; link != NULL; link = weir_local_link_next(link)) {
        weir_local_link_drain(link);
    }
    weir_local_release(lane->adapter);
}

static void drain(weir_adapter *adapter)
{
    adapter->held++; /* so that drained is not said before all loops are asked */
    adapter->draining = true;
    if (adapter->listener != NULL) {
        weir_listener_stop(adapter->listener);
    }
    for (unsigned i = 0; i < adapter->lane_count; i++) {
        weir_local_lane *lane = &adapter->lanes[i];
        adapter->held++;
        lane->drain_call = (weir_call){.fn = lane_drain, .arg = lane};
        weir_loop_post(lane->loop, &lane->drain_call);
    }
    weir_local_release(adapter);
}

static void lane_stop(weir_loop *loop, void *arg)
{
    weir_local_lane *lane = arg;
    (void)loop;
    for (weir_local_link *link = lane->links; link != NULL; link = weir_local_link_next(link)) {
        weir_local_link_stop(link);
    }
}

static void links_stop(weir_adapter *adapter)
{
    for (unsigned i = 0; i < adapter->lane_count; i++) {
        weir_loop_call_wait(adapter->lanes[i].loop, lane_stop, &adapter->lanes[i]);
    }
    pthread_mutex_lock(&adapter->lock);
    while (adapter->open > 0) {
        pthread_cond_wait(&adapter->none_open, &adapter->lock);
    }
    pthread_mutex_unlock(&adapter->lock);
}

static void stop(weir_adapter *adapter)
{
    if (adapter->listener != NULL) {
        weir_listener_wait(adapter->listener);
        links_stop(adapter);
        weir_listener_close(adapter->listener); /* [A2] */
    }
    pthread_cond_destroy(&adapter->none_open);
    pthread_mutex_destroy(&adapter->lock);
    free(adapter->lanes);
    free(adapter);
}

static void stats(weir_adapter *adapter,
                  void (*each)(void *arg, const char *metric, uint64_t value), void *arg)
{
    weir_listener_stats listener = {0};
    if (adapter->listener != NULL) {
        weir_listener_stats_get(adapter->listener, &listener);
    }
    each(arg, "weir_local_connections", listener.open);
    each(arg, "weir_local_connections_total", listener.accepted);
    each(arg, "weir_local_connections_refused_total", listener.over + listener.descriptors);
#define TELL_ONE(field, metric) each(arg, metric, weir_counter_get(&adapter->field));
    WEIR_LOCAL_COUNTERS(TELL_ONE)
#undef TELL_ONE
}

const weir_adapter_ops *weir_local_adapter(void)
{
    return &weir_local_ops;
}

const weir_adapter_ops weir_local_ops = {
    .abi = WEIR_ADAPTER_ABI,
    .name = "local",
    .version = WEIR_VERSION_TEXT,
    .configure = configure,
    .start = start,
    .drain = drain,
    .stop = stop,
    .stats = stats,
};
