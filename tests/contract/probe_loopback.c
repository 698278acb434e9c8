/* tests/contract/probe_loopback.c - peers in this process. */
#include "contract.h"

#include "adapters/loopback/adapter.h"

#include <assert.h>
#include <string.h>
#include <time.h>

static bool loopback_connect(contract_peer *peer, const char *address)
{
    weir_loopback *end = NULL;
    bool connected = weir_loopback_connect(address, &end) == WEIR_OK;
    peer->own = end;
    return connected;
}

static void send_wait(contract_peer *peer, weir_bytes command)
{
    for (int i = 0; i < 10000 && weir_loopback_send(peer->own, command) == WEIR_AGAIN; i++) {
        const struct timespec pause = {.tv_nsec = 1000000};
        nanosleep(&pause, NULL);
    }
}

static void loopback_publish(contract_peer *peer, const char *name, const char *value, size_t len)
{
    weir_buffer command = {0};
    assert(weir_buffer_format(&command, "PUB %s ", name) == WEIR_OK);
    assert(weir_buffer_append(&command, value, len) == WEIR_OK);
    send_wait(peer, weir_buffer_bytes(&command));
    weir_buffer_fini(&command);
}

static void loopback_subscribe(contract_peer *peer, const char *filter)
{
    weir_buffer command = {0};
    assert(weir_buffer_format(&command, "SUB %s", filter) == WEIR_OK);
    send_wait(peer, weir_buffer_bytes(&command));
    weir_buffer_fini(&command);
}

static void loopback_misbehave(contract_peer *peer)
{
    send_wait(peer, WEIR_TEXT("what is this"));
}

static bool begins(weir_bytes text, const char *with)
{
    return text.len >= strlen(with) && memcmp(text.ptr, with, strlen(with)) == 0;
}

static void message_classify(weir_bytes text, contract_event *event)
{
    event->type = begins(text, "OK")    ? CONTRACT_ACK
                  : begins(text, "ERR") ? CONTRACT_REFUSED
                  : begins(text, "BYE") ? CONTRACT_FAREWELL
                                        : CONTRACT_OTHER;
    if (begins(text, "MSG ")) {
        const uint8_t *space = memchr(text.ptr + 4, ' ', text.len - 4);
        assert(space != NULL);
        contract_event_record(event, (weir_bytes){text.ptr + 4, (size_t)(space - text.ptr) - 4},
                              (weir_bytes){space + 1, text.len - (size_t)(space + 1 - text.ptr)});
    }
}

static void loopback_read(contract_peer *peer, int timeout_ms, contract_event *event)
{
    switch (weir_loopback_receive(peer->own, timeout_ms, &peer->in)) {
    case WEIR_OK:
        message_classify(weir_buffer_bytes(&peer->in), event);
        break;
    case WEIR_TIMEOUT:
        event->type = CONTRACT_NOTHING;
        break;
    default:
        event->type = CONTRACT_END;
        break;
    }
}

static void loopback_close(contract_peer *peer)
{
    weir_loopback_close(peer->own);
    peer->own = NULL;
    weir_buffer_fini(&peer->in);
}

const contract_probe contract_probe_used = {
    .name = "loopback",
    .ops = weir_loopback_adapter,
    .bad = {"connections_max", "many"},
    .farewell = true,
    .published = "weir_loopback_published_total",
    .connect = loopback_connect,
    .publish = loopback_publish,
    .subscribe = loopback_subscribe,
    .misbehave = loopback_misbehave,
    .read = loopback_read,
    .close = loopback_close,
};
