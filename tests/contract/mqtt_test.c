/* What the MQTT front end owes beside the contract: client ids across loops, deadlines, wills,
 * limits. */
#include "contract.h"
#include "gateway.h"

#include "adapters/mqtt/adapter.h"
#include "adapters/proto/mqtt/codec.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

enum { PACKET_MAX = 4096 };

const char *contract_argument;

/* ---- A client that looks at packets ---------------------------------------------------------- */

typedef struct client {
    contract_peer peer; /* first */
    uint8_t version;
    weir_mqtt_packet packet; /* the last read; its spans are in `bytes` */
    uint8_t bytes[PACKET_MAX];
} client;

static size_t packet_decode(contract_peer *peer, weir_bytes in, contract_event *event)
{
    client *self = (client *)peer;
    size_t used = 0;
    size_t len = in.len < sizeof(self->bytes) ? in.len : sizeof(self->bytes);
    memcpy(self->bytes, in.ptr, len);
    if (weir_mqtt_decode((weir_bytes){self->bytes, len}, self->version, &self->packet, &used) !=
        WEIR_OK) {
        return 0;
    }
    event->type = CONTRACT_OTHER;
    return used;
}

/* The type of the next packet; 0: the connection's end. */
static uint8_t client_next(client *self)
{
    static contract_event event;
    contract_socket_read(&self->peer, DEADLINE_MS, &event, packet_decode);
    assert_int_not_equal(event.type, CONTRACT_NOTHING);
    return event.type == CONTRACT_END ? 0 : self->packet.type;
}

static void client_send(client *self, const weir_mqtt_packet *packet)
{
    uint8_t bytes[PACKET_MAX];
    size_t len = weir_mqtt_encode(self->version, packet, NULL, 0, bytes, sizeof(bytes));
    assert_true(len > 0 && len <= sizeof(bytes));
    contract_socket_send(&self->peer, bytes, len);
}

static void client_dial(client *self, const gateway *at)
{
    *self = (client){.peer = {.fd = -1}, .version = WEIR_MQTT_5};
    assert_true(contract_socket_connect(&self->peer, at->host.address));
}

static weir_mqtt_packet connect_packet(const char *id)
{
    return (weir_mqtt_packet){.type = WEIR_MQTT_CONNECT,
                              .connect = {.version = WEIR_MQTT_5,
                                          .clean = true,
                                          .client_id = weir_bytes_of(id),
                                          .keep_alive_seconds = 60}};
}

static void client_connect(client *self, const gateway *at, const char *id)
{
    weir_mqtt_packet packet = connect_packet(id);
    client_dial(self, at);
    client_send(self, &packet);
    assert_int_equal(client_next(self), WEIR_MQTT_CONNACK);
    assert_int_equal(self->packet.reason, WEIR_MQTT_SUCCESS);
}

static void client_subscribe(client *self, const char *filter)
{
    uint8_t payload[128];
    size_t len = weir_mqtt_filter_encode(weir_bytes_of(filter), true, 0, payload, sizeof(payload));
    weir_mqtt_packet packet = {.type = WEIR_MQTT_SUBSCRIBE, .id = 1, .payload = {payload, len}};
    client_send(self, &packet);
    assert_int_equal(client_next(self), WEIR_MQTT_SUBACK);
}

static void client_close(client *self)
{
    contract_socket_close(&self->peer);
}

static void client_ping(client *self)
{
    weir_mqtt_packet packet = {.type = WEIR_MQTT_PINGREQ};
    client_send(self, &packet);
    assert_int_equal(client_next(self), WEIR_MQTT_PINGRESP);
}

static bool bytes_are(weir_bytes bytes, const char *text)
{
    return bytes.len == strlen(text) && memcmp(bytes.ptr, text, bytes.len) == 0;
}

/* ---- The stage ------------------------------------------------------------------------------- */

static const char *const settings[] = {"port", "0", "connections_max", "8", NULL};

static int setup(void **state)
{
    *state = gateway_open(weir_mqtt_adapter(), settings);
    return 0;
}

static int teardown(void **state)
{
    gateway_close(*state);
    return 0;
}

static void start(gateway *self)
{
    weir_fault fault = {0};
    if (host_start(&self->host, &fault) != WEIR_OK) {
        fail_msg("start: %s", fault.text);
    }
}

/* ---- Client ids ------------------------------------------------------------------------------ */

static void a_client_id_that_comes_again_ends_the_connection_that_had_it(void **state)
{
    gateway *self = *state;
    client first;
    client second;
    start(self);
    client_connect(&first, self, "same");  /* loop 0 */
    client_connect(&second, self, "same"); /* loop 1 */
    assert_int_equal(client_next(&first), WEIR_MQTT_DISCONNECT);
    assert_int_equal(first.packet.reason, WEIR_MQTT_TAKEN_OVER);
    assert_int_equal(client_next(&first), 0);
    client_ping(&second);
    assert_int_equal(metric_get(self, "weir_mqtt_takeovers_total"), 1);
    client_close(&first);
    client_close(&second);
}

static void of_many_that_want_one_client_id_exactly_one_stays(void **state)
{
    enum { COUNT = 7 };
    gateway *self = *state;
    static client clients[COUNT];
    static contract_event event;
    unsigned ended = 0;
    unsigned alive = 0;
    start(self);
    for (unsigned i = 0; i < COUNT; i++) { /* all at once: nobody waits for a CONNACK */
        weir_mqtt_packet packet = connect_packet("storm");
        client_dial(&clients[i], self);
        client_send(&clients[i], &packet);
    }
    for (unsigned i = 0; ended < COUNT - 1; i = (i + 1) % COUNT) {
        if (clients[i].peer.ended) {
            continue;
        }
        contract_socket_read(&clients[i].peer, 10, &event, packet_decode);
        clients[i].peer.ended = event.type == CONTRACT_END;
        ended += clients[i].peer.ended;
    }
    for (unsigned i = 0; i < COUNT; i++) {
        if (!clients[i].peer.ended) {
            weir_mqtt_packet packet = {.type = WEIR_MQTT_PINGREQ};
            client_send(&clients[i], &packet);
            while (client_next(&clients[i]) == WEIR_MQTT_CONNACK) {
            }
            assert_int_equal(clients[i].packet.type, WEIR_MQTT_PINGRESP);
            alive++;
        }
        client_close(&clients[i]);
    }
    assert_int_equal(alive, 1);
}

static void a_client_id_is_free_again_once_its_connection_is_gone(void **state)
{
    gateway *self = *state;
    start(self);
    for (unsigned i = 0; i < 20; i++) {
        client again;
        client_connect(&again, self, "again");
        client_ping(&again);
        client_close(&again);
    }
}

/* ---- Time ------------------------------------------------------------------------------------ */

static void who_does_not_say_connect_in_time_is_closed(void **state)
{
    gateway *self = *state;
    client silent;
    client good;
    self->limits.connect_ms_max = 100;
    start(self);
    client_connect(&good, self, "good");
    client_dial(&silent, self);
    assert_int_equal(client_next(&silent), 0);
    client_ping(&good);
    client_close(&silent);
    client_close(&good);
}

static void
a_silent_client_is_closed_after_one_and_a_half_keep_alives_and_its_will_is_sent(void **state)
{
    gateway *self = *state;
    client silent;
    client watcher;
    weir_mqtt_packet packet = connect_packet("silent");
    start(self);
    client_connect(&watcher, self, "watcher");
    client_subscribe(&watcher, "wills/#");
    packet.connect.keep_alive_seconds = 1;
    packet.connect.has_will = true;
    packet.connect.will_name = WEIR_TEXT("wills/silent");
    packet.connect.will_payload = WEIR_TEXT("gone");
    client_dial(&silent, self);
    client_send(&silent, &packet);
    assert_int_equal(client_next(&silent), WEIR_MQTT_CONNACK);
    assert_int_equal(client_next(&silent), WEIR_MQTT_DISCONNECT);
    assert_int_equal(silent.packet.reason, WEIR_MQTT_KEEP_ALIVE_TIMEOUT);
    assert_int_equal(client_next(&silent), 0);
    assert_int_equal(client_next(&watcher), WEIR_MQTT_PUBLISH);
    assert_true(bytes_are(watcher.packet.publish.name, "wills/silent"));
    assert_true(bytes_are(watcher.packet.publish.payload, "gone"));
    client_close(&silent);
    client_close(&watcher);
}

static void a_will_is_not_sent_after_an_orderly_disconnect(void **state)
{
    gateway *self = *state;
    client polite;
    client rude;
    client watcher;
    weir_mqtt_packet packet = connect_packet("polite");
    weir_mqtt_packet goodbye = {.type = WEIR_MQTT_DISCONNECT};
    start(self);
    client_connect(&watcher, self, "watcher");
    client_subscribe(&watcher, "wills/#");
    packet.connect.has_will = true;
    packet.connect.will_name = WEIR_TEXT("wills/polite");
    packet.connect.will_payload = WEIR_TEXT("gone");
    client_dial(&polite, self);
    client_send(&polite, &packet);
    assert_int_equal(client_next(&polite), WEIR_MQTT_CONNACK);
    client_send(&polite, &goodbye);
    assert_int_equal(client_next(&polite), 0);
    client_close(&polite);
    packet = connect_packet("rude");
    packet.connect.has_will = true;
    packet.connect.will_name = WEIR_TEXT("wills/rude");
    packet.connect.will_payload = WEIR_TEXT("gone");
    client_dial(&rude, self);
    client_send(&rude, &packet);
    assert_int_equal(client_next(&rude), WEIR_MQTT_CONNACK);
    client_close(&rude);
    assert_int_equal(client_next(&watcher), WEIR_MQTT_PUBLISH);
    assert_true(bytes_are(watcher.packet.publish.name, "wills/rude")); /* the only one */
    client_close(&watcher);
}

/* ---- Limits, drain --------------------------------------------------------------------------- */

static void one_connection_too_many_is_told_quota_exceeded(void **state)
{
    gateway *self = *state;
    static client clients[8];
    client over;
    char id[16];
    weir_mqtt_packet packet = connect_packet("over");
    start(self);
    for (unsigned i = 0; i < 8; i++) {
        (void)snprintf(id, sizeof(id), "client-%u", i);
        client_connect(&clients[i], self, id);
    }
    client_dial(&over, self);
    client_send(&over, &packet);
    assert_int_equal(client_next(&over), WEIR_MQTT_CONNACK);
    assert_int_equal(over.packet.reason, WEIR_MQTT_QUOTA_EXCEEDED);
    assert_int_equal(client_next(&over), 0);
    client_close(&over);
    assert_int_equal(metric_get(self, "weir_refused_connections_total"), 1);
    for (unsigned i = 0; i < 8; i++) {
        client_ping(&clients[i]);
        client_close(&clients[i]);
    }
}

static void a_flood_of_pings_that_is_not_read_is_held_back(void **state)
{
    enum { PINGS = 1000000, ROUND = 4096 };
    gateway *self = *state;
    client flooder;
    client good;
    static uint8_t pings[ROUND];
    size_t sent = 0;
    start(self);
    client_connect(&flooder, self, "flooder");
    client_connect(&good, self, "good");
    for (size_t i = 0; i < sizeof(pings); i += 2) {
        pings[i] = WEIR_MQTT_PINGREQ << 4;
    }
    while (sent < PINGS * 2) {
        ssize_t took = send(flooder.peer.fd, pings, sizeof(pings), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (took <= 0) {
            struct pollfd room = {.fd = flooder.peer.fd, .events = POLLOUT};
            if (poll(&room, 1, SHORT_MS) == 0) {
                break; /* the gateway reads no more: the flood waits in the kernel */
            }
            continue;
        }
        sent += (size_t)took;
    }
    client_ping(&good);
    for (size_t i = 0; i < 1000; i++) { /* it goes on where it stopped */
        assert_int_equal(client_next(&flooder), WEIR_MQTT_PINGRESP);
    }
    client_close(&flooder);
    client_close(&good);
}

static void drain_says_so_to_5_0_clients(void **state)
{
    gateway *self = *state;
    client known;
    client unknown;
    start(self);
    client_connect(&known, self, "known");
    client_dial(&unknown, self);
    self->host.ops->drain(self->host.adapter);
    assert_int_equal(client_next(&known), WEIR_MQTT_DISCONNECT);
    assert_int_equal(known.packet.reason, WEIR_MQTT_SHUTTING_DOWN);
    assert_int_equal(client_next(&known), 0);
    assert_int_equal(client_next(&unknown), 0);
    client_close(&known);
    client_close(&unknown);
    drained_wait(self);
}

#define MQTT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MQTT_TEST(a_client_id_that_comes_again_ends_the_connection_that_had_it),
        MQTT_TEST(of_many_that_want_one_client_id_exactly_one_stays),
        MQTT_TEST(a_client_id_is_free_again_once_its_connection_is_gone),
        MQTT_TEST(who_does_not_say_connect_in_time_is_closed),
        MQTT_TEST(a_silent_client_is_closed_after_one_and_a_half_keep_alives_and_its_will_is_sent),
        MQTT_TEST(a_will_is_not_sent_after_an_orderly_disconnect),
        MQTT_TEST(one_connection_too_many_is_told_quota_exceeded),
        MQTT_TEST(a_flood_of_pings_that_is_not_read_is_held_back),
        MQTT_TEST(drain_says_so_to_5_0_clients),
    };
    cmocka_set_test_filter(getenv("WEIR_CONTRACT_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
