/* Members of groups in a weir.v1 session: join, lease, settle, leave. The port only remembers. */
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
    assert_int_equal(op->settle.range_count, 2);
    assert_int_equal(op->ranges[0].last, 41);
    assert_int_equal(op->ranges[0].partition, 2);
    assert_int_equal(op->ranges[1].last, -1); /* nothing was read */
    assert_string_equal(op->key, "m");
    const weir_completion settled = {.settled = {.records = 9, .level = WEIR_LEVEL_OS}};
    talk_complete(t, op, WEIR_OK, &settled);
    assert_string_equal(talk_said(t), "{\"id\":6,\"ok\":true,\"refused\":0,\"level\":\"os\"}\n");
    (void)talk_ask(t, "{\"cmd\":\"commit\",\"member\":1,\"offsets\":["
                      "{\"topic\":\"nope\",\"offset\":0}]}");
    talk_complete(t, talk_last(t), WEIR_NOT_FOUND, NULL);
    assert_has(talk_said(t), "\"not-found\"");
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

/* A worker that was killed while its lease waits: nobody could settle what would come. */
static void takes_of_a_peer_that_sends_nothing_more_end_at_once(void **state)
{
    talk *t = talk_greeted();
    (void)state;
    (void)join(t, WEIR_MODEL_QUEUE, 0, ",\"credit\":5");
    (void)weir_v1_session_turn(t->session);
    fake_op *pushed = talk_last(t);
    (void)join(t, WEIR_MODEL_QUEUE, 1, "");
    (void)talk_ask(t, "{\"cmd\":\"lease\",\"member\":2,\"wait_ms\":20000}");
    fake_op *leased = talk_last(t);
    assert_int_equal(pushed->kind, FAKE_TAKE);
    assert_int_equal(leased->kind, FAKE_TAKE);
    size_t before = t->port.count;
    weir_v1_session_silent(t->session);
    assert_int_equal(t->port.count, before + 2);
    assert_int_equal(t->port.ops[before].kind, FAKE_TAKE_CANCEL);
    assert_int_equal(t->port.ops[before + 1].kind, FAKE_TAKE_CANCEL);
    talk_complete(t, pushed, WEIR_OK, NULL);
    talk_complete(t, leased, WEIR_OK, NULL);
    (void)weir_v1_session_turn(t->session);
    assert_int_equal(t->port.count, before + 2); /* none is begun again */
    assert_true(weir_v1_session_idle(t->session));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
        cmocka_unit_test(takes_of_a_peer_that_sends_nothing_more_end_at_once),
        cmocka_unit_test(a_port_without_room_is_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
