/* bench/meter.c - readings of clock, CPU, memory and bytes written, and their difference.
 *
 * The generator's own CPU is that of its whole process, all threads. What is left of the machine's
 * after subject and generator is the noise of the run. */
#include "bench/meter.h"

#include <sys/resource.h>

static double own_cpu_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

weir_meter weir_meter_read(pid_t pid)
{
    weir_meter taken = {
        .at_ns = weir_now_ns(), .own_cpu_s = own_cpu_s(), .machine = weir_machine_usage_read()};
    if (pid > 0) {
        (void)weir_usage_of(pid, &taken.subject);
    }
    return taken;
}

void weir_meter_tell(const weir_meter *begin, const weir_meter *end, weir_bench_result *result)
{
    result->seconds = (double)(end->at_ns - begin->at_ns) / 1e9;
    result->generator_cpu_s = end->own_cpu_s - begin->own_cpu_s;
    result->subject_cpu_s = end->subject.cpu_s - begin->subject.cpu_s;
    result->others_cpu_s = end->machine.busy_s - begin->machine.busy_s - result->subject_cpu_s -
                           result->generator_cpu_s;
    result->others_cpu_s = result->others_cpu_s > 0 ? result->others_cpu_s : 0;
    result->stolen_cpu_s = end->machine.stolen_s - begin->machine.stolen_s;
    result->device_bytes = end->machine.written_bytes - begin->machine.written_bytes;
    result->written_bytes = end->subject.written_bytes - begin->subject.written_bytes;
    result->rss_bytes = end->subject.rss_bytes;
}
