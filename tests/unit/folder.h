/* tests/unit/folder.h - a folder for a test that makes and syncs thousands of files: in memory where there is room,
 * since it would do nothing but wait for the disk. */
#ifndef WEIR_TESTS_UNIT_FOLDER_H
#define WEIR_TESTS_UNIT_FOLDER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include <cmocka.h>

enum { FOLDER_MEMORY_BYTES_LEAST = 1 << 30 };

static inline void unit_folder_make(char *path, size_t size, const char *name)
{
    struct statvfs at;
    bool room = statvfs("/dev/shm", &at) == 0 &&
                (uint64_t)at.f_bavail * at.f_frsize >= FOLDER_MEMORY_BYTES_LEAST;
    (void)snprintf(path, size, "%s/weir-%s-XXXXXX", room ? "/dev/shm" : "/tmp", name);
    if (mkdtemp(path) == NULL) {
        (void)snprintf(path, size, "/tmp/weir-%s-XXXXXX", name);
        assert_non_null(mkdtemp(path));
    }
}

#endif
