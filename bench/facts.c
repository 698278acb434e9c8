/* bench/facts.c - asks the machine, the programs and the libraries what they are.
 *
 * Failures: what cannot be asked is told as "?", "unknown" or "", never guessed. */
#include "bench/facts.h"

#include "bench/driver.h"
#include "bench/process.h"
#include "bench/subject.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum {
    REPEATS = 5,
    MEASURE_MS = 2000,
    WARM_UP_MS = 500,
    ALL_MEASURE_MS = 1000, /* the whole table is to end within some 35 minutes */
    ALL_WARM_UP_MS = 300,
    MOUNTS_BYTES_MAX = 65536,
};

/* ---- The machine -------------------------------------------------------------------------------
 */

static void processor_read(char *text, size_t size)
{
    char cpu[4096] = "";
    char *model = NULL;
    snprintf(text, size, "?");
    if (weir_file_read("/proc/cpuinfo", cpu, sizeof(cpu)) &&
        (model = strstr(cpu, "model name")) != NULL && (model = strchr(model, ':')) != NULL) {
        model += strspn(model, ": ");
        snprintf(text, size, "%.*s", (int)strcspn(model, "\n"), model);
    }
}

/* The kind of file system that runs have their folders on: of the mount with its device. A line is
 * "36 35 98:0 /root /mount options - ext4 /dev/root ...". */
static void file_system_read(char *text, size_t size)
{
    static char mounts[MOUNTS_BYTES_MAX];
    char folder[256];
    char device[48];
    struct stat status;
    const char *line;
    const char *kind;
    snprintf(text, size, "?");
    if (weir_folder_make(folder, sizeof(folder)) != WEIR_OK) {
        return;
    }
    if (stat(folder, &status) == 0 &&
        weir_file_read("/proc/self/mountinfo", mounts, sizeof(mounts))) {
        snprintf(device, sizeof(device), " %u:%u ", major(status.st_dev), minor(status.st_dev));
        line = strstr(mounts, device);
        kind = line != NULL ? strstr(line, " - ") : NULL;
        if (kind != NULL) {
            kind += strlen(" - ");
            snprintf(text, size, "%.*s", (int)strcspn(kind, " \n"), kind);
        }
    }
    weir_folder_remove(folder);
}

static void machine_read(char *text, size_t size)
{
    char processor[128];
    char file_system[32];
    struct utsname name = {.release = "?"};
    struct sysinfo memory = {.totalram = 0};
    processor_read(processor, sizeof(processor));
    file_system_read(file_system, sizeof(file_system));
    (void)uname(&name);
    (void)sysinfo(&memory);
    snprintf(text, size, "%s, %ld processors, %.1f GiB, Linux %s, %s", processor,
             sysconf(_SC_NPROCESSORS_ONLN),
             (double)memory.totalram * memory.mem_unit / (1024.0 * 1024.0 * 1024.0), name.release,
             file_system);
}

/* ---- What was built ----------------------------------------------------------------------------
 */

static bool is_own_program(const char *path)
{
    struct stat own;
    struct stat other;
    return stat("/proc/self/exe", &own) == 0 && stat(path, &other) == 0 &&
           own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

/* ---- Versions ----------------------------------------------------------------------------------
 */

/* One member of the object. What is no plain text becomes a blank. */
static void version_add(weir_run_facts *facts, const char *name, char *version)
{
    size_t len = strlen(facts->versions);
    for (char *at = version; *at != '\0'; at++) {
        *at = *at < 0x20 || *at == '"' || *at == '\\' || *at == 0x7f ? ' ' : *at;
    }
    snprintf(facts->versions + len, sizeof(facts->versions) - len, "%s\"%s\":\"%s\"",
             len == 0 ? "{" : ",", name, version);
}

/* A program's: "what version\nweir 0.1.0\n...". */
static void weir_version_ask(const char *path, char *text, size_t size)
{
    char said[4096] = "";
    char program[4096];
    char question[] = "version";
    char *argv[] = {program, question, NULL};
    const char *at;
    snprintf(program, sizeof(program), "%s", path);
    text[0] = '\0';
    if (weir_process_capture(argv, said, sizeof(said)) && (at = strstr(said, "\nweir ")) != NULL) {
        at += strlen("\nweir ");
        at += strspn(at, " ");
        snprintf(text, size, "%.*s", (int)strcspn(at, " \n"), at);
    }
}

static void versions_read(const weir_bench_options *options, weir_run_facts *facts)
{
    static const char *const servers[][2] = {{"mosquitto", "mosquitto"},
                                             {"nats-server", "nats"},
                                             {"rabbitmq-server", "rabbitmq"},
                                             {"redis-server", "redis-always"}};
    char version[160];
    size_t count;
    const weir_driver *const *drivers = weir_drivers(&count);
    size_t len;
    weir_version_ask(options->weir_program, version, sizeof(version));
    version_add(facts, "weir", version);
    for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++) {
        weir_subject_version(weir_subject_named(servers[i][1]), version, sizeof(version));
        version_add(facts, servers[i][0], version);
    }
    for (size_t i = 0; i < count; i++) {
        char *blank = NULL;
        if (drivers[i]->library(drivers[i], version, sizeof(version)) &&
            (blank = strchr(version, ' ')) != NULL) {
            *blank = '\0';
            version_add(facts, version, blank + 1);
        }
    }
    len = strlen(facts->versions);
    snprintf(facts->versions + len, sizeof(facts->versions) - len, "}");
}

void weir_run_facts_read(const weir_bench_options *options, weir_run_facts *facts)
{
    time_t now = time(NULL);
    struct tm utc;
    *facts = (weir_run_facts){.mqtt_version = options->mqtt_version};
    (void)gmtime_r(&now, &utc);
    strftime(facts->started, sizeof(facts->started), "%Y-%m-%dT%H%M%SZ", &utc);
    facts->repeats = options->repeats > 0 ? options->repeats : REPEATS;
    facts->measure_ms = options->all ? ALL_MEASURE_MS : MEASURE_MS;
    facts->warm_up_ms = options->all ? ALL_WARM_UP_MS : WARM_UP_MS;
    if (options->measure_ms > 0) {
        facts->measure_ms = options->measure_ms;
    }
    if (options->warm_up_ms > 0) {
        facts->warm_up_ms = options->warm_up_ms;
    }
    for (size_t i = 0; i < options->set_count; i++) {
        size_t len = strlen(facts->sets);
        snprintf(facts->sets + len, sizeof(facts->sets) - len, "%s%s", i == 0 ? "" : " ",
                 options->sets[i]);
    }
    if (is_own_program(options->weir_program)) {
        snprintf(facts->commit, sizeof(facts->commit), "%s", weir_bench_commit());
        snprintf(facts->build, sizeof(facts->build), "%s", WEIR_BENCH_BUILD);
    } else {
        snprintf(facts->commit, sizeof(facts->commit), "unknown");
        snprintf(facts->build, sizeof(facts->build), "unknown");
    }
    machine_read(facts->machine, sizeof(facts->machine));
    versions_read(options, facts);
}
