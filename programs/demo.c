/* programs/demo.c - `weir demo`: a small fleet of simulated devices, one JSON reading each per
 * round.
 *
 * Happy path: the topic site is there or is declared, each round is published and confirmed, and a
 * signal (or the count) ends it with exit code 0. The readings wander at random from a fixed start:
 * they are for looking at, not for measuring. */
#include "programs/connect.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { DEVICES_DEFAULT = 3, DEVICES_MAX = 10000, READING_MAX = 256, PARTITIONS = 4 };

static volatile sig_atomic_t stopped;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

/* A step of xorshift: enough for readings that look alive. */
static uint32_t chance(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

typedef struct device {
    uint32_t chance;
    int temperature; /* tenths of a degree */
    int humidity;    /* tenths of a percent */
} device;

static weir_err reading_send(weir_client *client, device *own, unsigned number, uint64_t round)
{
    char name[64];
    char text[READING_MAX];
    struct timespec now;
    weir_publish record = {0};
    own->temperature += (int)(chance(&own->chance) % 7) - 3;
    own->humidity += (int)(chance(&own->chance) % 11) - 5;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(name, sizeof(name), "site/device-%02u/telemetry", number + 1);
    snprintf(text, sizeof(text),
             "{\"device\":\"device-%02u\",\"round\":%" PRIu64
             ",\"ts\":%lld.%03ld,\"temp\":%d.%d,\"humidity\":%d.%d}",
             number + 1, round, (long long)now.tv_sec, now.tv_nsec / 1000000, own->temperature / 10,
             own->temperature % 10, own->humidity / 10, own->humidity % 10);
    record.name = weir_bytes_of(name);
    record.value = weir_bytes_of(text);
    return weir_client_send(client, &record, round);
}

static weir_err fleet_play(weir_client *client, device *fleet, unsigned devices, int interval_ms,
                           long long rounds)
{
    weir_err err = WEIR_OK;
    for (uint64_t round = 1; err == WEIR_OK && stopped == 0; round++) {
        for (unsigned i = 0; i < devices && err == WEIR_OK; i++) {
            err = reading_send(client, &fleet[i], i, round);
        }
        if (err == WEIR_OK) {
            err = weir_client_flush(client);
        }
        if ((rounds > 0 && round == (uint64_t)rounds) || weir_client_draining(client)) {
            break;
        }
        if (err == WEIR_OK && stopped == 0) {
            (void)poll(NULL, 0, interval_ms); /* a signal cuts it short */
        }
    }
    return err;
}

static void signals_take(void)
{
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static weir_err topic_declare(weir_client *client)
{
    const weir_topic_options options = {.partitions = PARTITIONS, .level = WEIR_LEVEL_DISK};
    weir_err err = weir_client_topic_create(client, WEIR_TEXT("site"), &options);
    return err == WEIR_EXISTS ? WEIR_OK : err; /* as somebody else wanted it */
}

weir_exit weir_run_demo(const weir_arguments *arguments)
{
    static device fleet[DEVICES_MAX];
    weir_client *client = NULL;
    long long devices = 0;
    long long interval_ms = 0;
    long long rounds = 0;
    weir_exit code = WEIR_EXIT_USAGE;
    weir_err err;
    if (!weir_arguments_number(arguments, "devices", 1, DEVICES_MAX, DEVICES_DEFAULT, &devices) ||
        !weir_arguments_number(arguments, "interval", 0, 3600000, 1000, &interval_ms) ||
        !weir_arguments_number(arguments, "count", 1, INT64_MAX, 0, &rounds) ||
        !weir_connect(arguments, &client, &code)) {
        return code;
    }
    for (unsigned i = 0; i < (unsigned)devices; i++) {
        fleet[i] = (device){.chance = 2463534242u + i * 7919u, .temperature = 200, .humidity = 550};
    }
    signals_take();
    err = topic_declare(client);
    if (err == WEIR_OK) {
        if (weir_may_talk(arguments)) {
            weir_say("%lld devices publish site/DEVICE/telemetry every %lld ms; Ctrl-C stops",
                     devices, interval_ms);
        }
        err = fleet_play(client, fleet, (unsigned)devices, (int)interval_ms, rounds);
    }
    if (weir_client_draining(client) || stopped != 0) {
        err = WEIR_OK; /* both are an orderly end */
    }
    code = weir_client_outcome(client, err, WEIR_SUBJECT_TOPIC, "site");
    weir_client_close(client);
    return code;
}
