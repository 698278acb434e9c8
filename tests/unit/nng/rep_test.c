/* REP: every request has one reply, sessions go by token, and one peer cannot starve the others. */
#include "gateway.h"

static void token_of(const char *hello, char token[33])
{
    const char *at = strstr(hello, "\"session\":\"");
    assert_non_null(at);
    memcpy(token, at + 11, 32);
    token[32] = '\0';
}

static void a_record_published_is_fetched(void **state)
{
    gateway *g = gateway_make();
    nng_socket socket;
    (void)state;
    gateway_start(g);
    socket = greeted(g);
    has(ask(socket, "{\"cmd\":\"topic\",\"action\":\"create\",\"topic\":\"t\",\"id\":1}"),
        "\"ok\":true");
    has(ask(socket, "{\"cmd\":\"publish\",\"id\":2,\"name\":\"t/k\",\"value\":\"hello\"}"),
        "\"offset\":0");
    has(ask(socket, "{\"cmd\":\"fetch\",\"id\":3,\"topic\":\"t\",\"offset\":0}"),
        "\"value\":\"hello\"");
    let_go(socket);
    gateway_end(g);
}

static void a_session_goes_on_by_its_token_on_another_connection(void **state)
{
    gateway *g = gateway_make();
    nng_socket first;
    nng_socket second;
    char token[33];
    char text[128];
    (void)state;
    gateway_start(g);
    first = dialled(nng_req0_open, g->urls[REP]);
    token_of(ask(first, "{\"cmd\":\"hello\",\"version\":1}"), token);
    let_go(first);
    second = dialled(nng_req0_open, g->urls[REP]);
    (void)snprintf(text, sizeof(text), "{\"cmd\":\"ping\",\"id\":5,\"session\":\"%s\"}", token);
    has(ask(second, text), "\"ok\":true");
    assert_int_equal(counter(g, "weir_nng_sessions"), 1);
    has(ask(second, "{\"cmd\":\"ping\",\"id\":6,\"session\":\"00000000000000000000000000000000\"}"),
        "not-found");
    has(ask(second, "{\"cmd\":\"ping\",\"id\":7}"), "hello"); /* nobody said it on this one */
    has(ask(second, "{\"cmd\":\"ping\",\"id\":7}"), "\"id\":7");
    counter_reaches(g, "weir_nng_sessions", 1); /* no hello: nothing is left of them */
    (void)snprintf(text, sizeof(text), "{\"cmd\":\"goodbye\",\"session\":\"%s\"}", token);
    has(ask(second, text), "\"ok\":true");
    counter_reaches(g, "weir_nng_sessions", 0);
    let_go(second);
    gateway_end(g);
}

static void what_would_push_is_refused_with_a_reason(void **state)
{
    gateway *g = gateway_make();
    nng_socket socket;
    (void)state;
    gateway_start(g);
    socket = greeted(g);
    has(ask(socket, "{\"cmd\":\"subscribe\",\"filter\":\"#\"}"), "not-offered");
    has(ask(socket, "{\"cmd\":\"credit\",\"subscription\":1,\"credit\":5}"), "not-offered");
    has(ask(socket, "{\"cmd\":\"publish\",\"name\":\"x\",\"value\":\"1\",\"confirm\":\"none\"}"),
        "{"); /* whatever it says, it is one reply */
    has(ask(socket, "what is this"), "malformed");
    has(ask(socket, "{\"cmd\":\"ping\"}"), "\"ok\":true");
    let_go(socket);
    gateway_end(g);
}

static void a_waiting_fetch_is_answered_when_a_record_comes(void **state)
{
    gateway *g = gateway_make();
    nng_socket waiting;
    nng_socket other;
    uint64_t began_ms = 0;
    static const char fetch[] =
        "{\"cmd\":\"fetch\",\"topic\":\"t\",\"offset\":0,\"wait_ms\":15000}";
    (void)state;
    gateway_start(g);
    topic_create(g, "t");
    waiting = greeted(g);
    other = greeted(g);
    began_ms = now_ms();
    say(waiting, fetch, strlen(fetch));
    has(ask(other, "{\"cmd\":\"publish\",\"name\":\"t\",\"value\":\"now\"}"), "\"ok\":true");
    has(hear(waiting, NULL), "\"value\":\"now\"");
    assert_true(now_ms() - began_ms < 10000);
    let_go(waiting);
    let_go(other);
    gateway_end(g);
}

/* Contexts of one client socket share its connection. */
enum { MANY = 80 };

static void one_connection_has_at_most_fetches_max_commands_under_way(void **state)
{
    gateway *g = gateway_make();
    nng_socket socket;
    nng_ctx ctx[MANY];
    nng_aio *aio[MANY];
    unsigned refused = 0;
    static const char fetch[] = "{\"cmd\":\"fetch\",\"topic\":\"t\",\"offset\":0,\"wait_ms\":500}";
    (void)state;
    gateway_start(g);
    topic_create(g, "t");
    socket = greeted(g);
    for (unsigned i = 0; i < MANY; i++) {
        nng_msg *message = NULL;
        assert_int_equal(nng_ctx_open(&ctx[i], socket), 0);
        assert_int_equal(nng_aio_alloc(&aio[i], NULL, NULL), 0);
        nng_aio_set_timeout(aio[i], DEADLINE_MS);
        assert_int_equal(nng_msg_alloc(&message, 0), 0);
        assert_int_equal(nng_msg_append(message, fetch, strlen(fetch)), 0);
        nng_aio_set_msg(aio[i], message);
        nng_ctx_send(ctx[i], aio[i]);
        nng_aio_wait(aio[i]);
        assert_int_equal(nng_aio_result(aio[i]), 0);
    }
    for (unsigned i = 0; i < MANY; i++) {
        nng_ctx_recv(ctx[i], aio[i]);
        nng_aio_wait(aio[i]);
        assert_int_equal(nng_aio_result(aio[i]), 0); /* each is answered */
        nng_msg *message = nng_aio_get_msg(aio[i]);
        assert_int_equal(nng_msg_append(message, "", 1), 0);
        refused += strstr(nng_msg_body(message), "\"limit\"") != NULL;
        nng_msg_free(message);
        nng_ctx_close(ctx[i]);
        nng_aio_free(aio[i]);
    }
    assert_int_equal(refused, MANY - 64);
    let_go(socket);
    gateway_end(g);
}

static void clients_that_left_in_the_middle_hold_no_contexts(void **state)
{
    gateway *g = gateway_make();
    nng_socket socket;
    static const char fetch[] =
        "{\"cmd\":\"fetch\",\"topic\":\"t\",\"offset\":0,\"wait_ms\":60000}";
    (void)state;
    set(g, "rep.contexts", "64");
    gateway_start(g);
    topic_create(g, "t");
    for (unsigned i = 0; i < 100; i++) {
        socket = greeted(g);
        say(socket, fetch, strlen(fetch));
        let_go(socket);
    }
    counter_reaches(g, "weir_nng_rep_connections", 0);
    socket = greeted(g);
    has(ask(socket, "{\"cmd\":\"ping\"}"), "\"ok\":true");
    let_go(socket);
    gateway_end(g);
}

static void more_waiting_clients_than_contexts_at_start_are_served(void **state)
{
    enum { CLIENTS = 150 };
    gateway *g = gateway_make();
    nng_socket sockets[CLIENTS];
    static const char fetch[] =
        "{\"cmd\":\"fetch\",\"topic\":\"t\",\"offset\":0,\"wait_ms\":15000}";
    (void)state;
    gateway_start(g);
    topic_create(g, "t");
    for (unsigned i = 0; i < CLIENTS; i++) {
        sockets[i] = greeted(g);
        say(sockets[i], fetch, strlen(fetch));
    }
    nng_socket other = greeted(g);
    has(ask(other, "{\"cmd\":\"publish\",\"name\":\"t\",\"value\":\"now\"}"), "\"ok\":true");
    for (unsigned i = 0; i < CLIENTS; i++) {
        has(hear(sockets[i], NULL), "\"value\":\"now\"");
        let_go(sockets[i]);
    }
    let_go(other);
    gateway_end(g);
}

static void binary_frames_are_answered_in_binary(void **state)
{
    /* fetch-batch of topic "t", partition 0, request 7, offset 0, 1000 bytes, no wait */
    static const uint8_t frame[] = {0x02, 0, 0, 0, 31, 0, 1,    't',  0, 0, 0, 0,
                                    0,    0, 0, 0, 0,  0, 0,    7,    0, 0, 0, 0,
                                    0,    0, 0, 0, 0,  0, 0x03, 0xe8, 0, 0, 0, 0};
    gateway *g = gateway_make();
    nng_socket socket;
    size_t len = 0;
    const char *reply = NULL;
    (void)state;
    gateway_start(g);
    topic_create(g, "t");
    socket = greeted(g);
    say(socket, frame, sizeof(frame));
    reply = hear(socket, &len);
    assert_true(len > 13);
    assert_int_equal((uint8_t)reply[0], 0x82);
    assert_int_equal(reply[12], 7);
    let_go(socket);
    gateway_end(g);
}

static void sessions_expire_and_the_least_used_goes_first(void **state)
{
    gateway *g = gateway_make();
    nng_socket first;
    nng_socket second;
    (void)state;
    g->limits.connections_max = 2;
    set(g, "rep.session_ms", "1000");
    gateway_start(g);
    first = greeted(g);
    second = greeted(g);
    has(ask(second, "{\"cmd\":\"hello\",\"version\":1}"), "\"session\":\"");
    has(ask(second, "{\"cmd\":\"hello\",\"version\":1}"), "\"session\":\"");
    assert_int_equal(counter(g, "weir_nng_sessions_expired_total"), 2);
    counter_reaches(g, "weir_nng_sessions", 0); /* after a second without a request */
    has(ask(first, "{\"cmd\":\"hello\",\"version\":1}"), "\"session\":\"");
    let_go(first);
    let_go(second);
    gateway_end(g);
}

static void drain_answers_what_waits_and_refuses_what_is_new(void **state)
{
    gateway *g = gateway_make();
    nng_socket waiting;
    uint64_t until_ms = 0;
    static const char fetch[] =
        "{\"cmd\":\"fetch\",\"topic\":\"t\",\"offset\":0,\"wait_ms\":60000}";
    (void)state;
    gateway_start(g);
    topic_create(g, "t");
    waiting = greeted(g);
    uint64_t before = counter(g, "weir_nng_rep_commands_total");
    say(waiting, fetch, strlen(fetch));
    counter_reaches(g, "weir_nng_rep_commands_total", before + 1);
    weir_nng_adapter()->drain(g->adapter);
    has(hear(waiting, NULL), "\"ok\":true");
    until_ms = now_ms() + DEADLINE_MS;
    while (!atomic_load(&g->drained)) {
        look_again(until_ms);
    }
    has(ask(waiting, "{\"cmd\":\"publish\",\"name\":\"t\",\"value\":\"late\"}"), "closed");
    let_go(waiting);
    gateway_end(g);
}

static void stop_with_fetches_waiting_is_prompt(void **state)
{
    gateway *g = gateway_make();
    nng_socket waiting;
    uint64_t began_ms = 0;
    static const char fetch[] =
        "{\"cmd\":\"fetch\",\"topic\":\"t\",\"offset\":0,\"wait_ms\":60000}";
    (void)state;
    gateway_start(g);
    topic_create(g, "t");
    waiting = greeted(g);
    uint64_t before = counter(g, "weir_nng_rep_commands_total");
    say(waiting, fetch, strlen(fetch));
    counter_reaches(g, "weir_nng_rep_commands_total", before + 1);
    began_ms = now_ms();
    gateway_end(g);
    assert_true(now_ms() - began_ms < 5000);
    let_go(waiting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_published_is_fetched),
        cmocka_unit_test(a_session_goes_on_by_its_token_on_another_connection),
        cmocka_unit_test(what_would_push_is_refused_with_a_reason),
        cmocka_unit_test(a_waiting_fetch_is_answered_when_a_record_comes),
        cmocka_unit_test(one_connection_has_at_most_fetches_max_commands_under_way),
        cmocka_unit_test(clients_that_left_in_the_middle_hold_no_contexts),
        cmocka_unit_test(more_waiting_clients_than_contexts_at_start_are_served),
        cmocka_unit_test(binary_frames_are_answered_in_binary),
        cmocka_unit_test(sessions_expire_and_the_least_used_goes_first),
        cmocka_unit_test(drain_answers_what_waits_and_refuses_what_is_new),
        cmocka_unit_test(stop_with_fetches_waiting_is_prompt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
