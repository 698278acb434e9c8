/* The client against a gateway that is a script: scripted.h. */
#include "tests/unit/client/scripted.h"

#include "core/batch/batch.h"

/* ---- Opening -----------------------------------------------------------------------------------
 */

static void open_says_hello_and_learns_the_limits(void **state)
{
    const step steps[] = {
        {"{\"cmd\":\"hello\",\"id\":1,\"version\":1,\"client\":\"test\"}", HELLO_ANSWER},
        {"\"cmd\":\"goodbye\"", "{\"id\":2,\"ok\":true}\n"},
        THE_END};
    gateway *g = NULL;
    (void)state;
    weir_client *client = meet(steps, NULL, &g);
    assert_string_equal(weir_client_server(client), "weir test");
    assert_int_equal(weir_client_limits(client)->in_flight_max, 7);
    assert_int_equal(weir_client_limits(client)->topics_max, 0);
    assert_true(weir_client_fd(client) >= 0);
    part(client, g);
}

static void a_refused_hello_is_told_with_its_reason(void **state)
{
    const step steps[] = {
        {"hello", "{\"error\":{\"code\":\"limit\",\"text\":\"Too many connections.\"}}\n"},
        THE_END};
    weir_client *client = NULL;
    weir_fault fault = {0};
    (void)state;
    gateway *g = gateway_start(steps, NULL);
    assert_int_equal(connect_to(g, &client, &fault), WEIR_LIMIT);
    assert_string_equal(fault.text, "Too many connections.");
    assert_null(client);
    gateway_stop(g);
}

static void a_gateway_that_is_not_there_is_not_found(void **state)
{
    weir_client *client = NULL;
    weir_fault fault = {0};
    char long_path[300];
    (void)state;
    assert_int_equal(weir_client_open("unix:/nonexistent/weir.sock", NULL, &client, &fault),
                     WEIR_NOT_FOUND);
    assert_non_null(strstr(fault.text, "weir serve"));
    assert_int_equal(weir_client_open("./nonexistent.sock", NULL, &client, NULL), WEIR_NOT_FOUND);
    assert_int_equal(weir_client_open("gopher://x", NULL, &client, &fault), WEIR_INVALID);
    assert_int_equal(weir_client_open("fd:x", NULL, &client, &fault), WEIR_INVALID);
    memset(long_path, '/', sizeof(long_path) - 1);
    long_path[sizeof(long_path) - 1] = 0;
    assert_int_equal(weir_client_open(long_path, NULL, &client, &fault), WEIR_INVALID);
    weir_client_close(NULL);
}

/* ---- Publishing --------------------------------------------------------------------------------
 */

static void a_publish_tells_where_the_record_is(void **state)
{
    const step steps[] = {
        HELLO,
        {"{\"cmd\":\"publish\",\"id\":2,\"name\":\"a/b\",\"value\":\"x\",\"headers\":[[\"h\",\"1\"],[\"h\",null],"
         "[\"b\",{\"base64\":\"/w==\"}]],\"retain\":true}",
         "{\"id\":2,\"ok\":true,\"level\":\"disk\",\"partition\":3,\"offset\":9,\"time\":5}\n"},
        {"{\"cmd\":\"publish\",\"id\":3,\"topic\":\"t\",\"key_base64\":\"/w==\",\"base64\":\"AA==\"}",
         "{\"id\":3,\"ok\":true,\"level\":\"memory\",\"live\":true}\n"},
        {"\"id\":4,\"topic\":\"t\",\"value\":null}",
         "{\"id\":4,\"error\":{\"code\":\"not-found\",\"field\":\"topic\",\"text\":\"Declare it.\"}}\n"},
        THE_END};
    const weir_header headers[] = {{WEIR_TEXT("h"), WEIR_TEXT("1")},
                                   {WEIR_TEXT("h"), WEIR_BYTES_NULL},
                                   {WEIR_TEXT("b"), WEIR_TEXT("\xff")}};
    weir_publish record = {.name = WEIR_TEXT("a/b"),
                           .value = WEIR_TEXT("x"),
                           .headers = headers,
                           .header_count = 3,
                           .attributes = WEIR_RECORD_RETAIN};
    weir_published published = {0};
    gateway *g = NULL;
    (void)state;
    weir_client *client = meet(steps, NULL, &g);
    assert_int_equal(weir_client_publish(client, &record, &published), WEIR_OK);
    assert_int_equal(published.level, WEIR_LEVEL_DISK);
    assert_int_equal(published.partition, 3);
    assert_int_equal(published.offset, 9);
    assert_int_equal(published.timestamp_ms, 5);
    record =
        (weir_publish){.topic = WEIR_TEXT("t"), .key = WEIR_TEXT("\xff"), .value = WEIR_BYTES("")};
    assert_int_equal(weir_client_publish(client, &record, &published), WEIR_OK);
    assert_true(published.live);
    record = (weir_publish){.topic = WEIR_TEXT("t")};
    assert_int_equal(weir_client_publish(client, &record, &published), WEIR_NOT_FOUND);
    assert_string_equal(weir_client_error(client), "Declare it.");
    assert_string_equal(weir_client_error_field(client), "topic");
    record = (weir_publish){.name = WEIR_TEXT("\xff")};
    assert_int_equal(weir_client_publish(client, &record, NULL), WEIR_NAME_INVALID);
    part(client, g);
}

static void an_unconfirmed_publish_does_not_wait(void **state)
{
    const step steps[] = {HELLO, {"\"value\":\"x\",\"confirm\":\"none\"}", NULL}, THE_END};
    const weir_publish record = {
        .name = WEIR_TEXT("a"), .value = WEIR_TEXT("x"), .no_confirm = true};
    gateway *g = NULL;
    (void)state;
    weir_client *client = meet(steps, NULL, &g);
    assert_int_equal(weir_client_publish(client, &record, NULL), WEIR_OK);
    part(client, g);
}

typedef struct told {
    uint64_t count;
    uint64_t token_sum;
    uint64_t failed;
    int64_t last_offset;
} told;

static void tell(void *arg, const weir_client_result *result)
{
    told *t = arg;
    t->count++;
    t->token_sum += result->token;
    t->failed += result->err != WEIR_OK;
    t->last_offset = result->published.offset;
}

static void sent_records_go_in_one_message_and_each_has_a_result(void **state)
{
    const step steps[] = {
        HELLO,
        {"{\"cmd\":\"publish\",\"id\":2,\"records\":[{\"name\":\"a\",\"value\":\"0\"},{\"name\":\"a\",\"value\":"
         "\"1\"},{\"name\":\"a\",\"value\":\"2\"}]}",
         "{\"id\":2,\"ok\":false,\"failed\":1,\"results\":[{\"level\":\"os\",\"partition\":0,\"offset\":1},"
         "{\"error\":{\"code\":\"too-large\",\"text\":\"Smaller.\"}},{\"level\":\"os\",\"offset\":2}]}\n"},
        THE_END};
    told results = {0};
    gateway *g = NULL;
    (void)state;
    weir_client *client = meet(steps, NULL, &g);
    weir_client_on_result(client, tell, &results);
    for (uint64_t i = 0; i < 3; i++) {
        char digit[2] = {(char)('0' + i), 0};
        const weir_publish record = {.name = WEIR_TEXT("a"), .value = weir_bytes_of(digit)};
        assert_int_equal(weir_client_send(client, &record, 100 + i), WEIR_OK);
    }
    assert_int_equal(results.count, 0);
    assert_int_equal(weir_client_flush(client), WEIR_TOO_LARGE);
    assert_string_equal(weir_client_error(client), "Smaller.");
    assert_int_equal(results.count, 3);
    assert_int_equal(results.token_sum, 303);
    assert_int_equal(results.failed, 1);
    assert_int_equal(results.last_offset, 2);
    assert_int_equal(weir_client_flush(client), WEIR_OK); /* told once */
    part(client, g);
}

/* Answers every batch with as many results as it has records. */
static void answer_batches(gateway *g)
{
    static char answer[LINE_MAX_BYTES];
    while (read_line(g)) {
        unsigned long long id = 0;
        if (strstr(g->line, "goodbye") != NULL) {
            return;
        }
        if (sscanf(g->line, "{\"cmd\":\"publish\",\"id\":%llu", &id) != 1) {
            snprintf(g->problem, sizeof(g->problem), "no batch: %.200s", g->line);
            return;
        }
        int len = sprintf(answer, "{\"id\":%llu,\"ok\":true,\"results\":[", id);
        const char *between = "";
        for (const char *at = g->line; (at = strstr(at, "{\"name\"")) != NULL; at++) {
            len += sprintf(answer + len, "%s{\"level\":\"os\",\"offset\":1}", between);
            between = ",";
        }
        len += sprintf(answer + len, "]}\n");
        say(g, answer, (size_t)len);
    }
}

static void answer_short_batches(gateway *g)
{
    answer_batches(g);
    if (g->longest > 300) {
        snprintf(g->problem, sizeof(g->problem), "a message of %zu bytes", g->longest);
    }
}

static void many_sent_records_are_all_answered(void **state)
{
    enum { RECORDS = 50000 };
    const step steps[] = {HELLO, THE_END};
    const weir_publish record = {.name = WEIR_TEXT("a/b/c"), .value = WEIR_TEXT("some value")};
    told results = {0};
    gateway *g = NULL;
    (void)state;
    weir_client *client = meet(steps, answer_batches, &g);
    weir_client_on_result(client, tell, &results);
    for (uint64_t i = 0; i < RECORDS; i++) {
        assert_int_equal(weir_client_send(client, &record, i), WEIR_OK);
    }
    assert_int_equal(weir_client_flush(client), WEIR_OK);
    assert_int_equal(results.count, RECORDS);
    assert_int_equal(results.token_sum, (uint64_t)RECORDS * (RECORDS - 1) / 2);
    part(client, g);
}

static void a_broken_connection_answers_every_sent_record(void **state)
{
    const step steps[] = {HELLO, {"\"records\"", NULL}, THE_END};
    const weir_publish record = {.name = WEIR_TEXT("a"), .value = WEIR_TEXT("x")};
    told results = {0};
    gateway *g = NULL;
    (void)state;
    weir_client *client = meet(steps, NULL, &g);
    weir_client_on_result(client, tell, &results);
    assert_int_equal(weir_client_send(client, &record, 1), WEIR_OK);
    assert_int_equal(weir_client_send(client, &record, 2), WEIR_OK);
    assert_int_equal(weir_client_flush(client), WEIR_CLOSED);
    assert_int_equal(results.count, 2);
    assert_int_equal(results.failed, 2);
    assert_int_equal(weir_client_publish(client, &record, NULL), WEIR_CLOSED);
    part(client, g);
}

/* The gateway writes more than a socket holds before it reads: a client that only writes would wait
 * for ever. */
static void push_before_reading(gateway *g)
{
    static const char push[] = "{\"type\":\"dropped\",\"subscription\":1,\"count\":1}\n";
    for (int i = 0; i < 40000; i++) {
        say(g, push, sizeof(push) - 1);
    }
    answer_batches(g);
}

static void two_full_pipes_do_not_wait_for_each_other(void **state)
{
    const step steps[] = {HELLO, THE_END};
    static char value[60000];
    const weir_publish record = {.name = WEIR_TEXT("a"),
                                 .value = {(const uint8_t *)value, sizeof(value)}};
    gateway *g = NULL;
    (void)state;
    memset(value, 'v', sizeof(value));
    weir_client *client = meet(steps, push_before_reading, &g);
    for (uint64_t i = 0; i < 20; i++) {
        assert_int_equal(weir_client_send(client, &record, i), WEIR_OK);
    }
    assert_int_equal(weir_client_flush(client), WEIR_OK);
    for (int i = 0; i < 40000; i++) {
        weir_client_event event;
        assert_int_equal(weir_client_next(client, DEADLINE_MS, &event), WEIR_OK);
        assert_int_equal(event.kind, WEIR_CLIENT_DROPPED);
    }
    part(client, g);
}

/* ---- Reading -----------------------------------------------------------------------------------
 */

static void subscriptions_give_events_in_their_order(void **state)
{
    const step steps[] = {
        HELLO,
        {"{\"cmd\":\"subscribe\",\"id\":2,\"filter\":\"a/#\",\"from\":\"last:5\",\"credit\":9,\"retained\":true,"
         "\"until_end\":true,\"slow\":\"drop\"}",
         "{\"type\":\"gap\",\"subscription\":1,\"from\":3,\"to\":5}\n{\"id\":2,\"ok\":true,\"subscription\":1}\n"
         "{\"type\":\"records\",\"subscription\":1,\"records\":[{\"topic\":\"a\",\"partition\":2,\"offset\":7,"
         "\"name\":\"a/k\",\"key\":\"k\",\"time\":9,\"value\":\"v\",\"expiry\":60,\"headers\":[[\"weir-hop\",\"1\"]]},"
         "{\"live\":true,\"name\":\"x\",\"time\":9,\"base64\":\"AAE=\",\"retained\":true},"
         "{\"topic\":\"a\",\"offset\":8,\"name\":\"a\",\"value\":null}]}\n"
         "{\"type\":\"news\"}\n{\"type\":\"ended\",\"subscription\":1}\n{\"type\":\"drain\"}\n"},
        {"{\"cmd\":\"credit\",\"subscription\":1,\"records\":5}", NULL},
        {"{\"cmd\":\"unsubscribe\",\"id\":3,\"subscription\":1}", "{\"id\":3,\"ok\":true}\n"},
        THE_END};
    const weir_client_subscribe request = {.filter = WEIR_TEXT("a/#"),
                                           .start = WEIR_START_LAST,
                                           .value = 5,
                                           .credit = 9,
                                           .retained = true,
                                           .until_end = true,
                                           .drop_when_slow = true};
    weir_client_event event;
    uint64_t subscription = 0;
    gateway *g = NULL;
    (void)state;
    weir_client *client = meet(steps, NULL, &g);
    assert_int_equal(weir_client_subscribe_open(client, &request, &subscription), WEIR_OK);
    assert_int_equal(subscription, 1);
    assert_int_equal(weir_client_next(client, DEADLINE_MS, &event), WEIR_OK);
    assert_int_equal(event.kind, WEIR_CLIENT_GAP);
    assert_int_equal(event.from, 3);
    assert_int_equal(event.to, 5);
    assert_int_equal(weir_client_next(client, DEADLINE_MS, &event), WEIR_OK);
    assert_int_equal(event.kind, WEIR_CLIENT_RECORD);
    assert_int_equal(event.record.partition, 2);
    assert_int_equal(event.record.offset, 7);
    assert_true(weir_bytes_equal(event.record.name, WEIR_TEXT("a/k")));
    assert_true(weir_bytes_equal(event.record.value, WEIR_TEXT("v")));
    assert_int_equal(event.record.header_count, 2);
    assert_true(weir_bytes_equal(event.record.headers[0].name, WEIR_TEXT("expiry")));
    assert_true(weir_bytes_equal(event.record.headers[1].name, WEIR_TEXT("weir-hop")));
    assert_int_equal(weir_client_next(client, DEADLINE_MS, &event), WEIR_OK);
    assert_true(event.record.live && event.record.retained);
    assert_null(event.record.topic.ptr);
    assert_true(weir_bytes_equal(event.record.value, WEIR_TEXT("\0\x01")));
    assert_int_equal(weir_client_next(client, DEADLINE_MS, &event), WEIR_OK);
    assert_null(event.record.value.ptr);
    assert_int_equal(weir_client_next(client, DEADLINE_MS, &event), WEIR_OK);
    assert_int_equal(event.kind, WEIR_CLIENT_ENDED);
    assert_int_equal(weir_client_next(client, DEADLINE_MS, &event), WEIR_OK);
    assert_int_equal(event.kind, WEIR_CLIENT_DRAIN);
    assert_true(weir_client_draining(client));
    assert_int_equal(weir_client_next(client, 0, &event), WEIR_TIMEOUT);
    assert_int_equal(weir_client_credit(client, 1, 5), WEIR_OK);
    assert_int_equal(weir_client_unsubscribe(client, 1), WEIR_OK);
    part(client, g);
}

static void next_ends_with_the_connection(void **state)
{
    const step steps[] = {
        HELLO, {NULL, "{\"type\":\"ended\",\"subscription\":1}\n{\"half a line"}, THE_END};
    weir_client_event event;
    gateway *g = NULL;
    (void)state;
    weir_client *client = meet(steps, NULL, &g);
    assert_int_equal(weir_client_next(client, DEADLINE_MS, &event), WEIR_OK);
    assert_int_equal(weir_client_next(client, -1, &event), WEIR_CLOSED);
    assert_int_equal(weir_client_next(client, -1, &event), WEIR_CLOSED);
    part(client, g);
}

static void what_is_no_json_ends_the_client(void **state)
{
    const step steps[] = {
        HELLO, {NULL, "{oops\n{\"type\":\"ended\",\"subscription\":1}\n"}, THE_END};
    weir_client_event event;
    gateway *g = NULL;
    (void)state;
    weir_client *client = meet(steps, NULL, &g);
    assert_int_equal(weir_client_next(client, DEADLINE_MS, &event), WEIR_MALFORMED);
    assert_int_equal(weir_client_next(client, DEADLINE_MS, &event), WEIR_CLOSED);
    part(client, g);
}

static void a_fetch_gives_its_records_by_index(void **state)
{
    const step steps[] = {
        HELLO,
        {"{\"cmd\":\"fetch\",\"id\":2,\"topic\":\"t\",\"partition\":1,\"offset\":5,\"max_bytes\":100,"
         "\"wait_ms\":10}",
         "{\"id\":2,\"ok\":true,\"start\":2,\"end\":9,\"records\":[{\"topic\":\"t\",\"offset\":5,\"name\":\"t\","
         "\"value\":\"v\"}],\"next\":6}\n"},
        {"\"offset\":99",
         "{\"id\":3,\"error\":{\"code\":\"offset-out-of-range\",\"text\":\"No.\"}}\n"},
        THE_END};
    weir_fetch fetch = {
        .topic = WEIR_TEXT("t"), .partition = 1, .offset = 5, .bytes_max = 100, .wait_ms = 10};
    weir_client_fetched fetched;
    weir_client_record record;
    gateway *g = NULL;
    (void)state;
    weir_client *client = meet(steps, NULL, &g);
    assert_int_equal(weir_client_fetch(client, &fetch, &fetched), WEIR_OK);
    assert_int_equal(fetched.start_offset, 2);
    assert_int_equal(fetched.end_offset, 9);
    assert_int_equal(fetched.next_offset, 6);
    assert_int_equal(fetched.record_count, 1);
    assert_int_equal(weir_client_fetch_record(client, 0, &record), WEIR_OK);
    assert_int_equal(record.offset, 5);
    assert_int_equal(weir_client_fetch_record(client, 1, &record), WEIR_INVALID);
    fetch.offset = 99;
    assert_int_equal(weir_client_fetch(client, &fetch, &fetched), WEIR_OFFSET_OUT_OF_RANGE);
    part(client, g);
}

/* ---- Topics, queries, frames -------------------------------------------------------------------
 */

static void topics_are_declared_listed_and_measured(void **state)
{
    const step steps[] = {
        HELLO,
        {"{\"cmd\":\"topic\",\"id\":2,\"action\":\"create\",\"topic\":\"t\",\"partitions\":2,\"durability\":\"os\","
         "\"nested\":true,\"partition_levels\":1}",
         "{\"id\":2,\"ok\":true,\"topic\":{}}\n"},
        {"{\"cmd\":\"topic\",\"id\":3,\"action\":\"alter\",\"topic\":\"t\",\"durability\":\"disk\"}",
         "{\"id\":3,\"ok\":true}\n"},
        {"{\"cmd\":\"topic\",\"id\":4,\"action\":\"list\"}",
         "{\"id\":4,\"ok\":true,\"topics\":[{\"topic\":\"t\",\"partitions\":2,\"durability\":\"os\",\"nested\":true,"
         "\"partition_levels\":1,\"offsets\":[{\"partition\":0,\"start\":1,\"end\":4},{\"partition\":1}]},"
         "{\"topic\":\"u\"}]}\n"},
        {"\"action\":\"offsets\",\"topic\":\"t\",\"time\":77}",
         "{\"id\":5,\"ok\":true,\"topic\":\"t\",\"offsets\":[{\"partition\":0,\"start\":1,\"end\":4,\"found\":3}]}\n"},
        {"\"action\":\"list\",\"topic\":\"x\"}",
         "{\"id\":6,\"ok\":true,\"topics\":[{\"topic\":7}]}\n"},
        {"\"action\":\"delete\",\"topic\":\"t\"}", "{\"id\":7,\"ok\":true}\n"},
        {"{\"cmd\":\"query\",\"id\":8,\"what\":\"health\"}",
         "{\"id\":8, \"ok\":true, \"health\":\"ok\"}\n"},
        THE_END};
    const weir_topic_options options = {
        .partitions = 2, .level = WEIR_LEVEL_OS, .nested = true, .partition_levels = 1};
    weir_client_topics topics = {0};
    weir_bytes json;
    gateway *g = NULL;
    (void)state;
    weir_client *client = meet(steps, NULL, &g);
    assert_int_equal(weir_client_topic_create(client, WEIR_TEXT("t"), &options), WEIR_OK);
    assert_int_equal(weir_client_topic_alter(client, WEIR_TEXT("t"), WEIR_LEVEL_DISK), WEIR_OK);
    assert_int_equal(weir_client_topic_list(client, WEIR_BYTES_NULL, &topics), WEIR_OK);
    assert_int_equal(topics.count, 2);
    assert_string_equal(topics.topics[0].name, "t");
    assert_int_equal(topics.topics[0].options.level, WEIR_LEVEL_OS);
    assert_int_equal(topics.topics[0].options.partitions, 2);
    assert_int_equal(topics.topics[0].partitions[0].end_offset, 4);
    assert_null(topics.topics[1].partitions);
    weir_client_topics_free(&topics);
    assert_int_equal(
        weir_client_topic_offsets(client, WEIR_TEXT("t"), WEIR_OFFSETS_TIME, 77, &topics), WEIR_OK);
    assert_int_equal(topics.topics[0].partitions[0].found_offset, 3);
    weir_client_topics_free(&topics);
    assert_int_equal(weir_client_topic_list(client, WEIR_TEXT("x"), &topics), WEIR_MALFORMED);
    assert_int_equal(topics.count, 0);
    assert_int_equal(weir_client_topic_delete(client, WEIR_TEXT("t")), WEIR_OK);
    assert_int_equal(weir_client_query(client, "health", &json), WEIR_OK);
    assert_true(weir_bytes_equal(json, WEIR_TEXT("{\"id\":8,\"ok\":true,\"health\":\"ok\"}")));
    part(client, g);
}

/* Reads one frame and answers it: the first is produced, the second refused. */
static void answer_frames(gateway *g)
{
    for (int i = 0; i < 2; i++) {
        weir_v1_frame frame;
        if (!read_frame(g, &frame)) {
            return;
        }
        weir_v1_frame answer = {.type = i == 0 ? WEIR_V1_FRAME_PRODUCED : WEIR_V1_FRAME_ERROR,
                                .request = frame.request,
                                .level = WEIR_LEVEL_DISK,
                                .partition = frame.partition,
                                .offset = (int64_t)frame.batches.len,
                                .code = WEIR_TEXT("damaged"),
                                .text = WEIR_TEXT("Build it again.")};
        say_frame(g, &answer);
    }
}

static void a_batch_goes_as_a_frame(void **state)
{
    const step steps[] = {HELLO, THE_END};
    weir_published published = {0};
    gateway *g = NULL;
    (void)state;
    weir_client *client = meet(steps, answer_frames, &g);
    assert_int_equal(
        weir_client_produce(client, WEIR_TEXT("t"), 3, WEIR_TEXT("a batch\n"), &published),
        WEIR_OK);
    assert_int_equal(published.partition, 3);
    assert_int_equal(published.offset, 8);
    assert_int_equal(published.level, WEIR_LEVEL_DISK);
    assert_int_equal(weir_client_produce(client, WEIR_TEXT("t"), 3, WEIR_TEXT("x"), &published),
                     WEIR_DAMAGED);
    assert_string_equal(weir_client_error(client), "Build it again.");
    part(client, g);
}

/* Takes the frame of one large record, of topic t/u, and answers with its length. */
static void answer_large(gateway *g)
{
    weir_v1_frame frame;
    if (!read_frame(g, &frame)) {
        return;
    }
    weir_batch_head head;
    weir_record record;
    size_t used = 0;
    if (!weir_bytes_equal(frame.topic, WEIR_TEXT("t/u")) ||
        weir_batch_check(frame.batches, &head, NULL, 0) != WEIR_OK ||
        weir_batch_record_decode(frame.batches, &head, WEIR_BATCH_HEAD_BYTES, &record, &used) !=
            WEIR_OK ||
        !weir_bytes_equal(record.key, WEIR_TEXT("k/x"))) {
        strcpy(g->problem, "not the batch that was expected");
        return;
    }
    weir_v1_frame answer = {.type = WEIR_V1_FRAME_PRODUCED,
                            .request = frame.request,
                            .level = WEIR_LEVEL_DISK,
                            .offset = (int64_t)record.value.len};
    say_frame(g, &answer);
}

#define SMALL_HELLO                                                                                \
    {                                                                                              \
        "hello", "{\"id\":1,\"ok\":true,\"limits\":{\"packet_bytes_max\":300}}\n"                  \
    }

static void a_record_too_large_for_a_message_goes_as_a_frame(void **state)
{
    const step steps[] = {SMALL_HELLO,
                          {"\"action\":\"list\"",
                           "{\"id\":4,\"ok\":true,\"topics\":[{\"topic\":\"t\",\"partitions\":1},"
                           "{\"topic\":\"t/u\",\"partitions\":1},{\"topic\":\"t/u/k/xy\"}]}\n"},
                          THE_END};
    static char value[1000];
    weir_publish record = {.name = WEIR_TEXT("t/u/k/x"),
                           .value = {(const uint8_t *)value, sizeof(value)},
                           .attributes = WEIR_RECORD_RETAIN};
    weir_published published = {0};
    gateway *g = NULL;
    (void)state;
    weir_client *client = meet(steps, answer_large, &g);
    assert_int_equal(weir_client_publish(client, &record, &published), WEIR_TOO_LARGE);
    record.attributes = 0;
    assert_int_equal(weir_client_publish(client, &record, &published), WEIR_OK);
    assert_int_equal(published.offset, sizeof(value));
    part(client, g);
}

static void messages_stay_within_what_the_gateway_takes(void **state)
{
    enum { RECORDS = 500 };
    const step steps[] = {SMALL_HELLO, THE_END};
    const weir_publish record = {.name = WEIR_TEXT("a/b/c"), .value = WEIR_TEXT("\x01\x02\x03")};
    told results = {0};
    gateway *g = NULL;
    (void)state;
    weir_client *client = meet(steps, answer_short_batches, &g);
    weir_client_on_result(client, tell, &results);
    for (uint64_t i = 0; i < RECORDS; i++) {
        assert_int_equal(weir_client_send(client, &record, i), WEIR_OK);
    }
    assert_int_equal(weir_client_flush(client), WEIR_OK);
    assert_int_equal(results.count, RECORDS);
    assert_int_equal(results.failed, 0);
    part(client, g);
}

static void an_answer_that_comes_too_late_is_left_out(void **state)
{
    const step steps[] = {HELLO,
                          {"\"id\":2", NULL},
                          {"\"id\":3", "{\"id\":2,\"ok\":true,\"level\":\"os\",\"offset\":1}\n"
                                       "{\"id\":3,\"ok\":true,\"level\":\"os\",\"offset\":2}\n"},
                          THE_END};
    const weir_publish record = {.name = WEIR_TEXT("a"), .value = WEIR_TEXT("x")};
    weir_published published = {0};
    gateway *g = NULL;
    (void)state;
    weir_client *client = meet(steps, NULL, &g);
    weir_client_timeout(client, 1);
    assert_int_equal(weir_client_publish(client, &record, &published), WEIR_TIMEOUT);
    weir_client_timeout(client, DEADLINE_MS);
    assert_int_equal(weir_client_publish(client, &record, &published), WEIR_OK);
    assert_int_equal(published.offset, 2);
    part(client, g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_says_hello_and_learns_the_limits),
        cmocka_unit_test(a_refused_hello_is_told_with_its_reason),
        cmocka_unit_test(a_gateway_that_is_not_there_is_not_found),
        cmocka_unit_test(a_publish_tells_where_the_record_is),
        cmocka_unit_test(an_unconfirmed_publish_does_not_wait),
        cmocka_unit_test(sent_records_go_in_one_message_and_each_has_a_result),
        cmocka_unit_test(many_sent_records_are_all_answered),
        cmocka_unit_test(a_broken_connection_answers_every_sent_record),
        cmocka_unit_test(two_full_pipes_do_not_wait_for_each_other),
        cmocka_unit_test(subscriptions_give_events_in_their_order),
        cmocka_unit_test(next_ends_with_the_connection),
        cmocka_unit_test(what_is_no_json_ends_the_client),
        cmocka_unit_test(a_fetch_gives_its_records_by_index),
        cmocka_unit_test(topics_are_declared_listed_and_measured),
        cmocka_unit_test(a_batch_goes_as_a_frame),
        cmocka_unit_test(a_record_too_large_for_a_message_goes_as_a_frame),
        cmocka_unit_test(messages_stay_within_what_the_gateway_takes),
        cmocka_unit_test(an_answer_that_comes_too_late_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
