/* bench/limits/file.c - what the disk allows: syncs of small appends, sequential writes.
 *
 *   sync:    pwrite payload_bytes at the next place of a file of fixed size, fdatasync; timed
 *   write:   pwrite through the page cache into a fresh file, one fdatasync at its end, again
 *   direct:  the same with O_DIRECT, which needs no sync for its bytes to be out of memory
 *
 * A file of fixed size was written with zeros before: a sync then is no change of the file system's
 * own records. */
#include "bench/limits/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SYNC_FILE_BYTES = 64 * 1024 * 1024, WRITE_FILE_BYTES = 512 * 1024 * 1024, ALIGNED = 4096 };

static uint8_t *bytes_make(size_t len)
{
    void *bytes = NULL;
    if (posix_memalign(&bytes, ALIGNED, len) != 0) {
        return NULL;
    }
    memset(bytes, 'w', len);
    return bytes;
}

void limit_sync(limit_run *run)
{
    size_t len = run->work->payload_bytes;
    uint8_t *bytes = bytes_make(len);
    int file = limit_file(run, 0, SYNC_FILE_BYTES);
    off_t at = 0;
    uint64_t now_ns = weir_now_ns();
    run->measure_from_ns = now_ns + run->work->warm_up_ms * NS_PER_MS;
    while (bytes != NULL && file >= 0 && limit_goes_on(run, now_ns)) {
        uint64_t begin_ns = weir_now_ns();
        if (pwrite(file, bytes, len, at) != (ssize_t)len || fdatasync(file) != 0) {
            (void)limit_fail(run, WEIR_IO, "fdatasync");
            break;
        }
        now_ns = weir_now_ns();
        if (run->measuring) {
            run->result->measured++;
            weir_histogram_add(&run->latency, now_ns - begin_ns);
        }
        at = at + 2 * (off_t)len > SYNC_FILE_BYTES ? 0 : at + (off_t)len;
    }
    if (bytes == NULL || file < 0) {
        (void)limit_fail(run, WEIR_IO, "a file to sync");
    }
    run->result->sent = run->result->measured;
    run->result->delivered = run->result->measured;
    free(bytes);
    if (file >= 0) {
        close(file);
    }
}

/* One file written from its beginning to its end. Counts what was written in the measured time. */
static bool file_write(limit_run *run, const uint8_t *bytes, bool direct)
{
    size_t len = run->work->payload_bytes;
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | (direct ? O_DIRECT : 0);
    int file = open(run->path, flags, 0600);
    bool goes_on = true;
    for (uint64_t at = 0; file >= 0 && goes_on && at + len <= WRITE_FILE_BYTES; at += len) {
        if (pwrite(file, bytes, len, (off_t)at) != (ssize_t)len) {
            (void)limit_fail(run, WEIR_IO, "write");
            break;
        }
        run->result->measured += run->measuring ? 1 : 0;
        if (at + 2 * len > WRITE_FILE_BYTES && !direct && fdatasync(file) != 0) {
            (void)limit_fail(run, WEIR_IO, "fdatasync");
        }
        goes_on = limit_goes_on(run, weir_now_ns());
    }
    if (file < 0) {
        (void)limit_fail(run, WEIR_IO, "open");
    } else {
        close(file);
    }
    return goes_on && run->result->err == WEIR_OK;
}

void limit_write(limit_run *run, bool direct)
{
    uint8_t *bytes = bytes_make(run->work->payload_bytes);
    if (bytes == NULL || (direct && run->work->payload_bytes % ALIGNED != 0)) {
        errno = EINVAL;
        (void)limit_fail(run, WEIR_INVALID, "the size of a write");
    } else {
        while (file_write(run, bytes, direct)) {
        }
    }
    run->result->sent = run->result->measured;
    run->result->delivered = run->result->measured;
    free(bytes);
}
