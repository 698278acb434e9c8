/* bench/topics/topics.c - row 3 (MQTT, QoS 1 at disk, window 100) over many topics, against the same
 * over one.
 *
 *     bench_topics WEIR [TOPICS [SECONDS [PAIRS [CONFIG-LINE...]]]]
 *
 * One gateway for each of the two, with that many topics declared; every message goes to the next
 * topic in turn. It is measured after as long a time in which it is not: a journal that grows makes
 * files, later it takes old ones again. Prints the rates, and for the many: how many checkpoints were
 * written meanwhile, the most memory and the most descriptors that were seen, and how long a restart
 * takes, after a stop and after a kill. The two take turns PAIRS times, since the machine's speed
 * drifts; the last line is the median of the pairs' ratios.
 *
 * What the gateways wrote is kept until the end: ext4 passes over inodes that were freed in the last
 * minutes, one by one, whenever a file is made, and that would be measured instead. For the same reason
 * each run of this program wants a folder of its own on a file system (TMPDIR). */
#include "bench/generator/generator.h"
#include "bench/process.h"
#include "bench/usage.h"

#include "weir/engine.h"
#include "weir/port.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TOPICS_MAX = 10000,
    WAIT_MS = 60000,
    PATH_BYTES = 512,
    SAMPLE_US = 50000,
    UNANSWERED_MAX = 1000,
    LOG_BYTES = 4096,
    PAIRS_MAX = 15,
    SECONDS =
        30, /* two checkpoints, and before them the two after which the journal grows no more */
};

typedef struct gateway {
    char folder[PATH_BYTES];
    char config[PATH_BYTES + 16];
    char log[PATH_BYTES + 16];
    const char *program;
    uint16_t port;
    pid_t pid;
} gateway;

typedef struct sampler {
    pid_t pid;
    atomic_bool ends;
    unsigned descriptors_most;
    uint64_t rss_most;
} sampler;

static unsigned entries_of(const char *path)
{
    DIR *list = opendir(path);
    unsigned count = 0;
    while (list != NULL && readdir(list) != NULL) {
        count++;
    }
    if (list != NULL) {
        (void)closedir(list);
    }
    return count > 2 ? count - 2 : 0;
}

static void *sample(void *arg)
{
    sampler *own = arg;
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)own->pid);
    while (!atomic_load(&own->ends)) {
        weir_usage usage = {0};
        unsigned descriptors = entries_of(path);
        own->descriptors_most =
            descriptors > own->descriptors_most ? descriptors : own->descriptors_most;
        if (weir_usage_of(own->pid, &usage) == WEIR_OK && usage.rss_bytes > own->rss_most) {
            own->rss_most = usage.rss_bytes;
        }
        (void)usleep(SAMPLE_US);
    }
    return NULL;
}

/* The topics, in the data directory that the gateway will own: more than a configuration may list. */
static bool topics_declare(const gateway *own, unsigned topics)
{
    char data[PATH_BYTES + 16], name[32];
    weir_engine_config config = {.data_dir = data};
    weir_engine *engine = NULL;
    weir_port *port = NULL;
    weir_completion done;
    unsigned answers = 0;
    snprintf(data, sizeof(data), "%s/data", own->folder);
    if (weir_engine_open(&config, &engine, NULL) != WEIR_OK) {
        return false;
    }
    if (weir_port_open(engine, &port) != WEIR_OK) {
        (void)weir_engine_close(engine);
        return false;
    }
    for (unsigned i = 0; i < topics; i++) {
        weir_topic_options options = {.partitions = 1, .level = WEIR_LEVEL_DISK};
        snprintf(name, sizeof(name), "bench/%04u", i);
        while (weir_port_topic_create(port, weir_bytes_of(name), &options, NULL, i) == WEIR_AGAIN) {
            (void)weir_port_wait(port, WAIT_MS);
        }
        while (i + 1 - answers >= UNANSWERED_MAX && weir_port_wait(port, WAIT_MS) == WEIR_OK) {
            while (weir_port_drain(port, &done, 1) == 1) {
                answers++;
                weir_completion_drop(&done);
            }
        }
    }
    for (; answers < topics; answers++) {
        while (weir_port_drain(port, &done, 1) == 0) {
            (void)weir_port_wait(port, WAIT_MS);
        }
        weir_completion_drop(&done);
    }
    weir_port_close(port);
    return weir_engine_close(engine) == WEIR_OK;
}

static bool config_write(const gateway *own, char *const *lines, int line_count)
{
    FILE *file = fopen(own->config, "w");
    if (file == NULL) {
        return false;
    }
    fprintf(file, "data: %s/data\nports: %s/ports\n", own->folder, own->folder);
    for (int i = 0; i < line_count; i++) {
        fprintf(file, "%s\n", lines[i]);
    }
    fprintf(file,
            "mqtt:\n  port: %u\nnng:\n  enabled: false\nhttp:\n"
            "  enabled: false\n",
            own->port);
    return fclose(file) == 0;
}

/* Milliseconds until it listens; below 0: it does not. */
static double gateway_start(gateway *own)
{
    char serve[] = "serve", from[] = "-c";
    char *argv[] = {(char *)(uintptr_t)own->program, serve, from, own->config, NULL};
    uint64_t begin_ns = weir_now_ns();
    if (weir_process_start(argv, NULL, own->folder, own->log, &own->pid) != WEIR_OK ||
        weir_port_await(own->port, own->pid, WAIT_MS) != WEIR_OK) {
        char said[LOG_BYTES] = "";
        (void)weir_file_read(own->log, said, sizeof(said));
        fprintf(stderr, "the gateway did not start: %s\n", said);
        return -1;
    }
    return (double)(weir_now_ns() - begin_ns) / 1e6;
}

static unsigned checkpoints_of(const gateway *own)
{
    char path[PATH_BYTES + 16];
    unsigned long most = 0;
    snprintf(path, sizeof(path), "%s/data/state", own->folder);
    DIR *list = opendir(path);
    const struct dirent *entry;
    while (list != NULL && (entry = readdir(list)) != NULL) {
        unsigned long number = strtoul(entry->d_name, NULL, 16);
        most = strstr(entry->d_name, ".checkpoint") != NULL && number > most ? number : most;
    }
    if (list != NULL) {
        (void)closedir(list);
    }
    return (unsigned)most;
}

/* False: it did not start again. */
static bool restarts_tell(gateway *own)
{
    weir_process_end(own->pid, WAIT_MS);
    double stopped = gateway_start(own);
    (void)kill(own->pid, SIGKILL);
    (void)waitpid(own->pid, NULL, 0);
    double killed = gateway_start(own);
    printf("restart after a stop %.0f ms, after a kill %.0f ms\n", stopped, killed);
    return stopped >= 0 && killed >= 0;
}

/* Messages a second; 0: none, and why is told. The gateway's folder stays. */
static double rate_of(const char *program, const char *folder, unsigned topics, unsigned seconds,
                      char *const *lines, int line_count)
{
    gateway own = {.program = program, .port = weir_port_free()};
    weir_bench_workload work = {.version = 4,
                                .qos = 1,
                                .names = topics,
                                .publishers = 1,
                                .subscribers = 1,
                                .payload_bytes = 128,
                                .window = 100,
                                .in_flight = 1000,
                                .warm_up_ms = seconds * 1000,
                                .measure_ms = seconds * 1000};
    weir_bench_result result = {0};
    snprintf(own.folder, sizeof(own.folder), "%s/XXXXXX", folder);
    if (mkdtemp(own.folder) == NULL) {
        return 0;
    }
    snprintf(own.config, sizeof(own.config), "%s/weir.yaml", own.folder);
    snprintf(own.log, sizeof(own.log), "%s/weir.log", own.folder);
    if (!config_write(&own, lines, line_count) || !topics_declare(&own, topics) ||
        gateway_start(&own) < 0) {
        return 0;
    }
    sampler samples = {.pid = own.pid};
    pthread_t thread;
    (void)pthread_create(&thread, NULL, sample, &samples);
    weir_bench_target target = {.port = own.port, .pid = own.pid};
    weir_generator_run(&work, &target, &result);
    atomic_store(&samples.ends, true);
    (void)pthread_join(thread, NULL);
    double rate = result.seconds > 0 ? (double)result.measured / result.seconds : 0;
    printf("%u topics: %.0f messages a second, p99 %.2f ms, lost %llu, checkpoints %u, memory %.0f "
           "MiB, descriptors %u, cpu %.2f s %s\n",
           topics, rate, (double)result.latency_p99_ns / 1e6, (unsigned long long)result.lost,
           checkpoints_of(&own), (double)samples.rss_most / (1 << 20), samples.descriptors_most,
           result.subject_cpu_s, result.err == WEIR_OK ? "" : result.text);
    fflush(stdout);
    if (topics > 1 && !restarts_tell(&own)) {
        return 0;
    }
    weir_process_end(own.pid, WAIT_MS);
    return rate;
}

static int by_value(const void *left, const void *right)
{
    double l = *(const double *)left, r = *(const double *)right;
    return (l > r) - (l < r);
}

int main(int argc, char **argv)
{
    unsigned topics = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : TOPICS_MAX;
    unsigned seconds = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : SECONDS;
    unsigned pairs = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 3;
    int line_count = argc > 5 ? argc - 5 : 0;
    char *const *lines = argv + argc - line_count;
    double percents[PAIRS_MAX];
    char folder[PATH_BYTES / 2];
    if (argc < 2 || topics < 2 || topics > TOPICS_MAX || seconds == 0 || pairs == 0 ||
        pairs > PAIRS_MAX) {
        fprintf(stderr, "usage: bench_topics WEIR [TOPICS [SECONDS [PAIRS [CONFIG-LINE...]]]]\n");
        return 2;
    }
    if (weir_folder_make(folder, sizeof(folder)) != WEIR_OK) {
        fprintf(stderr, "no folder can be made in TMPDIR\n");
        return 1;
    }
    for (unsigned i = 0; i < pairs; i++) {
        double one = rate_of(argv[1], folder, 1, seconds, lines, line_count);
        double many = rate_of(argv[1], folder, topics, seconds, lines, line_count);
        if (one == 0 || many == 0) {
            fprintf(stderr, "what they wrote is kept in %s\n", folder);
            return 1;
        }
        percents[i] = 100 * many / one;
        printf("%.0f %% of the rate over one topic\n", percents[i]);
    }
    qsort(percents, pairs, sizeof(percents[0]), by_value);
    printf("median %.0f %% of the rate over one topic, least %.0f %%, most %.0f %%\n",
           percents[pairs / 2], percents[0], percents[pairs - 1]);
    weir_folder_remove(folder);
    return 0;
}
