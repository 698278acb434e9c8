/* tests/unit/engine/support.h - an engine in a directory of its own, and calls that wait for
 * answers. */
#ifndef WEIR_TESTS_ENGINE_SUPPORT_H
#define WEIR_TESTS_ENGINE_SUPPORT_H

#include "weir/port.h"

#include "core/env/env.h"
#include "tests/unit/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { WAIT_MS = 60000 };

static inline int64_t real_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* By when what is waited for has come: whatever the engine's clock says, and however often a port
 * returns at once. */
static inline int64_t wait_end(void)
{
    return real_ms() + WAIT_MS;
}

static inline bool wait_goes_on(int64_t end)
{
    return real_ms() < end;
}

typedef struct fixture {
    char dir[64];
    weir_engine_config config;
    weir_engine *engine;
    weir_port *port;
} fixture;

static inline void fixture_open(fixture *f)
{
    weir_fault fault = {0};
    f->config.data_dir = f->dir;
    weir_err err = weir_engine_open(&f->config, &f->engine, &fault);
    if (err != WEIR_OK) {
        fail_msg("open: %s: %s", weir_err_name(err), fault.text);
    }
    assert_int_equal(weir_port_open(f->engine, &f->port), WEIR_OK);
}

/* A directory of its own, with nothing in it: to be configured further, and opened. */
static inline void fixture_prepare(fixture *f)
{
    memset(f, 0, sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "/tmp/weir-engine-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->config.journal_file_bytes = 1 << 20;
}

static inline void fixture_begin(fixture *f)
{
    fixture_prepare(f);
    fixture_open(f);
}

static inline void fixture_close(fixture *f)
{
    weir_port_close(f->port);
    assert_int_equal(weir_engine_close(f->engine), WEIR_OK);
}

/* As kill -9 does, but for what is left in memory. */
static inline void fixture_kill(fixture *f)
{
    weir_port_close(f->port);
    weir_engine_abandon(f->engine);
}

static inline void fixture_end(fixture *f)
{
    char command[128];
    fixture_close(f);
    snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
    assert_int_equal(system(command), 0);
}

/* On a disk that fails when it is planned to. The journal is synced inline: calls come in one order. */
typedef struct faulty_fixture {
    fixture f; /* first */
    weir_env *below;
    weir_env *faulty;
} faulty_fixture;

static inline void faulty_env_create(faulty_fixture *d)
{
    assert_int_equal(weir_env_posix_create(&d->below), WEIR_OK);
    assert_int_equal(weir_env_faulty_create(d->below, &d->faulty), WEIR_OK);
    d->f.config.env = d->faulty;
    d->f.config.sync = WEIR_SYNC_INLINE;
}

static inline void faulty_env_destroy(faulty_fixture *d)
{
    weir_env_faulty_destroy(d->faulty);
    weir_env_posix_destroy(d->below);
}

static inline fixture *faulty_prepare(faulty_fixture *d)
{
    fixture_prepare(&d->f);
    faulty_env_create(d);
    return &d->f;
}

/* For a test that makes and syncs thousands of files: it would do nothing but wait for the disk. */
static inline fixture *faulty_prepare_in_memory(faulty_fixture *d)
{
    memset(d, 0, sizeof(*d));
    unit_folder_make(d->f.dir, sizeof(d->f.dir), "engine");
    faulty_env_create(d);
    return &d->f;
}

static inline void faulty_end(faulty_fixture *d)
{
    fixture_end(&d->f);
    faulty_env_destroy(d);
}

/* From now on no call of this kind succeeds: there is no room. */
static inline void disk_full(faulty_fixture *d, weir_env_call kind)
{
    weir_env_faulty_plan(d->faulty, (weir_env_fault_plan){.kinds = 1u << kind,
                                                          .countdown = 1,
                                                          .for_good = true,
                                                          .err = WEIR_DISK_FULL,
                                                          .os_errno = 28});
}

/* From now on no sync succeeds. */
static inline void disk_broken(faulty_fixture *d)
{
    weir_env_faulty_plan(d->faulty, (weir_env_fault_plan){.kinds = 1u << WEIR_CALL_SYNC,
                                                          .countdown = 1,
                                                          .for_good = true,
                                                          .err = WEIR_IO,
                                                          .os_errno = 5});
}

static inline void disk_works(faulty_fixture *d)
{
    weir_env_faulty_plan(d->faulty, (weir_env_fault_plan){0});
}

/* The journal has made what it keeps for a full disk. */
static inline void reserve_made(fixture *f)
{
    weir_stats stats = {0};
    for (int64_t end = wait_end(); stats.journal_reserve == 0 && wait_goes_on(end);) {
        weir_port_wait(f->port, 5);
        weir_engine_stats(f->engine, &stats);
    }
    assert_true(stats.journal_reserve > 0);
}

static inline void health_becomes(fixture *f, weir_engine_health health)
{
    int64_t end = wait_end();
    while (weir_engine_health_of(f->engine) != health && wait_goes_on(end)) {
        weir_port_wait(f->port, 5);
    }
    assert_int_equal(weir_engine_health_of(f->engine), health);
}

/* The next completion. False: the engine is ill, and soon none came. */
static inline bool answered_or_ill(fixture *f, weir_completion *done)
{
    int64_t end = wait_end();
    for (int ill = 0; ill < 3 && wait_goes_on(end);) {
        if (weir_port_drain(f->port, done, 1) == 1) {
            return true;
        }
        weir_port_wait(f->port, 5);
        ill += weir_engine_health_of(f->engine) != WEIR_HEALTH_OK ? 1 : 0;
    }
    return false;
}

static inline weir_completion next_on(weir_port *port)
{
    weir_completion done = {0};
    while (weir_port_drain(port, &done, 1) == 0) {
        assert_int_equal(weir_port_wait(port, WAIT_MS), WEIR_OK);
    }
    return done;
}

static inline weir_completion next_of(weir_port *port, weir_completion_type type)
{
    weir_completion done = next_on(port);
    assert_int_equal(done.type, type);
    return done;
}

/* Nothing comes, however often the port is stepped. */
static inline void assert_nothing(weir_port *port)
{
    weir_completion done;
    for (int i = 0; i < 20; i++) {
        weir_port_step(port);
        assert_int_equal(weir_port_drain(port, &done, 1), 0);
    }
}

static inline weir_err declare_with(weir_port *port, const char *name, weir_topic_options options)
{
    assert_int_equal(weir_port_topic_create(port, weir_bytes_of(name), &options, NULL, 0), WEIR_OK);
    weir_completion done = next_of(port, WEIR_COMPLETION_TOPIC);
    weir_err err = done.err;
    weir_completion_drop(&done);
    return err;
}

static inline void declare(weir_port *port, const char *name, weir_level level)
{
    weir_topic_options options = {.partitions = 1, .level = level};
    assert_int_equal(declare_with(port, name, options), WEIR_OK);
}

static inline weir_completion publish_record(weir_port *port, const weir_publish *publish)
{
    assert_int_equal(weir_port_publish(port, publish, NULL, 1), WEIR_OK);
    weir_completion done = next_of(port, WEIR_COMPLETION_PUBLISH);
    return done;
}

static inline weir_completion publish(weir_port *port, const char *name, const char *value)
{
    weir_publish record = {.name = weir_bytes_of(name), .value = weir_bytes_of(value)};
    return publish_record(port, &record);
}

static inline int64_t publish_ok(weir_port *port, const char *name, const char *value)
{
    weir_completion done = publish(port, name, value);
    assert_int_equal(done.err, WEIR_OK);
    return done.published.offset;
}

static inline weir_completion fetch(weir_port *port, const char *topic, uint32_t partition,
                                    int64_t offset, uint32_t wait_ms)
{
    weir_fetch wanted = {.topic = weir_bytes_of(topic),
                         .partition = partition,
                         .offset = offset,
                         .bytes_max = 1 << 20,
                         .wait_ms = wait_ms};
    assert_int_equal(weir_port_fetch(port, &wanted, NULL, 2), WEIR_OK);
    return next_of(port, WEIR_COMPLETION_FETCH);
}

/* The record at an offset must have this value. */
static inline void assert_record(weir_port *port, const char *topic, int64_t offset,
                                 const char *key, const char *value)
{
    weir_completion done = fetch(port, topic, 0, offset, 0);
    assert_int_equal(done.err, WEIR_OK);
    assert_true(done.fetched.run_count > 0);
    weir_record record;
    weir_chunk_record(done.fetched.runs[0].chunk, done.fetched.runs[0].first, &record);
    assert_int_equal(record.offset, offset);
    assert_true(weir_bytes_equal(record.key, weir_bytes_of(key)));
    assert_true(weir_bytes_equal(record.value, weir_bytes_of(value)));
    weir_completion_drop(&done);
}

static inline weir_subscriber *subscriber_open(weir_port *port, uint64_t credit)
{
    weir_subscriber *subscriber = NULL;
    assert_int_equal(weir_port_subscriber_open(port, port, &subscriber), WEIR_OK);
    assert_int_equal(weir_port_credit(port, subscriber, credit, UINT64_MAX), WEIR_OK);
    return subscriber;
}

static inline void subscribe_with(weir_port *port, weir_subscriber *subscriber,
                                  const weir_subscribe *wanted)
{
    assert_int_equal(weir_port_subscribe(port, subscriber, wanted, NULL, 3), WEIR_OK);
    weir_completion done = next_of(port, WEIR_COMPLETION_SUBSCRIBE);
    assert_int_equal(done.err, WEIR_OK);
}

static inline void subscribe(weir_port *port, weir_subscriber *subscriber, const char *filter)
{
    weir_subscribe wanted = {.filter = weir_bytes_of(filter)};
    subscribe_with(port, subscriber, &wanted);
}

/* The next completion is a delivery; its records are appended to `text` as "name=value ". */
static inline void take_delivery(weir_port *port, char *text, size_t size)
{
    weir_completion done = next_of(port, WEIR_COMPLETION_DELIVERY);
    for (uint32_t i = 0; i < done.delivery.count; i++) {
        weir_record record;
        uint8_t name[256];
        bool encoded = false;
        weir_chunk_record(done.delivery.chunk, done.delivery.first + i, &record);
        size_t len = weir_record_name(weir_chunk_topic(done.delivery.chunk), record.key, name,
                                      sizeof(name), &encoded);
        size_t at = strlen(text);
        snprintf(text + at, size - at, "%.*s=%.*s ", (int)len, name, (int)record.value.len,
                 record.value.ptr);
    }
    weir_completion_drop(&done);
}

#endif
