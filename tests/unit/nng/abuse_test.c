/* All four ports as strangers find them: bytes that are no SP, claims of 2^60 bytes, halves of
 * messages, resets at any moment. Others are served meanwhile, and nothing is left of it. */
#include "gateway.h"

enum { ATTACKERS = 4, ATTACKS = WEIR_UNIT_THIN > 1 ? 100 : 400, ANSWER_MS_MAX = 2000 };

typedef struct attacker {
    const char *url;
    uint8_t peer_protocol;
    unsigned seed;
} attacker;

static void send_all(int fd, const void *bytes, size_t len)
{
    (void)!send(fd, bytes, len, MSG_NOSIGNAL); /* it may have been closed: that is the point */
}

static void greet(int fd, uint8_t protocol)
{
    const uint8_t greeting[8] = {0, 'S', 'P', 0, 0, protocol, 0, 0};
    send_all(fd, greeting, sizeof(greeting));
}

/* A message's head, with a claim of any length. */
static void head(int fd, uint64_t len)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(len >> (56 - 8 * i));
    }
    send_all(fd, bytes, sizeof(bytes));
}

static void attack(const attacker *own, int fd, unsigned way)
{
    static const char noise[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    static const char ping[] = "\x80\0\0\1{\"cmd\":\"ping\"}";
    static const char body[] = "x\0value";
    switch (way) {
    case 0:
        send_all(fd, noise, sizeof(noise));
        break;
    case 1:
        greet(fd, 0x10); /* PAIR */
        break;
    case 2:
        greet(fd, own->peer_protocol);
        head(fd, 1ull << 60);
        break;
    case 3:
        greet(fd, own->peer_protocol);
        head(fd, 100000);
        send_all(fd, noise, sizeof(noise)); /* and no more of it */
        break;
    case 4:
        greet(fd, own->peer_protocol);
        head(fd, sizeof(ping) - 1);
        send_all(fd, ping, sizeof(ping) - 1);
        break;
    case 5:
        greet(fd, own->peer_protocol);
        head(fd, sizeof(body) - 1);
        send_all(fd, body, sizeof(body) - 1);
        break;
    case 6:
        greet(fd, own->peer_protocol);
        head(fd, 2); /* shorter than any request's header */
        send_all(fd, noise, 2);
        break;
    default:
        send_all(fd, "\0S", 2);
        break;
    }
}

static void *attacker_run(void *arg)
{
    attacker *own = arg;
    const struct linger reset = {1, 0};
    for (unsigned i = 0; i < ATTACKS; i++) {
        int fd = connected(own->url);
        attack(own, fd, (unsigned)rand_r(&own->seed) % 8);
        if (rand_r(&own->seed) % 2 == 0) {
            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        }
        close(fd);
    }
    return NULL;
}

static long resident_kilobytes(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*d %ld", &pages), 1);
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void strangers_harm_nobody(void **state)
{
    static const uint8_t peers[] = {0x30, 0x50, 0x21, 0x51}; /* REQ, PUSH, SUB, PULL */
    (void)state;
    for (size_t part = 0; part < sizeof(peers); part++) {
        gateway *g = gateway_make();
        attacker attackers[ATTACKERS];
        pthread_t threads[ATTACKERS];
        uint64_t worst_ms = 0;
        unsigned asked = 0;
        gateway_start(g);
        nng_socket req = greeted(g);
        long before = resident_kilobytes();
        for (unsigned i = 0; i < ATTACKERS; i++) {
            attackers[i] = (attacker){g->urls[part], peers[part], i + 1};
            assert_int_equal(pthread_create(&threads[i], NULL, attacker_run, &attackers[i]), 0);
        }
        for (; asked < 300; asked++) {
            uint64_t began_ms = now_ms();
            has(ask(req, "{\"cmd\":\"ping\"}"), "\"ok\":true");
            worst_ms = now_ms() - began_ms > worst_ms ? now_ms() - began_ms : worst_ms;
        }
        for (unsigned i = 0; i < ATTACKERS; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        }
        counter_reaches(g, "weir_nng_connections", 1);
        has(ask(req, "{\"cmd\":\"ping\"}"), "\"ok\":true");
        print_message("%s: slowest answer %llu ms, memory grew by %ld KiB\n", gateway_names[part],
                      (unsigned long long)worst_ms, resident_kilobytes() - before);
        assert_true(worst_ms < ANSWER_MS_MAX);
        let_go(req);
        gateway_end(g);
    }
}

static void messages_beyond_the_limit_close_the_connection(void **state)
{
    static const int parts[] = {REP, PULL};
    gateway *g = gateway_make();
    char byte[64];
    (void)state;
    g->limits.packet_bytes_max = 65536;
    gateway_start(g);
    for (size_t i = 0; i < 2; i++) {
        int fd = connected(g->urls[parts[i]]);
        greet(fd, parts[i] == REP ? 0x30 : 0x50);
        head(fd, 65537);
        while (recv(fd, byte, sizeof(byte), 0) > 0) { /* the greeting; then the end */
        }
        close(fd);
    }
    counter_reaches(g, "weir_nng_connections", 0);
    gateway_end(g);
}

/* A client that asks and never takes its answers is held, not fed. */
static void replies_that_are_not_taken_stay_bounded(void **state)
{
    enum { REQUESTS = 2000, VALUE = 20000 };
    gateway *g = gateway_make();
    char text[256];
    char *value = calloc(1, VALUE + 200);
    (void)state;
    gateway_start(g);
    topic_create(g, "t");
    nng_socket req = greeted(g);
    int len = snprintf(value, 200, "{\"cmd\":\"publish\",\"name\":\"t\",\"value\":\"");
    memset(value + len, 'x', VALUE);
    strcpy(value + len + VALUE, "\"}");
    for (unsigned i = 0; i < 40; i++) {
        has(ask(req, value), "\"ok\":true");
    }
    free(value);
    long before = resident_kilobytes();
    int fd = connected(g->urls[REP]);
    greet(fd, 0x30);
    static const char hello[] = "\x80\0\0\1{\"cmd\":\"hello\",\"version\":1}";
    head(fd, sizeof(hello) - 1);
    send_all(fd, hello, sizeof(hello) - 1);
    len = snprintf(text, sizeof(text), "%c%c%c%c{\"cmd\":\"fetch\",\"topic\":\"t\",\"offset\":0}",
                   0x80, 0, 0, 2);
    for (unsigned i = 0; i < REQUESTS; i++) {
        uint8_t bytes[8] = {0, 0, 0, 0, 0, 0, 0, (uint8_t)len};
        if (send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof(bytes) ||
            send(fd, text, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT) != len) {
            break;
        }
    }
    uint64_t until_ms = now_ms() + 1000;
    while (now_ms() < until_ms) {
        has(ask(req, "{\"cmd\":\"ping\"}"), "\"ok\":true");
    }
    print_message("memory grew by %ld KiB\n", resident_kilobytes() - before);
    assert_true(resident_kilobytes() - before < 256 * 1024);
    close(fd);
    counter_reaches(g, "weir_nng_rep_connections", 1);
    has(ask(req, "{\"cmd\":\"ping\"}"), "\"ok\":true");
    let_go(req);
    gateway_end(g);
}

static void wrong_settings_are_refused_with_what_would_be_right(void **state)
{
    static const char *const wrong[][2] = {
        {"rep.url", "nonsense"},         {"pull.url", "tcp://127.0.0.1"},
        {"pub.url", "tcp://10.0.0.1:1"}, {"push.url", "ws://*:1/x"},
        {"push.topic", "a/#"},           {"pub.batch", "perhaps"},
        {"rep.contexts", "0"},           {"rep.session_ms", "soon"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        gateway *g = gateway_make();
        weir_fault fault = {0};
        gateway_start(g);
        weir_nng_adapter()->stop(g->adapter);
        g->adapter = NULL;
        set(g, wrong[i][0], wrong[i][1]);
        assert_int_equal(weir_nng_adapter()->configure(&g->host, &g->adapter, &fault),
                         WEIR_INVALID);
        assert_null(g->adapter);
        has(fault.text, wrong[i][0]);
        gateway_end(g);
    }
}

static void a_port_in_use_is_told_with_its_setting(void **state)
{
    static const char *const keys[] = {"rep.url", "pull.url", "pub.url", "push.url"};
    gateway *g = gateway_make();
    weir_fault fault = {0};
    weir_adapter *second = NULL;
    (void)state;
    gateway_start(g);
    for (size_t i = 0; i < 4; i++) {
        char url[256];
        char setting[32];
        strcpy(url, g->urls[i]);
        set(g, keys[i], url);
        assert_int_equal(weir_nng_adapter()->configure(&g->host, &second, &fault), WEIR_OK);
        assert_int_equal(weir_nng_adapter()->start(second, &fault), WEIR_EXISTS);
        snprintf(setting, sizeof(setting), "nng.%s", keys[i]);
        has(fault.text, setting);
        has(fault.text, "ss -ltnp 'sport = :");
        has(fault.text, "nng.enabled=false");
        weir_nng_adapter()->stop(second);
        set(g, keys[i], "tcp://127.0.0.1:0");
    }
    gateway_end(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strangers_harm_nobody),
        cmocka_unit_test(messages_beyond_the_limit_close_the_connection),
        cmocka_unit_test(replies_that_are_not_taken_stay_bounded),
        cmocka_unit_test(wrong_settings_are_refused_with_what_would_be_right),
        cmocka_unit_test(a_port_in_use_is_told_with_its_setting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
