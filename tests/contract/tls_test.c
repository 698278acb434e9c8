/* MQTT over TLS: the second door, big messages through it, and who may not come in. */
#include "gateway.h"

#include "adapters/mqtt/adapter.h"
#include "adapters/proto/mqtt/codec.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

enum { PAYLOAD = 300000, PACKET_MAX = PAYLOAD + 1000 };

/* ---- A certificate and the settings that name it --------------------------------------------- */

static char certificate_path[128];
static const char *const settings[] = {"port",           "0", "tls.port", "0", "tls.certificate",
                                       certificate_path, NULL};

static void certificate_write(const char *path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x509 = X509_new();
    FILE *file = fopen(path, "wbe");
    assert_true(key != NULL && x509 != NULL && file != NULL);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x509), 1), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x509), -60));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x509), 3600));
    assert_int_equal(X509_set_pubkey(x509, key), 1);
    assert_int_equal(X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC,
                                                (const unsigned char *)"localhost", -1, -1, 0),
                     1);
    assert_int_equal(X509_set_issuer_name(x509, X509_get_subject_name(x509)), 1);
    assert_true(X509_sign(x509, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_X509(file, x509), 1);
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
    X509_free(x509);
    EVP_PKEY_free(key);
}

static int setup(void **state)
{
    gateway *self = gateway_open(weir_mqtt_adapter(), settings);
    (void)snprintf(certificate_path, sizeof(certificate_path), "%s/tls.pem", self->dir);
    certificate_write(certificate_path);
    *state = self;
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
    assert_int_equal(self->host.announcements, 2); /* the last is the TLS door's */
}

/* ---- A client -------------------------------------------------------------------------------- */

typedef struct client {
    SSL_CTX *context;
    SSL *ssl;
    int fd;
    uint8_t *in;
    size_t in_len;
} client;

static int dial(const gateway *at)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = DEADLINE_MS / 1000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_port = htons((uint16_t)atoi(strrchr(at->host.address, ':') + 1));
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void client_open(client *self, const gateway *at)
{
    *self = (client){.fd = dial(at), .in = malloc(PACKET_MAX)};
    self->context = SSL_CTX_new(TLS_client_method());
    self->ssl = SSL_new(self->context);
    assert_int_equal(SSL_set_fd(self->ssl, self->fd), 1);
    assert_int_equal(SSL_connect(self->ssl), 1);
}

static void client_close(client *self)
{
    SSL_free(self->ssl);
    SSL_CTX_free(self->context);
    close(self->fd);
    free(self->in);
}

static void client_send(client *self, const weir_mqtt_packet *packet)
{
    uint8_t *bytes = malloc(PACKET_MAX);
    size_t len = weir_mqtt_encode(WEIR_MQTT_3_1_1, packet, NULL, 0, bytes, PACKET_MAX);
    size_t sent = 0;
    assert_true(len > 0 && len <= PACKET_MAX);
    assert_int_equal(SSL_write_ex(self->ssl, bytes, len, &sent), 1);
    assert_int_equal(sent, len);
    free(bytes);
}

/* Reads exactly one packet; it lies in self->in. */
static void client_read(client *self, weir_mqtt_packet *packet)
{
    weir_mqtt_head head;
    size_t used = 0;
    size_t want = 1; /* byte by byte until its length is known */
    self->in_len = 0;
    while (self->in_len < want) {
        size_t got = 0;
        assert_int_equal(SSL_read_ex(self->ssl, self->in + self->in_len, want - self->in_len, &got),
                         1);
        self->in_len += got;
        if (weir_mqtt_head_decode((weir_bytes){self->in, self->in_len}, WEIR_MQTT_3_1_1, &head) ==
            WEIR_OK) {
            want = head.head_bytes + head.remaining;
            assert_true(want <= PACKET_MAX);
        } else {
            want = self->in_len + 1;
        }
    }
    assert_int_equal(
        weir_mqtt_decode((weir_bytes){self->in, self->in_len}, WEIR_MQTT_3_1_1, packet, &used),
        WEIR_OK);
    assert_int_equal(used, self->in_len);
}

static void client_connect(client *self, const gateway *at)
{
    weir_mqtt_packet packet = {.type = WEIR_MQTT_CONNECT,
                               .connect = {.version = WEIR_MQTT_3_1_1, .clean = true}};
    packet.connect.client_id = WEIR_TEXT("");
    client_open(self, at);
    client_send(self, &packet);
    client_read(self, &packet);
    assert_int_equal(packet.type, WEIR_MQTT_CONNACK);
    assert_int_equal(packet.reason, 0);
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static void big_messages_pass_both_ways_through_tls(void **state)
{
    gateway *self = *state;
    client peer;
    uint8_t payload[32];
    weir_mqtt_packet packet = {.type = WEIR_MQTT_SUBSCRIBE, .id = 1};
    uint8_t *value = malloc(PAYLOAD);
    start(self);
    client_connect(&peer, self);
    packet.payload = (weir_bytes){
        payload, weir_mqtt_filter_encode(WEIR_TEXT("big"), true, 0, payload, sizeof(payload))};
    client_send(&peer, &packet);
    client_read(&peer, &packet);
    assert_int_equal(packet.type, WEIR_MQTT_SUBACK);
    for (unsigned round = 0; round < 5; round++) {
        memset(value, (int)('a' + round), PAYLOAD);
        packet = (weir_mqtt_packet){.type = WEIR_MQTT_PUBLISH};
        packet.publish.name = WEIR_TEXT("big");
        packet.publish.payload = (weir_bytes){value, PAYLOAD};
        client_send(&peer, &packet);
        client_read(&peer, &packet);
        assert_int_equal(packet.type, WEIR_MQTT_PUBLISH);
        assert_int_equal(packet.publish.payload.len, PAYLOAD);
        assert_memory_equal(packet.publish.payload.ptr, value, PAYLOAD);
    }
    free(value);
    client_close(&peer);
}

static void bytes_that_are_no_tls_end_their_connection_and_no_other(void **state)
{
    gateway *self = *state;
    client peer;
    char got[64];
    int plain = -1;
    weir_mqtt_packet packet = {.type = WEIR_MQTT_PINGREQ};
    start(self);
    client_connect(&peer, self);
    plain = dial(self);
    assert_int_equal(send(plain, "\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", 14, MSG_NOSIGNAL),
                     14);
    while (recv(plain, got, sizeof(got), 0) > 0) {
    }
    close(plain);
    client_send(&peer, &packet);
    client_read(&peer, &packet);
    assert_int_equal(packet.type, WEIR_MQTT_PINGRESP);
    client_close(&peer);
}

static void a_handshake_that_stalls_is_closed_in_time(void **state)
{
    gateway *self = *state;
    char got[8];
    int silent = -1;
    self->limits.connect_ms_max = 100;
    start(self);
    silent = dial(self);
    assert_true(recv(silent, got, sizeof(got), 0) <= 0);
    close(silent);
}

static void drain_reaches_peers_behind_tls(void **state)
{
    gateway *self = *state;
    client peer;
    size_t got = 0;
    start(self);
    client_connect(&peer, self);
    self->host.ops->drain(self->host.adapter);
    assert_int_equal(SSL_read_ex(peer.ssl, peer.in, 1, &got), 0);
    assert_int_equal(SSL_get_error(peer.ssl, 0), SSL_ERROR_ZERO_RETURN); /* a goodbye, no cut */
    client_close(&peer);
    drained_wait(self);
}

static void a_certificate_that_cannot_be_read_is_named(void **state)
{
    gateway *self = *state;
    weir_fault fault = {0};
    weir_adapter *adapter = NULL;
    self->host.override[0] = "tls.certificate";
    self->host.override[1] = "/nowhere/tls.pem";
    assert_int_equal(self->host.ops->configure(&self->host.outer, &adapter, &fault), WEIR_INVALID);
    assert_non_null(strstr(fault.text, "mqtt.tls.certificate"));
    assert_non_null(strstr(fault.text, "/nowhere/tls.pem"));
    self->host.override[0] = "tls.client_ca";
    assert_int_equal(self->host.ops->configure(&self->host.outer, &adapter, &fault), WEIR_INVALID);
    assert_non_null(strstr(fault.text, "mqtt.tls.client_ca"));
}

static void a_peer_without_the_certificate_that_is_asked_for_does_not_get_in(void **state)
{
    gateway *self = *state;
    client peer = {.in = malloc(PACKET_MAX)};
    size_t got = 0;
    self->host.override[0] = "tls.client_ca";
    self->host.override[1] = certificate_path;
    start(self);
    peer.fd = dial(self);
    peer.context = SSL_CTX_new(TLS_client_method());
    peer.ssl = SSL_new(peer.context);
    assert_int_equal(SSL_set_fd(peer.ssl, peer.fd), 1);
    if (SSL_connect(peer.ssl) ==
        1) { /* in TLS 1.3 the refusal comes after the client's last word */
        assert_int_equal(SSL_read_ex(peer.ssl, peer.in, 1, &got), 0);
        assert_int_not_equal(SSL_get_error(peer.ssl, 0), SSL_ERROR_ZERO_RETURN);
    }
    client_close(&peer);
}

#define TLS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TLS_TEST(big_messages_pass_both_ways_through_tls),
        TLS_TEST(bytes_that_are_no_tls_end_their_connection_and_no_other),
        TLS_TEST(a_handshake_that_stalls_is_closed_in_time),
        TLS_TEST(drain_reaches_peers_behind_tls),
        TLS_TEST(a_certificate_that_cannot_be_read_is_named),
        TLS_TEST(a_peer_without_the_certificate_that_is_asked_for_does_not_get_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
