/* programs/host.c - the hosts that adapters run in.
 *
 *     create: tables found -> start: configured, started -> drain -> stop -> destroy
 *
 * Built-in adapters stand in one small table here; others are loaded by path. Each gets a host of
 * its own that answers for its settings. Happy path: all start in the order of the table, each
 * announces its listeners. Failures: the first that does not start ends the start; stop then runs
 * for those that were configured, newest first.
 *
 * [H1] stop is called once for each adapter that was configured. [H2] Announcements are taken only
 * while start runs, on the main thread; drained may come from any thread. [H3] Counters are read
 * under the lock, from adapters that have started and were not asked to drain. */
#include "programs/host.h"

#include "adapters/local/adapter.h"
#include "adapters/mqtt/adapter.h"
#include "adapters/nng/adapter.h"
#include "adapters/nng/url.h"
#include "adapters/shared/load.h"
#include "adapters/shared/tls.h"
#include "adapters/websocket/adapter.h"

#include "programs/say.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { HOSTS_MAX = 8 + WEIR_CONFIG_ADAPTERS_MAX, ANNOUNCED_MAX = 8192 };

typedef struct built_in {
    const weir_adapter_ops *(*ops)(void);
    weir_key enabled;
} built_in;

static const built_in built_ins[] = {
    {weir_mqtt_adapter, WEIR_KEY_mqtt_enabled},
    {weir_local_adapter, WEIR_KEY_local_enabled},
    {weir_websocket_adapter, WEIR_KEY_http_enabled},
    {weir_nng_adapter, WEIR_KEY_nng_enabled},
};

typedef struct host {
    weir_host outer; /* first: what the adapter sees */
    weir_hosts *hosts;
    const weir_adapter_ops *ops;
    weir_adapter *adapter;                /* NULL until configured */
    const weir_adapter_entry *entry;      /* NULL: built in */
    bool asked[WEIR_CONFIG_SETTINGS_MAX]; /* of entry's settings, while configuring */
    bool configuring;
    bool started;
    bool serving; /* under the lock: [H3] */
    atomic_bool drained;
} host;

struct weir_hosts {
    const weir_config *config;
    host list[HOSTS_MAX];
    size_t count;
    int drained_fd;
    pthread_mutex_t lock;
    char announced[ANNOUNCED_MAX];
    size_t announced_len;
};

/* ---- What a host does for its adapter ---------------------------------------------------------
 */

static const char *host_setting(weir_host *outer, const char *key)
{
    host *own = (host *)outer;
    size_t count = own->configuring && own->entry != NULL ? own->entry->setting_count : 0;
    for (size_t i = 0; i < count; i++) {
        own->asked[i] = own->asked[i] || strcmp(own->entry->settings[i].key, key) == 0;
    }
    return weir_config_setting(own->hosts->config, own->ops->name, key);
}

static void host_announce(weir_host *outer, const char *name, const char *address)
{
    weir_hosts *hosts = ((host *)outer)->hosts;
    size_t room = sizeof(hosts->announced) - hosts->announced_len;
    int len = snprintf(hosts->announced + hosts->announced_len, room, "%s %s\n", name, address);
    if (len < 0 || (size_t)len >= room) {
        hosts->announced[hosts->announced_len] = '\0';
        weir_say("the ports file has no room for listener %s", name);
        return;
    }
    hosts->announced_len += (size_t)len;
}

static void host_drained(weir_host *outer)
{
    host *own = (host *)outer;
    uint64_t one = 1;
    atomic_store(&own->drained, true);
    if (write(own->hosts->drained_fd, &one, sizeof(one)) < 0) {
        return; /* the counter is at its largest: readable already */
    }
}

static void host_log(weir_host *outer, int level, const char *line)
{
    static const char *const words[] = {"debug", "info", "warning", "error"};
    if (level >= 1 && level <= 3) {
        weir_say("%s: %s: %s", ((host *)outer)->ops->name, words[level], line);
    }
}

typedef struct counters_call {
    weir_host_counter_fn each;
    void *arg;
    const char *adapter;
} counters_call;

static void counter_tell(void *arg, const char *metric, uint64_t value)
{
    const counters_call *call = arg;
    call->each(call->arg, call->adapter, metric, value);
}

static void host_counters(weir_host *outer, weir_host_counter_fn each, void *arg)
{
    weir_hosts *hosts = ((host *)outer)->hosts;
    pthread_mutex_lock(&hosts->lock);
    for (size_t i = 0; i < hosts->count; i++) {
        const host *one = &hosts->list[i];
        counters_call call = {each, arg, one->ops->name};
        if (one->serving) {
            one->ops->stats(one->adapter, counter_tell, &call);
        }
    }
    pthread_mutex_unlock(&hosts->lock);
}

static void serving_set(host *own, bool serving)
{
    pthread_mutex_lock(&own->hosts->lock);
    own->serving = serving;
    pthread_mutex_unlock(&own->hosts->lock);
}

static const weir_host_ops host_ops = {
    .setting = host_setting,
    .announce = host_announce,
    .drained = host_drained,
    .log = host_log,
    .counters = host_counters,
};

/* ---- Life cycle -------------------------------------------------------------------------------
 */

static void host_add(weir_hosts *hosts, const weir_adapter_ops *ops,
                     const weir_adapter_entry *entry)
{
    host *own = &hosts->list[hosts->count++];
    own->hosts = hosts;
    own->ops = ops;
    own->entry = entry;
    own->outer.ops = &host_ops;
}

/* Gives a fault the line of weir.yaml that it is about, where one is. */
static void place_put(const weir_config *config, weir_place place, weir_fault *fault)
{
    if (place.line != 0 && config->file != NULL) {
        snprintf(fault->file, sizeof(fault->file), "%s", config->file);
        fault->line = place.line;
        fault->column = place.column;
    }
}

static weir_err tables_collect(weir_hosts *hosts, weir_fault *fault)
{
    const weir_config *config = hosts->config;
    for (size_t i = 0; i < sizeof(built_ins) / sizeof(built_ins[0]); i++) {
        if (weir_config_number(config, built_ins[i].enabled) != 0) {
            host_add(hosts, built_ins[i].ops(), NULL);
        }
    }
    for (size_t i = 0; i < config->adapter_count; i++) {
        const weir_adapter_ops *ops = NULL;
        weir_err err =
            weir_adapter_load(config->adapters[i].name, config->adapters[i].path, &ops, fault);
        if (err != WEIR_OK) {
            place_put(config, config->adapters[i].place, fault);
            return err;
        }
        host_add(hosts, ops, &config->adapters[i]);
    }
    return WEIR_OK;
}

static weir_err tls_try(const weir_config *config, const char *section, weir_key certificate,
                        weir_key key, weir_key client_ca, weir_fault *fault)
{
    weir_tls_config files = {section, weir_config_text(config, certificate),
                             weir_config_text(config, key), weir_config_text(config, client_ca)};
    const char *name = weir_key_row_of(certificate)->name;
    weir_tls *tls = NULL;
    weir_err err = files.certificate == NULL ? WEIR_OK : weir_tls_create(&files, &tls, fault);
    if (err != WEIR_OK && access(files.certificate, R_OK) != 0) {
        err = weir_fault_fill(fault, err, NULL, 0, 0, "%s: %.200s cannot be read: %s", name,
                              files.certificate, strerror(errno));
    } else if (err != WEIR_OK && files.key == NULL) {
        err =
            weir_fault_fill(fault, err, NULL, 0, 0,
                            "%s is set without %s, and %.200s cannot be used with a key of its own",
                            name, weir_key_row_of(key)->name, files.certificate);
    } else if (err != WEIR_OK && files.key != NULL && access(files.key, R_OK) != 0) {
        err = weir_fault_fill(fault, err, NULL, 0, 0, "%s: %.200s cannot be read: %s",
                              weir_key_row_of(key)->name, files.key, strerror(errno));
    }
    if (err != WEIR_OK) {
        place_put(config, config->values[certificate].place, fault);
    }
    weir_tls_destroy(tls);
    return err;
}

static weir_err urls_check(const weir_config *config, weir_fault *fault)
{
    static const weir_key urls[] = {WEIR_KEY_nng_rep_url, WEIR_KEY_nng_pull_url,
                                    WEIR_KEY_nng_pub_url, WEIR_KEY_nng_push_url};
    bool insecure = weir_config_number(config, WEIR_KEY_insecure) != 0;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        const weir_value *value = &config->values[urls[i]];
        const char *name = weir_key_row_of(urls[i])->name;
        const char *file = value->place.line != 0 ? config->file : NULL;
        weir_nng_url url = {0};
        if (weir_nng_url_parse(value->text, &url) != WEIR_OK) {
            return weir_fault_fill(
                fault, WEIR_INVALID, file, value->place.line, value->place.column,
                "%s: \"%.100s\" is not understood; write tcp://127.0.0.1:9348, ipc:///path, "
                "inproc://name, ws://127.0.0.1:9348/path, or nothing to switch it off",
                name, value->text);
        }
        if (url.transport != WEIR_NNG_OFF && !url.loopback && !insecure) {
            return weir_fault_fill(
                fault, WEIR_INVALID, file, value->place.line, value->place.column,
                "%s: \"%.100s\" is not a loopback address, and nobody has to log "
                "in; say --insecure if everyone who can reach it may use it",
                name, value->text);
        }
    }
    return WEIR_OK;
}

/* What can be told of the built-in ones' settings without a start. */
static weir_err settings_check(const weir_config *config, weir_fault *fault)
{
    weir_err err = WEIR_OK;
    if (weir_config_number(config, WEIR_KEY_mqtt_enabled) != 0) {
        err = tls_try(config, "mqtt", WEIR_KEY_mqtt_tls_certificate, WEIR_KEY_mqtt_tls_key,
                      WEIR_KEY_mqtt_tls_client_ca, fault);
    }
    if (err == WEIR_OK && weir_config_number(config, WEIR_KEY_http_enabled) != 0) {
        err = tls_try(config, "http", WEIR_KEY_http_tls_certificate, WEIR_KEY_http_tls_key,
                      WEIR_KEY_http_tls_client_ca, fault);
    }
    if (err == WEIR_OK && weir_config_number(config, WEIR_KEY_nng_enabled) != 0) {
        err = urls_check(config, fault);
    }
    return err;
}

weir_err weir_hosts_create(const weir_config *config, weir_hosts **out, weir_fault *fault)
{
    weir_hosts *hosts = calloc(1, sizeof(*hosts));
    weir_err err;
    if (hosts == NULL) {
        return weir_fault_fill(fault, WEIR_NO_MEMORY, NULL, 0, 0, "memory ran out at start");
    }
    hosts->config = config;
    pthread_mutex_init(&hosts->lock, NULL);
    hosts->drained_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (hosts->drained_fd < 0) {
        free(hosts);
        return weir_fault_fill(fault, WEIR_IO, NULL, 0, 0,
                               "no event descriptor could be had; raise the limit of open files");
    }
    err = settings_check(config, fault);
    if (err == WEIR_OK) {
        err = tables_collect(hosts, fault);
    }
    if (err != WEIR_OK) {
        weir_hosts_destroy(hosts);
        return err;
    }
    *out = hosts;
    return WEIR_OK;
}

/* Configures one; what is set and was not asked for is a mistake in the name. */
static weir_err host_configure(host *own, weir_fault *fault)
{
    const weir_adapter_entry *entry = own->entry;
    weir_err err;
    own->configuring = true;
    err = own->ops->configure(&own->outer, &own->adapter, fault);
    own->configuring = false;
    for (size_t i = 0; err == WEIR_OK && entry != NULL && i < entry->setting_count; i++) {
        if (!own->asked[i]) {
            err = weir_fault_fill(fault, WEIR_INVALID, own->hosts->config->file, entry->place.line,
                                  entry->place.column,
                                  "adapter %s has no setting \"%.64s\": correct its name, or leave "
                                  "it out",
                                  entry->name, entry->settings[i].key);
        }
    }
    return err;
}

weir_err weir_hosts_start(weir_hosts *hosts, weir_engine *engine, struct weir_loops *loops,
                          weir_fault *fault)
{
    weir_err err = WEIR_OK;
    for (size_t i = 0; i < hosts->count && err == WEIR_OK; i++) {
        host *own = &hosts->list[i];
        own->outer.engine = engine;
        own->outer.limits = weir_engine_limits(engine);
        own->outer.data_dir = weir_config_text(hosts->config, WEIR_KEY_data);
        own->outer.loops = loops;
        err = host_configure(own, fault);
    }
    for (size_t i = 0; i < hosts->count && err == WEIR_OK; i++) {
        host *own = &hosts->list[i];
        err = own->ops->start(own->adapter, fault);
        own->started = err == WEIR_OK;
        serving_set(own, own->started);
    }
    return err;
}

void weir_hosts_drain(weir_hosts *hosts)
{
    for (size_t i = 0; i < hosts->count; i++) {
        if (hosts->list[i].started) {
            serving_set(&hosts->list[i], false);
            hosts->list[i].ops->drain(hosts->list[i].adapter);
        }
    }
}

bool weir_hosts_drained(const weir_hosts *hosts)
{
    uint64_t ignored;
    ssize_t got = read(hosts->drained_fd, &ignored, sizeof(ignored));
    (void)got; /* nothing to read means nothing new; the flags below decide */
    for (size_t i = 0; i < hosts->count; i++) {
        if (hosts->list[i].started && !atomic_load(&hosts->list[i].drained)) {
            return false;
        }
    }
    return true;
}

int weir_hosts_fd(const weir_hosts *hosts)
{
    return hosts->drained_fd;
}

void weir_hosts_stop(weir_hosts *hosts)
{
    for (size_t i = hosts->count; i > 0; i--) {
        host *own = &hosts->list[i - 1];
        if (own->adapter != NULL) {
            serving_set(own, false);
            own->ops->stop(own->adapter);
            own->adapter = NULL;
            own->started = false;
        }
    }
}

void weir_hosts_destroy(weir_hosts *hosts)
{
    if (hosts == NULL) {
        return;
    }
    close(hosts->drained_fd);
    pthread_mutex_destroy(&hosts->lock);
    free(hosts);
}

const char *weir_hosts_announced(const weir_hosts *hosts)
{
    return hosts->announced;
}
