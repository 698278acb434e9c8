/* programs/yaml.h - what the files that read weir.yaml share: the document's places, and groups. */
#ifndef WEIR_PROGRAMS_YAML_H
#define WEIR_PROGRAMS_YAML_H

#include "programs/config.h"

#include <cyaml/cyaml.h>
#include <yaml.h>

#define WEIR_YAML_FIELD_FLAGS (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)

/* One entry of `groups`, as libcyaml reads it: texts, NULL where nothing stands. */
typedef struct weir_raw_group {
    char *name;
    char *model;
    char *mode;
    char **topics;
    uint32_t topics_count;
    char *filter;
    char *start;
    char *removed;
    char *dead_letter;
#define WEIR_RAW_GROUP_SETTING(field, tag, models, value, endless, least, most, unit, help)        \
    char *field;
    WEIR_GROUP_SETTINGS_LIST(WEIR_RAW_GROUP_SETTING)
#undef WEIR_RAW_GROUP_SETTING
} weir_raw_group;

extern const cyaml_schema_value_t weir_yaml_group_schema;

/* Line 0 where there is none. */
weir_place weir_yaml_place(const yaml_node_t *node);
yaml_node_t *weir_yaml_get(yaml_document_t *document, const yaml_node_t *map, const char *key);

/* Reads an entry; the configuration owns it, whatever comes back. INVALID with the place. */
weir_err weir_yaml_group_take(weir_config *config, const weir_raw_group *raw,
                              yaml_document_t *document, const yaml_node_t *node,
                              weir_group_entry *group, weir_fault *fault);

#endif
