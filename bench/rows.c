/* bench/rows.c - the table itself. A row more is a line here.
 *
 * The windows are those the goals were set with: 100 unacknowledged per publisher; 1000 messages
 * under way, 2000 for fan-in, 200 and 50 for fan-out to 100 and 1000. */
#include "bench/rows.h"

#include <string.h>

#define PAYLOAD 128

#define ONE_TO_ONE(q, w, f)                                                                        \
    {                                                                                              \
        .version = 4, .qos = (q), .publishers = 1, .subscribers = 1, .payload_bytes = PAYLOAD,     \
        .window = (w), .in_flight = (f)                                                            \
    }
#define FAN_IN(q, n)                                                                               \
    {                                                                                              \
        .version = 4, .qos = (q), .publishers = (n), .subscribers = 1, .own_names = true,          \
        .payload_bytes = PAYLOAD, .window = 100, .in_flight = 2000                                 \
    }
#define FAN_OUT(n, f, web)                                                                         \
    {                                                                                              \
        .version = 4, .publishers = 1, .subscribers = (n), .payload_bytes = PAYLOAD,               \
        .in_flight = (f), .websocket = (web)                                                       \
    }
#define PACED(q, n, r, web)                                                                        \
    {                                                                                              \
        .version = 4, .qos = (q), .publishers = 1, .subscribers = (n), .payload_bytes = PAYLOAD,   \
        .rate_per_second = (r), .websocket = (web)                                                 \
    }

#define STREAM_OF(k)                                                                               \
    {                                                                                              \
        .kind = (k), .publishers = 1, .subscribers = 1, .payload_bytes = PAYLOAD                   \
    }
#define CATCH_UP(bytes, n)                                                                         \
    {                                                                                              \
        .kind = WEIR_BENCH_CATCH_UP, .publishers = 1, .subscribers = 1, .payload_bytes = (bytes),  \
        .messages = (n)                                                                            \
    }
#define CLIENT(k, f)                                                                               \
    {                                                                                              \
        .kind = (k), .publishers = 1, .subscribers = 1, .payload_bytes = PAYLOAD, .in_flight = (f) \
    }

/* RabbitMQ takes seconds to start and is far behind: it is in the rows whose goals name it. */
#define PEERS      "mosquitto", "mosquitto-nagle", "nats", "rabbitmq"
#define FAST_PEERS "mosquitto", "mosquitto-nagle", "nats"
#define WEB_PEERS  "mosquitto-ws", "nats", "rabbitmq"
#define NO_QUEUES  "queues are not there yet"
#define LACKS      "QoS 2 and kept sessions are not there yet"

static const weir_row rows[] = {
    {.name = "1",
     .title = "QoS 0, 1 to 1",
     .kind = WEIR_ROW_RATE,
     .work = ONE_TO_ONE(0, 0, 1000),
     .subjects = {"ceiling", PEERS, "weir", "weir-os"},
     .goal = 0.60,
     .void_peer = "nats",
     .void_ratio = 4},
    {.name = "2",
     .title = "QoS 1, 1 to 1, window 100, not synced",
     .kind = WEIR_ROW_RATE,
     .work = ONE_TO_ONE(1, 100, 1000),
     .subjects = {"ceiling", PEERS, "weir-os"},
     .goal = 0.50,
     .void_peer = "mosquitto",
     .void_ratio = 20},
    {.name = "3",
     .title = "QoS 1, 1 to 1, window 100, synced before PUBACK",
     .kind = WEIR_ROW_RATE,
     .work = ONE_TO_ONE(1, 100, 1000),
     .subjects = {"ceiling-sync", PEERS, "mosquitto-autosave1s", "weir-disk"},
     .goal = 0.60,
     .void_peer = "mosquitto",
     .void_ratio = 6},
    {.name = "3b",
     .title = "the same, window 1000",
     .kind = WEIR_ROW_RATE,
     .work = ONE_TO_ONE(1, 1000, 1000),
     .subjects = {"ceiling-sync", FAST_PEERS, "mosquitto-autosave1s", "weir-disk"},
     .goal = 0.60},
    {.name = "4",
     .title = "QoS 1, 100 publishers to 1, synced before PUBACK",
     .kind = WEIR_ROW_RATE,
     .work = FAN_IN(1, 100),
     .subjects = {"ceiling-sync", FAST_PEERS, "weir-disk", "weir-os"},
     .goal = 0.50},
    {.name = "5",
     .title = "QoS 2, 1 to 1, window 100, kept sessions",
     .kind = WEIR_ROW_RATE,
     .work = {.version = 4,
              .qos = 2,
              .publishers = 1,
              .subscribers = 1,
              .payload_bytes = PAYLOAD,
              .window = 100,
              .in_flight = 1000,
              .kept_sessions = true},
     .subjects = {"ceiling-append", "mosquitto", "mosquitto-nagle", "weir-os"},
     .goal = 0.40,
     .missing = LACKS},
    {.name = "6",
     .title = "QoS 0, 1 to 100",
     .kind = WEIR_ROW_RATE,
     .work = FAN_OUT(100, 200, false),
     .subjects = {"ceiling", PEERS, "weir", "weir-os"},
     .goal = 0.60},
    {.name = "7",
     .title = "QoS 0, 1 to 1000",
     .kind = WEIR_ROW_RATE,
     .work = FAN_OUT(1000, 50, false),
     .subjects = {"ceiling", PEERS, "weir", "weir-os"},
     .goal = 0.60},
    {.name = "8",
     .title = "latency at 5,000/s, QoS 0",
     .kind = WEIR_ROW_LATENCY,
     .work = PACED(0, 1, 5000, false),
     .subjects = {"ceiling", "ceiling-polling", FAST_PEERS, "weir", "weir-os"},
     .goal = 1.10,
     .goal_peer = "mosquitto",
     .goal_peer_ratio = 0.95},
    {.name = "8b",
     .title = "latency at 5,000/s, QoS 1",
     .kind = WEIR_ROW_LATENCY,
     .work = PACED(1, 1, 5000, false),
     .subjects = {"ceiling", "ceiling-polling", FAST_PEERS, "weir", "weir-os"},
     .goal = 1.10,
     .goal_peer = "mosquitto",
     .goal_peer_ratio = 0.95},
    {.name = "9",
     .title = "latency at 20,000/s, QoS 0",
     .kind = WEIR_ROW_LATENCY,
     .work = PACED(0, 1, 20000, false),
     .subjects = {"ceiling", "ceiling-polling", FAST_PEERS, "weir", "weir-os"},
     .goal = 1.10,
     .goal_peer = "mosquitto",
     .goal_peer_ratio = 1.0},
    {.name = "9b",
     .title = "latency at 20,000/s, QoS 1",
     .kind = WEIR_ROW_LATENCY,
     .work = PACED(1, 1, 20000, false),
     .subjects = {"ceiling", "ceiling-polling", FAST_PEERS, "weir", "weir-os"},
     .goal = 1.10,
     .goal_peer = "mosquitto",
     .goal_peer_ratio = 1.0},
    {.name = "10",
     .title = "latency at 5,000/s, QoS 2, kept sessions",
     .kind = WEIR_ROW_LATENCY,
     .work = {.version = 4,
              .qos = 2,
              .publishers = 1,
              .subscribers = 1,
              .payload_bytes = PAYLOAD,
              .rate_per_second = 5000,
              .kept_sessions = true},
     .subjects = {"ceiling-append", "mosquitto", "weir-os"},
     .goal = 1.20,
     .goal_peer = "mosquitto",
     .goal_peer_ratio = 0.7,
     .missing = LACKS},
    {.name = "10b",
     .title = "latency at 20,000/s, QoS 2, kept sessions",
     .kind = WEIR_ROW_LATENCY,
     .work = {.version = 4,
              .qos = 2,
              .publishers = 1,
              .subscribers = 1,
              .payload_bytes = PAYLOAD,
              .rate_per_second = 20000,
              .kept_sessions = true},
     .subjects = {"ceiling-append", "mosquitto", "weir-os"},
     .goal = 1.20,
     .goal_peer = "mosquitto",
     .goal_peer_ratio = 0.7,
     .missing = LACKS},
    {.name = "11",
     .title = "5000 connects, then idle",
     .kind = WEIR_ROW_CONNECT,
     .work = {.version = 4, .connections = 5000},
     .subjects = {"ceiling", "mosquitto", "nats", "rabbitmq", "weir"},
     .goal = 0.95},
    {.name = "12",
     .title = "log, asynchronous publish, not synced",
     .kind = WEIR_ROW_RATE,
     .work = STREAM_OF(WEIR_BENCH_STREAM),
     .subjects = {"limit-ingest", "redis-everysec", "jetstream", "rabbitmq-stream", "weir-os"},
     .goal = 0.20},
    {.name = "13",
     .title = "log, publish acknowledged after fdatasync",
     .kind = WEIR_ROW_RATE,
     .work = STREAM_OF(WEIR_BENCH_STREAM),
     .subjects = {"limit-ingest-sync", "redis-always", "rabbitmq-quorum", "weir-disk"},
     .goal = 0.30},
    {.name = "14",
     .title = "log, catch-up read, 128 B",
     .kind = WEIR_ROW_RATE,
     .work = CATCH_UP(PAYLOAD, 300000),
     .subjects = {"limit-sendfile", "redis-everysec", "jetstream", "rabbitmq-stream", "weir-os"},
     .goal = 0.60},
    {.name = "14b",
     .title = "log, catch-up read, 1 KiB",
     .kind = WEIR_ROW_RATE,
     .work = CATCH_UP(1024, 100000),
     .subjects = {"limit-sendfile", "redis-everysec", "jetstream", "weir-os"},
     .goal = 0.60},
    {.name = "15",
     .title = "log, one publish at a time, synced (jetstream: not synced)",
     .kind = WEIR_ROW_LATENCY,
     .work = STREAM_OF(WEIR_BENCH_SINGLE),
     .subjects = {"limit-synced", "redis-always", "jetstream", "rabbitmq-quorum", "weir-disk"},
     .goal = 1.10,
     .goal_peer = "redis-always",
     .goal_peer_ratio = 0.85},
    {.name = "16",
     .title = "queue, 4 competing consumers, ack each; ceiling: MQTT, QoS 1, 1 to 1",
     .kind = WEIR_ROW_RATE,
     .work = {.kind = WEIR_BENCH_QUEUE_DRAIN,
              .publishers = 1,
              .subscribers = 4,
              .payload_bytes = PAYLOAD,
              .messages = 200000},
     .ceiling_work = ONE_TO_ONE(1, 1000, 1000),
     .subjects = {"ceiling", "redis-everysec", "redis-always", "jetstream", "jetstream-pull",
                  "rabbitmq-classic", "rabbitmq-quorum", "weir-os", "weir-disk"},
     .goal_peer = "redis-everysec",
     .goal_peer_ratio = 3.6,
     .missing = NO_QUEUES},
    {.name = "17",
     .title = "queue, latency at 5,000/s, 4 consumers; ceiling: MQTT, QoS 1, 1 to 1",
     .kind = WEIR_ROW_LATENCY,
     .work = {.kind = WEIR_BENCH_QUEUE_PACED,
              .publishers = 1,
              .subscribers = 4,
              .payload_bytes = PAYLOAD,
              .rate_per_second = 5000},
     .ceiling_work = PACED(1, 1, 5000, false),
     .subjects = {"ceiling", "redis-everysec", "redis-always", "jetstream", "rabbitmq-classic",
                  "rabbitmq-quorum", "weir-os", "weir-disk"},
     .goal_peer = "redis-everysec",
     .goal_peer_ratio = 0.8,
     .missing = NO_QUEUES},
    {.name = "18",
     .title = "WebSocket, QoS 0, 1 to 100; ceiling over TCP",
     .kind = WEIR_ROW_RATE,
     .work = FAN_OUT(100, 200, true),
     .subjects = {"ceiling", WEB_PEERS, "weir"},
     .goal = 0.55},
    {.name = "18b",
     .title = "WebSocket, QoS 0, 1 to 1000; ceiling over TCP",
     .kind = WEIR_ROW_RATE,
     .work = FAN_OUT(1000, 50, true),
     .subjects = {"ceiling", "mosquitto-ws", "nats", "weir"},
     .goal = 0.55},
    {.name = "18c",
     .title = "WebSocket, one message to 100, 200/s; ceiling over TCP",
     .kind = WEIR_ROW_LATENCY,
     .work = PACED(0, 100, 200, true),
     .subjects = {"ceiling", "mosquitto-ws", "nats", "weir"},
     .goal = 1.10},
    {.name = "19",
     .title = "into an nng SUB client; ceiling: a raw socket",
     .kind = WEIR_ROW_RATE,
     .work = CLIENT(WEIR_BENCH_SUB, 4000),
     .subjects = {"nng-raw", "nng", "weir-nng"},
     .goal = 0.95},
    {.name = "19b",
     .title = "into an nng PULL client; ceiling: a raw socket",
     .kind = WEIR_ROW_RATE,
     .work = CLIENT(WEIR_BENCH_PULL, 4000),
     .subjects = {"nng-raw", "nng", "weir-nng"},
     .goal = 0.95},
    {.name = "19c",
     .title = "out of an nng PUSH client; ceiling: a raw socket",
     .kind = WEIR_ROW_RATE,
     .work = CLIENT(WEIR_BENCH_PUSH, 4000),
     .subjects = {"nng-raw", "nng", "weir-nng"},
     .goal = 0.95},
    {.name = "19d",
     .title = "nng REQ round trip, one at a time; ceiling: a raw socket",
     .kind = WEIR_ROW_LATENCY,
     .work = CLIENT(WEIR_BENCH_ROUND_TRIP, 4000),
     .subjects = {"nng-raw", "nng", "weir-nng"},
     .goal_peer = "nng",
     .goal_peer_ratio = 0.8},
    {.name = "19e",
     .title = "clients that batch by themselves, 1 to 1; ceiling: MQTT, QoS 0",
     .kind = WEIR_ROW_RATE,
     .work = CLIENT(WEIR_BENCH_LIBRARY, 8000),
     .ceiling_work = ONE_TO_ONE(0, 0, 1000),
     .subjects = {"ceiling", "zmq", "weir-os"},
     .goal_peer = "zmq",
     .goal_peer_ratio = 1.0},
    {.name = "20",
     .title = "CPU of QoS 0, 1 to 1 (row 1)",
     .kind = WEIR_ROW_CPU,
     .from = "1",
     .goal = 0.2,
     .goal_is_absolute = true},
    {.name = "20b",
     .title = "CPU of QoS 1, 1 to 1 (row 2)",
     .kind = WEIR_ROW_CPU,
     .from = "2",
     .goal = 0.7,
     .goal_is_absolute = true},
    {.name = "20c",
     .title = "CPU of QoS 1, 1 to 1, synced (row 3)",
     .kind = WEIR_ROW_CPU,
     .from = "3",
     .goal = 1.6,
     .goal_is_absolute = true},
    {.name = "20d",
     .title = "CPU of a log's asynchronous publish (row 12)",
     .kind = WEIR_ROW_CPU,
     .from = "12"},
    {.name = "21",
     .title = "device bytes of a synced stream (row 13)",
     .kind = WEIR_ROW_BYTES,
     .from = "13",
     .goal = 1.3,
     .goal_is_absolute = true},
    {.name = "21b",
     .title = "device bytes of one synced publish at a time (row 15): 4 KiB is 32",
     .kind = WEIR_ROW_BYTES,
     .from = "15",
     .goal = 32,
     .goal_is_absolute = true},
    /* The machine alone: what the rows above are bought with. */
    {.name = "L1",
     .title = "write and fdatasync of 4 KiB",
     .kind = WEIR_ROW_LATENCY,
     .work = {.kind = WEIR_BENCH_SINGLE, .publishers = 1, .payload_bytes = 4096},
     .subjects = {"limit-fdatasync"}},
    {.name = "L2",
     .title = "write and fdatasync of 64 KiB",
     .kind = WEIR_ROW_LATENCY,
     .work = {.kind = WEIR_BENCH_SINGLE, .publishers = 1, .payload_bytes = 65536},
     .subjects = {"limit-fdatasync"}},
    {.name = "L3",
     .title = "write and fdatasync of 1 MiB",
     .kind = WEIR_ROW_LATENCY,
     .work = {.kind = WEIR_BENCH_SINGLE, .publishers = 1, .payload_bytes = 1048576},
     .subjects = {"limit-fdatasync"}},
    {.name = "L4",
     .title = "sequential writes of 1 MiB",
     .kind = WEIR_ROW_RATE,
     .work = {.kind = WEIR_BENCH_STREAM, .publishers = 1, .payload_bytes = 1048576},
     .subjects = {"limit-write", "limit-write-direct"}},
    {.name = "L5",
     .title = "batched loopback TCP, 128 B",
     .kind = WEIR_ROW_RATE,
     .work = STREAM_OF(WEIR_BENCH_LIBRARY),
     .subjects = {"limit-tcp"}},
};

const weir_row *weir_rows_all(size_t *count)
{
    *count = sizeof(rows) / sizeof(rows[0]);
    return rows;
}

const weir_row *weir_row_named(const char *name)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].name, name) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

const weir_row *weir_row_source(const weir_row *row)
{
    return row->from != NULL ? weir_row_named(row->from) : row;
}

const weir_bench_workload *weir_row_work(const weir_row *row, bool ceiling)
{
    const weir_row *source = weir_row_source(row);
    return ceiling && source->ceiling_work.publishers > 0 ? &source->ceiling_work : &source->work;
}
