/* clients/c/topics.c - topics declared, listed and measured; queries.
 *
 * Answers are JSON objects of a few members; what is missing in them is 0. A list that cannot be
 * had whole is not given at all.
 *
 * [L1] *topics is written only on OK, and then holds memory of its own. */
#include "clients/c/client_private.h"

#include <stdlib.h>
#include <string.h>

static weir_err name_check(weir_client *client, weir_bytes topic)
{
    if (!weir_v1_is_text(topic)) {
        return weir_client_fail(client, WEIR_NAME_INVALID,
                                "A topic's name is UTF-8 text without NUL; spell it so.");
    }
    return WEIR_OK;
}

static weir_v1_writer topic_begin(weir_client *client, const char *action, weir_bytes topic,
                                  uint64_t *id)
{
    weir_v1_writer writer = weir_client_begin(client, "topic", id);
    weir_client_text_member(&writer, "action", weir_bytes_of(action));
    if (topic.ptr != NULL) {
        weir_client_text_member(&writer, "topic", topic);
    }
    return writer;
}

static void settings_write(weir_v1_writer *writer, const weir_topic_options *options)
{
    size_t count;
    const weir_topic_setting *rows = weir_topic_settings(&count);
    if (options->cleanup != WEIR_CLEANUP_DEFAULT) {
        weir_client_text_member(writer, "cleanup",
                                weir_bytes_of(weir_cleanup_name(options->cleanup)));
    }
    for (size_t i = 0; i < count; i++) {
        int64_t value = weir_topic_setting_get(options, &rows[i]);
        if (value != 0) {
            weir_v1_write_raw(writer, ",\"");
            weir_v1_write_raw(writer, rows[i].name);
            weir_v1_write_raw(writer, "\":");
            const char *word = weir_topic_setting_word(&rows[i], value);
            if (word != NULL) {
                weir_v1_write_string(writer, weir_bytes_of(word));
            } else {
                weir_v1_write_integer(writer, value);
            }
        }
    }
}

weir_err weir_client_topic_create(weir_client *client, weir_bytes topic,
                                  const weir_topic_options *options)
{
    uint64_t id = 0;
    weir_v1_document document = {0};
    weir_err err = name_check(client, topic);
    client->topic_created = false;
    if (err != WEIR_OK) {
        return err;
    }
    weir_v1_writer writer = topic_begin(client, "create", topic, &id);
    weir_client_number_member(&writer, "partitions", options->partitions ? options->partitions : 1);
    if (options->level != WEIR_LEVEL_DEFAULT) {
        weir_client_text_member(&writer, "durability",
                                weir_bytes_of(weir_level_name(options->level)));
    }
    if (options->kind == WEIR_KIND_QUEUE) {
        weir_client_text_member(&writer, "kind", WEIR_TEXT("queue"));
    }
    weir_v1_write_raw(&writer, options->nested ? ",\"nested\":true" : "");
    if (options->partition_levels > 0) {
        weir_client_number_member(&writer, "partition_levels", options->partition_levels);
    }
    settings_write(&writer, options);
    err = weir_client_ask(client, &writer, id, weir_client_deadline(client), &document);
    if (err == WEIR_OK) {
        (void)weir_v1_node_boolean(weir_v1_node_member(document.root, "created"),
                                   &client->topic_created);
    }
    weir_v1_document_fini(&document);
    return err;
}

bool weir_client_topic_created(const weir_client *client)
{
    return client->topic_created;
}

weir_err weir_client_topic_alter(weir_client *client, weir_bytes topic, weir_level level)
{
    const weir_topic_options change = {.level = level};
    return weir_client_topic_change(client, topic, &change);
}

weir_err weir_client_topic_change(weir_client *client, weir_bytes topic,
                                  const weir_topic_options *change)
{
    uint64_t id = 0;
    weir_err err = name_check(client, topic);
    if (err != WEIR_OK) {
        return err;
    }
    weir_v1_writer writer = topic_begin(client, "alter", topic, &id);
    if (change->level != WEIR_LEVEL_DEFAULT) {
        weir_client_text_member(&writer, "durability",
                                weir_bytes_of(weir_level_name(change->level)));
    }
    if (change->partitions > 0) {
        weir_client_number_member(&writer, "partitions", change->partitions);
    }
    settings_write(&writer, change);
    return weir_client_run(client, &writer, id);
}

weir_err weir_client_topic_trim(weir_client *client, weir_bytes topic, uint32_t partition,
                                int64_t before)
{
    uint64_t id = 0;
    weir_err err = name_check(client, topic);
    if (err != WEIR_OK) {
        return err;
    }
    weir_v1_writer writer = topic_begin(client, "trim", topic, &id);
    weir_client_number_member(&writer, "partition", partition);
    if (before == WEIR_UNLIMITED) {
        weir_client_text_member(&writer, "before", WEIR_TEXT("end"));
    } else {
        weir_v1_write_raw(&writer, ",\"before\":");
        weir_v1_write_integer(&writer, before);
    }
    return weir_client_run(client, &writer, id);
}

weir_err weir_client_topic_delete(weir_client *client, weir_bytes topic)
{
    uint64_t id = 0;
    weir_err err = name_check(client, topic);
    if (err != WEIR_OK) {
        return err;
    }
    weir_v1_writer writer = topic_begin(client, "delete", topic, &id);
    return weir_client_run(client, &writer, id);
}

/* ---- Lists -------------------------------------------------------------------------------------
 */

void weir_client_topics_free(weir_client_topics *topics)
{
    for (uint32_t i = 0; i < topics->count; i++) {
        free(topics->topics[i].partitions);
    }
    free(topics->topics);
    *topics = (weir_client_topics){0};
}

static weir_err partitions_decode(const weir_v1_node *offsets, weir_topic_info *topic)
{
    size_t count = weir_v1_node_count(offsets);
    if (count == 0) {
        return WEIR_OK;
    }
    topic->partitions = calloc(count, sizeof(*topic->partitions));
    if (topic->partitions == NULL) {
        return WEIR_NO_MEMORY;
    }
    topic->options.partitions = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        const weir_v1_node *node = weir_v1_node_at(offsets, i);
        topic->partitions[i].start_offset = weir_client_integer(node, "start");
        topic->partitions[i].end_offset = weir_client_integer(node, "end");
        topic->partitions[i].found_offset = weir_client_integer(node, "found");
    }
    return WEIR_OK;
}

static void settings_read(const weir_v1_node *node, weir_topic_options *options)
{
    size_t count;
    const weir_topic_setting *rows = weir_topic_settings(&count);
    for (size_t i = 0; i < count; i++) {
        int64_t value = weir_client_integer(node, rows[i].name);
        weir_bytes text = WEIR_BYTES_NULL;
        for (int64_t word = rows[i].least;
             weir_topic_setting_word(&rows[i], word) != NULL &&
             weir_v1_node_text(weir_v1_node_member(node, rows[i].name), &text);
             word++) {
            bool is =
                weir_bytes_equal(text, weir_bytes_of(weir_topic_setting_word(&rows[i], word)));
            value = is ? word : value;
        }
        weir_topic_setting_put(options, &rows[i], value);
    }
}

static weir_err topic_decode(const weir_v1_node *node, weir_topic_info *topic)
{
    weir_bytes text = WEIR_BYTES_NULL;
    if (!weir_v1_node_text(weir_v1_node_member(node, "topic"), &text) ||
        text.len > WEIR_TOPIC_BYTES_MAX) {
        return WEIR_MALFORMED;
    }
    memcpy(topic->name, text.ptr, text.len);
    topic->options.partitions = (uint32_t)weir_client_integer(node, "partitions");
    topic->options.partition_levels = (uint32_t)weir_client_integer(node, "partition_levels");
    weir_v1_node_boolean(weir_v1_node_member(node, "nested"), &topic->options.nested);
    if (weir_v1_node_text(weir_v1_node_member(node, "durability"), &text)) {
        (void)weir_level_parse(text, &topic->options.level);
    }
    if (weir_v1_node_text(weir_v1_node_member(node, "cleanup"), &text)) {
        (void)weir_cleanup_parse(text, &topic->options.cleanup);
    }
    if (weir_v1_node_text(weir_v1_node_member(node, "kind"), &text)) {
        (void)weir_topic_kind_parse(text, &topic->options.kind);
    }
    topic->held_bytes = (uint64_t)weir_client_integer(node, "held_bytes");
    if (weir_v1_node_text(weir_v1_node_member(node, "held_by"), &text) &&
        text.len < sizeof(topic->held_by)) {
        memcpy(topic->held_by, text.ptr, text.len);
    }
    settings_read(node, &topic->options);
    return partitions_decode(weir_v1_node_member(node, "offsets"), topic);
}

/* `list`: the answer's topics; NULL: the answer is the one topic. */
static weir_err topics_decode(weir_client *client, const weir_v1_node *answer,
                              const weir_v1_node *list, weir_client_topics *out)
{
    size_t count = list == NULL ? 1 : weir_v1_node_count(list);
    weir_client_topics topics = {.topics = calloc(count ? count : 1, sizeof(*topics.topics)),
                                 .count = (uint32_t)count};
    weir_err err = topics.topics == NULL ? WEIR_NO_MEMORY : WEIR_OK;
    for (size_t i = 0; err == WEIR_OK && i < count; i++) {
        err = topic_decode(list == NULL ? answer : weir_v1_node_at(list, i), &topics.topics[i]);
    }
    if (err != WEIR_OK) {
        topics.count = topics.topics == NULL ? 0 : topics.count;
        weir_client_topics_free(&topics);
        return weir_client_fail(client, err, NULL);
    }
    *out = topics; /* [L1] */
    return WEIR_OK;
}

static weir_err topics_ask(weir_client *client, weir_v1_writer *writer, uint64_t id,
                           weir_client_topics *topics)
{
    weir_v1_document answer = {0};
    weir_err err = weir_client_end(client, writer);
    err =
        err != WEIR_OK ? err : weir_client_wait(client, id, weir_client_deadline(client), &answer);
    if (err != WEIR_OK) {
        return err;
    }
    err = topics_decode(client, answer.root, weir_v1_node_member(answer.root, "topics"), topics);
    weir_v1_document_fini(&answer);
    return err;
}

weir_err weir_client_topic_list(weir_client *client, weir_bytes topic, weir_client_topics *topics)
{
    uint64_t id = 0;
    weir_err err = name_check(client, topic);
    if (err == WEIR_OK && topic.ptr != NULL && topic.len == 0) { /* the gateway would tell all */
        err = weir_client_fail(client, WEIR_NOT_FOUND, "No topic has an empty name.");
    }
    if (err != WEIR_OK) {
        return err;
    }
    weir_v1_writer writer = topic_begin(client, "list", topic, &id);
    return topics_ask(client, &writer, id, topics);
}

weir_err weir_client_topic_offsets(weir_client *client, weir_bytes topic, weir_offsets_kind kind,
                                   int64_t time_ms, weir_client_topics *topics)
{
    uint64_t id = 0;
    weir_err err = name_check(client, topic);
    if (err != WEIR_OK) {
        return err;
    }
    weir_v1_writer writer = topic_begin(client, "offsets", topic, &id);
    if (kind == WEIR_OFFSETS_TIME) {
        weir_v1_write_raw(&writer, ",\"time\":");
        weir_v1_write_integer(&writer, time_ms);
    }
    return topics_ask(client, &writer, id, topics);
}

weir_err weir_client_query(weir_client *client, const char *what, weir_bytes *json)
{
    uint64_t id = 0;
    weir_v1_document answer = {0};
    weir_v1_writer writer = weir_client_begin(client, "query", &id);
    weir_client_text_member(&writer, "what", weir_bytes_of(what));
    weir_err err = weir_client_end(client, &writer);
    err =
        err != WEIR_OK ? err : weir_client_wait(client, id, weir_client_deadline(client), &answer);
    if (err != WEIR_OK) {
        return err;
    }
    client->decoded.len = 0;
    weir_v1_writer text = {&client->decoded, false};
    weir_v1_write_node(&text, answer.root);
    weir_v1_document_fini(&answer);
    if (text.failed) {
        return weir_client_fail(client, WEIR_NO_MEMORY, NULL);
    }
    *json = weir_buffer_bytes(&client->decoded);
    return WEIR_OK;
}
