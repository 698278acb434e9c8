/* programs/serve.c - the gateway's life: open, start, say ready, watch, drain, close.
 *
 *     configuration -> engine -> loops -> adapters -> topics, groups -> ports file -> "ready"
 *           -> watch (a signal, or the engine's health once a second)
 *           -> drain (drain_ms_max; a second signal cuts it short) -> stop -> close -> 0
 *
 * Happy path: SIGINT or SIGTERM ends the watch, everything in flight is answered, the engine is
 * closed, the ports file is removed, the exit code is 0. Failures before "ready" are one message
 * each that says what to do; what was opened is closed again in reverse. A gateway that was taken
 * over leaves at once (exit 4) without touching the directory, which is another's now. A failed
 * write leaves it serving reads, said once; so does a journal that is damaged behind the checkpoint.
 *
 * [S1] Signals are blocked before the first thread starts and read from one descriptor.
 * [S2] The ports file appears whole (written aside, then renamed) and only once everything listens.
 * [S3] What a failed write has left unanswered is not held for ever: nobody will ever know more of it.
 */
#include "adapters/shared/descriptors.h"
#include "adapters/shared/loop.h"
#include "weir/engine.h"
#include "weir/port.h"

#include "programs/commands.h"
#include "programs/config.h"
#include "programs/host.h"
#include "programs/say.h"
#include "programs/topic.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    HEALTH_EVERY_MS = 1000,
    DRAIN_LOOK_MS = 100, /* the same while a stop waits */
    LOOPS_DEFAULT_MAX = 2,
    TOPIC_WAIT_MS = 60000,
    /* File descriptors that no connection gets (docs/operations.md): */
    OWN_DESCRIPTORS =
        128, /* journal, spare, checkpoint, flush, compaction, reads, listeners, clients out */
    LOOP_DESCRIPTORS = 32, /* of each I/O thread */
    SEGMENT_FILES_LEAST = 16,
    CONNECTIONS_LEAST = 16,
};

typedef struct gateway {
    weir_config config;
    weir_engine *engine;
    weir_loops *loops;
    weir_hosts *hosts;
    int signals; /* a signalfd; -1 before */
    bool ports_written;
    weir_engine_health health; /* as last told */
    uint64_t connections_max;  /* of all front ends together */
} gateway;

/* ---- Before anything is opened ----------------------------------------------------------------
 */

static weir_err signals_open(gateway *own, weir_fault *fault)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 ||
        (own->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0) {
        return weir_fault_fill(fault, WEIR_IO, NULL, 0, 0, "signals cannot be received: %s",
                               strerror(errno));
    }
    return WEIR_OK;
}

static unsigned loop_count(const weir_config *config)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t asked = weir_config_number(config, WEIR_KEY_loops);
    if (asked > 0) {
        return (unsigned)asked;
    }
    return processors > 1 ? LOOPS_DEFAULT_MAX : 1;
}

/* How many the process may have, once that is as many as the system allows. */
static uint64_t descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return UINT64_MAX;
    }
    rlim_t before = limit.rlim_cur;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            weir_say("the limit of open files stays as it was: %s", strerror(errno));
            return before;
        }
    }
    return limit.rlim_cur;
}

/* Shares the descriptors out: the engine's part first, so that no number of connections can take what
 * it writes with. Of few, segments get half. */
static weir_err descriptors_share(gateway *own, weir_engine_config *engine, weir_fault *fault)
{
    uint64_t most = descriptors_raise();
    uint64_t kept = OWN_DESCRIPTORS + (uint64_t)LOOP_DESCRIPTORS * loop_count(&own->config);
    uint64_t least = kept + SEGMENT_FILES_LEAST + CONNECTIONS_LEAST;
    uint64_t asked = weir_config_number(&own->config, WEIR_KEY_limits_connections_max);
    if (most < least) {
        return weir_fault_fill(
            fault, WEIR_LIMIT, NULL, 0, 0,
            "the process may have %llu open files, and needs %llu at least: raise "
            "the limit (ulimit -n, LimitNOFILE=)",
            (unsigned long long)most, (unsigned long long)least);
    }
    uint64_t files = (most - kept) / 2;
    if (engine->segment_files_max > files) {
        weir_say(
            "segment_files_max is %llu instead of %u: the process may have %llu open files; raise "
            "the limit (ulimit -n, LimitNOFILE=)",
            (unsigned long long)files, engine->segment_files_max, (unsigned long long)most);
        engine->segment_files_max = (uint32_t)files;
    }
    own->connections_max = most - kept - engine->segment_files_max;
    if (own->connections_max < asked) {
        weir_say(
            "%llu connections at most, of all front ends together, instead of "
            "limits.connections_max=%llu each: the process may have %llu open files, and keeps "
            "%llu for itself; raise the limit (ulimit -n, LimitNOFILE=)",
            (unsigned long long)own->connections_max, (unsigned long long)asked,
            (unsigned long long)most, (unsigned long long)(most - own->connections_max));
    }
    return WEIR_OK;
}

/* Makes the folders above the data directory; the engine makes the directory itself. */
static weir_err parents_make(const char *path, weir_fault *fault)
{
    char part[4096];
    size_t len = strlen(path);
    if (len >= sizeof(part)) {
        return weir_fault_fill(fault, WEIR_INVALID, NULL, 0, 0, "data: the path is too long");
    }
    memcpy(part, path, len + 1);
    for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST) {
            return weir_fault_fill(
                fault, WEIR_IO, part, 0, 0,
                "the folder %s cannot be made: %s; make it, or name another data "
                "directory with --data",
                part, strerror(errno));
        }
        *slash = '/';
    }
    return WEIR_OK;
}

/* The directory is ours now, and with it the socket's name: an owner that hangs keeps it open, so
 * it would seem to be in use. */
static void socket_take_over(const gateway *own)
{
    char path[4096];
    const char *set = weir_config_text(&own->config, WEIR_KEY_local_path);
    const char *data = weir_config_text(&own->config, WEIR_KEY_data);
    int len = snprintf(path, sizeof(path), "%s/weir.sock", data);
    if (set == NULL && len < (int)sizeof(path) && unlink(path) != 0 && errno != ENOENT) {
        weir_say("%s cannot be removed: %s", path, strerror(errno));
    }
}

/* ---- Topics of the configuration ---------------------------------------------------------------
 */

/* Waits for the completion of what was submitted (`err` of the submission); it is the caller's to
 * drop on OK. */
static weir_err topic_wait(weir_port *port, weir_err err, weir_completion *done)
{
    while (err == WEIR_OK && weir_port_drain(port, done, 1) == 0) {
        err = weir_port_wait(port, TOPIC_WAIT_MS);
    }
    if (err == WEIR_OK && done->err != WEIR_OK) {
        err = done->err;
        weir_completion_drop(done);
    }
    return err;
}

static weir_err topic_declare(weir_port *port, const weir_topic_entry *topic)
{
    weir_completion done = {0};
    weir_bytes name = weir_bytes_of(topic->name);
    weir_err err =
        topic_wait(port, weir_port_topic_create(port, name, &topic->options, NULL, 0), &done);
    if (err == WEIR_OK) {
        weir_completion_drop(&done);
    }
    return err;
}

/* In what the topic that is there differs from the file's; empty when that cannot be told. */
static void topic_differs(weir_port *port, const weir_topic_entry *topic,
                          char text[WEIR_TOPIC_DIFFERENCE_MAX])
{
    weir_completion done = {0};
    weir_bytes name = weir_bytes_of(topic->name);
    text[0] = '\0';
    if (topic_wait(port, weir_port_topics(port, name, NULL, 0), &done) != WEIR_OK) {
        return;
    }
    if (done.topics.count == 1) {
        weir_topic_difference(&done.topics.topics[0].options, &topic->options, text);
    }
    weir_completion_drop(&done);
}

static weir_err topics_declare(gateway *own, weir_fault *fault)
{
    weir_port *port = NULL;
    weir_err err;
    if (own->config.topic_count == 0) {
        return WEIR_OK;
    }
    err = weir_port_open(own->engine, &port);
    for (size_t i = 0; i < own->config.topic_count && err == WEIR_OK; i++) {
        const weir_topic_entry *topic = &own->config.topics[i];
        err = topic_declare(port, topic);
        if (err == WEIR_READ_ONLY && weir_engine_fault(own->engine) != NULL) {
            err = WEIR_OK; /* one that is not there cannot be made now */
        } else if (err == WEIR_EXISTS) {
            char text[WEIR_TOPIC_DIFFERENCE_MAX];
            topic_differs(port, topic, text);
            (void)weir_fault_fill(
                fault, err, own->config.file, topic->place.line, topic->place.column,
                "topic \"%.128s\" exists with other settings: %s; make the file say "
                "what is there",
                topic->name, text);
        } else if (err != WEIR_OK) {
            (void)weir_fault_fill(fault, err, own->config.file, topic->place.line,
                                  topic->place.column, "topic \"%.200s\" could not be declared: %s",
                                  topic->name, weir_err_text(err));
        }
    }
    if (port == NULL) {
        return weir_fault_fill(fault, err, NULL, 0, 0, "no port to the engine: %s",
                               weir_err_text(err));
    }
    weir_port_close(port);
    return err;
}

/* ---- Groups of the configuration ---------------------------------------------------------------
 */

/* The group of a queue topic came with it: what the file says of it is set. */
static weir_err group_declare(const weir_config *config, weir_port *port,
                              const weir_group_entry *group)
{
    weir_completion done = {0};
    weir_bytes name = weir_bytes_of(group->name);
    bool own = weir_config_group_of_queue(config, group);
    weir_err err = own ? weir_port_group_alter(port, name, &group->options, NULL, 0)
                       : weir_port_group_create(port, name, &group->options, NULL, 0);
    err = topic_wait(port, err, &done);
    if (err == WEIR_OK) {
        weir_completion_drop(&done);
    }
    return err;
}

/* The first topic that the group names and that is not declared; null: each is. */
static weir_bytes topic_missing(weir_port *port, const weir_group_options *options)
{
    for (uint32_t i = 0; i <= options->topic_count; i++) {
        bool letters = i == options->topic_count;
        weir_bytes name = letters ? options->dead_letter : options->topics[i];
        weir_completion done = {0};
        if (letters && name.len == 0) {
            break;
        }
        weir_err err = topic_wait(port, weir_port_topics(port, name, NULL, 0), &done);
        if (err == WEIR_NOT_FOUND) {
            return name;
        }
        if (err == WEIR_OK) {
            weir_completion_drop(&done);
        }
    }
    return WEIR_BYTES_NULL;
}

static weir_err group_refused(const gateway *own, weir_port *port, const weir_group_entry *group,
                              weir_err err, weir_fault *fault)
{
    weir_bytes missing =
        err == WEIR_NOT_FOUND ? topic_missing(port, &group->options) : WEIR_BYTES_NULL;
    if (missing.ptr != NULL) {
        return weir_fault_fill(
            fault, err, own->config.file, group->place.line, group->place.column,
            "group \"%.128s\" could not be declared: the topic \"%.*s\"%s is not declared; put it "
            "under topics:",
            group->name, missing.len > 249 ? 249 : (int)missing.len, (const char *)missing.ptr,
            weir_bytes_equal(missing, group->options.dead_letter) ? ", its dead_letter," : "");
    }
    const char *why =
        err == WEIR_EXISTS      ? "it exists with other settings; `weir group` tells which: "
                                  "make the file say what is there"
        : err == WEIR_NOT_FOUND ? "a topic that it names is not declared; put it under topics:"
                                : weir_err_text(err);
    return weir_fault_fill(fault, err, own->config.file, group->place.line, group->place.column,
                           "group \"%.128s\" could not be declared: %s", group->name, why);
}

static weir_err groups_declare(gateway *own, weir_fault *fault)
{
    weir_port *port = NULL;
    if (own->config.group_count == 0) {
        return WEIR_OK;
    }
    weir_err err = weir_port_open(own->engine, &port);
    if (err != WEIR_OK) {
        return weir_fault_fill(fault, err, NULL, 0, 0, "no port to the engine: %s",
                               weir_err_text(err));
    }
    for (size_t i = 0; i < own->config.group_count && err == WEIR_OK; i++) {
        const weir_group_entry *group = &own->config.groups[i];
        err = group_declare(&own->config, port, group);
        if (err == WEIR_READ_ONLY && weir_engine_fault(own->engine) != NULL) {
            err = WEIR_OK; /* one that is not there cannot be made now */
        } else if (err != WEIR_OK) {
            err = group_refused(own, port, group, err, fault);
        }
    }
    weir_port_close(port);
    return err;
}

/* ---- Ready ------------------------------------------------------------------------------------
 */

static weir_err ports_write(gateway *own, weir_fault *fault)
{
    const char *path = weir_config_text(&own->config, WEIR_KEY_ports);
    char aside[4096];
    FILE *file;
    bool written = false;
    if (path == NULL) {
        return WEIR_OK;
    }
    snprintf(aside, sizeof(aside), "%s.%ld", path, (long)getpid());
    file = fopen(aside, "wbe");
    if (file != NULL) {
        written = fputs(weir_hosts_announced(own->hosts), file) >= 0;
        written = fclose(file) == 0 && written;
        written = written && rename(aside, path) == 0;
    }
    if (!written) {
        int number = errno;
        if (file != NULL) {
            unlink(aside);
        }
        return weir_fault_fill(fault, WEIR_IO, path, 0, 0,
                               "the ports file %s cannot be written: %s; name another with --ports",
                               path, strerror(number));
    }
    own->ports_written = true;
    return WEIR_OK;
}

/* One line: "weir 0.1.0 ready: mqtt 127.0.0.1:1883, local /x/weir.sock (data ./var/data)". */
static void ready_say(const gateway *own)
{
    const char *at = weir_hosts_announced(own->hosts);
    if (*at == '\0') {
        weir_say("every front end is switched off: nobody can connect to this gateway");
    }
    printf("weir %s ready:%s", weir_version(), *at == '\0' ? " no listener" : "");
    while (*at != '\0') {
        int len = (int)strcspn(at, "\n");
        printf(" %.*s%s", len, at, at[len + 1] != '\0' ? "," : "");
        at += len + 1;
    }
    printf(" (data %s)\n", weir_config_text(&own->config, WEIR_KEY_data));
    fflush(stdout);
}

/* What is there is served; nothing is taken in. */
static void damage_say(gateway *own)
{
    weir_say_fault(weir_engine_fault(own->engine));
    weir_say("the journal is damaged: up to there everything is served, and every write is refused "
             "(read-only)");
    own->health = weir_engine_health_of(own->engine);
}

static weir_err gateway_start(gateway *own, const weir_arguments *arguments, weir_fault *fault)
{
    weir_engine_config engine = {.take_over = false};
    weir_err err = signals_open(own, fault);
    if (err == WEIR_OK) {
        weir_config_engine(&own->config, &engine);
        err = descriptors_share(own, &engine, fault);
    }
    if (err == WEIR_OK) {
        err = weir_hosts_create(&own->config, &own->hosts, fault);
    }
    if (err == WEIR_OK) {
        err = parents_make(weir_config_text(&own->config, WEIR_KEY_data), fault);
    }
    if (err == WEIR_OK) {
        engine.take_over = weir_arguments_has(arguments, "take-over");
        engine.damage = WEIR_DAMAGE_READ_ONLY;
        err = weir_engine_open(&engine, &own->engine, fault);
    }
    if (err == WEIR_OK && weir_engine_fault(own->engine) != NULL) {
        damage_say(own);
    }
    if (err == WEIR_OK && engine.take_over) {
        socket_take_over(own);
    }
    if (err == WEIR_OK) {
        err = weir_loops_create(own->engine, loop_count(&own->config), &own->loops, fault);
    }
    if (err == WEIR_OK) {
        uint64_t together = weir_config_number(&own->config, WEIR_KEY_loops_together);
        weir_loops_together_set(own->loops, (unsigned)together);
        weir_descriptors_max_set(own->connections_max);
        err = topics_declare(own, fault);
        err = err == WEIR_OK ? groups_declare(own, fault) : err;
    }
    if (err == WEIR_OK) {
        err = weir_hosts_start(own->hosts, own->engine, own->loops, fault);
    }
    if (err == WEIR_OK) {
        err = ports_write(own, fault);
    }
    return err;
}

/* ---- Serving ----------------------------------------------------------------------------------
 */

static void health_say(gateway *own)
{
    weir_engine_health health = weir_engine_health_of(own->engine);
    if (health == own->health) {
        return;
    }
    own->health = health;
    switch (health) {
    case WEIR_HEALTH_OK:
        weir_say("writing goes on: what it lacked is there again");
        break;
    case WEIR_HEALTH_DISK_FULL:
        weir_say(
            "the disk is full, or there is no memory or file descriptor left (the log says which): "
            "publishes are refused, everything else is served; free some, and writing resumes by "
            "itself");
        break;
    case WEIR_HEALTH_STOPPED:
        weir_say(
            "a write or a sync failed: writing has stopped, reading is served; see to the disk, "
            "then restart weir, which recovers");
        weir_engine_stop_waiting(own->engine); /* [S3] */
        break;
    case WEIR_HEALTH_FENCED:
        break; /* watch leaves for it */
    }
}

static bool signal_taken(const gateway *own)
{
    struct signalfd_siginfo info;
    return read(own->signals, &info, sizeof(info)) == (ssize_t)sizeof(info);
}

/* Until a signal (true) or until another gateway has taken the directory over (false). */
static bool watch(gateway *own)
{
    struct pollfd wait = {.fd = own->signals, .events = POLLIN};
    for (;;) {
        int ready = poll(&wait, 1, HEALTH_EVERY_MS);
        if (ready > 0 && signal_taken(own)) {
            return true;
        }
        health_say(own);
        if (own->health == WEIR_HEALTH_FENCED) {
            return false;
        }
    }
}

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits until all have drained, drain_ms_max has passed, or a second signal comes. */
static void drain(gateway *own)
{
    long long until = now_ms() + (long long)weir_config_number(&own->config, WEIR_KEY_drain_ms_max);
    struct pollfd wait[2] = {{.fd = own->signals, .events = POLLIN},
                             {.fd = weir_hosts_fd(own->hosts), .events = POLLIN}};
    weir_hosts_drain(own->hosts);
    while (!weir_hosts_drained(own->hosts)) {
        long long left = until - now_ms();
        if (left <= 0) {
            weir_say("stopping with something still in flight: drain_ms_max has passed");
            return;
        }
        health_say(own); /* a disk that fails now leaves answers that would never come: [S3] */
        left = left < DRAIN_LOOK_MS ? left : DRAIN_LOOK_MS;
        if (poll(wait, 2, (int)left) > 0 && (wait[0].revents & POLLIN) != 0 && signal_taken(own)) {
            weir_say("stopping at once: a second signal came");
            return;
        }
    }
}

/* Gives a third signal its usual effect, should closing hang. */
static void signals_close(gateway *own)
{
    sigset_t none;
    sigemptyset(&none);
    if (own->signals >= 0) {
        close(own->signals);
        own->signals = -1;
    }
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Adapters free what they have once all of it is answered: a full disk must not keep them. */
static weir_exit gateway_stop(gateway *own, weir_exit code)
{
    if (own->engine != NULL) {
        weir_engine_stop_waiting(own->engine);
    }
    if (own->hosts != NULL) {
        weir_hosts_stop(own->hosts);
    }
    if (own->loops != NULL) {
        weir_loops_destroy(own->loops);
    }
    if (own->engine != NULL) {
        weir_err err = weir_engine_close(own->engine);
        if (err != WEIR_OK && code == WEIR_EXIT_DONE) {
            weir_say(
                "the last checkpoint could not be written (%s); the journal has everything, and the "
                "next start reads it",
                weir_err_name(err));
            code = WEIR_EXIT_ERROR;
        }
    }
    weir_hosts_destroy(own->hosts);
    if (own->ports_written) {
        unlink(weir_config_text(&own->config, WEIR_KEY_ports));
    }
    weir_config_fini(&own->config);
    return code;
}

weir_exit weir_run_serve(const weir_arguments *arguments)
{
    gateway own = {.signals = -1};
    weir_fault fault = {.err = WEIR_OK};
    weir_err err;
    if (!weir_config_for_serving(&own.config, arguments)) {
        weir_config_fini(&own.config);
        return WEIR_EXIT_USAGE;
    }
    err = gateway_start(&own, arguments, &fault);
    if (err != WEIR_OK) {
        fault.err = err;
        weir_say_fault(&fault);
        signals_close(&own);
        return gateway_stop(&own, err == WEIR_LOCKED || err == WEIR_FENCED ? WEIR_EXIT_REFUSED
                                                                           : WEIR_EXIT_ERROR);
    }
    ready_say(&own);
    if (!watch(&own)) {
        weir_say("another gateway has taken %s over; this one leaves",
                 weir_config_text(&own.config, WEIR_KEY_data));
        _exit(WEIR_EXIT_REFUSED); /* the directory is not ours any more: touch nothing in it */
    }
    drain(&own);
    signals_close(&own);
    return gateway_stop(&own, WEIR_EXIT_DONE);
}
