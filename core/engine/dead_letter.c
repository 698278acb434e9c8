/* core/engine/dead_letter.c - a dead letter: a record of the group's dead-letter topic, with key, value
 * and headers of the one that it was, and headers that say why.
 *
 *   weir-dead-topic, -partition, -offset, -stored   where it was, and since when (Unix ms)
 *   weir-dead-group, -member, -origin               who had it last, where anybody had
 *   weir-dead-reason, -text                         "rejected", "delivery-limit"; the member's words
 *   weir-dead-leased, -failed                       how often
 *   weir-dead-hops                                  how many times it has become a dead letter
 *
 * Groups may give their letters to topics of one another, so that a record goes round. It is counted
 * in the record itself, and ends when it has been a dead letter dead_letter_hops times.
 *
 * It is appended in the unit that settles the other [G4]; replay finds it as a batch like any other. */
#include "core/engine/group.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "weir-dead-"

enum {
    WHY_MAX = 12,             /* headers that say why */
    NUMBERS_MAX = 6,          /* of which are numbers */
    REASON_BYTES_MAX = 1024,  /* of a member's words */
    HEADERS_BYTES_MAX = 4096, /* what all of them may take */
};

weir_err weir_dead_letter_room(weir_engine *engine, const weir_group *group,
                               const weir_chunk *chunk, uint32_t index)
{
    weir_bytes name = group->options.dead_letter;
    weir_topic *topic = name.len > 0 ? weir_topics_find(engine, name) : NULL;
    if (topic == NULL) {
        return WEIR_NOT_FOUND;
    }
    switch (atomic_load_explicit(&engine->health, memory_order_relaxed)) {
    case WEIR_HEALTH_OK: /* it may be a queue that is full itself */
        return weir_overflow_decide(engine, topic->partitions[0], 1,
                                    weir_dead_letter_bytes(chunk, index));
    case WEIR_HEALTH_DISK_FULL:
        return WEIR_DISK_FULL;
    default:
        return WEIR_READ_ONLY;
    }
}

uint64_t weir_dead_letter_bytes(const weir_chunk *chunk, uint32_t index)
{
    uint32_t end =
        index + 1 < chunk->count ? chunk->positions[index + 1] : weir_chunk_plain_bytes(chunk);
    return end - chunk->positions[index] + HEADERS_BYTES_MAX;
}

/* How often it was a dead letter before. What is no number that the gateway wrote counts as none. */
static uint32_t hops_of(const weir_record *record)
{
    weir_header header;
    uint32_t hops = 0;
    if (record->header_count == 0 || !weir_record_header(record, PREFIX "hops", &header)) {
        return 0;
    }
    for (size_t i = 0; i < header.value.len; i++) {
        uint8_t digit = header.value.ptr[i];
        if (digit < '0' || digit > '9') {
            return 0;
        }
        hops = hops < WEIR_FIXED_dead_letter_hops ? hops * 10 + (uint32_t)(digit - '0') : hops;
    }
    return hops;
}

bool weir_dead_letter_loops(const weir_chunk *chunk, uint32_t index)
{
    weir_record record;
    weir_chunk_record(chunk, index, &record);
    return hops_of(&record) >= WEIR_FIXED_dead_letter_hops;
}

/* The letter's headers: the record's own, but for those that say why, and then why. */
typedef struct letter {
    weir_header *headers;
    uint32_t count;
    char numbers[NUMBERS_MAX][24];
    uint32_t number_count;
} letter;

static bool says_why(weir_bytes name)
{
    return name.len >= sizeof(PREFIX) - 1 && memcmp(name.ptr, PREFIX, sizeof(PREFIX) - 1) == 0;
}

static void letter_text(letter *to, const char *name, weir_bytes value)
{
    if (value.ptr != NULL) {
        to->headers[to->count++] = (weir_header){weir_bytes_of(name), value};
    }
}

static void letter_number(letter *to, const char *name, int64_t value)
{
    char *text = to->numbers[to->number_count++];
    snprintf(text, sizeof(to->numbers[0]), "%" PRId64, value);
    letter_text(to, name, weir_bytes_of(text));
}

/* What is kept of a member's words: whole characters, of at most four bytes each. */
static size_t words_bytes(weir_bytes words)
{
    size_t len = words.len < REASON_BYTES_MAX ? words.len : REASON_BYTES_MAX;
    for (int i = 0; i < 3 && len < words.len && (words.ptr[len] & 0xc0) == 0x80; i++) {
        len--;
    }
    return len;
}

weir_letter weir_dead_letter_write(weir_engine *engine, const weir_group_part *part,
                                   weir_chunk *chunk, uint32_t index, const char *reason_code,
                                   weir_bytes reason, const weir_member *member, uint32_t leased,
                                   uint32_t failed)
{
    const weir_group *group = part->group;
    weir_topic *topic = weir_topics_find(engine, group->options.dead_letter);
    weir_record record;
    weir_header header;
    letter to = {.count = 0};
    weir_chunk_record(chunk, index, &record);
    to.headers = calloc(record.header_count + WHY_MAX, sizeof(*to.headers));
    WEIR_ASSERT(to.headers != NULL && topic != NULL); /* decided, and so applied [E6] */
    for (weir_bytes rest = record.headers; weir_headers_next(&rest, &header);) {
        if (!says_why(header.name)) {
            to.headers[to.count++] = header;
        }
    }
    reason.len = words_bytes(reason);
    letter_text(&to, PREFIX "topic", weir_chunk_topic(chunk));
    letter_number(&to, PREFIX "partition", part->index);
    letter_number(&to, PREFIX "offset", record.offset);
    letter_number(&to, PREFIX "stored", record.timestamp_ms);
    letter_text(&to, PREFIX "group", (weir_bytes){group->name, group->name_bytes});
    letter_text(&to, PREFIX "reason", weir_bytes_of(reason_code));
    letter_text(&to, PREFIX "text", reason);
    letter_text(&to, PREFIX "member", weir_member_name(member));
    letter_text(&to, PREFIX "origin", weir_member_origin(member));
    letter_number(&to, PREFIX "leased", leased);
    letter_number(&to, PREFIX "failed", failed);
    letter_number(&to, PREFIX "hops", (int64_t)hops_of(&record) + 1);
    size_t bytes = weir_record_rest_size(record.value, to.headers, to.count);
    uint8_t *rest = malloc(bytes);
    WEIR_ASSERT(rest != NULL);
    weir_record_rest_encode(record.value, to.headers, to.count, rest);
    uint8_t attributes = record.attributes & WEIR_RECORD_QOS_MASK; /* it retains nothing there */
    weir_letter where = {.topic = {topic->ref->name, topic->ref->name_bytes}};
    weir_err err = weir_produce_own(engine, topic, attributes, record.key,
                                    (weir_bytes){rest, bytes}, &where.partition, &where.offset);
    WEIR_ASSERT(err == WEIR_OK);
    free(rest);
    free(to.headers);
    return where;
}
