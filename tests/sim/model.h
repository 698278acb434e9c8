/* tests/sim/model.h - what must be true, written from docs/promises.md and not from the code.
 *
 * The model is told what clients sent, what they were answered, what readers saw, and which crashes
 * happened. It knows nothing of journals, units or segments. Each rule has a number; a broken one
 * stops the run and is told by it.
 *
 * [P1] What was acknowledged at `os` survives a kill, at `disk` a power cut; what a reader saw
 *      survives as if it had been acknowledged at its topic's level.
 * [P2] Offsets of a partition are dense, never repeat and never go backwards; after a crash a prefix is
 *      left, and an offset that is left has the record it had.
 * [P3] Nothing appears that was not sent, in the bytes it was sent with; nothing twice; nothing that
 *      was refused, or that a recovery did not find.
 * [P4] One port's records stand in a partition in the order in which it sent them.
 * [P5] A batch is there whole or not at all.
 * [P6] An acknowledgement tells a level the topic has; a record is visible once it is acknowledged.
 * [P7] Topics are there, with their options, once that was acknowledged, and gone once that was.
 * [P8] The value retained under a name is the last that was set there.
 * [P9] When faults have stopped, everything is answered and delivered within a bounded time.
 * [P10] A start offset never goes back, and moves only where retention may move it.
 * [P11] Compaction leaves the newest record of each key, and what it leaves has its offset.
 * [P12] A record that was sent again with the same id is stored once.
 * [P13] What was acknowledged at `os`, or seen, survives a power cut when the interval has passed since. */
#ifndef WEIR_TESTS_SIM_MODEL_H
#define WEIR_TESTS_SIM_MODEL_H

#include "weir/port.h"

enum {
    MODEL_TOPICS = 6,
    MODEL_PARTITIONS = 4,
    MODEL_PORTS = 3,
    MODEL_KEYS = 10, /* key 0 is null */
    MODEL_FAULT_BYTES = 512,
    MODEL_NONE = UINT32_MAX,
};

typedef enum model_sent {
    SENT_OPEN,    /* submitted, not answered */
    SENT_ACKED,   /* answered OK */
    SENT_REFUSED, /* answered with an error: it must never be seen */
    SENT_MAYBE,   /* nobody knows: a crash came first, or its topic went meanwhile */
    SENT_LOST,    /* a recovery did not find it: it must never be seen again */
} model_sent;

typedef struct model_send {
    model_sent state;
    weir_level level; /* acknowledged at */
    uint8_t topic;    /* MODEL_TOPICS: a live name of its port */
    uint8_t port;
    uint8_t key;
    uint8_t attributes;
    bool loose; /* its topic was created or deleted meanwhile: it may lie in either */
    bool again; /* it was sent before, with the same ids: [P12], not [P4] */
    uint32_t incarnation;
    uint32_t batch_index;
    uint32_t batch_count;
    int32_t value_bytes; /* -1: null */
    int64_t waits_ms;    /* queue groups wait so long with it, */
    int64_t at_ms;       /* or until then; 0: not */
    int32_t expires;     /* 1 and the seconds after which it is over for them; 0: never */
    int32_t partition;   /* -1: unknown */
    int64_t offset;      /* -1: unknown */
} model_send;

typedef struct model_slot {
    uint32_t send; /* MODEL_NONE: not known */
    uint32_t seen; /* by the reading of everything with this number */
    uint8_t safe;  /* the level it is known to be safe at; 0: none */
} model_slot;

typedef struct model_log {
    model_slot *slots; /* by offset */
    int64_t count;     /* slots there are: the end of what is known */
    int64_t capacity;
    int64_t start;
    int64_t start_safe;   /* where it may start again after a crash */
    int64_t end;          /* the high watermark that was told last */
    int64_t interval_end; /* what was acknowledged when the interval began */
    int64_t retained_to;  /* retained values are reckoned up to here */
} model_log;

typedef enum model_exists { TOPIC_NO, TOPIC_YES, TOPIC_CREATING, TOPIC_DELETING } model_exists;

typedef struct model_topic {
    char name[8];
    model_exists exists;
    uint32_t incarnation;
    uint32_t id; /* what the engine gave it; 0: unknown */
    weir_topic_options options;
    weir_level level_low;  /* the lowest in force since the last recovery */
    weir_level level_next; /* a change that is not answered; DEFAULT: none */
    uint32_t partitions_next;
    uint32_t changing; /* alterations and trims that are not answered: they go by its name */
    bool trims;        /* its start may move: by retention, or since it is a queue */
    bool removes;      /* records that nobody settled may go */
    bool keeps;        /* not before each group has settled them */
    bool compacts;
    bool holes; /* of a queue: it was seen that what is settled is not kept */
    bool
        level_changed; /* since the last recovery: what is acknowledged may wait for older records */
    bool grown;        /* keys may have moved between partitions */
    model_log logs[MODEL_PARTITIONS];
} model_topic;

typedef struct model_retained {
    uint32_t send;    /* MODEL_NONE: nothing is retained */
    uint32_t seen;    /* what a new subscriber was given */
    uint32_t settled; /* live names: sends before this one are reckoned in `send` */
    bool unknown;
} model_retained;

typedef struct sim_model {
    model_topic topics[MODEL_TOPICS];
    model_send *sends;
    uint32_t send_count;
    uint32_t send_capacity;
    model_retained retained[MODEL_TOPICS][MODEL_KEYS];
    model_retained live[MODEL_PORTS][MODEL_KEYS];
    weir_level survives; /* of the last crash */
    uint32_t reading;    /* of everything, the one that goes on */
    bool
        gaps; /* reads may fail, bytes may be damaged: gaps are no breach, as long as they are told */
    bool trims_gone; /* a topic that trims was deleted in this life: its readers may be told yet */
    uint64_t uncertain_kept, uncertain_lost; /* that recoveries decided */
    uint64_t acknowledged_lost;              /* at a level that the crash may touch */
    bool failed;
    char fault[MODEL_FAULT_BYTES];
} sim_model;

void model_init(sim_model *model);
void model_fini(sim_model *model);
void model_fail(sim_model *model, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- Bytes that are known from a send alone. ---------------------------------------------------- */
weir_bytes model_key(uint8_t key);                                    /* null, or static text */
size_t model_value(uint32_t send, int32_t value_bytes, uint8_t *out); /* fills; out may be NULL */
size_t model_name(const sim_model *model, const model_send *send, uint8_t *out, size_t size);

/* ---- What clients do and are told --------------------------------------------------------------- */
/* Returns its number, which goes with the record as a header. */
uint32_t model_sends(sim_model *model, model_send send);
void model_answered(sim_model *model, uint32_t send, const weir_completion *done);
/* The answer to a record that is answered only if it fails. */
void model_refused(sim_model *model, uint32_t send, const weir_completion *done);
void model_loosen(sim_model *model,
                  uint32_t topic); /* what is open may lie in either incarnation */

void model_topic_created(sim_model *model, uint32_t topic, const weir_topic_options *options,
                         uint32_t id);
void model_topic_deleted(sim_model *model, uint32_t topic);
void model_topic_level(sim_model *model, uint32_t topic, weir_level level);
void model_topic_trimmed(sim_model *model, uint32_t topic, uint32_t partition, int64_t before);
void model_topic_partitions(sim_model *model, uint32_t topic, uint32_t partitions);
/* The list of all topics. `settle`: after a recovery, so that what was under way is decided. */
void model_topics(sim_model *model, const weir_topics *topics, bool settle);

/* ---- What readers see --------------------------------------------------------------------------- */
/* A record of a topic; topic MODEL_TOPICS: a live one. Returns its send, MODEL_NONE on a breach. */
uint32_t model_number(const weir_record *record); /* of its send; MODEL_NONE: it has none */
uint32_t model_seen(sim_model *model, uint32_t topic, uint32_t partition,
                    const weir_record *record);
/* A value retained, under whatever incarnation it was set. */
uint32_t model_seen_retained(sim_model *model, uint32_t topic, const weir_record *record);
/* The end that a reader may count on: everything below was acknowledged or seen. */
int64_t model_known_end(const sim_model *model, uint32_t topic, uint32_t partition);
/* What a request was told that was asked when the known end was `least`. */
void model_told(sim_model *model, uint32_t topic, uint32_t partition, int64_t start, int64_t end,
                int64_t least);
/* The same after a recovery, or at rest: it is compared with all that is known. */
void model_bounds(sim_model *model, uint32_t topic, uint32_t partition, int64_t start, int64_t end);
/* Values retained, as a new subscriber to everything gets them. */
void model_retained_begin(sim_model *model);
void model_retained_seen(sim_model *model, uint32_t send);
void model_retained_end(sim_model *model);

/* ---- Crashes ------------------------------------------------------------------------------------ */
/* Open sends may be there or not. `survives`: the least level that this crash must not touch. */
void model_crashed(sim_model *model, weir_level survives);
/* [P13] What was acknowledged at `os` before the interval began is as safe as at `disk` when it has
 * passed. Returns how many records that made safer. */
void model_interval_begins(sim_model *model);
uint64_t model_interval_passed(sim_model *model);
/* After recovery: partitions were told by model_bounds and read by model_seen from start to end.
 * What is there is safe from now on, and what is not there must never come. */
void model_recovered(sim_model *model);
/* Everything of a partition was read: checks [P2] [P4] [P5]; after a recovery, when it is there to
 * stay, reckons what is retained. */
void model_read_whole(sim_model *model, uint32_t topic, uint32_t partition, bool recovered);

uint32_t model_topic_of(const sim_model *model, weir_bytes name); /* MODEL_NONE */
uint32_t model_open(const sim_model *model);                      /* sends not answered */

/* model.c and model_retained.c to each other */
/* `live`: the key is the whole name. */
bool model_bytes_right(const sim_model *model, uint32_t number, const weir_record *record,
                       bool live);
/* A name's retained value may have been set by records that nobody will read again. */
void model_retained_unknown(sim_model *model, uint32_t topic, bool all);
/* Of a partition that was read whole after a recovery. */
void model_retained_reckon(sim_model *model, uint32_t topic, model_log *log);

#endif
