/* adapters/shared/loop.c - alone responsible for when an I/O thread sleeps, steps its port and
 * flushes.
 *
 *   +-> timers: deadlines, the port's own time ----------------+
 *   |   poll: sockets (read, submit), the port's fd, calls      |  anything of these may wake()
 *   |   check: { step -> drain -> sinks } while they submit     |
 *   |          turn-end queue: connections write once     <-----+
 *   +-- awake: go round at once; else sleep in poll
 *
 * Happy path: a socket's callback submits, which marks the loop; the check handler that follows
 * every poll steps the port, hands out what came back and runs the turn-end queue. A loop that
 * nobody marked does not step: an idle gateway makes no system call.
 *
 * Failures: there are few here, all at creation: every descriptor, buffer and port is had before
 * the thread starts, or create undoes it all.
 *
 * Invariants
 * [L1] want_step or a queued turn end implies that the idle handle is active (poll does not block).
 * [L2] A turn end and a deadline are called at most once per time they were asked for.
 * [L3] Calls run in the order posted.
 * [L4] A turn is bounded: STEP_ROUNDS_MAX steps, each with DRAIN_BATCHES_MAX batches; what is left
 *      keeps the loop awake. */
#include "adapters/shared/loop.h"

#include "adapters/shared/settings.h"
#include "adapters/shared/wheel.h"
#include "core/base/assert.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    READ_BUFFER_BYTES = 262144,
    STEP_ROUNDS_MAX = 4,
    DRAIN_BATCH_MAX = 256,
    DRAIN_BATCHES_MAX = 64,
    SPARE_BUFFERS_MAX = 32,
    SPARE_BUFFER_BYTES_MAX = 65536, /* larger ones go back to the system */
    SPARE_BUFFER_BYTES_MIN = 2048,
    LOOPS_MAX = 64,
};

typedef struct lasting {
    struct lasting *next;
    max_align_t bytes[];
} lasting;

struct weir_loop {
    uv_loop_t uv;
    uv_check_t check;
    uv_idle_t idle; /* active: poll does not block */
    uv_async_t async;
    uv_timer_t step_timer;
    uv_timer_t wheel_timer;
    uv_poll_t port_poll;
    pthread_t thread;
    weir_port *port;
    unsigned index;
    bool want_step;
    bool awake;
    bool stopping;
    weir_turn_end *ends_now; /* being run */
    weir_turn_end *ends;     /* waiting */
    weir_turn_end **ends_tail;
    pthread_mutex_t calls_lock; /* over the two below */
    weir_call *calls;
    weir_call **calls_tail;
    lasting *lasting; /* main thread */
    weir_wheel wheel;
    weir_buffer spare[SPARE_BUFFERS_MAX];
    unsigned spare_count;
    weir_buffer scrap;
    uint8_t *read_buffer;
    weir_completion drained[DRAIN_BATCH_MAX];
};

struct weir_loops {
    unsigned count; /* that run */
    atomic_uint together;
    weir_loop *loops[LOOPS_MAX];
};

/* ---- Being awake --------------------------------------------------------------------------- */

static void idle_run(uv_idle_t *idle)
{
    (void)idle; /* its being active is what matters: [L1] */
}

static void wake(weir_loop *loop)
{
    if (!loop->awake) {
        loop->awake = true;
        WEIR_ASSERT(uv_idle_start(&loop->idle, idle_run) == 0);
    }
}

void weir_loop_kick(weir_loop *loop)
{
    loop->want_step = true;
    wake(loop);
}

weir_port *weir_loop_port(weir_loop *loop)
{
    weir_loop_kick(loop);
    return loop->port;
}

/* ---- The turn ------------------------------------------------------------------------------ */

static void completion_give(weir_completion *completion)
{
    weir_sink *sink = completion->user;
    if (sink != NULL) {
        sink->complete(sink, completion);
    }
    weir_completion_drop(completion);
}

/* True when there may be more. */
static bool drain_batches(weir_loop *loop)
{
    for (unsigned batch = 0; batch < DRAIN_BATCHES_MAX; batch++) {
        size_t count = weir_port_drain(loop->port, loop->drained, DRAIN_BATCH_MAX);
        for (size_t i = 0; i < count; i++) {
            completion_give(&loop->drained[i]);
        }
        if (count < DRAIN_BATCH_MAX) {
            return false;
        }
    }
    return true;
}

static void step_timer_run(uv_timer_t *timer)
{
    weir_loop_kick(timer->data);
}

static void turn_step_timer(weir_loop *loop)
{
    int next_ms = weir_port_next_ms(loop->port);
    if (next_ms < 0) {
        (void)uv_timer_stop(&loop->step_timer);
    } else if (next_ms == 0) {
        weir_loop_kick(loop);
    } else {
        (void)uv_timer_start(&loop->step_timer, step_timer_run, (uint64_t)next_ms, 0);
    }
}

static void turn_step(weir_loop *loop)
{
    for (unsigned round = 0; loop->want_step && round < STEP_ROUNDS_MAX; round++) {
        loop->want_step = false;
        weir_port_step(loop->port);
        if (drain_batches(loop)) {
            loop->want_step = true;
        }
    }
    turn_step_timer(loop);
}

/* Those queued while these run wait for the next turn: [L4]. */
static void turn_ends_run(weir_loop *loop)
{
    loop->ends_now = loop->ends;
    loop->ends = NULL;
    loop->ends_tail = &loop->ends;
    while (loop->ends_now != NULL) {
        weir_turn_end *end = loop->ends_now;
        loop->ends_now = end->next;
        end->next = NULL;
        end->queued = false;
        end->run(end);
    }
}

static void check_run(uv_check_t *check)
{
    weir_loop *loop = check->data;
    if (loop->stopping) {
        return;
    }
    if (loop->want_step) {
        turn_step(loop);
    }
    turn_ends_run(loop);
    if (loop->awake && !loop->want_step && loop->ends == NULL) {
        loop->awake = false;
        (void)uv_idle_stop(&loop->idle);
    }
}

void weir_loop_at_turn_end(weir_loop *loop, weir_turn_end *end)
{
    if (end->queued) {
        return;
    }
    end->queued = true;
    end->next = NULL;
    *loop->ends_tail = end;
    loop->ends_tail = &end->next;
    wake(loop);
}

static bool turn_end_unlink(weir_turn_end **link, const weir_turn_end *end, weir_turn_end ***tail)
{
    while (*link != NULL && *link != end) {
        link = &(*link)->next;
    }
    if (*link == NULL) {
        return false;
    }
    *link = end->next;
    if (tail != NULL && *tail == &end->next) {
        *tail = link;
    }
    return true;
}

void weir_loop_turn_end_cancel(weir_loop *loop, weir_turn_end *end)
{
    if (end->queued) {
        WEIR_ASSERT(turn_end_unlink(&loop->ends_now, end, NULL) ||
                    turn_end_unlink(&loop->ends, end, &loop->ends_tail));
        end->next = NULL;
        end->queued = false;
    }
}

static void port_poll_run(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    weir_loop_kick(poll->data);
}

/* ---- Deadlines ----------------------------------------------------------------------------- */

static void wheel_timer_run(uv_timer_t *timer);

static void wheel_timer_set(weir_loop *loop)
{
    uint64_t now_ms = uv_now(&loop->uv);
    uint64_t due_ms = weir_wheel_next_ms(&loop->wheel);
    if (due_ms == 0) {
        (void)uv_timer_stop(&loop->wheel_timer);
        return;
    }
    (void)uv_timer_start(&loop->wheel_timer, wheel_timer_run, due_ms > now_ms ? due_ms - now_ms : 0,
                         0);
}

static void wheel_timer_run(uv_timer_t *timer)
{
    weir_loop *loop = timer->data;
    weir_wheel_run(&loop->wheel, uv_now(&loop->uv));
    wheel_timer_set(loop);
}

void weir_loop_deadline_set(weir_loop *loop, weir_deadline *deadline, uint64_t at_ms)
{
    if (weir_wheel_set(&loop->wheel, deadline, at_ms)) {
        wheel_timer_set(loop);
    }
}

void weir_loop_deadline_cancel(weir_loop *loop, weir_deadline *deadline)
{
    (void)loop;
    weir_wheel_cancel(deadline);
}

/* ---- Calls from other threads -------------------------------------------------------------- */

void weir_loop_post(weir_loop *loop, weir_call *call)
{
    bool first = false;
    call->next = NULL;
    pthread_mutex_lock(&loop->calls_lock);
    first = loop->calls == NULL;
    *loop->calls_tail = call;
    loop->calls_tail = &call->next;
    if (first) {
        /* Within the lock: once the last call has run, destroy may close the handle. */
        WEIR_ASSERT(uv_async_send(&loop->async) == 0);
    }
    pthread_mutex_unlock(&loop->calls_lock);
}

static weir_call *calls_take(weir_loop *loop)
{
    weir_call *calls = NULL;
    pthread_mutex_lock(&loop->calls_lock);
    calls = loop->calls;
    loop->calls = NULL;
    loop->calls_tail = &loop->calls;
    pthread_mutex_unlock(&loop->calls_lock);
    return calls;
}

static void async_run(uv_async_t *async)
{
    weir_loop *loop = async->data;
    for (weir_call *call = calls_take(loop); call != NULL;) {
        weir_call *next = call->next; /* fn may reuse or free the node */
        call->fn(loop, call->arg);
        call = next;
    }
}

typedef struct own_call {
    weir_call call;
    void (*fn)(weir_loop *loop, void *arg);
    void *arg;
} own_call;

static void own_call_run(weir_loop *loop, void *arg)
{
    own_call own = *(own_call *)arg;
    free(arg);
    own.fn(loop, own.arg);
}

void weir_loop_call(weir_loop *loop, void (*fn)(weir_loop *loop, void *arg), void *arg)
{
    own_call *own = malloc(sizeof(*own));
    WEIR_ASSERT(own != NULL); /* as the header says: not for what a peer can ask for */
    *own = (own_call){.call = {.fn = own_call_run, .arg = own}, .fn = fn, .arg = arg};
    weir_loop_post(loop, &own->call);
}

typedef struct waited_call {
    void (*fn)(weir_loop *loop, void *arg);
    void *arg;
    uv_sem_t done;
} waited_call;

static void waited_call_run(weir_loop *loop, void *arg)
{
    waited_call *waited = arg;
    waited->fn(loop, waited->arg);
    uv_sem_post(&waited->done);
}

void weir_loop_call_wait(weir_loop *loop, void (*fn)(weir_loop *loop, void *arg), void *arg)
{
    waited_call waited = {.fn = fn, .arg = arg};
    weir_call call = {.fn = waited_call_run, .arg = &waited};
    WEIR_ASSERT(!pthread_equal(pthread_self(), loop->thread)); /* it would wait for itself */
    WEIR_ASSERT(uv_sem_init(&waited.done, 0) == 0);
    weir_loop_post(loop, &call);
    uv_sem_wait(&waited.done);
    uv_sem_destroy(&waited.done);
}

/* ---- Buffers ------------------------------------------------------------------------------- */

uint8_t *weir_loop_read_buffer(weir_loop *loop, size_t *size)
{
    *size = READ_BUFFER_BYTES;
    return loop->read_buffer;
}

weir_buffer weir_loop_buffer_take(weir_loop *loop)
{
    weir_buffer buffer = {0};
    if (loop->spare_count > 0) {
        return loop->spare[--loop->spare_count];
    }
    (void)weir_buffer_reserve(&buffer,
                              SPARE_BUFFER_BYTES_MIN); /* else the first append tries again */
    return buffer;
}

void weir_loop_buffer_give(weir_loop *loop, weir_buffer *buffer)
{
    if (buffer->capacity == 0 || buffer->capacity > SPARE_BUFFER_BYTES_MAX ||
        loop->spare_count == SPARE_BUFFERS_MAX) {
        weir_buffer_fini(buffer);
    } else {
        buffer->len = 0;
        loop->spare[loop->spare_count++] = *buffer;
    }
    *buffer = (weir_buffer){0};
}

weir_buffer *weir_loop_buffer_scrap(weir_loop *loop)
{
    loop->scrap.len = 0;
    weir_buffer_relax(&loop->scrap, SPARE_BUFFER_BYTES_MAX);
    return &loop->scrap;
}

void *weir_loop_lasting(weir_loop *loop, size_t size)
{
    lasting *made = calloc(1, sizeof(*made) + size);
    if (made == NULL) {
        return NULL;
    }
    made->next = loop->lasting;
    loop->lasting = made;
    return made->bytes;
}

/* ---- Queries ------------------------------------------------------------------------------- */

uv_loop_t *weir_loop_uv(weir_loop *loop)
{
    return &loop->uv;
}

uint64_t weir_loop_now_ms(const weir_loop *loop)
{
    return uv_now(&loop->uv);
}

unsigned weir_loop_index(const weir_loop *loop)
{
    return loop->index;
}

unsigned weir_loops_count(const weir_loops *loops)
{
    return loops->count;
}

weir_loop *weir_loops_at(weir_loops *loops, unsigned index)
{
    WEIR_ASSERT(index < loops->count);
    return loops->loops[index];
}

void weir_loops_together_set(weir_loops *loops, unsigned connections)
{
    atomic_store_explicit(&loops->together, connections, memory_order_relaxed);
}

unsigned weir_loops_together(const weir_loops *loops)
{
    return atomic_load_explicit(&loops->together, memory_order_relaxed);
}

/* ---- Life ---------------------------------------------------------------------------------- */

static void *thread_run(void *arg)
{
    weir_loop *loop = arg;
    char name[16];
    (void)snprintf(name, sizeof(name), "weir-loop-%u", loop->index % LOOPS_MAX);
    (void)pthread_setname_np(pthread_self(), name);
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    weir_port_close(loop->port);
    return NULL;
}

static void handle_check(uv_handle_t *handle, void *arg)
{
    (void)arg;
    WEIR_ASSERT(uv_is_closing(handle)); /* whoever put it on the loop closes it before the end */
}

static void loop_stop(weir_loop *loop, void *arg)
{
    uv_handle_t *handles[] = {(uv_handle_t *)&loop->check,       (uv_handle_t *)&loop->idle,
                              (uv_handle_t *)&loop->async,       (uv_handle_t *)&loop->step_timer,
                              (uv_handle_t *)&loop->wheel_timer, (uv_handle_t *)&loop->port_poll};
    (void)arg;
    loop->stopping = true;
    for (size_t i = 0; i < sizeof(handles) / sizeof(handles[0]); i++) {
        if (!uv_is_closing(handles[i])) {
            uv_close(handles[i], NULL);
        }
    }
    uv_walk(&loop->uv, handle_check, NULL);
}

static void loop_free(weir_loop *loop)
{
    while (loop->spare_count > 0) {
        weir_buffer_fini(&loop->spare[--loop->spare_count]);
    }
    while (loop->lasting != NULL) {
        lasting *next = loop->lasting->next;
        free(loop->lasting);
        loop->lasting = next;
    }
    weir_buffer_fini(&loop->scrap);
    free(loop->read_buffer);
    pthread_mutex_destroy(&loop->calls_lock);
    free(loop);
}

/* Handles on a fresh uv loop; 0 or a negative errno. What was made is closed by uv_loop_close's
 * walk in loop_undo. */
static int loop_handles_init(weir_loop *loop)
{
    int status = uv_check_init(&loop->uv, &loop->check);
    status = status != 0 ? status : uv_idle_init(&loop->uv, &loop->idle);
    status = status != 0 ? status : uv_timer_init(&loop->uv, &loop->step_timer);
    status = status != 0 ? status : uv_timer_init(&loop->uv, &loop->wheel_timer);
    status = status != 0 ? status : uv_async_init(&loop->uv, &loop->async, async_run);
    status =
        status != 0 ? status : uv_poll_init(&loop->uv, &loop->port_poll, weir_port_fd(loop->port));
    if (status != 0) {
        return status;
    }
    loop->check.data = loop;
    loop->idle.data = loop;
    loop->async.data = loop;
    loop->step_timer.data = loop;
    loop->wheel_timer.data = loop;
    loop->port_poll.data = loop;
    status = uv_check_start(&loop->check, check_run);
    return status != 0 ? status : uv_poll_start(&loop->port_poll, UV_READABLE, port_poll_run);
}

static void handle_close(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

static void uv_undo(uv_loop_t *uv)
{
    uv_walk(uv, handle_close, NULL);
    (void)uv_run(uv, UV_RUN_DEFAULT);
    (void)uv_loop_close(uv);
}

static weir_err loop_open(weir_loop *loop, weir_engine *engine)
{
    weir_err err = WEIR_OK;
    if (uv_loop_init(&loop->uv) != 0) {
        return WEIR_IO;
    }
    err = weir_port_open(engine, &loop->port);
    if (err == WEIR_OK && loop_handles_init(loop) != 0) {
        err = WEIR_IO;
    }
    if (err == WEIR_OK) {
        weir_wheel_init(&loop->wheel, uv_now(&loop->uv));
        weir_loop_kick(loop); /* the port may have its own times from the start */
        if (pthread_create(&loop->thread, NULL, thread_run, loop) != 0) {
            err = WEIR_IO;
        }
    }
    if (err != WEIR_OK) {
        loop->stopping = true;
        uv_undo(&loop->uv);
        if (loop->port != NULL) {
            weir_port_close(loop->port);
        }
    }
    return err;
}

static weir_err loop_create(weir_engine *engine, unsigned index, weir_loop **made)
{
    weir_err err = WEIR_NO_MEMORY;
    weir_loop *loop = calloc(1, sizeof(*loop));
    if (loop == NULL) {
        return WEIR_NO_MEMORY;
    }
    loop->index = index;
    loop->ends_tail = &loop->ends;
    loop->calls_tail = &loop->calls;
    (void)pthread_mutex_init(&loop->calls_lock, NULL);
    loop->read_buffer = malloc(READ_BUFFER_BYTES);
    if (loop->read_buffer != NULL) {
        err = loop_open(loop, engine);
    }
    if (err != WEIR_OK) {
        loop_free(loop);
        return err;
    }
    *made = loop;
    return WEIR_OK;
}

weir_err weir_loops_create(weir_engine *engine, unsigned count, weir_loops **loops,
                           weir_fault *fault)
{
    weir_loops *made = NULL;
    sigset_t all;
    sigset_t before;
    weir_err err = WEIR_OK;
    if (count == 0 || count > LOOPS_MAX) {
        return weir_fault_set(fault, WEIR_INVALID, 0, "loops: %u is not between 1 and %d.", count,
                              LOOPS_MAX);
    }
    made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return weir_fault_set(fault, WEIR_NO_MEMORY, 0, "There is no memory for the I/O threads.");
    }
    /* Signals are the main thread's: SIGTERM is waited for there, SIGPIPE (from TLS) by nobody. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    while (err == WEIR_OK && made->count < count) {
        err = loop_create(engine, made->count, &made->loops[made->count]);
        made->count += err == WEIR_OK ? 1 : 0;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err != WEIR_OK) {
        (void)weir_fault_set(
            fault, err, errno,
            "I/O thread %u could not be started (%s): free descriptors and memory, "
            "or ask for fewer loops.",
            made->count, weir_err_text(err));
        weir_loops_destroy(made);
        return err;
    }
    *loops = made;
    return WEIR_OK;
}

void weir_loops_destroy(weir_loops *loops)
{
    if (loops == NULL) {
        return;
    }
    for (unsigned i = 0; i < loops->count; i++) {
        weir_loop_call(loops->loops[i], loop_stop, NULL);
        (void)pthread_join(loops->loops[i]->thread, NULL);
        WEIR_ASSERT(uv_loop_close(&loops->loops[i]->uv) == 0); /* everything on it was closed */
        loop_free(loops->loops[i]);
    }
    free(loops);
}
