/* adapters/shared/loop.h - the I/O threads: each a libuv loop with one engine port.
 *
 * One turn of a loop: sockets that are readable are read (once each) and their bytes become port
 * operations; then the port is stepped; then its completions are handed to their sinks; then every
 * connection that has output writes once. Nothing of it is per message.
 *
 *     poll -> read, parse, submit -> step -> drain -> sinks -> flush dirty connections
 *
 * Everything here but weir_loops_* and weir_loop_call runs on the loop's own thread. */
#ifndef WEIR_ADAPTERS_SHARED_LOOP_H
#define WEIR_ADAPTERS_SHARED_LOOP_H

#include "adapters/shared/wheel.h"
#include "core/base/buffer.h"
#include "weir/adapter.h"
#include "weir/port.h"

#include <uv.h>

typedef struct weir_loop weir_loop;
typedef struct weir_loops weir_loops;

/* `user` of every operation submitted on a loop's port points to one of these. It must live until
 * the last completion has come. `complete` takes what the completion holds (it is dropped after the
 * call unless `complete` zeroed the pointers it kept). */
typedef struct weir_sink {
    void (*complete)(struct weir_sink *sink, weir_completion *completion);
} weir_sink;

/* Something that wants to be called at the end of the turn, once, in the order asked. */
typedef struct weir_turn_end {
    void (*run)(struct weir_turn_end *end);
    struct weir_turn_end *next;
    bool queued;
} weir_turn_end;

/* Starts `count` threads. stop joins them; everything on them must be closed by then. */
weir_err weir_loops_create(weir_engine *engine, unsigned count, weir_loops **loops,
                           weir_fault *fault);
void weir_loops_destroy(weir_loops *loops);
unsigned weir_loops_count(const weir_loops *loops);
weir_loop *weir_loops_at(weir_loops *loops, unsigned index);
/* How many connections of a front end the first loop takes before the others get any
 * (docs/decisions/0040); 0, the default: all loops from the first connection on. Any thread; it
 * counts for those who come from then on. */
void weir_loops_together_set(weir_loops *loops, unsigned connections);
unsigned weir_loops_together(const weir_loops *loops);

/* Runs call->fn(loop, call->arg) on the loop's thread soon, in the order posted; any thread. Cannot
 * fail: the node is the caller's and stays untouched until fn is called, where it may be reused. */
typedef struct weir_call {
    void (*fn)(weir_loop *loop, void *arg);
    void *arg;
    struct weir_call *next;
} weir_call;
void weir_loop_post(weir_loop *loop, weir_call *call);
/* The same with a node of its own, which must be had: where a peer decides how often, post.
 * call_wait returns after fn has run (never from a loop's own thread). */
void weir_loop_call(weir_loop *loop, void (*fn)(weir_loop *loop, void *arg), void *arg);
void weir_loop_call_wait(weir_loop *loop, void (*fn)(weir_loop *loop, void *arg), void *arg);

uv_loop_t *weir_loop_uv(weir_loop *loop);
/* Who asks for the port means to submit: the port is stepped before the loop sleeps again. Ask
 * again each time, or kick. */
weir_port *weir_loop_port(weir_loop *loop);
uint64_t weir_loop_now_ms(const weir_loop *loop); /* the turn's monotonic time */
unsigned weir_loop_index(const weir_loop *loop);
/* Asks for a step and the turn's end even when no socket is ready (an operation was submitted
 * outside a socket callback, from a timer say). */
void weir_loop_kick(weir_loop *loop);
void weir_loop_at_turn_end(weir_loop *loop, weir_turn_end *end);
void weir_loop_turn_end_cancel(weir_loop *loop, weir_turn_end *end); /* before its memory goes */
/* Calls deadline->run once weir_loop_now_ms has reached at_ms (1 or more); set again, it moves. */
void weir_loop_deadline_set(weir_loop *loop, weir_deadline *deadline, uint64_t at_ms);
void weir_loop_deadline_cancel(weir_loop *loop, weir_deadline *deadline);
/* The loop's read buffer, shared by its connections: valid until the socket callback returns. */
uint8_t *weir_loop_read_buffer(weir_loop *loop, size_t *size);
/* An empty buffer with some room, from what others gave back; and back. So a busy connection costs
 * no allocation a turn and an idle one no memory. */
weir_buffer weir_loop_buffer_take(weir_loop *loop);
void weir_loop_buffer_give(weir_loop *loop, weir_buffer *buffer); /* takes; zeroes *buffer */
/* Zeroed memory that lives as long as the loop's port does: for sinks that a completion may name
 * after their adapter has stopped. NULL: there is none. Any thread, one at a time (main). */
void *weir_loop_lasting(weir_loop *loop, size_t size);
/* An empty buffer for output that has nowhere to go any more; the loop's own. */
weir_buffer *weir_loop_buffer_scrap(weir_loop *loop);

#endif
