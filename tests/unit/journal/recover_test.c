/* What recovery makes of a folder: a torn tail is cut, damage is called damage and changes nothing,
 * and what an older owner still writes is never read. */
#include "tests/unit/journal/disk_env.h"

static weir_journal_config disk_config(disk_env *disk, uint64_t term)
{
    return (weir_journal_config){
        .env = &disk->env,
        .dir = "/data/journal",
        .file_bytes = TEST_FILE_BYTES,
        .pending_bytes_max = 64 << 20,
        .term = term,
        .sync = WEIR_SYNC_INLINE,
    };
}

static disk_env *disk_clone(const disk_env *from)
{
    disk_env *to = calloc(1, sizeof(*to));
    assert_non_null(to);
    *to = *from;
    for (size_t i = 0; i < from->file_count; i++) {
        disk_file *file = calloc(1, sizeof(*file));
        assert_non_null(file);
        disk_grow(file, from->files[i]->live_bytes);
        if (file->live_bytes > 0) {
            memcpy(file->live, from->files[i]->live, file->live_bytes);
            memcpy(file->synced, from->files[i]->synced, file->live_bytes);
        }
        file->synced_bytes = from->files[i]->synced_bytes;
        to->files[i] = file;
        for (size_t n = 0; n < to->live_count; n++) {
            to->live[n].file = to->live[n].file == from->files[i] ? file : to->live[n].file;
        }
    }
    memcpy(to->durable, to->live, sizeof(to->live));
    to->durable_count = to->live_count;
    to->op_count = 0;
    return to;
}

/* The newest .wal. */
static disk_file *disk_newest(disk_env *disk)
{
    disk_name *newest = NULL;
    for (size_t i = 0; i < disk->live_count; i++) {
        if (strstr(disk->live[i].path, ".wal") != NULL &&
            (newest == NULL || strcmp(disk->live[i].path, newest->path) > 0)) {
            newest = &disk->live[i];
        }
    }
    assert_non_null(newest);
    return newest->file;
}

static size_t disk_count(const disk_env *disk, const char *ending)
{
    size_t count = 0;
    for (size_t i = 0; i < disk->live_count; i++) {
        count += strstr(disk->live[i].path, ending) != NULL ? 1 : 0;
    }
    return count;
}

static weir_journal *disk_open(disk_env *disk, uint64_t term, replayed *seen)
{
    weir_journal_config config = disk_config(disk, term);
    return journal_open(&config, seen);
}

static void flushed(weir_journal *journal, size_t body_bytes)
{
    uint64_t number = unit_add(journal, body_bytes);
    assert_int_equal(weir_journal_flush(journal, true), WEIR_OK);
    assert_int_equal(weir_journal_durable(journal), number);
}

/* A journal of `units` groups of one unit, and one last group of three that no mark proves. The
 * position of that last block is returned. */
static uint64_t tail_make(disk_env *disk, uint64_t units)
{
    replayed seen;
    weir_journal *journal = disk_open(disk, 1, &seen);
    for (uint64_t i = 0; i < units; i++) {
        flushed(journal, 100);
    }
    for (int i = 0; i < 3; i++) {
        (void)unit_add(journal, 900);
    }
    assert_int_equal(weir_journal_flush(journal, true), WEIR_OK);
    weir_journal_abandon(journal);
    disk_restart(disk);
    return WEIR_JOURNAL_PAGE_BYTES + units * WEIR_JOURNAL_PAGE_BYTES;
}

static void a_last_block_torn_at_any_sector_is_cut_and_all_before_it_kept(void **state)
{
    (void)state;
    disk_env *whole = disk_create(1);
    uint64_t at = tail_make(whole, 5);
    for (uint64_t span = 2 * WEIR_JOURNAL_PAGE_BYTES, from = 0; from < span; from += DISK_SECTOR) {
        for (int kind = 0; kind < 3; kind++) { /* zeros, noise, and one sector missing */
            disk_env *disk = disk_clone(whole);
            replayed seen;
            uint64_t len = kind == 2 ? DISK_SECTOR : span - from;
            bool same = true;
            for (uint64_t i = 0; i < len; i++) {
                uint8_t *byte = &disk_newest(disk)->live[at + from + i];
                uint8_t value = kind == 1 ? (uint8_t)(i * 37 + 1) : 0;
                same = same && *byte == value;
                *byte = value;
            }
            weir_journal *journal = disk_open(disk, 2, &seen);
            assert_int_equal(seen.count, same ? 8 : 5);
            flushed(journal, 50); /* it goes on with the number that was cut */
            weir_journal_abandon(journal);
            disk_restart(disk);
            weir_journal_abandon(disk_open(disk, 3, &seen));
            assert_int_equal(seen.count, same ? 9 : 6);
            disk_destroy(disk);
        }
    }
    disk_destroy(whole);
}

static void a_damaged_block_below_a_mark_is_damage_and_nothing_is_changed(void **state)
{
    (void)state;
    disk_env *disk = disk_create(1);
    uint64_t last_at = tail_make(disk, 5);
    for (uint64_t at = WEIR_JOURNAL_PAGE_BYTES; at < last_at; at += 97) {
        weir_journal_config config = disk_config(disk, 2);
        weir_fault fault = {0};
        disk_newest(disk)->live[at] ^= 1;
        uint64_t calls = disk->calls;
        weir_err err = journal_refusal(&config, 1, &fault);
        disk_newest(disk)->live[at] ^= 1;
        if (at < last_at - WEIR_JOURNAL_PAGE_BYTES) {
            assert_int_equal(err, WEIR_DAMAGED);
            assert_int_equal(disk->calls, calls);
            assert_int_equal(fault.position,
                             at / WEIR_JOURNAL_PAGE_BYTES * WEIR_JOURNAL_PAGE_BYTES);
            assert_non_null(strstr(fault.file, ".wal"));
            assert_non_null(strstr(fault.text, "nothing was changed"));
        } else {
            assert_int_equal(err, WEIR_DAMAGED); /* the last block's own mark proves this one */
        }
    }
    replayed seen;
    weir_journal_abandon(disk_open(disk, 2, &seen));
    assert_int_equal(seen.count, 8);
    disk_destroy(disk);
}

static void a_closed_journal_shows_every_flipped_byte_as_damage_or_not_at_all(void **state)
{
    (void)state;
    disk_env *whole = disk_create(2);
    replayed seen;
    for (uint64_t term = 1; term <= 2; term++) { /* two files, the first ended by the second */
        weir_journal *journal = disk_open(whole, term, &seen);
        for (int i = 0; i < 3; i++) {
            flushed(journal, 400);
        }
        assert_int_equal(weir_journal_close(journal), WEIR_OK);
        disk_restart(whole);
    }
    uint64_t damaged = 0;
    uint64_t used = 5 * WEIR_JOURNAL_PAGE_BYTES;
    for (size_t f = 0; f < whole->live_count; f++) {
        for (uint64_t at = 0; at < used; at += WEIR_UNIT_THIN) {
            disk_env *disk = disk_clone(whole);
            weir_journal_config config = disk_config(disk, 3);
            weir_journal *journal = NULL;
            weir_fault fault = {0};
            seen = (replayed){0};
            disk->live[f].file->live[at] ^= (uint8_t)(1u << at % 8);
            weir_err err = weir_journal_open(&config, 1, replay_check, &seen, &journal, &fault);
            if (err == WEIR_OK) {
                assert_int_equal(seen.count, 6);
                weir_journal_abandon(journal);
            } else {
                assert_int_equal(err, WEIR_DAMAGED);
                damaged++;
            }
            disk_destroy(disk);
        }
    }
    /* All but spares and the page of the newest mark, which proves what other pages hold. */
    assert_true(damaged * WEIR_UNIT_THIN + 8 * (WEIR_UNIT_THIN - 1) >=
                2 * used - 2 * WEIR_JOURNAL_PAGE_BYTES);
    disk_destroy(whole);
}

static void released_files_are_written_again_and_their_old_blocks_never_read(void **state)
{
    (void)state;
    disk_env *disk = disk_create(4);
    replayed seen;
    weir_journal_counts counts;
    weir_journal *journal = disk_open(disk, 1, &seen);
    for (uint64_t n = 1; n <= 1000; n++) {
        flushed(journal, 900);
        if (n % 10 == 0) {
            weir_journal_release(journal, n - 5);
            disk_jobs_run(&disk->env);
            assert_true(disk->live_count <= 8);
        }
        assert_int_equal(weir_journal_poll(journal), WEIR_OK);
    }
    weir_journal_counts_of(journal, &counts);
    assert_true(counts.files_recycled > 20);
    assert_true(counts.files_created < 10);
    weir_journal_abandon(journal);
    disk_restart(disk);
    weir_journal_config config = disk_config(disk, 2);
    journal = journal_open_from(&config, 995, &seen);
    assert_int_equal(seen.first, 995);
    assert_int_equal(seen.last, 1000);
    weir_journal_abandon(journal);
    weir_fault fault;
    config.term = 3;
    assert_int_equal(journal_refusal(&config, 1, &fault), WEIR_DAMAGED); /* unit 1 is gone */
    disk_destroy(disk);
}

static void a_unit_larger_than_a_file_gets_a_file_of_its_own(void **state)
{
    (void)state;
    disk_env *disk = disk_create(6);
    replayed seen;
    weir_journal *journal = disk_open(disk, 1, &seen);
    const size_t sizes[] = {10, 20000, 65536, 100, 300000, 5 << 20, 1, 70000};
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            flushed(journal, sizes[i]);
        }
    }
    weir_journal_abandon(journal);
    disk_restart(disk);
    weir_journal_config config = disk_config(disk, 2);
    journal = journal_open(&config, &seen);
    assert_int_equal(seen.count, 16);
    flushed(journal, 5);
    weir_journal_release(journal, 17);
    assert_true(disk_count(disk, ".wal") <= 2);
    assert_int_equal(weir_journal_close(journal), WEIR_OK);
    disk_destroy(disk);
}

static void a_large_unproven_tail_is_written_again_whole(void **state)
{
    (void)state;
    disk_env *disk = disk_create(8);
    replayed seen;
    weir_journal *journal = disk_open(disk, 1, &seen);
    (void)unit_add(journal, 3 << 20);
    assert_int_equal(weir_journal_flush(journal, true), WEIR_OK);
    weir_journal_abandon(journal);
    for (uint64_t term = 2; term < 5; term++) {
        disk_restart(disk);
        weir_journal_abandon(disk_open(disk, term, &seen));
        assert_int_equal(seen.count, 1);
        disk_cut(disk);
    }
    disk_destroy(disk);
}

static void a_tail_that_was_written_again_is_damage_when_it_rots(void **state)
{
    (void)state;
    disk_env *disk = disk_create(1);
    (void)tail_make(disk, 5);
    replayed seen;
    weir_journal_abandon(disk_open(disk, 2, &seen)); /* [R2]: its head vouches for units 6 to 8 */
    disk_restart(disk);
    weir_journal_config config = disk_config(disk, 3);
    weir_fault fault = {0};
    disk_newest(disk)->live[WEIR_JOURNAL_PAGE_BYTES + 100] ^= 1;
    assert_int_equal(journal_refusal(&config, 1, &fault), WEIR_DAMAGED);
    disk_newest(disk)->live[WEIR_JOURNAL_PAGE_BYTES + 100] ^= 1;
    weir_journal_abandon(disk_open(disk, 3, &seen));
    assert_int_equal(seen.count, 8);
    disk_destroy(disk);
}

/* A group that fills its file to the end leaves no page for the mark. */
static void a_mark_that_finds_no_file_is_written_into_the_next_one(void **state)
{
    (void)state;
    disk_env *disk = disk_create(1);
    weir_fault fault = {0};
    replayed seen;
    weir_journal *journal = disk_open(disk, 1, &seen);
    flushed(journal, TEST_FILE_BYTES);
    disk_file *filled = disk_newest(disk);
    assert_int_equal(weir_journal_mark(journal), WEIR_AGAIN);
    disk_jobs_run(&disk->env); /* a spare is made */
    assert_int_equal(weir_journal_mark(journal), WEIR_OK);
    assert_ptr_not_equal(disk_newest(disk), filled);
    weir_journal_abandon(journal);
    disk_restart(disk);
    filled->live[WEIR_JOURNAL_PAGE_BYTES + 100] ^= 1;
    weir_journal_config config = disk_config(disk, 2);
    assert_int_equal(journal_refusal(&config, 1, &fault), WEIR_DAMAGED);
    disk_destroy(disk);
}

/* A page of this very file that arrived in a second place: good in itself, but not the next. */
static void a_misdirected_block_is_damage(void **state)
{
    (void)state;
    disk_env *disk = disk_create(1);
    replayed seen;
    weir_journal *journal = disk_open(disk, 1, &seen);
    for (int i = 0; i < 4; i++) { /* unit, mark, unit, mark, ... */
        flushed(journal, 10);
        assert_int_equal(weir_journal_mark(journal), WEIR_OK);
    }
    weir_journal_abandon(journal);
    disk_restart(disk);
    uint8_t *live = disk_newest(disk)->live;
    memcpy(live + 4 * WEIR_JOURNAL_PAGE_BYTES, live + 2 * WEIR_JOURNAL_PAGE_BYTES,
           WEIR_JOURNAL_PAGE_BYTES);
    weir_journal_config config = disk_config(disk, 2);
    weir_fault fault = {0};
    assert_int_equal(journal_refusal(&config, 1, &fault), WEIR_DAMAGED);
    assert_int_equal(fault.position, 4 * WEIR_JOURNAL_PAGE_BYTES);
    disk_destroy(disk);
}

static void missing_units_are_damage(void **state)
{
    (void)state;
    disk_env *disk = disk_create(1);
    weir_fault fault = {0};
    weir_journal_config config = disk_config(disk, 1);
    assert_int_equal(journal_refusal(&config, 5, &fault), WEIR_DAMAGED); /* nothing is there */
    (void)tail_make(disk, 5);
    config.term = 2;
    assert_int_equal(journal_refusal(&config, 10, &fault), WEIR_DAMAGED); /* unit 9 was there */
    replayed seen;
    config.term = 3;
    weir_journal_abandon(journal_open_from(&config, 9, &seen));
    assert_int_equal(seen.count, 0);
    disk_destroy(disk);
}

static void a_lost_file_of_the_chain_is_damage(void **state)
{
    (void)state;
    disk_env *whole = disk_create(3);
    replayed seen;
    weir_journal *journal = disk_open(whole, 1, &seen);
    for (int i = 0; i < 100; i++) {
        flushed(journal, 900);
    }
    assert_int_equal(weir_journal_close(journal), WEIR_OK);
    disk_restart(whole);
    for (size_t f = 0; f < whole->live_count; f++) {
        disk_env *disk = disk_clone(whole);
        bool wal = strstr(disk->live[f].path, ".wal") != NULL;
        bool newest = disk->live[f].file == disk_newest(disk);
        weir_journal_config config = disk_config(disk, 2);
        weir_fault fault = {0};
        (void)disk_unlink(&disk->env, disk->live[f].path);
        weir_err err = journal_refusal(&config, 1, &fault);
        assert_int_equal(err, wal && !newest ? WEIR_DAMAGED : WEIR_OK);
        disk_destroy(disk);
    }
    disk_destroy(whole);
}

static void a_refusing_replay_stops_open_and_changes_nothing(void **state)
{
    (void)state;
    disk_env *disk = disk_create(1);
    (void)tail_make(disk, 5);
    weir_journal_config config = disk_config(disk, 2);
    weir_journal *journal = NULL;
    weir_fault fault = {0};
    replayed seen = {.refuse = WEIR_VERSION, .refuse_at = 3};
    uint64_t calls = disk->calls;
    assert_int_equal(weir_journal_open(&config, 1, replay_check, &seen, &journal, &fault),
                     WEIR_VERSION);
    assert_int_equal(seen.last, 2);
    assert_int_equal(fault.err, WEIR_VERSION);
    assert_null(journal);
    assert_int_equal(disk->calls, calls);
    disk_destroy(disk);
}

static void a_head_for_newer_readers_stops_open(void **state)
{
    (void)state;
    disk_env *disk = disk_create(1);
    (void)tail_make(disk, 2);
    uint8_t *page = disk_newest(disk)->live;
    page[15]++; /* the least reader's version */
    uint32_t crc = weir_crc32c(0, page, WEIR_JOURNAL_PAGE_BYTES - 4);
    weir_put_u32(page + WEIR_JOURNAL_PAGE_BYTES - 4, crc);
    weir_journal_config config = disk_config(disk, 2);
    weir_fault fault = {0};
    assert_int_equal(journal_refusal(&config, 1, &fault), WEIR_VERSION);
    disk_destroy(disk);
}

static void starting_again_and_again_leaves_no_row_of_files(void **state)
{
    (void)state;
    disk_env *disk = disk_create(1);
    replayed seen;
    (void)tail_make(disk, 2);
    for (uint64_t term = 2; term < 60; term++) {
        weir_journal *journal = disk_open(disk, term, &seen);
        assert_int_equal(seen.count, 5);
        disk_jobs_run(&disk->env);
        assert_int_equal(weir_journal_poll(journal), WEIR_OK);
        weir_journal_abandon(journal);
        disk_restart(disk);
    }
    assert_true(disk->live_count <= 5);
    disk_destroy(disk);
}

static void the_same_term_twice_never_gives_a_file_number_twice(void **state)
{
    (void)state;
    disk_env *disk = disk_create(1);
    replayed seen;
    for (uint64_t n = 0; n < 30; n++) {
        weir_journal *journal = disk_open(disk, 0, &seen);
        assert_int_equal(seen.count, n);
        flushed(journal, 10);
        weir_journal_abandon(journal);
        disk_restart(disk);
    }
    disk_destroy(disk);
}

/* An older owner that was stopped, taken over, and wakes up. */
static void what_a_woken_older_owner_writes_is_never_read(void **state)
{
    (void)state;
    for (int woken_units = 1; woken_units < 80; woken_units += 13) {
        disk_env *disk = disk_create(1);
        replayed seen;
        weir_journal *old = disk_open(disk, 1, &seen);
        disk_jobs_run(&disk->env);
        (void)weir_journal_poll(old);
        for (int i = 0; i < 5; i++) {
            flushed(old, 500);
        }
        weir_journal_config config = disk_config(disk, 2);
        config.taken_over = true;
        weir_journal *new = journal_open(&config, &seen);
        assert_int_equal(seen.count, 5);
        flushed(new, 10);
        for (int i = 0; i < woken_units; i++) { /* through several files, with marks */
            flushed(old, 900);
            (void)weir_journal_mark(old);
        }
        flushed(new, 20);
        assert_int_equal(weir_journal_last(new), 7);
        weir_journal_abandon(new);
        weir_journal_abandon(old);
        disk_restart(disk);
        config = disk_config(disk, 3);
        config.taken_over = woken_units % 2 == 0;
        new = journal_open(&config, &seen);
        assert_int_equal(seen.count, 7); /* 6 and 7 of these sizes: replay_check saw their bytes */
        weir_journal_abandon(new);
        disk_restart(disk);
        weir_journal_abandon(disk_open(disk, 4, &seen));
        assert_int_equal(seen.count, 7);
        disk_destroy(disk);
    }
}

static void one_who_took_over_writes_no_file_that_the_older_owner_has(void **state)
{
    (void)state;
    disk_env *disk = disk_create(1);
    replayed seen;
    weir_journal *old = disk_open(disk, 1, &seen);
    disk_jobs_run(&disk->env);
    (void)weir_journal_poll(old);
    for (int i = 0; i < 60; i++) {
        flushed(old, 900);
        disk_jobs_run(&disk->env);
        (void)weir_journal_poll(old);
    }
    size_t spares = disk_count(disk, ".spare");
    assert_true(spares > 0);
    weir_journal_config config = disk_config(disk, 2);
    config.taken_over = true;
    weir_journal *new = journal_open(&config, &seen);
    assert_int_equal(disk_count(disk, ".spare"), spares); /* not taken, not removed */
    weir_journal_counts counts;
    flushed(new, 10);
    weir_journal_release(new, 61);
    weir_journal_counts_of(new, &counts);
    assert_int_equal(counts.files_recycled, 0); /* removed instead */
    assert_int_equal(disk_count(disk, ".wal"), 1);
    for (int i = 0; i < 60; i++) {
        flushed(new, 900);
    }
    weir_journal_release(new, 121);
    weir_journal_counts_of(new, &counts);
    assert_true(counts.files_recycled > 0); /* its own */
    for (int i = 0; i < 60; i++) {
        flushed(old, 900); /* its spare is still there */
    }
    weir_journal_abandon(new);
    weir_journal_abandon(old);
    disk_destroy(disk);
}

int main(void)
{
    weir_log_sink(log_quiet, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_last_block_torn_at_any_sector_is_cut_and_all_before_it_kept),
        cmocka_unit_test(a_damaged_block_below_a_mark_is_damage_and_nothing_is_changed),
        cmocka_unit_test(a_closed_journal_shows_every_flipped_byte_as_damage_or_not_at_all),
        cmocka_unit_test(released_files_are_written_again_and_their_old_blocks_never_read),
        cmocka_unit_test(a_unit_larger_than_a_file_gets_a_file_of_its_own),
        cmocka_unit_test(a_large_unproven_tail_is_written_again_whole),
        cmocka_unit_test(a_tail_that_was_written_again_is_damage_when_it_rots),
        cmocka_unit_test(a_mark_that_finds_no_file_is_written_into_the_next_one),
        cmocka_unit_test(a_misdirected_block_is_damage),
        cmocka_unit_test(missing_units_are_damage),
        cmocka_unit_test(a_lost_file_of_the_chain_is_damage),
        cmocka_unit_test(a_refusing_replay_stops_open_and_changes_nothing),
        cmocka_unit_test(a_head_for_newer_readers_stops_open),
        cmocka_unit_test(starting_again_and_again_leaves_no_row_of_files),
        cmocka_unit_test(the_same_term_twice_never_gives_a_file_number_twice),
        cmocka_unit_test(what_a_woken_older_owner_writes_is_never_read),
        cmocka_unit_test(one_who_took_over_writes_no_file_that_the_older_owner_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
