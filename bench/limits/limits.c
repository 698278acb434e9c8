/* bench/limits/limits.c - which limit is measured, and what all of them need: a child, a file, a
 * measured time.
 *
 *   warm-up | measured | end      the same two readings of usage as every generator takes
 *
 * Failures: a child that ends, or a file that cannot be written, ends the run with a sentence. */
#include "bench/limits/private.h"

#include "bench/process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { END_MS = 100 };

weir_err limit_fail(limit_run *run, weir_err err, const char *what)
{
    if (run->result->err == WEIR_OK) {
        run->result->err = err;
        snprintf(run->result->text, sizeof(run->result->text), "%s: %s", what,
                 errno != 0 ? strerror(errno) : weir_err_text(err));
    }
    return err;
}

bool limit_goes_on(limit_run *run, uint64_t now_ns)
{
    if (!run->measuring && !run->over && now_ns >= run->measure_from_ns) {
        run->begin = weir_meter_read(run->pid);
        run->measuring = true;
        run->measure_to_ns = run->begin.at_ns + run->work->measure_ms * NS_PER_MS;
    } else if (run->measuring && now_ns >= run->measure_to_ns) {
        weir_meter end = weir_meter_read(run->pid);
        weir_meter_tell(&run->begin, &end, run->result);
        run->measuring = false;
        run->over = true;
    }
    return !run->over;
}

int limit_file(limit_run *run, int flags, uint64_t bytes)
{
    uint8_t *zeros = calloc(1, LIMIT_READ_BYTES);
    int fd = open(run->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (uint64_t at = 0; zeros != NULL && fd >= 0 && at < bytes; at += LIMIT_READ_BYTES) {
        if (pwrite(fd, zeros, LIMIT_READ_BYTES, (off_t)at) != LIMIT_READ_BYTES) {
            close(fd);
            fd = -1;
        }
    }
    free(zeros);
    if (fd >= 0 && fsync(fd) != 0) {
        close(fd);
        fd = -1;
    }
    if (fd >= 0 && flags != 0) {
        close(fd);
        fd = open(run->path, O_RDWR | O_CLOEXEC | flags);
    }
    return fd;
}

/* ---- The child ---------------------------------------------------------------------------------
 */

typedef struct child_start {
    limit_run *run;
    int listener;
    int (*serve)(limit_run *run, int fd);
} child_start;

static int child_body(void *arg)
{
    const child_start *start = arg;
    const int one = 1;
    int fd = accept4(start->listener, NULL, NULL, SOCK_CLOEXEC);
    close(start->listener);
    if (fd < 0) {
        return 1;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return start->serve(start->run, fd);
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    const int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0 && (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0 ||
                    connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

weir_err limit_serve(limit_run *run, int (*serve)(limit_run *run, int fd))
{
    child_start start = {.run = run, .serve = serve};
    uint16_t port = 0;
    weir_err err = weir_bench_listener(&start.listener, &port);
    if (err != WEIR_OK) {
        return limit_fail(run, err, "no listener");
    }
    (void)fcntl(start.listener, F_SETFL, 0);
    err = weir_process_fork(child_body, &start, &run->pid);
    close(start.listener);
    if (err != WEIR_OK) {
        return limit_fail(run, err, "no child");
    }
    run->fd = connect_to(port);
    run->measure_from_ns = weir_now_ns() + run->work->warm_up_ms * NS_PER_MS;
    return run->fd >= 0 ? WEIR_OK : limit_fail(run, WEIR_IO, "connect");
}

/* ---- The door ----------------------------------------------------------------------------------
 */

static void run_mode(limit_run *run)
{
    const char *mode = run->target->mode;
    weir_bench_kind kind = run->work->kind;
    if (strcmp(mode, "ingest") == 0 && kind == WEIR_BENCH_STREAM) {
        limit_log(run, false);
    } else if ((strcmp(mode, "ingest-sync") == 0 && kind == WEIR_BENCH_STREAM) ||
               (strcmp(mode, "synced") == 0 && kind == WEIR_BENCH_SINGLE)) {
        limit_log(run, true);
    } else if (strcmp(mode, "sendfile") == 0 && kind == WEIR_BENCH_CATCH_UP) {
        limit_sendfile(run);
    } else if (strcmp(mode, "tcp") == 0 && kind == WEIR_BENCH_LIBRARY) {
        limit_tcp(run);
    } else if (strcmp(mode, "sync") == 0 && kind == WEIR_BENCH_SINGLE) {
        limit_sync(run);
    } else if (strcmp(mode, "write") == 0 && kind == WEIR_BENCH_STREAM) {
        limit_write(run, false);
    } else if (strcmp(mode, "write-direct") == 0 && kind == WEIR_BENCH_STREAM) {
        limit_write(run, true);
    } else {
        errno = 0;
        (void)limit_fail(run, WEIR_INVALID, "there is no such limit");
    }
}

void weir_limits_drive(const weir_bench_workload *workload, const weir_bench_target *target,
                       weir_bench_result *result)
{
    limit_run *run = calloc(1, sizeof(*run));
    *result = (weir_bench_result){.err = run == NULL ? WEIR_NO_MEMORY : WEIR_OK};
    if (run == NULL) {
        return;
    }
    *run = (limit_run){.work = workload, .target = target, .result = result, .fd = -1};
    run->measure_from_ns = weir_now_ns() + workload->warm_up_ms * NS_PER_MS;
    snprintf(run->path, sizeof(run->path), "%s/limit", target->folder);
    if (workload->payload_bytes < WEIR_BENCH_PAYLOAD_BYTES_MIN) {
        errno = 0;
        (void)limit_fail(run, WEIR_INVALID, "the payload is too small");
    } else {
        run_mode(run);
    }
    if (run->fd >= 0) {
        close(run->fd);
    }
    if (run->pid > 0) {
        weir_process_end(run->pid, END_MS);
    }
    (void)unlink(run->path);
    result->latency_p50_ns = weir_histogram_quantile(&run->latency, 500000);
    result->latency_p90_ns = weir_histogram_quantile(&run->latency, 900000);
    result->latency_p99_ns = weir_histogram_quantile(&run->latency, 990000);
    result->latency_p999_ns = weir_histogram_quantile(&run->latency, 999000);
    result->latency_max_ns = run->latency.max;
    free(run);
}
