/* clients/c/large.c - a record whose JSON would be longer than the gateway takes in one message.
 *
 *     name -> the longest declared topic that is its prefix, the rest its key
 *     topic, key -> partition -> RecordBatch of one record -> produce-batch frame
 *
 * Base64 and escapes make a message larger than its record, so a record within record_bytes_max may
 * not fit packet_bytes_max as text; as a frame it does. What a frame cannot say (retain, a live
 * name) is refused with what would help.
 *
 * [G1] The partition is the one the gateway picks for the same key (partition_levels included). */
#include "clients/c/client_private.h"

#include "core/base/hash.h"
#include "core/batch/batch.h"

#include <stdlib.h>
#include <string.h>

/* Splits the name at that topic: false when it is not a prefix by whole levels. */
static bool name_split(weir_bytes name, const char *topic, weir_bytes *key)
{
    size_t len = strlen(topic);
    if (name.len < len || memcmp(name.ptr, topic, len) != 0 ||
        (name.len > len && name.ptr[len] != '/')) {
        return false;
    }
    *key = name.len == len ? WEIR_BYTES_NULL : (weir_bytes){name.ptr + len + 1, name.len - len - 1};
    return true;
}

/* The topic of the record among those listed, and its key. NULL: it is live, or undeclared. */
static const weir_topic_info *topic_find(const weir_client_topics *topics,
                                         const weir_publish *record, weir_bytes *key)
{
    const weir_topic_info *found = NULL;
    size_t longest = 0;
    for (uint32_t i = 0; i < topics->count; i++) {
        const weir_topic_info *topic = &topics->topics[i];
        weir_bytes rest = record->key;
        bool fits = record->topic.ptr != NULL
                        ? weir_bytes_equal(record->topic, weir_bytes_of(topic->name))
                        : name_split(record->name, topic->name, &rest);
        if (fits && (found == NULL || strlen(topic->name) > longest)) {
            found = topic;
            longest = strlen(topic->name);
            *key = rest;
        }
    }
    return found;
}

/* [G1] Only the first `levels` levels choose; 0: all. */
static weir_bytes key_head(weir_bytes key, uint32_t levels)
{
    for (size_t i = 0; levels > 0 && i < key.len; i++) {
        if (key.ptr[i] == '/' && --levels == 0) {
            return (weir_bytes){key.ptr, i};
        }
    }
    return key;
}

static uint32_t partition_of(weir_client *client, const weir_topic_options *options, weir_bytes key)
{
    uint32_t partitions = options->partitions > 0 ? options->partitions : 1;
    if (key.ptr == NULL) {
        return (uint32_t)(client->id_last % partitions);
    }
    return weir_partition_of_key(key_head(key, options->partition_levels), partitions);
}

static size_t batch_bytes(weir_bytes key, const weir_publish *record)
{
    size_t bytes = WEIR_BATCH_HEAD_BYTES + WEIR_RECORD_OVERHEAD_MAX + key.len;
    return bytes + weir_record_rest_size(record->value, record->headers, record->header_count);
}

static weir_err produce_one(weir_client *client, const weir_topic_info *topic, weir_bytes key,
                            const weir_publish *record, weir_published *published)
{
    size_t rest_size = weir_record_rest_size(record->value, record->headers, record->header_count);
    size_t size = batch_bytes(key, record);
    uint8_t *memory = malloc(size + rest_size);
    weir_batch_builder builder;
    uint32_t position = 0;
    if (memory == NULL) {
        return weir_client_fail(client, WEIR_NO_MEMORY, NULL);
    }
    weir_bytes rest = {memory + size, rest_size};
    (void)weir_record_rest_encode(record->value, record->headers, record->header_count,
                                  memory + size);
    weir_batch_begin(&builder, memory, size);
    weir_err err = weir_batch_add(&builder, 0, key, rest, &position);
    if (err == WEIR_OK) {
        weir_bytes batch = weir_batch_finish(&builder, 0, 0, 0);
        uint32_t partition = partition_of(client, &topic->options, key);
        err = weir_client_produce(client, weir_bytes_of(topic->name), partition, batch, published);
    } else {
        err = weir_client_fail(client, err, NULL);
    }
    free(memory);
    return err;
}

static bool record_fits(const weir_client *client, const weir_publish *record)
{
    uint64_t bytes = record->key.len + record->value.len;
    for (uint32_t i = 0; i < record->header_count; i++) {
        bytes += record->headers[i].name.len + record->headers[i].value.len;
    }
    return client->limits.record_bytes_max == 0 || bytes <= client->limits.record_bytes_max;
}

weir_err weir_client_publish_large(weir_client *client, const weir_publish *record,
                                   weir_published *published)
{
    weir_client_topics topics = {0};
    weir_bytes key = WEIR_BYTES_NULL;
    if (!record_fits(client, record)) {
        return weir_client_fail(
            client, WEIR_TOO_LARGE,
            "Send a smaller record: key, value and headers together are limited "
            "by record_bytes_max.");
    }
    if ((record->attributes & WEIR_RECORD_RETAIN) != 0) {
        return weir_client_fail(client, WEIR_TOO_LARGE,
                                "A value this large cannot be retained from here: make it smaller, "
                                "or raise packet_bytes_max.");
    }
    if (record->producer.ptr != NULL) {
        return weir_client_fail(client, WEIR_TOO_LARGE,
                                "A value this large cannot have a publishing id: make it smaller, "
                                "or raise packet_bytes_max.");
    }
    weir_err err = weir_client_topic_list(client, WEIR_BYTES_NULL, &topics);
    if (err != WEIR_OK) {
        return err;
    }
    const weir_topic_info *topic = topic_find(&topics, record, &key);
    if (topic != NULL) {
        err = produce_one(client, topic, key, record, published);
    } else if (record->topic.ptr != NULL) {
        err = weir_client_fail(client, WEIR_NOT_FOUND, "No such topic is declared: create it.");
    } else {
        err = weir_client_fail(client, WEIR_TOO_LARGE,
                               "A live record this large cannot be sent from here: declare its "
                               "topic, make it smaller, or raise packet_bytes_max.");
    }
    weir_client_topics_free(&topics);
    return err;
}
