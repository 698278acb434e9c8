/* bench/driver.c - the drivers, and how one that is a program is found and spoken to.
 *
 *   workload, target  ->  its standard input        its standard output  ->  result
 *
 * Program and caller are of the same build, which is asked for: the structs go as they are, and what
 * is shorter than expected is a failure that the result tells. Programs lie in the folder that $WEIR_BENCH_DRIVERS
 * names; else where they were installed, seen from the running program, or by the prefix of the
 * build; else in bench/ beside the folder of the running program, as the build leaves them. */
#include "bench/driver.h"

#include "bench/generator/generator.h"
#include "bench/limits/limits.h"
#include "bench/process.h"
#include "bench/weir1/drive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool always_available(const weir_driver *driver, char *text, size_t size)
{
    (void)driver;
    (void)text;
    (void)size;
    return true;
}

static bool no_library(const weir_driver *driver, char *text, size_t size)
{
    (void)driver;
    (void)text;
    (void)size;
    return false;
}

static void mqtt_run(const weir_driver *driver, const weir_bench_workload *workload,
                     const weir_bench_target *target, weir_bench_result *result)
{
    (void)driver;
    weir_generator_run(workload, target, result);
}

static void weir1_run(const weir_driver *driver, const weir_bench_workload *workload,
                      const weir_bench_target *target, weir_bench_result *result)
{
    (void)driver;
    weir_weir1_drive(workload, target, result);
}

static void limits_run(const weir_driver *driver, const weir_bench_workload *workload,
                       const weir_bench_target *target, weir_bench_result *result)
{
    (void)driver;
    weir_limits_drive(workload, target, result);
}

/* ---- Drivers that are programs -----------------------------------------------------------------
 */

/* The folder of the running program. False: it cannot be told. */
static bool own_folder(char *path, size_t size)
{
    ssize_t len = readlink("/proc/self/exe", path, size - 1);
    char *slash;
    path[len > 0 ? len : 0] = '\0';
    slash = strrchr(path, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
    return slash != NULL;
}

static bool program_path(const weir_driver *driver, char *path, size_t size)
{
    const char *given = getenv("WEIR_BENCH_DRIVERS");
    char own[1024];
    if (given != NULL) {
        snprintf(path, size, "%s/bench_driver_%s", given, driver->name);
        return access(path, X_OK) == 0;
    }
    if (own_folder(own, sizeof(own))) {
        snprintf(path, size, "%s/" WEIR_BENCH_FROM_PROGRAM "/bench_driver_%s", own, driver->name);
        if (access(path, X_OK) == 0) {
            return true;
        }
        snprintf(path, size, "%s/../bench/bench_driver_%s", own, driver->name);
        if (access(path, X_OK) == 0) {
            return true;
        }
    }
    snprintf(path, size, WEIR_BENCH_INSTALLED "/bench_driver_%s", driver->name);
    return access(path, X_OK) == 0;
}

/* False when the program does not run, as without its library, or is of another build. */
static bool program_library(const weir_driver *driver, char *text, size_t size)
{
    char path[2048];
    char question[] = WEIR_BENCH_ASK_LIBRARY;
    char *argv[] = {path, question, NULL};
    char sizes[64];
    bool told = program_path(driver, path, sizeof(path)) && weir_process_capture(argv, text, size);
    weir_bench_sizes(sizes, sizeof(sizes));
    told = told && strstr(text, sizes) != NULL;
    text[told ? strcspn(text, "\n") : 0] = '\0';
    return told;
}

static bool program_available(const weir_driver *driver, char *text, size_t size)
{
    char path[2048];
    char library[WEIR_BENCH_TEXT_MAX];
    bool there = program_path(driver, path, sizeof(path));
    if (there && program_library(driver, library, sizeof(library))) {
        return true;
    }
    snprintf(text, size, "driver %s: apt-get install --no-install-recommends %s%s",
             there ? "does not run" : "not built", driver->packages,
             there ? "" : ", then build and install again");
    return false;
}

static void program_run(const weir_driver *driver, const weir_bench_workload *workload,
                        const weir_bench_target *target, weir_bench_result *result)
{
    char path[2048];
    weir_bench_order order = {*workload, *target};
    char *argv[] = {path, NULL};
    *result = (weir_bench_result){.err = WEIR_NOT_FOUND};
    snprintf(result->text, sizeof(result->text), "the driver %s is not built", driver->name);
    if (program_path(driver, path, sizeof(path)) &&
        !weir_process_ask(argv, &order, sizeof(order), result, sizeof(*result))) {
        *result = (weir_bench_result){.err = WEIR_IO};
        snprintf(result->text, sizeof(result->text), "the driver %s ended without a result",
                 driver->name);
    }
}

/* ---- The table ---------------------------------------------------------------------------------
 */

static const weir_driver mqtt = {"mqtt", always_available, mqtt_run, no_library, NULL};
static const weir_driver weir1 = {"weir1", always_available, weir1_run, no_library, NULL};
static const weir_driver limits = {"limits", always_available, limits_run, no_library, NULL};
static const weir_driver nats = {"nats", program_available, program_run, program_library,
                                 "libnats-dev"};
static const weir_driver amqp = {"amqp", program_available, program_run, program_library,
                                 "librabbitmq-dev"};
static const weir_driver redis = {"redis", program_available, program_run, program_library,
                                  "libhiredis-dev"};
static const weir_driver nng = {"nng", program_available, program_run, program_library,
                                "libnng-dev"};
static const weir_driver zmq = {"zmq", program_available, program_run, program_library,
                                "libzmq3-dev"};

static const weir_driver *const drivers[] = {&mqtt, &weir1, &limits, &nats,
                                             &amqp, &redis, &nng,    &zmq};

const weir_driver *const *weir_drivers(size_t *count)
{
    *count = sizeof(drivers) / sizeof(drivers[0]);
    return drivers;
}

const weir_driver *weir_driver_named(const char *name)
{
    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
        if (strcmp(drivers[i]->name, name) == 0) {
            return drivers[i];
        }
    }
    return NULL;
}
