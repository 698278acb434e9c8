/* programs/format.c - prints one record: by a format string, or as JSON.
 *
 * A format is checked once, before anything is received, and then walked for each record; it is
 * short and the terminal or pipe is slower than the walk. Bytes of keys, values and headers go to files
 * and pipes as they are: what consumes them may want them so. A terminal would obey them: there they
 * are shown (weir_shown), and only a value's own line ends and tabs are left.
 *
 * [F1] weir_format_check accepted the format, so every % and \ in it is followed by what is known.
 */
#include "programs/format.h"

#include "programs/say.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

const char *weir_format_check(const char *format)
{
    for (const char *at = format; *at != '\0'; at++) {
        if (*at == '%') {
            at++;
            if (*at == '\0' || strchr("tpokKsShTnr%", *at) == NULL) {
                return "after % a format takes one of t p o k K s S h T n r %";
            }
        } else if (*at == '\\') {
            at++;
            if (*at == '\0' || strchr("ntr0\\xe", *at) == NULL) {
                return "after \\ a format takes one of n t r e 0 \\ xHH";
            }
            if (*at == 'x' && (hex_digit(at[1]) < 0 || hex_digit(at[2]) < 0)) {
                return "\\x takes two hexadecimal digits";
            }
        }
    }
    return NULL;
}

static void put(weir_bytes bytes, FILE *file, bool shown)
{
    if (bytes.len > 0 && shown) {
        weir_shown_print(file, bytes);
    } else if (bytes.len > 0) {
        fwrite(bytes.ptr, 1, bytes.len, file);
    }
}

static void put_value(weir_bytes value, FILE *file, bool shown)
{
    size_t done = 0;
    for (size_t i = 0; i < value.len && shown; i++) {
        if (value.ptr[i] == '\n' || value.ptr[i] == '\t') {
            put((weir_bytes){value.ptr + done, i - done}, file, true);
            fputc(value.ptr[i], file);
            done = i + 1;
        }
    }
    put((weir_bytes){value.ptr + done, value.len - done}, file, shown);
}

static void put_length(weir_bytes bytes, FILE *file)
{
    fprintf(file, "%lld", bytes.ptr == NULL ? -1LL : (long long)bytes.len);
}

static void put_headers(const weir_client_record *record, FILE *file, bool shown)
{
    for (uint32_t i = 0; i < record->header_count; i++) {
        if (i > 0) {
            fputc(',', file);
        }
        put(record->headers[i].name, file, shown);
        fputc('=', file);
        put(record->headers[i].value, file, shown);
    }
}

static void put_field(char field, const weir_client_record *record, FILE *file, bool shown)
{
    switch (field) {
    case 't':
        put(record->live ? record->name : record->topic, file, shown);
        break;
    case 'p':
        fprintf(file, "%lld", record->live ? -1LL : (long long)record->partition);
        break;
    case 'o':
        fprintf(file, "%lld", record->live ? -1LL : (long long)record->offset);
        break;
    case 'k':
        put(record->key, file, shown);
        break;
    case 'K':
        put_length(record->key, file);
        break;
    case 's':
        put_value(record->value, file, shown);
        break;
    case 'S':
        put_length(record->value, file);
        break;
    case 'h':
        put_headers(record, file, shown);
        break;
    case 'T':
        fprintf(file, "%" PRId64, record->time_ms);
        break;
    case 'n':
        put(record->name, file, shown);
        break;
    case 'r':
        fputc(record->retained ? '1' : '0', file);
        break;
    default:
        fputc('%', file);
        break;
    }
}

/* Prints the escape at `at` (behind the backslash) and returns its last character. */
static const char *put_escape(const char *at, FILE *file)
{
    static const char names[] = "ntr0\\e";
    static const char bytes[] = {'\n', '\t', '\r', '\0', '\\', '\033'};
    if (*at == 'x') {
        fputc(hex_digit(at[1]) * 16 + hex_digit(at[2]), file);
        return at + 2;
    }
    fputc(bytes[strchr(names, *at) - names], file);
    return at;
}

/* Asked once: nothing turns standard output into another thing. */
static bool is_terminal(FILE *file)
{
    static int answer = -1;
    if (file != stdout) {
        return isatty(fileno(file)) == 1;
    }
    answer = answer < 0 ? isatty(STDOUT_FILENO) == 1 : answer;
    return answer == 1;
}

void weir_format_print(const char *format, const weir_client_record *record, FILE *file)
{
    bool shown = is_terminal(file);
    for (const char *at = format; *at != '\0'; at++) {
        if (*at == '%') {
            put_field(*++at, record, file, shown);
        } else if (*at == '\\') {
            at = put_escape(at + 1, file);
        } else {
            fputc(*at, file);
        }
    }
}

static void json_bytes(const char *name, weir_bytes bytes, FILE *file)
{
    if (bytes.ptr == NULL) {
        fprintf(file, ",\"%s\":null", name);
    } else if (weir_text_is_utf8(bytes)) {
        fprintf(file, ",\"%s\":", name);
        weir_json_string(file, bytes);
    } else {
        fprintf(file, ",\"%s64\":\"", name);
        weir_base64(file, bytes);
        fputc('"', file);
    }
}

static void json_headers(const weir_client_record *record, FILE *file)
{
    fputs(",\"headers\":[", file);
    for (uint32_t i = 0; i < record->header_count; i++) {
        fputs(i == 0 ? "{\"name\":" : ",{\"name\":", file);
        weir_json_string(file, record->headers[i].name);
        json_bytes("value", record->headers[i].value, file);
        fputc('}', file);
    }
    fputc(']', file);
}

void weir_format_json(const weir_client_record *record, FILE *file)
{
    fputs("{\"name\":", file);
    weir_json_string(file, record->name);
    if (!record->live) {
        fputs(",\"topic\":", file);
        weir_json_string(file, record->topic);
        fprintf(file, ",\"partition\":%" PRIu32 ",\"offset\":%" PRId64, record->partition,
                record->offset);
        json_bytes("key", record->key, file);
    }
    json_bytes("value", record->value, file);
    fprintf(file, ",\"time_ms\":%" PRId64 ",\"live\":%s,\"retained\":%s", record->time_ms,
            record->live ? "true" : "false", record->retained ? "true" : "false");
    if (record->member != 0) {
        fprintf(file, ",\"leased\":%" PRIu32 ",\"failed\":%" PRIu32, record->leased,
                record->failed);
    }
    if (record->header_count > 0) {
        json_headers(record, file);
    }
    fputc('}', file);
}
