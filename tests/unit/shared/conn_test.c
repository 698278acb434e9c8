/* Connections and listeners, over real sockets on loopback. The echo server uses whole lines only.
 */
#include "adapters/shared/descriptors.h"
#include "adapters/shared/conn.h"
#include "adapters/shared/listener.h"

#include "port_fake.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include <cmocka.h>

enum { DEADLINE_MS = 60000, INPUT_MAX = 4096, OUTPUT_HIGH = 65536, SIPS = 100 };

/* ---- The server under test ----------------------------------------------------------------- */

typedef struct server {
    weir_loops *loops;
    weir_listener *listener;
    atomic_uint opened;
    atomic_uint closed;
    atomic_uint ended;
    atomic_uint full;
    atomic_uint low;
    atomic_uint per_loop[4];
    atomic_int why;
    atomic_ulong sent;       /* lines of the flood */
    atomic_ulong most_input; /* the longest input given at once */
    atomic_uint sips;
    atomic_uint late;
    int peer;         /* that goes in the middle of a turn */
    bool gated;       /* connections get the gate below */
    atomic_bool open; /* it takes everything, else nothing */
} server;

typedef struct echo {
    weir_conn conn;
    server *server;
    bool over;
    bool flooding;
    bool sipping; /* takes one line, pauses, resumes soon: as a session that is blocked again and
                     again */
} echo;

static void flood(echo *self)
{
    static const uint8_t bytes[4096] = {'x'};
    while (self->flooding && !weir_conn_output_full(&self->conn)) {
        if (weir_conn_write(&self->conn, WEIR_BYTES(bytes)) != WEIR_OK) {
            return;
        }
        self->server->sent++;
    }
}

static void line_do(echo *self, weir_bytes line)
{
    if (weir_bytes_equal(line, WEIR_TEXT("close\n"))) {
        (void)weir_conn_write(&self->conn, WEIR_TEXT("goodbye\n"));
        weir_conn_close(&self->conn);
        (void)weir_conn_write(&self->conn, WEIR_TEXT("never\n"));
    } else if (weir_bytes_equal(line, WEIR_TEXT("reset\n"))) {
        weir_conn_reset(&self->conn, WEIR_PROTOCOL);
    } else if (weir_bytes_equal(line, WEIR_TEXT("pause\n"))) {
        weir_conn_pause(&self->conn);
        weir_conn_deadline(&self->conn, weir_loop_now_ms(self->conn.loop) + 50);
    } else if (weir_bytes_equal(line, WEIR_TEXT("sip\n"))) {
        self->sipping = true;
        self->server->sips++;
        weir_conn_pause(&self->conn);
        weir_conn_deadline(&self->conn, weir_loop_now_ms(self->conn.loop) + 1);
    } else if (weir_bytes_equal(line, WEIR_TEXT("drip\n"))) {
        static const uint8_t kilobyte[1024] = {'d'};
        (void)weir_conn_write(&self->conn, WEIR_BYTES(kilobyte)); /* whatever waits already */
    } else if (weir_bytes_equal(line, WEIR_TEXT("go\n"))) {
        assert_int_equal(send(self->server->peer, "late\n", 5, 0), 5);
        assert_int_equal(close(self->server->peer), 0); /* a reset: there is something unread */
        (void)weir_conn_write(&self->conn, line);
    } else if (weir_bytes_equal(line, WEIR_TEXT("late\n"))) {
        self->server->late++;
    } else if (weir_bytes_equal(line, WEIR_TEXT("flood\n"))) {
        self->flooding = true;
        flood(self);
    } else {
        (void)weir_conn_write(&self->conn, line);
    }
}

static size_t echo_input(weir_conn *conn, weir_bytes in)
{
    echo *self = (echo *)conn;
    size_t used = 0;
    const uint8_t *end = NULL;
    if (in.len > self->server->most_input) {
        self->server->most_input = in.len;
    }
    while (weir_conn_is_open(conn) && !weir_conn_paused(conn) &&
           (end = memchr(in.ptr + used, '\n', in.len - used)) != NULL) {
        size_t len = (size_t)(end - (in.ptr + used)) + 1;
        line_do(self, (weir_bytes){in.ptr + used, len});
        used += len;
    }
    return used;
}

static void echo_ended(weir_conn *conn)
{
    ((echo *)conn)->server->ended++;
    weir_conn_close(conn);
}

static void echo_pressure(weir_conn *conn, bool full)
{
    echo *self = (echo *)conn;
    if (full) {
        self->server->full++;
    } else {
        self->server->low++;
        flood(self);
    }
}

static void echo_sent(weir_conn *conn, size_t waiting)
{
    if (waiting == 0) {
        flood((echo *)conn); /* until the socket takes no more */
    }
}

static void echo_deadline(weir_conn *conn)
{
    const echo *self = (echo *)conn;
    if (self->sipping && self->server->sips < SIPS) {
        weir_conn_resume(conn);
        return;
    }
    if (self->sipping) {
        weir_conn_reset(conn, WEIR_CLOSED); /* that will do */
        return;
    }
    (void)weir_conn_write(conn, WEIR_TEXT("resumed\n"));
    weir_conn_resume(conn);
}

static void echo_closed(weir_conn *conn, weir_err why)
{
    echo *self = (echo *)conn;
    self->server->why = (int)why;
    weir_listener_release(self->server->listener, self->over);
    self->server->closed++;
    free(self);
}

static const weir_conn_ops echo_ops = {
    .input = echo_input,
    .ended = echo_ended,
    .pressure = echo_pressure,
    .deadline = echo_deadline,
    .closed = echo_closed,
    .sent = echo_sent,
};

/* A socket that takes nothing or all of a write, as the test says. */

static weir_err gate_read(void *filter, uint8_t *out, size_t size, size_t *len, bool *wants_write)
{
    ssize_t got = recv(((echo *)filter)->conn.fd, out, size, MSG_DONTWAIT);
    *wants_write = false;
    if (got > 0) {
        *len = (size_t)got;
        return WEIR_OK;
    }
    return got == 0 ? WEIR_CLOSED : errno == EAGAIN ? WEIR_AGAIN : WEIR_IO;
}

static weir_err gate_write(void *filter, const uint8_t *bytes, size_t size, size_t *len)
{
    (void)bytes; /* nobody reads them */
    if (!((echo *)filter)->server->open) {
        return WEIR_AGAIN;
    }
    *len = size;
    return WEIR_OK;
}

static bool gate_pending(void *filter)
{
    (void)filter;
    return false;
}

static void gate_ends(void *filter)
{
    (void)filter;
}

static const weir_conn_filter_ops gate_ops = {.read = gate_read,
                                              .write = gate_write,
                                              .pending = gate_pending,
                                              .shutdown = gate_ends,
                                              .destroy = gate_ends};

static void echo_accepted(void *arg, weir_loop *loop, int fd, bool over)
{
    weir_conn_config config = {
        .ops = &echo_ops, .input_max = INPUT_MAX, .output_high = OUTPUT_HIGH};
    server *self = arg;
    echo *made = calloc(1, sizeof(*made));
    assert(made != NULL);
    made->server = self;
    made->over = over;
    if (self->gated) {
        config.filter = (weir_conn_filter){&gate_ops, made};
    }
    assert(weir_conn_open(&made->conn, loop, fd, &config) == WEIR_OK);
    self->opened++;
    self->per_loop[weir_loop_index(loop)]++;
    if (over) {
        (void)weir_conn_write(&made->conn, WEIR_TEXT("full\n"));
        weir_conn_close(&made->conn);
    }
}

static weir_listener_config server_config(server *self)
{
    return (weir_listener_config){.loops = self->loops,
                                  .section = "echo",
                                  .address = "127.0.0.1",
                                  .connections_max = 1000,
                                  .accepted = echo_accepted,
                                  .arg = self};
}

static void server_start(server *self, unsigned loops, uint64_t connections_max)
{
    weir_fault fault = {0};
    weir_listener_config config;
    *self = (server){0};
    fake_port_count = 0;
    assert_int_equal(weir_loops_create(NULL, loops, &self->loops, &fault), WEIR_OK);
    config = server_config(self);
    config.connections_max = connections_max;
    assert_int_equal(weir_listener_open(&config, &self->listener, &fault), WEIR_OK);
}

static long long now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void wait_until(atomic_uint *value, unsigned least)
{
    long long until = now_ms() + DEADLINE_MS;
    while (*value < least && now_ms() < until) {
        const struct timespec pause = {.tv_nsec = 1000000};
        nanosleep(&pause, NULL);
    }
    assert_true(*value >= least);
}

static void server_stop(server *self)
{
    wait_until(&self->closed, self->opened);
    weir_listener_close(self->listener);
    weir_loops_destroy(self->loops);
}

/* ---- The client ---------------------------------------------------------------------------- */

static int client_open(const server *self)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(weir_listener_port(self->listener)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void client_say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Reads at least `least` bytes, or to the end when it is 0; -1 on a reset. */
static ssize_t client_read(int fd, char *out, size_t size, size_t least)
{
    size_t len = 0;
    long long until = now_ms() + DEADLINE_MS;
    while (len < size && (least == 0 || len < least)) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        long long left = until - now_ms();
        ssize_t got = 0;
        if (left <= 0 || poll(&ready, 1, (int)left) != 1) {
            fail_msg("only %zu bytes came within %d ms", len, DEADLINE_MS);
        }
        got = recv(fd, out + len, size - len, 0);
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        len += (size_t)got;
    }
    return (ssize_t)len;
}

/* Reads and drops what comes until the value has risen. */
static void client_reads_until(int fd, atomic_uint *value, unsigned least)
{
    static char dropped[1 << 20];
    long long until = now_ms() + DEADLINE_MS;
    while (*value < least) {
        if (now_ms() > until) {
            fail_msg("still %u, not %u, though the peer has read for %d ms", *value, least,
                     DEADLINE_MS);
        }
        assert_true(client_read(fd, dropped, sizeof(dropped), 1) > 0);
    }
}

static void client_expect(int fd, const char *text)
{
    char got[256] = "";
    assert_int_equal(client_read(fd, got, strlen(text), strlen(text)), strlen(text));
    assert_memory_equal(got, text, strlen(text));
}

static void client_expect_end(int fd)
{
    char got[16];
    assert_int_equal(client_read(fd, got, sizeof(got), 0), 0);
    close(fd);
}

/* ---- Tests --------------------------------------------------------------------------------- */

static void a_line_cut_anywhere_comes_back_whole(void **state)
{
    server self;
    int fd = -1;
    const char *line = "one line in pieces\n";
    (void)state;
    server_start(&self, 1, 10);
    fd = client_open(&self);
    for (size_t i = 0; i < strlen(line); i++) {
        assert_int_equal(send(fd, line + i, 1, MSG_NOSIGNAL), 1);
    }
    client_expect(fd, line);
    close(fd);
    server_stop(&self);
    assert_int_equal(self.ended, 1);
    assert_int_equal(self.why, WEIR_CLOSED);
}

static void what_was_written_before_a_close_arrives_and_nothing_after_it(void **state)
{
    server self;
    int fd = -1;
    (void)state;
    server_start(&self, 1, 10);
    fd = client_open(&self);
    client_say(fd, "close\nmore\nthat is not read\n");
    client_expect(fd, "goodbye\n");
    client_expect_end(fd);
    server_stop(&self);
    assert_int_equal(self.why, WEIR_CLOSED);
}

static void a_reset_of_one_leaves_the_others(void **state)
{
    server self;
    int bad = -1;
    int good = -1;
    char got[16];
    (void)state;
    server_start(&self, 1, 10);
    bad = client_open(&self);
    good = client_open(&self);
    client_say(bad, "reset\n");
    assert_true(client_read(bad, got, sizeof(got), 0) <= 0);
    wait_until(&self.closed, 1);
    assert_int_equal(self.why, WEIR_PROTOCOL);
    client_say(good, "still here\n");
    client_expect(good, "still here\n");
    close(bad);
    close(good);
    server_stop(&self);
}

static void what_a_peer_said_before_it_went_is_read_though_it_cannot_be_written_to(void **state)
{
    server s;
    const int at_once = 1;
    char byte = 0;
    (void)state;
    server_start(&s, 1, 10);
    s.peer = client_open(&s);
    assert_int_equal(setsockopt(s.peer, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof(at_once)), 0);
    client_say(s.peer, "unread\n");
    assert_int_equal(recv(s.peer, &byte, 1, MSG_PEEK), 1);
    client_say(s.peer, "go\n");
    wait_until(&s.closed, 1);
    assert_int_equal(s.late, 1);
    server_stop(&s);
}

static void a_paused_connection_keeps_its_input_and_gives_it_when_resumed(void **state)
{
    server self;
    int fd = -1;
    (void)state;
    server_start(&self, 1, 10);
    fd = client_open(&self);
    client_say(fd, "pause\nfirst\nsecond\n");
    client_expect(fd, "resumed\nfirst\nsecond\n");
    close(fd);
    server_stop(&self);
}

static void kept_input_stays_bounded_however_often_reading_is_resumed(void **state)
{
    enum { READ_MOST = 262144 };
    server self;
    char lines[5000];
    (void)state;
    server_start(&self, 1, 10);
    int fd = client_open(&self);
    for (size_t i = 0; i + 4 <= sizeof(lines); i += 4) {
        memcpy(lines + i, "sip\n", 4);
    }
    /* Far more than it takes; the socket is filled for as long as it sips. */
    for (long long until = now_ms() + DEADLINE_MS; self.sips < SIPS && now_ms() < until;) {
        const struct timespec pause = {.tv_nsec = 1000000};
        while (send(fd, lines, sizeof(lines), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
        }
        nanosleep(&pause, NULL);
    }
    assert_true(self.sips >= SIPS);
    assert_true(self.most_input <= INPUT_MAX + READ_MOST);
    close(fd);
    server_stop(&self);
}

static void an_owner_that_writes_to_a_choked_socket_is_told_that_it_is_full(void **state)
{
    server self;
    (void)state;
    server_start(&self, 1, 10);
    int fd = client_open(&self);
    for (long long until = now_ms() + DEADLINE_MS; self.full == 0 && now_ms() < until;) {
        const struct timespec pause = {.tv_nsec = 1000000};
        client_say(fd, "drip\ndrip\ndrip\ndrip\ndrip\ndrip\ndrip\ndrip\n"); /* and never read */
        nanosleep(&pause, NULL); /* few a turn, so that it chokes with little waiting */
    }
    wait_until(&self.full, 1);
    close(fd);
    server_stop(&self);
}

static void unused_input_beyond_its_limit_ends_the_connection(void **state)
{
    server self;
    int fd = -1;
    char got[16];
    char bytes[INPUT_MAX + 100];
    (void)state;
    memset(bytes, 'a', sizeof(bytes)); /* no end of line */
    server_start(&self, 1, 10);
    fd = client_open(&self);
    assert_int_equal(send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL), sizeof(bytes));
    assert_true(client_read(fd, got, sizeof(got), 0) <= 0);
    wait_until(&self.closed, 1);
    assert_int_equal(self.why, WEIR_TOO_LARGE);
    close(fd);
    server_stop(&self);
}

static void a_peer_that_does_not_read_is_told_of_as_pressure_and_again_when_it_reads(void **state)
{
    server self;
    int fd = -1;
    (void)state;
    server_start(&self, 1, 10);
    fd = client_open(&self);
    client_say(fd, "flood\n");
    wait_until(&self.full, 1);
    unsigned long before = self.sent;
    client_reads_until(fd, &self.low, self.low + 1); /* it may have risen: sockets' buffers grow */
    client_reads_until(fd, &self.full, self.full + 1);
    assert_true(self.sent > before);
    close(fd);
    server_stop(&self);
    assert_true(self.why == WEIR_IO || self.why == WEIR_CLOSED);
}

/* The socket takes all that waited, and the owner fills up again when it is told so. */
static void an_owner_that_refills_at_once_is_still_told_that_all_had_left(void **state)
{
    server self;
    int fd = -1;
    (void)state;
    server_start(&self, 1, 10);
    self.gated = true; /* nobody has connected yet */
    fd = client_open(&self);
    client_say(fd, "flood\n");
    wait_until(&self.full, 1);
    assert_int_equal(self.low, 0);
    self.open = true;
    wait_until(&self.low, 3);
    assert_true(self.full >= 3); /* they alternate, beginning with full */
    close(fd);
    server_stop(&self);
}

static void connections_are_spread_over_the_loops(void **state)
{
    server self;
    int fds[8];
    (void)state;
    server_start(&self, 2, 10);
    for (unsigned i = 0; i < 8; i++) {
        fds[i] = client_open(&self);
    }
    wait_until(&self.opened, 8);
    assert_int_equal(self.per_loop[0], 4);
    assert_int_equal(self.per_loop[1], 4);
    for (unsigned i = 0; i < 8; i++) {
        close(fds[i]);
    }
    server_stop(&self);
}

static void few_connections_share_the_first_loop(void **state)
{
    server self;
    int fds[8];
    (void)state;
    server_start(&self, 2, 10);
    weir_loops_together_set(self.loops, 4); /* nobody has connected yet */
    for (unsigned i = 0; i < 8; i++) {
        fds[i] = client_open(&self);
    }
    wait_until(&self.opened, 8);
    assert_int_equal(self.per_loop[0], 6);
    assert_int_equal(self.per_loop[1], 2);
    for (unsigned i = 0; i < 8; i++) {
        close(fds[i]);
    }
    server_stop(&self);
}

static void one_connection_too_many_is_told_so_and_a_place_that_is_free_again_is_given(void **state)
{
    server self;
    int fds[3];
    weir_listener_stats stats;
    (void)state;
    server_start(&self, 1, 2);
    fds[0] = client_open(&self);
    fds[1] = client_open(&self);
    client_say(fds[0], "a\n");
    client_expect(fds[0], "a\n");
    client_say(fds[1], "a\n");
    client_expect(fds[1], "a\n");
    fds[2] = client_open(&self);
    client_expect(fds[2], "full\n");
    client_expect_end(fds[2]);
    weir_listener_stats_get(self.listener, &stats);
    assert_int_equal(stats.accepted, 2);
    assert_int_equal(stats.over, 1);
    assert_int_equal(stats.open, 2);
    close(fds[0]);
    wait_until(&self.closed, 2);
    fds[0] = client_open(&self);
    client_say(fds[0], "b\n");
    client_expect(fds[0], "b\n");
    close(fds[0]);
    close(fds[1]);
    server_stop(&self);
}

static void beyond_what_all_front_ends_may_have_a_peer_is_closed_at_once(void **state)
{
    server self;
    char got[4];
    weir_listener_stats stats;
    (void)state;
    server_start(&self, 1, 100);
    weir_descriptors_max_set(2);
    int first = client_open(&self), second = client_open(&self);
    client_say(first, "a\n");
    client_expect(first, "a\n");
    client_say(second, "b\n");
    client_expect(second, "b\n");
    int third = client_open(&self);
    assert_true(client_read(third, got, sizeof(got), 0) <= 0);
    weir_listener_stats_get(self.listener, &stats);
    assert_int_equal(stats.descriptors, 1);
    assert_int_equal(stats.open, 2);
    close(third);
    close(second);
    wait_until(&self.closed, 1);
    third = client_open(&self);
    client_say(third, "c\n");
    client_expect(third, "c\n");
    close(third);
    close(first);
    server_stop(&self);
    weir_descriptors_max_set(0);
}

static void out_of_descriptors_a_peer_is_turned_away_and_the_others_are_served(void **state)
{
    server self;
    struct rlimit before;
    struct rlimit tight;
    int first = -1;
    int probe = -1;
    int peer = -1;
    weir_listener_stats stats;
    (void)state;
    server_start(&self, 1, 100);
    first = client_open(&self);
    client_say(first, "a\n");
    client_expect(first, "a\n");
    peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    probe = dup(0);
    close(probe); /* the next descriptor this process would get: the limit is set right there */
    getrlimit(RLIMIT_NOFILE, &before);
    tight = before;
    tight.rlim_cur = (rlim_t)probe;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons(weir_listener_port(self.listener)),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        char got[4];
        assert_int_equal(connect(peer, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_true(client_read(peer, got, sizeof(got), 0) <= 0); /* closed, not left hanging */
    }
    client_say(first, "b\n");
    client_expect(first, "b\n");
    weir_listener_stats_get(self.listener, &stats);
    assert_int_equal(stats.descriptors, 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    close(peer);
    peer = client_open(&self); /* after the rest */
    client_say(peer, "c\n");
    client_expect(peer, "c\n");
    close(peer);
    close(first);
    server_stop(&self);
}

static void a_busy_port_is_a_fault_that_names_the_setting(void **state)
{
    server self;
    weir_listener *second = NULL;
    weir_fault fault = {0};
    weir_listener_config config;
    (void)state;
    server_start(&self, 1, 10);
    config = server_config(&self);
    config.port = weir_listener_port(self.listener);
    config.enabled_key = "echo.enabled";
    assert_int_equal(weir_listener_open(&config, &second, &fault), WEIR_EXISTS);
    assert_null(second);
    assert_int_equal(fault.os_errno, EADDRINUSE);
    assert_non_null(strstr(fault.text, "echo.port"));
    assert_non_null(strstr(fault.text, "echo.enabled=false"));
    server_stop(&self);
}

static void an_address_beyond_loopback_needs_to_be_meant(void **state)
{
    server self;
    weir_listener *second = NULL;
    weir_fault fault = {0};
    weir_listener_config config;
    (void)state;
    server_start(&self, 1, 10);
    config = server_config(&self);
    config.address = "0.0.0.0";
    assert_int_equal(weir_listener_open(&config, &second, &fault), WEIR_INVALID);
    assert_non_null(strstr(fault.text, "insecure"));
    config.address = "example.org";
    assert_int_equal(weir_listener_open(&config, &second, &fault), WEIR_INVALID);
    assert_non_null(strstr(fault.text, "echo.address"));
    config.address = "0.0.0.0";
    config.insecure = true;
    assert_int_equal(weir_listener_open(&config, &second, &fault), WEIR_OK);
    weir_listener_close(second);
    server_stop(&self);
}

static void a_socket_file_left_behind_is_replaced_and_a_live_one_is_not(void **state)
{
    server self;
    char dir[] = "/tmp/weir-conn-XXXXXX";
    char path[64];
    struct stat about;
    weir_listener *live = NULL;
    weir_listener *second = NULL;
    weir_fault fault = {0};
    weir_listener_config config;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/weir.sock", dir);
    memcpy(address.sun_path, path, strlen(path) + 1);
    assert_int_equal(bind(stale, (struct sockaddr *)&address, sizeof(address)), 0);
    close(stale);
    server_start(&self, 1, 10);
    config = server_config(&self);
    config.address = NULL;
    config.path = path;
    assert_int_equal(weir_listener_open(&config, &live, &fault), WEIR_OK);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    assert_int_equal(weir_listener_open(&config, &second, &fault), WEIR_EXISTS);
    assert_int_equal(access(path, F_OK), 0);
    weir_listener_close(live);
    assert_int_equal(access(path, F_OK), -1);
    server_stop(&self);
    assert_int_equal(rmdir(dir), 0);
}

static void an_idle_connection_owns_no_buffer(void **state)
{
    (void)state;
    assert_true(sizeof(weir_conn) <= 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_cut_anywhere_comes_back_whole),
        cmocka_unit_test(what_was_written_before_a_close_arrives_and_nothing_after_it),
        cmocka_unit_test(a_reset_of_one_leaves_the_others),
        cmocka_unit_test(what_a_peer_said_before_it_went_is_read_though_it_cannot_be_written_to),
        cmocka_unit_test(a_paused_connection_keeps_its_input_and_gives_it_when_resumed),
        cmocka_unit_test(kept_input_stays_bounded_however_often_reading_is_resumed),
        cmocka_unit_test(an_owner_that_writes_to_a_choked_socket_is_told_that_it_is_full),
        cmocka_unit_test(unused_input_beyond_its_limit_ends_the_connection),
        cmocka_unit_test(a_peer_that_does_not_read_is_told_of_as_pressure_and_again_when_it_reads),
        cmocka_unit_test(an_owner_that_refills_at_once_is_still_told_that_all_had_left),
        cmocka_unit_test(connections_are_spread_over_the_loops),
        cmocka_unit_test(few_connections_share_the_first_loop),
        cmocka_unit_test(
            one_connection_too_many_is_told_so_and_a_place_that_is_free_again_is_given),
        cmocka_unit_test(beyond_what_all_front_ends_may_have_a_peer_is_closed_at_once),
        cmocka_unit_test(out_of_descriptors_a_peer_is_turned_away_and_the_others_are_served),
        cmocka_unit_test(a_busy_port_is_a_fault_that_names_the_setting),
        cmocka_unit_test(an_address_beyond_loopback_needs_to_be_meant),
        cmocka_unit_test(a_socket_file_left_behind_is_replaced_and_a_live_one_is_not),
        cmocka_unit_test(an_idle_connection_owns_no_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
