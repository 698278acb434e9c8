/* Groups and their members in a weir.v1 session, against a port that only remembers. */
#include "tests/unit/proto_weir1/said.h"

static weir_member handles[4];

/* A member of model and mode, in the session; `more` are members of the command. */
static weir_member *join(talk *t, weir_model model, int which, const char *more)
{
    char command[300];
    const weir_completion joined = {.joined = {.member = &handles[which],
                                               .model = model,
                                               .mode = WEIR_MODE_AT_LEAST_ONCE,
                                               .number = 77,
                                               .generation = 3,
                                               .lease_ms = 30000,
                                               .session_ms = 45000}};
    snprintf(command, sizeof(command), "{\"cmd\":\"join\",\"group\":\"g\"%s}", more);
    (void)talk_ask(t, command);
    assert_int_equal(talk_last(t)->kind, FAKE_JOIN);
    talk_complete(t, talk_last(t), WEIR_OK, &joined);
    return &handles[which];
}

static weir_chunk *chunk_make(void)
{
    static weir_chunk chunk;
    fake_chunk_begin(&chunk, "t", 2);
    fake_chunk_add(&chunk, WEIR_TEXT("k"), WEIR_TEXT("one"), NULL, 0);
    fake_chunk_add(&chunk, WEIR_TEXT("k"), WEIR_TEXT("two"), NULL, 0);
    fake_chunk_end(&chunk, 40);
    return &chunk;
}

/* The operation's records: two, under lease 9 of epoch 5. */
static void give_two_in(talk *t, fake_op *op, weir_mode mode)
{
    weir_handed run = {
        .chunk = chunk_make(), .first = 0, .count = 2, .lease = 9, .leased = 2, .failed = 1};
    const weir_completion taken = {.taken = {.runs = &run,
                                             .run_count = 1,
                                             .epoch = 5,
                                             .generation = 3,
                                             .lease_ms = 30000,
                                             .mode = mode}};
    assert_int_equal(op->kind, FAKE_TAKE);
    talk_complete(t, op, WEIR_OK, &taken);
}

static void give_two(talk *t, fake_op *op)
{
    give_two_in(t, op, WEIR_MODE_AT_LEAST_ONCE);
}

/* ---- group ------------------------------------------------------------------------------------ */

static void a_group_is_created_as_its_members_say(void **state)
{
    talk *t = talk_greeted();
    (void)state;
    (void)talk_ask(t,
                   "{\"cmd\":\"group\",\"action\":\"create\",\"group\":\"g\",\"model\":\"queue\","
                   "\"mode\":\"at-most-once\",\"topics\":[\"t\",\"u\"],\"start\":\"end\","
                   "\"removed\":\"latest\",\"dead_letter\":\"dead\",\"lease_ms\":100,"
                   "\"delivery_limit\":-1,\"key_ordered\":true,\"single_active\":false}");
    fake_op *op = talk_last(t);
    assert_string_equal(op->action, "create");
    assert_string_equal(op->name, "g");
    assert_string_equal(op->topic, "t");
    assert_string_equal(op->value, "dead");
    assert_int_equal(op->group_options.model, WEIR_MODEL_QUEUE);
    assert_int_equal(op->group_options.mode, WEIR_MODE_AT_MOST_ONCE);
    assert_int_equal(op->group_options.topic_count, 2);
    assert_int_equal(op->group_options.start, WEIR_PLACE_END);
    assert_int_equal(op->group_options.removed, WEIR_PLACE_END);
    assert_int_equal(op->group_options.lease_ms, 100);
    assert_int_equal(op->group_options.delivery_limit, -1);
    assert_int_equal(op->group_options.key_ordered, 1);
    assert_int_equal(op->group_options.single_active, 2);
    assert_int_equal(op->group_options.session_ms, 0);
    for (int created = 0; created < 2; created++) {
        weir_group_info info = {.name = WEIR_TEXT("g")};
        const weir_completion done = {
            .groups = {.groups = &info, .count = 1, .created = created == 1}};
        talk_complete(t, op, WEIR_OK, &done);
        assert_int_equal(strstr(talk_said(t), "\"created\":true") != NULL, created);
        (void)talk_ask(t,
                       "{\"cmd\":\"group\",\"action\":\"create\",\"group\":\"g\",\"topic\":\"t\"}");
        op = talk_last(t);
    }
    talk_free(t);
}

static void what_no_group_can_be_is_refused_by_its_field(void **state)
{
#define CREATE "{\"cmd\":\"group\",\"action\":\"create\",\"group\":\"g\","
    talk *t = talk_greeted();
    (void)state;
    assert_refused(t, "{\"cmd\":\"group\",\"action\":\"info\",\"group\":\"\"}", "name-invalid",
                   "group");
    assert_refused(t, "{\"cmd\":\"group\",\"group\":\"g\"}", "invalid", "action");
    assert_refused(t, "{\"cmd\":\"group\",\"action\":\"info\"}", "invalid", "group");
    assert_refused(t, CREATE "\"model\":\"heap\"}", "invalid", "model");
    assert_refused(t, CREATE "\"mode\":\"twice\"}", "invalid", "mode");
    assert_refused(t, CREATE "\"mode\":\"exactly-once\"}", "not-offered", "mode");
    assert_refused(t, CREATE "\"topics\":[]}", "invalid", "topics");
    assert_refused(t, CREATE "\"topics\":[7]}", "invalid", "topics");
    assert_refused(t, CREATE "\"topic\":\"t\",\"filter\":\"a/#\"}", "invalid", "topics");
    assert_refused(t, CREATE "\"start\":\"error\"}", "invalid", "start");
    assert_refused(t, CREATE "\"removed\":\"never\"}", "invalid", "removed");
    assert_refused(t, CREATE "\"lease_ms\":1}", "invalid", "lease_ms");
    assert_refused(t, CREATE "\"key_ordered\":1}", "invalid", "key_ordered");
    assert_refused(t, "{\"cmd\":\"group\",\"action\":\"alter\",\"group\":\"g\"}", "invalid",
                   "mode");
    talk_free(t);
#undef CREATE
}

/* The command is refused by the engine with `err`, and the sentence has `part` and ends. */
static void assert_told(talk *t, const char *command, weir_err err, const char *part)
{
    (void)talk_ask(t, command);
    talk_complete(t, talk_last(t), err, NULL);
    const char *said = talk_said(t);
    assert_has(said, part);
    assert_has(said, ".\"}");
}

static void each_reason_why_a_group_cannot_be_so_has_a_sentence_that_ends(void **state)
{
#define CREATE "{\"cmd\":\"group\",\"action\":\"create\",\"group\":\"g\","
#define ALTER  "{\"cmd\":\"group\",\"action\":\"alter\",\"group\":\"g\","
    static const struct {
        const char *command;
        weir_err err;
        const char *part;
    } cases[] = {
        {CREATE "\"model\":\"queue\",\"mode\":\"client-commit\",\"topic\":\"t\"}", WEIR_INVALID,
         "Mode client-commit is for stream groups"},
        {CREATE "\"topic\":\"t\",\"lease_ms\":100}", WEIR_INVALID,
         "lease_ms is a setting of queue groups"},
        {CREATE "\"model\":\"queue\"}", WEIR_INVALID, "give topics, topic or filter"},
        {CREATE "\"topics\":[\"t\",\"u\",\"t\"]}", WEIR_INVALID, "\\\"t\\\" is named twice"},
        {CREATE "\"model\":\"queue\",\"topic\":\"t\",\"overflow\":\"dead-letter\"}", WEIR_INVALID,
         "needs a dead-letter topic: give dead_letter"},
        {CREATE "\"model\":\"queue\",\"topic\":\"t\",\"max_records\":2}", WEIR_INVALID,
         "refuses no publish"},
        {CREATE
         "\"model\":\"queue\",\"filter\":\"#\",\"max_records\":2,\"overflow\":\"drop-oldest\"}",
         WEIR_INVALID, "over a filter has no max_records"},
        {CREATE "\"model\":\"queue\",\"topic\":\"t\",\"dead_letter\":\"t\"}", WEIR_INVALID,
         "come back to it for ever"},
        {CREATE "\"topic\":\"t\"}", WEIR_INVALID, "is a queue"},
        {CREATE "\"filter\":\"t/#\"}", WEIR_INVALID, "the filter matches is a queue's"},
        {CREATE "\"topic\":\"t\"}", WEIR_NOT_FOUND, "No topic \\\"t\\\" is declared: create it"},
        {CREATE "\"filter\":\"#\",\"dead_letter\":\"d\"}", WEIR_NOT_FOUND,
         "No topic \\\"d\\\" is declared, which dead_letter names"},
        {CREATE "\"topics\":[\"t\",\"u\"],\"dead_letter\":\"d\"}", WEIR_NOT_FOUND,
         "\\\"t\\\", \\\"u\\\" and dead_letter \\\"d\\\""},
        {ALTER "\"model\":\"queue\"}", WEIR_INVALID, "never change"},
        {ALTER "\"mode\":\"client-commit\"}", WEIR_INVALID, "this is a queue group"},
        {ALTER "\"max_records\":2,\"overflow\":\"dead-letter\"}", WEIR_INVALID,
         "needs a dead-letter topic"},
        {ALTER "\"dead_letter\":\"\"}", WEIR_INVALID, "choose another overflow"},
        {ALTER "\"max_bytes\":2000}", WEIR_INVALID, "refuses no publish"},
        {ALTER "\"lease_ms\":2000}", WEIR_INVALID, "this is a stream group"},
        {ALTER "\"dead_letter\":\"g\"}", WEIR_INVALID, "come back to it for ever"},
        {ALTER "\"dead_letter\":\"nosuchdead\"}", WEIR_NOT_FOUND,
         "no topic \\\"nosuchdead\\\" is declared"},
        {ALTER "\"lease_ms\":2000}", WEIR_NOT_FOUND, "No group \\\"g\\\" is there"},
        {"{\"cmd\":\"join\",\"group\":\"g\",\"model\":\"queue\",\"mode\":\"client-commit\","
         "\"topic\":\"t\"}",
         WEIR_INVALID, "Mode client-commit is for stream groups"},
        {"{\"cmd\":\"join\",\"group\":\"g\",\"topic\":\"t\"}", WEIR_NOT_FOUND,
         "No topic \\\"t\\\" is declared"},
        {"{\"cmd\":\"group\",\"action\":\"delete\",\"group\":\"g\"}", WEIR_INVALID,
         "delete the topic of this name"},
    };
    talk *t = talk_greeted();
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_told(t, cases[i].command, cases[i].err, cases[i].part);
    }
    talk_free(t);
#undef CREATE
#undef ALTER
}

/* Names of the greatest length leave room for the sentence around them. */
static void the_longest_names_do_not_cut_a_sentence(void **state)
{
    char name[WEIR_TOPIC_BYTES_MAX + 1];
    char command[4 * sizeof(name)];
    talk *t = talk_greeted();
    (void)state;
    memset(name, 'n', WEIR_TOPIC_BYTES_MAX);
    name[WEIR_TOPIC_BYTES_MAX] = '\0';
    snprintf(command, sizeof(command),
             "{\"cmd\":\"group\",\"action\":\"create\",\"group\":\"g\",\"topic\":\"%s\"}", name);
    assert_told(t, command, WEIR_NOT_FOUND, name);
    snprintf(command, sizeof(command),
             "{\"cmd\":\"group\",\"action\":\"create\",\"group\":\"g\",\"topic\":\"%s\","
             "\"dead_letter\":\"%s\"}",
             name, name);
    assert_told(t, command, WEIR_NOT_FOUND, "Create each with the command topic.");
    snprintf(command, sizeof(command),
             "{\"cmd\":\"group\",\"action\":\"alter\",\"group\":\"%s\",\"dead_letter\":\"%s\"}",
             name, name);
    assert_told(t, command, WEIR_NOT_FOUND, "(the command topic creates it).");
    talk_free(t);
}

static void a_reset_says_where_to(void **state)
{
#define RESET "{\"cmd\":\"group\",\"action\":\"reset\",\"group\":\"g\","
    static const struct {
        const char *to;
        weir_reset_kind kind;
        int64_t value;
    } rows[] = {{"\"beginning\"", WEIR_RESET_BEGINNING, 0},
                {"\"end\"", WEIR_RESET_END, 0},
                {"17", WEIR_RESET_OFFSET, 17},
                {"{\"time\":1700000000000}", WEIR_RESET_TIME, 1700000000000},
                {"{\"shift\":-5}", WEIR_RESET_SHIFT, -5}};
    talk *t = talk_greeted();
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char command[200];
        snprintf(command, sizeof(command),
                 RESET "\"topic\":\"t\",\"partition\":1,\"dry_run\":true,\"to\":%s}", rows[i].to);
        (void)talk_ask(t, command);
        assert_string_equal(talk_last(t)->action, "reset");
        assert_int_equal(talk_last(t)->reset.kind, rows[i].kind);
        assert_int_equal(talk_last(t)->reset.value, rows[i].value);
        assert_int_equal(talk_last(t)->reset.partition, 1);
        assert_true(talk_last(t)->reset.dry_run);
    }
    (void)talk_ask(t, RESET "\"to\":0}");
    assert_int_equal(talk_last(t)->reset.partition, -1);
    assert_refused(t, RESET "\"to\":-1}", "invalid", "to");
    assert_refused(t, RESET "\"to\":\"middle\"}", "invalid", "to");
    assert_refused(t, RESET "\"to\":0,\"partition\":1}", "invalid", "topic");
    talk_free(t);
#undef RESET
}

static void a_group_is_told_with_all_that_is_in_force(void **state)
{
    weir_bytes topic = WEIR_TEXT("t");
    weir_group_partition partition = {.topic = topic,
                                      .partition = 1,
                                      .start = 1,
                                      .committed = 5,
                                      .handed = 7,
                                      .end = 9,
                                      .lag = 4,
                                      .lag_ms = 12,
                                      .leased = 2};
    weir_group_member member = {
        .name = WEIR_TEXT("m"), .origin = WEIR_TEXT("mqtt"), .leased = 2, .silent_ms = 8};
    weir_group_info info = {.name = WEIR_TEXT("g"),
                            .options = {.model = WEIR_MODEL_QUEUE,
                                        .mode = WEIR_MODE_AT_LEAST_ONCE,
                                        .start = WEIR_PLACE_BEGINNING,
                                        .removed = WEIR_PLACE_BEGINNING,
                                        .topics = &topic,
                                        .topic_count = 1,
                                        .lease_ms = 100,
                                        .key_ordered = 1,
                                        .single_active = 2},
                            .generation = 3,
                            .partitions = &partition,
                            .partition_count = 1,
                            .members = &member,
                            .member_count = 1};
    talk *t = talk_greeted();
    (void)state;
    info.fates[WEIR_FATE_ACCEPTED] = 4;
    const weir_completion told = {.groups = {.groups = &info, .count = 1}};
    (void)talk_ask(t, "{\"cmd\":\"group\",\"id\":1,\"action\":\"info\",\"group\":\"g\"}");
    talk_complete(t, talk_last(t), WEIR_OK, &told);
    const char *said = talk_said(t);
    assert_has(said, "{\"id\":1,\"ok\":true,\"group\":{\"group\":\"g\",\"model\":\"queue\","
                     "\"mode\":\"at-least-once\",\"topics\":[\"t\"]");
    assert_has(said, "\"lease_ms\":100");
    assert_has(said, "\"key_ordered\":true,\"single_active\":false");
    assert_has(said, "\"members\":[{\"member\":\"m\",\"origin\":\"mqtt\",\"partitions\":0,"
                     "\"leased\":2,\"silent_ms\":8}]");
    assert_has(said, "\"partitions\":[{\"topic\":\"t\",\"partition\":1,\"start\":1,\"committed\":5,"
                     "\"handed\":7,\"end\":9,\"lag\":4,\"lag_ms\":12,\"leased\":2,\"delayed\":0");
    assert_has(said, "\"fates\":{\"pending\":0,\"accepted\":4,");
    assert_has(said, "\"lag\":4,\"lag_ms\":12");
    (void)talk_ask(t, "{\"cmd\":\"group\",\"action\":\"create\",\"group\":\"g\",\"topic\":\"t\"}");
    talk_complete(t, talk_last(t), WEIR_EXISTS, &told);
    said = talk_said(t);
    assert_has(said, "\"code\":\"exists\"");
    assert_has(said, "a queue group, at-least-once, of t,");
    (void)talk_ask(t, "{\"cmd\":\"group\",\"action\":\"create\",\"group\":\"g\",\"topic\":\"t\","
                      "\"lease_ms\":5000,\"mode\":\"at-most-once\",\"dead_letter\":\"d\"}");
    talk_complete(t, talk_last(t), WEIR_EXISTS, &told);
    assert_has(talk_said(t),
               "its mode is at-least-once, not at-most-once; its dead_letter is none, not d; its "
               "lease_ms is 100, not 5000: group alter changes it.");
    (void)talk_ask(t, "{\"cmd\":\"group\",\"action\":\"create\",\"group\":\"g\",\"topic\":\"t\","
                      "\"model\":\"stream\"}");
    talk_complete(t, talk_last(t), WEIR_EXISTS, &told);
    assert_has(talk_said(t), "its model is queue, not stream: model, topics and start never");
    talk_free(t);
}

/* ---- Members ---------------------------------------------------------------------------------- */

static void a_join_is_answered_with_the_members_number_and_terms(void **state)
{
    talk *t = talk_greeted();
    (void)state;
    (void)join(t, WEIR_MODEL_QUEUE, 0, ",\"id\":1,\"member\":\"me\",\"instance\":\"i\"");
    assert_string_equal(talk_said(t),
                        "{\"id\":1,\"ok\":true,\"member\":1,\"model\":\"queue\","
                        "\"mode\":\"at-least-once\",\"generation\":3,\"lease_ms\":30000,"
                        "\"session_ms\":45000}\n");
    assert_string_equal(talk_last(t)->name, "g");
    assert_string_equal(talk_last(t)->key, "me");
    assert_string_equal(talk_last(t)->value, "i");
    assert_string_equal(talk_last(t)->headers, "websocket");
    assert_false(talk_last(t)->has_options);
    (void)join(t, WEIR_MODEL_STREAM, 1, ",\"model\":\"stream\",\"topic\":\"t\"");
    assert_has(talk_said(t), "\"member\":2");
    assert_true(talk_last(t)->has_options);
    assert_string_equal(talk_last(t)->topic, "t");
    talk_free(t);
}

static void a_refused_join_says_what_is_in_force_and_leaves_nothing(void **state)
{
    const weir_completion other = {
        .joined = {.model = WEIR_MODEL_QUEUE, .mode = WEIR_MODE_AT_MOST_ONCE}};
    talk *t = talk_greeted();
    (void)state;
    (void)talk_ask(t, "{\"cmd\":\"join\",\"group\":\"g\",\"model\":\"stream\",\"topic\":\"t\"}");
    talk_complete(t, talk_last(t), WEIR_EXISTS, &other);
    const char *said = talk_said(t);
    assert_has(said, "\"code\":\"exists\"");
    assert_has(said, "queue, at-most-once");
    assert_refused(t, "{\"cmd\":\"lease\",\"member\":1}", "not-found", "member");
    assert_string_equal(talk_ask(t, "{\"cmd\":\"goodbye\"}"), "{\"ok\":true}");
    talk_free(t);
}

static void a_session_holds_so_many_members_and_no_more(void **state)
{
    talk *t = talk_greeted();
    (void)state;
    t->limits.members_per_session_max = 2;
    (void)join(t, WEIR_MODEL_QUEUE, 0, "");
    (void)join(t, WEIR_MODEL_QUEUE, 1, "");
    assert_refused(t, "{\"cmd\":\"join\",\"group\":\"g\"}", "limit", NULL);
    assert_int_equal(weir_v1_session_counters(t->session)->refused_members, 1);
    talk_free(t);
}

static void what_names_no_member_is_refused(void **state)
{
    static const char *const commands[] = {"\"lease\"",
                                           "\"settle\",\"verb\":\"accept\",\"records\":[]",
                                           "\"commit\",\"offsets\":[]",
                                           "\"beat\"",
                                           "\"revoked\",\"generation\":1",
                                           "\"leave\"",
                                           "\"credit\",\"records\":1"};
    talk *t = talk_greeted();
    (void)state;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        char command[200];
        snprintf(command, sizeof(command), "{\"member\":9,\"cmd\":%s}", commands[i]);
        assert_refused(t, command, "not-found", "member");
        snprintf(command, sizeof(command), "{\"member\":\"x\",\"cmd\":%s}", commands[i]);
        assert_refused(t, command, "invalid", "member");
    }
    talk_free(t);
}

static void a_lease_gives_records_with_their_tokens(void **state)
{
    talk *t = talk_greeted();
    weir_member *member = join(t, WEIR_MODEL_QUEUE, 0, "");
    (void)state;
    (void)talk_ask(t, "{\"cmd\":\"lease\",\"id\":2,\"member\":1,\"max\":7,\"max_bytes\":1000,"
                      "\"wait_ms\":50}");
    fake_op *op = talk_last(t);
    assert_ptr_equal(op->member, member);
    assert_int_equal(op->take.records_max, 7);
    assert_int_equal(op->take.bytes_max, 1000);
    assert_int_equal(op->take.wait_ms, 50);
    assert_refused(t, "{\"cmd\":\"lease\",\"member\":1}", "protocol", "member");
    give_two(t, op);
    const char *said = talk_said(t);
    assert_has(said, "{\"id\":2,\"ok\":true,\"records\":[{\"topic\":\"t\",\"partition\":2,"
                     "\"offset\":40,");
    assert_has(said, "\"value\":\"one\",\"lease\":\"5-9\",\"leased\":2,\"failed\":1},{");
    assert_has(said, "\"offset\":41");
    assert_has(said, "\"lease_ms\":30000,\"mode\":\"at-least-once\"}");
    (void)talk_ask(t, "{\"cmd\":\"lease\",\"member\":1}");
    assert_int_equal(talk_last(t)->take.records_max, 1);
    assert_refused(t, "{\"cmd\":\"lease\",\"member\":1,\"max\":0}", "invalid", "max");
    assert_refused(t, "{\"cmd\":\"lease\",\"member\":1,\"wait_ms\":99999999}", "invalid",
                   "wait_ms");
    talk_free(t);
}

static void a_member_that_is_out_is_told_and_forgotten(void **state)
{
    talk *t = talk_greeted();
    (void)join(t, WEIR_MODEL_QUEUE, 0, "");
    (void)state;
    (void)talk_ask(t, "{\"cmd\":\"lease\",\"id\":2,\"member\":1}");
    talk_complete(t, talk_last(t), WEIR_LEASE_LOST, NULL);
    assert_has(talk_said(t), "{\"id\":2,\"error\":{\"code\":\"lease-lost\"");
    assert_int_equal(talk_last(t)->kind, FAKE_LEAVE);
    assert_refused(t, "{\"cmd\":\"beat\",\"member\":1}", "not-found", "member");
    talk_free(t);
}

static void records_of_a_settle_become_ranges(void **state)
{
    talk *t = talk_greeted();
    weir_member *member = join(t, WEIR_MODEL_QUEUE, 0, "");
    (void)state;
    (void)talk_ask(t,
                   "{\"cmd\":\"settle\",\"id\":3,\"member\":1,\"verb\":\"release\","
                   "\"delay_ms\":20,\"failed\":true,\"reason\":\"busy\",\"records\":["
                   "{\"topic\":\"t\",\"offset\":1,\"lease\":\"5-9\"},"
                   "{\"topic\":\"t\",\"offset\":2,\"lease\":\"5-9\"},"
                   "{\"topic\":\"t\",\"offset\":3,\"lease\":\"5-10\"},"
                   "{\"topic\":\"t\",\"partition\":1,\"first\":4,\"last\":6,\"lease\":\"5-10\"}]}");
    fake_op *op = talk_last(t);
    assert_int_equal(op->kind, FAKE_SETTLE);
    assert_ptr_equal(op->member, member);
    assert_int_equal(op->settle.verb, WEIR_VERB_RELEASE);
    assert_int_equal(op->settle.epoch, 5);
    assert_int_equal(op->settle.delay_ms, 20);
    assert_true(op->settle.failed);
    assert_string_equal(op->value, "busy");
    assert_int_equal(op->settle.range_count, 3);
    assert_int_equal(op->ranges[0].first, 1);
    assert_int_equal(op->ranges[0].last, 2);
    assert_int_equal(op->ranges[0].lease, 9);
    assert_int_equal(op->ranges[1].lease, 10);
    assert_int_equal(op->ranges[2].partition, 1);
    assert_int_equal(op->ranges[2].last, 6);
    const weir_completion settled = {.settled = {.records = 6, .level = WEIR_LEVEL_DISK}};
    talk_complete(t, op, WEIR_OK, &settled);
    assert_string_equal(talk_said(t),
                        "{\"id\":3,\"ok\":true,\"settled\":6,\"refused\":0,\"level\":\"disk\"}\n");
    talk_free(t);
}

#define SETTLE "{\"cmd\":\"settle\",\"member\":1,\"verb\":\"accept\","
#define RECORD "{\"topic\":\"t\",\"offset\":1,\"lease\":\"5-9\"}"
#define ONCE   "\"lease\":\"5-9223372036854775817\""

static void what_was_handed_out_at_most_once_is_accepted_already(void **state)
{
    talk *t = talk_greeted();
    weir_member *member = join(t, WEIR_MODEL_QUEUE, 0, "");
    (void)state;
    (void)talk_ask(t, "{\"cmd\":\"lease\",\"id\":2,\"member\":1}");
    give_two_in(t, talk_last(t), WEIR_MODE_AT_MOST_ONCE);
    const char *said = talk_said(t);
    assert_has(said, "\"value\":\"one\"," ONCE ",\"leased\":2,");
    assert_has(said, "\"mode\":\"at-most-once\"}");
    assert_string_equal(
        talk_ask(t, SETTLE "\"id\":3,\"records\":[{\"topic\":\"t\",\"offset\":40," ONCE "}]}"),
        "{\"id\":3,\"ok\":true,\"settled\":0,\"refused\":0}");
    assert_int_equal(talk_last(t)->kind, FAKE_BEAT); /* no settle, and yet the member was heard */
    assert_ptr_equal(talk_last(t)->member, member);
    (void)talk_ask(t, SETTLE "\"id\":4,\"records\":[" RECORD ",{\"topic\":\"t\",\"offset\":41," ONCE
                             "}]}");
    fake_op *op = talk_last(t);
    assert_int_equal(op->kind, FAKE_SETTLE);
    assert_int_equal(op->settle.range_count, 1);
    assert_int_equal(op->ranges[0].lease, 9);
    talk_complete(t, op, WEIR_OK, NULL);
    (void)talk_said(t);
    (void)talk_ask(t, "{\"cmd\":\"settle\",\"id\":5,\"member\":1,\"verb\":\"reject\",\"records\":["
                      "{\"topic\":\"t\",\"offset\":40," ONCE "}]}");
    op = talk_last(t);
    assert_int_equal(op->kind, FAKE_SETTLE);
    assert_int_equal(op->settle.range_count, 1); /* the engine refuses it */
    talk_complete(t, op, WEIR_NOT_OFFERED, NULL);
    assert_has(talk_said(t), "{\"id\":5,\"error\":{\"code\":\"not-offered\"");
    talk_free(t);
}

static void what_was_too_late_is_told_beside_what_was_settled(void **state)
{
    const weir_completion late = {
        .settled = {.records = 1, .refused = 2, .level = WEIR_LEVEL_DISK}};
    talk *t = talk_greeted();
    (void)join(t, WEIR_MODEL_QUEUE, 0, "");
    (void)state;
    (void)talk_ask(t, SETTLE "\"id\":4,\"confirm\":false,\"records\":[" RECORD "]}");
    talk_complete(t, talk_last(t), WEIR_LEASE_LOST, &late);
    const char *said = talk_said(t);
    assert_has(said, "{\"id\":4,\"error\":{\"code\":\"lease-lost\",\"text\":\"");
    assert_has(said, "may be with another member now");
    assert_has(said, "\"settled\":1,\"refused\":2,\"level\":\"disk\"}");
    const weir_completion again = {.settled = {.refused = 2, .ended = 2}};
    (void)talk_ask(t, SETTLE "\"id\":6,\"records\":[" RECORD "]}");
    talk_complete(t, talk_last(t), WEIR_LEASE_LOST, &again);
    assert_has(talk_said(t), "These records are settled already: by this member before, or");
    (void)talk_ask(t, SETTLE "\"id\":5,\"confirm\":false,\"records\":[" RECORD "]}");
    talk_complete(t, talk_last(t), WEIR_OK, NULL);
    assert_string_equal(talk_said(t), "");
    talk_free(t);
}

static void what_settles_nothing_is_refused(void **state)
{
    talk *t = talk_greeted();
    (void)join(t, WEIR_MODEL_QUEUE, 0, "");
    (void)state;
    assert_refused(t, SETTLE "\"records\":[]}", "invalid", "records");
    assert_refused(t, SETTLE "\"records\":[{\"topic\":\"t\",\"offset\":1}]}", "invalid", "lease");
    assert_refused(t, SETTLE "\"records\":[{\"topic\":\"t\",\"offset\":1,\"lease\":\"9\"}]}",
                   "invalid", "lease");
    assert_refused(
        t, SETTLE "\"records\":[{\"topic\":\"t\",\"first\":3,\"last\":2,\"lease\":\"5-9\"}]}",
        "invalid", "records");
    assert_refused(
        t, SETTLE "\"records\":[" RECORD ",{\"topic\":\"t\",\"offset\":7,\"lease\":\"6-9\"}]}",
        "invalid", "lease");
    assert_refused(t, "{\"cmd\":\"settle\",\"member\":1,\"verb\":\"eat\",\"records\":[" RECORD "]}",
                   "invalid", "verb");
    assert_refused(t,
                   "{\"cmd\":\"commit\",\"member\":1,\"offsets\":[{\"topic\":\"t\",\"offset\":1}]}",
                   "not-offered", "member");
    talk_free(t);
}

static void a_commit_accepts_up_to_the_offset_before(void **state)
{
    talk *t = talk_greeted();
    (void)join(t, WEIR_MODEL_STREAM, 0, "");
    (void)state;
    (void)talk_ask(t, "{\"cmd\":\"commit\",\"id\":6,\"member\":1,\"offsets\":["
                      "{\"topic\":\"t\",\"partition\":2,\"offset\":42,\"metadata\":\"m\"},"
                      "{\"topic\":\"t\",\"offset\":0,\"metadata\":\"m\"}]}");
    fake_op *op = talk_last(t);
    assert_int_equal(op->settle.verb, WEIR_VERB_ACCEPT);
    assert_int_equal(op->settle.generation, 3);
    assert_int_equal(op->settle.range_count, 1);
    assert_int_equal(op->ranges[0].last, 41);
    assert_int_equal(op->ranges[0].partition, 2);
    assert_string_equal(op->key, "m");
    const weir_completion settled = {.settled = {.records = 9, .level = WEIR_LEVEL_OS}};
    talk_complete(t, op, WEIR_OK, &settled);
    assert_string_equal(talk_said(t), "{\"id\":6,\"ok\":true,\"refused\":0,\"level\":\"os\"}\n");
    assert_string_equal(talk_ask(t, "{\"cmd\":\"commit\",\"member\":1,\"offsets\":["
                                    "{\"topic\":\"t\",\"offset\":0}]}"),
                        "{\"ok\":true}");
    assert_refused(t,
                   "{\"cmd\":\"commit\",\"member\":1,\"offsets\":["
                   "{\"topic\":\"t\",\"offset\":1,\"metadata\":\"a\"},"
                   "{\"topic\":\"u\",\"offset\":1,\"metadata\":\"b\"}]}",
                   "invalid", "metadata");
    talk_free(t);
}

static void with_credit_records_are_pushed_as_long_as_it_lasts(void **state)
{
    talk *t = talk_greeted();
    (void)join(t, WEIR_MODEL_QUEUE, 0, ",\"credit\":3");
    (void)state;
    weir_v1_session_turn(t->session);
    fake_op *take = talk_last(t);
    assert_int_equal(take->kind, FAKE_TAKE);
    assert_int_equal(take->take.records_max, 3);
    (void)talk_said(t);
    give_two(t, take);
    assert_has(talk_said(t), "{\"type\":\"records\",\"member\":1,\"records\":[{\"topic\":\"t\"");
    weir_v1_session_turn(t->session);
    take = talk_last(t);
    assert_int_equal(take->take.records_max, 1);
    give_two(t, take); /* an engine that gives more than asked for: credit stops at 0 */
    size_t count = t->port.count;
    weir_v1_session_turn(t->session);
    assert_int_equal(t->port.count, count);
    (void)talk_ask(t, "{\"cmd\":\"credit\",\"member\":1,\"records\":5}");
    assert_int_equal(talk_last(t)->take.records_max, 5);
    assert_refused(t, "{\"cmd\":\"lease\",\"member\":1}", "protocol", "member");
    talk_free(t);
}

static void a_push_that_fails_is_told_and_goes_on_with_new_credit(void **state)
{
    talk *t = talk_greeted();
    (void)join(t, WEIR_MODEL_STREAM, 0, ",\"credit\":3");
    (void)state;
    weir_v1_session_turn(t->session);
    (void)talk_said(t);
    talk_complete(t, talk_last(t), WEIR_OFFSET_OUT_OF_RANGE, NULL);
    assert_has(talk_said(t), "{\"type\":\"stopped\",\"member\":1,\"error\":{\"code\":"
                             "\"offset-out-of-range\"");
    size_t count = t->port.count;
    weir_v1_session_turn(t->session);
    assert_int_equal(t->port.count, count);
    (void)talk_ask(t, "{\"cmd\":\"credit\",\"member\":1,\"records\":0}");
    assert_int_equal(talk_last(t)->kind, FAKE_TAKE);
    talk_complete(t, talk_last(t), WEIR_LEASE_LOST, NULL);
    assert_has(talk_said(t), "\"type\":\"assigned\",\"member\":1,\"generation\":3,"
                             "\"partitions\":[],\"revoked\":[],\"fenced\":true");
    assert_int_equal(talk_last(t)->kind, FAKE_LEAVE);
    talk_free(t);
}

static void a_full_output_stops_the_push(void **state)
{
    talk *t = talk_greeted();
    (void)join(t, WEIR_MODEL_QUEUE, 0, ",\"credit\":300");
    (void)state;
    (void)weir_v1_session_turn(t->session);
    fake_op *take = talk_last(t);
    t->limits.output_bytes_max = 10;
    give_two(t, take);
    size_t count = t->port.count;
    (void)weir_v1_session_turn(t->session);
    assert_int_equal(t->port.count, count);
    t->limits.output_bytes_max = 1048576;
    (void)weir_v1_session_output(t->session, 0);
    assert_int_equal(t->port.count, count + 1);
    assert_int_equal(talk_last(t)->kind, FAKE_TAKE);
    talk_free(t);
}

static void assign(talk *t, weir_member *member, uint64_t generation, bool fenced)
{
    weir_owned owned = {.topic = WEIR_TEXT("t"), .partition = 4};
    weir_completion completion = {.type = WEIR_COMPLETION_ASSIGNED};
    completion.assigned = (weir_assigned){.member = member,
                                          .generation = generation,
                                          .owned = &owned,
                                          .owned_count = fenced ? 0 : 1,
                                          .fenced = fenced};
    weir_v1_session_completion(t->session, &completion);
}

static void what_a_member_owns_is_told_at_once(void **state)
{
    talk *t = talk_greeted();
    weir_member *member = join(t, WEIR_MODEL_STREAM, 0, "");
    (void)state;
    (void)talk_said(t);
    assign(t, member, 8, false);
    assert_string_equal(talk_said(t), "{\"type\":\"assigned\",\"member\":1,\"generation\":8,"
                                      "\"partitions\":[{\"topic\":\"t\",\"partition\":4}],"
                                      "\"revoked\":[],\"fenced\":false}\n");
    (void)talk_ask(t, "{\"cmd\":\"revoked\",\"member\":1,\"generation\":8}");
    assert_int_equal(talk_last(t)->kind, FAKE_REVOKED);
    assert_int_equal(talk_last(t)->generation, 8);
    assert_string_equal(talk_ask(t, "{\"cmd\":\"beat\",\"member\":1}"), "");
    assert_int_equal(talk_last(t)->kind, FAKE_BEAT);
    assert_string_equal(talk_ask(t, "{\"cmd\":\"beat\",\"id\":7,\"member\":1}"),
                        "{\"id\":7,\"ok\":true}");
    (void)talk_said(t);
    assign(t, member, 0, true);
    assert_has(talk_said(t), "\"fenced\":true");
    assert_int_equal(talk_last(t)->kind, FAKE_LEAVE);
    assert_false(talk_last(t)->orderly);
    talk_free(t);
}

static void without_push_the_next_lease_tells_what_a_member_owns(void **state)
{
    talk *t = talk_new(false);
    (void)talk_ask(t, TALK_HELLO);
    weir_member *member = join(t, WEIR_MODEL_STREAM, 0, "");
    (void)state;
    assert_string_equal(talk_last(t)->headers, "nng");
    (void)talk_said(t);
    assign(t, member, 8, false);
    assert_string_equal(talk_said(t), "");
    (void)talk_ask(t, "{\"cmd\":\"lease\",\"member\":1}");
    talk_complete(t, talk_last(t), WEIR_OK, NULL);
    assert_has(talk_said(t), "\"assigned\":{\"member\":1,\"generation\":8,\"partitions\":[{");
    (void)talk_ask(t, "{\"cmd\":\"lease\",\"member\":1}");
    talk_complete(t, talk_last(t), WEIR_OK, NULL);
    assert_null(strstr(talk_said(t), "assigned"));
    assert_refused(t, "{\"cmd\":\"join\",\"group\":\"g\",\"credit\":1}", "not-offered", "credit");
    assert_string_equal(talk_ask(t, "{\"cmd\":\"beat\",\"member\":1}"), "{\"ok\":true}");
    talk_free(t);
}

/* ---- Frames ----------------------------------------------------------------------------------- */

/* Says the frame; the answer, if there is one, stands at the front of t->frames. */
static weir_v1_frame frame_ask(talk *t, const weir_v1_frame *frame)
{
    weir_buffer out = {0};
    t->frames.len = 0;
    assert_int_equal(weir_v1_frame_encode(frame, &out), WEIR_OK);
    assert_int_equal(weir_v1_session_message(t->session, weir_buffer_bytes(&out), 0), WEIR_OK);
    weir_buffer_fini(&out);
    weir_v1_frame answer = {0};
    (void)weir_v1_frame_decode(weir_buffer_bytes(&t->frames), &answer);
    return answer;
}

static weir_v1_frame frame_said(talk *t)
{
    weir_v1_frame answer = {0};
    assert_int_equal(weir_v1_frame_decode(weir_buffer_bytes(&t->frames), &answer), WEIR_OK);
    return answer;
}

static void a_lease_batch_gives_the_batches_as_they_are_stored(void **state)
{
    const weir_v1_frame ask = {.type = WEIR_V1_FRAME_LEASE,
                               .request = 8,
                               .member = 1,
                               .records_max = 5,
                               .bytes_max = 1000,
                               .wait_ms = 10};
    weir_v1_frame_leased run;
    talk *t = talk_greeted();
    (void)join(t, WEIR_MODEL_QUEUE, 0, "");
    (void)state;
    (void)frame_ask(t, &ask);
    assert_int_equal(talk_last(t)->take.records_max, 5);
    give_two(t, talk_last(t));
    weir_v1_frame leased = frame_said(t);
    assert_int_equal(leased.type, WEIR_V1_FRAME_LEASED);
    assert_int_equal(leased.request, 8);
    assert_int_equal(leased.epoch, 5);
    assert_int_equal(leased.lease_ms, 30000);
    assert_int_equal(weir_v1_frame_run_take(&leased.runs, &run), WEIR_OK);
    assert_int_equal(run.first, 40);
    assert_int_equal(run.last, 41);
    assert_int_equal(run.lease, 9);
    assert_int_equal(run.leased, 2);
    assert_true(weir_bytes_equal(run.batch, chunk_make()->batch));
    assert_int_equal(weir_v1_frame_run_take(&leased.runs, &run), WEIR_EMPTY);
    talk_free(t);
}

static void ranges_that_came_at_most_once_are_accepted_already(void **state)
{
    const weir_v1_frame ask = {.type = WEIR_V1_FRAME_LEASE,
                               .request = 8,
                               .member = 1,
                               .records_max = 5,
                               .bytes_max = 1000};
    weir_v1_frame_leased run;
    weir_buffer ranges = {0};
    talk *t = talk_greeted();
    (void)join(t, WEIR_MODEL_QUEUE, 0, "");
    (void)state;
    (void)frame_ask(t, &ask);
    give_two_in(t, talk_last(t), WEIR_MODE_AT_MOST_ONCE);
    weir_v1_frame leased = frame_said(t);
    assert_int_equal(weir_v1_frame_run_take(&leased.runs, &run), WEIR_OK);
    assert_true(run.lease == (UINT64_C(1) << 63) + 9);
    const weir_settle_range range = {
        .topic = WEIR_TEXT("t"), .partition = 2, .first = 40, .last = 41, .lease = run.lease};
    assert_int_equal(weir_v1_frame_range_put(&ranges, &range), WEIR_OK);
    weir_v1_frame accept = {.type = WEIR_V1_FRAME_SETTLE,
                            .member = 1,
                            .request = 9,
                            .verb = WEIR_VERB_ACCEPT,
                            .epoch = 5,
                            .ranges = weir_buffer_bytes(&ranges)};
    weir_v1_frame settled = frame_ask(t, &accept);
    assert_int_equal(settled.type, WEIR_V1_FRAME_SETTLED);
    assert_int_equal(settled.request, 9);
    assert_int_equal(settled.settled, 0);
    assert_int_equal(settled.refused, 0);
    assert_int_equal(talk_last(t)->kind, FAKE_BEAT);
    accept.verb = WEIR_VERB_RELEASE;
    (void)frame_ask(t, &accept);
    assert_int_equal(talk_last(t)->kind, FAKE_SETTLE);
    weir_buffer_fini(&ranges);
    talk_free(t);
}

static void settle_ranges_are_settled_and_what_was_late_is_counted(void **state)
{
    const weir_settle_range range = {
        .topic = WEIR_TEXT("t"), .partition = 2, .first = 40, .last = 41, .lease = 9};
    const weir_completion late = {.settled = {.records = 1, .refused = 1, .level = WEIR_LEVEL_OS}};
    weir_buffer ranges = {0};
    talk *t = talk_greeted();
    (void)join(t, WEIR_MODEL_QUEUE, 0, "");
    (void)state;
    assert_int_equal(weir_v1_frame_range_put(&ranges, &range), WEIR_OK);
    weir_v1_frame ask = {.type = WEIR_V1_FRAME_SETTLE,
                         .request = 8,
                         .member = 1,
                         .verb = WEIR_VERB_RELEASE,
                         .flags = WEIR_V1_FRAME_FAILED | WEIR_V1_FRAME_QUIET,
                         .delay_ms = 5,
                         .epoch = 5,
                         .reason = WEIR_TEXT("busy"),
                         .ranges = weir_buffer_bytes(&ranges)};
    (void)frame_ask(t, &ask);
    fake_op *op = talk_last(t);
    assert_int_equal(op->settle.verb, WEIR_VERB_RELEASE);
    assert_true(op->settle.failed);
    assert_int_equal(op->settle.delay_ms, 5);
    assert_int_equal(op->settle.epoch, 5);
    assert_string_equal(op->value, "busy");
    assert_int_equal(op->ranges[0].last, 41);
    talk_complete(t, op, WEIR_LEASE_LOST, &late);
    weir_v1_frame settled = frame_said(t);
    assert_int_equal(settled.type, WEIR_V1_FRAME_SETTLED);
    assert_int_equal(settled.settled, 1);
    assert_int_equal(settled.refused, 1);
    (void)frame_ask(t, &ask);
    talk_complete(t, talk_last(t), WEIR_OK, NULL);
    assert_int_equal(t->frames.len, 0); /* it asked for no answer */
    ask.verb = 9;
    assert_int_equal(frame_ask(t, &ask).type, WEIR_V1_FRAME_ERROR);
    ask.verb = WEIR_VERB_ACCEPT;
    ask.member = 2;
    assert_true(weir_bytes_equal(frame_ask(t, &ask).code, WEIR_TEXT("not-found")));
    weir_buffer_fini(&ranges);
    talk_free(t);
}

static void names_and_reasons_with_control_characters_are_refused(void **state)
{
    const weir_settle_range range = {.topic = WEIR_TEXT("t"), .lease = 9};
    weir_buffer ranges = {0};
    talk *t = talk_greeted();
    (void)join(t, WEIR_MODEL_QUEUE, 0, "");
    (void)state;
    assert_refused(t, "{\"cmd\":\"join\",\"group\":\"g\",\"member\":\"\\u001b[31m\"}", "invalid",
                   "member");
    assert_refused(t, "{\"cmd\":\"join\",\"group\":\"g\",\"member\":\"a\302\233b\"}", "invalid",
                   "member");
    assert_refused(t, "{\"cmd\":\"join\",\"group\":\"g\",\"instance\":\"a\\nb\"}", "invalid",
                   "instance");
    assert_refused(t, SETTLE "\"reason\":\"two\\nlines\",\"records\":[" RECORD "]}", "invalid",
                   "reason");
    assert_int_equal(weir_v1_frame_range_put(&ranges, &range), WEIR_OK);
    const weir_v1_frame ask = {.type = WEIR_V1_FRAME_SETTLE,
                               .request = 8,
                               .member = 1,
                               .verb = WEIR_VERB_RELEASE,
                               .epoch = 5,
                               .reason = WEIR_TEXT("\033[31m"),
                               .ranges = weir_buffer_bytes(&ranges)};
    assert_true(weir_bytes_equal(frame_ask(t, &ask).code, WEIR_TEXT("invalid")));
    weir_buffer_fini(&ranges);
    talk_free(t);
}

/* ---- Leaving ---------------------------------------------------------------------------------- */

static void a_leave_is_answered_when_the_member_is_gone(void **state)
{
    talk *t = talk_greeted();
    weir_member *member = join(t, WEIR_MODEL_QUEUE, 0, "");
    (void)state;
    assert_string_equal(talk_ask(t, "{\"cmd\":\"leave\",\"id\":9,\"member\":1,\"orderly\":false}"),
                        "");
    assert_ptr_equal(talk_last(t)->member, member);
    assert_false(talk_last(t)->orderly);
    assert_refused(t, "{\"cmd\":\"beat\",\"member\":1}", "not-found", "member");
    talk_complete(t, talk_last(t), WEIR_OK, NULL);
    assert_string_equal(talk_said(t), "{\"id\":9,\"ok\":true}\n");
    talk_free(t);
}

static void goodbye_is_answered_when_members_have_left_in_order(void **state)
{
    talk *t = talk_greeted();
    (void)join(t, WEIR_MODEL_QUEUE, 0, "");
    (void)state;
    assert_string_equal(talk_ask(t, "{\"cmd\":\"goodbye\",\"id\":1}"), "");
    assert_int_equal(talk_last(t)->kind, FAKE_LEAVE);
    assert_true(talk_last(t)->orderly);
    talk_complete(t, talk_last(t), WEIR_OK, NULL);
    assert_string_equal(talk_said(t), "{\"id\":1,\"ok\":true}\n");
    talk_free(t);
}

static void a_connection_that_breaks_takes_its_members_along(void **state)
{
    talk *t = talk_greeted();
    (void)join(t, WEIR_MODEL_QUEUE, 0, "");
    (void)state;
    (void)talk_ask(t, "{\"cmd\":\"join\",\"group\":\"g\"}");
    fake_op *joining = talk_last(t);
    weir_v1_session_close(t->session);
    assert_int_equal(talk_last(t)->kind, FAKE_LEAVE);
    assert_false(talk_last(t)->orderly);
    talk_complete(t, talk_last(t), WEIR_OK, NULL);
    assert_false(weir_v1_session_idle(t->session));
    const weir_completion joined = {.joined = {.member = &handles[1], .model = WEIR_MODEL_QUEUE}};
    talk_complete(t, joining, WEIR_OK, &joined);
    assert_int_equal(talk_last(t)->kind, FAKE_LEAVE); /* it came too late, and leaves too */
    assert_ptr_equal(talk_last(t)->member, &handles[1]);
    assert_false(weir_v1_session_idle(t->session));
    talk_complete(t, talk_last(t), WEIR_OK, NULL);
    assert_true(weir_v1_session_idle(t->session));
    talk_free(t);
}

static void a_drain_ends_takes_and_lets_members_leave_in_order(void **state)
{
    talk *t = talk_greeted();
    (void)join(t, WEIR_MODEL_QUEUE, 0, ",\"credit\":5");
    (void)state;
    (void)weir_v1_session_turn(t->session);
    fake_op *take = talk_last(t);
    weir_v1_session_drain(t->session);
    assert_int_equal(talk_last(t)->kind, FAKE_TAKE_CANCEL);
    assert_false(weir_v1_session_idle(t->session));
    talk_complete(t, take, WEIR_OK, NULL);
    size_t count = t->port.count;
    (void)weir_v1_session_turn(t->session);
    assert_int_equal(t->port.count, count); /* none is begun again */
    assert_true(weir_v1_session_idle(t->session));
    (void)talk_ask(t, SETTLE "\"records\":[" RECORD "]}");
    assert_int_equal(talk_last(t)->kind, FAKE_SETTLE);
    talk_complete(t, talk_last(t), WEIR_OK, NULL);
    weir_v1_session_close(t->session);
    assert_int_equal(talk_last(t)->kind, FAKE_LEAVE);
    assert_true(talk_last(t)->orderly);
    talk_free(t);
}

static void a_port_without_room_is_tried_again(void **state)
{
    talk *t = talk_greeted();
    (void)state;
    t->port.room = 0;
    (void)talk_ask(t, "{\"cmd\":\"join\",\"group\":\"g\"}");
    assert_int_equal(t->port.count, 0);
    assert_true(weir_v1_session_wants_turn(t->session));
    t->port.room = 1;
    (void)weir_v1_session_turn(t->session);
    assert_int_equal(talk_last(t)->kind, FAKE_JOIN);
    const weir_completion joined = {.joined = {.member = &handles[0], .model = WEIR_MODEL_QUEUE}};
    talk_complete(t, talk_last(t), WEIR_OK, &joined);
    weir_v1_session_close(t->session); /* the leave finds none */
    assert_true(weir_v1_session_wants_turn(t->session));
    t->port.room = 1;
    (void)weir_v1_session_turn(t->session);
    assert_int_equal(talk_last(t)->kind, FAKE_LEAVE);
    talk_free(t);
}

/* ---- why -------------------------------------------------------------------------------------- */

static void the_story_of_a_record_is_told_line_by_line(void **state)
{
    weir_fate_line line = {.time_ms = 17,
                           .group = WEIR_TEXT("g"),
                           .fate = WEIR_FATE_ACCEPTED,
                           .event = WEIR_TEXT("accepted"),
                           .member = WEIR_TEXT("m"),
                           .origin = WEIR_TEXT("nng"),
                           .leased = 2,
                           .failed = 1};
    weir_standing standing = {.group = WEIR_TEXT("g"),
                              .kind = WEIR_STANDING_LEASED,
                              .until_ms = 99,
                              .member = WEIR_TEXT("m"),
                              .origin = WEIR_TEXT("nng"),
                              .leased = 2,
                              .failed = 1};
    const weir_completion why = {.why = {.lines = &line,
                                         .count = 1,
                                         .from_ms = 5,
                                         .left_out = 3,
                                         .standings = &standing,
                                         .standing_count = 1,
                                         .record = {.there = true,
                                                    .stored_ms = 16,
                                                    .key = {(const uint8_t *)"\xff", 1},
                                                    .value_bytes = 7}}};
    talk *t = talk_greeted();
    (void)state;
    (void)talk_ask(t, "{\"cmd\":\"why\",\"id\":1,\"topic\":\"t\",\"partition\":2,\"offset\":3,"
                      "\"group\":\"g\"}");
    assert_string_equal(talk_last(t)->topic, "t");
    assert_string_equal(talk_last(t)->name, "g");
    assert_int_equal(talk_last(t)->offset, 3);
    talk_complete(t, talk_last(t), WEIR_OK, &why);
    assert_string_equal(talk_said(t),
                        "{\"id\":1,\"ok\":true,\"lines\":[{\"time\":17,\"group\":\"g\","
                        "\"event\":\"accepted\",\"fate\":\"accepted\",\"member\":\"m\","
                        "\"origin\":\"nng\",\"leased\":2,\"failed\":1}],"
                        "\"groups\":[{\"state\":\"leased\",\"group\":\"g\",\"member\":\"m\","
                        "\"origin\":\"nng\",\"until\":99,\"leased\":2,\"failed\":1}],"
                        "\"record\":{\"stored\":16,\"key_base64\":\"/w==\",\"bytes\":7,"
                        "\"headers\":0},\"from\":5,\"left_out\":3}\n");
    (void)talk_ask(t, "{\"cmd\":\"why\",\"id\":1,\"topic\":\"t\",\"offset\":3}");
    talk_complete(t, talk_last(t), WEIR_OK, &(weir_completion){.why = {.damaged = true}});
    assert_string_equal(talk_said(t), "{\"id\":1,\"ok\":true,\"lines\":[],\"groups\":[],"
                                      "\"record\":null,\"from\":0,\"left_out\":0,"
                                      "\"damaged\":true}\n");
    assert_refused(t, "{\"cmd\":\"why\",\"topic\":\"t\"}", "invalid", "offset");
    (void)talk_ask(t, "{\"cmd\":\"why\",\"topic\":\"t\",\"offset\":3}");
    talk_complete(t, talk_last(t), WEIR_NOT_OFFERED, NULL);
    assert_has(talk_said(t), "\"code\":\"not-offered\"");
    talk_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_is_created_as_its_members_say),
        cmocka_unit_test(what_no_group_can_be_is_refused_by_its_field),
        cmocka_unit_test(each_reason_why_a_group_cannot_be_so_has_a_sentence_that_ends),
        cmocka_unit_test(the_longest_names_do_not_cut_a_sentence),
        cmocka_unit_test(a_reset_says_where_to),
        cmocka_unit_test(a_group_is_told_with_all_that_is_in_force),
        cmocka_unit_test(a_join_is_answered_with_the_members_number_and_terms),
        cmocka_unit_test(a_refused_join_says_what_is_in_force_and_leaves_nothing),
        cmocka_unit_test(a_session_holds_so_many_members_and_no_more),
        cmocka_unit_test(what_names_no_member_is_refused),
        cmocka_unit_test(a_lease_gives_records_with_their_tokens),
        cmocka_unit_test(a_member_that_is_out_is_told_and_forgotten),
        cmocka_unit_test(records_of_a_settle_become_ranges),
        cmocka_unit_test(what_was_handed_out_at_most_once_is_accepted_already),
        cmocka_unit_test(what_was_too_late_is_told_beside_what_was_settled),
        cmocka_unit_test(what_settles_nothing_is_refused),
        cmocka_unit_test(names_and_reasons_with_control_characters_are_refused),
        cmocka_unit_test(a_commit_accepts_up_to_the_offset_before),
        cmocka_unit_test(with_credit_records_are_pushed_as_long_as_it_lasts),
        cmocka_unit_test(a_push_that_fails_is_told_and_goes_on_with_new_credit),
        cmocka_unit_test(a_full_output_stops_the_push),
        cmocka_unit_test(what_a_member_owns_is_told_at_once),
        cmocka_unit_test(without_push_the_next_lease_tells_what_a_member_owns),
        cmocka_unit_test(a_lease_batch_gives_the_batches_as_they_are_stored),
        cmocka_unit_test(ranges_that_came_at_most_once_are_accepted_already),
        cmocka_unit_test(settle_ranges_are_settled_and_what_was_late_is_counted),
        cmocka_unit_test(a_leave_is_answered_when_the_member_is_gone),
        cmocka_unit_test(goodbye_is_answered_when_members_have_left_in_order),
        cmocka_unit_test(a_connection_that_breaks_takes_its_members_along),
        cmocka_unit_test(a_drain_ends_takes_and_lets_members_leave_in_order),
        cmocka_unit_test(a_port_without_room_is_tried_again),
        cmocka_unit_test(the_story_of_a_record_is_told_line_by_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
