/* tests/contract/probe_lines.c - examples/adapter-lines, built out of tree and loaded. The
 * program's argument is the shared object. */
#include "contract.h"

#include "adapters/shared/load.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const weir_adapter_ops *lines_ops(void)
{
    static const weir_adapter_ops *ops;
    weir_fault fault = {0};
    if (ops == NULL && weir_adapter_load("lines", contract_argument, &ops, &fault) != WEIR_OK) {
        (void)fprintf(stderr, "%s\n", fault.text);
        exit(1);
    }
    return ops;
}

static void lines_publish(contract_peer *peer, const char *name, const char *value, size_t len)
{
    weir_buffer line = {0};
    assert(weir_buffer_format(&line, "PUB %s ", name) == WEIR_OK);
    assert(weir_buffer_append(&line, value, len) == WEIR_OK);
    assert(weir_buffer_text(&line, "\n") == WEIR_OK);
    contract_socket_send(peer, line.ptr, line.len);
    weir_buffer_fini(&line);
}

static void lines_subscribe(contract_peer *peer, const char *filter)
{
    char line[CONTRACT_NAME_MAX + 8];
    (void)snprintf(line, sizeof(line), "SUB %s\n", filter);
    contract_socket_send(peer, line, strlen(line));
}

static void lines_misbehave(contract_peer *peer)
{
    contract_socket_send(peer, "what is this\n", 13);
}

static bool begins(weir_bytes text, const char *with)
{
    return text.len >= strlen(with) && memcmp(text.ptr, with, strlen(with)) == 0;
}

static size_t lines_decode(contract_peer *peer, weir_bytes in, contract_event *event)
{
    const uint8_t *end = memchr(in.ptr, '\n', in.len);
    weir_bytes line = {in.ptr, end == NULL ? 0 : (size_t)(end - in.ptr)};
    (void)peer;
    if (end == NULL) {
        return 0;
    }
    event->type = begins(line, "OK")    ? CONTRACT_ACK
                  : begins(line, "ERR") ? CONTRACT_REFUSED
                  : begins(line, "BYE") ? CONTRACT_FAREWELL
                                        : CONTRACT_OTHER;
    if (begins(line, "MSG ")) {
        const uint8_t *space = memchr(line.ptr + 4, ' ', line.len - 4);
        assert(space != NULL);
        contract_event_record(event, (weir_bytes){line.ptr + 4, (size_t)(space - line.ptr) - 4},
                              (weir_bytes){space + 1, line.len - (size_t)(space + 1 - line.ptr)});
    }
    return line.len + 1;
}

static void lines_read(contract_peer *peer, int timeout_ms, contract_event *event)
{
    contract_socket_read(peer, timeout_ms, event, lines_decode);
}

const contract_probe contract_probe_used = {
    .name = "lines",
    .ops = lines_ops,
    .settings = {"port", "0", NULL},
    .bad = {"port", "99999"},
    .port_key = "port",
    .exclusive = true,
    .farewell = true,
    .published = "weir_lines_published_total",
    .connect = contract_socket_connect,
    .publish = lines_publish,
    .subscribe = lines_subscribe,
    .misbehave = lines_misbehave,
    .read = lines_read,
    .close = contract_socket_close,
};
