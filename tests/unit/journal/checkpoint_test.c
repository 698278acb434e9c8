/* Checkpoints: two are kept, the newest good one is found, and a bad one is never believed. */
#include "tests/unit/journal/disk_env.h"

#include "core/journal/checkpoint.h"

static weir_checkpoint_link last; /* of what was written last */

static weir_checkpoint sample(uint64_t number)
{
    static uint8_t payload[5000];
    memset(payload, (int)number, sizeof(payload));
    return (weir_checkpoint){
        .number = number,
        .unit = number * 10,
        .replay_from = number * 10 - 5,
        .term = 3,
        .recovery_epoch = 4,
        .engine_ms = -7,
        .clean = number % 2 == 0,
        .payload = {payload, sizeof(payload) - number},
    };
}

static void write_one(fixture *f, uint64_t number)
{
    weir_checkpoint checkpoint = sample(number);
    assert_int_equal(weir_checkpoint_write(f->env, f->folder.state, &checkpoint, &last), WEIR_OK);
}

/* What was handed over, in its order. */
typedef struct loaded_chain {
    uint64_t numbers[32];
    size_t count;
} loaded_chain;

static weir_err loaded_each(void *arg, const weir_checkpoint *got, weir_fault *fault)
{
    loaded_chain *all = arg;
    (void)fault;
    weir_checkpoint put = sample(got->number);
    assert_int_equal(got->unit, put.unit);
    assert_int_equal(got->replay_from, put.replay_from);
    assert_int_equal(got->recovery_epoch, put.recovery_epoch);
    assert_int_equal(got->engine_ms, put.engine_ms);
    assert_int_equal(got->clean, put.clean);
    assert_true(weir_bytes_equal(got->payload, put.payload));
    all->numbers[all->count++] = got->number;
    return WEIR_OK;
}

static loaded_chain load_all(fixture *f)
{
    loaded_chain all = {0};
    weir_checkpoint newest = {0};
    weir_fault fault = {0};
    assert_int_equal(
        weir_checkpoint_load(f->env, f->folder.state, loaded_each, &all, &newest, &fault), WEIR_OK);
    assert_true(all.count > 0);
    assert_int_equal(newest.unit, sample(all.numbers[all.count - 1]).unit);
    return all;
}

static uint64_t load_number(fixture *f)
{
    loaded_chain all = load_all(f);
    return all.numbers[all.count - 1];
}

static void a_new_folder_has_none(void **state)
{
    fixture *f = *state;
    weir_checkpoint got;
    loaded_chain all = {0};
    weir_fault fault = {0};
    uint64_t keep_from = 9;
    assert_int_equal(weir_checkpoint_load(f->env, f->folder.state, loaded_each, &all, &got, &fault),
                     WEIR_NOT_FOUND);
    assert_int_equal(all.count, 0);
    assert_int_equal(weir_checkpoint_keep_from(f->env, f->folder.state, &keep_from), WEIR_OK);
    assert_int_equal(keep_from, 0);
}

static void the_newest_is_loaded_and_two_are_kept(void **state)
{
    fixture *f = *state;
    uint64_t keep_from = 9;
    write_one(f, 1);
    assert_int_equal(load_number(f), 1);
    assert_int_equal(weir_checkpoint_keep_from(f->env, f->folder.state, &keep_from), WEIR_OK);
    assert_int_equal(keep_from, 0);
    for (uint64_t number = 2; number < 12; number++) {
        write_one(f, number);
        assert_int_equal(load_number(f), number);
        assert_int_equal(file_count(f->folder.state, ".checkpoint"), 2);
        assert_int_equal(weir_checkpoint_keep_from(f->env, f->folder.state, &keep_from), WEIR_OK);
        assert_int_equal(keep_from, sample(number - 1).replay_from);
    }
}

static void a_bad_newest_is_passed_over_and_then_replaced(void **state)
{
    fixture *f = *state;
    char path[TEST_PATH_MAX];
    write_one(f, 1);
    write_one(f, 2);
    assert_true(file_find(f->folder.state, ".checkpoint", true, path));
    file_poke(path, 2000, 1, 0x55);
    assert_int_equal(load_number(f), 1);
    weir_checkpoint next = sample(2);
    next.term = 4; /* the next start's */
    assert_int_equal(weir_checkpoint_write(f->env, f->folder.state, &next, &last), WEIR_OK);
    assert_int_equal(load_number(f), 2);
    assert_int_equal(file_count(f->folder.state, ".checkpoint"), 2); /* the good 1, not the bad 2 */
    assert_true(file_find(f->folder.state, ".checkpoint", true, path));
    file_poke(path, 2000, 1, 0x55);
    assert_int_equal(load_number(f), 1);
}

static void an_older_owner_removes_nothing_that_is_newer(void **state)
{
    fixture *f = *state;
    char path[TEST_PATH_MAX + 64];
    write_one(f, 1);
    for (uint64_t number = 2; number < 4; number++) {
        weir_checkpoint newer = sample(number);
        newer.term = 4;
        assert_int_equal(weir_checkpoint_write(f->env, f->folder.state, &newer, &last), WEIR_OK);
    }
    (void)snprintf(path, sizeof(path), "%s/%016x-%016x.new", f->folder.state, 4u, 4u);
    FILE *begun = fopen(path, "w"); /* the newer owner is writing its next one */
    assert_non_null(begun);
    assert_int_equal(fclose(begun), 0);
    write_one(f, 2); /* the older owner wakes up: its term is 3 */
    assert_int_equal(load_number(f), 3);
    assert_int_equal(file_count(f->folder.state, ".checkpoint"), 3);
    assert_int_equal(file_count(f->folder.state, ".new"), 1);
    assert_true(file_find(f->folder.state, ".checkpoint", true, path));
    file_poke(path, 2000, 1, 0x55);
    assert_int_equal(load_number(f), 2); /* the newer owner's one before is there as well */
}

static void when_none_is_good_loading_says_damaged_and_removes_nothing(void **state)
{
    fixture *f = *state;
    char path[TEST_PATH_MAX];
    weir_checkpoint got;
    loaded_chain all = {0};
    weir_fault fault = {0};
    write_one(f, 1);
    write_one(f, 2);
    assert_true(file_find(f->folder.state, ".checkpoint", true, path));
    file_poke(path, 100, 1, 0x55);
    assert_true(file_find(f->folder.state, ".checkpoint", false, path));
    file_poke(path, 10, 1, 0x55);
    assert_int_equal(weir_checkpoint_load(f->env, f->folder.state, loaded_each, &all, &got, &fault),
                     WEIR_DAMAGED);
    assert_int_equal(all.count, 0);
    assert_true(fault.file[0] != '\0');
    assert_int_equal(file_count(f->folder.state, ".checkpoint"), 2);
}

static void every_flipped_bit_and_every_cut_is_found(void **state)
{
    fixture *f = *state;
    uint8_t bytes[400];
    uint8_t payload[200];
    char path[TEST_PATH_MAX];
    memset(payload, 7, sizeof(payload));
    weir_checkpoint checkpoint = sample(1);
    checkpoint.payload = WEIR_BYTES(payload);
    checkpoint.delta = true;
    checkpoint.previous = (weir_checkpoint_link){7, 8, 9};
    assert_int_equal(weir_checkpoint_write(f->env, f->folder.state, &checkpoint, &last), WEIR_OK);
    assert_true(file_find(f->folder.state, ".checkpoint", true, path));
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t len = fread(bytes, 1, sizeof(bytes), file);
    (void)fclose(file);
    weir_checkpoint got;
    assert_int_equal(weir_checkpoint_decode((weir_bytes){bytes, len}, &got), WEIR_OK);
    for (size_t bit = 0; bit < len * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(weir_checkpoint_decode((weir_bytes){bytes, len}, &got), WEIR_OK);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t cut = 0; cut < len; cut++) {
        assert_int_equal(weir_checkpoint_decode((weir_bytes){bytes, cut}, &got), WEIR_DAMAGED);
    }
}

static void a_write_that_fails_anywhere_leaves_a_good_one(void **state)
{
    fixture *f = *state;
    const uint32_t all = (1u << WEIR_CALL_COUNT) - 1;
    write_one(f, 1);
    uint64_t number = 2;
    for (uint64_t n = 1;; n++) {
        weir_checkpoint checkpoint = sample(number);
        uint64_t before = weir_env_faulty_calls(f->faulty, all);
        weir_env_faulty_plan(f->faulty, (weir_env_fault_plan){all, n, false, WEIR_DISK_FULL, 28});
        weir_err err = weir_checkpoint_write(f->faulty, f->folder.state, &checkpoint, &last);
        uint64_t calls = weir_env_faulty_calls(f->faulty, all) - before;
        weir_env_faulty_plan(f->faulty, (weir_env_fault_plan){0});
        uint64_t loaded = load_number(f);
        assert_true(loaded == number || (err != WEIR_OK && loaded == number - 1));
        number = loaded + 1;
        if (calls < n) {
            break;
        }
    }
    write_one(f, number);
    assert_int_equal(file_count(f->folder.state, ".checkpoint"), 2);
    assert_int_equal(file_count(f->folder.state, ".new"), 0);
}

static void a_power_cut_at_any_call_leaves_the_last_one_written(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        bool reached = true;
        for (uint64_t call = 1; reached; call++) {
            disk_env *disk = disk_create(seed * 1000 + call);
            uint64_t written = 0;
            disk->calls_left = call;
            for (uint64_t number = 1; number <= 4; number++) { /* [K1], [K2] */
                weir_checkpoint checkpoint = sample(number);
                weir_err err = weir_checkpoint_write(&disk->env, "/data/state", &checkpoint, &last);
                written = err == WEIR_OK ? number : written;
            }
            reached = disk->off;
            disk_cut(disk);
            weir_checkpoint got = {0};
            loaded_chain all = {0};
            weir_fault fault = {0};
            weir_err err =
                weir_checkpoint_load(&disk->env, "/data/state", loaded_each, &all, &got, &fault);
            assert_true(err == WEIR_OK || (err == WEIR_NOT_FOUND && written == 0));
            assert_true(got.number >= written);
            assert_true(all.count == 0 || all.numbers[all.count - 1] >= written);
            disk_destroy(disk);
        }
    }
}

/* ---- Chains */

static void write_delta(fixture *f, uint64_t number)
{
    weir_checkpoint checkpoint = sample(number);
    checkpoint.delta = true;
    checkpoint.previous = last;
    assert_int_equal(weir_checkpoint_write(f->env, f->folder.state, &checkpoint, &last), WEIR_OK);
}

/* A base and two deltas, twice. */
static void write_two_chains(fixture *f)
{
    for (uint64_t number = 1; number <= 6; number++) {
        if (number % 3 == 1) {
            write_one(f, number);
        } else {
            write_delta(f, number);
        }
    }
}

static void path_of(fixture *f, uint64_t number, char path[TEST_PATH_MAX])
{
    (void)snprintf(path, TEST_PATH_MAX, "%s/%016llx-%016llx.checkpoint", f->folder.state,
                   (unsigned long long)number, 3ull);
}

static void a_chain_is_loaded_from_its_base_on(void **state)
{
    fixture *f = *state;
    uint64_t keep_from = 0;
    write_two_chains(f);
    loaded_chain all = load_all(f);
    assert_int_equal(all.count, 3);
    for (size_t i = 0; i < all.count; i++) {
        assert_int_equal(all.numbers[i], 4 + i);
    }
    assert_int_equal(weir_checkpoint_keep_from(f->env, f->folder.state, &keep_from), WEIR_OK);
    assert_int_equal(keep_from, sample(3).replay_from); /* the end of the chain before */
}

static void a_new_base_removes_all_but_the_chain_before_it(void **state)
{
    fixture *f = *state;
    write_two_chains(f);
    assert_int_equal(file_count(f->folder.state, ".checkpoint"), 6);
    write_one(f, 7);
    assert_int_equal(file_count(f->folder.state, ".checkpoint"), 4);
    assert_int_equal(load_number(f), 7);
}

static void a_bad_link_makes_the_newest_good_end_the_one_that_counts(void **state)
{
    fixture *f = *state;
    char path[TEST_PATH_MAX];
    const struct {
        uint64_t bad, expected;
        size_t files;
    } cases[] = {{6, 5, 2}, {5, 4, 1}, {4, 3, 3}};
    write_two_chains(f);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        path_of(f, cases[i].bad, path);
        file_poke(path, 2000, 1, 0x55);
        loaded_chain all = load_all(f);
        assert_int_equal(all.numbers[all.count - 1], cases[i].expected);
        assert_int_equal(all.count, cases[i].files);
        file_poke(path, 2000, 1, (uint8_t)cases[i].bad); /* as it was: sample */
        assert_int_equal(load_number(f), 6);
    }
    path_of(f, 5, path);
    assert_int_equal(remove(path), 0); /* a link that is missing is a bad one */
    assert_int_equal(load_number(f), 4);
    assert_int_equal(file_count(f->folder.state, ".checkpoint"), 5);
}

/* A file of the right name that another chain had is not taken for the link that was meant. */
static void a_link_is_known_by_its_sum(void **state)
{
    fixture *f = *state;
    write_one(f, 1);
    weir_checkpoint_link first = last;
    write_delta(f, 2);
    last = first;
    last.crc ^= 1;
    write_delta(f, 3);
    assert_int_equal(load_number(f), 2);
}

static void a_chain_is_kept_when_the_base_behind_it_was_a_dead_owners(void **state)
{
    fixture *f = *state;
    char path[TEST_PATH_MAX];
    write_two_chains(f);
    path_of(f, 5, path);
    file_poke(path, 2000, 1, 0x55); /* 6 is of no use then, 4 is */
    weir_checkpoint next = sample(7);
    next.term = 4;
    assert_int_equal(weir_checkpoint_write(f->env, f->folder.state, &next, &last), WEIR_OK);
    assert_int_equal(file_count(f->folder.state, ".checkpoint"), 2); /* 7 and 4 */
    assert_int_equal(load_number(f), 7);
    next = sample(8);
    next.term = 4;
    assert_int_equal(weir_checkpoint_write(f->env, f->folder.state, &next, &last), WEIR_OK);
    assert_int_equal(file_count(f->folder.state, ".checkpoint"), 2); /* 8 and 7 */
}

int main(void)
{
    weir_log_sink(log_quiet, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_folder_has_none, setup, teardown),
        cmocka_unit_test_setup_teardown(the_newest_is_loaded_and_two_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_newest_is_passed_over_and_then_replaced, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_older_owner_removes_nothing_that_is_newer, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(when_none_is_good_loading_says_damaged_and_removes_nothing,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(every_flipped_bit_and_every_cut_is_found, setup, teardown),
        cmocka_unit_test(a_power_cut_at_any_call_leaves_the_last_one_written),
        cmocka_unit_test_setup_teardown(a_chain_is_loaded_from_its_base_on, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_base_removes_all_but_the_chain_before_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_bad_link_makes_the_newest_good_end_the_one_that_counts,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_link_is_known_by_its_sum, setup, teardown),
        cmocka_unit_test_setup_teardown(a_chain_is_kept_when_the_base_behind_it_was_a_dead_owners,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_write_that_fails_anywhere_leaves_a_good_one, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
