/* tests/contract/probe_local.c - weir.v1 as raw lines on the stream socket. Values are plain text,
 * so looking for members by their spelling is enough. */
#include "contract.h"

#include "adapters/local/adapter.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAIT_MS = 60000 };

static void line_send(contract_peer *peer, weir_buffer *line)
{
    assert(weir_buffer_text(line, "\n") == WEIR_OK);
    contract_socket_send(peer, line->ptr, line->len);
    weir_buffer_fini(line);
}

static const char *find(weir_bytes in, const char *text)
{
    return memmem(in.ptr, in.len, text, strlen(text));
}

/* The text of a member that is a string without escapes. */
static weir_bytes member(weir_bytes in, const char *opening)
{
    const char *at = find(in, opening);
    const char *end = NULL;
    if (at == NULL) {
        return WEIR_BYTES_NULL;
    }
    at += strlen(opening);
    end = memchr(at, '"', in.len - (size_t)(at - (const char *)in.ptr));
    assert(end != NULL);
    return (weir_bytes){(const uint8_t *)at, (size_t)(end - at)};
}

/* One record off the front of a line of records: what was taken is blanked, so that the line is
 * looked at again until it has none left. */
static size_t record_take(contract_peer *peer, weir_bytes line, contract_event *event)
{
    const char *begin = find(line, "\"name\":\"");
    weir_bytes rest = {(const uint8_t *)begin, line.len};
    weir_bytes value;
    if (begin == NULL) {
        event->type = CONTRACT_OTHER; /* all of its records were taken */
        return line.len + 1;
    }
    rest.len = line.len - (size_t)(begin - (const char *)line.ptr);
    value = member(rest, "\"value\":\"");
    assert(value.ptr != NULL);
    contract_event_record(event, member(rest, "\"name\":\""), value);
    {
        size_t from = (size_t)(value.ptr - line.ptr) + value.len + 1;
        size_t kept = strlen("{\"type\":\"records\"");
        memmove(peer->in.ptr + kept, peer->in.ptr + from, peer->in.len - from);
        peer->in.len -= from - kept;
    }
    return 0;
}

static size_t local_decode(contract_peer *peer, weir_bytes in, contract_event *event)
{
    const uint8_t *end = memchr(in.ptr, '\n', in.len);
    weir_bytes line = {in.ptr, end == NULL ? 0 : (size_t)(end - in.ptr)};
    if (end == NULL) {
        return 0;
    }
    if (find(line, "{\"type\":\"records\"") == (const char *)line.ptr) {
        return record_take(peer, line, event);
    }
    event->type = find(line, "\"type\":\"drain\"") != NULL ? CONTRACT_FAREWELL
                  : find(line, "\"ok\":true") != NULL      ? CONTRACT_ACK
                  : find(line, "\"ok\":false") != NULL     ? CONTRACT_REFUSED
                                                           : CONTRACT_OTHER;
    return line.len + 1;
}

static void local_read(contract_peer *peer, int timeout_ms, contract_event *event)
{
    contract_socket_read(peer, timeout_ms, event, local_decode);
}

static bool local_connect(contract_peer *peer, const char *address)
{
    static contract_event event;
    weir_buffer line = {0};
    if (!contract_socket_connect(peer, address)) {
        return false;
    }
    assert(weir_buffer_text(&line, "{\"cmd\":\"hello\",\"id\":0,\"version\":1}") == WEIR_OK);
    line_send(peer, &line);
    local_read(peer, WAIT_MS, &event);
    return event.type == CONTRACT_ACK;
}

static void local_publish(contract_peer *peer, const char *name, const char *value, size_t len)
{
    weir_buffer line = {0};
    assert(weir_buffer_format(&line,
                              "{\"cmd\":\"publish\",\"id\":%u,\"name\":\"%s\",\"value\":\"%.*s\"}",
                              ++peer->count, name, (int)len, value) == WEIR_OK);
    line_send(peer, &line);
}

static void local_subscribe(contract_peer *peer, const char *filter)
{
    weir_buffer line = {0};
    assert(weir_buffer_format(
               &line, "{\"cmd\":\"subscribe\",\"id\":%u,\"filter\":\"%s\",\"credit\":1000000}",
               ++peer->count, filter) == WEIR_OK);
    line_send(peer, &line);
}

static void local_misbehave(contract_peer *peer)
{
    contract_socket_send(peer, "what is this\n", 13);
}

const contract_probe contract_probe_used = {
    .name = "local",
    .ops = weir_local_adapter,
    .exclusive = true,
    .farewell = true,
    .published = "weir_local_records_received_total",
    .connect = local_connect,
    .publish = local_publish,
    .subscribe = local_subscribe,
    .misbehave = local_misbehave,
    .read = local_read,
    .close = contract_socket_close,
};
