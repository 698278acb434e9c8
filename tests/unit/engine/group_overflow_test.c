/* Queues that have more than they may: publishes are refused, or the oldest records that no member
 * has are dropped, or become dead letters. */
#include "tests/unit/engine/group_queue.h"

/* A queue topic "q" with these limits, and a topic for dead letters. */
static void limited_begin(fixture *f, uint32_t partitions, weir_group_options limits)
{
    weir_topic_options topic = {
        .partitions = partitions, .level = WEIR_LEVEL_OS, .kind = WEIR_KIND_QUEUE};
    queue_begin(f);
    declare(f->port, "dead", WEIR_LEVEL_OS);
    assert_int_equal(declare_with(f->port, "q", topic), WEIR_OK);
    assert_int_equal(group_alter(f->port, "q", &limits), WEIR_OK);
}

static weir_err publish_err(fixture *f, const char *value)
{
    return publish(f->port, "q", value).err;
}

static uint64_t fate_in(fixture *f, weir_fate fate)
{
    group_adds_up(f->port, "q");
    return group_fate(f->port, "q", fate);
}

/* What is decided comes in one of the next turns. */
static void wait_pending(fixture *f, uint64_t count)
{
    for (int64_t end = wait_end(); fate_in(f, WEIR_FATE_PENDING) != count; turn(f)) {
        if (!wait_goes_on(end)) {
            fail_msg("%d are pending", (int)fate_in(f, WEIR_FATE_PENDING));
        }
    }
}

static uint64_t stat_refused(fixture *f)
{
    weir_stats stats;
    weir_port_step(f->port);
    weir_engine_stats(f->engine, &stats);
    return stats.refused_queue;
}

/* ---- Refused ------------------------------------------------------------------------------------ */

static void a_full_queue_refuses_publishes_until_some_are_settled(void **state)
{
    static given held;
    fixture f;
    (void)state;
    limited_begin(&f, 1, (weir_group_options){.max_records = 3});
    publish_many(f.port, "q", 3);
    assert_int_equal(publish_err(&f, "one more"), WEIR_QUEUE_FULL);
    assert_int_equal(stat_refused(&f), 1);
    weir_member *member = join_group(f.port, "q", "m");
    assert_int_equal(take(&f, member, 2, &held), 2);
    assert_int_equal(publish_err(&f, "held ones count"), WEIR_QUEUE_FULL);
    assert_int_equal(settle_all(&f, member, &held, WEIR_VERB_ACCEPT), WEIR_OK);
    assert_int_equal(publish_err(&f, "fits"), WEIR_OK);
    assert_int_equal(publish_err(&f, "fits"), WEIR_OK);
    assert_int_equal(publish_err(&f, "one more"), WEIR_QUEUE_FULL);
    restart_from_copy(&f);
    assert_int_equal(publish_err(&f, "one more"), WEIR_QUEUE_FULL);
    weir_group_options more = {.max_records = 4};
    assert_int_equal(group_alter(f.port, "q", &more), WEIR_OK);
    assert_int_equal(publish_err(&f, "fits"), WEIR_OK);
    assert_int_equal(publish_err(&f, "one more"), WEIR_QUEUE_FULL);
    wait_pending(&f, 4);
    queue_end(&f);
}

static weir_err publish_expiring(fixture *f, const char *seconds)
{
    weir_header expiry = {WEIR_TEXT("expiry"), weir_bytes_of(seconds)};
    const weir_publish record = {
        .topic = WEIR_TEXT("q"), .value = WEIR_TEXT("v"), .headers = &expiry, .header_count = 1};
    return publish_record(f->port, &record).err;
}

/* With living ones before it, between them, and one that a member has. */
static void what_has_expired_takes_no_place_in_a_full_queue(void **state)
{
    static given held;
    fixture f;
    (void)state;
    limited_begin(&f, 1, (weir_group_options){.max_records = 5, .lease_ms = 3600000});
    assert_int_equal(publish_expiring(&f, "10"), WEIR_OK);
    weir_member *member = join_group(f.port, "q", "m");
    assert_int_equal(take(&f, member, 1, &held), 1); /* it is a member's: never taken from it */
    publish_many(f.port, "q", 1);
    assert_int_equal(publish_expiring(&f, "10"), WEIR_OK);
    assert_int_equal(publish_expiring(&f, "1000000"), WEIR_OK);
    assert_int_equal(publish_expiring(&f, "10"), WEIR_OK);
    assert_int_equal(publish_err(&f, "too much"), WEIR_QUEUE_FULL);
    pass_ms(&f, 11000);
    assert_int_equal(publish_err(&f, "in the place of 2"), WEIR_OK);
    assert_int_equal(publish_err(&f, "in the place of 4"), WEIR_OK);
    assert_int_equal(publish_err(&f, "too much"), WEIR_QUEUE_FULL);
    assert_int_equal(fate_in(&f, WEIR_FATE_EXPIRED), 2);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(fate_in(&f, WEIR_FATE_PENDING), 5);
        assert_int_equal(fate_in(&f, WEIR_FATE_EXPIRED), 2);
        if (round == 0) {
            restart_from_copy(&f);
        }
    }
    member = join_group(f.port, "q", "n");
    take_in_all(&f, member, 4, &held);
    const int64_t left[] = {1, 3, 5, 6};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(held.offsets[i], left[i]);
    }
    queue_end(&f);
}

/* More living ones stand before it than one look takes. */
static void looks_go_on_where_the_last_one_ended(void **state)
{
    fixture f;
    (void)state;
    limited_begin(&f, 1, (weir_group_options){.max_records = 3001});
    publish_many(f.port, "q", 3000);
    assert_int_equal(publish_expiring(&f, "1"), WEIR_OK);
    pass_ms(&f, 2000);
    int refused = 0;
    while (publish_err(&f, "v") == WEIR_QUEUE_FULL) {
        assert_true(refused++ < 10);
    }
    assert_true(refused >= 2);
    assert_int_equal(fate_in(&f, WEIR_FATE_EXPIRED), 1);
    assert_int_equal(fate_in(&f, WEIR_FATE_PENDING), 3001);
    queue_end(&f);
}

static void a_reset_behind_what_was_looked_at_loses_nothing(void **state)
{
    static given held;
    fixture f;
    weir_reset back = {.group = WEIR_TEXT("q"), .partition = -1, .kind = WEIR_RESET_BEGINNING};
    (void)state;
    limited_begin(&f, 1, (weir_group_options){.max_records = 1501});
    publish_many(f.port, "q", 1500);
    assert_int_equal(publish_expiring(&f, "1"), WEIR_OK);
    assert_int_equal(publish_err(&f, "too much"), WEIR_QUEUE_FULL); /* looks at the first 1,024 */
    assert_int_equal(group_reset(f.port, &back), WEIR_OK);
    pass_ms(&f, 2000);
    for (int i = 0; publish_err(&f, "in its place") == WEIR_QUEUE_FULL; i++) {
        assert_true(i < 10);
    }
    assert_int_equal(fate_in(&f, WEIR_FATE_EXPIRED), 1);
    assert_int_equal(fate_in(&f, WEIR_FATE_PENDING), 1501);
    weir_member *member = join_group(f.port, "q", "n");
    take_in_all(&f, member, 1501, &held);
    assert_int_equal(held.offsets[0], 0);
    queue_end(&f);
}

static void publishes_of_one_turn_are_counted_as_they_come(void **state)
{
    fixture f;
    (void)state;
    limited_begin(&f, 4, (weir_group_options){.max_records = 5});
    weir_publish record = {.name = WEIR_TEXT("q"), .value = WEIR_TEXT("v")};
    for (uint64_t i = 0; i < 12; i++) {
        record.publisher = i + 1; /* to all partitions */
        assert_int_equal(weir_port_publish(f.port, &record, NULL, i), WEIR_OK);
    }
    for (int i = 0; i < 12; i++) {
        weir_completion done = next_of(f.port, WEIR_COMPLETION_PUBLISH);
        assert_int_equal(done.err, done.token < 5 ? WEIR_OK : WEIR_QUEUE_FULL);
    }
    wait_pending(&f, 5);
    queue_end(&f);
}

static void bytes_are_given_back_by_what_is_settled(void **state)
{
    static given held;
    fixture f;
    char value[1001];
    (void)state;
    memset(value, 'v', 1000);
    value[1000] = '\0';
    limited_begin(&f, 1, (weir_group_options){.max_bytes = 10000});
    int stored = 0;
    while (publish_err(&f, value) == WEIR_OK) {
        stored++;
    }
    assert_true(stored >= 8 && stored <= 10);
    weir_member *member = join_group(f.port, "q", "m");
    for (int round = 0; round < 3; round++) { /* a restart learns it from what is stored */
        assert_int_equal(take(&f, member, 4, &held), 4);
        assert_int_equal(publish_err(&f, value), WEIR_QUEUE_FULL);
        assert_int_equal(settle_all(&f, member, &held, WEIR_VERB_ACCEPT), WEIR_OK);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(publish_err(&f, value), WEIR_OK);
        }
        (void)publish_err(&f, value);
        assert_int_equal(publish_err(&f, value), WEIR_QUEUE_FULL);
        leave(&f, member, true);
        restart(&f, round == 0);
        member = join_group(f.port, "q", "m");
    }
    queue_end(&f);
}

static void limits_that_cannot_be_are_refused(void **state)
{
    weir_bytes topics[] = {WEIR_TEXT("log")};
    weir_group_options options = {
        .model = WEIR_MODEL_QUEUE, .max_records = 3, .topics = topics, .topic_count = 1};
    fixture f;
    (void)state;
    limited_begin(&f, 1, (weir_group_options){.max_records = 3});
    declare(f.port, "log", WEIR_LEVEL_OS);
    assert_int_equal(group_create_with(f.port, "g", &options), WEIR_INVALID); /* would refuse */
    options.overflow = WEIR_OVERFLOW_DEAD_LETTER;
    assert_int_equal(group_create_with(f.port, "g", &options), WEIR_INVALID); /* to where? */
    options.dead_letter = WEIR_TEXT("dead");
    assert_int_equal(group_create_with(f.port, "g", &options), WEIR_OK);
    weir_group_options none = {.dead_letter = {(const uint8_t *)"", 0}};
    assert_int_equal(group_alter(f.port, "g", &none), WEIR_INVALID);
    weir_group_options filtered = {.model = WEIR_MODEL_QUEUE,
                                   .max_records = 3,
                                   .overflow = WEIR_OVERFLOW_DROP_OLDEST,
                                   .filter = WEIR_TEXT("log/+")};
    assert_int_equal(group_create_with(f.port, "h", &filtered), WEIR_INVALID);
    weir_group_options stream = {.max_records = 3, .topics = topics, .topic_count = 1};
    assert_int_equal(group_create_with(f.port, "s", &stream), WEIR_INVALID);
    queue_end(&f);
}

/* A group that cannot have its own topic's letters: made or changed. */
static void letters_that_would_come_back_are_refused(void **state)
{
    weir_bytes topics[] = {WEIR_TEXT("log"), WEIR_TEXT("dead")};
    weir_group_options options = {.model = WEIR_MODEL_QUEUE,
                                  .topics = topics,
                                  .topic_count = 2,
                                  .dead_letter = WEIR_TEXT("dead")};
    weir_group_options own = {.dead_letter = WEIR_TEXT("q")};
    weir_group_options log = {.dead_letter = WEIR_TEXT("log")};
    fixture f;
    (void)state;
    limited_begin(&f, 1, (weir_group_options){.max_records = 3});
    declare(f.port, "log", WEIR_LEVEL_OS);
    assert_int_equal(group_alter(f.port, "q", &own), WEIR_INVALID);
    assert_int_equal(group_create_with(f.port, "g", &options), WEIR_INVALID);
    options.model = WEIR_MODEL_STREAM;
    assert_int_equal(group_create_with(f.port, "g", &options), WEIR_INVALID);
    options.topic_count = 1;
    assert_int_equal(group_create_with(f.port, "g", &options), WEIR_OK);
    assert_int_equal(group_alter(f.port, "g", &log), WEIR_INVALID);
    weir_group_options filtered = {.filter = WEIR_TEXT("#"), .dead_letter = WEIR_TEXT("dead")};
    assert_int_equal(group_create_with(f.port, "h", &filtered), WEIR_INVALID);
    filtered.dead_letter = WEIR_TEXT("q"); /* filters pass queues by */
    assert_int_equal(group_create_with(f.port, "h", &filtered), WEIR_OK);
    assert_int_equal(group_alter(f.port, "h", &log), WEIR_INVALID);
    filtered.dead_letter = WEIR_TEXT("dead");
    filtered.filter = WEIR_TEXT("+/b"); /* a letter keeps its key: dead/b */
    assert_int_equal(group_create_with(f.port, "i", &filtered), WEIR_INVALID);
    filtered.filter = WEIR_TEXT("dead/+");
    assert_int_equal(group_create_with(f.port, "i", &filtered), WEIR_INVALID);
    filtered.filter = WEIR_TEXT("log/#");
    assert_int_equal(group_create_with(f.port, "i", &filtered), WEIR_OK);
    queue_end(&f);
}

/* ---- Dropped ------------------------------------------------------------------------------------ */

static void the_oldest_that_no_member_has_are_dropped(void **state)
{
    static given held, rest;
    fixture f;
    (void)state;
    limited_begin(&f, 1,
                  (weir_group_options){.max_records = 5, .overflow = WEIR_OVERFLOW_DROP_OLDEST});
    publish_many(f.port, "q", 5);
    weir_member *member = join_group(f.port, "q", "m");
    assert_int_equal(take(&f, member, 2, &held), 2); /* 0, 1 */
    publish_many(f.port, "q", 4);                    /* 5 to 8: 2 to 5 go */
    wait_pending(&f, 5);
    assert_int_equal(fate_in(&f, WEIR_FATE_DROPPED), 4);
    assert_int_equal(take(&f, member, 10, &rest), 3);
    assert_offsets(&rest, 6, 3);
    assert_int_equal(settle_all(&f, member, &held, WEIR_VERB_ACCEPT), WEIR_OK);
    publish_many(f.port, "q", 3); /* 9 to 11, and 9 goes: 6 to 8 are held */
    wait_pending(&f, 5);
    assert_int_equal(fate_in(&f, WEIR_FATE_DROPPED), 5);
    restart_from_copy(&f);
    assert_int_equal(fate_in(&f, WEIR_FATE_DROPPED), 5);
    wait_pending(&f, 5);
    queue_end(&f);
}

static void what_is_given_back_beyond_the_limit_is_dropped_then(void **state)
{
    static given held;
    fixture f;
    (void)state;
    limited_begin(&f, 1,
                  (weir_group_options){.max_records = 4, .overflow = WEIR_OVERFLOW_DROP_OLDEST});
    publish_many(f.port, "q", 4);
    weir_member *member = join_group(f.port, "q", "m");
    assert_int_equal(take(&f, member, 4, &held), 4);
    publish_many(f.port, "q", 3); /* nothing else can go */
    wait_pending(&f, 4);
    assert_int_equal(fate_in(&f, WEIR_FATE_DROPPED), 3);
    weir_group_options fewer = {.max_records = 2};
    assert_int_equal(group_alter(f.port, "q", &fewer), WEIR_OK);
    wait_pending(&f, 4); /* they are held */
    assert_int_equal(settle_all(&f, member, &held, WEIR_VERB_RELEASE), WEIR_OK);
    wait_pending(&f, 2);
    assert_int_equal(take(&f, member, 4, &held), 2);
    assert_offsets(&held, 2, 2);
    queue_end(&f);
}

static void of_several_partitions_the_one_with_most_gives(void **state)
{
    fixture f;
    (void)state;
    limited_begin(&f, 3,
                  (weir_group_options){.max_records = 9, .overflow = WEIR_OVERFLOW_DROP_OLDEST});
    weir_publish record = {.name = WEIR_TEXT("q/one key"), .value = WEIR_TEXT("v")};
    for (int i = 0; i < 9; i++) {
        assert_int_equal(publish_record(f.port, &record).err, WEIR_OK);
    }
    publish_many(f.port, "q", 6);
    wait_pending(&f, 9);
    assert_int_equal(fate_in(&f, WEIR_FATE_DROPPED), 6);
    queue_end(&f);
}

/* No more than that become so few, and they stay. */
static void left_between(fixture *f, uint64_t least, uint64_t most)
{
    int64_t end = wait_end();
    while (fate_in(f, WEIR_FATE_PENDING) > most && wait_goes_on(end)) {
        turn(f);
    }
    for (int i = 0; i < 20; i++) {
        weir_port_step(f->port);
    }
    uint64_t left = fate_in(f, WEIR_FATE_PENDING);
    if (left < least || left > most) {
        fail_msg("%d are left", (int)left);
    }
}

static void bytes_that_are_too_many_are_dropped(void **state)
{
    fixture f;
    char value[501];
    (void)state;
    memset(value, 'v', 500);
    value[500] = '\0';
    limited_begin(&f, 1,
                  (weir_group_options){.max_bytes = 20000, .overflow = WEIR_OVERFLOW_DROP_OLDEST});
    for (int i = 0; i < 300; i++) {
        assert_int_equal(publish_err(&f, value), WEIR_OK);
    }
    left_between(&f, 25, 40); /* a record takes 560 bytes as a batch of its own */
    restart(&f, true);
    weir_group_options fewer = {.max_bytes = 10000};
    assert_int_equal(group_alter(f.port, "q", &fewer), WEIR_OK);
    left_between(&f, 10, 20);
    queue_end(&f);
}

static void a_group_over_a_log_topic_drops_what_is_its_own(void **state)
{
    weir_bytes topics[] = {WEIR_TEXT("log")};
    weir_group_options options = {.model = WEIR_MODEL_QUEUE,
                                  .max_records = 3,
                                  .overflow = WEIR_OVERFLOW_DROP_OLDEST,
                                  .topics = topics,
                                  .topic_count = 1};
    fixture f;
    (void)state;
    queue_begin(&f);
    declare(f.port, "log", WEIR_LEVEL_DISK);
    assert_int_equal(group_create_with(f.port, "q", &options), WEIR_OK);
    assert_int_equal(group_create(f.port, "other", "log", WEIR_MODEL_QUEUE), WEIR_OK);
    publish_many(f.port, "log", 10);
    wait_pending(&f, 3);
    assert_int_equal(fate_in(&f, WEIR_FATE_DROPPED), 7);
    assert_int_equal(group_fate(f.port, "other", WEIR_FATE_PENDING), 10);
    assert_record(f.port, "log", 0, NULL, "v");
    queue_end(&f);
}

/* ---- Dead letters ------------------------------------------------------------------------------- */

static void the_oldest_become_dead_letters_that_say_why(void **state)
{
    fixture f;
    (void)state;
    limited_begin(&f, 1,
                  (weir_group_options){.max_records = 3,
                                       .overflow = WEIR_OVERFLOW_DEAD_LETTER,
                                       .dead_letter = WEIR_TEXT("dead")});
    publish_many(f.port, "q", 10);
    wait_pending(&f, 3);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(fate_in(&f, WEIR_FATE_DEAD_LETTERED), 7);
        assert_record(f.port, "dead", 6, NULL, "v");
        weir_completion done = fetch(f.port, "dead", 0, 0, 0);
        weir_record record;
        weir_header header;
        weir_chunk_record(done.fetched.runs[0].chunk, done.fetched.runs[0].first, &record);
        assert_true(weir_record_header(&record, "weir-dead-reason", &header));
        assert_true(weir_bytes_equal(header.value, WEIR_TEXT("overflow")));
        assert_true(weir_record_header(&record, "weir-dead-offset", &header));
        assert_true(weir_bytes_equal(header.value, WEIR_TEXT("0")));
        weir_completion_drop(&done);
        restart_from_copy(&f);
    }
    queue_end(&f);
}

/* They have left memory: a job reads them. */
static void what_lies_on_disk_only_becomes_a_dead_letter(void **state)
{
    fixture f;
    (void)state;
    limited_begin(&f, 1, (weir_group_options){.dead_letter = WEIR_TEXT("dead")});
    publish_many(f.port, "q", 50);
    restart(&f, false);
    weir_group_options limits = {.max_records = 5, .overflow = WEIR_OVERFLOW_DEAD_LETTER};
    assert_int_equal(group_alter(f.port, "q", &limits), WEIR_OK);
    wait_pending(&f, 5);
    assert_int_equal(fate_in(&f, WEIR_FATE_DEAD_LETTERED), 45);
    queue_end(&f);
}

static void without_a_dead_letter_topic_they_are_dropped(void **state)
{
    fixture f;
    (void)state;
    limited_begin(&f, 1,
                  (weir_group_options){.max_records = 2,
                                       .overflow = WEIR_OVERFLOW_DEAD_LETTER,
                                       .dead_letter = WEIR_TEXT("dead")});
    assert_int_equal(topic_delete(f.port, "dead"), WEIR_OK);
    publish_many(f.port, "q", 5);
    wait_pending(&f, 2);
    assert_int_equal(fate_in(&f, WEIR_FATE_DROPPED), 3);
    queue_end(&f);
}

/* The letters' topic is a queue that is full: they stay where they are until it has room. */
static void a_full_queue_of_dead_letters_holds_them_up(void **state)
{
    static given held;
    fixture f;
    (void)state;
    limited_begin(&f, 1, (weir_group_options){.max_records = 2});
    weir_topic_options topic = {.partitions = 1, .level = WEIR_LEVEL_OS, .kind = WEIR_KIND_QUEUE};
    weir_group_options spills = {
        .max_records = 1, .overflow = WEIR_OVERFLOW_DEAD_LETTER, .dead_letter = WEIR_TEXT("q")};
    assert_int_equal(declare_with(f.port, "first", topic), WEIR_OK);
    assert_int_equal(group_alter(f.port, "first", &spills), WEIR_OK);
    publish_many(f.port, "first", 5); /* 2 letters, 2 that wait, 1 that may stay */
    wait_pending(&f, 2);
    pass_ms(&f, 1000);
    assert_int_equal(group_fate(f.port, "first", WEIR_FATE_PENDING), 3);
    weir_member *member = join_group(f.port, "q", "m");
    assert_int_equal(take(&f, member, 2, &held), 2);
    assert_int_equal(settle_all(&f, member, &held, WEIR_VERB_ACCEPT), WEIR_OK);
    for (int64_t end = wait_end(); group_fate(f.port, "first", WEIR_FATE_PENDING) > 1; turn(&f)) {
        assert_true(wait_goes_on(end));
        pass_ms(&f, 500);
    }
    wait_pending(&f, 2);
    assert_int_equal(fate_in(&f, WEIR_FATE_ACCEPTED), 2);
    queue_end(&f);
}

static uint64_t pending_of(fixture *f, const char *group)
{
    return group_fate(f->port, group, WEIR_FATE_PENDING);
}

static void wait_pending_of(fixture *f, const char *group, uint64_t count)
{
    for (int64_t end = wait_end(); pending_of(f, group) != count; turn(f)) {
        if (!wait_goes_on(end)) {
            fail_msg("%d of %s are pending", (int)pending_of(f, group), group);
        }
    }
}

static void a_group_that_finds_too_much_begins_to_drop_at_once(void **state)
{
    weir_bytes topics[] = {WEIR_TEXT("log")};
    weir_group_options options = {.model = WEIR_MODEL_QUEUE,
                                  .topics = topics,
                                  .topic_count = 1,
                                  .max_records = 2,
                                  .overflow = WEIR_OVERFLOW_DROP_OLDEST,
                                  .dead_letter = WEIR_TEXT("dead")};
    weir_reset again = {.group = WEIR_TEXT("g"), .partition = -1, .kind = WEIR_RESET_BEGINNING};
    fixture f;
    (void)state;
    queue_begin(&f);
    declare(f.port, "log", WEIR_LEVEL_OS);
    declare(f.port, "dead", WEIR_LEVEL_OS);
    publish_many(f.port, "log", 6);
    assert_int_equal(group_create_with(f.port, "g", &options), WEIR_OK);
    wait_pending_of(&f, "g", 2);
    assert_int_equal(group_fate(f.port, "g", WEIR_FATE_DROPPED), 4);
    assert_int_equal(group_reset(f.port, &again), WEIR_OK);
    wait_pending_of(&f, "g", 2);
    options.overflow = WEIR_OVERFLOW_DEAD_LETTER;
    assert_int_equal(group_create_with(f.port, "h", &options), WEIR_OK);
    wait_pending_of(&f, "h", 2);
    assert_int_equal(group_fate(f.port, "h", WEIR_FATE_DEAD_LETTERED), 4);
    restart(&f, true);
    assert_int_equal(pending_of(&f, "h"), 2);
    queue_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_queue_refuses_publishes_until_some_are_settled),
        cmocka_unit_test(what_has_expired_takes_no_place_in_a_full_queue),
        cmocka_unit_test(looks_go_on_where_the_last_one_ended),
        cmocka_unit_test(a_reset_behind_what_was_looked_at_loses_nothing),
        cmocka_unit_test(publishes_of_one_turn_are_counted_as_they_come),
        cmocka_unit_test(bytes_are_given_back_by_what_is_settled),
        cmocka_unit_test(limits_that_cannot_be_are_refused),
        cmocka_unit_test(letters_that_would_come_back_are_refused),
        cmocka_unit_test(a_group_that_finds_too_much_begins_to_drop_at_once),
        cmocka_unit_test(the_oldest_that_no_member_has_are_dropped),
        cmocka_unit_test(what_is_given_back_beyond_the_limit_is_dropped_then),
        cmocka_unit_test(of_several_partitions_the_one_with_most_gives),
        cmocka_unit_test(bytes_that_are_too_many_are_dropped),
        cmocka_unit_test(a_group_over_a_log_topic_drops_what_is_its_own),
        cmocka_unit_test(the_oldest_become_dead_letters_that_say_why),
        cmocka_unit_test(what_lies_on_disk_only_becomes_a_dead_letter),
        cmocka_unit_test(without_a_dead_letter_topic_they_are_dropped),
        cmocka_unit_test(a_full_queue_of_dead_letters_holds_them_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
