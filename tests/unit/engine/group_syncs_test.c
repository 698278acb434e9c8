/* What a leased record costs the journal: which of its entries have a write or a sync of their own,
 * and which share another's. The clock stands still until it is told. */
#include "tests/unit/engine/group_queue.h"

enum { STEP_US = 200, OFTEN = 40 };

static _Atomic uint64_t stopped_ns;

static uint64_t stopped_monotonic_ns(weir_env *env)
{
    (void)env;
    return stopped_ns;
}

static void pass_us(uint64_t us)
{
    stopped_ns += us * 1000;
}

typedef struct syncs {
    fixture f; /* first */
    weir_env_ops ops;
    weir_member *member;
} syncs;

static void begin(syncs *s, weir_level level)
{
    weir_bytes topics[] = {WEIR_TEXT("q")};
    weir_group_options options = {
        .model = WEIR_MODEL_QUEUE, .topics = topics, .topic_count = 1, .expiry_ms = -1};
    fixture *f = &s->f;
    memset(s, 0, sizeof(*s));
    fixture_prepare(f);
    assert_int_equal(weir_env_posix_create(&f->config.env), WEIR_OK);
    ops_below = f->config.env->ops;
    s->ops = *ops_below;
    stopped_ns = ops_below->monotonic_ns(f->config.env);
    s->ops.monotonic_ns = stopped_monotonic_ns;
    f->config.env->ops = &s->ops;
    f->config.sync = WEIR_SYNC_INLINE;
    fixture_open(f);
    declare(f->port, "q", level);
    assert_int_equal(group_create_with(f->port, "g", &options), WEIR_OK);
    s->member = join(f, "worker");
}

static void end(syncs *s)
{
    leave(&s->f, s->member, true);
    queue_end(&s->f);
}

static weir_stats stats_of(const syncs *s)
{
    weir_stats stats;
    weir_engine_stats(s->f.engine, &stats);
    return stats;
}

/* Publishes so often that the next one can be reckoned with. */
static void publish_often(syncs *s)
{
    for (int i = 0; i < OFTEN; i++) {
        pass_us(STEP_US);
        publish_ok(s->f.port, "q", "work");
    }
}

static void accept_send(syncs *s, const given *g)
{
    weir_settle_range range = {.topic = WEIR_TEXT("q"),
                               .first = g->offsets[0],
                               .last = g->offsets[0],
                               .lease = g->leases[0]};
    weir_settle settle = {
        .verb = WEIR_VERB_ACCEPT, .ranges = &range, .range_count = 1, .epoch = g->epoch};
    assert_int_equal(weir_port_settle(s->f.port, s->member, &settle, NULL, 14), WEIR_OK);
}

/* A take that waits is given the record that comes. */
static void take_waiting(syncs *s, given *g)
{
    weir_publish record = {.name = WEIR_TEXT("q"), .value = WEIR_TEXT("work")};
    take_begin(&s->f, s->member, 1, 60000);
    assert_nothing(s->f.port);
    assert_int_equal(weir_port_publish(s->f.port, &record, NULL, 1), WEIR_OK);
    weir_completion done = next_of(s->f.port, WEIR_COMPLETION_TAKEN);
    given_of(&done, g);
    assert_int_equal(g->count, 1);
    assert_int_equal(next_of(s->f.port, WEIR_COMPLETION_PUBLISH).err, WEIR_OK);
}

static void a_lease_is_written_with_its_settlement(void **state)
{
    syncs s;
    given g;
    (void)state;
    begin(&s, WEIR_LEVEL_OS);
    take_waiting(&s, &g);
    uint64_t writes = stats_of(&s).journal_writes;
    assert_int_equal(settle_all(&s.f, s.member, &g, WEIR_VERB_ACCEPT), WEIR_OK);
    assert_int_equal(stats_of(&s).journal_writes, writes + 1);
    end(&s);
}

static void a_lease_without_a_settlement_is_written_after_a_moment(void **state)
{
    syncs s;
    given g;
    (void)state;
    begin(&s, WEIR_LEVEL_OS);
    take_waiting(&s, &g);
    uint64_t writes = stats_of(&s).journal_writes;
    assert_true(weir_port_next_ms(s.f.port) > 0 && weir_port_next_ms(s.f.port) <= 2);
    pass_us(2000);
    assert_int_equal(weir_port_next_ms(s.f.port), 0);
    assert_nothing(s.f.port);
    assert_int_equal(stats_of(&s).journal_writes, writes + 1);
    end(&s);
}

static void a_settlement_shares_the_sync_of_a_publish_that_is_near(void **state)
{
    syncs s;
    given g;
    (void)state;
    begin(&s, WEIR_LEVEL_DISK);
    publish_often(&s);
    assert_int_equal(take(&s.f, s.member, 1, &g), 1);
    uint64_t count = stats_of(&s).journal_syncs;
    accept_send(&s, &g);
    assert_nothing(s.f.port);
    pass_us(STEP_US);
    weir_publish record = {.name = WEIR_TEXT("q"), .value = WEIR_TEXT("work")};
    assert_int_equal(weir_port_publish(s.f.port, &record, NULL, 1), WEIR_OK);
    weir_completion first = next_on(s.f.port), second = next_on(s.f.port);
    assert_true(first.type == WEIR_COMPLETION_SETTLED || second.type == WEIR_COMPLETION_SETTLED);
    assert_int_equal(first.err, WEIR_OK);
    assert_int_equal(second.err, WEIR_OK);
    assert_int_equal(stats_of(&s).journal_syncs, count + 1);
    end(&s);
}

static void a_settlement_waits_no_longer_than_a_moment_for_a_publish(void **state)
{
    syncs s;
    given g;
    (void)state;
    begin(&s, WEIR_LEVEL_DISK);
    publish_often(&s);
    assert_int_equal(take(&s.f, s.member, 1, &g), 1);
    accept_send(&s, &g);
    assert_nothing(s.f.port);
    assert_true(weir_port_next_ms(s.f.port) >= 0 && weir_port_next_ms(s.f.port) <= 2);
    pass_us(1000);
    weir_completion done = next_of(s.f.port, WEIR_COMPLETION_SETTLED);
    assert_int_equal(done.err, WEIR_OK);
    end(&s);
}

static void a_settlement_is_synced_at_once_where_publishes_are_rare(void **state)
{
    syncs s;
    given g;
    (void)state;
    begin(&s, WEIR_LEVEL_DISK);
    publish_often(&s);
    assert_int_equal(take(&s.f, s.member, 1, &g), 1);
    pass_us(10 * STEP_US); /* they have stopped */
    accept_send(&s, &g);
    uint64_t count = stats_of(&s).journal_syncs;
    weir_port_step(s.f.port);
    weir_completion done;
    assert_int_equal(weir_port_drain(s.f.port, &done, 1), 1);
    assert_int_equal(done.type, WEIR_COMPLETION_SETTLED);
    assert_int_equal(stats_of(&s).journal_syncs, count + 1);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lease_is_written_with_its_settlement),
        cmocka_unit_test(a_lease_without_a_settlement_is_written_after_a_moment),
        cmocka_unit_test(a_settlement_shares_the_sync_of_a_publish_that_is_near),
        cmocka_unit_test(a_settlement_waits_no_longer_than_a_moment_for_a_publish),
        cmocka_unit_test(a_settlement_is_synced_at_once_where_publishes_are_rare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
