/* include/weir/limits.h - every limit, once. docs/limits.md is made from this table.
 *
 * X(name, default, unit, least, most, metric, meaning, MQTT's answer, weir.v1's answer) */
#ifndef WEIR_LIMITS_H
#define WEIR_LIMITS_H

#include <stdint.h>

#define WEIR_LIMITS_LIST(X)                                                                        \
    X(record_bytes_max, 1048576, "bytes", 1024, 16777216, "weir_refused_record_bytes_total",       \
      "Key, value and headers of one record together.", "PUBACK 0x97 (5.0); close (3.1.1)",        \
      "error too-large")                                                                           \
    X(packet_bytes_max, 1114112, "bytes", 2048, 33554432, "weir_refused_packet_bytes_total",       \
      "One MQTT packet, or one weir.v1 message or frame.", "DISCONNECT 0x95 (5.0); close (3.1.1)", \
      "error too-large, then close")                                                               \
    X(connect_bytes_max, 65536, "bytes", 128, 1048576, "weir_refused_connect_bytes_total",         \
      "What a connection may send before its CONNECT or hello is accepted.", "close",              \
      "error too-large, then close")                                                               \
    X(connect_ms_max, 10000, "milliseconds", 100, 600000, "weir_refused_connect_slow_total",       \
      "Time from accept to a complete CONNECT or hello.", "close", "error timeout, then close")    \
    X(connections_max, 10000, "connections", 1, 1000000, "weir_refused_connections_total",         \
      "Open connections of one front end.", "CONNACK 0x97, or close", "error limit, then close")   \
    X(client_id_bytes_max, 256, "bytes", 23, 65535, "weir_refused_client_id_total",                \
      "Length of an MQTT client identifier.", "CONNACK 0x85 (5.0), 2 (3.1.1)", "-")                \
    X(name_bytes_max, 1024, "bytes", 249, 1024, "weir_refused_name_total",                         \
      "Length of a full name or a filter.", "PUBACK/SUBACK 0x90, 0x8F (5.0); close, 0x80 (3.1.1)", \
      "error name-invalid")                                                                        \
    X(levels_max, 128, "levels", 8, 128, "weir_refused_levels_total",                              \
      "Levels of a name or a filter.", "PUBACK/SUBACK 0x90, 0x8F (5.0); close, 0x80 (3.1.1)",      \
      "error name-invalid")                                                                        \
    X(subscriptions_max, 1000, "filters", 1, 100000, "weir_refused_subscriptions_total",           \
      "Filters one session holds.", "SUBACK 0x97 (5.0), 0x80 (3.1.1)", "error limit")              \
    X(filters_per_packet_max, 100, "filters", 1, 1000, "weir_refused_filters_total",               \
      "Filters in one SUBSCRIBE or UNSUBSCRIBE.", "DISCONNECT 0x97 (5.0); close (3.1.1)", "-")     \
    X(headers_max, 64, "headers", 1, 1000, "weir_refused_headers_total",                           \
      "Headers of a record, or user properties of a packet.", "DISCONNECT 0x97 (5.0)",             \
      "error limit")                                                                               \
    X(in_flight_max, 1024, "messages", 1, 65535, "weir_paused_in_flight_total",                    \
      "Unacknowledged messages per connection, each way.",                                         \
      "Receive Maximum; reading stops until acknowledgements leave", "reading stops")              \
    X(topic_alias_max, 64, "aliases", 1, 65535, "weir_refused_topic_alias_total",                  \
      "Topic aliases of one MQTT 5.0 connection.", "DISCONNECT 0x94", "-")                         \
    X(owed_runs_max, 4096, "runs", 16, 1000000, "weir_dropped_owed_total",                         \
      "Runs of records waiting for one slow subscriber; the oldest go first.", "dropped, counted", \
      "notice dropped")                                                                            \
    X(output_bytes_max, 1048576, "bytes", 16384, 67108864, "weir_paused_output_total",             \
      "Bytes waiting in one connection's output before its subscriptions pause.",                  \
      "deliveries wait", "deliveries wait")                                                        \
    X(topics_max, 10000, "topics", 1, 100000, "weir_refused_topics_total", "Declared topics.",     \
      "-", "error limit")                                                                          \
    X(partitions_max, 1024, "partitions", 1, 16384, "weir_refused_partitions_total",               \
      "Partitions of one topic.", "-", "error limit")                                              \
    X(retained_max, 100000, "values", 1, 10000000, "weir_refused_retained_total",                  \
      "Retained values.", "PUBACK 0x97 (5.0); close (3.1.1)", "error limit")                       \
    X(retained_bytes_max, 268435456, "bytes", 4096, 17179869184,                                   \
      "weir_refused_retained_bytes_total", "Bytes of all retained values.",                        \
      "PUBACK 0x97 (5.0); close (3.1.1)", "error limit")                                           \
    X(tail_bytes_max, 134217728, "bytes", 1048576, 68719476736, "weir_refused_tail_total",         \
      "Memory for the newest records of all topics and of live names.",                            \
      "reading stops until there is room", "reading stops until there is room")                    \
    X(batch_plain_bytes_max, 16777216, "bytes", 1048576, 268435456,                                \
      "weir_refused_batch_plain_total", "What a compressed batch from a client may inflate to.",   \
      "-", "error too-large")                                                                      \
    X(producers_max, 100000, "producers", 1, 10000000, "weir_refused_producers_total",             \
      "Idempotent producers remembered at once.", "-", "error limit")                              \
    X(producer_partitions_max, 1000000, "pairs", 1, 100000000, "weir_refused_producers_total",     \
      "Pairs of idempotent producer and partition remembered at once.", "-", "error limit")        \
    X(publishing_names_max, 100000, "names", 1, 10000000, "weir_refused_producers_total",          \
      "Named producers with a publishing id, each partition of each counted.",                     \
      "PUBACK 0x97 (5.0); close (3.1.1)", "error limit")                                           \
    X(groups_max, 10000, "groups", 1, 100000, "weir_refused_groups_total",                         \
      "Consumer groups declared at once.", "-", "error limit")                                     \
    X(group_parts_max, 1000000, "pairs", 1, 100000000, "weir_refused_groups_total",                \
      "Pairs of a group and a partition that it reads, of all groups.", "-", "error limit")        \
    X(group_members_max, 10000, "members", 1, 1000000, "weir_refused_members_total",               \
      "Members of one group at once.", "SUBACK 0x97 (5.0), 0x80 (3.1.1)", "error limit")           \
    X(members_per_session_max, 100, "members", 1, 10000, "weir_refused_session_members_total",     \
      "Members of groups that one weir.v1 session holds.", "-", "error limit")                     \
    X(metrics_groups_max, 1000, "groups", 0, 100000, "weir_consumer_groups_left_out",              \
      "Groups that /metrics tells of one by one; of the others the totals alone.", "-", "-")       \
    X(port_bytes_max, 8388608, "bytes", 65536, 1073741824, "weir_paused_port_total",               \
      "What one I/O loop has submitted and the engine has not yet taken.",                         \
      "reading stops until there is room", "reading stops until there is room")                    \
    X(fetch_bytes_max, 8388608, "bytes", 4096, 268435456, "weir_refused_fetch_total",              \
      "Bytes one fetch gives.", "-", "fewer records")                                              \
    X(fetch_wait_ms_max, 60000, "milliseconds", 1, 600000, "weir_refused_fetch_wait_total",        \
      "How long a fetch, or any waiting command, may wait.", "-", "error invalid")                 \
    X(fetches_max, 64, "fetches", 1, 10000, "weir_refused_fetches_total",                          \
      "Fetches one connection may have waiting.", "-", "error limit")

/* Numbers that a user can meet and nobody can set. X(name, value, unit, meaning) */
#define WEIR_FIXED_LIMITS_LIST(X)                                                                  \
    X(topic_name_bytes, 249, "bytes", "Length of a topic's name.")                                 \
    X(group_name_bytes, 249, "bytes", "Length of a group's name.")                                 \
    X(group_topics, 256, "topics", "Topics that a group can list; a filter reaches any number.")   \
    X(member_name_bytes, 256, "bytes", "Length of a member's name, instance or origin.")           \
    X(metadata_bytes, 4096, "bytes",                                                               \
      "What a commit says of itself, or a settlement as its reason.")                              \
    X(producer_name_bytes, 256, "bytes", "Length of a name that publishing ids belong to.")        \
    X(story_lines, 1000, "lines", "Of one record's story (weir why); older ones are counted.")     \
    X(story_reason_bytes, 256, "bytes", "What a story keeps of a member's reason; it is cut.")     \
    X(dead_letter_hops, 16, "hops",                                                                \
      "How often one record may become a dead letter, one group after the other.")                 \
    X(cold_read_bytes, 524288, "bytes",                                                            \
      "Old records that a reader from disk has in memory at once, and one batch beside them.")     \
    X(journal_pending_bytes, 67108864, "bytes",                                                    \
      "What waits to be written to the journal, before reading from connections stops.")           \
    X(io_loops, 256, "loops", "Threads of I/O, of all front ends and embedders of one engine.")

enum {
#define WEIR_FIXED_LIMIT(name, value, unit, meaning) WEIR_FIXED_##name = (value),
    WEIR_FIXED_LIMITS_LIST(WEIR_FIXED_LIMIT)
#undef WEIR_FIXED_LIMIT
};

typedef struct weir_limits {
#define WEIR_LIMITS_FIELD(name, value, unit, least, most, metric, meaning, mqtt, weir1)            \
    uint64_t name;
    WEIR_LIMITS_LIST(WEIR_LIMITS_FIELD)
#undef WEIR_LIMITS_FIELD
} weir_limits;

#define WEIR_LIMITS_DEFAULT_FIELD(name, value, unit, least, most, metric, meaning, mqtt, weir1)    \
    .name = (value),
#define WEIR_LIMITS_DEFAULT                                                                        \
    {                                                                                              \
        WEIR_LIMITS_LIST(WEIR_LIMITS_DEFAULT_FIELD)                                                \
    }

#endif
