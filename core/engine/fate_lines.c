/* core/engine/fate_lines.c - lines of records' stories, as bytes and back.
 *
 *   value    version u8 (1) | item | item | ...
 *   part     0xF0 | group id | topic id | partition | group | topic         numbered from 0
 *   member   0xF1 | name | origin                                           numbered from 0
 *   line     event u8 | flags u8 | [part] | first | count | time | member | leased | failed | [reason]
 *            | [topic | partition | offset]
 *
 *   flags    0x0F the fate, 0: none    0x10 the part of the line before    0x20 a reason follows
 *            0x40 it is a dead letter, and where that stands follows
 *   first    less the offset behind the last line of that part (0)     count   less 1
 *   time     less that of the line before (0), Unix milliseconds       member  0: nobody, else less 1
 *
 * Numbers are zigzag varints; words are a length and their bytes. The usual line of a queue that is
 * worked through takes 8 bytes, however many records it tells of.
 *
 * [L1] What a reader has given is within what was written: a number that was not named before, an
 *      offset below 0, a count of none or a word beyond the end is DAMAGED. */
#include "core/engine/fate_lines.h"

#include "core/base/assert.h"
#include "core/base/varint.h"

#include <stdlib.h>
#include <string.h>

enum {
    ITEM_PART = 0xF0,
    ITEM_MEMBER = 0xF1,
    FATE_MASK = 0x0F,
    SAME_PART = 0x10,
    HAS_REASON = 0x20,
    HAS_LETTER = 0x40,
    KEPT_LEAST = 16,
};

const char *weir_fate_event_name(weir_fate_event event)
{
    static const char *const NAMES[WEIR_FATE_EVENTS] = {
#define WEIR_FATE_EVENT_NAME(name, code, word) [code] = word,
        WEIR_FATE_EVENT_LIST(WEIR_FATE_EVENT_NAME)
#undef WEIR_FATE_EVENT_NAME
    };
    return event > 0 && event < WEIR_FATE_EVENTS ? NAMES[event] : "unknown";
}

/* ---- Writing ------------------------------------------------------------------------------------
 */

static void put_u8(weir_buffer *out, uint8_t value)
{
    out->ptr[out->len++] = value;
}

static void put_number(weir_buffer *out, int64_t value)
{
    out->len += weir_varint_encode(value, out->ptr + out->len);
}

static void put_word(weir_buffer *out, weir_bytes word)
{
    put_number(out, (int64_t)word.len);
    if (word.len > 0) {
        memcpy(out->ptr + out->len, word.ptr, word.len);
        out->len += word.len;
    }
}

static void begin(const weir_fate_writer *writer, weir_buffer *out)
{
    if (writer->parts == 0 && writer->members == 0) {
        put_u8(out, WEIR_FATE_LINES_VERSION);
    }
}

uint32_t weir_fate_part_write(weir_fate_writer *writer, const weir_fate_part *part,
                              weir_buffer *out)
{
    begin(writer, out);
    put_u8(out, ITEM_PART);
    put_number(out, part->group_id);
    put_number(out, part->topic_id);
    put_number(out, part->partition);
    put_word(out, part->group);
    put_word(out, part->topic);
    return writer->parts++;
}

uint32_t weir_fate_member_write(weir_fate_writer *writer, weir_bytes name, weir_bytes origin,
                                weir_buffer *out)
{
    begin(writer, out);
    put_u8(out, ITEM_MEMBER);
    put_word(out, name);
    put_word(out, origin);
    return writer->members++;
}

void weir_fate_line_write(weir_fate_writer *writer, const weir_fate_told *line, int64_t *next,
                          weir_buffer *out)
{
    bool same = writer->part == line->part;
    uint8_t flags = (uint8_t)line->fate;
    WEIR_ASSERT(line->part < writer->parts && line->last >= line->first); /* [L1] */
    flags |= same ? SAME_PART : 0;
    flags |= line->reason.ptr != NULL ? HAS_REASON : 0;
    flags |= line->letter.topic.ptr != NULL ? HAS_LETTER : 0;
    put_u8(out, (uint8_t)line->event);
    put_u8(out, flags);
    if (!same) {
        put_number(out, line->part);
    }
    put_number(out, line->first - *next);
    put_number(out, line->last - line->first);
    put_number(out, line->time_ms - writer->time_ms);
    put_number(out, line->member == UINT32_MAX ? 0 : (int64_t)line->member + 1);
    put_number(out, line->leased);
    put_number(out, line->failed);
    if (line->reason.ptr != NULL) {
        weir_bytes reason = line->reason;
        reason.len =
            reason.len < WEIR_FATE_REASON_BYTES_MAX ? reason.len : WEIR_FATE_REASON_BYTES_MAX;
        put_word(out, reason);
    }
    if (line->letter.topic.ptr != NULL) {
        put_word(out, line->letter.topic);
        put_number(out, line->letter.partition);
        put_number(out, line->letter.offset);
    }
    writer->part = line->part;
    writer->time_ms = line->time_ms;
    *next = line->last + 1;
}

/* ---- Reading ------------------------------------------------------------------------------------
 */

void weir_fate_reader_begin(weir_fate_reader *reader, weir_bytes value)
{
    reader->rest = value;
    reader->begun = false;
    reader->so_far = (weir_fate_writer){0};
}

void weir_fate_reader_fini(weir_fate_reader *reader)
{
    free(reader->next);
    free(reader->named);
    free(reader->members);
    *reader = (weir_fate_reader){.begun = false};
}

static bool take_u8(weir_fate_reader *from, uint8_t *value)
{
    if (from->rest.len == 0) {
        return false;
    }
    *value = from->rest.ptr[0];
    from->rest.ptr++;
    from->rest.len--;
    return true;
}

/* One within [least, most]. */
static bool take_number(weir_fate_reader *from, int64_t least, int64_t most, int64_t *value)
{
    size_t used = 0;
    if (weir_varint_decode(from->rest, value, &used) != WEIR_OK) {
        return false;
    }
    from->rest.ptr += used;
    from->rest.len -= used;
    return *value >= least && *value <= most;
}

static bool take_u32(weir_fate_reader *from, uint32_t *value)
{
    int64_t number = 0;
    bool good = take_number(from, 0, UINT32_MAX, &number);
    *value = (uint32_t)number;
    return good;
}

static bool take_word(weir_fate_reader *from, weir_bytes *word)
{
    int64_t len = 0;
    if (!take_number(from, 0, UINT32_MAX, &len) || (size_t)len > from->rest.len) {
        return false;
    }
    *word = (weir_bytes){from->rest.ptr, (size_t)len};
    from->rest.ptr += len;
    from->rest.len -= (size_t)len;
    return true;
}

static weir_err parts_room(weir_fate_reader *reader)
{
    if (reader->so_far.parts < reader->part_capacity) {
        return WEIR_OK;
    }
    uint32_t capacity = reader->part_capacity < KEPT_LEAST ? KEPT_LEAST : 2 * reader->part_capacity;
    int64_t *next = realloc(reader->next, capacity * sizeof(*next));
    reader->next = next != NULL ? next : reader->next;
    weir_fate_part *named = realloc(reader->named, capacity * sizeof(*named));
    reader->named = named != NULL ? named : reader->named;
    if (next == NULL || named == NULL) {
        return WEIR_NO_MEMORY;
    }
    reader->part_capacity = capacity;
    return WEIR_OK;
}

static weir_err take_part(weir_fate_reader *reader)
{
    weir_fate_part part;
    if (reader->so_far.parts >= WEIR_FATE_NUMBERS_MAX || !take_u32(reader, &part.group_id) ||
        !take_u32(reader, &part.topic_id) || !take_u32(reader, &part.partition) ||
        !take_word(reader, &part.group) || !take_word(reader, &part.topic)) {
        return WEIR_DAMAGED;
    }
    weir_err err = parts_room(reader);
    if (err == WEIR_OK) {
        reader->next[reader->so_far.parts] = 0;
        reader->named[reader->so_far.parts++] = part;
    }
    return err;
}

static weir_err take_member(weir_fate_reader *reader)
{
    struct weir_fate_who who;
    if (reader->so_far.members >= WEIR_FATE_NUMBERS_MAX || !take_word(reader, &who.name) ||
        !take_word(reader, &who.origin)) {
        return WEIR_DAMAGED;
    }
    if (reader->so_far.members == reader->member_capacity) {
        uint32_t capacity =
            reader->member_capacity < KEPT_LEAST ? KEPT_LEAST : 2 * reader->member_capacity;
        struct weir_fate_who *grown = realloc(reader->members, capacity * sizeof(*grown));
        if (grown == NULL) {
            return WEIR_NO_MEMORY;
        }
        reader->members = grown;
        reader->member_capacity = capacity;
    }
    reader->members[reader->so_far.members++] = who;
    return WEIR_OK;
}

/* [L1] */
static bool take_range(weir_fate_reader *reader, weir_fate_told *line)
{
    int64_t first = 0;
    int64_t more = 0;
    int64_t time = 0;
    int64_t next = reader->next[line->part];
    if (!take_number(reader, INT64_MIN, INT64_MAX, &first) ||
        !take_number(reader, 0, INT64_MAX, &more) ||
        !take_number(reader, INT64_MIN / 2, INT64_MAX / 2, &time) ||
        __builtin_add_overflow(next, first, &line->first) || line->first < 0 ||
        __builtin_add_overflow(line->first, more, &line->last) || line->last == INT64_MAX ||
        __builtin_add_overflow(reader->so_far.time_ms, time, &line->time_ms)) {
        return false;
    }
    return true;
}

static bool take_who(weir_fate_reader *reader, weir_fate_told *line)
{
    int64_t member = 0;
    if (!take_number(reader, 0, reader->so_far.members, &member) ||
        !take_u32(reader, &line->leased) || !take_u32(reader, &line->failed)) {
        return false;
    }
    line->member = member == 0 ? UINT32_MAX : (uint32_t)(member - 1);
    return true;
}

static bool take_line(weir_fate_reader *reader, uint8_t event, weir_fate_told *line)
{
    uint8_t flags = 0;
    bool good = take_u8(reader, &flags);
    *line = (weir_fate_told){.event = (weir_fate_event)event,
                             .fate = (weir_fate)(flags & FATE_MASK),
                             .part = reader->so_far.part};
    good = good && event > 0 && event < WEIR_FATE_EVENTS && line->fate < WEIR_FATE_COUNT;
    good = good && ((flags & SAME_PART) != 0 || take_u32(reader, &line->part));
    good = good && line->part < reader->so_far.parts && take_range(reader, line) &&
           take_who(reader, line);
    if (good && (flags & HAS_REASON) != 0) {
        good = take_word(reader, &line->reason);
    }
    if (good && (flags & HAS_LETTER) != 0) {
        good = take_word(reader, &line->letter.topic) &&
               take_u32(reader, &line->letter.partition) &&
               take_number(reader, 0, INT64_MAX, &line->letter.offset);
    }
    if (!good) {
        return false;
    }
    reader->next[line->part] = line->last + 1;
    reader->so_far.part = line->part;
    reader->so_far.time_ms = line->time_ms;
    return true;
}

weir_err weir_fate_reader_next(weir_fate_reader *reader, weir_fate_told *line)
{
    uint8_t item = 0;
    if (!reader->begun && take_u8(reader, &item)) {
        reader->begun = true;
        if (item != WEIR_FATE_LINES_VERSION) {
            reader->rest.len = 0;
            return WEIR_VERSION;
        }
    }
    weir_err err = WEIR_OK;
    while (err == WEIR_OK) {
        if (!take_u8(reader, &item)) {
            return WEIR_EMPTY;
        }
        if (item == ITEM_PART) {
            err = take_part(reader);
        } else if (item == ITEM_MEMBER) {
            err = take_member(reader);
        } else if (take_line(reader, item, line)) {
            return WEIR_OK;
        } else {
            err = WEIR_DAMAGED;
        }
    }
    reader->rest.len = 0; /* nothing behind it means anything */
    return err;
}
