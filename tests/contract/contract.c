/* tests/contract/contract.c - the suite that every front end passes. See contract.h. */
#include "contract.h"
#include "gateway.h"

#include "adapters/shared/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

const char *contract_argument;
static const contract_probe *const probe = &contract_probe_used;

/* ---- The gateway --------------------------------------------------------------------------- */

static int setup(void **state)
{
    *state = gateway_open(probe->ops(), probe->settings);
    return 0;
}

static int teardown(void **state)
{
    gateway_close(*state);
    return 0;
}

static gateway *gateway_start(void **state)
{
    gateway *self = *state;
    weir_fault fault = {0};
    if (host_start(&self->host, &fault) != WEIR_OK) {
        fail_msg("start: %s", fault.text);
    }
    return self;
}

/* ---- Peers --------------------------------------------------------------------------------- */

typedef struct contract_record {
    struct contract_record *next;
    char name[CONTRACT_NAME_MAX];
    size_t len;
    char value[];
} contract_record;

static void record_keep(contract_peer *peer, const contract_event *event)
{
    contract_record *kept = malloc(sizeof(*kept) + event->value_len);
    assert_non_null(kept);
    kept->next = NULL;
    memcpy(kept->name, event->name, sizeof(kept->name));
    kept->len = event->value_len;
    memcpy(kept->value, event->value, event->value_len);
    *(peer->records == NULL ? &peer->records : peer->records_last) = kept;
    peer->records_last = &kept->next;
}

static void record_drop(contract_peer *peer)
{
    contract_record *first = peer->records;
    peer->records = first->next;
    free(first);
}

static void peer_take(contract_peer *peer, const contract_event *event)
{
    switch (event->type) {
    case CONTRACT_ACK:
        peer->acks++;
        break;
    case CONTRACT_REFUSED:
        peer->refusals++;
        break;
    case CONTRACT_FAREWELL:
        peer->farewell = true;
        break;
    case CONTRACT_END:
        peer->ended = true;
        break;
    case CONTRACT_RECORD:
        record_keep(peer, event);
        break;
    default:
        break;
    }
}

/* Reads one event; false when none came in time. */
static bool peer_read(contract_peer *peer, int timeout_ms)
{
    static contract_event event;
    if (peer->ended) {
        return false;
    }
    probe->read(peer, timeout_ms, &event);
    peer_take(peer, &event);
    return event.type != CONTRACT_NOTHING && event.type != CONTRACT_END;
}

static bool peer_connect(contract_peer *peer, const gateway *self)
{
    *peer = (contract_peer){.fd = -1};
    return probe->connect(peer, self->host.address);
}

static void peer_close(contract_peer *peer)
{
    probe->close(peer);
    while (peer->records != NULL) {
        record_drop(peer);
    }
    *peer = (contract_peer){.fd = -1};
}

static bool peer_acked(contract_peer *peer)
{
    while (peer->acks == 0 && peer->refusals == 0 && peer_read(peer, DEADLINE_MS)) {
    }
    if (peer->acks == 0) {
        return false;
    }
    peer->acks--;
    return true;
}

static void peer_publish(contract_peer *peer, const char *name, const char *value)
{
    probe->publish(peer, name, value, strlen(value));
    assert_true(peer_acked(peer));
}

static void peer_subscribe(contract_peer *peer, const char *filter)
{
    probe->subscribe(peer, filter);
    assert_true(peer_acked(peer));
}

static void peer_expect(contract_peer *peer, const char *name, const char *value, size_t len)
{
    while (peer->records == NULL) {
        assert_true(peer_read(peer, DEADLINE_MS));
    }
    assert_string_equal(peer->records->name, name);
    assert_int_equal(peer->records->len, len);
    assert_memory_equal(peer->records->value, value, len);
    record_drop(peer);
}

/* Reads on until the connection is over. */
static bool peer_ends(contract_peer *peer)
{
    while (peer_read(peer, DEADLINE_MS)) {
    }
    return peer->ended;
}

/* ---- The tests ----------------------------------------------------------------------------- */

static void its_table_is_whole_and_fits(void **state)
{
    weir_fault fault = {0};
    (void)state;
    assert_int_equal(weir_adapter_check(probe->name, probe->ops(), &fault), WEIR_OK);
}

static void start_announces_where_it_listens(void **state)
{
    gateway *self = gateway_start(state);
    contract_peer peer;
    assert_int_equal(self->host.announcements, 1);
    assert_true(peer_connect(&peer, self));
    peer_close(&peer);
}

static void records_in_order(gateway *self, const char *filter, const char *name)
{
    contract_peer in;
    contract_peer out;
    char value[32];
    assert_true(peer_connect(&in, self));
    assert_true(peer_connect(&out, self));
    peer_subscribe(&out, filter);
    for (unsigned i = 0; i < 300; i++) {
        (void)snprintf(value, sizeof(value), "number %u", i);
        probe->publish(&in, name, value, strlen(value));
        if (i % 50 == 49) { /* some at a time */
            for (unsigned j = 0; j < 50; j++) {
                assert_true(peer_acked(&in));
            }
        }
    }
    for (unsigned i = 0; i < 300; i++) {
        (void)snprintf(value, sizeof(value), "number %u", i);
        peer_expect(&out, name, value, strlen(value));
    }
    assert_null(out.records);
    peer_close(&in);
    peer_close(&out);
}

static void live_records_go_in_and_come_out_once_and_in_order(void **state)
{
    records_in_order(gateway_start(state), "live/+", "live/one");
}

static void stored_records_go_in_and_come_out_once_and_in_order(void **state)
{
    gateway *self = gateway_start(state);
    records_in_order(self, "logged/#", "logged/one");
    assert_int_equal(topic_end(self, "logged"), 300);
}

static void a_record_without_a_value_passes(void **state)
{
    gateway *self = gateway_start(state);
    contract_peer peer;
    assert_true(peer_connect(&peer, self));
    peer_subscribe(&peer, "live/+");
    probe->publish(&peer, "live/empty", "", 0);
    assert_true(peer_acked(&peer));
    peer_expect(&peer, "live/empty", "", 0);
    peer_close(&peer);
}

static uint64_t resident_bytes(void)
{
    unsigned long pages = 0;
    unsigned long resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu", &pages, &resident), 2);
    fclose(file);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void a_peer_that_does_not_read_costs_bounded_memory_and_stops_nobody(void **state)
{
    enum { ROUNDS = 2000, BYTES = 16384, GROWTH_MAX = 24 * 1024 * 1024 };
    gateway *self = gateway_start(state);
    contract_peer slow;
    contract_peer fast;
    contract_peer in;
    static char value[BYTES];
    char number[16];
    uint64_t before = 0;
    memset(value, 'v', sizeof(value));
    assert_true(peer_connect(&slow, self));
    assert_true(peer_connect(&fast, self));
    assert_true(peer_connect(&in, self));
    peer_subscribe(&slow, "live/#");
    peer_subscribe(&fast, "live/#");
    for (unsigned i = 0; i < ROUNDS; i++) {
        (void)snprintf(number, sizeof(number), "%08u", i);
        memcpy(value, number, 8);
        probe->publish(&in, "live/much", value, sizeof(value));
        assert_true(peer_acked(&in));
        peer_expect(&fast, "live/much", value, sizeof(value));
        if (i == ROUNDS / 8) {
            before = resident_bytes(); /* buffers have their sizes by now */
        }
    }
    if (getenv("WEIR_CONTRACT_SANITIZED") == NULL) {
        assert_true(resident_bytes() < before + GROWTH_MAX);
    }
    peer_close(&slow);
    peer_close(&fast);
    peer_close(&in);
}

static void bad_bytes_end_their_connection_and_no_other(void **state)
{
    gateway *self = gateway_start(state);
    contract_peer bad;
    contract_peer good;
    assert_true(peer_connect(&bad, self));
    assert_true(peer_connect(&good, self));
    peer_subscribe(&good, "live/+");
    probe->misbehave(&bad);
    assert_true(peer_ends(&bad));
    peer_publish(&good, "live/still", "served");
    peer_expect(&good, "live/still", "served", 6);
    peer_close(&bad);
    peer_close(&good);
}

static void a_peer_that_vanishes_leaves_no_trace(void **state)
{
    gateway *self = gateway_start(state);
    contract_peer good;
    assert_true(peer_connect(&good, self));
    for (unsigned i = 0; i < 20; i++) {
        contract_peer gone;
        assert_true(peer_connect(&gone, self));
        peer_subscribe(&gone, "live/#");
        probe->publish(&gone, "live/x", "in flight", 9);
        peer_close(&gone);
    }
    peer_publish(&good, "live/after", "all");
    for (int i = 0; i < DEADLINE_MS; i++) {
        weir_stats stats;
        weir_engine_stats(self->engine, &stats);
        if (stats.subscribers == 0) {
            break;
        }
        assert_true(i < DEADLINE_MS - 1);
        pause_ms();
    }
    peer_close(&good);
}

static void drain_answers_what_was_taken_in_and_sends_peers_away(void **state)
{
    enum { SENT = 200 };
    gateway *self = gateway_start(state);
    contract_peer busy;
    contract_peer idle;
    contract_peer late;
    assert_true(peer_connect(&busy, self));
    assert_true(peer_connect(&idle, self));
    peer_publish(&busy, "logged/first", "x");
    for (unsigned i = 0; i < SENT; i++) {
        probe->publish(&busy, "logged/more", "x", 1);
    }
    probe->ops()->drain(self->host.adapter);
    assert_true(peer_ends(&busy));
    assert_true(peer_ends(&idle));
    assert_int_equal(topic_end(self, "logged"), 1 + busy.acks);
    if (probe->farewell) {
        assert_true(busy.farewell && idle.farewell);
    }
    peer_close(&busy);
    peer_close(&idle);
    drained_wait(self);
    if (peer_connect(&late, self)) {
        assert_true(peer_ends(&late));
    }
    peer_close(&late);
    assert_int_equal(self->host.drained, 1);
}

static void drain_of_an_idle_adapter_is_over_at_once(void **state)
{
    gateway *self = gateway_start(state);
    probe->ops()->drain(self->host.adapter);
    drained_wait(self);
}

static void stop_without_drain_closes_everything(void **state)
{
    gateway *self = *state;
    unsigned before = sockets_count();
    contract_peer peers[4];
    (void)gateway_start(state);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(peer_connect(&peers[i], self));
        peer_subscribe(&peers[i], "live/#");
        probe->publish(&peers[i], "live/x", "in flight", 9);
    }
    host_stop(&self->host);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(peer_ends(&peers[i]));
        peer_close(&peers[i]);
    }
    assert_int_equal(sockets_count(), before);
    assert_int_equal(self->host.drained, 0);
}

/* The engine has taken it and could not write it: no answer will ever be due. */
static void stop_on_a_broken_disk_leaves_nothing_behind(void **state)
{
    gateway *self = gateway_start(state);
    contract_peer peer;
    assert_true(peer_connect(&peer, self));
    peer_publish(&peer, "logged/first", "x");
    disk_break(self);
    probe->publish(&peer, "logged/held", "x", 1);
    for (int i = 0; weir_engine_health_of(self->engine) != WEIR_HEALTH_STOPPED; i++) {
        assert_true(i < DEADLINE_MS);
        pause_ms();
    }
    probe->ops()->drain(self->host.adapter);
    weir_engine_stop_waiting(self->engine); /* as a host does when drain_ms_max has passed */
    host_stop(&self->host);
    (void)peer_ends(&peer);
    assert_int_equal(peer.acks, 0);
    assert_int_equal(self->host.errors, 0);
    peer_close(&peer);
}

/* Whether it is stored nobody knows: no acknowledgement, and nobody waits for one for ever. */
static void a_publish_that_a_broken_disk_holds_up_is_let_go_unacknowledged(void **state)
{
    gateway *self = gateway_start(state);
    contract_peer peer;
    assert_true(peer_connect(&peer, self));
    peer_publish(&peer, "logged/first", "x");
    disk_break(self);
    probe->publish(&peer, "logged/held", "x", 1);
    for (int i = 0; weir_engine_health_of(self->engine) != WEIR_HEALTH_STOPPED; i++) {
        assert_true(i < DEADLINE_MS);
        pause_ms();
    }
    weir_engine_stop_waiting(self->engine); /* as a host does when its engine has stopped */
    while (peer.refusals == 0 && peer_read(&peer, DEADLINE_MS)) {
    }
    assert_true(peer.ended || peer.refusals > 0);
    assert_int_equal(peer.acks, 0);
    peer_close(&peer);
    host_stop(&self->host);
}

static void stop_before_start_is_harmless(void **state)
{
    gateway *self = *state;
    weir_fault fault = {0};
    assert_int_equal(probe->ops()->configure(&self->host.outer, &self->host.adapter, &fault),
                     WEIR_OK);
    host_stop(&self->host);
}

static void counters_rise_by_what_was_done(void **state)
{
    gateway *self = gateway_start(state);
    contract_peer peer;
    uint64_t before = metric_get(self, probe->published);
    assert_true(peer_connect(&peer, self));
    for (unsigned i = 0; i < 7; i++) {
        peer_publish(&peer, "live/x", "counted");
    }
    for (int i = 0; i < SHORT_MS && metric_get(self, probe->published) < before + 7; i++) {
        pause_ms(); /* they are published at the turn's end, after the answer */
    }
    assert_int_equal(metric_get(self, probe->published), before + 7);
    peer_close(&peer);
}

static void configure_refuses_a_bad_setting_by_name(void **state)
{
    gateway *self = *state;
    weir_fault fault = {0};
    weir_adapter *adapter = NULL;
    if (probe->bad[0] == NULL) {
        skip();
    }
    self->host.override[0] = probe->bad[0];
    self->host.override[1] = probe->bad[1];
    assert_int_equal(probe->ops()->configure(&self->host.outer, &adapter, &fault), WEIR_INVALID);
    assert_null(adapter);
    assert_int_equal(fault.err, WEIR_INVALID);
    assert_non_null(strstr(fault.text, probe->name));
    assert_non_null(strstr(fault.text, probe->bad[0]));
}

static void start_where_another_listens_is_a_fault_and_leaves_nothing_open(void **state)
{
    gateway *self = gateway_start(state);
    weir_fault fault = {0};
    contract_peer peer;
    unsigned before = sockets_count();
    const char *colon = strrchr(self->host.address, ':');
    host second;
    if (!probe->exclusive) {
        skip();
    }
    host_prepare(&second, self, probe->ops(), probe->settings);
    if (probe->port_key != NULL) {
        assert_non_null(colon);
        second.override[0] = probe->port_key;
        second.override[1] = colon + 1;
    }
    assert_int_not_equal(host_start(&second, &fault), WEIR_OK);
    assert_string_not_equal(fault.text, "");
    if (probe->port_key != NULL) {
        assert_non_null(strstr(fault.text, probe->port_key));
    }
    assert_int_equal(second.announcements, 0);
    host_stop(&second);
    for (int i = 0; i < SHORT_MS && sockets_count() != before; i++) {
        pause_ms(); /* the second may have knocked at the first's door, to see whether it lives */
    }
    assert_int_equal(sockets_count(), before);
    assert_true(peer_connect(&peer, self));
    peer_publish(&peer, "live/x", "still served");
    peer_close(&peer);
}

#define CONTRACT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_table_is_whole_and_fits),
        CONTRACT_TEST(start_announces_where_it_listens),
        CONTRACT_TEST(live_records_go_in_and_come_out_once_and_in_order),
        CONTRACT_TEST(stored_records_go_in_and_come_out_once_and_in_order),
        CONTRACT_TEST(a_record_without_a_value_passes),
        CONTRACT_TEST(a_peer_that_does_not_read_costs_bounded_memory_and_stops_nobody),
        CONTRACT_TEST(bad_bytes_end_their_connection_and_no_other),
        CONTRACT_TEST(a_peer_that_vanishes_leaves_no_trace),
        CONTRACT_TEST(drain_answers_what_was_taken_in_and_sends_peers_away),
        CONTRACT_TEST(drain_of_an_idle_adapter_is_over_at_once),
        CONTRACT_TEST(stop_without_drain_closes_everything),
        CONTRACT_TEST(stop_on_a_broken_disk_leaves_nothing_behind),
        CONTRACT_TEST(a_publish_that_a_broken_disk_holds_up_is_let_go_unacknowledged),
        CONTRACT_TEST(stop_before_start_is_harmless),
        CONTRACT_TEST(counters_rise_by_what_was_done),
        CONTRACT_TEST(configure_refuses_a_bad_setting_by_name),
        CONTRACT_TEST(start_where_another_listens_is_a_fault_and_leaves_nothing_open),
    };
    contract_argument = argc > 1 ? argv[1] : NULL;
    cmocka_set_test_filter(getenv("WEIR_CONTRACT_TEST")); /* one of them, by name; NULL: all */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
