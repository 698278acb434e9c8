/* Groups in the journal and in checkpoints: whatever happened to them, a start finds them as they
 * were, however many checkpoints, whole or not, lie between. */
#include "tests/unit/engine/group.h"

#include "core/engine/group.h"

enum { TOPICS = 4, GROUPS = 5, ROUNDS = 8, OPERATIONS = 50 };

typedef struct story {
    fixture f;
    unsigned random;
} story;

static unsigned dice(story *s)
{
    s->random = s->random * 1103515245u + 12345u;
    return s->random >> 16;
}

static void begin(story *s, unsigned seed)
{
    s->random = seed;
    fixture_prepare(&s->f);
    s->f.config.journal_file_bytes = 64 << 10;
    s->f.config.checkpoint_bytes = 1024; /* one after every few operations */
    s->f.config.sync = WEIR_SYNC_INLINE;
    fixture_open(&s->f);
}

static weir_err done_on(weir_port *port)
{
    weir_completion done = next_on(port);
    weir_err err = done.err;
    weir_completion_drop(&done);
    return err;
}

static void topic_operate(story *s, const char *topic)
{
    weir_port *port = s->f.port;
    weir_topic_options options = {.partitions = 1 + dice(s) % 3, .level = WEIR_LEVEL_OS};
    switch (dice(s) % 6) {
    case 0:
        assert_int_equal(weir_port_topic_create(port, weir_bytes_of(topic), &options, NULL, 0),
                         WEIR_OK);
        break;
    case 1:
        if (dice(s) % 3 != 0) {
            return;
        }
        assert_int_equal(weir_port_topic_delete(port, weir_bytes_of(topic), NULL, 0), WEIR_OK);
        break;
    case 2:
        options.level = WEIR_LEVEL_DEFAULT;
        assert_int_equal(weir_port_topic_alter(port, weir_bytes_of(topic), &options, NULL, 0),
                         WEIR_OK);
        break;
    case 3:
        assert_int_equal(weir_port_topic_trim(port, weir_bytes_of(topic), 0, dice(s) % 20, NULL, 0),
                         WEIR_OK);
        break;
    default: {
        char text[200];
        memset(text, 'v', sizeof(text));
        weir_publish record = {.topic = weir_bytes_of(topic),
                               .key = weir_bytes_of("k"),
                               .value = {(uint8_t *)text, sizeof(text)}};
        for (int i = 0; i < 4; i++) {
            assert_int_equal(weir_port_publish(port, &record, NULL, 0), WEIR_OK);
            (void)done_on(port);
        }
        return;
    }
    }
    (void)done_on(port);
}

static void group_operate(story *s, const char *group, const char *topic, weir_model model)
{
    weir_port *port = s->f.port;
    weir_group_options change = {.mode = dice(s) % 2 == 0 ? WEIR_MODE_AT_MOST_ONCE
                                                          : WEIR_MODE_AT_LEAST_ONCE,
                                 .session_ms = 1000 + dice(s) % 1000};
    weir_reset reset = {.group = weir_bytes_of(group),
                        .partition = -1,
                        .kind = (weir_reset_kind)(WEIR_RESET_BEGINNING + dice(s) % 2)};
    switch (dice(s) % 6) {
    case 0:
        (void)group_create(port, group, topic, model);
        break;
    case 1:
        (void)group_create_filter(port, group, "t/+", model);
        break;
    case 2:
        (void)group_alter(port, group, &change);
        break;
    case 3:
        if (dice(s) % 4 == 0) {
            (void)group_delete(port, group);
        }
        break;
    default:
        (void)group_reset(port, &reset);
        break;
    }
}

/* Time for a checkpoint's jobs. */
static void breathe(story *s)
{
    for (unsigned i = dice(s) % 6 == 0 ? 4 : 0; i > 0; i--) {
        (void)weir_port_wait(s->f.port, 1);
    }
}

static void operate(story *s, weir_model model)
{
    char topic[32], group[32];
    snprintf(topic, sizeof(topic), "t/%u", dice(s) % TOPICS);
    snprintf(group, sizeof(group), "g%u", dice(s) % GROUPS);
    if (dice(s) % 2 == 0) {
        topic_operate(s, topic);
    } else {
        group_operate(s, group, topic, model);
    }
}

static void assert_same_partition(const weir_group_partition *a, const weir_group_partition *b)
{
    assert_true(weir_bytes_equal(a->topic, b->topic));
    assert_int_equal(a->partition, b->partition);
    assert_int_equal(a->start, b->start);
    assert_int_equal(a->committed, b->committed);
    assert_int_equal(a->end, b->end);
    for (int fate = 0; fate < WEIR_FATE_COUNT; fate++) {
        assert_int_equal(a->fates[fate], b->fates[fate]);
    }
}

static void assert_same(const weir_groups *a, const weir_groups *b)
{
    assert_int_equal(a->count, b->count);
    for (uint32_t i = 0; i < a->count; i++) {
        const weir_group_info *left = &a->groups[i], *right = &b->groups[i];
        assert_true(weir_bytes_equal(left->name, right->name));
        assert_true(weir_group_options_allow(&left->options, &right->options));
        assert_int_equal(left->partition_count, right->partition_count);
        for (int fate = 0; fate < WEIR_FATE_COUNT; fate++) {
            assert_int_equal(left->fates[fate], right->fates[fate]);
        }
        for (uint32_t k = 0; k < left->partition_count; k++) {
            assert_same_partition(&left->partitions[k], &right->partitions[k]);
        }
    }
}

/* What is asked twice in a row: the second time nothing is on its way any more. */
static weir_completion settled(fixture *f)
{
    weir_completion done = {0};
    for (int i = 0; i < 3; i++) {
        weir_completion_drop(&done);
        done = groups_of(f->port, "");
        assert_int_equal(done.err, WEIR_OK);
    }
    return done;
}

static uint64_t checkpoints_of(const fixture *f)
{
    weir_stats stats;
    weir_engine_stats(f->engine, &stats);
    return stats.checkpoints;
}

static void run(unsigned seed, weir_model model, bool clean)
{
    story s;
    uint64_t checkpoints = 0;
    begin(&s, seed);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < OPERATIONS; i++) {
            operate(&s, model);
            breathe(&s);
        }
        weir_completion before = settled(&s.f);
        while (checkpoints + checkpoints_of(&s.f) <= (uint64_t)round) { /* a lane may be slow */
            operate(&s, model);
            (void)weir_port_wait(s.f.port, 1);
            weir_completion_drop(&before);
            before = settled(&s.f);
        }
        for (uint32_t i = 0; i < before.groups.count; i++) {
            char name[32];
            snprintf(name, sizeof(name), "%.*s", (int)before.groups.groups[i].name.len,
                     before.groups.groups[i].name.ptr);
            group_adds_up(s.f.port, name);
        }
        checkpoints += checkpoints_of(&s.f);
        clean &&round % 2 == 1 ? fixture_close(&s.f) : fixture_kill(&s.f);
        fixture_open(&s.f);
        weir_completion after = settled(&s.f);
        assert_same(&before.groups, &after.groups);
        weir_completion_drop(&before);
        weir_completion_drop(&after);
    }
    assert_true(checkpoints >= ROUNDS); /* some between the kills, too */
    fixture_end(&s.f);
}

static void stream_groups_are_found_as_they_were(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 2; seed++) {
        run(seed, WEIR_MODEL_STREAM, false);
    }
}

static void stream_groups_are_found_after_clean_stops(void **state)
{
    (void)state;
    run(11, WEIR_MODEL_STREAM, true);
}

static void queue_groups_are_found_as_they_were(void **state)
{
    (void)state;
    for (unsigned seed = 21; seed <= 22; seed++) {
        run(seed, WEIR_MODEL_QUEUE, seed % 2 == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stream_groups_are_found_as_they_were),
        cmocka_unit_test(stream_groups_are_found_after_clean_stops),
        cmocka_unit_test(queue_groups_are_found_as_they_were),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
