/* adapters/websocket/speak_echo.c - the test subprotocol: every message comes back, piece by piece.
 *
 * Nothing is kept: a piece that comes leaves as a fragment of the answer. A peer that does not read
 * is not read either (link.c). */
#include "adapters/websocket/link.h"

static weir_err echo_open(weir_web_link *link)
{
    (void)link;
    return WEIR_OK;
}

static void echo_piece(weir_web_link *link, const weir_ws_event *event)
{
    weir_web_link_frame(link, event->first ? event->opcode : WEIR_WS_CONTINUATION, event->last,
                        event->bytes);
}

static void echo_complete(weir_web_link *link, weir_completion *completion)
{
    (void)link; /* it submits nothing */
    (void)completion;
}

static void echo_turn(weir_web_link *link)
{
    (void)link;
}

static void echo_sent(weir_web_link *link, size_t waiting)
{
    (void)link;
    (void)waiting;
}

static uint64_t echo_deadline_ms(const weir_web_link *link)
{
    (void)link;
    return UINT64_MAX;
}

static void echo_drain(weir_web_link *link)
{
    weir_web_link_close(link, WEIR_WS_CODE_GOING_AWAY, "The gateway stops.");
}

static void echo_refused(weir_web_link *link, weir_err err, const char *text)
{
    (void)link;
    (void)err;
    (void)text;
}

static bool echo_close(weir_web_link *link, bool first)
{
    (void)link;
    (void)first;
    return true;
}

const weir_web_speaker weir_web_echo = {
    .open = echo_open,
    .piece = echo_piece,
    .complete = echo_complete,
    .turn = echo_turn,
    .sent = echo_sent,
    .deadline_ms = echo_deadline_ms,
    .deadline = echo_turn,
    .drain = echo_drain,
    .refused = echo_refused,
    .close = echo_close,
    .destroy = echo_turn,
};
