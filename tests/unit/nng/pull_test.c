/* PULL: records in, one or many a message; what is wrong is counted; nothing is lost for want of
 * room. */
#include "gateway.h"

static void fetch_has(nng_socket req, const char *topic, int offset, const char *part)
{
    char text[160];
    (void)snprintf(text, sizeof(text),
                   "{\"cmd\":\"fetch\",\"topic\":\"%s\",\"offset\":%d,\"wait_ms\":10000}", topic,
                   offset);
    has(ask(req, text), part);
}

static void a_message_becomes_a_record(void **state)
{
    static const char *const urls[] = {"tcp://127.0.0.1:0", "ipc://%s/pull", "ws://127.0.0.1:0/in",
                                       "inproc://nng-pull-test"};
    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        gateway *g = gateway_make();
        char url[128];
        nng_socket push;
        nng_socket req;
        (void)snprintf(url, sizeof(url), i == 1 ? "ipc://%s/pull" : "%s",
                       i == 1 ? g->dir : urls[i]);
        set(g, "pull.url", url);
        gateway_start(g);
        topic_create(g, "t");
        push = dialled(nng_push0_open, g->urls[PULL]);
        req = greeted(g);
        say(push, "t/key\0value", 11);
        fetch_has(req, "t", 0, "\"value\":\"value\"");
        fetch_has(req, "t", 0, "\"key\":\"key\"");
        let_go(push);
        let_go(req);
        gateway_end(g);
    }
}

static void a_message_without_nul_is_refused_and_counted(void **state)
{
    gateway *g = gateway_make();
    nng_socket push;
    nng_socket req;
    (void)state;
    gateway_start(g);
    topic_create(g, "t");
    push = dialled(nng_push0_open, g->urls[PULL]);
    req = greeted(g);
    say(push, "no nul", 6);
    say(push, "", 0);
    say(push, "t/+/x\0wildcard", 14); /* no name to publish under */
    say(push, "t\0good", 6);
    fetch_has(req, "t", 0, "\"value\":\"good\"");
    counter_reaches(g, "weir_nng_pull_refused_total", 3);
    assert_int_equal(counter(g, "weir_nng_pull_messages_total"), 4);
    let_go(push);
    let_go(req);
    gateway_end(g);
}

static void a_batch_is_taken_whole_or_not_at_all(void **state)
{
    static const char good[] = "\0\0\0\0\2\0\0\0\5t\0one\0\0\0\5t\0two";
    static const char cut[] = "\0\0\0\0\2\0\0\0\5t\0bad\0\0\0\6t\0bad";
    gateway *g = gateway_make();
    nng_socket push;
    nng_socket req;
    (void)state;
    gateway_start(g);
    topic_create(g, "t");
    push = dialled(nng_push0_open, g->urls[PULL]);
    req = greeted(g);
    say(push, cut, sizeof(cut) - 1);
    say(push, good, sizeof(good) - 1);
    fetch_has(req, "t", 0, "\"value\":\"one\"");
    fetch_has(req, "t", 1, "\"value\":\"two\"");
    counter_reaches(g, "weir_nng_pull_refused_total", 1);
    counter_reaches(g, "weir_nng_pull_records_total", 2);
    let_go(push);
    let_go(req);
    gateway_end(g);
}

/* Far more than in_flight_max: whatever does not fit waits, in order. */
static void a_flood_is_stored_whole_and_in_order(void **state)
{
    enum { MESSAGES = 20000 };
    gateway *g = gateway_make();
    nng_socket push;
    nng_socket req;
    char text[32];
    uint64_t until_ms = now_ms() + DEADLINE_MS;
    (void)state;
    g->limits.in_flight_max = 8;
    gateway_start(g);
    topic_create(g, "t");
    push = dialled(nng_push0_open, g->urls[PULL]);
    for (unsigned i = 0; i < MESSAGES; i++) {
        int len = snprintf(text, sizeof(text), "t/k%c%u", 0, i);
        say(push, text, (size_t)len);
    }
    req = greeted(g);
    counter_reaches(g, "weir_nng_pull_records_total", MESSAGES);
    while (strstr(ask(req, "{\"cmd\":\"topic\",\"action\":\"offsets\",\"topic\":\"t\"}"),
                  "20000") == NULL) { /* the last ones are being stored */
        look_again(until_ms);
    }
    fetch_has(req, "t", MESSAGES - 1, "\"value\":\"19999\"");
    fetch_has(req, "t", 777, "\"value\":\"777\"");
    assert_true(counter(g, "weir_nng_pull_paused_total") > 0);
    assert_int_equal(counter(g, "weir_nng_pull_refused_total"), 0);
    let_go(push);
    let_go(req);
    gateway_end(g);
}

static void drain_takes_nothing_new_and_finishes_what_came(void **state)
{
    gateway *g = gateway_make();
    nng_socket push;
    uint64_t until_ms = now_ms() + DEADLINE_MS;
    (void)state;
    gateway_start(g);
    push = dialled(nng_push0_open, g->urls[PULL]);
    say(push, "x\0one", 5);
    counter_reaches(g, "weir_nng_pull_records_total", 1);
    weir_nng_adapter()->drain(g->adapter);
    while (!atomic_load(&g->drained)) {
        look_again(until_ms);
    }
    say(push, "x\0two", 5);
    assert_int_equal(counter(g, "weir_nng_pull_records_total"), 1);
    let_go(push);
    gateway_end(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_becomes_a_record),
        cmocka_unit_test(a_message_without_nul_is_refused_and_counted),
        cmocka_unit_test(a_batch_is_taken_whole_or_not_at_all),
        cmocka_unit_test(a_flood_is_stored_whole_and_in_order),
        cmocka_unit_test(drain_takes_nothing_new_and_finishes_what_came),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
