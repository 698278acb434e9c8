/* bench/driver.c - the drivers, and how one that is a program is found and spoken to.
 *
 *   workload, target  ->  its standard input        its standard output  ->  result
 *
 * Program and caller are of the same build: the structs go as they are, and what is shorter than
 * expected is a failure that the result tells. Programs lie in bench/ beside the folder of the
 * running program (as the build leaves them), or in the folder that $WEIR_BENCH_DRIVERS names. */
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

static bool program_path(const weir_driver *driver, char *path, size_t size)
{
    const char *folder = getenv("WEIR_BENCH_DRIVERS");
    char own[1024];
    ssize_t len = readlink("/proc/self/exe", own, sizeof(own) - 1);
    char *slash;
    own[len > 0 ? len : 0] = '\0';
    slash = strrchr(own, '/');
    if (folder != NULL) {
        snprintf(path, size, "%s/bench_driver_%s", folder, driver->name);
    } else if (slash != NULL) {
        *slash = '\0';
        snprintf(path, size, "%s/../bench/bench_driver_%s", own, driver->name);
    } else {
        return false;
    }
    return access(path, X_OK) == 0;
}

static bool program_available(const weir_driver *driver, char *text, size_t size)
{
    char path[2048];
    if (program_path(driver, path, sizeof(path))) {
        return true;
    }
    snprintf(text, size,
             "driver not built: apt-get install --no-install-recommends %s, then build again",
             driver->packages);
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

static const weir_driver mqtt = {"mqtt", always_available, mqtt_run, NULL};
static const weir_driver weir1 = {"weir1", always_available, weir1_run, NULL};
static const weir_driver limits = {"limits", always_available, limits_run, NULL};
static const weir_driver nats = {"nats", program_available, program_run, "libnats-dev"};
static const weir_driver amqp = {"amqp", program_available, program_run, "librabbitmq-dev"};
static const weir_driver redis = {"redis", program_available, program_run, "libhiredis-dev"};
static const weir_driver nng = {"nng", program_available, program_run, "libnng-dev"};
static const weir_driver zmq = {"zmq", program_available, program_run, "libzmq3-dev"};

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
