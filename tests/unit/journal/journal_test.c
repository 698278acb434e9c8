/* Units go in, survive, and come out again: the journal's everyday life. */
#include "tests/unit/journal/support.h"

static void a_new_journal_is_empty_and_writable(void **state)
{
    fixture *f = *state;
    replayed seen;
    weir_journal *journal = journal_open(&f->config, &seen);
    assert_int_equal(seen.count, 0);
    assert_int_equal(weir_journal_last(journal), 0);
    assert_int_equal(weir_journal_state(journal), WEIR_OK);
    assert_int_equal(weir_journal_close(journal), WEIR_OK);
}

static void units_come_back_whole_and_in_order(void **state)
{
    fixture *f = *state;
    replayed seen;
    weir_journal *journal = journal_open(&f->config, &seen);
    for (uint64_t n = 1; n <= 100; n++) {
        assert_int_equal(unit_add(journal, n * 5), n);
        if (n % 7 == 0) {
            assert_int_equal(weir_journal_flush(journal, n % 2 == 0), WEIR_OK);
        }
    }
    assert_int_equal(weir_journal_close(journal), WEIR_OK);
    journal = journal_open(&f->config, &seen);
    assert_int_equal(seen.first, 1);
    assert_int_equal(seen.count, 100);
    assert_int_equal(weir_journal_last(journal), 100);
    assert_int_equal(unit_add(journal, 10), 101);
    assert_int_equal(weir_journal_close(journal), WEIR_OK);
}

static void written_and_durable_follow_what_flush_was_asked(void **state)
{
    fixture *f = *state;
    replayed seen;
    weir_journal *journal = journal_open(&f->config, &seen);
    (void)unit_add(journal, 10);
    (void)unit_add(journal, 10);
    assert_int_equal(weir_journal_last(journal), 2);
    assert_int_equal(weir_journal_written(journal), 0);
    assert_int_equal(weir_journal_flush(journal, false), WEIR_OK);
    assert_int_equal(weir_journal_written(journal), 2);
    assert_int_equal(weir_journal_durable(journal), 0);
    (void)unit_add(journal, 10);
    assert_int_equal(weir_journal_flush(journal, true), WEIR_OK);
    assert_int_equal(weir_journal_durable(journal), 3);
    weir_journal_abandon(journal);
}

static void one_flush_is_one_write_and_one_sync_for_all_that_waits(void **state)
{
    fixture *f = *state;
    replayed seen;
    weir_journal_counts counts;
    weir_journal *journal = journal_open(&f->config, &seen);
    for (int i = 0; i < 50; i++) {
        (void)unit_add(journal, 100);
    }
    assert_int_equal(weir_journal_flush(journal, true), WEIR_OK);
    weir_journal_counts_of(journal, &counts);
    assert_int_equal(counts.units, 50);
    assert_int_equal(counts.writes, 1);
    assert_int_equal(counts.syncs, 1);
    assert_true(counts.sync_ns_mean > 0);
    assert_int_equal(weir_journal_flush(journal, true), WEIR_OK); /* nothing waits */
    weir_journal_counts_of(journal, &counts);
    assert_int_equal(counts.writes, 1);
    assert_int_equal(counts.syncs, 1);
    weir_journal_abandon(journal);
}

static void a_unit_without_entries_is_taken_back(void **state)
{
    fixture *f = *state;
    replayed seen;
    weir_journal *journal = journal_open(&f->config, &seen);
    weir_journal_begin(journal, 5);
    assert_int_equal(weir_journal_end(journal), 0);
    assert_int_equal(unit_add(journal, 3), 1);
    weir_journal_begin(journal, 5);
    assert_int_equal(weir_journal_end(journal), 1);
    assert_int_equal(unit_add(journal, 3), 2);
    assert_int_equal(weir_journal_close(journal), WEIR_OK);
    journal = journal_open(&f->config, &seen);
    assert_int_equal(seen.count, 2);
    weir_journal_abandon(journal);
}

static void replay_begins_at_the_unit_asked_for(void **state)
{
    fixture *f = *state;
    replayed seen;
    weir_journal *journal = journal_open(&f->config, &seen);
    for (int i = 0; i < 20; i++) {
        (void)unit_add(journal, 5000);
        assert_int_equal(weir_journal_flush(journal, true), WEIR_OK);
    }
    weir_journal_abandon(journal);
    for (uint64_t from = 1; from <= 21; from++) {
        journal = journal_open_from(&f->config, from, &seen);
        assert_int_equal(seen.count, 21 - from);
        assert_true(seen.count == 0 || seen.first == from);
        weir_journal_abandon(journal);
    }
}

static void room_refuses_before_anything_changes(void **state)
{
    fixture *f = *state;
    replayed seen;
    f->config.pending_bytes_max = 100000;
    weir_journal *journal = journal_open(&f->config, &seen);
    assert_int_equal(weir_journal_room(journal, 100001), WEIR_TOO_LARGE);
    assert_int_equal(weir_journal_room(journal, 100000),
                     WEIR_OK); /* nothing waits: it always fits */
    (void)unit_add(journal, 20000);
    assert_int_equal(weir_journal_room(journal, 50000), WEIR_OK);
    assert_int_equal(weir_journal_room(journal, 70000), WEIR_AGAIN);
    assert_int_equal(weir_journal_flush(journal, false), WEIR_OK);
    assert_int_equal(weir_journal_room(journal, 70000), WEIR_OK);
    weir_journal_abandon(journal);
}

static void a_configuration_that_cannot_work_is_refused(void **state)
{
    fixture *f = *state;
    weir_journal *journal = NULL;
    const uint64_t sizes[] = {0, 4096, TEST_FILE_BYTES - 4096, TEST_FILE_BYTES + 1};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        weir_fault fault = {0};
        f->config.file_bytes = sizes[i];
        assert_int_equal(weir_journal_open(&f->config, 1, replay_check, NULL, &journal, &fault),
                         WEIR_INVALID);
        assert_int_equal(fault.err, WEIR_INVALID);
        assert_null(journal);
    }
}

static void a_large_unit_begun_small_grows_as_it_is_filled(void **state)
{
    fixture *f = *state;
    replayed seen;
    weir_journal *journal = journal_open(&f->config, &seen);
    (void)unit_add(journal, 1);
    weir_journal_begin(journal, TEST_ENGINE_MS + 2); /* without room() */
    for (int i = 0; i < 3; i++) {
        uint8_t *body = weir_journal_entry_add(journal, 2, 1, 1 << 20);
        assert_non_null(body);
        for (size_t b = 0; b < 1 << 20; b++) {
            body[b] = unit_byte(2, b);
        }
    }
    assert_int_equal(weir_journal_end(journal), 2);
    (void)unit_add(journal, 1);
    assert_int_equal(weir_journal_close(journal), WEIR_OK);
    journal = journal_open(&f->config, &seen);
    assert_int_equal(seen.count, 3);
    weir_journal_abandon(journal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_journal_is_empty_and_writable, setup, teardown),
        cmocka_unit_test_setup_teardown(units_come_back_whole_and_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(written_and_durable_follow_what_flush_was_asked, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(one_flush_is_one_write_and_one_sync_for_all_that_waits,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_unit_without_entries_is_taken_back, setup, teardown),
        cmocka_unit_test_setup_teardown(room_refuses_before_anything_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_configuration_that_cannot_work_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_large_unit_begun_small_grows_as_it_is_filled, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(replay_begins_at_the_unit_asked_for, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
