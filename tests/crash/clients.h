/* tests/crash/clients.h - the steps of clients that workloads are made of. What asks for something does
 * nothing when the engine is down, or when the topic it is about is not there. */
#ifndef WEIR_TESTS_CRASH_CLIENTS_H
#define WEIR_TESTS_CRASH_CLIENTS_H

#include "tests/crash/crash.h"

static inline uint64_t below(crash_run *run, uint64_t bound)
{
    return sim_random_below(&run->w.chance, bound);
}

/* ---- Time ---------------------------------------------------------------------------------------- */

void crash_moves(crash_run *run);  /* a few turns, as chance has it */
void crash_settle(crash_run *run); /* until all is answered */
void crash_pass(crash_run *run, uint64_t ms);

/* ---- Topics: each waits for its answer ----------------------------------------------------------- */

bool crash_topic_there(const crash_run *run, uint32_t topic);
/* Options that are 0: one partition, level `disk`. Nothing when it is there already. */
void crash_topic_make(crash_run *run, uint32_t topic, weir_topic_options options);
void crash_topic_delete(crash_run *run, uint32_t topic);
void crash_topic_level(crash_run *run, uint32_t topic, weir_level level);
void crash_topic_grow(crash_run *run, uint32_t topic, uint32_t partitions);
/* To anywhere below the end. */
void crash_topic_trim(crash_run *run, uint32_t topic, uint32_t partition);

/* ---- Records: nobody waits for the answer -------------------------------------------------------- */

/* `bytes`: of the value; -1: it is null. */
void crash_publish(crash_run *run, uint32_t topic, uint8_t key, int32_t bytes, uint8_t attributes);
/* Any key, up to so many bytes; some are retained. */
void crash_publish_any(crash_run *run, uint32_t topic, uint64_t bytes_max);
/* Without a producer. */
void crash_batch(crash_run *run, uint32_t topic, uint32_t count, int32_t bytes);

/* ---- Producers: what they sent is remembered, for crash_retries_send ------------------------------ */

/* Waits for its id; sequences begin again. */
void crash_producer_open(crash_run *run);
void crash_batch_numbered(crash_run *run, uint32_t topic, uint32_t count, int32_t bytes);
void crash_publish_named(crash_run *run, uint32_t topic, int32_t bytes);

#endif
