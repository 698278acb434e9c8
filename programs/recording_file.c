/* programs/recording_file.c - records from a file of JSON objects, one a line.
 *
 *   as `weir sub -o ndjson` prints      {"name":..,"topic":..,"key":..|"key64":..,"value":..|"value64":..,
 *                                        "time_ms":..,"headers":[{"name":..,"value":..}]}
 *   anything else, with a template      the line is the value; "site/{device}/{a.b}" takes its name
 *                                       from members, --time-field its time
 *
 * Happy path: read a line, parse it, point into what was parsed; that lives until the next line. Empty
 * lines are passed over. Failures: a line that is no object, that lacks a member the template or the
 * time field names, or whose member has a wrong form: file, line and what was wanted.
 *
 * [J1] A line longer than LINE_BYTES_MAX is refused before it could grow memory. */
#include "programs/recording.h"
#include "programs/say.h"

#include <jansson.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LINE_BYTES_MAX = 64 << 20, /* above any record_bytes_max in base64 */
    READ_BYTES = 256 << 10,
    NAME_BYTES_MAX = 65535,
    HEADERS_MAX = 1000,
    FIELD_BYTES_MAX = 256,
};

typedef struct file_recording {
    weir_recording base;
    weir_recording_file file;
    bool as_value; /* the line is the value */
    bool decided;  /* by the first line */
    int fd;
    bool seekable;
    uint64_t size; /* of the file; 0: unknown */
    uint64_t used; /* bytes of lines given */
    unsigned line;
    uint8_t *bytes; /* what was read */
    size_t room;
    size_t begin; /* of what is still to be given */
    size_t end;
    json_t *object;   /* the newest line's */
    uint8_t *decoded; /* from base64, one span behind the other */
    size_t decoded_len;
    weir_header headers[HEADERS_MAX];
    char name[NAME_BYTES_MAX + 1];
    weir_recorded record;
} file_recording;

static weir_err line_fault(const file_recording *own, weir_err err, weir_fault *fault,
                           const char *sentence, const char *what)
{
    return weir_fault_fill(fault, err, own->file.path, own->line, 1, "%s%.200s", sentence, what);
}

/* ---- Lines -------------------------------------------------------------------------------------
 */

/* Reads more behind what is there. EMPTY: the file is at its end. */
static weir_err bytes_read(file_recording *own, weir_fault *fault)
{
    if (own->begin > 0) {
        memmove(own->bytes, own->bytes + own->begin, own->end - own->begin);
        own->end -= own->begin;
        own->begin = 0;
    }
    if (own->room - own->end < READ_BYTES) {
        size_t room = own->room == 0 ? 2 * (size_t)READ_BYTES : 2 * own->room;
        uint8_t *grown = own->end > LINE_BYTES_MAX ? NULL : realloc(own->bytes, room); /* [J1] */
        if (grown == NULL) {
            own->line++;
            return line_fault(own, WEIR_TOO_LARGE, fault, "the line is too long", "");
        }
        own->bytes = grown;
        own->room = room;
    }
    ssize_t got = read(own->fd, own->bytes + own->end, READ_BYTES);
    if (got < 0 && errno == EINTR) {
        return WEIR_AGAIN; /* whoever was interrupted decides */
    }
    if (got < 0) {
        weir_err err = weir_fault_fill(fault, WEIR_IO, own->file.path, 0, 0, "cannot be read");
        fault->os_errno = errno;
        return err;
    }
    own->end += (size_t)got;
    return got == 0 ? WEIR_EMPTY : WEIR_OK;
}

static weir_err line_take(file_recording *own, weir_bytes *line, weir_fault *fault)
{
    size_t looked = 0;
    for (;;) {
        const uint8_t *first = own->bytes + own->begin;
        size_t len = own->end - own->begin;
        const uint8_t *newline = len > looked ? memchr(first + looked, '\n', len - looked) : NULL;
        weir_err err = WEIR_OK;
        if (newline == NULL) {
            looked = len;
            err = bytes_read(own, fault);
        }
        if (err == WEIR_OK && newline == NULL) {
            continue;
        }
        if (err != WEIR_OK && (err != WEIR_EMPTY || len == 0)) {
            return err;
        }
        first =
            own->bytes + own->begin; /* at the end of the file a last line may lack its newline */
        line->ptr = first;
        line->len = newline != NULL ? (size_t)(newline - first) : len;
        own->begin += newline != NULL ? line->len + 1 : len;
        own->used += newline != NULL ? line->len + 1 : len;
        own->line++;
        return WEIR_OK;
    }
}

/* ---- Members -----------------------------------------------------------------------------------
 */

/* The member called `field`, or, where a dot divides it, a member's member. */
static const json_t *member_find(const json_t *object, const char *field)
{
    const json_t *found = json_object_get(object, field);
    char word[FIELD_BYTES_MAX];
    while (found == NULL && object != NULL) {
        size_t len = strcspn(field, ".");
        if (len == 0 || len >= sizeof(word)) {
            return NULL;
        }
        memcpy(word, field, len);
        word[len] = '\0';
        object = json_object_get(object, word);
        if (field[len] == '\0') {
            return object;
        }
        field += len + 1;
    }
    return found;
}

static bool time_of(const json_t *node, int64_t *time_ms)
{
    return json_is_number(node)   ? weir_time_of_number(json_number_value(node), time_ms)
           : json_is_string(node) ? weir_time_read(json_string_value(node), time_ms)
                                  : false;
}

/* A member as a piece of a name; false when it is no text, number or truth value, or has no room. */
static bool piece_put(const json_t *node, char *at, size_t room, size_t *len)
{
    int written = -1;
    if (json_is_string(node)) {
        written = snprintf(at, room, "%s", json_string_value(node));
    } else if (json_is_integer(node)) {
        written = snprintf(at, room, "%lld", (long long)json_integer_value(node));
    } else if (json_is_real(node)) {
        written = snprintf(at, room, "%.17g", json_real_value(node));
    } else if (json_is_boolean(node)) {
        written = snprintf(at, room, "%s", json_is_true(node) ? "true" : "false");
    }
    *len = (size_t)written;
    return written >= 0 && (size_t)written < room;
}

static weir_err name_make(file_recording *own, weir_fault *fault)
{
    const char *at = own->file.name_template;
    size_t used = 0;
    while (*at != '\0' && used < NAME_BYTES_MAX) {
        char field[FIELD_BYTES_MAX];
        size_t len = *at == '{' ? strcspn(at, "}") - 1 : 0;
        if (*at != '{') {
            own->name[used++] = *at++;
            continue;
        }
        memcpy(field, at + 1, len); /* template_check measured it */
        field[len] = '\0';
        if (!piece_put(member_find(own->object, field), own->name + used, sizeof(own->name) - used,
                       &len)) {
            return line_fault(own, WEIR_MALFORMED, fault,
                              "no text or number for the name is in member ", field);
        }
        used += len;
        at = strchr(at, '}') + 1;
    }
    own->record.name = (weir_bytes){(const uint8_t *)own->name, used};
    return *at == '\0' ? WEIR_OK
                       : line_fault(own, WEIR_TOO_LARGE, fault, "the name gets too long", "");
}

static weir_err time_take(file_recording *own, const char *field, weir_fault *fault)
{
    const json_t *node = member_find(own->object, field);
    if (!time_of(node, &own->record.time_ms)) {
        return line_fault(own, WEIR_MALFORMED, fault,
                          "no time (Unix seconds or milliseconds, or 2026-01-31T12:00:00) is in "
                          "member ",
                          field);
    }
    own->record.timed = true;
    return WEIR_OK;
}

/* ---- A line as `weir sub` prints it ------------------------------------------------------------
 */

static int base64_digit(char digit)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = digit == '\0' ? NULL : strchr(digits, digit);
    return at == NULL ? -1 : (int)(at - digits);
}

/* Appends what `text` means to the decoded bytes; their memory holds a whole line's. */
static bool base64_take(file_recording *own, const char *text, size_t len, weir_bytes *out)
{
    uint8_t *at = own->decoded + own->decoded_len;
    uint32_t group = 0;
    unsigned bits = 0;
    *out = (weir_bytes){at, 0};
    while (len > 0 && text[len - 1] == '=') {
        len--;
    }
    for (size_t i = 0; i < len; i++) {
        int digit = base64_digit(text[i]);
        if (digit < 0) {
            return false;
        }
        group = group << 6 | (uint32_t)digit;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            at[out->len++] = (uint8_t)(group >> bits);
        }
    }
    own->decoded_len += out->len;
    return len % 4 != 1;
}

static weir_bytes text_of(const json_t *node)
{
    return (weir_bytes){(const uint8_t *)json_string_value(node), json_string_length(node)};
}

/* Bytes of `object` under `text`, or in base64 under `base64`; null and absent are null. */
static bool bytes_take(file_recording *own, const json_t *object, const char *text,
                       const char *base64, weir_bytes *out)
{
    const json_t *node = json_object_get(object, text);
    const json_t *encoded = json_object_get(object, base64);
    *out = WEIR_BYTES_NULL;
    if (json_is_string(node)) {
        *out = text_of(node);
        return true;
    }
    if (json_is_string(encoded)) {
        return base64_take(own, json_string_value(encoded), json_string_length(encoded), out);
    }
    return (node == NULL || json_is_null(node)) && encoded == NULL;
}

static bool headers_take(file_recording *own)
{
    const json_t *list = json_object_get(own->object, "headers");
    size_t count = json_array_size(list);
    if ((list != NULL && !json_is_array(list)) || count > HEADERS_MAX) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *header = json_array_get(list, i);
        const json_t *name = json_object_get(header, "name");
        if (!json_is_string(name) ||
            !bytes_take(own, header, "value", "value64", &own->headers[i].value)) {
            return false;
        }
        own->headers[i].name = text_of(name);
    }
    own->record.header_count = (uint32_t)count;
    return true;
}

static weir_err record_take(file_recording *own, weir_fault *fault)
{
    weir_recorded *record = &own->record;
    const json_t *name = json_object_get(own->object, "name");
    const json_t *topic = json_object_get(own->object, "topic");
    const json_t *offset = json_object_get(own->object, "offset");
    if (!json_is_string(name)) {
        return line_fault(own, WEIR_MALFORMED, fault,
                          "this is no record as `weir sub -o ndjson` prints it: say with "
                          "--name-template or --into where each line is to go",
                          "");
    }
    record->name = text_of(name);
    record->topic = json_is_string(topic) ? text_of(topic) : WEIR_BYTES_NULL;
    record->placed = json_is_integer(offset);
    record->offset = json_integer_value(offset);
    record->partition = (uint32_t)json_integer_value(json_object_get(own->object, "partition"));
    if (!bytes_take(own, own->object, "key", "key64", &record->key) ||
        !bytes_take(own, own->object, "value", "value64", &record->value) || !headers_take(own)) {
        return line_fault(own, WEIR_MALFORMED, fault,
                          "key, value and headers are to be as `weir sub -o ndjson` prints them",
                          "");
    }
    return json_object_get(own->object, "time_ms") == NULL ? WEIR_OK
                                                           : time_take(own, "time_ms", fault);
}

/* ---- The recording -----------------------------------------------------------------------------
 */

/* Whether it looks as `weir sub -o ndjson` prints records. */
static bool is_record(const json_t *object)
{
    return json_is_string(json_object_get(object, "name")) &&
           json_object_get(object, "time_ms") != NULL &&
           (json_object_get(object, "value") != NULL || json_object_get(object, "value64") != NULL);
}

static weir_err line_decode(file_recording *own, weir_bytes line, weir_fault *fault)
{
    json_decref(own->object);
    own->record = (weir_recorded){.headers = own->headers};
    own->decoded_len = 0;
    own->object = json_loadb((const char *)line.ptr, line.len, JSON_ALLOW_NUL, NULL);
    if (!json_is_object(own->object)) {
        return line_fault(own, WEIR_MALFORMED, fault, "this is no JSON object", "");
    }
    if (!own->decided) {
        own->decided = true;
        own->as_value |= own->file.values && !is_record(own->object);
    }
    if (!own->as_value) {
        uint8_t *room = realloc(own->decoded, line.len + 1);
        if (room == NULL) {
            return line_fault(own, WEIR_NO_MEMORY, fault, "memory ran out", "");
        }
        own->decoded = room;
        return record_take(own, fault);
    }
    own->record.value = line;
    weir_err err = own->file.name_template == NULL ? WEIR_OK : name_make(own, fault);
    return err == WEIR_OK && own->file.time_field != NULL
               ? time_take(own, own->file.time_field, fault)
               : err;
}

static bool is_blank(weir_bytes line)
{
    while (line.len > 0 && strchr(" \t\r", line.ptr[line.len - 1]) != NULL) {
        line.len--;
    }
    return line.len == 0;
}

static weir_err file_next(weir_recording *recording, const weir_recorded **record,
                          weir_fault *fault)
{
    file_recording *own = (file_recording *)recording;
    weir_bytes line = WEIR_BYTES_NULL;
    weir_err err;
    do {
        err = line_take(own, &line, fault);
    } while (err == WEIR_OK && is_blank(line));
    err = err != WEIR_OK ? err : line_decode(own, line, fault);
    if (err == WEIR_OK) {
        *record = &own->record;
    }
    return err;
}

static weir_err file_rewind(weir_recording *recording, weir_fault *fault)
{
    file_recording *own = (file_recording *)recording;
    if (lseek(own->fd, 0, SEEK_SET) != 0) {
        return weir_fault_fill(fault, WEIR_INVALID, own->file.path, 0, 0,
                               "can be read only once: --loop needs a file");
    }
    own->begin = 0;
    own->end = 0;
    own->used = 0;
    own->line = 0;
    return WEIR_OK;
}

static double file_share(const weir_recording *recording)
{
    const file_recording *own = (const file_recording *)recording;
    return own->size == 0 ? -1 : (double)own->used / (double)own->size;
}

static void file_resume(const weir_recording *recording, uint64_t count, char text[WEIR_RESUME_MAX])
{
    (void)recording;
    snprintf(text, WEIR_RESUME_MAX, "--skip %llu", (unsigned long long)count);
}

static void file_close(weir_recording *recording)
{
    file_recording *own = (file_recording *)recording;
    if (own->fd > STDIN_FILENO) {
        close(own->fd);
    }
    json_decref(own->object);
    free(own->bytes);
    free(own->decoded);
    free(own);
}

static const weir_recording_ops file_ops = {file_next, file_rewind, file_share, file_resume,
                                            file_close};

/* NULL when every { has its } with a member's name between; else what is wrong. */
static const char *template_check(const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '{') {
            size_t len = strcspn(at, "}");
            if (at[len] == '\0' || len < 2 || len > FIELD_BYTES_MAX) {
                return "--name-template takes a name with {MEMBER} in it, like site/{device}/temp";
            }
            at += len;
        }
    }
    return text[0] == '\0' ? "--name-template takes a name, like site/{device}/temp" : NULL;
}

weir_err weir_recording_of_file(const weir_recording_file *file, weir_recording **recording,
                                weir_fault *fault)
{
    const char *wrong = file->name_template == NULL ? NULL : template_check(file->name_template);
    bool standard = strcmp(file->path, "-") == 0;
    struct stat status;
    if (wrong != NULL) {
        return weir_fault_fill(fault, WEIR_INVALID, NULL, 0, 0, "%s", wrong);
    }
    file_recording *own = calloc(1, sizeof(*own));
    if (own == NULL) {
        return weir_fault_fill(fault, WEIR_NO_MEMORY, NULL, 0, 0, "memory ran out");
    }
    own->base.ops = &file_ops;
    own->file = *file;
    own->as_value = file->name_template != NULL || file->time_field != NULL;
    own->fd = standard ? STDIN_FILENO : open(file->path, O_RDONLY | O_CLOEXEC);
    bool good = own->fd >= 0 && fstat(own->fd, &status) == 0 && !S_ISDIR(status.st_mode);
    if (!good) {
        weir_err err = weir_fault_fill(fault, WEIR_NOT_FOUND, file->path, 0, 0, "cannot be read");
        fault->os_errno = own->fd < 0 ? errno : EISDIR;
        file_close(&own->base);
        return err;
    }
    own->seekable = S_ISREG(status.st_mode);
    own->size = own->seekable ? (uint64_t)status.st_size : 0;
    *recording = &own->base;
    return WEIR_OK;
}
