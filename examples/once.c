/* examples/once.c - what comes in is applied once, whatever is killed in between: the recipe called
 * effectively once, over a stream group and publishing ids.
 *
 *     cc once.c $(pkg-config --cflags --libs weir-client) -o once
 *     weir topic create orders --partitions 4
 *     weir topic create invoices --partitions 2
 *     ./once unix:./var/data/weir.sock billing orders invoices      # start several; kill any
 *
 * For each order it publishes an invoice, with the order's key, and commits:
 *
 *     lease orders 17..19 of partition 2 --> publish invoices for them --> commit 20
 *                                             producer "billing/orders/2", publishing ids 18, 19, 20
 *
 *     killed here                              .
 *     before the publish: 17..19 come again, to whoever has the partition next
 *     before the commit:  17..19 come again, their invoices are published again, and the gateway,
 *                         which keeps the last id of each producer beside the records, finds that it
 *                         has them and stores nothing
 *
 * So the group is at-least-once, and the doubles are taken out where they would be stored. It needs:
 *
 *     one producer name for each partition read, and not for each process: the next owner goes on
 *         with the same one, and so does one that was thought dead and comes back
 *     ids that rise with the input: the offset, plus one, since 0 is none
 *     an output that depends on the record alone, so that a second try is the same one
 *
 * What the recipe does not cover is anything outside the gateway. A database of one's own does the
 * same by keeping the offset in the transaction that applies the record. */
#include "weir/client.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TAKE = 50, WAIT_MS = 500, RETRY_MS = 20, NAME_MAX_BYTES = 640, PARTITIONS_MAX = 64 };

typedef struct worker {
    const char *url;
    const char *group;
    weir_bytes in;
    weir_bytes out;
    weir_client *client;
    uint64_t member;
    uint64_t published; /* invoices that are new */
    uint64_t repeated;  /* that were there already */
    weir_err failed;    /* of a publish */
} worker;

/* ---- Publishing ------------------------------------------------------------------------------ */

static void publish_done(void *arg, const weir_client_result *result)
{
    worker *own = arg;
    if (result->err != WEIR_OK) {
        own->failed = result->err;
        fprintf(stderr, "once: not published: %s\n", result->text);
    } else if (result->published.duplicate) {
        own->repeated++;
    } else {
        own->published++;
    }
}

static weir_err invoice(worker *own, const weir_client_record *order)
{
    char producer[NAME_MAX_BYTES];
    char value[NAME_MAX_BYTES];
    snprintf(producer, sizeof(producer), "%s/%.*s/%" PRIu32, own->group, (int)own->in.len,
             (const char *)own->in.ptr, order->partition);
    snprintf(value, sizeof(value), "invoice for %.*s", (int)order->value.len,
             order->value.ptr == NULL ? "" : (const char *)order->value.ptr);
    const weir_publish record = {.topic = own->out,
                                 .key = order->key.ptr != NULL ? order->key : WEIR_TEXT("none"),
                                 .value = weir_bytes_of(value),
                                 .producer = weir_bytes_of(producer),
                                 .publishing_id = (uint64_t)order->offset + 1};
    return weir_client_send(own->client, &record, 0);
}

/* ---- One lease ------------------------------------------------------------------------------- */

/* How far each partition of the lease goes: what is committed when all is published. */
static void position_note(weir_position *positions, uint32_t *count, weir_bytes topic,
                          const weir_client_record *record)
{
    uint32_t i = 0;
    while (i < *count && positions[i].partition != record->partition) {
        i++;
    }
    positions[i] = (weir_position){topic, record->partition, record->offset + 1};
    *count += i == *count ? 1 : 0;
}

/* Publish everything, wait until it is stored, and only then commit. */
static weir_err work_once(worker *own)
{
    weir_position positions[PARTITIONS_MAX];
    weir_client_leased leased;
    uint32_t count = 0;
    const weir_take take = {.records_max = TAKE, .wait_ms = WAIT_MS};
    weir_err err = weir_client_lease(own->client, own->member, &take, &leased);
    for (uint32_t i = 0; err == WEIR_OK && i < leased.record_count; i++) {
        weir_client_record order;
        err = weir_client_lease_record(own->client, i, &order);
        if (err == WEIR_OK) {
            position_note(positions, &count, own->in, &order);
            err = invoice(own, &order);
        }
    }
    if (err != WEIR_OK || count == 0) {
        return err;
    }
    err = weir_client_flush(own->client);
    err = err == WEIR_OK ? own->failed : err;
    err = err == WEIR_OK
              ? weir_client_commit(own->client, own->member, positions, count, WEIR_BYTES_NULL)
              : err;
    /* The partition is another member's by now: it does these again, and nothing is stored twice. */
    return err == WEIR_LEASE_LOST ? WEIR_OK : err;
}

/* What it owns comes as events; nothing has to be done about them, since it gives up at once what
 * is asked back (auto_revoke). LEASE_LOST: it is out. */
static weir_err events_pass(worker *own)
{
    weir_client_event event;
    weir_err err;
    while ((err = weir_client_next(own->client, 0, &event)) == WEIR_OK) {
        if (event.kind == WEIR_CLIENT_ASSIGNED && event.assigned.fenced) {
            return WEIR_LEASE_LOST;
        }
    }
    return err == WEIR_TIMEOUT ? WEIR_OK : err;
}

static void tell(worker *own)
{
    if (own->published + own->repeated > 0) {
        printf("%" PRIu64 " invoices, %" PRIu64 " more were there already\n", own->published,
               own->repeated);
        fflush(stdout);
        own->published = own->repeated = 0;
    }
}

/* ---- Its life -------------------------------------------------------------------------------- */

/* Until something breaks, or the gateway goes. */
static weir_err live(worker *own)
{
    const weir_group_options options = {
        .model = WEIR_MODEL_STREAM, .topics = &own->in, .topic_count = 1};
    const weir_client_join join = {
        .group = weir_bytes_of(own->group), .options = &options, .auto_revoke = true};
    weir_client_joined joined;
    weir_err err = weir_client_group_join(own->client, &join, &joined);
    own->member = joined.member;
    own->failed = WEIR_OK;
    weir_client_on_result(own->client, publish_done, own);
    while (err == WEIR_OK) {
        err = work_once(own);
        tell(own);
        err = err == WEIR_OK ? events_pass(own) : err;
    }
    return err;
}

/* The gateway is gone, or thinks that we are: everything else is for a person to look at. */
static bool passes(weir_err err)
{
    return err == WEIR_CLOSED || err == WEIR_LEASE_LOST || err == WEIR_TIMEOUT;
}

int main(int argc, char **argv)
{
    const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000};
    weir_err err = WEIR_CLOSED;
    if (argc != 5) {
        fprintf(stderr, "usage: once URL GROUP ORDERS INVOICES\n");
        return 2;
    }
    worker own = {.url = argv[1],
                  .group = argv[2],
                  .in = weir_bytes_of(argv[3]),
                  .out = weir_bytes_of(argv[4])};
    do {
        weir_fault fault = {0};
        if (weir_client_open(own.url, NULL, &own.client, &fault) != WEIR_OK) {
            nanosleep(&pause, NULL); /* it is not there yet, or not any more */
            continue;
        }
        err = live(&own);
        if (!passes(err)) {
            fprintf(stderr, "once: %s\n", weir_client_error(own.client));
        }
        weir_client_close(own.client);
    } while (passes(err));
    return 1;
}
