/* tests/scenario/recording_fetch.c - prints every record of a topic as it comes, asked for with
 * fetch from the last offset, through any number of lost connections. Ends only when it is killed.
 *
 *   usage: recording_fetch URL TOPIC PARTITIONS
 *
 * URL is one of weir_client_open's, such as nng+tcp://127.0.0.1:9348. On standard output one line
 * for each record: partition, offset, full name, value, as `weir sub -F '%p %o %n %s'` does; and
 * "# connected" at each connection. Exit code 1, with a sentence, when the gateway refuses. */
#include "weir/client.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PARTITIONS_MAX = 64, BYTES_MAX = 262144, WAIT_MS = 20, RETRY_MS = 5, TIMEOUT_MS = 5000 };

static void pause_briefly(void)
{
    const struct timespec time = {.tv_nsec = RETRY_MS * 1000000};
    (void)nanosleep(&time, NULL);
}

static weir_client *opened(const char *url)
{
    const weir_client_options options = {.name = "recording_fetch", .timeout_ms = TIMEOUT_MS};
    weir_client *client = NULL;
    while (weir_client_open(url, &options, &client, NULL) != WEIR_OK) {
        pause_briefly(); /* it is being started */
    }
    (void)puts("# connected");
    (void)fflush(stdout);
    return client;
}

static weir_err record_print(weir_client *client, uint32_t index, uint32_t partition)
{
    weir_client_record record;
    weir_err err = weir_client_fetch_record(client, index, &record);
    if (err == WEIR_OK) {
        (void)printf("%" PRIu32 " %" PRId64 " %.*s %.*s\n", partition, record.offset,
                     (int)record.name.len, (const char *)record.name.ptr, (int)record.value.len,
                     (const char *)record.value.ptr);
    }
    return err;
}

/* Prints what there is from *offset, and moves it behind. */
static weir_err fetch_once(weir_client *client, weir_fetch fetch, int64_t *offset, uint32_t *count)
{
    weir_client_fetched fetched;
    fetch.offset = *offset;
    weir_err err = weir_client_fetch(client, &fetch, &fetched);
    for (uint32_t i = 0; err == WEIR_OK && i < fetched.record_count; i++) {
        err = record_print(client, i, fetch.partition);
    }
    (void)fflush(stdout);
    if (err == WEIR_OK) {
        *offset = fetched.next_offset;
        *count += fetched.record_count;
    }
    return err;
}

/* A connection that is gone; a session that the new gateway does not know. */
static bool passing(weir_err err)
{
    return err == WEIR_CLOSED || err == WEIR_IO || err == WEIR_TIMEOUT || err == WEIR_NOT_FOUND;
}

int main(int argc, char **argv)
{
    int64_t offsets[PARTITIONS_MAX] = {0};
    uint32_t partitions = argc == 4 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
    if (partitions == 0 || partitions > PARTITIONS_MAX) {
        (void)fprintf(stderr, "usage: recording_fetch URL TOPIC PARTITIONS\n");
        return 2;
    }
    weir_client *client = opened(argv[1]);
    uint32_t wait_ms = 0;
    for (;;) {
        uint32_t count = 0;
        weir_err err = WEIR_OK;
        for (uint32_t i = 0; i < partitions && err == WEIR_OK; i++) {
            weir_fetch fetch = {.topic = weir_bytes_of(argv[2]),
                                .partition = i,
                                .bytes_max = BYTES_MAX,
                                .wait_ms = wait_ms};
            err = fetch_once(client, fetch, &offsets[i], &count);
        }
        wait_ms = count == 0 ? WAIT_MS : 0; /* nothing new: waits in the gateway */
        if (err != WEIR_OK && !passing(err)) {
            (void)fprintf(stderr, "recording_fetch: %s\n", weir_client_error(client));
            return 1;
        }
        if (err != WEIR_OK) {
            weir_client_close(client);
            client = opened(argv[1]);
        }
    }
}
