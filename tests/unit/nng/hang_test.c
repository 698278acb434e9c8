/* A library that hangs. In a program of its own: elsewhere the library may hang by itself before it is made
 * to, for good, and what other tests began would be in the way. */
#include "gateway.h"

#include <errno.h>

enum { HANGS_S = 10 };

typedef struct blocker {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool blocking;
    bool over;
} blocker;

/* On the thread that takes the library's connections apart, and it has only one. */
static void hold_up(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    blocker *own = arg;
    (void)pipe;
    (void)event;
    pthread_mutex_lock(&own->lock);
    own->blocking = true;
    pthread_cond_broadcast(&own->changed);
    while (!own->over) {
        pthread_cond_wait(&own->changed, &own->lock);
    }
    pthread_mutex_unlock(&own->lock);
}

/* A connection of `from` ends, and no other will before the blocker is over; or the library hangs by
 * itself already, and none will at all. */
static void hold_up_all(nng_socket from, nng_dialer dialer, blocker *own)
{
    struct timespec until;
    assert_int_equal(nng_pipe_notify(from, NNG_PIPE_EV_REM_POST, hold_up, own), 0);
    assert_int_equal(nng_dialer_close(dialer), 0);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += HANGS_S;
    pthread_mutex_lock(&own->lock);
    while (!own->blocking &&
           pthread_cond_timedwait(&own->changed, &own->lock, &until) != ETIMEDOUT) {
    }
    pthread_mutex_unlock(&own->lock);
}

static void a_stop_leaves_behind_what_hangs(void **state)
{
    static blocker own = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    gateway *g = gateway_make();
    gateway *other = gateway_make();
    nng_socket req;
    nng_socket culprit;
    nng_dialer dialer;
    (void)state;
    set(g, "push.url", "ws://127.0.0.1:0/out");
    set(g, "push.topic", "t");
    gateway_start(other);
    gateway_start(g);
    req = greeted(g);
    assert_int_equal(nng_req0_open(&culprit), 0);
    assert_int_equal(nng_dial(culprit, other->urls[REP], &dialer, 0), 0);
    hold_up_all(culprit, dialer, &own);
    int fd = web_connected(g->urls[PUSH]); /* its HTTP half waits to be taken apart */
    gateway_end(g);                        /* REP's socket and PUSH's listener hang */
    pthread_mutex_lock(&own.lock);
    own.over = true;
    pthread_cond_broadcast(&own.changed);
    pthread_mutex_unlock(&own.lock);
    close(fd);
    let_go(culprit); /* what hung goes on, without a gateway */
    let_go(req);
    has(ask(req = greeted(other), "{\"cmd\":\"ping\"}"), "\"ok\":true");
    let_go(req);
    gateway_end(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stop_leaves_behind_what_hangs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
