/* examples/embed.c - the engine as a library: no daemon, no sockets.
 *
 *     cc embed.c $(pkg-config --cflags --libs weir) -o embed && ./embed /tmp/weir-embed
 *
 * Weir in /usr/local: `ldconfig` once, as root. In another prefix, say $P, first
 *
 *     export PKG_CONFIG_PATH=$(dirname $(find $P -name weir.pc))
 *
 * and add -Wl,-rpath,$(pkg-config --variable=libdir weir) to the command.
 *
 * Declares a topic, publishes ten readings durably, and reads everything that is there back, so
 * that a second run shows the first run's records as well. */
#include "weir/engine.h"
#include "weir/port.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Waits for the next completion. A program with a loop watches weir_port_fd() instead. */
static weir_completion next(weir_port *port)
{
    weir_completion done = {0};
    while (weir_port_drain(port, &done, 1) == 0) {
        weir_port_wait(port, -1);
    }
    return done;
}

static weir_err declare(weir_port *port)
{
    weir_topic_options options = {.partitions = 1, .level = WEIR_LEVEL_DISK};
    weir_port_topic_create(port, WEIR_TEXT("readings"), &options, NULL, 0);
    weir_completion done = next(port);
    weir_err err = done.err;
    weir_completion_drop(&done);
    return err;
}

/* All ten are submitted before the first answer: they share one write and one sync. */
static weir_err publish(weir_port *port)
{
    char text[10][32];
    for (int i = 0; i < 10; i++) {
        snprintf(text[i], sizeof(text[i]), "{\"temp\": %d}", 20 + i);
        weir_publish reading = {.name = WEIR_TEXT("readings/cellar"),
                                .value = weir_bytes_of(text[i])};
        weir_err err = weir_port_publish(port, &reading, NULL, (uint64_t)i);
        if (err != WEIR_OK) {
            return err;
        }
    }
    for (int i = 0; i < 10; i++) {
        weir_completion done = next(port);
        if (done.err != WEIR_OK) {
            return done.err;
        }
        printf("stored at offset %" PRId64 ", level %s\n", done.published.offset,
               weir_level_name(done.published.level));
        weir_completion_drop(&done);
    }
    return WEIR_OK;
}

static void print_run(const weir_run *run)
{
    for (uint32_t i = 0; i < run->count; i++) {
        weir_record record;
        weir_chunk_record(run->chunk, run->first + i, &record);
        printf("%" PRId64 "  %.*s  %.*s\n", record.offset, (int)record.key.len, record.key.ptr,
               (int)record.value.len, record.value.ptr);
    }
}

static weir_err read_all(weir_port *port)
{
    int64_t offset = 0;
    int64_t end = 1;
    while (offset < end) {
        weir_fetch fetch = {.topic = WEIR_TEXT("readings"), .offset = offset, .bytes_max = 65536};
        weir_port_fetch(port, &fetch, NULL, 0);
        weir_completion done = next(port);
        if (done.err != WEIR_OK) {
            return done.err;
        }
        end = done.fetched.end_offset;
        for (uint32_t i = 0; i < done.fetched.run_count; i++) {
            const weir_run *run = &done.fetched.runs[i];
            print_run(run);
            offset = weir_chunk_base_offset(run->chunk) + run->first + run->count;
        }
        weir_completion_drop(&done);
    }
    return WEIR_OK;
}

int main(int argc, char **argv)
{
    weir_engine_config config = {.data_dir = argc > 1 ? argv[1] : "weir-embed"};
    weir_engine *engine = NULL;
    weir_port *port = NULL;
    weir_fault fault;
    if (weir_engine_open(&config, &engine, &fault) != WEIR_OK) {
        fprintf(stderr, "embed: %s\n", fault.text);
        return 1;
    }
    weir_err err = weir_port_open(engine, &port);
    if (err == WEIR_OK) {
        err = declare(port);
        err = err == WEIR_OK ? publish(port) : err;
        err = err == WEIR_OK ? read_all(port) : err;
        weir_port_close(port);
    }
    weir_err closed = weir_engine_close(engine);
    err = err != WEIR_OK ? err : closed;
    if (err != WEIR_OK) {
        fprintf(stderr, "embed: %s\n", weir_err_text(err));
    }
    return err == WEIR_OK ? 0 : 1;
}
