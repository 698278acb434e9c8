/* tests/unit/engine/group_member_test.c - random lives of members against a small model.
 *
 * Three stream groups read the same two topics: one at least once, one at most once, one whose mode
 * changes. Members join
 * (some static), take, commit (rightly, late, too far), give partitions up or do not, pause past
 * their session, leave, or are killed with the engine. The model knows what was stored, who was told
 * that it owns what in which generation, what each group was handed and what it acknowledged.
 *
 * It holds all the time: a partition has one owner in a generation; at most once is never twice; what
 * was acknowledged is never handed out again; committed is what was acknowledged; fates add up. And
 * at the end, when a last member has read everything: at least once was never zero.
 *
 * Each run prints its seed; WEIR_SEED=N runs that one alone. */
#include "tests/unit/engine/group_box.h"

enum {
    TOPICS = 2,
    PARTS = 7, /* t/0 to t/3, u/0 to u/2 */
    OFFSETS_MAX = 4096,
    GENERATIONS_MAX = 8192,
    SLOTS = 5, /* members of a group */
    GROUPS = 3,
    OPERATIONS = 3000,
    REFUSE = 8, /* in a settle's token */
};

static const char *const TOPIC[TOPICS] = {"t", "u"};
static const uint32_t PARTITIONS[TOPICS] = {4, 3};
static const char *const GROUP[GROUPS] = {"least", "most", "both"};

typedef struct slot {
    struct model_group *group;
    weir_member *member; /* NULL: nobody */
    bool joining, takes, fenced, leaving;
    bool quiet; /* it does not beat */
    uint32_t serial;
    uint64_t generation;
    bool owns[PARTS];
    bool asked;
    int64_t taken[PARTS]; /* behind the last one that it was handed; 0: nothing */
    bool fresh[PARTS];    /* nothing since it owns it */
    uint64_t lost[PARTS]; /* the generation in which it had it no more */
} slot;

typedef struct model_group {
    bool once;
    slot slots[SLOTS];
    uint8_t handed[PARTS][OFFSETS_MAX];
    int64_t committed[PARTS];
    int64_t sent[PARTS];                    /* commits on their way reach so far */
    uint32_t owner[GENERATIONS_MAX][PARTS]; /* serial of the one who was told, or took; 0: nobody */
} model_group;

typedef struct model {
    group_fixture g;
    uint64_t seed, chance;
    int64_t stored[PARTS];
    int64_t start[PARTS];
    model_group groups[GROUPS];
    uint32_t serial;
    uint32_t outstanding;
    uint64_t takes, records, commits, late, fenced, kills, generations;
} model;

static const char *const WHY_NOT[] = {"it is out", "it has it no more", "it had lost it since",
                                      "it was not handed so much"};

static model *m; /* one at a time: it is large */

static uint32_t chance(uint32_t below)
{
    m->chance = m->chance * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(m->chance >> 33) % below;
}

static int part_of(weir_bytes topic, uint32_t partition)
{
    return (int)partition + (topic.ptr[0] == 'u' ? (int)PARTITIONS[0] : 0);
}

static void place_of(int part, const char **topic, uint32_t *partition)
{
    int first = part < (int)PARTITIONS[0] ? 0 : 1;
    *topic = TOPIC[first];
    *partition = (uint32_t)part - (first == 1 ? PARTITIONS[0] : 0);
}

#define BROKEN(...)                                                                                \
    do {                                                                                           \
        fprintf(stderr, "seed %llu: ", (unsigned long long)m->seed);                               \
        fail_msg(__VA_ARGS__);                                                                     \
    } while (0)

/* ---- What comes back -------------------------------------------------------------------------- */

static void owner_is(model_group *group, uint64_t generation, int part, uint32_t serial)
{
    assert_true(generation < GENERATIONS_MAX);
    uint32_t *owner = &group->owner[generation][part];
    if (*owner != 0 && *owner != serial) {
        BROKEN("partition %d has two owners in generation %llu", part,
               (unsigned long long)generation);
    }
    *owner = serial;
}

static void on_assigned(slot *s, const weir_assigned *assigned)
{
    if (assigned->fenced) {
        s->fenced = true;
        m->fenced++;
        return;
    }
    if (assigned->generation < s->generation) {
        BROKEN("a generation fell");
    }
    s->generation = assigned->generation;
    m->generations = s->generation > m->generations ? s->generation : m->generations;
    bool owned[PARTS];
    memcpy(owned, s->owns, sizeof(owned));
    memset(s->owns, 0, sizeof(s->owns));
    for (uint32_t i = 0; i < assigned->owned_count; i++) {
        int part = part_of(assigned->owned[i].topic, assigned->owned[i].partition);
        s->owns[part] = true;
        s->fresh[part] |= !owned[part];
        owner_is(s->group, s->generation, part, s->serial);
    }
    for (int part = 0; part < PARTS; part++) {
        s->lost[part] = owned[part] && !s->owns[part] ? s->generation : s->lost[part];
    }
    s->asked = assigned->revoked_count > 0;
}

static void on_record(slot *s, int part, int64_t offset, uint64_t generation)
{
    model_group *group = s->group;
    owner_is(group, generation, part, s->serial);
    if (!s->owns[part]) {
        BROKEN("a record of partition %d for one who was not told that it owns it", part);
    }
    if (group->once && group->handed[part][offset] > 0 && group != &m->groups[2]) {
        BROKEN("record %lld of %d twice in an at-most-once group", (long long)offset, part);
    }
    if (offset < group->committed[part]) {
        BROKEN("record %lld of %d, though %lld is committed", (long long)offset, part,
               (long long)group->committed[part]);
    }
    int64_t most = s->fresh[part] ? group->sent[part] : s->taken[part];
    most = most > group->committed[part] || !s->fresh[part] ? most : group->committed[part];
    most = most > m->start[part] ? most : m->start[part];
    if (offset > most || (!s->fresh[part] && offset != most)) {
        BROKEN("record %lld of %d, not %lld", (long long)offset, part, (long long)most);
    }
    s->fresh[part] = false;
    group->handed[part][offset] = 1;
    s->taken[part] = offset + 1;
    if (group->once) {
        group->committed[part] = offset + 1;
    }
    m->records++;
}

static void on_taken(slot *s, const weir_completion *done)
{
    s->takes = false;
    if (done->err != WEIR_OK && done->err != WEIR_LEASE_LOST && done->err != WEIR_CLOSED) {
        BROKEN("a take: %s", weir_err_name(done->err));
    }
    for (uint32_t i = 0; i < done->taken.run_count; i++) {
        const weir_handed *run = &done->taken.runs[i];
        int part = part_of(weir_chunk_topic(run->chunk), weir_chunk_partition(run->chunk));
        for (uint32_t r = 0; r < run->count; r++) {
            weir_record record;
            weir_chunk_record(run->chunk, run->first + r, &record);
            on_record(s, part, record.offset, done->taken.generation);
        }
    }
}

/* token: the partition, whether it has to be refused, and behind which offset. */
static void on_settled(slot *s, const weir_completion *done)
{
    int part = (int)(done->token & 7);
    int64_t to = (int64_t)(done->token >> 6);
    model_group *group = s->group;
    if (done->err == WEIR_OK && (done->token & REFUSE) != 0 && to > group->committed[part]) {
        BROKEN("a commit of partition %d up to %lld was taken of one who may not: %s", part,
               (long long)to, WHY_NOT[(done->token >> 4) & 3]);
    }
    if (done->err == WEIR_OK) {
        group->committed[part] = to > group->committed[part] ? to : group->committed[part];
        m->commits++;
    } else if (done->err == WEIR_LEASE_LOST) {
        m->late++;
    } else if (done->err != WEIR_INVALID && done->err != WEIR_NOT_OFFERED &&
               done->err != WEIR_CLOSED) {
        BROKEN("a commit: %s", weir_err_name(done->err));
    }
}

static void on_published(const weir_completion *done)
{
    int part = (int)done->published.partition + (done->token == 1 ? (int)PARTITIONS[0] : 0);
    assert_int_equal(done->err, WEIR_OK);
    m->stored[part] = done->published.offset + 1;
}

static void on_completion(weir_completion *done)
{
    slot *s = done->user;
    if (done->type != WEIR_COMPLETION_ASSIGNED) {
        m->outstanding--;
    }
    switch (done->type) {
    case WEIR_COMPLETION_MEMBER:
        assert_int_equal(done->err, WEIR_OK);
        s->member = done->joined.member;
        s->joining = false;
        break;
    case WEIR_COMPLETION_LEFT:
        memset((char *)s + offsetof(slot, member), 0, sizeof(*s) - offsetof(slot, member));
        break;
    case WEIR_COMPLETION_ASSIGNED:
        on_assigned(s, &done->assigned);
        break;
    case WEIR_COMPLETION_TAKEN:
        on_taken(s, done);
        break;
    case WEIR_COMPLETION_SETTLED:
        on_settled(s, done);
        break;
    case WEIR_COMPLETION_PUBLISH:
        on_published(done);
        break;
    default:
        break;
    }
    weir_completion_drop(done);
}

static void step(void)
{
    weir_completion done;
    weir_port_step(m->g.b.port);
    while (weir_port_drain(m->g.b.port, &done, 1) == 1) {
        on_completion(&done);
    }
}

static void all_answered(void)
{
    for (int i = 0; m->outstanding > 0; i++) {
        assert_true(i < 60000);
        (void)weir_port_wait(m->g.b.port, 10);
        step();
    }
}

/* ---- What is asked ---------------------------------------------------------------------------- */

static void do_publish(void)
{
    char key[16];
    uint32_t topic = chance(TOPICS);
    snprintf(key, sizeof(key), "k%u", chance(64));
    weir_publish record = {.topic = weir_bytes_of(TOPIC[topic]),
                           .key = weir_bytes_of(key),
                           .value = weir_bytes_of("v")};
    assert_int_equal(weir_port_publish(m->g.b.port, &record, NULL, topic), WEIR_OK);
    m->outstanding++;
}

static void do_join(model_group *group, slot *s, int index)
{
    char instance[16];
    snprintf(instance, sizeof(instance), "static-%d", index);
    weir_join join = {.group = weir_bytes_of(GROUP[group - m->groups]),
                      .origin = weir_bytes_of("test"),
                      .auto_revoke = chance(3) == 0};
    if (index < 2) {
        join.instance = weir_bytes_of(instance);
    }
    memset(s, 0, sizeof(*s));
    s->group = group;
    s->joining = true;
    s->serial = ++m->serial;
    assert_int_equal(weir_port_member_join(m->g.b.port, &join, s, 0), WEIR_OK);
    m->outstanding++;
}

static void do_leave(slot *s)
{
    s->leaving = true;
    assert_int_equal(weir_port_member_leave(m->g.b.port, s->member, chance(2) == 0, s, 0), WEIR_OK);
    m->outstanding++;
}

static void do_take(slot *s)
{
    weir_take take = {.records_max = 1 + chance(6), .bytes_max = 4096};
    if (!s->takes) {
        s->takes = true;
        assert_int_equal(weir_port_take(m->g.b.port, s->member, &take, s, 0), WEIR_OK);
        m->outstanding++;
        m->takes++;
    }
}

static void send_commit(slot *s, int part, int64_t to, uint64_t generation)
{
    const char *topic = NULL;
    weir_settle_range range = {.first = to - 1, .last = to - 1};
    place_of(part, &topic, &range.partition);
    range.topic = weir_bytes_of(topic);
    weir_settle settle = {
        .verb = WEIR_VERB_ACCEPT, .ranges = &range, .range_count = 1, .generation = generation};
    model_group *group = s->group;
    uint64_t why = s->fenced                                      ? 0
                   : !s->owns[part] && !s->asked                  ? 1
                   : s->owns[part] && generation <= s->lost[part] ? 2
                   : !s->takes && to > s->taken[part]             ? 3
                                                                  : 4;
    bool refuse = why < 4;
    assert_int_equal(weir_port_settle(m->g.b.port, s->member, &settle, s,
                                      (uint64_t)to << 6 | (why & 3) << 4 | (refuse ? REFUSE : 0) |
                                          (uint64_t)part),
                     WEIR_OK);
    group->sent[part] = to > group->sent[part] && !refuse ? to : group->sent[part];
    m->outstanding++;
}

/* Sometimes of a partition that it lost, of an older generation, or beyond what it was handed. */
static void do_commit(slot *s)
{
    int part = (int)chance(PARTS);
    int64_t to = s->taken[part];
    uint64_t generation =
        chance(4) == 0 && s->generation > 0 ? s->generation - chance(3) : s->generation;
    if (to == 0 && chance(4) != 0) {
        return;
    }
    to += chance(6) == 0 ? 1 + (int64_t)chance(3) : 0;
    to -= chance(3) == 0 ? (int64_t)chance(3) : 0;
    send_commit(s, part, to > 0 ? to : 1, generation);
}

static void do_revoked(slot *s)
{
    if (s->asked) {
        s->asked = false;
        assert_int_equal(weir_port_member_revoked(m->g.b.port, s->member, s->generation), WEIR_OK);
    }
}

static void beat_all(void)
{
    for (int i = 0; i < GROUPS * SLOTS; i++) {
        slot *s = &m->groups[i / SLOTS].slots[i % SLOTS];
        if (s->member != NULL && !s->quiet && !s->leaving) {
            assert_int_equal(weir_port_member_beat(m->g.b.port, s->member), WEIR_OK);
        }
    }
    step();
}

/* Time passes; those who are quiet for a session are out. */
static void do_pause(void)
{
    for (uint32_t i = 1 + chance(4); i > 0; i--) {
        life_turn_clock(12000);
        beat_all();
    }
}

static void do_trim(void)
{
    int part = (int)chance(PARTS);
    if (m->stored[part] < 4 || m->start[part] >= m->stored[part] - 2) {
        return;
    }
    const char *topic = NULL;
    uint32_t partition = 0;
    all_answered();
    place_of(part, &topic, &partition);
    int64_t before = m->start[part] + 1 + chance(2);
    assert_int_equal(
        weir_port_topic_trim(m->g.b.port, weir_bytes_of(topic), partition, before, NULL, 0),
        WEIR_OK);
    m->outstanding++;
    all_answered();
    for (int64_t offset = m->start[part]; offset < before; offset++) {
        for (int i = 0; i < GROUPS; i++) { /* it has expired, at the latest now */
            m->groups[i].handed[part][offset] |= 2;
        }
    }
    m->start[part] = before;
    for (int i = 0; i < GROUPS; i++) {
        int64_t *committed = &m->groups[i].committed[part];
        *committed = *committed > before ? *committed : before;
    }
}

/* What it was handed under one mode is acknowledged, or its owner gone, before it is handed more. */
static void do_mode(void)
{
    model_group *group = &m->groups[2];
    weir_group_options change = {.mode = group->once ? WEIR_MODE_AT_LEAST_ONCE
                                                     : WEIR_MODE_AT_MOST_ONCE};
    all_answered();
    assert_int_equal(weir_port_group_alter(m->g.b.port, weir_bytes_of(GROUP[2]), &change, NULL, 0),
                     WEIR_OK);
    m->outstanding++;
    all_answered();
    group->once = !group->once;
}

/* ---- What must hold --------------------------------------------------------------------------- */

static weir_completion group_now(int index)
{
    weir_completion done;
    assert_int_equal(weir_port_groups(m->g.b.port, weir_bytes_of(GROUP[index]), NULL, 99), WEIR_OK);
    for (;;) {
        (void)weir_port_wait(m->g.b.port, 10);
        while (weir_port_drain(m->g.b.port, &done, 1) == 1) {
            if (done.type == WEIR_COMPLETION_GROUPS) {
                assert_int_equal(done.err, WEIR_OK);
                return done;
            }
            on_completion(&done);
        }
    }
}

static void check_group(int index, bool killed)
{
    model_group *group = &m->groups[index];
    weir_completion done = group_now(index);
    const weir_group_info *info = &done.groups.groups[0];
    for (uint32_t i = 0; i < info->partition_count; i++) {
        const weir_group_partition *now = &info->partitions[i];
        int part = part_of(now->topic, now->partition);
        uint64_t sum = 0;
        for (int fate = 0; fate < WEIR_FATE_COUNT; fate++) {
            sum += now->fates[fate];
        }
        if (sum != (uint64_t)(now->end - now->start)) {
            BROKEN("fates of partition %d of %s: %llu of %lld", part, GROUP[index],
                   (unsigned long long)sum, (long long)(now->end - now->start));
        }
        int64_t most = killed ? group->sent[part] : group->committed[part];
        most = most > group->committed[part] ? most : group->committed[part];
        if (now->committed < group->committed[part] ||
            (now->committed > most && !(killed && group->once))) {
            BROKEN("partition %d of %s: %lld is committed, not %lld", part, GROUP[index],
                   (long long)now->committed, (long long)group->committed[part]);
        }
        group->committed[part] = now->committed;
        group->sent[part] = now->committed;
    }
    weir_completion_drop(&done);
}

static void check(bool killed)
{
    for (int i = 0; i < GROUPS; i++) {
        check_group(i, killed);
    }
}

/* Everything is gone but the disk; sometimes with answers on their way. */
static void do_kill(void)
{
    if (chance(2) == 0) {
        all_answered();
    }
    m->kills++;
    fixture_kill(&m->g.l.f);
    fixture_open(&m->g.l.f);
    m->g.b.port = m->g.l.f.port;
    m->outstanding = 0;
    for (int i = 0; i < GROUPS; i++) {
        for (int k = 0; k < SLOTS; k++) {
            memset(&m->groups[i].slots[k], 0, sizeof(slot));
        }
    }
    for (int part = 0; part < PARTS; part++) { /* a record may be there, unacknowledged */
        const char *topic = NULL;
        uint32_t partition = 0;
        place_of(part, &topic, &partition);
        m->stored[part] = life_bounds(&m->g.l, topic, partition).end_offset;
    }
    check(true);
}

/* ---- A run ------------------------------------------------------------------------------------ */

static void operate(void)
{
    model_group *group = &m->groups[chance(GROUPS)];
    int index = (int)chance(SLOTS);
    slot *s = &group->slots[index];
    uint32_t what = chance(100);
    if (what < 25) {
        do_publish();
    } else if (what == 25 && chance(4) == 0) {
        do_kill();
    } else if (what == 26 || what == 27) {
        do_pause();
    } else if (what == 28) {
        do_trim();
    } else if (what == 29) {
        do_mode();
    } else if (s->member == NULL && !s->joining) {
        if (chance(4) == 0) {
            do_join(group, s, index);
        }
    } else if (s->member == NULL || s->leaving) {
        step();
    } else if (s->fenced || what < 33) {
        do_leave(s);
    } else if (what < 62) {
        do_take(s);
    } else if (what < 90) {
        do_commit(s);
    } else if (what < 98) {
        do_revoked(s);
    } else {
        s->quiet = !s->quiet;
    }
    if (chance(3) == 0) {
        step();
    }
}

static bool reached_end(const model_group *group)
{
    for (int part = 0; part < PARTS; part++) {
        if (group->committed[part] < m->stored[part]) {
            return false;
        }
    }
    return true;
}

/* One last member of each group reads to the end. */
static void read_to_the_end(model_group *group)
{
    slot *s = &group->slots[SLOTS - 1];
    do_join(group, s, SLOTS - 1);
    all_answered();
    for (int i = 0; !reached_end(group); i++) {
        if (i == 20000) {
            weir_stats stats = life_stats(&m->g.l);
            BROKEN(
                "a last member of %s does not reach the end: fenced %d, generation %llu of %llu, "
                "health %d",
                GROUP[group - m->groups], s->fenced, (unsigned long long)s->generation,
                (unsigned long long)stats.rebalances, (int)weir_engine_health_of(m->g.l.f.engine));
        }
        if (s->generation == 0) {
            (void)weir_port_wait(m->g.b.port, 1); /* the disk has its generation first */
        }
        do_take(s);
        all_answered();
        for (int part = 0; part < PARTS && !group->once; part++) {
            if (s->owns[part] && s->taken[part] > group->committed[part]) {
                send_commit(s, part, s->taken[part], s->generation);
            }
        }
        all_answered();
        if (i % 8 == 7) {
            life_turn_clock(20000); /* static members that do not come lose their places */
            beat_all();
        }
    }
    for (int part = 0; part < PARTS && group == &m->groups[0]; part++) {
        for (int64_t offset = 0; offset < m->stored[part]; offset++) {
            if (group->handed[part][offset] == 0) {
                BROKEN("record %lld of %d was never handed out", (long long)offset, part);
            }
        }
    }
}

static void run(uint64_t seed)
{
    m = calloc(1, sizeof(*m));
    assert_non_null(m);
    m->seed = seed;
    m->chance = seed;
    printf("seed %llu\n", (unsigned long long)seed);
    group_begin(&m->g);
    for (uint32_t i = 0; i < TOPICS; i++) {
        declare_many(m->g.b.port, TOPIC[i], PARTITIONS[i],
                     i == 0 ? WEIR_LEVEL_DISK : WEIR_LEVEL_OS);
    }
    weir_bytes topics[TOPICS] = {weir_bytes_of(TOPIC[0]), weir_bytes_of(TOPIC[1])};
    for (int i = 0; i < GROUPS; i++) {
        weir_group_options options = {
            .model = WEIR_MODEL_STREAM, .topics = topics, .topic_count = TOPICS, .expiry_ms = -1};
        options.mode = i == 1 ? WEIR_MODE_AT_MOST_ONCE : WEIR_MODE_AT_LEAST_ONCE;
        assert_int_equal(group_create_with(m->g.b.port, GROUP[i], &options), WEIR_OK);
        m->groups[i].once = i == 1;
    }
    for (int i = 0; i < OPERATIONS; i++) {
        operate();
        if (i % 100 == 99) {
            all_answered();
            check(false);
        }
    }
    all_answered();
    do_kill();
    for (int i = 0; i < GROUPS; i++) {
        read_to_the_end(&m->groups[i]);
        check(false);
    }
    printf("takes %llu, records %llu, commits %llu, late %llu, fenced %llu, kills %llu, "
           "generations %llu\n",
           (unsigned long long)m->takes, (unsigned long long)m->records,
           (unsigned long long)m->commits, (unsigned long long)m->late,
           (unsigned long long)m->fenced, (unsigned long long)m->kills,
           (unsigned long long)m->generations);
    assert_true(m->records > 0 && m->commits > 0 && m->late > 0 && m->fenced > 0);
    group_end(&m->g);
    free(m);
}

static void random_lives_keep_every_promise(void **state)
{
    const char *only = getenv("WEIR_SEED");
    (void)state;
    if (only != NULL) {
        run(strtoull(only, NULL, 10));
        return;
    }
    for (uint64_t seed = 1; seed <= 3; seed++) {
        run(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_lives_keep_every_promise)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
