/* bench/drivers/broker.h - the workloads of a broker's log and queue, whatever its library.
 *
 *   STREAM        publish until the time is over, complete, read back
 *   CATCH_UP      fill, then read from the first message to the last, again and again
 *   SINGLE        publish_one until the time is over, read back
 *   QUEUE_DRAIN   fill, prepare, consumers until all is settled
 *   QUEUE_PACED   prepare, consumers, publish_now when a message is due, complete
 *
 * A program fills the table and calls weir_broker_drive from weir_drive_work. */
#ifndef WEIR_BENCH_BROKER_H
#define WEIR_BENCH_BROKER_H

#include "bench/drivers/drive.h"

/* What a library does. A function that returns false has told why with weir_drive_fail. All but
 * `consumer` are called by the main thread only; every slot is filled. */
typedef struct weir_broker {
    const char *name; /* "Redis" */
    /* Connects, and makes the stream or queue. Once, before all others. */
    bool (*open)(weir_drive *own);
    /* The next message, meant for `intended_ns`. Waits while as many as the library is given are
     * under way. STREAM: calls weir_drive_done for what is acknowledged. */
    bool (*publish)(weir_drive *own, uint64_t intended_ns);
    /* The same, and it is on its way when this returns. */
    bool (*publish_now)(weir_drive *own, uint64_t intended_ns);
    /* The same, and it is acknowledged when this returns. */
    bool (*publish_one)(weir_drive *own, uint64_t intended_ns);
    /* Waits until all that was published is acknowledged. */
    bool (*complete)(weir_drive *own);
    /* Reads from the first message, each to weir_drive_read. Ends with the last one, or when nothing
     * comes any more: *whole; `timed`: also when the measured time does, and each is told to
     * weir_drive_done. */
    bool (*read_pass)(weir_drive *own, bool timed, bool *whole);
    /* Makes what competing consumers share. Once, before the first of them. */
    bool (*prepare)(weir_drive *own);
    /* A consumer's thread: its argument is a weir_drive_consumer. Gives each message to
     * weir_drive_take, settles it, tells weir_drive_done; until own->stopping. */
    void *(*consumer)(void *consumer);
} weir_broker;

void weir_broker_drive(weir_drive *own, const weir_broker *broker);

#endif
