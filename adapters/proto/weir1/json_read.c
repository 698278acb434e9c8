/* adapters/proto/weir1/json_read.c - the only file that knows jansson: text to nodes.
 *
 *     text -> depth and NUL looked for -> jansson -> root object
 *
 * Depth is bounded before jansson runs, so its recursion is; size was bounded by whoever framed the
 * text. An integer beyond 64 bits makes jansson stop; the text is then read once more with integers
 * as reals, because a peer may grant "as much credit as there is"; `rounded` tells, and commands
 * for which digits matter refuse such a message.
 *
 * [J1] A document that was parsed has an object at its root.
 * [J2] No string in it holds NUL or ill-formed UTF-8: jansson refuses both. */
#include "adapters/proto/weir1/json.h"

#include <jansson.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const json_t *json_of(const weir_v1_node *node)
{
    return (const json_t *)(const void *)node;
}

static weir_v1_node *node_of(json_t *json)
{
    return (weir_v1_node *)(void *)json;
}

/* The position behind the string that begins at text[at]; text.len when it does not end. */
static size_t string_end(weir_bytes text, size_t at)
{
    for (size_t i = at + 1; i < text.len; i++) {
        if (text.ptr[i] == '\\') {
            i++;
        } else if (text.ptr[i] == '"') {
            return i + 1;
        }
    }
    return text.len;
}

/* What jansson would build must be bounded before it does. MALFORMED with the sentence. */
static weir_err shape_check(weir_bytes text, char *why)
{
    size_t depth = 0;
    size_t containers = 0;
    for (size_t i = 0; i < text.len;) {
        uint8_t byte = text.ptr[i];
        if (byte == '"') {
            i = string_end(text, i);
            continue;
        }
        i++;
        if (byte == '{' || byte == '[') {
            depth++;
            containers++;
        } else if ((byte == '}' || byte == ']') && depth > 0) {
            depth--;
        }
        if (depth > WEIR_V1_DEPTH_MAX) {
            snprintf(why, WEIR_V1_WHY_MAX,
                     "Nest objects and arrays at most %d deep; deeper JSON goes as a string in "
                     "value.",
                     WEIR_V1_DEPTH_MAX);
            return WEIR_MALFORMED;
        }
        if (containers > WEIR_V1_CONTAINERS_MAX) {
            snprintf(why, WEIR_V1_WHY_MAX,
                     "Send at most %d objects and arrays in one message; more go as a string in "
                     "value.",
                     WEIR_V1_CONTAINERS_MAX);
            return WEIR_MALFORMED;
        }
    }
    return WEIR_OK;
}

static weir_err explain(const json_error_t *error, char *why)
{
    if (json_error_code(error) == json_error_out_of_memory) {
        return WEIR_NO_MEMORY;
    }
    snprintf(why, WEIR_V1_WHY_MAX, "Send one JSON object: %.80s (byte %d).", error->text,
             error->position);
    return WEIR_MALFORMED;
}

weir_err weir_v1_document_parse(weir_bytes text, weir_v1_document *document, char *why)
{
    if (text.len > 0 && memchr(text.ptr, 0, text.len) != NULL) {
        snprintf(why, WEIR_V1_WHY_MAX, "Send JSON without NUL bytes; binary values go as base64.");
        return WEIR_MALFORMED;
    }
    weir_err shape = shape_check(text, why);
    if (shape != WEIR_OK) {
        return shape;
    }
    json_error_t error;
    size_t flags = JSON_REJECT_DUPLICATES;
    json_t *root = json_loadb((const char *)text.ptr, text.len, flags, &error);
    bool rounded = false;
    if (root == NULL && json_error_code(&error) == json_error_numeric_overflow) {
        rounded = true;
        root =
            json_loadb((const char *)text.ptr, text.len, flags | JSON_DECODE_INT_AS_REAL, &error);
    }
    if (root == NULL) {
        return explain(&error, why);
    }
    if (!json_is_object(root)) {
        json_decref(root);
        snprintf(why, WEIR_V1_WHY_MAX, "Send one JSON object: it begins with { and ends with }.");
        return WEIR_MALFORMED;
    }
    document->root = node_of(root);
    document->rounded = rounded;
    return WEIR_OK;
}

void weir_v1_document_fini(weir_v1_document *document)
{
    json_decref((json_t *)(void *)document->root);
    *document = (weir_v1_document){0};
}

weir_v1_node_kind weir_v1_node_kind_of(const weir_v1_node *node)
{
    if (node == NULL) {
        return WEIR_V1_ABSENT;
    }
    switch (json_typeof(json_of(node))) {
    case JSON_NULL:
        return WEIR_V1_NULL;
    case JSON_TRUE:
    case JSON_FALSE:
        return WEIR_V1_BOOLEAN;
    case JSON_INTEGER:
        return WEIR_V1_INTEGER;
    case JSON_REAL:
        return WEIR_V1_REAL;
    case JSON_STRING:
        return WEIR_V1_STRING;
    case JSON_ARRAY:
        return WEIR_V1_ARRAY;
    case JSON_OBJECT:
        return WEIR_V1_OBJECT;
    }
    return WEIR_V1_ABSENT;
}

weir_v1_node *weir_v1_node_member(const weir_v1_node *node, const char *name)
{
    return node == NULL ? NULL : node_of(json_object_get(json_of(node), name));
}

size_t weir_v1_node_count(const weir_v1_node *node)
{
    const json_t *json = json_of(node);
    return json_is_array(json) ? json_array_size(json) : json_object_size(json);
}

weir_v1_node *weir_v1_node_at(const weir_v1_node *node, size_t index)
{
    return node_of(json_array_get(json_of(node), index));
}

bool weir_v1_node_next(const weir_v1_node *node, void **position, weir_bytes *name,
                       weir_v1_node **value)
{
    json_t *object = (json_t *)(void *)(uintptr_t)node; /* iterating changes nothing in it */
    void *at =
        *position == NULL ? json_object_iter(object) : json_object_iter_next(object, *position);
    if (at == NULL) {
        return false;
    }
    *position = at;
    *name = weir_bytes_of(json_object_iter_key(at));
    *value = node_of(json_object_iter_value(at));
    return true;
}

bool weir_v1_node_text(const weir_v1_node *node, weir_bytes *out)
{
    const json_t *json = json_of(node);
    if (!json_is_string(json)) {
        return false;
    }
    *out = (weir_bytes){(const uint8_t *)json_string_value(json), json_string_length(json)};
    return true;
}

bool weir_v1_node_boolean(const weir_v1_node *node, bool *out)
{
    const json_t *json = json_of(node);
    if (!json_is_boolean(json)) {
        return false;
    }
    *out = json_is_true(json);
    return true;
}

bool weir_v1_node_integer(const weir_v1_node *node, int64_t *out)
{
    const json_t *json = json_of(node);
    if (json_is_integer(json)) {
        *out = json_integer_value(json);
        return true;
    }
    if (!json_is_real(json)) {
        return false;
    }
    double value = json_real_value(json);
    if (!(value >= -0x1p63 && value < 0x1p63) || (double)(int64_t)value != value) {
        return false;
    }
    *out = (int64_t)value;
    return true;
}

bool weir_v1_node_amount(const weir_v1_node *node, uint64_t *out)
{
    const json_t *json = json_of(node);
    int64_t value = 0;
    if (json_is_real(json) && json_real_value(json) >= 0x1p63) {
        *out = UINT64_MAX;
        return true;
    }
    if (!weir_v1_node_integer(node, &value) || value < 0) {
        return false;
    }
    *out = (uint64_t)value;
    return true;
}

static void write_real(weir_v1_writer *writer, double value)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    weir_v1_write_raw(writer, text);
}

static void write_array(weir_v1_writer *writer, const weir_v1_node *node)
{
    size_t count = weir_v1_node_count(node);
    weir_v1_write_raw(writer, "[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            weir_v1_write_raw(writer, ",");
        }
        weir_v1_write_node(writer, weir_v1_node_at(node, i));
    }
    weir_v1_write_raw(writer, "]");
}

static void write_object(weir_v1_writer *writer, const weir_v1_node *node)
{
    void *position = NULL;
    weir_bytes name;
    weir_v1_node *value = NULL;
    const char *between = "";
    weir_v1_write_raw(writer, "{");
    while (weir_v1_node_next(node, &position, &name, &value)) {
        weir_v1_write_raw(writer, between);
        weir_v1_write_string(writer, name);
        weir_v1_write_raw(writer, ":");
        weir_v1_write_node(writer, value);
        between = ",";
    }
    weir_v1_write_raw(writer, "}");
}

/* Recurses as deep as the document is: at most WEIR_V1_DEPTH_MAX. */
void weir_v1_write_node(weir_v1_writer *writer, const weir_v1_node *node)
{
    const json_t *json = json_of(node);
    switch (weir_v1_node_kind_of(node)) {
    case WEIR_V1_ABSENT:
    case WEIR_V1_NULL:
        weir_v1_write_raw(writer, "null");
        break;
    case WEIR_V1_BOOLEAN:
        weir_v1_write_raw(writer, json_is_true(json) ? "true" : "false");
        break;
    case WEIR_V1_INTEGER:
        weir_v1_write_integer(writer, json_integer_value(json));
        break;
    case WEIR_V1_REAL:
        write_real(writer, json_real_value(json));
        break;
    case WEIR_V1_STRING:
        weir_v1_write_string(writer, (weir_bytes){(const uint8_t *)json_string_value(json),
                                                  json_string_length(json)});
        break;
    case WEIR_V1_ARRAY:
        write_array(writer, node);
        break;
    case WEIR_V1_OBJECT:
        write_object(writer, node);
        break;
    }
}
