/* programs/yaml_group.c - `groups:` of weir.yaml: consumer groups that are declared at start.
 *
 *     groups:
 *       - {name: billing, topics: [orders, refunds], mode: at-most-once}
 *       - {name: alarms, model: queue, filter: 'plant/+/alarm', lease_ms: 5000}
 *
 * Each text goes through its reader (weir/group.h); the first mistake ends the reading, with its
 * place. What no single entry can tell is looked at in config.c. */
#include "programs/yaml.h"

#include "programs/letters.h"

#include "programs/say.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- The schema ------------------------------------------------------------------------------- */

static const cyaml_schema_value_t text_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED)};

static const cyaml_schema_field_t group_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, weir_raw_group, name, 0, CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("model", WEIR_YAML_FIELD_FLAGS, weir_raw_group, model, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("mode", WEIR_YAML_FIELD_FLAGS, weir_raw_group, mode, 0, CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("topics", WEIR_YAML_FIELD_FLAGS, weir_raw_group, topics, &text_schema, 1,
                         WEIR_GROUP_TOPICS_MAX),
    CYAML_FIELD_STRING_PTR("filter", WEIR_YAML_FIELD_FLAGS, weir_raw_group, filter, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("start", WEIR_YAML_FIELD_FLAGS, weir_raw_group, start, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("removed", WEIR_YAML_FIELD_FLAGS, weir_raw_group, removed, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("dead_letter", WEIR_YAML_FIELD_FLAGS, weir_raw_group, dead_letter, 0,
                           CYAML_UNLIMITED),
#define SETTING_FIELD(field, tag, models, value, endless, least, most, unit, help)                 \
    CYAML_FIELD_STRING_PTR(#field, WEIR_YAML_FIELD_FLAGS, weir_raw_group, field, 0,                \
                           CYAML_UNLIMITED),
    WEIR_GROUP_SETTINGS_LIST(SETTING_FIELD)
#undef SETTING_FIELD
        CYAML_FIELD_END,
};

const cyaml_schema_value_t weir_yaml_group_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, weir_raw_group, group_fields)};

/* ---- Reading ---------------------------------------------------------------------------------- */

typedef struct reading {
    const weir_config *config;
    yaml_document_t *document;
    const yaml_node_t *node;
    weir_fault *fault;
} reading;

static weir_err refuse(const reading *from, const char *key, const char *text, const char *wants)
{
    weir_place place = weir_yaml_place(weir_yaml_get(from->document, from->node, key));
    return weir_fault_fill(from->fault, WEIR_INVALID, from->config->file, place.line, place.column,
                           "%s: \"%.64s\" is not %s", key, text, wants);
}

static weir_err words_read(const reading *from, const weir_raw_group *raw,
                           weir_group_options *options)
{
    if (raw->model != NULL &&
        weir_model_parse(weir_bytes_of(raw->model), &options->model) != WEIR_OK) {
        return refuse(from, "model", raw->model, "stream or queue");
    }
    if (raw->mode != NULL && weir_mode_parse(weir_bytes_of(raw->mode), &options->mode) != WEIR_OK) {
        return refuse(from, "mode", raw->mode,
                      "at-most-once, at-least-once, exactly-once or client-commit");
    }
    if (options->mode == WEIR_MODE_EXACTLY_ONCE) {
        return refuse(from, "mode", raw->mode, "offered yet: take at-least-once");
    }
    if (options->mode == WEIR_MODE_CLIENT_COMMIT && options->model == WEIR_MODEL_QUEUE) {
        return refuse(from, "mode", raw->mode, "a queue group's: client-commit is for streams");
    }
    if (raw->start != NULL &&
        (weir_group_place_parse(weir_bytes_of(raw->start), &options->start) != WEIR_OK ||
         options->start == WEIR_PLACE_ERROR)) {
        return refuse(from, "start", raw->start, "beginning or end");
    }
    if (raw->removed != NULL &&
        weir_group_place_parse(weir_bytes_of(raw->removed), &options->removed) != WEIR_OK) {
        return refuse(from, "removed", raw->removed, "beginning, end or error");
    }
    return WEIR_OK;
}

/* Decimal digits, or -1. */
static bool number_read(const char *text, int64_t *value)
{
    char *end = NULL;
    bool digits = text[0] >= '0' && text[0] <= '9';
    errno = 0;
    *value = digits || strcmp(text, "-1") == 0 ? strtoll(text, &end, 10) : 0;
    return end != NULL && *end == '\0' && errno == 0;
}

static weir_err settings_read(const reading *from, const weir_raw_group *raw,
                              weir_group_options *options)
{
    const char *const texts[] = {
#define SETTING_TEXT(field, tag, models, value, endless, least, most, unit, help) raw->field,
        WEIR_GROUP_SETTINGS_LIST(SETTING_TEXT)
#undef SETTING_TEXT
    };
    size_t count = 0;
    const weir_group_setting *rows = weir_group_settings(&count);
    unsigned model = options->model == WEIR_MODEL_QUEUE ? 2 : 1;
    for (size_t i = 0; i < count; i++) {
        int64_t value = 0;
        weir_place place = weir_yaml_place(weir_yaml_get(from->document, from->node, rows[i].name));
        if (texts[i] == NULL) {
            continue;
        }
        if ((rows[i].models & model) == 0) {
            return refuse(from, rows[i].name, texts[i], "for this model: say model: queue");
        }
        if (weir_group_setting_word(&rows[i], rows[i].least) != NULL) {
            if (weir_group_setting_parse(&rows[i], weir_bytes_of(texts[i]), &value) != WEIR_OK) {
                return refuse(from, rows[i].name, texts[i], "refuse, drop-oldest or dead-letter");
            }
        } else if (rows[i].least == 1 && rows[i].most == 2) {
            if (!number_read(texts[i], &value) || value < 1 || value > 2) {
                return refuse(from, rows[i].name, texts[i], "1 (yes) or 2 (no)");
            }
        } else if (!number_read(texts[i], &value) || !weir_group_setting_fits(&rows[i], value) ||
                   (value == 0 && rows[i].least > 0)) {
            return weir_fault_fill(
                from->fault, WEIR_INVALID, from->config->file, place.line, place.column,
                "%s: \"%.64s\" is not a number from %lld to %lld %s%s", rows[i].name, texts[i],
                (long long)rows[i].least, (long long)rows[i].most, rows[i].unit,
                rows[i].endless ? ", or -1 for no limit" : "");
        }
        value = value == 0 ? WEIR_GROUP_ZERO : value; /* one that has it */
        weir_group_setting_put(options, &rows[i], value);
    }
    return WEIR_OK;
}

static char *text_keep(const char *text, weir_bytes *span)
{
    char *kept = text != NULL ? strdup(text) : NULL;
    *span = weir_bytes_of(kept);
    return kept;
}

/* What the options' spans point to. */
static weir_err texts_keep(const weir_raw_group *raw, weir_group_entry *group)
{
    group->name = strdup(raw->name);
    group->filter = text_keep(raw->filter, &group->options.filter);
    group->dead_letter = text_keep(raw->dead_letter, &group->options.dead_letter);
    bool whole = group->name != NULL && (raw->filter == NULL || group->filter != NULL) &&
                 (raw->dead_letter == NULL || group->dead_letter != NULL);
    group->topics = calloc(raw->topics_count + 1, sizeof(*group->topics));
    group->topic_spans = calloc(raw->topics_count + 1, sizeof(*group->topic_spans));
    whole = whole && group->topics != NULL && group->topic_spans != NULL;
    for (uint32_t i = 0; whole && i < raw->topics_count; i++) {
        group->topics[i] = text_keep(raw->topics[i], &group->topic_spans[i]);
        whole = group->topics[i] != NULL;
    }
    if (whole && raw->topics_count > 0) {
        group->options.topics = group->topic_spans;
        group->options.topic_count = raw->topics_count;
    }
    return whole ? WEIR_OK : WEIR_NO_MEMORY;
}

/* A filter may pass the topic by, when it is a queue: then it is the engine's to say. */
static weir_err letters_check(const reading *from, const weir_group_entry *group)
{
    weir_place place = weir_yaml_place(weir_yaml_get(from->document, from->node, "dead_letter"));
    weir_group_options of_queue = group->options;
    weir_bytes name = weir_bytes_of(group->name);
    if (of_queue.topic_count == 0 && of_queue.filter.ptr == NULL) { /* named like its topic */
        of_queue.topics = &name;
        of_queue.topic_count = 1;
    }
    if (of_queue.topic_count == 0 || !weir_letters_among_topics(&of_queue)) {
        return WEIR_OK;
    }
    return weir_fault_fill(from->fault, WEIR_INVALID, from->config->file, place.line, place.column,
                           "dead_letter: \"%.64s\" is a topic that the group itself reads, and its "
                           "dead letters would come back for ever; name another topic",
                           group->dead_letter);
}

weir_err weir_yaml_group_take(weir_config *config, const weir_raw_group *raw,
                              yaml_document_t *document, const yaml_node_t *node,
                              weir_group_entry *group, weir_fault *fault)
{
    const reading from = {config, document, node, fault};
    group->place = weir_yaml_place(node);
    weir_err err = words_read(&from, raw, &group->options);
    err = err == WEIR_OK ? settings_read(&from, raw, &group->options) : err;
    if (err == WEIR_OK && texts_keep(raw, group) != WEIR_OK) {
        err = weir_fault_fill(fault, WEIR_NO_MEMORY, config->file, 0, 0, "memory ran out");
    }
    return err == WEIR_OK ? letters_check(&from, group) : err;
}
