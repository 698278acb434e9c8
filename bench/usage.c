/* bench/usage.c - CPU, memory and bytes written of a subject, from outside.
 *
 * /proc/PID/stat gives CPU in ticks of usually 10 ms (exact to a tick over the whole life, so a
 * difference is wrong by at most one), RSS in pages; /proc/PID/io the bytes. Children are found
 * through /proc/PID/task/PID/children, level by level, at most PROCESSES_MAX of them. */
#include "bench/usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PROCESSES_MAX = 64 };

uint64_t weir_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The file as text; false when it cannot be read. */
static bool proc_read(pid_t pid, const char *name, char *text, size_t size)
{
    char path[128];
    FILE *file;
    size_t len;
    snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, name);
    file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    len = fread(text, 1, size - 1, file);
    text[len] = '\0';
    fclose(file);
    return len > 0;
}

static bool stat_add(pid_t pid, weir_usage *usage)
{
    char text[1024];
    unsigned long user;
    unsigned long kernel;
    long ended_user;
    long ended_kernel;
    long pages;
    const char *at;
    if (!proc_read(pid, "stat", text, sizeof(text)) || (at = strrchr(text, ')')) == NULL) {
        return false;
    }
    /* Fields 14 to 17 and 24 of proc(5), counted from behind the name. */
    if (sscanf(at + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld %*d %*d %*d %*d %*u "
               "%*u %ld",
               &user, &kernel, &ended_user, &ended_kernel, &pages) != 5) {
        return false;
    }
    usage->cpu_s += (double)(user + kernel + (unsigned long)(ended_user + ended_kernel)) /
                    (double)sysconf(_SC_CLK_TCK);
    usage->rss_bytes += (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return true;
}

static void io_add(pid_t pid, weir_usage *usage)
{
    char text[1024];
    const char *at;
    if (proc_read(pid, "io", text, sizeof(text)) &&
        (at = strstr(text, "\nwrite_bytes: ")) != NULL) {
        usage->written_bytes += strtoull(at + strlen("\nwrite_bytes: "), NULL, 10);
    }
}

static size_t children_add(pid_t pid, pid_t *pids, size_t count)
{
    char name[64];
    char text[4096];
    char *at = text;
    snprintf(name, sizeof(name), "task/%ld/children", (long)pid);
    if (!proc_read(pid, name, text, sizeof(text))) {
        return count;
    }
    while (count < PROCESSES_MAX) {
        char *end;
        long child = strtol(at, &end, 10);
        if (end == at) {
            break;
        }
        pids[count++] = (pid_t)child;
        at = end;
    }
    return count;
}

/* /proc/vmstat counts in KiB. 0 when it cannot be read. */
static uint64_t device_bytes(void)
{
    char name[64];
    unsigned long value;
    uint64_t bytes = 0;
    FILE *file = fopen("/proc/vmstat", "re");
    while (file != NULL && fscanf(file, "%63s %lu", name, &value) == 2) {
        if (strcmp(name, "pgpgout") == 0) {
            bytes = (uint64_t)value * 1024;
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return bytes;
}

weir_machine_usage weir_machine_usage_read(void)
{
    weir_machine_usage usage = {0};
    unsigned long user = 0;
    unsigned long polite = 0;
    unsigned long kernel = 0;
    unsigned long interrupts = 0;
    unsigned long soft_interrupts = 0;
    unsigned long stolen = 0;
    double ticks = (double)sysconf(_SC_CLK_TCK);
    FILE *file = fopen("/proc/stat", "re");
    usage.written_bytes = device_bytes();
    if (file == NULL) {
        return usage;
    }
    if (fscanf(file, "cpu %lu %lu %lu %*u %*u %lu %lu %lu", &user, &polite, &kernel, &interrupts,
               &soft_interrupts, &stolen) == 6) {
        usage.busy_s = (double)(user + polite + kernel + interrupts + soft_interrupts) / ticks;
        usage.stolen_s = (double)stolen / ticks;
    }
    fclose(file);
    return usage;
}

weir_err weir_usage_of(pid_t pid, weir_usage *usage)
{
    pid_t pids[PROCESSES_MAX] = {pid};
    size_t count = 1;
    weir_usage sum = {0};
    for (size_t i = 0; i < count; i++) {
        bool there = stat_add(pids[i], &sum);
        if (!there && i == 0) {
            return WEIR_NOT_FOUND;
        }
        if (there) {
            io_add(pids[i], &sum);
            count = children_add(pids[i], pids, count);
        }
    }
    *usage = sum;
    return WEIR_OK;
}
