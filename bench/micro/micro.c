/* bench/micro/micro.c - what single pieces cost, without sockets and without another process.
 *
 *     bench_micro [MILLISECONDS [NAME]]
 *
 * Each piece runs in rounds of ROUND operations until its time is over (50 ms by default) and
 * prints one line: name, operations, nanoseconds for one. A piece that gives a wrong answer ends
 * the program with 1, so the tests run all of them for a few milliseconds: none rots. The figures
 * are for comparing two builds on one machine, nothing else. */
#include "weir/engine.h"
#include "weir/port.h"

#include "bench/process.h"
#include "bench/usage.h"

#include "adapters/proto/mqtt/codec.h"
#include "core/base/trie.h"
#include "core/batch/batch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROUND = 64, /* operations between two looks at the clock */
    DEFAULT_MS = 50,
    VALUE_BYTES = 128,
    BATCH_BYTES = 32768,
    FILTERS = 10000,
    PACKET_BYTES = 256,
    DRAIN = 64,
};

typedef struct piece {
    const char *name;
    bool (*begin)(void);
    bool (*round)(void); /* ROUND operations; false: a wrong answer */
    void (*end)(void);
} piece;

static uint8_t value[VALUE_BYTES];

static bool nothing_begun(void)
{
    return true;
}

static void nothing_ended(void)
{
}

/* ---- Batches -----------------------------------------------------------------------------------
 */

static uint8_t batch_memory[BATCH_BYTES];
static weir_bytes batch;

static bool batch_encode(void)
{
    weir_batch_builder builder;
    uint8_t rest[VALUE_BYTES + WEIR_RECORD_OVERHEAD_MAX];
    weir_batch_begin(&builder, batch_memory, sizeof(batch_memory));
    for (int i = 0; i < ROUND; i++) {
        uint32_t position;
        size_t len = weir_record_rest_encode(WEIR_BYTES(value), NULL, 0, rest);
        if (weir_batch_add(&builder, 0, WEIR_TEXT("device/0001"), (weir_bytes){rest, len},
                           &position) != WEIR_OK) {
            return false;
        }
    }
    batch = weir_batch_finish(&builder, 0, 1, 1);
    return batch.len > ROUND * VALUE_BYTES;
}

static bool batch_decode(void)
{
    weir_batch_head head;
    uint32_t positions[ROUND];
    size_t bytes = 0;
    if (weir_batch_check(batch, &head, positions, ROUND) != WEIR_OK) {
        return false;
    }
    for (int i = 0; i < head.record_count; i++) {
        weir_record record;
        weir_batch_record_trusted(batch.ptr, positions[i], 0, 1, &record);
        bytes += record.value.len;
    }
    return bytes == (size_t)ROUND * VALUE_BYTES;
}

/* ---- The trie ----------------------------------------------------------------------------------
 */

static weir_trie *trie;

static bool trie_begin(void)
{
    bool added = weir_trie_create(&trie) == WEIR_OK &&
                 weir_trie_add(trie, WEIR_TEXT("site/+/temp"), &trie) == WEIR_OK;
    for (int i = 0; i < FILTERS && added; i++) {
        char filter[64];
        snprintf(filter, sizeof(filter), i % 10 == 0 ? "site/dev%05d/#" : "site/dev%05d/temp", i);
        added = weir_trie_add(trie, weir_bytes_of(filter), &trie) == WEIR_OK;
    }
    return added;
}

static void match_count(void *arg, void *found)
{
    (void)found;
    ++*(size_t *)arg;
}

static bool trie_match(void)
{
    static unsigned next;
    size_t matches = 0;
    for (int i = 0; i < ROUND; i++) {
        char name[64];
        snprintf(name, sizeof(name), "site/dev%05u/temp", next++ % FILTERS);
        weir_trie_match(trie, weir_bytes_of(name), match_count, &matches);
    }
    return matches == 2 * ROUND;
}

static void trie_end(void)
{
    weir_trie_destroy(trie);
    trie = NULL;
}

/* ---- MQTT's codec ------------------------------------------------------------------------------
 */

static uint8_t packet_bytes[PACKET_BYTES];
static size_t packet_len;

static bool mqtt_encode(void)
{
    weir_mqtt_packet packet = {.type = WEIR_MQTT_PUBLISH};
    packet.publish.qos = 1;
    packet.publish.id = 7;
    packet.publish.name = WEIR_TEXT("site/dev00001/temp");
    packet.publish.payload = WEIR_BYTES(value);
    for (int i = 0; i < ROUND; i++) {
        packet_len =
            weir_mqtt_encode(WEIR_MQTT_5, &packet, NULL, 0, packet_bytes, sizeof(packet_bytes));
    }
    return packet_len > VALUE_BYTES && packet_len <= sizeof(packet_bytes);
}

static bool mqtt_decode(void)
{
    size_t bytes = 0;
    for (int i = 0; i < ROUND; i++) {
        weir_mqtt_head head;
        weir_mqtt_publish publish;
        weir_mqtt_properties properties;
        weir_bytes in = {packet_bytes, packet_len};
        if (weir_mqtt_head_decode(in, WEIR_MQTT_5, &head) != WEIR_OK ||
            weir_mqtt_publish_decode(head.flags,
                                     (weir_bytes){in.ptr + head.head_bytes, head.remaining},
                                     WEIR_MQTT_5, &publish, &properties) != WEIR_OK) {
            return false;
        }
        bytes += publish.payload.len;
    }
    return bytes == (size_t)ROUND * VALUE_BYTES;
}

static bool mqtt_decode_begin(void)
{
    return mqtt_encode();
}

/* ---- The engine --------------------------------------------------------------------------------
 */

static weir_engine *engine;
static weir_port *port;
static char folder[256];

static bool engine_begin(void)
{
    weir_fault fault;
    weir_engine_config config = {.data_dir = folder};
    weir_topic_options options = {.partitions = 1, .level = WEIR_LEVEL_OS};
    weir_completion done = {0};
    bool declared;
    if (weir_folder_make(folder, sizeof(folder)) != WEIR_OK ||
        weir_engine_open(&config, &engine, &fault) != WEIR_OK ||
        weir_port_open(engine, &port) != WEIR_OK ||
        weir_port_topic_create(port, WEIR_TEXT("bench"), &options, NULL, 0) != WEIR_OK) {
        return false;
    }
    while (weir_port_drain(port, &done, 1) == 0) {
        if (weir_port_wait(port, 10000) != WEIR_OK) {
            return false;
        }
    }
    declared = done.err == WEIR_OK;
    weir_completion_drop(&done);
    return declared;
}

/* ROUND publishes in one turn, as one read of a connection gives them, and all their completions.
 */
static bool publish_round(weir_bytes name)
{
    weir_completion done[DRAIN];
    size_t got = 0;
    for (int i = 0; i < ROUND; i++) {
        weir_publish publish = {.name = name, .value = WEIR_BYTES(value)};
        if (weir_port_publish(port, &publish, NULL, (uint64_t)i) != WEIR_OK) {
            return false;
        }
    }
    weir_port_step(port);
    while (got < ROUND) {
        size_t count = weir_port_drain(port, done, DRAIN);
        if (count == 0 && weir_port_wait(port, 10000) != WEIR_OK) {
            return false;
        }
        for (size_t i = 0; i < count; i++) {
            if (done[i].err != WEIR_OK) {
                return false;
            }
            weir_completion_drop(&done[i]);
        }
        got += count;
    }
    return got == ROUND;
}

static bool engine_publish_stored(void)
{
    return publish_round(WEIR_TEXT("bench/dev00001/temp"));
}

static bool engine_publish_live(void)
{
    return publish_round(WEIR_TEXT("elsewhere/dev00001/temp"));
}

/* ---- A queue group with four members: published, taken by one after the other, accepted. ---- */

static weir_member *members[4];

/* The next completion of this type; others are dropped. */
static bool next_of(weir_completion_type type, weir_completion *done)
{
    for (;;) {
        memset(done, 0, sizeof(*done));
        while (weir_port_drain(port, done, 1) == 0) {
            if (weir_port_wait(port, 10000) != WEIR_OK) {
                return false;
            }
        }
        if (done->type == type) {
            return done->err == WEIR_OK;
        }
        weir_completion_drop(done);
    }
}

static bool queue_begin(void)
{
    weir_bytes topics[] = {WEIR_TEXT("bench")};
    weir_group_options options = {
        .model = WEIR_MODEL_QUEUE, .topics = topics, .topic_count = 1, .expiry_ms = -1};
    weir_join join = {
        .group = WEIR_TEXT("workers"), .origin = WEIR_TEXT("port"), .options = &options};
    bool joined = engine_begin();
    for (int i = 0; i < 4 && joined; i++) {
        weir_completion done;
        joined = weir_port_member_join(port, &join, NULL, 0) == WEIR_OK &&
                 next_of(WEIR_COMPLETION_MEMBER, &done);
        members[i] = joined ? done.joined.member : NULL;
    }
    return joined;
}

static bool accept_taken(weir_member *member, const weir_taken *taken)
{
    weir_settle_range ranges[ROUND];
    uint32_t count = 0;
    for (uint32_t i = 0; i < taken->run_count; i++) {
        const weir_handed *run = &taken->runs[i];
        weir_record record;
        weir_chunk_record(run->chunk, run->first, &record);
        ranges[count++] = (weir_settle_range){.topic = WEIR_TEXT("bench"),
                                              .first = record.offset,
                                              .last = record.offset + run->count - 1,
                                              .lease = run->lease};
    }
    weir_settle settle = {.verb = WEIR_VERB_ACCEPT,
                          .ranges = ranges,
                          .range_count = count,
                          .epoch = taken->epoch,
                          .no_confirm = true}; /* one that is refused ends the next round */
    return count > 0 && weir_port_settle(port, member, &settle, NULL, 0) == WEIR_OK;
}

static bool engine_queue_stored(void)
{
    static unsigned turn;
    weir_member *member = members[turn++ % 4];
    weir_take take = {.records_max = ROUND, .bytes_max = 1 << 20};
    weir_completion done;
    if (!publish_round(WEIR_TEXT("bench/dev00001/temp")) ||
        weir_port_take(port, member, &take, NULL, 0) != WEIR_OK ||
        !next_of(WEIR_COMPLETION_TAKEN, &done)) {
        return false;
    }
    bool accepted = accept_taken(member, &done.taken);
    weir_completion_drop(&done);
    return accepted;
}

/* The same one by one: a turn for each take, and one for each answer. */
static bool engine_queue_each(void)
{
    static unsigned turn;
    weir_take take = {.records_max = 1, .bytes_max = 1 << 20};
    weir_completion done;
    bool right = publish_round(WEIR_TEXT("bench/dev00001/temp"));
    for (int i = 0; i < ROUND && right; i++) {
        weir_member *member = members[turn++ % 4];
        right = weir_port_take(port, member, &take, NULL, 0) == WEIR_OK &&
                next_of(WEIR_COMPLETION_TAKEN, &done);
        right = right && accept_taken(member, &done.taken);
        if (right) {
            weir_completion_drop(&done);
        }
    }
    return right;
}

static void engine_end(void)
{
    if (port != NULL) {
        weir_port_close(port);
    }
    if (engine != NULL) {
        weir_engine_abandon(engine);
    }
    weir_folder_remove(folder);
    port = NULL;
    engine = NULL;
}

/* ---- All ---------------------------------------------------------------------------------------
 */

static bool batch_decode_begin(void)
{
    return batch_encode();
}

static const piece pieces[] = {
    {"batch-encode", nothing_begun, batch_encode, nothing_ended},
    {"batch-decode", batch_decode_begin, batch_decode, nothing_ended},
    {"trie-match", trie_begin, trie_match, trie_end},
    {"mqtt-encode", nothing_begun, mqtt_encode, nothing_ended},
    {"mqtt-decode", mqtt_decode_begin, mqtt_decode, nothing_ended},
    {"engine-publish-live", engine_begin, engine_publish_live, engine_end},
    {"engine-publish-os", engine_begin, engine_publish_stored, engine_end},
    {"engine-queue-os", queue_begin, engine_queue_stored, engine_end},
    {"engine-queue-each-os", queue_begin, engine_queue_each, engine_end},
};

static bool piece_run(const piece *it, uint64_t duration_ns)
{
    uint64_t operations = 0;
    uint64_t begin_ns;
    uint64_t now_ns;
    bool right = it->begin() && it->round(); /* one round to warm up */
    begin_ns = weir_now_ns();
    now_ns = begin_ns;
    while (right && now_ns - begin_ns < duration_ns) {
        right = it->round();
        operations += ROUND;
        now_ns = weir_now_ns();
    }
    it->end();
    if (right && operations > 0) {
        printf("%-20s %10" PRIu64 " operations %10.1f ns\n", it->name, operations,
               (double)(now_ns - begin_ns) / (double)operations);
    } else {
        fprintf(stderr, "%s: wrong\n", it->name);
    }
    return right;
}

int main(int argc, char **argv)
{
    long duration_ms = argc > 1 ? strtol(argv[1], NULL, 10) : DEFAULT_MS;
    bool right = duration_ms > 0;
    memset(value, 'v', sizeof(value));
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]) && right; i++) {
        if (argc <= 2 || strcmp(argv[2], pieces[i].name) == 0) {
            right = piece_run(&pieces[i], (uint64_t)duration_ms * 1000000u);
        }
    }
    return right ? 0 : 1;
}
