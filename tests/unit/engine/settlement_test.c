/* tests/unit/engine/settlement_test.c - the state of a queue part against a plain array, and its size.
 *
 * The long tests take random steps from a seed that is printed when one fails; WEIR_SEED sets it. */
#include "core/engine/settlement.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { RECORDS = 20000, STEPS = 4000, CHECK_EVERY = 50, RANGE_MAX = 300, LEASES_MAX = 6000 };

/* ---- A plain array of the same ------------------------------------------------------------------ */

typedef struct plain {
    weir_record_state state;
    uint64_t lease;
    int64_t until;
    uint32_t leased, failed;
    bool held;
} plain;

typedef struct model {
    plain records[RECORDS];
    int64_t fresh;
    int64_t deadlines[LEASES_MAX];
    uint64_t lease_next;
    int64_t now;
    uint64_t unit;
    uint64_t random;
    weir_settlement *settlement;
} model;

static uint64_t chance(model *m, uint64_t below)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return (m->random >> 11) % below;
}

static void change_plain(model *m, int64_t first, int64_t last,
                         const weir_settlement_change *change)
{
    for (int64_t i = first; i <= last; i++) {
        plain *at = &m->records[i];
        if (i < m->fresh && at->state == WEIR_RECORD_SETTLED) {
            continue;
        }
        at->state = change->to;
        at->held = false;
        at->lease = change->to == WEIR_RECORD_LEASED ? change->lease->number : 0;
        at->until = change->to == WEIR_RECORD_WAITING ? change->until : 0;
        at->leased += change->to == WEIR_RECORD_LEASED;
        at->failed += change->to == WEIR_RECORD_WAITING && change->failed;
    }
    m->fresh = last + 1 > m->fresh ? last + 1 : m->fresh;
}

static void change(model *m, int64_t first, int64_t last, weir_settlement_change what)
{
    what.unit = ++m->unit;
    weir_settlement_reserve_begin(m->settlement);
    assert_int_equal(weir_settlement_reserve(m->settlement, first, last, &what), WEIR_OK);
    weir_settlement_apply(m->settlement, first, last, &what);
    weir_settlement_fresh_raise(m->settlement, last + 1);
    change_plain(m, first, last, &what);
}

static weir_lease lease_new(model *m)
{
    weir_lease lease = {.number = m->lease_next++,
                        .epoch = 1,
                        .member = 1 + chance(m, 5),
                        .deadline = m->now + (int64_t)chance(m, 100),
                        .mode = 2};
    m->deadlines[lease.number] = lease.deadline;
    return lease;
}

/* ---- Comparing ---------------------------------------------------------------------------------- */

static void same_run(const model *m, const weir_settlement_run *run)
{
    for (int64_t i = run->first; i <= run->last; i++) {
        const plain *at = &m->records[i];
        assert_int_equal(at->state, run->state);
        assert_int_equal(at->lease, run->lease);
        assert_int_equal(at->until, run->until);
        assert_int_equal(at->leased, run->leased);
        assert_int_equal(at->failed, run->failed);
        assert_int_equal(at->held, run->held);
    }
}

static void same(model *m)
{
    weir_settlement_run run;
    int64_t next = 0;
    uint64_t unsettled = 0, leased = 0, delayed = 0;
    int64_t floor = -1;
    while (weir_settlement_next(m->settlement, next, &run)) {
        for (int64_t i = next; i < run.first; i++) {
            assert_int_equal(m->records[i].state, WEIR_RECORD_SETTLED);
        }
        same_run(m, &run);
        next = run.last + 1;
    }
    for (int64_t i = next; i < m->fresh; i++) {
        assert_int_equal(m->records[i].state, WEIR_RECORD_SETTLED);
    }
    for (int64_t i = 0; i < m->fresh; i++) {
        const plain *at = &m->records[i];
        unsettled += at->state != WEIR_RECORD_SETTLED;
        leased += at->state == WEIR_RECORD_LEASED;
        delayed += at->state == WEIR_RECORD_WAITING && at->until != 0;
        floor = floor < 0 && at->state != WEIR_RECORD_SETTLED ? i : floor;
    }
    assert_int_equal(weir_settlement_unsettled(m->settlement), unsettled);
    assert_int_equal(weir_settlement_leased(m->settlement), leased);
    assert_int_equal(weir_settlement_delayed(m->settlement), delayed);
    assert_int_equal(weir_settlement_floor(m->settlement), floor < 0 ? m->fresh : floor);
    assert_int_equal(weir_settlement_fresh(m->settlement), m->fresh);
}

static bool plain_due(const plain *at, int64_t now)
{
    return at->state == WEIR_RECORD_WAITING && !at->held && at->until <= now;
}

/* The oldest one that is due, from somewhere on, and when the next is. */
static void same_walk(model *m)
{
    weir_settlement_walk walk;
    int64_t from = (int64_t)chance(m, RECORDS), end = (int64_t)chance(m, RECORDS + 1);
    int64_t first, last, at = from;
    weir_settlement_walk_begin(m->settlement, from, end, &walk);
    while (weir_settlement_walk_next(m->settlement, &walk, &first, &last)) {
        assert_true(first >= at && first <= last && last < end);
        for (; at <= last; at++) {
            assert_int_equal(m->records[at].state != WEIR_RECORD_SETTLED, at >= first);
        }
    }
    for (; at < end && at < m->fresh; at++) {
        assert_int_equal(m->records[at].state, WEIR_RECORD_SETTLED);
    }
}

static void same_due(model *m)
{
    weir_settlement_run run;
    int64_t from = chance(m, 2) == 0 ? 0 : (int64_t)chance(m, RECORDS);
    int64_t expected = from;
    int64_t due = INT64_MAX;
    while (expected < m->fresh && !plain_due(&m->records[expected], m->now)) {
        expected++;
    }
    bool found = weir_settlement_due(m->settlement, from, m->now, &run);
    assert_int_equal(found, expected < m->fresh);
    if (found) {
        assert_int_equal(run.first, expected);
        same_run(m, &run);
    }
    for (int64_t i = 0; i < m->fresh; i++) {
        const plain *at = &m->records[i];
        if (at->state == WEIR_RECORD_WAITING && !at->held && at->until < due) {
            due = at->until;
        }
    }
    assert_int_equal(weir_settlement_due_at(m->settlement), due);
}

static void same_leases(model *m)
{
    static uint32_t counts[LEASES_MAX];
    weir_lease lease;
    uint32_t position = 0;
    int64_t ends = INT64_MAX;
    memset(counts, 0, sizeof(counts));
    for (int64_t i = 0; i < m->fresh; i++) {
        counts[m->records[i].lease] += m->records[i].lease != 0;
    }
    while (weir_settlement_lease_walk(m->settlement, &position, &lease)) {
        assert_true(lease.count > 0);
        assert_int_equal(lease.count, counts[lease.number]);
        assert_int_equal(lease.deadline, m->deadlines[lease.number]);
        counts[lease.number] = 0;
        ends = lease.deadline < ends ? lease.deadline : ends;
    }
    for (uint64_t i = 0; i < m->lease_next; i++) {
        assert_int_equal(counts[i], 0);
    }
    assert_int_equal(weir_settlement_ends_at(m->settlement), ends);
}

/* ---- Steps -------------------------------------------------------------------------------------- */

static void step_take_fresh(model *m)
{
    int64_t count = 1 + (int64_t)chance(m, RANGE_MAX);
    if (m->fresh + count > RECORDS) {
        return;
    }
    weir_lease lease = lease_new(m);
    change(m, m->fresh, m->fresh + count - 1,
           (weir_settlement_change){.to = WEIR_RECORD_LEASED, .lease = &lease});
}

static void step_take_due(model *m)
{
    weir_settlement_run run;
    if (!weir_settlement_due(m->settlement, 0, m->now, &run)) {
        return;
    }
    weir_lease lease = lease_new(m);
    int64_t last = run.first + (int64_t)chance(m, (uint64_t)(run.last - run.first + 1));
    change(m, run.first, last, (weir_settlement_change){.to = WEIR_RECORD_LEASED, .lease = &lease});
}

static void step_delay_fresh(model *m)
{
    int64_t count = 1 + (int64_t)chance(m, 5);
    if (m->fresh + count <= RECORDS) {
        change(m, m->fresh, m->fresh + count - 1,
               (weir_settlement_change){.to = WEIR_RECORD_WAITING, .until = m->now + 7});
    }
}

/* Any range of what was handed out: settled, released, or failed. */
static void step_any(model *m, weir_settlement_change what)
{
    if (m->fresh == 0) {
        return;
    }
    int64_t first = (int64_t)chance(m, (uint64_t)m->fresh);
    int64_t last = first + (int64_t)chance(m, chance(m, 10) == 0 ? 5000 : 40);
    last = last < m->fresh ? last : m->fresh - 1;
    if (what.to == WEIR_RECORD_SETTLED) {
        change(m, first, last, what);
        return;
    }
    weir_settlement_run run; /* nobody releases what is settled */
    while (first <= last && weir_settlement_next(m->settlement, first, &run) && run.first <= last) {
        first = run.first < first ? first : run.first;
        int64_t end = run.last < last ? run.last : last;
        change(m, first, end, what);
        first = end + 1;
    }
}

static void step_hold(model *m)
{
    weir_settlement_run run;
    if (m->fresh == 0 ||
        !weir_settlement_next(m->settlement, (int64_t)chance(m, (uint64_t)m->fresh), &run)) {
        return;
    }
    bool held = chance(m, 2) == 0;
    assert_int_equal(weir_settlement_hold(m->settlement, run.first, run.last, held), WEIR_OK);
    for (int64_t i = run.first; i <= run.last; i++) {
        m->records[i].held = held;
    }
}

static void step_expire(model *m)
{
    weir_lease lease;
    weir_settlement_run run;
    while (weir_settlement_ended(m->settlement, m->now, &lease)) {
        int64_t from = 0;
        while (weir_settlement_lease_next(m->settlement, &lease, from, &run)) {
            change(m, run.first, run.last,
                   (weir_settlement_change){.to = WEIR_RECORD_WAITING, .failed = true});
            from = run.last + 1;
        }
        if (!weir_settlement_lease(m->settlement, lease.number, &lease)) {
            continue; /* all its records are back */
        }
        m->deadlines[lease.number] = INT64_MAX; /* the others are held */
        weir_settlement_lease_renew(m->settlement, lease.number, INT64_MAX);
    }
}

static void step_renew(model *m)
{
    weir_lease lease;
    uint64_t number = chance(m, m->lease_next);
    if (weir_settlement_lease(m->settlement, number, &lease)) {
        m->deadlines[number] = m->now + 500;
        weir_settlement_lease_renew(m->settlement, number, m->now + 500);
    }
}

/* All pages through their bytes, into another settlement. */
static void step_bytes(model *m)
{
    weir_settlement *other = NULL;
    weir_settlement_page *page, *read;
    uint32_t position = 0;
    assert_int_equal(weir_settlement_create(0, NULL, &other), WEIR_OK);
    weir_settlement_fresh_raise(other, m->fresh);
    while ((page = weir_settlement_page_walk(m->settlement, &position)) != NULL) {
        weir_buffer first = {0}, second = {0};
        assert_int_equal(weir_settlement_page_encode(page, &first), WEIR_OK);
        assert_int_equal(
            weir_settlement_page_decode(other, page->number, 0, weir_buffer_bytes(&first), &read),
            WEIR_OK);
        assert_int_equal(weir_settlement_page_encode(read, &second), WEIR_OK);
        assert_true(weir_bytes_equal(weir_buffer_bytes(&first), weir_buffer_bytes(&second)));
        weir_buffer_fini(&first);
        weir_buffer_fini(&second);
    }
    weir_settlement_tidy(other);
    weir_settlement_destroy(m->settlement);
    m->settlement = other;
    weir_settlement_leases_renew(other, m->now + 30);
    for (uint64_t i = 0; i < m->lease_next; i++) {
        m->deadlines[i] = m->now + 30;
    }
    for (int64_t i = 0; i < RECORDS; i++) {
        m->records[i].held = false;
    }
}

static void step(model *m)
{
    m->now += (int64_t)chance(m, 3);
    switch (chance(m, 12)) {
    case 0:
    case 1:
        step_take_fresh(m);
        break;
    case 2:
    case 3:
    case 4:
        step_take_due(m);
        break;
    case 5:
        step_delay_fresh(m);
        break;
    case 6:
    case 7:
        step_any(m, (weir_settlement_change){.to = WEIR_RECORD_SETTLED});
        break;
    case 8:
        step_any(m, (weir_settlement_change){.to = WEIR_RECORD_WAITING,
                                             .until = chance(m, 2) == 0 ? 0 : m->now + 20,
                                             .failed = chance(m, 2) == 0});
        break;
    case 9:
        step_hold(m);
        break;
    case 10:
        step_expire(m);
        break;
    default:
        step_renew(m);
        break;
    }
}

static uint64_t seed_of(uint64_t fallback)
{
    const char *text = getenv("WEIR_SEED");
    return text != NULL ? strtoull(text, NULL, 10) : fallback;
}

static void walk(uint64_t seed)
{
    model *m = calloc(1, sizeof(*m));
    assert_non_null(m);
    m->random = seed * 0x9e3779b97f4a7c15u + 1;
    m->now = 1000;
    m->lease_next = 1;
    assert_int_equal(weir_settlement_create(0, NULL, &m->settlement), WEIR_OK);
    print_message("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < STEPS; i++) {
        step(m);
        if (i % CHECK_EVERY == 0) {
            same(m);
            same_due(m);
            same_walk(m);
            same_leases(m);
        }
        if (chance(m, 200) == 0) {
            step_bytes(m);
            same(m);
            same_due(m);
            same_walk(m);
            same_leases(m);
        }
    }
    if (m->fresh > 0) { /* in the end all is settled, and nothing is left */
        change(m, 0, m->fresh - 1, (weir_settlement_change){.to = WEIR_RECORD_SETTLED});
    }
    same(m);
    assert_int_equal(weir_settlement_leases(m->settlement), 0);
    assert_true(weir_settlement_pages(m->settlement) <= 1);
    weir_settlement_destroy(m->settlement);
    free(m);
}

static void it_is_what_a_plain_array_is(void **state)
{
    (void)state;
    uint64_t seed = seed_of(1);
    for (uint64_t i = 0; i < 30; i++) {
        walk(seed + i);
    }
}

/* ---- Sizes -------------------------------------------------------------------------------------- */

enum { MANY = 10000000, TAKE = 1000 };

/* Takes 10 million in leases of 1,000 and settles those for which `keeps` is false. */
static weir_settlement *large(bool (*keeps)(int64_t offset))
{
    weir_settlement *settlement = NULL;
    assert_int_equal(weir_settlement_create(0, NULL, &settlement), WEIR_OK);
    for (int64_t at = 0; at < MANY; at += TAKE) {
        weir_lease lease = {.number = (uint64_t)(1 + at / TAKE), .deadline = 1000 + at};
        weir_settlement_change take = {
            .to = WEIR_RECORD_LEASED, .lease = &lease, .unit = (uint64_t)at + 1};
        weir_settlement_change done = {.to = WEIR_RECORD_SETTLED, .unit = (uint64_t)at + 1};
        weir_settlement_apply(settlement, at, at + TAKE - 1, &take);
        weir_settlement_fresh_raise(settlement, at + TAKE);
        for (int64_t i = at, first = at; i < at + TAKE; i++) {
            if (keeps(i) && i > first) {
                weir_settlement_apply(settlement, first, i - 1, &done);
            }
            first = keeps(i) ? i + 1 : first;
            if (i == at + TAKE - 1 && first <= i) {
                weir_settlement_apply(settlement, first, i, &done);
            }
        }
    }
    return settlement;
}

static bool keeps_first(int64_t offset)
{
    return offset == 17;
}

static bool keeps_tenth(int64_t offset)
{
    return offset % 10 == 0;
}

static void one_that_is_held_costs_next_to_nothing(void **state)
{
    weir_settlement_run run;
    (void)state;
    weir_settlement *settlement = large(keeps_first);
    assert_int_equal(weir_settlement_unsettled(settlement), 1);
    assert_int_equal(weir_settlement_floor(settlement), 17);
    assert_true(weir_settlement_pages(settlement) <= 2);
    assert_true(weir_settlement_bytes(settlement) < 65536);
    weir_settlement_change back = {.to = WEIR_RECORD_WAITING, .unit = MANY + 1, .failed = true};
    weir_settlement_apply(settlement, 17, 17, &back);
    assert_true(weir_settlement_due(settlement, 0, 5, &run));
    assert_int_equal(run.first, 17);
    assert_int_equal(run.last, 17);
    weir_settlement_destroy(settlement);
}

static void a_million_isolated_ones_fit(void **state)
{
    (void)state;
    weir_settlement *settlement = large(keeps_tenth), *other = NULL;
    weir_settlement_page *page, *read;
    uint32_t position = 0;
    uint64_t bytes = 0;
    assert_int_equal(weir_settlement_unsettled(settlement), MANY / 10);
    assert_true(weir_settlement_bytes(settlement) < 64u << 20);
    print_message("%llu bytes in memory\n", (unsigned long long)weir_settlement_bytes(settlement));
    assert_int_equal(weir_settlement_create(0, NULL, &other), WEIR_OK);
    weir_settlement_fresh_raise(other, MANY);
    while ((page = weir_settlement_page_walk(settlement, &position)) != NULL) {
        weir_buffer out = {0};
        assert_int_equal(weir_settlement_page_encode(page, &out), WEIR_OK);
        assert_true(out.len < 32768); /* so much at most is written for one change */
        assert_int_equal(
            weir_settlement_page_decode(other, page->number, 0, weir_buffer_bytes(&out), &read),
            WEIR_OK);
        bytes += out.len;
        weir_buffer_fini(&out);
    }
    print_message("%llu bytes in checkpoints\n", (unsigned long long)bytes);
    assert_true(bytes < 16u << 20);
    assert_int_equal(weir_settlement_unsettled(other), MANY / 10);
    assert_int_equal(weir_settlement_leases(other), weir_settlement_leases(settlement));
    assert_true(weir_settlement_bytes(other) < 64u << 20);
    weir_settlement_destroy(settlement);
    weir_settlement_destroy(other);
}

/* Every lease ends, as queue.c has them end: all ranges of one reserved, then applied. */
static void a_million_that_come_back_at_once_fit(void **state)
{
    (void)state;
    weir_settlement *settlement = large(keeps_tenth);
    weir_lease lease;
    weir_settlement_run run;
    while (weir_settlement_ended(settlement, INT64_MAX - 1, &lease)) {
        weir_settlement_change back = {.to = WEIR_RECORD_WAITING, .unit = MANY + 1, .failed = true};
        weir_settlement_reserve_begin(settlement);
        for (int64_t at = 0; weir_settlement_lease_next(settlement, &lease, at, &run);) {
            assert_int_equal(weir_settlement_reserve(settlement, run.first, run.last, &back),
                             WEIR_OK);
            at = run.last + 1;
        }
        for (int64_t at = 0; weir_settlement_lease_next(settlement, &lease, at, &run);) {
            weir_settlement_apply(settlement, run.first, run.last, &back);
            at = run.last + 1;
        }
    }
    print_message("%llu bytes in memory\n", (unsigned long long)weir_settlement_bytes(settlement));
    assert_int_equal(weir_settlement_leased(settlement), 0);
    assert_int_equal(weir_settlement_unsettled(settlement), MANY / 10);
    assert_true(weir_settlement_bytes(settlement) < 40u << 20);
    weir_settlement_destroy(settlement);
}

/* ---- Replays ------------------------------------------------------------------------------------ */

static weir_settlement *empty(void)
{
    weir_settlement *settlement = NULL;
    assert_int_equal(weir_settlement_create(0, NULL, &settlement), WEIR_OK);
    return settlement;
}

static void lease_range(weir_settlement *settlement, int64_t first, int64_t last, uint64_t number,
                        uint64_t unit)
{
    weir_lease lease = {.number = number, .deadline = 100};
    weir_settlement_change take = {.to = WEIR_RECORD_LEASED, .lease = &lease, .unit = unit};
    weir_settlement_apply(settlement, first, last, &take);
    weir_settlement_fresh_raise(settlement, last + 1);
}

static void settle_range(weir_settlement *settlement, int64_t first, int64_t last, uint64_t unit)
{
    weir_settlement_change done = {.to = WEIR_RECORD_SETTLED, .unit = unit};
    weir_settlement_apply(settlement, first, last, &done);
}

static void a_page_that_has_a_unit_is_passed_over(void **state)
{
    weir_buffer bytes = {0};
    weir_settlement_page *page = NULL;
    weir_settlement_run run;
    uint32_t position = 0;
    (void)state;
    weir_settlement *live = empty(), *replayed = empty();
    lease_range(live, 4000, 4199, 1, 10); /* in two pages */
    settle_range(live, 4000, 4150, 11);
    position = 0;
    page = weir_settlement_page_walk(live, &position);
    assert_int_equal(page->number, 1); /* page 0 has nothing left */
    assert_int_equal(weir_settlement_page_encode(page, &bytes), WEIR_OK);
    assert_int_equal(weir_settlement_page_decode(replayed, 1, 11, weir_buffer_bytes(&bytes), &page),
                     WEIR_OK);
    lease_range(replayed, 4000, 4199, 1, 10);
    assert_true(weir_settlement_next(replayed, 0, &run));
    assert_int_equal(run.first, 4000);
    assert_int_equal(run.last, 4095);
    settle_range(replayed, 4000, 4150, 11);
    assert_true(weir_settlement_next(replayed, 0, &run));
    assert_int_equal(run.first, 4151);
    assert_int_equal(run.last, 4199);
    assert_int_equal(run.leased, 1);
    assert_int_equal(weir_settlement_unsettled(replayed), 49);
    weir_buffer_fini(&bytes);
    weir_settlement_destroy(live);
    weir_settlement_destroy(replayed);
}

static void a_page_without_a_record_left_comes_again_and_goes(void **state)
{
    (void)state;
    weir_settlement *replayed = empty(); /* its checkpoint was written when page 0 was gone */
    lease_range(replayed, 9000, 9000, 3, 5);
    lease_range(replayed, 4000, 4095, 1, 3);
    lease_range(replayed, 10, 20, 2, 4); /* again: what it was before, the checkpoint had not */
    assert_int_equal(weir_settlement_pages(replayed), 2);
    settle_range(replayed, 0, 4095, 6);
    assert_int_equal(weir_settlement_pages(replayed), 1);
    assert_int_equal(weir_settlement_floor(replayed), 9000);
    assert_int_equal(weir_settlement_leases(replayed), 1);
    weir_settlement_destroy(replayed);
}

static void what_is_settled_never_comes_back(void **state)
{
    weir_settlement_run run;
    (void)state;
    weir_settlement *settlement = empty();
    lease_range(settlement, 0, 99, 1, 1);
    settle_range(settlement, 10, 19, 2);
    lease_range(settlement, 0, 99, 2, 3);
    assert_true(weir_settlement_next(settlement, 10, &run));
    assert_int_equal(run.first, 20);
    assert_int_equal(weir_settlement_unsettled(settlement), 90);
    weir_settlement_destroy(settlement);
}

static void a_reset_forgets_all_but_what_was_written_after_it(void **state)
{
    (void)state;
    weir_settlement *settlement = empty();
    lease_range(settlement, 0, 9999, 1, 1);
    weir_settlement_reset(settlement, 50, 2);
    assert_int_equal(weir_settlement_unsettled(settlement), 0);
    assert_int_equal(weir_settlement_leases(settlement), 0);
    assert_int_equal(weir_settlement_floor(settlement), 50);
    assert_int_equal(weir_settlement_fresh(settlement), 50);
    lease_range(settlement, 50, 59, 2, 3);
    assert_int_equal(weir_settlement_unsettled(settlement), 10);
    weir_settlement_destroy(settlement);
}

static void bytes_that_do_not_fit_change_nothing(void **state)
{
    weir_buffer bytes = {0};
    weir_settlement_page *page = NULL;
    uint32_t position = 0;
    (void)state;
    weir_settlement *settlement = empty();
    lease_range(settlement, 0, 99, 1, 1);
    settle_range(settlement, 10, 19, 2);
    weir_settlement_change back = {.to = WEIR_RECORD_WAITING, .until = 77, .unit = 3};
    weir_settlement_apply(settlement, 50, 60, &back);
    page = weir_settlement_page_walk(settlement, &position);
    assert_int_equal(weir_settlement_page_encode(page, &bytes), WEIR_OK);
    for (size_t cut = 0; cut < bytes.len; cut++) {
        weir_settlement *other = empty();
        assert_int_equal(
            weir_settlement_page_decode(other, 0, 9, (weir_bytes){bytes.ptr, cut}, &page),
            WEIR_DAMAGED);
        assert_int_equal(weir_settlement_pages(other), 0);
        assert_int_equal(weir_settlement_leases(other), 0);
        weir_settlement_destroy(other);
    }
    weir_buffer_fini(&bytes);
    weir_settlement_destroy(settlement);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_what_a_plain_array_is),
        cmocka_unit_test(one_that_is_held_costs_next_to_nothing),
        cmocka_unit_test(a_million_isolated_ones_fit),
        cmocka_unit_test(a_million_that_come_back_at_once_fit),
        cmocka_unit_test(a_page_that_has_a_unit_is_passed_over),
        cmocka_unit_test(a_page_without_a_record_left_comes_again_and_goes),
        cmocka_unit_test(what_is_settled_never_comes_back),
        cmocka_unit_test(a_reset_forgets_all_but_what_was_written_after_it),
        cmocka_unit_test(bytes_that_do_not_fit_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
