/* programs/yaml.c - weir.yaml: from bytes to the configuration, with the place of every mistake.
 *
 *     bytes -> libyaml document (syntax, places, free-form settings)
 *           -> libcyaml against a schema made from the key table (unknown keys, wrong shapes)
 *           -> each text through its key's reader (types, bounds)
 *
 * The schema takes every scalar as text into one array of pointers with a slot per key, so an
 * absent key is NULL and --set can use the same readers. libcyaml tells places only in its log;
 * log_take reads them there. Happy path: nothing is logged, every text is taken, the raw data is
 * freed. Failures: the first mistake ends the reading and fills the fault with file, line and
 * column.
 *
 * [Y1] The schema's slices rest on [K1]: keys that share a word of their name are neighbours.
 * [Y2] Aliases and files over WEIR_CONFIG_BYTES_MAX are refused, so work and memory are bounded. */
#include "programs/yaml.h"

#include "programs/say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELD_FLAGS WEIR_YAML_FIELD_FLAGS

typedef struct raw_topic {
    char *name;
    char *partitions;
    char *durability;
    char *nested;
    char *partition_levels;
    char *cleanup;
    char *kind;
#define RAW_SETTING(field, tag, value, endless, least, most, unit, help) char *field;
    WEIR_TOPIC_SETTINGS_LIST(RAW_SETTING)
#undef RAW_SETTING
} raw_topic;

typedef struct raw_adapter {
    char *name;
    char *path;
} raw_adapter;

typedef struct raw_config {
    char *values[WEIR_KEY_COUNT];
    raw_topic *topics;
    uint32_t topics_count;
    weir_raw_group *groups;
    uint32_t groups_count;
    raw_adapter *adapters;
    uint32_t adapters_count;
} raw_config;

/* ---- The schema -------------------------------------------------------------------------------
 */

static const cyaml_schema_field_t topic_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, raw_topic, name, 0, CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("partitions", FIELD_FLAGS, raw_topic, partitions, 0, CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("durability", FIELD_FLAGS, raw_topic, durability, 0, CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("nested", FIELD_FLAGS, raw_topic, nested, 0, CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("partition_levels", FIELD_FLAGS, raw_topic, partition_levels, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("cleanup", FIELD_FLAGS, raw_topic, cleanup, 0, CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("kind", FIELD_FLAGS, raw_topic, kind, 0, CYAML_UNLIMITED),
#define SETTING_FIELD(field, tag, value, endless, least, most, unit, help)                         \
    CYAML_FIELD_STRING_PTR(#field, FIELD_FLAGS, raw_topic, field, 0, CYAML_UNLIMITED),
    WEIR_TOPIC_SETTINGS_LIST(SETTING_FIELD)
#undef SETTING_FIELD
        CYAML_FIELD_END,
};

static const cyaml_schema_value_t topic_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, raw_topic, topic_fields)};

static const cyaml_schema_field_t adapter_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, raw_adapter, name, 0, CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("path", CYAML_FLAG_POINTER, raw_adapter, path, 0, CYAML_UNLIMITED),
    CYAML_FIELD_IGNORE("settings", CYAML_FLAG_OPTIONAL), /* free-form: read from the document */
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t adapter_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, raw_adapter, adapter_fields)};

static const cyaml_schema_field_t list_fields[] = {
    CYAML_FIELD_SEQUENCE("topics", FIELD_FLAGS, raw_config, topics, &topic_schema, 0,
                         WEIR_CONFIG_TOPICS_MAX),
    CYAML_FIELD_SEQUENCE("groups", FIELD_FLAGS, raw_config, groups, &weir_yaml_group_schema, 0,
                         WEIR_CONFIG_GROUPS_MAX),
    CYAML_FIELD_SEQUENCE("adapters", FIELD_FLAGS, raw_config, adapters, &adapter_schema, 0,
                         WEIR_CONFIG_ADAPTERS_MAX),
};

enum {
    LIST_COUNT = sizeof(list_fields) / sizeof(list_fields[0]),
    FIELDS_MAX = 2 * WEIR_KEY_COUNT + 16,
    PAIRS_MAX = 512, /* of one mapping */
    WORD_MAX = 32,
};

/* Each mapping's fields are one slice of `fields`, ended by a NULL key. */
typedef struct schema {
    cyaml_schema_field_t fields[FIELDS_MAX];
    char words[FIELDS_MAX][WORD_MAX]; /* the fields' keys */
    size_t used;
    cyaml_schema_value_t root;
} schema;

/* Rows [first, last) whose names agree in the `prefix` bytes before these: one mapping. */
typedef struct slice {
    size_t first;
    size_t last;
    size_t prefix;
} slice;

static const char *row_rest(size_t row, size_t prefix)
{
    return weir_key_row_of((weir_key)row)->name + prefix;
}

/* Where the rows end that share the next word of row `first` with it: [Y1]. */
static size_t word_end(const slice *rows, size_t first)
{
    const char *word = row_rest(first, rows->prefix);
    size_t len = strcspn(word, ".") + 1;
    size_t end = first + 1;
    if (word[len - 1] == '\0') {
        return end; /* a key, not a mapping */
    }
    while (end < rows->last && strncmp(row_rest(end, rows->prefix), word, len) == 0) {
        end++;
    }
    return end;
}

static void text_field(cyaml_schema_field_t *field, size_t slot)
{
    field->data_offset = (uint32_t)(slot * sizeof(char *));
    field->value =
        (cyaml_schema_value_t){CYAML_VALUE_STRING(FIELD_FLAGS, char, 0, CYAML_UNLIMITED)};
}

static void mapping_field(cyaml_schema_field_t *field, size_t slot, size_t slots,
                          const cyaml_schema_field_t *fields)
{
    field->data_offset = (uint32_t)(slot * sizeof(char *));
    field->value.type = CYAML_MAPPING;
    field->value.flags = CYAML_FLAG_OPTIONAL;
    field->value.data_size = (uint32_t)(slots * sizeof(char *));
    field->value.mapping.fields = fields;
}

/* Makes the fields of one mapping and, depth first, of those within it. The depth is the key
 * table's: three words at most. `extra` fields stay free behind them. Returns the first. */
static cyaml_schema_field_t *fields_make(schema *made, const slice *rows, size_t extra)
{
    cyaml_schema_field_t *fields = &made->fields[made->used];
    size_t at = made->used;
    size_t count = 0;
    for (size_t row = rows->first; row < rows->last; row = word_end(rows, row)) {
        count++;
    }
    made->used += count + extra + 1;
    for (size_t row = rows->first; row < rows->last; at++) {
        const char *word = row_rest(row, rows->prefix);
        size_t len = strcspn(word, ".");
        size_t end = word_end(rows, row);
        snprintf(made->words[at], WORD_MAX, "%.*s", (int)len, word);
        made->fields[at].key = made->words[at];
        if (word[len] == '\0') {
            text_field(&made->fields[at], row - rows->first);
        } else {
            slice inner = {row, end, rows->prefix + len + 1};
            mapping_field(&made->fields[at], row - rows->first, end - row,
                          fields_make(made, &inner, 0));
        }
        row = end;
    }
    return fields;
}

static void schema_fill(schema *made)
{
    const slice all = {0, WEIR_KEY_COUNT, 0};
    cyaml_schema_field_t *top;
    size_t count = 0;
    memset(made, 0, sizeof(*made));
    top = fields_make(made, &all, LIST_COUNT);
    while (top[count].key != NULL) {
        count++;
    }
    memcpy(&top[count], list_fields, sizeof(list_fields));
    made->root = (cyaml_schema_value_t){CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, raw_config, top)};
}

/* ---- libcyaml's complaints --------------------------------------------------------------------
 */

typedef struct complaint {
    char message[256];
    char field[64]; /* the innermost mapping field named; "" when none is */
    weir_place place;
} complaint;

/* The log has "Load: SENTENCE", "Load: Backtrace:", then lines that end with "(line: N, column:
 * M)", innermost first. */
__attribute__((format(printf, 3, 0))) static void log_take(cyaml_log_t level, void *context,
                                                           const char *format, va_list list)
{
    complaint *taken = context;
    char line[256];
    const char *at;
    (void)level;
    vsnprintf(line, sizeof(line), format, list);
    line[strcspn(line, "\n")] = '\0';
    at = strstr(line, "(line: ");
    if (strncmp(line, "Load: ", 6) == 0 && strstr(line, "Backtrace") == NULL) {
        snprintf(taken->message, sizeof(taken->message), "%s", line + 6);
    }
    if (at != NULL && taken->place.line == 0) {
        (void)sscanf(at, "(line: %u, column: %u)", &taken->place.line, &taken->place.column);
    }
    at = strstr(line, "in mapping field '");
    if (at != NULL && taken->field[0] == '\0') {
        (void)sscanf(at, "in mapping field '%63[^']", taken->field);
    }
}

static weir_err unknown_key(const weir_config *config, const complaint *taken, const char *key,
                            weir_fault *fault)
{
    char name[192];
    const char *near;
    bool inside = taken->field[0] != '\0';
    snprintf(name, sizeof(name), "%s%s%s", inside ? taken->field : "", inside ? "." : "", key);
    near = weir_key_near(name);
    return weir_fault_fill(fault, WEIR_INVALID, config->file, taken->place.line,
                           taken->place.column,
                           "there is no key \"%.64s\"%s%s%s; all are listed by: weir config", name,
                           near != NULL ? "; did you mean \"" : "", near != NULL ? near : "",
                           near != NULL ? "\"?" : "");
}

/* libcyaml's words for what stands in a document, in a person's. */
static const char *kind_text(const char *kind)
{
    if (strncmp(kind, "MAPPING", 7) == 0) {
        return "keys with values (KEY: VALUE)";
    }
    if (strncmp(kind, "SEQUENCE", 8) == 0) {
        return "a list (lines that begin with -)";
    }
    return "a single value";
}

static const char unknown[] = "Unexpected key: ";

static weir_err complain(const weir_config *config, const complaint *taken, cyaml_err_t err,
                         weir_fault *fault)
{
    char wanted[16];
    char got[32];
    if (err == CYAML_ERR_OOM) {
        return weir_fault_fill(fault, WEIR_NO_MEMORY, config->file, 0, 0,
                               "memory ran out while the configuration was read");
    }
    if (strncmp(taken->message, unknown, sizeof(unknown) - 1) == 0) {
        return unknown_key(config, taken, taken->message + sizeof(unknown) - 1, fault);
    }
    if (sscanf(taken->message, "Expecting %15[A-Z], got event: %31[A-Z_]", wanted, got) == 2) {
        bool list = strcmp(taken->field, "topics") == 0 || strcmp(taken->field, "groups") == 0 ||
                    strcmp(taken->field, "adapters") == 0;
        bool root = taken->field[0] == '\0';
        bool entry = list && strcmp(wanted, "MAPPING") == 0;
        return weir_fault_fill(fault, WEIR_INVALID, config->file, taken->place.line,
                               taken->place.column, "%s%s takes %s, not %s",
                               entry ? "each entry of " : "", root ? "the file" : taken->field,
                               kind_text(wanted), kind_text(got));
    }
    return weir_fault_fill(fault, WEIR_INVALID, config->file, taken->place.line,
                           taken->place.column, "%s%s%s%s",
                           taken->message[0] != '\0' ? taken->message : cyaml_strerror(err),
                           taken->field[0] != '\0' ? " (at \"" : "", taken->field,
                           taken->field[0] != '\0' ? "\")" : "");
}

/* ---- The document: places and settings --------------------------------------------------------
 */

weir_place weir_yaml_place(const yaml_node_t *node)
{
    if (node == NULL) {
        return (weir_place){0, 0};
    }
    return (weir_place){(unsigned)node->start_mark.line + 1, (unsigned)node->start_mark.column + 1};
}

yaml_node_t *weir_yaml_get(yaml_document_t *document, const yaml_node_t *map, const char *key)
{
    const yaml_node_pair_t *pair;
    if (map == NULL || map->type != YAML_MAPPING_NODE) {
        return NULL;
    }
    for (pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top; pair++) {
        const yaml_node_t *name = yaml_document_get_node(document, pair->key);
        if (name != NULL && name->type == YAML_SCALAR_NODE &&
            strcmp((const char *)name->data.scalar.value, key) == 0) {
            return yaml_document_get_node(document, pair->value);
        }
    }
    return NULL;
}

static yaml_node_t *list_get(yaml_document_t *document, const char *list, size_t index)
{
    yaml_node_t *node = weir_yaml_get(document, yaml_document_get_root_node(document), list);
    if (node == NULL || node->type != YAML_SEQUENCE_NODE ||
        index >= (size_t)(node->data.sequence.items.top - node->data.sequence.items.start)) {
        return NULL;
    }
    return yaml_document_get_node(document, node->data.sequence.items.start[index]);
}

static weir_err syntax_fault(const weir_config *config, const yaml_parser_t *parser,
                             weir_fault *fault)
{
    if (parser->error == YAML_MEMORY_ERROR) {
        return weir_fault_fill(fault, WEIR_NO_MEMORY, config->file, 0, 0,
                               "memory ran out while the configuration was read");
    }
    return weir_fault_fill(
        fault, WEIR_INVALID, config->file, (unsigned)parser->problem_mark.line + 1,
        (unsigned)parser->problem_mark.column + 1, "this is not YAML: %s%s%s",
        parser->problem != NULL ? parser->problem : "unreadable",
        parser->context != NULL ? ", " : "", parser->context != NULL ? parser->context : "");
}

static bool keys_same(const yaml_node_t *a, const yaml_node_t *b)
{
    return a != NULL && b != NULL && a->type == YAML_SCALAR_NODE && b->type == YAML_SCALAR_NODE &&
           a->data.scalar.length == b->data.scalar.length &&
           memcmp(a->data.scalar.value, b->data.scalar.value, a->data.scalar.length) == 0;
}

static weir_err pairs_check(const weir_config *config, yaml_document_t *document,
                            const yaml_node_t *map, weir_fault *fault)
{
    const yaml_node_pair_t *pairs = map->data.mapping.pairs.start;
    size_t count = (size_t)(map->data.mapping.pairs.top - pairs);
    weir_place place = weir_yaml_place(map);
    if (count > PAIRS_MAX) {
        return weir_fault_fill(fault, WEIR_INVALID, config->file, place.line, place.column,
                               "a mapping has at most %d keys", PAIRS_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        const yaml_node_t *key = yaml_document_get_node(document, pairs[i].key);
        for (size_t j = 0; j < i; j++) {
            if (keys_same(key, yaml_document_get_node(document, pairs[j].key))) {
                place = weir_yaml_place(key);
                return weir_fault_fill(fault, WEIR_INVALID, config->file, place.line, place.column,
                                       "\"%.64s\" stands here a second time",
                                       (const char *)key->data.scalar.value);
            }
        }
    }
    return WEIR_OK;
}

/* libcyaml refuses a key that stands twice too, but with the place of the first. */
static weir_err mappings_check(const weir_config *config, yaml_document_t *document,
                               weir_fault *fault)
{
    weir_err err = WEIR_OK;
    for (const yaml_node_t *node = document->nodes.start;
         node < document->nodes.top && err == WEIR_OK; node++) {
        if (node->type == YAML_MAPPING_NODE) {
            err = pairs_check(config, document, node, fault);
        }
    }
    return err;
}

static weir_err setting_take(weir_config *config, weir_adapter_entry *adapter,
                             const yaml_node_t *key, const yaml_node_t *value, weir_fault *fault)
{
    weir_place place = weir_yaml_place(value);
    weir_err err = WEIR_INVALID;
    if (key != NULL && value != NULL && key->type == YAML_SCALAR_NODE &&
        value->type == YAML_SCALAR_NODE) {
        err = weir_config_adapter_put(adapter, (const char *)key->data.scalar.value,
                                      (const char *)value->data.scalar.value);
    }
    if (err != WEIR_OK) {
        return weir_fault_fill(
            fault, err, config->file, place.line, place.column,
            err == WEIR_INVALID ? "a setting of an adapter is one word or number, as in port: 7000"
                                : "an adapter takes at most %d settings, and they must fit memory",
            WEIR_CONFIG_SETTINGS_MAX);
    }
    return WEIR_OK;
}

static weir_err settings_take(weir_config *config, weir_adapter_entry *adapter,
                              yaml_document_t *document, const yaml_node_t *settings,
                              weir_fault *fault)
{
    const yaml_node_pair_t *pair;
    if (settings == NULL) {
        return WEIR_OK;
    }
    if (settings->type != YAML_MAPPING_NODE) {
        weir_place place = weir_yaml_place(settings);
        return weir_fault_fill(fault, WEIR_INVALID, config->file, place.line, place.column,
                               "settings takes a mapping, as in settings: {port: 7000}");
    }
    for (pair = settings->data.mapping.pairs.start; pair < settings->data.mapping.pairs.top;
         pair++) {
        weir_err err = setting_take(config, adapter, yaml_document_get_node(document, pair->key),
                                    yaml_document_get_node(document, pair->value), fault);
        if (err != WEIR_OK) {
            return err;
        }
    }
    return WEIR_OK;
}

/* ---- From raw data to the configuration --------------------------------------------------------
 */

/* The node of "mqtt.port": word by word. */
static yaml_node_t *path_get(yaml_document_t *document, const char *name)
{
    yaml_node_t *node = yaml_document_get_root_node(document);
    char word[WORD_MAX];
    while (node != NULL && *name != '\0') {
        size_t len = strcspn(name, ".");
        snprintf(word, sizeof(word), "%.*s", (int)len, name);
        node = weir_yaml_get(document, node, word);
        name += len + (name[len] == '.' ? 1 : 0);
    }
    return node;
}

static weir_err values_take(weir_config *config, const raw_config *raw, yaml_document_t *document,
                            weir_fault *fault)
{
    weir_err err = WEIR_OK;
    for (size_t i = 0; i < WEIR_KEY_COUNT && err == WEIR_OK; i++) {
        const weir_key_row *row = weir_key_row_of((weir_key)i);
        if (raw->values[i] != NULL) {
            err = weir_config_put(config, (weir_key)i, raw->values[i], "file",
                                  weir_yaml_place(path_get(document, row->name)), fault);
        }
    }
    return err;
}

/* Reads one optional field of a topic through a row of its own. */
static weir_err topic_field(const weir_config *config, const char *key, weir_key_type type,
                            uint64_t least, uint64_t most, const char *text, weir_place place,
                            uint64_t *number, weir_fault *fault)
{
    const weir_key_row row = {"topics", key, key, type, NULL, least, most, "", ""};
    char sentence[WEIR_KEY_SENTENCE_MAX] = "";
    if (text == NULL || weir_key_read(&row, text, number, sentence) == WEIR_OK) {
        return WEIR_OK;
    }
    return weir_fault_fill(fault, WEIR_INVALID, config->file, place.line, place.column, "%s",
                           sentence);
}

/* One of WEIR_TOPIC_SETTINGS_LIST. */
static weir_err setting_read(const weir_config *config, const weir_topic_setting *setting,
                             const char *text, weir_place place, weir_topic_options *options,
                             weir_fault *fault)
{
    int64_t value = 0;
    if (text == NULL) {
        return WEIR_OK;
    }
    if (weir_topic_setting_parse(setting, text, &value) != WEIR_OK) {
        char bounds[WEIR_TOPIC_BOUNDS_MAX];
        bool words = weir_topic_setting_word(setting, setting->least) != NULL;
        weir_topic_setting_bounds(setting, bounds);
        return weir_fault_fill(fault, WEIR_INVALID, config->file, place.line, place.column,
                               "%s: \"%.64s\" is not %s%s", setting->name, text,
                               words ? "" : "a number from ", bounds);
    }
    weir_topic_setting_put(options, setting, value);
    return WEIR_OK;
}

static weir_err settings_read(const weir_config *config, const raw_topic *raw,
                              yaml_document_t *document, const yaml_node_t *node,
                              weir_topic_options *options, weir_fault *fault)
{
    const char *const texts[] = {
#define SETTING_TEXT(field, tag, value, endless, least, most, unit, help) raw->field,
        WEIR_TOPIC_SETTINGS_LIST(SETTING_TEXT)
#undef SETTING_TEXT
    };
    size_t count;
    const weir_topic_setting *rows = weir_topic_settings(&count);
    weir_err err = WEIR_OK;
    if (raw->cleanup != NULL &&
        weir_cleanup_parse(weir_bytes_of(raw->cleanup), &options->cleanup) != WEIR_OK) {
        weir_place place = weir_yaml_place(weir_yaml_get(document, node, "cleanup"));
        return weir_fault_fill(fault, WEIR_INVALID, config->file, place.line, place.column,
                               "cleanup: \"%.64s\" is not delete, compact or compact,delete",
                               raw->cleanup);
    }
    if (raw->kind != NULL &&
        weir_topic_kind_parse(weir_bytes_of(raw->kind), &options->kind) != WEIR_OK) {
        weir_place place = weir_yaml_place(weir_yaml_get(document, node, "kind"));
        return weir_fault_fill(fault, WEIR_INVALID, config->file, place.line, place.column,
                               "kind: \"%.64s\" is not log or queue", raw->kind);
    }
    if (options->kind == WEIR_KIND_QUEUE && (options->cleanup & WEIR_CLEANUP_COMPACT) != 0) {
        weir_place place = weir_yaml_place(weir_yaml_get(document, node, "cleanup"));
        return weir_fault_fill(fault, WEIR_INVALID, config->file, place.line, place.column,
                               "cleanup: a queue is not compacted: each of its records stays until "
                               "it is settled");
    }
    for (size_t i = 0; i < count && err == WEIR_OK; i++) {
        err = setting_read(config, &rows[i], texts[i],
                           weir_yaml_place(weir_yaml_get(document, node, rows[i].name)), options,
                           fault);
    }
    return err;
}

static weir_err topic_read(const weir_config *config, const raw_topic *raw,
                           yaml_document_t *document, const yaml_node_t *node,
                           weir_topic_options *options, weir_fault *fault)
{
    uint64_t partitions = 1;
    uint64_t level = WEIR_LEVEL_DISK;
    uint64_t nested = 0;
    uint64_t levels = 0;
    weir_err err = WEIR_OK;
    if (weir_topic_name_check(weir_bytes_of(raw->name)) != WEIR_OK) {
        weir_place place = weir_yaml_place(weir_yaml_get(document, node, "name"));
        return weir_fault_fill(
            fault, WEIR_INVALID, config->file, place.line, place.column,
            "a topic's name has 1 to 249 bytes in levels divided by /, none empty, "
            "without +, # and control characters, and does not begin with $ or __");
    }
    err = topic_field(config, "partitions", WEIR_KEY_UINT, 1,
                      weir_config_number(config, WEIR_KEY_limits_partitions_max), raw->partitions,
                      weir_yaml_place(weir_yaml_get(document, node, "partitions")), &partitions,
                      fault);
    if (err == WEIR_OK) {
        err = topic_field(config, "durability", WEIR_KEY_LEVEL, 0, 0, raw->durability,
                          weir_yaml_place(weir_yaml_get(document, node, "durability")), &level,
                          fault);
    }
    if (err == WEIR_OK) {
        err = topic_field(config, "nested", WEIR_KEY_BOOL, 0, 0, raw->nested,
                          weir_yaml_place(weir_yaml_get(document, node, "nested")), &nested, fault);
    }
    if (err == WEIR_OK) {
        err = topic_field(config, "partition_levels", WEIR_KEY_UINT, 0, 128, raw->partition_levels,
                          weir_yaml_place(weir_yaml_get(document, node, "partition_levels")),
                          &levels, fault);
    }
    options->partitions = (uint32_t)partitions;
    options->level = (weir_level)level;
    options->nested = nested != 0;
    options->partition_levels = (uint32_t)levels;
    return err == WEIR_OK ? settings_read(config, raw, document, node, options, fault) : err;
}

static weir_err topics_take(weir_config *config, const raw_config *raw, yaml_document_t *document,
                            weir_fault *fault)
{
    if (raw->topics_count == 0) {
        return WEIR_OK;
    }
    config->topics = calloc(raw->topics_count, sizeof(*config->topics));
    for (size_t i = 0; i < raw->topics_count && config->topics != NULL; i++) {
        yaml_node_t *node = list_get(document, "topics", i);
        weir_topic_entry *topic = &config->topics[i];
        weir_err err = topic_read(config, &raw->topics[i], document, node, &topic->options, fault);
        if (err != WEIR_OK) {
            return err;
        }
        topic->place = weir_yaml_place(node);
        topic->name = strdup(raw->topics[i].name);
        if (topic->name == NULL) {
            break;
        }
        config->topic_count++;
    }
    return config->topic_count == raw->topics_count
               ? WEIR_OK
               : weir_fault_fill(fault, WEIR_NO_MEMORY, config->file, 0, 0, "memory ran out");
}

static weir_err groups_take(weir_config *config, const raw_config *raw, yaml_document_t *document,
                            weir_fault *fault)
{
    if (raw->groups_count == 0) {
        return WEIR_OK;
    }
    config->groups = calloc(raw->groups_count, sizeof(*config->groups));
    if (config->groups == NULL) {
        return weir_fault_fill(fault, WEIR_NO_MEMORY, config->file, 0, 0, "memory ran out");
    }
    for (size_t i = 0; i < raw->groups_count; i++) {
        config->group_count++; /* fini owns it from here on */
        weir_err err =
            weir_yaml_group_take(config, &raw->groups[i], document, list_get(document, "groups", i),
                                 &config->groups[i], fault);
        if (err != WEIR_OK) {
            return err;
        }
    }
    return WEIR_OK;
}

/* A name goes into --set and the ports file, so it is a plain word. */
static bool adapter_name_ok(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len <= 32 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == len;
}

static weir_err adapter_take(weir_config *config, const raw_adapter *raw, yaml_document_t *document,
                             const yaml_node_t *node, weir_fault *fault)
{
    weir_adapter_entry *adapter = &config->adapters[config->adapter_count];
    weir_place place = weir_yaml_place(node);
    if (!adapter_name_ok(raw->name) || raw->path[0] == '\0') {
        return weir_fault_fill(
            fault, WEIR_INVALID, config->file, place.line, place.column,
            "an adapter needs a name (a to z, 0 to 9, - and _, at most 32) and the path "
            "of a shared object");
    }
    config->adapter_count++; /* fini owns it from here on */
    adapter->place = place;
    adapter->name = strdup(raw->name);
    adapter->path = strdup(raw->path);
    if (adapter->name == NULL || adapter->path == NULL) {
        return weir_fault_fill(fault, WEIR_NO_MEMORY, config->file, 0, 0, "memory ran out");
    }
    return settings_take(config, adapter, document, weir_yaml_get(document, node, "settings"),
                         fault);
}

static weir_err adapters_take(weir_config *config, const raw_config *raw, yaml_document_t *document,
                              weir_fault *fault)
{
    if (raw->adapters_count == 0) {
        return WEIR_OK;
    }
    config->adapters = calloc(raw->adapters_count, sizeof(*config->adapters));
    if (config->adapters == NULL) {
        return weir_fault_fill(fault, WEIR_NO_MEMORY, config->file, 0, 0, "memory ran out");
    }
    for (size_t i = 0; i < raw->adapters_count; i++) {
        weir_err err = adapter_take(config, &raw->adapters[i], document,
                                    list_get(document, "adapters", i), fault);
        if (err != WEIR_OK) {
            return err;
        }
    }
    return WEIR_OK;
}

static bool place_before(weir_place a, weir_place b)
{
    return a.line < b.line || (a.line == b.line && a.column < b.column);
}

/* libcyaml tells where it stood before it met an unknown key: the key is the next of that text. */
static void complaint_sharpen(complaint *taken, yaml_document_t *document)
{
    const char *key = taken->message + sizeof(unknown) - 1;
    weir_place found = {0, 0};
    if (strncmp(taken->message, unknown, sizeof(unknown) - 1) != 0) {
        return;
    }
    for (const yaml_node_t *node = document->nodes.start; node < document->nodes.top; node++) {
        const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
        for (; node->type == YAML_MAPPING_NODE && pair < node->data.mapping.pairs.top; pair++) {
            const yaml_node_t *name = yaml_document_get_node(document, pair->key);
            weir_place place = weir_yaml_place(name);
            if (name != NULL && name->type == YAML_SCALAR_NODE &&
                strcmp((const char *)name->data.scalar.value, key) == 0 &&
                !place_before(place, taken->place) &&
                (found.line == 0 || place_before(place, found))) {
                found = place;
            }
        }
    }
    taken->place = found.line != 0 ? found : taken->place;
}

static weir_err raw_take(weir_config *config, weir_bytes text, yaml_document_t *document,
                         weir_fault *fault)
{
    schema *made = malloc(sizeof(*made));
    complaint taken = {.message = ""};
    raw_config *raw = NULL;
    const cyaml_config_t settings = {
        .log_fn = log_take,
        .log_ctx = &taken,
        .mem_fn = cyaml_mem,
        .log_level = CYAML_LOG_WARNING,
        .flags = CYAML_CFG_NO_ALIAS,
    };
    cyaml_err_t refused = CYAML_ERR_OOM;
    weir_err err = WEIR_OK;
    if (made != NULL) {
        schema_fill(made);
        refused = cyaml_load_data(text.ptr, text.len, &settings, &made->root, (cyaml_data_t **)&raw,
                                  NULL);
    }
    if (refused != CYAML_OK) {
        complaint_sharpen(&taken, document);
        err = complain(config, &taken, refused, fault);
    } else if (raw != NULL) { /* NULL: the file says nothing */
        err = values_take(config, raw, document, fault);
        err = err != WEIR_OK ? err : topics_take(config, raw, document, fault);
        err = err != WEIR_OK ? err : groups_take(config, raw, document, fault);
        err = err != WEIR_OK ? err : adapters_take(config, raw, document, fault);
        cyaml_free(&settings, &made->root, raw, 0);
    }
    free(made);
    return err;
}

weir_err weir_config_load(weir_config *config, const char *name, weir_bytes text, weir_fault *fault)
{
    yaml_parser_t parser;
    yaml_document_t document;
    weir_err err;
    config->file = strdup(name);
    if (config->file == NULL || text.len > WEIR_CONFIG_BYTES_MAX ||
        !yaml_parser_initialize(&parser)) {
        return weir_fault_fill(
            fault, text.len > WEIR_CONFIG_BYTES_MAX ? WEIR_INVALID : WEIR_NO_MEMORY, name, 0, 0,
            "a configuration has at most %d bytes, and must fit memory", WEIR_CONFIG_BYTES_MAX);
    }
    yaml_parser_set_input_string(&parser, text.len == 0 ? (const uint8_t *)"" : text.ptr, text.len);
    if (!yaml_parser_load(&parser, &document)) {
        err = syntax_fault(config, &parser, fault);
    } else {
        err = mappings_check(config, &document, fault);
        err = err != WEIR_OK ? err : raw_take(config, text, &document, fault);
        yaml_document_delete(&document);
    }
    yaml_parser_delete(&parser);
    return err;
}

weir_err weir_config_load_file(weir_config *config, const char *path, weir_fault *fault)
{
    FILE *file = fopen(path, "rbe");
    uint8_t *bytes = malloc(WEIR_CONFIG_BYTES_MAX + 1);
    size_t len = 0;
    weir_err err = WEIR_IO;
    errno = file == NULL ? errno : 0;
    if (file != NULL && bytes != NULL) {
        len = fread(bytes, 1, WEIR_CONFIG_BYTES_MAX + 1, file);
        err = ferror(file) != 0 ? WEIR_IO : WEIR_OK;
    }
    if (err == WEIR_OK) {
        err = weir_config_load(config, path, (weir_bytes){bytes, len}, fault);
    } else {
        int number = errno;
        (void)weir_fault_fill(fault, number == ENOENT ? WEIR_NOT_FOUND : WEIR_IO, path, 0, 0,
                              "the configuration %s cannot be read: %s", path,
                              number != 0 ? strerror(number) : "memory ran out");
    }
    if (file != NULL) {
        fclose(file);
    }
    free(bytes);
    return err;
}
