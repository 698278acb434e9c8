/* adapters/websocket/adapter.c - the ops table: settings, listening, draining, stopping, counting.
 *
 *   configure   reads the settings
 *   start       a lane on each loop (HTTP context, MQTT context), then the listener
 *   drain       the listener stops; each lane tells its links; the last link to go tells the host
 *   stop        links are reset; when their sessions are idle the lanes close
 *
 * Failures: a setting that is wrong, a port that is taken: start undoes what it did in stop, which
 * is called in any case. A session that the engine never answers: stop waits WEIR_WEB_STOP_MS_MAX
 * and then leaves that link's memory alone, since a completion may still name it.
 *
 * [A1] host->drained is called once, and only after drain. */
#include "adapters/websocket/adapter.h"

#include "adapters/shared/client_ids.h"
#include "adapters/shared/settings.h"
#include "adapters/websocket/http.h"
#include "adapters/websocket/link.h"
#include "adapters/websocket/speak_mqtt.h"
#include "adapters/websocket/tls.h"
#include "core/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HTTP_CLOSE_TURNS = 4 }; /* that libwebsockets' handles need to close */

/* ---- Settings ------------------------------------------------------------------------------ */

static bool is_loopback_address(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

static weir_err settings_read(weir_adapter *adapter, weir_fault *fault)
{
    weir_host *host = adapter->host;
    uint64_t port = 0;
    bool echo = false, insecure = false;
    weir_err err = weir_setting_u64(host, WEIR_WEB_SECTION, "port", WEIR_WEB_PORT, 0, UINT16_MAX,
                                    &port, fault);
    if (err == WEIR_OK) {
        err = weir_setting_u64(host, WEIR_WEB_SECTION, "ping_ms", WEIR_WEB_PING_MS, 0, 3600000,
                               &adapter->ping_ms, fault);
    }
    if (err == WEIR_OK) {
        err = weir_setting_u64(host, WEIR_WEB_SECTION, "upgrade_ms_max", WEIR_WEB_UPGRADE_MS_MAX,
                               100, 600000, &adapter->upgrade_ms_max, fault);
    }
    if (err == WEIR_OK) {
        err = weir_setting_u64(host, WEIR_WEB_SECTION, "message_ms_max", WEIR_WEB_MESSAGE_MS_MAX,
                               100, 3600000, &adapter->message_ms_max, fault);
    }
    if (err == WEIR_OK) {
        err = weir_setting_bool(host, WEIR_WEB_SECTION, "test_echo", false, &echo, fault);
    }
    if (err == WEIR_OK) {
        err = weir_setting_bool(host, WEIR_WEB_SECTION, "insecure", false, &insecure, fault);
    }
    if (err == WEIR_OK) {
        adapter->address = weir_setting_text(host, "address", "127.0.0.1");
        adapter->port = (uint16_t)port;
        adapter->insecure = insecure;
        adapter->policy = (weir_ws_policy){
            .echo = echo,
            .loopback_only = is_loopback_address(adapter->address),
            .origins = weir_setting_text(host, "origins", NULL),
        };
    }
    return err;
}

static weir_err configure(weir_host *host, weir_adapter **out, weir_fault *fault)
{
    weir_adapter *adapter = calloc(1, sizeof(*adapter));
    if (adapter == NULL) {
        return weir_fault_set(fault, WEIR_NO_MEMORY, 0, "HTTP needs more memory.");
    }
    adapter->host = host;
    (void)pthread_mutex_init(&adapter->starting, NULL);
    weir_err err = settings_read(adapter, fault);
    if (err == WEIR_OK) {
        err = weir_web_tls_configure(adapter, fault);
    }
    if (err != WEIR_OK) {
        free(adapter);
        return err;
    }
    *out = adapter;
    return WEIR_OK;
}

/* ---- Start --------------------------------------------------------------------------------- */

typedef struct lane_start {
    weir_web_lane *lane;
    weir_err err;
} lane_start;

static void lane_open(weir_loop *loop, void *arg)
{
    lane_start *start = arg;
    (void)loop;
    start->err = weir_web_mqtt_lane_open(start->lane);
    if (start->err == WEIR_OK) {
        start->err = weir_web_http_open(start->lane);
    }
}

static weir_err lanes_open(weir_adapter *adapter, weir_fault *fault)
{
    struct weir_loops *loops = adapter->host->loops;
    unsigned count = weir_loops_count(loops);
    adapter->lanes = calloc(count, sizeof(*adapter->lanes));
    if (adapter->lanes == NULL) {
        return weir_fault_set(fault, WEIR_NO_MEMORY, 0, "HTTP needs more memory.");
    }
    for (unsigned i = 0; i < count; i++) {
        lane_start opened = {.lane = &adapter->lanes[i]};
        opened.lane->adapter = adapter;
        opened.lane->loop = weir_loops_at(loops, i);
        adapter->lane_count = i + 1;
        weir_loop_call_wait(opened.lane->loop, lane_open, &opened);
        if (opened.err != WEIR_OK) {
            return weir_fault_set(fault, opened.err, 0,
                                  "libwebsockets could not start (%s); is its libuv plug-in "
                                  "(package libwebsockets-evlib-uv) installed?",
                                  weir_err_name(opened.err));
        }
    }
    return WEIR_OK;
}

static weir_err start(weir_adapter *adapter, weir_fault *fault)
{
    weir_host *host = adapter->host;
    adapter->client_ids = weir_client_ids_keep(host->loops);
    if (adapter->client_ids == NULL) {
        return weir_fault_set(fault, WEIR_NO_MEMORY, 0, "HTTP needs more memory.");
    }
    weir_err err = lanes_open(adapter, fault);
    if (err != WEIR_OK) {
        return err;
    }
    const weir_listener_config config = {
        .loops = host->loops,
        .section = WEIR_WEB_SECTION,
        .address = adapter->address,
        .port = adapter->port,
        .enabled_key = WEIR_WEB_SECTION ".enabled",
        .insecure = adapter->insecure,
        .connections_max = host->limits->connections_max,
        .accepted = weir_web_link_accept,
        .arg = adapter,
    };
    pthread_mutex_lock(&adapter->starting);
    err = weir_listener_open(&config, &adapter->listener, fault);
    pthread_mutex_unlock(&adapter->starting);
    if (err == WEIR_OK) {
        host->ops->announce(host, WEIR_WEB_SECTION, weir_listener_address(adapter->listener));
    }
    return err;
}

/* ---- Drain and stop ------------------------------------------------------------------------ */

static void drained_check(weir_adapter *adapter)
{
    if (atomic_load(&adapter->draining) && weir_counter_get(&adapter->links_live) == 0 &&
        !atomic_exchange(&adapter->drained_told, true)) {
        adapter->host->ops->drained(adapter->host); /* [A1] */
    }
}

void weir_web_link_gone(weir_adapter *adapter)
{
    weir_counter_subtract(&adapter->links_live, 1);
    drained_check(adapter);
}

static void lane_drain(weir_loop *loop, void *arg)
{
    weir_web_lane *lane = arg;
    (void)loop;
    for (weir_web_link *link = lane->links; link != NULL; link = link->next) {
        weir_web_link_drain(link); /* frees nothing: that is the turn end's */
    }
    weir_web_link_gone(lane->adapter); /* the count that drain lent this call */
}

static void drain(weir_adapter *adapter)
{
    weir_counter_add(&adapter->links_live, adapter->lane_count + 1);
    atomic_store(&adapter->draining, true);
    if (adapter->listener != NULL) {
        weir_listener_stop(adapter->listener);
    }
    for (unsigned i = 0; i < adapter->lane_count; i++) {
        weir_web_lane *lane = &adapter->lanes[i];
        lane->call = (weir_call){.fn = lane_drain, .arg = lane};
        weir_loop_post(lane->loop, &lane->call);
    }
    weir_web_link_gone(adapter);
}

static void lane_reset(weir_loop *loop, void *arg)
{
    weir_web_lane *lane = arg;
    (void)loop;
    for (weir_web_link *link = lane->links; link != NULL; link = link->next) {
        weir_conn_reset(&link->conn, WEIR_CLOSED);
    }
}

static void lane_http_begin(weir_loop *loop, void *arg)
{
    (void)loop;
    weir_web_http_close_begin(arg);
}

static void lane_nothing(weir_loop *loop, void *arg)
{
    (void)arg; /* a turn for libwebsockets' handles to close in */
    weir_loop_kick(loop);
}

static void lane_close(weir_loop *loop, void *arg)
{
    weir_web_lane *lane = arg;
    (void)loop;
    weir_web_http_close_end(lane);
    if (lane->links == NULL) {
        weir_web_mqtt_lane_close(lane);
    }
}

/* True when every link is freed. */
static bool links_wait(weir_adapter *adapter)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    for (unsigned waited_ms = 0; weir_counter_get(&adapter->links_live) > 0; waited_ms++) {
        if (waited_ms == WEIR_WEB_STOP_MS_MAX) {
            weir_log(WEIR_LOG_ERROR, "websocket", "stop=timeout links=%llu",
                     (unsigned long long)weir_counter_get(&adapter->links_live));
            return false;
        }
        (void)nanosleep(&pause, NULL);
    }
    return true;
}

static void lanes_call(weir_adapter *adapter, void (*fn)(weir_loop *loop, void *arg))
{
    for (unsigned i = 0; i < adapter->lane_count; i++) {
        weir_loop_call_wait(adapter->lanes[i].loop, fn, &adapter->lanes[i]);
    }
}

static void stop(weir_adapter *adapter)
{
    bool clean = true;
    if (adapter->listener != NULL) {
        weir_listener_wait(adapter->listener);
        lanes_call(adapter, lane_reset);
        clean = links_wait(adapter);
    }
    lanes_call(adapter, lane_http_begin);
    for (unsigned turn = 0; turn < HTTP_CLOSE_TURNS; turn++) {
        lanes_call(adapter, lane_nothing);
    }
    lanes_call(adapter, lane_close);
    if (!clean) {
        return; /* a completion may still name a link: its memory stays, and so does ours */
    }
    weir_listener_close(adapter->listener);
    weir_client_ids_drop(adapter->client_ids);
    weir_web_tls_fini(adapter);
    pthread_mutex_destroy(&adapter->starting);
    free(adapter->lanes);
    free(adapter);
}

/* ---- Counters ------------------------------------------------------------------------------ */

static void mqtt_each(const weir_adapter *adapter,
                      void (*each)(void *arg, const char *metric, uint64_t value), void *arg)
{
    uint64_t sum = 0;
#define ADD_UP(field, metric, help)                                                                \
    sum = 0;                                                                                       \
    for (unsigned i = 0; i < adapter->lane_count; i++) {                                           \
        sum += weir_counter_get(&adapter->lanes[i].mqtt_counters.field);                           \
    }                                                                                              \
    each(arg, metric, sum);
    WEIR_MQTT_STATS_LIST(ADD_UP)
#undef ADD_UP
}

void weir_web_stats_each(weir_adapter *adapter,
                         void (*each)(void *arg, const char *metric, uint64_t value), void *arg)
{
    weir_listener_stats listener = {0};
    if (adapter->listener != NULL) {
        weir_listener_stats_get(adapter->listener, &listener);
    }
    each(arg, "weir_http_connections", listener.open);
    each(arg, "weir_http_connections_total", listener.accepted);
    each(arg, "weir_refused_connections_total", listener.over);
    each(arg, "weir_http_refused_descriptors_total", listener.descriptors);
#define TELL(field, metric, help) each(arg, metric, weir_counter_get(&adapter->stats.field));
    WEIR_WEB_STATS_LIST(TELL)
#undef TELL
    mqtt_each(adapter, each, arg);
}

/* ---- The table ----------------------------------------------------------------------------- */

static const weir_adapter_ops ops = {
    .abi = WEIR_ADAPTER_ABI,
    .name = WEIR_WEB_SECTION,
    .version = WEIR_VERSION_TEXT,
    .configure = configure,
    .start = start,
    .drain = drain,
    .stop = stop,
    .stats = weir_web_stats_each,
};

const weir_adapter_ops *weir_websocket_adapter(void)
{
    return &ops;
}
