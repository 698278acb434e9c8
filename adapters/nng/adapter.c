/* adapters/nng/adapter.c - the nng front end's life: settings, start, drain, stop, counters.
 *
 *   configure -> start: create the parts, announce, run -> drain ->
 *   stop: unlisten, close, wait, shut, destroy
 *
 * Happy path: all parts live on one of the host's loops; each says when nothing is in flight any
 * more, and settle tells the host (drain) or stop.
 *
 * Failures: every setting is checked in configure; start undoes what it began. What of the library
 * does not close in time keeps its memory, and the adapter's: threads of nng's may still come to it.
 * They find it left behind and hand nothing over to a loop that may be gone [A2].
 *
 * [A1] A part runs only after all parts were created and announced.
 * [A2] Once left_behind is set and handing was 0, no call reaches a loop. */
#include "adapters/nng/nng_private.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { REP_CONTEXTS = 1024, REP_CONTEXTS_LEAST = 64, REP_CONTEXTS_MOST = 65535 };
enum { REP_SESSION_MS = 600000, REP_SESSION_MS_LEAST = 1000, REP_SESSION_MS_MOST = 86400000 };
enum { PUB_BUFFER_BYTES_LEAST = 16384, PUB_BUFFER_BYTES_MOST = 67108864 };

/* ---- Settings ---------------------------------------------------------------------------------
 */

static weir_err url_configure(weir_adapter *adapter, weir_nng_part part, weir_fault *fault)
{
    static const char *const keys[] = {"rep.url", "pull.url", "pub.url", "push.url"};
    static const char *const fallbacks[] = {"tcp://127.0.0.1:9348", "tcp://127.0.0.1:9349",
                                            "tcp://127.0.0.1:9350", "tcp://127.0.0.1:9351"};
    const char *text = weir_setting_text(adapter->host, keys[part], fallbacks[part]);
    weir_nng_url *url = &adapter->urls[part];
    if (weir_nng_url_parse(text, url) != WEIR_OK) {
        return weir_fault_set(fault, WEIR_INVALID, 0,
                              "nng.%s: \"%.100s\" is not understood; write tcp://127.0.0.1:9348, "
                              "ipc:///path, inproc://name, ws://127.0.0.1:9348/path, or nothing to "
                              "switch it off. Hosts are numeric, localhost or *.",
                              keys[part], text);
    }
    if (!url->loopback && url->transport != WEIR_NNG_OFF && !adapter->insecure) {
        return weir_fault_set(fault, WEIR_INVALID, 0,
                              "nng.%s: \"%.100s\" is not a loopback address, and nobody has to log "
                              "in; say --insecure if everyone who can reach it may use it.",
                              keys[part], text);
    }
    return WEIR_OK;
}

static weir_err push_topic_check(const weir_adapter *adapter, weir_fault *fault)
{
    const char *topic = adapter->push_topic;
    if (topic[0] != '\0' && weir_topic_name_check(weir_bytes_of(topic)) != WEIR_OK) {
        return weir_fault_set(fault, WEIR_INVALID, 0,
                              "nng.push.topic: \"%.100s\" is no topic name; name one topic, or "
                              "nothing to hand nothing out.",
                              topic);
    }
    return WEIR_OK;
}

static weir_err settings_read(weir_adapter *adapter, weir_fault *fault)
{
    weir_host *host = adapter->host;
    uint64_t buffer = host->limits->output_bytes_max;
    weir_err err = weir_setting_bool(host, "nng", "insecure", false, &adapter->insecure, fault);
    for (unsigned part = 0; part < WEIR_NNG_PART_COUNT && err == WEIR_OK; part++) {
        err = url_configure(adapter, (weir_nng_part)part, fault);
    }
    adapter->pub_filter = weir_setting_text(host, "pub.filter", "#");
    adapter->push_topic = weir_setting_text(host, "push.topic", "");
    err = err ? err : push_topic_check(adapter, fault);
    err = err ? err
              : weir_setting_bool(host, "nng", "pub.batch", false, &adapter->batch[WEIR_NNG_PUB],
                                  fault);
    err = err ? err
              : weir_setting_bool(host, "nng", "push.batch", false, &adapter->batch[WEIR_NNG_PUSH],
                                  fault);
    err = err ? err
              : weir_setting_u64(host, "nng", "pub.buffer_bytes", buffer, PUB_BUFFER_BYTES_LEAST,
                                 PUB_BUFFER_BYTES_MOST, &adapter->pub_buffer_bytes, fault);
    err = err ? err
              : weir_setting_u64(host, "nng", "rep.contexts", REP_CONTEXTS, REP_CONTEXTS_LEAST,
                                 REP_CONTEXTS_MOST, &adapter->rep_contexts_max, fault);
    err =
        err ? err
            : weir_setting_u64(host, "nng", "rep.session_ms", REP_SESSION_MS, REP_SESSION_MS_LEAST,
                               REP_SESSION_MS_MOST, &adapter->rep_session_ms, fault);
    return err;
}

static weir_err configure(weir_host *host, weir_adapter **adapter, weir_fault *fault)
{
    weir_adapter *made = NULL;
    weir_err err = WEIR_OK;
    if (host->loops == NULL) {
        return weir_fault_set(fault, WEIR_INVALID, 0, "nng needs a host with I/O threads.");
    }
    made = calloc(1, sizeof(*made));
    if (made == NULL || uv_sem_init(&made->closed, 0) != 0) {
        free(made);
        return weir_fault_set(fault, WEIR_NO_MEMORY, 0, "There is no memory for nng.");
    }
    made->host = host;
    made->loop = weir_loops_at(host->loops, weir_loops_count(host->loops) - 1);
    err = settings_read(made, fault);
    if (err != WEIR_OK) {
        uv_sem_destroy(&made->closed);
        free(made);
        return err;
    }
    *adapter = made;
    return WEIR_OK;
}

/* ---- Start ------------------------------------------------------------------------------------
 */

static weir_err parts_create(weir_adapter *adapter, weir_fault *fault)
{
    weir_err err = WEIR_OK;
    if (adapter->urls[WEIR_NNG_REP].transport != WEIR_NNG_OFF) {
        err = weir_nng_rep_create(adapter, &adapter->rep, fault);
    }
    if (err == WEIR_OK && adapter->urls[WEIR_NNG_PULL].transport != WEIR_NNG_OFF) {
        err = weir_nng_pull_create(adapter, &adapter->pull, fault);
    }
    for (unsigned part = WEIR_NNG_PUB; part < WEIR_NNG_PART_COUNT && err == WEIR_OK; part++) {
        if (adapter->urls[part].transport != WEIR_NNG_OFF) {
            err = weir_nng_out_create(adapter, (weir_nng_part)part, &adapter->out[part], fault);
        }
    }
    return err;
}

static void parts_run(weir_loop *loop, void *arg)
{
    weir_adapter *adapter = arg;
    (void)loop;
    if (adapter->rep != NULL) {
        weir_nng_rep_run(adapter->rep);
    }
    if (adapter->pull != NULL) {
        weir_nng_pull_run(adapter->pull);
    }
    for (unsigned part = WEIR_NNG_PUB; part < WEIR_NNG_PART_COUNT; part++) {
        if (adapter->out[part] != NULL) {
            weir_nng_out_run(adapter->out[part]);
        }
    }
}

static weir_err start(weir_adapter *adapter, weir_fault *fault)
{
    static const char *const names[] = {"nng.rep", "nng.pull", "nng.pub", "nng.push"};
    weir_err err = parts_create(adapter, fault);
    if (err != WEIR_OK) {
        return err; /* stop closes what was opened */
    }
    for (unsigned part = 0; part < WEIR_NNG_PART_COUNT; part++) {
        char text[WEIR_NNG_URL_MAX];
        if (adapter->urls[part].transport != WEIR_NNG_OFF) {
            weir_nng_url_write(&adapter->urls[part], text);
            adapter->host->ops->announce(adapter->host, names[part], text);
        }
    }
    weir_loop_call_wait(adapter->loop, parts_run, adapter); /* [A1] */
    return WEIR_OK;
}

/* ---- Drain and stop ---------------------------------------------------------------------------
 */

static bool all_idle(const weir_adapter *adapter)
{
    bool idle = (adapter->rep == NULL || weir_nng_rep_idle(adapter->rep)) &&
                (adapter->pull == NULL || weir_nng_pull_idle(adapter->pull));
    for (unsigned part = WEIR_NNG_PUB; part < WEIR_NNG_PART_COUNT; part++) {
        idle = idle && (adapter->out[part] == NULL || weir_nng_out_idle(adapter->out[part]));
    }
    return idle;
}

static bool all_closed(const weir_adapter *adapter)
{
    bool closed = (adapter->rep == NULL || weir_nng_rep_closed(adapter->rep)) &&
                  (adapter->pull == NULL || weir_nng_pull_closed(adapter->pull));
    for (unsigned part = WEIR_NNG_PUB; part < WEIR_NNG_PART_COUNT; part++) {
        closed = closed && (adapter->out[part] == NULL || weir_nng_out_closed(adapter->out[part]));
    }
    return closed;
}

void weir_nng_settle(weir_adapter *adapter)
{
    if (adapter->draining && !adapter->drained && all_idle(adapter)) {
        adapter->drained = true;
        adapter->host->ops->drained(adapter->host);
    }
    if (adapter->closing && !adapter->closed_told && all_closed(adapter)) {
        adapter->closed_told = true;
        uv_sem_post(&adapter->closed);
    }
}

static void drain_run(weir_loop *loop, void *arg)
{
    weir_adapter *adapter = arg;
    (void)loop;
    adapter->draining = true;
    if (adapter->rep != NULL) {
        weir_nng_rep_drain(adapter->rep);
    }
    if (adapter->pull != NULL) {
        weir_nng_pull_drain(adapter->pull);
    }
    for (unsigned part = WEIR_NNG_PUB; part < WEIR_NNG_PART_COUNT; part++) {
        if (adapter->out[part] != NULL) {
            weir_nng_out_drain(adapter->out[part]);
        }
    }
    weir_nng_settle(adapter);
}

static void drain(weir_adapter *adapter)
{
    weir_loop_call(adapter->loop, drain_run, adapter); /* before any call of stop's */
}

static void close_run(weir_loop *loop, void *arg)
{
    weir_adapter *adapter = arg;
    (void)loop;
    adapter->closing = true;
    if (adapter->rep != NULL) {
        weir_nng_rep_close(adapter->rep);
    }
    if (adapter->pull != NULL) {
        weir_nng_pull_close(adapter->pull);
    }
    for (unsigned part = WEIR_NNG_PUB; part < WEIR_NNG_PART_COUNT; part++) {
        if (adapter->out[part] != NULL) {
            weir_nng_out_close(adapter->out[part]);
        }
    }
    weir_nng_settle(adapter);
}

void weir_nng_hand(weir_adapter *adapter, weir_call *call)
{
    atomic_fetch_add(&adapter->handing, 1);
    if (!atomic_load(&adapter->left_behind)) { /* [A2] */
        weir_loop_post(adapter->loop, call);
    }
    atomic_fetch_sub(&adapter->handing, 1);
}

static void nothing(weir_loop *loop, void *arg)
{
    (void)loop;
    (void)arg;
}

/* Nothing is handed over any more, and what was has run. */
static void leave_behind(weir_adapter *adapter)
{
    static weir_adapter *left; /* all of them: this memory is kept, not lost; main thread */
    adapter->left_next = left;
    left = adapter;
    atomic_store(&adapter->left_behind, true);
    while (atomic_load(&adapter->handing) > 0) { /* [A2] */
        (void)sched_yield();
    }
    weir_loop_call_wait(adapter->loop, nothing, NULL);
    adapter->host->ops->log(adapter->host, 2,
                            "nng did not close in time; its memory is left behind");
}

static void stop(weir_adapter *adapter)
{
    bool rep_shut = true;
    bool pull_shut = true;
    bool out_shut = true;
    for (unsigned part = WEIR_NNG_PUB; part < WEIR_NNG_PART_COUNT; part++) {
        if (adapter->out[part] != NULL) {
            weir_nng_out_unlisten(adapter->out[part]);
        }
    }
    weir_loop_call_wait(adapter->loop, close_run, adapter);
    uv_sem_wait(&adapter->closed);
    rep_shut = adapter->rep == NULL || weir_nng_rep_shut(adapter->rep);
    pull_shut = adapter->pull == NULL || weir_nng_pull_shut(adapter->pull);
    for (unsigned part = WEIR_NNG_PUB; part < WEIR_NNG_PART_COUNT; part++) {
        out_shut =
            (adapter->out[part] == NULL || weir_nng_out_shut(adapter->out[part])) && out_shut;
    }
    if (!rep_shut || !pull_shut || !out_shut) {
        leave_behind(adapter);
    }
    if (rep_shut) {
        weir_nng_rep_destroy(adapter->rep);
        adapter->rep = NULL;
    }
    if (pull_shut) {
        weir_nng_pull_destroy(adapter->pull);
        adapter->pull = NULL;
    }
    weir_nng_out_destroy(adapter->out[WEIR_NNG_PUB]);
    weir_nng_out_destroy(adapter->out[WEIR_NNG_PUSH]);
    if (!adapter->left_behind) {
        uv_sem_destroy(&adapter->closed);
        free(adapter);
    }
}

/* ---- Counters ---------------------------------------------------------------------------------
 */

static void stats(weir_adapter *adapter,
                  void (*each)(void *arg, const char *metric, uint64_t value), void *arg)
{
    const weir_nng_counters *counters = &adapter->counters;
#define STATS_TELL(field, metric) each(arg, metric, weir_counter_get(&counters->field));
    WEIR_NNG_COUNTERS_LIST(STATS_TELL)
#undef STATS_TELL
}

static const weir_adapter_ops ops = {
    .abi = WEIR_ADAPTER_ABI,
    .name = "nng",
    .version = WEIR_VERSION_TEXT,
    .configure = configure,
    .start = start,
    .drain = drain,
    .stop = stop,
    .stats = stats,
};

const weir_adapter_ops *weir_nng_adapter(void)
{
    return &ops;
}
