/* tests/fuzz/weir1_fuzz.c - any bytes as one weir.v1 conversation, with a port that only remembers.
 *
 * Byte 0 chooses: 1 the transport pushes, 2 hello was said, 4 a stream (else messages, parted by
 * newlines), 8 operations complete along the way, 16 the port has little room, 32 completions are
 * errors; its top bits set the size of the stream's pieces. The rest is what the peer sends. */
#define FAKE_OPS_MAX 64
#include "tests/unit/proto_weir1/talk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PUSHES = 1, GREETED = 2, STREAM = 4, COMPLETES = 8, NARROW = 16, FAILS = 32 };

static weir_chunk chunk;
static weir_member member;

static void chunk_once(void)
{
    const weir_header headers[] = {{WEIR_TEXT("reply"), WEIR_TEXT("r")},
                                   {WEIR_TEXT("x"), WEIR_TEXT("\xff")}};
    if (chunk.count == 0) {
        fake_chunk_begin(&chunk, "t", 1);
        fake_chunk_add(&chunk, WEIR_TEXT("k"), WEIR_TEXT("v"), headers, 2);
        fake_chunk_add(&chunk, WEIR_TEXT("\xff"), WEIR_BYTES_NULL, NULL, 0);
        fake_chunk_end(&chunk, 3);
    }
}

static void complete_and_deliver(talk *t, bool fails)
{
    weir_run run = {&chunk, 0, 2};
    const weir_completion fetched = {.fetched = {&run, 1, 0, 9}};
    weir_handed handed = {.chunk = &chunk, .count = 2, .lease = 7, .leased = 1};
    const weir_completion taken = {.taken = {.runs = &handed, .run_count = 1, .epoch = 3}};
    const weir_completion joined = {.joined = {.member = &member, .model = WEIR_MODEL_QUEUE}};
    weir_subscriber *deliver_to = NULL;
    for (size_t i = 0; i < t->port.count; i++) {
        fake_op *op = &t->port.ops[i];
        deliver_to = op->kind == FAKE_SUBSCRIBE ? op->subscriber : deliver_to;
        if (!op->done && op->kind != FAKE_CANCEL) {
            bool closes = op->kind == FAKE_CLOSE || op->kind == FAKE_LEAVE;
            talk_complete(t, op, fails && !closes ? WEIR_NOT_FOUND : WEIR_OK,
                          op->kind == FAKE_FETCH  ? &fetched
                          : op->kind == FAKE_TAKE ? &taken
                          : op->kind == FAKE_JOIN ? &joined
                                                  : NULL);
        }
    }
    t->port.count = 0;
    if (deliver_to != NULL && !fails) {
        talk_deliver(t, deliver_to, 0, &chunk, 0, 2);
    }
    weir_completion assigned = {.type = WEIR_COMPLETION_ASSIGNED};
    assigned.assigned = (weir_assigned){.member = &member, .generation = 2, .fenced = fails};
    weir_v1_session_completion(t->session, &assigned);
}

static void after_piece(talk *t, unsigned mode)
{
    weir_v1_session_turn(t->session);
    if ((mode & COMPLETES) != 0) {
        complete_and_deliver(t, (mode & FAILS) != 0);
        t->port.room = (mode & NARROW) != 0 ? 1 : -1;
        weir_v1_session_turn(t->session);
        weir_v1_session_output(t->session, 0);
    }
}

/* One piece in memory of exactly its size. Returns how many bytes were used. */
static size_t give(talk *t, const uint8_t *data, size_t len, unsigned mode)
{
    size_t used = len;
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    memcpy(copy, data, len);
    if ((mode & STREAM) != 0) {
        (void)weir_v1_session_stream(t->session, (weir_bytes){copy, len}, &used);
    } else {
        (void)weir_v1_session_message(t->session, (weir_bytes){copy, len}, 1);
    }
    free(copy);
    after_piece(t, mode);
    return used;
}

static void converse_stream(talk *t, const uint8_t *data, size_t size, unsigned mode)
{
    size_t step = mode < 64 ? size : mode >> 6;
    size_t start = 0;
    for (size_t end = 0; end < size && !weir_v1_session_ended(t->session);) {
        end = size - end < step ? size : end + step;
        start += give(t, data + start, end - start, mode);
    }
}

static void converse_messages(talk *t, const uint8_t *data, size_t size, unsigned mode)
{
    while (size > 0 && !weir_v1_session_ended(t->session)) {
        const uint8_t *newline = memchr(data, '\n', size);
        size_t len = newline == NULL ? size : (size_t)(newline - data);
        (void)give(t, data, len, mode);
        len += newline != NULL;
        data += len;
        size -= len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    unsigned mode = data[0];
    talk *t = talk_new((mode & PUSHES) != 0);
    chunk_once();
    t->limits.packet_bytes_max = 4096;
    t->limits.connect_bytes_max = 2048;
    t->limits.in_flight_max = 4;
    t->limits.fetches_max = 2;
    t->limits.subscriptions_max = 3;
    t->limits.headers_max = 4;
    t->limits.output_bytes_max = 16384;
    if ((mode & GREETED) != 0) {
        (void)talk_say(t, TALK_HELLO);
    }
    t->port.room = (mode & NARROW) != 0 ? 1 : -1;
    if ((mode & STREAM) != 0) {
        converse_stream(t, data + 1, size - 1, mode);
    } else {
        converse_messages(t, data + 1, size - 1, mode);
    }
    talk_free(t);
    return 0;
}
