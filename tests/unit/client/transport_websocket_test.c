/* The client over WebSocket against a gateway that is a script: a thread behind a listener. */
#include "weir/client.h"

#include "adapters/proto/websocket/frame.h"
#include "adapters/proto/websocket/handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define UPGRADED                                                                                   \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Protocol: weir.v1\r\nSec-WebSocket-Accept: "
#define HELLO  "{\"id\":1,\"ok\":true,\"version\":1,\"server\":\"weir test\"}"
#define STORED "{\"id\":2,\"ok\":true,\"level\":\"os\",\"offset\":7}"

enum { DEADLINE_MS = 60000, BYTES_MAX = 64 * 1024 };

typedef struct server {
    pthread_t thread;
    int listener;
    int fd;
    char url[64];
    const char *answer; /* instead of the right one; NULL: UPGRADED with the key's answer */
    size_t cut;         /* of the answer: bytes that are said; 0: all */
    void (*run)(struct server *server); /* after the handshake; NULL: it closes */
    uint16_t code;                      /* for run */
    uint16_t code_back;                 /* of the client's close frame */
    weir_ws_reader reader;
    uint8_t in[BYTES_MAX];
    size_t in_len;
    char problem[128];
} server;

static bool more(server *s)
{
    struct pollfd one = {.fd = s->fd, .events = POLLIN};
    ssize_t got = poll(&one, 1, DEADLINE_MS) == 1
                      ? recv(s->fd, s->in + s->in_len, sizeof(s->in) - s->in_len, 0)
                      : -1;
    s->in_len += got > 0 ? (size_t)got : 0;
    return got > 0;
}

static void say(server *s, const void *bytes, size_t len)
{
    (void)send(s->fd, bytes, len, MSG_NOSIGNAL);
}

static void say_frame(server *s, weir_ws_opcode opcode, bool fin, const char *text)
{
    uint8_t head[WEIR_WS_HEAD_BYTES_MAX];
    say(s, head, weir_ws_head_write(head, opcode, fin, strlen(text), NULL));
    say(s, text, strlen(text));
}

/* The next frame of the client has this opcode and `expect` in it. */
static void hear(server *s, weir_ws_opcode opcode, const char *expect)
{
    char got[1024];
    for (;;) {
        weir_ws_event event;
        size_t used = 0;
        weir_err err = weir_ws_read(&s->reader, s->in, s->in_len, &used, &event);
        if (err == WEIR_OK) {
            s->code_back = event.opcode == WEIR_WS_CLOSE ? event.code : 0;
            snprintf(got, sizeof(got), "%.*s", (int)event.bytes.len, (const char *)event.bytes.ptr);
            if (event.opcode != opcode || strstr(got, expect) == NULL) {
                snprintf(s->problem, sizeof(s->problem), "expected %s: opcode %d, %.60s", expect,
                         event.opcode, got);
            }
        }
        memmove(s->in, s->in + used, s->in_len - used);
        s->in_len -= used;
        if (err == WEIR_OK) {
            return;
        }
        if (err != WEIR_MORE || !more(s)) {
            snprintf(s->problem, sizeof(s->problem), "no %s came", expect);
            return;
        }
    }
}

static bool shake(server *s)
{
    weir_http_head head;
    weir_bytes key;
    char accept[WEIR_WS_ACCEPT_BYTES + 1], answer[512];
    weir_ws_handshake judged;
    const weir_ws_policy policy = {.loopback_only = true};
    while (weir_http_head_read((weir_bytes){s->in, s->in_len}, &head) == WEIR_MORE) {
        if (!more(s)) {
            return false;
        }
    }
    weir_ws_handshake_check(&head, &policy, &judged);
    if (judged.status != 101 || weir_http_field_find(&head, "Sec-WebSocket-Key", &key) != 1) {
        snprintf(s->problem, sizeof(s->problem), "a request for %u", judged.status);
        return false;
    }
    weir_ws_accept_of(key, accept);
    snprintf(answer, sizeof(answer), UPGRADED "%s\r\n\r\n", accept);
    const char *said = s->answer != NULL ? s->answer : answer;
    say(s, said, s->cut != 0 ? s->cut : strlen(said));
    s->in_len -= head.bytes;
    memmove(s->in, s->in + head.bytes, s->in_len);
    return s->cut == 0;
}

static void *serve(void *arg)
{
    server *s = arg;
    struct pollfd one = {.fd = s->listener, .events = POLLIN};
    s->fd = poll(&one, 1, DEADLINE_MS) == 1 ? accept(s->listener, NULL, NULL) : -1;
    if (shake(s) && s->run != NULL) {
        s->run(s);
    }
    shutdown(s->fd, SHUT_WR);
    while (s->in_len = 0, more(s)) {
    }
    close(s->fd);
    return NULL;
}

static server *start(void (*run)(server *))
{
    static const weir_ws_rules rules = {.role = WEIR_WS_SERVER, .message_bytes_max = BYTES_MAX};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    server *s = calloc(1, sizeof(*s));
    s->run = run;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(s->listener, 1), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&address, &len), 0);
    snprintf(s->url, sizeof(s->url), "ws://127.0.0.1:%d", ntohs(address.sin_port));
    weir_ws_reader_init(&s->reader, &rules);
    return s;
}

/* Runs the script and opens a client; *fault is its. */
static weir_err meet(server *s, weir_client **client, weir_fault *fault)
{
    const weir_client_options options = {.name = "test", .timeout_ms = DEADLINE_MS};
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
    *client = NULL;
    return weir_client_open(s->url, &options, client, fault);
}

static uint16_t stop(server *s)
{
    char problem[sizeof(s->problem)];
    pthread_join(s->thread, NULL);
    uint16_t code = s->code_back;
    strcpy(problem, s->problem);
    close(s->listener);
    free(s);
    assert_string_equal(problem, "");
    return code;
}

static void greet(server *s)
{
    hear(s, WEIR_WS_TEXT, "\"cmd\":\"hello\"");
    say_frame(s, WEIR_WS_TEXT, true, HELLO);
}

static void goodbye(server *s)
{
    hear(s, WEIR_WS_TEXT, "goodbye");
    say_frame(s, WEIR_WS_TEXT, true, "{\"id\":3,\"ok\":true}");
    hear(s, WEIR_WS_CLOSE, "");
}

/* ---- The handshake -----------------------------------------------------------------------------
 */

static void an_answer_that_is_no_upgrade_is_refused_with_its_reason(void **state)
{
    static char large[WEIR_HTTP_HEAD_BYTES_MAX + 100];
    static const char zeros[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n";
    char other_key[512];
    snprintf(other_key, sizeof(other_key), UPGRADED "%s", zeros);
    memset(large, 'x', sizeof(large) - 1);
    memcpy(large, "HTTP/1.1 101 X\r\nA: ", 19);
    const struct {
        const char *answer;
        weir_err err;
        const char *text;
    } cases[] = {
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", WEIR_UNSUPPORTED, "404"},
        {"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\n\r\n", WEIR_UNSUPPORTED, "426"},
        {"HTTP/1.1 403 Forbidden\r\n\r\n", WEIR_NOT_AUTHORIZED, "403"},
        {"HTTP/1.1 503\r\n\r\n", WEIR_LIMIT, "503"},
        {"HTTP/1.1 101 Switching Protocols\r\n\r\n", WEIR_PROTOCOL, "no upgrade"},
        {other_key, WEIR_PROTOCOL, "another key"},
        {"HTTP/1.1 1x1 X\r\n\r\n", WEIR_MALFORMED, "malformed"},
        {"220 mail.example ESMTP\r\n\r\n", WEIR_MALFORMED, "malformed"},
        {"HTTP/2.0 101 X\r\n\r\n", WEIR_VERSION, "version"},
        {large, WEIR_TOO_LARGE, "too-large"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        weir_client *client = NULL;
        weir_fault fault = {0};
        server *s = start(NULL);
        s->answer = cases[i].answer;
        assert_int_equal(meet(s, &client, &fault), cases[i].err);
        assert_int_equal(fault.err, cases[i].err);
        assert_non_null(strstr(fault.text, cases[i].text));
        stop(s);
    }
}

static void an_answer_cut_at_any_byte_opens_nothing(void **state)
{
    const size_t whole = strlen(UPGRADED) + WEIR_WS_ACCEPT_BYTES + 4;
    (void)state;
    for (size_t cut = 1; cut <= whole; cut++) {
        weir_client *client = NULL;
        weir_fault fault = {0};
        server *s = start(NULL);
        s->cut = cut;
        assert_int_equal(meet(s, &client, &fault), WEIR_CLOSED);
        assert_null(client);
        stop(s);
    }
}

static void a_url_that_names_no_address_is_told(void **state)
{
    const struct {
        const char *url;
        weir_err err;
    } cases[] = {
        {"ws://", WEIR_INVALID},
        {"ws://127.0.0.1", WEIR_INVALID},
        {"ws://127.0.0.1:/v1", WEIR_INVALID},
        {"ws://127.0.0.1:0/v1", WEIR_INVALID},
        {"ws://127.0.0.1:65536/v1", WEIR_INVALID},
        {"ws://:9347/v1", WEIR_INVALID},
        {"ws://gateway.example:9347/v1", WEIR_INVALID},
        {"ws://127.0.0.1:9347/v1 HTTP/1.1\r\nX: y", WEIR_INVALID},
        {"ws://127.0.0.1:9347/v1#part", WEIR_INVALID},
        {"ws://user@127.0.0.1:9347/v1", WEIR_INVALID},
        {"wss://127.0.0.1:9347/v1", WEIR_NOT_OFFERED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        weir_client *client = NULL;
        weir_fault fault = {0};
        assert_int_equal(weir_client_open(cases[i].url, NULL, &client, &fault), cases[i].err);
        assert_true(strlen(fault.text) > 20);
    }
}

static void a_port_where_nobody_listens_is_not_found(void **state)
{
    weir_client *client = NULL;
    weir_fault fault = {0};
    server *s = start(NULL);
    (void)state;
    close(s->listener);
    assert_int_equal(weir_client_open(s->url, NULL, &client, &fault), WEIR_NOT_FOUND);
    free(s);
}

static void a_server_that_says_nothing_is_a_timeout(void **state)
{
    const weir_client_options options = {.timeout_ms = 20};
    weir_client *client = NULL;
    weir_fault fault = {0};
    server *s = start(NULL); /* the system accepts; nobody reads */
    (void)state;
    assert_int_equal(weir_client_open(s->url, &options, &client, &fault), WEIR_TIMEOUT);
    close(s->listener);
    free(s);
}

/* ---- Messages ----------------------------------------------------------------------------------
 */

static void publish_answered_in_pieces(server *s)
{
    greet(s);
    hear(s, WEIR_WS_TEXT, "\"value\":\"x\"");
    say_frame(s, WEIR_WS_TEXT, false, "{\"id\":2,\"ok\":true,");
    say_frame(s, WEIR_WS_PING, true, "still there?");
    say_frame(s, WEIR_WS_PONG, true, "unasked");
    say_frame(s, WEIR_WS_CONTINUATION, false, "");
    hear(s, WEIR_WS_PONG, "still there?");
    say_frame(s, WEIR_WS_CONTINUATION, true, "\"level\":\"os\",\"offset\":7}");
    goodbye(s);
}

static void a_fragmented_answer_with_a_ping_in_between_is_one_message(void **state)
{
    const weir_publish record = {.name = WEIR_TEXT("a"), .value = WEIR_TEXT("x")};
    weir_published published = {0};
    weir_client *client = NULL;
    weir_fault fault = {0};
    server *s = start(publish_answered_in_pieces);
    (void)state;
    assert_int_equal(meet(s, &client, &fault), WEIR_OK);
    assert_string_equal(weir_client_server(client), "weir test");
    assert_int_equal(weir_client_publish(client, &record, &published), WEIR_OK);
    assert_int_equal(published.offset, 7);
    weir_client_close(client);
    assert_int_equal(stop(s), WEIR_WS_CODE_NORMAL);
}

static void byte_by_byte(server *s)
{
    uint8_t wire[256];
    hear(s, WEIR_WS_TEXT, "hello");
    size_t head = weir_ws_head_write(wire, WEIR_WS_TEXT, true, strlen(HELLO), NULL);
    memcpy(wire + head, HELLO, strlen(HELLO));
    for (size_t i = 0; i < head + strlen(HELLO); i++) {
        say(s, wire + i, 1);
    }
    hear(s, WEIR_WS_TEXT, "\"id\":2");
    say_frame(s, WEIR_WS_TEXT, true, ""); /* an empty message is nothing */
    say_frame(s, WEIR_WS_TEXT, true, STORED);
    goodbye(s);
}

static void messages_may_come_byte_by_byte_and_empty(void **state)
{
    const weir_publish record = {.name = WEIR_TEXT("a"), .value = WEIR_TEXT("x")};
    weir_published published = {0};
    weir_client *client = NULL;
    weir_fault fault = {0};
    server *s = start(byte_by_byte);
    (void)state;
    assert_int_equal(meet(s, &client, &fault), WEIR_OK);
    assert_int_equal(weir_client_publish(client, &record, &published), WEIR_OK);
    weir_client_close(client);
    stop(s);
}

/* ---- The end -----------------------------------------------------------------------------------
 */

static void close_with_code(server *s)
{
    uint8_t head[WEIR_WS_HEAD_BYTES_MAX], payload[WEIR_WS_CONTROL_BYTES_MAX];
    greet(s);
    size_t len = weir_ws_close_payload(payload, s->code, "so be it");
    say(s, head, weir_ws_head_write(head, WEIR_WS_CLOSE, true, len, NULL));
    say(s, payload, len);
    hear(s, WEIR_WS_CLOSE, "");
}

static void a_close_is_answered_with_its_code_and_ends_the_client(void **state)
{
    const uint16_t codes[] = {1000, 1001, 1008, 1009, 1011, 4000, WEIR_WS_CODE_NONE};
    (void)state;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        weir_client *client = NULL;
        weir_fault fault = {0};
        weir_client_event event;
        server *s = start(close_with_code);
        s->code = codes[i];
        assert_int_equal(meet(s, &client, &fault), WEIR_OK);
        assert_int_equal(weir_client_next(client, DEADLINE_MS, &event), WEIR_CLOSED);
        assert_int_equal(weir_client_next(client, DEADLINE_MS, &event), WEIR_CLOSED);
        weir_client_close(client);
        assert_int_equal(stop(s), codes[i]);
    }
}

static void say_too_much(server *s)
{
    static const uint8_t claim[] = {0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0};
    greet(s);
    say(s, claim, sizeof(claim));
    hear(s, WEIR_WS_CLOSE, "");
}

static void say_masked(server *s)
{
    static const uint8_t masked[] = {0x81, 0x82, 0, 0, 0, 0, '{', '}'};
    greet(s);
    say(s, masked, sizeof(masked));
    hear(s, WEIR_WS_CLOSE, "");
}

static void a_frame_that_must_not_be_ends_with_its_close_code(void **state)
{
    const struct {
        void (*run)(server *);
        uint16_t code;
    } cases[] = {{say_too_much, WEIR_WS_CODE_TOO_BIG}, {say_masked, WEIR_WS_CODE_PROTOCOL}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        weir_client *client = NULL;
        weir_fault fault = {0};
        weir_client_event event;
        server *s = start(cases[i].run);
        assert_int_equal(meet(s, &client, &fault), WEIR_OK);
        assert_int_equal(weir_client_next(client, DEADLINE_MS, &event), WEIR_MALFORMED);
        weir_client_close(client);
        assert_int_equal(stop(s), cases[i].code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_that_is_no_upgrade_is_refused_with_its_reason),
        cmocka_unit_test(an_answer_cut_at_any_byte_opens_nothing),
        cmocka_unit_test(a_url_that_names_no_address_is_told),
        cmocka_unit_test(a_port_where_nobody_listens_is_not_found),
        cmocka_unit_test(a_server_that_says_nothing_is_a_timeout),
        cmocka_unit_test(a_fragmented_answer_with_a_ping_in_between_is_one_message),
        cmocka_unit_test(messages_may_come_byte_by_byte_and_empty),
        cmocka_unit_test(a_close_is_answered_with_its_code_and_ends_the_client),
        cmocka_unit_test(a_frame_that_must_not_be_ends_with_its_close_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
