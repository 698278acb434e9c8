/* programs/when.c - reads times as people write them on a command line. */
#include "programs/when.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MILLISECONDS_FROM = 100000000 }; /* times 1,000: larger numbers are milliseconds */

bool weir_time_read(const char *text, int64_t *time_ms)
{
    struct tm parts = {0};
    char *end = NULL;
    double number;
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
    if (rest != NULL && (rest[0] == '\0' || (rest[0] == 'Z' && rest[1] == '\0'))) {
        *time_ms = (int64_t)timegm(&parts) * 1000;
        return true;
    }
    errno = 0;
    number = strtod(text, &end);
    if (errno != 0 || end == text || *end != '\0' || !(number >= 0) || number > 1e15) {
        return false;
    }
    *time_ms = (int64_t)(number >= 1e3 * MILLISECONDS_FROM ? number : number * 1000);
    return true;
}
