/* tests/interop/record_print.h - a record as one line on standard output, for comparison with what another
 * implementation reads: offset, time, key, value, headers. */
#ifndef WEIR_TESTS_INTEROP_RECORD_PRINT_H
#define WEIR_TESTS_INTEROP_RECORD_PRINT_H

#include "core/batch/batch.h"

#include <inttypes.h>
#include <stdio.h>

static inline void bytes_print(weir_bytes in)
{
    (void)fputs(in.ptr == NULL ? "-" : "'", stdout);
    for (size_t i = 0; i < in.len; i++) {
        (void)printf("%02x", in.ptr[i]);
    }
}

static inline void record_print(weir_record record)
{
    weir_header header;
    (void)printf("%" PRId64 " %" PRId64 " ", record.offset, record.timestamp_ms);
    bytes_print(record.key);
    (void)putchar(' ');
    bytes_print(record.value);
    while (weir_headers_next(&record.headers, &header)) {
        (void)putchar(' ');
        bytes_print(header.name);
        (void)putchar('=');
        bytes_print(header.value);
    }
    (void)putchar('\n');
}

#endif
