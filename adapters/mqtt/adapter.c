/* adapters/mqtt/adapter.c - alone responsible for the MQTT front end's life: settings, listener,
 * stats.
 *
 *     configure: settings, certificate -> start: hubs, listeners, announce -> drain -> stop
 *
 * There is one door for each port: "mqtt", and "mqtts" when mqtt.tls.certificate is set. Both count
 * against the same connections_max.
 *
 * Failures: configure and start say which setting to change; what start had made when it failed is
 * undone by stop, which the host calls either way. */
#include "adapters/mqtt/adapter.h"

#include "adapters/mqtt/transport.h"
#include "adapters/shared/listener.h"
#include "adapters/shared/settings.h"
#include "adapters/shared/tls.h"

#include <stdlib.h>

#define SECTION "mqtt"

enum { PORT_DEFAULT = 1883, PORT_TLS_DEFAULT = 8883, PORT_MAX = 65535 };

struct weir_adapter {
    weir_host *host;
    weir_listener_config listen;
    weir_mqtt_transport *transport;
    weir_mqtt_door door;
    weir_mqtt_door tls_door;
    weir_tls *tls; /* NULL: no second door */
    uint16_t tls_port;
};

static weir_err settings_read(weir_adapter *self, weir_fault *fault)
{
    weir_host *host = self->host;
    weir_listener_config *listen = &self->listen;
    uint64_t port = 0;
    weir_err err = weir_setting_u64(host, SECTION, "port", PORT_DEFAULT, 0, PORT_MAX, &port, fault);
    if (err == WEIR_OK) {
        err = weir_setting_bool(host, SECTION, "insecure", false, &listen->insecure, fault);
    }
    if (err == WEIR_OK) {
        err = weir_setting_u64(host, SECTION, "connections_max", host->limits->connections_max, 1,
                               1000000, &listen->connections_max, fault);
    }
    listen->loops = host->loops;
    listen->section = SECTION;
    listen->address = weir_setting_text(host, "address", "127.0.0.1");
    listen->port = (uint16_t)port;
    listen->accepted = weir_mqtt_transport_accepted;
    return err;
}

static weir_err tls_read(weir_adapter *self, weir_fault *fault)
{
    weir_host *host = self->host;
    uint64_t port = 0;
    const weir_tls_config config = {
        .section = SECTION,
        .certificate = weir_setting_text(host, "tls.certificate", NULL),
        .key = weir_setting_text(host, "tls.key", NULL),
        .client_ca = weir_setting_text(host, "tls.client_ca", NULL),
    };
    weir_err err =
        weir_setting_u64(host, SECTION, "tls.port", PORT_TLS_DEFAULT, 0, PORT_MAX, &port, fault);
    if (err != WEIR_OK || config.certificate == NULL) {
        return err;
    }
    self->tls_port = (uint16_t)port;
    return weir_tls_create(&config, &self->tls, fault);
}

static weir_err mqtt_configure(weir_host *host, weir_adapter **adapter, weir_fault *fault)
{
    weir_err err = WEIR_OK;
    weir_adapter *made = NULL;
    if (host->loops == NULL) {
        return weir_fault_set(fault, WEIR_INVALID, 0, SECTION ": this host has no I/O threads.");
    }
    made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return weir_fault_set(fault, WEIR_NO_MEMORY, 0, SECTION ": there is no memory to start.");
    }
    made->host = host;
    err = settings_read(made, fault);
    if (err == WEIR_OK) {
        err = tls_read(made, fault);
    }
    if (err != WEIR_OK) {
        free(made);
        return err;
    }
    *adapter = made;
    return WEIR_OK;
}

static weir_err door_open(weir_adapter *self, weir_mqtt_door *door, const char *name,
                          weir_fault *fault)
{
    weir_err err = WEIR_OK;
    door->transport = self->transport;
    self->listen.arg = door;
    err = weir_listener_open(&self->listen, &door->listener, fault);
    if (err == WEIR_OK) {
        self->host->ops->announce(self->host, name, weir_listener_address(door->listener));
    }
    return err;
}

static weir_err mqtt_start(weir_adapter *self, weir_fault *fault)
{
    weir_err err = weir_mqtt_transport_create(self->host, &self->transport);
    if (err != WEIR_OK) {
        return weir_fault_set(fault, err, 0, SECTION ": there is no memory to start.");
    }
    self->listen.enabled_key = SECTION ".enabled";
    err = door_open(self, &self->door, SECTION, fault);
    if (err == WEIR_OK && self->tls != NULL) {
        self->tls_door.filter = weir_tls_filter;
        self->tls_door.filter_arg = self->tls;
        self->listen.port_key = "tls.port";
        self->listen.port = self->tls_port;
        self->listen.with = self->door.listener;
        err = door_open(self, &self->tls_door, SECTION "s", fault);
    }
    return err;
}

static void drained(void *arg)
{
    weir_host *host = arg;
    host->ops->drained(host);
}

static void mqtt_drain(weir_adapter *self)
{
    weir_listener_stop(self->door.listener);
    if (self->tls_door.listener != NULL) {
        weir_listener_stop(self->tls_door.listener);
    }
    weir_mqtt_transport_drain(self->transport, drained, self->host);
}

static void mqtt_stop(weir_adapter *self)
{
    if (self->door.listener != NULL) {
        weir_listener_wait(self->door.listener);
    }
    if (self->tls_door.listener != NULL) {
        weir_listener_wait(self->tls_door.listener);
    }
    if (self->transport != NULL && weir_mqtt_transport_stop(self->transport) != WEIR_OK) {
        self->host->ops->log(self->host, 3,
                             "the engine did not answer; what it still holds is given up with it");
        return; /* completions may still name this memory */
    }
    weir_mqtt_transport_destroy(self->transport);
    weir_listener_close(self->tls_door.listener);
    weir_listener_close(self->door.listener);
    weir_tls_destroy(self->tls);
    free(self);
}

static void mqtt_stats(weir_adapter *self,
                       void (*each)(void *arg, const char *metric, uint64_t value), void *arg)
{
    weir_listener_stats stats;
    weir_listener_stats tls = {0};
    weir_listener_stats_get(self->door.listener, &stats);
    if (self->tls_door.listener != NULL) {
        weir_listener_stats_get(self->tls_door.listener, &tls);
    }
    each(arg, "weir_mqtt_connections", stats.open);
    each(arg, "weir_mqtt_connections_total", stats.accepted + tls.accepted);
    each(arg, "weir_mqtt_refused_descriptors_total", stats.descriptors + tls.descriptors);
    each(arg, "weir_refused_connections_total", stats.over + tls.over);
    weir_mqtt_transport_stats(self->transport, each, arg);
}

static const weir_adapter_ops ops = {
    .abi = WEIR_ADAPTER_ABI,
    .name = SECTION,
    .version = WEIR_VERSION_TEXT,
    .configure = mqtt_configure,
    .start = mqtt_start,
    .drain = mqtt_drain,
    .stop = mqtt_stop,
    .stats = mqtt_stats,
};

const weir_adapter_ops *weir_mqtt_adapter(void)
{
    return &ops;
}
