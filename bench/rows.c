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

#define QOS_2(w, f, r)                                                                             \
    {                                                                                              \
        .version = 4, .qos = 2, .publishers = 1, .subscribers = 1, .payload_bytes = PAYLOAD,       \
        .window = (w), .in_flight = (f), .rate_per_second = (r), .kept_sessions = true             \
    }

#define PEERS     "mosquitto", "mosquitto-nagle", "nats", "rabbitmq"
#define WEB_PEERS "mosquitto-ws", "nats", "rabbitmq"
#define LACKS     "QoS 2 and kept sessions are not there yet"

/* Rows that differ in rate, QoS or size alone. */
#define LATENCY_ROW(n, t, q, r, of_mosquitto)                                                      \
    {                                                                                              \
        .name = (n), .title = (t), .kind = WEIR_ROW_LATENCY, .work = PACED(q, 1, r, false),        \
        .subjects = {"ceiling", "ceiling-polling", PEERS, "weir", "weir-os"}, .goal = 1.10,        \
        .goal_peer = "mosquitto", .goal_peer_ratio = (of_mosquitto)                                \
    }
#define QOS_2_LATENCY_ROW(n, t, r)                                                                 \
    {                                                                                              \
        .name = (n), .title = (t), .kind = WEIR_ROW_LATENCY, .work = QOS_2(0, 0, r),               \
        .subjects = {"ceiling-append", "mosquitto", "weir-os"}, .goal = 1.20,                      \
        .goal_peer = "mosquitto", .goal_peer_ratio = 0.7, .missing = LACKS                         \
    }
#define CLIENT_ROW(n, t, k)                                                                        \
    {                                                                                              \
        .name = (n), .title = (t), .kind = WEIR_ROW_RATE, .work = CLIENT(k, 4000),                 \
        .subjects = {"nng-raw", "nng", "weir-nng"}, .goal = 0.95                                   \
    }
#define CPU_ROW(n, t, source, most)                                                                \
    {                                                                                              \
        .name = (n), .title = (t), .kind = WEIR_ROW_CPU, .from = (source), .goal = (most),         \
        .goal_is_absolute = true                                                                   \
    }
#define SYNC_ROW(n, t, bytes)                                                                      \
    {                                                                                              \
        .name = (n), .title = (t), .kind = WEIR_ROW_LATENCY,                                       \
        .work = {.kind = WEIR_BENCH_SINGLE, .publishers = 1, .payload_bytes = (bytes)},            \
        .subjects = {                                                                              \
            "limit-fdatasync"                                                                      \
        }                                                                                          \
    }

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
     .subjects = {"ceiling-sync", PEERS, "mosquitto-autosave1s", "weir-disk"},
     .goal = 0.60},
    {.name = "4",
     .title = "QoS 1, 100 publishers to 1, synced before PUBACK",
     .kind = WEIR_ROW_RATE,
     .work = FAN_IN(1, 100),
     .subjects = {"ceiling-sync", PEERS, "weir-disk", "weir-os"},
     .goal = 0.50},
    {.name = "5",
     .title = "QoS 2, 1 to 1, window 100, kept sessions",
     .kind = WEIR_ROW_RATE,
     .work = QOS_2(100, 1000, 0),
     .subjects = {"ceiling-append", "mosquitto", "mosquitto-nagle", "weir-os", "weir-disk"},
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
    LATENCY_ROW("8", "latency at 5,000/s, QoS 0", 0, 5000, 0.95),
    LATENCY_ROW("8b", "latency at 5,000/s, QoS 1", 1, 5000, 0.95),
    LATENCY_ROW("9", "latency at 20,000/s, QoS 0", 0, 20000, 1.0),
    LATENCY_ROW("9b", "latency at 20,000/s, QoS 1", 1, 20000, 1.0),
    QOS_2_LATENCY_ROW("10", "latency at 5,000/s, QoS 2, kept sessions", 5000),
    QOS_2_LATENCY_ROW("10b", "latency at 20,000/s, QoS 2, kept sessions", 20000),
    {.name = "11",
     .title = "5000 connects, then idle",
     .kind = WEIR_ROW_CONNECT,
     .work = {.version = 4, .connections = 5000},
     .subjects = {"ceiling", "mosquitto", "nats", "rabbitmq", "weir"},
     .goal = 0.95},
    {.name = "11c",
     .title = "5000 connects over WebSocket, then idle; ceiling over TCP",
     .kind = WEIR_ROW_CONNECT,
     .work = {.version = 4, .connections = 5000, .websocket = true},
     .subjects = {"ceiling", WEB_PEERS, "weir"}},
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
     .subjects = {"limit-ingest-sync", "redis-always", "rabbitmq-classic", "rabbitmq-quorum",
                  "weir-disk"},
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
     .goal_peer_ratio = 3.6},
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
     .goal_peer_ratio = 0.8},
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
     .subjects = {"ceiling", WEB_PEERS, "weir"},
     .goal = 0.55},
    {.name = "18c",
     .title = "WebSocket, one message to 100, 200/s; ceiling over TCP",
     .kind = WEIR_ROW_LATENCY,
     .work = PACED(0, 100, 200, true),
     .subjects = {"ceiling", WEB_PEERS, "weir"},
     .goal = 1.10},
    CLIENT_ROW("19", "into an nng SUB client; ceiling: a raw socket", WEIR_BENCH_SUB),
    CLIENT_ROW("19b", "into an nng PULL client; ceiling: a raw socket", WEIR_BENCH_PULL),
    CLIENT_ROW("19c", "out of an nng PUSH client; ceiling: a raw socket", WEIR_BENCH_PUSH),
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
    CPU_ROW("20", "CPU of QoS 0, 1 to 1 (row 1)", "1", 0.2),
    CPU_ROW("20b", "CPU of QoS 1, 1 to 1 (row 2)", "2", 0.7),
    CPU_ROW("20c", "CPU of QoS 1, 1 to 1, synced (row 3)", "3", 1.6),
    CPU_ROW("20d", "CPU of a log's asynchronous publish (row 12)", "12", 0),
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
    SYNC_ROW("L1", "write and fdatasync of 4 KiB", 4096),
    SYNC_ROW("L2", "write and fdatasync of 64 KiB", 65536),
    SYNC_ROW("L3", "write and fdatasync of 1 MiB", 1048576),
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
