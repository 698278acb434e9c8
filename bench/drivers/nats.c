/* bench/drivers/nats.c - JetStream through libnats: asynchronous publish, ordered reads, consumers.
 *
 *   log:    js_PublishAsync, 4000 pending; an ordered push consumer from the first message
 *   one:    js_Publish, SendAsap
 *   queue:  explicit ack of each, MaxAckPending 20000; mode "pull": 4 pull consumers of one durable
 *           that fetch 256, else a push group of 4. Latency is always a push group's, SendAsap
 *
 * Each consumer has a connection. libnats calls back on threads of its own: acknowledgements count
 * with atomics; the one reader's account has a mutex, for a pass that ends while a message comes.
 *
 * [N1] After a pass has ended its callback counts nothing more. */
#include "bench/drivers/broker.h"

#include <nats/nats.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PENDING_MAX = 4000,
    FETCH_COUNT = 256,
    /* Long: what comes after a fetch has timed out is put into the next one's list, for which libnats
     * 3.4 then has no room. */
    FETCH_MS = 2000,
    ACK_PENDING_MAX = 20000,
    STALL_MS = 10000,
    COMPLETE_MS = 20000,
    LOOK_MS = 50,
};

#define STREAM  "bench"
#define SUBJECT "bench.0"
#define DURABLE "workers"

typedef struct link {
    natsConnection *connection;
    jsCtx *js;
} link;

typedef struct reader {
    weir_drive *own;
    pthread_mutex_t mutex;
    bool active; /* [N1] */
    bool timed;
} reader;

static link publisher; /* and the one reader's */
static _Atomic uint64_t acked;

static bool check(weir_drive *own, natsStatus status, const char *what)
{
    return status == NATS_OK || weir_drive_fail(own, WEIR_PROTOCOL, "JetStream, %s: %s", what,
                                                natsStatus_GetText(status));
}

static void on_acked(jsCtx *js, natsMsg *message, jsPubAck *ack, jsPubAckErr *error, void *closure)
{
    weir_drive *own = closure;
    (void)js;
    (void)ack;
    if (error != NULL) {
        (void)weir_drive_fail(own, WEIR_PROTOCOL, "JetStream refused a publish: %.80s",
                              error->ErrText != NULL ? error->ErrText : "?");
    }
    atomic_fetch_add(&acked, 1);
    if (own->work->kind == WEIR_BENCH_STREAM) {
        weir_drive_done(own, 1);
    }
    natsMsg_Destroy(message);
}

static bool link_open(weir_drive *own, link *to, bool at_once)
{
    char url[64];
    natsOptions *options = NULL;
    jsOptions js;
    bool good;
    snprintf(url, sizeof(url), "nats://127.0.0.1:%u", own->target.port);
    jsOptions_Init(&js);
    js.PublishAsync.MaxPending = PENDING_MAX;
    js.PublishAsync.AckHandler = on_acked;
    js.PublishAsync.AckHandlerClosure = own;
    js.PublishAsync.StallWait = STALL_MS;
    good = check(own, natsOptions_Create(&options), "options") &&
           check(own, natsOptions_SetURL(options, url), "address") &&
           check(own, natsOptions_SetSendAsap(options, at_once), "SendAsap") &&
           check(own, natsConnection_Connect(&to->connection, options), "connect") &&
           check(own, natsConnection_JetStream(&to->js, to->connection, &js), "context");
    natsOptions_Destroy(options);
    return good;
}

static bool stream_open(weir_drive *own)
{
    const char *subjects[] = {SUBJECT};
    jsStreamConfig config;
    jsErrCode code = 0;
    bool at_once =
        own->work->kind == WEIR_BENCH_SINGLE || own->work->kind == WEIR_BENCH_QUEUE_PACED;
    jsStreamConfig_Init(&config);
    config.Name = STREAM;
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.Storage = js_FileStorage;
    return link_open(own, &publisher, at_once) &&
           check(own, js_AddStream(NULL, publisher.js, &config, NULL, &code), "add stream");
}

static bool publish(weir_drive *own, uint64_t intended_ns)
{
    weir_drive_next(own, intended_ns);
    return check(
        own,
        js_PublishAsync(publisher.js, SUBJECT, own->payload, (int)own->work->payload_bytes, NULL),
        "publish");
}

static bool publish_one(weir_drive *own, uint64_t intended_ns)
{
    jsErrCode code = 0;
    weir_drive_next(own, intended_ns);
    if (!check(own,
               js_Publish(NULL, publisher.js, SUBJECT, own->payload, (int)own->work->payload_bytes,
                          NULL, &code),
               "publish")) {
        return false;
    }
    own->result->acked++;
    return true;
}

static bool complete(weir_drive *own)
{
    jsPubOptions options;
    bool good;
    jsPubOptions_Init(&options);
    options.MaxWait = COMPLETE_MS;
    good = check(own, js_PublishAsyncComplete(publisher.js, &options), "acknowledgements");
    own->result->acked += atomic_exchange(&acked, 0);
    return good;
}

/* ---- The log -----------------------------------------------------------------------------------
 */

static void on_read(natsConnection *connection, natsSubscription *subscription, natsMsg *message,
                    void *closure)
{
    reader *to = closure;
    (void)connection;
    (void)subscription;
    pthread_mutex_lock(&to->mutex);
    if (to->active) {
        (void)weir_drive_read(to->own, natsMsg_GetData(message),
                              (size_t)natsMsg_GetDataLength(message));
        if (to->timed) {
            weir_drive_done(to->own, 1);
        }
    }
    pthread_mutex_unlock(&to->mutex);
    natsMsg_Destroy(message);
}

static uint64_t read_count(reader *to)
{
    uint64_t count;
    pthread_mutex_lock(&to->mutex);
    count = to->own->account.expected - weir_account_missing(&to->own->account);
    pthread_mutex_unlock(&to->mutex);
    return count;
}

/* One pass from the first message; ends early when the measured time does and `timed`, or when
 * nothing comes any more. */
static bool read_pass(weir_drive *own, bool timed, bool *whole)
{
    /* A callback of an earlier pass may still be under way: a pass leaves its reader behind. */
    reader *pass = calloc(1, sizeof(*pass));
    natsSubscription *subscription = NULL;
    jsSubOptions options;
    jsErrCode code = 0;
    uint64_t before = 0;
    uint64_t quiet_since_ns = weir_now_ns();
    if (pass == NULL) {
        return weir_drive_fail(own, WEIR_NO_MEMORY, "no memory to read");
    }
    *pass = (reader){.own = own, .active = true, .timed = timed};
    pthread_mutex_init(&pass->mutex, NULL);
    jsSubOptions_Init(&options);
    options.Ordered = true;
    if (!check(own,
               js_Subscribe(&subscription, publisher.js, SUBJECT, on_read, pass, NULL, &options,
                            &code),
               "subscribe")) {
        free(pass);
        return false;
    }
    (void)natsSubscription_SetPendingLimits(subscription, -1, -1);
    *whole = false;
    while (!*whole && (!timed || weir_drive_goes_on(own))) {
        const struct timespec rest = {0, 1000000};
        uint64_t count = read_count(pass);
        uint64_t now_ns = weir_now_ns();
        quiet_since_ns = count != before ? now_ns : quiet_since_ns;
        before = count;
        *whole = count >= own->sequence;
        if (now_ns > quiet_since_ns + (uint64_t)WEIR_DRIVE_QUIET_MS * 1000000) {
            *whole = true; /* what has not come is lost */
        }
        nanosleep(&rest, NULL);
    }
    pthread_mutex_lock(&pass->mutex);
    pass->active = false;
    pthread_mutex_unlock(&pass->mutex);
    (void)natsSubscription_Unsubscribe(subscription);
    return true;
}

/* ---- The queue ---------------------------------------------------------------------------------
 */

static bool pulls(const weir_drive *own)
{
    return own->work->kind == WEIR_BENCH_QUEUE_DRAIN && strcmp(own->target.mode, "pull") == 0;
}

static bool prepare(weir_drive *own)
{
    jsConsumerConfig config;
    jsErrCode code = 0;
    jsConsumerConfig_Init(&config);
    config.Durable = DURABLE;
    config.AckPolicy = js_AckExplicit;
    config.DeliverPolicy = js_DeliverAll;
    config.MaxAckPending = ACK_PENDING_MAX;
    if (!pulls(own)) {
        config.DeliverSubject = "deliver";
        config.DeliverGroup = DURABLE;
    }
    return check(own, js_AddConsumer(NULL, publisher.js, STREAM, &config, NULL, &code),
                 "add consumer");
}

static void message_take(weir_drive_consumer *consumer, natsMsg *message, uint64_t now_ns)
{
    weir_drive_take(consumer, natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message),
                    now_ns);
    (void)check(consumer->own, natsMsg_Ack(message, NULL), "ack");
    weir_drive_done(consumer->own, 1);
    natsMsg_Destroy(message);
}

static void on_delivered(natsConnection *connection, natsSubscription *subscription,
                         natsMsg *message, void *closure)
{
    (void)connection;
    (void)subscription;
    message_take(closure, message, weir_now_ns());
}

static void pull(weir_drive_consumer *consumer, natsSubscription *subscription)
{
    weir_drive *own = consumer->own;
    while (!atomic_load(&own->stopping)) {
        natsMsgList list = {0};
        jsErrCode code = 0;
        natsStatus status =
            natsSubscription_Fetch(&list, subscription, FETCH_COUNT, FETCH_MS, &code);
        uint64_t now_ns = weir_now_ns();
        if (status != NATS_TIMEOUT && !check(own, status, "fetch")) {
            break;
        }
        for (int i = 0; i < list.Count; i++) {
            message_take(consumer, list.Msgs[i], now_ns);
            list.Msgs[i] = NULL;
        }
        natsMsgList_Destroy(&list);
    }
}

static void *consumer_body(void *arg)
{
    weir_drive_consumer *consumer = arg;
    weir_drive *own = consumer->own;
    link to = {0};
    natsSubscription *subscription = NULL;
    jsSubOptions options;
    jsErrCode code = 0;
    jsSubOptions_Init(&options);
    options.Stream = STREAM;
    options.Consumer = DURABLE;
    options.ManualAck = true;
    if (!link_open(own, &to, own->work->kind == WEIR_BENCH_QUEUE_PACED)) {
        return NULL;
    }
    if (pulls(own)) {
        if (check(own,
                  js_PullSubscribe(&subscription, to.js, SUBJECT, DURABLE, NULL, &options, &code),
                  "pull")) {
            pull(consumer, subscription);
        }
        return NULL;
    }
    options.Queue = DURABLE;
    if (check(own,
              js_Subscribe(&subscription, to.js, SUBJECT, on_delivered, consumer, NULL, &options,
                           &code),
              "push group")) {
        (void)natsSubscription_SetPendingLimits(subscription, -1, -1);
        while (!atomic_load(&own->stopping)) {
            const struct timespec rest = {0, LOOK_MS * 1000000};
            nanosleep(&rest, NULL);
        }
    }
    return NULL;
}

void weir_drive_library(char *text, size_t size)
{
    snprintf(text, size, "libnats %s", nats_GetVersion());
}

void weir_drive_work(weir_drive *own)
{
    static const weir_broker jetstream = {.name = "JetStream",
                                          .open = stream_open,
                                          .publish = publish,
                                          .publish_now = publish, /* SendAsap */
                                          .publish_one = publish_one,
                                          .complete = complete,
                                          .read_pass = read_pass,
                                          .prepare = prepare,
                                          .consumer = consumer_body};
    weir_broker_drive(own, &jetstream);
}
