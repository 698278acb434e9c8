/* core/env/lanes.c - runs what may block on a thread of its lane, one job after the other.
 *
 *   submit -> [ first | ... | last ] -> thread: run(job), done(job) -> the owner's
 *
 * A lane's thread starts with its first job: an engine that writes its journal inline never pays
 * for that lane. All lanes share one mutex; a job is a write, a sync or a segment, so nobody queues
 * for it. Once `done` is called the job belongs to its owner and is not touched again. Threads
 * block every signal: signals are the program's main thread's.
 *
 * When a thread cannot be had, the submitting thread runs the lane's queue before it returns:
 * slower, but nothing is lost or reordered, and the next submit tries again.
 *
 * [L1] `pending` counts jobs queued or running, all lanes together; drain waits for 0.
 * [L2] At most one thread runs jobs of a lane at any time (`busy`), so they run in order. */
#include "core/env/lanes.h"

#include "core/base/assert.h"
#include "core/base/log.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    /* Who has just woken to a synced journal is let in before a segment's next write: a turn that waits
     * for a processor makes every answer of its records wait. */
    BACKGROUND_NICE = 10,
};

typedef struct lane_state {
    weir_lanes *lanes;
    const char *thread_name;
    pthread_t thread;
    pthread_cond_t filled;
    weir_job *first;
    weir_job *last;
    bool started;
    bool busy;
} lane_state;

struct weir_lanes {
    pthread_mutex_t mutex;
    pthread_cond_t drained;
    size_t pending; /* [L1] */
    bool stopping;
    lane_state lane[WEIR_LANE_COUNT];
};

static void lock(weir_lanes *lanes)
{
    int failed = pthread_mutex_lock(&lanes->mutex);
    WEIR_ASSERT(failed == 0);
}

static void unlock(weir_lanes *lanes)
{
    int failed = pthread_mutex_unlock(&lanes->mutex);
    WEIR_ASSERT(failed == 0);
}

/* Runs what is queued until nothing is; the mutex is held on entry and on return, not meanwhile. */
static void lane_run_queue(lane_state *lane)
{
    weir_lanes *lanes = lane->lanes;
    WEIR_ASSERT(!lane->busy); /* [L2] */
    lane->busy = true;
    while (lane->first != NULL) {
        weir_job *job = lane->first;
        lane->first = job->next;
        job->next = NULL;
        unlock(lanes);
        job->run(job);
        job->done(job);
        lock(lanes);
        if (--lanes->pending == 0) {
            (void)pthread_cond_broadcast(&lanes->drained);
        }
    }
    lane->busy = false;
}

static void *lane_thread(void *arg)
{
    lane_state *lane = arg;
    if (lane == &lane->lanes->lane[WEIR_LANE_BACKGROUND]) {
        (void)setpriority(PRIO_PROCESS, (id_t)gettid(),
                          BACKGROUND_NICE); /* Linux: of this thread */
    }
    lock(lane->lanes);
    for (;;) {
        if (!lane->busy) {
            lane_run_queue(lane);
        }
        if (lane->lanes->stopping) {
            break;
        }
        (void)pthread_cond_wait(&lane->filled, &lane->lanes->mutex);
    }
    unlock(lane->lanes);
    return NULL;
}

static bool lane_start(lane_state *lane)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    int failed = pthread_create(&lane->thread, NULL, lane_thread, lane);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0) {
        weir_log(WEIR_LOG_WARN, "env", "no thread for %s: %s; running its job in place",
                 lane->thread_name, strerror(failed));
        return false;
    }
    (void)pthread_setname_np(lane->thread, lane->thread_name);
    weir_lane which = (weir_lane)(lane - lane->lanes->lane);
    if (which == WEIR_LANE_SYNC || which == WEIR_LANE_BACKGROUND) {
        /* Nobody waits for these: who is woken takes no processor from a loop. */
        (void)pthread_setschedparam(lane->thread, SCHED_BATCH, &(struct sched_param){0});
    }
    lane->started = true;
    return true;
}

weir_err weir_lanes_create(weir_lanes **lanes)
{
    static const char *const names[WEIR_LANE_COUNT] = {
        [WEIR_LANE_JOURNAL] = "weir-journal",
        [WEIR_LANE_SYNC] = "weir-sync",
        [WEIR_LANE_BACKGROUND] = "weir-background",
        [WEIR_LANE_READ] = "weir-read",
    };
    weir_lanes *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return WEIR_NO_MEMORY;
    }
    (void)pthread_mutex_init(&made->mutex, NULL);
    (void)pthread_cond_init(&made->drained, NULL);
    for (int i = 0; i < WEIR_LANE_COUNT; i++) {
        made->lane[i].lanes = made;
        made->lane[i].thread_name = names[i];
        (void)pthread_cond_init(&made->lane[i].filled, NULL);
    }
    *lanes = made;
    return WEIR_OK;
}

void weir_lanes_submit(weir_lanes *lanes, weir_lane which, weir_job *job)
{
    WEIR_ASSERT((unsigned)which < WEIR_LANE_COUNT);
    lane_state *lane = &lanes->lane[which];
    job->next = NULL;
    lock(lanes);
    WEIR_ASSERT(!lanes->stopping);
    if (lane->first == NULL) {
        lane->first = job;
    } else {
        lane->last->next = job;
    }
    lane->last = job;
    lanes->pending++;
    bool threaded = lane->started || lane_start(lane);
    if (!threaded && !lane->busy) {
        lane_run_queue(lane);
    }
    unlock(lanes);
    if (threaded) { /* not before: who is woken would wait for the mutex */
        (void)pthread_cond_signal(&lane->filled);
    }
}

void weir_lanes_drain(weir_lanes *lanes)
{
    lock(lanes);
    while (lanes->pending > 0) {
        (void)pthread_cond_wait(&lanes->drained, &lanes->mutex);
    }
    unlock(lanes);
}

void weir_lanes_destroy(weir_lanes *lanes)
{
    if (lanes == NULL) {
        return;
    }
    weir_lanes_drain(lanes);
    lock(lanes);
    lanes->stopping = true;
    for (int i = 0; i < WEIR_LANE_COUNT; i++) {
        (void)pthread_cond_signal(&lanes->lane[i].filled);
    }
    unlock(lanes);
    for (int i = 0; i < WEIR_LANE_COUNT; i++) {
        if (lanes->lane[i].started) {
            (void)pthread_join(lanes->lane[i].thread, NULL);
        }
        (void)pthread_cond_destroy(&lanes->lane[i].filled);
    }
    (void)pthread_cond_destroy(&lanes->drained);
    (void)pthread_mutex_destroy(&lanes->mutex);
    free(lanes);
}
