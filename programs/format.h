/* programs/format.h - how `weir sub` prints a record: kcat's format strings, plain values, JSON. */
#ifndef WEIR_PROGRAMS_FORMAT_H
#define WEIR_PROGRAMS_FORMAT_H

#include "weir/client.h"

#include <stdio.h>

/* NULL when the format is good; else one sentence that says what is wrong with it. */
const char *weir_format_check(const char *format);

/* Prints the record as `format` says (checked before). %t topic, %p partition, %o offset, %k key,
 * %K its bytes (-1: none), %s value, %S its bytes (-1: none), %h headers as k=v,k=v, %T time in
 * Unix milliseconds, %n the full name, %r 1 for a retained value, else 0, %% a percent sign; \n \t
 * \r \0 \\ \xHH. On a terminal what it would obey is shown as \xNN. A live record's topic is its full name, its partition and offset are -1. */
void weir_format_print(const char *format, const weir_client_record *record, FILE *file);

/* One JSON object, without a newline. Bytes that are not UTF-8 are given in base64 under "key64"
 * and "value64" instead. */
void weir_format_json(const weir_client_record *record, FILE *file);

#endif
