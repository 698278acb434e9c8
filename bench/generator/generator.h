/* bench/generator/generator.h - the load generator for everything that speaks MQTT.
 *
 * One thread, epoll, many messages per read and per write; TCP or WebSocket, 3.1.1 or 5.0, QoS 0
 * to 2. Publishers and subscribers are connections of the same thread, so that one clock measures.
 */
#ifndef WEIR_BENCH_GENERATOR_H
#define WEIR_BENCH_GENERATOR_H

#include "bench/workload.h"

/* Connects, warms up, measures, waits for what is still under way, and disconnects. Blocks for
 * about warm_up_ms + measure_ms, at most some 30 s more. result->err tells why there is no figure;
 * losses are no error. Needs a descriptor per connection. */
void weir_generator_run(const weir_bench_workload *workload, const weir_bench_target *target,
                        weir_bench_result *result);

#endif
