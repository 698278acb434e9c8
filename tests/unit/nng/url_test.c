/* The URLs that the nng front end listens on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "adapters/nng/url.h"

#include <string.h>

static void a_url_is_written_as_it_was_read(void **state)
{
    static const struct {
        const char *text;
        const char *again;
        weir_nng_transport transport;
        uint16_t port;
        bool loopback;
    } rows[] = {
        {"", "", WEIR_NNG_OFF, 0, false},
        {"tcp://127.0.0.1:9348", "tcp://127.0.0.1:9348", WEIR_NNG_TCP, 9348, true},
        {"tcp://127.9.9.9:0", "tcp://127.9.9.9:0", WEIR_NNG_TCP, 0, true},
        {"tcp://localhost:65535", "tcp://127.0.0.1:65535", WEIR_NNG_TCP, 65535, true},
        {"tcp://[::1]:1", "tcp://[::1]:1", WEIR_NNG_TCP, 1, true},
        {"tcp://[::]:1", "tcp://[::]:1", WEIR_NNG_TCP, 1, false},
        {"tcp://*:1", "tcp://0.0.0.0:1", WEIR_NNG_TCP, 1, false},
        {"tcp://10.0.0.1:1", "tcp://10.0.0.1:1", WEIR_NNG_TCP, 1, false},
        {"ws://127.0.0.1:80/a/b", "ws://127.0.0.1:80/a/b", WEIR_NNG_WS, 80, true},
        {"ws://127.0.0.1:80", "ws://127.0.0.1:80/", WEIR_NNG_WS, 80, true},
        {"ipc:///tmp/x", "ipc:///tmp/x", WEIR_NNG_IPC, 0, true},
        {"inproc://weir", "inproc://weir", WEIR_NNG_INPROC, 0, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        weir_nng_url url;
        char text[WEIR_NNG_URL_MAX];
        assert_int_equal(weir_nng_url_parse(rows[i].text, &url), WEIR_OK);
        assert_int_equal(url.transport, rows[i].transport);
        assert_int_equal(url.port, rows[i].port);
        assert_int_equal(url.loopback, rows[i].loopback);
        weir_nng_url_write(&url, text);
        assert_string_equal(text, rows[i].again);
    }
}

static void what_is_no_url_is_invalid(void **state)
{
    static const char *const wrong[] = {
        "tcp",
        "tcp://",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:",
        "tcp://:9348",
        "tcp://a:1",
        "tcp://[::1:1",
        "tcp://[]:1",
        "tcp://1.2.3.4:-1",
        "tcp://1.2.3.4:65536",
        "tcp://1.2.3.4:1/path",
        "http://127.0.0.1:1",
        "ipc://",
        "inproc://",
        "127.0.0.1:9348",
        "tcp://1.2.3.4:000001",
        "TCP://127.0.0.1:1",
    };
    char longest[512] = "ipc:///";
    weir_nng_url url;
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(weir_nng_url_parse(wrong[i], &url), WEIR_INVALID);
    }
    memset(longest + 7, 'x', 400);
    assert_int_equal(weir_nng_url_parse(longest, &url),
                     WEIR_INVALID); /* no socket address holds it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_url_is_written_as_it_was_read),
        cmocka_unit_test(what_is_no_url_is_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
