/* programs/say.h - what the program tells a person: one line to standard error, or a table or JSON
 * to standard output. Main thread only, but for weir_say. */
#ifndef WEIR_PROGRAMS_SAY_H
#define WEIR_PROGRAMS_SAY_H

#include "weir/base.h"

#include "programs/commands.h"

#include <stdio.h>

/* What a terminal would obey, or be misled by, is shown and not sent: control characters, line ends,
 * marks of direction and what is no UTF-8 stand as \xNN, byte for byte; all else as it is. Names, keys,
 * headers and reasons are shown so in every table and every sentence.
 *
 * Writes `bytes` so into `out`, with a NUL behind it, as much as fits in `room` (1 and more), no
 * character cut in two. Returns its length. */
size_t weir_shown(weir_bytes bytes, char *out, size_t room);
/* Prints `bytes` so; returns how many columns that took, one a byte. */
size_t weir_shown_print(FILE *file, weir_bytes bytes);

/* "weir: " and one line to standard error, in one write, with what is in it shown as above. Any thread. */
void weir_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The fault as one line: where (file, line, column), then the sentence. */
void weir_say_fault(const weir_fault *fault);

/* The exit code that fits an error of the engine or of a gateway. */
weir_exit weir_exit_of(weir_err err);

/* Fills a fault. `file` may be NULL; line and column 0 are unknown. Returns err. */
weir_err weir_fault_fill(weir_fault *fault, weir_err err, const char *file, unsigned line,
                         unsigned column, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

typedef enum weir_output { WEIR_OUTPUT_TABLE, WEIR_OUTPUT_JSON, WEIR_OUTPUT_NDJSON } weir_output;

/* What -o and --json ask for. False, with the sentence printed, for an unknown form. */
bool weir_output_read(const weir_arguments *arguments, weir_output *output);

/* Rows of text, printed as an aligned table, as one JSON array of objects, or one object a line. A
 * table's cells are shown as weir_shown has it.
 * Cells of columns whose name ends with '#' in `columns` are printed as they stand in JSON
 * (numbers, true, false, null), those of columns with a '?' in rows that were added as plain; the
 * mark is not shown. Cells are copied. */
typedef struct weir_rows weir_rows;
weir_rows *weir_rows_create(const char *const *columns, size_t column_count);
/* Adds a row of column_count cells; NULL is an empty cell, or null in JSON. */
void weir_rows_add(weir_rows *rows, const char *const *cells);
void weir_rows_add_plain(weir_rows *rows, const char *const *cells);
void weir_rows_print(const weir_rows *rows, weir_output output, FILE *file);
void weir_rows_destroy(weir_rows *rows);

/* Writes bytes as a JSON string with its quotes; control characters are escaped, those above ASCII too.
 * What is not well-formed UTF-8 becomes U+FFFD. */
void weir_json_string(FILE *file, weir_bytes bytes);
/* True when the bytes are well-formed UTF-8. */
bool weir_text_is_utf8(weir_bytes bytes);
/* Writes bytes as base64, without quotes. */
void weir_base64(FILE *file, weir_bytes bytes);

#endif
