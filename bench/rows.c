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

#define PEERS     "mosquitto", "mosquitto-nagle", "nats", "rabbitmq"
#define WEB_PEERS "mosquitto-ws", "nats", "rabbitmq"
#define LACKS     "QoS 2 and kept sessions"

static const weir_row rows[] = {
    {"1",
     "QoS 0, 1 to 1",
     WEIR_ROW_RATE,
     ONE_TO_ONE(0, 0, 1000),
     {"ceiling", PEERS, "weir", "weir-os"},
     0.60,
     NULL,
     "nats",
     4},
    {"2",
     "QoS 1, 1 to 1, window 100, not synced",
     WEIR_ROW_RATE,
     ONE_TO_ONE(1, 100, 1000),
     {"ceiling", PEERS, "weir-os"},
     0.50,
     NULL,
     "mosquitto",
     20},
    {"3",
     "QoS 1, 1 to 1, window 100, synced before PUBACK",
     WEIR_ROW_RATE,
     ONE_TO_ONE(1, 100, 1000),
     {"ceiling-sync", PEERS, "mosquitto-autosave1s", "weir-disk"},
     0.60,
     NULL,
     "mosquitto",
     6},
    {"3b",
     "the same, window 1000",
     WEIR_ROW_RATE,
     ONE_TO_ONE(1, 1000, 1000),
     {"ceiling-sync", PEERS, "mosquitto-autosave1s", "weir-disk"},
     0.60,
     NULL,
     NULL,
     0},
    {"4",
     "QoS 1, 100 publishers to 1, synced before PUBACK",
     WEIR_ROW_RATE,
     FAN_IN(1, 100),
     {"ceiling-sync", PEERS, "weir-disk", "weir-os"},
     0.50,
     NULL,
     NULL,
     0},
    {"5",
     "QoS 2, 1 to 1, window 100, kept sessions",
     WEIR_ROW_RATE,
     {.version = 4,
      .qos = 2,
      .publishers = 1,
      .subscribers = 1,
      .payload_bytes = PAYLOAD,
      .window = 100,
      .in_flight = 1000,
      .kept_sessions = true},
     {"ceiling-append", "mosquitto", "mosquitto-nagle", "rabbitmq", "weir-os"},
     0.40,
     LACKS,
     NULL,
     0},
    {"6",
     "QoS 0, 1 to 100",
     WEIR_ROW_RATE,
     FAN_OUT(100, 200, false),
     {"ceiling", PEERS, "weir", "weir-os"},
     0.60,
     NULL,
     NULL,
     0},
    {"7",
     "QoS 0, 1 to 1000",
     WEIR_ROW_RATE,
     FAN_OUT(1000, 50, false),
     {"ceiling", PEERS, "weir", "weir-os"},
     0.60,
     NULL,
     NULL,
     0},
    {"8",
     "latency at 5,000/s, QoS 0",
     WEIR_ROW_LATENCY,
     PACED(0, 1, 5000, false),
     {"ceiling", "ceiling-polling", PEERS, "weir", "weir-os"},
     1.10,
     NULL,
     NULL,
     0},
    {"8b",
     "latency at 5,000/s, QoS 1",
     WEIR_ROW_LATENCY,
     PACED(1, 1, 5000, false),
     {"ceiling", "ceiling-polling", PEERS, "weir", "weir-os"},
     1.10,
     NULL,
     NULL,
     0},
    {"9",
     "latency at 20,000/s, QoS 0",
     WEIR_ROW_LATENCY,
     PACED(0, 1, 20000, false),
     {"ceiling", "ceiling-polling", PEERS, "weir", "weir-os"},
     1.10,
     NULL,
     NULL,
     0},
    {"9b",
     "latency at 20,000/s, QoS 1",
     WEIR_ROW_LATENCY,
     PACED(1, 1, 20000, false),
     {"ceiling", "ceiling-polling", PEERS, "weir", "weir-os"},
     1.10,
     NULL,
     NULL,
     0},
    {"10",
     "latency at 5,000/s, QoS 2, kept sessions",
     WEIR_ROW_LATENCY,
     {.version = 4,
      .qos = 2,
      .publishers = 1,
      .subscribers = 1,
      .payload_bytes = PAYLOAD,
      .rate_per_second = 5000,
      .kept_sessions = true},
     {"ceiling-append", "mosquitto", "rabbitmq", "weir-os"},
     1.20,
     LACKS,
     NULL,
     0},
    {"10b",
     "latency at 20,000/s, QoS 2, kept sessions",
     WEIR_ROW_LATENCY,
     {.version = 4,
      .qos = 2,
      .publishers = 1,
      .subscribers = 1,
      .payload_bytes = PAYLOAD,
      .rate_per_second = 20000,
      .kept_sessions = true},
     {"ceiling-append", "mosquitto", "rabbitmq", "weir-os"},
     1.20,
     LACKS,
     NULL,
     0},
    {"11",
     "5000 connects, then idle",
     WEIR_ROW_CONNECT,
     {.version = 4, .connections = 5000},
     {"ceiling", "mosquitto", "nats", "rabbitmq", "weir"},
     0.95,
     NULL,
     NULL,
     0},
    {"18",
     "WebSocket, QoS 0, 1 to 100; ceiling over TCP",
     WEIR_ROW_RATE,
     FAN_OUT(100, 200, true),
     {"ceiling", WEB_PEERS, "weir"},
     0.55,
     NULL,
     NULL,
     0},
    {"18b",
     "WebSocket, QoS 0, 1 to 1000; ceiling over TCP",
     WEIR_ROW_RATE,
     FAN_OUT(1000, 50, true),
     {"ceiling", WEB_PEERS, "weir"},
     0.55,
     NULL,
     NULL,
     0},
    {"18c",
     "WebSocket, one message to 100, 200/s; ceiling over TCP",
     WEIR_ROW_LATENCY,
     PACED(0, 100, 200, true),
     {"ceiling", WEB_PEERS, "weir"},
     1.10,
     NULL,
     NULL,
     0},
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
