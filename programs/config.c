/* programs/config.c - holds the configuration and answers questions about it.
 *
 * A value is text and, read by its key's type, a number; it remembers where it came from, so that a
 * later complaint can name the line. The last writer wins: default, file, --set.
 *
 * [C1] Every key with a default has a text. [C2] A value that is held was read without error. */
#include "programs/config.h"

#include "programs/commands.h"
#include "programs/say.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static weir_err memory_short(weir_fault *fault)
{
    return weir_fault_fill(fault, WEIR_NO_MEMORY, NULL, 0, 0,
                           "memory ran out while the configuration was read");
}

weir_err weir_config_put(weir_config *config, weir_key key, const char *text, const char *origin,
                         weir_place place, weir_fault *fault)
{
    const weir_key_row *row = weir_key_row_of(key);
    char sentence[WEIR_KEY_SENTENCE_MAX] = "";
    uint64_t number = 0;
    char *copy;
    weir_err err = weir_key_read(row, text, &number, sentence);
    if (err != WEIR_OK) {
        return weir_fault_fill(fault, err, place.line != 0 ? config->file : NULL, place.line,
                               place.column, "%s", sentence);
    }
    copy = strdup(text);
    if (copy == NULL) {
        return memory_short(fault);
    }
    free(config->values[key].text);
    config->values[key] = (weir_value){copy, number, place, origin};
    return WEIR_OK;
}

weir_err weir_config_init(weir_config *config)
{
    weir_fault fault;
    memset(config, 0, sizeof(*config));
    for (size_t i = 0; i < WEIR_KEY_COUNT; i++) {
        const weir_key_row *row = weir_key_row_of((weir_key)i);
        weir_err err = WEIR_OK;
        config->values[i].origin = "default";
        if (row->fallback != NULL) {
            err = weir_config_put(config, (weir_key)i, row->fallback, "default", (weir_place){0, 0},
                                  &fault);
        }
        if (err != WEIR_OK) {
            return err;
        }
    }
    return WEIR_OK;
}

static void adapter_fini(weir_adapter_entry *adapter)
{
    for (size_t i = 0; i < adapter->setting_count; i++) {
        free(adapter->settings[i].key);
        free(adapter->settings[i].value);
    }
    free(adapter->settings);
    free(adapter->name);
    free(adapter->path);
}

static void group_fini(weir_group_entry *group)
{
    for (uint32_t i = 0; group->topics != NULL && group->topics[i] != NULL; i++) {
        free(group->topics[i]);
    }
    free(group->topics);
    free(group->topic_spans);
    free(group->filter);
    free(group->dead_letter);
    free(group->name);
}

void weir_config_fini(weir_config *config)
{
    for (size_t i = 0; i < WEIR_KEY_COUNT; i++) {
        free(config->values[i].text);
    }
    for (size_t i = 0; i < config->topic_count; i++) {
        free(config->topics[i].name);
    }
    for (size_t i = 0; i < config->group_count; i++) {
        group_fini(&config->groups[i]);
    }
    free(config->groups);
    for (size_t i = 0; i < config->adapter_count; i++) {
        adapter_fini(&config->adapters[i]);
    }
    free(config->topics);
    free(config->adapters);
    free(config->file);
    memset(config, 0, sizeof(*config));
}

weir_err weir_config_adapter_put(weir_adapter_entry *adapter, const char *key, const char *value)
{
    weir_setting_entry *grown;
    char *value_copy = strdup(value);
    char *key_copy;
    if (value_copy == NULL) {
        return WEIR_NO_MEMORY;
    }
    for (size_t i = 0; i < adapter->setting_count; i++) {
        if (strcmp(adapter->settings[i].key, key) == 0) {
            free(adapter->settings[i].value);
            adapter->settings[i].value = value_copy;
            return WEIR_OK;
        }
    }
    key_copy = strdup(key);
    grown = reallocarray(adapter->settings, adapter->setting_count + 1, sizeof(*grown));
    if (grown != NULL) {
        adapter->settings = grown;
    }
    if (grown == NULL || key_copy == NULL || adapter->setting_count == WEIR_CONFIG_SETTINGS_MAX) {
        free(value_copy);
        free(key_copy);
        return grown == NULL || key_copy == NULL ? WEIR_NO_MEMORY : WEIR_LIMIT;
    }
    grown[adapter->setting_count++] = (weir_setting_entry){key_copy, value_copy};
    return WEIR_OK;
}

static weir_adapter_entry *adapter_find(const weir_config *config, const char *name, size_t len)
{
    for (size_t i = 0; i < config->adapter_count; i++) {
        const char *other = config->adapters[i].name;
        if (strlen(other) == len && memcmp(other, name, len) == 0) {
            return &config->adapters[i];
        }
    }
    return NULL;
}

weir_err weir_config_set(weir_config *config, const char *name, const char *value,
                         weir_fault *fault)
{
    const char *dot = strchr(name, '.');
    const char *near = weir_key_near(name);
    weir_adapter_entry *adapter = NULL;
    weir_key key;
    if (weir_key_find(name, &key)) {
        return weir_config_put(config, key, value, "--set", (weir_place){0, 0}, fault);
    }
    adapter = dot == NULL ? NULL : adapter_find(config, name, (size_t)(dot - name));
    if (adapter == NULL || dot[1] == '\0') {
        return weir_fault_fill(fault, WEIR_INVALID, NULL, 0, 0,
                               "there is no key \"%.64s\"%s%s%s; all are listed by: weir config",
                               name, near != NULL ? "; did you mean \"" : "",
                               near != NULL ? near : "", near != NULL ? "\"?" : "");
    }
    if (weir_config_adapter_put(adapter, dot + 1, value) != WEIR_OK) {
        return memory_short(fault);
    }
    return WEIR_OK;
}

weir_err weir_config_set_pair(weir_config *config, const char *pair, weir_fault *fault)
{
    char name[128];
    const char *equals = strchr(pair, '=');
    if (equals == NULL || equals == pair || (size_t)(equals - pair) >= sizeof(name)) {
        return weir_fault_fill(fault, WEIR_INVALID, NULL, 0, 0,
                               "--set takes KEY=VALUE, as in mqtt.port=1884, not \"%.64s\"", pair);
    }
    memcpy(name, pair, (size_t)(equals - pair));
    name[equals - pair] = '\0';
    return weir_config_set(config, name, equals + 1, fault);
}

static bool address_is_numeric(const char *address)
{
    struct in6_addr any; /* room for either family */
    return inet_pton(AF_INET, address, &any) == 1 || inet_pton(AF_INET6, address, &any) == 1;
}

static bool address_is_loopback(const char *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, address, &v4) == 1) {
        return ntohl(v4.s_addr) >> 24 == 127;
    }
    return inet_pton(AF_INET6, address, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static weir_err address_check(const weir_config *config, const char *name, const char *address,
                              weir_place place, weir_fault *fault)
{
    const char *file = place.line != 0 ? config->file : NULL;
    if (address == NULL || address_is_loopback(address)) {
        return WEIR_OK;
    }
    if (!address_is_numeric(address)) {
        return weir_fault_fill(
            fault, WEIR_INVALID, file, place.line, place.column,
            "%s: \"%.64s\" is no numeric address; give one such as 127.0.0.1, or, with --insecure, "
            "0.0.0.0 for all",
            name, address);
    }
    if (weir_config_number(config, WEIR_KEY_insecure) != 0) {
        return WEIR_OK;
    }
    return weir_fault_fill(
        fault, WEIR_INVALID, file, place.line, place.column,
        "%s: \"%.64s\" is not a loopback address (127.0.0.1, ::1), and nobody has "
        "to log in; say --insecure if everyone who can reach it may use it",
        name, address);
}

/* A key or authorities without the certificate they belong to would be left unused in silence. */
static weir_err tls_check(const weir_config *config, weir_key certificate, weir_key other,
                          weir_fault *fault)
{
    const weir_value *value = &config->values[other];
    if (value->text == NULL || config->values[certificate].text != NULL) {
        return WEIR_OK;
    }
    return weir_fault_fill(fault, WEIR_INVALID, value->place.line != 0 ? config->file : NULL,
                           value->place.line, value->place.column,
                           "%s is set without %s: name the certificate too, or leave both out",
                           weir_key_row_of(other)->name, weir_key_row_of(certificate)->name);
}

static weir_err tls_pairs_check(const weir_config *config, weir_fault *fault)
{
    static const weir_key pairs[][2] = {
        {WEIR_KEY_mqtt_tls_certificate, WEIR_KEY_mqtt_tls_key},
        {WEIR_KEY_mqtt_tls_certificate, WEIR_KEY_mqtt_tls_client_ca},
        {WEIR_KEY_http_tls_certificate, WEIR_KEY_http_tls_key},
        {WEIR_KEY_http_tls_certificate, WEIR_KEY_http_tls_client_ca},
    };
    weir_err err = WEIR_OK;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]) && err == WEIR_OK; i++) {
        err = tls_check(config, pairs[i][0], pairs[i][1], fault);
    }
    return err;
}

static bool is_prefix_level(const char *shorter, const char *longer)
{
    size_t len = strlen(shorter);
    return strncmp(shorter, longer, len) == 0 && longer[len] == '/';
}

static weir_err topic_pair_check(const weir_config *config, const weir_topic_entry *a,
                                 const weir_topic_entry *b, weir_fault *fault)
{
    if (strcmp(a->name, b->name) == 0) {
        return weir_fault_fill(fault, WEIR_INVALID, config->file, b->place.line, b->place.column,
                               "topic \"%.200s\" stands here a second time", b->name);
    }
    if ((is_prefix_level(a->name, b->name) || is_prefix_level(b->name, a->name)) &&
        !(a->options.nested && b->options.nested)) {
        return weir_fault_fill(
            fault, WEIR_INVALID, config->file, b->place.line, b->place.column,
            "topics \"%.160s\" and \"%.160s\" are nested; both must say nested: true", a->name,
            b->name);
    }
    return WEIR_OK;
}

/* The entry of a queue topic, whose group has its name; NULL: none in this file. */
static const weir_topic_entry *queue_of(const weir_config *config, weir_bytes name)
{
    for (size_t i = 0; i < config->topic_count; i++) {
        const weir_topic_entry *topic = &config->topics[i];
        if (topic->options.kind == WEIR_KIND_QUEUE &&
            weir_bytes_equal(weir_bytes_of(topic->name), name)) {
            return topic;
        }
    }
    return NULL;
}

static weir_err group_refuse(const weir_config *config, const weir_group_entry *group,
                             const char *why, weir_fault *fault)
{
    return weir_fault_fill(fault, WEIR_INVALID, config->file, group->place.line,
                           group->place.column, "group \"%.128s\": %s", group->name, why);
}

bool weir_config_group_of_queue(const weir_config *config, const weir_group_entry *group)
{
    return queue_of(config, weir_bytes_of(group->name)) != NULL;
}

/* The group of a queue topic is there already: what it reads is not told. */
static weir_err queue_group_check(const weir_config *config, const weir_group_entry *group,
                                  weir_fault *fault)
{
    const weir_group_options *options = &group->options;
    bool others = options->topic_count > 0 || options->filter.ptr != NULL ||
                  options->model != WEIR_MODEL_QUEUE || options->start != WEIR_PLACE_DEFAULT;
    return others ? group_refuse(config, group,
                                 "it is a queue topic's own: say model: queue, and neither topics, "
                                 "filter nor start",
                                 fault)
                  : WEIR_OK;
}

static weir_err group_check(const weir_config *config, const weir_group_entry *group,
                            weir_fault *fault)
{
    const weir_group_options *options = &group->options;
    if (weir_config_group_of_queue(config, group)) {
        return queue_group_check(config, group, fault);
    }
    if (weir_group_name_check(weir_bytes_of(group->name)) != WEIR_OK) {
        return group_refuse(config, group,
                            "a group's name has 1 to 249 bytes, without /, +, # and control "
                            "characters, and does not begin with $",
                            fault);
    }
    if ((options->topic_count > 0) == (options->filter.ptr != NULL)) {
        return group_refuse(config, group, "it reads topics or a filter: say one of them", fault);
    }
    if (options->filter.len > WEIR_GROUP_FILTER_BYTES_MAX) {
        return group_refuse(config, group, "its filter has more than 1,024 bytes", fault);
    }
    for (uint32_t i = 0; i < options->topic_count; i++) {
        if (weir_topic_name_check(options->topics[i]) != WEIR_OK) {
            return group_refuse(config, group, "one of its topics has no legal name", fault);
        }
        if (queue_of(config, options->topics[i]) != NULL) {
            return group_refuse(config, group,
                                "one of its topics is a queue, which has a group of its own name",
                                fault);
        }
    }
    return WEIR_OK;
}

static weir_err groups_check(const weir_config *config, weir_fault *fault)
{
    weir_err err = WEIR_OK;
    for (size_t i = 0; i < config->group_count && err == WEIR_OK; i++) {
        err = group_check(config, &config->groups[i], fault);
        for (size_t j = 0; j < i && err == WEIR_OK; j++) {
            if (strcmp(config->groups[i].name, config->groups[j].name) == 0) {
                err =
                    group_refuse(config, &config->groups[i], "it stands here a second time", fault);
            }
        }
    }
    return err;
}

static weir_err adapters_check(const weir_config *config, weir_fault *fault)
{
    for (size_t i = 0; i < config->adapter_count; i++) {
        const weir_adapter_entry *adapter = &config->adapters[i];
        const char *address = weir_config_setting(config, adapter->name, "address");
        if (adapter_find(config, adapter->name, strlen(adapter->name)) != adapter ||
            weir_key_section_exists(adapter->name)) {
            return weir_fault_fill(
                fault, WEIR_INVALID, config->file, adapter->place.line, adapter->place.column,
                "an adapter called \"%.64s\" is there already; give this one another name",
                adapter->name);
        }
        if (address_check(config, adapter->name, address, adapter->place, fault) != WEIR_OK) {
            return WEIR_INVALID;
        }
    }
    return WEIR_OK;
}

weir_err weir_config_check(const weir_config *config, weir_fault *fault)
{
    for (size_t i = 0; i < WEIR_KEY_COUNT; i++) {
        const weir_key_row *row = weir_key_row_of((weir_key)i);
        const weir_value *value = &config->values[i];
        if (strcmp(row->key, "address") == 0 &&
            address_check(config, row->name, value->text, value->place, fault) != WEIR_OK) {
            return WEIR_INVALID;
        }
    }
    for (size_t i = 0; i < config->topic_count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (topic_pair_check(config, &config->topics[j], &config->topics[i], fault) !=
                WEIR_OK) {
                return WEIR_INVALID;
            }
        }
    }
    if (groups_check(config, fault) != WEIR_OK || tls_pairs_check(config, fault) != WEIR_OK) {
        return WEIR_INVALID;
    }
    return adapters_check(config, fault);
}

const char *weir_config_text(const weir_config *config, weir_key key)
{
    return config->values[key].text;
}

uint64_t weir_config_number(const weir_config *config, weir_key key)
{
    return config->values[key].number;
}

const char *weir_config_setting(const weir_config *config, const char *section, const char *key)
{
    const weir_adapter_entry *adapter = adapter_find(config, section, strlen(section));
    for (size_t i = 0; adapter != NULL && i < adapter->setting_count; i++) {
        if (strcmp(adapter->settings[i].key, key) == 0) {
            return adapter->settings[i].value;
        }
    }
    for (size_t i = 0; i < WEIR_KEY_COUNT; i++) {
        const weir_key_row *row = weir_key_row_of((weir_key)i);
        if (strcmp(row->section, section) == 0 && strcmp(row->key, key) == 0) {
            return config->values[i].text;
        }
    }
    return strcmp(key, "insecure") == 0 ? config->values[WEIR_KEY_insecure].text : NULL;
}

void weir_config_engine(const weir_config *config, weir_engine_config *engine)
{
    memset(engine, 0, sizeof(*engine));
    engine->data_dir = weir_config_text(config, WEIR_KEY_data);
    engine->sync = (weir_sync_mode)weir_config_number(config, WEIR_KEY_sync);
    engine->live_durability = (weir_level)weir_config_number(config, WEIR_KEY_live_durability);
    engine->os_sync_every_ms = (uint32_t)weir_config_number(config, WEIR_KEY_sync_every_ms);
    engine->producer_expiry_ms = weir_config_number(config, WEIR_KEY_producer_expiry_ms);
    engine->journal_file_bytes = weir_config_number(config, WEIR_KEY_journal_file_bytes);
    engine->journal_reserve_bytes = weir_config_number(config, WEIR_KEY_journal_reserve_bytes);
    engine->journal_inline_bytes_max =
        weir_config_number(config, WEIR_KEY_journal_inline_bytes_max);
    engine->segment_bytes_max = weir_config_number(config, WEIR_KEY_segment_bytes_max);
    engine->segment_files_max = (uint32_t)weir_config_number(config, WEIR_KEY_segment_files_max);
    engine->checkpoint_bytes = weir_config_number(config, WEIR_KEY_checkpoint_bytes);
    engine->cleanup_every_ms = (uint32_t)weir_config_number(config, WEIR_KEY_cleanup_every_ms);
    engine->compaction_bytes_max = weir_config_number(config, WEIR_KEY_compaction_bytes_max);
    engine->checkpoint_every_ms =
        (uint32_t)weir_config_number(config, WEIR_KEY_checkpoint_every_ms);
#define LIMIT_TAKE(name, value, unit, least, most, metric, meaning, mqtt, weir1)                   \
    engine->limits.name = weir_config_number(config, WEIR_KEY_limits_##name);
    WEIR_LIMITS_LIST(LIMIT_TAKE)
#undef LIMIT_TAKE
}

/* The flags that stand for a key; a command that lacks one never has it given. */
static weir_err flags_take(weir_config *config, const weir_arguments *arguments, weir_fault *fault)
{
    static const struct {
        weir_key key;
        const char *name;
        const char *origin;
    } texts[] = {{WEIR_KEY_data, "data", "--data"}, {WEIR_KEY_ports, "ports", "--ports"}};
    const weir_place nowhere = {0, 0};
    const char *environment = getenv("WEIR_DATA");
    weir_err err = WEIR_OK;
    if (environment != NULL && environment[0] != '\0') {
        err = weir_config_put(config, WEIR_KEY_data, environment, "WEIR_DATA", nowhere, fault);
    }
    for (size_t position = 0; err == WEIR_OK;) {
        const char *pair = weir_arguments_next(arguments, "set", &position);
        if (pair == NULL) {
            break;
        }
        err = weir_config_set_pair(config, pair, fault);
    }
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]) && err == WEIR_OK; i++) {
        const char *text = weir_arguments_text(arguments, texts[i].name);
        if (text != NULL) {
            err = weir_config_put(config, texts[i].key, text, texts[i].origin, nowhere, fault);
        }
    }
    if (err == WEIR_OK && weir_arguments_has(arguments, "insecure")) {
        err = weir_config_put(config, WEIR_KEY_insecure, "true", "--insecure", nowhere, fault);
    }
    return err;
}

bool weir_config_from_arguments(weir_config *config, const weir_arguments *arguments)
{
    const char *file = weir_arguments_text(arguments, "config");
    weir_fault fault = {.err = WEIR_NO_MEMORY};
    weir_err err = weir_config_init(config);
    if (file == NULL) {
        file = getenv("WEIR_CONFIG");
    }
    if (err == WEIR_OK && file != NULL && file[0] != '\0') {
        err = weir_config_load_file(config, file, &fault);
    }
    if (err == WEIR_OK) {
        err = flags_take(config, arguments, &fault);
    }
    if (err != WEIR_OK) {
        weir_say_fault(&fault);
    }
    return err == WEIR_OK;
}

bool weir_config_for_serving(weir_config *config, const weir_arguments *arguments)
{
    weir_fault fault = {.err = WEIR_OK};
    if (!weir_config_from_arguments(config, arguments)) {
        return false;
    }
    if (weir_config_check(config, &fault) != WEIR_OK) {
        weir_say_fault(&fault);
        return false;
    }
    return true;
}
