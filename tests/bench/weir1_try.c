/* tests/bench/weir1_try.c - one short run of weir.v1's generator, for generators_test.py.
 *
 *   weir1_try TASK MODE SUBSCRIBERS RATE MEASURE_MS SOCKET PORT PID     one line of JSON
 *
 * TASK: publish, read, flow, drain, paced. MODE: as in bench/weir1/drive.h. */
#include "bench/weir1/drive.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WARM_UP_MS = 20, READ_MESSAGES = 20000, PAYLOAD = 128, WINDOW = 1000, LEASE_RECORDS = 70 };

static weir_weir1_task task_of(const char *name)
{
    static const char *const names[] = {[WEIR_WEIR1_PUBLISH] = "publish",
                                        [WEIR_WEIR1_READ] = "read",
                                        [WEIR_WEIR1_FLOW] = "flow",
                                        [WEIR_WEIR1_DRAIN] = "drain",
                                        [WEIR_WEIR1_PACED] = "paced"};
    weir_weir1_task task = WEIR_WEIR1_PUBLISH;
    while (task < WEIR_WEIR1_PACED && strcmp(name, names[task]) != 0) {
        task++;
    }
    return task;
}

int main(int count, char **words)
{
    weir_weir1_work work = {
        .publishers = 2,
        .payload_bytes = PAYLOAD,
        .batch_records = 50,
        .window = WINDOW,
        .in_flight = WINDOW,
        .fetch_bytes = 65536,
        .fill_bytes = READ_MESSAGES * PAYLOAD,
        .warm_up_ms = WARM_UP_MS,
    };
    weir_weir1_target target = {0};
    weir_bench_result result;
    if (count != 9) {
        return 2;
    }
    work.task = task_of(words[1]);
    work.json = strstr(words[2], "json") != NULL;
    work.websocket = strstr(words[2], "ws") != NULL;
    work.subscribers = (uint32_t)atoi(words[3]);
    work.rate_per_second = (uint32_t)atoi(words[4]);
    work.measure_ms = (uint32_t)atoi(words[5]);
    if (work.task == WEIR_WEIR1_DRAIN || work.task == WEIR_WEIR1_PACED) {
        work.publishers = 1;
        work.lease_records = LEASE_RECORDS;
    }
    snprintf(target.socket, sizeof(target.socket), "%s", words[6]);
    target.port = (uint16_t)atoi(words[7]);
    target.pid = (pid_t)atoi(words[8]);
    weir_weir1_run(&work, &target, &result);
    for (char *at = result.text; *at != '\0'; at++) {
        *at = *at == '"' || *at == '\\' ? '\'' : *at; /* it is put into JSON */
    }
    printf("{\"error\":\"%s\",\"sent\":%" PRIu64 ",\"acked\":%" PRIu64 ",\"delivered\":%" PRIu64
           ",\"measured\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"duplicated\":%" PRIu64
           ",\"reordered\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"alien\":%" PRIu64 "}\n",
           result.text, result.sent, result.acked, result.delivered, result.measured, result.lost,
           result.duplicated, result.reordered, result.refused, result.alien);
    return 0;
}
