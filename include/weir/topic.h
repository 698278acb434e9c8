/* include/weir/topic.h - what a topic can be told: its options, their names, bounds and defaults.
 *
 * One table makes the keys of weir.yaml, the flags of `weir topic`, the members of weir.v1 and the
 * documents. Plain values; nothing here needs an engine. Any thread. */
#ifndef WEIR_TOPIC_H
#define WEIR_TOPIC_H

#include "weir/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What happens to old records of a topic. Bits, so that both can be asked for. */
typedef enum weir_cleanup {
    WEIR_CLEANUP_DEFAULT = 0,        /* DELETE */
    WEIR_CLEANUP_DELETE = 1,         /* segments beyond retention_ms or retention_bytes go */
    WEIR_CLEANUP_COMPACT = 2,        /* the newest record of each key stays, for ever */
    WEIR_CLEANUP_COMPACT_DELETE = 3, /* both */
} weir_cleanup;
WEIR_API const char *weir_cleanup_name(weir_cleanup cleanup); /* "compact,delete" */
/* "delete", "compact", "compact,delete" or "delete,compact". INVALID. */
WEIR_API weir_err weir_cleanup_parse(weir_bytes text, weir_cleanup *cleanup);

/* Who tracks what was read, and so what is kept. */
typedef enum weir_topic_kind {
    WEIR_KIND_DEFAULT = 0, /* LOG */
    WEIR_KIND_LOG = 1,     /* everything, until retention or compaction removes it */
    WEIR_KIND_QUEUE = 2,   /* each record until its one group, named like it, has settled it */
} weir_topic_kind;
WEIR_API const char *weir_topic_kind_name(weir_topic_kind kind);                 /* "queue" */
WEIR_API weir_err weir_topic_kind_parse(weir_bytes text, weir_topic_kind *kind); /* INVALID */

/* What retention does about records that a group has not settled, or not committed. */
typedef enum weir_unsettled {
    WEIR_UNSETTLED_DEFAULT = 0, /* EXPIRE */
    WEIR_UNSETTLED_EXPIRE = 1,
    WEIR_UNSETTLED_KEEP = 2,
} weir_unsettled;

enum { WEIR_UNLIMITED = -1 };

/* X(field, tag, default, endless, least, most, unit, help). Every field is an int64_t of
 * weir_topic_options. 0 takes the default; where endless is 1, WEIR_UNLIMITED (-1) is allowed. Tags
 * stand in the journal and in checkpoints: never change or reuse one. */
#define WEIR_TOPIC_SETTINGS_LIST(X)                                                                                                                                         \
    X(retention_ms, 1, 604800000, 1, 1, 9223372036854, "milliseconds",                                                                                                      \
      "Age at which records may go, by whole segments; unlimited: never; 0: at once, kept as 1. With "                                                                      \
      "cleanup `delete`. A topic of kind queue: unlimited.")                                                                                                                \
    X(retention_bytes, 2, -1, 1, 1, 4611686018427387904, "bytes",                                                                                                           \
      "Bytes each partition keeps of what is newest; what is more goes by whole segments, oldest "                                                                          \
      "first, or by batches where no segment has them yet, at each look (`cleanup_every_ms`): up to "                                                                       \
      "a segment more stays. 0: all go that may, kept as 1. With cleanup `delete`.")                                                                                        \
    X(segment_bytes, 3, 0, 0, 4096, 2147483647, "bytes",                                                                                                                    \
      "Size at which a partition begins a new segment; 0: the gateway's segment_bytes_max.")                                                                                \
    X(segment_ms, 4, 604800000, 1, 1, 9223372036854, "milliseconds",                                                                                                        \
      "Age at which a partition begins a new segment, whether records come or not.")                                                                                        \
    X(delete_retention_ms, 5, 86400000, 0, 1, 9223372036854, "milliseconds",                                                                                                \
      "How long a tombstone stays after the compaction that removed what it deletes.")                                                                                      \
    X(min_compaction_lag_ms, 6, 0, 0, 0, 9223372036854, "milliseconds",                                                                                                     \
      "Age a record has before compaction may remove it.")                                                                                                                  \
    X(retention_unsettled, 7, 1, 0, 1, 2, "word",                                                                                                                           \
      "expire: retention removes records whether groups have settled them or not; keep: not before all groups have, up to retention_unsettled_bytes. A topic of kind log.") \
    X(retention_unsettled_bytes, 8, 1073741824, 1, 1, 4611686018427387904, "bytes",                                                                                         \
      "With keep: bytes beyond retention that each partition keeps for its groups; what is more goes all the same. -1: any number.")

/* A zeroed one asks for the defaults. */
typedef struct weir_topic_options {
    uint32_t partitions;       /* 0: 1 */
    weir_level level;          /* DEFAULT: disk */
    bool nested;               /* may stand above or below another topic */
    uint32_t partition_levels; /* only the first N key levels pick the partition; 0: all */
    weir_cleanup cleanup;
    weir_topic_kind kind; /* never changed; QUEUE: not with cleanup compact */
#define WEIR_TOPIC_SETTINGS_FIELD(field, tag, value, endless, least, most, unit, help)             \
    int64_t field;
    WEIR_TOPIC_SETTINGS_LIST(WEIR_TOPIC_SETTINGS_FIELD)
#undef WEIR_TOPIC_SETTINGS_FIELD
} weir_topic_options;

/* The table as rows, in its order. */
typedef struct weir_topic_setting {
    const char *name; /* "retention_ms" */
    uint16_t tag;
    int64_t fallback; /* 0: told by the gateway, or none */
    bool endless;
    int64_t least;
    int64_t most;
    const char *unit;
    const char *help;
    size_t at; /* of the field in weir_topic_options */
} weir_topic_setting;
WEIR_API const weir_topic_setting *weir_topic_settings(size_t *count);
/* As it stands in the options, 0 included; and written there. */
WEIR_API int64_t weir_topic_setting_get(const weir_topic_options *options,
                                        const weir_topic_setting *setting);
WEIR_API void weir_topic_setting_put(weir_topic_options *options, const weir_topic_setting *setting,
                                     int64_t value);
/* The word that stands for a value of `retention_unsettled`: "expire", "keep". NULL: the setting is told
 * in numbers, or no word stands for this one. */
WEIR_API const char *weir_topic_setting_word(const weir_topic_setting *setting, int64_t value);
/* Whether the setting may have this value (0 may always stand for the default). */
WEIR_API bool weir_topic_setting_fits(const weir_topic_setting *setting, int64_t value);
/* What a value that somebody wrote down is kept as: a 0 of a setting that begins at 1 (keep nothing
 * that may go) as 1, since 0 stands for the default; all others as they are. */
WEIR_API int64_t weir_topic_setting_kept(const weir_topic_setting *setting, int64_t value);
/* Decimal digits, or where there may be no limit `unlimited` or -1; *value as it is kept. INVALID:
 * it is none, or does not fit. */
WEIR_API weir_err weir_topic_setting_parse(const weir_topic_setting *setting, const char *text,
                                           int64_t *value);
/* "1 to 9223372036854 milliseconds, or unlimited": what a value that does not fit is refused with. */
enum { WEIR_TOPIC_BOUNDS_MAX = 96 };
WEIR_API void weir_topic_setting_bounds(const weir_topic_setting *setting,
                                        char text[WEIR_TOPIC_BOUNDS_MAX]);

#ifdef __cplusplus
}
#endif

#endif
