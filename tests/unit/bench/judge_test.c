/* tests/unit/bench/judge_test.c - the rules of the yardstick: figures, void, failed, labelled. */
#include "bench/judge.h"
#include "bench/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { CEILING, PEER, WEIR, CELLS };

/* A row of three cells with five results each: 5.0M, 1.0M and 3.0M a second. */
typedef struct fixture {
    weir_row row;
    weir_cell cells[CELLS];
} fixture;

static weir_bench_result result_of(uint64_t rate)
{
    return (weir_bench_result){.seconds = 2,
                               .measured = 2 * rate,
                               .subject_cpu_s = 1.5,
                               .generator_cpu_s = 1.0,
                               .rss_bytes = 7000000,
                               .device_bytes = 2 * rate * 128 * 3};
}

static int setup(void **state)
{
    static const char *const names[CELLS] = {"ceiling", "mosquitto", "weir-os"};
    static const uint64_t rates[CELLS] = {5000000, 1000000, 3000000};
    fixture *own = calloc(1, sizeof(*own));
    assert_non_null(own);
    own->row = (weir_row){.name = "x",
                          .title = "a row",
                          .kind = WEIR_ROW_RATE,
                          .work = {.publishers = 1, .subscribers = 1, .payload_bytes = 128},
                          .void_peer = "mosquitto",
                          .void_ratio = 4,
                          .goal = 0.5};
    for (size_t i = 0; i < CELLS; i++) {
        own->cells[i].subject = weir_subject_named(names[i]);
        assert_non_null(own->cells[i].subject);
        own->cells[i].count = 5;
        for (size_t r = 0; r < 5; r++) {
            own->cells[i].results[r] = result_of(rates[i]);
        }
    }
    *state = own;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void the_median_is_the_middle_and_the_best_is_the_largest_rate(void **state)
{
    fixture *own = *state;
    weir_cell *cell = &own->cells[PEER];
    cell->results[0] = result_of(100);
    cell->results[1] = result_of(900);
    cell->results[2] = result_of(300);
    cell->results[3] = result_of(200);
    cell->results[4] = result_of(800);
    assert_true(weir_cell_median(&own->row, cell) == 300);
    assert_true(weir_cell_best(&own->row, cell) == 900);
    cell->count = 4; /* 100 200 300 900 */
    assert_true(weir_cell_median(&own->row, cell) == 250);
}

static void the_best_latency_is_the_smallest(void **state)
{
    fixture *own = *state;
    own->row.kind = WEIR_ROW_LATENCY;
    for (size_t i = 0; i < 5; i++) {
        own->cells[PEER].results[i].latency_p50_ns = 50000 + 1000 * i;
    }
    assert_true(weir_cell_best(&own->row, &own->cells[PEER]) == 50);
    assert_true(weir_cell_median(&own->row, &own->cells[PEER]) == 52);
}

static void a_ceiling_far_above_the_best_of_the_peer_counts(void **state)
{
    fixture *own = *state;
    double reached = 0;
    assert_false(weir_row_is_void(&own->row, own->cells, CELLS, &reached));
}

static void one_good_run_of_the_peer_is_enough_to_make_the_row_void(void **state)
{
    fixture *own = *state;
    double reached = 0;
    own->cells[PEER].results[3] = result_of(2000000); /* its best, while its median stays */
    assert_true(weir_row_is_void(&own->row, own->cells, CELLS, &reached));
    assert_true(reached == 2.5);
}

static void a_ceiling_without_a_figure_makes_the_row_void(void **state)
{
    fixture *own = *state;
    double reached = 0;
    own->cells[CEILING].count = 0;
    assert_true(weir_row_is_void(&own->row, own->cells, CELLS, &reached));
    own->cells[CEILING].absent = true; /* nobody was asked */
    assert_false(weir_row_is_void(&own->row, own->cells, CELLS, &reached));
}

static void the_rows_of_the_goals_carry_their_ratios(void **state)
{
    static const struct {
        const char *row;
        const char *peer;
        double ratio;
    } rules[] = {{"1", "nats", 4}, {"2", "mosquitto", 20}, {"3", "mosquitto", 6}};
    (void)state;
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        const weir_row *row = weir_row_named(rules[i].row);
        assert_string_equal(row->void_peer, rules[i].peer);
        assert_true(row->void_ratio == rules[i].ratio);
    }
}

static void one_message_of_weirs_that_is_not_right_fails_the_row(void **state)
{
    fixture *own = *state;
    weir_bench_result *result = &own->cells[WEIR].results[4];
    uint64_t *const faults[] = {&result->lost, &result->duplicated, &result->reordered,
                                &result->refused, &result->alien};
    assert_false(weir_row_fails(&own->row, own->cells, CELLS, 5));
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        *faults[i] = 1;
        assert_true(weir_row_fails(&own->row, own->cells, CELLS, 5));
        *faults[i] = 0;
    }
}

static void a_repeat_of_weirs_without_a_figure_fails_the_row(void **state)
{
    fixture *own = *state;
    own->cells[WEIR].count = 4;
    assert_true(weir_row_fails(&own->row, own->cells, CELLS, 5));
}

static void what_a_peer_loses_fails_nothing(void **state)
{
    fixture *own = *state;
    own->cells[PEER].results[0].lost = 1000;
    own->cells[CEILING].results[0].duplicated = 1000;
    assert_false(weir_row_fails(&own->row, own->cells, CELLS, 5));
}

static void what_weir_cannot_do_yet_fails_nothing(void **state)
{
    fixture *own = *state;
    own->cells[WEIR].count = 0;
    own->cells[WEIR].absent = true;
    assert_false(weir_row_fails(&own->row, own->cells, CELLS, 5));
}

static void a_generator_that_needs_more_cpu_than_the_subject_is_labelled(void **state)
{
    fixture *own = *state;
    assert_false(weir_cell_is_generator_bound(&own->row, &own->cells[WEIR]));
    for (size_t i = 0; i < 3; i++) { /* of five: the median */
        own->cells[WEIR].results[i].generator_cpu_s = 1.6;
    }
    assert_true(weir_cell_is_generator_bound(&own->row, &own->cells[WEIR]));
}

static void cpu_and_bytes_are_those_of_one_published_message(void **state)
{
    fixture *own = *state;
    const weir_bench_result *result = &own->cells[WEIR].results[0];
    assert_true(weir_cpu_per_million(&own->row, result) == 0.25);
    assert_true(weir_generator_per_million(&own->row, result) > 0.16);
    assert_true(weir_written_per_byte(&own->row, result) == 3);
    own->row.work.subscribers = 100; /* a hundred deliveries are one publish */
    assert_true(weir_written_per_byte(&own->row, result) == 300);
    own->row.work.kind = WEIR_BENCH_QUEUE_DRAIN; /* but competing consumers share */
    assert_true(weir_written_per_byte(&own->row, result) == 3);
}

/* The table as one text; the caller frees it. */
static char *table_of(const fixture *own)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    weir_report_row(out, &own->row, own->cells, CELLS, 5);
    fclose(out);
    return text;
}

static void the_table_says_void_failed_and_generator_bound(void **state)
{
    fixture *own = *state;
    char *text = table_of(own);
    assert_null(strstr(text, "VOID"));
    assert_null(strstr(text, "FAILED"));
    assert_null(strstr(text, "generator-bound"));
    assert_non_null(strstr(text, "weir-os: 0.6 of the ceiling, goal >= 0.5: reached"));
    free(text);
    own->cells[PEER].results[0] = result_of(2000000);
    own->cells[WEIR].results[0].lost = 1;
    for (size_t i = 0; i < 5; i++) {
        own->cells[WEIR].results[i].generator_cpu_s = 1.6;
    }
    text = table_of(own);
    assert_non_null(strstr(text, "VOID: the ceiling is 2.5 times mosquitto's best, not 4"));
    assert_non_null(strstr(text, "FAILED"));
    assert_non_null(strstr(text, "generator-bound"));
    free(text);
}

static void the_table_shows_cpu_memory_and_bytes_of_both_sides(void **state)
{
    fixture *own = *state;
    char *text = table_of(own);
    unsigned lines = 0;
    for (const char *at = text; (at = strstr(at, "7.00M")) != NULL; at++) {
        lines++;
    }
    assert_int_equal(lines, CELLS); /* rss */
    assert_non_null(strstr(text, "cpu/M"));
    assert_non_null(strstr(text, "B/B"));
    free(text);
}

static void every_row_names_subjects_that_there_are(void **state)
{
    size_t count;
    const weir_row *rows = weir_rows_all(&count);
    (void)state;
    for (size_t i = 0; i < count; i++) {
        const weir_row *source = weir_row_source(&rows[i]);
        assert_non_null(source);
        assert_null(source->from);
        assert_non_null(source->subjects[0]);
        for (size_t s = 0; s < WEIR_ROW_SUBJECTS_MAX && source->subjects[s] != NULL; s++) {
            const weir_subject *subject = weir_subject_named(source->subjects[s]);
            assert_non_null(subject);
            if (subject->config != NULL) {
                assert_non_null(weir_peers_file(subject->config));
            }
        }
    }
}

#define RULE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(the_median_is_the_middle_and_the_best_is_the_largest_rate),
        RULE(the_best_latency_is_the_smallest),
        RULE(a_ceiling_far_above_the_best_of_the_peer_counts),
        RULE(one_good_run_of_the_peer_is_enough_to_make_the_row_void),
        RULE(a_ceiling_without_a_figure_makes_the_row_void),
        RULE(the_rows_of_the_goals_carry_their_ratios),
        RULE(one_message_of_weirs_that_is_not_right_fails_the_row),
        RULE(a_repeat_of_weirs_without_a_figure_fails_the_row),
        RULE(what_a_peer_loses_fails_nothing),
        RULE(what_weir_cannot_do_yet_fails_nothing),
        RULE(a_generator_that_needs_more_cpu_than_the_subject_is_labelled),
        RULE(cpu_and_bytes_are_those_of_one_published_message),
        RULE(the_table_says_void_failed_and_generator_bound),
        RULE(the_table_shows_cpu_memory_and_bytes_of_both_sides),
        RULE(every_row_names_subjects_that_there_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
