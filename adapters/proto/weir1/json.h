/* adapters/proto/weir1/json.h - JSON as weir.v1 uses it: a strict reader and an appending writer.
 *
 * The reader is strict where RFC 8259 leaves room: duplicate names, NUL, ill-formed UTF-8, what
 * follows the value, nesting deeper than WEIR_V1_DEPTH_MAX and more than WEIR_V1_CONTAINERS_MAX
 * objects and arrays are refused. Nodes are borrowed from
 * their document. Any thread, one at a time for each document. */
#ifndef WEIR_ADAPTERS_PROTO_WEIR1_JSON_H
#define WEIR_ADAPTERS_PROTO_WEIR1_JSON_H

#include "core/base/buffer.h"

enum {
    WEIR_V1_DEPTH_MAX = 32,         /* objects and arrays within one another, in one message */
    WEIR_V1_CONTAINERS_MAX = 65536, /* objects and arrays in one message: each costs memory */
    WEIR_V1_WHY_MAX = 512, /* bytes of the sentence that says what is wrong, NUL included */
};

/* ---- Reading ----------------------------------------------------------------------------------
 */

typedef struct weir_v1_node weir_v1_node;

typedef enum weir_v1_node_kind {
    WEIR_V1_ABSENT = 0, /* of NULL: a member that is not there */
    WEIR_V1_NULL,
    WEIR_V1_BOOLEAN,
    WEIR_V1_INTEGER,
    WEIR_V1_REAL,
    WEIR_V1_STRING,
    WEIR_V1_ARRAY,
    WEIR_V1_OBJECT,
} weir_v1_node_kind;

typedef struct weir_v1_document {
    weir_v1_node *root; /* an object; NULL in a zeroed document */
    bool rounded;       /* an integer beyond 64 bits was met: all its integers were read as reals */
} weir_v1_document;

/* Reads one JSON object. MALFORMED with a sentence in `why` (WEIR_V1_WHY_MAX bytes); NO_MEMORY. */
weir_err weir_v1_document_parse(weir_bytes text, weir_v1_document *document, char *why);
void weir_v1_document_fini(weir_v1_document *document);

weir_v1_node_kind weir_v1_node_kind_of(const weir_v1_node *node);
/* The member of that name; NULL when there is none, or `node` is no object. */
weir_v1_node *weir_v1_node_member(const weir_v1_node *node, const char *name);
/* Elements or members; 0 of anything else. */
size_t weir_v1_node_count(const weir_v1_node *node);
weir_v1_node *weir_v1_node_at(const weir_v1_node *node, size_t index); /* NULL past the end */
/* Walks an object's members in their order: *position NULL to begin; false at the end. */
bool weir_v1_node_next(const weir_v1_node *node, void **position, weir_bytes *name,
                       weir_v1_node **value);
/* False, and *out untouched, when the node is of another kind. */
bool weir_v1_node_text(const weir_v1_node *node, weir_bytes *out);
bool weir_v1_node_boolean(const weir_v1_node *node, bool *out);
/* An integer of 64 bits (or a real that is one exactly). */
bool weir_v1_node_integer(const weir_v1_node *node, int64_t *out);
/* A number that is not negative; beyond 2^63-1 it is UINT64_MAX. */
bool weir_v1_node_amount(const weir_v1_node *node, uint64_t *out);

/* ---- Writing: appends to a buffer; a failure sticks in `failed` and later calls do nothing.
 * ------ */

typedef struct weir_v1_writer {
    weir_buffer *out;
    bool failed; /* memory could not be had */
} weir_v1_writer;

void weir_v1_write_raw(weir_v1_writer *writer, const char *text);  /* as it is */
void weir_v1_write_span(weir_v1_writer *writer, weir_bytes bytes); /* as it is */
void weir_v1_write_integer(weir_v1_writer *writer, int64_t value);
void weir_v1_write_unsigned(weir_v1_writer *writer, uint64_t value);
/* A quoted string; `text` must be well-formed UTF-8. */
void weir_v1_write_string(weir_v1_writer *writer, weir_bytes text);
void weir_v1_write_base64(weir_v1_writer *writer, weir_bytes bytes); /* quoted */
/* A node as compact JSON; reals in the shortest form that reads back as the same number. */
void weir_v1_write_node(weir_v1_writer *writer, const weir_v1_node *node);

/* ---- Encodings --------------------------------------------------------------------------------
 */

/* RFC 4648 section 4, with padding, and nothing else (no line breaks). At most in.len / 4 * 3 bytes
 * are written. INVALID. */
weir_err weir_v1_base64_decode(weir_bytes in, uint8_t *out, size_t *len);
/* RFC 3339 date-time to Unix milliseconds (digits past milliseconds are cut). INVALID. */
weir_err weir_v1_time_parse(weir_bytes text, int64_t *ms);
/* What a JSON string can carry to every reader: well-formed UTF-8 without NUL. */
bool weir_v1_is_text(weir_bytes bytes);

#endif
