/* RFC 6455 section 4.2, RFC 9112; cited by number. */
#include "adapters/proto/websocket/handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const weir_ws_policy same_host = {.echo = true};

#define GOOD_FIELDS                                                                                \
    "Host: h:1\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"                       \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define GOOD "GET /v1 HTTP/1.1\r\n" GOOD_FIELDS "Sec-WebSocket-Protocol: weir.v1\r\n\r\n"

static weir_http_head head;
static weir_ws_handshake handshake;

static weir_err read_text(const char *text)
{
    return weir_http_head_read(weir_bytes_of(text), &head);
}

static unsigned status_of(const char *text, const weir_ws_policy *policy)
{
    assert_int_equal(read_text(text), WEIR_OK);
    assert_int_equal(weir_http_kind_of(&head), WEIR_HTTP_UPGRADE);
    weir_ws_handshake_check(&head, policy, &handshake);
    assert_true(handshake.status == 101 || strlen(handshake.text) > 10);
    return handshake.status;
}

/* GOOD with every `from` turned into `to`. */
static const char *changed(const char *from, const char *to)
{
    static char text[4096];
    const char *at = strstr(GOOD, from);
    assert_non_null(at);
    snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - GOOD), GOOD, to, at + strlen(from));
    return text;
}

static unsigned status_changed(const char *from, const char *to)
{
    return status_of(changed(from, to), &same_host);
}

static void sha1_gives_the_digests_of_its_standard(void **state)
{
    static char million[1000000];
    static const struct {
        const char *text;
        const char *hex;
    } cases[] = {
        {"", "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
        {NULL, "34aa973cd4c4daa4f61eeb2bdbad27316534016f"},
    };
    (void)state;
    memset(million, 'a', sizeof(million));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t digest[20];
        char hex[41];
        weir_bytes in = cases[i].text != NULL ? weir_bytes_of(cases[i].text)
                                              : (weir_bytes){(uint8_t *)million, sizeof(million)};
        weir_ws_sha1(in, digest);
        for (size_t j = 0; j < 20; j++) {
            snprintf(hex + 2 * j, 3, "%02x", digest[j]);
        }
        assert_string_equal(hex, cases[i].hex);
    }
}

static void the_example_of_the_rfc_is_accepted(void **state)
{
    (void)state;
    assert_int_equal(status_of(GOOD, &same_host), 101);
    assert_string_equal(handshake.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="); /* [1.3] */
    assert_int_equal(handshake.subprotocol, WEIR_WS_SUBPROTOCOL_WEIR_V1);
    char out[WEIR_HTTP_ANSWER_BYTES_MAX];
    size_t len = weir_ws_answer_write(out, &handshake);
    assert_non_null(
        memmem(out, len, "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", 53));
    assert_non_null(memmem(out, len, "\r\nSec-WebSocket-Protocol: weir.v1\r\n", 34));
    assert_memory_equal(out + len - 4, "\r\n\r\n", 4);
}

static void every_cut_of_a_head_asks_for_more(void **state)
{
    (void)state;
    for (size_t cut = 0; cut < sizeof(GOOD) - 1; cut++) {
        assert_int_equal(weir_http_head_read((weir_bytes){(const uint8_t *)GOOD, cut}, &head),
                         WEIR_MORE);
    }
    assert_int_equal(read_text(GOOD "frames"), WEIR_OK);
    assert_int_equal(head.bytes, sizeof(GOOD) - 1);
}

static void any_method_but_get_is_refused(void **state)
{
    (void)state;
    assert_int_equal(status_changed("GET", "POST"), 405);
    assert_int_equal(status_changed("GET", "get"), 405);
    char out[WEIR_HTTP_ANSWER_BYTES_MAX];
    size_t len = weir_ws_answer_write(out, &handshake);
    assert_non_null(memmem(out, len, "\r\nAllow: GET\r\n", 14));
}

static void only_http_1_1_is_taken(void **state)
{
    (void)state;
    assert_int_equal(status_changed("HTTP/1.1", "HTTP/1.0"), 505);
    assert_int_equal(read_text(changed("HTTP/1.1", "HTTP/2.0")), WEIR_VERSION);
    assert_int_equal(read_text(changed("HTTP/1.1", "HTTP/11.1")), WEIR_MALFORMED);
    assert_int_equal(read_text(changed("HTTP/1.1", "http/1.1")), WEIR_MALFORMED);
}

static void a_request_without_exactly_one_host_is_refused(void **state)
{
    (void)state;
    assert_int_equal(status_changed("Host: h:1\r\n", ""), 400);
    assert_int_equal(status_changed("Host: h:1\r\n", "Host: h:1\r\nHost: h:1\r\n"), 400);
    assert_int_equal(status_changed("Host: h:1\r\n", "Host:\r\n"), 400);
}

static void any_version_but_13_is_answered_with_13(void **state)
{
    static const char *const versions[] = {"12", "99", "8", "", "013", "13, 8", "+13"};
    char out[WEIR_HTTP_ANSWER_BYTES_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        char field[64];
        snprintf(field, sizeof(field), "Version: %s\r\n", versions[i]);
        assert_int_equal(status_changed("Version: 13\r\n", field), 426); /* [4.4] */
        size_t len = weir_ws_answer_write(out, &handshake);
        assert_non_null(memmem(out, len, "\r\nSec-WebSocket-Version: 13\r\n", 29));
    }
    assert_int_equal(status_changed("Sec-WebSocket-Version: 13\r\n", ""), 426);
}

static void a_key_that_is_not_16_bytes_is_refused(void **state)
{
    static const char *const keys[] = {"",
                                       "Zm9v",
                                       "dGhlIHNhbXBsZSBub25jZQ",
                                       "dGhlIHNhbXBsZSBub25jZQ=",
                                       "dGhlIHNhbXBsZSBub25jZR==",
                                       "dGhlIHNhbXBsZSBub25jZQQ=",
                                       "dGhlIHNhbXBsZSBub25j ==",
                                       "dGhlIHNhbXBsZSBub25jZWFiYw=="};
    (void)state;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        assert_int_equal(status_changed("dGhlIHNhbXBsZSBub25jZQ==", keys[i]), 400);
    }
    assert_int_equal(status_changed("Sec-WebSocket-Key: ", "Sec-WebSocket-Kez: "), 400);
    assert_int_equal(status_changed("Sec-WebSocket-Key: ",
                                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                    "Sec-WebSocket-Key: "),
                     400);
}

static void upgrade_and_connection_must_both_ask(void **state)
{
    (void)state;
    assert_int_equal(status_changed("keep-alive, Upgrade", "keep-alive"), 400);
    assert_int_equal(status_changed("Upgrade: websocket\r\n", ""), 426);
    assert_int_equal(status_changed("Upgrade: websocket", "Upgrade: h2c"), 426);
    assert_int_equal(status_changed("Upgrade: websocket", "Upgrade: h2c, WebSocket"), 101);
    assert_int_equal(status_changed("keep-alive, Upgrade", "upgrade"), 101);
}

static void a_get_without_upgrade_on_our_path_is_told_426(void **state)
{
    (void)state;
    assert_int_equal(status_of("GET /v1 HTTP/1.1\r\nHost: h\r\n\r\n", &same_host), 426);
    assert_int_equal(read_text("GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n"), WEIR_OK);
    assert_int_equal(weir_http_kind_of(&head), WEIR_HTTP_PLAIN);
}

static void a_body_is_refused(void **state)
{
    (void)state;
    assert_int_equal(status_changed("Host: h:1\r\n", "Host: h:1\r\nContent-Length: 5\r\n"), 400);
    assert_int_equal(status_changed("Host: h:1\r\n", "Host: h:1\r\nTransfer-Encoding: chunked\r\n"),
                     400);
    assert_int_equal(status_changed("Host: h:1\r\n", "Host: h:1\r\nContent-Length: 0\r\n"), 101);
}

static void the_subprotocol_must_fit_the_path(void **state)
{
    static const struct {
        const char *path;
        const char *offer;
        unsigned status;
        weir_ws_subprotocol chosen;
    } cases[] = {
        {"/v1", "Sec-WebSocket-Protocol: weir.v1\r\n", 101, WEIR_WS_SUBPROTOCOL_WEIR_V1},
        {"/v1?x=1", "Sec-WebSocket-Protocol: a, weir.v1\r\n", 101, WEIR_WS_SUBPROTOCOL_WEIR_V1},
        {"/v1", "Sec-WebSocket-Protocol: a\r\nsec-websocket-protocol: weir.v1,\r\n", 101,
         WEIR_WS_SUBPROTOCOL_WEIR_V1},
        {"/v1", "Sec-WebSocket-Protocol: mqtt\r\n", 400, 0},
        {"/v1", "Sec-WebSocket-Protocol: WEIR.V1\r\n", 400, 0},
        {"/v1", "", 400, 0},
        {"/mqtt", "Sec-WebSocket-Protocol: mqttv3.1, mqtt\r\n", 101, WEIR_WS_SUBPROTOCOL_MQTT_V31},
        {"/mqtt", "Sec-WebSocket-Protocol: mqtt ,mqttv3.1\r\n", 101, WEIR_WS_SUBPROTOCOL_MQTT},
        {"/mqtt", "Sec-WebSocket-Protocol: weir.v1\r\n", 400, 0},
        {"/echo", "Sec-WebSocket-Protocol: echo\r\n", 101, WEIR_WS_SUBPROTOCOL_ECHO},
        {"/v1/", "Sec-WebSocket-Protocol: weir.v1\r\n", 404, 0},
        {"/", "Sec-WebSocket-Protocol: weir.v1\r\n", 404, 0},
        {"*", "Sec-WebSocket-Protocol: weir.v1\r\n", 404, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[2048];
        snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n" GOOD_FIELDS "%s\r\n", cases[i].path,
                 cases[i].offer);
        assert_int_equal(status_of(text, &same_host), cases[i].status);
        if (cases[i].status == 101) {
            assert_int_equal(handshake.subprotocol, cases[i].chosen);
        }
    }
}

static void echo_is_not_there_unless_switched_on(void **state)
{
    const weir_ws_policy plain = {0};
    (void)state;
    assert_int_equal(status_of("GET /echo HTTP/1.1\r\n" GOOD_FIELDS
                               "Sec-WebSocket-Protocol: echo\r\n\r\n",
                               &plain),
                     404);
}

static bool allowed(const char *origin, const char *host, const char *origins, bool loopback)
{
    const weir_ws_policy policy = {.origins = origins, .loopback_only = loopback};
    return weir_ws_origin_allowed(weir_bytes_of(origin), weir_bytes_of(host), &policy);
}

static void an_origin_is_the_same_host_or_listed(void **state)
{
    (void)state;
    assert_true(allowed("http://h:1", "h:1", NULL, false)); /* [10.2] */
    assert_true(allowed("https://H.example", "h.example", NULL, false));
    assert_false(allowed("http://h:2", "h:1", NULL, false));
    assert_false(allowed("http://h:1.evil", "h:1", NULL, false));
    assert_false(allowed("http://evil", "h:1", NULL, false));
    assert_false(allowed("null", "h:1", NULL, false));
    assert_false(allowed("", "h:1", NULL, false));
    assert_false(allowed("file://h:1", "h:1", NULL, false));
    assert_true(allowed("http://a", "h", "http://b, http://a", false));
    assert_false(allowed("http://a", "h", "http://ab,http://b", false));
    assert_true(allowed("http://h", "h", "http://b", false));
    assert_true(allowed("http://h", "h", "", false));
    assert_true(allowed("null", "h", "*", false));
}

static void a_rebound_name_on_loopback_is_refused(void **state)
{
    (void)state;
    assert_false(allowed("http://evil.example:9347", "evil.example:9347", NULL, true));
    assert_false(allowed("http://127.evil.example:1", "127.evil.example:1", NULL, true));
    assert_true(allowed("http://127.0.0.1:9347", "127.0.0.1:9347", NULL, true));
    assert_true(allowed("http://localhost:9347", "localhost:9347", NULL, true));
    assert_true(allowed("http://[::1]:9347", "[::1]:9347", NULL, true));
    assert_true(allowed("http://evil.example", "evil.example", "http://evil.example", true));
}

static void a_foreign_origin_is_refused_and_a_missing_one_is_no_browser(void **state)
{
    (void)state;
    assert_int_equal(status_changed("Host: h:1\r\n", "Host: h:1\r\nOrigin: http://h:1\r\n"), 101);
    assert_int_equal(status_changed("Host: h:1\r\n", "Host: h:1\r\nOrigin: http://x\r\n"), 403);
    assert_int_equal(
        status_changed("Host: h:1\r\n", "Host: h:1\r\nOrigin: http://h:1\r\nOrigin: http://x\r\n"),
        403);
}

static void a_head_that_others_would_read_differently_is_malformed(void **state)
{
    static const char *const heads[] = {
        "\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1 \r\n\r\n",
        " GET / HTTP/1.1\r\n\r\n",
        "GET /\x7f HTTP/1.1\r\n\r\n",
        "GET /\xff HTTP/1.1\r\n\r\n",
        "GET /\r\n\r\n",
        "G(T / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\n\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : h\r\n\r\n",
        "GET / HTTP/1.1\r\n: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\x01\r\n\r\n",
        "\x16\x03\x01\x02\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        assert_int_equal(read_text(heads[i]), WEIR_MALFORMED);
    }
    const char nul[] = "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n";
    assert_int_equal(
        weir_http_head_read((weir_bytes){(const uint8_t *)nul, sizeof(nul) - 1}, &head),
        WEIR_MALFORMED);
}

static void a_head_beyond_its_limits_is_too_large(void **state)
{
    static char text[WEIR_HTTP_HEAD_BYTES_MAX + 64];
    (void)state;
    memset(text, 'a', sizeof(text) - 1);
    assert_int_equal(read_text(text), WEIR_TOO_LARGE);
    text[WEIR_HTTP_HEAD_BYTES_MAX - 1] = '\0';
    assert_int_equal(read_text(text), WEIR_MORE);
    size_t len = (size_t)sprintf(text, "GET / HTTP/1.1\r\n");
    for (size_t i = 0; i < WEIR_HTTP_FIELDS_MAX; i++) {
        len += (size_t)sprintf(text + len, "A: b\r\n");
    }
    strcpy(text + len, "\r\n");
    assert_int_equal(read_text(text), WEIR_OK);
    assert_int_equal(head.field_count, WEIR_HTTP_FIELDS_MAX);
    strcpy(text + len, "A: b\r\n\r\n");
    assert_int_equal(read_text(text), WEIR_TOO_LARGE);
}

static void fields_are_found_without_case_and_trimmed(void **state)
{
    weir_bytes value;
    (void)state;
    assert_int_equal(read_text("GET /a?b HTTP/1.1\r\nhost: \t h \t\r\nX: 1\r\nx: 2\r\n\r\n"),
                     WEIR_OK);
    assert_int_equal(weir_http_field_find(&head, "HOST", &value), 1);
    assert_true(weir_bytes_equal(value, WEIR_TEXT("h")));
    assert_int_equal(weir_http_field_find(&head, "X", &value), 2);
    assert_true(weir_bytes_equal(value, WEIR_TEXT("1")));
    assert_int_equal(weir_http_field_find(&head, "Y", &value), 0);
    assert_true(weir_bytes_equal(head.path, WEIR_TEXT("/a")));
}

static void a_list_is_taken_item_by_item(void **state)
{
    static const char *const items[] = {"a", "", "b c", ""};
    weir_bytes list = WEIR_TEXT(" a ,,\tb c,"), item;
    (void)state;
    for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
        assert_true(weir_http_list_next(&list, &item));
        assert_true(weir_bytes_equal(item, weir_bytes_of(items[i])));
    }
    assert_false(weir_http_list_next(&list, &item));
}

static void every_answer_fits_and_ends_its_connection(void **state)
{
    static const unsigned statuses[] = {400, 403, 404, 405, 408, 426, 431, 503, 505};
    char out[WEIR_HTTP_ANSWER_BYTES_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        weir_ws_handshake refusal = {.status = statuses[i], .text = "Because it is so."};
        size_t len = weir_ws_answer_write(out, &refusal);
        assert_true(len < sizeof(out));
        assert_non_null(memmem(out, len, "\r\nConnection: close", 19));
        assert_non_null(memmem(out, len, "\r\nContent-Length: 18\r\n", 22));
        assert_string_not_equal(weir_http_reason(statuses[i]), "Error");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha1_gives_the_digests_of_its_standard),
        cmocka_unit_test(the_example_of_the_rfc_is_accepted),
        cmocka_unit_test(every_cut_of_a_head_asks_for_more),
        cmocka_unit_test(any_method_but_get_is_refused),
        cmocka_unit_test(only_http_1_1_is_taken),
        cmocka_unit_test(a_request_without_exactly_one_host_is_refused),
        cmocka_unit_test(any_version_but_13_is_answered_with_13),
        cmocka_unit_test(a_key_that_is_not_16_bytes_is_refused),
        cmocka_unit_test(upgrade_and_connection_must_both_ask),
        cmocka_unit_test(a_get_without_upgrade_on_our_path_is_told_426),
        cmocka_unit_test(a_body_is_refused),
        cmocka_unit_test(the_subprotocol_must_fit_the_path),
        cmocka_unit_test(echo_is_not_there_unless_switched_on),
        cmocka_unit_test(an_origin_is_the_same_host_or_listed),
        cmocka_unit_test(a_rebound_name_on_loopback_is_refused),
        cmocka_unit_test(a_foreign_origin_is_refused_and_a_missing_one_is_no_browser),
        cmocka_unit_test(a_head_that_others_would_read_differently_is_malformed),
        cmocka_unit_test(a_head_beyond_its_limits_is_too_large),
        cmocka_unit_test(fields_are_found_without_case_and_trimmed),
        cmocka_unit_test(a_list_is_taken_item_by_item),
        cmocka_unit_test(every_answer_fits_and_ends_its_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
