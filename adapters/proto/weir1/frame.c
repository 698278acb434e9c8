/* adapters/proto/weir1/frame.c - message boundaries and binary frames; frame.h draws them.
 *
 * A line is looked through once: the splitter remembers how far no newline was found, so a long
 * line that comes in small pieces costs its length, not its square. A frame's length is checked
 * against the limit before anything waits for its bytes.
 *
 * [F1] 0 < looked only while an unfinished line is at the front. */
#include "adapters/proto/weir1/frame.h"

#include <string.h>

static uint64_t big(const uint8_t *from, size_t count)
{
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++) {
        value = value << 8 | from[i];
    }
    return value;
}

static size_t blank(weir_bytes in)
{
    size_t count = 0;
    while (count < in.len && (in.ptr[count] == '\n' || in.ptr[count] == '\r')) {
        count++;
    }
    return count;
}

static weir_err split_line(weir_v1_splitter *splitter, weir_bytes in, size_t max,
                           size_t *line_bytes)
{
    size_t from = splitter->looked < in.len ? splitter->looked : in.len;
    const uint8_t *newline = memchr(in.ptr + from, '\n', in.len - from);
    size_t line = newline == NULL ? in.len : (size_t)(newline - in.ptr);
    if (line > max) {
        return WEIR_TOO_LARGE;
    }
    if (newline == NULL) {
        splitter->looked = in.len;
        return WEIR_MORE;
    }
    splitter->looked = 0;
    *line_bytes = line;
    return WEIR_OK;
}

weir_err weir_v1_split(weir_v1_splitter *splitter, weir_bytes in, size_t max, weir_bytes *message,
                       size_t *used)
{
    *used = 0;
    if (in.len == 0) {
        return WEIR_MORE; /* there may be no memory to point into */
    }
    size_t skip = blank(in);
    weir_bytes rest = {in.ptr + skip, in.len - skip};
    *used = skip;
    if (rest.len == 0) {
        return WEIR_MORE;
    }
    if (rest.ptr[0] == '{') {
        size_t line = 0;
        weir_err err = split_line(splitter, rest, max, &line);
        if (err == WEIR_OK) {
            *message = (weir_bytes){rest.ptr, line};
            *used = skip + line + 1;
        }
        return err;
    }
    if (rest.len < WEIR_V1_FRAME_HEAD_BYTES) {
        return WEIR_MORE;
    }
    uint64_t total = WEIR_V1_FRAME_HEAD_BYTES + big(rest.ptr + 1, 4);
    if (total > max) {
        return WEIR_TOO_LARGE;
    }
    if (rest.len < total) {
        return WEIR_MORE;
    }
    *message = (weir_bytes){rest.ptr, (size_t)total};
    *used = skip + (size_t)total;
    return WEIR_OK;
}

/* ---- Decoding: a reader that goes dry instead of past the end
 * ------------------------------------ */

typedef struct frame_reader {
    weir_bytes rest;
    bool dry;
} frame_reader;

static uint64_t take_number(frame_reader *reader, size_t bytes)
{
    if (reader->rest.len < bytes) {
        reader->dry = true;
        return 0;
    }
    uint64_t value = big(reader->rest.ptr, bytes);
    reader->rest.ptr += bytes;
    reader->rest.len -= bytes;
    return value;
}

static weir_bytes take_span(frame_reader *reader, size_t len)
{
#ifndef WEIR_PLANT_WEIR1 /* left out, it is the bug that the fuzzer is tested by */
    if (reader->rest.len < len) {
        reader->dry = true;
        return WEIR_BYTES_NULL;
    }
#endif
    weir_bytes span = {reader->rest.ptr, len};
    reader->rest.ptr += len;
    reader->rest.len -= len;
    return span;
}

static void take_target(frame_reader *reader, weir_v1_frame *frame)
{
    frame->topic = take_span(reader, (size_t)take_number(reader, 2));
    frame->partition = (uint32_t)take_number(reader, 4);
    frame->request = take_number(reader, 8);
}

static void take_range(frame_reader *reader, weir_settle_range *range)
{
    range->topic = take_span(reader, (size_t)take_number(reader, 2));
    range->partition = (uint32_t)take_number(reader, 4);
    range->first = (int64_t)take_number(reader, 8);
    range->last = (int64_t)take_number(reader, 8);
    range->lease = take_number(reader, 8);
}

weir_err weir_v1_frame_range_take(weir_bytes *ranges, weir_settle_range *range)
{
    frame_reader reader = {*ranges, false};
    weir_settle_range got = {0};
    if (ranges->len == 0) {
        return WEIR_EMPTY;
    }
    take_range(&reader, &got);
    if (reader.dry) {
        return WEIR_MALFORMED;
    }
    *range = got;
    *ranges = reader.rest;
    return WEIR_OK;
}

weir_err weir_v1_frame_run_take(weir_bytes *runs, weir_v1_frame_leased *run)
{
    frame_reader reader = {*runs, false};
    weir_settle_range range = {0};
    if (runs->len == 0) {
        return WEIR_EMPTY;
    }
    take_range(&reader, &range);
    weir_v1_frame_leased got = {.topic = range.topic,
                                .partition = range.partition,
                                .first = range.first,
                                .last = range.last,
                                .lease = range.lease};
    got.leased = (uint32_t)take_number(&reader, 4);
    got.failed = (uint32_t)take_number(&reader, 4);
    got.batch = take_span(&reader, (size_t)take_number(&reader, 4));
    if (reader.dry) {
        return WEIR_MALFORMED;
    }
    *run = got;
    *runs = reader.rest;
    return WEIR_OK;
}

/* Counts the ranges, so that whoever runs the frame finds them whole. */
static weir_err take_settle(frame_reader *reader, weir_v1_frame *frame)
{
    weir_settle_range range;
    weir_err err = WEIR_OK;
    frame->member = take_number(reader, 8);
    frame->request = take_number(reader, 8);
    frame->verb = (uint8_t)take_number(reader, 1);
    frame->flags = (uint8_t)take_number(reader, 1);
    frame->delay_ms = (int64_t)take_number(reader, 8);
    frame->epoch = take_number(reader, 8);
    frame->generation = take_number(reader, 8);
    frame->reason = take_span(reader, (size_t)take_number(reader, 2));
    if (reader->dry) {
        return WEIR_OK;
    }
    frame->ranges = take_span(reader, reader->rest.len);
    for (weir_bytes rest = frame->ranges; err == WEIR_OK;) {
        err = weir_v1_frame_range_take(&rest, &range);
        frame->range_count += err == WEIR_OK;
    }
    return err == WEIR_EMPTY ? WEIR_OK : err;
}

static weir_err take_settled(frame_reader *reader, weir_v1_frame *frame)
{
    frame->request = take_number(reader, 8);
    frame->level = (weir_level)take_number(reader, 1);
    frame->settled = take_number(reader, 8);
    frame->refused = take_number(reader, 8);
    frame->lease_ms = (int64_t)take_number(reader, 8);
    return frame->level < WEIR_LEVEL_COUNT ? WEIR_OK : WEIR_MALFORMED;
}

static void take_leased(frame_reader *reader, weir_v1_frame *frame)
{
    frame->request = take_number(reader, 8);
    frame->epoch = take_number(reader, 8);
    frame->generation = take_number(reader, 8);
    frame->lease_ms = (int64_t)take_number(reader, 8);
    frame->runs = take_span(reader, reader->rest.len);
}

static weir_err take_body(frame_reader *reader, weir_v1_frame *frame)
{
    unsigned level = 0;
    switch (frame->type) {
    case WEIR_V1_FRAME_PRODUCE:
        take_target(reader, frame);
        frame->batches = take_span(reader, reader->rest.len);
        return WEIR_OK;
    case WEIR_V1_FRAME_FETCH:
        take_target(reader, frame);
        frame->offset = (int64_t)take_number(reader, 8);
        frame->bytes_max = (uint32_t)take_number(reader, 4);
        frame->wait_ms = (uint32_t)take_number(reader, 4);
        return WEIR_OK;
    case WEIR_V1_FRAME_PRODUCED:
        frame->request = take_number(reader, 8);
        level = (unsigned)take_number(reader, 1);
        frame->duplicate = (level & WEIR_V1_FRAME_DUPLICATE) != 0;
        frame->level = (weir_level)(level & ~(unsigned)WEIR_V1_FRAME_DUPLICATE);
        frame->partition = (uint32_t)take_number(reader, 4);
        frame->offset = (int64_t)take_number(reader, 8);
        frame->time_ms = (int64_t)take_number(reader, 8);
        return frame->level < WEIR_LEVEL_COUNT ? WEIR_OK : WEIR_MALFORMED;
    case WEIR_V1_FRAME_FETCHED:
        frame->request = take_number(reader, 8);
        if (take_number(reader, 1) != 0) {
            return WEIR_MALFORMED;
        }
        frame->start_offset = (int64_t)take_number(reader, 8);
        frame->end_offset = (int64_t)take_number(reader, 8);
        frame->batches = take_span(reader, reader->rest.len);
        return WEIR_OK;
    case WEIR_V1_FRAME_LEASE:
        frame->member = take_number(reader, 8);
        frame->request = take_number(reader, 8);
        frame->records_max = (uint32_t)take_number(reader, 4);
        frame->bytes_max = (uint32_t)take_number(reader, 4);
        frame->wait_ms = (uint32_t)take_number(reader, 4);
        return WEIR_OK;
    case WEIR_V1_FRAME_SETTLE:
        return take_settle(reader, frame);
    case WEIR_V1_FRAME_LEASED:
        take_leased(reader, frame);
        return WEIR_OK;
    case WEIR_V1_FRAME_SETTLED:
        return take_settled(reader, frame);
    case WEIR_V1_FRAME_ERROR:
        frame->request = take_number(reader, 8);
        frame->code = take_span(reader, (size_t)take_number(reader, 2));
        frame->text = take_span(reader, (size_t)take_number(reader, 2));
        return WEIR_OK;
    default:
        return WEIR_UNSUPPORTED;
    }
}

weir_err weir_v1_frame_decode(weir_bytes in, weir_v1_frame *frame)
{
    if (in.len < WEIR_V1_FRAME_HEAD_BYTES) {
        return WEIR_MORE;
    }
    uint64_t length = big(in.ptr + 1, 4);
    if (in.len - WEIR_V1_FRAME_HEAD_BYTES < length) {
        return WEIR_MORE;
    }
    *frame = (weir_v1_frame){.type = in.ptr[0]};
    frame_reader reader = {{in.ptr + WEIR_V1_FRAME_HEAD_BYTES, (size_t)length}, false};
    weir_err err = take_body(&reader, frame);
    if (err != WEIR_OK) {
        return err;
    }
    bool whole = in.len - WEIR_V1_FRAME_HEAD_BYTES == length;
    return reader.dry || reader.rest.len > 0 || !whole ? WEIR_MALFORMED : WEIR_OK;
}

/* ---- Encoding -----------------------------------------------------------------------------------
 */

static weir_err put_number(weir_buffer *out, uint64_t value, size_t bytes)
{
    uint8_t wire[8];
    for (size_t i = 0; i < bytes; i++) {
        wire[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
    }
    return weir_buffer_append(out, wire, bytes);
}

static weir_err put_span(weir_buffer *out, weir_bytes span)
{
    if (span.len > UINT16_MAX) {
        return WEIR_INVALID;
    }
    weir_err err = put_number(out, span.len, 2);
    return err == WEIR_OK && span.len > 0 ? weir_buffer_append(out, span.ptr, span.len) : err;
}

static weir_err put_target(weir_buffer *out, const weir_v1_frame *frame)
{
    weir_err err = put_span(out, frame->topic);
    err = err != WEIR_OK ? err : put_number(out, frame->partition, 4);
    return err != WEIR_OK ? err : put_number(out, frame->request, 8);
}

/* Numbers one behind the other, each of its bytes. */
typedef struct number {
    uint64_t value;
    size_t bytes;
} number;

static weir_err put_numbers(weir_buffer *out, const number *numbers, size_t count)
{
    weir_err err = WEIR_OK;
    for (size_t i = 0; err == WEIR_OK && i < count; i++) {
        err = put_number(out, numbers[i].value, numbers[i].bytes);
    }
    return err;
}

#define PUT_NUMBERS(out, ...)                                                                      \
    put_numbers(out, (const number[]){__VA_ARGS__},                                                \
                sizeof((const number[]){__VA_ARGS__}) / sizeof(number))

weir_err weir_v1_frame_range_put(weir_buffer *out, const weir_settle_range *range)
{
    weir_err err = put_span(out, range->topic);
    return err != WEIR_OK ? err
                          : PUT_NUMBERS(out, {range->partition, 4}, {(uint64_t)range->first, 8},
                                        {(uint64_t)range->last, 8}, {range->lease, 8});
}

weir_err weir_v1_frame_run_put(weir_buffer *out, const weir_v1_frame_leased *run)
{
    const weir_settle_range range = {.topic = run->topic,
                                     .partition = run->partition,
                                     .first = run->first,
                                     .last = run->last,
                                     .lease = run->lease};
    weir_err err = weir_v1_frame_range_put(out, &range);
    err = err != WEIR_OK
              ? err
              : PUT_NUMBERS(out, {run->leased, 4}, {run->failed, 4}, {run->batch.len, 4});
    return err == WEIR_OK && run->batch.len > 0
               ? weir_buffer_append(out, run->batch.ptr, run->batch.len)
               : err;
}

/* Lease, settle and their answers. */
static weir_err put_group_body(weir_buffer *out, const weir_v1_frame *frame)
{
    weir_err err = WEIR_OK;
    switch (frame->type) {
    case WEIR_V1_FRAME_LEASE:
        return PUT_NUMBERS(out, {frame->member, 8}, {frame->request, 8}, {frame->records_max, 4},
                           {frame->bytes_max, 4}, {frame->wait_ms, 4});
    case WEIR_V1_FRAME_SETTLE:
        err = PUT_NUMBERS(out, {frame->member, 8}, {frame->request, 8}, {frame->verb, 1},
                          {frame->flags, 1}, {(uint64_t)frame->delay_ms, 8}, {frame->epoch, 8},
                          {frame->generation, 8});
        return err != WEIR_OK ? err : put_span(out, frame->reason);
    case WEIR_V1_FRAME_LEASED:
        return PUT_NUMBERS(out, {frame->request, 8}, {frame->epoch, 8}, {frame->generation, 8},
                           {(uint64_t)frame->lease_ms, 8});
    case WEIR_V1_FRAME_SETTLED:
        return PUT_NUMBERS(out, {frame->request, 8}, {frame->level, 1}, {frame->settled, 8},
                           {frame->refused, 8}, {(uint64_t)frame->lease_ms, 8});
    default:
        return WEIR_INVALID;
    }
}

static weir_err put_body(weir_buffer *out, const weir_v1_frame *frame)
{
    weir_err err = WEIR_OK;
    unsigned level = 0;
    switch (frame->type) {
    case WEIR_V1_FRAME_PRODUCE:
        return put_target(out, frame);
    case WEIR_V1_FRAME_FETCH:
        err = put_target(out, frame);
        err = err != WEIR_OK ? err : put_number(out, (uint64_t)frame->offset, 8);
        err = err != WEIR_OK ? err : put_number(out, frame->bytes_max, 4);
        return err != WEIR_OK ? err : put_number(out, frame->wait_ms, 4);
    case WEIR_V1_FRAME_PRODUCED:
        err = put_number(out, frame->request, 8);
        level = frame->level | (frame->duplicate ? WEIR_V1_FRAME_DUPLICATE : 0);
        err = err != WEIR_OK ? err : put_number(out, level, 1);
        err = err != WEIR_OK ? err : put_number(out, frame->partition, 4);
        err = err != WEIR_OK ? err : put_number(out, (uint64_t)frame->offset, 8);
        return err != WEIR_OK ? err : put_number(out, (uint64_t)frame->time_ms, 8);
    case WEIR_V1_FRAME_FETCHED:
        err = put_number(out, frame->request, 8);
        err = err != WEIR_OK ? err : put_number(out, 0, 1);
        err = err != WEIR_OK ? err : put_number(out, (uint64_t)frame->start_offset, 8);
        return err != WEIR_OK ? err : put_number(out, (uint64_t)frame->end_offset, 8);
    case WEIR_V1_FRAME_ERROR:
        err = put_number(out, frame->request, 8);
        err = err != WEIR_OK ? err : put_span(out, frame->code);
        return err != WEIR_OK ? err : put_span(out, frame->text);
    default:
        return put_group_body(out, frame);
    }
}

/* What stands behind the fields of a frame. */
static weir_bytes tail_of(const weir_v1_frame *frame)
{
    return frame->type == WEIR_V1_FRAME_SETTLE   ? frame->ranges
           : frame->type == WEIR_V1_FRAME_LEASED ? frame->runs
                                                 : frame->batches;
}

weir_err weir_v1_frame_begin(const weir_v1_frame *frame, weir_buffer *out, size_t *position)
{
    size_t before = out->len;
    weir_err err = put_number(out, (uint64_t)frame->type << 32, WEIR_V1_FRAME_HEAD_BYTES);
    err = err != WEIR_OK ? err : put_body(out, frame);
    if (err != WEIR_OK) {
        out->len = before;
        return err;
    }
    *position = before;
    return WEIR_OK;
}

void weir_v1_frame_end(weir_buffer *out, size_t position)
{
    size_t length = out->len - position - WEIR_V1_FRAME_HEAD_BYTES;
    for (size_t i = 0; i < 4; i++) {
        out->ptr[position + 1 + i] = (uint8_t)(length >> (8 * (3 - i)));
    }
}

weir_err weir_v1_frame_encode(const weir_v1_frame *frame, weir_buffer *out)
{
    size_t position = 0;
    weir_bytes tail = tail_of(frame);
    weir_err err = weir_v1_frame_begin(frame, out, &position);
    if (err != WEIR_OK) {
        return err;
    }
    if (tail.len > 0) {
        err = weir_buffer_append(out, tail.ptr, tail.len);
        if (err != WEIR_OK) {
            out->len = position;
            return err;
        }
    }
    weir_v1_frame_end(out, position);
    return WEIR_OK;
}
