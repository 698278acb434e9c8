/* How a weir.v1 conversation ends, and how it arrives: goodbye, drain, close; streams cut anywhere;
 * transports that push nothing. */
#include "tests/unit/proto_weir1/said.h"

/* ---- Endings -----------------------------------------------------------------------------------
 */

static void goodbye_is_answered_when_everything_else_is(void **state)
{
    talk *t = talk_greeted();
    (void)state;
    (void)talk_ask(t, "{\"cmd\":\"subscribe\",\"filter\":\"a\"}");
    talk_complete(t, talk_last(t), WEIR_OK, NULL);
    (void)talk_ask(t, "{\"cmd\":\"fetch\",\"id\":1,\"topic\":\"t\",\"wait_ms\":1000}");
    fake_op *fetch = talk_last(t);
    (void)talk_ask(t, "{\"cmd\":\"publish\",\"id\":2,\"name\":\"a\",\"value\":\"\"}");
    fake_op *publish = talk_last(t);
    assert_string_equal(talk_ask(t, "{\"cmd\":\"goodbye\",\"id\":3}"), "");
    assert_int_equal(talk_say(t, "{\"cmd\":\"ping\"}"), WEIR_AGAIN);
    assert_int_equal(talk_last(t)->kind, FAKE_CLOSE);
    assert_int_equal(talk_last(t)[-1].kind, FAKE_CANCEL);
    assert_int_equal(talk_last(t)[-1].token, fetch->token);
    talk_complete(t, fetch, WEIR_OK, NULL);
    talk_complete(t, talk_last(t), WEIR_OK, NULL);
    assert_has(talk_said(t), "{\"id\":1,\"ok\":true,");
    assert_false(weir_v1_session_ended(t->session));
    talk_complete(t, publish, WEIR_OK, NULL);
    const char *said = talk_said(t);
    assert_has(said, "{\"id\":2,");
    assert_has(said, "\n{\"id\":3,\"ok\":true}\n");
    assert_true(weir_v1_session_ended(t->session));
    assert_int_equal(talk_say(t, "{\"cmd\":\"ping\"}"), WEIR_CLOSED);
    talk_free(t);
}

static void drain_is_told_and_new_work_refused(void **state)
{
    talk *t = talk_greeted();
    (void)state;
    (void)talk_ask(t, "{\"cmd\":\"fetch\",\"id\":1,\"topic\":\"t\",\"wait_ms\":1000}");
    fake_op *fetch = talk_last(t);
    weir_v1_session_drain(t->session);
    weir_v1_session_drain(t->session);
    const char *said = talk_said(t);
    assert_has(said, "{\"type\":\"drain\",\"text\":");
    assert_null(strstr(said + 10, "\"type\""));
    assert_int_equal(talk_last(t)->kind, FAKE_CANCEL);
    assert_false(weir_v1_session_idle(t->session));
    talk_complete(t, fetch, WEIR_OK, NULL);
    assert_true(weir_v1_session_idle(t->session));
    (void)talk_said(t);
    assert_refused(t, "{\"cmd\":\"publish\",\"name\":\"a\",\"value\":\"\"}", "closed", NULL);
    assert_refused(t, "{\"cmd\":\"fetch\",\"topic\":\"t\"}", "closed", NULL);
    assert_refused(t, "{\"cmd\":\"subscribe\",\"filter\":\"t\"}", "closed", NULL);
    assert_string_equal(talk_ask(t, "{\"cmd\":\"ping\"}"), "{\"ok\":true}");
    talk_free(t);
}

static void after_close_nothing_is_said_and_everything_comes_home(void **state)
{
    talk *t = talk_greeted();
    (void)state;
    (void)talk_ask(t, "{\"cmd\":\"subscribe\",\"filter\":\"a\"}");
    talk_complete(t, talk_last(t), WEIR_OK, NULL);
    (void)talk_ask(t, "{\"cmd\":\"subscribe\",\"filter\":\"b\"}"); /* still opening */
    (void)talk_ask(t, "{\"cmd\":\"publish\",\"name\":\"a\",\"value\":\"\"}");
    (void)talk_ask(t, "{\"cmd\":\"fetch\",\"topic\":\"t\"}");
    (void)talk_said(t);
    t->port.room = 0; /* no room for the closes at first */
    weir_v1_session_close(t->session);
    assert_true(weir_v1_session_wants_turn(t->session));
    t->port.room = -1;
    weir_v1_session_turn(t->session);
    assert_false(weir_v1_session_idle(t->session));
    talk_complete_all(t);
    assert_true(weir_v1_session_idle(t->session));
    assert_string_equal(talk_said(t), "");
    talk_free(t);
}

static void fail_tells_why_and_ends(void **state)
{
    talk *t = talk_new(true);
    (void)state;
    weir_v1_session_fail(t->session, WEIR_TIMEOUT, "Say hello sooner.");
    assert_string_equal(talk_said(t),
                        "{\"error\":{\"code\":\"timeout\",\"text\":\"Say hello sooner.\"}}\n");
    assert_int_equal(talk_say(t, TALK_HELLO), WEIR_CLOSED);
    talk_free(t);
}

/* The disk failed, and the gateway waits for it no longer. */
static void what_may_be_stored_or_not_ends_the_conversation_unanswered(void **state)
{
    talk *t = talk_greeted();
    (void)state;
    (void)talk_say(t, "{\"cmd\":\"publish\",\"id\":1,\"name\":\"a\",\"value\":\"\"}");
    fake_op *first = talk_last(t);
    (void)talk_say(t, "{\"cmd\":\"topic\",\"action\":\"create\",\"id\":2,\"topic\":\"t\"}");
    fake_op *second = talk_last(t);
    (void)talk_say(t, "{\"cmd\":\"topic\",\"action\":\"list\",\"id\":3}");
    (void)talk_said(t);
    talk_complete(t, talk_last(t), WEIR_CLOSED, NULL);
    assert_has(talk_said(t), "{\"id\":3,\"error\":{\"code\":\"read-only\"");
    assert_false(weir_v1_session_ended(t->session)); /* it was but a question */
    talk_complete(t, first, WEIR_CLOSED, NULL);
    const char *said = talk_said(t);
    assert_has(said, "{\"error\":{\"code\":\"closed\"");
    assert_null(strstr(said, "\"id\"")); /* neither stored nor not stored would be true */
    assert_true(weir_v1_session_ended(t->session));
    talk_complete(t, second, WEIR_CLOSED, NULL);
    assert_string_equal(talk_said(t), "");
    talk_free(t);
}

static void without_push_what_may_be_stored_or_not_is_answered_closed(void **state)
{
    talk *t = talk_new(false);
    (void)state;
    (void)talk_ask(t, TALK_HELLO);
    (void)talk_say(t, "{\"cmd\":\"publish\",\"id\":1,\"name\":\"a\",\"value\":\"\"}");
    talk_complete(t, talk_last(t), WEIR_CLOSED, NULL);
    assert_has(talk_said(t), "{\"id\":1,\"error\":{\"code\":\"closed\"");
    talk_free(t);
}

/* ---- Streams -----------------------------------------------------------------------------------
 */

/* Feeds `wire` in pieces of `step` bytes as a transport does: what was not used comes again. */
static weir_err feed(talk *t, const char *wire, size_t len, size_t step)
{
    size_t start = 0;
    weir_err err = WEIR_OK;
    for (size_t end = 0; end < len && err == WEIR_OK;) {
        size_t used = 0;
        end = end + step < len ? end + step : len;
        uint8_t *copy = malloc(end - start);
        memcpy(copy, wire + start, end - start);
        err = weir_v1_session_stream(t->session, (weir_bytes){copy, end - start}, &used);
        free(copy);
        start += used;
    }
    return err;
}

static void a_stream_cut_anywhere_is_the_same_conversation(void **state)
{
    static const char wire[] = "\r\n" TALK_HELLO "\r\n{\"cmd\":\"ping\",\"id\":1}\n"
                               "\x09\0\0\0\x01x\n{\"cmd\":\"ping\",\"id\":2}\n{oops\n"
                               "{\"cmd\":\"ping\",\"id\":3}\n";
    char whole[4096] = "";
    (void)state;
    for (size_t step = sizeof(wire) - 1; step > 0; step--) {
        talk *t = talk_new(true);
        assert_int_equal(feed(t, wire, sizeof(wire) - 1, step), WEIR_OK);
        const char *said = talk_said(t);
        if (whole[0] == 0) {
            strcpy(whole, said);
            assert_has(whole,
                       "{\"id\":1,\"ok\":true}\n{\"id\":2,\"ok\":true}\n{\"error\":{\"code\":"
                       "\"malformed\"");
            assert_has(whole, "{\"id\":3,\"ok\":true}\n");
        }
        assert_string_equal(said, whole);
        assert_int_equal(t->frames.ptr[0], WEIR_V1_FRAME_ERROR);
        talk_free(t);
    }
}

static void a_message_over_its_limit_is_told_and_ends_the_conversation(void **state)
{
    char line[300];
    (void)state;
    for (int greeted = 0; greeted < 2; greeted++) {
        talk *t = greeted ? talk_greeted() : talk_new(true);
        t->limits.connect_bytes_max = 128;
        t->limits.packet_bytes_max = 256;
        size_t most = greeted ? 256 : 128;
        assert_int_equal(weir_v1_session_message_max(t->session), most);
        memset(line, ' ', sizeof(line));
        memcpy(line, "{\"cmd\":\"ping\"", 13);
        line[most - 1] = '}';
        line[most] = '\n';
        assert_int_equal(feed(t, line, most + 1, 300), WEIR_OK);
        assert_has(talk_said(t), greeted ? "\"ok\":true" : "hello first");
        line[most - 1] = ' ';
        line[most] = '}';
        line[most + 1] = '\n';
        assert_int_equal(feed(t, line, most + 2, 300), WEIR_CLOSED);
        assert_has(talk_said(t), "\"code\":\"too-large\"");
        assert_true(weir_v1_session_ended(t->session));
        talk_free(t);
    }
}

static void a_stream_that_is_no_weir_v1_is_told_how_to_begin(void **state)
{
    static const char wire[] = "GET / HTTP/1.1\r\n";
    talk *t = talk_new(true);
    (void)state;
    assert_int_equal(feed(t, wire, sizeof(wire) - 1, 100), WEIR_CLOSED);
    assert_has(talk_said(t), "Begin a message with {");
    talk_free(t);
}

static void a_blocked_stream_keeps_what_it_has_not_taken(void **state)
{
    static const char wire[] = "{\"cmd\":\"publish\",\"name\":\"a\",\"value\":\"1\"}\n"
                               "{\"cmd\":\"publish\",\"name\":\"a\",\"value\":\"2\"}\n";
    talk *t = talk_greeted();
    size_t used = 0;
    (void)state;
    t->limits.in_flight_max = 1;
    weir_bytes in = {(const uint8_t *)wire, sizeof(wire) - 1};
    assert_int_equal(weir_v1_session_stream(t->session, in, &used), WEIR_AGAIN);
    assert_int_equal(used, in.len / 2);
    assert_int_equal(t->port.count, 1);
    talk_complete(t, talk_last(t), WEIR_OK, NULL);
    in.ptr += used;
    in.len -= used;
    assert_int_equal(weir_v1_session_stream(t->session, in, &used), WEIR_AGAIN);
    assert_string_equal(talk_last(t)->value, "2");
    talk_free(t);
}

/* ---- Transports that push nothing --------------------------------------------------------------
 */

static void without_push_every_message_has_exactly_one_reply(void **state)
{
    static const char *const messages[] = {
        TALK_HELLO,
        "{\"cmd\":\"publish\",\"name\":\"a\",\"value\":\"\",\"confirm\":\"none\"}",
        "{\"cmd\":\"publish\",\"records\":[{\"name\":\"a\",\"value\":\"\"}],\"confirm\":\"none\"}",
        "{\"cmd\":\"fetch\",\"topic\":\"t\"}",
        "{\"cmd\":\"subscribe\",\"filter\":\"a\"}",
        "{\"cmd\":\"credit\",\"subscription\":1,\"records\":1}",
        "{\"cmd\":\"unsubscribe\",\"subscription\":1}",
        "{\"cmd\":\"ping\"}",
        "{nonsense",
        "\x01",
        "",
        "{\"cmd\":\"goodbye\"}",
    };
    talk *t = talk_new(false);
    (void)state;
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        (void)talk_said(t);
        assert_int_equal(weir_v1_session_message(t->session, weir_bytes_of(messages[i]), 100 + i) ==
                             WEIR_AGAIN,
                         false);
        talk_complete_all(t);
        weir_v1_session_turn(t->session);
        assert_int_equal(t->said_count, 1);
        assert_int_equal(t->last_request, 100 + i);
        if (i >= 4 && i <= 6) {
            assert_has(talk_said(t), "\"code\":\"not-offered\"");
        }
    }
    talk_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goodbye_is_answered_when_everything_else_is),
        cmocka_unit_test(drain_is_told_and_new_work_refused),
        cmocka_unit_test(after_close_nothing_is_said_and_everything_comes_home),
        cmocka_unit_test(fail_tells_why_and_ends),
        cmocka_unit_test(what_may_be_stored_or_not_ends_the_conversation_unanswered),
        cmocka_unit_test(without_push_what_may_be_stored_or_not_is_answered_closed),
        cmocka_unit_test(a_stream_cut_anywhere_is_the_same_conversation),
        cmocka_unit_test(a_message_over_its_limit_is_told_and_ends_the_conversation),
        cmocka_unit_test(a_stream_that_is_no_weir_v1_is_told_how_to_begin),
        cmocka_unit_test(a_blocked_stream_keeps_what_it_has_not_taken),
        cmocka_unit_test(without_push_every_message_has_exactly_one_reply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
