/* Subscriptions, deliveries, credit, notices and binary frames of the weir.v1 session. */
#include "tests/unit/proto_weir1/said.h"

static weir_chunk chunk;

/* A chunk of `count` records of topic t with key k. */
static void chunk_make(uint32_t count)
{
    fake_chunk_begin(&chunk, "t", 0);
    for (uint32_t i = 0; i < count; i++) {
        fake_chunk_add(&chunk, WEIR_TEXT("k"), WEIR_TEXT("v"), NULL, 0);
    }
    fake_chunk_end(&chunk, 0);
}

/* Subscribes, answers it, and turns. Returns the subscriber. */
static weir_subscriber *subscribe(talk *t, const char *members)
{
    char command[300];
    snprintf(command, sizeof(command), "{\"cmd\":\"subscribe\",\"filter\":\"t/#\"%s}", members);
    (void)talk_ask(t, command);
    weir_subscriber *subscriber = talk_last(t)->subscriber;
    talk_complete(t, talk_last(t), WEIR_OK, NULL);
    weir_v1_session_turn(t->session);
    (void)talk_said(t);
    return subscriber;
}

/* Records granted to the engine since operation `from`. */
static uint64_t granted(const talk *t, size_t from)
{
    uint64_t records = 0;
    for (size_t i = from; i < t->port.count; i++) {
        records += t->port.ops[i].kind == FAKE_CREDIT ? t->port.ops[i].records : 0;
    }
    return records;
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part)) {
        count++;
    }
    return count;
}

/* ---- subscribe ---------------------------------------------------------------------------------
 */

static void every_start_reaches_the_port(void **state)
{
    static const struct {
        const char *from;
        weir_start_kind start;
        int64_t value;
    } starts[] = {
        {"", WEIR_START_END, 0},
        {",\"from\":\"end\"", WEIR_START_END, 0},
        {",\"from\":\"beginning\"", WEIR_START_BEGINNING, 0},
        {",\"from\":\"last:25\"", WEIR_START_LAST, 25},
        {",\"from\":0", WEIR_START_OFFSET, 0},
        {",\"from\":9223372036854775807", WEIR_START_OFFSET, INT64_MAX},
        {",\"from\":{\"time\":1500}", WEIR_START_TIME, 1500},
        {",\"from\":{\"time\":\"1970-01-01T00:00:02Z\"}", WEIR_START_TIME, 2000},
        {",\"from\":[{\"topic\":\"t\",\"partition\":3,\"offset\":9}]", WEIR_START_POSITIONS, 0},
    };
    talk *t = talk_greeted();
    (void)state;
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        char command[200];
        snprintf(command, sizeof(command), "{\"cmd\":\"subscribe\",\"filter\":\"a/+\"%s}",
                 starts[i].from);
        assert_string_equal(talk_ask(t, command), "");
        assert_int_equal(talk_last(t)->kind, FAKE_SUBSCRIBE);
        assert_string_equal(talk_last(t)->name, "a/+");
        assert_int_equal(talk_last(t)->subscribe.start, starts[i].start);
        assert_int_equal(talk_last(t)->subscribe.value, starts[i].value);
    }
    assert_string_equal(talk_last(t)->topic, "t");
    assert_int_equal(talk_last(t)->position.partition, 3);
    assert_int_equal(talk_last(t)->position.offset, 9);
    (void)talk_ask(t, "{\"cmd\":\"subscribe\",\"topic\":\"a/b\",\"from\":0,\"retained\":true,"
                      "\"until_end\":true}");
    assert_string_equal(talk_last(t)->name, "a/b/#");
    assert_int_equal(talk_last(t)->subscribe.retained, WEIR_RETAINED_SEND);
    assert_true(talk_last(t)->subscribe.until_end);
    talk_free(t);
}

static void wrong_subscribes_are_refused_by_field(void **state)
{
    static const char *const wrong[][3] = {
        {"\"from\":0", "invalid", "filter"},
        {"\"filter\":\"a\",\"topic\":\"b\"", "invalid", "filter"},
        {"\"filter\":7", "invalid", "filter"},
        {"\"topic\":\"a/#\"", "name-invalid", "topic"},
        {"\"topic\":\"\"", "name-invalid", "topic"},
        {"\"filter\":\"a\",\"from\":\"middle\"", "invalid", "from"},
        {"\"filter\":\"a\",\"from\":\"last:\"", "invalid", "from"},
        {"\"filter\":\"a\",\"from\":\"last:0\"", "invalid", "from"},
        {"\"filter\":\"a\",\"from\":\"last:-1\"", "invalid", "from"},
        {"\"filter\":\"a\",\"from\":\"last:9999999999999999999\"", "invalid", "from"},
        {"\"filter\":\"a\",\"from\":-1", "invalid", "from"},
        {"\"filter\":\"a\",\"from\":9223372036854775808", "invalid", "from"},
        {"\"filter\":\"a\",\"from\":null", "invalid", "from"},
        {"\"filter\":\"a\",\"from\":{}", "invalid", "from"},
        {"\"filter\":\"a\",\"from\":{\"time\":\"noon\"}", "invalid", "from"},
        {"\"filter\":\"a\",\"from\":[]", "invalid", "from"},
        {"\"filter\":\"a\",\"from\":[{\"topic\":\"t\"}]", "invalid", "from"},
        {"\"filter\":\"a\",\"from\":[{\"offset\":1}]", "invalid", "topic"},
        {"\"filter\":\"a\",\"credit\":-1", "invalid", "credit"},
        {"\"filter\":\"a\",\"credit\":\"many\"", "invalid", "credit"},
        {"\"filter\":\"a\",\"slow\":\"burn\"", "invalid", "slow"},
        {"\"filter\":\"a\",\"retained\":1", "invalid", "retained"},
        {"\"filter\":\"a\",\"until_end\":true", "invalid", "until_end"},
    };
    talk *t = talk_greeted();
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char command[200];
        char want[100];
        snprintf(command, sizeof(command), "{\"cmd\":\"subscribe\",%s}", wrong[i][0]);
        const char *said = talk_ask(t, command);
        snprintf(want, sizeof(want), "{\"code\":\"%s\",\"field\":\"%s\"", wrong[i][1], wrong[i][2]);
        assert_has(said, want);
    }
    assert_int_equal(t->port.count, 0);
    talk_free(t);
}

static void subscriptions_max_are_held_and_one_more_is_refused(void **state)
{
    talk *t = talk_greeted();
    (void)state;
    t->limits.subscriptions_max = 2;
    (void)subscribe(t, "");
    (void)subscribe(t, "");
    assert_has(talk_ask(t, "{\"cmd\":\"subscribe\",\"filter\":\"a\"}"), "\"code\":\"limit\"");
    (void)talk_ask(t, "{\"cmd\":\"unsubscribe\",\"id\":1,\"subscription\":1}");
    talk_complete(t, talk_last(t), WEIR_OK, NULL);
    assert_string_equal(talk_said(t), "{\"id\":1,\"ok\":true}\n");
    assert_string_equal(talk_ask(t, "{\"cmd\":\"subscribe\",\"id\":2,\"filter\":\"a\"}"), "");
    talk_complete(t, talk_last(t), WEIR_OK, NULL);
    assert_string_equal(talk_said(t), "{\"id\":2,\"ok\":true,\"subscription\":3}\n");
    talk_free(t);
}

static void a_refused_filter_leaves_no_subscription(void **state)
{
    talk *t = talk_greeted();
    (void)state;
    (void)talk_ask(t, "{\"cmd\":\"subscribe\",\"filter\":\"#/a\"}");
    talk_complete(t, talk_last(t), WEIR_NAME_INVALID, NULL);
    assert_has(talk_said(t), "\"code\":\"name-invalid\",\"text\":\"This is no filter: ");
    assert_int_equal(talk_last(t)->kind, FAKE_CLOSE);
    talk_complete(t, talk_last(t), WEIR_OK, NULL);
    assert_has(talk_ask(t, "{\"cmd\":\"credit\",\"subscription\":1,\"records\":1}"), "not-found");
    talk_free(t);
}

/* ---- Deliveries --------------------------------------------------------------------------------
 */

static void records_are_gathered_until_the_turn_ends(void **state)
{
    talk *t = talk_greeted();
    weir_subscriber *subscriber = subscribe(t, "");
    (void)state;
    chunk_make(3);
    talk_deliver(t, subscriber, 0, &chunk, 0, 2);
    talk_deliver(t, subscriber, 0, &chunk, 2, 1);
    assert_string_equal(talk_said(t), "");
    weir_v1_session_turn(t->session);
    const char *said = talk_said(t);
    assert_int_equal(count_of(said, "\"type\":\"records\""), 1);
    assert_int_equal(count_of(said, "\"offset\":"), 3);
    assert_has(
        said,
        "{\"type\":\"records\",\"subscription\":1,\"records\":[{\"topic\":\"t\",\"partition\":"
        "0,\"offset\":0,\"name\":\"t/k\",\"key\":\"k\",\"time\":1700000000000,\"value\":"
        "\"v\"},");
    talk_free(t);
}

static void gathered_records_leave_before_a_later_reply(void **state)
{
    talk *t = talk_greeted();
    weir_subscriber *subscriber = subscribe(t, "");
    (void)state;
    chunk_make(1);
    talk_deliver(t, subscriber, 0, &chunk, 0, 1);
    const char *said = talk_ask(t, "{\"cmd\":\"ping\",\"id\":9}");
    assert_true(strstr(said, "records") < strstr(said, "\"id\":9"));
    talk_free(t);
}

static void values_that_are_no_text_go_as_base64(void **state)
{
    const weir_header headers[] = {
        {WEIR_TEXT("content-type"), WEIR_TEXT("text/plain")},
        {WEIR_TEXT("expiry"), WEIR_TEXT("60")},
        {WEIR_TEXT("expiry"), WEIR_TEXT("61")},
        {WEIR_TEXT("correlation"), WEIR_TEXT("\xff")},
        {WEIR_TEXT("traceparent"), WEIR_BYTES_NULL},
        {WEIR_TEXT("a"), WEIR_TEXT("b")},
    };
    talk *t = talk_greeted();
    weir_subscriber *subscriber = subscribe(t, "");
    (void)state;
    fake_chunk_begin(&chunk, "t", 2);
    fake_chunk_add(&chunk, WEIR_TEXT("\xff\x01"), WEIR_TEXT("a\0b"), headers, 6);
    fake_chunk_end(&chunk, 7);
    talk_deliver(t, subscriber, 0, &chunk, 0, 1);
    weir_v1_session_turn(t->session);
    assert_has(
        talk_said(t),
        "[{\"topic\":\"t\",\"partition\":2,\"offset\":7,\"name\":\"t/%FF%01\",\"name_encoded\":true,"
        "\"key_base64\":\"/wE=\",\"time\":1700000000000,\"base64\":\"YQBi\",\"content_type\":"
        "\"text/plain\",\"expiry\":60,\"headers\":[[\"expiry\",\"61\"],[\"correlation\",{\"base64\":"
        "\"/w==\"}],[\"traceparent\",null],[\"a\",\"b\"]]}]");
    talk_free(t);
}

static void live_and_retained_records_say_so(void **state)
{
    talk *t = talk_greeted();
    weir_subscriber *subscriber = subscribe(t, "");
    weir_completion completion = {.type = WEIR_COMPLETION_DELIVERY};
    (void)state;
    fake_chunk_begin(&chunk, "", 0);
    fake_chunk_add(&chunk, WEIR_TEXT("t/x"), WEIR_TEXT("v"), NULL, 0);
    fake_chunk_end(&chunk, 0);
    completion.delivery =
        (weir_delivery){.subscriber = subscriber, .chunk = &chunk, .count = 1, .retained = true};
    weir_v1_session_completion(t->session, &completion);
    weir_v1_session_turn(t->session);
    assert_has(talk_said(t),
               "[{\"live\":true,\"name\":\"t/x\",\"time\":1700000000000,\"value\":\"v\","
               "\"retained\":true}]");
    talk_free(t);
}

static void after_unsubscribe_nothing_more_is_sent(void **state)
{
    talk *t = talk_greeted();
    weir_subscriber *subscriber = subscribe(t, "");
    (void)state;
    chunk_make(1);
    (void)talk_ask(t, "{\"cmd\":\"unsubscribe\",\"subscription\":1}");
    talk_deliver(t, subscriber, 0, &chunk, 0, 1);
    weir_v1_session_turn(t->session);
    assert_string_equal(talk_said(t), "");
    assert_has(talk_ask(t, "{\"cmd\":\"unsubscribe\",\"subscription\":1}"), "not-found");
    assert_has(talk_ask(t, "{\"cmd\":\"unsubscribe\",\"subscription\":-1}"), "not-found");
    assert_has(talk_ask(t, "{\"cmd\":\"unsubscribe\"}"), "\"field\":\"subscription\"");
    talk_free(t);
}

static void notices_are_told(void **state)
{
    talk *t = talk_greeted();
    weir_subscriber *subscriber = subscribe(t, ",\"from\":0,\"until_end\":true");
    weir_completion completion = {.type = WEIR_COMPLETION_NOTICE};
    (void)state;
    completion.notice = (weir_notice){subscriber, WEIR_NOTICE_DROPPED, 7, 0, 0, 0};
    weir_v1_session_completion(t->session, &completion);
    completion.notice = (weir_notice){subscriber, WEIR_NOTICE_GAP, 0, 0, 3, 9};
    weir_v1_session_completion(t->session, &completion);
    completion.notice = (weir_notice){subscriber, WEIR_NOTICE_ENDED, 0, 0, 0, 0};
    weir_v1_session_completion(t->session, &completion);
    assert_string_equal(talk_said(t), "{\"type\":\"dropped\",\"subscription\":1,\"count\":7}\n"
                                      "{\"type\":\"gap\",\"subscription\":1,\"from\":3,\"to\":9}\n"
                                      "{\"type\":\"ended\",\"subscription\":1}\n");
    talk_free(t);
}

/* ---- Credit ------------------------------------------------------------------------------------
 */

static void the_engine_never_has_more_than_the_peer_granted(void **state)
{
    talk *t = talk_greeted();
    weir_subscriber *subscriber = subscribe(t, ",\"credit\":2");
    (void)state;
    chunk_make(8);
    assert_int_equal(granted(t, 0), 2);
    talk_deliver(t, subscriber, 0, &chunk, 0, 2);
    size_t from = t->port.count;
    weir_v1_session_turn(t->session);
    (void)talk_said(t);
    assert_int_equal(granted(t, from), 0);
    assert_string_equal(talk_ask(t, "{\"cmd\":\"credit\",\"subscription\":1,\"records\":3}"), "");
    assert_int_equal(granted(t, from), 3);
    talk_free(t);
}

static void credit_is_answered_only_when_it_has_an_id(void **state)
{
    talk *t = talk_greeted();
    (void)subscribe(t, ",\"credit\":0");
    (void)state;
    assert_int_equal(granted(t, 0), 0);
    assert_string_equal(talk_ask(t, "{\"cmd\":\"credit\",\"subscription\":1,\"records\":3}"), "");
    assert_int_equal(granted(t, 0), 3);
    assert_string_equal(
        talk_ask(t, "{\"cmd\":\"credit\",\"id\":1,\"subscription\":1,\"records\":0}"),
        "{\"id\":1,\"ok\":true}");
    assert_has(talk_ask(t, "{\"cmd\":\"credit\",\"subscription\":1,\"records\":-1}"),
               "\"field\":\"records\"");
    assert_has(talk_ask(t, "{\"cmd\":\"credit\",\"subscription\":1}"), "\"field\":\"records\"");
    assert_has(talk_ask(t, "{\"cmd\":\"credit\",\"subscription\":2,\"records\":1}"), "not-found");
    talk_free(t);
}

static void credit_beyond_any_number_stops_at_the_largest(void **state)
{
    static const char *const most[] = {"9223372036854775807", "9223372036854775808",
                                       "18446744073709551615", "1e300"};
    (void)state;
    for (size_t i = 0; i < sizeof(most) / sizeof(most[0]); i++) {
        char command[200];
        talk *t = talk_greeted();
        snprintf(command, sizeof(command), ",\"credit\":%s", most[i]);
        (void)subscribe(t, command);
        uint64_t window = granted(t, 0);
        assert_true(window > 0 && window <= 65536);
        for (int again = 0; again < 3; again++) {
            snprintf(command, sizeof(command),
                     "{\"cmd\":\"credit\",\"subscription\":1,\"records\":%s}", most[i]);
            assert_string_equal(talk_ask(t, command), "");
        }
        assert_int_equal(granted(t, 0), window);
        talk_free(t);
    }
}

static void full_output_pauses_credit_until_half_has_left(void **state)
{
    talk *t = talk_greeted();
    weir_subscriber *subscriber = subscribe(t, "");
    (void)state;
    chunk_make(8);
    uint64_t window = granted(t, 0);
    t->limits.output_bytes_max = 100;
    for (uint64_t sent = 0; sent < window; sent += 8) {
        talk_deliver(t, subscriber, 0, &chunk, 0, 8);
    }
    size_t from = t->port.count;
    weir_v1_session_turn(t->session);
    assert_int_equal(granted(t, from), 0);
    assert_int_equal(weir_v1_session_counters(t->session)->paused_output, 1);
    assert_int_equal(talk_say(t, "{\"cmd\":\"ping\"}"), WEIR_AGAIN); /* its reply would wait too */
    assert_false(weir_v1_session_output(t->session, 50));
    assert_int_equal(granted(t, from), 0);
    assert_true(weir_v1_session_output(t->session, 49));
    assert_false(weir_v1_session_blocked(t->session));
    assert_int_equal(granted(t, from), window);
    talk_free(t);
}

static void slow_drop_drops_what_has_no_credit_and_tells(void **state)
{
    talk *t = talk_greeted();
    weir_subscriber *subscriber = subscribe(t, ",\"credit\":1,\"slow\":\"drop\"");
    (void)state;
    chunk_make(5);
    talk_deliver(t, subscriber, 0, &chunk, 0, 4);
    weir_v1_session_turn(t->session);
    assert_int_equal(count_of(talk_said(t), "\"offset\":"), 1);
    assert_has(talk_ask(t, "{\"cmd\":\"credit\",\"subscription\":1,\"records\":1}"),
               "{\"type\":\"dropped\",\"subscription\":1,\"count\":3}");
    talk_deliver(t, subscriber, 0, &chunk, 4, 1);
    weir_v1_session_turn(t->session);
    assert_has(talk_said(t), "\"offset\":4");
    assert_int_equal(weir_v1_session_counters(t->session)->dropped, 3);
    talk_free(t);
}

/* ---- Frames ------------------------------------------------------------------------------------
 */

static weir_v1_frame ask_frame(talk *t, const weir_v1_frame *frame)
{
    weir_buffer wire = {0};
    weir_v1_frame answer = {0};
    t->frames.len = 0;
    assert_int_equal(weir_v1_frame_encode(frame, &wire), WEIR_OK);
    assert_int_equal(weir_v1_session_message(t->session, weir_buffer_bytes(&wire), 0), WEIR_OK);
    weir_buffer_fini(&wire);
    if (t->frames.len > 0) {
        assert_int_equal(weir_v1_frame_decode(weir_buffer_bytes(&t->frames), &answer), WEIR_OK);
    }
    return answer;
}

static void a_produce_frame_reaches_the_port_as_it_came(void **state)
{
    const weir_v1_frame frame = {.type = WEIR_V1_FRAME_PRODUCE,
                                 .topic = WEIR_TEXT("t"),
                                 .partition = 3,
                                 .request = UINT64_MAX,
                                 .batches = WEIR_TEXT("batch")};
    const weir_completion where = {.published = {WEIR_LEVEL_DISK, false, 3, 41, 9, false}};
    talk *t = talk_greeted();
    (void)state;
    assert_int_equal(ask_frame(t, &frame).type, 0);
    assert_string_equal(talk_last(t)->topic, "t");
    assert_int_equal(talk_last(t)->partition, 3);
    assert_string_equal(talk_last(t)->value, "batch");
    talk_complete(t, talk_last(t), WEIR_OK, &where);
    weir_v1_frame answer;
    assert_int_equal(weir_v1_frame_decode(weir_buffer_bytes(&t->frames), &answer), WEIR_OK);
    assert_int_equal(answer.type, WEIR_V1_FRAME_PRODUCED);
    assert_true(answer.request == UINT64_MAX);
    assert_int_equal(answer.offset, 41);
    assert_int_equal(answer.level, WEIR_LEVEL_DISK);
    t->port.err = WEIR_DAMAGED;
    answer = ask_frame(t, &frame);
    assert_int_equal(answer.type, WEIR_V1_FRAME_ERROR);
    assert_true(weir_bytes_equal(answer.code, WEIR_TEXT("damaged")));
    talk_free(t);
}

static void a_parked_frame_is_submitted_once(void **state)
{
    const weir_v1_frame frame = {.type = WEIR_V1_FRAME_PRODUCE,
                                 .topic = WEIR_TEXT("t"),
                                 .request = 5,
                                 .batches = WEIR_TEXT("batch")};
    talk *t = talk_greeted();
    (void)state;
    t->port.room = 0;
    assert_int_equal(ask_frame(t, &frame).type, 0);
    assert_true(weir_v1_session_blocked(t->session));
    weir_v1_session_turn(t->session);
    t->port.room = -1;
    assert_true(weir_v1_session_turn(t->session));
    assert_int_equal(t->port.count, 1);
    assert_string_equal(talk_last(t)->value, "batch");
    talk_free(t);
}

static void a_fetch_frame_gives_stored_batches_as_they_are(void **state)
{
    const weir_v1_frame frame = {.type = WEIR_V1_FRAME_FETCH,
                                 .topic = WEIR_TEXT("t"),
                                 .request = 5,
                                 .offset = 1,
                                 .bytes_max = UINT32_MAX,
                                 .wait_ms = 60000};
    weir_run runs[2] = {{&chunk, 1, 1}, {&chunk, 0, 2}};
    const weir_completion found = {.fetched = {runs, 2, 0, 4}};
    talk *t = talk_greeted();
    (void)state;
    chunk_make(2);
    assert_int_equal(ask_frame(t, &frame).type, 0);
    assert_int_equal(talk_last(t)->fetch.bytes_max, t->limits.fetch_bytes_max);
    talk_complete(t, talk_last(t), WEIR_OK, &found);
    weir_v1_frame answer;
    assert_int_equal(weir_v1_frame_decode(weir_buffer_bytes(&t->frames), &answer), WEIR_OK);
    assert_int_equal(answer.type, WEIR_V1_FRAME_FETCHED);
    assert_int_equal(answer.end_offset, 4);
    assert_int_equal(answer.batches.len, 2 * chunk.batch.len);
    assert_memory_equal(answer.batches.ptr + chunk.batch.len, chunk.batch.ptr, chunk.batch.len);
    talk_free(t);
}

static void wrong_frames_are_answered_with_their_request(void **state)
{
    static const struct {
        weir_v1_frame frame;
        const char *code;
    } wrong[] = {
        {{.type = WEIR_V1_FRAME_PRODUCE, .request = 8}, "invalid"},
        {{.type = WEIR_V1_FRAME_FETCH, .request = 8, .offset = -1, .bytes_max = 1}, "invalid"},
        {{.type = WEIR_V1_FRAME_FETCH, .request = 8, .bytes_max = 0}, "invalid"},
        {{.type = WEIR_V1_FRAME_FETCH, .request = 8, .bytes_max = 1, .wait_ms = 60001}, "invalid"},
        {{.type = WEIR_V1_FRAME_PRODUCED, .request = 8}, "unsupported"},
    };
    talk *t = talk_greeted();
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        weir_v1_frame answer = ask_frame(t, &wrong[i].frame);
        assert_int_equal(answer.type, WEIR_V1_FRAME_ERROR);
        assert_int_equal(answer.request, 8);
        assert_true(weir_bytes_equal(answer.code, weir_bytes_of(wrong[i].code)));
        assert_true(answer.text.len > 0);
    }
    assert_int_equal(t->port.count, 0);
    talk_free(t);
}

static void frames_before_hello_and_beyond_fetches_max_are_refused(void **state)
{
    const weir_v1_frame fetch = {
        .type = WEIR_V1_FRAME_FETCH, .topic = WEIR_TEXT("t"), .request = 5, .bytes_max = 1};
    talk *t = talk_new(true);
    (void)state;
    assert_true(weir_bytes_equal(ask_frame(t, &fetch).code, WEIR_TEXT("protocol")));
    (void)talk_ask(t, TALK_HELLO);
    t->limits.fetches_max = 1;
    assert_int_equal(ask_frame(t, &fetch).type, 0);
    assert_true(weir_bytes_equal(ask_frame(t, &fetch).code, WEIR_TEXT("limit")));
    talk_free(t);
}

/* A message transport hands over frames that were cut; each cut is answered, none is read past. */
static void a_frame_message_cut_anywhere_is_malformed(void **state)
{
    const weir_v1_frame frame = {
        .type = WEIR_V1_FRAME_FETCH, .topic = WEIR_TEXT("topic"), .request = 5, .bytes_max = 1};
    weir_buffer wire = {0};
    talk *t = talk_greeted();
    (void)state;
    assert_int_equal(weir_v1_frame_encode(&frame, &wire), WEIR_OK);
    for (size_t cut = 0; cut < wire.len; cut++) {
        uint8_t *copy = malloc(cut + 1);
        weir_v1_frame answer;
        memcpy(copy, wire.ptr, cut);
        t->frames.len = 0;
        assert_int_equal(weir_v1_session_message(t->session, (weir_bytes){copy, cut}, 0), WEIR_OK);
        free(copy);
        assert_int_equal(weir_v1_frame_decode(weir_buffer_bytes(&t->frames), &answer), WEIR_OK);
        assert_true(weir_bytes_equal(answer.code, WEIR_TEXT("malformed")));
    }
    assert_int_equal(t->port.count, 0);
    weir_buffer_fini(&wire);
    talk_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_start_reaches_the_port),
        cmocka_unit_test(wrong_subscribes_are_refused_by_field),
        cmocka_unit_test(subscriptions_max_are_held_and_one_more_is_refused),
        cmocka_unit_test(a_refused_filter_leaves_no_subscription),
        cmocka_unit_test(records_are_gathered_until_the_turn_ends),
        cmocka_unit_test(gathered_records_leave_before_a_later_reply),
        cmocka_unit_test(values_that_are_no_text_go_as_base64),
        cmocka_unit_test(live_and_retained_records_say_so),
        cmocka_unit_test(after_unsubscribe_nothing_more_is_sent),
        cmocka_unit_test(notices_are_told),
        cmocka_unit_test(the_engine_never_has_more_than_the_peer_granted),
        cmocka_unit_test(credit_is_answered_only_when_it_has_an_id),
        cmocka_unit_test(credit_beyond_any_number_stops_at_the_largest),
        cmocka_unit_test(full_output_pauses_credit_until_half_has_left),
        cmocka_unit_test(slow_drop_drops_what_has_no_credit_and_tells),
        cmocka_unit_test(a_produce_frame_reaches_the_port_as_it_came),
        cmocka_unit_test(a_parked_frame_is_submitted_once),
        cmocka_unit_test(a_fetch_frame_gives_stored_batches_as_they_are),
        cmocka_unit_test(wrong_frames_are_answered_with_their_request),
        cmocka_unit_test(frames_before_hello_and_beyond_fetches_max_are_refused),
        cmocka_unit_test(a_frame_message_cut_anywhere_is_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
