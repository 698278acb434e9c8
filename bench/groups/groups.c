/* bench/groups/groups.c - what a group that stopped long ago costs the others of its topic, through
 * sockets.
 *
 *     bench_groups WEIR [BACKLOG [RECORDS [REPEATS [STOPPED]]]]
 *
 *   work: |==== BACKLOG records, filled before ====|== RECORDS: published, taken, settled ==>
 *          ^ STOPPED groups: joined, took once, settled nothing        ^ the busy group
 *
 * One gateway, one topic at `os`, records of 128 bytes. A measurement publishes RECORDS on one
 * connection, in batches of BATCH_RECORDS, each answered, while the one member of the busy group
 * takes them in leases of LEASE_RECORDS and settles each lease, answered; its rate is that of the whole: from the first publish to the last
 * settle. Each repeat measures it once alone and once beside the stopped groups, in turns, the order
 * changing from repeat to repeat; they begin at the oldest record, which is on disk alone, and their
 * members stay connected and do nothing. First queue groups, then stream groups.
 *
 * Prints a line for each pair, as JSON to be kept, and one of the medians; exit code 1 when anything
 * failed, or a record was not had exactly once. No figure is judged. Folders are made below $TMPDIR. */
#include "bench/bench.h"
#include "bench/process.h"
#include "bench/usage.h"

#include "weir/client.h"

#include "core/batch/batch.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BACKLOG_RECORDS = 3000000,
    RECORDS = 1000000,
    REPEATS = 5,
    REPEATS_MAX = 50,
    STOPPED_MAX = 64,
    VALUE_BYTES = 128,
    BATCH_RECORDS = 256,
    BATCH_BYTES = BATCH_RECORDS * (VALUE_BYTES + 32) + 256,
    LEASE_RECORDS = 1024,
    LEASE_BYTES = 2 << 20,
    LEASE_WAIT_MS = 1000,
    RANGES_MAX = LEASE_RECORDS,
    EMPTY_LEASES_MAX = 30,
    WAIT_MS = 60000,
    RETRY_US = 10000,
    PATH_BYTES = 512,
};

typedef struct bench {
    const char *program;
    char folder[PATH_BYTES];
    char url[PATH_BYTES + 32];
    pid_t pid;
    weir_client *publisher;
    uint64_t records; /* of one measurement */
    uint32_t stopped;
    weir_model model;
} bench;

/* A member of a group, on a connection of its own. */
typedef struct member {
    weir_client *client;
    uint64_t number;
} member;

static uint8_t batch_memory[BATCH_BYTES];
static weir_bytes batch; /* what is published, again and again */
static const weir_bytes topic = WEIR_TEXT("work");

static bool fail(const char *what, const weir_client *client)
{
    fprintf(stderr, "bench_groups: %s: %s\n", what,
            client != NULL ? weir_client_error(client) : "");
    return false;
}

/* ---- The gateway and its log ------------------------------------------------------------------- */

/* Waits until the gateway listens, as long as it lives. */
static bool connection(const bench *b, weir_client **client)
{
    weir_fault fault = {0};
    uint64_t until_ns = weir_now_ns() + (uint64_t)WAIT_MS * 1000000;
    weir_err err = weir_client_open(b->url, NULL, client, &fault);
    while (err == WEIR_NOT_FOUND && weir_process_lives(b->pid) && weir_now_ns() < until_ns) {
        (void)usleep(RETRY_US);
        err = weir_client_open(b->url, NULL, client, &fault);
    }
    return err == WEIR_OK || fail(fault.text, NULL);
}

static bool gateway_start(bench *b)
{
    char config[PATH_BYTES + 16], log[PATH_BYTES + 16], text[4 * PATH_BYTES];
    char serve[] = "serve", from[] = "-c";
    char *argv[] = {(char *)(uintptr_t)b->program, serve, from, config, NULL};
    snprintf(config, sizeof(config), "%s/weir.yaml", b->folder);
    snprintf(log, sizeof(log), "%s/weir.log", b->folder);
    snprintf(b->url, sizeof(b->url), "unix:%s/data/weir.sock", b->folder);
    snprintf(text, sizeof(text),
             "data: %s/data\nports: %s/ports\nmqtt:\n  enabled: false\nnng:\n  enabled: false\n"
             "http:\n  enabled: false\ntopics:\n  - name: work\n    durability: os\n",
             b->folder, b->folder);
    return (weir_file_write(config, text) &&
            weir_process_start(argv, NULL, b->folder, log, &b->pid) == WEIR_OK) ||
           fail("the gateway did not start", NULL);
}

static void batch_make(void)
{
    static const uint8_t value[VALUE_BYTES];
    const weir_bytes whole = {value, sizeof(value)};
    uint8_t rest[VALUE_BYTES + 32];
    size_t len = weir_record_rest_encode(whole, NULL, 0, rest);
    uint32_t position;
    weir_batch_builder builder;
    weir_batch_begin(&builder, batch_memory, sizeof(batch_memory));
    for (int i = 0; i < BATCH_RECORDS; i++) {
        (void)weir_batch_add(&builder, 0, WEIR_BYTES_NULL, (weir_bytes){rest, len}, &position);
    }
    batch = weir_batch_finish(&builder, 0, 0, 1);
}

/* A multiple of BATCH_RECORDS. */
static bool publish(bench *b, uint64_t records)
{
    weir_published published;
    for (uint64_t sent = 0; sent < records; sent += BATCH_RECORDS) {
        if (weir_client_produce(b->publisher, topic, 0, batch, &published) != WEIR_OK) {
            return fail("a publish", b->publisher);
        }
    }
    return true;
}

/* ---- Members ----------------------------------------------------------------------------------- */

static bool member_open(const bench *b, const char *group, weir_group_place start, member *m)
{
    const weir_group_options options = {
        .model = b->model, .start = start, .topics = &topic, .topic_count = 1};
    const weir_client_join join = {.group = weir_bytes_of(group), .options = &options};
    weir_client_joined joined;
    if (!connection(b, &m->client)) {
        return false;
    }
    if (weir_client_group_join(m->client, &join, &joined) != WEIR_OK) {
        return fail("a join", m->client);
    }
    m->number = joined.member;
    return true;
}

static bool member_take(member *m, uint32_t records, weir_client_batches *leased)
{
    const weir_take take = {
        .records_max = records, .bytes_max = LEASE_BYTES, .wait_ms = LEASE_WAIT_MS};
    return weir_client_lease_batches(m->client, m->number, &take, leased) == WEIR_OK ||
           fail("a take", m->client);
}

/* Settles all that a lease brought; *had counts it. */
static bool member_settle(member *m, const weir_client_batches *leased, uint64_t *had)
{
    weir_settle_range ranges[RANGES_MAX];
    weir_settle settle = {.verb = WEIR_VERB_ACCEPT,
                          .ranges = ranges,
                          .epoch = leased->epoch,
                          .generation = leased->generation};
    weir_settled settled;
    for (uint32_t i = 0; i < leased->run_count && i < RANGES_MAX; i++) {
        const weir_client_leased_run *run = &leased->runs[i];
        ranges[settle.range_count++] = (weir_settle_range){.topic = run->topic,
                                                           .partition = run->partition,
                                                           .first = run->first,
                                                           .last = run->last,
                                                           .lease = run->lease};
        *had += (uint64_t)(run->last - run->first + 1);
    }
    return weir_client_settle_ranges(m->client, m->number, &settle, &settled) == WEIR_OK ||
           fail("a settle", m->client);
}

/* Takes and settles until it had so many. */
static bool member_work(member *m, uint64_t records)
{
    weir_client_batches leased;
    uint64_t had = 0;
    for (int empty = 0; had < records && empty < EMPTY_LEASES_MAX;) {
        if (!member_take(m, LEASE_RECORDS, &leased)) {
            return false;
        }
        empty = leased.run_count == 0 ? empty + 1 : 0;
        if (leased.run_count > 0 && !member_settle(m, &leased, &had)) {
            return false;
        }
    }
    return had == records || fail("not every record was had once", NULL);
}

/* ---- Stopped groups ---------------------------------------------------------------------------- */

static void stopped_name(uint32_t index, char name[32])
{
    snprintf(name, 32, "stopped-%u", index);
}

/* Each joins, takes once and does nothing more. */
static bool stopped_open(const bench *b, member *members)
{
    char name[32];
    for (uint32_t i = 0; i < b->stopped; i++) {
        weir_client_batches leased;
        bool had = false;
        stopped_name(i, name);
        if (!member_open(b, name, WEIR_PLACE_BEGINNING, &members[i])) {
            return false;
        }
        for (int empty = 0; !had && empty < EMPTY_LEASES_MAX; empty++) {
            if (!member_take(&members[i], LEASE_RECORDS, &leased)) {
                return false;
            }
            had = leased.run_count > 0 && leased.runs[0].first == 0;
        }
        if (!had) {
            return fail("a stopped group was given nothing of the beginning", NULL);
        }
    }
    return true;
}

static bool stopped_close(const bench *b, member *members)
{
    char name[32];
    for (uint32_t i = 0; i < b->stopped; i++) {
        weir_client_close(members[i].client);
        members[i].client = NULL;
        stopped_name(i, name);
        if (weir_client_group_delete(b->publisher, weir_bytes_of(name), true) != WEIR_OK) {
            return fail("a stopped group was not deleted", b->publisher);
        }
    }
    return true;
}

/* ---- One measurement --------------------------------------------------------------------------- */

typedef struct publishing {
    bench *bench;
    bool good;
} publishing;

static void *publish_all(void *arg)
{
    publishing *own = arg;
    own->good = publish(own->bench, own->bench->records);
    return NULL;
}

/* Records a second; 0: it failed. */
static double rate_of(bench *b, member *busy, double *cpu_s)
{
    publishing own = {.bench = b};
    weir_usage before = {0}, after = {0};
    pthread_t thread;
    (void)weir_usage_of(b->pid, &before);
    uint64_t begin_ns = weir_now_ns();
    if (pthread_create(&thread, NULL, publish_all, &own) != 0) {
        return 0;
    }
    bool good = member_work(busy, b->records);
    (void)pthread_join(thread, NULL);
    double seconds = (double)(weir_now_ns() - begin_ns) / 1e9;
    (void)weir_usage_of(b->pid, &after);
    *cpu_s = after.cpu_s - before.cpu_s;
    return good && own.good ? (double)b->records / seconds : 0;
}

static double rate_beside(bench *b, member *busy, double *cpu_s)
{
    member members[STOPPED_MAX] = {0};
    double rate = stopped_open(b, members) ? rate_of(b, busy, cpu_s) : 0;
    return stopped_close(b, members) ? rate : 0;
}

static int double_compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double median_of(const double *values, uint32_t count)
{
    double sorted[REPEATS_MAX];
    memcpy(sorted, values, count * sizeof(*values));
    qsort(sorted, count, sizeof(*sorted), double_compare);
    return count % 2 == 1 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

/* What pairs gave, in their order. */
typedef struct figures {
    double alone[REPEATS_MAX];
    double beside[REPEATS_MAX];
    double ratio[REPEATS_MAX];
    double alone_cpu_s[REPEATS_MAX]; /* of the gateway */
    double beside_cpu_s[REPEATS_MAX];
} figures;

static bool pair_measure(bench *b, member *busy, uint32_t i, figures *f)
{
    bool first = i % 2 == 0;
    f->alone[i] = first ? rate_of(b, busy, &f->alone_cpu_s[i]) : 0;
    f->beside[i] = rate_beside(b, busy, &f->beside_cpu_s[i]);
    f->alone[i] = first ? f->alone[i] : rate_of(b, busy, &f->alone_cpu_s[i]);
    f->ratio[i] = f->alone[i] > 0 ? f->beside[i] / f->alone[i] : 0;
    return f->ratio[i] > 0;
}

static void pair_print(const bench *b, const char *model, uint64_t backlog, uint32_t i,
                       const figures *f)
{
    printf("{\"bench\":\"groups\",\"model\":\"%s\",\"repeat\":%u,\"backlog\":%" PRIu64
           ",\"stopped\":%u,\"records\":%" PRIu64 ",\"alone_per_s\":%.0f,\"beside_per_s\":%.0f,"
           "\"ratio\":%.4f,\"alone_cpu_s\":%.2f,\"beside_cpu_s\":%.2f}\n",
           model, i, backlog, b->stopped, b->records, f->alone[i], f->beside[i], f->ratio[i],
           f->alone_cpu_s[i], f->beside_cpu_s[i]);
    fflush(stdout);
}

static void medians_print(const char *model, uint32_t repeats, const figures *f)
{
    printf("{\"bench\":\"groups\",\"model\":\"%s\",\"commit\":\"%s\",\"repeats\":%u,"
           "\"alone_per_s\":%.0f,\"beside_per_s\":%.0f,\"ratio\":%.4f,\"alone_cpu_s\":%.2f,"
           "\"beside_cpu_s\":%.2f}\n",
           model, weir_bench_commit(), repeats, median_of(f->alone, repeats),
           median_of(f->beside, repeats), median_of(f->ratio, repeats),
           median_of(f->alone_cpu_s, repeats), median_of(f->beside_cpu_s, repeats));
}

/* Alone and beside stopped groups, in turns. */
static bool pairs_measure(bench *b, const char *model, uint64_t *backlog, uint32_t repeats)
{
    figures f = {0};
    member busy = {0};
    bool good = member_open(b, "busy", WEIR_PLACE_END, &busy);
    for (uint32_t i = 0; good && i < repeats; i++) {
        good = pair_measure(b, &busy, i, &f);
        pair_print(b, model, *backlog, i, &f);
        *backlog += 2 * b->records;
    }
    weir_client_close(busy.client);
    if (good) {
        medians_print(model, repeats, &f);
    }
    return good && (weir_client_group_delete(b->publisher, WEIR_TEXT("busy"), true) == WEIR_OK ||
                    fail("the busy group was not deleted", b->publisher));
}

static bool bench_run(bench *b, uint64_t backlog, uint32_t repeats)
{
    if (!gateway_start(b) || !connection(b, &b->publisher) || !publish(b, backlog)) {
        return false;
    }
    b->model = WEIR_MODEL_QUEUE;
    bool good = pairs_measure(b, "queue", &backlog, repeats);
    b->model = WEIR_MODEL_STREAM;
    return good && pairs_measure(b, "stream", &backlog, repeats);
}

static uint64_t number_of(int argc, char **argv, int index, uint64_t fallback)
{
    return argc > index ? strtoull(argv[index], NULL, 10) : fallback;
}

int main(int argc, char **argv)
{
    uint64_t backlog = number_of(argc, argv, 2, BACKLOG_RECORDS);
    uint64_t repeats = number_of(argc, argv, 4, REPEATS);
    uint64_t stopped = number_of(argc, argv, 5, 1);
    bench b = {.program = argc > 1 ? argv[1] : "", .records = number_of(argc, argv, 3, RECORDS)};
    batch_make();
    backlog -= backlog % BATCH_RECORDS;
    b.records -= b.records % BATCH_RECORDS;
    if (argc < 2 || backlog < LEASE_RECORDS || b.records == 0 || repeats == 0 ||
        repeats > REPEATS_MAX || stopped == 0 || stopped > STOPPED_MAX) {
        fprintf(stderr, "usage: bench_groups WEIR [BACKLOG [RECORDS [REPEATS [STOPPED]]]]\n");
        return 2;
    }
    b.stopped = (uint32_t)stopped;
    bool good = weir_folder_make(b.folder, sizeof(b.folder)) == WEIR_OK &&
                bench_run(&b, backlog, (uint32_t)repeats);
    weir_client_close(b.publisher);
    if (b.pid > 0) {
        weir_process_end(b.pid, WAIT_MS);
    }
    weir_folder_remove(b.folder);
    return good ? 0 : 1;
}
