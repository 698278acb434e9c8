/* bench/subject.c - how each subject is configured, started, awaited and ended.
 *
 *   bench/peers/FILE, with @FOLDER@ @MQTT_PORT@ @WEB_PORT@ @OTHER_PORT@ filled in -> folder/FILE ->
 * start
 *
 * Failures: a program that is not here is told with the line that installs it; one that ends before
 * it listens with the last words of its log. */
#include "bench/subject.h"

#include "bench/bench.h"
#include "bench/ceiling/ceiling.h"
#include "bench/process.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CONFIG_BYTES_MAX = 8192,
    START_MS_MAX = 15000,
    START_MS_RABBITMQ = 90000,
    END_MS_MAX = 15000,
    LOG_BYTES = 4096,
};

static const weir_subject subjects[] = {
    {.name = "ceiling", .kind = WEIR_SUBJECT_CEILING, .setting = "null broker"},
    {.name = "ceiling-append",
     .kind = WEIR_SUBJECT_CEILING,
     .setting = "appends, never syncs",
     .append = true},
    {.name = "ceiling-sync",
     .kind = WEIR_SUBJECT_CEILING,
     .setting = "appends, syncs in groups",
     .append = true,
     .sync = true},
    {.name = "ceiling-polling",
     .kind = WEIR_SUBJECT_CEILING,
     .setting = "never sleeps",
     .polling = true},
    {.name = "limit-ingest",
     .kind = WEIR_SUBJECT_LIBRARY,
     .setting = "receive, checksum, append",
     .driver = "limits",
     .mode = "ingest"},
    {.name = "limit-ingest-sync",
     .kind = WEIR_SUBJECT_LIBRARY,
     .setting = "receive, checksum, append, sync each 256 KiB",
     .driver = "limits",
     .mode = "ingest-sync"},
    {.name = "limit-sendfile",
     .kind = WEIR_SUBJECT_LIBRARY,
     .setting = "sendfile of cached data",
     .driver = "limits",
     .mode = "sendfile"},
    {.name = "limit-synced",
     .kind = WEIR_SUBJECT_LIBRARY,
     .setting = "receive, append, sync, answer",
     .driver = "limits",
     .mode = "synced"},
    {.name = "limit-fdatasync",
     .kind = WEIR_SUBJECT_LIBRARY,
     .setting = "file of fixed size",
     .driver = "limits",
     .mode = "sync"},
    {.name = "limit-write",
     .kind = WEIR_SUBJECT_LIBRARY,
     .setting = "page cache, one sync at the end of each file",
     .driver = "limits",
     .mode = "write"},
    {.name = "limit-write-direct",
     .kind = WEIR_SUBJECT_LIBRARY,
     .setting = "O_DIRECT",
     .driver = "limits",
     .mode = "write-direct"},
    {.name = "limit-tcp",
     .kind = WEIR_SUBJECT_LIBRARY,
     .setting = "writev of 64 KiB, a vector for each message",
     .driver = "limits",
     .mode = "tcp"},
    {.name = "mosquitto",
     .kind = WEIR_SUBJECT_MOSQUITTO,
     .setting = "no persistence, nodelay",
     .config = "mosquitto.conf"},
    {.name = "mosquitto-nagle",
     .kind = WEIR_SUBJECT_MOSQUITTO,
     .setting = "no persistence",
     .config = "mosquitto-nagle.conf"},
    {.name = "mosquitto-autosave1s",
     .kind = WEIR_SUBJECT_MOSQUITTO,
     .setting = "saved every second",
     .config = "mosquitto-autosave1s.conf"},
    {.name = "mosquitto-ws",
     .kind = WEIR_SUBJECT_MOSQUITTO,
     .setting = "WebSocket, no persistence",
     .config = "mosquitto-ws.conf"},
    {.name = "nats",
     .kind = WEIR_SUBJECT_NATS,
     .setting = "MQTT, file store, not synced",
     .config = "nats.conf"},
    {.name = "jetstream",
     .kind = WEIR_SUBJECT_NATS,
     .setting = "file store, not synced; queues: push group",
     .config = "nats.conf",
     .driver = "nats"},
    {.name = "jetstream-pull",
     .kind = WEIR_SUBJECT_NATS,
     .setting = "file store, not synced, pull consumers",
     .config = "nats.conf",
     .driver = "nats",
     .mode = "pull"},
    {.name = "rabbitmq",
     .kind = WEIR_SUBJECT_RABBITMQ,
     .setting = "rabbitmq_mqtt",
     .config = "rabbitmq.conf"},
    {.name = "rabbitmq-classic",
     .kind = WEIR_SUBJECT_RABBITMQ,
     .setting = "classic queue, persistent",
     .config = "rabbitmq.conf",
     .driver = "amqp",
     .mode = "classic"},
    {.name = "rabbitmq-quorum",
     .kind = WEIR_SUBJECT_RABBITMQ,
     .setting = "quorum queue, one node, synced in groups",
     .config = "rabbitmq.conf",
     .driver = "amqp",
     .mode = "quorum"},
    {.name = "rabbitmq-stream",
     .kind = WEIR_SUBJECT_RABBITMQ,
     .setting = "stream over AMQP, not synced",
     .config = "rabbitmq.conf",
     .driver = "amqp",
     .mode = "stream"},
    {.name = "redis-everysec",
     .kind = WEIR_SUBJECT_REDIS,
     .setting = "stream in memory, synced every second",
     .config = "redis-everysec.conf",
     .driver = "redis"},
    {.name = "redis-always",
     .kind = WEIR_SUBJECT_REDIS,
     .setting = "stream in memory, synced before an answer",
     .config = "redis-always.conf",
     .driver = "redis"},
    {.name = "nng-raw",
     .kind = WEIR_SUBJECT_LIBRARY,
     .setting = "raw socket to nng client",
     .driver = "nng",
     .mode = "raw"},
    {.name = "nng",
     .kind = WEIR_SUBJECT_LIBRARY,
     .setting = "nng to nng",
     .driver = "nng",
     .mode = "nng"},
    {.name = "zmq",
     .kind = WEIR_SUBJECT_LIBRARY,
     .setting = "XPUB that drops nothing, SUB",
     .driver = "zmq"},
    {.name = "weir",
     .kind = WEIR_SUBJECT_WEIR,
     .setting = "live names",
     .config = "weir.yaml",
     .driver = "weir1"},
    {.name = "weir-os",
     .kind = WEIR_SUBJECT_WEIR,
     .setting = "declared topic, os",
     .config = "weir-os.yaml",
     .driver = "weir1"},
    {.name = "weir-disk",
     .kind = WEIR_SUBJECT_WEIR,
     .setting = "declared topic, disk",
     .config = "weir-disk.yaml",
     .driver = "weir1"},
    {.name = "weir-nng",
     .kind = WEIR_SUBJECT_WEIR,
     .setting = "nng listeners",
     .config = "weir-nng.yaml",
     .driver = "nng",
     .mode = "weir"},
};

enum { SUBJECTS = sizeof(subjects) / sizeof(subjects[0]) };

const weir_subject *weir_subjects(size_t *count)
{
    *count = SUBJECTS;
    return subjects;
}

const weir_subject *weir_subject_named(const char *name)
{
    for (size_t i = 0; i < SUBJECTS; i++) {
        if (strcmp(subjects[i].name, name) == 0) {
            return &subjects[i];
        }
    }
    return NULL;
}

/* ---- Programs ----------------------------------------------------------------------------------
 */

static const char *const program_names[] = {
    [WEIR_SUBJECT_MOSQUITTO] = "mosquitto",
    [WEIR_SUBJECT_NATS] = "nats-server",
    /* Not the wrapper of /usr/sbin, which becomes another user and uses the system's folders. */
    [WEIR_SUBJECT_RABBITMQ] = "../lib/rabbitmq/bin/rabbitmq-server",
    [WEIR_SUBJECT_REDIS] = "redis-server",
};

static bool is_foreign(const weir_subject *subject)
{
    return subject->kind == WEIR_SUBJECT_MOSQUITTO || subject->kind == WEIR_SUBJECT_NATS ||
           subject->kind == WEIR_SUBJECT_RABBITMQ || subject->kind == WEIR_SUBJECT_REDIS;
}

const weir_driver *weir_subject_driver(const weir_subject *subject, weir_bench_kind kind)
{
    if (kind == WEIR_BENCH_MQTT) {
        return weir_driver_named("mqtt");
    }
    return subject->driver != NULL ? weir_driver_named(subject->driver) : NULL;
}

bool weir_subject_there(const weir_subject *subject, char *text, size_t size)
{
    char path[512];
    const char *slash;
    if (!is_foreign(subject) ||
        weir_program_find(program_names[subject->kind], path, sizeof(path))) {
        return true;
    }
    slash = strrchr(program_names[subject->kind], '/');
    snprintf(text, size, "not installed: apt-get install --no-install-recommends %s",
             slash != NULL ? slash + 1 : program_names[subject->kind]);
    return false;
}

/* Of the folder of its plug-ins, whose names carry it: rabbit-3.10.8. */
static void rabbitmq_version(char *text, size_t size)
{
    glob_t found;
    if (glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*", 0, NULL, &found) == 0) {
        const char *dash = strrchr(found.gl_pathv[found.gl_pathc - 1], '-');
        snprintf(text, size, "RabbitMQ %s", dash != NULL ? dash + 1 : "?");
        globfree(&found);
    }
}

void weir_subject_version(const weir_subject *subject, char *text, size_t size)
{
    char path[512];
    char question[16];
    char *argv[] = {path, question, NULL};
    text[0] = '\0';
    if (subject->kind == WEIR_SUBJECT_WEIR) {
        snprintf(text, size, "%s", weir_version());
        return;
    }
    if (!is_foreign(subject)) {
        return; /* the ceiling has none, and a driver's library is its own subject */
    }
    if (subject->kind == WEIR_SUBJECT_RABBITMQ) {
        rabbitmq_version(text, size); /* it says so itself only while it runs */
        return;
    }
    snprintf(question, sizeof(question), "%s",
             subject->kind == WEIR_SUBJECT_MOSQUITTO ? "-h" : "--version");
    if (weir_program_find(program_names[subject->kind], path, sizeof(path)) &&
        weir_process_capture(argv, text, size)) {
        text[strcspn(text, "\n")] = '\0';
    }
}

/* ---- Configuration -----------------------------------------------------------------------------
 */

/* The value of a placeholder that `at` begins with; *used its length. */
static bool placeholder(const weir_subject_run *run, const char *at, size_t *used, char *value,
                        size_t size)
{
    static const char *const names[] = {"@FOLDER@", "@MQTT_PORT@", "@WEB_PORT@", "@OTHER_PORT@"};
    const unsigned ports[] = {0, run->mqtt_port, run->web_port, run->other_port};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strncmp(at, names[i], strlen(names[i])) == 0) {
            *used = strlen(names[i]);
            if (i == 0) {
                snprintf(value, size, "%s", run->folder);
            } else {
                snprintf(value, size, "%u", ports[i]);
            }
            return true;
        }
    }
    return false;
}

static bool config_write(const weir_subject_run *run, const char *name, char *path, size_t size)
{
    const char *at = weir_peers_file(name);
    char text[CONFIG_BYTES_MAX];
    size_t len = 0;
    while (at != NULL && *at != '\0' && len < sizeof(text) - 1) {
        char value[256];
        size_t used = 0;
        if (*at == '@' && placeholder(run, at, &used, value, sizeof(value))) {
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s", value);
            at += used;
        } else {
            text[len++] = *at++;
        }
    }
    text[len < sizeof(text) ? len : sizeof(text) - 1] = '\0';
    snprintf(path, size, "%s/%s", run->folder, name);
    return weir_file_write(path, text);
}

/* ---- Starting ----------------------------------------------------------------------------------
 */

typedef struct ceiling_start {
    weir_ceiling_options options;
} ceiling_start;

static int ceiling_body(void *arg)
{
    ceiling_start *start = arg;
    return weir_ceiling_run(&start->options) == WEIR_OK ? 0 : 1;
}

static weir_err ceiling_begin(const weir_subject *subject, weir_subject_run *run)
{
    ceiling_start start = {.options = {.append = subject->append,
                                       .sync = subject->sync,
                                       .polling = subject->polling,
                                       .folder = run->folder}};
    weir_err err = weir_bench_listener(&start.options.listener, &run->mqtt_port);
    if (err == WEIR_OK) {
        err = weir_process_fork(ceiling_body, &start, &run->pid);
        close(start.options.listener);
    }
    return err;
}

/* weir serve -c FILE [--set KEY=VALUE]..., PROGRAM -c FILE, or redis-server FILE. */
static weir_err program_begin(const weir_subject *subject, const weir_subject_weir *weir,
                              weir_subject_run *run)
{
    static char serve[] = "serve";
    static char from[] = "-c";
    static char set[] = "--set";
    char program[4096];
    char config[512];
    char log[512];
    char *argv[4 + 2 * WEIR_BENCH_SETS_MAX + 1] = {program};
    size_t count = 1;
    snprintf(log, sizeof(log), "%s/log", run->folder);
    if (!config_write(run, subject->config, config, sizeof(config))) {
        return WEIR_IO;
    }
    if (subject->kind == WEIR_SUBJECT_WEIR) {
        snprintf(program, sizeof(program), "%s", weir->program);
        argv[count++] = serve;
    } else if (!weir_program_find(program_names[subject->kind], program, sizeof(program))) {
        return WEIR_NOT_FOUND;
    }
    if (subject->kind != WEIR_SUBJECT_REDIS) {
        argv[count++] = from;
    }
    argv[count++] = config;
    for (size_t i = 0; subject->kind == WEIR_SUBJECT_WEIR && i < weir->set_count; i++) {
        argv[count++] = set;
        argv[count++] = weir->sets[i];
    }
    return weir_process_start(argv, NULL, run->folder, log, &run->pid);
}

/* RabbitMQ takes everything from its environment. epmd, which its node starts, gets a port of its
 * own and is ended with it. */
static weir_err rabbitmq_begin(const weir_subject *subject, weir_subject_run *run)
{
    char program[512];
    char config[512];
    char plugins[512];
    char log[512];
    char lines[9][640];
    char *environment[10] = {NULL};
    char *argv[] = {program, NULL};
    snprintf(log, sizeof(log), "%s/log", run->folder);
    if (!config_write(run, subject->config, config, sizeof(config)) ||
        !config_write(run, "rabbitmq.plugins", plugins, sizeof(plugins)) ||
        !weir_program_find(program_names[subject->kind], program, sizeof(program))) {
        return WEIR_IO;
    }
    snprintf(lines[0], sizeof(lines[0]), "RABBITMQ_NODENAME=bench%u@localhost", run->mqtt_port);
    snprintf(lines[1], sizeof(lines[1]), "RABBITMQ_CONFIG_FILE=%s", config);
    snprintf(lines[2], sizeof(lines[2]), "RABBITMQ_ENABLED_PLUGINS_FILE=%s", plugins);
    snprintf(lines[3], sizeof(lines[3]), "RABBITMQ_MNESIA_BASE=%s/mnesia", run->folder);
    snprintf(lines[4], sizeof(lines[4]), "RABBITMQ_LOG_BASE=%s", run->folder);
    snprintf(lines[5], sizeof(lines[5]), "RABBITMQ_DIST_PORT=%u", weir_port_free());
    run->epmd_port = weir_port_free();
    snprintf(lines[6], sizeof(lines[6]), "ERL_EPMD_PORT=%u", run->epmd_port);
    snprintf(lines[7], sizeof(lines[7]), "HOME=%s", run->folder);
    /* epmd may then be ended although its node was killed a moment ago. */
    snprintf(lines[8], sizeof(lines[8]), "ERL_EPMD_RELAXED_COMMAND_CHECK=1");
    for (size_t i = 0; i < 9; i++) {
        environment[i] = lines[i];
    }
    return weir_process_start(argv, environment, run->folder, log, &run->pid);
}

/* Weir picks its ports itself and writes them once it is ready: "mqtt 127.0.0.1:41234". */
static weir_err weir_ports_await(weir_subject_run *run)
{
    struct {
        const char *name;
        uint16_t *port;
    } const known[] = {{"mqtt ", &run->mqtt_port},       {"http ", &run->web_port},
                       {"nng.rep ", &run->reply_port},   {"nng.pull ", &run->pull_port},
                       {"nng.pub ", &run->publish_port}, {"nng.push ", &run->push_port}};
    char path[512];
    char text[2048];
    snprintf(path, sizeof(path), "%s/ports", run->folder);
    for (int waited = 0; waited < START_MS_MAX; waited++) {
        if (weir_file_read(path, text, sizeof(text))) {
            for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
                const char *colon = strrchr(line, ':');
                for (size_t i = 0; colon != NULL && i < sizeof(known) / sizeof(known[0]); i++) {
                    if (strncmp(line, known[i].name, strlen(known[i].name)) == 0) {
                        *known[i].port = (uint16_t)atoi(colon + 1);
                    }
                }
            }
            return run->mqtt_port != 0 ? WEIR_OK : WEIR_NOT_FOUND;
        }
        if (!weir_process_lives(run->pid)) {
            return WEIR_CLOSED;
        }
        usleep(1000);
    }
    return WEIR_TIMEOUT;
}

/* Every port that its configuration names must answer: they open one after the other. */
static weir_err await(const weir_subject *subject, weir_subject_run *run)
{
    static const char *const names[] = {"@MQTT_PORT@", "@WEB_PORT@", "@OTHER_PORT@"};
    const uint16_t ports[] = {run->mqtt_port, run->web_port, run->other_port};
    const char *config = subject->config != NULL ? weir_peers_file(subject->config) : NULL;
    int wait_ms = subject->kind == WEIR_SUBJECT_RABBITMQ ? START_MS_RABBITMQ : START_MS_MAX;
    if (subject->kind == WEIR_SUBJECT_WEIR) {
        return weir_ports_await(run);
    }
    for (size_t i = 0; config != NULL && i < sizeof(names) / sizeof(names[0]); i++) {
        weir_err err = strstr(config, names[i]) != NULL
                           ? weir_port_await(ports[i], run->pid, wait_ms)
                           : WEIR_OK;
        if (err != WEIR_OK) {
            return err;
        }
    }
    return WEIR_OK;
}

/* The last line of its log, when it has one. */
static void log_tell(weir_subject_run *run, weir_err err)
{
    char path[512];
    char text[LOG_BYTES] = "";
    char *line;
    snprintf(path, sizeof(path), "%s/log", run->folder);
    (void)weir_file_read(path, text, sizeof(text));
    for (size_t len = strlen(text); len > 0 && text[len - 1] == '\n'; len--) {
        text[len - 1] = '\0';
    }
    line = strrchr(text, '\n');
    snprintf(run->text, sizeof(run->text), "it did not start (%s): %.120s", weir_err_name(err),
             line != NULL ? line + 1 : text);
}

weir_err weir_subject_start(const weir_subject *subject, const weir_subject_weir *weir,
                            weir_subject_run *run)
{
    weir_err err;
    *run = (weir_subject_run){.pid = 0, .web_path = "/mqtt"};
    err = weir_folder_make(run->folder, sizeof(run->folder));
    if (err != WEIR_OK) {
        snprintf(run->text, sizeof(run->text), "no temporary folder could be made");
        return err;
    }
    if (is_foreign(subject)) {
        run->mqtt_port = weir_port_free();
        run->web_port = weir_port_free();
        run->other_port = weir_port_free();
    }
    if (subject->kind == WEIR_SUBJECT_LIBRARY) {
        return WEIR_OK; /* its driver starts what it measures */
    }
    if (subject->kind == WEIR_SUBJECT_CEILING) {
        err = ceiling_begin(subject, run);
    } else if (subject->kind == WEIR_SUBJECT_RABBITMQ) {
        run->web_path = "/ws";
        err = rabbitmq_begin(subject, run);
    } else {
        err = program_begin(subject, weir, run);
    }
    if (err == WEIR_OK) {
        err = await(subject, run);
    }
    if (err != WEIR_OK) {
        weir_subject_end(subject, run);
    }
    return err;
}

void weir_subject_target(const weir_subject *subject, const weir_subject_run *run,
                         const weir_bench_workload *work, weir_bench_target *target)
{
    *target = (weir_bench_target){.pid = run->pid,
                                  .mqtt_port = run->mqtt_port,
                                  .web_port = run->web_port,
                                  .reply_port = run->reply_port,
                                  .pull_port = run->pull_port,
                                  .publish_port = run->publish_port,
                                  .push_port = run->push_port};
    if (work->kind == WEIR_BENCH_MQTT) {
        target->port = work->websocket ? run->web_port : run->mqtt_port;
    } else {
        target->port = run->other_port;
    }
    snprintf(target->path, sizeof(target->path), "%s", run->web_path);
    snprintf(target->mode, sizeof(target->mode), "%s", subject->mode != NULL ? subject->mode : "");
    snprintf(target->folder, sizeof(target->folder), "%s", run->folder);
}

static void epmd_end(const weir_subject_run *run)
{
    char program[512];
    char said[256];
    char port[16];
    char option[] = "-port";
    char order[] = "-kill";
    char *argv[] = {program, option, port, order, NULL};
    snprintf(port, sizeof(port), "%u", run->epmd_port);
    if (weir_program_find("epmd", program, sizeof(program))) {
        (void)weir_process_capture(argv, said, sizeof(said));
    }
}

void weir_subject_end(const weir_subject *subject, weir_subject_run *run)
{
    bool started = subject->kind == WEIR_SUBJECT_LIBRARY ||
                   (run->mqtt_port != 0 && run->pid > 0 && weir_process_lives(run->pid));
    if (subject->kind == WEIR_SUBJECT_RABBITMQ) {
        /* Its start script does not outlive a signal, its node would; and what the node would save
         * for seconds is removed. */
        if (run->pid > 0) {
            weir_process_kill_group(run->pid);
        }
        epmd_end(run);
    } else if (run->pid > 0) {
        weir_process_end(run->pid, END_MS_MAX);
    }
    if (!started) {
        log_tell(run, WEIR_CLOSED);
    }
    weir_folder_remove(run->folder);
}
