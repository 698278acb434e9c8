/* bench/limits/log.c - a null log and what feeds it.
 *
 *   feeder:  ... | message | message | message ...   a window of them, in large writes
 *   log:     one read -> CRC32C of each message -> append -> [fdatasync] -> how many in all, u64
 *
 * Messages have a fixed length and no frame. The file is written over in a circle, so that no sync
 * is a growth of it. The log checks that sequences follow one another: it would notice a byte that
 * it lost; the feeder counts what is acknowledged.
 *
 * [L1] With sync, a message is acknowledged after the fdatasync behind its append. */
#include "bench/limits/private.h"

#include "core/base/hash.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FEED_BYTES = 256 * 1024, TIMES = 65536, WAIT_MS = 50, END_S_MAX = 10 };

/* ---- The log -----------------------------------------------------------------------------------
 */

typedef struct null_log {
    limit_run *run;
    int socket;
    int file;
    bool sync;
    uint64_t file_at;
    uint64_t count; /* messages */
    uint64_t unsynced;
    uint32_t sum; /* so that no CRC is left out as unused */
    uint8_t *bytes;
    size_t kept; /* bytes of a message that is cut */
} null_log;

static bool messages_check(null_log *own, size_t len, size_t *whole)
{
    size_t message = own->run->work->payload_bytes;
    for (*whole = 0; *whole + message <= len; *whole += message) {
        uint64_t sequence;
        memcpy(&sequence, own->bytes + *whole + 8, sizeof(sequence));
        if (sequence != own->count++) {
            return false;
        }
        own->sum ^= weir_crc32c(0, own->bytes + *whole, message);
    }
    return true;
}

static bool messages_append(null_log *own, size_t whole)
{
    if (own->file_at + whole > LIMIT_FILE_BYTES) {
        own->file_at = 0;
    }
    if (pwrite(own->file, own->bytes, whole, (off_t)own->file_at) != (ssize_t)whole) {
        return false;
    }
    own->file_at += whole;
    own->unsynced += whole;
    return true;
}

/* True when a group is to be ended: it is large, or nothing more has come. */
static bool group_ends(const null_log *own)
{
    struct pollfd wait = {.fd = own->socket, .events = POLLIN};
    return own->unsynced > 0 &&
           (!own->sync || own->unsynced >= LIMIT_GROUP_BYTES || poll(&wait, 1, 0) == 0);
}

static int log_serve(null_log *own)
{
    for (;;) {
        size_t len;
        size_t whole;
        ssize_t got = recv(own->socket, own->bytes + own->kept, LIMIT_READ_BYTES, 0);
        if (got <= 0) {
            return got == 0 ? (int)(own->sum & 0) : 1;
        }
        len = own->kept + (size_t)got;
        if (!messages_check(own, len, &whole) || !messages_append(own, whole)) {
            return 1;
        }
        own->kept = len - whole;
        memmove(own->bytes, own->bytes + whole, own->kept);
        if (group_ends(own)) {
            if (own->sync && fdatasync(own->file) != 0) { /* [L1] */
                return 1;
            }
            own->unsynced = 0;
            if (send(own->socket, &own->count, sizeof(own->count), MSG_NOSIGNAL) < 0) {
                return 1;
            }
        }
    }
}

static int log_run(limit_run *run, int fd, bool sync)
{
    null_log own = {.run = run, .socket = fd, .sync = sync};
    int code = 1;
    own.bytes = malloc(LIMIT_READ_BYTES + (size_t)run->work->payload_bytes);
    own.file = limit_file(run, 0, LIMIT_FILE_BYTES);
    if (own.bytes != NULL && own.file >= 0 &&
        send(fd, &own.count, sizeof(own.count), MSG_NOSIGNAL) == sizeof(own.count)) {
        code = log_serve(&own); /* the feeder waits for the first word: the file is there */
    }
    free(own.bytes);
    return code;
}

static int log_unsynced(limit_run *run, int fd)
{
    return log_run(run, fd, false);
}

static int log_synced(limit_run *run, int fd)
{
    return log_run(run, fd, true);
}

/* ---- The feeder --------------------------------------------------------------------------------
 */

typedef struct feeder {
    limit_run *run;
    uint32_t window;
    uint64_t made; /* messages written into out, whole */
    uint64_t acked;
    uint8_t *out;
    size_t out_len;
    size_t out_sent;
    uint64_t *times; /* of each message under way */
    uint8_t answer[8];
    size_t answer_len;
} feeder;

static void feeder_make(feeder *own, uint64_t now_ns)
{
    size_t message = own->run->work->payload_bytes;
    while (own->made - own->acked < own->window && own->out_len + message <= FEED_BYTES) {
        uint8_t *at = own->out + own->out_len;
        memcpy(at + 8, &own->made, 8);
        memcpy(at + 16, &now_ns, 8);
        own->times[own->made % TIMES] = now_ns;
        own->made++;
        own->out_len += message;
    }
}

static bool feeder_send(feeder *own)
{
    ssize_t put;
    if (own->out_len == own->out_sent) {
        return true;
    }
    put = send(own->run->fd, own->out + own->out_sent, own->out_len - own->out_sent,
               MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put < 0) {
        return errno == EAGAIN;
    }
    own->out_sent += (size_t)put;
    if (own->out_sent == own->out_len) {
        own->out_sent = 0;
        own->out_len = 0;
    }
    return true;
}

static void feeder_acked(feeder *own, uint64_t count, uint64_t now_ns)
{
    limit_run *run = own->run;
    if (run->measuring) {
        run->result->measured += count - own->acked;
        weir_histogram_add(&run->latency, now_ns - own->times[(count - 1) % TIMES]);
    }
    own->acked = count;
}

/* Takes what is answered. False: the child has gone, or counts what was never sent. */
static bool feeder_answers(feeder *own)
{
    uint8_t bytes[8 * 64];
    uint64_t now_ns;
    ssize_t got = recv(own->run->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (got <= 0) {
        return got < 0 && errno == EAGAIN;
    }
    now_ns = weir_now_ns();
    for (ssize_t i = 0; i < got; i++) {
        uint64_t count;
        own->answer[own->answer_len++] = bytes[i];
        if (own->answer_len < sizeof(own->answer)) {
            continue;
        }
        own->answer_len = 0;
        memcpy(&count, own->answer, sizeof(count));
        if (count > own->made || count < own->acked) {
            return false;
        }
        if (count > own->acked) {
            feeder_acked(own, count, now_ns);
        }
    }
    return true;
}

static bool feeder_turn(feeder *own)
{
    bool waits = own->out_len > own->out_sent;
    struct pollfd wait = {.fd = own->run->fd, .events = (short)(waits ? POLLIN | POLLOUT : POLLIN)};
    (void)poll(&wait, 1, WAIT_MS);
    return feeder_answers(own) && feeder_send(own);
}

/* Until everything that was sent is acknowledged. */
static void feeder_drain(feeder *own)
{
    uint64_t until_ns = weir_now_ns() + END_S_MAX * 1000 * NS_PER_MS;
    while (own->acked < own->made && weir_now_ns() < until_ns && feeder_turn(own)) {
    }
    own->run->result->lost = own->made - own->acked;
}

static void feed(feeder *own)
{
    limit_run *run = own->run;
    uint64_t now_ns = weir_now_ns();
    run->measure_from_ns = now_ns + run->work->warm_up_ms * NS_PER_MS;
    while (limit_goes_on(run, now_ns)) {
        if (own->out_len == 0) {
            feeder_make(own, now_ns);
        }
        if (!feeder_send(own) || !feeder_turn(own)) {
            (void)limit_fail(run, WEIR_CLOSED, "the null log ended");
            return;
        }
        now_ns = weir_now_ns();
    }
    feeder_drain(own);
}

void limit_log(limit_run *run, bool sync)
{
    feeder own = {.run = run};
    uint64_t zero = 1;
    own.window = run->work->window > 0 ? run->work->window : WEIR_LIMITS_WINDOW;
    own.window = run->work->kind == WEIR_BENCH_SINGLE ? 1 : own.window;
    own.window = own.window < TIMES ? own.window : TIMES;
    own.out = calloc(1, FEED_BYTES);
    own.times = calloc(TIMES, sizeof(uint64_t));
    if (own.out == NULL || own.times == NULL || run->work->payload_bytes > FEED_BYTES) {
        (void)limit_fail(run, WEIR_INVALID, "the null log");
    } else if (limit_serve(run, sync ? log_synced : log_unsynced) == WEIR_OK) {
        if (recv(run->fd, &zero, sizeof(zero), MSG_WAITALL) == sizeof(zero) && zero == 0) {
            feed(&own);
        } else {
            (void)limit_fail(run, WEIR_CLOSED, "the null log did not start");
        }
    }
    run->result->sent = own.made;
    run->result->acked = own.acked;
    run->result->delivered = own.acked;
    free(own.out);
    free(own.times);
}
