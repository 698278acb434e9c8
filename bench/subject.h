/* bench/subject.h - what is measured: the ceiling, the peers, Weir; each started fresh and ended.
 *
 * Every start has an empty folder and ports of its own, on loopback. Main thread only. */
#ifndef WEIR_BENCH_SUBJECT_H
#define WEIR_BENCH_SUBJECT_H

#include "bench/driver.h"

typedef enum weir_subject_kind {
    WEIR_SUBJECT_CEILING,
    WEIR_SUBJECT_MOSQUITTO,
    WEIR_SUBJECT_NATS,
    WEIR_SUBJECT_RABBITMQ,
    WEIR_SUBJECT_REDIS,
    WEIR_SUBJECT_WEIR,
    WEIR_SUBJECT_LIBRARY, /* no broker: its driver starts what it measures */
} weir_subject_kind;

/* Zeroed fields are "none". */
typedef struct weir_subject {
    const char *name;
    weir_subject_kind kind;
    const char *setting; /* a few words for the table and the results */
    const char *config;  /* the file of bench/peers */
    const char *driver;  /* of all that is not MQTT */
    const char *mode;    /* weir_bench_target's, for its driver */
    bool append;         /* ceiling: see bench/ceiling/ceiling.h */
    bool sync;
    bool polling;
} weir_subject;

/* NULL: no such subject. */
const weir_subject *weir_subject_named(const char *name);
/* All of them; *count. */
const weir_subject *weir_subjects(size_t *count);

/* False, and in `text` the line that installs it, when its program is not here. */
bool weir_subject_there(const weir_subject *subject, char *text, size_t size);
/* Who drives it with this kind of workload. NULL: nobody yet. */
const weir_driver *weir_subject_driver(const weir_subject *subject, weir_bench_kind kind);
/* What it says its version is; "" where it cannot be asked. */
void weir_subject_version(const weir_subject *subject, char *text, size_t size);

/* Which weir is measured, and what differs from its file of bench/peers. Borrowed. */
typedef struct weir_subject_weir {
    const char *program;
    char *const *sets; /* KEY=VALUE */
    size_t set_count;
} weir_subject_weir;

typedef struct weir_subject_run {
    pid_t pid;
    char folder[256];
    uint16_t mqtt_port; /* 0: not offered */
    uint16_t web_port;
    uint16_t other_port;
    uint16_t reply_port; /* Weir's nng listeners; 0: not offered */
    uint16_t pull_port;
    uint16_t publish_port;
    uint16_t push_port;
    uint16_t epmd_port; /* RabbitMQ: of the helper its node starts */
    const char *web_path;
    char text[WEIR_BENCH_TEXT_MAX]; /* why it did not start */
} weir_subject_run;

/* Where a driver finds it. */
void weir_subject_target(const weir_subject *subject, const weir_subject_run *run,
                         const weir_bench_workload *work, weir_bench_target *target);
/* Starts it and waits until it listens. On failure run->text says why and nothing is left. */
weir_err weir_subject_start(const weir_subject *subject, const weir_subject_weir *weir,
                            weir_subject_run *run);
void weir_subject_end(const weir_subject *subject, weir_subject_run *run);

/* A file of bench/peers as it was built in; NULL: none of that name. */
const char *weir_peers_file(const char *name);

#endif
