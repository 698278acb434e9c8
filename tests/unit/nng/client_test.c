/* The C client over nng's REQ, against the front end. */
#include "gateway.h"

#include "weir/client.h"

static weir_client *client_of(gateway *g)
{
    char url[300];
    weir_client *client = NULL;
    weir_fault fault = {0};
    (void)snprintf(url, sizeof(url), "nng+%s", g->urls[REP]);
    if (weir_client_open(url, NULL, &client, &fault) != WEIR_OK) {
        fail_msg("%s", fault.text);
    }
    return client;
}

static void what_is_published_is_fetched(void **state)
{
    gateway *g = gateway_make();
    weir_client *client = NULL;
    const weir_publish record = {.name = WEIR_TEXT("t/k"), .value = WEIR_TEXT("v")};
    weir_publish quiet = record;
    weir_published published = {0};
    (void)state;
    gateway_start(g);
    topic_create(g, "t");
    client = client_of(g);
    quiet.no_confirm = true;
    assert_int_equal(weir_client_publish(client, &record, &published), WEIR_OK);
    assert_int_equal(published.offset, 0);
    assert_int_equal(weir_client_publish(client, &quiet, NULL), WEIR_OK);
    assert_int_equal(weir_client_publish(client, &record, &published), WEIR_OK);
    assert_int_equal(published.offset, 2);
    weir_client_close(client);
    gateway_end(g);
}

static void count_result(void *arg, const weir_client_result *result)
{
    uint64_t *next = arg;
    assert_int_equal(result->err, WEIR_OK);
    assert_int_equal(result->token, *next); /* in order */
    assert_int_equal(result->published.offset, (int64_t)*next);
    (*next)++;
}

static void many_records_are_stored_in_the_order_they_were_sent(void **state)
{
    enum { RECORDS = 20000 };
    gateway *g = gateway_make();
    weir_client *client = NULL;
    uint64_t next = 0;
    (void)state;
    gateway_start(g);
    topic_create(g, "t");
    client = client_of(g);
    weir_client_on_result(client, count_result, &next);
    for (uint64_t i = 0; i < RECORDS; i++) {
        const weir_publish record = {.name = WEIR_TEXT("t/k"), .value = WEIR_TEXT("v")};
        assert_int_equal(weir_client_send(client, &record, i), WEIR_OK);
    }
    assert_int_equal(weir_client_flush(client), WEIR_OK);
    assert_int_equal(next, RECORDS);
    weir_client_close(client);
    gateway_end(g);
}

static void a_gateway_that_is_not_there_is_told(void **state)
{
    weir_client *client = NULL;
    weir_fault fault = {0};
    (void)state;
    assert_int_equal(weir_client_open("nng+ipc:///nowhere/at/all", NULL, &client, &fault),
                     WEIR_NOT_FOUND);
    has(fault.text, "ipc:///nowhere/at/all");
    assert_int_equal(weir_client_open("nng+nothing", NULL, &client, &fault), WEIR_INVALID);
}

static void a_peer_that_says_nothing_is_a_timeout(void **state)
{
    static const char *const schemes[] = {"tcp", "ws"};
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)state;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        const weir_client_options options = {.timeout_ms = 50};
        weir_client *client = NULL;
        weir_fault fault = {0};
        char url[64];
        (void)snprintf(url, sizeof(url), "nng+%s://127.0.0.1:%u/", schemes[i],
                       ntohs(address.sin_port));
        assert_int_equal(weir_client_open(url, &options, &client, &fault), WEIR_TIMEOUT);
        has(fault.text, schemes[i]);
    }
    close(fd);
}

static void a_gateway_that_goes_closes_the_client(void **state)
{
    gateway *g = gateway_make();
    weir_client *client = NULL;
    const weir_publish record = {.name = WEIR_TEXT("t/k"), .value = WEIR_TEXT("v")};
    uint64_t began_ms = 0;
    (void)state;
    gateway_start(g);
    client = client_of(g);
    weir_nng_adapter()->stop(g->adapter);
    g->adapter = NULL;
    began_ms = now_ms();
    assert_int_equal(weir_client_publish(client, &record, NULL), WEIR_CLOSED);
    assert_true(now_ms() - began_ms < 5000);
    weir_client_close(client);
    gateway_end(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_published_is_fetched),
        cmocka_unit_test(many_records_are_stored_in_the_order_they_were_sent),
        cmocka_unit_test(a_gateway_that_is_not_there_is_told),
        cmocka_unit_test(a_peer_that_says_nothing_is_a_timeout),
        cmocka_unit_test(a_gateway_that_goes_closes_the_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
