/* programs/check.c - `weir check`, `weir config`, `weir limits`: what the tables say. */
#include "programs/commands.h"
#include "programs/config.h"
#include "programs/host.h"
#include "programs/say.h"

#include "weir/port.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void effective_add(weir_rows *rows, const char *name, const char *value, const char *origin,
                          unsigned line)
{
    char place[32] = "";
    const char *cells[] = {name, value, origin, line != 0 ? place : NULL};
    snprintf(place, sizeof(place), "%u", line);
    weir_rows_add(rows, cells);
}

static void effective_print(const weir_config *config, weir_output output)
{
    static const char *const columns[] = {"key", "value", "origin", "line#"};
    weir_rows *rows = weir_rows_create(columns, 4);
    char name[160];
    for (size_t i = 0; i < WEIR_KEY_COUNT; i++) {
        const weir_value *value = &config->values[i];
        effective_add(rows, weir_key_row_of((weir_key)i)->name, value->text, value->origin,
                      value->place.line);
    }
    for (size_t i = 0; i < config->adapter_count; i++) {
        const weir_adapter_entry *adapter = &config->adapters[i];
        for (size_t j = 0; j < adapter->setting_count; j++) {
            snprintf(name, sizeof(name), "%s.%.100s", adapter->name, adapter->settings[j].key);
            effective_add(rows, name, adapter->settings[j].value, "file", adapter->place.line);
        }
    }
    for (size_t i = 0; i < config->topic_count; i++) {
        const weir_topic_entry *topic = &config->topics[i];
        char text[128];
        snprintf(text, sizeof(text), "partitions %" PRIu32 ", %s%s%s", topic->options.partitions,
                 weir_level_name(topic->options.level), topic->options.nested ? ", nested" : "",
                 topic->options.kind == WEIR_KIND_QUEUE ? ", queue" : "");
        snprintf(name, sizeof(name), "topics[%zu]", i);
        effective_add(rows, topic->name, text, name, topic->place.line);
    }
    for (size_t i = 0; i < config->group_count; i++) {
        const weir_group_entry *group = &config->groups[i];
        const weir_group_options *options = &group->options;
        char text[128];
        weir_model model =
            options->model == WEIR_MODEL_DEFAULT ? WEIR_MODEL_STREAM : options->model;
        weir_mode mode =
            options->mode == WEIR_MODE_DEFAULT ? WEIR_MODE_AT_LEAST_ONCE : options->mode;
        snprintf(text, sizeof(text), "%s, %s, reads %s%.60s", weir_model_name(model),
                 weir_mode_name(mode), group->filter != NULL ? "" : "topics",
                 group->filter != NULL ? group->filter : "");
        snprintf(name, sizeof(name), "groups[%zu]", i);
        effective_add(rows, group->name, text, name, group->place.line);
    }
    weir_rows_print(rows, output, stdout);
    weir_rows_destroy(rows);
}

/* ---- Topics that this file does not declare ----------------------------------------------------
 */

static bool is_declared(const weir_config *config, weir_bytes name)
{
    for (size_t i = 0; i < config->topic_count; i++) {
        if (weir_bytes_equal(name, weir_bytes_of(config->topics[i].name))) {
            return true;
        }
    }
    return false;
}

static void undeclared_say(const weir_config *config, const weir_group_entry *group,
                           weir_bytes topic, const char *what)
{
    if (!is_declared(config, topic)) {
        weir_say(
            "%s:%u: group \"%.128s\": %s \"%.*s\" is not declared in this file, so it must be "
            "in the data directory already: put it under topics:, or `weir serve` may refuse to "
            "start",
            config->file != NULL ? config->file : "the configuration", group->place.line,
            group->name, what, topic.len > 249 ? 249 : (int)topic.len, (const char *)topic.ptr);
    }
}

/* They may stand in the data directory: that is no error. */
static void undeclared_note(const weir_config *config)
{
    for (size_t i = 0; i < config->group_count; i++) {
        const weir_group_options *options = &config->groups[i].options;
        for (uint32_t k = 0; k < options->topic_count; k++) {
            undeclared_say(config, &config->groups[i], options->topics[k], "its topic");
        }
        if (options->dead_letter.len > 0) {
            undeclared_say(config, &config->groups[i], options->dead_letter, "its dead_letter");
        }
    }
}

weir_exit weir_run_check(const weir_arguments *arguments)
{
    weir_config config = {0};
    weir_output output = WEIR_OUTPUT_TABLE;
    weir_hosts *hosts = NULL;
    weir_fault fault = {.err = WEIR_OK};
    weir_exit code = WEIR_EXIT_DONE;
    if (!weir_config_for_serving(&config, arguments) || !weir_output_read(arguments, &output)) {
        code = WEIR_EXIT_USAGE;
    } else if (weir_hosts_create(&config, &hosts, &fault) != WEIR_OK) {
        weir_say_fault(&fault);
        code = WEIR_EXIT_USAGE;
    } else if (weir_arguments_has(arguments, "effective")) {
        effective_print(&config, output);
    } else {
        undeclared_note(&config);
        printf("%s: good\n", config.file != NULL ? config.file : "the defaults");
    }
    weir_hosts_destroy(hosts);
    weir_config_fini(&config);
    return code;
}

/* ---- weir config ------------------------------------------------------------------------------
 */

static const char *type_name(weir_key_type type)
{
    switch (type) {
    case WEIR_KEY_UINT:
        return "number";
    case WEIR_KEY_BOOL:
        return "true or false";
    case WEIR_KEY_TEXT:
        return "text";
    case WEIR_KEY_LEVEL:
        return "memory, os, disk";
    case WEIR_KEY_SYNC:
        return "auto, inline, thread";
    case WEIR_KEY_IO:
        return "posix";
    }
    return "";
}

static void bounds_text(const weir_key_row *row, char *text, size_t size)
{
    text[0] = '\0';
    if (row->type == WEIR_KEY_UINT) {
        snprintf(text, size, "%" PRIu64 " to %" PRIu64, row->least, row->most);
    }
}

static void topic_settings_print(void)
{
    size_t count;
    const weir_topic_setting *rows = weir_topic_settings(&count);
    for (size_t i = 0; i < count; i++) {
        char bounds[WEIR_TOPIC_BOUNDS_MAX];
        char fallback[24] = "unlimited";
        weir_topic_setting_bounds(&rows[i], bounds);
        const char *word = weir_topic_setting_word(&rows[i], rows[i].fallback);
        if (word != NULL) {
            (void)snprintf(fallback, sizeof(fallback), "%s", word);
        } else if (rows[i].fallback != WEIR_UNLIMITED) {
            (void)snprintf(fallback, sizeof(fallback), "%lld", (long long)rows[i].fallback);
        }
        printf("| `%s` | %s | `%s` | %s |\n", rows[i].name, bounds, fallback, rows[i].help);
    }
}

static void group_settings_print(void)
{
    static const char *const models[] = {"", "stream", "queue", "both"};
    size_t count;
    const weir_group_setting *rows = weir_group_settings(&count);
    for (size_t i = 0; i < count; i++) {
        const char *word = weir_group_setting_word(&rows[i], rows[i].fallback);
        if (word != NULL) {
            printf("| `%s` (%s) | refuse, drop-oldest, dead-letter | `%s` | %s |\n", rows[i].name,
                   models[rows[i].models & 3], word, rows[i].help);
            continue;
        }
        printf("| `%s` (%s) | number of %s, %lld to %lld%s | `%lld` | %s |\n", rows[i].name,
               models[rows[i].models & 3], rows[i].unit, (long long)rows[i].least,
               (long long)rows[i].most, rows[i].endless ? ", or -1" : "",
               (long long)rows[i].fallback, rows[i].help);
    }
}

static void config_markdown(void)
{
    const char *section = NULL;
    printf(
        "# Configuration\n\n"
        "<!-- Made by `weir config --markdown` from programs/keys.h; a test keeps it so. -->\n\n"
        "One YAML file, named by `-c FILE` or `$WEIR_CONFIG`; without one the defaults hold. Every key "
        "can be overridden with `--set KEY=VALUE`, keys of a section as `mqtt.port=1884`. A key "
        "that is not known, a value of the wrong type or outside its bounds is refused with line "
        "and column; `weir check` reads the file and says what is wrong without starting, and "
        "`weir check --effective` prints every value in force and where it comes from.\n");
    for (size_t i = 0; i < WEIR_KEY_COUNT; i++) {
        const weir_key_row *row = weir_key_row_of((weir_key)i);
        char bounds[64];
        if (section == NULL || strcmp(section, row->section) != 0) {
            section = row->section;
            printf("\n## %s%s\n\n| key | type | default | bounds | unit | meaning |\n"
                   "| --- | --- | --- | --- | --- | --- |\n",
                   section[0] == '\0' ? "Top level" : section, section[0] == '\0' ? "" : ":");
        }
        bounds_text(row, bounds, sizeof(bounds));
        printf("| `%s` | %s | %s%s%s | %s | %s | %s |\n", row->key, type_name(row->type),
               row->fallback != NULL ? "`" : "", row->fallback != NULL ? row->fallback : "",
               row->fallback != NULL ? "`" : "", bounds, row->unit, row->help);
    }
    printf(
        "\n## topics:\n\n"
        "A list of topics that are declared at start where they are missing. A topic that is there "
        "with other settings stops the start.\n\n"
        "| key | type | default | meaning |\n| --- | --- | --- | --- |\n"
        "| `name` | text | required | The topic's name. |\n"
        "| `partitions` | number | `1` | How many partitions. More can be added later; keys move then: see [promises](promises.md#adding-partitions). |\n"
        "| `durability` | memory, os, disk | `disk` | What an acknowledgement promises. |\n"
        "| `nested` | true or false | `false` | It may stand above or below another topic. |\n"
        "| `partition_levels` | number | `0` | Only the first N levels of a key choose the "
        "partition; 0: all. |\n"
        "| `cleanup` | delete, compact, compact,delete | `delete` | What old records come to. |\n"
        "| `kind` | log, queue | `log` | queue: each record stays until the topic's own group has "
        "settled it. |\n");
    topic_settings_print();
    printf(
        "\n## groups:\n\n"
        "A list of consumer groups that are declared at start where they are missing, each over "
        "`topics` or a `filter`. A group that is there with other settings stops the start. An entry "
        "named like a topic of `kind: queue` sets what that topic's own group is told.\n\n"
        "| key | type | default | meaning |\n| --- | --- | --- | --- |\n"
        "| `name` | text | required | The group's name. |\n"
        "| `model` | stream, queue | `stream` | How records are divided among members. |\n"
        "| `mode` | at-most-once, at-least-once, client-commit | `at-least-once` | The guarantee; "
        "client-commit promises nothing. |\n"
        "| `topics` | list of names | none | Declared topics that it reads. |\n"
        "| `filter` | text | none | In place of topics: a filter over full names; topics that match "
        "and come later are read from their beginning. |\n"
        "| `start` | beginning, end | `beginning` | Where a new group begins. |\n"
        "| `removed` | beginning, end, error | `beginning` | Where it goes when its place was "
        "removed. |\n"
        "| `dead_letter` | text | none | A declared topic that takes what cannot be processed. |\n");
    group_settings_print();
    printf(
        "\n## adapters:\n\nA list of front ends in shared objects.\n\n"
        "| key | type | default | meaning |\n| --- | --- | --- | --- |\n"
        "| `name` | text | required | What the object calls itself; its part of `--set`. |\n"
        "| `path` | text | required | The shared object. |\n"
        "| `settings` | mapping | none | Its own settings; `--set NAME.KEY=VALUE` overrides. |\n"
        "\n## An example\n\n```yaml\ndata: ./var/data\nmqtt:\n  port: 1883\nlimits:\n"
        "  record_bytes_max: 262144\ntopics:\n  - name: site\n    partitions: 4\n"
        "adapters:\n  - name: lines\n    path: ./build/lines.so\n    settings: {port: 7000}\n```\n");
}

weir_exit weir_run_config(const weir_arguments *arguments)
{
    static const char *const columns[] = {"key", "type", "default", "bounds", "unit", "meaning"};
    weir_output output = WEIR_OUTPUT_TABLE;
    weir_rows *rows;
    if (!weir_output_read(arguments, &output)) {
        return WEIR_EXIT_USAGE;
    }
    if (weir_arguments_has(arguments, "markdown")) {
        config_markdown();
        return WEIR_EXIT_DONE;
    }
    rows = weir_rows_create(columns, 6);
    for (size_t i = 0; i < WEIR_KEY_COUNT; i++) {
        const weir_key_row *row = weir_key_row_of((weir_key)i);
        char bounds[64];
        const char *cells[] = {row->name, type_name(row->type), row->fallback, bounds, row->unit,
                               row->help};
        bounds_text(row, bounds, sizeof(bounds));
        weir_rows_add(rows, cells);
    }
    weir_rows_print(rows, output, stdout);
    weir_rows_destroy(rows);
    return WEIR_EXIT_DONE;
}

/* ---- weir limits ------------------------------------------------------------------------------
 */

typedef struct limit_row {
    const char *name;
    uint64_t value;
    const char *unit;
    uint64_t least;
    uint64_t most;
    const char *metric;
    const char *meaning;
    const char *mqtt;
    const char *weir1;
} limit_row;

#define LIMIT_ROW(name, value, unit, least, most, metric, meaning, mqtt, weir1)                    \
    {#name, value, unit, least, most, metric, meaning, mqtt, weir1},
static const limit_row limit_rows[] = {WEIR_LIMITS_LIST(LIMIT_ROW)};

typedef struct fixed_row {
    const char *name;
    uint64_t value;
    const char *unit;
    const char *meaning;
} fixed_row;

#define FIXED_ROW(name, value, unit, meaning) {#name, value, unit, meaning},
static const fixed_row fixed_rows[] = {WEIR_FIXED_LIMITS_LIST(FIXED_ROW)};
enum { FIXED_COUNT = sizeof(fixed_rows) / sizeof(fixed_rows[0]) };

_Static_assert((int)WEIR_FIXED_topic_name_bytes == (int)WEIR_TOPIC_BYTES_MAX, "as it is told");
_Static_assert((int)WEIR_FIXED_group_name_bytes == (int)WEIR_GROUP_BYTES_MAX, "as it is told");
_Static_assert((int)WEIR_FIXED_group_topics == (int)WEIR_GROUP_TOPICS_MAX, "as it is told");
_Static_assert((int)WEIR_FIXED_member_name_bytes == (int)WEIR_MEMBER_BYTES_MAX, "as it is told");
_Static_assert((int)WEIR_FIXED_metadata_bytes == (int)WEIR_METADATA_BYTES_MAX, "as it is told");
_Static_assert((int)WEIR_FIXED_producer_name_bytes == (int)WEIR_PRODUCER_NAME_BYTES_MAX,
               "as it is told");

enum { LIMIT_COUNT = sizeof(limit_rows) / sizeof(limit_rows[0]) };

static void limits_markdown(void)
{
    printf(
        "# Limits\n\n"
        "<!-- Made by `weir limits --markdown` from include/weir/limits.h; a test keeps it so. -->\n\n"
        "Everything that a peer could make grow has a limit. Each has a name (`limits.NAME` in "
        "weir.yaml, `--set limits.NAME=N`), a metric that counts how often it was met, and an "
        "answer for each protocol.\n\n"
        "Connections of all front ends together are bounded by the process's open files, too "
        "(`ulimit -n`, `LimitNOFILE=`): those that the gateway writes with are kept from them, and "
        "the start tells when less is left than `connections_max` asks for "
        "([operations](operations.md)). Beyond that a connection is closed at once and counted in "
        "`weir_mqtt_refused_descriptors_total` or `weir_http_refused_descriptors_total`.\n\n"
        "| limit | default | unit | from | to | what it bounds | MQTT | weir.v1 | metric |\n"
        "| --- | ---: | --- | ---: | ---: | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        const limit_row *row = &limit_rows[i];
        printf("| `%s` | %" PRIu64 " | %s | %" PRIu64 " | %" PRIu64 " | %s | %s | %s | `%s` |\n",
               row->name, row->value, row->unit, row->least, row->most, row->meaning, row->mqtt,
               row->weir1, row->metric);
    }
    printf("\nThese are fixed:\n\n"
           "| limit | value | unit | what it bounds |\n"
           "| --- | ---: | --- | --- |\n");
    for (size_t i = 0; i < FIXED_COUNT; i++) {
        const fixed_row *row = &fixed_rows[i];
        printf("| `%s` | %" PRIu64 " | %s | %s |\n", row->name, row->value, row->unit,
               row->meaning);
    }
}

weir_exit weir_run_limits(const weir_arguments *arguments)
{
    static const char *const columns[] = {"limit",   "default#", "unit",   "mqtt",
                                          "weir.v1", "metric",   "meaning"};
    weir_output output = WEIR_OUTPUT_TABLE;
    weir_rows *rows;
    if (!weir_output_read(arguments, &output)) {
        return WEIR_EXIT_USAGE;
    }
    if (weir_arguments_has(arguments, "markdown")) {
        limits_markdown();
        return WEIR_EXIT_DONE;
    }
    rows = weir_rows_create(columns, 7);
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        const limit_row *row = &limit_rows[i];
        char value[32];
        const char *cells[] = {row->name,  value,       row->unit,   row->mqtt,
                               row->weir1, row->metric, row->meaning};
        snprintf(value, sizeof(value), "%" PRIu64, row->value);
        weir_rows_add(rows, cells);
    }
    weir_rows_print(rows, output, stdout);
    weir_rows_destroy(rows);
    return WEIR_EXIT_DONE;
}
