/* adapters/websocket/metrics.c - /metrics: Prometheus text format 0.0.4.
 *
 *   # HELP name what it is
 *   # TYPE name counter
 *   name 17                     the engine's
 *   name{adapter="http"} 3      a front end's
 *   name{group="mail"} 5        one consumer group's: behind all others, as many as
 *                               limits.metrics_groups_max
 *
 * Happy path: all samples are collected, sorted by name, and written one family after the other,
 * since a name may be counted by the engine and by a front end, and the format wants a family once,
 * whole. Failures: only memory.
 *
 * [P1] Samples of one name stand together under one HELP and TYPE. */
#include "adapters/websocket/pages.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES_MAX = 512 };

typedef struct sample {
    const char *metric;
    const char *adapter; /* NULL: the engine's */
    uint64_t value;
} sample;

typedef struct samples {
    size_t count;
    sample of[SAMPLES_MAX];
} samples;

static const struct {
    const char *metric;
    const char *help; /* "gauge: ..." for what may fall */
} helps[] = {
#define HELP(field, metric, help) {metric, help},
    WEIR_STATS_LIST(HELP) WEIR_WEB_STATS_LIST(HELP) WEIR_MQTT_STATS_LIST(HELP)
#undef HELP
        {"weir_engine_health", "gauge: 0 ok, 1 disk full, 2 stopped, 3 fenced."},
    {"weir_http_connections", "gauge: open connections of the HTTP port."},
    {"weir_http_connections_total", "Connections accepted at the HTTP port."},
    {"weir_refused_connections_total", "Limit connections_max."},
    {"weir_http_refused_descriptors_total", "Connections refused: no descriptor or memory left."},
};

static const char *help_of(const char *metric)
{
    for (size_t i = 0; i < sizeof(helps) / sizeof(helps[0]); i++) {
        if (strcmp(helps[i].metric, metric) == 0) {
            return helps[i].help;
        }
    }
    size_t len = strlen(metric), tail = sizeof("_total") - 1;
    return len > tail && strcmp(metric + len - tail, "_total") == 0
               ? "Of a front end: see its page in docs."
               : "gauge: of a front end: see its page in docs.";
}

static void add(samples *all, const char *metric, const char *adapter, uint64_t value)
{
    if (all->count < SAMPLES_MAX) {
        all->of[all->count++] = (sample){metric, adapter, value};
    }
}

static void add_of(void *arg, const char *adapter, const char *metric, uint64_t value)
{
    add(arg, metric, adapter, value);
}

static void add_own(void *arg, const char *metric, uint64_t value)
{
    add(arg, metric, WEIR_WEB_SECTION, value);
}

/* Of every front end of the program, when its host knows them. */
static void front_ends_collect(samples *all, weir_adapter *adapter)
{
    if (adapter->host->ops->counters != NULL) {
        adapter->host->ops->counters(adapter->host, add_of, all);
    } else {
        weir_web_stats_each(adapter, add_own, all);
    }
}

static void engine_collect(samples *all, const weir_engine *engine)
{
    weir_stats stats = {0};
    weir_engine_stats(engine, &stats);
#define ADD(field, metric, help) add(all, metric, NULL, stats.field);
    WEIR_STATS_LIST(ADD)
#undef ADD
    add(all, "weir_engine_health", NULL, (uint64_t)weir_engine_health_of(engine));
}

static int compare(const void *left, const void *right)
{
    const sample *a = left, *b = right;
    int by_name = strcmp(a->metric, b->metric);
    return by_name != 0
               ? by_name
               : strcmp(a->adapter != NULL ? a->adapter : "", b->adapter != NULL ? b->adapter : "");
}

static void family_head(weir_buffer *out, const char *metric)
{
    static const char gauge[] = "gauge: ";
    const char *help = help_of(metric);
    bool is_gauge = strncmp(help, gauge, sizeof(gauge) - 1) == 0;
    (void)weir_buffer_format(out, "# HELP %s %s\n# TYPE %s %s\n", metric,
                             is_gauge ? help + sizeof(gauge) - 1 : help, metric,
                             is_gauge ? "gauge" : "counter");
}

static void samples_write(const samples *all, weir_buffer *out)
{
    for (size_t i = 0; i < all->count; i++) {
        const sample *one = &all->of[i];
        if (i == 0 || strcmp(all->of[i - 1].metric, one->metric) != 0) {
            family_head(out, one->metric); /* [P1] */
        }
        (void)weir_buffer_text(out, one->metric);
        if (one->adapter != NULL) {
            (void)weir_buffer_format(out, "{adapter=\"%s\"}", one->adapter);
        }
        (void)weir_buffer_format(out, " %" PRIu64 "\n", one->value);
    }
}

/* ---- Groups one by one -------------------------------------------------------------------------- */

/* A label's value: backslash, quote and newline are escaped. */
static void label_write(weir_buffer *out, weir_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = (char)text.ptr[i];
        if (c == '\\' || c == '"') {
            (void)weir_buffer_append(out, "\\", 1);
        }
        (void)weir_buffer_append(out, c == '\n' ? "\\n" : &c, c == '\n' ? 2 : 1);
    }
}

static void group_sample(weir_buffer *out, const char *metric, const weir_group_info *group,
                         const char *fate)
{
    (void)weir_buffer_format(out, "%s{group=\"", metric);
    label_write(out, group->name);
    if (fate != NULL) {
        (void)weir_buffer_format(out, "\",fate=\"%s", fate);
    }
    (void)weir_buffer_text(out, "\"} ");
}

typedef struct group_family {
    const char *metric;
    const char *type;
    const char *help;
    uint64_t (*value)(const weir_group_info *group);
} group_family;

static uint64_t lag_of(const weir_group_info *group)
{
    return group->partitions[0].lag;
}

static uint64_t unsettled_of(const weir_group_info *group)
{
    return group->fates[WEIR_FATE_PENDING];
}

static uint64_t leased_of(const weir_group_info *group)
{
    return group->partitions[0].leased;
}

static uint64_t members_of(const weir_group_info *group)
{
    return group->member_count;
}

static uint64_t stands_still_of(const weir_group_info *group)
{
    return group->stands_still;
}

static uint64_t failures_of(const weir_group_info *group)
{
    return group->failed_times;
}

static const group_family group_families[] = {
    {"weir_consumer_group_lag_records", "gauge", "Records of a group that nobody is done with.",
     lag_of},
    {"weir_consumer_group_unsettled_records", "gauge",
     "Records of a group without a fate; of a stream with what its filter does not match.",
     unsettled_of},
    {"weir_consumer_group_leased_records", "gauge", "Records of a queue group with members now.",
     leased_of},
    {"weir_consumer_group_members", "gauge", "Members of a group that are there.", members_of},
    {"weir_consumer_group_stands_still", "gauge",
     "Partitions of a stream group that wait for weir group reset: what it would read was removed.",
     stands_still_of},
    {"weir_consumer_group_failures_total", "counter",
     "Failures of a queue group's records under leases.", failures_of},
};

static void group_family_head(weir_buffer *out, const char *metric, const char *type,
                              const char *help)
{
    (void)weir_buffer_format(out, "# HELP %s %s\n# TYPE %s %s\n", metric, help, metric, type);
}

static void group_fates_write(const weir_groups *groups, weir_buffer *out)
{
    static const char metric[] = "weir_consumer_group_fates_total";
    group_family_head(out, metric, "counter", "Records of a group, by what became of them.");
    for (uint32_t i = 0; i < groups->count; i++) {
        for (int fate = WEIR_FATE_PENDING + 1; fate < WEIR_FATE_COUNT; fate++) {
            group_sample(out, metric, &groups->groups[i], weir_fate_name((weir_fate)fate));
            (void)weir_buffer_format(out, "%" PRIu64 "\n", groups->groups[i].fates[fate]);
        }
    }
}

/* [P1] each family whole; none of them is the engine's or a front end's as well. How many groups are left
 * out is a sample of the engine's. */
static void groups_write(const weir_groups *groups, weir_buffer *out)
{
    static const char seconds[] = "weir_consumer_group_lag_seconds";
    for (size_t f = 0; f < sizeof(group_families) / sizeof(group_families[0]); f++) {
        const group_family *family = &group_families[f];
        group_family_head(out, family->metric, family->type, family->help);
        for (uint32_t i = 0; i < groups->count; i++) {
            group_sample(out, family->metric, &groups->groups[i], NULL);
            (void)weir_buffer_format(out, "%" PRIu64 "\n", family->value(&groups->groups[i]));
        }
    }
    group_family_head(out, seconds, "gauge", "Age of the oldest record that nobody is done with.");
    for (uint32_t i = 0; i < groups->count; i++) {
        int64_t ms = groups->groups[i].partitions[0].lag_ms;
        group_sample(out, seconds, &groups->groups[i], NULL);
        (void)weir_buffer_format(out, "%" PRId64 ".%03" PRId64 "\n", ms / 1000, ms % 1000);
    }
    group_fates_write(groups, out);
}

weir_err weir_web_metrics_make(weir_adapter *adapter, weir_web_page *page)
{
    samples *all = calloc(1, sizeof(*all));
    if (all == NULL) {
        return WEIR_NO_MEMORY;
    }
    engine_collect(all, adapter->host->engine);
    front_ends_collect(all, adapter);
    qsort(all->of, all->count, sizeof(all->of[0]), compare);
    samples_write(all, &page->made);
    free(all);
    if (page->groups != NULL) {
        groups_write(page->groups, &page->made);
    }
    page->status = 200;
    return page->made.len == 0 ? WEIR_NO_MEMORY : WEIR_OK;
}
