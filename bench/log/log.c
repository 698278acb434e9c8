/* bench/log/log.c - what the log costs on a disk, without sockets: a restart after a kill, and how
 * many bytes are written for a byte of payload.
 *
 *     bench_log restart MIB RECORDS       MIB of journal in batches of RECORDS, killed, opened again
 *     bench_log stream MIB batch|publish RECORD_BYTES [LEVEL]
 *
 * The restart's journal has no checkpoint, and units of up to 4 MiB. `batch` are client-built
 * batches of 512 KiB, `publish` single publishes, thousands a turn. One line of figures; exit 1 when
 * anything is not as it must be: the tests run it small, so that it does not rot. Folders are made
 * below $TMPDIR. */
#include "weir/engine.h"
#include "weir/port.h"

#include "bench/process.h"
#include "bench/usage.h"

#include "core/batch/batch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    VALUE_BYTES_MAX = 64 << 10,
    BATCH_BYTES = 512 << 10,
    BATCH_MEMORY_BYTES = 1 << 20,
    RESTART_VALUE_BYTES = 128,
    IN_FLIGHT_MAX = 4096,
    DRAIN = 64,
};

typedef struct run {
    char folder[256];
    weir_engine_config config;
    weir_engine *engine;
    weir_port *port;
    uint32_t in_flight;
    uint64_t payload_bytes;
    uint64_t records;
} run;

static uint8_t value[VALUE_BYTES_MAX];
static uint8_t batch_memory[BATCH_MEMORY_BYTES];

static bool fail(const char *what)
{
    fprintf(stderr, "bench_log: %s\n", what);
    return false;
}

static bool take_answers(run *r, uint32_t left)
{
    weir_completion done[DRAIN];
    while (r->in_flight > left) {
        size_t got = weir_port_drain(r->port, done, DRAIN);
        if (got == 0 && weir_port_wait(r->port, 60000) != WEIR_OK) {
            return fail("no answer");
        }
        for (size_t i = 0; i < got; i++) {
            bool good = done[i].err == WEIR_OK;
            weir_completion_drop(&done[i]);
            if (!good) {
                return fail("refused");
            }
        }
        r->in_flight -= (uint32_t)got;
    }
    return true;
}

static bool run_open(run *r)
{
    weir_fault fault = {0};
    r->config.data_dir = r->folder;
    if (weir_engine_open(&r->config, &r->engine, &fault) != WEIR_OK) {
        return fail(fault.text);
    }
    return weir_port_open(r->engine, &r->port) == WEIR_OK || fail("no port");
}

static bool run_begin(run *r, weir_level level)
{
    weir_topic_options options = {.partitions = 1, .level = level};
    if (weir_folder_make(r->folder, sizeof(r->folder)) != WEIR_OK || !run_open(r) ||
        weir_port_topic_create(r->port, WEIR_TEXT("bench"), &options, NULL, 0) != WEIR_OK) {
        return fail("no engine");
    }
    r->in_flight = 1;
    return take_answers(r, 0);
}

static weir_bytes batch_make(uint32_t records, size_t value_bytes)
{
    static uint8_t rest[VALUE_BYTES_MAX + WEIR_RECORD_OVERHEAD_MAX];
    weir_batch_builder builder;
    uint32_t position;
    weir_bytes one = {value, value_bytes};
    size_t len = weir_record_rest_encode(one, NULL, 0, rest);
    weir_batch_begin(&builder, batch_memory, sizeof(batch_memory));
    for (uint32_t i = 0; i < records; i++) {
        if (weir_batch_add(&builder, 0, WEIR_TEXT("dev01/temp"), (weir_bytes){rest, len},
                           &position) != WEIR_OK) {
            break;
        }
    }
    return weir_batch_finish(&builder, 0, 0, 1);
}

static bool batch_send(run *r, weir_bytes batch, uint32_t records, size_t value_bytes)
{
    weir_err err = WEIR_AGAIN;
    while ((err = weir_port_produce_batch(r->port, WEIR_TEXT("bench"), 0, batch, NULL, 0)) ==
           WEIR_AGAIN) {
        weir_port_step(r->port);
        if (!take_answers(r, r->in_flight > 0 ? r->in_flight - 1 : 0)) {
            return false;
        }
    }
    r->in_flight += err == WEIR_OK ? 1 : 0;
    r->payload_bytes += (uint64_t)records * value_bytes;
    r->records += records;
    return err == WEIR_OK || fail("a batch is refused");
}

static weir_stats stats_of(const run *r)
{
    weir_stats stats;
    weir_engine_stats(r->engine, &stats);
    return stats;
}

/* ---- Restart -----------------------------------------------------------------------------------
 */

/* Every record is there: the end of the log tells. */
static bool end_check(run *r)
{
    weir_completion done = {0};
    weir_fetch wanted = {.topic = WEIR_TEXT("bench"), .offset = 0, .bytes_max = 4096};
    if (weir_port_fetch(r->port, &wanted, NULL, 0) != WEIR_OK) {
        return fail("no fetch");
    }
    while (weir_port_drain(r->port, &done, 1) == 0) {
        if (weir_port_wait(r->port, 60000) != WEIR_OK) {
            return fail("no answer");
        }
    }
    bool whole = done.err == WEIR_OK && done.fetched.end_offset == (int64_t)r->records;
    weir_completion_drop(&done);
    return whole || fail("records are missing");
}

static bool restart(uint64_t mib, uint32_t records)
{
    run r = {.config = {.checkpoint_bytes = UINT64_MAX >> 1,
                        .checkpoint_every_ms = 24 * 3600 * 1000,
                        .journal_inline_bytes_max = INT32_MAX}};
    if (!run_begin(&r, WEIR_LEVEL_OS)) {
        return false;
    }
    weir_bytes batch = batch_make(records, RESTART_VALUE_BYTES);
    bool good = true;
    while (good && stats_of(&r).journal_bytes < mib << 20) {
        for (int i = 0; good && i < IN_FLIGHT_MAX; i++) {
            good = batch_send(&r, batch, records, RESTART_VALUE_BYTES);
        }
        good = good && take_answers(&r, 0);
    }
    weir_stats stats = stats_of(&r);
    weir_port_close(r.port);
    weir_engine_abandon(r.engine);
    weir_usage before = {0};
    weir_usage after = {0};
    (void)weir_usage_of(getpid(), &before);
    uint64_t begin_ns = weir_now_ns();
    good = good && run_open(&r);
    uint64_t took_ns = weir_now_ns() - begin_ns;
    (void)weir_usage_of(getpid(), &after);
    if (good) {
        printf("restart journal_mib=%" PRIu64 " records_per_batch=%u records=%" PRIu64
               " units=%" PRIu64 " seconds=%.2f cpu_seconds=%.2f\n",
               stats.journal_bytes >> 20, records, r.records, stats.units, (double)took_ns / 1e9,
               after.cpu_s - before.cpu_s);
        good = end_check(&r);
        weir_port_close(r.port);
        weir_engine_abandon(r.engine);
    }
    weir_folder_remove(r.folder);
    return good;
}

/* ---- Stream ------------------------------------------------------------------------------------
 */

static bool publishes_send(run *r, size_t value_bytes, uint64_t until_bytes)
{
    weir_publish publish = {.name = WEIR_TEXT("bench/dev01/temp"), .value = {value, value_bytes}};
    while (r->payload_bytes < until_bytes) {
        weir_err err = weir_port_publish(r->port, &publish, NULL, 0);
        if (err == WEIR_OK) {
            r->in_flight++;
            r->payload_bytes += value_bytes;
            r->records++;
        } else if (err != WEIR_AGAIN) {
            return fail("a publish is refused");
        }
        if ((err == WEIR_AGAIN || r->in_flight >= IN_FLIGHT_MAX) && !take_answers(r, 0)) {
            return false;
        }
    }
    return take_answers(r, 0);
}

static bool batches_send(run *r, size_t value_bytes, uint64_t until_bytes)
{
    uint32_t records = (uint32_t)(BATCH_BYTES / (value_bytes + 20));
    weir_bytes batch = batch_make(records, value_bytes);
    while (r->payload_bytes < until_bytes) {
        if (!batch_send(r, batch, records, value_bytes) || !take_answers(r, 2)) {
            return false;
        }
    }
    return take_answers(r, 0);
}

static bool stream(uint64_t mib, bool batches, size_t value_bytes, weir_level level)
{
    run r = {0};
    bool (*send)(run *, size_t, uint64_t) = batches ? batches_send : publishes_send;
    if (!run_begin(&r, level) || !send(&r, value_bytes, 8 << 20)) { /* warm: the first segment */
        return false;
    }
    sync();
    weir_stats before = stats_of(&r);
    weir_machine_usage machine = weir_machine_usage_read();
    weir_usage usage = {0};
    weir_usage after = {0};
    (void)weir_usage_of(getpid(), &usage);
    r.payload_bytes = 0;
    uint64_t begin_ns = weir_now_ns();
    bool good = send(&r, value_bytes, mib << 20);
    uint64_t took_ns = weir_now_ns() - begin_ns;
    weir_stats stats = stats_of(&r);
    weir_port_close(r.port);
    good = weir_engine_close(r.engine) == WEIR_OK && good;
    sync();
    (void)weir_usage_of(getpid(), &after);
    uint64_t device = weir_machine_usage_read().written_bytes - machine.written_bytes;
    uint64_t ours =
        stats.journal_bytes + stats.segment_bytes - before.journal_bytes - before.segment_bytes;
    double payload = (double)r.payload_bytes;
    printf("stream %s record_bytes=%zu level=%s mib=%" PRIu64 " mib_per_s=%.0f "
           "weir_bytes_per_byte=%.3f process_bytes_per_byte=%.3f device_bytes_per_byte=%.3f "
           "straight=%.3f syncs=%" PRIu64 "\n",
           batches ? "batch" : "publish", value_bytes, weir_level_name(level),
           r.payload_bytes >> 20, payload / (1 << 20) / ((double)took_ns / 1e9),
           (double)ours / payload, (double)(after.written_bytes - usage.written_bytes) / payload,
           (double)device / payload,
           (double)(stats.straight_bytes - before.straight_bytes) / payload,
           stats.journal_syncs - before.journal_syncs);
    weir_folder_remove(r.folder);
    return good;
}

int main(int argc, char **argv)
{
    uint64_t mib = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    weir_level level = WEIR_LEVEL_DISK;
    memset(value, 'v', sizeof(value));
    if (argc == 4 && strcmp(argv[1], "restart") == 0) {
        return restart(mib, (uint32_t)strtoul(argv[3], NULL, 10)) ? 0 : 1;
    }
    if (argc >= 5 && strcmp(argv[1], "stream") == 0 &&
        (argc < 6 || weir_level_parse(weir_bytes_of(argv[5]), &level) == WEIR_OK)) {
        size_t bytes = strtoul(argv[4], NULL, 10);
        if (bytes > 0 && bytes <= VALUE_BYTES_MAX) {
            return stream(mib, strcmp(argv[3], "batch") == 0, bytes, level) ? 0 : 1;
        }
    }
    fprintf(stderr, "usage: bench_log restart MIB RECORDS | stream MIB batch|publish RECORD_BYTES "
                    "[LEVEL]\n");
    return 2;
}
