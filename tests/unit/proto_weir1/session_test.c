/* The weir.v1 session against a port that only remembers: every command, every refusal. */
#include "tests/unit/proto_weir1/said.h"

/* ---- hello and what comes before ---------------------------------------------------------------
 */

static void before_hello_commands_are_refused_and_answered(void **state)
{
    static const char *const commands[] = {"{\"cmd\":\"ping\"}",
                                           "{\"cmd\":\"publish\",\"name\":\"a\",\"value\":\"x\"}",
                                           "{\"cmd\":\"fetch\",\"topic\":\"t\"}",
                                           "{\"cmd\":\"goodbye\"}",
                                           "{\"cmd\":\"no such thing\"}",
                                           "{}"};
    talk *t = talk_new(true);
    (void)state;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        assert_refused(t, commands[i], "protocol", "cmd");
        assert_false(weir_v1_session_greeted(t->session));
    }
    talk_free(t);
}

static void hello_tells_what_the_gateway_is_and_allows(void **state)
{
    talk *t = talk_new(true);
    (void)state;
    const char *said =
        talk_ask(t, "{\"cmd\":\"hello\",\"id\":1,\"version\":1,\"client\":\"test\"}");
    assert_has(said, "{\"id\":1,\"ok\":true,\"version\":1,\"server\":\"weir ");
    assert_has(said, "\"session\":\"s1\"");
    assert_has(said, "\"push\":true");
    assert_has(said, "\"in_flight_max\":1024");
    assert_has(said, "\"record_bytes_max\":1048576");
    assert_has(said, "\"durability\":[\"memory\",\"os\",\"disk\"]");
    assert_null(strstr(said, "resumed"));
    assert_true(weir_v1_session_greeted(t->session));
    talk_free(t);
}

static void hello_agrees_on_the_version_or_refuses(void **state)
{
    talk *t = talk_new(true);
    (void)state;
    assert_refused(t, "{\"cmd\":\"hello\"}", "invalid", "version");
    assert_refused(t, "{\"cmd\":\"hello\",\"version\":\"1\"}", "invalid", "version");
    assert_refused(t, "{\"cmd\":\"hello\",\"version\":0}", "version", "version");
    assert_has(talk_ask(t, "{\"cmd\":\"hello\",\"version\":7,\"resume\":\"x\",\"token\":\"y\"}"),
               "\"version\":1");
    assert_refused(t, TALK_HELLO, "protocol", "cmd");
    talk_free(t);
}

static void unknown_commands_are_refused_and_unknown_fields_ignored(void **state)
{
    talk *t = talk_greeted();
    (void)state;
    assert_refused(t, "{\"cmd\":\"frobnicate\"}", "unknown-command", "cmd");
    assert_refused(t, "{\"cmd\":7}", "unknown-command", "cmd");
    assert_refused(t, "{}", "unknown-command", "cmd");
    assert_string_equal(talk_ask(t, "{\"cmd\":\"ping\",\"colour\":\"blue\",\"x\":{\"y\":[1]}}"),
                        "{\"ok\":true}");
    talk_free(t);
}

static void commands_of_transactions_are_not_offered(void **state)
{
    static const char *const names[] = {"begin", "abort", "request"};
    talk *t = talk_greeted();
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char command[80];
        snprintf(command, sizeof(command), "{\"cmd\":\"%s\"}", names[i]);
        assert_refused(t, command, "not-offered", "cmd");
    }
    talk_free(t);
}

static void an_id_is_echoed_as_it_was_sent(void **state)
{
    char command[200];
    char id[66];
    talk *t = talk_greeted();
    (void)state;
    assert_string_equal(talk_ask(t, "{\"cmd\":\"ping\",\"id\":-9223372036854775808}"),
                        "{\"id\":-9223372036854775808,\"ok\":true}");
    assert_string_equal(talk_ask(t, "{\"cmd\":\"ping\",\"id\":\"a\\\"\\u0001\"}"),
                        "{\"id\":\"a\\\"\\u0001\",\"ok\":true}");
    memset(id, 'x', 65);
    id[65] = 0;
    snprintf(command, sizeof(command), "{\"cmd\":\"ping\",\"id\":\"%s\"}", id);
    assert_refused(t, command, "invalid", "id");
    id[64] = 0;
    snprintf(command, sizeof(command), "{\"cmd\":\"ping\",\"id\":\"%s\"}", id);
    assert_has(talk_ask(t, command), id);
    assert_refused(t, "{\"cmd\":\"ping\",\"id\":{}}", "invalid", "id");
    assert_refused(t, "{\"cmd\":\"ping\",\"id\":1.5}", "invalid", "id");
    assert_refused(t, "{\"cmd\":\"ping\",\"id\":null}", "invalid", "id");
    char longest[600] = "{\"cmd\":\"ping\",\"id\":\"";
    for (int i = 0; i < 64; i++) {
        strcat(longest, "\\u0001");
    }
    strcat(longest, "\"}");
    assert_has(talk_ask(t, longest), "\\u0001\\u0001\",\"ok\":true}");
    talk_free(t);
}

static void malformed_text_is_answered_and_the_session_goes_on(void **state)
{
    talk *t = talk_greeted();
    (void)state;
    assert_refused(t, "{", "malformed", NULL);
    assert_refused(t, "{\"cmd\":\"ping\",\"cmd\":\"ping\"}", "malformed", NULL);
    assert_refused(t, "{\"cmd\":\"pi\xffng\"}", "malformed", NULL);
    assert_refused(t, "{\"cmd\":\"ping\"} x", "malformed", NULL);
    assert_refused(t, "{\"cmd\":\"fetch\",\"topic\":\"t\",\"offset\":9223372036854775808}",
                   "malformed", NULL);
    assert_string_equal(talk_ask(t, "{\"cmd\":\"ping\"}"), "{\"ok\":true}");
    talk_free(t);
}

/* ---- publish -----------------------------------------------------------------------------------
 */

static void a_publish_is_answered_with_where_and_how_safe(void **state)
{
    talk *t = talk_greeted();
    const weir_completion where = {
        .published = {WEIR_LEVEL_DISK, false, 3, 41, 1700000000000, false}};
    const weir_completion live = {.published = {.level = WEIR_LEVEL_MEMORY, .live = true}};
    (void)state;
    assert_string_equal(
        talk_ask(t, "{\"cmd\":\"publish\",\"id\":\"p\",\"name\":\"a/b\",\"value\":\"x\"}"), "");
    assert_string_equal(talk_last(t)->name, "a/b");
    assert_string_equal(talk_last(t)->topic, "(null)");
    assert_string_equal(talk_last(t)->value, "x");
    talk_complete(t, talk_last(t), WEIR_OK, &where);
    assert_string_equal(talk_said(t),
                        "{\"id\":\"p\",\"ok\":true,\"level\":\"disk\",\"partition\":3,"
                        "\"offset\":41,\"time\":1700000000000}\n");
    (void)talk_ask(t, "{\"cmd\":\"publish\",\"name\":\"a/b\",\"value\":\"x\"}");
    talk_complete(t, talk_last(t), WEIR_OK, &live);
    assert_string_equal(talk_said(t), "{\"ok\":true,\"level\":\"memory\",\"live\":true}\n");
    talk_free(t);
}

static void every_form_of_value_and_key_reaches_the_port(void **state)
{
    static const struct {
        const char *members;
        const char *key;
        const char *value;
    } forms[] = {
        {"\"value\":\"\"", "(null)", ""},
        {"\"value\":null", "(null)", "(null)"},
        {"\"value\":\"a\\nb\"", "(null)", "a\nb"},
        {"\"json\": { \"a\" : [1, 0.5] }", "(null)", "{\"a\":[1,0.5]}"},
        {"\"json\":null", "(null)", "null"},
        {"\"base64\":\"aGk=\"", "(null)", "hi"},
        {"\"base64\":\"\"", "(null)", ""},
        {"\"value\":\"v\",\"key\":\"k\"", "k", "v"},
        {"\"value\":\"v\",\"key\":\"\"", "", "v"},
        {"\"value\":\"v\",\"key\":null", "(null)", "v"},
        {"\"value\":\"v\",\"key_base64\":\"aGk=\"", "hi", "v"},
    };
    talk *t = talk_greeted();
    (void)state;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        char command[200];
        snprintf(command, sizeof(command), "{\"cmd\":\"publish\",\"topic\":\"t\",%s}",
                 forms[i].members);
        assert_string_equal(talk_ask(t, command), "");
        assert_string_equal(talk_last(t)->topic, "t");
        assert_string_equal(talk_last(t)->key, forms[i].key);
        assert_string_equal(talk_last(t)->value, forms[i].value);
        assert_int_equal(talk_last(t)->attributes, 0);
    }
    talk_free(t);
}

static void headers_and_envelope_fields_become_headers(void **state)
{
    talk *t = talk_greeted();
    (void)state;
    (void)talk_ask(t, "{\"cmd\":\"publish\",\"name\":\"a\",\"value\":\"\",\"headers\":{\"a\":\"b\","
                      "\"c\":null,\"d\":{\"base64\":\"aGk=\"}},\"retain\":true}");
    assert_string_equal(talk_last(t)->headers, "a=b;c=(null);d=hi;");
    assert_int_equal(talk_last(t)->attributes, WEIR_RECORD_RETAIN);
    (void)talk_ask(t,
                   "{\"cmd\":\"publish\",\"name\":\"a\",\"value\":\"\",\"headers\":[[\"a\",\"b\"],"
                   "[\"a\",\"c\"]],\"content_type\":\"text/plain\",\"expiry\":60,\"reply\":\"r\","
                   "\"correlation\":\"c\",\"traceparent\":\"00-1\"}");
    assert_string_equal(talk_last(t)->headers,
                        "expiry=60;content-type=text/plain;reply=r;correlation=c;traceparent=00-1;"
                        "a=b;a=c;");
    talk_free(t);
}

static void wrong_publishes_are_refused_by_field(void **state)
{
    static const char *const wrong[][2] = {
        {"\"value\":\"x\"", "name"},
        {"\"name\":\"a\",\"topic\":\"b\",\"value\":\"x\"", "name"},
        {"\"name\":7,\"value\":\"x\"", "name"},
        {"\"topic\":[],\"value\":\"x\"", "topic"},
        {"\"name\":\"a\",\"key\":\"k\",\"value\":\"x\"", "key"},
        {"\"topic\":\"a\",\"key\":7,\"value\":\"x\"", "key"},
        {"\"topic\":\"a\",\"key\":\"k\",\"key_base64\":\"aGk=\",\"value\":\"x\"", "key_base64"},
        {"\"name\":\"a\"", "value"},
        {"\"name\":\"a\",\"value\":7", "value"},
        {"\"name\":\"a\",\"value\":\"x\",\"json\":1", "value"},
        {"\"name\":\"a\",\"base64\":\"x\"", "base64"},
        {"\"name\":\"a\",\"base64\":1", "base64"},
        {"\"name\":\"a\",\"value\":\"x\",\"headers\":7", "headers"},
        {"\"name\":\"a\",\"value\":\"x\",\"headers\":[7]", "headers"},
        {"\"name\":\"a\",\"value\":\"x\",\"headers\":[[\"a\"]]", "headers"},
        {"\"name\":\"a\",\"value\":\"x\",\"headers\":{\"a\":1}", "headers"},
        {"\"name\":\"a\",\"value\":\"x\",\"headers\":{\"a\":{\"base64\":\"?\"}}", "headers"},
        {"\"name\":\"a\",\"value\":\"x\",\"headers\":{\"weir-origin\":\"me\"}", "headers"},
        {"\"name\":\"a\",\"value\":\"x\",\"expiry\":-1", "expiry"},
        {"\"name\":\"a\",\"value\":\"x\",\"expiry\":4294967296", "expiry"},
        {"\"name\":\"a\",\"value\":\"x\",\"expiry\":\"1\"", "expiry"},
        {"\"name\":\"a\",\"value\":\"x\",\"reply\":1", "reply"},
        {"\"name\":\"a\",\"value\":\"x\",\"retain\":1", "retain"},
        {"\"name\":\"a\",\"value\":\"x\",\"confirm\":\"later\"", "confirm"},
        {"\"name\":\"a\",\"value\":\"x\",\"confirm\":null", "confirm"},
        {"\"records\":[]", "records"},
        {"\"records\":{}", "records"},
    };
    talk *t = talk_greeted();
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char command[200];
        snprintf(command, sizeof(command), "{\"cmd\":\"publish\",%s}", wrong[i][0]);
        assert_refused(t, command, "invalid", wrong[i][1]);
    }
    talk_free(t);
}

static void headers_max_headers_pass_and_one_more_is_refused(void **state)
{
    talk *t = talk_greeted();
    (void)state;
    t->limits.headers_max = 2;
    assert_string_equal(talk_ask(t, "{\"cmd\":\"publish\",\"name\":\"a\",\"value\":\"\",\"reply\":"
                                    "\"r\",\"headers\":{\"a\":\"b\"}}"),
                        "");
    assert_refused(t,
                   "{\"cmd\":\"publish\",\"name\":\"a\",\"value\":\"\",\"reply\":\"r\",\"headers\":"
                   "{\"a\":\"b\",\"c\":\"d\"}}",
                   "limit", "headers");
    talk_free(t);
}

static void confirm_none_is_silent_unless_it_fails(void **state)
{
    talk *t = talk_greeted();
    (void)state;
    (void)talk_ask(
        t, "{\"cmd\":\"publish\",\"id\":1,\"name\":\"a\",\"value\":\"\",\"confirm\":\"none\"}");
    talk_complete(t, talk_last(t), WEIR_OK, NULL);
    assert_string_equal(talk_said(t), "");
    (void)talk_ask(
        t, "{\"cmd\":\"publish\",\"id\":1,\"name\":\"a\",\"value\":\"\",\"confirm\":\"none\"}");
    talk_complete(t, talk_last(t), WEIR_DISK_FULL, NULL);
    assert_has(talk_said(t), "{\"id\":1,\"error\":{\"code\":\"disk-full\"");
    talk_free(t);
}

static void what_the_port_refuses_is_told(void **state)
{
    talk *t = talk_greeted();
    (void)state;
    t->port.err = WEIR_TOO_LARGE;
    assert_refused(t, "{\"cmd\":\"publish\",\"name\":\"a\",\"value\":\"\"}", "too-large", NULL);
    (void)talk_ask(t, "{\"cmd\":\"publish\",\"topic\":\"a\",\"value\":\"\"}");
    talk_complete(t, talk_last(t), WEIR_NOT_FOUND, NULL);
    assert_has(talk_said(t), "\"code\":\"not-found\"");
    talk_free(t);
}

static void a_partition_that_is_not_there_is_named(void **state)
{
    static const char *const asked[] = {
        "{\"cmd\":\"fetch\",\"topic\":\"t\",\"partition\":7,\"offset\":0}",
        "{\"cmd\":\"topic\",\"action\":\"trim\",\"topic\":\"t\",\"partition\":7,\"before\":\"end\"}",
    };
    talk *t = talk_greeted();
    (void)state;
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        (void)talk_ask(t, asked[i]);
        talk_complete(t, talk_last(t), WEIR_NOT_FOUND, NULL);
        assert_has(talk_said(t), "No partition 7 is there");
    }
    (void)talk_ask(t, "{\"cmd\":\"fetch\",\"topic\":\"t\"}");
    talk_complete(t, talk_last(t), WEIR_NOT_FOUND, NULL);
    assert_has(talk_said(t), "No such topic is declared");
    talk_free(t);
}

static void a_fetch_of_a_queue_says_what_to_do_instead(void **state)
{
    talk *t = talk_greeted();
    (void)state;
    (void)talk_ask(t, "{\"cmd\":\"fetch\",\"topic\":\"jobs\",\"partition\":0,\"offset\":0}");
    talk_complete(t, talk_last(t), WEIR_NOT_OFFERED, NULL);
    const char *said = talk_said(t);
    assert_has(said, "\"code\":\"not-offered\"");
    assert_has(said, "It is a queue");
    assert_has(said, "\\\"peek\\\":true to look without taking.\"}");
    (void)talk_ask(t, "{\"cmd\":\"fetch\",\"topic\":\"__fates\",\"partition\":0,\"offset\":0}");
    talk_complete(t, talk_last(t), WEIR_NOT_OFFERED, NULL);
    assert_has(talk_said(t), "a topic of the gateway's own");
    talk_free(t);
}

static void a_create_tells_whether_it_made_the_topic(void **state)
{
    static weir_topic_info info = {.name = "t", .options = {.partitions = 1}};
    talk *t = talk_greeted();
    (void)state;
    for (int made = 0; made < 2; made++) {
        const weir_completion one = {.topics = {.topics = &info, .count = 1, .created = made == 1}};
        (void)talk_ask(t, "{\"cmd\":\"topic\",\"action\":\"create\",\"topic\":\"t\"}");
        talk_complete(t, talk_last(t), WEIR_OK, &one);
        assert_int_equal(strstr(talk_said(t), "},\"created\":true}") != NULL, made == 1);
    }
    talk_free(t);
}

static void many_records_have_one_answer_with_a_result_each(void **state)
{
    talk *t = talk_greeted();
    const weir_completion where = {.published = {WEIR_LEVEL_OS, false, 0, 5, 9, false}};
    (void)state;
    assert_string_equal(
        talk_ask(t, "{\"cmd\":\"publish\",\"id\":1,\"topic\":\"t\",\"records\":[{\"value\":\"a\"},"
                    "{\"value\":7},{\"name\":\"n\",\"value\":\"c\"},7]}"),
        "");
    assert_int_equal(t->port.count, 2);
    assert_string_equal(t->port.ops[0].topic, "t");
    assert_string_equal(t->port.ops[1].name, "n");
    assert_string_equal(t->port.ops[1].topic, "(null)");
    talk_complete(t, &t->port.ops[1], WEIR_NAME_INVALID, NULL);
    assert_string_equal(talk_said(t), "");
    talk_complete(t, &t->port.ops[0], WEIR_OK, &where);
    const char *said = talk_said(t);
    assert_has(said,
               "{\"id\":1,\"ok\":false,\"failed\":3,\"results\":[{\"level\":\"os\",\"partition\":0,"
               "\"offset\":5,\"time\":9},{\"error\":{\"code\":\"invalid\",\"field\":\"value\"");
    assert_has(said, "{\"error\":{\"code\":\"name-invalid\",\"text\":\"This is no name to publish "
                     "or to retain under: topic and key together have at most 1024 bytes and 128 "
                     "levels");
    assert_has(said, "\"field\":\"records\"");
    talk_free(t);
}

static void many_records_that_are_all_wrong_are_answered_at_once(void **state)
{
    talk *t = talk_greeted();
    (void)state;
    assert_has(talk_ask(t, "{\"cmd\":\"publish\",\"records\":[1,2]}"),
               "{\"ok\":false,\"failed\":2,\"results\":[");
    assert_int_equal(t->port.count, 0);
    talk_free(t);
}

/* ---- What blocks -------------------------------------------------------------------------------
 */

static void a_full_port_parks_the_command_and_a_turn_brings_it_through(void **state)
{
    static const char *const commands[] = {
        "{\"cmd\":\"publish\",\"id\":1,\"name\":\"a\",\"value\":\"x\"}",
        "{\"cmd\":\"fetch\",\"id\":1,\"topic\":\"t\"}",
        "{\"cmd\":\"topic\",\"id\":1,\"action\":\"list\"}",
        "{\"cmd\":\"subscribe\",\"id\":1,\"filter\":\"a\"}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        talk *t = talk_greeted();
        t->port.room = 0;
        assert_int_equal(talk_say(t, commands[i]), WEIR_OK);
        assert_true(weir_v1_session_blocked(t->session));
        assert_true(weir_v1_session_wants_turn(t->session));
        assert_int_equal(talk_say(t, "{\"cmd\":\"ping\"}"), WEIR_AGAIN);
        weir_v1_session_turn(t->session);
        assert_true(weir_v1_session_blocked(t->session));
        t->port.room = -1;
        assert_true(weir_v1_session_turn(t->session));
        assert_false(weir_v1_session_blocked(t->session));
        assert_int_equal(t->port.count, 1);
        assert_int_equal(t->port.subscriber_count, i == 3);
        talk_complete(t, talk_last(t), WEIR_OK, NULL);
        weir_v1_session_turn(t->session);
        assert_has(talk_said(t), "{\"id\":1,\"ok\":true");
        talk_free(t);
    }
}

static void many_records_go_on_where_the_port_had_no_room(void **state)
{
    talk *t = talk_greeted();
    (void)state;
    t->port.room = 1;
    (void)talk_say(t,
                   "{\"cmd\":\"publish\",\"id\":1,\"topic\":\"t\",\"records\":[{\"value\":\"a\"},"
                   "{\"value\":\"b\"},{\"value\":\"c\"}]}");
    assert_int_equal(t->port.count, 1);
    talk_complete(t, &t->port.ops[0], WEIR_OK, NULL);
    t->port.room = 1;
    weir_v1_session_turn(t->session);
    weir_v1_session_drain(t->session); /* what was taken is finished all the same */
    t->port.room = -1;
    weir_v1_session_turn(t->session);
    assert_int_equal(t->port.count, 3);
    assert_string_equal(t->port.ops[1].value, "b");
    assert_string_equal(t->port.ops[2].value, "c");
    (void)talk_said(t);
    talk_complete_all(t);
    assert_has(talk_said(t), "{\"id\":1,\"ok\":true,\"results\":[");
    talk_free(t);
}

static void closing_with_a_half_submitted_batch_leaves_nothing(void **state)
{
    (void)state;
    for (int room = 0; room < 3; room++) {
        talk *t = talk_greeted();
        t->port.room = room;
        (void)talk_say(t, "{\"cmd\":\"publish\",\"topic\":\"t\",\"records\":[{\"value\":\"a\"},"
                          "{\"value\":\"b\"},{\"value\":\"c\"}]}");
        if (room == 2) {
            talk_complete(t, &t->port.ops[0], WEIR_OK, NULL);
        }
        talk_free(t); /* the address sanitizer looks for what is left */
    }
}

static void in_flight_max_is_reached_and_never_passed(void **state)
{
    talk *t = talk_greeted();
    (void)state;
    t->limits.in_flight_max = 2;
    assert_int_equal(talk_say(t, "{\"cmd\":\"publish\",\"name\":\"a\",\"value\":\"1\"}"), WEIR_OK);
    assert_false(weir_v1_session_blocked(t->session));
    assert_int_equal(talk_say(t, "{\"cmd\":\"publish\",\"name\":\"a\",\"value\":\"2\"}"), WEIR_OK);
    assert_true(weir_v1_session_blocked(t->session));
    assert_false(weir_v1_session_wants_turn(t->session)); /* a completion will come */
    assert_int_equal(talk_say(t, "{\"cmd\":\"publish\",\"name\":\"a\",\"value\":\"3\"}"),
                     WEIR_AGAIN);
    assert_int_equal(t->port.count, 2);
    talk_complete(t, &t->port.ops[0], WEIR_OK, NULL);
    assert_false(weir_v1_session_blocked(t->session));
    (void)talk_say(t, "{\"cmd\":\"publish\",\"records\":[{\"name\":\"a\",\"value\":\"4\"},"
                      "{\"name\":\"a\",\"value\":\"5\"}]}");
    assert_int_equal(t->port.count, 3);
    weir_v1_session_turn(t->session);
    assert_int_equal(t->port.count, 3);
    talk_complete(t, &t->port.ops[1], WEIR_OK, NULL);
    weir_v1_session_turn(t->session);
    assert_int_equal(t->port.count, 4);
    talk_free(t);
}

/* ---- fetch -------------------------------------------------------------------------------------
 */

static void a_fetch_gives_records_bounds_and_where_to_go_on(void **state)
{
    static weir_chunk chunk;
    weir_run run = {&chunk, 0, 3};
    const weir_completion found = {.fetched = {&run, 1, 2, 30}};
    talk *t = talk_greeted();
    (void)state;
    fake_chunk_begin(&chunk, "t", 1);
    fake_chunk_add(&chunk, WEIR_TEXT("k0"), WEIR_TEXT("v0"), NULL, 0);
    fake_chunk_add(&chunk, WEIR_TEXT("k1"), WEIR_TEXT("v1"), NULL, 0);
    fake_chunk_add(&chunk, WEIR_BYTES_NULL, WEIR_BYTES_NULL, NULL, 0);
    fake_chunk_end(&chunk, 10);
    (void)talk_ask(t, "{\"cmd\":\"fetch\",\"id\":1,\"topic\":\"t\",\"partition\":1,\"offset\":11,"
                      "\"max_bytes\":999999999999,\"wait_ms\":60000}");
    assert_int_equal(talk_last(t)->fetch.offset, 11);
    assert_int_equal(talk_last(t)->fetch.partition, 1);
    assert_int_equal(talk_last(t)->fetch.bytes_max, t->limits.fetch_bytes_max);
    assert_int_equal(talk_last(t)->fetch.wait_ms, 60000);
    talk_complete(t, talk_last(t), WEIR_OK, &found);
    assert_string_equal(
        talk_said(t),
        "{\"id\":1,\"ok\":true,\"start\":2,\"end\":30,\"records\":[{\"topic\":\"t\",\"partition\":1,"
        "\"offset\":11,\"name\":\"t/k1\",\"key\":\"k1\",\"time\":1700000000000,\"value\":\"v1\"},"
        "{\"topic\":\"t\",\"partition\":1,\"offset\":12,\"name\":\"t\",\"time\":1700000000000,"
        "\"value\":null}],\"next\":13}\n");
    talk_free(t);
}

static void a_fetch_that_fails_tells_the_offsets_it_is_about(void **state)
{
    const weir_completion bounds = {.fetched = {NULL, 0, 6, 10}};
    const weir_completion gap = {.fetched = {NULL, 0, 3, 9}};
    talk *t = talk_greeted();
    (void)state;
    (void)talk_ask(t, "{\"cmd\":\"fetch\",\"id\":1,\"topic\":\"t\"}");
    talk_complete(t, talk_last(t), WEIR_OFFSET_OUT_OF_RANGE, &bounds);
    const char *said = talk_said(t);
    assert_has(said, "\"code\":\"offset-out-of-range\"");
    assert_has(said, "},\"start\":6,\"end\":10}\n");
    (void)talk_ask(t, "{\"cmd\":\"fetch\",\"id\":2,\"topic\":\"t\",\"offset\":4}");
    talk_complete(t, talk_last(t), WEIR_DAMAGED, &gap);
    said = talk_said(t);
    assert_has(said, "\"code\":\"damaged\"");
    assert_has(said, "Offsets 3 to 8 cannot be read: fetch on at 9");
    assert_has(said, "},\"from\":3,\"to\":9}\n");
    (void)talk_ask(t, "{\"cmd\":\"fetch\",\"id\":3,\"topic\":\"t\"}");
    talk_complete(t, talk_last(t), WEIR_NO_MEMORY, &bounds);
    said = talk_said(t);
    assert_null(strstr(said, "\"start\""));
    assert_null(strstr(said, "\"from\""));
    talk_free(t);
}

static void a_fetch_answer_stops_at_its_limit_and_says_where(void **state)
{
    static weir_chunk chunk;
    weir_run run = {&chunk, 0, 2};
    const weir_completion found = {.fetched = {&run, 1, 0, 2}};
    talk *t = talk_greeted();
    (void)state;
    fake_chunk_begin(&chunk, "t", 0);
    fake_chunk_add(&chunk, WEIR_BYTES_NULL, WEIR_TEXT("first"), NULL, 0);
    fake_chunk_add(&chunk, WEIR_BYTES_NULL, WEIR_TEXT("second"), NULL, 0);
    fake_chunk_end(&chunk, 0);
    t->limits.fetch_bytes_max = 50;
    (void)talk_ask(t, "{\"cmd\":\"fetch\",\"topic\":\"t\"}");
    talk_complete(t, talk_last(t), WEIR_OK, &found);
    const char *said = talk_said(t);
    assert_has(said, "first");
    assert_null(strstr(said, "second"));
    assert_has(said, "\"next\":1}");
    talk_free(t);
}

static void fetches_that_wait_share_one_budget_of_bytes(void **state)
{
    talk *t = talk_greeted();
    (void)state;
    t->limits.fetch_bytes_max = 1000000;
    (void)talk_ask(t, "{\"cmd\":\"fetch\",\"topic\":\"t\",\"max_bytes\":900000}");
    assert_int_equal(talk_last(t)->fetch.bytes_max, 900000);
    (void)talk_ask(t, "{\"cmd\":\"fetch\",\"topic\":\"t\",\"max_bytes\":900000}");
    assert_int_equal(talk_last(t)->fetch.bytes_max, 100000);
    (void)talk_ask(t, "{\"cmd\":\"fetch\",\"topic\":\"t\",\"max_bytes\":900000}");
    assert_int_equal(talk_last(t)->fetch.bytes_max, 65536);
    talk_complete_all(t);
    (void)talk_ask(t, "{\"cmd\":\"fetch\",\"topic\":\"t\",\"max_bytes\":2000000}");
    assert_int_equal(talk_last(t)->fetch.bytes_max, 1000000);
    talk_free(t);
}

/* Port operations from `from` on that are fetches of t/1 at that offset. */
static size_t fetches_at(const talk *t, size_t from, int64_t offset)
{
    size_t count = 0;
    for (size_t i = from; i < t->port.count; i++) {
        const fake_op *op = &t->port.ops[i];
        count += op->kind == FAKE_FETCH && op->fetch.offset == offset && op->fetch.partition == 1 &&
                 strcmp(op->topic, "t") == 0;
    }
    return count;
}

static void fetches_add_one_answer_to_a_full_output(void **state)
{
    enum { FETCHES = 8, WAITING = FETCHES };
    static weir_chunk chunk;
    weir_run run = {&chunk, 0, 1};
    const weir_completion found = {.fetched = {&run, 1, 0, 30}};
    const weir_completion none = {.fetched = {NULL, 0, 0, 30}};
    talk *t = talk_greeted();
    (void)state;
    fake_chunk_begin(&chunk, "t", 1);
    fake_chunk_add(&chunk, WEIR_BYTES_NULL, WEIR_TEXT("a value"), NULL, 0);
    fake_chunk_end(&chunk, 10);
    t->limits.output_bytes_max = 100;
    for (int i = 0; i <= FETCHES; i++) {
        (void)talk_ask(t, "{\"cmd\":\"fetch\",\"topic\":\"t\",\"partition\":1,\"offset\":10}");
    }
    weir_v1_session_output(t->session, 0);
    for (int i = 0; i < FETCHES; i++) {
        talk_complete(t, &t->port.ops[i], WEIR_OK, &found);
    }
    assert_int_equal(t->said_count, 1);
    talk_complete(t, &t->port.ops[WAITING], WEIR_OK, &none); /* adds next to nothing */
    assert_int_equal(t->said_count, 2);
    assert_false(weir_v1_session_idle(t->session));
    assert_int_equal(talk_say(t, "{\"cmd\":\"ping\"}"), WEIR_AGAIN);
    for (size_t i = 1; i < FETCHES; i++) {
        size_t from = t->port.count;
        (void)talk_said(t);
        weir_v1_session_turn(t->session);
        assert_int_equal(t->port.count, from);
        assert_true(weir_v1_session_output(t->session, 49));
        assert_int_equal(fetches_at(t, from, 10), 1);
        assert_int_equal(weir_v1_session_blocked(t->session), i + 1 < FETCHES);
        talk_complete(t, talk_last(t), WEIR_OK, &found);
        assert_has(talk_said(t), "a value");
    }
    weir_v1_session_output(t->session, 0);
    assert_true(weir_v1_session_idle(t->session));
    assert_has(talk_ask(t, "{\"cmd\":\"ping\"}"), "\"ok\":true");
    talk_free(t);
}

static void a_held_fetch_waits_for_room_in_the_port_and_ends_with_the_connection(void **state)
{
    static weir_chunk chunk;
    weir_run run = {&chunk, 0, 1};
    const weir_completion found = {.fetched = {&run, 1, 0, 30}};
    talk *t = talk_greeted();
    (void)state;
    fake_chunk_begin(&chunk, "t", 1);
    fake_chunk_add(&chunk, WEIR_BYTES_NULL, WEIR_TEXT("a value"), NULL, 0);
    fake_chunk_end(&chunk, 10);
    t->limits.output_bytes_max = 100;
    for (int i = 0; i < 4; i++) {
        (void)talk_ask(t, "{\"cmd\":\"fetch\",\"topic\":\"t\",\"partition\":1,\"offset\":10}");
    }
    for (int i = 0; i < 4; i++) {
        talk_complete(t, &t->port.ops[i], WEIR_OK, &found);
    }
    t->port.room = 0;
    weir_v1_session_turn(t->session);
    assert_false(weir_v1_session_wants_turn(t->session));
    assert_false(weir_v1_session_output(t->session, 0));
    assert_true(weir_v1_session_wants_turn(t->session));
    t->port.room = 1;
    assert_true(weir_v1_session_turn(t->session));
    assert_int_equal(fetches_at(t, 4, 10), 1);
    assert_false(weir_v1_session_wants_turn(t->session));
    (void)talk_said(t);
    t->port.room = -1;
    weir_v1_session_close(t->session);
    assert_false(weir_v1_session_idle(t->session)); /* the one in the port */
    talk_complete(t, &t->port.ops[4], WEIR_OK, &found);
    assert_true(weir_v1_session_idle(t->session));
    assert_string_equal(talk_said(t), "");
    talk_free(t);
}

static void records_of_one_publish_are_limited(void **state)
{
    static char text[40000];
    talk *t = talk_greeted();
    (void)state;
    for (int count = 10000; count <= 10001; count++) {
        char *at = text + sprintf(text, "{\"cmd\":\"publish\",\"records\":[7");
        for (int i = 1; i < count; i++) {
            at += sprintf(at, ",7");
        }
        (void)sprintf(at, "]}");
        assert_has(talk_ask(t, text), count == 10000 ? "\"failed\":10000" : "\"code\":\"limit\"");
        weir_v1_session_output(t->session, 0); /* that answer was long */
    }
    talk_free(t);
}

static void wrong_fetches_are_refused_by_field(void **state)
{
    static const char *const wrong[][2] = {
        {"\"offset\":0", "topic"},
        {"\"topic\":\"t\",\"offset\":-1", "offset"},
        {"\"topic\":\"t\",\"offset\":\"end\"", "offset"},
        {"\"topic\":\"t\",\"partition\":-1", "partition"},
        {"\"topic\":\"t\",\"partition\":4294967296", "partition"},
        {"\"topic\":\"t\",\"max_bytes\":0", "max_bytes"},
        {"\"topic\":\"t\",\"wait_ms\":60001", "wait_ms"},
        {"\"topic\":\"t\",\"wait_ms\":-1", "wait_ms"},
    };
    talk *t = talk_greeted();
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char command[200];
        snprintf(command, sizeof(command), "{\"cmd\":\"fetch\",%s}", wrong[i][0]);
        assert_refused(t, command, "invalid", wrong[i][1]);
    }
    talk_free(t);
}

static void fetches_max_fetches_wait_and_one_more_is_refused(void **state)
{
    talk *t = talk_greeted();
    (void)state;
    t->limits.fetches_max = 2;
    t->limits.in_flight_max = 1; /* waiting fetches do not stop the reading */
    assert_string_equal(talk_ask(t, "{\"cmd\":\"fetch\",\"topic\":\"t\"}"), "");
    assert_string_equal(talk_ask(t, "{\"cmd\":\"fetch\",\"topic\":\"t\"}"), "");
    assert_refused(t, "{\"cmd\":\"fetch\",\"topic\":\"t\"}", "limit", NULL);
    talk_complete(t, &t->port.ops[0], WEIR_OFFSET_OUT_OF_RANGE, NULL);
    assert_has(talk_said(t), "offset-out-of-range");
    assert_string_equal(talk_ask(t, "{\"cmd\":\"fetch\",\"topic\":\"t\"}"), "");
    talk_free(t);
}

/* ---- topic and query ---------------------------------------------------------------------------
 */

static void topic_commands_reach_the_port_and_are_answered(void **state)
{
    weir_partition_info partitions[2] = {{1, 5, 3}, {0, 0, 0}};
    weir_topic_info info = {.name = "t",
                            .id = 7,
                            .options = {.partitions = 2,
                                        .level = WEIR_LEVEL_OS,
                                        .nested = true,
                                        .partition_levels = 1,
                                        .cleanup = WEIR_CLEANUP_COMPACT,
                                        .retention_ms = -1,
                                        .min_compaction_lag_ms = 7,
                                        .retention_unsettled = WEIR_UNSETTLED_KEEP,
                                        .retention_unsettled_bytes = 9},
                            .held_bytes = 5,
                            .held_by = "g",
                            .partitions = partitions};
    const weir_completion one = {.topics = {.topics = &info, .count = 1}};
    talk *t = talk_greeted();
    (void)state;
    (void)talk_ask(
        t, "{\"cmd\":\"topic\",\"id\":1,\"action\":\"create\",\"topic\":\"t\",\"partitions\":2,"
           "\"durability\":\"os\",\"nested\":true,\"partition_levels\":1}");
    assert_int_equal(talk_last(t)->options.partitions, 2);
    assert_int_equal(talk_last(t)->options.level, WEIR_LEVEL_OS);
    assert_true(talk_last(t)->options.nested);
    assert_int_equal(talk_last(t)->options.partition_levels, 1);
    talk_complete(t, talk_last(t), WEIR_OK, &one);
    assert_has(talk_said(t), "{\"id\":1,\"ok\":true,\"topic\":{\"topic\":\"t\",\"partitions\":2,"
                             "\"durability\":\"os\",\"nested\":true,\"partition_levels\":1,"
                             "\"cleanup\":\"compact\",\"retention_ms\":-1,\"retention_bytes\":0,"
                             "\"segment_bytes\":0,\"segment_ms\":0,\"delete_retention_ms\":0,"
                             "\"min_compaction_lag_ms\":7,\"retention_unsettled\":\"keep\","
                             "\"retention_unsettled_bytes\":9,\"held_bytes\":5,"
                             "\"held_by\":\"g\",\"offsets\":"
                             "[{\"partition\":0,\"start\":1,\"end\":5},");
    (void)talk_ask(t, "{\"cmd\":\"topic\",\"action\":\"create\",\"topic\":\"t\"}");
    assert_int_equal(talk_last(t)->options.partitions, 1);
    assert_int_equal(talk_last(t)->options.level, WEIR_LEVEL_DEFAULT);
    talk_complete(t, talk_last(t), WEIR_EXISTS, NULL);
    assert_has(talk_said(t), "\"code\":\"exists\"");
    (void)talk_ask(
        t, "{\"cmd\":\"topic\",\"action\":\"alter\",\"topic\":\"t\",\"durability\":\"memory\"}");
    assert_int_equal(talk_last(t)->level, WEIR_LEVEL_MEMORY);
    (void)talk_ask(t, "{\"cmd\":\"topic\",\"action\":\"alter\",\"topic\":\"t\","
                      "\"partitions\":9,\"cleanup\":\"delete,compact\",\"retention_ms\":-1}");
    assert_int_equal(talk_last(t)->options.partitions, 9);
    assert_int_equal(talk_last(t)->options.cleanup, WEIR_CLEANUP_COMPACT_DELETE);
    assert_int_equal(talk_last(t)->options.retention_ms, WEIR_UNLIMITED);
    assert_int_equal(talk_last(t)->options.segment_ms, 0);
    (void)talk_ask(t, "{\"cmd\":\"topic\",\"action\":\"alter\",\"topic\":\"t\","
                      "\"retention_ms\":0,\"segment_bytes\":0,\"retention_bytes\":9}");
    assert_int_equal(talk_last(t)->options.retention_ms, 1); /* at once: 0 is the default */
    assert_int_equal(talk_last(t)->options.segment_bytes, 0);
    (void)talk_ask(t, "{\"cmd\":\"topic\",\"action\":\"trim\",\"topic\":\"t\","
                      "\"partition\":3,\"before\":17}");
    assert_int_equal(talk_last(t)->kind, FAKE_TRIM);
    assert_int_equal(talk_last(t)->partition, 3);
    assert_int_equal(talk_last(t)->time_ms, 17);
    (void)talk_ask(t, "{\"cmd\":\"topic\",\"action\":\"trim\",\"topic\":\"t\","
                      "\"before\":\"end\"}");
    assert_int_equal(talk_last(t)->time_ms, WEIR_UNLIMITED);
    (void)talk_ask(t, "{\"cmd\":\"topic\",\"action\":\"delete\",\"topic\":\"t\"}");
    assert_int_equal(talk_last(t)->kind, FAKE_DELETE);
    talk_complete(t, talk_last(t), WEIR_OK, NULL);
    assert_string_equal(talk_said(t), "{\"ok\":true}\n");
    (void)talk_ask(t, "{\"cmd\":\"topic\",\"action\":\"list\"}");
    assert_string_equal(talk_last(t)->topic, "(null)");
    talk_complete(t, talk_last(t), WEIR_OK, NULL);
    assert_string_equal(talk_said(t), "{\"ok\":true,\"topics\":[]}\n");
    (void)talk_ask(t, "{\"cmd\":\"topic\",\"action\":\"list\",\"topic\":\"t\"}");
    assert_string_equal(talk_last(t)->topic, "t");
    (void)talk_ask(t, "{\"cmd\":\"topic\",\"action\":\"offsets\",\"topic\":\"t\",\"time\":"
                      "\"1970-01-01T00:00:01Z\"}");
    assert_int_equal(talk_last(t)->offsets, WEIR_OFFSETS_TIME);
    assert_int_equal(talk_last(t)->time_ms, 1000);
    talk_complete(t, talk_last(t), WEIR_OK, &one);
    assert_string_equal(talk_said(t),
                        "{\"ok\":true,\"topic\":\"t\",\"offsets\":[{\"partition\":0,"
                        "\"start\":1,\"end\":5,\"found\":3},{\"partition\":1,\"start\":0,"
                        "\"end\":0,\"found\":0}]}\n");
    talk_free(t);
}

static void wrong_topic_commands_are_refused_by_field(void **state)
{
    static const char *const wrong[][3] = {
        {"\"topic\":\"t\"", "invalid", "action"},
        {"\"action\":\"rename\"", "invalid", "action"},
        {"\"action\":\"create\"", "invalid", "topic"},
        {"\"action\":\"delete\"", "invalid", "topic"},
        {"\"action\":\"offsets\"", "invalid", "topic"},
        {"\"action\":\"list\",\"topic\":7", "invalid", "topic"},
        {"\"action\":\"create\",\"topic\":\"t\",\"partitions\":0", "invalid", "partitions"},
        {"\"action\":\"create\",\"topic\":\"t\",\"partitions\":1025", "limit", "partitions"},
        {"\"action\":\"create\",\"topic\":\"t\",\"nested\":1", "invalid", "nested"},
        {"\"action\":\"create\",\"topic\":\"t\",\"partition_levels\":129", "invalid",
         "partition_levels"},
        {"\"action\":\"create\",\"topic\":\"t\",\"durability\":\"glue\"", "invalid", "durability"},
        {"\"action\":\"create\",\"topic\":\"t\",\"durability\":\"replicated\"", "not-offered",
         "durability"},
        {"\"action\":\"alter\",\"topic\":\"t\"", "invalid", "durability"},
        {"\"action\":\"alter\",\"topic\":\"t\",\"cleanup\":\"burn\"", "invalid", "cleanup"},
        {"\"action\":\"alter\",\"topic\":\"t\",\"segment_bytes\":-1", "invalid", "segment_bytes"},
        {"\"action\":\"trim\",\"topic\":\"t\"", "invalid", "before"},
        {"\"action\":\"trim\",\"topic\":\"t\",\"before\":-1", "invalid", "before"},
        {"\"action\":\"offsets\",\"topic\":\"t\",\"time\":\"noon\"", "invalid", "time"},
    };
    talk *t = talk_greeted();
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char command[200];
        snprintf(command, sizeof(command), "{\"cmd\":\"topic\",%s}", wrong[i][0]);
        assert_refused(t, command, wrong[i][1], wrong[i][2]);
    }
    assert_string_equal(
        talk_ask(t,
                 "{\"cmd\":\"topic\",\"action\":\"create\",\"topic\":\"t\",\"partitions\":1024}"),
        "");
    talk_free(t);
}

static void counters_of_two(weir_host *host, weir_host_counter_fn each, void *arg)
{
    (void)host;
    each(arg, "mqtt", "weir_refused_connections_total", 3);
    each(arg, "nng", "weir_refused_connections_total", 4);
}

static void query_stats_tells_the_counters_of_every_front_end(void **state)
{
    static const weir_host_ops ops = {.counters = counters_of_two};
    weir_host host = {.ops = &ops};
    (void)state;
    talk *t = talk_new_in(true, &host);
    (void)talk_ask(t, "{\"cmd\":\"hello\",\"version\":1}");
    assert_has(talk_ask(t, "{\"cmd\":\"query\",\"what\":\"stats\"}"),
               "\"weir_refused_connections_total{adapter=\\\"mqtt\\\"}\":3,"
               "\"weir_refused_connections_total{adapter=\\\"nng\\\"}\":4}");
    talk_free(t);
}

static void queries_tell_stats_limits_topics_and_health(void **state)
{
    talk *t = talk_greeted();
    (void)state;
    assert_has(talk_ask(t, "{\"cmd\":\"query\",\"what\":\"stats\"}"),
               "\"stats\":{\"weir_records_received_total\":0,");
    assert_has(talk_ask(t, "{\"cmd\":\"query\",\"what\":\"limits\"}"), "\"topic_alias_max\":64");
    t->port.health = WEIR_HEALTH_DISK_FULL;
    assert_string_equal(talk_ask(t, "{\"cmd\":\"query\",\"what\":\"health\"}"),
                        "{\"ok\":true,\"health\":\"disk-full\"}");
    assert_string_equal(talk_ask(t, "{\"cmd\":\"query\",\"what\":\"topics\"}"), "");
    assert_int_equal(talk_last(t)->kind, FAKE_TOPICS);
    assert_refused(t, "{\"cmd\":\"query\",\"what\":\"weather\"}", "invalid", "what");
    assert_refused(t, "{\"cmd\":\"query\"}", "invalid", "what");
    talk_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_hello_commands_are_refused_and_answered),
        cmocka_unit_test(hello_tells_what_the_gateway_is_and_allows),
        cmocka_unit_test(hello_agrees_on_the_version_or_refuses),
        cmocka_unit_test(unknown_commands_are_refused_and_unknown_fields_ignored),
        cmocka_unit_test(commands_of_transactions_are_not_offered),
        cmocka_unit_test(an_id_is_echoed_as_it_was_sent),
        cmocka_unit_test(malformed_text_is_answered_and_the_session_goes_on),
        cmocka_unit_test(a_publish_is_answered_with_where_and_how_safe),
        cmocka_unit_test(every_form_of_value_and_key_reaches_the_port),
        cmocka_unit_test(headers_and_envelope_fields_become_headers),
        cmocka_unit_test(wrong_publishes_are_refused_by_field),
        cmocka_unit_test(headers_max_headers_pass_and_one_more_is_refused),
        cmocka_unit_test(confirm_none_is_silent_unless_it_fails),
        cmocka_unit_test(what_the_port_refuses_is_told),
        cmocka_unit_test(a_partition_that_is_not_there_is_named),
        cmocka_unit_test(a_fetch_of_a_queue_says_what_to_do_instead),
        cmocka_unit_test(a_create_tells_whether_it_made_the_topic),
        cmocka_unit_test(many_records_have_one_answer_with_a_result_each),
        cmocka_unit_test(many_records_that_are_all_wrong_are_answered_at_once),
        cmocka_unit_test(a_full_port_parks_the_command_and_a_turn_brings_it_through),
        cmocka_unit_test(many_records_go_on_where_the_port_had_no_room),
        cmocka_unit_test(closing_with_a_half_submitted_batch_leaves_nothing),
        cmocka_unit_test(in_flight_max_is_reached_and_never_passed),
        cmocka_unit_test(a_fetch_gives_records_bounds_and_where_to_go_on),
        cmocka_unit_test(a_fetch_that_fails_tells_the_offsets_it_is_about),
        cmocka_unit_test(a_fetch_answer_stops_at_its_limit_and_says_where),
        cmocka_unit_test(fetches_that_wait_share_one_budget_of_bytes),
        cmocka_unit_test(fetches_add_one_answer_to_a_full_output),
        cmocka_unit_test(a_held_fetch_waits_for_room_in_the_port_and_ends_with_the_connection),
        cmocka_unit_test(records_of_one_publish_are_limited),
        cmocka_unit_test(wrong_fetches_are_refused_by_field),
        cmocka_unit_test(fetches_max_fetches_wait_and_one_more_is_refused),
        cmocka_unit_test(topic_commands_reach_the_port_and_are_answered),
        cmocka_unit_test(wrong_topic_commands_are_refused_by_field),
        cmocka_unit_test(queries_tell_stats_limits_topics_and_health),
        cmocka_unit_test(query_stats_tells_the_counters_of_every_front_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
