/* bench/drivers/counterpart.c - the forked other side, and the memory shared with it.
 *
 * It is forked before the library is used at all: no library survives a fork with its threads. */
#include "bench/drivers/counterpart.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LISTEN_MS_MAX = 5000 };

static void rest_ms(long ms)
{
    const struct timespec rest = {0, ms * 1000000};
    nanosleep(&rest, NULL);
}

weir_counterpart *weir_counterpart_start(weir_drive *own,
                                         void (*body)(weir_drive *own, weir_counterpart *shared))
{
    weir_counterpart *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t parent = getpid();
    pid_t child;
    if (shared == MAP_FAILED) {
        (void)weir_drive_fail(own, WEIR_NO_MEMORY, "no shared memory");
        return NULL;
    }
    child = fork();
    if (child == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent) {
            body(own, shared);
        }
        _exit(0);
    }
    if (child < 0) {
        (void)weir_drive_fail(own, WEIR_IO, "the other side cannot be started");
        return NULL;
    }
    own->target.pid = child;
    for (int waited = 0; atomic_load(&shared->port) == 0; waited++) {
        if (waited == LISTEN_MS_MAX || waitpid(child, NULL, WNOHANG) == child) {
            (void)weir_drive_fail(own, WEIR_CLOSED, "the other side does not listen");
            return NULL;
        }
        rest_ms(1);
    }
    own->target.port = (uint16_t)atomic_load(&shared->port);
    return shared;
}

void weir_counterpart_end(weir_drive *own)
{
    (void)kill(own->target.pid, SIGKILL);
    (void)waitpid(own->target.pid, NULL, 0);
}
