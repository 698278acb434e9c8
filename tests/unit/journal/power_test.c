/* What was called durable survives: a power cut at every call, a cut in the recovery from a cut, a
 * sync that failed, a disk that fills up; and how threads and AUTO behave, on a clock of our own.
 */
#include "tests/unit/journal/disk_env.h"

static uint64_t reserve_bytes; /* of the journals that are opened */

static weir_journal_config disk_config(disk_env *disk, weir_sync_mode sync, uint64_t term)
{
    return (weir_journal_config){
        .env = &disk->env,
        .dir = "/data/journal",
        .file_bytes = TEST_FILE_BYTES,
        .reserve_bytes = reserve_bytes,
        .pending_bytes_max = 4 << 20,
        .term = term,
        .sync = sync,
    };
}

/* What a run promised: every unit through `durable` must come back, from `kept_from` on. */
typedef struct promise {
    uint64_t durable;
    uint64_t last;
    uint64_t kept_from;
} promise;

static void promise_note(promise *p, const weir_journal *journal)
{
    uint64_t durable = weir_journal_durable(journal);
    p->durable = durable > p->durable ? durable : p->durable;
    p->last = weir_journal_last(journal);
    assert_true(durable <= weir_journal_written(journal));
    assert_true(weir_journal_written(journal) <= weir_journal_last(journal));
}

/* Some units, flushes with and without sync, marks, releases; all chosen by the seed. */
static void work(disk_env *disk, weir_journal *journal, promise *p, int steps)
{
    for (int i = 0; i < steps && weir_journal_state(journal) == WEIR_OK; i++) {
        uint64_t choice = disk_random(disk) % 16;
        bool makes_room = reserve_bytes > 0 && disk_random(disk) % 2 == 0;
        weir_err room = makes_room ? weir_journal_room_reserve(journal, 3 * 6000)
                                   : weir_journal_room(journal, 3 * 6000);
        if (choice < 8 && room == WEIR_OK) {
            (void)unit_add(journal, disk_random(disk) % (choice == 0 ? 6000 : 300) + 1);
        } else if (choice < 11) {
            (void)weir_journal_flush(journal, choice < 10);
        } else if (choice == 11) {
            (void)weir_journal_sync_trailing(journal);
        } else if (choice == 12) {
            (void)weir_journal_mark(journal);
        } else if (choice == 13) {
            p->kept_from = p->durable > 20 ? p->durable - 20 : 1;
            weir_journal_release(journal, p->kept_from);
        } else {
            disk_jobs_run(&disk->env);
            (void)weir_journal_poll(journal);
        }
        promise_note(p, journal);
    }
}

/* Opens; what is found must keep the promise. NULL: the power went again. */
static weir_journal *reopen(disk_env *disk, weir_sync_mode sync, uint64_t term, promise *p)
{
    weir_journal_config config = disk_config(disk, sync, term);
    weir_journal *journal = NULL;
    weir_fault fault = {0};
    replayed seen = {0};
    weir_err err = weir_journal_open(&config, p->kept_from, replay_check, &seen, &journal, &fault);
    if (err != WEIR_OK && disk->off) {
        return NULL;
    }
    if (err != WEIR_OK) {
        print_error("%s: %s (%s at %llu)\n", weir_err_name(err), fault.text, fault.file,
                    (unsigned long long)fault.position);
    }
    assert_int_equal(err, WEIR_OK);
    assert_true(weir_journal_last(journal) >= p->durable);
    assert_true(seen.count == 0 || seen.first == p->kept_from);
    assert_true(seen.count > 0 || weir_journal_last(journal) + 1 == p->kept_from);
    p->durable = weir_journal_durable(journal);
    p->last = p->durable;
    return journal;
}

static void cut_at_call(uint64_t seed, uint64_t call, weir_sync_mode sync, bool *reached)
{
    disk_env *disk = disk_create(seed);
    promise p = {.kept_from = 1};
    uint64_t term = 1;
    weir_journal *journal = reopen(disk, sync, term, &p);
    work(disk, journal, &p, 60);
    disk->calls_left = call;
    disk->capacity_bytes = reserve_bytes > 0 ? disk_used(disk) : 0;
    work(disk, journal, &p, 60);
    disk->capacity_bytes = 0;
    *reached = disk->off;
    weir_journal_abandon(journal);
    disk_cut(disk);
    for (int i = 0; i < 3; i++) { /* the power goes again while it recovers */
        disk->calls_left = disk_random(disk) % 30 + 1;
        journal = reopen(disk, sync, ++term, &p);
        if (journal != NULL) {
            disk->calls_left = disk_random(disk) % 60 + 1;
            work(disk, journal, &p, 40);
            weir_journal_abandon(journal);
        }
        disk_cut(disk);
    }
    journal = reopen(disk, sync, ++term, &p);
    assert_non_null(journal);
    assert_int_equal(weir_journal_close(journal), WEIR_OK);
    disk_destroy(disk);
}

static void a_power_cut_at_any_call_loses_nothing_durable(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        bool reached = true;
        for (uint64_t call = 1; reached && call < 200; call++) {
            cut_at_call(seed * 1000 + call, call,
                        seed % 2 == 0   ? WEIR_SYNC_INLINE
                        : seed % 4 == 1 ? WEIR_SYNC_AUTO
                                        : WEIR_SYNC_THREAD,
                        &reached);
        }
    }
}

static void a_crash_without_a_power_cut_loses_nothing_written(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        disk_env *disk = disk_create(seed);
        promise p = {.kept_from = 1};
        for (uint64_t term = 1; term < 6; term++) {
            weir_journal *journal = reopen(disk, WEIR_SYNC_INLINE, term, &p);
            work(disk, journal, &p, 80);
            p.durable = weir_journal_written(journal); /* the page cache survives */
            weir_journal_abandon(journal);
            disk_restart(disk);
        }
        disk_destroy(disk);
    }
}

static void a_failed_sync_stops_writing_for_good_and_is_not_tried_again(void **state)
{
    (void)state;
    for (int mode = WEIR_SYNC_INLINE; mode <= WEIR_SYNC_THREAD; mode++) {
        disk_env *disk = disk_create(7);
        promise p = {.kept_from = 1};
        weir_journal *journal = reopen(disk, (weir_sync_mode)mode, 1, &p);
        disk_jobs_run(&disk->env); /* the spare */
        (void)weir_journal_poll(journal);
        (void)unit_add(journal, 10);
        (void)weir_journal_flush(journal, true);
        disk_jobs_run(&disk->env);
        assert_int_equal(weir_journal_poll(journal), WEIR_OK);
        assert_int_equal(weir_journal_durable(journal), 1);
        (void)unit_add(journal, 10);
        disk->fail_sync_in = 1;
        (void)weir_journal_flush(journal, true);
        disk_jobs_run(&disk->env);
        assert_int_equal(weir_journal_poll(journal), WEIR_READ_ONLY);
        uint64_t calls = disk->calls;
        assert_int_equal(weir_journal_flush(journal, true), WEIR_READ_ONLY);
        assert_int_equal(weir_journal_mark(journal), WEIR_READ_ONLY);
        assert_int_equal(weir_journal_room(journal, 1), WEIR_READ_ONLY);
        disk_jobs_run(&disk->env);
        assert_int_equal(weir_journal_poll(journal), WEIR_READ_ONLY);
        assert_int_equal(weir_journal_durable(journal), 1);
        assert_int_equal(weir_journal_close(journal), WEIR_READ_ONLY);
        assert_int_equal(disk->calls, calls);
        disk_destroy(disk);
    }
}

static void what_a_failed_sync_left_readable_is_written_again_before_it_counts(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        disk_env *disk = disk_create(seed);
        promise p = {.kept_from = 1};
        weir_journal *journal = reopen(disk, WEIR_SYNC_INLINE, 1, &p);
        for (int i = 0; i < 3; i++) {
            (void)unit_add(journal, 700);
            assert_int_equal(weir_journal_flush(journal, true), WEIR_OK);
        }
        for (int i = 0; i < 3; i++) {
            (void)unit_add(journal, 700);
            assert_int_equal(weir_journal_flush(journal, false), WEIR_OK);
        }
        disk->fail_sync_in = 1;
        assert_int_equal(weir_journal_flush(journal, true), WEIR_READ_ONLY);
        weir_journal_abandon(journal);
        disk_restart(disk);
        journal = reopen(disk, WEIR_SYNC_INLINE, 2, &p); /* reads units 4 to 6: durable from here */
        assert_int_equal(weir_journal_durable(journal), 6);
        weir_journal_abandon(journal);
        disk_cut(disk);
        journal = reopen(disk, WEIR_SYNC_INLINE, 3, &p);
        assert_int_equal(weir_journal_last(journal), 6);
        weir_journal_abandon(journal);
        disk_destroy(disk);
    }
}

static void a_failed_write_stops_writing_for_good(void **state)
{
    (void)state;
    disk_env *disk = disk_create(3);
    promise p = {.kept_from = 1};
    weir_journal *journal = reopen(disk, WEIR_SYNC_INLINE, 1, &p);
    disk_jobs_run(&disk->env);
    (void)unit_add(journal, 10);
    disk->fail_write_in = 1;
    assert_int_equal(weir_journal_flush(journal, false), WEIR_READ_ONLY);
    assert_int_equal(weir_journal_written(journal), 0);
    assert_int_equal(weir_journal_state(journal), WEIR_READ_ONLY);
    weir_journal_abandon(journal);
    disk_destroy(disk);
}

/* A unit of an owner that does not ask for room first. */
static void unit_force(weir_journal *journal, size_t body_bytes)
{
    uint64_t number = weir_journal_last(journal) + 1;
    weir_journal_begin(journal, TEST_ENGINE_MS + (int64_t)number);
    for (uint64_t entry = 0; entry < number % 3 + 1; entry++) {
        uint8_t *body = weir_journal_entry_add(journal, (uint16_t)(number % 1000), 1, body_bytes);
        assert_non_null(body);
        for (size_t i = 0; i < body_bytes; i++) {
            body[i] = unit_byte(number, i);
        }
    }
    assert_int_equal(weir_journal_end(journal), number);
}

static void a_full_disk_refuses_waits_and_goes_on_by_itself(void **state)
{
    (void)state;
    disk_env *disk = disk_create(5);
    promise p = {.kept_from = 1};
    weir_journal *journal = reopen(disk, WEIR_SYNC_INLINE, 1, &p);
    disk->capacity_bytes = disk_used(disk); /* no room for a spare */
    disk_jobs_run(&disk->env);
    assert_int_equal(weir_journal_poll(journal), WEIR_OK);
    uint64_t added = 0;
    while (weir_journal_room(journal, 3000) == WEIR_OK) {
        added = unit_add(journal, 1000);
        assert_int_equal(weir_journal_flush(journal, true), WEIR_OK);
        assert_int_equal(weir_journal_durable(journal), added);
    }
    assert_int_equal(weir_journal_room(journal, 3000), WEIR_DISK_FULL);
    assert_true(added > 5);
    unit_force(journal, 60000);
    assert_int_equal(weir_journal_flush(journal, true), WEIR_DISK_FULL);
    assert_int_equal(weir_journal_durable(journal), added);
    assert_int_equal(weir_journal_state(journal), WEIR_DISK_FULL);
    unit_force(journal, 100); /* waits behind the one that waits: [W3] */
    assert_int_equal(weir_journal_flush(journal, true), WEIR_DISK_FULL);
    disk->capacity_bytes = 0;
    assert_int_equal(weir_journal_poll(journal), WEIR_DISK_FULL); /* not at every turn */
    disk->now_ns += 1000000000;
    assert_int_equal(weir_journal_poll(journal), WEIR_OK);
    assert_int_equal(weir_journal_durable(journal), added + 2);
    assert_int_equal(weir_journal_close(journal), WEIR_OK);
    disk_restart(disk);
    journal = reopen(disk, WEIR_SYNC_INLINE, 2, &p);
    assert_int_equal(weir_journal_last(journal), added + 2);
    weir_journal_abandon(journal);
    disk_destroy(disk);
}

/* Jobs run, and what they made is taken in, until nothing is left to be made. */
static void settle(disk_env *disk, weir_journal *journal)
{
    for (int i = 0; i < 6; i++) {
        disk->now_ns += 1000000000;
        disk_jobs_run(&disk->env);
        (void)weir_journal_poll(journal);
    }
}

static void units_that_make_room_fit_when_nothing_else_does(void **state)
{
    (void)state;
    reserve_bytes = TEST_FILE_BYTES;
    for (int mode = WEIR_SYNC_INLINE; mode <= WEIR_SYNC_THREAD; mode++) {
        disk_env *disk = disk_create(6);
        promise p = {.kept_from = 1};
        weir_journal *journal = reopen(disk, (weir_sync_mode)mode, 1, &p);
        settle(disk, journal);
        assert_true(weir_journal_reserve_left(journal) > 0);
        disk->capacity_bytes = disk_used(disk);
        uint64_t added = 0;
        while (weir_journal_room(journal, 3000) == WEIR_OK) {
            added = unit_add(journal, 1000);
            (void)weir_journal_flush(journal, true);
            settle(disk, journal);
        }
        assert_int_equal(weir_journal_room(journal, 3000), WEIR_DISK_FULL);
        int more = 0;
        while (weir_journal_room_reserve(journal, 3000) == WEIR_OK) {
            added = unit_add(journal, 1000);
            (void)weir_journal_flush(journal, true);
            settle(disk, journal);
            assert_int_equal(weir_journal_durable(journal), added);
            more++;
        }
        assert_true(more > 5); /* a file of 64 KiB, a page or two for each */
        assert_int_equal(weir_journal_room_reserve(journal, 3000), WEIR_DISK_FULL);
        assert_int_equal(weir_journal_room(journal, 3000), WEIR_DISK_FULL);
        assert_int_equal(weir_journal_state(journal), WEIR_OK); /* nothing is held up */
        disk->capacity_bytes = 0;
        settle(disk, journal);
        assert_int_equal(weir_journal_room(journal, 3000), WEIR_OK);
        assert_true(weir_journal_reserve_left(journal) > 0);
        added = unit_add(journal, 1000);
        assert_int_equal(weir_journal_close(journal), WEIR_OK);
        disk_restart(disk);
        journal = reopen(disk, (weir_sync_mode)mode, 2, &p);
        assert_int_equal(weir_journal_last(journal), added);
        assert_true(weir_journal_reserve_left(journal) > 0); /* it is found again */
        weir_journal_abandon(journal);
        disk_destroy(disk);
    }
    reserve_bytes = 0;
}

/* Settling alone must not use up what a trim needs to make room. */
static void the_last_part_of_the_reserve_is_left_to_units_that_free_disk(void **state)
{
    (void)state;
    reserve_bytes = TEST_FILE_BYTES;
    for (int mode = WEIR_SYNC_INLINE; mode <= WEIR_SYNC_THREAD; mode++) {
        disk_env *disk = disk_create(8);
        promise p = {.kept_from = 1};
        weir_journal *journal = reopen(disk, (weir_sync_mode)mode, 1, &p);
        settle(disk, journal);
        disk->capacity_bytes = disk_used(disk);
        uint64_t added = 0;
        while (weir_journal_room_reserve(journal, 300) == WEIR_OK) {
            added = unit_add(journal, 100);
            (void)weir_journal_flush(journal, true);
            settle(disk, journal);
        }
        assert_int_equal(weir_journal_room(journal, 300), WEIR_DISK_FULL);
        assert_int_equal(weir_journal_room_reserve(journal, 300), WEIR_DISK_FULL);
        int last = 0;
        while (weir_journal_room_last(journal, 300) == WEIR_OK) {
            unit_force(journal, 100);
            added = weir_journal_last(journal);
            (void)weir_journal_flush(journal, true);
            settle(disk, journal);
            assert_int_equal(weir_journal_durable(journal), added);
            last++;
        }
        assert_true(last >= 2); /* a quarter of 64 KiB, a page or two for each */
        assert_int_equal(weir_journal_state(journal), WEIR_OK);
        weir_journal_abandon(journal);
        disk_restart(disk);
        disk->capacity_bytes = 0;
        journal = reopen(disk, (weir_sync_mode)mode, 2, &p);
        assert_int_equal(weir_journal_last(journal), added);
        weir_journal_abandon(journal);
        disk_destroy(disk);
    }
    reserve_bytes = 0;
}

static void a_spare_that_is_given_to_others_is_made_again_later(void **state)
{
    (void)state;
    reserve_bytes = TEST_FILE_BYTES;
    disk_env *disk = disk_create(7);
    promise p = {.kept_from = 1};
    weir_journal *journal = reopen(disk, WEIR_SYNC_INLINE, 1, &p);
    settle(disk, journal);
    uint64_t used = disk_used(disk);
    assert_true(weir_journal_spare_give(journal));
    assert_int_equal(disk_used(disk), used - TEST_FILE_BYTES);
    assert_false(weir_journal_spare_give(journal)); /* the reserve is no spare */
    for (int i = 0; i < 3; i++) {                   /* others have a while to use it */
        disk->now_ns += 500000000;
        (void)weir_journal_poll(journal);
        disk_jobs_run(&disk->env);
    }
    assert_int_equal(disk_used(disk), used - TEST_FILE_BYTES);
    uint64_t added = 0;
    for (int i = 0; i < 6; i++) { /* a quarter of the file, and another is made */
        added = unit_add(journal, 1000);
        assert_int_equal(weir_journal_flush(journal, true), WEIR_OK);
        settle(disk, journal);
    }
    assert_int_equal(disk_used(disk), used);
    assert_int_equal(weir_journal_close(journal), WEIR_OK);
    disk_restart(disk);
    journal = reopen(disk, WEIR_SYNC_INLINE, 2, &p);
    assert_int_equal(weir_journal_last(journal), added);
    weir_journal_abandon(journal);
    disk_destroy(disk);
    reserve_bytes = 0;
}

/* What was taken when nobody knew that the disk is full goes to the reserve; nothing after it does. */
static void what_was_taken_already_does_not_wait_for_room(void **state)
{
    (void)state;
    reserve_bytes = TEST_FILE_BYTES;
    disk_env *disk = disk_create(7);
    promise p = {.kept_from = 1};
    weir_journal *journal = reopen(disk, WEIR_SYNC_INLINE, 1, &p);
    settle(disk, journal);
    disk->capacity_bytes = disk_used(disk);
    for (int i = 0; i < 3; i++) { /* the file, the spare, the reserve */
        unit_force(journal, 15000);
        assert_int_equal(weir_journal_flush(journal, true), WEIR_OK);
    }
    assert_int_equal(weir_journal_durable(journal), 3);
    assert_int_equal(weir_journal_room(journal, 100), WEIR_DISK_FULL);
    assert_int_equal(weir_journal_room_reserve(journal, 100), WEIR_OK);
    unit_force(journal, 60000); /* more than it takes */
    assert_int_equal(weir_journal_flush(journal, true), WEIR_DISK_FULL);
    assert_int_equal(weir_journal_room_reserve(journal, 100), WEIR_DISK_FULL);
    disk->capacity_bytes = 0;
    settle(disk, journal);
    assert_int_equal(weir_journal_durable(journal), 4);
    weir_journal_abandon(journal);
    disk_destroy(disk);
    reserve_bytes = 0;
}

static void a_power_cut_on_a_full_disk_with_a_reserve_loses_nothing_durable(void **state)
{
    (void)state;
    reserve_bytes = TEST_FILE_BYTES;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        bool reached = true;
        for (uint64_t call = 1; reached && call < 200; call += 3) {
            cut_at_call(seed * 1000 + call, call,
                        seed % 2 == 0 ? WEIR_SYNC_INLINE : WEIR_SYNC_THREAD, &reached);
        }
    }
    reserve_bytes = 0;
}

static void a_thread_writes_once_for_all_that_came_meanwhile(void **state)
{
    (void)state;
    disk_env *disk = disk_create(9);
    promise p = {.kept_from = 1};
    weir_journal_counts counts;
    weir_journal *journal = reopen(disk, WEIR_SYNC_THREAD, 1, &p);
    disk_jobs_run(&disk->env);
    (void)weir_journal_poll(journal);
    (void)unit_add(journal, 10);
    assert_int_equal(weir_journal_flush(journal, false), WEIR_OK);
    assert_true(weir_journal_busy(journal));
    for (int i = 0; i < 10; i++) { /* the stronger wish wins: [W3] */
        (void)unit_add(journal, 10);
        assert_int_equal(weir_journal_flush(journal, i == 3), WEIR_OK);
    }
    assert_int_equal(weir_journal_written(journal), 0);
    disk_jobs_run(&disk->env);
    assert_int_equal(weir_journal_written(journal), 0); /* until poll takes it in */
    assert_int_equal(weir_journal_poll(journal), WEIR_OK);
    assert_int_equal(weir_journal_written(journal), 1);
    assert_int_equal(weir_journal_durable(journal), 0);
    assert_true(weir_journal_busy(journal));
    disk_jobs_run(&disk->env);
    assert_int_equal(weir_journal_poll(journal), WEIR_OK);
    assert_false(weir_journal_busy(journal));
    assert_int_equal(weir_journal_durable(journal), 11);
    weir_journal_counts_of(journal, &counts);
    assert_int_equal(counts.writes, 2);
    assert_int_equal(counts.syncs, 1);
    assert_int_equal(weir_journal_close(journal), WEIR_OK);
    disk_destroy(disk);
}

static void flush_sync(disk_env *disk, weir_journal *journal)
{
    (void)unit_add(journal, 10);
    (void)weir_journal_flush(journal, true);
    while (weir_journal_busy(journal)) {
        disk_jobs_run(&disk->env);
        (void)weir_journal_poll(journal);
    }
    assert_int_equal(weir_journal_durable(journal), weir_journal_last(journal));
}

static void auto_uses_a_thread_while_the_disk_is_slow_and_only_then(void **state)
{
    (void)state;
    disk_env *disk = disk_create(11);
    promise p = {.kept_from = 1};
    weir_journal *journal = reopen(disk, WEIR_SYNC_AUTO, 1, &p);
    for (int i = 0; i < 20; i++) {
        flush_sync(disk, journal);
    }
    assert_int_equal(disk->journal_jobs, 0);
    disk->sync_ns = 5000000;
    for (int i = 0; i < 20; i++) {
        flush_sync(disk, journal);
    }
    assert_true(disk->journal_jobs > 10);
    disk->sync_ns = 800000; /* between the two bounds: it stays as it is */
    for (int i = 0; i < 60; i++) {
        flush_sync(disk, journal);
    }
    uint64_t jobs = disk->journal_jobs;
    flush_sync(disk, journal);
    assert_int_equal(disk->journal_jobs, jobs + 1);
    disk->sync_ns = 50000;
    for (int i = 0; i < 60; i++) {
        flush_sync(disk, journal);
    }
    jobs = disk->journal_jobs;
    flush_sync(disk, journal);
    assert_int_equal(disk->journal_jobs, jobs);
    assert_int_equal(weir_journal_close(journal), WEIR_OK);
    disk_destroy(disk);
}

static void one_long_sync_does_not_make_a_slow_disk(void **state)
{
    (void)state;
    disk_env *disk = disk_create(17);
    promise p = {.kept_from = 1};
    weir_journal *journal = reopen(disk, WEIR_SYNC_AUTO, 1, &p);
    for (int i = 0; i < 60; i++) {
        disk->sync_ns = i % 20 == 19 ? 50000000 : 200000;
        flush_sync(disk, journal);
    }
    assert_int_equal(disk->journal_jobs, 0);
    assert_int_equal(weir_journal_close(journal), WEIR_OK);
    disk_destroy(disk);
}

static void an_idle_mark_proves_the_last_group(void **state)
{
    (void)state;
    disk_env *disk = disk_create(13);
    promise p = {.kept_from = 1};
    weir_journal *journal = reopen(disk, WEIR_SYNC_INLINE, 1, &p);
    weir_journal_counts counts;
    flush_sync(disk, journal);
    assert_int_equal(weir_journal_mark(journal), WEIR_OK);
    assert_int_equal(weir_journal_mark(journal), WEIR_OK); /* nothing new to say */
    weir_journal_counts_of(journal, &counts);
    assert_int_equal(counts.writes, 2);
    weir_journal_abandon(journal);
    disk_destroy(disk);
}

/* One unit is written and has a trailing sync, which is under way. */
static weir_journal *trailing_begun(disk_env *disk, promise *p)
{
    weir_journal *journal = reopen(disk, WEIR_SYNC_AUTO, 1, p);
    disk_jobs_run(&disk->env); /* a spare is there */
    (void)weir_journal_poll(journal);
    (void)unit_add(journal, 10);
    assert_int_equal(weir_journal_sync_trailing(journal), WEIR_OK);
    assert_true(weir_journal_busy(journal));
    assert_int_equal(weir_journal_written(journal), 1);
    assert_int_equal(weir_journal_durable(journal), 0);
    assert_int_equal(weir_journal_covered(journal), 1);
    assert_int_equal(disk->journal_jobs, 0);
    return journal;
}

static void trailing_over(disk_env *disk, weir_journal *journal)
{
    disk_jobs_run(&disk->env);
    assert_true(weir_journal_poll(journal) != WEIR_DISK_FULL);
}

static void blocks_are_written_while_a_trailing_sync_runs(void **state)
{
    (void)state;
    disk_env *disk = disk_create(15);
    promise p = {.kept_from = 1};
    weir_journal *journal = trailing_begun(disk, &p);
    (void)unit_add(journal, 10);
    assert_int_equal(weir_journal_flush(journal, false), WEIR_OK);
    assert_int_equal(weir_journal_written(journal), 2);
    assert_int_equal(weir_journal_covered(journal), 1);
    trailing_over(disk, journal);
    assert_false(weir_journal_busy(journal));
    assert_int_equal(weir_journal_durable(journal), 1);
    assert_int_equal(weir_journal_flush(journal, true), WEIR_OK); /* the second is unsynced yet */
    assert_int_equal(weir_journal_durable(journal), 2);
    assert_int_equal(weir_journal_close(journal), WEIR_OK);
    disk_destroy(disk);
}

static void a_sync_that_is_waited_for_comes_after_the_trailing_one(void **state)
{
    (void)state;
    disk_env *disk = disk_create(17);
    promise p = {.kept_from = 1};
    weir_journal_counts counts;
    weir_journal *journal = trailing_begun(disk, &p);
    (void)unit_add(journal, 10);
    assert_int_equal(weir_journal_flush(journal, true), WEIR_OK);
    assert_int_equal(weir_journal_written(journal), 1); /* [W5] */
    trailing_over(disk, journal);
    assert_int_equal(weir_journal_durable(journal), 2);
    weir_journal_counts_of(journal, &counts);
    assert_int_equal(counts.syncs, 2);
    assert_int_equal(weir_journal_close(journal), WEIR_OK);
    disk_destroy(disk);
}

static void a_file_stays_the_last_one_until_its_trailing_sync_is_over(void **state)
{
    (void)state;
    disk_env *disk = disk_create(19);
    promise p = {.kept_from = 1};
    weir_journal *journal = trailing_begun(disk, &p);
    uint64_t last = 0;
    for (int i = 0; i < 40; i++) {
        last = unit_add(journal, 6000);
        assert_int_equal(weir_journal_flush(journal, false), WEIR_OK);
    }
    assert_true(weir_journal_written(journal) > 1);
    assert_true(weir_journal_written(journal) < last);
    for (int i = 0; i < 3 && weir_journal_written(journal) < last; i++) {
        trailing_over(disk, journal);
        assert_int_equal(weir_journal_flush(journal, false), WEIR_OK);
    }
    assert_int_equal(weir_journal_written(journal), last);
    assert_int_equal(weir_journal_close(journal), WEIR_OK);
    disk_destroy(disk);
}

static void blocks_wait_for_a_trailing_sync_that_the_next_one_waits_for(void **state)
{
    (void)state;
    disk_env *disk = disk_create(21);
    promise p = {.kept_from = 1};
    weir_journal *journal = trailing_begun(disk, &p);
    (void)unit_add(journal, 10);
    assert_int_equal(weir_journal_flush(journal, false), WEIR_OK);
    (void)unit_add(journal, 10);
    assert_int_equal(weir_journal_sync_trailing(journal), WEIR_OK);
    assert_int_equal(weir_journal_written(journal), 2);
    trailing_over(disk, journal);
    assert_int_equal(weir_journal_durable(journal), 1);
    assert_int_equal(weir_journal_covered(journal), 2); /* the next one runs */
    assert_int_equal(weir_journal_flush(journal, false), WEIR_OK);
    assert_int_equal(weir_journal_written(journal), 3);
    trailing_over(disk, journal);
    assert_int_equal(weir_journal_durable(journal), 2);
    assert_int_equal(weir_journal_close(journal), WEIR_OK);
    disk_destroy(disk);
}

static void a_trailing_sync_that_fails_stops_all_writing(void **state)
{
    (void)state;
    disk_env *disk = disk_create(23);
    promise p = {.kept_from = 1};
    weir_journal *journal = trailing_begun(disk, &p);
    disk->fail_sync_in = 1;
    (void)unit_add(journal, 10);
    trailing_over(disk, journal);
    assert_int_equal(weir_journal_state(journal), WEIR_READ_ONLY); /* [J3] */
    assert_int_equal(weir_journal_flush(journal, true), WEIR_READ_ONLY);
    assert_int_equal(weir_journal_written(journal), 1);
    assert_int_equal(weir_journal_durable(journal), 0);
    weir_journal_abandon(journal);
    disk_restart(disk);
    journal = reopen(disk, WEIR_SYNC_AUTO, 2, &p);
    assert_int_equal(weir_journal_close(journal), WEIR_OK);
    disk_destroy(disk);
}

static void an_inline_journal_has_no_trailing_sync(void **state)
{
    (void)state;
    disk_env *disk = disk_create(25);
    promise p = {.kept_from = 1};
    weir_journal *journal = reopen(disk, WEIR_SYNC_INLINE, 1, &p);
    (void)unit_add(journal, 10);
    assert_int_equal(weir_journal_sync_trailing(journal), WEIR_OK);
    assert_int_equal(weir_journal_durable(journal), 1);
    assert_int_equal(weir_journal_close(journal), WEIR_OK);
    disk_destroy(disk);
}

typedef struct taken {
    uint64_t at;   /* the last unit of the owner before */
    uint64_t term; /* whose all later ones are */
    uint64_t last;
} taken;

static weir_err replay_terms(void *arg, const weir_journal_unit *unit, weir_fault *fault)
{
    taken *t = arg;
    (void)fault;
    assert_int_equal(unit->term, unit->number > t->at ? t->term : 1);
    t->last = unit->number;
    return WEIR_OK;
}

static void an_older_owner_that_works_on_never_gets_between(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        disk_env *disk = disk_create(seed);
        promise p = {.kept_from = 1};
        promise unheard = {.kept_from = 1};
        weir_journal *old = reopen(disk, WEIR_SYNC_INLINE, 1, &p);
        for (int i = 0; i < 30; i++) {
            (void)unit_add(old, disk_random(disk) % 900 + 1);
            (void)weir_journal_flush(old, disk_random(disk) % 2 == 0);
            promise_note(&p, old);
        }
        weir_journal_config config = disk_config(disk, WEIR_SYNC_INLINE, 2);
        config.taken_over = true;
        taken t = {.at = UINT64_MAX, .term = 2};
        weir_journal *new = NULL;
        weir_fault fault = {0};
        assert_int_equal(weir_journal_open(&config, 1, replay_terms, &t, &new, &fault), WEIR_OK);
        assert_true(weir_journal_last(new) >= p.durable);
        t.at = weir_journal_last(new);
        disk->calls_left = disk_random(disk) % 300 + 1;
        for (int i = 0; i < 40 && !disk->off; i++) {
            if (weir_journal_room(old, 9000) == WEIR_OK) {
                (void)unit_add(old, disk_random(disk) % 3000 + 1);
            }
            (void)weir_journal_flush(old, true);
            (void)weir_journal_mark(old);
            promise_note(&unheard, old);
            if (weir_journal_room(new, 9000) == WEIR_OK) {
                (void)unit_add(new, disk_random(disk) % 3000 + 1);
                (void)weir_journal_flush(new, disk_random(disk) % 3 != 0);
                promise_note(&p, new);
            }
        }
        weir_journal_abandon(new);
        weir_journal_abandon(old);
        disk_cut(disk);
        config = disk_config(disk, WEIR_SYNC_INLINE, 3);
        config.taken_over = seed % 2 == 0;
        assert_int_equal(weir_journal_open(&config, 1, replay_terms, &t, &new, &fault), WEIR_OK);
        assert_true(t.last >= p.durable);
        weir_journal_abandon(new);
        disk_destroy(disk);
    }
}

int main(void)
{
    weir_log_sink(log_quiet, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_power_cut_at_any_call_loses_nothing_durable),
        cmocka_unit_test(a_crash_without_a_power_cut_loses_nothing_written),
        cmocka_unit_test(a_failed_sync_stops_writing_for_good_and_is_not_tried_again),
        cmocka_unit_test(what_a_failed_sync_left_readable_is_written_again_before_it_counts),
        cmocka_unit_test(an_older_owner_that_works_on_never_gets_between),
        cmocka_unit_test(a_failed_write_stops_writing_for_good),
        cmocka_unit_test(a_full_disk_refuses_waits_and_goes_on_by_itself),
        cmocka_unit_test(units_that_make_room_fit_when_nothing_else_does),
        cmocka_unit_test(the_last_part_of_the_reserve_is_left_to_units_that_free_disk),
        cmocka_unit_test(a_spare_that_is_given_to_others_is_made_again_later),
        cmocka_unit_test(what_was_taken_already_does_not_wait_for_room),
        cmocka_unit_test(a_power_cut_on_a_full_disk_with_a_reserve_loses_nothing_durable),
        cmocka_unit_test(a_thread_writes_once_for_all_that_came_meanwhile),
        cmocka_unit_test(auto_uses_a_thread_while_the_disk_is_slow_and_only_then),
        cmocka_unit_test(one_long_sync_does_not_make_a_slow_disk),
        cmocka_unit_test(an_idle_mark_proves_the_last_group),
        cmocka_unit_test(blocks_are_written_while_a_trailing_sync_runs),
        cmocka_unit_test(a_sync_that_is_waited_for_comes_after_the_trailing_one),
        cmocka_unit_test(a_file_stays_the_last_one_until_its_trailing_sync_is_over),
        cmocka_unit_test(blocks_wait_for_a_trailing_sync_that_the_next_one_waits_for),
        cmocka_unit_test(a_trailing_sync_that_fails_stops_all_writing),
        cmocka_unit_test(an_inline_journal_has_no_trailing_sync),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
