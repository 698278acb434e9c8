/* adapters/proto/weir1/record_write.c - one record to JSON, straight from the chunk it lies in.
 *
 * This runs once per record and subscriber, so it makes nothing but the bytes themselves: no tree,
 * no allocation but the message's own growth (and a name longer than NAME_BYTES_USUAL).
 *
 * [R1] Every header of the record is written exactly once, as a field or in the list. */
#include "adapters/proto/weir1/record_json.h"

#include "core/base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_BYTES_USUAL = 1280,
    NAME_TAME_BYTES_MAX = 1024,
    ENVELOPE_COUNT = 5,
    ENVELOPE_EXPIRY = 1,
};

/* Header names and the fields they become, in the order of weir_v1_fields_decode. */
static const struct {
    const char *header;
    const char *member;
} envelope[ENVELOPE_COUNT] = {
    {"content-type", ",\"content_type\":"},
    {"expiry", ",\"expiry\":"},
    {"reply", ",\"reply\":"},
    {"correlation", ",\"correlation\":"},
    {"traceparent", ",\"traceparent\":"},
};

static bool is_small_number(weir_bytes text)
{
    if (text.len == 0 || text.len > 10 || (text.len > 1 && text.ptr[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
    }
    return true;
}

/* Which field the header becomes; -1: none. *seen marks the fields that are taken already. */
static int envelope_index(const weir_header *header, unsigned *seen)
{
    for (int i = 0; i < ENVELOPE_COUNT; i++) {
        if (!weir_bytes_equal(header->name, weir_bytes_of(envelope[i].header))) {
            continue;
        }
        bool fits =
            i == ENVELOPE_EXPIRY ? is_small_number(header->value) : weir_v1_is_text(header->value);
        if ((*seen & 1u << i) != 0 || header->value.ptr == NULL || !fits) {
            return -1;
        }
        *seen |= 1u << i;
        return i;
    }
    return -1;
}

/* Older versions stored names that are no UTF-8: what is not becomes \xNN, as far as there is room. */
static void write_header_name(weir_v1_writer *writer, weir_bytes name)
{
    uint8_t tame[NAME_TAME_BYTES_MAX];
    if (weir_utf8_valid(name)) {
        weir_v1_write_string(writer, name);
    } else {
        size_t len = weir_utf8_tame(name, tame, sizeof(tame));
        weir_v1_write_string(writer, (weir_bytes){tame, len});
    }
}

void weir_v1_write_header(weir_v1_writer *writer, const weir_header *header)
{
    weir_v1_write_raw(writer, "[");
    write_header_name(writer, header->name);
    if (header->value.ptr == NULL) {
        weir_v1_write_raw(writer, ",null]");
    } else if (weir_v1_is_text(header->value)) {
        weir_v1_write_raw(writer, ",");
        weir_v1_write_string(writer, header->value);
        weir_v1_write_raw(writer, "]");
    } else {
        weir_v1_write_raw(writer, ",{\"base64\":");
        weir_v1_write_base64(writer, header->value);
        weir_v1_write_raw(writer, "}]");
    }
}

/* Fields first, then the list of all others. */
static void write_headers(weir_v1_writer *writer, weir_bytes headers)
{
    weir_bytes rest = headers;
    weir_header header;
    unsigned seen = 0;
    uint32_t others = 0;
    while (weir_headers_next(&rest, &header)) {
        int index = envelope_index(&header, &seen);
        if (index < 0) {
            others++;
            continue;
        }
        weir_v1_write_raw(writer, envelope[index].member);
        if (index == ENVELOPE_EXPIRY) {
            weir_v1_write_span(writer, header.value);
        } else {
            weir_v1_write_string(writer, header.value);
        }
    }
    if (others == 0) {
        return;
    }
    const char *between = ",\"headers\":[";
    rest = headers;
    seen = 0;
    while (weir_headers_next(&rest, &header)) {
        if (envelope_index(&header, &seen) < 0) { /* [R1] the same choice as above */
            weir_v1_write_raw(writer, between);
            weir_v1_write_header(writer, &header);
            between = ",";
        }
    }
    weir_v1_write_raw(writer, "]");
}

static void write_name(weir_v1_writer *writer, weir_bytes topic, weir_bytes key)
{
    uint8_t usual[NAME_BYTES_USUAL];
    uint8_t *name = usual;
    bool encoded = false;
    size_t len = weir_record_name(topic, key, usual, sizeof(usual), &encoded);
    if (len > sizeof(usual)) {
        name = malloc(len);
        if (name == NULL) {
            writer->failed = true;
            return;
        }
        weir_record_name(topic, key, name, len, &encoded);
    }
    weir_v1_write_raw(writer, "\"name\":");
    weir_v1_write_string(writer, (weir_bytes){name, len});
    if (encoded) {
        weir_v1_write_raw(writer, ",\"name_encoded\":true");
    }
    if (name != usual) {
        free(name);
    }
}

static void write_text_or_base64(weir_v1_writer *writer, weir_bytes bytes, const char *text_member,
                                 const char *base64_member)
{
    if (weir_v1_is_text(bytes)) {
        weir_v1_write_raw(writer, text_member);
        weir_v1_write_string(writer, bytes);
    } else {
        weir_v1_write_raw(writer, base64_member);
        weir_v1_write_base64(writer, bytes);
    }
}

/* "lease":"EPOCH-NUMBER", which settles it, and how often it was handed out. */
static void write_lease(weir_v1_writer *writer, const weir_v1_place *place)
{
    if (place->lease != 0) {
        weir_v1_write_raw(writer, ",\"lease\":\"");
        weir_v1_write_unsigned(writer, place->epoch);
        weir_v1_write_raw(writer, "-");
        weir_v1_write_unsigned(writer, place->lease);
        weir_v1_write_raw(writer, "\"");
    }
    if (place->leased > 0) {
        weir_v1_write_raw(writer, ",\"leased\":");
        weir_v1_write_unsigned(writer, place->leased);
        weir_v1_write_raw(writer, ",\"failed\":");
        weir_v1_write_unsigned(writer, place->failed);
    }
}

void weir_v1_write_key(weir_v1_writer *writer, weir_bytes key)
{
    if (key.ptr != NULL) {
        write_text_or_base64(writer, key, ",\"key\":", ",\"key_base64\":");
    }
}

void weir_v1_write_record(weir_v1_writer *writer, const weir_v1_place *place,
                          const weir_record *record)
{
    weir_v1_write_raw(writer, "{");
    if (place->topic.len > 0) {
        weir_v1_write_raw(writer, "\"topic\":");
        weir_v1_write_string(writer, place->topic);
        weir_v1_write_raw(writer, ",\"partition\":");
        weir_v1_write_unsigned(writer, place->partition);
        weir_v1_write_raw(writer, ",\"offset\":");
        weir_v1_write_integer(writer, record->offset);
        weir_v1_write_raw(writer, ",");
    } else {
        weir_v1_write_raw(writer, "\"live\":true,");
    }
    write_name(writer, place->topic, record->key);
    if (place->topic.len > 0) {
        weir_v1_write_key(writer, record->key);
    }
    weir_v1_write_raw(writer, ",\"time\":");
    weir_v1_write_integer(writer, record->timestamp_ms);
    if (record->value.ptr == NULL) {
        weir_v1_write_raw(writer, ",\"value\":null");
    } else {
        write_text_or_base64(writer, record->value, ",\"value\":", ",\"base64\":");
    }
    if (record->header_count > 0) {
        write_headers(writer, record->headers);
    }
    write_lease(writer, place);
    weir_v1_write_raw(writer, place->retained ? ",\"retained\":true}" : "}");
}

weir_err weir_v1_refuse(weir_v1_reason *reason, weir_err err, const char *field, const char *format,
                        ...)
{
    va_list arguments;
    *reason = (weir_v1_reason){.err = err, .field = field};
    va_start(arguments, format);
    vsnprintf(reason->text, sizeof(reason->text), format, arguments);
    va_end(arguments);
    return err;
}

/* A text cut by its buffer, or with a peer's bytes in it, may end inside a code point. */
static weir_bytes whole_text(const char *text)
{
    weir_bytes bytes = weir_bytes_of(text);
    for (int i = 0; i < 4 && bytes.len > 0 && !weir_v1_is_text(bytes); i++) {
        bytes.len--;
    }
    return weir_v1_is_text(bytes) ? bytes : weir_bytes_of("");
}

void weir_v1_write_reason(weir_v1_writer *writer, const weir_v1_reason *reason)
{
    weir_v1_write_raw(writer, "{\"code\":\"");
    weir_v1_write_raw(writer, reason->code != NULL ? reason->code : weir_err_name(reason->err));
    weir_v1_write_raw(writer, "\"");
    if (reason->field != NULL) {
        weir_v1_write_raw(writer, ",\"field\":");
        weir_v1_write_string(writer, weir_bytes_of(reason->field));
    }
    weir_v1_write_raw(writer, ",\"text\":");
    const char *text = reason->text[0] != 0 ? reason->text : weir_err_text(reason->err);
    weir_v1_write_string(writer, whole_text(text));
    weir_v1_write_raw(writer, "}");
}
