/* programs/keys.h - every key of weir.yaml and --set, once.
 *
 * The YAML schema, the defaults, the checks, the answers to adapters' questions and
 * docs/configuration.md are made from this table. Keys that share the words before a dot stand
 * together: "mqtt.port" beside "mqtt.address". */
#ifndef WEIR_PROGRAMS_KEYS_H
#define WEIR_PROGRAMS_KEYS_H

#include "weir/base.h"
#include "weir/limits.h"

typedef enum weir_key_type {
    WEIR_KEY_UINT,  /* decimal digits, least <= value <= most */
    WEIR_KEY_BOOL,  /* true, false, yes, no, on, off, 1, 0 */
    WEIR_KEY_TEXT,  /* anything without a control character */
    WEIR_KEY_LEVEL, /* memory, os, disk, replicated */
    WEIR_KEY_SYNC,  /* auto, inline, thread */
    WEIR_KEY_IO,    /* posix */
} weir_key_type;

/* X(id, section, key, type, default, least, most, unit, help). Default NULL: none. */
#define WEIR_KEYS_OWN_LIST(X)                                                                        \
    X(data, "", "data", TEXT, "./var/data", 1, 0, "path",                                            \
      "The data directory; made when missing, mode 0700. `--data` says the same.")                   \
    X(ports, "", "ports", TEXT, NULL, 1, 0, "path",                                                  \
      "File that gets a line `NAME ADDRESS` for each listener once all are ready. `--ports`.")       \
    X(insecure, "", "insecure", BOOL, "false", 0, 0, "",                                             \
      "Allow addresses other than loopback although nobody has to log in. `--insecure`.")            \
    X(loops, "", "loops", UINT, "0", 0, 64, "threads",                                               \
      "I/O threads. 0: one for each processor, at most 2.")                                          \
    X(loops_together, "", "loops_together", UINT, "8", 0, 1000000, "connections",                    \
      "Connections of a front end that share the first I/O thread before the others get any.")       \
    X(drain_ms_max, "", "drain_ms_max", UINT, "5000", 0, 600000, "milliseconds",                     \
      "How long a stop waits for what is in flight.")                                                \
    X(sync, "", "sync", SYNC, "auto", 0, 0, "",                                                      \
      "Where the journal is synced: `inline`, on a `thread` of its own, or `auto`, which measures.") \
    X(sync_every_ms, "", "sync_every_ms", UINT, "50", 1, 60000, "milliseconds",                      \
      "How long records of level `os` may stay unsynced.")                                           \
    X(producer_expiry_ms, "", "producer_expiry_ms", UINT, "604800000", 1000, 31536000000,            \
      "milliseconds", "Producers and publishing ids not used for so long are forgotten.")            \
    X(live_durability, "", "live_durability", LEVEL, "disk", 0, 0, "",                               \
      "Durability of retained values under names that no topic covers.")                             \
    X(journal_file_bytes, "", "journal_file_bytes", UINT, "67108864", 65536, 4294967296, "bytes",    \
      "Size of one journal file.")                                                                   \
    X(journal_reserve_bytes, "", "journal_reserve_bytes", UINT, "0", 0, 4294967296, "bytes",         \
      "Journal kept for settling, committing, trimming and deleting on a full disk: a multiple of "  \
      "4096, at most one journal file. 0: a quarter of one, at least 64 KiB.")                       \
    X(journal_inline_bytes_max, "", "journal_inline_bytes_max", UINT, "262144", 1024, 2147483647,    \
      "bytes",                                                                                       \
      "Batches of this size or more, or what a partition gets of one group, are written once, to "   \
      "their segment; the journal refers to it. An eighth of it at `os`.")                           \
    X(io, "", "io", IO, "posix", 0, 0, "",                                                           \
      "How files are written: `posix` is pwrite and fdatasync; nothing else is offered.")            \
    X(segment_bytes_max, "", "segment_bytes_max", UINT, "1073741824", 65536, 2147483647, "bytes",    \
      "Size at which a partition begins a new segment.")                                             \
    X(segment_files_max, "", "segment_files_max", UINT, "512", 16, 1000000, "files",                 \
      "Segment files that stay open while nothing uses them.")                                       \
    X(checkpoint_bytes, "", "checkpoint_bytes", UINT, "268435456", 65536, 68719476736, "bytes",      \
      "Journal written between two checkpoints.")                                                    \
    X(checkpoint_every_ms, "", "checkpoint_every_ms", UINT, "300000", 100, 86400000,                 \
      "milliseconds", "Time between two checkpoints when anything changed.")                         \
    X(cleanup_every_ms, "", "cleanup_every_ms", UINT, "10000", 100, 86400000, "milliseconds",        \
      "How often retention and compaction look for what they may remove.")                           \
    X(compaction_bytes_max, "", "compaction_bytes_max", UINT, "67108864", 4194304, 4294967296,       \
      "bytes", "Memory for the keys of one compaction; more keys take more than one.")               \
    X(mqtt_enabled, "mqtt", "enabled", BOOL, "true", 0, 0, "", "Serve MQTT.")                        \
    X(mqtt_address, "mqtt", "address", TEXT, "127.0.0.1", 1, 0, "address",                           \
      "Numeric address to listen on.")                                                               \
    X(mqtt_port, "mqtt", "port", UINT, "1883", 0, 65535, "",                                         \
      "0: one that the system picks; see `ports`.")                                                  \
    X(mqtt_tls_port, "mqtt", "tls.port", UINT, "8883", 0, 65535, "",                                 \
      "Port of MQTT over TLS, when there is a certificate.")                                         \
    X(mqtt_tls_certificate, "mqtt", "tls.certificate", TEXT, NULL, 1, 0, "path",                     \
      "PEM file with the certificate and its chain; adds a listener with TLS.")                      \
    X(mqtt_tls_key, "mqtt", "tls.key", TEXT, NULL, 1, 0, "path",                                     \
      "PEM file with the certificate's key.")                                                        \
    X(mqtt_tls_client_ca, "mqtt", "tls.client_ca", TEXT, NULL, 1, 0, "path",                         \
      "PEM file with the authorities whose clients may connect.")                                    \
    X(local_enabled, "local", "enabled", BOOL, "true", 0, 0, "",                                     \
      "Serve weir.v1 on a socket in the data directory; `weir pub`, `sub` and `topic` need it.")     \
    X(local_path, "local", "path", TEXT, NULL, 1, 0, "path",                                         \
      "Another place for the socket than `weir.sock` in the data directory.")                        \
    X(http_enabled, "http", "enabled", BOOL, "true", 0, 0, "",                                       \
      "Serve HTTP and WebSocket: weir.v1 at /v1, MQTT at /mqtt, metrics, health, the console.")      \
    X(http_address, "http", "address", TEXT, "127.0.0.1", 1, 0, "address",                           \
      "Numeric address to listen on.")                                                               \
    X(http_port, "http", "port", UINT, "9347", 0, 65535, "",                                         \
      "0: one that the system picks; see `ports`.")                                                  \
    X(http_origins, "http", "origins", TEXT, NULL, 1, 0, "",                                         \
      "Origins of pages that may connect, beside those of the same host.")                           \
    X(http_ping_ms, "http", "ping_ms", UINT, "30000", 0, 3600000, "milliseconds",                    \
      "Silence after which a peer is asked whether it lives; 0: never.")                             \
    X(http_upgrade_ms_max, "http", "upgrade_ms_max", UINT, "5000", 100, 600000, "milliseconds",      \
      "Time from accept to a complete request head.")                                                \
    X(http_message_ms_max, "http", "message_ms_max", UINT, "60000", 100, 3600000, "milliseconds",    \
      "Time for one WebSocket message; one more for each of its bytes.")                             \
    X(http_test_echo, "http", "test_echo", BOOL, "false", 0, 0, "",                                  \
      "Offer the subprotocol `echo` at /echo; for tests.")                                           \
    X(http_tls_certificate, "http", "tls.certificate", TEXT, NULL, 1, 0, "path",                     \
      "PEM file with the certificate and its chain; sets TLS.")                                      \
    X(http_tls_key, "http", "tls.key", TEXT, NULL, 1, 0, "path",                                     \
      "PEM file with the certificate's key.")                                                        \
    X(http_tls_client_ca, "http", "tls.client_ca", TEXT, NULL, 1, 0, "path",                         \
      "PEM file with the authorities whose clients may connect.")                                    \
    X(nng_enabled, "nng", "enabled", BOOL, "true", 0, 0, "",                                         \
      "Serve nng: REP, PULL, PUB and PUSH.")                                                         \
    X(nng_rep_url, "nng", "rep.url", TEXT, "tcp://127.0.0.1:9348", 0, 0, "URL",                      \
      "weir.v1, one reply for each message; empty: off.")                                            \
    X(nng_rep_contexts, "nng", "rep.contexts", UINT, "1024", 64, 65535, "requests",                  \
      "Requests that may be under way at once.")                                                     \
    X(nng_rep_session_ms, "nng", "rep.session_ms", UINT, "600000", 1000, 86400000, "milliseconds",   \
      "A session goes after this long without a request.")                                           \
    X(nng_pull_url, "nng", "pull.url", TEXT, "tcp://127.0.0.1:9349", 0, 0, "URL",                    \
      "Publishing without an answer; empty: off.")                                                   \
    X(nng_pub_url, "nng", "pub.url", TEXT, "tcp://127.0.0.1:9350", 0, 0, "URL",                      \
      "Everything that `pub.filter` matches; empty: off.")                                           \
    X(nng_pub_filter, "nng", "pub.filter", TEXT, "#", 1, 0, "filter", "What PUB sends.")             \
    X(nng_pub_batch, "nng", "pub.batch", BOOL, "false", 0, 0, "",                                    \
      "PUB sends many records in a message.")                                                        \
    X(nng_pub_buffer_bytes, "nng", "pub.buffer_bytes", UINT, NULL, 16384, 67108864, "bytes",         \
      "What waits for one SUB peer before it misses messages; limits.output_bytes_max unless set.")  \
    X(nng_push_url, "nng", "push.url", TEXT, "tcp://127.0.0.1:9351", 0, 0, "URL",                    \
      "Handing out `push.topic`; empty: off.")                                                       \
    X(nng_push_topic, "nng", "push.topic", TEXT, NULL, 0, 0, "topic", "What PUSH hands out.")        \
    X(nng_push_batch, "nng", "push.batch", BOOL, "false", 0, 0, "",                                  \
      "PUSH sends many records in a message.")

typedef enum weir_key {
#define WEIR_KEY_ENUM(id, section, key, type, value, least, most, unit, help) WEIR_KEY_##id,
    WEIR_KEYS_OWN_LIST(WEIR_KEY_ENUM)
#undef WEIR_KEY_ENUM
#define WEIR_KEY_LIMIT_ENUM(name, value, unit, least, most, metric, meaning, mqtt, weir1)          \
    WEIR_KEY_limits_##name,
        WEIR_LIMITS_LIST(WEIR_KEY_LIMIT_ENUM)
#undef WEIR_KEY_LIMIT_ENUM
            WEIR_KEY_COUNT
} weir_key;

typedef struct weir_key_row {
    const char *section; /* "" for the top level */
    const char *key;
    const char *name; /* "mqtt.port" */
    weir_key_type type;
    const char *fallback; /* NULL: not set */
    uint64_t least;
    uint64_t most;
    const char *unit;
    const char *help;
} weir_key_row;

/* Row `key`; below WEIR_KEY_COUNT. */
const weir_key_row *weir_key_row_of(weir_key key);
/* The key with this full name ("mqtt.port"). False when there is none. */
bool weir_key_find(const char *name, weir_key *key);
/* The name nearest to `name` in spelling, or NULL when none is near. */
const char *weir_key_near(const char *name);
/* Whether any key has this section. */
bool weir_key_section_exists(const char *section);

/* Reads `text` as the key's type. *number is the value (for TEXT 0). INVALID: `sentence` says what
 * would be right. */
enum { WEIR_KEY_SENTENCE_MAX = 320 };
weir_err weir_key_read(const weir_key_row *row, const char *text, uint64_t *number,
                       char sentence[WEIR_KEY_SENTENCE_MAX]);

/* Levenshtein distance, with words longer than 64 bytes counted as far. */
unsigned weir_word_distance(const char *a, const char *b);

#endif
