/* bench/kept.c - RabbitMQ takes some ten seconds to start and ten more until it is quiet.
 *
 * All its subjects have one configuration, so one server serves them all; their drivers remove what
 * they find. It is stopped by a signal to its process group, and its clients are gone by then.
 *
 * Failures: a server that does not become quiet within QUIET_MS_MAX is given out all the same: the
 * `others` and CPU of the result show it.
 *
 * [B1] of bench.c: nothing of it runs while another subject is measured. */
#include "bench/kept.h"

#include "bench/process.h"
#include "bench/usage.h"

#include <string.h>
#include <time.h>

enum { LOOK_MS = 200, QUIET_MS_MAX = 15000 };

static const double quiet_cpu_s = 0.03; /* within LOOK_MS */

bool weir_kept_suits(const weir_subject *subject)
{
    return subject->kind == WEIR_SUBJECT_RABBITMQ;
}

static void quiet_await(pid_t pid)
{
    const struct timespec rest = {0, LOOK_MS * 1000000};
    weir_usage before = {0};
    weir_usage now = {0};
    (void)weir_usage_of(pid, &before);
    for (int waited = 0; waited < QUIET_MS_MAX; waited += LOOK_MS) {
        nanosleep(&rest, NULL);
        if (weir_usage_of(pid, &now) != WEIR_OK || now.cpu_s - before.cpu_s < quiet_cpu_s) {
            return;
        }
        before = now;
    }
}

weir_err weir_kept_wake(weir_kept *kept, const weir_subject *subject, const weir_subject_weir *weir,
                        weir_subject_run *run)
{
    weir_err err = WEIR_OK;
    if (kept->subject != NULL && strcmp(kept->subject->config, subject->config) != 0) {
        weir_kept_end(kept);
    }
    if (kept->subject == NULL) {
        err = weir_subject_start(subject, weir, &kept->run);
        kept->subject = err == WEIR_OK ? subject : NULL;
    } else {
        weir_process_group_resume(kept->run.pid);
    }
    if (err == WEIR_OK) {
        quiet_await(kept->run.pid);
    }
    *run = kept->run;
    return err;
}

void weir_kept_rest(weir_kept *kept)
{
    if (kept->subject != NULL) {
        weir_process_group_stop(kept->run.pid);
    }
}

void weir_kept_end(weir_kept *kept)
{
    if (kept->subject != NULL) {
        weir_process_group_resume(kept->run.pid);
        weir_subject_end(kept->subject, &kept->run);
    }
    *kept = (weir_kept){.subject = NULL};
}
