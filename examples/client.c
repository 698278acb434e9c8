/* examples/client.c - a program that talks to a gateway: publishes, and reads that back.
 *
 *     cc client.c $(pkg-config --cflags --libs weir-client) -o client
 *     ./client unix:./var/data/weir.sock greetings
 *
 * Weir in /usr/local: `ldconfig` once, as root. In another prefix, say $P, first
 *
 *     export PKG_CONFIG_PATH=$(dirname $(find $P -name weir-client.pc))
 *
 * and add -Wl,-rpath,$(pkg-config --variable=libdir weir-client) to the command.
 *
 * Declares the topic (that it exists already is fine), publishes three records with the key
 * client, each answered when it is on the disk, and prints all that the topic holds, so that a
 * second run shows the first run's records as well. */
#include "weir/client.h"

#include <inttypes.h>
#include <stdio.h>

static weir_err publish(weir_client *client, weir_bytes topic)
{
    static const char *const texts[] = {"hello", "from", "C"};
    for (int i = 0; i < 3; i++) {
        weir_publish record = {
            .topic = topic, .key = WEIR_TEXT("client"), .value = weir_bytes_of(texts[i])};
        weir_published where;
        weir_err err = weir_client_publish(client, &record, &where);
        if (err != WEIR_OK) {
            return err;
        }
        printf("published: partition %" PRIu32 ", offset %" PRId64 ", level %s\n", where.partition,
               where.offset, weir_level_name(where.level));
    }
    return WEIR_OK;
}

/* Everything from the beginning to the end as it was when this was asked. Without until_end it
 * would wait for more, for ever. */
static weir_err read_all(weir_client *client, weir_bytes topic)
{
    weir_client_subscribe all = {.topic = topic, .start = WEIR_START_BEGINNING, .until_end = true};
    uint64_t subscription = 0;
    weir_err err = weir_client_subscribe_open(client, &all, &subscription);
    while (err == WEIR_OK) {
        weir_client_event event;
        err = weir_client_next(client, -1, &event);
        if (err == WEIR_OK && event.kind == WEIR_CLIENT_RECORD) {
            printf("%" PRId64 "  %.*s  %.*s\n", event.record.offset, (int)event.record.name.len,
                   (const char *)event.record.name.ptr, (int)event.record.value.len,
                   (const char *)event.record.value.ptr);
        } else if (err == WEIR_OK && event.kind == WEIR_CLIENT_ENDED) {
            return WEIR_OK;
        }
    }
    return err;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr,
                "usage: client URL TOPIC, e.g. client unix:./var/data/weir.sock greetings\n");
        return 2;
    }
    weir_client *client = NULL;
    weir_fault fault;
    if (weir_client_open(argv[1], NULL, &client, &fault) != WEIR_OK) {
        fprintf(stderr, "client: %s\n", fault.text);
        return 1;
    }
    weir_bytes topic = weir_bytes_of(argv[2]);
    weir_topic_options options = {.partitions = 1, .level = WEIR_LEVEL_DISK};
    weir_err err = weir_client_topic_create(client, topic, &options);
    if (err == WEIR_OK || err == WEIR_EXISTS) {
        err = publish(client, topic);
    }
    if (err == WEIR_OK) {
        err = read_all(client, topic);
    }
    if (err != WEIR_OK) {
        fprintf(stderr, "client: %s\n", weir_client_error(client));
    }
    weir_client_close(client);
    return err == WEIR_OK ? 0 : 1;
}
