/* tests/scenario/embedded_read.c - prints every record of a topic with the library alone: no
 * gateway, no socket.
 *
 *   usage: embedded_read DATA TOPIC
 *
 * One line for each record: partition, offset, full name, value, as `weir sub -F '%p %o %n %s'`
 * does. */
#include "weir/engine.h"
#include "weir/port.h"

#include <inttypes.h>
#include <stdio.h>

enum { WAIT_MS = 60000, FETCH_BYTES = 1048576, NAME_BYTES_MAX = 65536 };

static weir_err next(weir_port *port, weir_completion *done)
{
    while (weir_port_drain(port, done, 1) == 0) {
        weir_err err = weir_port_wait(port, WAIT_MS);
        if (err != WEIR_OK) {
            return err;
        }
    }
    return done->err;
}

static void record_print(const weir_chunk *chunk, uint32_t index)
{
    static uint8_t name[NAME_BYTES_MAX];
    weir_record record;
    bool encoded = false;
    weir_chunk_record(chunk, index, &record);
    size_t len =
        weir_record_name(weir_chunk_topic(chunk), record.key, name, sizeof(name), &encoded);
    (void)printf("%" PRIu32 " %" PRId64 " %.*s %.*s\n", weir_chunk_partition(chunk), record.offset,
                 (int)len, (const char *)name, (int)record.value.len,
                 (const char *)record.value.ptr);
}

static weir_err partition_print(weir_port *port, weir_bytes topic, uint32_t partition)
{
    int64_t offset = 0;
    int64_t end = 1;
    while (offset < end) {
        weir_fetch fetch = {
            .topic = topic, .partition = partition, .offset = offset, .bytes_max = FETCH_BYTES};
        weir_completion done = {0};
        weir_err err = weir_port_fetch(port, &fetch, NULL, 0);
        err = err == WEIR_OK ? next(port, &done) : err;
        if (err != WEIR_OK) {
            return err;
        }
        end = done.fetched.end_offset;
        if (done.fetched.run_count == 0 && offset < end) {
            return WEIR_EMPTY; /* something is there and is not given */
        }
        for (uint32_t i = 0; i < done.fetched.run_count; i++) {
            const weir_run *run = &done.fetched.runs[i];
            for (uint32_t n = 0; n < run->count; n++) {
                record_print(run->chunk, run->first + n);
            }
            offset = weir_chunk_base_offset(run->chunk) + run->first + run->count;
        }
        weir_completion_drop(&done);
    }
    return WEIR_OK;
}

static weir_err topic_print(weir_port *port, weir_bytes topic)
{
    weir_completion done = {0};
    weir_err err = weir_port_topics(port, topic, NULL, 0);
    err = err == WEIR_OK ? next(port, &done) : err;
    uint32_t partitions = err == WEIR_OK ? done.topics.topics[0].options.partitions : 0;
    weir_completion_drop(&done);
    for (uint32_t i = 0; i < partitions && err == WEIR_OK; i++) {
        err = partition_print(port, topic, i);
    }
    return err;
}

int main(int argc, char **argv)
{
    weir_engine *engine = NULL;
    weir_port *port = NULL;
    weir_fault fault;
    if (argc != 3) {
        (void)fprintf(stderr, "usage: embedded_read DATA TOPIC\n");
        return 2;
    }
    weir_engine_config config = {.data_dir = argv[1]};
    if (weir_engine_open(&config, &engine, &fault) != WEIR_OK) {
        (void)fprintf(stderr, "embedded_read: %s\n", fault.text);
        return 1;
    }
    weir_err err = weir_port_open(engine, &port);
    if (err == WEIR_OK) {
        err = topic_print(port, weir_bytes_of(argv[2]));
        weir_port_close(port);
    }
    weir_err closed = weir_engine_close(engine);
    err = err == WEIR_OK ? closed : err;
    if (err != WEIR_OK) {
        (void)fprintf(stderr, "embedded_read: %s\n", weir_err_text(err));
    }
    return err == WEIR_OK ? 0 : 1;
}
