/* Groups in a weir.v1 session: created, altered, reset, told; why. The port only remembers. */
#include "tests/unit/proto_weir1/said.h"

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
        cmocka_unit_test(the_story_of_a_record_is_told_line_by_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
