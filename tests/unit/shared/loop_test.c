/* The I/O threads: calls, turns, deadlines, and that an idle loop sleeps. */
#include "adapters/shared/loop.h"

#include "port_fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { DEADLINE_MS = 60000 };

static weir_loops *loops_make(unsigned count)
{
    weir_loops *loops = NULL;
    weir_fault fault = {0};
    fake_port_count = 0;
    assert_int_equal(weir_loops_create(NULL, count, &loops, &fault), WEIR_OK);
    return loops;
}

static void sem_wait_for(uv_sem_t *sem)
{
    for (int i = 0; i < DEADLINE_MS; i++) {
        const struct timespec pause = {.tv_nsec = 1000000};
        if (uv_sem_trywait(sem) == 0) {
            return;
        }
        nanosleep(&pause, NULL);
    }
    fail_msg("nothing came within %d ms", DEADLINE_MS);
}

typedef struct order {
    unsigned seen[100];
    unsigned count;
} order;

typedef struct order_step {
    order *order;
    unsigned number;
} order_step;

static void order_run(weir_loop *loop, void *arg)
{
    order_step *step = arg;
    (void)loop;
    step->order->seen[step->order->count++] = step->number;
}

static void calls_run_in_order_on_the_loop_they_were_posted_to(void **state)
{
    weir_loops *loops = loops_make(2);
    order seen = {0};
    order_step steps[100];
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        steps[i] = (order_step){&seen, i};
        if (i == 99) {
            weir_loop_call_wait(weir_loops_at(loops, 1), order_run, &steps[i]);
        } else {
            weir_loop_call(weir_loops_at(loops, 1), order_run, &steps[i]);
        }
    }
    assert_int_equal(seen.count, 100);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(seen.seen[i], i);
    }
    weir_loops_destroy(loops);
}

/* A sink that submits again from its completion, until `left` is 0. */
typedef struct chain {
    weir_sink sink;
    weir_turn_end end;
    weir_loop *loop;
    unsigned left;
    unsigned completions;
    unsigned ends;
    uv_sem_t done;
} chain;

static void chain_submit(chain *self)
{
    weir_publish publish = {.name = WEIR_TEXT("a")};
    assert(weir_port_publish(weir_loop_port(self->loop), &publish, &self->sink, 0) == WEIR_OK);
}

static void chain_end(weir_turn_end *end)
{
    chain *self = (chain *)((char *)end - offsetof(chain, end));
    self->ends++;
    if (self->left == 0) {
        uv_sem_post(&self->done);
    }
}

static void chain_complete(weir_sink *sink, weir_completion *completion)
{
    chain *self = (chain *)sink;
    (void)completion;
    self->completions++;
    weir_loop_at_turn_end(self->loop, &self->end);
    weir_loop_at_turn_end(self->loop, &self->end); /* asked twice, called once */
    if (self->left > 0) {
        self->left--;
        chain_submit(self);
    }
}

static void chain_start(weir_loop *loop, void *arg)
{
    chain *self = arg;
    self->loop = loop;
    chain_submit(self);
}

static void what_sinks_submit_is_stepped_without_anybody_waking_the_loop(void **state)
{
    weir_loops *loops = loops_make(1);
    chain self = {.sink.complete = chain_complete, .end.run = chain_end, .left = 50};
    (void)state;
    assert_int_equal(uv_sem_init(&self.done, 0), 0);
    weir_loop_call(weir_loops_at(loops, 0), chain_start, &self);
    sem_wait_for(&self.done);
    assert_int_equal(self.completions, 51);
    assert_true(self.ends < 51); /* several rounds a turn, one turn end */
    weir_loops_destroy(loops);
    uv_sem_destroy(&self.done);
}

static void nothing_run(weir_loop *loop, void *arg)
{
    (void)loop;
    (void)arg;
}

static void an_idle_loop_does_not_step_its_port(void **state)
{
    weir_loops *loops = loops_make(1);
    unsigned long before = 0;
    (void)state;
    weir_loop_call_wait(weir_loops_at(loops, 0), nothing_run, NULL);
    weir_loop_call_wait(weir_loops_at(loops, 0), nothing_run, NULL);
    before = fake_ports[0]->steps;
    for (unsigned i = 0; i < 50; i++) {
        weir_loop_call_wait(weir_loops_at(loops, 0), nothing_run, NULL);
    }
    assert_int_equal(fake_ports[0]->steps, before);
    weir_loops_destroy(loops);
}

static void steps_wait_for(unsigned long least)
{
    for (int i = 0; i < DEADLINE_MS && fake_ports[0]->steps < least; i++) {
        const struct timespec pause = {.tv_nsec = 1000000};
        nanosleep(&pause, NULL);
    }
    assert_true(fake_ports[0]->steps >= least);
}

static void a_readable_port_is_stepped(void **state)
{
    weir_loops *loops = loops_make(1);
    uint64_t one = 1;
    unsigned long before = 0;
    (void)state;
    weir_loop_call_wait(weir_loops_at(loops, 0), nothing_run, NULL);
    before = fake_ports[0]->steps;
    assert_int_equal(write(fake_ports[0]->fd, &one, sizeof(one)), sizeof(one));
    steps_wait_for(before + 1);
    weir_loops_destroy(loops);
}

static void kick_run(weir_loop *loop, void *arg)
{
    (void)arg;
    weir_loop_kick(loop);
}

static void the_ports_own_time_is_kept(void **state)
{
    weir_loops *loops = loops_make(1);
    unsigned long before = 0;
    (void)state;
    fake_ports[0]->next_ms = 5;
    weir_loop_call_wait(weir_loops_at(loops, 0), kick_run, NULL);
    before = fake_ports[0]->steps;
    steps_wait_for(before + 3);
    weir_loops_destroy(loops);
}

typedef struct timed {
    weir_deadline deadline;
    weir_loop *loop;
    uint64_t at_ms;
    uint64_t came_ms;
    uv_sem_t done;
} timed;

static void timed_run(weir_deadline *deadline)
{
    timed *self = (timed *)deadline;
    self->came_ms = weir_loop_now_ms(self->loop);
    uv_sem_post(&self->done);
}

static void timed_start(weir_loop *loop, void *arg)
{
    timed *self = arg;
    self->loop = loop;
    self->at_ms = weir_loop_now_ms(loop) + 40;
    weir_loop_deadline_set(loop, &self->deadline, self->at_ms);
}

static void a_deadline_comes_though_the_loop_is_asleep(void **state)
{
    weir_loops *loops = loops_make(1);
    timed self = {.deadline.run = timed_run};
    (void)state;
    assert_int_equal(uv_sem_init(&self.done, 0), 0);
    weir_loop_call(weir_loops_at(loops, 0), timed_start, &self);
    sem_wait_for(&self.done);
    assert_true(self.came_ms >= self.at_ms);
    weir_loops_destroy(loops);
    uv_sem_destroy(&self.done);
}

static void no_loops_and_too_many_are_refused(void **state)
{
    weir_loops *loops = NULL;
    weir_fault fault = {0};
    (void)state;
    assert_int_equal(weir_loops_create(NULL, 0, &loops, &fault), WEIR_INVALID);
    assert_non_null(strstr(fault.text, "loops"));
    assert_int_equal(weir_loops_create(NULL, 1000, &loops, &fault), WEIR_INVALID);
    assert_null(loops);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_run_in_order_on_the_loop_they_were_posted_to),
        cmocka_unit_test(what_sinks_submit_is_stepped_without_anybody_waking_the_loop),
        cmocka_unit_test(an_idle_loop_does_not_step_its_port),
        cmocka_unit_test(a_readable_port_is_stepped),
        cmocka_unit_test(the_ports_own_time_is_kept),
        cmocka_unit_test(a_deadline_comes_though_the_loop_is_asleep),
        cmocka_unit_test(no_loops_and_too_many_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
