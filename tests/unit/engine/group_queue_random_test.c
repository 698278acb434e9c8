/* tests/unit/engine/group_queue_random_test.c - long random lives of a queue group, with kills, clean
 * stops and checkpoints in between: what was settled never comes again, the counts of every record
 * are right each time it is given out, a start has all that was there before, and every record's story
 * has each thing that happened to it once [G6].
 *
 * The seed is printed; WEIR_SEED sets the first one. */
#include "tests/unit/engine/group_fates.h"
#include "tests/unit/engine/group_queue.h"

enum { RECORDS = 12000, PARTS = 2, MEMBERS = 3, STEPS = 300, SEEDS = 4 };

typedef enum fate_known { OPEN = 0, SETTLED, MAYBE } fate_known;

typedef struct known {
    uint32_t taken;
    fate_known fate;
} known;

/* What happened to it, over all resets. */
typedef struct happened {
    uint32_t leased, accepted, rejected, back;
} happened;

typedef struct life {
    fixture f;
    known records[PARTS][RECORDS];
    happened stories[PARTS][RECORDS];
    int64_t ends[PARTS];
    weir_member *members[MEMBERS];
    struct held { /* what was given and not answered */
        int64_t offset;
        uint64_t lease, epoch;
        uint32_t partition;
    } held[RECORDS];
    uint32_t held_count;
    weir_mode mode;
    uint64_t random;
    uint64_t given, kills, resets, late;
} life;

static uint64_t chance(life *l, uint64_t below)
{
    l->random ^= l->random << 13;
    l->random ^= l->random >> 7;
    l->random ^= l->random << 17;
    return (l->random >> 11) % below;
}

static void publish_some(life *l)
{
    uint64_t count = 1 + chance(l, 400);
    uint64_t confirmed = 0;
    for (uint64_t i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof(name), "q/k%u", (unsigned)chance(l, 40));
        weir_publish record = {.name = weir_bytes_of(name), .value = WEIR_TEXT("value")};
        if (l->ends[0] + l->ends[1] + (int64_t)count >= RECORDS) {
            return;
        }
        assert_int_equal(weir_port_publish(l->f.port, &record, NULL, 1), WEIR_OK);
    }
    while (confirmed < count) {
        weir_completion done = next_of(l->f.port, WEIR_COMPLETION_PUBLISH);
        assert_int_equal(done.err, WEIR_OK);
        int64_t end = done.published.offset + 1;
        uint32_t partition = done.published.partition;
        l->ends[partition] = end > l->ends[partition] ? end : l->ends[partition];
        confirmed++;
    }
}

static void note_given(life *l, const weir_completion *done)
{
    for (uint32_t i = 0; i < done->taken.run_count; i++) {
        const weir_handed *run = &done->taken.runs[i];
        uint32_t partition = weir_chunk_partition(run->chunk);
        for (uint32_t r = 0; r < run->count; r++) {
            weir_record record;
            weir_chunk_record(run->chunk, run->first + r, &record);
            known *is = &l->records[partition][record.offset];
            assert_int_not_equal(is->fate, SETTLED); /* [G2] */
            is->taken++;
            assert_int_equal(run->leased, is->taken);
            assert_true(run->failed < run->leased);
            l->given++;
            happened *its = &l->stories[partition][record.offset];
            if (l->mode == WEIR_MODE_AT_MOST_ONCE) {
                is->fate = SETTLED;
                its->accepted++;
                continue;
            }
            its->leased++;
            l->held[l->held_count++] = (struct held){.offset = record.offset,
                                                     .lease = run->lease,
                                                     .epoch = done->taken.epoch,
                                                     .partition = partition};
        }
    }
}

static void take_some(life *l)
{
    weir_member *member = l->members[chance(l, MEMBERS)];
    uint32_t records = 1 + (uint32_t)chance(l, chance(l, 4) == 0 ? 1500 : 60);
    if (member == NULL || l->held_count + records > RECORDS) {
        return;
    }
    take_begin(&l->f, member, records, 0);
    weir_completion done = next_of(l->f.port, WEIR_COMPLETION_TAKEN);
    assert_int_equal(done.err, WEIR_OK);
    note_given(l, &done);
    weir_completion_drop(&done);
}

static void settle_one(life *l, weir_member *member, weir_verb verb)
{
    uint32_t index = (uint32_t)chance(l, l->held_count);
    struct held held = l->held[index];
    l->held[index] = l->held[--l->held_count];
    weir_settle_range range = {.topic = WEIR_TEXT("q"),
                               .partition = held.partition,
                               .first = held.offset,
                               .last = held.offset,
                               .lease = held.lease};
    weir_settle settle = {.verb = verb,
                          .ranges = &range,
                          .range_count = 1,
                          .epoch = held.epoch,
                          .failed = chance(l, 3) == 0,
                          .delay_ms = chance(l, 3) == 0 ? 700 : 0};
    weir_completion done = answer(&l->f, member, &settle);
    known *is = &l->records[held.partition][held.offset];
    if (done.err == WEIR_OK) {
        assert_int_equal(done.settled.records, 1);
        happened *its = &l->stories[held.partition][held.offset];
        assert_int_not_equal(is->fate, SETTLED);
        its->accepted += verb == WEIR_VERB_ACCEPT ? 1 : 0;
        its->rejected += verb == WEIR_VERB_REJECT ? 1 : 0;
        its->back += verb == WEIR_VERB_RELEASE ? 1 : 0;
        is->fate = verb == WEIR_VERB_ACCEPT || verb == WEIR_VERB_REJECT ? SETTLED : OPEN;
    } else {
        assert_true(done.err == WEIR_LEASE_LOST || done.err == WEIR_NOT_OFFERED);
        l->late++;
    }
}

static void settle_several(life *l)
{
    weir_member *member = l->members[chance(l, MEMBERS)];
    uint64_t count = chance(l, 80);
    for (uint64_t i = 0; i < count && member != NULL && l->held_count > 0; i++) {
        uint64_t which = chance(l, 10);
        settle_one(l, member,
                   which < 7   ? WEIR_VERB_ACCEPT
                   : which < 9 ? WEIR_VERB_RELEASE
                               : WEIR_VERB_REJECT);
    }
}

static void member_comes_or_goes(life *l)
{
    uint32_t index = (uint32_t)chance(l, MEMBERS);
    if (l->members[index] == NULL) {
        l->members[index] = join(&l->f, "m");
    } else {
        leave(&l->f, l->members[index], chance(l, 2) == 0);
        l->members[index] = NULL;
    }
}

static void other_mode(life *l)
{
    l->mode = chance(l, 3) == 0 ? WEIR_MODE_AT_MOST_ONCE : WEIR_MODE_AT_LEAST_ONCE;
    weir_group_options options = {.mode = l->mode};
    assert_int_equal(group_alter(l->f.port, "g", &options), WEIR_OK);
}

static void all_again(life *l)
{
    weir_reset reset = {.group = WEIR_TEXT("g"), .partition = -1, .kind = WEIR_RESET_BEGINNING};
    assert_int_equal(group_reset(l->f.port, &reset), WEIR_OK);
    memset(l->records, 0, sizeof(l->records));
    l->held_count = 0;
    l->resets++;
}

static void trim_some(life *l)
{
    int64_t before = (int64_t)chance(l, (uint64_t)l->ends[0] + 1);
    weir_err err = topic_trim(l->f.port, "q", before); /* of partition 0 */
    assert_int_equal(err, WEIR_OK);
    pass_ms(&l->f, 0);
}

/* ---- Starts ------------------------------------------------------------------------------------- */

/* What is told of a group, but for what is in memory only. */
static void same_told(const weir_completion *before, const weir_completion *after)
{
    const weir_group_info *a = &before->groups.groups[0], *b = &after->groups.groups[0];
    assert_int_equal(a->leased_times, b->leased_times);
    assert_int_equal(a->failed_times, b->failed_times);
    assert_int_equal(a->partition_count, b->partition_count);
    for (uint32_t i = 0; i < a->partition_count; i++) {
        assert_int_equal(a->partitions[i].start, b->partitions[i].start);
        assert_int_equal(a->partitions[i].committed, b->partitions[i].committed);
        assert_int_equal(a->partitions[i].handed, b->partitions[i].handed);
        assert_int_equal(a->partitions[i].leased, b->partitions[i].leased);
        assert_true(a->partitions[i].delayed >= b->partitions[i].delayed); /* time went on */
        assert_int_equal(a->partitions[i].end, b->partitions[i].end);
        for (int fate = 0; fate < WEIR_FATE_COUNT; fate++) {
            assert_int_equal(a->partitions[i].fates[fate], b->partitions[i].fates[fate]);
        }
    }
}

/* [G6] of some records. */
static void stories_hold(life *l, uint32_t records)
{
    for (uint32_t i = 0; i < records; i++) {
        uint32_t partition = (uint32_t)chance(l, PARTS);
        if (l->ends[partition] == 0) {
            continue;
        }
        int64_t offset = (int64_t)chance(l, (uint64_t)l->ends[partition]);
        const happened *its = &l->stories[partition][offset];
        weir_completion done = why_begin(l->f.port, "q", partition, offset, "g");
        assert_int_equal(done.err, WEIR_OK);
        assert_int_equal(story_events(&done.why, "leased"), its->leased);
        assert_int_equal(story_events(&done.why, "accepted"), its->accepted);
        assert_int_equal(story_events(&done.why, "rejected"), its->rejected);
        assert_int_equal(story_events(&done.why, "released") + story_events(&done.why, "failed"),
                         its->back);
        weir_standing_kind kind = done.why.standings[0].kind;
        if (l->records[partition][offset].fate == SETTLED) {
            assert_true(kind == WEIR_STANDING_SETTLED || kind == WEIR_STANDING_BEFORE);
        }
        assert_false(done.why.damaged);
        weir_completion_drop(&done);
    }
}

static void start_again(life *l)
{
    bool clean = chance(l, 3) == 0;
    for (int i = 0; i < MEMBERS && clean; i++) {
        if (l->members[i] != NULL) {
            leave(&l->f, l->members[i], false);
        }
    }
    weir_completion before = group_of(l->f.port, "g");
    if (clean) {
        restart(&l->f, false);
    } else {
        restart_from_copy(&l->f);
    }
    weir_completion after = group_of(l->f.port, "g");
    same_told(&before, &after);
    weir_completion_drop(&before);
    weir_completion_drop(&after);
    stories_hold(l, 40);
    memset(l->members, 0, sizeof(l->members));
    l->kills++;
}

static void step(life *l)
{
    switch (chance(l, 40)) {
    case 0:
    case 1:
    case 2:
    case 3:
        publish_some(l);
        break;
    case 4:
        member_comes_or_goes(l);
        break;
    case 5:
        pass_ms(&l->f, 400);
        break;
    case 6:
        if (chance(l, 3) == 0) {
            other_mode(l);
        }
        break;
    case 7:
        if (chance(l, 12) == 0) {
            all_again(l);
        } else if (chance(l, 4) == 0) {
            trim_some(l);
        }
        break;
    case 8:
    case 9:
        start_again(l);
        break;
    default:
        if (chance(l, 2) == 0) {
            take_some(l);
        } else {
            settle_several(l);
        }
        break;
    }
}

static void live(uint64_t seed, bool ordered)
{
    static life l;
    memset(&l, 0, sizeof(l));
    l.random = seed * 0x9e3779b97f4a7c15u + 1;
    l.mode = WEIR_MODE_AT_LEAST_ONCE;
    print_message("seed %llu\n", (unsigned long long)seed);
    queue_begin(&l.f);
    fixture_close(&l.f);
    l.f.config.checkpoint_bytes = 64 << 10;
    fixture_open(&l.f);
    weir_topic_options topic = {.partitions = PARTS, .level = WEIR_LEVEL_OS};
    assert_int_equal(declare_with(l.f.port, "q", topic), WEIR_OK);
    weir_bytes topics[] = {WEIR_TEXT("q")};
    weir_group_options options = {.model = WEIR_MODEL_QUEUE,
                                  .topics = topics,
                                  .topic_count = 1,
                                  .lease_ms = 1000,
                                  .session_ms = 3600000,
                                  .key_ordered = ordered ? 1 : 2,
                                  .expiry_ms = -1,
                                  .delivery_limit = -1};
    assert_int_equal(group_create_with(l.f.port, "g", &options), WEIR_OK);
    for (int i = 0; i < STEPS; i++) {
        step(&l);
        group_adds_up(l.f.port, "g"); /* [G1] */
    }
    print_message("given %llu starts %llu resets %llu late %llu\n", (unsigned long long)l.given,
                  (unsigned long long)l.kills, (unsigned long long)l.resets,
                  (unsigned long long)l.late);
    assert_true(l.given > 0 && l.kills > 0);
    queue_end(&l.f);
}

static uint64_t seed_of(uint64_t fallback)
{
    const char *text = getenv("WEIR_SEED");
    return text != NULL ? strtoull(text, NULL, 10) : fallback;
}

static void a_start_has_all_that_was_there(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < SEEDS; i++) {
        live(seed_of(1) + i, false);
    }
}

static void a_start_has_all_that_was_there_of_ordered_keys(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < SEEDS / 2; i++) {
        live(seed_of(1) + i, true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_has_all_that_was_there),
        cmocka_unit_test(a_start_has_all_that_was_there_of_ordered_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
