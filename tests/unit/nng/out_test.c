/* PUB and PUSH: on every transport; losses are counted; a peer that leaves harms nobody. */
#include "gateway.h"

#include <sys/ioctl.h>
#include <sys/un.h>

static int sub_open(nng_socket *socket)
{
    int status = nng_sub0_open(socket);
    return status ? status : nng_socket_set(*socket, NNG_OPT_SUB_SUBSCRIBE, "", 0);
}

static const char *const transports[] = {"tcp://127.0.0.1:0", "ipc://%s/out",
                                         "ws://127.0.0.1:0/out", "inproc://nng-out-test"};
enum { TRANSPORTS = sizeof(transports) / sizeof(transports[0]) };

static gateway *gateway_on(size_t transport, const char *key)
{
    static char url[128];
    gateway *g = gateway_make();
    if (transport == 1) {
        (void)snprintf(url, sizeof(url), "ipc://%s/out", g->dir);
    } else {
        (void)snprintf(url, sizeof(url), "%s", transports[transport]);
    }
    set(g, key, url);
    return g;
}

static void publish(nng_socket req, const char *name, const char *value)
{
    char text[256];
    (void)snprintf(text, sizeof(text), "{\"cmd\":\"publish\",\"name\":\"%s\",\"value\":\"%s\"}",
                   name, value);
    has(ask(req, text), "\"ok\":true");
}

/* Publishes `count` records of `bytes` bytes through PULL. */
static void flood(gateway *g, const char *name, unsigned count, size_t bytes)
{
    nng_socket push = dialled(nng_push0_open, g->urls[PULL]);
    char *body = calloc(1, strlen(name) + 1 + bytes);
    uint64_t before = counter(g, "weir_nng_pull_records_total");
    strcpy(body, name);
    memset(body + strlen(name) + 1, 'x', bytes);
    for (unsigned i = 0; i < count; i++) {
        say(push, body, strlen(name) + 1 + bytes);
    }
    counter_reaches(g, "weir_nng_pull_records_total", before + count);
    free(body);
    let_go(push);
}

/* ---- PUB --------------------------------------------------------------------------------------
 */

static void a_subscriber_gets_records_on_every_transport(void **state)
{
    (void)state;
    for (size_t i = 0; i < TRANSPORTS; i++) {
        gateway *g = gateway_on(i, "pub.url");
        nng_socket sub;
        nng_socket req;
        size_t len = 0;
        gateway_start(g);
        topic_create(g, "t");
        sub = dialled(sub_open, g->urls[PUB]);
        counter_reaches(g, "weir_nng_pub_connections", 1);
        req = greeted(g);
        publish(req, "t/k", "stored");
        assert_string_equal(hear(sub, &len), "t/k");
        assert_int_equal(len, 4 + 6);
        publish(req, "live/name", "live");
        assert_string_equal(hear(sub, &len), "live/name");
        let_go(sub);
        let_go(req);
        gateway_end(g);
    }
}

static void only_what_matches_the_filter_is_sent(void **state)
{
    gateway *g = gateway_make();
    nng_socket sub;
    nng_socket req;
    (void)state;
    set(g, "pub.filter", "a/+/c");
    gateway_start(g);
    sub = dialled(sub_open, g->urls[PUB]);
    req = greeted(g);
    counter_reaches(g, "weir_nng_pub_connections", 1);
    publish(req, "a/b/d", "no");
    publish(req, "a/b/c", "yes");
    assert_string_equal(hear(sub, NULL), "a/b/c");
    let_go(sub);
    let_go(req);
    gateway_end(g);
}

static void batches_are_sent_only_when_asked_for(void **state)
{
    gateway *g = gateway_make();
    nng_socket sub;
    nng_socket req;
    size_t len = 0;
    (void)state;
    set(g, "pub.batch", "true");
    gateway_start(g);
    sub = dialled(sub_open, g->urls[PUB]);
    req = greeted(g);
    counter_reaches(g, "weir_nng_pub_connections", 1);
    publish(req, "t", "v");
    assert_memory_equal(hear(sub, &len), "\0\0\0\0\1\0\0\0\3t\0v", 12);
    assert_int_equal(len, 12);
    let_go(sub);
    let_go(req);
    gateway_end(g);
}

/* One that greets and never reads, by hand, so that nothing but its window holds messages. */
static int silent(const char *url, uint8_t protocol)
{
    const uint8_t greeting[8] = {0, 'S', 'P', 0, 0, protocol, 0, 0};
    uint8_t answer[8];
    int fd = connected(url);
    assert_int_equal(send(fd, greeting, sizeof(greeting), MSG_NOSIGNAL), sizeof(greeting));
    assert_int_equal(recv(fd, answer, sizeof(answer), MSG_WAITALL), sizeof(answer));
    assert_memory_equal(answer, "\0SP\0\0", 5);
    return fd;
}

static void what_a_slow_subscriber_misses_is_counted_exactly(void **state)
{
    enum { RECORDS = 2000, BYTES = 10000 };
    gateway *g = gateway_make();
    nng_socket sub;
    int slow = -1;
    uint64_t heard = 0;
    uint8_t buffer[65536];
    (void)state;
    set(g, "pub.buffer_bytes", "65536");
    gateway_start(g);
    slow = silent(g->urls[PUB], 0x21);
    counter_reaches(g, "weir_nng_pub_connections", 1);
    flood(g, "t", RECORDS, BYTES);
    counter_reaches(g, "weir_nng_pub_records_total", RECORDS);
    uint64_t dropped = counter(g, "weir_nng_pub_dropped_total");
    assert_true(dropped > 0);
    assert_int_equal(counter(g, "weir_nng_pub_messages_total") + dropped, RECORDS);
    for (uint64_t left = (RECORDS - dropped) * (8 + 2 + BYTES); left > 0;) {
        ssize_t len = recv(slow, buffer, sizeof(buffer), 0);
        assert_true(len > 0);
        heard += (uint64_t)len;
        left -= (uint64_t)len;
    }
    assert_int_equal(heard, (RECORDS - dropped) * (8 + 2 + BYTES)); /* the rest is all there */
    sub = dialled(sub_open, g->urls[PUB]);
    counter_reaches(g, "weir_nng_pub_connections", 2);
    flood(g, "t", 1, 10);
    assert_string_equal(hear(sub, NULL), "t"); /* others are served */
    let_go(sub);
    close(slow);
    gateway_end(g);
}

/* ---- PUSH -------------------------------------------------------------------------------------
 */

static void work_is_handed_out_from_the_end_at_start_on_every_transport(void **state)
{
    (void)state;
    for (size_t i = 0; i < TRANSPORTS; i++) {
        gateway *g = gateway_on(i, "push.url");
        nng_socket pull;
        nng_socket req;
        size_t len = 0;
        set(g, "push.topic", "work");
        gateway_start(g);
        topic_create(g, "work");
        req = greeted(g);
        publish(req, "work/1", "one"); /* the topic came after the start: all of it is handed out */
        pull = dialled(nng_pull0_open, g->urls[PUSH]);
        assert_string_equal(hear(pull, &len), "work/1");
        assert_int_equal(len, 7 + 3);
        publish(req, "other", "no");
        publish(req, "work/2", "two");
        assert_string_equal(hear(pull, &len), "work/2");
        /* A second start begins at the end. */
        weir_nng_adapter()->stop(g->adapter);
        g->adapter = NULL;
        let_go(pull);
        let_go(req);
        assert_int_equal(weir_nng_adapter()->configure(&g->host, &g->adapter, NULL), WEIR_OK);
        assert_int_equal(weir_nng_adapter()->start(g->adapter, NULL), WEIR_OK);
        pull = dialled(nng_pull0_open, g->urls[PUSH]);
        req = greeted(g);
        publish(req, "work/3", "three");
        assert_string_equal(hear(pull, &len), "work/3");
        let_go(pull);
        let_go(req);
        gateway_end(g);
    }
}

static void what_nobody_has_room_for_stays_in_the_topic(void **state)
{
    enum { RECORDS = 3000, BYTES = 2000 };
    gateway *g = gateway_make();
    nng_socket pull;
    int slow = -1;
    int unread = 0;
    uint64_t heard = 0;
    uint64_t lost = 0;
    (void)state;
    set(g, "push.topic", "work");
    gateway_start(g);
    topic_create(g, "work");
    slow = silent(g->urls[PUSH], 0x51);
    flood(g, "work", RECORDS, BYTES);
    pull = dialled(nng_pull0_open, g->urls[PUSH]);
    counter_reaches(g, "weir_nng_push_connections", 2);
    while (heard + RECORDS / 2 < RECORDS) { /* by now the slow one has all it has room for */
        (void)hear(pull, NULL);
        heard++;
    }
    assert_int_equal(ioctl(slow, FIONREAD, &unread), 0);
    close(slow); /* what was on its way to it is lost, and counted */
    counter_reaches(g, "weir_nng_push_connections", 1);
    lost = counter(g, "weir_nng_push_lost_total");
    /* What its system had received cannot be known here; it is the rest, and no more. */
    while (heard + lost + (unsigned)unread / (8 + 5 + BYTES) < RECORDS) {
        (void)hear(pull, NULL);
        heard++;
    }
    counter_reaches(g, "weir_nng_push_records_total", RECORDS);
    assert_true(lost > 0 && lost * (8 + 5 + BYTES) < 1000000);
    let_go(pull);
    gateway_end(g);
}

static void partitions_are_all_handed_out(void **state)
{
    enum { RECORDS = 500 };
    gateway *g = gateway_make();
    nng_socket pull;
    nng_socket req;
    char name[32];
    (void)state;
    set(g, "push.topic", "work");
    set(g, "push.batch", "true");
    gateway_start(g);
    req = greeted(g);
    has(ask(req, "{\"cmd\":\"topic\",\"action\":\"create\",\"topic\":\"work\",\"partitions\":7}"),
        "\"ok\":true");
    for (unsigned i = 0; i < RECORDS; i++) {
        (void)snprintf(name, sizeof(name), "work/%u", i);
        publish(req, name, "x");
    }
    pull = dialled(nng_pull0_open, g->urls[PUSH]);
    counter_reaches(g, "weir_nng_push_records_total", RECORDS);
    for (unsigned heard = 0; heard < RECORDS;) {
        const uint8_t *body = (const uint8_t *)hear(pull, NULL);
        heard += (unsigned)body[3] << 8 | body[4];
    }
    let_go(pull);
    let_go(req);
    gateway_end(g);
}

/* Peers that leave while messages are on their way: the packaged library's PUSH ends the process
 * then. They are spoken by hand: its PULL hangs in nng_close when many come and go. */
static int unix_connected(const char *url)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval patience = {DEADLINE_MS / 1000, 0};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strcpy(address.sun_path, url + strlen("ipc://"));
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static int greeted_by_hand(int fd)
{
    uint8_t answer[8];
    assert_int_equal(send(fd, "\0SP\0\0\x51\0\0", 8, MSG_NOSIGNAL), 8);
    assert_int_equal(recv(fd, answer, sizeof(answer), MSG_WAITALL), sizeof(answer));
    return fd;
}

static int puller_by_hand(size_t transport, const char *url)
{
    switch (transport) {
    case 0:
        return greeted_by_hand(connected(url));
    case 1:
        return greeted_by_hand(unix_connected(url));
    default:
        return web_connected(url);
    }
}

typedef struct leaver {
    size_t transport;
    const char *url;
    atomic_bool *over;
    uint64_t bytes; /* of whole messages */
    size_t size;    /* of one on the wire */
} leaver;

static void *leaver_run(void *arg)
{
    leaver *own = arg;
    unsigned seed = (unsigned)own->size;
    const struct linger reset = {1, 0};
    while (!atomic_load(own->over)) {
        int fd = puller_by_hand(own->transport, own->url);
        char buffer[4096];
        size_t len = 0;
        size_t most = (size_t)rand_r(&seed) % 40000;
        const struct timeval short_patience = {0, 20000};
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &short_patience, sizeof(short_patience));
        while (len < most) {
            ssize_t got = recv(fd, buffer, sizeof(buffer), 0);
            if (got <= 0) {
                break;
            }
            len += (size_t)got;
        }
        own->bytes += len / own->size * own->size;
        if (rand_r(&seed) % 2 == 0) {
            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        }
        close(fd);
    }
    return NULL;
}

static void peers_that_leave_at_any_moment_harm_nobody(void **state)
{
    enum { LEAVERS = 4, RECORDS = 20000, BODY = 5 + 20 };
    static const size_t sizes[] = {8 + BODY, 9 + BODY, 2 + BODY};
    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        gateway *g = gateway_on(i, "push.url"); /* inproc is the embedding program's own affair */
        atomic_bool over = false;
        leaver leavers[LEAVERS];
        pthread_t threads[LEAVERS];
        uint64_t heard = 0;
        nng_socket pull;
        nng_msg *message = NULL;
        set(g, "push.topic", "work");
        gateway_start(g);
        topic_create(g, "work");
        for (unsigned j = 0; j < LEAVERS; j++) {
            leavers[j] = (leaver){i, g->urls[PUSH], &over, 0, sizes[i]};
            assert_int_equal(pthread_create(&threads[j], NULL, leaver_run, &leavers[j]), 0);
        }
        flood(g, "work", RECORDS, 20);
        atomic_store(&over, true);
        for (unsigned j = 0; j < LEAVERS; j++) {
            assert_int_equal(pthread_join(threads[j], NULL), 0);
            heard += leavers[j].bytes / sizes[i];
        }
        pull = dialled(nng_pull0_open, g->urls[PUSH]);
        (void)nng_socket_set_ms(pull, NNG_OPT_RECVTIMEO, 1000);
        while (nng_recvmsg(pull, &message, 0) == 0) {
            nng_msg_free(message);
            heard++;
        }
        counter_reaches(g, "weir_nng_push_records_total", RECORDS); /* each once */
        assert_true(heard > 0 && heard <= RECORDS);
        print_message("%s: handed out %d, read %llu, counted lost %llu\n", g->urls[PUSH], RECORDS,
                      (unsigned long long)heard,
                      (unsigned long long)counter(g, "weir_nng_push_lost_total"));
        let_go(pull);
        gateway_end(g);
    }
}

/* ---- Greetings --------------------------------------------------------------------------------
 */

static void wrong_greetings_are_refused_and_counted(void **state)
{
    static const char *const wrong[] = {"GET / HT", "\0SP\0\0\x21\0\1", "\0SP\1\0\x21\0\0",
                                        "\0SP\0\0\x10\0\0", "\0SP\0\0\x21\0\0more"};
    static const size_t lens[] = {8, 8, 8, 8, 12};
    gateway *g = gateway_make();
    char byte[16];
    (void)state;
    g->limits.connect_ms_max = 200;
    gateway_start(g);
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        int fd = connected(g->urls[PUB]);
        assert_int_equal(send(fd, wrong[i], lens[i], MSG_NOSIGNAL), lens[i]);
        while (recv(fd, byte, sizeof(byte), 0) > 0) { /* its own greeting; then the end */
        }
        close(fd);
        counter_reaches(g, "weir_nng_refused_greeting_total", i + 1);
    }
    int fd = connected(g->urls[PUB]); /* says nothing at all */
    while (recv(fd, byte, sizeof(byte), 0) > 0) {
    }
    close(fd);
    counter_reaches(g, "weir_nng_refused_greeting_total", 6);
    counter_reaches(g, "weir_nng_connections", 0);
    gateway_end(g);
}

static void connections_beyond_the_limit_are_closed_and_counted(void **state)
{
    gateway *g = gateway_make();
    nng_socket req;
    char byte[16];
    (void)state;
    g->limits.connections_max = 3;
    gateway_start(g);
    req = greeted(g);
    int first = silent(g->urls[PUB], 0x21);
    int second = silent(g->urls[PUSH], 0x51);
    int third = connected(g->urls[PUSH]);
    while (recv(third, byte, sizeof(byte), 0) > 0) {
    }
    close(third);
    counter_reaches(g, "weir_nng_refused_connections_total", 1);
    has(ask(req, "{\"cmd\":\"ping\"}"), "\"ok\":true");
    close(first);
    close(second);
    counter_reaches(g, "weir_nng_connections", 1);
    let_go(req);
    gateway_end(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_subscriber_gets_records_on_every_transport),
        cmocka_unit_test(only_what_matches_the_filter_is_sent),
        cmocka_unit_test(batches_are_sent_only_when_asked_for),
        cmocka_unit_test(what_a_slow_subscriber_misses_is_counted_exactly),
        cmocka_unit_test(work_is_handed_out_from_the_end_at_start_on_every_transport),
        cmocka_unit_test(what_nobody_has_room_for_stays_in_the_topic),
        cmocka_unit_test(partitions_are_all_handed_out),
        cmocka_unit_test(peers_that_leave_at_any_moment_harm_nobody),
        cmocka_unit_test(wrong_greetings_are_refused_and_counted),
        cmocka_unit_test(connections_beyond_the_limit_are_closed_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
