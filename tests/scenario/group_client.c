/* tests/scenario/group_client.c - consumer groups through libweir-client, against a real gateway.
 *
 *   usage: group_client road URL            everything once; exit code 0 when all of it held
 *          group_client work URL GROUP NAME a worker of a queue group, until it is killed
 *
 * A worker prints "# joined" at each join, and "OFFSET" on a line for each record whose accept the
 * gateway confirmed for exactly this record. Through lost connections it joins again. */
#include "weir/client.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RETRY_MS = 5, TIMEOUT_MS = 60000, WAIT_MS = 20000, TAKE = 7, RECORDS = 10 };

static weir_client *client;

/* ---- road -------------------------------------------------------------------------------------
 */

#define HOLDS(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: %s; the client says: %s\n", __FILE__, __LINE__,          \
                          #condition, weir_client_error(client));                                  \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static void publish(weir_bytes topic, int count)
{
    for (int i = 0; i < count; i++) {
        const weir_publish record = {
            .topic = topic, .key = WEIR_TEXT("k"), .value = WEIR_TEXT("v")};
        HOLDS(weir_client_publish(client, &record, NULL) == WEIR_OK);
    }
}

static weir_client_joined joined_to(weir_bytes group, const weir_group_options *options)
{
    const weir_client_join join = {.group = group, .name = WEIR_TEXT("me"), .options = options};
    weir_client_joined joined;
    HOLDS(weir_client_group_join(client, &join, &joined) == WEIR_OK);
    return joined;
}

static weir_group_info *info_of(weir_bytes group, weir_client_groups *groups)
{
    HOLDS(weir_client_group_list(client, group, groups) == WEIR_OK);
    HOLDS(groups->count == 1);
    return &groups->groups[0];
}

/* Leases until so many records are there; the newest lease has `count` of them. */
static void lease(uint64_t member, uint32_t count, weir_client_leased *leased)
{
    const weir_take take = {.records_max = count, .wait_ms = WAIT_MS};
    HOLDS(weir_client_lease(client, member, &take, leased) == WEIR_OK);
    HOLDS(leased->record_count >= 1);
}

static void settle_one(const weir_client_record *record, weir_verb verb)
{
    weir_settled settled;
    HOLDS(weir_client_settle_record(client, record, verb, &settled) == WEIR_OK);
    HOLDS(settled.records == 1 && settled.refused == 0);
}

static void queue_is_told(weir_bytes group)
{
    weir_client_groups groups = {0};
    weir_group_info *info = info_of(group, &groups);
    HOLDS(info->options.model == WEIR_MODEL_QUEUE && info->options.lease_ms == 60000);
    HOLDS(info->options.key_ordered == 2 && info->options.topic_count == 1);
    HOLDS(weir_bytes_equal(info->options.topics[0], WEIR_TEXT("road-queue")));
    HOLDS(info->member_count == 1 && weir_bytes_equal(info->members[0].name, WEIR_TEXT("me")));
    HOLDS(info->partition_count == 1 && info->partitions[0].end == RECORDS);
    HOLDS(info->fates[WEIR_FATE_ACCEPTED] == RECORDS - 1 && info->fates[WEIR_FATE_REJECTED] == 1);
    HOLDS(info->fates[WEIR_FATE_PENDING] == 0 && info->late_refused == 1);
    weir_client_groups_free(&groups);
}

/* Each verb once, a token that is over, and the rest accepted. */
static void queue_road(void)
{
    weir_bytes group = WEIR_TEXT("road-workers");
    weir_bytes topic = WEIR_TEXT("road-queue");
    const weir_group_options options = {
        .model = WEIR_MODEL_QUEUE, .topics = &topic, .topic_count = 1, .lease_ms = 60000};
    const weir_group_options other = {
        .model = WEIR_MODEL_STREAM, .topics = &topic, .topic_count = 1};
    const weir_topic_options plain = {.partitions = 1};
    weir_client_leased leased;
    weir_client_record record;
    weir_settled settled;
    HOLDS(weir_client_topic_create(client, topic, &plain) == WEIR_OK);
    HOLDS(weir_client_group_create(client, group, &options) == WEIR_OK);
    HOLDS(weir_client_group_create(client, group, &other) == WEIR_EXISTS);
    HOLDS(strstr(weir_client_error(client), "queue") != NULL);
    publish(topic, RECORDS);
    weir_client_joined joined = joined_to(group, NULL);
    HOLDS(joined.model == WEIR_MODEL_QUEUE && joined.lease_ms == 60000);
    HOLDS(joined.session_ms == 45000 && joined.mode == WEIR_MODE_AT_LEAST_ONCE);
    lease(joined.member, 1, &leased);
    HOLDS(weir_client_lease_record(client, 0, &record) == WEIR_OK);
    HOLDS(record.offset == 0 && record.lease != 0 && record.leased == 1 && record.failed == 0);
    settle_one(&record, WEIR_VERB_RENEW);
    settle_one(&record, WEIR_VERB_RELEASE);
    HOLDS(weir_client_settle_record(client, &record, WEIR_VERB_ACCEPT, &settled) ==
          WEIR_LEASE_LOST);
    HOLDS(settled.records == 0 && settled.refused == 1);
    lease(joined.member, 1, &leased);
    HOLDS(weir_client_lease_record(client, 0, &record) == WEIR_OK);
    HOLDS(record.offset == 0 && record.leased == 2);
    settle_one(&record, WEIR_VERB_REJECT);
    for (int done = 1; done < RECORDS;) {
        lease(joined.member, RECORDS, &leased);
        for (uint32_t i = 0; i < leased.record_count; i++, done++) {
            HOLDS(weir_client_lease_record(client, i, &record) == WEIR_OK);
            settle_one(&record, WEIR_VERB_ACCEPT);
        }
    }
    queue_is_told(group);
    HOLDS(weir_client_group_delete(client, group, false) == WEIR_EXISTS);
    HOLDS(weir_client_leave(client, joined.member, true) == WEIR_OK);
    HOLDS(weir_client_leave(client, joined.member, true) == WEIR_NOT_FOUND);
    HOLDS(weir_client_group_delete(client, group, false) == WEIR_OK);
    HOLDS(weir_client_group_delete(client, group, false) == WEIR_NOT_FOUND);
}

static void reset_road(weir_bytes group)
{
    const weir_reset dry = {
        .group = group, .partition = -1, .kind = WEIR_RESET_BEGINNING, .dry_run = true};
    const weir_reset shift = {
        .group = group, .partition = -1, .kind = WEIR_RESET_SHIFT, .value = -2};
    weir_client_groups groups = {0};
    HOLDS(weir_client_group_reset(client, &dry, &groups) == WEIR_OK);
    HOLDS(groups.count == 1 && groups.groups[0].partitions[0].committed == 0);
    weir_client_groups_free(&groups);
    HOLDS(info_of(group, &groups)->partitions[0].committed == 3);
    weir_client_groups_free(&groups);
    HOLDS(weir_client_group_reset(client, &shift, NULL) == WEIR_OK);
    HOLDS(info_of(group, &groups)->partitions[0].committed == 1);
    weir_client_groups_free(&groups);
}

/* A stream group made by its first join: what it owns, commits, the place after it. */
static void stream_road(void)
{
    weir_bytes group = WEIR_TEXT("road-readers");
    weir_bytes topic = WEIR_TEXT("road-stream");
    const weir_group_options options = {
        .model = WEIR_MODEL_STREAM, .topics = &topic, .topic_count = 1};
    const weir_topic_options plain = {.partitions = 1};
    weir_client_leased leased;
    weir_client_record record;
    weir_client_event event;
    weir_client_groups groups = {0};
    HOLDS(weir_client_topic_create(client, topic, &plain) == WEIR_OK);
    publish(topic, RECORDS);
    weir_client_joined joined = joined_to(group, &options);
    HOLDS(joined.model == WEIR_MODEL_STREAM);
    lease(joined.member, RECORDS, &leased);
    HOLDS(weir_client_lease_record(client, 0, &record) == WEIR_OK);
    HOLDS(record.offset == 0 && record.lease == 0 && record.member == joined.member);
    HOLDS(weir_client_next(client, WAIT_MS, &event) == WEIR_OK);
    HOLDS(event.kind == WEIR_CLIENT_ASSIGNED && event.member == joined.member);
    HOLDS(event.assigned.owned_count == 1 && !event.assigned.fenced);
    HOLDS(weir_bytes_equal(event.assigned.owned[0].topic, topic));
    HOLDS(weir_client_revoked(client, joined.member, event.assigned.generation) == WEIR_OK);
    HOLDS(weir_client_beat(client, joined.member) == WEIR_OK);
    const weir_position place = {.topic = topic, .offset = 3};
    HOLDS(weir_client_commit(client, joined.member, &place, 1, WEIR_TEXT("half way")) == WEIR_OK);
    weir_group_info *info = info_of(group, &groups);
    HOLDS(info->partitions[0].committed == 3 && info->partitions[0].owner == 0);
    HOLDS(weir_bytes_equal(info->partitions[0].metadata, WEIR_TEXT("half way")));
    HOLDS(info->partitions[0].lag == RECORDS - 3);
    weir_client_groups_free(&groups);
    const weir_position beyond = {.topic = topic, .offset = RECORDS + 5};
    HOLDS(weir_client_commit(client, joined.member, &beyond, 1, WEIR_BYTES_NULL) != WEIR_OK);
    HOLDS(weir_client_leave(client, joined.member, true) == WEIR_OK);
    reset_road(group);
    const weir_group_options change = {.session_ms = 5000};
    HOLDS(weir_client_group_alter(client, group, &change) == WEIR_OK);
    HOLDS(info_of(group, &groups)->options.session_ms == 5000);
    weir_client_groups_free(&groups);
    HOLDS(weir_client_group_delete(client, group, true) == WEIR_OK);
}

/* Records that come without being asked for, as far as the credit goes. */
static void pushed_road(void)
{
    weir_bytes topic = WEIR_TEXT("road-pushed");
    const weir_group_options options = {
        .model = WEIR_MODEL_QUEUE, .topics = &topic, .topic_count = 1};
    const weir_client_join join = {
        .group = WEIR_TEXT("road-pushed"), .options = &options, .credit = 2};
    const weir_topic_options plain = {.partitions = 1};
    weir_client_joined joined;
    weir_client_event event;
    HOLDS(weir_client_topic_create(client, topic, &plain) == WEIR_OK);
    weir_err err = weir_client_group_join(client, &join, &joined);
    if (err == WEIR_NOT_OFFERED) {
        return; /* nng pushes nothing */
    }
    HOLDS(err == WEIR_OK);
    publish(topic, 3);
    for (int i = 0; i < 3; i++) {
        if (i == 2) {
            HOLDS(weir_client_member_credit(client, joined.member, 1) == WEIR_OK);
        }
        HOLDS(weir_client_next(client, WAIT_MS, &event) == WEIR_OK);
        HOLDS(event.kind == WEIR_CLIENT_RECORD && event.record.offset == i);
        HOLDS(event.member == joined.member && event.record.lease != 0);
        settle_one(&event.record, WEIR_VERB_ACCEPT);
    }
    HOLDS(weir_client_leave(client, joined.member, true) == WEIR_OK);
}

/* Takes until `count` records came in runs; each of them is read, and the runs are settled together
 * in one frame. Every value is its offset, from `from` on. */
static void batches_settled(uint64_t member, int64_t from, int64_t count)
{
    int64_t next = from;
    while (next < from + count) {
        const weir_take take = {.records_max = (uint32_t)count, .wait_ms = WAIT_MS};
        weir_client_batches leased;
        weir_settle_range ranges[RECORDS];
        weir_settled settled;
        HOLDS(weir_client_lease_batches(client, member, &take, &leased) == WEIR_OK);
        HOLDS(leased.run_count > 0 && leased.run_count <= RECORDS && leased.lease_ms == 60000);
        for (uint32_t i = 0; i < leased.run_count; i++) {
            const weir_client_leased_run *run = &leased.runs[i];
            weir_client_record record;
            size_t position = 0;
            while (weir_client_run_next(client, run, &position, &record) == WEIR_OK) {
                char text[24];
                snprintf(text, sizeof(text), "%" PRId64, next);
                HOLDS(record.offset == next++ && record.lease == run->lease && record.lease != 0);
                HOLDS(weir_bytes_equal(record.value, weir_bytes_of(text)));
                HOLDS(weir_bytes_equal(record.name, WEIR_TEXT("road-batches/a/b")));
                HOLDS(record.header_count == 1 && record.epoch == leased.epoch);
                HOLDS(weir_bytes_equal(record.headers[0].value, WEIR_TEXT("yes")));
            }
            ranges[i] = (weir_settle_range){.topic = run->topic,
                                            .partition = run->partition,
                                            .first = run->first,
                                            .last = run->last,
                                            .lease = run->lease};
        }
        const weir_settle settle = {.verb = WEIR_VERB_ACCEPT,
                                    .ranges = ranges,
                                    .range_count = leased.run_count,
                                    .epoch = leased.epoch};
        HOLDS(weir_client_settle_ranges(client, member, &settle, &settled) == WEIR_OK);
        HOLDS(settled.records ==
              (uint64_t)(ranges[leased.run_count - 1].last - ranges[0].first + 1));
        HOLDS(weir_client_settle_ranges(client, member, &settle, &settled) == WEIR_LEASE_LOST);
        HOLDS(settled.records == 0 && settled.refused > 0);
    }
}

/* The same by frames: records that were sent one by one, and one batch of which only a part is taken
 * at first. */
static void batches_road(void)
{
    weir_bytes topic = WEIR_TEXT("road-batches");
    const weir_group_options options = {
        .model = WEIR_MODEL_QUEUE, .topics = &topic, .topic_count = 1, .lease_ms = 60000};
    const weir_topic_options plain = {.partitions = 1};
    const weir_header header = {WEIR_TEXT("checked"), WEIR_TEXT("yes")};
    HOLDS(weir_client_topic_create(client, topic, &plain) == WEIR_OK);
    for (int i = 0; i < RECORDS; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        const weir_publish record = {.topic = topic,
                                     .key = WEIR_TEXT("a/b"),
                                     .value = weir_bytes_of(text),
                                     .headers = &header,
                                     .header_count = 1};
        HOLDS(weir_client_send(client, &record, (uint64_t)i) == WEIR_OK);
    }
    HOLDS(weir_client_flush(client) == WEIR_OK);
    weir_client_joined joined = joined_to(topic, &options);
    batches_settled(joined.member, 0, 3);
    batches_settled(joined.member, 3, RECORDS - 3);
    const weir_take none = {.records_max = 1};
    weir_client_batches leased;
    HOLDS(weir_client_lease_batches(client, joined.member, &none, &leased) == WEIR_OK);
    HOLDS(leased.run_count == 0);
    HOLDS(weir_client_lease_batches(client, joined.member + 1, &none, &leased) == WEIR_NOT_FOUND);
    weir_client_groups groups = {0};
    HOLDS(info_of(topic, &groups)->fates[WEIR_FATE_ACCEPTED] == RECORDS);
    weir_client_groups_free(&groups);
    HOLDS(weir_client_leave(client, joined.member, true) == WEIR_OK);
}

/* The story of a record: told, or refused by a gateway that keeps none. */
static void why_road(void)
{
    weir_client_story story = {0};
    weir_err err = weir_client_why(client, WEIR_TEXT("road-stream"), 0, 0, WEIR_BYTES_NULL, &story);
    HOLDS(err == WEIR_OK || err == WEIR_NOT_OFFERED);
    weir_client_story_free(&story);
}

static int road(const char *url)
{
    weir_fault fault = {0};
    if (weir_client_open(url, NULL, &client, &fault) != WEIR_OK) {
        (void)fprintf(stderr, "%s\n", fault.text);
        return 1;
    }
    queue_road();
    stream_road();
    pushed_road();
    batches_road();
    why_road();
    weir_client_close(client);
    return 0;
}

/* ---- work -------------------------------------------------------------------------------------
 */

static void pause_briefly(void)
{
    const struct timespec time = {.tv_nsec = RETRY_MS * 1000000};
    (void)nanosleep(&time, NULL);
}

/* One lease, each of its records accepted on its own. */
static weir_err work_once(uint64_t member)
{
    const weir_take take = {.records_max = TAKE, .wait_ms = 100};
    weir_client_leased leased;
    weir_err err = weir_client_lease(client, member, &take, &leased);
    for (uint32_t i = 0; err == WEIR_OK && i < leased.record_count; i++) {
        weir_client_record record;
        weir_settled settled = {0};
        err = weir_client_lease_record(client, i, &record);
        int64_t offset = record.offset;
        err = err != WEIR_OK
                  ? err
                  : weir_client_settle_record(client, &record, WEIR_VERB_ACCEPT, &settled);
        if (err == WEIR_OK && settled.records == 1) {
            (void)printf("%" PRId64 "\n", offset);
            (void)fflush(stdout);
        }
        err = err == WEIR_LEASE_LOST ? WEIR_OK : err; /* another has it now */
    }
    return err;
}

_Noreturn static void work(const char *url, const char *group, const char *name)
{
    const weir_client_options options = {.name = "group_client", .timeout_ms = TIMEOUT_MS};
    const weir_client_join join = {.group = weir_bytes_of(group), .name = weir_bytes_of(name)};
    for (;;) {
        weir_client_joined joined;
        if (weir_client_open(url, &options, &client, NULL) != WEIR_OK) {
            pause_briefly();
            continue;
        }
        if (weir_client_group_join(client, &join, &joined) == WEIR_OK) {
            (void)puts("# joined");
            (void)fflush(stdout);
            while (work_once(joined.member) == WEIR_OK) {
            }
        }
        weir_client_close(client);
    }
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "road") == 0) {
        return road(argv[2]);
    }
    if (argc == 5 && strcmp(argv[1], "work") == 0) {
        work(argv[2], argv[3], argv[4]);
    }
    (void)fprintf(stderr, "usage: group_client road URL | work URL GROUP NAME\n");
    return 2;
}
