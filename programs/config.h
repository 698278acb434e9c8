/* programs/config.h - the configuration: defaults, then weir.yaml, then --set and the flags.
 *
 *     config_init -> weir_config_load (weir.yaml) -> weir_config_set (each --set) ->
 * weir_config_check
 *
 * Everything is copied and owned by the configuration. Main thread only. */
#ifndef WEIR_PROGRAMS_CONFIG_H
#define WEIR_PROGRAMS_CONFIG_H

#include "weir/engine.h"
#include "weir/port.h"

#include "programs/arguments.h"
#include "programs/keys.h"

/* Where in weir.yaml something stands; line 0: not from there. */
typedef struct weir_place {
    unsigned line; /* 1-based */
    unsigned column;
} weir_place;

typedef struct weir_value {
    char *text; /* NULL: not set, and there is no default */
    uint64_t number;
    weir_place place;
    const char *origin; /* "default", "file" or "--set" */
} weir_value;

typedef struct weir_topic_entry {
    char *name;
    weir_topic_options options;
    weir_place place;
} weir_topic_entry;

/* The options' spans point to the texts. */
typedef struct weir_group_entry {
    char *name;
    weir_group_options options;
    char *filter;
    char *dead_letter;
    char **topics; /* options.topic_count of them */
    weir_bytes *topic_spans;
    weir_place place;
} weir_group_entry;

typedef struct weir_setting_entry {
    char *key;
    char *value;
} weir_setting_entry;

typedef struct weir_adapter_entry {
    char *name;
    char *path;
    weir_setting_entry *settings;
    size_t setting_count;
    weir_place place;
} weir_adapter_entry;

enum {
    WEIR_CONFIG_BYTES_MAX = 1048576, /* of weir.yaml */
    WEIR_CONFIG_TOPICS_MAX = 1000,   /* declared in weir.yaml */
    WEIR_CONFIG_GROUPS_MAX = 1000,   /* declared in weir.yaml */
    WEIR_CONFIG_ADAPTERS_MAX = 16,   /* loaded */
    WEIR_CONFIG_SETTINGS_MAX = 256,  /* of one loaded adapter */
};

typedef struct weir_config {
    char *file; /* weir.yaml's name; NULL: none was read */
    weir_value values[WEIR_KEY_COUNT];
    weir_topic_entry *topics;
    size_t topic_count;
    weir_group_entry *groups;
    size_t group_count;
    weir_adapter_entry *adapters;
    size_t adapter_count;
} weir_config;

/* Every key has its default. NO_MEMORY. fini of a zeroed one is harmless. */
weir_err weir_config_init(weir_config *config);
void weir_config_fini(weir_config *config);

/* Reads a file, or bytes that came from one called `name`. INVALID with file, line and column;
 * NOT_FOUND, IO, NO_MEMORY. After an error the configuration is only good for fini. */
weir_err weir_config_load_file(weir_config *config, const char *path, weir_fault *fault);
weir_err weir_config_load(weir_config *config, const char *name, weir_bytes text,
                          weir_fault *fault);

/* Overrides one key, or one setting of a loaded adapter ("lines.port"). INVALID, NO_MEMORY. */
weir_err weir_config_set(weir_config *config, const char *name, const char *value,
                         weir_fault *fault);
/* The same for "KEY=VALUE". */
weir_err weir_config_set_pair(weir_config *config, const char *pair, weir_fault *fault);

/* What no single value can tell: addresses that are not numeric, or beyond loopback without
 * `insecure`, a TLS key without its certificate, two topics, groups or adapters of one name, a topic
 * nested in another without saying so, a group that no engine would make. INVALID. */
weir_err weir_config_check(const weir_config *config, weir_fault *fault);

/* init, then -c (or WEIR_CONFIG), WEIR_DATA, each --set, --data, --ports, --insecure. The sentence
 * is printed on failure. fini is due either way. */
bool weir_config_from_arguments(weir_config *config, const weir_arguments *arguments);
/* The same, then weir_config_check: for who will serve by it. */
bool weir_config_for_serving(weir_config *config, const weir_arguments *arguments);

/* It is the group of a queue topic of this file: altered at start, not made. */
bool weir_config_group_of_queue(const weir_config *config, const weir_group_entry *group);

const char *weir_config_text(const weir_config *config, weir_key key); /* may be NULL */
uint64_t weir_config_number(const weir_config *config, weir_key key);
/* The text of "SECTION.KEY", for an adapter: from the table, from `adapters`, or NULL. `insecure`
 * of any section falls back to the top level's. */
const char *weir_config_setting(const weir_config *config, const char *section, const char *key);

/* The engine's part. Strings are borrowed from the configuration. */
void weir_config_engine(const weir_config *config, weir_engine_config *engine);

/* ---- for yaml.c ---- */

/* Takes a value into the key. INVALID: the fault has the place. */
weir_err weir_config_put(weir_config *config, weir_key key, const char *text, const char *origin,
                         weir_place place, weir_fault *fault);
/* Adds or replaces a setting of a loaded adapter. NO_MEMORY, LIMIT. */
weir_err weir_config_adapter_put(weir_adapter_entry *adapter, const char *key, const char *value);

#endif
