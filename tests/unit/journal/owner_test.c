/* One gateway per data directory, whatever way the last one ended. */
#include "tests/unit/journal/support.h"

#include "core/journal/owner.h"

#include <signal.h>
#include <sys/wait.h>

static weir_owner *owner_open(fixture *f, bool take_over, bool *old_alive)
{
    weir_owner *owner = NULL;
    weir_fault fault = {0};
    weir_err err = weir_owner_open(f->env, f->folder.path, take_over, &owner, old_alive, &fault);
    if (err != WEIR_OK) {
        print_error("%s: %s\n", weir_err_name(err), fault.text);
    }
    assert_int_equal(err, WEIR_OK);
    return owner;
}

static void each_start_raises_the_term(void **state)
{
    fixture *f = *state;
    uint64_t term = 0;
    for (int i = 0; i < 5; i++) {
        bool old_alive = true;
        weir_owner *owner = owner_open(f, false, &old_alive);
        assert_true(weir_owner_term(owner) > term);
        assert_false(old_alive);
        assert_int_equal(weir_owner_compare(owner), WEIR_OK);
        term = weir_owner_term(owner);
        weir_owner_close(owner);
    }
    assert_true(file_count(f->folder.path, "5") + 1 <= 2); /* old locks do not pile up */
}

static void a_second_start_is_refused_with_the_owners_pid(void **state)
{
    fixture *f = *state;
    bool old_alive;
    weir_owner *owner = owner_open(f, false, &old_alive);
    weir_owner *second = NULL;
    weir_fault fault = {0};
    char pid[32];
    assert_int_equal(weir_owner_open(f->env, f->folder.path, false, &second, &old_alive, &fault),
                     WEIR_LOCKED);
    assert_null(second);
    (void)snprintf(pid, sizeof(pid), "pid %ld:", (long)getpid());
    assert_non_null(strstr(fault.text, pid));
    assert_non_null(strstr(fault.text, "--take-over"));
    assert_int_equal(weir_owner_compare(owner), WEIR_OK); /* the refused one changed nothing */
    weir_owner_close(owner);
}

static void a_start_after_kill_9_simply_works(void **state)
{
    fixture *f = *state;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        weir_owner *owner = NULL;
        bool old_alive;
        weir_fault fault;
        weir_err err = weir_owner_open(f->env, f->folder.path, false, &owner, &old_alive, &fault);
        char answer = (char)err;
        (void)!write(ready[1], &answer, 1);
        for (;;) {
            (void)pause();
        }
    }
    char answer = 1;
    assert_int_equal(read(ready[0], &answer, 1), 1);
    assert_int_equal(answer, WEIR_OK);
    weir_owner *owner = NULL;
    bool old_alive = true;
    weir_fault fault;
    char pid[32];
    (void)snprintf(pid, sizeof(pid), "pid %ld:", (long)child);
    assert_int_equal(weir_owner_open(f->env, f->folder.path, false, &owner, &old_alive, &fault),
                     WEIR_LOCKED);
    assert_non_null(strstr(fault.text, pid));
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    owner = owner_open(f, false, &old_alive);
    assert_false(old_alive);
    weir_owner_close(owner);
    (void)close(ready[0]);
    (void)close(ready[1]);
}

static void an_owner_that_was_taken_over_finds_out(void **state)
{
    fixture *f = *state;
    bool old_alive = true;
    weir_owner *first = owner_open(f, true, &old_alive);
    assert_false(old_alive); /* nobody was there to be taken over */
    weir_owner *second = owner_open(f, true, &old_alive);
    assert_true(old_alive);
    assert_int_equal(weir_owner_compare(first), WEIR_FENCED);
    assert_int_equal(weir_owner_compare(second), WEIR_OK);
    weir_owner_close(second);
    weir_owner *third = owner_open(f, false, &old_alive); /* the second is gone, the first is not */
    assert_true(old_alive);
    assert_int_equal(weir_owner_compare(first), WEIR_FENCED);
    weir_owner_close(first);
    weir_owner_close(third);
    third = owner_open(f, false, &old_alive);
    assert_false(old_alive);
    weir_owner_close(third);
}

static void starts_at_the_same_moment_never_share_a_term(void **state)
{
    fixture *f = *state;
    enum { STARTS = 8 };
    int terms[2];
    pid_t children[STARTS];
    uint64_t got[STARTS];
    assert_int_equal(pipe(terms), 0);
    for (int i = 0; i < STARTS; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            weir_owner *owner = NULL;
            bool old_alive;
            weir_fault fault;
            weir_err err =
                weir_owner_open(f->env, f->folder.path, true, &owner, &old_alive, &fault);
            uint64_t term = err == WEIR_OK ? weir_owner_term(owner) : 0;
            (void)!write(terms[1], &term, sizeof(term));
            _exit(0);
        }
    }
    for (int i = 0; i < STARTS; i++) {
        assert_int_equal(read(terms[0], &got[i], sizeof(got[i])), sizeof(got[i]));
        assert_true(got[i] > 0);
        for (int before = 0; before < i; before++) {
            assert_true(got[before] != got[i]); /* [O1] */
        }
    }
    for (int i = 0; i < STARTS; i++) {
        assert_int_equal(waitpid(children[i], NULL, 0), children[i]);
    }
    (void)close(terms[0]);
    (void)close(terms[1]);
}

static void a_damaged_owner_file_keeps_the_term_rising(void **state)
{
    fixture *f = *state;
    bool old_alive;
    char path[TEST_PATH_MAX];
    weir_owner *owner = owner_open(f, false, &old_alive);
    uint64_t term = weir_owner_term(owner);
    (void)snprintf(path, sizeof(path), "%s/owner", f->folder.path);
    file_poke(path, 20, 4, 0xff);
    assert_int_equal(weir_owner_compare(owner), WEIR_IO);
    weir_owner_close(owner);
    owner = owner_open(f, false, &old_alive);
    assert_true(weir_owner_term(owner) > term);
    weir_owner_close(owner);
}

static void a_start_that_fails_anywhere_leaves_the_next_one_working(void **state)
{
    fixture *f = *state;
    const uint32_t all = (1u << WEIR_CALL_COUNT) - 1;
    uint64_t term = 0;
    for (uint64_t n = 1;; n++) {
        weir_owner *owner = NULL;
        bool old_alive = false;
        weir_fault fault = {0};
        uint64_t before = weir_env_faulty_calls(f->faulty, all);
        weir_env_faulty_plan(f->faulty, (weir_env_fault_plan){all, n, false, WEIR_IO, 5});
        weir_err err =
            weir_owner_open(f->faulty, f->folder.path, false, &owner, &old_alive, &fault);
        uint64_t calls = weir_env_faulty_calls(f->faulty, all) - before;
        weir_env_faulty_plan(f->faulty, (weir_env_fault_plan){0});
        if (err == WEIR_OK) {
            weir_owner_close(owner);
        } else {
            assert_int_equal(fault.err, err);
            assert_true(fault.text[0] != '\0');
        }
        owner = owner_open(f, false, &old_alive);
        assert_true(weir_owner_term(owner) > term);
        term = weir_owner_term(owner);
        weir_owner_close(owner);
        if (calls < n) {
            break;
        }
    }
}

int main(void)
{
    weir_log_sink(log_quiet, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_start_raises_the_term, setup, teardown),
        cmocka_unit_test_setup_teardown(a_second_start_is_refused_with_the_owners_pid, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_start_after_kill_9_simply_works, setup, teardown),
        cmocka_unit_test_setup_teardown(an_owner_that_was_taken_over_finds_out, setup, teardown),
        cmocka_unit_test_setup_teardown(starts_at_the_same_moment_never_share_a_term, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_damaged_owner_file_keeps_the_term_rising, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_start_that_fails_anywhere_leaves_the_next_one_working,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
