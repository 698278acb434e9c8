/* tests/contract/gateway.c - an engine, two loops and a host in this process. See gateway.h. */
#include "gateway.h"

#include "core/env/env.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const char *host_setting(weir_host *outer, const char *key)
{
    const host *self = (const host *)outer;
    if (self->override[0] != NULL && strcmp(self->override[0], key) == 0) {
        return self->override[1];
    }
    for (size_t i = 0; self->settings != NULL && self->settings[i] != NULL; i += 2) {
        if (strcmp(self->settings[i], key) == 0) {
            return self->settings[i + 1];
        }
    }
    return NULL;
}

static void host_announce(weir_host *outer, const char *name, const char *address)
{
    host *self = (host *)outer;
    assert_non_null(name);
    (void)snprintf(self->address, sizeof(self->address), "%s", address);
    self->announcements++;
}

static void host_drained(weir_host *outer)
{
    ((host *)outer)->drained++;
}

static void host_log(weir_host *outer, int level, const char *line)
{
    (void)line;
    ((host *)outer)->errors += level == 3;
}

static const weir_host_ops host_ops = {
    .setting = host_setting,
    .announce = host_announce,
    .drained = host_drained,
    .log = host_log,
};

void host_prepare(host *self, gateway *owner, const weir_adapter_ops *ops,
                  const char *const *settings)
{
    *self = (host){.outer = {.ops = &host_ops,
                             .engine = owner->engine,
                             .limits = &owner->limits,
                             .data_dir = owner->dir,
                             .loops = owner->loops},
                   .ops = ops,
                   .settings = settings};
}

weir_err host_start(host *self, weir_fault *fault)
{
    weir_err err = self->ops->configure(&self->outer, &self->adapter, fault);
    assert_int_equal(err, WEIR_OK);
    err = self->ops->start(self->adapter, fault);
    self->started = err == WEIR_OK;
    return err;
}

void host_stop(host *self)
{
    if (self->adapter != NULL) {
        self->ops->stop(self->adapter);
        self->adapter = NULL;
    }
}

void disk_break(gateway *self)
{
    self->broken = true;
    weir_env_faulty_plan(self->env, (weir_env_fault_plan){.kinds = 1u << WEIR_CALL_WRITE,
                                                          .countdown = 1,
                                                          .for_good = true,
                                                          .err = WEIR_IO,
                                                          .os_errno = EIO});
}

/* ---- A gateway around it ------------------------------------------------------------------- */

static const char *temporary(void)
{
    const char *dir = getenv("TMPDIR");
    return dir != NULL ? dir : "/tmp";
}

void topic_create(gateway *self, const char *name)
{
    weir_port *port = NULL;
    weir_completion done[1];
    weir_topic_options options = {.level = WEIR_LEVEL_OS};
    assert_int_equal(weir_port_open(self->engine, &port), WEIR_OK);
    assert_int_equal(weir_port_topic_create(port, weir_bytes_of(name), &options, NULL, 0), WEIR_OK);
    while (weir_port_drain(port, done, 1) == 0) {
        assert_int_equal(weir_port_wait(port, DEADLINE_MS), WEIR_OK);
    }
    assert_int_equal(done[0].err, WEIR_OK);
    weir_completion_drop(&done[0]);
    weir_port_close(port);
}

int64_t topic_end(gateway *self, const char *name)
{
    weir_port *port = NULL;
    weir_completion done[1];
    int64_t end = 0;
    assert_int_equal(weir_port_open(self->engine, &port), WEIR_OK);
    assert_int_equal(weir_port_offsets(port, weir_bytes_of(name), WEIR_OFFSETS_BOUNDS, 0, NULL, 0),
                     WEIR_OK);
    while (weir_port_drain(port, done, 1) == 0) {
        assert_int_equal(weir_port_wait(port, DEADLINE_MS), WEIR_OK);
    }
    assert_int_equal(done[0].err, WEIR_OK);
    end = done[0].topics.topics[0].partitions[0].end_offset;
    weir_completion_drop(&done[0]);
    weir_port_close(port);
    return end;
}

gateway *gateway_open(const weir_adapter_ops *ops, const char *const *settings)
{
    weir_fault fault = {0};
    weir_engine_config config = {0};
    gateway *self = calloc(1, sizeof(*self));
    assert_non_null(self);
    (void)snprintf(self->dir, sizeof(self->dir), "%s/weir-contract-XXXXXX", temporary());
    assert_non_null(mkdtemp(self->dir));
    self->limits = (weir_limits)WEIR_LIMITS_DEFAULT;
    self->limits.tail_bytes_max = 4194304;
    self->limits.output_bytes_max = 65536;
    assert_int_equal(weir_env_posix_create(&self->posix), WEIR_OK);
    assert_int_equal(weir_env_faulty_create(self->posix, &self->env), WEIR_OK);
    config.env = self->env;
    config.data_dir = self->dir;
    config.limits = self->limits;
    if (weir_engine_open(&config, &self->engine, &fault) != WEIR_OK) {
        fail_msg("engine: %s", fault.text);
    }
    assert_int_equal(weir_loops_create(self->engine, 2, &self->loops, &fault), WEIR_OK);
    topic_create(self, "logged");
    host_prepare(&self->host, self, ops, settings);
    return self;
}

static void directory_remove(const char *path)
{
    char below[1024];
    struct dirent *entry = NULL;
    DIR *dir = opendir(path);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        (void)snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
        if (unlink(below) != 0) {
            directory_remove(below); /* as deep as the engine made it */
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    (void)rmdir(path);
}

void gateway_close(gateway *self)
{
    host_stop(&self->host);
    weir_loops_destroy(self->loops);
    assert_true((weir_engine_close(self->engine) == WEIR_OK) != self->broken);
    weir_env_faulty_destroy(self->env);
    weir_env_posix_destroy(self->posix);
    directory_remove(self->dir);
    free(self);
}

/* The engine opens and closes files as it likes; sockets are the front end's and the peers'. */
unsigned sockets_count(void)
{
    unsigned count = 0;
    struct dirent *entry = NULL;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        char target[64] = "";
        if (readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1) > 0) {
            count += strncmp(target, "socket:", 7) == 0;
        }
    }
    closedir(dir);
    return count;
}

void pause_ms(void)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    nanosleep(&pause, NULL);
}

void drained_wait(const gateway *self)
{
    for (int i = 0; i < DEADLINE_MS && self->host.drained == 0; i++) {
        pause_ms();
    }
    assert_int_equal(self->host.drained, 1);
}

typedef struct metric {
    const char *name;
    uint64_t value;
    bool found;
} metric;

static void metric_look(void *arg, const char *name, uint64_t value)
{
    metric *wanted = arg;
    if (strcmp(wanted->name, name) == 0) {
        wanted->value = value;
        wanted->found = true;
    }
}

uint64_t metric_get(const gateway *self, const char *name)
{
    metric wanted = {.name = name};
    self->host.ops->stats(self->host.adapter, metric_look, &wanted);
    assert_true(wanted.found);
    return wanted.value;
}
