/* adapters/proto/weir1/json_write.c - JSON by appending: no tree, no allocation per value.
 *
 * Strings are copied in runs: only `"`, `\` and control characters interrupt one. A message never
 * holds a raw newline, so a line of the stream socket is one message.
 *
 * [W1] What is written between two calls is well-formed UTF-8 when the inputs are. */
#include "adapters/proto/weir1/json.h"

#include "core/base/utf8.h"

#include <stdio.h>
#include <string.h>

/* Room for `more` bytes at the end, or NULL (and failed is set). The caller raises out->len. */
static uint8_t *room(weir_v1_writer *writer, size_t more)
{
    if (writer->failed || weir_buffer_reserve(writer->out, more) != WEIR_OK) {
        writer->failed = true;
        return NULL;
    }
    return writer->out->ptr + writer->out->len;
}

void weir_v1_write_span(weir_v1_writer *writer, weir_bytes bytes)
{
    uint8_t *to = room(writer, bytes.len);
    if (to != NULL && bytes.len > 0) {
        memcpy(to, bytes.ptr, bytes.len);
        writer->out->len += bytes.len;
    }
}

void weir_v1_write_raw(weir_v1_writer *writer, const char *text)
{
    weir_v1_write_span(writer, weir_bytes_of(text));
}

void weir_v1_write_unsigned(weir_v1_writer *writer, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    weir_v1_write_span(writer, (weir_bytes){(uint8_t *)digits + at, sizeof(digits) - at});
}

void weir_v1_write_integer(weir_v1_writer *writer, int64_t value)
{
    if (value < 0) {
        weir_v1_write_raw(writer, "-");
        weir_v1_write_unsigned(writer, 0 - (uint64_t)value);
    } else {
        weir_v1_write_unsigned(writer, (uint64_t)value);
    }
}

static bool plain(uint8_t byte)
{
    return byte >= 0x20 && byte != '"' && byte != '\\';
}

/* Writes the escape of one byte that is not plain, 2 or 6 bytes. Returns how many. */
static size_t escape(uint8_t byte, uint8_t *to)
{
    static const char hex[] = "0123456789abcdef";
    static const char shorts[32] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    to[0] = '\\';
    if (byte == '"' || byte == '\\') {
        to[1] = byte;
        return 2;
    }
    if (shorts[byte] != 0) {
        to[1] = (uint8_t)shorts[byte];
        return 2;
    }
    memcpy(to + 1, "u00", 3);
    to[4] = (uint8_t)hex[byte >> 4];
    to[5] = (uint8_t)hex[byte & 15];
    return 6;
}

void weir_v1_write_string(weir_v1_writer *writer, weir_bytes text)
{
    weir_v1_write_raw(writer, "\"");
    for (size_t at = 0; at < text.len;) {
        size_t end = at;
        while (end < text.len && plain(text.ptr[end])) {
            end++;
        }
        weir_v1_write_span(writer, (weir_bytes){text.ptr + at, end - at});
        uint8_t *to = end < text.len ? room(writer, 6) : NULL;
        if (to != NULL) {
            writer->out->len += escape(text.ptr[end], to);
        }
        at = end + 1;
    }
    weir_v1_write_raw(writer, "\"");
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void weir_v1_write_base64(weir_v1_writer *writer, weir_bytes bytes)
{
    uint8_t *to = room(writer, bytes.len / 3 * 4 + 4 + 2);
    if (to == NULL) {
        return;
    }
    uint8_t *begin = to;
    *to++ = '"';
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t three = (uint32_t)bytes.ptr[i] << 16;
        three |= left > 1 ? (uint32_t)bytes.ptr[i + 1] << 8 : 0;
        three |= left > 2 ? (uint32_t)bytes.ptr[i + 2] : 0;
        *to++ = (uint8_t)base64_digits[three >> 18];
        *to++ = (uint8_t)base64_digits[three >> 12 & 63];
        *to++ = left > 1 ? (uint8_t)base64_digits[three >> 6 & 63] : '=';
        *to++ = left > 2 ? (uint8_t)base64_digits[three & 63] : '=';
    }
    *to++ = '"';
    writer->out->len += (size_t)(to - begin);
}

/* 0 to 63, or 64 for a byte that is no digit of base64. */
static uint32_t base64_value(uint8_t byte)
{
    if (byte >= 'A' && byte <= 'Z') {
        return (uint32_t)(byte - 'A');
    }
    if (byte >= 'a' && byte <= 'z') {
        return (uint32_t)(byte - 'a') + 26;
    }
    if (byte >= '0' && byte <= '9') {
        return (uint32_t)(byte - '0') + 52;
    }
    return byte == '+' ? 62 : byte == '/' ? 63 : 64;
}

weir_err weir_v1_base64_decode(weir_bytes in, uint8_t *out, size_t *len)
{
    if (in.len % 4 != 0) {
        return WEIR_INVALID;
    }
    size_t written = 0;
    for (size_t i = 0; i < in.len; i += 4) {
        const uint8_t *four = in.ptr + i;
        bool last = i + 4 == in.len;
        size_t pad =
            last ? (size_t)(four[3] == '=') + (size_t)(four[3] == '=' && four[2] == '=') : 0;
        uint32_t sum = 0;
        for (size_t digit = 0; digit < 4; digit++) {
            uint32_t value = digit < 4 - pad ? base64_value(four[digit]) : 0;
            if (value == 64) {
                return WEIR_INVALID;
            }
            sum = sum << 6 | value;
        }
        if ((pad == 1 && (sum & 0xff) != 0) || (pad == 2 && (sum & 0xffff) != 0)) {
            return WEIR_INVALID; /* bits that no encoder leaves */
        }
        const uint8_t three[3] = {(uint8_t)(sum >> 16), (uint8_t)(sum >> 8), (uint8_t)sum};
        memcpy(out + written, three, 3 - pad);
        written += 3 - pad;
    }
    *len = written;
    return WEIR_OK;
}

/* Reads exactly `count` digits at text[*at]. False when there are fewer. */
static bool digits(weir_bytes text, size_t *at, size_t count, int64_t *value)
{
    int64_t sum = 0;
    for (size_t i = 0; i < count; i++, (*at)++) {
        if (*at >= text.len || text.ptr[*at] < '0' || text.ptr[*at] > '9') {
            return false;
        }
        sum = sum * 10 + (text.ptr[*at] - '0');
    }
    *value = sum;
    return true;
}

static bool one_of(weir_bytes text, size_t *at, const char *set)
{
    if (*at < text.len && text.ptr[*at] != 0 && strchr(set, text.ptr[*at]) != NULL) {
        (*at)++;
        return true;
    }
    return false;
}

/* Days from 1970-01-01 in the proleptic Gregorian calendar. */
static int64_t days_from_civil(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static int64_t days_in_month(int64_t year, int64_t month)
{
    static const int64_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

/* "2026-01-31": days since the epoch. */
static bool date_parse(weir_bytes text, size_t *at, int64_t *days)
{
    int64_t year = 0;
    int64_t month = 0;
    int64_t day = 0;
    if (!digits(text, at, 4, &year) || !one_of(text, at, "-") || !digits(text, at, 2, &month) ||
        !one_of(text, at, "-") || !digits(text, at, 2, &day) || month < 1 || month > 12 ||
        day < 1 || day > days_in_month(year, month)) {
        return false;
    }
    *days = days_from_civil(year, month, day);
    return true;
}

/* "23:59:60.123": milliseconds since midnight. */
static bool clock_parse(weir_bytes text, size_t *at, int64_t *ms)
{
    int64_t hour = 0;
    int64_t minute = 0;
    int64_t second = 0;
    int64_t fraction = 0;
    if (!digits(text, at, 2, &hour) || !one_of(text, at, ":") || !digits(text, at, 2, &minute) ||
        !one_of(text, at, ":") || !digits(text, at, 2, &second) || hour > 23 || minute > 59 ||
        second > 60) {
        return false;
    }
    if (one_of(text, at, ".")) {
        int64_t digit = 0;
        int64_t scale = 100;
        if (!digits(text, at, 1, &digit)) {
            return false;
        }
        do {
            fraction += digit * scale;
            scale /= 10;
        } while (digits(text, at, 1, &digit));
    }
    *ms = ((hour * 60 + minute) * 60 + second) * 1000 + fraction;
    return true;
}

/* "Z" or "+01:30": milliseconds ahead of UTC. */
static bool zone_parse(weir_bytes text, size_t *at, int64_t *ms)
{
    if (one_of(text, at, "Zz")) {
        *ms = 0;
        return true;
    }
    int64_t hour = 0;
    int64_t minute = 0;
    int64_t sign = *at < text.len && text.ptr[*at] == '-' ? -1 : 1;
    if (!one_of(text, at, "+-") || !digits(text, at, 2, &hour) || !one_of(text, at, ":") ||
        !digits(text, at, 2, &minute) || hour > 23 || minute > 59) {
        return false;
    }
    *ms = sign * (hour * 60 + minute) * 60000;
    return true;
}

weir_err weir_v1_time_parse(weir_bytes text, int64_t *ms)
{
    size_t at = 0;
    int64_t days = 0;
    int64_t clock_ms = 0;
    int64_t zone_ms = 0;
    if (!date_parse(text, &at, &days) || !one_of(text, &at, "Tt ") ||
        !clock_parse(text, &at, &clock_ms) || !zone_parse(text, &at, &zone_ms) || at != text.len) {
        return WEIR_INVALID;
    }
    *ms = days * 86400000 + clock_ms - zone_ms;
    return WEIR_OK;
}

bool weir_v1_is_text(weir_bytes bytes)
{
    return bytes.len == 0 || (memchr(bytes.ptr, 0, bytes.len) == NULL && weir_utf8_valid(bytes));
}
