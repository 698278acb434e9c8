/* adapters/proto/websocket/head.c - the head of an HTTP/1 request or answer, read strictly (RFC
 * 9112).
 *
 *   METHOD SP target SP HTTP/1.x CRLF     an answer: HTTP/1.x SP status [SP reason] CRLF
 *   name ":" blanks value blanks CRLF     0 to 100 of them
 *   CRLF
 *
 * Happy path: nothing is read before the empty line is there; then line by line, and every span
 * points into the input. Failures: a bare LF or CR, a folded line, a blank before the colon, a
 * control character, anything but one blank between the three parts of the first line. Each of them
 * is read differently by some other implementation, and so is how requests are smuggled; none is
 * needed by a client that exists. */
#include "adapters/proto/websocket/handshake.h"

#include <string.h>
#include <strings.h>

static bool is_token_byte(uint8_t byte)
{
    bool alphanumeric = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
                        (byte >= 'A' && byte <= 'Z');
    return alphanumeric || (byte != 0 && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

static bool is_token(weir_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_token_byte(text.ptr[i])) {
            return false;
        }
    }
    return text.len > 0;
}

/* Visible characters, blanks, tabs and obs-text: RFC 9110 5.5. */
static bool is_field_value(weir_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((text.ptr[i] < 0x20 && text.ptr[i] != '\t') || text.ptr[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool is_target(weir_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= 0x20 || text.ptr[i] >= 0x7f) {
            return false;
        }
    }
    return text.len > 0;
}

static weir_bytes trimmed(weir_bytes text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) {
        text = (weir_bytes){text.ptr + 1, text.len - 1};
    }
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t')) {
        text.len--;
    }
    return text;
}

static bool equal_no_case(weir_bytes text, const char *other)
{
    return text.len == strlen(other) && strncasecmp((const char *)text.ptr, other, text.len) == 0;
}

/* Cuts `text` at the first `byte`; false when there is none. */
static bool cut(weir_bytes text, uint8_t byte, weir_bytes *before, weir_bytes *after)
{
    const uint8_t *found = text.len == 0 ? NULL : memchr(text.ptr, byte, text.len);
    if (found == NULL) {
        return false;
    }
    size_t at = (size_t)(found - text.ptr);
    *before = (weir_bytes){text.ptr, at};
    *after = (weir_bytes){found + 1, text.len - at - 1};
    return true;
}

static weir_err version_read(weir_bytes text, unsigned *minor)
{
    static const char name[] = "HTTP/";
    enum { NAME_LEN = sizeof(name) - 1, TEXT_LEN = NAME_LEN + 3 };
    if (text.len != TEXT_LEN || memcmp(text.ptr, name, NAME_LEN) != 0 ||
        text.ptr[NAME_LEN + 1] != '.') {
        return WEIR_MALFORMED;
    }
    uint8_t major = text.ptr[NAME_LEN], low = text.ptr[NAME_LEN + 2];
    if (major < '0' || major > '9' || low < '0' || low > '9') {
        return WEIR_MALFORMED;
    }
    *minor = low - (unsigned)'0';
    return major == '1' ? WEIR_OK : WEIR_VERSION;
}

static weir_err first_line_read(weir_bytes line, weir_http_head *head)
{
    weir_bytes rest, version, query;
    if (!cut(line, ' ', &head->method, &rest) || !cut(rest, ' ', &head->target, &version) ||
        !is_token(head->method) || !is_target(head->target)) {
        return WEIR_MALFORMED;
    }
    head->path = WEIR_BYTES_NULL;
    if (head->target.ptr[0] == '/' && !cut(head->target, '?', &head->path, &query)) {
        head->path = head->target;
    }
    return version_read(version, &head->version_minor);
}

/* HTTP/1.1 101 Switching Protocols: RFC 9112 4. The reason may be missing. */
static weir_err status_line_read(weir_bytes line, weir_http_head *head)
{
    weir_bytes version, rest, code, reason = WEIR_TEXT("");
    if (!cut(line, ' ', &version, &rest)) {
        return WEIR_MALFORMED;
    }
    if (!cut(rest, ' ', &code, &reason)) {
        code = rest;
    }
    weir_err err = version_read(version, &head->version_minor);
    if (err != WEIR_OK || code.len != 3 || !is_field_value(reason)) {
        return err != WEIR_OK ? err : WEIR_MALFORMED;
    }
    head->status = 0;
    for (size_t i = 0; i < code.len; i++) {
        if (code.ptr[i] < '0' || code.ptr[i] > '9') {
            return WEIR_MALFORMED;
        }
        head->status = head->status * 10 + (code.ptr[i] - (unsigned)'0');
    }
    return WEIR_OK;
}

static weir_err field_read(weir_bytes line, weir_http_head *head)
{
    weir_http_field field;
    if (!cut(line, ':', &field.name, &field.value) || !is_token(field.name) ||
        !is_field_value(field.value)) {
        return WEIR_MALFORMED;
    }
    if (head->field_count == WEIR_HTTP_FIELDS_MAX) {
        return WEIR_TOO_LARGE;
    }
    field.value = trimmed(field.value);
    head->fields[head->field_count++] = field;
    return WEIR_OK;
}

static size_t head_bytes(weir_bytes in)
{
    const uint8_t *end = in.len == 0 ? NULL : memmem(in.ptr, in.len, "\r\n\r\n", 4);
    return end == NULL ? 0 : (size_t)(end - in.ptr) + 4;
}

typedef weir_err first_line_fn(weir_bytes line, weir_http_head *head);

static weir_err lines_read(weir_bytes in, first_line_fn *first_line, weir_http_head *head)
{
    weir_err err = WEIR_OK;
    head->field_count = 0;
    for (bool first = true; err == WEIR_OK; first = false) {
        weir_bytes line, rest;
        if (!cut(in, '\n', &line, &rest) || line.len == 0 || line.ptr[line.len - 1] != '\r') {
            return WEIR_MALFORMED;
        }
        line.len--;
        in = rest;
        if (line.len == 0) {
            return first ? WEIR_MALFORMED : WEIR_OK;
        }
        err = first ? first_line(line, head) : field_read(line, head);
    }
    return err;
}

static weir_err whole_read(weir_bytes in, first_line_fn *first_line, weir_http_head *head)
{
    size_t bytes = head_bytes(in);
    if (bytes > WEIR_HTTP_HEAD_BYTES_MAX || (bytes == 0 && in.len >= WEIR_HTTP_HEAD_BYTES_MAX)) {
        return WEIR_TOO_LARGE;
    }
    if (bytes == 0) {
        return WEIR_MORE;
    }
    head->bytes = bytes;
    return lines_read((weir_bytes){in.ptr, bytes}, first_line, head);
}

weir_err weir_http_head_read(weir_bytes in, weir_http_head *head)
{
    head->status = 0;
    return whole_read(in, first_line_read, head);
}

weir_err weir_http_answer_read(weir_bytes in, weir_http_head *head)
{
    head->method = head->target = head->path = WEIR_BYTES_NULL;
    return whole_read(in, status_line_read, head);
}

size_t weir_http_field_find(const weir_http_head *head, const char *name, weir_bytes *value)
{
    size_t count = 0;
    *value = WEIR_BYTES_NULL;
    for (size_t i = 0; i < head->field_count; i++) {
        if (equal_no_case(head->fields[i].name, name)) {
            *value = count == 0 ? head->fields[i].value : *value;
            count++;
        }
    }
    return count;
}

bool weir_http_list_next(weir_bytes *list, weir_bytes *item)
{
    weir_bytes rest;
    if (list->ptr == NULL) {
        return false;
    }
    if (!cut(*list, ',', item, &rest)) {
        *item = *list;
        rest = WEIR_BYTES_NULL;
    }
    *item = trimmed(*item);
    *list = rest;
    return true;
}

static bool list_has(weir_bytes list, const char *token)
{
    weir_bytes item;
    while (weir_http_list_next(&list, &item)) {
        if (equal_no_case(item, token)) {
            return true;
        }
    }
    return false;
}

bool weir_http_field_has(const weir_http_head *head, const char *name, const char *token)
{
    for (size_t i = 0; i < head->field_count; i++) {
        if (equal_no_case(head->fields[i].name, name) && list_has(head->fields[i].value, token)) {
            return true;
        }
    }
    return false;
}
