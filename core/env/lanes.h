/* core/env/lanes.h - the threads of the real table: one a lane, each with a queue. Any thread. */
#ifndef WEIR_CORE_ENV_LANES_H
#define WEIR_CORE_ENV_LANES_H

#include "core/env/env.h"

typedef struct weir_lanes weir_lanes;

weir_err weir_lanes_create(weir_lanes **lanes); /* NO_MEMORY; starts no thread */
void weir_lanes_destroy(weir_lanes *lanes);     /* drains, then joins */
/* Cannot fail: where the system gives no thread, the submitting thread runs the lane's queue. */
void weir_lanes_submit(weir_lanes *lanes, weir_lane lane, weir_job *job);
/* Returns when no job is queued or running. Never from a job: it would wait for itself. */
void weir_lanes_drain(weir_lanes *lanes);

#endif
