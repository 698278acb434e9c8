/* Groups as they are declared: created, compared, altered, deleted, forgotten; and where they are. */
#include "tests/unit/engine/group.h"
#include "tests/unit/engine/life.h"

static void setup(fixture *f)
{
    fixture_begin(f);
    declare(f->port, "a", WEIR_LEVEL_OS);
    declare(f->port, "b", WEIR_LEVEL_OS);
}

static void words_are_what_they_parse_from(void **state)
{
    (void)state;
    weir_model model = WEIR_MODEL_DEFAULT;
    weir_mode mode = WEIR_MODE_DEFAULT;
    weir_fate fate = WEIR_FATE_PENDING;
    weir_group_place place = WEIR_PLACE_DEFAULT;
    for (int i = WEIR_MODEL_STREAM; i <= WEIR_MODEL_QUEUE; i++) {
        assert_int_equal(weir_model_parse(weir_bytes_of(weir_model_name((weir_model)i)), &model),
                         WEIR_OK);
        assert_int_equal(model, i);
    }
    for (int i = WEIR_MODE_AT_MOST_ONCE; i <= WEIR_MODE_CLIENT_COMMIT; i++) {
        assert_int_equal(weir_mode_parse(weir_bytes_of(weir_mode_name((weir_mode)i)), &mode),
                         WEIR_OK);
        assert_int_equal(mode, i);
    }
    for (int i = WEIR_FATE_PENDING; i < WEIR_FATE_COUNT; i++) {
        assert_int_equal(weir_fate_parse(weir_bytes_of(weir_fate_name((weir_fate)i)), &fate),
                         WEIR_OK);
        assert_int_equal(fate, i);
    }
    for (int i = WEIR_PLACE_BEGINNING; i <= WEIR_PLACE_ERROR; i++) {
        const char *name = weir_group_place_name((weir_group_place)i);
        assert_int_equal(weir_group_place_parse(weir_bytes_of(name), &place), WEIR_OK);
        assert_int_equal(place, i);
    }
    assert_int_equal(weir_model_parse(weir_bytes_of("default"), &model), WEIR_INVALID);
    assert_int_equal(weir_mode_parse(weir_bytes_of("twice"), &mode), WEIR_INVALID);
    assert_string_equal(weir_fate_name(WEIR_FATE_COUNT), "unknown");
}

static void names_of_groups_have_no_levels_and_no_wildcards(void **state)
{
    (void)state;
    const char *good[] = {"g", "team one", "\xc3\xa9"};
    const char *bad[] = {"", "$g", "a/b", "a+", "#", "a\x01", "\xff", "\xc2\x80"};
    char longest[WEIR_GROUP_BYTES_MAX + 2];
    memset(longest, 'g', sizeof(longest));
    longest[WEIR_GROUP_BYTES_MAX] = '\0';
    assert_int_equal(weir_group_name_check(weir_bytes_of(longest)), WEIR_OK);
    longest[WEIR_GROUP_BYTES_MAX] = 'g';
    assert_int_equal(
        weir_group_name_check((weir_bytes){(uint8_t *)longest, WEIR_GROUP_BYTES_MAX + 1}),
        WEIR_NAME_INVALID);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(weir_group_name_check(weir_bytes_of(good[i])), WEIR_OK);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(weir_group_name_check(weir_bytes_of(bad[i])), WEIR_NAME_INVALID);
    }
}

static void a_group_is_told_with_its_defaults_filled_in(void **state)
{
    fixture f;
    (void)state;
    setup(&f);
    assert_int_equal(group_create(f.port, "g", "a", WEIR_MODEL_DEFAULT), WEIR_OK);
    assert_int_equal(group_create(f.port, "q", "a", WEIR_MODEL_QUEUE), WEIR_OK);
    weir_completion done = groups_of(f.port, "");
    assert_int_equal(done.groups.count, 2);
    const weir_group_info *stream = &done.groups.groups[0];
    const weir_group_info *queue = &done.groups.groups[1];
    assert_true(weir_bytes_equal(stream->name, weir_bytes_of("g")));
    assert_int_equal(stream->options.model, WEIR_MODEL_STREAM);
    assert_int_equal(stream->options.mode, WEIR_MODE_AT_LEAST_ONCE);
    assert_int_equal(stream->options.start, WEIR_PLACE_BEGINNING);
    assert_int_equal(stream->options.session_ms, 45000);
    assert_int_equal(stream->options.lease_ms, 0); /* not of its model */
    assert_int_equal(queue->options.lease_ms, 30000);
    assert_int_equal(queue->options.delivery_limit, 5);
    assert_int_equal(stream->options.topic_count, 1);
    assert_true(weir_bytes_equal(stream->options.topics[0], weir_bytes_of("a")));
    assert_int_equal(stream->partition_count, 1);
    weir_completion_drop(&done);
    fixture_end(&f);
}

static void a_second_create_is_ok_when_it_asks_for_the_same(void **state)
{
    fixture f;
    (void)state;
    setup(&f);
    weir_bytes topics[] = {weir_bytes_of("a"), weir_bytes_of("b")};
    weir_bytes other[] = {weir_bytes_of("b"), weir_bytes_of("a")};
    weir_group_options options = {.topics = topics, .topic_count = 2};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(weir_port_group_create(f.port, WEIR_TEXT("g"), &options, NULL, 5),
                         WEIR_OK);
        weir_completion done = next_of(f.port, WEIR_COMPLETION_GROUP);
        assert_int_equal(done.err, WEIR_OK);
        assert_int_equal(done.groups.created, i == 0); /* it tells what it did */
        weir_completion_drop(&done);
        options.topics = other;
    }
    options.mode = WEIR_MODE_AT_MOST_ONCE;
    assert_int_equal(group_create_with(f.port, "g", &options), WEIR_EXISTS);
    options.mode = WEIR_MODE_DEFAULT;
    options.session_ms = 2000;
    assert_int_equal(group_create_with(f.port, "g", &options), WEIR_EXISTS);
    options.session_ms = 45000;
    assert_int_equal(group_create_with(f.port, "g", &options), WEIR_OK);
    options.topic_count = 1;
    assert_int_equal(group_create_with(f.port, "g", &options), WEIR_EXISTS);
    fixture_end(&f);
}

static void what_no_group_can_be_is_refused(void **state)
{
    fixture f;
    (void)state;
    setup(&f);
    weir_bytes topics[] = {weir_bytes_of("a"), weir_bytes_of("a")};
    weir_group_options options = {.topics = topics, .topic_count = 1};
    weir_group_options tried = options;
    assert_int_equal(group_create(f.port, "g", "nowhere", WEIR_MODEL_STREAM), WEIR_NOT_FOUND);
    assert_int_equal(group_create_filter(f.port, "g", "a/#/b", WEIR_MODEL_STREAM),
                     WEIR_NAME_INVALID);
    assert_int_equal(group_create(f.port, "a/b", "a", WEIR_MODEL_STREAM), WEIR_NAME_INVALID);
    tried.topic_count = 2; /* twice the same */
    assert_int_equal(group_create_with(f.port, "g", &tried), WEIR_INVALID);
    tried = (weir_group_options){0}; /* neither topics nor a filter */
    assert_int_equal(group_create_with(f.port, "g", &tried), WEIR_INVALID);
    tried = options;
    tried.lease_ms = 1000; /* of a queue */
    assert_int_equal(group_create_with(f.port, "g", &tried), WEIR_INVALID);
    tried = options;
    tried.session_ms = 1; /* below the least */
    assert_int_equal(group_create_with(f.port, "g", &tried), WEIR_INVALID);
    tried = options;
    tried.mode = WEIR_MODE_EXACTLY_ONCE;
    assert_int_equal(group_create_with(f.port, "g", &tried), WEIR_NOT_OFFERED);
    tried.mode = WEIR_MODE_CLIENT_COMMIT;
    tried.model = WEIR_MODEL_QUEUE;
    assert_int_equal(group_create_with(f.port, "g", &tried), WEIR_INVALID);
    tried = options;
    tried.dead_letter = weir_bytes_of("nowhere");
    assert_int_equal(group_create_with(f.port, "g", &tried), WEIR_NOT_FOUND);
    tried = options;
    tried.filter = weir_bytes_of("a/#"); /* both */
    assert_int_equal(weir_port_group_create(f.port, weir_bytes_of("g"), &tried, NULL, 0),
                     WEIR_INVALID);
    weir_completion done = groups_of(f.port, "");
    assert_int_equal(done.groups.count, 0);
    weir_completion_drop(&done);
    fixture_end(&f);
}

static void alter_changes_what_it_names_and_no_model(void **state)
{
    fixture f;
    (void)state;
    setup(&f);
    assert_int_equal(group_create(f.port, "g", "a", WEIR_MODEL_QUEUE), WEIR_OK);
    weir_group_options change = {
        .mode = WEIR_MODE_AT_MOST_ONCE, .lease_ms = -1, .dead_letter = weir_bytes_of("b")};
    assert_int_equal(group_alter(f.port, "g", &change), WEIR_OK);
    weir_completion done = group_of(f.port, "g");
    const weir_group_options *is = &done.groups.groups[0].options;
    assert_int_equal(is->mode, WEIR_MODE_AT_MOST_ONCE);
    assert_int_equal(is->lease_ms, -1);
    assert_int_equal(is->delivery_limit, 5);
    assert_true(weir_bytes_equal(is->dead_letter, weir_bytes_of("b")));
    weir_completion_drop(&done);
    change = (weir_group_options){.dead_letter = {(const uint8_t *)"", 0}}; /* none any more */
    assert_int_equal(group_alter(f.port, "g", &change), WEIR_OK);
    done = group_of(f.port, "g");
    assert_null(done.groups.groups[0].options.dead_letter.ptr);
    weir_completion_drop(&done);
    for (int64_t delay_ms = 5000; delay_ms >= 0; delay_ms -= 5000) { /* and none any more */
        change = (weir_group_options){.retry_delay_ms = delay_ms > 0 ? delay_ms : WEIR_GROUP_ZERO};
        assert_int_equal(group_alter(f.port, "g", &change), WEIR_OK);
        done = group_of(f.port, "g");
        assert_int_equal(done.groups.groups[0].options.retry_delay_ms, delay_ms);
        weir_completion_drop(&done);
    }
    const weir_bytes a = weir_bytes_of("a");
    change.topics = &a;
    change.topic_count = 1;
    change.model = WEIR_MODEL_QUEUE;
    assert_int_equal(group_create_with(f.port, "g", &change), WEIR_OK); /* it is so */
    assert_int_equal(group_create_with(f.port, "made", &change), WEIR_OK);
    change.retry_delay_ms = -2;
    assert_int_equal(group_create_with(f.port, "wrong", &change), WEIR_INVALID);
    change = (weir_group_options){.model = WEIR_MODEL_STREAM};
    assert_int_equal(group_alter(f.port, "g", &change), WEIR_INVALID);
    change = (weir_group_options){.filter = weir_bytes_of("#")};
    assert_int_equal(group_alter(f.port, "g", &change), WEIR_INVALID);
    change = (weir_group_options){.dead_letter = weir_bytes_of("nowhere")};
    assert_int_equal(group_alter(f.port, "g", &change), WEIR_NOT_FOUND);
    assert_int_equal(group_alter(f.port, "other", &change), WEIR_NOT_FOUND);
    fixture_end(&f);
}

static void a_deleted_group_is_gone_and_its_name_free(void **state)
{
    fixture f;
    (void)state;
    setup(&f);
    publish_many(f.port, "a", 3);
    assert_int_equal(group_create(f.port, "g", "a", WEIR_MODEL_STREAM), WEIR_OK);
    assert_int_equal(group_delete(f.port, "g"), WEIR_OK);
    assert_int_equal(group_delete(f.port, "g"), WEIR_NOT_FOUND);
    weir_completion done = groups_of(f.port, "g");
    assert_int_equal(done.err, WEIR_NOT_FOUND);
    weir_completion_drop(&done);
    assert_int_equal(group_create(f.port, "g", "b", WEIR_MODEL_QUEUE), WEIR_OK);
    fixture_kill(&f);
    fixture_open(&f);
    done = group_of(f.port, "g");
    assert_int_equal(done.groups.groups[0].options.model, WEIR_MODEL_QUEUE);
    assert_int_equal(done.groups.groups[0].partition_count, 1);
    weir_completion_drop(&done);
    fixture_end(&f);
}

static void more_groups_than_the_limit_are_refused(void **state)
{
    fixture f;
    (void)state;
    fixture_prepare(&f);
    f.config.limits.groups_max = 2;
    f.config.limits.group_parts_max = 5;
    fixture_open(&f);
    assert_int_equal(declare_with(f.port, "a", (weir_topic_options){.partitions = 2}), WEIR_OK);
    assert_int_equal(group_create_filter(f.port, "g1", "a/#", WEIR_MODEL_STREAM), WEIR_OK);
    assert_int_equal(group_create(f.port, "g2", "a", WEIR_MODEL_STREAM), WEIR_OK);
    assert_int_equal(group_create(f.port, "g3", "a", WEIR_MODEL_STREAM), WEIR_LIMIT);
    weir_topic_options more = {.partitions = 3}; /* six pairs */
    assert_int_equal(weir_port_topic_alter(f.port, weir_bytes_of("a"), &more, NULL, 0), WEIR_OK);
    weir_completion done = next_of(f.port, WEIR_COMPLETION_TOPIC);
    assert_int_equal(done.err, WEIR_LIMIT);
    weir_completion_drop(&done);
    assert_int_equal(group_delete(f.port, "g2"), WEIR_OK);
    assert_int_equal(weir_port_topic_alter(f.port, weir_bytes_of("a"), &more, NULL, 0), WEIR_OK);
    done = next_of(f.port, WEIR_COMPLETION_TOPIC);
    assert_int_equal(done.err, WEIR_OK);
    weir_completion_drop(&done);
    weir_stats stats;
    weir_engine_stats(f.engine, &stats);
    assert_int_equal(stats.refused_groups, 2);
    fixture_end(&f);
}

static void a_group_that_is_empty_too_long_is_forgotten(void **state)
{
    life_fixture l;
    (void)state;
    life_begin(&l);
    declare(l.f.port, "a", WEIR_LEVEL_OS);
    weir_bytes topics[] = {weir_bytes_of("a")};
    weir_group_options options = {.topics = topics, .topic_count = 1, .expiry_ms = 5000};
    assert_int_equal(group_create_with(l.f.port, "short", &options), WEIR_OK);
    options.expiry_ms = -1;
    assert_int_equal(group_create_with(l.f.port, "ever", &options), WEIR_OK);
    life_turn_clock(4000);
    weir_port_step(l.f.port);
    weir_completion done = groups_of(l.f.port, "");
    assert_int_equal(done.groups.count, 2);
    weir_completion_drop(&done);
    life_turn_clock(3000);
    weir_port_step(l.f.port);
    done = groups_of(l.f.port, "");
    assert_int_equal(done.groups.count, 1);
    assert_true(weir_bytes_equal(done.groups.groups[0].name, weir_bytes_of("ever")));
    weir_completion_drop(&done);
    fixture_kill(&l.f);
    fixture_open(&l.f);
    done = groups_of(l.f.port, "");
    assert_int_equal(done.groups.count, 1);
    weir_completion_drop(&done);
    life_end(&l);
}

static void a_start_gives_empty_groups_their_full_time(void **state)
{
    life_fixture l;
    (void)state;
    life_begin(&l);
    declare(l.f.port, "a", WEIR_LEVEL_OS);
    weir_bytes topics[] = {weir_bytes_of("a")};
    weir_group_options options = {.topics = topics, .topic_count = 1, .expiry_ms = 5000};
    assert_int_equal(group_create_with(l.f.port, "g", &options), WEIR_OK);
    fixture_kill(&l.f);
    life_turn_clock(100000);
    fixture_open(&l.f);
    weir_completion done = group_of(l.f.port, "g");
    weir_completion_drop(&done);
    life_end(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_what_they_parse_from),
        cmocka_unit_test(names_of_groups_have_no_levels_and_no_wildcards),
        cmocka_unit_test(a_group_is_told_with_its_defaults_filled_in),
        cmocka_unit_test(a_second_create_is_ok_when_it_asks_for_the_same),
        cmocka_unit_test(what_no_group_can_be_is_refused),
        cmocka_unit_test(alter_changes_what_it_names_and_no_model),
        cmocka_unit_test(a_deleted_group_is_gone_and_its_name_free),
        cmocka_unit_test(more_groups_than_the_limit_are_refused),
        cmocka_unit_test(a_group_that_is_empty_too_long_is_forgotten),
        cmocka_unit_test(a_start_gives_empty_groups_their_full_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
