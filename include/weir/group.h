/* include/weir/group.h - consumer groups: what they can be told, and how their members take records.
 *
 *     create, or the first join -----> a group: model, mode, topics or a filter, settings
 *     join --> [member] --take--> records --settle (accept, release, reject, renew)--> fates
 *
 * A group of model `stream` divides partitions among its members, each with one owner in a
 * generation, and keeps a committed offset (the next one to read) per partition. A group of model
 * `queue` hands any record to any member under a lease, and keeps each record's state until it is
 * settled. Both count what became of every record: its fate.
 *
 * The group's mode is enforced here, not by clients: at-most-once commits (or accepts) durably
 * before a record is handed over; at-least-once when the member says so, and only up to what it was
 * handed. Operations are submitted on ports (weir/port.h) and complete there; a member belongs to
 * the port that it joined on. Rules and states: docs/groups.md. */
#ifndef WEIR_GROUP_H
#define WEIR_GROUP_H

#include "weir/base.h"
#include "weir/limits.h"
#include "weir/record.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    WEIR_GROUP_BYTES_MAX = 249,
    WEIR_MEMBER_BYTES_MAX = 256,
    WEIR_METADATA_BYTES_MAX = 4096,
    WEIR_GROUP_TOPICS_MAX = 256,
    WEIR_GROUP_FILTER_BYTES_MAX = 1024
};

typedef enum weir_model {
    WEIR_MODEL_DEFAULT = 0, /* as the group is; a new one: stream */
    WEIR_MODEL_STREAM = 1,
    WEIR_MODEL_QUEUE = 2,
} weir_model;

typedef enum weir_mode {
    WEIR_MODE_DEFAULT = 0, /* as the group is; a new one: at-least-once */
    WEIR_MODE_AT_MOST_ONCE = 1,
    WEIR_MODE_AT_LEAST_ONCE = 2,
    WEIR_MODE_EXACTLY_ONCE = 3,  /* NOT_OFFERED until transactions are */
    WEIR_MODE_CLIENT_COMMIT = 4, /* stream only: clients commit when they like; promises nothing */
} weir_mode;

/* "stream", "queue"; "at-most-once", ... INVALID. */
WEIR_API const char *weir_model_name(weir_model model);
WEIR_API weir_err weir_model_parse(weir_bytes text, weir_model *model);
WEIR_API const char *weir_mode_name(weir_mode mode);
WEIR_API weir_err weir_mode_parse(weir_bytes text, weir_mode *mode);

/* Where a new group begins, and where one goes whose position was removed. */
typedef enum weir_group_place {
    WEIR_PLACE_DEFAULT = 0, /* start: beginning; removed: earliest that is left */
    WEIR_PLACE_BEGINNING = 1,
    WEIR_PLACE_END = 2,
    WEIR_PLACE_ERROR = 3, /* removed only: takes are refused until somebody resets the group */
} weir_group_place;

/* "beginning", "end", "error". INVALID. */
WEIR_API const char *weir_group_place_name(weir_group_place place);
WEIR_API weir_err weir_group_place_parse(weir_bytes text, weir_group_place *place);

/* What happens when a queue has more than max_records or max_bytes. */
typedef enum weir_overflow {
    WEIR_OVERFLOW_DEFAULT = 0, /* as the group is; a new one: refuse */
    WEIR_OVERFLOW_REFUSE = 1,  /* publishes get QUEUE_FULL; groups of queue topics only */
    WEIR_OVERFLOW_DROP_OLDEST = 2,
    WEIR_OVERFLOW_DEAD_LETTER = 3,
} weir_overflow;

/* X(field, tag, models (1 stream, 2 queue, 3 both), default, endless, least, most, unit, help). All
 * are int64_t of weir_group_options; 0 takes the default; -1 where endless is 1. Tags stand in the
 * journal and in checkpoints: never change or reuse one. */
#define WEIR_GROUP_SETTINGS_LIST(X)                                                                \
    X(session_ms, 1, 3, 45000, 0, 1000, 3600000, "milliseconds",                                   \
      "A member that says nothing for so long is out: its partitions and leases go to others.")    \
    X(expiry_ms, 2, 3, 604800000, 1, 1000, 9223372036854, "milliseconds",                          \
      "A group without members is forgotten after so long; -1: never.")                            \
    X(lease_ms, 3, 2, 30000, 1, 100, 86400000, "milliseconds",                                     \
      "How long a record stays with a member before it goes to another; -1: for as long as the "   \
      "member is there.")                                                                          \
    X(delivery_limit, 4, 2, 5, 1, 1, 65535, "failures",                                            \
      "Failures after which a record is a dead letter; -1: none is.")                              \
    X(leased_max, 5, 2, 10000, 0, 1, 1000000, "records", "Records one member may hold at once.")   \
    X(unsettled_max, 6, 2, 2000000, 0, 1, 100000000, "records",                                    \
      "Records of the group that were handed out and are not settled, in all.")                    \
    X(key_ordered, 7, 2, 2, 0, 1, 2, "1 or 2",                                                     \
      "1: one record of a key is out at a time, in order, in each partition; 2: keys do not "      \
      "matter.")                                                                                   \
    X(single_active, 8, 2, 2, 0, 1, 2, "1 or 2",                                                   \
      "1: one member gets all records, the others wait to take its place; 2: all share.")          \
    X(retry_delay_ms, 9, 2, 0, 0, 0, 86400000, "milliseconds",                                     \
      "How long a failed record waits before it is handed out again.")                             \
    X(max_records, 10, 2, -1, 1, 1, 1000000000000, "records",                                      \
      "Records that are not settled, those with members included; what is beyond goes by "         \
      "`overflow`. -1: any number.")                                                               \
    X(max_bytes, 11, 2, -1, 1, 1024, 4611686018427387904, "bytes",                                 \
      "The same in bytes, as they are stored; -1: any number.")                                    \
    X(overflow, 12, 2, 1, 0, 1, 3, "word",                                                         \
      "What happens beyond max_records or max_bytes: publishes are refused (queue topics only), "  \
      "or the oldest that no member has are dropped, or go to the dead-letter topic.")

/* A zeroed one takes the defaults. Spans are borrowed. */
typedef struct weir_group_options {
    weir_model model;
    weir_mode mode;
    weir_group_place start;
    weir_group_place removed;
    weir_bytes dead_letter;   /* a declared topic; null: none */
    const weir_bytes *topics; /* declared topics, or ... */
    uint32_t topic_count;
    weir_bytes filter; /* ... a filter over full names, when topic_count is 0 */
#define WEIR_GROUP_SETTINGS_FIELD(field, tag, models, value, endless, least, most, unit, help)     \
    int64_t field;
    WEIR_GROUP_SETTINGS_LIST(WEIR_GROUP_SETTINGS_FIELD)
#undef WEIR_GROUP_SETTINGS_FIELD
} weir_group_options;

typedef struct weir_group_setting {
    const char *name;
    uint16_t tag;
    uint8_t models;
    int64_t fallback;
    bool endless;
    int64_t least;
    int64_t most;
    const char *unit;
    const char *help;
    size_t at; /* of the field in weir_group_options */
} weir_group_setting;
WEIR_API const weir_group_setting *weir_group_settings(size_t *count);
WEIR_API int64_t weir_group_setting_get(const weir_group_options *options,
                                        const weir_group_setting *setting);
WEIR_API void weir_group_setting_put(weir_group_options *options, const weir_group_setting *setting,
                                     int64_t value);
WEIR_API bool weir_group_setting_fits(const weir_group_setting *setting, int64_t value);
/* A setting that may be 0 (retry_delay_ms) is asked to be so by this, since 0 asks for nothing. What is
 * told of a group has 0. */
enum { WEIR_GROUP_ZERO = -1 };
static inline bool weir_group_setting_has_zero(const weir_group_setting *setting)
{
    return setting->least == 0 && !setting->endless;
}
/* The word that stands for a value of `overflow`: "refuse", "drop-oldest", "dead-letter". NULL: the
 * setting is told in numbers, or no word stands for this one. */
WEIR_API const char *weir_group_setting_word(const weir_group_setting *setting, int64_t value);
/* INVALID: it is none of the setting's words. */
WEIR_API weir_err weir_group_setting_parse(const weir_group_setting *setting, weir_bytes text,
                                           int64_t *value);
/* 1 to 249 bytes of UTF-8, no + # / NUL control characters, no leading $. */
WEIR_API weir_err weir_group_name_check(weir_bytes name);

/* ---- Fates ----------------------------------------------------------------------------------- */

/* X(NAME, wire name, sentence). What became of one record in one group; exactly one of them. */
#define WEIR_FATE_LIST(X)                                                                          \
    X(ACCEPTED, "accepted", "A member accepted it, or its offset was committed past it.")          \
    X(REJECTED, "rejected", "A member rejected it, and the group has no dead-letter topic.")       \
    X(EXPIRED, "expired", "Retention, or its own expiry, removed it before it was settled.")       \
    X(DROPPED, "dropped", "A named limit dropped it.")                                             \
    X(DEAD_LETTERED, "dead-lettered", "It stands in the dead-letter topic.")                       \
    X(SUPERSEDED, "superseded", "Compaction removed it: a newer record has its key.")              \
    X(SKIPPED, "skipped", "A reset, or the place where the group began, passed over it.")          \
    X(TOPIC_DELETED, "topic-deleted", "Its topic was deleted.")

typedef enum weir_fate {
    WEIR_FATE_PENDING = 0, /* none yet */
#define WEIR_FATE_ENUM(name, wire, text) WEIR_FATE_##name,
    WEIR_FATE_LIST(WEIR_FATE_ENUM)
#undef WEIR_FATE_ENUM
        WEIR_FATE_COUNT
} weir_fate;
WEIR_API const char *weir_fate_name(weir_fate fate); /* "pending" for PENDING */
WEIR_API weir_err weir_fate_parse(weir_bytes text, weir_fate *fate);

/* What is kept in `__fates`: one line of one record's story. Spans are borrowed. */
typedef struct weir_fate_line {
    int64_t time_ms; /* engine time */
    weir_bytes group;
    weir_fate fate;    /* PENDING: what happened was no end: leased, released, expired, ... */
    weir_bytes event;  /* "accepted", "leased", "released", "lease-expired", "failed", ... */
    weir_bytes reason; /* of a member, or "delivery-limit"; null: none */
    weir_bytes member; /* its name; null: nobody's */
    weir_bytes origin; /* its front end: "mqtt", "websocket", "nng", "local", "port" */
    uint32_t leased;   /* times so far */
    uint32_t failed;
    weir_bytes letter_topic; /* of a dead letter: where it stands; null: it is none */
    uint32_t letter_partition;
    int64_t letter_offset;
} weir_fate_line;

/* X(NAME, wire name, sentence). How one record stands in one group now. */
#define WEIR_STANDING_LIST(X)                                                                      \
    X(WAITING, "waiting", "Nobody has it: it is handed out when its turn comes.")                  \
    X(LEASED, "leased", "A member has it, until its lease ends.")                                  \
    X(HANDED, "handed", "It was handed to the partition's owner, who has not committed it.")       \
    X(DELAYED, "delayed", "It waits for its time.")                                                \
    X(MOVING, "moving", "It is on its way to the dead-letter topic.")                              \
    X(SETTLED, "settled", "It has its fate.")                                                      \
    X(BEFORE, "before", "The group began, or was reset to, behind it.")                            \
    X(UNMATCHED, "unmatched", "It is not of the group's filter.")

typedef enum weir_standing_kind {
    WEIR_STANDING_NONE = 0,
#define WEIR_STANDING_ENUM(name, wire, text) WEIR_STANDING_##name,
    WEIR_STANDING_LIST(WEIR_STANDING_ENUM)
#undef WEIR_STANDING_ENUM
        WEIR_STANDING_COUNT
} weir_standing_kind;
WEIR_API const char *weir_standing_name(weir_standing_kind kind);
WEIR_API weir_err weir_standing_parse(weir_bytes text, weir_standing_kind *kind);

/* A record in one group that reads its partition. Spans are borrowed. */
typedef struct weir_standing {
    weir_bytes group;
    weir_standing_kind kind;
    int64_t until_ms;  /* LEASED: the lease's end, -1: none; DELAYED: its time */
    uint64_t before;   /* WAITING: so many are handed out before it, at least */
    weir_bytes member; /* LEASED, HANDED: who has it; null: somebody who is gone */
    weir_bytes origin;
    uint32_t leased; /* times so far */
    uint32_t failed;
} weir_standing;

/* The record itself, while it is kept. */
typedef struct weir_record_head {
    bool there;
    int64_t stored_ms;
    weir_bytes key; /* null: it has none */
    uint64_t value_bytes;
    uint32_t headers;
} weir_record_head;

/* Lines of one story; older ones are counted (left_out). */
enum { WEIR_STORY_LINES_MAX = WEIR_FIXED_story_lines };

/* ---- What is told of a group ----------------------------------------------------------------- */

typedef struct weir_group_partition {
    weir_bytes topic;
    uint32_t partition;
    int64_t start;     /* where the group began */
    int64_t committed; /* stream: the next offset to read. queue: everything below is settled */
    int64_t handed;    /* behind the last one that was handed out */
    int64_t end;       /* high watermark */
    uint64_t lag;      /* visible records that are not settled */
    int64_t lag_ms;    /* age of the oldest of them; 0: none */
    uint64_t leased;   /* queue: with members now */
    uint64_t delayed;  /* queue: waiting for their time */
    int64_t bytes;     /* queue: of what is not settled, as stored; -1: told of one group alone */
    int32_t owner;     /* stream: index in members; -1: none */
    bool stands_still; /* stream: its place was removed, `removed` is error, nobody has reset it */
    weir_bytes metadata;             /* of the last commit; null: none */
    uint64_t fates[WEIR_FATE_COUNT]; /* PENDING: those of [start, end) without an end: all add up */
} weir_group_partition;

typedef struct weir_group_member {
    weir_bytes name;
    weir_bytes instance; /* of a static member; null: it is none */
    weir_bytes origin;
    uint32_t partitions; /* stream: it owns; 0: idle */
    uint64_t leased;
    int64_t silent_ms;
} weir_group_member;

typedef struct weir_group_info {
    weir_bytes name;
    weir_group_options options; /* as in force, every default filled in */
    uint64_t generation;
    weir_group_partition *partitions;
    uint32_t partition_count;
    weir_group_member *members;
    uint32_t member_count;
    uint64_t fates[WEIR_FATE_COUNT]; /* sums */
    uint64_t leased_times;           /* for ever */
    uint64_t failed_times;
    uint64_t late_refused; /* answers whose lease was over */
    uint64_t rebalances;
    uint32_t stands_still; /* partitions that do: their owners are handed nothing */
} weir_group_info;

/* ---- Members --------------------------------------------------------------------------------- */

typedef struct weir_member weir_member; /* opaque; valid until its MEMBER_CLOSED completion */

/* name, instance and origin: at most WEIR_MEMBER_BYTES_MAX bytes of UTF-8 without control characters
 * each, since they are shown to people; others are INVALID. */
typedef struct weir_join {
    weir_bytes group;
    weir_bytes name;     /* of the member, for people; null: made up */
    weir_bytes instance; /* stream: a static member takes its partitions up again; null: none */
    weir_bytes origin;   /* the front end */
    /* What the group must be, or is made as when there is none; NULL: it must exist. Fields that
     * are 0 are not asked for. EXISTS: it is another, as `weir_completion.group` then tells. */
    const weir_group_options *options;
    bool auto_revoke; /* stream: partitions asked back are given up at once; what it held is not
                       * acknowledged */
} weir_join;

typedef struct weir_owned {
    weir_bytes topic;
    uint32_t partition;
} weir_owned;

/* Unasked, for stream members: what it owns now, and what it is asked to give up. */
typedef struct weir_assigned {
    weir_member *member;
    uint64_t generation;
    weir_owned *owned; /* the receiver's: weir_completion_drop */
    uint32_t owned_count;
    weir_owned *revoked; /* finish them, then weir_port_member_revoked(generation) */
    uint32_t revoked_count;
    bool fenced; /* it is out: its time was over, or a static member of its name came */
} weir_assigned;

typedef struct weir_joined {
    weir_member *member;
    weir_model model;
    weir_mode mode;
    uint64_t number; /* of the member, for its leases' tokens; never given twice */
    uint64_t generation;
    int64_t lease_ms; /* queue; -1: as long as the member is there */
    int64_t session_ms;
} weir_joined;

typedef struct weir_take {
    uint32_t records_max; /* 1 and more */
    uint32_t bytes_max;   /* one record is always given */
    uint32_t wait_ms;     /* for a first one; at most limits.fetch_wait_ms_max */
} weir_take;

/* Records that were handed over together. The receiver owns one count of `chunk`. */
typedef struct weir_handed {
    weir_chunk *chunk;
    uint32_t first; /* index in the chunk */
    uint32_t count;
    uint64_t lease;  /* queue: its number; with the recovery epoch the token of these records */
    uint32_t leased; /* times, this one included */
    uint32_t failed;
} weir_handed;

typedef struct weir_taken {
    weir_handed *runs; /* the receiver's: weir_completion_drop */
    uint32_t run_count;
    uint64_t epoch;      /* the recovery epoch: half of the leases' tokens */
    uint64_t generation; /* stream */
    int64_t lease_ms;    /* queue: from now; -1: as long as the member is there */
    weir_mode mode;      /* at-most-once: they are accepted or committed, and under no lease */
} weir_taken;

typedef enum weir_verb {
    WEIR_VERB_ACCEPT = 1,
    WEIR_VERB_RELEASE, /* handed out again, after delay_ms; `failed` counts against the limit */
    WEIR_VERB_REJECT,  /* never again: the dead-letter topic, or fate rejected */
    WEIR_VERB_RENEW,   /* its lease begins anew */
} weir_verb;

/* Records [first, last] of one partition. queue: each must be under this lease; stream: `accept`
 * commits last + 1, which must not be beyond what the member was handed; `reject` takes one record
 * to the dead-letter topic and commits behind it, in one unit. stream: `accept` of first and last -1
 * commits nothing; NOT_FOUND tells whether the group reads the partition. */
typedef struct weir_settle_range {
    weir_bytes topic;
    uint32_t partition;
    int64_t first;
    int64_t last;
    uint64_t lease;
} weir_settle_range;

typedef struct weir_settle {
    weir_verb verb;
    const weir_settle_range *ranges;
    uint32_t range_count;
    uint64_t epoch;      /* as it was taken with */
    uint64_t generation; /* stream */
    int64_t delay_ms;    /* release of a queue's; 0 for streams, which cannot delay (NOT_OFFERED) */
    bool failed;         /* release */
    weir_bytes reason;   /* reject, release; UTF-8 without control characters; null: none */
    weir_bytes metadata; /* stream: kept with the commit; null: none */
    bool no_confirm;     /* no completion when all of it was done */
} weir_settle;

typedef struct weir_settled {
    uint64_t records; /* that were settled */
    uint64_t refused; /* whose lease (or generation) was over: err is LEASE_LOST */
    uint64_t ended;   /* queue: of the refused, those that had an end already */
    weir_level level; /* reached */
    int64_t lease_ms; /* renew */
} weir_settled;

/* ---- Resets ---------------------------------------------------------------------------------- */

typedef enum weir_reset_kind {
    WEIR_RESET_BEGINNING = 1,
    WEIR_RESET_END,
    WEIR_RESET_OFFSET, /* `value` */
    WEIR_RESET_TIME,   /* Unix milliseconds */
    WEIR_RESET_SHIFT,  /* by `value`, from where it is */
} weir_reset_kind;

typedef struct weir_reset {
    weir_bytes group;
    weir_bytes topic;  /* null: all that it reads */
    int64_t partition; /* -1: all */
    weir_reset_kind kind;
    int64_t value;
    bool dry_run; /* tells where it would go (GROUP completion: committed), and changes nothing */
} weir_reset;

#ifdef __cplusplus
}
#endif

#endif
