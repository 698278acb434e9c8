/* tests/unit/engine/group_queue_compacted_test.c - a queue group over a topic that is compacted: what
 * compaction removed is superseded, what it left is given out once. */
#include "tests/unit/engine/life.h"

#include "tests/unit/engine/group.h"

enum { KEYS = LIFE_KEYS, ROUNDS = 30, TAKES_MAX = 1000 };

static weir_member *joined(life_fixture *l)
{
    weir_join join = {.group = WEIR_TEXT("g"), .origin = WEIR_TEXT("local")};
    assert_int_equal(weir_port_member_join(l->f.port, &join, NULL, 1), WEIR_OK);
    weir_completion done = next_of(l->f.port, WEIR_COMPLETION_MEMBER);
    assert_int_equal(done.err, WEIR_OK);
    return done.joined.member;
}

/* Takes what there is now, and accepts it; `last_round` of each key rises. Returns the records. */
static uint32_t take_and_accept(life_fixture *l, weir_member *member, int last_round[KEYS])
{
    weir_take take = {.records_max = 100, .bytes_max = 1 << 20, .wait_ms = 1000};
    weir_settle_range ranges[100];
    uint32_t count = 0;
    assert_int_equal(weir_port_take(l->f.port, member, &take, NULL, 2), WEIR_OK);
    weir_completion done = next_of(l->f.port, WEIR_COMPLETION_TAKEN);
    assert_int_equal(done.err, WEIR_OK);
    for (uint32_t i = 0; i < done.taken.run_count; i++) {
        const weir_handed *run = &done.taken.runs[i];
        for (uint32_t n = 0; n < run->count; n++) {
            weir_record record;
            int round = 0, key = 0;
            weir_chunk_record(run->chunk, run->first + n, &record);
            assert_int_equal(sscanf((const char *)record.value.ptr, "%d.%d ", &round, &key), 2);
            assert_true(round > last_round[key]);
            last_round[key] = round;
            ranges[count++] = (weir_settle_range){.topic = WEIR_TEXT("t"),
                                                  .first = record.offset,
                                                  .last = record.offset,
                                                  .lease = run->lease};
        }
    }
    weir_settle settle = {.verb = WEIR_VERB_ACCEPT,
                          .ranges = ranges,
                          .range_count = count,
                          .epoch = done.taken.epoch};
    weir_completion_drop(&done);
    if (count > 0) {
        assert_int_equal(weir_port_settle(l->f.port, member, &settle, NULL, 3), WEIR_OK);
        assert_int_equal(next_of(l->f.port, WEIR_COMPLETION_SETTLED).err, WEIR_OK);
    }
    return count;
}

static void what_compaction_removed_is_superseded(void **state)
{
    life_fixture l;
    int last_round[KEYS];
    uint32_t accepted = 0;
    (void)state;
    life_begin(&l);
    l.f.config.limits.tail_bytes_max = 1 << 20;
    weir_topic_options options = {.partitions = 1, .cleanup = WEIR_CLEANUP_COMPACT};
    assert_int_equal(declare_with(l.f.port, "t", options), WEIR_OK);
    assert_int_equal(group_create(l.f.port, "g", "t", WEIR_MODEL_QUEUE), WEIR_OK);
    life_fill_keys(&l, 0, ROUNDS);
    life_checkpoints(&l, 1);
    life_until_compacted(&l, 1);
    life_checkpoints(&l, 1);
    fixture_close(&l.f);
    fixture_open(&l.f); /* the tail is gone: what is given out are the segments */
    weir_member *member = joined(&l);
    memset(last_round, -1, sizeof(last_round));
    for (int i = 0; i < TAKES_MAX && group_partition(l.f.port, "g", 0).lag > 0; i++) {
        accepted += take_and_accept(&l, member, last_round);
    }
    for (int k = 0; k < KEYS; k++) {
        assert_int_equal(last_round[k], ROUNDS - 1);
    }
    group_adds_up(l.f.port, "g");
    assert_int_equal(group_fate(l.f.port, "g", WEIR_FATE_ACCEPTED), accepted);
    assert_int_equal(group_fate(l.f.port, "g", WEIR_FATE_SUPERSEDED), ROUNDS * KEYS - accepted);
    assert_true(accepted < ROUNDS * KEYS);
    life_end(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_compaction_removed_is_superseded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
