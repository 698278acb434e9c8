/* programs/say.c - how the program speaks: messages, faults, tables, JSON.
 *
 * Names, keys, headers and reasons come from whoever publishes and consumes, and go to a terminal, which
 * obeys control characters: [S1] nothing is printed here but by weir_shown's rule, or as JSON.
 *
 * A message is one line in one write, so that lines of several threads do not mix. Rows are
 * collected first, because a table's columns are as wide as their widest cell. Running out of
 * memory while printing ends the program with a message: nothing is held here that could be lost.
 */
#include "programs/say.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2048 };

/* ---- What is shown ----------------------------------------------------------------------------
 */

/* How many bytes the well-formed UTF-8 sequence at the front has; 0: ill-formed. */
static size_t utf8_sequence(weir_bytes bytes)
{
    uint8_t first = bytes.ptr[0];
    uint8_t least = 0x80;
    uint8_t most = 0xbf;
    size_t len;
    if (first < 0x80) {
        return 1;
    }
    len = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    if (len == 0 || len > bytes.len) {
        return 0;
    }
    least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80; /* no overlong form */
    most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf; /* no surrogate, none past the end */
    if (bytes.ptr[1] < least || bytes.ptr[1] > most) {
        return 0;
    }
    for (size_t i = 2; i < len; i++) {
        if (bytes.ptr[i] < 0x80 || bytes.ptr[i] > 0xbf) {
            return 0;
        }
    }
    return len;
}

static uint32_t code_point_of(const uint8_t *at, size_t len)
{
    uint32_t sum = len == 1 ? at[0] : at[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        sum = sum << 6 | (at[i] & 0x3f);
    }
    return sum;
}

/* Whether a terminal shows it as itself: it is no control, ends no line and turns no direction. */
static bool code_point_is_plain(uint32_t code)
{
    bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
    bool ends_line = code == 0x2028 || code == 0x2029;
    bool turns = code == 0x61c || code == 0x200e || code == 0x200f ||
                 (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
    return !control && !ends_line && !turns;
}

/* The next piece of what is shown: how many bytes it is of, and whether they stand as they are. */
static size_t piece_next(weir_bytes bytes, bool *plain)
{
    size_t len = utf8_sequence(bytes);
    *plain = len > 0 && code_point_is_plain(code_point_of(bytes.ptr, len));
    return len > 0 ? len : 1;
}

size_t weir_shown(weir_bytes bytes, char *out, size_t room)
{
    size_t written = 0;
    while (bytes.len > 0) {
        bool plain = false;
        size_t len = piece_next(bytes, &plain);
        if (written + (plain ? len : 4 * len) >= room) {
            break;
        }
        for (size_t i = 0; i < len; i++) {
            if (plain) {
                out[written++] = (char)bytes.ptr[i];
            } else {
                written += (size_t)snprintf(out + written, room - written, "\\x%02x", bytes.ptr[i]);
            }
        }
        bytes.ptr += len;
        bytes.len -= len;
    }
    out[written] = '\0';
    return written;
}

size_t weir_shown_print(FILE *file, weir_bytes bytes)
{
    size_t columns = 0;
    while (bytes.len > 0) {
        char text[17];  /* four bytes of \xNN */
        size_t run = 0; /* as it stands */
        bool plain = true;
        size_t len = 0;
        while (run < bytes.len && plain) {
            len = piece_next((weir_bytes){bytes.ptr + run, bytes.len - run}, &plain);
            run += plain ? len : 0;
        }
        fwrite(bytes.ptr, 1, run, file);
        bytes.ptr += run;
        bytes.len -= run;
        columns += run;
        if (!plain) {
            columns += weir_shown((weir_bytes){bytes.ptr, len}, text, sizeof(text));
            fputs(text, file);
            bytes.ptr += len;
            bytes.len -= len;
        }
    }
    return columns;
}

/* ---- Messages ---------------------------------------------------------------------------------
 */

void weir_say(const char *format, ...)
{
    char text[LINE_MAX_BYTES];
    char line[LINE_MAX_BYTES + 16] = "weir: ";
    size_t len = strlen(line);
    va_list list;
    va_start(list, format);
    int told = vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    if (told < 0) {
        return;
    }
    len += weir_shown(weir_bytes_of(text), line + len, LINE_MAX_BYTES);
    line[len++] = '\n';
    if (write(STDERR_FILENO, line, len) < 0) {
        return; /* nowhere left to complain to */
    }
}

static bool is_word(char at)
{
    return (at >= 'a' && at <= 'z') || (at >= 'A' && at <= 'Z') || (at >= '0' && at <= '9');
}

/* Whether the sentence names the file: as a word of its own. */
static bool names(const char *text, const char *file)
{
    size_t len = strlen(file);
    for (const char *at = strstr(text, file); at != NULL; at = strstr(at + 1, file)) {
        bool begins = at == text || !is_word(at[-1]) || !is_word(file[0]);
        if (begins && (!is_word(at[len]) || !is_word(file[len - 1]))) {
            return true;
        }
    }
    return false;
}

void weir_say_fault(const weir_fault *fault)
{
    const char *text = fault->text[0] != '\0' ? fault->text : weir_err_text(fault->err);
    const char *system = fault->os_errno != 0 ? strerror(fault->os_errno) : "";
    char why[128] = "";
    bool whole = text[0] != '\0' && text[strlen(text) - 1] == '.'; /* it says its reason itself */
    if (system[0] != '\0' && !whole && strstr(text, system) == NULL) {
        snprintf(why, sizeof(why), " (%s)", system);
    }
    if (fault->file[0] != '\0' && fault->line != 0) {
        weir_say("%s:%u:%u: %s%s", fault->file, fault->line, fault->column, text, why);
    } else if (fault->file[0] != '\0' && !names(text, fault->file)) {
        weir_say("%s: %s%s", fault->file, text, why);
    } else {
        weir_say("%s%s", text, why);
    }
}

weir_err weir_fault_fill(weir_fault *fault, weir_err err, const char *file, unsigned line,
                         unsigned column, const char *format, ...)
{
    va_list list;
    memset(fault, 0, sizeof(*fault));
    fault->err = err;
    fault->line = line;
    fault->column = column;
    if (file != NULL) {
        snprintf(fault->file, sizeof(fault->file), "%s", file);
    }
    va_start(list, format);
    vsnprintf(fault->text, sizeof(fault->text), format, list);
    va_end(list);
    return err;
}

weir_exit weir_exit_of(weir_err err)
{
    switch (err) {
    case WEIR_OK:
        return WEIR_EXIT_DONE;
    case WEIR_NOT_FOUND:
        return WEIR_EXIT_NOT_FOUND;
    case WEIR_TIMEOUT:
        return WEIR_EXIT_TIMEOUT;
    case WEIR_INVALID:
    case WEIR_NAME_INVALID:
    case WEIR_EXISTS:
    case WEIR_NESTED:
    case WEIR_LIMIT:
    case WEIR_QUEUE_FULL:
    case WEIR_TOO_LARGE:
    case WEIR_OFFSET_OUT_OF_RANGE:
    case WEIR_NOT_AUTHORIZED:
    case WEIR_NOT_OFFERED:
    case WEIR_DISK_FULL:
    case WEIR_READ_ONLY:
    case WEIR_LOCKED:
    case WEIR_FENCED:
        return WEIR_EXIT_REFUSED;
    default:
        return WEIR_EXIT_ERROR;
    }
}

bool weir_output_read(const weir_arguments *arguments, weir_output *output)
{
    const char *text = weir_arguments_text(arguments, "output");
    *output = weir_arguments_has(arguments, "json") ? WEIR_OUTPUT_JSON : WEIR_OUTPUT_TABLE;
    if (text == NULL || strcmp(text, "table") == 0) {
        return true;
    }
    if (strcmp(text, "json") == 0) {
        *output = WEIR_OUTPUT_JSON;
        return true;
    }
    if (strcmp(text, "ndjson") == 0) {
        *output = WEIR_OUTPUT_NDJSON;
        return true;
    }
    weir_say("--output takes table, json or ndjson, not \"%s\"", text);
    return false;
}

struct weir_rows {
    const char *const *columns;
    size_t column_count;
    char **cells; /* row after row; NULL: no value */
    size_t cell_count;
    size_t cell_room;
    bool *plain; /* of each row: its cells in columns marked '?' are JSON as they stand */
};

static void *must(void *memory)
{
    if (memory == NULL) {
        weir_say("memory ran out while the answer was being printed");
        exit(WEIR_EXIT_ERROR);
    }
    return memory;
}

weir_rows *weir_rows_create(const char *const *columns, size_t column_count)
{
    weir_rows *rows = must(calloc(1, sizeof(*rows)));
    rows->columns = columns;
    rows->column_count = column_count;
    return rows;
}

static void row_add(weir_rows *rows, const char *const *cells, bool plain)
{
    if (rows->cell_count + rows->column_count > rows->cell_room) {
        size_t room = rows->cell_room == 0 ? 16 * rows->column_count : 2 * rows->cell_room;
        rows->cells = must(reallocarray(rows->cells, room, sizeof(*rows->cells)));
        rows->plain =
            must(reallocarray(rows->plain, room / rows->column_count, sizeof(*rows->plain)));
        rows->cell_room = room;
    }
    rows->plain[rows->cell_count / rows->column_count] = plain;
    for (size_t i = 0; i < rows->column_count; i++) {
        rows->cells[rows->cell_count++] = cells[i] == NULL ? NULL : must(strdup(cells[i]));
    }
}

void weir_rows_add(weir_rows *rows, const char *const *cells)
{
    row_add(rows, cells, false);
}

void weir_rows_add_plain(weir_rows *rows, const char *const *cells)
{
    row_add(rows, cells, true);
}

void weir_rows_destroy(weir_rows *rows)
{
    if (rows == NULL) {
        return;
    }
    for (size_t i = 0; i < rows->cell_count; i++) {
        free(rows->cells[i]);
    }
    free(rows->cells);
    free(rows->plain);
    free(rows);
}

/* Whether the last byte of the column's name tells of its cells. */
static bool column_is_marked(const char *column)
{
    char last = column[strlen(column) - 1];
    return last == '#' || last == '?';
}

static int column_len(const char *column)
{
    return (int)(strlen(column) - (column_is_marked(column) ? 1 : 0));
}

static weir_bytes cell_of(const weir_rows *rows, size_t index)
{
    return weir_bytes_of(rows->cells[index] == NULL ? "" : rows->cells[index]);
}

/* Columns that weir_shown_print takes of it. */
static int shown_width(weir_bytes bytes)
{
    int width = 0;
    while (bytes.len > 0) {
        bool plain = false;
        size_t len = piece_next(bytes, &plain);
        width += (int)(plain ? len : 4 * len);
        bytes.ptr += len;
        bytes.len -= len;
    }
    return width;
}

static void table_print(const weir_rows *rows, FILE *file)
{
    size_t columns = rows->column_count;
    int *widths = must(calloc(columns, sizeof(*widths)));
    for (size_t i = 0; i < columns; i++) {
        widths[i] = column_len(rows->columns[i]);
    }
    for (size_t i = 0; i < rows->cell_count; i++) {
        int width = shown_width(cell_of(rows, i));
        widths[i % columns] = width > widths[i % columns] ? width : widths[i % columns];
    }
    for (size_t i = 0; i < columns; i++) {
        bool last = i + 1 == columns;
        fprintf(file, "%-*.*s%s", last ? 0 : widths[i], column_len(rows->columns[i]),
                rows->columns[i], last ? "\n" : "  ");
    }
    for (size_t i = 0; i < rows->cell_count; i++) {
        bool last = i % columns + 1 == columns;
        int width = (int)weir_shown_print(file, cell_of(rows, i));
        fprintf(file, "%*s%s", last ? 0 : widths[i % columns] - width, "", last ? "\n" : "  ");
    }
    free(widths);
}

static bool cell_is_plain(const weir_rows *rows, size_t row, const char *column)
{
    char last = column[strlen(column) - 1];
    return last == '#' || (last == '?' && rows->plain[row]);
}

static void object_print(const weir_rows *rows, size_t row, FILE *file)
{
    for (size_t i = 0; i < rows->column_count; i++) {
        const char *cell = rows->cells[row * rows->column_count + i];
        fprintf(file, "%s\"%.*s\":", i == 0 ? "{" : ",", column_len(rows->columns[i]),
                rows->columns[i]);
        if (cell == NULL) {
            fputs("null", file);
        } else if (cell_is_plain(rows, row, rows->columns[i])) {
            fputs(cell, file);
        } else {
            weir_json_string(file, weir_bytes_of(cell));
        }
    }
    fputs("}", file);
}

void weir_rows_print(const weir_rows *rows, weir_output output, FILE *file)
{
    size_t count = rows->cell_count / rows->column_count;
    if (output == WEIR_OUTPUT_TABLE) {
        table_print(rows, file);
        return;
    }
    if (output == WEIR_OUTPUT_JSON) {
        fputs("[", file);
    }
    for (size_t row = 0; row < count; row++) {
        if (output == WEIR_OUTPUT_JSON) {
            fputs(row == 0 ? "\n " : ",\n ", file);
        }
        object_print(rows, row, file);
        if (output == WEIR_OUTPUT_NDJSON) {
            fputs("\n", file);
        }
    }
    if (output == WEIR_OUTPUT_JSON) {
        fputs(count == 0 ? "]\n" : "\n]\n", file);
    }
}

bool weir_text_is_utf8(weir_bytes bytes)
{
    while (bytes.len > 0) {
        size_t len = utf8_sequence(bytes);
        if (len == 0) {
            return false;
        }
        bytes.ptr += len;
        bytes.len -= len;
    }
    return true;
}

static void json_character(FILE *file, uint8_t byte)
{
    if (byte == '"' || byte == '\\') {
        fprintf(file, "\\%c", byte);
    } else if (byte == '\n') {
        fputs("\\n", file);
    } else if (byte < 0x20 || byte == 0x7f) {
        fprintf(file, "\\u%04x", byte);
    } else {
        fputc(byte, file);
    }
}

void weir_json_string(FILE *file, weir_bytes bytes)
{
    fputc('"', file);
    while (bytes.len > 0) {
        size_t len = utf8_sequence(bytes);
        if (len == 0) {
            fputs("\\ufffd", file);
            len = 1;
        } else if (len == 2 && bytes.ptr[0] == 0xc2 && bytes.ptr[1] < 0xa0) {
            fprintf(file, "\\u%04x", bytes.ptr[1]); /* a terminal may obey these too */
        } else if (len == 1) {
            json_character(file, bytes.ptr[0]);
        } else {
            fwrite(bytes.ptr, 1, len, file);
        }
        bytes.ptr += len;
        bytes.len -= len;
    }
    fputc('"', file);
}

void weir_base64(FILE *file, weir_bytes bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t group = (uint32_t)bytes.ptr[i] << 16;
        group |= left > 1 ? (uint32_t)bytes.ptr[i + 1] << 8 : 0;
        group |= left > 2 ? (uint32_t)bytes.ptr[i + 2] : 0;
        fputc(digits[group >> 18], file);
        fputc(digits[group >> 12 & 63], file);
        fputc(left > 1 ? digits[group >> 6 & 63] : '=', file);
        fputc(left > 2 ? digits[group & 63] : '=', file);
    }
}
